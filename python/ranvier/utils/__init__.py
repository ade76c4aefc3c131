"""Helpers around tensors by PyTorch's names: `ranvier.utils.dlpack`."""

from __future__ import annotations

from ranvier.utils import dlpack

__all__ = ["dlpack"]
