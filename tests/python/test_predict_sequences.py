"""Random sequences of predictions, training and changes: replayed and not, the same to the bit."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier import keras, nn
from ranvier.nn import functional as F

RNG = np.random.default_rng(0)
X = RNG.standard_normal((60, 6)).astype("float32")
Y = RNG.standard_normal((60, 3)).astype("float32")
FACTOR = [1.0]


class Config:
    factor = 1.0


CONFIG = Config()


class Net(nn.Module):
    factor = 1.0

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.norm, self.out = nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Linear(5, 3)
        self.dropout, self.own, self.table = nn.Dropout(0.3), 1.0, {"a": [1.0]}

    def forward(self, x: rv.Tensor) -> rv.Tensor:
        scale = FACTOR[0] * CONFIG.factor * self.factor * self.own * self.table["a"][0]
        return self.out(self.dropout(F.relu(self.norm(self.hidden(x)))) * scale)


def layers() -> Any:
    return nn.Sequential(
        nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(inplace=True), nn.Dropout(0.3), nn.Linear(5, 3)
    )


def model_of_keras() -> Any:
    model = keras.Sequential(
        [
            keras.layers.Dense(5, "relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(3),
        ]
    )
    model.compile("adam", "mse")
    return model


def predict(m: Any, r: random.Random) -> Any:
    x = X[: r.choice([1, 2, 7, 60])].astype(r.choice(["float32", "float64", "int64"]))
    return rv.predict(m, x, r.choice([1, 16, 256])).numpy().tobytes()


def evaluate(m: Any, r: random.Random) -> Any:
    return rv.evaluate(m, X, Y, loss="mse", metrics="mae")


def fit(m: Any, r: random.Random) -> Any:
    size = r.choice([7, 32])
    if isinstance(m, keras.Model):
        share = r.choice([0.0, 0.3])
        m.fit(X, Y, epochs=2, batch_size=size, verbose=0, validation_split=share)
        return m.predict(X[:33], verbose=0).tobytes(), m.evaluate(X, Y, verbose=0)
    how = {"validation": r.choice([None, 0.3]), "schedule": r.choice([None, "cosine"])}
    return rv.fit(m, X, Y, loss="mse", epochs=2, batch_size=size, verbose=0, **how).history


def mode(m: Any, r: random.Random) -> None:
    m.train(r.random() < 0.5)


def weights(m: Any, r: random.Random) -> None:
    parameter = next(iter(m.parameters()), nn.Parameter(rv.ones(1)))
    if r.random() < 0.5:
        parameter.data = parameter.data * 1.1
    with rv.no_grad():
        parameter.mul_(1.01)


def freeze(m: Any, r: random.Random) -> None:
    parameter = next(iter(m.parameters()), nn.Parameter(rv.ones(1)))
    parameter.requires_grad = not parameter.requires_grad


def settings(m: Any, r: random.Random) -> None:
    value = r.choice([0.5, 1.0, 2.0])
    places: list[Callable[[], None]] = [
        lambda: FACTOR.__setitem__(0, value),
        lambda: setattr(CONFIG, "factor", value),
        lambda: setattr(Net, "factor", value),
        lambda: setattr(m, "own", value),
        lambda: vars(m).update(own=value),
        lambda: m.table["a"].__setitem__(0, value) if isinstance(m, Net) else None,
    ]
    r.choice(places)()


def structure(m: Any, r: random.Random) -> Any:
    if not isinstance(m, nn.Sequential) or isinstance(m, keras.Model):
        return None
    if r.random() < 0.5:
        m[2] = r.choice([nn.ReLU(), nn.Tanh(), nn.ReLU(inplace=True)])
        return None
    hook = m[0].register_forward_hook(lambda module, args, out: out * 1.5)
    hooked = rv.predict(m, X[:2]).numpy().tobytes()
    hook.remove()
    return hooked


def dtype(m: Any, r: random.Random) -> None:
    if not isinstance(m, keras.Model):
        m.double() if r.random() < 0.5 else m.float()


STEPS = [*[predict] * 8, evaluate, fit, mode, weights, freeze, *[settings] * 3, structure, dtype]


def run(seed: int) -> list[Any]:
    r = random.Random(seed)
    keras.utils.set_random_seed(seed)
    FACTOR[0] = CONFIG.factor = Net.factor = 1.0
    model = r.choice([Net, layers, model_of_keras])()
    seen: list[Any] = []
    for _ in range(30):
        try:
            seen.append(r.choice(STEPS)(model, r))
        except ValueError as error:  # a weight that was frozen when the optimizer was made, mostly
            seen.append(str(error)[:40])
        seen.append([module.training for module in model.modules()])
        if r.random() < 0.05 and not isinstance(model, keras.Model):
            model = r.choice([copy.copy, copy.deepcopy])(model)
    return [*seen, rv.rand(2).tolist()]


@pytest.mark.filterwarnings("ignore::ranvier.RanvierWarning")  # steps that are not replayed
@pytest.mark.parametrize("first", range(0, 60, 10))
def test_random_sequences(first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(first, first + 10):
        monkeypatch.setenv("RANVIER_CAPTURE", "0")
        wanted = run(seed)
        monkeypatch.setenv("RANVIER_CAPTURE", "1")
        assert run(seed) == wanted
