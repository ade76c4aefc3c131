"""NetClassifier and NetRegressor: any module, in scikit-learn's ways."""

from __future__ import annotations

import copy
import io
import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier import nn
from ranvier.sklearn import NetClassifier, NetRegressor

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 4))
Y = (X[:, 0] + X[:, 1] > 0).astype(int)
KINDS = (X[:, 0] > 0.4).astype(int) + (X[:, 0] > -0.4)
VALUES = X @ [1.0, -2.0, 0.5, 0.0] + 3


class Hidden(nn.Module):
    """A network of the user's own, built from the data's shape."""

    def __init__(self, in_features: int, out_features: int, hidden: int = 16) -> None:
        super().__init__()
        self.first = nn.Linear(in_features, hidden)
        self.last = nn.Linear(hidden, out_features)

    def forward(self, x: rv.Tensor) -> rv.Tensor:
        return self.last(self.first(x).tanh())


class Pictures(nn.Module):
    """Takes images (rows, 1, 8, 8)."""

    def __init__(self, shape: tuple[int, ...], out_features: int) -> None:
        super().__init__()
        assert shape == (1, 8, 8)
        self.out = nn.Linear(64, out_features)

    def forward(self, x: rv.Tensor) -> rv.Tensor:
        return self.out(x.reshape(x.shape[0], 1, 64)[:, 0])


def classifier(*module: Any, **settings: Any) -> NetClassifier:
    return NetClassifier(*module, **{"epochs": 60, "lr": 0.02, "random_state": 0, **settings})


def weights(net: Any) -> bytes:
    return b"".join(p.detach().numpy().tobytes() for p in net.module_.parameters())


# --- learning


@pytest.mark.parametrize(
    "module",
    [None, Hidden, nn.Linear, nn.Sequential(nn.Linear(4, 9), nn.ReLU(), nn.Linear(9, 2)),
     lambda in_features: nn.Sequential(nn.Linear(in_features, 2))],
)  # fmt: skip
def test_learns_two_classes(module: Any) -> None:
    net = classifier(module, lr=0.1).fit(X, Y)
    assert net.score(X, Y) > 0.95
    assert net.classes_.tolist() == [0, 1] and net.n_iter_ == 60 == net.history_.epochs
    shares = net.predict_proba(X)
    assert shares.shape == (120, 2) and shares.dtype == np.float64
    np.testing.assert_allclose(shares.sum(1), 1, rtol=1e-12)
    np.testing.assert_array_equal(shares.argmax(1), net.predict(X))
    np.testing.assert_allclose(np.exp(net.predict_log_proba(X)), shares)


@pytest.mark.parametrize(
    ("labels", "count"),
    [(np.array(["no", "yes"])[Y], 2), (Y.astype(bool), 2), (KINDS + 7, 3), (KINDS - 1.0, 3),
     (np.array(["b", "a", "c"], object)[KINDS], 3)],
)  # fmt: skip
def test_labels_of_any_kind(labels: Any, count: int) -> None:
    net = classifier().fit(X, labels)
    assert net.classes_.tolist() == sorted(set(labels.tolist())) and len(net.classes_) == count
    assert net.score(X, labels) > 0.9
    assert net.predict(X).dtype == labels.dtype


@pytest.mark.parametrize(
    ("module", "loss"),
    [(lambda: nn.Linear(4, 1), None), (lambda: nn.Linear(4, 1), "bce_with_logits"),
     (lambda: nn.Sequential(nn.Linear(4, 1), nn.Sigmoid()), "binary_cross_entropy"),
     (lambda: nn.Sequential(nn.Linear(4, 2), nn.LogSoftmax(1)), "nll"),
     (lambda: nn.Linear(4, 2), nn.CrossEntropyLoss(label_smoothing=0.1)),
     (lambda: nn.Linear(4, 2), "bce_with_logits")],
)  # fmt: skip
def test_losses_of_probabilities(module: Any, loss: Any) -> None:
    net = classifier(module, loss=loss, lr=0.2).fit(X, Y)
    shares = net.predict_proba(X)
    assert shares.shape == (120, 2) and net.score(X, Y) > 0.95
    np.testing.assert_allclose(shares.sum(1), 1, rtol=1e-9)


