"""Files of others: what they are, by their first bytes, and the lines that convert them.

Nothing is opened but to look at its beginning and its end: no pickle is loaded, nothing is
unpacked, and the name of a file says nothing.
"""

from __future__ import annotations

import os
import re
import stat
from typing import NamedTuple

Path = str | os.PathLike[str]

_HEAD, _TAIL = 4096, 65536


class Kind(NamedTuple):
    """What a file is, what to do about it, and lines of Python that do it."""

    name: str
    advice: str
    lines: str = ""


def in_file(path: Path) -> Kind | None:
    """The kind of a file that is no safetensors file; None where it is none that is known here."""
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            info = os.fstat(file.fileno())
            if not stat.S_ISREG(info.st_mode):
                return None
            head = file.read(_HEAD)
            file.seek(max(info.st_size - _TAIL, 0))
            return _kind(head, file.read(_TAIL))
    except (OSError, ValueError):
        return None


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def in_bytes(data: bytes) -> Kind | None:
    """The same of a file in memory."""
    return _kind(data[:_HEAD], data[-_TAIL:])


def message(name: str, kind: Kind) -> str:
    """The error of a file of another kind, with the lines that convert it."""
    stem = name[: -len(suffix)] if (suffix := os.path.splitext(name)[1]) else name
    lines = kind.lines.format(old=repr(name), new=repr(f"{stem}.safetensors"))
    text = f"[load] {name}: expected a safetensors file, got {kind.name}; {kind.advice}"
    return text + "".join(f"\n    {line}" for line in lines.splitlines())


def _kind(head: bytes, tail: bytes) -> Kind | None:
    if head[4:9] == b"\0\0\0\0{":
        return None  # safetensors, damaged
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zip(head + tail)
    if head.startswith(_OLD_TORCH):
        return TORCH
    if re.match(rb"\x80[\x02-\x05]|\((?:dp|lp)\d*\n|c[a-z_.]+\n\w+\n", head):
        return _pickle(head)
    if _HDF5 in (head[:8], head[512:520], head[1024:1032], head[2048:2056]):
        return HDF5
    for start, kind in _BEGINNINGS.items():
        if head.startswith(start):
            return kind
    if head[257:262] == b"ustar":
        return PACKED
    if head[:2] in _ZLIB:
        return JOBLIB
    if head[4:8] == b"TFL3":
        return TFLITE
    return _text(head) or (ONNX if _is_onnx(head) else None)


def _zip(names: bytes) -> Kind:
    """By the names of what a zip holds, which stand in it as they are."""
    if b"data.pkl" in names:
        return TORCHSCRIPT if b"constants.pkl" in names else TORCH
    if b"model.weights.h5" in names or (b"config.json" in names and b"metadata.json" in names):
        return KERAS
    return NPZ if b".npy" in names else ZIP


def _pickle(head: bytes) -> Kind:
    return SKLEARN if b"sklearn" in head else PICKLE


def _text(head: bytes) -> Kind | None:
    """Text: JSON, a page, a pointer to the file that was meant."""
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"version https://git-lfs"):
        return LFS
    if re.match(rb"(?i)<!doctype html|<html|<\?xml|<head|<body", start):
        return PAGE
    if start[:1] not in (b"{", b"[") or b"\0" in head:
        return None
    return SHARDS if b'"weight_map"' in head else JSON


def _is_onnx(head: bytes) -> bool:
    """Protobuf that begins with a small ir_version, then who made it or the graph."""
    if len(head) < 8 or head[0] != 0x08 or not 1 <= head[1] <= 30:
        return False
    if head[2] == 0x12:  # producer_name
        name = head[4 : 4 + head[3]]
        return name.isascii() and name.decode("ascii").isprintable()
    return head[2] in (0x3A, 0x42) and b"\x12" in head  # graph or opset_import


_SAVE_ARRAYS = "from safetensors.numpy import save_file\n"

