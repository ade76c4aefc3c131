"""Making tensors: from data, filled, in steps. PyTorch's names and arguments.

What is made here while a program is being recorded is made again at every replay, because the
values are written by ops. Random tensors are in `_random.py`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier import _C
from ranvier._C import Tensor
from ranvier._C import dtype as DType
from ranvier._grad import no_grad

Size = int | Sequence[int]


def numpy_dtype(dtype: Any) -> np.dtype[Any]:
    """NumPy's dtype for one of ours, NumPy's own, `float`, `int`, `bool` or a name."""
    return np.dtype(as_dtype(dtype).name)


def as_dtype(dtype: Any) -> DType:
    """One of our dtypes; a TypeError where there is none."""
    return dtype if isinstance(dtype, DType) else _C.empty((0,), dtype).dtype


def check_device(device: Any, where: str) -> None:
    """Everything lives on the CPU; another device is refused."""
    if device is not None and str(device) not in ("cpu", "cpu:0"):
        raise ValueError(
            f"[{where}] device: expected 'cpu', got {str(device)!r}; leave the argument out"
        )


def shape_from(args: tuple[Any, ...], where: str, size: Any = None) -> tuple[int, ...]:
    """`zeros(2, 3)`, `zeros((2, 3))` and `zeros(size=(2, 3))` alike."""
    if size is not None:
        if args:
            raise TypeError(f"[{where}] size: expected the sizes once, got {args} and {size!r}")
        args = (size,)
    if len(args) == 1 and isinstance(args[0], (tuple, list)):
        args = tuple(args[0])
    try:
        shape = tuple(operator.index(n) for n in args)
    except TypeError:
        raise TypeError(
            f"[{where}] size: expected integers, got {', '.join(map(repr, args))}"
        ) from None
    for n in shape:
        if not -(2**63) <= n < 2**63:
            raise _C.ShapeError(f"[{where}] size: expected a number of at most 64 bits, got {n}")
    return shape


def memory_order(tensor: Tensor) -> list[int]:
    """The axes from the one with the largest steps in memory to the one with the smallest."""
    return sorted(range(tensor.ndim), key=lambda axis: -tensor.stride()[axis])


def axes_back(tensor: Tensor, order: Sequence[int]) -> Tensor:
    """The view with the axes as they were before they were put into an order."""
    if list(order) == list(range(len(order))):
        return tensor
    return tensor.permute([order.index(axis) for axis in range(len(order))])


def laid_out_as(like: Tensor, make: Callable[[Sequence[int], DType], Tensor], dtype: Any) -> Tensor:
    """What `make` gives, in the shape and with the order of axes in memory of another tensor."""
    order = memory_order(like)
    return axes_back(make([like.shape[axis] for axis in order], dtype), order)


def tensor(
    data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A new tensor with a copy of the data.

    Parameters
    ----------
    data : array, number, nested list or Tensor
        Numbers in rows of equal length. Python floats become float32, Python integers int64;
        arrays keep their dtype.
    dtype : dtype, optional
        The type of the elements.
    device : "cpu", optional
    requires_grad : bool, default False
        Whether `backward` shall compute its gradient; floating dtypes only.

    Returns
    -------
    Tensor
        Of the data's shape.

    Raises
    ------
    TypeError, ValueError
        What is no number, or rows of different lengths.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.tensor([[1.0, 2.0], [3.0, 4.0]])
    tensor([[1., 2.],
            [3., 4.]])
    """
    result = as_tensor(data, dtype=dtype, device=device)
    with no_grad():
        result = _C.ops.clone(result.detach())
    return result.requires_grad_(requires_grad) if requires_grad else result


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """The data as a tensor, without a copy where it is an array or a tensor already.

    Parameters
    ----------
    data : array, number, nested list or Tensor
    dtype : dtype, optional
        Another dtype than the data's makes a copy.
    device : "cpu", optional

    Examples
    --------
    >>> import numpy as np
    >>> import ranvier as rv
    >>> a = np.zeros(2, dtype=np.float32)
    >>> t = rv.as_tensor(a)
    >>> a[0] = 5
    >>> t
    tensor([5., 0.])
    """
    check_device(device, "as_tensor")
    return _C.as_tensor(data, dtype)


