"""Tensors by name in files: safetensors, written whole or not at all, read with suspicion.

The format is https://github.com/huggingface/safetensors: eight bytes of header length, a JSON
header, then the tensors' bytes. Nothing here executes what a file says (no pickle), and nothing
is believed before it is checked: a damaged file gives a ValueError, never a crash.
"""

from __future__ import annotations

import json
import os
import stat
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ranvier._C import Tensor
from ranvier._conversion import array_of, tensor_of

if TYPE_CHECKING:
    import numpy.typing as npt

Path = str | os.PathLike[str]

_LARGEST_HEADER = 100_000_000  # the limit of the reference implementation
_LARGEST_SIZE = 2**63 - 1
_LARGEST_NDIM = 8
_HELD: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),  # its bits: NumPy has no such number
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U64": np.dtype("<u8"),
    "U32": np.dtype("<u4"),
    "U16": np.dtype("<u2"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}
_OURS = {
    name: "bfloat16" if name == "BF16" else dtype.newbyteorder("=").name
    for name, dtype in _HELD.items()
}
_NAMES = {ours: name for name, ours in _OURS.items()}
_NOT_HELD = ("C64", "F8_E4M3", "F8_E5M2")


class _Entry(NamedTuple):
    """One tensor of a header, checked."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


Header = tuple[list[_Entry], dict[str, str], int]


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
    arrays = {name: _array(name, value) for name, value in tensors.items()}
    dtypes = {name: _NAMES[tensors[name].dtype.name] for name in arrays}
    header = _header(arrays, dtypes, metadata)
    with _replacing(path) as file:
        file.write(struct.pack("<Q", len(header)))
        file.write(header)
        for name in _order(arrays):
            # As bytes: a memoryview of a shape with a 0 in it cannot be written.
            file.write(arrays[name].reshape(-1).view(np.uint8).data)


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a file, in the order of its header, and its metadata.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is not a safetensors file, is damaged or cut short, or holds a type of number that
        Ranvier has no tensors for.
    """
    with open(path, "rb") as file:
        info = os.fstat(file.fileno())
        if not stat.S_ISREG(info.st_mode):
            raise _damaged(path, "a file", "something else (a device or a pipe)")
        entries, metadata, start = _read_header(file, path, info.st_size)
        return {e.name: _read_tensor(file, path, start, e) for e in entries}, metadata


# --- writing --------------------------------------------------------------------------------------


def _array(name: Any, value: Any) -> npt.NDArray[Any]:
    """A tensor's elements in row-major order and little-endian bytes; a copy only where needed."""
    if not isinstance(name, str) or name == "__metadata__":
        raise ValueError(
            f"[save] name: expected a string other than '__metadata__', got {name!r:.60}"
        )
    if not isinstance(value, Tensor):
        raise TypeError(f"[save] {name}: expected a tensor, got {type(value).__name__}")
    array = array_of(value.detach())
    return np.asarray(array, dtype=_HELD[_NAMES[value.dtype.name]], order="C")


def _order(arrays: Mapping[str, npt.NDArray[Any]]) -> list[str]:
    """Names in the order of the data: wide types first, so that each tensor is aligned."""
    return sorted(arrays, key=lambda name: -arrays[name].itemsize)


def _header(
    arrays: Mapping[str, npt.NDArray[Any]], dtypes: Mapping[str, str], metadata: Mapping[str, str]
) -> bytes:
    offsets, position = {}, 0
    for name in _order(arrays):
        offsets[name] = [position, position + arrays[name].nbytes]
        position += arrays[name].nbytes
    description: dict[str, Any] = {"__metadata__": dict(metadata)}
    for name, array in arrays.items():
        description[name] = {
            "dtype": dtypes[name],
            "shape": array.shape,
            "data_offsets": offsets[name],
        }
    text = json.dumps(description, ensure_ascii=False, separators=(",", ":"))
    try:
        header = text.encode("utf-8")
    except UnicodeEncodeError as error:
        character = error.object[error.start : error.end]
        raise ValueError(
            f"[save] name: expected names that UTF-8 can hold, got one with {character!r}"
        ) from None
    return header + b" " * (-len(header) % 8)


@contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """A new file that takes the place of `path` when the block ends well, and else disappears."""
    target = os.path.realpath(path)  # a link stays, what it points at is replaced
    folder, name = os.path.split(target)
    if not os.path.isdir(folder):
        raise FileNotFoundError(
            f"[save] {os.fspath(path)}: expected an existing folder, got {folder}; make it first"
        )
    if os.path.exists(target) and not os.path.isfile(target):
        raise OSError(f"[save] {os.fspath(path)}: expected a file, got a folder or a device")
    temporary = os.path.join(folder, f".{name[:200]}.{os.urandom(6).hex()}.tmp")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_folder(folder)


