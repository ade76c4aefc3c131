"""From which probability on a row is of the second class: given, or chosen on validation rows."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier.training.errors import near_misses, warn

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.floating[Any]]

_WANTED = ("precision", "recall")


def check(who: str, threshold: Any) -> tuple[str, float] | float | None:
    """A threshold as it was given, checked: a number, or what is wanted and how much of it.

    Raises
    ------
    TypeError, ValueError
        For anything else.
    """
    if threshold is None:
        return None
    if isinstance(threshold, Mapping):
        if len(threshold) != 1:
            raise ValueError(
                f"[{who}] threshold: expected one of 'precision' and 'recall', got "
                f"{sorted(map(str, threshold))}"
            )
        ((name, share),) = threshold.items()
        if name not in _WANTED:
            near = near_misses(str(name), _WANTED)
            raise ValueError(
                f"[{who}] threshold: expected 'precision' or 'recall', got {name!r:.40}{near}"
            )
        if not _is_number(share) or not 0 < share <= 1:
            raise ValueError(
                f"[{who}] threshold: expected a {name} above 0 and up to 1, got {share!r:.40}"
            )
        return name, float(share)
    if not _is_number(threshold):
        raise TypeError(
            f"[{who}] threshold: expected a number from 0 to 1, {{'precision': 0.9}}, "
            f"{{'recall': 0.9}} or None, got {threshold!r:.60}"
        )
    if not 0 <= threshold <= 1:
        raise ValueError(f"[{who}] threshold: expected a number from 0 to 1, got {threshold!r:.40}")
    return float(threshold)


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def choose(
    who: str, wanted: tuple[str, float], shares: Floats, positive: Any, weight: Any = None
) -> float:
    """The threshold that gives a wanted precision or recall on some rows.

    Of all that reach a wanted precision the one with the largest recall; of all that reach a wanted
    recall the one with the largest precision. Where none reaches the precision, the one that comes
    nearest, with a warning.

    Parameters
    ----------
    who : str
    wanted : (str, float)
        As `check` returns it.
    shares : array of shape (rows,)
        The probability of the second class.
    positive : array of shape (rows,), bool
        Which rows are of that class.
    weight : array of shape (rows,), optional

    Returns
    -------
    float
        A row counts as positive from this probability on.

    Raises
    ------
    ValueError
        If none of the rows is positive.
    """
    name, share = wanted
    each = np.ones(len(shares)) if weight is None else np.asarray(weight, np.float64)
    hits = each * np.asarray(positive, bool)
    if not hits.sum() > 0:
        raise ValueError(
            f"[{who}] threshold: expected rows of the second class among the validation rows, to "
            f"choose it for a {name} of {share:g}, got none"
        )
    order = np.argsort(-shares, kind="stable")
    values = shares[order]
    right, taken = np.cumsum(hits[order]), np.cumsum(each[order])
    last = np.append(values[1:] != values[:-1], True)  # equal ones are taken together
    values, right, taken = values[last], right[last], taken[last]
    precision = right / np.where(taken > 0, taken, 1)
    recall = right / right[-1]
    found, other = (precision, recall) if name == "precision" else (recall, precision)
    # The nearest decimal number counts as reached.
    enough = found >= share - 1e-12
    if not enough.any():
        best = int(np.argmax(found))
        warn(
            f"[{who}] threshold: expected a precision of {share:g} on the validation rows, got at "
            f"most {found[best]:.3g}, which it is chosen for"
        )
        return float(values[best])
    return float(values[np.argmax(np.where(enough, other, -1.0))])
