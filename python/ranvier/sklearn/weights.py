"""What the rows of each class count, times what the caller says that each row counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier.training.row_weights import balanced

if TYPE_CHECKING:
    import numpy.typing as npt

    from ranvier.sklearn.targets import Labels


def of_rows(
    estimator: Any, labels: Labels, y: npt.NDArray[Any], weight: Any, incremental: bool
) -> Any:
    """Weights of rows, by `estimator.class_weight` and by what the caller gave; None without both.

    Parameters
    ----------
    y : array
        Targets as the network learns them.
    weight : array of shape (rows,) or None
    incremental : bool
        Whether other rows will follow, so that nobody knows how many there are of a class.

    Raises
    ------
    ValueError
        For a label that is none, or a weight below 0.
    """
    given = estimator.class_weight
    if given is None:
        return weight
    who = f"[{type(estimator).__name__}] class_weight"
    if labels.kind == "multilabel-indicator":
        raise ValueError(f"{who}: expected None with several labels a row, got {given!r:.60}")
    number = y if y.ndim == 1 else y[:, 0].astype(np.int64)
    if isinstance(given, str) and given == "balanced":
        if incremental:
            raise ValueError(
                f"{who}: class_weight 'balanced' is not supported for partial_fit, which does not "
                "know all rows; give a mapping of labels to weights"
            )
        each = balanced(np.bincount(number, minlength=len(labels.classes)))
    elif isinstance(given, Mapping):
        unknown = [label for label in given if label not in set(labels.classes.tolist())]
        if unknown:
            raise ValueError(
                f"{who}: expected labels out of {labels.classes.tolist()!s:.80}, got "
                f"{unknown[0]!r:.60}"
            )
        each = np.array([float(given.get(label, 1.0)) for label in labels.classes.tolist()])
        if not (np.isfinite(each) & (each >= 0)).all():
            raise ValueError(f"{who}: expected finite numbers of 0 or more, got {given!r:.60}")
    else:
        raise ValueError(
            f"{who}: expected 'balanced', a mapping of labels to weights or None, got {given!r:.60}"
        )
    weights = each[number]
    if weight is not None:
        weights = weights * weight
    if not weights.any():
        raise ValueError("Sample weights must contain at least one non-zero number.")
    return weights
