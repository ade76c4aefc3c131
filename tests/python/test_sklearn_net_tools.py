"""NetClassifier and NetRegressor in scikit-learn's own tools, and its checks of estimators."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from test_sklearn_net import VALUES, Hidden, X, Y, classifier, weights

from ranvier.sklearn import NetClassifier, NetRegressor

sklearn = pytest.importorskip("sklearn")
from sklearn import base, calibration, compose, ensemble, inspection, pipeline, preprocessing  # noqa: E402  # noqa: E402
from sklearn import model_selection as selection  # noqa: E402
from sklearn.utils.estimator_checks import check_estimator  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.skipif(sklearn.__version__ < "1.6", reason="the tags of 1.6")
@pytest.mark.parametrize("kind", [NetClassifier, NetRegressor])
def test_checks_of_scikit_learn(kind: Any) -> None:
    """None is expected to fail, and skipped is what scikit-learn skips for its own."""
    found = check_estimator(kind(), on_skip=None)
    skipped = {f["check_name"] for f in found if f["status"] != "passed"}
    assert skipped <= {
        "check_array_api_input",
        "check_classifiers_multilabel_output_format_decision_function",
    }
    assert len(found) > 50


def test_clones() -> None:
    net = classifier(Hidden, module__hidden=5, threshold=0.4).fit(X, Y)
    twin = base.clone(net)
    assert twin.get_params() == net.get_params() and not hasattr(twin, "module_")
    assert weights(twin.fit(X, Y)) == weights(net)
    given = classifier(net.module_)
    assert base.clone(given).module is not given.module


def test_grid_search_over_nested_names_in_two_processes() -> None:
    steps = pipeline.make_pipeline(preprocessing.StandardScaler(), classifier(Hidden, epochs=10))
    search = selection.GridSearchCV(
        steps,
        {
            "netclassifier__module__hidden": [2, 8],
            "netclassifier__lr": [0.001, 0.05],
            "netclassifier__optimizer": ["adam", "sgd"],
        },
        n_jobs=2,
        cv=3,
    ).fit(X, Y)
    assert search.best_score_ > 0.9 and search.best_params_["netclassifier__lr"] == 0.05
    assert not np.isnan(search.cv_results_["mean_test_score"]).any()
    assert search.best_estimator_[-1].module_.first.out_features in (2, 8)


def test_tools_that_fit_and_ask() -> None:
    net = classifier(epochs=30)
    assert selection.cross_val_score(net, X, Y, cv=3).mean() > 0.9
    assert selection.cross_val_predict(net, X, Y, cv=3, method="predict_proba").shape == (120, 2)
    found = inspection.permutation_importance(net.fit(X, Y), X, Y, n_repeats=3, random_state=0)
    assert set(np.argsort(found.importances_mean)[-2:]) == {0, 1}
    for method in ("sigmoid", "isotonic"):
        calibrated = calibration.CalibratedClassifierCV(net, method=method, cv=3).fit(X, Y)
        assert calibrated.score(X, Y) > 0.9
    voting = ensemble.VotingClassifier([("a", net), ("b", classifier(Hidden))], voting="soft")
    assert voting.fit(X, Y).score(X, Y) > 0.9
    bagged = ensemble.BaggingRegressor(NetRegressor(epochs=20, lr=0.05), n_estimators=3)
    assert bagged.fit(X, VALUES).score(X, VALUES) > 0.5
    tuned = selection.TunedThresholdClassifierCV(net, cv=2).fit(X, Y)
    assert tuned.score(X, Y) > 0.9


def test_tables_of_columns() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({
        "size": X[:, 0], "town": np.where(Y == 1, "Bonn", "Ulm"),
        "born": pandas.Categorical(np.where(X[:, 1] > 0, "south", "north")),
        "rooms": pandas.array([None if i % 7 == 0 else i % 4 for i in range(120)], "Int64"),
        "old": pandas.array([i % 3 == 0 if i % 5 else None for i in range(120)], "boolean"),
    })  # fmt: skip
    names = np.array(["no", "yes"])[Y]
    net = classifier(epochs=30).fit(frame, names)
    assert net.score(frame, names) > 0.9
    assert net.table_.names == [
        "size", "rooms", "town=Bonn", "town=Ulm", "born=north", "born=south", "old=False",
        "old=True", "old=missing",
    ]  # fmt: skip
    assert selection.cross_val_score(net, frame, names, cv=3).mean() > 0.9
    assert pickle.loads(pickle.dumps(net)).score(frame, names) == net.score(frame, names)
    dated = frame.assign(when=pandas.Timestamp("2020-01-01"))
    with pytest.raises(TypeError, match="'when', got dates"):
        classifier().fit(dated, names)
    columns = compose.ColumnTransformer(
        [("n", preprocessing.StandardScaler(), ["size"]),
         ("c", preprocessing.OneHotEncoder(sparse_output=False), ["town", "born"])]
    ).set_output(transform="pandas")  # fmt: skip
    steps = pipeline.make_pipeline(columns, classifier(epochs=30)).fit(frame, names)
    assert steps.score(frame, names) > 0.9
    assert steps[-1].feature_names_in_[0] == "n__size"
    sparse = pipeline.make_pipeline(
        compose.ColumnTransformer([("c", preprocessing.OneHotEncoder(), ["town", "born"])],
                                  sparse_threshold=1.0), classifier(epochs=30)
    ).fit(frame, names)  # fmt: skip
    assert sparse.score(frame, names) > 0.9


def test_metadata_is_handed_on() -> None:
    each = np.where(Y == 1, 50.0, 1.0)
    direct = classifier(epochs=5).fit(X, Y, sample_weight=each)
    with sklearn.config_context(enable_metadata_routing=True):
        net = classifier(epochs=5).set_fit_request(sample_weight=True, validation_data=False)
        net.set_score_request(sample_weight=True)
        search = selection.GridSearchCV(net, {"lr": [0.02]}, cv=2).fit(X, Y, sample_weight=each)
    assert weights(search.best_estimator_) == weights(direct)


def test_files_and_what_a_notebook_shows(tmp_path: Any) -> None:
    joblib = pytest.importorskip("joblib")
    net = classifier(Hidden, module__hidden=3).fit(X, Y)
    joblib.dump(net, tmp_path / "net.joblib")
    twin = joblib.load(tmp_path / "net.joblib")
    np.testing.assert_array_equal(twin.predict_proba(X), net.predict_proba(X))
    assert "NetClassifier" in net._repr_html_() and "module__hidden" in repr(net)


def test_errors_of_scikit_learn() -> None:
    from sklearn.exceptions import DataConversionWarning, NotFittedError

    with pytest.raises(NotFittedError):
        classifier().predict(X)
    with pytest.warns(DataConversionWarning):
        classifier(epochs=1).fit(X, Y[:, None])
    with pytest.raises(ValueError, match="contains NaN"):
        classifier(epochs=1).fit(np.full((3, 2), np.nan), [0, 1, 0])
    with pytest.raises(ValueError, match="Unknown label type"):
        classifier(epochs=1).fit(X, VALUES)