@pytest.mark.parametrize(("loss", "outputs"), [("mse", 2), ("mse", 1), ("soft_margin", 1)])
def test_losses_without_probabilities(loss: str, outputs: int) -> None:
    net = classifier(lambda: nn.Linear(4, outputs), loss=loss, lr=0.05).fit(X, Y)
    assert net.score(X, Y) > 0.9
    assert not hasattr(net, "predict_proba")
    with pytest.raises(AttributeError, match="loss of probabilities"):
        net.predict_proba(X)


def test_several_labels_a_row() -> None:
    several = np.stack([Y, KINDS > 0, X[:, 2] > 0], 1).astype(int)
    net = classifier(lr=0.05).fit(X, several)
    assert net.predict(X).shape == (120, 3) and net.predict_proba(X).shape == (120, 3)
    assert net.score(X, several) > 0.9


def test_numbers_of_one_and_of_several_columns() -> None:
    net = NetRegressor(epochs=300, lr=0.02, random_state=0).fit(X, VALUES)
    assert net.predict(X).shape == (120,) and net.score(X, VALUES) > 0.99
    both = np.stack([VALUES, -VALUES], 1)
    net = NetRegressor(Hidden, epochs=300, lr=0.02, random_state=0).fit(X, both)
    assert net.predict(X).shape == (120, 2) and net.score(X, both) > 0.99


def test_images_go_to_the_module_as_they_are() -> None:
    images = rv.data.load_digits()[0].numpy()[:200].reshape(-1, 1, 8, 8)
    labels = rv.data.load_digits()[1].numpy()[:200]
    for rows in (images, images.astype("float32"), rv.from_numpy(images.copy())):
        net = classifier(Pictures, epochs=20, validation=0.2).fit(rows, labels)
        assert net.score(rows, labels) > 0.9 and not hasattr(net, "n_features_in_")
    with pytest.raises(ValueError, match=r"\(1, 8, 8\) as in fit, got \(1, 8, 7\)"):
        net.predict(images[..., :7])
    assert classifier(epochs=20).fit(images, labels).score(images, labels) > 0.9  # flattened


def test_sparse_rows() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    rows = np.where(np.random.default_rng(4).random((120, 30)) < 0.2, 1.0, 0.0)
    truth = (rows[:, :3].sum(1) > 0).astype(int)
    for form in (sparse.csr_matrix, sparse.csc_matrix):
        net = classifier().fit(form(rows), truth)
        assert weights(net) == weights(classifier().fit(rows, truth))
        np.testing.assert_array_equal(net.predict_proba(form(rows)), net.predict_proba(rows))


def test_computes_in_the_type_of_the_rows() -> None:
    for dtype in ("float32", "float64"):
        net = classifier(epochs=1).fit(X.astype(dtype), Y)
        assert next(net.module_.parameters()).dtype.name == dtype
    given = nn.Linear(4, 2)
    assert next(classifier(given, epochs=1).fit(X, Y).module_.parameters()).dtype is rv.float32
    chosen = classifier(given, epochs=1, dtype="float64").fit(X, Y)
    assert next(chosen.module_.parameters()).dtype is rv.float64


def test_a_module_that_is_given_is_not_changed() -> None:
    module = nn.Linear(4, 2)
    before = module.weight.detach().numpy().copy()
    net = classifier(module).fit(X, Y)
    np.testing.assert_array_equal(module.weight.detach().numpy(), before)
    assert net.module is module and net.module_ is not module


def test_the_same_seed_gives_the_same_bits_and_draws_from_nobody() -> None:
    rv.manual_seed(5)
    rows = X.copy()
    first = classifier(module__dropout=0.2, validation=0.25).fit(rows, Y)
    drawn = rv.rand(3).tolist()
    second = classifier(module__dropout=0.2, validation=0.25).fit(rows, Y)
    assert weights(first) == weights(second)
    assert first.history_.history == second.history_.history
    rv.manual_seed(5)
    assert rv.rand(3).tolist() == drawn
    np.testing.assert_array_equal(rows, X)
    assert weights(classifier(random_state=1).fit(X, Y)) != weights(classifier().fit(X, Y))


