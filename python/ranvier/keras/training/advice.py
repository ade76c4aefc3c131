"""Warnings about what trains, and teaches nothing: softmax twice or of one unit, a single class."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from ranvier.keras.layers.activation import Softmax
from ranvier.keras.layers.core import Activation, Dense, Flatten, Identity, Reshape
from ranvier.keras.losses import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    SparseCategoricalCrossentropy,
)
from ranvier.training.errors import RanvierWarning, warn

_WANTED = {
    BinaryCrossentropy: "sigmoid",
    CategoricalCrossentropy: "softmax",
    SparseCategoricalCrossentropy: "softmax",
}
_MOVES = (Flatten, Identity, Reshape)  # what stands between changes no number


def warn_of_losses(model: Any, losses: list[Any]) -> None:
    """Warns where a loss expects scores and gets shares, or the other way round."""
    last = last_layers(model)
    if len(last) != len(losses):
        return
    for layer, loss in zip(last, losses, strict=True):
        wanted, given = _WANTED.get(type(loss)), activation_of(layer)
        if given == "softmax" and isinstance(layer, Dense) and layer.units == 1:
            warnings.warn(
                f"[fit] {layer.name}: expected several units for softmax, got 1, of which it "
                "always makes 1.0; use 'sigmoid'",
                RanvierWarning,
                stacklevel=5,
            )
        if wanted is None or given is None:
            continue
        scores = loss.options["from_logits"]
        if scores and given == wanted:
            advice = f"which applies {wanted} itself; leave from_logits=True out"
        elif not scores and given == "linear":
            advice = f"for which scores are no probabilities; use from_logits=True or {wanted}"
        else:
            continue
        warnings.warn(
            f"[fit] {layer.name}: its activation {given!r} goes into {type(loss).__name__}"
            f"(from_logits={scores}), {advice}",
            RanvierWarning,
            stacklevel=5,
        )


def last_layers(model: Any) -> list[Any]:
    """The layers that the outputs come from, within models that are layers too."""
    graph = getattr(model, "_graph", None)
    if graph is None:
        return []
    found = []
    for tensor in graph.outputs:
        node = tensor.node
        while node is not None and isinstance(node.layer, _MOVES) and node.parents:
            node = node.parents[0].node
        layer = node.layer if node else None
        inner = last_layers(layer)
        found.append(inner[0] if len(inner) == 1 else layer)
    return found


def activation_of(layer: Any) -> str | None:
    """The name of a layer's activation; None where it is none of ours."""
    if isinstance(layer, Softmax):
        return "softmax"
    if type(layer) in (Dense, Activation):
        return str(getattr(layer.activation, "__name__", ""))
    return None


def warn_of_one_class(compiled: Any, y: Any) -> None:
    """Warns where all rows have the same answer; `y` is a structure of Rows."""
    losses = compiled.losses
    for loss, rows in zip(losses, compiled.targets(y, len(losses)), strict=True):
        if type(loss) not in _WANTED or rows is None or len(rows) < 2:
            continue
        values = rows.tensor.numpy().reshape(len(rows), -1)
        if values.shape[1] > 1:
            if type(loss) is BinaryCrossentropy:  # several questions, each with its own answer
                continue
            values = values.argmax(1)
        present = np.unique(values)
        if len(present) == 1 and present[0] == round(float(present[0])):
            warn(
                f"[fit] y: expected at least two classes, got only class {present[0]:g} in "
                f"{len(rows)} rows; the model will learn to always give it"
            )
