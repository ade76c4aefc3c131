"""Rows of the case table for ops that join, split, repeat and turn.

cases.py imports them. Refuses references that look at ranvier.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from samples import (
    Array,
    Bad,
    Shape,
    in_place_of,
    indices,
    one_input,
    rows,
)

from ranvier import _C

ShapeError = _C.ShapeError


# ---- joining

JOINED: list[tuple[Any, ...]] = [
    (((3, 5), (2, 5)), {}), (((3, 5), (3, 1), (3, 2)), {"dim": 1}), (((17,),), {}),
    (((2, 3, 7), (2, 4, 7)), {"dim": -2}), (((0, 3), (2, 3), (0, 3)), {}),
    (((9,), (0,), (4,)), {}), (((3, 0), (3, 0)), {"dim": 1}), (((40, 900), (33, 900)), {}),
    (((5, 3), (4, 3)), {}, ("transposed", "strided")),
    (((3, 5), (3, 4)), {"dim": 1}, ("strided", "transposed")),
    (((3, 5), (2, 5)), {}, ("expanded", "packed")),
]  # fmt: skip
rows(
    "cat",
    lambda *xs, dim=0: (
        np.concatenate([x for x in xs if x.shape != (0,)], axis=dim)
        if any(x.shape != (0,) for x in xs)
        else xs[0]
    ),
    *JOINED,
    bad=(
        Bad(((2, 3), (3, 4)), {}, ShapeError, ("[cat]", "tensor 1", "(3, 4)", "(2, 3)")),
        Bad(((2, 3), (3,)), {}, ShapeError, ("[cat]", "tensor 1", "(3,)", "(2, 3)")),
        Bad(((2, 3), (2, 3)), {"dim": 2}, IndexError, ("[cat]", "2")),
        Bad(((), ()), {}, ShapeError, ("[cat]", "stack")),
        Bad((), {}, ValueError, ("[cat]", "none")),
    ),
)
rows(
    "stack",
    lambda *xs, dim=0: np.stack(xs, axis=dim),
    (((3, 5), (3, 5)), {}),
    (((3, 5), (3, 5), (3, 5)), {"dim": -1}),
    (((), (), ()), {}),
    (((2, 3, 7), (2, 3, 7)), {"dim": 2}),
    (((0,), (0,)), {"dim": 1}),
    (((17,),), {"dim": 0}),
    (((5, 3), (5, 3)), {"dim": 1}, ("transposed", "strided")),
    (((4, 9000), (4, 9000)), {"dim": 1}),
    bad=(
        Bad(((2, 3), (3, 2)), {}, ShapeError, ("[stack]", "tensor 1", "(3, 2)", "(2, 3)")),
        Bad(((2, 3), (2, 3)), {"dim": 3}, IndexError, ("[stack]", "3")),
        Bad(((1,) * 8, (1,) * 8), {}, ShapeError, ()),
        Bad((), {}, ValueError, ("[stack]", "none")),
    ),
)
for name, join in (("hstack", np.hstack), ("vstack", np.vstack), ("dstack", np.dstack),
                   ("column_stack", np.column_stack)):  # fmt: skip
    rows(
        name,
        lambda *xs, join=join: join(xs),
        *[((s, s), {}) for s in ((17,), (3, 5), (2, 3, 7), (0, 3))],
        *[((s, s), {}) for s in ((),) if join is not np.column_stack],
        (((5, 3), (5, 3)), {}, ("transposed", "strided")),
        bad=(
            Bad((), {}, ValueError, (name, "none")),
            Bad(((2, 3), (4, 5)), {}, ShapeError, ("(2, 3", "(4, 5")),
        ),
    )


# ---- other names for views


def names_of(axes: Any) -> tuple[int, ...]:
    """One axis or several."""
    return tuple(axes) if isinstance(axes, (list, tuple)) else (axes,)


MOVED: list[tuple[Shape, dict[str, Any]]] = [
    ((3, 5), {"source": 0, "destination": 1}), ((2, 3, 7), {"source": -1, "destination": 0}),
    ((2, 3, 4, 5), {"source": [0, 1], "destination": [-1, 0]}),
    ((3, 5), {"source": [], "destination": []}),
]  # fmt: skip
for name in ("movedim", "moveaxis"):
    rows(
        name,
        lambda x, source, destination: np.moveaxis(x, names_of(source), names_of(destination)),
        *one_input(MOVED),
        bad=(
            Bad(((2, 3),), {"source": [0], "destination": [0, 1]}, ValueError, ("[movedim]",)),
            Bad(((2, 3),), {"source": [0, 0], "destination": [0, 1]}, ValueError, ("[movedim]",)),
            Bad(((2, 3),), {"source": 2, "destination": 0}, IndexError, ("[movedim]", "2")),
        ),
    )
for name, first, second in (("swapaxes", "axis0", "axis1"), ("swapdims", "dim0", "dim1")):
    rows(
        name,
        lambda x, first=first, second=second, **axes: np.swapaxes(x, axes[first], axes[second]),
        *one_input([((3, 5), {first: 0, second: 1}), ((2, 3, 7), {first: -1, second: 0})]),
        bad=(Bad(((2, 3),), {first: 0, second: 2}, IndexError, ("2",)),),
    )
rows(
    "unflatten",
    lambda x, dim, sizes: np.reshape(
        x, (*x.shape[: dim % x.ndim], *sizes, *x.shape[dim % x.ndim + 1 :])
    ),
    *one_input(
        [
            ((6,), {"dim": 0, "sizes": [2, 3]}),
            ((3, 6), {"dim": -1, "sizes": [2, -1]}),
            ((4, 5, 2), {"dim": 0, "sizes": [1, 2, 2]}),
            ((0, 3), {"dim": 0, "sizes": [0, 2]}),
        ]
    ),
    bad=(
        Bad(
            ((2, 6),), {"dim": 1, "sizes": [4, 2]}, ShapeError, ("[unflatten]", "(2, 6)", "(4, 2)")
        ),
        Bad(((2, 6),), {"dim": 1, "sizes": [4, -1]}, ShapeError, ("[unflatten]", "(2, 6)")),
        Bad(((2, 6),), {"dim": 1, "sizes": []}, ShapeError, ("[unflatten]",)),
        Bad(((2, 6),), {"dim": 2, "sizes": [2]}, IndexError, ("[unflatten]",)),
        Bad(((2, 6),), {"dim": 1, "sizes": [2**40, 2**40]}, ShapeError, ("[unflatten]",)),
    ),
)
rows(
    "ravel",
    np.ravel,
    *one_input([((2, 3, 7), {}), ((17,), {}), ((), {}), ((0, 3), {}), ((3, 5), {})]),
)
rows(
    "broadcast_to",
    lambda x, size: np.broadcast_to(x, size),
    *one_input(
        [
            ((3, 1), {"size": [3, 4]}),
            ((5,), {"size": [2, 3, 5]}),
            ((), {"size": [2]}),
            ((1, 3), {"size": [0, 3]}),
        ]
    ),
    bad=(Bad(((2, 3),), {"size": [2, 4]}, ShapeError, ("(2, 3)", "(2, 4)")),),
)
rows(
    "expand_as",
    lambda x, other: np.broadcast_to(x, other.shape),
    *[((a, b), {}) for a, b in (((3, 1), (3, 4)), ((5,), (2, 5)), ((), (2, 3)))],
    fixed=(1,),
    bad=(Bad(((2, 3), (3, 2)), {}, ShapeError, ("(2, 3)", "(3, 2)")),),
)
rows(
    "reshape_as",
    lambda x, other: np.reshape(x, other.shape),
    *[((a, b), {}) for a, b in (((6,), (3, 2)), ((2, 3), (6,)), ((), (1, 1)))],
    fixed=(1,),
    bad=(Bad(((2, 3), (5,)), {}, ShapeError, ("(2, 3)", "(5,)")),),
)


# ---- parts


def diagonal(x: Array, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Array:
    """NumPy's, with our words."""
    return np.diagonal(x, int(np.clip(offset, -99, 99)), dim1, dim2)


