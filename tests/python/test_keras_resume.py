"""Runs of Keras' `fit` that are interrupted and go on, to the same bytes."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_checkpoint_kills import kills

import ranvier as rv
from ranvier import keras

L = keras.layers
RNG = np.random.default_rng(0)
X = RNG.normal(size=(52, 6)).astype(np.float32)
Y = (X[:, :1] * 2 - X[:, 1:2]).astype(np.float32)
LABELS = (X[:, 0] > 0).astype(np.int64) + (X[:, 1] > 0)
CHILD = Path(__file__).with_name("keras_child.py")


class EndError(Exception):
    """What ends a run."""


class EndAt(rv.Callback):
    """Ends a run after so many steps of it; native epochs come back at each state that is kept."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.begun = 0

    def on_train_begin(self, run: Any, logs: Any) -> None:
        self.begun = run.step

    def on_progress(self, run: Any, logs: Any) -> None:
        if run.step >= self.begun + self.steps:
            raise EndError


def dense(*more: Any, optimizer: Any = "adam", loss: Any = "mse", metrics: Any = ("mae",)) -> Any:
    model = keras.Sequential([keras.Input((6,)), L.Dense(8, "gelu"), *more, L.Dense(1)])
    model.compile(optimizer, loss, metrics=list(metrics))
    return model


def everything() -> Any:
    rate = keras.optimizers.schedules.CosineDecay(0.01, 40)
    optimizer = keras.optimizers.AdamW(rate, clipnorm=1.0)
    layers = L.BatchNormalization(), L.Dropout(0.3), L.GaussianNoise(0.1, seed=4)
    return dense(*layers, optimizer=optimizer)


