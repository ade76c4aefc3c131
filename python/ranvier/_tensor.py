"""What Tensor can do beside the core's ops: printing, conversions, Python's protocols.

Everything in `METHODS` and `PROPERTIES` is set on the compiled class when this is imported.
Nothing here needs to be fast, and nothing here computes gradients of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier import _C
from ranvier._C import Generator, ShapeError, Tensor
from ranvier._C import dtype as DType
from ranvier._creation import (
    as_dtype,
    as_tensor,
    axes_back,
    check_device,
    empty_like,
    memory_order,
    numpy_dtype,
    shape_from,
)
from ranvier._exchange import __array_function__, __array_ufunc__
from ranvier._grad import no_grad

# --- making -------------------------------------------------------------------------------------

_from_data = Tensor.__init__  # shares the memory of an array or a tensor


def __init__(self: Tensor, *args: Any) -> None:  # noqa: N807
    # PyTorch's constructor: integers are sizes, anything else is data and becomes float32. A
    # tensor keeps its dtype, and shares its memory with the new one.
    data = args[0] if len(args) == 1 else None
    if isinstance(data, Tensor):
        _from_data(self, data)
    elif isinstance(data, (list, tuple, np.ndarray)):
        _from_data(self, as_tensor(data, dtype=_C.float32))
    else:
        _from_data(self, _C.empty(shape_from(args, "Tensor") if args else (0,), _C.float32))


# --- printing -----------------------------------------------------------------------------------

_QUIET = ("float32", "int64", "bool")  # what Python's own numbers become needs no mention


def _numbers(values: NDArray[Any], prefix: str) -> str:
    options: dict[str, Any] = {"separator": ", ", "prefix": prefix, "threshold": 1000}
    if values.dtype.kind == "f":
        finite = values[np.isfinite(values)]
        whole = bool(np.all(finite == np.trunc(finite)))
        options.update(precision=4, floatmode="maxprec" if whole else "fixed")
    return np.array2string(values, **options)


def __repr__(self: Tensor) -> str:  # noqa: N807
    name = "Parameter containing:\ntensor(" if type(self).__name__ == "Parameter" else "tensor("
    try:
        text = _numbers(self.detach().numpy(), "tensor(")
    except RuntimeError:  # while a program is recorded there is nothing to read
        text = f"..., shape={self.shape}"
    if self.numel() == 0 and self.ndim > 1:
        text += f", size={self.shape}"
    if self.dtype.name not in _QUIET:
        text += f", dtype={self.dtype!r}"
    if self.requires_grad:
        text += ", requires_grad=True"
    return f"{name}{text})"


def __format__(self: Tensor, spec: str) -> str:  # noqa: N807
    if self.ndim == 0:
        return format(self.item(), spec)
    if spec:
        raise TypeError(
            f"[format] expected one number for the format {spec!r}, got shape {self.shape}; "
            "use item() on an element"
        )
    return repr(self)


# --- shape --------------------------------------------------------------------------------------


def size(self: Tensor, dim: int | None = None) -> Any:
    """The shape, or its entry for one dimension."""
    if dim is None:
        return self.shape
    if not -self.ndim <= dim < self.ndim:
        raise IndexError(
            f"[size] dim: expected {-self.ndim} <= dim < {self.ndim}, got {dim} "
            f"for shape {self.shape}"
        )
    return self.shape[dim]


def t(self: Tensor) -> Tensor:
    """The transposed view of a matrix; vectors and scalars as they are."""
    if self.ndim > 2:
        raise ShapeError(
            f"[t] expected at most 2 dimensions, got shape {self.shape}; use transpose(dim0, dim1)"
        )
    return self.transpose(0, 1) if self.ndim == 2 else self


def _reversed_axes(self: Tensor) -> Tensor:
    """The view with all dimensions in reverse order."""
    return self.permute(tuple(reversed(range(self.ndim)))) if self.ndim > 1 else self


def _matrix_transpose(self: Tensor) -> Tensor:
    """The view with the last two dimensions exchanged."""
    if self.ndim < 2:
        raise ShapeError(f"[mT] expected 2 or more dimensions, got shape {self.shape}")
    return self.transpose(-2, -1)


def view_as(self: Tensor, other: Tensor) -> Tensor:
    """The same elements in the shape of another tensor."""
    return self.view(other.shape)


def contiguous(self: Tensor) -> Tensor:
    """The tensor itself if its rows lie one after another in memory, else a copy that does."""
    return self if self.is_contiguous() else _C.ops.contiguous(self)


# --- values -------------------------------------------------------------------------------------


def _get_data(self: Tensor) -> Tensor:
    """The same memory without gradient; setting it copies the new values in."""
    return self.detach()


def _set_data(self: Tensor, value: Tensor) -> None:
    if value.shape != self.shape:
        raise ShapeError(f"[data] expected a tensor of shape {self.shape}, got {value.shape}")
    with no_grad():
        self.detach().copy_(value)


def __len__(self: Tensor) -> int:  # noqa: N807
    if self.ndim == 0:
        raise TypeError("[len] expected one dimension or more, got a tensor of shape ()")
    return int(self.shape[0])


def __iter__(self: Tensor) -> Iterator[Tensor]:  # noqa: N807
    return (self[i] for i in range(len(self)))


def __contains__(self: Tensor, value: Any) -> bool:  # noqa: N807
    if not isinstance(value, (Tensor, Real, np.generic, np.ndarray)):
        raise TypeError(
            f"[contains] expected a number or a tensor to look for, got {type(value).__name__}"
        )
    sides = [
        (x.float() if x.dtype is _C.bfloat16 else x).numpy(force=True)
        if isinstance(x, Tensor)
        else x
        for x in (self, value)
    ]
    return bool(np.any(sides[0] == sides[1]))


def __bool__(self: Tensor) -> bool:  # noqa: N807
    if self.numel() != 1:
        raise ShapeError(
            f"[bool] expected one element, got shape {self.shape}: true for some and false for "
            "others has no answer; compare with equal() or allclose()"
        )
    return bool(self.item())


def __float__(self: Tensor) -> float:  # noqa: N807
    return float(self.item())


def __int__(self: Tensor) -> int:  # noqa: N807
    return int(self.item())


def __index__(self: Tensor) -> int:  # noqa: N807
    if self.dtype.is_floating_point or self.numel() != 1:
        raise TypeError(
            f"[index] expected one integer, got {self.dtype.name} of shape {self.shape}"
        )
    return int(self.item())


# --- dtype and device ---------------------------------------------------------------------------


def to(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """The tensor in another dtype: `to(dtype)`, `to("cpu")`, `to("cpu", dtype)`, `to(other)`.

    Gives the tensor itself where nothing changes, unless `copy=True`.
    """
    dtype, copy = target_of(args, kwargs, "to")
    if dtype is None or dtype is self.dtype:
        return self.clone() if copy else self
    return _C.ops.cast(self, dtype)


def target_of(args: Any, kwargs: Any, where: str) -> tuple[DType | None, bool]:
    """What the arguments of `to` ask for: a dtype or None, and whether a copy is wanted."""
    known = {"dtype", "device", "copy", "non_blocking"}
    if extra := set(kwargs) - known:
        raise TypeError(f"[{where}] expected arguments out of {sorted(known)}, got {extra.pop()!r}")
    dtype = kwargs.get("dtype")
    check_device(kwargs.get("device"), where)
    for arg in args:
        if isinstance(arg, Tensor):
            dtype = arg.dtype
        elif isinstance(arg, str) and arg.split(":")[0] in ("cpu", "cuda", "mps", "meta"):
            check_device(arg, where)
        elif arg is not None:
            dtype = arg
    return (None if dtype is None else as_dtype(dtype)), bool(kwargs.get("copy", False))


def _caster(name: str, dtype: DType) -> Callable[[Tensor], Tensor]:
    def cast(self: Tensor) -> Tensor:
        return to(self, dtype)

    cast.__name__ = cast.__qualname__ = name
    cast.__doc__ = f"The tensor as {dtype.name}."
    return cast


def cpu(self: Tensor) -> Tensor:
    """The tensor itself: everything lives on the CPU."""
    return self


def type_as(self: Tensor, other: Tensor) -> Tensor:
    """The tensor in the dtype of another one."""
    return to(self, other.dtype)


def _device(self: Tensor) -> str:
    """Where the tensor lives: "cpu"."""
    return "cpu"


def new_zeros(self: Tensor, *size: Any, dtype: Any = None) -> Tensor:
    """Zeros of the given shape in this tensor's dtype."""
    with no_grad():
        return _C.empty(shape_from(size, "new_zeros"), dtype or self.dtype).fill_(0)


