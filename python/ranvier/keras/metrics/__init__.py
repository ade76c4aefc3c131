"""Keras' metrics: classes, functions, and what a name means."""

from __future__ import annotations

from typing import Any

from ranvier.keras._names import Registry, serialize
from ranvier.keras.losses import SHORT_NAMES
from ranvier.keras.losses.functions import (
    binary_crossentropy,
    categorical_crossentropy,
    categorical_hinge,
    hinge,
    kl_divergence,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
    sparse_categorical_crossentropy,
    squared_hinge,
)
from ranvier.keras.metrics.accuracy import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
    binary_accuracy,
    categorical_accuracy,
    sparse_categorical_accuracy,
    sparse_top_k_categorical_accuracy,
    top_k_categorical_accuracy,
)
from ranvier.keras.metrics.confusion import (
    AUC,
    F1Score,
    FalseNegatives,
    FalsePositives,
    FBetaScore,
    Precision,
    Recall,
    TrueNegatives,
    TruePositives,
)
from ranvier.keras.metrics.metric import FunctionMetric, Mean, MeanMetricWrapper, Metric, Sum
from ranvier.keras.metrics.regression import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    CategoricalHinge,
    CosineSimilarity,
    Hinge,
    KLDivergence,
    LogCoshError,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    R2Score,
    RootMeanSquaredError,
    SparseCategoricalCrossentropy,
    SquaredHinge,
)

__all__ = [
    "Metric", "Mean", "Sum", "MeanMetricWrapper", "Accuracy", "BinaryAccuracy",
    "CategoricalAccuracy", "SparseCategoricalAccuracy", "TopKCategoricalAccuracy",
    "SparseTopKCategoricalAccuracy", "Precision", "Recall", "TruePositives", "FalsePositives",
    "TrueNegatives", "FalseNegatives", "AUC", "F1Score", "FBetaScore",
    "MeanSquaredError", "RootMeanSquaredError", "MeanAbsoluteError",
    "MeanAbsolutePercentageError", "MeanSquaredLogarithmicError", "R2Score", "KLDivergence",
    "Poisson", "LogCoshError", "Hinge", "SquaredHinge", "CategoricalHinge", "CosineSimilarity",
    "BinaryCrossentropy", "CategoricalCrossentropy", "SparseCategoricalCrossentropy",
    "binary_accuracy", "categorical_accuracy", "sparse_categorical_accuracy",
    "top_k_categorical_accuracy", "sparse_top_k_categorical_accuracy",
    "mean_squared_error", "mean_absolute_error", "mean_absolute_percentage_error",
    "mean_squared_logarithmic_error", "binary_crossentropy", "categorical_crossentropy",
    "sparse_categorical_crossentropy", "kl_divergence", "poisson", "hinge", "squared_hinge",
    "categorical_hinge", "get", "serialize", "deserialize",
]  # fmt: skip

_CLASSES: dict[str, Any] = {
    name: thing
    for name, thing in list(globals().items())
    if isinstance(thing, type) and issubclass(thing, Metric)
    and name not in ("Metric", "FunctionMetric", "MeanMetricWrapper")
}  # fmt: skip
_SHORT = {short: name for short, name in SHORT_NAMES.items() if name in _CLASSES}
_REGISTRY: Registry[Any] = Registry("metric", _CLASSES, {**_SHORT, "rmse": "RootMeanSquaredError"})


def get(identifier: Any) -> Any:
    """The metric that a name, a configuration, a function or an object means.

    Examples
    --------
    >>> from ranvier import keras
    >>> keras.metrics.get("mae")
    <MeanAbsoluteError name=mae>
    """
    if identifier is None:
        return None
    found = _REGISTRY.get(identifier)
    if not isinstance(found, Metric):
        found = FunctionMetric(found)
    if isinstance(identifier, str):
        found.name = identifier
    return found


def deserialize(config: Any) -> Any:
    """The metric of a configuration, as `serialize` gives it."""
    return get(config)


def __getattr__(name: str) -> Any:
    from ranvier.keras._missing import refuse

    raise refuse("metrics", name, __all__)
