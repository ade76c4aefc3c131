"""Weights of Keras models in files: by place, so that names made by counting do not matter."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from ranvier import io
from ranvier._C import ShapeError, Tensor


def _names(model: Any) -> list[str]:
    """A name for each weight: its place and its path, `000/dense/kernel`."""
    return [f"{i:03d}/{v.path}" for i, v in enumerate(model.weights)]


def save_weights(model: Any, path: Any, overwrite: bool) -> None:
    """Writes the weights.

    Raises
    ------
    FileExistsError
        If the file is there and is not to be replaced.
    ValueError
        If the model has no weights yet.
    """
    path = os.fspath(path)
    if not model.weights:
        raise ValueError(
            f"[save_weights] {model.name}: expected a model with weights, got one without; build "
            "it first, by calling it or with an input shape"
        )
    if not overwrite and os.path.exists(path):
        raise FileExistsError(f"[save_weights] {path}: expected no such file, got one")
    tensors = [v.detach() for v in model.weights]
    io.save(dict(zip(_names(model), tensors, strict=True)), path)


def load_weights(model: Any, path: Any, skip_mismatch: bool) -> None:
    """Reads weights back: all, or none on an error.

    Raises
    ------
    ValueError
        Another number of weights, or shapes that differ; each is listed.
    """
    state = io.load(os.fspath(path))
    own = model.weights
    where = f"[load_weights] {model.name}"
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ValueError(f"{where}: expected a file of weights, got {type(state).__name__}")
    values = [state[name] for name in sorted(state)]
    if len(values) != len(own):
        built = "" if model.built else "; build the model first, by calling it"
        raise ValueError(f"{where}: expected {len(own)} weights, got {len(values)}{built}")
    pairs = list(zip(own, values, strict=True))
    wrong = [
        f"{variable.path} {tuple(variable.shape)}, got {tuple(value.shape)}"
        for variable, value in pairs
        if tuple(variable.shape) != tuple(value.shape)
    ]
    if wrong and not skip_mismatch:
        raise ShapeError(f"{where}: expected {'; expected '.join(wrong)}")
    for variable, value in pairs:
        if tuple(variable.shape) == tuple(value.shape):
            variable.assign(np.asarray(value.detach().numpy()))
