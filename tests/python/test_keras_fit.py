"""compile, fit, evaluate, predict of Keras models: numbers, callbacks, data, errors."""

from __future__ import annotations

import csv
import math

import numpy as np
import pytest
from keras_parity import real_keras, rows

import ranvier as rv
from ranvier import keras
from ranvier.training import NonFiniteError

# Keras and NumPy 2 disagree about an argument of __array__.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

L = keras.layers
X = rows()
RNG = np.random.default_rng(0)
LABELS, BITS = RNG.integers(0, 3, 50), RNG.integers(0, 2, 50)
Y = RNG.normal(size=(50, 2)).astype(np.float32)
WEIGHTS = RNG.random(50).astype(np.float32)


def small(units=2, activation=None, seed=0):
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [keras.Input((6,)), L.Dense(8, "tanh"), L.Dense(units, activation, name="out")]
    )


# --- the same numbers as Keras --------------------------------------------------------------------


def dense(*sizes):
    def build(module):
        layers = [module.layers.Dense(n, a) for n, a in sizes]
        return module.Sequential([module.Input((6,)), *layers])

    return build


def decorated(module):
    R = module.regularizers
    return module.Sequential(
        [
            module.Input((6,)),
            module.layers.Dense(
                8,
                "relu",
                kernel_regularizer=R.L1L2(1e-2, 1e-2),
                activity_regularizer=R.L2(0.01),
                kernel_constraint=module.constraints.MaxNorm(1.0),
            ),
            module.layers.BatchNormalization(),
            module.layers.LayerNormalization(),
            module.layers.Dense(2, bias_regularizer="l2"),
        ]
    )


def forked(module):
    a, b = module.Input((6,), name="a"), module.Input((6,), name="b")
    shared = module.layers.Dense(4, "relu", name="shared")
    joined = module.layers.Concatenate()([shared(a), shared(b)])
    one = module.layers.Dense(2, name="one")(joined)
    two = module.layers.Dense(1, "sigmoid", name="two")(joined)
    return module.Model([a, b], [one, two])


def own_call(module):
    class Net(module.Model):
        def __init__(self):
            super().__init__()
            self.hidden = [module.layers.Dense(4, "relu") for _ in range(2)]
            self.norm = module.layers.BatchNormalization()
            self.out = module.layers.Dense(2)

        def call(self, x, training=False):
            for layer in self.hidden:
                x = layer(x)
            return self.out(self.norm(x, training=training))

    return Net()


RUNS = {
    "regression": (dense((8, "relu"), (2, None)),
                   lambda m: {"optimizer": "sgd", "loss": "mse", "metrics": ["mae"]}, X, Y, {}),
    "sparse": (dense((8, "tanh"), (3, "softmax")),
               lambda m: {"optimizer": "adam", "loss": "sparse_categorical_crossentropy",
                          "metrics": ["accuracy"]}, X, LABELS, {"validation_split": 0.2}),
    "logits": (dense((8, "relu"), (3, None)),
               lambda m: {"optimizer": m.optimizers.RMSprop(0.01),
                          "loss": m.losses.SparseCategoricalCrossentropy(from_logits=True),
                          "metrics": ["acc", m.metrics.SparseTopKCategoricalAccuracy(2)]},
               X, LABELS, {}),
    "one-hot": (dense((8, "relu"), (3, "softmax")),
                lambda m: {"optimizer": "nadam", "loss": "categorical_crossentropy",
                           "metrics": ["accuracy"]},
                X, np.eye(3)[LABELS], {"validation_data": (X, np.eye(3)[LABELS])}),
    "binary": (dense((8, "relu"), (1, "sigmoid")),
               lambda m: {"optimizer": "adam", "loss": "binary_crossentropy",
                          "metrics": ["accuracy", "AUC", m.metrics.Precision(name="p")],
                          "weighted_metrics": ["accuracy", "mse"]},
               X, BITS, {"sample_weight": WEIGHTS}),
    "class weights": (dense((8, "relu"), (3, "softmax")),
                      lambda m: {"optimizer": "adam", "loss": "sparse_categorical_crossentropy"},
                      X, LABELS, {"class_weight": {0: 1.0, 1: 2.0, 2: 0.5}}),
    "penalties": (decorated, lambda m: {"optimizer": m.optimizers.SGD(0.05, momentum=0.9),
                                        "loss": "mse"}, X, Y, {"validation_split": 0.3}),
    "two outputs": (forked, lambda m: {"optimizer": "adam", "loss": ["mse", "binary_crossentropy"],
                                       "loss_weights": [1.0, 0.5],
                                       "metrics": [["mae"], ["accuracy"]]},
                    [X, X * 0.5], [Y, BITS], {}),
    "by names": (forked, lambda m: {"optimizer": "adam",
                                    "loss": {"one": "mse", "two": "binary_crossentropy"},
                                    "metrics": {"two": ["accuracy"]}},
                 {"a": X, "b": X * 0.5}, {"one": Y, "two": BITS[:, None]}, {}),
    "subclass": (own_call, lambda m: {"optimizer": "adam", "loss": "mse"}, X, Y, {}),
    "own loss": (dense((8, "relu"), (2, None)),
                 lambda m: {"optimizer": m.optimizers.Adam(
                     m.optimizers.schedules.ExponentialDecay(0.01, 3, 0.9), clipnorm=0.5),
                     "loss": lambda t, p: m.ops.mean(m.ops.square(t - p) * 2.0, axis=-1),
                     "metrics": [lambda t, p: m.ops.mean(m.ops.abs(t - p))]}, X, Y, {}),
}  # fmt: skip


