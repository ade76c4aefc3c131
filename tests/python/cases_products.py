"""Rows of the case table for products (see csrc/ops/products.cpp, einsum.cpp) and for draws.

Imported by cases.py. References are NumPy's own functions; draws have none, test_random.py looks
at their numbers.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import numpy as np
from cases import erf
from samples import Array, Bad, Maker, Reference, rows, unary

from ranvier import _C

SHAPE = _C.ShapeError


def plain(*pairs: Any) -> list[tuple[Any, ...]]:
    """Samples without attributes: shapes, or shapes and layouts."""
    return [
        (p[:-1], {}, tuple(p[-1].split())) if isinstance(p[-1], str) else (p, {}) for p in pairs
    ]


def product(
    name: str, reference: Reference, *entries: Any, tolerance: str = "products", **options: Any
) -> None:
    """A row for a product; the size of its terms is the product of absolute values."""

    def terms(ref: Array, *inputs: Array, **attrs: Any) -> Array:
        return reference(*[np.abs(x) for x in inputs], **{k: abs(v) for k, v in attrs.items()})

    options.setdefault("magnitude", terms)
    options.setdefault("integers", "no bools")
    rows(name, reference, *entries, tolerance=tolerance, **options)


def inner(x: Array, y: Array) -> Array:
    """np.inner for long doubles as well."""
    return x * y if x.ndim == 0 or y.ndim == 0 else np.tensordot(x, y, axes=(-1, -1))


MATRICES = plain(
    ((1, 1), (1, 1)), ((3, 4), (4, 5)), ((17, 33), (33, 9)), ((0, 3), (3, 4)), ((3, 0), (0, 4)),
    ((5, 17), (17, 6), "transposed packed"), ((5, 17), (17, 6), "strided transposed"),
    ((5, 17), (17, 3), "expanded expanded"),
)  # fmt: skip
BATCHES = plain(
    ((1, 1, 1), (1, 1, 1)), ((2, 3, 4), (2, 4, 5)), ((0, 3, 4), (0, 4, 5)), ((2, 3, 0), (2, 0, 5)),
    ((5, 7, 17), (5, 17, 3), "transposed strided"), ((3, 2, 4), (3, 4, 5), "expanded packed"),
)  # fmt: skip
VECTORS = plain(
    ((1,), (1,)), ((7,), (7,)), ((1000,), (1000,)), ((0,), (0,)), ((33,), (33,), "strided packed"),
    ((9,), (9,), "expanded strided"),
)  # fmt: skip

product(
    "mm",
    np.matmul,
    *MATRICES,
    tolerance="matmul",
    bad=(
        Bad(((2, 3), (4, 5)), {}, SHAPE, ("[mm]", "(2, 3)", "(4, 5)")),
        Bad(((2, 3, 4), (4, 5)), {}, SHAPE, ("[mm]", "matrix", "(2, 3, 4)")),
        Bad((np.ones((2, 2), bool), np.ones((2, 2), bool)), {}, TypeError, ("[mm]", "bool")),
        Bad(((2, 3), np.ones((3, 2))), {}, TypeError, ("[mm]", "float32", "float64")),
    ),
)
product(
    "bmm",
    np.matmul,
    *BATCHES,
    tolerance="matmul",
    bad=(
        Bad(((2, 3, 4), (3, 4, 5)), {}, SHAPE, ("[bmm]", "(2, 3, 4)", "(3, 4, 5)")),
        Bad(((2, 3), (2, 4, 5)), {}, SHAPE, ("[bmm]", "(2, 3)")),
    ),
)
product(
    "mv",
    np.matmul,
    *plain(
        ((1, 1), (1,)),
        ((3, 4), (4,)),
        ((17, 130), (130,)),
        ((0, 3), (3,)),
        ((3, 0), (0,)),
        ((40, 17), (17,), "transposed strided"),
        ((5, 9), (9,), "strided expanded"),
    ),
    tolerance="matmul",
    bad=(
        Bad(((2, 3), (2,)), {}, SHAPE, ("[mv]", "(2, 3)", "(2,)")),
        Bad(((3,), (3,)), {}, SHAPE, ("[mv]", "(3,)")),
    ),
)
for _name in ("dot", "vdot"):
    product(
        _name,
        lambda x, y: np.sum(x * y, dtype=x.dtype),
        *VECTORS,
        (((5000,), (5000,)), {}),
        tolerance="sum",
        bad=(
            Bad(((2,), (3,)), {}, SHAPE, (f"[{_name}]", "(2,)", "(3,)")),
            Bad(((2, 2), (2,)), {}, SHAPE, (f"[{_name}]", "vector")),
            Bad(((2,), np.ones(2)), {}, TypeError, (_name, "float32", "float64")),
        ),
    )
product(
    "inner",
    inner,
    *VECTORS,
    *plain(
        ((2, 3), (4, 3)),
        ((2, 3, 4), (5, 4)),
        ((3, 4), (4,)),
        ((2, 0), (3, 0)),
        ((), (3, 2)),
        ((5,), ()),
        ((7, 3), (5, 3), "transposed strided"),
    ),
    bad=(Bad(((2, 3), (4, 2)), {}, SHAPE, ("[inner]", "(2, 3)", "(4, 2)")),),
)
for _name in ("outer", "ger"):
    product(
        _name,
        np.multiply.outer,
        *plain(((1,), (1,)), ((3,), (5,)), ((0,), (5,)), ((7,), (4,), "strided expanded")),
        tolerance="rounded",
        magnitude=None,
        integers="taken",
        bad=(Bad(((2, 2), (2,)), {}, SHAPE, (f"[{_name}]", "(2, 2)")),),
    )
product(
    "kron",
    np.kron,
    *plain(
        ((2, 3), (4, 5)),
        ((3,), (2,)),
        ((2, 3), (4,)),
        ((), (2, 2)),
        ((0, 2), (3, 2)),
        ((3, 2), (2, 3), "transposed strided"),
    ),
    tolerance="rounded",
    magnitude=None,
    integers="taken",
    bad=(Bad(((1,) * 5, (2,)), {}, SHAPE, ("[kron]", "(2,)")),),
)


# ---- beta c + alpha x y


def added(multiply: Reference) -> Reference:
    """The product added to an input."""

    def reference(c: Array, x: Array, y: Array, beta: float = 1, alpha: float = 1) -> Array:
        whole = x.dtype.kind in "iu"
        part = multiply(x, y)
        part = part * x.dtype.type(alpha) if whole else part * alpha
        return (c * (c.dtype.type(beta) if whole else beta) if beta else np.zeros_like(c)) + part

    return reference


SCALED = ({}, {"beta": 2, "alpha": 3}, {"beta": 0, "alpha": 2}, {"beta": 1, "alpha": 0})


def added_rows(name: str, multiply: Reference, *shapes: Any, bad: Any) -> None:
    """Inputs of the product's shape, of its last axis, and a single number."""
    entries = []
    for x, y in shapes:
        full = multiply(np.zeros(x), np.zeros(y)).shape
        for c in (full, full[-1:], (), tuple(1 for _ in full)):
            entries.append(((c, x, y), {}))
    x, y = shapes[0]
    full = multiply(np.zeros(x), np.zeros(y)).shape
    entries += [((full, x, y), attrs) for attrs in SCALED]
    entries.append(((full, x, y), {}, ("strided", "strided", "strided")))
    wrong = (*(n + 1 for n in full),)
    product(
        name,
        added(multiply),
        *entries,
        bad=(
            Bad((wrong, x, y), {}, SHAPE, (f"[{name}]", str(wrong), str(full))),
            Bad(((1, *full), x, y), {}, SHAPE, (f"[{name}]",)),
            Bad(
                (np.zeros(full, int), np.zeros(x, int), np.zeros(y, int)),
                {"beta": 0.5},
                ValueError,
                ("beta", "0.5", "int64"),
            ),
            Bad((np.zeros(full), x, y), {}, TypeError, (name, "float64", "float32")),
            *bad,
        ),
    )


