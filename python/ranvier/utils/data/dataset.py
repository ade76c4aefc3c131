"""Data sets: what has rows that can be asked for by number, or given one after the other."""

from __future__ import annotations

import math
import operator
import warnings
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain
from typing import Any, Generic, TypeVar

from ranvier import _C
from ranvier._C import Generator, ShapeError, Tensor
from ranvier._random import randperm

T_co = TypeVar("T_co", covariant=True)


class Dataset(Generic[T_co]):
    """Base class of data with a length and rows by number.

    An own one has `__getitem__` and `__len__`.

    Examples
    --------
    >>> from ranvier.utils.data import DataLoader, Dataset
    >>> class Squares(Dataset):
    ...     def __len__(self):
    ...         return 4
    ...
    ...     def __getitem__(self, index):
    ...         return index, float(index**2)
    >>> for x, y in DataLoader(Squares(), batch_size=4):
    ...     print(x.tolist(), y.tolist())
    [0, 1, 2, 3] [0.0, 1.0, 4.0, 9.0]
    """

    def __getitem__(self, index: Any) -> T_co:
        raise TypeError(f"[{type(self).__name__}] expected a method '__getitem__', got none")

    def __add__(self, other: Dataset[Any]) -> ConcatDataset[Any]:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[T_co]):
    """Base class of data that only come one after the other, in their own order.

    An own one has `__iter__`.

    Examples
    --------
    >>> from ranvier.utils.data import DataLoader, IterableDataset
    >>> class Countdown(IterableDataset):
    ...     def __iter__(self):
    ...         return iter([3, 2, 1])
    >>> [batch.tolist() for batch in DataLoader(Countdown(), batch_size=2)]
    [[3, 2], [1]]
    """

    def __iter__(self) -> Iterator[T_co]:
        raise TypeError(f"[{type(self).__name__}] expected a method '__iter__', got none")

    def __add__(self, other: Dataset[Any]) -> Any:
        return ChainDataset([self, other])


class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """Tensors with as many rows each; row i is a tuple of the i-th rows.

    Parameters
    ----------
    *tensors : Tensor, (N, ...)

    Raises
    ------
    TypeError
        What is no tensor.
    ShapeError
        Tensors of other lengths, or without rows.

    Examples
    --------
    >>> import ranvier as rv
    >>> from ranvier.utils.data import TensorDataset
    >>> data = TensorDataset(rv.zeros(3, 2), rv.tensor([0, 1, 2]))
    >>> len(data), data[1]
    (3, (tensor([0., 0.]), tensor(1)))
    """

    def __init__(self, *tensors: Tensor) -> None:
        for i, tensor in enumerate(tensors):
            if not isinstance(tensor, Tensor):
                raise TypeError(
                    f"[TensorDataset] tensors: expected tensors, got {type(tensor).__name__} at "
                    f"place {i}; rv.as_tensor(array) makes one"
                )
            if tensor.ndim == 0:
                raise ShapeError(
                    f"[TensorDataset] tensors: expected rows, got a single number at place {i}"
                )
        lengths = [tensor.shape[0] for tensor in tensors]
        if len(set(lengths)) > 1:
            raise ShapeError(
                f"[TensorDataset] tensors: expected as many rows in each, got {lengths}"
            )
        if not tensors:
            raise TypeError("[TensorDataset] tensors: expected at least one, got none")
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(tensor[index] for tensor in self.tensors)

    def __len__(self) -> int:
        return int(self.tensors[0].shape[0])


class StackDataset(Dataset[Any]):
    """Data sets of one length, side by side: a row is a tuple of theirs, or a dict.

    Parameters
    ----------
    *args : Dataset
    **kwargs : Dataset
        One or the other: names make rows dicts.

    Examples
    --------
    >>> from ranvier.utils.data import StackDataset
    >>> StackDataset(x=[1, 2], y=[3, 4])[1]
    {'x': 2, 'y': 4}
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if bool(args) == bool(kwargs):
            raise ValueError(
                "[StackDataset] datasets: expected some by place or some by name, got "
                f"{len(args)} and {len(kwargs)}"
            )
        self.datasets: Any = args or kwargs
        lengths = [len(one) for one in args or kwargs.values()]
        if len(set(lengths)) > 1:
            raise ValueError(f"[StackDataset] datasets: expected equal lengths, got {lengths}")
        self._length = lengths[0]

    def __getitem__(self, index: Any) -> Any:
        if isinstance(self.datasets, dict):
            return {name: data[index] for name, data in self.datasets.items()}
        return tuple(data[index] for data in self.datasets)

    def __len__(self) -> int:
        return self._length


class ConcatDataset(Dataset[T_co]):
    """Data sets one after the other.

    Parameters
    ----------
    datasets : iterable of Dataset

    Examples
    --------
    >>> from ranvier.utils.data import ConcatDataset
    >>> both = ConcatDataset([["a", "b"], ["c"]])
    >>> len(both), both[2], both[-2]
    (3, 'c', 'b')
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets: list[Any] = list(datasets)
        if not self.datasets:
            raise ValueError("[ConcatDataset] datasets: expected at least one, got none")
        for i, data in enumerate(self.datasets):
            if isinstance(data, IterableDataset):
                raise TypeError(
                    "[ConcatDataset] datasets: expected rows by number, got an IterableDataset at "
                    f"place {i}; ChainDataset takes it"
                )
        self.cumulative_sizes = list(accumulate(len(data) for data in self.datasets))

    def __getitem__(self, index: Any) -> T_co:
        place = operator.index(index)
        place += len(self) if place < 0 else 0
        if not 0 <= place < len(self):
            raise IndexError(
                f"[ConcatDataset] expected an index below {len(self)}, got {operator.index(index)}"
            )
        which = bisect_right(self.cumulative_sizes, place)
        row: T_co = self.datasets[which][place - ([0, *self.cumulative_sizes][which])]
        return row

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]


