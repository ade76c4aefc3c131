"""The case table: one row for every op.

A row is a name, a plain NumPy reference and, where the defaults do not do, samples and a
tolerance. Everything else (dtypes, layouts, gradients, threads, instruction sets, replay,
composites) is derived in test_ops.py from the row and the registry. An elementwise op needs one
short row: ``unary("softsign", lambda x: x / (1 + np.abs(x)), tolerance="twice")``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from samples import (
    CASES,
    DTYPES,
    REGISTRY,
    WITH_NAN,
    Array,
    Bad,
    Maker,
    Reference,
    Shape,
    add,
    binary,
    comparison,
    in_place,
    one_input,
    rows,
    unary,
)

from ranvier import _C

unary("neg", lambda x: -x, tolerance="exact", integers="numbers")
unary("abs", np.abs, away_from=(0.0,), tolerance="exact")
unary("exp", np.exp, tolerance="exp")
unary("log", np.log, low=0.3, tolerance="log")
unary("sqrt", np.sqrt, low=0.3)
unary("square", np.square, integers="no bools")  # of bool: int64
erf = np.vectorize(lambda x: math.erf(float(x)), otypes=[np.longdouble])


def normal_cdf(x: Array) -> Array:
    """Phi(x) through libm's erfc, its argument corrected for its own rounding."""
    z = -np.asarray(x, np.longdouble) / np.sqrt(np.longdouble(2))
    head = z.astype(np.float64)
    value = np.vectorize(lambda u: math.erfc(float(u)), otypes=[np.longdouble])(head)
    slope = -2 / np.sqrt(np.longdouble(np.pi)) * np.exp(-np.square(head.astype(np.longdouble)))
    rest = np.where(np.isfinite(z), z - head, 0)
    return (value + slope * rest) / 2


def sigmoid(x: Array) -> Array:
    """1 / (1 + e^-x)."""
    return 1 / (1 + np.exp(-x))


unary("erf", erf, tolerance="erf")
unary("relu", lambda x: np.where(x < 0, 0, x), away_from=(0.0,), tolerance="exact")
unary("leaky_relu", lambda x, negative_slope: np.where(x > 0, x, negative_slope * x),
      away_from=(0.0,), attrs=({"negative_slope": 0.125}, {"negative_slope": -0.5}))
unary("sigmoid", sigmoid, tolerance="sigmoid")
unary("tanh", np.tanh, tolerance="tanh")
unary("gelu", lambda x: x * normal_cdf(x), tolerance="gelu")
unary("silu", lambda x: x * sigmoid(x), tolerance="silu")
unary("softsign", lambda x: x / (1 + np.abs(x)), away_from=(0.0,), tolerance="twice")
unary("step", lambda x, at_zero=1.0: np.heaviside(x, at_zero), away_from=(0.0,),
      tolerance="exact", attrs=({}, {"at_zero": 0.0}, {"at_zero": 0.5}))
unary("clone", lambda x: x, tolerance="exact")
unary("contiguous", lambda x: x, tolerance="exact")

binary("add", np.add)
binary("sub", np.subtract, integers="numbers")
binary("mul", np.multiply)
binary("div", np.divide, away_from=(0.0,), margin=0.75)
binary("maximum", np.maximum, apart=0.25, tolerance="exact")
binary("minimum", np.minimum, apart=0.25, tolerance="exact")


comparison("eq", np.equal)
comparison("ne", np.not_equal)
comparison("lt", np.less)
comparison("le", np.less_equal)
comparison("gt", np.greater)
comparison("ge", np.greater_equal)


# ---- products

