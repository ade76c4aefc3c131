"""Rows of the case table for what looks at a whole axis: medians, quantiles, running sums, counts.

References are NumPy's functions; where NumPy has none, a few lines of NumPy.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from cases_reductions import (
    ALONG,
    CHOSEN,
    INF,
    NOT_EMPTY,
    VIEWED,
    Entry,
    bad,
    nothing,
    spaced,
    with_gaps,
    zeros_at,
)
from samples import WITH_NAN, Array, Bad, Maker, Reference, Shape, one_input, rows

from ranvier import _C

# ---- order


def median(x: Array, dim: int | None = None, keepdim: bool = False, skip: bool = False) -> Any:
    """The lower of the two middle elements, and its first place."""

    def one(row: Array) -> tuple[Any, int]:
        nans = np.flatnonzero(row != row)
        values = row[row == row] if skip else row
        if (nans.size and not skip) or not values.size:
            return (row[nans[0]], int(nans[0])) if nans.size else (np.nan, 0)
        value = np.sort(values)[(values.size - 1) // 2]
        return value, int(np.flatnonzero(row == value)[0])

    return by_row(one, x, dim, keepdim)


def by_row(one: Reference, x: Array, dim: int | None, keepdim: bool) -> Any:
    """one(row) -> value and place, along an axis; the value alone for the flattened tensor."""
    x = np.asarray(x)
    if dim is None or x.ndim == 0:
        value, at = one(x.ravel())
        value = np.full((1,) * x.ndim, value) if keepdim else np.asarray(value)
        return value if dim is None else (value, np.asarray(at))
    moved = np.moveaxis(x, dim, -1)
    values, places = np.empty(moved.shape[:-1], x.dtype), np.empty(moved.shape[:-1], np.int64)
    for i in np.ndindex(*moved.shape[:-1]):
        values[i], places[i] = one(moved[i])
    if keepdim:
        return np.expand_dims(values, dim), np.expand_dims(places, dim)
    return values, places


def mode(x: Array, dim: int = -1, keepdim: bool = False) -> Any:
    """The most frequent value, the smallest of several, and its last place."""

    def one(row: Array) -> tuple[Any, int]:
        values, counts = np.unique(row, return_counts=True, equal_nan=False)
        value = values[np.argmax(counts)]
        same = (row == value) | ((row != row) & (value != value))
        return value, int(np.flatnonzero(same)[-1])

    return by_row(one, x, dim, keepdim)


rows(
    "median",
    median,
    *with_gaps(CHOSEN),
    special=((WITH_NAN,),),
    special_attrs={"dim": 1},
    bad=(*bad("median", one=True), *nothing("median")[1:]),
)
rows(
    "nanmedian",
    lambda x, dim=None, keepdim=False: median(x, dim, keepdim, skip=True),
    *with_gaps(CHOSEN),
    special=((WITH_NAN,),),
    special_attrs={"dim": 1},
    bad=(*bad("nanmedian", one=True), *nothing("nanmedian")[1:]),
)
rows(
    "mode",
    mode,
    *with_gaps([(s, a if s else {}) for s, a in ALONG]),
    ((spaced((9,)),), {}),
    *with_gaps(NOT_EMPTY),
    special=((WITH_NAN,),),
    special_attrs={"dim": 1},
    bad=(*bad("mode", one=True), *nothing("mode")[1:]),
)


# ---- comparisons and counts

rows(
    "isclose",
    np.isclose,
    *[((a, b), {}) for a, b in (((17,), (17,)), ((3, 5), (5,)), ((), (7,)), ((0, 3), (3,)))],
    *[
        (
            (lambda rng: np.arange(9.0), lambda rng: np.arange(9.0) + rng.choice([0, 0.1, 1], 9)),
            {"rtol": rtol, "atol": atol},
        )
        for rtol, atol in ((0.0, 0.0), (0.5, 0.0), (0.0, 0.5))
    ],
    (((5, 3), (5, 3)), {"atol": 2.0}, ("transposed", "strided")),
    special=(
        (
            np.array([np.nan, INF, -INF, INF, 1.0, INF]),
            np.array([np.nan, INF, -INF, -INF, INF, 1.0]),
        ),
    ),
    bad=(
        Bad(((3,), (4,)), {}, _C.ShapeError, ("[isclose]", "(3,)", "(4,)")),
        Bad(((3,), np.zeros(3)), {}, TypeError, ("[isclose]", "float32", "float64")),
        Bad(((3,), (3,)), {"rtol": -1.0}, ValueError, ("[isclose]", "rtol")),
        Bad(((3,), (3,)), {"atol": np.nan}, ValueError, ("[isclose]", "atol")),
    ),
)


def histc(x: Array, bins: int = 100, min: float = 0.0, max: float = 0.0) -> Array:
    """np.histogram with PyTorch's range."""
    if min == max:
        min, max = (x.min(), x.max()) if x.size else (min, max)
    if min == max:
        min, max = min - 1, max + 1
    return np.histogram(x, bins, (float(min), float(max)))[0].astype(float)


