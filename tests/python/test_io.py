"""Weights in files: what is written, that it is written whole, and what a damaged file does."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import re
import resource
import runpy
import signal
import stat
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier import nn

F32 = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


def file_of(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    """The bytes of a file; a header that is not bytes becomes JSON."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw + data


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "weights.safetensors"


# --- there and back -------------------------------------------------------------------------------


def test_every_dtype_and_shape_comes_back(path: Path) -> None:
    arrays = {
        "f64": np.array([np.pi, -np.e]),
        "f32": np.array([[0, 1, -1.5], [np.float32(3.4e38), 1e-45, -0.0]], dtype=np.float32),
        "i64": np.array([[-(2**63), 2**63 - 1]]),
        "i32": np.arange(-3, 3, dtype=np.int32).reshape(3, 2),
        "u8": np.arange(256, dtype=np.uint8),
        "f16": np.array([1.5, -0.0, np.inf, 6e-8], dtype=np.float16),
        "i16": np.array([-(2**15), 2**15 - 1], dtype=np.int16),
        "i8": np.arange(-128, 128, dtype=np.int8),
        "u16": np.array([2**16 - 1], dtype=np.uint16),
        "u32": np.array([2**32 - 1], dtype=np.uint32),
        "u64": np.array([2**64 - 1], dtype=np.uint64),
        "bool": np.array([True, False, True]),
        "scalar": np.array(2.5, dtype=np.float32),
        "empty": np.zeros((0, 4), dtype=np.float32),
        "nan": np.array([np.nan, np.inf], dtype=np.float32),
    }
    rv.save({name: rv.from_numpy(array) for name, array in arrays.items()}, path)
    back = rv.load(path)
    assert list(back) == list(arrays)
    for name, array in arrays.items():
        got = back[name].numpy()
        assert got.dtype == array.dtype and got.shape == array.shape
        assert got.tobytes() == array.tobytes()


def test_layouts_views_and_shared_tensors(path: Path) -> None:
    base = rv.arange(24, dtype=rv.float32).reshape(2, 3, 4)
    tensors = {
        "turned": base.permute(2, 0, 1),
        "part": base[:, ::2, 1:3],
        "wide": rv.ones(1, 3).expand(2, 3),
        "one": base,
        "two": base,
        "learned": rv.ones(2, requires_grad=True),
    }
    rv.save(tensors, path)
    back = rv.load(path)
    for name, tensor in tensors.items():
        assert np.array_equal(back[name].numpy(), tensor.detach().numpy())
    back["one"].fill_(0)
    assert back["two"].numpy().max() == 23  # memory of its own
    assert not back["learned"].requires_grad


def test_format(path: Path) -> None:
    """Length, header padded with blanks, data in row-major order, wide types first."""
    rv.save({"a": rv.tensor([True]), "b": rv.tensor([[1.0, 2.0]])}, path)
    raw = path.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + length])
    assert length % 8 == 0 and raw[8:9] == b"{"
    assert header.pop("__metadata__")["format"] == "ranvier"
    assert header == {
        "a": {"dtype": "BOOL", "shape": [1], "data_offsets": [8, 9]},
        "b": {"dtype": "F32", "shape": [1, 2], "data_offsets": [0, 8]},
    }
    assert raw[8 + length :] == struct.pack("<ff", 1, 2) + b"\x01"


def test_same_weights_same_bytes(tmp_path: Path) -> None:
    net = nn.Linear(3, 2)
    for name in ("a", "b"):
        rv.save(net, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_model_takes_its_weights_back(path: Path) -> None:
    def build() -> nn.Module:
        return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))

    rv.manual_seed(1)
    first, second = build(), build()
    x = rv.ones(1, 3)
    rv.save(first, path)
    second.load_state_dict(rv.io.state_of(path))
    assert np.array_equal(rv.predict(first, x).numpy(), rv.predict(second, x).numpy())
    with path.open("rb") as file:
        assert b"0.weight" in file.read(2000)


