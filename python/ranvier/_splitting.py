"""Splitting a tensor along an axis: into sizes, into numbers of parts, at places.

Each function looks at its arguments and calls ops of the core; nothing here computes.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from ranvier import _C
from ranvier._arguments import tensor_in
from ranvier._C import ShapeError, Tensor

_MOST_PARTS = 2**24  # as `unbind` and `chunk` have it


def _check_parts(where: str, parts: int, tensor: Tensor) -> None:
    """An axis of a tensor without elements can have any size; nobody could hold so many parts."""
    if parts > _MOST_PARTS:
        raise ShapeError(
            f"[{where}] expected at most {_MOST_PARTS} parts, got {parts} of shape {tensor.shape}"
        )


def split(
    tensor: Tensor, split_size_or_sections: int | Sequence[int], dim: int = 0
) -> tuple[Tensor, ...]:
    """Views of parts along an axis.

    Parameters
    ----------
    tensor : Tensor
    split_size_or_sections : int or sequence of int
        The size of every part but the last, which may be smaller; or the size of each part.
    dim : int, default 0

    Returns
    -------
    tuple of Tensor

    Raises
    ------
    ValueError
        Sizes that are negative or do not add up to that of the axis.
    IndexError
        An axis that is not there.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.split(rv.arange(5), 2)
    (tensor([0, 1]), tensor([2, 3]), tensor([4]))
    >>> rv.split(rv.arange(5), [1, 4])
    (tensor([0]), tensor([1, 2, 3, 4]))
    """
    if isinstance(split_size_or_sections, (list, tuple)):
        return _C.ops.split_with_sizes(tensor, split_size_or_sections, dim)
    each = integer(split_size_or_sections, "split", "split_size_or_sections")
    size = _axis_size(tensor, dim, "split")
    if each < 0 or (each == 0 and size > 0):
        raise ValueError(
            f"[split] split_size_or_sections: expected a size of at least 1 for axis {dim} of "
            f"shape {tensor.shape}, got {each}"
        )
    full, rest = divmod(size, each) if each else (0, 0)
    _check_parts("split", full, tensor)
    sizes = [each] * full + ([rest] if rest or not full else [])
    return _C.ops.split_with_sizes(tensor, sizes, dim)


def tensor_split(
    input: Tensor, indices_or_sections: int | Sequence[int] | Tensor, dim: int = 0
) -> tuple[Tensor, ...]:
    """Views of parts along an axis, cut at positions or into a number of nearly equal parts.

    Parameters
    ----------
    input : Tensor
    indices_or_sections : int, sequence of int, or Tensor of either
        How many parts; or the positions at which to cut.
    dim : int, default 0

    Returns
    -------
    tuple of Tensor

    Raises
    ------
    ValueError
        Fewer than one part.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.tensor_split(rv.arange(5), 3)
    (tensor([0, 1]), tensor([2, 3]), tensor([4]))
    >>> rv.tensor_split(rv.arange(5), [1, 3])
    (tensor([0]), tensor([1, 2]), tensor([3, 4]))
    """
    size = _axis_size(input, dim, "tensor_split")
    where = indices_or_sections
    if isinstance(where, Tensor) and where.ndim == 1:
        where = where.tolist()
    if isinstance(where, (list, tuple)):
        cuts = [integer(cut, "tensor_split", "indices_or_sections") for cut in where]
        bounds = list(zip([0, *cuts], [*cuts, size], strict=True))
        return tuple(_C.ops.slice(input, dim, start, end) for start, end in bounds)
    parts = integer(where, "tensor_split", "indices_or_sections")
    if parts < 1:
        raise ValueError(
            f"[tensor_split] indices_or_sections: expected at least one part, got {parts}"
        )
    _check_parts("tensor_split", parts, input)
    each, larger = divmod(size, parts)
    sizes = [each + 1] * larger + [each] * (parts - larger)
    return _C.ops.split_with_sizes(input, sizes, dim)


def hsplit(input: Tensor, indices_or_sections: int | Sequence[int]) -> tuple[Tensor, ...]:
    """Views of equal parts, or cut at positions, along the second axis (the first of a vector).

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.hsplit(rv.arange(4), 2)
    (tensor([0, 1]), tensor([2, 3]))
    """
    return _split_evenly(
        input, indices_or_sections, 0 if tensor_in("hsplit", input).ndim == 1 else 1, 1, "hsplit"
    )


def vsplit(input: Tensor, indices_or_sections: int | Sequence[int]) -> tuple[Tensor, ...]:
    """Views of equal parts, or cut at positions, along the first axis.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.vsplit(rv.eye(2), 2)
    (tensor([[1., 0.]]), tensor([[0., 1.]]))
    """
    return _split_evenly(input, indices_or_sections, 0, 2, "vsplit")


def dsplit(input: Tensor, indices_or_sections: int | Sequence[int]) -> tuple[Tensor, ...]:
    """Views of equal parts, or cut at positions, along the third axis.

    Examples
    --------
    >>> import ranvier as rv
    >>> [part.shape for part in rv.dsplit(rv.ones(2, 2, 4), 2)]
    [(2, 2, 2), (2, 2, 2)]
    """
    return _split_evenly(input, indices_or_sections, 2, 3, "dsplit")


def _split_evenly(
    input: Tensor, parts: Any, dim: int, least: int, where: str
) -> tuple[Tensor, ...]:
    if tensor_in(where, input).ndim < least:
        raise ShapeError(f"[{where}] expected {least} or more axes, got shape {input.shape}")
    if not isinstance(parts, (list, tuple)):
        number = integer(parts, where, "indices_or_sections")
        if number < 1 or input.shape[dim] % number:
            raise ShapeError(
                f"[{where}] indices_or_sections: expected a number that divides axis {dim} of "
                f"shape {input.shape}, got {number}; tensor_split() takes any"
            )
    return tensor_split(input, parts, dim)


def integer(value: Any, where: str, name: str) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"[{where}] {name}: expected an integer, got {value!r}") from None


def _axis_size(input: Tensor, dim: int, where: str) -> int:
    if tensor_in(where, input).ndim == 0:
        raise IndexError(f"[{where}] expected a tensor with axes, got a single value")
    if not -input.ndim <= dim < input.ndim:
        raise IndexError(
            f"[{where}] dim: expected {-input.ndim} <= dim < {input.ndim}, got {dim} for shape "
            f"{input.shape}"
        )
    return input.shape[dim]


for _function in (split, tensor_split, hsplit, vsplit, dsplit):
    setattr(Tensor, _function.__name__, _function)
