"""Layers that every dense network is made of: Dense, Activation, changes of shape, inputs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ranvier._C import ShapeError, Tensor, ops
from ranvier.keras import activations, constraints, initializers, regularizers
from ranvier.keras._names import serialize
from ranvier.keras.layers.layer import Layer
from ranvier.keras.tensors import KerasTensor, Node, flatten
from ranvier.nn.linear import checked_size


class InputLayer(Layer):
    """Where a model's input comes in; `keras.Input` makes one and gives its tensor.

    Parameters
    ----------
    shape : sequence of int, optional
        Of one row; None where a size varies.
    batch_size : int, optional
    dtype : str, optional
    batch_shape : sequence of int, optional
        The shape with the rows, in place of `shape`.
    name : str, optional
    """

    def __init__(
        self,
        shape: Sequence[int | None] | int | None = None,
        batch_size: int | None = None,
        dtype: Any = None,
        batch_shape: Sequence[int | None] | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name or None, dtype=dtype, **kwargs)
        if batch_shape is None and shape is None:
            batch_shape = self._given_shape
        if (shape is None) == (batch_shape is None):
            raise ValueError("[InputLayer] expected either shape or batch_shape, got both or none")
        if shape is not None:
            if isinstance(shape, int):
                raise ValueError(
                    f"[Input] shape: expected a tuple, got {shape}; write shape=({shape},)"
                )
            batch_shape = (batch_size, *shape)
        assert batch_shape is not None
        self.batch_shape = tuple(batch_shape)
        self.built = True
        self.tensor = KerasTensor(self.batch_shape, self._dtype, self.name)
        self._nodes.append(Node(self, (), {}, self.tensor))

    @property
    def output(self) -> Any:
        """The symbolic tensor."""
        return self.tensor

    input = output

    def call(self, inputs: Any = None) -> Any:
        """The input itself."""
        return self.tensor if inputs is None else inputs

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal layer."""
        return {"batch_shape": self.batch_shape, "dtype": self.dtype, "name": self.name}


def Input(  # noqa: N802  Keras' name
    shape: Sequence[int | None] | None = None,
    batch_size: int | None = None,
    dtype: Any = None,
    name: str | None = None,
    batch_shape: Sequence[int | None] | None = None,
    **kwargs: Any,
) -> KerasTensor:
    """A symbolic tensor, from which a model is built up.

    Parameters
    ----------
    shape : sequence of int
        Of one row: `(784,)`; None where a size varies.
    batch_size : int, optional
    dtype : str, optional
    name : str, optional
    batch_shape : sequence of int, optional
        The shape with the rows, in place of `shape`.

    Examples
    --------
    >>> from ranvier import keras
    >>> inputs = keras.Input(shape=(4,))
    >>> inputs.shape
    (None, 4)
    """
    layer = InputLayer(shape, batch_size, dtype, batch_shape, name or None, **kwargs)
    return layer.tensor


class Dense(Layer):
    """activation(x kernel + bias), on the last axis.

    Parameters
    ----------
    units : int
        How many numbers come out.
    activation : name or callable, optional
    use_bias : bool
    kernel_initializer, bias_initializer : name or Initializer
    kernel_regularizer, bias_regularizer, activity_regularizer : optional
    kernel_constraint, bias_constraint : optional

    Attributes
    ----------
    kernel : Variable, (in, units)
    bias : Variable, (units,), or None

    Examples
    --------
    >>> from ranvier import keras
    >>> layer = keras.layers.Dense(2, activation="relu")
    >>> layer([[1.0, 2.0, 3.0]]).shape
    (1, 2)
    >>> [w.shape for w in layer.get_weights()]
    [(3, 2), (2,)]
    """

    casts_integers = True

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.units = checked_size("Dense", "units", units)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)

    def check_input(self, inputs: tuple[Any, ...]) -> None:
        """Rows of numbers, with a last axis whose size is known."""
        for tensor in flatten(inputs)[:1]:
            shape = tuple(tensor.shape)
            if len(shape) < 2 or shape[-1] is None:
                raise ShapeError(
                    f"[Dense] {self.name}: expected input of shape (rows, ..., features) with "
                    f"features known, got {shape}"
                )

    def build(self, input_shape: Any) -> None:
        """Makes kernel and bias."""
        self.kernel = self.add_weight(
            name="kernel",
            shape=(input_shape[-1], self.units),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(self.units,),
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )

    def call(self, inputs: Tensor, training: bool | None = None) -> Any:
        """(..., in) -> (..., units)"""
        outputs = ops.linear(inputs, self.kernel.transpose(0, 1), self.bias)
        return activated(self.activation, outputs)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal layer."""
        config = super().get_config()
        config.update(
            units=self.units, activation=serialize(self.activation), use_bias=self.use_bias
        )
        for name in (
            "kernel_initializer", "bias_initializer", "kernel_regularizer", "bias_regularizer",
            "activity_regularizer", "kernel_constraint", "bias_constraint",
        ):  # fmt: skip
            config[name] = serialize(getattr(self, name))
        return config


def activated(activation: Callable[..., Any], x: Any) -> Any:
    """An activation of a tensor, without the detour that symbolic tensors need."""
    if activation is activations.linear:
        return x
    return getattr(activation, "__wrapped__", activation)(x)


class Activation(Layer):
    """An activation as a layer.

    Parameters
    ----------
    activation : name or callable
    """

    casts_integers = True

    def __init__(self, activation: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation = activations.get(activation)

    def call(self, inputs: Any) -> Any:
        """The activation of every element."""
        return activated(self.activation, inputs)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal layer."""
        return {**super().get_config(), "activation": serialize(self.activation)}


