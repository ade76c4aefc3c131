"""Joining, repeating and choosing where PyTorch takes different kinds of arguments under one name.

Each function looks at its arguments and calls ops of the core; nothing here computes. What needs
no such choice is an op itself and comes from `ranvier._ops`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ranvier import _C
from ranvier._arguments import tensor_in
from ranvier._C import ShapeError, Tensor
from ranvier._conversion import tensor
from ranvier._creation import arange
from ranvier._devices import check_device
from ranvier._dtypes import as_dtype, numpy_dtype
from ranvier._layouts import check_options
from ranvier._ops import cat
from ranvier._splitting import integer

__all__ = [
    "atleast_1d", "atleast_2d", "atleast_3d", "broadcast_shapes", "broadcast_tensors", "concat",
    "concatenate", "index_put", "index_put_", "nonzero", "repeat_interleave", "tril_indices",
    "triu_indices", "where",
]  # fmt: skip

concat = concatenate = cat


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
    return _each(tensors, lambda t: t.reshape(1) if t.ndim == 0 else t, "atleast_1d")


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
    return _each(tensors, _as_rows, "atleast_2d")


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
    return _each(tensors, lambda t: t if t.ndim > 2 else _as_rows(t).unsqueeze(-1), "atleast_3d")


def _as_rows(input: Tensor) -> Tensor:
    return input if input.ndim > 1 else input.reshape(1, -1)


def _each(tensors: tuple[Any, ...], function: Any, where: str) -> Any:
    if len(tensors) == 1 and isinstance(tensors[0], Tensor):
        return function(tensors[0])
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        tensors = tuple(tensors[0])
    return tuple(function(tensor_in(where, t, "tensors")) for t in tensors)


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
    shape = broadcast_shapes(*(tensor_in("broadcast_tensors", t, "tensors").shape for t in tensors))
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
    tensor_in("repeat_interleave", input)
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
    if not as_tuple or not isinstance(input, Tensor):  # the op says what it expected
        return _C.ops.argwhere(input)
    return _C.ops.unbind(_C.ops.argwhere(atleast_1d(input)), 1)


def where(
    condition: Tensor, input: Tensor | float | None = None, other: Tensor | float | None = None
) -> Any:
    """Elements of one tensor where a condition is true, of another elsewhere.

    Parameters
    ----------
    condition : Tensor of bool
    input, other : Tensor or number, optional
        They broadcast with the condition. Without both the result is where the condition is true,
        as `nonzero(as_tuple=True)` gives it.

    Returns
    -------
    Tensor; or tuple of Tensor, (elements,), int64

    Raises
    ------
    TypeError
        For a condition of numbers beside two tensors, and for one tensor alone.
    ShapeError
        For shapes that do not broadcast.

    Examples
    --------
    >>> import ranvier as rv
    >>> x = rv.tensor([-1.0, 2.0])
    >>> rv.where(x > 0, x, 0.0)
    tensor([0., 2.])
    >>> rv.where(x > 0)
    (tensor([1]),)
    """
    if input is None and other is None:
        return nonzero(tensor_in("where", condition, "condition"), as_tuple=True)
    return _C.ops.where(condition, input, other)  # type: ignore[arg-type]  # refuses one None


# --- writing at places ----------------------------------------------------------------------------


def index_put(
    input: Tensor, indices: Sequence[Tensor | None], values: Tensor, accumulate: bool = False
) -> Tensor:
    """A copy with values written, or added, where indices name elements.

    Parameters
    ----------
    input : Tensor
    indices : sequence of Tensor of integers or bool, or None
        One for each dimension; a mask stands for as many as it has itself, None for all of a
        dimension. What `input[indices] = values` takes.
    values : Tensor
        Of the dtype of the input; broadcasts to the indexed shape.
    accumulate : bool, default False
        Whether values are added. Without, the last of several for one place stays.

    Returns
    -------
    Tensor

    Raises
    ------
    IndexError
        For a place outside of the tensor, and a mask of another shape.
    ShapeError
        For values that do not broadcast.

    Examples
    --------
    >>> import ranvier as rv
    >>> x = rv.zeros(3)
    >>> rv.index_put(x, (rv.tensor([0, 0]),), rv.ones(2), accumulate=True)
    tensor([2., 0., 0.])
    >>> x.index_put_((rv.tensor([False, True, True]),), rv.tensor(5.0))
    tensor([0., 5., 5.])
    """
    places, dims = _places(input, indices, "index_put")
    return _C.ops.index_put(input, places, values, accumulate, dims)


def index_put_(
    input: Tensor, indices: Sequence[Tensor | None], values: Tensor, accumulate: bool = False
) -> Tensor:
    """Writes values, or adds them, where indices name elements; see `index_put`."""
    places, dims = _places(input, indices, "index_put_")
    return _C.ops.index_put_(input, places, values, accumulate, dims)


def _places(input: Tensor, indices: Any, where: str) -> tuple[list[Tensor], list[int]]:
    """Indices as tensors of integers and the dimensions that they belong to."""
    if not isinstance(indices, (tuple, list)):
        raise TypeError(
            f"[{where}] indices: expected a tuple of tensors, got {type(indices).__name__}"
        )
    shape = tensor_in(where, input).shape
    places: list[Tensor] = []
    dims: list[int] = []
    dim = 0
    for index in indices:
        if index is None:
            dim += 1
            continue
        if tensor_in(where, index, "indices").dtype is not _C.bool_ or index.ndim == 0:
            places.append(index)
            dims.append(dim)
            dim += 1
            continue
        end = dim + index.ndim
        if index.shape != shape[dim:end]:
            raise IndexError(
                f"[{where}] indices: expected a mask of the shape of the axes from {dim} on of "
                f"{shape}, got {index.shape}"
            )
        places += nonzero(index, as_tuple=True)
        dims += range(dim, end)
        dim = end
    return places, dims


# --- indices of triangles -----------------------------------------------------------------------


def tril_indices(
    row: int,
    col: int,
    offset: int = 0,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
) -> Tensor:
    """Rows and columns of the lower triangle of a matrix, up to a diagonal.

    Parameters
    ----------
    row, col : int
        The shape of the matrix.
    offset : int, default 0
        Of the diagonal; above the main one if positive.
    dtype : dtype, optional
        int64 if not given.
    layout, pin_memory
        As PyTorch has them; `strided` and False are all there is.
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
    check_options("tril_indices", layout, pin_memory)
    return _triangle(np.tril_indices, row, col, offset, dtype, device, "tril_indices")


def triu_indices(
    row: int,
    col: int,
    offset: int = 0,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
) -> Tensor:
    """Rows and columns of the upper triangle of a matrix, from a diagonal on.

    Parameters
    ----------
    row, col : int
        The shape of the matrix.
    offset : int, default 0
        Of the diagonal; above the main one if positive.
    dtype : dtype, optional
        int64 if not given.
    layout, pin_memory
        As PyTorch has them; `strided` and False are all there is.
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
    check_options("triu_indices", layout, pin_memory)
    return _triangle(np.triu_indices, row, col, offset, dtype, device, "triu_indices")


def _triangle(
    function: Any, row: int, col: int, offset: int, dtype: Any, device: Any, where: str
) -> Tensor:
    check_device(device, where)
    rows, cols = integer(row, where, "row"), integer(col, where, "col")
    shift = integer(offset, where, "offset")
    _C.empty((rows, cols), _C.bool_)  # refuses sizes that cannot be
    kind = numpy_dtype(_C.int64 if dtype is None else as_dtype(dtype))
    return tensor(np.array(function(rows, shift, cols)).astype(kind))


for _function in (repeat_interleave, nonzero, index_put, index_put_):
    setattr(Tensor, _function.__name__, _function)
