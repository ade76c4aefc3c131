"""Metrics: against scikit-learn where it is installed, and against float64 NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from training_setup import LABELS, VALUES, X, classifier, fit

import ranvier as rv
from ranvier import nn
from ranvier.training import metrics
from ranvier.training.metrics import TopK

RNG = np.random.default_rng(3)
SCORES = RNG.normal(size=(200, 4)).astype(np.float32)
TRUE = RNG.integers(0, 4, 200)
ONE = np.round(RNG.uniform(size=200), 2).astype(np.float32)  # with equal ones
BINARY = RNG.integers(0, 2, 200)


def value(name: Any, prediction: Any, target: Any, parts: int = 1, border: float = 0.5) -> float:
    (metric,) = metrics.resolve("test", name, border)
    meter = metric.start()
    for p, t in zip(np.array_split(prediction, parts), np.array_split(target, parts), strict=True):
        meter.update(rv.tensor(p), rv.tensor(t))
    return meter.result()


def by_hand(name: str, said: Any, right: Any, classes: int) -> float:
    each = []
    for c in [1] if classes == 2 else range(classes):
        hits = np.sum((said == c) & (right == c))
        precision, recall = hits / max(np.sum(said == c), 1), hits / max(np.sum(right == c), 1)
        f1 = 2 * precision * recall / max(precision + recall, 1e-300)
        each.append({"precision": precision, "recall": recall, "f1": f1}[name])
    return float(np.mean(each))


@pytest.mark.parametrize("parts", [1, 2, 7, 200])
@pytest.mark.parametrize("name", ["precision", "recall", "f1"])
def test_of_classes(name: str, parts: int) -> None:
    said = SCORES.argmax(1)
    assert value(name, SCORES, TRUE, parts) == pytest.approx(by_hand(name, said, TRUE, 4))
    for prediction in (ONE, ONE[:, None]):
        expected = by_hand(name, ONE >= 0.5, BINARY, 2)
        assert value(name, prediction, BINARY, parts) == pytest.approx(expected)
    assert value(name, ONE - 0.5, BINARY, parts, 0.0) == pytest.approx(expected)


@pytest.mark.parametrize("parts", [1, 3, 200])
def test_the_others(parts: int) -> None:
    assert value("accuracy", SCORES, TRUE, parts) == (SCORES.argmax(1) == TRUE).mean()
    assert value("accuracy", ONE - 0.5, BINARY, parts, 0.0) == ((ONE >= 0.5) == BINARY).mean()
    pairs = ONE[BINARY == 1][:, None] - ONE[BINARY == 0]
    area = (pairs > 0).mean() + 0.5 * (pairs == 0).mean()
    assert value("auc", ONE, BINARY, parts) == pytest.approx(area)
    two = np.stack([np.zeros(200), ONE], 1).astype(np.float32)
    assert value("auc", two, BINARY, parts) == pytest.approx(area)
    ranks = (SCORES[np.arange(200), TRUE][:, None] < SCORES).sum(1)
    for k in (1, 2, 3, 5):
        assert value(TopK(k), SCORES, TRUE, parts) == (ranks < k).mean()
        assert value(f"top_{k}_accuracy", SCORES, TRUE, parts) == (ranks < k).mean()
    target = RNG.normal(1e3, 2, size=(200, 4))
    guess = (target + SCORES).astype(np.float32)
    wrong = guess.astype(np.float64) - target
    assert value("mae", guess, target, parts) == pytest.approx(np.abs(wrong).mean(), rel=1e-5)
    assert value("rmse", guess, target, parts) == pytest.approx((wrong**2).mean() ** 0.5, rel=1e-5)
    spread = ((target - target.mean(0)) ** 2).sum(0)
    r2 = (1 - (wrong**2).sum(0) / spread).mean()
    assert value("r2", guess, target, parts) == pytest.approx(r2, rel=1e-5)


def test_scikit_learn_agrees() -> None:
    sk = pytest.importorskip("sklearn.metrics")
    said = SCORES.argmax(1)
    for name in ("precision", "recall", "f1"):
        macro = getattr(sk, f"{name}_score")(TRUE, said, average="macro")
        binary = getattr(sk, f"{name}_score")(BINARY, ONE >= 0.5)
        assert value(name, SCORES, TRUE) == pytest.approx(macro)
        assert value(name, ONE, BINARY) == pytest.approx(binary)
    assert value("auc", ONE, BINARY) == pytest.approx(sk.roc_auc_score(BINARY, ONE))
    assert value("top_2_accuracy", SCORES, TRUE) == sk.top_k_accuracy_score(TRUE, SCORES, k=2)
    target = RNG.normal(size=200)
    assert value("r2", ONE, target) == pytest.approx(sk.r2_score(target, ONE), rel=1e-5)


def test_what_is_not_defined() -> None:
    assert np.isnan(value("auc", ONE, np.ones(200, int)))
    assert np.isnan(value("r2", ONE, np.ones(200)))
    assert value("precision", np.zeros(200, np.float32), BINARY) == 0.0


def test_over_an_epoch_not_over_batches() -> None:
    """A net that does not move: what `fit` reports is what `evaluate` does, for any batch size."""
    net = nn.Sequential(nn.Linear(4, 1), nn.Sigmoid())
    names = ["accuracy", "precision", "recall", "f1", "auc", "rmse", "mae", "r2"]
    frozen = rv.optim.SGD(net.parameters(), lr=0.0)
    y = X[:, 0] > 0.3
    measured = rv.evaluate(net, X, y, loss="bce", metrics=names)
    for size in (1, 7, 50):
        history = fit(net, X, y, loss="bce", optimizer=frozen, metrics=names, epochs=1,
                      batch_size=size, validation=(X, y))  # fmt: skip
        for name in names:
            assert history.history[name][0] == pytest.approx(measured[name], rel=1e-5)
            assert history.history[f"val_{name}"][0] == pytest.approx(measured[name], rel=1e-6)


def test_refused() -> None:
    for name, words in (("precison", "did you mean 'precision'"), ("top_0", "expected one of")):
        with pytest.raises(ValueError, match=words):
            fit(classifier(), metrics=name)
    with pytest.raises(ValueError, match="k: expected a whole number of 1"):
        TopK(0)
    with pytest.raises(ValueError, match=r"\[r2\] target: expected \(32, 3\)"):
        fit(classifier(), metrics="r2")
    assert fit(nn.Linear(4, 1), X, VALUES, loss="mse", metrics=["r2", "rmse"]).epochs == 10
    assert fit(classifier(), X, LABELS, metrics=["f1", TopK(2)]).epochs == 10
