"""Models, nested values and tensors in files: `save` and `load`.

Files are data: nothing here executes what a file says, and nothing is believed before it is
checked.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ranvier._C import Tensor
from ranvier._devices import check_device
from ranvier.nn import Module

if TYPE_CHECKING:
    from ranvier.io.notes import About

__all__ = ["about", "load", "save", "state_of"]

Path = str | os.PathLike[str]


def save(
    obj: Any,
    path: Any,
    pickle_module: Any = None,
    pickle_protocol: Any = None,
    _use_new_zipfile_serialization: bool = True,
    *,
    labels: Any = None,
    input: Any = None,
) -> None:
    """Write a model, weights, or a nested value such as a checkpoint, to a safetensors file.

    The file is complete or unchanged: the bytes go to a temporary file in the same folder, reach
    the disk, and take the place of the old file in one step. If anything fails on the way, the old
    file stays and the temporary one is removed.

    Parameters
    ----------
    obj : Module, estimator, Tensor, or dict, list or tuple
        A model: its layers with their arguments, modes and weights, preprocessing at its front, and
        what `rv.io.about` knows of it; of a class of your own its weights and what it predicts, as
        a list of operations; one of the Keras door as `model.save` writes it. Or an estimator of
        `ranvier.sklearn`: its parameters and what it has learned. Or dicts, lists and tuples, in
        each other as they like, of tensors, numbers (whole ones of any size, inf and nan), text,
        bytes, True, False and None. Keys of dicts are text, numbers, None or tuples of them.
        Tensors may have any layout; NumPy's arrays come back as tensors, its numbers as Python's.
    path : str, path-like, or binary file
        Where to write, under any name. The folder must exist. A file that is open is written from
        where it stands.
    pickle_module, pickle_protocol, _use_new_zipfile_serialization
        Taken, and without effect: files hold no pickle.
    labels : list of str, int or float, optional
        What the outputs of a model are called, one for each, or two for a single output; what
        `rv.io.about(model)` has if left out.
    input : tuple of int, or pair of it and a dtype, optional
        The shape of a row for a model; what `fit` saw last if left out.

    Raises
    ------
    TypeError
        If there is an object that is no data, the message names its place; or an argument is not
        what it should be.
    ValueError
        If a name or a text cannot be written, data hold themselves, or labels do not go with the
        model.
    OSError
        If the file cannot be written.

    Warns
    -----
    RanvierWarning
        Of hooks, of layers that a file cannot describe, and of a class of your own whose forward
        cannot be written down, with the line: `load` will not make them.

    Notes
    -----
    A dict of names and tensors alone is written as the tensors under their names, which any reader
    of safetensors understands; tensors that share memory are then written under each name. In
    nested values the same view of the same memory is written once, and loaded as one tensor.

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.nn.Sequential(rv.nn.Linear(2, 1), rv.nn.Sigmoid())
    >>> rv.save(net, "net.safetensors", labels=["no", "yes"])
    >>> rv.load("net.safetensors")
    Sequential(
      (0): Linear(in_features=2, out_features=1, bias=True)
      (1): Sigmoid()
    )
    >>> rv.save({"w": rv.tensor([1.0, 2.0])}, "weights.safetensors")
    >>> rv.load("weights.safetensors")["w"].tolist()
    [1.0, 2.0]
    >>> rv.save({"epoch": 3, "sizes": (784, 10), "best": float("inf")}, "checkpoint.pt")
    >>> rv.load("checkpoint.pt")
    {'epoch': 3, 'sizes': (784, 10), 'best': inf}
    """
    words = write(obj, path, labels, input)
    if words:
        from ranvier.training.errors import warn

        warn(words)


def write(obj: Any, path: Any, labels: Any = None, input: Any = None) -> str:
    """What `save` does; gives the words that it warns with, or none."""
    from ranvier.io import tensors  # when used: a mere `import ranvier` does without json

    named, entries, words = _content(obj, labels, input)
    if hasattr(path, "write"):
        from ranvier.io import streams

        streams.write(path, named, entries)
    else:
        tensors.write(_checked("save", path), named, entries)
    return words


def load(
    path: Any,
    map_location: Any = None,
    pickle_module: Any = None,
    *,
    weights_only: bool = True,
    mmap: bool | None = None,
    model: Any = None,
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
    model : Module, optional
        Takes the weights of the file, and is what comes back. A model with classes of your own can
        be trained on only so; without it what comes back predicts.

    Returns
    -------
    Module, estimator, dict of str to Tensor, or the value
        The estimator or the model of a file that holds one, in the mode that it was in; no random
        number is drawn to make it. For weights and files of others the tensors by name, in the
        order of the file's header, which a model takes with `load_state_dict`. For a nested value
        the value, with dicts in their order.

    Raises
    ------
    TypeError
        If `path` is not a path, or `model` no module.
    OSError
        If the file cannot be read.
    ValueError
        If it is not a safetensors file, is damaged or cut short, was written in a later format,
        holds a type of number that Ranvier has no tensors for, describes a model that Ranvier
        cannot make, or has other tensors than the model, each of which is listed.

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.nn.Linear(2, 1)
    >>> rv.save(net, "linear.safetensors")
    >>> rv.load("linear.safetensors")
    Linear(in_features=2, out_features=1, bias=True)
    >>> other = rv.load("linear.safetensors", model=rv.nn.Linear(2, 1))
    >>> rv.equal(other.weight, net.weight)
    True
    """
    if not (callable(map_location) or isinstance(map_location, (Mapping, type(None)))):
        check_device(map_location, "load")
    if model is None:
        return _read(path, _loaded, mmap is not False)
    if not isinstance(model, Module):
        raise TypeError(f"[load] model: expected an nn.Module, got {type(model).__name__}")
    from ranvier.io import models

    return _read(path, functools.partial(models.load_into, model), mmap is not False)