def classes() -> Any:
    model = keras.Sequential([L.Dense(8, "relu"), L.Dense(3, "softmax")])
    model.compile("rmsprop", "sparse_categorical_crossentropy",
                  metrics=["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(2)])  # fmt: skip
    return model


def branched() -> Any:
    a, b = keras.Input((6,)), keras.Input((2,))
    hidden = L.Dense(5, "tanh")(L.Concatenate()([a, b]))
    outputs = [L.Dense(1, name="y")(hidden), L.Dense(3, "softmax", name="z")(hidden)]
    model = keras.Model([a, b], outputs)
    model.compile(
        "nadam", ["mse", "sparse_categorical_crossentropy"], loss_weights=[1.0, 0.3],
        metrics=[["mae", keras.metrics.R2Score()], ["accuracy"]],
    )  # fmt: skip
    return model


class Largest(keras.metrics.Metric):
    """A metric of one's own, with a variable and a number."""

    def __init__(self) -> None:
        super().__init__(name="largest")
        self.value = self.add_variable(shape=(), initializer="zeros", name="value")
        self.batches = 0

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self.value.assign(keras.ops.maximum(self.value, keras.ops.max(y_pred)))
        self.batches += 1

    def result(self) -> Any:
        return self.value + self.batches

    def reset_state(self) -> None:
        super().reset_state()
        self.batches = 0


class OwnSteps(keras.Model):
    def train_step(self, data: Any) -> Any:
        return super().train_step(data)


def own_steps() -> Any:
    inputs = keras.Input((6,))
    model = OwnSteps(inputs, L.Dense(1)(L.Dropout(0.2)(L.Dense(4, "relu")(inputs))))
    model.compile("adam", "mse", metrics=["mae"])
    return model


class Rows:
    """Batches by their numbers, drawn from NumPy's own generator."""

    def __len__(self) -> int:
        return 5

    def __getitem__(self, i: int) -> Any:
        rows = np.random.permutation(52)[:10]
        return X[rows] + np.float32(i), Y[rows]


def endless() -> Iterator[Any]:
    """A generator with a place of its own, and random numbers of its own."""
    own, start = np.random.default_rng(3), 0
    while True:
        yield X[start : start + 8] + own.normal() * np.random.rand(), Y[start : start + 8]
        start = (start + 7) % 40


def loader() -> Any:
    data = rv.utils.data.TensorDataset(rv.from_numpy(X), rv.from_numpy(Y))
    own = rv.Generator()
    own.manual_seed(8)
    return rv.utils.data.DataLoader(data, batch_size=9, shuffle=True, generator=own)


C = keras.callbacks
SPLIT = {"validation_split": 0.2}
RUNS: dict[str, tuple[Callable[[], Any], dict[str, Any]]] = {
    "everything": (everything, SPLIT),
    "small batches": (everything, {"batch_size": 5, "epochs": 2}),
    "classes": (classes, {"y": LABELS, "class_weight": {0: 2.0}, **SPLIT}),
    "branches": (branched, {"x": [X, X[:, :2]], "y": [Y, LABELS],
                            "sample_weight": np.linspace(0, 1, 52, dtype=np.float32)}),
    "own metric": (lambda: dense(metrics=[Largest()]), {}),
    "own steps": (own_steps, SPLIT),
    "bfloat16": (lambda: keras_of("bfloat16"), SPLIT),
    "plateau": (lambda: dense(optimizer=keras.optimizers.SGD(0.1, momentum=0.9)), {
        **SPLIT, "callbacks": lambda: [C.ReduceLROnPlateau("loss", patience=1, min_delta=0.5),
                                       C.EarlyStopping("loss", patience=1, min_delta=0.2,
                                                       restore_best_weights=True)]}),
    "scheduler": (dense, {"callbacks": lambda: [
        C.LearningRateScheduler(lambda epoch, rate: rate * 0.7)]}),
    "numbered batches": (dense, {"x": Rows, "y": None, "validation_data": (X, Y)}),
    "endless batches": (dense, {"x": endless, "y": None, "steps_per_epoch": 5,
                                "validation_data": endless, "validation_steps": 2}),
    "loader": (everything, {"x": loader, "y": None}),
}  # fmt: skip


DRAWN = ("numbered batches", "endless batches", "loader")  # by NumPy's and Python's numbers too


def keras_of(dtype: str) -> Any:
    """A model that computes in another type."""
    before = keras.backend.floatx()
    keras.backend.set_floatx(dtype)
    try:
        return dense(L.Dropout(0.2))
    finally:
        keras.backend.set_floatx(before)


def run(name: str, *callbacks: Any, before: int = 0, **more: Any) -> Any:
    """What a run leaves. `before` is the seed of what happens before it, which is of no matter."""
    make, given = RUNS[name]
    keras.utils.set_random_seed(before)
    model = make()
    given = {"x": X, "y": Y, "batch_size": 8, "epochs": 3, "verbose": 0, **given, **more}
    if not isinstance(given["x"], (np.ndarray, list)):
        given["x"], given["batch_size"] = given["x"](), None
    if callable(given.get("validation_data")):
        given["validation_data"] = given["validation_data"]()
    listeners = [*given.pop("callbacks", list)(), *callbacks]
    history = model.fit(given.pop("x"), given.pop("y"), callbacks=listeners, **given)
    about = rv.io.about(model)
    return {
        "history": repr(history.history), "epochs": history.epoch,
        "weights": [(str(w.dtype), w.detach().float().numpy().tobytes()) for w in model.weights],
        "steps": int(model.optimizer.iterations), "rate": float(model.optimizer.learning_rate),
        "state": [t.float().numpy().tobytes() for t in model.optimizer.variables],
        "random": (rv.rand(3).tolist(), np.random.rand() if name in DRAWN else None),
        "training": (about.training or {}).get("history"),
    }  # fmt: skip


def interrupted(name: str, path: Path, steps: int, every: Any) -> tuple[Any, int]:
    """What a run leaves that is ended again and again, and how often."""
    ends = 0
    while True:
        backup = C.BackupAndRestore(path, save_freq=every)
        try:
            return run(name, EndAt(steps), backup, before=7 * ends), ends
        except EndError:
            ends += 1
            assert ends < 100


@pytest.mark.parametrize("name", RUNS)
def test_runs_that_are_interrupted(name: str, tmp_path: Path) -> None:
    whole = run(name)
    for steps, every in ((5, 2), (12, "epoch"), (11, 3)):
        path = tmp_path / f"{steps}"
        found, ends = interrupted(name, path, steps, every)
        assert found == whole
        assert ends >= 1 and list(path.iterdir()) == []


def test_interrupted_at_any_step(tmp_path: Path) -> None:
    whole = run("everything", **SPLIT)
    for step in range(1, 16):
        path = tmp_path / f"{step}"
        with pytest.raises(EndError):
            run("everything", EndAt(step), C.BackupAndRestore(path, save_freq=1))
        assert run("everything", C.BackupAndRestore(path, save_freq=1), before=9) == whole


def test_layers_may_be_called_otherwise(tmp_path: Path) -> None:
    """In one process names are counted on: layers and weights go by their place."""
    with pytest.raises(EndError):
        run("branches", EndAt(9), C.BackupAndRestore(tmp_path, save_freq=4))
    L.Dense(1)
    assert run("branches", C.BackupAndRestore(tmp_path, save_freq=4)) == run("branches")


def test_checkpoint_as_an_argument(tmp_path: Path) -> None:
    keep = rv.Checkpoint(tmp_path / "run.ckpt", every=4, keep=2)
    with pytest.raises(EndError):
        run("everything", EndAt(9), checkpoint=keep)
    assert rv.load(tmp_path / "run.ckpt")["step"] == 8
    whole = run("everything")
    assert run("everything", checkpoint=keep, before=3) == whole
    assert run("everything", checkpoint=keep, before=4) == whole  # it has ended
    more = run("everything", checkpoint=keep, epochs=5)
    assert more == run("everything", epochs=5)
    with pytest.raises(
        ValueError, match="expected it, or one BackupAndRestore, got 1 beside checkpoint="
    ):
        run("everything", C.BackupAndRestore(tmp_path), checkpoint=keep)


def test_files_of_callbacks_go_on(tmp_path: Path) -> None:
    def listeners(folder: Path) -> list[Any]:
        folder.mkdir(exist_ok=True)
        return [
            C.CSVLogger(folder / "log.csv"),
            C.ModelCheckpoint(folder / "best.keras", "val_loss", save_best_only=True),
        ]

    given = {**SPLIT, "epochs": 5}
    whole = run("everything", *listeners(tmp_path / "whole"), **given)
    with pytest.raises(EndError):
        run("everything", *listeners(tmp_path / "part"), EndAt(12),
            C.BackupAndRestore(tmp_path / "b"), **given)  # fmt: skip
    found = run("everything", *listeners(tmp_path / "part"), C.BackupAndRestore(tmp_path / "b"),
                **given)  # fmt: skip
    assert found == whole
    for name in ("log.csv", "best.keras"):
        a, b = ((tmp_path / part / name).read_bytes() for part in ("whole", "part"))
        if name == "log.csv":
            assert a == b
        else:
            first, second = (
                keras.models.load_model(tmp_path / part / name).get_weights()
                for part in ("whole", "part")
            )
            assert [x.tobytes() for x in first] == [x.tobytes() for x in second]


def test_other_runs_are_refused(tmp_path: Path) -> None:
    def begun() -> Path:
        path = tmp_path / "b"
        with pytest.raises(EndError):
            run("everything", EndAt(9), C.BackupAndRestore(path))
        return path

    path = begun()
    kept = (path / "backup.ckpt").read_bytes()
    for words, given in (
        ("batch_size 8, got 4", {"batch_size": 4}),
        ("X float32 .41, 6. as it was, got other numbers", {"x": X + 1}),
        ("y float32 .41, 1. as it was, got other numbers", {"y": -Y}),
        ("shuffle True, got False", {"shuffle": False}),
        ("validation float32 .11, 6.*, got", {"validation_split": 0.1}),
        ("initial_epoch 0, got 1", {"initial_epoch": 1}),
        ("weights of rows none, got", {"sample_weight": np.ones(52, np.float32)}),
    ):
        with pytest.raises(ValueError, match=rf"expected what its run was given: .*{words}"):
            run("everything", C.BackupAndRestore(path), **given)
    state = rv.get_rng_state()
    with pytest.raises(ValueError, match=r"model with layer 1 units 8, got 5 and weight 0 float32"):
        layers = L.BatchNormalization(), L.Dropout(0.3), L.GaussianNoise(0.1, seed=4), L.Dense(1)
        model = keras.Sequential([keras.Input((6,)), L.Dense(5, "gelu"), *layers])
        model.compile("adam", "mse", metrics=["mae"])
        state = rv.get_rng_state()
        model.fit(X, Y, batch_size=8, verbose=0, callbacks=[C.BackupAndRestore(path)])
    assert rv.equal(rv.get_rng_state(), state)
    assert (path / "backup.ckpt").read_bytes() == kept
    (path / "backup.ckpt").write_bytes(kept[:-5])
    with pytest.raises(ValueError, match="expected"):
        run("everything", C.BackupAndRestore(path))


def test_a_state_that_is_not_finite_replaces_no_good_one(tmp_path: Path) -> None:
    class Spoil(rv.Callback):
        def on_progress(self, run: Any, logs: Any) -> None:
            if run.step >= 9:
                run.model.layers[1].moving_mean.assign(np.full(8, np.inf))

    for more in ((), (C.TerminateOnNaN(),)):
        path = tmp_path / f"{len(more)}"
        backup = C.BackupAndRestore(path, save_freq=4)
        if more:
            run("everything", Spoil(), *more, backup)
        else:
            with pytest.raises(rv.NonFiniteError):
                run("everything", Spoil(), *more, backup)
        state = rv.load(path / "backup.ckpt")
        assert state["step"] == 8
        assert all(bool(rv.isfinite(t).all()) for t in state["model"].values())


def test_arguments_of_the_callback(tmp_path: Path) -> None:
    for bad in ("batch", 0, -1, 2.5, True):
        with pytest.raises(ValueError, match="save_freq: expected 'epoch' or a number of steps"):
            C.BackupAndRestore(tmp_path, save_freq=bad)
    for bad in (None, "", 3):
        with pytest.raises(ValueError, match="backup_dir: expected the path of a folder"):
            C.BackupAndRestore(bad)
    path = tmp_path / "new" / "folder"
    run("plateau", C.BackupAndRestore(path, save_freq=2, delete_checkpoint=False,
                                      double_checkpoint=True))  # fmt: skip
    assert len(list(path.iterdir())) == 2


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGINT], ids=lambda by: by.name)
def test_a_few_kills(tmp_path: Path, by: signal.Signals) -> None:
    kills(tmp_path, epochs=45, count=2, longest=0.15, by=by, script=CHILD)


