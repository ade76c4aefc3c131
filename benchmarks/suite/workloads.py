"""What is timed, by name, with the numbers it works on: the same for every peer.

    step:784-128-10x32          one training step: forward, loss, backward, Adam; widths x batch
    step:xor                    the same of 2-4-1 with sigmoid, 4 rows
    epoch:784-128-10x32@1600    the steps of an epoch over 1,600 rows, by the library's own loop
    predict:784-128-10x1        forward alone
    matmul:128x256x64           (M, K) by (K, N), as MxNxK; :nt, :tn, :tt where columns are adjacent
    matmul64:128x256x64         the same in float64; matmul16 in bfloat16, as its factors and result
    gelu:10000                  an elementwise function; also tanh, exp, sigmoid, relu
    softmax:128x10              over the last axis
    cross_entropy:128x10        of logits, with their gradient
    layer_norm:768x128          with the gradients of input, weight and bias
    adam:10000                  an update of so many parameters

Networks have relu between their layers and cross-entropy behind them; with one output it is mean
squared error. Everything is float32 unless it says otherwise.
"""

from __future__ import annotations

import itertools
import math
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

Array = Any  # numpy.ndarray
RATE, BETAS, EPSILON = 1e-3, (0.9, 0.999), 1e-8  # of Adam, everywhere
# While time is taken: after ten thousand steps over the same rows a network knows them, and its
# gradients would become too small for a processor to compute with at full speed.
STILL = 1e-6
# Where epsilon is added to the root of the second mean as it is, before its correction.
EPSILON_BEFORE = EPSILON * math.sqrt(1 - BETAS[1])
NETWORKS = ("step", "epoch", "predict")
TRAINED = ("step", "epoch", "adam")
ELEMENTWISE = ("gelu", "tanh", "exp", "sigmoid", "relu")
_SIZES = {
    "matmul": 3,
    "matmul64": 3,
    "matmul16": 3,
    "softmax": 2,
    "cross_entropy": 2,
    "layer_norm": 2,
    "adam": 1,
}
# What is compared before anything is timed: losses of the first steps or epochs, parameters after
# some updates, so many numbers of a large result.
STEPS, EPOCHS, UPDATES, SAMPLED = 3, 2, 3, 4096


class Workload:
    """A row of the suite; its data are made when they are asked for.

    Parameters
    ----------
    name : str
    rate : float
        Of Adam: so large that a wrong update shows in the next losses, or `STILL`.
    """

    def __init__(self, name: str, rate: float = RATE) -> None:
        self.name, self.rate = name, rate
        self.kind, _, rest = name.partition(":")
        self.xor = rest == "xor"
        self.widths: list[int] = []
        self.sizes: list[int] = []
        self.layout = "nn"
        try:
            self._parse(rest)
        except ValueError:
            raise ValueError(
                f"workload: expected a name like 'step:784-128-10x32' or 'gelu:10000', got {name!r}"
            ) from None

    def _parse(self, rest: str) -> None:
        if self.kind in NETWORKS:
            shape, _, rows = ("2-4-1x4" if self.xor else rest).partition("@")
            widths, _, batch = shape.partition("x")
            self.widths, self.batch = [int(w) for w in widths.split("-")], int(batch)
            self.rows = int(rows) if rows else self.batch
            good = len(self.widths) > 1 and min(*self.widths, self.batch) > 0
            good = good and (self.kind == "epoch") == bool(rows) and self.rows >= self.batch
        else:
            sizes, _, layout = rest.partition(":")
            self.sizes, self.layout = [int(n) for n in sizes.split("x")], layout or "nn"
            good = len(self.sizes) == (1 if self.kind in ELEMENTWISE else _SIZES.get(self.kind))
            good = good and self.layout in ("nn", "nt", "tn", "tt") and min(self.sizes) > 0
        if not good:
            raise ValueError

    @property
    def classifies(self) -> bool:
        """Cross-entropy of classes; otherwise mean squared error of one output."""
        return self.widths[-1] > 1

    @cached_property
    def network(self) -> Network:
        random = np.random.default_rng(0)
        x = random.standard_normal((self.rows, self.widths[0]), dtype="f4")
        classes = random.integers(0, max(self.widths[-1], 2), self.rows)
        y = classes if self.classifies else classes[:, None].astype("f4")
        weights = [
            random.standard_normal((a, b), dtype="f4") * np.float32(math.sqrt(2 / a))
            for a, b in itertools.pairwise(self.widths)
        ]
        return Network(x, y, weights)

    @cached_property
    def arrays(self) -> list[Array]:
        """The inputs of a kernel, in the order of its arguments."""
        random = np.random.default_rng(0)
        dtype: Any = "f8" if self.kind == "matmul64" else "f4"
        short = self.kind == "matmul16"

        def normal(*shape: int) -> Array:
            values = random.standard_normal(shape, dtype=dtype)
            # whole multiples of 1/32, which bfloat16 has too, as NumPy has no such numbers
            return np.round(np.clip(values, -3, 3) * 32) / np.float32(32) if short else values

        if self.kind.startswith("matmul"):
            m, n, k = self.sizes
            a = normal(k, m).T if self.layout[0] == "t" else normal(m, k)
            return [a, normal(n, k).T if self.layout[1] == "t" else normal(k, n)]
        x = normal(*self.sizes)
        if self.kind == "cross_entropy":
            return [x, random.integers(0, self.sizes[1], self.sizes[0])]
        if self.kind == "layer_norm":
            width = self.sizes[1]
            return [x, normal(width), normal(width), normal(*self.sizes)]  # the last: of the result
        if self.kind == "adam":
            return [x, normal(*self.sizes)]
        return [x]

    @property
    def flops(self) -> float:
        """Of a product or of a network's products, a multiply-add counted as two; otherwise 0."""
        if self.kind.startswith("matmul"):
            return 2.0 * math.prod(self.sizes)
        if self.kind not in NETWORKS:
            return 0.0
        products = [2.0 * self.batch * a * b for a, b in itertools.pairwise(self.widths)]
        if self.kind == "predict":
            return sum(products)
        return self.units * (3 * sum(products) - products[0])  # nobody asks for the data's gradient

    @property
    def bytes(self) -> float:
        """That a vector kernel must read and write at least once; otherwise 0."""
        each = {"cross_entropy": 12, "layer_norm": 20, "adam": 28, "softmax": 8}
        if self.kind in ELEMENTWISE:
            return 8.0 * self.sizes[0]
        return float(each.get(self.kind, 0) * math.prod(self.sizes))

    @property
    def units(self) -> int:
        """Steps in what is timed: an epoch has many, and its time is given for one."""
        return -(-self.rows // self.batch) if self.kind == "epoch" else 1


class Network(NamedTuple):
    """Data and first weights; biases begin at zero."""

    x: Array  # (rows, inputs)
    y: Array  # (rows,) classes, or (rows, 1)
    weights: list[Array]  # (inputs, outputs)


def sample(*results: Array) -> Array:
    """Of large results some numbers, spread evenly; of small ones all, in one vector."""
    parts = []
    for result in results:
        flat = np.asarray(result).reshape(-1)
        parts.append(flat[places(flat.size)])
    return np.concatenate(parts)


def places(size: int) -> Array:
    """The indices that `sample` takes."""
    return np.linspace(0, size - 1, min(size, SAMPLED)).round().astype(np.int64)