def test_nothing_and_odd_names(path: Path) -> None:
    rv.save({}, path)
    assert rv.load(path) == {}
    rv.save({"ä/\n\"'": rv.zeros(1), "": rv.ones(1)}, path)
    assert list(rv.load(path)) == ["ä/\n\"'", ""]


def test_bad_things_to_save(path: Path) -> None:
    with pytest.raises(TypeError, match=r"\[save\] checkpoint: expected a tensor, .*object"):
        rv.save(object(), path)
    with pytest.raises(TypeError, match=r"\[save\] checkpoint\['w'\]: expected .*got set"):
        rv.save({"w": {1}}, path)
    with pytest.raises(ValueError, match=r"\[save\] name: expected text that UTF-8 can hold"):
        rv.save({"\ud800": rv.zeros(1)}, path)
    assert list(path.parent.iterdir()) == []


# --- whole or not at all --------------------------------------------------------------------------


def test_replaces_and_follows_links(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    rv.save({"a": rv.zeros(1)}, target)
    link.symlink_to(target)
    rv.save({"b": rv.zeros(1)}, link)
    assert link.is_symlink() and list(rv.load(target)) == ["b"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link", "target"]
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(target.stat().st_mode) == 0o666 & ~mask


def test_no_folder_or_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"\[save\] .*expected an existing folder"):
        rv.save({}, tmp_path / "no" / "file")
    with pytest.raises(OSError, match=r"\[save\] .*got a folder or a device"):
        rv.save({}, tmp_path)
    with pytest.raises(FileNotFoundError):
        rv.load(tmp_path / "no")
    with pytest.raises(IsADirectoryError):
        rv.load(tmp_path)
    with pytest.raises(ValueError, match="a device or a pipe"):
        rv.load("/dev/null")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="a device or a pipe"):
        rv.load(tmp_path / "pipe")  # and does not wait for who writes into it
    for odd in (tmp_path / "pipe", "/dev/full"):
        with pytest.raises(OSError, match=r"\[save\] .*got a folder or a device") as caught:
            rv.save({}, odd)
        assert caught.value.errno == errno.EINVAL
    assert [p.name for p in tmp_path.iterdir()] == ["pipe"]


def test_errors_of_the_system(tmp_path: Path) -> None:
    """Python's classes with their numbers, and paths that no terminal can show."""
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")
    with pytest.raises(FileNotFoundError, match=r"\[load\] .*\\xff: expected a file") as caught:
        rv.load(odd)
    assert caught.value.errno == errno.ENOENT
    rv.save({"a": rv.ones(1)}, odd)
    assert rv.load(odd)["a"].item() == 1
    with pytest.raises(
        ValueError, match=r"\[load\] path: expected a path that the system can have"
    ):
        rv.load("a\0b")
    with pytest.raises(NotADirectoryError, match="make it first"):
        rv.save({}, os.path.join(odd, "file"))
    with pytest.raises(OSError, match="File name too long") as long:
        rv.save({}, tmp_path / ("x" * 255 + "y"))
    assert long.value.errno == errno.ENAMETOOLONG


