"""Switches of CUDA's arithmetic, which this build does not use: they are kept, nothing more."""

from __future__ import annotations


class _Matmul:
    """Switches of CUDA's matrix products."""

    allow_tf32 = False
    allow_fp16_reduced_precision_reduction = True
    allow_bf16_reduced_precision_reduction = True


matmul = _Matmul()


def is_built() -> bool:
    """Whether this build can use CUDA: False.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.backends.cuda.matmul.allow_tf32 = True
    >>> rv.backends.cuda.is_built()
    False
    """
    return False
