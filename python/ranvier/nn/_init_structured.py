"""Starting values that take more than a width: identities, orthogonal rows, sparse columns.

`init.py` holds the public functions and what they promise.
"""

from __future__ import annotations

import math

import numpy as np

from ranvier import _C
from ranvier._C import Generator, ShapeError, Tensor, ops
from ranvier._creation import eye
from ranvier._grad import no_grad
from ranvier._random import randperm, state_of

_PANEL = 32  # columns that are made orthogonal to all before them by one product


def eye_(tensor: Tensor) -> Tensor:
    """Ones on the diagonal."""
    _matrix("eye_", tensor)
    with no_grad():
        return tensor.copy_(eye(*tensor.shape, dtype=tensor.dtype))


def dirac_(tensor: Tensor, groups: int) -> Tensor:
    """A one in the middle of each kernel from a channel to itself."""
    if tensor.ndim not in (3, 4, 5):
        raise ShapeError(f"[dirac_] expected 3, 4 or 5 axes, got shape {tensor.shape}")
    out, channels, *kernel = tensor.shape
    if groups < 1 or out % groups:
        raise ShapeError(f"[dirac_] groups: expected a divisor of {out} (out), got {groups}")
    values = np.zeros(tuple(tensor.shape), np.float32)
    middle = tuple(size // 2 for size in kernel)
    for first in range(0, out, out // groups):
        for channel in range(min(out // groups, channels)):
            values[(first + channel, channel, *middle)] = 1
    with no_grad():
        return tensor.copy_(_C.from_numpy(values))


def orthogonal_(tensor: Tensor, gain: float, generator: Generator | None) -> Tensor:
    """The Q of a normal matrix, times gain."""
    if tensor.ndim < 2:
        raise ShapeError(f"[orthogonal_] expected 2 or more axes, got shape {tensor.shape}")
    if tensor.numel() == 0:
        return tensor
    rows, columns = tensor.shape[0], tensor.numel() // tensor.shape[0]
    with no_grad():
        drawn = ops.normal(state_of(generator), (rows, columns), 0.0, 1.0, tensor.dtype)
        wide = rows < columns
        q = _orthonormal(drawn.T.double() if wide else drawn.double())
        return tensor.copy_(((q.T if wide else q) * gain).reshape(tensor.shape))


def _orthonormal(a: Tensor) -> Tensor:
    """Gram and Schmidt, each twice, which is enough (Giraud et al., 2005): (rows, columns <= rows).

    Sums are those of our own products, so that a seed gives the same bits everywhere.
    """
    done: list[Tensor] = []
    for start in range(0, a.shape[1], _PANEL):
        panel = a[:, start : start + _PANEL]
        if done:
            q = ops.cat(done, 1)
            for _ in range(2):
                panel = panel - q @ (q.T @ panel)
        fresh: list[Tensor] = []
        for i in range(panel.shape[1]):
            column = panel[:, i : i + 1]
            if fresh:
                q = ops.cat(fresh, 1)
                for _ in range(2):
                    column = column - q @ (q.T @ column)
            fresh.append(column / ops.sqrt(ops.sum(ops.square(column))))
        done.append(ops.cat(fresh, 1))
    return ops.cat(done, 1)


def sparse_(tensor: Tensor, sparsity: float, std: float, generator: Generator | None) -> Tensor:
    """Normal numbers with zeros at random places of every column."""
    _matrix("sparse_", tensor)
    if not 0 <= sparsity <= 1:
        raise ValueError(f"[sparse_] sparsity: expected a share from 0 to 1, got {sparsity!r}")
    if not 0 <= std < math.inf:
        raise ValueError(f"[sparse_] std: expected a finite number of 0 or more, got {std!r}")
    rows, columns = tensor.shape
    zeros = math.ceil(sparsity * rows)
    with no_grad():
        values = ops.normal(state_of(generator), tensor.shape, 0.0, std, tensor.dtype)
        for column in range(columns):
            values[randperm(rows, generator=generator)[:zeros], column] = 0
        return tensor.copy_(values)


def _matrix(where: str, tensor: Tensor) -> None:
    if tensor.ndim != 2:
        raise ShapeError(f"[{where}] expected a matrix, got shape {tensor.shape}")
