"""Joining, splitting and repeating where PyTorch takes different kinds of arguments under one name.

Each function looks at its arguments and calls ops of the core; nothing here computes. What needs
no such choice is an op itself and comes from `ranvier._ops`.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from ranvier import _C
from ranvier._C import ShapeError, Tensor
from ranvier._conversion import tensor
from ranvier._creation import arange
from ranvier._devices import check_device
from ranvier._dtypes import as_dtype, numpy_dtype
from ranvier._ops import cat

__all__ = [
    "atleast_1d", "atleast_2d", "atleast_3d", "broadcast_shapes", "broadcast_tensors", "concat",
    "concatenate", "dsplit", "hsplit", "nonzero", "repeat_interleave", "split", "tensor_split",
    "tril_indices", "triu_indices", "vsplit",
]  # fmt: skip

concat = concatenate = cat


# --- splitting ----------------------------------------------------------------------------------


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
    each = _integer(split_size_or_sections, "split", "split_size_or_sections")
    size = _axis_size(tensor, dim, "split")
    if each < 0 or (each == 0 and size > 0):
        raise ValueError(
            f"[split] split_size_or_sections: expected a size of at least 1 for axis {dim} of "
            f"shape {tensor.shape}, got {each}"
        )
    full, rest = divmod(size, each) if each else (0, 0)
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
        cuts = [_integer(cut, "tensor_split", "indices_or_sections") for cut in where]
        bounds = list(zip([0, *cuts], [*cuts, size], strict=True))
        return tuple(_C.ops.slice(input, dim, start, end) for start, end in bounds)
    parts = _integer(where, "tensor_split", "indices_or_sections")
    if parts < 1:
        raise ValueError(
            f"[tensor_split] indices_or_sections: expected at least one part, got {parts}"
        )
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
    return _split_evenly(input, indices_or_sections, 0 if input.ndim == 1 else 1, 1, "hsplit")


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
    if input.ndim < least:
        raise ShapeError(f"[{where}] expected {least} or more axes, got shape {input.shape}")
    if not isinstance(parts, (list, tuple)):
        number = _integer(parts, where, "indices_or_sections")
        if number < 1 or input.shape[dim] % number:
            raise ShapeError(
                f"[{where}] indices_or_sections: expected a number that divides axis {dim} of "
                f"shape {input.shape}, got {number}; tensor_split() takes any"
            )
    return tensor_split(input, parts, dim)


def _integer(value: Any, where: str, name: str) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"[{where}] {name}: expected an integer, got {value!r}") from None


def _axis_size(input: Tensor, dim: int, where: str) -> int:
    if input.ndim == 0:
        raise IndexError(f"[{where}] expected a tensor with axes, got a single value")
    if not -input.ndim <= dim < input.ndim:
        raise IndexError(
            f"[{where}] dim: expected {-input.ndim} <= dim < {input.ndim}, got {dim} for shape "
            f"{input.shape}"
        )
    return input.shape[dim]


# --- axes and broadcasting ----------------------------------------------------------------------


def atleast_1d(*tensors: Any) -> Any:
    """Views with one axis or more: a single value gets one.

    Parameters
    ----------
    *tensors : Tensor, or one sequence of Tensor

    Returns
    -------
    Tensor, or tuple of Tensor
        A tuple unless one tensor was given.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.atleast_1d(rv.tensor(2.0))
    tensor([2.])
    """
    return _each(tensors, lambda t: t.reshape(1) if t.ndim == 0 else t)


def atleast_2d(*tensors: Any) -> Any:
    """Views with two axes or more: vectors become rows.

    Parameters
    ----------
    *tensors : Tensor, or one sequence of Tensor

    Returns
    -------
    Tensor, or tuple of Tensor
        A tuple unless one tensor was given.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.atleast_2d(rv.tensor([2.0, 3.0]))
    tensor([[2., 3.]])
    """
    return _each(tensors, _as_rows)


def atleast_3d(*tensors: Any) -> Any:
    """Views with three axes or more: a matrix gets a last one, a vector one on both sides.

    Parameters
    ----------
    *tensors : Tensor, or one sequence of Tensor

    Returns
    -------
    Tensor, or tuple of Tensor
        A tuple unless one tensor was given.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.atleast_3d(rv.ones(2)).shape, rv.atleast_3d(rv.ones(2, 3)).shape
    ((1, 2, 1), (2, 3, 1))
    """
    return _each(tensors, lambda t: t if t.ndim > 2 else _as_rows(t).unsqueeze(-1))


def _as_rows(input: Tensor) -> Tensor:
    return input if input.ndim > 1 else input.reshape(1, -1)


def _each(tensors: tuple[Any, ...], function: Any) -> Any:
    if len(tensors) == 1 and isinstance(tensors[0], Tensor):
        return function(tensors[0])
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        tensors = tuple(tensors[0])
    return tuple(function(t) for t in tensors)


def broadcast_shapes(*shapes: int | Sequence[int]) -> tuple[int, ...]:
    """The shape that tensors of these shapes have together.

    Raises
    ------
    ShapeError
        Shapes that do not go together.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.broadcast_shapes((2, 1), (3,))
    (2, 3)
    """
    try:
        return np.broadcast_shapes(*shapes)
    except (TypeError, ValueError) as error:
        raise ShapeError(
            f"[broadcast_shapes] expected shapes that are equal or 1 from the last axis on, got "
            f"{', '.join(map(str, shapes))}"
        ) from error


def broadcast_tensors(*tensors: Any) -> tuple[Tensor, ...]:
    """Views of all tensors in the shape that they have together.

    Raises
    ------
    ShapeError
        Shapes that do not go together.

    Examples
    --------
    >>> import ranvier as rv
    >>> [t.shape for t in rv.broadcast_tensors(rv.ones(2, 1), rv.ones(3))]
    [(2, 3), (2, 3)]
    """
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        tensors = tuple(tensors[0])
    shape = broadcast_shapes(*(t.shape for t in tensors))
    return tuple(t.expand(shape) for t in tensors)


# --- repeating and searching --------------------------------------------------------------------


def repeat_interleave(
    input: Tensor,
    repeats: int | Tensor | None = None,
    dim: int | None = None,
    *,
    output_size: int | None = None,
) -> Tensor:
    """Every slice along an axis several times in a row.

    Parameters
    ----------
    input : Tensor
        Without `repeats`, it is itself the numbers of repeats, and the result the index i
        repeated input[i] times.
    repeats : int or Tensor of int, optional
        One number for all, or one for each position along the axis.
    dim : int, optional
        None: the elements of the flattened input.
    output_size : int, optional
        The size of the result along the axis, where a tensor of repeats shall not be read before
        the result is made.

    Returns
    -------
    Tensor

    Raises
    ------
    ValueError
        Negative repeats.
    ShapeError
        As many repeats as neither one nor the size of the axis; another sum than output_size.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.repeat_interleave(rv.arange(3), 2)
    tensor([0, 0, 1, 1, 2, 2])
    >>> rv.arange(2).repeat_interleave(rv.tensor([1, 3]))
    tensor([0, 1, 1, 1])
    """
    if repeats is None:
        index = arange(input.numel())
        return _C.ops.repeat_each_by(index, input, None, output_size=output_size)
    if isinstance(repeats, Tensor):
        return _C.ops.repeat_each_by(input, repeats, dim, output_size=output_size)
    return _C.ops.repeat_each(input, repeats, dim)


def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """The positions of all elements that are not zero.

    Parameters
    ----------
    input : Tensor
    as_tuple : bool, default False
        One index for every axis, good for `input[...]`, in place of one row for every element.

    Returns
    -------
    Tensor, (elements, axes), int64; or tuple of Tensor, (elements,)

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nonzero(rv.tensor([[1, 0], [2, 3]]))
    tensor([[0, 0],
            [1, 0],
            [1, 1]])
    >>> rv.nonzero(rv.tensor([0, 5, 6]), as_tuple=True)
    (tensor([1, 2]),)
    """
    if not as_tuple:
        return _C.ops.argwhere(input)
    return _C.ops.unbind(_C.ops.argwhere(atleast_1d(input)), 1)


# --- indices of triangles -----------------------------------------------------------------------


def tril_indices(
    row: int, col: int, offset: int = 0, *, dtype: Any = _C.int64, device: Any = None
) -> Tensor:
    """Rows and columns of the lower triangle of a matrix, up to a diagonal.

    Parameters
    ----------
    row, col : int
        The shape of the matrix.
    offset : int, default 0
        Of the diagonal; above the main one if positive.
    dtype : dtype, default int64
    device : "cpu", optional

    Returns
    -------
    Tensor, (2, elements)

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.tril_indices(2, 2)
    tensor([[0, 1, 1],
            [0, 0, 1]])
    """
    return _triangle(np.tril_indices, row, col, offset, dtype, device, "tril_indices")


def triu_indices(
    row: int, col: int, offset: int = 0, *, dtype: Any = _C.int64, device: Any = None
) -> Tensor:
    """Rows and columns of the upper triangle of a matrix, from a diagonal on.

    Parameters
    ----------
    row, col : int
        The shape of the matrix.
    offset : int, default 0
        Of the diagonal; above the main one if positive.
    dtype : dtype, default int64
    device : "cpu", optional

    Returns
    -------
    Tensor, (2, elements)

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.triu_indices(2, 2)
    tensor([[0, 0, 1],
            [0, 1, 1]])
    """
    return _triangle(np.triu_indices, row, col, offset, dtype, device, "triu_indices")


def _triangle(
    function: Any, row: int, col: int, offset: int, dtype: Any, device: Any, where: str
) -> Tensor:
    check_device(device, where)
    rows, cols = _integer(row, where, "row"), _integer(col, where, "col")
    shift = _integer(offset, where, "offset")
    _C.empty((rows, cols), _C.bool_)  # refuses sizes that cannot be
    kind = numpy_dtype(as_dtype(dtype))
    return tensor(np.array(function(rows, shift, cols)).astype(kind))


for _function in (split, tensor_split, hsplit, vsplit, dsplit, repeat_interleave, nonzero):
    setattr(Tensor, _function.__name__, _function)
