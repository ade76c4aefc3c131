"""The losses of each epoch are scikit-learn's, from the same weights and orders."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from sklearn_curves import KEPT, cases, data, fitted

from ranvier import sklearn as ours

KNOWN: dict[str, Any] = json.loads(KEPT.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", KNOWN)
def test_the_losses_that_were_kept(name: str) -> None:
    estimator = fitted(ours, cases()[name])
    known = KNOWN[name]
    assert len(estimator.loss_curve_) == len(known["loss"])
    # Sums in another order; 20 epochs make of 1e-16 some 1e-13.
    np.testing.assert_allclose(estimator.loss_curve_, known["loss"], rtol=1e-10, atol=1e-12)
    if known["scores"] is None:
        assert estimator.validation_scores_ is None
    else:
        np.testing.assert_allclose(estimator.validation_scores_, known["scores"], rtol=1e-10)


@pytest.mark.parametrize("name", KNOWN)
def test_all_that_scikit_learn_keeps(name: str) -> None:
    theirs = pytest.importorskip("sklearn.neural_network")
    case = cases()[name]
    mine, other = fitted(ours, case), fitted(theirs, case)
    for a, b in zip(mine.coefs_ + mine.intercepts_, other.coefs_ + other.intercepts_, strict=True):
        assert a.dtype == b.dtype and a.flags.c_contiguous
        np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-9)
    for attribute in ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_",
                      "n_features_in_"):  # fmt: skip
        assert getattr(mine, attribute) == getattr(other, attribute), attribute
    for attribute in ("loss_", "best_loss_", "best_validation_score_"):
        ours_value, value = getattr(mine, attribute), getattr(other, attribute)
        assert (ours_value is None) == (value is None), attribute
        assert value is None or ours_value == pytest.approx(value, rel=1e-9), attribute
    X = data()["X"]
    got, wanted = mine.predict(X), other.predict(X)
    assert got.shape == wanted.shape and got.dtype == wanted.dtype
    if got.dtype.kind == "f":
        np.testing.assert_allclose(got, wanted, rtol=1e-7, atol=1e-9)
    else:
        assert (got == wanted).all()
        np.testing.assert_allclose(
            mine.predict_proba(X), other.predict_proba(X), rtol=1e-7, atol=1e-12
        )


def test_saturated_outputs_are_told_as_scikit_learn_tells_them() -> None:
    """Rows far from 0 give probabilities of 0 and 1, whose logarithm it cuts off."""
    theirs = pytest.importorskip("sklearn.neural_network")
    state = np.random.RandomState(0)
    X = state.normal(size=(120, 8)) * 300
    for y in (state.randint(0, 2, 120), state.randint(0, 4, 120)):
        curves = []
        for module in (ours, theirs):
            estimator = module.MLPClassifier(random_state=0, max_iter=6, tol=0)
            with pytest.warns(UserWarning, match="Maximum iterations"):
                curves.append(estimator.fit(X, y).loss_curve_)
        np.testing.assert_allclose(*curves, rtol=1e-9)


def test_float32_is_computed_in_float32() -> None:
    theirs = pytest.importorskip("sklearn.neural_network")
    given = data()
    X, y = given["X"].astype(np.float32), given["multiclass"]
    curves = []
    for module in (ours, theirs):
        estimator = module.MLPClassifier(random_state=0, max_iter=10)
        with pytest.warns(UserWarning, match="Maximum iterations"):
            estimator.fit(X, y)
        assert all(coef.dtype == np.float32 for coef in estimator.coefs_)
        assert estimator.predict_proba(X).dtype == np.float32
        curves.append(estimator.loss_curve_)
    np.testing.assert_allclose(*curves, rtol=1e-5)  # some steps of float32
