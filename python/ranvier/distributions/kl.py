"""Kullback-Leibler divergences between distributions of one kind."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ranvier import _C
from ranvier._C import Tensor
from ranvier.distributions.bernoulli import Bernoulli
from ranvier.distributions.categorical import Categorical
from ranvier.distributions.continuous import Exponential, Laplace, Uniform
from ranvier.distributions.distribution import Distribution
from ranvier.distributions.independent import Independent, sum_rightmost
from ranvier.distributions.normal import LogNormal, Normal

Formula = Callable[[Any, Any], Tensor]
_FORMULAS: dict[tuple[type, type], Formula] = {}


def register_kl(type_p: type[Distribution], type_q: type[Distribution]) -> Callable[..., Formula]:
    """Decorates the function that computes KL(p || q) for a pair of types.

    Examples
    --------
    >>> import ranvier as rv
    >>> class Half(rv.distributions.Normal): ...
    >>> @rv.distributions.register_kl(Half, Half)
    ... def kl(p, q):
    ...     return p.loc * 0
    >>> rv.distributions.kl_divergence(Half(0.0, 1.0), Half(1.0, 1.0))
    tensor(0.)
    """

    def keep(formula: Formula) -> Formula:
        _FORMULAS[type_p, type_q] = formula
        return formula

    return keep


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """KL(p || q): the expected value of log p - log q under p.

    Parameters
    ----------
    p, q : Distribution
        Of one kind: normal, log-normal, Bernoulli, categorical, uniform, exponential, Laplace, or
        independent axes of one of these.

    Returns
    -------
    Tensor
        Of their broadcast batch shape; infinite where q cannot draw what p can.

    Raises
    ------
    NotImplementedError
        Where there is no formula for the pair.

    Examples
    --------
    >>> import ranvier as rv
    >>> N = rv.distributions.Normal
    >>> rv.distributions.kl_divergence(N(0.0, 1.0), N(1.0, 2.0))
    tensor(0.4431)
    """
    for mine in type(p).__mro__:
        for theirs in type(q).__mro__:
            if (mine, theirs) in _FORMULAS:
                return _FORMULAS[mine, theirs](p, q)
    raise NotImplementedError(
        f"No KL(p || q) is implemented for p type {type(p).__name__} and q type {type(q).__name__}"
    )


def _infinite_where(condition: Tensor, value: Tensor) -> Tensor:
    return _C.ops.where(condition, _C.full((), math.inf, value.dtype), value)


@register_kl(Normal, Normal)
def _normal(p: Normal, q: Normal) -> Tensor:
    if isinstance(p, LogNormal) != isinstance(q, LogNormal):
        raise NotImplementedError("No KL(p || q) is implemented for Normal beside LogNormal")
    ratio = _C.ops.square(p.scale / q.scale)
    distance = _C.ops.square((p.loc - q.loc) / q.scale)
    return 0.5 * (ratio + distance - 1 - _C.ops.log(ratio))


@register_kl(Bernoulli, Bernoulli)
def _bernoulli(p: Bernoulli, q: Bernoulli) -> Tensor:
    chance, other = p.probs, q.probs
    value = q._cross_entropy(chance) - p.entropy()
    value = _infinite_where(_C.ops.logical_and(other == 0, chance > 0), value)
    value = _infinite_where(_C.ops.logical_and(other == 1, chance < 1), value)
    return _C.ops.where(chance == other, value * 0, value)


@register_kl(Categorical, Categorical)
def _categorical(p: Categorical, q: Categorical) -> Tensor:
    chances, nothing = p.probs, _C.zeros((), p.probs.dtype)
    terms = chances * (p.logits - q.logits)
    terms = _infinite_where(q.probs == 0, terms)
    return _C.ops.where(chances == 0, nothing, terms).sum(-1)


@register_kl(Uniform, Uniform)
def _uniform(p: Uniform, q: Uniform) -> Tensor:
    value = _C.ops.log((q.high - q.low) / (p.high - p.low))
    return _infinite_where(_C.ops.logical_or(q.low > p.low, q.high < p.high), value)


@register_kl(Exponential, Exponential)
def _exponential(p: Exponential, q: Exponential) -> Tensor:
    ratio = q.rate / p.rate
    return ratio - 1 - _C.ops.log(ratio)


@register_kl(Laplace, Laplace)
def _laplace(p: Laplace, q: Laplace) -> Tensor:
    ratio, distance = p.scale / q.scale, _C.ops.abs(p.loc - q.loc)
    near = ratio * _C.ops.exp(-distance / p.scale)
    return near + distance / q.scale - _C.ops.log(ratio) - 1


@register_kl(Independent, Independent)
def _independent(p: Independent, q: Independent) -> Tensor:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError("No KL(p || q) is implemented for different numbers of axes")
    return sum_rightmost(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)
