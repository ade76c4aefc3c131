"""Beside the official safetensors library: files go both ways; what it refuses is refused here."""

from __future__ import annotations

import json
import os
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ranvier as rv
from ranvier.io import tensors

official = pytest.importorskip("safetensors", reason="safetensors is not installed")

SIZES = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1,
    "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1,
}  # fmt: skip
DTYPES = {
    "F64": rv.float64, "F32": rv.float32, "F16": rv.float16, "BF16": rv.bfloat16,
    "I64": rv.int64, "I32": rv.int32, "I16": rv.int16, "I8": rv.int8,
    "U64": rv.uint64, "U32": rv.uint32, "U16": rv.uint16, "U8": rv.uint8, "BOOL": rv.bool,
}  # fmt: skip
SHAPES: list[tuple[int, ...]] = [(), (1,), (5,), (2, 3), (0,), (0, 4), (2, 0, 3), (1, 2, 1, 3)]
NAMES = ["a.weight", "", "ä/ö", "模型", "🐍", 'quote " \\ ', "new\nline", "nul\0", "x" * 10_000]


def bytes_for(dtype: str, count: int, seed: int) -> bytes:
    """Any bits there are, apart from bools."""
    draw = np.random.default_rng(seed)
    if dtype == "BOOL":
        return draw.integers(0, 2, count, dtype=np.uint8).tobytes()
    return draw.integers(0, 256, count * SIZES[dtype], dtype=np.uint8).tobytes()


def matrix() -> list[tuple[str, str, tuple[int, ...], bytes]]:
    """Every dtype with every shape, and names of every kind."""
    rows = [
        (f"{dtype} {shape}", dtype, shape, bytes_for(dtype, int(np.prod(shape)), i))
        for i, dtype in enumerate(SIZES)
        for shape in SHAPES
    ]
    return rows + [(name, "U8", (2,), b"\1\2") for name in NAMES]


def content(tensor: rv.Tensor) -> bytes:
    """The bits of a tensor in row-major order."""
    if tensor.dim() == 0:
        tensor = tensor.reshape(1)
    return tensor.contiguous().view(rv.uint8).numpy().tobytes() if tensor.numel() else b""


def test_theirs_are_read(tmp_path: Path) -> None:
    path = tmp_path / "theirs.safetensors"
    rows = matrix()
    held = [np.frombuffer(data, dtype=np.uint8) for *_, data in rows]
    named = {
        name: _theirs(dtype, shape, data)
        for (name, dtype, shape, _), data in zip(rows, held, strict=True)
    }
    official.serialize_file(named, path, metadata={"kind ä": "\n"})
    for mmap in (True, False):
        found, metadata = tensors.read(path, mmap=mmap)
        assert metadata == {"kind ä": "\n"} and set(found) == set(named)
        for name, dtype, shape, data in rows:
            assert found[name].dtype is DTYPES[dtype] and tuple(found[name].shape) == shape
            assert content(found[name]) == data


def test_ours_are_read(tmp_path: Path) -> None:
    path = tmp_path / "ours.safetensors"
    rows = matrix()
    flat = {
        name: rv.tensor(list(data), dtype=rv.uint8).view(DTYPES[dtype]).reshape(shape)
        if data
        else rv.empty(shape, dtype=DTYPES[dtype])
        for name, dtype, shape, data in rows
    }
    tensors.write(path, flat, {"kind ä": "\n", "empty": ""})
    found = dict(official.deserialize(path.read_bytes()))
    assert set(found) == set(flat)
    for name, dtype, shape, data in rows:
        assert found[name]["dtype"] == dtype and tuple(found[name]["shape"]) == shape
        assert bytes(found[name]["data"]) == data
    with official.safe_open(path, "numpy") as file:
        assert file.metadata() == {"kind ä": "\n", "empty": ""}
        assert file.get_tensor("F32 (2, 3)").shape == (2, 3)


def _theirs(dtype: str, shape: tuple[int, ...], data: Any) -> Any:
    """What the official writer takes: dictionaries before version 0.8."""
    kind = {"F": "float", "B": "bfloat", "I": "int", "U": "uint"}[dtype[0]]
    name = "bool" if dtype == "BOOL" else kind + re.sub(r"\D", "", dtype)
    if not hasattr(official, "TensorSpec"):
        return {"dtype": name, "shape": list(shape), "data": data.tobytes()}
    return official.TensorSpec(
        dtype=name, shape=list(shape), data_ptr=data.ctypes.data, data_len=data.nbytes
    )


