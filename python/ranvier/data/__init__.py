"""Data that comes with the package, and layers that prepare data for a model.

What is here is small, real, and stated with source and terms. Nothing is downloaded, and nothing is
preprocessed beyond a change of scale.
"""

from __future__ import annotations

from ranvier.data.digits import load_digits
from ranvier.data.preprocess import Impute, MinMax, OneHot, Preprocessor, Standardize

__all__ = ["Impute", "MinMax", "OneHot", "Preprocessor", "Standardize", "load_digits"]


def __getattr__(name: str) -> object:
    from ranvier._tensorflow import data_advice

    raise AttributeError(f"module 'ranvier.data' has no attribute {name!r}{data_advice(name)}")
