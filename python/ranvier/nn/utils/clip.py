"""Clipping: gradients by their common norm or by value, and the weights of each neuron by norm.

Everything stays tensors, so that a recorded step can hold it; only `error_if_nonfinite` reads a
value.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from numbers import Real
from typing import Any

from ranvier import _C
from ranvier._arguments import tensor_in
from ranvier._C import Tensor, ops
from ranvier._grad import no_grad

Tensors = Tensor | Iterable[Tensor]


def _number(where: str, name: str, value: Any, least: float | None = None) -> float:
    """The value as a number that is not NaN, of at least `least`."""
    if isinstance(value, Tensor) and value.numel() == 1:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"[{where}] {name}: expected a number, got {value!r:.60}")
    number = float(value)
    if math.isnan(number) or (least is not None and number < least):
        wanted = "a number" if least is None else f"a number of {least:g} or more"
        raise ValueError(f"[{where}] {name}: expected {wanted}, got {number}")
    return number


def listed(where: str, tensors: Any) -> list[Tensor]:
    """The tensors of an iterable, or the one that was given; a TypeError for anything else."""
    if isinstance(tensors, Tensor):
        return [tensors]
    if not isinstance(tensors, Iterable) or isinstance(tensors, str):
        raise TypeError(
            f"[{where}] parameters: expected tensors, got {type(tensors).__name__}; pass "
            "model.parameters()"
        )
    return [tensor_in(where, t, "parameters") for t in tensors]


def _gradients(where: str, parameters: Any) -> list[Tensor]:
    """The gradients that are there; a shared one once."""
    found = {id(p): p.grad for p in listed(where, parameters)}
    return [grad for grad in found.values() if grad is not None]


@no_grad()
def get_total_norm(
    tensors: Tensors,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The norm of all tensors together, as if they were one vector.

    Parameters
    ----------
    tensors : iterable of Tensor, or one
    norm_type : float, default 2
        p of the p-norm; `inf` for the largest absolute value.
    error_if_nonfinite : bool, default False
        Whether to raise where the norm is NaN or infinite.
    foreach : bool, optional
        Accepted and without effect.

    Returns
    -------
    Tensor, ()

    Raises
    ------
    RuntimeError
        A norm that is not finite, where that was asked for.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.utils.get_total_norm([rv.tensor([3.0]), rv.tensor([4.0])])
    tensor(5.)
    """
    p = _number("get_total_norm", "norm_type", norm_type)
    given = listed("get_total_norm", tensors)
    if not given:
        return _C.zeros((), _C.float32)
    norms = [ops.norm(t.detach(), p) for t in given]
    total = norms[0] if len(norms) == 1 else ops.norm(ops.stack(_as_one_dtype(norms)), p)
    if error_if_nonfinite and not math.isfinite(total.item()):
        raise RuntimeError(
            f"[get_total_norm] expected finite gradients, got a norm of order {p:g} that is "
            f"{total.item()}; with error_if_nonfinite=False they are scaled all the same"
        )
    return total


def _as_one_dtype(norms: list[Tensor]) -> list[Tensor]:
    dtype = max((n.dtype for n in norms), key=lambda d: d.itemsize)
    return [n if n.dtype is dtype else n.to(dtype) for n in norms]


