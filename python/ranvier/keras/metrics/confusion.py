"""Metrics of right and wrong answers at one or many thresholds: precision, recall, F1, AUC."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier._C import Tensor
from ranvier.keras.backend import epsilon, to_tensor
from ranvier.keras.losses.functions import matched
from ranvier.keras.metrics.metric import Metric

_MOST_THRESHOLDS = 1_000_000

Floats = npt.NDArray[np.float64]


def _ratio(above: Floats, below: Floats) -> Floats:
    """A quotient that is 0 where the divisor is."""
    return np.divide(above, below, out=np.zeros_like(above), where=below != 0)


def _arrays(where: str, y_true: Any, y_pred: Any, sample_weight: Any) -> tuple[Floats, ...]:
    y_true, y_pred = matched(where, y_true, y_pred)
    true, pred = (t.detach().numpy().astype(np.float64) for t in (y_true, y_pred))
    if sample_weight is None:
        return true, pred, np.ones_like(true)
    weight = sample_weight.numpy() if isinstance(sample_weight, Tensor) else sample_weight
    weight = np.asarray(weight, np.float64)
    weight = weight.reshape(*weight.shape, *(1,) * (true.ndim - weight.ndim))
    return true, pred, np.broadcast_to(weight, true.shape)


class Confusion(Metric):
    """Base class: counts of right and wrong answers at thresholds.

    Attributes
    ----------
    counts : array, (4, thresholds)
        True positives, false positives, true negatives, false negatives.
    """

    def __init__(self, thresholds: Sequence[float], name: str | None, dtype: Any) -> None:
        super().__init__(name=name, dtype=dtype)
        self.limits = np.asarray(thresholds, np.float64)
        self.reset_state()

    def reset_state(self) -> None:
        """Forgets everything."""
        self.counts: Floats = np.zeros((4, len(self.limits)))

    def gather(self, true: Floats, pred: Floats, weight: Floats) -> None:
        """Adds elements: `pred` above a threshold says yes."""
        # In the float32 of predictions, as a value on a threshold is not above it.
        limits = self.limits.astype(np.float32).astype(np.float64)
        order = np.argsort(limits, kind="stable")
        place = np.searchsorted(limits[order], pred.ravel(), side="left")
        yes = (true.ravel() != 0).astype(np.float64)
        sums = []
        for kind in (yes, 1 - yes):
            parts = np.bincount(place, (kind * weight.ravel()), minlength=len(limits) + 1)
            above = np.cumsum(parts[::-1])[::-1][1:]
            values = np.empty_like(above)
            values[order] = above
            sums.append((values, parts.sum() - values))
        (tp, fn), (fp, tn) = sums
        self.counts = self.counts + np.stack([tp, fp, tn, fn])


def _limits(name: str, thresholds: Any, default: float = 0.5) -> list[float]:
    limits = [default] if thresholds is None else np.atleast_1d(thresholds).tolist()
    if any(not 0 <= limit <= 1 for limit in limits):
        raise ValueError(f"[{name}] thresholds: expected numbers from 0 to 1, got {limits}")
    return limits


class _Share(Confusion):
    """Precision and recall: what both take."""

    def __init__(
        self,
        thresholds: Any = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        # Among the k largest, all count as a yes.
        default = -np.inf if top_k is not None else 0.5
        limits = [default] if thresholds is None else _limits(type(self).__name__, thresholds)
        super().__init__(limits, name or type(self).__name__.lower(), dtype)
        self.thresholds, self.top_k, self.class_id = thresholds, top_k, class_id

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Takes a batch in."""
        true, pred, weight = _arrays(self.name, y_true, y_pred, sample_weight)
        if self.top_k is not None:
            # The first of equal values comes first, as in a stable sort.
            order = np.argsort(-pred, axis=-1, kind="stable")
            kept = np.zeros_like(pred, dtype=bool)
            np.put_along_axis(kept, order[..., : self.top_k], True, axis=-1)
            pred = np.where(kept, pred, -np.inf)
        if self.class_id is not None:
            true, pred, weight = (a[..., self.class_id] for a in (true, pred, weight))
        self.gather(true, pred, weight)

    def share(self) -> Floats:
        """One number for each threshold."""
        raise TypeError(f"[{type(self).__name__}] expected a method 'share', got none")

    def result(self) -> Any:
        """The share, or one for each threshold."""
        values = self.share()
        return to_tensor(values[0] if len(values) == 1 else values, self._dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal metric."""
        own = ("thresholds", "top_k", "class_id")
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}


class Precision(_Share):
    """The share of yeses that are right.

    Parameters
    ----------
    thresholds : float or sequence of float, optional
        Above which an answer is a yes: 0.5 if left out.
    top_k : int, optional
        Count the k largest outputs of a row as its yeses.
    class_id : int, optional
        Look at one output only.
    name, dtype : optional

    Examples
    --------
    >>> from ranvier import keras
    >>> float(keras.metrics.Precision()([0, 1, 1, 1], [1, 0, 1, 1])) == 2 / 3
    False
    >>> round(float(keras.metrics.Precision()([0, 1, 1, 1], [1, 0, 1, 1])), 4)
    0.6667
    """

    def share(self) -> Floats:
        """tp / (tp + fp)"""
        return _ratio(self.counts[0], self.counts[0] + self.counts[1])


class Recall(_Share):
    """The share of what should be a yes that is one.

    Parameters
    ----------
    thresholds : float or sequence of float, optional
        Above which an answer is a yes: 0.5 if left out.
    top_k : int, optional
        Count the k largest outputs of a row as its yeses.
    class_id : int, optional
        Look at one output only.
    name, dtype : optional
    """

    def share(self) -> Floats:
        """tp / (tp + fn)"""
        return _ratio(self.counts[0], self.counts[0] + self.counts[3])


class _Count(Confusion):
    """The number of answers of one kind."""

    kind = 0
    default_name = ""

    def __init__(self, thresholds: Any = None, name: str | None = None, dtype: Any = None) -> None:
        limits = _limits(type(self).__name__, thresholds)
        super().__init__(limits, name or self.default_name, dtype)
        self.thresholds = thresholds

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Takes a batch in."""
        self.gather(*_arrays(self.name, y_true, y_pred, sample_weight))

    def result(self) -> Any:
        """The number, or one for each threshold."""
        values = self.counts[self.kind]
        return to_tensor(values[0] if len(values) == 1 else values, self._dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal metric."""
        return {**super().get_config(), "thresholds": self.thresholds}


class TruePositives(_Count):
    """How many yeses are right."""

    kind, default_name = 0, "true_positives"


class FalsePositives(_Count):
    """How many yeses are wrong."""

    kind, default_name = 1, "false_positives"


class TrueNegatives(_Count):
    """How many noes are right."""

    kind, default_name = 2, "true_negatives"


class FalseNegatives(_Count):
    """How many noes are wrong."""

    kind, default_name = 3, "false_negatives"


class AUC(Confusion):
    """The area under a curve through thresholds that are spread evenly from 0 to 1.

    Parameters
    ----------
    num_thresholds : int
    curve : {"ROC", "PR"}
        Recall over the rate of false positives, or precision over recall.
    summation_method : {"interpolation", "minoring", "majoring"}
    name, dtype : optional
    thresholds : sequence of float, optional
        In place of evenly spread ones.
    from_logits : bool
        Whether sigmoid is still to be applied.

    For precision over recall, interpolation follows Davis and Goadrich, 2006.
    """

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = "auc",
        dtype: Any = None,
        thresholds: Sequence[float] | None = None,
        from_logits: bool = False,
    ) -> None:
        if curve not in ("ROC", "PR"):
            raise ValueError(f"[AUC] curve: expected 'ROC' or 'PR', got {curve!r:.60}")
        if summation_method not in ("interpolation", "minoring", "majoring"):
            raise ValueError(
                "[AUC] summation_method: expected 'interpolation', 'minoring' or 'majoring', got "
                f"{summation_method!r:.60}"
            )
        if thresholds is not None:
            inner = sorted(_limits("AUC", list(thresholds)))
        elif not 1 < num_thresholds <= _MOST_THRESHOLDS:
            raise ValueError(
                f"[AUC] num_thresholds: expected from 2 to {_MOST_THRESHOLDS:,}, got "
                f"{num_thresholds!r:.60}"
            )
        else:
            inner = [(i + 1) / (num_thresholds - 1) for i in range(num_thresholds - 2)]
        super().__init__([-epsilon(), *inner, 1.0 + epsilon()], name, dtype)
        self.curve, self.summation_method, self.from_logits = curve, summation_method, from_logits
        self.num_thresholds, self.thresholds = num_thresholds, thresholds

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Takes a batch in."""
        if self.from_logits:
            y_pred = to_tensor(y_pred, self._dtype).sigmoid()
        true, pred, weight = _arrays(self.name, y_true, y_pred, sample_weight)
        if pred.size and not (pred.min() >= 0 and pred.max() <= 1):
            raise ValueError(
                f"[AUC] {self.name}: expected predictions from 0 to 1, got {pred.min():g} to "
                f"{pred.max():g}; end the model with sigmoid, or use from_logits=True"
            )
        self.gather(true, pred, weight)

    def result(self) -> Any:
        """The area, 0 to 1."""
        tp, fp, tn, fn = self.counts
        if self.curve == "PR" and self.summation_method == "interpolation":
            return to_tensor(self._interpolated(), self._dtype)
        recall = _ratio(tp, tp + fn)
        x, y = (
            (_ratio(fp, fp + tn), recall) if self.curve == "ROC" else (recall, _ratio(tp, tp + fp))
        )
        heights = {
            "interpolation": (y[:-1] + y[1:]) / 2,
            "minoring": np.minimum(y[:-1], y[1:]),
            "majoring": np.maximum(y[:-1], y[1:]),
        }[self.summation_method]
        return to_tensor(np.asarray(((x[:-1] - x[1:]) * heights).sum()), self._dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal metric."""
        own = ("num_thresholds", "curve", "summation_method", "thresholds", "from_logits")
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}

    def _interpolated(self) -> Floats:
        tp, fp, _, fn = self.counts
        yes = tp + fp
        right, said = tp[:-1] - tp[1:], yes[:-1] - yes[1:]
        slope = _ratio(right, np.maximum(said, 0))
        intercept = tp[1:] - slope * yes[1:]
        both = (yes[:-1] > 0) & (yes[1:] > 0)
        ratio = np.where(both, _ratio(yes[:-1], np.maximum(yes[1:], 0)), 1.0)
        parts = _ratio(slope * (right + intercept * np.log(ratio)), np.maximum(tp[1:] + fn[1:], 0))
        return np.asarray(parts.sum())


class FBetaScore(Metric):
    """(1 + beta^2) precision recall / (beta^2 precision + recall), for each class.

    Parameters
    ----------
    average : {"micro", "macro", "weighted"} or None
        How the classes are put together; None: one number for each.
    beta : float
    threshold : float, optional
        Above which an answer is a yes; the largest output of a row if left out.
    name, dtype : optional
    """

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str | None = "fbeta_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        if average not in (None, "micro", "macro", "weighted"):
            raise ValueError(
                f"[{type(self).__name__}] average: expected 'micro', 'macro', 'weighted' or None, "
                f"got {average!r:.60}"
            )
        self.average, self.beta, self.threshold = average, beta, threshold
        self.reset_state()

    def reset_state(self) -> None:
        """Forgets everything."""
        self._counts: list[Floats] = [np.zeros(()) for _ in range(3)]

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Takes a batch of shape (rows, classes) in."""
        true, pred, weight = _arrays(self.name, y_true, y_pred, sample_weight)
        if true.ndim != 2:
            raise ValueError(
                f"[{type(self).__name__}] y: expected shape (rows, classes), got {true.shape}"
            )
        if self.threshold is None:
            said = (pred >= pred.max(-1, keepdims=True)) & (np.abs(pred) > 1e-9)
        else:
            said = pred > np.float32(self.threshold)
        axis = None if self.average == "micro" else 0
        yes = said.astype(np.float64)
        parts = (yes * true, yes * (1 - true), (1 - yes) * true)
        self._counts = [
            old + (new * weight).sum(axis) for old, new in zip(self._counts, parts, strict=True)
        ]

    def result(self) -> Any:
        """The score, or one for each class."""
        tp, fp, fn = self._counts
        small, square = epsilon(), self.beta**2
        precision, recall = tp / (tp + fp + small), tp / (tp + fn + small)
        scores = precision * recall / (square * precision + recall + small) * (1 + square)
        if self.average == "weighted":
            support = tp + fn
            scores = (scores * support / (support.sum() + small)).sum()
        elif self.average is not None:
            scores = scores.mean()
        return to_tensor(np.asarray(scores), self._dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal metric."""
        own = ("average", "beta", "threshold")
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}


class F1Score(FBetaScore):
    """2 precision recall / (precision + recall), for each class.

    Parameters
    ----------
    average : {"micro", "macro", "weighted"} or None
    threshold : float, optional
    name, dtype : optional
    """

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str | None = "f1_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(average, 1.0, threshold, name, dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal metric."""
        return {k: v for k, v in super().get_config().items() if k != "beta"}
