"""What the tests of Keras models in files share: models, rows, and what is compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ranvier import keras

L = keras.layers
RNG = np.random.default_rng(0)
X = RNG.normal(size=(48, 6)).astype(np.float32)
Y = (X[:, :1] * 2 - X[:, 1:2]).astype(np.float32)
LABELS = (X[:, 0] > 0).astype(np.int64) + (X[:, 1] > 0)


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """A file; what a test registers with Keras' door is forgotten behind it."""
    known = keras.saving.get_custom_objects()
    before = dict(known)
    yield tmp_path / "model.keras"
    known.clear()
    known.update(before)


def bits(value: Any) -> Any:
    """A nested value with the bytes of its arrays."""
    if isinstance(value, dict):
        return {name: bits(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [bits(part) for part in value]
    array = np.asarray(value)
    return array.shape, array.dtype.str, array.tobytes()


def predicted(model: Any, data: Any = X) -> Any:
    return bits(model.predict(data, verbose=0))


def assert_same(model: Any, path: Path, data: Any = X, **given: Any) -> Any:
    """Saves and loads: the same outputs, weights, names, and bytes when it is saved again."""
    model.save(path)
    again = keras.models.load_model(path, **given)
    assert type(again) is type(model)
    assert predicted(again, data) == predicted(model, data)
    assert bits(again.get_weights()) == bits(model.get_weights())
    assert [w.path for w in again.weights] == [w.path for w in model.weights]
    assert [layer.name for layer in again.layers] == [layer.name for layer in model.layers]
    assert [w.requires_grad for w in again.weights] == [w.requires_grad for w in model.weights]
    if not given:
        other = path.with_name("again.keras")
        again.save(other)
        assert other.read_bytes() == path.read_bytes()
    return again


def adapted() -> Any:
    layer = L.Normalization()
    layer.adapt(X)
    return layer


LAYERS: dict[str, Callable[[], Any]] = {
    "Dense": lambda: L.Dense(3, "gelu", kernel_regularizer="l2", bias_constraint="non_neg"),
    "Dense without bias": lambda: L.Dense(3, use_bias=False, kernel_initializer="he_normal"),
    "Dense with a layer": lambda: L.Dense(3, activation=L.LeakyReLU(0.2)),
    "Dense with a layer that learns": lambda: L.Dense(3, activation=L.PReLU("ones")),
    "Activation": lambda: L.Activation("swish"),
    "Identity": L.Identity,
    "Flatten": L.Flatten,
    "Reshape": lambda: L.Reshape((2, -1)),
    "Permute": lambda: keras.Sequential([L.Reshape((2, 3)), L.Permute((2, 1))]),
    "RepeatVector": lambda: L.RepeatVector(2),
    "ReLU": lambda: L.ReLU(1.0, 0.1, 0.2),
    "LeakyReLU": lambda: L.LeakyReLU(0.1),
    "PReLU": lambda: L.PReLU(keras.initializers.Constant(0.3), "l1", shared_axes=[1]),
    "ELU": lambda: L.ELU(0.5),
    "Softmax": lambda: L.Softmax(axis=1),
    "BatchNormalization": lambda: L.BatchNormalization(momentum=0.5, scale=False),
    "LayerNormalization": lambda: L.LayerNormalization(epsilon=0.1, center=False),
    "UnitNormalization": L.UnitNormalization,
    "Normalization": adapted,
    "Normalization given": lambda: L.Normalization(mean=np.arange(6.0), variance=[2.0] * 6),
    "Normalization of one": lambda: L.Normalization(axis=None, mean=1, variance=4, invert=True),
    "Rescaling": lambda: L.Rescaling(1 / 255, offset=np.arange(6, dtype=np.float32)),
    "Dropout": lambda: L.Dropout(0.5, noise_shape=(None, 1), seed=3),
    "GaussianNoise": lambda: L.GaussianNoise(0.1),
    "GaussianDropout": lambda: L.GaussianDropout(0.2, seed=1),
    "ActivityRegularization": lambda: L.ActivityRegularization(0.1, 0.2),
    "Lambda": lambda: L.Lambda(lambda x: x * 2 + keras.ops.sum(x, 1, keepdims=True)),
    "Lambda of keras": lambda: L.Lambda(keras.activations.relu, arguments={"max_value": 1.0}),
}
MERGED = {
    "Add": L.Add, "Subtract": L.Subtract, "Multiply": L.Multiply, "Average": L.Average,
    "Maximum": L.Maximum, "Minimum": L.Minimum, "Concatenate": lambda: L.Concatenate(axis=1),
    "Dot": lambda: L.Dot(1, normalize=True),
}  # fmt: skip


def branched() -> tuple[Any, Any]:
    """Two inputs, two outputs, a shared layer, operations, a model within, one that is shared."""
    a, b = keras.Input((6,), name="a"), keras.Input((4,), name="b")
    shared = L.Dense(5, "tanh", name="shared")
    inner = keras.Sequential([keras.Input((5,)), L.Dense(3), L.BatchNormalization()], name="inner")
    left, right = inner(shared(a)), inner(shared(L.Dense(6)(b)))
    mixed = left * 2.0 - abs(right) / 3 + keras.ops.mean(a, axis=1, keepdims=True)
    mixed = keras.ops.concatenate([mixed, (1 - right)[:, :2], a[..., ::2]], axis=-1)
    model = keras.Model({"a": a, "b": b}, [L.Dense(2, name="out")(mixed), left], name="net")
    return model, {"a": X, "b": X[:, :4]}


def double(x: Any) -> Any:
    return x * 2


class Scale(L.Layer):
    """Arguments of its own, a layer within, a weight in a list."""

    def __init__(self, units: int, activation: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.activation = keras.activations.get(activation)
        self.inside = [L.Dense(units), L.Dense(units, "relu")]

    def build(self, input_shape: Any) -> None:
        self.ws = [self.add_weight((input_shape[-1],), "ones", name=f"w{i}") for i in range(2)]

    def call(self, x: Any, training: Any = None) -> Any:
        x = x * self.ws[0] + self.ws[1]
        for layer in self.inside:
            x = layer(x)
        return self.activation(x)

    def get_config(self) -> Any:
        return {**super().get_config(), "units": self.units,
                "activation": keras.activations.serialize(self.activation)}  # fmt: skip


class Net(keras.Model):
    """A subclass with a configuration by its arguments."""

    def __init__(self, width: int = 4, name: str | None = None) -> None:
        super().__init__(name=name)
        self.hidden = L.Dense(width, "relu")
        self.scale = Scale(3)
        self.out = L.Dense(1)

    def call(self, x: Any) -> Any:
        return self.out(self.scale(self.hidden(x)))