def test_fits_in_several_threads_are_those_of_one() -> None:
    seeds = list(range(6))
    alone = [weights(classifier(random_state=seed, epochs=5).fit(X, Y)) for seed in seeds]
    with ThreadPoolExecutor(3) as pool:
        fits = pool.map(lambda s: classifier(random_state=s, epochs=5).fit(X, Y), seeds)
        assert [weights(net) for net in fits] == alone


def test_weights_of_rows_and_classes() -> None:
    each = np.where(Y == 1, 50.0, 1.0)
    by_row = classifier(epochs=30).fit(X, Y, sample_weight=each)
    names = np.array(["no", "yes"])[Y]
    by_class = classifier(epochs=30, class_weight={"yes": 50.0}).fit(X, names)
    assert weights(by_row) == weights(by_class)
    assert by_row.predict(X).mean() > Y.mean()
    counts = len(Y) / (2 * np.bincount(Y))
    balanced = classifier(epochs=5, class_weight="balanced").fit(X, Y)
    assert weights(balanced) == weights(classifier(epochs=5).fit(X, Y, counts[Y]))


def test_the_run_is_that_of_fit() -> None:
    """Callbacks, metrics, schedules and early stopping are the training loop's."""
    seen: list[int] = []

    class Hears(rv.Callback):
        def on_epoch_end(self, run: Any, logs: Any) -> None:
            seen.append(run.epoch)

    net = classifier(
        callbacks=[Hears()], metrics=["accuracy", "f1"], schedule="cosine", early_stopping=3,
        validation=0.3, clip_norm=1.0, l2=1e-4, accumulate=2, batch_size=16, epochs=200, lr=0.1,
    ).fit(X, Y)  # fmt: skip
    history = net.history_.history
    assert {"loss", "accuracy", "f1", "val_loss", "val_accuracy", "val_f1", "lr"} <= set(history)
    assert len(seen) == net.n_iter_ == net.history_.epochs < 200 and net.history_.stopped


def test_validation_rows_of_the_callers() -> None:
    names = np.array(["no", "yes"])[Y]
    net = classifier(epochs=5, metrics="accuracy")
    net.fit(X[:90], names[:90], validation_data=(X[90:], names[90:]))
    assert len(net.history_.history["val_accuracy"]) == 5
    weighted = classifier(epochs=5).fit(
        X[:90], names[:90], validation_data=(X[90:], names[90:], np.arange(30.0))
    )
    assert weighted.history_.history["val_loss"] != net.history_.history["val_loss"]
    with pytest.raises(ValueError, match=r"validation_data: .*out of \['no', 'yes'\], got \['who'"):
        net.fit(X, names, validation_data=(X[:3], ["no", "who", "yes"]))


def test_going_on() -> None:
    net = classifier(epochs=5, warm_start=True)
    for _ in range(3):
        net.fit(X, Y)
    assert net.n_iter_ == 15
    whole = classifier(epochs=5, shuffle=False).fit(X, Y)
    apart = classifier(shuffle=False)
    for _ in range(5):
        apart.partial_fit(X, Y, classes=[0, 1])
    assert weights(whole) == weights(apart) and apart.n_iter_ == 5 == apart.history_.epochs
    with pytest.raises(ValueError, match="classes must be passed"):
        classifier().partial_fit(X, Y)
    with pytest.raises(ValueError, match=r"not in `self.classes_`.*got \[7\]"):
        apart.partial_fit(X[:2], [7, 1])
    with pytest.raises(ValueError, match="not the same as on last call"):
        apart.partial_fit(X, Y, classes=[0, 1, 2])


@pytest.mark.filterwarnings("ignore:.*at least two classes")
def test_learns_classes_that_come_later() -> None:
    net = classifier().partial_fit(X[:10], np.zeros(10, int), classes=[2, 0, 1])
    assert net.classes_.tolist() == [0, 1, 2]
    for _ in range(200):
        net.partial_fit(X, KINDS)
    assert net.score(X, KINDS) > 0.9


# --- thresholds


def test_threshold_that_is_given() -> None:
    net = classifier(threshold=0.9).fit(X, Y)
    np.testing.assert_array_equal(net.predict(X), (net.predict_proba(X)[:, 1] >= 0.9).astype(int))
    net.threshold_ = 0.1
    np.testing.assert_array_equal(net.predict(X), (net.predict_proba(X)[:, 1] >= 0.1).astype(int))


