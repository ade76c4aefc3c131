"""The graph of a functional model: which layers lie between its inputs and outputs, and running it.

Layers are in Keras' order: by their distance from the outputs, largest first, and then in the
order in which a walk from the outputs meets them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ranvier._C import ShapeError, Tensor
from ranvier.keras.layers.core import InputLayer
from ranvier.keras.tensors import KerasTensor, Node, flatten, map_structure

Fill = Callable[[list[Any]], Any]


class Graph:
    """What is computed between some inputs and outputs.

    Parameters
    ----------
    inputs, outputs : KerasTensor, or list or dict of them

    Attributes
    ----------
    layers : list
        Every layer and operation, inputs included, each once.

    Raises
    ------
    ValueError
        Where an output needs something that is not among the inputs.
    """

    def __init__(self, where: str, inputs: Any, outputs: Any) -> None:
        self.structure, self.output_structure = inputs, outputs
        self.inputs: list[KerasTensor] = flatten(inputs)
        self.outputs: list[KerasTensor] = flatten(outputs)
        for name, tensors in (("inputs", self.inputs), ("outputs", self.outputs)):
            for tensor in tensors:
                if not isinstance(tensor, KerasTensor):
                    raise ValueError(
                        f"[{where}] {name}: expected symbolic tensors, as keras.Input and layers "
                        f"give them, got {type(tensor).__name__}"
                    )
        self._known = {id(t) for t in self.inputs}
        self.nodes: list[Node] = []
        self._seen: dict[int, int] = {}  # layers, in the order in which the walk meets them
        self._ordered: list[Any] = []
        self._walk(where)
        self.layers = self._by_depth()
        self._compile()

    # --- reading it off the tensors

    def _walk(self, where: str) -> None:
        """Nodes from the inputs to the outputs, each after what it needs; without recursion."""
        done: set[int] = set()
        for output in self.outputs:
            stack: list[tuple[KerasTensor, bool]] = [(output, False)]
            while stack:
                tensor, finished = stack.pop()
                node = tensor.node
                if finished:
                    assert node is not None
                    if id(node) not in done:
                        done.add(id(node))
                        self.nodes.append(node)
                    continue
                if node is None or id(node) in done:
                    continue
                is_input = isinstance(node.layer, InputLayer)
                if id(tensor) in self._known and not is_input:
                    continue
                if is_input and id(tensor) not in self._known:
                    raise ValueError(
                        f"[{where}] outputs: expected all that they need among the inputs, got "
                        f"{output.name!r}, which needs the input {node.layer.name!r}"
                    )
                self._meet(node.layer)
                stack.append((tensor, True))
                stack.extend((parent, False) for parent in reversed(node.parents))
        for tensor in self.inputs:
            node = tensor.node
            if node is not None and id(node) not in done and isinstance(node.layer, InputLayer):
                self._meet(node.layer)  # an input that no output needs
                self.nodes.insert(0, node)

    def _meet(self, layer: Any) -> None:
        if id(layer) not in self._seen:
            self._seen[id(layer)] = len(self._ordered)
            self._ordered.append(layer)

    def _by_depth(self) -> list[Any]:
        depth_of_node: dict[int, int] = {}
        depth_of_layer: dict[int, int] = {}
        inside = {id(node) for node in self.nodes}
        for node in reversed(self.nodes):
            depth = max(depth_of_node.get(id(node), 0), depth_of_layer.get(id(node.layer), 0))
            depth_of_node[id(node)] = depth_of_layer[id(node.layer)] = depth
            for parent in node.parents:
                if parent.node is not None and id(parent.node) in inside:
                    before = depth_of_node.get(id(parent.node), 0)
                    depth_of_node[id(parent.node)] = max(depth + 1, before)
        return sorted(
            self._ordered, key=lambda layer: (-depth_of_layer[id(layer)], self._seen[id(layer)])
        )

    # --- running it

    def __getstate__(self) -> dict[str, Any]:
        # Places go by identity, and copies are other objects.
        return {k: v for k, v in self.__dict__.items() if k not in ("_places", "_known", "_seen")}

    def _compile(self) -> None:
        """Gives every tensor a place in a list, so that running needs no look-ups."""
        self._places = {id(t): i for i, t in enumerate(self.inputs)}
        self._steps: list[tuple[Any, int | None, Node, list[int]]] = []
        for node in self.nodes:
            results = flatten(node.outputs)
            if isinstance(node.layer, InputLayer):
                continue
            single = None
            if len(node.args) == 1 and not node.kwargs and isinstance(node.args[0], KerasTensor):
                single = self._places[id(node.args[0])]
            targets = []
            for tensor in results:
                self._places.setdefault(id(tensor), len(self._places))
                targets.append(self._places[id(tensor)])
            self._steps.append((node.layer, single, node, targets))
        self._out = [self._places[id(t)] for t in self.outputs]

    def run(self, where: str, inputs: Any) -> Any:
        """The outputs for inputs in the structure of the model's own, or a list of them."""
        if "_places" not in self.__dict__:
            self._compile()
        values: list[Any] = self._arranged(where, inputs)
        values += [None] * (len(self._places) - len(values))
        for layer, single, node, targets in self._steps:
            if single is not None:
                result = layer(values[single])
            else:
                args, kwargs = map_structure(
                    lambda leaf: (
                        values[self._places[id(leaf)]] if isinstance(leaf, KerasTensor) else leaf
                    ),
                    (node.args, node.kwargs),
                )
                result = layer(*args, **kwargs)
            if len(targets) == 1 and isinstance(result, (Tensor, KerasTensor)):
                values[targets[0]] = result
            else:
                for target, part in zip(targets, flatten(result), strict=True):
                    values[target] = part
        if len(self._out) == 1 and isinstance(self.output_structure, KerasTensor):
            return values[self._out[0]]
        return map_structure(lambda t: values[self._places[id(t)]], self.output_structure)

    def _arranged(self, where: str, inputs: Any) -> list[Any]:
        """Inputs in order, each with as many axes as the model's."""
        if isinstance(inputs, Mapping) and not isinstance(self.structure, Mapping):
            names = [tensor.name for tensor in self.inputs]
            missing = [name for name in names if name not in inputs]
            if missing:
                raise ValueError(
                    f"[{where}] expected inputs of the names {', '.join(names)}, got "
                    f"{', '.join(map(str, inputs))}"
                )
            given = [inputs[name] for name in names]
        elif isinstance(inputs, Mapping):
            given = [inputs[key] for key in self.structure]
        else:
            given = flatten(inputs)
        if len(given) != len(self.inputs):
            raise ValueError(
                f"[{where}] expected {len(self.inputs)} inputs, got {len(given)} of shapes "
                f"{[tuple(x.shape) for x in given]}"
            )
        return [
            self._fitted(where, x, own) if tuple(x.shape[1:]) != own.shape[1:] else x
            for x, own in zip(given, self.inputs, strict=True)
        ]

    @staticmethod
    def _fitted(where: str, x: Any, own: KerasTensor) -> Any:
        rank = len(own.shape)
        if len(x.shape) == rank - 1 and own.shape[-1] == 1:
            return x.unsqueeze(-1) if isinstance(x, Tensor) else x[..., None]
        if len(x.shape) == rank + 1 and x.shape[-1] == 1 and isinstance(x, Tensor):
            return x.squeeze(-1)
        fits = len(x.shape) == rank and all(
            a is None or b is None or a == b
            for a, b in zip(x.shape[1:], own.shape[1:], strict=True)
        )
        if not fits:
            raise ShapeError(
                f"[{where}] {own.name}: expected input of shape {own.shape}, got {tuple(x.shape)}"
            )
        return x
