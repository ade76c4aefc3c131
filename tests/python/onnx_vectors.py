"""Reads ONNX' operator tests without its package: one node, its attributes, arrays in and out.

A file of protocol buffers is a row of fields, each a number and a value; the few that are needed
here are named by number, as onnx.proto has them.
"""

from __future__ import annotations

import os
import struct
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

DTYPES = {1: "<f4", 7: "<i8", 11: "<f8"}


class Vector(NamedTuple):
    """One operator test."""

    op: str
    attributes: dict[str, float | int | bytes]
    inputs: list[np.ndarray]
    outputs: list[np.ndarray]


def varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Number and value of every field: an int, a float, or bytes."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
            yield key >> 3, value
        elif key & 7 == 5:
            yield key >> 3, struct.unpack_from("<f", data, at)[0]
            at += 4
        else:
            assert key & 7 == 2
            size, at = varint(data, at)
            yield key >> 3, data[at : at + size]
            at += size


def message(data: bytes) -> dict[int, list[Any]]:
    """All values by field."""
    found: dict[int, list[Any]] = {}
    for number, value in fields(data):
        found.setdefault(number, []).append(value)
    return found


def tensor(data: bytes) -> np.ndarray:
    """A TensorProto: dims 1, data_type 2, raw_data 9."""
    parts = message(data)
    shape = []
    for one in parts.get(1, []):
        packed, at = (one, 0) if isinstance(one, bytes) else (b"", 0)
        shape += [] if isinstance(one, bytes) else [one]
        while at < len(packed):
            size, at = varint(packed, at)
            shape.append(size)
    return np.frombuffer(parts[9][0], DTYPES[parts[2][0]]).reshape(shape)


def node(model: bytes) -> tuple[str, dict[str, Any]]:
    """The one node of a model: graph 7, node 1, op_type 4, attribute 5 (name 1, f 2, i 3, s 4)."""
    parts = message(message(message(model)[7][0])[1][0])
    attributes = {}
    for data in parts.get(5, []):
        one = message(data)
        attributes[one[1][0].decode()] = next(one[k][0] for k in (2, 3, 4) if k in one)
    return parts[4][0].decode(), attributes


def vector(name: str) -> Vector:
    """An operator test by name; the calling test is skipped where the files are not."""
    folder = os.environ.get("RANVIER_DATA")
    path = Path(folder or "") / "onnx" / "backend-node-tests.tar.gz"
    if not folder or not path.exists():
        pytest.skip("RANVIER_DATA names no folder with onnx/backend-node-tests.tar.gz")
    arrays: dict[str, list[tuple[int, np.ndarray]]] = {"input": [], "output": []}
    model = b""
    with tarfile.open(path) as archive:
        for member in archive:
            parts = member.name.split("/")
            if len(parts) < 3 or parts[1] != name or not member.isfile():
                continue
            file = archive.extractfile(member)
            assert file is not None
            data = file.read()
            if parts[2] == "model.onnx":
                model = data
            else:
                kind, number = parts[-1].removesuffix(".pb").split("_")
                arrays[kind].append((int(number), tensor(data)))
    op, attributes = node(model)
    inputs, outputs = (
        [array for _, array in sorted(arrays[kind], key=lambda pair: pair[0])]
        for kind in ("input", "output")
    )
    return Vector(op, attributes, inputs, outputs)
