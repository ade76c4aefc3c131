"""Whole models in files: what `save` and `load` do with an `nn.Module`.

The description is in `description.py` and `building.py`, what is known beside it in `notes.py`, the
bytes are in `tensors.py`. Here they come together.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from typing import Any

from ranvier._C import Tensor
from ranvier._dtypes import named as named_dtype
from ranvier.io import building, forwards, kinds, nested, notes
from ranvier.io.description import JSON, Description, describe, describe_hooks, joined
from ranvier.io.kinds import plain
from ranvier.nn import GLU, Bilinear, Linear, Module, Sequential

Path = str | os.PathLike[str]

_TOLD = 5  # classes or hooks in one message
_SHAPED_AS_INPUT = ("activation", "activation_smooth", "dropout", "normalization")


def content(
    model: Module,
    labels: Any = None,
    input: Any = None,
    *,
    optimizer: bool = True,
    asked: bool = False,
) -> tuple[Mapping[str, Tensor], dict[str, str], str]:
    """Tensors and metadata of a model's file, and a sentence about what it will not hold.

    Of a model of Keras' door `optimizer` says whether the file holds what it was compiled with, and
    `asked` that it is to be one of Keras', so that the sentence says where it is not.

    Raises
    ------
    TypeError, ValueError
        For labels or an input that are none of this model, or a model that no file can hold.
    """
    about = copy.copy(notes.about(model))
    if labels is not None:
        about.labels = notes.checked_labels(labels, "save")
    if input is not None:
        about.input = notes.checked_input(input, "save")
    if about.input is None:
        about.input = _row_of_keras(model)
    if about.labels is not None:
        _check_number(model, len(about.labels), "labels" if labels is None else "save")
    why = ""
    if is_keras(model):
        try:
            return _content_of_keras(model, about, optimizer)
        except _whole().DescribeError as error:
            why = (
                f"[save] {getattr(model, 'name', 'model')}: expected layers that a file can "
                f"describe, got one that it cannot: {error}; the file holds the weights and, where "
                "it can be written down, what the model predicts"
            )
    found = describe(model)
    named: Mapping[str, Tensor] = found.tensors
    state: JSON = {}
    if found.own and _names_itself(model):
        named, found.tied = model.state_dict(), {}
        if not all(isinstance(value, Tensor) for value in named.values()):
            named, described = nested.described(named, "state_dict")
            state = {"state": described["value"]}
    description = {"model": found.tree, "tied": found.tied, **state} | notes.to_json(about)
    words = _left_out(found)
    if found.own and not words:
        stored, constants, words = _forward(
            model, found, about, bool(state) or named is not found.tensors
        )
        named, description = {**named, **constants}, description | stored
    return named, kinds.metadata(kinds.MODEL, description), (why if asked else "") or words


def load(path: Path, named: Mapping[str, Tensor], metadata: Mapping[str, str]) -> Module:
    """The model of a file, of which tensors and metadata are given.

    Raises
    ------
    ValueError
        If the file holds no model, or one that it cannot make.
    """
    description = description_of(path, metadata)
    if "keras" in description:
        found, words = keras_model(path, description, named)
        if words:
            from ranvier.training.errors import warn

            warn(words)
        made: Module = found
        return made
    return _load(path, named, description)


def _load(path: Path, named: Mapping[str, Tensor], description: JSON) -> Module:
    """The model of a description of layers of `ranvier.nn`, or of a stored forward."""
    own = building.own_classes(description["model"])
    if own and "forward" not in description:
        raise ValueError(f"[load] {os.fspath(path)}: {_own_words(own)}")
    about = about_of(path, description)
    try:
        if own:
            model: Module = _stored(description, named, about)
        else:
            model = building.build(description["model"], named, description["tied"])
    except ValueError as error:
        raise ValueError(f"[load] {os.fspath(path)}: {error}") from None
    object.__setattr__(model, notes.ATTRIBUTE, about)
    return model


def load_into(
    model: Module, path: Path, named: Mapping[str, Tensor], metadata: Mapping[str, str]
) -> Module:
    """Puts the tensors of a file into a model that is there: all, or none on an error."""
    about = None
    if kinds.kind_of(path, metadata) == kinds.MODEL:
        about = about_of(path, description_of(path, metadata))
    try:
        model.load_state_dict(state_of(path, named, metadata))
    except RuntimeError as error:
        words = str(error).removeprefix("[load_state_dict] ").partition("; pass strict=False")[0]
        raise ValueError(f"[load] {os.fspath(path)}: {words:.2000}") from None
    if about is not None:
        object.__setattr__(model, notes.ATTRIBUTE, about)
    return model


def state_of(path: Path, named: Mapping[str, Tensor], metadata: Mapping[str, str]) -> Any:
    """The tensors of a file under all their names, as `load_state_dict` takes them."""
    kind = kinds.kind_of(path, metadata)
    if kind in (kinds.VALUE, kinds.CHECKPOINT, kinds.ESTIMATOR):
        what = "an estimator" if kind == kinds.ESTIMATOR else "a nested value"
        raise ValueError(
            f"[load] {os.fspath(path)}: expected a model, or tensors by name, got {what}; "
            "take what you need of rv.load(path)"
        )
    if kind != kinds.MODEL:
        return named
    description = description_of(path, metadata)
    if "keras" in description:
        tied = description["tied"]
        weights = _whole().weights_in(named)
        return weights | {name: weights[one] for name, one in tied.items() if one in weights}
    if "state" in description:
        return nested.value_of(path, named, {"value": description["state"]})
    return _state(description, {k: v for k, v in named.items() if not forwards.is_constant(k)})


def _stored(description: JSON, named: Mapping[str, Tensor], about: notes.About) -> Module:
    """A model of classes that are not there, which computes what its file says.

    Raises
    ------
    ValueError
        If the file does not hold what that takes.
    """
    if about.input is None:
        raise ValueError("expected the shape of a row beside a forward, got none")
    constants = {name: tensor for name, tensor in named.items() if forwards.is_constant(name)}
    weights = {name: tensor for name, tensor in named.items() if not name.startswith("_ranvier_")}
    shape = about.input.shape
    listed = forwards.checked(description["forward"], shape, set(weights), constants)
    tree = description["model"]
    real = building.build(tree, weights, description["tied"], forwards.StoredPart)
    return forwards.whole(real, plain(tree["class"], 200), listed)


# --- writing --------------------------------------------------------------------------------------


def is_keras(model: Module) -> bool:
    """Whether it is a layer or a model of Keras' door."""
    return any(kind.__module__.startswith("ranvier.keras.") for kind in type(model).__mro__)


