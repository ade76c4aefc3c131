"""Rows of the case table for activations; `cases.py` explains what a row is."""

from __future__ import annotations

from typing import Any

import numpy as np
from samples import Array, Bad, binary, draw, one_input, rows, unary

from ranvier import _C


def sigmoid(x: Array) -> Array:
    """1 / (1 + e^-x), without overflow."""
    return np.exp(-np.logaddexp(0, -x))


def softplus(x: Array, beta: Any = 1.0, threshold: Any = 20.0) -> Array:
    """log(1 + e^(b x)) / b; x above the threshold."""
    b, t = 1.0 if beta is None else beta, 20.0 if threshold is None else threshold
    return np.where(x * b > t, x, np.logaddexp(0, x * b) / b)


def elu(x: Array, alpha: float = 1.0) -> Array:
    """x above 0, alpha (e^x - 1) below."""
    return np.where(x > 0, x, alpha * np.expm1(x))


def selu(x: Array) -> Array:
    """With the constants of Klambauer et al."""
    alpha, scale = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
    return scale * elu(x, alpha)


def gelu_tanh(x: Array) -> Array:
    """By tanh."""
    return x * 0.5 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


unary(
    "step_straight_through",
    lambda x, at_zero=1.0: np.heaviside(x, at_zero),
    away_from=(0.0,),
    tolerance="exact",
    attrs=({}, {"at_zero": 0.0}, {"at_zero": 0.5}),
    derived=False,
)
unary(
    "relu6",
    lambda x: np.where(x < 0, 0, np.where(x > 6, 6, x)),
    low=-8,
    high=8,
    away_from=(0.0, 6.0),
    tolerance="exact",
    integers="numbers",
)
unary("elu", elu, away_from=(0.0,), tolerance="expm1", attrs=({}, {"alpha": 0.5}))
unary(
    "celu",
    lambda x, alpha=1.0: np.where(x > 0, x, alpha * np.expm1(x / alpha)),
    away_from=(0.0,),
    tolerance="celu",
    attrs=({}, {"alpha": 0.5}, {"alpha": 2.0}),
)
unary("selu", selu, away_from=(0.0,), tolerance="expm1")
unary(
    "gelu_tanh",
    gelu_tanh,
    tolerance="gelu_tanh",
    magnitude=lambda ref, x: np.abs(ref) * (1 + 2 * np.abs(x) + np.abs(x) ** 3 / 4),
)
unary("mish", lambda x: x * np.tanh(np.logaddexp(0, x)), tolerance="mish")
unary(
    "hardsigmoid",
    lambda x: np.where(x <= -3, 0, np.where(x >= 3, 1, (x + 3) / 6)),
    away_from=(-3.0, 3.0),
    tolerance="twice",
)
unary(
    "hardswish",
    lambda x: np.where(x <= -3, 0, np.where(x >= 3, x, x * (x + 3) / 6)),
    away_from=(-3.0, 3.0),
    tolerance="thrice",
)
unary("logsigmoid", lambda x: -np.logaddexp(0, -x), tolerance="logistic")
unary("tanhshrink", lambda x: x - np.tanh(x), tolerance="tanh", magnitude=lambda ref, x: np.abs(x))
unary(
    "softshrink",
    lambda x, lambd=0.5: np.where(x > lambd, x - lambd, np.where(x < -lambd, x + lambd, x * 0)),
    away_from=(-0.5, 0.5, -1.0, 1.0),
    attrs=({}, {"lambd": 1.0}),
)
unary(
    "hardshrink",
    lambda x, lambd=0.5: np.where(np.abs(x) <= lambd, 0, x),
    away_from=(-0.5, 0.5, -1.0, 1.0),
    tolerance="exact",
    attrs=({}, {"lambd": 1.0}),
)
binary("rectify", lambda x, y: np.where(x > 0, x, y * x), away_from=(0.0,))

