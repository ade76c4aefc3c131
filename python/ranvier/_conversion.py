"""Tensors from data: lists, numbers, arrays and other tensors. PyTorch's names and arguments.

The core reads the data and says what is wrong with them; this file has the arguments around that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier import _C
from ranvier._C import Tensor
from ranvier._C import dtype as DType
from ranvier._devices import check_device
from ranvier._dtypes import numpy_dtype
from ranvier._grad import no_grad
from ranvier._layouts import check_options

if TYPE_CHECKING:
    from numpy.typing import NDArray


def from_array(array: NDArray[Any], dtype: DType) -> Tensor:
    """A tensor with memory of its own of what NumPy computed, in any dtype."""
    with no_grad():
        return _C.ops.clone(_C.as_tensor(array, dtype))


def array_of(tensor: Tensor) -> NDArray[Any]:
    """The elements as an array; bfloat16, which NumPy lacks, as the 16 bits of each."""
    if tensor.dtype is not _C.bfloat16:
        return tensor.numpy()
    with no_grad():
        wide: NDArray[Any] = _C.ops.cast(tensor, _C.float32).numpy().view(np.uint32)
    return (wide >> 16).astype(np.uint16)


def as_array(tensor: Tensor) -> NDArray[Any]:
    """The numbers of a tensor as an array; those of bfloat16, which NumPy lacks, as float32."""
    return (tensor.float() if tensor.dtype is _C.bfloat16 else tensor).numpy()


def tensor_of(array: NDArray[Any], dtype: str) -> Tensor:
    """The tensor of a dtype whose elements `array_of` gave; shares memory where NumPy has it."""
    if dtype != "bfloat16":
        return _C.from_numpy(array)
    wide = np.asarray(array.astype(np.uint32) << 16)
    return _C.ops.cast(_C.from_numpy(wide.view(np.float32)), _C.bfloat16)


def tensor(
    data: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """A new tensor with a copy of the data.

    Parameters
    ----------
    data : array, number, nested list or Tensor
        Numbers in rows of equal length. Python floats become the default dtype, float32, Python
        integers int64; arrays keep their dtype.
    dtype : dtype, optional
        The type of the elements.
    device : "cpu", optional
    requires_grad : bool, default False
        Whether `backward` shall compute its gradient; floating dtypes only.
    pin_memory : bool, default False
        Changes nothing.

    Returns
    -------
    Tensor
        Of the data's shape.

    Raises
    ------
    TypeError, ValueError
        What is no number, rows of different lengths, integers that the dtype cannot hold.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.tensor([[1.0, 2.0], [3.0, 4.0]])
    tensor([[1., 2.],
            [3., 4.]])
    """
    check_device(device, "tensor")
    check_options("tensor", None, pin_memory)
    result = _C.as_tensor(data, dtype)
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


def asarray(
    obj: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    copy: bool | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """The data as a tensor: shared where that can be, unless a copy is asked for or refused.

    Parameters
    ----------
    obj : array, number, nested list or Tensor
    dtype : dtype, optional
    device : "cpu", optional
    copy : bool, optional
        True always copies; False raises where memory cannot be shared.
    requires_grad : bool, default False

    Raises
    ------
    ValueError
        If `copy` is False and a copy is needed.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.asarray([1, 2], dtype=rv.float32)
    tensor([1., 2.])
    """
    check_device(device, "asarray")
    if copy:
        return tensor(obj, dtype=dtype, requires_grad=requires_grad)
    result = _C.as_tensor(obj, dtype)
    if copy is False and not _shares(result, obj):
        raise ValueError("[asarray] copy: expected data whose memory can be shared, got others")
    return result.requires_grad_(requires_grad) if requires_grad else result


def _shares(result: Tensor, data: Any) -> bool:
    if isinstance(data, Tensor):
        return result is data
    return isinstance(data, np.ndarray) and np.shares_memory(result.detach().numpy(), data)


def from_numpy(ndarray: NDArray[Any]) -> Tensor:
    """A tensor that shares the memory of an array.

    What is read-only stays so. An array of another byte order, of negative strides or off its
    element's boundary is copied, because no tensor can look at it.

    Parameters
    ----------
    ndarray : numpy.ndarray
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
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(
            f"[from_numpy] ndarray: expected a NumPy array, got {type(ndarray).__name__}; "
            "use tensor(...)"
        )
    return _C.from_numpy(ndarray)


def frombuffer(
    buffer: Any,
    *,
    dtype: Any,
    count: int = -1,
    offset: int = 0,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor that shares the memory of an object with bytes, such as a `bytearray`.

    Parameters
    ----------
    buffer : object with the buffer protocol
    dtype : dtype
    count : int, default -1
        How many elements; all that are there unless given.
    offset : int, default 0
        Bytes to leave out at the start.
    requires_grad : bool, default False

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.frombuffer(bytearray([1, 2, 3]), dtype=rv.uint8, offset=1)
    tensor([2, 3], dtype=ranvier.uint8)
    """
    result = _C.from_numpy(np.frombuffer(buffer, numpy_dtype(dtype), count, offset))
    return result.requires_grad_() if requires_grad else result
