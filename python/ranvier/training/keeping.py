"""The state of a run of `fit`: everything that its next step depends on, and a run from it.

A `Keeper` belongs to one run. It says after which steps the state is kept, collects it, and puts it
back, so that what follows is bit by bit what would have followed. Nothing here touches a file;
`checkpoint.py` does.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier import _C
from ranvier._C import Generator, Tensor
from ranvier._grad import no_grad
from ranvier.nn import Module
from ranvier.training import diagnosis, sameness
from ranvier.training.callbacks import Weights, name_of
from ranvier.training.checkpoint import Checkpoint, Files
from ranvier.training.errors import warn
from ranvier.training.loaders import generators_of
from ranvier.training.modes import Moves

if TYPE_CHECKING:
    from ranvier.training.loop import Run, Sums
    from ranvier.training.task import Task

# What the state holds, and of which type each part is.
_PARTS: dict[str, Any] = {
    "model": dict, "buffers": dict, "modes": dict, "optimizer": dict, "others": list,
    "loss": (dict, type(None)), "callbacks": list, "random": dict, "epoch": int, "step": int,
    "sums": (dict, type(None)), "history": dict, "logs": dict, "stopped": (str, type(None)),
    "key": int, "start": Tensor, "settings": dict, "older": list,
}  # fmt: skip
_LATER: dict[str, Any] = {"task": dict, "begun": dict}  # which not every state has
_SETTINGS = {"model", "loss", "optimizer", "batch_size", "seed"}  # that every version writes


class Keeper:
    """Keeps the state of one run, or goes on from one that was kept.

    Parameters
    ----------
    checkpoint : Checkpoint

    Attributes
    ----------
    saved : dict or None
        The state to go on from.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint, self.every = checkpoint, checkpoint.every
        self.backup: Any = None  # a callback for which the state is kept
        self.files = Files(checkpoint.path, checkpoint.keep)
        self.saved = self.files.read() if checkpoint.resume else None
        if self.saved is not None:
            self._check_parts(self.saved)
        default = _C.default_generator()
        self.start: Tensor = default.get_state() if self.saved is None else self.saved["start"]
        self.generators: list[Generator] = [default]
        self.foreign = False  # whether Python's and NumPy's random numbers belong to the state
        self._before = self.start
        self._begun: Any = _foreign() if self.saved is None else self.saved.get("begun")
        self.settings: dict[str, Any] = {}
        self.written: tuple[int, bool] | None = None  # the step, and whether within an epoch
        self._epoch: dict[str, Any] = {}  # random numbers before the order of the epoch is drawn
        self._now: dict[str, Any] | None = None  # and behind it, where a run goes on
        self._loose: set[str] = set()  # buffers that are not finite from the start
        self._warned = False

    def _check_parts(self, saved: Mapping[str, Any]) -> None:
        later = {name: kind for name, kind in _LATER.items() if name in saved}
        for name, kind in {**_PARTS, **later}.items():
            value = saved.get(name, ...)
            if not isinstance(value, kind) or isinstance(value, bool):
                got = "none" if value is ... else type(value).__name__
                raise self.wrong(f"expected {name!r} as fit writes it, got {got}")
        numbers = (saved["epoch"], saved["step"], saved["key"], *saved["older"])
        if not all(type(n) is int and 0 <= n < 2**63 for n in numbers):
            raise self.wrong(f"expected numbers of epochs and steps, got {numbers!r:.60}")
        if not saved["settings"].keys() >= _SETTINGS:
            raise self.wrong(f"expected settings with {', '.join(sorted(_SETTINGS))}, got fewer")
        start = saved["start"]
        if start.dtype is not _C.uint8 or start.shape != (16,):
            raise self.wrong(f"expected 'start' as 16 bytes, got {start.dtype.name} {start.shape}")

    def wrong(self, problem: str) -> ValueError:
        """What to raise for a whole file that `fit` did not write so."""
        return self.files.damaged(f"{self.files.path}: {problem}")

    def ended(self) -> None:
        """The run has ended by itself: where a callback kept its state, that may be removed."""
        if self.backup is not None:
            self.backup.ended(self.files)

    # --- before the run

    @contextmanager
    def beginning(self, seeded: bool) -> Iterator[None]:
        """Random numbers are where they were when the run began; on an error, where they are."""
        default = _C.default_generator()
        self._before = before = default.get_state()
        others = _foreign()
        try:
            if self.saved is not None and not seeded:
                default.set_state(self.start)
            if self.saved is not None and self._begun is not None:
                self._put_begun(self._begun)
            yield
        except BaseException:
            default.set_state(before)
            _put_foreign(others)
            raise

    def compare(
        self,
        task: Task,
        callbacks: Iterable[Any],
        own: Generator,
        settings: Mapping[str, Any],
    ) -> None:
        """A ValueError unless this run is the one whose state there is.

        Parameters
        ----------
        task : Task
        callbacks : iterable
        own : Generator
            What the orders of epochs are drawn by.
        settings : mapping of str to object
            What the run was given, as `sameness` describes it.
        """
        self._listen_to(task, own)
        for metric in task.metrics:
            if not with_state([metric.start()]):
                raise TypeError(
                    f"[fit] metrics: {metric.name}: expected a counter with state_dict and "
                    "load_state_dict beside a checkpoint, got one without"
                )
        kinds = [name_of(callback) for callback in with_state(callbacks)]
        self.settings = {**settings, "callbacks with a state": kinds}
        if self.saved is None:
            return
        found = sameness.differences(self.saved["settings"], self.settings)
        done = self.saved["epoch"] - (self.saved["sums"] is not None)
        if task.epochs < done:
            found.append(f"epochs {done} or more, which are done, got {task.epochs}")
        if found:
            raise ValueError(
                f"[fit] checkpoint: {self.files.given}: expected what its run was given: "
                f"{'; '.join(found)}; give fit the same, or another path, or start anew with "
                "rv.Checkpoint(..., resume=False)"
            )
        if task.seed is not None:
            task.seed = self.saved["key"]

    def _listen_to(self, task: Task, own: Generator) -> None:
        """Whose random numbers belong to the state."""
        found = [own, *task.generators()]
        for source in task.sources():
            self.foreign = True
            found += generators_of(source)
        for generator in found:
            memory = [known.state.data_ptr() for known in self.generators]
            if generator.state.data_ptr() not in memory:
                self.generators.append(generator)

    # --- in the run

    def begin(self, run: Run) -> Sums | None:
        """Tells that the run begins; gives the sums of the epoch in which it goes on, if in one."""
        sums = None
        if self.saved is None:
            run.tell("on_train_begin", {})
        else:
            sums = self._go_on(run, self.saved)
        self._loose = {name for name, t in _buffers(run) if not diagnosis.is_finite(t)}
        if self.saved is None:
            self.write(run, None)
        self.saved = None
        return sums

    def steps_left(self, step: int) -> int:
        """How many steps there are until the state is to be kept."""
        return 2**62 if isinstance(self.every, str) else self.every - step % self.every

    def epoch_begins(self) -> None:
        """Before the order of an epoch is drawn."""
        self._epoch = self._random()

    def drawn(self) -> None:
        """The order of an epoch is drawn, and the batches that were seen are left behind."""
        if self._now is not None:
            self._put_random(self._now)
            self._now = None

    def after_steps(self, run: Run, sums: Sums) -> None:
        """After some steps, of which whoever listens has been told."""
        if not isinstance(self.every, str) and run.step % self.every == 0:
            self.write(run, sums)
        if run.updates.pending:
            self._interrupted(run, sums)

    def after_epoch(self, run: Run) -> None:
        """After an epoch, its validation, and all who listen to that."""
        if self.every == "epoch" or run.stopping or run.epoch >= run.epochs:
            self.write(run, None)
        if run.updates.pending:
            self._interrupted(run, None)

    def _interrupted(self, run: Run, sums: Sums | None) -> None:
        """Keep the state, and then let Ctrl-C do what it does."""
        if self.written != (run.step, sums is not None):
            try:
                self.write(run, sums)
            except Exception as error:
                kept = f"the file stays as it was, with {self.files.step} steps"
                warn(f"[fit] checkpoint: {self.files.given}: {error}; {kept}")
        run.updates.release()

    def write(self, run: Run, sums: Sums | None) -> None:
        """Keep the state as it is now, unless it is not finite."""
        if self._is_finite(run):
            self.files.write(self._state(run, sums), run.step)
            self.written = run.step, sums is not None

    def _is_finite(self, run: Run) -> bool:
        run.check_parameters()
        for name, buffer in _buffers(run):
            if name not in self._loose and not diagnosis.is_finite(buffer):
                run.fail(name, diagnosis.describe(buffer), "the checkpoint stays as it was:")
        for state in run.optimizer.state.values():
            for name, value in state.items():
                floats = isinstance(value, Tensor) and value.dtype.is_floating_point
                if floats and not diagnosis.is_finite(value):
                    if not self._warned:
                        self._warned = True
                        warn(
                            f"[fit] checkpoint: {self.files.given}: expected a finite state, got "
                            f"{diagnosis.describe(value)} in {name} of "
                            f"{type(run.optimizer).__name__}; the file stays as it was, with "
                            f"{self.files.step} steps"
                        )
                    return False
        return True

    # --- the state

    def _state(self, run: Run, sums: Sums | None) -> dict[str, Any]:
        """All of it, as a nested value; tensors are not copied."""
        task, optimizer = run.task, run.optimizer
        kept = task.model_state()
        function = task.loss.function
        own = task.state_dict(sums is not None)
        return {
            "epoch": run.epoch,
            "step": run.step,
            "stopped": run.history.stopped,
            "history": run.history.history,
            "logs": run.logs,
            "sums": None if sums is None else sums.state_dict(),
            "model": kept,
            "buffers": {name: t for name, t in task.named_buffers() if name not in kept},
            "modes": {
                "evaluating": [name for name, m in task.named_modules() if not m.training],
                "frozen": [name for name, p in task.named_parameters() if not p.requires_grad],
            },
            "optimizer": {**optimizer.state_dict(), "stepped": optimizer.stepped},
            "others": [t.detach() for t in _others(run)],
            "loss": function.state_dict() if isinstance(function, Module) else None,
            "callbacks": [c.state_dict() for c in with_state(run.callbacks)],
            "random": {"epoch": self._epoch, "now": self._random()},
            "start": self.start,
            "key": task.seed or 0,
            "settings": self.settings,
            "older": self.files.following(run.step),
            **({"task": own} if own else {}),
            **({"begun": self._begun} if self.foreign else {}),
        }

    def _go_on(self, run: Run, saved: dict[str, Any]) -> Sums | None:
        """Put a run to where the state was kept."""
        run.resumed = True
        run.epoch, run.step, run.logs = saved["epoch"], saved["step"], saved["logs"]
        run.history.history = saved["history"]
        run.tell("on_train_begin", {})
        if saved["sums"] is not None:
            run.tell("on_epoch_begin", {})
        # From here on what callbacks have just changed is as it was kept.
        before = Weights(run.model)
        try:
            return self._put_back(run, saved)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            before.restore(run.model)
            _C.default_generator().set_state(self._before)
            raise self.wrong(
                "expected a state that this run can take, got another "
                f"({type(error).__name__}: {error!s:.200})"
            ) from error

    def _put_back(self, run: Run, saved: dict[str, Any]) -> Sums | None:
        sums = None if saved["sums"] is None else run.sums()
        if sums is not None:
            sums.load_state_dict(saved["sums"])
        if saved["stopped"] is not None:
            run.stop(saved["stopped"])
        self._put_model(run.task, saved)
        run.task.load_state_dict(saved.get("task", {}))
        optimizer = run.optimizer
        optimizer.load_state_dict(saved["optimizer"])
        optimizer.stepped = bool(saved["optimizer"]["stepped"])
        with no_grad():
            for tensor, value in zip(_others(run), saved["others"], strict=True):
                tensor.copy_(value)
        if saved["loss"] is not None:
            run.task.loss.function.load_state_dict(saved["loss"])  # type: ignore[attr-defined]
        for callback, state in zip(with_state(run.callbacks), saved["callbacks"], strict=True):
            callback.load_state_dict(state)
        drawn = saved["random"]
        self._epoch = drawn["epoch"]
        self._now = None if sums is None else drawn["now"]
        self._put_random(drawn["now"] if sums is None else drawn["epoch"])
        self.written = run.step, sums is not None
        self.files.went_on(run.step, saved["older"])
        return sums

    def _put_model(self, task: Task, saved: dict[str, Any]) -> None:
        task.load_model_state(saved["model"])
        buffers = dict(task.named_buffers())
        with no_grad():
            for name, value in saved["buffers"].items():
                buffers[name].copy_(value)
        evaluating, frozen = set(saved["modes"]["evaluating"]), set(saved["modes"]["frozen"])
        for name, module in task.named_modules():
            Moves().set(module, name not in evaluating)
        for name, parameter in task.named_parameters():
            if parameter.requires_grad is (name in frozen):
                parameter.requires_grad_(name not in frozen)

    # --- random numbers

    def _put_begun(self, state: Mapping[str, Any]) -> None:
        """Puts Python's and NumPy's random numbers to where they were before the run."""
        try:
            _put_foreign(state)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise self.wrong(f"expected random numbers, got others ({error!s:.200})") from error

    def _random(self) -> dict[str, Any]:
        state: dict[str, Any] = {"generators": [g.get_state() for g in self.generators]}
        return state | (_foreign() if self.foreign else {})

    def _put_random(self, state: Mapping[str, Any]) -> None:
        for generator, kept in zip(self.generators, state["generators"], strict=True):
            generator.set_state(kept)
        if self.foreign:
            _put_foreign(state)


def with_state(callbacks: Any) -> list[Any]:
    """The callbacks whose state is kept."""
    both = ("state_dict", "load_state_dict")
    return [one for one in callbacks if all(callable(getattr(one, name, None)) for name in both)]


def _foreign() -> dict[str, Any]:
    """The states of Python's and NumPy's own random numbers."""
    return {"python": random.getstate(), "numpy": np.random.get_state(legacy=False)}


def _put_foreign(state: Mapping[str, Any]) -> None:
    random.setstate(state["python"])
    np.random.set_state(_arrays(state["numpy"]))


def _arrays(value: Any) -> Any:
    """Tensors of a nested dict as arrays."""
    if isinstance(value, dict):
        return {name: _arrays(one) for name, one in value.items()}
    return value.numpy() if isinstance(value, Tensor) else value


def _buffers(run: Run) -> list[tuple[str, Tensor]]:
    return [(name, t) for name, t in run.task.named_buffers() if t.dtype.is_floating_point]


def _others(run: Run) -> list[Tensor]:
    """What the optimizer changes beside the model's parameters."""
    own = {id(p) for p in run.model.parameters()}
    return [p for g in run.optimizer.param_groups for p in g["params"] if id(p) not in own]
