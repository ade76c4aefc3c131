"""scikit-learn's own tools with our estimators; skipped where it is not installed."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from sklearn_setup import BINARY, CLASSES, NUMBER, X

from ranvier.sklearn import MLPClassifier, MLPRegressor, Perceptron

sklearn = pytest.importorskip("sklearn")
SMALL: dict[str, Any] = {
    "hidden_layer_sizes": (8,), "random_state": 0, "max_iter": 40, "learning_rate_init": 0.05,
}  # fmt: skip
pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer")


@pytest.mark.parametrize(
    "estimator, least",
    [(MLPClassifier(max_iter=20), 65), (MLPRegressor(max_iter=20), 59),
     (MLPClassifier(max_iter=20, solver="lbfgs"), 65), (Perceptron(max_iter=100), 54)],
    ids=str,
)  # fmt: skip
def test_every_check(estimator: Any, least: int) -> None:
    pytest.importorskip("pandas")
    checks = pytest.importorskip("sklearn.utils.estimator_checks")
    theirs = {  # what scikit-learn skips for its own
        "check_array_api_input", "check_classifiers_multilabel_output_format_decision_function",
    }  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = checks.check_estimator(estimator, on_skip=None, on_fail=None)
    for result in results:
        skipped = result["status"] == "skipped" and result["check_name"] in theirs
        assert result["status"] == "passed" or skipped, result
    assert Counter(result["status"] for result in results)["passed"] >= least


def test_a_search_over_a_pipeline() -> None:
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    pipeline = make_pipeline(StandardScaler(), MLPClassifier(**SMALL))
    grid = {"mlpclassifier__hidden_layer_sizes": [(4,), (16,)], "mlpclassifier__alpha": [0, 0.1]}
    search = GridSearchCV(pipeline, grid, cv=3, n_jobs=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search.fit(X, CLASSES)
    assert search.best_score_ > 0.7 and len(search.cv_results_["params"]) == 4
    assert search.predict(X).shape == (80,)
    with pytest.raises(ValueError, match="Invalid parameter 'alhpa' for estimator MLPClassifier"):
        pipeline.set_params(mlpclassifier__alhpa=1)


def test_scores_importances_and_votes() -> None:
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.ensemble import BaggingRegressor, VotingClassifier
    from sklearn.inspection import permutation_importance
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score

    net = MLPClassifier(**SMALL)
    assert cross_val_score(net, X, BINARY, cv=3).mean() > 0.7
    numbers = MLPRegressor(**{**SMALL, "max_iter": 200})
    assert cross_val_score(numbers, X, NUMBER, cv=3).mean() > 0.7
    importance = permutation_importance(net.fit(X, BINARY), X, BINARY, n_repeats=3, random_state=0)
    assert importance.importances_mean.shape == (4,) and importance.importances_mean.max() > 0.05
    calibrated = CalibratedClassifierCV(net, cv=3).fit(X, BINARY)
    assert np.allclose(calibrated.predict_proba(X).sum(axis=1), 1)
    votes = VotingClassifier([("net", net), ("line", LogisticRegression())], voting="soft")
    assert votes.fit(X, CLASSES).score(X, CLASSES) > 0.7
    bag = BaggingRegressor(numbers, n_estimators=3, random_state=0).fit(X, NUMBER)
    assert bag.score(X, NUMBER) > 0.7


def test_columns_with_names() -> None:
    pd = pytest.importorskip("pandas")
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    frame = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    net = MLPClassifier(**SMALL).fit(frame, BINARY)
    assert net.feature_names_in_.tolist() == ["a", "b", "c", "d"]
    assert np.array_equal(net.predict_proba(frame), MLPClassifier(**SMALL).fit(X, BINARY)
                          .predict_proba(X))  # fmt: skip
    with pytest.warns(UserWarning, match="X does not have valid feature names, but MLPClassifier"):
        net.predict(X)
    with pytest.raises(ValueError, match="The feature names should match those that were passed"):
        net.predict(frame[["b", "a", "c", "d"]])
    frame["kind"] = np.where(X[:, 0] > 0, "left", "right")
    columns = ColumnTransformer(
        [("number", StandardScaler(), ["a", "b"]), ("kind", OneHotEncoder(), ["kind"])]
    )
    both = make_pipeline(columns, MLPClassifier(**SMALL)).set_output(transform="pandas")
    columns.set_params(kind__sparse_output=False)
    assert both.fit(frame, BINARY).score(frame, BINARY) > 0.6
    assert both[-1].feature_names_in_.tolist()[0] == "number__a"


@pytest.fixture
def routing() -> Iterator[None]:
    sklearn.set_config(enable_metadata_routing=True)
    yield
    sklearn.set_config(enable_metadata_routing=False)


def test_weights_find_their_way(routing: None) -> None:
    from sklearn.model_selection import GridSearchCV, cross_validate

    weight = np.where(BINARY == 1, 100.0, 1e-3)
    net = MLPClassifier(**SMALL).set_fit_request(sample_weight=True)
    net.set_score_request(sample_weight=False)
    assert sklearn.base.clone(net).get_metadata_routing().fit.requests["sample_weight"] is True
    found = cross_validate(net, X, BINARY, params={"sample_weight": weight}, cv=3,
                           return_estimator=True)  # fmt: skip
    for estimator in found["estimator"]:
        assert (estimator.predict(X) == 1).mean() > 0.9
    search = GridSearchCV(net, {"alpha": [0, 1]}, cv=3).fit(X, BINARY, sample_weight=weight)
    assert (search.predict(X) == 1).mean() > 0.9
    with pytest.raises(TypeError, match="Unexpected args"):
        net.set_fit_request(weight=True)
    plain = MLPClassifier(**SMALL)
    with pytest.raises(Exception, match="are passed but are not explicitly set as requested"):
        cross_validate(plain, X, BINARY, params={"sample_weight": weight}, cv=3)


def test_requests_need_routing() -> None:
    with pytest.raises(RuntimeError, match="only available when metadata routing is enabled"):
        MLPClassifier().set_fit_request(sample_weight=True)


def test_what_scikit_learn_asks() -> None:
    from sklearn.base import clone, is_classifier, is_regressor
    from sklearn.exceptions import ConvergenceWarning, NotFittedError
    from sklearn.neural_network import MLPClassifier as Theirs
    from sklearn.neural_network import MLPRegressor as TheirRegressor
    from sklearn.utils import get_tags
    from sklearn.utils._param_validation import InvalidParameterError
    from sklearn.utils.validation import check_is_fitted

    assert is_classifier(MLPClassifier()) and is_regressor(MLPRegressor())
    for mine, theirs in ((MLPClassifier(), Theirs()), (MLPRegressor(), TheirRegressor())):
        assert get_tags(mine) == get_tags(theirs)
        own = mine.get_params()
        assert {name: own[name] for name in theirs.get_params()} == theirs.get_params()
        with pytest.raises(NotFittedError):
            check_is_fitted(mine)
        with pytest.raises(NotFittedError):
            mine.predict(X)
    with pytest.raises(InvalidParameterError):
        MLPClassifier(alpha=-1).fit(X, BINARY)
    with pytest.warns(ConvergenceWarning):
        MLPClassifier(max_iter=2).fit(X, BINARY)
    again = clone(MLPClassifier(**SMALL, activation=["gelu"], dropout=0.2))
    assert again.activation == ["gelu"] and again.dropout == 0.2
    html = MLPClassifier(alpha=0.5)._repr_html_()
    assert "MLPClassifier" in html and "alpha" in html
    assert repr(MLPClassifier((5,), alpha=0.5)) == (
        "MLPClassifier(hidden_layer_sizes=(5,), alpha=0.5)"
    )


def test_joblib_keeps_them(tmp_path: Any) -> None:
    joblib = pytest.importorskip("joblib")
    net = MLPClassifier(**SMALL).fit(X, CLASSES)
    joblib.dump(net, tmp_path / "net.joblib")
    again = joblib.load(tmp_path / "net.joblib")
    assert np.array_equal(again.predict_proba(X), net.predict_proba(X))
    mapped = joblib.load(tmp_path / "net.joblib", mmap_mode="r")  # arrays that cannot be written
    assert np.array_equal(mapped.predict_proba(X), net.predict_proba(X))
