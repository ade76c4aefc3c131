"""Starting values for parameters: written in place, without gradient; the tensor comes back.

Xavier: Glorot and Bengio, 2010; Kaiming: He et al., 2015; LeCun: LeCun et al., 1998. Tensors are
(out, in, ...), as in PyTorch. Only how wide to draw is worked out here; the ops of the core draw.
What needs more than a width, such as orthogonal rows, is in `_init_structured.py`.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable
from typing import ParamSpec

from ranvier._C import Generator, ShapeError, Tensor, ops
from ranvier._grad import no_grad
from ranvier._random import state_of
from ranvier.nn import _init_structured as structured

P = ParamSpec("P")

_CONVOLUTIONS = [f"conv{kind}{n}d" for kind in ("", "_transpose") for n in (1, 2, 3)]
_GAINS = {
    "linear": 1.0,
    "identity": 1.0,
    **dict.fromkeys(_CONVOLUTIONS, 1.0),
    "sigmoid": 1.0,
    "tanh": 5.0 / 3,
    "relu": math.sqrt(2.0),
    "selu": 0.75,
}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """What the standard deviation is multiplied with, in front of a given activation.

    Parameters
    ----------
    nonlinearity : str
        "linear", "conv1d" and its like, "sigmoid": 1; "tanh": 5/3; "relu": sqrt(2);
        "leaky_relu": sqrt(2 / (1 + slope^2)); "selu": 3/4.
    param : float, optional
        The slope of leaky_relu, 0.01 if not given.

    Raises
    ------
    ValueError
        An unknown name; the message names near misses.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.init.calculate_gain("leaky_relu", 0.0) == 2 ** 0.5
    True
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        return math.sqrt(2.0 / (1 + slope**2))
    if nonlinearity not in _GAINS:
        import difflib  # not needed by a mere `import ranvier`

        known = sorted([*_GAINS, "leaky_relu"])
        near = difflib.get_close_matches(str(nonlinearity).lower(), known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"[init] nonlinearity: expected one of {', '.join(known)}, got {nonlinearity!r}{hint}"
        )
    return _GAINS[nonlinearity]


def _fans(tensor: Tensor) -> tuple[int, int]:
    if tensor.ndim < 2:
        raise ShapeError(f"[init] expected 2 or more dimensions, got shape {tensor.shape}")
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


def _has_none(tensor: Tensor) -> bool:
    """Whether there is nothing to fill, in which case a fan may be 0."""
    return tensor.ndim >= 2 and tensor.numel() == 0


def _finite(**values: float) -> None:
    for name, value in values.items():
        if not math.isfinite(value):
            raise ValueError(f"[init] {name}: expected a finite number, got {value!r}")


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fills with one value.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.init.constant_(rv.empty(2), 0.5)
    tensor([0.5000, 0.5000])
    """
    with no_grad():
        return tensor.fill_(val)


def zeros_(tensor: Tensor) -> Tensor:
    """Fills with 0.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.init.zeros_(rv.empty(2))
    tensor([0., 0.])
    """
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """Fills with 1.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.init.ones_(rv.empty(2))
    tensor([1., 1.])
    """
    return constant_(tensor, 1.0)


def uniform_(
    tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Fills with uniform random numbers in [a, b).

    Examples
    --------
    >>> import ranvier as rv
    >>> w = rv.nn.init.uniform_(rv.empty(3, 2), -1, 1)
    >>> bool((w.abs() <= 1).float().sum() == 6)
    True
    """
    _finite(a=a, b=b)
    if a > b:
        raise ValueError(f"[init] b: expected a number of a = {a} or more, got {b}")
    with no_grad():
        return tensor.copy_(ops.uniform(state_of(generator), tensor.shape, a, b, tensor.dtype))


def normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Fills with random numbers of a normal distribution.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.init.normal_(rv.empty(3, 2), std=0.02).shape
    (3, 2)
    """
    _finite(mean=mean, std=std)
    if std < 0:
        raise ValueError(f"[init] std: expected a number of 0 or more, got {std}")
    with no_grad():
        return tensor.copy_(ops.normal(state_of(generator), tensor.shape, mean, std, tensor.dtype))


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Fills with a normal distribution's numbers, those between a and b only.

    Uniform numbers between the distribution function's values at both ends go through its inverse.

    Parameters
    ----------
    tensor : Tensor, any shape
    mean, std : float
        Of the distribution before its ends are cut off.
    a, b : float
        The ends.
    generator : Generator, optional

    Raises
    ------
    ValueError
        Settings that are not finite, std of 0 or less, or b below a.

    Examples
    --------
    >>> import ranvier as rv
    >>> w = rv.nn.init.trunc_normal_(rv.empty(3, 2), std=0.02, a=-0.04, b=0.04)
    >>> bool((w.abs() <= 0.04).all())
    True
    """
    _finite(mean=mean, std=std, a=a, b=b)
    if std <= 0:
        raise ValueError(f"[init] std: expected a number above 0, got {std}")
    if b < a:
        raise ValueError(f"[init] b: expected a number of a = {a} or more, got {b}")
    low, high = (math.erf((end - mean) / (std * math.sqrt(2.0))) for end in (a, b))
    with no_grad():
        drawn = ops.uniform(state_of(generator), tensor.shape, low, high, tensor.dtype)
        values = ops.erfinv(drawn) * (std * math.sqrt(2.0)) + mean
        return tensor.copy_(ops.clamp(values, a, b))