PRODUCTS: list[tuple[Any, ...]] = [
    (((1, 1), (1, 1)), {}), (((3, 4), (4, 5)), {}), (((17, 33), (33, 9)), {}),
    (((13, 130), (130, 35)), {}), (((7,), (7,)), {}), (((7,), (7, 5)), {}), (((3, 7), (7,)), {}),
    (((2, 3, 4), (4, 5)), {}), (((2, 3, 4), (2, 4, 5)), {}), (((2, 1, 3, 4), (3, 4, 5)), {}),
    (((4,), (2, 4, 3)), {}), (((2, 3, 4), (4,)), {}), (((3, 4), (2, 4, 5)), {}),
    (((0, 3), (3, 4)), {}), (((3, 0), (0, 4)), {}), (((0,), (0,)), {}), (((2, 0, 3), (3, 4)), {}),
    (((5, 17), (17, 6)), {}, ("transposed", "packed")),
    (((5, 17), (17, 6)), {}, ("packed", "transposed")),
    (((5, 17), (17, 6)), {}, ("strided", "strided")),
    (((5, 17), (17, 33)), {}, ("expanded", "expanded")),
    (((2, 3, 4), (2, 4, 5)), {}, ("transposed", "expanded")),
]  # fmt: skip
rows("matmul", np.matmul, *PRODUCTS, tolerance="matmul", integers="no bools",
     magnitude=lambda ref, x, y: np.matmul(np.abs(x), np.abs(y)),
     special=((WITH_NAN[:4], np.array([[1.0, 0.0], [2.0, 0.0], [np.inf, 1.0]])),),
     bad=(Bad(((2, 3), (4, 5)), {}, _C.ShapeError, ("[matmul]", "(2, 3)", "(4, 5)")),
          Bad(((), (3,)), {}, _C.ShapeError, ("[matmul]",)),
          Bad(((2, 3, 4), (3, 4, 5)), {}, _C.ShapeError, ("[matmul]", "(2, 3, 4)", "(3, 4, 5)"))))

ACTIVATIONS: dict[Any, Reference] = {
    None: lambda z: z,
    "relu": lambda z: np.where(z < 0, 0, z),
    "sigmoid": sigmoid,
    "tanh": np.tanh,
}


def linear(x: Array, weight: Array, bias: Array | None = None, activation: Any = None) -> Array:
    """f(x W^T + b)."""
    z = np.matmul(x, weight.T)
    return ACTIVATIONS[activation](z if bias is None else z + bias)


rows("linear", linear,
     (((5, 3), (4, 3), (4,)), {}), (((5, 3), (4, 3), None), {}), (((1, 1), (1, 1), (1,)), {}),
     *[(((7, 17), (33, 17), (33,)), {"activation": a}) for a in ("relu", "sigmoid", "tanh")],
     (((7, 17), (33, 17), None), {"activation": "tanh"}), (((3,), (4, 3), (4,)), {}),
     (((2, 3, 7), (5, 7), (5,)), {"activation": "relu"}),
     (((0, 3), (4, 3), (4,)), {}), (((3, 0), (4, 0), (4,)), {}), (((3, 4), (0, 4), (0,)), {}),
     (((5, 65), (9, 65), (9,)), {}, ("transposed", "transposed", "strided")),
     (((5, 65), (9, 65), (9,)), {"activation": "sigmoid"}, ("strided", "strided", "expanded")),
     (((5, 16), (9, 16), (9,)), {}, ("expanded", "expanded", "packed")),
     low=-1.0, high=1.0, tolerance="linear", integers="refused",
     magnitude=lambda ref, x, w, b=None, activation=None:
         np.matmul(np.abs(x), np.abs(w).T) + (0 if b is None else np.abs(b)) + np.abs(ref),
     special=((WITH_NAN[:4], np.array([[1.0, 0.0, 1.0], [2.0, 0.0, 2.0]]), np.array([1, np.nan])),),
     bad=(Bad(((2, 3), (5, 4), (5,)), {}, _C.ShapeError, ("[linear]", "4", "(2, 3)")),
          Bad(((2, 4), (5, 4), (4,)), {}, _C.ShapeError, ("[linear]", "(5, 4)", "(4,)")),
          Bad(((2, 4), (4,)), {}, _C.ShapeError, ("[linear]", "(2, 4)", "(4,)")),
          Bad(((), (4, 1)), {}, _C.ShapeError, ("[linear]",)),
          Bad(((2, 4), (5, 4)), {"activation": "nope"}, ValueError, ("nope", "relu"))))


def log_softmax(x: Array, dim: int = -1) -> Array:
    """x - log(sum(exp(x))) without overflow."""
    x = np.asarray(x)
    if x.ndim == 0:
        return x - x
    shifted = x - np.max(x, axis=dim, keepdims=True, initial=-np.inf)
    return shifted - np.log(np.sum(np.exp(shifted), axis=dim, keepdims=True))


