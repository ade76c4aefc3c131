"""Metrics: numbers that are reported and never trained on.

A metric takes the model's output and the target of some rows and gives one number. Those with a
name are counted over all rows of an epoch; functions of the user's are averaged over its batches.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from ranvier import _C
from ranvier._C import Tensor
from ranvier.training import meters
from ranvier.training.errors import look_up
from ranvier.training.meters import Function, MeanOfBatches, like


class Meter(Protocol):
    """Counts batch by batch what a metric needs, and gives its value at the end."""

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Add the rows of a batch."""

    def result(self) -> float:
        """The value for all rows that were added."""

    def state_dict(self) -> dict[str, Any]:
        """What was counted so far, for a checkpoint."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from what `state_dict` gave."""


@dataclass(frozen=True)
class Metric:
    """A function with the name under which its value is kept, or a maker of counters."""

    name: str
    function: Function | None = None
    fraction: bool = False  # print it in per cent
    meter: Callable[[], Meter] | None = None

    def start(self) -> Meter:
        """A fresh counter."""
        if self.meter is not None:
            return self.meter()
        assert self.function is not None
        return MeanOfBatches(self.function, self.name)

    def __call__(self, prediction: Tensor, target: Tensor) -> float:
        meter = self.start()
        meter.update(prediction, target)
        return meter.result()


def accuracy(prediction: Tensor, target: Tensor, border: float = 0.5) -> float:
    """Share of rows that are right.

    With several outputs the largest one counts, and the target holds labels, or one-hot rows in
    the shape of the outputs; with one output, `border` parts the two answers.

    Parameters
    ----------
    prediction : Tensor, (N, C) or (N, 1) or (N,)
    target : Tensor, (N,) or (N, 1), or as `prediction`
    border : float
        0.5 for probabilities, 0 for scores that a loss makes probabilities of.

    Returns
    -------
    float
        0 to 1.
    """
    right, total = _right(border, prediction, target)
    return right / max(total, 1)


def _right(border: float, prediction: Tensor, target: Tensor) -> tuple[int, int]:
    said, right, _ = meters.answers(prediction, target, border, "accuracy")
    return int((said == right).sum().item()), said.numel()


def top_k(k: int, prediction: Tensor, target: Tensor) -> tuple[int, int]:
    """How many rows have their label among the `k` largest outputs, and how many rows there are."""
    if prediction.ndim != 2:
        raise _C.ShapeError(
            f"[top_{k}_accuracy] model: expected an output (rows, classes), got {prediction.shape}"
        )
    labels = meters.labels_of(target, prediction).reshape(prediction.shape[0], 1)
    above = (prediction > prediction.gather(1, labels.long())).sum(1)
    return int((above < k).sum().item()), prediction.shape[0]


def TopK(k: int = 5) -> Metric:  # noqa: N802  made like an object, named like one
    """The metric `top_{k}_accuracy`: how often the label is among the `k` largest outputs.

    Examples
    --------
    >>> import ranvier as rv
    >>> from ranvier.training.metrics import TopK
    >>> TopK(2)(rv.tensor([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]]), rv.tensor([1, 2]))
    0.5
    """
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise ValueError(f"[TopK] k: expected a whole number of 1 or more, got {k!r:.60}")
    count = functools.partial(top_k, k)
    return Metric(f"top_{k}_accuracy", fraction=True, meter=lambda: meters.Share(count))


def mse(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean of the squared differences."""
    target = like(target, prediction, "mse")
    if target.dtype is not prediction.dtype:
        target = _C.ops.cast(target, prediction.dtype)
    return _C.ops.mse_loss(prediction, target)


def mae(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean of the absolute differences."""
    return (prediction - like(target, prediction, "mae")).abs().mean()


def _named(border: float) -> dict[str, Metric]:
    """The metrics that have a name; `border` parts two answers of one output."""

    def confusion(what: str) -> Metric:
        return Metric(what, fraction=True, meter=lambda: meters.Confusion(what, border))

    right = functools.partial(_right, border)
    return {
        "accuracy": Metric("accuracy", fraction=True, meter=lambda: meters.Share(right)),
        "precision": confusion("precision"),
        "recall": confusion("recall"),
        "f1": confusion("f1"),
        "auc": Metric("auc", meter=meters.Area),
        "mse": Metric("mse", mse),
        "mae": Metric("mae", mae),
        "rmse": Metric("rmse", meter=lambda: meters.RootMean(mse)),
        "r2": Metric("r2", meter=meters.Explained),
    }


def resolve(where: str, metrics: Any, border: float = 0.5) -> tuple[Metric, ...]:
    """Metrics from names, functions, or a list of both."""
    items = metrics if isinstance(metrics, Iterable) and not isinstance(metrics, str) else [metrics]
    result = tuple(_resolve_one(where, item, border) for item in items)
    names = ["loss", *(metric.name for metric in result)]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"[{where}] metrics: expected every name once, got {name!r:.60} twice")
    return result


def _resolve_one(where: str, item: Any, border: float) -> Metric:
    if isinstance(item, Metric):
        return item
    table = _named(border)
    if isinstance(item, str):
        top = re.fullmatch(r"top_?([1-9]\d*)(_accuracy)?", item.lower())
        return TopK(int(top[1])) if top else look_up(f"[{where}] metrics", item, table)
    if callable(item) and not isinstance(item, type):
        return Metric(getattr(item, "__name__", type(item).__name__), item)
    raise TypeError(
        f"[{where}] metrics: expected names ({', '.join(table)}, top_5_accuracy) or functions of "
        f"prediction and target, got {item!r:.60}"
    )
