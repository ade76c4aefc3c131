"""What Tensor can do beside the core's ops: printing, conversions, Python's protocols.

Everything in `METHODS` and `PROPERTIES` is set on the compiled class when this is imported.
Nothing here needs to be fast, and nothing here computes gradients of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np

from ranvier import (
    _C,
    _creation,
    _devices,
    _dtypes,
    _fills,
    _layouts,
    _memory,
    _questions,
    _reductions,
)
from ranvier._arguments import tensor_in
from ranvier._C import Generator, ShapeError, Tensor
from ranvier._C import dtype as DType
from ranvier._constructors import dtype_of_type, made_of, type_name
from ranvier._conversion import array_of, tensor_of
from ranvier._creation import empty_like
from ranvier._devices import CPU, check_device
from ranvier._dtypes import as_dtype
from ranvier._exchange import __array_function__, __array_ufunc__
from ranvier._grad import no_grad
from ranvier._layouts import axes_back, memory_order, order_for
from ranvier._printing import text_of
from ranvier.autograd.gradients import register_hook

# --- making -------------------------------------------------------------------------------------

_from_data = Tensor.__init__  # shares the memory of an array or a tensor


def __init__(self: Tensor, *args: Any, device: Any = None) -> None:  # noqa: N807
    # PyTorch's constructor: integers are sizes, anything else is data and becomes float32. A
    # tensor keeps its dtype, and shares its memory with the new one.
    check_device(device, "Tensor")
    keeps = len(args) == 1 and isinstance(args[0], Tensor)
    _from_data(self, args[0] if keeps else made_of(args, _dtypes.get_default_dtype(), "Tensor"))


# --- printing -----------------------------------------------------------------------------------


def __repr__(self: Tensor) -> str:  # noqa: N807
    return text_of(self)


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


def t(input: Tensor) -> Tensor:
    """The transposed view of a matrix; vectors and scalars as they are."""
    if tensor_in("t", input).ndim > 2:
        raise ShapeError(
            f"[t] expected at most 2 dimensions, got shape {input.shape}; use transpose(dim0, dim1)"
        )
    return input.transpose(0, 1) if input.ndim == 2 else input


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
    return self.view(tensor_in("view_as", other, "other").shape)


def contiguous(self: Tensor, memory_format: Any = None) -> Tensor:
    """The tensor itself if its rows lie one after another in memory, else a copy that does."""
    order = order_for(self.shape, memory_format, "contiguous")
    if is_contiguous(self, memory_format):
        return self
    return axes_back(_C.ops.contiguous(self.permute(order)), order)


def clone(self: Tensor, *, memory_format: Any = None) -> Tensor:
    """A copy with memory of its own, through which gradients pass.

    It has the tensor's own order of axes in memory, or that of a memory format.
    """
    if memory_format is None or memory_format is _layouts.preserve_format:
        return _C.ops.clone(self)
    order = order_for(self.shape, memory_format, "clone")
    return axes_back(_C.ops.contiguous(self.permute(order)), order)


_rows_in_order = Tensor.is_contiguous


def is_contiguous(self: Tensor, memory_format: Any = None) -> bool:
    """Whether the rows lie one after another in memory, or in the order of a memory format."""
    if memory_format is None:
        return _rows_in_order(self)
    if memory_format is _layouts.channels_last and self.ndim != 4:
        return False
    return _rows_in_order(self.permute(order_for(self.shape, memory_format, "is_contiguous")))


def ndimension(self: Tensor) -> int:
    """The number of dimensions."""
    return self.ndim


def nelement(self: Tensor) -> int:
    """The number of elements."""
    return self.numel()


def is_same_size(self: Tensor, other: Tensor) -> bool:
    """Whether another tensor has the same shape."""
    return self.shape == tensor_in("is_same_size", other, "other").shape


# --- values -------------------------------------------------------------------------------------


def _get_data(self: Tensor) -> Tensor:
    """The same memory without gradient; setting it copies the new values in."""
    return self.detach()


def _set_data(self: Tensor, value: Tensor) -> None:
    if tensor_in("data", value, "value").shape != self.shape:
        raise ShapeError(f"[data] expected a tensor of shape {self.shape}, got {value.shape}")
    with no_grad():
        self.detach().copy_(value)


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
            f"[bool] expected one element, got shape {self.shape}, which is ambiguous: true for "
            "some, false for others; use any(), all() or equal()"
        )
    return bool(self.item())


def __float__(self: Tensor) -> float:  # noqa: N807
    return float(self.item())


def __int__(self: Tensor) -> int:  # noqa: N807
    return int(self.item())


def __complex__(self: Tensor) -> complex:  # noqa: N807
    return complex(self.item())


def __index__(self: Tensor) -> int:  # noqa: N807
    if self.dtype.is_floating_point or self.numel() != 1:
        raise TypeError(
            f"[index] expected one integer, got {self.dtype.name} of shape {self.shape}"
        )
    return int(self.item())


# --- dtype and device ---------------------------------------------------------------------------


def to(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """The tensor in another dtype: `to(dtype)`, `to("cpu")`, `to("cpu", dtype)`, `to(other)`.

    Gives the tensor itself where nothing changes, unless `copy=True`. Takes `non_blocking` and
    `memory_format` as well.
    """
    dtype, copy, order = target_of(args, kwargs, "to")
    if dtype is None or dtype is self.dtype:
        result = self.clone() if copy else self
    else:
        result = _C.ops.cast(self, dtype)
    kept = order is None or order is _layouts.preserve_format
    return result if kept else contiguous(result, order)


def _is_dtype(value: Any) -> bool:
    if isinstance(value, str):
        return _dtypes.named(value) is not None
    return isinstance(value, (DType, np.dtype, type))


def target_of(args: Any, kwargs: Any, where: str) -> tuple[DType | None, bool, Any]:
    """What the arguments of `to` ask for: a dtype or None, whether to copy, a memory format."""
    names: tuple[str, ...] = ("device", "dtype", "non_blocking", "copy")
    if args and isinstance(args[0], Tensor):
        names = ("other", *names[2:])
    elif args and _is_dtype(args[0]):
        names = names[1:]
    given = dict(zip(names, args, strict=False))
    known = {*names, "dtype", "device", "other", "memory_format"}
    for name in kwargs:
        if name not in known:
            raise TypeError(f"[{where}] expected arguments out of {sorted(known)}, got {name!r}")
        if name in given:
            raise TypeError(f"[{where}] {name}: expected it once, got it twice")
    if len(args) > len(names):
        raise TypeError(f"[{where}] expected at most {len(names)} arguments, got {len(args)}")
    given.update(kwargs)
    for name in ("non_blocking", "copy"):
        if not isinstance(given.get(name, False), bool):
            raise TypeError(f"[{where}] {name}: expected True or False, got {given[name]!r}")
    check_device(given.get("device"), where)
    dtype = given.get("dtype")
    if "other" in given:
        dtype = given["other"].dtype
    chosen = None if dtype is None else as_dtype(dtype)
    return chosen, given.get("copy", False), given.get("memory_format")


def _caster(name: str, dtype: DType) -> Callable[..., Tensor]:
    def cast(self: Tensor, memory_format: Any = None) -> Tensor:
        if memory_format is not None:
            return to(self, dtype, memory_format=memory_format)
        return self if self.dtype is dtype else _C.ops.cast(self, dtype)

    cast.__name__ = cast.__qualname__ = name
    cast.__doc__ = f"The tensor as {dtype.name}."
    return cast


def _type(self: Tensor, dtype: Any = None, non_blocking: bool = False) -> Any:
    """Without arguments the name of the tensor's type; with a dtype the tensor in it."""
    if dtype is None:
        return type_name(self.dtype)
    return to(self, as_dtype(dtype_of_type(dtype)), non_blocking)


