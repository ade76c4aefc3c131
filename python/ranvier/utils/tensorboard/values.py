"""Numbers, images, sounds and text as the messages that TensorBoard reads. Nothing here writes."""

from __future__ import annotations

import functools
import importlib
import io
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier._C import Tensor
from ranvier._conversion import as_array
from ranvier.training.errors import describe_bad
from ranvier.utils.tensorboard.events import needed

Array = npt.NDArray[Any]

WHO = "SummaryWriter"


def _protos() -> Any:
    return needed(WHO, "compat.proto.summary_pb2")


def array(name: str, given: Any) -> Array:
    """Numbers of any origin as an array; a TypeError for what is none."""
    if isinstance(given, Tensor):
        return np.asarray(as_array(given.detach()))
    found = np.asarray(given)
    if found.dtype.kind not in "buif":
        raise TypeError(f"[{WHO}] {name}: expected numbers, got {type(given).__name__}")
    return found


def _of_rank(name: str, given: Array, rank: int) -> Array:
    if given.ndim != rank:
        raise ValueError(f"[{WHO}] {name}: expected {rank} axes, got shape {given.shape}")
    return given


def value(tag: str, **content: Any) -> Any:
    """A message about a thing with a name."""
    if not isinstance(tag, str):
        raise TypeError(f"[{WHO}] tag: expected a string, got {tag!r:.60}")
    protos = _protos()
    return protos.Summary(value=[protos.Summary.Value(tag=tag, **content)])


# --- numbers --------------------------------------------------------------------------------------


def scalar(tag: str, number: Any, new_style: bool = False, double_precision: bool = False) -> Any:
    """One number."""
    given = array("scalar_value", number)
    if given.size != 1:
        raise ValueError(
            f"[{WHO}] scalar_value: expected one number, got shape {given.shape} for {tag!r}"
        )
    if not new_style:
        return value(tag, simple_value=float(given.reshape(())))
    kept = given.reshape(()).astype(np.float64 if double_precision else np.float32)
    content = needed(WHO, "util.tensor_util").make_tensor_proto(kept)
    metadata = needed(WHO, "plugins.scalar.metadata").create_summary_metadata("", "")
    return value(tag, tensor=content, metadata=metadata)


def tensor(tag: str, given: Any) -> Any:
    """All numbers of a tensor."""
    content = needed(WHO, "util.tensor_util").make_tensor_proto(array("tensor", given))
    return value(tag, tensor=content)


@functools.cache
def _edges() -> Array:
    """Borders that grow by a tenth each, on both sides of 0."""
    count = math.ceil(math.log(1e32) / math.log(1.1))
    positive = 1e-12 * 1.1 ** np.arange(count)
    return np.concatenate([-positive[::-1], [0.0], positive])