@pytest.mark.parametrize("name", RUNS)
def test_runs_are_those_of_keras(name):
    other = real_keras()
    build, compiled, x, y, options = RUNS[name]
    models = [build(other), build(keras)]
    if name == "subclass":
        for model in models:
            model(x[:1])
    models[1].set_weights(models[0].get_weights())
    seen = []
    for module, model in zip((other, keras), models, strict=True):
        model.compile(**compiled(module))
        fitted = model.fit(x, y, epochs=4, batch_size=16, shuffle=False, verbose=0, **options)
        measured = model.evaluate(x, y, verbose=0, return_dict=True)
        seen.append((fitted.history, measured, model.predict(x, verbose=0)))
    (history, measured, outputs), (own_history, own_measured, own_outputs) = seen
    assert set(own_history) == set(history)
    assert set(own_measured) == set(measured)
    # 16 steps of float32, each rounded in its own order; Keras' powers of beta are float32 too.
    for key, values in history.items():
        np.testing.assert_allclose(own_history[key], values, rtol=2e-4, atol=2e-5, err_msg=key)
    for key, value in measured.items():
        assert own_measured[key] == pytest.approx(value, rel=2e-4, abs=2e-5), key
    pairs = zip(other.tree.flatten(own_outputs), other.tree.flatten(outputs), strict=True)
    for a, b in pairs:
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4)


# --- what one run does ----------------------------------------------------------------------------


def test_the_loss_of_an_epoch_is_a_mean_over_rows():
    model = small()
    model.compile(keras.optimizers.SGD(0.0), "mse")
    loss = float(((model.predict(X, verbose=0).astype(np.float64) - Y) ** 2).mean())
    history = model.fit(X, Y, batch_size=16, epochs=2, verbose=0)
    assert history.history["loss"] == pytest.approx([loss, loss], rel=1e-5)
    assert model.evaluate(X, Y, batch_size=7, verbose=0) == pytest.approx(loss, rel=1e-5)
    assert history.epoch == [0, 1]


def test_the_same_seed_gives_the_same_bits():
    def weights(threads):
        rv.set_num_threads(threads)
        model = small()
        model.compile("adam", "mse")
        model.fit(X, Y, epochs=3, batch_size=8, verbose=0)
        return [w.tobytes() for w in model.get_weights()]

    assert weights(1) == weights(2)


def test_accuracy_goes_by_the_shapes():
    for units, activation, loss, y, kind in (
        (1, "sigmoid", "binary_crossentropy", BITS, keras.metrics.BinaryAccuracy),
        (3, "softmax", "sparse_categorical_crossentropy", LABELS,
         keras.metrics.SparseCategoricalAccuracy),
        (3, "softmax", "categorical_crossentropy", np.eye(3)[LABELS],
         keras.metrics.CategoricalAccuracy),
    ):  # fmt: skip
        model = small(units, activation)
        model.compile("sgd", loss, metrics=["accuracy"])
        history = model.fit(X, y, verbose=0)
        assert set(history.history) == {"loss", "accuracy"}
        assert isinstance(model.metrics[1], kind)


