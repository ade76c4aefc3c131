"""Data that comes with the package, and layers that prepare data for a model.

What is here is small, real, and stated with source and terms. Nothing is downloaded, and nothing is
preprocessed beyond a change of scale.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ranvier.data.digits import load_digits
from ranvier.data.preprocess import Impute, MinMax, OneHot, Preprocessor, Standardize

if TYPE_CHECKING:
    from ranvier.data.table import Table

__all__ = ["Impute", "MinMax", "OneHot", "Preprocessor", "Standardize", "Table", "load_digits"]


def __getattr__(name: str) -> object:
    if name == "Table":
        from ranvier.data.table import Table

        globals()["Table"] = Table
        return Table
    from ranvier._tensorflow import data_advice

    raise AttributeError(f"module 'ranvier.data' has no attribute {name!r}{data_advice(name)}")
