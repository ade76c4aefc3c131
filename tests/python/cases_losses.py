"""Rows of the case table for losses: of an output and its target, and of classes.

Called by `cases.py`, which explains what a row is. References are the formulas in NumPy.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from samples import WITH_NAN, Array, Bad, Maker, Reference, draw, indices, rows

from ranvier import _C

REDUCTIONS: tuple[dict[str, Any], ...] = ({}, {"reduction": "sum"}, {"reduction": "none"})


def reduced(each: Array, reduction: str) -> Array:
    """What `reduction` says."""
    return each if reduction == "none" else np.mean(each) if reduction == "mean" else np.sum(each)


def declare(log_softmax: Reference, sigmoid: Reference) -> None:
    """Adds the rows; two references come from the table."""
    distances()
    probabilities()
    signs()
    cross_entropies(log_softmax)


def loss(
    name: str,
    each: Reference,
    *,
    x: Any = None,
    t: Any = None,
    attrs: tuple[dict[str, Any], ...] = (),
    terms: Reference | None = None,
    **options: Any,
) -> None:
    """A row for a loss of two tensors of one shape.

    `each` gives what is reduced, `x` and `t` make the arrays of a shape, `terms` gives the sizes
    that rounding errors go by, where that is not the loss.
    """
    first: Any = x or (lambda shape: shape)
    second: Any = t or (lambda shape: shape)
    shapes = [(1,), (17,), (3, 5), (0, 3), (2, 3, 7), ()]
    plain = [((first(s), second(s)), kind) for s in shapes for kind in REDUCTIONS]
    views = [
        ((first((5, 3)), second((5, 3))), kind, ("transposed", "strided")) for kind in REDUCTIONS
    ]
    more = [((first((3, 5)), second((3, 5))), {**a, **k}) for a in attrs for k in REDUCTIONS]

    def reference(x: Array, t: Array, reduction: str = "mean", **attrs: Any) -> Array:
        return reduced(each(x, t, **attrs), reduction)

    def magnitude(ref: Array, x: Array, t: Array, reduction: str = "mean", **attrs: Any) -> Array:
        assert terms is not None
        return reduced(terms(x, t, **attrs), reduction)

    rows(name, reference, *plain, *views, *more,
         magnitude=None if terms is None else magnitude,
         bad=(Bad(((3, 5), (3,)), {}, _C.ShapeError, (name, "(3, 5)", "(3,)")),
              Bad(((3,), (1,)), {}, _C.ShapeError, (name, "(3,)", "(1,)")),
              Bad(((3, 1), (3,)), {}, _C.ShapeError, (name, "target.unsqueeze(1)")),
              Bad(((3,), (3, 1)), {}, _C.ShapeError, (name, "input.unsqueeze(1)")),
              Bad(((3,), (3,)), {"reduction": "avg"}, ValueError, (name, "avg", "'mean'"))),
         **options)  # fmt: skip


# ---- distances


def quarters(shape: Any) -> Maker:
    """Multiples of 1/4 that differ from those of `eighths`."""
    return lambda rng: rng.integers(-12, 12, shape) / 4


def eighths(shape: Any) -> Maker:
    """So that differences keep away from 0 and from multiples of 1/4."""
    return lambda rng: rng.integers(-12, 12, shape) / 4 + 0.125


def smooth_l1(x: Array, t: Array, beta: float = 1.0) -> Array:
    """Girshick's, with the width of the parabola."""
    d = np.abs(x - t)
    return np.where(d < beta, 0.5 * d * d / beta if beta else d, d - 0.5 * beta)


def huber(x: Array, t: Array, delta: float = 1.0) -> Array:
    """Huber's: the parabola and its tangents."""
    d = np.abs(x - t)
    return np.where(d <= delta, 0.5 * d * d, delta * (d - 0.5 * delta))


