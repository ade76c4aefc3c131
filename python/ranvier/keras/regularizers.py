"""Penalties on weights that are added to the loss: L1, L2, both, and for orthogonal rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from ranvier import _C
from ranvier._C import Tensor
from ranvier.keras._names import Configured, Registry
from ranvier.keras._names import serialize as serialize


class Regularizer(Configured):
    """Base class: `__call__(weight)` gives one number. One's own needs that method only."""

    def __call__(self, x: Tensor) -> Tensor:
        """The penalty."""
        raise TypeError(f"[{type(self).__name__}] expected a method '__call__(self, x)', got none")


def _factor(where: str, name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"[{where}] {name}: expected a finite number, got {value!r:.60}")
    return float(value)


class L1L2(Regularizer):
    """l1 sum |w| + l2 sum w^2.

    Parameters
    ----------
    l1, l2 : float

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.keras.regularizers.L1L2(l1=1.0, l2=0.5)(rv.tensor([1.0, -2.0]))
    tensor(5.5000)
    """

    settings: ClassVar[tuple[str, ...]] = ("l1", "l2")

    def __init__(self, l1: float | None = 0.0, l2: float | None = 0.0) -> None:
        where = type(self).__name__
        self.l1 = _factor(where, "l1", 0.0 if l1 is None else l1)
        self.l2 = _factor(where, "l2", 0.0 if l2 is None else l2)

    def __call__(self, x: Tensor) -> Tensor:
        """The penalty."""
        if self.l1 and self.l2:
            return x.abs().sum() * self.l1 + x.square().sum() * self.l2
        if self.l1:
            return x.abs().sum() * self.l1
        return x.square().sum() * self.l2


class L1(L1L2):
    """l1 sum |w|.

    Parameters
    ----------
    l1 : float
    """

    settings: ClassVar[tuple[str, ...]] = ("l1",)

    def __init__(self, l1: float | None = 0.01) -> None:
        super().__init__(l1=0.01 if l1 is None else l1)


class L2(L1L2):
    """l2 sum w^2.

    Parameters
    ----------
    l2 : float
    """

    settings: ClassVar[tuple[str, ...]] = ("l2",)

    def __init__(self, l2: float | None = 0.01) -> None:
        super().__init__(l2=0.01 if l2 is None else l2)


class OrthogonalRegularizer(Regularizer):
    """factor times the mean of |cos| between different rows, or columns, of a matrix.

    Parameters
    ----------
    factor : float
    mode : {"rows", "columns"}
    """

    settings: ClassVar[tuple[str, ...]] = ("factor", "mode")

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        self.factor = _factor("OrthogonalRegularizer", "factor", factor)
        if mode not in ("rows", "columns"):
            raise ValueError(
                f"[OrthogonalRegularizer] mode: expected 'rows' or 'columns', got {mode!r:.60}"
            )
        self.mode = mode

    def __call__(self, x: Tensor) -> Tensor:
        """The penalty."""
        if x.ndim != 2:
            raise ValueError(
                f"[OrthogonalRegularizer] expected a weight of two axes, got {tuple(x.shape)}"
            )
        rows = x if self.mode == "rows" else x.transpose(0, 1)
        unit = rows / (rows.square().sum(1, keepdim=True).clamp(min=1e-12)).sqrt()
        size = rows.shape[0]
        between = unit.matmul(unit.transpose(0, 1)) * (1 - _eye(size, x))
        return between.abs().sum() * (0.5 * self.factor / max(size * (size - 1) / 2, 1))


def _eye(size: int, like: Tensor) -> Tensor:
    ones = _C.full((size,), 1, like.dtype)
    return ones.diag()


_REGISTRY: Registry[Any] = Registry(
    "regularizer",
    {"L1": L1, "L2": L2, "L1L2": L1L2, "OrthogonalRegularizer": OrthogonalRegularizer},
    {"l1": "L1", "l2": "L2", "l1_l2": "L1L2", "orthogonal_regularizer": "OrthogonalRegularizer"},
)

l1, l2, l1_l2, orthogonal_regularizer = L1, L2, L1L2, OrthogonalRegularizer


def get(identifier: Any) -> Callable[..., Any] | None:
    """The regularizer that a name, a configuration, a function or an object means."""
    found: Callable[..., Any] | None = None if identifier is None else _REGISTRY.get(identifier)
    return found


def deserialize(config: Mapping[str, Any]) -> Any:
    """The regularizer of a configuration, as `serialize` gives it."""
    return _REGISTRY.from_config(config)
