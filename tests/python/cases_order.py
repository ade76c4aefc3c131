"""Rows of the case table for sorting, the largest elements and searches in what is sorted.

cases.py imports them. Equal elements stay in their order, and NaN is the largest.
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
    Shape,
    rows,
    spread,
)

from ranvier import _C

ShapeError = _C.ShapeError


# ---- order


def ordered(x: Array, dim: int = -1, descending: bool = False, stable: bool = False) -> list[Array]:
    """Equal elements in their order, NaN as the largest."""
    if x.ndim == 0:
        return [x, np.zeros((), int)]
    key = np.flip(x, dim) if descending else x
    at = np.argsort(key, axis=dim, kind="stable")
    if descending:
        at = np.flip(x.shape[dim] - 1 - at, dim)
    return [np.take_along_axis(x, at, dim), at]


LINES: list[tuple[Shape, dict[str, Any]]] = [
    ((1,), {}), ((17,), {}), ((3, 5), {"dim": 0}), ((2, 3, 7), {"dim": 1}), ((0,), {}),
    ((3, 0), {}), ((), {}),
    ((3, 40), {}), ((1500,), {}),
]  # fmt: skip


def sorting(entries: Sequence[tuple[Shape, dict[str, Any]]]) -> list[tuple[Any, ...]]:
    """Packed and as views, with elements that keep a distance."""
    plain = [((spread(s),), attrs) for s, attrs in entries]
    views = [
        ((spread(s),), attrs, (layout,))
        for s, attrs in entries
        for layout in ("transposed", "strided")
        if len(s) > 1
    ]
    return [*plain, *views]


ORDERS: list[dict[str, Any]] = [{}, {"descending": True}, {"stable": True}]
SORTED = sorting(
    [(s, {**attrs, **o}) for s, attrs in LINES for o in ORDERS[:2]] + [((9,), ORDERS[2])]
)
TIES = np.array([[2, np.nan, -0.0, 0.0, np.nan, 2, -np.inf, np.inf, 1, -0.0]])
BAD_LINE = (Bad(((2, 3),), {"dim": 2}, IndexError, ("2",)),)
rows("sort", ordered, *SORTED, bad=BAD_LINE, special=((TIES,), (WITH_NAN,)))
rows(
    "argsort",
    lambda x, **attrs: ordered(x, **attrs)[1],
    *SORTED,
    bad=BAD_LINE,
    special=((TIES,), (WITH_NAN,)),
)
rows(
    "msort",
    lambda x: ordered(x, 0)[0],
    *sorting([((9,), {}), ((3, 5), {}), ((), {}), ((0, 3), {})]),
    special=((TIES,), (WITH_NAN,)),
)


def topk(x: Array, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> list[Array]:
    """The first k of the order."""
    return [y if y.ndim == 0 else np.take(y, np.arange(k), dim) for y in ordered(x, dim, largest)]


def kthvalue(x: Array, k: int, dim: int = -1, keepdim: bool = False) -> list[Array]:
    """The k-th of the order, from 1."""
    picked = [y if y.ndim == 0 else np.take(y, [k - 1], dim) for y in ordered(x, dim)]
    return picked if keepdim or x.ndim == 0 else [np.squeeze(y, dim) for y in picked]


BAD_K = (
    Bad(((3, 5),), {"k": 6}, IndexError, ("axis 1 of size 5", "(3, 5)", "6")),
    Bad(((3, 5),), {"k": -1}, IndexError, ("-1",)),
    Bad(((3, 5),), {"k": 2, "dim": 2}, IndexError, ("2",)),
)
rows(
    "topk",
    topk,
    *sorting(
        [
            ((17,), {"k": 3}),
            ((17,), {"k": 17, "largest": False}),
            ((3, 5), {"k": 2, "dim": 0}),
            ((2, 3, 7), {"k": 0, "dim": 1}),
            ((), {"k": 1}),
            ((3, 400), {"k": 5}),
            ((900,), {"k": 70, "largest": False}),
            ((3, 5), {"k": 2, "sorted": False}),
            ((0, 3), {"k": 2}),
        ]
    ),
    bad=BAD_K,
    special=((TIES,), (WITH_NAN,)),
    special_attrs={"k": 3},
)
rows(
    "kthvalue",
    kthvalue,
    *sorting(
        [
            ((17,), {"k": 3}),
            ((3, 5), {"k": 2, "dim": 0}),
            ((2, 3, 7), {"k": 3, "dim": 1, "keepdim": True}),
            ((), {"k": 1}),
            ((0, 3), {"k": 2}),
        ]
    ),
    bad=(*BAD_K, Bad(((3, 5),), {"k": 0}, IndexError, ("0",))),
    special=((TIES,), (WITH_NAN,)),
    special_attrs={"k": 3},
)


def searchsorted(
    sequence: Array,
    x: Array,
    sorter: Array | None = None,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
) -> Array:
    """Row by row."""
    where = "right" if right or side == "right" else "left"
    if sequence.ndim == 1:
        found = np.searchsorted(sequence, x, where, sorter)
    else:
        lines, values = sequence.reshape(-1, sequence.shape[-1]), x.reshape(-1, x.shape[-1])
        found = np.array([np.searchsorted(a, b, where) for a, b in zip(lines, values, strict=True)])
    return np.asarray(found).reshape(x.shape).astype("int32" if out_int32 else "int64")


def ascending(shape: Shape) -> Maker:
    """Sorted along the last axis, with ties."""
    return lambda rng: np.sort(np.round(rng.uniform(-9, 9, shape)), -1)


def whole(shape: Shape) -> Maker:
    """Whole numbers, which meet the boundaries."""
    return lambda rng: np.round(rng.uniform(-11, 11, shape))


rows(
    "searchsorted",
    searchsorted,
    *[
        ((ascending((9,)), whole((3, 5))), attrs)
        for attrs in ({}, {"right": True}, {"side": "left"}, {"side": "right"}, {"out_int32": True})
    ],
    ((ascending((9,)), whole(())), {}),
    ((ascending((0,)), whole((3,))), {}),
    ((ascending((2, 3, 7)), whole((2, 3, 4))), {}),
    ((lambda rng: np.array([3.0, 1.0, 2.0]), whole((5,)), lambda rng: np.array([1, 2, 0])), {}),
    ((ascending((9,)), whole((5, 3))), {}, ("strided", "transposed")),
    fixed=(2,),
    bad=(
        Bad(((2, 3), (3, 4)), {}, ShapeError, ("[searchsorted]", "(2, 3)", "(3, 4)")),
        Bad(((), (3,)), {}, ShapeError, ("[searchsorted]",)),
        Bad(((3,), (4,)), {"side": "up"}, ValueError, ("left", "up")),
        Bad(((3,), (4,)), {"side": "left", "right": True}, ValueError, ("agree",)),
        Bad(((3,), (4,), np.array([0, 1])), {}, ShapeError, ("(3,)", "(2,)")),
        Bad(((3,), (4,), np.array([0, 1, 3])), {}, IndexError, ("3",)),
        Bad(((3,), (4,), np.array([0.0, 1, 2])), {}, TypeError, ("int64",)),
    ),
)
rows(
    "bucketize",
    lambda x, boundaries, out_int32=False, right=False: searchsorted(
        boundaries, x, None, out_int32, right
    ),
    *[
        ((whole((3, 5)), ascending((9,))), attrs)
        for attrs in ({}, {"right": True}, {"out_int32": True})
    ],
    bad=(Bad(((3,), (2, 4)), {}, ShapeError, ("[bucketize]", "(2, 4)")),),
)
