"""Progress bars by tqdm or rich, where one of them is installed and there is a terminal.

Neither is needed: without them `progress.py` redraws a line of its own. Both are imported when a
run begins, and never by `import ranvier`.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

from ranvier.training.callbacks import Callback, Logs
from ranvier.training.loop import Run

Value = Callable[[str, float], str]  # how a number is printed, given its name


class TqdmBar(Callback):
    """One bar for the run, in epochs, with what was measured behind it."""

    def __init__(self, value: Value) -> None:
        self.value = value
        self.bar: Any = None

    def on_train_begin(self, run: Run, logs: Logs) -> None:
        make = importlib.import_module("tqdm").tqdm
        form = "{l_bar}{bar}| {n:.1f}/{total:g} epochs [{elapsed}<{remaining}{postfix}]"
        self.bar = make(total=float(run.epochs - run.task.first_epoch), bar_format=form)

    def on_progress(self, run: Run, logs: Logs) -> None:
        self._reach(run, run.epoch - 1 + run.part)

    def on_epoch_end(self, run: Run, logs: Logs) -> None:
        shown = {name: self.value(name, number).strip() for name, number in logs.items()}
        self.bar.set_postfix(shown, refresh=False)
        self._reach(run, run.epoch)

    def on_close(self, run: Run, logs: Logs) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    def _reach(self, run: Run, epochs: float) -> None:
        self.bar.update(epochs - run.task.first_epoch - self.bar.n)


class RichBar(Callback):
    """The same by rich."""

    def __init__(self, value: Value) -> None:
        self.value = value
        self.bar: Any = None
        self.task: Any = None

    def on_train_begin(self, run: Run, logs: Logs) -> None:
        rich = importlib.import_module("rich.progress")
        self.bar = rich.Progress(
            rich.TextColumn("epoch {task.fields[epoch]}"),
            rich.BarColumn(),
            rich.TextColumn("{task.fields[words]}"),
            rich.TimeRemainingColumn(),
        )
        total = float(run.epochs - run.task.first_epoch)
        self.task = self.bar.add_task("fit", total=total, epoch="", words="")
        self.bar.start()

    def on_progress(self, run: Run, logs: Logs) -> None:
        done = run.epoch - 1 + run.part - run.task.first_epoch
        self.bar.update(self.task, completed=done, epoch=f"{run.epoch}/{run.epochs}")

    def on_epoch_end(self, run: Run, logs: Logs) -> None:
        words = "  ".join(f"{name} {self.value(name, v).strip()}" for name, v in logs.items())
        done = run.epoch - run.task.first_epoch
        self.bar.update(self.task, completed=done, epoch=f"{run.epoch}/{run.epochs}", words=words)

    def on_close(self, run: Run, logs: Logs) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None


def bar(value: Value) -> Callback | None:
    """The bar of what is installed, tqdm before rich; None without them."""
    for module, kind in (("tqdm", TqdmBar), ("rich", RichBar)):
        if importlib.util.find_spec(module) is not None:
            made: Callback = kind(value)
            return made
    return None
