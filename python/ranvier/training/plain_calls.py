"""What a check of the user's code makes of calls: functions of Python and of Ranvier are known.

Those of the user are walked through in turn.
"""

from __future__ import annotations

import ast
import dataclasses
import enum
import functools
import types
from typing import Any

from ranvier import _C
from ranvier._C import Tensor
from ranvier.autograd.function import Function
from ranvier.nn import Module
from ranvier.training import plain_values as values
from ranvier.training.plain_code import COMPUTED, GIVEN, LAYER, Call, Frame
from ranvier.training.plain_objects import Objects
from ranvier.training.plain_values import (
    Inner,
    Known,
    Made,
    Method,
    Super,
    Value,
    Values,
    name_of,
    of_library,
)  # fmt: skip


class Calls(Objects):
    """The calls in a check. `Walk` knows the functions and modules of the user."""

    def inside(self, inner: Inner, call: Call) -> Values:
        """Walk through a function that is defined inside of another."""
        raise inner.frame.stop("calls a function inside")

    def module(self, frame: Frame, module: Module, call: Call | None) -> None:
        """A call of a module; None: with arguments that nobody knows."""
        raise frame.stop(f"calls {name_of(type(module))}")

    def as_ours(self, frame: Frame, module: Module) -> None:
        """A method of Ranvier's of a module: what it may call that is not."""
        raise frame.stop(f"calls {name_of(type(module))}")

    # --- calls

    def call_methods(
        self,
        frame: Frame,
        owners: Values,
        name: str,
        call: Call,
    ) -> Values:
        """`owner.name(...)` for all that the owner may be."""
        result: Values = set()
        for owner in owners:
            if owner is COMPUTED or owner is GIVEN or owner is LAYER:
                self.method_of_ours(frame, name, call.text)
                self.handed_on(frame, call)
                result.add(COMPUTED)
            elif isinstance(owner, Made):
                result |= self.method_of_made(frame, owner, name, call)
            elif isinstance(owner, Known) and self.is_data(owner.thing):
                result |= self.method_of_data(frame, owner.thing, name, call)
            else:
                callees = self.attribute(frame, owner, name, call.text)
                result |= self.call(frame, callees, call)
        return result

    def is_data(self, thing: Any) -> bool:
        """Whether it is a tensor, a constant, or a row of such or of modules."""
        if isinstance(thing, Tensor):
            return values.is_ours(thing)
        row = values.is_row(thing) and not values.is_named(thing)
        return row or (values.is_constant(thing) and not isinstance(thing, enum.Enum))

    def method_of_ours(self, frame: Frame, name: str, text: str, owner: Any = None) -> None:
        """A method of a tensor, or of a module made here."""
        kinds = [owner] if owner is not None else [_SAMPLE]
        if any(values.method_keeps_out(kind, name) for kind in kinds):
            raise frame.stop(f"calls '{text}'")

    def method_of_made(self, frame: Frame, owner: Made, name: str, call: Call) -> Values:
        """A method of a row that was made here: anything goes, and what it is given it may hold."""
        held = owner.all()
        if name == "items":
            pairs = frame.making(call.node, "items")
            frame.more(pairs.held, {frame.row(call.node, "pair", {COMPUTED}, held)})
            return {pairs}
        if name in ("keys", "index", "count", "sort", "reverse"):
            return {COMPUTED}
        for found in (*call.given, *call.named.values()):
            new = found | frame.items({v for v in found if isinstance(v, Made)})
            for have in (owner.held, *(owner.rows or ())):
                frame.more(have, new)
        if name in ("copy", "values"):
            return {owner}
        return held or {COMPUTED}

    def method_of_data(
        self,
        frame: Frame,
        thing: Any,
        name: str,
        call: Call,
    ) -> Values:
        """A method of something that was there before: it may be read."""
        self.handed_on(frame, call)
        if isinstance(thing, Tensor):
            self.method_of_ours(frame, name, call.text, thing)
            return {COMPUTED}
        if values.is_constant(thing) and not isinstance(thing, tuple):
            return {COMPUTED}
        reads = next(
            (names for kind, names in values.READS.items() if isinstance(thing, kind)), set()
        )
        if name not in reads:
            raise frame.stop(f"changes '{call.text.rpartition('.')[0]}', which it did not make")
        held = frame.items({Known(thing)}, values=True)
        if name in ("items", "values", "copy"):
            made = frame.making(call.node, name)
            pair = {frame.row(call.node, "pair", {COMPUTED}, held)} if name == "items" else held
            frame.more(made.held, pair)
            return {made}
        return (
            {COMPUTED, *held, *(v for found in call.given[1:] for v in found)}
            if (name == "get")
            else {COMPUTED}
        )

    def call(
        self,
        frame: Frame,
        callees: Values,
        call: Call,
    ) -> Values:
        """The results of a call, for all that may be called."""
        result: Values = set()
        for callee in callees:
            if isinstance(callee, Inner):
                result |= self.inside(callee, call)
            elif isinstance(callee, Method):
                result |= self.method(frame, callee, call)
            elif isinstance(callee, Known):
                result |= self.known(frame, callee.thing, call)
            elif isinstance(callee, Made) and callee.all():
                result |= self.call(frame, callee.all(), call)
            elif callee is LAYER:
                self.handed_on(frame, call)
                result.add(COMPUTED)
            else:
                raise frame.stop(f"calls '{call.text}', whatever that may be")
        return result

    def known(
        self,
        frame: Frame,
        thing: Any,
        call: Call,
    ) -> Values:
        """A call of an object that was there before."""
        if isinstance(thing, Module):
            self.module(frame, thing, call)
            return {COMPUTED}
        if values.is_pure(thing):
            return self.of_python(frame, thing, call)
        if isinstance(thing, types.MethodType):
            method = Method(thing.__func__, Known(thing.__self__))
            return self.method(frame, method, call)
        if isinstance(thing, functools.partial):
            given: list[Values] = [{Known(argument)} for argument in thing.args]
            given += call.given
            named: dict[str, Values] = {n: {Known(v)} for n, v in thing.keywords.items()}
            named |= call.named
            return self.known(frame, thing.func, call._replace(given=given, named=named))
        if values.is_ours(thing):
            return self.of_ranvier(frame, thing, call)
        if isinstance(thing, types.FunctionType):
            if of_library(thing):
                raise frame.stop(f"calls '{call.text}'")
            return self.function(frame, thing, call)
        if isinstance(thing, type):
            return self.made_of(frame, thing, call)
        if values.is_constant(thing) or isinstance(thing, (Tensor, list, dict)):
            return set()  # Python raises
        special = vars(type(thing)).get("__call__")
        if isinstance(special, types.FunctionType) and not of_library(special):
            return self.function(frame, special, call.on(Known(thing)))
        raise frame.stop(f"calls '{call.text}'")

    def of_python(
        self,
        frame: Frame,
        thing: Any,
        call: Call,
    ) -> Values:
        """A function of Python that only computes."""
        if thing is super:
            return {self.super_of(frame, call)}
        if thing is getattr:
            return self.by_name(frame, call)
        if thing is type:
            return {
                Known(type(v.thing)) if isinstance(v, Known) else COMPUTED for v in call.given[0]
            }
        name = values.BUILTINS.get(thing, "")
        module = getattr(thing, "__module__", "")
        reduces = module == "_functools"
        if not (name in values.LOOPS or thing in values.ROWS or module == "itertools" or reduces):
            return {COMPUTED}
        everything = call.all()
        functions = {v for v in everything if _is_function(v)}
        held = frame.items(everything - functions)
        if name == "dict":
            held |= set().union(*call.named.values())
        result: Values = set()
        if functions:
            first = held.union({COMPUTED}, *call.given[2:]) if reduces else held
            result = self.call(
                frame, functions, Call([first] * _arity(functions), {}, True, call.node)
            )
        if thing is enumerate or thing is zip:
            places = (
                [{COMPUTED}, held]
                if thing is enumerate
                else [frame.items(found) for found in call.given]
            )
            made = frame.making(call.node)
            frame.more(made.held, {frame.row(call.node, "pair", *places)})
            return {made}
        if thing in values.ROWS or name in ("dict", "map", "filter") or module == "itertools":
            made = frame.making(call.node)
            frame.more(made.held, result | (set() if name == "map" else held))
            return {made}
        if name in ("max", "min", "next"):
            return held | {COMPUTED}
        if name == "sum":
            return frame.joined(call.node, held, set())
        return result | {COMPUTED}

    def super_of(self, frame: Frame, call: Call) -> Super:
        """`super()` and `super(Class, self)`."""
        outermost = frame
        while outermost.outer is not None:
            outermost = outermost.outer
        if call.given:
            kinds, owners = call.given[0], call.given[1] if len(call.given) > 1 else set()
        else:
            kinds = frame.look_up("__class__")
            first = [*outermost.tree.args.posonlyargs, *outermost.tree.args.args][:1]
            owners = outermost.names.get(first[0].arg, set()) if first else set()
        if len(kinds) == len(owners) == 1:
            (kind,), (owner,) = kinds, owners
            if (
                isinstance(kind, Known)
                and isinstance(owner, Known)
                and isinstance(kind.thing, type)
            ):
                return Super(kind.thing, owner.thing)
        raise frame.stop(f"has '{ast.unparse(call.node)}', whatever that may be")

    def by_name(self, frame: Frame, call: Call) -> Values:
        """`getattr`: by a name, or by all that begin in the same way."""
        name = call.node.args[1] if len(call.node.args) > 1 else None
        start = name.values[0] if isinstance(name, ast.JoinedStr) and name.values else name
        if isinstance(start, ast.BinOp):
            start = start.left
        beginning = start.value if isinstance(start, ast.Constant) else ""
        text = ast.unparse(call.node)
        result: Values = set().union(*call.given[2:])
        for owner in call.given[0]:
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                result |= self.attribute(frame, owner, name.value, text)
                continue
            thing = owner.thing if isinstance(owner, Known) else None
            if not isinstance(thing, Module) or not isinstance(beginning, str):
                raise frame.stop(f"has '{text}', whatever that may be")
            beginning = beginning.partition("%")[0].partition("{")[0]
            for own in [n for n in thing.__dict__ if n.startswith(beginning) and n[0] != "_"]:
                result |= self.of_module(frame, thing, own, text)
        return result

    def of_ranvier(
        self,
        frame: Frame,
        thing: Any,
        call: Call,
    ) -> Values:
        """A function or class of Ranvier's."""
        wrapped = getattr(thing, "__wrapped__", None)
        if isinstance(wrapped, types.FunctionType) and not values.is_ours(wrapped):
            return self.function(frame, wrapped, call)  # under no_grad and such
        if values.keeps_out(thing):
            raise frame.stop(f"calls {name_of(thing)}")
        self.handed_on(frame, call)
        if isinstance(thing, type):
            return {LAYER if issubclass(thing, Module) else COMPUTED}
        if not callable(thing):
            return set()
        return {COMPUTED}

    def made_of(
        self,
        frame: Frame,
        kind: type,
        call: Call,
    ) -> Values:
        """An object of a class of the user's: rows with names can be made."""
        tuples = issubclass(kind, tuple) and hasattr(kind, "_fields")
        simple = dataclasses.is_dataclass(kind) and not hasattr(kind, "__post_init__")
        if simple and any(
            f.default_factory not in (dataclasses.MISSING, list, dict)
            for f in dataclasses.fields(kind)
        ):
            raise frame.stop(f"makes {name_of(kind)} anew in each step")
        own = {"__init__", "__new__", "__setattr__"} & set(vars(kind))
        generated = own <= {"__new__"} if tuples else own <= {"__init__"}
        if not (tuples or simple) or not generated or (simple and not _is_generated(kind)):
            raise frame.stop(f"makes {name_of(kind)} anew in each step")
        made = frame.making(call.node)
        frame.more(made.held, call.all())
        return {made}

    def method(
        self,
        frame: Frame,
        callee: Method,
        call: Call,
    ) -> Values:
        """A function as a method of an object."""
        function, owner = callee.function, callee.owner.thing
        if isinstance(owner, type) and issubclass(owner, Function):
            raise frame.stop(f"calls '{call.text}', which has a backward of its own")
        wrapped = getattr(function, "__wrapped__", None)
        if isinstance(wrapped, types.FunctionType) and values.is_ours(function):
            function = wrapped  # under no_grad and such
        if not values.is_ours(function):
            written = isinstance(function, types.FunctionType)
            if not written or of_library(function):
                raise frame.stop(f"calls '{call.text}'")
            return self.function(frame, function, call.on(callee.owner))
        name = getattr(function, "__name__", "")
        if values.method_keeps_out(owner, name):
            raise frame.stop(f"calls '{call.text}'")
        self.handed_on(frame, call)
        if isinstance(owner, Module):
            return self.method_of_module(frame, owner, name, call.node)
        return {COMPUTED}

    def method_of_module(self, frame: Frame, owner: Module, name: str, node: ast.Call) -> Values:
        """A method of Ranvier's of a module."""
        modules = list(owner.modules()) if name.endswith("modules") else list(owner.children())
        if name in ("children", "modules", "named_children", "named_modules", "values", "items"):
            made = frame.making(node, name)
            found: Values = {Known(module) for module in modules}
            if name.startswith("named") or name == "items":
                found = {frame.row(node, "pair", {COMPUTED}, found)}
            frame.more(made.held, found)
            return {made}
        if name.startswith("named_"):
            made = frame.making(node, name)
            frame.more(made.held, {frame.row(node, "pair", {COMPUTED}, {COMPUTED})})
            return {made}
        if name.startswith("get_"):
            return {Known(module) for module in owner.modules()} if "module" in name else {COMPUTED}
        self.as_ours(frame, owner)
        return {COMPUTED}

    def handed_on(self, frame: Frame, call: Call) -> None:
        """What Ranvier's own code is handed: functions in it are checked as if they were called."""
        todo = [*call.all()]
        seen: set[int] = set()
        while todo:
            value = todo.pop()
            if id(value) in seen:
                continue
            seen.add(id(value))
            if isinstance(value, Made):
                todo += value.all()
            elif isinstance(value, Known) and isinstance(value.thing, Module):
                self.module(frame, value.thing, None)
            elif isinstance(value, (Inner, Method, Super)):
                raise frame.stop("hands a function of its own to Ranvier")
            elif isinstance(value, Known) and not self.may_go(value.thing):
                raise frame.stop(f"hands {name_of(value.thing)} to Ranvier")

    def may_go(self, thing: Any) -> bool:
        """Whether Ranvier's functions may be handed this."""
        if isinstance(thing, Tensor) or values.is_row(thing) or values.is_constant(thing):
            return True
        return values.is_ours(thing) or values.is_builtin(thing)


_SAMPLE = _C.zeros((), _C.float32)


def _is_function(value: Value) -> bool:
    if not isinstance(value, Known):
        return isinstance(value, (Inner, Method))
    thing = value.thing
    return callable(thing) and not (
        isinstance(thing, Module) and hasattr(type(thing), "__getitem__")
    )


def _arity(functions: Values) -> int:
    counts = [len(v.tree.args.args) for v in functions if isinstance(v, Inner)]
    return max(counts, default=1)


def _is_generated(kind: type) -> bool:
    """Whether a dataclass has the __init__ that was written for it."""
    init = vars(kind).get("__init__")
    code = getattr(init, "__code__", None)
    return code is None or code.co_filename == "<string>"
