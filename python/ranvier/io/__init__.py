"""Models and tensors in files: `save` and `load`.

Files are data: nothing here executes what a file says, and nothing is believed before it is
checked.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ranvier._C import Tensor

__all__ = ["load", "save"]

Path = str | os.PathLike[str]


def save(model: Any, path: Path) -> None:
    """Write weights to a safetensors file.

    The file is complete or unchanged: the bytes go to a temporary file in the same folder, reach
    the disk, and take the place of the old file in one step. If anything fails on the way, the old
    file stays and the temporary one is removed.

    Parameters
    ----------
    model : Module or mapping of str to Tensor
        A model, of which `state_dict()` is written, or such a dictionary itself. Tensors of any
        layout; one that occurs under two names is written twice.
    path : str or path-like
        Where to write. The folder must exist.

    Raises
    ------
    TypeError
        If `model` is neither, a value is not a tensor, or `path` is not a path.
    ValueError
        If a name cannot be written.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.save({"w": rv.tensor([1.0, 2.0])}, "weights.safetensors")
    >>> rv.load("weights.safetensors")["w"].tolist()
    [1.0, 2.0]
    """
    from ranvier.io import kinds, tensors  # when used: a mere `import ranvier` does without json

    named = _named_tensors(model)
    tensors.write(_checked("save", path), named, kinds.metadata(kinds.STATE))


def load(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file.

    Parameters
    ----------
    path : str or path-like
        A file that `save`, or anything else that writes safetensors, has written.

    Returns
    -------
    dict of str to Tensor
        In the order of the file's header, every tensor in memory of its own. A model takes them
        with ``model.load_state_dict(rv.load(path))``.

    Raises
    ------
    TypeError
        If `path` is not a path.
    OSError
        If the file cannot be read.
    ValueError
        If it is not a safetensors file, is damaged or cut short, or holds a type of number that
        Ranvier has no tensors for.

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.nn.Linear(2, 1)
    >>> rv.save(net, "linear.safetensors")
    >>> net.load_state_dict(rv.load("linear.safetensors"))
    <All keys matched successfully>
    """
    from ranvier.io import kinds, tensors

    named, metadata = tensors.read(_checked("load", path))
    kinds.kind_of(path, metadata)
    return named


def _checked(where: str, path: Any) -> Path:
    """A path; a TypeError otherwise, also for the number of an open file."""
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"[{where}] path: expected a string or a path, got {path!r:.60}")
    return path


def _named_tensors(model: Any) -> Mapping[str, Any]:
    state_dict = getattr(model, "state_dict", None)
    tensors = state_dict() if callable(state_dict) else model
    if not isinstance(tensors, Mapping):
        raise TypeError(
            "[save] model: expected an nn.Module or a dictionary of names and tensors, got "
            f"{type(model).__name__}"
        )
    return tensors