ALONG: list[tuple[Shape, dict[str, Any]]] = [
    ((1,), {}), ((7,), {}), ((16,), {}), ((17,), {}), ((40,), {}), ((), {}), ((3, 5), {}),
    ((3, 5), {"dim": 0}), ((2, 3, 7), {"dim": 1}), ((2, 3, 7), {"dim": -3}), ((0, 3), {}),
    ((3, 0), {}), ((3, 0), {"dim": 0}), ((9, 33), {}),
]  # fmt: skip
BAD_AXIS = (Bad(((2, 3),), {"dim": 2}, IndexError, ("softmax]",)),)
rows("softmax", lambda x, dim=-1: np.exp(log_softmax(x, dim)),
     *one_input(ALONG, ("transposed", "strided", "expanded")), tolerance="softmax", cancels=1.0,
     integers="refused", special=((WITH_NAN,), (WITH_NAN * 1e37,)), bad=BAD_AXIS)
rows("log_softmax", log_softmax, *one_input(ALONG, ("transposed", "strided", "expanded")),
     tolerance="log_softmax", magnitude=lambda ref, x, dim=-1: np.abs(ref) + 1, cancels=1.0,
     integers="refused", special=((WITH_NAN,),), bad=BAD_AXIS)


def labels(n: int | tuple[int, ...], classes: int, dtype: str = "int64") -> Maker:
    """Random class labels."""
    return lambda rng: rng.integers(0, classes, n).astype(dtype)


# ---- views and copies

BAD_RESHAPE = (Bad(((2, 3),), {"shape": [4]}, _C.ShapeError, ("(2, 3)", "(4,)")),
               Bad(((2, 3),), {"shape": [-1, 4]}, _C.ShapeError, ("(2, 3)", "(-1, 4)")),
               Bad(((2, 3),), {"shape": [-1, -1]}, _C.ShapeError, ("(2, 3)",)),
               Bad(((2, 3),), {"shape": [-2, -3]}, _C.ShapeError, ("(2, 3)",)),
               Bad(((2, 3),), {"shape": [2**62, 2**62]}, _C.ShapeError, ()),
               Bad(((2, 3),), {"shape": [1] * 9}, _C.ShapeError, ()))
RESHAPED: list[tuple[Shape, dict[str, Any]]] = [
    ((6,), {"shape": [2, 3]}), ((2, 3), {"shape": [-1]}), ((2, 3, 7), {"shape": [6, 7]}),
    ((2, 3, 7), {"shape": [7, -1, 2]}), ((1,), {"shape": []}), ((), {"shape": [1, 1]}),
    ((0, 3), {"shape": [3, 0]}), ((0, 3), {"shape": [-1]}),
]  # fmt: skip
rows("reshape", lambda x, shape: np.reshape(x, shape),
     *one_input(RESHAPED, ("transposed", "strided", "expanded")), bad=BAD_RESHAPE)
rows("view", lambda x, shape: np.reshape(x, shape),
     *one_input(RESHAPED, ()), (((2, 6),), {"shape": [2, 2, 3]}, ("strided",)),
     (((5, 6),), {"shape": [5, 3, 2]}, ("expanded",)), bad=BAD_RESHAPE)
rows("flatten", lambda x, start_dim=0, end_dim=-1: np.reshape(
         x, (*x.shape[:start_dim], -1 if x.size else math.prod(
             x.shape[start_dim:(end_dim % max(x.ndim, 1)) + 1]),
             *x.shape[(end_dim % max(x.ndim, 1)) + 1:])),
     *one_input([((), {}), ((5,), {}), ((2, 3, 7), {}), ((2, 3, 7), {"start_dim": 1}),
                 ((2, 3, 7), {"end_dim": 1}), ((0, 3), {}), ((2, 0, 3), {"start_dim": 1})]),
     bad=(Bad(((2, 3),), {"start_dim": 1, "end_dim": 0}, RuntimeError, ("[flatten]",)),
          Bad(((2, 3),), {"start_dim": 2}, IndexError, ("[flatten]",))))
