"""Losses of margins and embeddings as functions, and the measures that they are made of.

Put together from ops; the two that are single ops, hinge and soft margin, stand here for company.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ranvier._arguments import tensor_in
from ranvier._C import ShapeError, Tensor, ops
from ranvier._creation import arange, zeros_like
from ranvier._shapes import broadcast_tensors
from ranvier.nn._functional_losses import reduced
from ranvier.nn._reduction import reduction_from


def _at_least_0(x: Tensor) -> Tensor:
    return ops.clamp(x, 0.0)


# ---- measures


def normalize(
    input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: Tensor | None = None
) -> Tensor:
    """x over its p-norm along `dim`, or over eps where the norm is smaller.

    Parameters
    ----------
    input : Tensor, any shape
    p : float, default 2
    dim : int, default 1
    eps : float, default 1e-12
    out : Tensor, optional
        Where the result goes.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.functional.normalize(rv.tensor([[3.0, 4.0]]))
    tensor([[0.6000, 0.8000]])
    """
    size = ops.clamp(ops.norm(input, p, dim, True), eps)
    result = input / size
    return result if out is None else out.copy_(result)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """The cosine of the angle between two tensors along `dim`.

    Parameters
    ----------
    x1, x2 : Tensor
        Shapes that broadcast.
    dim : int, default 1
    eps : float, default 1e-8
        Norms below it count as it.

    Returns
    -------
    Tensor without the axis `dim`

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.functional.cosine_similarity(rv.tensor([[3.0, 4.0]]), rv.tensor([[4.0, 3.0]]))
    tensor([0.9600])
    """
    x1, x2 = broadcast_tensors(x1, x2)
    first, second = (x / _norm_of_at_least(x, dim, eps) for x in (x1, x2))
    return ops.sum(first * second, dim)


def _norm_of_at_least(x: Tensor, dim: int, eps: float) -> Tensor:
    """Clamped in value; the gradient goes on as if it were not, as in PyTorch."""
    size = ops.norm(x, 2.0, dim, True)
    held = size.detach()
    return size + (ops.clamp(held, eps) - held)


def pairwise_distance(
    x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    """The p-norm of x1 - x2 + eps along the last axis.

    Parameters
    ----------
    x1, x2 : Tensor, (..., D)
        Shapes that broadcast.
    p : float, default 2
    eps : float, default 1e-6
        Keeps the gradient finite where both are equal.
    keepdim : bool, default False

    Returns
    -------
    Tensor, (...) or (..., 1)

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.functional.pairwise_distance(rv.tensor([[3.0, 4.0]]), rv.zeros(1, 2))
    tensor([5.0000])
    """
    x1, x2 = tensor_in("pairwise_distance", x1, "x1"), tensor_in("pairwise_distance", x2, "x2")
    return ops.norm(x1 - x2 + eps, p, -1, keepdim)


# ---- losses of two inputs or three


def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """x where the target is 1, max(0, margin - x) where it is -1; then the reduction.

    Parameters
    ----------
    input, target : Tensor, any shape
        Of one shape.
    margin : float, default 1
    size_average, reduce : bool, optional
        The old words for `reduction`.
    reduction : "mean", "sum" or "none"

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.functional.hinge_embedding_loss(rv.tensor([0.5, 0.25]), rv.tensor([1.0, -1.0]))
    tensor(0.6250)
    """
    how = reduction_from("hinge_embedding_loss", reduction, size_average, reduce)
    return ops.hinge_embedding_loss(input, target, margin, how)


def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """log(1 + exp(-t x)) of targets 1 and -1; other arguments as those of `hinge_embedding_loss`.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.functional.soft_margin_loss(rv.tensor([0.0]), rv.tensor([-1.0]))
    tensor(0.6931)
    """
    how = reduction_from("soft_margin_loss", reduction, size_average, reduce)
    return ops.soft_margin_loss(input, target, how)


def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """1 - cos where the target is 1, max(0, cos - margin) where it is -1; then the reduction.

    Parameters
    ----------
    input1, input2 : Tensor, (N, D) or (D,)
    target : Tensor, (N,) or ()
        1 or -1.
    margin : float, default 0
    size_average, reduce, reduction
        As those of `hinge_embedding_loss`.

    Raises
    ------
    ShapeError
        Other shapes.

    Examples
    --------
    >>> import ranvier as rv
    >>> a, b = rv.tensor([[3.0, 4.0]]), rv.tensor([[4.0, 3.0]])
    >>> rv.nn.functional.cosine_embedding_loss(a, b, rv.tensor([1]))
    tensor(0.0400)
    """
    how = reduction_from("cosine_embedding_loss", reduction, size_average, reduce)
    if input1.shape != input2.shape or input1.ndim not in (1, 2):
        raise ShapeError(
            "[cosine_embedding_loss] expected two inputs of one shape, (rows, size) or (size,), "
            f"got {input1.shape} and {input2.shape}"
        )
    if target.shape != input1.shape[:-1]:
        raise ShapeError(
            f"[cosine_embedding_loss] target: expected shape {input1.shape[:-1]} for inputs "
            f"{input1.shape}, got {target.shape}"
        )
    tiny = 1e-12  # beside a squared norm, so that no row of zeros is divided by 0
    first = ops.sum(ops.square(input1), -1) + tiny
    second = ops.sum(ops.square(input2), -1) + tiny
    cosine = ops.sum(input1 * input2, -1) / ops.sqrt(first * second)
    same = ops.where(target == 1, 1 - cosine, 0.0)
    return reduced(same + ops.where(target == -1, _at_least_0(cosine - margin), 0.0), how)


def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, margin - t (x1 - x2)): where t is 1, x1 is to be above x2, where it is -1 below.

    Parameters
    ----------
    input1, input2, target : Tensor
        With the same number of axes; shapes broadcast.
    margin : float, default 0
    size_average, reduce, reduction
        As those of `hinge_embedding_loss`.

    Raises
    ------
    ShapeError
        Different numbers of axes.

    Examples
    --------
    >>> import ranvier as rv
    >>> one, two = rv.tensor([1.0]), rv.tensor([2.0])
    >>> rv.nn.functional.margin_ranking_loss(one, two, rv.tensor([1.0]))
    tensor(1.)
    """
    how = reduction_from("margin_ranking_loss", reduction, size_average, reduce)
    if not input1.ndim == input2.ndim == target.ndim:
        raise ShapeError(
            "[margin_ranking_loss] expected tensors with the same number of axes, got "
            f"{input1.shape}, {input2.shape} and {target.shape}"
        )
    return reduced(_at_least_0(margin - target * (input1 - input2)), how)


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, d(anchor, positive) - d(anchor, negative) + margin), d being `pairwise_distance`.

    Parameters
    ----------
    anchor, positive, negative : Tensor, (N, D) or (D,)
    margin : float, default 1
    p, eps : float
        Of the distance.
    swap : bool, default False
        Whether d(positive, negative) counts where it is smaller than d(anchor, negative)
        (Balntas et al., 2016).
    size_average, reduce, reduction
        As those of `hinge_embedding_loss`.

    Examples
    --------
    >>> import ranvier as rv
    >>> a, b = rv.zeros(1, 2), rv.tensor([[3.0, 4.0]])
    >>> rv.nn.functional.triplet_margin_loss(a, b, a)
    tensor(6.0000)
    """
    how = reduction_from("triplet_margin_loss", reduction, size_average, reduce)
    if margin <= 0:
        raise ValueError(f"[triplet_margin_loss] margin: expected more than 0, got {margin}")

    def distance(a: Tensor, b: Tensor) -> Tensor:
        return pairwise_distance(a, b, p, eps)

    return triplet_margin_with_distance_loss(
        anchor, positive, negative, distance_function=distance, margin=margin, swap=swap,
        reduction=how,
    )  # fmt: skip


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """`triplet_margin_loss` with any function of two tensors as the distance.

    Examples
    --------
    >>> import ranvier as rv
    >>> a, b = rv.zeros(1, 2), rv.tensor([[3.0, 4.0]])
    >>> taxi = lambda x, y: (x - y).abs().sum(-1)
    >>> F = rv.nn.functional
    >>> F.triplet_margin_with_distance_loss(a, b, a, distance_function=taxi)
    tensor(8.)
    """
    how = reduction_from("triplet_margin_with_distance_loss", reduction)
    d = pairwise_distance if distance_function is None else distance_function
    near, far = d(anchor, positive), d(anchor, negative)
    if swap:
        far = ops.minimum(far, d(positive, negative))
    return reduced(_at_least_0(near - far + margin), how)


# ---- margins between classes


def _as_rows(where: str, input: Tensor, target: Tensor, labels: bool) -> tuple[Tensor, Tensor]:
    """(C,) as one row; the target has the input's shape, or one label a row."""
    if input.ndim not in (1, 2):
        raise ShapeError(
            f"[{where}] expected input (rows, classes) or (classes,), got {input.shape}"
        )
    wanted = input.shape[:-1] if labels else input.shape
    if target.shape != wanted:
        raise ShapeError(
            f"[{where}] target: expected shape {wanted} for input {input.shape}, got {target.shape}"
        )
    if target.dtype.is_floating_point:
        raise TypeError(
            f"[{where}] target: expected integer labels, got {target.dtype.name}; call .long() on "
            "it"
        )
    if input.ndim == 2:
        return input, target
    return input.unsqueeze(0), target.unsqueeze(0)


