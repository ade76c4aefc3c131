"""ONNX' operator tests of Adam, Adagrad, Momentum and Nesterov, as rows of the update ops.

They begin with T = 0, where ONNX corrects no bias and takes the first gradient whole.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx_vectors import Vector, vector

import ranvier as rv
from ranvier import _C

NAMES = ["adam", "adam_multiple", "adagrad", "adagrad_multiple",
         "momentum", "momentum_multiple", "nesterov_momentum"]  # fmt: skip


def number(value: Any) -> rv.Tensor:
    return rv.tensor(float(value), dtype=rv.float64)


def update(case: Vector, lr: Any, count: int, x: list[rv.Tensor]) -> None:
    """One step of one parameter: x holds it, its gradient and its state."""
    a = case.attributes
    param, grad, *state = x
    decay = {"weight_decay": a["norm_coefficient"]}
    if case.op == "Adam":
        names = {"beta1": a["alpha"], "beta2": a["beta"], "eps": a["epsilon"]}
        _C.ops.adam_update(
            param, grad, number(lr), *state, number(count), None, None,
            **names, **decay, eps_hat=True, uncorrected=count == 0,
        )  # fmt: skip
    elif case.op == "Adagrad":
        names = {"lr_decay": a["decay_factor"], "eps": a["epsilon"]}
        _C.ops.adagrad_update(param, grad, number(lr), *state, number(count), **names, **decay)
    else:
        names = {"momentum": a["alpha"], "dampening": 0.0 if count == 0 else 1 - a["beta"]}
        nesterov = a["mode"] == b"nesterov"
        _C.ops.sgd_update(
            param, grad, number(lr), *state, None, None, **names, **decay, nesterov=nesterov
        )


@pytest.mark.parametrize("name", NAMES)
def test_operator(name: str) -> None:
    case = vector(f"test_{name}")
    lr, count, *arrays = case.inputs
    assert int(count) == 0
    kinds = 4 if case.op == "Adam" else 3
    params = len(arrays) // kinds
    assert len(case.outputs) == params * (kinds - 1)
    tensors = [rv.tensor(array) for array in arrays]
    for i in range(params):
        x = tensors[i::params]
        update(case, lr, int(count), x)
        for ours, theirs in zip([x[0], *x[2:]], case.outputs[i::params], strict=True):
            np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-6, atol=1e-6)
