"""How exact float32 functions are, over all their numbers; and sums of ten million.

A float32 result is compared with Ranvier's own float64 result, in units of the last place of the
exact number; `test_accuracy_float64.py` is what makes that one a reference. The normal run takes
one float32 in 997; the slow one takes all 2^32.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import ranvier as rv

Array = Any
F = rv.nn.functional
BASE = rv.cpu_info()["isa"] == "base"  # no fused multiply-add: every one is rounded twice
CHUNK = 1 << 17

# The function, and how many units of the last place it may be off.
FUNCTIONS: dict[str, tuple[Callable[[Any], Any], float]] = {
    "exp": (rv.exp, 2),
    "log": (rv.log, 2),
    "tanh": (rv.tanh, 2),
    "sigmoid": (rv.sigmoid, 2),
    "exp2": (rv.exp2, 4),
    "expm1": (rv.expm1, 4),
    "log1p": (rv.log1p, 4),
    "log2": (rv.log2, 4),
    "log10": (rv.log10, 4),
    "sin": (rv.sin, 4),
    "cos": (rv.cos, 4),
    "tan": (rv.tan, 4),
    "asin": (rv.asin, 4),
    "acos": (rv.acos, 4),
    "atan": (rv.atan, 4),
    "sinh": (rv.sinh, 4),
    "cosh": (rv.cosh, 4),
    "asinh": (rv.asinh, 4),
    "acosh": (rv.acosh, 4),
    "atanh": (rv.atanh, 4),
    "sqrt": (rv.sqrt, 0.5),
    "rsqrt": (rv.rsqrt, 2),
    "reciprocal": (rv.reciprocal, 0.5),
    "erf": (rv.erf, 4),
    "erfc": (rv.erfc, 4),
    "gelu": (F.gelu, 4),
    "gelu_tanh": (lambda x: F.gelu(x, approximate="tanh"), 4),
    "silu": (F.silu, 4),
    "softplus": (lambda x: F.softplus(x, threshold=1000.0), 4),
    "logsigmoid": (F.logsigmoid, 4),
    "mish": (F.mish, 4),
    "tanhshrink": (F.tanhshrink, 4),
    "softsign": (F.softsign, 2),
    "elu": (F.elu, 4),
    "selu": (F.selu, 4),
    "hardswish": (F.hardswish, 4),
}


def own(f: Callable[[Any], Any], x: Array) -> Array:
    """A function of tensors as one of arrays."""
    return f(rv.from_numpy(x)).numpy()


def units(got: Array, exact: Array) -> Array:
    """The distance in units of the last place of float32, inf where NaN or infinity is wrong."""
    power = (exact.view(np.int64) & 0x7FF0000000000000).view(np.float64)  # 2^e <= |exact|
    with np.errstate(all="ignore"):
        off = np.abs(got.astype(np.float64) - exact) / np.maximum(power * 2.0**-23, 2.0**-149)
        if off.max() < 100:  # false where one is NaN
            return off
        rounded = exact.astype(np.float32)
        most = np.finfo(np.float32).max  # just below the first number that rounds to infinity
        right = (got == rounded) | (np.isnan(exact) & np.isnan(got))
        right |= (np.abs(got) == most) & (np.abs(exact) < most * (1 + 2.0**-23))
        special = np.isnan(off) | ~np.isfinite(rounded)
    return np.where(special, np.where(right, 0.0, np.inf), off)


def worst_of(f: Callable[[Any], Any], first: int, step: int) -> tuple[float, float]:
    """The largest error of one chunk, and where it is."""
    bits = np.arange(first, min(first + CHUNK * step, 1 << 32), step, dtype=np.int64)
    x = bits.astype(np.uint32).view(np.float32)
    with np.errstate(all="ignore"):  # signalling NaN
        off = units(own(f, x), own(f, x.astype(np.float64)))
    i = int(off.argmax())
    return float(off[i]), float(x[i])


def check(name: str, step: int) -> None:
    f, bound = FUNCTIONS[name]
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        chunks = range(0, 1 << 32, CHUNK * step)
        most, at = max(threads.map(lambda first: worst_of(f, first, step), chunks))
    print(f"{name}: {most:.3f} units of the last place at {at!r}")
    assert most <= bound + BASE, f"{name}({at!r}) is {most:.2f} units of the last place off"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_one_float32_in_997(name: str) -> None:
    check(name, 997)


@pytest.mark.slow
@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_float32(name: str) -> None:
    check(name, 1)


def test_units_tell_what_is_wrong() -> None:
    """The measure itself: neighbours, a wrong NaN, overflow, subnormals."""
    one = np.float32(1)
    got = np.array([1, np.nextafter(one, 2), np.nextafter(one, 0), np.inf, 1e-45, 0], np.float32)
    least = 2.0**-149
    exact = np.array([1.0, 1.0, 1.0, 4e38, 1.25 * least, 0.75 * least])
    assert np.allclose(units(got, exact), [0, 1, 0.5, 0, 0.25, 0.75])
    wrong = units(np.array([np.nan, 1, np.inf], np.float32), np.array([1.0, np.nan, 3e38]))
    assert np.all(np.isinf(wrong))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_zeros_keep_their_sign_and_infinities_their_value(name: str) -> None:
    f, _ = FUNCTIONS[name]
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan], np.float32)
    got, want = own(f, x), own(f, x.astype(np.float64)).astype(np.float32)
    assert np.array_equal(got, want, equal_nan=True)
    assert np.array_equal(np.signbit(got[:2]), np.signbit(want[:2]))


SHAPES = [(10**7,), (10**6, 10), (10, 10**6), (3163, 3163), (100, 1000, 100)]


@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize("reduce", [rv.sum, rv.mean])
@pytest.mark.parametrize("shape", SHAPES)
def test_long_sums(reduce: Callable[..., Any], shape: tuple[int, ...], threads: int) -> None:
    """Ten million uniform numbers, whole and along every axis: a running sum is off by 3e-6."""
    x = np.random.default_rng(3).random(shape, dtype=np.float32)
    name = "sum" if reduce is rv.sum else "mean"
    mine = rv.from_numpy(x)
    before = rv.get_num_threads()
    rv.set_num_threads(threads)
    try:
        exact = float(getattr(x.astype(np.float64), name)())
        assert abs(reduce(mine).item() / exact - 1) <= 2e-7
        for axis in range(len(shape)):
            want = x.sum(axis=axis, dtype=np.float64) / (1 if name == "sum" else shape[axis])
            got = reduce(mine, dim=axis).numpy().astype(np.float64)
            # A mean of few numbers has one rounding more: that of its division.
            bound = 2e-7 + 2.0**-24 * (name == "mean" and shape[axis] <= 100)
            assert np.max(np.abs(got / want - 1)) <= bound, f"axis {axis}"
    finally:
        rv.set_num_threads(before)


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