rows("transpose", lambda x, dim0, dim1: np.swapaxes(x, dim0, dim1) if x.ndim else x,
     *one_input([((3, 5), {"dim0": 0, "dim1": 1}), ((2, 3, 7), {"dim0": -1, "dim1": 0}),
                 ((4,), {"dim0": 0, "dim1": 0}), ((), {"dim0": 0, "dim1": -1}),
                 ((0, 3), {"dim0": 0, "dim1": 1})]),
     bad=(Bad(((2, 3),), {"dim0": 0, "dim1": 2}, IndexError, ("[transpose]",)),))
rows("permute", lambda x, dims: np.transpose(x, dims),
     *one_input([((3, 5), {"dims": [1, 0]}), ((2, 3, 7), {"dims": [2, 0, 1]}),
                 ((2, 3, 7), {"dims": [-1, 1, 0]}), ((), {"dims": []}),
                 ((0, 3), {"dims": [1, 0]})]),
     bad=(Bad(((2, 3),), {"dims": [0]}, _C.ShapeError, ("[permute]", "(2, 3)", "(0,)")),
          Bad(((2, 3),), {"dims": [0, 0]}, _C.ShapeError, ("[permute]",)),
          Bad(((2, 3),), {"dims": [0, 2]}, IndexError, ("[permute]",))))
rows("squeeze", lambda x, dim=None: np.squeeze(
         x, None if dim is None else tuple(
             d for d in (dim if isinstance(dim, list) else [dim]) if x.ndim and x.shape[d] == 1)),
     *one_input([((1, 3, 1), {}), ((1, 3, 1), {"dim": [0, 1]}), ((1, 3, 1), {"dim": []}),
                 ((1, 3, 1), {"dim": 0}), ((1, 3, 1), {"dim": 1}),
                 ((3,), {}), ((), {}), ((0, 1), {"dim": -1}), ((1, 1), {})]),
     bad=(Bad(((2, 3),), {"dim": 2}, IndexError, ("[squeeze]",)),
          Bad(((2, 3),), {"dim": [0, 0]}, ValueError, ("[squeeze]",))))
rows("unsqueeze", lambda x, dim: np.expand_dims(x, dim),
     *one_input([((3, 5), {"dim": 0}), ((3, 5), {"dim": -1}), ((3, 5), {"dim": 1}),
                 ((), {"dim": 0}), ((0,), {"dim": 1})]),
     bad=(Bad(((2, 3),), {"dim": 3}, IndexError, ("[unsqueeze]",)),
          Bad(((1,) * 8,), {"dim": 0}, _C.ShapeError, ())))
rows("expand", lambda x, size: np.broadcast_to(
         x, [n if n >= 0 else x.shape[i - len(size)] for i, n in enumerate(size)]),
     *one_input([((3, 1), {"size": [3, 4]}), ((3, 1), {"size": [-1, 4]}), ((), {"size": [2, 3]}),
                 ((5,), {"size": [2, 3, 5]}), ((1, 3), {"size": [0, 3]}), ((0,), {"size": [2, 0]}),
                 ((1, 17, 1), {"size": [2, 17, 3]})]),
     bad=(Bad(((2, 3),), {"size": [2, 4]}, _C.ShapeError, ("[expand]", "(2, 3)", "(2, 4)")),
          Bad(((2, 3),), {"size": [3]}, _C.ShapeError, ("[expand]", "(2, 3)", "(3,)")),
          Bad(((1, 3),), {"size": [-2, 3]}, _C.ShapeError, ("[expand]",)),
          Bad(((1, 3),), {"size": [-1, 1, 3]}, _C.ShapeError, ("[expand]",)),
          Bad(((1, 1),), {"size": [2**40, 2**40]}, _C.ShapeError, ())))
rows("select", lambda x, dim, index: np.take(x, index, axis=dim),
     *one_input([((3, 5), {"dim": 0, "index": 1}), ((3, 5), {"dim": -1, "index": -5}),
                 ((2, 3, 7), {"dim": 1, "index": 2}), ((4,), {"dim": 0, "index": 0}),
                 ((3, 0), {"dim": 0, "index": 0})]),
     bad=(Bad(((2, 3),), {"dim": 0, "index": 2}, IndexError, ("[select]", "2")),
          Bad(((2, 3),), {"dim": 1, "index": -4}, IndexError, ("[select]", "-4")),
          Bad(((),), {"dim": 0, "index": 0}, IndexError, ("[select]",))))