@pytest.mark.slow
def test_fifty_kills(tmp_path: Path) -> None:
    kills(tmp_path, epochs=600, count=50, longest=0.4, by=signal.SIGKILL, script=CHILD)


def test_the_callback_in_rv_fit(tmp_path: Path) -> None:
    def train(*callbacks: Any, seed: int = 0) -> list[Any]:
        rv.manual_seed(seed)
        net = rv.nn.Sequential(rv.nn.Linear(6, 4), rv.nn.Dropout(0.2), rv.nn.Linear(4, 1))
        rv.fit(net, X, Y, loss="mse", epochs=3, batch_size=8, verbose=0, callbacks=callbacks)
        return [t.tolist() for t in net.parameters()]

    whole = train()
    with pytest.raises(EndError):
        train(EndAt(9), C.BackupAndRestore(tmp_path / "b", save_freq=4))
    assert train(C.BackupAndRestore(tmp_path / "b", save_freq=4), seed=3) == whole
    assert list((tmp_path / "b").iterdir()) == []


def test_the_callback_where_no_state_is_kept(tmp_path: Path) -> None:
    from ranvier.sklearn import MLPClassifier

    model = MLPClassifier(max_iter=2, callbacks=[C.BackupAndRestore(tmp_path / "b")])
    with pytest.raises(ValueError, match="got a run of an estimator that keeps no state"):
        model.fit(X, LABELS)


