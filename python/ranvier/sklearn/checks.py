"""Data for estimators, checked: a quick look at plain arrays, and all the rest.

What a plain look does not settle is left to scikit-learn's own checks where a program has imported
it, so that its rules and messages are scikit-learn's; without it the checks here do, and say the
same in their own words. `matrix` and `labels` are those of estimators with rules of their own.
"""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier import _C
from ranvier._C import Tensor
from ranvier.sklearn.methods import known_class
from ranvier.training import inputs

if TYPE_CHECKING:
    import numpy.typing as npt

_FLOATS = (np.dtype(np.float64), np.dtype(np.float32))


# --- rows -----------------------------------------------------------------------------------------


def is_plain(X: Any) -> bool:
    """Whether these are rows of finite float64 or float32 numbers, without a gap between them."""
    return (
        type(X) is np.ndarray
        and X.ndim == 2
        and X.dtype in _FLOATS
        and X.size > 0
        and X.flags.c_contiguous
        and bool(np.isfinite(X).all())
    )


def rows(estimator: Any, X: Any, method: str, *, reset: bool = False) -> Any:
    """Rows of numbers as an estimator computes with them.

    Parameters
    ----------
    estimator : Estimator
        With `reset` it is told number and names of columns; else they must be those it knows.
    X : array of shape (rows, columns), DataFrame or matrix of scipy.sparse
    method : str
        Whose argument this is.
    reset : bool

    Returns
    -------
    array of shape (rows, columns), float64 or float32, or a matrix of scipy.sparse (CSR, CSC)

    Raises
    ------
    ValueError
        For what is no finite number, is not of two axes, or has other columns than in `fit`.
    """
    if is_plain(X) and (reset or fits(estimator, X)):
        if reset:
            _remember(estimator, X.shape[1], None)
        return X
    X = _as_array(X)
    theirs = _validate_data()
    if theirs is not None:
        return theirs(
            estimator, X, accept_sparse=["csr", "csc"], dtype=(np.float64, np.float32), reset=reset
        )
    note_columns(estimator, X, method, reset=reset)
    return numbers_of(estimator, X, method)


def fits(estimator: Any, X: npt.NDArray[Any]) -> bool:
    """Whether a plain array has the columns of `fit`, which had no names."""
    known = estimator.__dict__
    return "feature_names_in_" not in known and known.get("n_features_in_") == X.shape[1]


def rows_and_targets(
    estimator: Any, X: Any, y: Any, method: str, *, numeric: bool, reset: bool
) -> tuple[Any, npt.NDArray[Any]]:
    """`rows`, and one target for each of them: (rows,) or (rows, outputs).

    Parameters
    ----------
    numeric : bool
        Whether targets are numbers, and no labels.
    """
    plain = is_plain(X) and (reset or fits(estimator, X))
    if plain and type(y) is np.ndarray and y.ndim == 1 and len(y) == len(X):
        finite = y.dtype.kind in "biu" or (y.dtype in _FLOATS and bool(np.isfinite(y).all()))
        if finite and not (numeric and y.dtype.kind == "b"):
            if reset:
                _remember(estimator, X.shape[1], None)
            return X, y
    X, y = _as_array(X), _as_array(y)
    theirs = _validate_data()
    if theirs is not None:
        X, y = theirs(
            estimator,
            X,
            y,
            accept_sparse=["csr", "csc"],
            multi_output=True,
            y_numeric=numeric,
            dtype=(np.float64, np.float32),
            reset=reset,
        )
    else:
        if y is None:
            raise ValueError(_needs_targets(estimator))
        note_columns(estimator, X, method, reset=reset)
        X = numbers_of(estimator, X, method)
        y = _own_targets(estimator, y, X.shape[0], method, numeric)
    return X, column(y)


def column(y: Any) -> Any:
    """Targets, of which a single column becomes a row, with scikit-learn's warning."""
    if y.ndim != 2 or y.shape[1] != 1 or hasattr(y, "tocsr"):
        return y
    warnings.warn(
        "A column-vector y was passed when a 1d array was expected. Please change the shape of y "
        "to (n_samples,), for example using ravel().",
        known_class("DataConversionWarning", UserWarning),
        stacklevel=2,
    )
    return y.ravel()


