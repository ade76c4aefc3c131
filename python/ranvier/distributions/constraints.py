"""What parameters and values of distributions may be. A constraint's `check` says where it holds.

Only what the distributions here need; none of them transforms anything.
"""

from __future__ import annotations

from typing import Any

from ranvier import _C
from ranvier._C import Tensor

Bound = Tensor | float


class Constraint:
    """A set of values; `check(value)` tells for each element (or row) whether it is in it."""

    is_discrete = False
    event_dim = 0

    def check(self, value: Tensor) -> Tensor:
        """Booleans: where the value is in the set."""
        raise TypeError(f"[{type(self).__name__}] expected a constraint that says what it allows")

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class Real(Constraint):
    """Any number but NaN."""

    def check(self, value: Tensor) -> Tensor:
        return value == value


class Boolean(Constraint):
    """0 or 1."""

    is_discrete = True

    def check(self, value: Tensor) -> Tensor:
        return _C.ops.logical_or(value == 0, value == 1)


class _Bounded(Constraint):
    """What bounded sets share: their bounds, and how they are written."""

    def __init__(self, **bounds: Any) -> None:
        self.__dict__.update(bounds)

    def __repr__(self) -> str:
        bounds = ", ".join(f"{name}={_shown(value)}" for name, value in self.__dict__.items())
        return f"{type(self).__name__}({bounds})"


def _shown(bound: Any) -> str:
    if isinstance(bound, Tensor):
        return str(bound.item()) if bound.numel() == 1 else f"tensor of shape {bound.shape}"
    return str(bound)


class GreaterThan(_Bounded):
    """Above a bound."""

    lower_bound: Bound

    def __init__(self, lower_bound: Bound) -> None:
        super().__init__(lower_bound=lower_bound)

    def check(self, value: Tensor) -> Tensor:
        return value > self.lower_bound


class GreaterThanEq(_Bounded):
    """At a bound or above."""

    lower_bound: Bound

    def __init__(self, lower_bound: Bound) -> None:
        super().__init__(lower_bound=lower_bound)

    def check(self, value: Tensor) -> Tensor:
        return value >= self.lower_bound


class LessThan(_Bounded):
    """Below a bound."""

    upper_bound: Bound

    def __init__(self, upper_bound: Bound) -> None:
        super().__init__(upper_bound=upper_bound)

    def check(self, value: Tensor) -> Tensor:
        return value < self.upper_bound


class Interval(_Bounded):
    """From one bound to another, both included."""

    lower_bound: Bound
    upper_bound: Bound

    def __init__(self, lower_bound: Bound, upper_bound: Bound) -> None:
        super().__init__(lower_bound=lower_bound, upper_bound=upper_bound)

    def check(self, value: Tensor) -> Tensor:
        return _C.ops.logical_and(value >= self.lower_bound, value <= self.upper_bound)


class IntegerInterval(Interval):
    """Whole numbers from one bound to another, both included."""

    is_discrete = True

    def check(self, value: Tensor) -> Tensor:
        return _C.ops.logical_and(value == _C.ops.floor(value), super().check(value))


class Simplex(Constraint):
    """Rows of numbers of at least 0 that add up to 1."""

    event_dim = 1

    def check(self, value: Tensor) -> Tensor:
        off = _C.ops.abs(value.sum(-1) - 1)
        return _C.ops.logical_and(_C.ops.all(value >= 0, -1), off < 1e-6)


class Rows(Constraint):
    """Rows of numbers without NaN."""

    event_dim = 1

    def check(self, value: Tensor) -> Tensor:
        return _C.ops.all(value == value, -1)

    def __repr__(self) -> str:
        return "IndependentConstraint(Real(), 1)"


real = Real()
boolean = Boolean()
positive = GreaterThan(lower_bound=0.0)
nonnegative = GreaterThanEq(lower_bound=0.0)
unit_interval = Interval(0.0, 1.0)
simplex = Simplex()
real_vector = Rows()
interval = Interval
integer_interval = IntegerInterval
greater_than = GreaterThan
greater_than_eq = GreaterThanEq
less_than = LessThan
