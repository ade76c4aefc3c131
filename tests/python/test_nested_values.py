"""Nested values in files: they come back equal, and what is no data is refused by its place."""

from __future__ import annotations

import io
import json
import math
import random
import struct
from collections import OrderedDict, defaultdict, namedtuple
from enum import IntEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ranvier as rv
from ranvier import nn, optim
from ranvier.io import kinds, nested
from ranvier.io import tensors as files


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "checkpoint.pt"


def same(a: Any, b: Any) -> bool:
    """Equal in type, order and bits."""
    if isinstance(a, rv.Tensor):
        return (
            isinstance(b, rv.Tensor)
            and (a.dtype, a.shape) == (b.dtype, b.shape)
            and a.numpy().tobytes() == b.numpy().tobytes()
        )
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return struct.pack("d", a) == struct.pack("d", b)
    if isinstance(a, dict):
        return len(a) == len(b) and all(
            same(x, y) and same(a[x], b[y]) for x, y in zip(a, b, strict=True)
        )
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


def there_and_back(value: Any) -> Any:
    buffer = io.BytesIO()
    rv.save(value, buffer)
    buffer.seek(0)
    return rv.load(buffer)


# --- there and back -------------------------------------------------------------------------------

numbers = st.one_of(
    st.integers(), st.integers(-(2**200), 2**200), st.floats(allow_nan=False), st.booleans()
)
text = st.text(st.characters(exclude_categories=["Cs"]))
keys = st.recursive(
    st.one_of(text, numbers, st.none()), lambda k: st.lists(k, max_size=2).map(tuple), max_leaves=4
)
arrays = st.sampled_from(["float32", "float64", "int64", "uint8", "bool", "uint64"]).flatmap(
    lambda dtype: st.lists(st.integers(0, 1), max_size=4).map(
        lambda values: rv.from_numpy(np.array(values, dtype))
    )
)
values = st.recursive(
    st.one_of(numbers, text, st.none(), st.binary(max_size=9), arrays),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.one_of(text, st.just("$tensor")), inner, max_size=4),
        st.dictionaries(keys, inner, max_size=3),
        st.dictionaries(text, inner, max_size=3).map(OrderedDict),
    ),
    max_leaves=20,
)


@settings(max_examples=150, deadline=None)
@given(values)
def test_any_value_comes_back(value: Any) -> None:
    assert same(there_and_back([value]), [value])


@pytest.mark.parametrize(
    "value",
    [
        math.inf, -math.inf, math.nan, -0.0, 5e-324, 0.1, 2**63 - 1, 2**63, -(2**63) - 1, True,
        None, "", "ä/\n\x00\"'\\$", b"", b"\x00\xff", [], (), {}, ((),), [[[]]],
        {"": 0}, {"$tensor": "x"}, {True: 1, 2: 2, 2.5: 3, None: 4, (1, ("a",)): 5},
        {"a": {"a": OrderedDict()}}, {0: 1 << 20_000, 1 << 20_000: {"w": rv.ones(1)}},
    ],
    ids=lambda value: None if isinstance(value, (int, float, str)) else type(value).__name__,
)  # fmt: skip
def test_values_at_the_border(path: Path, value: Any) -> None:
    rv.save(value, path)
    assert same(rv.load(path), value)
    rv.save([value, {"x": value}], path)
    assert same(rv.load(path), [value, {"x": value}])


def test_a_checkpoint_as_pytorch_users_write_it(path: Path) -> None:
    rv.manual_seed(0)

    def build() -> Any:
        net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))
        optimizer = optim.AdamW(net.parameters(), lr=0.01)
        return net, optimizer, optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=10)

    net, optimizer, schedule = build()
    for _ in range(3):
        optimizer.zero_grad()
        net(rv.randn(8, 3)).square().sum().backward()
        optimizer.step()
        schedule.step()
    whole = {
        "model_state_dict": net.state_dict(),
        "optimizer_state_dict": optimizer.state_dict(),
        "scheduler": schedule.state_dict(),
        "epoch": 3,
        "loss": np.float64(0.1),
        "rng": rv.get_rng_state(),
    }
    rv.save(whole, path)
    back = rv.load(path, map_location=rv.device("cpu"), weights_only=False)
    again, other, later = build()
    again.load_state_dict(back["model_state_dict"])
    other.load_state_dict(back["optimizer_state_dict"])
    later.load_state_dict(back["scheduler"])
    assert same(dict(again.state_dict()), dict(net.state_dict()))
    assert same(other.state_dict(), optimizer.state_dict())
    assert same(later.state_dict(), schedule.state_dict())
    assert back["epoch"] == 3 and back["loss"] == 0.1 and type(back["loss"]) is float


