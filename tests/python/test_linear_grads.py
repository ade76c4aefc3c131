"""The gradients of a linear layer in few passes: the same bits as the products and sums one by one.

`linear_weight_grad` reads the incoming gradient once for weight and bias; `linear_input_grad`
applies the derivative of the activation before to the product while it is in the cache. Each is
compared with its composite: matmul, bias_grad and the activation's own backward.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ranvier import _C

Array = Any
SHAPES = [  # rows, in, out: tiles, one row, one column, panels that are packed, nothing
    (1, 1, 1), (4, 2, 4), (5, 1, 33), (7, 33, 1), (1, 9, 5), (32, 20, 64), (97, 65, 130),
    (300, 30, 900), (1000, 40, 33), (0, 3, 4), (3, 0, 4), (3, 4, 0),
]  # fmt: skip
DTYPES = ("float32", "float64")
SLOPES = (None, "relu", "sigmoid", "tanh", "gelu", "silu", "square")


def floats(*shape: int, dtype: str = "float32", seed: int = 0) -> Array:
    rng = np.random.default_rng([seed, *shape])
    return rng.standard_normal(shape).astype(dtype)


def spread(x: Array, layout: str) -> Any:
    """The numbers of x, in memory as the layout says."""
    if layout == "transposed":
        return _C.from_numpy(np.ascontiguousarray(x.T)).transpose(0, 1)
    if layout == "strided":
        wide = np.full((x.shape[0], 2 * x.shape[1] + 1), 9, x.dtype)
        wide[:, : 2 * x.shape[1] : 2] = x
        return _C.from_numpy(wide)[:, : 2 * x.shape[1] : 2]
    return _C.from_numpy(np.ascontiguousarray(x))


def same(got: Any, want: Any) -> bool:
    return [x.numpy().tobytes() for x in got] == [x.numpy().tobytes() for x in want]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", ["packed", "transposed", "strided"])
def test_weight_and_bias_in_one_pass(dtype: str, layout: str, isa: str) -> None:
    for rows, width, out in SHAPES:
        x, g = floats(rows, width, dtype=dtype), floats(rows, out, dtype=dtype, seed=1)
        inputs = spread(x, layout), spread(g, layout)
        want = _C.composites.linear_weight_grad(*inputs)
        chain = np.zeros(out, dtype)
        for row in g:
            chain = chain + row
        assert want[1].numpy().tobytes() == chain.tobytes()
        for threads in (1, 2, 3, 7):
            _C.set_num_threads(threads)
            for grain in (0, 1):
                _C.set_grain(grain)
                assert same(_C.ops.linear_weight_grad(*inputs), want), (rows, width, out, threads)


@pytest.mark.parametrize("dtype", DTYPES)
def test_sums_go_on_from_what_is_there(dtype: str, isa: str) -> None:
    """Parts of a batch give the bits of the whole, whatever the layout of the sums."""
    for rows, width, out in SHAPES:
        x, g = floats(rows, width, dtype=dtype), floats(rows, out, dtype=dtype, seed=1)
        want = _C.ops.linear_weight_grad(spread(x, "packed"), spread(g, "packed"))
        for cut in {0, rows // 3, rows}:
            for layout in ("packed", "transposed", "strided"):
                weight = spread(np.zeros((width, out), dtype), layout)
                bias = spread(np.zeros((1, out), dtype), layout)[0]
                for part in (slice(0, cut), slice(cut, rows)):
                    _C.ops.linear_weight_grad_onto_(
                        weight, bias, spread(x[part], layout), spread(g[part], "packed")
                    )
                assert same((weight, bias), want), (rows, width, out, cut, layout)


def test_sums_may_share_memory_with_the_factors() -> None:
    square = floats(5, 5)
    ones = np.ones((5, 5), np.float32)
    want = _C.ops.matmul(_C.from_numpy(square.T.copy()), _C.from_numpy(ones)).numpy() + square
    weight, bias = _C.from_numpy(square.copy()), _C.from_numpy(np.zeros(5, np.float32))
    _C.ops.linear_weight_grad_onto_(weight, bias, weight, _C.from_numpy(ones))
    assert np.allclose(weight.numpy(), want, rtol=1e-5, atol=1e-5)
    assert bias.numpy().tolist() == [5.0] * 5


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", SLOPES)
def test_input_times_derivative(dtype: str, activation: str | None, isa: str) -> None:
    for rows, width, out in SHAPES:
        g, saved = floats(rows, out, dtype=dtype), floats(rows, width, dtype=dtype, seed=2)
        weight = spread(floats(out, width, dtype=dtype, seed=1), "packed")
        shown = spread(floats(width, out, dtype=dtype, seed=1).T.copy(), "transposed")
        for w in (weight, shown):
            for layout in ("packed", "transposed", "strided"):
                kept = spread(saved, layout) if activation else None
                inputs = spread(g, layout), w, kept, activation
                want = _C.composites.linear_input_grad(*inputs)
                for threads in (1, 2, 3, 7):
                    _C.set_num_threads(threads)
                    _C.set_grain(threads % 2)
                    got = _C.ops.linear_input_grad(*inputs)
                    assert same((got,), (want,)), (rows, width, out, layout, threads)


def test_leading_axes_and_nan() -> None:
    g, w, z = floats(2, 3, 4), floats(4, 5, seed=1), floats(2, 3, 5, seed=2)
    g[1, 2, 3] = np.nan
    z[0, 0] = [np.nan, np.inf, -np.inf, 0.0, -0.0]
    inputs = [_C.from_numpy(a) for a in (g, w, z)]
    got = _C.ops.linear_input_grad(*inputs, "relu")
    want = np.where(z <= 0, 0, g @ w)
    assert np.allclose(got.numpy(), want, rtol=1e-5, atol=1e-6, equal_nan=True)
    assert same((got,), (_C.composites.linear_input_grad(*inputs, "relu"),))


def test_second_derivatives() -> None:
    """Gradients of the gradients, against central differences in float64."""
    x, g = floats(4, 3, dtype="float64"), floats(4, 2, dtype="float64", seed=1)
    w, z = floats(2, 3, dtype="float64", seed=2), floats(4, 3, dtype="float64", seed=3)

    def total(name: str, arrays: list[Array], *attrs: Any) -> Any:
        results = getattr(_C.ops, name)(*arrays, *attrs)
        parts = results if isinstance(results, tuple) else (results,)
        sums = [_C.ops.sum(_C.ops.mul(p, _C.ops.cos(p))) for p in parts]
        return sums[0] if len(sums) == 1 else _C.ops.add(*sums)

    for name, arrays, attrs in (
        ("linear_weight_grad", [x, g], ()),
        ("linear_input_grad", [g, w, z], ("tanh",)),
        ("linear_input_grad", [g, w, z], ("gelu",)),
    ):
        leaves = [_C.from_numpy(a.copy()).requires_grad_(True) for a in arrays]
        total(name, leaves, *attrs).backward()
        for place, leaf in enumerate(leaves):
            for at in np.ndindex(*arrays[place].shape):
                ends = []
                for step in (1e-6, -1e-6):
                    moved = [a.copy() for a in arrays]
                    moved[place][at] += step
                    ends.append(total(name, [_C.from_numpy(a) for a in moved], *attrs).item())
                assert abs((ends[0] - ends[1]) / 2e-6 - leaf.grad.numpy()[at]) < 1e-6


@pytest.mark.parametrize(
    ("name", "shapes", "activation", "words"),
    [
        ("linear_weight_grad", [(2, 3), (4, 5)], (), ("[linear_weight_grad]", "(2, 3)", "(4, 5)")),
        ("linear_weight_grad", [(2,), (2,)], (), ("matrices",)),
        ("linear_weight_grad_onto_", [(3, 5), (4,), (2, 3), (2, 5)], (), ("(4,)", "bias")),
        ("linear_weight_grad_onto_", [(5, 3), (5,), (2, 3), (2, 5)], (), ("(5, 3)",)),
        ("linear_input_grad", [(2, 3), (4, 5)], (), ("[linear_input_grad]", "(2, 3)", "(4, 5)")),
        ("linear_input_grad", [(2, 3), (3, 5)], (None, "relu"), ("saved",)),
        ("linear_input_grad", [(2, 3), (3, 5), (2, 3)], ("relu",), ("(2, 3)", "in_features")),
        ("linear_input_grad", [(2, 3), (3, 5), (2, 5)], (), ("saved",)),
        ("linear_input_grad", [(2, 3), (3, 5), (2, 5)], ("softsine",), ("softsine", "relu")),
    ],
)
def test_what_does_not_fit_is_named(
    name: str, shapes: list[tuple[int, ...]], activation: tuple[Any, ...], words: tuple[str, ...]
) -> None:
    inputs = [_C.from_numpy(np.zeros(shape, np.float32)) for shape in shapes]
    with pytest.raises(ValueError) as caught:
        getattr(_C.ops, name)(*inputs, *activation)
    assert all(word in str(caught.value) for word in words), caught.value
