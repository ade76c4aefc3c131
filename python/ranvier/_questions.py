"""Questions about tensors that are answered with Python's True, False or a number."""

from __future__ import annotations

import numpy as np

from ranvier import _C
from ranvier._arguments import tensor_in
from ranvier._C import Tensor


def is_tensor(obj: object) -> bool:
    """Whether an object is a Tensor.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.is_tensor(rv.ones(1)), rv.is_tensor([1.0])
    (True, False)
    """
    return isinstance(obj, Tensor)


def numel(input: Tensor) -> int:
    """The number of elements of a tensor.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.numel(rv.ones(2, 3))
    6
    """
    return tensor_in("numel", input).numel()


def equal(input: Tensor, other: Tensor) -> bool:
    """Whether two tensors have the same shape and the same elements, of whatever dtypes.

    Parameters
    ----------
    input, other : Tensor

    Returns
    -------
    bool
        NaN equals nothing.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.equal(rv.ones(2), rv.ones(2)), rv.equal(rv.ones(2), rv.ones(3))
    (True, False)
    >>> rv.equal(rv.ones(2), rv.ones(2, dtype=rv.int64))
    True
    """
    if tensor_in("equal", input).shape != tensor_in("equal", other, "other").shape:
        return False
    if {input.dtype.name, other.dtype.name} & {"uint16", "uint32", "uint64"}:  # only stored
        return bool(np.array_equal(input.detach().numpy(), other.detach().numpy()))
    return bool(_C.ops.all(_C.ops.eq(input.detach(), other.detach())).item())


def allclose(
    input: Tensor,
    other: Tensor,
    rtol: float = 1e-5,
    atol: float = 1e-8,
    equal_nan: bool = False,
) -> bool:
    """Whether |input - other| <= atol + rtol |other| for all elements.

    Parameters
    ----------
    input, other : Tensor
        Of one dtype; they broadcast.
    rtol, atol : float
        0 or more.
    equal_nan : bool, default False
        Whether two NaNs are close.

    Returns
    -------
    bool

    Raises
    ------
    TypeError
        For different dtypes.
    ShapeError
        For shapes that do not broadcast.
    ValueError
        For a negative tolerance.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.allclose(rv.ones(2), rv.ones(2) + 1e-7)
    True
    """
    close = _C.ops.isclose(input, other, rtol, atol, equal_nan)
    return bool(_C.ops.all(close).item())


def is_floating_point(input: Tensor) -> bool:
    """Whether the elements of a tensor are floating numbers.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.is_floating_point(rv.ones(1)), rv.is_floating_point(rv.arange(1))
    (True, False)
    """
    return tensor_in("is_floating_point", input).dtype.is_floating_point


def is_complex(input: Tensor) -> bool:
    """Whether the elements of a tensor are complex numbers: False, there are none here."""
    return tensor_in("is_complex", input).dtype.is_complex


def is_nonzero(input: Tensor) -> bool:
    """Whether the one element of a tensor is another number than 0.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.is_nonzero(rv.tensor([0.0]))
    False
    """
    return bool(tensor_in("is_nonzero", input))
