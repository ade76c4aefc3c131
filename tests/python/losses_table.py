"""Losses, their arguments and NumPy's formulas of them: what test_losses.py goes through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

Array = Any
REDUCTIONS = ("mean", "sum", "none")
rng = np.random.default_rng(0)


class Entry(NamedTuple):
    """A call: what is differentiated, what is not, options, and the losses before the reduction."""

    name: str
    inputs: tuple[Array, ...]
    others: tuple[Array, ...]
    options: dict[str, Any]
    each: Callable[..., Array]
    divisor: float | None = None  # of the mean, where it is not the number of losses


def softplus(x: Array) -> Array:
    return np.logaddexp(0, x)


def log_softmax(x: Array, axis: int = 1) -> Array:
    x = x - x.max(axis, keepdims=True)
    return x - np.log(np.exp(x).sum(axis, keepdims=True))


def uniform(*shape: int, low: float = -2.0, high: float = 2.0) -> Array:
    return rng.uniform(low, high, shape)


def signs(*shape: int) -> Array:
    return np.where(rng.random(shape) < 0.5, -1.0, 1.0)


X, T, W = uniform(6, 4), uniform(6, 4), uniform(6, 4, low=0.5)
P, Q = uniform(6, 4, low=0.1, high=0.9), uniform(6, 4, low=0.1, high=0.9)
LABELS = np.array([3, 0, 2, 2, 1, 0])
CLASS = np.array([0.5, 2.0, 1.0, 3.0])
IMAGES, MAP = uniform(2, 4, 3), np.array([[3, 0, 2], [2, 1, 0]])
SHARES = np.exp(log_softmax(uniform(6, 4)))
COUNTS = rng.poisson(2, (6, 4)).astype(float)
A, B, C = uniform(6, 4), uniform(6, 4), uniform(6, 4)
ROW_SIGNS = signs(6)
SETS = np.array(
    [[3, 0, -1, 1], [2, -1, 0, 0], [0, 1, 2, 3], [-1, 2, 2, 2], [1, 0, 3, -1], [3, -1, -1, -1]]
)


def huber(d: Array, delta: float) -> Array:
    return np.where(abs(d) <= delta, d * d / 2, delta * (abs(d) - delta / 2))


def smooth(d: Array, beta: float) -> Array:
    return np.where(abs(d) < beta, d * d / 2 / beta, abs(d) - beta / 2)


def hot(labels: Array, classes: int) -> Array:
    return np.moveaxis(np.eye(classes)[np.clip(labels, 0, classes - 1)], -1, 1)


def entropy(q: Array) -> Callable[..., Array]:
    """-sum(q log softmax(x)) over classes."""
    return lambda x, *_: -(q * log_softmax(x)).sum(1)


def logistic(x: Array, t: Array, pos: Any = 1.0) -> Array:
    return pos * t * softplus(-x) + (1 - t) * softplus(x)


def distance(a: Array, b: Array, p: float = 2.0) -> Array:
    return (abs(a - b + 1e-6) ** p).sum(-1) ** (1 / p)


def cosine(a: Array, b: Array) -> Array:
    return (a * b).sum(-1) / np.sqrt((a * a).sum(-1) * (b * b).sum(-1))


def cosine_loss(margin: float) -> Callable[..., Array]:
    return lambda a, b, t: np.where(t == 1, 1 - cosine(a, b), np.maximum(0, cosine(a, b) - margin))


def triplet(p: float, swap: bool, margin: float) -> Callable[..., Array]:
    def each(a: Array, b: Array, c: Array) -> Array:
        far = distance(a, c, p)
        far = np.minimum(far, distance(b, c, p)) if swap else far
        return np.maximum(0, distance(a, b, p) - far + margin)

    return each


def multi_margin(x: Array, t: Array, p: int = 1, margin: float = 1.0, w: Any = None) -> Array:
    right = np.take_along_axis(x, t[:, None], 1)
    each = np.maximum(0, margin - right + x) ** p * (1 - hot(t, x.shape[1]))
    return each.sum(1) / x.shape[1] * (1 if w is None else w[t])


def multilabel(x: Array, sets: Array) -> Array:
    losses = []
    for row, given in zip(x, sets, strict=True):
        right = [int(i) for i in given[: list(given).index(-1) if -1 in given else None]]
        wrong = [i for i in range(len(row)) if i not in right]
        losses.append(sum(max(0, 1 - (row[j] - row[i])) for j in right for i in wrong) / len(row))
    return np.array(losses)


def poisson(log_input: bool, full: bool, eps: float = 1e-8) -> Callable[..., Array]:
    def each(x: Array, t: Array) -> Array:
        loss = np.exp(x) - t * x if log_input else x - t * np.log(x + eps)
        n = np.maximum(t, 1)
        stirling = n * np.log(n) - n + 0.5 * np.log(2 * np.pi * n)
        return loss + (np.where(t > 1, stirling, 0) if full else 0)

    return each


def gaussian(full: bool) -> Callable[..., Array]:
    def each(x: Array, t: Array, v: Array) -> Array:
        v = v[:, None] if v.ndim < x.ndim else v
        return (np.log(v) + (x - t) ** 2 / v) / 2 + (0.5 * np.log(2 * np.pi) if full else 0)

    return each


def kl(x: Array, t: Array) -> Array:
    return np.where(t > 0, t * np.log(np.where(t > 0, t, 1)), 0) - t * x


SMOOTHED = {e: (1 - e) * hot(LABELS, 4) + e / 4 for e in (0.0, 0.1)}
IGNORED = np.where(LABELS == 2, -100, LABELS)
KEPT = (IGNORED >= 0)[:, None]
ENTRIES = [
    Entry("mse_loss", (X, T), (), {}, lambda x, t: (x - t) ** 2),
    Entry("mse_loss", (X, T), (), {"weight": W}, lambda x, t: W * (x - t) ** 2, W.sum()),
    Entry("l1_loss", (X, T), (), {}, lambda x, t: abs(x - t)),
    Entry("l1_loss", (X, T), (), {"weight": W}, lambda x, t: W * abs(x - t), W.sum()),
    *[Entry("smooth_l1_loss", (X, T), (), {"beta": b}, lambda x, t, b=b: smooth(x - t, b))
      for b in (1.0, 0.3)],
    Entry("smooth_l1_loss", (X, T), (), {"beta": 0.0}, lambda x, t: abs(x - t)),
    *[Entry("huber_loss", (X, T), (), {"delta": d}, lambda x, t, d=d: huber(x - t, d))
      for d in (1.0, 0.3)],
    Entry("huber_loss", (X, T), (), {"weight": W}, lambda x, t: W * huber(x - t, 1)),
    # classes
    *[Entry("cross_entropy", (X,), (LABELS,), {"label_smoothing": e}, entropy(SMOOTHED[e]))
      for e in SMOOTHED],
    *[Entry("cross_entropy", (X,), (LABELS,), {"weight": CLASS, "label_smoothing": e},
            entropy(CLASS * SMOOTHED[e]), CLASS[LABELS].sum()) for e in SMOOTHED],
    Entry("cross_entropy", (X,), (IGNORED,), {"label_smoothing": 0.1},
          entropy(SMOOTHED[0.1] * KEPT), float(KEPT.sum())),
    Entry("cross_entropy", (X,), (LABELS,), {"ignore_index": 2}, entropy(SMOOTHED[0.0] * KEPT),
          float(KEPT.sum())),
    Entry("cross_entropy", (IMAGES,), (MAP,), {"weight": CLASS},
          entropy(CLASS[:, None] * hot(MAP, 4)), CLASS[MAP].sum()),
    Entry("cross_entropy", (X, SHARES), (), {},
          lambda x, t: -(t * log_softmax(x)).sum(1)),
    Entry("cross_entropy", (X, SHARES), (), {"weight": CLASS, "label_smoothing": 0.2},
          lambda x, t: -(CLASS * (0.8 * t + 0.05) * log_softmax(x)).sum(1)),
    Entry("nll_loss", (X,), (LABELS,), {}, lambda x, t: -(hot(LABELS, 4) * x).sum(1)),
    Entry("nll_loss", (X,), (IGNORED,), {"weight": CLASS},
          lambda x, t: -(CLASS * hot(IGNORED, 4) * KEPT * x).sum(1),
          CLASS[LABELS][KEPT[:, 0]].sum()),
    # chances
    Entry("binary_cross_entropy", (P,), (Q,), {},
          lambda x, t: -(t * np.log(x) + (1 - t) * np.log(1 - x))),
    Entry("binary_cross_entropy", (P,), (Q,), {"weight": CLASS},
          lambda x, t: -CLASS * (t * np.log(x) + (1 - t) * np.log(1 - x))),
    Entry("binary_cross_entropy_with_logits", (X, Q), (), {}, logistic),
    Entry("binary_cross_entropy_with_logits", (X, Q), (), {"pos_weight": CLASS},
          lambda x, t: logistic(x, t, CLASS)),
    Entry("binary_cross_entropy_with_logits", (X, Q), (), {"weight": W, "pos_weight": CLASS},
          lambda x, t: W * logistic(x, t, CLASS)),
    Entry("kl_div", (X,), (SHARES,), {}, kl),
    Entry("kl_div", (X,), (np.where(SHARES < 0.2, 0, SHARES),), {}, kl),
    Entry("kl_div", (X, T), (), {"log_target": True}, lambda x, t: np.exp(t) * (t - x)),
    *[Entry("poisson_nll_loss", (P + 0.5,), (COUNTS,), {"log_input": a, "full": b}, poisson(a, b))
      for a in (True, False) for b in (True, False)],
    Entry("poisson_nll_loss", (P,), (COUNTS,), {"log_input": False, "eps": 0.5},
          poisson(False, False, 0.5)),
    *[Entry("gaussian_nll_loss", (X, T, P), (), {"full": full}, gaussian(full))
      for full in (True, False)],
    Entry("gaussian_nll_loss", (X, T, P[:, 0]), (), {}, gaussian(False)),
    Entry("gaussian_nll_loss", (X, T, P[:, :1]), (), {}, gaussian(False)),
    # margins
    *[Entry("hinge_embedding_loss", (X,), (signs(6, 4),), {"margin": m},
            lambda x, t, m=m: np.where(t == 1, x, np.maximum(0, m - x))) for m in (1.0, 0.3)],
    Entry("soft_margin_loss", (X,), (signs(6, 4),), {}, lambda x, t: softplus(-t * x)),
    *[Entry("cosine_embedding_loss", (A, B), (ROW_SIGNS,), {"margin": m}, cosine_loss(m))
      for m in (0.0, 0.25)],
    Entry("margin_ranking_loss", (A, B), (signs(6, 4),), {"margin": 0.5},
          lambda a, b, t: np.maximum(0, 0.5 - t * (a - b))),
    *[Entry("triplet_margin_loss", (A, B, C), (), {"p": p, "swap": s, "margin": m},
            triplet(p, s, m)) for p, s, m in ((2.0, False, 1.0), (3.0, True, 0.5))],
    *[Entry("multi_margin_loss", (X,), (LABELS,), {"p": p, "margin": m},
            lambda x, t, p=p, m=m: multi_margin(x, t, p, m)) for p, m in ((1, 1.0), (2, 0.5))],
    Entry("multi_margin_loss", (X,), (LABELS,), {"weight": CLASS},
          lambda x, t: multi_margin(x, t, w=CLASS)),
    Entry("multilabel_margin_loss", (X,), (SETS,), {}, multilabel),
    Entry("multilabel_soft_margin_loss", (X, Q), (), {}, lambda x, t: logistic(x, t).mean(1)),
    Entry("multilabel_soft_margin_loss", (X, Q), (), {"weight": CLASS},
          lambda x, t: (CLASS * logistic(x, t)).mean(1)),
]  # fmt: skip
