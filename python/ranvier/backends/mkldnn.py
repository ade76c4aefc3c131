"""Intel's oneDNN, which is not used: the kernels are Ranvier's own."""

from __future__ import annotations

enabled = False


def is_available() -> bool:
    """Whether oneDNN computes here: False.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.backends.mkldnn.is_available()
    False
    """
    return False
