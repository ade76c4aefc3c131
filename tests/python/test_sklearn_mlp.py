"""MLPClassifier and MLPRegressor on arrays: what they learn, keep and refuse."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pytest
from sklearn_setup import BINARY, CLASSES, NUMBER, SEVERAL, SUMS, X, quiet

from ranvier.sklearn import ConvergenceWarning, MLPClassifier, MLPRegressor
from ranvier.training import RanvierWarning

SMALL: dict[str, Any] = {"hidden_layer_sizes": (8,), "random_state": 0, "max_iter": 30}


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_it_learns(solver: str) -> None:
    own = {"solver": solver, "max_iter": 300, "learning_rate_init": 0.05, "random_state": 0}
    labels = quiet(MLPClassifier((16,), **own), X, CLASSES)
    assert labels.score(X, CLASSES) > 0.95
    assert labels.predict(X).dtype == CLASSES.dtype and labels.classes_.tolist() == ["a", "b", "c"]
    probabilities = labels.predict_proba(X)
    assert probabilities.shape == (80, 3) and np.allclose(probabilities.sum(axis=1), 1)
    assert np.allclose(np.exp(labels.predict_log_proba(X)), probabilities)
    numbers = quiet(MLPRegressor(hidden_layer_sizes=(16,), **own), X, NUMBER)
    assert numbers.score(X, NUMBER) > 0.95 and numbers.predict(X).shape == (80,)
    assert numbers.out_activation_ == "identity" and labels.out_activation_ == "softmax"


def test_two_classes_several_labels_and_several_numbers() -> None:
    two = quiet(MLPClassifier(**SMALL), X, BINARY == 1)
    assert two.n_outputs_ == 1 and two.out_activation_ == "logistic"
    assert two.predict(X).dtype == bool and two.predict_proba(X).shape == (80, 2)
    several = quiet(MLPClassifier(**SMALL), X, SEVERAL)
    assert several.predict(X).shape == several.predict_proba(X).shape == (80, 3)
    assert several.classes_.tolist() == [0, 1, 2] and set(several.predict(X).ravel()) <= {0, 1}
    assert several.score(X, SEVERAL) == (several.predict(X) == SEVERAL).all(axis=1).mean()
    numbers = quiet(MLPRegressor(**SMALL), X, SUMS)
    assert numbers.predict(X).shape == (80, 3) and numbers.n_outputs_ == 3
    counts = quiet(MLPRegressor("poisson", **SMALL), X, np.floor(np.exp(NUMBER / 5)))
    assert counts.out_activation_ == "exp" and (counts.predict(X) > 0).all()


def test_nothing_of_scikit_learn_or_scipy_is_needed() -> None:
    code = """
import sys
for name in ("sklearn", "scipy", "pandas"):
    sys.modules[name] = None  # an import of it fails
import numpy as np, warnings
from ranvier.sklearn import ConvergenceWarning, MLPClassifier, MLPRegressor
X = np.random.RandomState(0).normal(size=(60, 3)); y = X[:, 0] > 0
for solver in ("adam", "sgd", "lbfgs"):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        net = MLPClassifier((5,), solver=solver, max_iter=9, random_state=0, tol=0).fit(X, y)
    assert [w.category for w in told] == [ConvergenceWarning], told
    assert net.predict(X).shape == (60,) and 0 <= net.score(X, y) <= 1
net = MLPClassifier((5,), max_iter=50, early_stopping=True, random_state=0).fit(X, y)
assert len(net.validation_scores_) == net.n_iter_
assert "<table>" in net._repr_html_()
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    print(MLPRegressor(max_iter=9).fit(X, X @ [1, 2, 3]).predict(X[:1]).shape)
try: MLPClassifier().predict(X)
except AttributeError as error: print("not fitted" in str(error))
try: MLPClassifier().fit(np.array([[np.nan, 1.0]]), [1])
except ValueError as error: print("finite" in str(error))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["(1,)", "True", "True"]


# --- weights that the user may change -------------------------------------------------------------


def by_hand(net: Any, rows: Any) -> Any:
    for coef, intercept in zip(net.coefs_[:-1], net.intercepts_[:-1], strict=True):
        rows = np.maximum(rows @ coef + intercept, 0)
    return rows @ net.coefs_[-1] + net.intercepts_[-1]


