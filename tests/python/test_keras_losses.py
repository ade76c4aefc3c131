"""Keras' losses and metrics: float64 formulas of NumPy, and Keras itself where it is installed."""

from __future__ import annotations

import numpy as np
import pytest
from keras_parity import real_keras

import ranvier as rv
from ranvier import keras

# Keras and NumPy 2 disagree about an argument of __array__.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

RNG = np.random.default_rng(0)
T = RNG.random((16, 4)).astype(np.float32)
P = (RNG.random((16, 4)) * 0.9 + 0.05).astype(np.float32)
SHARES = P / P.sum(1, keepdims=True)
LABELS = RNG.integers(0, 4, 16)
ONE_HOT = np.eye(4, dtype=np.float32)[LABELS]
BITS = (T > 0.5).astype(np.float32)
Z = RNG.normal(size=(16, 4)).astype(np.float32)
WEIGHTS = RNG.random(16).astype(np.float32)
EPS = 1e-7


def _bce(t, p):
    p = np.clip(p, EPS, 1 - EPS)
    return -(t * np.log(p) + (1 - t) * np.log(1 - p)).mean(-1)


def _unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def _softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


SIGNS = 2 * BITS - 1
# name, settings, target, prediction, float64 values of the rows
LOSSES = [
    ("MeanSquaredError", {}, T, P, lambda t, p: ((t - p) ** 2).mean(-1)),
    ("MeanAbsoluteError", {}, T, P, lambda t, p: np.abs(t - p).mean(-1)),
    ("MeanAbsolutePercentageError", {}, T, P, lambda t, p: 100 * np.abs((t - p) / t).mean(-1)),
    ("MeanSquaredLogarithmicError", {}, T, P,
     lambda t, p: ((np.log(t + 1) - np.log(p + 1)) ** 2).mean(-1)),
    ("BinaryCrossentropy", {}, BITS, P, _bce),
    ("BinaryCrossentropy", {"from_logits": True}, BITS, Z,
     lambda t, z: _bce(t, 1 / (1 + np.exp(-z)))),
    ("BinaryCrossentropy", {"label_smoothing": 0.2}, BITS, P, lambda t, p: _bce(0.8 * t + 0.1, p)),
    ("BinaryFocalCrossentropy", {}, BITS, P, lambda t, p: (
        -(t * np.log(p) + (1 - t) * np.log(1 - p))
        * (1 - t * p - (1 - t) * (1 - p)) ** 2).mean(-1)),
    ("CategoricalCrossentropy", {}, ONE_HOT, SHARES, lambda t, p: -(t * np.log(p)).sum(-1)),
    ("CategoricalCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, ONE_HOT, Z,
     lambda t, z: -((0.9 * t + 0.025) * np.log(_softmax(z))).sum(-1)),
    ("CategoricalFocalCrossentropy", {}, ONE_HOT, SHARES,
     lambda t, p: -(0.25 * (1 - p) ** 2 * t * np.log(p)).sum(-1)),
    ("SparseCategoricalCrossentropy", {}, LABELS, SHARES, lambda t, p: -np.log(p[range(16), t])),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, LABELS, Z,
     lambda t, z: -np.log(_softmax(z)[range(16), t])),
    ("KLDivergence", {}, T, P, lambda t, p: (t * np.log(t / p)).sum(-1)),
    ("Poisson", {}, T, P, lambda t, p: (p - t * np.log(p + EPS)).mean(-1)),
    ("Huber", {"delta": 0.3}, T, Z, lambda t, p: np.where(
        np.abs(t - p) <= 0.3, (t - p) ** 2 / 2, 0.3 * np.abs(t - p) - 0.045).mean(-1)),
    ("LogCosh", {}, T, Z, lambda t, p: np.log(np.cosh(p - t)).mean(-1)),
    ("CosineSimilarity", {}, T, Z, lambda t, p: -(_unit(t) * _unit(p)).sum(-1)),
    ("Hinge", {}, BITS, Z, lambda t, p: np.maximum(1 - SIGNS * p, 0).mean(-1)),
    ("SquaredHinge", {}, BITS, Z, lambda t, p: (np.maximum(1 - SIGNS * p, 0) ** 2).mean(-1)),
    ("CategoricalHinge", {}, ONE_HOT, Z, lambda t, p: np.maximum(
        ((1 - t) * p).max(-1) - (t * p).sum(-1) + 1, 0)),
]  # fmt: skip
IDS = [f"{case[0]}-{i}" for i, case in enumerate(LOSSES)]


