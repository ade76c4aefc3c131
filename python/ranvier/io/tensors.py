"""Tensors by name in files: safetensors, written whole or not at all, read with suspicion.

The format is https://github.com/huggingface/safetensors: eight bytes of header length, a JSON
header, then the tensors' bytes. The core reads and writes it (csrc/files/); this file has the
checks of types around that. What the metadata say is not looked at.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ranvier import _C
from ranvier._C import Tensor

if TYPE_CHECKING:
    from ranvier.io import foreign

Path = str | os.PathLike[str]


def write(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors of any layout and a dictionary of strings to a file, whole or not at all.

    Raises
    ------
    TypeError
        If a value is not a tensor.
    ValueError
        If a name cannot be written.
    OSError
        If the file cannot be written; the old one is then as it was.
    """
    _C.write_tensors(path, _checked(tensors), dict(metadata))


def read(path: Path, *, mmap: bool = True) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a file, in the order of its header, and its metadata.

    A file of a mebibyte or more is mapped: its tensors are the file's own pages, read when they
    are used and copied when they are changed. With ``mmap=False`` all of it is read now.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is not a safetensors file (a file of another library is called what it is), is
        damaged or cut short, or holds a type of number that Ranvier has no tensors for.
    """
    try:
        return _C.read_tensors(path, mmap)
    except ValueError as error:
        from ranvier.io import foreign

        raise _named(error, os.fspath(path), foreign.in_file(path)) from None


def to_bytes(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """What `write` would write.

    Raises
    ------
    TypeError
        If a value is not a tensor.
    ValueError
        If a name cannot be written.
    """
    return _C.tensors_to_bytes(_checked(tensors), dict(metadata))


def from_bytes(data: bytes, name: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """What `read` would give for a file with these bytes; `name` stands in messages.

    Raises
    ------
    ValueError
        As `read` does.
    """
    try:
        return _C.tensors_from_bytes(data, name)
    except ValueError as error:
        from ranvier.io import foreign

        raise _named(error, name, foreign.in_bytes(data)) from None


def _named(error: ValueError, name: str, kind: foreign.Kind | None) -> ValueError:
    """What to raise for a file that could not be read, of a kind that is known or not."""
    from ranvier.io import foreign

    return ValueError(foreign.message(name, kind)) if kind else error


def _checked(tensors: Mapping[Any, Any]) -> dict[str, Tensor]:
    for name, value in tensors.items():
        if not isinstance(name, str) or name == "__metadata__":
            raise ValueError(
                f"[save] name: expected a string other than '__metadata__', got {name!r:.60}"
            )
        if not isinstance(value, Tensor):
            raise TypeError(f"[save] {name:.60}: expected a tensor, got {type(value).__name__}")
    return dict(tensors)
