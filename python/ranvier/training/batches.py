"""Where the rows of a step come from: a `Batch`, and the batches of an epoch over rows in memory.

An epoch gives steps, and a step is a list of batches whose gradients add up. Nothing here computes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ranvier import _C
from ranvier._C import Tensor
from ranvier.training.inputs import Rows


@dataclass(slots=True)
class Batch:
    """Some rows: what goes in, what should come out, and what each row counts."""

    x: Any
    target: Any
    rows: int
    weight: Any = None  # (rows,), or None where all rows count the same
    given: Any = None  # the target as it came, where `target` was made of it


Step = list[Batch]
# The order of an epoch, and the numbers of the rows of X and of y in it; None: as they stand.
Drawn = tuple[Tensor | None, Tensor | None, Tensor | None]


class Batches(Protocol):
    """The steps of one epoch after another; each `iter` is an epoch."""

    @property
    def steps(self) -> int | None:
        """How many steps an epoch has, where that is known."""

    def __iter__(self) -> Iterator[Step]: ...


class RowBatches:
    """Rows in memory, in order or in a new order every epoch; the last batch takes what is left.

    Parameters
    ----------
    X, y : Rows
    weight : Tensor, (N,), optional
        What each row of `X` counts, in the order of the rows in use.
    batch_size : int
        Rows computed at a time.
    accumulate : int
        Batches to a step.
    random : Tensor, optional
        State of the generator that shuffles; None: rows stay in order.
    """

    def __init__(
        self,
        X: Rows,
        y: Rows,
        weight: Tensor | None,
        batch_size: int,
        accumulate: int,
        random: Tensor | None,
    ) -> None:
        self.X, self.y, self.weight = X, y, weight
        self.batch_size, self.accumulate, self.random = batch_size, accumulate, random

    @property
    def steps(self) -> int:
        return -(-len(self.X) // (self.batch_size * self.accumulate))

    def drawn(self) -> Drawn:
        """The order of an epoch, and the numbers of the rows in it; None: as they stand."""
        order = None if self.random is None else _C.ops.permutation(self.random, len(self.X))
        return order, self.X.numbers(order), self.y.numbers(order)

    def lists(self, drawn: Drawn) -> list[Tensor]:
        """The numbers of the rows of `X` and `y`, and of the weights where there are some."""
        order, numbers, places = drawn
        plain: Tensor | None = None
        lists: list[Tensor] = []
        for given in (numbers, places) if self.weight is None else (numbers, places, order):
            if given is None:
                given = plain = _C.from_numpy(np.arange(len(self.X))) if plain is None else plain
            lists.append(given)
        return lists

    def step(self, start: int, stop: int, drawn: Drawn) -> Step:
        """The batches of the step of these rows."""
        order, numbers, places = drawn
        step: Step = []
        for begin in range(start, stop, self.batch_size):
            end = min(begin + self.batch_size, stop)
            weight = self.weight
            if weight is not None:
                weight = (
                    weight[begin:end] if order is None else weight.index_select(0, order[begin:end])
                )
            x = self.X.own_batch(begin, end, numbers)
            target = self.y.own_batch(begin, end, places)
            step.append(Batch(x, target, end - begin, weight))
        return step

    def targets(self, start: int, stop: int, drawn: Drawn) -> Batch:
        """What is measured of rows: what should come out, and what they count."""
        places = drawn[2]
        return Batch(None, self.y.batch(start, stop, places), stop - start)

    def __iter__(self) -> Iterator[Step]:
        drawn, count = self.drawn(), len(self.X)
        size = self.batch_size * self.accumulate
        for start in range(0, count, size):
            yield self.step(start, min(start + size, count), drawn)
