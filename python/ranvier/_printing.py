"""How tensors are printed, and the settings for it: as PyTorch prints them.

Only the elements that are shown are read, so a large tensor prints as fast as a small one. What
is shown is read through NumPy; nothing here changes a tensor or records an instruction.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier import _C, _dtypes
from ranvier._C import Tensor
from ranvier._grad import no_grad

if TYPE_CHECKING:
    from numpy.typing import NDArray

# --- settings -----------------------------------------------------------------------------------

_PROFILES: dict[str, dict[str, Any]] = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
    "full": {"precision": 4, "threshold": math.inf, "edgeitems": 3, "linewidth": 80},
}
_options: dict[str, Any] = {**_PROFILES["default"], "sci_mode": None}


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """How tensors are printed from here on. What is not given stays, but for `sci_mode`.

    Parameters
    ----------
    precision : int, optional
        Digits after the point; 4 at first.
    threshold : int, optional
        Tensors of more elements are shortened; 1000 at first.
    edgeitems : int, optional
        Elements at both ends of every dimension of a shortened tensor; 3 at first.
    linewidth : int, optional
        Characters in a line; 80 at first.
    profile : "default", "short" or "full", optional
        All of these at once.
    sci_mode : bool, optional
        Powers of ten always or never; None lets the numbers decide.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.set_printoptions(precision=2)
    >>> rv.tensor([1.12345])
    tensor([1.12])
    >>> rv.set_printoptions(profile="default")
    """
    changes: dict[str, Any] = {}
    if profile is not None:
        if not isinstance(profile, str) or profile not in _PROFILES:
            raise ValueError(
                f"[set_printoptions] profile: expected one of {', '.join(_PROFILES)}, "
                f"got {profile!r}"
            )
        changes.update(_PROFILES[profile])
    given = {"precision": precision, "edgeitems": edgeitems, "linewidth": linewidth}
    for name, value in given.items():
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise ValueError(
                f"[set_printoptions] {name}: expected a whole number of 0 or more, got {value!r}"
            )
        changes[name] = value
    if threshold is not None:
        if not isinstance(threshold, (int, float)) or math.isnan(threshold):
            raise ValueError(f"[set_printoptions] threshold: expected a number, got {threshold!r}")
        changes["threshold"] = threshold
    if not (sci_mode is None or isinstance(sci_mode, bool)):
        raise TypeError(
            f"[set_printoptions] sci_mode: expected True, False or None, got {sci_mode!r}"
        )
    _options.update(changes, sci_mode=sci_mode)


def get_printoptions() -> dict[str, Any]:
    """The settings as a dictionary that `set_printoptions(**options)` takes.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.get_printoptions()["precision"]
    4
    """
    return dict(_options)


@contextmanager
def printoptions(**options: Any) -> Iterator[None]:
    """Other settings for a `with` block; takes what `set_printoptions` takes.

    Examples
    --------
    >>> import ranvier as rv
    >>> with rv.printoptions(precision=1):
    ...     print(rv.tensor([0.25]))
    tensor([0.2])
    """
    before = get_printoptions()
    try:
        set_printoptions(**options)
        yield
    finally:
        _options.update(before)


# --- one number ---------------------------------------------------------------------------------


class _Style:
    """How each number of a tensor is written: as whole, with a fixed point, or as power of ten."""

    def __init__(self, values: NDArray[Any]) -> None:
        digits = _options["precision"]
        self.whole = self.power = False
        self.form, self.width = "", 1
        if values.dtype.kind != "f":
            # The longest text is that of the largest or of the smallest number.
            ends = [values.min(), values.max()] if values.size else []
            self.width = max([1, *(len(str(value)) for value in ends)])
            return
        shown = values[np.isfinite(values) & (values != 0)].astype(np.float64)
        self.whole = bool(np.all(shown == np.trunc(shown)))
        if shown.size:
            sizes = np.abs(shown)
            smallest, largest = sizes.min(), sizes.max()
            self.power = bool(largest / smallest > 1000 or largest > 1e8 or smallest < 1e-4)
            if _options["sci_mode"] is not None:
                self.power = _options["sci_mode"]
        self.form = f".{digits}e" if self.power else ".0f" if self.whole else f".{digits}f"
        point = 1 if self.whole and not self.power else 0
        texts = [len(format(value, self.form)) + point for value in shown.tolist()]
        self.width = max([1, *texts])

    def text(self, value: Any) -> str:
        written = format(value, self.form) if self.form else str(value)
        if self.whole and not self.power and math.isfinite(value) and self.form:
            written += "."
        return written.rjust(self.width)


# --- all of them --------------------------------------------------------------------------------


def _shown(tensor: Tensor, short: bool) -> NDArray[Any]:
    """The elements that are printed, as an array; a RuntimeError while a program is recorded."""
    ends = _options["edgeitems"]
    if tensor.dtype is _C.bfloat16:  # NumPy has none
        _C.empty((0,), _C.float32).numpy()  # nothing can be read while a program is recorded
        with no_grad():
            for axis, size in enumerate(tensor.shape if short else ()):
                if size > 2 * ends:
                    kept = np.r_[:ends, size - ends : size]
                    tensor = _C.ops.index_select(tensor, axis, _C.as_tensor(kept))
            return _C.ops.cast(tensor, _C.float32).numpy()
    array = tensor.detach().numpy()
    if short:
        kept = [np.r_[:ends, n - ends : n] if n > 2 * ends else np.arange(n) for n in array.shape]
        array = array[np.ix_(*kept)]
    return array


def _row(numbers: list[str], indent: int, width: int) -> str:
    """One line, or several lines, of numbers."""
    in_line = max(1, (_options["linewidth"] - indent) // (width + 2))
    lines = [", ".join(numbers[i : i + in_line]) for i in range(0, len(numbers), in_line)]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


def _block(
    values: NDArray[Any], shape: tuple[int, ...], indent: int, short: bool, style: _Style
) -> str:
    """Nested brackets. `shape` is the tensor's, of which `values` may be the ends alone."""
    ends = _options["edgeitems"]
    if not shape:
        return style.text(values.item())
    if len(shape) == 1:
        parts = [style.text(value) for value in values.tolist()]
    else:
        parts = [_block(part, shape[1:], indent + 1, short, style) for part in values]
    if short and shape[0] > 2 * ends:
        parts.insert(ends, " ..." if ends and len(shape) == 1 else "...")
    if len(shape) == 1:
        return _row(parts, indent, style.width)
    return "[" + ("," + "\n" * (len(shape) - 1) + " " * (indent + 1)).join(parts) + "]"


