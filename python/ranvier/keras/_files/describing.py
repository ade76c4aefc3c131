"""A Keras layer or model as plain data: what it is made with, what is in it, how it is joined.

Each layer is an object: its class, its configuration, the shapes that it was built for, the names
of its weights. A model that is made of inputs and outputs has its layers and the calls between
them, with the shapes that come out, so that loading runs nothing. Of a layer with code of its own,
the layers within are listed in their order, to give them their names and weights again.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier._C import Tensor
from ranvier.io.description import DEPTH
from ranvier.keras._files import lambdas
from ranvier.keras._files.values import OWN, DescribeError, Out, Ref, encoded, place_of, table
from ranvier.keras.layers.core import InputLayer, Lambda
from ranvier.keras.layers.layer import Layer
from ranvier.keras.layers.regularization import RandomLayer
from ranvier.keras.models.graph import Graph
from ranvier.keras.models.model import Model
from ranvier.keras.models.sequential import Sequential
from ranvier.keras.tensors import Item, KerasTensor, Method, Operation, flatten, map_structure

JSON = dict[str, Any]
CALLS = 100_000


_OURS = {kind for kind in table("layers").values() if isinstance(kind, type)}


class Described:
    """A layer, taken apart.

    Attributes
    ----------
    tree : dict
        Plain data.
    tensors : dict of str to Tensor
        Weights by name, those that are there twice under the first one.
    tied : dict of str to str
        The other names, each with the first one.
    own : list of (str, str)
        Paths and classes that are not Ranvier's.
    names : dict of int to str
        The names of the weights, by identity.
    """

    def __init__(self, layer: Layer) -> None:
        self.tensors: dict[str, Tensor] = {}
        self.tied: dict[str, str] = {}
        self.own: list[tuple[str, str]] = []
        self._paths: dict[int, str] = {}
        self._roots: dict[int, int | None] = {}
        self.names: dict[int, str] = {}
        self.tree = self._node(layer, "", None, 0)
        self._check_all(layer)

    def _check_all(self, layer: Layer) -> None:
        """Nothing of the state may be left out."""
        state = [*layer.named_parameters(remove_duplicate=False), *layer.named_buffers()]
        beside = [name for name, tensor in state if id(tensor) not in self.names]
        if beside:
            raise DescribeError(f"{beside[0]} is none of the weights of its layers")

    def _node(self, layer: Layer, path: str, root: int | None, depth: int) -> JSON:
        """One layer and all within it; `root` is the outermost layer whose code makes it."""
        if depth >= DEPTH // 5:
            raise DescribeError(f"there are more than {DEPTH // 5} layers within each other")
        self._paths[id(layer)], self._roots[id(layer)] = path, root
        try:
            node = self._itself(layer, path)
        except DescribeError as error:
            where = f"{layer.name} ({type(layer).__name__})"
            raise DescribeError(f"{where}: {error}") from None
        self._weights(layer, path, node)
        within = layers_in(layer)
        below = root if is_joined(layer) or root is not None else id(layer)
        layers = [self._child(name, inner, path, below, depth) for name, inner in within]
        if layers:
            node["layers"] = layers
        if is_joined(layer):
            self._joints(layer, [inner for _, inner in within], node)
        return node

    def _child(self, name: str, layer: Layer, path: str, root: int | None, depth: int) -> JSON:
        inner = f"{path}.{name}" if path else name
        if id(layer) not in self._paths:
            return {"name": name, **self._node(layer, inner, root, depth + 1)}
        if self._roots[id(layer)] != root:
            raise DescribeError(
                f"{layer.name} ({type(layer).__name__}): it is shared with a layer whose own code "
                "makes its layers"
            )
        for (full, tensor), (first, _) in zip(
            _named(layer, inner), _named(layer, self._paths[id(layer)]), strict=True
        ):
            if id(tensor) in self.names:
                self.tied[full] = first
        return {"name": name, "same": self._paths[id(layer)]}

    def _itself(self, layer: Layer, path: str) -> JSON:
        """Class and configuration, and what the configuration leaves out."""
        kind = type(layer)
        if "call" in vars(layer):
            raise DescribeError("it has a call of its own")
        held = {id(value) for value in vars(layer).values()}
        if type(layer) in _OURS and any(id(variable) not in held for variable in layer._own):
            raise DescribeError("another weight stands in the place of one that it made")
        module, name = place_of(kind) if kind not in (Model, Sequential) else ("", kind.__name__)
        node: JSON = {"class": name}
        if module == OWN:
            node["own"] = True
            self.own.append((path, name))
        config = _config(layer)
        node["config"] = config
        if layer.dtype != config.get("dtype"):
            node["dtype"] = layer.dtype
        if layer.name != config.get("name"):
            node["called"] = layer.name
        if layer._trainable is not config.get("trainable", True):
            node["trainable"] = layer._trainable
        if not layer.autocast:
            node["autocast"] = False
        if layer.training:
            node["training"] = True
        penalty = layer.activity_regularizer
        if penalty is not None and "activity_regularizer" not in config and module != OWN:
            node["activity_regularizer"] = encoded(penalty)
        if isinstance(layer, RandomLayer) and layer._generator is not None:
            node["drawn"] = int(layer._generator.state[1].item())
        if layer.built and not is_joined(layer) and not isinstance(layer, InputLayer):
            node["build"] = encoded(layer._build_shapes)
            if _overrides(layer, "build_from_config"):
                node["build_config"] = encoded(layer.get_build_config())
        return node

    def _weights(self, layer: Layer, path: str, node: JSON) -> None:
        """Names of the layer's own weights, and which of them do not learn."""
        names, fixed, frozen = [], [], []
        for name, variable in layer._own_parameters():
            full = f"{path}.{name}" if path else name
            names.append(name)
            if self.names.setdefault(id(variable), full) == full:
                if full in self.tensors or full in self.tied:
                    raise DescribeError(f"two of its weights are called {full}")
                self.tensors[full] = variable.detach()
            else:
                self.tied[full] = self.names[id(variable)]
            wanted = getattr(variable, "wanted", True)
            if not wanted:
                fixed.append(name)
            elif not variable.requires_grad:
                frozen.append(name)
        lists = {"weights": names, "fixed": fixed, "frozen": frozen}
        node |= {key: value for key, value in lists.items() if value}
        if _overrides(layer, "load_own_variables"):
            node["state"] = _state(layer)

    # --- models that are made of inputs and outputs

    def _joints(self, model: Any, layers: list[Layer], node: JSON) -> None:
        """The calls of a model, and in which order its layers stand."""
        numbers = {id(layer): i for i, layer in enumerate(layers)}
        if isinstance(model, Sequential):
            node["chain"] = [numbers[id(layer)] for layer in model._chain]
        if model._graph is not None:
            node |= _calls(model._graph, numbers)
        elif model.built:
            node["built"] = True


