"""Whole models and their files: what `model.save`, `load_model`, `rv.save` and `rv.load` do."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ranvier import _C
from ranvier._C import Tensor
from ranvier._dtypes import as_dtype
from ranvier.io import kinds, nested
from ranvier.io.building import layers_of
from ranvier.keras._files import building, compiling, describing
from ranvier.keras._files.values import (
    DescribeError,
    known_as,
    missing_in,
    words_of_missing,
)
from ranvier.keras.backend import as_array
from ranvier.keras.layers.layer import Layer

JSON = dict[str, Any]
Path = str | os.PathLike[str]

PREFIX = "_ranvier_keras."  # of tensors that are no weights: in configurations, of the optimizer


class Written(NamedTuple):
    """A model, taken apart."""

    tensors: dict[str, Tensor]
    description: JSON
    own: list[tuple[str, str]]
    words: str  # what the file does not hold


def written(layer: Layer, optimizer: bool = True) -> Written:
    """Tensors and description of a layer's file.

    Raises
    ------
    DescribeError
        Where there are no words for something in it.
    """
    found = describing.Described(layer)
    words = ""
    parts: JSON = {"model": found.tree}
    if optimizer:
        try:
            parts["compile"] = compiling.written(layer, found.names)
        except DescribeError as error:
            words = (
                f"[save] {layer.name}: the file does not hold what compile was given: {error}; "
                "register it with @keras.saving.register_keras_serializable(), or compile the "
                "model again after loading"
            )
    try:
        extra, value = nested.described({PREFIX[:-1]: parts}, "model")
    except (TypeError, ValueError) as error:
        raise DescribeError(str(error).removeprefix("[save] ")) from None
    description = {"keras": value["value"][PREFIX[:-1]], "tied": found.tied}
    return Written({**found.tensors, **extra}, description, found.own, words)


def parts_of(path: Path, description: JSON, named: Mapping[str, Tensor]) -> JSON:
    """The parts of a description, of which the form is right.

    Raises
    ------
    ValueError
        If it is not.
    """
    extra = {name: tensor for name, tensor in named.items() if name.startswith(PREFIX)}
    parts = nested.value_of(path, extra, {"value": description["keras"]})
    if not isinstance(parts, dict) or not {"model"} <= set(parts) <= {"model", "compile"}:
        raise ValueError(f"expected model and compile, got {parts!r:.60}")
    building.check(parts["model"])
    return parts


def missing_of(parts: JSON, compile: bool = True) -> list[str]:
    """Names of one's own in a description that nobody knows."""
    found = list(building.missing_of(parts["model"]))
    if compile:
        found += missing_in(parts.get("compile"))
    return list(dict.fromkeys(found))


