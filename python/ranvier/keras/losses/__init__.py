"""Keras' losses: classes, functions, and what a name means."""

from __future__ import annotations

from typing import Any

from ranvier.keras._names import Registry, serialize
from ranvier.keras.losses.classes import (
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    CategoricalHinge,
    CosineSimilarity,
    Hinge,
    Huber,
    KLDivergence,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    SparseCategoricalCrossentropy,
    SquaredHinge,
)
from ranvier.keras.losses.functions import (
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_hinge,
    cosine_similarity,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
    sparse_categorical_crossentropy,
    squared_hinge,
)
from ranvier.keras.losses.loss import FunctionLoss, Loss

__all__ = [
    "Loss", "MeanSquaredError", "MeanAbsoluteError", "MeanAbsolutePercentageError",
    "MeanSquaredLogarithmicError", "BinaryCrossentropy", "BinaryFocalCrossentropy",
    "CategoricalCrossentropy", "CategoricalFocalCrossentropy", "SparseCategoricalCrossentropy",
    "KLDivergence", "Poisson", "Huber", "LogCosh", "CosineSimilarity", "Hinge", "SquaredHinge",
    "CategoricalHinge",
    "mean_squared_error", "mean_absolute_error", "mean_absolute_percentage_error",
    "mean_squared_logarithmic_error", "binary_crossentropy", "binary_focal_crossentropy",
    "categorical_crossentropy", "categorical_focal_crossentropy",
    "sparse_categorical_crossentropy", "kl_divergence", "poisson", "huber", "log_cosh",
    "cosine_similarity", "hinge", "squared_hinge", "categorical_hinge",
    "get", "serialize", "deserialize",
]  # fmt: skip

_CLASSES: dict[str, type[Loss]] = {
    kind.__name__: kind
    for kind in (
        MeanSquaredError, MeanAbsoluteError, MeanAbsolutePercentageError,
        MeanSquaredLogarithmicError, BinaryCrossentropy, BinaryFocalCrossentropy,
        CategoricalCrossentropy, CategoricalFocalCrossentropy, SparseCategoricalCrossentropy,
        KLDivergence, Poisson, Huber, LogCosh, CosineSimilarity, Hinge, SquaredHinge,
        CategoricalHinge,
    )
}  # fmt: skip
SHORT_NAMES = {
    "mse": "MeanSquaredError", "MSE": "MeanSquaredError",
    "mae": "MeanAbsoluteError", "MAE": "MeanAbsoluteError",
    "mape": "MeanAbsolutePercentageError", "MAPE": "MeanAbsolutePercentageError",
    "msle": "MeanSquaredLogarithmicError", "MSLE": "MeanSquaredLogarithmicError",
    "bce": "BinaryCrossentropy", "BCE": "BinaryCrossentropy",
    "kld": "KLDivergence", "KLD": "KLDivergence", "kl_divergence": "KLDivergence",
    "logcosh": "LogCosh",
}  # fmt: skip
_REGISTRY: Registry[Any] = Registry("loss", _CLASSES, SHORT_NAMES)


def get(identifier: Any) -> Any:
    """The loss that a name, a configuration, a function or an object means; a `Loss` object.

    Examples
    --------
    >>> from ranvier import keras
    >>> keras.losses.get("mse")
    <MeanSquaredError name=mse, reduction=sum_over_batch_size>
    """
    if identifier is None:
        return None
    found = _REGISTRY.get(identifier)
    if not isinstance(found, Loss):  # a function: ours with its fused op, or one's own
        return _BY_FUNCTION[found]() if found in _BY_FUNCTION else FunctionLoss(found)
    if isinstance(identifier, str):
        found.name = identifier
    return found


_BY_FUNCTION: dict[Any, Any] = {
    function: kind for kind in _CLASSES.values() if (function := getattr(kind(), "function", None))
}


def deserialize(config: Any) -> Any:
    """The loss of a configuration, as `serialize` gives it."""
    return get(config)


def __getattr__(name: str) -> Any:
    from ranvier.keras._missing import refuse

    raise refuse("losses", name, __all__)
