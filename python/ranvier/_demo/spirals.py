"""Two spirals wound into each other: the border that a network draws between them.

A demo, not a benchmark. The picture shows what the network answers at every place, and the rows
that it learned from as letters.
"""

from __future__ import annotations

import ranvier as rv
from ranvier import nn
from ranvier._C import Tensor

TURNS, POINTS, NOISE = 1.5, 200, 0.02
HIDDEN, RATE, BATCH, EPOCHS = 32, 0.01, 32, 200
_WIDTH, _HEIGHT = 66, 25


def spirals(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """`count` points, (count, 2) in the square from -1 to 1, and which spiral each is on."""
    random = rv.Generator().manual_seed(seed)
    along = rv.rand(count, generator=random).sqrt()
    label = rv.arange(count) % 2
    angle = 2 * rv.pi * TURNS * along + rv.pi * label
    points = along.unsqueeze(1) * rv.stack([angle.cos(), angle.sin()], dim=1)
    return 0.95 * points + NOISE * rv.randn(count, 2, generator=random), label


def train(seed: int) -> tuple[nn.Module, rv.History]:
    """The network 2-32-32-2, trained on 200 points."""
    X, y = spirals(POINTS, seed)
    rv.manual_seed(seed)
    net = nn.Sequential(
        nn.Linear(2, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, 2)
    )
    history = rv.fit(
        net, X, y, loss="cross_entropy", lr=RATE, epochs=EPOCHS, batch_size=BATCH, seed=seed,
        metrics="accuracy", verbose=0,
    )  # fmt: skip
    return net, history


def picture(net: nn.Module, X: Tensor, y: Tensor) -> list[str]:
    """The square, a character for a place: the network's answer, or a point it learned from."""
    across, up = rv.linspace(-1.0, 1.0, _WIDTH), rv.linspace(0.9, -0.9, _HEIGHT)
    places = rv.stack(
        [across.expand(_HEIGHT, _WIDTH), up.unsqueeze(1).expand(_HEIGHT, _WIDTH)], dim=2
    )
    answers = rv.predict(net, places.reshape(-1, 2)).argmax(1).reshape(_HEIGHT, _WIDTH)
    lines = [[" ."[answer] for answer in row] for row in answers.tolist()]
    columns = ((X[:, 0] + 1) / 2 * (_WIDTH - 1)).round().long().tolist()
    rows = ((0.9 - X[:, 1]) / 1.8 * (_HEIGHT - 1)).round().long().tolist()
    for column, row, label in zip(columns, rows, y.tolist(), strict=True):
        if 0 <= row < _HEIGHT and 0 <= column < _WIDTH:
            lines[row][column] = "ox"[label]
    return ["".join(line).rstrip() for line in lines]


def run(seed: int = 0) -> None:
    """Train, draw the border, and count new points on the right side of it."""
    print("Telling two spirals apart that are wound into each other")
    print(f"  network   2 -> {HIDDEN} tanh -> {HIDDEN} tanh -> 2   1,218 weights, ", end="")
    print(f"Adam {RATE}, {BATCH} a step")
    print(f"  data      {POINTS} points of two coordinates, o on one spiral and x on the other")
    net, history = train(seed)
    losses, right = history.history["loss"], history.history["accuracy"]
    for epoch in (1, 50, 100, 150, 200):
        print(f"epoch {epoch:>3}/{EPOCHS}   loss {losses[epoch - 1]:.4f}", end="")
        print(f"   right {100 * right[epoch - 1]:.1f} %")
    print(f"{history.seconds:.2f} s; what it answers at every place, and what it learned from:\n")
    print("\n".join(picture(net, *spirals(POINTS, seed))))
    X_new, y_new = spirals(1000, seed + 1 if seed < 2**64 - 1 else 0)
    share = rv.evaluate(net, X_new, y_new, metrics="accuracy")["accuracy"]
    print(f"\n1,000 new points: {100 * share:.1f} % on the right side")
