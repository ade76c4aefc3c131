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
    """A context in which Ctrl-C cannot come between `begin()` and `end()`.

    Attributes
    ----------
    patient : bool
        Whether the first Ctrl-C waits until `release()`, for somebody who has something to do
        before that. A second one does not wait longer than to the end of the step.
    pending : int
        How many wait.
    """

    def __init__(self) -> None:
        self._previous: Callable[[int, FrameType | None], object] | None = None
        self._updating = self.patient = False
        self.pending = 0

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
        previous, self._previous = self._previous, None
        if previous is not None:
            signal.signal(signal.SIGINT, previous)
            if self.pending:
                self.pending = 0
                previous(signal.SIGINT, None)

    def begin(self) -> None:
        """From here on the signal waits."""
        self._updating = True

    def end(self) -> None:
        """The step is whole: a signal that waited is handled now."""
        self._updating = False
        if self.pending > self.patient:
            self.release()

    def release(self) -> None:
        """A signal that waited is handled now."""
        self.pending = 0
        if self._previous is not None:
            self._previous(signal.SIGINT, None)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.pending += 1
        if not self._updating and self.pending > self.patient:
            self.release()
