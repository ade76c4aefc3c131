"""Functions of tensors by Keras' names, for own layers, losses and metrics: `keras.ops.mean(x, 1)`.

They take tensors, arrays and symbolic tensors. Each is an op of the core, or a few.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ranvier import _C
from ranvier._C import Tensor
from ranvier._C import ops as core
from ranvier.keras.activations import (
    celu,
    elu,
    gelu,
    glu,
    hard_sigmoid,
    hard_silu,
    hard_tanh,
    leaky_relu,
    log_sigmoid,
    log_softmax,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    softmax,
    softplus,
    softsign,
    tanh,
)
from ranvier.keras.backend import to_dtype, to_tensor
from ranvier.keras.losses.functions import (
    binary_elements,
    categorical_crossentropy,
    matched,
    sparse_categorical_crossentropy,
)
from ranvier.keras.tensors import traceable

Axis = int | Sequence[int] | None

_UNARY = (
    "abs", "exp", "expm1", "log", "log1p", "log2", "log10", "sqrt", "rsqrt", "square", "sin",
    "cos", "tan", "sinh", "cosh", "tanh", "arcsin", "arccos", "arctan", "sign", "floor", "ceil",
    "round", "erf", "isnan", "isinf", "isfinite", "logical_not", "reciprocal",
)  # fmt: skip
_BINARY = (
    "add", "subtract", "multiply", "divide", "maximum", "minimum", "floor_divide", "arctan2",
    "equal", "not_equal", "greater", "greater_equal", "less", "less_equal", "logical_and",
    "logical_or", "logical_xor",
)  # fmt: skip


def _floating(x: Tensor) -> Tensor:
    return x if x.dtype.is_floating_point else core.cast(x, to_dtype(None))


def _unary(name: str) -> Callable[..., Any]:
    def function(x: Any) -> Any:
        return getattr(x, name)()

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"`{name}` of every element."
    return traceable(function)


def _binary(name: str) -> Callable[..., Any]:
    method = {"equal": "__eq__", "not_equal": "__ne__", "power": "__pow__"}.get(name, name)

    def function(x1: Any, x2: Any) -> Any:
        first = x1 if isinstance(x1, Tensor) else to_tensor(x1)
        second: Any
        if name in ("maximum", "minimum", "arctan2", "logical_and", "logical_or", "logical_xor"):
            second = x2 if isinstance(x2, Tensor) else to_tensor(x2, first.dtype)
        else:
            second = x2 if isinstance(x2, (Tensor, int, float)) else to_tensor(x2)
        return getattr(first, method)(second)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"`{name}` of two tensors, element by element."
    return traceable(function)


def _reduction(name: str, method: str) -> Callable[..., Any]:
    def function(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
        tensor = to_tensor(x)
        if name in ("mean", "var", "std"):
            tensor = _floating(tensor)
        axes = list(range(tensor.ndim)) if axis is None else axis
        if isinstance(axes, tuple):
            axes = list(axes)
        options = {"correction": 0} if name in ("var", "std") else {}
        if name in ("prod", "any", "all"):
            return _one_by_one(tensor, method, axes, keepdims)
        return getattr(tensor, method)(axes, keepdim=keepdims, **options)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"The {name} along axes; of everything where no axis is given."
    return traceable(function)


def _one_by_one(tensor: Tensor, method: str, axes: Any, keepdims: bool) -> Any:
    wanted = [axes] if isinstance(axes, int) else axes
    for axis in sorted((a % tensor.ndim for a in wanted), reverse=True):
        tensor = getattr(tensor, method)(axis, keepdim=keepdims)
    return tensor


for _name in _UNARY:
    globals()[_name] = _unary(_name)
for _name in _BINARY:
    globals()[_name] = _binary(_name)

# Names of Python's own among them are bound in the table below, out of the way of this file.
mean, var, std = (_reduction(name, name) for name in ("mean", "var", "std"))
prod, logsumexp = (_reduction(name, name) for name in ("prod", "logsumexp"))
for _name, _method in {
    "sum": "sum",
    "max": "amax",
    "min": "amin",
    "any": "any",
    "all": "all",
}.items():
    globals()[_name] = _reduction(_name, _method)


@traceable
def power(x1: Any, x2: Any) -> Any:
    """x1 to the power of x2."""
    return to_tensor(x1) ** x2


@traceable
def matmul(x1: Any, x2: Any) -> Any:
    """The product of matrices; whole numbers become floats where the other is one."""
    first, second = to_tensor(x1), to_tensor(x2)
    if first.dtype is not second.dtype:
        kind = _C.promote_types(first.dtype, second.dtype)
        first, second = core.cast(first, kind), core.cast(second, kind)
    return first.matmul(second)


@traceable
def dot(x1: Any, x2: Any) -> Any:
    """The product of matrices, or of vectors."""
    return to_tensor(x1).matmul(to_tensor(x2))


@traceable
def argmax(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """The place of the largest element."""
    tensor = to_tensor(x)
    return tensor.argmax() if axis is None else tensor.argmax(axis, keepdim=keepdims)


@traceable
def argmin(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """The place of the smallest element."""
    tensor = to_tensor(x)
    return tensor.argmin() if axis is None else tensor.argmin(axis, keepdim=keepdims)


@traceable
def cumsum(x: Any, axis: int = 0) -> Any:
    """Running sums along an axis."""
    return to_tensor(x).cumsum(axis)


@traceable
def clip(x: Any, x_min: Any, x_max: Any) -> Any:
    """Elements kept within two limits."""
    return to_tensor(x).clamp(x_min, x_max)


@traceable
def where(condition: Any, x1: Any, x2: Any) -> Any:
    """x1 where the condition holds, x2 elsewhere."""
    return core.where(to_tensor(condition), x1, x2)


@traceable
def reshape(x: Any, newshape: Sequence[int]) -> Any:
    """The same numbers in another shape."""
    return to_tensor(x).reshape(*newshape)


@traceable
def transpose(x: Any, axes: Sequence[int] | None = None) -> Any:
    """Axes in another order; reversed where none is given."""
    tensor = to_tensor(x)
    return tensor.permute(*(axes if axes is not None else reversed(range(tensor.ndim))))


@traceable
def expand_dims(x: Any, axis: int) -> Any:
    """A new axis of size 1."""
    return to_tensor(x).unsqueeze(axis)


@traceable
def squeeze(x: Any, axis: int | None = None) -> Any:
    """Without axes of size 1."""
    return to_tensor(x).squeeze() if axis is None else to_tensor(x).squeeze(axis)


@traceable
def concatenate(xs: Any, axis: int = 0) -> Any:
    """Several tensors one after another."""
    return core.cat([to_tensor(x) for x in xs], axis)


@traceable
def stack(x: Any, axis: int = 0) -> Any:
    """Several tensors beside each other, along a new axis."""
    return core.stack([to_tensor(part) for part in x], axis)


@traceable
def repeat(x: Any, repeats: int, axis: int) -> Any:
    """Every part along an axis several times."""
    return to_tensor(x).repeat_interleave(repeats, axis)


@traceable
def take(x: Any, indices: Any, axis: int = 0) -> Any:
    """Parts along an axis, by their numbers."""
    return to_tensor(x).index_select(axis, to_tensor(indices, _C.int64))


@traceable
def broadcast_to(x: Any, shape: Sequence[int]) -> Any:
    """Repeated to a shape."""
    return to_tensor(x).broadcast_to(tuple(shape))


@traceable
def cast(x: Any, dtype: Any) -> Any:
    """In another type."""
    return core.cast(to_tensor(x), to_dtype(dtype))


@traceable
def one_hot(x: Any, num_classes: int, axis: int = -1, dtype: Any = None) -> Any:
    """Labels as rows with a single 1."""
    labels = to_tensor(x, _C.int64).unsqueeze(-1)
    hot = core.cast(labels == to_tensor(np.arange(num_classes)), to_dtype(dtype))
    return hot if axis == -1 else hot.movedim(-1, axis)


@traceable
def stop_gradient(x: Any) -> Any:
    """The same numbers, through which no gradient goes."""
    return to_tensor(x).detach()


@traceable
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """The length: the root of the sum of squares."""
    if ord not in (None, 2):
        raise ValueError(f"[ops.norm] ord: expected None or 2, got {ord!r}")
    tensor = to_tensor(x)
    axes = list(range(tensor.ndim)) if axis is None else axis
    return tensor.square().sum(axes, keepdim=keepdims).sqrt()


@traceable
def normalize(x: Any, axis: int = -1, order: int = 2, epsilon: float = 1e-7) -> Any:
    """Divided by its length along an axis."""
    if order != 2:
        raise ValueError(f"[ops.normalize] order: expected 2, got {order!r}")
    tensor = to_tensor(x)
    return tensor / tensor.square().sum(axis, keepdim=True).sqrt().clamp(min=epsilon)


def binary_crossentropy(target: Any, output: Any, from_logits: bool = False) -> Tensor:
    """-(t log p + (1 - t) log(1 - p)) of every element."""
    return binary_elements(*matched("binary_crossentropy", target, output), from_logits)


def convert_to_tensor(x: Any, dtype: Any = None) -> Any:
    """Numbers as a tensor."""
    return to_tensor(x, None if dtype is None else to_dtype(dtype))


def convert_to_numpy(x: Any) -> Any:
    """A tensor as an array."""
    return to_tensor(x).detach().numpy()


def shape(x: Any) -> tuple[int | None, ...]:
    """The sizes of the axes."""
    return tuple(x.shape) if hasattr(x, "shape") else np.shape(x)


def ndim(x: Any) -> int:
    """How many axes there are."""
    return len(shape(x))


def size(x: Any) -> int:
    """How many elements there are."""
    return int(to_tensor(x).numel())


def zeros(shape: Sequence[int], dtype: Any = None) -> Tensor:
    """All 0."""
    return _C.zeros(tuple(shape), to_dtype(dtype))


def ones(shape: Sequence[int], dtype: Any = None) -> Tensor:
    """All 1."""
    return _C.full(tuple(shape), 1, to_dtype(dtype))


def full(shape: Sequence[int], fill_value: Any, dtype: Any = None) -> Tensor:
    """All one value."""
    return _C.full(tuple(shape), fill_value, to_dtype(dtype))


@traceable
def zeros_like(x: Any) -> Any:
    """All 0, in the shape of another."""
    return to_tensor(x) * 0


@traceable
def ones_like(x: Any) -> Any:
    """All 1, in the shape of another."""
    tensor = to_tensor(x)
    return _C.full(tuple(tensor.shape), 1, tensor.dtype)


def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = None) -> Tensor:
    """Numbers one after another."""
    first, last = (0, start) if stop is None else (start, stop)
    made = to_tensor(np.arange(first, last, step))
    return made if dtype is None else core.cast(made, to_dtype(dtype))


def eye(n: int, dtype: Any = None) -> Tensor:
    """A square matrix with 1 on its diagonal."""
    return to_tensor(np.eye(n), to_dtype(dtype))


absolute = globals()["abs"]
pow = power  # Keras' name too

__all__ = [
    *_UNARY, *_BINARY, "sum", "mean", "max", "min", "prod", "var", "std", "any", "all",
    "logsumexp", "absolute", "power", "pow", "matmul", "dot", "argmax", "argmin", "cumsum", "clip",
    "where", "reshape", "transpose", "expand_dims", "squeeze", "concatenate", "stack", "repeat",
    "take", "broadcast_to", "cast", "one_hot", "stop_gradient", "norm", "normalize",
    "convert_to_tensor", "convert_to_numpy", "shape", "ndim", "size", "zeros", "ones", "full",
    "zeros_like", "ones_like", "arange", "eye", "relu", "relu6", "leaky_relu", "elu", "selu",
    "celu", "gelu", "glu", "sigmoid", "hard_sigmoid", "hard_silu", "hard_tanh", "log_sigmoid",
    "silu", "softmax", "log_softmax", "softplus", "softsign", "tanh", "binary_crossentropy",
    "categorical_crossentropy", "sparse_categorical_crossentropy",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    from ranvier.keras._missing import refuse

    raise refuse("ops", name, __all__)