BAD_DIAGONAL = (
    Bad(((3, 4),), {"dim1": 1, "dim2": -1}, ValueError, ("different",)),
    Bad(((3, 4),), {"dim2": 2}, IndexError, ("2",)),
)
rows(
    "diagonal",
    diagonal,
    *one_input(
        [
            ((3, 4), {}),
            ((3, 4), {"offset": 2}),
            ((3, 4), {"offset": -2}),
            ((3, 4), {"offset": 9}),
            ((3, 4), {"offset": -(2**62)}),
            ((2, 3, 4), {"dim1": -1, "dim2": 0, "offset": 1}),
            ((5, 1), {}),
            ((0, 3), {}),
        ]
    ),
    bad=(*BAD_DIAGONAL, Bad(((3,),), {}, IndexError, ("[diagonal]",))),
)


def unfold(x: Array, dimension: int, size: int, step: int) -> Array:
    """Windows along an axis, each as the last axis."""
    windows = (
        np.lib.stride_tricks.sliding_window_view(x, size, axis=dimension)
        if size
        else (
            np.zeros(
                (*x.shape[:dimension], x.shape[dimension] + 1, *x.shape[dimension + 1 :], 0),
                x.dtype,
            )
        )
    )
    return np.take(windows, np.arange(0, windows.shape[dimension], step), axis=dimension)


