"""MNIST: 60,000 handwritten digits to learn from, 10,000 to be judged by.

A demo of the public interface. The files are found or downloaded by `ranvier.data.mnist`; where
none can be had, the demo says where to put them and ends.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import numpy.typing as npt

import ranvier as rv
from ranvier import nn
from ranvier.data.mnist import load_idx
from ranvier.training.metrics import Metric, accuracy
from ranvier.training.progress import percent

HIDDEN, RATE, BATCH, EPOCHS = 128, 1e-3, 32, 5


def train(X: Any, y: Any, seed: int, verbose: int = 0) -> tuple[nn.Module, rv.History]:
    """The network 784-128-10, trained on images (N, 28, 28) and labels (N,)."""
    rv.manual_seed(seed)
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 10))
    right = Metric("right", accuracy, fraction=True)
    history = rv.fit(
        net, X, y, loss="cross_entropy", lr=RATE, epochs=EPOCHS, batch_size=BATCH, seed=seed,
        metrics=[right], verbose=verbose,
    )  # fmt: skip
    return net, history


def pixels(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """From 0 to 1 in place of 0 to 255."""
    return np.float32(1 / 255) * np.asarray(images, np.float32)


def run(seed: int = 0) -> int:
    """Train, and say how many of the images kept aside are read right; the exit status."""
    try:
        (X, y), (X_aside, y_aside) = load_idx("mnist")
    except (FileNotFoundError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    print("Learning to read the handwritten digits of MNIST, 28 x 28 pixels")
    weights = 784 * HIDDEN + HIDDEN + HIDDEN * 10 + 10
    print(f"  network   784 -> {HIDDEN} relu -> 10     {weights:,} weights", end="")
    print(f", Adam {RATE}, batches of {BATCH}")
    print(f"  data      {len(y):,} to learn from, {len(y_aside):,} kept aside", flush=True)
    net, history = train(pixels(X), y, seed, verbose=1)
    share = rv.evaluate(net, pixels(X_aside), y_aside, metrics="accuracy")["accuracy"]
    print(f"\nThe {len(y_aside):,} it has never seen:  {percent(share)} right")
    print(f"{history.seconds:.1f} s for {EPOCHS} epochs")
    return 0
