"""Checks of arguments that several files of the package share; they compute nothing."""

from __future__ import annotations

from typing import Any

from ranvier._C import Tensor


def tensor_in(where: str, value: Any, name: str = "input") -> Tensor:
    """The argument, if it is a tensor.

    Raises
    ------
    TypeError
        If it is anything else.
    """
    if isinstance(value, Tensor):
        return value
    raise TypeError(f"[{where}] {name}: expected a tensor, got {type(value).__name__}")


def number_in(where: str, value: Any, name: str) -> float:
    """The argument as a float, if it is one number.

    Raises
    ------
    TypeError
        If it is anything else.
    """
    try:
        if not isinstance(value, (str, bytes)):
            return float(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        pass
    raise TypeError(f"[{where}] {name}: expected a number, got {value!r:.60}") from None
