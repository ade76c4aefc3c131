"""A run in a process of its own, to be killed: its weights' hash is the last line it prints.

python checkpoint_child.py PATH EPOCHS
"""

from __future__ import annotations

import hashlib
import sys
import time
from typing import Any

import numpy as np

import ranvier as rv
from ranvier import nn


class Slow(rv.Callback):
    """Gives a killer time, and says when there is something to kill."""

    def on_train_begin(self, run: Any, logs: dict[str, float]) -> None:
        print("training", run.step, flush=True)

    def on_progress(self, run: Any, logs: dict[str, float]) -> None:
        time.sleep(0.002)


def main(path: str, epochs: int) -> None:
    rv.manual_seed(5)
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(203, 8)).astype(np.float32), rng.integers(0, 4, 203)
    net = nn.Sequential(  # large enough that threads share the products
        nn.Linear(8, 160), nn.BatchNorm1d(160), nn.ReLU(), nn.Dropout(0.25), nn.Linear(160, 160),
        nn.Tanh(), nn.Linear(160, 4),
    )  # fmt: skip
    history = rv.fit(
        net, X, y, loss="cross_entropy", optimizer="adamw", lr=0.01, epochs=epochs, batch_size=16,
        schedule="cosine", metrics=["accuracy"], validation=0.1, early_stopping=1000,
        callbacks=[Slow()], checkpoint=rv.Checkpoint(path, every=3, keep=2), verbose=0,
    )  # fmt: skip
    state = hashlib.blake2b(repr(history.history).encode())
    for tensor in net.state_dict().values():
        state.update(tensor.numpy().tobytes())
    state.update(repr(rv.rand(3).tolist()).encode())
    print("end", state.hexdigest(), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