class Lambda(Layer):
    """A function as a layer.

    Parameters
    ----------
    function : callable
        Of the inputs; made of operators of tensors and of `keras.ops`.
    output_shape : optional
        Accepted for Keras' sake: the shape is found by a run.
    arguments : dict, optional
        Keyword arguments for the function.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        output_shape: Any = None,
        mask: Any = None,
        arguments: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not callable(function):
            raise TypeError(f"[Lambda] {self.name}: expected a function, got {function!r:.60}")
        self.function, self.arguments = function, dict(arguments or {})

    def call(self, inputs: Any) -> Any:
        """What the function gives."""
        return self.function(inputs, **self.arguments)


class Identity(Layer):
    """Gives its input back."""

    def call(self, inputs: Any) -> Any:
        """The input itself."""
        return inputs


class Flatten(Layer):
    """All axes but that of the rows as one.

    Parameters
    ----------
    data_format : {"channels_last"}, optional

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.keras.layers.Flatten()(rv.zeros(2, 28, 28)).shape
    (2, 784)
    """

    casts_integers = True

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if data_format not in (None, "channels_last"):
            raise ValueError(
                f"[Flatten] data_format: expected 'channels_last', got {data_format!r:.60}"
            )

    def call(self, inputs: Tensor) -> Tensor:
        """(rows, ...) -> (rows, numbers of a row)"""
        if inputs.ndim < 2:
            return inputs.reshape(inputs.shape[0], 1) if inputs.ndim else inputs
        return ops.flatten(inputs, 1, -1)


class Reshape(Layer):
    """The numbers of a row in another shape.

    Parameters
    ----------
    target_shape : sequence of int
        Without the rows; one size may be -1.
    """

    def __init__(self, target_shape: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.target_shape = tuple(target_shape)

    def call(self, inputs: Tensor) -> Tensor:
        """(rows, ...) -> (rows, *target_shape)"""
        wanted, count = self.target_shape, math.prod(inputs.shape[1:])
        if -1 not in wanted and math.prod(wanted) != count:
            raise ShapeError(
                f"[Reshape] {self.name}: expected a target_shape of {count} numbers a row, as the "
                f"input {tuple(inputs.shape)} has, got {wanted}"
            )
        return inputs.reshape(inputs.shape[0], *wanted)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal layer."""
        return {**super().get_config(), "target_shape": self.target_shape}


class Permute(Layer):
    """The axes of a row in another order.

    Parameters
    ----------
    dims : sequence of int
        Numbers of axes, from 1; the axis of the rows stays.
    """

    def __init__(self, dims: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dims = tuple(dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ValueError(
                f"[Permute] dims: expected the numbers 1 to {len(self.dims)} in some order, got "
                f"{self.dims}"
            )

    def call(self, inputs: Tensor) -> Tensor:
        """The same numbers, with axes moved."""
        return inputs.permute(0, *self.dims)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal layer."""
        return {**super().get_config(), "dims": self.dims}


class RepeatVector(Layer):
    """Every row n times: (rows, features) -> (rows, n, features).

    Parameters
    ----------
    n : int
    """

    def __init__(self, n: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.n = checked_size("RepeatVector", "n", n)

    def call(self, inputs: Tensor) -> Tensor:
        """(rows, features) -> (rows, n, features)"""
        rows, features = inputs.shape
        return inputs.unsqueeze(1).expand(rows, self.n, features)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal layer."""
        return {**super().get_config(), "n": self.n}
