"""Learning rates that change: what `fit(schedule=...)` means, as a callback.

The schedulers themselves are in `ranvier.optim.lr_scheduler`; nothing here knows their rules.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from ranvier.training.callbacks import Callback, LearningRateScheduler, Logs, ReduceLROnPlateau
from ranvier.training.errors import look_up

if TYPE_CHECKING:
    from ranvier.training.loop import Run

Per = Literal["epoch", "step"]

# The share of the learning rate where so much of the run is done.
_SHARES: dict[str, Callable[[float], float]] = {
    "constant": lambda done: 1.0,
    "linear": lambda done: 1.0 - done,
    "cosine": lambda done: 0.5 * (1.0 + math.cos(math.pi * done)),
}


class Schedule(Callback):
    """A learning rate that changes by the epoch or by the step.

    Parameters
    ----------
    what : str, callable or scheduler
        "cosine" (Loshchilov and Hutter, 2017, eq. 5, without restarts), "linear" or "constant",
        from the optimizer's learning rate to 0 over the run; a function of the epoch or step, which
        count from 0, that gives the learning rate; a scheduler of `optim.lr_scheduler` made for the
        optimizer, or what makes one: its class, or a function whose argument is named `optimizer`.
    per : {"epoch", "step"}, optional
        If left out, the shapes with a name and OneCycleLR go by the step, all others by the epoch.
    """

    def __init__(self, what: Any, per: Per | None = None) -> None:
        if per not in (None, "epoch", "step"):
            raise ValueError(f"[Schedule] per: expected 'epoch' or 'step', got {per!r:.60}")
        self.per, self.what = per, what
        self._share: Callable[[float], float] | None = None
        self._rule: LearningRateScheduler | None = None
        self._scheduler: Any = None
        self._base: list[float] = []
        if isinstance(what, str):
            self._share = look_up("[Schedule] schedule", what, _SHARES)
        elif not _is_scheduler(what) and not _makes_scheduler(what):
            if not callable(what):
                raise TypeError(
                    f"[Schedule] schedule: expected a name ({', '.join(_SHARES)}, plateau), a "
                    f"function of the epoch or a scheduler, got {what!r:.60}"
                )
            self._rule = LearningRateScheduler(what)
        if self._goes_by_epochs():  # then nobody listens to steps, which run natively
            self.on_step_begin = self.on_step_end = None  # type: ignore[method-assign,assignment]

    def _goes_by_epochs(self) -> bool:
        """Whether that is known before there is a run."""
        if self.per is not None or self._share is not None:
            return self.per == "epoch"
        what = self.what.func if isinstance(self.what, functools.partial) else self.what
        if _is_scheduler(what):
            what = type(what)
        return self._rule is not None or (isinstance(what, type) and what.__name__ != "OneCycleLR")

    def on_train_begin(self, run: Run, logs: Logs) -> None:
        self._base = [float(group["lr"]) for group in run.optimizer.param_groups]
        if self._share is None and self._rule is None:
            made = _makes_scheduler(self.what)
            self._scheduler = self.what(run.optimizer) if made else self.what
            owner = getattr(self._scheduler, "optimizer", run.optimizer)
            if owner is not run.optimizer:
                raise ValueError(
                    "[fit] schedule: expected a scheduler made for the optimizer of this run, got "
                    "one of another; give fit the same optimizer, or the scheduler's class"
                )
        by_step = self._share is not None or type(self._scheduler).__name__ == "OneCycleLR"
        self.per = self.per or ("step" if by_step else "epoch")

    def on_epoch_begin(self, run: Run, logs: Logs) -> None:
        if self.per == "epoch":
            self._set(run, run.epoch - 1, (run.epoch - 1) / run.epochs)

    def on_step_begin(self, run: Run, logs: Logs) -> None:
        if self.per == "step":
            steps = run.task.batches.steps
            # Where nobody knows how many steps there are, what is done of whole epochs counts.
            total = steps * (run.epochs - run.task.first_epoch) if steps else 0
            done = (run.step - 1) / total if total else (run.epoch - 1) / run.epochs
            self._set(run, run.step - 1, min(done, 1.0))

    def on_step_end(self, run: Run, logs: Logs) -> None:
        if self.per == "step" and self._scheduler is not None:
            self._advance(logs)

    def on_epoch_end(self, run: Run, logs: Logs) -> None:
        logs["lr"] = run.lr
        if self.per == "epoch" and self._scheduler is not None:
            self._advance(logs)

    def state_dict(self) -> dict[str, Any]:
        """Where the schedule is; for a checkpoint."""
        state = getattr(self._scheduler, "state_dict", None)
        if self._scheduler is not None and state is None:
            raise TypeError(
                "[fit] schedule: expected a scheduler with state_dict and load_state_dict beside a "
                f"checkpoint, got {type(self._scheduler).__name__}"
            )
        return {"base": self._base, "scheduler": None if state is None else state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from what `state_dict` gave."""
        self._base = list(state["base"])
        if self._scheduler is not None:
            self._scheduler.load_state_dict(state["scheduler"])

    def _set(self, run: Run, place: int, done: float) -> None:
        groups = run.optimizer.param_groups
        if self._share is not None:
            for group, base in zip(groups, self._base, strict=True):
                group["lr"] = base * self._share(done)
        elif self._rule is not None:
            rate = self._rule.rate(place, run.lr)
            run.change_lr(lambda _: rate)

    def _advance(self, logs: Logs) -> None:
        if type(self._scheduler).__name__ == "ReduceLROnPlateau":
            self._scheduler.step(logs.get("val_loss", logs["loss"]))
        else:
            self._scheduler.step()


def _is_scheduler(what: Any) -> bool:
    return not isinstance(what, type) and hasattr(what, "step") and hasattr(what, "optimizer")


def _makes_scheduler(what: Any) -> bool:
    """Whether this takes an optimizer: a class of schedulers, a part of one, a function of one."""
    if isinstance(what, functools.partial):
        return isinstance(what.func, type) or _makes_scheduler(what.func)
    if isinstance(what, type):
        return hasattr(what, "step")
    if not callable(what) or _is_scheduler(what):
        return False
    try:
        names = list(inspect.signature(what).parameters)
    except (TypeError, ValueError):
        return False
    return bool(names) and names[0] in ("optimizer", "opt", "optim")


def resolve(schedule: Any) -> Callback | None:
    """The callback that an argument means."""
    if schedule is None or isinstance(schedule, Callback):
        return schedule
    if isinstance(schedule, str) and schedule.lower() == "plateau":
        return ReduceLROnPlateau()
    return Schedule(schedule)
