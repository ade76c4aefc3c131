"""Adagrad. The formula is that of the op `adagrad_update`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from ranvier._C import ops
from ranvier.optim.groups import FLAG, NOT_NEGATIVE, Rule
from ranvier.optim.optimizer import Optimizer


class Adagrad(Optimizer):
    """Steps scaled by the sum of all squared gradients: p = p - lr g / (sqrt(sum) + eps).

    Duchi, Hazan and Singer, "Adaptive subgradient methods for online learning and stochastic
    optimization", 2011.

    Parameters
    ----------
    params : iterable of Tensor or dict
    lr : float, default 1e-2
    lr_decay : float, default 0
        Step t takes lr / (1 + (t - 1) lr_decay).
    weight_decay : float, default 0
        Added to the gradient as weight_decay p.
    initial_accumulator_value : float, default 0
        Where the sum begins.
    eps : float, default 1e-10
    maximize : bool, default False
    foreach, differentiable, fused : bool, optional
        Taken, and without effect here.

    Examples
    --------
    >>> import ranvier as rv
    >>> w = rv.tensor([1.0], requires_grad=True)
    >>> optimizer = rv.optim.Adagrad([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([0.9000], requires_grad=True)
    """

    rules: ClassVar[dict[str, Rule]] = {
        "lr": NOT_NEGATIVE,
        "lr_decay": NOT_NEGATIVE,
        "weight_decay": NOT_NEGATIVE,
        "initial_accumulator_value": NOT_NEGATIVE,
        "eps": NOT_NEGATIVE,
        "maximize": FLAG,
    }
    op = staticmethod(ops.adagrad_updates)
    state_names = ("step", "sum")
    # Attributes of the op, for classes with other conventions.
    decoupled = False
    eps_inside = False

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        settings = {
            "lr": lr,
            "lr_decay": lr_decay,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "eps": eps,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, settings)

    def attributes(self, group: Mapping[str, Any]) -> tuple[Any, ...]:
        """The attributes of the op."""
        return (
            group["lr_decay"],
            group["eps"],
            group["weight_decay"],
            group["initial_accumulator_value"],
            group["maximize"],
            self.decoupled,
            self.eps_inside,
        )
