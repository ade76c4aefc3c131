"""From data as they came to batches: checks, the split, weights of rows, and fitted layers.

Whatever raises here leaves the model, the generator and the caller's data as they were.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from ranvier import _C, optim
from ranvier._C import ShapeError, Tensor
from ranvier._grad import no_grad
from ranvier._random import checked_seed, randint
from ranvier.data.preprocess import Preprocessor, leading
from ranvier.data.split import rows_aside
from ranvier.nn import Module
from ranvier.training import diagnosis, inputs, loaders, losses, row_weights
from ranvier.training import metrics as metric_names
from ranvier.training.batches import Batch, Batches, RowBatches, Step
from ranvier.training.errors import warn
from ranvier.training.evaluation import forward, measure, outputs
from ranvier.training.inputs import Rows, SparseRows
from ranvier.training.modes import evaluating
from ranvier.training.penalties import Penalties
from ranvier.training.task import Task

_SAMPLE = 32  # rows that are tried out before training begins
_PART = 4096  # rows looked at together
_VALIDATION_BATCH = 256
_SCALES = 100.0  # how far the scales of columns may differ without a word

Weights = Any  # an array of float64, or None


@dataclass(frozen=True)
class Given:
    """Data as they came."""

    X: Any
    y: Any
    validation: Any
    sample_weight: Any
    class_weight: Any


@dataclass(frozen=True)
class How:
    """How rows become batches."""

    batch_size: int | None
    accumulate: int
    shuffle: bool
    generator: _C.Generator


@dataclass(frozen=True)
class Others:
    """Rows that are measured and not trained on."""

    X: Rows
    y: Rows
    weight: Tensor | None = None


class FitTask(Task):
    """A task of `fit`: batches, other rows to measure after every epoch, and penalties."""

    def __init__(
        self,
        model: Module,
        batches: Batches,
        loss: losses.Loss,
        optimizer: optim.Optimizer,
        epochs: int,
        metrics: tuple[metric_names.Metric, ...],
        validation: Others | loaders.LoaderBatches | None,
        penalties: Penalties,
        seed: int,
    ) -> None:
        super().__init__(model, batches, loss, optimizer, epochs, metrics=metrics, seed=seed)
        self.validation, self.penalties = validation, penalties

    @functools.cached_property
    def trained(self) -> list[Tensor]:
        """The parameters that have gradients."""
        return [p for p in self.model.parameters() if p.requires_grad]

    def likeness(self) -> tuple[Any, ...]:
        ours = self.penalties
        penalties = ours.l1, ours.l2, ours.max_norm, ours.clip_norm
        return self.optimizer, self.loss.function, *penalties

    def prepare_step(self, step: Step) -> None:
        if isinstance(self.batches, loaders.LoaderBatches):
            for batch in step:
                self.batches.settle(batch)

    def rows_in_memory(self) -> RowBatches | None:
        batches = self.batches
        if type(batches) is not RowBatches:
            return None
        return batches if batches.X.by_numbers and batches.y.by_numbers else None

    def is_settled(self, step: Step) -> bool:
        loaded = isinstance(self.batches, loaders.LoaderBatches)
        return not loaded or all(batch.given is not None for batch in step)

    def forward(self, batch: Batch) -> Tensor:
        prediction: Tensor = super().forward(batch)
        if isinstance(self.batches, loaders.LoaderBatches):
            self.batches.settle(batch, prediction.detach())
        return prediction

    def penalty(self) -> Tensor | None:
        return self.penalties.loss()

    def limit_gradients(self) -> None:
        self.penalties.limit(self.trained, self.optimizer)

    def after_update(self) -> None:
        self.penalties.apply(self.optimizer)

    def sources(self) -> list[Any]:
        given = (self.batches, self.validation)
        return [one.loader for one in given if isinstance(one, loaders.LoaderBatches)]

    @property
    def validates(self) -> bool:
        return self.validation is not None

    def validate(self) -> dict[str, float]:
        if isinstance(self.validation, loaders.LoaderBatches):
            prediction, target, weight = loaders.collect(self.where, self.model, self.validation)
        else:
            assert self.validation is not None
            others = self.validation
            prediction = outputs(self.where, self.model, others.X, _VALIDATION_BATCH)
            target, weight = others.y.all(), others.weight
        return measure(self.where, self.loss, self.metrics, prediction, target, weight)


# --- what is refused at once ----------------------------------------------------------------------


def check_weights(model: Module) -> None:
    """A ValueError where the model is already spoiled."""
    found = diagnosis.bad_parameter(model)
    if found:
        raise ValueError(
            f"[fit] model: {found[0]}: expected finite numbers, got "
            f"{diagnosis.describe(found[1])}; make the model anew or load its weights"
        )


def refuse_batch_norm(model: Module) -> None:
    """A ValueError where gradients of several batches are not those of a larger one."""
    for name, module in model.named_modules():
        if type(module).__name__.startswith(("BatchNorm", "BatchNormalization")):
            raise ValueError(
                f"[fit] accumulate: expected a model without batch norm, got {name or 'model'} "
                f"({type(module).__name__}), whose statistics are those of each batch; use a "
                "larger batch_size, or LayerNorm"
            )


def generator(seed: Any) -> _C.Generator:
    """The generator of a seed, or the default one."""
    return _C.default_generator() if seed is None else _C.Generator(checked_seed("fit", seed))


def key_of(seed: Any) -> int:
    """What dropout is keyed by: the seed, or a number drawn from the default generator."""
    number = randint(0, 2**62, (1,)).item() if seed is None else checked_seed("fit", seed)
    return int(number) % 2**63


# --- from data to batches -------------------------------------------------------------------------


@contextmanager
def prepared(
    model: Module,
    given: Given,
    how: How,
    loss: losses.Loss,
    measures: tuple[metric_names.Metric, ...],
) -> Iterator[Callable[[], tuple[Batches, Others | loaders.LoaderBatches | None]]]:
    """Data, checked; the function draws the split and gives the batches.

    Layers that were fitted on the way are not fitted any more if something raises before the end.
    """
    fresh = [layer for layer in leading(model) if not layer.fitted]
    try:
        yield _Preparation(model, given, how, loss, measures).batches
    except BaseException:
        for layer in fresh:
            layer.forget()
        raise


class _Preparation:
    """The data of one call of `fit`."""

    def __init__(
        self,
        model: Module,
        given: Given,
        how: How,
        loss: losses.Loss,
        measures: tuple[metric_names.Metric, ...],
    ) -> None:
        self.model, self.how, self.loss, self.measures = model, how, loss, measures
        self.layers = leading(model)
        self.validation: Others | loaders.LoaderBatches | None = None
        self.aside = 0
        self.loader: loaders.LoaderBatches | None = None
        unpacked = loaders.arrays_of(given.X) if given.y is None else None
        if unpacked is not None:
            X, y, weight = unpacked
            weight = _one("sample_weight", given.sample_weight, weight)
            given = Given(X, y, given.validation, weight, given.class_weight)
        elif given.y is None and loaders.is_source(given.X):
            self.from_loader(given)
            return
        self.from_arrays(given)

    def from_loader(self, given: Given) -> None:
        """Batches that somebody else makes; what they hold is checked when they come."""
        for name in ("sample_weight", "class_weight"):
            if getattr(given, name) is not None:
                raise ValueError(
                    f"[fit] {name}: expected None beside a DataLoader or Dataset, which gives the "
                    f"weights of rows as a third tensor, got {type(getattr(given, name)).__name__}"
                )
        how = self.how
        self.loader = loaders.LoaderBatches(
            "fit",
            given.X,
            self.model,
            self.loss,
            how.batch_size,
            how.accumulate,
            how.shuffle,
            how.generator,
        )
        for layer in self.layers:
            if not layer.fitted:
                raise ValueError(
                    f"[fit] model: expected {type(layer).__name__} to be fitted before it is given "
                    "a DataLoader or Dataset; call its fit(X) with training rows"
                )
        if isinstance(given.validation, float):
            raise ValueError(
                "[fit] validation: expected (X, y), a DataLoader or a Dataset beside a DataLoader, "
                f"got {given.validation!r:.60}; utils.data.random_split parts a Dataset"
            )
        self.other_rows(given.validation)

    def from_arrays(self, given: Given) -> None:
        """Rows in memory."""
        if given.y is None:
            raise TypeError("[fit] y: expected one target for each row of X, got None")
        self.X = inputs.data("fit", "X", given.X, self.model)
        answers = inputs.rows("fit", "y", given.y)
        inputs.check_lengths("fit", self.X, answers)
        self.check_finite("X", self.X)
        count = len(self.X)
        kept = self.X
        if isinstance(given.validation, (float, np.floating, int, str)):
            self.aside = rows_aside(
                "fit", "validation", given.validation, count, ", or a pair (X, y)"
            )
            kept = self.X.only(self.split(clone_of(self.how.generator.state))[0])
        self.fit_layers(kept)
        self.y = self.try_out("X", "y", self.X, answers)
        self.weigh(given)
        if not self.aside:
            self.other_rows(given.validation)
        self.remarks(kept)

    def check_finite(self, name: str, X: Rows) -> None:
        """Refuse what is not finite, unless a layer at the front takes care of it."""
        if not any(layer.takes_nan for layer in self.layers):
            X.check_finite("fit", name)

    def fit_layers(self, X: Rows) -> None:
        """Fit the layers at the front that are not fitted, each on what the ones before give."""
        numbers = X.numbers()
        for place, layer in enumerate(self.layers):
            if layer.fitted:
                continue
            before = self.layers[:place]
            parts = (
                _through(before, X.batch(start, min(start + _PART, len(X)), numbers))
                for start in range(0, len(X), _PART)
            )
            layer.learn(parts)

    def try_out(self, X_name: str, y_name: str, X: Rows, y: Tensor) -> Rows:
        """Targets as the loss takes them, given what the model makes of the first rows."""
        with evaluating(self.model), no_grad():
            sample = X.own_batch(0, min(_SAMPLE, len(X)), None)
            prediction = forward("fit", self.model, sample)
            targets = inputs.targets("fit", y_name, y, prediction, self.loss)
            for metric in self.measures:
                metric(prediction, targets.own_batch(0, sample.shape[0], None))
        return targets

    def other_rows(self, validation: Any) -> None:
        """Validation rows that are no part of the training rows."""
        if validation is None:
            return
        unpacked = loaders.arrays_of(validation)
        if unpacked is not None:
            validation = tuple(part for part in unpacked if part is not None)
        elif loaders.is_source(validation):
            self.validation = loaders.LoaderBatches(
                "fit", validation, self.model, self.loss, _VALIDATION_BATCH, 1, False
            )
            return
        if not isinstance(validation, (tuple, list)) or len(validation) not in (2, 3):
            raise ValueError(
                "[fit] validation: expected a fraction between 0 and 1, a pair (X, y) or a "
                f"DataLoader, got {validation!r:.60}"
            )
        if validation[1] is None:
            raise TypeError("[fit] validation y: expected one target for each row of X, got None")
        X = inputs.data("fit", "validation X", validation[0], self.model)
        answers = inputs.rows("fit", "validation y", validation[1])
        inputs.check_lengths("fit", X, answers, "validation X and validation y")
        self.check_finite("validation X", X)
        try:
            y = self.try_out("validation X", "validation y", X, answers)
        except ShapeError as error:
            if "validation" not in str(error):
                error.args = (f"{error}; these rows are those of `validation`",)
            raise
        weight = None
        if len(validation) == 3:
            each = row_weights.of_samples("fit", "validation weight", validation[2], len(X))
            weight = row_weights.normalised("fit", each, X.dtype)
        self.validation = Others(X, y, weight)

    def weigh(self, given: Given) -> None:
        """What each row counts, if they do not all count the same."""
        self.samples: Weights = None
        self.weights: Weights = None
        count = len(self.X)
        if given.sample_weight is not None:
            self.samples = row_weights.of_samples(
                "fit", "sample_weight", given.sample_weight, count
            )
        if given.class_weight is not None:
            self.weights = row_weights.of_classes("fit", given.class_weight, self.y, self.loss)
        if self.samples is not None:
            self.weights = self.samples if self.weights is None else self.weights * self.samples
        if self.weights is None:
            return
        if self.loss.each is None:
            raise ValueError(
                f"[fit] loss: expected a loss of ranvier.nn beside weights of rows, got "
                f"{self.loss.name}, which does not give one number a row"
            )
        kept = self.weights
        if self.aside:
            kept = kept[self.split(clone_of(self.how.generator.state))[0].numpy()]
        row_weights.normalised("fit", kept, self.X.dtype)  # it refuses what is all zero

    def split(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Numbers of the rows to train on and of the last ones, after a shuffle if there is one."""
        total = len(self.X)
        if self.how.shuffle:
            order = _C.ops.permutation(state, total)
        else:
            order = _C.from_numpy(np.arange(total))
        return order[: total - self.aside], order[total - self.aside :]

    def batches(self) -> tuple[Batches, Others | loaders.LoaderBatches | None]:
        """The batches of the run, and what is measured beside them; draws the split."""
        if self.loader is not None:
            return self.loader, self.validation
        state = self.how.generator.state
        X, y, weights, validation = self.X, self.y, self.weights, self.validation
        if self.aside:
            kept, aside = self.split(state)
            weight = None
            if self.samples is not None and self.samples[aside.numpy()].any():
                weight = row_weights.normalised("fit", self.samples[aside.numpy()], X.dtype)
            validation = Others(X.only(aside), y.only(aside), weight)
            X, y = X.only(kept), y.only(kept)
            weights = None if weights is None else weights[kept.numpy()]
        each = None if weights is None else row_weights.normalised("fit", weights, X.dtype)
        how = self.how
        size = min(how.batch_size or len(X), len(X))
        random = state if how.shuffle else None
        return RowBatches(X, y, each, size, how.accumulate, random), validation

    # --- what is said, once

    def remarks(self, X: Rows) -> None:
        """Warn of data that train badly."""
        if len(self.y) > 1:
            self.compare_answers()
        first = next(iter(_after_preprocessors(self.model)), None)
        normal = any(layer.scales for layer in self.layers) or "Norm" in type(first).__name__
        if not normal and not isinstance(X, SparseRows) and len(X.shape) == 1:
            self.compare_scales(X)

    def compare_answers(self) -> None:
        """Warn where all rows have one answer; refuse labels of which none counts."""
        answers = self.y.tensor
        labels = self.loss.kind == "labels" and not answers.dtype.is_floating_point
        single = self.loss.kind in ("shares", "targets") and answers.numel() == len(answers)
        if not (labels or single):
            return
        present = np.unique(answers.numpy())
        if labels:
            present = losses.that_count("fit", self.loss, present)
        if len(present) == 1 and (labels or present[0] in (0, 1)):
            warn(
                f"[fit] y: expected at least two classes, got only class {present[0]:g} in "
                f"{len(answers)} rows; the model will learn to always give it"
            )

    def compare_scales(self, X: Rows) -> None:
        """Warn where the columns' ranges differ by more than a factor of 100; once a model."""
        if self.model.__dict__.get("_ranvier_scales_told"):
            return
        low, high = _ranges(X)
        width = high - low
        used = np.flatnonzero(width > 0)
        if len(used) < 2 or width[used].max() <= _SCALES * width[used].min():
            return
        small, large = used[width[used].argmin()], used[width[used].argmax()]
        names = X.columns or tuple(f"column {number}" for number in range(len(width)))
        object.__setattr__(self.model, "_ranvier_scales_told", True)
        warn(
            f"[fit] X: expected columns of similar scales, got {names[large]} from "
            f"{low[large]:.4g} to {high[large]:.4g} and {names[small]} from {low[small]:.4g} to "
            f"{high[small]:.4g}; put rv.data.Standardize() first in the model"
        )