def distances() -> None:
    """Of outputs from values."""
    loss("mse_loss", lambda x, t: np.square(x - t), tolerance="loss")
    loss("half_squared_error",
         lambda x, t: np.sum(np.square(x - t), axis=tuple(range(1, x.ndim))) / 2,
         tolerance="loss")  # fmt: skip
    loss("l1_loss", lambda x, t: np.abs(x - t), x=quarters, t=eighths, tolerance="loss")
    loss("smooth_l1_loss", smooth_l1, x=quarters, t=eighths, tolerance="loss",
         attrs=({"beta": 0.5}, {"beta": 2.0}))  # fmt: skip
    loss("huber_loss", huber, x=quarters, t=eighths, tolerance="loss",
         attrs=({"delta": 0.5}, {"delta": 2.0}))  # fmt: skip


# ---- probabilities and signs


def between(low: float, high: float) -> Any:
    """Uniform numbers of a shape."""
    return lambda shape: lambda rng: draw(rng, shape, low, high)


def log_loss(x: Array, t: Array) -> Array:
    """Cross-entropy of probabilities with logarithms cut at -100."""
    return -(t * np.maximum(-100, np.log(x)) + (1 - t) * np.maximum(-100, np.log(1 - x)))


def logistic(x: Array, t: Array) -> Array:
    """Cross-entropy of sigmoid(x)."""
    return np.logaddexp(0, x) - x * t


def share(shape: Any) -> Maker:
    """Probabilities, some of them 0."""

    def make(rng: np.random.Generator) -> Array:
        p = rng.uniform(0.1, 1, shape)
        return np.where(rng.random(shape) < 0.3, 0.0, p)

    return make


def divergence(x: Array, t: Array) -> Array:
    """t (log t - x), 0 at t = 0."""
    return np.where(t == 0, 0, t * np.log(np.where(t == 0, 1, t))) - t * x


def probabilities() -> None:
    """Of chances from chances."""
    loss("binary_cross_entropy", log_loss, x=between(0.3, 0.7), t=between(0.3, 0.7),
         terms=lambda x, t: log_loss(x, t) + 1, tolerance="log_loss")  # fmt: skip
    loss("binary_cross_entropy_with_logits", logistic, t=between(0.1, 0.9),
         terms=lambda x, t: np.abs(x) * (1 + t) + np.log(2), tolerance="logistic")  # fmt: skip
    kl = lambda x, t: np.abs(t * x) + np.abs(divergence(0, t))  # noqa: E731
    loss("kl_div", divergence, x=between(-4, 0), t=share, terms=kl, fixed=(1,),
         tolerance="logistic", integers="none")  # fmt: skip
    loss("kl_div_log_target", lambda x, t: np.exp(t) * (t - x), x=between(-4, 0), t=between(-4, 0),
         terms=lambda x, t: np.exp(t) * (np.abs(t) + np.abs(x)), tolerance="logistic")  # fmt: skip


def sign(shape: Any) -> Maker:
    """1 and -1."""
    return lambda rng: np.where(rng.random(shape) < 0.5, -1.0, 1.0)


def hinge(x: Array, t: Array, margin: float = 1.0) -> Array:
    """x where t is 1, what is missing to the margin where it is -1."""
    return np.where(t == 1, x, np.maximum(0, margin - x))


def signs() -> None:
    """Of scores from 1 and -1."""
    loss("hinge_embedding_loss", hinge, x=eighths, t=sign, fixed=(1,), tolerance="loss",
         terms=lambda x, t, margin=1.0: np.abs(x) + margin, attrs=({"margin": 0.5},),
         integers="none")  # fmt: skip
    loss("soft_margin_loss", lambda x, t: np.logaddexp(0, -t * x), t=sign, fixed=(1,),
         terms=lambda x, t: np.abs(x) + np.log(2), tolerance="logistic",
         integers="none")  # fmt: skip


# ---- classes


