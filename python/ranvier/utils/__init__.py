"""Helpers by PyTorch's names: `ranvier.utils.data`, `ranvier.utils.dlpack`, and `tensorboard`."""

from __future__ import annotations

import importlib
from typing import Any

from ranvier.utils import data, dlpack

__all__ = ["data", "dlpack", "tensorboard"]


def __getattr__(name: str) -> Any:
    if name == "tensorboard":  # few programs need it
        return importlib.import_module("ranvier.utils.tensorboard")
    raise AttributeError(f"module 'ranvier.utils' has no attribute {name!r}")