# --- changes in place ---------------------------------------------------------------------------


def zero_(self: Tensor) -> Tensor:
    """Sets all elements to 0."""
    return self.fill_(0)


def detach_(self: Tensor) -> Tensor:
    """Ends gradients here: a leaf stops asking for one."""
    if not self.is_leaf:
        raise RuntimeError("[detach_] expected a leaf, got a result; use detach()")
    self.requires_grad = False
    return self


# --- operators that the registry does not give ---------------------------------------------------


def __pow__(self: Tensor, exponent: float) -> Tensor:  # noqa: N807
    if not isinstance(exponent, (int, float, Real)):
        return NotImplemented
    return self.pow(float(exponent))


# --- copies and pickles --------------------------------------------------------------------------


def __deepcopy__(self: Tensor, memo: dict[int, Any]) -> Tensor:  # noqa: N807
    if id(self) in memo:
        return memo[id(self)]  # type: ignore[no-any-return]
    if not self.is_leaf:
        raise RuntimeError(
            "[deepcopy] expected a leaf, got a result of operations; use detach().clone()"
        )
    grad = self.grad
    with no_grad():
        copy = type(self)(empty_like(self).copy_(self))
        copy.requires_grad = self.requires_grad
        if grad is not None:
            copy.grad = empty_like(grad).copy_(grad)
    memo[id(self)] = copy
    return copy


