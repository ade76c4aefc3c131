"""What may listen to a training run and steer it: one small protocol, and the usual listeners.

A callback is any object with some of the methods of `Callback`. A run looks up once who listens to
what, so that a method that nobody wrote costs nothing. Nothing here trains.
"""

from __future__ import annotations

import copy
import inspect
import math
import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from ranvier import _C
from ranvier._C import Tensor
from ranvier._grad import no_grad
from ranvier.nn import Module
from ranvier.training.errors import NonFiniteError, near_misses

if TYPE_CHECKING:
    from ranvier.training.loop import Run

Logs = dict[str, float]
Mode = Literal["auto", "min", "max"]

EVENTS = (
    "on_train_begin", "on_train_end", "on_epoch_begin", "on_epoch_end", "on_step_begin",
    "on_step_end", "on_progress", "on_validation_begin", "on_validation_end", "on_not_finite",
    "on_close",
)  # fmt: skip


class Callback:
    """Base class of what listens to a run of `fit`; each method may be left out.

    Every method gets the run, whose `model`, `optimizer`, `history`, `epoch` and `step` (both count
    from 1), `epochs` and `stop(reason)` are there to be used. `logs` holds what was measured; what
    a method adds to the logs of an epoch goes into the history. A callback never runs within an
    update, and whatever it raises leaves the model with whole steps, its modes, and no gradients.
    One that has `state_dict` and `load_state_dict` has its state in the checkpoints of the run;
    where a run goes on, `on_train_begin` (and within an epoch `on_epoch_begin`) is told first, with
    `run.resumed` set, and then the state is loaded.

    Examples
    --------
    >>> import ranvier as rv
    >>> class Stop(rv.Callback):
    ...     def on_epoch_end(self, run, logs):
    ...         if logs["loss"] < 1:
    ...             run.stop("good enough")
    >>> history = rv.fit(rv.nn.Linear(1, 1), [[0.0]], [0.0], loss="mse", lr=0.1, verbose=0,
    ...                  epochs=1000, callbacks=[Stop()])
    >>> history.stopped
    'good enough'
    """

    def on_train_begin(self, run: Run, logs: Logs) -> None:
        """Before the first epoch; `logs` is empty."""

    def on_train_end(self, run: Run, logs: Logs) -> None:
        """After the last epoch, with its logs; not after an error."""

    def on_epoch_begin(self, run: Run, logs: Logs) -> None:
        """Before an epoch; `logs` is empty."""

    def on_epoch_end(self, run: Run, logs: Logs) -> None:
        """After an epoch and its validation, with its logs."""

    def on_step_begin(self, run: Run, logs: Logs) -> None:
        """Before a step; `logs` is empty."""

    def on_step_end(self, run: Run, logs: Logs) -> None:
        """After an update, with the loss of its rows."""

    def on_progress(self, run: Run, logs: Logs) -> None:
        """Now and then in an epoch, `run.part` of which is done, with its mean loss so far.

        After some steps, or every few hundredths of a second: who listens to nothing else of an
        epoch does not make it slower.
        """

    def on_validation_begin(self, run: Run, logs: Logs) -> None:
        """Before the validation rows are measured."""

    def on_validation_end(self, run: Run, logs: Logs) -> None:
        """After the validation rows were measured, with what was found."""

    def on_not_finite(self, run: Run, error: NonFiniteError) -> bool:
        """A number that is not finite is about to stop the run; True ends it without an error."""
        return False

    def on_close(self, run: Run, logs: Logs) -> None:
        """At the very end, whatever ended the run."""


def listeners(callbacks: Iterable[Any]) -> dict[str, list[Callable[..., Any]]]:
    """Who listens to what: the methods that somebody wrote, by their names."""
    found: dict[str, list[Callable[..., Any]]] = {event: [] for event in EVENTS}
    for callback in callbacks:
        for event in EVENTS:
            method = getattr(callback, event, None)
            if method is None or getattr(method, "__func__", None) is getattr(Callback, event):
                continue
            found[event].append(method)
    return found


def resolve(where: str, callbacks: Any) -> tuple[Any, ...]:
    """Callbacks from one, or from several of them.

    Raises
    ------
    TypeError
        For what listens to nothing.
    """
    if callbacks is None:
        return ()
    single = not isinstance(callbacks, Iterable) or isinstance(callbacks, (str, Mapping))
    items = tuple([callbacks] if single else callbacks)
    for item in items:
        if isinstance(item, type):
            raise TypeError(
                f"[{where}] callbacks: expected objects, got the class {item.__name__}; write "
                f"{item.__name__}()"
            )
        if isinstance(item, Callback) or any(hasattr(item, event) for event in EVENTS):
            continue
        hint = "; rv.callbacks.LambdaCallback(on_epoch_end=...) takes it" if callable(item) else ""
        if type(item).__name__ == "Checkpoint":
            hint = "; fit takes it as checkpoint="
        raise TypeError(
            f"[{where}] callbacks: expected objects with methods such as on_epoch_end, got "
            f"{item!r:.60}{hint}"
        )
    return items


