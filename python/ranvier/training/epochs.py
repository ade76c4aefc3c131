"""Epochs over rows in memory: steps that gather their rows by themselves, many of them in one call.

A recorded step takes the numbers of its rows, so that an epoch is one list of numbers, on whose
parts the core runs the same program without coming back to Python. It comes back every few
hundredths of a second, for Ctrl-C, and for what is measured beside the loss.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ranvier import _C
from ranvier._C import Tensor
from ranvier._capture import Entry, Place
from ranvier._grad import no_grad
from ranvier.training.batches import Batch, RowBatches, Step
from ranvier.training.inputs import Rows
from ranvier.training.meters import Confusion, Share
from ranvier.training.recorded import RecordedSteps, RowStep
from ranvier.training.task import Task

if TYPE_CHECKING:
    from ranvier.training.loop import Run

SECONDS = 0.03  # without Python
_BYTES = 1 << 20  # of what steps without Python leave behind
_ADDING = (Confusion, Share)  # meters to which many batches are one


def fits(run: Run) -> bool:
    """Whether the epochs of a run are such that Python has nothing to do between steps."""
    task, batches = run.task, run.task.batches
    heard = any(run.listeners[event] for event in ("on_step_begin", "on_step_end"))
    return (
        isinstance(run.steps, RecordedSteps)
        and type(batches) is RowBatches
        and type(batches.X) is Rows
        and type(batches.y) is Rows
        and not (heard or run.stopping or task.steps_itself or run.looks_again)
        and _C.is_grad_enabled()
        and task.optimizer.takes_finite
        and type(task).finish_step is Task.finish_step
        and task.keeps_rows
    )


class Epoch:
    """One pass over the rows of a run."""

    def __init__(self, run: Run, meters: dict[str, Any]) -> None:
        assert isinstance(run.steps, RecordedSteps) and isinstance(run.task.batches, RowBatches)
        self.run, self.meters, self.steps = run, meters, run.steps
        self.batches = run.task.batches
        self.drawn = self.batches.drawn()
        self.lists = self.batches.lists(self.drawn)

    def losses(self) -> Iterator[tuple[int, list[float]]]:
        """Whenever steps were taken, their rows and the loss of each."""
        count, size = len(self.batches.X), self.batches.batch_size * self.batches.accumulate
        start = 0
        while start < count:
            rows = min(size, count - start)
            entry = self.steps.entry_for_rows(rows, bool(self.meters))
            taken: list[float] = []
            if entry is not None:
                taken = self.many(entry, start, rows, (count - start) // rows)
            if not taken:
                taken = [self.run.run_step(self.step(start, rows), self.meters)]
            yield rows, taken
            start += len(taken) * rows

    def step(self, start: int, rows: int) -> RowStep:
        """The step that begins with this row."""
        parts = [numbers[start : start + rows] for numbers in self.lists]
        return RowStep(self.batches.step(start, start + rows, self.drawn), parts, self.batches)

    def many(self, entry: Entry, start: int, rows: int, count: int) -> list[float]:
        """The losses of as many steps as the time allows; none where the program does not fit."""
        run = self.run
        layouts = _C.program_results(entry.program)
        each = sum(int(_C.empty(shape, dtype).numel()) * 8 for shape, dtype in layouts)
        count = max(1, min(count, _BYTES // max(each, 1)))
        out = [_C.empty((count, *shape), dtype) for shape, dtype in layouts]
        run.arithmetic.write_keys(self.plan(rows), run.step + 1)
        run.updates.begin()
        try:
            done = _C.run_steps(entry.program, self.lists, start, rows, count, SECONDS, out)
        finally:
            run.updates.end()
        if not done:
            return []
        run.step += done
        if not out[-1][done - 1].item():
            failed = self.step(start + (done - 1) * rows, rows)
            run.fail_at(entry.together([t[done - 1] for t in out]), failed)
        if self.meters:
            self.measure(entry, out, start, rows, done)
        return values_of(entry.form, out, done)

    def plan(self, rows: int) -> Step:
        """Batches of a step, of which only the rows count."""
        size = self.batches.batch_size
        return [Batch(None, None, min(size, rows - at)) for at in range(0, rows, size)]

    def measure(self, entry: Entry, out: list[Tensor], start: int, rows: int, done: int) -> None:
        """Adds what steps gave to the counters, all at once where that is the same."""
        seen = [out[place.index] for place in entry.form.seen]
        together = len(seen) == 1 and all(isinstance(m, _ADDING) for m in self.meters.values())
        with no_grad():
            if together:
                whole = seen[0][:done].reshape(done * rows, *seen[0].shape[2:])
                self.add(whole, start, done * rows)
                return
            for i in range(done):
                at = start + i * rows
                for part in seen:
                    self.add(part[i], at, part.shape[1])
                    at += part.shape[1]

    def add(self, seen: Tensor, start: int, rows: int) -> None:
        """Adds rows to the counters."""
        target = self.batches.y.batch(start, start + rows, self.drawn[2])
        self.run.task.measure(self.meters, seen, Batch(None, target, rows))


def values_of(form: Any, out: list[Tensor], done: int) -> list[float]:
    """The losses of steps, each in the order in which `value_of` adds one up."""
    arrays = [t.numpy() for t in out]

    def numbers(part: Any) -> list[float]:
        if isinstance(part, Place):
            return [float(value) for value in arrays[part.index][:done].reshape(done)]
        return [float(part)] * done

    values = [0.0] * done
    for loss, scale in form.losses:
        parts = zip(values, numbers(loss), numbers(scale), strict=True)
        values = [value + number * factor for value, number, factor in parts]
    if form.penalty is not None:
        values = [a + b for a, b in zip(values, numbers(form.penalty), strict=True)]
    return values
