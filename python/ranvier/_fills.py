"""What fills a tensor in place with random numbers, under PyTorch's names: `t.normal_()`.

Each draws as many numbers as the tensor has elements, in their order, and copies them in: the
result does not depend on the tensor's strides. `METHODS` is set on Tensor by `_tensor.py`.
"""

from __future__ import annotations

import math
from typing import Any

from ranvier import _C
from ranvier._arguments import number_in
from ranvier._C import Generator, Tensor
from ranvier._random import state_of
from ranvier._random_after import bernoulli as bernoulli_of
from ranvier._random_after import multinomial as multinomial_of


def bernoulli(
    self: Tensor, p: float | None = None, *, generator: Generator | None = None
) -> Tensor:
    """1 with the probability that each element gives (or p for all), else 0."""
    return bernoulli_of(self, p, generator=generator)


def multinomial(
    self: Tensor,
    num_samples: int,
    replacement: bool = False,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """Indices drawn with the probabilities that the rows of weights give."""
    return multinomial_of(self, num_samples, replacement, generator=generator)


def uniform_(
    self: Tensor, from_: float = 0, to: float = 1, *, generator: Generator | None = None
) -> Tensor:
    """Fills with uniform random numbers in [from_, to)."""
    return self.copy_(_C.ops.uniform(state_of(generator), self.shape, from_, to, self.dtype))


def normal_(
    self: Tensor, mean: float = 0, std: float = 1, *, generator: Generator | None = None
) -> Tensor:
    """Fills with normal random numbers."""
    return self.copy_(_C.ops.normal(state_of(generator), self.shape, mean, std, self.dtype))


def log_normal_(
    self: Tensor, mean: float = 1, std: float = 2, *, generator: Generator | None = None
) -> Tensor:
    """Fills with numbers whose logarithms are normal with this mean and deviation."""
    numbers = _C.ops.normal(state_of(generator), self.shape, mean, std, self.dtype)
    return self.copy_(_C.ops.exp(numbers))


def exponential_(self: Tensor, lambd: float = 1, *, generator: Generator | None = None) -> Tensor:
    """Fills with exponential random numbers of the rate `lambd`; none of them is 0."""
    return self.copy_(_C.ops.exponential(state_of(generator), self.shape, lambd, self.dtype))


def cauchy_(
    self: Tensor, median: float = 0, sigma: float = 1, *, generator: Generator | None = None
) -> Tensor:
    """Fills with Cauchy's random numbers: median + sigma * (ratio of two normal ones)."""
    median, sigma = number_in("cauchy_", median, "median"), number_in("cauchy_", sigma, "sigma")
    if not sigma > 0:
        raise RuntimeError(f"[cauchy_] sigma: expected a number above 0, got {sigma}")
    pairs = _C.ops.normal(state_of(generator), (2, *self.shape), 0.0, 1.0, self.dtype)
    return self.copy_(pairs[0] / pairs[1] * sigma + median)


def geometric_(self: Tensor, p: float, *, generator: Generator | None = None) -> Tensor:
    """Fills with the number of the first success in trials that succeed with probability p."""
    p = number_in("geometric_", p, "p")
    if not 0 < p < 1:
        raise RuntimeError(f"[geometric_] p: expected a number between 0 and 1, got {p}")
    rate = -math.log1p(-p)
    waits = _C.ops.exponential(state_of(generator), self.shape, rate, _C.float64)
    return self.copy_(_C.ops.cast(waits, _C.int64) + 1)


def bernoulli_(
    self: Tensor, p: Tensor | float = 0.5, *, generator: Generator | None = None
) -> Tensor:
    """Fills with ones, each with probability p, and zeros; p may be a tensor that broadcasts."""
    chances = p.detach() if isinstance(p, Tensor) else _C.full((), p, _C.float64)
    return self.copy_(_C.ops.bernoulli(state_of(generator), chances.expand(self.shape)))


_WHOLE = {  # the largest number up to which a floating dtype holds every whole one
    "float64": 2**53,
    "float32": 2**24,
    "float16": 2**11,
    "bfloat16": 2**8,
    "int64": 2**63 - 2,
    "bool": 1,
}


def random_(self: Tensor, *bounds: int, generator: Generator | None = None) -> Tensor:
    """Fills with random integers: `random_()` from 0 to what the dtype holds, `random_(to)` and
    `random_(from, to)` without the end."""
    if len(bounds) > 2:
        raise TypeError("[random_] expected random_(), random_(to) or random_(from, to)")
    if len(bounds) == 2:
        low, high = bounds
    else:
        name = self.dtype.name
        most = _WHOLE.get(name) or 2 ** (8 * self.dtype.itemsize - (name != "uint8")) - 1
        low, high = 0, bounds[0] if bounds else most + 1
    return self.copy_(_C.ops.integers(state_of(generator), self.shape, low, high, self.dtype))


METHODS: dict[str, Any] = {
    function.__name__: function
    for function in (
        *(bernoulli, multinomial, uniform_, normal_, log_normal_, exponential_, cauchy_),
        *(geometric_, bernoulli_, random_),
    )
}
