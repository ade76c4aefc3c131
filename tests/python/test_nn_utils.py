"""nn.utils against float64 NumPy, and against PyTorch where it is installed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier import nn
from ranvier.nn import utils

SHAPES = [(3, 4), (5,), (), (2, 2, 2)]


def with_gradients(seed: int = 0, dtype: str = "float64") -> list[Any]:
    rng = np.random.default_rng(seed)
    params = [nn.Parameter(rv.zeros(s, dtype=getattr(rv, dtype))) for s in SHAPES]
    for p in params:
        p.grad = rv.tensor(rng.normal(size=p.shape).astype(dtype))
    return [*params, nn.Parameter(rv.zeros(2))]  # the last one has no gradient


def flat(params: list[Any]) -> Any:
    return np.concatenate([p.grad.numpy().ravel() for p in params if p.grad is not None])


@pytest.mark.parametrize("norm_type", [2.0, 1.0, 3, math.inf, -math.inf, 0.5])
@pytest.mark.parametrize("max_norm", [0.1, 1e3])
def test_clip_grad_norm(norm_type: float, max_norm: float) -> None:
    params = with_gradients()
    before = flat(params)
    total = utils.clip_grad_norm_(iter(params), max_norm, norm_type)
    if norm_type > 0:
        want = (
            np.linalg.norm(before, norm_type)
            if norm_type >= 1 or math.isinf(norm_type)
            else (np.sum(np.abs(before) ** norm_type) ** (1 / norm_type))
        )
        np.testing.assert_allclose(total.item(), want, rtol=1e-12)
    factor = min(1.0, max_norm / (total.item() + 1e-6))
    np.testing.assert_allclose(flat(params), before * factor, rtol=1e-12)


@pytest.mark.parametrize("norm_type", [2.0, 1.0, math.inf, -math.inf])
def test_clipping_is_pytorchs(norm_type: float) -> None:
    torch = pytest.importorskip("torch")
    params = with_gradients(dtype="float32")[:-1]
    theirs = [torch.nn.Parameter(torch.zeros(p.shape)) for p in params]
    for p, q in zip(params, theirs, strict=True):
        q.grad = torch.tensor(p.grad.numpy().copy())
    total = utils.clip_grad_norm_(params, 0.7, norm_type, foreach=True)
    other = torch.nn.utils.clip_grad_norm_(theirs, 0.7, norm_type)
    np.testing.assert_allclose(total.item(), other.item(), rtol=1e-6)
    for p, q in zip(params, theirs, strict=True):
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-6)


def test_clip_grad_norm_of_little() -> None:
    assert utils.clip_grad_norm_([], 1.0).item() == 0
    assert utils.clip_grad_norm_(nn.Linear(2, 2).parameters(), 1.0).item() == 0
    p = nn.Parameter(rv.ones(2))
    p.grad = rv.tensor([3.0, 4.0])
    assert utils.clip_grad_norm_([p, p], 1.0).item() == 5  # a shared parameter counts once
    np.testing.assert_allclose(p.grad.numpy(), [0.6, 0.8], rtol=1e-6)


def test_gradients_that_are_not_finite() -> None:
    p = nn.Parameter(rv.ones(2))
    p.grad = rv.tensor([math.inf, 1.0])
    with pytest.raises(RuntimeError, match=r"expected finite gradients.*inf"):
        utils.clip_grad_norm_(p, 1.0, error_if_nonfinite=True)
    assert p.grad.tolist() == [math.inf, 1.0]
    assert utils.clip_grad_norm_(p, 1.0).item() == math.inf
    assert math.isnan(p.grad[0].item()) and p.grad[1].item() == 0  # as in PyTorch


def test_clip_grad_value() -> None:
    params = with_gradients()
    before = flat(params)
    utils.clip_grad_value_(params, 0.5)
    np.testing.assert_array_equal(flat(params), np.clip(before, -0.5, 0.5))


def test_total_norm_and_clipping_apart() -> None:
    params = with_gradients()
    before = flat(params)
    total = utils.get_total_norm([p.grad for p in params if p.grad is not None])
    np.testing.assert_allclose(total.item(), np.linalg.norm(before), rtol=1e-12)
    utils.clip_grads_with_norm_(params, 1.0, total)
    np.testing.assert_allclose(np.linalg.norm(flat(params)), 1, rtol=1e-5)
    mixed = utils.get_total_norm([rv.tensor([3.0]), rv.tensor([4.0], dtype=rv.float64)])
    assert mixed.item() == 5 and mixed.dtype is rv.float64


def test_clipping_can_be_recorded() -> None:
    w = rv.ones(2, requires_grad=True)

    def step(x: rv.Tensor) -> rv.Tensor:
        w.grad = None
        (w * x).sum().backward()
        utils.clip_grad_norm_([w], 1.0)
        return w.grad * 1

    program = rv.Program.record(step, rv.tensor([3.0, 4.0]))
    np.testing.assert_allclose(program.first.numpy(), [0.6, 0.8], rtol=1e-6)
    np.testing.assert_allclose(program.replay(rv.tensor([0.3, 0.4])).numpy(), [0.3, 0.4], rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda p: utils.clip_grad_norm_(p, "1"), TypeError),
        (lambda p: utils.clip_grad_norm_(p, float("nan")), ValueError),
        (lambda p: utils.clip_grad_norm_(3, 1.0), TypeError),
        (lambda p: utils.clip_grad_norm_(["w"], 1.0), TypeError),
        (lambda p: utils.clip_grad_value_(p, -1.0), ValueError),
        (lambda p: utils.max_norm_(p, -1.0), ValueError),
        (lambda p: utils.max_norm_(p, 1.0, dim=2), IndexError),
        (lambda p: utils.parameters_to_vector([]), ValueError),
        (lambda p: utils.parameters_to_vector([3]), TypeError),
        (lambda p: utils.parameters_to_vector(3), TypeError),
        (lambda p: utils.vector_to_parameters(rv.ones(3), [p]), rv.ShapeError),
        (lambda p: utils.vector_to_parameters([1.0] * 4, [p]), TypeError),
    ],
)
def test_utils_refuse(call: Any, error: type[Exception]) -> None:
    p = nn.Parameter(rv.ones(2, 2))
    p.grad = rv.ones(2, 2)
    with pytest.raises(error, match=r"\[\w+\]"):
        call(p)
    assert p.grad.tolist() == p.tolist() == [[1, 1], [1, 1]]


# --- max norm -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("p", "dim"), [(2.0, 0), (2.0, 1), (1.0, 0), (math.inf, -1)])
def test_max_norm(p: float, dim: int) -> None:
    layer = nn.Linear(6, 4, dtype=rv.float64)
    layer.weight.data[1] *= 0.01
    before, bias = layer.weight.detach().numpy().copy(), layer.bias.detach().clone()
    utils.max_norm_(layer.parameters(), 0.3, p, dim)
    axis = 1 - dim % 2
    norms = np.linalg.norm(before, p, axis=axis, keepdims=True)
    want = before * np.minimum(1, 0.3 / norms)
    np.testing.assert_allclose(layer.weight.detach().numpy(), want, rtol=1e-12)
    assert rv.equal(layer.bias, bias) and layer.weight.requires_grad
    if dim == 0:
        assert layer.weight.detach().numpy()[1].tobytes() == before[1].tobytes()


def test_max_norm_is_pytorchs_renorm() -> None:
    torch = pytest.importorskip("torch")
    w = np.random.default_rng(0).normal(size=(5, 3, 2)).astype("float32")
    mine = nn.Parameter(rv.tensor(w))
    utils.max_norm_(mine, 1.5)
    theirs = torch.renorm(torch.tensor(w), 2, 0, 1.5).numpy()
    np.testing.assert_allclose(mine.detach().numpy(), theirs, rtol=1e-6)


def test_max_norm_of_zeros_and_to_zero() -> None:
    w = nn.Parameter(rv.tensor([[0.0, 0.0], [3.0, 4.0]]))
    utils.max_norm_(w, 1.0)
    np.testing.assert_allclose(w.detach().numpy(), [[0, 0], [0.6, 0.8]], rtol=1e-6)
    utils.max_norm_(w, 0.0)
    assert w.tolist() == [[0, 0], [0, 0]]


# --- vectors --------------------------------------------------------------------------------------


def test_parameters_to_a_vector_and_back() -> None:
    net, other = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1)), None
    vector = utils.parameters_to_vector(net.parameters())
    want = np.concatenate([p.detach().numpy().ravel() for p in net.parameters()])
    np.testing.assert_array_equal(vector.detach().numpy(), want)
    vector.sum().backward()
    assert net[0].weight.grad.tolist() == np.ones((2, 3)).tolist()
    other = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    kept = other[0].weight
    utils.vector_to_parameters(vector, other.parameters())
    assert other[0].weight is kept and kept.is_leaf
    assert all(rv.equal(p, q) for p, q in zip(net.parameters(), other.parameters(), strict=True))
