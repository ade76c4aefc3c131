"""Sparse rows in `fit`, `predict` and `evaluate`: what dense rows give, without any dense row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fit_setup import Watch
from training_setup import weights

import ranvier as rv
from ranvier import _C, nn
from ranvier.nn._sparse import SparseBatch, takes_sparse
from ranvier.training import inputs

sparse = pytest.importorskip("scipy.sparse")

RNG = np.random.default_rng(0)
X = np.where(RNG.random((50, 30)) < 0.2, RNG.standard_normal((50, 30)), 0).astype("float32")
X[7] = 0
CSR = sparse.csr_matrix(X)


def first_linear() -> nn.Module:
    return nn.Sequential(nn.Sequential(nn.Linear(30, 9), nn.Tanh()), nn.Linear(9, 3))


def no_bias() -> nn.Module:
    return nn.Sequential(nn.Linear(30, 9, bias=False), nn.ReLU(), nn.Linear(9, 3))


def double() -> nn.Module:
    return nn.Sequential(nn.Linear(30, 5), nn.Dropout(0.3), nn.Linear(5, 3)).double()


class Own(nn.Module):
    """A model that says that its rows go to a linear layer."""

    takes_sparse = True

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(30, 6), nn.Linear(6, 3)

    def forward(self, x: Any) -> rv.Tensor:
        return self.second(self.first(x).tanh())


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    return Watch(monkeypatch)


class Hears(rv.Callback):
    def on_step_end(self, run: Any, logs: Any) -> None:
        """Steps come one by one."""


@pytest.mark.parametrize("make", [first_linear, no_bias, double, Own, lambda: nn.Linear(30, 3)])
def test_training_gives_the_bits_of_dense_rows(watch: Watch, make: Callable[[], Any]) -> None:
    for settings in (
        {}, {"shuffle": False}, {"batch_size": None}, {"accumulate": 2, "metrics": ["accuracy"]},
        {"validation": 0.3, "sample_weight": np.arange(50) + 1.0}, {"callbacks": [Hears()]},
        {"validation": (CSR[:9], np.arange(9) % 3), "l2": 0.01, "optimizer": "sgd", "lr": 0.1},
    ):  # fmt: skip
        watch.X = X
        dense = dict(settings)
        if isinstance(settings.get("validation"), tuple):
            dense["validation"] = (X[:9], np.arange(9) % 3)
        want = watch.fit(make, True, **dense)
        watch.X = CSR
        assert watch.fit(make, False, **settings) == want
        assert watch.fit(make, True, **settings) == want
        if "callbacks" not in settings:
            assert watch.count <= 2  # recorded, once for each size of a batch


def test_epochs_over_sparse_rows_run_natively(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []
    run_steps = _C.run_steps
    monkeypatch.setattr(_C, "run_steps", lambda *a: taken.append(run_steps(*a) or 0) or taken[-1])
    watch.X = CSR
    watch.fit(first_linear, True)
    assert sum(taken) == 3 * 7 - 2


def test_predictions_and_measures() -> None:
    rv.manual_seed(0)
    net = first_linear()
    for X_sparse in (CSR, CSR.tocoo(), CSR.tocsc(), sparse.csr_array(X), CSR.astype("int8") * 0):
        rows = X_sparse.toarray()
        for size in (7, 50, 256):
            want = rv.predict(net, rows, batch_size=size).numpy()
            assert rv.predict(net, X_sparse, batch_size=size).numpy().tobytes() == want.tobytes()
    y = np.arange(50) % 3
    how = {"loss": "cross_entropy", "metrics": ["accuracy"]}
    assert rv.evaluate(net, CSR, y, **how) == rv.evaluate(net, X, y, **how)


def test_other_values_in_the_same_matrix_are_seen() -> None:
    rv.manual_seed(0)
    net, matrix = first_linear(), CSR.copy()
    rv.predict(net, matrix)
    matrix.data *= 2
    assert rv.predict(net, matrix).numpy().tobytes() == rv.predict(net, 2 * X).numpy().tobytes()
    y = np.arange(50) % 3
    for twin in (CSR, matrix):  # no step of the first run is taken for the second
        ours, theirs = (nn.Sequential(nn.Linear(30, 3)) for _ in range(2))
        theirs.load_state_dict(ours.state_dict())
        for model, rows in ((ours, twin), (theirs, twin.toarray())):
            for _ in range(2):
                rv.fit(model, rows, y, loss="cross_entropy", epochs=1, seed=0, verbose=0)
        assert weights(ours) == weights(theirs)


def test_columns_in_any_order_and_more_than_once() -> None:
    order = RNG.permutation(60)
    columns, rows = RNG.integers(0, 30, 60)[order], np.repeat(np.arange(6), 10)
    parts = RNG.standard_normal(60), columns, np.arange(0, 61, 10)
    matrix = sparse.csr_matrix(parts, shape=(6, 30))
    assert not matrix.has_canonical_format and len(rows) == matrix.nnz
    net = first_linear().double()
    want = rv.predict(net, matrix.toarray()).numpy()
    np.testing.assert_allclose(rv.predict(net, matrix).numpy(), want, rtol=1e-12, atol=1e-14)
    assert matrix.nnz == 60, "the matrix is left as it is"


class Looks(nn.Module):
    def forward(self, x: rv.Tensor) -> rv.Tensor:
        return x[:, :30] * 2


@pytest.mark.filterwarnings("ignore:.*has a hook")
@pytest.mark.parametrize(
    "front",
    [lambda: [Looks()], lambda: [nn.BatchNorm1d(30)], lambda: [nn.Dropout(0.5)], lambda: [],
     lambda: [rv.data.Standardize()]],
)  # fmt: skip
def test_what_looks_at_rows_gets_them_dense(front: Callable[[], list[nn.Module]]) -> None:
    results = []
    for rows in (X, CSR):
        rv.manual_seed(0)
        net = nn.Sequential(*front(), nn.Linear(30, 3))
        if not front():
            net[0].register_forward_pre_hook(lambda module, given: (given[0] + 0.0,))
        assert not takes_sparse(net)
        rv.fit(net, rows, np.arange(50) % 3, loss="cross_entropy", epochs=2, seed=0, verbose=0)
        results.append((weights(net), rv.predict(net, rows).numpy().tobytes()))
    assert results[0] == results[1]


def test_who_takes_sparse_rows() -> None:
    assert takes_sparse(nn.Linear(2, 2)) and takes_sparse(first_linear()) and takes_sparse(Own())
    assert not takes_sparse(nn.Sequential()) and not takes_sparse(nn.ReLU())

    class Twice(nn.Linear):
        def forward(self, x: Any) -> rv.Tensor:
            return super().forward(x * 2)

    class Never(Own):
        takes_sparse = False

    assert not takes_sparse(Twice(2, 2)) and not takes_sparse(Never())


def test_errors_say_what_is_wrong() -> None:
    y = np.arange(50) % 3
    net = first_linear()
    with pytest.raises(_C.ShapeError, match=r"30 features \(last axis\), got \(\d+, 29\)"):
        rv.fit(net, CSR[:, :29], y, loss="cross_entropy", verbose=0)
    with pytest.raises(_C.ShapeError, match="50 and 49"):
        rv.fit(net, CSR, y[:49], loss="cross_entropy", verbose=0)
    bad = CSR.copy()
    bad.data[3] = np.nan
    with pytest.raises(ValueError, match="expected finite"):
        rv.fit(net, bad, y, loss="cross_entropy", verbose=0)
    with pytest.raises(TypeError, match="complex"):
        rv.fit(net, CSR.astype(complex), y, loss="cross_entropy", verbose=0)
    hostile = CSR.copy()
    hostile.indices[5] = 10**6
    with pytest.raises(IndexError, match="from 0 to 29, got 1000000"):
        rv.predict(net, hostile)
    hostile = CSR.copy()
    hostile.indptr[9] = 10**6
    with pytest.raises(IndexError, match="indptr"):
        rv.fit(net, hostile, y, loss="cross_entropy", verbose=0)


def test_a_loss_that_is_not_finite_is_traced() -> None:
    net = nn.Sequential(nn.Linear(30, 4), nn.ReLU(), nn.Linear(4, 1))
    before = weights(net)
    with pytest.raises(rv.NonFiniteError, match="step 1"):
        rv.fit(net, CSR * np.float32(1e30), np.arange(50.0), loss="mse", verbose=0)
    assert weights(net) == before


def test_no_row_is_dense(monkeypatch: pytest.MonkeyPatch) -> None:
    """1,000 rows of 300,000 columns would be 1.2 GB."""
    parts = np.ones(3000, "f4"), RNG.integers(0, 300_000, 3000), np.arange(0, 3001, 3)
    rows = sparse.csr_matrix(parts, shape=(1000, 300_000))
    monkeypatch.setattr(type(rows), "toarray", lambda *_: pytest.fail("made dense"))
    seen: list[type] = []
    batch = inputs.SparseRows.batch
    monkeypatch.setattr(
        inputs.SparseRows, "batch", lambda *a: seen.append(type(batch(*a))) or batch(*a)
    )
    net = nn.Linear(300_000, 1)
    rv.fit(net, rows, np.zeros((1000, 1)), loss="mse", batch_size=None, epochs=2, verbose=0)
    assert set(seen) == {SparseBatch} and rv.predict(net, rows).shape == (1000, 1)


def test_keeps_its_parts_as_they_are() -> None:
    """Values of the model's type and indices are shared with the matrix."""
    rows = inputs.data("fit", "X", CSR, nn.Linear(30, 1))
    assert isinstance(rows, inputs.SparseRows) and rows.held is not None
    for tensor, array in zip(rows.held, (CSR.indptr, CSR.indices, CSR.data), strict=False):
        assert tensor.data_ptr() == array.ctypes.data


def test_the_keras_door_takes_sparse_rows() -> None:
    keras = rv.keras
    y = np.arange(50) % 3
    results = []
    for form in (np.asarray, sparse.csr_matrix, sparse.coo_matrix):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.layers.Dense(8, activation="relu"), keras.layers.Dense(3)])
        model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        how = {"epochs": 2, "verbose": 0, "batch_size": 8}
        first = model.fit(form(X), y, validation_split=0.2, **how).history
        second = model.fit(form(X), y, validation_data=(form(X[:9]), y[:9]), **how).history
        results.append(
            (first, second, model.evaluate(form(X), y, verbose=0),
             model.predict(form(X), verbose=0).tobytes())
        )  # fmt: skip
    assert results[0] == results[1] == results[2]
    with pytest.raises(TypeError, match="expected numbers, got csr_matrix"):
        model.fit(X, sparse.csr_matrix(y[:, None]), verbose=0)