@contextmanager
def _labels_named(where: str, labels: Tensor, classes: int) -> Iterator[None]:
    """An error of gather or scatter, told as what it means: labels that are no class."""
    try:
        yield
    except IndexError:
        each = labels.reshape(-1)
        bad = ((each < 0) | (each >= classes)).nonzero().reshape(-1).tolist()
        row = bad[0] * labels.shape[0] // each.shape[0]
        raise IndexError(
            f"[{where}] expected labels from 0 to {classes - 1} for {classes} classes, got "
            f"{each[bad[0]].item()} in row {row}; labels start at 0"
        ) from None


def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The sum over wrong classes i of max(0, margin - x[label] + x[i])^p over the class count.

    Parameters
    ----------
    input : Tensor, (N, C) or (C,)
    target : Tensor, (N,) or ()
        Integer labels.
    p : 1 or 2
    margin : float, default 1
    weight : Tensor, (C,), optional
        The loss of a row is multiplied with that of its label.
    size_average, reduce, reduction
        As those of `hinge_embedding_loss`.

    Raises
    ------
    IndexError
        Labels that are no class; the message names the value and how many classes there are.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.functional.multi_margin_loss(rv.tensor([[0.1, 0.2, 0.4, 0.8]]), rv.tensor([3]))
    tensor(0.3250)
    """
    how = reduction_from("multi_margin_loss", reduction, size_average, reduce)
    if p not in (1, 2):
        raise ValueError(f"[multi_margin_loss] p: expected 1 or 2, got {p!r}")
    rows, labels = _as_rows("multi_margin_loss", input, target, labels=True)
    labels = labels.long()
    with _labels_named("multi_margin_loss", labels, rows.shape[1]):
        right = ops.gather(rows, 1, labels.unsqueeze(1))
    lacking = _at_least_0(margin - right + rows)
    each = lacking if p == 1 else ops.square(lacking)
    if weight is not None:
        each = each * weight[labels].unsqueeze(1)
    wrong = arange(rows.shape[1]) != labels.unsqueeze(1)
    losses = ops.sum(ops.where(wrong, each, 0.0), 1) / rows.shape[1]
    return reduced(losses if input.ndim == 2 else losses[0], how)


def multilabel_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The sum of max(0, 1 - (x[j] - x[i])) over right classes j and wrong ones i, over the count.

    Parameters
    ----------
    input : Tensor, (N, C) or (C,)
    target : Tensor of the same shape, integers
        The right classes of each row, then a -1; what follows it does not count.
    size_average, reduce, reduction
        As those of `hinge_embedding_loss`.

    Raises
    ------
    IndexError
        Labels that are no class; the message names the value and how many classes there are.

    Examples
    --------
    >>> import ranvier as rv
    >>> x = rv.tensor([[0.1, 0.2, 0.4, 0.8]])
    >>> rv.nn.functional.multilabel_margin_loss(x, rv.tensor([[3, 0, -1, 1]]))
    tensor(0.8500)
    """
    how = reduction_from("multilabel_margin_loss", reduction, size_average, reduce)
    rows, classes = _as_rows("multilabel_margin_loss", input, target, labels=False)
    classes = classes.long()
    counts = ops.cumprod((classes >= 0).long(), 1)  # 1 up to the first -1
    labels = classes * counts
    with _labels_named("multilabel_margin_loss", labels, rows.shape[1]):
        right = ops.scatter_add(zeros_like(labels), 1, labels, counts) > 0
    lacking = _at_least_0(1 - ops.gather(rows, 1, labels).unsqueeze(2) + rows.unsqueeze(1))
    pairs = (counts.unsqueeze(2) > 0) & ~right.unsqueeze(1)
    losses = ops.sum(ops.where(pairs, lacking, 0.0), (1, 2)) / rows.shape[1]
    return reduced(losses if input.ndim == 2 else losses[0], how)


def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The mean over classes of -(t log sigmoid(x) + (1 - t) log sigmoid(-x)), then the reduction.

    Parameters
    ----------
    input, target : Tensor, (N, C)
    weight : Tensor, (C,), optional
        Of each class.
    size_average, reduce, reduction
        As those of `hinge_embedding_loss`.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.functional.multilabel_soft_margin_loss(rv.zeros(1, 2), rv.tensor([[1.0, 0.0]]))
    tensor(0.6931)
    """
    how = reduction_from("multilabel_soft_margin_loss", reduction, size_average, reduce)
    each = ops.binary_cross_entropy_with_logits(input, target, "none")
    return reduced(ops.mean(each if weight is None else each * weight, -1), how)
