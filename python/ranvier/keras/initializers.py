"""How weights start: objects that are called with a shape, by Keras' names and formulas.

Kernels are (in, ..., out): fan_in is the product of all axes but the last. The ops of the core
draw; only how wide to draw is worked out here, and NumPy's QR makes orthogonal matrices.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from ranvier import _C
from ranvier._C import Generator, Tensor, ops
from ranvier._random import checked_seed, state_of
from ranvier.keras._names import Configured, Registry
from ranvier.keras._names import serialize as serialize
from ranvier.keras.backend import to_dtype

# The standard deviation of a normal distribution cut off at two standard deviations.
_CUT_STD = 0.87962566103423978


class Initializer(Configured):
    """Base class: `__call__(shape, dtype)` gives a tensor.

    A subclass of one's own needs that method only.

    Examples
    --------
    >>> from ranvier import keras
    >>> keras.initializers.Constant(0.5)((2,))
    tensor([0.5000, 0.5000])
    """

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        """A tensor of that shape."""
        raise TypeError(
            f"[{type(self).__name__}] expected a method '__call__(self, shape, dtype=None)', "
            "got none"
        )

    def clone(self) -> Any:
        """An equal object."""
        return type(self).from_config(self.get_config())


class Zeros(Initializer):
    """All 0."""

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        """A tensor of zeros."""
        return _C.zeros(tuple(shape), to_dtype(dtype))


class Ones(Initializer):
    """All 1."""

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        """A tensor of ones."""
        return _C.full(tuple(shape), 1, to_dtype(dtype))


class Constant(Initializer):
    """All one value, or the values of an array of the shape.

    Parameters
    ----------
    value : float or array
    """

    settings: ClassVar[tuple[str, ...]] = ("value",)

    def __init__(self, value: Any = 0.0) -> None:
        self.value = value

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        """A tensor of that value."""
        if isinstance(self.value, (int, float)):
            return _C.full(tuple(shape), self.value, to_dtype(dtype))
        values = _C.as_tensor(np.asarray(self.value))
        return ops.cast(values, to_dtype(dtype)).broadcast_to(tuple(shape)).contiguous()


class Identity(Initializer):
    """A square matrix with `gain` on its diagonal.

    Parameters
    ----------
    gain : float
    """

    settings: ClassVar[tuple[str, ...]] = ("gain",)

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        """The matrix."""
        if len(shape) != 2:
            raise ValueError(f"[Identity] shape: expected two axes, got {tuple(shape)}")
        return _C.as_tensor(np.eye(shape[0], shape[1]) * self.gain).to(to_dtype(dtype))


class RandomInitializer(Initializer):
    """Base class of initializers that draw.

    Parameters
    ----------
    seed : int, optional
        With a seed, every call gives the same numbers; without, they come from the default
        generator, which `keras.utils.set_random_seed` and `ranvier.manual_seed` set.
    """

    settings: ClassVar[tuple[str, ...]] = ("seed",)

    def __init__(self, seed: int | None = None) -> None:
        self.seed = None if seed is None else checked_seed(type(self).__name__, seed)

    def state(self) -> Tensor:
        """What the drawing ops take first."""
        return state_of(None if self.seed is None else Generator(self.seed))

    def uniform(self, shape: Sequence[int], low: float, high: float, dtype: Any) -> Tensor:
        """Uniform numbers in [low, high)."""
        return ops.uniform(self.state(), tuple(shape), low, high, to_dtype(dtype))

    def normal(self, shape: Sequence[int], mean: float, std: float, dtype: Any) -> Tensor:
        """Normal numbers."""
        return ops.normal(self.state(), tuple(shape), mean, std, to_dtype(dtype))

    def cut_normal(self, shape: Sequence[int], mean: float, std: float, dtype: Any) -> Tensor:
        """Normal numbers not further than two standard deviations from their mean.

        By the inverse of the distribution function, on uniform numbers of its inner part.
        """
        bound = math.erf(math.sqrt(2.0))
        drawn = ops.uniform(self.state(), tuple(shape), -bound, bound, _C.float64)
        return ops.cast(drawn.erfinv() * (math.sqrt(2.0) * std) + mean, to_dtype(dtype))


class RandomNormal(RandomInitializer):
    """Normal numbers.

    Parameters
    ----------
    mean, stddev : float
    seed : int, optional
    """

    settings: ClassVar[tuple[str, ...]] = ("mean", "stddev", "seed")

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.mean, self.stddev = mean, stddev

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        """A tensor of that shape."""
        return self.normal(shape, self.mean, self.stddev, dtype)


class TruncatedNormal(RandomNormal):
    """Normal numbers, none further than two standard deviations from the mean.

    Parameters
    ----------
    mean, stddev : float
        Of the distribution before it is cut.
    seed : int, optional
    """

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        """A tensor of that shape."""
        return self.cut_normal(shape, self.mean, self.stddev, dtype)


class RandomUniform(RandomInitializer):
    """Uniform numbers in [minval, maxval).

    Parameters
    ----------
    minval, maxval : float
    seed : int, optional
    """

    settings: ClassVar[tuple[str, ...]] = ("minval", "maxval", "seed")

    def __init__(
        self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None
    ) -> None:
        super().__init__(seed)
        self.minval, self.maxval = minval, maxval

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        """A tensor of that shape."""
        return self.uniform(shape, self.minval, self.maxval, dtype)


class VarianceScaling(RandomInitializer):
    """Numbers whose variance is scale / fan.

    Parameters
    ----------
    scale : float
    mode : {"fan_in", "fan_out", "fan_avg"}
    distribution : {"truncated_normal", "untruncated_normal", "uniform"}
        "normal" means "truncated_normal".
    seed : int, optional
    """

    settings: ClassVar[tuple[str, ...]] = ("scale", "mode", "distribution", "seed")

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | None = None,
    ) -> None:
        super().__init__(seed)
        where = type(self).__name__
        if not scale > 0:
            raise ValueError(f"[{where}] scale: expected a number above 0, got {scale!r}")
        modes = ("fan_in", "fan_out", "fan_avg")
        if mode not in modes:
            raise ValueError(f"[{where}] mode: expected one of {', '.join(modes)}, got {mode!r}")
        distribution = "truncated_normal" if distribution == "normal" else distribution
        kinds = ("truncated_normal", "untruncated_normal", "uniform")
        if distribution not in kinds:
            raise ValueError(
                f"[{where}] distribution: expected one of {', '.join(kinds)}, got {distribution!r}"
            )
        self.scale, self.mode, self.distribution = scale, mode, distribution

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        """A tensor of that shape."""
        fan_in, fan_out = compute_fans(shape)
        fans = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}
        variance = self.scale / max(1.0, fans[self.mode])
        if self.distribution == "uniform":
            bound = math.sqrt(3.0 * variance)
            return self.uniform(shape, -bound, bound, dtype)
        if self.distribution == "untruncated_normal":
            return self.normal(shape, 0.0, math.sqrt(variance), dtype)
        return self.cut_normal(shape, 0.0, math.sqrt(variance) / _CUT_STD, dtype)


def compute_fans(shape: Sequence[int]) -> tuple[int, int]:
    """How many numbers go into one output, and how many outputs one number goes into."""
    if len(shape) < 2:
        size = shape[0] if shape else 1
        return size, size
    field = math.prod(shape[:-2])
    return shape[-2] * field, shape[-1] * field


class _Scaled(VarianceScaling):
    """A `VarianceScaling` whose settings are in its name."""

    settings: ClassVar[tuple[str, ...]] = ("seed",)
    rule: tuple[float, str, str]

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(*self.rule, seed=seed)


class GlorotUniform(_Scaled):
    """Uniform in +-sqrt(6 / (fan_in + fan_out)). Glorot and Bengio, 2010, equation 16."""

    rule = (1.0, "fan_avg", "uniform")


class GlorotNormal(_Scaled):
    """Truncated normal of variance 2 / (fan_in + fan_out). Glorot and Bengio, 2010."""

    rule = (1.0, "fan_avg", "truncated_normal")


class HeUniform(_Scaled):
    """Uniform in +-sqrt(6 / fan_in). He et al., 2015, equation 10."""

    rule = (2.0, "fan_in", "uniform")


class HeNormal(_Scaled):
    """Truncated normal of variance 2 / fan_in. He et al., 2015, equation 10."""

    rule = (2.0, "fan_in", "truncated_normal")


class LecunUniform(_Scaled):
    """Uniform in +-sqrt(3 / fan_in). LeCun et al., 1998, section 4.6."""

    rule = (1.0, "fan_in", "uniform")


class LecunNormal(_Scaled):
    """Truncated normal of variance 1 / fan_in. LeCun et al., 1998, section 4.6."""

    rule = (1.0, "fan_in", "truncated_normal")


class Orthogonal(RandomInitializer):
    """A matrix whose rows or columns are orthonormal. Saxe et al., 2013.

    Parameters
    ----------
    gain : float
        What it is multiplied with.
    seed : int, optional
    """

    settings: ClassVar[tuple[str, ...]] = ("gain", "seed")

    def __init__(self, gain: float = 1.0, seed: int | None = None) -> None:
        super().__init__(seed)
        self.gain = gain

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        """A tensor of that shape: (..., out) seen as a matrix."""
        if len(shape) < 2:
            raise ValueError(f"[Orthogonal] shape: expected two axes or more, got {tuple(shape)}")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        drawn = self.normal((max(rows, columns), min(rows, columns)), 0.0, 1.0, _C.float64)
        q, r = np.linalg.qr(drawn.numpy())
        q = q * np.sign(np.diag(r))  # makes the distribution uniform over orthogonal matrices
        matrix = q.T if rows < columns else q
        return ops.cast(
            _C.as_tensor(np.ascontiguousarray(self.gain * matrix.reshape(tuple(shape)))),
            to_dtype(dtype),
        )


_REGISTRY: Registry[Any] = Registry(
    "initializer",
    {
        kind.__name__: kind
        for kind in (
            Zeros, Ones, Constant, Identity, RandomNormal, RandomUniform, TruncatedNormal,
            VarianceScaling, GlorotUniform, GlorotNormal, HeUniform, HeNormal, LecunUniform,
            LecunNormal, Orthogonal,
        )
    },
    {
        "normal": "RandomNormal", "uniform": "RandomUniform", "zero": "Zeros", "one": "Ones",
        "OrthogonalInitializer": "Orthogonal", "IdentityInitializer": "Identity",
    },
)  # fmt: skip

OrthogonalInitializer = Orthogonal
IdentityInitializer = Identity


def get(identifier: Any) -> Callable[..., Any]:
    """The initializer that a name, a configuration, a function or an object means.

    Examples
    --------
    >>> from ranvier import keras
    >>> keras.initializers.get("he_normal")
    HeNormal(seed=None)
    """
    if isinstance(identifier, (Tensor, np.ndarray)):
        return Constant(identifier)
    found: Callable[..., Any] = _REGISTRY.get(identifier)
    return found


def deserialize(config: Mapping[str, Any]) -> Any:
    """The initializer of a configuration, as `serialize` gives it."""
    return _REGISTRY.from_config(config)


def __getattr__(name: str) -> Any:
    """The classes under the names that configurations use: `glorot_uniform()`."""
    if name == name.lower() and name in _REGISTRY.entries:
        return _REGISTRY.entries[name]
    from ranvier.keras._missing import refuse

    raise refuse("initializers", name, _REGISTRY.entries)
