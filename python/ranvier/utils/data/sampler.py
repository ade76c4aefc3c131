"""Samplers: in which order rows are asked for. Draws are made by the core's generator, at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from itertools import islice
from typing import Any, Generic, TypeVar

from ranvier import _C
from ranvier._C import Generator, Tensor
from ranvier._random import randint, randperm
from ranvier._random_after import multinomial

T_co = TypeVar("T_co", covariant=True)


class Sampler(Generic[T_co]):
    """Base class of samplers; an own one has `__iter__`, and `__len__` if it knows.

    Examples
    --------
    >>> from ranvier.utils.data import Sampler
    >>> class Backwards(Sampler):
    ...     def __init__(self, data):
    ...         self.data = data
    ...
    ...     def __iter__(self):
    ...         return iter(range(len(self.data) - 1, -1, -1))
    >>> list(Backwards("abc"))
    [2, 1, 0]
    """

    def __init__(self, data_source: Sized | None = None) -> None:
        pass

    def __iter__(self) -> Iterator[T_co]:
        raise TypeError(f"[{type(self).__name__}] expected a method '__iter__', got none")


class SequentialSampler(Sampler[int]):
    """Rows as they stand.

    Parameters
    ----------
    data_source : Dataset

    Examples
    --------
    >>> from ranvier.utils.data import SequentialSampler
    >>> list(SequentialSampler("abc"))
    [0, 1, 2]
    """

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler[int]):
    """Rows in random order, a new one every time.

    Parameters
    ----------
    data_source : Dataset
    replacement : bool, default False
        Draw each row on its own, so that some come twice and others never.
    num_samples : int, optional
        How many; as many as there are, if left out.
    generator : Generator, optional
        The default one, if left out.

    Examples
    --------
    >>> from ranvier.utils.data import RandomSampler
    >>> sorted(RandomSampler("abc"))
    [0, 1, 2]
    """

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        _check_flag("RandomSampler", "replacement", replacement)
        self.data_source = data_source
        self.replacement = replacement
        self._num_samples = num_samples
        self.generator = generator
        _check_count("RandomSampler", self.num_samples)

    @property
    def num_samples(self) -> int:
        """How many rows are drawn."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def order(self) -> Tensor:
        """The numbers of rows of one pass, int64, drawn anew."""
        rows, count, generator = len(self.data_source), self.num_samples, self.generator
        if self.replacement:
            return randint(0, rows, (count,), dtype=_C.int64, generator=generator)
        rounds = [randperm(rows, generator=generator) for _ in range(-(-count // rows))]
        return _C.ops.cat(rounds, 0)[:count]

    def __iter__(self) -> Iterator[int]:
        return iter(self.order().tolist())

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler[int]):
    """Some rows in random order, a new one every time.

    Parameters
    ----------
    indices : sequence of int
    generator : Generator, optional

    Examples
    --------
    >>> from ranvier.utils.data import SubsetRandomSampler
    >>> sorted(SubsetRandomSampler([4, 2]))
    [2, 4]
    """

    def __init__(self, indices: Sequence[int], generator: Generator | None = None) -> None:
        self.indices = indices
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        order = randperm(len(self.indices), generator=self.generator).tolist()
        return (self.indices[i] for i in order)

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler[int]):
    """Rows drawn by weight: rare classes as often as common ones, for example.

    Parameters
    ----------
    weights : sequence of float
        One a row, in any unit.
    num_samples : int
    replacement : bool, default True
    generator : Generator, optional

    Examples
    --------
    >>> from ranvier.utils.data import WeightedRandomSampler
    >>> list(WeightedRandomSampler([0.0, 3.0, 0.0], num_samples=2))
    [1, 1]
    """

    def __init__(
        self,
        weights: Sequence[float] | Tensor,
        num_samples: int,
        replacement: bool = True,
        generator: Generator | None = None,
    ) -> None:
        where = "WeightedRandomSampler"
        _check_count(where, num_samples)
        _check_flag(where, "replacement", replacement)
        self.weights = _C.ops.cast(_C.as_tensor(weights), _C.float64)
        if self.weights.ndim != 1:
            raise ValueError(
                f"[{where}] weights: expected one a row, got shape {tuple(self.weights.shape)}"
            )
        self.num_samples = num_samples
        self.replacement = replacement
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        drawn = multinomial(
            self.weights, self.num_samples, self.replacement, generator=self.generator
        )
        return iter(drawn.tolist())

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler[list[int]]):
    """What another sampler gives, in lists.

    Parameters
    ----------
    sampler : Sampler or iterable
    batch_size : int
    drop_last : bool
        Leave out a last list that is shorter.

    Examples
    --------
    >>> from ranvier.utils.data import BatchSampler
    >>> list(BatchSampler(range(5), batch_size=2, drop_last=False))
    [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool) -> None:
        _check_count("BatchSampler", batch_size, "batch_size")
        _check_flag("BatchSampler", "drop_last", drop_last)
        self.sampler: Any = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[list[int]]:
        numbers = iter(self.sampler)
        while batch := list(islice(numbers, self.batch_size)):
            if self.drop_last and len(batch) < self.batch_size:
                return
            yield batch

    def __len__(self) -> int:
        return self.batches(len(self.sampler))

    def batches(self, rows: int) -> int:
        """How many lists that many rows make."""
        return rows // self.batch_size if self.drop_last else -(-rows // self.batch_size)


def _check_count(where: str, value: Any, name: str = "num_samples") -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"[{where}] {name}: expected a whole number of 1 or more, got {value!r}")


def _check_flag(where: str, name: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise TypeError(f"[{where}] {name}: expected True or False, got {value!r:.60}")
