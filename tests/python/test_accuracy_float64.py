"""How exact float64 functions are: against exact results, and against the C library.

Exact means the processor's 64-bit mantissa (numpy.longdouble), eleven bits more than are tested,
and for the error function decimal arithmetic of 60 digits. One unit is that of the exact result.
The C library is itself off by up to two units in some functions: where it is by no more than one,
its result and Ranvier's are the same number or neighbours.
"""

from __future__ import annotations

import decimal
import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

import ranvier as rv

Array = Any
F = rv.nn.functional
Long = np.longdouble
BASE = rv.cpu_info()["isa"] == "base"  # no fused multiply-add
needs_long = pytest.mark.skipif(np.finfo(Long).nmant < 63, reason="longdouble is float64 here")


def logistic(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def softplus(x: Array) -> Array:
    return np.maximum(x, 0) + np.log1p(np.exp(-abs(x)))


def mish(x: Array) -> Array:
    e = np.exp(-abs(x))
    below = e * (e + 2) / (e * (e + 2) + 2)
    return x * np.where(x < 0, below, (1 + 2 * e) / (1 + 2 * e + 2 * e * e))


def gelu_tanh(x: Array) -> Array:
    slope = 2 * np.sqrt(2 / (4 * np.arctan(Long(1))))
    return x * logistic(slope * (x + Long("0.044715") * x**3))


def tanhshrink(x: Array) -> Array:
    w, series = x * x, Long(0)
    for up, down in ((-21844, 6081075), (1382, 155925), (-62, 2835), (17, 315), (-2, 15), (1, 3)):
        series = series * w + Long(up) / down
    return np.where(abs(x) < 0.04, x * w * series, x - np.tanh(x))


def elu(x: Array) -> Array:
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def selu(x: Array) -> Array:
    scale, alpha = Long("1.0507009873554804934193"), Long("1.6732632423543772848170")
    return np.where(x > 0, scale * x, scale * alpha * np.expm1(np.minimum(x, 0)))


# The function, the exact one, its domain, and how many units of the last place it may be off.
FUNCTIONS: dict[
    str, tuple[Callable[[Any], Any], Callable[[Array], Array], tuple[float, float], float]
] = {
    "exp": (rv.exp, np.exp, (-745, 709.7), 0.9),
    "exp2": (rv.exp2, np.exp2, (-1074, 1024), 0.9),
    "expm1": (rv.expm1, np.expm1, (-math.inf, 709.7), 1),
    "log": (rv.log, np.log, (0, math.inf), 0.9),
    "log1p": (rv.log1p, np.log1p, (-1, math.inf), 0.9),
    "log2": (rv.log2, np.log2, (0, math.inf), 0.55),
    "log10": (rv.log10, np.log10, (0, math.inf), 0.55),
    "sin": (rv.sin, np.sin, (-math.inf, math.inf), 0.9),
    "cos": (rv.cos, np.cos, (-math.inf, math.inf), 0.9),
    "tan": (rv.tan, np.tan, (-math.inf, math.inf), 1),
    "asin": (rv.asin, np.arcsin, (-1, 1), 0.8),
    "acos": (rv.acos, np.arccos, (-1, 1), 0.8),
    "atan": (rv.atan, np.arctan, (-math.inf, math.inf), 0.8),
    "sinh": (rv.sinh, np.sinh, (-710, 710), 0.8),
    "cosh": (rv.cosh, np.cosh, (-710, 710), 0.75),
    "tanh": (rv.tanh, np.tanh, (-math.inf, math.inf), 0.75),
    "asinh": (rv.asinh, np.arcsinh, (-math.inf, math.inf), 0.55),
    "acosh": (rv.acosh, np.arccosh, (1, math.inf), 0.55),
    "atanh": (rv.atanh, np.arctanh, (-1, 1), 0.55),
    "sqrt": (rv.sqrt, np.sqrt, (0, math.inf), 0.501),
    "rsqrt": (rv.rsqrt, lambda x: 1 / np.sqrt(x), (0, math.inf), 0.55),
    "reciprocal": (rv.reciprocal, lambda x: 1 / x, (-math.inf, math.inf), 0.501),
    "sigmoid": (rv.sigmoid, logistic, (-745, math.inf), 0.8),
    "silu": (F.silu, lambda x: x * logistic(x), (-745, math.inf), 1),
    "gelu_tanh": (lambda x: F.gelu(x, approximate="tanh"), gelu_tanh, (-21, math.inf), 1.2),
    "softplus": (lambda x: F.softplus(x, threshold=1e9), softplus, (-745, math.inf), 0.9),
    "logsigmoid": (F.logsigmoid, lambda x: -softplus(-x), (-math.inf, 745), 0.9),
    "mish": (F.mish, mish, (-745, math.inf), 1),
    "tanhshrink": (F.tanhshrink, tanhshrink, (-math.inf, math.inf), 2.2),
    "softsign": (F.softsign, lambda x: x / (1 + abs(x)), (-math.inf, math.inf), 1.5),
    "elu": (F.elu, elu, (-math.inf, math.inf), 1),
    "selu": (F.selu, selu, (-math.inf, 1e300), 3),
    "hardsigmoid": (F.hardsigmoid, lambda x: np.clip(x + 3, 0, 6) / 6, (-10, 10), 1.01),
    "hardswish": (F.hardswish, lambda x: x * np.clip(x + 3, 0, 6) / 6, (-10, 1e300), 2),
}


def numbers(low: float, high: float, n: int = 20000) -> Array:
    """Of any size, near 0, near 1, where functions bend, subnormal."""
    rng = np.random.default_rng(5)
    sign = rng.choice([-1.0, 1.0], n)
    parts = [
        rng.integers(0, 2**64, n, dtype=np.uint64).view(np.float64),
        *(rng.uniform(-size, size, n) for size in (1, 8, 40, 800, 1e6)),
        np.exp(rng.uniform(-40, 10, n)) * sign,
        1 + sign * rng.uniform(0, 1, n) * np.exp(rng.uniform(-35, 0, n)),
        np.ldexp(rng.uniform(0, 1, n), -1030) * sign,
        np.arange(-200, 200) / 4,
    ]
    x = np.concatenate(parts)
    return x[np.isfinite(x) & (x > low) & (x < high)]


def units(got: Array, exact: Array) -> Array:
    """The distance in units of the last place of the exact numbers; inf where NaN differs."""
    with np.errstate(all="ignore"):
        nearest = exact.astype(np.float64)
        _, exponent = np.frexp(np.where(np.isfinite(exact), exact, Long(1)))
        place = np.ldexp(Long(1), np.maximum(exponent - 53, -1074))
        off = np.abs(got.astype(Long) - exact) / place
        special = ~np.isfinite(nearest) | (exact == 0)
        right = (got == nearest) | (np.isnan(exact) & np.isnan(got))
    return np.where(special, np.where(right, 0, np.inf), np.where(np.isnan(off), np.inf, off))


def own(f: Callable[..., Any], *arrays: Array) -> Array:
    return f(*(rv.from_numpy(x) for x in arrays)).numpy()


def check(name: str, off: Array, *inputs: Array, bound: float) -> None:
    i = int(off.argmax())
    at = ", ".join(repr(float(x[i])) for x in inputs)
    print(f"{name}: {off[i]:.3f} units of the last place at {at}")
    assert off[i] <= bound + 0.5 * BASE, f"{name}({at}) is {off[i]:.3f} units off"


@needs_long
@pytest.mark.parametrize("name", FUNCTIONS)
def test_against_the_exact_result(name: str) -> None:
    f, exact, (low, high), bound = FUNCTIONS[name]
    x = numbers(low, high)
    with np.errstate(all="ignore"):
        off = units(own(f, x), exact(x.astype(Long)))
    check(name, off, x, bound=bound)


def pairs(n: int = 60000) -> tuple[Array, Array]:
    rng = np.random.default_rng(6)
    sizes = [(-2, 2), (-300, 300), (-20, 20)]
    x, y = (
        np.concatenate([np.exp(rng.uniform(*s, n)) * rng.choice([-1.0, 1.0], n) for s in sizes])
        for _ in range(2)
    )
    return x, y


@needs_long
def test_functions_of_two_numbers() -> None:
    x, y = pairs()
    wide = [a.astype(Long) for a in (x, y)]
    check("div", units(own(rv.div, x, y), wide[0] / wide[1]), x, y, bound=0.501)
    check("atan2", units(own(rv.atan2, x, y), np.arctan2(*wide)), x, y, bound=0.85)
    check("hypot", units(own(rv.hypot, x, y), np.hypot(*wide)), x, y, bound=0.55)
    # With one sign nothing cancels; where it does, the exact result has no more digits.
    x, y = np.abs(np.clip(x, -1e6, 1e6)), np.abs(np.clip(y, -1e6, 1e6))
    want = np.logaddexp(x.astype(Long), y.astype(Long))
    check("logaddexp", units(own(rv.logaddexp, x, y), want), x, y, bound=0.75)


@needs_long
def test_powers() -> None:
    rng = np.random.default_rng(8)
    n = 40000
    x = np.concatenate([np.exp(rng.uniform(-30, 30, n)), rng.uniform(0.5, 2, n)])
    y = np.concatenate([rng.uniform(-20, 20, n), rng.uniform(-1000, 1000, n)])
    check("pow", units(own(rv.pow, x, y), x.astype(Long) ** y.astype(Long)), x, y, bound=0.75)
    for p in (0.0, 1.0, 2.0, 3.0, 4.0, 0.5, -1.0):
        y = np.full_like(x, p)
        check("pow", units(own(rv.pow, x, y), x.astype(Long) ** p), x, y, bound=0.51)


# ---- the error function, in decimals


def erfc(x: float | Decimal) -> Decimal:
    """By its series about 0, x times the sum of (-x^2)^k / (k! (2k + 1)), with digits to spare."""
    t, square = Decimal(x), Decimal(x) ** 2
    term, total, k = Decimal(1), Decimal(0), 0
    while abs(term) > Decimal(10) ** -(decimal.getcontext().prec + 5):
        total += term / (2 * k + 1)
        k += 1
        term = term * -square / k
    root_pi = Decimal("3.14159265358979323846264338327950288419716939937510582097494459").sqrt()
    return 1 - 2 * t * total / root_pi


def tail(x: float | Decimal) -> Decimal:
    """erfc of a large x by Laplace's continued fraction."""
    t, f = Decimal(x), Decimal(0)
    for k in range(400, 0, -1):
        f = Decimal(k) / 2 / (t + f)
    root_pi = Decimal("3.14159265358979323846264338327950288419716939937510582097494459").sqrt()
    return (-t * t).exp() / root_pi / (t + f)


def long_of(values: list[Decimal]) -> Array:
    """Decimals as longdouble: a float64 and what it leaves."""
    high = [float(v) for v in values]
    low = [float(v - Decimal(h)) for v, h in zip(values, high, strict=True)]
    return np.array(high, Long) + np.array(low, Long)


@needs_long
def test_error_function_and_gelu() -> None:
    rng = np.random.default_rng(9)
    near = np.concatenate([rng.uniform(-4, 4, 800), np.exp(rng.uniform(-40, 1, 200))])
    far = rng.uniform(4, 26.4, 600)
    with decimal.localcontext() as context:
        context.prec = 60
        of_near, of_far = [erfc(v) for v in near.tolist()], [tail(v) for v in far.tolist()]
        erf_near, erf_far = [1 - v for v in of_near], [1 - v for v in of_far]
        # x Phi(x) = x erfc(-x / sqrt2) / 2 for float64 x = -sqrt2 t is wanted at x, not at t.
        x = np.concatenate([rng.uniform(-5, 5, 800), rng.uniform(-37, -5, 400)])
        root = Decimal(2).sqrt()
        of_x = []
        for v in x.tolist():
            t = -Decimal(v) / root
            of_x.append(Decimal(v) * (tail(t) if t > 4 else erfc(t)) / 2)
    t = np.concatenate([near, far])
    check("erfc", units(own(rv.erfc, t), long_of(of_near + of_far)), t, bound=0.9)
    check("erf", units(own(rv.erf, t), long_of(erf_near + erf_far)), t, bound=1)
    check("gelu", units(own(F.gelu, x), long_of(of_x)), x, bound=1)


# ---- the C library

# Functions in which the C library itself is within one unit of the exact result.
LIBRARY = ["exp", "expm1", "log", "log1p", "log2", "sin", "cos", "tan", "asin", "acos"]
LIBRARY += ["atan", "erf"]


def guarded(f: Callable[[float], float], x: float) -> float:
    try:
        return f(x)
    except OverflowError:
        return math.inf


@pytest.mark.parametrize("name", LIBRARY)
def test_against_the_c_library(name: str) -> None:
    low, high = FUNCTIONS[name][2] if name in FUNCTIONS else (-math.inf, math.inf)
    x = np.random.default_rng(10).permutation(numbers(low, high))[:40000]
    f = getattr(math, name)
    want = np.array([guarded(f, v) for v in x.tolist()])
    got = own(getattr(rv, name), x)
    with np.errstate(all="ignore"):
        off = np.where(got == want, 0, np.abs(got - want) / np.spacing(np.abs(want)))
    check(name, off, x, bound=1)
