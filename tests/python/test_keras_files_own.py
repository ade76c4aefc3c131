"""Classes and functions of one's own in files of Keras' door: known and unknown ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras_files_setup as setup
import numpy as np
import pytest
from keras_files_setup import assert_same, bits, double, predicted

import ranvier as rv
from ranvier import keras
from ranvier.io import tensors

L = keras.layers

path = setup.path  # a fixture
Net, Scale, X, Y = setup.Net, setup.Scale, setup.X, setup.Y


def test_own_layers_and_functions(path: Path) -> None:
    objects = {"Scale": Scale, "double": double}
    model = keras.Sequential(
        [keras.Input((6,)), L.Dense(6, double), Scale(3, "tanh"), Scale(2), L.Dense(1)]
    )
    model.compile("adam", "mse")
    model.fit(X, Y, verbose=0)
    model.layers[2].ws[1].trainable = False
    again = assert_same(model, path, custom_objects=objects)
    with pytest.raises(ValueError, match=r"got double, Scale, of your own; give custom_objects="):
        raise_of(path)
    keras.saving.register_keras_serializable()(Scale)
    keras.saving.register_keras_serializable("mine", "twice")(double)
    model.save(path)
    assert predicted(keras.models.load_model(path)) == predicted(model)
    assert predicted(rv.load(path)) == predicted(again)


def raise_of(path: Path) -> None:
    """What loading raises where the file has no forward for whoever lacks the code."""
    named, metadata = tensors.read(path)
    description = json.loads(metadata["description"])
    description.pop("forward")
    kept = {n: t for n, t in named.items() if not n.startswith("_ranvier_forward")}
    tensors.write(path, kept, {**metadata, "description": json.dumps(description)})
    keras.models.load_model(path)


def test_a_file_predicts_where_its_classes_are_not_known(path: Path) -> None:
    model = keras.Sequential([keras.Input((6,)), Scale(3), L.Dense(1)])
    model.save(path)
    with pytest.warns(rv.RanvierWarning, match="got Scale, of your own.*only predicts"):
        stored = rv.load(path)
    assert rv.predict(stored, X).numpy().tobytes() == model.predict(X, verbose=0).tobytes()


def test_subclasses(path: Path) -> None:
    model = Net(5)
    model.compile("adam", "mse")
    model.fit(X, Y, epochs=1, verbose=0)
    again = assert_same(model, path, custom_objects={"Net": Net, "Scale": Scale})
    for one in (model, again):
        keras.utils.set_random_seed(1)
        one.fit(X, Y, epochs=2, verbose=0)
    assert bits(again.get_weights()) == bits(model.get_weights())
    assert rv.io.about(again).input == ((6,), "float32")

    class Own(keras.Model):
        """Made of inputs and outputs."""

        def train_step(self, data: Any) -> Any:
            return {"loss": 1.0}

    inputs = keras.Input((6,))
    joined = Own(inputs, L.Dense(1)(inputs))
    assert_same(joined, path, custom_objects={"Own": Own})


def test_models_among_arguments(path: Path) -> None:
    class Pair(keras.Model):
        def __init__(self, encoder: Any, decoder: Any, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.encoder, self.decoder = encoder, decoder

        def call(self, x: Any) -> Any:
            return self.decoder(self.encoder(x))

        def get_config(self) -> Any:
            parts = {"encoder": self.encoder, "decoder": self.decoder}
            return {n: keras.saving.serialize_keras_object(p) for n, p in parts.items()}

        @classmethod
        def from_config(cls, config: Any, custom_objects: Any = None) -> Any:
            return cls(**{n: keras.saving.deserialize_keras_object(p) for n, p in config.items()})

    inputs = keras.Input((6,))
    encoder = keras.Model(inputs, L.Dense(2)(inputs) * 2, name="encoder")
    decoder = keras.Sequential([keras.Input((2,)), L.Dense(6)], name="decoder")
    model = Pair(encoder, decoder)
    model(X)
    assert_same(model, path, custom_objects={"Pair": Pair})


def test_what_cannot_be_described(path: Path) -> None:
    """Nothing is lost: weights and what the model predicts are in the file, and it says so."""

    class Bare(keras.Model):
        def __init__(self, function: Any) -> None:
            super().__init__()
            self.function, self.dense = function, L.Dense(1)

        def call(self, x: Any) -> Any:
            return self.dense(self.function(x))

    model = Bare(lambda x: x + 1)
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)
    with pytest.warns(rv.RanvierWarning, match=r"Bare.*a function without a name; the file holds"):
        model.save(path)
    assert rv.predict(rv.load(path), X).numpy().tobytes() == model.predict(X, verbose=0).tobytes()
    with pytest.raises(ValueError, match=r"\[load_model\] .*rv.load\(path\) gives a model that pr"):
        keras.models.load_model(path)
    other = Bare(lambda x: x + 1)
    other(X)
    other.load_weights(path)
    assert predicted(other) == predicted(model)
    lambdas = keras.Sequential([keras.Input((6,)), L.Lambda(lambda x: x * float(x.sum()))])
    with pytest.warns(rv.RanvierWarning, match=r"lambda.*no name to be found by, and it reads"):
        lambdas.save(path)


# --- what Keras lets one's own classes say of themselves ------------------------------------------


def test_state_of_ones_own(path: Path) -> None:
    class Counting(L.Layer):
        """An array beside its weights, and a build of its own."""

        def __init__(self, size: int, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.size, self.seen = size, np.zeros(3)

        def build(self, input_shape: Any) -> None:
            self.w = self.add_weight((input_shape[-1], self.size), name="w")

        def call(self, x: Any) -> Any:
            return keras.ops.matmul(x, self.w) + float(self.seen.sum())

        def get_build_config(self) -> Any:
            return {"inputs": self.w.shape[0]}

        def build_from_config(self, config: Any) -> None:
            self.build((None, config["inputs"]))

        def save_own_variables(self, store: Any) -> None:
            super().save_own_variables(store)
            store["seen"] = self.seen

        def load_own_variables(self, store: Any) -> None:
            self.seen = np.array(store["seen"])
            super().load_own_variables({k: v for k, v in store.items() if k != "seen"})

    model = keras.Sequential([keras.Input((6,)), Counting(3), L.Dense(1)])
    model.layers[0].seen[1] = 5.0
    again = assert_same(model, path, custom_objects={"Counting": Counting})
    assert again.layers[0].seen.tolist() == [0, 5, 0]


def test_a_compile_of_ones_own(path: Path) -> None:
    class Own(keras.Model):
        def compile(self, best: Any, how: Any) -> None:
            super().compile(best, how)
            self.best, self.how = best, how

        def get_compile_config(self) -> Any:
            return {"best": self.best, "how": self.how}

        def compile_from_config(self, config: Any) -> None:
            found = {k: keras.utils.deserialize_keras_object(v) for k, v in config.items()}
            self.compile(**found)

    inputs = keras.Input((6,))
    model = Own(inputs, L.Dense(1)(inputs))
    model.compile(keras.optimizers.SGD(0.25), keras.losses.Huber(2.0))
    again = assert_same(model, path, custom_objects={"Own": Own})
    assert float(again.optimizer.learning_rate) == 0.25 and again.how.options == {"delta": 2.0}

    class Bare(Own):
        get_compile_config = keras.Model.get_compile_config

    other = Bare(inputs, L.Dense(1)(inputs))
    other.compile("sgd", "mse")
    with pytest.warns(rv.RanvierWarning, match="has a compile of its own, and no get_compile"):
        other.save(path)