def type_as(self: Tensor, other: Tensor) -> Tensor:
    """The tensor in the dtype of another one."""
    return to(self, tensor_in("type_as", other, "other").dtype)


def cpu(self: Tensor, memory_format: Any = None) -> Tensor:
    """The tensor itself: everything lives on the CPU."""
    return self if memory_format is None else to(self, memory_format=memory_format)


def cuda(
    self: Tensor, device: Any = None, non_blocking: bool = False, memory_format: Any = None
) -> Tensor:
    """Raises: there is no CUDA device in this build."""
    check_device("cuda" if device is None else device, "cuda")
    return self


def pin_memory(self: Tensor, device: Any = None) -> Tensor:
    """The tensor itself: pages need not be pinned, as nothing is copied to another device."""
    return self


def is_pinned(self: Tensor, device: Any = None) -> bool:
    """Whether the memory is pinned for copies to another device: False."""
    return False


def get_device(self: Tensor) -> int:
    """The number of the tensor's CUDA device: -1, as it lives on the CPU."""
    return -1


def _device(self: Tensor) -> _devices.device:
    """Where the tensor lives: the CPU."""
    return CPU


def _layout(self: Tensor) -> _layouts.layout:
    """How the tensor lies in memory: with strides."""
    return _layouts.strided


def _no(self: Tensor) -> bool:
    """False: there are no such tensors in this build."""
    return False


def _yes(self: Tensor) -> bool:
    """True: all tensors of this build are."""
    return True


def is_floating_point(self: Tensor) -> bool:
    """Whether the elements are floating numbers."""
    return self.dtype.is_floating_point


