"""Keras' TensorBoard, over the log that every door writes."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

from ranvier._C import Tensor
from ranvier.keras.callbacks.callback import Callback
from ranvier.training.callbacks.board import VALIDATION, Board
from ranvier.training.callbacks.rules import whole_number
from ranvier.training.callbacks.tensorboard import checked_frequency
from ranvier.training.errors import warn


class TensorBoard(Callback):
    """Writes a log that TensorBoard shows: ``tensorboard --logdir logs``.

    It needs the package: ``pip install 'ranvier[tensorboard]'``. An OSError when training begins
    says that nothing can be written; where the disk is full later, a `RanvierWarning` does, and
    training goes on.

    Parameters
    ----------
    log_dir : str or path
        A folder of its own for each run; numbers of training go to "train" in it, those of
        validation to "validation".
    histogram_freq : int
        Every how many epochs histograms of the weights are written; 0: never.
    write_graph : bool
        Whether the model is drawn, and listed as text; for models whose inputs are known.
    write_images : bool
        Whether weights are drawn too, in the epochs of `histogram_freq`.
    write_steps_per_second : bool
    update_freq : "epoch", "batch" or int
        An int also writes what was measured after every so many steps.
    profile_batch
        Taken; `rv.Program.profile` times steps here.
    embeddings_freq : int
        Every how many epochs the weights of embeddings are written for the projector; 0: never.
    embeddings_metadata : path, or dict of name of layer to path, optional
        Files with a label for each row, a line each.
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str] = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: str | int = "epoch",
        profile_batch: Any = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: Any = None,
    ) -> None:
        who = type(self).__name__
        self.log_dir = os.fspath(log_dir)
        self.histogram_freq = whole_number(who, "histogram_freq", histogram_freq)
        self.write_graph, self.write_images = write_graph, write_images
        self.write_steps_per_second = write_steps_per_second
        self.update_freq = checked_frequency(who, update_freq)
        self.embeddings_freq = whole_number(who, "embeddings_freq", embeddings_freq)
        self.embeddings_metadata = embeddings_metadata
        if profile_batch:
            warn(f"[{who}] profile_batch: nothing is profiled; rv.Program.profile() times steps")
        self._board = Board(who, self.log_dir)
        self._steps, self._start = 0, 0.0  # of all epochs; when the epoch began, and before which
        self._before = 0
        self._fitting = False
        if self.update_freq:
            self.on_train_batch_end = self._batch_end  # type: ignore[method-assign]

    def writes(self) -> tuple[str, ...]:
        """The folder: two that write to one are refused."""
        return (self.log_dir,)

    def on_train_begin(self, logs: Any = None) -> None:
        """Makes the folders, and draws the model."""
        self._fitting, self._steps = True, 0
        resumed = bool((self.params or {}).get("resumed"))
        self._board.begin(resumed)
        if self.write_graph and not resumed:
            rows = getattr(self.model, "first_rows", None)  # where the model is not of this door
            self._board.graph(
                getattr(self.model, "trained", self.model), None if rows is None else rows()
            )

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Looks at the clock."""
        self._start, self._before = time.perf_counter(), self._taken()

    def _taken(self) -> int:
        return int(self.model.optimizer.iterations)

    def _batch_end(self, batch: int, logs: Any = None) -> None:
        self._steps += 1
        if self._steps % self.update_freq == 0:
            self._board.scalars(logs or {}, self._steps - 1, "batch_{}")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Writes what was measured, and the weights if it is their turn."""
        rate = float(self.model.optimizer.learning_rate)
        found = {"learning_rate": rate, **(logs or {})}
        if self.write_steps_per_second:
            seconds = time.perf_counter() - self._start
            found["steps_per_second"] = (self._taken() - self._before) / max(seconds, 1e-9)
        self._board.scalars(found, epoch, "epoch_{}")
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            self._board.weights(self.model, epoch, self.write_images)
        if self.embeddings_freq and epoch % self.embeddings_freq == 0:
            self._embeddings(epoch)
        self._board.flush()

    def _embeddings(self, epoch: int) -> None:
        for name, layer in self.model.named_modules():
            if type(layer).__name__ != "Embedding":
                continue
            points = next(iter(layer.parameters()))
            self._board.embedding(name or "embedding", points, self._labels(name, points), epoch)

    def _labels(self, name: str, points: Tensor) -> list[str] | None:
        given = self.embeddings_metadata
        path = given.get(name) if isinstance(given, Mapping) else given
        if path is None:
            return None
        with open(path, encoding="utf-8") as file:
            return file.read().splitlines()[: points.shape[0]]

    def on_test_end(self, logs: Any = None) -> None:
        """Writes what evaluate has measured, by the number of steps taken."""
        tag, step = "evaluation_{}_vs_iterations", self._taken()
        alone = not self._fitting
        if alone:
            self._board.begin()
        for name, value in (logs or {}).items():
            if isinstance(value, (int, float)):
                self._board.scalar(VALIDATION, tag.format(name), value, step)
        if alone:
            self._board.close()

    def on_close(self) -> None:
        """Writes what still waits."""
        self._fitting = False
        self._board.close()

    def state_dict(self) -> dict[str, Any]:
        """How long the files are; for a checkpoint."""
        return {**self._board.state_dict(), "steps": self._steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from what `state_dict` gave."""
        self._board.load_state_dict(state)
        self._steps = state["steps"]
