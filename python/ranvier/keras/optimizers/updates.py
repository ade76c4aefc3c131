"""The update rules of `ranvier.optim` with Keras' conventions: where epsilon stands, what decays.

Weight decay always shrinks the weight by itself, p = p - lr weight_decay p, before the update.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from ranvier import optim
from ranvier._C import ops
from ranvier.optim.groups import FINITE, NOT_NEGATIVE, Rule


class SGD(optim.SGD):
    """Momentum that holds changes: b = momentum b - lr g; p = p + b."""

    decoupled = True
    lr_in_momentum = True


class Adam(optim.Adam):
    """Epsilon hat: lr sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + eps)."""

    eps_hat = True


class RMSprop(optim.RMSprop):
    """Epsilon under the root, and momentum that holds changes."""

    decoupled = True
    eps_inside = True
    lr_in_momentum = True


class Adagrad(optim.Adagrad):
    """Epsilon under the root."""

    decoupled = True
    eps_inside = True


class Adadelta(optim.Adadelta):
    """As everywhere; weight decay by itself."""

    decoupled = True


class Adamax(optim.Adamax):
    """Epsilon added to the divisor."""

    decoupled = True
    eps_inside = True


class Ftrl(optim.Optimizer):
    """Follow the regularized leader. McMahan et al., 2013, algorithm 1.

    Parameters
    ----------
    params : iterable of Tensor or dict
    lr, lr_power, initial, l1, l2, l2_shrinkage, beta, weight_decay : float
    """

    rules: ClassVar[dict[str, Rule]] = {
        "lr": NOT_NEGATIVE,
        "lr_power": FINITE,
        "initial": NOT_NEGATIVE,
        "l1": NOT_NEGATIVE,
        "l2": NOT_NEGATIVE,
        "l2_shrinkage": NOT_NEGATIVE,
        "beta": NOT_NEGATIVE,
        "weight_decay": NOT_NEGATIVE,
    }
    op = staticmethod(ops.ftrl_updates)
    state_names = ("step", "accumulator", "linear")

    def __init__(self, params: Iterable[Any], **settings: float) -> None:
        super().__init__(params, settings)

    def state_for(self, group: Mapping[str, Any]) -> tuple[str, ...]:
        """The sum of squares and the linear term."""
        return self.state_names

    def attributes(self, group: Mapping[str, Any]) -> tuple[Any, ...]:
        """The attributes of the op."""
        return (
            group["lr_power"],
            group["initial"],
            group["l1"],
            group["l2"],
            group["l2_shrinkage"],
            group["beta"],
            group["weight_decay"],
            False,
            True,
        )
