"""Models with a `train_step` or `test_step` of their own, as Keras' guides write them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier import keras
from ranvier.training import NonFiniteError

RNG = np.random.default_rng(1)
X = RNG.normal(size=(64, 4)).astype("f4")
Y = X @ np.array([[1.0], [-2.0], [0.5], [0.0]], "f4")
layers = keras.layers


class Guide(keras.Model):
    """Keras' guide "Customizing what happens in fit() with PyTorch", with imports changed."""

    def train_step(self, data: Any) -> Any:
        x, y = data
        self.zero_grad()
        y_pred = self(x, training=True)
        loss = self.compute_loss(y=y, y_pred=y_pred)
        loss.backward()
        trainable_weights = list(self.trainable_weights)
        gradients = [v.value.grad for v in trainable_weights]
        with rv.no_grad():
            self.optimizer.apply(gradients, trainable_weights)
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(y, y_pred)
        return {m.name: m.result() for m in self.metrics}


class LowLevel(keras.Model):
    """The same guide's model that compiles no loss and keeps its own metrics."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.loss_tracker = keras.metrics.Mean(name="loss")
        self.mae_metric = keras.metrics.MeanAbsoluteError(name="mae")
        self.loss_fn = keras.losses.MeanSquaredError()

    def train_step(self, data: Any) -> Any:
        x, y = data
        self.zero_grad()
        y_pred = self(x, training=True)
        loss = self.loss_fn(y, y_pred)
        loss.backward()
        weights = list(self.trainable_weights)
        self.optimizer.apply([v.value.grad for v in weights], weights)
        self.loss_tracker.update_state(loss)
        self.mae_metric.update_state(y, y_pred)
        return {"loss": self.loss_tracker.result(), "mae": self.mae_metric.result()}

    @property
    def metrics(self) -> Any:
        return [self.loss_tracker, self.mae_metric]


class Measured(keras.Model):
    def test_step(self, data: Any) -> Any:
        x, y = data
        y_pred = self(x, training=False)
        loss = self.compute_loss(y=y, y_pred=y_pred)
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(y, y_pred)
        return {m.name: m.result() for m in self.metrics} | {"rows": x.shape[0]}


def made(kind: type[Any], **compiled: Any) -> Any:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    model = kind(inputs, layers.Dense(1)(layers.Dense(8, activation="tanh")(inputs)))
    model.compile(**({"optimizer": "adam", "loss": "mse", "metrics": ["mae"]} | compiled))
    return model


def test_the_guides_step_trains_as_keras_own() -> None:
    run = {"batch_size": 16, "epochs": 5, "shuffle": False, "verbose": 0}
    plain, own = made(keras.Model), made(Guide)
    expected, got = plain.fit(X, Y, **run).history, own.fit(X, Y, **run).history
    assert list(got) == ["loss", "mae"]
    for name, values in expected.items():
        np.testing.assert_allclose(got[name], values, rtol=1e-5)
    for a, b in zip(plain.get_weights(), own.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert all(w.grad is None for w in own.trainable_weights)


def test_a_step_around_keras_own() -> None:
    class Around(keras.Model):
        def train_step(self, data: Any) -> Any:
            logs = super().train_step(data)
            return logs | {"lr": self.optimizer.learning_rate}

    run = {"batch_size": 16, "epochs": 3, "shuffle": False, "verbose": 0}
    weights = np.linspace(0.5, 1.5, 64)
    plain, own = made(keras.Model), made(Around)
    expected = plain.fit(X, Y, sample_weight=weights, validation_split=0.25, **run).history
    got = own.fit(X, Y, sample_weight=weights, validation_split=0.25, **run).history
    assert set(got) == {*expected, "lr"}
    for name, values in expected.items():
        np.testing.assert_allclose(got[name], values, rtol=1e-5)


def test_a_model_that_compiles_no_loss() -> None:
    model = made(LowLevel, optimizer=keras.optimizers.Adam(0.02), loss=None, metrics=None)
    history = model.fit(X, Y, epochs=30, batch_size=16, verbose=0).history
    assert history["loss"][-1] < history["loss"][0] / 2
    assert list(history) == ["loss", "mae"]


def test_a_subclass_is_built_by_its_first_step(capsys: Any) -> None:
    class Net(Guide):
        def __init__(self) -> None:
            super().__init__()
            self.inner = layers.Dense(1)

        def call(self, inputs: Any) -> Any:
            return self.inner(inputs)

    model = Net()
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(X, Y, epochs=20, verbose=2)
    assert "loss" in capsys.readouterr().out
    assert model.evaluate(X, Y, verbose=0) < 0.01
    assert model.predict(X, verbose=0).shape == (64, 1)


def test_two_optimizers_as_in_a_gan() -> None:
    class Pair(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = layers.Dense(1), layers.Dense(1)

        def compile(self, first: Any, second: Any) -> None:
            super().compile()
            self.first, self.second = first, second

        def train_step(self, data: Any) -> Any:
            x = data
            losses = {}
            for name, layer, updates in (
                ("a_loss", self.one, self.first),
                ("b_loss", self.two, self.second),
            ):
                self.zero_grad()
                loss = keras.ops.mean(keras.ops.square(layer(x)))
                loss.backward()
                weights = layer.trainable_weights
                updates.apply([w.grad for w in weights], weights)
                losses[name] = loss
            return losses

    model = Pair()
    model.one.build((None, 4))
    model.two.build((None, 4))
    before = [w.copy() for w in model.get_weights()]
    model.compile(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.0))
    history = model.fit(X, epochs=4, verbose=0).history
    assert list(history) == ["a_loss", "b_loss"]
    assert history["a_loss"][-1] < history["a_loss"][0]
    changed = [not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]
    assert changed == [True, True, False, False]


def test_applying_to_some_weights_leaves_the_others() -> None:
    model = made(keras.Model)
    model.fit(X, Y, verbose=0)
    first, last = model.layers[1].trainable_weights, model.layers[2].trainable_weights
    before = [w.detach().clone() for w in last]
    keras.losses.MeanSquaredError()(Y, model(rv.tensor(X), training=True)).backward()
    gradient = last[0].grad
    model.optimizer.apply([w.grad for w in first], first)
    assert all(rv.equal(a, b) for a, b in zip(before, last, strict=True))
    assert last[0].grad is gradient


def test_own_test_step() -> None:
    model, plain = made(Measured), made(keras.Model)
    plain.set_weights(model.get_weights())
    expected = plain.evaluate(X, Y, batch_size=16, verbose=0, return_dict=True)
    got = model.evaluate(X, Y, batch_size=16, verbose=0, return_dict=True)
    assert got.pop("rows") == 16
    assert got == pytest.approx(expected)
    history = model.fit(X, Y, validation_data=(X, Y), verbose=0).history
    assert set(history) == {"loss", "mae", "val_loss", "val_mae", "val_rows"}
    assert set(model.test_on_batch(X, Y, return_dict=True)) == {"loss", "mae", "rows"}


def test_one_batch() -> None:
    model = made(Guide)
    first = model.train_on_batch(X, Y, return_dict=True)
    assert list(first) == ["loss", "mae"]
    for _ in range(20):
        last = model.train_on_batch(X, Y)
    assert last[0] < first["loss"]


def test_callbacks_hear_of_own_steps() -> None:
    heard: list[Any] = []

    class Listener(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            heard.append((batch, sorted(logs)))

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            heard.append((epoch, type(logs["loss"])))

    stop = keras.callbacks.EarlyStopping(monitor="loss", patience=0, mode="max")
    made(Guide).fit(X, Y, batch_size=32, epochs=9, callbacks=[Listener(), stop], verbose=0)
    assert heard[:3] == [(0, ["loss", "mae"]), (1, ["loss", "mae"]), (0, float)]
    assert len(heard) == 6  # the loss falls, which is not what is wanted here


def test_what_a_step_must_return() -> None:
    class Silent(keras.Model):
        def train_step(self, data: Any) -> Any:
            super().train_step(data)

    model = made(Silent)
    with pytest.raises(TypeError, match=r"\[train_step\] Silent: expected names.*end it with"):
        model.fit(X, Y, verbose=0)

    class Wild(keras.Model):
        def train_step(self, data: Any) -> Any:
            return {"loss": float("nan")}

    with pytest.raises(NonFiniteError, match=r"epoch 1, step 1, loss: .*got nan; .*had its update"):
        made(Wild).fit(X, Y, verbose=0)


def test_an_error_in_a_step_leaves_a_model_that_trains() -> None:
    class Fails(Guide):
        calls = 0

        def train_step(self, data: Any) -> Any:
            self.calls += 1
            if self.calls == 3:
                raise ZeroDivisionError("in a step")
            return super().train_step(data)

    model = made(Fails)
    with pytest.raises(ZeroDivisionError, match="in a step"):
        model.fit(X, Y, batch_size=16, verbose=0)
    assert not model.training
    assert len(model.fit(X, Y, epochs=2, verbose=0).history["loss"]) == 2
