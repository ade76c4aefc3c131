"""Uniform, Exponential and Laplace."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ranvier import _C
from ranvier._C import Tensor
from ranvier.distributions import constraints
from ranvier.distributions.constraints import Constraint
from ranvier.distributions.distribution import (
    Distribution,
    Number,
    broadcast_all,
    standard_exponential,
    standard_uniform,
)


class Uniform(Distribution):
    """Equal density from `low` up to `high`.

    Parameters
    ----------
    low, high : Tensor or float
        They broadcast; low < high.
    validate_args : bool, optional

    Raises
    ------
    ValueError
        Parameters out of range.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.distributions.Uniform(0.0, 2.0).log_prob(rv.tensor(0.5))
    tensor(-0.6931)
    """

    has_rsample = True
    low: Tensor
    high: Tensor

    def __init__(self, low: Number, high: Number, validate_args: bool | None = None) -> None:
        self.low, self.high = broadcast_all(low, high)
        super().__init__(self.low.shape, validate_args=validate_args)

    @property
    def arg_constraints(self) -> Mapping[str, Constraint]:  # type: ignore[override]
        """Each bound limits the other one."""
        return {"low": constraints.LessThan(self.high), "high": constraints.GreaterThan(self.low)}

    @property
    def support(self) -> Constraint:
        return constraints.Interval(self.low, self.high)

    @property
    def mean(self) -> Tensor:
        return (self.high + self.low) / 2

    @property
    def mode(self) -> Tensor:
        return self.low * math.nan

    @property
    def stddev(self) -> Tensor:
        return (self.high - self.low) / math.sqrt(12)

    @property
    def variance(self) -> Tensor:
        return _C.ops.square(self.high - self.low) / 12

    def _expand_into(self, new: Uniform, batch_shape: tuple[int, ...]) -> None:
        new.low, new.high = self.low.expand(batch_shape), self.high.expand(batch_shape)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        u = standard_uniform(self._extended_shape(sample_shape), self.low)
        return self.low + u * (self.high - self.low)

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        inside = _C.ops.logical_and(value >= self.low, value < self.high).to(self.low.dtype)
        return _C.ops.log(inside) - _C.ops.log(self.high - self.low)

    def cdf(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        return _C.ops.clamp((value - self.low) / (self.high - self.low), 0.0, 1.0)

    def icdf(self, value: Tensor) -> Tensor:
        return value * (self.high - self.low) + self.low

    def entropy(self) -> Tensor:
        return _C.ops.log(self.high - self.low)


class Exponential(Distribution):
    """The waiting time for what happens `rate` times in a unit of time.

    Parameters
    ----------
    rate : Tensor or float
        Above 0.
    validate_args : bool, optional

    Raises
    ------
    ValueError
        A rate that is not above 0.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.distributions.Exponential(2.0).mean
    tensor(0.5000)
    """

    has_rsample = True
    arg_constraints: Mapping[str, Constraint] = {"rate": constraints.positive}
    support = constraints.nonnegative
    rate: Tensor

    def __init__(self, rate: Number, validate_args: bool | None = None) -> None:
        (self.rate,) = broadcast_all(rate)
        super().__init__(self.rate.shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return 1 / self.rate

    @property
    def mode(self) -> Tensor:
        return self.rate * 0

    @property
    def stddev(self) -> Tensor:
        return 1 / self.rate

    @property
    def variance(self) -> Tensor:
        return 1 / _C.ops.square(self.rate)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return standard_exponential(self._extended_shape(sample_shape), self.rate) / self.rate

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        return _C.ops.log(self.rate) - self.rate * value

    def cdf(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        return -_C.ops.expm1(-self.rate * value)

    def icdf(self, value: Tensor) -> Tensor:
        return -_C.ops.log1p(-value) / self.rate

    def entropy(self) -> Tensor:
        return 1 - _C.ops.log(self.rate)


class Laplace(Distribution):
    """Exponential distances from a point, to both sides.

    Parameters
    ----------
    loc, scale : Tensor or float
        Mean, and mean distance from it (above 0); they broadcast.
    validate_args : bool, optional

    Raises
    ------
    ValueError
        Parameters out of range.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.distributions.Laplace(0.0, 1.0).log_prob(rv.tensor(1.0))
    tensor(-1.6931)
    """

    has_rsample = True
    arg_constraints: Mapping[str, Constraint] = {
        "loc": constraints.real,
        "scale": constraints.positive,
    }
    support = constraints.real
    loc: Tensor
    scale: Tensor

    def __init__(self, loc: Number, scale: Number, validate_args: bool | None = None) -> None:
        self.loc, self.scale = broadcast_all(loc, scale)
        super().__init__(self.loc.shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def stddev(self) -> Tensor:
        return self.scale * math.sqrt(2)

    @property
    def variance(self) -> Tensor:
        return 2 * _C.ops.square(self.scale)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        # Two waiting times differ by Laplace's number.
        pair = standard_exponential((2, *self._extended_shape(sample_shape)), self.loc)
        return self.loc + self.scale * (pair[0] - pair[1])

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        return -_C.ops.log(2 * self.scale) - _C.ops.abs(value - self.loc) / self.scale

    def cdf(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        distance = value - self.loc
        tail = 0.5 * _C.ops.exp(-_C.ops.abs(distance) / self.scale)
        return _C.ops.where(distance > 0, 1 - tail, tail)

    def icdf(self, value: Tensor) -> Tensor:
        term = value - 0.5
        return self.loc - self.scale * _C.ops.sign(term) * _C.ops.log1p(-2 * _C.ops.abs(term))

    def entropy(self) -> Tensor:
        return 1 + _C.ops.log(2 * self.scale)
