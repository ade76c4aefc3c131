"""Schedules: their formulas over 60 steps, PyTorch's values, saving, order and refusals."""

from __future__ import annotations

import copy
import inspect
import math
import warnings
from bisect import bisect_right
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier import RanvierWarning, optim
from ranvier.optim import lr_scheduler as schedules

STEPS, BASE = 60, 0.8


def made(library: Any = rv, groups: int = 1, kind: str = "SGD", **settings: Any) -> Any:
    """An optimizer that has taken a step."""
    params = [library.zeros(1, requires_grad=True) for _ in range(groups)]
    given = [{"params": [p], "lr": BASE / (i + 1)} for i, p in enumerate(params)]
    optimizer = getattr(library.optim, kind)(given, **settings)
    for p in params:
        p.grad = library.ones(1)
    optimizer.step()
    return optimizer


def rates(schedule: Any, steps: int = STEPS) -> list[list[float]]:
    """The rates of the first steps."""
    found = []
    for _ in range(steps):
        found.append([float(lr) for lr in schedule.get_last_lr()])
        schedule.optimizer.step()
        schedule.step()
    return found


# --- formulas -----------------------------------------------------------------------------------


def cosine(low: float, t: float, T: float) -> float:
    return low + (BASE - low) * (1 + math.cos(math.pi * t / T)) / 2


def restarts(t: int) -> float:
    length = 4
    while t >= length:
        t, length = t - length, length * 2
    return cosine(0.1, t, length)


def triangle(t: int, scale: Callable[[int, int], float]) -> float:
    cycle, way = 1 + t // 10, t % 10
    height = way / 4 if way <= 4 else (10 - way) / 6
    return 0.1 + (2.0 - 0.1) * height * scale(cycle, t)


def one_cycle(t: int) -> float:
    up, end = 0.25 * STEPS - 1, STEPS - 1
    low, high, last = 2.0 / 25, 2.0, 2.0 / 25 / 1e4
    a, b, way = (low, high, t / up) if t <= up else (high, last, (t - up) / (end - up))
    return b + (a - b) / 2 * (math.cos(math.pi * way) + 1)


