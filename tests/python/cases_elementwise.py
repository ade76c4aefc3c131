"""Rows of the case table for functions of single elements: trigonometry, powers, remainders, bits.

Called by `cases.py`, which explains what a row is. References are NumPy's; where an integer result
would come out of a float, it is computed on integers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from samples import (
    SPECIAL,
    Array,
    Bad,
    Maker,
    Reference,
    binary,
    comparison,
    rows,
    unary,
)

from ranvier import _C

WHOLE = tuple(float(i) for i in range(-5, 6))
HALVES = tuple(i + 0.5 for i in range(-5, 5))


def declare(normal_cdf: Reference) -> None:
    """Adds the rows; Phi comes from the table, which has it for gelu."""
    trigonometry()
    exponentials(normal_cdf)
    rounding()
    powers()
    remainders()
    predicates()
    bits()
    ternary()
    keyword_forms()
    replacing()
    membership()


def trigonometry() -> None:
    """Sines, their inverses and their hyperbolic relatives."""
    for name, reference in (("sin", np.sin), ("cos", np.cos)):
        unary(name, reference, tolerance="sine")
    unary("tan", np.tan, low=-1.2, high=1.2, tolerance="sine")
    unary("asin", np.arcsin, low=-0.9, high=0.9, tolerance="arc")
    unary("acos", np.arccos, low=-0.9, high=0.9, tolerance="arc")
    unary("atan", np.arctan, tolerance="arc")
    binary("atan2", np.arctan2, away_from=(0.0,), margin=0.75, tolerance="arc")
    unary("sinh", np.sinh, tolerance="hyperbolic")
    unary("cosh", np.cosh, tolerance="hyperbolic")
    unary("asinh", np.arcsinh, tolerance="arc_hyperbolic")
    unary("acosh", np.arccosh, low=1.3, tolerance="arc_hyperbolic")
    unary("atanh", np.arctanh, low=-0.8, high=0.8, tolerance="arc_hyperbolic")


def exponentials(normal_cdf: Reference) -> None:
    """Exponentials, logarithms and roots beside exp, log and sqrt."""
    unary("exp2", np.exp2, tolerance="exp2")
    unary("expm1", np.expm1, tolerance="expm1")
    unary("log1p", np.log1p, low=-0.7, tolerance="log1p")
    unary("log2", np.log2, low=0.3, tolerance="log_base")
    unary("log10", np.log10, low=0.3, tolerance="log_base")
    unary("rsqrt", lambda x: 1 / np.sqrt(x), low=0.3, tolerance="twice")
    unary("reciprocal", lambda x: 1 / x, away_from=(0.0,), low=0.5)
    unary("erfc", lambda x: 2 * normal_cdf(-x * np.sqrt(np.longdouble(2))), tolerance="erfc")


def rounded(x: Array, decimals: int = 0) -> Array:
    """NumPy's rounding; of integers nothing."""
    if np.asarray(x).dtype.kind in "iub":
        return x
    unit = np.asarray(x).dtype.type(10.0 ** abs(decimals))
    return np.rint(x * unit) / unit if decimals >= 0 else np.rint(x / unit) * unit


def rounding() -> None:
    """Signs and whole parts."""
    unary("sign", np.sign, away_from=(0.0,), tolerance="exact")
    unary("floor", np.floor, away_from=WHOLE, tolerance="exact")
    unary("ceil", np.ceil, away_from=WHOLE, tolerance="exact")
    unary("trunc", np.trunc, away_from=WHOLE, tolerance="exact")
    unary("frac", lambda x: x - np.trunc(x), away_from=WHOLE, tolerance="exact")
    unary("round", rounded, away_from=HALVES, tolerance="exact")
    binary("copysign", np.copysign, away_from=(0.0,), tolerance="exact")


def powers() -> None:
    """Powers with exponents of every kind, and lengths."""
    binary("pow", np.power, low=0.3, high=4.0, tolerance="pow", integers="numbers")
    for name, reference in (("logaddexp", np.logaddexp), ("logaddexp2", np.logaddexp2)):
        binary(name, reference, tolerance="logaddexp",
               magnitude=lambda ref, x, y: np.abs(ref) + np.abs(x) + np.abs(y) + 1)  # fmt: skip
    binary("hypot", np.hypot, away_from=(0.0,), tolerance="hypot")


def parts(x: Array, y: Array) -> Array:
    """Quotient rounded towards 0, exact for integers."""
    if np.asarray(x).dtype.kind in "iu":
        return np.trunc(np.asarray(x, np.longdouble) / y).astype(np.result_type(x, y))
    return np.trunc(x / y)


