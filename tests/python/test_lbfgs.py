"""L-BFGS: it solves what it should, as PyTorch's does step by step, and says what it needs."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier import optim
from ranvier.optim.line_search import Point, strong_wolfe

SETTINGS = [
    {"max_iter": 4},
    {"lr": 0.3, "max_iter": 6, "history_size": 3},
    {"line_search_fn": "strong_wolfe", "max_iter": 5},
    {"line_search_fn": "strong_wolfe", "history_size": 2, "max_eval": 40},
    {"line_search_fn": "strong_wolfe", "lr": 1e-3},
    {"line_search_fn": "strong_wolfe", "lr": 50.0, "max_iter": 8},
]


def rosenbrock(library: Any, x: Any, y: Any) -> Any:
    """Four valleys, with its parameters in two tensors."""
    return (100 * (y - x**2) ** 2 + (1 - x) ** 2).sum()


def problem(library: Any, settings: dict[str, Any]) -> tuple[Any, Any, list[Any]]:
    x = library.tensor(np.array([-1.2, 0.5, 2.0, -0.3]), requires_grad=True)
    y = library.tensor(np.array([1.0, -0.5, 1.5, 0.1]), requires_grad=True)
    optimizer = library.optim.LBFGS([x, y], **settings)
    losses: list[float] = []

    def closure() -> Any:
        optimizer.zero_grad()
        loss = rosenbrock(library, x, y)
        loss.backward()
        losses.append(loss.item())
        return loss

    return optimizer, closure, losses


@pytest.mark.parametrize("settings", SETTINGS[2:5])
def test_rosenbrocks_valley_is_found(settings: dict[str, Any]) -> None:
    optimizer, closure, losses = problem(rv, {**settings, "tolerance_change": 0.0})
    for _ in range(60):
        optimizer.step(closure)
    for p in optimizer.param_groups[0]["params"]:
        np.testing.assert_allclose(p.detach().numpy(), 1, atol=1e-6)
    assert losses[-1] < 1e-12 < losses[0]


@pytest.mark.parametrize("settings", SETTINGS)
def test_every_evaluation_is_pytorchs(settings: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    found = []
    for library in (rv, torch):
        optimizer, closure, losses = problem(library, settings)
        returned = [optimizer.step(closure).item() for _ in range(4)]
        state = optimizer.state[optimizer.param_groups[0]["params"][0]]
        found.append((losses, returned, state["n_iter"], state["func_evals"]))
    (ours, first, *counts), (theirs, their_first, *their_counts) = found
    assert len(ours) == len(theirs) and counts == their_counts
    np.testing.assert_allclose(first, their_first, rtol=1e-6, atol=1e-12)
    # Later rounding grows: every step looks at the differences of those before.
    np.testing.assert_allclose(ours[:60], theirs[:60], rtol=1e-6, atol=1e-12)


def test_a_quadratic_by_the_books_recursion() -> None:
    """With a full history the steps are those of dense BFGS from a scaled identity."""
    rng = np.random.default_rng(0)
    root = rng.standard_normal((5, 5))
    A, x = root @ root.T + np.eye(5), rng.standard_normal(5)
    w = rv.tensor(x, requires_grad=True)
    optimizer = optim.LBFGS([w], max_iter=1, lr=0.05)

    def closure() -> rv.Tensor:
        optimizer.zero_grad()
        loss = 0.5 * (w @ rv.tensor(A) @ w)
        loss.backward()
        return loss

    pairs: list[tuple[np.ndarray, np.ndarray]] = []
    last: np.ndarray | None = None
    for i in range(50):
        g = A @ x
        if last is not None:
            pairs.append((x - last, A @ (x - last)))
        H = np.eye(5)
        if pairs:
            s, y = pairs[-1]
            H = H * (s @ y) / (y @ y)
        for s, y in pairs:
            V = np.eye(5) - np.outer(y, s) / (s @ y)
            H = V.T @ H @ V + np.outer(s, s) / (s @ y)
        t = 0.05 * (min(1, 1 / np.abs(g).sum()) if i == 0 else 1)
        last, x = x, x - t * H @ g
        optimizer.step(closure)
        np.testing.assert_allclose(w.detach().numpy(), x, rtol=1e-6, atol=1e-9)


def test_a_saved_state_goes_on() -> None:
    optimizer, closure, losses = problem(rv, SETTINGS[2])
    optimizer.step(closure)
    saved = copy.deepcopy(optimizer.state_dict())
    values = [p.detach().clone() for p in optimizer.param_groups[0]["params"]]
    other, again, its = problem(rv, SETTINGS[2])
    for p, value in zip(other.param_groups[0]["params"], values, strict=True):
        p.data = value
    other.load_state_dict(saved)
    at = len(losses)
    optimizer.step(closure)
    other.step(again)
    assert its == losses[at:]


def test_the_line_search_leaves_numbers_that_are_none() -> None:
    """Beyond 1 there is no loss: the search comes back."""

    def at(t: float) -> Point:
        value = (t - 0.7) ** 2 if t < 1 else float("inf")
        return Point(t, value, rv.zeros(1), 2 * (t - 0.7) if t < 1 else float("nan"))

    point, evaluations = strong_wolfe(at, at(0.0), 8.0, 1.0)
    assert abs(point.t - 0.7) < 0.5 and point.value < 0.49 and evaluations < 26


def test_what_it_refuses() -> None:
    p, q = (rv.ones(2, requires_grad=True) for _ in range(2))
    with pytest.raises(TypeError, match=r"\[LBFGS\] closure: expected a function.*NoneType"):
        optim.LBFGS([p]).step()
    with pytest.raises(ValueError, match="expected one group"):
        optim.LBFGS([{"params": [p]}, {"params": [q]}])
    for settings in (
        {"line_search_fn": "wolfe"},
        {"max_iter": 0},
        {"history_size": 0},
        {"tolerance_grad": -1.0},
        {"lr": "1"},
    ):
        name = next(iter(settings))
        with pytest.raises(ValueError, match=rf"\[LBFGS\] {name}: expected"):
            optim.LBFGS([p], **settings)
    optimizer = optim.LBFGS([p])
    with pytest.warns(rv.RanvierWarning, match="changed nothing"):
        optimizer.step(lambda: rv.tensor(1.0))
    with pytest.raises(RuntimeError, match=r"item\(\)"):
        rv.Program.record(lambda x: optimizer.step(lambda: x.sum()), rv.ones(1))
