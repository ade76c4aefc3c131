"""PyTorch's questions about CUDA devices; this build answers that there are none.

Seeding, waiting and counting memory do what they do without a device: nothing. What can only be
answered by a device raises.
"""

from __future__ import annotations

from typing import Any, NoReturn

from ranvier._devices import device as _device
from ranvier._devices import no_device as _no_device
from ranvier._random import checked_seed as _checked_seed

__all__ = [
    "is_available", "is_initialized", "is_bf16_supported", "device_count", "init",
    "current_device", "set_device", "device", "get_device_name", "get_device_capability",
    "get_device_properties", "mem_get_info",
    "manual_seed", "manual_seed_all", "seed", "seed_all", "initial_seed",
    "synchronize", "empty_cache", "ipc_collect",
    "memory_allocated", "max_memory_allocated", "memory_reserved", "max_memory_reserved",
    "reset_peak_memory_stats",
]  # fmt: skip


def _refuse(where: str, asked: Any = None) -> NoReturn:
    raise _no_device(f"cuda.{where}", "cuda" if asked is None else _named(asked))


def _named(asked: Any) -> _device:
    return _device("cuda", asked) if isinstance(asked, int) else _device(asked)


def is_available() -> bool:
    """Whether there is a CUDA device: False.

    Examples
    --------
    >>> import ranvier as rv
    >>> "cuda" if rv.cuda.is_available() else "cpu"
    'cpu'
    """
    return False


def is_initialized() -> bool:
    """Whether CUDA has been started: False."""
    return False


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Whether a CUDA device computes in bfloat16: False."""
    return False


def device_count() -> int:
    """How many CUDA devices there are: 0.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.cuda.device_count()
    0
    """
    return 0


def init() -> None:
    """Raises: there is no CUDA device to start."""
    _refuse("init")


def current_device() -> int:
    """Raises: there is no CUDA device to be the current one."""
    _refuse("current_device")


def set_device(device: Any) -> None:
    """Raises: there is no CUDA device to choose."""
    _refuse("set_device", device)


class device:  # noqa: N801
    """`with rv.cuda.device(0):` raises: there is no CUDA device to choose."""

    def __init__(self, device: Any) -> None:
        _refuse("device", device)


def get_device_name(device: Any = None) -> str:
    """Raises: there is no CUDA device that has a name."""
    _refuse("get_device_name", device)


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """Raises: there is no CUDA device to ask."""
    _refuse("get_device_capability", device)


def get_device_properties(device: Any = None) -> Any:
    """Raises: there is no CUDA device to ask."""
    _refuse("get_device_properties", device)


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """Raises: there is no CUDA device whose memory could be counted."""
    _refuse("mem_get_info", device)


def manual_seed(seed: int) -> None:
    """Checks the seed; there is no generator on a CUDA device that it could be given to.

    `ranvier.manual_seed` seeds the CPU's.
    """
    _checked_seed("cuda.manual_seed", seed)


def manual_seed_all(seed: int) -> None:
    """Checks the seed; there is no generator on a CUDA device that it could be given to.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.cuda.manual_seed_all(0)
    """
    _checked_seed("cuda.manual_seed_all", seed)


def seed() -> None:
    """Does nothing: there is no generator on a CUDA device."""


def seed_all() -> None:
    """Does nothing: there is no generator on a CUDA device."""


def initial_seed() -> int:
    """Raises: there is no generator on a CUDA device."""
    _refuse("initial_seed")


def synchronize(device: Any = None) -> None:
    """Does nothing: results are there when a function returns."""


def empty_cache() -> None:
    """Does nothing: no memory of a CUDA device is held."""


def ipc_collect() -> None:
    """Does nothing: no memory of a CUDA device is held."""


def memory_allocated(device: Any = None) -> int:
    """Bytes of CUDA memory in use: 0."""
    return 0


def max_memory_allocated(device: Any = None) -> int:
    """The most bytes of CUDA memory that were in use: 0."""
    return 0


def memory_reserved(device: Any = None) -> int:
    """Bytes of CUDA memory held: 0."""
    return 0


def max_memory_reserved(device: Any = None) -> int:
    """The most bytes of CUDA memory that were held: 0."""
    return 0


def reset_peak_memory_stats(device: Any = None) -> None:
    """Does nothing: no memory of a CUDA device is counted."""