def test_rights_stay(path: Path) -> None:
    rv.save({}, path)
    path.chmod(0o640)
    rv.save({"a": rv.zeros(1)}, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640 and "a" in rv.load(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_without_the_right_to_write(path: Path) -> None:
    rv.save({"old": rv.zeros(1)}, path)
    before = path.read_bytes()
    path.chmod(0o400)
    with pytest.raises(PermissionError, match="may be written"):
        rv.save({}, path)
    path.chmod(0o600)
    path.parent.chmod(0o500)
    try:
        with pytest.raises(PermissionError, match="a folder in which a file can be made"):
            rv.save({}, path)
    finally:
        path.parent.chmod(0o700)
    assert path.read_bytes() == before and list(path.parent.iterdir()) == [path]


_SAVING = """
import sys, ranvier as rv
rv.manual_seed(int(sys.argv[2]))
value = float(sys.argv[2])
for _ in range(20):
    rv.save({"a": rv.full((50_000,), value), "b": rv.full((10,), value)}, sys.argv[1])
"""


def test_two_processes_save_to_one_path(path: Path) -> None:
    """Whoever comes last wins; a reader sees one file or the other, never a mixture."""
    rv.save({"a": rv.zeros(50_000), "b": rv.zeros(10)}, path)
    command = [sys.executable, "-B", "-c", _SAVING, str(path)]
    saving = [subprocess.Popen([*command, str(seed)]) for seed in (1, 2)]
    while any(process.poll() is None for process in saving):
        seen = rv.load(path)
        values = {*seen["a"].numpy().tolist(), *seen["b"].numpy().tolist()}
        assert len(values) == 1 and values <= {0.0, 1.0, 2.0}
    assert [process.wait() for process in saving] == [0, 0]
    assert list(path.parent.iterdir()) == [path]


def test_killed_in_the_middle(path: Path) -> None:
    """The old file is whole; what was left of the new one goes with the next save."""
    rv.save({"old": rv.zeros(1)}, path)
    before = path.read_bytes()
    code = (
        "import sys, ranvier as rv; large = rv.zeros(8 << 20)\n"
        "print(flush=True); rv.save({str(i): large for i in range(60)}, sys.argv[1])"
    )
    process = subprocess.Popen(
        [sys.executable, "-B", "-c", code, str(path)], stdout=subprocess.PIPE
    )
    assert process.stdout and process.stdout.readline()
    while len(list(path.parent.iterdir())) == 1:
        time.sleep(0.001)
    process.kill()
    process.wait()
    process.stdout.close()
    assert path.read_bytes() == before
    left = [p.name for p in path.parent.iterdir() if p != path]
    assert len(left) == 1 and re.fullmatch(r"\.weights\.safetensors\.[0-9a-f]{12}\.tmp", left[0])
    rv.save({"new": rv.zeros(1)}, path)
    assert list(rv.load(path)) == ["new"]


def test_interrupt_leaves_the_old_file(path: Path) -> None:
    """Ctrl-C while bytes are written; once they are, the new file may be whole instead."""
    rv.save({"old": rv.zeros(1)}, path)
    before = path.read_bytes()
    large = rv.zeros(8 << 20)
    interrupted = False
    for milliseconds in (5, 10, 20, 40, 2):
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        signal.setitimer(signal.ITIMER_REAL, milliseconds / 1000)
        try:
            rv.save({str(i): large for i in range(6)}, path)
            while True:
                time.sleep(0.01)
        except KeyboardInterrupt:
            pass
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
        assert list(path.parent.iterdir()) == [path]
        if path.read_bytes() == before:
            interrupted = True
            break
        assert len(rv.load(path)) == 6
        path.write_bytes(before)
    assert interrupted


def test_other_threads_go_on_meanwhile(path: Path) -> None:
    """Bytes are written without the interpreter's lock: another thread counts."""
    count, done = 0, threading.Event()

    def counting() -> None:
        nonlocal count
        while not done.is_set():
            count += 1
            time.sleep(0)

    large = rv.zeros(8 << 20)
    other = threading.Thread(target=counting)
    other.start()
    try:
        before = count
        rv.save({str(i): large for i in range(4)}, path)
        assert count > before
    finally:
        done.set()
        other.join()


def test_full_disk(path: Path) -> None:
    """A real limit on the size of a file, in a process of its own."""
    rv.save({"old": rv.zeros(1)}, path)
    before = path.read_bytes()

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))

    code = f"import ranvier as rv; rv.save({{'new': rv.zeros(10000)}}, {str(path)!r})"
    done = subprocess.run(
        [sys.executable, "-B", "-c", code], preexec_fn=limit, capture_output=True, text=True
    )
    assert done.returncode == 1 and "OSError" in done.stderr
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


# --- damaged files --------------------------------------------------------------------------------

