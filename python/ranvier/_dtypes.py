"""What a dtype can hold, what two become together, and the dtype of Python's floats.

The core has the table of promotion; this file asks it and computes nothing itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier import _C
from ranvier._C import Tensor
from ranvier._C import dtype as DType

# --- naming them --------------------------------------------------------------------------------

# NumPy has no bfloat16; everything else is called the same there.
_BY_NAME = {
    name: getattr(_C, "bool_" if name == "bool" else name)
    for name in (
        "float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8",
        "bool", "uint16", "uint32", "uint64",
    )
}  # fmt: skip
_STORED = {_C.uint16, _C.uint32, _C.uint64}  # moved and converted, never added
ALIASES = {
    "float": _C.float32, "double": _C.float64, "half": _C.float16, "long": _C.int64,
    "int": _C.int32, "short": _C.int16,
}  # fmt: skip


def as_dtype(dtype: Any) -> DType:
    """One of ours, for one of ours, NumPy's, Python's `float`, `int`, `bool`, or a name.

    Raises
    ------
    TypeError
        If there is none.
    """
    return dtype if isinstance(dtype, DType) else _C.empty((0,), dtype).dtype


def named(name: str) -> DType | None:
    """The dtype called "float32", "torch.float32" or "long"; None where there is none."""
    name = name.rpartition(".")[2]
    return _BY_NAME.get(name, ALIASES.get(name))


def numpy_dtype(dtype: Any) -> np.dtype[Any]:
    """NumPy's dtype for one of ours, NumPy's own, `float`, `int`, `bool` or a name."""
    ours = as_dtype(dtype)
    if ours is _C.bfloat16:
        raise TypeError("[dtype] expected a dtype that NumPy has, got bfloat16; use float32")
    return np.dtype(ours.name)


# --- the dtype of Python's floats ----------------------------------------------------------------


def get_default_dtype() -> DType:
    """The dtype that Python's floats become: float32 unless `set_default_dtype` changed it.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.get_default_dtype()
    ranvier.float32
    """
    return _C.get_default_dtype()


def set_default_dtype(d: Any) -> None:
    """The dtype that tensors of Python's floats have from here on, and those made of no data.

    Parameters
    ----------
    d : dtype
        A floating one. What ops make of integers alone, their quotient say, has it too.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.set_default_dtype(rv.float64)
    >>> rv.tensor([1.5]).dtype, rv.zeros(1).dtype, rv.tensor([1]).dtype
    (ranvier.float64, ranvier.float64, ranvier.int64)
    >>> rv.set_default_dtype(rv.float32)
    """
    _C.set_default_dtype(d)


def or_default(dtype: Any) -> DType:
    """The dtype that an argument names, or the default one for None."""
    return _C.get_default_dtype() if dtype is None else as_dtype(dtype)


# --- what they hold ------------------------------------------------------------------------------


class finfo:  # noqa: N801
    """What a floating dtype can hold.

    Parameters
    ----------
    type : dtype, optional
        The default dtype unless given.

    Attributes
    ----------
    bits : int
    eps : float
        From 1 to the next larger number.
    max, min, tiny, smallest_normal, resolution : float
    dtype : str

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.finfo(rv.float32).eps, rv.finfo(rv.bfloat16).bits
    (1.1920928955078125e-07, 16)
    """

    def __init__(self, type: Any = None) -> None:
        chosen = or_default(type)
        if not chosen.is_floating_point:
            raise TypeError(
                f"[finfo] type: expected a floating dtype, got {chosen.name}; use iinfo"
            )
        self.dtype, self.bits = chosen.name, 8 * chosen.itemsize
        if chosen is _C.bfloat16:
            self.eps, self.resolution = 2.0**-7, 0.01
            self.max, self.tiny = (2 - 2.0**-7) * 2.0**127, 2.0**-126
        else:
            limits = np.finfo(chosen.name)
            self.eps, self.resolution = float(limits.eps), float(f"1e-{limits.precision}")
            self.max, self.tiny = float(limits.max), float(limits.tiny)
        self.min, self.smallest_normal = -self.max, self.tiny

    def __repr__(self) -> str:
        names = ("resolution", "min", "max", "eps", "smallest_normal", "tiny")
        values = ", ".join(f"{name}={getattr(self, name):g}" for name in names)
        return f"finfo({values}, dtype={self.dtype})"


class iinfo:  # noqa: N801
    """What an integer dtype can hold.

    Parameters
    ----------
    type : dtype

    Attributes
    ----------
    bits, min, max : int
    dtype : str

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.iinfo(rv.uint8).max
    255
    """

    def __init__(self, type: Any) -> None:
        chosen = as_dtype(type)
        if chosen.is_floating_point or chosen is _C.bool_:
            raise TypeError(f"[iinfo] type: expected an integer dtype, got {chosen.name}")
        limits = np.iinfo(chosen.name)
        self.dtype, self.bits = chosen.name, 8 * chosen.itemsize
        self.min, self.max = int(limits.min), int(limits.max)

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"


# --- what they become together -------------------------------------------------------------------


def _kind(dtype: DType) -> int:
    """0 for bool, 1 for integers, 2 for floating numbers."""
    if dtype.is_floating_point:
        return 2
    return 0 if dtype is _C.bool_ else 1


def promote_types(type1: Any, type2: Any) -> DType:
    """The smallest dtype that both convert to: the wider one, floating before integer.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.promote_types(rv.int32, rv.float16), rv.promote_types(rv.uint8, rv.int8)
    (ranvier.float16, ranvier.int16)
    """
    first, second = as_dtype(type1), as_dtype(type2)
    whole = _kind(first) == _kind(second) == 1
    if whole and first is not second and {first, second} & _STORED:
        raise TypeError(
            "[promote_types] expected types with arithmetic, got "
            f"{first.name} and {second.name}; convert with .to(...)"
        )
    return _C.promote_types(first, second)


def result_type(tensor1: Any, tensor2: Any) -> DType:
    """The dtype that two tensors or numbers have after arithmetic.

    Parameters
    ----------
    tensor1, tensor2 : Tensor or number
        A tensor without dimensions, and a number even more, gives way to a tensor of the same
        kind (floating, integer, bool).

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.result_type(rv.tensor([1, 2], dtype=rv.int32), 1.0)
    ranvier.float32
    """
    # Tensors with dimensions, without, and numbers; of the last only the kind counts.
    groups: list[DType | None] = [None, None, None]
    for value in (tensor1, tensor2):
        if isinstance(value, Tensor):
            place, dtype = (0 if value.ndim else 1), value.dtype
        else:
            place, dtype = 2, dtype_of_number("result_type", value)
        before = groups[place]
        groups[place] = dtype if before is None else promote_types(before, dtype)
    first, *others = (dtype for dtype in groups if dtype is not None)
    for dtype in others:
        first = dtype if _kind(dtype) > _kind(first) else first
    return first


def dtype_of_number(where: str, value: Any) -> DType:
    """What Python's and NumPy's numbers become where no dtype is given."""
    if isinstance(value, (bool, np.bool_)):
        return _C.bool_
    if isinstance(value, (int, np.integer)):
        return _C.int64
    if isinstance(value, (float, np.floating)):
        return _C.get_default_dtype()
    raise TypeError(f"[{where}] expected a tensor or a number, got {value!r}")


def can_cast(from_: Any, to: Any) -> bool:
    """Whether values of one dtype may go into another one in place: not from float to int to bool.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.can_cast(rv.float64, rv.float32), rv.can_cast(rv.float32, rv.int64)
    (True, False)
    """
    return _kind(as_dtype(from_)) <= _kind(as_dtype(to))
