"""The callbacks that Keras comes with."""

from __future__ import annotations

import csv
import inspect
import math
import os
import warnings
from collections.abc import Callable
from typing import Any

from ranvier._arguments import number_in
from ranvier.keras.callbacks.callback import Callback
from ranvier.training.errors import RanvierWarning

_LARGER_IS_BETTER = ("acc", "auc", "precision", "recall", "f1", "fbeta", "r2", "true_", "top_k")


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


class Monitor(Callback):
    """Base class of callbacks that watch one measured number."""

    def __init__(self, monitor: str, mode: str, min_delta: float) -> None:
        if mode not in ("auto", "min", "max"):
            warnings.warn(
                f"[{type(self).__name__}] mode: expected 'auto', 'min' or 'max', got {mode!r}; "
                "using 'auto'",
                RanvierWarning,
                stacklevel=3,
            )
            mode = "auto"
        if not isinstance(monitor, str):
            raise ValueError(
                f"[{type(self).__name__}] monitor: expected the name of a number that is measured, "
                f"such as 'val_loss', got {monitor!r:.60}"
            )
        self.monitor, self.mode = monitor, mode
        self.min_delta = abs(number_in(type(self).__name__, min_delta, "min_delta"))
        self.best: float | None = None

    def count(self, name: str, value: Any) -> int:
        """A number of epochs; a ValueError for what is none."""
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise ValueError(
                f"[{type(self).__name__}] {name}: expected a whole number of 0 or more, got "
                f"{value!r:.60}"
            )
        return value

    @property
    def larger(self) -> bool:
        """Whether larger numbers are better."""
        if self.mode == "auto":
            return any(word in self.monitor for word in _LARGER_IS_BETTER)
        return self.mode == "max"

    def current(self, logs: Any) -> float | None:
        """The number that is watched; a warning where it was not measured."""
        value = (logs or {}).get(self.monitor)
        if value is None:
            hint = "; give fit validation_data or validation_split" * ("val_" in self.monitor)
            warnings.warn(
                f"[{type(self).__name__}] monitor: expected one of "
                f"{', '.join(logs or ())}, got {self.monitor!r}{hint}",
                RanvierWarning,
                stacklevel=2,
            )
            return None
        return float(value)

    def better(self, value: float, than: float | None) -> bool:
        """Whether a value is better by more than min_delta."""
        if than is None:
            return not math.isnan(value)
        gain = value - than if self.larger else than - value
        return gain > self.min_delta


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
        self.patience, self.verbose = self.count("patience", patience), verbose
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = self.count("start_from_epoch", start_from_epoch)
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best_weights: list[Any] | None = None

    def on_train_begin(self, logs: Any = None) -> None:
        """Forgets the run before."""
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best, self.best_weights = None, None

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Looks at the number."""
        value = self.current(logs)
        if value is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self.best_weights, self.best_epoch = self.model.get_weights(), epoch
        self.wait += 1
        if self.better(value, self.best):
            self.best, self.best_epoch = value, epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self.baseline is None or self.better(value, self.baseline):
                self.wait = 0
            return
        if self.wait >= self.patience and epoch > 0:
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


class ModelCheckpoint(Monitor):
    """Writes the weights to a file after epochs or steps, or only when they are the best so far.

    Parameters
    ----------
    filepath : str or path
        May hold `{epoch}`, which counts from 1, and the names of what is measured.
    monitor : str
    verbose : {0, 1}
    save_best_only, save_weights_only : bool
        Files hold weights in either case.
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
        self.best = initial_value_threshold
        self._epoch = self._steps = 0
        if save_freq != "epoch":
            self.on_train_batch_end = self._batch_end  # type: ignore[method-assign]

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Keeps the number of the epoch."""
        self._epoch = epoch

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
        try:
            path = self.filepath.format(**names)
        except KeyError as error:
            raise KeyError(
                f"[ModelCheckpoint] filepath: expected names out of {', '.join(names)}, got {error}"
            ) from None
        if self.verbose:
            print(f"Epoch {epoch + 1}: saving model to {path}")
        self.model.save_weights(path)


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
        if number_in("ReduceLROnPlateau", factor, "factor") >= 1.0:
            raise ValueError(f"[ReduceLROnPlateau] factor: expected less than 1, got {factor!r}")
        self.factor, self.patience = factor, self.count("patience", patience)
        self.cooldown, self.verbose = self.count("cooldown", cooldown), verbose
        self.min_lr = number_in("ReduceLROnPlateau", min_lr, "min_lr")
        self.wait = self.cooldown_counter = 0

    def on_train_begin(self, logs: Any = None) -> None:
        """Forgets the run before."""
        self.best = None
        self.wait = self.cooldown_counter = 0

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Looks at the number, and changes the rate."""
        rate = float(self.model.optimizer.learning_rate)
        logs["learning_rate"] = rate
        value = self.current(logs)
        if value is None:
            return
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.wait = 0
        if self.better(value, self.best):
            self.best, self.wait = value, 0
        elif self.cooldown_counter <= 0:
            self.wait += 1
            if self.wait >= self.patience and rate > self.min_lr:
                new = max(rate * self.factor, self.min_lr)
                self.model.optimizer.learning_rate = new
                if self.verbose:
                    print(f"Epoch {epoch + 1}: ReduceLROnPlateau reducing learning rate to {new}.")
                self.cooldown_counter, self.wait = self.cooldown, 0


class LearningRateScheduler(Callback):
    """Sets the learning rate at the start of every epoch.

    Parameters
    ----------
    schedule : callable
        Takes the epoch, which counts from 0, and the learning rate so far, or the epoch alone.
    verbose : {0, 1}
    """

    def __init__(self, schedule: Callable[..., Any], verbose: int = 0) -> None:
        if not callable(schedule):
            raise TypeError(
                f"[LearningRateScheduler] schedule: expected a function of the epoch, got "
                f"{schedule!r:.60}"
            )
        self.schedule, self.verbose = schedule, verbose
        try:
            count = len(inspect.signature(schedule).parameters)
        except (TypeError, ValueError):  # a function of C
            count = 1
        self._takes_rate = count > 1

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
        self.keys: list[str] = []
        self._file: Any = None

    def on_train_begin(self, logs: Any = None) -> None:
        """Opens the file."""
        self.keys = []
        if self.append and os.path.exists(self.filename):
            with open(self.filename, newline="", encoding="utf-8") as file:
                head = next(csv.reader(file, delimiter=self.sep), [])
            self.keys = head[1:]
        self._file = open(  # noqa: SIM115  closed when the run ends
            self.filename, "a" if self.append else "w", newline="", encoding="utf-8"
        )

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Writes a line, after the names where it is the first."""
        writer = csv.writer(self._file, delimiter=self.sep, lineterminator=os.linesep)
        if not self.keys:
            self.keys = sorted(logs)
            writer.writerow(["epoch", *self.keys])
        writer.writerow([epoch, *(logs.get(key, "NA") for key in self.keys)])
        self._file.flush()

    def on_train_end(self, logs: Any = None) -> None:
        """Closes the file."""
        self.on_close()

    def on_close(self) -> None:
        """Closes the file, whatever ended the run."""
        if self._file is not None:
            self._file.close()
            self._file = None


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
