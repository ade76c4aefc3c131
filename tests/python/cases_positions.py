"""Rows of the case table for ops that pick, write, add and fill at positions.

cases.py imports them. References go through positions one after another, as the ops do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from samples import (
    WITH_NAN,
    Array,
    Bad,
    Maker,
    Sample,
    Shape,
    in_place_of,
    indices,
    rows,
    spread,
)

from ranvier import _C

ShapeError = _C.ShapeError


def distinct(shape: int | Shape, below: int, axis: int = 0) -> Maker:
    """Positions that do not repeat along an axis."""

    def make(rng: np.random.Generator) -> Array:
        sizes = (shape,) if isinstance(shape, int) else tuple(shape)
        lines = [s for i, s in enumerate(sizes) if i != axis % len(sizes)]
        drawn = np.array(
            [rng.permutation(below)[: sizes[axis]] for _ in range(int(np.prod(lines)))]
        )
        return np.moveaxis(drawn.reshape(*lines, sizes[axis]), -1, axis).astype("int64")

    return make


def mask(*shape: int) -> Maker:
    """Random truth."""
    return lambda rng: rng.random(shape) < 0.4


# ---- picking

rows(
    "take",
    lambda x, index: np.take(x, index),
    (((9,), indices(20, 9, -9)), {}),
    (((3, 5), indices((2, 4), 15)), {}),
    (((), indices((), 1)), {}),
    (((3, 5), indices(0, 1)), {}),
    (((5, 3), indices((3, 2), 15, dtype="int32")), {}, ("transposed", "strided")),
    fixed=(1,),
    bad=(
        Bad(((2, 3), np.array([6])), {}, IndexError, ("[take]", "6")),
        Bad(((2, 3), np.array([-7])), {}, IndexError, ("[take]", "-7")),
        Bad(((2, 3), np.array([1.0])), {}, TypeError, ("[take]", "float64")),
        Bad(((0,), np.array([0])), {}, IndexError, ("[take]",)),
    ),
)
rows(
    "take_along_dim",
    lambda x, indices, dim=None: (
        np.take_along_axis(x, indices, dim) if dim is not None else np.take(x, indices.ravel())
    ),
    (((3, 5), indices((3, 2), 5, -5)), {"dim": 1}),
    (((3, 5), indices((1, 5), 3)), {"dim": 0}),
    (((1, 5), indices((4, 2), 5)), {"dim": -1}),
    (((3, 5), indices((2, 4), 15)), {}),
    (((3, 5), indices((3, 2), 5)), {"dim": 1}, ("transposed", "strided")),
    fixed=(1,),
    bad=(
        Bad(
            ((3, 5), np.array([0])), {"dim": 1}, ShapeError, ("[take_along_dim]", "(3, 5)", "(1,)")
        ),
        Bad(((3, 5), np.array([[0], [1]])), {"dim": 1}, ShapeError, ("(3, 5)", "(2, 1)")),
        Bad(((3, 5), np.array([[5]])), {"dim": 1}, IndexError, ("5",)),
        Bad(((3, 5), np.array([[0.5]])), {"dim": 1}, TypeError, ("[take_along_dim]",)),
    ),
)
rows(
    "masked_select",
    lambda x, mask: np.broadcast_arrays(x, mask)[0][np.broadcast_arrays(x, mask)[1]],
    (((9,), mask(9)), {}),
    (((3, 5), mask(5)), {}),
    (((5,), mask(3, 5)), {}),
    (((3, 1), mask(1, 4)), {}),
    (((), mask()), {}),
    (((0, 3), mask(3)), {}),
    (((5, 3), mask(5, 3)), {}, ("transposed", "strided")),
    fixed=(1,),
    recorded=False,
    bad=(
        Bad(
            ((2, 3), np.array([True, False])), {}, ShapeError, ("[masked_select]", "(2, 3)", "(2,)")
        ),
        Bad(((2,), np.array([1, 0])), {}, TypeError, ("[masked_select]", "int64")),
    ),
)
WITH_ZEROS: list[Any] = [
    (lambda rng, s=s: rng.integers(0, 2, s) * rng.uniform(0.6, 3.0, s)) for s in
    ((1,), (17,), (3, 5), (2, 3, 7), (0,), (0, 3), (), (70000,))]  # fmt: skip
rows(
    "argwhere",
    np.argwhere,
    *[((x,), {}) for x in WITH_ZEROS],
    ((WITH_ZEROS[2],), {}, ("transposed",)),
    ((WITH_ZEROS[3],), {}, ("strided",)),
    recorded=False,
    special=((WITH_NAN,),),
)


# ---- writing at positions


def at_positions(x: Array, index: Array, dim: int) -> tuple[Any, ...]:
    """NumPy's index for the positions that scatter writes to."""
    grid = list(np.indices(index.shape, sparse=False))
    if index.ndim:
        grid[dim] = index
    return tuple(grid)


