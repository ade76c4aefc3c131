"""What estimators share: parameters by name, data checked, and scikit-learn where it asks.

Nothing here needs scikit-learn: it is imported when scikit-learn itself asks for its tags.
"""

from __future__ import annotations

import importlib
import inspect
import sys
import warnings
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ranvier import _C
from ranvier._C import Tensor
from ranvier.training import inputs
from ranvier.training.errors import near_misses

if TYPE_CHECKING:
    import numpy.typing as npt

E = TypeVar("E", bound="Estimator")


class Estimator:
    """Parameters are the arguments of `__init__`, kept under their names and never changed."""

    _estimator_type = "classifier"

    @classmethod
    def _names(cls) -> list[str]:
        return sorted(name for name in inspect.signature(cls).parameters)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters by name."""
        return {name: getattr(self, name) for name in self._names()}

    def set_params(self: E, **params: Any) -> E:
        """Change parameters by name; returns the estimator."""
        for name in params:
            if name not in self._names():
                raise ValueError(
                    f"[{type(self).__name__}] expected parameters out of "
                    f"{', '.join(self._names())}, got {name!r}{near_misses(name, self._names())}"
                )
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self)).parameters
        shown = [
            f"{name}={getattr(self, name)!r}"
            for name in defaults
            if repr(getattr(self, name)) != repr(defaults[name].default)
        ]
        return f"{type(self).__name__}({', '.join(shown)})"

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn's tools ask an estimator; only they call it."""
        tags = importlib.import_module("sklearn.utils")
        return tags.Tags(
            estimator_type="classifier",
            target_tags=tags.TargetTags(required=True),
            transformer_tags=None,
            regressor_tags=None,
            classifier_tags=tags.ClassifierTags(),
            input_tags=tags.InputTags(sparse=True),
        )

    def __sklearn_is_fitted__(self) -> bool:
        """Whether there is something to predict with."""
        return hasattr(self, "n_iter_")


def not_fitted(estimator: Any) -> None:
    """An error where an estimator has learned nothing yet."""
    if hasattr(estimator, "n_iter_"):
        return
    raise _not_fitted_error()(
        f"[{type(estimator).__name__}] expected a fitted estimator, got one that has seen no rows; "
        "call fit(X, y) first"
    )


def _not_fitted_error() -> type[Exception]:
    """scikit-learn's error where a program has imported it, else an AttributeError as it is one."""
    module = sys.modules.get("sklearn.exceptions")
    return getattr(module, "NotFittedError", AttributeError)


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
    try:
        inputs.check_finite(who, "X", rows, rows.dtype)
    except ValueError as error:
        raise ValueError(f"{error} (X contains NaN or infinity)") from None
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
