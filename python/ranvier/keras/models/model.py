"""`Model`: a layer that can be trained; made from inputs and outputs, or a subclass with `call`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ranvier._C import Tensor
from ranvier.keras._names import near
from ranvier.keras.layers.calls import calls, parameters_of
from ranvier.keras.layers.layer import Layer
from ranvier.keras.models import files, summaries
from ranvier.keras.models.graph import Graph
from ranvier.keras.tensors import KerasTensor, map_structure
from ranvier.keras.training.trainer import Trainer
from ranvier.nn import Module


class Model(Trainer, Layer):
    """A network.

    Parameters
    ----------
    inputs, outputs : KerasTensor, or list or dict of them, optional
        For a functional model. A subclass with `call` needs neither.
    name : str, optional
    trainable : bool

    Examples
    --------
    >>> from ranvier import keras
    >>> inputs = keras.Input(shape=(3,))
    >>> hidden = keras.layers.Dense(4, activation="relu")(inputs)
    >>> model = keras.Model(inputs, keras.layers.Dense(1)(hidden))
    >>> model.count_params()
    21
    >>> class Net(keras.Model):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.hidden = keras.layers.Dense(4, activation="relu")
    ...         self.out = keras.layers.Dense(1)
    ...     def call(self, inputs):
    ...         return self.out(self.hidden(inputs))
    >>> Net()([[1.0, 2.0, 3.0]]).shape
    (1, 1)
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        named = dict(kwargs)
        for name, value in zip(("inputs", "outputs", "name"), args, strict=False):
            named[name] = value
        inputs, outputs = named.pop("inputs", None), named.pop("outputs", None)
        if (inputs is None) != (outputs is None):
            raise ValueError("[Model] expected both inputs and outputs, or none, got one of them")
        super().__init__(**named)
        self._graph: Graph | None = None
        self._takes_training = "training" in parameters_of(type(self).call)
        self._loss_layers: list[Layer] = []
        if inputs is not None:
            self._set_graph(inputs, outputs)

    def _set_graph(self, inputs: Any, outputs: Any) -> None:
        self._graph = Graph(self.name, inputs, outputs)
        self.built = True
        names = [layer.name for layer in self._graph.layers]
        for name, count in Counter(names).items():
            if count > 1:
                raise ValueError(
                    f"[{type(self).__name__}] {self.name}: expected layers of different names, got "
                    f"{name!r} {count} times"
                )

    # --- running it

    def call(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """What comes out of the graph; a subclass without one defines its own."""
        if self._graph is None:
            return super().call(inputs)
        return self._graph.run(self.name, inputs)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Runs the model; penalties of the run before are forgotten."""
        if calls.running:
            return self._full_call(args, kwargs)
        calls.running = True
        for layer in self._loss_layers:
            layer._call_losses.clear()
        try:
            return self._full_call(args, kwargs)
        finally:
            calls.running = False
            if not self._loss_layers:
                self._loss_layers = self.flat_layers()

    def _full_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self._quick and len(args) == 1 and not kwargs:
            x = args[0]
            if isinstance(x, Tensor):
                if x.dtype is not self._dtype:
                    x = self._converted(x)
                if not self._takes_training:
                    return self.call(x)
                told = calls.training
                return self.call(x, training=self.training if told is None else told)
        return super()._full_call(args, kwargs)

    # --- what is in it

    def inner_layers(self) -> Iterator[tuple[str, Module]]:
        """The layers of the graph, or those in attributes."""
        if self._graph is not None:
            for layer in self._graph.layers:
                if isinstance(layer, Module):
                    yield layer.name if isinstance(layer, Layer) else "layer", layer
        yield from super().inner_layers()

    @property
    def layers(self) -> list[Any]:
        """The layers that belong to the model directly."""
        if self._graph is not None:
            return list(self._graph.layers)
        return [layer for _, layer in self.named_children()]

    def get_layer(self, name: str | None = None, index: int | None = None) -> Any:
        """A layer by its name, or by its place in `layers`."""
        layers = self.layers
        if index is not None:
            if not -len(layers) <= index < len(layers):
                raise ValueError(
                    f"[get_layer] index: expected less than {len(layers)}, got {index}"
                )
            return layers[index]
        for layer in layers:
            if layer.name == name:
                return layer
        names = [layer.name for layer in layers]
        raise ValueError(
            f"[get_layer] name: expected one of {', '.join(names)}, got {name!r}"
            f"{near(str(name), names)}"
        )

    def _need_graph(self, what: str) -> Graph:
        if self._graph is None:
            raise AttributeError(
                f"[{type(self).__name__}] {self.name}: expected a functional or Sequential model "
                f"with a known input for .{what}, got one without"
            )
        return self._graph

    @property
    def inputs(self) -> list[KerasTensor]:
        """The symbolic inputs."""
        return list(self._need_graph("inputs").inputs)

    @property
    def outputs(self) -> list[KerasTensor]:
        """The symbolic outputs."""
        return list(self._need_graph("outputs").outputs)

    @property
    def input(self) -> Any:
        """The symbolic input, or the structure of them."""
        return self._need_graph("input").structure

    @property
    def output(self) -> Any:
        """The symbolic output, or the structure of them."""
        return self._need_graph("output").output_structure

    @property
    def input_shape(self) -> Any:
        """The shape of the input, or the structure of shapes."""
        return map_structure(lambda t: t.shape, self.input)

    @property
    def output_shape(self) -> Any:
        """The shape of the output, or the structure of shapes."""
        return map_structure(lambda t: t.shape, self.output)

    @property
    def output_names(self) -> list[str] | None:
        """The names of the layers that give the outputs; None where nobody knows."""
        if self._graph is None:
            return None
        return [t.node.layer.name if t.node else t.name for t in self._graph.outputs]

    @property
    def input_names(self) -> list[str]:
        """The names of the inputs."""
        return [tensor.name for tensor in self.inputs]

    # --- configurations

    def get_config(self) -> dict[str, Any]:
        """The layers of a functional model and how they are joined; without the weights.

        Of a subclass with code of its own: the arguments of `__init__`.
        """
        from ranvier.keras._files import describing

        if not describing.is_joined(self):
            return super().get_config()
        return describing.Described(self).tree

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Any = None) -> Any:
        """A model from what `get_config` gave, with new weights."""
        from ranvier.keras._files import building
        from ranvier.keras._files.values import known_as

        with known_as(custom_objects):
            return building.anew(config) if "calls" in config else super().from_config(config)

    def to_json(self, **kwargs: Any) -> str:
        """The model without its weights, as text for `keras.models.model_from_json`."""
        from ranvier.keras._files import whole

        return whole.to_json(self, **kwargs)

    # --- printing and files

    def summary(
        self,
        line_length: int | None = None,
        positions: Any = None,
        print_fn: Callable[[str], Any] | None = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: Any = None,
    ) -> None:
        """Prints the layers, their output shapes and how many numbers they hold.

        Parameters
        ----------
        line_length : int, optional
        print_fn : callable, optional
            Gets the text, in place of `print`.
        expand_nested, show_trainable : bool
            Whether to show layers within layers, and what is learned.
        """
        text = summaries.text(self, line_length, expand_nested, show_trainable)
        (print_fn or print)(text)

    def save_weights(self, filepath: Any, overwrite: bool = True) -> None:
        """Writes the weights to a file, in the format of `ranvier.save`; any ending is taken."""
        files.save_weights(self, filepath, overwrite)

    def load_weights(self, filepath: Any, skip_mismatch: bool = False) -> None:
        """Reads weights that `save_weights` or `save` wrote: all, or none on an error."""
        files.load_weights(self, filepath, skip_mismatch)

    def save(self, filepath: Any, overwrite: bool = True, **kwargs: Any) -> None:
        """Writes the whole model to a file, as `keras.saving.save_model` does; any ending is taken.

        `keras.models.load_model` reads it.
        """
        from ranvier.keras._files import whole

        whole.save_model(self, filepath, overwrite, **kwargs)