def aims(x: Array, t: Array, weight: Array | None, ignored: int, smoothing: float) -> Any:
    """What each class counts for, classes being axis 1, and what a mean is divided by."""
    axis = min(1, x.ndim - 1)
    classes = x.shape[axis]
    w = np.ones(classes) if weight is None else weight
    w = w.reshape([-1 if i == axis else 1 for i in range(x.ndim)])
    if np.asarray(t).dtype.kind == "f":
        return w * ((1 - smoothing) * t + smoothing / classes), x.size / classes
    valid = np.expand_dims(t != ignored, axis)
    hot = np.expand_dims(t, axis) == np.arange(classes).reshape(
        [-1 if i == axis else 1 for i in range(x.ndim)]
    )
    hot = hot & valid
    q = w * ((1 - smoothing) * hot + smoothing / classes * valid)
    return q, np.sum(w * hot)


def averaged(each: Array, total: Any, reduction: str) -> Array:
    """A mean is over what counts."""
    return np.sum(each) / total if reduction == "mean" else reduced(each, reduction)


def marked(shape: Any, classes: int, mark: int) -> Maker:
    """Labels, some of which are to be ignored."""

    def make(rng: np.random.Generator) -> Array:
        t = rng.integers(0, classes, shape)
        return np.where(rng.random(shape) < 0.4, mark, t)

    return make


def chances(shape: Any) -> Maker:
    """Rows that sum to 1 along the classes."""

    def make(rng: np.random.Generator) -> Array:
        p = rng.uniform(0.1, 1, shape)
        return p / p.sum(axis=min(1, len(shape) - 1), keepdims=True)

    return make


def weights(n: int) -> Maker:
    """One for each class."""
    return lambda rng: rng.uniform(0.5, 2, n)


LABELLED: list[tuple[Any, ...]] = [
    *[(((5, 7), indices(5, 7), None), attrs) for attrs in REDUCTIONS],
    (((33, 10), indices(33, 10, dtype="int32"), None), {}),
    (((7,), indices((), 7), None), {}),
    (((7,), indices((), 7), weights(7)), {"reduction": "none"}),
    (((3, 17), indices(3, 17, dtype="uint8"), None), {}),
    (((4, 1), indices(4, 1), None), {"reduction": "none"}),
    (((0, 3), indices(0, 3), None), {"reduction": "sum"}),
    (((0, 3), indices(0, 3), None), {}),
    (((5, 7), indices(5, 7), None), {}, ("transposed", "strided", "packed")),
    (((5, 7), indices(5, 7), None), {"reduction": "none"}, ("strided", "packed", "packed")),
    *[(((5, 7), indices(5, 7), weights(7)), attrs) for attrs in REDUCTIONS],
    *[(((9, 4), marked(9, 4, -100), weights(4)), attrs) for attrs in REDUCTIONS],
    (((9, 4), marked(9, 4, 2), None), {"ignore_index": 2}),
    *[(((2, 3, 4, 5), indices((2, 4, 5), 3), weights(3)), attrs) for attrs in REDUCTIONS],
    (((2, 3, 4), marked((2, 4), 3, -1), None), {"ignore_index": -1}),
    (((4, 3, 2), indices((4, 2), 3), None), {}, ("transposed", "packed", "packed")),
]
SMOOTH: list[tuple[Any, ...]] = [
    *[(((5, 7), indices(5, 7), None), {**a, "label_smoothing": 0.1}) for a in REDUCTIONS],
    *[(((9, 4), marked(9, 4, -100), weights(4)), {**a, "label_smoothing": 0.25})
      for a in REDUCTIONS],
    (((2, 3, 4), indices((2, 4), 3), weights(3)), {"label_smoothing": 1.0}),
]  # fmt: skip
BAD_LABELS = (
    Bad(((2, 3), np.array([0, 3])), {}, IndexError, ("0 to 2", "3 classes", "labels start at 0")),
    Bad(((2, 3), np.array([0, -1])), {}, IndexError, ("-1", "in row 1", "labels start at 0")),
    Bad(((2, 3), np.array([0, 2**62])), {}, IndexError, ("3 classes",)),
    Bad(((2, 3), np.array([0.0, 1.0])), {}, TypeError, ("float64", "long()")),
    Bad(((2, 3), np.array([0])), {}, _C.ShapeError, ("(2, 3)", "(1,)")),
    Bad(((2, 3), np.array([[0], [1]])), {}, _C.ShapeError, ("(2, 1)", "squeeze(1)")),
    Bad(((2, 3, 4), np.array([0, 1])), {}, _C.ShapeError, ("(2, 3, 4)", "(2,)")),
    Bad(((), np.array(0)), {}, _C.ShapeError, ("classes",)),
    Bad(((2, 3), np.array([0, 1]), np.ones(2)), {}, _C.ShapeError, ("3 classes", "(2,)")),
    Bad(((2, 3), np.array([0, 1]), np.ones(3, int)), {}, TypeError, ("weight", "int64")),
    Bad(((2, 3), np.array([0, 1])), {"reduction": "max"}, ValueError, ("max", "'mean'")),
)  # fmt: skip


