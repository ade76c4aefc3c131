"""Values of configurations as plain data, and back: objects and functions by their names.

Plain data are numbers, text, None, tensors, and lists, tuples and dicts of them, as
`ranvier.io.nested` writes them. Whatever else there is becomes a dict with the key "is":

    {"is": "object", "module": "keras.losses", "class": "Huber", "config": {...}}
    {"is": "function", "module": "keras.activations", "name": "relu"}
    {"is": "array", "value": tensor}, {"is": "dtype", "name": "float32"}
    {"is": "slice", "parts": [0, None, 2]}, {"is": "ellipsis"}
    {"is": "tensor", "of": [3, 0]}            the first thing that comes out of the call number 3
    {"is": "out", "shape": [None, 4], "dtype": "float32"}   what comes out of a call
    {"is": "dict", "items": [[key, value]]}   a dict that has a key "is" itself

The module "own" stands for what a program has registered. Names are looked up in tables alone.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from ranvier._C import Tensor
from ranvier._C import dtype as DType
from ranvier._dtypes import named as named_dtype
from ranvier.io.kinds import plain
from ranvier.keras._names import custom_objects, registered_name

OWN = "own"
_MODULES = (
    "layers", "activations", "initializers", "regularizers", "constraints", "losses", "metrics",
    "optimizers", "optimizers.schedules", "ops",
)  # fmt: skip
PLACES = tuple(f"keras.{module}" for module in _MODULES)
_OF_FUNCTIONS = {"FunctionLoss": "function", "FunctionMetric": "fn"}  # and their first arguments
_LISTED = 12
_MOST_AXES = 8


class DescribeError(Exception):
    """What a file cannot say of a model, in words."""


@dataclass(frozen=True)
class Ref:
    """What comes out of a call: its number, and which of the things that come out."""

    call: int
    place: int


@dataclass(frozen=True)
class Out:
    """Shape and dtype of what comes out of a call."""

    shape: tuple[int | None, ...]
    dtype: str


# --- names ----------------------------------------------------------------------------------------


@functools.cache
def table(module: str) -> Mapping[str, Any]:
    """Classes and functions of a part of keras, under the names that a file may use."""
    if module not in _MODULES:
        return {}
    part = importlib.import_module(f"ranvier.keras.{module}")
    names = getattr(part, "__all__", None)
    if names is None:
        names = [name for name in vars(part) if name[0] != "_"]
    found = {name: vars(part)[name] for name in names if name in vars(part)}
    own = {n: v for n, v in found.items() if _is_ours(v) and getattr(v, "__name__", n) == n}
    for name in ("get", "serialize", "deserialize"):  # they are no values of configurations
        own.pop(name, None)
    if module == "metrics":
        own["FunctionMetric"] = part.FunctionMetric
    if module == "losses":
        own["FunctionLoss"] = part.FunctionLoss
    return own


def _is_ours(value: Any) -> bool:
    return callable(value) and str(getattr(value, "__module__", "")).startswith("ranvier.")


@functools.cache
def _known() -> Mapping[int, tuple[str, str]]:
    """Where each of our classes and functions stands, by identity."""
    found: dict[int, tuple[str, str]] = {}
    for module in _MODULES:
        for name, value in table(module).items():
            found.setdefault(id(value), (f"keras.{module}", name))
    return found


def place_of(thing: Any) -> tuple[str, str]:
    """The module and name under which a class or function is found again.

    Raises
    ------
    DescribeError
        For a function without a name.
    """
    known = _known().get(id(thing))
    if known is not None:
        return known
    name = registered_name(thing)
    if name is None or "<" in name:
        raise DescribeError(f"{name or type(thing).__name__} is a function without a name")
    return OWN, name


def thing_at(module: str, name: str) -> Any:
    """The class or function of a name.

    Raises
    ------
    ValueError
        If there is none.
    """
    if module == OWN:
        if name not in custom_objects:
            raise ValueError(words_of_missing([name]))
        return custom_objects[name]
    found = table(module.removeprefix("keras.")).get(name)
    if found is None or not module.startswith("keras."):
        raise ValueError(
            f"expected a name of keras, got {plain(f'{module}.{name}')!r}; the file may be of a "
            "newer version of Ranvier"
        )
    return found


def searched(name: str) -> Any:
    """The class or function of a name, of one's own or of any part of keras.

    Raises
    ------
    ValueError
        If there is none.
    """
    if name in custom_objects:
        return custom_objects[name]
    for module in _MODULES:
        if name in table(module):
            return table(module)[name]
    models = importlib.import_module("ranvier.keras.models")
    if name in ("Model", "Functional", "Sequential"):
        return models.Sequential if name == "Sequential" else models.Model
    raise ValueError(words_of_missing([name]))


def words_of_missing(names: list[str]) -> str:
    """What to say where classes and functions of one's own are not there."""
    shown = ", ".join(plain(name) for name in names[:_LISTED])
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    first = plain(names[0])
    return (
        f"expected classes and functions that are known, got {shown}{more}, of your own; give "
        f"custom_objects={{{first!r}: ...}}, or decorate them with "
        "@keras.saving.register_keras_serializable() before loading"
    )


