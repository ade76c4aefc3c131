"""Keras 3 with the quickest backend that is installed; and its model in Ranvier's Keras door."""

from __future__ import annotations

import importlib.util
import os
from typing import Any

import numpy as np

from ..workloads import (
    BETAS,
    EPOCHS,
    EPSILON_BEFORE,
    NETWORKS,
    STEPS,
    Array,
    Workload,
    sample,
)
from . import Trial, losses


def trial(workload: Workload, variant: str = "") -> Trial | None:
    backend = next((b for b in ("jax", "torch", "tensorflow") if importlib.util.find_spec(b)), "")
    os.environ.setdefault("KERAS_BACKEND", backend)
    import keras

    return model_trial(workload, keras) if workload.kind in NETWORKS else None


def model_trial(workload: Workload, keras: Any) -> Trial:
    """The model in the words that both understand."""
    model = _model(workload, keras)
    x, y = workload.network.x, workload.network.y
    if workload.kind == "predict":
        return Trial(
            lambda: model.predict_on_batch(x), lambda: sample(_array(model.predict_on_batch(x)))
        )
    if workload.kind == "epoch":
        settings = {"batch_size": workload.batch, "epochs": 1, "shuffle": False, "verbose": 0}
        return losses(lambda: model.fit(x, y, **settings).history["loss"][-1], EPOCHS)

    def first_losses() -> Array:
        found = []
        for _ in range(STEPS):
            model.reset_metrics()  # what a step returns is a mean since then
            found.append(float(model.train_on_batch(x, y)))
        return np.array(found)

    return Trial(lambda: model.train_on_batch(x, y), first_losses)


def _array(values: Any) -> Array:
    return np.asarray(values)


def _model(workload: Workload, keras: Any) -> Any:
    depth = len(workload.network.weights)
    layers: list[Any] = [keras.Input((workload.widths[0],))]
    for i, width in enumerate(workload.widths[1:]):
        inner = "sigmoid" if workload.xor else "relu"
        activation = inner if workload.xor or i < depth - 1 else None
        layers.append(keras.layers.Dense(width, activation=activation))
    model = keras.Sequential(layers)
    loss: Any = keras.losses.MeanSquaredError()
    if workload.classifies:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.Adam(
        workload.rate, beta_1=BETAS[0], beta_2=BETAS[1], epsilon=EPSILON_BEFORE
    )
    model.compile(optimizer=optimizer, loss=loss)
    arrays: list[Array] = []
    for weight in workload.network.weights:
        arrays += [weight, np.zeros(weight.shape[1], "f4")]
    model.set_weights(arrays)
    return model
