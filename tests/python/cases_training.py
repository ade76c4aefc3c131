"""Rows of the case table for rules of learning that are not a gradient's."""

from __future__ import annotations

from typing import Any

from samples import Array, Bad, Maker, rows

from ranvier import _C


def perceptron(weight: Array, x: Array, target: Array, bias: Array | None = None) -> Any:
    """Rosenblatt's rule over the rows in their order: weight and bias after it."""
    w, b = weight.copy(), None if bias is None else bias.copy()
    for row, t in zip(x, target, strict=True):
        error = t - float(row @ w + (0 if b is None else b[0]) >= 0)
        w += error * row
        if b is not None:
            b += error
    return w if b is None else (w, b)


def whole(low: int, high: int, *shape: int) -> Maker:
    """Small whole numbers, whose sums are exact in any order and dtype."""
    return lambda rng: rng.integers(low, high + 1, shape).astype(float)


def inputs(count: int, columns: int, bias: bool = True) -> tuple[Any, ...]:
    start, x, target = whole(-2, 2, columns), whole(-3, 3, count, columns), whole(0, 1, count)
    return (start, x, target, whole(-1, 1, 1) if bias else None)


rows(
    "perceptron_pass",
    perceptron,
    *[(inputs(n, k), {}) for n, k in ((4, 2), (1, 1), (17, 5), (40, 3), (0, 3), (5, 0))],
    (inputs(9, 4, bias=False), {}),
    writes=True,
    tolerance="exact",
    integers="refused",
    bad=(
        Bad(((2,), (3, 3), (3,)), {}, _C.ShapeError, ("[perceptron_pass]", "(2,)", "(3, 3)")),
        Bad(((2,), (3, 2), (4,)), {}, _C.ShapeError, ("[perceptron_pass]", "(4,)")),
        Bad(((2,), (3, 2), (3,), (2,)), {}, _C.ShapeError, ("[perceptron_pass]", "bias (1,)")),
        Bad(((2,), (3,), (3,)), {}, _C.ShapeError, ("[perceptron_pass]",)),
    ),
)
