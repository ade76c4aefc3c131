"""Files that releases wrote, loaded for ever after: the same models, values and bits.

What is in `golden/` is never written again; `golden/make.py` says how it came to be. These tests do
not use its functions: what they compare with is in the files, or written here.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier import nn
from ranvier.io import kinds, tensors

GOLDEN = Path(__file__).parent / "golden"
FORMATS = sorted(folder.name for folder in GOLDEN.glob("format*"))


def bits(tensor: Any) -> bytes:
    """The elements of a tensor, row by row."""
    return (
        bytes(tensor.detach().contiguous().view(rv.uint8).numpy())
        if tensor.ndim
        else (tensor.detach().reshape(1).view(rv.uint8).numpy().tobytes())
    )


def assert_same(got: Any, wanted: Any, what: str) -> None:
    """The same bits, which float32 has on every processor with fused multiply-add."""
    assert got.dtype is wanted.dtype and got.shape == wanted.shape, what
    promised = wanted.dtype is rv.float32 and rv.cpu_info()["isa"] != "base"
    if wanted.dtype.is_floating_point and not promised:
        a, b = got.detach().double().numpy(), wanted.double().numpy()
        # Some roundings, in sums of few numbers.
        wide = {rv.bfloat16: 2e-2, rv.float64: 1e-13}.get(wanted.dtype, 1e-5)
        np.testing.assert_allclose(a, b, rtol=wide, atol=wide, err_msg=what)
        return
    assert got.numel() == 0 or bits(got) == bits(wanted), what


def test_every_version_of_the_format_has_its_files() -> None:
    assert [f"format{i}" for i in range(1, kinds.VERSION + 1)] == FORMATS


@pytest.mark.parametrize("name", FORMATS)
def test_golden_files_are_what_they_were(name: str) -> None:
    listed = {}
    for line in (GOLDEN / name / "SHA256SUMS").read_text(encoding="utf-8").splitlines():
        digest, _, file = line.partition("  ")
        listed[file] = digest
    files = {file.name for file in (GOLDEN / name).iterdir()} - {"SHA256SUMS"}
    assert files == set(listed)
    for file, digest in listed.items():
        assert hashlib.sha256((GOLDEN / name / file).read_bytes()).hexdigest() == digest, file


def test_they_are_not_written_again(tmp_path: Path) -> None:
    for name in FORMATS:
        shutil.copytree(GOLDEN / name, tmp_path / "golden" / name)
    shutil.copy(GOLDEN / "make.py", tmp_path / "golden")
    shutil.copy(Path(__file__).parent / "models_table.py", tmp_path)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "golden" / "make.py")],
        env={"PYTHONPATH": str(Path(rv.__file__).parent.parent)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and "never again" in done.stderr
    for name in FORMATS:
        for file in (GOLDEN / name).iterdir():
            assert (tmp_path / "golden" / name / file.name).read_bytes() == file.read_bytes()


@pytest.fixture
def folder() -> Path:
    return GOLDEN / "format1"


def test_a_dense_net_from_raw_rows_to_probabilities(folder: Path) -> None:
    state = rv.get_rng_state()
    net = rv.load(folder / "dense.safetensors")
    assert rv.equal(rv.get_rng_state(), state)
    expected = rv.load(folder / "dense.expected.safetensors")
    assert_same(rv.predict(net, expected["in"]), expected["out"], "whole")
    for i in range(0, 60, 7):
        assert_same(rv.predict(net, expected["in"][i : i + 1]), expected["out"][i : i + 1], "row")
    assert expected["in"].shape == (60, 3) and bool(rv.isnan(expected["in"]).any())
    assert [type(layer).__name__ for layer in net] == [
        "Impute", "OneHot", "Standardize", "Linear", "BatchNorm1d", "ReLU", "Linear", "Dropout",
        "Linear", "GELU", "Linear", "Sigmoid",
    ]  # fmt: skip
    assert net[6] is net[8] and net[7].p == 0.2 and not net.training
    assert [n for n, p in net.named_parameters() if not p.requires_grad] == ["3.bias"]
    about = rv.io.about(net)
    assert about.labels == ("short", "tall") and about.input == ((3,), "float32")
    assert about.training is not None
    assert {name: about.training[name] for name in ("loss", "optimizer", "lr", "epochs")} == {
        "loss": "BCELoss", "optimizer": "Adam", "lr": 0.01, "epochs": 5,
    }  # fmt: skip
    assert set(about.training["history"]) == {"loss", "accuracy", "val_loss", "val_accuracy"}


def test_every_class_of_layers(folder: Path) -> None:
    model = rv.load(folder / "layers.safetensors")
    expected = rv.load(folder / "layers.expected.safetensors")
    with_outputs = {name.partition("/")[0] for name in expected}
    assert len(model) > 80 and len(with_outputs) > 70 and with_outputs <= set(model.keys())
    for name in with_outputs:
        inputs = []
        while f"{name}/in{len(inputs)}" in expected:
            inputs.append(expected[f"{name}/in{len(inputs)}"])
        assert_same(model[name](*inputs), expected[f"{name}/out"], name)


def test_a_class_of_somebodys(folder: Path) -> None:
    own: Any = nn.Module()  # stands for one
    own.encoder, own.decoder = nn.Linear(4, 3), nn.Linear(4, 3)
    own.decoder.weight = own.encoder.weight
    own.scale = nn.Parameter(rv.zeros(3))
    path = folder / "own.safetensors"
    with pytest.raises(ValueError, match=r"got __main__\.Own, which a file cannot make"):
        rv.load(path)
    net = rv.load(path, model=own)
    stored = tensors.read(path)[0]
    assert set(stored) == {"encoder.weight", "encoder.bias", "decoder.bias", "scale"}
    assert net.scale.tolist() == [1, 1, 1] and rv.io.about(net).labels == (1, 2, 3)
    for name, tensor in net.state_dict().items():
        assert_same(tensor, stored[name.replace("decoder.weight", "encoder.weight")], name)


def test_a_model_of_keras(folder: Path) -> None:
    """From raw rows to probabilities; it trains on where it stood."""
    keras = rv.keras
    state = rv.get_rng_state()
    model = keras.models.load_model(folder / "keras.safetensors")
    assert rv.equal(rv.get_rng_state(), state)
    expected = rv.load(folder / "keras.expected.safetensors")
    rows = [expected["rows"].numpy(), expected["bytes"].numpy()]
    found = model.predict(rows, verbose=0)
    for name in ("out", "left"):
        assert_same(rv.tensor(found[name]), expected[f"first/{name}"], name)
    assert model.input_names == ["rows", "bytes"]
    inner = model.get_layer("inner")
    assert [type(layer).__name__ for layer in inner.layers] == [
        "BatchNormalization", "Dropout", "Dense",
    ]  # fmt: skip
    assert [w.path for w in model.get_layer("first").non_trainable_weights] == [
        "first/kernel", "first/bias",
    ]  # fmt: skip
    about = rv.io.about(model)
    assert about.labels == ("a", "b", "c") and about.training is not None
    assert about.training["optimizer"] == "AdamW" and about.training["epochs"] == 2
    assert int(model.optimizer.iterations) == 6
    keras.utils.set_random_seed(9)
    answers = {name: expected[name].numpy() for name in ("out", "left")}
    model.fit(rows, answers, epochs=1, batch_size=16, verbose=0)
    found = model.predict(rows, verbose=0)
    for name in ("out", "left"):
        got, wanted = found[name], expected[f"then/{name}"].numpy()
        if rv.cpu_info()["isa"] != "base":
            assert got.tobytes() == wanted.tobytes(), name
        else:
            # Rounding grows over a few steps, by Adam's division to some thousandths of a step.
            np.testing.assert_allclose(got, wanted, rtol=1e-3, atol=1e-4)


def test_an_estimator(folder: Path) -> None:
    """What it predicts, and what it predicts when it has learned more."""
    net = rv.load(folder / "estimator.safetensors")
    expected = rv.load(folder / "estimator.expected.safetensors")
    assert type(net) is rv.sklearn.MLPClassifier and net.classes_.tolist() == [
        "no", "perhaps", "yes",
    ]  # fmt: skip
    assert net.class_weight == {"no": 1.0, "perhaps": 2.0, "yes": 0.5} and net.n_iter_ == 3
    rows = expected["rows"].numpy()
    assert_same(rv.tensor(net.predict_proba(rows)), expected["first"], "first")
    net.partial_fit(rows, net.classes_[expected["numbers"].numpy()])
    # How steps are rounded may change; Adam makes steps of roundings, where a gradient is nearly 0.
    np.testing.assert_allclose(net.predict_proba(rows), expected["then"].numpy(), atol=5e-3)
    moved = np.abs(expected["then"].numpy() - expected["first"].numpy()).max()
    assert moved > 0.02


def test_every_dtype(folder: Path) -> None:
    state = rv.load(folder / "dtypes.safetensors")
    floats = {"float64": "<f8", "float32": "<f4", "float16": "<f2"}
    special = np.array([0.0, -0.0, 1.5, -2.5, np.inf, -np.inf, np.nan])
    for name, code in floats.items():
        assert state[name].dtype.name == name
        assert bits(state[name]) == special.astype(code).tobytes()
    # bfloat16 is the upper half of float32.
    upper = (special.astype("<f4").view("<u4") >> 16).astype("<u2")
    assert state["bfloat16"].dtype is rv.bfloat16 and bits(state["bfloat16"]) == upper.tobytes()
    for name in ("int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8"):
        info = np.iinfo(name)
        assert state[name].dtype.name == name
        assert state[name].numpy().tolist() == [[info.min, 0, info.max]]
    assert state["bool"].dtype is rv.bool and state["bool"].tolist() == [[True], [False]]
    assert state["scalar"].shape == () and state["scalar"].item() == 2.25
    assert state["empty"].shape == (0, 3)
    assert state["turned"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert state["\u00e4/\n\u4e2d \U0001f9e0"].tolist() == [1] and state[""].tolist() == [0]
    assert len(state) == 18


def test_a_nested_value(folder: Path) -> None:
    value = rv.load(folder / "nested.safetensors")
    state = value.pop("state")
    assert value == {
        "epoch": 7,
        "best": float("inf"),
        "nothing": None,
        "sizes": (784, [10, 2]),
        "done": False,
        "bytes": b"\x00\xff",
        "large": 2**80,
        3: "three",
        "\u00e4": ["\u4e2d", -1.5e-300, {}],
    }
    assert list(value)[-2:] == [3, "\u00e4"] and type(value["done"]) is bool
    assert state["0.weight"].tolist() == [[1, 1], [1, 1]]
    assert state["0.bias"].dtype is rv.float64 and list(state) == ["0.weight", "0.bias"]


def test_files_say_which_format_they_are(folder: Path) -> None:
    for file in folder.glob("*.safetensors"):
        named, metadata = tensors.read(file)
        assert metadata["format"] == "ranvier" and metadata["format_version"] == "1"
        assert metadata["version"] == "0.1.0" and named
