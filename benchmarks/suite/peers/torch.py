"""PyTorch: eager, with torch.compile around the whole step, and with its DataLoader for epochs."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch

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

torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))

ADAM: dict[str, Any] = {"betas": BETAS, "eps": EPSILON}


def trial(workload: Workload, variant: str = "") -> Trial | None:
    if workload.kind not in NETWORKS:
        return _kernel(workload) if not variant else None
    if workload.kind == "predict":
        return _predict(workload, variant == "compile") if variant != "loader" else None
    if workload.kind == "epoch":
        return _epoch(workload, variant == "loader") if variant != "compile" else None
    if variant == "loader":
        return None
    x, y = tensors(workload)
    step = Training(workload, variant == "compile").step
    return losses(lambda: step(x, y), STEPS)


# ---- networks


def network(workload: Workload) -> Any:
    nn = torch.nn
    layers: list[Any] = []
    for weight in workload.network.weights:
        layers.append(nn.Linear(*weight.shape))
        layers[-1].weight.data.copy_(torch.tensor(weight.T.copy()))
        layers[-1].bias.data.zero_()
        layers.append(nn.Sigmoid() if workload.xor else nn.ReLU())
    return nn.Sequential(*(layers if workload.xor else layers[:-1]))


def tensors(workload: Workload) -> tuple[Any, Any]:
    return torch.tensor(workload.network.x), torch.tensor(workload.network.y)


class Training:
    """A network, its loss and its optimizer."""

    def __init__(self, workload: Workload, compiled: bool = False) -> None:
        net = network(workload)
        loss_of = torch.nn.CrossEntropyLoss() if workload.classifies else torch.nn.MSELoss()
        self.optimizer = torch.optim.Adam(
            net.parameters(),
            lr=workload.rate,
            betas=BETAS,
            eps=EPSILON,
            fused=None if compiled else True,
        )

        def forward(x: Any, y: Any) -> Any:
            return loss_of(net(x), y)

        self.forward = torch.compile(forward) if compiled else forward
        self.update = torch.compile(self.optimizer.step) if compiled else self.optimizer.step

    def step(self, x: Any, y: Any) -> Any:
        self.optimizer.zero_grad()
        loss = self.forward(x, y)
        loss.backward()
        self.update()
        return loss.detach()


def _predict(workload: Workload, compiled: bool) -> Trial:
    net, (x, _) = network(workload), tensors(workload)
    net.eval()
    run = torch.compile(net) if compiled else net

    def predict() -> Any:
        with torch.inference_mode():
            return run(x)

    return Trial(predict, lambda: sample(predict().numpy()))


def _epoch(workload: Workload, loader: bool) -> Trial:
    """Slices of the data, which is the quickest way; or the loader of the tutorials."""
    step, (x, y) = Training(workload).step, tensors(workload)
    size = workload.batch
    data = torch.utils.data.TensorDataset(x, y)
    loaded = torch.utils.data.DataLoader(data, batch_size=size)

    def epoch() -> Any:
        total = torch.zeros(())
        if loader:
            for rows, answers in loaded:
                total += step(rows, answers) * len(rows)
        else:
            for i in range(0, len(x), size):
                rows = x[i : i + size]
                total += step(rows, y[i : i + size]) * len(rows)
        return total / len(x)

    return losses(epoch, EPOCHS)


# ---- kernels


def _kernel(workload: Workload) -> Trial:
    kind = workload.kind
    functional = torch.nn.functional
    if kind == "adam":
        values, grad = workload.arrays
        parameter = torch.tensor(values).requires_grad_()
        parameter.grad = torch.tensor(grad)
        optimizer = torch.optim.Adam([parameter], workload.rate, **ADAM, fused=True)

        def updated() -> Array:
            for _ in range(UPDATES):
                optimizer.step()
            return sample(parameter.detach().numpy())

        return Trial(optimizer.step, updated)
    if kind in ("cross_entropy", "layer_norm"):
        return _gradients(workload)
    inputs = [torch.from_numpy(a) for a in workload.arrays]
    if kind == "matmul16":
        inputs = [x.bfloat16() for x in inputs]  # which keeps the layout
    run = {
        "matmul": lambda: torch.mm(*inputs, out=out),
        "matmul16": lambda: torch.mm(*inputs, out=out),
        "matmul64": lambda: torch.mm(*inputs, out=out),
        "gelu": lambda: functional.gelu(inputs[0]),
        "tanh": lambda: torch.tanh(inputs[0], out=out),
        "exp": lambda: torch.exp(inputs[0], out=out),
        "sigmoid": lambda: torch.sigmoid(inputs[0], out=out),
        "relu": lambda: torch.clamp_min(inputs[0], 0, out=out),
        "softmax": lambda: torch.softmax(inputs[0], 1),
    }[kind]
    shape = inputs[0].shape
    if kind.startswith("matmul"):
        shape = (shape[0], inputs[1].shape[1])
    out = torch.empty(shape, dtype=inputs[0].dtype)
    return Trial(run, lambda: sample(run().double().numpy()))


def _gradients(workload: Workload) -> Trial:
    functional = torch.nn.functional
    if workload.kind == "cross_entropy":
        logits, classes = (torch.tensor(a) for a in workload.arrays)
        logits.requires_grad_()

        def loss() -> Any:
            logits.grad = None
            value = functional.cross_entropy(logits, classes)
            value.backward()
            return value

        return Trial(loss, lambda: sample([loss().item()], logits.grad.numpy()))
    *leaves, g = (torch.tensor(a) for a in workload.arrays)
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
