"""Layers that make one tensor of several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ranvier._C import ShapeError, Tensor, ops
from ranvier.keras.layers.layer import Layer


class Merge(Layer):
    """Base class of layers that take a list of tensors."""

    casts_integers = True
    least = 2

    def build(self, input_shape: Any) -> None:
        """Checks that there are several inputs whose shapes go together."""
        shapes = input_shape
        if not isinstance(shapes, (list, tuple)) or not isinstance(shapes[0], (list, tuple)):
            raise ValueError(
                f"[{type(self).__name__}] {self.name}: expected a list of tensors, got one of "
                f"shape {shapes}"
            )
        if len(shapes) < self.least:
            raise ValueError(
                f"[{type(self).__name__}] {self.name}: expected {self.least} tensors or more, got "
                f"{len(shapes)}"
            )
        self.check_shapes(shapes)

    def check_shapes(self, shapes: Sequence[Sequence[int | None]]) -> None:
        """A ShapeError where they do not broadcast against each other."""
        longest = max(len(shape) for shape in shapes)
        for axis in range(1, longest):
            sizes = {s[-axis] for s in shapes if len(s) > axis and s[-axis] not in (None, 1)}
            if len(sizes) > 1:
                raise ShapeError(
                    f"[{type(self).__name__}] {self.name}: expected tensors of one shape, got "
                    f"{', '.join(str(tuple(s)) for s in shapes)}"
                )

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        """One tensor of several."""
        result = inputs[0]
        for other in inputs[1:]:
            result = self.merge(result, other)
        return result

    def merge(self, first: Tensor, second: Tensor) -> Tensor:
        """One tensor of two."""
        raise TypeError(f"[{type(self).__name__}] expected a method 'merge', got none")


class Add(Merge):
    """The sum of several tensors.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.keras.layers.Add()([rv.ones(2), rv.ones(2)])
    tensor([2., 2.])
    """

    def merge(self, first: Tensor, second: Tensor) -> Tensor:
        """first + second"""
        return first + second


class Subtract(Merge):
    """The first of two tensors less the second."""

    def build(self, input_shape: Any) -> None:
        """Checks that there are two."""
        super().build(input_shape)
        if len(input_shape) != 2:
            raise ValueError(
                f"[Subtract] {self.name}: expected two tensors, got {len(input_shape)}"
            )

    def merge(self, first: Tensor, second: Tensor) -> Tensor:
        """first - second"""
        return first - second


class Multiply(Merge):
    """The product of several tensors, element by element."""

    def merge(self, first: Tensor, second: Tensor) -> Tensor:
        """first * second"""
        return first * second


class Average(Merge):
    """The mean of several tensors, element by element."""

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        """The mean."""
        result = inputs[0]
        for other in inputs[1:]:
            result = result + other
        return result / len(inputs)


class Maximum(Merge):
    """The largest of several tensors, element by element."""

    def merge(self, first: Tensor, second: Tensor) -> Tensor:
        """The larger of two."""
        return ops.maximum(first, second)


class Minimum(Merge):
    """The smallest of several tensors, element by element."""

    def merge(self, first: Tensor, second: Tensor) -> Tensor:
        """The smaller of two."""
        return ops.minimum(first, second)


class Concatenate(Merge):
    """Several tensors one after another along an axis.

    Parameters
    ----------
    axis : int

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.keras.layers.Concatenate()([rv.ones(2, 1), rv.zeros(2, 3)]).shape
    (2, 4)
    """

    least = 1

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def check_shapes(self, shapes: Sequence[Sequence[int | None]]) -> None:
        """A ShapeError unless they differ along the axis only."""
        rank = len(shapes[0])
        axis = self.axis % rank if -rank <= self.axis < rank else self.axis
        rest = [tuple(s for i, s in enumerate(shape) if i != axis) for shape in shapes]
        known = [tuple(1 if s is None else s for s in r[1:]) for r in rest]
        if any(len(s) != rank for s in shapes) or len(set(known)) > 1:
            raise ShapeError(
                f"[Concatenate] {self.name}: expected tensors that differ along axis {self.axis} "
                f"only, got {', '.join(str(tuple(s)) for s in shapes)}"
            )

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        """One tensor of several."""
        return ops.cat(list(inputs), self.axis)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal layer."""
        return {**super().get_config(), "axis": self.axis}


class Dot(Merge):
    """Sums of products of two tensors, along an axis of each, row by row.

    Parameters
    ----------
    axes : int or (int, int)
    normalize : bool
        Whether to divide by the lengths first: cosines.
    """

    def __init__(self, axes: int | Sequence[int], normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axes = (axes, axes) if isinstance(axes, int) else tuple(axes)
        self.normalize = normalize

    def check_shapes(self, shapes: Sequence[Sequence[int | None]]) -> None:
        """A ShapeError unless both axes have the same size."""
        first, second = shapes[0][self.axes[0]], shapes[1][self.axes[1]]
        if len(shapes) != 2 or first != second:
            raise ShapeError(
                f"[Dot] {self.name}: expected two tensors with axes {self.axes} of one size, got "
                f"{', '.join(str(tuple(s)) for s in shapes)}"
            )

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        """(rows, a, n) and (rows, n, b) -> (rows, a, b); two of (rows, n) -> (rows, 1)"""
        first, second = inputs
        if self.normalize:
            first, second = (_unit(t, a) for t, a in zip(inputs, self.axes, strict=True))
        if first.ndim == 2 and second.ndim == 2:
            return (first * second).sum(1, keepdim=True)
        left = first.unsqueeze(1) if first.ndim == 2 else first.movedim(self.axes[0], -1)
        right = second.unsqueeze(2) if second.ndim == 2 else second.movedim(self.axes[1], 1)
        product = left.matmul(right)
        if first.ndim == 2:
            return product.squeeze(1)
        return product.squeeze(2) if second.ndim == 2 else product

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal layer."""
        return {**super().get_config(), "axes": self.axes, "normalize": self.normalize}


def _unit(x: Tensor, axis: int) -> Tensor:
    return x / x.square().sum(axis, keepdim=True).clamp(min=1e-12).sqrt()


def _function(kind: type[Merge]) -> Any:
    def merge(inputs: Any, **kwargs: Any) -> Any:
        return kind(**kwargs)(inputs)

    merge.__name__ = kind.__name__.lower()
    merge.__doc__ = kind.__doc__
    return merge


add, subtract, multiply = _function(Add), _function(Subtract), _function(Multiply)
average, maximum, minimum = _function(Average), _function(Maximum), _function(Minimum)


def concatenate(inputs: Any, axis: int = -1, **kwargs: Any) -> Any:
    """`Concatenate` as a function."""
    return Concatenate(axis=axis, **kwargs)(inputs)


def dot(inputs: Any, axes: int | Sequence[int] = -1, **kwargs: Any) -> Any:
    """`Dot` as a function."""
    return Dot(axes=axes, **kwargs)(inputs)
