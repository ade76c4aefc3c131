"""Adadelta. The formula is that of the op `adadelta_update`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from ranvier._C import ops
from ranvier.optim.groups import FLAG, NOT_NEGATIVE, SHARE, Rule
from ranvier.optim.optimizer import Optimizer


class Adadelta(Optimizer):
    """Steps of the size of those before, whatever the gradient's unit.

    Zeiler, "ADADELTA: an adaptive learning rate method", 2012, algorithm 1.

    Parameters
    ----------
    params : iterable of Tensor or dict
    lr : float, default 1.0
    rho : float, default 0.9
        How slowly the means of squared gradients and squared steps forget.
    eps : float, default 1e-6
    weight_decay : float, default 0
        Added to the gradient as weight_decay p.
    maximize : bool, default False
    foreach, capturable, differentiable : bool, optional
        Taken, and without effect here.

    Examples
    --------
    >>> import ranvier as rv
    >>> w = rv.tensor([1.0], requires_grad=True)
    >>> optimizer = rv.optim.Adadelta([w], lr=1.0)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([0.9968], requires_grad=True)
    """

    rules: ClassVar[dict[str, Rule]] = {
        "lr": NOT_NEGATIVE,
        "rho": SHARE,
        "eps": NOT_NEGATIVE,
        "weight_decay": NOT_NEGATIVE,
        "maximize": FLAG,
    }
    op = staticmethod(ops.adadelta_updates)
    state_names = ("square_avg", "acc_delta")
    decoupled = False  # weight decay shrinks the parameter

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        settings = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "capturable": capturable,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, settings)

    def attributes(self, group: Mapping[str, Any]) -> tuple[Any, ...]:
        """The attributes of the op."""
        return (
            group["rho"],
            group["eps"],
            group["weight_decay"],
            group["maximize"],
            self.decoupled,
        )
