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
from ranvier._capture import Entry, Place, together
from ranvier._grad import no_grad
from ranvier.training.batches import Batch, RowBatches, Step
from ranvier.training.recorded import RecordedSteps, RowStep

if TYPE_CHECKING:
    from ranvier.training.loop import Run

SECONDS = 0.03  # without Python
_BYTES = 1 << 20  # of what steps without Python leave behind


def rows_of(run: Run) -> RowBatches | None:
    """The rows of a run in whose epochs Python has nothing to do between steps; None: it has."""
    heard = any(run.listeners[event] for event in ("on_step_begin", "on_step_end"))
    fits = (
        isinstance(run.steps, RecordedSteps)
        and not (heard or run.stopping or run.task.steps_itself or run.looks_again)
        and _C.is_grad_enabled()
        and run.task.optimizer.takes_finite
    )
    return run.task.rows_in_memory() if fits else None


class Epoch:
    """One pass over the rows of a run."""

    def __init__(self, run: Run, rows: RowBatches, meters: dict[str, Any]) -> None:
        assert isinstance(run.steps, RecordedSteps)
        self.run, self.batches, self.meters, self.steps = run, rows, meters, run.steps
        self.drawn = self.batches.drawn()
        self.lists = self.batches.lists(self.drawn)

    def losses(self, done: int = 0) -> Iterator[tuple[int, list[float]]]:
        """Whenever steps behind those that are done were taken, their rows and the loss of each."""
        count, size = len(self.batches.X), self.batches.batch_size * self.batches.accumulate
        start = done * size
        while start < count:
            rows = min(size, count - start)
            entry = self.steps.entry_for_rows(rows, bool(self.meters))
            taken: list[float] = []
            if entry is not None:
                most = self.run.most_steps((count - start) // rows)
                taken = self.many(entry, start, rows, most)
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
        count = max(1, min(count, _BYTES // max(entry.result_bytes, 1)))
        out = entry.room(count)
        run.task.prepare_steps()
        if run.task.seed is not None:
            run.arithmetic.write_keys(self.plan(rows), run.step + 1)
        run.updates.begin()
        try:
            done = _C.run_steps(entry.program, self.lists, start, rows, count, SECONDS, out) or 0
            run.step += done
            whole = done == 0 or bool(out[-1][done - 1].item())
            for _ in range(done if whole else done - 1):
                run.task.finish_step()
        finally:
            run.updates.end()
        if not whole:
            failed = self.step(start + (done - 1) * rows, rows)
            run.fail_at(entry.together([t[done - 1] for t in out]), failed)
        if not done:
            return []
        if self.meters:
            self.measure(entry, out, start, rows, done)
        return values_of(entry.form, out, done)

    def plan(self, rows: int) -> Step:
        """Batches of a step, of which only the rows count."""
        size = self.batches.batch_size
        return [Batch(None, None, min(size, rows - at)) for at in range(0, rows, size)]

    def measure(self, entry: Entry, out: list[Tensor], start: int, rows: int, done: int) -> None:
        """Adds what steps gave to the counters, all at once where that is the same."""
        seen: list[Any] = entry.form.seen
        with no_grad():
            if len(seen) == 1 and self.run.task.adds_up(self.meters):
                flat = [t[:done].reshape(-1, *t.shape[2:]) if t.ndim > 1 else t for t in out]
                self.add(together(seen[0], flat), start, done * rows)
                return
            size = self.batches.batch_size
            for i in range(done):
                parts, at = [t[i] for t in out], start + i * rows
                for place, part in enumerate(seen):
                    count = min(size, rows - place * size)
                    self.add(together(part, parts), at, count)
                    at += count

    def add(self, seen: Any, start: int, rows: int) -> None:
        """Adds rows to the counters."""
        batch = self.batches.targets(start, start + rows, self.drawn)
        self.run.task.measure(self.meters, seen, batch)


def values_of(form: Any, out: list[Tensor], done: int) -> list[float]:
    """The losses of steps, each in the order in which `value_of` adds one up."""
    arrays = [(t.float() if t.dtype is _C.bfloat16 else t).numpy() for t in out]

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
