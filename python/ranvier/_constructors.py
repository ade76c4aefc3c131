"""PyTorch's older constructors: `FloatTensor([1, 2])`, `LongTensor(3)`, and what they are asked.

Each stands for tensors of one dtype: it makes them, `isinstance` knows them, and `Tensor.type`
takes and names it. They are no classes that a tensor could have.
"""

from __future__ import annotations

from typing import Any

from ranvier import _C
from ranvier._C import Tensor
from ranvier._C import dtype as DType
from ranvier._creation import empty
from ranvier._devices import check_device
from ranvier._layouts import shape_from


def made_of(args: tuple[Any, ...], dtype: DType, where: str) -> Tensor:
    """What PyTorch's constructors make: integers are sizes, anything else is data."""
    if not args:
        return empty(0, dtype=dtype)
    data = args[0]
    if len(args) == 1 and isinstance(data, _C.Size):
        return empty(data, dtype=dtype)
    if len(args) == 1 and isinstance(data, Tensor):
        if data.dtype is not dtype:
            raise TypeError(
                f"[{where}] data: expected a tensor of {dtype.name}, got {data.dtype.name}; "
                f"use .to(ranvier.{dtype.name})"
            )
        return data.detach()
    if len(args) == 1 and (isinstance(data, (list, tuple)) or hasattr(data, "__array__")):
        return _C.as_tensor(data, dtype)
    return empty(shape_from(args, where), dtype=dtype)


class _OfDType(type):
    """The class of the constructors, which makes `isinstance` look at a tensor's dtype."""

    dtype: DType

    def __call__(cls, *args: Any, device: Any = None) -> Tensor:
        check_device(device, cls.__name__)
        return made_of(args, cls.dtype, cls.__name__)

    def __instancecheck__(cls, obj: object) -> bool:
        return isinstance(obj, Tensor) and obj.dtype is cls.dtype


class FloatTensor(metaclass=_OfDType):
    """Makes a float32 tensor of data or, for integers, of that size, uninitialised.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.FloatTensor([1, 2]), isinstance(rv.ones(1), rv.FloatTensor)
    (tensor([1., 2.]), True)
    """

    dtype = _C.float32


class DoubleTensor(metaclass=_OfDType):
    """Makes a float64 tensor of data or, for integers, of that size, uninitialised."""

    dtype = _C.float64


class HalfTensor(metaclass=_OfDType):
    """Makes a float16 tensor of data or, for integers, of that size, uninitialised."""

    dtype = _C.float16


class BFloat16Tensor(metaclass=_OfDType):
    """Makes a bfloat16 tensor of data or, for integers, of that size, uninitialised."""

    dtype = _C.bfloat16


class LongTensor(metaclass=_OfDType):
    """Makes an int64 tensor of data or, for integers, of that size, uninitialised."""

    dtype = _C.int64


class IntTensor(metaclass=_OfDType):
    """Makes an int32 tensor of data or, for integers, of that size, uninitialised."""

    dtype = _C.int32


class ShortTensor(metaclass=_OfDType):
    """Makes an int16 tensor of data or, for integers, of that size, uninitialised."""

    dtype = _C.int16


class CharTensor(metaclass=_OfDType):
    """Makes an int8 tensor of data or, for integers, of that size, uninitialised."""

    dtype = _C.int8


class ByteTensor(metaclass=_OfDType):
    """Makes a uint8 tensor of data or, for integers, of that size, uninitialised."""

    dtype = _C.uint8


class BoolTensor(metaclass=_OfDType):
    """Makes a bool tensor of data or, for integers, of that size, uninitialised."""

    dtype = _C.bool_


CONSTRUCTORS: tuple[Any, ...] = (
    FloatTensor, DoubleTensor, HalfTensor, BFloat16Tensor, LongTensor, IntTensor, ShortTensor,
    CharTensor, ByteTensor, BoolTensor,
)  # fmt: skip
_NAMES = {kind.dtype: kind.__name__ for kind in CONSTRUCTORS}
_DTYPES = {kind.__name__: kind.dtype for kind in CONSTRUCTORS}


def type_name(dtype: DType) -> str:
    """ "ranvier.FloatTensor" and its like; storage-only dtypes have the name of the dtype."""
    return f"ranvier.{_NAMES.get(dtype, dtype.name)}"


def dtype_of_type(kind: Any) -> Any:
    """The dtype that `Tensor.type` is given: as itself, as a constructor or as its name."""
    if isinstance(kind, _OfDType):
        return kind.dtype
    if isinstance(kind, str):
        return _DTYPES.get(kind.rpartition(".")[2], kind)
    return kind
