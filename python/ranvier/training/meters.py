"""Counters behind the metrics: they add batches up and give the value for all rows, exactly.

What can be counted is counted; only the area under a curve keeps the scores themselves.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ranvier import _C
from ranvier._C import Tensor

if TYPE_CHECKING:
    import numpy.typing as npt

Function = Callable[[Tensor, Tensor], Any]


def like(target: Tensor, prediction: Tensor, name: str) -> Tensor:
    """The target in the shape of the prediction; never broadcast."""
    if target.shape == prediction.shape:
        return target
    if target.shape[:1] != prediction.shape[:1] or target.numel() != prediction.numel():
        raise _C.ShapeError(
            f"[{name}] target: expected {prediction.shape}, the shape of the model's output, "
            f"got {target.shape}"
        )
    return target.reshape(*prediction.shape)


def labels_of(target: Tensor, prediction: Tensor) -> Tensor:
    """Labels, one a row, from labels in either shape or from one-hot rows."""
    if target.shape == prediction.shape:
        return target.argmax(1)
    if target.ndim == 2 and target.shape[1] == 1:
        return target.reshape(target.shape[0])
    return target


def answers(
    prediction: Tensor, target: Tensor, border: float, name: str
) -> tuple[Tensor, Tensor, int]:
    """What the model says and what is right, as labels, and how many classes there are.

    With several outputs the largest one counts, with one `border` parts the two answers.
    """
    if prediction.ndim > 1 and prediction.shape[1] > 1:
        said, right, classes = (
            prediction.argmax(1),
            labels_of(target, prediction),
            prediction.shape[1],
        )
    else:
        said, right = prediction >= border, like(target, prediction, name) >= 0.5
        classes = 2
    if said.shape != right.shape:
        raise _C.ShapeError(
            f"[{name}] target: expected {said.shape} labels for outputs of shape "
            f"{prediction.shape}, got {target.shape}"
        )
    return said, right, int(classes)


class Counter:
    """What counters have in common: what they count can be kept, and they go on from it."""

    counted: ClassVar[tuple[str, ...]] = ()

    def state_dict(self) -> dict[str, Any]:
        """What was counted so far: numbers, arrays, and lists of arrays."""
        return {name: getattr(self, name) for name in self.counted}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from what `state_dict` gave, arrays perhaps as tensors."""
        for name in self.counted:
            setattr(self, name, _arrays(state[name]))


def _arrays(value: Any) -> Any:
    if isinstance(value, list):
        return [_arrays(one) for one in value]
    return value.numpy() if isinstance(value, Tensor) else value


class MeanOfBatches(Counter):
    """The mean of what a function says of each batch, weighted by rows."""

    counted = ("total", "rows")

    def __init__(self, function: Function, name: str = "") -> None:
        self.function, self.name = function, name
        self.total, self.rows = 0.0, 0

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Add a batch."""
        rows = prediction.shape[0]
        self.total += self.number(self.function(prediction, target)) * rows
        self.rows += rows

    def number(self, value: Any) -> float:
        """What the function gave, which a user may have written."""
        try:
            return float(value.item() if isinstance(value, Tensor) else value)
        except (TypeError, ValueError, RuntimeError):
            shape = getattr(value, "shape", None)
            got = type(value).__name__ if shape is None else f"shape {tuple(shape)}"
            raise TypeError(
                f"[fit] metrics: {self.name}: expected a function of prediction and target that "
                f"returns one number, got {got}"
            ) from None

    def result(self) -> float:
        """The mean so far."""
        return self.total / max(self.rows, 1)


class RootMean(MeanOfBatches):
    """The square root of such a mean."""

    def result(self) -> float:
        return math.sqrt(super().result())


class Share(Counter):
    """How many of all are right: a function counts those of a batch, and how many there are."""

    counted = ("right", "all")

    def __init__(self, count: Callable[[Tensor, Tensor], tuple[int, int]]) -> None:
        self.count = count
        self.right = self.all = 0

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Add a batch."""
        right, total = self.count(prediction, target)
        self.right += right
        self.all += total

    def result(self) -> float:
        """The share so far."""
        return self.right / max(self.all, 1)


