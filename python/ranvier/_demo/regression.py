"""A curve through noisy points: what a straight line cannot follow and a small network can.

A demo, not a benchmark. The noise is known here, so that the error can be compared with the best
that anything could reach.
"""

from __future__ import annotations

import math

import ranvier as rv
from ranvier import nn
from ranvier._C import Tensor

POINTS, NOISE = 200, 0.1
HIDDEN, RATE, BATCH, EPOCHS = 32, 0.01, 20, 200
_WIDTH, _HEIGHT = 68, 17
_LEFT, _RIGHT, _LOW, _HIGH = -3.0, 3.0, -1.3, 1.3


def curve(x: Tensor) -> Tensor:
    """What the points scatter about."""
    return (2 * x).sin() * 0.8 + 0.2 * x


def noisy(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """`count` points, x (count, 1) and y (count,), with normal noise on y."""
    random = rv.Generator().manual_seed(seed)
    x = _LEFT + (_RIGHT - _LEFT) * rv.rand(count, 1, generator=random)
    return x, curve(x).squeeze(1) + NOISE * rv.randn(count, generator=random)


def train(seed: int, net: nn.Module | None = None) -> tuple[nn.Module, rv.History]:
    """The network 1-32-32-1, or another, trained on 200 points."""
    X, y = noisy(POINTS, seed)
    rv.manual_seed(seed)
    net = net or nn.Sequential(
        nn.Linear(1, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, 1)
    )
    history = rv.fit(
        net, X, y, loss="mse", lr=RATE, epochs=EPOCHS, batch_size=BATCH, seed=seed, verbose=0
    )
    return net, history


def picture(net: nn.Module, X: Tensor, y: Tensor) -> list[str]:
    """Points as dots, the network's answer as a line of stars."""
    lines = [[" "] * _WIDTH for _ in range(_HEIGHT)]

    def mark(x: list[float], values: list[float], sign: str) -> None:
        for across, value in zip(x, values, strict=True):
            column = round((across - _LEFT) / (_RIGHT - _LEFT) * (_WIDTH - 1))
            row = round((_HIGH - value) / (_HIGH - _LOW) * (_HEIGHT - 1))
            if 0 <= row < _HEIGHT and 0 <= column < _WIDTH:
                lines[row][column] = sign

    places = rv.linspace(_LEFT, _RIGHT, _WIDTH)
    mark(X.squeeze(1).tolist(), y.tolist(), ".")
    mark(places.tolist(), rv.predict(net, places.unsqueeze(1)).squeeze(1).tolist(), "*")
    return ["".join(line).rstrip() for line in lines]


def run(seed: int = 0) -> None:
    """Train the network and a straight line, draw the curve, and compare on new points."""
    print("Drawing a curve through noisy points")
    print(f"  network   1 -> {HIDDEN} tanh -> {HIDDEN} tanh -> 1   1,153 weights, ", end="")
    print(f"Adam {RATE}, {BATCH} a step")
    print(f"  data      {POINTS} points, y = 0.8 sin(2x) + 0.2x + noise of deviation {NOISE}")
    net, history = train(seed)
    losses = history.history["loss"]
    for epoch in (1, 50, 100, 150, 200):
        print(f"epoch {epoch:>3}/{EPOCHS}   mean squared error {losses[epoch - 1]:.4f}")
    print(f"{history.seconds:.2f} s; points (.) and what the network makes of them (*):\n")
    print("\n".join(picture(net, *noisy(POINTS, seed))))
    line, _ = train(seed, nn.Linear(1, 1))
    X_new, y_new = noisy(1000, seed + 1 if seed < 2**64 - 1 else 0)
    print("\nroot mean squared error on 1,000 new points")
    for name, model in (("a straight line", line), ("the network", net)):
        error = math.sqrt(rv.evaluate(model, X_new, y_new, loss="mse")["loss"])
        print(f"  {name:<18}{error:.3f}")
    print(f"  {'the noise alone':<18}{NOISE:.3f}")