def test_what_changes_its_type(path: Path) -> None:
    """NumPy's arrays become tensors, its numbers Python's, classes of dicts and tuples plain."""
    Point = namedtuple("Point", "x y")
    Level = IntEnum("Level", "low high")
    source = {
        "array": np.arange(6.0).reshape(2, 3).T,
        "big": np.arange(3, dtype=">i4"),
        "numbers": [np.float32(0.1), np.int8(-3), np.bool_(True), np.uint64(2**64 - 1)],
        "text": np.str_("ä"),
        "point": Point(1, 2.0),
        "level": Level.high,
        "default": defaultdict(list, {"a": [1]}),
        "size": rv.ones(2, 3).shape,
        "proxy": MappingProxyType({"a": 1}),
        "learned": nn.Parameter(rv.ones(2)),
    }
    rv.save(source, path)
    back = rv.load(path)
    assert np.array_equal(back["array"].numpy(), source["array"])
    assert back["big"].tolist() == [0, 1, 2]
    expected = [float(np.float32(0.1)), -3, True, 2**64 - 1]
    assert back["numbers"] == expected
    assert list(map(type, back["numbers"])) == [float, int, bool, int]
    kinds = {name: type(value) for name, value in back.items()}
    assert kinds["text"] is str and kinds["level"] is int and back["level"] == 2
    assert back["point"] == (1, 2.0) and kinds["point"] is tuple and back["size"] == (2, 3)
    assert kinds["default"] is dict and back["proxy"] == {"a": 1}
    assert not back["learned"].requires_grad and type(back["learned"]) is rv.Tensor


def test_one_memory_is_written_once_and_shared_again(path: Path) -> None:
    base = rv.arange(6.0)
    array = np.arange(3.0)
    whole = {
        "a": base, "b": [base, base[:]], "part": base[:3], "turned": base.reshape(2, 3).T,
        "array": array, "again": array, "empty": rv.zeros(0), "other": rv.zeros(0),
    }  # fmt: skip
    rv.save(whole, path)
    assert sorted(files.read(path)[0]) == ["a", "array", "empty", "other", "part", "turned"]
    back = rv.load(path)
    assert (
        back["b"][0] is back["a"] and back["b"][1] is back["a"] and back["array"] is back["again"]
    )
    back["a"].fill_(7)
    assert back["b"][0].tolist() == [7] * 6 and back["part"].tolist() == [0, 1, 2]
    tied = nn.Linear(2, 2)
    rv.save([tied.state_dict(), tied.state_dict()], path)
    assert len(files.read(path)[0]) == 2


def test_names_of_tensors(path: Path) -> None:
    """By the way to them; where that is taken or too long, others."""
    t = iter(rv.ones(12, 1))
    deep = {"a": {"b": next(t)}, "a.b": next(t), "__metadata__": next(t), "": {"": next(t)}}
    rv.save({**deep, 0: [next(t), next(t)], "x" * 10_000: next(t)}, path)
    assert list(files.read(path)[0]) == [
        "a.b", "a.b#2", "__metadata__#2", ".", "0.0", "0.1", "x" * 200 + "...",
    ]  # fmt: skip
    rv.save(next(t), path)
    assert list(files.read(path)[0]) == ["tensor"] and rv.load(path).tolist() == [1]
    rv.save({"__metadata__": next(t)}, path)
    assert rv.load(path)["__metadata__"].tolist() == [1]


def test_kinds_and_same_bytes(path: Path) -> None:
    rv.save({"w": rv.ones(1)}, path)
    assert files.read(path)[1] == kinds.metadata(kinds.STATE)
    value = {"w": rv.ones(1), "n": [1, 2.5, None, "ä"], 3: (True,)}
    rv.save(value, path)
    first = path.read_bytes()
    rv.save(value, path)
    assert path.read_bytes() == first
    assert files.read(path)[1]["kind"] == "value"
    pairs = [["w", {"$tensor": "w"}], ["n", [1, 2.5, None, "ä"]], [3, {"$tuple": [True]}]]
    assert json.loads(files.read(path)[1]["description"]) == {"value": {"$dict": pairs}}


def test_official_library_reads_the_tensors(path: Path) -> None:
    official = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")
    rv.save({"model": nn.Linear(2, 3).state_dict(), "epoch": 1}, path)
    assert {k: v.shape for k, v in official.load_file(path).items()} == {
        "model.weight": (3, 2),
        "model.bias": (3,),
    }


# --- arguments of PyTorch's -----------------------------------------------------------------------


