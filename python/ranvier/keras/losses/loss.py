"""`Loss`: what becomes of the values of rows. Weights, masks and reductions are here alone."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from ranvier._C import Tensor, ops
from ranvier.keras._names import name_of, snake
from ranvier.keras.backend import to_dtype, to_tensor
from ranvier.keras.losses.functions import same_rank

REDUCTIONS = ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None)


class Loss:
    """Base class of losses. One's own defines `call(self, y_true, y_pred)`.

    Parameters
    ----------
    name : str, optional
    reduction : {"sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none"} or None
        The first, and "mean", divide the sum of weighted values by their number;
        "mean_with_sample_weight" divides by the sum of the weights.
    dtype : str, optional

    Examples
    --------
    >>> from ranvier import keras
    >>> class Squares(keras.losses.Loss):
    ...     def call(self, y_true, y_pred):
    ...         return (y_true - y_pred).square().mean(-1)
    >>> Squares()([[0.0], [2.0]], [[0.0], [0.0]])
    tensor(2.)
    """

    def __init__(
        self,
        name: str | None = None,
        reduction: str | None = "sum_over_batch_size",
        dtype: Any = None,
    ) -> None:
        self.name = name or snake(type(self).__name__)
        if reduction not in REDUCTIONS:
            raise ValueError(
                f"[{type(self).__name__}] reduction: expected one of "
                f"{', '.join(map(str, REDUCTIONS))}, got {reduction!r:.60}"
            )
        self.reduction = reduction
        self._dtype = to_dtype(dtype)

    @property
    def dtype(self) -> str:
        """The name of the type that it computes in."""
        return str(self._dtype.name)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The value of each row."""
        kind = type(self).__name__
        raise TypeError(f"[{kind}] expected a method 'call(self, y_true, y_pred)', got none")

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The loss of some rows: one number, unless the reduction is "none"."""
        y_pred = to_tensor(y_pred, None if isinstance(y_pred, Tensor) else self._dtype)
        y_true = to_tensor(y_true)
        if not y_pred.dtype.is_floating_point:
            y_pred = ops.cast(y_pred, self._dtype)
        if sample_weight is None:
            value = self.fused(y_true, y_pred)
            if value is not None:
                return value
        values = self.call(*self.prepared(y_true, y_pred))
        return weighted(values, sample_weight, self.mask(y_true), self.reduction)

    def prepared(self, y_true: Tensor, y_pred: Tensor) -> tuple[Tensor, Tensor]:
        """What `call` gets: both in the type of the prediction."""
        return (y_true if y_true.dtype is y_pred.dtype else ops.cast(y_true, y_pred.dtype)), y_pred

    def fused(self, y_true: Tensor, y_pred: Tensor) -> Tensor | None:
        """The loss by one op where there is one; None: by `call`."""
        return None

    def mask(self, y_true: Tensor) -> Tensor | None:
        """Which values count; None: all."""
        return None

    @property
    def averages(self) -> bool:
        """Whether the loss is a plain mean of its values."""
        return self.reduction in ("sum_over_batch_size", "mean", "mean_with_sample_weight")

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal loss."""
        return {"name": self.name, "reduction": self.reduction}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:
        """A loss from what `get_config` gave."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, reduction={self.reduction}>"


class FunctionLoss(Loss):
    """A loss whose values a function gives.

    Parameters
    ----------
    function : callable
        Of y_true, y_pred and the settings.
    name, reduction, dtype : as for `Loss`
    **settings
        Keyword arguments for the function.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        name: str | None = None,
        reduction: str | None = "sum_over_batch_size",
        dtype: Any = None,
        **settings: Any,
    ) -> None:
        super().__init__(name or name_of(function), reduction, dtype)
        self.function, self.options = function, settings

    def prepared(self, y_true: Tensor, y_pred: Tensor) -> tuple[Tensor, Tensor]:
        """Both in one type and of one rank."""
        return same_rank(*super().prepared(y_true, y_pred))

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """What the function gives."""
        return self.function(y_true, y_pred, **self.options)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal loss."""
        config = {**super().get_config(), **self.options}
        known = inspect.signature(type(self).__init__).parameters
        return {key: value for key, value in config.items() if key in known}


LossFunctionWrapper = FunctionLoss


def weighted(values: Any, sample_weight: Any, mask: Tensor | None, reduction: str | None) -> Any:
    """Values of rows, weighted and reduced."""
    if not isinstance(values, Tensor):
        raise TypeError(f"[loss] expected a tensor of values, got {type(values).__name__}")
    weight = None if sample_weight is None else to_tensor(sample_weight, values.dtype)
    if mask is not None:
        kept = ops.cast(mask, values.dtype)
        if reduction in ("mean", "sum_over_batch_size"):
            kept = kept * (kept.numel() / kept.sum().clamp(min=1.0))
        weight = kept if weight is None else _times(kept, weight)
    if weight is not None:
        values = _times(values, weight)
    if reduction in (None, "none") or values.ndim == 0:
        return values
    total = values.sum()
    if reduction == "sum":
        return total
    if reduction == "mean_with_sample_weight" and weight is not None:
        sum_of_weights = weight.sum()
        return total / sum_of_weights if sum_of_weights.item() else total * 0.0
    return total / max(values.numel(), 1)


def _times(values: Tensor, weight: Tensor) -> Tensor:
    values, weight = same_rank(values, weight)
    if weight.ndim < values.ndim and weight.shape == values.shape[: weight.ndim]:
        weight = weight.reshape(*weight.shape, *(1 for _ in range(values.ndim - weight.ndim)))
    return values * weight
