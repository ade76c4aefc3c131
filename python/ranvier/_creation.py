"""Making tensors: from data, filled, in steps. PyTorch's names and arguments.

What is made here while a program is being recorded is made again at every replay, because the
values are written by ops. Random tensors are in `_random.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier import _C
from ranvier._arguments import tensor_in
from ranvier._C import Tensor
from ranvier._C import dtype as DType
from ranvier._conversion import from_array, tensor
from ranvier._devices import check_device as check_device
from ranvier._dtypes import as_dtype, dtype_of_number, or_default
from ranvier._grad import no_grad
from ranvier._layouts import check_options, empty_in, laid_out_as, preserve_format
from ranvier._layouts import shape_from as shape_from

if TYPE_CHECKING:
    from numpy.typing import NDArray

Size = int | Sequence[int]


def _finished(where: str, made: Tensor, out: Tensor | None, requires_grad: bool) -> Tensor:
    """The tensor that was made, or `out` with its elements."""
    if out is not None:
        if tensor_in(where, out, "out").shape != made.shape:
            raise _C.ShapeError(f"[{where}] out: expected shape {made.shape}, got {out.shape}")
        with no_grad():
            made = out.copy_(made)
    return made.requires_grad_() if requires_grad else made


def _dtype_for(where: str, dtype: Any, out: Tensor | None, other: DType) -> DType:
    """The dtype that is asked for, else that of `out`, else another one."""
    if out is None:
        return other if dtype is None else as_dtype(dtype)
    if tensor_in(where, out, "out").dtype is not as_dtype(out.dtype if dtype is None else dtype):
        raise RuntimeError(
            f"[{where}] out: expected dtype {as_dtype(dtype).name}, got {out.dtype.name}"
        )
    return out.dtype


# --- filled -------------------------------------------------------------------------------------


def _filled(like: Tensor, value: Any) -> Tensor:
    """Sets all elements of a tensor that was just made."""
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    big = whole and abs(int(value)) > 2**53  # more digits than a double has
    with no_grad():
        if big or like.dtype in (_C.uint16, _C.uint32, _C.uint64):  # not for arithmetic
            return like.copy_(_C.as_tensor(value, like.dtype))
        return like.fill_(value)


def zeros(
    *args: Any,
    size: Any = None,
    out: Tensor | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """Zeros of the given shape, float32 unless told otherwise.

    Parameters
    ----------
    *args : int
        The sizes, one by one, or as one tuple or list, which may be named `size`.
    out : Tensor, optional
        Takes the result; of the same shape.
    dtype : dtype, optional
    layout : strided, optional
    device : "cpu", optional
    requires_grad : bool, default False
    pin_memory : bool, default False
        Changes nothing.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.zeros(2, 3)
    tensor([[0., 0., 0.],
            [0., 0., 0.]])
    """
    check_device(device, "zeros")
    check_options("zeros", layout, pin_memory)
    chosen = _dtype_for("zeros", dtype, out, or_default(None))
    made = _filled(_C.empty(shape_from(args, "zeros", size), chosen), 0)
    return _finished("zeros", made, out, requires_grad)


def ones(
    *args: Any,
    size: Any = None,
    out: Tensor | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """Ones of the given shape, float32 unless told otherwise; arguments as for `zeros`.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.ones((2,), dtype=rv.int64)
    tensor([1, 1])
    """
    check_device(device, "ones")
    check_options("ones", layout, pin_memory)
    chosen = _dtype_for("ones", dtype, out, or_default(None))
    made = _filled(_C.empty(shape_from(args, "ones", size), chosen), 1)
    return _finished("ones", made, out, requires_grad)


def _number(where: str, name: str, value: Any) -> Any:
    """A Python number, for one, for NumPy's, and for a tensor of one element."""
    if isinstance(value, Tensor) and value.numel() == 1:
        return value.item()
    if isinstance(value, np.generic):
        value = value.item()
    if not isinstance(value, (bool, int, float)):
        raise TypeError(f"[{where}] {name}: expected a number, got {value!r}")
    return value