@pytest.mark.parametrize("kind", ["int64", "uint8", "bool", "float64", "lists"])
def test_data_of_any_type(kind):
    x = (X > 0).tolist() if kind == "lists" else (X > 0).astype(kind)
    y = BITS.tolist() if kind == "lists" else BITS.astype(kind)
    model = small(1, "sigmoid")
    model.compile("sgd", "mse")
    losses = model.fit(x, y, epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def test_batches_of_others():
    def run(*args, **kwargs):
        model = small()
        model.compile("sgd", "mse")
        return model.fit(*args, epochs=3, verbose=0, **kwargs).history["loss"]

    expected = run(X, Y, batch_size=10, shuffle=False)
    pairs = [(X[i : i + 10], Y[i : i + 10]) for i in range(0, 50, 10)]

    class Numbered:
        def __len__(self):
            return 5

        def __getitem__(self, i):
            return pairs[i]

    def forever():
        while True:
            yield from pairs

    assert run(Numbered()) == expected
    assert run(forever(), steps_per_epoch=5) == expected
    with pytest.raises(ValueError, match="y: expected None"):
        run(Numbered(), Y)
    with pytest.raises(ValueError, match="at least one batch"):
        run(iter(pairs))


def test_validation_looks_at_the_last_rows():
    model = small()
    model.compile("sgd", "mse", metrics=["mae"])
    history = model.fit(X, Y, validation_split=0.2, epochs=2, verbose=0, validation_freq=2)
    assert len(history.history["val_loss"]) == 1
    expected = model.evaluate(X[40:], Y[40:], verbose=0, return_dict=True)
    assert history.history["val_loss"][-1] == pytest.approx(expected["loss"], rel=1e-6)
    assert history.history["val_mae"][-1] == pytest.approx(expected["mae"], rel=1e-6)


def test_one_batch_at_a_time():
    model = small()
    model.compile(keras.optimizers.SGD(0.0), "mse", metrics=["mae"])
    loss, mae = model.train_on_batch(X, Y)
    assert model.test_on_batch(X, Y, return_dict=True)["loss"] == pytest.approx(loss)
    assert model.predict_on_batch(X).shape == (50, 2)
    model.reset_metrics()
    both = [model.train_on_batch(X[:10], Y[:10])[0], model.train_on_batch(X[10:], Y[10:])[0]]
    assert both[1] == pytest.approx(loss, rel=1e-5)  # the mean of both
    assert mae > 0
    assert int(model.optimizer.iterations) == 3
    assert all(v.grad is None for v in model.weights)


def test_a_second_fit_goes_on():
    model = small()
    model.compile("adam", "mse")
    model.fit(X, Y, epochs=2, verbose=0, shuffle=False)
    history = model.fit(X, Y, epochs=4, initial_epoch=2, verbose=0, shuffle=False)
    assert history.epoch == [2, 3]
    once = small()
    once.compile("adam", "mse")
    once.fit(X, Y, epochs=4, verbose=0, shuffle=False)
    assert [w.tobytes() for w in once.get_weights()] == [w.tobytes() for w in model.get_weights()]


def test_constraints_hold_after_every_step():
    model = keras.Sequential([L.Dense(3, kernel_constraint="non_neg"), L.Dense(2)])
    model.compile(keras.optimizers.SGD(0.5), "mse")
    model.fit(X, Y, epochs=2, verbose=0)
    assert (model.get_weights()[0] >= 0).all()


@pytest.mark.filterwarnings("ignore:.*run as Python code")
def test_losses_that_layers_add():
    class Push(L.Layer):
        def call(self, inputs):
            self.add_loss(inputs.square().mean() * 0.5)
            return inputs

    model = keras.Sequential([L.Dense(2, kernel_initializer="zeros"), Push()])
    model.compile(keras.optimizers.SGD(0.0), "mse")
    expected = float((Y.astype(np.float64) ** 2).mean())
    assert model.fit(X, Y, verbose=0).history["loss"][0] == pytest.approx(expected, rel=1e-5)
    model.layers[0].bias.assign([2.0, 2.0])
    more = float(((2 - Y.astype(np.float64)) ** 2).mean()) + 2.0
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(more, rel=1e-5)


# --- callbacks ------------------------------------------------------------------------------------


def test_callbacks_hear_everything_in_order():
    heard = []

    class Listen(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            heard.append("train")
            assert self.params["epochs"] == 2
            assert self.model is model

        def on_epoch_begin(self, epoch, logs=None):
            heard.append(f"epoch {epoch}")

        def on_train_batch_end(self, batch, logs=None):
            heard.append(f"batch {batch}")
            means.append(logs["loss"])

        def on_test_end(self, logs=None):
            heard.append("test")
            assert set(logs) == {"loss", "mae"}

        def on_epoch_end(self, epoch, logs=None):
            heard.append("end")
            assert means[-1] == pytest.approx(logs["loss"])
            logs["own"] = 1.0

        def on_train_end(self, logs=None):
            heard.append("over")

    means = []
    model = small()
    model.compile("sgd", "mse", metrics=["mae"])
    history = model.fit(
        X, Y, batch_size=25, epochs=2, verbose=0, callbacks=[Listen()], validation_data=(X, Y)
    )
    one = ["batch 0", "batch 1", "test", "end"]
    assert heard == ["train", "epoch 0", *one, "epoch 1", *one, "over"]
    assert history.history["own"] == [1.0, 1.0]
    assert model.history is history


def test_stopping_early_restores_the_best_weights():
    kept = []
    model = small()
    model.compile("sgd", "mse")
    stop = keras.callbacks.EarlyStopping("loss", mode="max", patience=2, restore_best_weights=True)
    note = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: kept.append(model.get_weights())
    )
    history = model.fit(X, Y, epochs=9, verbose=0, callbacks=[note, stop])
    assert history.epoch == [0, 1, 2]
    assert (stop.best_epoch, stop.stopped_epoch) == (0, 2)
    for a, b in zip(kept[0], model.get_weights(), strict=True):
        assert (a == b).all()


def test_stopping_within_an_epoch():
    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == 1

    model = small()
    model.compile("sgd", "mse")
    history = model.fit(X, Y, batch_size=10, epochs=5, verbose=0, callbacks=[Stop()])
    assert len(history.history["loss"]) == 1
    assert int(model.optimizer.iterations) == 2


def test_learning_rates_that_callbacks_set():
    model = small()
    model.compile(keras.optimizers.SGD(0.5), "mse")
    fall = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.5)
    history = model.fit(X, Y, epochs=3, verbose=0, callbacks=[fall])
    assert history.history["learning_rate"] == [0.25, 0.125, 0.0625]
    plateau = keras.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=1e9)
    model.compile(keras.optimizers.SGD(0.5), "mse")
    history = model.fit(X, Y, epochs=4, verbose=0, callbacks=[plateau])
    assert history.history["learning_rate"] == [0.5, 0.5, 0.25, 0.125]


