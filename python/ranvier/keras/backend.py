"""Keras' global settings: the type that layers compute in, the fuzz factor, names made anew."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier import _C
from ranvier._C import Tensor
from ranvier._C import dtype as DType
from ranvier._conversion import as_array as as_array
from ranvier._conversion import as_tensor
from ranvier._dtypes import as_dtype
from ranvier.keras import _names

__all__ = [
    "backend", "clear_session", "epsilon", "floatx", "get_uid", "image_data_format",
    "is_keras_tensor", "set_epsilon", "set_floatx", "set_image_data_format", "standardize_dtype",
]  # fmt: skip

_settings: dict[str, Any] = {"floatx": "float32", "epsilon": 1e-7, "format": "channels_last"}


def backend() -> str:
    """The name of what computes: "ranvier"."""
    return "ranvier"


def floatx() -> str:
    """The type that layers compute in unless they say otherwise: "float32" at first."""
    return str(_settings["floatx"])


def set_floatx(value: str) -> None:
    """Sets the type that new layers compute in: "float32", "float64", "float16", "bfloat16"."""
    known = ("float32", "float64", "float16", "bfloat16")
    if value not in known:
        raise ValueError(f"[set_floatx] expected one of {', '.join(known)}, got {value!r:.60}")
    _settings["floatx"] = value


def epsilon() -> float:
    """The small number that keeps logarithms and divisions finite: 1e-7 at first."""
    return float(_settings["epsilon"])


def set_epsilon(value: float) -> None:
    """Sets what `epsilon()` gives."""
    _settings["epsilon"] = float(value)


def image_data_format() -> str:
    """Where the channels of pictures are: "channels_last"."""
    return str(_settings["format"])


def set_image_data_format(data_format: str) -> None:
    """Accepts "channels_last", the only layout there is."""
    if data_format != "channels_last":
        raise ValueError(
            f"[set_image_data_format] expected 'channels_last', got {data_format!r:.60}"
        )


def clear_session(free_memory: bool = True) -> None:
    """Names of layers begin at their start again: dense, dense_1, ..."""
    _names.forget_names()


def get_uid(prefix: str = "") -> int:
    """A number that counts up for each prefix, from 1."""
    return _names.count_up(f"uid {prefix}") + 1


def is_keras_tensor(x: Any) -> bool:
    """Whether something is a symbolic tensor, as `keras.Input` gives."""
    from ranvier.keras.tensors import KerasTensor

    return isinstance(x, KerasTensor)


def standardize_dtype(dtype: Any) -> str:
    """The name of a type: "float32" for None, `np.float32` or `ranvier.float32`."""
    return floatx() if dtype is None else str(to_dtype(dtype).name)


def to_dtype(value: Any) -> DType:
    """Ranvier's type for a name, for NumPy's, or for None, which means `floatx()`."""
    if isinstance(value, str) and value.startswith("mixed_"):
        raise ValueError(f"[keras] dtype: expected one type such as 'float32', got {value!r}")
    return as_dtype(floatx() if value is None else value)


def to_tensor(value: Any, dtype: DType | None = None) -> Tensor:
    """Numbers as a tensor; of `dtype`, or with floats in `floatx()`.

    Memory is shared where type and layout allow.
    """
    tensor = value if isinstance(value, Tensor) else _from_numbers(value)
    if dtype is None:
        if isinstance(value, Tensor) or not tensor.dtype.is_floating_point:
            return tensor
        dtype = to_dtype(None)
    return tensor if tensor.dtype is dtype else _C.ops.cast(tensor, dtype)


def _from_numbers(value: Any) -> Tensor:
    """A tensor of an array, a list or a number; types that the core lacks become wider ones."""
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise TypeError(
            f"[keras] input: expected numbers, got {type(value).__name__} of {array.dtype}"
        )
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    return as_tensor(array)
