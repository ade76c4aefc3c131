"""Files of others: called what they are whatever their name, and never opened further than that."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ranvier as rv
from ranvier.io import foreign


def zip_of(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name in names:
            file.writestr(name, b"x" * 10_000)
    return buffer.getvalue()


def npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def npz(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


class Bomb:
    """Its pickle runs a program when it is loaded."""

    def __reduce__(self) -> Any:
        return (exec, ("raise SystemExit('a file ran a program')",))


# What the first bytes are, what the error calls it, and a word of the lines that convert it.
FILES: dict[str, tuple[bytes, str, str]] = {
    "PyTorch": (
        zip_of("archive/data.pkl", "archive/byteorder", "archive/data/0", "archive/version"),
        "a PyTorch file, which holds a pickle",
        "weights_only=True",
    ),
    "PyTorch before 1.6": (
        b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.",
        "a PyTorch file, which holds a pickle",
        "safetensors.torch",
    ),
    "TorchScript": (
        zip_of("ts/data.pkl", "ts/code/__torch__.py", "ts/constants.pkl"),
        "a TorchScript program",
        "torch.jit.load",
    ),
    "Keras": (
        zip_of("metadata.json", "config.json", "model.weights.h5"),
        "a Keras model (.keras)",
        "keras.models.load_model",
    ),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + b"\0" * 50, "an HDF5 file, such as Keras' .h5", "h5py.File"),
    "HDF5 behind a block of the user's": (
        b"\0" * 512 + b"\x89HDF\r\n\x1a\n" + b"\0" * 50,
        "an HDF5 file, such as Keras' .h5",
        "h5py.File",
    ),
    "npz": (npz(a=np.ones(3)), "a zip of NumPy arrays (.npz)", "allow_pickle=False"),
    "npy": (npy(np.ones(3)), "a NumPy array (.npy)", "numpy.load"),
    "ONNX": (b"\x08\x08\x12\x07pytorch\x1a\x032.9:\xf3\x02\n", "an ONNX model", "onnx.load"),
    "ONNX without a producer": (b"\x08\x0a:\x10\x12\x01g\x0a\x0a", "an ONNX model", "onnx.load"),
    "GGUF": (b"GGUF\x03\0\0\0" + b"\0" * 16, "a GGUF file", "dequantize"),
    "pickle of scikit-learn": (
        b"\x80\x04\x95\0\1\0\0\0\0\0\0\x8c+sklearn.neural_network._multilayer_perceptron",
        "a pickle of scikit-learn, which runs a program",
        "joblib.load",
    ),
    **{
        f"pickle {protocol}": (
            pickle.dumps({"a": [1.0]}, protocol),
            "a pickle, which runs a program when it is opened",
            "pickle.load",
        )
        for protocol in range(6)
        if protocol != 1  # it begins with '}': nothing tells it apart
    },
    "pickle of a program": (
        pickle.dumps(Bomb(), 0),
        "a pickle, which runs a program when it is opened",
        "pickle.load",
    ),
    "zlib": (zlib.compress(b"abc"), "something compressed by zlib", "joblib.load"),
    "gzip": (gzip.compress(b"abc"), "a packed file or an archive", ""),
    "tar": (b"a\0" + b"\0" * 255 + b"ustar\x0000", "a packed file or an archive", ""),
    "another zip": (zip_of("a.txt"), "a zip archive", ""),
    "an empty zip": (zip_of(), "a zip archive", ""),
    "TensorFlow Lite": (b"\x1c\0\0\0TFL3\0\0\0\0", "a TensorFlow Lite model", ""),
    "index of parts": (
        json.dumps({"weight_map": {"a": "1.safetensors"}}).encode(),
        "JSON that names the files",
        "weight_map",
    ),
    "JSON": (b'  {"class_name": "Sequential"}', "text in JSON", ""),
    "a page": (b"\xef\xbb\xbf\n<!DOCTYPE html>\n<html>", "a page of the web", ""),
    "Git LFS": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 9\n",
        "a pointer of Git LFS",
        "",
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_called_what_it_is(tmp_path: Path, name: str) -> None:
    content, called, line = FILES[name]
    path = tmp_path / "weights.safetensors"
    path.write_bytes(content)
    for read in (lambda: rv.load(path), lambda: rv.load(io.BytesIO(content))):
        with pytest.raises(ValueError) as caught:
            read()
        text = str(caught.value)
        assert ": expected a safetensors file, got " + called in text
        assert line in text and len(text) < len(str(path)) * 3 + 500
    assert path.read_bytes() == content


def converted(path: Path) -> Any:
    """Runs the lines of the error, and what they wrote."""
    with pytest.raises(ValueError) as caught:
        rv.load(path)
    first, *lines = str(caught.value).splitlines()
    assert first.endswith(":") and all(line.startswith("    ") for line in lines)
    found: dict[str, Any] = {}
    exec("\n".join(line[4:] for line in lines), found)
    new = path.with_suffix(".safetensors")
    return rv.load(new) if new.exists() else found["weights"]


def test_the_lines_convert(tmp_path: Path) -> None:
    """Those that need nothing but NumPy."""
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    contents = {
        "it's.npz": npz(a=array),
        "b.npy": npy(array),
        "c.pkl": pickle.dumps({"a": array}),
    }
    for name, content in contents.items():
        path = tmp_path / name
        path.write_bytes(content)
        back = converted(path)
        assert np.array_equal(next(iter(back.values())).numpy(), array)
    index = {"weight_map": {"a": "1.safetensors", "b": "2.safetensors", "c": "1.safetensors"}}
    rv.save({"a": rv.ones(1), "c": rv.ones(2)}, tmp_path / "1.safetensors")
    rv.save({"b": rv.ones(3)}, tmp_path / "2.safetensors")
    (tmp_path / "model.json").write_text(json.dumps(index))
    assert sorted(converted(tmp_path / "model.json")) == ["a", "b", "c"]


def test_damaged_safetensors_stay_that(tmp_path: Path) -> None:
    """Lengths of headers are first bytes too: those of an ONNX model, a zip, zlib."""
    for length in (0x0808, 0x1208, 0x9C78, 0x4B50, 0x8B1F):
        content = struct.pack("<Q", length) + b"{" + b" " * (length - 1) + b"left over"
        assert foreign.in_bytes(content) is None
        with pytest.raises(ValueError, match="damaged, cut short or not safetensors"):
            rv.load(io.BytesIO(content))


def test_only_files_are_looked_at(tmp_path: Path) -> None:
    assert foreign.in_file(tmp_path) is None
    assert foreign.in_file(tmp_path / "none") is None
    assert foreign.in_file("/dev/zero") is None


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([content for content, _, _ in FILES.values()]),
    st.binary(max_size=40),
    st.integers(0, 600),
)
def test_any_bytes(content: bytes, other: bytes, length: int) -> None:
    """Beginnings cut short and mixed up: some kind, or none."""
    for data in (content[:length] + other, other + content[:length], content[-length:]):
        kind = foreign.in_bytes(data)
        assert kind is None or foreign.message("x.bin", kind).startswith("[load] x.bin: expected")
