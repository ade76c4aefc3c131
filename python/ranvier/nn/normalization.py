"""Layers that normalise: BatchNorm1d by the batch, LayerNorm, RMSNorm and GroupNorm by the row."""

from __future__ import annotations

import operator
from typing import Any

from ranvier import _C
from ranvier._C import ShapeError, Tensor, ops
from ranvier._devices import check_device
from ranvier._dtypes import or_default
from ranvier._layouts import shape_from
from ranvier.nn import init
from ranvier.nn._start import begin, room
from ranvier.nn.functional_norm import batch_norm
from ranvier.nn.linear import checked_size
from ranvier.nn.module import Module
from ranvier.nn.parameter import Parameter


class _Affine(Module):
    """A weight that starts at 1 and a bias that starts at 0, each if it is wanted."""

    weight: Parameter | None
    bias: Parameter | None

    def _make(self, shape: tuple[int, ...], weight: bool, bias: bool, dtype: Any) -> None:
        chosen = or_default(dtype)
        self.weight = Parameter(room(shape, chosen)) if weight else None
        self.bias = Parameter(room(shape, chosen)) if bias else None
        begin(self)

    def reset_parameters(self) -> None:
        """Sets the weight to 1 and the bias to 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)


class BatchNorm1d(_Affine):
    """Normalises every channel to mean 0 and variance 1 over the batch, then scales and shifts it.

    In evaluation, or without a batch of its own to look at, running statistics take the place of
    the batch's. Ioffe and Szegedy, "Batch normalization" (2015), algorithms 1 and 2.

    Parameters
    ----------
    num_features : int
        Channels: the size of axis 1.
    eps : float, default 1e-5
        Added to the variance.
    momentum : float or None, default 0.1
        The weight of a batch in the running statistics; None: the mean over all batches so far.
    affine : bool, default True
        Whether there are weight and bias.
    track_running_stats : bool, default True
        False: evaluation normalises by the batch, too.
    device : "cpu", optional
    dtype : dtype, default float32
    bias : bool, default True
        Whether there is a bias, where there is a weight.

    Attributes
    ----------
    weight, bias : Parameter, (num_features,), or None
    running_mean, running_var : Tensor, (num_features,), or None
        Buffers; the variance has divisor n - 1.
    num_batches_tracked : Tensor, int64, or None

    Raises
    ------
    ValueError
        In training, a batch with one value per channel.
    ShapeError
        An input that is not (N, C) or (N, C, L).
    TypeError
        An input of another dtype.

    Examples
    --------
    >>> import ranvier as rv
    >>> layer = rv.nn.BatchNorm1d(1)
    >>> layer(rv.tensor([[1.0], [3.0]])).round(decimals=2)
    tensor([[-1.],
            [ 1.]], grad_fn=<round>)
    >>> layer.running_mean
    tensor([0.2000])
    """

    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        check_device(device, "BatchNorm1d")
        self.num_features = checked_size("BatchNorm1d", "num_features", num_features)
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        shape = shape_from((self.num_features,), "BatchNorm1d")
        chosen = or_default(dtype)
        tracked = track_running_stats
        self.register_buffer("running_mean", room(shape, chosen) if tracked else None)
        self.register_buffer("running_var", room(shape, chosen) if tracked else None)
        self.register_buffer("num_batches_tracked", _C.zeros((), _C.int64) if tracked else None)
        self._make(shape, affine, affine and bias, dtype)

    def reset_running_stats(self) -> None:
        """Sets the running mean to 0, the running variance to 1 and the count to 0."""
        if self.track_running_stats:
            assert self.running_mean is not None and self.running_var is not None
            assert self.num_batches_tracked is not None
            self.running_mean.fill_(0)
            self.running_var.fill_(1)
            self.num_batches_tracked.fill_(0)

    def reset_parameters(self) -> None:
        """Sets weight and bias to 1 and 0, and the running statistics back."""
        self.reset_running_stats()
        super().reset_parameters()

    def forward(self, input: Tensor) -> Tensor:
        """(N, C) or (N, C, L); the same shape."""
        if input.ndim not in (2, 3):
            raise ShapeError(f"[batch_norm] expected input (N, C) or (N, C, L), got {input.shape}")
        stats = self.running_mean, self.running_var
        if self.training and stats[0] is not None:
            count = self.num_batches_tracked
            return ops.batch_norm(
                input, *stats, self.weight, self.bias, count, self.momentum, self.eps
            )
        by_batch = self.training or stats[0] is None
        return batch_norm(input, *stats, self.weight, self.bias, by_batch, self.momentum, self.eps)

    def extra_repr(self) -> str:
        """What stands between the brackets of the layer's line."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.affine}, bias={self.bias is not None}, "
            f"track_running_stats={self.track_running_stats}"
        )


