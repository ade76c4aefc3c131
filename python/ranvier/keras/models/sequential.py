"""`Sequential`: layers one after another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ranvier._C import Tensor
from ranvier.keras._names import serialize
from ranvier.keras.layers import deserialize
from ranvier.keras.layers.core import InputLayer
from ranvier.keras.layers.layer import Layer
from ranvier.keras.models.graph import Graph
from ranvier.keras.models.model import Model
from ranvier.keras.tensors import KerasTensor, is_symbolic
from ranvier.nn import Module


class Sequential(Model):
    """A network of layers one after another.

    Its weights are made when the shape of the input is known: from an `Input` in front, from
    `input_shape=` of the first layer, or from the first data.

    Parameters
    ----------
    layers : sequence of Layer, optional
    trainable : bool
    name : str, optional

    Examples
    --------
    >>> from ranvier import keras
    >>> model = keras.Sequential([keras.layers.Dense(4, activation="relu"), keras.layers.Dense(1)])
    >>> model([[1.0, 2.0, 3.0]]).shape
    (1, 1)
    >>> [w.shape for w in model.get_weights()]
    [(3, 4), (4,), (4, 1), (1,)]
    """

    def __init__(
        self, layers: Sequence[Any] | None = None, trainable: bool = True, name: str | None = None
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        self._chain: list[Any] = []
        self._entry: InputLayer | None = None
        for layer in layers or ():
            self._append(layer)
        self._rebuild()

    # --- putting it together

    def add(self, layer: Any, rebuild: bool = True) -> None:
        """Adds a layer at the end."""
        self._append(layer)
        if rebuild:
            self._rebuild()

    def pop(self, rebuild: bool = True) -> Any:
        """Takes the last layer away, and gives it back."""
        if not self._chain:
            raise ValueError(f"[Sequential] {self.name}: expected a layer to pop, got none")
        layer = self._chain.pop()
        if rebuild:
            self._rebuild()
        return layer

    def _append(self, layer: Any) -> None:
        if isinstance(layer, KerasTensor) and layer.node is not None:
            layer = layer.node.layer
        if isinstance(layer, InputLayer):
            if self._chain or self._entry is not None:
                raise ValueError(
                    f"[Sequential] {self.name}: expected an input in front of all layers, got one "
                    f"after {len(self._chain)}"
                )
            self._entry = layer
            return
        if isinstance(layer, type):
            raise TypeError(
                f"[Sequential] {self.name}: expected objects, got the class {layer.__name__}; "
                f"write {layer.__name__}(...)"
            )
        if not isinstance(layer, Layer):
            hint = "; layers.Lambda makes a layer of a function" if callable(layer) else ""
            raise TypeError(
                f"[Sequential] {self.name}: expected layers of keras.layers, got "
                f"{type(layer).__name__}{hint}"
            )
        taken = {id(own) for own in self._chain}
        if id(layer) not in taken and any(own.name == layer.name for own in self._chain):
            raise ValueError(
                f"[Sequential] {self.name}: expected layers of different names, got "
                f"{layer.name!r} twice"
            )
        if not self._chain and self._entry is None:
            if layer._given_shape is not None:
                self._entry = InputLayer(batch_shape=layer._given_shape, dtype=layer.dtype)
            elif isinstance(layer, Model) and layer._graph is not None:
                first = layer.inputs[0]
                self._entry = InputLayer(batch_shape=first.shape, dtype=first.dtype)
        self._chain.append(layer)

    def _rebuild(self) -> None:
        """Makes weights and graph, where the shape of the input is known."""
        self._graph, self._quick, self._loss_layers = None, False, []
        if self._entry is None:
            self.built = False
            return
        symbol: Any = self._entry.tensor
        for layer in self._chain:
            symbol = layer(symbol)
        if self._chain:
            self._graph = Graph(self.name, self._entry.tensor, symbol)
            self.built = True

    def build(self, input_shape: Any = None) -> None:
        """Makes the weights for inputs of a shape; None stands for the number of rows."""
        if input_shape is None or self._graph is not None:
            return
        shapes = input_shape if isinstance(input_shape, (list, tuple)) else (input_shape,)
        if shapes and isinstance(shapes[0], (list, tuple)):
            raise ValueError(
                f"[Sequential] {self.name}: expected one input, got {len(shapes)}; use "
                "keras.Model for several"
            )
        if not self._chain:
            raise ValueError(f"[Sequential] {self.name}: expected at least one layer, got none")
        self._entry = InputLayer(batch_shape=(None, *shapes[1:]), dtype=self.dtype)
        self._rebuild()

    # --- running it

    def call(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """What comes out of the last layer."""
        if self._entry is not None and isinstance(inputs, Tensor):
            wanted = self._entry.batch_shape
            if tuple(inputs.shape[1:]) != wanted[1:]:
                inputs = Graph._fitted(self.name, inputs, self._entry.tensor)
        outputs = inputs
        for layer in self._chain:
            outputs = layer(outputs)
        return outputs

    def _build_for(self, inputs: tuple[Any, ...]) -> None:
        # Layers whose shapes only numbers show are built one by one, as they are called.
        shape = getattr(inputs[0], "shape", None) if inputs else None
        if shape is not None and not (is_symbolic(inputs) and self._chain == []):
            self.build(tuple(shape))
        self.built = True

    # --- what is in it

    @property
    def layers(self) -> list[Any]:
        """The layers, without the input."""
        return list(self._chain)

    def inner_layers(self) -> Iterator[tuple[str, Module]]:
        """The layers, by their names."""
        for layer in self.__dict__.get("_chain", ()):
            yield layer.name, layer

    def get_config(self) -> dict[str, Any]:
        """The configurations of the layers."""
        entry = [] if self._entry is None else [self._entry]
        return {"name": self.name, "layers": [serialize(layer) for layer in entry + self._chain]}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Any = None) -> Any:
        """A model from what `get_config` gave, with new weights."""
        if "layers" not in config:  # of a subclass that makes its layers itself
            return super().from_config(config, custom_objects)
        layers = [deserialize(layer) for layer in config["layers"]]
        return cls(layers, name=config.get("name"))
