"""What weights are made to satisfy after every update: limits on their sign or their norms."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from ranvier._C import Tensor
from ranvier.keras._names import Configured, Registry
from ranvier.keras._names import serialize as serialize
from ranvier.keras.backend import epsilon


class Constraint(Configured):
    """Base class: `__call__(weight)` gives the weight to use. One's own needs that only."""

    def __call__(self, w: Tensor) -> Tensor:
        """The weight, made to satisfy the constraint."""
        raise TypeError(f"[{type(self).__name__}] expected a method '__call__(self, w)', got none")


Axis = int | Sequence[int]


def _norms(w: Tensor, axis: Axis) -> Tensor:
    return w.square().sum(axis, keepdim=True).sqrt()


class MaxNorm(Constraint):
    """Vectors along `axis` no longer than `max_value`.

    Parameters
    ----------
    max_value : float
    axis : int or sequence of int
        0 for a Dense kernel: the weights into each unit.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.keras.constraints.MaxNorm(1.0)(rv.tensor([[3.0], [4.0]]))
    tensor([[0.6000],
            [0.8000]])
    """

    settings: ClassVar[tuple[str, ...]] = ("max_value", "axis")

    def __init__(self, max_value: float = 2, axis: Axis = 0) -> None:
        self.max_value, self.axis = max_value, axis

    def __call__(self, w: Tensor) -> Tensor:
        """The weight, with its long vectors shortened."""
        norms = _norms(w, self.axis)
        return w * (norms.clamp(0, self.max_value) / (norms + epsilon()))


class NonNeg(Constraint):
    """Weights of 0 or more: those below become 0."""

    def __call__(self, w: Tensor) -> Tensor:
        """The weight, without what is negative."""
        return w * (w >= 0.0)


class UnitNorm(Constraint):
    """Vectors along `axis` of length 1.

    Parameters
    ----------
    axis : int or sequence of int
    """

    settings: ClassVar[tuple[str, ...]] = ("axis",)

    def __init__(self, axis: Axis = 0) -> None:
        self.axis = axis

    def __call__(self, w: Tensor) -> Tensor:
        """The weight, with every vector of length 1."""
        return w / (_norms(w, self.axis) + epsilon())


class MinMaxNorm(Constraint):
    """Vectors along `axis` with lengths from `min_value` to `max_value`.

    Parameters
    ----------
    min_value, max_value : float
    rate : float
        1 enforces it at once; less goes that share of the way at every step.
    axis : int or sequence of int
    """

    settings: ClassVar[tuple[str, ...]] = ("min_value", "max_value", "rate", "axis")

    def __init__(
        self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: Axis = 0
    ) -> None:
        self.min_value, self.max_value, self.rate, self.axis = min_value, max_value, rate, axis

    def __call__(self, w: Tensor) -> Tensor:
        """The weight, with its lengths moved into the range."""
        norms = _norms(w, self.axis)
        inside = norms.clamp(self.min_value, self.max_value)
        desired = inside * self.rate + norms * (1 - self.rate)
        return w * (desired / (norms + epsilon()))


_REGISTRY: Registry[Any] = Registry(
    "constraint",
    {"MaxNorm": MaxNorm, "NonNeg": NonNeg, "UnitNorm": UnitNorm, "MinMaxNorm": MinMaxNorm},
    {"nonneg": "NonNeg"},
)

max_norm, non_neg, unit_norm, min_max_norm = MaxNorm, NonNeg, UnitNorm, MinMaxNorm


def get(identifier: Any) -> Callable[..., Any] | None:
    """The constraint that a name, a configuration, a function or an object means."""
    found: Callable[..., Any] | None = None if identifier is None else _REGISTRY.get(identifier)
    return found


def deserialize(config: Mapping[str, Any]) -> Any:
    """The constraint of a configuration, as `serialize` gives it."""
    return _REGISTRY.from_config(config)
