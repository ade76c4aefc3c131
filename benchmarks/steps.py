"""A training step, and a prediction of one row, against the peers that are installed.

    python benchmarks/steps.py [--rounds N] [--seconds S] [--threads N] [--peers ...] [ROW ...]

A ROW is widths and a batch, such as 784-128-10x32, or `predict:784-128-10x1`, or `xor`. Each peer
runs in a process of its own; they take turns, round by round, and a round is the median of its
calls. The table shows for each peer the median of the rounds in microseconds with their spread,
and how many times faster Ranvier is than the best of them, beside the target where one is set. It
times; no test depends on it.

A step is forward, loss, backward and Adam: cross-entropy behind relu layers, mean squared error
where there is one output, sigmoid layers for `xor`. Peers: NumPy written by hand, PyTorch eager
and with model and optimizer compiled, JAX jit.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

Call = Callable[[], object]
ROWS = {  # with the ratio to the best peer that is wanted
    "xor": 20.0,
    "20-64-64-1x32": 5.0,
    "784-128-10x32": 2.5,
    "784-512-256-10x128": 1.15,
    "784-2048-2048-10x512": 1.08,
    "13-24-1x16": 20.0,
    "100-300-100-5x50": 2.5,
    "64-64-64-64-64-64x7": 5.0,
    "784-1000-10x200": 1.15,
    "predict:784-128-10x1": 1.8,
    "predict:20-64-64-1x1": 4.0,
}
PEERS = ("ranvier", "numpy", "torch", "torch.compile", "jax")


class Row:
    """What a step works on: the same numbers for every peer."""

    def __init__(self, name: str) -> None:
        kind, _, shape = name.rpartition(":")
        self.predicts, self.xor = kind == "predict", shape == "xor"
        widths, _, batch = ("2-4-1x4" if self.xor else shape).partition("x")
        self.widths, self.batch = [int(w) for w in widths.split("-")], int(batch)
        rng = np.random.default_rng(0)
        self.x = rng.standard_normal((self.batch, self.widths[0])).astype("float32")
        self.squared = self.widths[-1] == 1
        labels = rng.integers(0, max(self.widths[-1], 2), self.batch)
        self.y: Any = labels[:, None].astype("float32") if self.squared else labels
        self.weights = [
            (rng.standard_normal((a, b)) * np.sqrt(2 / a)).astype("float32")
            for a, b in itertools.pairwise(self.widths)
        ]


# --- the same network for each --------------------------------------------------------------------


def of_ranvier(row: Row) -> Call:
    import ranvier as rv

    net = layers_of(rv.nn, row, lambda weight, values: weight.data.copy_(rv.tensor(values)))
    x, y = rv.tensor(row.x), rv.tensor(row.y)
    if row.predicts:
        net.eval()

        @rv.capture
        def predict(x: Any) -> Any:
            with rv.no_grad():
                return net(x)

        return lambda: predict(x)
    optimizer = rv.optim.Adam(net.parameters())
    loss_of = rv.nn.MSELoss() if row.squared else rv.nn.CrossEntropyLoss()

    @rv.capture
    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = loss_of(net(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return lambda: step(x, y)


def layers_of(nn: Any, row: Row, put: Callable[[Any, Any], object]) -> Any:
    """The network in PyTorch's names."""
    layers: list[Any] = []
    for weight in row.weights:
        layers.append(nn.Linear(*weight.shape))
        put(layers[-1].weight, np.ascontiguousarray(weight.T))
        layers.append(nn.Sigmoid() if row.xor else nn.ReLU())
    return nn.Sequential(*(layers if row.xor else layers[:-1]))


def of_torch(row: Row, compiled: bool = False) -> Call:
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    net = layers_of(torch.nn, row, lambda weight, values: weight.data.copy_(torch.tensor(values)))
    x, y = torch.tensor(row.x), torch.tensor(row.y)
    run = torch.compile(net) if compiled else net
    if row.predicts:

        def call() -> object:
            with torch.inference_mode():
                return run(x)

        return call
    optimizer = torch.optim.Adam(net.parameters(), fused=None if compiled else True)
    loss_of = torch.nn.MSELoss() if row.squared else torch.nn.CrossEntropyLoss()
    forward = torch.compile(lambda: loss_of(net(x), y)) if compiled else lambda: loss_of(net(x), y)
    update = torch.compile(optimizer.step) if compiled else optimizer.step

    def step() -> object:
        optimizer.zero_grad()
        loss = forward()
        loss.backward()
        update()
        return loss

    return step


def of_numpy(row: Row) -> Call:
    parameters = [
        *(w.copy() for w in row.weights),
        *(np.zeros(w.shape[1], "f4") for w in row.weights),
    ]
    depth = len(row.weights)
    first = [np.zeros_like(p) for p in parameters]
    second = [np.zeros_like(p) for p in parameters]
    count = 0

    def forward() -> list[Any]:
        values = [row.x]
        for i in range(depth):
            z = values[-1] @ parameters[i] + parameters[depth + i]
            if row.xor:
                z = 1 / (1 + np.exp(-z))
            elif i < depth - 1:
                z = np.maximum(z, 0)
            values.append(z)
        return values

    def slope(value: Any) -> Any:
        return value * (1 - value) if row.xor else value > 0

    def step() -> None:
        nonlocal count
        values = forward()
        z = values[-1]
        if row.squared:
            grad = 2 * (z - row.y) / row.batch
            grad = grad * slope(z) if row.xor else grad
        else:
            e = np.exp(z - z.max(1, keepdims=True))
            grad = e / e.sum(1, keepdims=True)
            grad[np.arange(row.batch), row.y] -= 1
            grad /= row.batch
        grads: list[Any] = [None] * (2 * depth)
        for i in reversed(range(depth)):
            grads[i], grads[depth + i] = values[i].T @ grad, grad.sum(0)
            if i:
                grad = (grad @ parameters[i].T) * slope(values[i])
        count += 1
        rate = 1e-3 * np.sqrt(1 - 0.999**count) / (1 - 0.9**count)
        for p, g, m, v in zip(parameters, grads, first, second, strict=True):
            m += 0.1 * (g - m)
            v += 0.001 * (g * g - v)
            p -= (rate * m / (np.sqrt(v) + 1e-8)).astype("f4")

    return forward if row.predicts else step


