"""Products of bfloat16 tensors: near the float64 sums whichever way they are computed.

Where the processor multiplies pairs of bfloat16 numbers itself (AVX512_BF16), matmul and linear let
it, with float32 sums; elsewhere the numbers are converted to float32 first. Both round in the end.
tests/cpp/test_gemm_bf16.cpp looks at the sums before that.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ranvier import _C

Array = Any
SHAPES = [
    (1, 1, 1), (7, 33, 65), (1, 130, 40), (130, 1, 40), (3, 3, 501), (40, 300, 33), (64, 64, 64),
    (0, 3, 4), (3, 0, 4), (3, 4, 0),
]  # fmt: skip


def rounded(x: Array) -> Array:
    """The nearest bfloat16 numbers, as float32."""
    return _C.from_numpy(np.asarray(x, np.float32)).bfloat16().float().numpy()


def floats(*shape: int, seed: int = 0) -> Array:
    return rounded(np.random.default_rng([seed, *shape]).standard_normal(shape))


def half(x: Array) -> Any:
    return _C.from_numpy(np.ascontiguousarray(x, np.float32)).bfloat16()


def spread(x: Array, layout: str) -> Any:
    if layout == "transposed":
        return half(x.T).transpose(0, 1)
    if layout == "strided":
        wide = np.full((x.shape[0] + 1, 2 * x.shape[1] + 1), 9, np.float32)
        wide[1:, 1::2] = x
        return half(wide)[1:, 1::2]
    return half(x)


def expect_near(got: Any, want: Array, size: Array, k: int) -> None:
    """Half a unit in the last of bfloat16's 8 digits, and what k float32 additions lose."""
    assert got.dtype == _C.bfloat16
    error = np.abs(got.float().numpy().astype(np.float64) - want)
    bound = 2.0**-8 * np.abs(want) * (1 + 2.0**-6) + 2.0**-24 * (2 + k) * size
    assert np.all(error <= bound), np.max(error - bound)


@pytest.mark.parametrize("layout", ["packed", "transposed", "strided"])
def test_matmul_is_near_the_sums(layout: str, isa: str) -> None:
    for m, n, k in SHAPES:
        a, b = floats(m, k), floats(k, n, seed=1)
        x, y = spread(a, layout), spread(b, layout)
        wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
        got = _C.ops.matmul(x, y)
        expect_near(got, wide_a @ wide_b, np.abs(wide_a) @ np.abs(wide_b), k)
        for threads in (1, 2, 3, 7):
            _C.set_num_threads(threads)
            _C.set_grain(threads % 2)
            again = _C.ops.matmul(x, spread(b, "packed")).float().numpy()
            assert again.tobytes() == got.float().numpy().tobytes()


@pytest.mark.parametrize("activation", [None, "relu", "tanh"])
def test_linear_rounds_once(activation: str | None, isa: str) -> None:
    f = {None: lambda z: z, "relu": lambda z: np.maximum(z, 0), "tanh": np.tanh}[activation]
    for m, n, k in SHAPES:
        a, w, bias = floats(m, k), floats(n, k, seed=1), floats(n, seed=2)
        wide = a.astype(np.float64) @ w.T.astype(np.float64) + bias
        size = np.abs(a).astype(np.float64) @ np.abs(w).T.astype(np.float64) + np.abs(bias)
        for layout in ("packed", "transposed"):
            got = _C.ops.linear(spread(a, layout), spread(w, layout), half(bias), activation)
            expect_near(got, f(wide), size + 2, k)
            part = _C.ops.linear(spread(a[:1], layout), spread(w, layout), half(bias), activation)
            assert part.float().numpy().tobytes() == got[:1].float().numpy().tobytes()


def test_batches_vectors_and_gradients(isa: str) -> None:
    a, b = floats(5, 7, 17), floats(1, 17, 3, seed=1)
    expect_near(
        _C.ops.matmul(half(a), half(b)),
        a.astype(np.float64) @ b.astype(np.float64),
        np.abs(a).astype(np.float64) @ np.abs(b).astype(np.float64),
        17,
    )
    v, w = floats(33), floats(33, seed=1)
    wide = float(v.astype(np.float64) @ w.astype(np.float64))
    expect_near(_C.ops.matmul(half(v), half(w)), np.float64(wide), np.abs(v) @ np.abs(w), 33)
    x, y = half(floats(6, 9)).requires_grad_(True), half(floats(4, 9, seed=1)).requires_grad_(True)
    bias = half(floats(4, seed=2)).requires_grad_(True)
    g = floats(6, 4, seed=3)
    for times in (1, 2):
        _C.ops.linear(x, y, bias).backward(half(g))
        for leaf, want in (
            (x, g @ y.detach().float().numpy()),
            (y, g.T @ x.detach().float().numpy()),
            (bias, g.sum(0)),
        ):
            got = leaf.grad.float().numpy()
            assert np.allclose(got, times * want, rtol=0.02, atol=0.05)


def test_infinities_and_nan_go_through(isa: str) -> None:
    for k in (1, 2, 3, 17):
        for at in range(k):
            a, b = floats(3, k), np.abs(floats(k, 40, seed=1)) + 0.5
            a[0, at], a[1, at] = np.nan, -np.inf
            got = _C.ops.matmul(half(a), half(b)).float().numpy()
            assert np.isnan(got[0]).all()
            assert (got[1] == -np.inf).all()
            assert np.isfinite(got[2]).all()
