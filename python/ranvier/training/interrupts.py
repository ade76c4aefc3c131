"""Ctrl-C during training: never between two parameters of one update.

Python runs signal handlers between any two instructions of the main thread, so also in the middle
of an optimizer step. Here the signal waits until the step is whole. In other threads, and where
nobody handles the signal, nothing is changed.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType


class WholeSteps:
    """A context in which `with updates.one():` cannot be left by Ctrl-C half-way."""

    def __init__(self) -> None:
        self._previous: signal.Handlers | object = None
        self._installed = self._updating = self._pending = False

    def __enter__(self) -> WholeSteps:
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.getsignal(signal.SIGINT)
            if callable(self._previous):
                signal.signal(signal.SIGINT, self._handle)
                self._installed = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._installed:
            signal.signal(signal.SIGINT, self._previous)  # type: ignore[arg-type]

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
        elif callable(self._previous):
            self._previous(number, frame)
