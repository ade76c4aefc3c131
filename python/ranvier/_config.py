"""What this installation computes with: threads, instruction sets, version.

Reads and sets the core's settings; decides nothing itself.
"""

from __future__ import annotations

from typing import Any

from ranvier import _C


def set_num_threads(n: int) -> None:
    """How many threads an operation may use. Results do not depend on it.

    Examples
    --------
    >>> import ranvier as rv
    >>> before = rv.get_num_threads()
    >>> rv.set_num_threads(1)
    >>> rv.get_num_threads()
    1
    >>> rv.set_num_threads(before)
    """
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise ValueError(f"[set_num_threads] n: expected an integer of 1 or more, got {n!r}")
    _C.set_num_threads(n)


def get_num_threads() -> int:
    """How many threads an operation may use.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.get_num_threads() >= 1
    True
    """
    return _C.get_num_threads()


def cpu_info() -> dict[str, Any]:
    """The instruction set in use, those that this machine has, and threads.

    Returns
    -------
    dict
        `isa`, `available`, `threads`; `parallel`, what the threads come from, "pool" (Ranvier's
        own, in wheels) or "openmp"; and `same_bits`: a sentence on which instruction sets give the
        same bits.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.cpu_info()["isa"] in rv.cpu_info()["available"]
    True
    """
    return {
        "isa": _C.current_isa(),
        "available": _C.available_isas(),
        "threads": _C.get_num_threads(),
        "parallel": _C.thread_team(),
        "same_bits": "float32 results are the same bits with avx2 and avx512; base x86-64 has no "
        "fused multiply-add and agrees within tolerance only",
    }


def show_config() -> None:
    """Prints version, instruction set and threads.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.show_config()  # doctest: +ELLIPSIS
    ranvier ...
    """
    info = cpu_info()
    print(f"ranvier {_C.version()}")
    print(f"  kernels   {info['isa']} (this machine has {', '.join(info['available'])})")
    print(f"  threads   {info['threads']} ({info['parallel']})")
    print(f"  bits      {info['same_bits']}")