def is_joined(layer: Any) -> bool:
    """Whether a model is made of its layers and how they are joined, and not by code of its own."""
    makes = type(layer).__init__
    if isinstance(layer, Sequential):
        return makes is Sequential.__init__
    return isinstance(layer, Model) and makes is Model.__init__ and layer._graph is not None


def _overrides(layer: Layer, name: str) -> bool:
    """Whether a class of one's own does this in its own way."""
    return getattr(type(layer), name) is not getattr(Layer, name)


def _state(layer: Layer) -> JSON:
    """What a layer of one's own keeps beside its weights, and its weights by their names."""
    names = {id(variable): name for name, variable in layer._own_parameters()}
    store: dict[str, Any] = {}
    layer.save_own_variables(store)
    return {
        str(key): {"weight": names[id(value)]} if id(value) in names else {"array": _array(value)}
        for key, value in store.items()
    }


def _array(value: Any) -> Any:
    return value.detach() if isinstance(value, Tensor) else np.asarray(value)


def layers_in(layer: Layer) -> list[tuple[str, Layer]]:
    """Names and layers that a layer or a model has within it."""
    if is_joined(layer):
        return joined_layers(layer)
    return [(name, inner) for name, inner in layer._own_modules() if isinstance(inner, Layer)]


def joined_layers(model: Any) -> list[tuple[str, Layer]]:
    """Names and layers of a model that is made of them."""
    names = {id(module): name for name, module in model._own_modules()}
    if isinstance(model, Sequential):
        entry = [] if model._entry is None else [model._entry]
        layers = {id(layer): layer for layer in [*entry, *model._chain]}
    else:
        layers = {id(x): x for x in model._graph.layers if isinstance(x, Layer)}
    beside = [name for number, name in names.items() if number not in layers]
    if beside:
        raise DescribeError(f"{beside[0]} is none of the layers between its inputs and outputs")
    return [(names.get(number, layer.name), layer) for number, layer in layers.items()]


