"""A Keras layer or model from plain data and tensors, of which nothing is believed.

Both may come from a stranger. Nothing is run but the constructors of classes in the tables of
`values.py`. Layers of ours are made without memory for weights and built by the shapes in the file;
those of one's own get no more memory than the file has numbers. Then every name, shape and dtype is
compared with the tensors that are there, and these take their places. Every error is a ValueError.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ranvier import _C
from ranvier._C import Tensor
from ranvier._dtypes import named as named_dtype
from ranvier._grad import no_grad
from ranvier._tensor import generator_at
from ranvier.io.building import check_layers, check_object, disagreements, layers_of
from ranvier.io.description import DEPTH
from ranvier.io.kinds import plain
from ranvier.keras._files.describing import CALLS, is_joined, joined_layers, layers_in
from ranvier.keras._files.values import (
    OWN,
    Out,
    Ref,
    decoded,
    made,
    missing_in,
    place_of,
    shape_in,
    table,
    thing_at,
    words_of_missing,
)
from ranvier.keras._names import custom_objects
from ranvier.keras.backend import as_array
from ranvier.keras.layers.core import InputLayer
from ranvier.keras.layers.layer import Layer
from ranvier.keras.layers.regularization import RandomLayer
from ranvier.keras.models.graph import Graph
from ranvier.keras.models.model import Model
from ranvier.keras.models.sequential import Sequential
from ranvier.keras.regularizers import get as regularizer_of
from ranvier.keras.tensors import (
    OPERATORS,
    Item,
    KerasTensor,
    Method,
    Node,
    Operation,
    flatten,
    map_structure,
)
from ranvier.keras.variables import Variable
from ranvier.nn._start import weights_up_to, without_weights

JSON = dict[str, Any]

_KEYS: dict[str, Any] = {
    "name": str, "class": str, "own": bool, "config": dict, "dtype": str, "called": str,
    "trainable": bool, "autocast": bool, "training": bool, "activity_regularizer": object,
    "drawn": int, "build": object, "weights": list, "fixed": list, "frozen": list, "layers": list,
    "build_config": object, "state": dict, "calls": list, "inputs": object, "outputs": object,
    "chain": list, "built": bool, "same": str,
}  # fmt: skip
_ERRORS = (
    TypeError, ValueError, KeyError, IndexError, AttributeError, RuntimeError, OverflowError,
    MemoryError, RecursionError, AssertionError,
)  # fmt: skip
_SPARE = 1_000_000  # numbers that layers of one's own may have beside those of the file


def build(
    tree: Any, tensors: Mapping[str, Tensor], tied: Mapping[str, str]
) -> tuple[Layer, dict[str, Variable]]:
    """The layer or model of a checked description, with these tensors as its weights, by name.

    Raises
    ------
    ValueError
        If the description is not right, names a class that nobody knows, or describes other
        weights than those that are there.
    """
    before = _C.default_generator().get_state()
    try:
        builder = _Builder(sum(t.numel() for t in tensors.values()))
        layer = builder.layer(tree, "")
        builder.fill(tensors, tied)
    finally:
        _C.default_generator().set_state(before)
    return layer, {name: variable for name, (_, variable) in builder.slots.items()}


def anew(tree: Any) -> Layer:
    """The layer or model of a description, with weights as they begin.

    Raises
    ------
    ValueError
        If the description is not right, or names a class that nobody knows.
    """
    check(tree)
    missing = list(dict.fromkeys(missing_of(tree)))
    if missing:
        raise ValueError(words_of_missing(missing))
    builder = _Builder(None)
    layer = builder.layer(tree, "")
    for one, node in builder.learning:
        _learn(one, node)
    return layer


def check(tree: Any) -> None:
    """A ValueError unless a description has the form of one, to the last layer."""
    check_layers(tree, DEPTH // 5 + 1, _check_node, ("weights",))


def _check_node(path: str, node: Any, depth: int) -> None:
    check_object(path, node, depth, _KEYS, ("weights", "fixed", "frozen"))
    calls = len(node.get("calls", ()))
    if calls > CALLS:
        raise ValueError(f"layer {path!r:.60}: expected at most {CALLS:,} calls, got {calls:,}")
    names = [child.get("name") for child in node.get("layers", ()) if isinstance(child, dict)]
    if "" in names or len(set(map(str, names))) < len(names):
        raise ValueError(f"layer {path!r:.60}: expected layers with names that differ")


def missing_of(tree: JSON) -> Iterator[str]:
    """Names of one's own in a checked description that nobody knows."""
    for _, node in layers_of(tree):
        if node.get("own") and node["class"] not in custom_objects:
            yield node["class"]
        for key in ("config", "activity_regularizer"):
            yield from missing_in(node.get(key))


