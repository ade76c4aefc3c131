"""How right predictions are, as scikit-learn's estimators score themselves: in float64."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from ranvier.sklearn.methods import known_class


def accuracy(y: Any, predicted: Any, weight: Any = None) -> float:
    """The share of rows of `predicted` that equal those of `y`; a sparse `y` is taken as dense."""
    truth = np.asarray(y.toarray() if hasattr(y, "toarray") else y)
    guess = np.asarray(predicted.toarray() if hasattr(predicted, "toarray") else predicted)
    if truth.ndim == 2 and truth.shape[1] == 1 and guess.ndim == 1:
        truth = truth[:, 0]
    _same_shape(truth, guess)
    right = truth == guess
    if right.ndim > 1:
        right = right.all(axis=1)
    return float(np.average(right, weights=weight))


def r2(y: Any, predicted: Any, weight: Any = None) -> float:
    """1 minus the squared error over that of the mean; the mean of it over outputs."""
    truth, guess = np.asarray(y, np.float64), np.asarray(predicted, np.float64)
    truth, guess = (a.reshape(len(a), -1) for a in (truth, guess))
    _same_shape(truth, guess)
    for name, values in (("y", truth), ("the prediction", guess)):
        if not np.isfinite(values).all():
            raise ValueError(f"[score] {name}: expected finite numbers, it contains NaN or inf")
    if len(truth) < 2:
        words = "R^2 score is not well-defined with less than two samples."
        warnings.warn(words, known_class("UndefinedMetricWarning", UserWarning), stacklevel=3)
        return float("nan")
    each = np.ones(len(truth)) if weight is None else np.asarray(weight, np.float64)
    error = each @ (truth - guess) ** 2
    spread = each @ (truth - np.average(truth, axis=0, weights=each)) ** 2
    known = spread != 0
    scores = np.where(error == 0, 1.0, 0.0)  # where the mean is right too
    scores[known] = 1 - error[known] / spread[known]
    return float(scores.mean())


def _same_shape(truth: Any, guess: Any) -> None:
    if truth.shape != guess.shape:
        raise ValueError(
            f"[score] y: expected shape {guess.shape}, as the prediction's, got {truth.shape}; "
            "Found input variables with inconsistent numbers of samples: "
            f"{[len(truth), len(guess)]}"
        )
