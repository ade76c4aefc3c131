"""Around the files of Keras' door: weights alone, other readers, copies, what is known."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras_files_setup as setup
import numpy as np
import pytest
from keras_files_setup import assert_same, bits, branched, predicted

import ranvier as rv
from ranvier import keras
from ranvier.io import tensors

L = keras.layers

path = setup.path  # a fixture
LAYERS, Net, Scale, X, Y = setup.LAYERS, setup.Net, setup.Scale, setup.X, setup.Y


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


def test_models_as_text() -> None:
    model, data = branched()
    again = keras.models.model_from_json(model.to_json())
    again.set_weights(model.get_weights())
    assert predicted(again, data) == predicted(model, data)
    chain = keras.Sequential([keras.Input((6,)), L.Rescaling(np.arange(6.0)), Scale(2)])
    text = chain.to_json(indent=1)
    with pytest.raises(ValueError, match=r"\[model_from_json\] .*got Scale, of your own"):
        keras.models.model_from_json(text)
    twin = keras.models.model_from_json(text, {"Scale": Scale})
    twin.set_weights(chain.get_weights())
    assert predicted(twin) == predicted(chain)
    for bad in (
        "",
        "[]",
        "{}",
        '{"model": 1, "tensors": {}}',
        '{"model": {}, "tensors": {"a": 1}}',
    ):
        with pytest.raises(ValueError, match=r"\[model_from_json\] expected what to_json gives"):
            keras.models.model_from_json(bad)


def test_configurations_of_graphs() -> None:
    model, data = branched()
    again = keras.Model.from_config(model.get_config())
    again.set_weights(model.get_weights())
    assert predicted(again, data) == predicted(model, data)
    assert again.get_layer("inner") is not model.get_layer("inner")
