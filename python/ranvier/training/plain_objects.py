"""What a check of the user's code makes of objects that are there: what may be read of them."""

from __future__ import annotations

import argparse
import ast
import functools
import types
from collections.abc import Iterable, Mapping
from typing import Any

from ranvier._C import Tensor
from ranvier.nn import Module
from ranvier.training import plain_values as values
from ranvier.training.plain_code import COMPUTED, GIVEN, LAYER, Call, Frame, NotPlain
from ranvier.training.plain_values import Inner, Known, Made, Method, Super, Value, Values, name_of

_MOST = 200_000  # steps of a walk
_SIMPLE = (types.SimpleNamespace, argparse.Namespace)
_SPECIAL = ("__call__", "__getattr__", "__getattribute__", "__setattr__")


class Objects:
    """What is known of objects in a check of a model and its loss.

    Attributes
    ----------
    version : int
        Of all that is known: moves on as that grows.
    held : list
        What was read that can change without a word: a space of names, a name and what it stood
        for; or a row and what it held.
    own : list
        Constants among the attributes of modules, which a structure's version speaks of.
    """

    def __init__(self) -> None:
        self.version = 0
        self.steps = 0
        self.inner: dict[Any, Inner] = {}
        self.held: list[tuple[Any, Any, Any]] = []
        self.own: list[tuple[dict[str, Any], str, Any]] = []
        self._seen: set[tuple[int, Any]] = set()
        self._kinds: set[type] = set()
        self._spaces: dict[type, Mapping[str, Any]] = {}  # each looked at by one name

    def function(self, frame: Frame, function: types.FunctionType, call: Call) -> Values:
        """Walk through a function with these arguments."""
        raise frame.stop(f"calls {name_of(function)}")

    def count(self, frame: Frame) -> None:
        """A step further."""
        self.steps += 1
        if self.steps > _MOST:
            raise frame.stop("is too large to be checked")

    # --- objects

    def read(
        self, frame: Frame, thing: Any, what: str, space: Any = None, name: Any = None
    ) -> Known:
        """An object that is read, from a space of names if that may come to hold another one."""
        lasting = isinstance(thing, (types.ModuleType, type))
        if space is not None and not lasting:
            self.remember(space, name, thing)
        row = isinstance(thing, (list, dict, set))
        if row:
            if not values.is_row(thing):
                raise frame.stop(
                    f"reads {what}, a {type(thing).__name__} of things that can change"
                )
            self.remember(thing, None, values.snapshot(thing))
        if isinstance(thing, tuple) and values.is_row(thing):
            self.remember(thing, None, values.snapshot(thing))
        if isinstance(thing, functools.partial):
            self.remember(thing.keywords, None, values.snapshot(thing.keywords))
        known = (types.ModuleType, type, types.FunctionType, types.MethodType, Tensor, Module,
                 types.BuiltinFunctionType, functools.partial)  # fmt: skip
        if isinstance(thing, Module):
            self.check_operators(frame, thing)
        if row or isinstance(thing, known) or values.is_constant(thing) or values.is_row(thing):
            return Known(thing)
        if values.is_ours(thing):
            return Known(thing)
        if hasattr(thing, "__dict__"):
            self.check_special(frame, thing, what)
            return Known(thing)
        raise frame.stop(f"reads {what}, {name_of(thing)}")

    def check_special(self, frame: Frame, thing: Any, what: str) -> None:
        """What operators and loops do with somebody's object must be plain as well."""
        if type(thing) in self._kinds or type(thing) in _SIMPLE:
            return
        self._kinds.add(type(thing))
        for name in dir(type(thing)):
            method = getattr(type(thing), name, None)
            if not values.is_special(name) or method is getattr(object, name, None):
                continue
            if not isinstance(method, types.FunctionType) or values.of_library(method):
                raise frame.stop(f"reads {what}, {name_of(thing)}")
            if method.__code__.co_filename != "<string>":  # as a dataclass has
                self.unknown_arguments(frame, method, thing)

    def check_operators(self, frame: Frame, module: Module) -> None:
        """What operators, loops and questions do with somebody's module must be plain as well."""
        kind = type(module)
        if kind in self._kinds:
            return
        self._kinds.add(kind)
        for base in kind.__mro__[:-1]:
            for name, method in [] if values.ours(base.__module__) else vars(base).items():
                if isinstance(method, types.FunctionType) and values.is_special(name):
                    self.unknown_arguments(frame, method, module)

    def unknown_arguments(self, frame: Frame, function: types.FunctionType, owner: Any) -> None:
        """Walk through a function of the user's, or a method of `owner`, that others call."""
        raise frame.stop(f"calls {name_of(function)}")

    def remember(self, space: Any, name: Any, thing: Any) -> None:
        """Something to compare later."""
        if (id(space), name) not in self._seen:
            self._seen.add((id(space), name))
            self.held.append((space, name, thing))

    def remember_member(self, kinds: Iterable[type], name: str) -> None:
        """What somebody's class has under a name, and that those before it have nothing."""
        for base in kinds:
            if values.ours(base.__module__) or base is object:
                return
            space = self._spaces.setdefault(base, vars(base))
            self.remember(space, name, space.get(name, values.ABSENT))
            if name in space:
                return

    def attribute(self, frame: Frame, value: Value, name: str, text: str) -> Values:
        """What `value.name` may be."""
        if isinstance(value, Known):
            return self.attribute_of(frame, value.thing, name, text)
        if isinstance(value, Super):
            return self.inherited(frame, value, name, text)
        if isinstance(value, Made):
            return value.all() | {COMPUTED}
        if value in (COMPUTED, GIVEN, LAYER):
            if name in ("grad", "grad_fn"):
                raise frame.stop(f"reads {text}")
            return {COMPUTED}
        raise frame.stop(f"reads {text}")

    def attribute_of(self, frame: Frame, thing: Any, name: str, text: str) -> Values:
        """What an attribute of an object may be."""
        if isinstance(thing, Module):
            return self.of_module(frame, thing, name, text)
        if isinstance(thing, types.ModuleType):
            if values.is_ours(thing) and hasattr(thing, name):
                return {Known(getattr(thing, name))}
            if name in vars(thing):
                space = vars(thing)
                return {self.read(frame, space[name], f"'{text}'", space, name)}
            raise frame.stop(f"reads '{text}'")
        if isinstance(thing, Tensor):
            return self.attribute(frame, COMPUTED, name, text)
        if isinstance(thing, type):
            return self.of_class(frame, thing, thing, name, text)
        if values.is_constant(thing) or values.is_ours(thing):
            return {COMPUTED}
        if values.is_named(thing) and name in type(thing)._fields:
            return {Known(getattr(thing, name))}
        return self.of_object(frame, thing, name, text)

    def of_module(self, frame: Frame, module: Module, name: str, text: str) -> Values:
        """An attribute of a module: its own, or its class'."""
        self.check_class(frame, type(module))
        if name == "training":
            return {COMPUTED}
        if name == "_modules":
            made = frame.making(frame.at, "modules")
            frame.more(made.held, map(Known, module.children()))
            return {made}
        if name in module.__dict__:
            thing = module.__dict__[name]
            if values.is_constant(thing):
                self.own.append((module.__dict__, name, thing))
            return {self.read(frame, thing, text)}
        if name == "__class__":
            return {Known(type(module))}
        return self.of_class(frame, type(module), module, name, text)

    def of_class(self, frame: Frame, kind: type, owner: Any, name: str, text: str) -> Values:
        """What a class, or an object by its class, has under a name."""
        if name in ("__name__", "__qualname__", "__doc__"):
            return {COMPUTED}
        self.remember_member(kind.__mro__, name)
        for base in kind.__mro__:
            if name in vars(base):
                return self.member(frame, base, owner, name, text)
        raise frame.stop(f"reads '{text}', which is not there")

    def member(self, frame: Frame, base: type, owner: Any, name: str, text: str) -> Values:
        """What stands in the body of a class, as its objects see it."""
        thing = vars(base)[name]
        ours = values.ours(base.__module__)
        bound = not isinstance(owner, type)
        beside = ours and issubclass(base, Module) and name not in ("forward", "__call__")
        if name == "__dict__" or (beside and not bound):
            raise frame.stop(f"reads '{text}'")
        if isinstance(thing, types.FunctionType):
            return {Method(thing, Known(owner)) if bound else Known(thing)}
        if isinstance(thing, staticmethod):
            return {Known(thing.__func__)}
        if isinstance(thing, classmethod):
            return {Method(thing.__func__, Known(owner if not bound else type(owner)))}
        if isinstance(thing, property) and bound:
            if ours or thing.fget is None:
                return {COMPUTED}
            return self.function(frame, thing.fget, Call([{Known(owner)}], {}))  # type: ignore[arg-type]
        if ours:
            return {Method(thing, Known(owner))} if callable(thing) else {COMPUTED}
        if hasattr(type(thing), "__get__"):
            raise frame.stop(f"reads '{text}', which {name_of(type(thing))} computes")
        return {self.read(frame, thing, f"'{text}'")}

    def inherited(self, frame: Frame, value: Super, name: str, text: str) -> Values:
        """What `super().name` is."""
        kind = type(value.owner)
        behind = kind.__mro__[kind.__mro__.index(value.behind) + 1 :]
        self.remember_member(behind, name)
        for base in behind:
            if name in vars(base):
                return self.member(frame, base, value.owner, name, text)
        raise frame.stop(f"reads '{text}', which is not there")

    def of_object(self, frame: Frame, thing: Any, name: str, text: str) -> Values:
        """An attribute of somebody's object, which may be set anew at any time."""
        kind = type(thing)
        for base in kind.__mro__[:-1]:
            if {"__getattr__", "__getattribute__"} & set(vars(base)):
                raise frame.stop(f"reads '{text}' of {name_of(thing)}")
        space = getattr(thing, "__dict__", None)
        if isinstance(space, dict) and name in space:
            return {self.read(frame, space[name], f"'{text}'", space, name)}
        if isinstance(space, dict):  # where it would hide what the class has
            self.remember(space, name, values.ABSENT)
        return self.of_class(frame, kind, thing, name, text)

    def part_of(self, frame: Frame, value: Value, node: ast.Subscript) -> Values:
        """`value[...]` of what is no row."""
        if value is GIVEN:
            return {GIVEN}
        if not isinstance(value, Known) or value.thing is None:
            return {COMPUTED}
        if isinstance(value.thing, Tensor) or values.is_constant(value.thing):
            return {COMPUTED}
        raise frame.stop(f"takes a part of '{ast.unparse(node.value)}', {name_of(value.thing)}")

    def items_of(self, frame: Frame, value: Value, of_dict: bool) -> Values:
        """What one comes by in a loop over an object."""
        thing = value.thing if isinstance(value, Known) else value
        if isinstance(thing, dict):
            return {Known(v) for v in thing.values()} if of_dict else {COMPUTED}
        if isinstance(thing, (list, tuple, set, frozenset)):
            return {Known(item) for item in thing}
        if isinstance(thing, Module):
            special = {"__iter__", "__getitem__", "__len__"} & {
                n for base in type(thing).__mro__ if not values.ours(base.__module__)
                for n in vars(base)
            }  # fmt: skip
            if special or not hasattr(type(thing), "__getitem__"):
                raise frame.stop(f"goes through {name_of(type(thing))} in a way of its own")
            self.check_class(frame, type(thing))
            return {Known(child) for child in thing.children()} or {COMPUTED}
        if isinstance(thing, Tensor) or values.is_constant(thing):
            return {COMPUTED}
        raise frame.stop(f"goes through {name_of(thing)}")

    def check_class(self, frame: Frame, kind: type) -> None:
        """A NotPlain for a class that does something else where attributes are read, or calls."""
        for base in kind.__mro__:
            if not values.ours(base.__module__) and base is not object:
                for name in _SPECIAL:
                    if name in vars(base):
                        raise at_class(base, f"{base.__name__} has a '{name}' of its own", frame)


def at_class(kind: type, text: str, frame: Frame) -> NotPlain:
    """The exception for a class: at its place, if that is known."""
    function = next((f for f in vars(kind).values() if isinstance(f, types.FunctionType)), None)
    if function is None or values.ours(kind.__module__):
        return frame.stop(text)
    return NotPlain(text, function.__code__.co_filename, function.__code__.co_firstlineno)