def test_arguments_of_pytorchs(path: Path) -> None:
    rv.save([1], path, pickle_protocol=2, _use_new_zipfile_serialization=False)
    for place in (None, "cpu", rv.device("cpu"), {"cuda:0": "cpu"}, lambda storage, _: storage):
        assert rv.load(path, map_location=place, weights_only=False, mmap=True) == [1]
    assert rv.load(path, "cpu") == [1]
    with pytest.raises(RuntimeError, match="load"):
        rv.load(path, map_location="cuda")
    with pytest.raises(TypeError, match=r"\[load\] device"):
        rv.load(path, map_location=1.5)


@pytest.mark.parametrize("name", ["a.pt", "a.pth", "a.keras", "a.h5", "a.ckpt", "a", "ä b.tar"])
def test_any_name_of_a_file(tmp_path: Path, name: str) -> None:
    rv.save({"epoch": 1}, tmp_path / name)
    assert rv.load(str(tmp_path / name)) == {"epoch": 1}


def test_open_files(path: Path) -> None:
    buffer = io.BytesIO()
    buffer.write(b"before")
    rv.save({"w": rv.ones(2), "n": 1}, buffer)
    buffer.seek(6)
    assert same(rv.load(buffer), {"w": rv.ones(2), "n": 1})
    with pytest.raises(ValueError, match=r"\[load\] BytesIO: expected at least 8 bytes, got 0"):
        rv.load(buffer)  # at its end
    with open(path, "w+b") as file:
        rv.save(nn.Linear(1, 1), file)
        file.seek(0)
        assert list(rv.load(file).state_dict()) == ["weight", "bias"]
        file.seek(1)
        with pytest.raises(ValueError, match=r"\[load\] .*checkpoint.pt: expected"):
            rv.load(file)
    for function in (lambda f: rv.save([1], f), rv.load):
        with pytest.raises(TypeError, match="path: expected a path or a binary file, got StringIO"):
            function(io.StringIO())


# --- what is no data ------------------------------------------------------------------------------


class Thing:
    pass


