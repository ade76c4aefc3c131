"""What a linear layer over sparse rows costs, and whether that follows the numbers they store.

    python benchmarks/sparse.py [--rows N] [--columns N] [--width N] [--batch N] [--stored N ...]

Rows like those of a table of words: columns are drawn with Zipf's frequencies. Forward and gradient
of the weight are timed apart, for each number of values in a row, and by themselves: no update. A
fresh gradient is also filled with zeros, which costs the same whatever is stored; `onto` is the sum
without that. Beside them stands the same layer over the rows made dense, with and without making
them so. Prints medians in microseconds, and leaves nothing behind.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import ranvier as rv
from ranvier import _C


def csr(rows: int, columns: int, stored: int) -> tuple[Any, Any, Any]:
    """Indptr, indices and values of rows with `stored` numbers each, sorted and none twice."""
    rng = np.random.default_rng(0)
    frequency = 1 / np.arange(1, columns + 1)
    frequency /= frequency.sum()
    lines = [
        np.sort(np.unique(rng.choice(columns, 4 * stored, p=frequency))[-stored:])
        for _ in range(rows)
    ]
    sizes = [len(line) for line in lines]
    values = rng.random(sum(sizes)).astype(np.float32)
    return (
        np.cumsum([0, *sizes]).astype(np.int32),
        np.concatenate(lines).astype(np.int32),
        values,
    )


def microseconds(call: Callable[[], object], repeats: int = 30) -> float:
    """The median of some calls, after three that are not timed."""
    times = []
    for i in range(repeats + 3):
        begin = time.perf_counter()
        call()
        if i > 2:
            times.append(time.perf_counter() - begin)
    return statistics.median(times) * 1e6


def dense_rows(parts: tuple[Any, Any, Any], chosen: Any, columns: int) -> Any:
    """The chosen rows as an array."""
    indptr, indices, values = parts
    x = np.zeros((len(chosen), columns), np.float32)
    for i, row in enumerate(chosen):
        part = slice(indptr[row], indptr[row + 1])
        x[i, indices[part]] = values[part]
    return x


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rows", type=int, default=5574)
    parser.add_argument("--columns", type=int, default=50000)
    parser.add_argument("--width", type=int, default=100)
    parser.add_argument("--batch", type=int, default=200)
    parser.add_argument("--stored", type=int, nargs="+", default=[15, 60])
    options = parser.parse_args()
    rng = np.random.default_rng(1)
    chosen = rng.permutation(options.rows)[: options.batch]
    storage = rng.standard_normal((options.columns, options.width)).astype(np.float32)
    weight, bias = rv.from_numpy(storage).transpose(0, 1), rv.zeros(options.width)
    g = rv.from_numpy(rng.standard_normal((options.batch, options.width)).astype(np.float32))
    held, batch = rv.zeros(options.columns, options.width), rv.from_numpy(chosen)
    print(
        f"{options.batch} of {options.rows} rows, {options.columns} columns, {options.width} wide"
    )
    print(f"{'stored':>8}{'forward':>10}{'gradient':>10}{'onto':>10}{'dense':>10}{'made so':>10}")
    for stored in options.stored:
        parts = csr(options.rows, options.columns, stored)
        m = [rv.from_numpy(part) for part in parts]
        x = rv.from_numpy(dense_rows(parts, chosen, options.columns))
        figures = [
            microseconds(lambda m=m: rv.sparse_linear(*m, batch, weight, bias)),
            microseconds(
                lambda m=m: _C.ops.sparse_linear_weight_grad(*m, batch, g, options.columns)
            ),
            microseconds(lambda m=m: _C.ops.sparse_linear_weight_grad_onto_(*m, batch, g, held)),
            microseconds(lambda x=x: rv.linear(x, weight, bias), 5),
            microseconds(lambda parts=parts: dense_rows(parts, chosen, options.columns), 5),
        ]
        print(f"{stored:>8}" + "".join(f"{figure:>10.0f}" for figure in figures))


if __name__ == "__main__":
    main()
