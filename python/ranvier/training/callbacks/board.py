"""The log of a training run for TensorBoard, as every door's callback writes it.

Numbers of training and of validation go into two folders below one, so that TensorBoard draws them
in one chart. A log is never worth a run: where something cannot be written, there is one warning,
it waits in memory, and each epoch tries again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier._C import Tensor
from ranvier._conversion import as_array
from ranvier.nn import Module
from ranvier.training.callbacks.files import check_folder
from ranvier.training.errors import warn

if TYPE_CHECKING:
    from ranvier.utils.tensorboard import SummaryWriter

TRAIN, VALIDATION = "train", "validation"
_PICTURES = 64  # of one weight
_FLUSH = 10.0  # seconds


class Board:
    """The two folders of one run.

    Parameters
    ----------
    who : str
        What messages begin with.
    log_dir : str
    """

    def __init__(self, who: str, log_dir: str) -> None:
        self.who, self.log_dir = who, log_dir
        self._writers: dict[str, SummaryWriter] = {}
        self._ended: dict[str, int] = {}  # files that are written to no more, and their sizes
        self._mark = ""
        self._warned = False

    def begin(self, resumed: bool = False) -> None:
        """Makes the folders; an OSError where that cannot be done.

        A run that goes on is written by `load_state_dict`.
        """
        self._writers, self._ended, self._warned = {}, {}, False
        self._mark = f".{os.urandom(4).hex()}"  # of the files of this run
        folder = os.path.join(self.log_dir, TRAIN)
        if resumed:
            check_folder(self.who, "log_dir", os.path.join(folder, "events"), make=True)
        else:
            self._writer(TRAIN)

    def _writer(self, part: str) -> SummaryWriter:
        if part not in self._writers:
            from ranvier.utils.tensorboard import SummaryWriter  # and with it the package

            self._writers[part] = SummaryWriter(
                os.path.join(self.log_dir, part), max_queue=1000, flush_secs=_FLUSH,
                filename_suffix=self._mark,
            )  # fmt: skip
        return self._writers[part]

    def _try(self, action: Callable[[], object]) -> None:
        try:
            action()
        except OSError as error:
            if not self._warned:
                self._warned = True
                warn(
                    f"[{self.who}] {self.log_dir}: expected room for the log, got {error}; "
                    "training goes on, the log waits, and each epoch tries again to write it"
                )

    # --- what is written

    def scalars(self, logs: Mapping[str, Any], step: int, tag: str) -> None:
        """Numbers by name, those of validation to their own folder; `tag` has {} for the name."""
        for name, value in logs.items():
            if not isinstance(value, (int, float, np.number)):
                continue
            part = VALIDATION if name.startswith("val_") else TRAIN
            self.scalar(part, tag.format(name.removeprefix("val_")), value, step)

    def scalar(self, part: str, tag: str, value: Any, step: int) -> None:
        """One number."""
        self._try(lambda: self._writer(part).add_scalar(tag, value, step))

    def weights(self, model: Module, step: int, pictures: bool) -> None:
        """A histogram of each parameter, and a picture if asked."""
        for name, parameter in model.named_parameters():
            tag, values = name.replace(".", "/"), parameter.detach()
            self.histogram(f"{tag}/histogram", values, step)
            picture = picture_of(values) if pictures else None
            if picture is not None:
                self.picture(f"{tag}/image", picture, step)

    def histogram(self, tag: str, values: Tensor, step: int) -> None:
        """How often numbers of which size occur."""
        if values.numel():
            self._try(lambda: self._writer(TRAIN).add_histogram(tag, values, step))

    def picture(self, tag: str, picture: Any, step: int) -> None:
        """Pictures (N, H, W, C)."""
        self._try(lambda: self._writer(TRAIN).add_images(tag, picture, step, dataformats="NHWC"))

    def embedding(self, tag: str, points: Tensor, labels: list[str] | None, step: int) -> None:
        """Points in space."""
        write = self._writer(TRAIN).add_embedding
        self._try(lambda: write(points, labels, global_step=step, tag=tag))

    def graph(self, model: Module, rows: list[Tensor] | None = None) -> None:
        """What the model computes of some rows, as a graph and as text.

        Without rows, of zeros, where the shape of a row is known; else there is no graph.
        """
        rows = rows or rows_for(model)
        if rows is None:
            return
        try:
            self._try(lambda: self._writer(TRAIN).add_graph(model, rows))
        except ValueError as error:
            warn(f"[{self.who}] write_graph: {error}; the log has no graph")

    def flush(self) -> None:
        """Writes what waits."""
        for writer in self._writers.values():
            self._try(writer.flush)

    def close(self) -> None:
        """Writes what still waits, if it can be; says how much is lost otherwise."""
        for writer in self._writers.values():
            with suppress(OSError):
                writer.flush()
        lost = sum(writer.waiting for writer in self._writers.values())
        self._writers = {}
        if lost:
            warn(f"[{self.who}] {self.log_dir}: {lost} events could not be written and are lost")

    # --- a run that goes on

    def state_dict(self) -> dict[str, Any]:
        """How long the files are; for a checkpoint."""
        self.flush()
        sizes = dict(self._ended)
        for writer in self._writers.values():
            path, size = writer.file
            sizes[os.path.relpath(path, self.log_dir)] = size
        return {"mark": self._mark, "sizes": sizes}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state_dict` gave: what comes again is taken off.

        Files end where they were, and what the run has begun since is removed; others stay.
        """
        self._mark, self._ended = state["mark"], {}
        for part in (TRAIN, VALIDATION):
            folder = os.path.join(self.log_dir, part)
            for name in os.listdir(folder) if os.path.isdir(folder) else ():
                if not name.endswith(self._mark):
                    continue
                path, key = os.path.join(folder, name), os.path.join(part, name)
                size = state["sizes"].get(key)
                if size is None:
                    os.unlink(path)
                    continue
                if os.path.getsize(path) > size:
                    os.truncate(path, size)
                self._ended[key] = size
        self._writer(TRAIN)