added_rows(
    "addmm",
    np.matmul,
    ((2, 3), (3, 4)),
    ((5, 33), (33, 2)),
    ((2, 0), (0, 3)),
    bad=(
        Bad(((2, 2), (2, 3), (4, 2)), {}, SHAPE, ("[addmm]", "(2, 3)", "(4, 2)")),
        Bad(((2, 2), (2, 3, 1), (4, 2)), {}, SHAPE, ("[addmm]", "matrix")),
    ),
)
added_rows(
    "addmv",
    np.matmul,
    ((2, 3), (3,)),
    ((5, 33), (33,)),
    ((2, 0), (0,)),
    bad=(Bad(((2,), (2, 3), (4,)), {}, SHAPE, ("[addmv]", "(2, 3)", "(4,)")),),
)
added_rows(
    "addr",
    np.multiply.outer,
    ((2,), (3,)),
    ((0,), (3,)),
    bad=(Bad(((2,), (2, 3), (4,)), {}, SHAPE, ("[addr]", "(2, 3)")),),
)
added_rows(
    "baddbmm",
    np.matmul,
    ((2, 3, 4), (2, 4, 5)),
    ((0, 3, 4), (0, 4, 5)),
    bad=(Bad(((2,), (2, 3, 4), (3, 4, 2)), {}, SHAPE, ("[baddbmm]", "(3, 4, 2)")),),
)
added_rows(
    "addbmm",
    lambda x, y: np.sum(np.matmul(x, y), axis=0, dtype=x.dtype),
    ((2, 3, 4), (2, 4, 5)),
    ((0, 3, 4), (0, 4, 5)),
    bad=(Bad(((2,), (2, 3, 4), (3, 4, 2)), {}, SHAPE, ("[addbmm]", "(3, 4, 2)")),),
)


