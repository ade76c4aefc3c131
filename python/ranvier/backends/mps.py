"""Apple's Metal, which this build does not use."""

from __future__ import annotations


def is_available() -> bool:
    """Whether Metal computes here: False.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.backends.mps.is_available()
    False
    """
    return False


def is_built() -> bool:
    """Whether this build can use Metal: False."""
    return False