def __reduce_ex__(self: Tensor, protocol: Any) -> tuple[Any, ...]:  # noqa: N807
    # The bytes in the order of memory, so that a transposed weight comes back as one.
    order = memory_order(self)
    values = self.detach().numpy().transpose(order)
    state = (values.tobytes(), self.dtype.name, values.shape, tuple(order), self.requires_grad)
    return rebuilt, (type(self), *state)


def rebuilt(
    kind: type[Tensor],
    data: bytes,
    dtype: str,
    shape: tuple[int, ...],
    order: tuple[int, ...],
    requires_grad: bool,
) -> Tensor:
    """A tensor from what `__reduce_ex__` gave."""
    values = np.frombuffer(bytearray(data), numpy_dtype(dtype)).reshape(shape)
    with no_grad():
        result = kind(axes_back(_C.copy_of_array(values), order))
    result.requires_grad = requires_grad
    return result


def _reduce_generator(self: Generator) -> tuple[Any, ...]:
    return generator_at, (self.initial_seed(), self.state[1].item())


def generator_at(seed: int, position: int) -> Generator:
    """A generator that has drawn as much as another one had when it was copied or pickled."""
    generator = Generator(seed)
    generator.state.numpy()[1] = position
    return generator


METHODS: dict[str, Any] = {
    **{
        function.__name__: function
        for function in (
            *(__init__, __repr__, __format__, size, t, view_as, contiguous),
            *(__array_ufunc__, __array_function__, __len__, __iter__, __contains__, __bool__),
            *(__float__, __int__, __index__, to, cpu, type_as, new_zeros, zero_, detach_, __pow__),
            *(__deepcopy__, __reduce_ex__),
        )
    },
    **{
        name: _caster(name, dtype)
        for name, dtype in {
            "float": _C.float32,
            "double": _C.float64,
            "long": _C.int64,
            "int": _C.int32,
            "bool": _C.bool_,
        }.items()
    },
}
PROPERTIES: dict[str, property] = {
    "T": property(_reversed_axes),
    "mT": property(_matrix_transpose),
    "data": property(_get_data, _set_data),
    "device": property(_device),
}
# NumPy's subclasses of arrays leave `array * tensor` to Tensor.
CONSTANTS: dict[str, Any] = {"__array_priority__": 1000}

DOC = """Numbers of one dtype in a grid of any shape, with gradients if asked for.

Parameters
----------
*args : Tensor, array or nested list; or integers
    Data become float32, and share memory where they are a float32 array or a tensor, which
    keeps its dtype; integers are the sizes of a tensor whose elements are whatever the memory
    held. `ranvier.tensor` copies, and takes the dtype of its data.

Attributes
----------
shape : tuple of int
dtype : dtype
requires_grad : bool
grad : Tensor or None
    What `backward` added up for a leaf.

Examples
--------
>>> import ranvier as rv
>>> x = rv.tensor([1.0, 2.0], requires_grad=True)
>>> (x * x).sum().backward()
>>> x.grad
tensor([2., 4.])
"""

Tensor.__doc__ = DOC
# Tensors are keys by identity; == compares elements.
Tensor.__hash__ = object.__hash__  # type: ignore[method-assign]
for _name, _value in {**METHODS, **PROPERTIES, **CONSTANTS}.items():
    setattr(Tensor, _name, _value)
Generator.__reduce__ = _reduce_generator  # type: ignore[method-assign,assignment]
