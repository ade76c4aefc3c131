"""Optimizers over 50 steps: against their published rules, PyTorch, and their own recordings.

The rules are those of the case table, in long double; the formula of one step has its rows there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import cases as cases  # fills the table that cases_optim adds to
import cases_optim as rules
import numpy as np
import pytest

import ranvier as rv
from ranvier import optim

STEPS = 50
Array = Any

# By class: settings to try.
SETTINGS: dict[type[optim.Optimizer], list[dict[str, Any]]] = {
    optim.SGD: [
        {},
        {"momentum": 0.9, "weight_decay": 0.1},
        {"momentum": 0.9, "dampening": 0.5, "maximize": True},
        {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1, "maximize": True},
    ],
    optim.RMSprop: [
        {},
        {"alpha": 0.9, "eps": 1e-3, "weight_decay": 0.1},
        {"momentum": 0.9, "maximize": True},
        {"centered": True, "momentum": 0.5, "weight_decay": 0.1, "maximize": True},
    ],
    optim.Adagrad: [
        {},
        {"lr_decay": 0.1, "weight_decay": 0.1, "maximize": True},
        {"initial_accumulator_value": 0.5, "eps": 1e-3},
    ],
    optim.Adadelta: [
        {},
        {"lr": 0.5, "rho": 0.95, "eps": 1e-3, "weight_decay": 0.1, "maximize": True},
    ],
    optim.Adam: [
        {},
        {"betas": (0.5, 0.9), "eps": 1e-3, "weight_decay": 0.1, "maximize": True},
        {"amsgrad": True, "weight_decay": 0.1},
        {"decoupled_weight_decay": True, "weight_decay": 0.1},
    ],
    optim.AdamW: [{}, {"weight_decay": 0.5, "amsgrad": True, "maximize": True}],
    optim.Adamax: [{}, {"betas": (0.5, 0.9), "eps": 1e-3, "weight_decay": 0.1, "maximize": True}],
    optim.NAdam: [
        {},
        {"momentum_decay": 0.5, "weight_decay": 0.1, "maximize": True},
        {"decoupled_weight_decay": True, "weight_decay": 0.1, "betas": (0.5, 0.9)},
    ],
    optim.RAdam: [
        {},
        {"betas": (0.5, 0.9), "weight_decay": 0.1, "maximize": True},
        {"decoupled_weight_decay": True, "weight_decay": 0.1},
    ],
    optim.Lion: [{}, {"betas": (0.5, 0.9), "weight_decay": 0.1, "maximize": True}],
    optim.Rprop: [{}, {"etas": (0.25, 1.5), "step_sizes": (1e-3, 0.5), "maximize": True}],
    optim.ASGD: [{}, {"lambd": 0.1, "alpha": 0.5, "t0": 10, "weight_decay": 0.1, "maximize": True}],
}
EACH = [
    pytest.param(kind, settings, id=f"{kind.__name__}-{i}")
    for kind, several in SETTINGS.items()
    for i, settings in enumerate(several)
]
KINDS = pytest.mark.parametrize("kind", SETTINGS, ids=lambda kind: kind.__name__)

# --- the rules ----------------------------------------------------------------------------------

Rule = tuple[Callable[..., list[Array]], list[Any], dict[str, Any]]


def rule_of(kind: type[optim.Optimizer], s: dict[str, Any], zeros: Array) -> Rule:
    """The rule of a class: a function of the case table, the first state, and its settings."""
    common = {k: s[k] for k in ("weight_decay", "maximize", "eps", "momentum") if k in s}
    count = np.zeros(())
    betas = dict(zip(("beta1", "beta2"), s["betas"], strict=True)) if "betas" in s else {}
    decay = {"decoupled": s.get("decoupled_weight_decay", kind is optim.AdamW)}
    if kind is optim.SGD:
        extra = {k: s[k] for k in ("dampening", "nesterov")}
        state = [zeros, count] if s["momentum"] else [None, None]
        return rules.sgd, [*state, None], {**common, **extra}
    if kind is optim.RMSprop:
        state = [zeros, zeros if s["centered"] else None, zeros if s["momentum"] else None, None]
        return rules.rmsprop, state, {**common, "alpha": s["alpha"]}
    if kind is optim.Adagrad:
        extra = {"lr_decay": s["lr_decay"], "initial": s["initial_accumulator_value"]}
        return rules.adagrad, [zeros, count], {**common, **extra}
    if kind is optim.Adadelta:
        return rules.adadelta, [zeros, zeros], {**common, "rho": s["rho"]}
    if kind in (optim.Adam, optim.AdamW):
        state = [zeros, zeros, count, zeros if s["amsgrad"] else None, None]
        return rules.adam, state, {**common, **betas, **decay}
    if kind is optim.Adamax:
        return rules.adamax, [zeros, zeros, count, None], {**common, **betas}
    if kind is optim.NAdam:
        extra = {"momentum_decay": s["momentum_decay"], **decay}
        return rules.nadam, [zeros, zeros, count, count, None], {**common, **betas, **extra}
    if kind is optim.RAdam:
        return rules.radam, [zeros, zeros, count, None], {**common, **betas, **decay}
    if kind is optim.Lion:
        return rules.lion, [zeros, None], {**common, **betas}
    if kind is optim.Rprop:
        named = dict(zip(("eta_minus", "eta_plus"), s["etas"], strict=True))
        named |= dict(zip(("step_min", "step_max"), s["step_sizes"], strict=True))
        return rules.rprop, [zeros, zeros, count], {**named, "maximize": s["maximize"]}
    extra = {k: s[k] for k in ("lambd", "alpha", "t0")}
    return rules.asgd, [zeros, count, count, count], {**common, **extra}


def by_rule(kind: type[optim.Optimizer], settings: dict[str, Any], p: Array, grads: Any) -> Array:
    rule, state, attrs = rule_of(kind, settings, np.zeros_like(p))
    lr = np.array(settings["lr"])
    for g in grads:
        p, *new = rule(p, g, lr, *state, **attrs)
        left = iter(new)
        state = [None if old is None else next(left) for old in state]
    return p


def problem(dtype: str = "float64") -> tuple[Array, Array]:
    rng = np.random.default_rng(0)
    return (rng.standard_normal((4, 5)).astype(dtype),
            rng.standard_normal((STEPS, 4, 5)).astype(dtype))  # fmt: skip


def stepped(optimizer: optim.Optimizer, p: rv.Tensor, grads: Any) -> Array:
    for g in grads:
        p.grad = rv.tensor(g)
        optimizer.step()
    return p.detach().numpy()


@pytest.mark.parametrize(("kind", "settings"), EACH)
def test_fifty_steps_by_the_rule(kind: Any, settings: dict[str, Any]) -> None:
    start, grads = problem()
    p = rv.tensor(start, requires_grad=True)
    optimizer = kind([p], **settings)
    ours = stepped(optimizer, p, grads)
    expected = by_rule(kind, optimizer.param_groups[0], start.astype(np.longdouble), grads)
    assert np.abs(ours - start).max() > 1e-3
    np.testing.assert_allclose(ours, expected.astype(float), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("kind", "settings"), EACH)
def test_fifty_steps_of_pytorch(kind: Any, settings: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    if kind is optim.Lion:
        pytest.skip("PyTorch has no Lion")
    start, grads = problem()
    ends = []
    for library, module in ((rv, optim), (torch, torch.optim)):
        first, second = (library.tensor(start, requires_grad=True) for _ in range(2))
        groups = [{"params": [first]}, {"params": [second], "lr": 0.05}]
        optimizer = getattr(module, kind.__name__)(groups, **settings)
        for i, g in enumerate(grads):
            first.grad, second.grad = library.tensor(g), library.tensor(g * 0.5)
            if i == 20:
                optimizer.param_groups[0]["lr"] *= 0.5
            optimizer.step()
        ends.append([first.detach().numpy(), second.detach().numpy()])
    # PyTorch keeps the numbers that ASGD remembers in float32.
    close = 1e-7 if kind is optim.ASGD else 1e-9
    np.testing.assert_allclose(*ends, rtol=close, atol=close)


# --- PyTorch's signatures -----------------------------------------------------------------------


def test_signatures_are_pytorchs() -> None:
    import inspect

    torch = pytest.importorskip("torch")
    for kind in SETTINGS:
        if kind is optim.Lion:
            continue
        ours, theirs = (
            [(p.name, p.kind, p.default) for p in inspect.signature(k).parameters.values()]
            for k in (kind, getattr(torch.optim, kind.__name__))
        )
        assert ours == theirs, kind


# --- recordings ---------------------------------------------------------------------------------


def recorded(kind: Any, settings: dict[str, Any]) -> Iterator[tuple[Array, ...]]:
    """Parameters after every step, eager and replayed, with lr and momentum changed on the way."""
    x, y = rv.randn(6, 3), rv.randn(6, 2)
    start = rv.randn(3, 2)

    def made() -> tuple[rv.Tensor, optim.Optimizer, Callable[..., rv.Tensor]]:
        w = start.clone().requires_grad_(True)
        optimizer = kind([w], **settings)

        def step(x: rv.Tensor, y: rv.Tensor) -> rv.Tensor:
            optimizer.zero_grad()
            loss = ((x @ w - y) ** 2).mean()
            loss.backward()
            optimizer.step()
            return loss

        return w, optimizer, step

    w, optimizer, eager = made()
    v, other, step = made()
    program: rv.Program | None = None
    for i in range(STEPS):
        for group in (optimizer.param_groups[0], other.param_groups[0]):
            if i == 10:
                group["lr"] *= 0.5
            if i == 20 and "betas" in group:
                group["betas"] = (0.7, group["betas"][1])
            if i == 20 and group.get("momentum"):
                group["momentum"] = 0.6
        eager(x, y)
        if program is None:
            program = rv.Program.record(step, x, y)
        else:
            program.replay(x, y)
        yield w.detach().numpy().copy(), v.detach().numpy().copy()


@pytest.mark.parametrize(("kind", "settings"), EACH)
def test_replays_have_the_bits_of_eager_steps(kind: Any, settings: dict[str, Any]) -> None:
    rv.manual_seed(0)
    for i, (eager, replayed) in enumerate(recorded(kind, settings)):
        assert eager.tobytes() == replayed.tobytes(), i


# --- state --------------------------------------------------------------------------------------


@KINDS
def test_a_saved_state_goes_on_to_the_same_bits(kind: Any) -> None:
    start, grads = problem("float32")
    for settings in SETTINGS[kind]:
        p = rv.tensor(start, requires_grad=True)
        optimizer = kind([p], **settings)
        half = stepped(optimizer, p, grads[:25]).copy()
        saved = optimizer.state_dict()
        saved = {**saved, "state": {k: {n: t.clone() for n, t in v.items()}
                                    for k, v in saved["state"].items()}}  # fmt: skip
        expected = stepped(optimizer, p, grads[25:]).copy()
        for before in (0, 3):
            q = rv.tensor(start, requires_grad=True)
            other = kind([q], **settings)
            stepped(other, q, grads[:before])
            q.data = rv.tensor(half)
            other.load_state_dict(saved)
            np.testing.assert_array_equal(stepped(other, q, grads[25:]), expected)


@KINDS
def test_zeros_are_a_fresh_start(kind: Any) -> None:
    start, grads = problem("float32")
    for settings in SETTINGS[kind]:
        p = rv.tensor(start, requires_grad=True)
        optimizer = kind([p], **settings)
        fresh = optimizer.state_dict()
        first = stepped(optimizer, p, grads[:3]).copy()
        optimizer.load_state_dict(fresh)
        p.data = rv.tensor(start)
        np.testing.assert_array_equal(stepped(optimizer, p, grads[:3]), first)


@KINDS
@pytest.mark.parametrize("dtype", [rv.float16, rv.bfloat16])
def test_half_precision_stores(kind: Any, dtype: rv.dtype) -> None:
    start, grads = problem("float32")
    p = rv.tensor(start).to(dtype).requires_grad_(True)
    optimizer = kind([p], lr=0.01)
    for g in grads[:3]:
        p.grad = rv.tensor(g).to(dtype)
        optimizer.step()
    assert p.dtype is dtype and bool(p.detach().float().isfinite().all())
    assert not rv.equal(p.detach().float(), rv.tensor(start))


# --- bounds that NumPy's rules do not have --------------------------------------------------------


def test_a_centered_mean_square_is_never_negative() -> None:
    """A gradient that stays the same leaves nothing but rounding of v - m^2."""
    p = rv.zeros(100, requires_grad=True)
    optimizer = optim.RMSprop([p], lr=1e-3, centered=True, alpha=0.5)
    for _ in range(60):
        p.grad = rv.linspace(0.1, 3.0, 100)
        optimizer.step()
    assert bool(p.detach().isfinite().all())
