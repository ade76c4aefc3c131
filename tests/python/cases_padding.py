"""Rows of the case table for padding.

cases.py imports them. Refuses references that look at ranvier.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from samples import Array, Bad, Shape, one_input, rows

from ranvier import _C

ShapeError = _C.ShapeError
BIG = 2**62


MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def pad(x: Array, pad: Any, mode: str = "constant", value: float | None = None) -> Array:
    """NumPy's pad, pairs from the last axis on, after negative widths have cut off."""
    pairs = [(0, 0)] * (x.ndim - len(pad) // 2) + [
        (pad[i], pad[i + 1]) for i in range(len(pad) - 2, -1, -2)
    ]
    for axis, (before, after) in enumerate(pairs):
        whole = x
        x = np.take(x, np.arange(max(-before, 0), x.shape[axis] - max(-after, 0)), axis)
        source = whole if mode == "reflect" else x
        widths = [(0, 0)] * x.ndim
        widths[axis] = (max(before, 0), max(after, 0))
        extra = {"constant_values": x.dtype.type(value or 0)} if mode == "constant" else {}
        padded = np.pad(source, widths, MODES[mode], **extra)
        if mode == "reflect":
            n = padded.shape[axis]
            padded = np.take(padded, np.arange(max(-before, 0), n - max(-after, 0)), axis)
        x = padded
    return x


PADDED: list[tuple[Shape, dict[str, Any]]] = [
    ((5,), {"pad": [1, 2]}), ((3, 5), {"pad": [1, 2, 0, 3], "value": 2}), ((3, 5), {"pad": []}),
    ((3, 5), {"pad": [-1, 2]}), ((3, 5), {"pad": [-2, -3], "value": 1}), ((), {"pad": []}),
    ((0, 3), {"pad": [0, 0, 1, 1]}), ((2, 3, 7), {"pad": [0, 0, 2, 1]}),
    ((40, 33), {"pad": [1, 1, 1, 1]}),
    *[((4, 6), {"pad": p, "mode": mode}) for mode in ("reflect", "replicate", "circular")
      for p in ([1, 3], [2, 0, 3, 1], [-1, 2], [2, -1, -1, -1])],
    ((2, 1, 3), {"pad": [5, 4, 2, 2], "mode": "replicate"}),
    ((3,), {"pad": [3, 3], "mode": "circular"}),
    ((0, 3), {"pad": [1, 1], "mode": "reflect"}),
]  # fmt: skip
rows(
    "pad",
    pad,
    *one_input(PADDED),
    low=1.0,
    bad=(
        Bad(((2, 3),), {"pad": [1]}, ShapeError, ("[pad]", "(2, 3)")),
        Bad(((2, 3),), {"pad": [1] * 6}, ShapeError, ("[pad]", "(2, 3)")),
        Bad(((2, 3),), {"pad": [-4, 1]}, ShapeError, ("[pad]", "(2, 3)", "(-4, 1)")),
        Bad(
            ((2, 3),), {"pad": [3, 0], "mode": "reflect"}, ShapeError, ("[pad]", "(2, 3)", "(3, 0)")
        ),
        Bad(((2, 3),), {"pad": [4, 0], "mode": "circular"}, ShapeError, ("[pad]", "(4, 0)")),
        Bad(((2, 3),), {"pad": [3, -1], "mode": "circular"}, ShapeError, ("[pad]",)),
        Bad(((2, 0),), {"pad": [1, 0], "mode": "replicate"}, ShapeError, ("[pad]", "(2, 0)")),
        Bad(((2, 3),), {"pad": [2**63 - 1, 5]}, ShapeError, ()),
        Bad(((2, 3),), {"pad": [BIG, 0, BIG, 0]}, ShapeError, ()),
        Bad(((2, 3),), {"pad": [1, 1], "mode": "mirror"}, ValueError, ("reflect", "mirror")),
        Bad(((2, 3),), {"pad": [1, 1], "mode": "reflect", "value": 1.0}, ValueError, ("value",)),
        Bad((np.zeros(3, "uint8"),), {"pad": [1, 1], "value": 300}, ValueError, ("uint8", "300")),
    ),
)
