"""Activations made of straight pieces, as modules. Each holds its settings and calls its op.

Smooth ones and those along an axis are in `activation_smooth.py`.
"""

from __future__ import annotations

from typing import Any

from ranvier._C import Tensor, ops
from ranvier._devices import check_device
from ranvier._dtypes import or_default
from ranvier.nn import _functional_activations as F
from ranvier.nn import init
from ranvier.nn._start import begin, room
from ranvier.nn.linear import checked_size
from ranvier.nn.module import Module
from ranvier.nn.parameter import Parameter


class ReLU(Module):
    """max(x, 0), elementwise.

    Parameters
    ----------
    inplace : bool, default False
        Whether the result overwrites the input.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.ReLU()(rv.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """Any shape; the same shape."""
        return F.relu(input, self.inplace)

    def extra_repr(self) -> str:
        """What stands between the brackets of the layer's line."""
        return "inplace=True" if self.inplace else ""


class ReLU6(Module):
    """min(max(x, 0), 6), elementwise.

    Parameters
    ----------
    inplace : bool, default False
        Whether the result overwrites the input.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.ReLU6()(rv.tensor([-1.0, 2.0, 8.0]))
    tensor([0., 2., 6.])
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """Any shape; the same shape."""
        return F.relu6(input, self.inplace)

    def extra_repr(self) -> str:
        """What stands between the brackets of the layer's line."""
        return "inplace=True" if self.inplace else ""


class LeakyReLU(Module):
    """x where x > 0, else negative_slope x, elementwise.

    Parameters
    ----------
    negative_slope : float, default 0.01
    inplace : bool, default False
        Whether the result overwrites the input.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.LeakyReLU(0.5)(rv.tensor([-2.0, 2.0]))
    tensor([-1.,  2.])
    """

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope = negative_slope
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """Any shape; the same shape."""
        return F.leaky_relu(input, self.negative_slope, self.inplace)

    def extra_repr(self) -> str:
        """What stands between the brackets of the layer's line."""
        return f"negative_slope={self.negative_slope}{', inplace=True' if self.inplace else ''}"


class PReLU(Module):
    """x where x > 0, else weight x, with a weight that is learnt (He et al., 2015, eq. 1).

    Parameters
    ----------
    num_parameters : int, default 1
        1 slope for all, or one for each channel, which is axis 1.
    init : float, default 0.25
        Where slopes start.
    device : "cpu", optional
    dtype : dtype, default float32

    Attributes
    ----------
    weight : Parameter, (num_parameters,)

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.PReLU()(rv.tensor([-2.0, 2.0])).tolist()
    [-0.5, 2.0]
    """

    def __init__(
        self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        check_device(device, "PReLU")
        self.num_parameters = checked_size("PReLU", "num_parameters", num_parameters)
        self.init = init
        self.weight = Parameter(room((self.num_parameters,), or_default(dtype)))
        begin(self)

    def reset_parameters(self) -> None:
        """Slopes as they started."""
        init.constant_(self.weight, self.init)

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, ...), or any shape with one slope; the same shape."""
        return ops.prelu(input, self.weight)

    def extra_repr(self) -> str:
        """What stands between the brackets of the layer's line."""
        return f"num_parameters={self.num_parameters}"


class RReLU(Module):
    """Leaky ReLU whose slopes are drawn anew in training (Xu et al., 2015); else their mean.

    Parameters
    ----------
    lower, upper : float
        Slopes are uniform between them.
    inplace : bool, default False
        Whether the result overwrites the input.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.RReLU(0.25, 0.75).eval()(rv.tensor([-2.0, 2.0]))
    tensor([-1.,  2.])
    """

    def __init__(
        self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False
    ) -> None:
        super().__init__()
        self.lower = lower
        self.upper = upper
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """Any shape; the same shape."""
        return F.rrelu(input, self.lower, self.upper, self.training, self.inplace)

    def extra_repr(self) -> str:
        """What stands between the brackets of the layer's line."""
        inplace = ", inplace=True" if self.inplace else ""
        return f"lower={self.lower}, upper={self.upper}{inplace}"


class Threshold(Module):
    """x where x > threshold, else value, elementwise.

    Parameters
    ----------
    threshold, value : float
    inplace : bool, default False
        Whether the result overwrites the input.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.Threshold(0.1, -1.0)(rv.tensor([0.0, 0.2]))
    tensor([-1.0000,  0.2000])
    """

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__()
        self.threshold = threshold
        self.value = value
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """Any shape; the same shape."""
        return F.threshold(input, self.threshold, self.value, self.inplace)

    def extra_repr(self) -> str:
        """What stands between the brackets of the layer's line."""
        inplace = ", inplace=True" if self.inplace else ""
        return f"threshold={self.threshold}, value={self.value}{inplace}"


