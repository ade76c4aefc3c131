"""Helpers around tensors by PyTorch's names: `ranvier.utils.data`, `ranvier.utils.dlpack`."""

from __future__ import annotations

from ranvier.utils import data, dlpack

__all__ = ["data", "dlpack"]
