"""`Layer`: what a Keras layer is, on top of `nn.Module`.

It adds what Keras promises and PyTorch does not: weights that are made when the first input shows
their sizes, `training=` that reaches every layer inside, penalties, names, symbolic inputs.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np

from ranvier._C import ShapeError, Tensor, ops
from ranvier._grad import no_grad
from ranvier.keras import constraints, initializers, regularizers
from ranvier.keras._names import auto_name, near, snake
from ranvier.keras.backend import as_array, to_dtype, to_tensor
from ranvier.keras.layers.calls import calls, parameters_of
from ranvier.keras.tensors import (
    KerasTensor,
    Node,
    flatten,
    infer,
    is_symbolic,
    map_structure,
    shapes_of,
)
from ranvier.keras.variables import Variable
from ranvier.nn import Module, Parameter

_OPTIONS = ("name", "trainable", "dtype", "activity_regularizer", "autocast",
            "input_shape", "input_dim", "batch_input_shape", "batch_size", "weights")  # fmt: skip


# What it was made with, and what it looks through: attributes that hold no layers of its own.
_NOT_OWNED = ("_init_args", "_loss_layers")


class Layer(Module):
    """Base class of layers.

    Arrays that go in outside of training come out as tensors without a gradient; give tensors, or
    `training=True`, where one is wanted.

    A layer of one's own defines `call(self, inputs)`, with `training=None` if it matters, and
    makes its weights in `__init__` or in `build(self, input_shape)` with `add_weight`.

    Parameters
    ----------
    activity_regularizer : callable, optional
        A penalty on the layer's output, averaged over the rows.
    trainable : bool
        Whether its weights are learned.
    dtype : str, optional
        What it computes in: `keras.backend.floatx()` if left out.
    name : str, optional
        Its class's name with a number, if left out.

    Examples
    --------
    >>> from ranvier import keras
    >>> class Scale(keras.layers.Layer):
    ...     def build(self, input_shape):
    ...         self.w = self.add_weight(shape=(input_shape[-1],), initializer="ones")
    ...     def call(self, inputs):
    ...         return inputs * self.w
    >>> layer = Scale()
    >>> layer([[1.0, 2.0]]).tolist()
    [[1.0, 2.0]]
    >>> layer.count_params()
    2
    """

    training = False  # outside fit, a layer predicts unless it is told otherwise
    # What a call or fit leaves behind, and no call depends on.
    _beside = Module._beside | {"_call_losses", "history"}
    casts_integers = False  # whether whole numbers and truth values become floats first
    _init_args: tuple[tuple[Any, ...], dict[str, Any]]

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        layer = super().__new__(cls)
        object.__setattr__(layer, "_init_args", (args, kwargs))
        return layer

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "build" in cls.__dict__:
            cls.build = _marks_built(cls.__dict__["build"])  # type: ignore[method-assign]

    def __init__(
        self,
        *,
        activity_regularizer: Any = None,
        trainable: bool = True,
        dtype: Any = None,
        autocast: bool = True,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        kind = type(self).__name__
        for key in kwargs:
            if key not in _OPTIONS:
                known = [*inspect.signature(type(self).__init__).parameters, *_OPTIONS]
                known = [k for k in known if k not in ("self", "kwargs", "args")]
                raise ValueError(
                    f"[{kind}] expected arguments out of {', '.join(dict.fromkeys(known))}, got "
                    f"{key!r}{near(key, known)}"
                )
        if name is not None and not isinstance(name, str):
            raise ValueError(f"[{kind}] name: expected a string, got {name!r:.60}")
        self.name = name or auto_name(snake(kind))
        self.built = False
        self.autocast = autocast
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self._dtype = to_dtype(getattr(dtype, "compute_dtype", dtype))
        self._own: list[Variable] = []  # weights, in the order in which they were made
        self._trainable = bool(trainable)
        self._call_losses: list[Tensor] = []
        self._nodes: list[Node] = []
        self._quick = False  # nothing but `call` is to be done
        self._given_shape = _given_shape(kwargs)
        self._given_weights = kwargs.get("weights")
        self._build_shapes: Any = None

    # --- for layers of one's own

    def build(self, input_shape: Any) -> None:
        """Makes the weights for inputs of a shape; None stands for the number of rows."""
        self.built = True

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """What the layer computes."""
        kind = type(self).__name__
        raise TypeError(
            f"[{kind}] {self.name}: expected a method 'call', got none; define call(self, inputs)"
        )

    def add_weight(
        self,
        shape: Any = None,
        initializer: Any = None,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        aggregation: str = "none",
        name: str | None = None,
    ) -> Variable:
        """Makes a weight of the layer.

        Parameters
        ----------
        shape : sequence of int
        initializer : name, Initializer or callable, optional
            Glorot uniform if left out.
        dtype : str, optional
            The layer's own if left out.
        trainable : bool
        regularizer, constraint : name, object or callable, optional
        name : str, optional

        Returns
        -------
        Variable
        """
        self._own_buffers("add_weight")
        if isinstance(shape, str):  # the name came first once
            shape, name = None, shape
        extents = () if shape is None else (shape,) if isinstance(shape, int) else tuple(shape)
        if None in extents:
            raise ValueError(
                f"[{type(self).__name__}] {self.name}: expected a weight {name or ''!r} of sizes "
                f"that are known, got shape {extents}; give the input a last axis of known size"
            )
        wanted = trainable
        variable = Variable(
            initializers.get("glorot_uniform" if initializer is None else initializer),
            extents,
            self._dtype if dtype is None else dtype,
            trainable and self._trainable,
            name=name,
        )
        variable.wanted = wanted
        variable.path = f"{self.name}/{variable.name}"
        variable.regularizer = regularizers.get(regularizer)
        variable.constraint = constraints.get(constraint)
        self._own.append(variable)
        return variable

    def add_loss(self, loss: Any) -> None:
        """Adds a number, or several, to the loss of the step; to be used in `call`."""
        self._call_losses.extend(flatten(loss))

    def __setattr__(self, name: str, value: Any) -> None:
        foreign = isinstance(value, Module) and not isinstance(value, Layer)
        if foreign and next(value.parameters(), None) is not None:
            raise TypeError(
                f"[{type(self).__name__}] {name}: expected a layer of keras.layers, got "
                f"{type(value).__name__} of ranvier.nn; an nn.Module takes layers of both kinds"
            )
        super().__setattr__(name, value)
        if isinstance(value, Parameter):
            if not isinstance(value, Variable):
                raise TypeError(
                    f"[{type(self).__name__}] {name}: expected a weight made by add_weight, got "
                    "an nn.Parameter"
                )
            if all(value is not own for own in self._own):
                value.path = f"{self.name}/{value.name}"
                self._own.append(value)

    # --- calling it

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Builds the layer if it is new, and calls it."""
        if self._quick and len(args) == 1 and not kwargs:
            x = args[0]
            if isinstance(x, Tensor):
                if x.dtype is not self._dtype:
                    x = self._converted(x)
                if not self._takes_training:
                    return self.call(x)
                told = calls.training
                return self.call(x, training=self.training if told is None else told)
        return self._full_call(args, kwargs)

    def _full_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if is_symbolic((args, kwargs)):
            return self._symbolic_call(args, kwargs)
        given = tuple(as_arrays(part) for part in args)
        if self._only_asks(given, kwargs):
            with no_grad():
                return self._called(given, kwargs)
        return self._called(given, kwargs)

    def _only_asks(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
        """Whether arrays go in outside of training: an answer is wanted, and no gradient."""
        if self.training or kwargs.get("training") or calls.training:
            return False
        leaves = flatten(args)
        arrays = any(isinstance(leaf, np.ndarray) for leaf in leaves)
        return arrays and not any(isinstance(leaf, Tensor) for leaf in leaves)

    def _called(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        args = tuple(map_structure(self._converted, part) for part in args)
        if not self.built:
            self._build_for(args)
        names = parameters_of(type(self).call)
        told = kwargs.get("training")
        if told is None:
            told = calls.training
            told = self.training if told is None else told
        kwargs.pop("training", None)
        if "training" in names:
            kwargs["training"] = told
        if not calls.running:
            self._call_losses.clear()
        before, calls.training = calls.training, told
        try:
            outputs = self.call(*args, **kwargs)
        finally:
            calls.training = before
        if outputs is None:
            raise TypeError(
                f"[{type(self).__name__}] {self.name}: expected call to give a tensor, got None; "
                "end it with `return`"
            )
        if self.activity_regularizer is not None:
            for output in flatten(outputs):
                self.add_loss(self.activity_regularizer(output) / max(output.shape[0], 1))
        self._settle(names)
        return outputs

    def _settle(self, names: tuple[str, ...]) -> None:
        """Decides whether later calls may take the short way."""
        if not self._quick and self.activity_regularizer is None:
            self._takes_training = "training" in names
            self._quick = "call" not in self.__dict__

    def _converted(self, value: Any) -> Any:
        """An array, or a tensor of another floating type, in the layer's own type."""
        if not isinstance(value, Tensor):
            if not isinstance(value, np.ndarray):
                return value
            value = to_tensor(value, None)
        if value.dtype is self._dtype or not self.autocast:
            return value
        if value.dtype.is_floating_point or self.casts_integers:
            return ops.cast(value, self._dtype)
        return value

    def _build_for(self, inputs: tuple[Any, ...]) -> None:
        """Builds with the shapes of what it is called with."""
        self.check_input(inputs)
        self._build_by([shapes_of(part) for part in inputs if part is not None])
        if self._given_weights is not None:
            self.set_weights(self._given_weights)

    def _build_by(self, shapes: list[Any]) -> None:
        """Builds for inputs of these shapes."""
        names = [n for n in parameters_of(type(self).build) if n != "**"]
        if len(shapes) > 1 and len(names) == len(shapes):
            self.build(*shapes)
        elif shapes:
            self.build(shapes[0])
        self._build_shapes = shapes
        self.built = True

    def check_input(self, inputs: tuple[Any, ...]) -> None:
        """Raises for an input that the layer cannot be built for."""

    def _symbolic_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not self.built:
            self._build_for(args)
        named = {key: value for key, value in kwargs.items() if value is not None}
        outputs = self.compute_output_spec(args, named)
        self._nodes.append(Node(self, args, named, outputs))
        return outputs

    def compute_output_spec(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Symbolic outputs for symbolic inputs: by a run on zeros."""
        before = calls.running, calls.training
        calls.running, calls.training = True, False
        kept = [(layer, list(layer._call_losses)) for layer in self.flat_layers()]
        try:
            return infer(self.__call__, args, {k: v for k, v in kwargs.items() if k != "training"})
        finally:
            calls.running, calls.training = before
            for layer, losses in kept:
                layer._call_losses[:] = losses

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape that comes out for a shape that goes in."""
        if isinstance(input_shape, list):
            tensors: Any = [KerasTensor(shape, self._dtype) for shape in input_shape]
        else:
            tensors = KerasTensor(input_shape, self._dtype)
        if not self.built:
            self._build_for((tensors,))
        return map_structure(lambda t: t.shape, self.compute_output_spec((tensors,), {}))

    # --- what belongs to it

    def inner_layers(self) -> Iterator[tuple[str, Module]]:
        """Layers in attributes, and in lists and dicts that are attributes, with their names."""
        for name, value in list(self.__dict__.items()):
            if name in _NOT_OWNED:
                continue
            for leaf in flatten(value) if isinstance(value, (list, tuple, dict)) else [value]:
                if isinstance(leaf, Module):
                    yield name, leaf

    def _own_modules(self) -> Iterator[tuple[str, Module]]:
        self._own_buffers("it")
        taken: dict[str, Module] = {}
        for attribute, module in self.inner_layers():
            name = getattr(module, "name", attribute)
            while taken.setdefault(name, module) is not module:
                name += "_"
        return iter(list(taken.items()))

    def _own_parameters(self) -> Iterator[tuple[str, Tensor]]:
        taken: dict[str, Variable] = {}
        for variable in self._own:
            name = variable.name
            while taken.setdefault(name, variable) is not variable:
                name += "_"
        return iter(list(taken.items()))

    def _convert(self, dtype: Any, wanted: Any) -> Any:
        raise TypeError(
            f"[{type(self).__name__}] {self.name}: expected layers that are made with "
            f"dtype={dtype.name!r}, or after keras.config.set_floatx({dtype.name!r}), got to(...) "
            "of a layer that has its weights"
        )

    def flat_layers(self) -> list[Layer]:
        """This layer and all inside it."""
        return [module for module in self.modules() if isinstance(module, Layer)]

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Names and weights, learned or not, of the whole tree; shared ones once."""
        found = self._named_tensors(_parameters_of, prefix, recurse, remove_duplicate)
        return ((name, cast(Parameter, value)) for name, value in found)

    @property
    def weights(self) -> list[Variable]:
        """All weights: those of its own that are learned first, then the others, then inside."""
        found = {id(v): v for v in self._in_order()}
        for _, layer in self.named_children():
            if isinstance(layer, Layer):
                found.update((id(v), v) for v in layer.weights)
        return list(found.values())

    @property
    def variables(self) -> list[Variable]:
        """The same as `weights`."""
        return self.weights

    @property
    def trainable_weights(self) -> list[Variable]:
        """Weights that are learned."""
        return [v for v in self.weights if v.requires_grad]

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """Weights that are not learned."""
        return [v for v in self.weights if not v.requires_grad]

    @property
    def trainable_variables(self) -> list[Variable]:
        """The same as `trainable_weights`."""
        return self.trainable_weights

    @property
    def non_trainable_variables(self) -> list[Variable]:
        """The same as `non_trainable_weights`."""
        return self.non_trainable_weights

    @property
    def trainable(self) -> bool:
        """Whether the layer's weights are learned; to be set before `compile`."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        for variable in self._own:
            learned = variable.wanted and self._trainable
            variable.requires_grad = learned and variable.dtype.is_floating_point
        for _, layer in self.named_children():
            if isinstance(layer, Layer):
                layer.trainable = value

    @property
    def losses(self) -> list[Tensor]:
        """Penalties: of the last call, and of the weights as they are now."""
        found = [loss for layer in self.flat_layers() for loss in layer._call_losses]
        return found + [p for v in self.weights if (p := penalty_of(v)) is not None]

    def get_weights(self) -> list[Any]:
        """The weights as NumPy arrays, in the order of `weights`; bfloat16 as float32."""
        return [as_array(v.detach()).copy() for v in self.weights]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Takes over weights in the order of `get_weights`: all, or none on an error.

        Raises
        ------
        ValueError
            Another number of arrays, or shapes that differ.
        """
        own = self.weights
        where = f"[set_weights] {self.name}"
        given = [np.asarray(w.detach() if isinstance(w, Tensor) else w) for w in weights]
        if len(given) != len(own):
            built = "" if self.built else "; build the layer first, by calling it"
            raise ValueError(
                f"{where}: expected {len(own)} arrays, of shapes "
                f"{[tuple(v.shape) for v in own]}, got {len(given)}{built}"
            )
        for variable, array in zip(own, given, strict=True):
            if tuple(variable.shape) != array.shape:
                raise ShapeError(
                    f"{where}: {variable.path}: expected shape {tuple(variable.shape)}, got "
                    f"{array.shape}"
                )
        for variable, array in zip(own, given, strict=True):
            variable.assign(array)

    def count_params(self) -> int:
        """How many numbers the weights hold."""
        if not self.built:
            raise ValueError(
                f"[count_params] {self.name}: expected a layer with weights, got one that is not "
                "built; call it, or give it an input shape"
            )
        return sum(int(v.numel()) for v in self.weights)

    # --- what files keep of it, for layers of one's own

    def get_build_config(self) -> dict[str, Any] | None:
        """What `build_from_config` takes; None where the layer is not built."""
        return {"input_shape": self._build_shapes[0]} if self._build_shapes else None

    def build_from_config(self, config: Mapping[str, Any]) -> None:
        """Makes the weights, as they were made of what `get_build_config` gave."""
        if config:
            self.build(config["input_shape"])

    def save_own_variables(self, store: dict[str, Any]) -> None:
        """Puts the layer's own weights into `store`; one's own may add arrays under other names."""
        for i, variable in enumerate(self._in_order()):
            store[str(i)] = variable

    def load_own_variables(self, store: Mapping[str, Any]) -> None:
        """Takes them back, as arrays."""
        for i, variable in enumerate(self._in_order()):
            variable.assign(store[str(i)])

    def _in_order(self) -> list[Variable]:
        return sorted(self._own, key=lambda v: not v.wanted)

    # --- what it says of itself

    @property
    def dtype(self) -> str:
        """The name of the type that it computes in."""
        return str(self._dtype.name)

    compute_dtype = variable_dtype = dtype

    @property
    def input(self) -> Any:
        """The symbolic input of its first use in a model."""
        return self._first_node("input").args[0]

    @property
    def output(self) -> Any:
        """The symbolic output of its first use in a model."""
        return self._first_node("output").outputs

    def _first_node(self, what: str) -> Node:
        if not self._nodes:
            raise AttributeError(
                f"[{type(self).__name__}] {self.name}: expected a layer of a model for .{what}, "
                "got one that was never called on a symbolic tensor"
            )
        return self._nodes[0]

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal layer, without its weights."""
        config: dict[str, Any] = {"name": self.name, "trainable": self._trainable}
        config["dtype"] = self.dtype
        written = type(self).get_config
        if written.__qualname__ in ("Layer.get_config", "Model.get_config"):
            args, kwargs = self._init_args
            names = [n for n in parameters_of(type(self).__init__) if n != "**"]
            config.update(zip(names, args, strict=False))
            config.update(kwargs)
            if "**" not in parameters_of(type(self).__init__):
                config = {key: value for key, value in config.items() if key in names}
        return config

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:
        """A layer from what `get_config` gave."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"


def _parameters_of(module: Any) -> Iterator[tuple[str, Tensor]]:
    found: Iterator[tuple[str, Tensor]] = module._own_parameters()
    return found


def as_arrays(value: Any) -> Any:
    """Lists of numbers as arrays; lists of tensors, and everything else, as they are."""
    if isinstance(value, (list, tuple)) and value:
        leaves = flatten(value)
        if leaves and all(isinstance(leaf, (int, float, np.generic)) for leaf in leaves):
            return np.asarray(value)
    return value


def penalty_of(variable: Variable) -> Tensor | None:
    """What a weight's regularizer makes of it; None without one, or where it is not learned."""
    if variable.regularizer is None or not variable.requires_grad:
        return None
    value: Tensor = variable.regularizer(variable)
    return value


def _marks_built(build: Callable[..., Any]) -> Callable[..., Any]:
    """`build`, after which the layer is built, also where a subclass forgets to say so."""

    @functools.wraps(build)
    def wrapper(self: Layer, *args: Any, **kwargs: Any) -> Any:
        result = build(self, *args, **kwargs)
        object.__setattr__(self, "built", True)
        object.__setattr__(self, "_build_shapes", [*args, *kwargs.values()])
        return result

    return wrapper


def _given_shape(kwargs: Mapping[str, Any]) -> tuple[int | None, ...] | None:
    """The shape of the input, rows included, of `input_shape=`, `input_dim=` and the like."""
    if kwargs.get("batch_input_shape") is not None:
        return tuple(kwargs["batch_input_shape"])
    shape = kwargs.get("input_shape")
    if shape is None and kwargs.get("input_dim") is not None:
        shape = kwargs["input_dim"]
    if shape is None:
        return None
    rest = (shape,) if isinstance(shape, int) else tuple(shape)
    return (kwargs.get("batch_size"), *rest)
