"""Keras' fit over arrays runs whole epochs natively, with the bits of the code itself."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier import _C, keras
from ranvier.training import epochs
from ranvier.training.step import Arithmetic

RNG = np.random.default_rng(0)
X = RNG.standard_normal((50, 6)).astype("float32")
LABELS = RNG.integers(0, 3, 50)
HOT = np.eye(3, dtype="float32")[LABELS]
WEIGHT = RNG.random(50)
DECAY = keras.optimizers.schedules.CosineDecay(0.1, 9)


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


class Watch:
    """Counts steps by where they ran."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch
        self.natively = self.eagerly = 0
        run_steps, whole = _C.run_steps, Arithmetic.whole

        def counted(*args: Any) -> int | None:
            done = run_steps(*args)
            self.natively += done or 0
            return done

        def counted_whole(arithmetic: Arithmetic, *args: Any) -> Any:
            self.eagerly += 1
            return whole(arithmetic, *args)

        monkeypatch.setattr(_C, "run_steps", counted)
        monkeypatch.setattr(Arithmetic, "whole", counted_whole)

    def fit(
        self,
        captured: bool,
        y: Any = LABELS,
        make: Callable[[], Any] | None = None,
        compiled: dict[str, Any] | None = None,
        **settings: Any,
    ) -> Any:
        self.monkeypatch.setenv("RANVIER_CAPTURE", str(int(captured)))
        self.natively = self.eagerly = 0
        keras.utils.set_random_seed(0)
        model = (make or dense)()
        loss = "sparse_categorical_crossentropy" if y is LABELS else "mse"
        model.compile(**{"optimizer": "adam", "loss": loss, **(compiled or {})})
        history = model.fit(X, y, **{"batch_size": 8, "epochs": 3, "verbose": 0, **settings})
        bits = [np.asarray(w).tobytes() for w in model.get_weights()]
        return history.history, bits, int(model.optimizer.iterations), rv.rand(2).tolist()


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    return Watch(monkeypatch)


def dense() -> Any:
    return keras.Sequential(
        [keras.layers.Dense(5, activation="tanh"), keras.layers.Dense(3, activation="softmax")]
    )


def stateful() -> Any:
    return keras.Sequential(
        [
            keras.layers.Dense(5, kernel_constraint="max_norm"),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(3, kernel_regularizer="l2", activation="softmax"),
        ]
    )


def functional() -> Any:
    inputs = keras.Input((6,))
    hidden = keras.layers.Dense(6, activation="relu")(inputs)
    joined = keras.layers.Add()([hidden, inputs])
    return keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(joined))


