"""What tests of predictions share: rows, models, and the model's own answer."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier import nn
from ranvier.nn import functional as F
from ranvier.training import evaluation

RNG = np.random.default_rng(0)
X = RNG.standard_normal((50, 6)).astype("float32")


class Count:
    """How often a model's code ran."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.runs = 0
        forward = evaluation.forward

        def counted(*args: Any) -> Any:
            self.runs += 1
            return forward(*args)

        monkeypatch.setattr(evaluation, "forward", counted)

    def during(self, call: Callable[[], Any]) -> int:
        before = self.runs
        call()
        return self.runs - before


def eager(model: nn.Module, x: Any) -> bytes:
    """What the model makes of rows, by its own code."""
    modes = [module.training for module in model.modules()]
    x = x if isinstance(x, rv.Tensor) else rv.tensor(np.asarray(x))
    model.eval()
    with rv.no_grad():
        out = model(x.to(evaluation.data("t", "X", x, model).dtype)).clone()
    for module, was in zip(model.modules(), modes, strict=True):
        module.training = was
    return out.numpy().tobytes()


def bits(model: nn.Module, x: Any, *args: Any) -> bytes:
    return rv.predict(model, x, *args).numpy().tobytes()


def net() -> nn.Sequential:
    rv.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))


class Residual(nn.Module):
    scale = 1.0

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(6, 6) for _ in range(2)])
        self.out = nn.Linear(6, 3)

    def forward(self, x: rv.Tensor) -> rv.Tensor:
        for layer in self.layers:
            x = x + layer(x).relu() * self.scale
        return self.out(x)


class Centred(nn.Module):
    def forward(self, x: rv.Tensor) -> rv.Tensor:
        return F.relu(x - x.mean(0))


class Rolls(nn.Module):
    def forward(self, x: rv.Tensor) -> rv.Tensor:
        return x * random.random()
