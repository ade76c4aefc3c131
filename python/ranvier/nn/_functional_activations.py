"""Activations as functions: what PyTorch's take beside the ops of the core, `inplace` and `dim`.

Refuses arithmetic: each function is one op, and formulas stand in the op's own help.
"""

from __future__ import annotations

import warnings
from typing import Any

from ranvier._arguments import number_in, tensor_in
from ranvier._C import Generator, Tensor, ops
from ranvier._random import state_of


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(x, 0), elementwise.

    Parameters
    ----------
    input : Tensor, any shape and dtype
    inplace : bool, default False
        Whether the result overwrites the input.

    Returns
    -------
    Tensor of the same shape and dtype

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.functional.relu(rv.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    return ops.relu_(input) if inplace else ops.relu(input)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """min(max(x, 0), 6), elementwise; `inplace` overwrites the input.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.functional.relu6(rv.tensor([-1.0, 2.0, 8.0]))
    tensor([0., 2., 6.])
    """
    return ops.relu6_(input) if inplace else ops.relu6(input)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x where x > 0, else negative_slope x; `inplace` overwrites the input.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.functional.leaky_relu(rv.tensor([-2.0, 2.0]), 0.5)
    tensor([-1.,  2.])
    """
    f = ops.leaky_relu_ if inplace else ops.leaky_relu
    return f(input, negative_slope)


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """x where x > 0, else weight x, with a weight that is learnt (He et al., 2015, eq. 1).

    Parameters
    ----------
    input : Tensor, (N, C, ...) or any shape for a single weight
    weight : Tensor, (1,), () or (C,)
        One slope for all, or one for each channel, which is axis 1.

    Raises
    ------
    ShapeError
        A weight that is neither.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.functional.prelu(rv.tensor([[-2.0, -2.0]]), rv.tensor([0.5, 0.25]))
    tensor([[-1.0000, -0.5000]])
    """
    return ops.prelu(input, weight)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where x > 0, else alpha (exp(x) - 1); `inplace` overwrites the input.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.functional.elu(rv.tensor([-1.0, 2.0]))
    tensor([-0.6321,  2.0000])
    """
    return ops.elu_(input, alpha) if inplace else ops.elu(input, alpha)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where x > 0, else alpha (exp(x / alpha) - 1); `inplace` overwrites the input.

    Raises
    ------
    ValueError
        alpha = 0.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.functional.celu(rv.tensor([-2.0, 2.0]), alpha=2.0)
    tensor([-1.2642,  2.0000])
    """
    if alpha == 0:
        raise ValueError("[celu] alpha: expected a number other than 0, got 0")
    return ops.celu_(input, alpha) if inplace else ops.celu(input, alpha)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """Scaled ELU that keeps mean 0 and variance 1; `inplace` overwrites the input.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.functional.selu(rv.tensor([-1.0, 1.0]))
    tensor([-1.1113,  1.0507])
    """
    return ops.selu_(input) if inplace else ops.selu(input)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """x sigmoid(x); `inplace` overwrites the input.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.functional.silu(rv.tensor([1.0]))
    tensor([0.7311])
    """
    return ops.silu_(input) if inplace else ops.silu(input)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """x tanh(softplus(x)); `inplace` overwrites the input.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.functional.mish(rv.tensor([1.0]))
    tensor([0.8651])
    """
    return ops.mish_(input) if inplace else ops.mish(input)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """x times the normal distribution function of x.

    Parameters
    ----------
    input : Tensor, any shape
    approximate : "none" or "tanh"
        The exact form, or Hendrycks and Gimpel's by tanh (2016, eq. 2).

    Raises
    ------
    ValueError
        Another form.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.functional.gelu(rv.tensor([1.0]))
    tensor([0.8413])
    >>> rv.nn.functional.gelu(rv.tensor([1.0]), approximate="tanh")
    tensor([0.8412])
    """
    if approximate == "none":
        return ops.gelu(input)
    checked_approximation("gelu", approximate)
    return ops.gelu_tanh(input)


def checked_approximation(where: str, approximate: str) -> str:
    """'none' or 'tanh'; a ValueError otherwise."""
    if approximate not in ("none", "tanh"):
        raise ValueError(f"[{where}] approximate: expected 'none' or 'tanh', got {approximate!r}")
    return approximate


def hardtanh(
    input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Tensor:
    """min(max(x, min_val), max_val); `inplace` overwrites the input.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.functional.hardtanh(rv.tensor([-3.0, 0.5, 3.0]))
    tensor([-1.0000,  0.5000,  1.0000])
    """
    f = ops.hardtanh_ if inplace else ops.hardtanh
    return f(input, min_val, max_val)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """min(max(x + 3, 0), 6) / 6; `inplace` overwrites the input.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.functional.hardsigmoid(rv.tensor([-4.0, 0.0, 4.0]))
    tensor([0.0000, 0.5000, 1.0000])
    """
    return ops.hardsigmoid_(input) if inplace else ops.hardsigmoid(input)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """x times its hard sigmoid; `inplace` overwrites the input.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.functional.hardswish(rv.tensor([-4.0, 1.5, 4.0]))
    tensor([0.0000, 1.1250, 4.0000])
    """
    return ops.hardswish_(input) if inplace else ops.hardswish(input)


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """x where x > threshold, else value; `inplace` overwrites the input.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.functional.threshold(rv.tensor([0.0, 0.2]), 0.1, -1.0)
    tensor([-1.0000,  0.2000])
    """
    f = ops.threshold_ if inplace else ops.threshold
    return f(input, threshold, value)


def rrelu(
    input: Tensor,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Leaky ReLU whose slope is drawn anew for every element (Xu et al., 2015).

    Parameters
    ----------
    input : Tensor, any shape
    lower, upper : float
        Slopes are uniform between them in training; else all are their mean.
    training : bool, default False
    inplace : bool, default False
        Whether the result overwrites the input.
    generator : Generator, optional
        What slopes are drawn from.

    Raises
    ------
    ValueError
        lower above upper.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.functional.rrelu(rv.tensor([-2.0, 2.0]), 0.25, 0.75)
    tensor([-1.,  2.])
    """
    lower, upper = number_in("rrelu", lower, "lower"), number_in("rrelu", upper, "upper")
    if lower > upper:
        raise ValueError(f"[rrelu] upper: expected {lower} (lower) or more, got {upper}")
    if not training:
        return leaky_relu(input, (lower + upper) / 2, inplace)
    slopes = ops.uniform(state_of(generator), input.shape, lower, upper, input.dtype)
    return ops.rectify_(input, slopes) if inplace else ops.rectify(input, slopes)


def step(input: Tensor, at_zero: float = 1.0, straight_through: bool = False) -> Tensor:
    """1 where x > 0, 0 where x < 0, `at_zero` where x is 0.

    Parameters
    ----------
    input : Tensor, any shape
    at_zero : float, default 1
    straight_through : bool, default False
        Whether backward passes the gradient on as if nothing had been done, so that layers in
        front of the step can learn (Bengio, Leonard and Courville, 2013, section 2.3). Else it
        is 0.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.functional.step(rv.tensor([-1.0, 0.0, 2.0]))
    tensor([0., 1., 1.])
    """
    f = ops.step_straight_through if straight_through else ops.step
    return f(input, at_zero)


# ---- along an axis


def _axis(where: str, input: Tensor, dim: int | None) -> int:
    """The axis that PyTorch takes where none is given: 0 for 0, 1 and 3 axes, else 1."""
    if dim is not None:
        return dim
    chosen = 0 if input.ndim in (0, 1, 3) else 1
    if input.ndim > 2:
        warnings.warn(
            f"[{where}] dim: axis {chosen} is taken, as PyTorch does for {input.ndim} axes; say "
            "which one you mean",
            UserWarning,
            stacklevel=3,
        )
    return chosen


def softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """exp(x) over its sum along `dim`.

    Parameters
    ----------
    input : Tensor, any shape
    dim : int
        The axis. Without one PyTorch's choice is taken: axis 1 of a matrix.
    dtype : dtype, optional
        What the input is converted to first.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.functional.softmax(rv.tensor([1000.0, 1001.0, 1002.0]), dim=0)
    tensor([0.0900, 0.2447, 0.6652])
    """
    return ops.softmax(input, _axis("softmax", input, dim), dtype)


def log_softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """The logarithm of the softmax along `dim`, without its overflow; arguments as there.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.functional.log_softmax(rv.tensor([0.0, 0.0]), dim=0)
    tensor([-0.6931, -0.6931])
    """
    return ops.log_softmax(input, _axis("log_softmax", input, dim), dtype)


def softmin(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """The softmax of -x along `dim`; arguments as there.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.functional.softmin(rv.tensor([0.0, 1.0]), dim=0)
    tensor([0.7311, 0.2689])
    """
    input = tensor_in("softmin", input)
    return ops.softmax(-input, _axis("softmin", input, dim), dtype)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """a sigmoid(b), where a and b are the halves of the input along `dim` (Dauphin et al., 2016).

    Parameters
    ----------
    input : Tensor, (..., 2 n, ...)
    dim : int, default -1

    Returns
    -------
    Tensor, (..., n, ...)

    Raises
    ------
    ShapeError
        An axis of odd size, or none.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.functional.glu(rv.tensor([2.0, 4.0, 0.0, 0.0]))
    tensor([1., 2.])
    """
    return ops.glu(input, dim)
