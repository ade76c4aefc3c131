"""Keras' data sets: digits and clothes."""

from __future__ import annotations

from typing import Any

from ranvier.keras.datasets import fashion_mnist, mnist

__all__ = ["fashion_mnist", "mnist"]


def __getattr__(name: str) -> Any:
    from ranvier.keras._missing import refuse

    raise refuse("datasets", name, __all__)
