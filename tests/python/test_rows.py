"""Ops over rows and columns give the same bits by 1, 2, 3 and 7 threads, forward and backward.

At sizes around those where work is cut: chunks of rows, blocks of a sum, vectors of columns. Small
shapes and other instruction sets are test_ops.py's, kernels alone tests/cpp's.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier import _C

F = rv.nn.functional
Array = Any
FAST = os.environ.get("RANVIER_CHECK_FAST") == "1"
SHAPES = [(1, 1), (2, 65), (63, 17), (65, 16), (257, 33), (1025, 10), (4097, 3), (3, 4097)]
SHAPES = [*SHAPES, (5, 20011)] if not FAST else SHAPES[1:7]


def labels(x: Any) -> Any:
    rows, classes = x.shape
    found = np.arange(rows) * 7 % classes
    found[::5] = -100
    return rv.from_numpy(found)


def columns(x: Any, seed: int) -> Any:
    values = np.random.default_rng(seed).uniform(0.5, 1.5, x.shape[1])
    return rv.from_numpy(values).to(x.dtype)


def batch_norm(x: Any) -> Any:
    if x.shape[0] == 1:
        return x * 1
    return F.batch_norm(x, None, None, columns(x, 1), columns(x, 2), training=True)


OPS: dict[str, Callable[[Any], Any]] = {
    "softmax": lambda x: F.softmax(x, dim=1),
    "softmax of columns": lambda x: F.softmax(x, dim=0),
    "log_softmax": lambda x: F.log_softmax(x, dim=1),
    "log_softmax of columns": lambda x: F.log_softmax(x, dim=0),
    "cross_entropy": lambda x: F.cross_entropy(x, labels(x)),
    "cross_entropy of rows": lambda x: F.cross_entropy(x, labels(x), reduction="none"),
    "cross_entropy, smooth": lambda x: F.cross_entropy(x, labels(x), label_smoothing=0.1),
    "cross_entropy, soft": lambda x: F.cross_entropy(x, F.softmax(x.detach(), dim=1)),
    "nll_loss": lambda x: F.nll_loss(x, labels(x)),
    "mse_loss": lambda x: F.mse_loss(x, x.detach() * 0.5),
    "layer_norm": lambda x: F.layer_norm(x, x.shape[1:], columns(x, 1), columns(x, 2)),
    "rms_norm": lambda x: F.rms_norm(x, x.shape[1:], columns(x, 1)),
    "batch_norm": batch_norm,
    "sum": lambda x: rv.sum(x),
    "sum of rows": lambda x: rv.sum(x, dim=1),
    "sum of columns": lambda x: rv.sum(x, dim=0),
    "mean of columns": lambda x: rv.mean(x, dim=0),
    "var of rows": lambda x: rv.var(x, dim=1, correction=0),
    "std of columns": lambda x: rv.std(x, dim=0, correction=0),
    "logsumexp": lambda x: rv.logsumexp(x, dim=1),
    "logsumexp of columns": lambda x: rv.logsumexp(x, dim=0),
    "norm": lambda x: rv.linalg.vector_norm(x, dim=1),
    "norm of columns": lambda x: rv.linalg.vector_norm(x, dim=0),
    "prod": lambda x: rv.prod(x, dim=1),
    "amax": lambda x: rv.amax(x, dim=1),
    "amin of columns": lambda x: rv.amin(x, dim=0),
    "max": lambda x: rv.max(x, dim=1).values,
    "median": lambda x: rv.median(x, dim=1).values,
    "sort": lambda x: rv.sort(x, dim=1).values,
    "sort of columns": lambda x: rv.sort(x, dim=0).values,
    "topk": lambda x: rv.topk(x, 1, dim=1).values,
    "cumsum": lambda x: rv.cumsum(x, dim=1),
    "cumsum of columns": lambda x: rv.cumsum(x, dim=0),
    "cumprod": lambda x: rv.cumprod(x, dim=1),
    "logcumsumexp": lambda x: rv.logcumsumexp(x, dim=1),
    "cummax": lambda x: rv.cummax(x, dim=1).values,
}


def run(op: Callable[[Any], Any], x: Array, g: Array) -> tuple[bytes, bytes]:
    """The bytes of the result and of the gradient."""
    tensor = rv.from_numpy(x).requires_grad_()
    y = op(tensor)
    y.backward(rv.from_numpy(g.ravel()[: y.numel()].reshape(tuple(y.shape))))
    return y.detach().numpy().tobytes(), tensor.grad.numpy().tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", OPS)
def test_any_number_of_threads(name: str, dtype: str) -> None:
    for shape in SHAPES:
        rng = np.random.default_rng(shape)
        x = rng.standard_normal(shape).astype(dtype)
        g = rng.standard_normal(shape).astype(dtype)
        _C.set_num_threads(1)
        _C.set_grain(0)
        want = run(OPS[name], x, g)
        for threads in (1, 2, 3, 7):
            _C.set_num_threads(threads)
            for grain in (1, 777):
                _C.set_grain(grain)
                got = run(OPS[name], x, g)
                assert got[0] == want[0], f"{shape}, {threads} threads, grain {grain}"
                assert got[1] == want[1], f"{shape}, {threads} threads, grain {grain}: gradient"
