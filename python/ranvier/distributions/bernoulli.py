"""Bernoulli, and what distributions given by probabilities or by logits share."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ranvier import _C
from ranvier._C import Tensor
from ranvier._dtypes import finfo
from ranvier._grad import no_grad
from ranvier._random import state_of
from ranvier.distributions import constraints
from ranvier.distributions.constraints import Constraint
from ranvier.distributions.distribution import Distribution, Number, broadcast_all


def clamped(probs: Tensor) -> Tensor:
    """Probabilities moved off 0 and 1 by one rounding step, so that logarithms are finite."""
    eps = finfo(probs.dtype).eps
    return _C.ops.clamp(probs, eps, 1 - eps)


def one_of(probs: Any, logits: Any) -> None:
    """Raises ValueError unless exactly one is given."""
    if (probs is None) == (logits is None):
        raise ValueError("Either `probs` or `logits` must be specified, but not both.")


class Bernoulli(Distribution):
    """1 with a probability, else 0.

    Parameters
    ----------
    probs : Tensor or float, optional
        The probability of 1.
    logits : Tensor or float, optional
        In its place log(probs / (1 - probs)).
    validate_args : bool, optional

    Raises
    ------
    ValueError
        Both or none given; probabilities that are not from 0 to 1.

    Examples
    --------
    >>> import ranvier as rv
    >>> d = rv.distributions.Bernoulli(rv.tensor([0.25, 0.5]))
    >>> d.log_prob(rv.tensor([1.0, 0.0]))
    tensor([-1.3863, -0.6931])
    """

    has_enumerate_support = True
    arg_constraints: Mapping[str, Constraint] = {
        "probs": constraints.unit_interval,
        "logits": constraints.real,
    }
    support = constraints.boolean

    def __init__(
        self,
        probs: Number | None = None,
        logits: Number | None = None,
        validate_args: bool | None = None,
    ) -> None:
        one_of(probs, logits)
        name, value = ("probs", probs) if probs is not None else ("logits", logits)
        assert value is not None
        (self.__dict__[name],) = broadcast_all(value)
        super().__init__(self._param.shape, validate_args=validate_args)

    def __getattr__(self, name: str) -> Tensor:
        # The form that was not given is computed when it is asked for, once.
        given = self.__dict__
        if name == "probs" and "logits" in given:
            return _C.ops.sigmoid(given["logits"])
        if name == "logits" and "probs" in given:
            p = clamped(given["probs"])
            return _C.ops.log(p) - _C.ops.log1p(-p)
        raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")

    @property
    def _param(self) -> Tensor:
        given: dict[str, Tensor] = self.__dict__
        return given["probs"] if "probs" in given else given["logits"]

    @property
    def param_shape(self) -> Any:
        """Shape of the parameter."""
        return self._param.shape

    @property
    def mean(self) -> Tensor:
        return self.probs

    @property
    def mode(self) -> Tensor:
        p = self.probs
        likely = (p >= 0.5).to(p.dtype)
        return _C.ops.where(p == 0.5, _C.full((), math.nan, p.dtype), likely)

    @property
    def variance(self) -> Tensor:
        p = self.probs
        return p * (1 - p)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with no_grad():
            chances = self.probs.detach().expand(self._extended_shape(sample_shape))
            return _C.ops.bernoulli(state_of(None), chances)

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        return self._cross_entropy(value) * -1

    def entropy(self) -> Tensor:
        return self._cross_entropy(self.probs)

    def _cross_entropy(self, value: Tensor) -> Tensor:
        """-(v log p + (1 - v) log(1 - p)), from logits, without overflow."""
        z = self.logits
        return _C.ops.relu(z) - z * value + _C.ops.log1p(_C.ops.exp(-_C.ops.abs(z)))

    def enumerate_support(self, expand: bool = True) -> Tensor:
        param = self._param
        values = _C.ops.cast(_C.as_tensor([0, 1]), param.dtype)
        values = values.reshape((2, *(1 for _ in self.batch_shape)))
        return values.expand((2, *self.batch_shape)) if expand else values
