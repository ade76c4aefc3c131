"""From the start of a process to a first prediction, once for each library.

`make` writes the weights of a network 784-128-10 into a file of the kind that is usual with the
library, and `predict` is the whole program that footprint.py times: it imports the library, reads
that file and prints what the network gives for one row. Nothing else is imported here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

SIZES = (784, 128, 10)
ENDINGS = {  # the usual file of weights
    "ranvier": "safetensors",
    "numpy": "npz",
    "torch": "pt",
    "jax": "npz",
    "sklearn": "joblib",
    "keras": "keras",
    "onnxruntime": "onnx",
}


def predict(library: str, path: str) -> None:
    """Prints ten numbers: logits, or for scikit-learn their softmax."""
    values = _PREDICT[library](path)
    print(" ".join(f"{value:.9g}" for value in values), flush=True)


def make(library: str, path: str) -> None:
    """The same weights for each."""
    import numpy as np

    rng = np.random.default_rng(0)
    weights = [
        (rng.standard_normal((a, b)) * np.sqrt(2 / a)).astype("float32")
        for a, b in ((784, 128), (128, 10))
    ]
    biases = [rng.standard_normal(b).astype("float32") for b in SIZES[1:]]
    _MAKE.get(library, _make_arrays)(path, weights, biases)


def _row() -> Any:
    import numpy as np

    return np.linspace(0, 1, SIZES[0], dtype="float32")[None]


# --- the programs ---------------------------------------------------------------------------------


def _predict_ranvier(path: str) -> Any:
    import ranvier as rv
    from ranvier import nn

    net = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    net.load_state_dict(rv.load(path))
    return rv.predict(net, _row())[0].tolist()


def _predict_numpy(path: str) -> Any:
    import numpy as np

    with np.load(path) as file:
        w0, b0, w1, b1 = (file[name] for name in ("w0", "b0", "w1", "b1"))
    return (np.maximum(_row() @ w0 + b0, 0) @ w1 + b1)[0]


def _predict_torch(path: str) -> Any:
    import torch
    from torch import nn

    net = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    net.load_state_dict(torch.load(path, weights_only=True))
    with torch.inference_mode():
        return net(torch.from_numpy(_row()))[0].tolist()


def _predict_jax(path: str) -> Any:
    import jax
    import jax.numpy as jnp

    file = jnp.load(path)
    parameters = [file[name] for name in ("w0", "b0", "w1", "b1")]

    @jax.jit
    def forward(parameters: Any, x: Any) -> Any:
        w0, b0, w1, b1 = parameters
        return jax.nn.relu(x @ w0 + b0) @ w1 + b1

    return forward(parameters, _row())[0].tolist()


def _predict_sklearn(path: str) -> Any:
    import joblib

    return joblib.load(path).predict_proba(_row())[0]


def _predict_keras(path: str) -> Any:
    import keras

    return keras.models.load_model(path).predict(_row(), verbose=0)[0]


def _predict_onnxruntime(path: str) -> Any:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": _row()})[0][0]


# --- the files ------------------------------------------------------------------------------------


def _make_arrays(path: str, weights: list[Any], biases: list[Any]) -> None:
    import numpy as np

    np.savez(path, w0=weights[0], b0=biases[0], w1=weights[1], b1=biases[1])


def _state(weights: list[Any], biases: list[Any], tensor: Callable[[Any], Any]) -> dict[str, Any]:
    """In PyTorch's names and layout."""
    return {
        "0.weight": tensor(weights[0].T.copy()),
        "0.bias": tensor(biases[0]),
        "2.weight": tensor(weights[1].T.copy()),
        "2.bias": tensor(biases[1]),
    }


def _make_ranvier(path: str, weights: list[Any], biases: list[Any]) -> None:
    import ranvier as rv

    rv.save(_state(weights, biases, rv.tensor), path)


def _make_torch(path: str, weights: list[Any], biases: list[Any]) -> None:
    import torch

    torch.save(_state(weights, biases, torch.tensor), path)


def _make_sklearn(path: str, weights: list[Any], biases: list[Any]) -> None:
    import warnings

    import joblib
    import numpy as np
    from sklearn.neural_network import MLPClassifier

    model = MLPClassifier(hidden_layer_sizes=(128,), max_iter=1, batch_size=10)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one epoch does not converge, as it need not
        model.fit(np.repeat(_row(), 10, 0), np.arange(10))
    model.coefs_, model.intercepts_ = weights, biases
    joblib.dump(model, path)


def _make_keras(path: str, weights: list[Any], biases: list[Any]) -> None:
    import keras

    layers = [keras.layers.Dense(128, activation="relu"), keras.layers.Dense(10)]
    model = keras.Sequential([keras.Input((784,)), *layers])
    model.set_weights([weights[0], biases[0], weights[1], biases[1]])
    model.save(path)


def _make_onnx(path: str, weights: list[Any], biases: list[Any]) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    arrays = {"w0": weights[0], "b0": biases[0], "w1": weights[1], "b1": biases[1]}
    nodes = [
        helper.make_node("Gemm", ["x", "w0", "b0"], ["z0"]),
        helper.make_node("Relu", ["z0"], ["a0"]),
        helper.make_node("Gemm", ["a0", "w1", "b1"], ["z1"]),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 784])],
        [helper.make_tensor_value_info("z1", TensorProto.FLOAT, ["rows", 10])],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)


_PREDICT: dict[str, Callable[[str], Any]] = {
    "ranvier": _predict_ranvier,
    "numpy": _predict_numpy,
    "torch": _predict_torch,
    "jax": _predict_jax,
    "sklearn": _predict_sklearn,
    "keras": _predict_keras,
    "onnxruntime": _predict_onnxruntime,
}
_MAKE: dict[str, Callable[[str, list[Any], list[Any]], None]] = {
    "ranvier": _make_ranvier,
    "torch": _make_torch,
    "sklearn": _make_sklearn,
    "keras": _make_keras,
    "onnxruntime": _make_onnx,
}
