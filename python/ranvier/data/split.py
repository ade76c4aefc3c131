"""Parts of the rows: how many a fraction means, and which.

Whole numbers throughout, hence the same rows everywhere. Nothing here touches the data.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier import _C

if TYPE_CHECKING:
    import numpy.typing as npt


def rows_aside(where: str, name: str, fraction: Any, rows: int, instead: str = "") -> int:
    """How many of the rows a fraction means, rounded up.

    The decimal number counts as it is printed: 0.07 of 100 rows are 7, though the nearest binary
    number is a little more, and a float32 of 0.1 means a tenth.

    Parameters
    ----------
    where, name : str
        What the message names.
    fraction : float, of any floating-point type
        More than 0 and less than 1.
    rows : int
        Of which it is a fraction.
    instead : str
        What else would be allowed, for the message.

    Raises
    ------
    ValueError
        If it is not a fraction, or means no rows or all.
    """
    count = 0
    if isinstance(fraction, (float, np.floating)) and 0 < fraction < 1:
        from fractions import Fraction  # not needed by a mere `import ranvier`

        count = math.ceil(rows * Fraction(str(fraction)))
    if not 0 < count < rows:
        raise ValueError(
            f"[{where}] {name}: expected a fraction between 0 and 1 that leaves rows on both sides"
            f"{instead}, got {fraction!r:.60} for {rows} rows"
        )
    return count


def stratified(
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
