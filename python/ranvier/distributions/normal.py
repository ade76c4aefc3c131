"""Normal and LogNormal."""

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
    standard_normal,
)

_LOG_ROOT_2_PI = 0.5 * math.log(2 * math.pi)


class Normal(Distribution):
    """The normal (Gaussian) distribution.

    Parameters
    ----------
    loc, scale : Tensor or float
        Mean and standard deviation (above 0); they broadcast.
    validate_args : bool, optional

    Raises
    ------
    ValueError
        Parameters out of range.

    Examples
    --------
    >>> import ranvier as rv
    >>> d = rv.distributions.Normal(rv.zeros(2), 1.0)
    >>> d.log_prob(rv.zeros(2))
    tensor([-0.9189, -0.9189])
    >>> d.sample((3,)).shape
    (3, 2)
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
        return self.scale

    @property
    def variance(self) -> Tensor:
        return _C.ops.square(self.scale)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        noise = standard_normal(self._extended_shape(sample_shape), self.loc)
        return self.loc + noise * self.scale

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        standard = (value - self.loc) / self.scale
        return _C.ops.square(standard) * -0.5 - _C.ops.log(self.scale) - _LOG_ROOT_2_PI

    def cdf(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        return 0.5 * _C.ops.erfc((self.loc - value) / (self.scale * math.sqrt(2)))

    def icdf(self, value: Tensor) -> Tensor:
        return self.loc + self.scale * _C.ops.erfinv(2 * value - 1) * math.sqrt(2)

    def entropy(self) -> Tensor:
        return _C.ops.log(self.scale) + (0.5 + _LOG_ROOT_2_PI)


class LogNormal(Normal):
    """The distribution of exp(x) for normal x.

    Parameters
    ----------
    loc, scale : Tensor or float
        Mean and standard deviation (above 0) of the logarithm; they broadcast.
    validate_args : bool, optional

    Raises
    ------
    ValueError
        Parameters out of range.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.distributions.LogNormal(0.0, 1.0).mean
    tensor(1.6487)
    """

    support = constraints.positive  # type: ignore[assignment]

    @property
    def mean(self) -> Tensor:
        return _C.ops.exp(self.loc + 0.5 * _C.ops.square(self.scale))

    @property
    def mode(self) -> Tensor:
        return _C.ops.exp(self.loc - _C.ops.square(self.scale))

    @property
    def variance(self) -> Tensor:
        square = _C.ops.square(self.scale)
        return _C.ops.expm1(square) * _C.ops.exp(2 * self.loc + square)

    @property
    def stddev(self) -> Tensor:
        return _C.ops.sqrt(self.variance)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return _C.ops.exp(super().rsample(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        log = _C.ops.log(value)
        standard = (log - self.loc) / self.scale
        return _C.ops.square(standard) * -0.5 - _C.ops.log(self.scale) - _LOG_ROOT_2_PI - log

    def cdf(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        distance = (self.loc - _C.ops.log(value)) / (self.scale * math.sqrt(2))
        return 0.5 * _C.ops.erfc(distance)

    def icdf(self, value: Tensor) -> Tensor:
        return _C.ops.exp(super().icdf(value))

    def entropy(self) -> Tensor:
        return super().entropy() + self.loc