class Own(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.out = keras.layers.Dense(5), keras.layers.Dense(3, activation="softmax")

    def call(self, inputs: Any) -> Any:
        return self.out(keras.ops.relu(self.hidden(inputs)))


@pytest.mark.parametrize("make", [dense, stateful, functional, Own])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"shuffle": False},
        {"compiled": {"metrics": ["accuracy"]}},
        {"compiled": {"metrics": ["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(2)]}},
        {"y": HOT, "compiled": {"metrics": ["mae", "accuracy"]}},
        {"compiled": {"weighted_metrics": ["accuracy"]}, "sample_weight": WEIGHT},
        {"class_weight": {0: 2.0, 2: 0.5}},
        {"validation_split": 0.2, "compiled": {"metrics": ["accuracy"]}},
        {"batch_size": 50},
        {"batch_size": 64, "compiled": {"optimizer": keras.optimizers.SGD(0.1, momentum=0.9)}},
        {"compiled": {"optimizer": "rmsprop"}, "initial_epoch": 1},
    ],
    ids=str,
)
def test_native_epochs_are_eager_bit_for_bit(
    watch: Watch, make: Callable[[], Any], settings: dict[str, Any]
) -> None:
    def fresh() -> dict[str, Any]:  # optimizers and metrics serve one model
        compiled = {
            name: type(v).from_config(v.get_config()) if hasattr(v, "from_config") else v
            for name, v in settings.get("compiled", {}).items()
        }
        return {**settings, "compiled": compiled}

    eager = watch.fit(False, make=make, **fresh())
    assert watch.natively == 0
    assert watch.fit(True, make=make, **fresh()) == eager
    assert watch.natively > 0 and watch.eagerly <= 2
    if make is stateful:
        watch.monkeypatch.setattr(epochs, "SECONDS", 0.0)
        assert watch.fit(True, make=make, **fresh()) == eager
        assert watch.natively > 0 and watch.eagerly <= 2


@pytest.mark.parametrize(
    "settings",
    [
        {"compiled": {"optimizer": keras.optimizers.SGD(DECAY)}},
        {"steps_per_epoch": 4},
        {"callbacks": [keras.callbacks.LambdaCallback(on_train_batch_end=lambda *_: None)]},
    ],
    ids=["schedule", "part", "listener"],
)  # fmt: skip
def test_what_needs_python_between_steps_has_it(watch: Watch, settings: dict[str, Any]) -> None:
    watch.fit(True, **settings)
    assert watch.natively == 0 and watch.eagerly <= 2


def test_callbacks_of_epochs_stop_and_change_the_rate(watch: Watch) -> None:
    class Steers(keras.callbacks.Callback):
        def __init__(self, event: str) -> None:
            setattr(self, event, self.steer)

        def steer(self, epoch: int, logs: Any = None) -> None:
            self.model.optimizer.learning_rate = 0.1 / (epoch + 1)
            self.model.stop_training = epoch == 2

    for event in ("on_epoch_begin", "on_epoch_end"):
        eager = watch.fit(False, epochs=6, callbacks=[Steers(event)])
        assert watch.fit(True, epochs=6, callbacks=[Steers(event)]) == eager
        assert watch.natively > 0 and len(eager[0]["loss"]) == 3
        assert eager[2] == (15 if event == "on_epoch_begin" else 21)


def test_a_bar_on_a_terminal_leaves_epochs_native(
    watch: Watch, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = {"metrics": ["accuracy"]}
    eager = watch.fit(False, compiled=metrics)
    watch.monkeypatch.setattr("ranvier.keras.callbacks.progress.is_terminal", lambda: True)
    watch.monkeypatch.setattr("ranvier.keras.callbacks.progress._REDRAW", 0.0)
    for seconds in (epochs.SECONDS, 0.0):
        watch.monkeypatch.setattr(epochs, "SECONDS", seconds)
        assert watch.fit(True, verbose=1, compiled=metrics) == eager
        assert watch.natively > 0 and watch.eagerly == 2
        out = capsys.readouterr().out
        assert out.count("Epoch ") == 3 and out.count("7/7 - ") == 3 and "accuracy: " in out
        # Within an epoch: a step that is recorded, the others together or one by one, the rest.
        assert out.count("/7 [") == (3 * 7 if seconds == 0.0 else 3 + 1 + 3)


def test_labels_that_do_not_fit_raise_before_anything_changes(watch: Watch) -> None:
    labels = LABELS.copy()
    labels[43] = 3
    for captured in (False, True):
        watch.monkeypatch.setenv("RANVIER_CAPTURE", str(int(captured)))
        model = dense()
        model.compile("adam", "sparse_categorical_crossentropy")
        with pytest.raises(ValueError, match="from 0 to 2"):
            model.fit(X, labels, verbose=0)


def test_numbers_that_are_not_finite_in_the_middle_of_an_epoch(watch: Watch) -> None:
    ends = []
    for captured in (False, True):
        watch.monkeypatch.setenv("RANVIER_CAPTURE", str(int(captured)))
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.layers.Dense(1, kernel_initializer="ones", name="d")])
        model.compile(keras.optimizers.SGD(1e-3), "mse")
        rows = np.abs(X)
        rows[37] = 3e38
        with pytest.raises(rv.NonFiniteError) as info:
            model.fit(rows, X[:, :1], shuffle=False, batch_size=2, verbose=0)
        weights = [w.tolist() for w in model.get_weights()]
        ends.append((str(info.value), info.value.step, int(model.optimizer.iterations), weights))
    assert ends[0] == ends[1] and ends[0][1:3] == (19, 18)
    assert watch.natively > 10
