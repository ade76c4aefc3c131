"""Keras' predict and evaluate replay recorded forwards, with the bits of the model's own code."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier import keras
from ranvier.keras.training import task

RNG = np.random.default_rng(0)
X = RNG.standard_normal((50, 6)).astype("float32")
LABELS = RNG.integers(0, 3, 50)


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A line for every batch that ran as the model's own code."""
    seen: list[int] = []
    call = task.call_model

    def counted(where: str, model: Any, x: Any) -> Any:
        seen.append(1)
        return call(where, model, x)

    monkeypatch.setattr(task, "call_model", counted)
    return seen


def dense() -> Any:
    return keras.Sequential(
        [
            keras.layers.Dense(5, activation="tanh"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(3, activation="softmax"),
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


def penalised() -> Any:
    return keras.Sequential(
        [keras.layers.Dense(5, activity_regularizer="l2"), keras.layers.Dense(3, "softmax")]
    )


def pieces() -> Any:
    inputs = keras.Input((6,))
    hidden = keras.layers.Dense(4)(inputs)
    return keras.Model(inputs, {"a": hidden, "b": keras.layers.Dense(1)(hidden)})


def two() -> Any:
    a, b = keras.Input((6,)), keras.Input((6,))
    return keras.Model([a, b], keras.layers.Dense(3)(keras.layers.Add()([a, b])))


def own_code(model: Any, x: Any) -> Any:
    with rv.no_grad():
        return rv.keras.tensors.map_structure(
            lambda t: t.numpy(), model(rv.tensor(x), training=False)
        )


def same(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    return bool(a.tobytes() == b.tobytes() and a.shape == b.shape and a.dtype == b.dtype)


@pytest.mark.parametrize("make", [dense, functional, Own, penalised, pieces])
def test_predictions_are_those_of_the_code(make: Callable[[], Any], runs: list[int]) -> None:
    model = make()
    for _ in range(3):
        for rows in (1, 50, 32, 7):
            wanted = own_code(model, X[:rows])
            assert same(model.predict(X[:rows], verbose=0), wanted)
            assert same(model.predict_on_batch(X[:rows]), wanted)
            assert same(model.predict(X[:rows].astype("float64"), batch_size=7, verbose=0), wanted)
    del runs[:]
    for _ in range(5):
        model.predict(X, verbose=0)
        model.predict_on_batch(X[:7])
    assert (len(runs) == 0) == (make not in (penalised, pieces))
    with pytest.raises(ValueError, match="5"):
        model.predict(X[:, :5], verbose=0)


def test_several_inputs() -> None:
    model = two()
    for _ in range(3):
        out = model.predict([X, X[::-1]], verbose=0)
        parts = [model([X[i], X[::-1][i]]) for i in (slice(32), slice(32, 50))]
        assert same(out, np.concatenate([part.detach().numpy() for part in parts]))


def test_penalties_of_outputs_are_replayed_in_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    ends = []
    for captured in (False, True):
        monkeypatch.setenv("RANVIER_CAPTURE", str(int(captured)))
        keras.utils.set_random_seed(0)
        model = penalised()
        model.compile("adam", "sparse_categorical_crossentropy")
        history = model.fit(X, LABELS, epochs=3, validation_split=0.2, verbose=0).history
        ends.append((history, [w.tolist() for w in model.get_weights()]))
    assert ends[0] == ends[1]


@pytest.mark.parametrize("make", [dense, functional, Own, penalised])
def test_evaluate_is_that_of_the_code(
    make: Callable[[], Any], monkeypatch: pytest.MonkeyPatch, runs: list[int]
) -> None:
    ends = []
    for captured in (False, True):
        monkeypatch.setenv("RANVIER_CAPTURE", str(int(captured)))
        keras.utils.set_random_seed(0)
        model = make()
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        seen: list[Any] = []
        for _ in range(3):
            seen.append(model.evaluate(X, LABELS, verbose=0))
            seen.append(model.fit(X, LABELS, epochs=2, validation_split=0.3, verbose=0).history)
            seen.append(model.test_on_batch(X, LABELS))
            seen.append(model.predict(X, verbose=0).tolist())
            model.layers[0].activation = keras.activations.relu
        ends.append(seen)
        del runs[:]
        model.evaluate(X, LABELS, verbose=0)
    assert ends[0] == ends[1] and bool(runs) == (make is penalised)


def test_listeners_hear_of_every_batch() -> None:
    model, heard = dense(), []
    note = keras.callbacks.LambdaCallback(
        on_predict_batch_end=lambda batch, logs: heard.append((batch, logs["outputs"].shape))
    )
    for _ in range(2):
        model.predict(X, verbose=0, callbacks=[note])
    assert heard == [(0, (32, 3)), (1, (18, 3))] * 2


def test_part_of_the_batches() -> None:
    model = dense()
    whole = model.predict(X, batch_size=10, verbose=0)
    for _ in range(3):
        assert same(model.predict(X, batch_size=10, steps=2, verbose=0), whole[:20])
        assert same(model.predict(X, batch_size=10, steps=9, verbose=0), whole)
        assert same(model.predict(iter([X[:10], X[10:30]]), verbose=0), whole[:30])


def test_code_that_counts_runs_each_time() -> None:
    class Counter(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.calls: list[int] = []

        def call(self, inputs: Any) -> Any:
            self.calls.append(1)
            return inputs * len(self.calls)

    model = Counter()
    for i in range(1, 5):
        assert same(model.predict(X, batch_size=50, verbose=0), X * np.float32(i))
    assert len(model.calls) == 4


def test_fit_leaves_programs_of_predictions_alone(runs: list[int]) -> None:
    model = dense()
    model.compile("adam", "sparse_categorical_crossentropy")
    for _ in range(4):
        model.fit(X, LABELS, verbose=0)
        model.predict(X, verbose=0)
    assert same(model.predict(X, verbose=0), own_code(model, X))
    del runs[:]
    for _ in range(3):
        model.fit(X, LABELS, verbose=0)
        before = len(runs)
        model.predict(X, verbose=0)
        assert len(runs) == before