# ---- chains, traces, cross products


def chain(*matrices: Array) -> Array:
    """From left to right."""
    result = matrices[0]
    for m in matrices[1:]:
        result = result @ m
    return result


product(
    "chain_matmul",
    chain,
    *plain(
        ((2, 3),),
        ((2, 3), (3, 4)),
        ((2, 9), (9, 3), (3, 5)),
        ((9, 2), (2, 9), (9, 1)),
        ((3, 0), (0, 4), (4, 2)),
        ((7, 3), (3, 6), "transposed strided"),
    ),
    bad=(
        Bad(((2, 3), (4, 5)), {}, SHAPE, ("[chain_matmul]", "(2, 3)", "(4, 5)")),
        Bad(((2, 3), (3,)), {}, SHAPE, ("[chain_matmul]", "(3,)")),
        Bad((), {}, TypeError, ("[chain_matmul]", "none")),
    ),
)


rows(
    "trace",
    lambda x: np.trace(x, dtype=np.int64 if x.dtype.kind in "iub" else None),
    *plain(
        ((1, 1),),
        ((3, 3),),
        ((2, 5),),
        ((5, 2),),
        ((0, 3),),
        ((0, 0),),
        ((4, 4), "transposed"),
        ((5, 3), "strided"),
        ((3, 3), "expanded"),
    ),
    tolerance="sum",
    magnitude=lambda ref, x: np.trace(np.abs(x)),
    bad=(
        Bad(((3,),), {}, SHAPE, ("[trace]", "(3,)")),
        Bad(((2, 3, 3),), {}, SHAPE, ("[trace]", "(2, 3, 3)")),
    ),
)


def cross(x: Array, y: Array, dim: Any = None) -> Array:
    """The first axis of size 3 unless one is named."""
    axis = x.shape.index(3) if dim is None else dim
    x, y = np.broadcast_arrays(x, y)
    a, b = np.moveaxis(x, axis, 0), np.moveaxis(y, axis, 0)
    parts = [a[(i + 1) % 3] * b[(i + 2) % 3] - a[(i + 2) % 3] * b[(i + 1) % 3] for i in range(3)]
    return np.moveaxis(np.stack(parts), 0, axis)


def cross_terms(ref: Array, x: Array, y: Array, dim: Any = None) -> Array:
    """Sizes of the two terms of each difference."""
    axis = x.shape.index(3) if dim is None else dim
    x, y = np.broadcast_arrays(np.abs(x), np.abs(y))
    a, b = np.moveaxis(x, axis, 0), np.moveaxis(y, axis, 0)
    parts = [a[(i + 1) % 3] * b[(i + 2) % 3] + a[(i + 2) % 3] * b[(i + 1) % 3] for i in range(3)]
    return np.moveaxis(np.stack(parts), 0, axis)