def _whole() -> Any:
    """What describes models of Keras' door: when used, as it is made of the whole door."""
    from ranvier.keras._files import whole

    return whole


def _row_of_keras(model: Module) -> tuple[tuple[int, ...], str] | None:
    """Shape and dtype of a row, where a model of Keras' door knows its one input."""
    if not is_keras(model):
        return None
    try:
        entry: Any = model.input  # type: ignore[attr-defined]
        shape = tuple(entry.shape)
    except (AttributeError, ValueError):  # several inputs, or none yet
        return None
    if not all(type(size) is int for size in shape[1:]):
        return None
    return tuple(shape[1:]), entry.dtype


def _content_of_keras(
    model: Any, about: notes.About, optimizer: bool
) -> tuple[Mapping[str, Tensor], dict[str, str], str]:
    """The same as `content`, with layers and what they were compiled with as Keras' door has them.

    Beside classes of one's own there is what the model predicts, for whoever lacks their code.
    """
    found = _whole().written(model, optimizer)
    named, description, words = found.tensors, found.description, found.words
    if found.own:
        generic = describe(model)
        stored, constants, why = _forward(model, generic, about, False)
        if not why:
            named = {**named, **constants}
            description = {**description, "model": generic.tree, **stored}
    listed = describe_hooks(model)
    if listed and not words:
        words = _words_of_hooks(listed)
    return named, kinds.metadata(kinds.MODEL, description | notes.to_json(about)), words


def keras_model(
    path: Path, description: JSON, named: Mapping[str, Tensor], compile: bool = True
) -> tuple[Any, str]:
    """The model of a description of Keras' layers, and a sentence about what is missing.

    Where classes of one's own are not known, it predicts what it predicted, if the file says that.

    Raises
    ------
    ValueError
        If it cannot be made.
    """
    whole = _whole()
    about = about_of(path, description)
    try:
        parts = whole.parts_of(path, description, named)
        missing = whole.missing_of(parts, compile)
        if missing and "forward" in description:
            words = (
                f"[load] {os.fspath(path)}: {whole.words_of_missing(missing)}; without them the "
                "model only predicts"
            )
            return _load(path, named, description), words
        model = whole.built(parts, named, description["tied"], compile)
    except ValueError as error:
        told = str(error).removeprefix("[load] ").removeprefix(f"{os.fspath(path)}: ")
        raise ValueError(f"[load] {os.fspath(path)}: {told}") from None
    object.__setattr__(model, notes.ATTRIBUTE, about)
    return model, ""


def _names_itself(model: Module) -> bool:
    """Whether a part of the model says in its own way what its state is."""
    return any(
        type(module).state_dict is not Module.state_dict
        or "state_dict" in vars(module)
        or type(module).get_extra_state is not Module.get_extra_state
        or (
            module._hooks is not None and (module._hooks.state_dict or module._hooks.state_dict_pre)
        )
        for module in model.modules()
    )


