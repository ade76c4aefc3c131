"""What `fit`, `evaluate` and `predict` are given, as batches: arrays, structures, iterables.

Arrays stay where they are; rows are gathered and cast batch by batch. Floats become the model's
type; whole numbers stay, as they may be labels, and layers that compute cast them.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from ranvier import _C
from ranvier._C import ShapeError, Tensor, ops
from ranvier._C import dtype as DType
from ranvier._random import state_of
from ranvier.keras.tensors import flatten, map_structure
from ranvier.training import inputs
from ranvier.training.batches import Batch, Drawn, RowBatches, Step
from ranvier.training.inputs import Rows, SparseRows
from ranvier.training.loaders import generators_of

SIZE = 32  # rows of a batch, unless somebody says otherwise


def array_rows(where: str, name: str, value: Any, dtype: DType) -> Rows:
    """One array as rows; of floats in the model's type, of truth values as well."""
    if hasattr(value, "to_numpy"):  # a table of pandas'
        value = value.to_numpy()
    if inputs.is_sparse(value) and name.startswith("x"):  # dense, a batch at a time
        return SparseRows.of(where, name, value, dtype)
    tensor = inputs.rows(where, name, value)
    floats = tensor.dtype.is_floating_point or tensor.dtype is _C.bool_
    return Rows(tensor, dtype if floats else tensor.dtype, tuple(tensor.shape[1:]))


def structured(where: str, name: str, value: Any, dtype: DType) -> Any:
    """A structure of arrays as one of rows: a list of arrays is several inputs, not one."""
    if value is None:
        return None
    if isinstance(value, Mapping):
        return {k: array_rows(where, f"{name}[{k!r}]", v, dtype) for k, v in value.items()}
    if isinstance(value, (list, tuple)) and value and all(map(_is_array, value)):
        parts = [array_rows(where, f"{name}[{i}]", v, dtype) for i, v in enumerate(value)]
        return parts if isinstance(value, list) else tuple(parts)
    return array_rows(where, name, value, dtype)


def _is_array(value: Any) -> bool:
    known = isinstance(value, (np.ndarray, Tensor)) or hasattr(value, "to_numpy")
    return known or inputs.is_sparse(value)


def is_batches(x: Any) -> bool:
    """Whether something gives batches: a loader, a generator, a sequence of batches."""
    if isinstance(x, (np.ndarray, Tensor, list, tuple, Mapping, str)) or hasattr(x, "to_numpy"):
        return False
    if inputs.is_sparse(x):
        return False
    return hasattr(x, "__iter__") or hasattr(x, "__next__") or hasattr(x, "__getitem__")


# --- rows in memory -------------------------------------------------------------------------------


