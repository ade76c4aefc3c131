"""NumPy, as somebody who knows it writes a network by hand; in float64 it is the reference.

Kernels write into arrays that are there where NumPy can, as a careful program does.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..workloads import BETAS, EPOCHS, EPSILON, NETWORKS, STEPS, Array, Workload, sample
from . import Trial, losses


def trial(workload: Workload, variant: str = "") -> Trial | None:
    if workload.kind in NETWORKS:
        return network_trial(workload, np.float32)
    run = _kernel(workload)
    return run and Trial(run, lambda: sample(run()))


# ---- networks


class ByHand:
    """A dense network with Adam."""

    def __init__(self, workload: Workload, dtype: Any) -> None:
        self.xor, self.classifies = workload.xor, workload.classifies
        self.weights = [w.astype(dtype) for w in workload.network.weights]
        self.biases = [np.zeros(w.shape[1], dtype) for w in self.weights]
        self.parameters = [*self.weights, *self.biases]
        self.first = [np.zeros_like(p) for p in self.parameters]
        self.second = [np.zeros_like(p) for p in self.parameters]
        self.scratch = [np.empty_like(p) for p in self.parameters]
        self.count, self.rate = 0, workload.rate

    def forward(self, x: Array) -> list[Array]:
        """The values between the layers; the last are the outputs."""
        values = [x]
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            z = values[-1] @ weight + bias
            if self.xor:
                z = 1 / (1 + np.exp(-z))
            elif i < len(self.weights) - 1:
                z = np.maximum(z, 0)
            values.append(z)
        return values

    def slope(self, value: Array) -> Array:
        return value * (1 - value) if self.xor else value > 0

    def step(self, x: Array, y: Array) -> Any:
        """Forward, loss, backward, update; the loss."""
        values = self.forward(x)
        z, rows = values[-1], len(x)
        if self.classifies:
            shifted = z - z.max(1, keepdims=True)
            e = np.exp(shifted)
            sums = e.sum(1, keepdims=True)
            loss = (np.log(sums[:, 0]) - shifted[np.arange(rows), y]).mean()
            grad = e / sums
            grad[np.arange(rows), y] -= 1
            grad /= rows
        else:
            difference = z - y
            loss = np.square(difference).mean()
            grad = 2 * difference / rows
            grad = grad * self.slope(z) if self.xor else grad
        depth = len(self.weights)
        grads: list[Array] = [None] * (2 * depth)
        for i in reversed(range(depth)):
            grads[i], grads[depth + i] = values[i].T @ grad, grad.sum(0)
            if i:
                grad = (grad @ self.weights[i].T) * self.slope(values[i])
        self.update(grads)
        return loss

    def update(self, grads: list[Array]) -> None:
        """Adam, in place."""
        self.count += 1
        rate = self.rate / (1 - BETAS[0] ** self.count)
        root = math.sqrt(1 - BETAS[1] ** self.count)  # a plain float leaves float32 as it is
        state = zip(self.parameters, grads, self.first, self.second, self.scratch, strict=True)
        for p, g, m, v, s in state:
            m *= BETAS[0]
            m += np.multiply(g, 1 - BETAS[0], out=s)
            v *= BETAS[1]
            np.square(g, out=s)
            v += np.multiply(s, 1 - BETAS[1], out=s)
            np.sqrt(v, out=s)
            s /= root
            s += EPSILON
            np.divide(m, s, out=s)
            s *= rate
            p -= s

    def epoch(self, x: Array, y: Array, batch: int) -> Any:
        """The mean loss."""
        total = 0.0
        for i in range(0, len(x), batch):
            rows = x[i : i + batch]
            total += self.step(rows, y[i : i + batch]) * len(rows)
        return total / len(x)


def network_trial(workload: Workload, dtype: Any) -> Trial:
    net = ByHand(workload, dtype)
    x, y = workload.network.x.astype(dtype), workload.network.y
    y = y if workload.classifies else y.astype(dtype)
    if workload.kind == "predict":
        return Trial(lambda: net.forward(x)[-1], lambda: sample(net.forward(x)[-1]))
    if workload.kind == "epoch":
        return losses(lambda: net.epoch(x, y, workload.batch), EPOCHS)
    return losses(lambda: net.step(x, y), STEPS)


# ---- kernels


def _kernel(workload: Workload) -> Any:
    if workload.kind in ("matmul", "matmul64"):
        a, b = workload.arrays
        product = np.empty((a.shape[0], b.shape[1]), a.dtype)
        return lambda: np.matmul(a, b, out=product)
    if workload.kind in ("tanh", "exp", "relu"):
        (x,) = workload.arrays
        out = np.empty_like(x)
        if workload.kind == "relu":
            return lambda: np.maximum(x, 0, out=out)
        function = getattr(np, workload.kind)
        return lambda: function(x, out=out)
    if workload.kind == "softmax":
        (x,) = workload.arrays
        return lambda: _softmax(x)
    return None


def _softmax(x: Array) -> Array:
    e = np.exp(x - x.max(1, keepdims=True))
    e /= e.sum(1, keepdims=True)
    return e
