"""Random programs compared with NumPy: broadcasting, promotion, reductions, chains of views.

`RANVIER_CASES=10000` sets how many cases all tests together draw; a few hundred otherwise. Where
the rules differ, PyTorch's hold, and `DIFFERENCES` says which and why; nothing else may differ.
Indexing has a file of its own.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes

import ranvier as rv
from ranvier import _C

TOTAL = int(os.environ.get("RANVIER_CASES", "300"))

DIFFERENCES = {
    "an integer beside a float": "takes the float's dtype; NumPy widens float32 to float64",
    "no dimensions": "a 0-d tensor or number does not widen a tensor of its kind that has some",
    "quotient of integers": "is of the default dtype, float32; NumPy's is float64",
    "storage only": "uint16, uint32 and uint64 are for storage: arithmetic refuses them",
    "bool arithmetic": "minus and negation of bools raise in both; + and * are `or` and `and`",
    "empty variance": "var and std of one element or none are NaN, without a warning",
    "one-element argmax": "argmax and argmin of nothing raise IndexError or ValueError in both",
}


def cases(share: float) -> Callable[..., Any]:
    """Settings for a test that draws this share of all cases."""
    return settings(max_examples=max(20, round(TOTAL * share)), deadline=None, derandomize=True)


FLOATS = ("float32", "float64")
INTEGERS = ("int64", "int32", "int16", "int8", "uint8")
DTYPES = (*FLOATS, *INTEGERS, "bool")
SEEDS = st.integers(0, 2**32 - 1)
SHAPES = st.lists(st.integers(0, 5), max_size=4).map(tuple) | st.lists(
    st.integers(1, 3), min_size=5, max_size=8
).map(tuple)
LAYOUTS = st.sampled_from(("packed", "fortran", "steps", "wide", "reversed", "readonly"))


def array(shape: tuple[int, ...], dtype: str, layout: str, seed: int, special: bool = True) -> Any:
    """Numbers of a dtype in one of NumPy's layouts; some floats are NaN or infinite."""
    rng = np.random.default_rng(seed)
    kind = np.dtype(dtype)
    wide = tuple(2 * n + 1 for n in shape) if layout == "steps" else shape
    if layout == "wide" and shape:
        wide = (*shape[:-1], shape[-1] + 2)
    if kind.kind == "b":
        made = rng.random(wide) < 0.5
    elif kind.kind == "f":
        made = np.asarray(rng.normal(0, 3, wide)).astype(kind)
        if special and made.size and seed % 4 == 0:
            made.flat[seed % made.size] = (np.nan, np.inf, -np.inf, -0.0)[seed // 4 % 4]
    else:
        made = rng.integers(0 if kind.kind == "u" else -9, 10, wide).astype(kind)
    made = np.asarray(made)
    if layout == "steps":
        return made[tuple(slice(1, None, 2) for _ in shape)]
    if layout == "wide" and shape:
        return made[..., 1:-1]
    if layout == "fortran":
        return np.array(made, order="F")
    if layout == "reversed" and shape:
        return made[..., ::-1]
    if layout == "readonly":
        made.flags.writeable = False
    return made


def quiet(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """NumPy's answer without its warnings."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*args, **kwargs)


def close(got: Any, want: Any, ulps: float, scale: Any = 0.0) -> None:
    """Equal shapes, and values equal to so many rounding errors of `scale`."""
    ours, theirs = got.detach().numpy(), np.asarray(want)
    assert ours.shape == theirs.shape
    if ours.dtype.kind != "f":
        np.testing.assert_array_equal(ours, theirs.astype(ours.dtype))
        return
    theirs = theirs.astype(ours.dtype)
    same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
    with np.errstate(all="ignore"):
        bound = ulps * np.finfo(ours.dtype).eps * (np.abs(theirs) + scale)
        near = np.isfinite(ours) & (np.abs(ours - theirs) <= bound)
    assert (same | near).all(), f"{ours} is not {theirs}"


# ---- elementwise


# NumPy's function, rounding errors, and which dtypes NumPy has it for.
BINARY: dict[str, tuple[Any, float, str]] = {
    "add": (np.add, 0, "fib"), "sub": (np.subtract, 0, "fi"), "mul": (np.multiply, 0, "fib"),
    "div": (np.divide, 0, "f"), "maximum": (np.maximum, 0, "fib"),
    "minimum": (np.minimum, 0, "fib"), "fmax": (np.fmax, 0, "fi"), "fmin": (np.fmin, 0, "fi"),
    "eq": (np.equal, 0, "fib"), "ne": (np.not_equal, 0, "fib"), "lt": (np.less, 0, "fib"),
    "le": (np.less_equal, 0, "fib"), "gt": (np.greater, 0, "fib"),
    "ge": (np.greater_equal, 0, "fib"), "atan2": (np.arctan2, 4, "f"), "hypot": (np.hypot, 4, "f"),
    "logaddexp": (np.logaddexp, 8, "f"), "copysign": (np.copysign, 0, "f"),
    "logical_and": (np.logical_and, 0, "fib"), "logical_or": (np.logical_or, 0, "fib"),
    "logical_xor": (np.logical_xor, 0, "fib"), "bitwise_and": (np.bitwise_and, 0, "ib"),
    "bitwise_or": (np.bitwise_or, 0, "ib"), "bitwise_xor": (np.bitwise_xor, 0, "ib"),
    "fmod": (np.fmod, 0, "f"), "remainder": (np.remainder, 1, "f"),
    "floor_divide": (np.floor_divide, 0, "f"), "nextafter": (np.nextafter, 0, "f"),
}  # fmt: skip
HERE = sorted(set(BINARY) & {entry["name"] for entry in _C.registry()})


@cases(0.3)
@given(
    name=st.sampled_from(HERE),
    shapes=mutually_broadcastable_shapes(num_shapes=2, max_dims=5, max_side=4, min_side=0),
    dtype=st.sampled_from(DTYPES),
    layouts=st.tuples(LAYOUTS, LAYOUTS),
    seeds=st.tuples(SEEDS, SEEDS),
)
def test_binary(name: str, shapes: Any, dtype: str, layouts: Any, seeds: Any) -> None:
    """Elementwise functions of two tensors that broadcast, in any layout."""
    theirs, ulps, kinds = BINARY[name]
    kind = np.dtype(dtype).kind.replace("u", "i")
    assume(kind in kinds)
    one, two = (array(shapes.input_shapes[i], dtype, layouts[i], seeds[i]) for i in (0, 1))
    want = quiet(theirs, one, two)
    got = getattr(rv, name)(rv.as_tensor(one), rv.as_tensor(two))
    assert got.dtype.name == str(want.dtype)
    assert got.shape == shapes.result_shape
    close(got, want, ulps + 1 if ulps else 0)


UNARY: dict[str, tuple[Any, float]] = {
    "neg": (np.negative, 0), "abs": (np.abs, 0), "square": (np.square, 0), "sqrt": (np.sqrt, 0),
    "exp": (np.exp, 4), "log": (np.log, 4), "tanh": (np.tanh, 4), "floor": (np.floor, 0),
    "ceil": (np.ceil, 0), "trunc": (np.trunc, 0), "round": (np.round, 0), "sign": (np.sign, 0),
    "sin": (np.sin, 8), "cos": (np.cos, 8), "expm1": (np.expm1, 8), "log1p": (np.log1p, 8),
    "exp2": (np.exp2, 4), "log2": (np.log2, 4), "log10": (np.log10, 4), "asin": (np.arcsin, 8),
    "acos": (np.arccos, 8), "atan": (np.arctan, 8), "sinh": (np.sinh, 8), "cosh": (np.cosh, 8),
    "isnan": (np.isnan, 0), "isinf": (np.isinf, 0), "isfinite": (np.isfinite, 0),
    "signbit": (np.signbit, 0), "reciprocal": (np.reciprocal, 1),
}  # fmt: skip
HERE_UNARY = sorted(set(UNARY) & {entry["name"] for entry in _C.registry()})


@cases(0.1)
@given(st.sampled_from(HERE_UNARY), SHAPES, st.sampled_from(FLOATS), LAYOUTS, SEEDS)
def test_unary(name: str, shape: Any, dtype: str, layout: str, seed: int) -> None:
    """Functions of one tensor in any layout; out of their domain NaN, as in NumPy."""
    theirs, ulps = UNARY[name]
    x = array(shape, dtype, layout, seed)
    want = quiet(theirs, x)
    got = getattr(rv, name)(rv.as_tensor(x))
    assert got.dtype.name == str(want.dtype)
    close(got, want, ulps, 1.0 if name in ("sin", "cos") else 0.0)


# ---- promotion


def promoted(one: Any, two: Any) -> str:
    """NumPy's dtype of a sum, with what `DIFFERENCES` says of PyTorch's rules."""

    def rank(x: Any) -> int:
        return "biuf".index(np.asarray(x).dtype.kind.replace("u", "i"))

    if rank(one) == rank(two) and (one.ndim == 0) != (two.ndim == 0):  # no dimensions
        return str((two if one.ndim == 0 else one).dtype)
    if rank(one) != rank(two):
        higher, lower = (one, two) if rank(one) > rank(two) else (two, one)
        if rank(higher) == 3 or rank(lower) == 0:  # an integer beside a float; anything and bool
            return str(higher.dtype)
    return str(np.promote_types(one.dtype, two.dtype))


@cases(0.1)
@given(
    dtypes=st.tuples(st.sampled_from(DTYPES), st.sampled_from(DTYPES)),
    shapes=st.tuples(st.sampled_from(((), (2,), (0,), (1,))), st.sampled_from(((), (2,), (1,)))),
    seeds=st.tuples(SEEDS, SEEDS),
    name=st.sampled_from(("add", "mul", "maximum", "eq", "div", "where", "cat", "stack")),
)
def test_promotion(dtypes: Any, shapes: Any, seeds: Any, name: str) -> None:
    """The dtype of results of two dtypes, with and without dimensions."""
    assume(hasattr(_C.ops, name) and 0 not in shapes[0] + shapes[1])
    one, two = (array(shapes[i], dtypes[i], "packed", seeds[i], special=False) for i in (0, 1))
    sides = [rv.as_tensor(x) for x in (one, two)]
    if name in ("cat", "stack"):
        assume(shapes[0] == shapes[1] and (shapes[0] or name == "stack"))
        got = getattr(rv, name)(sides)
    elif name == "where":
        got = rv.where(rv.tensor(True), *sides)
    else:
        got = getattr(rv, name)(*sides)
    want = promoted(one, two)
    if name == "eq":
        want = "bool"
    elif name == "div" and not want.startswith("float"):
        want = "float32"
    assert got.dtype.name == want
    assert rv.result_type(*sides).name == promoted(one, two)


# ---- reductions


def moments(theirs: Any) -> Any:
    """NumPy's with PyTorch's correction."""
    return lambda x, **options: theirs(x, ddof=1, **options)


# NumPy's function, whether it takes integers, and whether several axes.
REDUCTIONS: dict[str, tuple[Any, bool, bool]] = {
    "sum": (np.sum, True, True), "mean": (np.mean, False, True), "prod": (np.prod, True, False),
    "amax": (np.max, True, True), "amin": (np.min, True, True), "any": (np.any, True, True),
    "all": (np.all, True, True), "var": (moments(np.var), False, True),
    "std": (moments(np.std), False, True), "argmax": (np.argmax, True, False),
    "argmin": (np.argmin, True, False), "nansum": (np.nansum, True, True),
    "count_nonzero": (np.count_nonzero, True, True),
    "logsumexp": (lambda x, **options: np.log(np.sum(np.exp(x), **options)), False, True),
}  # fmt: skip
HERE_REDUCTIONS = sorted(set(REDUCTIONS) & {entry["name"] for entry in _C.registry()})


@cases(0.25)
@given(
    name=st.sampled_from(HERE_REDUCTIONS),
    shape=SHAPES,
    dtype=st.sampled_from(DTYPES),
    layout=LAYOUTS,
    seed=SEEDS,
    keepdim=st.booleans(),
    data=st.data(),
)
def test_reductions(
    name: str, shape: Any, dtype: str, layout: str, seed: int, keepdim: bool, data: Any
) -> None:
    """Over no axis, one axis or several, kept or not; errors where NumPy has one."""
    theirs, integers, several = REDUCTIONS[name]
    assume(integers or dtype in FLOATS)
    axes: Any = tuple(range(len(shape))) if name == "logsumexp" else None
    if shape and data.draw(st.booleans()):
        one = st.integers(-len(shape), len(shape) - 1)
        axes = data.draw(one)
        if several and data.draw(st.booleans()):
            chosen = data.draw(st.lists(st.integers(0, len(shape) - 1), min_size=1, unique=True))
            axes = tuple(a - len(shape) if data.draw(st.booleans()) else a for a in chosen)
    x = array(shape, dtype, layout, seed)
    if name in ("any", "all", "count_nonzero") and x.size:
        x = np.where(np.asarray(x) == x.flat[0], x, 0).astype(dtype)
    keep = keepdim and axes is not None and name != "count_nonzero"
    options: dict[str, Any] = {"keepdim": True} if keep else {}
    arguments = () if axes is None else (axes,)
    t = rv.as_tensor(x)
    extreme = name in ("amax", "amin", "argmax", "argmin")
    try:
        want = quiet(theirs, x, axis=axes, **({"keepdims": True} if keep else {}))
    except ValueError:
        with pytest.raises((ValueError, IndexError, RuntimeError)):
            getattr(rv, name)(t, *arguments, **options)
        return
    got = getattr(rv, name)(t, *arguments, **options)
    if name in ("var", "std"):
        lengths = range(len(shape)) if axes is None else np.atleast_1d(axes)
        if math.prod(shape[i] for i in lengths) <= 1:  # empty variance
            assert np.isnan(got.numpy()).all()
            return
    if dtype in FLOATS and not extreme and name not in ("any", "all", "count_nonzero"):
        assert got.dtype.name == dtype
    scale = quiet(np.sum, np.abs(np.asarray(x, np.float64)))
    scale = 0.0 if extreme else 1.0 + np.where(np.isfinite(scale), scale, 0.0)
    close(got, want, 32 if name != "prod" else 64, float(scale) if name != "prod" else 0.0)


ALONG = sorted(
    {"cumsum", "cumprod", "sort", "argsort"} & {entry["name"] for entry in _C.registry()}
)


@pytest.mark.skipif(not ALONG, reason="no such op")
@cases(0.05)
@given(st.sampled_from(ALONG or ("",)), SHAPES, LAYOUTS, SEEDS, st.data())
def test_along_an_axis(name: str, shape: Any, layout: str, seed: int, data: Any) -> None:
    """Running sums and products, and sorting."""
    assume(shape)
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    x = array(shape, "int64", layout, seed) % 5
    if name.endswith("sort"):
        x = np.argsort(np.random.default_rng(seed).random(shape), axis)  # no ties
    want = getattr(np, name)(x, axis)
    got = getattr(rv, name)(rv.as_tensor(x), axis)
    close(got[0] if name == "sort" else got, want, 0)


# ---- chains of views


def steps_for(shape: tuple[int, ...], draw: Any) -> tuple[str, Callable[[Any], Any], Any]:
    """A step: its name, what it does to an array, and what it does to a tensor."""
    dims = len(shape)
    names = ["squeeze", "reshape", "expand"]
    if dims < 8:
        names.append("unsqueeze")
    if dims:
        names += ["transpose", "permute", "slice", "select", "slice", "flip", "movedim", "narrow"]
    name = draw(st.sampled_from(names))
    axis = draw(st.integers(-dims, dims - 1)) if dims else 0
    n = shape[axis] if dims else 0
    if name == "unsqueeze":
        at = draw(st.integers(-dims - 1, dims))
        return name, lambda a: np.expand_dims(a, at), lambda t: t.unsqueeze(at)
    if name == "squeeze":
        if dims and draw(st.booleans()):
            some = (axis,) if n == 1 else ()
            return name, lambda a: np.squeeze(a, some), lambda t: t.squeeze(axis)
        return name, np.squeeze, lambda t: t.squeeze()
    if name == "reshape":
        size = math.prod(shape)
        sizes = [(-1,) if size else (0,), (size,), (1, size), shape]
        sizes += [(k, size // k) for k in (2, 3, 4) if size and size % k == 0]
        chosen = draw(st.sampled_from(sizes))
        return name, lambda a: a.reshape(chosen), lambda t: t.reshape(chosen)
    if name == "expand":
        lead = draw(st.integers(0, 1 if dims < 7 else 0))
        wide = (2,) * lead + tuple(draw(st.sampled_from((m, 3) if m == 1 else (m,))) for m in shape)
        if math.prod(wide) > 2000:
            wide = shape
        return name, lambda a: np.broadcast_to(a, wide), lambda t: t.expand(wide)
    if name == "transpose":
        other = draw(st.integers(-dims, dims - 1))
        return name, lambda a: np.swapaxes(a, axis, other), lambda t: t.transpose(axis, other)
    if name == "permute":
        order = draw(st.permutations(range(dims)))
        return name, lambda a: np.transpose(a, order), lambda t: t.permute(order)
    if name in ("slice", "narrow"):
        limits = st.none() | st.integers(-n - 2, n + 2)
        cut = slice(draw(limits), draw(limits), draw(st.sampled_from((None, 1, 2, 3))))
        index = (slice(None),) * (axis % dims) + (cut,)
        return name, lambda a: a[index], lambda t: t[index]
    if name == "select" and n:
        i = draw(st.integers(-n, n - 1))
        index = (slice(None),) * (axis % dims) + (i,)
        return name, lambda a: a[index], lambda t: t[index]
    if name == "flip" and hasattr(rv, "flip"):
        return name, lambda a: np.flip(a, axis).copy(), lambda t: rv.flip(t, [axis])
    if name == "movedim" and hasattr(rv, "movedim"):
        other = draw(st.integers(-dims, dims - 1))
        return name, lambda a: np.moveaxis(a, axis, other), lambda t: rv.movedim(t, axis, other)
    return "same", lambda a: a[...], lambda t: t[...]


@cases(0.2)
@given(SHAPES, st.sampled_from((*DTYPES, "uint16", "float16")), LAYOUTS, SEEDS, st.data())
def test_chains_of_views(shape: Any, dtype: str, layout: str, seed: int, data: Any) -> None:
    """Views of views give NumPy's elements, share memory where its do, and pass changes on."""
    base = array(shape, "float32" if dtype == "float16" else dtype, layout, seed).astype(dtype)
    base = base if layout == "packed" else np.array(base, order="K")
    ours, theirs = rv.from_numpy(base.copy(order="K")), base
    whole, names = ours, []
    shared = True
    for _ in range(data.draw(st.integers(1, 6))):
        name, on_array, on_tensor = steps_for(theirs.shape, data.draw)
        names.append(name)
        before, theirs = theirs, on_array(theirs)
        ours = on_tensor(ours)
        shared = shared and np.may_share_memory(before, theirs) and name != "flip"
        assert ours.shape == theirs.shape, names
        assert ours.dtype.name == dtype
        np.testing.assert_array_equal(ours.numpy(), theirs, err_msg=str(names))
    event("shares" if shared else "copied")
    if theirs.size == 0 or not shared:
        return
    offset = theirs.__array_interface__["data"][0] - base.__array_interface__["data"][0]
    assert ours.data_ptr() - whole.data_ptr() == offset, names
    if "expand" not in names:
        ours.copy_(rv.zeros(ours.shape, dtype=ours.dtype))
        theirs[...] = 0
        np.testing.assert_array_equal(whole.numpy(), base, err_msg=str(names))


def test_differences_are_used() -> None:
    """What the list of differences says is so."""
    assert (rv.ones(2) + rv.ones(2, dtype=rv.int64)).dtype is rv.float32
    assert (rv.ones(2) + rv.ones((), dtype=rv.float64)).dtype is rv.float32
    assert (rv.arange(2) / rv.arange(2)).dtype is rv.float32
    with pytest.raises(TypeError):
        rv.ones(2, dtype=rv.uint16) + rv.ones(2, dtype=rv.uint16)
    assert np.isnan(rv.ones(1).var().item())
    assert all(DIFFERENCES.values())