def remainders() -> None:
    """Division with remainder; quotients keep away from whole numbers, where gradients jump."""

    def dividend(shape: Sequence[int]) -> Maker:
        return lambda rng: (
            rng.integers(-4, 4, tuple(shape)) + 0.5 + rng.uniform(-0.02, 0.02, tuple(shape))
        )

    def divisor(shape: Sequence[int]) -> Maker:
        return lambda rng: rng.integers(1, 4, tuple(shape)) + rng.uniform(0, 0.02, tuple(shape))

    def negative(shape: Sequence[int]) -> Maker:
        return lambda rng: -divisor(shape)(rng)

    shapes: list[tuple[Sequence[int], Sequence[int], tuple[str, str]]] = [
        *[(s, s, ("packed", "packed")) for s in ((1,), (17,), (1000,), (2, 3, 7), (), (0,))],
        ((3, 5), (5,), ("packed", "packed")),
        ((3, 1), (1, 4), ("packed", "packed")),
        ((5, 3), (), ("packed", "packed")),
        ((5, 3), (5, 3), ("transposed", "strided")),
        ((33,), (33,), ("strided", "packed")),
    ]
    grid = np.meshgrid(SPECIAL, SPECIAL)
    for name, reference, tolerance in (
        ("fmod", np.fmod, "exact"),
        ("remainder", np.remainder, "rounded"),
        ("floor_divide", np.floor_divide, "exact"),
        ("trunc_divide", parts, "exact"),
    ):
        rows(
            name,
            reference,
            *[((dividend(a), divisor(b)), {}, layouts) for a, b, layouts in shapes],
            tolerance=tolerance,
            integers="numbers",
            special=((grid[0].ravel(), grid[1].ravel()),),
            bad=(
                Bad(((3, 5), (4,)), {}, _C.ShapeError, (f"[{name}]", "(3, 5)", "(4,)")),
                Bad((np.array([1, 2]), np.array([1, 0])), {}, RuntimeError, (name, "ZeroDivision")),
                Bad((np.array([True]), np.array([True])), {}, TypeError, (name, "bool")),
            ),
        )


def predicates() -> None:
    """Questions whose answer is bool."""
    unary("isnan", np.isnan, tolerance="exact")
    unary("isinf", np.isinf, tolerance="exact")
    unary("isposinf", np.isposinf, tolerance="exact")
    unary("isneginf", np.isneginf, tolerance="exact")
    unary("isfinite", np.isfinite, tolerance="exact")
    unary("logical_not", np.logical_not, tolerance="exact")
    comparison("logical_and", np.logical_and)
    comparison("logical_or", np.logical_or)
    comparison("logical_xor", np.logical_xor)


def bits() -> None:
    """Bits of integers and bool; floats are refused."""

    def whole(shape: Sequence[int], dtype: str, low: int = 0, high: int = 100) -> Maker:
        return lambda rng: rng.integers(low, high, tuple(shape)).astype(dtype)

    def truth(shape: Sequence[int]) -> Maker:
        return lambda rng: rng.integers(0, 2, tuple(shape)).astype(bool)

    dtypes = ("int64", "int32", "int16", "int8", "uint8")
    floats = Bad((np.zeros(3), np.zeros(3)), {}, TypeError, ("expected integers", "float64"))
    for name, reference in (
        ("bitwise_and", np.bitwise_and),
        ("bitwise_or", np.bitwise_or),
        ("bitwise_xor", np.bitwise_xor),
        ("bitwise_left_shift", np.left_shift),
        ("bitwise_right_shift", np.right_shift),
    ):
        shift = name.endswith("shift")
        first = 0 if name.endswith("left_shift") else -100
        rows(
            name,
            reference,
            *[
                ((whole((17,), d, 0 if d == "uint8" else first), whole((17,), d, 0, 7)), {})
                for d in dtypes
            ],
            *([] if shift else [((truth((33,)), truth((33,))), {})]),
            ((whole((3, 5), "int64"), whole((5,), "int64", 0, 7)), {}),
            ((whole((5, 3), "int32"), whole((5, 3), "int32", 0, 7)), {}, ("transposed", "strided")),
            ((whole((0, 3), "int64"), whole((3,), "int64")), {}),
            ((whole((), "int64"), whole((), "int64", 0, 7)), {}),
            fixed=(0, 1),
            bad=(
                floats,
                Bad(
                    (np.zeros((3, 5), int), np.zeros(4, int)),
                    {},
                    _C.ShapeError,
                    (f"[{name}]", "(3, 5)", "(4,)"),
                ),
            ),
        )
    rows(
        "bitwise_not",
        np.invert,
        *[((whole((17,), d),), {}) for d in dtypes],
        ((truth((33,)),), {}),
        ((whole((5, 3), "int64"),), {}, ("transposed",)),
        ((whole((0,), "int8"),), {}),
        fixed=(0,),
        bad=(Bad((np.zeros(3),), {}, TypeError, ("expected integers", "float64")),),
    )