def _sync_folder(folder: str) -> None:
    """Bring the new name to the disk; some file systems cannot, and then the file is there too."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


# --- reading --------------------------------------------------------------------------------------


def _damaged(path: Path, expected: str, got: str) -> ValueError:
    return ValueError(
        f"[load] {os.fspath(path)}: expected {expected}, got {got}; "
        "the file is damaged, cut short or not safetensors"
    )


def _read_header(file: IO[bytes], path: Path, size: int) -> Header:
    """The tensors that the header names, checked, its metadata, and where the data begin."""
    if size < 8:
        raise _damaged(path, "at least 8 bytes", f"{size}")
    (length,) = struct.unpack("<Q", file.read(8))
    if length > _LARGEST_HEADER:
        raise _damaged(path, f"a header of at most {_LARGEST_HEADER} bytes", f"{length}")
    if length > size - 8:
        raise _damaged(path, f"a header of {length} bytes", f"{size - 8} bytes after the length")
    description = _parse(file.read(length), path)
    metadata = description.pop("__metadata__", {})
    _check_metadata(metadata, path)
    entries = [_entry(name, value, path) for name, value in description.items()]
    _check_layout(entries, size - 8 - length, path)
    return entries, metadata, 8 + length


def _parse(header: bytes, path: Path) -> dict[str, Any]:
    """The header as a dictionary; names that occur twice are refused."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for name, value in pairs:
            if name in result:
                raise KeyError(name)
            result[name] = value
        return result

    if header[:1] != b"{":
        raise _damaged(path, "a header that begins with '{'", repr(header[:1]))
    try:
        description: dict[str, Any] = json.loads(header.decode("utf-8"), object_pairs_hook=unique)
    except KeyError as error:
        raise _damaged(path, "every name once", f"{error} twice") from None
    except (ValueError, RecursionError) as error:  # not UTF-8, not JSON, nested too deeply
        raise _damaged(path, "a header in JSON", f"{error!s:.120}") from None
    return description


def _check_metadata(metadata: Any, path: Path) -> None:
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise _damaged(path, "__metadata__ with strings", f"{metadata!r:.60}")


def _entry(name: str, value: Any, path: Path) -> _Entry:
    """One tensor's description, each field checked by itself."""
    where = f"tensor {name!r}"
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        got = sorted(value) if isinstance(value, dict) else value
        raise _damaged(path, f"{where} with dtype, shape and data_offsets", f"{got!r:.60}")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if dtype in _NOT_HELD:
        raise ValueError(
            f"[load] {os.fspath(path)}: {where}: expected one of {', '.join(_HELD)}, got {dtype}, "
            "which Ranvier has no tensors for; convert the file with the program that wrote it"
        )
    if not isinstance(dtype, str) or dtype not in _HELD:
        raise _damaged(path, f"{where} with a dtype such as F32", f"{dtype!r:.60}")
    if not _is_sizes(shape) or len(shape) > _LARGEST_NDIM:
        expected = f"{where} with at most {_LARGEST_NDIM} sizes from 0 to 2^63 - 1"
        raise _damaged(path, expected, f"{shape!r:.60}")
    if not _is_sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise _damaged(path, f"{where} with two offsets, the first not larger", f"{offsets!r:.60}")
    bytes_needed = _bytes(shape, _HELD[dtype].itemsize)
    if bytes_needed is None:
        raise _damaged(path, f"{where} with a shape that fits into memory", f"{tuple(shape)}")
    if bytes_needed != offsets[1] - offsets[0]:
        expected = f"{bytes_needed} bytes for {where}, {dtype} {tuple(shape)}"
        raise _damaged(path, expected, f"offsets {offsets[0]} to {offsets[1]}")
    return _Entry(name, dtype, tuple(shape), offsets[0], offsets[1])


def _is_sizes(values: Any) -> bool:
    return isinstance(values, list) and all(
        type(value) is int and 0 <= value <= _LARGEST_SIZE for value in values
    )


def _bytes(shape: list[int], itemsize: int) -> int | None:
    """Bytes of a tensor, or None where the sizes (zeros aside) do not fit into 63 bits."""
    extent = itemsize
    for size in shape:
        extent *= max(size, 1)
    return None if extent > _LARGEST_SIZE else (0 if 0 in shape else extent)


def _check_layout(entries: list[_Entry], available: int, path: Path) -> None:
    """The tensors follow each other without gap or overlap, from the first byte to the last."""
    position = 0
    for entry in sorted(entries, key=lambda entry: (entry.begin, entry.end)):
        if entry.begin != position:
            kind = "an overlap" if entry.begin < position else "a gap"
            expected = f"tensor {entry.name!r} to begin at byte {position} of the data"
            raise _damaged(path, expected, f"{kind}: byte {entry.begin}")
        position = entry.end
    if position != available:
        raise _damaged(path, f"{position} bytes of data", f"{available}")


def _read_tensor(file: IO[bytes], path: Path, start: int, entry: _Entry) -> Tensor:
    array = np.empty(entry.shape, dtype=_HELD[entry.dtype])
    raw = array.reshape(-1).view(np.uint8)
    file.seek(start + entry.begin)
    if _fill(file, raw) != raw.size:
        raise _damaged(path, f"{raw.size} bytes for tensor {entry.name!r}", "the end of the file")
    if entry.dtype == "BOOL" and raw.size and raw.max() > 1:
        raise _damaged(path, f"0 or 1 in tensor {entry.name!r}", f"{raw.max()}")
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    return tensor_of(array, _OURS[entry.dtype])


def _fill(file: IO[bytes], raw: npt.NDArray[np.uint8]) -> int:
    """Read until `raw` is full or the file ends; how many bytes came."""
    view, filled = raw.data, 0
    while filled < len(view):
        count = file.readinto(view[filled:])  # type: ignore[attr-defined]
        if not count:
            break
        filled += count
    return filled
