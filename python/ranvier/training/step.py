"""The arithmetic of a training step: from the tensors of its batches to changed parameters.

Nothing here reads a value, so that a step can be recorded and replayed as it is; whether an update
took place is itself a tensor. What reads, counts or raises stands in `loop.py`, around it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ranvier import _C
from ranvier._C import Tensor
from ranvier.nn.functional_norm import keyed_rows
from ranvier.training.batches import Batch, Step
from ranvier.training.interrupts import WholeSteps
from ranvier.training.task import Task


class Taken(NamedTuple):
    """What a step leaves behind for whoever reads values.

    Attributes
    ----------
    losses : list of (Tensor, float or Tensor)
        Of each batch its loss, and by what to multiply it to get its part of the step's loss.
    penalty : Tensor or None
        What the step's loss has beside them.
    seen : list
        Of each batch what is to be measured, where something is.
    finite : Tensor, bool ()
        Whether all losses and gradients are; only then did the step change anything.
    """

    losses: list[tuple[Tensor, float | Tensor]]
    penalty: Tensor | None
    seen: list[Any]
    finite: Tensor


class Arithmetic:
    """The arithmetic of the steps of a task.

    Parameters
    ----------
    task : Task
    updates : WholeSteps
        Told where an update begins; who calls tells it where that ends.
    """

    def __init__(self, task: Task, updates: WholeSteps) -> None:
        self.task, self.updates = task, updates
        own = list(task.model.parameters())
        self.parameters = [p for p in own if p.requires_grad]
        held = [p for group in task.optimizer.param_groups for p in group["params"]]
        # Each once. A list, as to walk through the modules would take longer than the update.
        self.with_gradients = list({id(p): p for p in [*own, *held]}.values())
        # Seed, step, and the number of the first row, of each batch: what dropout draws by.
        self.keys: list[Tensor] = []
        self._numbers: list[Any] = []  # the same memory, to write into

    def write_keys(self, step: Step, number: int) -> None:
        """Before a step: where its rows stand, for those layers that draw."""
        if self.task.seed is None:
            return
        while len(self.keys) < len(step):
            self.keys.append(_C.zeros((3,), _C.int64))
            self._numbers.append(self.keys[-1].numpy())
            self._numbers[-1][0] = self.task.seed
        row = 0
        for numbers, batch in zip(self._numbers, step, strict=False):
            numbers[1] = number
            numbers[2] = row
            row += batch.rows

    def use_keys(self, keys: list[Tensor]) -> None:
        """Takes these for keys, which programs of an earlier run read."""
        self.keys, self._numbers = keys, [key.numpy() for key in keys]
        for numbers in self._numbers:
            numbers[0] = self.task.seed

    def whole(self, step: Step, measured: bool) -> Taken:
        """Gradients and update, which changes nothing where a loss or gradient is not finite."""
        taken = self.gradients(step, measured)
        self.update(taken.finite)
        return taken

    def update(
        self, finite: Tensor | None = None, closure: Callable[[], float] | None = None
    ) -> None:
        """The optimizer's step and what belongs to it, with the gradients that are there.

        Parameters
        ----------
        finite : Tensor, bool (), optional
            Where it is False nothing changes.
        closure : callable, optional
            Computes loss and gradients anew, for an optimizer that asks.
        """
        task = self.task
        self.updates.begin()
        task.optimizer.finite = finite
        task.limit_gradients()
        if closure is None:
            task.optimizer.step()
        else:
            task.optimizer.step(closure)
        task.after_update()
        task.optimizer.finite = task.optimizer.grad_scale = None

    def gradients(self, step: Step, measured: bool = False) -> Taken:
        """Forward and backward of all batches: their gradients in place of those that are there."""
        task = self.task
        self.clear_gradients()
        losses, seen = [], []
        for place, batch in enumerate(step):
            prediction = self.forward(batch, place)
            loss, scale = task.loss_of(prediction, batch, step)
            if measured:
                seen.append(task.to_measure(prediction))
            loss.backward(_seed(loss, scale))
            losses.append((loss.detach(), scale))
            del prediction, loss  # and with them what backward needed
        penalty = task.penalty()
        if penalty is not None:
            penalty.backward()
        numbers = [loss for loss, _ in losses]
        numbers += [grad for p in self.parameters if (grad := p.grad) is not None]
        return Taken(losses, penalty, seen, _C.ops.tensors_finite(numbers))

    def forward(self, batch: Batch, place: int) -> Any:
        """What the model makes of the batch at this place of the step."""
        if not self.keys:
            return self.task.forward(batch)
        with keyed_rows(self.keys[place]):
            return self.task.forward(batch)

    def clear_gradients(self) -> None:
        """Of the whole model, of which the optimizer may hold a part, and of what else it holds."""
        for parameter in self.with_gradients:
            parameter.grad = None


def _seed(loss: Tensor, scale: float | Tensor) -> Tensor | None:
    """What backward begins with, so that it gives the gradient of loss times scale."""
    if isinstance(scale, Tensor):
        return scale.to(loss.dtype).reshape(loss.shape)
    return None if scale == 1 else _C.full(loss.shape, scale, loss.dtype)