def _check_number(model: Module, count: int, where: str) -> None:
    """A ValueError unless there is a label for each output, or two for a single one."""
    outputs = outputs_of(model)
    if outputs is not None and count != outputs and (outputs, count) != (1, 2):
        raise ValueError(
            f"[{where}] labels: expected one for each of the {outputs} outputs of the model, got "
            f"{count}"
        )


def outputs_of(model: Module) -> int | None:
    """How many numbers a row has in the end, where the last layers of a chain tell."""
    if isinstance(model, (Linear, Bilinear)):
        return model.out_features
    if type(model) is not Sequential:
        return None
    for layer in reversed(list(model)):
        if type(layer).__module__.rpartition(".")[2] not in _SHAPED_AS_INPUT or type(layer) is GLU:
            return outputs_of(layer)
    return None


def _left_out(found: Description) -> str:
    """What the file does not hold, where that is not plain from the model's class."""
    whys = [f"{layer or kind}: {why}" for layer, kind, why in found.own if why]
    if whys:
        return (
            f"[save] model: expected layers that their arguments describe, got {_some(whys)}; "
            "rv.load(path, model=...) puts the weights into a model that is there"
        )
    return _words_of_hooks(found.hooks) if found.hooks and not found.own else ""


def _words_of_hooks(hooks: list[str]) -> str:
    return (
        f"[save] model: expected one without hooks, got {_some(hooks)}; the file holds none of "
        "them: register them again after rv.load"
    )


def _forward(
    model: Module, found: Description, about: notes.About, renamed: bool
) -> tuple[JSON, dict[str, Tensor], str]:
    """What the file says of a forward in Python, the tensors of it, and why it does not."""
    _, kind, _ = found.own[0]
    why = "its tensors have names of its own" if renamed else ""
    if about.input is None:
        why = "nobody knows what a row looks like: write rv.save(model, path, input=its shape)"
    if not why and about.input is not None:
        dtype = named_dtype(about.input.dtype)
        assert dtype is not None  # it was checked when it was set
        try:
            listed, constants = forwards.described(model, found.tensors, about.input.shape, dtype)
            return {"forward": listed}, constants, ""
        except forwards.ForwardError as error:
            why = str(error)
    return (
        {},
        {},
        (
            f"[save] model: the file holds the weights of {kind.rpartition('.')[2]}, and not what "
            f"it computes: {why}; rv.load(path, model=...) puts them into an instance"
        ),
    )


def _some(words: list[str]) -> str:
    more = f" and {len(words) - _TOLD} more" if len(words) > _TOLD else ""
    return ", ".join(words[:_TOLD]) + more


# --- reading --------------------------------------------------------------------------------------


def description_of(path: Path, metadata: Mapping[str, str]) -> JSON:
    """The description of a model, of which the form is right; a ValueError otherwise."""
    description = kinds.described(path, metadata)
    try:
        if "keras" not in description or "model" in description:
            building.check(description.get("model"))
        tied = description.setdefault("tied", {})
        if not isinstance(tied, dict) or not all(isinstance(v, str) for v in tied.values()):
            raise ValueError(f"tied: expected names by names, got {tied!r:.60}")
    except ValueError as error:
        raise ValueError(f"[load] {os.fspath(path)}: {error}; the file is damaged") from None
    return description


def about_of(path: Path, description: JSON) -> notes.About:
    """What is known of the model beside its layers."""
    try:
        return notes.from_json(description)
    except ValueError as error:
        raise ValueError(f"[load] {os.fspath(path)}: {error}; the file is damaged") from None


def _state(description: JSON, named: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """All names of a model's state; what is not part of it stays out."""
    passing = {
        joined(layer, name)
        for layer, node in building.layers_of(description["model"])
        for name in node.get("not_persistent", ())
    }
    state = {name: tensor for name, tensor in named.items() if name not in passing}
    tied = description["tied"]
    return state | {
        name: named[first] for name, first in tied.items() if first in named and name not in passing
    }


def whose(layer: str, kind: str, why: str) -> str:
    """A class that a file cannot make, where it stands, and why, where that is known."""
    where = f" at {plain(layer)}" if layer else ""
    return plain(kind, 120) + where + (f" ({plain(why, 160)})" if why else "")


def _own_words(own: list[tuple[str, str, str]]) -> str:
    """What a file cannot make, and how to go on."""
    told = _some([whose(*part) for part in own])
    return (
        f"expected layers of ranvier.nn and ranvier.data alone, got {told}, which a file cannot "
        "make; make the model and write rv.load(path, model=it), or "
        "it.load_state_dict(rv.io.state_of(path))"
    )