# Class, arguments, and the rate at step t of a group that begins with BASE.
Formula = Callable[[int], float]
TABLE: list[tuple[str, dict[str, Any], Formula]] = [
    ("StepLR", {"step_size": 7, "gamma": 0.5}, lambda t: BASE * 0.5 ** (t // 7)),
    ("MultiStepLR", {"milestones": [30, 5, 5, 40], "gamma": 0.5},
     lambda t: BASE * 0.5 ** bisect_right([5, 5, 30, 40], t)),
    ("ExponentialLR", {"gamma": 0.97}, lambda t: BASE * 0.97**t),
    ("ConstantLR", {"factor": 0.25, "total_iters": 20},
     lambda t: BASE * (0.25 if t < 20 else 1)),
    ("LinearLR", {"start_factor": 0.1, "end_factor": 0.9, "total_iters": 30},
     lambda t: BASE * (0.1 + 0.8 * min(t, 30) / 30)),
    ("PolynomialLR", {"total_iters": 50, "power": 2.0},
     lambda t: BASE * (1 - min(t, 50) / 50) ** 2),
    ("LambdaLR", {"lr_lambda": lambda t: 1 / (1 + t)}, lambda t: BASE / (1 + t)),
    ("MultiplicativeLR", {"lr_lambda": lambda t: 0.95}, lambda t: BASE * 0.95**t),
    ("CosineAnnealingLR", {"T_max": 25, "eta_min": 0.1}, lambda t: cosine(0.1, t, 25)),
    ("CosineAnnealingWarmRestarts", {"T_0": 4, "T_mult": 2, "eta_min": 0.1}, restarts),
    ("CyclicLR", {"base_lr": 0.1, "max_lr": 2.0, "step_size_up": 4, "step_size_down": 6},
     lambda t: triangle(t, lambda cycle, t: 1)),
    ("CyclicLR", {"base_lr": 0.1, "max_lr": 2.0, "step_size_up": 4, "step_size_down": 6,
                  "mode": "triangular2"}, lambda t: triangle(t, lambda cycle, t: 2 / 2**cycle)),
    ("CyclicLR", {"base_lr": 0.1, "max_lr": 2.0, "step_size_up": 4, "step_size_down": 6,
                  "mode": "exp_range", "gamma": 0.9},
     lambda t: triangle(t, lambda cycle, t: 0.9**t)),
    ("CyclicLR", {"base_lr": 0.1, "max_lr": 2.0, "step_size_up": 4, "step_size_down": 6,
                  "scale_fn": lambda x: 1 / x}, lambda t: triangle(t, lambda cycle, t: 1 / cycle)),
    ("OneCycleLR", {"max_lr": 2.0, "total_steps": STEPS, "pct_start": 0.25}, one_cycle),
]  # fmt: skip
# Only compared with PyTorch.
MORE: list[tuple[str, dict[str, Any]]] = [
    ("OneCycleLR", {"max_lr": 2.0, "epochs": 6, "steps_per_epoch": 10, "three_phase": True,
                    "anneal_strategy": "linear", "div_factor": 10.0}),
    ("OneCycleLR", {"max_lr": [2.0, 1.0], "total_steps": 60, "cycle_momentum": False}),
    ("CyclicLR", {"base_lr": [0.1, 0.2], "max_lr": [1.0, 2.0], "step_size_up": 9}),
    ("CosineAnnealingWarmRestarts", {"T_0": 7}),
    ("LinearLR", {}),
    ("ConstantLR", {}),
    ("PolynomialLR", {}),
    ("LambdaLR", {"lr_lambda": [lambda t: 0.9**t, lambda t: 1 / (1 + t)]}),
]  # fmt: skip
MOMENTUM = {"momentum": 0.9}


@pytest.mark.parametrize(("name", "arguments", "formula"), TABLE)
def test_rates_follow_the_formula(name: str, arguments: dict[str, Any], formula: Formula) -> None:
    schedule = getattr(schedules, name)(made(**MOMENTUM), **arguments)
    got = [one[0] for one in rates(schedule)]
    np.testing.assert_allclose(got, [formula(t) for t in range(STEPS)], rtol=1e-12, atol=1e-15)
    group = schedule.optimizer.param_groups[0]
    assert group.lr.item() == group["lr"] == schedule.get_last_lr()[0]


@pytest.mark.parametrize("kind", ["SGD", "Adam"])
@pytest.mark.parametrize(("name", "arguments"), [*(row[:2] for row in TABLE), *MORE])
def test_rates_and_momenta_are_pytorchs(name: str, arguments: dict[str, Any], kind: str) -> None:
    torch = pytest.importorskip("torch")
    settings = MOMENTUM if kind == "SGD" else {}
    pair = [
        getattr(library.optim.lr_scheduler, name)(made(library, 2, kind, **settings), **arguments)
        for library in (rv, torch)
    ]
    for t in range(STEPS):
        ours, theirs = ([list(s.get_last_lr()), *(
            [group.get("momentum"), group.get("betas")] for group in s.optimizer.param_groups
        )] for s in pair)  # fmt: skip
        assert repr(ours) == repr(theirs), t
        for s in pair:
            s.optimizer.step()
            s.step()
            if t == 30:  # what else changes rates stays in force
                for group in s.optimizer.param_groups:
                    group["lr"] *= 1.5


@pytest.mark.parametrize(("mode", "sign"), [("min", 1.0), ("max", -1.0)])
def test_plateau(mode: str, sign: float) -> None:
    schedule = schedules.ReduceLROnPlateau(
        made(), mode, factor=0.5, patience=1, threshold=0.1, threshold_mode="abs", cooldown=2
    )
    values = [5.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 1.0, 1.0, 1.0]
    got = []
    for value in values:
        schedule.step(rv.tensor(sign * value))
        got += schedule.get_last_lr()
    # The second bad epoch reduces; the next two do not count.
    assert got == [0.8, 0.8, 0.8, 0.4, 0.4, 0.4, 0.4, 0.2, 0.2, 0.2, 0.2]


@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
@pytest.mark.parametrize("mode", ["min", "max"])
def test_plateau_is_pytorchs(mode: str, threshold_mode: str) -> None:
    torch = pytest.importorskip("torch")
    values = np.random.default_rng(0).uniform(0.9, 1.1, 80)
    settings = {"factor": 0.5, "patience": 2, "threshold": 0.01, "cooldown": 1, "min_lr": 0.01}
    found = []
    for library in (rv, torch):
        schedule = library.optim.lr_scheduler.ReduceLROnPlateau(
            made(library, 2), mode, threshold_mode=threshold_mode, **settings
        )
        rates = []
        for value in values:
            schedule.step(value)
            rates.append(schedule.get_last_lr())
        found.append(rates)
    assert found[0] == found[1] and found[0][-1][0] < 0.1


@pytest.mark.parametrize("which", [0, 1])
def test_combined_rates_are_pytorchs(which: int) -> None:
    torch = pytest.importorskip("torch")
    found = []
    for library in (rv, torch):
        optimizer = made(library, 2)
        s = library.optim.lr_scheduler
        parts = [
            s.LinearLR(optimizer, 0.1, total_iters=10),
            s.CosineAnnealingLR(optimizer, 30),
            s.ExponentialLR(optimizer, 0.9),
        ]
        schedule = (
            s.ChainedScheduler(parts) if which else s.SequentialLR(optimizer, parts, [10, 40])
        )
        found.append(rates(schedule))
    assert found[0] == found[1]


def test_signatures_are_pytorchs() -> None:
    theirs = pytest.importorskip("torch").optim.lr_scheduler
    for name in schedules.__all__:
        a, b = (
            [(p.name, p.kind, p.default)
             for p in inspect.signature(getattr(module, name)).parameters.values()]
            for module in (schedules, theirs)
        )  # fmt: skip
        assert a == b, name
    assert set(theirs.__all__) <= set(schedules.__all__)


# --- use ----------------------------------------------------------------------------------------


def test_sequential_by_its_parts() -> None:
    optimizer = made()
    first = schedules.ConstantLR(optimizer, factor=0.5, total_iters=100)
    then = schedules.ExponentialLR(optimizer, gamma=0.5)
    schedule = schedules.SequentialLR(optimizer, [first, then], milestones=[3])
    got = [one[0] for one in rates(schedule, 6)]
    assert got == [0.4, 0.4, 0.4, 0.8, 0.4, 0.2]


def test_step_before_the_optimizers_warns_once() -> None:
    p = rv.zeros(1, requires_grad=True)
    optimizer = optim.SGD([p], lr=1.0)
    schedule = schedules.ExponentialLR(optimizer, 0.5)
    with pytest.warns(RanvierWarning, match=r"\[ExponentialLR\] step: .*optimizer's step first"):
        schedule.step()
    schedule.step()
    p.grad = rv.ones(1)
    optimizer.step()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        schedules.StepLR(optimizer, 1).step()


@pytest.mark.parametrize(("name", "arguments", "formula"), TABLE)
def test_a_saved_schedule_goes_on(name: str, arguments: dict[str, Any], formula: Formula) -> None:
    def fresh() -> Any:
        return getattr(schedules, name)(made(**MOMENTUM), **arguments)

    schedule = fresh()
    rates(schedule, 13)
    saved = copy.deepcopy((schedule.state_dict(), schedule.optimizer.state_dict()))
    expected = rates(schedule, 20)
    other = fresh()
    other.optimizer.load_state_dict(saved[1])
    other.load_state_dict(saved[0])
    assert rates(other, 20) == expected


def test_combined_schedules_are_saved() -> None:
    def fresh() -> Any:
        optimizer = made()
        parts = [schedules.LinearLR(optimizer), schedules.ExponentialLR(optimizer, 0.9)]
        return schedules.SequentialLR(optimizer, parts, [5])

    schedule = fresh()
    rates(schedule, 3)
    saved = copy.deepcopy((schedule.state_dict(), schedule.optimizer.state_dict()))
    other = fresh()
    other.optimizer.load_state_dict(saved[1])
    other.load_state_dict(saved[0])
    assert rates(other, 20) == rates(schedule, 20)


@pytest.mark.parametrize("library", ["rv", "torch"])
def test_going_on_from_an_epoch(library: str) -> None:
    module = rv if library == "rv" else pytest.importorskip("torch")
    optimizer = made(module)
    for group in optimizer.param_groups:
        group["initial_lr"] = 0.8
        group["lr"] = 0.2
    assert rates(module.optim.lr_scheduler.ExponentialLR(optimizer, 0.5, last_epoch=1), 2) == [
        [0.2],
        [0.1],
    ]
    step = module.optim.lr_scheduler.StepLR(optimizer, 2, 0.5, last_epoch=2)
    assert (step.last_epoch, step.get_last_lr()) == (3, [0.05])


def test_warm_restarts_between_epochs() -> None:
    schedule = schedules.CosineAnnealingWarmRestarts(made(), T_0=4, T_mult=2)
    for t in (0.5, 3.75, 4.0, 11.5, 12.0, 13.25):
        schedule.step(t)
        start, length = (0, 4) if t < 4 else (4, 8) if t < 12 else (12, 16)
        assert schedule.get_last_lr()[0] == pytest.approx(cosine(0, t - start, length))
        assert schedule.last_epoch == math.floor(t)


def test_a_schedule_reaches_a_recorded_step() -> None:
    x = rv.ones(1)
    ends = []
    for replay in (False, True):
        w = rv.ones(1, requires_grad=True)
        optimizer = optim.Adam([w], lr=0.1)

        def step(x: rv.Tensor, w: Any = w, optimizer: Any = optimizer) -> rv.Tensor:
            optimizer.zero_grad()
            loss = (w * w * x).sum()
            loss.backward()
            optimizer.step()
            return loss

        program = None
        schedule = None
        for _ in range(20):
            if program is not None:
                program.replay(x)
            elif replay:
                program = rv.Program.record(step, x)
            else:
                step(x)
            schedule = schedule or schedules.OneCycleLR(optimizer, 0.5, total_steps=21)
            schedule.step()
        ends.append(w.item())
    assert ends[0] == ends[1]


# --- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("StepLR", {"step_size": 0}, "step_size"),
        ("ConstantLR", {"factor": 2.0}, "factor"),
        ("LinearLR", {"start_factor": 0.0}, "start_factor"),
        ("LinearLR", {"end_factor": 2.0}, "end_factor"),
        ("CosineAnnealingLR", {"T_max": 0}, "T_max"),
        ("CosineAnnealingWarmRestarts", {"T_0": 0}, "T_0"),
        ("CosineAnnealingWarmRestarts", {"T_0": 1, "T_mult": 0.5}, "T_mult"),
        ("CyclicLR", {"base_lr": 0.1, "max_lr": 1.0, "mode": "square"}, "mode"),
        ("CyclicLR", {"base_lr": 0.1, "max_lr": [1.0, 2.0]}, "max_lr"),
        ("OneCycleLR", {"max_lr": 1.0}, "total_steps"),
        ("OneCycleLR", {"max_lr": 1.0, "total_steps": 0}, "total_steps"),
        ("OneCycleLR", {"max_lr": 1.0, "total_steps": 5, "pct_start": 2.0}, "pct_start"),
        ("OneCycleLR", {"max_lr": 1.0, "total_steps": 5, "anneal_strategy": "x"}, "anneal"),
        ("ReduceLROnPlateau", {"factor": 1.0}, "factor"),
        ("ReduceLROnPlateau", {"mode": "least"}, "mode"),
        ("LambdaLR", {"lr_lambda": [abs, abs]}, "lr_lambda"),
    ],
)
def test_arguments_are_checked(name: str, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=rf"\[{name}\] {words}"):
        getattr(schedules, name)(made(**MOMENTUM), **arguments)


