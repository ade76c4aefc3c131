"""Nested dicts, lists and tuples of tensors, numbers and text, as named tensors and a description.

The description is JSON that a person can read, the value under the name "value". What JSON has no
word for is an object with one name that begins with `$`:

    {"$tensor": "model.0.weight"}    a tensor of the file
    {"$bytes": "key"}                bytes, kept as a tensor of uint8
    {"$tuple": [1, 2]}
    {"$dict": [[1, "one"]]}          a dict whose keys are not all text, or begin with $
    {"$ordered": [["a", 1]]}         an OrderedDict
    {"$float": "nan"}                also "inf" and "-inf"
    {"$int": "0x10000000000000000"}  a whole number beyond 64 bits

Reading believes nothing: whatever is not as `described` writes it is a ValueError. Objects of
classes are refused; nothing here makes one.
"""

from __future__ import annotations

import math
import os
import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ranvier import _C
from ranvier._C import Tensor

Path = str | os.PathLike[str]

_DEEPEST = 100  # JSON is then three times as deep, which Python's parser takes
_MOST = 10_000_000  # values; lists that hold each other several times would never end
_PLAIN_INT = 2**63
_LONGEST_NAME = 200

# The way to a value: the one above it, and the key or number under which it is there.
Way = tuple[Any, Any] | None


# --- writing --------------------------------------------------------------------------------------


