"""The one training loop. Every way to train a model ends here.

Forward, loss, backward, update, step by step, all arithmetic in the core. A `Task` says what is
trained and how; a `Run` is one run of it. Neither holds a layer, loss or optimizer of its own, and
no step is ever taken with numbers that are not finite.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ranvier import _C, optim
from ranvier._C import Tensor
from ranvier._grad import enable_grad, no_grad
from ranvier.nn import Module
from ranvier.nn.functional_norm import keyed_rows
from ranvier.training import callbacks as events
from ranvier.training import diagnosis, losses
from ranvier.training import metrics as metric_names
from ranvier.training.batches import Batch, Batches, Step
from ranvier.training.errors import NonFiniteError
from ranvier.training.evaluation import forward, mode
from ranvier.training.history import History
from ranvier.training.interrupts import WholeSteps


class Task:
    """What is trained and how, all of it checked. A door overrides what it does differently.

    Parameters
    ----------
    model : Module
    batches : Batches
        What an epoch goes through.
    loss : Loss
    optimizer : Optimizer
    epochs : int
        The number of the last epoch.
    metrics : sequence of Metric
    first_epoch : int
        How many epochs count as done.
    seed : int, optional
        Dropout then draws by seed, step, call and row of the whole step, so that a step in parts
        drops what it would in one; if left out, from the default generator.
    where : str
        What messages begin with.
    """

    def __init__(
        self,
        model: Module,
        batches: Batches,
        loss: losses.Loss,
        optimizer: optim.Optimizer,
        epochs: int,
        *,
        metrics: Sequence[metric_names.Metric] = (),
        first_epoch: int = 0,
        seed: int | None = None,
        where: str = "fit",
    ) -> None:
        self.model, self.batches, self.loss, self.optimizer = model, batches, loss, optimizer
        self.epochs, self.first_epoch = epochs, first_epoch
        self.metrics, self.seed, self.where = tuple(metrics), seed, where

    def forward(self, batch: Batch) -> Any:
        """What the model makes of a batch."""
        return forward(self.where, self.model, batch.x)

    def loss_of(self, prediction: Any, batch: Batch, step: Step) -> tuple[Tensor, float]:
        """The loss of a batch, and by what to multiply it to get its part of the step's loss."""
        return self.loss.part(self.where, prediction, batch, step)

    steps_itself = False  # forward, backward and update are one call: `take_step`

    def take_step(self, step: Step) -> float:
        """A whole step, update included, and its loss: for a task that `steps_itself`."""
        raise TypeError(f"[{self.where}] expected a method 'take_step', got none")

    def values_of_epoch(self, loss: float, meters: dict[str, metric_names.Meter]) -> dict[str, Any]:
        """What is kept of an epoch, by names: its mean loss, and what was counted."""
        return {"loss": loss} | {name: meter.result() for name, meter in meters.items()}

    def penalty(self) -> Tensor | None:
        """What the loss has beside that of the rows, such as a sum of squared weights."""
        return None

    def limit_gradients(self) -> None:
        """Between backward and the update: clipping."""

    def after_update(self) -> None:
        """Part of the update, and as whole: constraints, thresholds."""

    def meters(self) -> dict[str, metric_names.Meter]:
        """Fresh counters for what an epoch measures beside the loss."""
        return {metric.name: metric.start() for metric in self.metrics}

    def measure(self, meters: dict[str, metric_names.Meter], prediction: Any, batch: Batch) -> None:
        """Add a batch to the counters; gradients are off."""
        seen = prediction.detach()
        for meter in meters.values():
            meter.update(seen, batch.target)

    @property
    def validates(self) -> bool:
        """Whether `validate` measures something in this epoch."""
        return False

    def validate(self) -> dict[str, float]:
        """What is measured on rows that are not trained on, by names without `val_`."""
        return {}


