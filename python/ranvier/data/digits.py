"""The 1,797 handwritten digits that scikit-learn ships, and a split that never changes.

The split is drawn from Ranvier's own generator, so that it is the same with every version of
NumPy. Source and terms are in README.md beside this file. No download, no cache, no pickle.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, TypeAlias, overload

import numpy as np
import numpy.typing as npt

from ranvier import _C
from ranvier._C import Tensor

Split: TypeAlias = tuple[Tensor, Tensor]


@overload
def load_digits(test: None = None, seed: int = 0) -> Split: ...


@overload
def load_digits(test: float, seed: int = 0) -> tuple[Split, Split]: ...


def load_digits(test: float | None = None, seed: int = 0) -> Split | tuple[Split, Split]:
    """Load 1,797 real handwritten digits of 8 x 8 pixels; no download.

    The test part of "Optical Recognition of Handwritten Digits" by E. Alpaydin and C. Kaynak
    (UCI Machine Learning Repository, CC BY 4.0), as distributed by scikit-learn (BSD 3-clause).

    Parameters
    ----------
    test : float, optional
        Fraction of the digits to keep aside, more than 0 and less than 1. The number is rounded
        up, and every digit is represented in proportion.
    seed : int
        Which split. The same seed gives the same rows in the same order, everywhere.

    Returns
    -------
    X : Tensor, (1797, 64), float32
        Pixels row by row, 0 (background) to 1 (ink).
    y : Tensor, (1797,), int64
        The digits, 0 to 9.

    With `test`: ``((X, y), (X_test, y_test))``, both parts in shuffled order.

    Raises
    ------
    ValueError
        If `test` is not a fraction that leaves rows on both sides.

    Examples
    --------
    >>> from ranvier.data import load_digits
    >>> (X, y), (X_test, y_test) = load_digits(test=0.2, seed=0)
    >>> X.shape, X_test.shape
    ((1437, 64), (360, 64))
    """
    with np.load(Path(__file__).with_name("digits.npz"), allow_pickle=False) as archive:
        images, labels = archive["images"], archive["labels"]
    X = images.reshape(len(images), -1).astype(np.float32) / np.float32(16)
    y = labels.astype(np.int64)
    if test is None:
        return _C.from_numpy(X), _C.from_numpy(y)
    held_out = _stratified(y, _count(test, len(y)), _C.Generator(seed))
    kept, aside = held_out[0], held_out[1]
    return (
        (_C.from_numpy(X[kept]), _C.from_numpy(y[kept])),
        (_C.from_numpy(X[aside]), _C.from_numpy(y[aside])),
    )


def _count(test: Any, rows: int) -> int:
    """How many rows a fraction means, rounded up; a ValueError if that is none or all."""
    count = 0
    if isinstance(test, (float, np.floating)) and 0 < test < 1:
        count = math.ceil(rows * float(test))
    if not 0 < count < rows:
        raise ValueError(
            "[load_digits] test: expected a fraction between 0 and 1 that leaves rows on both "
            f"sides, got {test!r}; 0.2 keeps 360 of the {rows} digits aside"
        )
    return count


def _stratified(
    labels: npt.NDArray[np.int64], count: int, generator: _C.Generator
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Row numbers of the two parts; `count` rows are in the second.

    Each class gets its share of `count` rounded down; what is left goes to the largest remainders,
    the lower class first among equals. Whole numbers throughout, hence the same everywhere.
    """
    sizes = np.bincount(labels)
    quota, remainder = np.divmod(sizes * count, len(labels))
    largest = np.argsort(-remainder, kind="stable")[: count - quota.sum()]
    quota[largest] += 1

    order = _C.ops.permutation(generator.state, len(labels)).numpy()
    aside = np.zeros(len(labels), dtype=bool)
    for label, size in enumerate(quota):
        aside[np.flatnonzero(labels[order] == label)[:size]] = True
    return order[~aside], order[aside]