def described(value: Any, root: str = "checkpoint") -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a nested value by unique names, and an object of JSON with their places.

    Parameters
    ----------
    value : Any
    root : str
        What messages call it.

    Raises
    ------
    TypeError
        For an object that is no data; the message names its place.
    ValueError
        For a value that cannot be written: nested in itself or too deeply, text that is none.
    """
    writer = _Writer(root)
    part = writer.part(value, None, 0)
    return writer.tensors, {"value": part}


class _Writer:
    """One value on its way into a file."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.tensors: dict[str, Tensor] = {}
        self.names: dict[Any, str] = {}  # of tensors that have one, by what memory they look at
        self.kept: list[Any] = []  # whose number or memory is in `names`
        self.endings: dict[str, int] = {}  # how often a name was asked for
        self.inside: set[int] = set()
        self.count = 0

    def part(self, value: Any, way: Way, depth: int) -> Any:
        """A value as JSON."""
        self.count += 1
        if self.count > _MOST:
            raise ValueError(
                f"[save] {self.root}: expected at most {_MOST} values, got more; numbers belong "
                "into tensors"
            )
        if value is None or value is True or value is False:
            return value
        if isinstance(value, Tensor):
            return {"$tensor": self.tensor(value, way)}
        if isinstance(value, str):
            return self.text(value, way)
        if isinstance(value, int):
            whole = int(value)
            return whole if -_PLAIN_INT <= whole < _PLAIN_INT else {"$int": hex(whole)}
        if isinstance(value, float) or (isinstance(value, np.floating) and value.itemsize < 8):
            number = float(value)
            return number if math.isfinite(number) else {"$float": repr(number)}
        if isinstance(value, (np.bool_, np.integer)):
            return self.part(value.item(), way, depth)
        if isinstance(value, np.ndarray):
            return {"$tensor": self.array(value, way)}
        if isinstance(value, bytes):
            raw = _C.from_numpy(np.frombuffer(value, np.uint8))
            return {"$bytes": self.tensor(raw, way)}
        if isinstance(value, (Mapping, list, tuple)):
            return self.container(value, way, depth)
        raise TypeError(
            f"[save] {self.place(way)}: expected a tensor, a number, text, bytes, None, or a dict, "
            f"list or tuple of them, got {type(value).__name__}{_advice(value)}"
        )

    def container(self, value: Any, way: Way, depth: int) -> Any:
        """A dict, list or tuple as JSON."""
        if id(value) in self.inside:
            raise ValueError(
                f"[save] {self.place(way)}: expected data that do not hold themselves, got a "
                f"{type(value).__name__} inside itself"
            )
        if depth == _DEEPEST:
            raise ValueError(
                f"[save] {self.place(way)}: expected at most {_DEEPEST} levels, got a deeper "
                f"{type(value).__name__}"
            )
        self.inside.add(id(value))
        if isinstance(value, Mapping):
            result = self.mapping(value, way, depth + 1)
        else:
            result = [self.part(one, (way, i), depth + 1) for i, one in enumerate(value)]
            result = {"$tuple": result} if isinstance(value, tuple) else result
        self.inside.discard(id(value))
        return result

    def mapping(self, value: Mapping[Any, Any], way: Way, depth: int) -> Any:
        """A dict as JSON; its order counts."""
        ordered = isinstance(value, OrderedDict)
        if not ordered and all(type(key) is str and key[:1] != "$" for key in value):
            return {
                self.text(key, (way, key)): self.part(one, (way, key), depth)
                for key, one in value.items()
            }
        pairs = [
            [self.key(key, (way, key), depth), self.part(one, (way, key), depth)]
            for key, one in value.items()
        ]
        return {"$ordered" if ordered else "$dict": pairs}

    def key(self, key: Any, way: Way, depth: int) -> Any:
        """The key of a dict as JSON."""
        if isinstance(key, tuple):
            if depth == _DEEPEST:
                raise ValueError(
                    f"[save] {self.place(way)}: expected at most {_DEEPEST} levels in a key, got "
                    "more"
                )
            return {"$tuple": [self.key(one, way, depth + 1) for one in key]}
        if not (key is None or isinstance(key, (str, int, float, np.bool_, np.integer))):
            raise TypeError(
                f"[save] {self.place(way)}: expected text, numbers, None or tuples of them as keys "
                f"of a dict, got {type(key).__name__}"
            )
        return self.part(key, way, depth)

    def text(self, value: str, way: Way) -> str:
        """Text that UTF-8 can hold."""
        try:
            value.encode()
        except UnicodeEncodeError as error:
            character = error.object[error.start : error.end]
            raise ValueError(
                f"[save] {self.place(way)}: expected text that UTF-8 can hold, got some with "
                f"{character!r}"
            ) from None
        return str.__str__(value)

    def array(self, value: Any, way: Way) -> str:
        """The name of an array's tensor."""
        if id(value) not in self.names:
            try:
                tensor = _C.from_numpy(value)
            except TypeError:
                raise TypeError(
                    f"[save] {self.place(way)}: expected an array of real numbers, got one of "
                    f"{value.dtype}"
                ) from None
            self.names[id(value)] = self.tensor(tensor, way)
            self.kept.append(value)
        return self.names[id(value)]

    def tensor(self, tensor: Tensor, way: Way) -> str:
        """The name of a tensor, the same for the same view of the same memory."""
        memory: Any = id(tensor)
        if tensor.numel():
            memory = (tensor.data_ptr(), tensor.dtype.name, tensor.shape, tensor.stride())
        if memory not in self.names:
            name = self.names[memory] = self.name(way)
            self.tensors[name] = tensor
            self.kept.append(tensor)
        return self.names[memory]

    def name(self, way: Way) -> str:
        """A name that no other tensor has, made of the keys on the way."""
        wanted = ".".join(map(_word, _keys(way))) or "tensor"
        if len(wanted) > _LONGEST_NAME:
            wanted = wanted[:_LONGEST_NAME] + "..."
        name = wanted
        while name in self.tensors or name == "__metadata__":
            self.endings[wanted] = self.endings.get(wanted, 1) + 1
            name = f"{wanted}#{self.endings[wanted]}"
        return name

    def place(self, way: Way) -> str:
        """Where a value is, as Python would write it."""
        return self.root + "".join(
            f"[{key!r:.60}]" if isinstance(key, str) else f"[{_word(key):.60}]"
            for key in _keys(way)
        )


def _keys(way: Way) -> list[Any]:
    keys: list[Any] = []
    while way is not None:
        way, key = way
        keys.append(key)
    return keys[::-1]


def _word(key: Any) -> str:
    """A key in the name of a tensor; Python writes no numbers of thousands of digits."""
    try:
        return str(key)
    except ValueError:
        return f"{type(key).__name__} of many digits"


def _advice(value: Any) -> str:
    """What to write in place of an object."""
    if callable(getattr(value, "state_dict", None)):
        return "; write its state_dict()"
    if isinstance(value, (set, frozenset)):
        return "; sorted(...) makes a list of it"
    if isinstance(value, os.PathLike):
        return "; str(...) makes text of it"
    if isinstance(value, (complex, np.complexfloating)):
        return "; write its real and its imaginary part"
    if hasattr(value, "__dict__") and not callable(value):
        return "; vars(...) makes a dict of an object"
    return ""


# --- reading --------------------------------------------------------------------------------------


