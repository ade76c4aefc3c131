"""Using a model without training it: `predict` and `evaluate`.

Outputs are written into one result, so that they cost their own memory once. Nothing here changes
a parameter.
"""

from __future__ import annotations

import functools
from typing import Any

from ranvier import _C
from ranvier._C import Tensor
from ranvier._grad import no_grad
from ranvier.data.preprocess import leading
from ranvier.io import notes
from ranvier.nn import Module
from ranvier.training import loaders, losses, predictions
from ranvier.training import metrics as metric_names
from ranvier.training.inputs import (
    Rows,
    check_lengths,
    data,
    positive_int,
    rows,
    targets,
)
from ranvier.training.optimizers import last_fit

_BATCH = 256


def check_model(where: str, model: Any) -> Module:
    """An `nn.Module`; a TypeError otherwise."""
    if not isinstance(model, Module):
        raise TypeError(
            f"[{where}] model: expected an nn.Module, got {model!r:.60}; "
            "nn.Sequential(...) makes one from layers"
        )
    return model


def forward(where: str, model: Module, x: Tensor) -> Tensor:
    """The model's output for a batch: one tensor with a row for each row of `x`."""
    output = model(x)
    if not isinstance(output, Tensor):
        hint = f"; end {type(model).__name__}.forward with `return`" if output is None else ""
        raise TypeError(
            f"[{where}] model: expected one tensor as output, got {type(output).__name__}{hint}"
        )
    if output.shape[:1] != x.shape[:1]:
        raise _C.ShapeError(
            f"[{where}] model: expected {x.shape[0]} rows out for {x.shape[0]} rows in, got an "
            f"output of shape {tuple(output.shape)}"
        )
    return output


def outputs(where: str, model: Module, X: Rows, batch_size: int) -> Tensor:
    """The model's outputs for these rows, in evaluation mode and without gradients."""
    whole = predictions.Outputs(model, X, functools.partial(forward, where))
    with no_grad():
        return whole.all(batch_size)


def predict(model: Module, X: Any, batch_size: int = _BATCH) -> Tensor:
    """The model's outputs for all rows, in evaluation mode and without gradients.

    Parameters
    ----------
    model : Module
        Left in the mode that it is in.
    X : array, (N, ...)
        Numbers of any type, as for `fit`: a tensor, an array, nested lists, a DataFrame, a sparse
        matrix, a Dataset or DataLoader (of which targets are left aside). They are cast to the
        type of the model's parameters batch by batch. They are not searched for NaN: a row that is
        not finite gives a result that is not finite, or not meaningful, in its own place only.
        Layers that work in place leave them as they are.
    batch_size : int
        Rows computed at a time. A row's result does not depend on it.

    Returns
    -------
    Tensor, (N, ...)
        The outputs of the last layer.

    Raises
    ------
    TypeError, ValueError
        If `X` is empty, not numbers, or not what the model takes.

    Notes
    -----
    Where the model's code does nothing but compute, it is recorded once for each number of rows and
    replayed from then on, with the same bits; several threads may do so at once. Changes of the
    model are noticed. With RANVIER_CAPTURE=0 in the environment at the start nothing is replayed.

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.nn.Linear(3, 2)
    >>> rv.predict(net, [[1, 2, 3], [4, 5, 6]]).shape
    (2, 2)
    """
    check_model("predict", model)
    if type(batch_size) is int and batch_size >= predictions.QUICK_ROWS:
        answer = predictions.quick_answer(model, X)
        if answer is not None:
            return answer
    size = positive_int("predict", "batch_size", batch_size)
    unpacked = loaders.arrays_of(X)
    if unpacked is None and loaders.is_source(X):
        return loaders.outputs("predict", model, X, size)
    rows = X if unpacked is None else unpacked[0]
    given = data("predict", "X", rows, model)
    answer = outputs("predict", model, given, size)
    about = notes.about(model)
    if about.input is None:
        about.note_row(given.shape, given.dtype.name)
    return answer


def evaluate(
    model: Module, X: Any, y: Any = None, *, loss: Any = None, metrics: Any = ()
) -> dict[str, float]:
    """The loss and the metrics of a model on given rows.

    Parameters
    ----------
    model : Module
        Left in the mode that it is in.
    X, y : arrays, (N, ...)
        As for `fit`.
    loss : str, Module or callable, optional
        As for `fit`; the loss of the model's last fit if left out.
    metrics : str, callable, or a list of them
        As for `fit`. They are computed over all rows at once.

    Returns
    -------
    dict of str to float
        `loss` and every metric by its name.

    Raises
    ------
    TypeError, ValueError
        If something does not fit, is NaN or infinite, or there is no loss to use.

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.nn.Linear(1, 1)
    >>> sorted(rv.evaluate(net, [[0.0], [1.0]], [0.0, 1.0], loss="mse", metrics="mae"))
    ['loss', 'mae']
    """
    where = "evaluate"
    check_model(where, model)
    chosen = last_fit(model).loss if loss is None else losses.resolve(where, loss)
    if chosen is None:
        raise ValueError(
            f"[{where}] loss: expected a loss, as this model has not been fitted here, got None; "
            "for example loss='mse'"
        )
    measures = metric_names.resolve(where, metrics, chosen.border)
    unpacked = loaders.arrays_of(X) if y is None else None
    if unpacked is not None:
        X, y, _ = unpacked
    elif y is None and loaders.is_source(X):
        batches = loaders.LoaderBatches(where, X, model, chosen, _BATCH, 1, False)
        return measure(where, chosen, measures, *loaders.collect(where, model, batches))
    if y is None:
        raise TypeError(f"[{where}] y: expected one target for each row of X, got None")
    inputs, answers = data(where, "X", X, model), rows(where, "y", y)
    check_lengths(where, inputs, answers)
    if not any(layer.takes_nan for layer in leading(model)):
        inputs.check_finite(where, "X")
    prediction = outputs(where, model, inputs, _BATCH)
    target = targets(where, "y", answers, prediction, chosen).all()
    return measure(where, chosen, measures, prediction, target)


def measure(
    where: str,
    loss: losses.Loss,
    measures: tuple[metric_names.Metric, ...],
    prediction: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
) -> dict[str, float]:
    """The loss and the metrics of outputs that are there; the loss is that of weighted rows."""
    with no_grad():
        if weight is None:
            value = loss(where, prediction, target)
        else:
            value = loss.weighted(where, prediction, target, weight)
        result = {"loss": float(value.item())}
        for metric in measures:
            result[metric.name] = metric(prediction, target)
    return result
