"""What a graph keeps of each op: no more than the gradients that are asked for read.

Where a value is not kept, changing it in place afterwards is allowed, as in PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

import ranvier as rv

F = rv.nn.functional


class Case(NamedTuple):
    """An op of some tensors, and which of them the gradient of each reads."""

    run: Callable[..., Any]
    shapes: tuple[tuple[int, ...], ...]
    reads: dict[int, set[int]]


ROW, MATRIX = (3,), (3, 3)
CASES = {
    "mul": Case(lambda x, y: x * y, (ROW, ROW), {0: {1}, 1: {0}}),
    "mul broadcast": Case(lambda x, y: x * y, (MATRIX, ROW), {0: {1}, 1: {0}}),
    "div": Case(lambda x, y: x / y, (ROW, ROW), {0: {1}, 1: {1}}),
    "add": Case(lambda x, y: x + y, (ROW, ROW), {0: set(), 1: set()}),
    "pow": Case(lambda x, y: x**y, (ROW, ROW), {0: {0, 1}, 1: {0, 1}}),
    "maximum": Case(rv.maximum, (ROW, ROW), {0: {0, 1}, 1: {0, 1}}),
    "lerp": Case(rv.lerp, (ROW, ROW, ROW), {0: {2}, 1: {2}, 2: {0, 1}}),
    "addcmul": Case(rv.addcmul, (ROW, ROW, ROW), {0: set(), 1: {2}, 2: {1}}),
    "addcdiv": Case(rv.addcdiv, (ROW, ROW, ROW), {0: set(), 1: {2}, 2: {1, 2}}),
    "matmul": Case(rv.matmul, (MATRIX, MATRIX), {0: {1}, 1: {0}}),
    "matmul vector": Case(rv.matmul, (MATRIX, ROW), {0: {1}, 1: {0}}),
    "matmul of vectors": Case(rv.matmul, (ROW, ROW), {0: {1}, 1: {0}}),
    "vector matmul": Case(rv.matmul, (ROW, MATRIX), {0: {1}, 1: {0}}),
    "batched": Case(rv.bmm, ((2, 3, 3), (2, 3, 3)), {0: {1}, 1: {0}}),
    "dot": Case(rv.dot, (ROW, ROW), {0: {1}, 1: {0}}),
    "linear": Case(F.linear, (MATRIX, MATRIX, ROW), {0: {1}, 1: {0}, 2: set()}),
    "layer_norm": Case(
        lambda x, w, b: F.layer_norm(x, (3,), w, b), (MATRIX, ROW, ROW), {0: {0, 1}, 1: {0}}
    ),
    "batch_norm": Case(
        lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True),
        (MATRIX, ROW, ROW),
        {0: {0, 1}, 1: {0}},
    ),
    "soft cross-entropy": Case(
        lambda x, t: F.cross_entropy(x, t), (MATRIX, MATRIX), {0: {0, 1}, 1: {0}}
    ),
}


def tensors(case: Case, asked: int | None) -> list[Any]:
    """The inputs of a case in float64; one of them asks for a gradient."""
    rv.manual_seed(3)
    made = [rv.rand(*shape, dtype=rv.float64) + 0.5 for shape in case.shapes]
    if asked is not None:
        made[asked].requires_grad_()
    return made


def gradient(case: Case, asked: int, changed: int | None = None) -> Any:
    """Of the weighted sum of results, where another input has changed since; PyTorch's way."""
    given = tensors(case, asked)
    result = case.run(*given)
    if changed is not None:
        with rv.no_grad():
            given[changed].mul_(3)
    weight = rv.arange(1.0, result.numel() + 1, dtype=rv.float64).reshape(result.shape)
    (result * weight).sum().backward()
    return given[asked].grad


PAIRS = [
    (name, asked, changed)
    for name, case in CASES.items()
    for asked in case.reads
    for changed in range(len(case.shapes))
]


@pytest.mark.parametrize(("name", "asked", "changed"), PAIRS)
def test_only_what_is_read_has_to_stay(name: str, asked: int, changed: int) -> None:
    case = CASES[name]
    if changed in case.reads[asked]:
        with pytest.raises(RuntimeError, match="changed in place since"):
            gradient(case, asked, changed)
    else:
        assert rv.equal(gradient(case, asked, changed), gradient(case, asked))


@pytest.mark.parametrize("name", CASES)
def test_all_gradients_are_those_of_each_alone(name: str) -> None:
    case = CASES[name]
    given = [t.requires_grad_() for t in tensors(case, None)]
    result = case.run(*given)
    weight = rv.arange(1.0, result.numel() + 1, dtype=rv.float64).reshape(result.shape)
    (result * weight).sum().backward()
    for asked in case.reads:
        assert rv.equal(given[asked].grad, gradient(case, asked))


@pytest.mark.parametrize(("name", "asked", "changed"), PAIRS)
def test_pytorch_keeps_no_more(name: str, asked: int, changed: int) -> None:
    """Where PyTorch computes, so do we; where we compute, the numbers are its."""
    torch = pytest.importorskip("torch")
    ours = CASES[name]
    theirs = {
        "lerp": torch.lerp, "addcmul": torch.addcmul, "addcdiv": torch.addcdiv,
        "maximum": torch.maximum, "matmul": torch.matmul, "matmul vector": torch.matmul,
        "matmul of vectors": torch.matmul, "vector matmul": torch.matmul, "batched": torch.bmm,
        "dot": torch.dot, "linear": torch.nn.functional.linear,
    }  # fmt: skip
    if name not in theirs and not name.startswith(("mul", "div", "add", "pow")):
        pytest.skip("with other arguments there")
    run = theirs.get(name, ours.run)
    given = [torch.from_numpy(t.numpy().copy()) for t in tensors(ours, None)]
    given[asked].requires_grad_()
    result = run(*given)
    with torch.no_grad():
        given[changed].mul_(3)
    weight = torch.arange(1.0, result.numel() + 1, dtype=torch.float64).reshape(result.shape)
    try:
        (result * weight).sum().backward()
    except RuntimeError:
        return
    assert rv.allclose(gradient(ours, asked, changed), rv.tensor(given[asked].grad.numpy()))


def test_a_result_may_be_scaled_after_it_was_used_beside_a_constant() -> None:
    x = rv.tensor([0.5, -1.0], requires_grad=True)
    y = x.tanh() * 1
    z = 2 * y
    y.mul_(2)
    z.sum().backward()
    assert rv.allclose(x.grad, 2 * (1 - x.detach().tanh() ** 2))


def test_frozen_layers_may_change_between_forward_and_backward() -> None:
    """A frozen layer's input and a first layer's weight are read by no gradient."""
    x = rv.rand(4, 3)
    first, frozen = rv.nn.Linear(3, 3), rv.nn.Linear(3, 2)
    frozen.requires_grad_(False)
    hidden = first(x)
    out = frozen(hidden)
    with rv.no_grad():
        hidden.zero_()
        first.weight.mul_(2)
    out.sum().backward()
    assert rv.allclose(first.bias.grad, 4 * frozen.weight.sum(0))


def test_second_derivatives_of_one_factor() -> None:
    x = rv.tensor([2.0, 3.0], dtype=rv.float64, requires_grad=True)
    w = rv.tensor([5.0, 7.0], dtype=rv.float64)
    (g,) = rv.autograd.grad((x * x * w).sum(), x, create_graph=True)
    (h,) = rv.autograd.grad(g.sum(), x)
    assert rv.equal(h, 2 * w)
