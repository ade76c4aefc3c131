"""Keras' layers, activations, initializers, regularizers and constraints."""

from __future__ import annotations

import math

import numpy as np
import pytest
from keras_parity import real_keras, rows

import ranvier as rv
from ranvier import keras

# Keras and NumPy 2 disagree about an argument of __array__.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

L = keras.layers
X = rows()

ACTIVATIONS = (
    "linear", "relu", "leaky_relu", "relu6", "softmax", "log_softmax", "elu", "celu", "selu",
    "softplus", "softsign", "soft_shrink", "hard_shrink", "silu", "gelu", "glu", "tanh",
    "tanh_shrink", "sigmoid", "log_sigmoid", "hard_sigmoid", "sparse_sigmoid", "hard_silu",
    "hard_tanh", "exponential", "mish", "squareplus", "sparse_plus",
)  # fmt: skip


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_those_of_keras(name):
    other = real_keras()
    import torch

    expected = np.asarray(getattr(other.activations, name)(torch.tensor(X)))
    got = keras.activations.get(name)(X)
    np.testing.assert_allclose(got.numpy(), expected, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("elu", lambda x: np.where(x > 0, x, np.expm1(x))),
        ("softplus", lambda x: np.log1p(np.exp(x))),
        ("hard_sigmoid", lambda x: np.clip(x / 6 + 0.5, 0, 1)),
        ("mish", lambda x: x * np.tanh(np.log1p(np.exp(x)))),
        ("squareplus", lambda x: (x + np.sqrt(x * x + 4)) / 2),
        ("exponential", np.exp),
        ("selu", lambda x: 1.0507009873554805 * np.where(
            x > 0, x, 1.6732632423543772 * np.expm1(x))),
    ],
)  # fmt: skip
def test_activations_are_their_formulas(name, formula):
    got = getattr(keras.activations, name)(X)
    np.testing.assert_allclose(got.numpy(), formula(X.astype(np.float64)), rtol=1e-5, atol=1e-6)


def test_relu_with_all_its_settings():
    x = rv.tensor([-2.0, 0.5, 3.0, 9.0])
    got = keras.activations.relu(x, negative_slope=0.1, max_value=6.0, threshold=1.0)
    np.testing.assert_allclose(got.numpy(), [-0.3, -0.05, 3.0, 6.0], rtol=1e-6)


def test_sparsemax_is_a_share_with_a_gradient():
    x = rv.tensor(X, requires_grad=True)
    shares = keras.activations.sparsemax(x)
    np.testing.assert_allclose(shares.detach().sum(1).numpy(), 1.0, rtol=1e-5)
    shares.square().sum().backward()
    assert x.grad is not None
    # Moving all scores together changes nothing.
    np.testing.assert_allclose(x.grad.sum(1).numpy(), 0.0, atol=1e-5)


# --- initializers ---------------------------------------------------------------------------------

SHAPE = (300, 200)
SPREADS = {
    "glorot_uniform": (math.sqrt(2 / 500), math.sqrt(6 / 500)),
    "glorot_normal": (math.sqrt(2 / 500), 2 * math.sqrt(2 / 500) / 0.8796),
    "he_uniform": (math.sqrt(2 / 300), math.sqrt(6 / 300)),
    "he_normal": (math.sqrt(2 / 300), 2 * math.sqrt(2 / 300) / 0.8796),
    "lecun_uniform": (math.sqrt(1 / 300), math.sqrt(3 / 300)),
    "lecun_normal": (math.sqrt(1 / 300), 2 * math.sqrt(1 / 300) / 0.8796),
    "random_uniform": (0.1 / math.sqrt(12), 0.05),
    "truncated_normal": (0.05 * 0.8796, 0.1),
}


@pytest.mark.parametrize("name", SPREADS)
def test_initializers_have_their_spread_and_their_limits(name):
    values = keras.initializers.get(name)(SHAPE).numpy()
    std, limit = SPREADS[name]
    assert values.std() == pytest.approx(std, rel=0.02)  # 60,000 numbers: 0.3 % of deviation
    assert abs(values.mean()) < 4 * std / math.sqrt(values.size)
    assert np.abs(values).max() <= limit * 1.0001
    assert np.abs(values).max() > 0.95 * limit


def test_initializers_that_do_not_draw():
    I = keras.initializers  # noqa: E741
    assert I.Zeros()((2,)).tolist() == [0, 0]
    assert I.Ones()((2,)).tolist() == [1, 1]
    assert I.Constant([1.0, 2.0])((2, 2)).tolist() == [[1, 2], [1, 2]]
    assert I.Identity(2.0)((2, 2)).tolist() == [[2, 0], [0, 2]]
    for shape in ((5, 3), (3, 5), (4, 2, 3)):
        q = I.Orthogonal(gain=2.0, seed=0)(shape).numpy().reshape(-1, shape[-1]) / 2
        product = q.T @ q if q.shape[0] >= q.shape[1] else q @ q.T
        np.testing.assert_allclose(product, np.eye(len(product)), atol=1e-6)


