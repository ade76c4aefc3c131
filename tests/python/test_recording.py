"""What a recording must refuse or repeat: everything that a replay could get wrong in silence."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import ranvier as rv
from ranvier import _C


def leaf(*values: float) -> rv.Tensor:
    return rv.tensor(list(values), requires_grad=True)


def same_as_eager(step: Callable[[rv.Tensor], rv.Tensor], reset: Callable[[], None]) -> None:
    """Three calls and a recording with two replays give the same numbers."""
    x = rv.tensor([2.0])
    reset()
    eager = [step(x).tolist() for _ in range(3)]
    reset()
    program = rv.Program.record(step, x)
    assert [program.first.tolist(), *(program.replay(x).tolist() for _ in range(2))] == eager


def test_memory_that_no_instruction_made_is_not_changed() -> None:
    def total(x: rv.Tensor) -> rv.Tensor:
        made = _C.zeros((1,), _C.float32)
        made += x
        return made

    with pytest.raises(RuntimeError, match="made by no instruction"):
        rv.Program.record(total, rv.tensor([1.0]))
    same_as_eager(lambda x: rv.zeros(1).add_(x), lambda: None)


def test_reading_and_seeding_are_refused() -> None:
    with pytest.raises(RuntimeError, match=r"item\(\)"):
        rv.Program.record(lambda x: x * x.sum().item(), rv.tensor([1.0]))
    with pytest.raises(RuntimeError, match="manual_seed"):
        rv.Program.record(lambda x: x + rv.manual_seed(0).initial_seed(), rv.tensor([1.0]))
    assert rv.Program.record(lambda x: x + 1, rv.tensor([1.0])).first.item() == 2


def test_a_gradient_cleared_only_between_two_backwards() -> None:
    w = leaf(1.0)

    def step(x: rv.Tensor) -> rv.Tensor:
        (w * x).sum().backward()
        grad = w.grad.clone()
        w.grad = None
        (w * x).sum().backward()
        return grad

    with pytest.raises(RuntimeError, match="cleared"):
        rv.Program.record(step, rv.tensor([2.0]))


def test_an_assigned_gradient_is_refused() -> None:
    w = leaf(1.0)
    (w * 1).sum().backward()

    def step(x: rv.Tensor) -> rv.Tensor:
        (w * x).sum().backward()
        w.grad = w.grad * 0.5
        return w.grad

    with pytest.raises(RuntimeError, match="assigned gradient"):
        rv.Program.record(step, rv.tensor([2.0]))


def test_a_gradient_comes_back_after_each_replay() -> None:
    w = leaf(1.0)

    def step(x: rv.Tensor) -> rv.Tensor:
        w.grad = None
        (w * x).sum().backward()
        return w * 1

    program = rv.Program.record(step, rv.tensor([2.0]))
    w.grad = None
    program.replay(rv.tensor([5.0]))
    assert w.grad is not None and w.grad.tolist() == [5.0]


def test_a_leaf_that_is_its_own_root() -> None:
    w = leaf(1.0)

    def step(x: rv.Tensor) -> rv.Tensor:
        w.grad = None
        w.backward()
        with rv.no_grad():
            w.grad.mul_(x.sum())
        return w.grad.clone()

    same_as_eager(step, lambda: None)


def test_results_do_not_keep_a_graph() -> None:
    w = leaf(1.0)
    program = rv.Program.record(lambda x: w * x, rv.tensor([2.0]))
    assert not program.first.requires_grad
    assert not program.replay(rv.tensor([3.0])).requires_grad
