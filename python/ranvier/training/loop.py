"""The one training loop. Every way to train a model ends here.

Forward, loss, backward, update, once per mini-batch, all arithmetic in the core. It holds no
layer, loss or optimizer of its own, and it never takes a step with numbers that are not finite.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from ranvier import _C, optim
from ranvier._C import Tensor
from ranvier._grad import enable_grad, no_grad
from ranvier._random import checked_seed
from ranvier.data.split import rows_aside
from ranvier.nn import Module
from ranvier.training import diagnosis, inputs, losses, optimizers
from ranvier.training import metrics as metric_names
from ranvier.training.errors import NonFiniteError
from ranvier.training.evaluation import check_model, forward, measure, mode, outputs
from ranvier.training.history import History
from ranvier.training.inputs import Rows
from ranvier.training.interrupts import WholeSteps
from ranvier.training.progress import Progress

_SAMPLE = 32  # rows that are tried out before training begins
_VALIDATION_BATCH = 256


@dataclass(frozen=True)
class Task:
    """Everything a run needs, checked."""

    model: Module
    X: Rows
    y: Rows
    validation: tuple[Rows, Rows] | None
    loss: losses.Loss
    metrics: tuple[metric_names.Metric, ...]
    optimizer: optim.Optimizer
    epochs: int
    batch_size: int
    random: Tensor | None  # state of the generator that shuffles; None: rows stay in order


def fit(
    model: Module,
    X: Any,
    y: Any = None,
    *,
    loss: Any,
    optimizer: Any = "adam",
    lr: float | None = None,
    epochs: int = 10,
    batch_size: int | None = 32,
    shuffle: bool = True,
    seed: int | None = None,
    validation: Any = None,
    metrics: Any = (),
    verbose: int = 1,
) -> History:
    """Train a model on rows of data.

    Everything is checked before anything changes. Training stops before an update that would use
    a loss or gradient that is not finite. After an error, or Ctrl-C, the model has the weights of
    the last whole step. That step can itself have overflowed, with a learning rate far too large:
    then the error names a weight, and the weights are of no use. The same seed and the same
    starting weights give the same bits.

    Parameters
    ----------
    model : Module
        Trained in training mode, and left in the mode that it is in.
    X : array, (N, ...)
        Numbers of any type: a tensor, an array, nested lists. They are cast to the type of the
        model's parameters batch by batch.
    y : array, (N, ...)
        Whole-number labels (N,) for "cross_entropy"; for the other losses numbers in the shape of
        the model's output, where (N,) and (N, 1) stand for each other.
    loss : str, Module or callable
        "cross_entropy", "mse", "half_squared_error", "binary_cross_entropy" (or "bce"), a loss of
        `ranvier.nn`, or a function of prediction and target that gives one number.
    optimizer : str, class or Optimizer
        "adam", "sgd", "adamw", a class of `ranvier.optim`, or an object made with this model's
        parameters. Its state stays with the model: a second call that asks for the same goes on
        where the first one ended; one that asks for another starts anew, with a `RanvierWarning`.
    lr : float, optional
        Learning rate; the optimizer's own default if left out.
    epochs : int
        How many times to go through the data.
    batch_size : int or None
        Rows per step; the last batch takes what is left. None: all rows.
    shuffle : bool
        Whether to draw a new order of the rows for every epoch.
    seed : int, optional
        Of the orders and of the validation split. If left out, they come from the default
        generator, which `manual_seed` sets.
    validation : float or (X, y), optional
        Rows to measure after every epoch and not to train on: a fraction of the data (rounded up;
        the last rows after a shuffle, or simply the last rows with ``shuffle=False``), or others.
    metrics : str, callable, or a list of them
        "accuracy", "mse", "mae", or functions of prediction and target that give a number. For
        the training rows they are averaged over the batches of the epoch as they came.
    verbose : {0, 1, 2}
        Nothing, about five lines (and a moving one on a terminal), or a line an epoch.

    Returns
    -------
    History
        Loss and metrics of every epoch.

    Raises
    ------
    TypeError, ValueError
        If an argument is not what it should be, data do not fit the model or the loss, or data or
        weights are not finite.
    NonFiniteError
        If the loss, a gradient or a weight becomes NaN or infinite.
    KeyboardInterrupt
        On Ctrl-C, after the step; its attribute `history` holds the epochs that were completed.

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.nn.Linear(1, 1)
    >>> X, y = [[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0]
    >>> history = rv.fit(net, X, y, loss="mse", lr=0.1, epochs=300, verbose=0)
    >>> history.epochs, round(history.history["loss"][-1], 3)
    (300, 0.0)
    """
    if isinstance(verbose, bool) or verbose not in (0, 1, 2):
        raise ValueError(f"[fit] verbose: expected 0, 1 or 2, got {verbose!r:.60}")
    task = _prepare(
        model, X, y, loss, optimizer, lr, epochs, batch_size, shuffle, seed, validation, metrics
    )
    fractions = {name for m in task.metrics if m.fraction for name in (m.name, f"val_{m.name}")}
    return _Run(task, Progress(task.epochs, verbose, frozenset(fractions))).train()


# --- checks and preparation -----------------------------------------------------------------------


def _prepare(
    model: Any,
    X: Any,
    y: Any,
    loss: Any,
    optimizer: Any,
    lr: Any,
    epochs: Any,
    batch_size: Any,
    shuffle: Any,
    seed: Any,
    validation: Any,
    metrics: Any,
) -> Task:
    """A task from the arguments of `fit`. Nothing of the caller's changes if this raises."""
    _check_weights(check_model("fit", model))
    epochs = inputs.positive_int("fit", "epochs", epochs)
    if batch_size is not None:
        batch_size = inputs.positive_int("fit", "batch_size", batch_size)
    chosen_loss = losses.resolve("fit", loss)
    measures = metric_names.resolve("fit", metrics)
    random = _generator(seed)
    rows = _check_data(model, X, y, "X", "y", chosen_loss, measures)
    other = validation_rows = None
    if isinstance(validation, (tuple, list)) and len(validation) == 2:
        names = ("validation X", "validation y")
        other = _check_data(model, validation[0], validation[1], *names, chosen_loss, measures)
    elif validation is not None:
        validation_rows = rows_aside(
            "fit", "validation", validation, len(rows[0]), ", or a pair (X, y)"
        )
    spec, chosen_optimizer = optimizers.resolve("fit", model, optimizer, lr)

    # From here on nothing raises for what the caller gave.
    if validation_rows is not None:
        rows, other = _split(*rows, validation_rows, random.state if shuffle else None)
    optimizers.remember(model, chosen_loss, spec, chosen_optimizer)
    return Task(
        model=model,
        X=rows[0],
        y=rows[1],
        validation=other,
        loss=chosen_loss,
        metrics=measures,
        optimizer=chosen_optimizer,
        epochs=epochs,
        batch_size=min(batch_size or len(rows[0]), len(rows[0])),
        random=random.state if shuffle else None,
    )


def _check_weights(model: Module) -> None:
    """A ValueError where the model is already spoiled."""
    found = diagnosis.bad_parameter(model)
    if found:
        raise ValueError(
            f"[fit] model: {found[0]}: expected finite numbers, got "
            f"{diagnosis.describe(found[1])}; make the model anew or load its weights"
        )


def _generator(seed: Any) -> _C.Generator:
    return _C.default_generator() if seed is None else _C.Generator(checked_seed("fit", seed))


def _check_data(
    model: Module,
    X: Any,
    y: Any,
    X_name: str,
    y_name: str,
    loss: losses.Loss,
    measures: tuple[metric_names.Metric, ...],
) -> tuple[Rows, Rows]:
    """X and y, checked against each other and against what the model makes of the first rows."""
    if y is None:
        raise TypeError(f"[fit] {y_name}: expected one target for each row of X, got None")
    data, answers = inputs.data("fit", X_name, X, model), inputs.rows("fit", y_name, y)
    inputs.check_lengths("fit", data.tensor, answers, f"{X_name} and {y_name}")
    inputs.check_finite("fit", X_name, data.tensor, data.dtype)
    with mode(model, False), no_grad():
        sample = data.batch(0, min(_SAMPLE, len(data)), None)
        prediction = forward("fit", model, sample)
        targets = inputs.targets("fit", y_name, answers, prediction, loss)
        for metric in measures:
            metric(prediction, targets.batch(0, sample.shape[0], None))
    return data, targets


def _split(
    X: Rows, y: Rows, count: int, random: Tensor | None
) -> tuple[tuple[Rows, Rows], tuple[Rows, Rows]]:
    """Rows to train on, and the `count` last ones, after a shuffle if there is a generator."""
    total = len(X)
    if random is None:
        order = _C.from_numpy(np.arange(total))
    else:
        order = _C.ops.permutation(random, total)
    kept, aside = order[: total - count], order[total - count :]
    return (X.only(kept), y.only(kept)), (X.only(aside), y.only(aside))


# --- the loop -------------------------------------------------------------------------------------


class _Run:
    """One run of a task: its counters, its history, and the loop."""

    def __init__(self, task: Task, progress: Progress) -> None:
        self.task = task
        self.progress = progress
        self.history = History()
        self.parameters = [p for p in task.model.parameters() if p.requires_grad]
        held = [p for group in task.optimizer.param_groups for p in group["params"]]
        # Each once. A list, as to walk through the modules would take longer than the update.
        self.with_gradients = list({id(p): p for p in [*task.model.parameters(), *held]}.values())
        self.epoch = self.step = 0
        self.updates = WholeSteps()
        self.start = time.perf_counter()

    def train(self) -> History:
        """All epochs. Whatever ends the run, modes are restored and gradients are cleared."""
        try:
            with mode(self.task.model, True), enable_grad(), self.updates:
                while self.epoch < self.task.epochs:
                    self.epoch += 1
                    values = self.run_epoch()
                    self.history.append(values)
                    self.progress.epoch(self.epoch, values)
        except KeyboardInterrupt as interrupt:
            interrupt.history = self.history  # type: ignore[attr-defined]
            raise
        finally:
            self.history.seconds = time.perf_counter() - self.start
            self.progress.close()
            self.clear_gradients()
        return self.history

    def clear_gradients(self) -> None:
        """Of the whole model, of which the optimizer may hold a part, and of what else it holds."""
        for parameter in self.with_gradients:
            parameter.grad = None

    def run_epoch(self) -> dict[str, float]:
        """One pass over the data, and what it measured."""
        task, count = self.task, len(self.task.X)
        order = None if task.random is None else _C.ops.permutation(task.random, count)
        numbers = task.X.numbers(order)
        sums = dict.fromkeys(["loss", *(metric.name for metric in task.metrics)], 0.0)
        for start in range(0, count, task.batch_size):
            stop = min(start + task.batch_size, count)
            x, target = task.X.batch(start, stop, numbers), task.y.batch(start, stop, numbers)
            for name, value in self.run_step(x, target).items():
                sums[name] += value * (stop - start)
            if self.progress.live:
                self.progress.step(self.epoch, stop / count)
        self.check_parameters()
        values = {name: value / count for name, value in sums.items()}
        return values | self.validate()

    def run_step(self, x: Tensor, target: Tensor) -> dict[str, float]:
        """Forward, loss, backward, update; raises before the update if a number is not finite."""
        task = self.task
        self.step += 1
        prediction = forward("fit", task.model, x)
        loss = task.loss("fit", prediction, target)
        values = {"loss": float(loss.item())}
        if not math.isfinite(values["loss"]):
            self.stop_at_loss(values["loss"], x)
        if task.metrics:
            with no_grad():
                seen = prediction.detach()
                for metric in task.metrics:
                    values[metric.name] = metric(seen, target)
        self.clear_gradients()
        loss.backward()
        for parameter in self.parameters:
            if parameter.grad is not None and not diagnosis.is_finite(parameter.grad):
                self.stop_at_gradient()
        self.updates.begin()
        try:
            task.optimizer.step()
        finally:
            self.updates.end()
        return values

    def validate(self) -> dict[str, float]:
        """What the model makes of the validation rows, with `val_` before each name."""
        if self.task.validation is None:
            return {}
        X, y = self.task.validation
        prediction = outputs("fit", self.task.model, X, _VALIDATION_BATCH)
        values = measure("fit", self.task.loss, self.task.metrics, prediction, y.all())
        if not math.isfinite(values["loss"]):
            self.stop(
                "validation loss",
                str(values["loss"]),
                "training stopped after the epoch, whose updates were all finite: look at the "
                "validation data, or",
            )
        return {f"val_{name}": value for name, value in values.items()}

    # What stops a run.

    def check_parameters(self) -> None:
        """An update of finite numbers can still overflow: seen at the end of the epoch."""
        found = diagnosis.bad_parameter(self.task.model)
        if found:
            self.stop(
                found[0],
                diagnosis.describe(found[1]),
                "an update overflowed, and the model keeps it: start again from other weights, and",
            )

    def stop_at_loss(self, value: float, x: Tensor) -> None:
        self.check_parameters()
        origin = diagnosis.origin(self.task.model, x)
        self.stop("loss", f"{value}, which began in {origin}" if origin else str(value))

    def stop_at_gradient(self) -> None:
        found = diagnosis.bad_gradient(self.task.model)
        assert found is not None  # that is why we are here
        self.stop(f"{found[0]} gradient", diagnosis.describe(found[1]))

    def stop(
        self, tensor: str, got: str, state: str = "training stopped before the update:"
    ) -> None:
        """Raise; `state` says what has become of the weights, and begins the advice."""
        rates = {float(group["lr"]) for group in self.task.optimizer.param_groups}
        now = ", ".join(f"{rate:g}" for rate in sorted(rates))
        raise NonFiniteError(
            f"[fit] epoch {self.epoch}, step {self.step}, {tensor}: expected finite numbers, got "
            f"{got}; {state} try a smaller learning rate (now {now}) or scale the data",
            epoch=self.epoch,
            step=self.step,
            tensor=tensor,
            history=self.history,
        )
