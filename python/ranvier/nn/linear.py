"""Fully connected layers, and layers that compute nothing: Flatten, Unflatten and Identity."""

from __future__ import annotations

import math
import operator
from typing import Any

from ranvier._C import Tensor, ops
from ranvier._devices import check_device
from ranvier._dtypes import or_default
from ranvier._layouts import shape_from
from ranvier.nn import init
from ranvier.nn._sparse import SparseBatch
from ranvier.nn._start import begin, room
from ranvier.nn.functional_norm import bilinear
from ranvier.nn.module import Module
from ranvier.nn.parameter import Parameter


def checked_size(layer: str, name: str, value: Any) -> int:
    """The value as an integer of 1 or more; an error that names layer and argument otherwise."""
    try:
        size = operator.index(value)
    except TypeError:
        size = None
    if size is None or isinstance(value, bool):
        raise TypeError(f"[{layer}] {name}: expected an integer of 1 or more, got {value!r}")
    if size < 1:
        raise ValueError(f"[{layer}] {name}: expected an integer of 1 or more, got {value!r}")
    return size


class Linear(Module):
    """y = x W^T + b.

    The weight is stored (in_features, out_features), so that rows stream through it; `weight`
    shows it transposed, (out_features, in_features), as PyTorch does.

    Parameters
    ----------
    in_features, out_features : int
        Sizes of the last axis of input and output, 1 or more.
    bias : bool, default True
    device : "cpu", optional
    dtype : dtype, default float32

    Attributes
    ----------
    weight : Parameter, (out_features, in_features)
    bias : Parameter, (out_features,), or None
        Both start uniform in +-1/sqrt(in_features).

    Examples
    --------
    >>> import ranvier as rv
    >>> layer = rv.nn.Linear(3, 2)
    >>> layer(rv.ones(5, 3)).shape
    (5, 2)
    """

    bias: Parameter | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        check_device(device, "Linear")
        self.in_features = checked_size("Linear", "in_features", in_features)
        self.out_features = checked_size("Linear", "out_features", out_features)
        chosen = or_default(dtype)
        storage = room(shape_from((self.in_features, self.out_features), "Linear"), chosen)
        self.weight = Parameter(storage.transpose(0, 1))
        self.bias = Parameter(room((self.out_features,), chosen)) if bias else None
        begin(self)

    def reset_parameters(self) -> None:
        """Draws weight and bias anew from the default generator."""
        bound = 1 / math.sqrt(self.in_features)
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Tensor | SparseBatch) -> Tensor:
        """(..., in_features) -> (..., out_features)"""
        if isinstance(input, SparseBatch):
            return input.linear(self.weight, self.bias)
        return ops.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        """What stands between the brackets of the layer's line."""
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


class Bilinear(Module):
    """y_k = x1 W_k x2^T + b_k: products of every pair of features, weighted.

    Parameters
    ----------
    in1_features, in2_features, out_features : int
        Sizes of the last axes of the inputs and of the output, 1 or more.
    bias : bool, default True
    device : "cpu", optional
    dtype : dtype, default float32

    Attributes
    ----------
    weight : Parameter, (out_features, in1_features, in2_features)
    bias : Parameter, (out_features,), or None
        Both start uniform in +-1/sqrt(in1_features).

    Examples
    --------
    >>> import ranvier as rv
    >>> layer = rv.nn.Bilinear(3, 4, 2)
    >>> layer(rv.ones(5, 3), rv.ones(5, 4)).shape
    (5, 2)
    """

    bias: Parameter | None

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        check_device(device, "Bilinear")
        self.in1_features = checked_size("Bilinear", "in1_features", in1_features)
        self.in2_features = checked_size("Bilinear", "in2_features", in2_features)
        self.out_features = checked_size("Bilinear", "out_features", out_features)
        chosen = or_default(dtype)
        shape = (self.out_features, self.in1_features, self.in2_features)
        self.weight = Parameter(room(shape_from(shape, "Bilinear"), chosen))
        self.bias = Parameter(room((self.out_features,), chosen)) if bias else None
        begin(self)

    def reset_parameters(self) -> None:
        """Draws weight and bias anew from the default generator."""
        bound = 1 / math.sqrt(self.in1_features)
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        """(..., in1_features) and (..., in2_features) -> (..., out_features)"""
        return bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        """What stands between the brackets of the layer's line."""
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
            f"out_features={self.out_features}, bias={self.bias is not None}"
        )


class Flatten(Module):
    """Joins the axes from start_dim to end_dim into one.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.Flatten()(rv.zeros(2, 8, 8)).shape
    (2, 64)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, input: Tensor) -> Tensor:
        """The same elements in another shape."""
        return ops.flatten(input, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        """What stands between the brackets of the layer's line."""
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Cuts one axis into several: the opposite of Flatten.

    Parameters
    ----------
    dim : int
    unflattened_size : tuple of int
        The sizes of the new axes; one of them may be -1.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.Unflatten(1, (8, 8))(rv.zeros(2, 64)).shape
    (2, 8, 8)
    """

    def __init__(self, dim: int, unflattened_size: Any) -> None:
        super().__init__()
        sizes = unflattened_size if isinstance(unflattened_size, (tuple, list)) else None
        if isinstance(dim, bool) or not isinstance(dim, int) or sizes is None:
            raise TypeError(
                "[Unflatten] expected an axis as an integer and sizes as a tuple, got "
                f"{dim!r:.60} and {unflattened_size!r:.60}"
            )
        for i, size in enumerate(sizes):
            if isinstance(size, bool) or not isinstance(size, int):
                raise TypeError(
                    f"[Unflatten] unflattened_size: expected integers, got {size!r:.60} at place "
                    f"{i}"
                )
        self.dim = dim
        self.unflattened_size = tuple(sizes)

    def forward(self, input: Tensor) -> Tensor:
        """The same elements in another shape."""
        return input.unflatten(self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        """What stands between the brackets of the layer's line."""
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


class Identity(Module):
    """Gives its input back; takes any arguments, so that it can stand in for another layer.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.Identity(54)(rv.ones(2))
    tensor([1., 1.])
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        """The input itself."""
        return input