@no_grad()
def clip_grads_with_norm_(
    parameters: Tensors, max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Scales gradients by max_norm / (total_norm + 1e-6), where that is less than 1.

    Parameters
    ----------
    parameters : iterable of Tensor, or one
    max_norm : float
    total_norm : Tensor, ()
        What `get_total_norm` gave for the gradients.
    foreach : bool, optional
        Accepted and without effect.

    Examples
    --------
    >>> import ranvier as rv
    >>> w = rv.ones(2, requires_grad=True)
    >>> w.grad = rv.tensor([3.0, 4.0])
    >>> rv.nn.utils.clip_grads_with_norm_(w, 1.0, rv.tensor(5.0))
    >>> w.grad
    tensor([0.6000, 0.8000])
    """
    where = "clip_grads_with_norm_"
    _scale(
        _gradients(where, parameters),
        _number(where, "max_norm", max_norm),
        tensor_in(where, total_norm, "total_norm"),
    )


def clip_factor(max_norm: float, total_norm: Tensor) -> Tensor:
    """What gradients of this norm are multiplied by."""
    return (max_norm / (total_norm + 1e-6)).clamp(max=1.0)


def _scale(grads: list[Tensor], max_norm: float, total_norm: Tensor) -> None:
    factor = clip_factor(max_norm, total_norm)
    for grad in grads:
        grad.mul_(factor)


@no_grad()
def clip_grad_norm_(
    parameters: Tensors,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scales all gradients together so that their norm is at most `max_norm`, in place.

    Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks" (2013),
    algorithm 1.

    Parameters
    ----------
    parameters : iterable of Tensor, or one
        Those without gradient are left out.
    max_norm : float
    norm_type : float, default 2
        p of the p-norm; `inf` for the largest absolute value.
    error_if_nonfinite : bool, default False
        Whether to raise where the norm is NaN or infinite; gradients are then unchanged.
    foreach : bool, optional
        Accepted and without effect.

    Returns
    -------
    Tensor, ()
        The norm before.

    Raises
    ------
    RuntimeError
        A norm that is not finite, where that was asked for.

    Examples
    --------
    >>> import ranvier as rv
    >>> w = rv.ones(2, requires_grad=True)
    >>> w.grad = rv.tensor([3.0, 4.0])
    >>> rv.nn.utils.clip_grad_norm_([w], 1.0)
    tensor(5.)
    >>> w.grad
    tensor([0.6000, 0.8000])
    """
    where = "clip_grad_norm_"
    most = _number(where, "max_norm", max_norm)
    grads = _gradients(where, parameters)
    total = get_total_norm(grads, norm_type, error_if_nonfinite)
    if grads:
        _scale(grads, most, total)
    return total


@no_grad()
def clip_grad_value_(parameters: Tensors, clip_value: float, foreach: bool | None = None) -> None:
    """Cuts every element of the gradients to [-clip_value, clip_value], in place.

    Parameters
    ----------
    parameters : iterable of Tensor, or one
    clip_value : float
        0 or more.
    foreach : bool, optional
        Accepted and without effect.

    Raises
    ------
    ValueError
        A negative value.

    Examples
    --------
    >>> import ranvier as rv
    >>> w = rv.ones(2, requires_grad=True)
    >>> w.grad = rv.tensor([3.0, -0.5])
    >>> rv.nn.utils.clip_grad_value_(w, 1.0)
    >>> w.grad
    tensor([ 1.0000, -0.5000])
    """
    most = _number("clip_grad_value_", "clip_value", clip_value, 0)
    for grad in _gradients("clip_grad_value_", parameters):
        grad.clamp_(-most, most)


@no_grad()
def max_norm_(
    parameters: Tensors, max_norm: float, norm_type: float = 2.0, dim: int | tuple[int, ...] = 0
) -> None:
    """Scales weights so that the norm of each slice is at most `max_norm`, in place.

    With `dim=0` a slice of a `Linear` layer's weight is what comes in to one neuron: the
    constraint of Srivastava et al., "Dropout" (2014), section 5.1. Tensors with fewer than two
    axes, such as biases, are left as they are. Call it after `optimizer.step()`.

    Parameters
    ----------
    parameters : iterable of Tensor, or one
    max_norm : float
        0 or more.
    norm_type : float, default 2
        p of the p-norm.
    dim : int or tuple of int, default 0
        The axes that count slices; the norm goes over all others.

    Raises
    ------
    ValueError
        A negative norm.
    IndexError
        An axis that is not there.

    Examples
    --------
    >>> import ranvier as rv
    >>> w = rv.nn.Parameter(rv.tensor([[3.0, 4.0], [0.3, 0.4]]))
    >>> rv.nn.utils.max_norm_(w, 1.0)
    >>> w.detach()
    tensor([[0.6000, 0.8000],
            [0.3000, 0.4000]])
    """
    most = _number("max_norm_", "max_norm", max_norm, 0)
    p = _number("max_norm_", "norm_type", norm_type)
    kept = dim if isinstance(dim, tuple) else (dim,)
    for weight in listed("max_norm_", parameters):
        if weight.ndim < 2:
            continue
        for axis in kept:
            if not -weight.ndim <= axis < weight.ndim:
                raise IndexError(f"[max_norm_] dim: expected axes of {weight.shape}, got {axis}")
        weight.mul_(norm_factor(weight, most, p, kept))


def norm_factor(weight: Tensor, most: float, p: float, kept: Iterable[int]) -> Tensor:
    """What `max_norm_` multiplies a weight by.

    1 where the norm is small enough: such a slice keeps its bits. Never 0 / 0.
    """
    places = {axis % weight.ndim for axis in kept}
    rest = [axis for axis in range(weight.ndim) if axis not in places]
    norms = ops.norm(weight.detach(), p, rest, True)
    return (most / norms.clamp(min=1e-30)).clamp(max=1.0)
