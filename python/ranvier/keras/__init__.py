"""Networks with Keras' names, layouts and numerics: `from ranvier import keras`.

It is a door: layers are modules of `ranvier.nn`, optimizers those of `ranvier.optim`, and `fit`
ends in the one training loop of `ranvier.training`.
"""

from __future__ import annotations

from typing import Any

from ranvier.keras import (
    activations,
    backend,
    callbacks,
    config,
    constraints,
    datasets,
    initializers,
    layers,
    losses,
    metrics,
    models,
    ops,
    optimizers,
    random,
    regularizers,
    saving,
    utils,
)
from ranvier.keras.initializers import Initializer
from ranvier.keras.layers import Input, Layer
from ranvier.keras.losses import Loss
from ranvier.keras.metrics import Metric
from ranvier.keras.models import Model, Sequential
from ranvier.keras.optimizers import Optimizer
from ranvier.keras.regularizers import Regularizer
from ranvier.keras.tensors import KerasTensor
from ranvier.keras.variables import Variable

__all__ = [
    "Input", "Layer", "Model", "Sequential", "Variable", "KerasTensor",
    "Initializer", "Loss", "Metric", "Optimizer", "Regularizer",
    "activations", "backend", "callbacks", "config", "constraints", "datasets", "initializers",
    "layers", "losses", "metrics", "models", "ops", "optimizers", "random", "regularizers",
    "saving", "utils",
]  # fmt: skip

# The interface that is followed, for programs that ask.
__version__ = "3.0.0"


def __getattr__(name: str) -> Any:
    from ranvier.keras._missing import refuse_top

    raise refuse_top(name, __all__)