def _one(name: str, first: Any, second: Any) -> Any:
    if first is not None and second is not None:
        raise ValueError(f"[fit] {name}: expected it once, got it as an argument and in the data")
    return second if first is None else first


def _through(layers: list[Preprocessor], rows: Tensor) -> Tensor:
    for layer in layers:
        rows = layer(rows)
    return rows


def clone_of(state: Tensor) -> Tensor:
    """A copy of a generator's state, to draw the same numbers twice."""
    return _C.ops.clone(state)


def _ranges(X: Rows) -> tuple[Any, Any]:
    """Smallest and largest number of each column."""
    numbers = X.numbers()
    lows, highs = [], []
    with no_grad():
        for start in range(0, len(X), _PART):
            part = X.batch(start, min(start + _PART, len(X)), numbers)
            lows.append(_C.ops.cast(_C.ops.amin(part, 0), _C.float64).numpy())
            highs.append(_C.ops.cast(_C.ops.amax(part, 0), _C.float64).numpy())
    return np.min(lows, 0).astype(np.float64), np.max(highs, 0).astype(np.float64)


def _after_preprocessors(model: Module) -> Iterator[Module]:
    """The layers of a chain that are no preprocessors, in their order."""
    for child in model.children() if type(model).__name__ == "Sequential" else [model]:
        if type(child).__name__ == "Sequential":
            yield from _after_preprocessors(child)
        elif not isinstance(child, Preprocessor) and type(child).__name__ != "Flatten":
            yield child