def test_predictions_go_by_the_arrays_as_they_are() -> None:
    net = quiet(MLPRegressor(**SMALL), X, SUMS)
    assert np.allclose(net.predict(X), by_hand(net, X))
    net.coefs_[0][:] = 0.5  # in place
    net.intercepts_[1][1] += 3
    assert np.allclose(net.predict(X), by_hand(net, X))
    assert np.allclose(net.predict(X[:1]), by_hand(net, X[:1]))
    net.coefs_[0] = np.asfortranarray(np.random.RandomState(0).normal(size=(4, 8)))  # another
    assert np.allclose(net.predict(X), by_hand(net, X))
    net.coefs_[0] *= 2  # into the other one
    assert np.allclose(net.predict(X), by_hand(net, X))
    net.coefs_ = [np.ones((4, 2)), np.ones((2, 3))]  # all of them, in another shape
    net.intercepts_ = [np.zeros(2), np.arange(3.0)]
    assert np.allclose(net.predict(X), by_hand(net, X))
    net.intercepts_[0] = np.array([1, 2])  # of another type, whose memory it cannot share
    assert np.allclose(net.predict(X), by_hand(net, X))
    net.intercepts_[0][0] = 7
    assert np.allclose(net.predict(X), by_hand(net, X))


def test_learning_goes_on_from_changed_weights() -> None:
    net = MLPRegressor(**SMALL).partial_fit(X, NUMBER)
    before = copy.deepcopy(net)
    net.coefs_[0] = net.coefs_[0].copy()
    net.partial_fit(X, NUMBER), before.partial_fit(X, NUMBER)
    assert np.allclose(net.predict(X), before.predict(X), rtol=1e-12)
    assert np.allclose(net.predict(X)[:, None], by_hand(net, X))


# --- in parts, and again --------------------------------------------------------------------------


def test_partial_fit_is_an_epoch() -> None:
    whole = quiet(MLPClassifier(**{**SMALL, "max_iter": 5}, shuffle=False), X, CLASSES)
    parts = MLPClassifier(**SMALL, shuffle=False)
    for _ in range(5):
        parts.partial_fit(X, CLASSES, classes=["a", "b", "c"])
    assert np.allclose(parts.loss_curve_, whole.loss_curve_, rtol=1e-12)
    assert parts.t_ == whole.t_ == 400 and parts.n_iter_ == 1
    for copied in (copy.deepcopy(parts), pickle.loads(pickle.dumps(parts))):
        copied.partial_fit(X, CLASSES)  # with the moments of before
        assert len(copied.loss_curve_) == 6
        again = copy.deepcopy(parts).partial_fit(X, CLASSES)
        assert copied.loss_curve_ == again.loss_curve_
        assert np.array_equal(copied.coefs_[0], again.coefs_[0])
    parts.partial_fit(X, CLASSES)
    assert parts.loss_curve_ == again.loss_curve_


def test_parts_of_any_size_one_after_the_other() -> None:
    """Rows lie where those of before lay, and are the caller's all the same."""
    net, plain = MLPRegressor(**SMALL, shuffle=False), MLPRegressor(**SMALL, shuffle=False)
    kept = X.copy()
    for start, stop in ((0, 20), (20, 40), (40, 47), (40, 60), (60, 80)):
        net.partial_fit(X[start:stop], NUMBER[start:stop])
        plain.__dict__.pop("_staged", None)
        plain.partial_fit(X[start:stop].copy(), NUMBER[start:stop].copy())
    assert net.loss_curve_ == plain.loss_curve_ and np.array_equal(X, kept)
    assert np.array_equal(net.coefs_[0], plain.coefs_[0])


def test_partial_fit_refuses() -> None:
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        MLPClassifier().partial_fit(X, BINARY)
    net = MLPClassifier(**SMALL).partial_fit(X, BINARY, classes=[0, 1])
    with pytest.raises(ValueError, match="`y` has classes not in `self"):
        net.partial_fit(X, BINARY + 1)
    with pytest.raises(ValueError, match="is not the same as on last call to partial_fit"):
        net.partial_fit(X, BINARY, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="does not support early_stopping=True"):
        MLPClassifier(early_stopping=True).partial_fit(X, BINARY, classes=[0, 1])
    lbfgs = MLPClassifier(solver="lbfgs")
    assert not hasattr(lbfgs, "partial_fit") and hasattr(MLPClassifier(), "partial_fit")
    with pytest.raises(AttributeError, match="only available for stochastic optimizers"):
        lbfgs.partial_fit(X, BINARY)