class Hardtanh(Module):
    """min(max(x, min_val), max_val), elementwise.

    Parameters
    ----------
    min_val, max_val : float
        The bounds, -1 and 1.
    inplace : bool, default False
        Whether the result overwrites the input.
    min_value, max_value : float, optional
        The old words for the bounds.

    Raises
    ------
    ValueError
        min_val of max_val or more.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.Hardtanh()(rv.tensor([-3.0, 0.5, 3.0]))
    tensor([-1.0000,  0.5000,  1.0000])
    """

    def __init__(
        self,
        min_val: float = -1.0,
        max_val: float = 1.0,
        inplace: bool = False,
        min_value: float | None = None,
        max_value: float | None = None,
    ) -> None:
        super().__init__()
        self.min_val = min_val if min_value is None else min_value
        self.max_val = max_val if max_value is None else max_value
        self.inplace = inplace
        if self.max_val <= self.min_val:
            raise ValueError(
                f"[Hardtanh] max_val: expected more than {self.min_val} (min_val), "
                f"got {self.max_val}"
            )

    def forward(self, input: Tensor) -> Tensor:
        """Any shape; the same shape."""
        return F.hardtanh(input, self.min_val, self.max_val, self.inplace)

    def extra_repr(self) -> str:
        """What stands between the brackets of the layer's line."""
        inplace = ", inplace=True" if self.inplace else ""
        return f"min_val={self.min_val}, max_val={self.max_val}{inplace}"


class Hardsigmoid(Module):
    """min(max(x + 3, 0), 6) / 6, elementwise.

    Parameters
    ----------
    inplace : bool, default False
        Whether the result overwrites the input.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.Hardsigmoid()(rv.tensor([-4.0, 0.0, 4.0]))
    tensor([0.0000, 0.5000, 1.0000])
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """Any shape; the same shape."""
        return F.hardsigmoid(input, self.inplace)

    def extra_repr(self) -> str:
        """What stands between the brackets of the layer's line."""
        return "inplace=True" if self.inplace else ""


class Hardswish(Module):
    """x times its hard sigmoid, elementwise.

    Parameters
    ----------
    inplace : bool, default False
        Whether the result overwrites the input.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.Hardswish()(rv.tensor([-4.0, 1.5, 4.0]))
    tensor([0.0000, 1.1250, 4.0000])
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """Any shape; the same shape."""
        return F.hardswish(input, self.inplace)

    def extra_repr(self) -> str:
        """What stands between the brackets of the layer's line."""
        return "inplace=True" if self.inplace else ""


class Hardshrink(Module):
    """x where |x| > lambd, else 0, elementwise.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.Hardshrink()(rv.tensor([0.25, 2.0]))
    tensor([0., 2.])
    """

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, input: Tensor) -> Tensor:
        """Any shape; the same shape."""
        return ops.hardshrink(input, self.lambd)

    def extra_repr(self) -> str:
        """What stands between the brackets of the layer's line."""
        return f"lambd={self.lambd}"


class Softshrink(Module):
    """x moved towards 0 by lambd, elementwise.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.Softshrink()(rv.tensor([0.25, 2.0]))
    tensor([0.0000, 1.5000])
    """

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, input: Tensor) -> Tensor:
        """Any shape; the same shape."""
        return ops.softshrink(input, self.lambd)

    def extra_repr(self) -> str:
        """What stands between the brackets of the layer's line."""
        return f"lambd={self.lambd}"


class Step(Module):
    """1 where x > 0, 0 where x < 0, `at_zero` where x is 0: the first neurons' activation.

    Parameters
    ----------
    at_zero : float, default 1
    straight_through : bool, default False
        Whether backward passes the gradient on as if nothing had been done (Bengio, Leonard and
        Courville, 2013, section 2.3). Else it is 0, and a network cannot learn through the step.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.Step()(rv.tensor([-1.0, 0.0, 2.0]))
    tensor([0., 1., 1.])
    """

    def __init__(self, at_zero: float = 1, straight_through: bool = False) -> None:
        super().__init__()
        self.at_zero = at_zero
        self.straight_through = straight_through

    def forward(self, input: Tensor) -> Tensor:
        """Any shape; the same shape."""
        return F.step(input, self.at_zero, self.straight_through)

    def extra_repr(self) -> str:
        """What stands between the brackets of the layer's line."""
        through = ", straight_through=True" if self.straight_through else ""
        return f"at_zero={self.at_zero}{through}"
