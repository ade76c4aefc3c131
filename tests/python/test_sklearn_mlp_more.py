"""What scikit-learn's MLPs lack: dropout, norms, any activation, loss and optimizer, callbacks."""

from __future__ import annotations

import copy
import functools
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from sklearn_setup import BINARY, CLASSES, NUMBER, SEVERAL, X, quiet

import ranvier as rv
from ranvier.sklearn import MLPClassifier, MLPRegressor

SMALL: dict[str, Any] = {"random_state": 0, "max_iter": 40, "learning_rate_init": 0.02}
HELD = np.random.RandomState(9).normal(size=(30, 4))


@pytest.mark.parametrize(
    "own",
    [
        {"dropout": 0.3},
        {"dropout": [0.5, 0.0]},
        {"norm": "batch"},
        {"norm": "layer"},
        {"activation": "gelu"},
        {"activation": ["tanh", "leaky_relu"]},
        {"activation": rv.nn.PReLU()},
        {"activation": [rv.nn.ELU(0.5), "identity"]},
        {"optimizer": "adamw"},
        {"optimizer": rv.optim.RMSprop},
        {"optimizer": functools.partial(rv.optim.SGD, lr=0.1, momentum=0.9)},
        {"schedule": "cosine"},
        {"clip_norm": 0.1},
        {"accumulate": 4, "batch_size": 10},
        {"dtype": "float32"},
        {"loss": rv.nn.CrossEntropyLoss(label_smoothing=0.1)},
        {"class_weight": "balanced"},
    ],
    ids=str,
)
def test_it_learns_with(own: dict[str, Any]) -> None:
    net = quiet(MLPClassifier((12, 8), **SMALL, **own), X, CLASSES)
    assert net.score(X, CLASSES) > 0.8 and net.loss_curve_[-1] < net.loss_curve_[0]
    plain = quiet(MLPClassifier((12, 8), **SMALL), X, CLASSES)
    assert plain.loss_curve_ != net.loss_curve_ or own in ({"class_weight": "balanced"},)
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert np.array_equal(twin.predict_proba(X), net.predict_proba(X))
    again = quiet(MLPClassifier((12, 8), **SMALL, **own), X, CLASSES)
    assert again.loss_curve_ == net.loss_curve_  # the same seed, the same bits


def test_batches_that_add_up() -> None:
    """Four batches to a step are one that is four times as large."""
    own = {"hidden_layer_sizes": (7,), "shuffle": False, "random_state": 0, "max_iter": 5}
    parts = quiet(MLPRegressor(**own, batch_size=20, accumulate=4), X, NUMBER)
    whole = quiet(MLPRegressor(**own, batch_size=80), X, NUMBER)
    assert np.allclose(parts.loss_curve_, whole.loss_curve_, rtol=1e-12)
    assert np.allclose(parts.coefs_[0], whole.coefs_[0], rtol=1e-10)


def test_dropout_is_off_in_predictions_and_drawn_by_random_state() -> None:
    own = {"hidden_layer_sizes": (30,), "dropout": 0.5, "max_iter": 3}
    a, b, c = (quiet(MLPClassifier(**own, random_state=s), X, BINARY) for s in (0, 0, 1))
    assert a.loss_curve_ == b.loss_curve_ != c.loss_curve_
    assert np.array_equal(a.predict_proba(X), a.predict_proba(X))
    hidden = np.maximum(X @ a.coefs_[0] + a.intercepts_[0], 0)
    z = hidden @ a.coefs_[1] + a.intercepts_[1]
    assert np.allclose(a.predict_proba(X)[:, 1:], 1 / (1 + np.exp(-z)))


def test_weights_of_classes() -> None:
    y = np.where(np.arange(80) < 10, "rare", "often")
    weight = np.where(y == "rare", 4.0, 0.5714285714285714)
    own = {"hidden_layer_sizes": (6,), "random_state": 0, "max_iter": 8}
    balanced = quiet(MLPClassifier(**own, class_weight="balanced"), X, y)
    given = quiet(MLPClassifier(**own, class_weight={"rare": 4.0, "often": 4 / 7}), X, y)
    by_row = quiet(MLPClassifier(**own), X, y, sample_weight=weight)
    assert np.allclose(balanced.loss_curve_, by_row.loss_curve_, rtol=1e-12)
    assert np.allclose(given.loss_curve_, by_row.loss_curve_, rtol=1e-12)
    both = quiet(MLPClassifier(**own, class_weight="balanced"), X, y, sample_weight=weight)
    squared = quiet(MLPClassifier(**own), X, y, sample_weight=weight**2)
    assert np.allclose(both.loss_curve_, squared.loss_curve_, rtol=1e-12)
    with pytest.raises(ValueError, match="'balanced' is not supported for partial_fit"):
        MLPClassifier(class_weight="balanced").partial_fit(X, y, classes=["often", "rare"])
    with pytest.raises(ValueError, match="class_weight: expected None with several labels"):
        MLPClassifier(class_weight="balanced").fit(X, SEVERAL)


