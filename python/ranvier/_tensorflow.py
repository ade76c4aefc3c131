"""TensorFlow's own names, for programs that write `import ranvier as tf`: where the thing is.

`tf.keras` is `ranvier.keras`. What TensorFlow has beside Keras is not repeated under its names;
asking for it says what to write. This file is imported only when a name was not found.
"""

from __future__ import annotations

_KERAS = ("losses", "metrics", "optimizers", "initializers", "regularizers", "constraints")

ELSEWHERE = {
    "GradientTape": "call loss.backward() and read .grad, or ranvier.autograd.grad(loss, inputs)",
    "function": "leave the decorator out: functions run as they are",
    "Variable": "ranvier.keras.Variable, or ranvier.tensor(values, requires_grad=True)",
    "constant": "ranvier.tensor(values)",
    "convert_to_tensor": "ranvier.as_tensor(values)",
    "cast": "x.to('float32')",
    "reduce_sum": "ranvier.sum(x, axis), or keras.ops.sum",
    "reduce_mean": "ranvier.mean(x, axis), or keras.ops.mean",
    "reduce_max": "ranvier.amax(x, axis), or keras.ops.max",
    "reduce_min": "ranvier.amin(x, axis), or keras.ops.min",
    "reduce_prod": "ranvier.prod(x, axis), or keras.ops.prod",
    "reduce_any": "ranvier.any(x, axis), or keras.ops.any",
    "reduce_all": "ranvier.all(x, axis), or keras.ops.all",
    "reduce_std": "ranvier.std(x, axis, correction=0), or keras.ops.std",
    "reduce_variance": "ranvier.var(x, axis, correction=0), or keras.ops.var",
    "reduce_logsumexp": "ranvier.logsumexp(x, axis), or keras.ops.logsumexp",
    "expand_dims": "x.unsqueeze(axis)",
    "shape": "x.shape",
    "rank": "x.ndim",
    "size": "x.numel()",
    "range": "ranvier.arange(start, stop, step)",
    "one_hot": "ranvier.nn.functional.one_hot(labels, classes), or keras.ops.one_hot",
    "boolean_mask": "x[mask]",
    "gather_nd": "x[indices]",
    "clip_by_value": "ranvier.clamp(x, low, high)",
    "pow": "ranvier.pow(x, y)",
    "identity": "x.clone()",
    "stop_gradient": "x.detach()",
    "math": "functions of tensors are in ranvier itself: ranvier.exp(x), ranvier.mean(x)",
    "config": "ranvier.show_config() says what this installation can do",
    "test": "ranvier.show_config() says what this installation can do",
    "io": "NumPy and the standard library read files; ranvier.load reads Ranvier's own",
    "image": "NumPy, or keras.layers.Rescaling for the scale of pixels",
    "summary": "model.summary() of a keras.Model, or keras.callbacks.CSVLogger for a log",
    "train": "keras.optimizers has the optimizers, keras.callbacks.ModelCheckpoint writes weights",
    "saved_model": "model.save_weights(path) of a keras.Model",
    "Session": "tensors have their values at once; no session is needed",
    "placeholder": "keras.Input(shape)",
    "compat": "there is one version of the interface",
    "distribute": "Ranvier trains on one machine",
    "executing_eagerly": "tensors have their values at once, always",
}
NN = {
    "relu", "sigmoid", "tanh", "softmax", "elu", "selu", "gelu", "leaky_relu", "softplus",
    "softsign", "silu", "swish", "log_softmax", "relu6",
}  # fmt: skip


def advice(name: str) -> str:
    """What to write in the place of `tf.<name>`, as the end of a message; empty if unknown."""
    if name in _KERAS:
        return f"; keras.{name} has them: ranvier.keras.{name}"
    where = ELSEWHERE.get(name)
    return f"; TensorFlow's {name}: {where}" if where else ""


def data_advice(name: str) -> str:
    """What to write in the place of `tf.data.<name>`."""
    if name in ("Dataset", "AUTOTUNE", "experimental"):
        return (
            "; TensorFlow's data: ranvier.utils.data.TensorDataset and DataLoader, or arrays given "
            "to fit as they are"
        )
    return ""


def nn_advice(name: str) -> str:
    """What to write in the place of `tf.nn.<name>`."""
    if name in NN:
        here = "silu" if name == "swish" else name
        return f"; as a function it is ranvier.nn.functional.{here}, or keras.activations.{here}"
    if name.endswith("cross_entropy_with_logits"):
        return "; ranvier.nn.functional.cross_entropy, or keras.losses with from_logits=True"
    return ""
