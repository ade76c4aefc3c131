"""Layers that scale data within a model, so that the model takes the data as they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ranvier._C import ShapeError, Tensor
from ranvier.keras.backend import epsilon, to_tensor
from ranvier.keras.layers.layer import Layer
from ranvier.keras.variables import Variable


class Normalization(Layer):
    """(x - mean) / sqrt(variance), with statistics given or taken from data by `adapt`.

    Parameters
    ----------
    axis : int or sequence of int, or None
        Axes that keep their own statistics; None: one mean and variance for all.
    mean, variance : float or array, optional
        Both or none.
    invert : bool
        Whether to go the other way: x sqrt(variance) + mean.

    Examples
    --------
    >>> from ranvier import keras
    >>> layer = keras.layers.Normalization()
    >>> layer.adapt([[0.0, 1.0], [2.0, 1.0], [4.0, 4.0]])
    >>> layer([[2.0, 2.0]])
    tensor([[0., 0.]])
    """

    casts_integers = True

    def __init__(
        self,
        axis: int | Sequence[int] | None = -1,
        mean: Any = None,
        variance: Any = None,
        invert: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.axis = () if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
        if (mean is None) != (variance is None):
            raise ValueError(
                f"[Normalization] {self.name}: expected both mean and variance or none, got one"
            )
        self.input_mean, self.input_variance, self.invert = mean, variance, invert
        self.adapt_mean: Variable | None = None
        self.adapt_variance: Variable | None = None

    def build(self, input_shape: Any) -> None:
        """Makes room for the statistics, which start as 0 and 1."""
        rank = len(input_shape)
        if any(not -rank <= axis < rank for axis in self.axis):
            raise ValueError(
                f"[Normalization] {self.name}: expected axes of an input of {rank}, got {self.axis}"
            )
        self._kept = sorted(axis % rank for axis in self.axis)
        kept = tuple(input_shape[axis] for axis in self._kept)
        if None in kept:
            raise ShapeError(
                f"[Normalization] {self.name}: expected known sizes along {self.axis}, got "
                f"{tuple(input_shape)}"
            )
        self._spread = [input_shape[a] if a in self._kept else 1 for a in range(rank)]
        if self.input_mean is None:
            self.adapt_mean = self.add_weight(kept, "zeros", name="mean", trainable=False)
            self.adapt_variance = self.add_weight(kept, "ones", name="variance", trainable=False)
            return
        # Seen in that shape, which takes no memory for it.
        self._mean, self._variance = (
            to_tensor(np.array(given), self._dtype).broadcast_to(kept)
            for given in (self.input_mean, self.input_variance)
        )

    def adapt(self, data: Any) -> None:
        """Takes mean and variance from data: an array of all rows, or batches of them.

        Parameters
        ----------
        data : array, or iterable of arrays
        """
        if isinstance(data, (Tensor, np.ndarray)) or (
            isinstance(data, (list, tuple)) and not _holds_arrays(data)
        ):
            batches: Iterable[Any] = [data]
        else:
            batches = data
        count, mean, squares = 0, np.zeros(()), np.zeros(())
        for batch in batches:
            array = np.asarray(batch[0] if isinstance(batch, tuple) else batch, dtype=np.float64)
            if not self.built:
                self.build((None, *array.shape[1:]))
            if self.adapt_mean is None:
                raise ValueError(
                    f"[Normalization] {self.name}: expected a layer without mean and variance of "
                    "its own for adapt, got one that was given both"
                )
            others = tuple(a for a in range(array.ndim) if a not in self._kept)
            new = int(np.prod([array.shape[a] for a in others]))
            # Chan, Golub and LeVeque, 1979: means and sums of squares of parts, put together.
            delta = array.mean(others) - mean
            total = count + new
            squares = squares + array.var(others) * new + delta**2 * count * new / total
            mean = mean + delta * new / total
            count = total
        if count == 0:
            raise ValueError(f"[Normalization] {self.name}: expected at least one row, got none")
        assert self.adapt_mean is not None and self.adapt_variance is not None
        self.adapt_mean.assign(mean)
        self.adapt_variance.assign(squares / count)

    def call(self, inputs: Tensor) -> Tensor:
        """The same shape, scaled."""
        adapted = self.adapt_mean is not None
        mean = self.adapt_mean if adapted else self._mean
        variance = self.adapt_variance if adapted else self._variance
        assert mean is not None and variance is not None
        deviation = variance.sqrt().clamp(min=epsilon()).reshape(*self._spread)
        middle = mean.reshape(*self._spread)
        return middle + inputs * deviation if self.invert else (inputs - middle) / deviation

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal layer."""
        own = {"mean": self.input_mean, "variance": self.input_variance}
        given = {k: None if v is None else np.asarray(v).tolist() for k, v in own.items()}
        axis = self.axis or None
        return {**super().get_config(), "axis": axis, "invert": self.invert, **given}


def _holds_arrays(data: Sequence[Any]) -> bool:
    return bool(data) and isinstance(data[0], (np.ndarray, Tensor))


class Rescaling(Layer):
    """x scale + offset.

    Parameters
    ----------
    scale : float or array
        `1 / 255` brings bytes to 0 to 1.
    offset : float or array
    """

    casts_integers = True

    def __init__(self, scale: Any, offset: Any = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale, self.offset = scale, offset
        self._scale, self._offset = (
            float(value) if np.ndim(value) == 0 else to_tensor(np.asarray(value), self._dtype)
            for value in (scale, offset)
        )

    def call(self, inputs: Tensor) -> Any:
        """The same shape, scaled."""
        return inputs * self._scale + self._offset

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal layer."""
        return {**super().get_config(), "scale": self.scale, "offset": self.offset}