@pytest.mark.parametrize("wanted", [{"precision": 0.9}, {"recall": 0.95}, {"recall": 1}])
def test_threshold_for_a_wanted_precision_or_recall(wanted: dict[str, float]) -> None:
    noisy = np.where(np.random.default_rng(3).random(120) < 0.2, 1 - Y, Y)
    net = classifier(threshold=wanted, epochs=30)
    net.fit(X[:60], noisy[:60], validation_data=(X[60:], noisy[60:]))
    shares, truth = net.predict_proba(X[60:])[:, 1], noisy[60:] == 1
    (name, least), best = *wanted.items(), []
    for border in np.unique(shares):
        taken = shares >= border
        scores = {
            "precision": (taken & truth).sum() / taken.sum(),
            "recall": (taken & truth).sum() / truth.sum(),
        }
        if scores[name] >= least:
            best.append((scores["recall" if name == "precision" else "precision"], border))
    assert net.threshold_ == max(best)[1]
    again = classifier(threshold=wanted, validation=0.3, epochs=30).fit(X, noisy)
    assert 0 < again.threshold_ < 1


def test_a_precision_that_nothing_reaches() -> None:
    from ranvier.sklearn.threshold import choose

    shares, positive = np.array([0.9, 0.8, 0.7]), np.array([False, True, False])
    with pytest.warns(rv.RanvierWarning, match=r"at most 0\.5"):
        assert choose("fit", ("precision", 0.9), shares, positive) == 0.8
    assert choose("fit", ("precision", 0.5), shares, positive, [1.0, 1.0, 9.0]) == 0.8
    assert choose("fit", ("recall", 1.0), np.array([0.5, 0.5]), np.array([True, False])) == 0.5
    with pytest.raises(ValueError, match="got none"):
        choose("fit", ("recall", 0.9), shares, ~positive & False)


@pytest.mark.parametrize(
    ("threshold", "words"),
    [({"precison": 0.9}, "did you mean 'precision'"), ({"recall": 0}, "above 0"), ({}, "one of"),
     ({"recall": 0.9, "precision": 0.9}, "one of"), (1.5, "from 0 to 1"),
     ({"recall": "much"}, "above 0"), ({"recall": 0.9}, "validation rows")],
)  # fmt: skip
def test_thresholds_that_cannot_be(threshold: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        classifier(threshold=threshold).fit(X, Y)
    with pytest.raises(TypeError, match="expected a number"):
        classifier(threshold="high").fit(X, Y)
    with pytest.raises(ValueError, match="3 classes"):
        classifier(threshold=0.4).fit(X, KINDS)


# --- nested parameters


def test_nested_parameters() -> None:
    net = classifier(Hidden, module__hidden=5, optimizer="sgd", optimizer__momentum=0.9)
    net.fit(X, Y)
    assert net.module_.first.out_features == 5
    params = net.get_params()
    assert params["module__hidden"] == 5 and params["optimizer__momentum"] == 0.9
    assert "module__hidden=5" in repr(net)
    assert net.set_params(module__hidden=7, lr=0.1).fit(X, Y).module_.first.out_features == 7
    plain = classifier(Hidden, module__hidden=5, optimizer="sgd").fit(X, Y)
    assert weights(plain) != weights(net.set_params(module__hidden=5, lr=0.02).fit(X, Y))
    made = classifier(optimizer=lambda p: rv.optim.SGD(p, lr=0.02, momentum=0.9), lr=None)
    named = classifier(optimizer="SGD", optimizer__momentum=0.9)
    assert weights(made.fit(X, Y)) == weights(named.fit(X, Y))


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"module__hiden": 3}, "did you mean 'module__hidden'"),
     ({"optimizer__momentun": 3}, "did you mean"),
     ({"module": nn.Linear(4, 2), "module__hidden": 3}, "a class or a function")],
)  # fmt: skip
def test_nested_parameters_that_nobody_takes(settings: dict[str, Any], words: str) -> None:
    settings = {"module": Hidden, "optimizer": "sgd", **settings}
    with pytest.raises(ValueError, match=words):
        classifier(**settings).fit(X, Y)
    net = classifier(Hidden, optimizer="sgd", module__hidden=3)
    before = net.get_params()
    if "module__hiden" in settings or "optimizer__momentun" in settings:
        with pytest.raises(ValueError, match=words):
            net.set_params(**settings)
        assert net.get_params() == before
    with pytest.raises(ValueError, match="Invalid parameter"):
        net.set_params(modul__hidden=3)
    with pytest.raises(TypeError, match="did you mean 'epochs'"):
        NetClassifier(epocs=3)


