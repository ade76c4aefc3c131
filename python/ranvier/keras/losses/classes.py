"""Keras' losses as classes: a function of `functions.py` with its settings, or one fused op."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ranvier._C import Tensor, ops
from ranvier.keras.backend import epsilon
from ranvier.keras.losses import functions as F
from ranvier.keras.losses.loss import FunctionLoss

_MEAN = "sum_over_batch_size"


class _Named(FunctionLoss):
    """A loss without settings: its function and its name are the class's."""

    function_of: Callable[..., Any]
    default_name = ""

    def __init__(
        self, reduction: str | None = _MEAN, name: str | None = None, dtype: Any = None
    ) -> None:
        super().__init__(type(self).function_of, name or self.default_name, reduction, dtype)


class MeanSquaredError(_Named):
    """Mean of (y_true - y_pred)^2.

    Examples
    --------
    >>> from ranvier import keras
    >>> keras.losses.MeanSquaredError()([[0.0], [2.0]], [[0.0], [0.0]])
    tensor(2.)
    """

    function_of = staticmethod(F.mean_squared_error)
    default_name = "mean_squared_error"

    def fused(self, y_true: Tensor, y_pred: Tensor) -> Tensor | None:
        """The mean by one op."""
        if not self.averages:
            return None
        y_true, y_pred = F.matched("mean_squared_error", y_true, y_pred)
        return ops.mse_loss(y_pred, y_true)


class MeanAbsoluteError(_Named):
    """Mean of |y_true - y_pred|."""

    function_of = staticmethod(F.mean_absolute_error)
    default_name = "mean_absolute_error"


class MeanAbsolutePercentageError(_Named):
    """100 times the mean of |y_true - y_pred| / |y_true|."""

    function_of = staticmethod(F.mean_absolute_percentage_error)
    default_name = "mean_absolute_percentage_error"


class MeanSquaredLogarithmicError(_Named):
    """Mean of (log(y_true + 1) - log(y_pred + 1))^2."""

    function_of = staticmethod(F.mean_squared_logarithmic_error)
    default_name = "mean_squared_logarithmic_error"


class KLDivergence(_Named):
    """Sum of y_true log(y_true / y_pred)."""

    function_of = staticmethod(F.kl_divergence)
    default_name = "kl_divergence"


class Poisson(_Named):
    """Mean of y_pred - y_true log(y_pred)."""

    function_of = staticmethod(F.poisson)
    default_name = "poisson"


class LogCosh(_Named):
    """Mean of log(cosh(y_pred - y_true))."""

    function_of = staticmethod(F.log_cosh)
    default_name = "log_cosh"


class Hinge(_Named):
    """Mean of max(1 - y_true y_pred, 0); targets of 0 and 1 count as -1 and 1."""

    function_of = staticmethod(F.hinge)
    default_name = "hinge"


class SquaredHinge(_Named):
    """Mean of max(1 - y_true y_pred, 0)^2; targets of 0 and 1 count as -1 and 1."""

    function_of = staticmethod(F.squared_hinge)
    default_name = "squared_hinge"


class CategoricalHinge(_Named):
    """max(neg - pos + 1, 0), pos = sum(t p) and neg = max((1 - t) p)."""

    function_of = staticmethod(F.categorical_hinge)
    default_name = "categorical_hinge"


class Huber(FunctionLoss):
    """e^2 / 2 where |e| <= delta, and delta |e| - delta^2 / 2 elsewhere.

    Parameters
    ----------
    delta : float
    """

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = _MEAN,
        name: str | None = "huber_loss",
        dtype: Any = None,
    ) -> None:
        super().__init__(F.huber, name, reduction, dtype, delta=delta)


class CosineSimilarity(FunctionLoss):
    """The negative of the cosine between both: -1 where they point the same way.

    Parameters
    ----------
    axis : int
    """

    def __init__(
        self,
        axis: int = -1,
        reduction: str | None = _MEAN,
        name: str | None = "cosine_similarity",
        dtype: Any = None,
    ) -> None:
        super().__init__(F.cosine_similarity, name, reduction, dtype, axis=axis)