def test_warm_start_goes_on() -> None:
    net = quiet(MLPClassifier(**SMALL, warm_start=True), X, CLASSES)
    first = net.coefs_[0].copy()
    quiet(net, X, CLASSES)
    assert len(net.loss_curve_) == 60 and net.loss_curve_[30] < net.loss_curve_[0]
    assert not np.array_equal(first, net.coefs_[0]) and net.n_iter_ == 30
    with pytest.raises(ValueError, match="warm_start can only be used where `y` has the same"):
        net.fit(X, BINARY)
    cold = quiet(MLPClassifier(**SMALL), X, CLASSES)
    kept = cold.coefs_[0]
    quiet(cold, X, CLASSES)
    assert len(cold.loss_curve_) == 30 and cold.coefs_[0] is not kept
    assert np.array_equal(cold.coefs_[0], kept)


def test_the_best_weights_stay_after_early_stopping() -> None:
    net = quiet(MLPClassifier(**{**SMALL, "max_iter": 200}, early_stopping=True), X, CLASSES)
    assert net.best_validation_score_ == max(net.validation_scores_) and net.best_loss_ is None
    assert net.n_iter_ == len(net.validation_scores_) == len(net.loss_curve_) < 200
    with pytest.raises(ValueError, match="The validation set is too small"):
        MLPClassifier(early_stopping=True, validation_fraction=0.01).fit(X, CLASSES)
    with pytest.raises(ValueError, match="The least populated classes in y have only 1 member"):
        MLPClassifier(early_stopping=True).fit(X, [1] + [0] * 79)


# --- what it says ---------------------------------------------------------------------------------


def test_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    own = {"hidden_layer_sizes": (4,), "random_state": 0, "verbose": True, "tol": 10.0}
    net = MLPRegressor(**own, n_iter_no_change=2, max_iter=50).fit(X, NUMBER)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"Iteration 1, loss = {net.loss_curve_[0]:.8f}"
    assert lines[-1] == (
        "Training loss did not improve more than tol=10.000000 for 2 consecutive epochs. Stopping."
    )
    assert len(lines) == net.n_iter_ + 1 == 5
    quiet(MLPClassifier(**own, n_iter_no_change=1, max_iter=9, early_stopping=True), X, CLASSES)
    text = capsys.readouterr().out
    assert "Validation score: 0." in text and "Validation score did not improve more" in text
    adaptive = {"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 1e-5}
    MLPRegressor(**own, **adaptive, n_iter_no_change=1, max_iter=50).fit(X, NUMBER)
    text = capsys.readouterr().out
    assert "Setting learning rate to 0.000002" in text
    assert text.rstrip().endswith("Learning rate too small. Stopping.")
    net = MLPRegressor(**own, solver="lbfgs").fit(X, NUMBER)
    text = capsys.readouterr().out
    assert text == f"Iteration {net.n_iter_}, loss = {net.loss_:.8f}\n"


def test_warnings() -> None:
    with pytest.warns(UserWarning, match=r"Maximum iterations \(3\) reached") as told:
        MLPClassifier(max_iter=3).fit(X, BINARY)
    assert told[0].filename == __file__ and "Convergence" in told[0].category.__name__
    if "sklearn.exceptions" not in sys.modules:
        assert told[0].category is ConvergenceWarning
    with pytest.warns(UserWarning, match="It is going to be clipped"):
        MLPClassifier(max_iter=300, batch_size=99, tol=1, n_iter_no_change=1).fit(X, BINARY)
    with pytest.warns(UserWarning, match="lbfgs failed to converge after 2 iteration"):
        MLPClassifier(solver="lbfgs", max_iter=2).fit(X, BINARY)
    with pytest.warns(UserWarning, match="EVALUATIONS REACHED LIMIT"):
        MLPClassifier(solver="lbfgs", max_fun=3).fit(X, BINARY)
    with pytest.warns(UserWarning, match="A column-vector y was passed"):
        MLPClassifier(max_iter=100, tol=1, n_iter_no_change=1).fit(X, BINARY[:, None])
    with pytest.warns(RanvierWarning, match="expected at least two classes, got only"):
        one = MLPClassifier(max_iter=100, tol=1, n_iter_no_change=1).fit(X, [7] * 80)
    assert set(one.predict(X)) == {7}


def test_ctrl_c_keeps_what_was_learned() -> None:
    class Interrupt:
        def on_epoch_end(self, run: Any, logs: Any) -> None:
            if run.epoch == 3:
                raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="Training interrupted by user."):
        net = MLPClassifier(callbacks=[Interrupt()]).fit(X, BINARY)
    assert net.n_iter_ == len(net.loss_curve_) == 3 and net.predict(X).shape == (80,)


