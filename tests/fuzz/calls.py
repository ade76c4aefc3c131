"""Which random calls are made: ops, functions, methods, indices, gradients, exchange, recordings.

Ops come from the registry, functions from the public modules and methods from Tensor itself, so
that new ones are called without a word here. What a call may change outside this process is left
out, by name and with the reason.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import inspect
import itertools
import pickle
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from values import KINDS, LARGEST, Values

import ranvier as rv
import ranvier.nn.functional
from ranvier import _C

sys.path.append(str(Path(__file__).resolve().parent.parent / "python"))
from cases import CASES
from samples import place

LEFT_OUT = {
    **dict.fromkeys(("fit", "evaluate", "predict", "History"), "training has tests of its own"),
    **dict.fromkeys(("save", "load"), "they write and read files"),
    **dict.fromkeys(("set_num_threads", "cpu_info", "show_config"), "about the machine"),
    **dict.fromkeys(
        ("nn", "optim", "data", "autograd", "cuda", "accelerator", "backends"), "no op"
    ),
    **dict.fromkeys(("Program", "Tensor", "Generator"), "called in `program`, `constructor`"),
    **dict.fromkeys(("NonFiniteError", "RanvierWarning", "ShapeError"), "exceptions"),
}
NOT_METHODS = {
    *("__class__", "__init_subclass__", "__subclasshook__", "__new__", "__getattribute__"),
    *("__setattr__", "__delattr__", "__dir__", "__getstate__", "__sizeof__", "__doc__"),
    *("__module__", "__hash__", "__init__", "__reduce__", "_pybind11_conduit_v1_"),
    *("__array_ufunc__", "__array_function__"),  # NumPy calls them
}


class Call(NamedTuple):
    """What is about to be called."""

    name: str
    function: Callable[..., Any]
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}  # noqa: RUF012  (never changed)


# ---- ops


REGISTRY = {entry["name"]: entry for entry in _C.registry()}
NAMES = list(REGISTRY)
BY_ATTR = {
    "bool": "flag", "int": "axis", "float": "number", "str": "text",
    "int or sequence of int": "axes", "dtype": "dtype",
}  # fmt: skip


@functools.cache
def samples(name: str) -> list[Any]:
    """What the case table calls an op with: arguments that have a meaning."""
    made = CASES[name].samples() if name in CASES else []
    return [s for s in made if s.numel <= LARGEST]


def attribute(v: Values, attr: dict[str, Any]) -> Any:
    """A value for an attribute of an op, by its name or by its type."""
    kind = KINDS.get(attr["name"], BY_ATTR.get(attr["kind"], "anything"))
    return v.anything() if v.odds(0.04) else getattr(v, kind)()


def from_sample(v: Values, name: str) -> dict[str, Any]:
    """Arguments out of the case table in other layouts and dtypes, one of them perhaps changed."""
    sample = v.rng.choice(samples(name))
    dtype = v.rng.choice(("float32", "float32", "float64", None))
    given: list[Any] = []
    for i, x in enumerate(sample.inputs):
        if x is None:
            given.append(None)
            continue
        if x.dtype.kind == "f" and dtype and i not in sample.fixed:
            x = x.astype(dtype)
        t = place(x, v.rng.choice(("packed", sample.layouts[i], "transposed", "strided")))[0]
        if dtype is None and i not in sample.fixed:
            t = t.to(v.rng.choice((_C.float16, _C.bfloat16, _C.int64, _C.uint8, _C.bool_)))
        if t.dtype.is_floating_point and v.odds(0.4):
            t = t.detach().requires_grad_()
        if v.odds(0.2):
            v.keep(t)
        given.append(t)
    entry = REGISTRY[name]
    names = entry["inputs"]
    kwargs = {n: t for n, t in zip(names, given, strict=False) if t is not None}
    if entry["variadic"]:
        kwargs[names[-1]] = given[len(names) - 1 :]
    kwargs.update(sample.attrs)
    if v.odds(0.35) and entry["arguments"]:
        changed = v.rng.choice(entry["arguments"])
        attrs = {a["name"]: a for a in entry["attrs"]}
        kwargs[changed] = attribute(v, attrs[changed]) if changed in attrs else v.operand()
    return kwargs


def at_random(v: Values, name: str) -> dict[str, Any]:
    """Arguments without much thought: tensors of the pool, attributes by their names."""
    entry = REGISTRY[name]
    kwargs: dict[str, Any] = {}
    first: Any = None
    for i, n in enumerate(entry["inputs"]):
        if entry["optional"][i] and v.odds(0.5):
            continue
        if entry["variadic"] and i + 1 == len(entry["inputs"]):
            kwargs[n] = v.tensors()
        else:
            kwargs[n] = v.operand() if i == 0 else v.beside(first)
            first = kwargs[n] if first is None else first
    for attr in entry["attrs"]:
        if attr["required"] or v.odds(0.35):
            kwargs[attr["name"]] = attribute(v, attr)
    return kwargs


def op(v: Values) -> Call:
    """An op by name, as a method or by its composite; with names or by position."""
    name = v.rng.choice(NAMES)
    entry = REGISTRY[name]
    kwargs = from_sample(v, name) if samples(name) and v.odds(0.4) else at_random(v, name)
    if v.odds(0.05):
        kwargs["out"] = v.tensor()
    args = []
    if v.odds(0.5):
        for n in entry["arguments"][: entry["positional"]]:
            if n not in kwargs:
                break
            args.append(kwargs.pop(n))
    module = _C.composites if hasattr(_C.composites, name) and v.odds(0.3) else _C.ops
    if args and v.odds(0.4) and isinstance(args[0], rv.Tensor) and hasattr(args[0], name):
        return Call(f"Tensor.{name}", getattr(rv.Tensor, name), tuple(args), kwargs)
    return Call(name, getattr(module, name), tuple(args), kwargs)


# ---- functions and methods, by their signatures


def public() -> list[tuple[str, Callable[..., Any]]]:
    """Every function and class of the public modules that is no op."""
    modules: list[Any] = [rv, ranvier.nn.functional, rv.autograd]
    modules += [getattr(rv, n) for n in ("distributions", "linalg", "random") if hasattr(rv, n)]
    found = {}
    for module in modules:
        names = getattr(module, "__all__", None) or [n for n in dir(module) if n[0] != "_"]
        for name in names:
            member = getattr(module, name)
            ours = str(getattr(member, "__module__", "")).startswith("ranvier")
            if name not in LEFT_OUT and name not in REGISTRY and callable(member) and ours:
                found[f"{module.__name__}.{name}"] = member
    return sorted(found.items())


PUBLIC = public()
METHODS = sorted(
    name
    for name in dir(rv.Tensor)
    if name not in NOT_METHODS and name not in REGISTRY and callable(getattr(rv.Tensor, name))
)
PROPERTIES = sorted(n for n in dir(rv.Tensor) if isinstance(getattr(rv.Tensor, n, None), property))


SIGNATURES: dict[int, tuple[inspect.Parameter, ...] | None] = {}


def parameters(function: Callable[..., Any]) -> tuple[inspect.Parameter, ...] | None:
    """The signature, or None where there is none to read."""
    if id(function) not in SIGNATURES:
        try:
            known = tuple(inspect.signature(function).parameters.values())
        except (TypeError, ValueError):
            known = documented(function)
        SIGNATURES[id(function)] = known
    return SIGNATURES[id(function)]


def documented(function: Callable[..., Any]) -> tuple[inspect.Parameter, ...] | None:
    """The signature that pybind11 writes into the first line of the help."""
    line = (getattr(function, "__doc__", None) or "").partition("\n")[0]
    found = re.match(r"\w+\((.*)\) ->", line)
    if found is None:
        return None
    kind: Any = inspect.Parameter.POSITIONAL_OR_KEYWORD
    known = []
    for word in re.findall(r"(?:^|, )(\*|\w+)(?=[:,]|$)", found[1]):
        if word == "*":
            kind = inspect.Parameter.KEYWORD_ONLY
        elif f"{word}: " in found[1]:
            default = re.search(rf"\b{word}: [^=,]* = (\w+)", found[1])
            value = DEFAULTS.get(default[1]) if default else inspect.Parameter.empty
            known.append(inspect.Parameter(word, kind, default=value))
    return tuple(known)


DEFAULTS = {"True": True, "False": False}


def arguments(v: Values, function: Callable[..., Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments for a Python function, by the names of its parameters."""
    known = parameters(function)
    if known is None:
        return tuple(v.anything() for _ in range(v.rng.randint(0, 2))), {}
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for parameter in known:
        if parameter.name == "self":
            args.append(v.tensor())
        elif parameter.kind is parameter.VAR_POSITIONAL:
            many = v.rng.choice(("integer", "sizes", "operand", "anything"))
            count = 1 if many == "sizes" else v.rng.randint(0, 4)
            args += [getattr(v, many)() for _ in range(count)]
        elif parameter.kind is parameter.VAR_KEYWORD:
            if v.odds(0.3):
                word = v.rng.choice(list(KINDS))
                kwargs[word] = v.named(word)
        elif parameter.default is parameter.empty or v.odds(0.3):
            value = v.named(parameter.name)
            by_name = parameter.kind is parameter.KEYWORD_ONLY or len(kwargs) or v.odds(0.2)
            if by_name and parameter.kind is not parameter.POSITIONAL_ONLY:
                kwargs[parameter.name] = value
            else:
                args.append(value)
        elif parameter.kind is not parameter.KEYWORD_ONLY and not kwargs and v.odds(0.3):
            args.append(parameter.default)
        elif parameter.kind is not parameter.KEYWORD_ONLY:
            kwargs.setdefault(parameter.name, parameter.default)
    if v.odds(0.02):
        args.append(v.anything())
    return tuple(args), kwargs