class ArrayBatches:
    """Batches of rows in memory, in order or in a new order every epoch.

    Parameters
    ----------
    x, y : structure of Rows
    weight : Rows, or list or dict of Rows, optional
    size : int
        Rows of a batch.
    shuffle : bool
    limit : int, optional
        Batches of an epoch, where not all are wanted.
    """

    def __init__(
        self, where: str, x: Any, y: Any, weight: Any, size: int, shuffle: bool, limit: int | None
    ) -> None:
        self.x, self.y, self.weight, self.shuffle = x, y, weight, shuffle
        lengths = [len(rows) for rows in flatten((x, y, weight)) if rows is not None]
        if len(set(lengths)) > 1:
            raise ShapeError(
                f"[{where}] x, y and weights: expected as many rows in all, got "
                f"{', '.join(map(str, lengths))}"
            )
        self.rows, self.size = lengths[0], min(size, lengths[0])
        whole = -(-self.rows // self.size)
        self.steps = whole if limit is None else min(limit, whole)
        self._by_numbers: NumberedBatches | None = None

    def __iter__(self) -> Iterator[Step]:
        order = None
        if self.shuffle and self.size < self.rows:
            order = ops.permutation(state_of(None), self.rows)
        for start in range(0, self.steps * self.size, self.size):
            yield [self.batch(start, min(start + self.size, self.rows), order)]

    def by_numbers(self) -> RowBatches | None:
        """The same batches by the numbers of their rows; None for structures of inputs."""
        kinds = {type(part) for part in (self.x, self.y)}
        whole = self.steps * self.size >= self.rows
        if kinds != {Rows} or type(self.weight) not in (Rows, type(None)) or not whole:
            return None
        if self._by_numbers is None:
            self._by_numbers = NumberedBatches(self)
        return self._by_numbers

    def all(self) -> Batch:
        """All rows as one batch."""
        return self.batch(0, self.rows)

    def batch(self, start: int, stop: int, order: Tensor | None = None) -> Batch:
        """Some rows."""
        take = _taker(start, stop, order)
        return Batch(take(self.x), take(self.y), stop - start, take(self.weight))


class NumberedBatches(RowBatches):
    """Batches of rows of one input and one target, by the numbers of the rows."""

    def __init__(self, batches: ArrayBatches) -> None:
        given = None if batches.weight is None else batches.weight.all()
        random = state_of(None) if batches.shuffle and batches.size < batches.rows else None
        super().__init__(batches.x, batches.y, given, batches.size, 1, random)

    def targets(self, start: int, stop: int, drawn: Drawn) -> Batch:
        batch = super().targets(start, stop, drawn)
        if self.weight is not None:
            order = drawn[0]
            rows = slice(start, stop)
            batch.weight = (
                self.weight[rows] if order is None else self.weight.index_select(0, order[rows])
            )
        return batch


def _taker(start: int, stop: int, order: Tensor | None) -> Callable[[Any], Any]:
    def take(structure: Any) -> Any:
        if structure is None:
            return None
        if isinstance(structure, Rows):
            return structure.batch(start, stop, order)
        return map_structure(lambda rows: rows.batch(start, stop, order), structure)

    return take


# --- batches that somebody else makes -------------------------------------------------------------


class GivenBatches:
    """Batches from an iterable: a generator goes on from epoch to epoch, others begin anew.

    Parameters
    ----------
    source : iterable
        Of x, (x, y) or (x, y, sample_weight).
    steps : int, optional
        Batches of an epoch: until the source ends, if left out.
    convert : callable
        Makes a `Batch` of what the source gives.
    """

    def __init__(self, source: Any, steps: int | None, convert: Callable[[Any], Batch]) -> None:
        self.source, self.convert = _iterable(source), convert
        self.steps = steps if steps is not None else _length(source)
        self._limit = steps
        self._running: Iterator[Any] | None = None
        self._first: list[Any] = []  # of an iterator, which gives it only once
        self._seen: Batch | None = None  # the first batch, where somebody has looked at it
        self.total = self.begun = 0  # batches that were given, and when the epoch began

    def peek(self) -> Batch:
        """The first batch, which comes again when the epoch begins.

        What has a length can be gone through again: random numbers are then where they were. What
        has none may be a stream, of which the first batch is kept.
        """
        if self._seen is None:
            try:
                if _length(self.source) is None:
                    self._running = iter(self.source)
                    self._first.append(next(self._running))
                    item = self._first[0]
                else:
                    with undrawn(self.source):
                        item = next(iter(self.source))
            except StopIteration:
                raise ValueError("[fit] x: expected at least one batch, got none") from None
            self._seen = self.convert(item)
        return self._seen

    def __iter__(self) -> Iterator[Step]:
        self.begun, done = self.total, 0
        while self._limit is None or done < self._limit:
            items = list(self._next())
            if not items:
                return
            done += 1
            self.total += 1
            yield [self.convert(items[0])]

    def _next(self) -> Iterator[Any]:
        """The next item, if there is one; with a limit, the source begins again where it ends."""
        if self._first:
            yield self._first.pop()
            return
        for _ in range(1 if self._limit is None else 2):
            if self._running is None:
                self._running = iter(self.source)
            try:
                yield next(self._running)
            except StopIteration:
                self._running = None
            else:
                return

    def skip(self, count: int) -> None:
        """Leaves behind what was given before; without a limit, epochs begin anew by themselves."""
        self.total = self.begun = count
        if self._limit is None and count:
            self._running, self._first = None, []
        for _ in range(count if self._limit is not None else 0):
            list(self._next())


@contextmanager
def undrawn(source: Any) -> Iterator[None]:
    """Behind it, random numbers are where they were."""
    generators = [_C.default_generator(), *generators_of(source)]
    states = [generator.get_state() for generator in generators]
    others = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)
        random.setstate(others[0])
        np.random.set_state(others[1])


