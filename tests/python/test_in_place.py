"""Changes in place within a graph: what PyTorch computes, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ranvier as rv


def leaf(*values: float) -> Any:
    return rv.tensor(values, dtype=rv.float64, requires_grad=True)


def loop_views(x: Any) -> Any:
    """Rows of a result written one by one, the usual way to build a table."""
    table = rv.zeros(3, 3, dtype=rv.float64)
    for i in range(3):
        table[i] = x * (i + 1)
    return table * x


def overlapping(x: Any) -> Any:
    base = rv.zeros(4, dtype=rv.float64)
    first, second = base[:2], base[1:3]
    first += x[:2]
    second *= x[2]
    return base


def late_view(x: Any) -> Any:
    """A view made before its base entered the graph."""
    base = rv.zeros(3, dtype=rv.float64)
    view = base.reshape(3, 1)[1:]
    base.copy_(x * x)
    return view * view


def through_transpose(x: Any) -> Any:
    y = (x.reshape(3, 1) * x).t()
    y[0] *= x
    y.add_(1)
    return y


CHANGES: dict[str, Callable[[Any], Any]] = {
    "add": lambda x: (x * 2).add_(x),
    "mul": lambda x: (x * 2).mul_(x),
    "by itself": lambda x: (lambda y: y.mul_(y))(x * 1),
    "div": lambda x: (x * 2).div_(x + 1),
    "sub number": lambda x: (x * x).sub_(1.5),
    "exp": lambda x: (x * 0.5).exp_(),
    "relu": lambda x: (x - 1.2).relu_(),
    "fill": lambda x: (x * 2).fill_(3.0) * x,
    "zero": lambda x: (x * 2).zero_() + x,
    "copy": lambda x: rv.zeros(2, 3, dtype=rv.float64).copy_(x) * x,
    "one element": lambda x: set_item(x * 2, 0, x[1] * 10),
    "slice": lambda x: set_item(x * 2, slice(1, None), x[:2]),
    "every second": lambda x: set_item(x * x, slice(None, None, 2), x[1]),
    "a number": lambda x: set_item(x * x, 1, 7.0),
    "into zeros": loop_views,
    "overlapping views": overlapping,
    "late view": late_view,
    "transposed": through_transpose,
    "float32 into float64": lambda x: rv.zeros(3, dtype=rv.float64).add_(x.float()),
    "expanded": lambda x: rv.ones(2, 3, dtype=rv.float64).mul_(x),
    "view of view": lambda x: set_item((x * 2).reshape(1, 3)[0], 1, x[0]),
}


def set_item(y: Any, index: Any, value: Any) -> Any:
    y[index] = value
    return y


@pytest.mark.parametrize("name", CHANGES)
def test_gradient_of_a_change(name: str) -> None:
    change = CHANGES[name]
    x = leaf(0.5, 1.5, 2.5)
    eps, atol = (1e-3, 1e-3) if "float32" in name else (1e-6, 1e-7)
    assert rv.autograd.gradcheck(change, x, eps=eps, atol=atol)


@pytest.mark.parametrize("name", [n for n in CHANGES if "float32" not in n and n != "by itself"])
def test_replay_of_a_change(name: str) -> None:
    """A recorded step with changes in place gives the bits of an eager one."""
    change = CHANGES[name]
    x = rv.tensor([0.5, 1.5, 2.5], dtype=rv.float64)

    def step(values: Any) -> Any:
        p = values.detach().requires_grad_()
        y = change(p)
        (g,) = rv.autograd.grad(y.sum(), p)
        return y.detach().clone(), g

    try:
        program = rv.Program.record(step, x)
    except RuntimeError as error:
        assert "made by no instruction" in str(error)  # memory of rv.zeros is not the program's
        return
    other = rv.tensor([1.25, -0.5, 0.75], dtype=rv.float64)
    for have, want in zip(program.replay(other), step(other), strict=True):
        assert have.numpy().tobytes() == want.numpy().tobytes()


def test_views_follow_their_base() -> None:
    x = leaf(1.0, 2.0)
    base = rv.zeros(2, dtype=rv.float64)
    view = base[0]
    assert not view.requires_grad
    base.add_(x)
    assert view.requires_grad and not view.is_leaf
    view.backward()
    assert x.grad.tolist() == [1, 0]


def test_a_view_that_changes_its_base() -> None:
    x = leaf(1.0, 2.0)
    base = x * 1
    base[0].mul_(5)
    base.sum().backward()
    assert x.grad.tolist() == [5, 1]


def test_leaves_are_refused() -> None:
    x = leaf(1.0, 2.0)
    for change in (
        lambda: x.add_(1),
        lambda: x.zero_(),
        lambda: x[0].mul_(2),
        lambda: x.reshape(1, 2).copy_(rv.zeros(2, dtype=rv.float64)),
        lambda: x.__setitem__(0, 1.0),
        lambda: x.__iadd__(1),
    ):
        with pytest.raises(RuntimeError, match=r"leaf.*no_grad"):
            change()
    assert x.tolist() == [1, 2]
    with rv.no_grad():
        x += 1
        x[0] = 7
    assert x.is_leaf and x.tolist() == [7, 3]


@pytest.mark.parametrize("name", ["exp", "tanh", "sigmoid", "sqrt", "relu"])
def test_what_backward_needs_must_not_change(name: str) -> None:
    """These save their result."""
    x = leaf(0.5, 1.5)
    y = getattr(x, name)()
    y += 1
    with pytest.raises(RuntimeError, match=rf"'{name}' saved.*changed in place"):
        y.sum().backward()


def test_what_backward_does_not_need_may_change() -> None:
    x = leaf(0.5, 1.5)
    y = x + 1
    y *= 3
    y.sum().backward()
    assert x.grad.tolist() == [3, 3]


def test_detached_memory_is_counted_too() -> None:
    x = leaf(0.5, 1.5)
    y = x.exp()
    y.detach().zero_()
    with pytest.raises(RuntimeError, match="changed in place"):
        y.sum().backward()


def test_augmented_assignment_is_in_place() -> None:
    x = leaf(1.0, 2.0)
    y = x * 2
    same = y
    y += x
    assert y is same
    y.sum().backward()
    assert x.grad.tolist() == [3, 3]
    with pytest.raises(rv.ShapeError):
        y += rv.ones(3, 2, dtype=rv.float64)


def test_integers_take_no_gradient() -> None:
    x = leaf(1.9, 2.9)
    n = rv.zeros(2, dtype=rv.int64)
    n.copy_(x)
    assert n.tolist() == [1, 2]
    assert not n.requires_grad


def test_masked_and_listed_assignment() -> None:
    x = leaf(1.0, 2.0, 3.0)
    y = x * 2
    y[y > 3] = 0
    y.sum().backward()
    assert x.grad.tolist() == [2, 0, 0]
    x.grad = None
    y = x * 2
    y[[0, 2]] = x[1] * x[:2]
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), [2, 2 + 1 + 2 * 2, 0])
