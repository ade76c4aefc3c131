"""What each row counts: weights of samples and of classes, checked and brought to a mean of 1.

With a mean of 1 over the training rows a learning rate means what it means without weights, and a
batch whose rows all count nothing simply has no gradient.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier import _C
from ranvier._C import Tensor
from ranvier.training import inputs
from ranvier.training.errors import describe_bad
from ranvier.training.inputs import Rows

if TYPE_CHECKING:
    import numpy.typing as npt

    from ranvier.training.losses import Loss


def of_samples(where: str, name: str, given: Any, count: int) -> npt.NDArray[np.float64]:
    """The weights of samples: one number of 0 or more a row."""
    weights = inputs.rows(where, name, given).numpy().astype(np.float64)
    if weights.shape not in ((count,), (count, 1)):
        raise _C.ShapeError(
            f"[{where}] {name}: expected one number a row, ({count},), got {weights.shape}"
        )
    weights = weights.reshape(count)
    bad = ~(np.isfinite(weights) & (weights >= 0))
    if bad.any():
        raise ValueError(
            f"[{where}] {name}: expected finite numbers of 0 or more, got "
            f"{describe_bad(weights, bad)}"
        )
    return weights


def of_classes(where: str, given: Any, y: Rows, loss: Loss) -> npt.NDArray[np.float64]:
    """What each row counts by its class: from a mapping of labels to weights, or "balanced".

    "balanced" is rows / (classes rows of the class), as in scikit-learn (King and Zeng, 2001).
    """
    if not isinstance(given, Mapping) and given != "balanced":
        raise TypeError(
            f"[{where}] class_weight: expected 'balanced' or a mapping of labels to weights, got "
            f"{given!r:.60}"
        )
    labels = class_labels(where, y, loss)
    present, place, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if isinstance(given, Mapping):
        unknown = [label for label in given if label not in set(present.tolist())]
        if unknown:
            raise ValueError(
                f"[{where}] class_weight: expected labels out of {present.tolist()!s:.80}, got "
                f"{unknown!r:.60}"
            )
        each = np.array([float(given.get(int(label), 1.0)) for label in present])
        bad = ~(np.isfinite(each) & (each >= 0))
        if bad.any():
            raise ValueError(
                f"[{where}] class_weight: expected finite numbers of 0 or more, got "
                f"{describe_bad(each, bad)}"
            )
    else:
        each = balanced(counts)
    weights: npt.NDArray[np.float64] = each[place.reshape(len(labels))]
    return weights


def balanced(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """What a row of each class counts, of so many rows, so that all classes count the same.

    A class without rows counts nothing (King and Zeng, 2001).
    """
    present = counts > 0
    each = np.zeros(len(counts))
    each[present] = counts.sum() / (present.sum() * counts[present])
    return each


def class_labels(where: str, y: Rows, loss: Loss) -> npt.NDArray[np.int64]:
    """The class of each row in use: its label, its place in a one-hot row, or 0 and 1."""
    values = y.all().numpy()
    values = values.reshape(len(values), -1)
    if loss.kind == "values" or (loss.kind == "free" and values.dtype.kind == "f"):
        raise ValueError(
            f"[{where}] class_weight: expected a loss of classes such as 'cross_entropy', got "
            f"{loss.name}; sample_weight takes a number a row"
        )
    if values.shape[1] > 1:
        return np.asarray(values.argmax(1), np.int64)
    return np.asarray(np.rint(values[:, 0]), np.int64)


def normalised(where: str, weights: npt.NDArray[np.float64], dtype: _C.dtype) -> Tensor:
    """Weights with a mean of 1, in the model's type.

    Raises
    ------
    ValueError
        If no row counts anything.
    """
    total = float(weights.sum())
    if total == 0:
        raise ValueError(
            f"[{where}] sample_weight and class_weight: expected at least one training row that "
            "counts, got weights that are all zero"
        )
    return _C.ops.cast(_C.from_numpy(weights * (len(weights) / total)), dtype)
