"""What the user hands over, checked before anything changes: arrays, labels, numbers.

Data stay where they are: arrays are shared, and rows are cast to the model's type batch by batch.
The checks read values; they never repair them.
"""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ranvier import _C
from ranvier._C import Tensor
from ranvier._C import dtype as DType
from ranvier._grad import no_grad
from ranvier.nn import Module
from ranvier.nn._sparse import Csr, SparseBatch, takes_sparse
from ranvier.training.errors import describe_bad

if TYPE_CHECKING:
    from ranvier.training.losses import Loss

_ROWS_A_CHECK = 4096

# What the core has no tensors for goes into the nearest type that holds every value.
_WIDER = {"f2": "f4", "i1": "i4", "i2": "i4", "u2": "i4", "u4": "i8", "u8": "i8", "f16": "f8"}


@dataclass(frozen=True)
class Rows:
    """Rows of data, which of them to use, and the type and shape that a batch is to have."""

    tensor: Tensor  # (N, ...)
    dtype: DType
    shape: tuple[int, ...]  # of one row
    index: Tensor | None = None  # numbers of the rows in use; None: all
    columns: tuple[str, ...] | None = None  # their names, where they have some

    @property
    def by_numbers(self) -> bool:
        """Whether a recorded step can make a batch of the numbers of its rows."""
        return True

    @property
    def total(self) -> int:
        """How many rows there are, in use or not."""
        return int(self.tensor.shape[0])

    def check_finite(self, where: str, name: str) -> None:
        """A ValueError where a number is not finite, or becomes so in the type of a batch."""
        check_finite(where, name, self.tensor, self.dtype)

    def __len__(self) -> int:
        return int((self.tensor if self.index is None else self.index).shape[0])

    def numbers(self, order: Tensor | None = None) -> Tensor | None:
        """The numbers of the rows in use, in another order; None: all as they stand."""
        if order is None or self.index is None:
            return order if self.index is None else self.index
        return self.index.index_select(0, order)

    def batch(self, start: int, stop: int, numbers: Tensor | None) -> Tensor:
        """Rows `start` to `stop` of those numbers, gathered and cast."""
        if numbers is None:
            rows = self.tensor[start:stop]
        else:
            rows = self.tensor.index_select(0, numbers[start:stop])
        if rows.dtype is not self.dtype:
            rows = _C.ops.cast(rows, self.dtype)
        if tuple(rows.shape[1:]) != self.shape:
            rows = rows.reshape(rows.shape[0], *self.shape)
        return rows

    def own_batch(self, start: int, stop: int, numbers: Tensor | None) -> Tensor:
        """The same in memory that is nobody else's, as layers may work in place."""
        rows = self.batch(start, stop, numbers)
        shared = type(self) is Rows and numbers is None and rows.dtype is self.tensor.dtype
        return rows.clone() if shared else rows

    def all(self) -> Tensor:
        """All rows in use, in memory that is nobody else's."""
        return self.own_batch(0, len(self), self.numbers())

    def between(self, start: int, stop: int) -> Rows:
        """The rows from one place to another, as data of their own."""
        return replace(self, tensor=self.tensor[start:stop])

    def only(self, index: Tensor) -> Rows:
        """The same data with these rows in use."""
        return replace(self, index=index)


@dataclass(frozen=True)
class SparseRows(Rows):
    """Rows of a sparse matrix: as they are stored, or dense, a batch at a time."""

    matrix: Any = None  # scipy's CSR
    held: Csr | None = None  # the same for a model that takes rows as they are stored

    @staticmethod
    def of(where: str, name: str, X: Any, dtype: DType, stored: bool = False) -> SparseRows:
        """The rows of any matrix of scipy.sparse; `stored` for a model that `takes_sparse`."""
        matrix = X.tocsr()
        if matrix.dtype.kind not in "biuf":
            raise TypeError(f"[{where}] {name}: expected numbers, got {matrix.dtype}")
        if matrix.shape[0] == 0:
            raise ValueError(f"[{where}] {name}: expected at least one row, got {matrix.shape}")
        empty, columns = _C.zeros((0,), _C.float32), int(matrix.shape[1])
        held = None
        if stored:
            values = _from_array(where, name, matrix.data)
            values = values if values.dtype is dtype else _C.ops.cast(values, dtype)
            indptr, indices = map(_C.from_numpy, (matrix.indptr, matrix.indices))
            held = Csr(indptr, indices, values, columns)
        return SparseRows(empty, dtype, (columns,), matrix=matrix, held=held)

    @property
    def by_numbers(self) -> bool:
        return self.held is not None

    @property
    def total(self) -> int:
        return int(self.matrix.shape[0])

    def between(self, start: int, stop: int) -> Rows:
        return replace(self, matrix=self.matrix[start:stop], held=None)

    def check_finite(self, where: str, name: str) -> None:
        values = _from_array(where, name, self.matrix.data)
        check_finite(where, name, values, self.dtype)

    def __len__(self) -> int:
        return self.total if self.index is None else int(self.index.shape[0])

    def batch(self, start: int, stop: int, numbers: Tensor | None) -> Any:
        if self.held is not None:
            if numbers is None:
                return SparseBatch(self.held, _C.from_numpy(np.arange(start, stop)))
            return SparseBatch(self.held, numbers[start:stop])
        part = slice(start, stop) if numbers is None else numbers[start:stop].numpy()
        dense = np.ascontiguousarray(self.matrix[part].toarray())
        return _C.ops.cast(_from_array("fit", "X", dense), self.dtype)


