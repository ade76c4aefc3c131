"""ONNX' operator tests of losses and activations, where their files are (RANVIER_DATA)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx_vectors import vector

import ranvier as rv
from ranvier.nn import functional as F

NLL = """
NC NCd1 NCd1_ii NCd1_mean_weight_negative_ii NCd1_weight NCd1_weight_ii NCd1d2
NCd1d2_no_weight_reduction_mean_ii NCd1d2_reduction_mean NCd1d2_reduction_sum NCd1d2_with_weight
NCd1d2_with_weight_reduction_mean NCd1d2_with_weight_reduction_sum
NCd1d2_with_weight_reduction_sum_ii NCd1d2d3_none_no_weight_negative_ii
NCd1d2d3_sum_weight_high_ii
"""
SCE = """
mean mean_3d mean_no_weight_ii mean_no_weight_ii_3d mean_no_weight_ii_4d mean_weight
mean_weight_ii mean_weight_ii_3d mean_weight_ii_4d none none_weights sum
NCd1_mean_weight_negative_ii NCd1d2d3_none_no_weight_negative_ii NCd1d2d3_sum_weight_high_ii
"""


def settings(attributes: dict[str, Any]) -> dict[str, Any]:
    """`reduction` and `ignore_index` as PyTorch has them."""
    found: dict[str, Any] = {"reduction": attributes.get("reduction", b"mean").decode()}
    if "ignore_index" in attributes:
        index = attributes["ignore_index"]
        found["ignore_index"] = index - 2**64 if index >= 2**63 else index
    return found


def check(got: Any, want: Any) -> None:
    assert tuple(got.shape) == want.shape
    assert np.max(np.abs(got.numpy() - want) / (1 + np.abs(want)), initial=0) <= 2e-6


@pytest.mark.parametrize("name", NLL.split())
def test_nll_loss(name: str) -> None:
    case = vector(f"test_nllloss_{name}")
    weight = rv.tensor(case.inputs[2]) if len(case.inputs) > 2 else None
    scores, labels = (rv.tensor(x) for x in case.inputs[:2])
    check(F.nll_loss(scores, labels, weight, **settings(case.attributes)), case.outputs[0])


@pytest.mark.parametrize("log_prob", [False, True])
@pytest.mark.parametrize("name", SCE.split())
def test_cross_entropy(name: str, log_prob: bool) -> None:
    case = vector(f"test_sce_{name}{'_log_prob' if log_prob else ''}")
    weight = rv.tensor(case.inputs[2]) if len(case.inputs) > 2 else None
    scores, labels = (rv.tensor(x) for x in case.inputs[:2])
    check(F.cross_entropy(scores, labels, weight, **settings(case.attributes)), case.outputs[0])
    if log_prob:
        check(F.log_softmax(scores, 1), case.outputs[1])


ACTIVATIONS: dict[str, Any] = {
    "celu": lambda x, alpha=1.0: F.celu(x, alpha),
    "elu": lambda x, alpha=1.0: F.elu(x, alpha),
    "elu_default": lambda x: F.elu(x),
    "elu_example": lambda x, alpha=1.0: F.elu(x, alpha),
    "gelu_default_1": lambda x: F.gelu(x),
    "gelu_default_2": lambda x: F.gelu(x),
    "gelu_tanh_1": lambda x, approximate: F.gelu(x, approximate.decode()),
    "gelu_tanh_2": lambda x, approximate: F.gelu(x, approximate.decode()),
    "hardswish": lambda x: F.hardswish(x),
    "leakyrelu": lambda x, alpha=0.01: F.leaky_relu(x, alpha),
    "leakyrelu_default": lambda x: F.leaky_relu(x),
    "logsoftmax_axis_0": lambda x, axis: F.log_softmax(x, axis),
    "logsoftmax_axis_2": lambda x, axis: F.log_softmax(x, axis),
    "logsoftmax_large_number": lambda x: F.log_softmax(x, -1),
    "prelu_example": lambda x, w: rv.rectify(x, w),
    "prelu_broadcast": lambda x, w: rv.rectify(x, w),
    "relu": lambda x: F.relu(x),
    "selu_default": lambda x: F.selu(x),
    "softmax_axis_1": lambda x, axis: F.softmax(x, axis),
    "softplus": lambda x: F.softplus(x),
    "softsign": lambda x: F.softsign(x),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(name: str) -> None:
    case = vector(f"test_{name}")
    inputs = [rv.tensor(x) for x in case.inputs]
    check(ACTIVATIONS[name](*inputs, **case.attributes), case.outputs[0])