class _Builder:
    """Makes the layers of a checked description, and finds places for tensors in them."""

    def __init__(self, numbers: int | None) -> None:
        self.most = None if numbers is None else numbers + _SPARE  # None: weights are drawn
        self.made: dict[str, Layer] = {}
        self.slots: dict[str, tuple[Layer, Variable]] = {}
        self.learning: list[tuple[Layer, JSON]] = []
        self.listed: list[str] = []  # names of weights in the description

    @contextmanager
    def at(self, path: str, node: JSON) -> Iterator[None]:
        """Errors within it are those of a layer."""
        try:
            yield
        except _ERRORS as error:
            where = plain(f"{path} ({node['class']})" if path else node["class"], 120)
            told = f"{error!s:.2000}" if isinstance(error, _NamedError) else plain(f"{error}", 400)
            kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
            named = told if isinstance(error, _NamedError) else f"{where}: {kind}{told}"
            raise _NamedError(named) from None

    # --- layers

    def layer(self, node: JSON, path: str) -> Layer:
        """A layer and all within it."""
        with self.at(path, node):
            joined = "calls" in node or "chain" in node
            if joined:
                layer = self.joined(node, path)
            else:
                kind = self.kind(node)
                with self.room(node):
                    layer = made(kind, decoded(node.get("config", {})))
            self.settle(layer, node, path, joined)
        return layer

    def kind(self, node: JSON) -> Any:
        """The class of a layer."""
        name = node["class"]
        if node.get("own"):
            kind = thing_at(OWN, name)
        elif "calls" in node or "chain" in node:
            kind = {"Model": Model, "Sequential": Sequential}.get(name)
        else:
            kind = table("layers").get(name)
        if not (isinstance(kind, type) and issubclass(kind, Layer)):
            raise ValueError(
                f"expected a class of keras.layers, got {plain(name)!r}; it may be of a newer "
                "version of Ranvier"
            )
        return kind

    @contextmanager
    def room(self, node: JSON) -> Iterator[None]:
        """Ours are made without weights; those of one's own may use what they make."""
        if self.most is None:
            yield
            return
        with weights_up_to(self.most) if node.get("own") else without_weights():
            yield

    def settle(self, layer: Any, node: JSON, path: str, joined: bool) -> None:
        """Gives a layer that is made what its configuration leaves out, and builds it."""
        if not isinstance(layer, Layer):
            raise ValueError(f"expected a layer, got {type(layer).__name__}")
        config = node.get("config", {})
        name, learns = node.get("called", config.get("name")), config.get("trainable", True)
        if isinstance(name, str) and name and name != layer.name:
            layer.name = name
            for variable in layer._own:
                variable.path = f"{name}/{variable.name}"
        layer._trainable = bool(node.get("trainable", learns))
        dtype = named_dtype(node.get("dtype", config.get("dtype", layer.dtype)))
        if dtype is None or not (dtype.is_floating_point or isinstance(layer, InputLayer)):
            raise ValueError(f"expected a dtype such as float32, got {node.get('dtype')!r:.60}")
        layer._dtype = dtype
        layer.autocast = node.get("autocast", layer.autocast)
        if node.get("training"):
            layer.training = True
        if "activity_regularizer" in node:
            layer.activity_regularizer = regularizer_of(decoded(node["activity_regularizer"]))
        self.draw_on(layer, node)
        self.made[path] = layer
        if not joined:
            self.match(layer, node, path, whole=False)
            if "build" in node and not layer.built:
                with self.room(node):
                    if "build_config" in node and node.get("own"):
                        layer.build_from_config(decoded(node["build_config"]))
                    layer._build_shapes = _shapes(node["build"] or [])
                    if not layer.built:
                        layer._build_by(layer._build_shapes)
            self.match(layer, node, path, whole=True)
            if isinstance(layer, Sequential) and is_joined(layer) and layer._graph is None:
                layer.built = bool(node.get("built", False))
                if "calls" in node:
                    self.trace(layer, node, [inner for _, inner in joined_layers(layer)])
        for name, parameter in layer._own_parameters():
            full = f"{path}.{name}" if path else name
            if not isinstance(parameter, Variable):
                raise ValueError(f"expected weights of keras, got {type(parameter).__name__}")
            self.slots[full] = layer, parameter
        self.listed += [f"{path}.{name}" if path else name for name in node.get("weights", ())]
        self.learning.append((layer, node))

    def draw_on(self, layer: Layer, node: JSON) -> None:
        """A layer with random numbers of its own goes on where it was."""
        drawn = node.get("drawn")
        if drawn is None:
            return
        if not isinstance(layer, RandomLayer) or layer.seed is None or not 0 <= drawn < 2**63:
            raise ValueError(f"drawn: expected a layer with a seed, got {drawn!r:.40}")
        layer._generator = generator_at(layer.seed, drawn)

    def match(self, layer: Layer, node: JSON, path: str, whole: bool) -> None:
        """The layers that a layer's own code has made are those of the file, in their order."""
        listed = node.get("layers", [])
        if isinstance(layer, Sequential) and is_joined(layer) and layer._entry is None:
            first = listed[0] if listed else {}
            if first.get("class") == "InputLayer":  # it came with the first data
                at = f"{path}.{first['name']}" if path else first["name"]
                entry = self.layer(first, at)
                layer._entry = entry if isinstance(entry, InputLayer) else None
        there = [module for _, module in layers_in(layer)]
        if whole and len(there) != len(listed):
            raise ValueError(
                f"expected {len(listed)} layers within it, as in the file, got {len(there)} of its "
                "code; make them in __init__ or build, not in call"
            )
        for child, inner in zip(there, listed, strict=False):
            at = f"{path}.{inner['name']}" if path else inner["name"]
            if "same" in inner:
                if whole and self.made.get(inner["same"]) is not child:
                    raise ValueError(
                        f"expected {plain(inner['name'])} to be the layer {plain(inner['same'])}, "
                        "as in the file, got another"
                    )
                continue
            if at in self.made and self.made[at] is child:
                continue
            with self.at(at, inner):
                kind: Any = type(child)
                mine = kind.__name__ if kind in (Model, Sequential) else place_of(kind)[1]
                if mine != inner["class"]:
                    raise ValueError(f"expected what its code makes, {mine}, got another class")
                self.settle(child, inner, at, False)

    # --- models that are made of inputs and outputs

    def joined(self, node: JSON, path: str) -> Layer:
        """A model with its layers and the calls between them."""
        kind = self.kind(node)
        layers = [self.within(child, path) for child in node.get("layers", ())]
        config = node.get("config", {})
        named = {"name": config.get("name"), "trainable": bool(config.get("trainable", True))}
        if "chain" in node:
            return self.chain(kind, named, node, layers)
        tensors = self.calls(node["calls"], layers)
        inputs, outputs = (_placed(node.get(key), tensors) for key in ("inputs", "outputs"))
        model: Layer = kind(inputs=inputs, outputs=outputs, **named)
        _check_used(model, layers)
        return model

    def within(self, child: JSON, path: str) -> Layer:
        """A layer of a model, or the one that is there already."""
        if "same" not in child:
            return self.layer(child, f"{path}.{child['name']}" if path else child["name"])
        if child["same"] not in self.made:
            raise ValueError(f"expected the path of a layer before, got {plain(child['same'])!r}")
        return self.made[child["same"]]

    def chain(self, kind: Any, named: JSON, node: JSON, layers: list[Layer]) -> Layer:
        """A Sequential model."""
        model: Any = kind(**named)
        entries = [layer for layer in layers if isinstance(layer, InputLayer)]
        places = node["chain"]
        if len(entries) > 1 or not all(
            type(i) is int and 0 <= i < len(layers) and not isinstance(layers[i], InputLayer)
            for i in places
        ):
            raise ValueError(f"expected numbers of its layers, got {places!r:.60}")
        model._chain = [layers[i] for i in places]
        model._entry = entries[0] if entries else None
        model.built = bool(node.get("built", False))
        if "calls" in node:
            self.trace(model, node, layers)
        _check_used(model, layers)
        return model  # type: ignore[no-any-return]

    def trace(self, model: Any, node: JSON, layers: list[Layer]) -> None:
        """The graph of a Sequential model that has its layers."""
        tensors = self.calls(node["calls"], layers)
        inputs, outputs = (_placed(node.get(key), tensors) for key in ("inputs", "outputs"))
        if model._entry is None or inputs is not model._entry.tensor:
            raise ValueError("expected the model's own input, got another")
        model._graph = Graph(model.name, inputs, outputs)
        model.built = True

    def calls(self, calls: list[Any], layers: list[Layer]) -> list[list[KerasTensor]]:
        """What comes out of each call, without running any."""
        tensors: list[list[KerasTensor]] = []
        for number, call in enumerate(calls):
            try:
                tensors.append(_called(call, layers, tensors))
            except _ERRORS as error:
                raise ValueError(f"call {number}: {plain(str(error), 300)}") from None
        return tensors

    # --- weights

    def fill(self, tensors: Mapping[str, Tensor], tied: Mapping[str, str]) -> None:
        """Puts the tensors into their places: all, or none on an error."""
        sources = {name: name if name in tensors else tied.get(name, name) for name in self.slots}
        missing = [plain(name) for name, source in sources.items() if source not in tensors]
        used = set(sources.values())
        named = dict.fromkeys([*tensors, *self.listed])
        unexpected = [plain(name) for name in named if name not in used and name not in self.slots]
        wrong = [
            f"{plain(name)} {_told(variable)}, got {_told(tensors[sources[name]])}"
            for name, (_, variable) in self.slots.items()
            if sources[name] in tensors and _told(variable) != _told(tensors[sources[name]])
        ]
        told = disagreements(missing, unexpected, wrong)
        if told:
            raise ValueError(f"expected the weights that its layers have, got {told}")
        new: dict[int, Variable] = {}
        taken: set[str] = set()  # by weights that are not one in the model, though in the file
        for name, (layer, variable) in list(self.slots.items()):
            value = tensors[sources[name]]
            if not variable.hollow:
                with no_grad():
                    variable.copy_(value)
                continue
            if id(variable) not in new:
                source = sources[name]
                new[id(variable)] = variable.filled(value.clone() if source in taken else value)
                taken.add(source)
            _replace(layer, variable, new[id(variable)])
            self.slots[name] = layer, new[id(variable)]
        for layer, node in self.learning:
            _learn(layer, node)
            if node.get("own") and "state" in node:
                with self.at(layer.name, node):
                    layer.load_own_variables(_store(layer, node["state"]))
        _C.structure_changed()


