"""Programs as tutorials write them, with their import lines changed and nothing else."""

from __future__ import annotations

import os

import numpy as np
import pytest

from ranvier import keras

X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
Y = np.array([[0], [1], [1], [0]])

no_data = pytest.mark.skipif("RANVIER_DATA" not in os.environ, reason="RANVIER_DATA is not set")


def xor(optimizer, seed):
    """The loss after 3,000 epochs of four rows."""
    from ranvier.keras.layers import Dense
    from ranvier.keras.models import Sequential

    keras.utils.set_random_seed(seed)
    model = Sequential()
    model.add(Dense(4, input_dim=2, activation="sigmoid"))
    model.add(Dense(1, activation="sigmoid"))
    model.compile(optimizer=optimizer, loss="mse")
    model.fit(X, Y, epochs=3000, verbose=0)
    return model.evaluate(X, Y, verbose=0)


def test_xor_stays_at_a_quarter_with_a_small_learning_rate():
    assert xor("sgd", 0) == pytest.approx(0.25, abs=0.005)


@pytest.mark.parametrize("seed", range(3))
def test_xor_is_learned_with_a_large_one(seed):
    assert xor(keras.optimizers.SGD(2.0), seed) < 0.005


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3, 20))
def test_xor_is_learned_from_every_seed(seed):
    assert xor(keras.optimizers.SGD(2.0), seed) < 0.005


def test_a_tutorial_by_tensorflows_name():
    import ranvier as tf

    tf.random.set_seed(0)
    model = tf.keras.models.Sequential(
        [
            tf.keras.layers.Flatten(input_shape=(4, 4)),
            tf.keras.layers.Dense(16, activation="relu"),
            tf.keras.layers.Dropout(0.2),
            tf.keras.layers.Dense(2),
        ]
    )
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (200, 4, 4)).astype(np.uint8)
    y = (x[:, 0, 0] > 127).astype(np.uint8)
    x = x / 255.0
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer="adam", loss=loss, metrics=["accuracy"])
    model.fit(x, y, epochs=60, verbose=0)
    assert model.evaluate(x, y, verbose=2)[1] > 0.9
    shares = tf.keras.Sequential([model, tf.keras.layers.Softmax()])
    np.testing.assert_allclose(shares(x[:5]).detach().numpy().sum(1), 1.0, rtol=1e-5)


@pytest.mark.slow
@no_data
def test_the_mnist_quickstart():
    import ranvier as tf

    tf.keras.utils.set_random_seed(0)
    mnist = tf.keras.datasets.mnist
    (x_train, y_train), (x_test, y_test) = mnist.load_data()
    x_train, x_test = x_train / 255.0, x_test / 255.0
    model = tf.keras.models.Sequential(
        [
            tf.keras.layers.Flatten(input_shape=(28, 28)),
            tf.keras.layers.Dense(128, activation="relu"),
            tf.keras.layers.Dropout(0.2),
            tf.keras.layers.Dense(10),
        ]
    )
    loss_fn = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer="adam", loss=loss_fn, metrics=["accuracy"])
    model.fit(x_train, y_train, epochs=5, verbose=0)
    assert model.evaluate(x_test, y_test, verbose=2)[1] >= 0.975


@pytest.mark.slow
@no_data
def test_the_mnist_example_of_keras():
    # keras-team/keras, examples/mnist_mlp.py: 98.40 % after 20 epochs; median of three seeds.
    shares = []
    (x_train, y_train), (x_test, y_test) = keras.datasets.mnist.load_data()
    x_train = x_train.reshape(60000, 784).astype("float32") / 255
    x_test = x_test.reshape(10000, 784).astype("float32") / 255
    y_train = keras.utils.to_categorical(y_train, 10)
    y_test = keras.utils.to_categorical(y_test, 10)
    for seed in range(3):
        keras.utils.set_random_seed(seed)
        model = keras.models.Sequential()
        model.add(keras.layers.Dense(512, activation="relu", input_shape=(784,)))
        model.add(keras.layers.Dropout(0.2))
        model.add(keras.layers.Dense(512, activation="relu"))
        model.add(keras.layers.Dropout(0.2))
        model.add(keras.layers.Dense(10, activation="softmax"))
        optimizer = keras.optimizers.RMSprop()
        model.compile(optimizer, loss="categorical_crossentropy", metrics=["accuracy"])
        model.fit(x_train, y_train, batch_size=128, epochs=20, verbose=0)
        shares.append(model.evaluate(x_test, y_test, verbose=0)[1])
    assert sorted(shares)[1] >= 0.982, shares
