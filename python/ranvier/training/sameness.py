"""What must be the same where a run goes on from a checkpoint, and what to say where it is not.

Data are known again by shape, dtype and a hash; models by their layers, names and shapes. Nothing
here keeps data, and nothing changes any.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier._C import Tensor
from ranvier._conversion import array_of
from ranvier.nn import Module
from ranvier.training.batches import Batches, RowBatches
from ranvier.training.inputs import Rows, SparseRows
from ranvier.training.loaders import LoaderBatches

if TYPE_CHECKING:
    from ranvier.training.optimizers import Spec
    from ranvier.training.preparation import FitTask, How, Others

_HASHED = 1 << 26  # bytes of an array; of larger ones every so manyth row
_NAMED = 3  # differences
_SETTINGS = (bool, int, float, str, tuple, type(None))


# --- models, losses and metrics -------------------------------------------------------------------


def of_module(module: Any) -> dict[str, Any]:
    """The layers of a module by their names, and the tensors of its state."""
    if not isinstance(module, Module):
        return {}
    known = {f"layer {name or '(model)'}": layer_of(one) for name, one in module.named_modules()}
    state = [*module.named_parameters(), *module.named_buffers()]
    return known | {name: f"{t.dtype.name} {tuple(t.shape)}" for name, t in state}


def layer_of(module: Module) -> dict[str, Any]:
    """A layer by its class, and one of ours by its settings: others may keep what changes there."""
    kind = type(module)
    settings: dict[str, Any] = {"class": kind.__name__}
    if kind.__module__.startswith("ranvier."):
        settings |= {
            name: value
            for name, value in vars(module).items()
            if name[0] != "_" and name != "training" and isinstance(value, _SETTINGS)
        }
    return settings


def of_schedule(schedule: Any) -> str | None:
    """A schedule by its name, class or function."""
    what = getattr(schedule, "what", schedule)
    if what is None or isinstance(what, str):
        return what
    return str(getattr(what, "__name__", type(what).__name__))


# --- data -----------------------------------------------------------------------------------------


def of_rows(rows: Rows | None) -> str | None:
    """Rows of data by dtype, shape and contents."""
    if rows is None:
        return None
    if isinstance(rows, SparseRows):
        matrix = rows.matrix
        parts = [_hashed(np.asarray(part)) for part in (matrix.data, matrix.indices, matrix.indptr)]
        text = f"sparse {matrix.dtype} {tuple(matrix.shape)} {' '.join(parts)}"
    else:
        text = of_tensor(rows.tensor) or ""
    return text if rows.index is None else f"{text}, of which rows {of_tensor(rows.index)}"


def of_tensor(tensor: Tensor | None) -> str | None:
    """A tensor by dtype, shape and contents."""
    if tensor is None:
        return None
    array = array_of(tensor.detach())
    return f"{tensor.dtype.name} {tuple(tensor.shape)} {_hashed(array)}"


def _hashed(array: Any) -> str:
    import hashlib  # when used: a mere fit does without

    every = max(1, -(-array.nbytes // _HASHED)) if array.ndim else 1
    part = np.ascontiguousarray(array[::every] if every > 1 else array)
    return hashlib.blake2b(part.reshape(-1).view(np.uint8).data, digest_size=16).hexdigest()


def of_batches(batches: Batches) -> dict[str, Any]:
    """What an epoch goes through."""
    if isinstance(batches, RowBatches):
        return {
            "X": of_rows(batches.X),
            "y": of_rows(batches.y),
            "weights of rows": of_tensor(batches.weight),
            "batch_size": batches.batch_size,
        }
    assert isinstance(batches, LoaderBatches)
    loader = batches.loader
    return {
        "X": f"{type(getattr(loader, 'dataset', loader)).__name__} of {_length(loader)} batches",
        "batch_size": getattr(loader, "batch_size", None),
    }


def of_validation(others: Others | LoaderBatches | None) -> dict[str, Any]:
    """The rows that are measured after every epoch."""
    if others is None or isinstance(others, LoaderBatches):
        return {"validation": None if others is None else of_batches(others)["X"]}
    parts = of_rows(others.X), of_rows(others.y), of_tensor(others.weight)
    return {"validation": ", ".join(filter(None, parts))}


def _length(loader: Any) -> str:
    try:
        return str(len(loader))
    except TypeError:
        return "some"


# --- together -------------------------------------------------------------------------------------


def of_fit(task: FitTask, how: How, spec: Spec | None, schedule: Any, seed: Any) -> dict[str, Any]:
    """What `fit` was given."""
    return of_task(task) | {
        "schedule": of_schedule(schedule),
        "lr": None if spec is None else spec.lr,
        "accumulate": how.accumulate,
        "shuffle": bool(how.shuffle),
        "seed": seed,
    }


def of_task(task: FitTask) -> dict[str, Any]:
    """What is trained and how, by names that a user knows."""
    penalties, loss = task.penalties, task.loss
    return {
        "model": of_module(task.model),
        "loss": {"loss": loss.name} | of_module(loss.function),
        "optimizer": type(task.optimizer).__name__,
        "groups of parameters": [len(g["params"]) for g in task.optimizer.param_groups],
        **of_batches(task.batches),
        **of_validation(task.validation),
        **{name: getattr(penalties, name) for name in ("clip_norm", "l1", "l2", "max_norm")},
        "metrics": [metric.name for metric in task.metrics],
    }


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs, as in `batch_size 32, got 16`; of models no more than a few.

    What an earlier version did not write down, a setting that is new, is not compared.
    """
    found = []
    for name in before.keys() & now.keys():
        old, new = before[name], now[name]
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            parts = [text for one in {**old, **new} for text in _of_part(one, old, new)]
            more = [f"{len(parts) - _NAMED} more"] if len(parts) > _NAMED else []
            if parts:
                found.append(f"{name} with {' and '.join(parts[:_NAMED] + more)}")
        elif old != new and _form(old) == _form(new) is not None:
            found.append(f"{name} {_form(old)} as it was, got other numbers")
        elif old != new:
            found.append(f"{name} {_told(old)}, got {_told(new)}")
    return sorted(found)


def _of_part(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What differs in a layer or a tensor of a model."""
    one, other = old.get(name), new.get(name)
    if not (isinstance(one, Mapping) and isinstance(other, Mapping)):
        return [] if one == other else [f"{name} {_told(one)}, got {_told(other)}"]
    if one.get("class") != other.get("class"):
        return [f"{name} {_told(one)}, got {_told(other)}"]
    return [
        f"{name} {key} {_told(one[key])}, got {_told(other[key])}"
        for key in one
        if key in other and one[key] != other[key]
    ]


def _form(value: Any) -> str | None:
    """Data without their contents; None for what are no data."""
    match = re.fullmatch(r"(.*) [0-9a-f]{32}", value) if isinstance(value, str) else None
    return match[1] if match else None


def _told(value: Any) -> str:
    if isinstance(value, Mapping):
        value = value.get("class")
    return "none" if value is None else f"{value!s:.120}"
