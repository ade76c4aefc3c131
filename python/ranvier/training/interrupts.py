"""Ctrl-C during training: never between two parameters of one update.

Python runs signal handlers between any two instructions of the main thread, so also in the middle
of an optimizer step. Here the signal waits until the step is whole. In other threads, and where
nobody handles the signal, nothing is changed.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType


class WholeSteps:
    """A context in which Ctrl-C cannot come between `begin()` and `end()`."""

    def __init__(self) -> None:
        self._previous: Callable[[int, FrameType | None], object] | None = None
        self._updating = self._pending = False

    def __enter__(self) -> WholeSteps:
        if threading.current_thread() is threading.main_thread():
            previous = signal.getsignal(signal.SIGINT)
            if callable(previous):
                self._previous = previous
                signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
            self._previous = None

    def begin(self) -> None:
        """From here on the signal waits."""
        self._updating = True

    def end(self) -> None:
        """The step is whole: a signal that waited is handled now."""
        self._updating = False
        if self._pending:
            self._pending = False
            self._handle(signal.SIGINT, None)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._updating:
            self._pending = True
        elif self._previous is not None:
            self._previous(number, frame)
