"""The one module that decides what training prints, and when.

verbose=0 prints nothing, 2 a line an epoch. 1 draws a bar on a terminal: that of tqdm or rich where
one is installed, else about five lines a run and a moving one, which is redrawn in place. Elsewhere
it is a line an epoch: plain, and never a control character. ASCII throughout.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ranvier.training.callbacks import Callback

if TYPE_CHECKING:
    from ranvier.training.loop import Run

_BAR = 20
_REDRAW = 0.1  # seconds between two redrawn lines
_PATIENCE = 5.0  # seconds after which an epoch is printed though it is not its turn


def is_terminal() -> bool:
    """Whether standard output can redraw a line."""
    stream = sys.stdout
    return stream is not None and stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def number(value: float) -> str:
    """A loss in at most seven characters: 1.4127, 6.5e-06."""
    if value == 0 or 1e-3 <= abs(value) < 1000:
        return f"{value:.4f}"
    return f"{value:.1e}"


def percent(value: float) -> str:
    """A fraction in per cent, rounded down, so that only all of them are 100 %."""
    return "100 %" if value == 1 else f"{math.floor(value * 1000) / 10:.1f} %"


class Progress:
    """The lines of one run.

    Parameters
    ----------
    epochs : int
        How many there will be.
    verbose : int
        0, 1 or 2.
    fractions : frozenset of str
        Names of values to print in per cent.
    few : bool
        About five lines where there is no terminal as well.
    """

    def __init__(
        self,
        epochs: int,
        verbose: int,
        fractions: frozenset[str] = frozenset(),
        few: bool = False,
    ) -> None:
        self.epochs = epochs
        self.silent = verbose == 0 or sys.stdout is None
        self.live = not self.silent and verbose == 1 and is_terminal()
        self.every = _interval(epochs) if self.live or few else 1
        self.fractions = fractions
        self.start = self.last_line = self.last_draw = time.monotonic()
        self.drawn = 0  # characters of the line that stands there unfinished
        self.text = ""

    def step(self, epoch: int, part: float) -> None:
        """Redraw the line of the running epoch, of which `part` is done; rarely enough."""
        now = time.monotonic()
        if now - self.last_draw >= _REDRAW:
            import shutil  # not needed by a mere `import ranvier`

            self.last_draw = now
            width = max(20, shutil.get_terminal_size().columns - 1)
            self._write(self._line(epoch, self.text, epoch - 1 + part)[:width], "")

    def epoch(self, epoch: int, values: Mapping[str, float], ended: bool = False) -> None:
        """Print the line of a completed epoch, if it is its turn or the last one."""
        if self.silent:
            return
        self.text = "".join(f"{name} {self.value(name, v)}   " for name, v in values.items())
        now = time.monotonic()
        last = ended or epoch == self.epochs
        due = epoch == 1 or last or epoch % self.every == 0 or now - self.last_line > _PATIENCE
        if due:
            self.last_line = now
            line = self._line(epoch, self.text, epoch)
            self._write(f"{line}   {now - self.start:.2f} s" if last else line, "\n")

    def close(self) -> None:
        """End a line that stands there unfinished."""
        if self.drawn:
            sys.stdout.write("\n")
            sys.stdout.flush()
            self.drawn = 0

    def value(self, name: str, value: float) -> str:
        """A number as it is printed under this name."""
        text = percent(value) if name in self.fractions else number(value)
        return text.ljust(6)

    def _line(self, epoch: int, text: str, done: float) -> str:
        filled = int(_BAR * done / self.epochs)
        bar = "#" * filled + "." * (_BAR - filled)
        head = f"epoch {epoch:>{len(str(self.epochs))}}/{self.epochs}   {text}"
        # 9 characters are for the seconds at the end.
        return head + bar if len(head) + _BAR + 9 < 80 else head.rstrip()

    def _write(self, line: str, end: str) -> None:
        back = "\r" if self.live else ""
        padding = " " * (self.drawn - len(line))
        sys.stdout.write(f"{back}{line}{padding}{end}")
        sys.stdout.flush()
        self.drawn = 0 if end else len(line)


class ProgressLines(Callback):
    """Progress as a callback; it listens within epochs only where a line is redrawn."""

    def __init__(
        self,
        epochs: int,
        verbose: int,
        fractions: frozenset[str] = frozenset(),
        few: bool = False,
    ) -> None:
        self.progress = Progress(epochs, verbose, fractions, few)
        if self.progress.live:
            self.on_progress = self._redraw  # type: ignore[method-assign]

    def _redraw(self, run: Run, logs: dict[str, float]) -> None:
        self.progress.step(run.epoch, run.part)

    def on_epoch_end(self, run: Run, logs: dict[str, float]) -> None:
        self.progress.epoch(run.epoch, logs, run.stopping)

    def on_close(self, run: Run, logs: dict[str, float]) -> None:
        self.progress.close()


def goes_on(verbose: int, path: str, epoch: int, step: int) -> None:
    """Say that a run goes on from a checkpoint."""
    if verbose and sys.stdout is not None:
        print(f"{path}: goes on after step {step}, in epoch {epoch}")


def lines(epochs: int, verbose: int, fractions: frozenset[str] = frozenset()) -> Callback:
    """What prints the progress of a run: a bar of tqdm or rich, or lines of our own."""
    plain = ProgressLines(epochs, verbose, fractions)
    if not plain.progress.live:
        return plain
    from ranvier.training import bars  # not needed by a mere `import ranvier`

    return bars.bar(plain.progress.value) or plain


def _interval(epochs: int) -> int:
    """Every how many epochs a line is printed: 1, 2, 5, 10, 20, ... for about five lines."""
    if epochs <= 10:
        return 1
    power = 1
    while True:
        for factor in (1, 2, 5):
            if epochs <= 5 * factor * power:
                return factor * power
        power *= 10