def from_numpy(array: NDArray[Any]) -> Tensor:
    """A tensor that shares the memory of an array.

    What is read-only stays so. An array of another byte order, of negative strides or off its
    element's boundary is copied, because no tensor can look at it.

    Parameters
    ----------
    array : numpy.ndarray
        Of any numeric dtype and layout. While the tensor lives the array cannot be resized.

    Raises
    ------
    TypeError
        For text, dates, complex numbers, Python objects, fields and masked values.

    Examples
    --------
    >>> import numpy as np
    >>> import ranvier as rv
    >>> rv.from_numpy(np.arange(3))
    tensor([0, 1, 2])
    """
    if not isinstance(array, np.ndarray):
        raise TypeError(
            f"[from_numpy] array: expected a NumPy array, got {type(array).__name__}; "
            "use tensor(...)"
        )
    return _C.from_numpy(array)


def _filled(
    shape: tuple[int, ...], value: Any, dtype: Any, device: Any, requires_grad: bool, where: str
) -> Tensor:
    check_device(device, where)
    result = _C.empty(shape, dtype)
    with no_grad():
        result.fill_(value)
    return result.requires_grad_() if requires_grad else result


def zeros(
    *args: Any,
    size: Any = None,
    dtype: Any = _C.float32,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Zeros of the given shape, float32 unless told otherwise.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.zeros(2, 3)
    tensor([[0., 0., 0.],
            [0., 0., 0.]])
    """
    shape = shape_from(args, "zeros", size)
    return _filled(shape, 0, _or_float32(dtype), device, requires_grad, "zeros")


def ones(
    *args: Any,
    size: Any = None,
    dtype: Any = _C.float32,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Ones of the given shape, float32 unless told otherwise.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.ones((2,), dtype=rv.int64)
    tensor([1, 1])
    """
    shape = shape_from(args, "ones", size)
    return _filled(shape, 1, _or_float32(dtype), device, requires_grad, "ones")


def full(
    size: Size,
    fill_value: float,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """One value everywhere; its Python type decides the dtype unless one is given.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.full((2,), 7)
    tensor([7, 7])
    """
    if not isinstance(fill_value, (bool, int, float, np.generic)):
        raise TypeError(f"[full] fill_value: expected a number, got {fill_value!r}")
    chosen = dtype if dtype is not None else _dtype_of_number(fill_value)
    shape = shape_from((size,), "full")
    if isinstance(fill_value, int) and abs(fill_value) > 2**53:  # more digits than a double has
        return tensor(np.full(shape, fill_value, numpy_dtype(chosen)), requires_grad=requires_grad)
    return _filled(shape, fill_value, chosen, device, requires_grad, "full")


def _dtype_of_number(value: Any) -> DType:
    if isinstance(value, (bool, np.bool_)):
        return _C.bool_
    return _C.int64 if isinstance(value, (int, np.integer)) else _C.float32


def _or_float32(dtype: Any) -> Any:
    return _C.float32 if dtype is None else dtype


def empty(
    *args: Any,
    size: Any = None,
    dtype: Any = _C.float32,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor whose elements are whatever the memory held.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.empty(2, 3).shape
    (2, 3)
    """
    check_device(device, "empty")
    result = _C.empty(shape_from(args, "empty", size), _or_float32(dtype))
    return result.requires_grad_() if requires_grad else result


def empty_like(
    input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Uninitialised, with the shape, dtype and order of the axes in memory of another tensor.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.empty_like(rv.ones(2, 3)).shape
    (2, 3)
    """
    check_device(device, "empty_like")
    result = laid_out_as(input, _C.empty, input.dtype if dtype is None else dtype)
    return result.requires_grad_() if requires_grad else result


def zeros_like(
    input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Zeros with the shape and dtype of another tensor.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.zeros_like(rv.tensor([1, 2]))
    tensor([0, 0])
    """
    check_device(device, "zeros_like")
    return full_like(input, 0, dtype=dtype, requires_grad=requires_grad)


def ones_like(
    input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Ones with the shape and dtype of another tensor.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.ones_like(rv.tensor([1.5, 2.5]))
    tensor([1., 1.])
    """
    check_device(device, "ones_like")
    return full_like(input, 1, dtype=dtype, requires_grad=requires_grad)


def full_like(
    input: Tensor,
    fill_value: float,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """One value, with the shape and dtype of another tensor.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.full_like(rv.ones(2), 0.5)
    tensor([0.5000, 0.5000])
    """
    check_device(device, "full_like")
    with no_grad():
        result = empty_like(input, dtype=dtype).fill_(fill_value)
    return result.requires_grad_() if requires_grad else result


def eye(
    n: int,
    m: int | None = None,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Ones on the diagonal, zeros elsewhere: n rows, m (or n) columns.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.eye(2)
    tensor([[1., 0.],
            [0., 1.]])
    """
    check_device(device, "eye")
    rows, columns = shape_from((n, n if m is None else m), "eye")
    _C.empty((rows, columns), _C.bool_)  # refuses sizes that cannot be
    return tensor(
        np.eye(rows, columns, dtype=numpy_dtype(_or_float32(dtype))), requires_grad=requires_grad
    )


def arange(
    *args: float,
    start: float | None = None,
    end: float | None = None,
    step: float | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """`arange(end)`, `arange(start, end)` or `arange(start, end, step)`, the end left out.

    Integers give int64, anything else float32.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.arange(3), rv.arange(0.0, 1.0, 0.25), rv.arange(start=1, end=3)
    (tensor([0, 1, 2]), tensor([0.0000, 0.2500, 0.5000, 0.7500]), tensor([1, 2]))
    """
    check_device(device, "arange")
    named = {"start": start, "end": end, "step": step}
    first, last, by = bounds = _bounds(args, {k: v for k, v in named.items() if v is not None})
    whole = all(isinstance(n, (int, np.integer)) for n in bounds)
    chosen = as_dtype(dtype) if dtype is not None else (_C.int64 if whole else _C.float32)
    if whole and not all(-(2**63) <= n < 2**63 for n in bounds):
        raise ValueError(f"[arange] expected numbers that fit into int64, got {bounds}")
    count = -((first - last) // by) if whole else math.ceil(min((last - first) / by, 2.0**63))
    _C.empty(shape_from((max(0, count),), "arange"), chosen)  # refuses sizes that cannot be
    values = np.arange(first, last, by).astype(numpy_dtype(chosen))
    return tensor(values, requires_grad=requires_grad)


def _bounds(args: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Start, end and step of `arange`, as finite numbers."""
    only_end = len(args) == 1 and "end" not in named
    names = ("end",) if only_end else ("start", "end", "step")
    given = dict(zip(names, args, strict=False))
    if len(args) > 3 or given.keys() & named.keys() or "end" not in {**given, **named}:
        raise TypeError(
            "[arange] expected arange(end), arange(start, end) or arange(start, end, step), got "
            + ", ".join([*map(repr, args), *(f"{k}={v!r}" for k, v in named.items())])
        )
    bounds = {"start": 0, "step": 1, **given, **named}
    for name, value in bounds.items():
        if isinstance(value, Tensor) and value.numel() == 1:
            bounds[name] = value = value.item()
        if not isinstance(value, Real):
            raise TypeError(f"[arange] {name}: expected a number, got {value!r}")
        if not math.isfinite(value):
            raise ValueError(f"[arange] {name}: expected a finite number, got {value!r}")
    if bounds["step"] == 0:
        raise ValueError("[arange] step: expected another number than 0, got 0")
    return bounds["start"], bounds["end"], bounds["step"]


def linspace(
    start: float,
    end: float,
    steps: int,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """`steps` numbers at equal distances from start to end, both included.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.linspace(0, 1, 3)
    tensor([0.0000, 0.5000, 1.0000])
    """
    check_device(device, "linspace")
    (count,) = shape_from((steps,), "linspace")
    _C.empty((count,), _C.bool_)
    values = np.linspace(start, end, count, dtype=numpy_dtype(_or_float32(dtype)))
    return tensor(values, requires_grad=requires_grad)


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
    return input.numel()


def equal(input: Tensor, other: Tensor) -> bool:
    """Whether two tensors have the same shape and the same elements.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.equal(rv.ones(2), rv.ones(2)), rv.equal(rv.ones(2), rv.ones(3))
    (True, False)
    """
    return bool(np.array_equal(input.detach().numpy(), other.detach().numpy()))


def allclose(
    input: Tensor,
    other: Tensor,
    rtol: float = 1e-5,
    atol: float = 1e-8,
    equal_nan: bool = False,
) -> bool:
    """Whether |input - other| <= atol + rtol |other| for all elements.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.allclose(rv.ones(2), rv.ones(2) + 1e-7)
    True
    """
    left, right = input.detach().numpy(), other.detach().numpy()
    return bool(np.allclose(left, right, rtol=rtol, atol=atol, equal_nan=equal_nan))
