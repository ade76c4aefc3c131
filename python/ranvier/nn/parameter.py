"""Tensors that belong to a module: parameters, which it learns, and buffers, which it only keeps.

Nothing else: what they compute is Tensor's matter.
"""

from __future__ import annotations

from typing import Any

from ranvier._C import Tensor
from ranvier._conversion import as_tensor


class Parameter(Tensor):
    """A leaf tensor that `Module` registers when it is assigned to an attribute.

    Parameters
    ----------
    data : Tensor, array or list, optional
        The values; memory is shared with a tensor or array. Without them: no elements.
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

    def __init__(self, data: Any = None, requires_grad: bool = True) -> None:
        super().__init__(as_tensor(() if data is None else data))
        if requires_grad:
            self.requires_grad = True


class Buffer(Tensor):
    """A tensor that `Module` registers as a buffer when it is assigned to an attribute.

    Parameters
    ----------
    data : Tensor, array or list, optional
        The values; memory is shared with a tensor or array. Without them: no elements.
    persistent : bool, default True
        Whether it is part of `state_dict`.

    Examples
    --------
    >>> import ranvier as rv
    >>> m = rv.nn.Module()
    >>> m.seen = rv.nn.Buffer(rv.zeros(2))
    >>> list(m.state_dict())
    ['seen']
    """

    persistent = True

    def __init__(self, data: Any = None, *, persistent: bool = True) -> None:
        super().__init__(as_tensor(() if data is None else data))
        self.persistent = persistent
