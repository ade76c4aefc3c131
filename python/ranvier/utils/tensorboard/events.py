"""Files of events: records that TensorBoard reads, each of them whole or not there.

Records wait in memory until there are many of them or some time has passed. What cannot be written
stays there, so that nothing is lost while a disk is full. What an event says is none of its
business.
"""

from __future__ import annotations

import importlib
import io
import itertools
import os
import socket
import threading
import time
from typing import Any

_numbers = itertools.count()  # no two files of a process have one name


def needed(who: str, name: str) -> Any:
    """A module of the `tensorboard` package; an ImportError that says how to get it.

    Parameters
    ----------
    who : str
        What the message begins with.
    name : str
        Behind "tensorboard.".
    """
    try:
        return importlib.import_module(f"tensorboard.{name}")
    except ImportError as error:
        raise ImportError(
            f"[{who}] tensorboard: expected the package, got none ({error}); "
            "pip install 'ranvier[tensorboard]'"
        ) from None


class EventFile:
    """One file of events, in a folder that is made if need be.

    Parameters
    ----------
    who : str
        What messages begin with.
    folder : str
    suffix : str
        What the name ends with.
    max_queue : int
        How many records wait at most.
    flush_secs : float
        How long.

    Raises
    ------
    OSError
        If the folder or the file cannot be made.
    """

    def __init__(
        self, who: str, folder: str, suffix: str = "", max_queue: int = 10, flush_secs: float = 120
    ) -> None:
        self.protos = needed(who, "compat.proto.event_pb2")
        self._record = needed(who, "summary.writer.record_writer").RecordWriter
        self.max_queue, self.flush_secs = max_queue, flush_secs
        self._lock = threading.Lock()
        self._waiting: list[bytes] = []
        self._size = 0  # of the records that are in the file
        self._flushed = time.monotonic()
        os.makedirs(folder, exist_ok=True)
        self.path = _made(folder, suffix)
        try:
            self.add(self.protos.Event(wall_time=time.time(), file_version="brain.Event:2"))
            self.flush()
        except BaseException:
            os.unlink(self.path)
            raise

    def add(self, event: Any) -> None:
        """Adds an event.

        Raises
        ------
        OSError
            If it is time to write and that cannot be done; the event waits.
        """
        record = io.BytesIO()
        self._record(record).write(event.SerializeToString())
        with self._lock:
            self._waiting.append(record.getvalue())
            late = time.monotonic() - self._flushed > self.flush_secs
            if len(self._waiting) >= self.max_queue or late:
                self._write()

    def flush(self) -> None:
        """Writes what waits; an OSError where that cannot be done."""
        with self._lock:
            self._write()

    def _write(self) -> None:
        self._flushed = time.monotonic()
        if not self._waiting:
            return
        data = b"".join(self._waiting)
        try:
            with open(self.path, "ab") as file:
                file.write(data)
        except OSError:
            if os.path.isfile(self.path) and os.path.getsize(self.path) > self._size:
                os.truncate(self.path, self._size)  # part of a record
            raise
        self._size += len(data)
        self._waiting = []

    @property
    def waiting(self) -> int:
        """How many events are not in the file yet."""
        return len(self._waiting)

    @property
    def size(self) -> int:
        """How long the file is."""
        return self._size


def _made(folder: str, suffix: str) -> str:
    """An empty file with a name that nobody has."""
    for number in _numbers:
        name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}"
        path = os.path.join(folder, f"{name}.{number}{suffix}")
        try:
            with open(path, "xb"):
                return path
        except FileExistsError:  # of a process before, with the same number
            continue
    raise AssertionError("numbers do not end")