def note_columns(estimator: Any, X: Any, method: str, *, reset: bool) -> None:
    """Number and names of columns, remembered with `reset`, else compared with those of `fit`.

    Of `X` nothing else is looked at: its columns may hold anything.

    Raises
    ------
    ValueError
        For other columns than in `fit`.
    """
    shape = np.shape(X) if not hasattr(X, "shape") else tuple(X.shape)
    names = inputs.column_names(X) if _named_by_text(X) else None
    if reset:
        _remember(estimator, int(shape[1]) if len(shape) > 1 else None, names)
        return
    who = type(estimator).__name__
    known = getattr(estimator, "feature_names_in_", None)
    if known is not None and names is None:
        warnings.warn(
            f"X does not have valid feature names, but {who} was fitted with feature names",
            UserWarning,
            stacklevel=3,
        )
    if known is None and names is not None:
        warnings.warn(
            f"X has feature names, but {who} was fitted without feature names",
            UserWarning,
            stacklevel=3,
        )
    if known is not None and names is not None and list(known) != list(names):
        raise ValueError(
            "The feature names should match those that were passed during fit. "
            f"[{who}.{method}] X: expected the columns {_some(known)}, got {_some(names)}"
        )
    expected = getattr(estimator, "n_features_in_", None)
    if len(shape) > 1 and expected is not None and shape[1] != expected:
        raise ValueError(
            f"X has {shape[1]} features, but {who} is expecting {expected} features as input. "
            f"[{who}.{method}] X: expected {expected} columns, got {shape[1]}"
        )


def numbers_of(estimator: Any, X: Any, method: str) -> Any:
    """Rows of finite numbers, float64 or float32; a sparse matrix stays sparse."""
    who = f"{type(estimator).__name__}.{method}"
    if inputs.is_sparse(X):
        X = X.tocsr()
        if X.dtype.kind == "c":
            raise ValueError(f"[{who}] X: Complex data not supported, got {X.dtype}")
        X = X if X.dtype in _FLOATS else X.astype(np.float64)
        if not np.isfinite(X.data).all():
            raise ValueError(f"[{who}] X: Input X contains NaN or infinity")
        _expect_rows(who, X.shape)
        return X
    array = numbers(who, inputs.frame_values(who, "X", X) if inputs.column_names(X) else X)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"[{who}] X: expected numbers, got {array.dtype}")
    if array.ndim != 2:
        raise ValueError(
            f"[{who}] X: Expected 2D array, got {array.ndim}D array instead. Reshape your data: "
            "X.reshape(-1, 1) makes a column of numbers, X.reshape(1, -1) a single row"
        )
    _expect_rows(who, array.shape)
    array = array if array.dtype in _FLOATS else array.astype(np.float64)
    _expect_finite(who, _C.from_numpy(np.ascontiguousarray(array)))
    return array


def sample_weights(weight: Any, count: int) -> npt.NDArray[Any] | None:
    """What each row counts, float64 or float32; None where all count the same.

    Raises
    ------
    ValueError
        For weights that are not finite, not one a row, or all 0.
    """
    if weight is None:
        return None
    each = np.asarray(weight.detach() if isinstance(weight, Tensor) else weight)
    if each.dtype.kind not in "biuf":
        each = each.astype(np.float64)
    each = each if each.dtype in _FLOATS else each.astype(np.float64)
    if each.ndim == 0:
        each = np.full(count, each)
    if each.ndim != 1:
        raise ValueError(
            f"Sample weights must be 1D array or scalar, got {each.ndim}D array. Expected either a "
            f"scalar value or a 1D array of length {count}."
        )
    if each.shape != (count,):
        raise ValueError(f"sample_weight.shape == {each.shape}, expected {(count,)}!")
    if not np.isfinite(each).all():
        raise ValueError("Input sample_weight contains NaN or infinity.")
    if not each.any():
        raise ValueError("Sample weights must contain at least one non-zero number.")
    return np.ascontiguousarray(each)


def _validate_data() -> Any:
    """scikit-learn's check of data, where a program has imported it."""
    return getattr(sys.modules.get("sklearn.utils.validation"), "validate_data", None)


def _as_array(X: Any) -> Any:
    """The same as an array, where it is one of our tensors."""
    return X.detach().cpu().numpy() if isinstance(X, Tensor) else X


def _remember(estimator: Any, count: int | None, names: Any) -> None:
    if count is not None:
        estimator.n_features_in_ = int(count)
    if names is not None:
        estimator.feature_names_in_ = np.asarray(names, dtype=object)
    elif "feature_names_in_" in estimator.__dict__:
        del estimator.feature_names_in_


def _named_by_text(X: Any) -> bool:
    """Whether all columns have names that are text."""
    columns = getattr(X, "columns", None)
    return columns is not None and len(columns) > 0 and all(isinstance(c, str) for c in columns)


def _some(names: Any) -> str:
    return f"{', '.join(map(str, names))!s:.100}"


def _expect_rows(who: str, shape: tuple[int, ...]) -> None:
    for axis, what in enumerate(("sample", "feature")):
        if not shape[axis]:
            raise ValueError(
                f"[{who}] X: Found array with 0 {what}(s) (shape={tuple(shape)}) while a minimum "
                "of 1 is required."
            )


