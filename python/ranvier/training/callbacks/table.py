"""A file with a line of numbers for each epoch, as every door's CSVLogger writes it.

A log is never worth a run: where a line cannot be written, there is one warning, the lines wait in
memory, and each epoch tries again.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from ranvier.training.errors import warn


class Table:
    """One such file. It is whole after every line, and open only while one is written.

    Parameters
    ----------
    who : str
        What messages begin with.
    path : str
    separator : str
    append : bool
        Whether to go on with a file that is there.
    missing : str
        What stands for a number that was not measured.
    """

    def __init__(
        self,
        who: str,
        path: str | os.PathLike[str],
        separator: str = ",",
        append: bool = False,
        missing: str = "",
    ) -> None:
        self.who, self.path, self.separator = who, os.fspath(path), separator
        self.append, self.missing = append, missing
        self.names: list[str] = []
        self._waiting: list[str] = []
        self._warned = False

    def begin(self, resumed: bool = False) -> None:
        """Makes or empties the file; an OSError where that cannot be done.

        A run that goes on leaves it to `load_state_dict`.
        """
        self.names, self._waiting, self._warned = [], [], False
        if resumed:
            return
        go_on = self.append and os.path.exists(self.path) and os.path.getsize(self.path) > 0
        if go_on:
            import csv  # most runs do without

            with open(self.path, newline="", encoding="utf-8") as file:
                self.names = next(csv.reader(file, delimiter=self.separator), [])[1:]
        with open(self.path, "a" if go_on else "w", encoding="utf-8") as file:
            if go_on and not _ends_a_line(self.path):
                file.write("\n")
            _try_a_byte(file)

    def add(self, epoch: int, logs: Mapping[str, Any], names: Iterable[str]) -> None:
        """Writes a line, after one of `names` where it is the first."""
        if not self.names:
            self.names = list(names)
            self._waiting.append(self._line(["epoch", *self.names]))
        values = [_text(logs[name]) if name in logs else self.missing for name in self.names]
        self._waiting.append(self._line([str(epoch), *values]))
        self._write()

    def _write(self) -> None:
        size = self._size()
        try:
            with open(self.path, "a", newline="", encoding="utf-8") as file:
                file.writelines(self._waiting)
        except OSError as error:
            if self._size() > size:  # part of a line
                os.truncate(self.path, size)
            if not self._warned:
                self._warned = True
                warn(
                    f"[{self.who}] {self.path}: expected room for a line, got {error}; training "
                    "goes on, the lines wait, and each epoch tries again to write them"
                )
            return
        self._waiting = []

    def close(self) -> None:
        """Writes what still waits, if it can be; says how much is lost otherwise."""
        if self._waiting:
            self._write()
        if self._waiting:
            lost, self._waiting = len(self._waiting), []
            warn(f"[{self.who}] {self.path}: {lost} lines could not be written and are lost")

    def _size(self) -> int:
        return os.path.getsize(self.path) if os.path.isfile(self.path) else 0

    def _line(self, values: list[str]) -> str:
        import csv
        import io

        text = io.StringIO()
        csv.writer(text, delimiter=self.separator, lineterminator="\n").writerow(values)
        return text.getvalue()

    def state_dict(self) -> dict[str, Any]:
        """How long the file is; for a checkpoint."""
        return {"names": list(self.names), "size": self._size()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from what `state_dict` gave: lines of epochs that come again are taken off."""
        there = os.path.isfile(self.path) and os.path.getsize(self.path) >= state["size"]
        if there:
            os.truncate(self.path, state["size"])
        self.names = list(state["names"]) if there and state["size"] else []


def _text(value: Any) -> str:
    """A number in as many digits as it takes to read the same one again."""
    try:
        return repr(float(value))
    except (TypeError, ValueError):
        return str(value)


def _ends_a_line(path: str) -> bool:
    with open(path, "rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() == b"\n"


def _try_a_byte(file: Any) -> None:
    """An OSError now, and not after an epoch, where the disk is full."""
    if os.path.isfile(file.name):
        file.flush()
        size = os.path.getsize(file.name)
        try:
            file.write("\n")
            file.flush()
        finally:
            os.truncate(file.name, size)
