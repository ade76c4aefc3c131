"""RAdam. The formula is that of the op `radam_update`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from ranvier._C import ops
from ranvier.optim.groups import BETAS, FLAG, NOT_NEGATIVE, Rule
from ranvier.optim.optimizer import Optimizer


class RAdam(Optimizer):
    """Adam that takes plain steps until the second moment can be trusted.

    Liu and others, "On the variance of the adaptive learning rate and beyond", 2020, algorithm 2.

    Parameters
    ----------
    params : iterable of Tensor or dict
    lr : float, default 1e-3
    betas : (float, float), default (0.9, 0.999)
        How slowly the means of the gradient and of its square forget.
    eps : float, default 1e-8
    weight_decay : float, default 0
        Added to the gradient as weight_decay p.
    decoupled_weight_decay : bool, default False
        Weight decay is no part of the gradient: p = p - lr weight_decay p.
    maximize : bool, default False
    foreach, capturable, differentiable : bool, optional
        Taken, and without effect here.

    Examples
    --------
    >>> import ranvier as rv
    >>> w = rv.tensor([1.0], requires_grad=True)
    >>> optimizer = rv.optim.RAdam([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([0.8000], requires_grad=True)
    """

    rules: ClassVar[dict[str, Rule]] = {
        "lr": NOT_NEGATIVE,
        "betas": BETAS,
        "eps": NOT_NEGATIVE,
        "weight_decay": NOT_NEGATIVE,
        "decoupled_weight_decay": FLAG,
        "maximize": FLAG,
    }
    op = staticmethod(ops.radam_updates)
    state_names = ("step", "exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        settings = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "capturable": capturable,
            "differentiable": differentiable,
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
            group["decoupled_weight_decay"],
            group["maximize"],
        )
