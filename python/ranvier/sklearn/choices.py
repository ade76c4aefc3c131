"""What a user may choose in place of scikit-learn's: losses and dtypes."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier._C import Tensor
from ranvier.sklearn.task import Reported, total
from ranvier.training import losses


def is_loss(value: Any) -> bool:
    """Whether it is a loss of `ranvier.fit`."""
    if isinstance(value, str):
        try:
            losses.resolve("fit", value)
        except ValueError:
            return False
        return True
    return callable(value)


def check_loss(estimator: Any, chosen: losses.Loss, y: Any) -> None:
    """A ValueError where a loss takes other targets than these."""
    who = f"[{type(estimator).__name__}] loss"
    if chosen.kind == "labels" and y.ndim == 2:
        raise ValueError(
            f"{who}: expected one of single outputs, such as 'bce_with_logits' for two classes, "
            f"got {chosen.name}, which takes the numbers of classes"
        )
    if chosen.kind not in ("labels", "free") and y.ndim == 1:
        raise ValueError(
            f"{who}: expected one of classes, such as 'cross_entropy', for more than two of them, "
            f"got {chosen.name}"
        )


def loss_of(chosen: Reported | losses.Loss, z: Tensor, y: Tensor, weight: Tensor | None) -> float:
    """The mean loss of rows, of the sums of the last layer."""
    if isinstance(chosen, Reported):
        learned, told = chosen.parts(z, y)
        count = len(z) if weight is None else weight.sum().item()
        return float(total(learned if told is None else told, weight).item()) / float(count)
    if weight is None:
        return float(chosen("fit", z, y).item())
    return float(chosen.weighted("fit", z, y, weight).item())


def numpy_dtype(given: Any) -> Any:
    """float32 or float64; a ValueError for any other."""
    name = getattr(given, "name", given)
    if name not in ("float32", "float64") and given not in (np.float32, np.float64):
        raise ValueError(f"[fit] dtype: expected 'float32', 'float64' or None, got {given!r:.60}")
    return np.dtype(name)