def _row_shape(layer: str, value: Any) -> tuple[int, ...]:
    """The normalised axes: an integer is the last axis."""
    try:
        sizes: tuple[Any, ...] = (operator.index(value),)
    except TypeError:
        sizes = tuple(value) if isinstance(value, (tuple, list)) else ()
    if not sizes:
        raise TypeError(
            f"[{layer}] normalized_shape: expected an integer or a tuple of them, got {value!r:.60}"
        )
    return tuple(checked_size(layer, "normalized_shape", size) for size in sizes)


class LayerNorm(_Affine):
    """Normalises every row to mean 0 and variance 1, then scales and shifts its elements.

    A row's result does not depend on the rest of the batch. Ba, Kiros and Hinton, "Layer
    normalization" (2016), equations 3 and 4.

    Parameters
    ----------
    normalized_shape : int or tuple of int
        The last axes of the input, which make up a row.
    eps : float, default 1e-5
        Added to the variance.
    elementwise_affine : bool, default True
        Whether there are weight and bias.
    bias : bool, default True
        Whether there is a bias, where there is a weight.
    device : "cpu", optional
    dtype : dtype, default float32

    Attributes
    ----------
    weight, bias : Parameter, normalized_shape, or None

    Raises
    ------
    ShapeError
        An input with other last axes.
    TypeError
        An input of another dtype.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.LayerNorm(2)(rv.tensor([[1.0, 3.0]])).round(decimals=2)
    tensor([[-1.,  1.]], grad_fn=<round>)
    """

    def __init__(
        self,
        normalized_shape: Any,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        check_device(device, "LayerNorm")
        self.normalized_shape = _row_shape("LayerNorm", normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self._make(self.normalized_shape, elementwise_affine, elementwise_affine and bias, dtype)

    def forward(self, input: Tensor) -> Tensor:
        """(..., *normalized_shape); the same shape."""
        return ops.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """What stands between the brackets of the layer's line."""
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        )


class RMSNorm(_Affine):
    """Divides every row by the root of the mean of its squares, then scales its elements.

    Zhang and Sennrich, "Root mean square layer normalization" (2019), equation 4.

    Parameters
    ----------
    normalized_shape : int or tuple of int
        The last axes of the input, which make up a row.
    eps : float, optional
        Added to the mean; the smallest step of the dtype if left out.
    elementwise_affine : bool, default True
        Whether there is a weight.
    device : "cpu", optional
    dtype : dtype, default float32

    Attributes
    ----------
    weight : Parameter, normalized_shape, or None

    Raises
    ------
    ShapeError
        An input with other last axes.
    TypeError
        An input of another dtype.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.RMSNorm(2, elementwise_affine=False)(rv.tensor([[3.0, 3.0]]))
    tensor([[1., 1.]])
    """

    def __init__(
        self,
        normalized_shape: Any,
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        check_device(device, "RMSNorm")
        self.normalized_shape = _row_shape("RMSNorm", normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self._make(self.normalized_shape, elementwise_affine, False, dtype)

    def forward(self, input: Tensor) -> Tensor:
        """(..., *normalized_shape); the same shape."""
        return ops.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        """What stands between the brackets of the layer's line."""
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        )


class GroupNorm(_Affine):
    """Normalises every group of channels of each row, then scales and shifts the channels.

    Wu and He, "Group normalization" (2018).

    Parameters
    ----------
    num_groups : int
        A divisor of the channels.
    num_channels : int
        The size of axis 1.
    eps : float, default 1e-5
        Added to the variance.
    affine : bool, default True
        Whether there are weight and bias.
    device : "cpu", optional
    dtype : dtype, default float32
    bias : bool, default True
        Whether there is a bias, where there is a weight.

    Attributes
    ----------
    weight, bias : Parameter, (num_channels,), or None

    Raises
    ------
    ValueError
        Groups that do not divide the channels.
    ShapeError
        An input with another number of channels.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.GroupNorm(2, 6)(rv.rand(4, 6)).shape
    (4, 6)
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        check_device(device, "GroupNorm")
        self.num_groups = checked_size("GroupNorm", "num_groups", num_groups)
        self.num_channels = checked_size("GroupNorm", "num_channels", num_channels)
        if num_channels % num_groups:
            raise ValueError(
                f"[GroupNorm] num_groups: expected a divisor of the {num_channels} channels, got "
                f"{num_groups}"
            )
        self.eps = eps
        self.affine = affine
        self._make((self.num_channels,), affine, affine and bias, dtype)

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, ...); the same shape."""
        return ops.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """What stands between the brackets of the layer's line."""
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )
