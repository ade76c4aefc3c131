"""PyTorch's switches for the libraries that it computes with. None of them is used here.

Switches can be set and read, so that programs run as they are; they change nothing, because
results are the same bits for the same seed in any case.
"""

from __future__ import annotations

from ranvier.backends import cuda, cudnn, mkldnn, mps

__all__ = ["cuda", "cudnn", "mkldnn", "mps"]