# --- what is refused ------------------------------------------------------------------------------

# Where we refuse more: what the format does not allow but the official reader takes, and what no
# tensor of ours can hold.
STRICTER = [
    "a header that begins with '{'",  # it skips blanks before
    "every name once",  # it takes the last
    "with dtype, shape and data_offsets, got",  # it takes fields that the format has not
    "__metadata__ with strings, got null",
    "at most 8 sizes from 0 to 2^63 - 1",  # more axes; sizes of 64 bits beside a 0
    "with a shape that fits into memory",  # the same
    "0 or 1 in tensor",
    "which Ranvier has no tensors for",
]


def compared(data: bytes) -> None:
    """What they refuse is refused; what they read is read, or refused for a reason of the list."""
    try:
        theirs = dict(official.deserialize(data))
    except official.SafetensorError:
        with pytest.raises(ValueError, match=r"^\[load\] x: .*expected "):
            tensors.from_bytes(data, "x")
        return
    try:
        ours, _ = tensors.from_bytes(data, "x")
    except ValueError as error:
        assert any(reason in str(error) for reason in STRICTER), error
        return
    assert set(ours) == set(theirs)
    for name, tensor in ours.items():
        assert content(tensor) == bytes(theirs[name]["data"])


def file_of(header: bytes, data: bytes) -> bytes:
    return struct.pack("<Q", len(header)) + header + data


def good_file() -> tuple[bytes, bytes]:
    data = tensors.to_bytes(
        {"a": rv.arange(3), "b": rv.ones(2, 2), "c": rv.tensor([True]), "d": rv.zeros(0)},
        {"k": "v"},
    )
    (length,) = struct.unpack("<Q", data[:8])
    return data[8 : 8 + length], data[8 + length :]


HEADER, DATA = good_file()
TOKENS = [
    *'{}[],:"\\0123456789-+.eE \n\t\r\0x',
    *("null", "true", "\\u0041", "\\ud800", "\\ud83d\\udc0d", "18446744073709551616"),
    *('"a"', '"b"', '"dtype"', '"shape"', '"data_offsets"', '"__metadata__"', '"F32"', '"C64"'),
    *('"x":1,', "[]", "{}", "ä", "\x7f"),
]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, len(HEADER)), st.integers(0, 12), st.sampled_from(TOKENS)),
        min_size=1,
        max_size=3,
    ),
    st.sampled_from([0, 0, 0, 1, -1]),
)
def test_headers_with_other_words(changes: list[tuple[int, int, str]], more: int) -> None:
    header = HEADER
    for start, cut, token in changes:
        header = header[:start] + token.encode() + header[start + cut :]
    compared(file_of(header, DATA + b"\0" if more > 0 else DATA[: len(DATA) + more]))


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**65), 2**65) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)
ENTRIES = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from([*SIZES, "C64", "F8_E4M3", "F33"]) | JSON_VALUES,
        "shape": st.lists(st.integers(0, 3) | st.integers(0, 2**64), max_size=10) | JSON_VALUES,
        "data_offsets": st.tuples(st.integers(-1, 8), st.integers(0, 24)) | JSON_VALUES,
    },
    optional={"extra": JSON_VALUES},
)


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["a", "b", "__metadata__", "ä\0"]) | st.text(max_size=3),
        ENTRIES | JSON_VALUES | st.dictionaries(st.text(max_size=2), st.text(max_size=2)),
        max_size=3,
    ),
    st.binary(max_size=24),
)
def test_headers_of_any_json(header: dict[str, Any], data: bytes) -> None:
    compared(file_of(json.dumps(header).encode(), data))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 7)), min_size=1, max_size=4))
def test_bits_that_flip(flips: list[tuple[int, int]]) -> None:
    data = bytearray(file_of(HEADER, DATA))
    for place, bit in flips:
        data[place % len(data)] ^= 1 << bit
    compared(bytes(data))


def test_cut_anywhere() -> None:
    data = file_of(HEADER, DATA)
    for length in range(len(data)):
        compared(data[:length])


def test_files_that_others_wrote() -> None:
    folder = Path(os.environ.get("RANVIER_DATA", ""), "safetensors")
    if not os.environ.get("RANVIER_DATA") or not folder.is_dir():
        pytest.skip("RANVIER_DATA names no folder with safetensors/")
    paths = list(folder.glob("*.safetensors"))
    assert paths
    for path in paths:
        compared(path.read_bytes())
        assert rv.load(path)
