"""Forwards of a model in evaluation mode that are recorded once and replayed from then on.

A model keeps them itself, for each number of rows, so that they go with it. They are made only of
code that does nothing but compute, as in `fit`; all other models run as they are, and so do rows
for which there is no program.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import ref

from ranvier import _C
from ranvier._C import Program, Tensor
from ranvier._capture import MOST_PROGRAMS, Surroundings, is_on, obstacle
from ranvier._recording import witness
from ranvier.nn import Module
from ranvier.training import plain
from ranvier.training.inputs import Rows, SparseRows
from ranvier.training.modes import evaluating, sets_modes_itself

QUICK_ROWS = 256  # as many at most in a call that is answered at once
SECONDS = 0.03  # without Python, which looks for Ctrl-C
_ATTRIBUTE = "_ranvier_predictions"  # of modules
_BYTES = 64 << 20  # of memory that the programs of a model may keep

Forward = Callable[[Any, Tensor], Any]  # what a model makes of a batch, checked


class Recorded:
    """A forward of so many rows."""

    __slots__ = ("dtype", "program", "row", "rows", "surroundings")

    def __init__(self, program: Program, surroundings: Surroundings) -> None:
        self.program, self.surroundings = program, surroundings
        shape, self.dtype = _C.predicted(program) or ((0,), _C.float32)
        self.rows, self.row = shape[0], tuple(shape[1:])


class Predictions:
    """The recorded forwards of one model. They do not travel: copies of the model have none.

    Parameters
    ----------
    model : Module
    """

    def __init__(self, model: Module) -> None:
        self.model = ref(model)
        self.quick = _C.Captured(_nothing, _nothing)
        self.recorded: dict[Any, Recorded] = {}
        self.check: plain.Check | None = None
        self.refused: set[Any] = set()  # kinds of calls
        self.checked = self.version = 0  # of the structure that was checked, and refused
        self.tries = self.uses = 0
        self.copies = False  # programs copy what they are given, as the model writes to it

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return _nothing, ()

    def find(self, kind: Any) -> Recorded | None:
        """The program for such a call, where there is one and everything is as it was."""
        found = self.recorded.get(kind)
        if found is None:
            return None
        if self.check is None or self.check.changed() is not None:
            self.forget()
            return None
        if not found.surroundings.hold():
            return None
        self.uses += 1
        return found

    def forget(self) -> None:
        """Drops all programs."""
        self.quick.forget()
        self.recorded.clear()
        self.check = None

    def remember(self, found: Recorded) -> None:
        """Lets the compiled part answer, as long as the structure is what it is now."""
        version = found.surroundings.version
        if version == _C.structure_version():
            self.quick.remember(found.program, version, None, None)

    # --- recordings

    def refuses(self, kind: Any) -> bool:
        """Whether there is no use in a recording."""
        if self.tries > MOST_PROGRAMS + self.uses // 4:  # it keeps changing
            return True
        if self.version != _C.structure_version():
            self.refused.clear()
        return kind in self.refused

    def moved(self, before: int, moves: int) -> None:
        """Modes were changed and given back: if nobody else changed anything, nothing changed."""
        if _C.structure_version() == before + moves:
            self.version += moves if self.version == before else 0
            self.checked += moves if self.checked == before else 0

    def batch(self, x: Tensor, forward: Forward) -> Any:
        """The output for a batch; gradients are off."""
        x = x.detach().contiguous()
        kind = x.dtype, tuple(x.shape), x.dtype, tuple(x.shape[1:])
        found = self.find(kind)
        if found is not None and x.ndim and x.shape[0] == found.rows:
            output = _C.empty((found.rows, *found.row), found.dtype)
            if _C.predict_rows(found.program, x, 0, 1, SECONDS, output):
                return output
        elif not self.refuses(kind):
            return self.record(kind, x.clone(), forward)
        model, before = self.model(), _C.structure_version()
        assert model is not None
        with evaluating(model) as moves:
            output = forward(model, x.clone())
        self.moved(before, moves.count)
        return output

    def record(self, kind: Any, x: Tensor, forward: Forward) -> Any:
        """The output for a batch, by the model's own code; gradients are off.

        The memory of the batch is nobody else's, as layers may work in place.
        """
        model = self.model()
        assert model is not None
        before, copies = _C.structure_version(), self.copies
        made: Recorded | None = None
        with evaluating(model) as moves:
            if self.is_plain(model, before) and self.has_room(kind):
                output, made = self.recording(model, x, forward)
            else:
                output = forward(model, x)
        self.tries += 1
        begins_anew = self.copies and not copies
        if made is not None:
            self.recorded[kind] = made
        now = _C.structure_version()
        if now == before + moves.count:  # moved by nobody else
            self.checked = now
            if made is None and not begins_anew:
                self.refused.add(kind)
                self.version = now
            elif made is not None:
                made.surroundings.version = now
        return output

    def recording(self, model: Module, x: Tensor, forward: Forward) -> tuple[Any, Recorded | None]:
        """The output for a batch, and the program that gives it, if there is one."""
        answer: list[Any] = []

        def body(given: Tensor) -> list[Tensor]:
            answer.append(forward(model, given.clone() if self.copies else given))
            return answer[:] if isinstance(answer[0], Tensor) else []

        witness.begin()
        try:
            program, _ = _C.record_program(body, [x], True)
            used = witness.optimizers or witness.actions or witness.settings
            if program is None or used or obstacle(witness.modules, witness.optimizers):
                return answer[0], None
            surroundings = Surroundings(program, {id(module) for module in model.modules()})
        finally:
            witness.end()
        if _C.predicted(program) is None:
            self.copies = True
            return answer[0], None
        if program.arena_bytes > self.room():
            return answer[0], None
        return answer[0], Recorded(program, surroundings)

    def is_plain(self, model: Module, version: int) -> bool:
        """Whether the model's code does nothing but compute; the structure is of this version."""
        if self.check is not None and self.check.changed() is not None:
            self.forget()
        if self.check is not None and self.checked == version:
            return True
        self.check = plain.check(model)
        if self.check.reason is None and not sets_modes_itself(model):
            return True
        self.forget()
        return False

    def has_room(self, kind: Any) -> bool:
        """Whether another program may be made; those that are of no use any more make room."""
        self.recorded.pop(kind, None)
        if len(self.recorded) >= MOST_PROGRAMS or self.room() <= 0:
            all_of_them = self.recorded.copy().items()  # to which others may add meanwhile
            held = {kind: found for kind, found in all_of_them if found.surroundings.hold()}
            if len(held) < len(self.recorded):
                self.quick.forget()
            self.recorded = held
        return len(self.recorded) < MOST_PROGRAMS

    def room(self) -> int:
        """Bytes that programs may still take."""
        return _BYTES - sum(r.program.arena_bytes for r in self.recorded.copy().values())


