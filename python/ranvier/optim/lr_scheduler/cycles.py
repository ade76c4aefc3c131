"""Schedules that go up and down, and momentum with them the other way."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ranvier.optim.lr_scheduler.base import (
    LRScheduler,
    check,
    check_optimizer,
    is_count,
    one_each,
)
from ranvier.optim.optimizer import Optimizer

Anneal = Callable[[float, float, float], float]


class _WithMomentum(LRScheduler):
    """A schedule that may set momentum, or the first of the betas."""

    cycle_momentum: bool
    use_beta1: bool

    def _begin_momentum(self, optimizer: Optimizer, base: Any, top: Any, last_epoch: int) -> None:
        where = type(self).__name__
        if "momentum" not in optimizer.defaults and "betas" not in optimizer.defaults:
            raise ValueError(
                f"[{where}] cycle_momentum: expected an optimizer with 'momentum' or 'betas', got "
                f"{type(optimizer).__name__}; pass cycle_momentum=False"
            )
        self.use_beta1 = "betas" in optimizer.defaults
        self.base_momentums = one_each(where, "base_momentum", optimizer, base)
        self.max_momentums = one_each(where, "max_momentum", optimizer, top)
        if last_epoch != -1:
            return
        for group, low, high in zip(
            optimizer.param_groups, self.base_momentums, self.max_momentums, strict=True
        ):
            self._set_momentum(group, high)
            group.update(max_momentum=high, base_momentum=low)

    def _set_momentum(self, group: Any, momentum: float) -> None:
        if self.use_beta1:
            group["betas"] = (momentum, *group["betas"][1:])
        else:
            group["momentum"] = momentum


class CyclicLR(_WithMomentum):
    """Up from `base_lr` to `max_lr` and down again, for ever.

    Smith, "Cyclical learning rates for training neural networks", 2017. Step it after every batch.

    Parameters
    ----------
    optimizer : Optimizer
    base_lr, max_lr : float, or a list with one for each group
    step_size_up : int, default 2000
        Steps on the way up.
    step_size_down : int, optional
        Steps on the way down; as many as up, if left out.
    mode : {"triangular", "triangular2", "exp_range"}
        Peaks stay, halve every cycle, or are multiplied by ``gamma**step``.
    gamma : float, default 1
    scale_fn : callable, optional
        In the place of `mode`: what the height is multiplied by, a function of the cycle (from 1)
        or of the step.
    scale_mode : {"cycle", "iterations"}
        What `scale_fn` is a function of.
    cycle_momentum : bool, default True
        Momentum goes from `max_momentum` down to `base_momentum` while the rate goes up.
    base_momentum, max_momentum : float, or a list with one for each group
    last_epoch : int, default -1

    Examples
    --------
    >>> import ranvier as rv
    >>> optimizer = rv.optim.SGD([rv.zeros(1, requires_grad=True)], lr=1.0, momentum=0.9)
    >>> schedule = rv.optim.lr_scheduler.CyclicLR(optimizer, 0.0, 1.0, step_size_up=4)
    >>> optimizer.stepped = True  # where optimizer.step() would be
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.25]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float = 0.8,
        max_momentum: float = 0.9,
        last_epoch: int = -1,
    ) -> None:
        where, modes = "CyclicLR", ("triangular", "triangular2", "exp_range")
        check_optimizer(where, optimizer)
        if scale_fn is None:
            check(where, "mode", mode in modes, f"one of {', '.join(modes)}", mode)
            scale_mode = "iterations" if mode == "exp_range" else "cycle"
        check(where, "step_size_up", step_size_up > 0, "a number above 0", step_size_up)
        bases = one_each(where, "base_lr", optimizer, base_lr)
        self.max_lrs = one_each(where, "max_lr", optimizer, max_lr)
        if last_epoch == -1:
            for group, rate in zip(optimizer.param_groups, bases, strict=True):
                group["lr"] = rate
        down = step_size_up if step_size_down is None else step_size_down
        self.total_size = float(step_size_up + down)
        self.step_ratio = step_size_up / self.total_size
        self.mode = mode
        self.gamma = gamma
        self._scale_fn = scale_fn
        self.scale_mode = scale_mode
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self._begin_momentum(optimizer, base_momentum, max_momentum, last_epoch)
        super().__init__(optimizer, last_epoch)
        self.base_lrs = bases

    def scale_fn(self, x: float) -> float:
        """What the height of cycle, or step, `x` is multiplied by."""
        if self._scale_fn is not None:
            return self._scale_fn(x)
        if self.mode == "exp_range":
            return float(self.gamma**x)
        return 1.0 if self.mode == "triangular" else float(0.5 ** (x - 1))

    def get_lr(self) -> list[float]:
        """The rates of this step; sets momentum on the way."""
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1.0 + self.last_epoch / self.total_size - cycle
        ratio = self.step_ratio
        height = x / ratio if x <= ratio else (x - 1) / (ratio - 1)
        scale = self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            for group, low, high in zip(
                self.optimizer.param_groups, self.base_momentums, self.max_momentums, strict=True
            ):
                self._set_momentum(group, high - (high - low) * height * scale)
        return [
            low + (high - low) * height * scale
            for low, high in zip(self.base_lrs, self.max_lrs, strict=True)
        ]