rows(
    "histc",
    histc,
    *one_input(
        [
            ((17,), {"bins": 5}),
            ((1000,), {}),
            ((3, 5), {"bins": 1}),
            ((0,), {"bins": 3}),
            ((), {"bins": 4}),
        ],
        ("transposed",),
    ),
    ((lambda rng: rng.integers(0, 5, 40) + 0.0,), {"bins": 4, "min": 0.0, "max": 4.0}),
    (((99,),), {"bins": 8, "min": -2.0, "max": 1.5}),
    integers="refused",
    special=((np.array([np.nan, 1.0, 2.0, INF, -INF, 3.0]),),),
    special_attrs={"bins": 3, "min": 0.0, "max": 3.0},
    bad=(
        Bad(((3,),), {"bins": 0}, ValueError, ("[histc]", "0")),
        Bad(((3,),), {"min": 2.0, "max": 1.0}, ValueError, ("[histc]", "2", "1")),
        Bad((np.array([1.0, np.nan]),), {}, ValueError, ("[histc]", "finite")),
    ),
)


# ---- sums and extremes up to each element

ROWS: list[Entry] = [
    ((1,), {"dim": 0}), ((17,), {"dim": -1}), ((1000,), {"dim": 0}), ((), {"dim": 0}),
    ((3, 5), {"dim": 0}), ((3, 5), {"dim": 1}), ((2, 3, 70), {"dim": 1}), ((0,), {"dim": 0}),
    ((3, 0), {"dim": 1}), ((0, 3), {"dim": 1}),
]  # fmt: skip
ROW_TYPES: list[Entry] = [((3, 5), {"dim": 0, "dtype": d}) for d in (_C.int32, _C.float64)]


def accumulated(f: Reference) -> Reference:
    """np.cumsum or np.cumprod, of single values too."""

    def reference(x: Array, dim: int, dtype: Any = None) -> Array:
        if dtype is not None:
            x = x.astype(dtype.name)
            x = x.astype(np.longdouble) if dtype.is_floating_point else x
        return np.reshape(f(x, axis=dim), np.shape(x))

    return reference


def running(larger: Reference) -> Reference:
    """Extremes so far and their last places."""

    def reference(x: Array, dim: int) -> Any:
        moved = np.moveaxis(np.atleast_1d(x), dim, 0)
        values, places = moved.copy(), np.zeros(moved.shape, np.int64)
        for i in range(1, moved.shape[0]):
            nan = moved[i] != moved[i]
            new = nan | (larger(moved[i], values[i - 1]) & (values[i - 1] == values[i - 1]))
            values[i] = np.where(new, moved[i], values[i - 1])
            places[i] = np.where(new, i, places[i - 1])
        back = [np.moveaxis(a, 0, dim) for a in (values, places)]
        return [np.reshape(a, np.shape(x)) for a in back]

    return reference


BAD_ROWS: dict[str, tuple[Bad, ...]] = {
    name: (Bad(((2, 3),), {"dim": 2}, IndexError, (f"[{name}]",)),
           Bad(((),), {"dim": 1}, IndexError, (f"[{name}]",)))
    for name in ("cumsum", "cumprod", "cummax", "cummin", "logcumsumexp")
}  # fmt: skip
rows(
    "cumsum",
    accumulated(np.cumsum),
    *one_input([*ROWS, *ROW_TYPES], VIEWED),
    tolerance="cumsum",
    magnitude=lambda ref, x, **attrs: accumulated(np.cumsum)(np.abs(x), **attrs),
    special=((WITH_NAN,),),
    special_attrs={"dim": 1},
    bad=BAD_ROWS["cumsum"],
)
rows(
    "cumprod",
    accumulated(np.cumprod),
    *one_input([e for e in [*ROWS, *ROW_TYPES] if e[0] != (1000,)], VIEWED),
    (((40,),), {"dim": 0}),
    *[((zeros_at(*places),), {"dim": 0}) for places in ((0,), (6,), (2, 4), ())],
    low=0.6,
    high=1.4,
    tolerance="cumprod",
    special=((WITH_NAN,),),
    special_attrs={"dim": 1},
    bad=BAD_ROWS["cumprod"],
)
for word, larger in (("max", np.greater_equal), ("min", np.less_equal)):
    rows(
        f"cum{word}",
        running(larger),
        *with_gaps(ROWS),
        ((lambda rng: rng.integers(0, 3, 30) + 0.125 * np.arange(30) / 30,), {"dim": 0}),
        special=((WITH_NAN,),),
        special_attrs={"dim": 1},
        bad=BAD_ROWS[f"cum{word}"],
    )