def _nothing(*_: Any) -> None:
    """What is known of a call that no program answers."""


def of(model: Module) -> Predictions | None:
    """The recorded forwards of a model; None where nothing is to be recorded."""
    if not is_on() or _C.is_recording() or witness.active:
        return None
    kept = model.__dict__.get(_ATTRIBUTE)
    if isinstance(kept, Predictions) and kept.model() is model:
        return kept
    made = Predictions(model)
    object.__setattr__(model, _ATTRIBUTE, made)
    return made


def output_of(model: Module, x: Tensor, forward: Forward) -> Any:
    """The output for a batch in evaluation mode; gradients are off."""
    kept = of(model)
    if kept is not None:
        return kept.batch(x, forward)
    with evaluating(model):
        return forward(model, x.clone())


def quick_answer(model: Module, X: Any) -> Tensor | None:
    """The outputs for rows as they came before; None where more must be looked at."""
    kept = model.__dict__.get(_ATTRIBUTE)
    if kept is None or kept.check is None or kept.model() is not model:
        return None
    if kept.check.reads and kept.check.changed() is not None:
        kept.forget()
        return None
    answer: Tensor | None = kept.quick(X)
    return answer


class Outputs:
    """The outputs of a model for rows, written into one tensor; gradients are off.

    Parameters
    ----------
    model : Module
    X : Rows
    forward : callable
    """

    def __init__(self, model: Module, X: Rows, forward: Forward) -> None:
        self.model, self.X, self.forward = model, X, forward
        self.count, self.numbers = len(X), X.numbers()
        # Rows of one block are taken, and cast, by the program itself.
        self.is_block = type(X) is Rows and self.numbers is None and X.tensor.is_contiguous()
        self.result: Tensor | None = None

    def all(self, size: int) -> Tensor:
        """All of them, of so many rows at a time."""
        if _C.is_recording():
            return self.anew(size)
        # Programs hold the tensors of a sparse matrix: of no use to the next one.
        stored = isinstance(self.X, SparseRows) and self.X.held is not None
        kept, whole = None if stored else of(self.model), self.count - self.count % size
        for start, stop in ((0, whole), (whole, self.count)):
            if start < stop:
                self.some(kept, start, stop, min(size, stop - start))
        assert self.result is not None  # there is at least one row
        return self.result

    def some(self, kept: Predictions | None, start: int, stop: int, rows: int) -> None:
        """Batches of so many rows each."""
        if kept is None:
            self.eager(start, stop, rows)
            return
        first = self.part(start, rows)
        kind = first.dtype, tuple(first.shape), self.X.dtype, self.X.shape
        while start < stop:
            found = kept.find(kind)
            if found is not None:
                done = self.replayed(found, start, (stop - start) // rows)
                if self.is_block and rows == self.count <= QUICK_ROWS:
                    kept.remember(found)
                start += (done or self.eager(start, start + rows, rows)) * rows
            elif kept.refuses(kind):
                self.eager(start, stop, rows, kept)
                return
            else:
                part = self.part(start, rows).clone()  # layers may work in place
                self.add(start, kept.record(kind, part, self.of_part))
                start += rows

    def part(self, start: int, rows: int) -> Tensor:
        """What a program is given of some rows."""
        if self.is_block:
            return self.X.tensor[start : start + rows]
        return self.X.batch(start, start + rows, self.numbers).contiguous()

    def own(self, start: int, rows: int) -> Tensor:
        """What the model's own code is given of some rows."""
        return self.X.own_batch(start, min(start + rows, self.count), self.numbers)

    def of_part(self, model: Module, part: Tensor) -> Tensor:
        """What a program does with that."""
        rows = Rows(part, self.X.dtype, self.X.shape)
        output: Tensor = self.forward(model, rows.batch(0, part.shape[0], None))
        return output

    def replayed(self, found: Recorded, start: int, count: int) -> int:
        """How many batches a program did: none where it does not fit, or somebody else uses it."""
        if self.result is None:
            self.result = _C.empty((self.count, *found.row), found.dtype)
        if self.is_block:
            return _C.predict_rows(found.program, self.X.tensor, start, count, SECONDS, self.result)
        part = self.part(start, found.rows)
        into = self.result[start : start + found.rows]
        return _C.predict_rows(found.program, part, 0, 1, SECONDS, into)

    def eager(self, start: int, stop: int, rows: int, kept: Predictions | None = None) -> int:
        """Batches by the model's own code; how many."""
        before = _C.structure_version()
        with evaluating(self.model) as moves:
            for at in range(start, stop, rows):
                self.add(at, self.forward(self.model, self.own(at, rows)))
        if kept is not None:
            kept.moved(before, moves.count)
        return (stop - start) // rows

    def add(self, start: int, output: Tensor) -> None:
        """Writes the output for a batch to its place."""
        if self.result is None:
            self.result = _C.empty((self.count, *output.shape[1:]), output.dtype)
        self.result[start : start + output.shape[0]] = output

    def anew(self, size: int) -> Tensor:
        """All of them, as a part of something that is recorded."""
        with evaluating(self.model):
            parts = [
                self.forward(self.model, self.own(at, size)) for at in range(0, self.count, size)
            ]
        return _C.ops.cat(parts, 0)