def test_a_seed_gives_the_same_numbers_at_every_call():
    one = keras.initializers.GlorotUniform(seed=7)
    assert one((3, 2)).tolist() == one((3, 2)).tolist()
    two = keras.initializers.GlorotUniform()
    assert two((3, 2)).tolist() != two((3, 2)).tolist()
    keras.utils.set_random_seed(1)
    first = keras.layers.Dense(3)(X)
    keras.utils.set_random_seed(1)
    assert keras.layers.Dense(3)(X).tolist() == first.tolist()


def test_own_initializers_and_arrays():
    layer = L.Dense(2, kernel_initializer=lambda shape, dtype=None: np.ones(shape))
    assert layer(X[:1]).shape == (1, 2)
    assert layer.get_weights()[0].tolist() == [[1, 1]] * 6
    with pytest.raises(ValueError, match="did you mean 'glorot_uniform'"):
        L.Dense(2, kernel_initializer="glorot_unifrom")
    with pytest.raises(ValueError, match="distribution"):
        keras.initializers.VarianceScaling(distribution="cauchy")


# --- penalties and limits -------------------------------------------------------------------------


def test_regularizers_and_constraints_are_those_of_keras():
    other = real_keras()
    import torch

    w = X[:6] * 2
    theirs = torch.tensor(w)
    for name, args in (
        ("L1", (0.1,)), ("L2", (0.1,)), ("L1L2", (0.1, 0.2)),
        ("OrthogonalRegularizer", (0.1, "rows")), ("OrthogonalRegularizer", (0.1, "columns")),
    ):  # fmt: skip
        expected = float(getattr(other.regularizers, name)(*args)(theirs))
        assert float(getattr(keras.regularizers, name)(*args)(rv.tensor(w))) == pytest.approx(
            expected, rel=1e-5
        )
    for name, args in (
        ("MaxNorm", (1.0,)), ("MaxNorm", (1.0, 1)), ("NonNeg", ()), ("UnitNorm", (0,)),
        ("MinMaxNorm", (0.5, 1.0, 0.5)),
    ):  # fmt: skip
        expected = np.asarray(getattr(other.constraints, name)(*args)(theirs))
        got = getattr(keras.constraints, name)(*args)(rv.tensor(w))
        np.testing.assert_allclose(got.numpy(), expected, rtol=1e-5, atol=1e-6)


def test_penalties_and_limits_are_their_formulas():
    w = rv.tensor([[3.0, -1.0], [4.0, 0.0]])
    R, C = keras.regularizers, keras.constraints
    assert float(R.L1(0.5)(w)) == 4.0
    assert float(R.get("l2")(w)) == pytest.approx(0.26)
    np.testing.assert_allclose(C.MaxNorm(1.0)(w).numpy(), [[0.6, -1.0], [0.8, 0.0]], atol=1e-6)
    assert C.NonNeg()(w).tolist() == [[3, 0], [4, 0]]
    with pytest.raises(ValueError, match="did you mean 'l2'"):
        R.get("l3")


# --- layers ---------------------------------------------------------------------------------------


def test_dense_has_keras_layout():
    layer = L.Dense(4, activation="relu")
    kernel, bias = np.ones((6, 4), np.float32) * np.arange(4), np.arange(4.0)
    layer.build((None, 6))
    layer.set_weights([kernel, bias])
    np.testing.assert_allclose(
        layer(X).detach().numpy(), np.maximum(X @ kernel + bias, 0), rtol=1e-5
    )
    assert layer.kernel.shape == (6, 4)
    assert layer.count_params() == 28
    assert [v.path for v in layer.weights] == [f"{layer.name}/kernel", f"{layer.name}/bias"]


@pytest.mark.parametrize("kind", ["int64", "uint8", "bool", "float64", "float32"])
def test_arrays_of_any_type_are_taken(kind):
    data = np.array([[0, 1], [1, 1]]).astype(kind)
    assert L.Dense(3)(data).dtype is rv.float32
    assert L.Flatten()(data).dtype is rv.float32


def test_shapes_of_layers():
    x = np.zeros((2, 3, 4), np.float32)
    for layer, shape in (
        (L.Flatten(), (2, 12)),
        (L.Reshape((4, 3)), (2, 4, 3)),
        (L.Reshape((-1, 2)), (2, 6, 2)),
        (L.Permute((2, 1)), (2, 4, 3)),
        (L.Dense(7), (2, 3, 7)),
        (L.Activation("relu"), (2, 3, 4)),
        (L.Lambda(lambda t: t.sum(1)), (2, 4)),
    ):
        assert layer(x).shape == shape
        symbol = keras.KerasTensor((None, 3, 4))
        assert layer.compute_output_shape((None, 3, 4)) == (None, *shape[1:])
        assert layer(symbol).shape == (None, *shape[1:])
    assert L.RepeatVector(5)(np.zeros((2, 4))).shape == (2, 5, 4)


