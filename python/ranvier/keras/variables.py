"""`Variable`: a weight of a layer or a metric, with its name, its penalty and its limits.

It is a parameter of `ranvier.nn` like any other; what Keras adds stands here.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

from ranvier._C import ShapeError, Tensor, ops
from ranvier._creation import empty_like
from ranvier._grad import no_grad
from ranvier.keras import initializers
from ranvier.keras.backend import to_dtype, to_tensor
from ranvier.nn._start import blank
from ranvier.nn.parameter import Parameter


class Variable(Parameter):
    """A tensor that keeps its place while its values change.

    Parameters
    ----------
    initializer : array, name, Initializer or callable
        The values, or what makes them for a shape.
    shape : sequence of int, optional
        Needed where the initializer makes the values.
    dtype : dtype or str, optional
        `keras.backend.floatx()` if left out.
    trainable : bool
    name : str, optional

    Attributes
    ----------
    name, path : str
        Its own name, and the same with its layer's in front.
    regularizer, constraint : callable or None
        What its penalty is, and what it is made to satisfy after an update.
    hollow : bool
        Whether it was made without memory, for `filled` to be put in its place.

    Examples
    --------
    >>> from ranvier import keras
    >>> v = keras.Variable([1.0, 2.0], name="v")
    >>> v.assign_add([1.0, 1.0])
    <Variable path=v, shape=(2,), dtype=float32, value=[2. 3.]>
    """

    def __init__(
        self,
        initializer: Any,
        shape: Sequence[int] | None = None,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        aggregation: str = "none",
        name: str | None = None,
    ) -> None:
        kind, self.hollow = to_dtype(dtype), False
        if isinstance(initializer, str) or (callable(initializer) and shape is not None):
            if shape is None:
                raise ValueError("[Variable] shape: expected a shape for an initializer, got None")
            ready = blank(name or "variable", tuple(shape), kind)
            if ready is None:
                values = to_tensor(initializers.get(initializer)(tuple(shape), dtype=kind), kind)
            else:
                values, self.hollow = ready
        else:
            values = to_tensor(initializer, kind)
            # Numbers of the caller's own are copied: a variable must not change them.
            values = ops.clone(values.detach())
        if shape is not None and tuple(values.shape) != tuple(shape):
            raise ShapeError(
                f"[Variable] {name or 'initializer'}: expected values of shape {tuple(shape)}, "
                f"got {tuple(values.shape)}"
            )
        floating = values.dtype.is_floating_point
        super().__init__(values.detach(), requires_grad=trainable and floating)
        self.name = name or "variable"
        self.path = self.name
        self.wanted = trainable  # whether it is learned where its layer is
        self.regularizer: Callable[[Tensor], Any] | None = None
        self.constraint: Callable[[Tensor], Any] | None = None

    def filled(self, values: Tensor) -> Variable:
        """Another variable like this one, of these very values."""
        return rebuilt(type(self), values, self.requires_grad, {**self.__dict__, "hollow": False})

    # Copies have its name, penalty and limits, and its dtype, which `__init__` would choose.

    def __copy__(self) -> Variable:
        return self.filled(self.detach())

    def __deepcopy__(self, memo: dict[int, Any]) -> Variable:
        if id(self) not in memo:
            with no_grad():
                made = self.filled(empty_like(self.detach()).copy_(self))
                if self.grad is not None:
                    made.grad = empty_like(self.grad).copy_(self.grad)
            memo[id(self)] = made
            made.__dict__.update(copy.deepcopy(self.__dict__, memo))
        found: Variable = memo[id(self)]
        return found

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        values = self.detach()
        return rebuilt, (type(self), values, self.requires_grad, dict(self.__dict__))

    @property
    def trainable(self) -> bool:
        """Whether it is learned."""
        return self.wanted

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self.wanted = bool(value)
        self.requires_grad = bool(value) and self.dtype.is_floating_point

    @property
    def value(self) -> Variable:
        """The tensor, which is the variable itself."""
        return self

    def assign(self, value: Any) -> Variable:
        """Puts other values in; the shape must be the same."""
        new = to_tensor(value, self.dtype)
        if tuple(new.shape) != tuple(self.shape):
            raise ShapeError(
                f"[Variable] {self.path}: expected values of shape {tuple(self.shape)}, got "
                f"{tuple(new.shape)}"
            )
        with no_grad():
            self.copy_(new)
        return self

    def assign_add(self, value: Any) -> Variable:
        """Adds to its values."""
        with no_grad():
            return self.assign(self.detach() + to_tensor(value, self.dtype))

    def assign_sub(self, value: Any) -> Variable:
        """Subtracts from its values."""
        with no_grad():
            return self.assign(self.detach() - to_tensor(value, self.dtype))

    def __repr__(self) -> str:
        shape, kind = tuple(self.shape), self.dtype.name
        return (
            f"<Variable path={self.path}, shape={shape}, dtype={kind}, "
            f"value={self.detach().numpy()}>"
        )


def rebuilt(
    kind: type[Variable], values: Tensor, requires_grad: bool, attributes: dict[str, Any]
) -> Variable:
    """A variable from what `__reduce_ex__` gave."""
    made = kind.__new__(kind)
    Parameter.__init__(made, values, requires_grad=requires_grad)
    made.__dict__.update(attributes)
    return made
