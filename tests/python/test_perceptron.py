"""Rosenblatt's perceptron: the rule, when it ends, and that it says where it cannot."""

from __future__ import annotations

import copy
import pickle
import warnings
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier._demo import perceptron
from ranvier.sklearn import Perceptron
from ranvier.training import RanvierWarning

CORNERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
AND, OR, XOR = [0, 0, 0, 1], [0, 1, 1, 1], [0, 1, 1, 0]
RNG = np.random.default_rng(0)


def by_hand(X: Any, y: Any, passes: int) -> tuple[Any, float, list[int]]:
    """The rule as a textbook writes it, in steps of 1."""
    w, b, errors = np.zeros(X.shape[1]), 0.0, []
    for _ in range(passes):
        wrong = 0
        for x, t in zip(X, y, strict=True):
            error = t - (1 if x @ w + b >= 0 else 0)
            w, b, wrong = w + error * x, b + error, wrong + (error != 0)
        errors.append(int(wrong))
        if not wrong:
            break
    return w, b, errors


@pytest.mark.parametrize("eta0", [0.01, 0.1, 1, 3.0])
def test_and_is_learned_at_epoch_six(eta0: float) -> None:
    net = Perceptron(eta0=eta0).fit(CORNERS, AND)
    assert net.n_iter_ == 6 and net.errors_[-1] == 0 < min(net.errors_[:-1]) and net.converged_
    assert net.predict(CORNERS).tolist() == AND and net.score(CORNERS, AND) == 1.0
    assert np.allclose(net.coef_, eta0 * np.array([[2.0, 1.0]]))
    assert np.allclose(net.intercept_, [-3 * eta0])


def test_or_is_learned() -> None:
    net = Perceptron(eta0=0.01).fit(CORNERS, OR)
    assert net.n_iter_ < 10 and net.predict(CORNERS).tolist() == OR


def test_xor_is_not_and_it_says_so() -> None:
    with pytest.warns(RanvierWarning, match=r"\[Perceptron\] no line parts these classes"):
        net = Perceptron(eta0=0.01).fit(CORNERS, XOR)
    assert not net.converged_ and net.score(CORNERS, XOR) < 1
    with pytest.warns(RanvierWarning, match="rows still changed the weights in pass 100"):
        net = Perceptron(max_iter=100, shuffle=True, random_state=0).fit(CORNERS, XOR)
    assert net.n_iter_ == 100
    with pytest.warns(RanvierWarning, match="in pass 2, the last one"):
        Perceptron(max_iter=2).fit(CORNERS, AND)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.uint8, bool])
def test_the_rule(dtype: Any) -> None:
    for seed in range(5):
        rows = np.random.default_rng(seed).integers(0, 5, (40, 3)).astype(dtype)
        y = (rows.astype(int) @ [2, -1, 1] > 3).astype(int)
        if len(set(y)) < 2:
            continue
        w, b, errors = by_hand(rows.astype(float), y, 200)
        net = Perceptron(max_iter=len(errors))
        if errors[-1]:
            with pytest.warns(RanvierWarning):
                net.fit(rows, y)
        else:
            net.fit(rows, y)
        if len(net.errors_) == len(errors):  # a cycle ends it before
            assert net.errors_ == errors
            assert net.coef_.tolist() == [w.tolist()] and net.intercept_.tolist() == [b]
        expected = np.float32 if dtype is np.float32 else np.float64
        assert net.coef_.dtype == expected == net.decision_function(rows).dtype


def test_more_than_two_classes_and_labels_of_any_type() -> None:
    centres = np.array([[0, 8], [8, 0], [-8, -8]])
    place = RNG.integers(0, 3, 90)
    rows = centres[place] + RNG.normal(size=(90, 2))
    names = np.array(["a", "b", "c"])[place]
    net = Perceptron().fit(rows, names)
    assert net.score(rows, names) == 1 and net.classes_.tolist() == ["a", "b", "c"]
    assert net.coef_.shape == (3, 2) and net.decision_function(rows).shape == (90, 3)
    assert net.predict(rows).dtype == names.dtype
    two = Perceptron().fit(rows[place < 2], names[place < 2])
    assert two.decision_function(rows).shape == (90,)
    assert set(two.predict(rows)) <= {"a", "b"}


def test_in_parts() -> None:
    whole, parts = Perceptron().fit(CORNERS, AND), Perceptron()
    for _ in range(whole.n_iter_):
        parts.partial_fit(CORNERS, AND, classes=[0, 1])
    assert parts.coef_.tolist() == whole.coef_.tolist() and parts.converged_
    one = Perceptron().partial_fit(CORNERS[:1], AND[:1], classes=[0, 1])
    one.partial_fit(CORNERS[3:], AND[3:])
    with pytest.raises(ValueError, match=r"y: expected labels out of \[0, 1\], got \[2\]"):
        one.partial_fit(CORNERS[:1], [2])
    with pytest.raises(ValueError, match="classes: expected at least two labels"):
        Perceptron().partial_fit(CORNERS[:1], [1])
    warm = Perceptron(warm_start=True).fit(CORNERS, AND)
    assert warm.fit(CORNERS, AND).n_iter_ == 1