def test_merging():
    a, b = rv.tensor([[1.0, 5.0]]), rv.tensor([[3.0, 2.0]])
    for layer, expected in (
        (L.Add(), [[4, 7]]), (L.Subtract(), [[-2, 3]]), (L.Multiply(), [[3, 10]]),
        (L.Average(), [[2, 3.5]]), (L.Maximum(), [[3, 5]]), (L.Minimum(), [[1, 2]]),
        (L.Concatenate(), [[1, 5, 3, 2]]), (L.Dot(axes=1), [[13]]),
    ):  # fmt: skip
        assert layer([a, b]).tolist() == expected
    assert L.add([a, b]).tolist() == [[4, 7]]
    with pytest.raises(rv.ShapeError, match="one shape"):
        L.Add()([a, rv.ones(1, 3)])
    with pytest.raises(ValueError, match="list of tensors"):
        L.Add()(a)


def test_batch_normalization_follows_its_rows():
    layer = L.BatchNormalization(momentum=0.9)
    x = X.astype(np.float64)
    got = layer(X, training=True)
    mean, var = x.mean(0), x.var(0)
    np.testing.assert_allclose(got.detach().numpy(), (x - mean) / np.sqrt(var + 1e-3), atol=2e-6)
    moving_mean, moving_var = layer.get_weights()[2:]
    np.testing.assert_allclose(moving_mean, 0.1 * mean, atol=1e-7)
    np.testing.assert_allclose(moving_var, 0.9 + 0.1 * var, atol=1e-6)
    expected = (x - moving_mean) / np.sqrt(moving_var + 1e-3)
    np.testing.assert_allclose(layer(X).detach().numpy(), expected, atol=2e-6)
    layer.trainable = False
    np.testing.assert_allclose(layer(X, training=True).detach().numpy(), expected, atol=2e-6)
    assert layer.trainable_weights == []
    assert layer(X[:1], training=True).shape == (1, 6)
    one = L.BatchNormalization()
    assert one(X[:1], training=True).detach().tolist() == [[0.0] * 6]


@pytest.mark.parametrize("axis", [1, 2, -1])
def test_norms_along_other_axes_are_those_of_keras(axis):
    other = real_keras()
    x = np.random.default_rng(0).normal(size=(5, 3, 4)).astype(np.float32)
    names = ["BatchNormalization", "LayerNormalization"][: 1 + (axis == -1)]
    for name in names:  # Keras on PyTorch normalises layers along the last axis only
        theirs, ours = (getattr(m.layers, name)(axis=axis) for m in (other, keras))
        kwargs = {"training": True} if name == "BatchNormalization" else {}
        expected = np.asarray(theirs(x, **kwargs).detach())
        np.testing.assert_allclose(ours(x, **kwargs).detach().numpy(), expected, atol=3e-6)
        for a, b in zip(theirs.get_weights(), ours.get_weights(), strict=True):
            np.testing.assert_allclose(b, a, atol=1e-6)


def test_layer_normalization_is_its_formula():
    x = X.astype(np.float64)
    mean, var = x.mean(1, keepdims=True), x.var(1, keepdims=True)
    got = L.LayerNormalization(epsilon=0.1)(X)
    np.testing.assert_allclose(got.detach().numpy(), (x - mean) / np.sqrt(var + 0.1), atol=2e-6)


def test_dropout_acts_in_training_only():
    layer = L.Dropout(0.25, seed=3)
    x = np.ones((100, 50), np.float32)
    assert layer(x).tolist() == x.tolist()
    kept = layer(x, training=True).numpy()
    assert set(np.unique(kept)) == {0, np.float32(1 / 0.75)}
    assert (kept == 0).mean() == pytest.approx(0.25, abs=0.02)
    rowwise = L.Dropout(0.5, noise_shape=(None, 1))(x, training=True).numpy()
    assert (rowwise == rowwise[:, :1]).all()
    noisy = L.GaussianNoise(0.5)(x, training=True).numpy()
    assert noisy.std() == pytest.approx(0.5, rel=0.1)
    with pytest.raises(ValueError, match="rate"):
        L.Dropout(1.5)