@pytest.mark.parametrize(("name", "settings", "t", "p", "formula"), LOSSES, ids=IDS)
def test_losses_are_their_formulas(name, settings, t, p, formula):
    exact = t.astype(np.float64) if t.dtype == np.float32 else t
    values = formula(exact, p.astype(np.float64))
    kind = getattr(keras.losses, name)
    for weight in (None, WEIGHTS):
        weighted = values if weight is None else values * weight
        for reduction, expected in (
            ("none", weighted),
            ("sum", weighted.sum()),
            ("sum_over_batch_size", weighted.mean()),
            ("mean_with_sample_weight", weighted.sum() / (16 if weight is None else weight.sum())),
        ):
            got = kind(reduction=reduction, **settings)(t, p, sample_weight=weight)
            # Errors of float32: a few units in the last place of the largest logarithm.
            np.testing.assert_allclose(got.numpy(), expected, rtol=3e-6, atol=1e-6)


@pytest.mark.parametrize(("name", "settings", "t", "p", "formula"), LOSSES, ids=IDS)
def test_losses_are_those_of_keras(name, settings, t, p, formula):
    other = real_keras()
    for weight in (None, WEIGHTS):
        a = getattr(other.losses, name)(**settings)(t, p, sample_weight=weight)
        b = getattr(keras.losses, name)(**settings)(t, p, sample_weight=weight)
        np.testing.assert_allclose(b.numpy(), a.detach().numpy(), rtol=3e-6, atol=1e-6)


def test_ignored_classes_do_not_count():
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=1)
    kept = LABELS != 1
    values = -np.log(_softmax(Z.astype(np.float64))[range(16), LABELS])
    np.testing.assert_allclose(loss(LABELS, Z).numpy(), values[kept].mean(), rtol=3e-6)
    none = keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, ignore_class=1, reduction="none"
    )
    np.testing.assert_allclose(none(LABELS, Z).numpy(), values * kept, rtol=3e-6)


def test_gradients_reach_the_prediction():
    for name, settings, t, p, _ in LOSSES:
        prediction = rv.tensor(p, requires_grad=True)
        getattr(keras.losses, name)(**settings)(t, prediction).backward()
        assert prediction.grad is not None, name
        assert np.isfinite(prediction.grad.numpy()).all(), name


def test_names_functions_and_configurations():
    for name in ("mse", "MSE", "mean_squared_error", "MeanSquaredError"):
        assert isinstance(keras.losses.get(name), keras.losses.MeanSquaredError)
    own = keras.losses.get(lambda t, p: (t - p).abs().mean(-1))
    assert own.name == "lambda"
    assert float(own([[1.0]], [[3.0]])) == 2.0
    again = keras.losses.deserialize(keras.losses.serialize(keras.losses.Huber(delta=2.0)))
    assert again.get_config()["delta"] == 2.0
    with pytest.raises(ValueError, match=r"did you mean 'mse'"):
        keras.losses.get("mes")


def test_errors_of_losses_say_what_to_do():
    with pytest.raises(rv.ShapeError, match="sparse_categorical_crossentropy"):
        keras.losses.CategoricalCrossentropy()(LABELS, SHARES)
    with pytest.raises(rv.ShapeError, match="'categorical_crossentropy'"):
        keras.losses.SparseCategoricalCrossentropy()(ONE_HOT, SHARES)
    with pytest.raises(ValueError, match=r"labels from 0 to 3 .* got 4; labels start at 0"):
        keras.losses.SparseCategoricalCrossentropy(from_logits=True)(LABELS + 1, Z)
    with pytest.raises(rv.ShapeError, match=r"expected shape \(16, 4\)"):
        keras.losses.MeanSquaredError()(T[:, :1], P)
    with pytest.raises(ValueError, match="reduction"):
        keras.losses.MeanSquaredError(reduction="average")
    with pytest.raises(AttributeError, match="did you mean 'Huber'"):
        _ = keras.losses.Hubber


# --- metrics --------------------------------------------------------------------------------------