@contextmanager
def known_as(objects: Mapping[str, Any] | None) -> Iterator[None]:
    """Within it these are known by their names too."""
    if not objects:
        yield
        return
    before = dict(custom_objects)
    custom_objects.update({str(name).rpartition(">")[2]: v for name, v in objects.items()})
    try:
        yield
    finally:
        custom_objects.clear()
        custom_objects.update(before)


# --- to plain data --------------------------------------------------------------------------------


def encoded(value: Any) -> Any:
    """A value as plain data.

    Raises
    ------
    DescribeError
        Where it has no words for something.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Tensor):
        return value.detach()
    if isinstance(value, np.ndarray):
        return {"is": "array", "value": value}
    if isinstance(value, Ref):
        return {"is": "tensor", "of": [value.call, value.place]}
    if isinstance(value, Out):
        return {"is": "out", "shape": list(value.shape), "dtype": value.dtype}
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value) or "is" in value:
            return {"is": "dict", "items": [[k, encoded(v)] for k, v in value.items()]}
        return {key: encoded(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        parts = [encoded(part) for part in value]
        return parts if isinstance(value, list) else tuple(parts)
    if isinstance(value, DType):
        return {"is": "dtype", "name": value.name}
    if isinstance(value, slice):
        return {"is": "slice", "parts": encoded([value.start, value.stop, value.step])}
    if value is Ellipsis:
        return {"is": "ellipsis"}
    return _thing(value)


def _thing(value: Any) -> Any:
    """A function, a class or an object with a configuration."""
    if isinstance(value, type) or not hasattr(value, "get_config"):
        if not callable(value) or not hasattr(value, "__name__"):
            raise DescribeError(f"{type(value).__name__} is no data, and has no get_config")
        module, name = place_of(value)
        return {"is": "function", "module": module, "name": name}
    return described(value)


def described(thing: Any) -> dict[str, Any]:
    """An object with a configuration as plain data."""
    kind = type(thing)
    module, name = place_of(kind)
    if callable(getattr(thing, "call", None)) and hasattr(thing, "_graph"):
        raise DescribeError(f"{name} is a model among the arguments of a layer")
    config = dict(thing.get_config())
    if module != OWN and name in _OF_FUNCTIONS:
        config = {**config, **thing.options, _OF_FUNCTIONS[name]: thing.function}
    dtype = getattr(thing, "dtype", None)
    if isinstance(dtype, str) and module in ("keras.losses", "keras.metrics"):
        config["dtype"] = dtype
    return {"is": "object", "module": module, "class": name, "config": encoded(config)}


# --- from plain data ------------------------------------------------------------------------------


def missing_in(value: Any) -> Iterator[str]:
    """Names of one's own within plain data that nobody knows."""
    if isinstance(value, (list, tuple)):
        for part in value:
            yield from missing_in(part)
    elif isinstance(value, dict):
        if value.get("is") in ("object", "function") and value.get("module") == OWN:
            name = value.get("class", value.get("name"))
            if isinstance(name, str) and name not in custom_objects:
                yield name
        for part in value.values():
            yield from missing_in(part)