def lerp(x: Array, y: Array, w: Array) -> Array:
    """x + w (y - x)."""
    return x + w * (y - x)


def addcmul(x: Array, y: Array, w: Array, value: float = 1.0) -> Array:
    """x + value y w; of integers an integer."""
    return x + (int(value) if np.asarray(x).dtype.kind in "iub" else value) * y * w


def clamp(x: Array, low: Array | None = None, high: Array | None = None) -> Array:
    """max first, then min; NumPy's own need both bounds in some releases."""
    x = x if low is None else np.maximum(x, low)
    return x if high is None else np.minimum(x, high)


THREE: list[tuple[Any, ...]] = [
    *[((s, s, s), {}) for s in ((1,), (17,), (1000,), (2, 3, 7), (), (0, 3))],
    (((3, 5), (5,), (3, 1)), {}), (((5,), (2, 5), ()), {}),
    (((5, 3), (5, 3), (5, 3)), {}, ("transposed", "strided", "packed")),
    (((4, 7), (4, 7), (4, 7)), {}, ("packed", "expanded", "transposed")),
]  # fmt: skip
BAD_THREE = (_C.ShapeError, ("(3, 5)", "(4,)"))


def ternary() -> None:
    """Functions of three tensors."""
    refused = Bad(((3, 5), (3, 5), (4,)), {}, *BAD_THREE)
    valued = [(((33,), (33,), (33,)), {"value": v}) for v in (-0.5, 2.0)]
    rows("lerp", lerp, *THREE, low=0.1, high=2.0, tolerance="lerp", bad=(refused,),
         magnitude=lambda ref, x, y, w: (np.abs(x) + np.abs(y)) * (1 + np.abs(w)))  # fmt: skip
    rows("addcmul", addcmul, *THREE, *[v for v in valued if v[1]["value"] == 2.0],
         tolerance="ternary", integers="numbers", bad=(refused,),
         magnitude=lambda ref, x, y, w, value=1.0: np.abs(x) + np.abs(value * y * w))  # fmt: skip
    rows("addcdiv", lambda x, y, w, value=1.0: x + value * (y / w), *THREE, *valued,
         low=0.5, high=2.0, tolerance="ternary", bad=(refused,),
         magnitude=lambda ref, x, y, w, value=1.0: np.abs(x) + np.abs(value * (y / w)))  # fmt: skip

    def quarters(shape: Sequence[int]) -> Maker:  # bounds lie between them
        return lambda rng: rng.integers(-12, 12, tuple(shape)) / 4

    def bound(shape: Sequence[int], around: float) -> Maker:
        return lambda rng: around + 0.125 + rng.integers(-2, 2, tuple(shape)) / 4

    def bounds(a: Sequence[int], b: Sequence[int], c: Sequence[int]) -> tuple[Maker, ...]:
        return quarters(a), bound(b, -1), bound(c, 1)

    some = [((quarters((17,)), bound((17,), -1), None), {}),
            ((quarters((5, 3)), None, bound((3,), 1)), {}),
            ((quarters((5, 3)), None, bound((), 1)), {}, ("transposed", "packed", "packed")),
            ((quarters((7,)), bound((7,), 1), bound((7,), -1)), {})]  # fmt: skip
    points = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 2.5, -3e38])
    grid = np.meshgrid(points, points, points)
    rows("clamp", clamp,
         *[(bounds(*shapes), attrs, *layouts) for shapes, attrs, *layouts in THREE
           if not layouts or "expanded" not in layouts[0]], *some,
         special=(tuple(g.ravel() for g in grid),),
         bad=(refused, Bad(((3,),), {}, ValueError, ("[clamp]", "min"))))  # fmt: skip
    choose: Maker = lambda rng: rng.integers(0, 2, 17).astype(bool)  # noqa: E731
    matrix: Maker = lambda rng: rng.integers(0, 2, (5, 3)).astype(bool)  # noqa: E731
    rows("where", np.where,
         ((choose, (17,), (17,)), {}), ((matrix, (3,), (5, 1)), {}), ((matrix, (), ()), {}),
         ((choose, (2, 17), ()), {}), ((lambda rng: np.array(True), (4,), (4,)), {}),
         ((lambda rng: np.zeros((0, 3), bool), (3,), (1,)), {}),
         ((matrix, (5, 3), (5, 3)), {}, ("transposed", "strided", "packed")),
         fixed=(0,),
         bad=(Bad((np.zeros(3), (3,), (3,)), {}, TypeError, ("[where]", "bool", "float64")),
              Bad((np.zeros((3, 5), bool), (4,), (3, 5)), {}, *BAD_THREE)))  # fmt: skip