rows(
    "unfold",
    unfold,
    *one_input(
        [
            ((9,), {"dimension": 0, "size": 3, "step": 2}),
            ((9,), {"dimension": 0, "size": 4, "step": 1}),
            ((4, 7), {"dimension": 1, "size": 2, "step": 3}),
            ((5, 3), {"dimension": -2, "size": 3, "step": 1}),
            ((7,), {"dimension": 0, "size": 7, "step": 5}),
            ((7,), {"dimension": 0, "size": 0, "step": 2}),
        ]
    ),
    bad=(
        Bad(((7,),), {"dimension": 0, "size": 8, "step": 1}, ShapeError, ("[unfold]", "8", "(7,)")),
        Bad(((7,),), {"dimension": 0, "size": 2, "step": 0}, ValueError, ("[unfold]", "0")),
        Bad(((7,),), {"dimension": 1, "size": 2, "step": 1}, IndexError, ("[unfold]",)),
    ),
)


def strided(x: Array, size: Any, stride: Any, storage_offset: int = 0) -> Array:
    """Elements of the flattened array, as the samples are packed."""
    at = np.array(storage_offset)
    for n, step in zip(size, stride, strict=True):
        at = at[..., None] + np.arange(n) * step
    return np.ravel(x)[at] if at.size else np.zeros(size, x.dtype)


