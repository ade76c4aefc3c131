"""Switches of NVIDIA's cuDNN, which this build does not use: they are kept and change nothing."""

from __future__ import annotations

enabled = False
deterministic = False
benchmark = False
benchmark_limit = 10
allow_tf32 = False


def is_available() -> bool:
    """Whether cuDNN computes here: False.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.backends.cudnn.deterministic = True
    >>> rv.backends.cudnn.is_available()
    False
    """
    return False


def version() -> None:
    """The version of cuDNN: None."""
    return None
