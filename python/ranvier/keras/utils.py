"""Keras' helpers: one-hot rows, seeds, lengths, names."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier._C import Tensor
from ranvier._random import checked_seed, manual_seed
from ranvier.keras._names import custom_objects, register
from ranvier.keras.backend import clear_session

__all__ = [
    "clear_session", "get_custom_objects", "normalize", "pack_x_y_sample_weight",
    "register_keras_serializable", "set_random_seed", "to_categorical",
    "unpack_x_y_sample_weight",
]  # fmt: skip

register_keras_serializable = register


def get_custom_objects() -> dict[str, Any]:
    """What was registered, by name; to be added to."""
    return custom_objects


def pack_x_y_sample_weight(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """A batch as `train_step` gets it: x, (x, y) or (x, y, sample_weight)."""
    if y is None:
        return (x,) if isinstance(x, (list, tuple)) else x
    return (x, y) if sample_weight is None else (x, y, sample_weight)


def unpack_x_y_sample_weight(data: Any) -> tuple[Any, Any, Any]:
    """x, y and sample_weight of what `train_step` gets; None for what is not there.

    Examples
    --------
    >>> from ranvier import keras
    >>> keras.utils.unpack_x_y_sample_weight(([1], [2]))
    ([1], [2], None)
    """
    from ranvier.keras.training.data import unpack  # which is made of much more

    return unpack(data)


def to_categorical(x: Any, num_classes: int | None = None) -> npt.NDArray[np.float64]:
    """Whole-number labels as rows with a single 1.

    Parameters
    ----------
    x : array of int, (...) or (..., 1)
    num_classes : int, optional
        One more than the largest label, if left out.

    Returns
    -------
    array, (..., num_classes)

    Examples
    --------
    >>> from ranvier import keras
    >>> keras.utils.to_categorical([0, 2])
    array([[1., 0., 0.],
           [0., 0., 1.]])
    """
    array = np.asarray(x.detach() if isinstance(x, Tensor) else x)
    if array.ndim > 1 and array.shape[-1] == 1:
        array = array[..., 0]
    labels = array.astype(np.int64)
    count = int(labels.max()) + 1 if num_classes is None and labels.size else num_classes or 0
    bad = (labels < 0) | (labels >= count)
    if bad.any():
        raise ValueError(
            f"[to_categorical] x: expected labels from 0 to {count - 1}, got {labels[bad][0]}"
        )
    return np.eye(count)[labels]


def set_random_seed(seed: int) -> None:
    """Sets the seeds of Python, NumPy and Ranvier."""
    number = checked_seed("set_random_seed", seed)
    random.seed(number)
    np.random.seed(number % 2**32)
    manual_seed(number)


def normalize(x: Any, axis: int = -1, order: int = 2) -> npt.NDArray[Any]:
    """An array divided by its length along an axis; what is 0 stays.

    Parameters
    ----------
    x : array
    axis : int
    order : int
        2 for Euclid's length.
    """
    array = np.atleast_1d(np.asarray(x))
    lengths = np.atleast_1d(np.linalg.norm(array, order, axis))
    lengths[lengths == 0] = 1
    return np.asarray(array / np.expand_dims(lengths, axis))


_OF_SAVING = (  # and here too, as in Keras
    "CustomObjectScope", "custom_object_scope", "deserialize_keras_object", "get_registered_name",
    "get_registered_object", "serialize_keras_object",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _OF_SAVING:  # which is made of much more
        from ranvier.keras import saving

        return getattr(saving, name)
    from ranvier.keras._missing import refuse

    raise refuse("utils", name, __all__)
