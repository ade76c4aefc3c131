"""Published results on MNIST and Fashion-MNIST, each the median of three seeds."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable

import numpy as np
import pytest

import ranvier as rv
from ranvier import nn
from ranvier.data.mnist import load_idx

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("RANVIER_DATA" not in os.environ, reason="RANVIER_DATA names no data"),
]


def rows(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Pixels from 0 to 1 in rows of 784, and labels: to learn from, and kept aside."""
    (X, y), (X_aside, y_aside) = load_idx(name, download=False)
    scaled = [np.float32(x.reshape(-1, 784)) / np.float32(255) for x in (X, X_aside)]
    return scaled[0], y, scaled[1], y_aside


def median(run: Callable[[int], float]) -> float:
    return statistics.median(run(seed) for seed in range(3))


def test_the_first_network_of_nielsens_book() -> None:
    """784-30-10 sigmoid, normal weights, quadratic cost, plain SGD; "95.42 percent at its peak".

    M. Nielsen, Neural Networks and Deep Learning, 2015, chapter 1.
    """
    X, y, X_aside, y_aside = rows("mnist")
    targets = np.eye(10, dtype=np.float32)[y]

    def run(seed: int) -> float:
        rv.manual_seed(seed)
        net = nn.Sequential(nn.Linear(784, 30), nn.Sigmoid(), nn.Linear(30, 10), nn.Sigmoid())
        for parameter in net.parameters():
            nn.init.normal_(parameter)
        sgd = rv.optim.SGD(net.parameters(), lr=3.0)
        best = 0.0
        for epoch in range(30):
            rv.fit(
                net, X, targets, loss=nn.HalfSquaredError(), optimizer=sgd, epochs=1,
                batch_size=10, seed=100 * seed + epoch, verbose=0,
            )  # fmt: skip
            right = rv.predict(net, X_aside).argmax(1).numpy() == y_aside
            best = max(best, float(right.mean()))
        return best

    assert median(run) >= 0.945


def trained(data: str, hidden: list[int], epochs: int, batch_size: int, seed: int) -> float:
    """The share of right answers of a relu network that Adam trained."""
    X, y, X_aside, y_aside = rows(data)
    rv.manual_seed(seed)
    layers: list[nn.Module] = []
    for before, after in zip([784, *hidden], hidden, strict=False):
        layers += [nn.Linear(before, after), nn.ReLU()]
    net = nn.Sequential(*layers, nn.Linear(hidden[-1], 10))
    rv.fit(net, X, y, loss="cross_entropy", epochs=epochs, batch_size=batch_size, verbose=0)
    return rv.evaluate(net, X_aside, y_aside, metrics="accuracy")["accuracy"]


def test_mnist_by_adam() -> None:
    assert median(lambda seed: trained("mnist", [128], 5, 32, seed)) >= 0.975


def test_fashion_mnist() -> None:
    assert median(lambda seed: trained("fashion-mnist", [300, 100], 15, 64, seed)) >= 0.885