# --- what is watched ------------------------------------------------------------------------------

_LARGER_IS_BETTER = ("accuracy", "acc", "auc", "precision", "recall", "f1", "r2", "top_", "right")


class _Watch:
    """One measured number, whether it got better, and the best so far."""

    def __init__(self, who: str, monitor: str | None, mode: Mode, min_delta: float) -> None:
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"[{who}] mode: expected 'auto', 'min' or 'max', got {mode!r:.60}")
        if not (monitor is None or isinstance(monitor, str)):
            raise ValueError(
                f"[{who}] monitor: expected the name of a number that is measured, such as "
                f"'val_loss', got {monitor!r:.60}"
            )
        self.who, self.monitor, self.mode = who, monitor, mode
        self.min_delta = abs(_number(who, "min_delta", min_delta))
        self.best = math.nan

    def value(self, logs: Logs) -> tuple[str, float]:
        """The number that is watched, with its name."""
        name = self.monitor or ("val_loss" if "val_loss" in logs else "loss")
        if name not in logs:
            hint = "; give fit validation=" if name.startswith("val_") else near_misses(name, logs)
            raise ValueError(
                f"[{self.who}] monitor: expected one of {', '.join(logs)}, got {name!r:.60}{hint}"
            )
        return name, float(logs[name])

    def better(self, name: str, value: float) -> bool:
        """Whether this is better than the best so far by more than min_delta; kept if it is."""
        larger = self.mode == "max" or (
            self.mode == "auto" and any(word in name for word in _LARGER_IS_BETTER)
        )
        gain = value - self.best if larger else self.best - value
        won = not math.isnan(value) and (math.isnan(self.best) or gain > self.min_delta)
        if won:
            self.best = value
        return won


def _number(who: str, name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"[{who}] {name}: expected a finite number, got {value!r:.60}")
    return float(value)


def _count(who: str, name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"[{who}] {name}: expected a whole number of 0 or more, got {value!r:.60}")
    return value


class Weights:
    """A copy of everything that `state_dict` names, to go back to."""

    def __init__(self, model: Module) -> None:
        with no_grad():
            self.state = {
                name: _C.ops.clone(kept) if isinstance(kept, Tensor) else copy.deepcopy(kept)
                for name, kept in model.state_dict().items()
            }

    def restore(self, model: Module) -> None:
        """Put the copy back, into the tensors that are there."""
        model.load_state_dict(self.state)

    @classmethod
    def of(cls, state: dict[str, Any]) -> Weights:
        """Such a copy that somebody has kept."""
        weights = cls.__new__(cls)
        weights.state = state
        return weights


