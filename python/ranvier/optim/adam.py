"""Adam and AdamW. The formula is that of the op `adam_update`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from ranvier._C import ops
from ranvier.optim.groups import BETAS, FLAG, NOT_NEGATIVE, Rule
from ranvier.optim.optimizer import Optimizer


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
    amsgrad : bool, default False
        Divide by the root of the largest second moment so far (Reddi, Kale and Kumar, 2018).
    maximize : bool, default False
    decoupled_weight_decay : bool, default False
        Decay as AdamW's.
    foreach, capturable, differentiable, fused : bool, optional
        Taken, and without effect here.

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
        "amsgrad": FLAG,
        "maximize": FLAG,
        "decoupled_weight_decay": FLAG,
    }
    op = staticmethod(ops.adam_updates)
    state_names = ("step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq")
    eps_hat = False  # an attribute of the op, for classes with other conventions

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        settings = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, settings)

    def state_for(self, group: Mapping[str, Any]) -> tuple[str, ...]:
        """Two moments, and with amsgrad the largest second one."""
        return self.state_names if group["amsgrad"] else self.state_names[:3]

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
            self.eps_hat,
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

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            maximize=maximize,
            foreach=foreach,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )
