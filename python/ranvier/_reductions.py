"""Reductions that PyTorch spells in several ways, in front of the core's ops.

`max(x)`, `max(x, 1)` and `max(x, y)` are three operations under one name, `var` takes `unbiased` as
well as `correction`, `norm` a name in place of a number. Here the spellings are told apart; the
arithmetic is the core's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ranvier import _C
from ranvier._C import Tensor

__all__ = [
    "max",
    "min",
    "norm",
    "std",
    "std_mean",
    "unique",
    "unique_consecutive",
    "var",
    "var_mean",
]

# --- extremes -----------------------------------------------------------------------------------


def _of_two(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    return "other" in kwargs or (len(args) > 0 and isinstance(args[0], (Tensor, np.ndarray)))


def max(input: Tensor, *args: Any, **kwargs: Any) -> Any:
    """The largest element; or those along an axis; or the larger of two tensors' elements.

    Parameters
    ----------
    input : Tensor
        Any dtype that is computed with.
    *args, **kwargs
        Nothing for the largest element of all (equal ones share the gradient);
        `dim, keepdim=False` for values and indices along an axis (the first of equal ones);
        `other`, a tensor, for the element by element maximum.

    Returns
    -------
    Tensor or named tuple (values, indices)

    Raises
    ------
    IndexError
        For an axis that is not there, or that has no elements.
    ShapeError
        For a tensor without elements, or shapes that do not broadcast.

    Examples
    --------
    >>> import ranvier as rv
    >>> x = rv.tensor([[1.0, 5.0], [3.0, 2.0]])
    >>> rv.max(x)
    tensor(5.)
    >>> rv.max(x, 1).indices
    tensor([1, 0])
    >>> rv.max(x, rv.tensor(2.5))
    tensor([[2.5000, 5.0000],
            [3.0000, 2.5000]])
    """
    if _of_two(args, kwargs):
        return _C.ops.maximum(input, *args, **kwargs)
    return _C.ops.max(input, *args, **kwargs)


def min(input: Tensor, *args: Any, **kwargs: Any) -> Any:
    """The smallest element; or those along an axis; or the smaller of two tensors' elements.

    Parameters
    ----------
    input : Tensor
        Any dtype that is computed with.
    *args, **kwargs
        Nothing for the smallest element of all (equal ones share the gradient);
        `dim, keepdim=False` for values and indices along an axis (the first of equal ones);
        `other`, a tensor, for the element by element minimum.

    Returns
    -------
    Tensor or named tuple (values, indices)

    Raises
    ------
    IndexError
        For an axis that is not there, or that has no elements.
    ShapeError
        For a tensor without elements, or shapes that do not broadcast.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.min(rv.tensor([[1.0, 5.0], [3.0, 2.0]]), 0).values
    tensor([1., 2.])
    """
    if _of_two(args, kwargs):
        return _C.ops.minimum(input, *args, **kwargs)
    return _C.ops.min(input, *args, **kwargs)


# --- moments ------------------------------------------------------------------------------------


def _moment(op: Any, input: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    # var(x, dim, unbiased, keepdim) and var(x, unbiased) are the older spellings.
    if args and isinstance(args[0], bool):
        args = (None, *args)
    given = dict(zip(("dim", "unbiased", "keepdim"), args, strict=False))
    if len(args) > len(given) or given.keys() & kwargs.keys():
        raise TypeError(
            f"[{op.__name__}] expected dim, unbiased and keepdim at most once each, got "
            f"{len(args)} arguments and {sorted(kwargs)}"
        )
    given.update(kwargs)
    unbiased = given.pop("unbiased", None)
    if unbiased is not None:
        if "correction" in given or not isinstance(unbiased, bool):
            raise TypeError(
                f"[{op.__name__}] expected unbiased=True or False, or correction, got "
                f"unbiased={unbiased!r}"
                + (f" and correction={given['correction']!r}" if "correction" in given else "")
            )
        given["correction"] = 1.0 if unbiased else 0.0
    return op(input, **given)


def var(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Variance over the given axes, or over all.

    Parameters
    ----------
    input : Tensor
        Floating.
    dim : int or sequence of int, optional
    unbiased : bool, optional
        True is correction 1, False correction 0.
    keepdim : bool, default False
    correction : float, default 1
        The sum of squares is divided by n - correction.

    Returns
    -------
    Tensor
        NaN where n - correction is 0 and all elements are equal.

    Raises
    ------
    TypeError
        For integers, or both of `unbiased` and `correction`.
    IndexError
        For an axis that is not there.

    Examples
    --------
    >>> import ranvier as rv
    >>> x = rv.tensor([1.0, 2.0, 4.0])
    >>> rv.var(x), rv.var(x, unbiased=False), rv.var(x, dim=0, correction=2)
    (tensor(2.3333), tensor(1.5556), tensor(4.6667))
    """
    return _moment(_C.ops.var, input, args, kwargs)  # type: ignore[no-any-return]


