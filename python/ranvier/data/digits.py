"""The 1,797 handwritten digits that scikit-learn ships, and a split that never changes.

The split is drawn from Ranvier's own generator, so that it is the same with every version of
NumPy. Source and terms are in README.md beside this file. No download, no cache, no pickle.
"""

from __future__ import annotations

import os
from typing import TypeAlias, overload

import numpy as np

from ranvier import _C
from ranvier._C import Tensor
from ranvier._random import checked_seed
from ranvier.data.split import rows_aside, stratified

Split: TypeAlias = tuple[Tensor, Tensor]

_FILE = os.path.join(os.path.dirname(__file__), "digits.npz")


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
    TypeError, ValueError
        If `test` is not a fraction that leaves rows on both sides, or `seed` is not a whole number
        from 0 to 2**64 - 1.

    Examples
    --------
    >>> from ranvier.data import load_digits
    >>> (X, y), (X_test, y_test) = load_digits(test=0.2, seed=0)
    >>> X.shape, X_test.shape
    ((1437, 64), (360, 64))
    """
    generator = _C.Generator(checked_seed("load_digits", seed))
    with np.load(_FILE, allow_pickle=False) as archive:
        images, labels = archive["images"], archive["labels"]
    X = images.reshape(len(images), -1).astype(np.float32) / np.float32(16)
    y = labels.astype(np.int64)
    if test is None:
        return _C.from_numpy(X), _C.from_numpy(y)
    kept, aside = stratified(y, rows_aside("load_digits", "test", test, len(y)), generator)
    return (
        (_C.from_numpy(X[kept]), _C.from_numpy(y[kept])),
        (_C.from_numpy(X[aside]), _C.from_numpy(y[aside])),
    )
