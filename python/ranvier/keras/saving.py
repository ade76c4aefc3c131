"""Names that own classes are known by, and why whole models are not read from files."""

from __future__ import annotations

from typing import Any

from ranvier.keras._names import custom_objects, register, serialize
from ranvier.keras.models import load_model

__all__ = [
    "get_custom_objects", "get_registered_object", "load_model", "register_keras_serializable",
    "serialize_keras_object",
]  # fmt: skip

register_keras_serializable = register
serialize_keras_object = serialize


def get_custom_objects() -> dict[str, Any]:
    """What was registered, by name; to be added to."""
    return custom_objects


def get_registered_object(name: str) -> Any:
    """What was registered under a name; None where nothing was."""
    return custom_objects.get(name.rpartition(">")[2])
