"""Averaged gradient descent. The formula is that of the op `asgd_update`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from ranvier._C import ops
from ranvier.optim.groups import FINITE, FLAG, NOT_NEGATIVE, Rule
from ranvier.optim.optimizer import Optimizer


class ASGD(Optimizer):
    """Gradient descent that keeps the mean of the parameters, in `state[p]["ax"]`.

    Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", 1992.

    Parameters
    ----------
    params : iterable of Tensor or dict
    lr : float, default 1e-2
    lambd : float, default 1e-4
        Decay: p = p (1 - lambd eta).
    alpha : float, default 0.75
        Step t + 1 takes eta = lr / (1 + lambd lr t)^alpha.
    t0 : float, default 1e6
        The step after which the mean is one; before, it is the parameter.
    weight_decay : float, default 0
        Added to the gradient as weight_decay p.
    maximize : bool, default False
    foreach, differentiable, capturable : bool, optional
        Taken, and without effect here.

    Examples
    --------
    >>> import ranvier as rv
    >>> w = rv.tensor([1.0], requires_grad=True)
    >>> optimizer = rv.optim.ASGD([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([0.8000], requires_grad=True)
    """

    rules: ClassVar[dict[str, Rule]] = {
        "lr": NOT_NEGATIVE,
        "lambd": NOT_NEGATIVE,
        "alpha": FINITE,
        "t0": FINITE,
        "weight_decay": NOT_NEGATIVE,
        "maximize": FLAG,
    }
    op = staticmethod(ops.asgd_updates)
    state_names = ("step", "eta", "mu", "ax")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        settings = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, settings)

    def attributes(self, group: Mapping[str, Any]) -> tuple[Any, ...]:
        """The attributes of the op."""
        return (
            group["lambd"],
            group["alpha"],
            group["t0"],
            group["weight_decay"],
            group["maximize"],
        )
