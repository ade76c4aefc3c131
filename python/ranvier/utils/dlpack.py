"""PyTorch's older words for exchange through DLPack; new code takes `ranvier.from_dlpack`."""

from __future__ import annotations

from typing import Any

from ranvier._arguments import tensor_in
from ranvier._C import Tensor
from ranvier._exchange import from_dlpack

__all__ = ["from_dlpack", "to_dlpack"]


def to_dlpack(tensor: Tensor) -> Any:
    """A DLPack capsule of a tensor, which another library can take once.

    Parameters
    ----------
    tensor : Tensor
        Without gradient.

    Returns
    -------
    capsule
        Shares the memory.

    Examples
    --------
    >>> import ranvier as rv
    >>> from ranvier.utils.dlpack import from_dlpack, to_dlpack
    >>> from_dlpack(to_dlpack(rv.arange(3)))
    tensor([0, 1, 2])
    """
    return tensor_in("to_dlpack", tensor, "tensor").__dlpack__()
