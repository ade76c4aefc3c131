"""`Metric`: a number that is gathered over batches. One's own defines update_state and result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ranvier import _C
from ranvier._C import Tensor, ops
from ranvier._grad import no_grad
from ranvier.keras import initializers
from ranvier.keras._names import auto_name, name_of, snake
from ranvier.keras.backend import to_dtype, to_tensor
from ranvier.keras.losses.functions import same_rank
from ranvier.keras.variables import Variable


class Metric:
    """Base class of metrics.

    Parameters
    ----------
    dtype : str, optional
    name : str, optional

    Examples
    --------
    >>> from ranvier import keras
    >>> class Largest(keras.metrics.Metric):
    ...     def __init__(self, name="largest", **kwargs):
    ...         super().__init__(name=name, **kwargs)
    ...         self.value = self.add_variable(shape=(), initializer="zeros", name="value")
    ...     def update_state(self, y_true, y_pred, sample_weight=None):
    ...         self.value.assign(keras.ops.maximum(self.value, keras.ops.max(y_pred)))
    ...     def result(self):
    ...         return self.value
    >>> metric = Largest()
    >>> metric.update_state([0.0, 0.0], [3.0, 2.0])
    >>> float(metric.result())
    3.0
    """

    def __init__(self, dtype: Any = None, name: str | None = None) -> None:
        self.name = name or auto_name(snake(type(self).__name__))
        self._dtype = to_dtype(dtype)
        self._variables: list[Variable] = []

    @property
    def dtype(self) -> str:
        """The name of the type that it counts in."""
        return str(self._dtype.name)

    @property
    def variables(self) -> list[Variable]:
        """What was made by `add_variable`."""
        return list(self._variables)

    def add_variable(
        self,
        shape: Any = (),
        initializer: Any = "zeros",
        dtype: Any = None,
        aggregation: str = "sum",
        name: str | None = None,
    ) -> Variable:
        """Makes a number, or an array, that `reset_state` sets back to 0."""
        if isinstance(shape, str):  # the name came first once
            shape, name = (), shape
        extents = (shape,) if isinstance(shape, int) else tuple(shape)
        made = Variable(
            initializers.get(initializer),
            extents,
            self._dtype if dtype is None else dtype,
            trainable=False,
            name=name,
        )
        self._variables.append(made)
        return made

    add_weight = add_variable

    def update_state(self, *args: Any, **kwargs: Any) -> Any:
        """Takes a batch in: y_true, y_pred, sample_weight=None."""
        raise TypeError(f"[{type(self).__name__}] expected a method 'update_state', got none")

    def result(self) -> Any:
        """What was gathered since the last `reset_state`."""
        raise TypeError(f"[{type(self).__name__}] expected a method 'result', got none")

    def reset_state(self) -> None:
        """Forgets everything."""
        for variable in self._variables:
            variable.assign(np.zeros(tuple(variable.shape)))

    def state_dict(self) -> dict[str, Any]:
        """What was gathered, for a checkpoint: variables, and numbers and arrays in attributes."""
        kept = {name: value for name, value in vars(self).items() if _counts(value)}
        return {"variables": [v.detach() for v in self._variables], "attributes": kept}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state_dict` gave."""
        for variable, value in zip(self._variables, state["variables"], strict=True):
            variable.assign(value)
        for name, value in state["attributes"].items():
            setattr(self, name, _as_array(value))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Takes a batch in, and gives what was gathered so far."""
        with no_grad():
            self.update_state(*args, **kwargs)
            return self.result()

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal metric."""
        return {"name": self.name, "dtype": self.dtype}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:
        """A metric from what `get_config` gave."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"


def _counts(value: Any) -> bool:
    """Whether an attribute may hold what was gathered."""
    if isinstance(value, list):
        return all(isinstance(part, np.ndarray) for part in value)
    return isinstance(value, (int, float, np.ndarray)) and not isinstance(value, bool)


def _as_array(value: Any) -> Any:
    """What a checkpoint has made a tensor of."""
    if isinstance(value, list):
        return [_as_array(part) for part in value]
    return value.numpy().copy() if isinstance(value, Tensor) else value


def number(value: float) -> Tensor:
    """A number as a tensor without axes."""
    return _C.full((), value, _C.float32)


def total_of(values: Tensor, sample_weight: Any) -> tuple[float, float]:
    """The weighted sum of values, and what their weights add up to."""
    if sample_weight is None:
        count = values.numel()
        return float(values.sum().item()) if count else 0.0, float(count)
    weight = to_tensor(sample_weight, values.dtype)
    values, weight = same_rank(values, weight)
    if weight.ndim < values.ndim:
        # Weights of rows for values of positions: the mean of each row counts.
        axes = list(range(weight.ndim, values.ndim))
        values = values.mean(axes)
    weight = weight.broadcast_to(tuple(values.shape))
    return float((values * weight).sum().item()), float(weight.sum().item())


class Averaged(Metric):
    """Base class of metrics that are a weighted mean of something.

    Attributes
    ----------
    total, count : float
        The weighted sum so far, and what the weights add up to.
    """

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.total = self.count = 0.0

    def take(self, values: Tensor, sample_weight: Any) -> None:
        """Takes values in."""
        if not values.dtype.is_floating_point:
            values = ops.cast(values, self._dtype)
        total, count = total_of(values.detach(), sample_weight)
        self.total += total
        self.count += count

    def value(self) -> float:
        """The mean as a number of Python's; 0 of nothing."""
        return self.total / self.count if self.count else 0.0

    def result(self) -> Any:
        """The mean."""
        return number(self.value())

    def reset_state(self) -> None:
        """Forgets everything."""
        self.total = self.count = 0.0


class Mean(Averaged):
    """The weighted mean of all values that were taken in.

    Examples
    --------
    >>> from ranvier import keras
    >>> mean = keras.metrics.Mean()
    >>> mean.update_state([1.0, 3.0])
    >>> float(mean.result())
    2.0
    """

    def __init__(self, name: str | None = "mean", dtype: Any = None) -> None:
        super().__init__(name, dtype)

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Takes values in."""
        self.take(to_tensor(values, self._dtype), sample_weight)


class Sum(Metric):
    """The weighted sum of all values that were taken in."""

    def __init__(self, name: str | None = "sum", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.total = 0.0

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Takes values in."""
        values = to_tensor(values, self._dtype).detach()
        self.total += total_of(values, sample_weight)[0]

    def result(self) -> Any:
        """The sum."""
        return number(self.total)

    def reset_state(self) -> None:
        """Forgets everything."""
        self.total = 0.0


class FunctionMetric(Averaged):
    """The mean of what a function of (y_true, y_pred) gives.

    Parameters
    ----------
    fn : callable
    name, dtype : optional
    **settings
        Keyword arguments for the function.
    """

    def __init__(
        self, fn: Callable[..., Any], name: str | None = None, dtype: Any = None, **settings: Any
    ) -> None:
        super().__init__(name or name_of(fn), dtype)
        self.function, self.options = fn, settings

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Takes a batch in."""
        values = self.function(to_tensor(y_true), to_tensor(y_pred), **self.options)
        if values is None:
            raise TypeError(
                f"[metrics] {self.name}: expected a function of y_true and y_pred that returns "
                "numbers, got None; end it with `return`"
            )
        self.take(values if isinstance(values, Tensor) else to_tensor(values), sample_weight)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal metric."""
        return {**super().get_config(), **self.options}


MeanMetricWrapper = FunctionMetric
