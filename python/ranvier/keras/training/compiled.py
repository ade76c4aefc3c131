"""What `compile` was given, matched to a model's outputs: a loss, and metrics with their names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ranvier._C import Tensor, int64, ops
from ranvier.keras import losses as losses_of
from ranvier.keras import metrics as metrics_of
from ranvier.keras._names import near
from ranvier.keras.backend import to_tensor
from ranvier.keras.losses.functions import check_labels
from ranvier.keras.metrics.metric import Averaged, Mean, Metric
from ranvier.keras.tensors import flatten

_COUNTING = (
    metrics_of.Accuracy, metrics_of.BinaryAccuracy, metrics_of.CategoricalAccuracy,
    metrics_of.SparseCategoricalAccuracy, metrics_of.TopKCategoricalAccuracy,
    metrics_of.SparseTopKCategoricalAccuracy,
)  # fmt: skip


def _kind_of(y_true: Any, y_pred: Any) -> str:
    """What a target and an output are by their shapes: binary, sparse or categorical."""
    last = y_pred.shape[-1] if len(y_pred.shape) else 1
    if last == 1:
        return "binary"
    fewer = len(y_true.shape) < len(y_pred.shape)
    return "sparse" if fewer or y_true.shape[-1] == 1 else "categorical"


def resolve_loss(identifier: Any, y_true: Any, y_pred: Any) -> Any:
    """The loss of an output; "crossentropy" goes by the shapes."""
    if isinstance(identifier, str) and identifier.lower() in ("crossentropy", "ce"):
        prefix = {"binary": "binary", "sparse": "sparse_categorical", "categorical": "categorical"}
        identifier = f"{prefix[_kind_of(y_true, y_pred)]}_crossentropy"
    return losses_of.get(identifier)


def resolve_metric(identifier: Any, y_true: Any, y_pred: Any) -> Metric:
    """The metric of an output; "accuracy" and "crossentropy" go by the shapes."""
    name = identifier.lower() if isinstance(identifier, str) else ""
    ends = {"accuracy": "accuracy", "acc": "accuracy", "crossentropy": "crossentropy",
            "ce": "crossentropy"}  # fmt: skip
    if name in ends:
        prefix = {"binary": "binary", "sparse": "sparse_categorical", "categorical": "categorical"}
        metric: Metric = metrics_of.get(f"{prefix[_kind_of(y_true, y_pred)]}_{ends[name]}")
        metric.name = identifier
        return metric
    found: Metric = metrics_of.get(identifier)
    return found


def by_output(what: str, given: Any, count: int, names: list[str] | None) -> list[Any]:
    """What was given for each output: a list in their order, or a dict by their names."""
    if given is None:
        return [None] * count
    if isinstance(given, Mapping):
        if names is None or not set(given) <= set(names):
            wrong = [key for key in given if key not in (names or ())]
            raise ValueError(
                f"[compile] {what}: expected names of outputs out of {', '.join(names or [])}, got "
                f"{wrong[0]!r}{near(str(wrong[0]), names or [])}"
            )
        return [given.get(name) for name in names]
    if isinstance(given, (list, tuple)):
        if len(given) != count:
            raise ValueError(
                f"[compile] {what}: expected one for each of the {count} outputs, got {len(given)}"
            )
        return list(given)
    return [given] * count


class Compiled:
    """Loss and metrics of a model, matched to its outputs by a first batch.

    Parameters
    ----------
    loss, loss_weights, metrics, weighted_metrics
        As `compile` takes them.
    """

    def __init__(self, loss: Any, loss_weights: Any, metrics: Any, weighted_metrics: Any) -> None:
        self._given = (loss, loss_weights, metrics, weighted_metrics)
        self.given_loss = loss
        for name, value in (("metrics", metrics), ("weighted_metrics", weighted_metrics)):
            if value is not None and not isinstance(value, (list, tuple, dict)):
                raise ValueError(
                    f"[compile] {name}: expected a list or a dict, got {value!r:.60}; write "
                    f"{name}=[{value!r:.40}]"
                )
        # Names are checked at once, though what they mean may depend on the outputs.
        for leaf in flatten(loss):
            if leaf is not None and leaf not in ("crossentropy", "ce"):
                losses_of.get(leaf)
        for leaf in flatten([metrics, weighted_metrics]):
            if isinstance(leaf, str) and leaf.lower() not in (
                "accuracy", "acc", "crossentropy", "ce",
            ):  # fmt: skip
                metrics_of.get(leaf)
        self.built = False
        self.losses: list[Any] = []
        self.weights: list[float] = []
        self.measures: list[tuple[str, Metric, int, bool]] = []  # name, metric, output, weighted
        self.parts: list[tuple[str, Mean]] = []  # the losses of several outputs
        self.classes: list[int | None] = []  # of each output, once it was there
        self.part_losses: list[Tensor] = []  # theirs of a batch, until somebody takes them

    def build(self, y_true: Any, y_pred: Any, names: list[str] | None) -> None:
        """Matches everything to the outputs of a first batch."""
        loss, loss_weights, metrics, weighted = self._given
        preds = flatten(y_pred)
        if isinstance(y_pred, Mapping):
            names = list(y_pred)
        self._names = names
        trues = self.targets(y_true, len(preds))
        count = len(preds)
        single = count == 1 and not isinstance(loss, Mapping)
        given = [flatten(loss)[0] if flatten(loss) else None] if single else None
        chosen = given or by_output("loss", loss, count, names)
        pairs = list(zip(chosen, trues, preds, strict=True))
        self.losses = [None if li is None else resolve_loss(li, t, p) for li, t, p in pairs]
        scales = by_output("loss_weights", loss_weights, count, names)
        self.weights = [1.0 if w is None else float(w) for w in scales]
        self.classes = [None] * count
        self.measures = []
        for kind, is_weighted in ((metrics, False), (weighted, True)):
            for place, items in enumerate(self._metrics_by_output(kind, count)):
                for item in items:
                    metric = resolve_metric(item, trues[place], preds[place])
                    prefix = f"{names[place]}_" if count > 1 and names else ""
                    self._add(prefix, metric, place, is_weighted)
        self.parts = []
        if count > 1:
            for place, own in enumerate(self.losses):
                name = names[place] if names else f"output_{place}"
                if own is not None:
                    self.parts.append((f"{name}_loss", Mean()))
        self.built = True

    def _metrics_by_output(self, given: Any, count: int) -> list[list[Any]]:
        if not given:
            return [[]] * count
        if count == 1:
            return [flatten(given)]
        return [
            [] if items is None else flatten(items)
            for items in by_output("metrics", given, count, self._names)
        ]

    def _add(self, prefix: str, metric: Metric, place: int, weighted: bool) -> None:
        taken = {name for name, *_ in self.measures}
        name = f"{prefix}{metric.name}"
        if name in taken and weighted:
            name = f"{prefix}weighted_{metric.name}"
        number = 1
        while name in taken:
            name = f"{prefix}{metric.name}_{number}"
            number += 1
        self.measures.append((name, metric, place, weighted))

    def targets(self, y_true: Any, count: int) -> list[Any]:
        """The targets in the order of the outputs."""
        if isinstance(y_true, Mapping):
            names = self._names or list(y_true)
            missing = [name for name in names if name not in y_true]
            if missing and self._given[0] is not None and not isinstance(self._given[0], Mapping):
                raise ValueError(
                    f"[fit] y: expected targets of the names {', '.join(names)}, got "
                    f"{', '.join(y_true)}"
                )
            return [y_true.get(name) for name in names]
        flat = flatten(y_true)
        if y_true is None:
            if self._given[0] is not None:
                raise ValueError("[fit] y: expected targets, as the model has a loss, got None")
            return [None] * count
        if len(flat) != count:
            raise ValueError(f"[fit] y: expected targets for {count} outputs, got {len(flat)}")
        return flat

    def check_labels(self, y_true: Any, y_pred: Any) -> None:
        """A ValueError where some row has a label that the model has no output for."""
        preds = flatten(y_pred)
        for loss, rows, pred in zip(
            self.losses, self.targets(y_true, len(preds)), preds, strict=True
        ):
            sparse = isinstance(loss, losses_of.SparseCategoricalCrossentropy)
            if sparse and loss.options["ignore_class"] is None:
                labels = ops.cast(rows.tensor, int64)
                check_labels("sparse_categorical_crossentropy", labels, pred.shape[-1])

    # --- a batch

    @property
    def takes_labels_unseen(self) -> bool:
        """Whether all labels were looked at before the first step, where there are any."""
        return not any(
            isinstance(loss, losses_of.SparseCategoricalCrossentropy)
            and loss.options["ignore_class"] is not None
            for loss in self.losses
        )

    @property
    def adds_up(self) -> bool:
        """Whether many batches are one to all that is measured: counts of right answers."""
        return not self.parts and all(type(m) in _COUNTING for _, m, _, _ in self.measures)

    def known_labels(self, y_true: Any, seen: bool) -> tuple[int, ...]:
        """The numbers of classes that a batch's labels fit; () if one is not known from before.

        With `seen`, `check_labels` has looked at all rows before.

        Raises
        ------
        ValueError
            For a label that the model has no output for.
        """
        known = []
        for loss, labels, classes in zip(
            self.losses, self.targets(y_true, len(self.losses)), self.classes, strict=True
        ):
            if not isinstance(loss, losses_of.SparseCategoricalCrossentropy):
                continue
            if classes is None:
                return ()
            known.append(classes)
            ignored = loss.options["ignore_class"]
            if seen and ignored is None:
                continue
            labels = ops.cast(to_tensor(labels), int64)
            if ignored is not None:
                labels = ops.where(labels != ignored, labels, 0)
            check_labels("sparse_categorical_crossentropy", labels, classes)
        return tuple(known)

    def remember_classes(self, y_pred: Any) -> None:
        """How many classes each output has, where its loss takes labels."""
        for place, (loss, pred) in enumerate(zip(self.losses, flatten(y_pred), strict=True)):
            if isinstance(loss, losses_of.SparseCategoricalCrossentropy):
                self.classes[place] = pred.shape[loss.options["axis"]]

    def loss(self, y_true: Any, y_pred: Any, weight: Any, keep_parts: bool = True) -> Any:
        """The loss of a batch, all outputs together; None where there is no loss."""
        if isinstance(y_pred, Tensor) and len(self.losses) == 1:
            own = self.losses[0]
            if own is None:
                return None
            value = own(self.targets(y_true, 1)[0], y_pred, sample_weight=_single(weight))
            return value if self.weights[0] == 1 else value * self.weights[0]
        preds = flatten(y_pred)
        trues = self.targets(y_true, len(preds))
        total = None
        weights = self._weights(weight, len(preds))
        for own, scale, true, pred, rows in zip(
            self.losses, self.weights, trues, preds, weights, strict=True
        ):
            if own is None:
                continue
            value = own(true, pred, sample_weight=rows)
            if keep_parts:
                self.part_losses.append(value.detach())
            value = value if scale == 1 else value * scale
            total = value if total is None else total + value
        return total

    def taken_parts(self) -> list[Tensor]:
        """The losses of the single outputs in the batch before; given once."""
        taken, self.part_losses = self.part_losses, []
        return taken

    def add_parts(self, losses: list[Tensor], rows: int) -> None:
        """Adds these to the means over the epoch."""
        if losses:
            for (_, mean), loss in zip(self.parts, losses, strict=True):
                mean.total += float(loss.item()) * rows
                mean.count += rows

    def _weights(self, weight: Any, count: int) -> list[Any]:
        if weight is None:
            return [None] * count
        if isinstance(weight, Mapping):
            return [weight.get(name) for name in self._names or []]
        flat = flatten(weight)
        return flat if len(flat) == count else [flat[0]] * count

    def update(self, y_true: Any, y_pred: Any, weight: Any) -> None:
        """Takes a batch into all metrics."""
        preds = flatten(y_pred)
        trues = self.targets(y_true, len(preds))
        weights = self._weights(weight, len(preds))
        for _, metric, place, weighted in self.measures:
            if weighted:
                metric.update_state(trues[place], preds[place], sample_weight=weights[place])
            else:
                metric.update_state(trues[place], preds[place])

    def reset(self) -> None:
        """Metrics forget everything."""
        for _, metric, _, _ in self.measures:
            metric.reset_state()
        for _, mean in self.parts:
            mean.reset_state()

    def counter(self, name: str) -> Metric:
        """What gathers the number of a name."""
        for own, metric in (*self.parts, *((known, one) for known, one, *_ in self.measures)):
            if own == name:
                return metric
        raise KeyError(name)

    def results(self) -> dict[str, Any]:
        """The values of all metrics, by their names."""
        values: dict[str, Any] = {name: mean.value() for name, mean in self.parts}
        for name, metric, _, _ in self.measures:
            values[name] = number_of(name, metric)
        return values


def number_of(name: str, metric: Metric) -> Any:
    """A metric's value as Python's number; a list of them where it has several."""
    if isinstance(metric, Averaged):
        return metric.value()
    value = metric.result()
    if isinstance(value, Tensor):
        value = value.detach()
        return float(value.item()) if value.numel() == 1 else value.tolist()
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(
            f"[metrics] {name}: expected result() to give a number, got {type(value).__name__}"
        ) from None


def _single(weight: Any) -> Any:
    if isinstance(weight, (list, tuple, Mapping)):
        return flatten(weight)[0]
    return weight