@pytest.mark.parametrize(
    ("module", "error", "words"),
    [(3, TypeError, "nn.Module, or a class"), (lambda: 3, TypeError, "to make an nn.Module"),
     (lambda width: nn.Linear(4, 2), ValueError, "module__width="),
     (lambda: nn.Linear(4, 7), ValueError, r"2 or 1 outputs for 2 classes.*\(7,\)"),
     (lambda: nn.Linear(5, 2), ValueError, "5 features")],
)  # fmt: skip
def test_modules_that_cannot_be(module: Any, error: type[Exception], words: str) -> None:
    net = classifier(module)
    with pytest.raises(error, match=words):
        net.fit(X, Y)
    assert not hasattr(net, "module_")


# --- bad input


def test_bad_input() -> None:
    net = classifier(epochs=2)
    with pytest.raises(AttributeError, match="not fitted"):
        net.predict(X)
    for rows, labels, words in (
        (X, np.zeros(120, int), "only one class"), (X[:0], Y[:0], "sample"), (X, Y[:5], "samples"),
        (X[:, 0], Y, "Reshape"), (np.where(X > 2, np.nan, X), Y, "(?i)nan"), (X * 1j, Y, "omplex"),
        (X, VALUES, "label"), (np.full((120, 2), "a"), Y, "expected numbers|convert"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            net.fit(rows, labels)
    with pytest.raises(ValueError, match="zero"):
        net.fit(X, Y, sample_weight=np.zeros(120))
    with pytest.raises(ValueError, match="sample_weight: expected finite numbers of 0 or more"):
        net.fit(X, Y, sample_weight=-np.ones(120))
    with pytest.raises(ValueError, match="only one class"):
        net.fit(X, Y, sample_weight=Y.astype(float))
    with pytest.raises(ValueError, match="batch_size"):
        classifier(batch_size="all").fit(X, Y)
    with pytest.raises(ValueError, match="validation_data="):
        classifier(validation=(X, Y)).fit(X, Y)
    with pytest.raises(ValueError, match=r"out of \[0, 1\]"):
        classifier(class_weight={"yes": 2}).fit(X, Y)
    with pytest.raises(TypeError, match="a name such as"):
        classifier(optimizer=rv.optim.SGD([rv.zeros(1, requires_grad=True)], lr=1.0)).fit(X, Y)
    net.fit(X, Y)
    with pytest.raises(ValueError, match="3 features, but NetClassifier is expecting 4"):
        net.predict(X[:, :3])


def test_a_fit_that_fails_leaves_what_was_learned() -> None:
    net = classifier(epochs=3).fit(X, Y)
    before = weights(net)
    with pytest.raises(rv.NonFiniteError):
        net.set_params(lr=1e300, optimizer="sgd").fit(X, Y)
    assert weights(net) == before and net.predict(X).shape == (120,)


def test_ctrl_c_keeps_the_epochs_that_were_done() -> None:
    class Stops(rv.Callback):
        def on_epoch_end(self, run: Any, logs: Any) -> None:
            if run.epoch == 3:
                raise KeyboardInterrupt

    net = classifier(callbacks=Stops())
    with pytest.raises(KeyboardInterrupt):
        net.fit(X, Y)
    assert net.n_iter_ >= 2 and net.predict(X).shape == (120,)


# --- copies


def test_copies() -> None:
    net = classifier(Hidden, module__hidden=5).fit(X, Y)
    memory = io.BytesIO()
    pickle.dump(net, memory)
    memory.seek(0)
    for twin in (copy.deepcopy(net), pickle.load(memory)):
        assert weights(twin) == weights(net)
        np.testing.assert_array_equal(twin.predict_proba(X), net.predict_proba(X))
        assert twin.get_params() == net.get_params()
        twin.partial_fit(X, Y)
        other = copy.deepcopy(net).partial_fit(X, Y)
        assert weights(twin) == weights(other) != weights(net)


def test_a_copy_goes_on_with_the_optimizer_of_before() -> None:
    net = classifier().fit(X, Y)
    twin = pickle.loads(pickle.dumps(net))
    for one in (net, twin):
        for _ in range(3):
            one.partial_fit(X, Y)
    assert weights(net) == weights(twin)


# --- DataFrames


class Frame(dict):  # type: ignore[type-arg]
    """As much of a DataFrame as is looked at."""

    @property
    def columns(self) -> list[str]:
        return list(self.keys())

    @property
    def shape(self) -> tuple[int, int]:
        return len(next(iter(self.values()))), len(self.keys())

    def __len__(self) -> int:
        return self.shape[0]

    def to_numpy(self) -> Any:
        return np.stack([np.asarray(v, object) for v in self.values()], 1)


def mixed(rows: int = 120, seed: int = 0) -> tuple[Frame, Any]:
    rng = np.random.default_rng(seed)
    age = rng.normal(40, 12, rows)
    town = rng.choice(["Bonn", "Ulm", "Kiel"], rows).astype(object)
    truth = np.where((age > 40) ^ (town == "Ulm"), "buys", "leaves")
    age[::9], town[::11] = np.nan, None
    return Frame(age=age, town=town, member=rng.random(rows) < 0.5), truth


def test_columns_of_text_and_gaps() -> None:
    frame, truth = mixed(300)
    net = classifier(epochs=150, validation=0.2, threshold={"recall": 0.8}).fit(frame, truth)
    assert net.feature_names_in_.tolist() == ["age", "town", "member"] and net.n_features_in_ == 3
    assert net.table_.names == [
        "age", "town=Bonn", "town=Kiel", "town=Ulm", "town=missing", "member=False", "member=True",
    ]  # fmt: skip
    assert net.score(frame, truth) > 0.8
    other = Frame(age=[30.0], town=["Paris"], member=[None])
    assert net.predict(other)[0] in ("buys", "leaves")
    with pytest.raises(ValueError, match="age"):
        net.predict(Frame(old=[30.0], town=["Ulm"], member=[True]))
    with pytest.raises(TypeError, match="DataFrame"):
        net.predict(np.zeros((1, 3)))
    with pytest.raises(TypeError, match="numbers in column 'age'"):
        net.predict(Frame(age=["old"], town=["Ulm"], member=[True]))
    assert pickle.loads(pickle.dumps(net)).score(frame, truth) == net.score(frame, truth)
    numbers = NetRegressor(epochs=5).fit(frame, np.arange(300.0))
    assert numbers.predict(frame).shape == (300,)


def test_tables_of_ones_own() -> None:
    frame, truth = mixed()
    table = rv.data.Table(numbers="minmax", missing=0.0)
    net = classifier(preprocess=table, epochs=2).fit(frame, truth)
    assert net.table_ is not table and not table.fitted and net.table_.fitted
    with pytest.raises(ValueError, match="preprocess"):
        classifier(preprocess="scale").fit(X, Y)


def test_a_frame_of_numbers_is_like_its_array() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("abcd"))
    net = classifier(epochs=3).fit(frame, pandas.Series(Y))
    assert weights(net) == weights(classifier(epochs=3).fit(X, Y)) and not hasattr(net, "table_")
    with pytest.raises(ValueError, match="feature names"):
        net.predict(frame[list("abdc")])
    assert hasattr(classifier(epochs=1, preprocess=True).fit(frame, Y), "table_")


def test_without_warnings() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        classifier(epochs=2).fit(X, Y).predict(X)
        NetRegressor(epochs=2).fit(X, VALUES).predict(X)


def test_a_table_learns_from_training_rows_alone() -> None:
    frame, truth = mixed()
    frame["age"][:] = np.where(np.isnan(frame["age"]), 1.0, frame["age"])
    frame["age"][100:] = 1e6
    frame["town"][100:] = "Rome"
    net = classifier(epochs=1, validation=1 / 6, shuffle=False).fit(frame, truth)
    assert not any("Rome" in name for name in net.table_.names)
    want = rv.data.Table().fit(frame, np.arange(100)).transform(frame)
    np.testing.assert_array_equal(net.table_.transform(frame), want)
