"""What the tests of all ops share: the walk over the case table, bits, and who has a gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from cases import CASES
from samples import Sample

Array = Any


def names(keep: Any = lambda case: True) -> Any:
    """A parametrization over rows."""
    return pytest.mark.parametrize("name", [n for n, c in CASES.items() if keep(c)])


def array_of(t: Any) -> Array:
    return t.detach().numpy()


def bits(arrays: Sequence[Array]) -> list[tuple[str, tuple[int, ...], bytes]]:
    """Dtypes, shapes and bytes: equal for equal bits, NaN and -0 included."""
    return [(a.dtype.name, a.shape, np.ascontiguousarray(a).tobytes()) for a in arrays]


def wants_gradient(sample: Sample) -> list[int]:
    return [
        i
        for i, x in enumerate(sample.inputs)
        if x is not None and x.dtype.kind == "f" and i not in sample.fixed | sample.constant
    ]