BIG = 2**63 - 1
DAMAGED = {
    "empty file": (b"", "at least 8 bytes"),
    "seven bytes": (b"\0" * 7, "at least 8 bytes"),
    "no header": (file_of(b""), "begins with"),
    "header too long": (file_of({}, length=1000), "header of 1000 bytes"),
    "header enormous": (file_of({}, length=2**64 - 1), "at most 100000000"),
    "not JSON": (file_of(b"{nonsense}"), "header in JSON"),
    "cut JSON": (file_of(b'{"a": '), "header in JSON"),
    "not UTF-8": (file_of(b'{"\xff": 1}'), "header in JSON"),
    "deep JSON": (file_of(b'{"a":' + b"[" * 200_000), "header in JSON"),
    "huge number": (file_of(b'{"a":' + b"9" * 5000 + b"}"), "header in JSON"),
    "a list": (file_of([]), "begins with"),
    "blank first": (file_of(b" {}"), "begins with"),
    "name twice": (file_of(b'{"a":1,"a":1}'), "every name once"),
    "field twice": (file_of(b'{"a":{"dtype":"F32","dtype":"F32"}}'), "every name once"),
    "metadata of numbers": (file_of({"__metadata__": {"a": 1}}), "__metadata__ with strings"),
    "metadata a list": (file_of({"__metadata__": []}), "__metadata__ with strings"),
    "entry a number": (file_of({"a": 1}), "with dtype, shape and data_offsets"),
    "field missing": (file_of({"a": {"dtype": "F32", "shape": []}}), "with dtype, shape and"),
    "field too many": (file_of({"a": {**F32, "x": 1}}, b"\0" * 8), "with dtype, shape and"),
    "dtype unknown": (file_of({"a": {**F32, "dtype": "F33"}}, b"\0" * 8), "a dtype such as"),
    "dtype a list": (file_of({"a": {**F32, "dtype": ["F32"]}}, b"\0" * 8), "a dtype such as"),
    "shape a number": (file_of({"a": {**F32, "shape": 2}}, b"\0" * 8), "sizes from 0"),
    "shape negative": (file_of({"a": {**F32, "shape": [-2]}}, b"\0" * 8), "sizes from 0"),
    "shape a fraction": (file_of({"a": {**F32, "shape": [2.0]}}, b"\0" * 8), "sizes from 0"),
    "shape true": (file_of({"a": {**F32, "shape": [True, 2]}}, b"\0" * 8), "sizes from 0"),
    "shape null": (file_of({"a": {**F32, "shape": None}}, b"\0" * 8), "sizes from 0"),
    "nine axes": (file_of({"a": {**F32, "shape": [1] * 8 + [2]}}, b"\0" * 8), "at most 8 sizes"),
    "size too large": (file_of({"a": {**F32, "shape": [2**64]}}, b"\0" * 8), "sizes from 0"),
    "sizes overflow": (file_of({"a": {**F32, "shape": [2**32, 2**32]}}), "fits into memory"),
    "zero times huge": (
        file_of({"a": {**F32, "shape": [0, BIG, BIG], "data_offsets": [0, 0]}}),
        "fits into memory",
    ),
    "more than there is": (
        file_of({"a": {**F32, "shape": [2**40], "data_offsets": [0, 2**42]}}, b"\0" * 8),
        "bytes of data",
    ),
    "shape mismatch": (file_of({"a": {**F32, "shape": [3]}}, b"\0" * 8), "12 bytes for tensor"),
    "offsets backwards": (
        file_of({"a": {**F32, "data_offsets": [8, 0]}}, b"\0" * 8),
        "two offsets",
    ),
    "offsets negative": (
        file_of({"a": {**F32, "data_offsets": [-8, 0]}}, b"\0" * 8),
        "two offsets",
    ),
    "three offsets": (file_of({"a": {**F32, "data_offsets": [0, 8, 8]}}, b"\0" * 8), "two offsets"),
    "gap before": (file_of({"a": {**F32, "data_offsets": [8, 16]}}, b"\0" * 16), "a gap"),
    "overlap": (
        file_of({"a": F32, "b": {**F32, "data_offsets": [4, 12]}}, b"\0" * 12),
        "an overlap",
    ),
    "data missing": (file_of({"a": F32}, b"\0" * 7), "8 bytes of data, got 7"),
    "data left over": (file_of({"a": F32}, b"\0" * 9), "8 bytes of data, got 9"),
    "data without tensors": (file_of({}, b"\0"), "0 bytes of data, got 1"),
    "bool of 2": (
        file_of({"a": {"dtype": "BOOL", "shape": [2], "data_offsets": [0, 2]}}, b"\1\2"),
        "0 or 1 in tensor",
    ),
    "any bytes": (b"\x81\x04\x95" + b"\0" * 30, "header of 9766017 bytes"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged(path: Path, name: str) -> None:
    content, message = DAMAGED[name]
    path.write_bytes(content)
    with pytest.raises(ValueError) as caught:
        rv.load(path)
    text = str(caught.value)
    assert text.startswith(f"[load] {path}: expected ") and ", got " in text
    assert message in text and len(text) < len(str(path)) + 400


def test_bfloat16_comes_back_bit_for_bit(path: Path) -> None:
    t = rv.tensor([[1.0, -2.5], [float("inf"), 1e-40]], dtype=rv.bfloat16).T
    rv.save({"t": t}, path)
    again = rv.load(path)["t"]
    assert b'"BF16"' in path.read_bytes()
    assert again.dtype is rv.bfloat16 and again.tolist() == t.tolist()


@pytest.mark.parametrize("dtype", ["C64", "F8_E4M3", "F8_E5M2"])
def test_types_that_we_do_not_hold(path: Path, dtype: str) -> None:
    path.write_bytes(file_of({"w": {**F32, "dtype": dtype}}, b"\0" * 8))
    with pytest.raises(ValueError, match=rf"\[load\] .*'w': expected one of F64.*got {dtype}"):
        rv.load(path)


def test_cut_and_changed_anywhere(path: Path) -> None:
    """Every shorter file and 2,000 files with changed bytes: an error or tensors, never a crash."""
    from ranvier.io import tensors

    named = {"a": rv.arange(5), "b": rv.tensor([True, False]), "c": rv.rand(3, 2)}
    good = tensors.to_bytes(named, {"k": "v"})
    for length in range(len(good)):
        with pytest.raises(ValueError, match=r"\[load\] cut: "):
            tensors.from_bytes(good[:length], "cut")
    path.write_bytes(good[:-1])
    with pytest.raises(ValueError, match="66 bytes of data, got 65"):
        rv.load(path)
    draw = random.Random(0)
    for _ in range(2000):
        bad = bytearray(good)
        for _ in range(draw.randint(1, 4)):
            bad[draw.randrange(len(bad))] = draw.randrange(256)
        try:
            found, _ = tensors.from_bytes(bytes(bad), "changed")
        except ValueError as error:
            assert str(error).startswith("[load]")
        else:
            assert sum(t.numel() * t.element_size() for t in found.values()) == 40 + 2 + 24


def test_corpus_of_the_fuzzer() -> None:
    """Tensors or an error, as libFuzzer saw; the seeds are what their script writes."""
    from ranvier.io import tensors

    folder = Path(__file__).parents[1] / "fuzz"
    found = {path.name: path.read_bytes() for path in (folder / "corpus" / "files").iterdir()}
    read = 0
    for content in found.values():
        with contextlib.suppress(ValueError):
            tensors.from_bytes(content, "corpus")
            read += 1
    assert 10 <= read < len(found)
    seeds = runpy.run_path(str(folder / "corpus.py"))["seeds"]()
    assert seeds and {name: found[name] for name in seeds} == seeds


def test_load_reads_what_is_there_now(path: Path) -> None:
    """Tensors do not depend on the file once they are read."""
    rv.save({"a": rv.ones(4)}, path)
    tensor = rv.load(path)["a"]
    path.write_bytes(b"")
    assert tensor.tolist() == [1, 1, 1, 1]


def test_large_files_are_mapped(path: Path) -> None:
    """Copied where they are changed; another file under the name changes nothing."""
    rv.save({"a": rv.arange(300_000), "b": rv.ones(3, dtype=rv.bool)}, path)
    before = path.read_bytes()
    first, second = rv.load(path)["a"], rv.load(path)["a"]
    first += 1
    assert path.read_bytes() == before
    assert second[299_999].item() == 299_999 and first[299_999].item() == 300_000
    rv.save({"a": first}, path)
    path.unlink()
    assert second.sum().item() == first.sum().item() - 300_000
    path.write_bytes(before)
    whole = rv.load(path, mmap=False)["a"]
    path.write_bytes(b"")
    assert whole[299_999].item() == 299_999


def test_bytes_are_those_of_the_file(path: Path) -> None:
    from ranvier.io import tensors

    named = {"a": rv.arange(6).reshape(2, 3).T, "b": rv.ones(0), "c": rv.tensor(True)}
    tensors.write(path, named, {"k": "ä"})
    data = tensors.to_bytes(named, {"k": "ä"})
    assert data == path.read_bytes()
    back, metadata = tensors.from_bytes(data, "memory")
    assert metadata == {"k": "ä"} and list(back) == list(named)
    assert all(np.array_equal(back[name].numpy(), t.numpy()) for name, t in named.items())
    with pytest.raises(ValueError, match=r"\[load\] memory: expected at least 8 bytes, got 0"):
        tensors.from_bytes(b"", "memory")


# --- other people's files and readers -------------------------------------------------------------


@pytest.fixture
def samples() -> Path:
    folder = Path(os.environ.get("RANVIER_DATA", "")) / "safetensors"
    if not os.environ.get("RANVIER_DATA") or not folder.is_dir():
        pytest.skip("RANVIER_DATA names no folder with safetensors/")
    return folder


def test_files_of_the_official_library(samples: Path) -> None:
    weights = rv.load(samples / "mnist-8.safetensors")
    assert {name: tuple(w.shape) for name, w in weights.items()} == {
        "conv1.weight": (8, 1, 5, 5),
        "conv1.bias": (8,),
        "conv2.weight": (16, 8, 5, 5),
        "conv2.bias": (16,),
        "fc.weight": (256, 10),
        "fc.bias": (10,),
    }
    assert all(np.isfinite(w.numpy()).all() for w in weights.values())
    zeros = rv.load(samples / "i32-2x2-zeros.safetensors")["test"]
    assert zeros.dtype is rv.int32 and zeros.tolist() == [[0, 0], [0, 0]]
    kinds = rv.load(samples / "dtypes.safetensors")
    assert {t.dtype.name for t in kinds.values()} == {
        *("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8"),
        *("uint64", "uint32", "uint16", "uint8", "bool"),
    }
    assert kinds["f32"].shape == (2, 3) and kinds["empty.f32"].shape == (0, 4)


def test_official_library_reads_ours(path: Path) -> None:
    official = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")
    tensors = {"b": rv.tensor([True, False, True]), "w": rv.rand(2, 3), "e": rv.zeros(0, 4)}
    rv.save(tensors, path)
    theirs = official.load_file(path)
    assert all(np.array_equal(theirs[name], t.numpy()) for name, t in tensors.items())
    official.save_file(theirs, path)
    ours = rv.load(path)
    assert all(np.array_equal(ours[name].numpy(), t.numpy()) for name, t in tensors.items())


# --- what is no path ------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [3, None, b"weights", 1.5, True])
def test_only_paths(tmp_path: Path, wrong: Any) -> None:
    """A number would be an open file: it is neither read nor closed."""
    with pytest.raises(TypeError, match=r"\[load\] path: expected a string or a path, got"):
        rv.load(wrong)
    with pytest.raises(TypeError, match=r"\[save\] path: expected a string or a path, got"):
        rv.save({}, wrong)
    with open(tmp_path / "open.safetensors", "w+b") as file:
        with pytest.raises(TypeError, match=r"\[load\] path"):
            rv.load(file.fileno())  # type: ignore[arg-type]
        assert not file.closed and os.fstat(file.fileno())