def of_jax(row: Row) -> Call:
    import jax
    import jax.numpy as jnp

    x, y = jnp.array(row.x), jnp.array(row.y)
    depth = len(row.weights)
    weights = [jnp.array(w) for w in row.weights]
    parameters = [*weights, *(jnp.zeros(w.shape[1]) for w in weights)]

    def forward(parameters: Any, x: Any) -> Any:
        for i in range(depth):
            x = x @ parameters[i] + parameters[depth + i]
            if row.xor:
                x = jax.nn.sigmoid(x)
            elif i < depth - 1:
                x = jax.nn.relu(x)
        return x

    def loss_of(parameters: Any, x: Any, y: Any) -> Any:
        z = forward(parameters, x)
        if row.squared:
            return jnp.mean((z - y) ** 2)
        return -jnp.mean(jax.nn.log_softmax(z)[jnp.arange(row.batch), y])

    if row.predicts:
        run = jax.jit(forward)
        return lambda: run(parameters, x).block_until_ready()

    def update(state: Any, x: Any, y: Any) -> Any:
        count, parameters, first, second = state
        loss, grads = jax.value_and_grad(loss_of)(parameters, x, y)
        count += 1
        first = [0.9 * m + 0.1 * g for m, g in zip(first, grads, strict=True)]
        second = [0.999 * v + 0.001 * g * g for v, g in zip(second, grads, strict=True)]
        rate = 1e-3 * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
        moved = [
            p - rate * m / (jnp.sqrt(v) + 1e-8)
            for p, m, v in zip(parameters, first, second, strict=True)
        ]
        return (count, moved, first, second), loss

    run_step = jax.jit(update, donate_argnums=0)
    zeros = [jnp.zeros_like(p) for p in parameters]
    state = (jnp.array(0.0), parameters, zeros, [jnp.zeros_like(p) for p in parameters])

    def step() -> None:
        nonlocal state
        state, loss = run_step(state, x, y)
        loss.block_until_ready()

    return step


MAKERS: dict[str, Callable[[Row], Call]] = {
    "ranvier": of_ranvier,
    "numpy": of_numpy,
    "torch": of_torch,
    "torch.compile": lambda row: of_torch(row, compiled=True),
    "jax": of_jax,
}


# --- timing ---------------------------------------------------------------------------------------


def serve(peer: str, name: str, seconds: float) -> None:
    """A round for every line that comes in; the first one warms up."""
    call = MAKERS[peer](Row(name))
    call()
    for _ in sys.stdin:
        times: list[float] = []
        start, calls = time.perf_counter(), 0
        while time.perf_counter() - start < seconds / 20 or not calls:
            call()
            calls += 1
        inner = max(1, int(1e-4 * calls / (time.perf_counter() - start)))
        while time.perf_counter() - start < seconds or len(times) < 3:
            begin = time.perf_counter()
            for _ in range(inner):
                call()
            times.append((time.perf_counter() - begin) / inner * 1e6)
        print(json.dumps(statistics.median(times)), flush=True)


def measured(name: str, peers: list[str], rounds: int, seconds: float) -> dict[str, list[float]]:
    """Medians of the rounds of each peer that could be run."""
    start = [sys.executable, __file__, "--seconds", str(seconds)]
    children = {
        peer: subprocess.Popen(
            [*start, "--serve", peer, name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for peer in peers
    }  # fmt: skip
    results: dict[str, list[float]] = {peer: [] for peer in peers}
    for turn in range(rounds + 1):
        for peer, child in children.items():
            assert child.stdin is not None and child.stdout is not None
            try:
                child.stdin.write("\n")
                child.stdin.flush()
            except BrokenPipeError:
                continue
            line = child.stdout.readline()
            if line and turn:
                results[peer].append(json.loads(line))
    for child in children.values():
        assert child.stdin is not None
        child.stdin.close()
        child.wait()
    return {peer: values for peer, values in results.items() if values}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", default=list(ROWS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--peers", nargs="*", default=list(PEERS))
    parser.add_argument("--serve")
    arguments = parser.parse_args()
    if arguments.serve:
        return serve(arguments.serve, arguments.rows[0], arguments.seconds)
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RANVIER_NUM_THREADS"):
        os.environ[variable] = str(arguments.threads)
    peers = [p for p in arguments.peers if importlib.util.find_spec(p.partition(".")[0])]
    print("row | " + " | ".join(peers) + " | best peer / ranvier (target)")
    for name in arguments.rows:
        results = measured(name, peers, arguments.rounds, arguments.seconds)
        middle = {peer: statistics.median(values) for peer, values in results.items()}
        cells = [
            f"{middle[p]:.1f} ({min(results[p]):.1f}-{max(results[p]):.1f})" if p in middle else "-"
            for p in peers
        ]
        others = [value for peer, value in middle.items() if peer != "ranvier"]
        ratio = f"{min(others) / middle['ranvier']:.2f}" if others and "ranvier" in middle else "-"
        print(f"{name} | " + " | ".join(cells) + f" | {ratio} ({ROWS.get(name, '-')})", flush=True)


if __name__ == "__main__":
    main()
