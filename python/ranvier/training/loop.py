"""The one training loop. Every way to train a model ends here.

Step by step, epoch by epoch: a `Task` says what is trained and how, `Arithmetic` is what a step
computes, and a `Run` is one run of it, which reads, counts, tells and raises. None holds a layer,
loss or optimizer of its own, and no step is ever taken with numbers that are not finite.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from ranvier import optim
from ranvier._C import Tensor
from ranvier._grad import enable_grad, no_grad
from ranvier.nn import Module
from ranvier.training import callbacks as events
from ranvier.training import diagnosis, epochs
from ranvier.training import metrics as metric_names
from ranvier.training.batches import Step
from ranvier.training.errors import NonFiniteError
from ranvier.training.history import History
from ranvier.training.interrupts import WholeSteps
from ranvier.training.modes import training
from ranvier.training.recorded import RecordedSteps, steps_of
from ranvier.training.step import Arithmetic, Taken
from ranvier.training.task import Task

if TYPE_CHECKING:
    from ranvier.training.keeping import Keeper


class Sums:
    """What an epoch has added up so far.

    Parameters
    ----------
    meters : dict of str to Meter
    """

    def __init__(self, meters: dict[str, metric_names.Meter]) -> None:
        self.meters = meters
        self.steps, self.rows, self.total = 0, 0, 0.0  # of the loss, times rows

    def add(self, rows: int, losses: list[float]) -> None:
        """Steps of so many rows each."""
        for loss in losses:
            self.total += loss * rows
        self.rows += rows * len(losses)
        self.steps += len(losses)

    def state_dict(self) -> dict[str, Any]:
        """All of it, as a checkpoint keeps it."""
        meters = {name: meter.state_dict() for name, meter in self.meters.items()}
        return {"steps": self.steps, "rows": self.rows, "total": self.total, "meters": meters}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from what `state_dict` gave."""
        self.steps, self.rows, self.total = state["steps"], state["rows"], state["total"]
        for name, meter in self.meters.items():
            meter.load_state_dict(state["meters"][name])