def _iterable(source: Any) -> Iterable[Any]:
    """Something to iterate over: sequences of batches by their numbers."""
    if hasattr(source, "__iter__") or hasattr(source, "__next__"):
        return source  # type: ignore[no-any-return]
    return _Numbered(source)


class _Numbered:
    """Iterates over an object with `__getitem__` and `__len__` or `num_batches`."""

    def __init__(self, source: Any) -> None:
        self.source = source

    def __iter__(self) -> Iterator[Any]:
        for i in range(_length(self.source) or 0):
            yield self.source[i]
        if hasattr(self.source, "on_epoch_end"):
            self.source.on_epoch_end()


def _length(source: Any) -> int | None:
    try:
        return len(source)
    except (TypeError, NotImplementedError):
        count = getattr(source, "num_batches", None)
        return int(count) if isinstance(count, int) else None


def unpack(item: Any) -> tuple[Any, Any, Any]:
    """x, y and sample weights of what a source of batches gives."""
    if isinstance(item, tuple):
        if len(item) > 3 or not item:
            raise ValueError(
                f"[fit] x: expected batches (x,), (x, y) or (x, y, sample_weight), got {len(item)} "
                "parts"
            )
        return (*item, *(None,) * (3 - len(item)))
    if isinstance(item, list) and len(item) == 2 and all(isinstance(t, Tensor) for t in item):
        return item[0], item[1], None  # as a DataLoader gives them
    return item, None, None


# --- weights of rows, and rows kept aside ---------------------------------------------------------


def class_weights(where: str, y: Any, weights: Mapping[Any, float]) -> Any:
    """A weight for each row, by its class: labels, one-hot rows, or 0 and 1."""
    if isinstance(y, (list, tuple, Mapping)) and not _is_plain(y):
        raise ValueError(f"[{where}] class_weight: expected a model of one output, got several")
    array = np.asarray(y.detach() if isinstance(y, Tensor) else y)
    if array.ndim > 1:
        array = array.argmax(-1) if array.shape[-1] > 1 else array[..., 0]
    labels = np.round(array).astype(np.int64)
    try:
        table = {int(k): float(v) for k, v in weights.items()}
    except (TypeError, ValueError):
        raise ValueError(
            f"[{where}] class_weight: expected whole-number labels and numbers, got {weights!r:.60}"
        ) from None
    result = np.ones(labels.shape, dtype=np.float32)
    for label, weight in table.items():
        result[labels == label] = weight
    return result


def check_weights(where: str, weight: Any) -> None:
    """A ValueError where no row counts; `weight` is a structure of Rows, or None."""
    given = [rows for rows in flatten(weight) if rows is not None]
    if given and not any(bool(rows.tensor.any()) for rows in given):
        raise ValueError(
            f"[{where}] sample_weight and class_weight: expected at least one training row that "
            "counts, got weights that are all zero"
        )


def _is_plain(y: Any) -> bool:
    return isinstance(y, (list, tuple)) and not any(map(_is_array, y))


def split(where: str, parts: tuple[Any, Any, Any], share: float) -> tuple[Any, Any]:
    """The first rows to train on and the last ones to measure, of x, y and weights.

    Parameters
    ----------
    parts : (x, y, weight)
        Structures of Rows, or None.
    share : float
        What share to keep aside, more than 0 and less than 1.
    """
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 < share < 1:
        raise ValueError(
            f"[{where}] validation_split: expected a number between 0 and 1, got {share!r:.60}"
        )
    total = len(flatten(parts[0])[0])
    place = math.floor(total * (1.0 - share))
    if place in (0, total):
        raise ValueError(
            f"[{where}] validation_split: expected rows on both sides, got {share} of {total} "
            f"rows, which leaves {place} to train on"
        )

    def cut(structure: Any, start: int, stop: int) -> Any:
        if structure is None:
            return None
        return map_structure(lambda rows: rows.between(start, stop), structure)

    return (
        tuple(cut(part, 0, place) for part in parts),
        tuple(cut(part, place, total) for part in parts),
    )
