"""`TensorBoard`: what a run measures and trains, for the program of that name."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ranvier._C import Tensor
from ranvier._grad import enable_grad
from ranvier._random import get_rng_state, set_rng_state
from ranvier.training.batches import RowBatches, Step
from ranvier.training.callbacks.board import Board
from ranvier.training.callbacks.protocol import Callback, Logs
from ranvier.training.callbacks.rules import whole_number
from ranvier.training.modes import evaluating

if TYPE_CHECKING:
    from ranvier.training.loop import Run


class TensorBoard(Callback):
    """Writes a log that TensorBoard shows: ``tensorboard --logdir runs``.

    Numbers of training and validation go into two folders below `log_dir`, which TensorBoard draws
    in one chart, by epoch. It needs the package: ``pip install 'ranvier[tensorboard]'``.

    Parameters
    ----------
    log_dir : str or path
        A folder of its own for each run; it is made.
    histogram_freq : int
        Every how many epochs histograms of the weights are written; 0: never.
    write_graph : bool
        Whether the model is drawn, and listed as text, when the run begins; where rows lie in
        memory, or `rv.io.about(model).input` says what one looks like.
    write_images : bool
        Whether weights are drawn too, in the epochs of `histogram_freq`.
    update_freq : "epoch", "batch" or int
        An int also writes the loss of every so many steps, as "step_loss". Python then runs between
        the steps of an epoch.
    write_grads : bool
        Whether histograms of gradients are written too, in the epochs of `histogram_freq`: those of
        the first rows, in evaluation mode, for which they are computed once more.

    Raises
    ------
    ImportError
        When the run begins, if the package is not there.
    OSError
        When the run begins, if nothing can be written into the folder. Where the disk is full
        later, a `RanvierWarning` says so, training goes on, and each epoch tries again.

    Notes
    -----
    In a run that goes on from a `rv.Checkpoint`, the log goes on where the state was kept: what the
    interrupted run wrote after that is taken off.

    Examples
    --------
    >>> import ranvier as rv
    >>> log = rv.callbacks.TensorBoard("runs/first", histogram_freq=1)
    >>> rv.fit(net, X, y, loss="mse", callbacks=log)  # doctest: +SKIP
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str],
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        update_freq: str | int = "epoch",
        write_grads: bool = False,
    ) -> None:
        who = type(self).__name__
        self.log_dir = os.fspath(log_dir)
        self.histogram_freq = whole_number(who, "histogram_freq", histogram_freq)
        self.write_graph, self.write_images = write_graph, write_images
        self.write_grads = write_grads
        self.update_freq = checked_frequency(who, update_freq)
        self._board = Board(who, self.log_dir)
        if self.update_freq:
            self.on_step_end = self._step_end  # type: ignore[method-assign]

    def writes(self) -> tuple[str, ...]:
        """The folder: two that write to one are refused."""
        return (self.log_dir,)

    def on_train_begin(self, run: Run, logs: Logs) -> None:
        if self.write_grads and self.histogram_freq:
            got = "a train_step of your own" if run.task.steps_itself else ""
            got = got or ("batches that come one by one" if first_step(run) is None else "")
            if got:
                raise ValueError(
                    f"[{type(self).__name__}] write_grads: expected rows in memory and steps of "
                    f"fit, got {got}"
                )
        self._board.begin(run.resumed)
        if self.write_graph and not run.resumed:
            self._board.graph(run.model, first_rows(run))

    def _step_end(self, run: Run, logs: Logs) -> None:
        if run.step % self.update_freq == 0:
            self._board.scalars(logs, run.step, "step_{}")

    def on_epoch_end(self, run: Run, logs: Logs) -> None:
        board, epoch = self._board, run.epoch
        board.scalars({"lr": run.lr, **logs}, epoch, "{}")
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            board.weights(run.model, epoch, self.write_images)
            if self.write_grads:
                for name, grad in gradients_of(run).items():
                    board.histogram(f"{name.replace('.', '/')}/gradient", grad, epoch)
        board.flush()

    def on_close(self, run: Run, logs: Logs) -> None:
        self._board.close()

    def state_dict(self) -> dict[str, Any]:
        """How long the files are; for a checkpoint."""
        return self._board.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from what `state_dict` gave."""
        self._board.load_state_dict(state)


def checked_frequency(who: str, given: Any) -> int:
    """After how many steps numbers are written; 0: after epochs only."""
    if given == "epoch":
        return 0
    if given == "batch":
        return 1
    if isinstance(given, bool) or not isinstance(given, int) or given < 1:
        raise ValueError(
            f"[{who}] update_freq: expected 'epoch', 'batch' or a number of steps, got "
            f"{given!r:.60}"
        )
    return given


def first_step(run: Run) -> Step | None:
    """The first rows of a run, in their order; None where they do not lie in memory."""
    batches: Any = run.task.batches
    if isinstance(batches, RowBatches):
        count = min(len(batches.X), batches.batch_size * batches.accumulate)
        return batches.step(0, count, (None, batches.X.numbers(None), batches.y.numbers(None)))
    if hasattr(batches, "batch"):  # arrays of the Keras door
        return [batches.batch(0, min(batches.size, batches.rows))]
    return None


def first_rows(run: Run) -> list[Tensor] | None:
    """Two rows as the model is given them; None where they do not lie in memory as one tensor."""
    step = first_step(run)
    x = None if step is None else step[0].x
    return [x[:2]] if isinstance(x, Tensor) else None


def gradients_of(run: Run) -> dict[str, Any]:
    """The gradients of the first rows by the names of the parameters, in evaluation mode."""
    step = first_step(run)
    assert step is not None  # that was asked when the run began
    state = get_rng_state()
    try:
        with evaluating(run.model), enable_grad():
            run.task.prepare_step(step)
            run.arithmetic.gradients(step)
            named = run.model.named_parameters()
            return {name: p.grad.detach() for name, p in named if p.grad is not None}
    finally:
        set_rng_state(state)
        run.arithmetic.clear_gradients()