SHAPES: list[tuple[int, ...]] = [(1,), (17,), (3, 5), (2, 3, 7), (0, 3), ()]
EACH: Any = lambda low, high: lambda rng: rng.uniform(low, high, ())  # noqa: E731
MATRIX: Any = lambda low, high: lambda rng: rng.uniform(low, high, (5, 3))  # noqa: E731
AWAY: Any = lambda shape: lambda rng: draw(rng, shape, away_from=(0.0,))  # noqa: E731
QUARTERS: Any = lambda shape: lambda rng: rng.integers(-12, 12, shape) / 4  # noqa: E731
BROKEN = (Bad(((3, 5), (3, 5), (4,)), {}, _C.ShapeError, ("(3, 5)", "(4,)")),)

rows(
    "softplus",
    softplus,
    *[((s, None, None), {}) for s in SHAPES],
    *[((s, EACH(0.5, 2), None), {}) for s in SHAPES],
    ((MATRIX(2, 4), MATRIX(0.5, 1), EACH(1, 1.5)), {}, ("transposed", "strided", "packed")),
    ((MATRIX(4, 6), None, EACH(1, 2)), {}),
    tolerance="softplus",
    magnitude=lambda ref, x, beta=1.0, threshold=20.0: (
        np.abs(ref) * (1 + np.abs(x * (1 if beta is None else beta)))
    ),
    integers="none",
    bad=BROKEN,
    special=(
        (np.array([np.nan, np.inf, -np.inf, 0.0, 1e30, -1e30]), np.array(1.0), np.array(20.0)),
    ),
)
rows(
    "hardtanh",
    lambda x, low=-1.0, high=1.0: np.clip(
        x, -1.0 if low is None else low, 1.0 if high is None else high
    ),
    *[((QUARTERS(s), EACH(-1.15, -1.05), EACH(0.85, 0.95)), {}) for s in SHAPES],
    (((lambda rng: np.array([-3.0, -0.5, 0.5, 3.0])), None, None), {}),
    ((MATRIX(-0.5, 0.5), MATRIX(-3, -2), MATRIX(2, 3)), {}, ("transposed", "strided", "packed")),
    ((MATRIX(-1, -0.5), MATRIX(-0.4, 0), MATRIX(2, 3)), {}),
    ((MATRIX(1, 1.5), MATRIX(-0.4, 0), MATRIX(0.5, 0.9)), {}),
    integers="none",
    bad=BROKEN,
)
rows(
    "threshold",
    lambda x, t, value: np.where(x <= t, value, x),
    *[((s, EACH(5, 6), EACH(-1, 1)), {}) for s in SHAPES],
    *[((s, EACH(-6, -5), EACH(-1, 1)), {}) for s in SHAPES],
    ((MATRIX(-0.5, 0.5), MATRIX(0.6, 0.9), MATRIX(2, 3)), {}, ("transposed", "strided", "packed")),
    integers="none",
    bad=BROKEN,
)
rows(
    "prelu",
    lambda x, w: np.where(
        x > 0, x, x * (w if np.size(w) == 1 else np.reshape(w, (1, -1) + (1,) * (x.ndim - 2)))
    ),
    *[((AWAY(s), EACH(-1, 1)), {}) for s in SHAPES],
    ((AWAY((5, 3)), (3,)), {}),
    ((AWAY((2, 3, 4)), (3,)), {}),
    ((AWAY((4,)), (1,)), {}),
    ((AWAY((2, 3, 4)), (3,)), {}, ("transposed", "packed")),
    tolerance="rounded",
    integers="none",
    bad=(
        Bad(((2, 3), (2,)), {}, _C.ShapeError, ("[prelu]", "(3,)", "(2, 3)", "(2,)")),
        Bad(((2, 3), (3, 1)), {}, _C.ShapeError, ("[prelu]", "(3, 1)")),
    ),
)
rows(
    "glu",
    lambda x, dim=-1: np.multiply(np.split(x, 2, dim)[0], sigmoid(np.split(x, 2, dim)[1])),
    *one_input(
        [
            ((2,), {}),
            ((34,), {}),
            ((3, 4), {}),
            ((4, 3), {"dim": 0}),
            ((2, 6, 3), {"dim": 1}),
            ((0, 4), {}),
        ]
    ),
    tolerance="silu",
    integers="taken",
    bad=(
        Bad(((3,),), {}, _C.ShapeError, ("[glu]", "even", "3")),
        Bad(((),), {}, _C.ShapeError, ("[glu]",)),
        Bad(((2, 4),), {"dim": 2}, IndexError, ("[glu]",)),
    ),
)