SAME = (
    "MeanSquaredError RootMeanSquaredError MeanAbsoluteError MeanAbsolutePercentageError "
    "MeanSquaredLogarithmicError KLDivergence Poisson LogCoshError CosineSimilarity R2Score"
)
YES_NO = (
    "Accuracy BinaryAccuracy Hinge SquaredHinge BinaryCrossentropy Precision Recall AUC "
    "TruePositives FalsePositives TrueNegatives FalseNegatives F1Score"
)
METRICS = (
    [(name, {}, T, P) for name in SAME.split()]
    + [(name, {}, BITS, P) for name in YES_NO.split()]
    + [
        ("AUC", {"curve": c, "summation_method": s, "num_thresholds": n}, BITS, P)
        for c in ("ROC", "PR")
        for s in ("interpolation", "minoring", "majoring")
        for n in (5, 200)
    ]
    + [
        ("F1Score", {"average": a, "threshold": t}, BITS, P)
        for a in (None, "micro", "macro", "weighted")
        for t in (None, 0.4)
    ]
    + [
        ("Precision", {"thresholds": [0.2, 0.7]}, BITS, P),
        ("Recall", {"top_k": 2}, BITS, P),
        ("Recall", {"class_id": 1}, BITS, P),
        ("Precision", {"top_k": 2, "class_id": 0}, BITS, P),
        ("FBetaScore", {"beta": 2.0, "average": "macro"}, ONE_HOT, P),
        ("CategoricalAccuracy", {}, ONE_HOT, P),
        ("SparseCategoricalAccuracy", {}, LABELS, P),
        ("SparseCategoricalAccuracy", {}, LABELS[:, None], P),
        ("TopKCategoricalAccuracy", {"k": 2}, ONE_HOT, P),
        ("SparseTopKCategoricalAccuracy", {"k": 2}, LABELS, P),
        ("CategoricalHinge", {}, ONE_HOT, Z),
        ("CategoricalCrossentropy", {"from_logits": True}, ONE_HOT, Z),
        ("SparseCategoricalCrossentropy", {}, LABELS, SHARES),
        ("R2Score", {"class_aggregation": "variance_weighted_average", "num_regressors": 3}, T, P),
    ]
)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "settings", "t", "p"), METRICS, ids=[f"{m[0]}-{i}" for i, m in enumerate(METRICS)]
)
def test_metrics_are_those_of_keras(name, settings, t, p):
    other = real_keras()
    for weight in (None, WEIGHTS):
        results = []
        for module in (other, keras):
            metric = getattr(module.metrics, name)(**settings)
            for part in (slice(0, 10), slice(10, 16)):
                metric.update_state(t[part], p[part], None if weight is None else weight[part])
            results.append(np.asarray(metric.result()))
        np.testing.assert_allclose(results[1], results[0], rtol=5e-6, atol=1e-6)


def _value(metric, *batch):
    return float(metric(*batch))


def test_metrics_are_their_definitions():
    yes = P > 0.5
    tp, fp = (yes & (BITS == 1)).sum(), (yes & (BITS == 0)).sum()
    fn = (~yes & (BITS == 1)).sum()
    assert _value(keras.metrics.Precision(), BITS, P) == pytest.approx(tp / (tp + fp))
    assert _value(keras.metrics.Recall(), BITS, P) == pytest.approx(tp / (tp + fn))
    assert _value(keras.metrics.BinaryAccuracy(), BITS, P) == pytest.approx((yes == BITS).mean())
    right = P.argmax(1) == LABELS
    assert _value(keras.metrics.SparseCategoricalAccuracy(), LABELS, P) == right.mean()
    assert _value(keras.metrics.CategoricalAccuracy(), ONE_HOT, P) == right.mean()
    best = np.argsort(-P, 1)[:, :2]
    in_two = (best == LABELS[:, None]).any(1).mean()
    assert _value(keras.metrics.SparseTopKCategoricalAccuracy(2), LABELS, P) == in_two
    error = (T.astype(np.float64) - P) ** 2
    assert _value(keras.metrics.RootMeanSquaredError(), T, P) == pytest.approx(error.mean() ** 0.5)
    spread = ((T - T.mean(0)) ** 2).sum(0)
    r2 = (1 - error.sum(0) / spread).mean()
    assert _value(keras.metrics.R2Score(), T, P) == pytest.approx(r2, abs=1e-5)


def test_area_under_the_curve_is_the_share_of_pairs_in_order():
    t, p = BITS.ravel(), P.ravel()
    pairs = (p[t == 1][:, None] > p[t == 0][None]).mean()
    # 2,000 thresholds tell all but a few pairs apart.
    assert _value(keras.metrics.AUC(2000), t, p) == pytest.approx(pairs, abs=2e-3)


def test_metrics_are_reset_and_averaged_over_rows():
    metric = keras.metrics.MeanSquaredError()
    metric.update_state([[0.0], [0.0]], [[1.0], [1.0]])
    metric.update_state([[0.0]], [[4.0]])
    assert float(metric.result()) == 6.0
    metric.reset_state()
    assert float(metric.result()) == 0.0
    total = keras.metrics.Sum()
    total.update_state([1.0, 2.0])
    assert float(total.result()) == 3.0


def test_an_own_metric_counts_in_its_variables():
    class Count(keras.metrics.Metric):
        def __init__(self, name="count", **kwargs):
            super().__init__(name=name, **kwargs)
            self.seen = self.add_weight(name="seen", initializer="zeros")

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.seen.assign_add(keras.ops.sum(keras.ops.ones_like(y_true)))

        def result(self):
            return self.seen

    metric = Count()
    metric.update_state(keras.ops.ones((3,)), None)
    assert float(metric.result()) == 3
    metric.reset_state()
    assert float(metric.result()) == 0
