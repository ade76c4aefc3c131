"""Where the rows of a step come from: a `Batch`, and the batches of an epoch over rows in memory.

An epoch gives steps, and a step is a list of batches whose gradients add up. Nothing here computes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

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

    def __iter__(self) -> Iterator[Step]:
        count, size = len(self.X), self.batch_size
        order = None if self.random is None else _C.ops.permutation(self.random, count)
        numbers, places = self.X.numbers(order), self.y.numbers(order)
        step: Step = []
        for start in range(0, count, size):
            stop = min(start + size, count)
            weight = self.weight
            if weight is not None:
                weight = (
                    weight[start:stop]
                    if order is None
                    else weight.index_select(0, order[start:stop])
                )
            step.append(
                Batch(
                    self.X.batch(start, stop, numbers),
                    self.y.batch(start, stop, places),
                    stop - start,
                    weight,
                )
            )
            if len(step) == self.accumulate or stop == count:
                yield step
                step = []
