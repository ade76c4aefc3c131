"""Keras' models: `Model` and `Sequential`."""

from __future__ import annotations

from typing import Any

from ranvier.keras.models.clone import clone_model
from ranvier.keras.models.model import Model
from ranvier.keras.models.sequential import Sequential

__all__ = ["Model", "Sequential", "clone_model", "load_model", "model_from_json", "save_model"]


def __getattr__(name: str) -> Any:
    if name in (
        "load_model",
        "model_from_json",
        "save_model",
    ):  # what files are made of is needed by nobody else
        from ranvier.keras._files import whole

        return getattr(whole, name)
    from ranvier.keras._missing import refuse

    raise refuse("models", name, __all__)
