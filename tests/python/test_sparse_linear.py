"""The linear layer over sparse rows beside the dense one: the same bits, and no step aside.

What every op is tested for stands in the case table; here is what this one promises beyond that.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cases_sparse import dense

from ranvier import _C

Array = Any
ROWS, COLUMNS = 23, 40
SIZES = (1, 5, 16, 33, 64, 65, 200)


def matrix(dtype: str = "float32", index: str = "int64") -> tuple[Array, Array, Array]:
    """Rows of 0 to 39 numbers, their columns in order and none twice."""
    rng = np.random.default_rng(0)
    lines = [np.flatnonzero(rng.random(COLUMNS) < share) for share in np.linspace(0, 1, ROWS)]
    indptr = np.cumsum([0, *map(len, lines)]).astype(index)
    values = rng.standard_normal(indptr[-1]).astype(dtype)
    return indptr, np.concatenate(lines).astype(index), values


def floats(*shape: int, dtype: str = "float32", seed: int = 1) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def tensors(*arrays: Array) -> list[Any]:
    return [_C.from_numpy(array) for array in arrays]


CHOSEN = np.random.default_rng(2).integers(0, ROWS, 31)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("index", ["int32", "int64"])
def test_the_bits_of_the_dense_layer(dtype: str, index: str, isa: str) -> None:
    parts = matrix(dtype, index)
    csr, rows = tensors(*parts), _C.from_numpy(CHOSEN)
    x = _C.from_numpy(dense(*parts, CHOSEN, COLUMNS))
    for out in SIZES:
        storage, bias, g = tensors(
            floats(COLUMNS, out, dtype=dtype), floats(out, dtype=dtype),
            floats(len(CHOSEN), out, dtype=dtype, seed=3),
        )  # fmt: skip
        weight = storage.transpose(0, 1)
        want = _C.ops.linear(x, weight, bias).numpy().tobytes()
        grad = _C.ops.linear_weight_grad(x, g)[0].numpy().tobytes()
        for threads, grain in ((1, 0), (2, 1), (3, 1), (7, 1)):
            _C.set_num_threads(threads)
            _C.set_grain(grain)
            assert _C.ops.sparse_linear(*csr, rows, weight, bias).numpy().tobytes() == want
            got = _C.ops.sparse_linear_weight_grad(*csr, rows, g, COLUMNS)
            assert got.numpy().tobytes() == grad, (out, threads)


def test_gradients_of_all_that_has_one() -> None:
    parts = matrix("float64")
    csr, rows = tensors(*parts), _C.from_numpy(CHOSEN)
    x = _C.from_numpy(dense(*parts, CHOSEN, COLUMNS)).requires_grad_(True)
    csr[2].requires_grad_(True)
    for kind in ("sparse", "dense"):
        weight, bias = (
            t.requires_grad_(True)
            for t in tensors(floats(7, COLUMNS, dtype="float64"), floats(7, dtype="float64"))
        )
        if kind == "sparse":
            y = _C.ops.sparse_linear(*csr, rows, weight, bias)
        else:
            y = _C.ops.linear(x, weight, bias)
        (y * y).sum().backward()
        grads = weight.grad.numpy(), bias.grad.numpy()
        if kind == "sparse":
            first = grads
    assert all(a.tobytes() == b.tobytes() for a, b in zip(first, grads, strict=True))
    indptr, indices, _ = parts
    want = np.zeros(len(indices))
    for line, row in enumerate(CHOSEN):
        part = slice(indptr[row], indptr[row + 1])
        want[part] += x.grad.numpy()[line, indices[part]]
    np.testing.assert_allclose(csr[2].grad.numpy(), want, rtol=1e-12)


def test_sums_go_on_from_what_is_there(isa: str) -> None:
    """Parts of a batch give the bits of the whole, in whatever layout the sum is."""
    csr, g = tensors(*matrix()), floats(len(CHOSEN), 70)
    want = _C.ops.sparse_linear_weight_grad(*csr, *tensors(CHOSEN, g), COLUMNS).numpy()
    for base in (np.zeros((COLUMNS, 70), "f4"), np.zeros((70, COLUMNS), "f4").T):
        sum_ = _C.from_numpy(base)
        for part in (slice(0, 11), slice(11, 11), slice(11, None)):
            _C.ops.sparse_linear_weight_grad_onto_(*csr, *tensors(CHOSEN[part], g[part]), sum_)
        assert base.tobytes() == want.tobytes()


def test_leaves_that_have_a_gradient_are_added_to() -> None:
    csr = tensors(*matrix())
    weight, bias = tensors(floats(COLUMNS, 6), floats(6))
    weight = weight.transpose(0, 1).requires_grad_(True)
    bias.requires_grad_(True)

    def backward(*parts: Array) -> tuple[bytes, bytes]:
        weight.grad = bias.grad = None
        for part in parts:
            y = _C.ops.sparse_linear(*csr, _C.from_numpy(part), weight, bias)
            (y * 0.5).sum().backward()
        return weight.grad.numpy().tobytes(), bias.grad.numpy().tobytes()

    assert backward(CHOSEN[:9], CHOSEN[9:]) == backward(CHOSEN)


def test_sums_may_share_memory_with_what_is_read() -> None:
    memory = np.zeros(64, np.int32)
    memory[:4] = 0, 1, 0, 1
    indices, weight = memory[:4], memory.view(np.float32)[:32].reshape(2, 16)
    start = weight.copy()
    indptr, values, rows = np.array([0, 4]), np.ones(4, np.float32), np.array([0])
    g = np.full((1, 16), 2.0**100, np.float32)
    _C.ops.sparse_linear_weight_grad_onto_(*tensors(indptr, indices, values, rows, g, weight))
    np.testing.assert_array_equal(weight, start + np.float32(2.0**101))


def test_whatever_the_integers_are_nothing_outside_is_read() -> None:
    rng = np.random.default_rng(5)
    values, g = floats(20), floats(6, 9)
    weight, refused = floats(9, 30), 0
    for _ in range(300):
        extreme = rng.choice([-(2**63), 2**63 - 1, -1, 2**31, 20, 30])
        indptr, indices = rng.integers(0, 22, 8), rng.integers(-1, 31, 20)
        if rng.random() < 0.5:
            indptr, indices = np.sort(rng.integers(0, 21, 8)), rng.integers(0, 30, 20)
            (indptr if rng.random() < 0.5 else indices)[rng.integers(0, 8)] = extreme
        rows = rng.integers(-1, 8, 6)
        csr = tensors(indptr, indices, values, rows)
        for call in (
            lambda c=csr: _C.ops.sparse_linear(*c, _C.from_numpy(weight)),
            lambda c=csr: _C.ops.sparse_linear_weight_grad(*c, _C.from_numpy(g), 30),
            lambda c=csr: _C.ops.sparse_linear_values_grad(c[0], c[1], c[3], *tensors(weight, g)),
        ):
            try:
                assert np.isfinite(call().numpy()).all()
            except IndexError:
                refused += 1
    assert 0 < refused < 900


@pytest.mark.parametrize(
    ("columns", "error"), [(-1, ValueError), (2**62, (_C.ShapeError, MemoryError, RuntimeError))]
)
def test_a_width_that_cannot_be(columns: int, error: Any) -> None:
    with pytest.raises(error):
        _C.ops.sparse_linear_weight_grad(
            *tensors(*matrix(), CHOSEN, floats(len(CHOSEN), 3)), columns
        )


@pytest.mark.parametrize(("dtype", "share"), [("float16", 2e-3), ("bfloat16", 2e-2)])
def test_half_precision_is_computed_in_single(dtype: str, share: float) -> None:
    parts = matrix()
    half = getattr(_C, dtype)
    csr, rows = tensors(*parts), _C.from_numpy(CHOSEN)
    weight = _C.ops.cast(_C.from_numpy(floats(6, COLUMNS)), half)
    y = _C.ops.sparse_linear(csr[0], csr[1], _C.ops.cast(csr[2], half), rows, weight)
    assert y.dtype is half
    want = dense(*parts, CHOSEN, COLUMNS) @ floats(6, COLUMNS).T
    got = _C.ops.cast(y, _C.float32).numpy()
    assert np.abs(got - want).max() <= share * np.abs(want).max()
