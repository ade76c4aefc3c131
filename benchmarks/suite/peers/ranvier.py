"""Ranvier: recorded steps and predictions, `fit` for epochs; eager and Keras' door beside them."""

from __future__ import annotations

from typing import Any

import numpy as np

import ranvier as rv
from ranvier import nn

from ..workloads import (
    BETAS,
    EPOCHS,
    EPSILON,
    NETWORKS,
    STEPS,
    UPDATES,
    Array,
    Workload,
    sample,
)
from . import Trial, losses

LOSSES = {True: "cross_entropy", False: "mse"}


def trial(workload: Workload, variant: str = "") -> Trial | None:
    if variant == "keras":
        return _keras(workload)
    if workload.kind not in NETWORKS:
        return _kernel(workload) if not variant else None
    if workload.kind == "predict":
        return _predict(workload, variant)
    if workload.kind == "epoch":
        return _epoch(workload) if not variant else None
    step = step_of(workload)
    return losses(step if variant == "eager" else captured(step), STEPS)


# ---- networks


def network(workload: Workload) -> nn.Sequential:
    layers: list[nn.Module] = []
    for weight in workload.network.weights:
        layers.append(nn.Linear(*weight.shape))
        layers[-1].weight.data.copy_(rv.tensor(weight.T.copy()))
        layers[-1].bias.data.zero_()
        layers.append(nn.Sigmoid() if workload.xor else nn.ReLU())
    return nn.Sequential(*(layers if workload.xor else layers[:-1]))


def tensors(workload: Workload) -> tuple[rv.Tensor, rv.Tensor]:
    return rv.tensor(workload.network.x), rv.tensor(workload.network.y)


def step_of(workload: Workload) -> Any:
    """A function of no arguments: one training step, eager; its loss."""
    net, (x, y) = network(workload), tensors(workload)
    optimizer = rv.optim.Adam(net.parameters(), lr=workload.rate, betas=BETAS, eps=EPSILON)
    loss_of = nn.CrossEntropyLoss() if workload.classifies else nn.MSELoss()

    def step(x: rv.Tensor = x, y: rv.Tensor = y) -> rv.Tensor:
        optimizer.zero_grad()
        loss = loss_of(net(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step


def captured(step: Any) -> Any:
    """The same, recorded, with data as arguments: as a loop over batches has it."""
    x, y = step.__defaults__
    recorded = rv.capture(step)
    return lambda: recorded(x, y)


def _predict(workload: Workload, variant: str) -> Trial:
    net, (x, _) = network(workload), tensors(workload)
    net.eval()

    def forward(x: rv.Tensor) -> rv.Tensor:
        with rv.no_grad():
            return net(x)

    run = forward if variant == "eager" else rv.capture(forward)
    return Trial(lambda: run(x), lambda: sample(run(x).numpy()))


def _epoch(workload: Workload) -> Trial:
    net, (x, y) = network(workload), (workload.network.x, workload.network.y)
    optimizer = rv.optim.Adam(net.parameters(), lr=workload.rate, betas=BETAS, eps=EPSILON)
    settings: dict[str, Any] = {
        "loss": LOSSES[workload.classifies],
        "optimizer": optimizer,
        "epochs": 1,
        "batch_size": workload.batch,
        "shuffle": False,
        "verbose": 0,
    }
    return losses(lambda: rv.fit(net, x, y, **settings).history["loss"][-1], EPOCHS)


# ---- in Keras' words


def _keras(workload: Workload) -> Trial | None:
    from ranvier import keras

    if workload.kind not in NETWORKS:
        return None
    from .keras import model_trial

    return model_trial(workload, keras)


# ---- kernels


def _kernel(workload: Workload) -> Trial:
    kind = workload.kind
    if kind == "adam":
        values, grad = workload.arrays
        parameter = rv.tensor(values).requires_grad_()
        parameter.grad = rv.tensor(grad)
        optimizer = rv.optim.Adam([parameter], lr=workload.rate, betas=BETAS, eps=EPSILON)

        def updated() -> Array:
            for _ in range(UPDATES):
                optimizer.step()
            return sample(parameter.detach().numpy())

        return Trial(optimizer.step, updated)
    if kind in ("cross_entropy", "layer_norm"):
        return _gradients(workload)
    inputs = [rv.from_numpy(a) for a in workload.arrays]
    if kind.startswith("matmul"):
        a, b = map(_halves, inputs) if kind == "matmul16" else inputs
        return Trial(lambda: a @ b, lambda: sample((a @ b).double().numpy()))
    (x,) = inputs
    if kind == "softmax":
        return Trial(lambda: rv.softmax(x, 1), lambda: sample(rv.softmax(x, 1).numpy()))
    function = nn.functional.gelu if kind == "gelu" else getattr(rv, kind)
    return Trial(lambda: function(x), lambda: sample(function(x).numpy()))


def _halves(x: rv.Tensor) -> rv.Tensor:
    """In bfloat16, with the layout that it has."""
    return x.bfloat16() if x.is_contiguous() else x.T.bfloat16().T


def _gradients(workload: Workload) -> Trial:
    """Forward and backward, from gradients that are not there yet."""
    functional = nn.functional
    if workload.kind == "cross_entropy":
        logits, classes = (rv.tensor(a) for a in workload.arrays)
        logits.requires_grad_()

        def loss() -> rv.Tensor:
            logits.grad = None
            value = functional.cross_entropy(logits, classes)
            value.backward()
            return value

        return Trial(loss, lambda: sample([loss().item()], np.asarray(logits.grad)))
    *leaves, g = (rv.tensor(a) for a in workload.arrays)
    for leaf in leaves:
        leaf.requires_grad_()
    x, weight, bias = leaves
    width = (x.shape[1],)

    def norm() -> None:
        x.grad = weight.grad = bias.grad = None
        functional.layer_norm(x, width, weight, bias).backward(g)

    def gradients() -> Array:
        norm()
        return sample(*(np.asarray(leaf.grad) for leaf in leaves))

    return Trial(norm, gradients)
