"""What Ranvier's layers are made with, as values of JSON, and back.

Which arguments there are is read off the signature of a class; what they are, off the attributes of
a layer, so that a probability that was changed after making it is the one that is kept. The table
of classes is all that a file can name: no name of a file is ever looked up anywhere else.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ranvier import data, nn
from ranvier._C import Tensor
from ranvier.nn import Module
from ranvier.nn._start import without_weights

_CONTAINERS = ("Sequential", "ModuleList", "ModuleDict", "ParameterList", "ParameterDict")
# Where tensors are is the caller's choice, the dtype is that of the tensors in the file, and the
# others are older words for what is kept under its newer one.
_NOT_KEPT = frozenset(
    ("self", "args", "kwargs", "device", "dtype", "size_average", "reduce", "min_value",
     "max_value", "weight", "pos_weight", "distance_function"),
)  # fmt: skip
_ATTRIBUTES = {("nn.PairwiseDistance", "p"): "norm"}  # where argument and attribute differ
_SIZES = frozenset((("nn.LayerNorm", "normalized_shape"), ("nn.RMSNorm", "normalized_shape"),
                    ("nn.Unflatten", "unflattened_size")))  # fmt: skip
_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "a string",
    "None": "null",
    "Sequence[int]": "a list of whole numbers",
}
_NOT_FINITE = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}
_MOST = 2**63  # whole numbers are smaller


class DescriptionError(Exception):
    """What a description cannot say, in words."""


class Argument(NamedTuple):
    """An argument of a class, the attribute that keeps it, and the types it may have."""

    name: str
    attribute: str
    types: tuple[str, ...]
    required: bool
    default: Any


@functools.cache
def classes() -> Mapping[str, type[Module]]:
    """Every class that a file may name, by the name it has there."""
    found = {}
    for part, names in (("nn", nn.__all__), ("data", data.__all__)):
        for name in names:
            value = getattr(nn if part == "nn" else data, name)
            if isinstance(value, type) and issubclass(value, Module):
                found[f"{part}.{name}"] = value
    del found["data.Preprocessor"]  # only a base
    return found


@functools.cache
def _names() -> Mapping[type[Module], str]:
    return {kind: name for name, kind in classes().items()}


def name_of(module: Module) -> str | None:
    """The name of a module's class in files; None for classes of others."""
    return _names().get(type(module))


@functools.cache
def arguments_of(name: str) -> tuple[Argument, ...]:
    """The arguments that are kept of a class."""
    if name.partition(".")[2] in _CONTAINERS:
        return ()
    found = []
    for parameter in inspect.signature(classes()[name].__init__).parameters.values():
        if parameter.name in _NOT_KEPT:
            continue
        written = str(parameter.annotation)
        types = ("Sequence[int]",) if (name, parameter.name) in _SIZES else written.split(" | ")
        unknown = [word for word in types if word not in _WORDS]
        if unknown:
            raise TypeError(f"{name}: {parameter.name}: no rule for {written!r}")
        attribute = _ATTRIBUTES.get((name, parameter.name), parameter.name)
        required = parameter.default is parameter.empty
        default = None if required else parameter.default
        found.append(Argument(parameter.name, attribute, tuple(types), required, default))
    return tuple(found)


# --- to JSON --------------------------------------------------------------------------------------


def arguments_from(name: str, module: Module) -> dict[str, Any]:
    """The arguments that make a layer like this one.

    Raises
    ------
    DescriptionError
        Where an attribute is nothing that a description can hold.
    """
    return {a.name: _to_json(a, getattr(module, a.attribute)) for a in arguments_of(name)}


def _to_json(argument: Argument, value: Any) -> Any:
    if argument.types == ("bool",):
        if value is None or isinstance(value, Tensor):
            return value is not None  # a bias is there, or is not
        if isinstance(value, (int, np.integer)) and value in (0, 1):
            value = bool(value)
    plain = value.item() if isinstance(value, np.generic) else value
    if isinstance(plain, tuple):
        plain = list(plain)
    if not _fits(plain, argument.types):
        raise DescriptionError(
            f"{argument.attribute} is {_shown(value)}, not {_expected(argument.types)}"
        )
    if isinstance(plain, float) and not math.isfinite(plain):
        return {"$float": str(plain)}
    return plain


def _shown(value: Any) -> str:
    """A value without anything that differs from run to run, such as an address."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return f"{value!r:.40}"
    return f"of type {type(value).__name__}"


def _expected(types: tuple[str, ...]) -> str:
    return " or ".join(_WORDS[word] for word in types)


def _fits(value: Any, types: tuple[str, ...]) -> bool:
    """Whether a value is one of these types."""
    if value is None:
        return "None" in types
    if isinstance(value, bool):
        return "bool" in types
    if isinstance(value, int):
        return ("int" in types or "float" in types) and -_MOST <= value < _MOST
    if isinstance(value, float):
        return "float" in types
    if isinstance(value, str):
        return "str" in types
    if isinstance(value, list):
        return "Sequence[int]" in types and all(
            type(number) is int and -_MOST <= number < _MOST for number in value
        )
    return False


# --- from JSON ------------------------------------------------------------------------------------


def make(name: str, given: Mapping[str, Any]) -> Module:
    """A layer without weights: its tensors have shapes and take no memory.

    Raises
    ------
    ValueError
        For arguments that are missing, unknown, of other types, or refused by the class.
    """
    wanted = {argument.name: argument for argument in arguments_of(name)}
    unknown = [word for word in given if word not in wanted]
    if unknown:
        known = ", ".join(wanted) or "none"
        raise ValueError(f"expected arguments out of {known}, got {unknown[0]!r:.60}")
    missing = [a.name for a in wanted.values() if a.required and a.name not in given]
    if missing:
        raise ValueError(f"expected the argument {missing[0]}, got {', '.join(given) or 'none'}")
    values = {word: _from_json(wanted[word], value) for word, value in given.items()}
    try:
        with without_weights():
            return classes()[name](**values)
    except (TypeError, ValueError, RuntimeError, OverflowError, MemoryError) as error:
        raise ValueError(f"{error!s:.200}") from None


def _from_json(argument: Argument, value: Any) -> Any:
    if isinstance(value, dict) and "float" in argument.types:
        named = value.get("$float")
        if len(value) == 1 and isinstance(named, str) and named in _NOT_FINITE:
            return _NOT_FINITE[named]
    if not _fits(value, argument.types):
        raise ValueError(
            f"{argument.name}: expected {_expected(argument.types)}, got {value!r:.60}"
        )
    return tuple(value) if isinstance(value, list) else value