def function(v: Values) -> Call:
    """A public function or class."""
    name, chosen = v.rng.choice(PUBLIC)
    args, kwargs = arguments(v, chosen)
    if inspect.isclass(chosen) and hasattr(chosen, "__exit__"):
        return Call(name, lambda *a, **k: inside(v, chosen(*a, **k)), args, kwargs)
    return Call(name, chosen, args, kwargs)


def inside(v: Values, context: Any) -> Any:
    """A few ops within a `with`."""
    with context:
        return [attempt(op(v)) for _ in range(3)]


def attempt(call: Call) -> Any:
    """The result, or None where the call raises what it may."""
    with contextlib.suppress(*ALLOWED):
        return call.function(*call.args, **call.kwargs)
    return None


ALLOWED = (
    *(TypeError, ValueError, IndexError, RuntimeError, KeyError, OverflowError, MemoryError),
    *(AttributeError, BufferError, StopIteration),
)


def method(v: Values) -> Call:
    """A method of Tensor that is no op, protocols included."""
    name = v.rng.choice(METHODS)
    chosen = getattr(rv.Tensor, name)
    args, kwargs = arguments(v, chosen)
    if parameters(chosen) is None:  # pybind11's: the first argument is the tensor
        args = (v.tensor(), *args)
    elif args and args[0] is None:
        args = (v.tensor(), *args[1:])
    return Call(f"Tensor.{name}", chosen, args, kwargs)