def test_weights_that_overflow_are_an_error() -> None:
    with pytest.raises(ValueError, match="Solver produced non-finite parameter weights"):
        MLPRegressor(solver="sgd", learning_rate_init=10.0).fit(X * 1e6, NUMBER * 1e6)


# --- what each row counts -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_a_row_that_counts_twice_is_there_twice(kind: Any) -> None:
    y = BINARY if kind is MLPClassifier else NUMBER
    own = {**SMALL, "shuffle": False, "max_iter": 10, "batch_size": 160}
    weight = np.ones(80)
    weight[:20] = 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        counted = kind(**own).fit(X, y, sample_weight=weight)
        rows = np.r_[np.arange(80), np.arange(20)]
        twice = kind(**own).fit(X[rows], y[rows])
    assert np.allclose(counted.loss_curve_, twice.loss_curve_, rtol=1e-9)
    assert np.allclose(counted.coefs_[0], twice.coefs_[0], rtol=1e-7)


def test_batches_that_count_nothing_change_nothing() -> None:
    weight = np.r_[np.ones(40), np.zeros(40)]
    own = {**SMALL, "shuffle": False, "batch_size": 40, "alpha": 0.0, "max_iter": 1}
    net = quiet(MLPRegressor(**own, solver="sgd", momentum=0), X, NUMBER, sample_weight=weight)
    half = quiet(MLPRegressor(**own, solver="sgd", momentum=0), X[:40], NUMBER[:40])
    assert np.array_equal(net.coefs_[0], half.coefs_[0])


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "named, words",
    [
        ({"activation": "rleu"}, "'activation' parameter of MLPClassifier must be a str among.*"
                                 r"Got 'rleu' instead\. Did you mean 'relu'"),
        ({"solver": "newton"}, r"'solver' parameter .* among \{'lbfgs', 'sgd', 'adam'\}"),
        ({"alpha": -1}, r"must be a float in the range \[0\.0, inf\)\. Got -1 instead"),
        ({"batch_size": 0}, r"must be a str among \{'auto'\} or an int in the range \[1, inf\)"),
        ({"max_iter": 1.5}, r"must be an int in the range \[1, inf\)\. Got 1.5 instead"),
        ({"momentum": 2}, r"must be a float in the range \[0\.0, 1\.0\]"),
        ({"hidden_layer_sizes": (3, 0)}, r"hidden_layer_sizes must be > 0, got \[3, 0\]"),
        ({"hidden_layer_sizes": 0.5}, "must be an array-like or an int in the range"),
        ({"random_state": "a"}, r"an int in the range \[0, 4294967295\], an instance of"),
        ({"n_iter_no_change": 0}, r"an int in the range \[1, inf\) or a float among \{inf\}"),
        ({"dropout": 1.0}, r"must be a float in the range \[0\.0, 1\.0\) or a list of them"),
        ({"dropout": [0.1, 0.2]}, "dropout: expected one for each of the 1 hidden layers, got 2"),
        ({"norm": "bath"}, "Did you mean 'batch'"),
        ({"activation": ["relu", "tanh"]}, "activation: expected one for each of the 1 hidden"),
        ({"clip_norm": 0}, "'clip_norm' parameter of MLPClassifier must be a float in the range"),
        ({"optimizer": "adma"}, "did you mean 'adamax' or 'adam'"),
        ({"loss": "mse"}, "loss: expected one of classes, such as 'cross_entropy'"),
        ({"loss": "log_los"}, "The 'loss' parameter of MLPClassifier must be a str among"),
        ({"class_weight": {"d": 2}}, r"expected labels out of \['a', 'b', 'c'\], got 'd'"),
        ({"class_weight": {"a": 0, "b": 0, "c": 0}}, "at least one non-zero number"),
        ({"dtype": "float16"}, "dtype: expected 'float32', 'float64' or None"),
        ({"callbacks": [len]}, "callbacks: expected objects with methods such as on_epoch_end"),
    ],
)  # fmt: skip
def test_parameters_that_cannot_be(named: dict[str, Any], words: str) -> None:
    with pytest.raises((ValueError, TypeError), match=words):
        MLPClassifier(**named).fit(X, CLASSES)


