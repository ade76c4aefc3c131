"""Categorical: one of K classes."""

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
from ranvier.distributions.bernoulli import clamped, one_of
from ranvier.distributions.constraints import Constraint
from ranvier.distributions.distribution import Distribution


class Categorical(Distribution):
    """One of the classes 0 to K - 1.

    Parameters
    ----------
    probs : Tensor, optional
        Weights (..., K) of the classes, of at least 0; they are divided by their sum.
    logits : Tensor, optional
        In their place logarithms of weights.
    validate_args : bool, optional

    Raises
    ------
    ValueError
        Both or none given, no axis for the classes, or weights that are negative or all 0.

    Examples
    --------
    >>> import ranvier as rv
    >>> d = rv.distributions.Categorical(rv.tensor([1.0, 1.0, 2.0]))
    >>> d.probs, d.log_prob(rv.tensor(2))
    (tensor([0.2500, 0.2500, 0.5000]), tensor(-0.6931))
    """

    has_enumerate_support = True
    arg_constraints: Mapping[str, Constraint] = {
        "probs": constraints.simplex,
        "logits": constraints.real_vector,
    }

    def __init__(
        self,
        probs: Tensor | None = None,
        logits: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        one_of(probs, logits)
        name, value = ("probs", probs) if probs is not None else ("logits", logits)
        if not isinstance(value, Tensor) or value.ndim < 1:
            raise ValueError(f"`{name}` parameter must be at least one-dimensional.")
        if not value.dtype.is_floating_point:
            value = value.to(_C.get_default_dtype())
        self.__dict__[name] = (
            value / value.sum(-1, True)
            if name == "probs"
            else value - _C.ops.logsumexp(value, -1, True)
        )
        self._num_events = value.shape[-1]
        super().__init__(value.shape[:-1], validate_args=validate_args)

    def __getattr__(self, name: str) -> Tensor:
        given = self.__dict__
        if name == "probs" and "logits" in given:
            return _C.ops.softmax(given["logits"], -1)
        if name == "logits" and "probs" in given:
            return _C.ops.log(clamped(given["probs"]))
        raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")

    @property
    def _param(self) -> Tensor:
        given: dict[str, Tensor] = self.__dict__
        return given["probs"] if "probs" in given else given["logits"]

    @property
    def param_shape(self) -> Any:
        """Shape of the weights."""
        return self._param.shape

    @property
    def support(self) -> Constraint:
        return constraints.IntegerInterval(0, self._num_events - 1)

    def _expand_into(self, new: Any, batch_shape: tuple[int, ...]) -> None:
        new._num_events = self._num_events
        for name in ("probs", "logits"):
            if name in self.__dict__:
                new.__dict__[name] = self.__dict__[name].expand((*batch_shape, self._num_events))

    @property
    def mean(self) -> Tensor:
        return _C.full(self._extended_shape(), math.nan, self._param.dtype)

    @property
    def mode(self) -> Tensor:
        return _C.ops.argmax(self.probs, -1)

    @property
    def variance(self) -> Tensor:
        return _C.full(self._extended_shape(), math.nan, self._param.dtype)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with no_grad():
            shape = self._extended_shape(sample_shape)
            count = math.prod(sample_shape)
            rows = self.probs.detach().reshape((-1, self._num_events))
            if count == 0 or rows.shape[0] == 0:
                return _C.zeros(shape, _C.int64)
            drawn = _C.ops.multinomial(state_of(None), rows, count, True)
            return drawn.transpose(0, 1).reshape(shape)

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        logits, index = self.logits, value.to(_C.int64)
        # Broadcast against each other, the classes' axis aside.
        shape = (index + _C.zeros(self.batch_shape, _C.int64)).shape
        index = index.expand(shape).unsqueeze(-1)
        return logits.expand((*shape, self._num_events)).gather(-1, index).squeeze(-1)

    def entropy(self) -> Tensor:
        logits = self.logits
        # -inf times a probability of 0 counts as 0.
        least = _C.full((), finfo(logits.dtype).min, logits.dtype)
        return -(_C.ops.maximum(logits, least) * self.probs).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        values = _C.as_tensor(list(range(self._num_events)))
        values = values.reshape((-1, *(1 for _ in self.batch_shape)))
        return values.expand((self._num_events, *self.batch_shape)) if expand else values