def attribute_of(v: Values) -> Call:
    """A property read or set."""
    name, tensor = v.rng.choice(PROPERTIES), v.tensor()
    if v.odds(0.6):
        return Call(f"Tensor.{name}", getattr, (tensor, name))
    value = v.beside(tensor) if v.odds(0.6) else v.rng.choice((None, v.flag(), v.anything()))
    return Call(f"Tensor.{name} =", setattr, (tensor, name, value))


# ---- indices


def index(v: Values) -> Call:
    """tensor[index]"""
    tensor = v.tensor()
    return Call("Tensor.__getitem__", rv.Tensor.__getitem__, (tensor, v.index(tensor)))


def assign(v: Values) -> Call:
    """tensor[index] = value"""
    tensor = v.tensor()
    value = v.rng.choice((v.number, v.integer, v.operand, lambda: v.beside(tensor), v.nested))()
    chosen = v.index(tensor)
    if v.odds(0.15):  # an overlap: a tensor into itself
        with contextlib.suppress(Exception):
            value = tensor.detach()[v.index(tensor)]
    return Call("Tensor.__setitem__", rv.Tensor.__setitem__, (tensor, chosen, value))


# ---- other libraries


def exchange(v: Values) -> Call:
    """Memory from and to NumPy, buffers and DLPack; copies and pickles."""
    t = v.tensor()
    wide = np.broadcast_to(np.float32(1), (2**30, 2**30))
    capsule = functools.partial(twice, t)
    choices: list[Call] = [
        Call("from_numpy", rv.from_numpy, (v.odd_array(),)),
        Call("tensor", rv.tensor, (v.rng.choice((v.odd_array, v.nested, v.anything))(),)),
        Call("as_tensor", rv.as_tensor, (v.odd_array(),), {"dtype": v.dtype()}),
        Call("as_tensor", rv.as_tensor, (wide,), {"dtype": v.dtype()}),
        Call("Tensor", rv.Tensor, (v.anything(),)),
        Call("Tensor", rv.Tensor, tuple(v.integer() for _ in range(v.rng.randint(0, 3)))),
        Call("asarray", np.asarray, (t,)),
        Call("array", np.array, (t,), {"copy": v.odds(0.5), "dtype": v.rng.choice((None, "f4"))}),
        Call("memoryview", memoryview, (t,)),
        Call("bytes", bytes, (t,)),
        Call("buffer", lambda t: rv.frombuffer(memoryview(t).cast("B"), dtype=v.dtype()), (t,)),
        Call("frombuffer", rv.frombuffer, (v.anything(), v.dtype(), v.integer(), v.integer())),
        Call("dlpack", lambda t: np.from_dlpack(t), (t,)),
        Call("dlpack back", lambda t: rv.from_dlpack(np.from_dlpack(t)), (t,)),
        Call("dlpack itself", rv.from_dlpack, (t,), {"copy": v.rng.choice((None, True, False))}),
        Call("dlpack twice", capsule),
        Call("from_dlpack", rv.from_dlpack, (v.rng.choice((v.odd_array, v.anything))(),)),
        Call("ufunc", v.rng.choice((np.add, np.exp, np.matmul, np.arctan2, np.divmod, np.isnan)),
             tuple(v.operand() for _ in range(v.rng.randint(1, 3)))),
        Call("ufunc.reduce", np.add.reduce, (t,), {"axis": v.axes()}),
        # NumPy's own `at` crashes where values do not fit an index with None in it.
        Call("ufunc.at", np.add.at, (t, v.rng.choice((0, -1, [0, 0], 9)), v.number())),
        Call("numpy function", v.rng.choice((np.mean, np.concatenate, np.sort, np.stack, np.where)),
             (v.rng.choice((t, v.tensors())),)),
        Call("copy", copy.copy, (t,)),
        Call("deepcopy", copy.deepcopy, (t,)),
        Call("pickle", lambda t: pickle.loads(pickle.dumps(t)), (t,)),
        Call("repr", repr, (t,)),
        Call("list", list, (t,)),
    ]  # fmt: skip
    return v.rng.choice(choices)