def test_other_losses() -> None:
    own = {"hidden_layer_sizes": (9,), "random_state": 0, "max_iter": 200}
    near = quiet(MLPRegressor("mae", learning_rate_init=0.02, **own), X, NUMBER)
    assert abs(near.predict(X) - NUMBER).mean() < 0.5
    two = quiet(MLPClassifier(loss="bce_with_logits", alpha=0, **own), X, BINARY)
    plain = quiet(MLPClassifier(alpha=0, **own), X, BINARY)
    assert np.allclose(two.loss_curve_, plain.loss_curve_, rtol=1e-9)
    with pytest.raises(ValueError, match="expected one of single outputs"):
        MLPClassifier(loss="cross_entropy").fit(X, BINARY)


def test_validation_data() -> None:
    y = np.where(HELD[:, 0] > 0, 1, 0)
    own = {"hidden_layer_sizes": (9,), "random_state": 0, "max_iter": 25}
    net = quiet(MLPClassifier(**own), X, BINARY, validation_data=(HELD, y))
    plain = quiet(MLPClassifier(**own), X, BINARY)
    assert net.loss_curve_ == plain.loss_curve_
    assert len(net.validation_scores_) == len(net.validation_loss_curve_) == 25
    assert net.validation_scores_[-1] == net.score(HELD, y)
    p = net.predict_proba(HELD)[np.arange(30), y]
    assert net.validation_loss_curve_[-1] == pytest.approx(-np.log(p).mean(), rel=1e-12)
    assert net.history_.history["val_loss"] == net.validation_loss_curve_
    weighted = quiet(MLPClassifier(**own), X, BINARY, validation_data=(HELD, y, np.arange(30.0)))
    assert weighted.validation_loss_curve_[-1] == pytest.approx(
        -np.average(np.log(p), weights=np.arange(30.0)), rel=1e-12
    )
    early = {**own, "max_iter": 400, "early_stopping": True, "n_iter_no_change": 3}
    stopped = quiet(MLPClassifier(**early), X, BINARY, validation_data=(HELD, y))
    assert stopped.t_ == 80 * stopped.n_iter_  # no row was set aside
    assert stopped.best_validation_score_ == stopped.score(HELD, y)
    numbers = quiet(MLPRegressor(**own), X, NUMBER, validation_data=(HELD, HELD[:, 0]))
    assert numbers.validation_scores_[-1] == pytest.approx(numbers.score(HELD, HELD[:, 0]))


def test_validation_data_that_come_later() -> None:
    y = np.where(HELD[:, 0] > 0, 1, 0)
    net = quiet(MLPClassifier((5,), random_state=0, max_iter=4, warm_start=True), X, BINARY)
    assert net.validation_scores_ is None
    quiet(net, X, BINARY, validation_data=(HELD, y))
    assert len(net.validation_scores_) == len(net.validation_loss_curve_) == 4
    net.set_params(early_stopping=True)
    quiet(net, X, BINARY, validation_data=(HELD, y))
    net.set_params(early_stopping=False)
    quiet(net, X, BINARY)
    assert len(net.loss_curve_) == 16 and len(net.validation_scores_) == 8
    net.set_params(warm_start=False)
    assert not hasattr(quiet(net, X, BINARY), "validation_loss_curve_")
    whole = quiet(MLPClassifier((5,), solver="lbfgs"), X, BINARY, validation_data=(HELD, y))
    assert whole.validation_scores_ == [whole.score(HELD, y)]
    whole.set_params(solver="adam").partial_fit(X, BINARY)
    assert len(whole.loss_curve_) == 1


def test_callbacks_listen_and_stop() -> None:
    seen: list[float] = []

    class Listener(rv.Callback):
        def on_epoch_end(self, run: Any, logs: Any) -> None:
            seen.append(logs["loss"])
            if len(seen) == 4:
                run.stop("that is enough")

    net = MLPClassifier((5,), callbacks=[Listener()]).fit(X, BINARY)
    assert net.loss_curve_ == seen and net.n_iter_ == 4
    assert net.history_.stopped == "that is enough"


def test_norms_take_part_in_copies_and_best_weights() -> None:
    net = quiet(MLPClassifier((9,), norm="batch", early_stopping=True, random_state=0), X, CLASSES)
    twin = pickle.loads(pickle.dumps(net))
    twin.coefs_[0] = twin.coefs_[0].copy()
    assert np.array_equal(net.predict_proba(HELD), twin.predict_proba(HELD))
    with pytest.raises(ValueError, match="accumulate"):
        MLPClassifier(norm="batch", accumulate=2).fit(X, CLASSES)


@pytest.mark.slow
def test_a_table_of_words_takes_little_memory() -> None:
    """Weights, two moments and gradients of 50,000 x 100 float32 are 80 MB."""
    pytest.importorskip("scipy.sparse")
    code = """
import resource, warnings
import numpy as np, scipy.sparse
from ranvier.sklearn import MLPClassifier
state = np.random.RandomState(0)
rows, stored, columns = 5574, 27, 50_000
indices = np.sort(state.randint(0, columns, (rows, stored)), axis=1).ravel()
values = state.uniform(size=indices.size).astype(np.float32)
X = scipy.sparse.csr_matrix((values, indices, np.arange(rows + 1) * stored), (rows, columns))
y = state.randint(0, 2, rows)
MLPClassifier((2,), max_iter=1, tol=9).fit(X[:300, :50], y[:300])
most = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before = most()
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    net = MLPClassifier((100,), max_iter=2, random_state=0).fit(X, y)
assert net.coefs_[0].dtype == np.float32
print(most() - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 150