def test_without_intercept_and_shuffled() -> None:
    net = Perceptron(fit_intercept=False).fit([[1.0, 2.0], [-1.0, -2.0]], [1, 0])
    assert net.intercept_.tolist() == [0.0] and net.converged_
    rows = RNG.normal(size=(60, 3))
    y = rows @ [1, -2, 0.5] > 0.1
    nets = [Perceptron(shuffle=True, random_state=s).fit(rows, y) for s in (1, 1, 2)]
    assert nets[0].coef_.tolist() == nets[1].coef_.tolist() != nets[2].coef_.tolist()


def test_parameters() -> None:
    net = Perceptron(0.5, max_iter=7)
    assert repr(net) == "Perceptron(eta0=0.5, max_iter=7)" and repr(Perceptron()) == "Perceptron()"
    assert net.get_params()["max_iter"] == 7
    assert net.set_params(eta0=2.0, shuffle=True) is net and net.eta0 == 2.0
    with pytest.raises(ValueError, match="got 'eta'; did you mean 'eta0'"):
        net.set_params(eta=1)
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert twin.get_params() == net.get_params()
    fitted = Perceptron().fit(CORNERS, AND)
    for twin in (copy.deepcopy(fitted), pickle.loads(pickle.dumps(fitted))):
        assert twin.predict(CORNERS).tolist() == AND


@pytest.mark.parametrize(
    "X, y, named, words",
    [
        (CORNERS, [0, 0, 0, 0], {}, r"y: expected at least two classes, got only one class, \[0\]"),
        (CORNERS, AND[:3], {}, r"y: expected one label a row, \(4,\)"),
        (CORNERS, [0.5, 1, 0, 0], {}, "numbers with a fraction"),
        (CORNERS, [np.nan, 1, 0, 0], {}, "NaN or infinity"),
        (CORNERS[0], AND, {}, r"X: expected rows \(rows, columns\), got \(2,\)"),
        ([[np.nan, 1], [1, 2]], [0, 1], {}, "X: expected finite"),
        (CORNERS, AND, {"eta0": 0}, "eta0: expected a number above 0"),
        (CORNERS, AND, {"eta0": "1"}, "eta0: expected a number"),
        (CORNERS, AND, {"max_iter": 0}, "max_iter: expected a number above 0"),
        (CORNERS, AND, {"max_iter": 1.5}, "max_iter: expected a number"),
    ],
)
def test_refused(X: Any, y: Any, named: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Perceptron(**named).fit(X, y)


def test_before_it_is_fitted() -> None:
    with pytest.raises(Exception, match="expected a fitted estimator"):
        Perceptron().predict(CORNERS)
    net = Perceptron().fit(CORNERS, AND)
    with pytest.raises(ValueError, match="X has 3 features, but Perceptron is expecting 2"):
        net.predict(np.ones((2, 3)))


def test_sparse_rows() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    net = Perceptron().fit(sparse.csr_matrix(CORNERS), AND)
    assert net.predict(sparse.csr_matrix(CORNERS)).tolist() == AND


def test_tools_of_scikit_learn() -> None:
    base = pytest.importorskip("sklearn.base")
    selection = pytest.importorskip("sklearn.model_selection")
    net = base.clone(Perceptron(eta0=0.5))
    assert net.eta0 == 0.5 and base.is_classifier(net)
    rows = RNG.normal(size=(60, 3))
    y = rows @ [1, -2, 0.5] > 0.1
    assert selection.cross_val_score(net, rows, y, cv=3).mean() > 0.8
    linear = pytest.importorskip("sklearn.linear_model")
    theirs = linear.Perceptron(shuffle=False, tol=None, max_iter=50).fit(CORNERS, AND)
    assert (
        theirs.predict(CORNERS).tolist() == Perceptron().fit(CORNERS, AND).predict(CORNERS).tolist()
    )


def test_it_needs_no_scikit_learn_and_is_imported_when_asked_for() -> None:
    import subprocess
    import sys

    code = (
        "import sys, ranvier as rv; assert 'ranvier.sklearn' not in sys.modules\n"
        "net = rv.sklearn.Perceptron().fit([[0], [1]], [0, 1])\n"
        "try: rv.sklearn.Perceptron().predict([[0]])\n"
        "except AttributeError: pass\n"
        "print('sklearn' in sys.modules, net.predict([[0], [1]]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False [0 1]"


def test_the_op_works_on_what_it_is_given() -> None:
    """Gaps, shared memory and empty data."""
    weight = rv.zeros(2, 2)[:, 0]
    wrong = rv.perceptron_pass(weight, rv.tensor(CORNERS.astype("f4")), rv.tensor(AND).float())
    assert wrong.item() > 0
    both = rv.zeros(3)
    rv.perceptron_pass(both[:2], rv.tensor(CORNERS.astype("f4")), rv.tensor(AND).float(), both[2:])
    assert both.tolist() == [1.0, 1.0, 0.0] or both.abs().sum().item() > 0
    assert rv.perceptron_pass(rv.zeros(2), rv.zeros(0, 2), rv.zeros(0)).item() == 0


def test_every_check_of_scikit_learn() -> None:
    checks = pytest.importorskip("sklearn.utils.estimator_checks")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for result in checks.check_estimator(Perceptron(max_iter=100), on_fail=None):
            assert result["status"] in ("passed", "skipped"), result


def test_demo(capsys: pytest.CaptureFixture[str]) -> None:
    perceptron.run()
    text = capsys.readouterr().out
    assert "pass 6   0 of 4 rows wrong" in text
    assert "It cannot: no line parts these classes" in text
    assert all(len(line) <= 80 and line.isascii() for line in text.splitlines())
