"""Callbacks that end a run, and what they go back to."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any

from ranvier import _C
from ranvier._C import Tensor
from ranvier._grad import no_grad
from ranvier.nn import Module
from ranvier.training.callbacks.protocol import Callback, Logs
from ranvier.training.callbacks.rules import (
    Mode,
    Patience,
    checked_monitor,
    finite_number,
    improves,
    larger_is_better,
    not_measured,
    whole_number,
)
from ranvier.training.errors import NonFiniteError

if TYPE_CHECKING:
    from ranvier.training.loop import Run


class Watch:
    """One measured number: its name, which way is better, and the best so far.

    Parameters
    ----------
    who : str
        What messages begin with.
    monitor : str or None
        None: "val_loss" where there is validation and "loss" otherwise.
    mode : {"auto", "min", "max"}
    """

    def __init__(self, who: str, monitor: str | None, mode: Mode) -> None:
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"[{who}] mode: expected 'auto', 'min' or 'max', got {mode!r:.60}")
        self.who, self.mode = who, mode
        self.monitor = None if monitor is None else checked_monitor(who, monitor)
        self.best = math.nan

    def value(self, logs: Logs) -> tuple[str, float, bool]:
        """The number that is watched, with its name, and whether larger is better."""
        name = self.monitor or ("val_loss" if "val_loss" in logs else "loss")
        if name not in logs:
            raise ValueError(not_measured(self.who, name, logs, "validation="))
        return name, float(logs[name]), larger_is_better(self.mode, name)

    def better(self, logs: Logs) -> bool:
        """Whether it is better than ever; kept if it is."""
        _, value, larger = self.value(logs)
        won = improves(value, self.best, larger)
        if won:
            self.best = value
        return won


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

    Raises
    ------
    ValueError
        If an argument is not what it should be; after the first epoch, if nobody measures the
        number.

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
        self._watch = Watch(who, monitor, mode)
        self.patience = whole_number(who, "patience", patience)
        self.min_delta = abs(finite_number(who, "min_delta", min_delta))
        self.start_from_epoch = whole_number(who, "start_from_epoch", start_from_epoch)
        self.restore_best_weights = restore_best_weights
        self._rule = Patience(self.patience, self.min_delta)
        self._weights: Weights | None = None

    @property
    def best(self) -> float:
        """The best value that was seen."""
        return self._rule.best

    @property
    def best_epoch(self) -> int:
        """The epoch in which it was seen."""
        return self._rule.place

    def on_train_begin(self, run: Run, logs: Logs) -> None:
        self._rule = Patience(self.patience, self.min_delta)
        self._weights = None

    def on_epoch_end(self, run: Run, logs: Logs) -> None:
        if run.epoch <= self.start_from_epoch:
            return
        name, value, larger = self._watch.value(logs)
        if self._rule.see(run.epoch, value, larger):
            if self.restore_best_weights:
                self._weights = Weights(run.model)
        elif self._rule.over:
            run.stop(
                f"{name} has not improved for {self._rule.wait} epochs; the best was "
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
            "wait": self._rule.wait,
            "weights": None if self._weights is None else self._weights.state,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from what `state_dict` gave."""
        rule = self._rule
        rule.best, rule.place, rule.wait = state["best"], state["best_epoch"], state["wait"]
        kept = state["weights"]
        self._weights = None if kept is None else Weights.of(kept)


class TerminateOnNaN(Callback):
    """Ends the run, with its history and without an error, where a number is not finite.

    The update that would have used it is not made, `history.stopped` says where it was, and
    `on_train_end` is told: an `EarlyStopping` beside it restores its best weights.

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.nn.Linear(1, 1)
    >>> history = rv.fit(net, [[1.0]], [2.0], loss="mse", optimizer="sgd", lr=1e30, verbose=0,
    ...                  callbacks=rv.callbacks.TerminateOnNaN())
    >>> history.epochs, history.stopped[:30]
    (1, '[fit] epoch 2, step 2, loss: e')
    """

    def on_not_finite(self, run: Run, error: NonFiniteError) -> bool:
        return True