def histogram(tag: str, values: Any, bins: Any = "tensorflow", max_bins: int | None = None) -> Any:
    """How often numbers of which size occur."""
    given = array("values", values).astype(np.float64, copy=False).reshape(-1)
    if given.size == 0:
        raise ValueError(f"[{WHO}] values: expected at least one number for {tag!r}, got none")
    bad = ~np.isfinite(given)
    if bad.any():
        raise ValueError(
            f"[{WHO}] values: expected finite numbers for {tag!r}, got {describe_bad(given, bad)}"
        )
    counts, edges = np.histogram(given, _edges() if bins == "tensorflow" else bins)
    if max_bins is not None and len(counts) > max_bins:
        together = -(-len(counts) // max_bins)
        padded = np.pad(counts, (0, -len(counts) % together))
        counts = padded.reshape(-1, together).sum(axis=1)
        edges = np.append(edges[:-1][::together], edges[-1])
    used = np.flatnonzero(counts)
    first, last = (used[0], used[-1]) if len(used) else (0, len(counts) - 1)
    # One empty bucket before the first, whose lower border readers take for that of the first.
    limits, kept = edges[first : last + 2], [0, *counts[first : last + 1]]
    return histogram_raw(
        tag, given.min(), given.max(), given.size, given.sum(), np.dot(given, given), limits, kept
    )


def histogram_raw(
    tag: str, low: Any, high: Any, num: Any, total: Any, squares: Any, limits: Any, counts: Any
) -> Any:
    """A histogram that somebody else has counted."""
    limits, counts = array("bucket_limits", limits), array("bucket_counts", counts)
    if limits.shape != counts.shape or limits.ndim != 1:
        raise ValueError(
            f"[{WHO}] bucket_counts: expected one for each of {limits.size} limits, got shape "
            f"{counts.shape}"
        )
    made = needed(WHO, "compat.proto.histogram_pb2").HistogramProto(
        min=float(low), max=float(high), num=float(num), sum=float(total),
        sum_squares=float(squares), bucket_limit=limits.tolist(), bucket=counts.tolist(),
    )  # fmt: skip
    return value(tag, histo=made)


def pr_curve(
    tag: str, labels: Any, predictions: Any, num_thresholds: int = 127, weights: Any = None
) -> Any:
    """Precision and recall at so many thresholds."""
    truth, scores = array("labels", labels).reshape(-1), array("predictions", predictions)
    scores = scores.astype(np.float64).reshape(-1)
    if truth.shape != scores.shape or truth.size == 0:
        raise ValueError(
            f"[{WHO}] predictions: expected one for each of {truth.size} labels, got {scores.size}"
        )
    if not (np.isfinite(scores).all() and scores.min() >= 0 and scores.max() <= 1):
        raise ValueError(f"[{WHO}] predictions: expected probabilities, got others for {tag!r}")
    counted = 1.0 if weights is None else array("weights", weights).reshape(-1)
    share = np.broadcast_to(np.asarray(counted, np.float64), scores.shape)
    bucket = np.floor(scores * (num_thresholds - 1)).astype(np.int64)
    right = np.bincount(bucket, share * (truth != 0), num_thresholds)
    wrong = np.bincount(bucket, share * (truth == 0), num_thresholds)
    found, taken = (np.cumsum(counts[::-1])[::-1] for counts in (right, wrong))
    tiny = 1e-7
    return pr_curve_raw(
        tag, found, taken, taken[0] - taken, found[0] - found,
        found / np.maximum(tiny, found + taken), found / np.maximum(tiny, found[0]),
        num_thresholds,
    )  # fmt: skip


def pr_curve_raw(
    tag: str, tp: Any, fp: Any, tn: Any, fn: Any, precision: Any, recall: Any, num_thresholds: int
) -> Any:
    """A curve that somebody else has counted."""
    rows = [array("pr_curve", part) for part in (tp, fp, tn, fn, precision, recall)]
    content = needed(WHO, "util.tensor_util").make_tensor_proto(np.stack(rows).astype(np.float32))
    about = needed(WHO, "plugins.pr_curve.metadata")
    return value(tag, tensor=content, metadata=about.create_summary_metadata(
        tag, "", num_thresholds
    ))  # fmt: skip


def text(tag: str, words: str) -> Any:
    """Text, which may be Markdown."""
    if not isinstance(words, str):
        raise TypeError(f"[{WHO}] text_string: expected a string, got {type(words).__name__}")
    content = needed(WHO, "util.tensor_util").make_tensor_proto([words.encode()], dtype=np.object_)
    about = needed(WHO, "plugins.text.metadata").create_summary_metadata("", "")
    return value(tag, tensor=content, metadata=about)


# --- pictures and sounds --------------------------------------------------------------------------


def pixels(given: Array) -> Array:
    """Numbers from 0 to 1 as bytes; bytes as they are."""
    if given.dtype == np.uint8:
        return given
    if given.dtype.kind not in "bf":
        return np.clip(given, 0, 255).astype(np.uint8)
    whole = np.nan_to_num(given.astype(np.float64), nan=0.0)
    return (np.clip(whole, 0.0, 1.0) * 255).round().astype(np.uint8)


def arranged(name: str, given: Array, form: str, across: int | None = None) -> Array:
    """Pictures whose axes are named by letters, such as NCHW, as one picture (H, W, C).

    Several are laid out as a grid, about as wide as high unless `across` says how many to a row.
    """
    letters = form.upper()
    if sorted(letters) not in (sorted("HW"), sorted("HWC"), sorted("NHWC"), sorted("NHW")):
        raise ValueError(
            f"[{WHO}] dataformats: expected letters such as CHW, HWC, HW or NCHW, got {form!r:.20}"
        )
    given = _of_rank(name, given, len(letters))
    for letter in "CN":
        if letter not in letters:
            given, letters = given[None], letter + letters
    given = given.transpose([letters.index(letter) for letter in "NHWC"])
    if given.shape[-1] not in (1, 3, 4) or 0 in given.shape:
        raise ValueError(
            f"[{WHO}] {name}: expected 1, 3 or 4 channels, got {given.shape[-1]} of the shape "
            f"{given.shape} (N, H, W, C); dataformats says which axis is which"
        )
    count, height, width, channels = given.shape
    across = across or min(8, math.ceil(math.sqrt(count)))
    down = -(-count // across)
    whole = np.zeros((down * across, height, width, channels), given.dtype)
    whole[:count] = given
    grid = whole.reshape(down, across, height, width, channels).transpose(0, 2, 1, 3, 4)
    return grid.reshape(down * height, across * width, channels)


def image(tag: str, given: Any, form: str = "CHW") -> Any:
    """A picture, or several beside each other."""
    return image_of(tag, pixels(arranged("img_tensor", array("img_tensor", given), form)))


def image_of(tag: str, picture: Array) -> Any:
    """A picture (H, W, C) of bytes."""
    height, width, channels = picture.shape
    made = _protos().Summary.Image(
        height=height, width=width, colorspace=channels, encoded_image_string=png(picture)
    )
    return value(tag, image=made)


def png(picture: Array) -> bytes:
    """The bytes of a PNG file of a picture (H, W, C) of bytes."""
    data = io.BytesIO()
    flat = picture[..., 0] if picture.shape[-1] == 1 else picture
    _pillow().fromarray(np.ascontiguousarray(flat)).save(data, "PNG")
    return data.getvalue()


def _pillow() -> Any:
    try:
        return importlib.import_module("PIL.Image")
    except ImportError:
        raise ImportError(
            f"[{WHO}] pillow: expected the package for pictures, got none; "
            "pip install 'ranvier[tensorboard]'"
        ) from None


def video(tag: str, given: Any, fps: float = 4) -> Any:
    """Moving pictures (N, T, C, H, W), those of N beside each other, as a GIF."""
    frames = _of_rank("vid_tensor", array("vid_tensor", given), 5)
    pictures = [pixels(arranged("vid_tensor", frames[:, t], "NCHW")) for t in range(len(frames[0]))]
    if not pictures or not (isinstance(fps, (int, float)) and fps > 0):
        raise ValueError(f"[{WHO}] vid_tensor: expected frames, and more than 0 of them a second")
    height, width, channels = pictures[0].shape
    made = [_pillow().fromarray(p[..., 0] if channels == 1 else p) for p in pictures]
    data = io.BytesIO()
    made[0].save(data, "GIF", save_all=True, append_images=made[1:], duration=1000 / fps, loop=0)
    content = _protos().Summary.Image(
        height=height, width=width, colorspace=channels, encoded_image_string=data.getvalue()
    )
    return value(tag, image=content)


def audio(tag: str, given: Any, sample_rate: int = 44100) -> Any:
    """A sound: numbers from -1 to 1, (L,) or (1, L)."""
    import wave

    samples = array("snd_tensor", given)
    samples = samples.reshape(-1) if samples.ndim == 2 and 1 in samples.shape else samples
    samples = np.clip(_of_rank("snd_tensor", samples, 1).astype(np.float64), -1, 1)
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    made = _protos().Summary.Audio(
        sample_rate=sample_rate, num_channels=1, length_frames=len(samples),
        encoded_audio_string=data.getvalue(), content_type="audio/wav",
    )  # fmt: skip
    return value(tag, audio=made)


def figure(tag: str, figures: Any, close: bool = True) -> Any:
    """A figure of matplotlib, or several beside each other."""
    pyplot = importlib.import_module("matplotlib.pyplot")  # somebody has made a figure with it
    canvas_of = importlib.import_module("matplotlib.backends.backend_agg").FigureCanvasAgg
    found = []
    for one in figures if isinstance(figures, (list, tuple)) else [figures]:
        canvas = canvas_of(one)
        canvas.draw()
        found.append(np.asarray(canvas.buffer_rgba()))
        if close:
            pyplot.close(one)
    sizes = {picture.shape for picture in found}
    if len(sizes) != 1:
        raise ValueError(f"[{WHO}] figure: expected figures of one size, got {len(sizes)}")
    return image(tag, np.stack(found), "NHWC")
