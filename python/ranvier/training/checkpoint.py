"""`Checkpoint`: where `fit` keeps the state of a run, how often, and in how many files.

What that state is, and how a run goes on from it, stands in `keeping.py`.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Literal

import numpy as np

from ranvier._C import Tensor
from ranvier._conversion import array_of
from ranvier.training.inputs import positive_int

Path = str | os.PathLike[str]


class Checkpoint:
    """Keeps the state of a run of `fit` in a file, so that the run goes on after whatever ends it.

    The state is everything that the next step depends on: parameters and buffers, the optimizer,
    schedules and callbacks, random numbers, the place in the shuffled epoch, the history. A run
    that goes on ends with the bytes of one that was never interrupted, with any number of threads.

    Parameters
    ----------
    path : str or path-like
        The newest state, in a folder that exists. At any moment, that of a kill too, it is whole:
        a new file takes its place when its bytes have reached the disk.
    every : int or "epoch"
        After every so many steps, or after every epoch. A state is also kept when the run begins,
        when it ends, and when Ctrl-C ends it.
    keep : int
        How many files: the newest one and those before it, which have the number of their last
        step in their names, as `run-1200.ckpt` beside `run.ckpt`.
    resume : bool
        Whether a file that is there is taken up; it must be of the same run: same model, data and
        arguments of `fit`. False starts anew, and replaces the file. Where there is none, the run
        starts anew in either case.

    Raises
    ------
    TypeError, ValueError
        If an argument is not what it should be.

    Notes
    -----
    A run that has ended is not trained again: `fit` gives its history, and the model its weights.
    With more epochs it goes on; the result is that of so many epochs from the start unless the
    schedule depends on how many there are, as "cosine" and "linear" do. The number of threads,
    `verbose`, `epochs`, what callbacks were made with and callbacks without a state may differ from
    the run that wrote the file. Everything else that `fit` is given must be the same, or it says
    what differs. States of callbacks are what their `state_dict` gives. A state that is not finite
    never takes the place of a good one. Two runs at once with one path: the one that finds a file
    that it did not write stops.

    Examples
    --------
    >>> import ranvier as rv
    >>> X, y = [[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0]
    >>> def train(epochs):
    ...     rv.manual_seed(0)
    ...     net = rv.nn.Linear(1, 1)
    ...     keep = rv.Checkpoint("line.ckpt", every=10)
    ...     history = rv.fit(net, X, y, loss="mse", epochs=epochs, seed=1, verbose=0,
    ...                      checkpoint=keep)
    ...     return history.epochs, net.bias.tolist()
    >>> train(5)[0], train(9) == train(9)  # 5 epochs, 4 more, and no more
    (5, True)
    """

    def __init__(
        self,
        path: Path,
        every: int | Literal["epoch"] = "epoch",
        keep: int = 3,
        resume: bool = True,
    ) -> None:
        if not isinstance(path, (str, os.PathLike)) or isinstance(os.fspath(path), bytes):
            raise TypeError(f"[Checkpoint] path: expected a string or a path, got {path!r:.60}")
        if isinstance(every, str) and every != "epoch":
            raise ValueError(
                f"[Checkpoint] every: expected a number of steps or 'epoch', got {every!r:.60}"
            )
        if not isinstance(resume, bool):
            raise TypeError(f"[Checkpoint] resume: expected True or False, got {resume!r:.60}")
        self.path = os.fspath(path)
        self.every = every if every == "epoch" else positive_int("Checkpoint", "every", every)
        self.keep = positive_int("Checkpoint", "keep", keep)
        self.resume = resume

    def writes(self) -> tuple[str, ...]:
        """The path: no callback may write there too."""
        return (self.path,)

    def __repr__(self) -> str:
        return (
            f"Checkpoint({self.path!r}, every={self.every!r}, keep={self.keep}, "
            f"resume={self.resume})"
        )


def resolve(checkpoint: Any) -> Checkpoint:
    """The checkpoint that an argument of `fit` means."""
    if isinstance(checkpoint, Checkpoint):
        return checkpoint
    if isinstance(checkpoint, (str, os.PathLike)):
        return Checkpoint(checkpoint)
    raise TypeError(
        f"[fit] checkpoint: expected a path or rv.Checkpoint(path, ...), got {checkpoint!r:.60}"
    )


class Files:
    """The files of one run: the newest under its name, and older ones beside it.

    Parameters
    ----------
    path : str
    keep : int

    Attributes
    ----------
    step : int or None
        Of the file at `path`, where this run wrote it or went on from it.
    older : list of int
        The steps of the files beside it; whatever else is in the folder is left alone.
    """

    def __init__(self, path: str, keep: int) -> None:
        self.given, self.path, self.keep = path, os.path.abspath(path), keep
        self.step: int | None = None
        self.older: list[int] = []
        self._identity: tuple[int, ...] | None = None

    def name_of(self, step: int) -> str:
        """Where the state of an earlier step is."""
        root, ending = os.path.splitext(self.path)
        return f"{root}-{step}{ending}"

    def read(self) -> dict[str, Any] | None:
        """The state at `path`; None where nothing is.

        Raises
        ------
        OSError
            If it cannot be read.
        ValueError
            If it is damaged, of a later format, or no checkpoint.
        """
        if not os.path.exists(self.path):
            return None
        from ranvier.io import kinds, nested, tensors

        self._identity = _identity(self.path)
        try:
            named, found = tensors.read(self.path, mmap=False)  # some of it stays for long
        except ValueError as error:
            raise self.damaged(str(error)) from None
        kind = kinds.kind_of(self.path, found)
        if kind != kinds.CHECKPOINT:
            raise ValueError(
                f"[fit] checkpoint: {self.given}: expected a checkpoint of fit, got a file of the "
                f"kind {kind!r}; give another path"
            )
        if found.get("checksum") != _checksum(named, found):
            raise self.damaged(f"{self.path}: expected the bytes that were written, got others")
        try:
            value = nested.value_of(self.path, named, kinds.described(self.path, found))
        except ValueError as error:
            raise self.damaged(str(error)) from None
        if not isinstance(value, dict):
            raise self.damaged(f"expected a dict, got {type(value).__name__}")
        return value

    def damaged(self, problem: str) -> ValueError:
        """What to raise for a file that is no whole state; it says what to do."""
        return ValueError(f"[fit] checkpoint: {problem.removeprefix('[load] ')}; {self._advice()}")

    def _advice(self) -> str:
        anew = "rv.Checkpoint(..., resume=False) starts anew"
        folder, name = os.path.split(self.path)
        root, ending = map(re.escape, os.path.splitext(name))
        pattern = re.compile(rf"{root}-(\d{{1,18}}){ending}")
        steps = [int(m[1]) for m in map(pattern.fullmatch, os.listdir(folder)) if m]
        if not steps:
            return anew
        older = os.path.basename(self.name_of(max(steps)))
        return f"to go on from the state before, rename {older} to {name}; {anew}"

    def remove(self) -> None:
        """Remove them all: the run has ended, and nobody is to go on from it."""
        for path in (self.path, *map(self.name_of, self.older)):
            with suppress(FileNotFoundError):
                os.unlink(path)

    def went_on(self, step: int, older: list[int]) -> None:
        """The run goes on from the file at `path`."""
        self.step, self.older = step, older
        self._prune()

    def following(self, step: int) -> list[int]:
        """The steps of older files that a state of this step writes down."""
        before = [] if self.step in (None, step) or self.keep == 1 else [self.step]
        return [n for n in (*self.older, *before) if n is not None and n != step]

    def write(self, value: Mapping[str, Any], step: int) -> None:
        """Replace the newest state; the one before it goes beside it.

        Raises
        ------
        RuntimeError
            If somebody else has written to `path`.
        TypeError, ValueError
            If a callback's or a module's state holds what is no data.
        OSError
            If it cannot be written; the old file is then as it was.
        """
        from ranvier.io import kinds, nested, tensors

        found = _identity(self.path)
        if None not in (found, self._identity) and found != self._identity:
            raise RuntimeError(
                f"[fit] checkpoint: {self.given}: expected the file that this run wrote last, got "
                "another one; another run writes to the same path: give each a path of its own"
            )
        named, description = nested.described(value)
        metadata = kinds.metadata(kinds.CHECKPOINT, description)
        following = self.following(step)
        if following and following[-1] == self.step and found is not None:
            self._keep(following[-1])
        checksum = {"checksum": _checksum(named, metadata)}
        tensors.write(self.path, named, metadata | checksum)
        self.step, self.older, self._identity = step, following, _identity(self.path)
        self._prune()

    def _keep(self, step: int) -> None:
        """Give the file at `path` a second name; it stays where it is."""
        source, target = os.path.realpath(self.path), self.name_of(step)
        try:
            os.link(source, target)
            return
        except FileExistsError:  # of a run before, or of this one, which was killed right here
            if os.path.samefile(source, target):
                return
        except OSError:  # a file system without links
            pass
        temporary = f"{target}.{os.urandom(6).hex()}.tmp"
        try:
            shutil.copyfile(source, temporary)
            os.replace(temporary, target)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise

    def _prune(self) -> None:
        """Remove what is too old; what a kill left behind is removed by the next run."""
        count = len(self.older) - (self.keep - 1)
        gone, self.older = self.older[: max(count, 0)], self.older[max(count, 0) :]
        for step in gone:
            with suppress(OSError):
                os.unlink(self.name_of(step))


def _checksum(named: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """What tells that a bit of the file has changed since it was written."""
    import zlib  # when used: a mere fit does without

    value = zlib.crc32(metadata.get("description", "").encode())
    for name, tensor in sorted(named.items()):
        value = zlib.crc32(f"{name} {tensor.dtype.name} {tuple(tensor.shape)}".encode(), value)
        array = np.ascontiguousarray(array_of(tensor.detach()))
        value = zlib.crc32(array.reshape(-1).view(np.uint8).data, value)
    return f"crc32 {value:08x}"


def _identity(path: str) -> tuple[int, ...] | None:
    """What tells a file from another one that has taken its place; None where nothing is."""
    try:
        info = os.stat(path)
    except FileNotFoundError:
        return None
    return info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns
