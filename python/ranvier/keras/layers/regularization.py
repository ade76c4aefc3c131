"""Layers that act in training only, against fitting the rows too closely."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ranvier._C import Generator, Tensor, ops
from ranvier._random import checked_seed, state_of
from ranvier.keras import regularizers
from ranvier.keras.layers.layer import Layer
from ranvier.nn.functional import dropout


def _share(layer: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise ValueError(f"[{layer}] rate: expected a number from 0 to 1, got {value!r:.60}")
    return float(value)


class RandomLayer(Layer):
    """Base class of layers that draw.

    Parameters
    ----------
    seed : int, optional
        Of the layer's own numbers; they come from the default generator if left out.
    """

    casts_integers = True

    def __init__(self, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed
        where = type(self).__name__
        self._generator = None if seed is None else Generator(checked_seed(where, seed))

    def state(self) -> Tensor:
        """What the drawing ops take first; they move it on."""
        return state_of(self._generator)


class Dropout(RandomLayer):
    """In training, sets a share of its input to 0 and divides the rest by what is left over.

    Srivastava et al., 2014; with the scaling in training, as everywhere since.

    Parameters
    ----------
    rate : float
        The share, 0 to 1.
    noise_shape : sequence of int, optional
        A shape with 1 where all elements along an axis share their fate.
    seed : int, optional

    Examples
    --------
    >>> import ranvier as rv
    >>> layer = rv.keras.layers.Dropout(0.5)
    >>> layer(rv.ones(1, 2))
    tensor([[1., 1.]])
    >>> set(layer(rv.ones(1, 100), training=True).unique().tolist()) <= {0.0, 2.0}
    True
    """

    def __init__(
        self,
        rate: float,
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed=seed, **kwargs)
        self.rate = _share("Dropout", rate)
        self.noise_shape = None if noise_shape is None else tuple(noise_shape)

    def call(self, inputs: Tensor, training: bool | None = False) -> Tensor:
        """The input itself unless in training."""
        if not training or self.rate == 0:
            return inputs
        if self.noise_shape is None:
            if self._generator is None:
                return dropout(inputs, self.rate)
            return ops.dropout(self.state(), inputs, self.rate)
        if self.rate == 1:
            return inputs * 0.0
        pairs = zip(self.noise_shape, inputs.shape, strict=True)
        shape = tuple(own if wanted is None else wanted for wanted, own in pairs)
        kept = ops.uniform(self.state(), shape, 0.0, 1.0, inputs.dtype) >= self.rate
        return inputs * (ops.cast(kept, inputs.dtype) * (1.0 / (1.0 - self.rate)))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal layer."""
        own = {"rate": self.rate, "noise_shape": self.noise_shape, "seed": self.seed}
        return {**super().get_config(), **own}


class GaussianNoise(RandomLayer):
    """In training, adds normal numbers.

    Parameters
    ----------
    stddev : float
    seed : int, optional
    """

    def __init__(self, stddev: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed=seed, **kwargs)
        if isinstance(stddev, bool) or not isinstance(stddev, (int, float)) or stddev < 0:
            raise ValueError(
                f"[GaussianNoise] stddev: expected a number of 0 or more, got {stddev!r:.60}"
            )
        self.stddev = stddev

    def call(self, inputs: Tensor, training: bool | None = False) -> Tensor:
        """The input itself unless in training."""
        if not training or self.stddev == 0:
            return inputs
        drawn = ops.normal(self.state(), tuple(inputs.shape), 0.0, self.stddev, inputs.dtype)
        return inputs + drawn

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal layer."""
        return {**super().get_config(), "stddev": self.stddev, "seed": self.seed}


class GaussianDropout(RandomLayer):
    """In training, multiplies with normal numbers of mean 1 and variance rate / (1 - rate).

    Srivastava et al., 2014, section 10.

    Parameters
    ----------
    rate : float
    seed : int, optional
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed=seed, **kwargs)
        self.rate = _share("GaussianDropout", rate)
        if self.rate == 1:
            raise ValueError("[GaussianDropout] rate: expected a number below 1, got 1")

    def call(self, inputs: Tensor, training: bool | None = False) -> Tensor:
        """The input itself unless in training."""
        if not training or self.rate == 0:
            return inputs
        std = math.sqrt(self.rate / (1.0 - self.rate))
        return inputs * ops.normal(self.state(), tuple(inputs.shape), 1.0, std, inputs.dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal layer."""
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


class ActivityRegularization(Layer):
    """Gives its input back, and adds a penalty on it to the loss, averaged over the rows.

    Parameters
    ----------
    l1, l2 : float
    """

    casts_integers = True

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Any) -> None:
        super().__init__(activity_regularizer=regularizers.L1L2(l1=l1, l2=l2), **kwargs)
        self.l1, self.l2 = l1, l2

    def call(self, inputs: Tensor) -> Tensor:
        """The input itself."""
        return inputs

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal layer."""
        return {**super().get_config(), "l1": self.l1, "l2": self.l2}