class ChainDataset(IterableDataset[Any]):
    """Data that come one after the other, from several sources in turn.

    Parameters
    ----------
    datasets : iterable of IterableDataset

    Examples
    --------
    >>> from ranvier.utils.data import ChainDataset
    >>> list(ChainDataset([[1, 2], [3]]))
    [1, 2, 3]
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets: list[Any] = list(datasets)

    def __iter__(self) -> Iterator[Any]:
        return chain.from_iterable(self.datasets)

    def __len__(self) -> int:
        return sum(len(data) for data in self.datasets)


class Subset(Dataset[T_co]):
    """Some rows of a data set.

    Parameters
    ----------
    dataset : Dataset
    indices : sequence of int
        Their numbers, in their order.

    Examples
    --------
    >>> from ranvier.utils.data import Subset
    >>> list(Subset("abcd", [3, 0]))
    ['d', 'a']
    """

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices

    def __getitem__(self, index: Any) -> T_co:
        if isinstance(index, list):
            row: T_co = self.dataset[[self.indices[i] for i in index]]
        else:
            row = self.dataset[self.indices[index]]
        return row

    def __len__(self) -> int:
        return len(self.indices)


# --- rows in C++ ----------------------------------------------------------------------------------

Where = Tensor | slice  # numbers of rows, or rows that follow one another


class RowsInMemory:
    """Tensors of which batches of rows are gathered at once, and which rows of them are in use."""

    def __init__(self, tensors: Sequence[Tensor], single: bool, index: Tensor | None) -> None:
        self.tensors = tensors
        self.single = single
        self.index = index

    @classmethod
    def of(cls, dataset: Any) -> RowsInMemory | None:
        """What a data set has in memory, if nobody's own `__getitem__` has a say in it."""
        get = getattr(type(dataset), "__getitem__", None)
        if isinstance(dataset, Subset) and get is Subset.__getitem__:
            inner = cls.of(dataset.dataset)
            if inner is not None:
                numbers = index_of(dataset.indices)
                if inner.index is not None:
                    numbers = inner.index[numbers]
                return cls(inner.tensors, inner.single, numbers)
        if isinstance(dataset, TensorDataset) and get is TensorDataset.__getitem__:
            return cls(dataset.tensors, False, None)
        if isinstance(dataset, Tensor) and dataset.ndim > 0:
            return cls([dataset], True, None)
        return None

    def batch(self, where: Where) -> Any:
        """Rows as `default_collate` would put them together one by one."""
        if self.index is not None:
            where = _taken(self.index, where)
        parts = [_taken(tensor, where) for tensor in self.tensors]
        return parts[0] if self.single else parts


def index_of(numbers: Any) -> Tensor:
    """Numbers of rows as a tensor."""
    if isinstance(numbers, Tensor):
        return numbers
    numbers = list(numbers)
    return _C.as_tensor(numbers) if numbers else _C.zeros((0,), _C.int64)


def _taken(tensor: Tensor, where: Where) -> Tensor:
    # A batch has memory of its own: what is written to it does not reach the data.
    rows = tensor[where]
    return rows.clone() if isinstance(where, slice) else rows


# --- parts ----------------------------------------------------------------------------------------


def random_split(
    dataset: Any, lengths: Sequence[int | float], generator: Generator | None = None
) -> list[Subset[Any]]:
    """Parts a data set into rows drawn at random.

    Parameters
    ----------
    dataset : Dataset
    lengths : sequence of int or float
        How many rows each part gets, or which fraction; what rounding down leaves of fractions goes
        to the first parts, a row each.
    generator : Generator, optional

    Returns
    -------
    list of Subset

    Raises
    ------
    ValueError
        Lengths that are not all rows, or fractions that are not 1 together.

    Examples
    --------
    >>> import ranvier as rv
    >>> from ranvier.utils.data import random_split
    >>> parts = random_split(range(10), [0.75, 0.25], rv.Generator().manual_seed(0))
    >>> [len(part) for part in parts]
    [8, 2]
    """
    rows = len(dataset)
    counts = _counts(list(lengths), rows)
    if sum(counts) != rows:
        raise ValueError(
            f"[random_split] lengths: expected {rows} rows together, as the dataset has, got "
            f"{list(lengths)}"
        )
    order = randperm(rows, generator=generator).tolist()
    ends = list(accumulate(counts))
    return [
        Subset(dataset, order[end - count : end]) for end, count in zip(ends, counts, strict=True)
    ]


def _counts(lengths: list[int | float], rows: int) -> list[int]:
    total = sum(lengths)
    if not math.isclose(total, 1):
        counts = [int(length) for length in lengths]
        if counts != lengths or min(counts, default=0) < 0:
            raise ValueError(
                "[random_split] lengths: expected numbers of rows, or fractions that are 1 "
                f"together, got {lengths}"
            )
        return counts
    if bad := [fraction for fraction in lengths if not 0 <= fraction <= 1]:
        raise ValueError(
            f"[random_split] lengths: expected fractions between 0 and 1, got {bad[0]}"
        )
    counts = [math.floor(rows * fraction) for fraction in lengths]
    for i in range(rows - sum(counts)):
        counts[i % len(counts)] += 1
    for i, count in enumerate(counts):
        if count == 0:
            _warn_of_nothing(i)
    return counts


def _warn_of_nothing(i: int) -> None:
    from ranvier.training.errors import RanvierWarning  # few programs part data so finely

    warnings.warn(
        f"[random_split] lengths: expected rows for every part, got none for part {i}",
        RanvierWarning,
        stacklevel=4,
    )
