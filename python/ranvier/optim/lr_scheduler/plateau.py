"""A schedule that looks at a measured value: smaller steps where it does not get better."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, SupportsFloat

from ranvier import _C
from ranvier.optim.lr_scheduler.base import LRScheduler, check, check_optimizer, one_each
from ranvier.optim.optimizer import Optimizer


class ReduceLROnPlateau(LRScheduler):
    """Multiplies the rate by `factor` where a value has not improved for `patience` epochs.

    Parameters
    ----------
    optimizer : Optimizer
    mode : {"min", "max"}
        Whether smaller or larger values are better.
    factor : float, default 0.1
        Below 1.
    patience : int, default 10
        How many epochs without improvement are let pass.
    threshold : float, default 1e-4
        What counts as an improvement.
    threshold_mode : {"rel", "abs"}
        Whether that is a part of the best value, or a difference.
    cooldown : int, default 0
        Epochs after a change that do not count.
    min_lr : float, or a list with one for each group, default 0
    eps : float, default 1e-8
        Smaller changes are not made.

    Examples
    --------
    >>> import ranvier as rv
    >>> optimizer = rv.optim.SGD([rv.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = rv.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=1, factor=0.5)
    >>> for loss in (2.0, 1.0, 1.0, 1.0):
    ...     schedule.step(loss)
    >>> schedule.get_last_lr()
    [0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: list[float] | float = 0,
        eps: float = 1e-8,
    ) -> None:
        where = "ReduceLROnPlateau"
        self.optimizer = check_optimizer(where, optimizer)
        check(where, "factor", factor < 1, "a number below 1", factor)
        check(where, "mode", mode in ("min", "max"), "'min' or 'max'", mode)
        fits = threshold_mode in ("rel", "abs")
        check(where, "threshold_mode", fits, "'rel' or 'abs'", threshold_mode)
        self.mode = mode
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.threshold_mode = threshold_mode
        self.cooldown = cooldown
        self.eps = eps
        self.min_lrs = one_each(where, "min_lr", optimizer, min_lr)
        self.default_min_lr = None if isinstance(min_lr, (list, tuple)) else min_lr
        self.last_epoch = 0
        self._last_lr = self._rates()
        self._reset()

    def _reset(self) -> None:
        """Forgets all values so far."""
        self.best = math.inf if self.mode == "min" else -math.inf
        self.cooldown_counter = 0
        self.num_bad_epochs = 0

    @property
    def in_cooldown(self) -> bool:
        """Whether epochs do not count at the moment."""
        return self.cooldown_counter > 0

    def step(  # type: ignore[override]
        self, metrics: SupportsFloat, epoch: int | None = None
    ) -> None:
        """Looks at the value of one more epoch.

        Parameters
        ----------
        metrics : float or Tensor of one element
            Such as the loss on validation rows.
        epoch : int, optional
            Go to this one; kept for old programs.
        """
        value = float(metrics)
        _C.end_recording("steps ReduceLROnPlateau with a number of Python's")
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if self._is_better(value):
            self.best = value
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.in_cooldown:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0
        self._last_lr = self._rates()

    def _is_better(self, value: float) -> bool:
        sign = 1 if self.mode == "max" else -1
        if self.threshold_mode == "rel":
            bound = self.best * (1.0 + sign * self.threshold)
        else:
            bound = self.best + sign * self.threshold
        return value > bound if self.mode == "max" else value < bound

    def _reduce(self) -> None:
        groups = self.optimizer.param_groups
        if len(groups) != len(self.min_lrs):
            if self.default_min_lr is None:
                raise RuntimeError(
                    f"[ReduceLROnPlateau] min_lr: expected one for each of {len(groups)} parameter "
                    f"groups, got {len(self.min_lrs)}; set min_lrs after adding a group"
                )
            self.min_lrs = [self.default_min_lr] * len(groups)
        for group, lowest in zip(groups, self.min_lrs, strict=True):
            new = max(group["lr"] * self.factor, lowest)
            if group["lr"] - new > self.eps:
                group["lr"] = new

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Goes on from what `state_dict` gave."""
        self.__dict__.update(state_dict)