class BinaryCrossentropy(FunctionLoss):
    """-(t log p + (1 - t) log(1 - p)), for probabilities or for scores.

    Parameters
    ----------
    from_logits : bool
        Whether the model gives scores, to which sigmoid is still to be applied.
    label_smoothing : float
        How far targets are moved towards a half, 0 to 1.
    axis : int
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = _MEAN,
        name: str | None = "binary_crossentropy",
        dtype: Any = None,
    ) -> None:
        settings = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(F.binary_crossentropy, name, reduction, dtype, **settings)

    def fused(self, y_true: Tensor, y_pred: Tensor) -> Tensor | None:
        """The mean by one op."""
        if not self.averages:
            return None
        t, p = F.matched("binary_crossentropy", y_true, y_pred)
        y_true = F.smoothed_binary(t, self.options["label_smoothing"])
        if self.options["from_logits"]:
            return ops.binary_cross_entropy_with_logits(p, y_true)
        inside = p.clamp(epsilon(), 1.0 - epsilon())
        return ops.binary_cross_entropy(inside, y_true)


class BinaryFocalCrossentropy(FunctionLoss):
    """Binary cross-entropy in which easy rows count less.

    Parameters
    ----------
    apply_class_balancing : bool
    alpha, gamma : float
    from_logits : bool
    label_smoothing : float
    axis : int
    """

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = _MEAN,
        name: str | None = "binary_focal_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            F.binary_focal_crossentropy, name, reduction, dtype,
            apply_class_balancing=apply_class_balancing, alpha=alpha, gamma=gamma,
            from_logits=from_logits, label_smoothing=label_smoothing, axis=axis,
        )  # fmt: skip


class CategoricalCrossentropy(FunctionLoss):
    """-sum(t log p) over the classes, for targets that are one-hot rows or shares.

    Parameters
    ----------
    from_logits : bool
        Whether the model gives scores, to which softmax is still to be applied.
    label_smoothing : float
        How far targets are moved towards equal shares, 0 to 1.
    axis : int
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = _MEAN,
        name: str | None = "categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        settings = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(F.categorical_crossentropy, name, reduction, dtype, **settings)

    def fused(self, y_true: Tensor, y_pred: Tensor) -> Tensor | None:
        """The mean by one op, where scores are given."""
        if not (self.averages and self.options["from_logits"] and y_pred.ndim == 2):
            return None
        t, p = F.matched("categorical_crossentropy", y_true, y_pred)
        return ops.soft_cross_entropy(p, t, None, self.options["label_smoothing"])


class CategoricalFocalCrossentropy(FunctionLoss):
    """Cross-entropy in which easy rows count less.

    Parameters
    ----------
    alpha, gamma : float
    from_logits : bool
    label_smoothing : float
    axis : int
    """

    def __init__(
        self,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = _MEAN,
        name: str | None = "categorical_focal_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            F.categorical_focal_crossentropy, name, reduction, dtype, alpha=alpha, gamma=gamma,
            from_logits=from_logits, label_smoothing=label_smoothing, axis=axis,
        )  # fmt: skip


class SparseCategoricalCrossentropy(FunctionLoss):
    """-log p[label], for targets that are whole-number labels from 0.

    Parameters
    ----------
    from_logits : bool
        Whether the model gives scores, to which softmax is still to be applied.
    ignore_class : int, optional
        A label whose rows do not count; the mean is over the others.
    reduction, axis, name, dtype : as in Keras

    Examples
    --------
    >>> from ranvier import keras
    >>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    >>> loss([1], [[0.0, 0.0]])
    tensor(0.6931)
    """

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = _MEAN,
        axis: int = -1,
        name: str | None = "sparse_categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        settings = {"from_logits": from_logits, "ignore_class": ignore_class, "axis": axis}
        super().__init__(F.sparse_categorical_crossentropy, name, reduction, dtype, **settings)

    def prepared(self, y_true: Tensor, y_pred: Tensor) -> tuple[Tensor, Tensor]:
        """Labels as they are."""
        return y_true, y_pred

    def fused(self, y_true: Tensor, y_pred: Tensor) -> Tensor | None:
        """The mean by one op, where scores are given."""
        plain = self.options["from_logits"] and self.options["ignore_class"] is None
        if not (self.averages and plain and y_pred.ndim == 2):
            return None
        labels = F.labels_of(self.function.__name__, y_true, y_pred)
        F.check_labels(self.function.__name__, labels, y_pred.shape[-1])
        return ops.cross_entropy(y_pred, labels)

    def mask(self, y_true: Tensor) -> Tensor | None:
        """Which rows count."""
        ignored = self.options["ignore_class"]
        if ignored is None:
            return None
        labels = y_true.squeeze(-1) if y_true.ndim > 1 and y_true.shape[-1] == 1 else y_true
        kept: Tensor = labels != ignored
        return kept
