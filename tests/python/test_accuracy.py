"""How exact the functions are: float32 over its numbers, float64 against the C library, long sums.

A float32 result is compared with the float64 one, in units of its last place. The reference is
NumPy's float64, or Ranvier's own where NumPy has none: that one is compared with the C library's
here. The normal run takes one float32 in 997; the slow one takes all 2^32.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ranvier as rv

Array = Any
F = rv.nn.functional
BASE = rv.cpu_info()["isa"] == "base"  # no fused multiply-add: every one is rounded twice
CHUNK = 1 << 20


def own(f: Callable[[Any], Any]) -> Callable[[Array], Array]:
    """A function of tensors as one of arrays."""
    return lambda x: f(rv.from_numpy(x)).numpy()  # type: ignore[no-any-return]


# The function, its float64 reference, and how many units of the last place it may be off.
FUNCTIONS: dict[str, tuple[Callable[[Any], Any], Callable[[Array], Array], float]] = {
    "exp": (rv.exp, np.exp, 2),
    "log": (rv.log, np.log, 2),
    "tanh": (rv.tanh, np.tanh, 2),
    "sigmoid": (rv.sigmoid, own(rv.sigmoid), 2),
    "exp2": (rv.exp2, np.exp2, 4),
    "expm1": (rv.expm1, np.expm1, 4),
    "log1p": (rv.log1p, np.log1p, 4),
    "log2": (rv.log2, np.log2, 4),
    "log10": (rv.log10, np.log10, 4),
    "sin": (rv.sin, np.sin, 4),
    "cos": (rv.cos, np.cos, 4),
    "tan": (rv.tan, np.tan, 4),
    "atan": (rv.atan, np.arctan, 4),
    "sinh": (rv.sinh, np.sinh, 4),
    "cosh": (rv.cosh, np.cosh, 4),
    "erf": (rv.erf, own(rv.erf), 4),
    "erfc": (rv.erfc, own(rv.erfc), 4),
    "gelu": (F.gelu, own(F.gelu), 4),
    "silu": (F.silu, own(F.silu), 4),
    "softplus": (F.softplus, lambda x: own(lambda t: F.softplus(t, threshold=1000.0))(x), 4),
}


def units(got: Array, exact: Array) -> Array:
    """The distance in units of the last place of float32, inf where NaN or infinity is wrong."""
    with np.errstate(all="ignore"):
        rounded = exact.astype(np.float32)
        size = np.abs(exact)
        _, exponent = np.frexp(np.where(np.isfinite(size), size, 1.0))
        place = np.ldexp(1.0, np.maximum(exponent - 24, -149))
        off = np.abs(got.astype(np.float64) - exact) / place
        special = np.isnan(exact) | np.isinf(rounded)
        right = np.where(np.isnan(exact), np.isnan(got), got == rounded)
        most = np.finfo(np.float32).max  # just below the first number that rounds to infinity
        right |= np.isinf(rounded) & (np.abs(got) == most) & (size < most * (1 + 2.0**-23))
    return np.where(special, np.where(right, 0.0, np.inf), np.where(np.isnan(off), np.inf, off))


def worst(name: str, step: int) -> tuple[float, float]:
    """The largest error over every step-th float32, and where it is."""
    f, reference, _ = FUNCTIONS[name]
    most, at = 0.0, 0.0
    for first in range(0, 1 << 32, CHUNK * step):
        bits = np.arange(first, min(first + CHUNK * step, 1 << 32), step, dtype=np.int64)
        x = bits.astype(np.uint32).view(np.float32)
        with np.errstate(all="ignore"):
            off = units(own(f)(x), reference(x.astype(np.float64)))
        i = int(off.argmax())
        if off[i] > most:
            most, at = float(off[i]), float(x[i])
    return most, at


def check(name: str, step: int) -> None:
    most, at = worst(name, step)
    bound = FUNCTIONS[name][2] + BASE
    assert most <= bound, f"{name}({at!r}) is {most:.2f} units of the last place off"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_one_float32_in_997(name: str) -> None:
    check(name, 997)


@pytest.mark.slow
@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_float32(name: str) -> None:
    check(name, 1)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_zeros_keep_their_sign_and_infinities_their_value(name: str) -> None:
    f, reference, _ = FUNCTIONS[name]
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan], np.float32)
    with np.errstate(all="ignore"):
        want = reference(x.astype(np.float64)).astype(np.float32)
    got = own(f)(x)
    assert np.array_equal(got, want, equal_nan=True)
    assert np.array_equal(np.signbit(got[:2]), np.signbit(want[:2]))


LIBRARY: dict[str, tuple[Callable[[float], float], float, float, float]] = {
    "exp": (math.exp, -708, 709, 1),
    "log": (math.log, 1e-300, 1e300, 1),
    "expm1": (math.expm1, -50, 709, 2),
    "log1p": (math.log1p, -0.999, 1e6, 1),
    "tanh": (math.tanh, -20, 20, 3),
    "erf": (math.erf, -6, 6, 2),
    "erfc": (math.erfc, -6, 26, 4),
    "sin": (math.sin, -1e4, 1e4, 1),
    "cos": (math.cos, -1e4, 1e4, 1),
    "atan": (math.atan, -1e3, 1e3, 2),
}


@pytest.mark.parametrize("name", LIBRARY)
def test_float64_against_the_c_library(name: str) -> None:
    f, low, high, bound = LIBRARY[name]
    rng = np.random.default_rng(7)
    x = np.concatenate([rng.uniform(low, high, 20000), rng.uniform(max(low, -1), 1, 20000)])
    x = x[(x > low) & (x < high)]
    want = np.array([f(v) for v in x.tolist()])
    got = own(getattr(rv, name))(x)
    off = np.abs(got - want) / np.spacing(np.abs(want))
    # Both may be the neighbour on the other side of the exact number.
    assert off.max() <= bound + BASE, f"{name}({x[off.argmax()]!r}): {off.max()}"


@pytest.mark.parametrize("reduce", [rv.sum, rv.mean])
@pytest.mark.parametrize("shape", [(10**7,), (10**6, 10), (10, 10**6)])
def test_long_sums(reduce: Callable[..., Any], shape: tuple[int, ...]) -> None:
    """Ten million uniform numbers: a running sum would be off by 3e-6."""
    x = np.random.default_rng(3).random(shape, dtype=np.float32)
    name = "sum" if reduce is rv.sum else "mean"
    exact = float(getattr(x.astype(np.float64), name)())
    assert abs(reduce(rv.from_numpy(x)).item() / exact - 1) <= 2e-7
    for axis in range(len(shape)):
        want = getattr(x.astype(np.float64), name)(axis=axis)
        got = reduce(rv.from_numpy(x), dim=axis).numpy()
        assert np.max(np.abs(got / want - 1)) <= 1e-6 if len(shape) > 1 else 2e-7


def test_state_of_a_dead_unit_becomes_zero_and_not_subnormal() -> None:
    """After 10,000 gradients of 0 nothing slow is left that an update would have to carry along."""
    w = rv.ones(1000).requires_grad_()
    optimizer = rv.optim.Adam([w], lr=1e-3)
    w.grad = rv.randn(1000)
    optimizer.step()
    w.grad = rv.zeros(1000)
    smallest = np.finfo(np.float32).tiny
    for step in range(10000):
        optimizer.step()
        if step % 500 == 0:
            for name in ("exp_avg", "exp_avg_sq"):
                size = np.abs(optimizer.state[w][name].numpy())
                assert np.all((size == 0) | (size >= smallest))
    assert not optimizer.state[w]["exp_avg"].numpy().any()
