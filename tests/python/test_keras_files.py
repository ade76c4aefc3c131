"""Whole models of Keras' door in files: what is loaded predicts and trains with the same bits."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier import keras
from ranvier.io import tensors

L = keras.layers
RNG = np.random.default_rng(0)
X = RNG.normal(size=(48, 6)).astype(np.float32)
Y = (X[:, :1] * 2 - X[:, 1:2]).astype(np.float32)
LABELS = (X[:, 0] > 0).astype(np.int64) + (X[:, 1] > 0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.keras"


@pytest.fixture(autouse=True)
def names() -> Any:
    """What tests register is forgotten."""
    before = dict(keras.saving.get_custom_objects())
    yield
    keras.saving.get_custom_objects().clear()
    keras.saving.get_custom_objects().update(before)


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


# --- every layer ----------------------------------------------------------------------------------


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


@pytest.mark.filterwarnings("ignore:.fit. model. steps run as Python code")
@pytest.mark.parametrize("name", LAYERS)
def test_every_layer(name: str, path: Path) -> None:
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((6,)), LAYERS[name](), L.Flatten(), L.Dense(1)])
    model.compile("adam", "mse")
    model.fit(X, Y, epochs=1, verbose=0)
    again = assert_same(model, path)
    for one in (model, again):
        keras.utils.set_random_seed(5)
        one.fit(X, Y, epochs=1, verbose=0)
    assert bits(again.get_weights()) == bits(model.get_weights())


@pytest.mark.parametrize("name", MERGED)
def test_every_layer_of_several(name: str, path: Path) -> None:
    one, two = keras.Input((6,)), keras.Input((6,))
    model = keras.Model([one, two], MERGED[name]()([one, L.Dense(6)(two)]))
    assert_same(model, path, [X, X[::-1].copy()])


def test_no_layer_is_left_out() -> None:
    tried = {name.partition(" ")[0] for name in (*LAYERS, *MERGED)} | {"Layer", "InputLayer"}
    kinds = {n for n in L.__all__ if isinstance(getattr(L, n), type)}
    assert kinds <= tried


# --- models ---------------------------------------------------------------------------------------


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


def test_a_graph(path: Path) -> None:
    model, data = branched()
    model.get_layer("shared").trainable = False
    model.compile(
        keras.optimizers.SGD(0.1, momentum=0.9), {"out": "mse", "inner": "mae"},
        loss_weights={"out": 2.0}, metrics={"out": ["mae"]},
    )  # fmt: skip
    model.fit(data, {"out": Y @ [[1, 2]], "inner": X[:, :3]}, epochs=1, verbose=0)
    again = assert_same(model, path, data)
    assert again.input_names == ["a", "b"] and again.output_names == model.output_names
    assert again.get_layer("shared") is again.layers[model.layers.index(model.get_layer("shared"))]
    lines: list[str] = []
    for one in (model, again):
        one.summary(print_fn=lines.append)
    assert lines[0] == lines[1]
    for one in (model, again):
        keras.utils.set_random_seed(2)
        one.fit(data, {"out": Y @ [[1, 2]], "inner": X[:, :3]}, epochs=2, verbose=0)
    assert bits(again.get_weights()) == bits(model.get_weights())


def test_layers_that_occur_twice(path: Path) -> None:
    layer = L.Dense(6, "relu")
    model = keras.Sequential([keras.Input((6,)), layer, L.Dense(6), layer])
    again = assert_same(model, path)
    assert again.layers[0] is again.layers[2] and len(again.weights) == 4
    encoder = keras.Sequential([keras.Input((6,)), L.Dense(2)], name="encoder")
    decoder = keras.Sequential([keras.Input((2,)), L.Dense(6)], name="decoder")
    inputs = keras.Input((6,))
    both = keras.Model(inputs, [decoder(encoder(inputs)), encoder(inputs)])
    again = assert_same(both, path)
    assert len(again.weights) == 4


def test_the_middle_of_a_model(path: Path) -> None:
    model, _ = branched()
    hidden = model.get_layer("shared").output
    part = keras.Model(hidden, model.get_layer("inner")(hidden))
    assert_same(part, path, X[:, :5])


def test_models_that_are_not_built(path: Path) -> None:
    model = keras.Sequential([L.Dense(3), L.Dense(1)])
    model.save(path)
    again = keras.models.load_model(path)
    assert not again.built and again.predict(X, verbose=0).shape == (48, 1)
    inner = keras.Sequential([L.Dense(3), keras.Sequential([L.Dense(1)])])
    inner.build((None, 6))
    assert_same(inner, path)


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
def test_other_dtypes(dtype: str, path: Path) -> None:
    model = keras.Sequential([keras.Input((6,)), L.Dense(4, "relu", dtype=dtype),
                              L.Dense(2, dtype=dtype)])  # fmt: skip
    model.save(path)
    again = keras.models.load_model(path)
    assert again.layers[0].dtype == dtype and again.layers[1].kernel.dtype.name == dtype
    x = rv.tensor(X)
    assert rv.equal(again(x).float(), model(x).float()) and again(x).dtype.name == dtype
    assert predicted(again) == predicted(model)
    assert bits(again.get_weights()) == bits(model.get_weights())
    again.save(path.with_name("again"))
    assert path.with_name("again").read_bytes() == path.read_bytes()


def test_without_python_of_the_model(path: Path) -> None:
    model, data = branched()
    model.save(path)
    np.savez(path.with_name("data.npz"), **data)
    code = (
        "import sys, numpy as np\nfrom ranvier import keras\n"
        "model = keras.models.load_model(sys.argv[1])\n"
        "data = dict(np.load(sys.argv[2]))\n"
        "print([part.tobytes().hex() for part in model.predict(data, verbose=0)])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path), str(path.with_name("data.npz"))],
        env={"PYTHONPATH": str(Path(rv.__file__).parent.parent)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    wanted = [part.tobytes().hex() for part in model.predict(data, verbose=0)]
    assert done.stdout.strip() == str(wanted)


# --- what compile was given -----------------------------------------------------------------------

OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "SGD": lambda: keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True),
    "Adam": lambda: keras.optimizers.Adam(
        keras.optimizers.schedules.ExponentialDecay(0.01, 3, 0.9), amsgrad=True
    ),
    "AdamW": lambda: keras.optimizers.AdamW(0.01, weight_decay=0.1, clipnorm=1.0),
    "RMSprop": lambda: keras.optimizers.RMSprop(0.01, momentum=0.5, centered=True),
    "Adagrad": lambda: keras.optimizers.Adagrad(0.05),
    "Adadelta": lambda: keras.optimizers.Adadelta(0.5),
    "Adamax": lambda: keras.optimizers.Adamax(0.01, global_clipnorm=0.5),
    "Nadam": lambda: keras.optimizers.Nadam(0.01),
    "Ftrl": lambda: keras.optimizers.Ftrl(0.1, l1_regularization_strength=0.01),
    "Lion": lambda: keras.optimizers.Lion(0.01, clipvalue=0.5),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_goes_on(name: str, path: Path) -> None:
    def made() -> Any:
        keras.utils.set_random_seed(3)
        model = keras.Sequential(
            [keras.Input((6,)), L.Dense(8, "relu"), L.BatchNormalization(), L.Dropout(0.2, seed=7),
             L.Dense(1)]
        )  # fmt: skip
        optimizer = OPTIMIZERS[name]()
        if name == "AdamW":
            optimizer.exclude_from_weight_decay([model.layers[0].kernel], ["bias"])
        model.compile(optimizer, "mse", metrics=["mae"])
        return model

    whole = made()
    whole.fit(X, Y, epochs=2, batch_size=16, verbose=0)
    keras.utils.set_random_seed(4)
    rest = whole.fit(X, Y, epochs=2, batch_size=16, verbose=0).history
    begun = made()
    begun.fit(X, Y, epochs=2, batch_size=16, verbose=0)
    begun.save(path)
    again = keras.models.load_model(path)
    keras.utils.set_random_seed(4)
    assert again.fit(X, Y, epochs=2, batch_size=16, verbose=0).history == rest
    assert bits(again.get_weights()) == bits(whole.get_weights())
    assert int(again.optimizer.iterations) == 12
    found = [{**m.optimizer.get_config(), "name": None} for m in (again, whole)]
    assert found[0] == found[1]


def test_losses_and_metrics(path: Path) -> None:
    losses = [
        "mse", keras.losses.Huber(0.5), keras.losses.mean_absolute_error,
        keras.losses.CosineSimilarity(axis=-1, reduction="sum"), keras.losses.LogCosh(name="lc"),
    ]  # fmt: skip
    for loss in losses:
        model = keras.Sequential([keras.Input((6,)), L.Dense(1)])
        model.compile("sgd", loss, metrics=["mae", keras.metrics.RootMeanSquaredError(name="r")],
                      weighted_metrics=[keras.metrics.R2Score()])  # fmt: skip
        again = assert_same(model, path)
        given = X, Y, np.linspace(0, 1, 48, dtype=np.float32)
        found = [
            m.evaluate(*given[:2], sample_weight=given[2], return_dict=True, verbose=0)
            for m in (model, again)
        ]
        assert found[0] == found[1]
    labels = [
        keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=2),
        keras.losses.SparseCategoricalCrossentropy(True, reduction="sum"),
    ]
    for loss in labels:
        model = keras.Sequential([keras.Input((6,)), L.Dense(3)])
        model.compile("sgd", loss, metrics=["accuracy"])
        again = assert_same(model, path)
        assert again.evaluate(X, LABELS, verbose=0) == model.evaluate(X, LABELS, verbose=0)


@pytest.mark.parametrize(
    "name", [n for n in keras.metrics.__all__ if isinstance(getattr(keras.metrics, n), type)]
)
def test_configurations_of_metrics_are_whole(name: str) -> None:
    kind = getattr(keras.metrics, name)
    given: dict[str, Any] = {
        "AUC": {"num_thresholds": 5, "curve": "PR", "from_logits": True},
        "Precision": {"thresholds": [0.2, 0.5], "class_id": 1},
        "TruePositives": {"thresholds": 0.3},
        "FBetaScore": {"beta": 2.0, "average": "macro"},
        "CosineSimilarity": {"axis": 1},
        "MeanMetricWrapper": {"fn": keras.losses.mean_squared_error},
    }.get(name, {})
    if name == "Metric":
        return
    from ranvier.keras._files.values import decoded, described

    metric = kind(**given)
    told = described(metric)
    assert described(decoded(told)) == told
    for key, value in given.items():
        assert key == "fn" or told["config"][key] == value


def test_compile_may_be_left_out(path: Path) -> None:
    model = keras.Sequential([keras.Input((6,)), L.Dense(1)])
    model.compile("adam", "mse")
    model.fit(X, Y, verbose=0)
    model.save(path)
    assert not keras.models.load_model(path, compile=False).compiled
    model.save(path, include_optimizer=False)
    assert not keras.models.load_model(path).compiled
    model.compile("adam", lambda a, b: a - b)
    with pytest.warns(rv.RanvierWarning, match=r"what compile was given: loss: .* without a name"):
        model.save(path)
    assert not keras.models.load_model(path).compiled


# --- code of one's own ----------------------------------------------------------------------------


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


# --- around it ------------------------------------------------------------------------------------


def test_rv_save_and_load_are_the_same(path: Path) -> None:
    model, data = branched()
    model.compile("adam", "mse")
    rv.save(model, path, labels=["yes", "no"])
    again = rv.load(path)
    assert (
        type(again) is keras.Model
        and again.compiled
        and predicted(again, data) == predicted(model, data)
    )
    assert rv.io.about(again).labels == ("yes", "no")
    state = rv.io.state_of(path)
    assert list(model.state_dict()) == sorted(state, key=list(model.state_dict()).index)
    other, _ = branched()
    other.load_weights(path)
    assert predicted(other, data) == predicted(model, data)
    layer = L.Dense(3)
    layer(X)
    rv.save(layer, path)
    assert rv.equal(rv.load(path)(X), layer(X))


def test_weights_of_whole_files_go_by_their_place(path: Path) -> None:
    model = keras.Sequential([keras.Input((6,)), L.BatchNormalization(), L.Dense(2), L.Dense(1)])
    model.save(path)
    other = keras.Sequential([keras.Input((6,)), L.BatchNormalization(), L.Dense(2), L.Dense(1)])
    other.load_weights(path)
    assert bits(other.get_weights()) == bits(model.get_weights())
    model.save_weights(path)
    with pytest.raises(ValueError, match="got a file of weights alone"):
        keras.models.load_model(path)
    rv.save(rv.nn.Linear(1, 1), path)
    with pytest.raises(ValueError, match=r"got one of ranvier\.nn; rv.load"):
        keras.models.load_model(path)


def test_no_random_number_is_drawn(path: Path) -> None:
    keras.Sequential([keras.Input((6,)), L.Dense(3), Scale(2)]).save(path)
    state = rv.get_rng_state()
    keras.models.load_model(path, custom_objects={"Scale": Scale})
    assert rv.equal(rv.get_rng_state(), state)


def test_any_reader_of_safetensors_opens_it(path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.numpy")
    model = keras.Sequential([keras.Input((6,)), L.Dense(3, name="d")])
    model.save(path)
    found = safetensors.load_file(path)
    assert bits(found["d.kernel"]) == bits(model.layers[0].kernel.numpy(force=True))


def test_show(path: Path) -> None:
    model, _ = branched()
    model.compile(keras.optimizers.Adam(0.01), "mse", metrics=["mae"])
    model.save(path)
    done = subprocess.run(
        [sys.executable, "-m", "ranvier", "show", str(path)],
        env={"PYTHONPATH": str(Path(rv.__file__).parent.parent), "COLUMNS": "120"},
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "shared" in done and "Dense(units=5, activation='tanh')" in done
    assert "(None, 5)" in done and f"Parameters: {model.count_params():,}" in done
    assert "Compiled: Adam learning rate 0.01, 0 steps, loss 'mse', metrics 'mae'" in done


def test_files_that_are_there(path: Path) -> None:
    model = keras.Sequential([keras.Input((6,)), L.Dense(1)])
    for name in ("a.keras", "a.h5", "a.weights.h5", "a"):
        model.save(path.with_name(name))
        assert predicted(keras.models.load_model(path.with_name(name))) == predicted(model)
    with pytest.raises(FileExistsError):
        keras.saving.save_model(model, path.with_name("a"), overwrite=False)
    with pytest.raises(OSError):
        model.save("/dev/full")
    with pytest.raises(ValueError, match="expected arguments out of"):
        model.save(path, zip=True)


# --- copies ---------------------------------------------------------------------------------------


def copies(model: Any) -> dict[str, Any]:
    import io

    found = {"deepcopy": copy.deepcopy(model), "pickle": pickle.loads(pickle.dumps(model))}
    joblib = pytest.importorskip("joblib")
    file = io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    return {**found, "joblib": joblib.load(file)}


@pytest.mark.filterwarnings("ignore:.fit. model. steps run as Python code")
@pytest.mark.parametrize("name", [n for n in LAYERS if n != "Lambda"])
def test_copies_of_every_layer(name: str) -> None:
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((6,)), LAYERS[name](), L.Flatten(), L.Dense(1)])
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(X, Y, epochs=1, verbose=0)
    made = {**copies(model), "itself": model}
    wanted = predicted(model)
    for how, one in made.items():
        assert predicted(one) == wanted, how
        paths = [(w.path, w.dtype, w.requires_grad, w.wanted) for w in one.weights]
        assert paths == [(w.path, w.dtype, w.requires_grad, w.wanted) for w in model.weights]
        for mine, other in zip(one.weights, model.weights, strict=True):
            assert (mine.regularizer is None) == (other.regularizer is None)
            assert (mine.constraint is None) == (other.constraint is None)
            assert mine is not other or how == "itself"
    for one in made.values():
        keras.utils.set_random_seed(2)
        one.fit(X, Y, epochs=1, verbose=0)
    for how, one in made.items():
        assert bits(one.get_weights()) == bits(model.get_weights()), how


def test_copies_of_subclasses() -> None:
    model = Net(4)
    model.compile("adam", "mse")
    model.fit(X, Y, verbose=0)
    for how, one in copies(model).items():
        assert predicted(one) == predicted(model), how
        assert rv.io.about(one).input == ((6,), "float32")


def test_copies_train_and_predict_alike() -> None:
    model, data = branched()
    model.compile("adam", ["mse", "mae"], metrics=[["mae"], ["mse"]])
    answers = [Y @ [[1, 2]], X[:, :3]]
    model.fit(data, answers, verbose=0)
    made = {**copies(model), "itself": model}
    for one in made.values():
        keras.utils.set_random_seed(1)
        one.fit(data, answers, epochs=2, verbose=0)
    wanted = predicted(model, data)
    for name, one in made.items():
        assert predicted(one, data) == wanted, name
        assert len(one.weights) == len(model.weights)


# --- weights of others, and what is known of a model ----------------------------------------------


def test_weights_by_the_names_of_others(path: Path) -> None:
    def made() -> Any:
        layers = [L.Dense(3, name="b"), L.BatchNormalization(name="a"), L.Dense(1, name="c")]
        return keras.Sequential([keras.Input((6,)), *layers])

    model, other = made(), made()
    numbered = {f"{i:03d}/x/{v.path}": v.detach() for i, v in enumerate(model.weights)}
    by_path = {v.path: v.detach() for v in model.weights}
    for state in (numbered, by_path, model.state_dict()):
        other.set_weights([w * 0 for w in other.get_weights()])
        tensors.write(path, state, {})
        other.load_weights(path)
        assert bits(other.get_weights()) == bits(model.get_weights())
    tensors.write(path, {f"w{i}": v.detach() for i, v in enumerate(model.weights)}, {})
    with pytest.raises(ValueError, match="expected the names of its weights, such as 'b/kernel'"):
        other.load_weights(path)
    many = keras.Sequential([keras.Input((1,)), *[L.Dense(1) for _ in range(600)]])
    for i, weight in enumerate(many.weights):
        weight.assign(np.full(weight.shape, i))
    wanted = bits(many.get_weights())
    many.save_weights(path)
    many.set_weights([w * 0 for w in many.get_weights()])
    many.load_weights(path)
    assert bits(many.get_weights()) == wanted


def test_files_of_keras_itself(path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(path, "w") as archive:
        for name in ("metadata.json", "config.json", "model.weights.h5"):
            archive.writestr(name, "{}")
    with pytest.raises(ValueError, match=r"(?s)a Keras model \(\.keras\); convert .*load_weights"):
        keras.models.load_model(path)


def test_fit_notes_rows_and_training() -> None:
    model = Net(3)
    model.compile("adam", ["mse"], metrics=["mae"])
    model.fit(X, Y, epochs=2, verbose=0)
    about = rv.io.about(model)
    assert about.input == ((6,), "float32") and about.training is not None
    told = {key: about.training[key] for key in ("loss", "optimizer", "lr", "batch_size", "epochs")}
    assert told == {"loss": "mse", "optimizer": "Adam", "lr": 0.001, "batch_size": 32, "epochs": 2}
    assert set(about.training["history"]) == {"loss", "mae"}
    two, data = branched()
    two.compile("adam", "mse")
    two.fit(data, [Y @ [[1, 2]], X[:, :3]], verbose=0)
    assert rv.io.about(two).input is None
    loaded = rv.utils.data.TensorDataset(rv.from_numpy(X), rv.from_numpy(Y))
    loader = rv.utils.data.DataLoader(loaded, batch_size=8)
    other = Net(3)
    other.compile("adam", "mse")
    other.fit(loader, verbose=0)
    assert rv.io.about(other).input == ((6,), "float32")


def test_rv_fit_notes_the_rows_of_loaders(path: Path) -> None:
    class Rows(rv.utils.data.Dataset):
        def __len__(self) -> int:
            return 20

        def __getitem__(self, i: int) -> Any:
            return X[i].astype(np.float64), Y[i]

    for data in (Rows(), rv.utils.data.DataLoader(Rows(), batch_size=4)):
        net = rv.nn.Linear(6, 1)
        rv.fit(net, data, loss="mse", epochs=1, verbose=0)
        assert rv.io.about(net).input == ((6,), "float32")
        rv.save(net, path)
        assert rv.io.about(rv.load(path)).input == ((6,), "float32")


def test_layers_are_not_converted() -> None:
    model = keras.Sequential([keras.Input((6,)), L.Dense(1)])
    with pytest.raises(TypeError, match="made with dtype='bfloat16'"):
        model.bfloat16()


def test_weights_that_somebody_has_exchanged(path: Path) -> None:
    model = keras.Sequential([keras.Input((6,)), L.Dense(6, name="a"), L.Dense(6, name="b")])
    model.get_layer("b").kernel = model.get_layer("a").kernel
    with pytest.warns(rv.RanvierWarning, match=r"b \(Dense\): another weight stands in the place"):
        model.save(path)
    assert rv.predict(rv.load(path), X).numpy().tobytes() == model.predict(X, verbose=0).tobytes()
    dots = keras.Sequential([keras.Input((6,)), L.Dense(2, name="a.b"), L.Dense(1, name="x/y z")])
    assert_same(dots, path)


def test_saving_draws_no_random_number(path: Path) -> None:
    class Noisy(L.Layer):
        def call(self, x: Any) -> Any:
            return x + keras.random.normal(x.shape)

    model = keras.Sequential([keras.Input((6,)), Noisy(), L.Dense(1)])
    state = rv.get_rng_state()
    model.save(path)
    assert rv.equal(rv.get_rng_state(), state)
    with pytest.raises(ValueError, match="got Noisy, of your own"):
        rv.load(path)
    again = keras.models.load_model(path, custom_objects={"Noisy": Noisy})
    keras.utils.set_random_seed(1)
    wanted = predicted(model)
    keras.utils.set_random_seed(1)
    assert predicted(again) == wanted
