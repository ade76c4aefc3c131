"""MNIST and Fashion-MNIST: found, or downloaded and checked, and read. All IDX files are read here.

Files are looked for in the folder that RANVIER_DATA names, in the cache (RANVIER_CACHE, or
~/.cache/ranvier), each with or without a folder of the data set's name, packed or unpacked; then
they are downloaded into the cache. What was downloaded is used only if its SHA-256 is the one of
the published file.

MNIST: Y. LeCun, C. Cortes, C. J. C. Burges; Fashion-MNIST: H. Xiao, K. Rasul, R. Vollgraf, 2017.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import struct
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Bytes: TypeAlias = npt.NDArray[np.uint8]
Arrays: TypeAlias = tuple[Bytes, Bytes]

_FILES = (
    "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz",
)  # fmt: skip
_SUMS = {
    "mnist": (
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
    "fashion-mnist": (
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    ),
}
_SOURCES = {
    "mnist": (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    "fashion-mnist": (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    ),
}
_TIMEOUT = 30  # seconds without an answer


def load_idx(name: str = "mnist", download: bool = True) -> tuple[Arrays, Arrays]:
    """The images and labels of a data set, for training and for test.

    Parameters
    ----------
    name : {"mnist", "fashion-mnist"}
    download : bool
        Whether to download files that are not there.

    Returns
    -------
    ((images, labels), (images, labels))
        uint8: (60000, 28, 28) and (60000,), (10000, 28, 28) and (10000,).

    Raises
    ------
    FileNotFoundError
        If there are no files and none can be had; says where to put them.
    ValueError
        For another name, or a file that is not the published one.
    """
    if name not in _SUMS:
        raise ValueError(f"[{name}] expected one of {', '.join(_SUMS)}, got {name!r:.60}")
    images, labels, test_images, test_labels = (
        read_idx(_content(name, i, download), f"{name}/{file}") for i, file in enumerate(_FILES)
    )
    return (images, labels), (test_images, test_labels)


def read_idx(content: bytes, what: str = "file") -> Bytes:
    """An array of bytes in the IDX format: a big-endian header, then the elements.

    Parameters
    ----------
    content : bytes
        Unpacked.
    what : str
        What error messages call it.

    Raises
    ------
    ValueError
        If it is no such file, or not whole.
    """
    if len(content) < 4 or content[:3] != b"\x00\x00\x08":
        raise ValueError(f"[idx] {what}: expected an IDX file of bytes, got {content[:4]!r}")
    rank = content[3]
    start = 4 + 4 * rank
    if len(content) < start:
        raise ValueError(f"[idx] {what}: expected {rank} sizes, got a file of {len(content)} bytes")
    shape = struct.unpack(f">{rank}I", content[4:start])
    array = np.frombuffer(content, np.uint8, offset=start)
    if array.size != int(np.prod(shape, dtype=np.int64)):
        raise ValueError(f"[idx] {what}: expected {shape} bytes, got {array.size}")
    return array.reshape(shape).copy()


def cache_folder() -> Path:
    """Where downloads are kept: RANVIER_CACHE, or ~/.cache/ranvier."""
    given = os.environ.get("RANVIER_CACHE")
    return Path(given) if given else Path.home() / ".cache" / "ranvier"


def _folders(name: str) -> list[Path]:
    given = os.environ.get("RANVIER_DATA")
    roots = [Path(given)] if given else []
    return [folder for root in [*roots, cache_folder()] for folder in (root / name, root)]


def _content(name: str, number: int, download: bool) -> bytes:
    """The unpacked content of a file."""
    file = _FILES[number]
    for folder in _folders(name):
        # Both sets have files of these names: without its own folder, the sum decides.
        for path in (folder / file, folder / file.removesuffix(".gz")):
            if not path.is_file():
                continue
            packed = path.read_bytes()
            own = folder.name == name
            if own or hashlib.sha256(packed).hexdigest() == _SUMS[name][number]:
                return _unpacked(packed, str(path))
    if not download:
        raise FileNotFoundError(_advice(name, file, "no download was wanted"))
    return _unpacked(_download(name, number), file)


def _unpacked(content: bytes, what: str) -> bytes:
    if content[:2] != b"\x1f\x8b":
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, OSError) as error:
        raise ValueError(f"[idx] {what}: expected a whole gzip file, got {error}") from None


def _download(name: str, number: int) -> bytes:
    """A published file, from the first source that gives it; kept in the cache."""
    import urllib.error  # only downloads need it
    import urllib.request

    file, failures = _FILES[number], []
    for source in _SOURCES[name]:
        try:
            with urllib.request.urlopen(source + file, timeout=_TIMEOUT) as answer:
                content: bytes = answer.read()
        except (OSError, urllib.error.URLError) as error:
            failures.append(f"{source}: {error}")
            continue
        if hashlib.sha256(content).hexdigest() == _SUMS[name][number]:
            _keep(cache_folder() / name / file, content)
            return content
        failures.append(f"{source}: another file than the published one")
    raise FileNotFoundError(_advice(name, file, "; ".join(failures)))


def _keep(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all; a cache that cannot be written is done without."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        part.write_bytes(content)
        part.replace(path)
    except OSError:
        return


def _advice(name: str, file: str, why: str) -> str:
    return (
        f"[{name}] {file}: expected the file in {_folders(name)[0]}, got none ({why}); put the "
        f"four files {', '.join(_FILES)} there, or into a folder {name!r} of one that the "
        "environment variable RANVIER_DATA names"
    )
