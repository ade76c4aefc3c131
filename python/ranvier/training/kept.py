"""Programs of training steps that stay with a model between two calls of `fit`.

To record and plan a step takes as long as some ten steps of a small network, so that a loop around
``fit(..., epochs=1)`` would mostly record. Where the next call trains the same model in the same
way on the same memory, its steps are the programs of the last one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ranvier._C import Tensor
from ranvier.training import plain
from ranvier.training.batches import RowBatches
from ranvier.training.inputs import Rows

if TYPE_CHECKING:
    from ranvier._capture import Programs

# Programs hold rows, gradients and what lies between them: of small networks only, whose steps are
# short. Those of others would hold more memory than they save time.
_BYTES = 4 << 20


@dataclass
class Kept:
    """What one run leaves to the next: nothing in it leads back to the model.

    Attributes
    ----------
    likeness : tuple
        What has to be equal.
    by_rows : dict
        Programs by the number of rows and whether these are measured.
    keys : list of Tensor
        What dropout draws by, in these programs.
    check : plain.Check
        Why the steps may be replayed; it reads nothing that could become another.
    """

    likeness: tuple[Any, ...]
    by_rows: dict[tuple[int, bool], Programs]
    keys: list[Tensor]
    check: plain.Check

    def hold(self) -> bool:
        """Whether what the programs depend on is as it was."""
        return all(programs.only() is not None for programs in self.by_rows.values())


def likeness_of(rows: RowBatches, trained: Sequence[Tensor]) -> tuple[Any, ...] | None:
    """What is equal for runs over the same memory; None for what is better recorded anew."""
    if rows.weight is not None or type(rows.X) is not Rows:
        return None  # made for each run
    tensors = [rows.X.tensor, rows.y.tensor]
    if sum(t.nbytes for t in (*tensors, *trained)) > _BYTES:
        return None
    layouts = [(t.data_ptr(), t.dtype, tuple(t.shape), t.stride()) for t in tensors]
    forms = [(part.dtype, part.shape) for part in (rows.X, rows.y)]
    return (*layouts, *forms, rows.batch_size, rows.accumulate, tuple(map(id, trained)))