def test_states_that_are_damaged(tmp_path: Path) -> None:
    """Parts of other types: an error that says so, and the model and its numbers are as before."""
    from ranvier.io import kinds, nested, tensors
    from ranvier.training.checkpoint import _checksum

    path = tmp_path / "run.ckpt"
    with pytest.raises(EndError):
        run("endless batches", EndAt(9), checkpoint=rv.Checkpoint(path, every=4))
    right = rv.load(path)
    for part, bad in (
        ("task", []), ("task", {}), ("task", {**right["task"], "taken": [1]}),
        ("task", {**right["task"], "steps": "many"}), ("begun", 3), ("begun", {}),
        ("begun", {"python": (1,), "numpy": {}}), ("model", {}),
        ("model", {**right["model"], "000": rv.ones(1)}),
    ):  # fmt: skip
        named, description = nested.described({**right, part: bad})
        metadata = kinds.metadata(kinds.CHECKPOINT, description)
        metadata |= {"checksum": _checksum(named, metadata)}
        tensors.write(path, named, metadata)
        with pytest.raises(ValueError, match=r"\[fit\] checkpoint: .*expected"):
            run("endless batches", checkpoint=rv.Checkpoint(path, every=4))


def test_nothing_of_a_stream_is_lost() -> None:
    """Who looks at the first batch takes it from nobody."""

    class Stream:
        def __init__(self) -> None:
            self.given = 0

        def __iter__(self) -> Iterator[Any]:
            while self.given < 6:
                self.given += 1
                yield X[self.given : self.given + 4], Y[self.given : self.given + 4]

    stream, seen = Stream(), []
    model = dense()
    counter = C.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch))
    model.fit(stream, verbose=0, callbacks=[counter])
    assert stream.given == 6 and seen == list(range(6))