class Run:
    """One run of a task: its counters, its history, who listens, and the loop.

    Attributes
    ----------
    history : History
    epoch, step : int
        Where the run is; both count from 1, steps over the whole run.
    part : float
        How much of the running epoch is done, 0 to 1; 0 where nobody knows.
    resumed : bool
        Whether the run goes on from a checkpoint.
    """

    resumed = False

    def __init__(
        self, task: Task, callbacks: Iterable[Any] = (), keeper: Keeper | None = None
    ) -> None:
        self.task, self.keeper = task, keeper
        self.history = History()
        self.now: Sums | None = None  # of the epoch that runs
        self.logs: dict[str, float] = {}  # of the last epoch
        self.epoch, self.step, self.part = task.first_epoch, 0, 0.0
        self.stopping = False
        self.updates = WholeSteps()
        self.updates.patient = keeper is not None
        self.arithmetic = Arithmetic(task, self.updates)
        self.steps: Arithmetic | RecordedSteps = self.arithmetic
        trained = self.arithmetic.parameters
        self.changing = [p.detach() for p in trained if p.dtype.is_floating_point]
        # L-BFGS asks for loss and gradients several times a step.
        self.looks_again = isinstance(task.optimizer, optim.LBFGS)
        self.callbacks = tuple(callbacks)
        self.listeners = events.listeners(self.callbacks)

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
        """The learning rate, of the first group of parameters; setting it sets that of all."""
        return self.task.lr

    @lr.setter
    def lr(self, rate: float) -> None:
        self.change_lr(lambda _: rate)

    def change_lr(self, rule: Callable[[float], float]) -> None:
        """Set the learning rate of each group of parameters to what `rule` makes of it."""
        self.task.change_lr(rule)

    def so_far(self) -> dict[str, Any]:
        """What the epoch that runs has measured until now: the mean loss, and the metrics."""
        sums = self.now
        if sums is None or not sums.rows:
            return {}
        return self.task.values_of_epoch(sums.total / sums.rows, sums.meters)

    def stop(self, reason: str = "a callback stopped it") -> None:
        """End the run after the step, or the epoch, in which it is; `history.stopped` says why."""
        self.stopping = True
        self.history.stopped = reason

    def tell(self, event: str, logs: dict[str, float]) -> None:
        """Call everybody who listens to this."""
        for method in self.listeners[event]:
            try:
                method(self, logs)
            except Exception as error:
                events.blame(self, error, method, event)
                raise

    # --- the loop

    def train(self) -> History:
        """All epochs. Whatever ends the run, modes are restored and gradients are cleared."""
        start = time.perf_counter()
        self.steps = steps_of(self.arithmetic)
        try:
            with training(self.model), enable_grad(), self.updates:
                self.take_over()
                self.run_to_the_end()
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                error.history = self.history  # type: ignore[attr-defined]
            self.close(start, error)
            raise
        self.close(start)
        return self.history

    def run_to_the_end(self) -> None:
        """All epochs, or those before a number that is not finite, where somebody takes that."""
        try:
            self.run_epochs()
        except NonFiniteError as error:
            if not any([self.takes(method, error) for method in self.listeners["on_not_finite"]]):
                raise
            self.history.stopped = str(error)
            self.tell("on_train_end", self.logs)
        else:
            self.leave()

    def takes(self, method: Callable[..., bool], error: NonFiniteError) -> bool:
        """Whether somebody takes a number that is not finite for the end of the run."""
        try:
            return method(self, error)
        except Exception as other:
            events.blame(self, other, method, "on_not_finite")
            raise

    def close(self, start: float, ending: BaseException | None = None) -> None:
        """What is done whatever ended the run; `ending` is the error on its way, if one is.

        All who listen are told, also behind one that raises. What that raised comes in the end, or
        as a note of the error on its way.
        """
        self.history.seconds = time.perf_counter() - start
        self.arithmetic.clear_gradients()
        raised: Exception | None = None
        for method in self.listeners["on_close"]:
            try:
                method(self, {})
            except Exception as error:
                events.blame(self, error, method, "on_close")
                if ending is not None:
                    events.add_note(ending, f"and then {type(error).__name__}: {error!s:.200}")
                raised = raised or error
        if raised is not None and ending is None:
            raise raised

    def take_over(self) -> None:
        """Goes on with the programs of the last run, where there are some that fit."""
        rows = self.task.rows_in_memory()
        if rows is not None and isinstance(self.steps, RecordedSteps):
            self.steps.take_over(rows)

    def leave(self) -> None:
        """Leaves programs to the next run."""
        steps = self.steps
        self.task.kept = steps.leave() if isinstance(steps, RecordedSteps) else None

    def run_epochs(self) -> None:
        """Everything between the first and the last event of a run."""
        keeper, sums = self.keeper, None
        if keeper is None:
            self.tell("on_train_begin", {})
        else:
            sums = keeper.begin(self)
        while sums is not None or (self.epoch < self.epochs and not self.stopping):
            if sums is None:
                self.epoch += 1
                self.part = 0.0
                self.tell("on_epoch_begin", {})
                if keeper is not None:
                    keeper.epoch_begins()
            self.logs = self.run_epoch(sums or self.sums())
            sums = None
            self.history.append(self.logs)
            measured = set(self.logs)
            self.tell("on_epoch_end", self.logs)
            self.history.append({name: v for name, v in self.logs.items() if name not in measured})
            if keeper is not None:
                keeper.after_epoch(self)
        self.tell("on_train_end", self.logs)

    def sums(self) -> Sums:
        """Those of an epoch that begins."""
        return Sums(self.task.meters())

    def train_on(self, step: Step) -> dict[str, float]:
        """A single step, with the modes and the care of a whole run; its loss and metrics."""
        try:
            with training(self.model), enable_grad(), self.updates:
                meters = self.task.meters()
                return self.task.values_of_epoch(self.run_step(step, meters), meters)
        finally:
            self.arithmetic.clear_gradients()

    def run_epoch(self, sums: Sums) -> dict[str, float]:
        """One pass over the data, or the rest of it, and what it measured."""
        task, steps = self.task, self.task.batches.steps
        self.now = sums
        remaining: Iterable[tuple[int, list[float]]] = self.losses(sums)
        if self.stopping and sums.steps:  # it was stopped here, before it was interrupted
            remaining = ()
            self.drawn()
        for count, losses in remaining:
            sums.add(count, losses)
            self.part = sums.steps / steps if steps else 0.0
            if self.listeners["on_step_end"]:  # then steps come one by one
                self.tell("on_step_end", {"loss": losses[-1]})
            if self.listeners["on_progress"]:
                self.tell("on_progress", {"loss": sums.total / sums.rows})
            if self.keeper is not None:
                self.keeper.after_steps(self, sums)
            if self.stopping:
                break
        if not sums.rows:
            raise ValueError(
                f"[{task.where}] X: expected at least one batch in epoch {self.epoch}, got none"
            )
        self.check_parameters()
        return task.values_of_epoch(sums.total / sums.rows, sums.meters) | self.validate()

    def losses(self, sums: Sums) -> Iterator[tuple[int, list[float]]]:
        """Takes the steps of an epoch that are not done yet.

        Gives, of one or of several equal ones, the rows and the losses of each.
        """
        rows, drawn = epochs.rows_of(self), self.drawn
        if rows is not None:
            epoch = epochs.Epoch(self, rows, sums.meters)
            drawn()
            yield from epoch.losses(sums.steps)
            return
        steps = iter(self.task.batches)
        for _ in range(sums.steps):
            next(steps, None)
        drawn()
        for step in steps:
            yield sum(batch.rows for batch in step), [self.run_step(step, sums.meters)]

    def drawn(self) -> None:
        """The order of the epoch is drawn, and the steps that were done are left behind."""
        if self.keeper is not None:
            self.keeper.drawn()

    def most_steps(self, count: int) -> int:
        """How many of so many steps may be taken at once."""
        return count if self.keeper is None else min(count, self.keeper.steps_left(self.step))

    def run_step(self, step: Step, meters: dict[str, metric_names.Meter]) -> float:
        """A step, and then all that reads values of it: its loss, what is measured, what failed."""
        task = self.task
        self.step += 1
        if self.listeners["on_step_begin"]:
            self.tell("on_step_begin", {})
        if task.steps_itself:
            return self.own_step(step)
        task.prepare_step(step)
        self.arithmetic.write_keys(step, self.step)
        try:
            taken = self.take(step, bool(meters))
            task.finish_step()
        finally:
            task.optimizer.finite = task.optimizer.grad_scale = None
            self.updates.end()
        if meters:
            with no_grad():
                for batch, seen in zip(step, taken.seen, strict=True):
                    task.measure(meters, seen, batch)
        return value_of(taken)

    def take(self, step: Step, measured: bool) -> Taken:
        """Gradients and update; raises, with nothing changed, where a number is not finite."""
        optimizer = self.optimizer
        if optimizer.takes_finite:
            began, stepped = bool(optimizer.state), optimizer.stepped
            taken = self.steps.whole(step, measured)
            if not taken.finite.item():
                optimizer.stepped = stepped
                if not began:
                    optimizer.state.clear()
                self.fail_at(taken, step)
            return taken
        taken = self.arithmetic.gradients(step, measured)
        if not taken.finite.item():
            self.fail_at(taken, step)
        # A loss that is not finite in the middle of an update is the optimizer's to deal with.
        again = (lambda: value_of(self.arithmetic.gradients(step))) if self.looks_again else None
        self.arithmetic.update(closure=again)
        return taken

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

    def validate(self) -> dict[str, float]:
        """What the model makes of the validation rows, with `val_` before each name."""
        self.task.epoch = self.epoch - 1
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
        if diagnosis.all_finite(self.changing):  # a walk through the modules costs more
            return
        found = diagnosis.bad_parameter(self.model)
        if found:
            self.fail(
                found[0],
                diagnosis.describe(found[1]),
                "an update overflowed, and the model keeps it: start again from other weights, and",
            )

    def fail_at(self, taken: Taken, step: Step) -> None:
        """Say where in a step the first number is that is not finite."""
        for place, part in enumerate(taken.losses):
            value = number_of(part)
            if not math.isfinite(value):
                forward = functools.partial(self.arithmetic.forward, step[place], place)
                self.fail_at_loss(value, forward)
        self.fail_at_gradient()

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


def number_of(part: tuple[Tensor, float | Tensor]) -> float:
    """A part of the step's loss, of the loss of a batch and its share."""
    loss, scale = part
    return float(loss.item()) * float(scale)


def value_of(taken: Taken) -> float:
    """The loss of a step."""
    value = 0.0
    for part in taken.losses:
        value += number_of(part)
    return value if taken.penalty is None else value + float(taken.penalty.item())
