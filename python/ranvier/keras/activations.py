"""Activations by Keras' names, formulas and defaults; the ops of the core compute them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ranvier import _C
from ranvier._C import Tensor, ops
from ranvier.keras._names import Registry
from ranvier.keras._names import serialize as serialize
from ranvier.keras.tensors import traceable
from ranvier.nn import functional as F


@traceable
def linear(x: Tensor) -> Tensor:
    """x itself."""
    return x


@traceable
def relu(
    x: Tensor,
    negative_slope: float = 0.0,
    max_value: float | None = None,
    threshold: float = 0.0,
) -> Tensor:
    """x above the threshold, up to `max_value`; negative_slope (x - threshold) below.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.keras.activations.relu(rv.tensor([-1.0, 2.0, 9.0]), max_value=6.0)
    tensor([0., 2., 6.])
    """
    if max_value is None and threshold == 0.0:
        return ops.leaky_relu(x, negative_slope) if negative_slope else ops.relu(x)
    above = ops.where(x > threshold, x, 0.0)
    if max_value is not None:
        above = above.clamp(max=max_value)
    if not negative_slope:
        return above
    return above - ops.relu(threshold - x) * negative_slope


@traceable
def leaky_relu(x: Tensor, negative_slope: float = 0.2) -> Tensor:
    """x above 0, negative_slope x below."""
    return ops.leaky_relu(x, negative_slope)


@traceable
def relu6(x: Tensor) -> Tensor:
    """min(max(x, 0), 6)."""
    return F.relu6(x)


@traceable
def softmax(x: Tensor, axis: int = -1) -> Tensor:
    """exp(x) divided by its sum along an axis."""
    return ops.softmax(x, axis)


@traceable
def log_softmax(x: Tensor, axis: int = -1) -> Tensor:
    """The logarithm of softmax."""
    return ops.log_softmax(x, axis)


@traceable
def elu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """x above 0, alpha (exp(x) - 1) below. Clevert et al., 2015, equation 15."""
    return F.elu(x, alpha)


@traceable
def celu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """x above 0, alpha (exp(x / alpha) - 1) below. Barron, 2017, equation 2."""
    return F.celu(x, alpha)


@traceable
def selu(x: Tensor) -> Tensor:
    """An ELU that keeps mean 0 and variance 1. Klambauer et al., 2017, equation 2."""
    return F.selu(x)


@traceable
def softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x))."""
    return F.softplus(x)


@traceable
def softsign(x: Tensor) -> Tensor:
    """x / (1 + |x|)."""
    return ops.softsign(x)


@traceable
def soft_shrink(x: Tensor, threshold: float = 0.5) -> Tensor:
    """x moved towards 0 by the threshold."""
    return F.softshrink(x, threshold)


@traceable
def hard_shrink(x: Tensor, threshold: float = 0.5) -> Tensor:
    """x where |x| is above the threshold, else 0."""
    return F.hardshrink(x, threshold)


@traceable
def threshold(x: Tensor, threshold: float, default_value: float) -> Tensor:
    """x where it is above the threshold, else the default value."""
    return ops.where(x > threshold, x, float(default_value))


@traceable
def silu(x: Tensor) -> Tensor:
    """x sigmoid(x)."""
    return ops.silu(x)


@traceable
def gelu(x: Tensor, approximate: bool = False) -> Tensor:
    """x times the normal distribution function of x. Hendrycks and Gimpel, 2016, equation 1."""
    return F.gelu(x, "tanh" if approximate else "none")


@traceable
def glu(x: Tensor, axis: int = -1) -> Tensor:
    """The first half along an axis times sigmoid of the second. Dauphin et al., 2016."""
    first, second = x.chunk(2, axis)
    return first * second.sigmoid()


@traceable
def tanh(x: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    return ops.tanh(x)


@traceable
def tanh_shrink(x: Tensor) -> Tensor:
    """x - tanh(x)."""
    return F.tanhshrink(x)


@traceable
def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + exp(-x))."""
    return ops.sigmoid(x)


@traceable
def log_sigmoid(x: Tensor) -> Tensor:
    """The logarithm of sigmoid."""
    return F.logsigmoid(x)


@traceable
def hard_sigmoid(x: Tensor) -> Tensor:
    """min(max(x / 6 + 1/2, 0), 1)."""
    return F.hardsigmoid(x)


@traceable
def sparse_sigmoid(x: Tensor) -> Tensor:
    """min(max((x + 1) / 2, 0), 1)."""
    return ((x + 1.0) * 0.5).clamp(0.0, 1.0)


@traceable
def hard_silu(x: Tensor) -> Tensor:
    """x hard_sigmoid(x)."""
    return F.hardswish(x)


@traceable
def hard_tanh(x: Tensor) -> Tensor:
    """min(max(x, -1), 1)."""
    return x.clamp(-1.0, 1.0)


@traceable
def exponential(x: Tensor) -> Tensor:
    """exp(x)."""
    return ops.exp(x)


@traceable
def mish(x: Tensor) -> Tensor:
    """x tanh(softplus(x)). Misra, 2019, equation 1."""
    return F.mish(x)


@traceable
def squareplus(x: Tensor, b: float = 4) -> Tensor:
    """(x + sqrt(x^2 + b)) / 2. Barron, 2021."""
    return (x + (x.square() + b).sqrt()) * 0.5


@traceable
def sparse_plus(x: Tensor) -> Tensor:
    """0 up to -1, (x + 1)^2 / 4 up to 1, x above. Martins and Astudillo, 2016."""
    middle = (x.clamp(-1.0, 1.0) + 1.0).square() * 0.25
    return middle + ops.relu(x - 1.0)


@traceable
def sparsemax(x: Tensor, axis: int = -1) -> Tensor:
    """The nearest point of the simplex. Martins and Astudillo, 2016, algorithm 1."""
    ordered = x.detach().sort(axis, True)[0]
    shape = [1] * x.ndim
    shape[axis] = x.shape[axis]
    ranks = _C.as_tensor(range(1, x.shape[axis] + 1)).to(x.dtype).reshape(*shape)
    support = ordered - (ordered.cumsum(axis) - 1.0) / ranks > 0
    count = support.sum(axis, keepdim=True)
    # The same sum over the rows that x itself has in the support, for the gradient.
    least = ops.where(support, ordered, float("inf")).amin(axis, keepdim=True)
    inside = ops.where(x >= least, x, 0.0).sum(axis, keepdim=True)
    return ops.relu(x - (inside - 1.0) / count.to(x.dtype))


swish = silu
hard_swish = hard_silu

_REGISTRY: Registry[Callable[..., Any]] = Registry(
    "activation",
    {
        function.__name__: function
        for function in (
            linear, relu, leaky_relu, relu6, softmax, log_softmax, elu, celu, selu, softplus,
            softsign, soft_shrink, hard_shrink, threshold, silu, gelu, glu, tanh, tanh_shrink,
            sigmoid, log_sigmoid, hard_sigmoid, sparse_sigmoid, hard_silu, hard_tanh, exponential,
            mish, squareplus, sparse_plus, sparsemax,
        )
    },
    {"swish": "silu", "hard_swish": "hard_silu"},
)  # fmt: skip


def get(identifier: Any) -> Callable[..., Any]:
    """The activation that a name, a function or a layer means; None is `linear`.

    Examples
    --------
    >>> from ranvier import keras
    >>> keras.activations.get("relu").__name__
    'relu'
    """
    found: Callable[..., Any] = linear if identifier is None else _REGISTRY.get(identifier)
    return found


def deserialize(config: Any) -> Callable[..., Any]:
    """The activation of a name or a configuration."""
    return get(config)
