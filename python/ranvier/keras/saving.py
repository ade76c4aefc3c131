"""Whole models in files, and the names that own classes are known by."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from ranvier.keras._files.values import OWN, PLACES, known_as, place_of, searched, thing_at
from ranvier.keras._files.whole import load_model, save_model
from ranvier.keras._names import custom_objects, register, registered_name, serialize
from ranvier.keras.models import Model
from ranvier.keras.models.files import load_weights as _load_weights
from ranvier.keras.models.files import save_weights as _save_weights

__all__ = [
    "CustomObjectScope", "custom_object_scope", "deserialize_keras_object", "get_custom_objects",
    "get_registered_name", "get_registered_object", "load_model", "load_weights",
    "register_keras_serializable", "save_model", "save_weights", "serialize_keras_object",
]  # fmt: skip

register_keras_serializable = register


def get_custom_objects() -> dict[str, Any]:
    """What was registered, by name; to be added to."""
    return custom_objects


def get_registered_object(
    name: str, custom_objects: Mapping[str, Any] | None = None, module_objects: Any = None
) -> Any:
    """What was registered under a name; None where nothing was."""
    with known_as(custom_objects):
        return get_custom_objects().get(name.rpartition(">")[2])


def get_registered_name(obj: Any) -> str | None:
    """The name under which a class or function was registered, or its own."""
    return registered_name(obj)


def custom_object_scope(custom_objects: Mapping[str, Any]) -> AbstractContextManager[None]:
    """Within it classes and functions are known by these names.

    Examples
    --------
    >>> from ranvier import keras
    >>> with keras.saving.custom_object_scope({"double": lambda x: x * 2}):
    ...     layer = keras.layers.Dense(1, activation="double")
    """
    return known_as(custom_objects)


CustomObjectScope = custom_object_scope


def serialize_keras_object(obj: Any) -> Any:
    """The configuration of an object, or the name of a function, as `get_config` may hold it.

    Examples
    --------
    >>> from ranvier import keras
    >>> keras.saving.serialize_keras_object(keras.regularizers.L2(0.5))
    {'class_name': 'L2', 'config': {'l2': 0.5}, 'module': 'keras.regularizers'}
    """
    found = serialize(obj)
    if isinstance(found, dict) and hasattr(obj, "get_config") and not isinstance(obj, Model):
        found["module"], found["class_name"] = place_of(type(obj))
    return found


def deserialize_keras_object(
    config: Any, custom_objects: Mapping[str, Any] | None = None, safe_mode: bool = True
) -> Any:
    """The object of what `serialize_keras_object` gave; a model has new weights.

    Raises
    ------
    ValueError
        For a name that nobody knows.
    """
    if isinstance(config, (list, tuple)):
        parts = [deserialize_keras_object(part, custom_objects) for part in config]
        return parts if isinstance(config, list) else tuple(parts)
    if not isinstance(config, (str, Mapping)):
        return config
    with known_as(custom_objects):
        if isinstance(config, str):
            return searched(config)
        if "class_name" not in config:
            raise ValueError(
                "[deserialize_keras_object] config: expected a name, or class_name and config, got "
                f"{config!r:.60}"
            )
        name, module = str(config["class_name"]), config.get("module")
        kind = thing_at(module, name) if module in (OWN, *PLACES) else searched(name)
        return kind.from_config(dict(config.get("config") or {}))


def save_weights(model: Any, filepath: Any, overwrite: bool = True, **kwargs: Any) -> None:
    """Writes the weights of a model to a file, as `model.save_weights` does."""
    _save_weights(model, filepath, overwrite)


def load_weights(model: Any, filepath: Any, skip_mismatch: bool = False, **kwargs: Any) -> None:
    """Reads weights into a model, as `model.load_weights` does."""
    _load_weights(model, filepath, skip_mismatch)
