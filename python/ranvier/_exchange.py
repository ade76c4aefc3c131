"""NumPy's functions on tensors, and DLPack.

A ufunc for which there is an op runs the op, so that gradients are kept and results are tensors.
Every other one computes on arrays that show the tensors' memory. Nothing is computed here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ranvier import _C
from ranvier._C import Tensor

# NumPy's ufuncs and the ops of the same meaning; those that the registry has not are left out.
_NAMES: dict[str, str] = {
    **{name: name for name in (
        "add", "maximum", "minimum", "fmax", "fmin", "exp", "exp2", "expm1", "log",
        "log2", "log10", "log1p", "logaddexp", "sqrt", "square", "reciprocal", "sin", "cos", "tan",
        "sinh", "cosh", "tanh", "floor", "ceil", "trunc", "sign", "hypot", "copysign", "remainder",
        "fmod", "floor_divide", "isnan", "isinf", "isfinite", "signbit", "logical_and",
        "logical_or", "logical_xor", "logical_not", "bitwise_and", "bitwise_or", "bitwise_xor",
    )},
    "subtract": "sub", "multiply": "mul", "divide": "div", "power": "pow", "negative": "neg",
    "absolute": "abs", "rint": "round", "invert": "bitwise_not", "arcsin": "asin",
    "arccos": "acos", "arctan": "atan", "arcsinh": "asinh", "arccosh": "acosh",
    "arctanh": "atanh", "arctan2": "atan2", "equal": "eq", "not_equal": "ne", "less": "lt",
    "less_equal": "le", "greater": "gt", "greater_equal": "ge",
}  # fmt: skip


def _matmul(input: Any, other: Any, **out: Tensor) -> Tensor:
    # NumPy's operands may differ in dtype; matmul's may not.
    sides = [_C.as_tensor(x) for x in (input, other)]
    floats = [x.dtype for x in sides if x.dtype.is_floating_point]
    if floats:
        widest = max(floats, key=lambda dtype: dtype.itemsize)
        sides = [x if x.dtype is widest else _C.ops.cast(x, widest) for x in sides]
    return _C.ops.matmul(*sides, **out)


_OPS: dict[Any, Callable[..., Any]] = {
    getattr(np, theirs): getattr(_C.ops, ours)
    for theirs, ours in _NAMES.items()
    if hasattr(_C.ops, ours)
}
_OPS[np.matmul] = _matmul


def _arrays_in(value: Any) -> Any:
    """The value with arrays in place of tensors; RuntimeError for one that has a gradient."""
    if isinstance(value, Tensor):
        return np.asarray(value)
    if type(value) in (list, tuple):
        return type(value)(_arrays_in(v) for v in value)
    return value


def _tensor_of(result: Any) -> Any:
    """A tensor with what NumPy computed; dtypes that tensors have not are left as they are."""
    if isinstance(result, tuple):
        return tuple(map(_tensor_of, result))
    if isinstance(result, (np.ndarray, np.generic)) and result.dtype.name in _STORED:
        return _C.as_tensor(result)
    return result


_STORED = {
    *(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)),
    *("bool", "float16", "float32", "float64"),
}


def _knows_more(kinds: Iterable[type]) -> bool:
    """Whether another class is there that wants to answer NumPy itself."""
    theirs = np.ndarray.__array_ufunc__
    return any(getattr(kind, "__array_ufunc__", theirs) is not theirs for kind in kinds)


def __array_ufunc__(  # noqa: N807
    self: Tensor, ufunc: Any, method: str, *inputs: Any, **kwargs: Any
) -> Any:
    out = kwargs.pop("out", ())
    if _knows_more(type(x) for x in (*inputs, *out) if not isinstance(x, Tensor)):
        return NotImplemented
    if method == "__call__" and not kwargs and ufunc in _OPS:
        if not out:
            return _OPS[ufunc](*inputs)
        if isinstance(out[0], Tensor):
            return _OPS[ufunc](*inputs, out=out[0])
    for x in inputs:
        if isinstance(x, Tensor) and x.requires_grad:  # a single value as well: nothing is read
            raise RuntimeError(
                f"[{ufunc.__name__}] expected tensors without gradient, because NumPy computes "
                "this, got one that requires it; use .detach()"
            )
    arrays = [_arrays_in(x) for x in inputs]
    kwargs = {name: _arrays_in(value) for name, value in kwargs.items()}
    compute = getattr(ufunc, method)
    if method == "at":
        if not isinstance(inputs[0], Tensor):
            return compute(*arrays, **kwargs)
        return _written(inputs[0], lambda copy: compute(copy, *arrays[1:], **kwargs))
    if not out:
        return _tensor_of(compute(*arrays, **kwargs))
    # Into copies, so that the change of a tensor is one that gradients and versions know of.
    copies = tuple(x.detach().numpy().copy() if isinstance(x, Tensor) else x for x in out)
    compute(*arrays, out=copies, **kwargs)
    for x, copy in zip(out, copies, strict=True):
        if isinstance(x, Tensor):
            x.copy_(_C.as_tensor(copy))
    return out if len(out) > 1 else out[0]


def _written(tensor: Tensor, change: Callable[[Any], Any]) -> None:
    copy = tensor.detach().numpy().copy()
    change(copy)
    tensor.copy_(_C.as_tensor(copy))


def __array_function__(  # noqa: N807
    self: Tensor, function: Any, types: Any, args: Any, kwargs: Any
) -> Any:
    # np.mean(t) and its like work on arrays and give arrays.
    theirs = np.ndarray.__array_function__
    for kind in types:
        if not issubclass(kind, Tensor) and kind.__array_function__ is not theirs:
            return NotImplemented
    return function(*_arrays_in(args), **{k: _arrays_in(v) for k, v in kwargs.items()})


def from_dlpack(ext_tensor: Any, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """A tensor that shares the memory of another library's array through DLPack.

    Parameters
    ----------
    ext_tensor : object with `__dlpack__`, or a DLPack capsule
        A capsule can be taken once.
    device : "cpu", optional
    copy : bool, optional
        True always copies, False refuses to; otherwise only a layout that no tensor can have
        (negative strides) is copied.

    Returns
    -------
    Tensor
        Read-only where the other library says so.

    Raises
    ------
    TypeError, ValueError
        For complex and vector elements, another device, and a capsule that was taken before.
    BufferError
        Where a copy is needed and `copy` is False.

    Examples
    --------
    >>> import numpy as np
    >>> import ranvier as rv
    >>> rv.from_dlpack(np.arange(3))
    tensor([0, 1, 2])
    """
    if device is not None and str(device) not in ("cpu", "cpu:0"):
        raise ValueError(
            f"[from_dlpack] device: expected 'cpu', got {str(device)!r}; leave the argument out"
        )
    return _C.from_dlpack(ext_tensor, copy=copy)