def _numbers(tensor: Tensor, indent: int) -> str:
    if tensor.numel() == 0:
        return "[]"
    short = tensor.numel() > _options["threshold"]
    values = _shown(tensor, short)
    return _block(values, tensor.shape, indent, short, _Style(values))


def _suffixes(tensor: Tensor) -> list[str]:
    empty, default = tensor.numel() == 0, _dtypes.get_default_dtype()
    words = []
    if (empty and tensor.ndim != 1) or not _options["edgeitems"]:
        words.append(f"size={tuple(tensor.shape)}")
    # What Python's own numbers become needs no mention.
    quiet = (default,) if empty else (default, _C.int64, _C.bool_)
    if tensor.dtype not in quiet:
        words.append(f"dtype={tensor.dtype!r}")
    if tensor.requires_grad:
        source = None if tensor.is_leaf else getattr(tensor, "grad_fn", None)
        words.append("requires_grad=True" if source is None else f"grad_fn={source!r}")
    return words


def text_of(tensor: Tensor) -> str:
    """What `repr` gives.

    Examples
    --------
    >>> import ranvier as rv
    >>> text_of(rv.zeros(1, 2))
    'tensor([[0., 0.]])'
    """
    kind = type(tensor).__name__
    plain = kind in ("Tensor", "Parameter")
    text = "tensor(" if plain else f"{kind}("
    indent = len(text)
    try:
        text += _numbers(tensor, indent)
    except RuntimeError:  # while a program is recorded there is nothing to read
        text += f"..., size={tuple(tensor.shape)}"
    column = len(text) - text.rfind("\n") + 1
    for word in _suffixes(tensor):
        if column + len(word) + 2 > _options["linewidth"]:
            text += ",\n" + " " * indent + word
            column = indent + len(word)
        else:
            text += ", " + word
            column += len(word) + 2
    heading = "Parameter containing:\n" if kind == "Parameter" else ""
    return f"{heading}{text})"