def twice(t: Any) -> Any:
    """A capsule is taken once; the second time must raise."""
    capsule = t.__dlpack__()
    first = rv.from_dlpack(capsule)
    with contextlib.suppress(*ALLOWED):
        rv.from_dlpack(capsule)
        raise AssertionError("a DLPack capsule was taken twice")
    return first


# ---- gradients


def odd_hook(v: Values) -> Callable[[Any], Any]:
    """A hook that does what hooks may do, and what they may not."""
    scale, value = v.rng.choice((0.5, 2, -1)), v.anything()

    def raising(g: Any) -> Any:
        raise ValueError("a hook that raises")

    return v.rng.choice(
        (
            lambda g: None,
            lambda g: g * scale,
            lambda g: value,
            lambda g: g.mul_(scale),
            lambda g: g.sum(),
            lambda g: g.double(),
            lambda g: g.detach().requires_grad_(),
            raising,
        )
    )


def function_class(v: Values) -> Any:
    """A Function whose backward gives what it should, or not."""
    back = v.rng.choice(("right", "none", "wrong", "many", "raises", "in place"))

    class Drawn(rv.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any, y: Any = None) -> Any:
            result = x.clone() if back != "in place" else x.mul_(1)
            if back == "in place":
                ctx.mark_dirty(x)
            ctx.save_for_backward(x, result)
            return result

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            _, result = ctx.saved_tensors
            if back == "raises":
                raise KeyError("a backward that raises")
            answers = {"none": None, "wrong": g.sum(), "many": (g,) * 5}
            return answers[back] if back in answers else (g * result, None)

    return Drawn


def graded(v: Values) -> Any:
    """A tensor of the pool that has a gradient to give, where there is one."""
    asking = [t for t in v.pool if t.requires_grad]
    return v.rng.choice(asking) if asking and v.odds(0.9) else v.tensor()