def is_sparse(X: Any) -> bool:
    """Whether this is a matrix of scipy.sparse, which need not be installed."""
    return hasattr(X, "tocsr") and hasattr(X, "nnz")


def column_names(X: Any) -> tuple[str, ...] | None:
    """The names of a DataFrame's columns; None for what is none."""
    if hasattr(X, "columns") and hasattr(X, "to_numpy"):
        return tuple(map(str, X.columns))
    return None


def frame_values(where: str, name: str, X: Any) -> Any:
    """The numbers of a DataFrame, shared where it holds them as one block."""
    array = X.to_numpy()
    if array.dtype.kind == "O":
        kinds = dict(zip(map(str, X.columns), X.dtypes, strict=True))
        bad = [column for column, kind in kinds.items() if getattr(kind, "kind", "O") not in "biuf"]
        if bad:
            raise TypeError(
                f"[{where}] {name}: expected columns of numbers, got {', '.join(bad[:5])}; "
                "rv.data.OneHot or pandas.get_dummies makes numbers of categories"
            )
        array = array.astype(np.float64)
    return array


def model_dtype(model: Module) -> DType:
    """The type a model computes in: that of its first floating-point parameter."""
    for parameter in model.parameters():
        if parameter.dtype.is_floating_point:
            return parameter.dtype
    return _C.float32


def rows(where: str, name: str, data: Any) -> Tensor:
    """Numbers with at least one axis, as a tensor; shared where the type allows.

    Raises
    ------
    TypeError
        If these are not numbers.
    ValueError
        If there are no rows.
    """
    if isinstance(data, Tensor):
        tensor = data.detach()
    else:
        tensor = _from_array(where, name, data)
    if tensor.ndim == 0 or tensor.shape[0] == 0:
        raise ValueError(
            f"[{where}] {name}: expected at least one row, got shape {tuple(tensor.shape)}"
        )
    return tensor


def data(where: str, name: str, X: Any, model: Module) -> Rows:
    """What a model is fed with: rows, to be cast to the type that it computes in."""
    if is_sparse(X):
        return SparseRows.of(where, name, X, model_dtype(model), takes_sparse(model))
    columns = column_names(X)
    tensor = rows(where, name, X if columns is None else frame_values(where, name, X))
    return Rows(tensor, model_dtype(model), tuple(tensor.shape[1:]), columns=columns)


def _from_array(where: str, name: str, data: Any) -> Tensor:
    try:
        array = np.asarray(data)
    except ValueError as error:
        raise ValueError(f"[{where}] {name}: expected rows of equal length; {error}") from None
    if array.dtype.kind not in "biuf":
        raise TypeError(
            f"[{where}] {name}: expected numbers, got {type(data).__name__} of {array.dtype}"
        )
    wider = _WIDER.get(array.dtype.str[1:])
    if array.dtype.str[1:] == "u8" and array.size and array.max() > np.iinfo(np.int64).max:
        raise ValueError(f"[{where}] {name}: expected numbers below 2^63, got {array.max()}")
    return _C.from_numpy(array.astype(wider or array.dtype.newbyteorder("="), copy=False))


def check_finite(where: str, name: str, tensor: Tensor, dtype: DType) -> None:
    """A ValueError where the data are NaN or infinite, or become so in the model's type."""
    if not tensor.dtype.is_floating_point:
        return
    with no_grad():
        for start in range(0, tensor.shape[0], _ROWS_A_CHECK):
            part = _C.ops.cast(tensor[start : start + _ROWS_A_CHECK], dtype)
            if not _C.ops.all_finite(part).item():
                break
        else:
            return
    array = tensor.numpy()
    with np.errstate(over="ignore"):
        bad = ~np.isfinite(array.astype(dtype.name))
    raise ValueError(
        f"[{where}] {name}: expected finite {dtype.name} numbers, got {describe_bad(array, bad)}; "
        "remove or replace these rows first"
    )