def _named(layer: Layer, path: str) -> list[tuple[str, Tensor]]:
    """Full names and weights of a layer and all within it."""
    found = [(f"{path}.{name}" if path else name, v) for name, v in layer._own_parameters()]
    for name, module in layer._own_modules():
        if isinstance(module, Layer):
            found += _named(module, f"{path}.{name}" if path else name)
    return found


def _config(layer: Any) -> JSON:
    """The configuration of a layer as plain data, with what may have changed as it is now."""
    if is_joined(layer):
        return {"name": layer.name, "trainable": layer._trainable, "dtype": layer.dtype}
    config = dict(layer.get_config())
    now = {"name": layer.name, "trainable": layer._trainable, "dtype": layer.dtype}
    config.update((key, value) for key, value in now.items() if key in config)
    config.pop("weights", None)
    if isinstance(layer, Lambda):
        return _config_of_lambda(layer, config)
    for name in config if place_of(type(layer))[0] != OWN else ():
        value = vars(layer).get(name)
        if callable(value) and (isinstance(value, Layer) or _is_own(name, value)):
            config[name] = value
    made: JSON = encoded(config)
    return made


def _is_own(name: str, value: Any) -> bool:
    """Whether an argument is a function or an object of one's own."""
    try:
        found = place_of(type(value) if hasattr(value, "get_config") else value)
    except DescribeError as error:
        raise DescribeError(f"{name}: {error}") from None
    return found[0] == OWN


def _config_of_lambda(layer: Lambda, config: JSON) -> JSON:
    """The configuration of a Lambda: its function by its name, or what it computes."""
    function, arguments = config.pop("function"), config.pop("arguments", {})
    made: JSON = encoded(config)
    try:
        if isinstance(function, lambdas.Recorded):
            raise DescribeError("it was recorded")
        return {**made, "function": encoded(function), "arguments": encoded(arguments)}
    except DescribeError:
        return {**made, "function": lambdas.written(layer)}


def _calls(graph: Graph, numbers: dict[int, int]) -> JSON:
    """The calls of a graph, each after what it needs, and what goes in and comes out."""
    refs: dict[int, Ref] = {}
    calls: list[JSON] = []

    def note(outputs: Any) -> Any:
        for place, tensor in enumerate(flatten(outputs)):
            refs[id(tensor)] = Ref(len(calls), place)
        return encoded(map_structure(lambda t: Out(t.shape, t.dtype), outputs))

    inside = {id(t) for node in graph.nodes for t in flatten(node.outputs)}
    for tensor in graph.inputs:
        if id(tensor) not in inside:
            calls.append({"free": tensor.name, "out": note(tensor)})
    for node in graph.nodes:
        call: JSON = {}
        if isinstance(node.layer, Operation):
            call |= {"op": _operation(node.layer), "called": node.layer.name}
        else:
            call["layer"] = numbers[id(node.layer)]
        if node.args or node.kwargs:
            args, kwargs = map_structure(
                lambda leaf: refs[id(leaf)] if isinstance(leaf, KerasTensor) else leaf,
                (node.args, node.kwargs),
            )
            call["args"] = encoded(list(args))
            call |= {"kwargs": encoded(kwargs)} if kwargs else {}
        call["out"] = note(node.outputs)
        calls.append(call)
    if len(calls) > CALLS:
        raise DescribeError(f"it has more than {CALLS:,} calls")

    def places(structure: Any) -> Any:
        return encoded(map_structure(lambda t: refs[id(t)], structure))

    return {
        "calls": calls,
        "inputs": places(graph.structure),
        "outputs": places(graph.output_structure),
    }


def _operation(operation: Operation) -> JSON:
    """What an operation on symbolic tensors is."""
    function: Any = operation.function
    if isinstance(function, Method):
        return {"method": function.name}
    if isinstance(function, Item):
        return {"item": encoded(function.key)}
    module, name = place_of(function)
    return {"module": module, "function": name}
