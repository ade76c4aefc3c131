"""`fit`: what the caller gave becomes a `Task`, checked before anything changes.

The loop itself is in `loop.py`, for every door the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier import _C, optim
from ranvier._C import Tensor
from ranvier._grad import no_grad
from ranvier._random import checked_seed
from ranvier.data.split import rows_aside
from ranvier.nn import Module
from ranvier.training import callbacks as events
from ranvier.training import diagnosis, inputs, losses, optimizers
from ranvier.training import metrics as metric_names
from ranvier.training.batches import RowBatches
from ranvier.training.evaluation import check_model, forward, measure, mode, outputs
from ranvier.training.history import History
from ranvier.training.inputs import Rows
from ranvier.training.loop import Run, Task
from ranvier.training.progress import ProgressLines

_SAMPLE = 32  # rows that are tried out before training begins
_VALIDATION_BATCH = 256


class FitTask(Task):
    """A task of `fit`: rows in memory, and other rows to measure after every epoch."""

    def __init__(
        self,
        model: Module,
        batches: RowBatches,
        loss: losses.Loss,
        optimizer: optim.Optimizer,
        epochs: int,
        metrics: tuple[metric_names.Metric, ...],
        validation: tuple[Rows, Rows] | None,
    ) -> None:
        super().__init__(model, batches, loss, optimizer, epochs, metrics=metrics)
        self.validation = validation

    @property
    def validates(self) -> bool:
        return self.validation is not None

    def validate(self) -> dict[str, float]:
        assert self.validation is not None
        X, y = self.validation
        prediction = outputs(self.where, self.model, X, _VALIDATION_BATCH)
        return measure(self.where, self.loss, self.metrics, prediction, y.all())


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
    callbacks: Any = (),
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
    callbacks : Callback or a list of them
        Objects that listen to the run and may stop it; see `rv.Callback`.
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
    listeners = events.resolve("fit", callbacks)
    task = _prepare(
        model, X, y, loss, optimizer, lr, epochs, batch_size, shuffle, seed, validation, metrics
    )
    fractions = {name for m in task.metrics if m.fraction for name in (m.name, f"val_{m.name}")}
    lines = ProgressLines(task.epochs, verbose, frozenset(fractions))
    return Run(task, [*listeners, lines]).train()


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
) -> FitTask:
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
    state = random.state if shuffle else None
    size = min(batch_size or len(rows[0]), len(rows[0]))
    batches = RowBatches(rows[0], rows[1], None, size, 1, state)
    return FitTask(model, batches, chosen_loss, chosen_optimizer, epochs, measures, other)


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
