"""Keras' models: `Model` and `Sequential`."""

from __future__ import annotations

from typing import Any

from ranvier.keras.models.clone import clone_model
from ranvier.keras.models.model import Model
from ranvier.keras.models.sequential import Sequential

__all__ = ["Model", "Sequential", "clone_model", "load_model"]


def load_model(filepath: Any, *args: Any, **kwargs: Any) -> Any:
    """Refused with what to do: files hold the weights, not the layers."""
    raise ValueError(
        f"[load_model] {filepath}: expected a model that is there, as files hold weights and no "
        "layers; build the same model and call model.load_weights(filepath)"
    )


def __getattr__(name: str) -> Any:
    from ranvier.keras._missing import refuse

    raise refuse("models", name, __all__)
