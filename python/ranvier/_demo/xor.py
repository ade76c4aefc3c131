"""XOR: a network with four hidden units learns what no single neuron can. Under a second.

A demo, not a benchmark: the time that it prints is that of this run.
"""

from __future__ import annotations

import ranvier as rv
from ranvier import nn

CORNERS = [[0, 0], [0, 1], [1, 0], [1, 1]]
ANSWERS = [0, 1, 1, 0]


def train(seed: int) -> tuple[nn.Module, rv.History]:
    """The network 2-4-1, trained on the four corners."""
    rv.manual_seed(seed)
    net = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1), nn.Sigmoid())
    history = rv.fit(
        net, CORNERS, ANSWERS, loss="bce", lr=0.05, epochs=400, batch_size=None, seed=seed,
        metrics="accuracy", verbose=0,
    )  # fmt: skip
    return net, history


def run(seed: int = 0) -> None:
    """Train and print the truth table."""
    print("Learning XOR: 1 where exactly one of two inputs is 1")
    print("  network   2 -> 4 tanh -> 1 sigmoid      17 weights, Adam 0.05, all 4 rows a step")
    net, history = train(seed)
    losses = history.history["loss"]
    for epoch in (1, 100, 200, 300, 400):
        print(f"epoch {epoch:>3}/400   loss {losses[epoch - 1]:.4f}")
    print(f"{history.epochs} steps in {history.seconds:.2f} s\n")
    print("  a  b   wanted   network says")
    for (a, b), wanted, said in zip(
        CORNERS, ANSWERS, rv.predict(net, CORNERS).flatten().tolist(), strict=True
    ):
        verdict = "right" if (said >= 0.5) == wanted else "wrong"
        print(f"  {a}  {b}     {wanted}        {said:.4f}   {verdict}")
