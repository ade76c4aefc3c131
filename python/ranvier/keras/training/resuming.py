"""Runs of Keras' `fit` that go on: from `checkpoint=`, or from a `BackupAndRestore`.

What the state is, and how a run goes on from it, is `ranvier.training.keeping`'s; what stands here
is what must be the same. Layers and weights are known by their place, as their names are counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ranvier import _C
from ranvier.keras.tensors import flatten
from ranvier.keras.training.data import ArrayBatches
from ranvier.training import sameness
from ranvier.training.keeping import Keeper

_NAMES = ("name", "built", "stop_training", "loss")  # of a layer: no matter of what it computes


def compare(keeper: Keeper, task: Any, told: Iterable[Any], shuffle: bool) -> None:
    """A ValueError unless the run is the one whose state there is."""
    settings = {**of_task(task), "shuffle": bool(shuffle)}
    keeper.compare(task, told, _C.default_generator(), settings)


def of_task(task: Any) -> dict[str, Any]:
    """What is trained and how, by names that a user knows."""
    compiled, chosen = task.compiled, task.keras_optimizer
    losses = [None if loss is None else loss.name for loss in compiled.losses]
    return {
        "model": of_model(task.model),
        "loss": losses,
        "loss_weights": list(compiled.weights),
        "metrics": [name for name, *_ in compiled.measures],
        "optimizer": type(chosen).__name__,
        "weight_decay": chosen.weight_decay,
        **{name: getattr(chosen, name) for name in ("clipnorm", "clipvalue", "global_clipnorm")},
        **of_batches(task.batches),
        "validation": None if task.validation is None else of_batches(task.validation)["X"],
        "validation_freq": repr(task.frequency),
        "initial_epoch": task.first_epoch,
        "seed": None,
    }


def of_model(model: Any) -> dict[str, Any]:
    """Layers and weights by their place."""
    known: dict[str, Any] = {}
    for i, layer in enumerate(model.modules()):
        told = sameness.layer_of(layer)
        known[f"layer {i}"] = {key: value for key, value in told.items() if key not in _NAMES}
        activation = getattr(getattr(layer, "activation", None), "__name__", None)
        if activation is not None:
            known[f"layer {i}"]["activation"] = str(activation)
    for i, weight in enumerate(model.weights):
        known[f"weight {i}"] = f"{weight.dtype.name} {tuple(weight.shape)}"
    return known


def of_batches(batches: Any) -> dict[str, Any]:
    """What an epoch goes through."""
    if not isinstance(batches, ArrayBatches):
        source = type(getattr(batches.source, "source", batches.source)).__name__
        told = f"{source} of {batches.steps or 'some'} batches"
        return {"X": told, "batch_size": None, "steps": batches.steps}
    parts = {"X": batches.x, "y": batches.y, "weights of rows": batches.weight}
    found = {
        name: ", ".join(filter(None, map(sameness.of_rows, flatten(part)))) or None
        for name, part in parts.items()
    }
    return {**found, "batch_size": batches.size, "steps": batches.steps}
