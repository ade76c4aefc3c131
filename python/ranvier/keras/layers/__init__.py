"""Keras' layers for dense networks."""

from __future__ import annotations

from typing import Any

from ranvier.keras._names import Registry, serialize
from ranvier.keras.layers.activation import ELU, LeakyReLU, PReLU, ReLU, Softmax
from ranvier.keras.layers.core import (
    Activation,
    Dense,
    Flatten,
    Identity,
    Input,
    InputLayer,
    Lambda,
    Permute,
    RepeatVector,
    Reshape,
)
from ranvier.keras.layers.layer import Layer
from ranvier.keras.layers.merging import (
    Add,
    Average,
    Concatenate,
    Dot,
    Maximum,
    Minimum,
    Multiply,
    Subtract,
    add,
    average,
    concatenate,
    dot,
    maximum,
    minimum,
    multiply,
    subtract,
)
from ranvier.keras.layers.normalization import (
    BatchNormalization,
    LayerNormalization,
    UnitNormalization,
)
from ranvier.keras.layers.preprocessing import Normalization, Rescaling
from ranvier.keras.layers.regularization import (
    ActivityRegularization,
    Dropout,
    GaussianDropout,
    GaussianNoise,
)

__all__ = [
    "Layer", "Input", "InputLayer", "Dense", "Activation", "Lambda", "Identity", "Flatten",
    "Reshape", "Permute", "RepeatVector", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax",
    "Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate", "Dot",
    "add", "subtract", "multiply", "average", "maximum", "minimum", "concatenate", "dot",
    "BatchNormalization", "LayerNormalization", "UnitNormalization", "Normalization", "Rescaling",
    "Dropout", "GaussianNoise", "GaussianDropout", "ActivityRegularization",
    "serialize", "deserialize",
]  # fmt: skip

_REGISTRY: Registry[Any] = Registry(
    "layer",
    {
        name: thing
        for name, thing in list(globals().items())
        if isinstance(thing, type) and issubclass(thing, Layer)
    },
)


def deserialize(config: Any) -> Any:
    """The layer of a configuration, as `serialize` gives it; without its weights."""
    return _REGISTRY.from_config(config)


def __getattr__(name: str) -> Any:
    from ranvier.keras._missing import refuse

    raise refuse("layers", name, __all__)
