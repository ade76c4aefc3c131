"""Rows of the case table for the linear layer over sparse rows.

cases.py imports them. The reference makes the rows dense and multiplies.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from samples import Array, Bad, Maker, indices, rows

from ranvier import _C


def dense(indptr: Array, indices: Array, values: Array, chosen: Array, columns: int) -> Array:
    """The chosen rows of a matrix in CSR form; what is stored twice is added up."""
    x = np.zeros((len(chosen), columns), values.dtype)
    for row, number in enumerate(chosen):
        part = slice(int(indptr[number]), int(indptr[number + 1]))
        np.add.at(x[row], indices[part], values[part])
    return x


def sparse_linear(
    indptr: Array,
    indices: Array,
    values: Array,
    rows: Array,
    weight: Array,
    bias: Array | None = None,
) -> Array:
    """x[rows] W^T + b."""
    y = dense(indptr, indices, values, rows, weight.shape[1]) @ weight.T
    return y if bias is None else y + bias


def starts(*sizes: int, dtype: str = "int64") -> Maker:
    """Where rows of so many numbers begin."""
    return lambda rng: np.cumsum([0, *sizes]).astype(dtype)


def matrix(sizes: tuple[int, ...], columns: int, dtype: str = "int64") -> tuple[Any, ...]:
    """Indptr, indices and the shape of the values of such rows, with columns that may repeat."""
    stored = sum(sizes)
    return starts(*sizes, dtype=dtype), indices(stored, max(columns, 1), dtype=dtype), (stored,)


UNEVEN = (3, 0, 7, 1, 0, 12, 2)
ENTRIES: list[tuple[Any, ...]] = [
    ((*matrix((2,), 3), indices(1, 1), (4, 3), (4,)), {}),
    ((*matrix(UNEVEN, 9), indices(5, 7), (17, 9), (17,)), {}),
    ((*matrix(UNEVEN, 9), indices(5, 7), (17, 9), None), {}),
    ((*matrix(UNEVEN, 300, "int32"), indices(20, 7), (5, 300), (5,)), {}),
    ((*matrix(UNEVEN, 4), indices(9, 7, dtype="int32"), (1, 4), (1,)), {}),
    ((*matrix((40,) * 9, 50), indices(30, 9), (130, 50), (130,)), {}),
    ((*matrix((0, 0, 0), 5), indices(2, 3), (4, 5), (4,)), {}),
    ((*matrix(UNEVEN, 9), indices(0, 1), (4, 9), (4,)), {}),
    ((*matrix((), 9), indices(0, 1), (4, 9), (4,)), {}),
    ((*matrix((0, 0), 0), indices(3, 2), (4, 0), (4,)), {}),
    ((*matrix(UNEVEN, 9), indices(3, 7), (0, 9), (0,)), {}),
    ((*matrix(UNEVEN, 33), indices(6, 7), (65, 33), (65,)), {},
     ("packed", "packed", "packed", "packed", "transposed", "packed")),
    ((*matrix(UNEVEN, 33), indices(6, 7), (65, 33), (65,)), {},
     ("strided", "strided", "strided", "strided", "strided", "strided")),
    ((*matrix(UNEVEN, 33), indices(6, 7), (65, 33), (65,)), {},
     ("packed", "packed", "expanded", "packed", "expanded", "expanded")),
]  # fmt: skip

POINTERS, COLUMNS, VALUES = np.array([0, 1, 3]), np.array([2, 0, 1]), np.ones(3, np.float32)


def wrong(error: Any, words: tuple[str, ...], **changed: Any) -> Bad:
    """A call of which one input is bad."""
    given = {
        "indptr": POINTERS, "indices": COLUMNS, "values": VALUES, "rows": np.array([1, 0]),
        "weight": (4, 3), "bias": (4,), **changed,
    }  # fmt: skip
    return Bad(tuple(given.values()), {}, error, ("[sparse_linear]", *words))


rows(
    "sparse_linear",
    sparse_linear,
    *ENTRIES,
    low=-1.0,
    high=1.0,
    tolerance="linear",
    fixed=(0, 1, 3),
    integers="refused",
    magnitude=lambda ref, p, i, v, r, w, b=None: (
        sparse_linear(p, i, np.abs(v), r, np.abs(w), None if b is None else np.abs(b)) + np.abs(ref)
    ),
    bad=(
        wrong(IndexError, ("indptr", "9 to 3", "row 1"), indptr=np.array([0, 9, 3])),
        wrong(IndexError, ("indptr", "-5", "row 0"), indptr=np.array([-5, 1, 3])),
        wrong(IndexError, ("indptr", "3 to 1", "row 1"), indptr=np.array([0, 3, 1])),
        wrong(IndexError, ("indices", "from 0 to 2", "3"), indices=np.array([2, 3, 1])),
        wrong(IndexError, ("indices", "-1"), indices=np.array([2, -1, 1])),
        wrong(IndexError, ("2",), rows=np.array([1, 2])),
        wrong(IndexError, ("-1",), rows=np.array([-1])),
        wrong(_C.ShapeError, ("(2, 3)", "indptr"), indptr=np.zeros((2, 3), int)),
        wrong(_C.ShapeError, ("(0,)", "indptr"), indptr=np.zeros(0, int)),
        wrong(_C.ShapeError, ("value for each index", "(2,)"), values=np.ones(2, np.float32)),
        wrong(_C.ShapeError, ("rows", "(1, 2)"), rows=np.array([[1, 0]])),
        wrong(_C.ShapeError, ("weight", "(3,)"), weight=(3,)),
        wrong(_C.ShapeError, ("bias", "(3,)"), bias=(3,)),
        wrong(TypeError, ("indices", "float64"), indices=np.array([2.0, 0.0, 1.0])),
        wrong(TypeError, ("values", "float64", "weight", "float32"), values=np.ones(3)),
    ),
)