rows(
    "cross",
    cross,
    (((3,), (3,)), {}),
    (((2, 3), (2, 3)), {}),
    (((3, 3), (3, 1)), {}),
    (((3, 3), (1, 3)), {"dim": 1}),
    (((4, 3, 2), (4, 3, 2)), {"dim": -2}),
    (((0, 3), (0, 3)), {}),
    (((5, 3), (5, 3)), {}, ("transposed", "strided")),
    tolerance="products",
    magnitude=cross_terms,
    integers="no bools",
    bad=(
        Bad(((2, 2), (2, 2)), {}, SHAPE, ("[cross]", "(2, 2)")),
        Bad(((2, 3), (3,)), {}, SHAPE, ("[cross]", "(2, 3)", "(3,)")),
        Bad(((3, 2), (3, 2)), {"dim": 1}, SHAPE, ("[cross]", "(3, 2)")),
        Bad(((3, 2), (3, 2)), {"dim": 2}, IndexError, ("[cross]",)),
        Bad(((3, 2), (3, 4)), {}, SHAPE, ("[cross]", "(3, 2)", "(3, 4)")),
    ),
)


# ---- einsum and tensordot


def einsum(*operands: Array, equation: str) -> Array:
    """NumPy's; sums of one operand's integers go to int64, and dots may be missing at the end."""
    if len(operands) == 1 and operands[0].dtype.kind in "iub":
        operands = (operands[0].astype(np.int64),)
    return np.einsum(equation, *operands)


def summed(equation: str, *shapes: Any) -> tuple[Any, ...]:
    """One sample."""
    layouts = tuple(shapes[-1].split()) if shapes and isinstance(shapes[-1], str) else None
    inputs = shapes[:-1] if layouts else shapes
    return (inputs, {"equation": equation}, *([layouts] if layouts else []))


rows(
    "einsum",
    einsum,
    summed("ij,jk", (2, 3), (3, 4)),
    summed("ij,jk->ki", (2, 17), (17, 4)),
    summed("ii", (3, 3)),
    summed("ii->i", (3, 3)),
    summed("iji->j", (3, 2, 3)),
    summed("ij->ji", (2, 3)),
    summed("ij->", (2, 3)),
    summed("i,j->ij", (2,), (3,)),
    summed("i,i", (33,), (33,)),
    summed("bij,bjk->bik", (5, 2, 3), (5, 3, 4)),
    summed("bi,bi->b", (5, 3), (5, 3)),
    summed("...ij,...jk->...ik", (2, 5, 2, 3), (5, 3, 4)),
    summed("...i,...i", (2, 3, 4), (3, 4)),
    summed("ij,jk,kl->il", (2, 3), (3, 4), (4, 5)),
    summed("abc,cd,be->ade", (2, 3, 4), (4, 5), (3, 6)),
    summed("bhqd,bhkd->bhqk", (2, 3, 4, 5), (2, 3, 6, 5)),
    summed("i,i,i->i", (3,), (3,), (3,)),
    summed("ij,kl->", (2, 3), (4, 5)),
    summed("i,ij,j", (2,), (2, 3), (3,)),
    summed("bA", (2, 3)),
    summed("aB , Bc -> ca", (2, 3), (3, 4)),
    summed(",", (), (3,)[:0]),
    summed("", ()),
    summed("ij,jk->ik", (0, 3), (3, 4)),
    summed("ij,jk->ik", (2, 0), (0, 4)),
    summed("i,i->i", (1,), (3,)),
    summed("ij,ij->j", (2, 1), (1, 3)),
    summed("ij,jk->ik", (5, 3), (3, 4), "transposed strided"),
    summed("ij->j", (4, 7), "expanded"),
    summed("bij,bj->bi", (2, 3, 7), (2, 7), "transposed strided"),
    tolerance="products",
    integers="none",
    magnitude=lambda ref, *inputs, equation: einsum(
        *[np.abs(x) for x in inputs], equation=equation
    ),
    bad=tuple(
        Bad(shapes, {"equation": equation}, SHAPE, ("[einsum]", f"'{equation}'", *words))
        for equation, shapes, words in [
            ("ij,jk->ik", ((2, 3), (4, 5)), ("'j'", "operand 1", "3", "4", "(2, 3)")),
            ("ij,jk->ik", ((2, 3),), ("2 operands", "1")),
            ("ij->ik", ((2, 3),), ("'k'",)),
            ("ij->ii", ((2, 3),), ("'i'", "once")),
            ("ij", ((2, 3, 4),), ("2 axes", "operand 0", "(2, 3, 4)")),
            ("...ijk", ((2, 3),), ("at least 3", "(2, 3)")),
            ("i.j", ((2, 3),), ("'.'", "place 1")),
            ("i..j", ((2, 3),), ("'.'",)),
            ("...i...", ((2, 3),), ("...", "twice")),
            ("i1", ((2, 3),), ("'1'",)),
            ("i->i->i", ((2,),), ("'-'",)),
            ("i>i", ((2,),), ("'>'",)),
            ("ii->i", ((1, 3),), ("'i'", "operand 0", "(1, 3)")),
            ("...i,...i->...", ((2, 3, 4), (2, 4)), ("'...'", "operand 1", "3", "2")),
            ("ij,jk->...ik", ((2, 3), (4, 5)), ("'j'",)),
            ("é", ((2,),), ()),
        ]
    ),
)
rows(
    "tensordot",
    lambda a, b, dims_a, dims_b: np.tensordot(a, b, axes=(dims_a, dims_b)),
    *[
        (shapes, {"dims_a": x, "dims_b": y})
        for shapes, x, y in [
            (((2, 3), (3, 4)), [1], [0]),
            (((2, 3, 4), (4, 3, 5)), [1, 2], [1, 0]),
            (((2, 3), (4,)), [], []),
            (((3,), (3,)), [0], [0]),
            (((2, 3), (2, 3)), [0, 1], [0, 1]),
            (((2, 3, 4), (3, 5)), [-2], [-2]),
            (((2, 0), (0, 3)), [1], [0]),
            (((), ()), [], []),
        ]
    ],
    (((5, 3), (3, 4)), {"dims_a": [1], "dims_b": [0]}, ("transposed", "strided")),
    tolerance="products",
    integers="no bools",
    magnitude=lambda ref, a, b, dims_a, dims_b: np.tensordot(
        np.abs(a), np.abs(b), axes=(dims_a, dims_b)
    ),
    bad=(
        Bad(((2, 3), (3, 4)), {"dims_a": [0], "dims_b": [0]}, SHAPE, ("(2, 3)", "(3, 4)")),
        Bad(((2, 3), (3, 4)), {"dims_a": [0, 1], "dims_b": [0]}, SHAPE, ("(0, 1)", "(0,)")),
        Bad(((3, 3), (3, 3)), {"dims_a": [0, 0], "dims_b": [0, 1]}, SHAPE, ("once",)),
        Bad(((2, 3), (3, 4)), {"dims_a": [2], "dims_b": [0]}, IndexError, ("[tensordot]",)),
    ),
)


