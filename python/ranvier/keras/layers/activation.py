"""Activations that are layers of their own, with settings or weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ranvier._C import Tensor, ops
from ranvier.keras import activations, constraints, initializers, regularizers
from ranvier.keras.layers.layer import Layer


def _number(layer: str, name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
        raise ValueError(f"[{layer}] {name}: expected a number of 0 or more, got {value!r:.60}")
    return float(value)


class ReLU(Layer):
    """x above the threshold, up to `max_value`; negative_slope (x - threshold) below.

    Parameters
    ----------
    max_value : float, optional
    negative_slope, threshold : float
    """

    casts_integers = True

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.max_value = None if max_value is None else _number("ReLU", "max_value", max_value)
        self.negative_slope = _number("ReLU", "negative_slope", negative_slope)
        self.threshold = _number("ReLU", "threshold", threshold)

    def call(self, inputs: Tensor) -> Any:
        """The activation of every element."""
        return activations.relu(inputs, self.negative_slope, self.max_value, self.threshold)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal layer."""
        own = {n: getattr(self, n) for n in ("max_value", "negative_slope", "threshold")}
        return {**super().get_config(), **own}


class LeakyReLU(Layer):
    """x above 0, negative_slope x below.

    Parameters
    ----------
    negative_slope : float
    """

    casts_integers = True

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any) -> None:
        slope = kwargs.pop("alpha", negative_slope)  # its older name
        super().__init__(**kwargs)
        self.negative_slope = _number("LeakyReLU", "negative_slope", slope)

    def call(self, inputs: Tensor) -> Tensor:
        """The activation of every element."""
        return ops.leaky_relu(inputs, self.negative_slope)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal layer."""
        return {**super().get_config(), "negative_slope": self.negative_slope}


class PReLU(Layer):
    """x above 0, alpha x below, with an alpha that is learned for every element of a row.

    He et al., 2015, equation 1.

    Parameters
    ----------
    alpha_initializer, alpha_regularizer, alpha_constraint : optional
    shared_axes : sequence of int, optional
        Axes along which one alpha serves all.
    """

    casts_integers = True

    def __init__(
        self,
        alpha_initializer: Any = "Zeros",
        alpha_regularizer: Any = None,
        alpha_constraint: Any = None,
        shared_axes: int | Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.alpha_initializer = initializers.get(alpha_initializer)
        self.alpha_regularizer = regularizers.get(alpha_regularizer)
        self.alpha_constraint = constraints.get(alpha_constraint)
        axes = [shared_axes] if isinstance(shared_axes, int) else shared_axes
        self.shared_axes: list[int] = list(axes or ())

    def build(self, input_shape: Any) -> None:
        """Makes alpha."""
        shape = list(input_shape[1:])
        for axis in self.shared_axes:
            shape[axis - 1] = 1
        self.alpha = self.add_weight(
            shape, self.alpha_initializer, name="alpha",
            regularizer=self.alpha_regularizer, constraint=self.alpha_constraint,
        )  # fmt: skip

    def call(self, inputs: Tensor) -> Tensor:
        """The activation of every element."""
        return ops.relu(inputs) - self.alpha * ops.relu(-inputs)


class ELU(Layer):
    """x above 0, alpha (exp(x) - 1) below.

    Parameters
    ----------
    alpha : float
    """

    casts_integers = True

    def __init__(self, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alpha = _number("ELU", "alpha", alpha)

    def call(self, inputs: Tensor) -> Any:
        """The activation of every element."""
        return activations.elu(inputs, self.alpha)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal layer."""
        return {**super().get_config(), "alpha": self.alpha}


class Softmax(Layer):
    """exp(x) divided by its sum along an axis.

    Parameters
    ----------
    axis : int
    """

    casts_integers = True

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, inputs: Tensor) -> Tensor:
        """Shares that add up to 1."""
        return ops.softmax(inputs, self.axis)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal layer."""
        return {**super().get_config(), "axis": self.axis}