def cross_entropies(log_softmax: Reference) -> None:
    """Of scores from labels and from probabilities, and of logarithms from labels."""

    def each(x: Array, t: Array, weight: Array | None, ignored: int, smoothing: float) -> Any:
        q, total = aims(x, t, weight, ignored, smoothing)
        axis = min(1, x.ndim - 1)
        return np.sum(q * log_softmax(x, axis), axis=axis) * -1, total, np.sum(q, axis=axis)

    def entropy(x: Array, t: Array, weight: Any = None, reduction: str = "mean",
                ignore_index: int = -100, label_smoothing: float = 0.0) -> Array:  # fmt: skip
        losses, total, _ = each(x, t, weight, ignore_index, label_smoothing)
        return averaged(losses, total, reduction)

    def size(ref: Array, x: Array, t: Array, weight: Any = None, reduction: str = "mean",
             ignore_index: int = -100, label_smoothing: float = 0.0) -> Array:  # fmt: skip
        losses, total, whole = each(x, t, weight, ignore_index, label_smoothing)
        return averaged(losses + whole, total, reduction)

    def nll(x: Array, t: Array, weight: Any = None, reduction: str = "mean",
            ignore_index: int = -100) -> Array:  # fmt: skip
        q, total = aims(x, t, weight, ignore_index, 0.0)
        return averaged(-np.sum(q * x, axis=min(1, x.ndim - 1)), total, reduction)

    rows("cross_entropy", entropy, *LABELLED, *SMOOTH, tolerance="log_softmax", magnitude=size,
         fixed=(1, 2), integers="refused", special=((WITH_NAN, np.array([0, 1, 2, 0, 1])),),
         special_attrs={"reduction": "none"},
         bad=(*BAD_LABELS, Bad(((2, 3), np.array([0, 1])), {"label_smoothing": 1.5}, ValueError,
                               ("label_smoothing", "1.5"))))  # fmt: skip
    rows("nll_loss", nll, *LABELLED, low=-4, high=0, tolerance="loss", fixed=(1, 2),
         magnitude=lambda ref, x, *rest, **attrs: nll(-np.abs(x), *rest, **attrs),
         integers="refused", bad=BAD_LABELS)  # fmt: skip
    shapes: list[tuple[int, ...]] = [(5, 7), (7,), (2, 3, 4), (4, 1), (0, 3)]
    rows("soft_cross_entropy", entropy,
         *[((s, chances(s), None), a) for s in shapes for a in REDUCTIONS],
         *[((s, chances(s), weights(s[min(1, len(s) - 1)])), {**a, "label_smoothing": 0.1})
           for s in shapes for a in REDUCTIONS],
         (((5, 7), chances((5, 7)), None), {}, ("transposed", "strided", "packed")),
         fixed=(2,), tolerance="soft", magnitude=size, integers="none",
         bad=(Bad(((2, 3), (2,)), {}, _C.ShapeError, ("(2, 3)", "(2,)")),
              Bad(((2, 3), (2, 3), (2,)), {}, _C.ShapeError, ("3 classes", "(2,)")),
              Bad(((2, 3), (2, 3)), {"label_smoothing": -0.5}, ValueError, ("-0.5",)),
              Bad(((2, 3), (2, 3)), {"reduction": "max"}, ValueError, ("max",))))  # fmt: skip
