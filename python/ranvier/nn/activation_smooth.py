"""Smooth activations and those along an axis, as modules. Each holds its settings and calls its op.

Those made of straight pieces are in `activation.py`.
"""

from __future__ import annotations

from ranvier._C import Tensor, ops
from ranvier.nn import _functional_activations as F
from ranvier.nn._functional_activations import checked_approximation
from ranvier.nn.module import Module


class ELU(Module):
    """x where x > 0, else alpha (exp(x) - 1), elementwise.

    Parameters
    ----------
    alpha : float, default 1
    inplace : bool, default False
        Whether the result overwrites the input.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.ELU()(rv.tensor([-1.0, 2.0]))
    tensor([-0.6321,  2.0000])
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha = alpha
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """Any shape; the same shape."""
        return F.elu(input, self.alpha, self.inplace)

    def extra_repr(self) -> str:
        """What stands between the brackets of the layer's line."""
        return f"alpha={self.alpha}{', inplace=True' if self.inplace else ''}"


class CELU(Module):
    """x where x > 0, else alpha (exp(x / alpha) - 1), elementwise.

    Parameters
    ----------
    alpha : float, default 1
        Other than 0.
    inplace : bool, default False
        Whether the result overwrites the input.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.CELU(2.0)(rv.tensor([-2.0, 2.0]))
    tensor([-1.2642,  2.0000])
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha = alpha
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """Any shape; the same shape."""
        return F.celu(input, self.alpha, self.inplace)

    def extra_repr(self) -> str:
        """What stands between the brackets of the layer's line."""
        return f"alpha={self.alpha}{', inplace=True' if self.inplace else ''}"


class SELU(Module):
    """Scaled ELU that keeps mean 0 and variance 1 (Klambauer et al., 2017), elementwise.

    Parameters
    ----------
    inplace : bool, default False
        Whether the result overwrites the input.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.SELU()(rv.tensor([-1.0, 1.0]))
    tensor([-1.1113,  1.0507])
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """Any shape; the same shape."""
        return F.selu(input, self.inplace)

    def extra_repr(self) -> str:
        """What stands between the brackets of the layer's line."""
        return "inplace=True" if self.inplace else ""


class GELU(Module):
    """x times the normal distribution function of x, elementwise.

    Parameters
    ----------
    approximate : "none" or "tanh"
        The exact form with erf, or the one by tanh.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.GELU()(rv.tensor([1.0]))
    tensor([0.8413])
    """

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = checked_approximation("GELU", approximate)

    def forward(self, input: Tensor) -> Tensor:
        """Any shape; the same shape."""
        return F.gelu(input, self.approximate)

    def extra_repr(self) -> str:
        """What stands between the brackets of the layer's line."""
        return f"approximate={self.approximate!r}"


class SiLU(Module):
    """x sigmoid(x), elementwise.

    Parameters
    ----------
    inplace : bool, default False
        Whether the result overwrites the input.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.SiLU()(rv.tensor([1.0]))
    tensor([0.7311])
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """Any shape; the same shape."""
        return F.silu(input, self.inplace)

    def extra_repr(self) -> str:
        """What stands between the brackets of the layer's line."""
        return "inplace=True" if self.inplace else ""


class Mish(Module):
    """x tanh(softplus(x)), elementwise.

    Parameters
    ----------
    inplace : bool, default False
        Whether the result overwrites the input.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.Mish()(rv.tensor([1.0]))
    tensor([0.8651])
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """Any shape; the same shape."""
        return F.mish(input, self.inplace)

    def extra_repr(self) -> str:
        """What stands between the brackets of the layer's line."""
        return "inplace=True" if self.inplace else ""


class Softplus(Module):
    """log(1 + exp(beta x)) / beta, elementwise; x itself where beta x > threshold.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.Softplus()(rv.tensor([0.0, 30.0]))
    tensor([ 0.6931, 30.0000])
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta = beta
        self.threshold = threshold

    def forward(self, input: Tensor) -> Tensor:
        """Any shape; the same shape."""
        return ops.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        """What stands between the brackets of the layer's line."""
        return f"beta={self.beta}, threshold={self.threshold}"


class Softsign(Module):
    """x / (1 + |x|), elementwise.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.Softsign()(rv.tensor([1.0]))
    tensor([0.5000])
    """

    def forward(self, input: Tensor) -> Tensor:
        """Any shape; the same shape."""
        return ops.softsign(input)


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


class Tanhshrink(Module):
    """x - tanh(x), elementwise.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.Tanhshrink()(rv.tensor([1.0]))
    tensor([0.2384])
    """

    def forward(self, input: Tensor) -> Tensor:
        """Any shape; the same shape."""
        return ops.tanhshrink(input)


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


class LogSigmoid(Module):
    """log sigmoid(x), elementwise, without overflow.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.LogSigmoid()(rv.tensor([0.0]))
    tensor([-0.6931])
    """

    def forward(self, input: Tensor) -> Tensor:
        """Any shape; the same shape."""
        return ops.logsigmoid(input)


class Softmax(Module):
    """exp(x) over its sum along `dim`: positive numbers that sum to 1.

    Parameters
    ----------
    dim : int
        The axis. Without one PyTorch's choice is taken: axis 1 of a matrix.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.Softmax(dim=-1)(rv.tensor([1000.0, 1001.0, 1002.0]))
    tensor([0.0900, 0.2447, 0.6652])
    """

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        """Any shape; the same shape."""
        return F.softmax(input, self.dim)

    def extra_repr(self) -> str:
        """What stands between the brackets of the layer's line."""
        return f"dim={self.dim}"


class LogSoftmax(Module):
    """The logarithm of the softmax along `dim`, without its overflow and underflow.

    Parameters
    ----------
    dim : int
        The axis. Without one PyTorch's choice is taken: axis 1 of a matrix.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.LogSoftmax(dim=-1)(rv.tensor([0.0, 0.0]))
    tensor([-0.6931, -0.6931])
    """

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        """Any shape; the same shape."""
        return F.log_softmax(input, self.dim)

    def extra_repr(self) -> str:
        """What stands between the brackets of the layer's line."""
        return f"dim={self.dim}"


class Softmin(Module):
    """The softmax of -x along `dim`.

    Parameters
    ----------
    dim : int
        The axis. Without one PyTorch's choice is taken: axis 1 of a matrix.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.Softmin(dim=-1)(rv.tensor([0.0, 1.0]))
    tensor([0.7311, 0.2689])
    """

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        """Any shape; the same shape."""
        return F.softmin(input, self.dim)

    def extra_repr(self) -> str:
        """What stands between the brackets of the layer's line."""
        return f"dim={self.dim}"


class GLU(Module):
    """a sigmoid(b), where a and b are the halves of the input along `dim`.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.GLU()(rv.tensor([2.0, 4.0, 0.0, 0.0]))
    tensor([1., 2.])
    """

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        """An even size along `dim`; half of it."""
        return ops.glu(input, self.dim)

    def extra_repr(self) -> str:
        """What stands between the brackets of the layer's line."""
        return f"dim={self.dim}"
