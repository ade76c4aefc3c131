"""The base of all distributions: shapes, checks of arguments, and what follows from the rest.

Holds no formula of any distribution.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, TypeVar

import numpy as np

from ranvier import _C
from ranvier._C import Size, Tensor
from ranvier._grad import no_grad
from ranvier._random import state_of
from ranvier.distributions.constraints import Constraint

D = TypeVar("D", bound="Distribution")
Number = Tensor | float


def broadcast_all(*values: Number) -> tuple[Tensor, ...]:
    """Numbers and tensors as tensors of one shape and of one floating dtype.

    Raises
    ------
    ValueError
        What is neither a number nor a tensor.
    ShapeError
        Shapes that do not broadcast.
    """
    for value in values:
        if not isinstance(value, (Tensor, int, float, np.number)):
            raise ValueError(
                f"[distributions] expected numbers or tensors, got {type(value).__name__}"
            )
    floats = [v.dtype for v in values if isinstance(v, Tensor) and v.dtype.is_floating_point]
    dtype = floats[0] if floats else _C.get_default_dtype()
    for other in floats[1:]:
        dtype = _C.ops.add(_C.zeros((1,), dtype), _C.zeros((1,), other)).dtype
    tensors = [
        value.to(dtype) if isinstance(value, Tensor) else _C.full((), float(value), dtype)
        for value in values
    ]
    try:
        shape = np.broadcast_shapes(*(tuple(t.shape) for t in tensors))
    except ValueError:
        raise _C.ShapeError(
            "[distributions] expected parameters of shapes that broadcast, got "
            + ", ".join(str(tuple(t.shape)) for t in tensors)
        ) from None
    return tuple(t if t.shape == shape else t.expand(shape) for t in tensors)


class Distribution:
    """What every distribution can do.

    Parameters
    ----------
    batch_shape : sequence of int
        Shape of the parameters: so many independent distributions.
    event_shape : sequence of int
        Shape of one draw.
    validate_args : bool, optional
        Whether parameters and values are checked; True unless `set_default_validate_args` says
        otherwise. While a program is recorded nothing is.
    """

    has_rsample = False
    has_enumerate_support = False
    arg_constraints: Mapping[str, Constraint]
    _validate_args = True

    def __init__(
        self,
        batch_shape: Sequence[int] = (),
        event_shape: Sequence[int] = (),
        validate_args: bool | None = None,
    ) -> None:
        for name, shape in (("batch_shape", batch_shape), ("event_shape", event_shape)):
            if not isinstance(shape, (tuple, list)):
                raise TypeError(
                    f"[{type(self).__name__}] {name}: expected sizes, got {shape!r:.60}"
                )
        self._batch_shape, self._event_shape = Size(batch_shape), Size(event_shape)
        if validate_args is not None:
            self._validate_args = validate_args
        if not self._checks():
            return
        for name, constraint in self.arg_constraints.items():
            value = self.__dict__.get(name)
            if value is not None and not _everywhere(constraint.check(value)):
                raise ValueError(
                    f"Expected parameter {name} ({type(value).__name__} of shape "
                    f"{tuple(value.shape)}) of distribution {self!r} to satisfy the constraint "
                    f"{constraint!r}, but found invalid values:\n{_text(value)}"
                )

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Whether distributions check their arguments where they are not told."""
        if value not in (True, False):
            raise ValueError(f"[distributions] expected True or False, got {value!r}")
        Distribution._validate_args = value

    # --- shapes

    @property
    def batch_shape(self) -> Size:
        """Shape of the parameters."""
        return self._batch_shape

    @property
    def event_shape(self) -> Size:
        """Shape of one draw."""
        return self._event_shape

    def _extended_shape(self, sample_shape: Sequence[int] = ()) -> Size:
        """Shape of so many draws of every distribution of the batch."""
        return Size((*sample_shape, *self._batch_shape, *self._event_shape))

    def expand(self: D, batch_shape: Sequence[int]) -> D:
        """The distribution with its parameters broadcast to another batch shape."""
        new = object.__new__(type(self))
        self._expand_into(new, tuple(batch_shape))
        Distribution.__init__(new, batch_shape, self._event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def _expand_into(self, new: Any, batch_shape: tuple[int, ...]) -> None:
        """Gives `new` the parameters, expanded."""
        for name in self.arg_constraints:
            if name in self.__dict__:
                new.__dict__[name] = self.__dict__[name].expand(batch_shape)

    # --- what a distribution defines

    @property
    def support(self) -> Constraint:
        """The values that can be drawn."""
        self._lacks("support")

    @property
    def mean(self) -> Tensor:
        """Expected value."""
        self._lacks("mean")

    @property
    def mode(self) -> Tensor:
        """The most likely value."""
        self._lacks("mode")

    @property
    def variance(self) -> Tensor:
        """Expected square of the distance from the mean."""
        self._lacks("variance")

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Draws through which gradients flow to the parameters."""
        self._lacks("rsample")

    def log_prob(self, value: Tensor) -> Tensor:
        """Logarithm of the density, or of the probability, at the value."""
        self._lacks("log_prob")

    def cdf(self, value: Tensor) -> Tensor:
        """Probability of a draw up to the value."""
        self._lacks("cdf")

    def icdf(self, value: Tensor) -> Tensor:
        """The value up to which draws have this probability."""
        self._lacks("icdf")

    def entropy(self) -> Tensor:
        """Expected value of -log_prob."""
        self._lacks("entropy")

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All values that can be drawn, along the first axis."""
        self._lacks("enumerate_support")

    def _lacks(self, what: str) -> NoReturn:
        raise NotImplementedError(f"[{type(self).__name__}] has no {what}")

    # --- what follows

    @property
    def stddev(self) -> Tensor:
        """Square root of the variance."""
        return _C.ops.sqrt(self.variance)

    def perplexity(self) -> Tensor:
        """exp(entropy)."""
        return _C.ops.exp(self.entropy())

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Draws, without gradient, of shape sample_shape + batch_shape + event_shape."""
        with no_grad():
            return self.rsample(sample_shape)

    # --- helpers

    def _checks(self) -> bool:
        """Whether arguments are to be checked: recorded values cannot be read."""
        return self._validate_args and not _C.is_recording()

    def _validate_sample(self, value: Any) -> None:
        """Raises ValueError unless value is a tensor of a fit shape within the support."""
        if not self._checks():
            return
        if not isinstance(value, Tensor):
            raise ValueError("The value argument to log_prob must be a Tensor")
        shape, mine = tuple(value.shape), tuple(self._extended_shape())
        for have, want in zip(reversed(shape), reversed(mine), strict=False):
            if have != 1 and want != 1 and have != want:
                raise ValueError(
                    f"Value is not broadcastable with batch_shape+event_shape: {shape} vs {mine}."
                )
        if not _everywhere(self.support.check(value)):
            raise ValueError(
                f"Expected value argument ({type(value).__name__} of shape {shape}) to be within "
                f"the support ({self.support!r}) of the distribution {self!r}, but found invalid "
                f"values:\n{_text(value)}"
            )

    def __repr__(self) -> str:
        names = [name for name in self.arg_constraints if name in self.__dict__]
        return f"{type(self).__name__}({', '.join(f'{n}: {self._shown(n)}' for n in names)})"

    def _shown(self, name: str) -> str:
        value = self.__dict__[name]
        return _text(value) if value.numel() == 1 else str(value.shape)


def _everywhere(holds: Tensor) -> bool:
    return bool(_C.ops.all(holds).item())


def _text(value: Tensor) -> str:
    return str(value.item()) if value.ndim == 0 else str(value.detach())


def standard_normal(shape: Sequence[int], like: Tensor) -> Tensor:
    """Standard normal numbers of the default generator."""
    return _C.ops.normal(state_of(None), shape, 0.0, 1.0, like.dtype)


def standard_uniform(shape: Sequence[int], like: Tensor) -> Tensor:
    """Numbers in [0, 1) of the default generator."""
    return _C.ops.uniform(state_of(None), shape, 0.0, 1.0, like.dtype)


def standard_exponential(shape: Sequence[int], like: Tensor) -> Tensor:
    """Exponential numbers of rate 1 of the default generator."""
    return _C.ops.exponential(state_of(None), shape, 1.0, like.dtype)