class EarlyStopping(Callback):
    """Ends the run when a number has not improved for some epochs, and restores the best weights.

    Parameters
    ----------
    monitor : str, optional
        What to watch: "val_loss" where there is validation and "loss" otherwise, if left out.
    patience : int
        Epochs without an improvement after which the run ends.
    min_delta : float
        What is no improvement: a change of no more than this.
    mode : {"auto", "min", "max"}
        Which way is better; "auto" goes by the name.
    restore_best_weights : bool
        Whether the model ends with the weights of its best epoch, also where the run reached its
        last epoch. `best_epoch` says which one that is.
    start_from_epoch : int
        Epochs before that are not looked at.

    Prechelt, "Early Stopping - But When?", 1998.

    Examples
    --------
    >>> import ranvier as rv
    >>> stop = rv.EarlyStopping(patience=2)
    >>> net = rv.nn.Linear(1, 1)
    >>> history = rv.fit(net, [[0.0]], [0.0], loss="mse", lr=1e-30, epochs=9, verbose=0,
    ...                  callbacks=stop)
    >>> history.epochs, stop.best_epoch
    (3, 1)
    """

    def __init__(
        self,
        monitor: str | None = None,
        patience: int = 10,
        min_delta: float = 0.0,
        mode: Mode = "auto",
        restore_best_weights: bool = True,
        start_from_epoch: int = 0,
    ) -> None:
        who = type(self).__name__
        self._settings = (who, monitor, mode, min_delta)
        self._watch = _Watch(*self._settings)
        self.patience = _count(who, "patience", patience)
        self.start_from_epoch = _count(who, "start_from_epoch", start_from_epoch)
        self.restore_best_weights = restore_best_weights
        self.best_epoch, self._wait = 0, 0
        self._weights: Weights | None = None

    @property
    def best(self) -> float:
        """The best value that was seen."""
        return self._watch.best

    def on_train_begin(self, run: Run, logs: Logs) -> None:
        self._watch = _Watch(*self._settings)
        self.best_epoch, self._wait, self._weights = 0, 0, None

    def on_epoch_end(self, run: Run, logs: Logs) -> None:
        if run.epoch <= self.start_from_epoch:
            return
        name, value = self._watch.value(logs)
        if self._watch.better(name, value):
            self.best_epoch, self._wait = run.epoch, 0
            if self.restore_best_weights:
                self._weights = Weights(run.model)
            return
        self._wait += 1
        if self._wait >= self.patience:
            run.stop(
                f"{name} has not improved for {self._wait} epochs; the best was "
                f"{self.best:.4g} in epoch {self.best_epoch}"
            )

    def on_train_end(self, run: Run, logs: Logs) -> None:
        if self._weights is not None and self.best_epoch != run.epoch:
            self._weights.restore(run.model)

    def on_close(self, run: Run, logs: Logs) -> None:
        self._weights = None  # it may be as large as the model

    def state_dict(self) -> dict[str, Any]:
        """The best value and its weights, and how long ago it was; for a checkpoint."""
        return {
            "best": self.best,
            "best_epoch": self.best_epoch,
            "wait": self._wait,
            "weights": None if self._weights is None else self._weights.state,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from what `state_dict` gave."""
        self._watch.best = state["best"]
        self.best_epoch, self._wait = state["best_epoch"], state["wait"]
        kept = state["weights"]
        self._weights = None if kept is None else Weights.of(kept)


class ModelCheckpoint(Callback):
    """Writes the model's weights to a file after epochs, or only when they are the best so far.

    A file is replaced whole or not at all.

    Parameters
    ----------
    path : str or path
        May hold `{epoch}` and the names of what is measured, as in "net-{epoch:03d}-{loss:.3f}".
    monitor : str, optional
        What decides which is best; as for `EarlyStopping`.
    save_best_only : bool
    mode : {"auto", "min", "max"}
    every : int
        Every how many epochs to look.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        monitor: str | None = None,
        save_best_only: bool = False,
        mode: Mode = "auto",
        every: int = 1,
    ) -> None:
        who = type(self).__name__
        self.path = os.fspath(path)
        self.save_best_only = save_best_only
        self.every = max(1, _count(who, "every", every))
        self._watch = _Watch(who, monitor, mode, 0.0)

    def on_epoch_end(self, run: Run, logs: Logs) -> None:
        if run.epoch % self.every:
            return
        if self.save_best_only and not self._watch.better(*self._watch.value(logs)):
            return
        from ranvier import io  # it imports json, which a mere `import ranvier` does without

        try:
            path = self.path.format(epoch=run.epoch, **logs)
        except KeyError as error:
            raise ValueError(
                f"[ModelCheckpoint] path: expected names out of epoch, {', '.join(logs)}, got "
                f"{error}"
            ) from None
        io.save(run.model.state_dict(), path)

    def state_dict(self) -> dict[str, Any]:
        """The best value so far; for a checkpoint."""
        return {"best": self._watch.best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from what `state_dict` gave."""
        self._watch.best = state["best"]


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
        self.factor = _number(who, "factor", factor)
        if not 0 < self.factor < 1:
            raise ValueError(
                f"[{who}] factor: expected a number between 0 and 1, got {factor!r:.60}"
            )
        self.patience = _count(who, "patience", patience)
        self.cooldown = _count(who, "cooldown", cooldown)
        self.min_lr = _number(who, "min_lr", min_lr)
        self._settings = (who, monitor, mode, min_delta)
        self.on_train_begin(None, {})  # type: ignore[arg-type]

    def on_train_begin(self, run: Run, logs: Logs) -> None:
        self._watch = _Watch(*self._settings)
        self._wait = self._cooling = 0

    def on_epoch_end(self, run: Run, logs: Logs) -> None:
        logs.setdefault("lr", run.lr)
        better = self._watch.better(*self._watch.value(logs))
        if self._cooling:
            self._cooling -= 1
            self._wait = 0
        if better:
            self._wait = 0
        elif not self._cooling:
            self._wait += 1
            if self._wait >= self.patience:
                for group in run.optimizer.param_groups:
                    group["lr"] = max(float(group["lr"]) * self.factor, self.min_lr)
                self._cooling, self._wait = self.cooldown, 0

    def state_dict(self) -> dict[str, Any]:
        """The best value and how long ago it was; for a checkpoint."""
        return {"best": self._watch.best, "wait": self._wait, "cooling": self._cooling}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from what `state_dict` gave."""
        self._watch.best = state["best"]
        self._wait, self._cooling = state["wait"], state["cooling"]


class LearningRateScheduler(Callback):
    """Sets the learning rate at the start of every epoch.

    Parameters
    ----------
    schedule : callable
        Takes the epoch, which counts from 0, or the epoch and the learning rate so far; gives the
        learning rate.
    """

    def __init__(self, schedule: Callable[..., float]) -> None:
        if not callable(schedule):
            raise TypeError(
                f"[{type(self).__name__}] schedule: expected a function of the epoch, got "
                f"{schedule!r:.60}"
            )
        self.schedule = schedule
        self._takes_lr = _positional(schedule) > 1

    def rate(self, place: int, lr: float) -> float:
        """The learning rate of an epoch, given the last one."""
        return self.schedule(place, lr) if self._takes_lr else self.schedule(place)

    def on_epoch_begin(self, run: Run, logs: Logs) -> None:
        rate = self.rate(run.epoch - 1, run.lr)
        for group in run.optimizer.param_groups:
            group["lr"] = rate

    def on_epoch_end(self, run: Run, logs: Logs) -> None:
        logs["lr"] = run.lr


def _positional(function: Callable[..., Any]) -> int:
    """How many arguments without a default a function takes by position."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # a function of C
        return 1
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in kinds and p.default is p.empty for p in parameters)


class CSVLogger(Callback):
    """Writes what was measured to a file, a line an epoch; the file is whole after every one.

    Parameters
    ----------
    path : str or path
    separator : str
    append : bool
        Whether to go on with a file that is there.
    """

    def __init__(
        self, path: str | os.PathLike[str], separator: str = ",", append: bool = False
    ) -> None:
        self.path, self.separator, self.append = os.fspath(path), separator, append
        self._names: list[str] = []

    def on_train_begin(self, run: Run, logs: Logs) -> None:
        self._names = []
        if run.resumed:  # the file is that of `load_state_dict`
            return
        if self.append and os.path.exists(self.path) and os.path.getsize(self.path):
            with open(self.path, encoding="utf-8") as file:
                self._names = file.readline().rstrip("\n").split(self.separator)[1:]
        else:
            with open(self.path, "w", encoding="utf-8"):
                pass

    def on_epoch_end(self, run: Run, logs: Logs) -> None:
        lines = []
        if not self._names:
            self._names = list(logs)
            lines.append(["epoch", *self._names])
        # As many digits as it takes to read the same number again.
        values = [repr(float(logs[name])) if name in logs else "" for name in self._names]
        lines.append([str(run.epoch), *values])
        with open(self.path, "a", encoding="utf-8") as file:
            file.writelines(self.separator.join(line) + "\n" for line in lines)

    def state_dict(self) -> dict[str, Any]:
        """How long the file is; for a checkpoint."""
        size = os.path.getsize(self.path) if os.path.exists(self.path) else 0
        return {"names": list(self._names), "size": size}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from what `state_dict` gave: lines of epochs that come again are taken off."""
        there = os.path.exists(self.path) and os.path.getsize(self.path) >= state["size"]
        if there:
            os.truncate(self.path, state["size"])
        self._names = list(state["names"]) if there else []


class LambdaCallback(Callback):
    """A callback from functions, each under the name of a method of `Callback`.

    Examples
    --------
    >>> import ranvier as rv
    >>> note = rv.callbacks.LambdaCallback(on_epoch_end=lambda run, logs: print(run.epoch))
    >>> history = rv.fit(rv.nn.Linear(1, 1), [[0.0]], [0.0], loss="mse", epochs=2, verbose=0,
    ...                  callbacks=note)
    1
    2
    """

    def __init__(self, **functions: Callable[..., Any]) -> None:
        for name, function in functions.items():
            if name not in EVENTS:
                raise TypeError(
                    f"[LambdaCallback] expected names out of {', '.join(EVENTS)}, got "
                    f"{name!r}{near_misses(name, EVENTS)}"
                )
            if not callable(function):
                raise TypeError(f"[LambdaCallback] {name}: expected a function, got {function!r}")
            setattr(self, name, function)


class TerminateOnNaN(Callback):
    """Ends the run, with its history and without an error, where a number is not finite.

    The update that would have used it is not made.
    """

    def on_not_finite(self, run: Run, error: NonFiniteError) -> bool:
        return True