def _check_used(model: Any, layers: list[Layer]) -> None:
    """A ValueError for a layer of which nothing goes into the outputs."""
    used = {id(layer) for _, layer in joined_layers(model)}
    for layer in layers:
        if id(layer) not in used:
            raise ValueError(f"expected calls of all its layers, got none of {plain(layer.name)}")


class _NamedError(ValueError):
    """An error that names its layer already."""


def _shapes(value: Any) -> list[Any]:
    """The shapes that a layer was built for, one for each argument, which may be lists of them."""
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"build: expected a list of shapes, got {value!r:.60}")
    return [_shape(part, 0) for part in value]


def _shape(value: Any, depth: int) -> Any:
    if value is None:
        return None
    if isinstance(value, dict) and depth < 4 and "is" not in value:
        return {key: _shape(part, depth + 1) for key, part in value.items()}
    lists = isinstance(value, (list, tuple)) and any(isinstance(p, (list, tuple)) for p in value)
    if lists and depth < 4:
        return [_shape(part, depth + 1) for part in value]
    return shape_in(value)


def _called(call: Any, layers: list[Layer], before: list[list[KerasTensor]]) -> list[KerasTensor]:
    """What comes out of a call of a layer or an operation; or a tensor that comes from nowhere."""
    if not isinstance(call, dict):
        raise ValueError(f"expected an object, got {call!r:.60}")
    out = decoded(call.get("out"))
    if not all(isinstance(leaf, Out) for leaf in flatten(out)):
        raise ValueError(f"expected shapes that come out, got {out!r:.60}")
    if "free" in call:
        return [KerasTensor(leaf.shape, leaf.dtype, str(call["free"])) for leaf in flatten(out)]
    layer: Any = _operation(call) if "op" in call else _layer_of(call, layers)
    if isinstance(layer, InputLayer):
        return [layer.tensor]
    if isinstance(layer, Layer) and not layer.built:
        raise ValueError(f"expected {plain(layer.name)} to be built, got a layer that is not")
    args, kwargs = decoded(call.get("args", [])), decoded(call.get("kwargs", {}))
    if not isinstance(args, list) or not isinstance(kwargs, dict):
        raise ValueError(f"expected arguments, got {args!r:.60} and {kwargs!r:.60}")
    args, kwargs = map_structure(lambda leaf: _tensor(leaf, before), (args, kwargs))
    outputs = map_structure(lambda leaf: KerasTensor(leaf.shape, leaf.dtype), out)
    node = Node(layer, tuple(args), kwargs, outputs)
    if isinstance(layer, Layer):
        layer._nodes.append(node)
    return flatten(outputs)