rows(
    "as_strided",
    strided,
    *[
        ((s,), attrs)
        for s, attrs in (
            ((9,), {"size": [2, 3], "stride": [3, 1]}),
            ((9,), {"size": [4, 3], "stride": [2, 1]}),
            ((3, 5), {"size": [5, 3], "stride": [1, 5]}),
            ((3, 5), {"size": [], "stride": [], "storage_offset": 14}),
            ((3, 5), {"size": [2, 2], "stride": [0, 7], "storage_offset": 3}),
            ((7,), {"size": [0, 3], "stride": [1, 1]}),
        )
    ],
    bad=(
        Bad(((6,),), {"size": [4, 2], "stride": [2, 1]}, ValueError, ("[as_strided]", "6")),
        Bad(
            ((6,),),
            {"size": [2], "stride": [1], "storage_offset": 5},
            ValueError,
            ("[as_strided]",),
        ),
        Bad(
            ((6,),),
            {"size": [2], "stride": [1], "storage_offset": -1},
            ValueError,
            ("[as_strided]",),
        ),
        Bad(((6,),), {"size": [2], "stride": [-1], "storage_offset": 3}, ValueError, ("flip",)),
        Bad(((6,),), {"size": [2, 2], "stride": [1]}, ValueError, ("[as_strided]",)),
        Bad(((6,),), {"size": [2**40, 2**40], "stride": [0, 0]}, ShapeError, ()),
        Bad(((6,),), {"size": [2, 2], "stride": [2**62, 2**62]}, ValueError, ("[as_strided]",)),
        Bad(((6,),), {"size": [-1], "stride": [1]}, ShapeError, ()),
    ),
)
rows(
    "narrow",
    lambda x, dim, start, length: np.take(
        x,
        np.arange(
            start % (x.shape[dim] + (start >= 0)), start % (x.shape[dim] + (start >= 0)) + length
        ),
        axis=dim,
    ),
    *one_input(
        [
            ((9,), {"dim": 0, "start": 2, "length": 3}),
            ((3, 5), {"dim": 1, "start": -2, "length": 2}),
            ((3, 5), {"dim": 0, "start": 3, "length": 0}),
            ((2, 3, 7), {"dim": -1, "start": 0, "length": 7}),
        ]
    ),
    bad=(
        Bad(((9,),), {"dim": 0, "start": 10, "length": 0}, IndexError, ("[narrow]", "10")),
        Bad(((9,),), {"dim": 0, "start": 7, "length": 3}, ShapeError, ("[narrow]", "3", "(9,)")),
        Bad(((9,),), {"dim": 0, "start": 7, "length": -1}, ShapeError, ("[narrow]", "-1")),
        Bad(((9,),), {"dim": 0, "start": 7, "length": 2**63 - 1}, ShapeError, ("[narrow]",)),
        Bad(((),), {"dim": 0, "start": 0, "length": 1}, IndexError, ("[narrow]",)),
    ),
)
SPLIT: list[tuple[Shape, dict[str, Any]]] = [
    ((9,), {"split_sizes": [2, 3, 4]}), ((3, 5), {"split_sizes": [0, 5], "dim": 1}),
    ((2, 3, 7), {"split_sizes": [1, 2], "dim": -2}), ((0, 3), {"split_sizes": [0]}),
]  # fmt: skip
rows(
    "split_with_sizes",
    lambda x, split_sizes, dim=0: np.split(x, np.cumsum(split_sizes)[:-1], dim),
    *one_input(SPLIT),
    bad=(
        Bad(((5,),), {"split_sizes": [2, 2]}, ValueError, ("[split]", "5", "(2, 2)")),
        Bad(((5,),), {"split_sizes": [2, 4]}, ValueError, ("[split]",)),
        Bad(((5,),), {"split_sizes": [6, -1]}, ValueError, ("[split]",)),
        Bad(((5,),), {"split_sizes": [2**62] * 9}, ValueError, ("[split]",)),
        Bad(((),), {"split_sizes": [1]}, IndexError, ("[split",)),
        Bad(((5,),), {"split_sizes": [5], "dim": 1}, IndexError, ("[split",)),
    ),
)


