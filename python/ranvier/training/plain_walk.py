"""A check of the user's code goes from function to function, and from module to module."""

from __future__ import annotations

import functools
import inspect
import types
import weakref
from collections.abc import Iterable
from typing import Any

from ranvier import _C
from ranvier._C import Tensor
from ranvier.nn import Module
from ranvier.training import plain_values as values
from ranvier.training.plain_calls import Calls
from ranvier.training.plain_code import GIVEN, Call, Frame
from ranvier.training.plain_objects import at_class
from ranvier.training.plain_source import tree_of
from ranvier.training.plain_values import Inner, Known, Values, name_of

# What a class may define anew that no forward runs.
_BESIDE = {
    "__init__", "__repr__", "__doc__", "__module__", "__qualname__", "__annotations__", "__dict__",
    "__weakref__", "__slots__", "__static_attributes__", "__firstlineno__", "extra_repr", "forward",
    "reset_parameters", "train", "eval", "build", "get_config", "from_config", "state_dict",
    "load_state_dict", "compute_output_shape", "__init_subclass__", "__getstate__", "__setstate__",
}  # fmt: skip
NOTHING = Call([], {})


class Walk(Calls):
    """One check, of a model and of its loss."""

    def __init__(self) -> None:
        super().__init__()
        self._results: dict[Any, Frame] = {}
        self._running: set[Any] = set()
        self._modules: set[int] = set()
        self._alive: list[Any] = []  # so that no id comes twice

    # --- functions of the user

    def function(
        self,
        frame: Frame,
        function: types.FunctionType,
        call: Call,
    ) -> Values:
        """Walk through a function with these arguments; None: nobody knows which."""
        wrapped = getattr(function, "__wrapped__", None)
        if values.is_ours(function) and isinstance(wrapped, types.FunctionType):
            function = wrapped
        self.remember(function, None, values.parts_of(function))
        tree = tree_of(function)
        if tree is None:
            raise frame.stop(f"calls {name_of(function)}, whose source is not there")
        key = (
            function,
            tuple(map(frozenset, call.given)),
            tuple((name, frozenset(found)) for name, found in sorted(call.named.items())),
        )
        self._alive.append(function)
        inside = self._results.get(key)
        if inside is None:
            inside = self._results[key] = Frame(self, function, tree)
            _bind(inside, call, function.__defaults__, function.__kwdefaults__)
        return self.walked(key, inside)

    def walked(self, key: Any, inside: Frame) -> Values:
        """What a function returns, walked through anew if more is known than the last time."""
        if key in self._running or inside.version == self.version:
            return set(inside.returns)
        self._running.add(key)
        try:
            return set(inside.run())
        finally:
            self._running.discard(key)

    def inside(self, inner: Inner, call: Call) -> Values:
        """Walk through a function that is defined inside of another."""
        key = (inner, "inner")
        frame = self._results.get(key)
        if frame is None:
            frame = self._results[key] = Frame(self, inner.frame.function, inner.tree, inner.frame)
        arguments = inner.tree.args
        defaults = tuple(inner.frame.value(d) for d in arguments.defaults)
        later = {
            argument.arg: inner.frame.value(default)
            for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
            if default is not None
        }
        _bind(frame, call, defaults, later, evaluated=True)
        return self.walked(key, frame)

    # --- modules

    def module(
        self,
        frame: Frame,
        module: Module,
        call: Call | None,
    ) -> None:
        """A call of a module."""
        self.check_module(frame, module)
        self.remember_member(type(module).__mro__, "forward")
        forward = inspect.getattr_static(type(module), "forward")
        if isinstance(forward, types.FunctionType) and not values.is_ours(forward):
            if call is None:
                self.unknown_arguments(frame, forward, module)
            else:
                self.function(frame, forward, call.on(Known(module)))
            return
        wrapped = getattr(forward, "__wrapped__", None)
        if isinstance(wrapped, types.FunctionType) and not values.is_ours(wrapped):
            self.unknown_arguments(frame, wrapped, module)
            return
        if not values.is_ours(forward):
            raise frame.stop(f"calls {name_of(type(module))}, whose forward is no function")
        self.as_ours(frame, module)

    def as_ours(self, frame: Frame, module: Module) -> None:
        """A forward of Ranvier's: what it may call that is not."""
        if id(module) in self._modules:
            return
        self._modules.add(id(module))
        for method in _overriding(type(module)):
            self.unknown_arguments(frame, method, module)
        for value in list(module.__dict__.values()):
            if isinstance(value, (types.FunctionType, types.MethodType, functools.partial)) or (
                callable(value)
                and not values.is_ours(value)
                and not isinstance(value, (Module, type, weakref.ref))
            ):
                self.callable(frame, value)
        for child in module.children():
            self.module(frame, child, None)

    def unknown_arguments(self, frame: Frame, function: types.FunctionType, owner: Any) -> None:
        """Walk through a function of the user's, or a method of `owner`, that others call."""
        code = function.__code__
        first: list[Values] = [] if owner is None else [{Known(owner)}]
        given = first + [{GIVEN} for _ in range(code.co_argcount - len(first))]
        if code.co_flags & inspect.CO_VARARGS:
            given.append({GIVEN})
        keywords = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
        self.function(frame, function, Call(given, {name: {GIVEN} for name in keywords}))

    def callable(self, frame: Frame, thing: Any) -> None:
        """A function that somebody else calls with tensors."""
        if isinstance(thing, Module):
            return self.module(frame, thing, None)
        if isinstance(thing, functools.partial):
            for value in (*thing.args, *thing.keywords.values()):
                if not self.may_go(value):
                    raise frame.stop(f"calls {name_of(thing.func)} with {name_of(value)}")
            self.remember(thing.keywords, None, values.snapshot(thing.keywords))
            return self.callable(frame, thing.func)
        if values.is_ours(thing):
            self.of_ranvier(frame, thing, NOTHING)
            return None
        function = thing.__func__ if isinstance(thing, types.MethodType) else thing
        owner = thing.__self__ if isinstance(thing, types.MethodType) else None
        if not isinstance(function, types.FunctionType):
            owner, function = thing, vars(type(thing)).get("__call__")
        if not isinstance(function, types.FunctionType):
            raise frame.stop(f"calls {name_of(thing)}")
        self.unknown_arguments(frame, function, owner)

    def check_module(self, frame: Frame, module: Module) -> None:
        """A NotPlain for hooks and for what is set in the place of methods."""
        self._alive.append(module)
        kind = type(module)
        self.check_class(frame, kind)
        self.check_operators(frame, module)
        hooks = module._hooks
        if hooks is not None and (
            hooks.forward_pre or hooks.forward or hooks.backward_pre or hooks.backward
        ):
            raise at_class(kind, f"{kind.__name__} has a hook", frame)
        if "forward" in module.__dict__ or "__call__" in module.__dict__:
            raise at_class(kind, f"{kind.__name__} has a forward that was set later", frame)
        for name, value in module.__dict__.items():
            if isinstance(value, Tensor) and _C.has_hooks(value):
                raise at_class(kind, f"{kind.__name__}.{name} has a hook", frame)


