"""What all schedules share: the optimizer whose learning rates they set, the count, and saving.

Rates are Python floats. Setting one also writes the tensor that update ops read, so that a
recorded step follows a schedule.
"""

from __future__ import annotations

import types
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ranvier._C import Tensor
from ranvier._recording import acts
from ranvier.optim.optimizer import Optimizer


class LRScheduler:
    """Base class of schedules: sets the learning rate of every group of an optimizer.

    Parameters
    ----------
    optimizer : Optimizer
    last_epoch : int, default -1
        The count to go on from; -1 begins. To go on, groups must hold "initial_lr".

    Attributes
    ----------
    last_epoch : int
        How many times `step` was called.
    base_lrs : list of float
        The rates that groups began with.

    Raises
    ------
    TypeError
        What is no optimizer.
    KeyError
        Groups without "initial_lr", where the schedule is to go on.

    Notes
    -----
    An own schedule has a method `get_lr`, which gives a rate for each group from `last_epoch`,
    `base_lrs` and what the groups hold.

    Examples
    --------
    >>> import ranvier as rv
    >>> class Halves(rv.optim.lr_scheduler.LRScheduler):
    ...     def get_lr(self):
    ...         return [lr * 0.5**self.last_epoch for lr in self.base_lrs]
    >>> optimizer = rv.optim.SGD([rv.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = Halves(optimizer)
    >>> optimizer.stepped = True  # where optimizer.step() would be
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.5]
    """

    optimizer: Optimizer
    _initial = False  # the step that the constructor takes

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.optimizer = check_optimizer(type(self).__name__, optimizer)
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise KeyError(
                    f"[{type(self).__name__}] param_groups[{i}]: expected 'initial_lr' to go on "
                    f"from last_epoch {last_epoch}, got none; load the optimizer's state first"
                )
        self.base_lrs: list[float] = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._initial_step()

    def _initial_step(self) -> None:
        """Sets the rates of the first epoch."""
        self._step_count = 0
        self._initial = True
        try:
            self.step()
        finally:
            self._initial = False

    def get_last_lr(self) -> list[float]:
        """The rates that were set last, one a group."""
        return self._last_lr

    def get_lr(self) -> list[float]:
        """The rates at `last_epoch`, one a group; each schedule has its own."""
        raise TypeError(f"[{type(self).__name__}] expected a method 'get_lr', got none")

    @acts
    def step(self, epoch: int | None = None) -> None:
        """Goes on by one epoch, or however often the schedule is stepped.

        Parameters
        ----------
        epoch : int, optional
            Go to this one; kept for old programs.

        Warns
        -----
        RanvierWarning
            If the optimizer has not taken a step yet: the first rate would never be used.
        """
        if self._step_count == 1 and not self.optimizer.stepped:
            self._warn_of_order()
        self._step_count += 1
        self._update_lr(epoch)

    def _warn_of_order(self) -> None:
        from ranvier.training.errors import RanvierWarning  # is made of this package

        warnings.warn(
            f"[{type(self).__name__}] step: expected optimizer.step() before it, got none, and so "
            "the first learning rate is not used; call the optimizer's step first",
            RanvierWarning,
            stacklevel=3,
        )

    def _update_lr(self, epoch: int | None = None) -> None:
        closed = getattr(self, "_get_closed_form_lr", None)
        if epoch is None:
            self.last_epoch += 1
            rates = self.get_lr()
        else:
            self.last_epoch = epoch
            rates = self.get_lr() if closed is None else closed()
        self._set_rates(rates)

    def _set_rates(self, rates: Sequence[float]) -> None:
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self._last_lr = self._rates()

    def _rates(self) -> list[float]:
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer; of functions only what objects hold in attributes."""
        state = {key: value for key, value in self.__dict__.items() if key != "optimizer"}
        return {key: _saved(value) for key, value in state.items()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Goes on from what `state_dict` gave; functions stay those of this schedule."""
        for key, value in state_dict.items():
            self.__dict__[key] = _restored(self.__dict__.get(key), value)


class FactorLR(LRScheduler):
    """A schedule that multiplies rates: by `change()` as it goes, by `factor()` from the start."""

    def change(self) -> float:
        """What the rates are multiplied by on the way to `last_epoch`."""
        raise TypeError(f"[{type(self).__name__}] expected a method 'change', got none")

    def factor(self) -> float:
        """What the base rates are multiplied by at `last_epoch`."""
        raise TypeError(f"[{type(self).__name__}] expected a method 'factor', got none")

    def get_lr(self) -> list[float]:
        """The rates that groups have, multiplied: what else changes them stays in force."""
        change = self.change()
        return [rate * change for rate in self._rates()]

    def _get_closed_form_lr(self) -> list[float]:
        factor = self.factor()
        return [rate * factor for rate in self.base_lrs]


# --- arguments ----------------------------------------------------------------------------------


def check_optimizer(where: str, optimizer: Any) -> Optimizer:
    """The optimizer; a TypeError for anything else."""
    if isinstance(optimizer, Optimizer):
        return optimizer
    raise TypeError(f"[{where}] optimizer: expected an Optimizer, got {type(optimizer).__name__}")


def check(where: str, name: str, fits: bool, expected: str, value: Any) -> None:
    """A ValueError unless an argument fits."""
    if not fits:
        raise ValueError(f"[{where}] {name}: expected {expected}, got {value!r:.60}")


def is_count(value: Any) -> bool:
    """Whether this is a whole number of 1 or more."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def one_each(where: str, name: str, optimizer: Optimizer, value: Any) -> list[Any]:
    """A value for every group, from one or a list."""
    groups = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        return [value] * groups
    if len(value) != groups:
        raise ValueError(
            f"[{where}] {name}: expected one for each of {groups} parameter groups, got "
            f"{len(value)}"
        )
    return list(value)


def functions_each(where: str, optimizer: Optimizer, value: Any) -> list[Callable[[int], float]]:
    """A function for every group, from one or a list."""
    functions = one_each(where, "lr_lambda", optimizer, value)
    for function in functions:
        if not callable(function):
            raise TypeError(
                f"[{where}] lr_lambda: expected a function, got {type(function).__name__}"
            )
    return functions


# --- saving -------------------------------------------------------------------------------------


def _saved(value: Any) -> Any:
    if isinstance(value, list):
        return [_saved(one) for one in value]
    if isinstance(value, LRScheduler):
        return value.state_dict()
    if callable(value):
        held = not isinstance(value, (types.FunctionType, types.MethodType, type))
        return dict(getattr(value, "__dict__", {})) if held else None
    if isinstance(value, Tensor):
        return value.item()
    return value


def _restored(old: Any, value: Any) -> Any:
    if isinstance(old, list) and isinstance(value, list) and len(old) == len(value):
        return [_restored(one, new) for one, new in zip(old, value, strict=True)]
    if isinstance(old, LRScheduler):
        old.load_state_dict(value)
        return old
    if callable(old):
        if value:
            old.__dict__.update(value)
        return old
    return value