# ---- the quantiles of normal numbers


def erfinv(y: Array) -> Array:
    """Newton's steps on libm's erf, its argument corrected for its own rounding."""
    y = np.asarray(y, np.longdouble)
    inside = np.where(np.abs(y) < 1, y, 0)
    start = [NormalDist().inv_cdf((1 + float(v)) / 2) for v in inside.ravel()]
    x = np.reshape(np.asarray(start, np.longdouble), y.shape) / np.sqrt(np.longdouble(2))
    for _ in range(2):
        head = x.astype(np.float64)
        slope = 2 / np.sqrt(np.longdouble(np.pi)) * np.exp(-np.square(head.astype(np.longdouble)))
        x = x - (erf(head) + slope * (x - head) - inside) / slope
    beyond = np.where(np.abs(y) == 1, np.copysign(np.inf, y), np.nan)
    return np.where(np.abs(y) < 1, x, beyond)


unary("erfinv", erfinv, low=-0.8, high=0.8, tolerance="erfinv")


# ---- draws


def state(rng: np.random.Generator) -> Array:
    """A generator's seed and position."""
    return rng.integers(0, 2**40, 2)


def between(low: float, high: float, *shape: int) -> Maker:
    """Uniform numbers."""
    return lambda rng: rng.uniform(low, high, shape)


