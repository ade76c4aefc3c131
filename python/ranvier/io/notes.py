"""What is known of a model beside its layers and weights, and kept in its file.

A few plain values, checked when they are set: what it is fed with, what its outputs are called, and
how it was trained last.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ranvier._C import version
from ranvier.nn import Module

if TYPE_CHECKING:
    from ranvier.training.history import History

ATTRIBUTE = "_ranvier_about"
_DTYPES = (
    "float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint64",
    "uint32", "uint16", "uint8", "bool",
)  # fmt: skip
_LABELS = 1_000_000
_LETTERS = 10_000  # of one label, and of one word about the training

Label = str | int | float


class Input(NamedTuple):
    """What a row of data looks like to a model.

    Attributes
    ----------
    shape : tuple of int
        Without the axis of the rows.
    dtype : str
        Of the numbers as the model gets them.
    """

    shape: tuple[int, ...]
    dtype: str


class About:
    """What is known of a model beside its layers and weights; `rv.io.about` gives it.

    Attributes
    ----------
    labels : tuple of str, int or float, or None
        What the outputs are called, in their order; any sequence may be assigned.
    input : Input or None
        What a row looks like: as the last `fit` saw it, or as it was assigned: a shape such as
        (784,), or a pair of shape and dtype.
    training : dict or None
        What the last `fit` did: loss, optimizer, learning rate, epochs, and the last numbers of
        its history.
    """

    def __init__(self) -> None:
        self._labels: tuple[Label, ...] | None = None
        self._input: Input | None = None
        self._training: dict[str, Any] | None = None
        self._history: History | None = None  # of that training, which may still go on

    @property
    def labels(self) -> tuple[Label, ...] | None:
        return self._labels

    @labels.setter
    def labels(self, labels: Sequence[Label] | None) -> None:
        self._labels = None if labels is None else checked_labels(labels)

    @property
    def input(self) -> Input | None:
        return self._input

    @input.setter
    def input(self, value: Any) -> None:
        self._input = None if value is None else checked_input(value)

    @property
    def training(self) -> dict[str, Any] | None:
        if self._training is None or self._history is None:
            return self._training
        last = {name: values[-1] for name, values in self._history.history.items() if values}
        single = {str(n): v for n, v in last.items() if isinstance(v, (int, float))}
        kept = {name: value for name, value in single.items() if math.isfinite(value)}
        return self._training | {"epochs": self._history.epochs, "history": kept}

    def note_row(self, shape: tuple[int, ...], dtype: str) -> None:
        """What `fit` and `predict` tell of rows that fit the model."""
        self._input = Input(shape, dtype)

    def note_fit(self, facts: dict[str, Any], history: History) -> None:
        """What `fit` tells when it begins: how it trains, and where the course of it will stand."""
        self._training, self._history = {**facts, "version": version()}, history

    def __repr__(self) -> str:
        return f"About(labels={self.labels}, input={self.input}, training={self.training})"


def about(model: Module) -> About:
    """What `rv.io.about` gives."""
    if not isinstance(model, Module):
        raise TypeError(f"[about] model: expected an nn.Module, got {type(model).__name__}")
    kept = model.__dict__.get(ATTRIBUTE)
    if not isinstance(kept, About):
        kept = About()
        object.__setattr__(model, ATTRIBUTE, kept)
    return kept


# --- what may be set ------------------------------------------------------------------------------


def checked_labels(labels: Any, where: str = "labels") -> tuple[Label, ...]:
    """Labels: strings or numbers, each once.

    Raises
    ------
    TypeError, ValueError
        For anything else.
    """
    if isinstance(labels, (str, bytes, Mapping)) or not hasattr(labels, "__len__"):
        raise TypeError(f"[{where}] expected a list of strings or numbers, got {labels!r:.60}")
    found = [label.item() if isinstance(label, np.generic) else label for label in labels]
    for label in found:
        if isinstance(label, bool) or not isinstance(label, (str, int, float)):
            raise TypeError(f"[{where}] expected strings or numbers, got {label!r:.60}")
        if isinstance(label, str):
            _check_text(where, label)
        elif not _is_number(label):
            raise ValueError(f"[{where}] expected finite numbers, got {label!r:.60}")
    if not 0 < len(found) <= _LABELS:
        raise ValueError(f"[{where}] expected from 1 to {_LABELS:,} labels, got {len(found):,}")
    if len(set(found)) < len(found):
        twice = Counter(found).most_common(1)[0][0]
        raise ValueError(f"[{where}] expected each label once, got {twice!r:.60} again")
    return tuple(found)


def checked_input(value: Any, where: str = "input") -> Input:
    """The shape of a row, or a pair of it and a dtype.

    Raises
    ------
    TypeError, ValueError
        For anything else.
    """
    pair = isinstance(value, (tuple, list)) and len(value) == 2
    shape, dtype = value if pair and isinstance(value[0], (tuple, list)) else (value, "float32")
    name = getattr(dtype, "name", dtype)
    sizes = list(shape) if isinstance(shape, (tuple, list)) else None
    if sizes is None or not all(type(n) is int for n in sizes):
        raise TypeError(
            f"[{where}] expected the shape of a row such as (784,), or a pair of it and a dtype, "
            f"got {value!r:.60}"
        )
    if len(sizes) > 7 or not all(0 <= n < 2**31 for n in sizes):
        raise ValueError(f"[{where}] expected at most 7 sizes below 2^31, got {value!r:.60}")
    if name not in _DTYPES:
        raise ValueError(f"[{where}] expected a dtype such as float32, got {dtype!r:.60}")
    return Input(tuple(sizes), name)


def _is_number(value: Any) -> bool:
    """Whether a file can hold it: finite, and no more than 64 bits."""
    return math.isfinite(value) if isinstance(value, float) else -(2**63) <= value < 2**63


def _check_text(where: str, text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError(f"[{where}] expected text that UTF-8 can hold, got {text!r:.60}") from None
    if len(text) > _LETTERS:
        raise ValueError(f"[{where}] expected at most {_LETTERS:,} letters, got {len(text):,}")


# --- in files -------------------------------------------------------------------------------------


def to_json(found: About) -> dict[str, Any]:
    """What a file keeps."""
    row = found.input
    return {
        "input": None if row is None else {"shape": list(row.shape), "dtype": row.dtype},
        "labels": None if found.labels is None else list(found.labels),
        "training": found.training,
    }


def from_json(description: Mapping[str, Any]) -> About:
    """The same, of a file of a stranger.

    Raises
    ------
    ValueError
        Where it is not what a file keeps.
    """
    found = About()
    row, training = description.get("input"), description.get("training")
    try:
        found.labels = description.get("labels")
        if row is not None:
            if not isinstance(row, dict) or set(row) != {"shape", "dtype"}:
                raise ValueError(f"[input] expected shape and dtype, got {row!r:.60}")
            found.input = (row["shape"], row["dtype"])
    except TypeError as error:
        raise ValueError(f"{error}") from None
    if training is not None:
        _check_training(training)
        found._training = training
    return found


def _check_training(training: Any) -> None:
    """A ValueError unless these are words and numbers by name, or such by name."""
    if not isinstance(training, dict) or len(training) > 1000:
        raise ValueError(f"[training] expected an object, got {training!r:.60}")
    for name, value in training.items():
        inner = value if isinstance(value, dict) else {name: value}
        for word, part in inner.items():
            _check_text("training", word)
            if isinstance(part, str):
                _check_text("training", part)
            elif part is not None and not (isinstance(part, (int, float)) and _is_number(part)):
                raise ValueError(f"[training] {word!s:.60}: expected a number, got {part!r:.60}")
