"""How rows become a batch: tensors are stacked, numbers become tensors, structure stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ranvier import _C
from ranvier._C import ShapeError, Tensor


def default_convert(data: Any) -> Any:
    """A row for a loader that makes no batches: arrays become tensors, all else stays.

    Parameters
    ----------
    data : Tensor, array, number, mapping, sequence or anything

    Examples
    --------
    >>> import numpy as np
    >>> from ranvier.utils.data import default_convert
    >>> default_convert({"x": np.zeros(2), "name": "a"})
    {'x': tensor([0., 0.], dtype=ranvier.float64), 'name': 'a'}
    """
    if isinstance(data, (np.ndarray, np.generic)):
        return data if data.dtype.kind in "SUO" else _C.as_tensor(data)
    if isinstance(data, Mapping):
        return _mapping_like(data, {key: default_convert(value) for key, value in data.items()})
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return _sequence_like(data, [default_convert(value) for value in data])
    return data


def default_collate(batch: Sequence[Any]) -> Any:
    """A batch of rows: stacked tensors, in the structure that one row has.

    Tuples become lists, numbers become tensors (Python's float64 and int64), text stays text.

    Parameters
    ----------
    batch : sequence
        Rows of one structure.

    Raises
    ------
    TypeError
        Rows of what cannot be stacked.
    ShapeError
        Tensors of several shapes.
    RuntimeError
        Sequences of several lengths.

    Examples
    --------
    >>> from ranvier.utils.data import default_collate
    >>> default_collate([(1.0, "a"), (2.0, "b")])
    [tensor([1., 2.], dtype=ranvier.float64), ('a', 'b')]
    """
    first = batch[0]
    if isinstance(first, Tensor):
        return _stacked(list(batch))
    if isinstance(first, (np.ndarray, np.generic)) and first.dtype.kind not in "SUO":
        return _stacked([_C.as_tensor(row) for row in batch])
    if isinstance(first, float):
        return _C.as_tensor(np.array(batch, np.float64))
    if isinstance(first, int):
        return _C.as_tensor(list(batch))
    if isinstance(first, (str, bytes)):
        return batch
    if isinstance(first, Mapping):
        return _mapping_like(
            first, {key: default_collate([row[key] for row in batch]) for key in first}
        )
    if isinstance(first, Sequence):
        if len({len(row) for row in batch}) > 1:
            raise RuntimeError(
                "[default_collate] batch: expected rows of one length, got "
                f"{sorted({len(row) for row in batch})}; pass a collate_fn that brings them to one"
            )
        return _sequence_like(first, [default_collate(part) for part in zip(*batch, strict=True)])
    raise TypeError(
        "[default_collate] batch: expected rows of tensors, arrays, numbers, text, dicts or "
        f"sequences, got {type(first).__name__}; pass a collate_fn"
    )


def _stacked(rows: list[Tensor]) -> Tensor:
    shapes = {tuple(row.shape) for row in rows}
    if len(shapes) > 1:
        one, other = sorted(shapes)[:2]
        raise ShapeError(
            f"[default_collate] batch: expected rows of one shape, got {one} and {other}; pass a "
            "collate_fn that pads them"
        )
    return _C.ops.stack(rows, 0)


def _mapping_like(like: Mapping[Any, Any], values: dict[Any, Any]) -> Any:
    try:
        return type(like)(values)  # type: ignore[call-arg]
    except TypeError:
        return values


def _sequence_like(like: Sequence[Any], values: list[Any]) -> Any:
    if isinstance(like, tuple):
        return type(like)(*values) if hasattr(like, "_fields") else values
    try:
        return type(like)(values)  # type: ignore[call-arg]
    except TypeError:
        return values
