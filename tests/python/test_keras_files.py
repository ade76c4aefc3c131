"""Whole models of Keras' door in files: what is loaded predicts and trains with the same bits."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras_files_setup as setup
import numpy as np
import pytest
from keras_files_setup import assert_same, bits, branched, predicted

import ranvier as rv
from ranvier import keras

L = keras.layers

path = setup.path  # a fixture
LABELS, LAYERS, MERGED, X, Y = setup.LABELS, setup.LAYERS, setup.MERGED, setup.X, setup.Y


# --- every layer ----------------------------------------------------------------------------------


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
        env={**os.environ, "PYTHONPATH": str(Path(rv.__file__).parent.parent)},
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