class OneCycleLR(_WithMomentum):
    """Once up from `max_lr / div_factor` to `max_lr`, and down far below where it began.

    Smith and Topin, "Super-convergence", 2018. Step it after every batch.

    Parameters
    ----------
    optimizer : Optimizer
    max_lr : float, or a list with one for each group
    total_steps : int, optional
        Or else `epochs` and `steps_per_epoch`.
    epochs, steps_per_epoch : int, optional
    pct_start : float, default 0.3
        The part of the steps on the way up.
    anneal_strategy : {"cos", "linear"}
    cycle_momentum : bool, default True
        Momentum goes from `max_momentum` to `base_momentum` and back.
    base_momentum, max_momentum : float, or a list with one for each group
    div_factor, final_div_factor : float
        The first rate is `max_lr / div_factor`, the last one that divided by `final_div_factor`.
    three_phase : bool, default False
        Down to the first rate as steeply as up, then on to the last.
    last_epoch : int, default -1

    Examples
    --------
    >>> import ranvier as rv
    >>> optimizer = rv.optim.Adam([rv.zeros(1, requires_grad=True)])
    >>> schedule = rv.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=10)
    >>> optimizer.stepped = True  # where optimizer.step() would be
    >>> for _ in range(2):
    ...     schedule.step()
    >>> schedule.get_last_lr()
    [1.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        where = "OneCycleLR"
        check_optimizer(where, optimizer)
        fits = isinstance(pct_start, float) and 0 <= pct_start <= 1
        check(where, "pct_start", fits, "a float from 0 to 1", pct_start)
        fits = anneal_strategy in ("cos", "linear")
        check(where, "anneal_strategy", fits, "'cos' or 'linear'", anneal_strategy)
        self.total_steps = _total(total_steps, epochs, steps_per_epoch)
        self.anneal_strategy = anneal_strategy
        # Each phase ends with a step, at a rate and a momentum.
        end, up = self.total_steps - 1, pct_start * self.total_steps - 1
        self._phases = [(up, "max_lr", "base_momentum"), (end, "min_lr", "max_momentum")]
        if three_phase:
            down = 2 * pct_start * self.total_steps - 2
            self._phases.insert(1, (down, "initial_lr", "max_momentum"))
        peaks = one_each(where, "max_lr", optimizer, max_lr)
        if last_epoch == -1:
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                first = peak / div_factor
                group.update(initial_lr=first, max_lr=peak, min_lr=first / final_div_factor)
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self._begin_momentum(optimizer, base_momentum, max_momentum, last_epoch)
        super().__init__(optimizer, last_epoch)

    def _between(self, start: float, end: float, way: float) -> float:
        if self.anneal_strategy == "cos":
            return end + (start - end) / 2.0 * (math.cos(math.pi * way) + 1)
        return (end - start) * way + start

    def get_lr(self) -> list[float]:
        """The rates of this step; sets momentum on the way."""
        step = self.last_epoch
        if step > self.total_steps:
            raise ValueError(
                f"[OneCycleLR] step: expected {self.total_steps} of them, got another; make the "
                "schedule for as many steps as there are"
            )
        begin, rate, momentum = 0.0, "initial_lr", "max_momentum"
        for last, next_rate, next_momentum in self._phases:
            if step <= last or last == self._phases[-1][0]:
                break
            begin, rate, momentum = last, next_rate, next_momentum
        way = (step - begin) / (last - begin) if last != begin else 1.0
        groups = self.optimizer.param_groups
        if self.cycle_momentum:
            for group in groups:
                now = self._between(group[momentum], group[next_momentum], way)
                self._set_momentum(group, now)
        # One step after the last may be asked for: a line goes on, but not below 0.
        return [max(0.0, self._between(group[rate], group[next_rate], way)) for group in groups]


def _total(total_steps: Any, epochs: Any, steps_per_epoch: Any) -> int:
    where, words = "OneCycleLR", "a whole number of 1 or more"
    if total_steps is not None:
        check(where, "total_steps", is_count(total_steps), words, total_steps)
        return int(total_steps)
    if epochs is None or steps_per_epoch is None:
        raise ValueError(
            f"[{where}] total_steps: expected it, or epochs and steps_per_epoch, got neither"
        )
    check(where, "epochs", is_count(epochs), words, epochs)
    check(where, "steps_per_epoch", is_count(steps_per_epoch), words, steps_per_epoch)
    return int(epochs * steps_per_epoch)
