"""Models, nested values and tensors in files: `save` and `load`.

Files are data: nothing here executes what a file says, and nothing is believed before it is
checked.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ranvier._C import Tensor
from ranvier._devices import check_device
from ranvier.nn import Module

__all__ = ["load", "save"]

Path = str | os.PathLike[str]


def save(
    obj: Any,
    path: Any,
    pickle_module: Any = None,
    pickle_protocol: Any = None,
    _use_new_zipfile_serialization: bool = True,
) -> None:
    """Write weights, or a nested value such as a checkpoint, to a safetensors file.

    The file is complete or unchanged: the bytes go to a temporary file in the same folder, reach
    the disk, and take the place of the old file in one step. If anything fails on the way, the old
    file stays and the temporary one is removed.

    Parameters
    ----------
    obj : Module, Tensor, or dict, list or tuple
        A model, of which `state_dict()` is written; or dicts, lists and tuples, in each other as
        they like, of tensors, numbers (whole ones of any size, inf and nan), text, bytes, True,
        False and None. Keys of dicts are text, numbers, None or tuples of them. Tensors may have
        any layout; NumPy's arrays come back as tensors, its numbers as Python's.
    path : str, path-like, or binary file
        Where to write, under any name. The folder must exist. A file that is open is written from
        where it stands.
    pickle_module, pickle_protocol, _use_new_zipfile_serialization
        Taken, and without effect: files hold no pickle.

    Raises
    ------
    TypeError
        If there is an object that is no data, the message names its place; or `path` is no path.
    ValueError
        If a name or a text cannot be written, or data hold themselves.
    OSError
        If the file cannot be written.

    Notes
    -----
    A dict of names and tensors alone is written as the tensors under their names, which any reader
    of safetensors understands; tensors that share memory are then written under each name. In
    nested values the same view of the same memory is written once, and loaded as one tensor.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.save({"w": rv.tensor([1.0, 2.0])}, "weights.safetensors")
    >>> rv.load("weights.safetensors")["w"].tolist()
    [1.0, 2.0]
    >>> rv.save({"epoch": 3, "sizes": (784, 10), "best": float("inf")}, "checkpoint.pt")
    >>> rv.load("checkpoint.pt")
    {'epoch': 3, 'sizes': (784, 10), 'best': inf}
    """
    from ranvier.io import tensors  # when used: a mere `import ranvier` does without json

    named, entries = _content(obj)
    if hasattr(path, "write"):
        from ranvier.io import streams

        streams.write(path, named, entries)
        return
    tensors.write(_checked("save", path), named, entries)


def load(
    path: Any,
    map_location: Any = None,
    pickle_module: Any = None,
    *,
    weights_only: bool = True,
    mmap: bool | None = None,
) -> Any:
    """Read what `save` has written, or the tensors of any safetensors file.

    Parameters
    ----------
    path : str, path-like, or binary file
        A file that is open is read from where it stands to its end.
    map_location : "cpu", device, callable or dict, optional
        Tensors are loaded to the CPU whichever it is; another device is refused.
    pickle_module, weights_only
        Taken, and without effect: only data are ever loaded.
    mmap : bool, optional
        Whether a large file is mapped into memory, as it is unless this is False: its numbers are
        then read when they are used, and copied when they are changed, which never changes the
        file. `save` and everything else that puts a new file in its place leave the tensors as
        they are. A program that overwrites or cuts this very file changes them, though, or ends
        the process: ``mmap=False`` reads all of it now. Files under a mebibyte always are.

    Returns
    -------
    dict of str to Tensor, or the value
        For weights and files of others the tensors by name, in the order of the file's header.
        A model takes them with ``model.load_state_dict(rv.load(path))``. For a nested value the
        value, with dicts in their order.

    Raises
    ------
    TypeError
        If `path` is not a path.
    OSError
        If the file cannot be read.
    ValueError
        If it is not a safetensors file, is damaged or cut short, was written in a later format, or
        holds a type of number that Ranvier has no tensors for.

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.nn.Linear(2, 1)
    >>> rv.save(net, "linear.safetensors")
    >>> net.load_state_dict(rv.load("linear.safetensors", map_location="cpu"))
    <All keys matched successfully>
    """
    from ranvier.io import tensors

    if not (callable(map_location) or isinstance(map_location, (Mapping, type(None)))):
        check_device(map_location, "load")
    if hasattr(path, "read"):
        from ranvier.io import streams

        return streams.read(path, _loaded)
    return _loaded(path, *tensors.read(_checked("load", path), mmap=mmap is not False))


def _content(obj: Any) -> tuple[Mapping[str, Any], dict[str, str]]:
    """The tensors and the metadata of the file that is to hold an object."""
    from ranvier.io import kinds

    if isinstance(obj, Module):
        obj = obj.state_dict()
    named = isinstance(obj, Mapping) and all(
        isinstance(name, str) and name != "__metadata__" and isinstance(value, Tensor)
        for name, value in obj.items()
    )
    if named:
        return obj, kinds.metadata(kinds.STATE)
    from ranvier.io import nested

    found, description = nested.described(obj)
    return found, kinds.metadata(kinds.VALUE, description)


def _loaded(path: Path, named: dict[str, Tensor], entries: Mapping[str, str]) -> Any:
    """What `load` gives for a file with these tensors and metadata."""
    from ranvier.io import kinds

    if kinds.kind_of(path, entries) in (kinds.FOREIGN, kinds.STATE):
        return named
    from ranvier.io import nested

    return nested.value_of(path, named, kinds.described(path, entries))


def _checked(where: str, path: Any) -> Path:
    """A path; a TypeError otherwise, also for the number of an open file."""
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"[{where}] path: expected a string or a path, got {path!r:.60}")
    return path
