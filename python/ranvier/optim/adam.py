"""Adam and AdamW. The formula is that of the op `adam_update`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from ranvier._C import Tensor, ops
from ranvier.optim.optimizer import (
    BETAS,
    FLAG,
    NOT_NEGATIVE,
    Optimizer,
    ParamGroup,
    Rule,
    new_count,
    new_state,
)


class Adam(Optimizer):
    """Steps of the size of the learning rate, scaled by running moments of the gradient.

    Kingma and Ba, 2015, algorithm 1.

    Parameters
    ----------
    params : iterable of Tensor or dict
    lr : float, default 1e-3
    betas : (float, float), default (0.9, 0.999)
        How slowly the means of the gradient and of its square forget.
    eps : float, default 1e-8
    weight_decay : float, default 0
        Added to the gradient as weight_decay p.
    maximize : bool, default False

    Examples
    --------
    >>> import ranvier as rv
    >>> w = rv.tensor([1.0], requires_grad=True)
    >>> optimizer = rv.optim.Adam([w], lr=0.1)
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
    state_names = ("step", "exp_avg", "exp_avg_sq")
    decoupled = False

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
    ) -> None:
        settings = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, settings)

    def _update(self, group: ParamGroup, param: Tensor, grad: Tensor) -> None:
        state = self.state[param]
        if not state:
            state.update(step=new_count(), exp_avg=new_state(param), exp_avg_sq=new_state(param))
        beta1, beta2 = group["betas"]
        ops.adam_update(
            param,
            grad,
            group.lr,
            state["exp_avg"],
            state["exp_avg_sq"],
            state["step"],
            beta1,
            beta2,
            group["eps"],
            group["weight_decay"],
            self.decoupled,
            group["maximize"],
        )


class AdamW(Adam):
    """Adam with weight decay that is no part of the gradient: p = p - lr weight_decay p.

    Loshchilov and Hutter, 2019. Parameters as Adam's, with weight_decay 1e-2.

    Examples
    --------
    >>> import ranvier as rv
    >>> w = rv.tensor([1.0], requires_grad=True)
    >>> optimizer = rv.optim.AdamW([w], lr=0.1, weight_decay=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([0.8500], requires_grad=True)
    """

    decoupled = True

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, maximize=maximize)
