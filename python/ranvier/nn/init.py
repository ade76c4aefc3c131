"""Starting values for parameters: written in place, without gradient; the tensor comes back.

Xavier: Glorot and Bengio, 2010; Kaiming: He et al., 2015. Tensors are (out, in, ...), as in
PyTorch. Only how wide to draw is worked out here; the ops of the core draw.
"""

from __future__ import annotations

import math

from ranvier._C import Generator, ShapeError, Tensor, ops
from ranvier._grad import no_grad
from ranvier._random import state_of

_GAINS = {
    "linear": 1.0,
    "identity": 1.0,
    "sigmoid": 1.0,
    "tanh": 5.0 / 3,
    "relu": math.sqrt(2.0),
    "selu": 0.75,
}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """What the standard deviation is multiplied with, in front of a given activation.

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
        known = ", ".join(sorted([*_GAINS, "leaky_relu"]))
        raise ValueError(f"[init] nonlinearity: expected one of {known}, got {nonlinearity!r}")
    return _GAINS[nonlinearity]


def _fans(tensor: Tensor) -> tuple[int, int]:
    if tensor.ndim < 2:
        raise ShapeError(f"[init] expected 2 or more dimensions, got shape {tensor.shape}")
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


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
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / sum(_fans(tensor))), generator)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"[init] mode: expected 'fan_in' or 'fan_out', got {mode!r}")
    fan = _fans(tensor)[mode == "fan_out"]
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
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)
