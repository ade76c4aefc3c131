"""Weights of Keras models in files: by place, so that names made by counting do not matter."""

from __future__ import annotations

import os
import re
from typing import Any

import numpy as np

from ranvier import io
from ranvier._C import ShapeError, Tensor

_NUMBERED = re.compile(r"[0-9]{1,9}/")


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


def _in_order(where: str, path: str, model: Any) -> list[Tensor]:
    """The weights of a file in the order of `weights`.

    Raises
    ------
    ValueError
        If it has no weights, or nobody knows in which order.
    """
    from ranvier.io import kinds, models, tensors

    named, metadata = tensors.read(path)
    if kinds.kind_of(path, metadata) == kinds.MODEL:
        description = models.description_of(path, metadata)
        if "keras" in description:
            from ranvier.keras._files import whole

            return whole.ordered(path, description, named)
        return _of_layers(path, description, named)
    state = models.state_of(path, named, metadata)
    if not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{where}: expected a file of weights, got one of other values too")
    if all(_NUMBERED.match(name) for name in state):
        return [state[name] for name in sorted(state, key=lambda name: int(name.split("/")[0]))]
    for names in ([v.path for v in model.weights], list(model.state_dict())):
        if set(names) == set(state):
            return [state[name] for name in names]
    wanted = model.weights[0].path if model.weights else "none"
    raise ValueError(
        f"{where}: expected the names of its weights, such as {wanted!r:.60}, or numbers in "
        f"front of them, got {next(iter(state), 'none')!r:.60}"
    )


def _of_layers(path: str, description: Any, named: Any) -> list[Tensor]:
    """The weights in a file that knows a model's layers by the names of their classes alone."""
    from ranvier.io import building

    found: dict[str, Tensor] = {}
    for at, node in building.layers_of(description["model"]):
        kept = building.tensors_of(node) if "class" in node else {}
        for name in sorted(kept, key=set(node.get("frozen", ())).__contains__):
            full = f"{at}.{name}" if at else name
            full = description["tied"].get(full, full)
            if full not in named:
                raise ValueError(f"[load_weights] {path}: expected {full!r:.60}, got none")
            found[full] = named[full]
    return list(found.values())


def load_weights(model: Any, path: Any, skip_mismatch: bool) -> None:
    """Reads weights back: all, or none on an error.

    Raises
    ------
    ValueError
        Another number of weights, or shapes that differ; each is listed.
    """
    own = model.weights
    where = f"[load_weights] {model.name}"
    values = _in_order(where, os.fspath(path), model)
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