def is_complex(self: Tensor) -> bool:
    """Whether the elements are complex numbers: False."""
    return False


def is_signed(self: Tensor) -> bool:
    """Whether the elements may be negative."""
    return self.dtype.is_signed


def _real(self: Tensor) -> Tensor:
    """The tensor itself: all numbers are real."""
    return self


def _imag(self: Tensor) -> Tensor:
    """Raises: real numbers have no imaginary part here, as in PyTorch."""
    raise RuntimeError(f"[imag] expected complex numbers, got {self.dtype.name}")


def _nbytes(self: Tensor) -> int:
    """The bytes of all elements together."""
    return self.numel() * self.dtype.itemsize


def _itemsize(self: Tensor) -> int:
    """The bytes of one element."""
    return self.dtype.itemsize


# --- changes in place ---------------------------------------------------------------------------


def zero_(self: Tensor) -> Tensor:
    """Sets all elements to 0."""
    return self.fill_(0)


# --- operators that the registry does not give ---------------------------------------------------


def __pos__(self: Tensor) -> Tensor:  # noqa: N807
    return self


def where(self: Tensor, condition: Tensor, other: Tensor | float) -> Tensor:
    """Elements of this tensor where the condition is true, of `other` elsewhere."""
    return _C.ops.where(condition, self, other)


def positive(input: Tensor) -> Tensor:
    """The tensor itself, as `+x`; bools are refused."""
    if tensor_in("positive", input).dtype is _C.bool_:
        raise RuntimeError("[positive] expected numbers, got bool")
    return input


def __round__(self: Tensor, ndigits: int | None = None) -> Tensor:  # noqa: N807
    return self.round(decimals=ndigits or 0)


# --- copies and pickles --------------------------------------------------------------------------


def __copy__(self: Tensor) -> Tensor:  # noqa: N807
    # Another tensor with the same memory.
    copy = type(self)(self.detach())
    copy.requires_grad = self.requires_grad
    return copy


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
    values = array_of(self.detach()).transpose(order)
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
    with no_grad():
        values = np.frombuffer(bytearray(data), "uint16" if dtype == "bfloat16" else dtype)
        result = kind(axes_back(tensor_of(values.reshape(shape), dtype), order))
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
    **_reductions.METHODS,
    **_fills.METHODS,
    **_memory.METHODS,
    **{
        function.__name__: function
        for function in (
            *(__init__, __repr__, __format__, size, t, view_as, contiguous, clone),
            *(positive, is_contiguous, ndimension, nelement, is_same_size, __array_ufunc__),
            *(__array_function__, __contains__, __bool__, __float__, __int__, __complex__),
            *(__index__, to),
            *(type_as, cpu, cuda, pin_memory, is_pinned, get_device, is_floating_point),
            *(
                is_complex,
                is_signed,
                zero_,
                __pos__,
                __round__,
                where,
                __copy__,
                __deepcopy__,
                __reduce_ex__,
            ),
            *(_creation.new_zeros, _creation.new_ones, _creation.new_empty),
            *(_creation.new_full, _creation.new_tensor, _questions.equal, _questions.allclose),
            register_hook,
        )
    },
    "type": _type,
    **{
        name: _caster(name, dtype)
        for name, dtype in {
            "float": _C.float32,
            "double": _C.float64,
            "half": _C.float16,
            "bfloat16": _C.bfloat16,
            "long": _C.int64,
            "int": _C.int32,
            "short": _C.int16,
            "char": _C.int8,
            "byte": _C.uint8,
            "bool": _C.bool_,
        }.items()
    },
}
PROPERTIES: dict[str, property] = {
    "T": property(_reversed_axes),
    "mT": property(_matrix_transpose),
    "H": property(_matrix_transpose),
    "mH": property(_matrix_transpose),
    "data": property(_get_data, _set_data),
    "device": property(_device),
    "layout": property(_layout),
    "is_cpu": property(_yes),
    "is_cuda": property(_no),
    "is_mps": property(_no),
    "is_meta": property(_no),
    "is_sparse": property(_no),
    "is_quantized": property(_no),
    "real": property(_real),
    "imag": property(_imag),
    "nbytes": property(_nbytes),
    "itemsize": property(_itemsize),
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

# What users see when they print a type.
for _class in (Tensor, Generator, DType):
    _class.__module__ = "ranvier"
Tensor.__doc__ = DOC
# Tensors are keys by identity; == compares elements.
Tensor.__hash__ = object.__hash__  # type: ignore[method-assign]
for _name, _value in {**METHODS, **PROPERTIES, **CONSTANTS}.items():
    setattr(Tensor, _name, _value)
Generator.__reduce__ = _reduce_generator  # type: ignore[method-assign,assignment]
setattr(Generator, "device", property(lambda self: CPU))  # noqa: B010
