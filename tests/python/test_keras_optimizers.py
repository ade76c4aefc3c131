"""Keras' optimizers and schedules over 50 steps: their rules in float64, and Keras itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
from keras_parity import real_keras

import ranvier as rv
from ranvier import keras

# Keras and NumPy 2 disagree about an argument of __array__.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

RNG = np.random.default_rng(0)
START = RNG.normal(size=(5, 3))
GRADS = [RNG.normal(size=(5, 3)) * 3 for _ in range(50)]
S = keras.optimizers.schedules


def run(module, name, make, **settings):
    """The weight after every step, in float64."""
    optimizer = getattr(module.optimizers, name)(**settings)
    variable = module.Variable(START, dtype="float64")
    for grad in GRADS:
        optimizer.apply([make(grad)], [variable])
        yield np.array(variable.numpy() if module is not keras else variable.detach().numpy())


# --- the rules, as the documentation of Keras states them -----------------------------------------


def sgd(w, lr=0.01, momentum=0.0, nesterov=False):
    b = 0
    for g in GRADS:
        b = momentum * b - lr * g
        w = w + (momentum * b - lr * g if nesterov else b)
        yield w


def adam(w, lr=0.001, b1=0.9, b2=0.999, eps=1e-7, amsgrad=False, decay=0.0):
    m = v = top = 0
    for t, g in enumerate(GRADS, 1):
        w = w - w * decay * lr
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        top = np.maximum(top, v) if amsgrad else v
        w = w - lr * math.sqrt(1 - b2**t) / (1 - b1**t) * m / (np.sqrt(top) + eps)
        yield w


def rmsprop(w, lr=0.001, rho=0.9, momentum=0.0, eps=1e-7, centered=False):
    v = a = b = 0
    for g in GRADS:
        v, a = rho * v + (1 - rho) * g * g, rho * a + (1 - rho) * g
        b = momentum * b + lr * g / np.sqrt(v - (a * a if centered else 0) + eps)
        w = w - b
        yield w


def adagrad(w, lr=0.001, eps=1e-7):
    s = 0.1
    for g in GRADS:
        s = s + g * g
        w = w - lr * g / np.sqrt(s + eps)
        yield w


def adadelta(w, lr=0.001, rho=0.95, eps=1e-7):
    v = u = 0
    for g in GRADS:
        v = rho * v + (1 - rho) * g * g
        d = np.sqrt(u + eps) / np.sqrt(v + eps) * g
        u = rho * u + (1 - rho) * d * d
        w = w - lr * d
        yield w


def adamax(w, lr=0.001, b1=0.9, b2=0.999, eps=1e-7):
    m = u = 0
    for t, g in enumerate(GRADS, 1):
        m, u = b1 * m + (1 - b1) * g, np.maximum(b2 * u, np.abs(g))
        w = w - lr * m / ((1 - b1**t) * (u + eps))
        yield w


def nadam(w, lr=0.001, b1=0.9, b2=0.999, eps=1e-7):
    m = v = 0
    product = 1.0
    for t, g in enumerate(GRADS, 1):
        now, after = b1 * (1 - 0.5 * 0.96**t), b1 * (1 - 0.5 * 0.96 ** (t + 1))
        product *= now
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        hat = after * m / (1 - product * after) + (1 - now) * g / (1 - product)
        w = w - lr * hat / (np.sqrt(v / (1 - b2**t)) + eps)
        yield w


def lion(w, lr=0.001, b1=0.9, b2=0.99):
    m = 0
    for g in GRADS:
        w = w - lr * np.sign(b1 * m + (1 - b1) * g)
        m = b2 * m + (1 - b2) * g
        yield w


def ftrl(w, lr=0.001, l1=0.0, l2=0.0):
    n, z = 0.1, 0
    for g in GRADS:
        z = z + g - (np.sqrt(n + g * g) - np.sqrt(n)) / lr * w
        n = n + g * g
        w = (np.clip(z, -l1, l1) - z) / (np.sqrt(n) / lr + 2 * l2)
        yield w


RULES = [
    ("SGD", {}, sgd(START)),
    ("SGD", {"momentum": 0.9}, sgd(START, momentum=0.9)),
    ("SGD", {"momentum": 0.9, "nesterov": True}, sgd(START, momentum=0.9, nesterov=True)),
    ("Adam", {}, adam(START)),
    ("Adam", {"amsgrad": True}, adam(START, amsgrad=True)),
    ("AdamW", {}, adam(START, decay=0.004)),
    ("RMSprop", {}, rmsprop(START)),
    ("RMSprop", {"centered": True, "momentum": 0.5}, rmsprop(START, momentum=0.5, centered=True)),
    ("Adagrad", {}, adagrad(START)),
    ("Adadelta", {}, adadelta(START)),
    ("Adamax", {}, adamax(START)),
    ("Nadam", {}, nadam(START)),
    ("Lion", {}, lion(START)),
    ("Ftrl", {}, ftrl(START)),
    ("Ftrl", {"l1_regularization_strength": 0.01, "l2_regularization_strength": 0.1},
     ftrl(START, l1=0.01, l2=0.1)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "settings", "rule"), RULES, ids=[f"{r[0]}-{i}" for i, r in enumerate(RULES)]
)
def test_optimizers_follow_their_rules(name, settings, rule):
    for got, expected in zip(run(keras, name, rv.tensor, **settings), list(rule), strict=True):
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-9)


PARITY = [
    ("SGD", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    ("SGD", {"learning_rate": "schedule", "momentum": 0.9}),
    ("Adam", {"amsgrad": True, "weight_decay": 0.1}),
    ("Adam", {"learning_rate": "schedule", "clipnorm": 1.0}),
    ("AdamW", {}),
    ("RMSprop", {"weight_decay": 0.1, "clipvalue": 0.5, "momentum": 0.9, "centered": True}),
    ("Adagrad", {"weight_decay": 0.1}),
    ("Adadelta", {"weight_decay": 0.1}),
    ("Adamax", {"weight_decay": 0.1}),
    ("Nadam", {"weight_decay": 0.1, "global_clipnorm": 1.0}),
    ("Lion", {"weight_decay": 0.1}),
    ("Ftrl", {"l1_regularization_strength": 0.01, "l2_shrinkage_regularization_strength": 0.1,
              "beta": 0.1, "weight_decay": 0.1}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "settings"), PARITY, ids=[f"{p[0]}-{i}" for i, p in enumerate(PARITY)]
)
def test_optimizers_are_those_of_keras(name, settings):
    other = real_keras()
    import torch

    both = []
    for module, make in ((other, torch.tensor), (keras, rv.tensor)):
        given = dict(settings)
        if given.get("learning_rate") == "schedule":
            given["learning_rate"] = module.optimizers.schedules.ExponentialDecay(0.1, 3, 0.5)
        both.append(list(run(module, name, make, **given)))
    for a, b in zip(*both, strict=True):
        # Keras holds the learning rate in float32.
        np.testing.assert_allclose(b, a, rtol=1e-6, atol=1e-6)


SCHEDULES = [
    ("ExponentialDecay", (0.1, 7, 0.9), lambda s: 0.1 * 0.9 ** (s / 7)),
    ("ExponentialDecay", (0.1, 7, 0.9, True), lambda s: 0.1 * 0.9 ** (s // 7)),
    ("InverseTimeDecay", (0.1, 7, 0.9), lambda s: 0.1 / (1 + 0.9 * s / 7)),
    ("InverseTimeDecay", (0.1, 7, 0.9, True), lambda s: 0.1 / (1 + 0.9 * (s // 7))),
    ("PiecewiseConstantDecay", ([5, 20], [1.0, 0.5, 0.1]),
     lambda s: 1.0 if s <= 5 else 0.5 if s <= 20 else 0.1),
    ("PolynomialDecay", (0.1, 20, 0.01, 2.0), lambda s: 0.09 * (1 - min(s, 20) / 20) ** 2 + 0.01),
    ("PolynomialDecay", (0.1, 20, 0.01, 0.5, True),
     lambda s: 0.09 * (1 - s / (20 * max(1, -(-s // 20)))) ** 0.5 + 0.01),
    ("CosineDecay", (0.1, 30, 0.1),
     lambda s: 0.1 * (0.45 * (1 + math.cos(math.pi * min(s, 30) / 30)) + 0.1)),
    ("CosineDecay", (0.0, 30, 0.1, "x", 0.2, 10),
     lambda s: 0.02 * s if s < 10
     else 0.2 * (0.45 * (1 + math.cos(math.pi * min(s - 10, 30) / 30)) + 0.1)),
    ("CosineDecayRestarts", (0.1, 10, 1.0, 0.5, 0.1),
     lambda s: 0.1 * (0.45 * 0.5 ** (s // 10) * (1 + math.cos(math.pi * (s % 10) / 10)) + 0.1)),
    ("CosineDecayRestarts", (0.1, 10),
     lambda s: 0.05 * (1 + math.cos(math.pi * (s / 10 + 1 - 2 ** int(math.log2(s / 10 + 1)))
                                    / 2 ** int(math.log2(s / 10 + 1))))),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "args", "rule"), SCHEDULES, ids=[f"{s[0]}-{i}" for i, s in enumerate(SCHEDULES)]
)
def test_schedules_follow_their_rules(name, args, rule):
    schedule = getattr(S, name)(*args)
    again = S.deserialize(S.serialize(schedule))
    for step in range(60):
        assert schedule(step) == pytest.approx(rule(step), abs=1e-9), step
        assert again(step) == schedule(step)


@pytest.mark.parametrize(
    ("name", "args", "rule"), SCHEDULES, ids=[f"{s[0]}-{i}" for i, s in enumerate(SCHEDULES)]
)
def test_schedules_are_those_of_keras(name, args, rule):
    theirs = getattr(real_keras().optimizers.schedules, name)(*args)
    ours = getattr(S, name)(*args)
    for step in range(60):
        assert ours(step) == pytest.approx(float(theirs(step)), abs=1e-6), step


def test_the_learning_rate_can_be_read_and_set():
    optimizer = keras.optimizers.SGD(0.5)
    assert float(optimizer.learning_rate) == 0.5
    optimizer.learning_rate = 0.25
    weight = keras.Variable([1.0])
    optimizer.apply_gradients([(rv.tensor([1.0]), weight)])
    assert weight.detach().tolist() == [0.75]
    optimizer.learning_rate.assign(1.0)
    optimizer.apply([rv.tensor([1.0])], [weight])
    assert weight.detach().tolist() == [-0.25]
    assert int(optimizer.iterations) == 2
    timed = keras.optimizers.SGD(S.PiecewiseConstantDecay([0], [1.0, 0.5]))
    timed.apply([rv.tensor([1.0])], [weight])
    assert float(timed.learning_rate) == 0.5
    with pytest.raises(TypeError, match="schedule"):
        timed.learning_rate = 0.1


def test_own_schedules():
    class Falling(S.LearningRateSchedule):
        def __call__(self, step):
            return 1.0 / (1 + step)

    optimizer, weight = keras.optimizers.SGD(Falling()), keras.Variable([0.0])
    for _ in range(3):
        optimizer.apply([rv.tensor([1.0])], [weight])
    assert weight.detach().item() == pytest.approx(-(1 + 1 / 2 + 1 / 3))


def test_weights_that_do_not_decay():
    optimizer = keras.optimizers.SGD(1.0, weight_decay=0.5)
    kernel, bias = keras.Variable([1.0], name="kernel"), keras.Variable([1.0], name="bias")
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    optimizer.apply([rv.tensor([0.0]), rv.tensor([0.0])], [kernel, bias])
    assert (kernel.detach().item(), bias.detach().item()) == (0.5, 1.0)


def test_names_and_configurations_of_optimizers():
    assert isinstance(keras.optimizers.get("RMSprop"), keras.optimizers.RMSprop)
    made = keras.optimizers.Adam(S.ExponentialDecay(0.1, 3, 0.5), beta_1=0.8, clipnorm=1.0)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(made))
    assert (again.beta_1, again.clipnorm, again._rate_now()) == (0.8, 1.0, 0.1)
    for call, match in (
        (lambda: keras.optimizers.get("adm"), "did you mean 'adam'"),
        (lambda: keras.optimizers.Adam(lr=0.1), "did you mean 'learning_rate'"),
        (lambda: keras.optimizers.Adam("fast"), "learning_rate"),
        (lambda: keras.optimizers.Adam(float("nan")), "learning_rate"),
        (lambda: keras.optimizers.SGD(momentum=2.0), "momentum"),
        (lambda: keras.optimizers.SGD(clipnorm=1.0, clipvalue=1.0), "at most one"),
        (lambda: keras.optimizers.SGD(use_ema=True), "use_ema"),
    ):
        with pytest.raises(ValueError, match=match):
            call()
    with pytest.raises(AttributeError, match="did you mean 'Adam"):
        _ = keras.optimizers.Adamm


def test_an_optimizer_belongs_to_its_weights():
    optimizer = keras.optimizers.SGD()
    optimizer.apply([rv.tensor([1.0])], [keras.Variable([1.0])])
    with pytest.raises(ValueError, match="compile"):
        optimizer.apply([rv.tensor([1.0])], [keras.Variable([1.0])])
