"""What `fit`, `evaluate` and `predict` print: Keras' lines, in plain characters.

verbose 1 prints a line an epoch, redrawn in place on a terminal while the epoch runs; 2 prints
the line once, at the end of the epoch; 0 prints nothing.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from ranvier.keras.callbacks.callback import Line
from ranvier.training.progress import is_terminal, number

_BAR = 20
_REDRAW = 0.1  # seconds between two redrawn lines


def values(logs: Any) -> str:
    """What was measured, as ` - loss: 0.1234 - accuracy: 0.9876`."""
    parts = []
    for name, value in (logs or {}).items():
        if isinstance(value, (int, float)):
            parts.append(f" - {name}: {number(float(value))}")
    return "".join(parts)


class ProgressLines(Line):
    """The lines of one run.

    Parameters
    ----------
    verbose : {1, 2}
    epochs : int
    steps : int, optional
        Of an epoch, where that is known.
    """

    def __init__(self, verbose: int, epochs: int, steps: int | None) -> None:
        self.verbose, self.epochs, self.steps = verbose, epochs, steps
        self.live = verbose == 1 and is_terminal()
        self.done = self.drawn = 0
        self.start = self.last = time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """The line that says which epoch."""
        self.done, self.start = 0, time.monotonic()
        print(f"Epoch {epoch + 1}/{self.epochs}")

    def redraw(self, done: int, means: Callable[[], dict[str, Any]]) -> None:
        """The line of the epoch that runs; rarely enough."""
        if not self.live:
            return
        self.done = done
        now = time.monotonic()
        if now - self.last >= _REDRAW:
            self.last = now
            self._draw(self._head() + values(means()))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """The line that says what was measured."""
        seconds = time.monotonic() - self.start
        if not self.live or self.steps is not None:
            self.done = self.steps or self.done
        pace = f" {1000 * seconds / self.steps:.3g}ms/step" if self.steps else ""
        total = f"{self.done or '?'}/{self.steps or '?'}"
        self._draw(f"{total} - {seconds:.1f}s{pace}{values(logs)}")
        print()
        self.drawn = 0

    def _head(self) -> str:
        if not self.steps:
            return f"{self.done}/?"
        filled = int(_BAR * self.done / self.steps)
        return f"{self.done}/{self.steps} [{'#' * filled}{'.' * (_BAR - filled)}]"

    def _draw(self, line: str) -> None:
        back = "\r" if self.live and self.drawn else ""
        sys.stdout.write(back + line + " " * (self.drawn - len(line)))
        sys.stdout.flush()
        self.drawn = len(line) if self.live else 0

    def on_close(self) -> None:
        """Ends a line that stands there unfinished."""
        if self.drawn:
            print()
            self.drawn = 0
