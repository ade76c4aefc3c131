"""Small data and a small classifier, shared by the tests of `fit`."""

from __future__ import annotations

from typing import Any

import numpy as np

import ranvier as rv
from ranvier import nn
from ranvier.training import History

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 4)).astype(np.float32)
LABELS = RNG.integers(0, 3, 50)
VALUES = (X @ [1.0, -2.0, 0.5, 0.0] + 3).astype(np.float32)


def classifier(seed: int = 0, inputs: int = 4) -> nn.Sequential:
    rv.manual_seed(seed)
    return nn.Sequential(nn.Linear(inputs, 8), nn.ReLU(), nn.Linear(8, 3))


def weights(model: nn.Module) -> bytes:
    return b"".join(p.detach().numpy().tobytes() for p in model.parameters())


def fit(model: nn.Module, *data: Any, **named: Any) -> History:
    return rv.fit(model, *(data or (X, LABELS)), **{"loss": "cross_entropy", "verbose": 0, **named})