def _layer_of(call: JSON, layers: list[Layer]) -> Layer:
    number = call.get("layer")
    if type(number) is not int or not 0 <= number < len(layers):
        raise ValueError(f"expected the number of a layer, got {number!r:.40}")
    return layers[number]


def _operation(call: JSON) -> Operation:
    """An operation on symbolic tensors."""
    told, name = call["op"], call.get("called")
    if not isinstance(told, dict) or not isinstance(name, str) or not name:
        raise ValueError(f"expected an operation and its name, got {told!r:.60}")
    if "method" in told:
        if told["method"] not in OPERATORS:
            raise ValueError(f"expected an operator, got {plain(str(told['method']))!r}")
        function: Callable[..., Any] = Method(told["method"])
    elif "item" in told:
        function = Item(decoded(told["item"]))
    else:
        module, word = told.get("module"), told.get("function")
        if module not in ("keras.ops", "keras.activations") or not isinstance(word, str):
            raise ValueError(f"expected a function of keras.ops, got {told!r:.60}")
        function = thing_at(module, word)
    operation = Operation.__new__(Operation)
    operation.function, operation.name = function, name
    return operation


def _tensor(leaf: Any, before: list[list[KerasTensor]]) -> Any:
    if not isinstance(leaf, Ref):
        return leaf
    if leaf.call >= len(before) or leaf.place >= len(before[leaf.call]):
        raise ValueError(f"expected what a call before gives, got {leaf}")
    return before[leaf.call][leaf.place]