REFUSED: dict[str, tuple[Any, str]] = {
    "object": (Thing(), "got Thing; vars"),
    "model": (nn.Linear(1, 1), r"got Linear; write its state_dict\(\)"),
    "set": ({1}, r"got set; sorted"),
    "complex": (1j, "got complex; write its real"),
    "complex array": (np.zeros(1, complex), "expected an array of real numbers, got .*complex128"),
    "objects": (np.array([None]), "expected an array of real numbers, got .*object"),
    "text array": (np.array(["a"]), "expected an array of real numbers"),
    "function": (len, "got builtin_function_or_method$"),
    "class": (Thing, "got type$"),
    "path": (Path("a"), r"got PosixPath; str\(...\)"),
    "long double": (np.longdouble(1), "got longdouble"),
    "date": (np.datetime64("2020-01-01"), "got datetime64"),
    "surrogate": ("a\udc80", r"expected text that UTF-8 can hold, got some with '\\udc80'"),
    "bytearray": (bytearray(b"a"), "got bytearray"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_data(path: Path, name: str) -> None:
    value, message = REFUSED[name]
    rv.save({"old": 1}, path)
    before = path.read_bytes()
    with pytest.raises(
        (TypeError, ValueError), match=rf"^\[save\] checkpoint\['a'\]\[3\]: .*{message}"
    ):
        rv.save({"a": [1, 2, rv.ones(1), value]}, path)
    with pytest.raises((TypeError, ValueError), match=r"^\[save\] checkpoint\[\(1,\)\]\['b'\]: "):
        rv.save({(1,): {"b": value}}, path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("key", [b"a", frozenset(), rv.float32, (1, b"a"), "\ud800", ("\ud800",)])
def test_what_is_no_key(path: Path, key: Any) -> None:
    with pytest.raises(
        (TypeError, ValueError), match=r"^\[save\] checkpoint\['a'\]\[.*expected text"
    ):
        rv.save({"a": {key: 1}}, path)


def test_data_that_hold_themselves(path: Path) -> None:
    ring: list[Any] = [1]
    ring.append({"a": (ring,)})
    with pytest.raises(ValueError, match=r"\[save\] checkpoint\[1\]\['a'\]\[0\]: .*a list inside"):
        rv.save(ring, path)
    twice = [1]
    rv.save([twice, twice], path)  # not inside itself
    assert rv.load(path) == [[1], [1]]


def test_depth(path: Path) -> None:
    def deep(levels: int, make: Any) -> Any:
        value: Any = 1
        for _ in range(levels):
            value = make(value)
        return value

    for make in (lambda v: [v], lambda v: (v,), lambda v: {"a": v}, lambda v: {1: v}):
        rv.save(deep(100, make), path)
        assert rv.load(path) == deep(100, make)
        with pytest.raises(ValueError, match=r"\[save\] checkpoint\[.*at most 100 levels"):
            rv.save(deep(101, make), path)
        with pytest.raises(ValueError, match=r"\[save\] checkpoint\[.*at most 100 levels"):
            rv.save(deep(100_000, make), path)
    with pytest.raises(ValueError, match="at most 100 levels in a key"):
        rv.save({deep(101, lambda v: (v,)): 1}, path)


def test_too_many_values(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nested, "_MOST", 1000)
    value: Any = [1]
    for _ in range(60):
        value = [value, value]  # 2^60 values, though few objects
    with pytest.raises(ValueError, match="expected at most 1000 values"):
        rv.save(value, path)


# --- descriptions of strangers --------------------------------------------------------------------

T = {"w": rv.ones(2), "bytes": rv.tensor([1, 2], dtype=rv.uint8)}
WRONG = {
    "too deep": ("[" * 102 + "]" * 102, "at most 100 levels"),
    "infinite": ("1e999", "numbers of 64 bits"),
    "a name twice": ('{"a":1,"a":2}', "a name occurs twice"),
    "unknown word": ('{"$pickle":"x"}', "words that this version knows"),
    "two words": ('{"$tensor":"w","$tuple":[]}', "'$tensor' alone"),
    "a word among names": ('{"a":1,"$tensor":"w"}', "'$tensor' alone"),
    "no such tensor": ('{"$tensor":"v"}', "names of its tensors, got 'v'"),
    "a tensor of numbers": ('{"$tensor":1}', "names of its tensors, got 1"),
    "a list of names": ('{"$tensor":["w"]}', "names of its tensors"),
    "unused": ('{"$tensor":"w"}', "names every tensor, got no word of 'bytes'"),
    "bytes of floats": ('{"$bytes":"w"}', "bytes as uint8"),
    "float": ('{"$float":"1.0"}', "words that this version knows"),
    "float list": ('{"$float":[]}', "words that this version knows"),
    "int": ('{"$int":"10"}', "words that this version knows"),
    "int of a kind": ('{"$int":"0x1_0"}', "words that this version knows"),
    "tuple": ('{"$tuple":{}}', "words that this version knows"),
    "dict": ('{"$dict":{}}', "words that this version knows"),
    "no pair": ('{"$dict":[[1]]}', "pairs of a key and a value"),
    "a pair of text": ('{"$dict":["ab"]}', "pairs of a key and a value"),
    "a list as key": ('{"$dict":[[[1],1]]}', "as keys, got"),
    "a tensor as key": ('{"$dict":[[{"$tensor":"w"},1]]}', "as keys, got"),
    "a key twice": ('{"$dict":[[1,1],[true,2]]}', "every key of a dict once"),
    "surrogate": ('"\\ud800"', "text that UTF-8 can hold"),
    "surrogate name": ('{"\\ud800":1}', "text that UTF-8 can hold"),
}


@pytest.mark.parametrize("name", WRONG)
def test_descriptions_that_are_wrong(path: Path, name: str) -> None:
    text, message = WRONG[name]
    files.write(path, T, {**kinds.metadata(kinds.VALUE), "description": f'{{"value":{text}}}'})
    with pytest.raises(ValueError) as caught:
        rv.load(path)
    told = str(caught.value)
    assert told.startswith(f"[load] {path}: expected ") and message in told
    assert len(told) < len(str(path)) + 400


def test_descriptions_of_something_else(path: Path) -> None:
    for other in ({}, {"values": 1}, {"value": 1, "more": 2}):
        files.write(path, {}, kinds.metadata(kinds.VALUE, other))
        with pytest.raises(ValueError, match="expected 'value' in the description, got"):
            rv.load(path)
    files.write(path, T, {"format": "pt", "kind": "pickle", "format_version": "99"})
    assert list(rv.load(path)) == list(T)  # somebody else's


def test_changed_descriptions(path: Path) -> None:
    """3,000 descriptions with changed characters: an error or a value, never a crash."""
    tensors, value = nested.described({"a": T["w"], 1: (1, 2**80, math.nan), "$": {"b": [b"x"]}})
    text = json.dumps(value)
    draw = random.Random(0)
    for _ in range(3000):
        changed = list(text)
        for _ in range(draw.randint(1, 4)):
            changed[draw.randrange(len(changed))] = draw.choice('{}[]":,$tnif0x1.-e\\u "')
        try:
            found = kinds.described(path, {"description": "".join(changed)})
            nested.value_of(path, tensors, found)
        except ValueError as error:
            assert str(error).startswith(f"[load] {path}")
