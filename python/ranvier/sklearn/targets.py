"""Labels of all kinds as a network learns them, and its outputs as labels.

Two classes are one output, more are as many, and several labels a row (0 or 1 each) one output a
label, as in scikit-learn.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ranvier.training import inputs

if TYPE_CHECKING:
    import numpy.typing as npt

Kind = Literal["binary", "multiclass", "multilabel-indicator"]


class Labels:
    """The labels of a classifier: what they are, and which output stands for which.

    Attributes
    ----------
    kind : {"binary", "multiclass", "multilabel-indicator"}
    classes : array of shape (classes,)
        In order; numbers of columns where a row has several labels.
    sparse : bool
        Whether several labels a row came, and go, as a sparse matrix.
    """

    def __init__(self, kind: Kind, classes: npt.NDArray[Any], sparse: bool = False) -> None:
        self.kind, self.classes, self.sparse = kind, classes, sparse

    @classmethod
    def of(cls, who: str, y: Any) -> Labels:
        """Those that there are in some targets; a ValueError for what are none."""
        kind = kind_of(who, y)
        if kind == "multilabel-indicator":
            return cls(kind, np.arange(y.shape[1]), inputs.is_sparse(y))
        return cls(kind, _unique(y))

    @property
    def outputs(self) -> int:
        """How many numbers a network gives for a row."""
        return 1 if self.kind == "binary" else len(self.classes)

    def places(self, who: str, y: Any) -> npt.NDArray[Any]:
        """What a network learns of targets.

        Returns
        -------
        array
            Of more than two classes the number of each row's, (rows,) of int64; else True where an
            output is to be 1, (rows, outputs).
        """
        kind = kind_of(who, y)
        if (kind == "multilabel-indicator") != (self.kind == "multilabel-indicator"):
            raise ValueError(
                f"The object was not fitted with multilabel input. [{who}] y: expected "
                f"{self.kind} labels as in the first call, got {kind}"
            )
        if self.kind == "multilabel-indicator":
            dense = y.toarray() if inputs.is_sparse(y) else y
            if dense.shape[1] != len(self.classes):
                raise ValueError(
                    f"[{who}] y: expected {len(self.classes)} labels a row, got {dense.shape[1]}"
                )
            chosen: npt.NDArray[Any] = dense != 0
            return chosen
        number: npt.NDArray[Any] = np.searchsorted(self.classes, y).astype(np.int64)
        return number if self.kind == "multiclass" else np.equal(number, 1)[:, None]

    def unknown(self, y: Any) -> npt.NDArray[Any]:
        """The labels in some targets that are none of these."""
        if self.kind == "multilabel-indicator":
            return np.setdiff1d(np.arange(y.shape[1]), self.classes)
        return np.setdiff1d(_unique(y), self.classes)

    def names(self, output: npt.NDArray[Any]) -> Any:
        """The labels of rows, of a network's probabilities (rows, outputs)."""
        if self.kind == "multiclass":
            return self.classes.take(output.argmax(axis=1))
        if self.kind == "binary":
            if len(self.classes) == 1:
                return np.repeat(self.classes, len(output))
            return self.classes.take((output[:, 0] > 0.5).astype(np.intp))
        several = (output > 0.5).astype(np.int64)
        if self.sparse:
            return sys.modules["scipy.sparse"].csr_matrix(several)
        return several


def kind_of(who: str, y: Any) -> Kind:
    """Which labels these are, by scikit-learn's rules; a ValueError for what are none."""
    if inputs.is_sparse(y) or (y.ndim == 2 and y.shape[1] > 1):
        values = np.unique(y.data if inputs.is_sparse(y) else y)
        if inputs.is_sparse(y):
            values = np.union1d(values, [0])
        if len(values) <= 2 and y.dtype.kind in "biuf" and (values == np.rint(values)).all():
            return "multilabel-indicator"
        _refuse(who, y, "several labels a row, of which each is 0 or 1")
    if y.dtype.kind == "f" and (y != np.rint(y)).any():
        _refuse(who, y, "labels", "Unknown label type: continuous; ")
    if y.dtype.kind == "O" and not _of_one_kind(y):
        _refuse(who, y, "labels of one kind, all text or all numbers", "Unknown label type: ")
    return "binary" if len(_unique(y)) <= 2 else "multiclass"


def _unique(y: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.unique(y)


def _of_one_kind(y: npt.NDArray[Any]) -> bool:
    """Whether objects are all text, or all numbers."""
    text = sum(isinstance(value, str) for value in y)
    return text == len(y) or all(isinstance(v, (int, float, np.generic)) for v in y)


def _refuse(who: str, y: Any, expected: str, first: str = "") -> None:
    """Raises scikit-learn's own error where a program has imported it, else one of ours."""
    module = sys.modules.get("sklearn.preprocessing")
    checks = sys.modules.get("sklearn.utils.multiclass")
    if checks is not None:
        checks.check_classification_targets(y)
    if module is not None:
        module.LabelBinarizer().fit(y)
    got = sorted(map(repr, np.asarray(y.data if inputs.is_sparse(y) else y).ravel()[:5]))
    raise ValueError(f"{first}[{who}] y: expected {expected}, got {', '.join(got)!s:.60}")
