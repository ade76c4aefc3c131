"""What a workload's result is, in float64: what every peer is held against before it is timed.

Plain NumPy. Of large results only what is compared is computed.
"""

from __future__ import annotations

import math

import numpy as np

from .peers import numpy as by_hand
from .workloads import BETAS, EPSILON, NETWORKS, UPDATES, Array, Workload, places, sample

# Relative to the largest number of the reference. Kernels: float32 sums of up to some thousand
# products. Losses: what updates make of such differences; Adam's first ones go by the sign of a
# gradient, however small it is, and in a large network the loss leaps.
_TOLERANCES = {"step": 2e-5, "epoch": 5e-4, "matmul64": 1e-12, "matmul16": 5e-3, "adam": 1e-5}
_TOLERANCE = 1e-4
_LARGE, _LARGE_STEP = 10**5, 3e-4  # parameters, and the tolerance from there on


def agrees(workload: Workload, outcome: Array, expected: Array) -> bool:
    """Whether a peer computes the same."""
    if outcome.shape != expected.shape:
        return False
    relative = _TOLERANCES.get(workload.kind, _TOLERANCE)
    if workload.kind == "step" and sum(w.size for w in workload.network.weights) >= _LARGE:
        relative = _LARGE_STEP
    limit = relative * np.abs(expected).max()
    return bool(np.all(np.abs(outcome - expected) <= limit))  # a NaN does not agree


def expected(workload: Workload) -> Array:
    """The numbers that the outcome of a trial is to be."""
    if workload.kind in NETWORKS:
        return by_hand.network_trial(workload, np.float64).outcome()
    return _KERNELS.get(workload.kind, _elementwise)(workload)


def _doubles(workload: Workload) -> list[Array]:
    return [a.astype(np.float64) if a.dtype.kind == "f" else a for a in workload.arrays]


def _elementwise(workload: Workload) -> Array:
    x = sample(workload.arrays[0]).astype(np.float64)
    if workload.kind == "gelu":
        return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))
    if workload.kind == "sigmoid":
        return 1 / (1 + np.exp(-x))
    return np.maximum(x, 0) if workload.kind == "relu" else getattr(np, workload.kind)(x)


def _matmul(workload: Workload) -> Array:
    a, b = _doubles(workload)
    where = places(a.shape[0] * b.shape[1])
    rows, columns = np.divmod(where, b.shape[1])
    if where.size == a.shape[0] * b.shape[1]:
        return sample(a @ b)
    return np.einsum("ik,ik->i", a[rows], np.ascontiguousarray(b.T)[columns])


def _softmax(workload: Workload) -> Array:
    (x,) = _doubles(workload)
    e = np.exp(x - x.max(1, keepdims=True))
    return sample(e / e.sum(1, keepdims=True))


def _cross_entropy(workload: Workload) -> Array:
    x, y = workload.arrays
    rows, classes = np.divmod(places(x.size), x.shape[1])
    # Row by row: a matrix of float64 of the largest workload would be 400 MB.
    sums = np.array([np.log(np.exp(row.astype(np.float64)).sum()) for row in x])
    loss = np.mean(sums - x[np.arange(len(y)), y])
    chances = np.exp(x[rows, classes].astype(np.float64) - sums[rows])
    return sample([loss], (chances - (classes == y[rows])) / len(y))


def _layer_norm(workload: Workload) -> Array:
    x, weight, _, g = _doubles(workload)
    deviation = np.sqrt(x.var(1, keepdims=True) + 1e-5)
    unit = (x - x.mean(1, keepdims=True)) / deviation
    gw = g * weight
    mean, along = gw.mean(1, keepdims=True), (gw * unit).mean(1, keepdims=True)
    return sample((gw - mean - unit * along) / deviation, (g * unit).sum(0), g.sum(0))


def _adam(workload: Workload) -> Array:
    p, g = (sample(a).astype(np.float64) for a in workload.arrays)
    m, v = np.zeros_like(p), np.zeros_like(p)
    for t in range(1, UPDATES + 1):
        m = BETAS[0] * m + (1 - BETAS[0]) * g
        v = BETAS[1] * v + (1 - BETAS[1]) * g * g
        p = p - workload.rate * (m / (1 - BETAS[0] ** t)) / (
            np.sqrt(v / (1 - BETAS[1] ** t)) + EPSILON
        )
    return p


_KERNELS = {
    "matmul": _matmul,
    "matmul64": _matmul,
    "matmul16": _matmul,
    "softmax": _softmax,
    "cross_entropy": _cross_entropy,
    "layer_norm": _layer_norm,
    "adam": _adam,
}
