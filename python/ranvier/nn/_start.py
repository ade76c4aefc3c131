"""Where a layer's weights come from when it is made: memory and starting values, or neither.

Layers ask `room` for memory and let `begin` draw what they start with. Whoever brings the weights
along, such as a file, makes layers within `without_weights`: their tensors then have a shape and a
dtype, take no memory, and no random number is drawn for them.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from ranvier import _C
from ranvier._C import Tensor


class Starts(Protocol):
    """A layer that can draw its weights anew."""

    def reset_parameters(self) -> None:
        """Gives the weights what they start with."""


class _Mode(threading.local):
    empty = False
    left: int | None = None  # how many numbers weights may have, where no more are to be made


_mode = _Mode()


@contextmanager
def without_weights() -> Iterator[None]:
    """Layers that this thread makes get tensors without memory, to be replaced before use."""
    before, _mode.empty = _mode.empty, True
    try:
        yield
    finally:
        _mode.empty = before


@contextmanager
def weights_up_to(numbers: int) -> Iterator[None]:
    """Variables that this thread makes are zeros, and no more than so many numbers in all."""
    before = _mode.empty, _mode.left
    _mode.empty, _mode.left = False, numbers
    try:
        yield
    finally:
        _mode.empty, _mode.left = before


def blank(where: str, shape: tuple[int, ...], dtype: Any) -> tuple[Tensor, bool] | None:
    """What a variable holds that is not to be drawn, and whether it has no memory; None: draw it.

    Raises
    ------
    ValueError
        If that is more than there may be.
    """
    if _mode.empty:
        hollow = bool(shape) and 0 not in shape
        return (room(shape, dtype) if hollow else _C.zeros(shape, dtype)), hollow
    if _mode.left is None:
        return None
    _mode.left -= math.prod(shape)
    if _mode.left < 0:
        raise ValueError(
            f"{where}: expected no more weights than the file has, got a shape of {shape}"
        )
    return _C.zeros(shape, dtype), False


def room(shape: tuple[int, ...], dtype: Any) -> Tensor:
    """Zeros; within `without_weights` a single one, seen in that shape."""
    if _mode.empty and shape:
        return _C.zeros((1,) * len(shape), dtype).expand(*shape)
    return _C.zeros(shape, dtype)


def begin(layer: Starts) -> None:
    """Gives a new layer what it starts with; within `without_weights` nothing."""
    if not _mode.empty:
        layer.reset_parameters()
