"""What training can complain about beyond Python's own errors, and how names are looked up.

Messages have one form: `[where] name: expected ..., got ...; what to do`.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from ranvier.training.history import History

T = TypeVar("T")


class RanvierWarning(UserWarning):
    """Something that is allowed, but that you would want to know."""


def warn(words: str) -> None:
    """A `RanvierWarning` at the line that called the library."""
    frame, level = sys._getframe(1), 2
    while frame.f_back and frame.f_globals.get("__name__", "").startswith(("ranvier.", "contextl")):
        frame, level = frame.f_back, level + 1
    warnings.warn(words, RanvierWarning, stacklevel=level)


class NonFiniteError(RuntimeError):
    """A loss, gradient or weight became NaN or infinite, and training stopped.

    Attributes
    ----------
    epoch, step : int
        Where: both count from 1, steps over the whole call.
    tensor : str
        What: "loss", or a tensor with its layer, such as "fc2.weight gradient".
    history : History
        The epochs that were completed.
    """

    def __init__(
        self, message: str, *, epoch: int, step: int, tensor: str, history: History
    ) -> None:
        super().__init__(message)
        self.epoch = epoch
        self.step = step
        self.tensor = tensor
        self.history = history


_MANY = 12  # names


def look_up(where: str, name: str, table: Mapping[str, T]) -> T:
    """The entry of that name, in any case of letters; a ValueError with near misses otherwise."""
    found = table.get(name.lower())
    if found is not None:
        return found
    near = near_misses(name, table)
    # A long list hides what was most likely meant.
    known = "a name that it knows" if near and len(table) > _MANY else f"one of {', '.join(table)}"
    raise ValueError(f"{where}: expected {known}, got {name!r:.60}{near}")


def near_misses(name: str, names: Iterable[str]) -> str:
    """`; did you mean 'this'?`, or nothing."""
    import difflib  # not needed by a mere `import ranvier`

    near = difflib.get_close_matches(name.lower(), list(names), n=3, cutoff=0.5)
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""


def describe_bad(array: npt.NDArray[np.generic], bad: npt.NDArray[np.bool_]) -> str:
    """What is wrong in an array, as in `3 of 64 otherwise, the first nan at (0, 2)`.

    Parameters
    ----------
    array, bad : arrays of the same shape
        The elements, and which of them to report; at least one.
    """
    first = tuple(int(i[0]) for i in np.nonzero(bad))
    places = {0: "", 1: f" in row {first[0]}" if first else ""}
    place = places.get(array.ndim, f" at {first}")
    return f"{int(bad.sum())} of {array.size} otherwise, the first {array[first]!s}{place}"