def full(
    size: Size,
    fill_value: Any,
    *,
    out: Tensor | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """One value everywhere; its Python type decides the dtype unless one is given.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.full((2,), 7), rv.full((1,), True)
    (tensor([7, 7]), tensor([True]))
    """
    check_device(device, "full")
    check_options("full", layout, pin_memory)
    value = _number("full", "fill_value", fill_value)
    chosen = _dtype_for("full", dtype, out, dtype_of_number("full", value))
    made = _filled(_C.empty(shape_from((size,), "full"), chosen), value)
    return _finished("full", made, out, requires_grad)


def scalar_tensor(
    s: Any,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """One number as a tensor of shape (), of the default dtype unless one is given.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.scalar_tensor(3)
    tensor(3.)
    """
    return full(
        (), s, dtype=or_default(dtype), layout=layout, device=device,
        requires_grad=requires_grad, pin_memory=pin_memory,
    )  # fmt: skip


def empty(
    *args: Any,
    size: Any = None,
    out: Tensor | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """A tensor whose elements are whatever the memory held; arguments as for `zeros`.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.empty(2, 3).shape
    (2, 3)
    """
    check_device(device, "empty")
    check_options("empty", layout, pin_memory)
    shape = shape_from(args, "empty", size)
    if out is not None:
        _dtype_for("empty", dtype, out, or_default(None))
        if out.shape != shape:
            raise _C.ShapeError(f"[empty] out: expected shape {shape}, got {out.shape}")
        return out
    made = empty_in(shape, or_default(dtype), memory_format, "empty")
    return made.requires_grad_() if requires_grad else made


def empty_like(
    input: Tensor,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
    pin_memory: bool = False,
) -> Tensor:
    """Uninitialised, with the shape, dtype and order of the axes in memory of another tensor.

    Parameters
    ----------
    input : Tensor
    dtype : dtype, optional
        The other tensor's unless given.
    layout : strided, optional
    device : "cpu", optional
    requires_grad : bool, default False
    memory_format : memory_format, optional
        `contiguous_format` or `channels_last` in place of the other tensor's order of axes.
    pin_memory : bool, default False
        Changes nothing.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.empty_like(rv.ones(2, 3)).shape
    (2, 3)
    """
    check_device(device, "empty_like")
    check_options("empty_like", layout, pin_memory)
    tensor_in("empty_like", input)
    chosen = input.dtype if dtype is None else as_dtype(dtype)
    if memory_format is None or memory_format is preserve_format:
        result = laid_out_as(input, _C.empty, chosen)
    else:
        result = empty_in(input.shape, chosen, memory_format, "empty_like")
    return result.requires_grad_() if requires_grad else result


def zeros_like(
    input: Tensor,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
    pin_memory: bool = False,
) -> Tensor:
    """Zeros with the shape and dtype of another tensor; arguments as for `empty_like`.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.zeros_like(rv.tensor([1, 2]))
    tensor([0, 0])
    """
    return full_like(
        input, 0, dtype=dtype, layout=layout, device=device, requires_grad=requires_grad,
        memory_format=memory_format, pin_memory=pin_memory,
    )  # fmt: skip


def ones_like(
    input: Tensor,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
    pin_memory: bool = False,
) -> Tensor:
    """Ones with the shape and dtype of another tensor; arguments as for `empty_like`.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.ones_like(rv.tensor([1.5, 2.5]))
    tensor([1., 1.])
    """
    return full_like(
        input, 1, dtype=dtype, layout=layout, device=device, requires_grad=requires_grad,
        memory_format=memory_format, pin_memory=pin_memory,
    )  # fmt: skip


def full_like(
    input: Tensor,
    fill_value: Any,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
    pin_memory: bool = False,
) -> Tensor:
    """One value, with the shape and dtype of another tensor; arguments as for `empty_like`.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.full_like(rv.ones(2), 0.5)
    tensor([0.5000, 0.5000])
    """
    value = _number("full_like", "fill_value", fill_value)
    made = empty_like(
        input, dtype=dtype, layout=layout, device=device, memory_format=memory_format,
        pin_memory=pin_memory,
    )  # fmt: skip
    result = _filled(made, value)
    return result.requires_grad_() if requires_grad else result


def eye(
    n: int,
    m: int | None = None,
    *,
    out: Tensor | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
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
    check_options("eye", layout, pin_memory)
    rows, columns = shape_from((n, n if m is None else m), "eye")
    _C.empty((rows, columns), _C.bool_)  # refuses sizes that cannot be
    chosen = _dtype_for("eye", dtype, out, or_default(None))
    made = from_array(np.eye(rows, columns, dtype=np.bool_), chosen)
    return _finished("eye", made, out, requires_grad)


# --- in steps -----------------------------------------------------------------------------------


def arange(
    *args: Any,
    start: Any = None,
    end: Any = None,
    step: Any = None,
    out: Tensor | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """`arange(end)`, `arange(start, end)` or `arange(start, end, step)`, the end left out.

    Integers give int64, anything else the default dtype, float32. There are no numbers between a
    start and an end that the step leads away from.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.arange(3), rv.arange(0.0, 1.0, 0.25), rv.arange(start=1, end=3)
    (tensor([0, 1, 2]), tensor([0.0000, 0.2500, 0.5000, 0.7500]), tensor([1, 2]))
    """
    check_device(device, "arange")
    check_options("arange", layout, pin_memory)
    named = {"start": start, "end": end, "step": step}
    first, last, by = bounds = _bounds(args, {k: v for k, v in named.items() if v is not None})
    whole = all(isinstance(n, (int, np.integer)) for n in bounds)
    other = _C.int64 if whole else or_default(None)
    chosen = _dtype_for("arange", dtype, out, other)
    if whole and not all(-(2**63) <= n < 2**63 for n in bounds):
        raise ValueError(f"[arange] expected numbers that fit into int64, got {bounds}")
    count = -((first - last) // by) if whole else math.ceil(min((last - first) / by, 2.0**63))
    _C.empty(shape_from((max(0, count),), "arange"), chosen)  # refuses sizes that cannot be
    values = np.arange(max(0, count), dtype=np.int64 if whole else np.float64)
    if count > 0:
        values *= by
        values += first
    return _finished("arange", from_array(values, chosen), out, requires_grad)


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


def _steps(where: str, start: Any, end: Any, steps: Any) -> NDArray[Any]:
    """Numbers at equal distances, in float64."""
    (count,) = shape_from((steps,), where)
    _C.empty((count,), _C.bool_)  # refuses sizes that cannot be
    first, last = float(_number(where, "start", start)), float(_number(where, "end", end))
    values: NDArray[Any] = np.linspace(first, last, count)
    return values


def linspace(
    start: Any,
    end: Any,
    steps: int,
    *,
    out: Tensor | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """`steps` numbers at equal distances from start to end, both included.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.linspace(0, 1, 3)
    tensor([0.0000, 0.5000, 1.0000])
    """
    check_device(device, "linspace")
    check_options("linspace", layout, pin_memory)
    chosen = _dtype_for("linspace", dtype, out, or_default(None))
    made = from_array(_steps("linspace", start, end, steps), chosen)
    return _finished("linspace", made, out, requires_grad)


def logspace(
    start: Any,
    end: Any,
    steps: int,
    base: float = 10.0,
    *,
    out: Tensor | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """The powers of a base whose exponents are `linspace(start, end, steps)`.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.logspace(0, 2, 3)
    tensor([  1.,  10., 100.])
    """
    check_device(device, "logspace")
    check_options("logspace", layout, pin_memory)
    chosen = _dtype_for("logspace", dtype, out, or_default(None))
    with np.errstate(all="ignore"):
        values = np.power(float(base), _steps("logspace", start, end, steps))
    return _finished("logspace", from_array(values, chosen), out, requires_grad)


# --- in the dtype of another tensor --------------------------------------------------------------


def new_zeros(
    self: Tensor,
    *args: Any,
    size: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
) -> Tensor:
    """Zeros of the given shape in this tensor's dtype."""
    return zeros(
        shape_from(args, "new_zeros", size), dtype=self.dtype if dtype is None else dtype,
        device=device, requires_grad=requires_grad, layout=layout, pin_memory=pin_memory,
    )  # fmt: skip


def new_ones(
    self: Tensor,
    *args: Any,
    size: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
) -> Tensor:
    """Ones of the given shape in this tensor's dtype."""
    return ones(
        shape_from(args, "new_ones", size), dtype=self.dtype if dtype is None else dtype,
        device=device, requires_grad=requires_grad, layout=layout, pin_memory=pin_memory,
    )  # fmt: skip


def new_empty(
    self: Tensor,
    *args: Any,
    size: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
) -> Tensor:
    """Of the given shape in this tensor's dtype; the elements are whatever the memory held."""
    return empty(
        shape_from(args, "new_empty", size), dtype=self.dtype if dtype is None else dtype,
        device=device, requires_grad=requires_grad, layout=layout, pin_memory=pin_memory,
    )  # fmt: skip


def new_full(
    self: Tensor,
    size: Size,
    fill_value: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
) -> Tensor:
    """One value everywhere, of the given shape in this tensor's dtype."""
    return full(
        size, fill_value, dtype=self.dtype if dtype is None else dtype,
        device=device, requires_grad=requires_grad, layout=layout, pin_memory=pin_memory,
    )  # fmt: skip


def new_tensor(
    self: Tensor,
    data: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
) -> Tensor:
    """A copy of the data in this tensor's dtype."""
    check_options("new_tensor", layout, pin_memory)
    chosen = self.dtype if dtype is None else dtype
    return tensor(data, dtype=chosen, device=device, requires_grad=requires_grad)
