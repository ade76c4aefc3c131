"""Accuracies: the share of rows, or elements, that are right."""

from __future__ import annotations

from typing import Any

from ranvier._C import ShapeError, Tensor, ops
from ranvier.keras.backend import to_tensor
from ranvier.keras.losses.functions import labels_of, matched, same_rank
from ranvier.keras.metrics.metric import FunctionMetric


def accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """1 where both are equal, else 0."""
    y_true, y_pred = same_rank(to_tensor(y_true), to_tensor(y_pred))
    return ops.cast(y_true == y_pred, to_tensor(0.0).dtype)


def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Tensor:
    """1 where the prediction is on the target's side of the threshold; the mean of each row."""
    y_true, y_pred = matched("binary_accuracy", y_true, y_pred)
    right = ops.cast(y_pred > threshold, y_pred.dtype) == y_true
    return ops.cast(right, y_pred.dtype)


def categorical_accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """1 where the largest output is at the target's place, for one-hot rows."""
    y_pred = to_tensor(y_pred)
    y_true = to_tensor(y_true)
    if y_true.shape != y_pred.shape:
        raise ShapeError(
            f"[categorical_accuracy] y: expected shape {tuple(y_pred.shape)}, as the model's "
            f"output, got {tuple(y_true.shape)}; whole-number labels go with "
            "'sparse_categorical_accuracy'"
        )
    return ops.cast(y_true.argmax(-1) == y_pred.argmax(-1), to_tensor(0.0).dtype)


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """1 where the largest output is at the place of the label."""
    y_pred = to_tensor(y_pred)
    labels = labels_of("sparse_categorical_accuracy", y_true, y_pred)
    return ops.cast(y_pred.argmax(-1) == labels, to_tensor(0.0).dtype)


def sparse_top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Tensor:
    """1 where the label is among the k largest outputs."""
    y_pred = to_tensor(y_pred)
    labels = labels_of("sparse_top_k_categorical_accuracy", y_true, y_pred)
    own = y_pred.gather(-1, labels.unsqueeze(-1))
    larger = ops.cast(y_pred > own, to_tensor(0).dtype).sum(-1)
    return ops.cast(larger < k, to_tensor(0.0).dtype)


def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Tensor:
    """1 where the target's place is among the k largest outputs, for one-hot rows."""
    y_pred = to_tensor(y_pred)
    return sparse_top_k_categorical_accuracy(to_tensor(y_true).argmax(-1), y_pred, k)


class Accuracy(FunctionMetric):
    """The share of elements that are equal in both."""

    def __init__(self, name: str | None = "accuracy", dtype: Any = None) -> None:
        super().__init__(accuracy, name, dtype)


class BinaryAccuracy(FunctionMetric):
    """The share of elements on the right side of a threshold.

    Parameters
    ----------
    name, dtype : optional
    threshold : float
    """

    def __init__(
        self, name: str | None = "binary_accuracy", dtype: Any = None, threshold: float = 0.5
    ) -> None:
        super().__init__(binary_accuracy, name, dtype, threshold=threshold)


class CategoricalAccuracy(FunctionMetric):
    """The share of rows whose largest output is at the place of the 1, for one-hot rows."""

    def __init__(self, name: str | None = "categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(categorical_accuracy, name, dtype)


class SparseCategoricalAccuracy(FunctionMetric):
    """The share of rows whose largest output is at the place of the label.

    Examples
    --------
    >>> from ranvier import keras
    >>> metric = keras.metrics.SparseCategoricalAccuracy()
    >>> float(metric([2, 0], [[0.1, 0.2, 0.7], [0.1, 0.8, 0.1]]))
    0.5
    """

    def __init__(self, name: str | None = "sparse_categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(sparse_categorical_accuracy, name, dtype)


class TopKCategoricalAccuracy(FunctionMetric):
    """The share of rows with the target among the k largest outputs, for one-hot rows.

    Parameters
    ----------
    k : int
    name, dtype : optional
    """

    def __init__(
        self, k: int = 5, name: str | None = "top_k_categorical_accuracy", dtype: Any = None
    ) -> None:
        super().__init__(top_k_categorical_accuracy, name, dtype, k=k)


class SparseTopKCategoricalAccuracy(FunctionMetric):
    """The share of rows with the label among the k largest outputs.

    Parameters
    ----------
    k : int
    name, dtype : optional
    """

    def __init__(
        self, k: int = 5, name: str | None = "sparse_top_k_categorical_accuracy", dtype: Any = None
    ) -> None:
        super().__init__(sparse_top_k_categorical_accuracy, name, dtype, k=k)