def decoded(value: Any) -> Any:
    """The value of plain data; a ValueError for what `encoded` does not write."""
    if isinstance(value, list):
        return [decoded(part) for part in value]
    if isinstance(value, tuple):
        return tuple(decoded(part) for part in value)
    if not isinstance(value, dict):
        return value
    word = value.get("is")
    if word is None:
        return {key: decoded(part) for key, part in value.items()}
    if word in ("object", "function"):
        return _found(value)
    if word == "recorded":
        from ranvier.keras._files.lambdas import Recorded

        return Recorded(value)
    if word == "array" and isinstance(value.get("value"), Tensor):
        return value["value"].numpy()
    if word == "dtype" and isinstance(value.get("name"), str):
        dtype = named_dtype(value["name"])
        if dtype is not None:
            return dtype
    if word == "ellipsis":
        return Ellipsis
    if word == "tensor" and _are_numbers(value.get("of"), 2):
        return Ref(*value["of"])
    if word == "out":
        return _out(value)
    parts = value.get("parts")
    if word == "slice" and isinstance(parts, list) and len(parts) == 3 and _are_places(parts):
        return slice(*parts)
    items = value.get("items")
    if word == "dict" and isinstance(items, list) and all(_is_pair(item) for item in items):
        return {key: decoded(part) for key, part in items}
    raise ValueError(f"expected values that this version knows, got {value!r:.60}")


def _are_places(parts: list[Any]) -> bool:
    return all(part is None or type(part) is int for part in parts)


def _are_numbers(value: Any, count: int) -> bool:
    return (
        isinstance(value, list)
        and len(value) == count
        and all(type(number) is int and 0 <= number < 2**31 for number in value)
    )


def _out(value: dict[str, Any]) -> Out:
    dtype = value.get("dtype")
    if not isinstance(dtype, str) or named_dtype(dtype) is None:
        raise ValueError(f"expected a dtype such as float32, got {dtype!r:.60}")
    return Out(shape_in(value.get("shape")), dtype)


def shape_in(value: Any) -> tuple[int | None, ...]:
    """A shape, of which sizes may vary; a ValueError for anything else."""
    right = isinstance(value, (list, tuple)) and len(value) <= _MOST_AXES
    if not right or not all(n is None or (type(n) is int and 0 <= n < 2**31) for n in value):
        raise ValueError(
            f"expected a shape of at most {_MOST_AXES} sizes below 2^31, got {value!r:.60}"
        )
    return tuple(value)


def _is_pair(item: Any) -> bool:
    return (
        isinstance(item, list)
        and len(item) == 2
        and (item[0] is None or isinstance(item[0], (str, int, float)))
    )


def _found(value: dict[str, Any]) -> Any:
    """The function, or the object made anew, of a name."""
    is_object = value["is"] == "object"
    module, name = value.get("module"), value.get("class" if is_object else "name")
    if not isinstance(module, str) or not isinstance(name, str):
        raise ValueError(f"expected a module and a name, got {value!r:.60}")
    thing = thing_at(module, name)
    if not is_object:
        return thing
    config = value.get("config")
    if not isinstance(thing, type) or not isinstance(config, dict):
        raise ValueError(f"expected a class and its configuration, got {value!r:.60}")
    return made(thing, decoded(config))


def made(kind: Any, config: dict[str, Any]) -> Any:
    """An object of a class from its configuration.

    Raises
    ------
    ValueError
        Where the class does not take it.
    """
    try:
        return kind.from_config(config) if hasattr(kind, "from_config") else kind(**config)
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, RuntimeError,
            OverflowError, MemoryError, RecursionError) as error:  # fmt: skip
        words = str(error).removeprefix("[keras] ")
        raise ValueError(
            f"{plain(kind.__name__)}: expected a configuration that it takes, got another "
            f"({type(error).__name__}: {plain(words, 300)})"
        ) from None