def test_normalization_adapts():
    layer = L.Normalization()
    layer.adapt(X * 3 + 1)
    got = layer(X * 3 + 1).numpy()
    np.testing.assert_allclose(got.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(got.std(0), 1, atol=1e-5)
    again = L.Normalization()
    again.adapt([X[:20] * 3 + 1, X[20:] * 3 + 1])
    np.testing.assert_allclose(again(X).numpy(), layer(X).numpy(), atol=1e-5)
    back = L.Normalization(mean=1.0, variance=4.0, invert=True)
    assert back([[1.0]]).tolist() == [[3.0]]
    assert L.Rescaling(1 / 255, offset=-1)([[255.0]]).tolist() == [[0.0]]


def test_activity_regularization_is_a_mean_over_rows():
    layer = L.Dense(2, use_bias=False, activity_regularizer="l1", kernel_initializer="ones")
    layer(np.ones((5, 3)))
    assert [float(loss) for loss in layer.losses] == [pytest.approx(0.06)]
    layer(np.ones((5, 3)))
    assert len(layer.losses) == 1


def test_own_layers():
    class Scale(L.Layer):
        def __init__(self, factor=2.0, **kwargs):
            super().__init__(**kwargs)
            self.factor = factor

        def build(self, input_shape):
            self.w = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="w")

        def call(self, inputs, training=None):
            return inputs * self.w * (self.factor if training else 1.0)

    layer = Scale(3.0, name="scale")
    assert layer([[1.0, 2.0]]).detach().tolist() == [[1, 2]]
    assert layer([[1.0, 2.0]], training=True).detach().tolist() == [[3, 6]]
    assert layer.built
    assert layer.get_config() == {
        "name": "scale", "trainable": True, "dtype": "float32", "factor": 3.0,
    }  # fmt: skip
    assert Scale.from_config(layer.get_config()).factor == 3.0

    class Block(L.Layer):
        def __init__(self):
            super().__init__()
            self.inside = [L.Dense(2, name="a"), L.Dense(2, name="b")]

        def call(self, inputs):
            for inner in self.inside:
                inputs = inner(inputs)
            return inputs

    block = Block()
    block(X)
    assert len(block.weights) == 4
    assert [name for name, _ in block.named_parameters()] == [
        "a.kernel", "a.bias", "b.kernel", "b.bias",
    ]  # fmt: skip
    block.trainable = False
    assert block.trainable_weights == []
    assert len(block.non_trainable_weights) == 4


def test_configurations_make_equal_layers():
    for layer in (
        L.Dense(3, "relu", kernel_regularizer="l2", name="d"),
        L.BatchNormalization(momentum=0.5),
        L.Dropout(0.3, seed=1),
        L.Concatenate(axis=1),
        L.LeakyReLU(0.1),
    ):
        again = L.deserialize(L.serialize(layer))
        assert again.get_config() == layer.get_config()


def test_errors_name_the_layer():
    layer = L.Dense(3, name="hidden1")
    layer(X)
    with pytest.raises(rv.ShapeError, match="6"):
        layer(X[:, :4])
    for call, match in (
        (lambda: L.Dense(3, actvation="relu"), "did you mean 'activation'"),
        (lambda: L.Dense(3, activation="reluu"), "did you mean 'relu'"),
        (lambda: L.Dense(0), "units"),
        (lambda: L.Dense(3, name="short")(np.zeros(4)), "short"),
        (lambda: L.Reshape((5,), name="bad")(X), "bad"),
        (lambda: layer.set_weights([np.zeros((6, 3))]), "2 arrays"),
        (lambda: layer.set_weights([np.zeros((5, 3)), np.zeros(3)]), "hidden1/kernel"),
    ):
        with pytest.raises(ValueError, match=match):
            call()
    with pytest.raises(AttributeError, match="did you mean 'Dense'"):
        _ = L.Densee

    class Nothing(L.Layer):
        def call(self, inputs):
            inputs * 2

    with pytest.raises(TypeError, match="None"):
        Nothing()(X)


def test_keras_ops_take_arrays_tensors_and_symbols():
    O = keras.ops  # noqa: E741
    assert float(O.mean(X)) == pytest.approx(float(X.mean()), abs=1e-6)
    np.testing.assert_allclose(O.std(X, axis=0).numpy(), X.std(0), rtol=1e-5)
    assert O.sum(rv.ones(2, 3), axis=1, keepdims=True).tolist() == [[3], [3]]
    assert O.one_hot([1, 0], 2).tolist() == [[0, 1], [1, 0]]
    assert O.where(X > 0, 1.0, 0.0).shape == X.shape
    assert O.matmul(np.eye(2, dtype=np.int64), np.ones((2, 2), np.float32)).tolist() == [[1, 1]] * 2
    symbol = keras.Input((3,))
    assert O.concatenate([symbol, O.square(symbol)], axis=-1).shape == (None, 6)
    assert O.max(symbol, axis=-1).shape == (None,)
    with pytest.raises(AttributeError, match="did you mean 'mean'"):
        _ = O.meen
