"""ONNX Runtime: predictions from a model that the `onnx` package builds."""

from __future__ import annotations

import os

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from ..workloads import Workload, sample
from . import Trial

OPSET, FORMAT = 17, 9  # that releases of some years understand


def trial(workload: Workload, variant: str = "") -> Trial | None:
    if workload.kind != "predict":
        return None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1))
    session = onnxruntime.InferenceSession(
        model_of(workload).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    feeds = {"x": workload.network.x}
    return Trial(lambda: session.run(None, feeds), lambda: sample(session.run(None, feeds)[0]))


def model_of(workload: Workload) -> onnx.ModelProto:
    """A Gemm for each layer, with what follows it."""
    nodes, weights = [], []
    value, depth = "x", len(workload.network.weights)
    for i, weight in enumerate(workload.network.weights):
        weights.append(numpy_helper.from_array(weight, f"weight{i}"))
        weights.append(numpy_helper.from_array(np.zeros(weight.shape[1], "f4"), f"bias{i}"))
        nodes.append(helper.make_node("Gemm", [value, f"weight{i}", f"bias{i}"], [f"z{i}"]))
        value = f"z{i}"
        if workload.xor or i < depth - 1:
            kind = "Sigmoid" if workload.xor else "Relu"
            nodes.append(helper.make_node(kind, [value], [f"a{i}"]))
            value = f"a{i}"

    def described(name: str, width: int) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, width])

    graph = helper.make_graph(
        nodes,
        "network",
        [described("x", workload.widths[0])],
        [described(value, workload.widths[-1])],
        weights,
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=FORMAT
    )