def _bind(
    frame: Frame,
    call: Call,
    defaults: tuple[Any, ...] | None,
    later: dict[str, Any] | None,
    evaluated: bool = False,
) -> None:
    """Arguments get their values: in order, or any of them where a call has stars."""
    arguments = frame.tree.args
    places = [a.arg for a in (*arguments.posonlyargs, *arguments.args)]
    found, named = call.given, call.named
    anything: Values = call.all() if call.loose else set()

    def kept(default: Any) -> Values:
        return default if evaluated else {frame.walk.read(frame, default, "a default value")}

    for name, default in zip(reversed(places), reversed(defaults or ()), strict=False):
        frame.bind(name, kept(default))
    for name, default in (later or {}).items():
        frame.bind(name, kept(default))
    for name, values_of in zip(places, found, strict=False):
        frame.bind(name, values_of)
    for name in [*places, *(a.arg for a in arguments.kwonlyargs)]:
        if name in named:
            frame.bind(name, named[name])
        frame.bind(name, anything if name not in places[:1] or not found else set())
    if arguments.vararg is not None:
        made = frame.making(arguments, "*")
        frame.more(made.held, set().union(*found[len(places) :], anything))
        frame.bind(arguments.vararg.arg, {made})
    if arguments.kwarg is not None:
        made = frame.making(arguments, "**")
        rest = [v for name, v in named.items() if name not in places]
        frame.more(made.held, set().union(*rest, anything))
        frame.bind(arguments.kwarg.arg, {made})


def _overriding(kind: type) -> Iterable[types.FunctionType]:
    """The methods of the user's that stand in the place of Ranvier's, or of attributes."""
    bases = [base for base in kind.__mro__ if values.ours(base.__module__)]
    for base in kind.__mro__:
        if values.ours(base.__module__) or base is object:
            continue
        for name, thing in vars(base).items():
            found: Any = thing
            if isinstance(thing, property):
                found = thing.fget
            elif name in _BESIDE or not any(name in vars(other) for other in bases):
                continue
            elif isinstance(thing, (staticmethod, classmethod)):
                found = thing.__func__
            if isinstance(found, types.FunctionType):
                yield found
