"""What callbacks of every door decide by: what is better, for how long nothing was, which numbers.

Rules only: nobody here listens to a run. `stopping.py`, `rates.py` and `files.py` do, and the
callbacks of the Keras door.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from ranvier.training.errors import near_misses

Mode = Literal["auto", "min", "max"]

_LARGER_IS_BETTER = (
    "acc", "auc", "precision", "recall", "f1", "fbeta", "r2", "top_", "true_", "right",
)  # fmt: skip


def larger_is_better(mode: str, name: str) -> bool:
    """Which way is better for a number; "auto" goes by its name."""
    return mode == "max" or (mode == "auto" and any(word in name for word in _LARGER_IS_BETTER))


def improves(value: float, best: float | None, larger: bool, min_delta: float = 0.0) -> bool:
    """Whether a value is better by more than `min_delta`: NaN never is, all else is against it."""
    if math.isnan(value):
        return False
    if best is None or math.isnan(best):
        return True
    return value - min_delta > best if larger else value + min_delta < best


class Patience:
    """How long a number has not improved, and when it was best.

    Parameters
    ----------
    patience : int
    min_delta : float
        What is no improvement: a change of no more than this.
    baseline : float, optional
        An improvement that is no better than this does not end the waiting.

    Attributes
    ----------
    best : float
        NaN before the first value.
    place : int
        Where it was, as `see` was told.
    wait : int
        How many were seen since.
    """

    def __init__(self, patience: int, min_delta: float, baseline: float | None = None) -> None:
        self.patience, self.min_delta, self.baseline = patience, min_delta, baseline
        self.best, self.place, self.wait = math.nan, 0, 0

    def see(self, place: int, value: float, larger: bool) -> bool:
        """Takes the next value; whether it is the best."""
        self.wait += 1
        if not improves(value, self.best, larger, self.min_delta):
            return False
        self.best, self.place = value, place
        if self.baseline is None or improves(value, self.baseline, larger, self.min_delta):
            self.wait = 0
        return True

    @property
    def over(self) -> bool:
        """Whether it was long enough."""
        return self.wait >= self.patience


class Plateau:
    """When a learning rate is to fall: not within `cooldown` values of the last time.

    Parameters
    ----------
    patience, cooldown : int
    min_delta : float
    """

    def __init__(self, patience: int, cooldown: int, min_delta: float) -> None:
        self.patience, self.cooldown, self.min_delta = patience, cooldown, min_delta
        self.best, self.wait, self.cooling = math.nan, 0, 0

    def see(self, value: float, larger: bool) -> bool:
        """Takes the next value; whether the rate is to fall."""
        better = improves(value, self.best, larger, self.min_delta)
        if self.cooling:
            self.cooling -= 1
            self.wait = 0
        if better:
            self.best, self.wait = value, 0
        elif not self.cooling:
            self.wait += 1
            return self.wait >= self.patience
        return False

    def fell(self) -> None:
        """It did."""
        self.cooling, self.wait = self.cooldown, 0

    def state_dict(self) -> dict[str, Any]:
        """The best value and how long ago it was; for a checkpoint."""
        return {"best": self.best, "wait": self.wait, "cooling": self.cooling}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state_dict` gave."""
        self.best, self.wait, self.cooling = state["best"], state["wait"], state["cooling"]


# --- arguments ------------------------------------------------------------------------------------


def checked_monitor(who: str, monitor: Any) -> str:
    """The name of a number; a ValueError for what is none."""
    if not isinstance(monitor, str):
        raise ValueError(
            f"[{who}] monitor: expected the name of a number that is measured, such as "
            f"'val_loss', got {monitor!r:.60}"
        )
    return monitor


def not_measured(who: str, name: str, logs: Iterable[str], validation: str) -> str:
    """What to say where a number that is watched is not among those that were measured.

    Parameters
    ----------
    validation : str
        What gives `fit` validation rows.
    """
    known = list(logs)
    missing = name.startswith("val_") and not any(one.startswith("val_") for one in known)
    hint = f"; give fit {validation}" if missing else near_misses(name, known)
    return f"[{who}] monitor: expected one of {', '.join(known)}, got {name!r:.60}{hint}"


def finite_number(who: str, name: str, value: Any) -> float:
    """A finite number; a ValueError for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"[{who}] {name}: expected a finite number, got {value!r:.60}")
    return float(value)


def whole_number(who: str, name: str, value: Any) -> int:
    """A number of epochs or steps; a ValueError for what is none."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"[{who}] {name}: expected a whole number of 0 or more, got {value!r:.60}")
    return value


def formatted(who: str, argument: str, template: str, names: Mapping[str, Any]) -> str:
    """A path with the numbers of an epoch in it.

    Raises
    ------
    UnknownNameError
        If it asks for a name that was not measured.
    """
    try:
        return template.format(**names)
    except KeyError as error:
        near = near_misses(str(error.args[0]), names)
        raise UnknownNameError(
            f"[{who}] {argument}: expected names out of {', '.join(names)}, got {error}{near}"
        ) from None


class UnknownNameError(ValueError, KeyError):
    """A path asks for a number that was not measured: Keras raises a KeyError there."""

    __str__ = ValueError.__str__
