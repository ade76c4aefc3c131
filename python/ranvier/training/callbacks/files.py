"""Callbacks that write files: the model, and what was measured."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ranvier.nn import Module
from ranvier.training.callbacks.protocol import Callback, Logs
from ranvier.training.callbacks.rules import Mode, formatted, whole_number
from ranvier.training.callbacks.stopping import Watch
from ranvier.training.callbacks.table import Table
from ranvier.training.errors import warn

if TYPE_CHECKING:
    from ranvier.training.loop import Run


class ModelCheckpoint(Callback):
    """Writes the model to a file after epochs, or only when it is the best so far.

    The file is that of `rv.save`: `rv.load(path)` gives the model back. Of a class of your own it
    holds the weights, and what it predicts where that can be written down; a `RanvierWarning` says
    so, once, where it cannot. It is replaced whole or not at all, and a model with weights or
    buffers that have become NaN or infinite never takes the place of a good one.

    Parameters
    ----------
    path : str or path
        In a folder that exists. May hold `{epoch}` and the names of what is measured, as in
        "net-{epoch:03d}-{loss:.3f}.safetensors".
    monitor : str, optional
        What decides which is best; as for `EarlyStopping`.
    save_best_only : bool
    mode : {"auto", "min", "max"}
    every : int
        Every how many epochs to look.
    save_weights_only : bool
        Whether to write the state dict alone.

    Raises
    ------
    OSError
        When the run begins, if nothing can be written into the folder; later, if the disk is full:
        the old file is then as it was, and the model has the weights of the last step.
    ValueError
        If an argument is not what it should be, or the path has a name that nobody measures.

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.nn.Sequential(rv.nn.Linear(1, 4), rv.nn.ReLU(), rv.nn.Linear(4, 1))
    >>> best = rv.callbacks.ModelCheckpoint("best.safetensors", save_best_only=True)
    >>> history = rv.fit(net, [[0.0], [1.0]], [0.0, 2.0], loss="mse", verbose=0, callbacks=best)
    >>> rv.load("best.safetensors")
    Sequential(
      (0): Linear(in_features=1, out_features=4, bias=True)
      (1): ReLU()
      (2): Linear(in_features=4, out_features=1, bias=True)
    )
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        monitor: str | None = None,
        save_best_only: bool = False,
        mode: Mode = "auto",
        every: int = 1,
        save_weights_only: bool = False,
    ) -> None:
        who = type(self).__name__
        self.path = os.fspath(path)
        self.save_best_only, self.save_weights_only = save_best_only, save_weights_only
        self.every = max(1, whole_number(who, "every", every))
        self._watch, self._good = Watch(who, monitor, mode), Good(who)

    def writes(self) -> tuple[str, ...]:
        """The path, with the names in it."""
        return (self.path,)

    def on_train_begin(self, run: Run, logs: Logs) -> None:
        check_folder(type(self).__name__, "path", self.path)
        self._good.begin(run.model)

    def on_epoch_end(self, run: Run, logs: Logs) -> None:
        if run.epoch % self.every:
            return
        if self.save_best_only and not self._watch.better(logs):
            return
        path = formatted(self._good.who, "path", self.path, {"epoch": run.epoch, **logs})
        if not self._good.allows(run.model, path):
            return
        from ranvier import io  # it imports json, which a mere `import ranvier` does without

        words = io.write(run.model.state_dict() if self.save_weights_only else run.model, path)
        if words:
            self._good.tell(words)

    def state_dict(self) -> dict[str, Any]:
        """The best value so far; for a checkpoint."""
        return {"best": self._watch.best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from what `state_dict` gave."""
        self._watch.best = state["best"]


class CSVLogger(Callback):
    """Writes what was measured to a file, a line an epoch; the file is whole after every one.

    Parameters
    ----------
    path : str or path
    separator : str
    append : bool
        Whether to go on with a file that is there.

    Raises
    ------
    OSError
        When the run begins, if the file cannot be written. Where the disk is full later, a
        `RanvierWarning` says so, training goes on, and each epoch tries again.

    Examples
    --------
    >>> from pathlib import Path
    >>> import ranvier as rv
    >>> history = rv.fit(rv.nn.Linear(1, 1), [[0.0]], [0.0], loss="mse", epochs=2, verbose=0,
    ...                  callbacks=rv.callbacks.CSVLogger("log.csv"))
    >>> print(Path("log.csv").read_text().splitlines()[0])
    epoch,loss
    """

    def __init__(
        self, path: str | os.PathLike[str], separator: str = ",", append: bool = False
    ) -> None:
        self.path, self.separator, self.append = os.fspath(path), separator, append
        self._table = Table(type(self).__name__, self.path, separator, append)

    def writes(self) -> tuple[str, ...]:
        """The path."""
        return (self.path,)

    def on_train_begin(self, run: Run, logs: Logs) -> None:
        self._table.begin(run.resumed)

    def on_epoch_end(self, run: Run, logs: Logs) -> None:
        self._table.add(run.epoch, logs, logs)

    def on_close(self, run: Run, logs: Logs) -> None:
        self._table.close()

    def state_dict(self) -> dict[str, Any]:
        """How long the file is; for a checkpoint."""
        return self._table.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from what `state_dict` gave: lines of epochs that come again are taken off."""
        self._table.load_state_dict(state)


def check_folder(who: str, argument: str, path: str, make: bool = False) -> None:
    """An OSError unless a file can be made in the folder of a path, which is made if asked.

    One whose name holds numbers of epochs is not known yet, and not looked at.
    """
    folder = os.path.dirname(path) or "."
    if "{" in folder:
        return
    import tempfile  # most runs do without

    try:
        if make:
            os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        kind = type(error)
        raise kind(
            error.errno,
            f"[{who}] {argument}: expected a folder to write into, got {error.strerror}; make the "
            "folder, or give another path",
            path,
        ) from None


def not_finite(model: Module) -> list[str]:
    """Names of the parameters and buffers of a model that are not finite."""
    from ranvier.training.diagnosis import is_finite

    named = [*model.named_parameters(), *model.named_buffers()]
    floats = ((name, t.detach()) for name, t in named if t.dtype.is_floating_point)
    return [name for name, tensor in floats if not is_finite(tensor)]


class Good:
    """Keeps a model that has become NaN or infinite from taking the place of a good one.

    Parameters
    ----------
    who : str
        What messages begin with.
    """

    def __init__(self, who: str) -> None:
        self.who = who
        self._loose: set[str] = set()  # what is not finite from the start
        self._told: set[str] = set()

    def begin(self, model: Module) -> None:
        """A run begins."""
        self._loose, self._told = set(not_finite(model)), set()

    def allows(self, model: Module, path: str) -> bool:
        """Whether the model may be written; a warning where it may not."""
        bad = [name for name in not_finite(model) if name not in self._loose]
        if bad:
            self.tell(
                f"[{self.who}] {path}: expected finite numbers, got others in {bad[0]}; the file "
                "stays as it was"
            )
        return not bad

    def tell(self, words: str) -> None:
        """Warn, once for each thing."""
        if words not in self._told:
            self._told.add(words)
            warn(words)
