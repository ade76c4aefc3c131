"""PyTorch's questions about an accelerator of any make; this build answers that there is none."""

from __future__ import annotations

from typing import Any, NoReturn

from ranvier._devices import device as _device
from ranvier._devices import no_device as _no_device

__all__ = [
    "is_available", "current_accelerator", "device_count", "current_device_index",
    "set_device_index", "synchronize", "empty_cache",
]  # fmt: skip


def _refuse(where: str, asked: Any) -> NoReturn:
    raise _no_device(f"accelerator.{where}", asked)


def is_available() -> bool:
    """Whether there is an accelerator: False.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.accelerator.is_available()
    False
    """
    return False


def current_accelerator(check_available: bool = False) -> _device | None:
    """The accelerator of this build: None.

    Examples
    --------
    >>> import ranvier as rv
    >>> found = rv.accelerator.current_accelerator()
    >>> found.type if found else "cpu"
    'cpu'
    """
    return None


def device_count() -> int:
    """How many accelerators there are: 0."""
    return 0


def current_device_index() -> int:
    """Raises: there is no accelerator to be the current one."""
    _refuse("current_device_index", "cuda")


def set_device_index(device: Any) -> None:
    """Raises: there is no accelerator to choose."""
    _refuse("set_device_index", device)


def synchronize(device: Any = None) -> None:
    """Does nothing: results are there when a function returns."""


def empty_cache() -> None:
    """Does nothing: no memory of an accelerator is held."""