def _needs_targets(estimator: Any) -> str:
    return (
        f"This {type(estimator).__name__} estimator requires y to be passed, but the target y is "
        "None."
    )


def _own_targets(estimator: Any, y: Any, count: int, method: str, numeric: bool) -> Any:
    """Targets without scikit-learn's help."""
    who = f"{type(estimator).__name__}.{method}"
    y = y.tocsr() if inputs.is_sparse(y) else np.asarray(y)
    if y.ndim not in (1, 2) or y.shape[0] != count:
        raise ValueError(
            f"[{who}] y: expected one target a row, ({count},) or ({count}, outputs), got shape "
            f"{y.shape}; Found input variables with inconsistent numbers of samples: "
            f"{[count, *y.shape[:1]]}"
        )
    if y.dtype.kind == "c":
        raise ValueError(f"[{who}] y: Complex data not supported, got {y.dtype}")
    if numeric and y.dtype.kind not in "iuf":
        y = y.astype(np.float64)
    if y.dtype.kind == "f" and not np.isfinite(y.data if inputs.is_sparse(y) else y).all():
        raise ValueError(f"[{who}] y: Input y contains NaN or infinity.")
    return y


def _expect_finite(who: str, rows: Tensor) -> None:
    try:
        inputs.check_finite(who, "X", rows, rows.dtype)
    except ValueError as error:
        raise ValueError(f"{error} (Input X contains NaN or infinity)") from None


# --- for estimators with rules of their own -------------------------------------------------------


def matrix(estimator: Any, where: str, X: Any, remember: bool = False) -> Tensor:
    """Rows of finite numbers (rows, columns): float64, or float32 where they come as such."""
    who = f"{type(estimator).__name__}.{where}"
    if inputs.is_sparse(X):
        X = X.toarray()
    if inputs.column_names(X) is not None:
        X = inputs.frame_values(who, "X", X)
    if not isinstance(X, Tensor):
        X = numbers(who, X)
    rows = inputs.rows(who, "X", X)
    if rows.ndim == 2 and not rows.shape[1]:
        raise ValueError(
            f"[{who}] X: Found array with 0 feature(s) (shape={tuple(rows.shape)}) while a minimum "
            "of 1 is required."
        )
    if rows.ndim != 2:
        raise ValueError(
            f"[{who}] X: expected rows (rows, columns), got {tuple(rows.shape)}. Reshape your "
            "data: X.reshape(-1, 1) makes a column of numbers"
        )
    if rows.dtype is not _C.float32:
        rows = _C.ops.cast(rows, _C.float64)
    _expect_finite(who, rows)
    if remember:
        estimator.n_features_in_ = int(rows.shape[1])
    elif rows.shape[1] != estimator.n_features_in_:
        raise ValueError(
            f"[{who}] X has {rows.shape[1]} features, but {type(estimator).__name__} is expecting "
            f"{estimator.n_features_in_} features as input"
        )
    return rows


def numbers(who: str, X: Any) -> npt.NDArray[Any]:
    """An array as scikit-learn takes it: objects are converted, complex numbers refused."""
    array = np.asarray(X)
    if array.dtype.kind == "c":
        raise ValueError(f"[{who}] X: Complex data not supported, got {array.dtype}")
    return array.astype(np.float64) if array.dtype.kind == "O" else array


def labels(
    where: str, y: Any, rows: int, several: bool = True
) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """The different labels in order, and for each row the number of its own."""
    if y is None:
        raise ValueError(
            f"[{where}] y: this estimator requires y to be passed, but the target y is None"
        )
    array = np.asarray(y.detach() if isinstance(y, Tensor) else y)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array.ravel()
        conversion = getattr(sys.modules.get("sklearn.exceptions"), "DataConversionWarning", None)
        if conversion is not None:  # only where somebody listens for it
            warnings.warn(
                "A column-vector y was passed when a 1d array was expected; y.ravel() makes one",
                conversion,
                stacklevel=3,
            )
    if array.shape != (rows,):
        raise ValueError(
            f"[{where}] y: expected one label a row, ({rows},), got shape {array.shape}"
        )
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            raise ValueError(f"[{where}] y: expected labels, got NaN or infinity among them")
        if (array != np.rint(array)).any():
            raise ValueError(
                f"[{where}] Unknown label type: expected labels, got numbers with a fraction; "
                "an estimator of numbers is called a regressor"
            )
    found, number = np.unique(array, return_inverse=True)
    if several and len(found) < 2:
        raise ValueError(
            f"[{where}] y: expected at least two classes, got only one class, {found.tolist()}"
        )
    return found, number.reshape(rows)