def weights_in(named: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights among the tensors of a file."""
    return {name: tensor for name, tensor in named.items() if not name.startswith("_ranvier_")}


def ordered(path: Path, description: JSON, named: Mapping[str, Tensor]) -> list[Tensor]:
    """The weights of a file in the order in which its model has them."""
    parts = parts_of(path, description, named)
    found: dict[str, Tensor] = {}
    for at, node in layers_of(parts["model"]):
        names, fixed = node.get("weights", []), set(node.get("fixed", ()))
        for name in sorted(names, key=fixed.__contains__):
            full = f"{at}.{name}" if at else name
            full = description["tied"].get(full, full)
            if full not in named:
                raise ValueError(
                    f"[load_weights] {os.fspath(path)}: expected the weight {full!r:.60}, got none"
                )
            found[full] = named[full]
    return list(found.values())


def built(
    parts: JSON, named: Mapping[str, Tensor], tied: Mapping[str, str], compile: bool = True
) -> Layer:
    """The layer or model of a checked description.

    Raises
    ------
    ValueError
        If it cannot be made, or has other weights than the file.
    """
    missing = missing_of(parts, compile)
    if missing:
        raise ValueError(words_of_missing(missing))
    layer, weights = building.build(parts["model"], weights_in(named), tied)
    if compile and parts.get("compile") is not None:
        compiling.compile_by(layer, parts["compile"], weights)
    return layer


# --- what the door offers -------------------------------------------------------------------------


def save_model(model: Any, filepath: Any, overwrite: bool = True, **kwargs: Any) -> None:
    """Writes a model to a file: layers, weights, what `compile` was given, the optimizer's state.

    The file is a safetensors file of Ranvier's, whatever its name ends with, and is replaced whole
    or not at all. `ranvier.save` writes the same.

    Parameters
    ----------
    model : Model
    filepath : str or path
    overwrite : bool
        Whether a file that is there is replaced.
    include_optimizer : bool, default True
        Whether what `compile` was given belongs to it.
    zipped, save_format, save_traces, options, signatures
        Taken, and without effect.

    Raises
    ------
    FileExistsError
        If the file is there and is not to be replaced.
    OSError
        If it cannot be written.

    Warns
    -----
    RanvierWarning
        Of what the file does not hold: functions without a name, code of one's own.

    Examples
    --------
    >>> from ranvier import keras
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> keras.saving.save_model(model, "model.keras")
    >>> keras.models.load_model("model.keras").count_params()
    3
    """
    from ranvier.io import models, tensors
    from ranvier.training.errors import warn

    known = {"include_optimizer", "zipped", "save_format", "save_traces", "options", "signatures"}
    for key in kwargs.keys() - known:
        raise ValueError(f"[save] expected arguments out of {', '.join(sorted(known))}, got {key}")
    if not isinstance(model, Layer):
        raise TypeError(f"[save] model: expected a model of keras, got {type(model).__name__}")
    path = os.fspath(filepath)
    if not overwrite and os.path.exists(path):
        raise FileExistsError(f"[save] {path}: expected no such file, got one")
    include = bool(kwargs.get("include_optimizer", True))
    named, metadata, words = models.content(model, optimizer=include, asked=True)
    tensors.write(path, named, metadata)
    if words:
        warn(words)


def load_model(
    filepath: Any,
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
) -> Any:
    """The model of a file, as it was saved: layers, weights, and where its training stood.

    Parameters
    ----------
    filepath : str or path
    custom_objects : dict of str to class or function, optional
        Those of one's own by their names, where they were not registered with
        `keras.saving.register_keras_serializable`.
    compile : bool
        Whether to compile it as it was, with the optimizer's state.
    safe_mode : bool
        Taken, and without effect: a file holds no code, and none is ever run.

    Returns
    -------
    Model

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is no file of a Keras model (of a file of Keras itself, with the lines that convert
        it), is damaged, names classes that nobody knows, or has other weights than its layers.

    Examples
    --------
    >>> import ranvier as rv
    >>> from ranvier import keras
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile("adam", "mse")
    >>> model.save("model.keras")
    >>> again = keras.models.load_model("model.keras")
    >>> again.compiled, rv.equal(again.layers[0].kernel, model.layers[0].kernel)
    (True, True)
    """
    from ranvier.io import models, tensors

    path = os.fspath(filepath)
    named, metadata = tensors.read(path)
    kind = kinds.kind_of(path, metadata)
    description = models.description_of(path, metadata) if kind == kinds.MODEL else {}
    if "keras" not in description:
        raise ValueError(_other(path, kind, description))
    with known_as(custom_objects):
        model, words = models.keras_model(path, description, named, compile)
    if words:
        from ranvier.training.errors import warn

        warn(words)
    return model


def to_json(model: Layer, **kwargs: Any) -> str:
    """A model without its weights, as text."""
    tree = describing.Described(model).tree
    extra, value = nested.described(tree, "model")
    numbers = {name: [t.dtype.name, as_array(t).tolist()] for name, t in extra.items()}
    return json.dumps({"model": value["value"], "tensors": numbers}, **kwargs)


def model_from_json(json_string: str, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The model of what `model.to_json()` gave, with new weights.

    Raises
    ------
    ValueError
        If the text is no such description, or names classes that nobody knows.

    Examples
    --------
    >>> from ranvier import keras
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> keras.models.model_from_json(model.to_json()).count_params()
    3
    """
    where = "[model_from_json]"
    try:
        found = json.loads(json_string)
        numbers = {
            name: _C.as_tensor(np.asarray(values)).to(as_dtype(dtype))
            for name, (dtype, values) in found["tensors"].items()
        }
        tree = nested.value_of("json_string", numbers, {"value": found["model"]})
        with known_as(custom_objects):
            return building.anew(tree)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        told = str(error).removeprefix("[load] ")
        raise ValueError(f"{where} expected what to_json gives, got another: {told:.500}") from None


def _other(path: str, kind: str, description: JSON) -> str:
    """What to say of a file of ours that holds no Keras model."""
    if kind == kinds.MODEL and "forward" in description:
        return (
            f"[load_model] {path}: expected layers that a file can make, got the weights of a "
            "model and what it predicts; rv.load(path) gives a model that predicts, "
            "model.load_weights(path) puts the weights into one that is there"
        )
    if kind == kinds.MODEL:
        return (
            f"[load_model] {path}: expected a model of keras, got one of ranvier.nn; rv.load(path) "
            "gives it"
        )
    return (
        f"[load_model] {path}: expected a model, got a file of weights alone; build the same model "
        "and call model.load_weights(path)"
    )
