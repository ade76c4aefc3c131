"""`compile`, `fit`, `evaluate`, `predict` and their one-batch forms: what makes a layer a model.

Everything is checked on the first rows before anything changes; the loop is that of
`ranvier.training`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ranvier._C import ShapeError
from ranvier._grad import no_grad
from ranvier.keras import optimizers
from ranvier.keras.callbacks.bridge import bridged
from ranvier.keras.callbacks.callback import CallbackList
from ranvier.keras.callbacks.progress import ProgressLines, values
from ranvier.keras.callbacks.usual import History
from ranvier.keras.metrics.metric import Mean, Metric
from ranvier.keras.tensors import flatten, map_structure
from ranvier.keras.training import data, noting, resuming
from ranvier.keras.training.advice import warn_of_losses, warn_of_one_class
from ranvier.keras.training.compiled import Compiled
from ranvier.keras.training.steps import OwnSteps, Steps, measure_steps, overridden
from ranvier.keras.training.task import KerasTask, call_model, measure, predict
from ranvier.training.batches import Batch
from ranvier.training.callbacks import Callback, check_files
from ranvier.training.callbacks.protocol import is_of_keras
from ranvier.training.fitting import keeper_of
from ranvier.training.inputs import positive_int
from ranvier.training.loop import Run
from ranvier.training.modes import evaluating
from ranvier.training.progress import goes_on

if TYPE_CHECKING:
    from ranvier.training.keeping import Keeper

_SAMPLE = 2  # rows that are tried out before anything begins


class Trainer(Steps):
    """What `Model` can do beyond a layer. It holds what `compile` was given."""

    name: str
    stop_training = False
    optimizer: Any = None
    history: Any = None
    loss: Any = None
    _compiled: Compiled | None = None
    _loss_tracker: Mean | None = None
    _dtype: Any
    training: bool
    output_names: Any
    trainable_weights: Any
    forward: Callable[..., Any]
    flat_layers: Callable[..., Any]
    losses: Any

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: Any = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Says how the model is trained and measured.

        Parameters
        ----------
        optimizer : name or Optimizer
        loss : name, Loss, callable, or a list or dict of them
            A function takes y_true and y_pred and gives a value for each row.
        loss_weights : list or dict of float, optional
        metrics, weighted_metrics : list or dict, optional
            Names, objects or functions; "accuracy" goes by the shapes of target and output. The
            second kind takes sample weights into account.
        run_eagerly, steps_per_execution, jit_compile, auto_scale_loss
            Accepted, and without effect here.
        """
        self.optimizer = optimizers.get(optimizer)
        self.loss = loss
        self._compiled = Compiled(loss, loss_weights, metrics, weighted_metrics)
        self._loss_tracker = Mean("loss")
        self.stop_training = False

    def get_compile_config(self) -> dict[str, Any] | None:
        """What a `compile` of one's own was given, for files; objects may be in it as they are."""
        return None

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles the model as it was, of what `get_compile_config` gave."""

    @property
    def compiled(self) -> bool:
        """Whether `compile` was called."""
        return self._compiled is not None

    @property
    def metrics(self) -> list[Metric]:
        """The metrics: the mean loss, those in attributes, and the compiled ones.

        Those that were given by name are there once data have shown their shapes.
        """
        if self._compiled is None or self._loss_tracker is None:
            return []
        named = [metric for _, metric, _, _ in self._compiled.measures]
        return [self._loss_tracker, *self._attributes(), *named]

    @property
    def metrics_names(self) -> list[str]:
        """The names of the metrics."""
        return [metric.name for metric in self.metrics]

    @property
    def _parts(self) -> int:
        """How many outputs' losses are reported."""
        return len(self._compiled.parts) if self._compiled is not None else 0

    def reset_metrics(self) -> None:
        """Metrics forget what train_on_batch and test_on_batch have gathered."""
        for metric in self.metrics:
            metric.reset_state()

    # --- many batches

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Mapping[Any, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: Any = 1,
        checkpoint: Any = None,
    ) -> History:
        """Trains the model.

        Parameters
        ----------
        x, y : array, or list or dict of arrays; or x alone gives batches
            A DataLoader, a generator or a sequence of (x, y) or (x, y, sample_weight).
        batch_size : int, optional
            32 if left out.
        epochs : int
            The number of the last epoch.
        verbose : {"auto", 0, 1, 2}
        callbacks : list of Callback, optional
            Of `keras.callbacks` or of `rv.callbacks`, which are told in the order of the list.
        validation_split : float
            What share of the last rows to measure after every epoch and not to train on.
        validation_data : (x, y) or (x, y, sample_weight), or batches, optional
        shuffle : bool
            Whether to draw a new order of the rows for every epoch.
        class_weight : dict of int to float, optional
        sample_weight : array, optional
        initial_epoch : int
            How many epochs count as done.
        steps_per_epoch, validation_steps, validation_batch_size : int, optional
        validation_freq : int or list of int
            After which epochs to validate.
        checkpoint : path or ranvier.Checkpoint, optional
            Where the state of the run is kept, so that the same call goes on where the last one was
            interrupted, and ends with the same bytes; as `keras.callbacks.BackupAndRestore` does.

        Returns
        -------
        History

        Raises
        ------
        TypeError, ValueError
            If something does not fit; nothing has changed then. If a checkpoint is damaged or that
            of another run.
        NonFiniteError
            If the loss, a gradient or a weight becomes NaN or infinite.
        """
        self._need_compile("fit")
        level, listeners = _verbosity(verbose), _callbacks(callbacks, in_fit=True)
        keeper = keeper_of(checkpoint, listeners)
        with nullcontext() if keeper is None else keeper.beginning(False):
            task = self._fit_task(
                x, y, (sample_weight, class_weight), batch_size, shuffle, steps_per_epoch,
                positive_int("fit", "epochs", epochs), initial_epoch,
                (validation_split, validation_data, validation_batch_size or batch_size,
                 validation_steps, validation_freq),
            )  # fmt: skip
            told = self._told(task, listeners, level)
            if keeper is not None:
                resuming.compare(keeper, task, told, shuffle)
        return self._run(task, told, keeper, level)

    def _fit_task(
        self, x: Any, y: Any, weights: tuple[Any, Any], batch_size: Any, shuffle: bool,
        steps_per_epoch: int | None, epochs: int, initial_epoch: int, validating: tuple[Any, ...],
    ) -> KerasTask:  # fmt: skip
        """What `fit` was given, checked on the first rows."""
        validation_split, validation_data, size, validation_steps, validation_freq = validating
        held: Any = None
        if validation_split and validation_data is None:
            train, held = self._split(x, y, weights, validation_split)
            batches = self._arrays("fit", train, batch_size, shuffle, steps_per_epoch)
        else:
            batches = self._batches("fit", x, y, weights, batch_size, shuffle, steps_per_epoch)
        validation = None
        if held is not None:
            validation = self._arrays("fit", held, size, False, validation_steps)
        elif validation_data is not None:
            parts = _validation_parts(validation_data)
            validation = self._batches(
                "fit", parts[0], parts[1], (parts[2], None), size, False, validation_steps
            )
        self._prepare(batches)
        if isinstance(batches, data.ArrayBatches) and self._compiled and self._compiled.built:
            warn_of_one_class(self._compiled, batches.y)
        if validation is not None:
            self._try("fit", validation)
        return self._task(batches, epochs, initial_epoch, validation, validation_freq)

    def _told(self, task: KerasTask, callbacks: list[Any], level: int) -> list[Any]:
        """Who listens to the run; the last one is its history."""
        steps, history = task.batches.steps, History()
        history.model = self
        lines = [ProgressLines(level, task.epochs, steps)] if level else []
        params = {"verbose": level, "epochs": task.epochs, "steps": steps}
        return bridged([*lines, *callbacks, history], self, params)

    def _run(self, task: KerasTask, told: list[Any], keeper: Keeper | None, level: int) -> History:
        history: History = told[-1].told
        self.stop_training = False
        self.history = history
        if keeper is not None and keeper.saved is not None:
            goes_on(level, keeper.files.given, keeper.saved["epoch"], keeper.saved["step"])
        run = Run(task, told, keeper)
        noting.note(self, task, run.history)
        run.train()
        if keeper is not None:
            keeper.ended()
        return history

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Loss and metrics on given rows, or batches.

        Returns
        -------
        float, list of float or dict
            The loss alone, or the loss and all metrics; with `return_dict` by their names.
        """
        _no_more("evaluate", kwargs)
        self._need_compile("evaluate")
        batches = self._batches("evaluate", x, y, (sample_weight, None), batch_size, False, steps)
        self._try("evaluate", batches)
        listeners = CallbackList(_callbacks(callbacks), self, {"verbose": 0, "steps": steps})
        listeners.tell("on_test_begin", {})
        results = self._measured("evaluate", batches, listeners)
        listeners.tell("on_test_end", results)
        if _verbosity(verbose):
            print(f"{batches.steps or '?'}/{batches.steps or '?'}{values(results)}")
        return _given(results, return_dict, self._parts)

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """The model's outputs for all rows, as NumPy arrays."""
        batches = self._batches("predict", x, None, (None, None), batch_size, False, steps)
        listeners = CallbackList(_callbacks(callbacks), self, {"verbose": 0, "steps": steps})
        listeners.tell("on_predict_begin", {})
        heard = any(listeners.methods[f"on_predict_batch_{word}"] for word in ("begin", "end"))
        outputs = predict("predict", self, batches, listeners if heard else None)
        listeners.tell("on_predict_end", {})
        if _verbosity(verbose):
            print(f"{batches.steps or '?'}/{batches.steps or '?'}")
        return outputs

    # --- one batch

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Mapping[Any, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """Takes one step; gives loss and metrics of all steps since the last `reset_metrics`."""
        self._need_compile("train_on_batch")
        batches = self._whole("train_on_batch", x, y, (sample_weight, class_weight))
        self._prepare(batches)
        task = self._task(batches, fresh=False)
        results = Run(task).train_on(next(iter(batches)))
        if overridden(self, "train_step"):
            return _given(results, return_dict)
        return self._tracked(results, batches.rows, return_dict)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Loss and metrics of a batch, and of those since the last `reset_metrics`."""
        self._need_compile("test_on_batch")
        batches = self._whole("test_on_batch", x, y, (sample_weight, None))
        self._try("test_on_batch", batches)
        results = self._measured("test_on_batch", batches, fresh=False)
        if overridden(self, "test_step"):
            return _given(results, return_dict)
        return self._tracked(results, batches.rows, return_dict)

    def _tracked(self, results: dict[str, Any], rows: int, return_dict: bool) -> Any:
        tracker = self._loss_tracker
        assert tracker is not None
        tracker.total += results["loss"] * rows
        tracker.count += rows
        return _given({**results, "loss": tracker.value()}, return_dict, self._parts)

    def predict_on_batch(self, x: Any) -> Any:
        """The model's outputs for the rows of one batch, as NumPy arrays."""
        return predict("predict_on_batch", self, self._whole("predict_on_batch", x, None, (None,)))

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The compiled loss of given predictions, with the model's penalties."""
        self._need_compile("compute_loss")
        assert self._compiled is not None
        if not self._compiled.built:
            self._compiled.build(y, y_pred, self.output_names)
        total = self._compiled.loss(y, y_pred, sample_weight, keep_parts=False)
        for loss in self.losses:
            total = loss if total is None else total + loss
        return total

    # --- checks and preparation

    def _need_compile(self, where: str) -> None:
        if self._compiled is None:
            raise ValueError(
                f"[{where}] {self.name}: expected a compiled model, got one that is not; call "
                "model.compile(optimizer, loss) first"
            )

    def _task(self, batches: Any, *args: Any, **kwargs: Any) -> KerasTask:
        """The training of these batches, by the model's own steps if it has any."""
        kind = OwnSteps if overridden(self, "train_step") else KerasTask
        return kind(self, batches, self.optimizer, *args, **kwargs)

    def _measured(self, where: str, batches: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Loss and metrics on these batches, by the model's own steps if it has any."""
        found = measure_steps if overridden(self, "test_step") else measure
        return found(where, self, batches, *args, **kwargs)

    def _arrays(
        self, where: str, parts: Any, size: Any, shuffle: bool, limit: int | None
    ) -> data.ArrayBatches:
        """Batches of x, y and the weights of rows, all of them structures of Rows."""
        rows = data.SIZE if size is None else positive_int(where, "batch_size", size)
        steps = None if limit is None else positive_int(where, "steps", limit)
        x, y, weight = parts
        return data.ArrayBatches(where, x, y, weight, rows, bool(shuffle), steps)

    def _rows(self, where: str, x: Any, y: Any, weights: tuple[Any, ...]) -> tuple[Any, Any, Any]:
        """x, y and the weights of rows as structures of Rows."""
        if x is None:
            raise ValueError(f"[{where}] x: expected data, got None")
        weight, classes = (*weights, None)[:2]
        if weight is not None and classes is not None:
            raise ValueError(
                f"[{where}] expected class_weight or sample_weight, got both at the same time"
            )
        if classes is not None:
            weight = data.class_weights(where, y, classes)
        return (
            map_structure(_with_features, data.structured(where, "x", x, self._dtype)),
            data.structured(where, "y", y, self._dtype),
            data.structured(where, "sample_weight", weight, self._dtype),
        )

    def _split(self, x: Any, y: Any, weights: tuple[Any, ...], share: float) -> tuple[Any, Any]:
        if data.is_batches(x):
            raise ValueError(
                f"[fit] validation_split: expected arrays to split, got {type(x).__name__}; use "
                "validation_data"
            )
        return data.split("fit", self._rows("fit", x, y, weights), share)

    def _batches(
        self, where: str, x: Any, y: Any, weights: tuple[Any, ...], size: Any, shuffle: bool,
        limit: int | None,
    ) -> Any:  # fmt: skip
        if not data.is_batches(x):
            parts = self._rows(where, x, y, weights)
            return self._arrays(where, parts, size, shuffle, limit)
        if y is not None:
            raise ValueError(
                f"[{where}] y: expected None, as {type(x).__name__} gives batches of x and y, got "
                f"{type(y).__name__}"
            )
        classes = (*weights, None)[1]

        def convert(item: Any) -> Batch:
            a, b, c = data.unpack(item)
            return self._whole(where, a, b, (c, classes)).all()

        steps = None if limit is None else positive_int(where, "steps", limit)
        return data.GivenBatches(x, steps, convert)

    def _whole(self, where: str, x: Any, y: Any, weights: tuple[Any, ...]) -> data.ArrayBatches:
        rows = self._rows(where, x, y, weights)
        return self._arrays(where, rows, len(flatten(rows[0])[0]), False, None)

    def _try(self, where: str, batches: Any, step: str = "test_step") -> None:
        """Runs the first rows: builds model and metrics, and raises where things do not fit."""
        try:
            self._run_first(where, batches, step)
        except ShapeError as error:
            if isinstance(batches, data.ArrayBatches) and batches.rows > _SAMPLE:
                error.args = (f"{error}; shapes of the first {_SAMPLE} of {batches.rows} rows",)
            raise

    def _run_first(self, where: str, batches: Any, step: str) -> None:
        assert self._compiled is not None
        if isinstance(batches, data.ArrayBatches):
            batch = batches.batch(0, min(_SAMPLE, batches.rows))
        else:
            batch = batches.peek()
        own = overridden(self, step)
        if own and all(layer.built for layer in self.flat_layers()[1:]):
            return  # what fits such a step, it says itself
        with evaluating(self), no_grad():  # type: ignore[arg-type]
            if own:
                self(batch.x)  # type: ignore[operator]
                return
            prediction = call_model(where, self, batch.x)
            if not self._compiled.built:
                self._compiled.build(batch.target, prediction, self.output_names)
                warn_of_losses(self, self._compiled.losses)
            self._compiled.loss(batch.target, prediction, batch.weight, keep_parts=False)
            if isinstance(batches, data.ArrayBatches):
                self._compiled.check_labels(batches.y, prediction)

    def _prepare(self, batches: Any) -> None:
        """Builds what is not built yet, by a first batch; all numbers must be finite."""
        if isinstance(batches, data.ArrayBatches):
            given = (("x", batches.x), ("y", batches.y), ("sample_weight", batches.weight))
            for name, rows in given:
                for leaf in flatten(rows):
                    if leaf is not None:
                        leaf.check_finite("fit", name)
            data.check_weights("fit", batches.weight)
        self._try("fit", batches, "train_step")
        learned = self.trainable_weights
        if not learned:
            raise ValueError(f"[fit] {self.name}: expected at least one weight to learn, got none")
        self.optimizer.build(learned)


# --- arguments ------------------------------------------------------------------------------------


def _with_features(rows: Any) -> Any:
    """Rows of single numbers as rows of one feature."""
    if rows is None or rows.shape != ():
        return rows
    return replace(rows, shape=(1,))


def _validation_parts(given: Any) -> tuple[Any, Any, Any]:
    if data.is_batches(given):
        return given, None, None
    if not isinstance(given, (tuple, list)) or len(given) not in (1, 2, 3):
        raise ValueError(
            "[fit] validation_data: expected (x, y), (x, y, sample_weight) or batches, got "
            f"{type(given).__name__}"
        )
    parts = [*given, None, None]
    return parts[0], parts[1], parts[2]


def _verbosity(verbose: Any) -> int:
    if verbose == "auto":
        return 1
    if verbose in (0, 1, 2):
        return int(verbose)
    raise ValueError(f"[keras] verbose: expected 'auto', 0, 1 or 2, got {verbose!r:.60}")


def _callbacks(given: Any, in_fit: bool = False) -> list[Any]:
    """Keras' callbacks, and in `fit` those of `rv.callbacks`."""
    if given is None:
        return []
    items = list(given) if isinstance(given, (list, tuple)) else [given]
    for item in items:
        if not isinstance(item, type) and (is_of_keras(item) or (in_fit and _is_own(item))):
            continue
        hint = f"; write {item.__name__}()" if isinstance(item, type) else ""
        if _is_own(item):
            hint = "; one of rv.callbacks listens to fit alone"
        raise TypeError(
            "[keras] callbacks: expected objects of keras.callbacks.Callback"
            f"{' or rv.Callback' * in_fit}, got {item!r:.60}{hint}"
        )
    check_files("keras", items)
    return items


def _is_own(item: Any) -> bool:
    return isinstance(item, Callback)


def _no_more(where: str, kwargs: dict[str, Any]) -> None:
    for key in kwargs:
        raise ValueError(f"[{where}] expected the arguments of Keras' {where}, got {key!r}")


def _given(results: dict[str, Any], as_dict: bool, parts: int = 0) -> Any:
    """Results by name, or as a list in Keras' order: losses first, then metrics by their names."""
    if as_dict:
        return results
    losses = list(results)[: 1 + parts]
    found = [results[name] for name in [*losses, *sorted(set(results) - set(losses))]]
    return found[0] if len(found) == 1 else found
