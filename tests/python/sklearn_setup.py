"""Rows and targets for the estimators' tests, small and the same everywhere."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from ranvier.training import RanvierWarning

STATE = np.random.RandomState(3)
X = STATE.normal(size=(80, 4))
SUMS = X @ STATE.normal(size=(4, 3))
BINARY = (SUMS[:, 0] > 0).astype(int)
CLASSES = np.array(["a", "b", "c"])[SUMS.argmax(axis=1)]
SEVERAL = (SUMS > 0).astype(int)
NUMBER = SUMS[:, 0] * 2 + 1


def quiet(estimator: Any, *args: Any, **named: Any) -> Any:
    """Fitted, without a word of its not being at an end."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", RanvierWarning)  # such as that steps are not replayed
        return estimator.fit(*args, **named)
