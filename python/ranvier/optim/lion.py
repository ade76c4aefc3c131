"""Lion. The formula is that of the op `lion_update`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from ranvier._C import ops
from ranvier.optim.groups import BETAS, FLAG, NOT_NEGATIVE, Rule
from ranvier.optim.optimizer import Optimizer


class Lion(Optimizer):
    """Steps of one size, in the direction of the sign of a running mean of the gradient.

    Chen and others, "Symbolic discovery of optimization algorithms", 2023, algorithm 2.

    Parameters
    ----------
    params : iterable of Tensor or dict
    lr : float, default 1e-4
    betas : (float, float), default (0.9, 0.99)
        How much of the mean is in a step, and how slowly the mean forgets.
    weight_decay : float, default 0
        No part of the gradient: p = p - lr weight_decay p.
    maximize : bool, default False
    foreach, capturable, differentiable, fused : bool, optional
        Taken, and without effect here.

    Examples
    --------
    >>> import ranvier as rv
    >>> w = rv.tensor([1.0], requires_grad=True)
    >>> optimizer = rv.optim.Lion([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([0.9000], requires_grad=True)
    """

    rules: ClassVar[dict[str, Rule]] = {
        "lr": NOT_NEGATIVE,
        "betas": BETAS,
        "weight_decay": NOT_NEGATIVE,
        "maximize": FLAG,
    }
    op = staticmethod(ops.lion_updates)
    state_names = ("exp_avg",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        settings = {
            "lr": lr,
            "betas": betas,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, settings)

    def attributes(self, group: Mapping[str, Any]) -> tuple[Any, ...]:
        """The attributes of the op."""
        beta1, beta2 = group["betas"]
        return (
            beta1,
            beta2,
            group["weight_decay"],
            group["maximize"],
        )