BAD_STATE = Bad((np.zeros(3, np.int64), (3,)), {}, SHAPE, ("state", "(3,)"))
ZERO = np.zeros(2, np.int64)
rows(
    "bernoulli",
    None,
    *[
        ((state, between(0, 1, *shape)), {})
        for shape in ((1,), (17,), (5000,), (2, 3, 7), (0,), ())
    ],
    ((state, between(0, 1, 5, 3)), {}, ("packed", "transposed")),
    ((state, between(0, 1, 33)), {}, ("packed", "strided")),
    integers="none",
    fixed=(0,),
    bad=(
        BAD_STATE,
        Bad((ZERO, np.array([0.5, 1.5])), {}, RuntimeError, ("[bernoulli]", "1.5")),
        Bad((ZERO, np.array([0.5, np.nan])), {}, RuntimeError, ("[bernoulli]", "nan")),
        Bad((ZERO, np.array([-0.5])), {}, RuntimeError, ("[bernoulli]", "-0.5")),
        Bad((ZERO, np.array([1, 0])), {}, TypeError, ("[bernoulli]", "int64")),
    ),
)
rows(
    "multinomial",
    None,
    *[
        ((state, between(0.1, 1, *shape)), {"num_samples": n, "replacement": r})
        for shape, n, r in [
            ((1,), 1, False),
            ((17,), 17, False),
            ((17,), 100, True),
            ((5, 7), 3, False),
            ((5, 7), 9, True),
            ((300, 100), 5, False),
            ((0, 3), 2, False),
        ]
    ],
    ((state, between(0.1, 1, 5, 3)), {"num_samples": 2}, ("packed", "transposed")),
    integers="none",
    fixed=(0,),
    bad=(
        Bad((np.zeros(3, np.int64), (3,)), {"num_samples": 1}, SHAPE, ("state", "(3,)")),
        *[
            Bad((ZERO, np.array(w)), {"num_samples": n, "replacement": r}, RuntimeError, words)
            for w, n, r, words in [
                ([0.0, 0.0], 1, True, ("sum",)),
                ([1.0, -1.0], 1, True, ("-1",)),
                ([1.0, np.inf], 1, False, ("inf",)),
                ([1.0, np.nan], 1, True, ("nan",)),
                ([1.0, 0.0], 2, False, ("2", "1")),
                ([1.0, 1.0], 3, False, ("2", "3")),
                ([1.0], 0, True, ("0",)),
                ([[1.0], [0.0]], 1, True, ("row 1",)),
                ([1e308, 1e308], 1, True, ("finite sum",)),
            ]
        ],
        Bad((ZERO, np.ones((2, 2, 2))), {"num_samples": 1}, SHAPE, ("(2, 2, 2)",)),
        Bad((ZERO, np.array(1.0)), {"num_samples": 1}, SHAPE, ("()",)),
        Bad((ZERO, np.ones((3, 0))), {"num_samples": 1, "replacement": True}, RuntimeError, ()),
        Bad((ZERO, np.array([1, 2])), {"num_samples": 1}, TypeError, ("int64",)),
    ),
)
rows(
    "exponential",
    None,
    *[
        ((state,), {"shape": shape, "dtype": dtype, "rate": 2.0})
        for shape in ([1], [17], [5000], [2, 3, 7], [0], [])
        for dtype in (_C.float32, _C.float64)
    ],
    integers="none",
    fixed=(0,),
    bad=(
        Bad((np.zeros(3, np.int64),), {"shape": [3]}, SHAPE, ("state", "(3,)")),
        Bad((ZERO,), {"shape": [3], "rate": 0.0}, RuntimeError, ("0",)),
        Bad((ZERO,), {"shape": [3], "rate": -1.0}, RuntimeError, ("-1",)),
        Bad((ZERO,), {"shape": [3], "rate": float("nan")}, RuntimeError, ("nan",)),
        Bad((ZERO,), {"shape": [3], "dtype": _C.int64}, TypeError, ("int64",)),
        Bad((ZERO,), {"shape": [-3]}, SHAPE, ("(-3,)",)),
    ),
)
rows(
    "normal_around",
    None,
    *[
        ((state, between(-3, 3, *a), between(0, 2, *b)), {})
        for a, b in [((1,), (1,)), ((5000,), (5000,)), ((3, 1), (1, 4)), ((), (7,)), ((0,), (0,))]
    ],
    ((state, between(-3, 3, 5, 3), between(0, 2, 5, 3)), {}, ("packed", "transposed", "strided")),
    integers="none",
    fixed=(0,),
    bad=(
        Bad((np.zeros(3, np.int64), (3,), (3,)), {}, SHAPE, ("state", "(3,)")),
        Bad((ZERO, (3,), (4,)), {}, SHAPE, ("(3,)", "(4,)")),
        Bad((ZERO, np.zeros(2), np.array([1.0, -1.0])), {}, RuntimeError, ("[normal]", "-1")),
        Bad((ZERO, np.zeros(2), np.array([1.0, np.nan])), {}, RuntimeError, ("nan",)),
        Bad((ZERO, np.zeros(2, np.int64), np.ones(2)), {}, TypeError, ("mean", "int64")),
        Bad((ZERO, (2,), np.ones(2)), {}, TypeError, ("float32", "float64")),
    ),
)