def logcumsumexp(x: Array, dim: int) -> Array:
    """log(cumsum(exp(x))), step by step."""
    moved = np.moveaxis(np.atleast_1d(x), dim, 0).copy()
    for i in range(1, moved.shape[0]):
        moved[i] = np.logaddexp(moved[i - 1], moved[i])
    return np.reshape(np.moveaxis(moved, 0, dim), np.shape(x))


rows(
    "logcumsumexp",
    logcumsumexp,
    *one_input(ROWS, VIEWED),
    tolerance="logcumsumexp",
    magnitude=lambda ref, x, **attrs: np.abs(ref) + 1,
    integers="refused",
    cancels=1.0,
    special=((WITH_NAN,), (np.array([[1000.0, 1000.0, -1000.0, 999.0]]),)),
    special_attrs={"dim": 1},
    bad=BAD_ROWS["logcumsumexp"],
)


def diff(
    x: Array, prepend: Array | None = None, append: Array | None = None, n: int = 1, dim: int = -1
) -> Array:
    """np.diff, whose order of arguments is another."""
    parts = [p for p in (prepend, x, append) if p is not None]
    return np.diff(np.concatenate(parts, axis=dim), n, axis=dim)


rows(
    "diff",
    diff,
    *[
        ((s, None, None), a)
        for s, a in (
            ((17,), {}),
            ((3, 5), {"dim": 0}),
            ((2, 3, 7), {"n": 2, "dim": 1}),
            ((4,), {"n": 5}),
            ((0,), {}),
            ((1,), {}),
            ((4,), {"n": 0}),
        )
    ],
    (((5,), (2,), None), {}),
    (((3, 5), (3, 1), (3, 2)), {"n": 2}),
    (((5, 3), (5, 2), None), {}, ("transposed", "strided", "packed")),
    tolerance="diff",
    magnitude=lambda ref, x, prepend=None, append=None, n=1, dim=-1: np.full_like(ref, 4.0 * 2**n),
    bad=(
        Bad(((),), {}, _C.ShapeError, ("[diff]",)),
        Bad(((3,),), {"n": -1}, ValueError, ("[diff]", "-1")),
        Bad(((3,),), {"dim": 1}, IndexError, ("[diff]",)),
        Bad(((3, 4), (2, 4)), {}, _C.ShapeError, ("(3, 4)", "(2, 4)")),
    ),
)


def quantile(
    x: Array, q: Array, dim: int | None = None, keepdim: bool = False, interpolation: str = "linear"
) -> Array:
    """np.quantile; NaN travels."""
    return np.quantile(
        x,
        np.asarray(q, np.float64),
        axis=dim if np.ndim(x) else None,
        method=interpolation,
        keepdims=keepdim,
    )


def fractions(*values: float) -> Maker:
    """Quantiles to ask for; exact in float32."""
    return lambda rng: np.array(values if len(values) != 1 else values[0])


WHERE: list[Entry] = [((9,), {}), ((3, 5), {"dim": 0}), ((3, 5), {}), ((3, 5), {"dim": -1,
    "keepdim": True}), ((2, 3, 7), {"dim": 1}), ((), {}), ((1,), {"dim": 0}),
    ((2, 3), {"keepdim": True})]  # fmt: skip
rows(
    "quantile",
    quantile,
    *[
        ((spaced(s), q), a)
        for s, a in WHERE
        for q in (fractions(0.5), fractions(0.25, 0.0, 1.0, 0.625))
    ],
    *[
        (
            (spaced((9,)), fractions(0.0, 0.125, 0.1875, 0.3125, 0.5, 0.9375, 1.0)),
            {"interpolation": how},
        )
        for how in ("lower", "higher", "midpoint", "nearest")
    ],
    ((spaced((3, 5)), fractions(0.25, 0.75)), {"dim": 1}, ("transposed", "strided")),
    fixed=(1,),
    tolerance="quantile",
    integers="none",
    magnitude=lambda ref, x, q, **attrs: np.max(np.abs(x)) + 0 * ref,
    bad=(
        Bad(((3,), np.array(1.5, np.float32)), {}, ValueError, ("[quantile]", "1.5")),
        Bad(((3,), np.array([np.nan], np.float32)), {}, ValueError, ("[quantile]", "nan")),
        Bad(((0,), np.array(0.5, np.float32)), {}, _C.ShapeError, ("[quantile]", "(0,)")),
        Bad(((3,), np.zeros((1, 1), np.float32)), {}, _C.ShapeError, ("[quantile]", "(1, 1)")),
        Bad(((3,), np.array(0.5, np.float32)), {"interpolation": "no"}, ValueError, ("no",)),
        Bad(((3,), np.array(0.5, np.float32)), {"dim": 1}, IndexError, ("[quantile]",)),
    ),
)