def test_more_refusals() -> None:
    optimizer = made()
    with pytest.raises(TypeError, match=r"\[StepLR\] optimizer: expected an Optimizer, got float"):
        schedules.StepLR(0.1, 1)
    with pytest.raises(TypeError, match=r"lr_lambda: expected a function"):
        schedules.LambdaLR(optimizer, 0.5)
    with pytest.raises(KeyError, match="initial_lr"):
        schedules.StepLR(optimizer, 1, last_epoch=3)
    with pytest.raises(ValueError, match="cycle_momentum=False"):
        schedules.OneCycleLR(made(kind="Adagrad"), 1.0, total_steps=5)
    with pytest.raises(ValueError, match="expected at least one"):
        schedules.ChainedScheduler([])
    plateau = schedules.ReduceLROnPlateau(optimizer)
    with pytest.raises(ValueError, match="ReduceLROnPlateau at place 0"):
        schedules.ChainedScheduler([plateau])
    step = schedules.StepLR(optimizer, 1)
    with pytest.raises(ValueError, match="milestones: expected 0"):
        schedules.SequentialLR(optimizer, [step], [3])
    with pytest.raises(ValueError, match="of another at place 0"):
        schedules.SequentialLR(made(), [step], [])
    cycle = schedules.OneCycleLR(optimizer, 1.0, total_steps=2, cycle_momentum=False)
    cycle.step()
    cycle.step()
    with pytest.raises(ValueError, match="expected 2 of them"):
        cycle.step()