def check_lengths(where: str, X: Rows, y: Tensor, names: str = "X and y") -> None:
    """A ShapeError unless every row of X has its row in y."""
    if X.total != y.shape[0]:
        raise _C.ShapeError(
            f"[{where}] {names}: expected as many rows in both, got {X.total} and {y.shape[0]}"
        )


class Like(NamedTuple):
    """What is known of an output that is not there yet."""

    shape: tuple[int, ...]
    dtype: DType

    @property
    def ndim(self) -> int:
        return len(self.shape)


def targets(where: str, name: str, y: Tensor, prediction: Tensor | Like, loss: Loss) -> Rows:
    """Targets in the type and shape that the loss takes, given what the model puts out.

    Raises
    ------
    TypeError, ValueError
        If they do not fit.
    """
    own, wanted = tuple(y.shape[1:]), tuple(prediction.shape[1:])
    if loss.kind == "labels" and not (y.dtype.is_floating_point and own == wanted):
        return _labels(where, name, y, prediction, loss)
    if loss.kind == "free":
        dtype = prediction.dtype if y.dtype.is_floating_point else y.dtype
        check_finite(where, name, y, dtype)
        return Rows(y, dtype, own)
    if own != wanted and {own, wanted} != {(), (1,)}:
        hint = "; class labels go with the loss 'cross_entropy'" if own in ((), (1,)) else ""
        raise _C.ShapeError(
            f"[{where}] {name}: expected shape {(y.shape[0], *wanted)}, as the model's output, for "
            f"{loss.name}, got {tuple(y.shape)}{hint}"
        )
    check_finite(where, name, y, prediction.dtype)
    if loss.kind != "values":
        _check_shares(where, name, y, f"as targets of {loss.name}")
    if loss.kind == "shares" and isinstance(prediction, Tensor):
        _check_shares(where, "model", prediction, f"for {loss.name}", "; end it with nn.Sigmoid()")
    return Rows(y, prediction.dtype, wanted)


def _labels(where: str, name: str, y: Tensor, prediction: Tensor | Like, loss: Loss) -> Rows:
    if prediction.ndim < 2:
        raise _C.ShapeError(
            f"[{where}] model: expected an output of shape (rows, classes) for {loss.name}, got "
            f"{tuple(prediction.shape)}"
        )
    if y.dtype.is_floating_point:
        raise TypeError(
            f"[{where}] {name}: expected whole numbers for {loss.name}, got {y.dtype.name}; "
            "y.astype('int64') if they are labels"
        )
    wanted = tuple(prediction.shape[2:])
    if y.shape[1:] != wanted and (wanted or y.shape[1:] != (1,)):
        raise _C.ShapeError(
            f"[{where}] {name}: expected one label a row, {(y.shape[0], *wanted)}, for "
            f"{loss.name}, got {tuple(y.shape)}; y.argmax(1) makes labels from one-hot rows"
        )
    array, classes = y.numpy(), prediction.shape[1]
    bad = (array < 0) | (array >= classes)
    ignored = getattr(loss.function, "ignore_index", None)
    if ignored is not None:
        bad &= array != ignored
    if bad.any():
        raise ValueError(
            f"[{where}] {name}: expected labels from 0 to {classes - 1} for the {classes} outputs "
            f"of the model, got {describe_bad(array, bad)}; labels start at 0"
        )
    return Rows(y, _C.int64, wanted)


def _check_shares(where: str, name: str, values: Tensor, role: str, hint: str = "") -> None:
    array = values.numpy()
    bad = (array < 0) | (array > 1)
    if bad.any():
        raise ValueError(
            f"[{where}] {name}: expected values from 0 to 1 {role}, got "
            f"{describe_bad(array, bad)}{hint}"
        )


def positive_int(where: str, name: str, value: Any) -> int:
    """A whole number of 1 or more; a TypeError or ValueError otherwise."""
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None or number < 1:
        kind = TypeError if number is None else ValueError
        raise kind(f"[{where}] {name}: expected a whole number of 1 or more, got {value!r:.60}")
    return number


def positive(where: str, name: str, value: Any) -> float:
    """A finite number of more than 0; a TypeError or ValueError otherwise."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"[{where}] {name}: expected a number, got {value!r:.60}")
    if not math.isfinite(value) or value <= 0:
        raise ValueError(f"[{where}] {name}: expected a finite number above 0, got {value!r:.60}")
    return float(value)
