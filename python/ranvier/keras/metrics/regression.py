"""Metrics of numbers: errors, R2, and every loss as a metric."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier._C import Tensor
from ranvier.keras.backend import to_tensor
from ranvier.keras.losses import functions as F
from ranvier.keras.losses.functions import matched
from ranvier.keras.metrics.metric import Averaged, FunctionMetric, Metric


class _LossMetric(FunctionMetric):
    """A loss's function as a metric, without settings."""

    function_of: Callable[..., Any]
    default_name = ""

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(type(self).function_of, name or self.default_name, dtype)


class MeanSquaredError(_LossMetric):
    """Mean of (y_true - y_pred)^2."""

    function_of = staticmethod(F.mean_squared_error)
    default_name = "mean_squared_error"


class MeanAbsoluteError(_LossMetric):
    """Mean of |y_true - y_pred|."""

    function_of = staticmethod(F.mean_absolute_error)
    default_name = "mean_absolute_error"


class MeanAbsolutePercentageError(_LossMetric):
    """100 times the mean of |y_true - y_pred| / |y_true|."""

    function_of = staticmethod(F.mean_absolute_percentage_error)
    default_name = "mean_absolute_percentage_error"


class MeanSquaredLogarithmicError(_LossMetric):
    """Mean of (log(y_true + 1) - log(y_pred + 1))^2."""

    function_of = staticmethod(F.mean_squared_logarithmic_error)
    default_name = "mean_squared_logarithmic_error"


class KLDivergence(_LossMetric):
    """Sum of y_true log(y_true / y_pred), averaged over the rows."""

    function_of = staticmethod(F.kl_divergence)
    default_name = "kl_divergence"


class Poisson(_LossMetric):
    """Mean of y_pred - y_true log(y_pred)."""

    function_of = staticmethod(F.poisson)
    default_name = "poisson"


class LogCoshError(_LossMetric):
    """Mean of log(cosh(y_pred - y_true))."""

    function_of = staticmethod(F.log_cosh)
    default_name = "logcosh"


class Hinge(_LossMetric):
    """Mean of max(1 - y_true y_pred, 0)."""

    function_of = staticmethod(F.hinge)
    default_name = "hinge"


class SquaredHinge(_LossMetric):
    """Mean of max(1 - y_true y_pred, 0)^2."""

    function_of = staticmethod(F.squared_hinge)
    default_name = "squared_hinge"


class CategoricalHinge(_LossMetric):
    """Mean of max(neg - pos + 1, 0)."""

    function_of = staticmethod(F.categorical_hinge)
    default_name = "categorical_hinge"


def _cosine(y_true: Any, y_pred: Any, axis: int = -1) -> Tensor:
    return -F.cosine_similarity(y_true, y_pred, axis)


class CosineSimilarity(FunctionMetric):
    """The mean cosine between both: 1 where they point the same way.

    Parameters
    ----------
    name, dtype : optional
    axis : int
    """

    def __init__(
        self, name: str | None = "cosine_similarity", dtype: Any = None, axis: int = -1
    ) -> None:
        super().__init__(_cosine, name, dtype, axis=axis)


class BinaryCrossentropy(FunctionMetric):
    """Binary cross-entropy as a metric.

    Parameters
    ----------
    name, dtype : optional
    from_logits : bool
    label_smoothing : float
    """

    def __init__(
        self,
        name: str | None = "binary_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
    ) -> None:
        settings = {"from_logits": from_logits, "label_smoothing": label_smoothing}
        super().__init__(F.binary_crossentropy, name, dtype, **settings)


class CategoricalCrossentropy(FunctionMetric):
    """Cross-entropy as a metric, for targets that are one-hot rows or shares.

    Parameters
    ----------
    name, dtype : optional
    from_logits : bool
    label_smoothing : float
    axis : int
    """

    def __init__(
        self,
        name: str | None = "categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
        axis: int = -1,
    ) -> None:
        settings = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(F.categorical_crossentropy, name, dtype, **settings)


class SparseCategoricalCrossentropy(FunctionMetric):
    """Cross-entropy as a metric, for targets that are whole-number labels.

    Parameters
    ----------
    name, dtype : optional
    from_logits : bool
    axis : int
    """

    def __init__(
        self,
        name: str | None = "sparse_categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        axis: int = -1,
    ) -> None:
        settings = {"from_logits": from_logits, "axis": axis}
        super().__init__(F.sparse_categorical_crossentropy, name, dtype, **settings)


class RootMeanSquaredError(Averaged):
    """The root of the mean of (y_true - y_pred)^2."""

    def __init__(self, name: str | None = "root_mean_squared_error", dtype: Any = None) -> None:
        super().__init__(name, dtype)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Takes a batch in."""
        y_true, y_pred = matched("root_mean_squared_error", y_true, y_pred)
        self.take((y_pred.detach() - y_true).square(), sample_weight)

    def value(self) -> float:
        """The root as a number of Python's."""
        return math.sqrt(super().value())


Floats = npt.NDArray[np.float64]


class R2Score(Metric):
    """1 less the share of the targets' variance that the predictions leave over.

    Parameters
    ----------
    class_aggregation : {"uniform_average", "variance_weighted_average"} or None
        How the outputs' scores are put together; None: one for each.
    num_regressors : int
        How many inputs there are, for the adjusted score.
    name, dtype : optional
    """

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str | None = "r2_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        known = ("uniform_average", "variance_weighted_average", None)
        if class_aggregation not in known:
            raise ValueError(
                f"[R2Score] class_aggregation: expected one of {', '.join(map(str, known))}, got "
                f"{class_aggregation!r:.60}"
            )
        self.class_aggregation, self.num_regressors = class_aggregation, num_regressors
        self.reset_state()

    def reset_state(self) -> None:
        """Forgets everything."""
        self._sums: list[Floats] = [np.zeros(()) for _ in range(4)]
        self._samples = 0

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Takes a batch of shape (rows, outputs) in."""
        y_true, y_pred = matched("r2_score", y_true, y_pred)
        if y_true.ndim != 2:
            raise ValueError(
                f"[R2Score] y: expected shape (rows, outputs), got {tuple(y_true.shape)}"
            )
        true, pred = (t.detach().numpy().astype(np.float64) for t in (y_true, y_pred))
        weight = np.ones((1, 1)) if sample_weight is None else np.asarray(sample_weight, float)
        weight = np.broadcast_to(weight[:, None] if weight.ndim == 1 else weight, true.shape)
        parts = (weight * true, weight * true**2, weight * (true - pred) ** 2, weight)
        self._sums = [old + new.sum(0) for old, new in zip(self._sums, parts, strict=True)]
        self._samples += true.size

    def result(self) -> Any:
        """The score, or one for each output."""
        first, second, residual, count = self._sums
        with np.errstate(divide="ignore", invalid="ignore"):
            spread = second - first * first / count
            scores = 1 - residual / spread
        scores = np.where(np.isinf(scores), 0.0, scores)
        if self.class_aggregation == "uniform_average":
            scores = np.asarray(scores.mean())
        elif self.class_aggregation == "variance_weighted_average":
            scores = np.asarray((spread * scores).sum() / spread.sum())
        free = self._samples - self.num_regressors - 1
        if self.num_regressors and free > 0:
            scores = 1 - (1 - scores) * (self._samples - 1) / free
        return to_tensor(np.asarray(scores), self._dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal metric."""
        own = ("class_aggregation", "num_regressors")
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}
