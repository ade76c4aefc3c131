"""Where the files of MNIST come from, and what is refused."""

from __future__ import annotations

import gzip
import struct
import urllib.request

import numpy as np
import pytest

from ranvier.data import mnist


def packed(array):
    head = b"\x00\x00\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return gzip.compress(head + array.tobytes())


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of data that nothing else is found in, and no way to the net."""
    monkeypatch.setenv("RANVIER_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("RANVIER_CACHE", str(tmp_path / "cache"))

    def offline(*args, **kwargs):
        raise OSError("no net")

    monkeypatch.setattr(urllib.request, "urlopen", offline)
    return tmp_path


def fill(place, pack=True):
    place.mkdir(parents=True)
    rng = np.random.default_rng(0)
    arrays = []
    for file, shape in zip(mnist._FILES, ((5, 28, 28), (5,), (2, 28, 28), (2,)), strict=True):
        array = rng.integers(0, 10, shape).astype(np.uint8)
        content = packed(array)
        name = file if pack else file.removesuffix(".gz")
        (place / name).write_bytes(content if pack else gzip.decompress(content))
        arrays.append(array)
    return arrays


@pytest.mark.parametrize("where", ["data", "cache"])
@pytest.mark.parametrize("pack", [True, False])
def test_files_are_found_and_read(folder, where, pack):
    arrays = fill(folder / where / "mnist", pack)
    (x, y), (x_test, y_test) = mnist.load_idx("mnist")
    for got, expected in zip((x, y, x_test, y_test), arrays, strict=True):
        np.testing.assert_array_equal(got, expected)
        assert got.dtype == np.uint8
        assert got.flags.writeable


def test_files_of_the_other_set_are_not_taken(folder):
    fill(folder / "data")  # both sets have files of these names; only sums tell them apart
    with pytest.raises(FileNotFoundError):
        mnist.load_idx("fashion-mnist")


def test_without_files_the_error_says_where_to_put_them(folder):
    for download in (True, False):
        with pytest.raises(FileNotFoundError) as caught:
            mnist.load_idx("mnist", download=download)
        text = str(caught.value)
        assert str(folder / "data" / "mnist") in text
        assert "RANVIER_DATA" in text
        assert "train-images-idx3-ubyte.gz" in text


def test_a_download_is_checked_and_kept(folder, monkeypatch):
    images = np.zeros((2, 28, 28), np.uint8)
    content = packed(images)

    class Answer:
        def __enter__(self):
            return self

        def __exit__(self, *args):
            return None

        def read(self):
            return content

    monkeypatch.setattr(urllib.request, "urlopen", lambda *a, **k: Answer())
    with pytest.raises(FileNotFoundError, match="another file than the published one"):
        mnist._content("mnist", 0, True)
    assert not list((folder / "cache").rglob("*")) if (folder / "cache").exists() else True
    import hashlib

    own = hashlib.sha256(content).hexdigest()
    monkeypatch.setitem(mnist._SUMS, "mnist", (own,) * 4)
    assert mnist.read_idx(mnist._content("mnist", 0, True)).shape == (2, 28, 28)
    assert (folder / "cache" / "mnist" / "train-images-idx3-ubyte.gz").read_bytes() == content


@pytest.mark.parametrize(
    "content",
    [b"", b"\x00\x00\x0d\x01\x00\x00\x00\x01\x00", b"\x00\x00\x08\x02\x00\x00",
     b"\x00\x00\x08\x01\x00\x00\x00\x05ab"],
)  # fmt: skip
def test_what_is_no_idx_file_is_refused(content):
    with pytest.raises(ValueError, match="idx"):
        mnist.read_idx(content, "x")


def test_a_broken_file_is_refused(folder):
    fill(folder / "data" / "mnist")
    path = folder / "data" / "mnist" / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match="whole gzip"):
        mnist.load_idx("mnist")
    with pytest.raises(ValueError, match="minst"):
        mnist.load_idx("minst")