def std(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Standard deviation over the given axes, or over all: the square root of `var`.

    Parameters
    ----------
    input : Tensor
        Floating.
    dim, unbiased, keepdim, correction
        As of `var`.

    Returns
    -------
    Tensor
        Its gradient is 0 where it is 0.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.std(rv.tensor([[1.0, 3.0], [2.0, 2.0]]), dim=1)
    tensor([1.4142, 0.0000])
    """
    return _moment(_C.ops.std, input, args, kwargs)  # type: ignore[no-any-return]


def var_mean(input: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
    """Variance and mean in one call; arguments as of `var`.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.var_mean(rv.tensor([1.0, 2.0, 6.0]), correction=0).mean
    tensor(3.)
    """
    return _moment(_C.ops.var_mean, input, args, kwargs)  # type: ignore[no-any-return]


def std_mean(input: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
    """Standard deviation and mean in one call; arguments as of `var`.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.std_mean(rv.tensor([1.0, 3.0]), unbiased=False).std
    tensor(1.)
    """
    return _moment(_C.ops.std_mean, input, args, kwargs)  # type: ignore[no-any-return]


# --- norms --------------------------------------------------------------------------------------


def norm(
    input: Tensor,
    p: float | str | None = "fro",
    dim: int | Sequence[int] | None = None,
    keepdim: bool = False,
    out: Tensor | None = None,
    dtype: Any = None,
) -> Tensor:
    """p-norm of the elements over the given axes, or over all.

    Parameters
    ----------
    input : Tensor
        Floating.
    p : float or "fro", default "fro"
        Any number, with inf, -inf and 0; "fro" is 2. The nuclear norm needs singular values.
    dim : int or sequence of int, optional
    keepdim : bool, default False
    out : Tensor, optional
        Where the result goes.
    dtype : dtype, optional
        What the input is converted to first.

    Returns
    -------
    Tensor
        Its gradient is 0 where it is 0.

    Raises
    ------
    TypeError
        For integers.
    ValueError
        For another name than "fro".
    IndexError
        For an axis that is not there; for no elements where p is negative or inf.

    Examples
    --------
    >>> import ranvier as rv
    >>> x = rv.tensor([[3.0, 4.0], [0.0, -2.0]])
    >>> rv.norm(x, dim=1), rv.norm(x, p=1), rv.norm(x, float("inf"))
    (tensor([5., 2.]), tensor(9.), tensor(4.))
    """
    if isinstance(p, str) and p != "fro":
        raise ValueError(f"[norm] p: expected a number or 'fro', got {p!r}")
    order = 2.0 if p is None or isinstance(p, str) else p
    op: Any = _C.ops.norm
    return op(input, order, dim, keepdim, dtype=dtype, out=out)  # type: ignore[no-any-return]


# --- different elements -------------------------------------------------------------------------


def _asked(found: Any, inverse: bool, counts: bool) -> Any:
    parts = [found[0]]
    if inverse:
        parts.append(found[1])
    if counts:
        parts.append(found[2])
    return parts[0] if len(parts) == 1 else tuple(parts)


def unique(
    input: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The different elements, or the different slices along an axis, in ascending order.

    Parameters
    ----------
    input : Tensor
        Any dtype that is computed with.
    sorted : bool, default True
        They are sorted anyway.
    return_inverse : bool, default False
        Also give, for each element (or slice), its place among the different ones.
    return_counts : bool, default False
        Also give how often each occurs.
    dim : int, optional
        The axis whose slices are compared; elements of the flattened tensor without it.

    Returns
    -------
    Tensor or tuple of Tensor
        Every NaN is different.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.unique(rv.tensor([3, 1, 1]))
    tensor([1, 3])
    >>> rv.unique(rv.tensor([3, 1, 1]), return_inverse=True, return_counts=True)
    (tensor([1, 3]), tensor([1, 0, 0]), tensor([2, 1]))
    """
    return _asked(_C.ops.unique(input, dim), return_inverse, return_counts)


def unique_consecutive(
    input: Tensor,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The elements, or slices along an axis, that differ from the one before.

    Parameters
    ----------
    input : Tensor
        Any dtype that is computed with.
    return_inverse, return_counts, dim
        As of `unique`.

    Returns
    -------
    Tensor or tuple of Tensor

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.unique_consecutive(rv.tensor([1, 1, 2, 1]))
    tensor([1, 2, 1])
    """
    return _asked(_C.ops.unique_consecutive(input, dim), return_inverse, return_counts)


METHODS: dict[str, Any] = {
    function.__name__: function
    for function in (max, min, var, std, norm, unique, unique_consecutive)
}
