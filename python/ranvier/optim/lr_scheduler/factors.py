"""Schedules that multiply the learning rate: by steps, steadily, along a line, by a function."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from ranvier.optim.lr_scheduler.base import (
    FactorLR,
    LRScheduler,
    check,
    functions_each,
    is_count,
)
from ranvier.optim.optimizer import Optimizer


class StepLR(FactorLR):
    """Multiplies the rate by `gamma` every `step_size` epochs.

    Parameters
    ----------
    optimizer : Optimizer
    step_size : int
    gamma : float, default 0.1
    last_epoch : int, default -1

    Examples
    --------
    >>> import ranvier as rv
    >>> optimizer = rv.optim.SGD([rv.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = rv.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
    >>> optimizer.stepped = True  # where optimizer.step() would be
    >>> for _ in range(5):
    ...     schedule.step()
    >>> schedule.get_last_lr()
    [0.25]
    """

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        check("StepLR", "step_size", is_count(step_size), "a whole number of 1 or more", step_size)
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def change(self) -> float:
        """`gamma` at every multiple of `step_size`."""
        at_step = self.last_epoch != 0 and self.last_epoch % self.step_size == 0
        return self.gamma if at_step else 1.0

    def factor(self) -> float:
        """`gamma` to the number of whole steps."""
        return float(self.gamma ** (self.last_epoch // self.step_size))


class MultiStepLR(FactorLR):
    """Multiplies the rate by `gamma` at each milestone.

    Parameters
    ----------
    optimizer : Optimizer
    milestones : iterable of int
        Epochs; one that stands there twice counts twice.
    gamma : float, default 0.1
    last_epoch : int, default -1

    Examples
    --------
    >>> import ranvier as rv
    >>> optimizer = rv.optim.SGD([rv.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = rv.optim.lr_scheduler.MultiStepLR(optimizer, [1, 3], gamma=0.5)
    >>> optimizer.stepped = True  # where optimizer.step() would be
    >>> for _ in range(2):
    ...     schedule.step()
    >>> schedule.get_last_lr()
    [0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Iterable[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
    ) -> None:
        self.milestones = Counter(milestones)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def change(self) -> float:
        """`gamma`, as often as this epoch is a milestone."""
        return float(self.gamma ** self.milestones[self.last_epoch])

    def factor(self) -> float:
        """`gamma` to the number of milestones so far."""
        return float(
            self.gamma ** bisect_right(sorted(self.milestones.elements()), self.last_epoch)
        )


class ExponentialLR(FactorLR):
    """Multiplies the rate by `gamma` every epoch.

    Parameters
    ----------
    optimizer : Optimizer
    gamma : float
    last_epoch : int, default -1

    Examples
    --------
    >>> import ranvier as rv
    >>> optimizer = rv.optim.SGD([rv.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = rv.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    >>> optimizer.stepped = True  # where optimizer.step() would be
    >>> for _ in range(3):
    ...     schedule.step()
    >>> schedule.get_last_lr()
    [0.125]
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def change(self) -> float:
        """`gamma`, but not for the first rate."""
        return 1.0 if self._initial else self.gamma

    def factor(self) -> float:
        """`gamma` to the number of epochs."""
        return float(self.gamma**self.last_epoch)


class ConstantLR(FactorLR):
    """Multiplies the rate by `factor` until `total_iters` epochs have passed.

    Parameters
    ----------
    optimizer : Optimizer
    factor : float, default 1/3
        0 to 1.
    total_iters : int, default 5
    last_epoch : int, default -1

    Examples
    --------
    >>> import ranvier as rv
    >>> optimizer = rv.optim.SGD([rv.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = rv.optim.lr_scheduler.ConstantLR(optimizer, factor=0.5)
    >>> schedule.get_last_lr()
    [0.5]
    """

    factor: float  # type: ignore[assignment]

    def __init__(
        self,
        optimizer: Optimizer,
        factor: float = 1.0 / 3,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        check("ConstantLR", "factor", 0 <= factor <= 1, "a number from 0 to 1", factor)
        self.factor = factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The rates times `factor` at first, and divided by it in the end."""
        if self.last_epoch == 0:
            return [rate * self.factor for rate in self._rates()]
        if self.last_epoch != self.total_iters:
            return self._rates()
        if self.factor == 0:  # what was multiplied by 0 does not come back
            return list(self.base_lrs)
        return [rate * (1.0 / self.factor) for rate in self._rates()]

    def _get_closed_form_lr(self) -> list[float]:
        factor = 1.0 if self.last_epoch >= self.total_iters else self.factor
        return [rate * factor for rate in self.base_lrs]


class LinearLR(FactorLR):
    """Multiplies the rate by a factor that goes along a line for `total_iters` epochs.

    Parameters
    ----------
    optimizer : Optimizer
    start_factor : float, default 1/3
        More than 0, up to 1.
    end_factor : float, default 1
        0 to 1.
    total_iters : int, default 5
    last_epoch : int, default -1

    Examples
    --------
    >>> import ranvier as rv
    >>> optimizer = rv.optim.SGD([rv.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = rv.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.5, total_iters=4)
    >>> optimizer.stepped = True  # where optimizer.step() would be
    >>> for _ in range(2):
    ...     schedule.step()
    >>> schedule.get_last_lr()
    [0.75]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        where = "LinearLR"
        fits = 0 < start_factor <= 1
        check(where, "start_factor", fits, "a number above 0, up to 1", start_factor)
        check(where, "end_factor", 0 <= end_factor <= 1, "a number from 0 to 1", end_factor)
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def change(self) -> float:
        """The quotient of this epoch's factor and the last one's."""
        if self.last_epoch == 0:
            return self.start_factor
        if self._initial or self.last_epoch > self.total_iters:
            return 1.0
        rise = self.end_factor - self.start_factor
        return 1.0 + rise / (self.total_iters * self.start_factor + (self.last_epoch - 1) * rise)

    def factor(self) -> float:
        """The point of the line."""
        way = min(self.total_iters, self.last_epoch) / self.total_iters
        return self.start_factor + (self.end_factor - self.start_factor) * way


class PolynomialLR(FactorLR):
    """Multiplies the rate by (1 - epoch / total_iters)^power, down to 0.

    Parameters
    ----------
    optimizer : Optimizer
    total_iters : int, default 5
    power : float, default 1
    last_epoch : int, default -1

    Examples
    --------
    >>> import ranvier as rv
    >>> optimizer = rv.optim.SGD([rv.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = rv.optim.lr_scheduler.PolynomialLR(optimizer, total_iters=4)
    >>> optimizer.stepped = True  # where optimizer.step() would be
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.75]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        total_iters: int = 5,
        power: float = 1.0,
        last_epoch: int = -1,
    ) -> None:
        self.total_iters = total_iters
        self.power = power
        super().__init__(optimizer, last_epoch)

    def change(self) -> float:
        """The quotient of this epoch's factor and the last one's."""
        if self._initial or self.last_epoch > self.total_iters:
            return 1.0
        now = 1.0 - self.last_epoch / self.total_iters
        before = 1.0 - (self.last_epoch - 1) / self.total_iters
        return float((now / before) ** self.power)

    def factor(self) -> float:
        """What is left of the way, to the power."""
        way = min(self.total_iters, self.last_epoch) / self.total_iters
        return float((1.0 - way) ** self.power)


class LambdaLR(LRScheduler):
    """Multiplies the first rate by a function of the epoch.

    Parameters
    ----------
    optimizer : Optimizer
    lr_lambda : callable, or a list with one for each group
    last_epoch : int, default -1

    Examples
    --------
    >>> import ranvier as rv
    >>> optimizer = rv.optim.SGD([rv.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = rv.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 1 / (1 + epoch))
    >>> optimizer.stepped = True  # where optimizer.step() would be
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | list[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        self.lr_lambdas: list[Any] = functions_each(type(self).__name__, optimizer, lr_lambda)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The base rates times the functions of the epoch."""
        return [
            rate * function(self.last_epoch)
            for rate, function in zip(self.base_lrs, self.lr_lambdas, strict=True)
        ]


class MultiplicativeLR(LambdaLR):
    """Multiplies the rate by a function of the epoch, every epoch.

    Parameters
    ----------
    optimizer : Optimizer
    lr_lambda : callable, or a list with one for each group
    last_epoch : int, default -1

    Examples
    --------
    >>> import ranvier as rv
    >>> optimizer = rv.optim.SGD([rv.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = rv.optim.lr_scheduler.MultiplicativeLR(optimizer, lambda epoch: 0.5)
    >>> optimizer.stepped = True  # where optimizer.step() would be
    >>> for _ in range(2):
    ...     schedule.step()
    >>> schedule.get_last_lr()
    [0.25]
    """

    def get_lr(self) -> list[float]:
        """The rates that groups have, times the functions of the epoch."""
        if self._initial:
            return self._rates()
        return [
            rate * function(self.last_epoch)
            for rate, function in zip(self._rates(), self.lr_lambdas, strict=True)
        ]