@pytest.mark.parametrize(
    "rows, y, named, words",
    [
        (X, None, {}, "requires y to be passed, but the target y is None"),
        (X[0], BINARY[:4], {}, "Expected 2D array, got 1D array instead"),
        (X, BINARY[:9], {}, "inconsistent numbers of samples"),
        (np.where(X > 2, np.nan, X), BINARY, {}, "NaN"),
        (X + 0j, BINARY, {}, "Complex data not supported"),
        (np.zeros((80, 0)), BINARY, {}, r"0 feature\(s\)"),
        (np.array([["a", "b"]] * 80), BINARY, {}, "could not convert|expected numbers|dtype"),
        (X, NUMBER, {}, "Unknown label type"),
        (X, np.array([1, "a"] * 40, dtype=object), {}, "Unknown label type|uniformly strings"),
        (X, SUMS, {}, "Multioutput|Unknown label type|several labels a row"),
        (X, BINARY, {"sample_weight": np.zeros(80)}, "at least one non-zero number"),
        (X, BINARY, {"sample_weight": np.ones(9)}, r"sample_weight.shape == \(9,\), expected"),
        (X, BINARY, {"sample_weight": np.ones((80, 2))}, "must be 1D array or scalar"),
        (X, BINARY, {"sample_weight": [np.nan] * 80}, "NaN"),
        (X, BINARY, {"validation_data": (X, BINARY + 1)}, "`y` has classes not in"),
        (X, BINARY, {"validation_data": (X[:, :2], BINARY)}, "X has 2 features, but"),
        (X, BINARY, {"validation_data": X}, r"validation_data: expected \(X, y\)"),
    ],
)  # fmt: skip
def test_data_that_cannot_be(rows: Any, y: Any, named: dict[str, Any], words: str) -> None:
    with pytest.raises((ValueError, TypeError), match=words):
        MLPClassifier(**SMALL).fit(rows, y, **named)


def test_other_rows_than_in_fit() -> None:
    with pytest.raises(Exception, match="This MLPClassifier instance is not fitted yet"):
        MLPClassifier().predict(X)
    net = quiet(MLPClassifier(**SMALL), X, BINARY)
    for method in (net.predict, net.predict_proba, net.predict_log_proba):
        with pytest.raises(ValueError, match="X has 3 features, but MLPClassifier is expecting 4"):
            method(X[:, :3])
        with pytest.raises(ValueError, match="NaN"):
            method(np.full((1, 4), np.nan))
    with pytest.raises(ValueError, match="0 or more for the loss 'poisson'"):
        MLPRegressor("poisson").fit(X, NUMBER)


def test_rows_of_all_kinds() -> None:
    net = quiet(MLPClassifier(**SMALL), X, CLASSES)
    wanted = net.predict_proba(X)
    for rows in (X.tolist(), np.asfortranarray(X), X[::-1][::-1], X.astype(object)):
        assert np.array_equal(net.predict_proba(rows), wanted)
    assert np.allclose(net.predict_proba(X.astype(np.float32)), wanted, rtol=1e-5)
    sparse = pytest.importorskip("scipy.sparse")
    for make in (sparse.csr_matrix, sparse.csc_matrix, sparse.coo_matrix, sparse.csr_array):
        assert np.allclose(net.predict_proba(make(X)), wanted, rtol=1e-12)
    thin = quiet(MLPClassifier(**SMALL), sparse.csr_matrix(X), CLASSES)
    assert np.allclose(thin.loss_curve_, net.loss_curve_, rtol=1e-10)
    several = quiet(MLPClassifier(**SMALL), X, sparse.csr_matrix(SEVERAL))
    assert sparse.issparse(several.predict(X)) and 0 <= several.score(X, SEVERAL) <= 1
