"""Schedules made of schedules: one after the other, or all at once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from ranvier._recording import acts
from ranvier.optim.lr_scheduler.base import LRScheduler
from ranvier.optim.lr_scheduler.plateau import ReduceLROnPlateau
from ranvier.optim.optimizer import Optimizer


def _check_parts(where: str, schedulers: Any, optimizer: Any) -> list[LRScheduler]:
    parts = list(schedulers)
    if not parts:
        raise ValueError(f"[{where}] schedulers: expected at least one, got none")
    for i, part in enumerate(parts):
        if not isinstance(part, LRScheduler):
            raise TypeError(
                f"[{where}] schedulers: expected schedules, got {type(part).__name__} at place {i}"
            )
        if isinstance(part, ReduceLROnPlateau):
            raise ValueError(
                f"[{where}] schedulers: expected schedules of the epoch alone, got "
                f"ReduceLROnPlateau at place {i}, whose step takes a value; step it beside this one"
            )
        if part.optimizer is not (optimizer or parts[0].optimizer):
            raise ValueError(
                f"[{where}] schedulers: expected schedules of one optimizer, got that of another "
                f"at place {i}"
            )
    return parts


class SequentialLR(LRScheduler):
    """One schedule after the other; each begins at its milestone, from its own first rate.

    Parameters
    ----------
    optimizer : Optimizer
    schedulers : list of LRScheduler
    milestones : list of int
        The epochs at which the second, third, ... begin.
    last_epoch : int, default -1

    Examples
    --------
    >>> import ranvier as rv
    >>> from ranvier.optim.lr_scheduler import ConstantLR, ExponentialLR, SequentialLR
    >>> optimizer = rv.optim.SGD([rv.zeros(1, requires_grad=True)], lr=1.0)
    >>> first = ConstantLR(optimizer, factor=0.5, total_iters=10)
    >>> then = ExponentialLR(optimizer, gamma=0.5)
    >>> schedule = SequentialLR(optimizer, [first, then], milestones=[2])
    >>> optimizer.stepped = True  # where optimizer.step() would be
    >>> rates = []
    >>> for _ in range(4):
    ...     rates += schedule.get_last_lr()
    ...     schedule.step()
    >>> rates
    [0.5, 0.5, 1.0, 0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: list[LRScheduler],
        milestones: list[int],
        last_epoch: int = -1,
    ) -> None:
        self._schedulers = _check_parts("SequentialLR", schedulers, optimizer)
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(
                f"[SequentialLR] milestones: expected {len(schedulers) - 1}, one less than "
                f"schedules, got {len(milestones)}"
            )
        self._milestones = list(milestones)
        self.last_epoch = last_epoch + 1
        self.optimizer = optimizer
        # Every part has set its first rate. Take that back, and let the one that begins do it.
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        _take_back(self._schedulers)
        first = self._schedulers[bisect_right(self._milestones, 0)]
        first._initial_step()
        self._last_lr = first.get_last_lr()

    @acts
    def step(self) -> None:  # type: ignore[override]
        """Steps the schedule whose turn it is."""
        self.last_epoch += 1
        turn = bisect_right(self._milestones, self.last_epoch)
        schedule = self._schedulers[turn]
        if turn > 0 and self._milestones[turn - 1] == self.last_epoch:
            schedule._update_lr(0)
        else:
            schedule.step()
        self._last_lr = schedule.get_last_lr()


def _take_back(schedulers: Sequence[LRScheduler]) -> None:
    for schedule in schedulers:
        parts = getattr(schedule, "_schedulers", None)
        if parts is not None:
            _take_back(parts)
        else:
            schedule.last_epoch -= 1


class ChainedScheduler(LRScheduler):
    """Several schedules at once, each changing what the one before has set.

    Parameters
    ----------
    schedulers : sequence of LRScheduler
    optimizer : Optimizer, optional
        Theirs, if left out.

    Examples
    --------
    >>> import ranvier as rv
    >>> from ranvier.optim.lr_scheduler import ChainedScheduler, ConstantLR, ExponentialLR
    >>> optimizer = rv.optim.SGD([rv.zeros(1, requires_grad=True)], lr=1.0)
    >>> parts = [ConstantLR(optimizer, factor=0.5), ExponentialLR(optimizer, gamma=0.5)]
    >>> schedule = ChainedScheduler(parts)
    >>> optimizer.stepped = True  # where optimizer.step() would be
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.25]
    """

    def __init__(
        self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None
    ) -> None:
        self._schedulers = _check_parts("ChainedScheduler", schedulers, optimizer)
        self.optimizer = optimizer or self._schedulers[0].optimizer
        self._last_lr = self._rates()

    @acts
    def step(self) -> None:  # type: ignore[override]
        """Steps every schedule."""
        for schedule in self._schedulers:
            schedule.step()
        self._last_lr = self._rates()
