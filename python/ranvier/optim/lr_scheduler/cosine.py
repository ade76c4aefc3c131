"""Schedules along half a cosine, once or again and again.

Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017, equation 5.
"""

from __future__ import annotations

import math

from ranvier._recording import acts
from ranvier.optim.lr_scheduler.base import LRScheduler, check, is_count
from ranvier.optim.optimizer import Optimizer


class CosineAnnealingLR(LRScheduler):
    """From the first rate to `eta_min` along half a cosine of `T_max` epochs, and back again.

    Parameters
    ----------
    optimizer : Optimizer
    T_max : int
    eta_min : float, default 0
    last_epoch : int, default -1

    Examples
    --------
    >>> import ranvier as rv
    >>> optimizer = rv.optim.SGD([rv.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = rv.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=2)
    >>> optimizer.stepped = True  # where optimizer.step() would be
    >>> schedule.step()
    >>> round(schedule.get_last_lr()[0], 6)
    0.5
    """

    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        check("CosineAnnealingLR", "T_max", T_max > 0, "a number above 0", T_max)
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def _height(self, epoch: int) -> float:
        """From 2 to 0."""
        return 1 + math.cos(math.pi * epoch / self.T_max)

    def get_lr(self) -> list[float]:
        """From the rates that groups have: what else changes them stays in force."""
        rates, epoch, low = self._rates(), self.last_epoch, self.eta_min
        if self._initial:
            return rates
        if self._step_count == 1 and epoch > 0:
            return self._get_closed_form_lr()
        if (epoch - 1 - self.T_max) % (2 * self.T_max) == 0:  # the last rate was the lowest
            rise = (1 - math.cos(math.pi / self.T_max)) / 2
            return [
                rate + (base - low) * rise for rate, base in zip(rates, self.base_lrs, strict=True)
            ]
        change = self._height(epoch) / self._height(epoch - 1)
        # Not below 0, where rates were below `eta_min`.
        return [max(0.0, change * (rate - low) + low) for rate in rates]

    def _get_closed_form_lr(self) -> list[float]:
        low, height = self.eta_min, self._height(self.last_epoch)
        return [low + (base - low) * height / 2 for base in self.base_lrs]


class CosineAnnealingWarmRestarts(LRScheduler):
    """From the first rate to `eta_min` along half a cosine, then from the start again.

    Parameters
    ----------
    optimizer : Optimizer
    T_0 : int
        Epochs of the first round.
    T_mult : int, default 1
        Every round is this many times as long as the one before.
    eta_min : float, default 0
    last_epoch : int, default -1

    Examples
    --------
    >>> import ranvier as rv
    >>> optimizer = rv.optim.SGD([rv.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = rv.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=2)
    >>> optimizer.stepped = True  # where optimizer.step() would be
    >>> for _ in range(2):
    ...     schedule.step()
    >>> schedule.get_last_lr()
    [1.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        where, words = "CosineAnnealingWarmRestarts", "a whole number of 1 or more"
        check(where, "T_0", is_count(T_0), words, T_0)
        check(where, "T_mult", is_count(T_mult), words, T_mult)
        check(where, "eta_min", isinstance(eta_min, (int, float)), "a number", eta_min)
        self.T_0 = T_0
        self.T_i: float = T_0
        self.T_mult = T_mult
        self.eta_min = eta_min
        self.T_cur: float = last_epoch
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The point of the cosine in this round."""
        low, height = self.eta_min, 1 + math.cos(math.pi * self.T_cur / self.T_i)
        return [low + (base - low) * height / 2 for base in self.base_lrs]

    @acts
    def step(self, epoch: float | None = None) -> None:
        """Goes on by one epoch, or to any point.

        Parameters
        ----------
        epoch : float, optional
            Such as ``epoch + i / batches``, to step after every batch.
        """
        if self._step_count == 1 and not self.optimizer.stepped:
            self._warn_of_order()
        self._step_count += 1
        if epoch is None and self.last_epoch < 0:
            epoch = 0
        if epoch is None:
            epoch = self.last_epoch + 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur %= self.T_i
                self.T_i *= self.T_mult
        else:
            check("CosineAnnealingWarmRestarts", "epoch", epoch >= 0, "0 or more", epoch)
            self._go_to(epoch)
        self.last_epoch = math.floor(epoch)
        self._set_rates(self.get_lr())

    def _go_to(self, epoch: float) -> None:
        """Finds the round that an epoch is in."""
        start, length = 0.0, float(self.T_0)
        if self.T_mult == 1:
            start = epoch // length * length
        else:
            while epoch >= start + length:
                start += length
                length *= self.T_mult
        self.T_cur, self.T_i = epoch - start, int(length)
