"""Rows of a sparse matrix on their way to the first layer of a model, which reads what is stored.

It is no sparse tensor: nothing but a linear layer takes it, and what comes out is dense.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ranvier import _C
from ranvier._C import Tensor

if TYPE_CHECKING:
    from ranvier.nn.module import Module


class Csr(NamedTuple):
    """A sparse matrix as it is held: row i has values[indptr[i] : indptr[i + 1]].

    Attributes
    ----------
    indptr : Tensor, (rows + 1,), int32 or int64
    indices : Tensor, (stored,), int32 or int64
        The column of each value; one that comes twice in a row counts twice.
    values : Tensor, (stored,)
    columns : int
    """

    indptr: Tensor
    indices: Tensor
    values: Tensor
    columns: int


class SparseBatch:
    """Some rows of a sparse matrix.

    Parameters
    ----------
    matrix : Csr
    rows : Tensor, (N,), int64
        Their numbers, in the order of the batch.

    Attributes
    ----------
    shape : tuple of int
        (N, columns)
    """

    __slots__ = ("matrix", "rows")
    ndim = 2

    def __init__(self, matrix: Csr, rows: Tensor) -> None:
        self.matrix, self.rows = matrix, rows

    @property
    def shape(self) -> tuple[int, int]:
        return int(self.rows.shape[0]), self.matrix.columns

    @property
    def dtype(self) -> _C.dtype:
        return self.matrix.values.dtype

    def linear(self, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """x W^T + b, (N, out), for a weight (out, columns)."""
        indptr, indices, values, columns = self.matrix
        if weight.ndim == 2 and weight.shape[1] != columns:
            raise _C.ShapeError(
                f"[linear] expected input with {weight.shape[1]} features (last axis), got "
                f"{self.shape}"
            )
        return _C.ops.sparse_linear(indptr, indices, values, self.rows, weight, bias)


def takes_sparse(model: Module) -> bool:
    """Whether a model hands what it is fed to a linear layer and to nothing else.

    So do `nn.Linear` and an `nn.Sequential` that begins with one. A module whose own forward does
    so says it by an attribute `takes_sparse`, which is True.
    """
    from ranvier.nn.container import Sequential
    from ranvier.nn.linear import Linear

    said: Any = getattr(model, "takes_sparse", None)
    if said is not None:
        return said is True
    if model._hooks is not None:  # they may look at what comes
        return False
    forward = type(model).forward
    if forward is Sequential.forward:
        first = next(iter(model.children()), None)
        return first is not None and takes_sparse(first)
    return forward is Linear.forward
