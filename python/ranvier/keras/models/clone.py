"""`clone_model`: the same layers in the same arrangement, with weights of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ranvier.keras.layers.core import InputLayer
from ranvier.keras.layers.layer import Layer
from ranvier.keras.models.graph import Graph
from ranvier.keras.models.model import Model
from ranvier.keras.models.sequential import Sequential
from ranvier.keras.tensors import KerasTensor, Operation, map_structure, record

Clone = Callable[[Any], Any]


def clone_model(model: Any, input_tensors: Any = None, clone_function: Clone | None = None) -> Any:
    """A model of layers made anew from their configurations, with new starting weights.

    Parameters
    ----------
    model : Sequential or functional Model
    input_tensors : KerasTensor, or list or dict of them, optional
        What the clone begins with; inputs like the model's if left out.
    clone_function : callable, optional
        Gives the layer to put in the place of each one that is no input: a chance to change it.

    Returns
    -------
    Model
        Not compiled.

    Raises
    ------
    ValueError
        For a subclass with `call`, whose layers are known to itself alone.

    Examples
    --------
    >>> from ranvier import keras
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> twin = keras.models.clone_model(model)
    >>> twin.set_weights(model.get_weights())
    >>> bool((twin.predict([[1.0, 2.0]], verbose=0) == model([[1.0, 2.0]]).numpy()).all())
    True
    """
    make = clone_function or _again
    if isinstance(model, Sequential):
        layers = [make(layer) for layer in model.layers]
        if input_tensors is not None:
            entry: Any = [_entry(input_tensors)]
        else:
            entry = [] if model._entry is None else [_again(model._entry)]
        return type(model)([*entry, *layers], name=model.name)
    graph = getattr(model, "_graph", None)
    if graph is None or not isinstance(model, Model):
        raise ValueError(
            f"[clone_model] {getattr(model, 'name', 'model')}: expected a functional or Sequential "
            f"model, got {type(model).__name__}, whose layers only it itself knows; make another "
            "one as this one was made"
        )
    return _cloned_graph(model, graph, input_tensors, make)


def _again(layer: Any) -> Any:
    """A layer with the same settings; models inside are cloned whole."""
    if isinstance(layer, Model):
        return clone_model(layer)
    return type(layer).from_config(layer.get_config())


def _entry(tensor: Any) -> Any:
    """The input layer of a symbolic tensor."""
    layer = tensor.node.layer if isinstance(tensor, KerasTensor) and tensor.node else None
    if not isinstance(layer, InputLayer):
        raise ValueError(
            f"[clone_model] input_tensors: expected what keras.Input gives, got "
            f"{type(tensor).__name__}"
        )
    return layer


def _cloned_graph(model: Model, graph: Graph, given: Any, make: Clone) -> Any:
    """The graph built again from the inputs on; a layer that is used twice is made once."""
    inputs = map_structure(_input_like, graph.structure) if given is None else given
    tensors: dict[int, Any] = {}

    def take(old: Any, new: Any) -> None:
        parts: list[Any] = []
        map_structure(parts.append, new)
        map_structure(lambda tensor: tensors.__setitem__(id(tensor), parts.pop(0)), old)

    def found(leaf: Any) -> Any:
        return tensors[id(leaf)] if isinstance(leaf, KerasTensor) else leaf

    take(graph.structure, inputs)
    layers: dict[int, Any] = {}
    for node in graph.nodes:
        if isinstance(node.layer, InputLayer):
            continue
        args, kwargs = map_structure(found, (node.args, node.kwargs))
        if isinstance(node.layer, Operation):
            result = record(node.layer.function, node.layer.name, args, kwargs)
        else:
            if id(node.layer) not in layers:
                layers[id(node.layer)] = _checked(make(node.layer))
            result = layers[id(node.layer)](*args, **kwargs)
        take(node.outputs, result)
    return type(model)(inputs, map_structure(found, graph.output_structure), name=model.name)


def _input_like(tensor: KerasTensor) -> Any:
    return InputLayer(batch_shape=tensor.shape, dtype=tensor.dtype, name=tensor.name).tensor


def _checked(layer: Any) -> Any:
    if not isinstance(layer, Layer):
        raise TypeError(
            f"[clone_model] clone_function: expected a layer, got {type(layer).__name__}"
        )
    return layer
