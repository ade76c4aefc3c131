"""Keras' losses as functions of (y_true, y_pred): one value for each row, or each position.

Both are brought to one rank and to the type of the prediction; shapes that differ otherwise are
refused, never broadcast.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any

from ranvier._C import ShapeError, Tensor, is_recording, ops
from ranvier._grad import no_grad
from ranvier.keras.backend import epsilon, to_tensor


def same_rank(y_true: Tensor, y_pred: Tensor) -> tuple[Tensor, Tensor]:
    """Both with as many axes: a last axis of 1 is added or taken away where one is missing."""
    a, b = y_true.ndim, y_pred.ndim
    if a == b + 1 and y_true.shape[-1] == 1:
        if b == 1:
            return y_true, y_pred.unsqueeze(-1)
        return y_true.squeeze(-1), y_pred
    if b == a + 1 and y_pred.shape[-1] == 1:
        if a == 1:
            return y_true.unsqueeze(-1), y_pred
        return y_true, y_pred.squeeze(-1)
    return y_true, y_pred


def matched(where: str, y_true: Any, y_pred: Any) -> tuple[Tensor, Tensor]:
    """Target and prediction of one shape and one floating type.

    Raises
    ------
    ShapeError
        Where the shapes differ by more than a last axis of 1.
    """
    y_pred = y_pred if isinstance(y_pred, Tensor) else to_tensor(y_pred)
    if not y_pred.dtype.is_floating_point:
        y_pred = to_tensor(y_pred, to_tensor(0.0).dtype)
    y_true = to_tensor(y_true, y_pred.dtype)
    if y_true.shape != y_pred.shape:
        y_true, y_pred = same_rank(y_true, y_pred)
        if y_true.shape != y_pred.shape:
            hint = ""
            if "categorical" in where and y_true.numel() == math.prod(y_pred.shape[:-1]):
                hint = f"; whole-number labels go with 'sparse_{where.removeprefix('sparse_')}'"
            raise ShapeError(
                f"[{where}] y: expected shape {tuple(y_pred.shape)}, as the model's output, got "
                f"{tuple(y_true.shape)}{hint}"
            )
    return y_true, y_pred


def mean_squared_error(y_true: Any, y_pred: Any) -> Tensor:
    """mean((y_true - y_pred)^2)

    Examples
    --------
    >>> from ranvier import keras
    >>> keras.losses.mean_squared_error([[0.0, 2.0]], [[0.0, 0.0]])
    tensor([2.])
    """
    t, p = matched("mean_squared_error", y_true, y_pred)
    return (p - t).square().mean(-1)


def mean_absolute_error(y_true: Any, y_pred: Any) -> Tensor:
    """mean(|y_true - y_pred|)"""
    t, p = matched("mean_absolute_error", y_true, y_pred)
    return (p - t).abs().mean(-1)


def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> Tensor:
    """100 mean(|y_true - y_pred| / |y_true|)"""
    t, p = matched("mean_absolute_percentage_error", y_true, y_pred)
    return ((t - p) / t.abs().clamp(min=epsilon())).abs().mean(-1) * 100.0


def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> Tensor:
    """mean((log(y_true + 1) - log(y_pred + 1))^2)"""
    t, p = matched("mean_squared_logarithmic_error", y_true, y_pred)
    first = (p.clamp(min=epsilon()) + 1.0).log()
    second = (t.clamp(min=epsilon()) + 1.0).log()
    return (first - second).square().mean(-1)


def smoothed_binary(y_true: Tensor, label_smoothing: float) -> Tensor:
    """Targets of 0 and 1 moved towards a half."""
    if not label_smoothing:
        return y_true
    return y_true * (1.0 - label_smoothing) + 0.5 * label_smoothing


def binary_elements(y_true: Tensor, y_pred: Tensor, from_logits: bool) -> Tensor:
    """-(t log p + (1 - t) log(1 - p)) of every element."""
    if from_logits:
        return ops.relu(y_pred) - y_pred * y_true + ops.log1p(ops.exp(-y_pred.abs()))
    inside = y_pred.clamp(epsilon(), 1.0 - epsilon())
    return ops.binary_cross_entropy(inside, y_true, reduction="none")


def binary_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """mean(-(t log p + (1 - t) log(1 - p))); p is kept away from 0 and 1 by `epsilon()`."""
    t, p = matched("binary_crossentropy", y_true, y_pred)
    t = smoothed_binary(t, label_smoothing)
    return binary_elements(t, p, from_logits).mean(axis)


def binary_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """Binary cross-entropy in which easy rows count less. Lin et al., 2017, equation 5."""
    t, p = matched("binary_focal_crossentropy", y_true, y_pred)
    t = smoothed_binary(t, label_smoothing)
    p = p.sigmoid() if from_logits else p
    right = t * p + (1.0 - t) * (1.0 - p)
    values = binary_elements(t, p, False) * (1.0 - right).pow(gamma)
    if apply_class_balancing:
        values = values * (t * alpha + (1.0 - t) * (1.0 - alpha))
    return values.mean(axis)


def _log_shares(y_pred: Tensor, from_logits: bool, axis: int, scale: bool) -> Tensor:
    """The logarithms of shares that are given, or of the softmax of scores."""
    if from_logits:
        return ops.log_softmax(y_pred, axis)
    if scale:
        y_pred = y_pred / y_pred.sum(axis, keepdim=True)
    return y_pred.clamp(epsilon(), 1.0 - epsilon()).log()


def categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """-sum(t log p) over the classes, for targets that are one-hot rows or shares."""
    t, p = matched("categorical_crossentropy", y_true, y_pred)
    if label_smoothing:
        classes = t.shape[axis]
        t = t * (1.0 - label_smoothing) + label_smoothing / classes
    return -(t * _log_shares(p, from_logits, axis, scale=True)).sum(axis)


def categorical_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """Cross-entropy in which easy rows count less. Lin et al., 2017."""
    t, p = matched("categorical_focal_crossentropy", y_true, y_pred)
    if label_smoothing:
        classes = t.shape[axis]
        t = t * (1.0 - label_smoothing) + label_smoothing / classes
    p = ops.softmax(p, axis) if from_logits else p / p.sum(axis, keepdim=True)
    p = p.clamp(epsilon(), 1.0 - epsilon())
    return (-(t * p.log()) * ((1.0 - p).pow(gamma) * alpha)).sum(axis)


def labels_of(where: str, y_true: Any, y_pred: Tensor) -> Tensor:
    """Whole-number labels, one for each row or position of the prediction."""
    labels = to_tensor(y_true)
    if labels.ndim == y_pred.ndim and labels.shape[-1] == 1:
        labels = labels.squeeze(-1)
    if tuple(labels.shape) != tuple(y_pred.shape[:-1]):
        hint = ""
        if tuple(labels.shape) == tuple(y_pred.shape):
            hint = f"; one-hot rows go with '{where.removeprefix('sparse_')}'"
        raise ShapeError(
            f"[{where}] y: expected one label for each row of the model's output "
            f"{tuple(y_pred.shape)}, got {tuple(labels.shape)}{hint}"
        )
    int64 = to_tensor(0).dtype
    return labels if labels.dtype is int64 else ops.cast(labels, int64)


class _Checked(threading.local):
    """For which numbers of classes labels were looked at already."""

    classes: tuple[int, ...] = ()


_checked = _Checked()


class checked_labels:  # noqa: N801  # used as a function is
    """A context in which labels are known to fit these numbers of classes: none is read."""

    def __init__(self, classes: tuple[int, ...]) -> None:
        self._classes = classes

    def __enter__(self) -> None:
        self._before, _checked.classes = _checked.classes, self._classes

    def __exit__(self, *error: object) -> None:
        _checked.classes = self._before


def check_labels(where: str, labels: Tensor, classes: int) -> None:
    """A ValueError that names the first label out of range.

    Not while a step is recorded: its replays leave that to the op that takes a label's element.
    """
    if classes in _checked.classes or is_recording():
        return
    with no_grad():
        bad = ops.logical_or(labels < 0, labels >= classes)
        if not bad.any().item():
            return
    value = labels.reshape(-1)[int(bad.reshape(-1).to(labels.dtype).argmax().item())].item()
    raise ValueError(
        f"[{where}] y: expected labels from 0 to {classes - 1} for the {classes} outputs of the "
        f"model, got {value}; labels start at 0"
    )


def sparse_categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    ignore_class: int | None = None,
    axis: int = -1,
) -> Tensor:
    """-log p[label], for targets that are whole-number labels from 0; 0 for `ignore_class`."""
    where = "sparse_categorical_crossentropy"
    y_pred = to_tensor(y_pred)
    if axis not in (-1, y_pred.ndim - 1):
        y_pred = y_pred.movedim(axis, -1)
    labels = labels_of(where, y_true, y_pred)
    valid = None
    if ignore_class is not None:
        valid = labels != ignore_class
        labels = ops.where(valid, labels, 0)
    check_labels(where, labels, y_pred.shape[-1])
    logs = _log_shares(y_pred, from_logits, -1, scale=False)
    values = -logs.gather(-1, labels.unsqueeze(-1)).squeeze(-1)
    return values if valid is None else ops.where(valid, values, 0.0)


def kl_divergence(y_true: Any, y_pred: Any) -> Tensor:
    """sum(y_true log(y_true / y_pred))"""
    t, p = matched("kl_divergence", y_true, y_pred)
    t, p = t.clamp(epsilon(), 1.0), p.clamp(epsilon(), 1.0)
    return (t * (t / p).log()).sum(-1)


def poisson(y_true: Any, y_pred: Any) -> Tensor:
    """mean(y_pred - y_true log(y_pred))"""
    t, p = matched("poisson", y_true, y_pred)
    return (p - t * (p + epsilon()).log()).mean(-1)


def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> Tensor:
    """mean of e^2 / 2 where |e| <= delta, and delta |e| - delta^2 / 2 elsewhere."""
    t, p = matched("huber", y_true, y_pred)
    error = (t - p).abs()
    inside = error.clamp(max=delta)
    return (inside * (error - inside * 0.5)).mean(-1)


def log_cosh(y_true: Any, y_pred: Any) -> Tensor:
    """mean(log(cosh(y_pred - y_true)))"""
    t, p = matched("log_cosh", y_true, y_pred)
    error = (p - t).abs()
    return (error + ops.log1p(ops.exp(error * -2.0)) - math.log(2.0)).mean(-1)


def _unit(x: Tensor, axis: int) -> Tensor:
    return x / x.square().sum(axis, keepdim=True).clamp(min=epsilon() ** 2).sqrt()


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Tensor:
    """The negative of the cosine between both: -1 where they point the same way."""
    t, p = matched("cosine_similarity", y_true, y_pred)
    return -(_unit(t, axis) * _unit(p, axis)).sum(axis)


def _signs(y_true: Tensor) -> Tensor:
    """Targets of 0 and 1 as -1 and 1; others as they are."""
    with no_grad():
        binary = ops.logical_or(y_true == 0, y_true == 1).all().item()
    return y_true * 2.0 - 1.0 if binary else y_true


def hinge(y_true: Any, y_pred: Any) -> Tensor:
    """mean(max(1 - y_true y_pred, 0)); targets of 0 and 1 count as -1 and 1."""
    t, p = matched("hinge", y_true, y_pred)
    return ops.relu(1.0 - _signs(t) * p).mean(-1)


def squared_hinge(y_true: Any, y_pred: Any) -> Tensor:
    """mean(max(1 - y_true y_pred, 0)^2); targets of 0 and 1 count as -1 and 1."""
    t, p = matched("squared_hinge", y_true, y_pred)
    return ops.relu(1.0 - _signs(t) * p).square().mean(-1)


def categorical_hinge(y_true: Any, y_pred: Any) -> Tensor:
    """max(neg - pos + 1, 0), pos = sum(t p) and neg = max((1 - t) p)"""
    t, p = matched("categorical_hinge", y_true, y_pred)
    positive = (t * p).sum(-1)
    negative = ((1.0 - t) * p).amax(-1)
    return ops.relu(negative - positive + 1.0)


Function = Callable[..., Any]