def xavier_uniform_(
    tensor: Tensor, gain: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Uniform in +-gain sqrt(6 / (in + out)).

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.init.xavier_uniform_(rv.empty(3, 2)).shape
    (3, 2)
    """
    if _has_none(tensor):
        return tensor
    bound = gain * math.sqrt(6.0 / sum(_fans(tensor)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal with standard deviation gain sqrt(2 / (in + out)).

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.init.xavier_normal_(rv.empty(3, 2)).shape
    (3, 2)
    """
    if _has_none(tensor):
        return tensor
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / sum(_fans(tensor))), generator)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if str(mode).lower() not in ("fan_in", "fan_out"):
        raise ValueError(f"[init] mode: expected 'fan_in' or 'fan_out', got {mode!r}")
    fan = _fans(tensor)[str(mode).lower() == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Uniform with the standard deviation gain / sqrt(fan).

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.init.kaiming_uniform_(rv.empty(3, 2), nonlinearity="relu").shape
    (3, 2)
    """
    if _has_none(tensor):
        return tensor
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Normal with standard deviation gain / sqrt(fan).

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.init.kaiming_normal_(rv.empty(3, 2), nonlinearity="relu").shape
    (3, 2)
    """
    if _has_none(tensor):
        return tensor
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def lecun_uniform_(tensor: Tensor, generator: Generator | None = None) -> Tensor:
    """Uniform in +-sqrt(3 / in): variance 1 / in (LeCun et al., 1998, eq. 16).

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.init.lecun_uniform_(rv.empty(3, 2)).shape
    (3, 2)
    """
    return kaiming_uniform_(tensor, nonlinearity="linear", generator=generator)


def lecun_normal_(tensor: Tensor, generator: Generator | None = None) -> Tensor:
    """Normal with standard deviation 1 / sqrt(in) (LeCun et al., 1998, eq. 16): SELU's start.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.init.lecun_normal_(rv.empty(3, 2)).shape
    (3, 2)
    """
    return kaiming_normal_(tensor, nonlinearity="linear", generator=generator)


# ---- structured


def eye_(tensor: Tensor) -> Tensor:
    """Ones on the diagonal of a matrix, zeros elsewhere: a linear layer that changes nothing.

    Raises
    ------
    ShapeError
        A tensor that is no matrix.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.init.eye_(rv.empty(2, 3))
    tensor([[1., 0., 0.],
            [0., 1., 0.]])
    """
    return structured.eye_(tensor)


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """A convolution's weight that gives back its input channels, as many as there are outputs.

    Parameters
    ----------
    tensor : Tensor, (out, in, k1), (out, in, k1, k2) or (out, in, k1, k2, k3)
    groups : int, default 1
        Of the convolution; divides out.

    Raises
    ------
    ShapeError
        Other shapes, or groups that do not divide out.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.init.dirac_(rv.empty(2, 2, 3))[1]
    tensor([[0., 0., 0.],
            [0., 1., 0.]])
    """
    return structured.dirac_(tensor, groups)


def orthogonal_(tensor: Tensor, gain: float = 1, generator: Generator | None = None) -> Tensor:
    """Rows that are orthogonal and of length gain; columns, where there are more rows.

    Axes behind the first count as one. The Q of a normal matrix's QR decomposition, R's diagonal
    being positive, so that every rotation is as likely (Saxe et al., 2013; Mezzadri, 2007).

    Raises
    ------
    ShapeError
        Fewer than 2 axes.

    Examples
    --------
    >>> import ranvier as rv
    >>> w = rv.nn.init.orthogonal_(rv.empty(2, 5))
    >>> rv.allclose(w @ w.T, rv.eye(2), atol=1e-6)
    True
    """
    return structured.orthogonal_(tensor, gain, generator)


def sparse_(
    tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None
) -> Tensor:
    """Normal numbers, and in every column the same count of zeros (Martens, 2010).

    Parameters
    ----------
    tensor : Tensor, (rows, columns)
    sparsity : float
        The share of a column that is 0, from 0 to 1; rounded up to whole elements.
    std : float, default 0.01
    generator : Generator, optional

    Raises
    ------
    ShapeError
        A tensor that is no matrix.
    ValueError
        A share that is none.

    Examples
    --------
    >>> import ranvier as rv
    >>> w = rv.nn.init.sparse_(rv.empty(4, 3), sparsity=0.5)
    >>> (w == 0).sum(0)
    tensor([2, 2, 2])
    """
    return structured.sparse_(tensor, sparsity, std, generator)


# ---- PyTorch's names of before 2018


def _old(new: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """The function under its name without the underscore, which says what to write."""
    name = new.__name__.removesuffix("_")

    @functools.wraps(new)
    def old(*args: P.args, **kwargs: P.kwargs) -> Tensor:
        warnings.warn(
            f"[init] {name}: the old name; write {new.__name__}", FutureWarning, stacklevel=2
        )
        return new(*args, **kwargs)

    old.__name__ = old.__qualname__ = name
    old.__doc__ = f"The old name of `{new.__name__}`."
    return old


uniform = _old(uniform_)
normal = _old(normal_)
constant = _old(constant_)
eye = _old(eye_)
dirac = _old(dirac_)
xavier_uniform = _old(xavier_uniform_)
xavier_normal = _old(xavier_normal_)
kaiming_uniform = _old(kaiming_uniform_)
kaiming_normal = _old(kaiming_normal_)
orthogonal = _old(orthogonal_)
sparse = _old(sparse_)