class Confusion(Counter):
    """Counts of what was said for what was right, from which precision, recall and F1 follow.

    With two classes the value is that of class 1, with more the plain mean over the classes that
    occur in the targets or the answers. A class that nobody said has precision 0.
    """

    counted = ("counts",)

    def __init__(self, what: str, border: float) -> None:
        self.what, self.border = what, border
        self.counts: npt.NDArray[np.int64] | None = None

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Add a batch."""
        said, right, classes = answers(prediction, target, self.border, self.what)
        pairs = right.numpy().astype(np.int64) * classes + said.numpy().astype(np.int64)
        counts = np.bincount(pairs.ravel(), minlength=classes * classes)
        counts = counts.reshape(classes, classes)
        self.counts = counts if self.counts is None else self.counts + counts

    def result(self) -> float:
        """The value so far."""
        if self.counts is None:
            return 0.0
        hits, said, right = np.diag(self.counts), self.counts.sum(0), self.counts.sum(1)
        over, under = {
            "precision": (hits, said),
            "recall": (hits, right),
            "f1": (2 * hits, said + right),
        }[self.what]
        each = over / np.maximum(under, 1)
        return float(each[1] if len(each) == 2 else each[(said + right) > 0].mean())


class Area(Counter):
    """Area under the ROC curve: how often a row of class 1 scores above one of class 0.

    Hanley and McNeil, 1982; equal scores count one half. NaN where there is one class only.
    """

    counted = ("scores", "labels")

    def __init__(self) -> None:
        self.scores: list[npt.NDArray[np.float64]] = []
        self.labels: list[npt.NDArray[np.bool_]] = []

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Add a batch."""
        scores = prediction.numpy().astype(np.float64)
        if scores.ndim > 1 and scores.shape[1] == 2:
            right, scores = labels_of(target, prediction).numpy() == 1, scores[:, 1] - scores[:, 0]
        elif scores.ndim == 1 or scores.shape[1] == 1:
            right = like(target, prediction, "auc").numpy() >= 0.5
        else:
            raise _C.ShapeError(f"[auc] model: expected one output, or two, got {prediction.shape}")
        self.scores.append(scores.ravel())
        self.labels.append(right.ravel())

    def result(self) -> float:
        """The area of all rows so far."""
        scores, right = np.concatenate(self.scores), np.concatenate(self.labels)
        zeros, ones = np.sort(scores[~right]), scores[right]
        if not zeros.size or not ones.size:
            return math.nan
        below = np.searchsorted(zeros, ones, "left") + np.searchsorted(zeros, ones, "right")
        return float(below.sum()) / (2 * zeros.size * ones.size)


class Explained(Counter):
    """R^2: 1 - sum((t - x)^2) / sum((t - mean(t))^2), the mean over outputs.

    Sums of squares about a mean are merged as by Chan, Golub and LeVeque, 1979. NaN where all
    targets are equal.
    """

    counted = ("rows", "mean", "spread", "missed")

    def __init__(self) -> None:
        self.rows = 0
        self.mean: Any = 0.0
        self.spread: Any = 0.0
        self.missed: Any = 0.0

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Add a batch."""
        rows = prediction.shape[0]
        if not rows:
            return
        right = like(target, prediction, "r2").numpy().astype(np.float64).reshape(rows, -1)
        missed = right - prediction.numpy().astype(np.float64).reshape(rows, -1)
        mean, total = right.mean(0), self.rows + rows
        between = (mean - self.mean) ** 2 * (self.rows * rows / total)
        self.spread = self.spread + ((right - mean) ** 2).sum(0) + between
        self.mean = self.mean + (mean - self.mean) * (rows / total)
        self.missed = self.missed + (missed**2).sum(0)
        self.rows = total

    def result(self) -> float:
        """The value so far."""
        if not self.rows:
            return math.nan
        with np.errstate(divide="ignore", invalid="ignore"):
            each = 1 - self.missed / np.where(self.spread > 0, self.spread, np.nan)
        return float(each.mean())
