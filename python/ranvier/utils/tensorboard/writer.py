"""`SummaryWriter`: one folder of events, by PyTorch's names and arguments."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from ranvier.nn import Module
from ranvier.utils.tensorboard import embedding, graph, settings, values
from ranvier.utils.tensorboard.events import EventFile


class SummaryWriter:
    """Writes what TensorBoard shows into a folder.

    Parameters
    ----------
    log_dir : str or path, optional
        The folder, which is made; ``runs/<date and time>_<host>`` and `comment` if left out.
    comment : str
    purge_step : int, optional
        What other files of the folder have of this step and of later ones is no longer shown: for a
        run that goes on from there.
    max_queue : int
        How many events wait in memory before they are written.
    flush_secs : float
        How long they wait at most, while others come.
    filename_suffix : str
        What the name of the file ends with.

    Raises
    ------
    ImportError
        If the `tensorboard` package is not there.
    OSError
        If the folder or its file cannot be made; from any method, if the disk is full: what was to
        be written stays in memory, and the next `flush` tries again.

    Notes
    -----
    Steps are whole numbers, and `walltime` seconds since 1970; both may be left out. Values are
    tensors, arrays or Python's numbers.

    Examples
    --------
    >>> from ranvier.utils.tensorboard import SummaryWriter  # doctest: +SKIP
    >>> with SummaryWriter("runs/first") as writer:  # doctest: +SKIP
    ...     for step in range(100):
    ...         writer.add_scalar("loss", 1 / (step + 1), step)
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str] | None = None,
        comment: str = "",
        purge_step: int | None = None,
        max_queue: int = 10,
        flush_secs: float = 120,
        filename_suffix: str = "",
    ) -> None:
        if not log_dir:
            now = time.strftime("%b%d_%H-%M-%S")
            log_dir = os.path.join("runs", f"{now}_{socket.gethostname()}{comment}")
        self.log_dir = os.fspath(log_dir)
        self.purge_step = purge_step
        self.max_queue, self.flush_secs = max_queue, flush_secs
        self.filename_suffix = filename_suffix
        self._file: EventFile | None = None
        self._inner: dict[str, SummaryWriter] = {}  # of add_scalars
        self._open()

    def _open(self) -> EventFile:
        """The file; made again where somebody goes on after `close`."""
        if self._file is None:
            self._file = file = EventFile(
                type(self).__name__, self.log_dir, self.filename_suffix, self.max_queue,
                self.flush_secs,
            )  # fmt: skip
            if self.purge_step is not None:
                # Twice: readers take the first one that they meet for the beginning of all.
                for _ in range(2):
                    started = file.protos.SessionLog(status=file.protos.SessionLog.START)
                    self._add(self.purge_step, None, session_log=started)
                self.purge_step = None
                file.flush()
        return self._file

    def _add(self, step: Any, walltime: float | None, **content: Any) -> None:
        file = self._open()
        event = file.protos.Event(wall_time=time.time() if walltime is None else walltime)
        if step is not None:
            event.step = int(step)
        for name, value in content.items():
            if isinstance(value, bytes):
                setattr(event, name, value)
            else:
                getattr(event, name).CopyFrom(value)
        file.add(event)

    def get_logdir(self) -> str:
        """The folder."""
        return self.log_dir

    # --- numbers

    def add_scalar(
        self,
        tag: str,
        scalar_value: Any,
        global_step: Any = None,
        walltime: float | None = None,
        new_style: bool = False,
        double_precision: bool = False,
    ) -> None:
        """A number, for a curve over the steps.

        Parameters
        ----------
        tag : str
            Which curve; what is before a slash groups them.
        scalar_value : number, or tensor or array of one element
        global_step : int, optional
        walltime : float, optional
        new_style, double_precision : bool
            Whether to write a tensor, and of which precision: float32 otherwise.
        """
        made = values.scalar(tag, scalar_value, new_style, double_precision)
        self._add(global_step, walltime, summary=made)

    def add_scalars(
        self,
        main_tag: str,
        tag_scalar_dict: Mapping[str, Any],
        global_step: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Several numbers for one chart, each in a folder of its own below this one."""
        for name, value in tag_scalar_dict.items():
            folder = os.path.join(self.log_dir, f"{main_tag}_{name}".replace("/", "_"))
            if folder not in self._inner:
                self._inner[folder] = SummaryWriter(
                    folder, "", None, self.max_queue, self.flush_secs, self.filename_suffix
                )
            self._inner[folder].add_scalar(main_tag, value, global_step, walltime)

    def add_tensor(
        self, tag: str, tensor: Any, global_step: Any = None, walltime: float | None = None
    ) -> None:
        """All numbers of a tensor."""
        self._add(global_step, walltime, summary=values.tensor(tag, tensor))

    def add_histogram(
        self,
        tag: str,
        values: Any,
        global_step: Any = None,
        bins: Any = "tensorflow",
        walltime: float | None = None,
        max_bins: int | None = None,
    ) -> None:
        """How often numbers of which size occur.

        Parameters
        ----------
        tag : str
        values : array of finite numbers, any shape
        global_step : int, optional
        bins : "tensorflow", str, int or array
            Borders that grow by a tenth each, or what `numpy.histogram` takes.
        walltime : float, optional
        max_bins : int, optional
            At most so many; neighbours are joined.
        """
        made = _histogram(tag, values, bins, max_bins)
        self._add(global_step, walltime, summary=made)

    def add_histogram_raw(
        self,
        tag: str,
        min: float,
        max: float,
        num: float,
        sum: float,
        sum_squares: float,
        bucket_limits: Any,
        bucket_counts: Any,
        global_step: Any = None,
        walltime: float | None = None,
    ) -> None:
        """A histogram that was counted elsewhere; limits are the upper borders of the buckets."""
        made = values.histogram_raw(
            tag, min, max, num, sum, sum_squares, bucket_limits, bucket_counts
        )
        self._add(global_step, walltime, summary=made)

    def add_pr_curve(
        self,
        tag: str,
        labels: Any,
        predictions: Any,
        global_step: Any = None,
        num_thresholds: int = 127,
        weights: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Precision and recall over thresholds, of labels 0 and 1 and predicted probabilities."""
        made = values.pr_curve(tag, labels, predictions, num_thresholds, weights)
        self._add(global_step, walltime, summary=made)

    def add_pr_curve_raw(
        self,
        tag: str,
        true_positive_counts: Any,
        false_positive_counts: Any,
        true_negative_counts: Any,
        false_negative_counts: Any,
        precision: Any,
        recall: Any,
        global_step: Any = None,
        num_thresholds: int = 127,
        weights: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Precision and recall that were counted elsewhere."""
        made = values.pr_curve_raw(
            tag, true_positive_counts, false_positive_counts, true_negative_counts,
            false_negative_counts, precision, recall, num_thresholds,
        )  # fmt: skip
        self._add(global_step, walltime, summary=made)

    # --- pictures, sounds, text

    def add_image(
        self,
        tag: str,
        img_tensor: Any,
        global_step: Any = None,
        walltime: float | None = None,
        dataformats: str = "CHW",
    ) -> None:
        """A picture: numbers from 0 to 1, or bytes; 1, 3 or 4 channels.

        Parameters
        ----------
        tag : str
        img_tensor : array, (C, H, W) or as `dataformats` says
        global_step : int, optional
        walltime : float, optional
        dataformats : str
            What the axes are: "CHW", "HWC", "HW", "NCHW", "NHWC".
        """
        self._add(global_step, walltime, summary=values.image(tag, img_tensor, dataformats))

    def add_images(
        self,
        tag: str,
        img_tensor: Any,
        global_step: Any = None,
        walltime: float | None = None,
        dataformats: str = "NCHW",
    ) -> None:
        """Several pictures beside each other; as `add_image`."""
        self.add_image(tag, img_tensor, global_step, walltime, dataformats)

    def add_figure(
        self,
        tag: str,
        figure: Any,
        global_step: Any = None,
        close: bool = True,
        walltime: float | None = None,
    ) -> None:
        """A figure of matplotlib, or a list of them; closed then, unless `close` is False."""
        self._add(global_step, walltime, summary=values.figure(tag, figure, close))

    def add_video(
        self,
        tag: str,
        vid_tensor: Any,
        global_step: Any = None,
        fps: float = 4,
        walltime: float | None = None,
    ) -> None:
        """Moving pictures (N, T, C, H, W), as a GIF."""
        self._add(global_step, walltime, summary=values.video(tag, vid_tensor, fps))

    def add_audio(
        self,
        tag: str,
        snd_tensor: Any,
        global_step: Any = None,
        sample_rate: int = 44100,
        walltime: float | None = None,
    ) -> None:
        """A sound: numbers from -1 to 1, (L,) or (1, L)."""
        self._add(global_step, walltime, summary=values.audio(tag, snd_tensor, sample_rate))

    def add_text(
        self, tag: str, text_string: str, global_step: Any = None, walltime: float | None = None
    ) -> None:
        """Text, which may be Markdown."""
        self._add(global_step, walltime, summary=values.text(tag, text_string))

    # --- models and runs

    def add_graph(
        self,
        model: Module,
        input_to_model: Any = None,
        verbose: bool = False,
        use_strict_trace: bool = True,
    ) -> None:
        """What a model computes: its operations, each below its layer, and the same as text.

        Parameters
        ----------
        model : Module
            Run once, in evaluation mode; it stays as it is.
        input_to_model : array, or tuple or list of them
            Some rows for each input.
        verbose : bool
            Whether to print the text.
        use_strict_trace : bool
            Taken, and without effect.

        Raises
        ------
        ValueError
            If there are no rows, or what the model does depends on their values.
        """
        if not isinstance(model, Module):
            raise TypeError(f"[add_graph] model: expected a Module, got {type(model).__name__}")
        if input_to_model is None:
            raise ValueError("[add_graph] input_to_model: expected some rows, got None")
        several = isinstance(input_to_model, (tuple, list))
        inputs = [*input_to_model] if several else [input_to_model]
        nodes = graph.nodes_of(model, inputs)
        self._add(None, None, graph_def=graph.graph_def(nodes).SerializeToString())
        shape = tuple(getattr(inputs[0], "shape", ()))
        words = graph.as_text(nodes, shape[0] if shape else None)
        if verbose:
            print(words)
        self.add_text("graph", "\n".join(f"    {line}" for line in words.splitlines()))

    def add_hparams(
        self,
        hparam_dict: Mapping[str, Any],
        metric_dict: Mapping[str, Any],
        hparam_domain_discrete: Mapping[str, Sequence[Any]] | None = None,
        run_name: str | None = None,
        global_step: Any = None,
    ) -> None:
        """The settings of a run and what came of them, for the table that compares runs.

        Parameters
        ----------
        hparam_dict : mapping of str to bool, str, int, float or None
        metric_dict : mapping of str to number
        hparam_domain_discrete : mapping of str to sequence, optional
            All values that a setting may have.
        run_name : str, optional
            The folder below this one; the time if left out.
        global_step : int, optional
        """
        for what, given in (("hparam_dict", hparam_dict), ("metric_dict", metric_dict)):
            if not isinstance(given, Mapping):
                raise TypeError(
                    f"[add_hparams] {what}: expected a dict, got {type(given).__name__}"
                )
        folder = os.path.join(self.log_dir, run_name or str(time.time()))
        made = settings.messages(hparam_dict, metric_dict, hparam_domain_discrete or {}, folder)
        with SummaryWriter(folder) as writer:
            for message in made:
                writer._add(None, None, summary=message)
            for name, value in metric_dict.items():
                writer.add_scalar(name, value, global_step)

    def add_embedding(
        self,
        mat: Any,
        metadata: Sequence[Any] | None = None,
        label_img: Any = None,
        global_step: int | None = None,
        tag: str = "default",
        metadata_header: Sequence[str] | None = None,
    ) -> None:
        """Points in space, for the projector.

        Parameters
        ----------
        mat : array, (N, D)
        metadata : sequence of N labels, or of N sequences of them, optional
        label_img : array, (N, C, H, W), optional
            A picture for each point.
        global_step : int, optional
        tag : str
        metadata_header : sequence of str, optional
            What several labels of a point are called.
        """
        step = 0 if global_step is None else int(global_step)
        embedding.write(self.log_dir, mat, metadata, label_img, step, tag, metadata_header)

    # --- the end

    @property
    def file(self) -> tuple[str, int]:
        """The path of the file that is written, and how long it is."""
        file = self._open()
        return file.path, file.size

    @property
    def waiting(self) -> int:
        """How many events are not in a file yet."""
        return 0 if self._file is None else self._file.waiting

    def flush(self) -> None:
        """Writes what waits."""
        for writer in (*self._inner.values(), self):
            if writer._file is not None:
                writer._file.flush()

    def close(self) -> None:
        """Writes what waits; whoever writes on after that makes another file."""
        self.flush()
        for writer in self._inner.values():
            writer.close()
        self._file, self._inner = None, {}

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


_histogram = values.histogram  # an argument of PyTorch's has the module's name
