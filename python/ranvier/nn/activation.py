"""Activations as modules. Each holds its op's settings and calls the op; formulas stand there."""

from __future__ import annotations

from ranvier._C import Tensor, ops
from ranvier.nn.module import Module


class ReLU(Module):
    """max(x, 0), elementwise. `inplace` is accepted and changes nothing.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.ReLU()(rv.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        """Any shape; the same shape."""
        return ops.relu(input)


class LeakyReLU(Module):
    """x where x > 0, else negative_slope x, elementwise.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.LeakyReLU(0.5)(rv.tensor([-2.0, 2.0]))
    tensor([-1.,  2.])
    """

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope = negative_slope

    def forward(self, input: Tensor) -> Tensor:
        """Any shape; the same shape."""
        return ops.leaky_relu(input, self.negative_slope)

    def extra_repr(self) -> str:
        """What stands between the brackets of the layer's line."""
        return f"negative_slope={self.negative_slope}"


class Sigmoid(Module):
    """1 / (1 + exp(-x)), elementwise.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.Sigmoid()(rv.tensor([0.0]))
    tensor([0.5000])
    """

    def forward(self, input: Tensor) -> Tensor:
        """Any shape; the same shape."""
        return ops.sigmoid(input)


class Tanh(Module):
    """tanh(x), elementwise.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.Tanh()(rv.tensor([0.0]))
    tensor([0.])
    """

    def forward(self, input: Tensor) -> Tensor:
        """Any shape; the same shape."""
        return ops.tanh(input)


class GELU(Module):
    """x times the normal distribution function of x, elementwise; the exact form with erf.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.GELU()(rv.tensor([1.0]))
    tensor([0.8413])
    """

    def forward(self, input: Tensor) -> Tensor:
        """Any shape; the same shape."""
        return ops.gelu(input)


class SiLU(Module):
    """x sigmoid(x), elementwise. `inplace` is accepted and changes nothing.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.SiLU()(rv.tensor([1.0]))
    tensor([0.7311])
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        """Any shape; the same shape."""
        return ops.silu(input)


class Step(Module):
    """1 where x > 0, 0 where x < 0, `at_zero` where x is 0: the first neurons' activation.

    Its derivative is 0, so a network cannot learn through it.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.Step()(rv.tensor([-1.0, 0.0, 2.0]))
    tensor([0., 1., 1.])
    """

    def __init__(self, at_zero: float = 1) -> None:
        super().__init__()
        self.at_zero = at_zero

    def forward(self, input: Tensor) -> Tensor:
        """Any shape; the same shape."""
        return ops.step(input, self.at_zero)

    def extra_repr(self) -> str:
        """What stands between the brackets of the layer's line."""
        return f"at_zero={self.at_zero}"


class Softmax(Module):
    """exp(x) over its sum along `dim`: positive numbers that sum to 1.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.Softmax(dim=-1)(rv.tensor([1000.0, 1001.0, 1002.0]))
    tensor([0.0900, 0.2447, 0.6652])
    """

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        """Any shape; the same shape."""
        return ops.softmax(input, self.dim)

    def extra_repr(self) -> str:
        """What stands between the brackets of the layer's line."""
        return f"dim={self.dim}"


class LogSoftmax(Module):
    """The logarithm of the softmax along `dim`, without its overflow and underflow.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.LogSoftmax(dim=-1)(rv.tensor([0.0, 0.0]))
    tensor([-0.6931, -0.6931])
    """

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        """Any shape; the same shape."""
        return ops.log_softmax(input, self.dim)

    def extra_repr(self) -> str:
        """What stands between the brackets of the layer's line."""
        return f"dim={self.dim}"
