"""Estimators in files: their parameters and what they have learned, as data and nothing else.

The description is that of a nested value (see `nested.py`) with three names: "class", "parameters"
and "fitted". What a nested value has no word for is a dict with one name:

    {"array": tensor}                              an array of numbers
    {"labels": [...], "shape": [...], "dtype": d}  an array of text or of objects that are data
    {"dict": {...}}                                a dict
    {"random_state": [...]}                        a numpy.random.RandomState
    {"module": {...}, "tensors": {...}}            a model, as a file of the kind "model" has it
    {"record": name, "values": {...}}              one of the classes of `_RECORDS`

A file names one of the classes of `ranvier.sklearn`, and no name of it is looked up anywhere else.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from ranvier import sklearn
from ranvier._C import Tensor
from ranvier.data.preprocess import Impute, OneHot
from ranvier.data.table import Table
from ranvier.io import building, kinds, nested
from ranvier.io.description import describe
from ranvier.io.kinds import plain
from ranvier.nn import Module
from ranvier.sklearn.base import Estimator
from ranvier.sklearn.targets import Labels
from ranvier.training.history import History

Path = str | os.PathLike[str]


class _Record(NamedTuple):
    """Objects of a class that are data: what of them a file holds, and how they are made of it."""

    kind: type
    parts: dict[str, Any]
    make: Callable[..., Any]


def _table(numbers: Any, missing: Any, **learned: Any) -> Table:
    made = Table(numbers, missing)
    if type(learned["_scale"]) is not type(made._scale):
        raise _NoDataError(f"a {numbers} of a table, got {type(learned['_scale']).__name__}")
    vars(made).update(learned)
    return made


_TABLE = {
    "numbers": object, "missing": object, "_impute": Impute, "_scale": object, "_hot": OneHot,
    "_of_numbers": list, "_categories": (dict, type(None)),
}  # fmt: skip
_RECORDS = {
    # How long a run took is none of its results.
    "History": _Record(History, {"history": dict, "stopped": object}, History),
    "Labels": _Record(Labels, {"kind": str, "classes": np.ndarray, "sparse": bool}, Labels),
    "Table": _Record(Table, _TABLE, _table),
}
_GENERATOR = "MT19937"
_STATES = 624  # of it
_MOST = 2**24  # labels of an array that is made of a file's shape


class _NoDataError(Exception):
    """What a file cannot hold, in words."""


def content(estimator: Estimator) -> tuple[dict[str, Tensor], dict[str, str], str]:
    """Tensors and metadata of an estimator's file, and a sentence about what it will not hold.

    Raises
    ------
    TypeError
        For a class that is not one of `ranvier.sklearn`, and for one that has learned what is no
        data: a module of somebody's class.
    """
    kind = type(estimator)
    if classes().get(kind.__name__) is not kind:
        raise TypeError(
            f"[save] obj: expected an estimator of ranvier.sklearn, got {kind.__module__}."
            f"{kind.__qualname__}, which a file cannot make; joblib.dump keeps it"
        )
    left_out: list[str] = []
    parameters = estimator.get_params(deep=False)
    state = estimator.__getstate__()
    learned = {name: state[name] for name in sorted(state) if name not in parameters}
    value = {
        "class": kind.__name__,
        "parameters": _encoded_all(parameters, left_out),
        "fitted": _encoded_all(learned, left_out),
    }
    lost = [what for what in left_out if what.partition(" ")[0].endswith("_")]
    if lost:
        raise TypeError(
            f"[save] {kind.__name__}: expected layers of ranvier.nn and ranvier.data alone, got "
            f"{', '.join(lost)!s:.300}; rv.save(estimator.module_, path) writes the module, and "
            "joblib.dump the estimator"
        )
    tensors, description = nested.described(value, kind.__name__)
    words = ""
    if left_out:
        words = (
            f"[save] {kind.__name__}: the file does not hold {', '.join(left_out)}; rv.load gives "
            "parameters back as their defaults"
        )
    return tensors, kinds.metadata(kinds.ESTIMATOR, description), words


def load(path: Path, named: Mapping[str, Tensor], metadata: Mapping[str, str]) -> Estimator:
    """The estimator of a file, of which tensors and metadata are given.

    Raises
    ------
    ValueError
        If the file holds none, or one that cannot be.
    """
    parts = parts_of(path, named, metadata)
    kind = classes()[parts["class"]]
    try:
        parameters, learned = _decoded_all(parts["parameters"]), _decoded_all(parts["fitted"])
        estimator = kind(**parameters)
        for name in learned:
            if not name.isidentifier() or name[:2] == "__" or name in parameters:
                raise _NoDataError(f"names of attributes, got {plain(name)!r}")
            if hasattr(kind, name):
                raise _NoDataError(f"attributes that fit makes, got {name!r}")
        estimator.__setstate__({**vars(estimator), **learned})
        estimator._check_learned()
    except (_NoDataError, AttributeError, LookupError, TypeError, ValueError) as error:
        words = str(error)
        raise ValueError(
            f"[load] {os.fspath(path)}: {'' if words.startswith('expected') else 'expected '}"
            f"{words:.400}; the file is damaged or was changed by another program"
        ) from None
    return estimator


def parts_of(
    path: Path, named: Mapping[str, Tensor], metadata: Mapping[str, str]
) -> dict[str, Any]:
    """Class, parameters and what was learned, as the file has them; a ValueError otherwise."""
    value = nested.value_of(path, named, kinds.described(path, metadata))
    if not isinstance(value, dict) or set(value) != {"class", "parameters", "fitted"}:
        raise nested.damaged(path, "'class', 'parameters' and 'fitted'", f"{type(value).__name__}")
    if not isinstance(value["class"], str) or value["class"] not in classes():
        raise nested.damaged(
            path, f"one of {', '.join(classes())} as class", f"{value['class']!r:.60}"
        )
    for name in ("parameters", "fitted"):
        if not isinstance(value[name], dict) or not all(isinstance(k, str) for k in value[name]):
            raise nested.damaged(path, f"names and values as {name!r}", f"{value[name]!r:.60}")
    return value


def classes() -> dict[str, type[Estimator]]:
    """All that a file can name."""
    found = {name: getattr(sklearn, name) for name in sklearn.__all__}
    return {
        name: kind
        for name, kind in found.items()
        if isinstance(kind, type) and issubclass(kind, Estimator)
    }


# --- writing --------------------------------------------------------------------------------------


def _encoded_all(values: Mapping[str, Any], left_out: list[str]) -> dict[str, Any]:
    """Values by name; those that are no data are noted and stay out."""
    made = {}
    for name, value in values.items():
        try:
            made[name] = _encoded(value)
        except _NoDataError as error:
            left_out.append(f"{name} ({error})")
    return made


def _encoded(value: Any) -> Any:
    """A value in the words of a nested value."""
    if value is None or isinstance(value, (bool, int, float, str, bytes, Tensor)):
        return value
    if isinstance(value, np.ndarray):
        return _array(value)
    if isinstance(value, np.generic) and value.dtype.kind in "biuf":
        return value.item()
    if isinstance(value, (list, tuple)):
        return type(value)(map(_encoded, value)) if type(value) in (list, tuple) else _odd(value)
    if isinstance(value, dict):
        return {"dict": {key: _encoded(one) for key, one in value.items()}}
    if isinstance(value, np.random.RandomState):
        name, *state = value.get_state(legacy=True)
        return (
            {"random_state": [_encoded(one) for one in state]}
            if name == _GENERATOR
            else _odd(value)
        )
    name = type(value).__name__
    if name in _RECORDS and type(value) is _RECORDS[name].kind:
        values = {word: _encoded(getattr(value, word)) for word in _RECORDS[name].parts}
        return {"record": name, "values": values}
    if isinstance(value, Module):
        found = describe(value)
        if found.own:
            where, kind, why = found.own[0]
            raise _NoDataError(f"{kind}{' at ' + where if where else ''}{why and ': ' + why}")
        return {"module": {"model": found.tree, "tied": found.tied}, "tensors": found.tensors}
    return _odd(value)


def _odd(value: Any) -> Any:
    name = value.__qualname__ if isinstance(value, type) else type(value).__name__
    raise _NoDataError(f"a {name}")


def _array(array: Any) -> dict[str, Any]:
    if array.dtype.kind in "biuf":
        return {"array": array}
    if array.dtype.kind not in "OU":
        raise _NoDataError(f"an array of {array.dtype}")
    labels = array.ravel().tolist()
    if not all(one is None or isinstance(one, (str, int, float)) for one in labels):
        raise _NoDataError("an array of objects")
    dtype = "object" if array.dtype.kind == "O" else "str"
    return {"labels": labels, "shape": list(array.shape), "dtype": dtype}


# --- reading --------------------------------------------------------------------------------------


Arrays = dict[int, Any]  # those that are made, by tensor: what was one array is one again


def _decoded_all(values: Mapping[str, Any]) -> dict[str, Any]:
    arrays: Arrays = {}
    return {name: _decoded(value, arrays) for name, value in values.items()}


def _decoded(value: Any, arrays: Arrays) -> Any:
    """What a value stands for."""
    if isinstance(value, list):
        return [_decoded(one, arrays) for one in value]
    if isinstance(value, tuple):
        return tuple(_decoded(one, arrays) for one in value)
    if not isinstance(value, dict):
        return value
    names = set(value)
    if names == {"array"} and isinstance(value["array"], Tensor):
        tensor = value["array"]
        if id(tensor) not in arrays:  # copied, to be written to
            arrays[id(tensor)] = np.array(tensor.numpy())
        return arrays[id(tensor)]
    if names == {"dict"} and isinstance(value["dict"], dict):
        return {key: _decoded(one, arrays) for key, one in value["dict"].items()}
    if names == {"labels", "shape", "dtype"}:
        return _labels(**value)
    if names == {"random_state"}:
        return _random_state(_decoded(value["random_state"], arrays))
    if names == {"record", "values"}:
        return _record(**value, arrays=arrays)
    if names == {"module", "tensors"}:
        return _module(value["module"], value["tensors"])
    raise _NoDataError(f"words that this version knows, got {value!r:.60}")


def _labels(labels: Any, shape: Any, dtype: Any) -> Any:
    plausible = (
        isinstance(labels, list)
        and isinstance(shape, list)
        and all(type(size) is int and 0 <= size < _MOST for size in shape)
        and len(shape) < 3
        and len(labels) == np.prod(shape, dtype=np.int64)
        and dtype in ("object", "str")
        and all(one is None or isinstance(one, (str, int, float)) for one in labels)
        and (dtype == "object" or all(isinstance(one, str) for one in labels))
    )
    if not plausible:
        raise _NoDataError(f"labels with their shape, got {labels!r:.60} and {shape!r:.60}")
    return np.array(labels, dtype=dtype).reshape(shape)


def _random_state(state: Any) -> np.random.RandomState:
    if not isinstance(state, list) or len(state) != 4 or not isinstance(state[0], np.ndarray):
        raise _NoDataError(f"a state of {_GENERATOR}, got {state!r:.60}")
    keys, place, has_gauss, gauss = state
    if (
        keys.shape != (_STATES,)
        or keys.dtype != np.uint32
        or type(place) is not int
        or not 0 <= place <= _STATES
        or has_gauss not in (0, 1)
        or not isinstance(gauss, float)
    ):
        raise _NoDataError(f"a state of {_GENERATOR}, got {state!r:.60}")
    made = np.random.RandomState(0)
    made.set_state((_GENERATOR, keys, place, has_gauss, gauss))
    return made


def _record(record: Any, values: Any, arrays: Arrays) -> Any:
    known = _RECORDS.get(record) if isinstance(record, str) else None
    if known is None or not isinstance(values, dict) or set(values) != set(known.parts):
        raise _NoDataError(f"words that this version knows, got {record!r:.60}")
    parts = {word: _decoded(value, arrays) for word, value in values.items()}
    for word, wanted in known.parts.items():
        if not isinstance(parts[word], wanted):
            raise _NoDataError(f"{word} of {record}, got {parts[word]!r:.60}")
    return known.make(**parts)


def _module(description: Any, tensors: Any) -> Module:
    if not isinstance(description, dict) or not isinstance(tensors, dict):
        raise _NoDataError(f"a model, got {description!r:.60}")
    if not all(isinstance(one, Tensor) for one in tensors.values()):
        raise _NoDataError(f"tensors of a model by name, got {tensors!r:.60}")
    building.check(description.get("model"))
    tied = description.get("tied")
    if not isinstance(tied, dict) or not all(isinstance(one, str) for one in tied.values()):
        raise _NoDataError(f"names by names as 'tied', got {tied!r:.60}")
    return building.build(description["model"], tensors, tied)