TORCH = Kind(
    "a PyTorch file, which holds a pickle",
    "convert it where PyTorch and safetensors are installed:",
    "import torch\n"
    "from safetensors.torch import save_file\n"
    'state = torch.load({old}, map_location="cpu", weights_only=True)  # or a part of it\n'
    "save_file({{k: v.clone().contiguous() for k, v in state.items()}}, {new})",
)
TORCHSCRIPT = Kind(
    "a TorchScript program",
    "take its weights where PyTorch and safetensors are installed:",
    "import torch\n"
    "from safetensors.torch import save_file\n"
    'state = torch.jit.load({old}, map_location="cpu").state_dict()\n'
    "save_file({{k: v.clone().contiguous() for k, v in state.items()}}, {new})",
)
KERAS = Kind(
    "a Keras model (.keras)",
    "convert its weights where Keras and safetensors are installed, and give them to load_weights "
    "of the same model of ranvier.keras:",
    "import keras, numpy\n"
    + _SAVE_ARRAYS
    + "weights = enumerate(keras.models.load_model({old}).weights)\n"
    + 'save_file({{f"{{i:03d}}/{{w.path}}": numpy.array(w) for i, w in weights}}, {new})',
)
HDF5 = Kind(
    "an HDF5 file, such as Keras' .h5",
    "convert its arrays where h5py and safetensors are installed:",
    "import h5py, numpy\n"
    + _SAVE_ARRAYS
    + "arrays = {{}}\n"
    + "with h5py.File({old}) as file:\n"
    + "    file.visititems(lambda name, item: arrays.update({{name: numpy.array(item)}})\n"
    + "                    if isinstance(item, h5py.Dataset) else None)\n"
    + "save_file(arrays, {new})",
)
NPZ = Kind(
    "a zip of NumPy arrays (.npz)",
    "convert it:",
    "import numpy, ranvier as rv\n"
    "with numpy.load({old}, allow_pickle=False) as arrays:\n"
    "    rv.save({{name: rv.tensor(array) for name, array in arrays.items()}}, {new})",
)
NPY = Kind(
    "a NumPy array (.npy)",
    "convert it:",
    "import numpy, ranvier as rv\n"
    'rv.save({{"array": rv.tensor(numpy.load({old}, allow_pickle=False))}}, {new})',
)
ONNX = Kind(
    "an ONNX model",
    "convert its weights where onnx and safetensors are installed:",
    "import onnx\n"
    + _SAVE_ARRAYS
    + "graph = onnx.load({old}).graph\n"
    + "save_file({{t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}}, {new})",
)
GGUF = Kind(
    "a GGUF file",
    "convert it where gguf and safetensors are installed:",
    "from gguf import GGUFReader\n"
    "from gguf.quants import dequantize\n"
    + _SAVE_ARRAYS
    + "tensors = GGUFReader({old}).tensors\n"
    + "save_file({{t.name: dequantize(t.data, t.tensor_type) for t in tensors}}, {new})",
)
SKLEARN = Kind(
    "a pickle of scikit-learn, which runs a program when it is opened",
    "if you trust who wrote it, take the arrays out of it where scikit-learn is installed:",
    "import joblib, ranvier as rv\n"
    "model = joblib.load({old})\n"
    "layers = enumerate(zip(model.coefs_, model.intercepts_))  # of an MLP\n"
    'rv.save({{f"{{i}}.{{part}}": rv.tensor(array) for i, both in layers\n'
    '         for part, array in zip(("weight", "bias"), both)}}, {new})',
)
PICKLE = Kind(
    "a pickle, which runs a program when it is opened",
    "if you trust who wrote it, take the arrays out of it:",
    "import pickle, ranvier as rv\n"
    'with open({old}, "rb") as file:\n'
    "    arrays = pickle.load(file)\n"
    "rv.save({{name: rv.tensor(array) for name, array in arrays.items()}}, {new})",
)
JOBLIB = Kind(
    "something compressed by zlib, such as joblib's pickles, which run programs when opened",
    "if you trust who wrote it, take the arrays out of it:",
    "import joblib, ranvier as rv\n"
    "arrays = joblib.load({old})\n"
    "rv.save({{name: rv.tensor(array) for name, array in arrays.items()}}, {new})",
)
ZIP = Kind("a zip archive", "unpack it first: python -m zipfile -e FILE FOLDER")
PACKED = Kind("a packed file or an archive", "unpack it first, and load what is in it")
TFLITE = Kind("a TensorFlow Lite model", "convert the Keras model that it was made from")
SHARDS = Kind(
    "JSON that names the files in which a model's weights are",
    "load the files that it names, and put the dictionaries together:",
    "import json, os, ranvier as rv\n"
    "with open({old}) as file:\n"
    '    parts = set(json.load(file)["weight_map"].values())\n'
    "folder, weights = os.path.dirname({old}), {{}}\n"
    "for part in parts:\n"
    "    weights.update(rv.load(os.path.join(folder, part)))",
)
JSON = Kind("text in JSON", "the weights are in another file beside it")
PAGE = Kind(
    "a page of the web (HTML or XML)",
    "the download brought a page in place of the file: take the address of the file itself, or "
    "log in first",
)
LFS = Kind(
    "a pointer of Git LFS, which stands for the file",
    "fetch the file itself: git lfs pull",
)

_HDF5 = b"\x89HDF\r\n\x1a\n"
_OLD_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # a pickled number, before version 1.6
_ZLIB = (b"x\x01", b"x\x5e", b"x\x9c", b"x\xda")
_BEGINNINGS = {
    b"\x93NUMPY": NPY,
    b"GGUF": GGUF,
    b"\x1f\x8b": PACKED,
    b"BZh": PACKED,
    b"\xfd7zXZ\0": PACKED,
    b"\x28\xb5\x2f\xfd": PACKED,
    b"7z\xbc\xaf\x27\x1c": PACKED,
}
