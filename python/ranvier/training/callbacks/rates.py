"""Callbacks that set the learning rate. Schedules by name are in `ranvier.training.schedules`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ranvier.training.callbacks.protocol import Callback, Logs
from ranvier.training.callbacks.rules import Mode, Plateau, finite_number, whole_number
from ranvier.training.callbacks.stopping import Watch

if TYPE_CHECKING:
    from ranvier.training.loop import Run


class ReduceLROnPlateau(Callback):
    """Multiplies the learning rate by a factor when a number has not improved for some epochs.

    Parameters
    ----------
    monitor : str, optional
        As for `EarlyStopping`.
    factor : float
        More than 0 and less than 1.
    patience : int
        Epochs without an improvement before that.
    min_delta : float
    mode : {"auto", "min", "max"}
    cooldown : int
        Epochs after a reduction that are not counted.
    min_lr : float
        Never go below it.

    Examples
    --------
    >>> import ranvier as rv
    >>> plateau = rv.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=9.0)
    >>> history = rv.fit(rv.nn.Linear(1, 1), [[0.0]], [0.0], loss="mse", lr=0.5, epochs=3,
    ...                  verbose=0, callbacks=plateau)
    >>> history.history["lr"]
    [0.5, 0.5, 0.25]
    """

    def __init__(
        self,
        monitor: str | None = None,
        factor: float = 0.1,
        patience: int = 10,
        min_delta: float = 1e-4,
        mode: Mode = "auto",
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        who = type(self).__name__
        self.factor = finite_number(who, "factor", factor)
        if not 0 < self.factor < 1:
            raise ValueError(
                f"[{who}] factor: expected a number between 0 and 1, got {factor!r:.60}"
            )
        self.patience = whole_number(who, "patience", patience)
        self.min_delta = abs(finite_number(who, "min_delta", min_delta))
        self.cooldown = whole_number(who, "cooldown", cooldown)
        self.min_lr = finite_number(who, "min_lr", min_lr)
        self._watch = Watch(who, monitor, mode)
        self._rule = Plateau(self.patience, self.cooldown, self.min_delta)

    def on_train_begin(self, run: Run, logs: Logs) -> None:
        self._rule = Plateau(self.patience, self.cooldown, self.min_delta)

    def on_epoch_end(self, run: Run, logs: Logs) -> None:
        logs.setdefault("lr", run.lr)
        _, value, larger = self._watch.value(logs)
        if self._rule.see(value, larger):
            run.change_lr(lambda rate: max(rate * self.factor, self.min_lr))
            self._rule.fell()

    def state_dict(self) -> dict[str, Any]:
        """The best value and how long ago it was; for a checkpoint."""
        return self._rule.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from what `state_dict` gave."""
        self._rule.load_state_dict(state)


class LearningRateScheduler(Callback):
    """Sets the learning rate at the start of every epoch.

    Parameters
    ----------
    schedule : callable
        Takes the epoch, which counts from 0, or the epoch and the learning rate so far; gives the
        learning rate.

    Examples
    --------
    >>> import ranvier as rv
    >>> fall = rv.callbacks.LearningRateScheduler(lambda epoch: 0.1 / (epoch + 1))
    >>> history = rv.fit(rv.nn.Linear(1, 1), [[0.0]], [0.0], loss="mse", epochs=2, verbose=0,
    ...                  callbacks=fall)
    >>> history.history["lr"]
    [0.1, 0.05]
    """

    def __init__(self, schedule: Callable[..., float]) -> None:
        self.schedule = checked_schedule(type(self).__name__, schedule)
        self._takes_lr = positional(schedule) > 1

    def rate(self, place: int, lr: float) -> float:
        """The learning rate of an epoch, given the last one."""
        rate: float = self.schedule(place, lr) if self._takes_lr else self.schedule(place)
        return rate

    def on_epoch_begin(self, run: Run, logs: Logs) -> None:
        rate = self.rate(run.epoch - 1, run.lr)
        run.change_lr(lambda _: rate)

    def on_epoch_end(self, run: Run, logs: Logs) -> None:
        logs["lr"] = run.lr


def checked_schedule(who: str, schedule: Any) -> Callable[..., Any]:
    """A function of the epoch; a TypeError otherwise."""
    if not callable(schedule):
        raise TypeError(f"[{who}] schedule: expected a function of the epoch, got {schedule!r:.60}")
    return schedule  # type: ignore[no-any-return]


def positional(function: Callable[..., Any], optional: bool = False) -> int:
    """How many arguments a function takes by position, those with a default among them or not."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # a function of C
        return 1
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in kinds and (optional or p.default is p.empty) for p in parameters)
