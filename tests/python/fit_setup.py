"""What tests of recorded fits share: rows, models, and a fit that is watched."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier import nn
from ranvier.training.step import Arithmetic

RNG = np.random.default_rng(0)
X = RNG.standard_normal((50, 6)).astype("float32")
Y = RNG.integers(0, 3, 50)


class Watch:
    """Counts the steps that ran as Python code."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch, self.count = monkeypatch, 0
        self.X, self.Y = X, Y
        whole = Arithmetic.whole

        def counted(arithmetic: Arithmetic, *args: Any) -> Any:
            self.count += 1
            return whole(arithmetic, *args)

        monkeypatch.setattr(Arithmetic, "whole", counted)

    def fit(self, make: Callable[[], nn.Module], captured: bool, **settings: Any) -> Any:
        self.monkeypatch.setenv("RANVIER_CAPTURE", str(int(captured)))
        self.count = 0
        rv.manual_seed(0)
        net = make()
        how = {"epochs": 3, "batch_size": 8, "seed": 1, "verbose": 0, "loss": "cross_entropy"}
        history = rv.fit(net, self.X, self.Y, **{**how, **settings})
        tensors = [*net.parameters(), *net.buffers()]
        bits = [t.detach().numpy().tobytes() for t in tensors]
        return history.history, bits, rv.rand(2).tolist()


def plain() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))


def stateful() -> nn.Module:
    return nn.Sequential(
        nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Dropout(0.3), nn.Linear(5, 3)
    )


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(6, 6) for _ in range(2)])
        self.out = nn.Linear(6, 3)

    def forward(self, x: rv.Tensor) -> rv.Tensor:
        for layer in self.layers:
            x = x + layer(x).relu()
        return self.out(x)
