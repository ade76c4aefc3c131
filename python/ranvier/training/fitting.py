"""`fit`: what the caller gave becomes a `Task`, checked before anything changes.

The loop itself is in `loop.py`, for every door the same; what an argument means is said in the file
of its kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from ranvier.io import notes
from ranvier.nn import Module
from ranvier.training import callbacks as events
from ranvier.training import inputs, losses, optimizers, preparation, schedules
from ranvier.training import metrics as metric_names
from ranvier.training.batches import RowBatches
from ranvier.training.evaluation import check_model
from ranvier.training.history import History
from ranvier.training.loaders import LoaderBatches
from ranvier.training.loop import Run
from ranvier.training.penalties import Penalties, not_negative
from ranvier.training.preparation import FitTask
from ranvier.training.progress import goes_on, lines

if TYPE_CHECKING:
    from ranvier.training.keeping import Keeper


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
    sample_weight: Any = None,
    class_weight: Any = None,
    metrics: Any = (),
    schedule: Any = None,
    early_stopping: Any = None,
    clip_norm: float | None = None,
    accumulate: int = 1,
    l1: float = 0.0,
    l2: float = 0.0,
    max_norm: float | None = None,
    callbacks: Any = (),
    checkpoint: Any = None,
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
        Trained in training mode, and left in the mode that it is in. Layers of `rv.data` at its
        front that are not fitted yet are fitted on the training rows.
    X : array, (N, ...)
        Numbers of any type: a tensor, an array, nested lists, a DataFrame, a matrix of
        scipy.sparse. They are cast to the type of the model's parameters batch by batch. Sparse
        rows go into a model that begins with `nn.Linear` as they are stored; other layers get them
        dense. Or a Dataset or DataLoader, which gives rows and targets and, if it likes, what each
        row counts; `y` is then left out, and a DataLoader says itself how large and in which order
        batches are.
    y : array, (N, ...)
        Whole-number labels (N,) for "cross_entropy"; for the other losses numbers in the shape of
        the model's output, where (N,) and (N, 1) stand for each other.
    loss : str, Module or callable
        "cross_entropy", "mse", "half_squared_error", "binary_cross_entropy" (or "bce") and the
        other losses of `ranvier.nn` by name, one of their objects, or a function of prediction and
        target that gives one number, averaged over rows.
    optimizer : str, class or Optimizer
        "adam", "sgd", "adamw" and the others by name, a class of `ranvier.optim`, or an object made
        with this model's parameters. Its state stays with the model: a second call that asks for
        the same goes on where the first one ended; one that asks for another starts anew, with a
        `RanvierWarning`.
    lr : float, optional
        Learning rate; the optimizer's own default if left out.
    epochs : int
        How many times to go through the data.
    batch_size : int or None
        Rows per batch; the last batch takes what is left. None: all rows; 1: one by one.
    shuffle : bool
        Whether to draw a new order of the rows for every epoch.
    seed : int, optional
        Of the orders and of the validation split. If left out, they come from the default
        generator, which `manual_seed` sets.
    validation : float or (X, y), optional
        Rows to measure after every epoch and not to train on: a fraction of the data (rounded up;
        the last rows after a shuffle, or simply the last rows with ``shuffle=False``), or others,
        or a DataLoader or Dataset of others.
    sample_weight : array, (N,), optional
        What each row counts, 0 or more. Only the relation of the weights matters: they are scaled
        to a mean of 1 over the training rows.
    class_weight : mapping of label to number, or "balanced", optional
        What the rows of each class count; a label that is not named counts 1. "balanced" makes
        all classes count the same. It is multiplied with `sample_weight`.
    metrics : str, callable, or a list of them
        "accuracy", "top_5_accuracy", "precision", "recall", "f1", "auc", "mse", "mae", "rmse",
        "r2", each over all rows of the epoch as they came, or functions of prediction and target
        that give a number, averaged over the batches.
    schedule : str, callable, scheduler or Callback, optional
        How the learning rate changes: "cosine", "linear" (both to 0 over the run, by the step),
        "plateau", a function of the epoch (from 0) that gives it, a scheduler of
        `optim.lr_scheduler` made for the optimizer or a class or function that makes one, or
        ``rv.callbacks.Schedule(what, per="step")``. The history then has "lr".
    early_stopping : True, int or EarlyStopping, optional
        End the run when the validation loss (the loss, without validation) has not improved for 10
        or this many epochs, with the weights of the best one.
    clip_norm : float, optional
        The largest norm that all gradients together may have.
    accumulate : int
        Batches to an update: their gradients are those of one batch that is so many times larger,
        bit by bit where each parameter is used once (one that is used at several places gets the
        same sum in another order). Refused for models with batch norm, whose statistics are those
        of each batch.
    l1 : float
        After each update, weights go towards 0 by the learning rate times `l1`, and those that
        would cross it become exactly 0 (a proximal step; never biases).
    l2 : float
        Adds `l2` times the sum of all squared weights to the loss (never of biases). Weight decay
        that is no part of the loss is AdamW's.
    max_norm : float, optional
        After each update, the weights that lead into one output are scaled down to this norm.
    callbacks : Callback or a list of them
        Objects that listen to the run and may stop it; see `rv.Callback`.
    checkpoint : path or Checkpoint, optional
        Where the state of the run is kept, so that the same call goes on where the last one was
        interrupted, and ends with the same bytes; see `rv.Checkpoint`.
    verbose : {0, 1, 2}
        Nothing; a bar on a terminal (by tqdm or rich where one is installed) and a line an epoch
        elsewhere; or a line an epoch in any case.

    Returns
    -------
    History
        Loss and metrics of every epoch.

    Raises
    ------
    TypeError, ValueError
        If an argument is not what it should be, data do not fit the model or the loss, or data or
        weights are not finite; if a checkpoint is damaged or that of another run.
    OSError
        If a checkpoint cannot be read or written.
    NonFiniteError
        If the loss, a gradient or a weight becomes NaN or infinite.
    KeyboardInterrupt
        On Ctrl-C, after the step; its attribute `history` holds the epochs that were completed.
        With a checkpoint the state is kept before that.

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
    preparation.check_weights(check_model("fit", model))
    number = inputs.positive_int("fit", "epochs", epochs)
    if batch_size is not None:
        batch_size = inputs.positive_int("fit", "batch_size", batch_size)
    together = inputs.positive_int("fit", "accumulate", accumulate)
    if together > 1:
        preparation.refuse_batch_norm(model)
    penalties = Penalties(
        model,
        not_negative("fit", "l1", l1),
        not_negative("fit", "l2", l2),
        None if max_norm is None else inputs.positive("fit", "max_norm", max_norm),
        None if clip_norm is None else inputs.positive("fit", "clip_norm", clip_norm),
    )
    chosen = losses.resolve("fit", loss, optimizers.last_fit(model).loss)
    measures = metric_names.resolve("fit", metrics, chosen.border)
    listeners = [
        *filter(None, [schedules.resolve(schedule), early(early_stopping)]),
        *events.resolve("fit", callbacks),
    ]
    given = preparation.Given(X, y, validation, sample_weight, class_weight)
    how = preparation.How(batch_size, together, shuffle, preparation.generator(seed))
    keeper = keeper_of(checkpoint, listeners)
    with (
        nullcontext() if keeper is None else keeper.beginning(seed is not None),
        preparation.prepared(model, given, how, chosen, measures) as ready,
    ):
        spec, updates = optimizers.resolve("fit", model, optimizer, lr)
        # From here on nothing raises for what the caller gave, but for a run that goes on.
        batches, others = ready()
        key = preparation.key_of(seed)
        task = FitTask(model, batches, chosen, updates, number, measures, others, penalties, key)
        if keeper is not None:
            from ranvier.training import sameness  # most runs do without

            settings = sameness.of_fit(task, how, spec, schedule, seed)
            keeper.compare(task, listeners, how.generator, settings)
    task.kept = optimizers.last_fit(model).kept
    last = optimizers.remember(model, chosen, spec, updates)
    fractions = {name for m in measures if m.fraction for name in (m.name, f"val_{m.name}")}
    if keeper is not None and keeper.saved is not None:
        goes_on(verbose, keeper.files.given, keeper.saved["epoch"], keeper.saved["step"])
    told = [*listeners, lines(number, verbose, frozenset(fractions))]
    run = Run(task, told, keeper)
    _note(model, task, run.history)
    history = run.train()
    if keeper is not None:
        keeper.ended()
    last.kept = task.kept
    return history


def keeper_of(checkpoint: Any, listeners: Sequence[Any]) -> Keeper | None:
    """What keeps the state of a run; one without a checkpoint, or a callback for it, has none.

    Raises
    ------
    TypeError, ValueError
        If the checkpoint is none, there are two, or a callback writes to its path.
    """
    told = [getattr(one, "told", one) for one in listeners]
    backups = [one for one in told if callable(getattr(one, "checkpoint", None))]
    if len(backups) > 1 or (backups and checkpoint is not None):
        both = " beside checkpoint=" if checkpoint is not None else ""
        raise ValueError(
            f"[fit] checkpoint: expected it, or one BackupAndRestore, got {len(backups)}{both}"
        )
    if checkpoint is None and not backups:
        return None
    from ranvier.training.checkpoint import resolve  # most runs do without
    from ranvier.training.keeping import Keeper

    keeper = Keeper(resolve(backups[0].checkpoint() if backups else checkpoint))
    keeper.backup = backups[0] if backups else None
    events.check_files("fit", [keeper.checkpoint, *told])
    return keeper


def _note(model: Module, task: FitTask, history: History) -> None:
    """Tell what files say of a model: what it is fed with, and how it was trained."""
    about = notes.about(model)
    facts = {
        "loss": task.loss.name,
        "optimizer": type(task.optimizer).__name__,
        "lr": float(task.optimizer.param_groups[0]["lr"]),
    }
    if isinstance(task.batches, RowBatches):
        about.note_row(task.batches.X.shape, task.batches.X.dtype.name)
        facts["batch_size"] = task.batches.batch_size
    elif isinstance(task.batches, LoaderBatches):
        task.batches.tell = about.note_row
    about.note_fit(facts, history)


def early(stopping: Any) -> events.Callback | None:
    """What `early_stopping` means."""
    if stopping is None or stopping is False:
        return None
    if stopping is True:
        return events.EarlyStopping()
    if isinstance(stopping, events.Callback):
        return stopping
    return events.EarlyStopping(patience=inputs.positive_int("fit", "early_stopping", stopping))
