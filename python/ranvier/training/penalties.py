"""What keeps weights small: squares in the loss, soft thresholds, norms; and gradients' norm.

All of it is about weights: parameters with two axes or more that are no biases. What stands in the
loss (L2) and what is part of the update (L1, largest norm) are different things, and decoupled
weight decay, which is AdamW's, is a third.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from ranvier import optim
from ranvier._C import Tensor, ops
from ranvier._grad import no_grad
from ranvier.nn import Module, utils
from ranvier.nn.utils import clip

# Running means, or sums, of squared gradients by the names that optimizers keep them under.
_SQUARES = ("exp_avg_sq", "square_avg", "sum")


def not_negative(where: str, name: str, value: Any) -> float:
    """A finite number of 0 or more; a TypeError or ValueError otherwise."""
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        raise TypeError(f"[{where}] {name}: expected a number, got {value!r:.60}")
    number = float(value)
    if not math.isfinite(number) or number < 0:
        raise ValueError(
            f"[{where}] {name}: expected a finite number of 0 or more, got {value!r:.60}"
        )
    return number


def weights_of(model: Module) -> list[Tensor]:
    """The parameters that are trained and are weights."""
    return [
        parameter
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and parameter.ndim > 1 and not name.endswith("bias")
    ]


class Penalties:
    """The penalties of a run.

    Parameters
    ----------
    model : Module
    l1, l2 : float
    max_norm : float, optional
        Of the weights that lead into one output.
    clip_norm : float, optional
        Of all gradients together.
    """

    def __init__(
        self,
        model: Module,
        l1: float = 0.0,
        l2: float = 0.0,
        max_norm: float | None = None,
        clip_norm: float | None = None,
    ) -> None:
        self.l1, self.l2, self.max_norm, self.clip_norm = l1, l2, max_norm, clip_norm
        used = l1 > 0 or l2 > 0 or max_norm is not None
        self.weights = weights_of(model) if used else []

    def loss(self) -> Tensor | None:
        """l2 times the sum of all squared weights; None without it."""
        if not self.l2 or not self.weights:
            return None
        total: Tensor | None = None
        for weight in self.weights:
            part = (weight * weight).sum()
            total = part if total is None else total + part
        assert total is not None
        return total * self.l2

    def limit(self, parameters: Iterable[Tensor], optimizer: optim.Optimizer) -> None:
        """Scale all gradients down where their norm is larger than `clip_norm`.

        Where the optimizer can it does so as it reads them, in its next step.
        """
        if self.clip_norm is None:
            return
        if not optimizer.reads_grad_scale:
            utils.clip_grad_norm_(parameters, self.clip_norm)
            return
        grads = [p.grad for p in parameters if p.grad is not None]
        optimizer.grad_scale = clip.clip_factor(self.clip_norm, utils.get_total_norm(grads))

    def apply(self, optimizer: optim.Optimizer) -> None:
        """The parts of the update that come after the optimizer's, and are skipped as it is."""
        if not self.l1 and self.max_norm is None:
            return
        with no_grad():
            if self.l1:
                self._shrink(optimizer)
            if self.max_norm is not None:
                for weight in self.weights:
                    factor = clip.norm_factor(weight, self.max_norm, 2.0, [0])
                    weight.mul_(_where(optimizer.finite, factor, 1.0))

    def _shrink(self, optimizer: optim.Optimizer) -> None:
        """w = sign(w) max(|w| - t, 0), where t is what l1 would move a weight in this update.

        That is lr l1 (Daubechies, Defrise and De Mol, 2004, eq. 1.6), and where the optimizer
        divides gradients by a root of their squares, that too is divided by it (Yun, Lozano and
        Yang, 2021, algorithm 1): a weight rests at 0 while its gradient is no larger than l1.
        """
        mine = {id(weight) for weight in self.weights}
        for group in optimizer.param_groups:
            for weight in group["params"]:
                if id(weight) not in mine:
                    continue
                border = group.lr * self.l1
                root = _root(group, optimizer.state.get(weight, {}))
                if root is not None:
                    border = border / root
                border = _where(optimizer.finite, border, 0.0)
                # A number within the border loses itself: exactly 0.
                weight.sub_(weight.clamp(-border, border))


def _root(group: Mapping[str, Any], state: Mapping[str, Any]) -> Tensor | None:
    """What an optimizer divides the gradient of a parameter by; None where it does not."""
    squares = next((state[name] for name in _SQUARES if state.get(name) is not None), None)
    if squares is None:
        return None
    if "betas" in group:  # the mean began at 0
        squares = squares / (1 - group["betas"][1] ** state["step"])
    root: Tensor = squares.sqrt() + group.get("eps", 0.0)
    return root.clamp(min=1e-30)


def _where(finite: Tensor | None, new: Tensor, old: float) -> Tensor:
    """What is new after an update; what is old after one that was skipped."""
    return new if finite is None else ops.where(finite, new, old)
