"""Adamax. The formula is that of the op `adamax_update`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from ranvier._C import ops
from ranvier.optim.groups import BETAS, FLAG, NOT_NEGATIVE, Rule
from ranvier.optim.optimizer import Optimizer


class Adamax(Optimizer):
    """Adam with the largest recent gradient in the place of the root of the second moment.

    Kingma and Ba, 2015, algorithm 2.

    Parameters
    ----------
    params : iterable of Tensor or dict
    lr : float, default 2e-3
    betas : (float, float), default (0.9, 0.999)
        How slowly the mean of the gradient and its largest size forget.
    eps : float, default 1e-8
    weight_decay : float, default 0
        Added to the gradient as weight_decay p.
    maximize : bool, default False
    foreach, differentiable, capturable : bool, optional
        Taken, and without effect here.

    Examples
    --------
    >>> import ranvier as rv
    >>> w = rv.tensor([1.0], requires_grad=True)
    >>> optimizer = rv.optim.Adamax([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([0.9000], requires_grad=True)
    """

    rules: ClassVar[dict[str, Rule]] = {
        "lr": NOT_NEGATIVE,
        "betas": BETAS,
        "eps": NOT_NEGATIVE,
        "weight_decay": NOT_NEGATIVE,
        "maximize": FLAG,
    }
    op = staticmethod(ops.adamax_updates)
    state_names = ("step", "exp_avg", "exp_inf")
    # Attributes of the op, for classes with other conventions.
    decoupled = False
    eps_inside = False

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        settings = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, settings)

    def attributes(self, group: Mapping[str, Any]) -> tuple[Any, ...]:
        """The attributes of the op."""
        beta1, beta2 = group["betas"]
        return (
            beta1,
            beta2,
            group["eps"],
            group["weight_decay"],
            group["maximize"],
            self.decoupled,
            self.eps_inside,
        )