def rows_for(model: Module) -> list[Tensor] | None:
    """Some rows of zeros for each input of a model; None where nobody knows what they look like."""
    from ranvier import _C
    from ranvier._dtypes import named
    from ranvier.io import notes

    known = notes.about(model).input
    if known is not None:
        dtype = named(known.dtype)
        return [_C.zeros((2, *known.shape), _C.float32 if dtype is None else dtype)]
    try:
        inputs: Any = model.inputs  # type: ignore[attr-defined]  # a graph of the Keras door
        shapes = [(tuple(one.shape[1:]), named(str(one.dtype))) for one in inputs]
    except (AttributeError, TypeError, ValueError):
        return None
    if not shapes or any(not isinstance(size, int) for shape, _ in shapes for size in shape):
        return None
    return [_C.zeros((2, *shape), dtype or _C.float32) for shape, dtype in shapes]


def picture_of(values: Tensor) -> Any:
    """A weight as pictures (N, H, W, C) of numbers from 0 to 1; None where there is no way.

    A vector is a line, a matrix lies on its longer side, kernels of a convolution are a picture
    each: of their first channel, unless there are three.
    """
    array = as_array(values).astype(np.float64)
    low, high = array.min(initial=np.inf), array.max(initial=-np.inf)
    if array.ndim not in (1, 2, 4) or not np.isfinite([low, high]).all():
        return None
    array = (array - low) / ((high - low) or 1.0)
    if array.ndim == 1:
        return array[None, None, :, None]
    if array.ndim == 2:
        return (array.T if array.shape[0] > array.shape[1] else array)[None, :, :, None]
    # Channels last is (H, W, in, out), and kernels are small; else it is (out, in, H, W).
    last = array.shape[0] * array.shape[1] <= array.shape[2] * array.shape[3]
    array = array.transpose(3, 0, 1, 2) if last else array.transpose(0, 2, 3, 1)
    return array[:_PICTURES, :, :, : 3 if array.shape[3] == 3 else 1]
