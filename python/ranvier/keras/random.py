"""Random tensors by Keras' names: `keras.random.normal((2, 3))`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ranvier import _C
from ranvier._C import Generator, Tensor, ops
from ranvier._random import checked_seed, state_of
from ranvier.keras.backend import to_dtype, to_tensor
from ranvier.keras.initializers import TruncatedNormal

__all__ = ["SeedGenerator", "dropout", "normal", "randint", "shuffle", "truncated_normal",
           "uniform"]  # fmt: skip


class SeedGenerator:
    """A generator of one's own, to be given as `seed`.

    Parameters
    ----------
    seed : int, optional
    """

    def __init__(self, seed: int | None = None, name: str | None = None, **kwargs: Any) -> None:
        number = 0 if seed is None else checked_seed("SeedGenerator", seed)
        self.initial_seed, self.name = seed, name
        self.generator = _C.default_generator() if seed is None else Generator(number)


def _state(seed: Any) -> Tensor:
    if isinstance(seed, SeedGenerator):
        return seed.generator.state
    return state_of(None if seed is None else Generator(checked_seed("random", seed)))


def normal(
    shape: Sequence[int], mean: float = 0.0, stddev: float = 1.0, dtype: Any = None,
    seed: Any = None,
) -> Tensor:  # fmt: skip
    """Normal numbers."""
    return ops.normal(_state(seed), tuple(shape), mean, stddev, to_dtype(dtype))


def uniform(
    shape: Sequence[int], minval: float = 0.0, maxval: float = 1.0, dtype: Any = None,
    seed: Any = None,
) -> Tensor:  # fmt: skip
    """Uniform numbers in [minval, maxval)."""
    return ops.uniform(_state(seed), tuple(shape), minval, maxval, to_dtype(dtype))


def randint(
    shape: Sequence[int], minval: int, maxval: int, dtype: Any = "int32", seed: Any = None
) -> Tensor:
    """Whole numbers from minval to maxval - 1."""
    drawn = ops.integers(_state(seed), tuple(shape), minval, maxval, _C.int64)
    return ops.cast(drawn, to_dtype(dtype))


def truncated_normal(
    shape: Sequence[int], mean: float = 0.0, stddev: float = 1.0, dtype: Any = None,
    seed: int | None = None,
) -> Tensor:  # fmt: skip
    """Normal numbers, none further than two standard deviations from the mean."""
    return TruncatedNormal(mean, stddev, seed)(shape, dtype)


def shuffle(x: Any, axis: int = 0, seed: Any = None) -> Tensor:
    """The same numbers, with what lies along an axis in another order."""
    tensor = to_tensor(x)
    return tensor.index_select(axis, ops.permutation(_state(seed), tensor.shape[axis]))


def dropout(inputs: Any, rate: float, noise_shape: Any = None, seed: Any = None) -> Tensor:
    """A share of the input set to 0, the rest divided by what is left over."""
    tensor = to_tensor(inputs)
    shape = tuple(tensor.shape) if noise_shape is None else tuple(noise_shape)
    kept = ops.uniform(_state(seed), shape, 0.0, 1.0, tensor.dtype) >= rate
    return tensor * (ops.cast(kept, tensor.dtype) / (1.0 - rate))
