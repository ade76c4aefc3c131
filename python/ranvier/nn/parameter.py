"""A tensor that a module learns. Nothing else: what it computes is Tensor's matter."""

from __future__ import annotations

from typing import Any

from ranvier._C import Tensor
from ranvier._conversion import as_tensor


class Parameter(Tensor):
    """A leaf tensor that `Module` registers when it is assigned to an attribute.

    Parameters
    ----------
    data : Tensor, array or list
        The values; memory is shared with a tensor or array.
    requires_grad : bool, default True

    Raises
    ------
    TypeError
        Data that is not floating and yet requires a gradient.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.Parameter(rv.zeros(2))
    Parameter containing:
    tensor([0., 0.], requires_grad=True)
    """

    replaced = False  # Module.to made another one in its place

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        super().__init__(as_tensor(data))
        if requires_grad:
            self.requires_grad = True