def state_of(path: Any) -> dict[str, Tensor]:
    """The tensors of a file by name, as `load_state_dict` takes them, whatever made them.

    Parameters
    ----------
    path : str, path-like, or binary file
        A file with a model, or with tensors by name.

    Returns
    -------
    dict of str to Tensor
        Those that a model has under two names are there under both.

    Raises
    ------
    TypeError, OSError, ValueError
        As for `load`.

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.nn.Linear(2, 1)
    >>> rv.save(net, "linear.safetensors")
    >>> net.load_state_dict(rv.io.state_of("linear.safetensors"))
    <All keys matched successfully>
    """
    from ranvier.io import models

    found: dict[str, Tensor] = _read(path, models.state_of)
    return found


def about(model: Module) -> About:
    """What is known of a model beside its layers and weights, to be looked at and changed.

    It travels with the model: `rv.save` writes it, `rv.load` gives it back, copies have it.

    Parameters
    ----------
    model : Module

    Returns
    -------
    About
        `labels`, which may be assigned: what the outputs are called, strings or numbers. `input`,
        which may be assigned: the shape of a row and its dtype, as `fit` saw them last. `training`:
        what the last `fit` did.

    Raises
    ------
    TypeError
        If it is no model.

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.nn.Linear(4, 3)
    >>> rv.io.about(net).labels = ["setosa", "versicolor", "virginica"]
    >>> rv.save(net, "iris.safetensors")
    >>> rv.io.about(rv.load("iris.safetensors")).labels
    ('setosa', 'versicolor', 'virginica')
    """
    from ranvier.io import notes

    return notes.about(model)


def _read(path: Any, take: Callable[..., Any], mmap: bool = True) -> Any:
    """What `take` makes of the name, the tensors and the metadata of a file."""
    if hasattr(path, "read"):
        from ranvier.io import streams

        return streams.read(path, take)
    from ranvier.io import tensors

    return take(path, *tensors.read(_checked("load", path), mmap=mmap))


def _content(obj: Any, labels: Any, input: Any) -> tuple[Mapping[str, Any], dict[str, str], str]:
    """Tensors and metadata of the file that is to hold an object, and what it will not hold."""
    if isinstance(obj, Module):
        from ranvier.io import models

        return models.content(obj, labels, input)
    for name, value in (("labels", labels), ("input", input)):
        if value is not None:
            raise TypeError(f"[save] {name}: expected it beside a model only, got {value!r:.60}")
    from ranvier.io import kinds

    base = sys.modules.get("ranvier.sklearn.base")  # who has an estimator has imported it
    if base is not None and isinstance(obj, base.Estimator):
        from ranvier.io import estimators

        return estimators.content(obj)
    named = isinstance(obj, Mapping) and all(
        isinstance(name, str) and name != "__metadata__" and isinstance(value, Tensor)
        for name, value in obj.items()
    )
    if named:
        return obj, kinds.metadata(kinds.STATE), ""
    from ranvier.io import nested

    found, description = nested.described(obj)
    return found, kinds.metadata(kinds.VALUE, description), ""


def _loaded(path: Path, named: dict[str, Tensor], entries: Mapping[str, str]) -> Any:
    """What `load` gives for a file with these tensors and metadata."""
    from ranvier.io import kinds

    kind = kinds.kind_of(path, entries)
    if kind in (kinds.FOREIGN, kinds.STATE):
        return named
    if kind == kinds.MODEL:
        from ranvier.io import models

        return models.load(path, named, entries)
    if kind == kinds.ESTIMATOR:
        from ranvier.io import estimators

        return estimators.load(path, named, entries)
    from ranvier.io import nested

    return nested.value_of(path, named, kinds.described(path, entries))


def _checked(where: str, path: Any) -> Path:
    """A path; a TypeError otherwise, also for the number of an open file."""
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"[{where}] path: expected a string or a path, got {path!r:.60}")
    return path