def gradient(v: Values) -> Call:
    """Backward, grad, hooks, leaves, Functions."""
    t, u = graded(v), graded(v)
    seed = None if t.numel() == 1 and v.odds(0.7) else v.beside(t)
    flags = {n: v.flag() for n in ("retain_graph", "create_graph") if v.odds(0.5)}
    if v.odds(0.4):
        t = attempt(Call("sum", rv.Tensor.sum, (t,))) or t if t.numel() != 1 else t
        seed = None
    choices = [
        Call("backward", rv.Tensor.backward, (t, seed), flags),
        Call("backward", rv.Tensor.backward, (t,), flags),
        Call("autograd.grad", rv.autograd.grad, (t, u, seed),
             {**flags, **({"allow_unused": True} if v.odds(0.6) else {})}),
        Call("autograd.grad", rv.autograd.grad, (v.tensors(), v.tensors()), flags),
        Call("autograd.backward", rv.autograd.backward, ([t, u], [seed, None]), flags),
        Call("register_hook", rv.Tensor.register_hook, (t, odd_hook(v))),
        Call("retain_grad", rv.Tensor.retain_grad, (t,)),
        Call("requires_grad_", rv.Tensor.requires_grad_, (v.tensor(), v.flag())),
        Call("grad =", setattr, (t, "grad", v.rng.choice((None, u, v.beside(t))))),
        Call("detach_", rv.Tensor.detach_, (t,)),
        Call("Function", lambda x: function_class(v).apply(x), (t,)),
        Call("grad_fn", lambda x: x.grad_fn and (x.grad_fn.next, repr(x.grad_fn)), (t,)),
        Call("set_grad_enabled", rv.set_grad_enabled, (v.odds(0.8),)),
    ]  # fmt: skip
    return v.rng.choice(choices)


# ---- recordings and the rest


def program(v: Values) -> Call:
    """Records a few ops and replays them with other tensors."""
    inputs = [v.tensor() for _ in range(v.rng.randint(0, 3))]

    def body(*slots: Any) -> Any:
        results = list(slots)
        before, v.pool = v.pool, list(slots)
        try:
            for _ in range(v.rng.randint(1, 4)):
                result = attempt(op(v))
                results += [result] if isinstance(result, rv.Tensor) else []
        finally:
            v.pool = before
        return results if v.odds(0.9) else v.anything()

    def record(*inputs: Any) -> Any:
        made = rv.Program.record(body, *inputs)
        first = made.first
        again = [made.replay(*(v.beside(t) for t in inputs)) for _ in range(2)]
        return [made.dump(), len(made), first, again]

    return Call("Program", record, tuple(inputs))


def constructor(v: Values) -> Call:
    """Generators, sizes, dtypes and other small classes."""
    generator = rv.Generator(v.rng.randrange(5))
    choices = [
        Call("Generator", rv.Generator, (v.integer(),)),
        Call("manual_seed", rv.Generator.manual_seed, (generator, v.anything())),
        Call("rand", rv.rand, (v.sizes(),), {"generator": v.rng.choice((generator, v.anything()))}),
        Call("dtype", _C.dtype, (v.anything(),)),
        Call("Size", rv.Size, (v.anything(),)),
        Call("Size +", lambda a, b: a + b, (rv.Size((1, 2)), v.anything())),
        Call("Size[]", lambda a, b: a[b], (rv.Size((1, 2)), v.anything())),
        Call("grad mode", lambda f: f(lambda: None)(), (rv.no_grad,)),
        Call("new", lambda: rv.Tensor.__new__(rv.Tensor).shape),
    ]  # fmt: skip
    return v.rng.choice(choices)


KINDS_OF_CALLS: list[tuple[Callable[[Values], Call], float]] = [
    (op, 50), (function, 14), (method, 9), (attribute_of, 3), (index, 7), (assign, 6),
    (exchange, 5), (gradient, 9), (program, 1), (constructor, 1),
]  # fmt: skip
_MAKERS = [maker for maker, _ in KINDS_OF_CALLS]
_WEIGHTS = list(itertools.accumulate(weight for _, weight in KINDS_OF_CALLS))


def next_call(v: Values) -> Call:
    """The next random call."""
    return v.rng.choices(_MAKERS, cum_weights=_WEIGHTS)[0](v)
