"""RMSprop. The formula is that of the op `rmsprop_update`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from ranvier._C import ops
from ranvier.optim.groups import FLAG, NOT_NEGATIVE, SHARE, Rule
from ranvier.optim.optimizer import Optimizer


class RMSprop(Optimizer):
    """Steps scaled by a running mean of the squared gradient: p = p - lr g / (sqrt(v) + eps).

    Hinton, "Neural networks for machine learning", lecture 6e, 2012; centered: Graves, "Generating
    sequences with recurrent neural networks", 2013, equations 38 to 41.

    Parameters
    ----------
    params : iterable of Tensor or dict
    lr : float, default 1e-2
    alpha : float, default 0.99
        How slowly the mean v forgets.
    eps : float, default 1e-8
    weight_decay : float, default 0
        Added to the gradient as weight_decay p.
    momentum : float, default 0
    centered : bool, default False
        Scale by the gradient's deviation: the squared mean gradient is taken off v.
    maximize : bool, default False
    capturable, foreach, differentiable : bool, optional
        Taken, and without effect here.

    Examples
    --------
    >>> import ranvier as rv
    >>> w = rv.tensor([1.0], requires_grad=True)
    >>> optimizer = rv.optim.RMSprop([w], lr=0.05)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([0.5000], requires_grad=True)
    """

    rules: ClassVar[dict[str, Rule]] = {
        "lr": NOT_NEGATIVE,
        "alpha": SHARE,
        "eps": NOT_NEGATIVE,
        "weight_decay": NOT_NEGATIVE,
        "momentum": NOT_NEGATIVE,
        "centered": FLAG,
        "maximize": FLAG,
    }
    op = staticmethod(ops.rmsprop_updates)
    state_names = ("square_avg", "grad_avg", "momentum_buffer")
    # Attributes of the op, for classes with other conventions.
    decoupled = False
    eps_inside = False
    lr_in_momentum = False

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        settings = {
            "lr": lr,
            "alpha": alpha,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "centered": centered,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, settings)

    def state_for(self, group: Mapping[str, Any]) -> tuple[str, ...]:
        """The mean square, and what centering and momentum need."""
        centered = ("grad_avg",) if group["centered"] else ()
        return ("square_avg", *centered, *(("momentum_buffer",) if group["momentum"] else ()))

    def attributes(self, group: Mapping[str, Any]) -> tuple[Any, ...]:
        """The attributes of the op."""
        return (
            group["alpha"],
            group["eps"],
            group["weight_decay"],
            group["momentum"],
            group["maximize"],
            self.decoupled,
            self.eps_inside,
            self.lr_in_momentum,
        )
