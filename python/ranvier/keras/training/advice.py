"""Warnings about losses that do not go with the last layer: softmax twice, or not at all."""

from __future__ import annotations

import warnings
from typing import Any

from ranvier.keras.layers.activation import Softmax
from ranvier.keras.layers.core import Activation, Dense
from ranvier.keras.losses import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    SparseCategoricalCrossentropy,
)
from ranvier.training.errors import RanvierWarning

_WANTED = {
    BinaryCrossentropy: "sigmoid",
    CategoricalCrossentropy: "softmax",
    SparseCategoricalCrossentropy: "softmax",
}


def warn_of_losses(model: Any, losses: list[Any]) -> None:
    """Warns where a loss expects scores and gets shares, or the other way round."""
    last = last_layers(model)
    if len(last) != len(losses):
        return
    for layer, loss in zip(last, losses, strict=True):
        wanted, given = _WANTED.get(type(loss)), activation_of(layer)
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
        layer = tensor.node.layer if tensor.node else None
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
