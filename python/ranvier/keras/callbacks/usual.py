"""The callbacks that Keras comes with, over the rules of `ranvier.training.callbacks`."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from ranvier._arguments import number_in
from ranvier.keras.callbacks.callback import Callback
from ranvier.training.callbacks import rules
from ranvier.training.callbacks.files import Good, check_folder
from ranvier.training.callbacks.rates import checked_schedule, positional
from ranvier.training.callbacks.table import Table
from ranvier.training.errors import warn


class History(Callback):
    """What `fit` gives back.

    Attributes
    ----------
    history : dict of str to list
        Loss, metrics and their `val_` forms, one number for each epoch.
    epoch : list of int
        The epochs, counted from 0.
    """

    def __init__(self) -> None:
        self.history: dict[str, list[Any]] = {}
        self.epoch: list[int] = []

    def on_train_begin(self, logs: Any = None) -> None:
        """Begins a new list of epochs."""
        self.epoch = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Keeps what was measured."""
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
        self.model.history = self

    def state_dict(self) -> dict[str, Any]:
        """All of it; for a checkpoint."""
        return {"history": self.history, "epoch": self.epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from what `state_dict` gave."""
        self.history, self.epoch = state["history"], state["epoch"]


class Monitor(Callback):
    """Base class of callbacks that watch one measured number."""

    def __init__(self, monitor: str, mode: str, min_delta: float) -> None:
        self.who = type(self).__name__
        if mode not in ("auto", "min", "max"):
            warn(f"[{self.who}] mode: expected 'auto', 'min' or 'max', got {mode!r}; using 'auto'")
            mode = "auto"
        self.monitor, self.mode = rules.checked_monitor(self.who, monitor), mode
        self.min_delta = abs(number_in(self.who, min_delta, "min_delta"))

    @property
    def larger(self) -> bool:
        """Whether larger numbers are better."""
        return rules.larger_is_better(self.mode, self.monitor)

    def current(self, logs: Any) -> float | None:
        """The number that is watched; a warning where it was not measured."""
        value = (logs or {}).get(self.monitor)
        if value is None:
            how = "validation_data or validation_split"
            warn(rules.not_measured(self.who, self.monitor, logs or (), how))
            return None
        return float(value)

    def better(self, value: float, than: float | None) -> bool:
        """Whether a value is better by more than min_delta."""
        return rules.improves(value, than, self.larger, self.min_delta)


class EarlyStopping(Monitor):
    """Ends the run when a number has not improved for some epochs.

    Parameters
    ----------
    monitor : str
    min_delta : float
        What is no improvement: a change of no more than this.
    patience : int
    verbose : {0, 1}
    mode : {"auto", "min", "max"}
    baseline : float, optional
        Only what is better than this counts as an improvement.
    restore_best_weights : bool
        Whether the model ends with the weights of its best epoch.
    start_from_epoch : int
        Epochs before that are not looked at.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience, self.verbose = rules.whole_number(self.who, "patience", patience), verbose
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = rules.whole_number(self.who, "start_from_epoch", start_from_epoch)
        self.on_train_begin()

    def on_train_begin(self, logs: Any = None) -> None:
        """Forgets the run before."""
        self._rule = rules.Patience(self.patience, self.min_delta, self.baseline)
        self.stopped_epoch = 0
        self.best_weights: list[Any] | None = None

    @property
    def best(self) -> float | None:
        """The best value that was seen."""
        return None if math.isnan(self._rule.best) else self._rule.best

    @property
    def best_epoch(self) -> int:
        """The epoch in which it was seen, counted from 0."""
        return self._rule.place

    @property
    def wait(self) -> int:
        """How many epochs ago that was."""
        return self._rule.wait

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Looks at the number."""
        value = self.current(logs)
        if value is None or epoch < self.start_from_epoch:
            return
        better = self._rule.see(epoch, value, self.larger)
        if self.restore_best_weights and (better or self.best_weights is None):
            self.best_weights = self.model.get_weights()
        if not better and self._rule.over and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Any = None) -> None:
        """Restores the best weights."""
        if self.stopped_epoch and self.verbose:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.restore_best_weights and self.best_weights is not None:
            if self.verbose:
                print(f"Restoring model weights from the best epoch: {self.best_epoch + 1}.")
            self.model.set_weights(self.best_weights)
            self.best_weights = None  # it may be as large as the model

    def state_dict(self) -> dict[str, Any]:
        """The best value and its weights, and how long ago it was; for a checkpoint."""
        rule = self._rule
        return {
            "best": rule.best, "best_epoch": rule.place, "wait": rule.wait,
            "stopped_epoch": self.stopped_epoch, "weights": self.best_weights,
        }  # fmt: skip

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from what `state_dict` gave."""
        rule = self._rule
        rule.best, rule.place, rule.wait = state["best"], state["best_epoch"], state["wait"]
        self.stopped_epoch = state["stopped_epoch"]
        kept = state["weights"]
        self.best_weights = None if kept is None else [np.asarray(value) for value in kept]


class ModelCheckpoint(Monitor):
    """Writes the model to a file after epochs or steps, or only when it is the best so far.

    `keras.models.load_model` reads it, and `model.load_weights` takes the weights of it. It is
    replaced whole or not at all, and a model that has become NaN or infinite never takes the place
    of a good one. An OSError says when training begins that nothing can be written into the folder.

    Parameters
    ----------
    filepath : str or path
        In a folder, which is made. May hold `{epoch}`, which counts from 1, and the names of what
        is measured.
    monitor : str
    verbose : {0, 1}
    save_best_only : bool
    save_weights_only : bool
        Whether files hold the weights alone, and neither layers nor the optimizer.
    mode : {"auto", "min", "max"}
    save_freq : "epoch" or int
        After every epoch, or after every so many steps.
    initial_value_threshold : float, optional
        What the first value has to be better than.
    """

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode, 0.0)
        self.filepath, self.verbose = os.fspath(filepath), verbose
        self.save_best_only, self.save_weights_only = save_best_only, save_weights_only
        whole = isinstance(save_freq, int) and not isinstance(save_freq, bool) and save_freq > 0
        if save_freq != "epoch" and not whole:
            raise ValueError(
                f"[ModelCheckpoint] save_freq: expected 'epoch' or a number of steps, got "
                f"{save_freq!r:.60}"
            )
        self.save_freq = save_freq
        self.best: float | None = initial_value_threshold
        self._good = Good(self.who)
        self._epoch = self._steps = 0
        if save_freq != "epoch":
            self.on_train_batch_end = self._batch_end  # type: ignore[method-assign]

    def writes(self) -> tuple[str, ...]:
        """The path, with the names in it: two that write to one are refused."""
        return (self.filepath,)

    def on_train_begin(self, logs: Any = None) -> None:
        """Makes the folder; an OSError where nothing can be written into it."""
        check_folder(self.who, "filepath", self.filepath, make=True)
        self._good.begin(self.model)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Keeps the number of the epoch."""
        self._epoch = epoch

    def state_dict(self) -> dict[str, Any]:
        """The best value so far; for a checkpoint."""
        return {"best": self.best, "steps": self._steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from what `state_dict` gave."""
        self.best, self._steps = state["best"], state["steps"]

    def _batch_end(self, batch: int, logs: Any = None) -> None:
        self._steps += 1
        if self._steps % int(self.save_freq) == 0:
            self._save(self._epoch, batch, logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Writes the file, if it is its turn."""
        if self.save_freq == "epoch":
            self._save(epoch, None, logs)

    def _save(self, epoch: int, batch: int | None, logs: Any) -> None:
        if self.save_best_only:
            value = self.current(logs)
            if value is None or not self.better(value, self.best):
                return
            self.best = value
        names = {"epoch": epoch + 1, **(logs or {})}
        if batch is not None:
            names["batch"] = batch + 1
        path = rules.formatted(self.who, "filepath", self.filepath, names)
        if not self._good.allows(self.model, path):
            return
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        if self.verbose:
            print(f"Epoch {epoch + 1}: saving model to {path}")
        if self.save_weights_only:
            self.model.save_weights(path)
        else:
            self.model.save(path)


class ReduceLROnPlateau(Monitor):
    """Multiplies the learning rate by a factor when a number has not improved for some epochs.

    Parameters
    ----------
    monitor : str
    factor : float
        Less than 1.
    patience : int
    verbose : {0, 1}
    mode : {"auto", "min", "max"}
    min_delta : float
    cooldown : int
        Epochs after a change in which nothing is counted.
    min_lr : float
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        if number_in(self.who, factor, "factor") >= 1.0:
            raise ValueError(f"[{self.who}] factor: expected less than 1, got {factor!r}")
        self.factor, self.patience = factor, rules.whole_number(self.who, "patience", patience)
        self.cooldown = rules.whole_number(self.who, "cooldown", cooldown)
        self.verbose = verbose
        self.min_lr = number_in(self.who, min_lr, "min_lr")
        self.on_train_begin()

    def on_train_begin(self, logs: Any = None) -> None:
        """Forgets the run before."""
        self._rule = rules.Plateau(self.patience, self.cooldown, self.min_delta)

    @property
    def best(self) -> float | None:
        """The best value that was seen."""
        return None if math.isnan(self._rule.best) else self._rule.best

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Looks at the number, and changes the rate."""
        rate = float(self.model.optimizer.learning_rate)
        logs["learning_rate"] = rate
        value = self.current(logs)
        if value is None or not self._rule.see(value, self.larger) or rate <= self.min_lr:
            return
        new = max(rate * self.factor, self.min_lr)
        self.model.optimizer.learning_rate = new
        self._rule.fell()
        if self.verbose:
            print(f"Epoch {epoch + 1}: ReduceLROnPlateau reducing learning rate to {new}.")

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
        Takes the epoch, which counts from 0, and the learning rate so far, or the epoch alone.
    verbose : {0, 1}
    """

    def __init__(self, schedule: Callable[..., Any], verbose: int = 0) -> None:
        self.schedule = checked_schedule(type(self).__name__, schedule)
        self.verbose = verbose
        self._takes_rate = positional(schedule, optional=True) > 1

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Sets the rate."""
        old = float(self.model.optimizer.learning_rate)
        rate = self.schedule(epoch, old) if self._takes_rate else self.schedule(epoch)
        try:
            new = float(rate)
        except (TypeError, ValueError):
            raise ValueError(
                f"[LearningRateScheduler] schedule: expected a number, got {rate!r:.60}"
            ) from None
        self.model.optimizer.learning_rate = new
        if self.verbose:
            print(f"Epoch {epoch + 1}: LearningRateScheduler setting learning rate to {new}.")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Adds the rate to what was measured."""
        logs["learning_rate"] = float(self.model.optimizer.learning_rate)


class CSVLogger(Callback):
    """Writes what was measured to a file, a line an epoch.

    Where the disk is full, a `RanvierWarning` says so, training goes on, and each epoch tries again
    to write the lines that wait.

    Parameters
    ----------
    filename : str or path
    separator : str
    append : bool
        Whether to go on with a file that is there.
    """

    def __init__(
        self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False
    ) -> None:
        self.filename, self.sep, self.append = os.fspath(filename), separator, append
        self._table = Table(type(self).__name__, self.filename, separator, append, missing="NA")

    def writes(self) -> tuple[str, ...]:
        """The path: two that write to one are refused."""
        return (self.filename,)

    @property
    def keys(self) -> list[str]:
        """The names of the columns behind "epoch"."""
        return self._table.names

    def on_train_begin(self, logs: Any = None) -> None:
        """Makes the file."""
        self._table.begin(bool((self.params or {}).get("resumed")))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Writes a line, after the names where it is the first."""
        names = sorted(logs)
        if (self.params or {}).get("do_validation") and not any(
            n.startswith("val_") for n in names
        ):
            names += [f"val_{name}" for name in names]  # validation is for later epochs
        self._table.add(epoch, logs, names)

    def on_close(self) -> None:
        """Writes what could not be written before, if it can be now."""
        self._table.close()

    def state_dict(self) -> dict[str, Any]:
        """How long the file is; for a checkpoint."""
        return self._table.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from what `state_dict` gave: lines of epochs that come again are taken off."""
        self._table.load_state_dict(state)


class TerminateOnNaN(Callback):
    """Ends the run, with its history and without an error, where a number is not finite.

    The update that would have used it is not made.
    """

    def __init__(self, raise_error: bool = False) -> None:
        self.raise_error = raise_error

    def on_not_finite(self, error: Exception) -> bool:
        """Takes it for the end of the run."""
        if self.raise_error:
            return False
        print(f"Invalid loss, terminating training: {error}")
        self.model.stop_training = True
        return True