def chunk(x: Array, chunks: int, dim: int = 0) -> list[Array]:
    """Parts of one size, the last smaller."""
    each = -(-x.shape[dim] // chunks)
    return np.split(x, range(each, x.shape[dim], each), dim) if each else [x] * chunks


rows(
    "chunk",
    chunk,
    *one_input(
        [
            ((9,), {"chunks": 4}),
            ((3, 5), {"chunks": 2, "dim": 1}),
            ((5,), {"chunks": 9}),
            ((0, 3), {"chunks": 3}),
            ((2, 3, 7), {"chunks": 1, "dim": -1}),
        ]
    ),
    bad=(
        Bad(((5,),), {"chunks": 0}, ValueError, ("[chunk]", "0")),
        Bad(((),), {"chunks": 1}, IndexError, ("[chunk]",)),
    ),
)
rows(
    "unbind",
    lambda x, dim=0: list(np.moveaxis(x, dim, 0)),
    *one_input([((3,), {}), ((3, 5), {"dim": 1}), ((2, 3, 7), {"dim": -2}), ((3, 0), {})]),
    bad=(Bad(((),), {}, IndexError, ("[unbind]",)), Bad(((3,),), {"dim": 1}, IndexError, ("1",))),
)


# ---- the same elements in other places, or several times

BIG = 2**62
REPEATED: list[tuple[Shape, dict[str, Any]]] = [
    ((3,), {"repeats": [4]}), ((3,), {"repeats": [2, 3]}), ((2, 3), {"repeats": [2, 1]}),
    ((2, 3), {"repeats": [1, 3]}), ((1, 5, 1), {"repeats": [3, 2, 2]}), ((), {"repeats": [2, 2]}),
    ((2, 3), {"repeats": [0, 2]}), ((0, 3), {"repeats": [2, 2]}), ((3, 5), {"repeats": [40, 7]}),
    ((1,) * 8, {"repeats": [2] * 8}),
]  # fmt: skip
rows(
    "repeat",
    lambda x, repeats: np.tile(x, repeats),
    *one_input(REPEATED),
    bad=(
        Bad(((2, 3),), {"repeats": [2]}, ShapeError, ("[repeat]", "(2, 3)", "(2,)")),
        Bad(((2, 3),), {"repeats": [2, -1]}, ValueError, ("[repeat]", "-1")),
        Bad(((2, 3),), {"repeats": [BIG, BIG]}, ShapeError, ()),
        Bad(((2, 3),), {"repeats": [1] * 9}, ShapeError, ()),
    ),
)
rows(
    "tile",
    lambda x, dims: np.tile(x, dims),
    *one_input(
        [
            ((3,), {"dims": [4]}),
            ((2, 3), {"dims": [2]}),
            ((2, 3), {"dims": []}),
            ((2, 3), {"dims": [2, 1, 3]}),
            ((), {"dims": [3]}),
        ]
    ),
    bad=(Bad(((2, 3),), {"dims": [-1]}, ValueError, ("-1",)),),
)
rows(
    "repeat_each",
    lambda x, repeats, dim=None: np.repeat(x, repeats, dim),
    *one_input(
        [
            ((3,), {"repeats": 2}),
            ((2, 3), {"repeats": 3}),
            ((2, 3), {"repeats": 2, "dim": 0}),
            ((2, 3, 7), {"repeats": 2, "dim": -2}),
            ((), {"repeats": 3}),
            ((3,), {"repeats": 0}),
            ((0, 3), {"repeats": 2, "dim": 1}),
        ]
    ),
    bad=(
        Bad(((2, 3),), {"repeats": -1}, ValueError, ("[repeat_interleave]", "-1")),
        Bad(((2, 3),), {"repeats": BIG}, ShapeError, ()),
        Bad(((2, 3),), {"repeats": 2, "dim": 2}, IndexError, ("2",)),
    ),
)
rows(
    "repeat_each_by",
    lambda x, repeats, dim=None, output_size=None: np.repeat(x, repeats, dim),
    (((3,), indices(3, 4)), {}),
    (((2, 3), indices(6, 3)), {}),
    (((3, 5), indices(3, 4)), {"dim": 0}),
    (((3, 5), indices(5, 3, dtype="int32")), {"dim": -1}),
    (((3, 5), indices((), 4)), {"dim": 1}),
    (((3,), lambda rng: np.array([2, 0, 3])), {"output_size": 5}),
    (((3,), lambda rng: np.zeros(3, int)), {}),
    (((5, 3), indices(3, 3)), {"dim": 1}, ("strided", "strided")),
    fixed=(1,),
    recorded=False,
    bad=(
        Bad(((3,), np.array([1, 2])), {}, ShapeError, ("[repeat_interleave]", "(3,)", "(2,)")),
        Bad(((3,), np.array([1, 2, -1])), {}, ValueError, ("[repeat_interleave]", "-1")),
        Bad(((3,), np.array([1.0, 2, 3])), {}, TypeError, ("[repeat_interleave]", "float64")),
        Bad(((3,), np.array([1, 2, 3])), {"output_size": 7}, ShapeError, ("7", "6")),
        Bad(((3,), np.array([BIG, BIG, BIG])), {}, ShapeError, ()),
        Bad(((3,), np.array([1, 2, 3])), {"output_size": -1}, ShapeError, ()),
    ),
)
ROLLED: list[tuple[Shape, dict[str, Any]]] = [
    ((9,), {"shifts": 2}), ((9,), {"shifts": -11, "dims": 0}), ((2, 3), {"shifts": 1}),
    ((3, 5), {"shifts": [1, -2], "dims": [0, 1]}),
    ((2, 3, 7), {"shifts": [3, 1], "dims": [-1, -1]}),
    ((3, 5), {"shifts": 0, "dims": 1}), ((), {"shifts": 3}), ((0, 3), {"shifts": 1, "dims": 1}),
    ((40, 17, 3), {"shifts": [7, 4], "dims": [0, 1]}),
]  # fmt: skip
rows(
    "roll",
    lambda x, shifts, dims=None: np.roll(x, shifts, dims),
    *one_input(ROLLED),
    bad=(
        Bad(((2, 3),), {"shifts": [1, 2]}, ValueError, ("[roll]", "2")),
        Bad(((2, 3),), {"shifts": 1, "dims": [0, 1]}, ValueError, ("[roll]", "2")),
        Bad(((2, 3),), {"shifts": 1, "dims": 2}, IndexError, ("[roll]",)),
        Bad(((),), {"shifts": 1, "dims": 0}, IndexError, ("[roll]",)),
    ),
)
rows(
    "flip",
    lambda x, dims: np.flip(x, names_of(dims)),
    *one_input(
        [
            ((9,), {"dims": 0}),
            ((3, 5), {"dims": [0, 1]}),
            ((3, 5), {"dims": []}),
            ((2, 3, 7), {"dims": [-2]}),
            ((1, 3), {"dims": 0}),
            ((0, 3), {"dims": [1]}),
        ]
    ),
    bad=(
        Bad(((2, 3),), {"dims": [0, -2]}, ValueError, ("[flip]",)),
        Bad(((2, 3),), {"dims": 2}, IndexError, ("[flip]",)),
    ),
)
rows(
    "fliplr",
    np.fliplr,
    *one_input([((3, 5), {}), ((2, 3, 7), {})]),
    bad=(Bad(((3,),), {}, ShapeError, ("[fliplr]", "(3,)")),),
)
rows(
    "flipud",
    np.flipud,
    *one_input([((9,), {}), ((3, 5), {})]),
    bad=(Bad(((),), {}, ShapeError, ("[flipud]", "()")),),
)
rows(
    "rot90",
    lambda x, k=1, dims=(0, 1): np.rot90(x, k, tuple(dims)),
    *one_input(
        [((3, 5), {"k": k}) for k in (0, 1, 2, 3, -1, 6)]
        + [((2, 3, 7), {"dims": [2, 0]}), ((3, 5), {})]
    ),
    bad=(
        Bad(((2, 3),), {"dims": [0]}, ShapeError, ("[rot90]", "(0,)")),
        Bad(((2, 3),), {"dims": [0, 0]}, ValueError, ("[rot90]",)),
        Bad(((3,),), {}, ShapeError, ("[rot90]", "(3,)")),
    ),
)
TRIANGLES: list[tuple[Shape, dict[str, Any]]] = [
    ((3, 5), {}), ((5, 3), {"diagonal": 1}), ((3, 5), {"diagonal": -2}),
    ((2, 3, 4), {"diagonal": 1}),
    ((3, 3), {"diagonal": 2**62}), ((3, 3), {"diagonal": -(2**63)}), ((0, 3), {}), ((3, 0), {}),
    ((40, 70), {"diagonal": 3}),
]  # fmt: skip
for name, triangle in (("tril", np.tril), ("triu", np.triu)):
    rows(
        name,
        lambda x, diagonal=0, triangle=triangle: triangle(x, int(np.clip(diagonal, -99, 99))),
        *one_input(TRIANGLES),
        bad=(Bad(((3,),), {}, ShapeError, (f"[{name}]", "(3,)")),),
    )
rows(
    "diag",
    lambda x, diagonal=0: np.diag(x, diagonal),
    *one_input(
        [
            ((3,), {}),
            ((3,), {"diagonal": -2}),
            ((3, 5), {"diagonal": 1}),
            ((0,), {}),
            ((4, 2), {"diagonal": -3}),
        ]
    ),
    bad=(Bad(((2, 3, 4),), {}, ShapeError, ("[diag]", "(2, 3, 4)")), Bad(((),), {}, ShapeError)),
)


def diag_embed(x: Array, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Array:
    """Zeros with the last axis on a diagonal."""
    n = x.shape[-1] + abs(offset)
    result = np.zeros((*x.shape[:-1], n, n), x.dtype)
    at = np.arange(x.shape[-1])
    result[..., at + max(-offset, 0), at + max(offset, 0)] = x
    return np.moveaxis(result, (-2, -1), (dim1, dim2))


rows(
    "diag_embed",
    diag_embed,
    *one_input(
        [
            ((3,), {}),
            ((2, 3), {}),
            ((2, 3), {"offset": 1}),
            ((2, 3), {"offset": -2, "dim1": 0, "dim2": 2}),
            ((2, 3), {"dim1": -1, "dim2": 0}),
            ((0,), {}),
        ]
    ),
    bad=(
        Bad(((3,),), {"dim1": 0, "dim2": -2}, ValueError, ("[diag_embed]",)),
        Bad(((),), {}, ShapeError, ("[diag_embed]",)),
        Bad(((3,),), {"offset": 2**63 - 1}, ShapeError, ()),
        Bad(((3,),), {"offset": -(2**63)}, ShapeError, ()),
    ),
)
rows(
    "meshgrid",
    lambda *xs, indexing="ij": np.meshgrid(*xs, indexing=indexing),
    (((3,), (4,)), {}),
    (((3,), (4,)), {"indexing": "xy"}),
    (((2,), (3,), (4,)), {"indexing": "xy"}),
    (((5,),), {"indexing": "ij"}),
    (((), (3,)), {}),
    (((0,), (3,)), {"indexing": "xy"}),
    (((5,), (4,)), {}, ("strided", "strided")),
    bad=(
        Bad(((2, 3), (3,)), {}, ShapeError, ("[meshgrid]", "tensor 0", "(2, 3)")),
        Bad(((2,), (3,)), {"indexing": "ab"}, ValueError, ("ij", "ab")),
        Bad((np.ones(2, "float32"), np.ones(2)), {}, TypeError, ("float32", "float64")),
        Bad((), {}, ValueError, ("[meshgrid]",)),
    ),
)
rows(
    "cartesian_prod",
    lambda *xs: np.array(list(itertools.product(*xs)), xs[0].dtype) if len(xs) > 1 else xs[0],
    (((3,), (4,)), {}),
    (((2,), (3,), (2,)), {}),
    (((5,),), {}),
    bad=(
        Bad(((2, 3), (3,)), {}, ShapeError, ("[cartesian_prod]", "(2, 3)")),
        Bad((), {}, ValueError),
    ),
)


for name in ("tril", "triu"):
    in_place_of(name)