def sliced(x: Array, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Array:
    """NumPy's own slices along one axis."""
    index: list[Any] = [slice(None)] * x.ndim
    index[dim] = slice(start, end, step)
    return x[tuple(index)]


rows("slice", sliced,
     *one_input([((9,), {}), ((9,), {"start": 2, "end": 7, "step": 3}), ((9,), {"start": -3}),
                 ((3, 5), {"dim": 1, "start": 1, "step": 2}), ((3, 5), {"dim": -1, "end": -2}),
                 ((3, 5), {"start": 2, "end": 1}), ((3, 5), {"start": -100, "end": 100}),
                 ((0, 3), {"start": 1}), ((2, 3, 7), {"dim": 1, "step": 2**62})]),
     bad=(Bad(((9,),), {"step": 0}, ValueError, ("[slice]",)),
          Bad(((9,),), {"step": -1}, ValueError, ("[slice]",)),
          Bad(((9,),), {"dim": 1}, IndexError, ("[slice]",)),
          Bad(((),), {}, IndexError, ("[slice]",))))


def cast(x: Array, dtype: Any) -> Array:
    """NumPy's conversion; the samples stay in range."""
    return x.astype(dtype.name)


rows("cast", cast,
     *one_input([((17,), {"dtype": d}) for d in DTYPES.values()]
                + [((3, 5), {"dtype": _C.int32}), ((0,), {"dtype": _C.int64}),
                   ((), {"dtype": _C.bool_})]),
     low=0.0, high=100.0, tolerance="rounded", integers="none",
     bad=(Bad(((3,),), {"dtype": "complex64"}, TypeError, ("float32",)),))
rows("copy_", lambda x, y: np.broadcast_to(y, x.shape),
     *[((a, b), {}) for a, b in [((17,), (17,)), ((3, 5), (5,)), ((3, 5), ()), ((0, 3), (1, 3)),
                                 ((2, 3, 7), (3, 1)), ((), ())]],
     (((5, 3), (5, 3)), {}, ("transposed", "packed")), (((5, 3), (3,)), {}, ("strided", "strided")),
     writes=True,
     bad=(Bad(((3,), (4,)), {}, _C.ShapeError, ("[copy_]", "(3,)", "(4,)")),
          Bad(((1,), (4,)), {}, _C.ShapeError, ("[copy_]", "(1,)", "(4,)")),
          Bad(((3,), (1, 3)), {}, _C.ShapeError, ("[copy_]", "(3,)", "(1, 3)"))))
rows("fill_", lambda x, value: np.full_like(x, value),
     *one_input([((17,), {"value": 2.0}), ((3, 5), {"value": -1}), ((0,), {"value": 0.5}),
                 ((), {"value": 3})]),
     writes=True, tolerance="rounded", integers="none")


def region(x: Array, strides: Any, whole: Any, shape: Any, offset: int) -> Array:
    """A view into memory where x has the strides `whole`; writing to it changes x's memory."""
    memory = np.lib.stride_tricks.as_strided(x, x.shape, x.strides)
    item = x.itemsize
    assert tuple(whole) == tuple(s // item for s in memory.strides)
    return np.lib.stride_tricks.as_strided(
        memory.reshape(-1)[offset:], shape, [s * item for s in strides])


def read_region(x: Array, whole_strides: Any, shape: Any, strides: Any, offset: int) -> Array:
    """What a view sees."""
    return region(np.ascontiguousarray(x), strides, whole_strides, shape, offset).copy()


def write_region(x: Array, y: Array, whole_strides: Any, shape: Any, strides: Any,
                 offset: int) -> Array:
    """The whole after the view was written."""
    result = np.array(x, order="C")
    region(result, strides, whole_strides, shape, offset)[...] = y
    return result


REGIONS: list[tuple[Shape, dict[str, Any]]] = [
    ((9,), {"whole_strides": [1], "shape": [3], "strides": [2], "offset": 1}),
    ((3, 5), {"whole_strides": [5, 1], "shape": [5, 2], "strides": [1, 5], "offset": 5}),
    ((3, 5), {"whole_strides": [5, 1], "shape": [], "strides": [], "offset": 14}),
    ((3, 5), {"whole_strides": [5, 1], "shape": [0, 2], "strides": [5, 1], "offset": 3}),
]
OUTSIDE = {"whole_strides": [5, 1], "shape": [3], "strides": [5], "offset": 5}
rows("read_region", read_region, *one_input(REGIONS),
     bad=(Bad(((3, 5),), OUTSIDE, _C.ShapeError, ("[read_region]", "(3, 5)")),
          Bad(((3, 5),), {**OUTSIDE, "offset": -1}, _C.ShapeError, ("[read_region]",)),
          Bad(((3, 5),), {**OUTSIDE, "strides": [2**62]}, _C.ShapeError, ("[read_region]",)),
          Bad(((3, 5),), {**OUTSIDE, "shape": [3, 1]}, _C.ShapeError, ("[read_region]",))))
rows("write_region", write_region, *[((a, attrs["shape"]), attrs) for a, attrs in REGIONS],
     bad=(Bad(((3, 5), (3,)), OUTSIDE, _C.ShapeError, ("[write_region]", "(3, 5)")),
          Bad(((3, 5), (2,)), {**OUTSIDE, "offset": 0}, _C.ShapeError, ("[write_region]",))))


# ---- indexing

rows("gather", lambda x, index, dim: np.take_along_axis(
         x[tuple(slice(n if i != dim % max(x.ndim, 1) else None) for i, n in
                 enumerate(index.shape))], index, dim) if x.ndim else x,
     (((3, 5), labels((3, 2), 5)), {"dim": 1}), (((3, 5), labels((7, 5), 3)), {"dim": 0}),
     (((3, 5), labels((2, 4), 3, "int32")), {"dim": 0}),
     (((2, 3, 7), labels((2, 3, 1), 7)), {"dim": -1}),
     (((9,), labels(20, 9)), {"dim": 0}), (((3, 5), labels((0, 5), 3)), {"dim": 0}),
     (((), labels((), 1)), {"dim": 0}),
     (((3, 5), labels((3, 2), 5)), {"dim": 1}, ("transposed", "strided")),
     (((3, 5), labels((3, 2), 5, "uint8")), {"dim": 1}, ("strided", "transposed")), fixed=(1,),
     bad=(Bad(((3, 5), np.array([[5]])), {"dim": 1}, IndexError, ("[gather]", "5")),
          Bad(((3, 5), np.array([[-1]])), {"dim": 1}, IndexError, ("[gather]", "-1")),
          Bad(((3, 5), np.array([[0.5]])), {"dim": 1}, TypeError, ("[gather]", "float")),
          Bad(((3, 5), np.array([[True]])), {"dim": 1}, TypeError, ("[gather]", "bool")),
          Bad(((3, 5), np.array([0])), {"dim": 1}, _C.ShapeError, ("[gather]", "(3, 5)", "(1,)")),
          Bad(((3, 5), np.zeros((4, 1), int)), {"dim": 1}, _C.ShapeError, ("(3, 5)", "(4, 1)")),
          Bad(((0, 5), np.zeros((1, 5), int)), {"dim": 0}, IndexError, ("[gather]",))))
rows("index_select", lambda x, index, dim: np.take(x, index, axis=dim),
     (((9,), labels(20, 9)), {"dim": 0}),
     (((3, 5), labels(4, 3)), {"dim": 0}),
     (((3, 5), labels(7, 5, "int32")), {"dim": 1}), (((2, 3, 7), labels(2, 3)), {"dim": -2}),
     (((3, 5), labels(0, 3)), {"dim": 0}), (((3, 0), labels(2, 3)), {"dim": 0}),
     (((40, 17), labels(33, 40)), {"dim": 0}),
     (((3, 5), labels(4, 5)), {"dim": 1}, ("transposed", "strided")),
     (((3, 5), labels(4, 3, "uint8")), {"dim": 0}, ("strided", "packed")), fixed=(1,),
     bad=(Bad(((3, 5), np.array([3])), {"dim": 0}, IndexError, ("[index_select]", "3")),
          Bad(((3, 5), np.array([-1])), {"dim": 0}, IndexError, ("[index_select]", "-1")),
          Bad(((3, 5), np.array([0.0])), {"dim": 0}, TypeError, ("[index_select]",)),
          Bad(((3, 5), np.array([[0]])), {"dim": 0}, _C.ShapeError, ("(3, 5)", "(1, 1)")),
          Bad(((), np.array([0, 0])), {"dim": 0}, _C.ShapeError, ("[index_select]",))))


# ---- random fills: no reference; test_bits.py looks at the numbers


def state(rng: np.random.Generator) -> Array:
    """A generator's seed and position."""
    return rng.integers(0, 2**40, 2)


BAD_FILL = (Bad((np.zeros(3, np.int64),), {"shape": [3]}, _C.ShapeError, ("state", "(3,)")),
            Bad((np.zeros(2),), {"shape": [3]}, (TypeError, _C.ShapeError), ("state",)),
            Bad((np.zeros(2, np.int64),), {"shape": [-3]}, _C.ShapeError, ("(-3,)",)),
            Bad((np.zeros(2, np.int64),), {"shape": [2**62, 2**62]}, _C.ShapeError, ()),
            Bad((np.zeros(2, np.int64),), {"shape": [3], "dtype": _C.int64}, TypeError,
                ("float32",)))
for fill in ("uniform", "normal"):
    first, second = ("low", "high") if fill == "uniform" else ("mean", "std")
    rows(fill, None,
         *[((state,), {"shape": shape, "dtype": dtype, first: -1.0, second: 3.0})
           for shape in ([1], [17], [5000], [2, 3, 7], [0], [])
           for dtype in (_C.float32, _C.float64)],
         integers="none", fixed=(0,),
         bad=(*BAD_FILL, Bad((np.zeros(2, np.int64),), {"shape": [3], second: float("inf")},
                             ValueError, (fill,))))
rows("integers", None,
     *[((state,), {"shape": shape, "low": -3, "high": 1000}) for shape in ([1], [999], [0], [])],
     ((state,), {"shape": [9], "low": -(2**63), "high": 2**63 - 1}), integers="none", fixed=(0,),
     bad=(Bad((np.zeros(3, np.int64),), {"shape": [3], "low": 0, "high": 2},
                                _C.ShapeError, ("(3,)",)),
          Bad((np.zeros(2, np.int64),), {"shape": [3], "low": 2, "high": 2}, ValueError, ("2",))))
rows("permutation", None, *[((state,), {"n": n}) for n in (0, 1, 2, 17, 1000)],
     integers="none", fixed=(0,),
     bad=(Bad((np.zeros(2, np.int64),), {"n": -1}, _C.ShapeError, ("-1",)),
          Bad((np.zeros((2, 1), np.int64),), {"n": 3}, _C.ShapeError, ("(2, 1)",))))


import cases_activations as cases_activations  # noqa: E402
import cases_elementwise as cases_elementwise  # noqa: E402
import cases_indexing as cases_indexing  # noqa: E402
import cases_layers as cases_layers  # noqa: E402  rows of its family
import cases_losses as cases_losses  # noqa: E402
import cases_moving as cases_moving  # noqa: E402  rows of its family
import cases_optim as cases_optim  # noqa: E402  rows of its family
import cases_optim_many as cases_optim_many  # noqa: E402
import cases_order as cases_order  # noqa: E402  rows of its family
import cases_padding as cases_padding  # noqa: E402
import cases_positions as cases_positions  # noqa: E402  rows of its family
import cases_products as cases_products  # noqa: E402
import cases_reductions as cases_reductions  # noqa: E402  rows of its family
import cases_scans as cases_scans  # noqa: E402  rows of its family
import cases_sparse as cases_sparse  # noqa: E402  rows of its family
import cases_training as cases_training  # noqa: E402  rows of its family

cases_elementwise.declare(normal_cdf)
cases_losses.declare(log_softmax, sigmoid)

# ---- forms in place: rows made of the rows of what they do

for _name, _entry in REGISTRY.items():
    if _entry["in_place_of"] and _name not in CASES:
        add(in_place(CASES[_entry["in_place_of"]], _name))
