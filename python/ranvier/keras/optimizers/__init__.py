"""Keras' optimizers and learning-rate schedules, and what a name means."""

from __future__ import annotations

from typing import Any

from ranvier.keras._names import Registry, serialize
from ranvier.keras.optimizers import schedules
from ranvier.keras.optimizers.classes import (
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Ftrl,
    Lion,
    Nadam,
    RMSprop,
)
from ranvier.keras.optimizers.optimizer import Optimizer

__all__ = [
    "Optimizer", "SGD", "RMSprop", "Adam", "AdamW", "Adagrad", "Adadelta", "Adamax", "Nadam",
    "Ftrl", "Lion", "schedules", "get", "serialize", "deserialize",
]  # fmt: skip

_CLASSES = (SGD, RMSprop, Adam, AdamW, Adagrad, Adadelta, Adamax, Nadam, Ftrl, Lion)
_REGISTRY: Registry[Any] = Registry(
    "optimizer",
    {kind.__name__: kind for kind in _CLASSES},
    {kind.__name__.lower(): kind.__name__ for kind in _CLASSES},
)


def get(identifier: Any) -> Any:
    """The optimizer that a name, a configuration or an object means.

    Examples
    --------
    >>> from ranvier import keras
    >>> float(keras.optimizers.get("adam").learning_rate)
    0.001
    """
    found: Any = identifier
    if isinstance(identifier, str):
        found = _REGISTRY.find(identifier)
    elif isinstance(identifier, dict):
        found = _REGISTRY.from_config(identifier)
    if isinstance(found, type) and issubclass(found, Optimizer):
        kind: Any = found
        found = kind()
    if isinstance(found, Optimizer):
        return found
    raise ValueError(
        "[keras] optimizer: expected a name such as 'adam', or an object of keras.optimizers, got "
        f"{identifier!r:.60}"
    )


def deserialize(config: Any) -> Any:
    """The optimizer of a configuration, as `serialize` gives it."""
    return get(config)


def __getattr__(name: str) -> Any:
    from ranvier.keras._missing import refuse

    raise refuse("optimizers", name, __all__)
