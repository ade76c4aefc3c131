"""Writes the seeds of tests/fuzz/files.cpp: small files, good ones and one of each kind of damage.

    python tests/fuzz/corpus.py

They are committed in tests/fuzz/corpus/files; what the fuzzer finds goes beside them by hand, once
it is small (`-merge=1` and `-minimize_crash=1` of libFuzzer), and stays there for ever.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "corpus" / "files"
WIDTHS = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1,
    "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1,
}  # fmt: skip


def file_of(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    """A header that is not bytes becomes JSON; the length may lie."""
    if not isinstance(header, bytes):
        header = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def one(**changes: Any) -> dict[str, Any]:
    """The header of a file with one tensor of eight bytes, some fields of which are others."""
    return {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}}


def every_dtype() -> bytes:
    header, position = {}, 0
    for name, width in WIDTHS.items():
        header[name] = {
            "dtype": name,
            "shape": [1, 2],
            "data_offsets": [position, position + 2 * width],
        }
        position += 2 * width
    return file_of(header, b"\1" * position)


def seeds() -> dict[str, bytes]:
    b = {"dtype": "U8", "shape": [], "data_offsets": [8, 9]}
    empty = {"dtype": "I64", "shape": [0, 3], "data_offsets": [0, 0]}
    good = {
        "empty": file_of({}),
        "every-dtype": every_dtype(),
        "two": file_of({**one(), "b": b}, b"\0" * 9),
        "zero-size": file_of({"e": empty}),
        "metadata": file_of({"__metadata__": {"k": "v", "": ""}, **one()}, b"\0" * 8),
        "blanks": file_of(b' {"a" : {\n"dtype":"F32",\t"shape":[ 2 ] , "data_offsets":[0,8]}} '[1:],
                          b"\0" * 8),
        "escapes": file_of(
            rb'{"\u0061\n\"\\\/\ud83d\udc0d":{"dtype":"\u00558","shape":[],"data_offsets":[0,1]}}',
            b"\7"),
        "unicode": file_of({"äß模🐍\x7f": {**b, "data_offsets": [0, 1]}}, b"\7"),
        "eight-axes": file_of(one(shape=[1] * 7 + [2]), b"\0" * 8),
        "misaligned": file_of(
            {"x": {**b, "data_offsets": [0, 1]}, **one(data_offsets=[1, 9])}, b"\0" * 9),
    }  # fmt: skip
    damaged = {
        "no-bytes": b"",
        "seven-bytes": b"\0" * 7,
        "no-header": file_of(b""),
        "long-header": file_of({}, length=1000),
        "enormous-header": file_of({}, length=2**64 - 1),
        "not-json": file_of(b"{nonsense}"),
        "cut-json": file_of(b'{"a": {"dtype": "F3'),
        "not-utf8": file_of(b'{"\xed\xa0\x80": 1}'),
        "deep": file_of(b'{"a":' + b"[" * 40 + b"]" * 40 + b"}"),
        "long-number": file_of(b'{"a":' + b"9" * 200 + b"}"),
        "numbers": file_of(b'{"a":[-0.5e+10,1E-3,true,false,null,"",{"x":[]}]}'),
        "half-pair": file_of(rb'{"\ud83d":1}'),
        "twice": file_of(b'{"a":1,"\\u0061":2}'),
        "metadata-numbers": file_of({"__metadata__": {"a": 1}}),
        "field-missing": file_of({"a": {"dtype": "F32", "shape": []}}),
        "field-twice": file_of(b'{"a":{"dtype":"F32","dtype":"F32"}}'),
        "field-odd": file_of(one(x=1), b"\0" * 8),
        "dtype-unknown": file_of(one(dtype="F33"), b"\0" * 8),
        "dtype-not-held": file_of(one(dtype="F8_E4M3"), b"\0" * 8),
        "shape-negative": file_of(one(shape=[-2]), b"\0" * 8),
        "nine-axes": file_of(one(shape=[1] * 8 + [2]), b"\0" * 8),
        "size-of-65-bits": file_of(one(shape=[2**64]), b"\0" * 8),
        "overflow": file_of(one(shape=[2**32, 2**32])),
        "zero-times-huge": file_of(one(shape=[0, 2**63 - 1, 2**63 - 1], data_offsets=[0, 0])),
        "offsets-backwards": file_of(one(data_offsets=[8, 0]), b"\0" * 8),
        "offsets-huge": file_of(one(shape=[2**59], data_offsets=[0, 2**61]), b"\0" * 8),
        "gap": file_of(one(data_offsets=[8, 16]), b"\0" * 16),
        "overlap": file_of({**one(), "b": {**b, "data_offsets": [4, 5]}}, b"\0" * 8),
        "too-little": file_of(one(), b"\0" * 7),
        "too-much": file_of(one(), b"\0" * 9),
        "bool-of-2": file_of(one(dtype="BOOL", data_offsets=[0, 2]), b"\1\2"),
    }
    return good | damaged


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, content in seeds().items():
        (FOLDER / name).write_bytes(content)