def part(src: Any, index: Array) -> Any:
    """What of the source the index reaches."""
    return src[tuple(slice(n) for n in index.shape)] if np.ndim(src) else src


def scatter(
    x: Array,
    index: Array,
    src: Any = None,
    *,
    dim: int,
    value: Any = None,
    reduce: str | None = None,
) -> Array:
    """Written one after another, in the order of the index."""
    y = np.atleast_1d(np.array(x))
    source = part(src, index) if value is None else np.asarray(value).astype(x.dtype)
    at = at_positions(y, index, dim)
    if reduce is None:
        y[at] = source
    else:
        (np.add if reduce == "add" else np.multiply).at(y, at, source)
    return y.reshape(np.shape(x))


def scatter_add(x: Array, index: Array, src: Array, dim: int) -> Array:
    """One after another."""
    return scatter(x, index, src, dim=dim, reduce="add")


UFUNCS = {
    "sum": np.add,
    "prod": np.multiply,
    "mean": np.add,
    "amax": np.maximum,
    "amin": np.minimum,
}


def scatter_reduce(
    x: Array, index: Array, src: Array, dim: int, reduce: str, include_self: bool = True
) -> Array:
    """One after another, from the input's elements or from nothing."""
    y, at = np.array(x), at_positions(x, index, dim)
    hit = np.zeros(x.shape, int)
    np.add.at(hit, at, 1)
    if not include_self:
        low, high = (
            (-np.inf, np.inf)
            if x.dtype.kind == "f"
            else (
                (False, True) if x.dtype == bool else (np.iinfo(x.dtype).min, np.iinfo(x.dtype).max)
            )
        )
        y[hit > 0] = {"prod": 1, "amax": low, "amin": high}.get(reduce, 0)
    UFUNCS[reduce].at(y, at, part(src, index))
    if reduce != "mean":
        return y
    n = np.maximum(hit + include_self, 1)
    return y / n if x.dtype.kind == "f" else (y.astype(int) // n).astype(x.dtype)


SCATTERED: list[tuple[Any, ...]] = [
    (((3, 5), distinct((3, 2), 5, 1), (3, 2)), {"dim": 1}),
    (((3, 5), distinct((2, 5), 3, 0), (2, 5)), {"dim": 0}),
    (((9,), distinct(4, 9), (6,)), {"dim": 0}),
    (((2, 3, 7), distinct((2, 2, 5), 3, 1), (2, 3, 7)), {"dim": -2}),
    (((3, 5), distinct((0, 5), 3), (0, 5)), {"dim": 0}), (((), distinct(1, 1), (1,)), {"dim": 0}),
    (((40, 600), distinct((20, 600), 40), (20, 600)), {"dim": 0}),
    (((5, 3), distinct((5, 2), 3, 1), (5, 2)), {"dim": 1}, ("transposed", "strided", "transposed")),
    (((3, 5), distinct((2, 4), 3), (2, 4)), {"dim": 0}, ("strided", "transposed", "strided")),
]  # fmt: skip
REPEATING: list[tuple[Any, ...]] = [
    (((3, 5), indices((3, 8), 5), (3, 8)), {"dim": 1}), (((9,), indices(40, 9), (40,)), {"dim": 0}),
    (((3, 5), indices((6, 4), 3, dtype="int32"), (6, 4)), {"dim": 0}),
    (((2, 3, 7), indices((2, 9, 5), 3), (2, 9, 7)), {"dim": 1}),
]  # fmt: skip
BAD_SCATTER = (
    Bad(((3, 5), np.array([[5]]), (1, 1)), {"dim": 1}, IndexError, ("axis 1 of size 5", "5")),
    Bad(((3, 5), np.array([[-1]]), (1, 1)), {"dim": 1}, IndexError, ("-1",)),
    Bad(((3, 5), np.array([[2**62]]), (1, 1)), {"dim": 1}, IndexError, ("size 5",)),
    Bad(((3, 5), np.array([[0.5]]), (1, 1)), {"dim": 1}, TypeError, ("float64",)),
    Bad(((3, 5), np.array([[0, 1]]), (1, 1)), {"dim": 1}, ShapeError, ("(1, 2)", "(1, 1)")),
    Bad(((3, 5), np.zeros((4, 1), int), (4, 1)), {"dim": 1}, ShapeError, ("(3, 5)", "(4, 1)")),
    Bad(((3, 5), np.array([0]), (1,)), {"dim": 1}, ShapeError, ("(3, 5)", "(1,)")),
    Bad(((3, 5), np.array([[0]]), np.zeros((1, 1))), {"dim": 1}, TypeError, ("float32", "float64")),
    Bad(((3, 5), np.array([[0]]), (1, 1)), {"dim": 2}, IndexError, ("2",)),
)


def with_attrs(entries: Sequence[tuple[Any, ...]], **attrs: Any) -> list[tuple[Any, ...]]:
    """The same samples with more attributes."""
    return [(inputs, {**given, **attrs}, *rest) for inputs, given, *rest in entries]


def bad_with(bad: Sequence[Bad], **attrs: Any) -> tuple[Bad, ...]:
    """The same bad calls with more attributes."""
    return tuple(Bad(b.inputs, {**b.attrs, **attrs}, b.error, b.words) for b in bad)


rows(
    "scatter",
    scatter,
    *SCATTERED,
    *[
        ((inputs[0], inputs[1], None), {**attrs, "value": 1.5}, *[w[0] for w in rest])
        for inputs, attrs, *rest in SCATTERED[:4]
    ],
    *with_attrs(REPEATING, reduce="add"),
    tolerance="scatter",
    fixed=(1,),
    magnitude=lambda ref, x, index, src=None, **attrs: scatter(
        np.abs(x), index, None if src is None else np.abs(src), **attrs
    ),
    bad=(
        *BAD_SCATTER,
        Bad(((3, 5), np.array([[0]])), {"dim": 1}, TypeError, ("'src' or 'value'",)),
        Bad(((3, 5), np.array([[0]]), (1, 1)), {"dim": 1, "value": 1.0}, TypeError, ("both",)),
        Bad(((3, 5), np.array([[0]]), (1, 1)), {"dim": 1, "reduce": "mean"}, ValueError, ("mean",)),
    ),
)
rows(
    "scatter_add",
    scatter_add,
    *SCATTERED,
    *REPEATING,
    tolerance="scatter",
    fixed=(1,),
    magnitude=lambda ref, x, index, src, dim: scatter_add(np.abs(x), index, np.abs(src), dim),
    bad=BAD_SCATTER,
)
rows(
    "scatter_reduce",
    scatter_reduce,
    *with_attrs(SCATTERED[:4], reduce="sum"),
    *with_attrs(REPEATING[:2], reduce="sum", include_self=False),
    *with_attrs(SCATTERED[:3], reduce="prod"),
    *with_attrs(REPEATING[2:], reduce="prod", include_self=False),
    *with_attrs(REPEATING, reduce="mean"),
    *with_attrs(REPEATING[:2], reduce="mean", include_self=False),
    *[
        (
            ((spread((3, 5)), indices((3, 8), 5), lambda rng: spread((3, 8))(rng) + 0.125)),
            {"dim": 1, "reduce": how, "include_self": own},
        )
        for how in ("amax", "amin")
        for own in (True, False)
    ],
    *with_attrs(SCATTERED[7:], reduce="mean"),
    tolerance="scatter_reduce",
    fixed=(1,),
    cancels=1.0,
    magnitude=lambda ref, x, index, src, **attrs: (
        np.abs(ref)
        if attrs["reduce"] == "prod"
        else scatter_reduce(
            np.abs(x),
            index,
            np.abs(src),
            **{**attrs, "reduce": {"mean": "mean"}.get(attrs["reduce"], "sum")},
        )
    ),
    bad=(
        *bad_with(BAD_SCATTER, reduce="sum"),
        Bad(
            ((3, 5), np.array([[0]]), (1, 1)),
            {"dim": 1, "reduce": "max"},
            ValueError,
            ("amax", "max"),
        ),
    ),
)


def slices(x: Array, dim: int) -> Array:
    """The axis first."""
    return np.moveaxis(x, dim, 0) if x.ndim else x[None]


def index_add(x: Array, index: Array, source: Array, dim: int, alpha: float = 1) -> Array:
    """One slice after another."""
    y = np.array(x)
    np.add.at(slices(y, dim), np.atleast_1d(index), x.dtype.type(alpha) * slices(source, dim))
    return y


def index_copy(x: Array, index: Array, source: Array, dim: int) -> Array:
    """One slice after another."""
    y = np.array(x)
    for i, s in zip(np.atleast_1d(index), slices(source, dim), strict=True):
        slices(y, dim)[i] = s
    return y


def index_fill(x: Array, index: Array, value: Any, dim: int) -> Array:
    """One value in some slices."""
    y = np.array(x)
    slices(y, dim)[np.atleast_1d(index)] = np.asarray(value).astype(x.dtype)
    return y


SLICES: list[tuple[Any, ...]] = [
    (((9,), distinct(4, 9), (4,)), {"dim": 0}), (((3, 5), distinct(2, 3), (2, 5)), {"dim": 0}),
    (((3, 5), distinct(4, 5), (3, 4)), {"dim": -1}), (((2, 3, 7), distinct(2, 3),
    (2, 2, 7)), {"dim": 1}),
    (((3, 5), distinct(0, 3), (0, 5)), {"dim": 0}), (((3, 0), distinct(2, 3), (2, 0)), {"dim": 0}),
    (((3, 5), indices((), 3), (1, 5)), {"dim": 0}), (((), indices(1, 1), ()), {"dim": 0}),
    (((5, 3), distinct(2, 3), (5, 2)), {"dim": 1}, ("transposed", "strided", "strided")),
    (((3, 5), distinct(2, 3), (2, 5)), {"dim": 0}, ("strided", "packed", "transposed")),
]  # fmt: skip
BAD_SLICES = (
    Bad(((3, 5), np.array([3]), (1, 5)), {"dim": 0}, IndexError, ("axis 0 of size 3", "3")),
    Bad(((3, 5), np.array([-1]), (1, 5)), {"dim": 0}, IndexError, ("-1",)),
    Bad(((3, 5), np.array([0]), (2, 5)), {"dim": 0}, ShapeError, ("(3, 5)", "(2, 5)", "(1,)")),
    Bad(((3, 5), np.array([0]), (1, 4)), {"dim": 0}, ShapeError, ("(3, 5)", "(1, 4)")),
    Bad(((3, 5), np.array([[0]]), (1, 5)), {"dim": 0}, ShapeError, ("(1, 1)",)),
    Bad(((3, 5), np.array([0.0]), (1, 5)), {"dim": 0}, TypeError, ("float64",)),
    Bad(((3, 5), np.array([0]), np.zeros((1, 5))), {"dim": 0}, TypeError, ("float32", "float64")),
    Bad(((3, 5), np.array([0]), (1, 5)), {"dim": 2}, IndexError, ("2",)),
)
rows(
    "index_add",
    index_add,
    *SLICES,
    *with_attrs(SLICES[:4], alpha=2.0),
    (((5, 300), indices(40, 5), (40, 300)), {"dim": 0}),
    (((7,), indices(99, 7), (99,)), {"dim": 0}),
    tolerance="scatter",
    fixed=(1,),
    magnitude=lambda ref, x, index, source, dim, alpha=1: index_add(
        np.abs(x), index, np.abs(source), dim, abs(alpha)
    ),
    bad=BAD_SLICES,
)
rows("index_copy", index_copy, *SLICES, fixed=(1,), bad=BAD_SLICES)
FILLED: list[tuple[Any, ...]] = [
    (((9,), indices(4, 9, -9), ()), {"dim": 0}), (((3, 5), indices(2, 3), ()), {"dim": 0}),
    (((2, 3, 7), indices(2, 3), ()), {"dim": -2}), (((3, 5), indices(0, 3), ()), {"dim": 0}),
    (((), indices((), 1), ()), {"dim": 0}),
    (((5, 3), indices(2, 3), ()), {"dim": 1}, ("transposed", "strided", "packed")),
    (((3, 5), indices((), 5), ()), {"dim": 1}, ("strided", "packed", "packed")),
]  # fmt: skip
rows(
    "index_fill",
    index_fill,
    *FILLED,
    fixed=(1,),
    bad=(
        Bad(((3, 5), np.array([3]), ()), {"dim": 0}, IndexError, ("axis 0 of size 3", "3")),
        Bad(((3, 5), np.array([-4]), ()), {"dim": 0}, IndexError, ("-4",)),
        Bad(((3, 5), np.array([0]), (1,)), {"dim": 0}, ShapeError, ("value", "(1,)")),
        Bad(((3, 5), np.array([[0]]), ()), {"dim": 0}, ShapeError, ("(1, 1)",)),
        Bad(((3, 5), np.array([0.0]), ()), {"dim": 0}, TypeError, ("float64",)),
        Bad(
            (np.zeros(3, "uint8"), np.array([0]), np.array(300)),
            {"dim": 0},
            ValueError,
            ("uint8", "300"),
        ),
        Bad(
            (np.zeros(3, "int64"), np.array([0]), np.array(np.nan)),
            {"dim": 0},
            ValueError,
            ("int64", "nan"),
        ),
    ),
)

MASKED: list[tuple[Any, ...]] = [
    (((9,), mask(9), ()), {}), (((3, 5), mask(5), ()), {}), (((3, 5), mask(3, 1), ()), {}),
    (((5,), mask(3, 5), ()), {}), (((2, 3, 7), mask(), ()), {}), (((0, 3), mask(3), ()), {}),
    (((), mask(), ()), {}),
    (((40, 129), mask(40, 129), ()), {}),
    (((5, 3), mask(5, 3), ()), {}, ("transposed", "strided", "packed")),
    (((3, 5), mask(3, 5), ()), {}, ("strided", "transposed", "packed")),
    (((3, 5), mask(3, 5), ()), {}, ("expanded", "packed", "packed")),
]  # fmt: skip
rows(
    "masked_fill",
    lambda x, mask, value: np.where(mask, np.asarray(value).astype(x.dtype), x),
    *MASKED,
    fixed=(1,),
    bad=(
        Bad(
            ((2, 3), np.array([True, False]), ()),
            {},
            ShapeError,
            ("[masked_fill]", "(2, 3)", "(2,)"),
        ),
        Bad(((2,), np.array([1, 0]), ()), {}, TypeError, ("[masked_fill]", "int64")),
        Bad(((2,), np.array([True, False]), (1,)), {}, ShapeError, ("value", "(1,)")),
        Bad(
            (np.zeros(2, "int32"), np.array([True, False]), np.array(np.inf)),
            {},
            ValueError,
            ("int32", "inf"),
        ),
    ),
)


def masked_scatter(x: Array, mask: Array, source: Array) -> Array:
    """Elements of the source in their order."""
    wide, where = (np.array(a) for a in np.broadcast_arrays(x, mask))
    wide[where] = np.ravel(source)[: int(where.sum())]
    return wide


rows(
    "masked_scatter",
    masked_scatter,
    (((9,), mask(9), (9,)), {}),
    (((3, 5), mask(5), (4, 4)), {}),
    (((5,), mask(3, 5), (15,)), {}),
    (((0, 3), mask(3), (0,)), {}),
    (((5, 3), mask(5, 3), (5, 3)), {}, ("transposed", "strided", "transposed")),
    (((3, 5), mask(3, 5), (15,)), {}, ("strided", "packed", "strided")),
    fixed=(1,),
    bad=(
        Bad(
            ((3,), np.array([True, True, True]), (2,)),
            {},
            ShapeError,
            ("[masked_scatter]", "3", "(2,)"),
        ),
        Bad(((3,), np.array([1, 1, 1]), (3,)), {}, TypeError, ("int64",)),
        Bad(((3,), np.array([True]), np.zeros(3)), {}, TypeError, ("float32", "float64")),
        Bad(((3,), np.array([True, True]), (3,)), {}, ShapeError, ("(3,)", "(2,)")),
    ),
)


# ---- forms in place


def masks_within(sample: Sample) -> bool:
    """Whether the mask does not make the input wider."""
    x, where = sample.inputs[0], sample.inputs[1]
    return (
        x is not None and where is not None and np.broadcast_shapes(x.shape, where.shape) == x.shape
    )


for name in (
    "scatter",
    "scatter_add",
    "scatter_reduce",
    "index_add",
    "index_copy",
    "index_fill",
):
    in_place_of(name)
for name in ("masked_fill", "masked_scatter"):
    in_place_of(name, masks_within)
