"""Shapes, layouts and memory formats: PyTorch's names, and what arguments say about them.

A layout here is always strides; a memory format is an order of the axes in memory.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

from ranvier import _C
from ranvier._C import Tensor
from ranvier._C import dtype as DType

# --- names --------------------------------------------------------------------------------------


class layout:  # noqa: N801
    """How a tensor lies in memory; `strided` is the only one here."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return f"ranvier.{self._name}"

    def __reduce__(self) -> str:
        return self._name


class memory_format:  # noqa: N801
    """The order of a tensor's elements in memory, as an argument of `to`, `contiguous`, `clone`."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return f"ranvier.{self._name}"

    def __reduce__(self) -> str:
        return self._name


strided = layout("strided")
contiguous_format = memory_format("contiguous_format")
preserve_format = memory_format("preserve_format")
channels_last = memory_format("channels_last")


def check_options(where: str, layout: Any = None, pin_memory: Any = False) -> None:
    """Accepts what PyTorch's other arguments of creation may be here, and refuses the rest."""
    if layout is not None and layout is not strided:
        raise RuntimeError(f"[{where}] layout: expected ranvier.strided, got {layout!r}")
    if not isinstance(pin_memory, bool):
        raise TypeError(f"[{where}] pin_memory: expected True or False, got {pin_memory!r}")


# --- shapes and layouts -------------------------------------------------------------------------


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


def order_for(shape: Sequence[int], memory_format: Any, where: str) -> list[int]:
    """The axes in the order that a memory format puts them in."""
    if memory_format is None or memory_format is contiguous_format:
        return list(range(len(shape)))
    if memory_format is not channels_last:
        raise TypeError(
            f"[{where}] memory_format: expected contiguous_format or channels_last, "
            f"got {memory_format!r}"
        )
    if len(shape) != 4:
        raise _C.ShapeError(
            f"[{where}] memory_format: expected 4 dimensions for channels_last, got shape "
            f"{tuple(shape)}"
        )
    return [0, 2, 3, 1]


def empty_in(shape: Sequence[int], dtype: DType, memory_format: Any, where: str) -> Tensor:
    if memory_format is None:
        return _C.empty(shape, dtype)
    order = order_for(shape, memory_format, where)
    return axes_back(_C.empty([shape[axis] for axis in order], dtype), order)