def _placed(structure: Any, tensors: list[list[KerasTensor]]) -> Any:
    """Inputs or outputs of a model."""
    given = decoded(structure)
    if not flatten(given) or not all(isinstance(leaf, Ref) for leaf in flatten(given)):
        raise ValueError(f"expected inputs and outputs, got {given!r:.60}")
    return map_structure(lambda leaf: _tensor(leaf, tensors), given)


def _told(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} {tensor.dtype.name}"


def _replace(layer: Layer, old: Variable, new: Variable) -> None:
    """Puts one variable into the place of another, wherever a layer has it."""
    layer._own[:] = [new if v is old else v for v in layer._own]
    for name, value in list(vars(layer).items()):
        if value is old:
            object.__setattr__(layer, name, new)


def _store(layer: Layer, state: JSON) -> dict[str, Any]:
    """What `load_own_variables` takes: arrays by name."""
    weights, store = dict(layer._own_parameters()), {}
    for key, value in state.items():
        given = value if isinstance(value, dict) else {}
        tensor = given.get("array", weights.get(given.get("weight", "")))
        if not isinstance(tensor, Tensor):
            raise ValueError(f"state: expected arrays and weights, got {value!r:.60}")
        store[key] = as_array(tensor.detach())
    return store


def _learn(layer: Layer, node: JSON) -> None:
    """Says of each weight whether it is learned."""
    fixed, frozen = node.get("fixed", ()), node.get("frozen", ())
    names = dict(layer._own_parameters())
    for name in (*fixed, *frozen):
        if name not in names:
            raise ValueError(f"expected names of weights, got {plain(name)!r}")
    for name, variable in names.items():
        assert isinstance(variable, Variable)
        variable.wanted = name not in fixed
        learned = variable.wanted and name not in frozen and variable.dtype.is_floating_point
        if variable.requires_grad is not learned:
            variable.requires_grad = learned
