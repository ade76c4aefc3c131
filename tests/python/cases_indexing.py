"""Rows of the case table for indexing by integer tensors: index, index_put and index_put_.

NumPy's own indexing is the reference. Expressions as Python writes them (slices, masks, None) are
compared in test_indexing.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from samples import Array, Bad, Maker, Shape, rows

from ranvier import _C


def at(shape: Shape, size: int, dtype: str = "int64") -> Maker:
    """Indices for an axis, negative ones among them."""
    least = -size if dtype.startswith("i") else 0
    return lambda rng: rng.integers(least, size, shape).astype(dtype)


def once(shape: Shape, size: int) -> Maker:
    """Indices of which none occurs twice."""
    return lambda rng: rng.permutation(size)[: int(np.prod(shape))].reshape(shape)


def key(x: Array, indices: tuple[Array, ...], dims: list[int] | None) -> tuple[Any, ...]:
    """What stands in brackets in NumPy."""
    parts: list[Any] = [slice(None)] * x.ndim
    for dim, index in zip(range(len(indices)) if dims is None else dims, indices, strict=True):
        parts[dim] = index
    return tuple(parts)


def index(x: Array, *indices: Array, dims: list[int] | None = None) -> Array:
    """x[i, j, ...]"""
    return x[key(x, indices, dims)]


def index_put(
    x: Array, values: Array, *indices: Array, accumulate: bool = False, dims: Any = None
) -> Array:
    """x with x[i, j, ...] = values, or += values."""
    result = np.array(np.broadcast_arrays(x)[0])
    if accumulate:
        np.add.at(result, key(x, indices, dims), values)
    else:
        result[key(x, indices, dims)] = values
    return result


FIXED = (1, 2, 3)
WORDS = ("[index]", "expected", "got")
rows("index", index,
     (((9,), at((20,), 9)), {}), (((9,), at((), 9)), {}), (((9,), at((0,), 9)), {}),
     (((3, 5), at((4, 2), 3)), {}), (((3, 5), at((4,), 5, "int32")), {"dims": [1]}),
     (((3, 5), at((4,), 3), at((4,), 5)), {}), (((3, 5), at((4, 1), 3), at((3,), 5)), {}),
     (((2, 3, 4, 5), at((4,), 3), at((2, 4), 4)), {"dims": [1, 2]}),
     (((2, 3, 4, 5), at((4,), 2), at((4,), 4)), {"dims": [0, 2]}),
     (((2, 3, 4, 5), at((4,), 3), at((1,), 5)), {"dims": [-3, -1]}),
     (((2, 3, 4), at((6,), 2), at((6,), 3), at((6,), 4)), {}),
     (((40, 300), at((33,), 40)), {}), (((3, 0), at((2,), 3)), {}), (((0, 3), at((0,), 1)), {}),
     (((700, 3), at((2,), 3, "uint8")), {"dims": [1]}),
     (((3, 5), at((4, 2), 3)), {}, ("transposed", "strided")),
     (((5, 3, 4), at((4,), 5), at((4,), 4)), {"dims": [0, 2]}, ("transposed", "packed", "strided")),
     (((5, 3, 4), at((4, 3), 3)), {"dims": [1]}, ("strided", "transposed")),
     (((5, 3), at((4,), 5)), {}, ("expanded", "packed")), fixed=FIXED,
     bad=(Bad(((3, 5), np.array([3])), {}, IndexError, ("3", "axis 0", "size 3")),
          Bad(((3, 5), np.array([-6])), {"dims": [1]}, IndexError, ("-6", "axis 1", "size 5")),
          Bad(((3, 5), np.array([0.5])), {}, TypeError, ("float",)),
          Bad(((3, 5), np.array([True])), {}, TypeError, ("bool",)),
          Bad(((3, 5),), {}, TypeError, ("at least one",)),
          Bad(((3, 5), np.zeros(2, int), np.zeros(3, int)), {}, IndexError, ("(2,)", "(3,)")),
          Bad(((3,), np.zeros(2, int), np.zeros(2, int)), {}, IndexError, ("(3,)",)),
          Bad(((3, 5), np.zeros(2, int)), {"dims": [2]}, IndexError, ("(3, 5)", "(2,)")),
          Bad(((3, 5), np.zeros(2, int)), {"dims": [-3]}, IndexError, ("(3, 5)",)),
          Bad(((3, 5), np.zeros(2, int)), {"dims": [0, 1]}, IndexError, ("(3, 5)",)),
          Bad(((3, 5), *[np.zeros(2, int)] * 2), {"dims": [1, 0]}, IndexError, ("rising",)),
          Bad(((3, 5), *[np.zeros(2, int)] * 2), {"dims": [1, -1]}, IndexError, ("rising",)),
          Bad(((1,) * 8, np.zeros((1, 1), int)), {}, _C.ShapeError, ("8",)),
          Bad(((0, 5), np.zeros(1, int)), {}, IndexError, ("size 0",)),
          Bad(((), np.zeros(1, int)), {}, IndexError, ("()",))))  # fmt: skip

PUT: list[tuple[Any, ...]] = [
    (((9,), (4,), once((4,), 9)), {}), (((9,), (), once((4,), 9)), {}),
    (((9,), (), at((), 9)), {}), (((9,), (0,), at((0,), 9)), {}),
    (((3, 5), (2, 5), once((2,), 3)), {}), (((3, 5), (5,), once((2,), 3)), {}),
    (((3, 5), (3, 1), once((2,), 5)), {"dims": [1]}),
    (((3, 5), (3,), once((3,), 3), once((3,), 5)), {}),
    (((2, 3, 4, 5), (2, 1, 5), once((3,), 3), at((1,), 4)), {"dims": [1, 2]}),
    (((2, 3, 4, 5), (2, 3, 5), once((2,), 2), once((2,), 4)), {"dims": [0, 2]}),
    (((40, 300), (33, 300), once((33,), 40)), {}), (((3, 0), (2, 0), once((2,), 3)), {}),
    (((3, 5), (2, 5), once((2,), 3)), {}, ("transposed", "transposed", "strided")),
    (((3, 5), (2, 5), once((2,), 3)), {}, ("strided", "expanded", "packed")),
    *[(((n, 5), (20, 5), at((20,), n)), {"accumulate": True}) for n in (1, 3, 50)],
    (((3, 5), (20,), at((20,), 3), at((20,), 5)), {"accumulate": True}),
    (((2, 3, 40), (2, 7, 40), at((7,), 3)), {"accumulate": True, "dims": [1]}),
    (((6, 4), (9, 4), at((9,), 6)), {"accumulate": True}, ("transposed", "strided", "strided")),
    (((700,), (5000,), at((5000,), 700)), {"accumulate": True}),
]  # fmt: skip
BAD_PUT = (
    Bad(((3, 5), (2, 4), np.zeros(2, int)), {}, _C.ShapeError, ("(2, 5)", "(2, 4)")),
    Bad(((3, 5), (1, 2, 5), np.zeros(2, int)), {}, _C.ShapeError, ("(2, 5)", "(1, 2, 5)")),
    Bad(((3, 5), np.zeros(5, int), np.zeros(2, int)), {}, TypeError, ("float32", "int64")),
    Bad(((3, 5), (5,), np.array([3])), {}, IndexError, ("3", "axis 0")),
    Bad(((3, 5), (5,), np.array([0.5])), {}, TypeError, ("float",)),
    Bad(((3, 5), (5,)), {}, TypeError, ("at least one",)),
)
for _name in ("index_put", "index_put_"):
    rows(
        _name,
        index_put,
        *PUT,
        fixed=(2, 3),
        writes=_name.endswith("_"),
        bad=BAD_PUT,
        tolerance="sum",
        magnitude=lambda ref, x, values, *indices, **attrs: index_put(
            np.abs(x), np.abs(values), *indices, **attrs
        ),
    )
