"""Steps of whole groups: one native call that finds gradients and state by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier import _C, nn, optim

SHAPES: list[tuple[int, ...]] = [(3, 5), (7,), (), (0,), (64, 33)]
KINDS = [
    lambda p: optim.SGD(p, lr=0.1, momentum=0.9),
    lambda p: optim.SGD(p, lr=0.1),
    lambda p: optim.Adam(p, lr=0.1, amsgrad=True),
    lambda p: optim.RMSprop(p, lr=0.1, centered=True, momentum=0.5),
    lambda p: optim.ASGD(p, lr=0.1),
    lambda p: optim.NAdam(p, lr=0.1),
]


def parameters(seed: int = 0) -> list[nn.Parameter]:
    rng = np.random.default_rng(seed)
    made = [nn.Parameter(rv.tensor(rng.standard_normal(s).astype("float32"))) for s in SHAPES]
    for p, shape in zip(made, SHAPES, strict=True):
        p.grad = rv.tensor(rng.standard_normal(shape).astype("float32"))
    return made


def bits(tensors: Any) -> list[bytes]:
    return [t.detach().numpy().tobytes() for t in tensors]


@pytest.mark.parametrize("kind", KINDS)
def test_a_group_is_its_parameters_one_by_one(kind: Any) -> None:
    together, apart = parameters(), parameters()
    one, many = kind(together), [kind([p]) for p in apart]
    for _ in range(3):
        one.step()
        for optimizer in many:
            optimizer.step()
    assert bits(together) == bits(apart)


@pytest.mark.parametrize("kind", KINDS)
def test_a_subclass_may_update_in_its_own_way(kind: Any) -> None:
    base = type(kind([nn.Parameter(rv.zeros(1))]))

    class Halved(base):  # type: ignore[misc,valid-type]
        def _update(self, group: Any, param: rv.Tensor, grad: rv.Tensor) -> None:
            super()._update(group, param, grad * 0.5)

    settings = kind(parameters()).defaults
    ours, plain = parameters(), parameters()
    for p in plain:
        assert p.grad is not None
        p.grad = p.grad * 0.5
    Halved(ours, **settings).step()
    base(plain, **settings).step()
    assert bits(ours) == bits(plain)


def test_parameters_that_lie_side_by_side_are_one_piece() -> None:
    flat, grads = rv.arange(40.0), rv.linspace(-1, 1, 40)
    apart = flat.clone()
    lr = rv.tensor(0.1, dtype=rv.float64)
    _C.ops.sgd_update(apart, grads, lr)
    cuts = [(0, 3), (3, 20), (20, 20), (20, 40)]
    tensors: list[Any] = []
    for a, b in cuts:
        tensors += [flat[a:b], grads[a:b], None, None]
    _C.ops.sgd_updates(lr, tensors)
    assert bits([flat]) == bits([apart])


def test_settings_and_state_may_change_between_steps() -> None:
    p, q = nn.Parameter(rv.ones(3)), nn.Parameter(rv.ones(3))
    for x in (p, q):
        x.grad = rv.tensor([1.0, -2.0, 3.0])
    ours, other = optim.Adam([p], lr=0.1), optim.Adam([q], lr=0.1)
    ours.step()
    other.step()
    ours.param_groups[0]["betas"] = (0.5, 0.75)
    ours.state[p]["exp_avg"] = rv.zeros(3)
    state = other.state[q]
    _C.ops.adam_update(
        q.detach(), q.grad, rv.tensor(0.1, dtype=rv.float64), rv.zeros(3), state["exp_avg_sq"],
        state["step"], beta1=0.5, beta2=0.75,
    )  # fmt: skip
    ours.step()
    assert bits([p]) == bits([q])
    ours.state.clear()
    ours.step()
    assert ours.state[p]["step"].item() == 1


def test_gradients_are_only_read() -> None:
    p = nn.Parameter(rv.tensor([1.0, 2.0]))
    w = rv.tensor([3.0, 4.0], requires_grad=True)
    (grad,) = rv.autograd.grad((w**3).sum(), w, create_graph=True)
    squares = (grad * grad).sum()  # keeps the gradient for backward
    p.grad = grad.detach()
    optim.SGD([p], lr=0.1).step()
    squares.backward()
    assert w.grad is not None and np.isfinite(w.grad.numpy()).all()


def test_scaled_gradients_are_those_of_a_clip() -> None:
    clipped, scaled = parameters(), parameters()
    total = nn.utils.clip_grad_norm_(clipped, 0.5)
    optim.Adam(clipped, lr=0.1).step()
    optimizer = optim.Adam(scaled, lr=0.1)
    optimizer.grad_scale = (0.5 / (total + 1e-6)).clamp(max=1.0)
    before = bits(p.grad for p in scaled)
    optimizer.step()
    assert bits(clipped) == bits(scaled)
    assert bits(p.grad for p in scaled) == before


@pytest.mark.parametrize("dtype", [rv.float16, rv.bfloat16, rv.float64])
def test_other_dtypes(dtype: Any) -> None:
    p = nn.Parameter(rv.tensor([1.0, -2.0, 3.0], dtype=dtype))
    q = nn.Parameter(rv.tensor([0.5, 0.25]))
    p.grad, q.grad = rv.ones(3, dtype=dtype), rv.ones(2)
    optim.SGD([p, q], lr=0.5).step()
    assert p.detach().tolist() == [0.5, -2.5, 2.5] and q.detach().tolist() == [0.0, -0.25]


def test_what_is_no_parameter_is_refused() -> None:
    p = nn.Parameter(rv.ones(2))
    p.grad = rv.ones(2)
    optimizer = optim.SGD([p], lr=0.1)
    optimizer.param_groups[0]["params"].append("text")
    with pytest.raises(TypeError, match=r"sgd_updates.*expected tensors.*str"):
        optimizer.step()
    assert p.tolist() == [1, 1]
    adam = optim.Adam([p], lr=0.1)
    adam.step()
    adam.state[p]["step"] = "text"
    with pytest.raises(TypeError, match=r"adam_updates.*'step' in the state, got str"):
        adam.step()
