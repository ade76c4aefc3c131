"""JAX at its best: everything under jit, buffers donated, a whole epoch in one scan."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp

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

jax.config.update("jax_enable_x64", True)  # for products in float64; all else says float32


def trial(workload: Workload, variant: str = "") -> Trial | None:
    if workload.kind not in NETWORKS:
        return _kernel(workload)
    if workload.kind == "predict":
        parameters, x = _parameters(workload), jnp.asarray(workload.network.x)
        run = jax.jit(lambda parameters, x: _forward(workload, parameters, x))
        return Trial(
            lambda: run(parameters, x).block_until_ready(), lambda: sample(run(parameters, x))
        )
    if workload.kind == "epoch":
        return _epoch(workload)
    return _step(workload)


# ---- networks


def _parameters(workload: Workload) -> list[Any]:
    weights = [jnp.asarray(w) for w in workload.network.weights]
    return [*weights, *(jnp.zeros(w.shape[1], "f4") for w in weights)]


def _forward(workload: Workload, parameters: Any, x: Any) -> Any:
    depth = len(workload.widths) - 1
    for i in range(depth):
        x = x @ parameters[i] + parameters[depth + i]
        if workload.xor:
            x = jax.nn.sigmoid(x)
        elif i < depth - 1:
            x = jax.nn.relu(x)
    return x


def _corrections(rate: float, count: Any) -> tuple[Any, Any]:
    """Of Adam's two means. 1 - beta^t as such would lose four digits in float32."""
    first, second = (-jnp.expm1(count * math.log(beta)) for beta in BETAS)
    return rate / first, jnp.sqrt(second)


def _update_of(workload: Workload) -> Any:
    """(state, x, y) -> (state, loss): a step with Adam."""

    def loss_of(parameters: Any, x: Any, y: Any) -> Any:
        z = _forward(workload, parameters, x)
        if not workload.classifies:
            return jnp.mean((z - y) ** 2)
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(z), y[:, None], 1))

    def update(state: Any, x: Any, y: Any) -> Any:
        count, parameters, first, second = state
        loss, grads = jax.value_and_grad(loss_of)(parameters, x, y)
        count = count + 1
        rate, root = _corrections(workload.rate, count)
        first = [BETAS[0] * m + (1 - BETAS[0]) * g for m, g in zip(first, grads, strict=True)]
        second = [BETAS[1] * v + (1 - BETAS[1]) * g * g for v, g in zip(second, grads, strict=True)]
        parameters = [
            p - rate * m / (jnp.sqrt(v) / root + EPSILON)
            for p, m, v in zip(parameters, first, second, strict=True)
        ]
        return (count, parameters, first, second), loss

    return update


def _fresh(workload: Workload) -> Any:
    parameters = _parameters(workload)
    zeros = [[jnp.zeros_like(p) for p in parameters] for _ in range(2)]
    return (jnp.zeros((), "f4"), parameters, *zeros)


def _step(workload: Workload) -> Trial:
    run = jax.jit(_update_of(workload), donate_argnums=0)
    x, y = jnp.asarray(workload.network.x), jnp.asarray(workload.network.y)
    state = _fresh(workload)

    def step() -> Any:
        nonlocal state
        state, loss = run(state, x, y)
        return loss.block_until_ready()

    return losses(step, STEPS)


def _epoch(workload: Workload) -> Trial | None:
    batch, rows = workload.batch, workload.rows
    if rows % batch:
        return None  # a scan has batches of one size
    update = _update_of(workload)
    run = jax.jit(lambda state, x, y: jax.lax.scan(lambda s, b: update(s, *b), state, (x, y)),
                  donate_argnums=0)  # fmt: skip
    x, y = (
        jnp.asarray(a.reshape(rows // batch, batch, *a.shape[1:])) for a in workload.network[:2]
    )
    state = _fresh(workload)

    def epoch() -> Any:
        nonlocal state
        state, all_losses = run(state, x, y)
        return all_losses.mean().block_until_ready()

    return losses(epoch, EPOCHS)


# ---- kernels


def _kernel(workload: Workload) -> Trial:
    kind = workload.kind
    inputs = [jnp.asarray(a) for a in workload.arrays]
    if kind == "matmul16":
        inputs = [x.astype(jnp.bfloat16) for x in inputs]
    if kind == "adam":
        return _adam(workload.rate, *inputs)
    if kind == "cross_entropy":

        def loss(x: Any, y: Any) -> Any:
            chances = jax.nn.log_softmax(x)
            return -jnp.mean(jnp.take_along_axis(chances, y[:, None], 1))

        run = jax.jit(jax.value_and_grad(loss))
        return Trial(
            lambda: jax.block_until_ready(run(*inputs)),
            lambda: (lambda value, grad: sample([float(value)], grad))(*run(*inputs)),
        )
    if kind == "layer_norm":

        def norm(x: Any, weight: Any, bias: Any, g: Any) -> Any:
            mean, variance = x.mean(1, keepdims=True), x.var(1, keepdims=True)
            unit = (x - mean) / jnp.sqrt(variance + 1e-5)
            return ((unit * weight + bias) * g).sum()

        gradients = jax.jit(jax.grad(norm, argnums=(0, 1, 2)))
        return Trial(
            lambda: jax.block_until_ready(gradients(*inputs)), lambda: sample(*gradients(*inputs))
        )
    function = jax.jit({
        "matmul": jnp.matmul,
        "matmul16": jnp.matmul,
        "matmul64": jnp.matmul,
        "gelu": lambda x: jax.nn.gelu(x, approximate=False),
        "tanh": jnp.tanh,
        "exp": jnp.exp,
        "sigmoid": jax.nn.sigmoid,
        "relu": jax.nn.relu,
        "softmax": lambda x: jax.nn.softmax(x, axis=1),
    }[kind])  # fmt: skip
    return Trial(
        lambda: function(*inputs).block_until_ready(),
        lambda: sample(function(*inputs).astype(float)),
    )


def _adam(chosen: float, p: Any, g: Any) -> Trial:
    @jax.jit
    def kept(state: Any, g: Any) -> Any:
        count, p, m, v = state
        count = count + 1
        m = BETAS[0] * m + (1 - BETAS[0]) * g
        v = BETAS[1] * v + (1 - BETAS[1]) * g * g
        rate, root = _corrections(chosen, count)
        return count, p - rate * m / (jnp.sqrt(v) / root + EPSILON), m, v

    update = jax.jit(kept, donate_argnums=0)
    state = (jnp.zeros((), "f4"), p, jnp.zeros_like(p), jnp.zeros_like(p))

    def run() -> Any:
        nonlocal state
        state = jax.block_until_ready(update(state, g))
        return state[1]

    def updated() -> Array:
        for _ in range(UPDATES):
            run()
        return sample(state[1])

    return Trial(run, updated)
