"""Metrics: numbers that are reported and never trained on.

A metric takes the model's output and the target of some rows and gives one number. Over several
batches the numbers are averaged, weighted by rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from ranvier import _C
from ranvier._C import Tensor
from ranvier.training.errors import look_up

Function = Callable[[Tensor, Tensor], Any]


class Meter(Protocol):
    """Counts batch by batch what a metric needs, and gives its value at the end."""

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Add the rows of a batch."""

    def result(self) -> float:
        """The value for all rows that were added."""


class MeanOfBatches:
    """The mean of what a function says of each batch, weighted by rows."""

    def __init__(self, function: Function) -> None:
        self.function = function
        self.total, self.rows = 0.0, 0

    def update(self, prediction: Tensor, target: Tensor) -> None:
        value = self.function(prediction, target)
        rows = prediction.shape[0]
        self.total += float(value.item() if isinstance(value, Tensor) else value) * rows
        self.rows += rows

    def result(self) -> float:
        return self.total / max(self.rows, 1)


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
        return MeanOfBatches(self.function)

    def __call__(self, prediction: Tensor, target: Tensor) -> float:
        meter = self.start()
        meter.update(prediction, target)
        return meter.result()


def accuracy(prediction: Tensor, target: Tensor) -> float:
    """Share of rows that are right.

    With several outputs the largest one counts, and the target holds labels, or one-hot rows in
    the shape of the outputs; with one output, 0.5 is the border between the two answers.

    Parameters
    ----------
    prediction : Tensor, (N, C) or (N, 1) or (N,)
    target : Tensor, (N,) or (N, 1), or as `prediction`

    Returns
    -------
    float
        0 to 1.
    """
    if prediction.ndim > 1 and prediction.shape[1] > 1:
        answer = prediction.argmax(1)
        right = _labels(target, prediction)
    else:
        answer, right = prediction >= 0.5, _like(target, prediction, "accuracy") >= 0.5
    if answer.shape != right.shape:
        raise _C.ShapeError(
            f"[accuracy] target: expected {answer.shape} labels for outputs of shape "
            f"{prediction.shape}, got {target.shape}"
        )
    return float((answer == right).sum().item()) / max(answer.numel(), 1)


def _labels(target: Tensor, prediction: Tensor) -> Tensor:
    """Labels, one a row, from labels in either shape or from one-hot rows."""
    if target.shape == prediction.shape:
        return target.argmax(1)
    if target.ndim == 2 and target.shape[1] == 1:
        return target.reshape(target.shape[0])
    return target


def mse(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean of the squared differences."""
    return _C.ops.mse_loss(prediction, _like(target, prediction, "mse"))


def mae(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean of the absolute differences."""
    return (prediction - _like(target, prediction, "mae")).abs().mean()


def _like(target: Tensor, prediction: Tensor, name: str) -> Tensor:
    """The target in the shape of the prediction; never broadcast."""
    if target.shape == prediction.shape:
        return target
    if target.shape[:1] != prediction.shape[:1] or target.numel() != prediction.numel():
        raise _C.ShapeError(
            f"[{name}] target: expected {prediction.shape}, the shape of the model's output, "
            f"got {target.shape}"
        )
    return target.reshape(*prediction.shape)


_NAMED: dict[str, Metric] = {
    "accuracy": Metric("accuracy", accuracy, fraction=True),
    "mse": Metric("mse", mse),
    "mae": Metric("mae", mae),
}


def resolve(where: str, metrics: Any) -> tuple[Metric, ...]:
    """Metrics from names, functions, or a list of both."""
    items = metrics if isinstance(metrics, Iterable) and not isinstance(metrics, str) else [metrics]
    result = tuple(_resolve_one(where, item) for item in items)
    names = ["loss", *(metric.name for metric in result)]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"[{where}] metrics: expected every name once, got {name!r:.60} twice")
    return result


def _resolve_one(where: str, item: Any) -> Metric:
    if isinstance(item, Metric):
        return item
    if isinstance(item, str):
        return look_up(f"[{where}] metrics", item, _NAMED)
    if callable(item):
        return Metric(getattr(item, "__name__", type(item).__name__), item)
    raise TypeError(
        f"[{where}] metrics: expected names ({', '.join(_NAMED)}) or functions of prediction and "
        f"target, got {item!r:.60}"
    )