# ---- counts and different elements, whose number depends on the values


def bincount(x: Array, weights: Array | None = None, minlength: int = 0) -> Array:
    """np.bincount, in long double."""
    x = x.astype(np.int64)
    counts = np.zeros(max(int(x.max(initial=-1)) + 1, minlength), np.longdouble)
    np.add.at(counts, x, 1 if weights is None else weights)
    return counts


def whole(n: int, below: int, dtype: str = "int64") -> Maker:
    """Random integers from 0."""
    return lambda rng: rng.integers(0, below, n).astype(dtype)


rows(
    "bincount",
    bincount,
    ((whole(20, 7), None), {}),
    ((whole(20, 7, "int32"), None), {}),
    ((whole(9, 3, "uint8"), None), {"minlength": 5}),
    ((whole(0, 1), None), {}),
    ((whole(0, 1), None), {"minlength": 3}),
    ((whole(20, 7), (20,)), {}),
    ((whole(20, 7), (20,)), {"minlength": 2}, ("strided", "strided")),
    fixed=(0,),
    tolerance="sum",
    recorded=False,
    integers="none",
    magnitude=lambda ref, x, w, **attrs: bincount(x, None if w is None else np.abs(w), **attrs),
    bad=(
        Bad((np.array([1, -3]),), {}, ValueError, ("[bincount]", "-3")),
        Bad(((3,),), {}, TypeError, ("[bincount]", "float32")),
        Bad((np.array([[1]]),), {}, _C.ShapeError, ("[bincount]", "(1, 1)")),
        Bad((np.array([1, 2]), (3,)), {}, _C.ShapeError, ("(2,)", "(3,)")),
        Bad((np.array([1]),), {"minlength": -1}, ValueError, ("minlength", "-1")),
        Bad((np.array([2**63 - 1]),), {}, (_C.ShapeError, MemoryError), ()),
    ),
)


def repeated(shape: Shape) -> Maker:
    """Few different numbers."""
    return lambda rng: rng.integers(-2, 3, shape) + 0.5


def unique(x: Array, dim: int | None = None) -> Any:
    """np.unique; every NaN is different."""
    values, inverse, counts = np.unique(
        x,
        return_inverse=True,
        return_counts=True,
        axis=dim if np.ndim(x) else None,
        equal_nan=False,
    )
    return values, np.reshape(inverse, np.shape(x) if dim is None else (-1,)), counts


def runs(x: Array, dim: int | None = None) -> Any:
    """Neighbours that are equal, made one."""
    rows_of = (
        np.reshape(x, (-1, 1))
        if dim is None or x.ndim == 0
        else np.reshape(np.moveaxis(x, dim, 0), (x.shape[dim], -1))
    )
    fresh = np.ones(len(rows_of), bool)
    fresh[1:] = np.any(rows_of[1:] != rows_of[:-1], axis=1)
    places = np.flatnonzero(fresh)
    values = np.ravel(x)[places] if dim is None else np.take(x, places, axis=dim)
    inverse = np.cumsum(fresh) - 1
    counts = np.diff(np.append(places, len(rows_of)))
    return values, np.reshape(inverse, np.shape(x) if dim is None else (-1,)), counts


DIFFERENT: list[Entry] = [((17,), {}), ((3, 5), {}), ((0,), {}), ((), {}), ((40, 2), {"dim": 0}),
                          ((2, 30), {"dim": -1}), ((2, 9, 1), {"dim": 1})]  # fmt: skip
for word, reference in (("unique", unique), ("unique_consecutive", runs)):
    rows(
        word,
        reference,
        *with_gaps(DIFFERENT, repeated),
        recorded=False,
        special=((np.array([np.nan, 1.0, np.nan, INF, -INF, 1.0, -0.0, 0.0]),),),
        bad=(
            Bad(((2, 3),), {"dim": 2}, IndexError, (f"[{word}]",)),
            Bad(((3, 0),), {"dim": 0}, _C.ShapeError, (f"[{word}]", "(3, 0)")),
        ),
    )
