"""Batches of a data set. Rows of tensors in memory are gathered by the core, a batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, Generic, TypeVar

from ranvier._C import Generator
from ranvier.utils.data.collate import default_collate, default_convert
from ranvier.utils.data.dataset import (
    IterableDataset,
    RowsInMemory,
    Where,
    index_of,
)
from ranvier.utils.data.sampler import BatchSampler, RandomSampler, SequentialSampler

T_co = TypeVar("T_co", covariant=True)


class DataLoader(Generic[T_co]):
    """Goes through a data set in batches, as often as it is asked to.

    Everything is loaded in this process: arguments that say how others should do it are taken, and
    change nothing. What shuffles is drawn from `generator`, or from the default one, which
    `manual_seed` sets.

    Parameters
    ----------
    dataset : Dataset
        Rows by number, with a length; or an `IterableDataset`.
    batch_size : int or None, default 1
        None: rows one by one, without an axis for the batch.
    shuffle : bool, default False
        A new order for every pass.
    sampler : Sampler or iterable of int, optional
        The order, in place of `shuffle`.
    batch_sampler : iterable of list of int, optional
        The batches, in place of all of these.
    num_workers : int, default 0
        Taken, and without effect.
    collate_fn : callable, optional
        Makes a batch of a list of rows; `default_collate` if left out.
    pin_memory : bool, default False
        Taken, and without effect.
    drop_last : bool, default False
        Leave out a last batch that is smaller.
    timeout, worker_init_fn, multiprocessing_context
        Taken, and without effect.
    generator : Generator, optional
    prefetch_factor, persistent_workers, pin_memory_device, in_order
        Taken, and without effect.

    Raises
    ------
    ValueError
        Arguments that exclude one another, or numbers out of range.

    Examples
    --------
    >>> import ranvier as rv
    >>> from ranvier.utils.data import DataLoader, TensorDataset
    >>> data = TensorDataset(rv.arange(10.0).reshape(5, 2), rv.arange(5))
    >>> for X, y in DataLoader(data, batch_size=2, drop_last=True):
    ...     print(tuple(X.shape), y.tolist())
    (2, 2) [0, 1]
    (2, 2) [2, 3]
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[Any] | None = None,
        batch_sampler: Iterable[Any] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        self._in_turn = isinstance(dataset, IterableDataset)
        _check_choices(self._in_turn, batch_size, bool(shuffle), sampler, batch_sampler, drop_last)
        _check_workers(num_workers, timeout, prefetch_factor, persistent_workers)
        self.dataset = dataset
        if sampler is None and not self._in_turn:
            if shuffle:
                sampler = RandomSampler(dataset, generator=generator)
            else:
                sampler = SequentialSampler(dataset)
        if batch_sampler is not None:
            batch_size = None
        elif batch_size is not None:
            batch_sampler = BatchSampler(sampler or (), batch_size, drop_last)
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.sampler: Any = sampler
        self.batch_sampler: Any = batch_sampler
        self.generator = generator
        if collate_fn is None:
            collate_fn = default_convert if batch_sampler is None else default_collate
        self.collate_fn = collate_fn
        self.num_workers = num_workers
        self.pin_memory = pin_memory
        self.pin_memory_device = pin_memory_device
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = multiprocessing_context
        self.prefetch_factor = prefetch_factor
        self.persistent_workers = persistent_workers
        self.in_order = in_order

    def __len__(self) -> int:
        """How many batches a pass has."""
        if self.batch_sampler is None:
            return len(self.dataset if self._in_turn else self.sampler)
        if self._in_turn:
            return int(self.batch_sampler.batches(len(self.dataset)))
        return len(self.batch_sampler)

    def __iter__(self) -> Iterator[Any]:
        if self._in_turn:
            return self._rows_in_turn()
        if self.batch_sampler is None:
            return (self.collate_fn(self.dataset[i]) for i in self.sampler)
        rows = RowsInMemory.of(self.dataset) if self.collate_fn is default_collate else None
        if rows is not None:
            return map(rows.batch, self._places())
        return (self.collate_fn(self._rows(batch)) for batch in self.batch_sampler)

    def _rows(self, batch: Iterable[Any]) -> list[Any]:
        get_all = getattr(self.dataset, "__getitems__", None)  # rows at once, as some can
        if callable(get_all):
            return list(get_all(list(batch)))
        return [self.dataset[i] for i in batch]

    def _rows_in_turn(self) -> Iterator[Any]:
        rows = iter(self.dataset)
        if self.batch_sampler is None:
            yield from map(self.collate_fn, rows)
            return
        while batch := list(islice(rows, self.batch_size)):
            if self.drop_last and len(batch) < (self.batch_size or 0):
                return
            yield self.collate_fn(batch)

    def _places(self) -> Iterator[Where]:
        """Where the rows of each batch are; numbers go through Python only in foreign samplers."""
        batches = self.batch_sampler
        sampler: Any = batches.sampler if type(batches) is BatchSampler else None
        if type(sampler) not in (SequentialSampler, RandomSampler):
            for batch in batches:
                yield index_of(batch)
            return
        order = sampler.order() if isinstance(sampler, RandomSampler) else None
        rows, size = len(sampler), batches.batch_size
        for start in range(0, batches.batches(rows) * size, size):
            part = slice(start, min(start + size, rows))
            yield part if order is None else order[part]


def _check_choices(
    in_turn: bool,
    batch_size: Any,
    shuffle: bool,
    sampler: Any,
    batch_sampler: Any,
    drop_last: bool,
) -> None:
    where = "[DataLoader]"
    if in_turn and (shuffle or sampler is not None or batch_sampler is not None):
        raise ValueError(
            f"{where} shuffle, sampler, batch_sampler: expected none with an IterableDataset, "
            "which has its own order, got one"
        )
    if sampler is not None and shuffle:
        raise ValueError(f"{where} sampler: expected it or shuffle, got both")
    if batch_sampler is not None and (
        batch_size != 1 or shuffle or sampler is not None or drop_last
    ):
        raise ValueError(
            f"{where} batch_sampler: expected it alone, got it with batch_size, shuffle, sampler "
            "or drop_last"
        )
    if batch_size is None and drop_last:
        raise ValueError(f"{where} drop_last: expected False without batches, got True")
    if batch_size is not None and (
        not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size < 1
    ):
        raise ValueError(
            f"{where} batch_size: expected a whole number of 1 or more, or None, got "
            f"{batch_size!r:.60}"
        )


def _check_workers(num_workers: Any, timeout: Any, prefetch: Any, persistent: Any) -> None:
    where = "[DataLoader]"
    if not isinstance(num_workers, int) or num_workers < 0:
        raise ValueError(f"{where} num_workers: expected 0 or more, got {num_workers!r:.60}")
    if timeout < 0:
        raise ValueError(f"{where} timeout: expected 0 or more, got {timeout!r:.60}")
    if num_workers == 0 and (prefetch is not None or persistent):
        raise ValueError(
            f"{where} prefetch_factor, persistent_workers: expected neither without workers, got "
            f"{prefetch!r:.60} and {persistent!r:.60}"
        )


def get_worker_info() -> None:
    """What a worker process is told about itself: None, as there are none."""
    return None