def test_files_that_callbacks_write(tmp_path):
    model = small()
    model.compile("sgd", "mse")
    log = keras.callbacks.CSVLogger(tmp_path / "log.csv")
    keep = keras.callbacks.ModelCheckpoint(
        tmp_path / "{epoch:02d}.weights.h5", "loss", save_best_only=True, save_weights_only=True
    )
    history = model.fit(X, Y, epochs=3, verbose=0, callbacks=[log, keep])
    with open(tmp_path / "log.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [float(line["loss"]) for line in lines] == history.history["loss"]
    assert sorted(p.name for p in tmp_path.glob("*.h5")) == [f"0{i}.weights.h5" for i in (1, 2, 3)]
    model.load_weights(tmp_path / "01.weights.h5")


def test_numbers_that_are_not_finite_end_the_run():
    model = keras.Sequential([L.Dense(2)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="finite"):
        model.fit(X * np.nan, Y, verbose=0)
    with pytest.raises(NonFiniteError, match="learning rate"):
        model.fit(X * 1e30, Y, verbose=0)
    model = small()
    model.compile(keras.optimizers.SGD(1e30), "mse")
    history = model.fit(X, Y, epochs=9, verbose=0, callbacks=[keras.callbacks.TerminateOnNaN()])
    assert len(history.history.get("loss", [])) < 9


def test_printing(capsys):
    model = small()
    model.compile("sgd", "mse", metrics=["mae"])
    model.fit(X, Y, epochs=2, batch_size=25, verbose=2)
    text = capsys.readouterr().out
    assert "Epoch 1/2" in text
    assert "2/2 - " in text
    assert " - mae: " in text
    model.evaluate(X, Y, verbose=0)
    model.predict(X, verbose=0)
    model.fit(X, Y, verbose=0)
    assert capsys.readouterr().out == ""


# --- errors ---------------------------------------------------------------------------------------


def test_what_does_not_fit_is_refused_before_anything_changes():
    model = small(3, "softmax")
    with pytest.raises(ValueError, match="compile"):
        model.fit(X, LABELS)
    model.compile("sgd", "sparse_categorical_crossentropy")
    before = [w.tobytes() for w in model.get_weights()]
    for call, match in (
        (lambda: model.fit(X, LABELS[:40], verbose=0), "50, 40"),
        (lambda: model.fit(X[:, :4], LABELS, verbose=0), "4"),
        (lambda: model.fit(X, np.eye(3)[LABELS], verbose=0), "'categorical_crossentropy'"),
        (lambda: model.fit(X, None, verbose=0), "got None"),
        (lambda: model.fit(X, LABELS, epochs=0), "epochs"),
        (lambda: model.fit(X, LABELS, batch_size=0), "batch_size"),
        (lambda: model.fit(X, LABELS, validation_split=1.0, verbose=0), "validation_split"),
        (lambda: model.fit(X[:1], LABELS[:1], validation_split=0.5, verbose=0), "both sides"),
        (lambda: model.fit(X, LABELS, verbose=3), "verbose"),
        (lambda: model.fit(X, LABELS, class_weight={0: 1}, sample_weight=WEIGHTS, verbose=0),
         "same time"),
        (lambda: model.compile("sgd", "mse", metrics=["acuracy"]), "did you mean 'accuracy'"),
        (lambda: model.compile("sgd", "msee"), "did you mean 'mse'"),
        (lambda: model.compile("sgd", "mse", metrics="mae"), r"metrics=\['mae'\]"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=match):
            call()
    with pytest.raises(TypeError, match="EarlyStopping"):
        model.fit(X, LABELS, verbose=0, callbacks=[keras.callbacks.EarlyStopping])
    assert [w.tobytes() for w in model.get_weights()] == before


def test_labels_from_one_are_named():
    model = small(3)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    with pytest.raises(ValueError, match=r"got 3; labels start at 0"):
        model.fit(X, LABELS + 1, batch_size=5, verbose=0)
    before = model.get_weights()
    late = LABELS.copy()
    late[-1] = 3
    with pytest.raises(ValueError, match=r"got 3; labels start at 0"):
        model.fit(X, late, shuffle=False, verbose=0)
    assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))


def test_an_error_in_a_callback_leaves_the_model_usable():
    class Bad(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise RuntimeError("mine")

    model = small()
    model.compile("sgd", "mse")
    with pytest.raises(RuntimeError, match="mine"):
        model.fit(X, Y, verbose=0, callbacks=[Bad()])
    assert not model.training
    assert math.isfinite(model.fit(X, Y, verbose=0).history["loss"][0])


def test_a_model_without_rows_out_is_refused():
    class Mean(keras.Model):
        def call(self, inputs):
            return inputs.mean()

    class Nothing(keras.Model):
        def call(self, inputs):
            inputs.mean()

    for kind in (Mean, Nothing):
        model = kind()
        model.compile("sgd", "mse")
        with pytest.raises((TypeError, ValueError)):
            model.fit(X, Y, verbose=0)


def test_losses_that_do_not_go_with_the_last_layer_are_named():
    sparse = keras.losses.SparseCategoricalCrossentropy
    for activation, loss, match in (
        ("softmax", sparse(from_logits=True), "applies softmax itself"),
        (None, sparse(), "from_logits=True or softmax"),
        (None, "sparse_categorical_crossentropy", "'linear'"),
    ):
        model = small(3, activation)
        model.compile("sgd", loss)
        with pytest.warns(rv.RanvierWarning, match=match):
            model.fit(X, LABELS, verbose=0)
        model.fit(X, LABELS, verbose=0)  # once is enough
    model = small(1, "sigmoid")
    model.compile("sgd", keras.losses.BinaryCrossentropy(from_logits=True))
    with pytest.warns(rv.RanvierWarning, match="applies sigmoid itself"):
        model.fit(X, BITS, verbose=0)


def test_lists_of_results_are_in_the_order_of_keras():
    model = small()
    model.compile("sgd", "mse", metrics=["mse", "mae"])
    listed = model.evaluate(X, Y, verbose=0)
    named = model.evaluate(X, Y, verbose=0, return_dict=True)
    assert listed == [named["loss"], named["mae"], named["mse"]]
    model = forked(keras)
    model.compile("sgd", ["mse", "binary_crossentropy"], metrics=[["mse"], ["accuracy"]])
    listed = model.evaluate([X, X], [Y, BITS], verbose=0)
    named = model.evaluate([X, X], [Y, BITS], verbose=0, return_dict=True)
    order = ("loss", "one_loss", "two_loss", "one_mse", "two_accuracy")
    assert listed == [named[name] for name in order]