def damaged(path: Path, expected: str, got: str) -> ValueError:
    """What to raise where a description is not as we write it."""
    return ValueError(
        f"[load] {os.fspath(path)}: expected {expected}, got {got}; the file is damaged or was "
        "changed by another program"
    )


def value_of(path: Path, tensors: Mapping[str, Tensor], description: Mapping[str, Any]) -> Any:
    """The nested value that `described` wrote.

    Parameters
    ----------
    path : str or path
        What messages name.
    tensors : mapping of str to Tensor
    description : dict
        An object of JSON.

    Raises
    ------
    ValueError
        If it is not what `described` writes, or does not go with the tensors.
    """
    reader = _Reader(path, tensors)
    if list(description) != ["value"]:
        raise damaged(path, "'value' in the description", f"{list(description)!r:.60}")
    value = reader.value(description["value"], 0)
    unused = [name for name in tensors if name not in reader.used]
    if unused:
        raise damaged(
            path, "a description that names every tensor", f"no word of {unused[0]!r:.60}"
        )
    return value


_FLOATS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


class _Reader:
    """One value on its way out of a file."""

    def __init__(self, path: Path, tensors: Mapping[str, Tensor]) -> None:
        self.path, self.tensors = path, tensors
        self.used: set[str] = set()

    def value(self, part: Any, depth: int) -> Any:
        """What a part of the description stands for."""
        if depth > _DEEPEST:
            raise self.wrong(f"at most {_DEEPEST} levels", "more")
        if isinstance(part, list):
            return [self.value(one, depth + 1) for one in part]
        if not isinstance(part, dict):
            return self.single(part)
        word = next((name for name in part if name[:1] == "$"), None)
        if word is None:
            return {self.single(key): self.value(one, depth + 1) for key, one in part.items()}
        if len(part) > 1:
            raise self.wrong(f"{word!r:.40} alone", f"it with {len(part) - 1} others")
        return self.tagged(word, part[word], depth)

    def single(self, part: Any) -> Any:
        """A value of JSON itself."""
        if isinstance(part, float) and not math.isfinite(part):
            raise self.wrong("numbers of 64 bits", f"{part}")
        if isinstance(part, str):
            try:
                part.encode()
            except UnicodeEncodeError:
                raise self.wrong("text that UTF-8 can hold", f"{part!r:.60}") from None
        return part

    def tagged(self, name: str, content: Any, depth: int) -> Any:
        """What an object with one name that begins with $ stands for."""
        if name == "$tensor":
            return self.tensor(content)
        if name == "$bytes":
            raw = self.tensor(content)
            if raw.dtype is not _C.uint8 or raw.ndim != 1:
                raise self.wrong("bytes as uint8 of one axis", f"{raw.dtype.name} {raw.shape}")
            return raw.numpy().tobytes()
        if name == "$float" and isinstance(content, str) and content in _FLOATS:
            return _FLOATS[content]
        if name == "$int" and isinstance(content, str) and re.fullmatch("-?0x[0-9a-f]+", content):
            return int(content, 16)
        if name == "$tuple" and isinstance(content, list):
            return tuple(self.value(one, depth + 1) for one in content)
        if name in ("$dict", "$ordered") and isinstance(content, list):
            return self.mapping(content, OrderedDict() if name == "$ordered" else {}, depth + 1)
        raise self.wrong("words that this version knows", f"{name!r:.40} with {content!r:.40}")

    def mapping(self, pairs: Iterable[Any], result: Any, depth: int) -> Any:
        """A dict of pairs."""
        for pair in pairs:
            if not isinstance(pair, list) or len(pair) != 2:
                raise self.wrong("pairs of a key and a value", f"{pair!r:.60}")
            key = self.value(pair[0], depth)
            if not _is_key(key):
                raise self.wrong("text, numbers, None or tuples of them as keys", f"{key!r:.60}")
            if key in result:
                raise self.wrong("every key of a dict once", f"{key!r:.60} twice")
            result[key] = self.value(pair[1], depth)
        return result

    def tensor(self, name: Any) -> Tensor:
        """The tensor of that name."""
        if not isinstance(name, str) or name not in self.tensors:
            raise self.wrong("a description with the names of its tensors", f"{name!r:.60}")
        self.used.add(name)
        return self.tensors[name]

    def wrong(self, expected: str, got: str) -> ValueError:
        return damaged(self.path, expected, got)


def _is_key(key: Any) -> bool:
    if isinstance(key, tuple):
        return all(map(_is_key, key))
    return key is None or isinstance(key, (str, int, float))