class Run:
    """One run of a task: its counters, its history, who listens, and the loop.

    Attributes
    ----------
    history : History
    epoch, step : int
        Where the run is; both count from 1, steps over the whole run.
    part : float
        How much of the running epoch is done, 0 to 1; 0 where nobody knows.
    """

    def __init__(self, task: Task, callbacks: Iterable[Any] = ()) -> None:
        self.task = task
        self.history = History()
        self.parameters = [p for p in task.model.parameters() if p.requires_grad]
        held = [p for group in task.optimizer.param_groups for p in group["params"]]
        # Each once. A list, as to walk through the modules would take longer than the update.
        self.with_gradients = list({id(p): p for p in [*task.model.parameters(), *held]}.values())
        self.epoch, self.step, self.part = task.first_epoch, 0, 0.0
        self.stopping = False
        self.changing = [p.detach() for p in self.parameters if p.dtype.is_floating_point]
        # Seed, step, and the number of the first row: what dropout draws by.
        self.key = None if task.seed is None else _C.zeros((3,), _C.int64)
        # L-BFGS asks for loss and gradients several times a step.
        self.looks_again = isinstance(task.optimizer, optim.LBFGS)
        self.updates = WholeSteps()
        self.listeners = events.listeners(callbacks)

    # --- for callbacks

    @property
    def model(self) -> Module:
        """What is trained."""
        return self.task.model

    @property
    def optimizer(self) -> optim.Optimizer:
        """What changes the parameters."""
        return self.task.optimizer

    @property
    def epochs(self) -> int:
        """The number of the last epoch."""
        return self.task.epochs

    @property
    def lr(self) -> float:
        """The learning rate, of the first group of parameters."""
        return float(self.task.optimizer.param_groups[0]["lr"])

    def stop(self, reason: str = "a callback stopped it") -> None:
        """End the run after the step, or the epoch, in which it is; `history.stopped` says why."""
        self.stopping = True
        self.history.stopped = reason

    def tell(self, event: str, logs: dict[str, float]) -> None:
        """Call everybody who listens to this."""
        for method in self.listeners[event]:
            method(self, logs)

    # --- the loop

    def train(self) -> History:
        """All epochs. Whatever ends the run, modes are restored and gradients are cleared."""
        start = time.perf_counter()
        try:
            with mode(self.model, True), enable_grad(), self.updates:
                self.run_epochs()
        except KeyboardInterrupt as interrupt:
            interrupt.history = self.history  # type: ignore[attr-defined]
            raise
        except NonFiniteError as error:
            if not any([method(self, error) for method in self.listeners["on_not_finite"]]):
                raise
            self.history.stopped = str(error)
        finally:
            self.history.seconds = time.perf_counter() - start
            self.clear_gradients()
            self.tell("on_close", {})
        return self.history

    def run_epochs(self) -> None:
        """Everything between the first and the last event of a run."""
        self.tell("on_train_begin", {})
        values: dict[str, float] = {}
        while self.epoch < self.epochs and not self.stopping:
            self.epoch += 1
            self.part = 0.0
            self.tell("on_epoch_begin", {})
            values = self.run_epoch()
            self.history.append(values)
            measured = set(values)
            self.tell("on_epoch_end", values)
            self.history.append({name: v for name, v in values.items() if name not in measured})
        self.tell("on_train_end", values)

    def train_on(self, step: Step) -> dict[str, float]:
        """A single step, with the modes and the care of a whole run; its loss and metrics."""
        try:
            with mode(self.model, True), enable_grad(), self.updates:
                meters = self.task.meters()
                return self.task.values_of_epoch(self.run_step(step, meters), meters)
        finally:
            self.clear_gradients()

    def clear_gradients(self) -> None:
        """Of the whole model, of which the optimizer may hold a part, and of what else it holds."""
        for parameter in self.with_gradients:
            parameter.grad = None

    def run_epoch(self) -> dict[str, float]:
        """One pass over the data, and what it measured."""
        task, meters = self.task, self.task.meters()
        steps, rows, total = task.batches.steps, 0, 0.0
        for done, step in enumerate(task.batches, 1):
            count = sum(batch.rows for batch in step)
            loss = self.run_step(step, meters)
            total += loss * count
            rows += count
            self.part = done / steps if steps else 0.0
            if self.listeners["on_step_end"]:
                self.tell("on_step_end", {"loss": loss})
            if self.stopping:
                break
        if not rows:
            raise ValueError(
                f"[{task.where}] X: expected at least one batch in epoch {self.epoch}, got none"
            )
        self.check_parameters()
        return task.values_of_epoch(total / rows, meters) | self.validate()

    def run_step(self, step: Step, meters: dict[str, metric_names.Meter]) -> float:
        """Forward, loss, backward, update; raises before the update if a number is not finite."""
        task = self.task
        self.step += 1
        if self.listeners["on_step_begin"]:
            self.tell("on_step_begin", {})
        if task.steps_itself:
            return self.own_step(step)
        value = self.all_gradients(step, meters)
        grads = [p.grad for p in self.parameters if p.grad is not None]
        if not _C.ops.tensors_finite(grads).item():
            self.fail_at_gradient()
        task.limit_gradients()
        self.updates.begin()
        try:
            if self.looks_again:
                task.optimizer.step(lambda: self.all_gradients(step, None))
            else:
                task.optimizer.step()
            task.after_update()
        finally:
            self.updates.end()
            task.optimizer.grad_scale = None
        return value

    def own_step(self, step: Step) -> float:
        """A step that the task takes as one; its loss shows only behind the update."""
        self.updates.begin()
        try:
            value = self.task.take_step(step)
        finally:
            self.updates.end()
        if not math.isfinite(value):
            self.fail("loss", str(value), "training stopped after the step, which had its update:")
        return value

    def all_gradients(self, step: Step, meters: dict[str, metric_names.Meter] | None) -> float:
        """The loss of a step, and its gradients in place of those that are there.

        Without meters the optimizer asks again in the middle of an update: nothing is counted, and
        a loss that is not finite is the optimizer's to deal with.
        """
        self.clear_gradients()
        value, row = 0.0, 0
        for batch in step:
            value += self.add_gradients(batch, step, row, meters)
            row += batch.rows
        penalty = self.task.penalty()
        if penalty is not None:
            value += float(penalty.item())
            penalty.backward()
        return value

    def forward(self, batch: Batch, row: int) -> Any:
        """What the model makes of a batch that begins with this row of the step."""
        if self.key is None:
            return self.task.forward(batch)
        self.key.numpy()[:] = self.task.seed, self.step, row
        with keyed_rows(self.key):
            return self.task.forward(batch)

    def add_gradients(
        self, batch: Batch, step: Step, row: int, meters: dict[str, metric_names.Meter] | None
    ) -> float:
        """Forward and backward of a batch; its part of the step's loss."""
        task = self.task
        prediction = self.forward(batch, row)
        loss, scale = task.loss_of(prediction, batch, step)
        value = float(loss.item()) * scale
        if meters is not None and not math.isfinite(value):
            self.fail_at_loss(value, lambda: self.forward(batch, row))
        if meters:
            with no_grad():
                task.measure(meters, prediction, batch)
        if scale == 1:
            loss.backward()
        else:
            loss.backward(_C.full(loss.shape, scale, loss.dtype))
        return value

    def validate(self) -> dict[str, float]:
        """What the model makes of the validation rows, with `val_` before each name."""
        if not self.task.validates:
            return {}
        self.tell("on_validation_begin", {})
        measured = self.task.validate()
        if not math.isfinite(measured.get("loss", 0.0)):
            self.fail(
                "validation loss",
                str(measured["loss"]),
                "training stopped after the epoch, whose updates were all finite: look at the "
                "validation data, or",
            )
        values = {f"val_{name}": value for name, value in measured.items()}
        self.tell("on_validation_end", values)
        return values

    # --- what stops a run

    def check_parameters(self) -> None:
        """An update of finite numbers can still overflow: seen at the end of the epoch."""
        if all(map(diagnosis.is_finite, self.changing)):  # a walk through the modules costs more
            return
        found = diagnosis.bad_parameter(self.model)
        if found:
            self.fail(
                found[0],
                diagnosis.describe(found[1]),
                "an update overflowed, and the model keeps it: start again from other weights, and",
            )

    def fail_at_loss(self, value: float, again: Callable[[], object]) -> None:
        """Say where it began, which shows when the model runs `again`."""
        self.check_parameters()
        origin = diagnosis.origin(self.model, again)
        self.fail("loss", f"{value}, which began in {origin}" if origin else str(value))

    def fail_at_gradient(self) -> None:
        """Say which gradient."""
        found = diagnosis.bad_gradient(self.model)
        assert found is not None  # that is why we are here
        self.fail(f"{found[0]} gradient", diagnosis.describe(found[1]))

    def fail(
        self, tensor: str, got: str, state: str = "training stopped before the update:"
    ) -> None:
        """Raise; `state` says what has become of the weights, and begins the advice."""
        rates = {float(group["lr"]) for group in self.optimizer.param_groups}
        now = ", ".join(f"{rate:g}" for rate in sorted(rates))
        raise NonFiniteError(
            f"[{self.task.where}] epoch {self.epoch}, step {self.step}, {tensor}: expected finite "
            f"numbers, got {got}; {state} try a smaller learning rate (now {now}) or scale the "
            "data",
            epoch=self.epoch,
            step=self.step,
            tensor=tensor,
            history=self.history,
        )
