"""Losses by name, module or function, and what each asks of the targets.

The arithmetic is in `ranvier.nn`; this file only finds it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from ranvier import nn
from ranvier._C import Tensor
from ranvier.nn import functional as F
from ranvier.training.batches import Batch, Step
from ranvier.training.errors import look_up

# labels: whole numbers, one a row. shares: numbers from 0 to 1 shaped as the model's output.
# values: numbers shaped as the model's output. free: whatever the function takes.
Kind = Literal["labels", "shares", "values", "free"]

_NAMED: dict[str, type[nn.Module]] = {
    "cross_entropy": nn.CrossEntropyLoss,
    "mse": nn.MSELoss,
    "half_squared_error": nn.HalfSquaredError,
    "binary_cross_entropy": nn.BCELoss,
    "bce": nn.BCELoss,
}
_KINDS: dict[type[nn.Module], Kind] = {
    nn.CrossEntropyLoss: "labels",
    nn.BCELoss: "shares",
    nn.MSELoss: "values",
    nn.HalfSquaredError: "values",
}
_FUNCTIONS: dict[object, Kind] = {
    F.cross_entropy: "labels",
    F.binary_cross_entropy: "shares",
    F.mse_loss: "values",
    F.half_squared_error: "values",
}


@dataclass(frozen=True)
class Loss:
    """A loss with its name and the kind of targets it takes."""

    name: str
    function: Callable[[Tensor, Tensor], Tensor]
    kind: Kind

    def __call__(self, where: str, prediction: Tensor, target: Tensor) -> Tensor:
        """The loss of some rows: one number."""
        value = self.function(prediction, target)
        if not isinstance(value, Tensor) or value.numel() != 1 or not value.dtype.is_floating_point:
            got = f"shape {value.shape}" if isinstance(value, Tensor) else type(value).__name__
            raise TypeError(
                f"[{where}] loss: expected {self.name} to give a tensor with one floating-point "
                f"number, got {got}; average over the rows"
            )
        return value

    def part(
        self, where: str, prediction: Tensor, batch: Batch, step: Step
    ) -> tuple[Tensor, float]:
        """The loss of a batch, and by what to multiply it to get its part of the step's loss."""
        return self(where, prediction, batch.target), 1.0


def resolve(where: str, loss: Any) -> Loss:
    """The loss that a name, an `nn` module or a function of prediction and target means."""
    if isinstance(loss, Loss):
        return loss
    if isinstance(loss, str):
        loss = look_up(f"[{where}] loss", loss, _NAMED)()
    if isinstance(loss, type) or not callable(loss):
        raise TypeError(
            f"[{where}] loss: expected a name ({', '.join(_NAMED)}), a module such as "
            f"nn.MSELoss() or a function of prediction and target, got {loss!r:.60}"
        )
    name = getattr(loss, "__name__", type(loss).__name__)
    return Loss(name, loss, _kind(loss))


def _kind(loss: Any) -> Kind:
    """What a module or a function of Ranvier asks of the targets; "free" for all others."""
    for kind, asked in _KINDS.items():
        if isinstance(loss, kind):
            return asked
    for function, asked in _FUNCTIONS.items():
        if loss is function:
            return asked
    return "free"
