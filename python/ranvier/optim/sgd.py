"""Gradient descent, with momentum if asked for. The formula is that of the op `sgd_update`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from ranvier._C import ops
from ranvier.optim.groups import FINITE, FLAG, NOT_NEGATIVE, Rule
from ranvier.optim.optimizer import Optimizer


class SGD(Optimizer):
    """p = p - lr b with b = momentum b + (1 - dampening) (gradient + weight_decay p).

    Parameters
    ----------
    params : iterable of Tensor or dict
    lr : float, default 1e-3
    momentum, dampening, weight_decay : float, default 0
    nesterov : bool, default False
        Needs momentum and no dampening.
    maximize : bool, default False
    foreach, differentiable, fused : bool, optional
        Taken, and without effect here.

    Examples
    --------
    >>> import ranvier as rv
    >>> w = rv.tensor([1.0], requires_grad=True)
    >>> optimizer = rv.optim.SGD([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([0.8000], requires_grad=True)
    """

    rules: ClassVar[dict[str, Rule]] = {
        "lr": NOT_NEGATIVE,
        "momentum": NOT_NEGATIVE,
        "dampening": FINITE,
        "weight_decay": NOT_NEGATIVE,
        "nesterov": FLAG,
        "maximize": FLAG,
    }
    op = staticmethod(ops.sgd_updates)
    state_names = ("step", "momentum_buffer")
    # Attributes of the op, for classes with other conventions.
    decoupled = False
    lr_in_momentum = False

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        settings = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, settings)

    @classmethod
    def check_together(cls, settings: Mapping[str, Any]) -> None:
        """Nesterov's form needs momentum, and no dampening."""
        momentum, dampening = settings["momentum"], settings["dampening"]
        if settings["nesterov"] and (momentum <= 0 or dampening != 0):
            raise ValueError(
                f"[{cls.__name__}] nesterov: expected momentum > 0 and dampening 0 with it, got "
                f"momentum {momentum} and dampening {dampening}"
            )

    def state_for(self, group: Mapping[str, Any]) -> tuple[str, ...]:
        """The buffer, where there is momentum."""
        return self.state_names if group["momentum"] else ()

    def attributes(self, group: Mapping[str, Any]) -> tuple[Any, ...]:
        """The attributes of the op."""
        return (
            group["momentum"],
            group["dampening"],
            group["weight_decay"],
            group["nesterov"],
            group["maximize"],
            self.decoupled,
            self.lr_in_momentum,
        )
