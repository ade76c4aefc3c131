"""Steps that are recorded once and then replayed, where that gives what the code itself gives.

Whatever stands in the way (code that is not plain, a value that is read, shapes that keep
changing) leaves steps as they are, with one note for the run.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from ranvier import _C
from ranvier._C import Tensor
from ranvier._capture import MOST_PROGRAMS, Entry, Programs, is_on
from ranvier.training import plain
from ranvier.training.batches import Batch, RowBatches, Step
from ranvier.training.errors import warn
from ranvier.training.kept import Kept, likeness_of
from ranvier.training.step import Arithmetic, Taken


class RowStep(list[Batch]):
    """A step of rows in memory, with the numbers of these rows."""

    def __init__(self, batches: Step, numbers: list[Tensor], rows: RowBatches) -> None:
        super().__init__(batches)
        self.numbers, self.rows = numbers, rows


class RecordedSteps:
    """The steps of one run.

    Parameters
    ----------
    arithmetic : Arithmetic
        What a step is where it is not replayed.
    """

    def __init__(self, arithmetic: Arithmetic) -> None:
        self.arithmetic = arithmetic
        self.task = arithmetic.task
        self.kinds: dict[object, _C.Captured] = {}  # of steps, by what is no tensor in them
        self.by_rows: dict[tuple[int, bool], Programs] = {}  # of steps that gather their rows
        self.next_step = _C.as_tensor([0, 1, 0], _C.int64)  # what moves the keys of dropout on
        self.settings: object = None  # of the task, when steps were recorded
        self.renewals = 0
        self.told = False
        self.plain: plain.Check | None = None
        self.likeness: tuple[Any, ...] | None = None  # of the rows, where programs are kept

    def whole(self, step: Step, measured: bool) -> Taken:
        """Gradients and update, which changes nothing where a loss or gradient is not finite."""
        if isinstance(step, RowStep):
            return self.whole_of_rows(step, measured)
        if not self.task.is_settled(step):
            return self.arithmetic.whole(step, measured)
        tensors: list[Tensor] = []
        key: list[object] = [measured]
        for batch in step:
            if not (isinstance(batch.x, Tensor) and isinstance(batch.target, Tensor)):
                return self.arithmetic.whole(step, measured)
            tensors += [batch.x, batch.target]
            if batch.weight is not None:
                tensors.append(batch.weight)
            key.append((batch.rows, batch.weight is None))
        kind = self.kinds.get(tuple(key)) if self.holds() else None
        if kind is None:
            if not self.may_replay():
                return self.arithmetic.whole(step, measured)
            kind = self.kinds[tuple(key)] = self.new_kind(step, measured)
        self.arithmetic.updates.begin()
        taken: Taken = kind(*tensors)
        return taken

    # --- steps that gather their rows

    def entry_for_rows(self, rows: int, measured: bool) -> Entry | None:
        """The program of steps of so many rows, where there is one."""
        programs = self.by_rows.get((rows, measured)) if self.holds() else None
        return None if programs is None else programs.only()

    def whole_of_rows(self, step: RowStep, measured: bool) -> Taken:
        """As `whole`, by a program that takes the numbers of the rows."""
        key = sum(batch.rows for batch in step), measured
        programs = self.by_rows.get(key) if self.holds() else None
        if programs is None:
            if not self.may_replay():
                return self.arithmetic.whole(step, measured)
            programs = self.by_rows[key] = self.new_programs(step, measured)
        self.arithmetic.updates.begin()
        taken: Taken = programs.call(None, tuple(step.numbers), {})
        return taken

    def new_programs(self, step: RowStep, measured: bool) -> Programs:
        """Steps of as many rows, as a function of their numbers."""
        whole = self.function_of(sum(batch.rows for batch in step), measured, step.rows)
        return Programs(whole, MOST_PROGRAMS, reads_end=True, note=self.tell)

    def function_of(self, size: int, measured: bool, rows: RowBatches) -> Callable[..., Taken]:
        """A step of so many rows, by their numbers."""
        each = rows.batch_size
        counts = [min(each, size - start) for start in range(0, size, each)]
        keys = self.arithmetic.keys[: len(counts)]

        def whole(*numbers: Tensor) -> Taken:
            batches, at = [], 0
            for count in counts:
                end = at + count
                x, target = rows.X.batch(at, end, numbers[0]), rows.y.batch(at, end, numbers[1])
                weight = None
                if rows.weight is not None:
                    weight = rows.weight.index_select(0, numbers[2][at:end])
                batches.append(Batch(x, target, count, weight))
                at = end
            taken = self.arithmetic.whole(batches, measured)
            for key in keys:
                key.add_(self.next_step)
            return taken

        return whole

    # --- from one run to the next

    def take_over(self, rows: RowBatches) -> None:
        """Before the first epoch: goes on with the programs of the last run, where they fit."""
        own = likeness_of(rows, self.arithmetic.parameters)
        others = self.task.likeness()
        if own is None or others is None:
            return
        self.likeness = *own, *others
        kept = self.task.kept
        if kept is None or kept.likeness != self.likeness or not kept.hold():
            return
        self.plain, self.by_rows, self.settings = kept.check, kept.by_rows, self.task.settings()
        self.arithmetic.use_keys(kept.keys)
        for (size, measured), programs in self.by_rows.items():
            programs.function, programs.note = self.function_of(size, measured, rows), self.tell

    def leave(self) -> Kept | None:
        """What the next run may go on with."""
        for programs in self.by_rows.values():
            programs.function, programs.note = _gone, None  # they lead to the model, and here
        check, by_rows, self.by_rows = self.plain, self.by_rows, {}
        if self.likeness is None or check is None or check.reason is not None or check.reads:
            return None
        if any(programs.only() is None for programs in by_rows.values()):
            return None
        return Kept(self.likeness, by_rows, self.arithmetic.keys, check)

    # --- whether

    def holds(self) -> bool:
        """Whether what the code reads beside tensors is as it was when it was looked at."""
        if self.plain is None or self.plain.reason is not None:
            return False
        settings = self.task.settings()
        if settings != self.settings:
            self.settings, self.renewals = settings, self.renewals + 1
            self.kinds.clear()
            self.by_rows.clear()
        changed = self.plain.changed()
        if self.renewals > MOST_PROGRAMS:
            changed = "settings of Keras' objects"
        if changed is None:
            return True
        self.plain.reason = plain.Reason(f"reads {changed}, which has changed", "", 0)
        return False

    def may_replay(self) -> bool:
        """Whether another kind of step may be recorded."""
        if self.plain is None:
            self.plain = plain.check(self.task.model, self.task.loss.function)
            self.settings = self.task.settings()
        reason = self.plain.reason
        if reason is not None:
            place = f" ({os.path.basename(reason.filename)}:{reason.line})" if reason.line else ""
            self.tell(f"{reason.text}{place}")
            return False
        if len(self.kinds) + len(self.by_rows) >= MOST_PROGRAMS:
            self.tell("batches keep changing their sizes")
            return False
        return True

    def tell(self, reason: str) -> None:
        """Says why steps are not replayed, once a run."""
        if not self.told:
            self.told = True
            warn(
                f"[{self.task.where}] model: steps run as Python code, which is slower than being "
                f"replayed: {reason}"
            )

    # --- what is recorded

    def new_kind(self, step: Step, measured: bool) -> _C.Captured:
        """Steps like this one, as a function of their tensors."""
        rows = [(batch.rows, batch.weight is not None) for batch in step]

        def whole(*tensors: Tensor) -> Taken:
            given = iter(tensors)
            batches = []
            for count, weighs in rows:
                x, target = next(given), next(given)
                weight = next(given) if weighs else None
                batches.append(Batch(x, target, count, weight, target))
            return self.arithmetic.whole(batches, measured)

        programs = Programs(whole, MOST_PROGRAMS, reads_end=True, note=self.tell)

        def miss(*tensors: Tensor) -> object:
            return programs.call(captured, tensors, {})

        captured = _C.Captured(whole, miss)
        return captured


def _gone(*_: Tensor) -> Taken:
    """In place of a step that nobody takes any more."""
    raise RuntimeError("[fit] expected a program that was taken over, got one that was left")


def steps_of(arithmetic: Arithmetic) -> RecordedSteps | Arithmetic:
    """How a run takes its steps."""
    return RecordedSteps(arithmetic) if is_on() else arithmetic