def keyword_forms() -> None:
    """alpha of add and sub, rounding_mode of div."""
    shapes = [((17,), (17,)), ((3, 5), (5,)), ((5, 3), ()), ((0, 3), (3,))]
    whole = [{}, {"alpha": 2.0}, {"alpha": 3.0}]
    one = np.array([1])
    refused = (
        Bad(((3, 5), (4,)), {"alpha": 2.0}, *BAD_THREE),
        Bad((one, one), {"alpha": 0.5}, TypeError, ("alpha", "0.5")),
    )

    def scale(x: Array, alpha: float) -> Array:
        kind = np.asarray(x).dtype
        return np.asarray(alpha).astype(int).astype(kind) * x if kind.kind in "iu" else alpha * x

    for name, sign in (("add_scaled", 1), ("sub_scaled", -1)):
        rows(name, lambda x, y, alpha=1.0, sign=sign: x + scale(y, sign * alpha),
             *[((a, b), attrs) for a, b in shapes for attrs in whole],
             (((5, 3), (5, 3)), {"alpha": 2.0}, ("transposed", "strided")),
             low=0.0, tolerance="twice", integers="no bools",
             magnitude=lambda ref, x, y, alpha=1.0: np.abs(x) + np.abs(alpha * y),
             bad=refused)  # fmt: skip
    round_to = {None: lambda q: q, "floor": np.floor, "trunc": np.trunc}

    def half(shape: Sequence[int]) -> Maker:
        return lambda rng: rng.integers(-4, 4, tuple(shape)) + 0.5

    def three(shape: Sequence[int]) -> Maker:
        return lambda rng: rng.integers(1, 4, tuple(shape)).astype(float)

    rows("div_rounded", lambda x, y, rounding_mode=None: round_to[rounding_mode](x / y),
         *[((half(a), three(b)), {"rounding_mode": mode}) for a, b in shapes for mode in round_to],
         tolerance="rounded", integers="none",
         bad=(Bad(((3,), (3,)), {"rounding_mode": "up"}, ValueError, ("rounding_mode", "up")),
              Bad(((3, 5), (4,)), {"rounding_mode": "floor"}, *BAD_THREE)))  # fmt: skip


def numbers_for(x: Array, nan: float | None, posinf: float | None, neginf: float | None) -> Array:
    """NumPy's; integers as they are."""
    if np.asarray(x).dtype.kind in "iub":
        return x
    return np.nan_to_num(x, nan=nan or 0.0, posinf=posinf, neginf=neginf)


def replacing() -> None:
    """Numbers in place of what is none."""
    odd = np.array([np.nan, np.inf, -np.inf, 1.5, -2.0, 0.0, -0.0])
    given = {"nan": 7.0, "posinf": 8.0, "neginf": -9.0}
    rows("nan_to_num", lambda x, nan=None, posinf=None, neginf=None:
         numbers_for(x, nan, posinf, neginf),
         *[((shape,), attrs) for shape in ((), (0,), (17,), (2, 3, 7)) for attrs in ({}, given)],
         (((5, 3),), given, ("transposed",)), (((5, 3),), {}, ("strided",)),
         special=((odd,),), special_attrs=given,
         bad=(Bad(((3,),), {"nan": "x"}, TypeError, ("[nan_to_num]", "nan")),))  # fmt: skip


def membership() -> None:
    """Elements among others."""

    def small(shape: Sequence[int]) -> Maker:
        return lambda rng: rng.integers(0, 5, tuple(shape)).astype(float)

    odd: Maker = lambda rng: rng.choice([np.nan, np.inf, 1.0], 9)  # noqa: E731
    rows("isin", lambda x, y, assume_unique=False, invert=False: np.isin(x, y, invert=invert),
         *[((small(a), small(b)), attrs) for a, b in (
             ((17,), (3,)), ((3, 5), (2, 2)), ((), (3,)), ((4,), ()), ((0, 3), (2,)), ((5,), (0,)))
           for attrs in ({}, {"invert": True})],
         ((small((7,)), small((3,))), {"assume_unique": True}),
         ((small((5, 3)), small((4, 2))), {}, ("transposed", "strided")),
         ((odd, odd), {}), fixed=(0, 1),
         bad=(Bad(((3,), (2,)), {"invert": 1}, TypeError, ("[isin]", "invert")),))  # fmt: skip
