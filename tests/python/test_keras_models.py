"""Keras models: Sequential, functional and subclassed; weights, summary, files, names."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from keras_parity import real_keras, rows

import ranvier as rv
from ranvier import keras

# Keras and NumPy 2 disagree about an argument of __array__.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

L = keras.layers
X = rows()


def test_sequential_builds_when_the_input_is_known():
    lazy = keras.Sequential([L.Dense(4, activation="relu"), L.Dense(2)])
    assert not lazy.built
    assert lazy.weights == []
    lazy(X)
    assert [w.shape for w in lazy.get_weights()] == [(6, 4), (4,), (4, 2), (2,)]
    for model in (
        keras.Sequential([keras.Input((6,)), L.Dense(4), L.Dense(2)]),
        keras.Sequential([L.InputLayer(shape=(6,)), L.Dense(4), L.Dense(2)]),
        keras.Sequential([L.Dense(4, input_shape=(6,)), L.Dense(2)]),
        keras.Sequential([L.Dense(4, input_dim=6), L.Dense(2)]),
    ):
        assert model.built
        assert (model.input_shape, model.output_shape) == ((None, 6), (None, 2))
        assert len(model.layers) == 2
    later = keras.Sequential()
    later.add(keras.Input((6,)))
    later.add(L.Dense(4))
    later.add(L.Dense(2))
    assert later.output_shape == (None, 2)
    assert later.pop() is not None
    assert later.output_shape == (None, 4)
    built = keras.Sequential([L.Dense(3)])
    built.build((None, 6))
    assert built.count_params() == 21


def test_pictures_are_flattened_row_by_row():
    model = keras.Sequential([L.Flatten(input_shape=(2, 3)), L.Dense(1, kernel_initializer="ones")])
    x = np.arange(12.0).reshape(2, 2, 3)
    assert model(x).detach().tolist() == [[15], [51]]


def branched(module):
    a, b = module.Input((6,), name="a"), module.Input((6,), name="b")
    shared = module.layers.Dense(4, activation="relu", name="shared")
    joined = module.layers.Concatenate(name="joined")([shared(a), shared(b)])
    doubled = module.layers.Add(name="doubled")([joined, joined * 2.0])
    one = module.layers.Dense(2, name="one")(doubled)
    two = module.layers.Dense(1, activation="sigmoid", name="two")(joined)
    return module.Model([a, b], [one, two], name="branched")


def test_functional_models_with_branches():
    model = branched(keras)
    k, c, w1, b1, w2, b2 = (w.astype(np.float64) for w in _random_weights(model))
    one, two = model([X, X * 0.5])
    joined = np.concatenate([np.maximum(x @ k + c, 0) for x in (X, X * 0.5)], 1)
    np.testing.assert_allclose(one.detach().numpy(), 3 * joined @ w1 + b1, rtol=1e-4, atol=1e-5)
    expected = 1 / (1 + np.exp(-(joined @ w2 + b2)))
    np.testing.assert_allclose(two.detach().numpy(), expected, rtol=1e-4, atol=1e-5)
    by_name = model({"b": X * 0.5, "a": X})
    np.testing.assert_allclose(by_name[0].detach().numpy(), one.detach().numpy())
    assert model.output_names == ["one", "two"]
    assert model.input_names == ["a", "b"]
    assert model.get_layer("shared").count_params() == 28
    outputs = model.predict([X, X], verbose=0)
    assert [o.shape for o in outputs] == [(50, 2), (50, 1)]


def _random_weights(model):
    rng = np.random.default_rng(1)
    weights = [rng.normal(size=w.shape).astype(np.float32) for w in model.get_weights()]
    model.set_weights(weights)
    return weights


def test_layers_and_weights_come_in_the_order_of_keras():
    other = real_keras()
    theirs, ours = branched(other), branched(keras)
    names = [layer.name for layer in theirs.layers if not layer.name.startswith("multiply")]
    own = [layer.name for layer in ours.layers if isinstance(layer, L.Layer)]
    assert own == names
    ours.set_weights(theirs.get_weights())
    expected = theirs([X, X])
    for a, b in zip(ours([X, X]), expected, strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-5, atol=1e-6)


def test_parts_of_a_model_are_models():
    inputs = keras.Input((6,))
    hidden = L.Dense(4, name="hidden")(inputs)
    model = keras.Model(inputs, L.Dense(2)(hidden))
    features = keras.Model(model.inputs, model.get_layer("hidden").output)
    assert features(X).shape == (50, 4)
    head = keras.Model(hidden, model.output)
    np.testing.assert_allclose(
        head(features(X)).detach().numpy(), model(X).detach().numpy(), rtol=1e-6
    )
    nested = keras.Sequential([keras.Input((6,)), features, L.Dense(1)])
    assert nested(X).shape == (50, 1)
    assert len(nested.weights) == 4


def test_subclassed_models():
    class Net(keras.Model):
        def __init__(self, units=4, **kwargs):
            super().__init__(**kwargs)
            self.hidden = [L.Dense(units, "relu") for _ in range(2)]
            self.drop = L.Dropout(0.5)
            self.out = L.Dense(1)

        def call(self, inputs, training=False):
            for layer in self.hidden:
                inputs = layer(inputs)
            if training:
                inputs = self.drop(inputs, training=training)
            return self.out(inputs)

    model = Net()
    assert model(X).shape == (50, 1)
    assert len(model.weights) == 6
    assert len(model.layers) == 4
    first = model(X).detach().tolist()
    assert model(X).detach().tolist() == first
    assert model(X, training=True).detach().tolist() != first


@pytest.mark.filterwarnings("ignore:.*run as Python code")
def test_training_reaches_layers_within_layers():
    seen = []

    class Look(L.Layer):
        def call(self, inputs, training=None):
            seen.append(training)
            return inputs

    model = keras.Sequential([L.Dense(2), keras.Sequential([Look()])])
    model(X)
    model(X, training=True)
    model.compile("sgd", "mse")
    model.fit(X, np.zeros((50, 2)), epochs=1, batch_size=50, verbose=0)
    assert seen[0] is False
    assert seen[-1] is True
    assert True in seen[1:-1]


def test_frozen_layers_do_not_learn():
    model = keras.Sequential([keras.Input((6,)), L.Dense(4, name="kept"), L.Dense(1)])
    model.get_layer("kept").trainable = False
    model.compile("sgd", "mse")
    before = model.get_weights()
    model.fit(X, np.ones(50), epochs=1, verbose=0)
    after = model.get_weights()
    assert all((a == b).all() for a, b in zip(before[:2], after[:2], strict=True))
    assert (before[2] != after[2]).any()
    assert len(model.trainable_weights) == 2
    model.trainable = False
    with pytest.raises(ValueError, match="at least one weight"):
        model.fit(X, np.ones(50), verbose=0)


def test_files_hold_weights(tmp_path):
    model = branched(keras)
    path = tmp_path / "model.weights.h5"
    model.save_weights(path)
    other = branched(keras)
    other.load_weights(path)
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        assert a.tobytes() == b.tobytes()
    with pytest.raises(FileExistsError):
        model.save(path, overwrite=False)
    small = keras.Sequential([keras.Input((6,)), L.Dense(1)])
    with pytest.raises(ValueError, match="expected 2 weights, got 6"):
        small.load_weights(path)
    with pytest.raises(ValueError, match="weights alone; build the same model and call"):
        keras.models.load_model(path)
    with pytest.raises(ValueError, match="without"):
        keras.Sequential([L.Dense(1)]).save_weights(path)


def test_copies_and_pickles():
    model = keras.Sequential([keras.Input((6,)), L.Dense(3, "relu"), L.Dense(1)])
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(again.predict(X, verbose=0), model.predict(X, verbose=0))
        again.set_weights([w * 0 for w in again.get_weights()])
    assert model.predict(X, verbose=0).any()


def test_configurations_of_sequential_models():
    model = keras.Sequential([keras.Input((6,)), L.Dense(3, "relu", name="d"), L.Dropout(0.1)])
    again = keras.Sequential.from_config(model.get_config())
    assert again.output_shape == (None, 3)
    assert [layer.name for layer in again.layers] == [layer.name for layer in model.layers]


def test_summary(capsys):
    model = branched(keras)
    model.summary()
    text = capsys.readouterr().out
    assert "shared (Dense)" in text
    assert "Total params: 55" in text
    assert "Connected to" in text
    lines: list[str] = []
    lazy = keras.Sequential([L.Dense(3), L.BatchNormalization()])
    lazy.summary(print_fn=lines.append)
    assert "unbuilt" in lines[-1]
    lazy(X)
    lazy.summary(print_fn=lines.append)
    assert "(None, 3)" in lines[-1]
    assert "Non-trainable params: 6" in lines[-1]


def test_a_model_is_a_module():
    model = keras.Sequential([keras.Input((6,)), L.Dense(3, name="first"), L.Dense(1, name="last")])
    assert isinstance(model, rv.nn.Module)
    names = ["first.kernel", "first.bias", "last.kernel", "last.bias"]
    assert [name for name, _ in model.named_parameters()] == names
    assert list(model.state_dict()) == names
    assert not model(X).requires_grad  # an array asks for an answer only
    loss = rv.nn.functional.mse_loss(model(rv.tensor(X)), rv.zeros(50, 1))
    loss.backward()
    assert all(v.grad is not None for v in model.trainable_weights)


def test_layers_of_both_kinds_go_into_an_nn_module():
    class Net(rv.nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden, self.out = L.Dense(3), rv.nn.Linear(3, 1)

        def forward(self, x):
            return self.out(self.hidden(x))

    net = Net()
    net(rv.tensor(X))
    assert len(list(net.parameters())) == 4
    with pytest.raises(TypeError, match="layers of both kinds"):
        keras.Model().inner = rv.nn.Linear(3, 1)
    model = keras.Sequential([keras.Input((6,)), L.Dense(2)])
    history = rv.fit(model, X, X[:, :2], loss="mse", epochs=2, verbose=0)
    assert history.history["loss"][1] < history.history["loss"][0]


def test_batches_of_a_loader_and_a_loop_by_hand():
    from ranvier.utils.data import DataLoader, TensorDataset

    model = keras.Sequential([keras.Input((6,)), L.Dense(2)])
    model.compile("sgd", "mse")
    loader = DataLoader(TensorDataset(rv.tensor(X), rv.tensor(X[:, :2])), batch_size=10)
    losses = model.fit(loader, epochs=3, verbose=0, validation_data=loader).history
    assert losses["val_loss"][-1] < losses["val_loss"][0]
    optimizer, loss_of = keras.optimizers.Adam(0.01), keras.losses.MeanSquaredError()
    before = model.evaluate(loader, verbose=0)
    for _ in range(5):
        for x, y in loader:
            loss_of(y, model(x, training=True)).backward()
            weights = model.trainable_weights
            optimizer.apply([w.grad for w in weights], weights)
    assert model.evaluate(loader, verbose=0) < before


def test_what_is_no_model_is_refused():
    a, b = keras.Input((6,), name="a"), keras.Input((6,), name="b")
    for call, match in (
        (lambda: keras.Model(a, L.Dense(1)(b)), "'b'"),
        (lambda: keras.Model(a), "both inputs and outputs"),
        (lambda: keras.Model(X, X), "symbolic"),
        (lambda: branched(keras)([X]), "expected 2 inputs, got 1"),
        (lambda: branched(keras)({"a": X}), "names a, b"),
        (lambda: branched(keras).get_layer("shard"), "did you mean 'shared'"),
        (lambda: keras.Sequential([L.Dense(1, name="x"), L.Dense(1, name="x")]), "'x' twice"),
        (lambda: keras.Input(6), "shape="),
        (lambda: keras.Sequential([keras.Input((5,)), L.Dense(1)])(X), "5"),
    ):
        with pytest.raises(ValueError, match=match):
            call()
    for call in (
        lambda: keras.Sequential([L.Dense]),
        lambda: keras.Sequential([np.tanh]),
        lambda: bool(a),
        lambda: np.asarray(a),
        lambda: float(a),
    ):
        with pytest.raises(TypeError):
            call()


def test_names_that_are_missing_say_where_the_thing_is():
    import ranvier as tf

    assert tf.keras is keras
    assert tf.random.set_seed(1) is not None
    for name in ("GradientTape", "reduce_mean", "constant", "Variable", "function"):
        with pytest.raises(AttributeError, match="TensorFlow"):
            getattr(tf, name)
    with pytest.raises(AttributeError, match="DataLoader"):
        _ = tf.data.Dataset
    with pytest.raises(AttributeError, match=r"functional\.relu"):
        _ = tf.nn.relu
    with pytest.raises(AttributeError, match=r"keras\.losses"):
        _ = tf.losses
    for part in ("layers", "losses", "metrics", "optimizers", "callbacks", "models", "datasets"):
        with pytest.raises(AttributeError, match="has no attribute"):
            getattr(getattr(keras, part), "Densse")  # noqa: B009
    with pytest.raises(AttributeError, match="did you mean 'Sequential'"):
        _ = keras.Sequentail


def test_import_of_ranvier_leaves_keras_alone():
    import subprocess
    import sys

    code = "import sys, ranvier; print(any(n.startswith('ranvier.keras') for n in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_helpers():
    hot = keras.utils.to_categorical([1, 0, 2])
    assert hot.tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 1]]
    assert keras.utils.to_categorical([[1], [0]], 3).shape == (2, 3)
    with pytest.raises(ValueError, match="from 0 to 1"):
        keras.utils.to_categorical([0, 2], 2)
    np.testing.assert_allclose(keras.utils.normalize([[3.0, 4.0]]), [[0.6, 0.8]])
    assert keras.backend.floatx() == "float32"
    keras.backend.set_floatx("float64")
    try:
        assert L.Dense(1)(X).dtype is rv.float64
    finally:
        keras.backend.set_floatx("float32")
    keras.backend.clear_session()
    assert L.Dense(1).name == "dense"
    assert L.Dense(1).name == "dense_1"


def test_compiled_functional_models_are_copied_with_their_optimizer():
    inputs = keras.Input((6,))
    hidden = L.Dense(4, "relu")(inputs)
    joined = L.Concatenate()([hidden, keras.ops.tanh(hidden) * 2.0, hidden[:, :1]])
    model = keras.Model(inputs, L.Dense(2)(joined))
    model.compile("adam", "mse")
    y = X[:, :2]
    model.fit(X, y, epochs=2, verbose=0)
    copies = [copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    expected = model.fit(X, y, epochs=2, verbose=0, shuffle=False).history["loss"]
    for again in copies:
        assert again.fit(X, y, epochs=2, verbose=0, shuffle=False).history["loss"] == expected


# ---- clones


def test_clone_of_a_sequential_model():
    model = keras.Sequential([keras.Input((3,)), L.Dense(4, "relu", name="hidden"), L.Dropout(0.1)])
    model.add(L.Dense(2, kernel_regularizer="l2"))
    twin = keras.models.clone_model(model)
    assert [layer.name for layer in twin.layers] == [layer.name for layer in model.layers]
    assert not {id(w) for w in twin.weights} & {id(w) for w in model.weights}
    assert not np.array_equal(twin.get_weights()[0], model.get_weights()[0])
    twin.set_weights(model.get_weights())
    x = np.ones((2, 3), "f4")
    np.testing.assert_array_equal(twin(x), model(x))
    assert not twin.compiled
    assert keras.models.clone_model(keras.Sequential([L.Dense(2)])).built is False


def test_clone_of_a_functional_model():
    a, b = keras.Input((3,), name="a"), keras.Input((3,), name="b")
    shared = L.Dense(4, "tanh", name="shared")
    inner = keras.Sequential([keras.Input((8,)), L.Dense(2)], name="inner")
    joined = L.Concatenate()([shared(a), shared(b)])
    model = keras.Model({"a": a, "b": b}, {"out": inner(joined) * 2.0 + 1.0, "raw": joined})
    twin = keras.models.clone_model(model)
    assert twin.count_params() == model.count_params() == 16 + 18
    twin.set_weights(model.get_weights())
    x = {"a": np.ones((2, 3), "f4"), "b": np.full((2, 3), 0.5, "f4")}
    for name, values in model(x).items():
        np.testing.assert_array_equal(twin(x)[name], values)
    model.layers[2].kernel.assign(np.zeros((3, 4)))
    assert twin.get_weights()[0].any()


def test_clones_that_are_changed_on_the_way():
    x = keras.Input((3,))
    model = keras.Model(x, L.Dense(1)(L.Dense(4, "relu")(x)))

    def wider(layer):
        return layer.from_config(layer.get_config() | {"use_bias": False})

    assert keras.models.clone_model(model, clone_function=wider).count_params() == 16
    other = keras.Input((3,), name="other")
    assert keras.models.clone_model(model, input_tensors=other).input_names == ["other"]
    with pytest.raises(TypeError, match="clone_function: expected a layer, got NoneType"):
        keras.models.clone_model(model, clone_function=lambda layer: None)


def test_a_subclass_is_not_cloned():
    class Net(keras.Model):
        def call(self, inputs):
            return inputs

    with pytest.raises(ValueError, match="expected a functional or Sequential model, got Net"):
        keras.models.clone_model(Net())


def test_initializers_under_their_short_names():
    for name in ("glorot_uniform", "he_normal", "lecun_uniform", "zeros", "random_normal"):
        made = getattr(keras.initializers, name)()
        assert type(made) is type(keras.initializers.get(name))
    with pytest.raises(AttributeError, match="did you mean"):
        keras.initializers.glorot_unifrm  # noqa: B018


def test_names_that_are_elsewhere_say_where():
    for part, name, where in (
        ("callbacks", "ProgbarLogger", "verbose"),
        ("utils", "PyDataset", "__getitem__"),
        ("callbacks", "ProgbarLogger", "prints by itself"),
        ("utils", "to_categoric", "did you mean 'to_categorical'"),
    ):
        with pytest.raises(AttributeError, match=where):
            getattr(getattr(keras, part), name)


def test_layers_in_lists_belong_to_a_model():
    class Stack(keras.Model):
        def __init__(self):
            super().__init__()
            self.stack = [keras.layers.Dense(3), keras.layers.Dense(2)]

        def call(self, x):
            for layer in self.stack:
                x = layer(x)
            return x

    model = Stack()
    model(np.zeros((1, 4), "f4"))
    assert [tuple(p.shape) for p in model.parameters()] == [(4, 3), (3,), (3, 2), (2,)]
    assert len(list(model.modules())) == 3
