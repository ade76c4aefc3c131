"""Rprop. The formula is that of the op `rprop_update`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from ranvier._C import ops
from ranvier.optim.groups import ETAS, FLAG, NOT_NEGATIVE, RANGE, Rule
from ranvier.optim.optimizer import Optimizer


class Rprop(Optimizer):
    """Steps by the sign of the gradient, longer while it stays and shorter when it changes.

    Riedmiller and Braun, "A direct adaptive method for faster backpropagation learning", 1993. For
    gradients of all rows: those of mini-batches change their sign too often.

    Parameters
    ----------
    params : iterable of Tensor or dict
    lr : float, default 1e-2
        The first step size.
    etas : (float, float), default (0.5, 1.2)
        What a step size is multiplied by where the sign changes, and where it stays.
    step_sizes : (float, float), default (1e-6, 50)
        The smallest and the largest.
    maximize : bool, default False
    capturable, foreach, differentiable : bool, optional
        Taken, and without effect here.

    Examples
    --------
    >>> import ranvier as rv
    >>> w = rv.tensor([1.0], requires_grad=True)
    >>> optimizer = rv.optim.Rprop([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([0.9000], requires_grad=True)
    """

    rules: ClassVar[dict[str, Rule]] = {
        "lr": NOT_NEGATIVE,
        "etas": ETAS,
        "step_sizes": RANGE,
        "maximize": FLAG,
    }
    op = staticmethod(ops.rprop_updates)
    state_names = ("step", "prev", "step_size")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        settings = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, settings)

    def attributes(self, group: Mapping[str, Any]) -> tuple[Any, ...]:
        """The attributes of the op."""
        less, more = group["etas"]
        smallest, largest = group["step_sizes"]
        return (
            less,
            more,
            smallest,
            largest,
            group["maximize"],
        )
