"""Losses as functions with PyTorch's arguments: of outputs from values, chances and classes.

The arithmetic is in fused ops of the core; here are the old arguments, weights that few use, and
which op a target asks for. Losses of embeddings and margins are in `_functional_margins.py`.
"""

from __future__ import annotations

import math

import numpy as np

from ranvier._arguments import number_in, tensor_in
from ranvier._C import ShapeError, Tensor, made_by, ops
from ranvier._creation import ones_like
from ranvier.nn._reduction import REDUCTIONS, reduction_from


def reduced(each: Tensor, reduction: str) -> Tensor:
    """What a reduction makes of the losses of elements or rows."""
    if reduction == "none":
        return each
    return ops.mean(each) if reduction == "mean" else ops.sum(each)


def _times(where: str, each: Tensor, weight: Tensor) -> Tensor:
    """Losses with a weight each."""
    if weight.shape != each.shape:
        raise ShapeError(
            f"[{where}] weight: expected the input's shape {each.shape}, got {weight.shape}"
        )
    return each * weight


def _weighted(where: str, each: Tensor, weight: Tensor, reduction: str) -> Tensor:
    """Losses with a weight each; their mean is over the weights."""
    if reduction == "mean":
        return ops.sum(_times(where, each, weight)) / ops.sum(weight)
    return reduced(_times(where, each, weight), reduction)


def warn_if_applied(where: str, input: Tensor, op: str, instead: str) -> None:
    """A warning where the input of a loss went through what the loss applies itself."""
    if not made_by(input, op):
        return
    from ranvier.training.errors import warn  # is made of this package

    warn(
        f"[{where}] expected scores, got the result of {op}, which this loss applies itself; "
        f"leave it out, or use {instead}"
    )


def _check_shapes(where: str, input: Tensor, target: Tensor) -> None:
    """A ShapeError where the target would spread the input to more values than it has."""
    given = (tensor_in(where, input), tensor_in(where, target, "target"))
    shapes = [tuple(tensor.shape) for tensor in given]
    try:
        if shapes[0] == shapes[1] or np.broadcast_shapes(*shapes) == shapes[0]:
            return
    except ValueError:  # of shapes that do not broadcast: told below
        pass
    column = shapes[0] == (*shapes[1], 1)
    raise ShapeError(
        f"[{where}] expected a target of the input's shape {shapes[0]}, got {shapes[1]}; "
        f"{'use target.unsqueeze(1)' if column else 'reshape one of them'}, as broadcasting would "
        "compare every row with every other"
    )


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """(x - t)^2, then the reduction.

    Parameters
    ----------
    input, target : Tensor, any shape
        Of one shape: (N,) and (N, 1) would be compared every row with every other.
    size_average, reduce : bool, optional
        The old words for `reduction`.
    reduction : "mean", "sum" or "none"
    weight : Tensor of the same shape, optional
        A mean is then over the weights.

    Returns
    -------
    Tensor, () or the input's shape for "none"

    Raises
    ------
    ShapeError
        Two shapes; for (N, 1) and (N,) it names the `unsqueeze`.
    ValueError
        An unknown reduction.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.functional.mse_loss(rv.tensor([0.0, 2.0]), rv.tensor([0.0, 0.0]))
    tensor(2.)
    """
    how = reduction_from("mse_loss", reduction, size_average, reduce)
    if weight is None:
        return ops.mse_loss(input, target, how)
    return _weighted("mse_loss", ops.mse_loss(input, target, "none"), weight, how)


def half_squared_error(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """Half the sum of (x - t)^2 over the outputs, then the reduction over rows: the textbook's.

    Parameters
    ----------
    input, target : Tensor, (rows, outputs, ...)
        Of one shape.
    reduction : "mean", "sum" or "none"

    Returns
    -------
    Tensor, () or (rows,) for "none"

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.functional.half_squared_error(rv.tensor([[1.0, 3.0]]), rv.tensor([[0.0, 0.0]]))
    tensor(5.)
    """
    return ops.half_squared_error(input, target, reduction_from("half_squared_error", reduction))


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """|x - t|, then the reduction; arguments as those of `mse_loss`.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.functional.l1_loss(rv.tensor([0.0, 2.0]), rv.tensor([1.0, 0.0]))
    tensor(1.5000)
    """
    how = reduction_from("l1_loss", reduction, size_average, reduce)
    if weight is None:
        return ops.l1_loss(input, target, how)
    return _weighted("l1_loss", ops.l1_loss(input, target, "none"), weight, how)


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """(x - t)^2 / (2 beta) where |x - t| < beta, else |x - t| - beta / 2 (Girshick, 2015, eq. 3).

    Other arguments as those of `mse_loss`.

    Raises
    ------
    ValueError
        beta below 0.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.functional.smooth_l1_loss(rv.tensor([0.5, 3.0]), rv.tensor([0.0, 0.0]))
    tensor(1.3125)
    """
    how = reduction_from("smooth_l1_loss", reduction, size_average, reduce)
    if beta < 0:
        raise ValueError(f"[smooth_l1_loss] beta: expected 0 or more, got {beta}")
    if beta == 0:
        return ops.l1_loss(input, target, how)
    return ops.smooth_l1_loss(input, target, beta, how)


def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    """(x - t)^2 / 2 where |x - t| <= delta, else delta (|x - t| - delta / 2) (Huber, 1964).

    Other arguments as those of `mse_loss`, but a mean of weighted losses is over their number.

    Raises
    ------
    ValueError
        delta of 0 or less.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.functional.huber_loss(rv.tensor([0.5, 3.0]), rv.tensor([0.0, 0.0]), delta=2.0)
    tensor(2.0625)
    """
    how = reduction_from("huber_loss", reduction)
    if not delta > 0:
        raise ValueError(f"[huber_loss] delta: expected a number above 0, got {delta}")
    if weight is None:
        return ops.huber_loss(input, target, delta, how)
    return reduced(_times("huber_loss", ops.huber_loss(input, target, delta, "none"), weight), how)


# ---- classes


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """-log softmax(x)[label], or -sum(p log softmax(x)), then the reduction over rows.

    Parameters
    ----------
    input : Tensor, (N, C), (C,) or (N, C, d1, ...)
        Scores, not probabilities: the softmax is part of the loss.
    target : Tensor
        Integer labels from 0 to C - 1, (N,), () or (N, d1, ...), of any integer dtype; or
        probabilities in the input's shape.
    weight : Tensor, (C,), optional
        Of each class. A mean over labels is then over the weights of the labels.
    ignore_index : int, default -100
        A label whose rows count for nothing.
    reduction : "mean", "sum" or "none"
    size_average, reduce : bool, optional
        The old words for it.
    label_smoothing : float, default 0
        The share of the target that goes to all classes alike, from 0 to 1 (Szegedy et al.,
        2016, section 7).

    Returns
    -------
    Tensor, () or the shape of the labels for "none"

    Raises
    ------
    IndexError
        Labels that are no class; the message names the value and how many classes there are.
    ShapeError, TypeError, ValueError
        Shapes, dtypes or settings that do not fit.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.functional.cross_entropy(rv.tensor([[0.0, 0.0]]), rv.tensor([1]))
    tensor(0.6931)
    """
    how = reduction_from("cross_entropy", reduction, size_average, reduce)
    warn_if_applied("cross_entropy", input, "softmax", "nll_loss of log_softmax")
    return cross_entropy_of(input, target, weight, ignore_index, label_smoothing, how)


def cross_entropy_of(
    input: Tensor, target: Tensor, weight: Tensor | None, ignored: int, smoothing: float, how: str
) -> Tensor:
    """`cross_entropy` by the op that the target asks for."""
    target = tensor_in("cross_entropy", target, "target")
    if target.dtype.is_floating_point and target.shape == input.shape:
        return ops.soft_cross_entropy(input, target, weight, smoothing, how)
    return ops.cross_entropy(input, target, weight, ignored, smoothing, how)


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """-x[label], then the reduction over rows; the input holds logarithms of probabilities.

    Arguments as those of `cross_entropy`, which is this loss of `log_softmax`.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.functional.nll_loss(rv.tensor([[-1.0, -0.5]]), rv.tensor([1]))
    tensor(0.5000)
    """
    how = reduction_from("nll_loss", reduction, size_average, reduce)
    return ops.nll_loss(input, target, weight, ignore_index, how)


# ---- chances


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """-(t log p + (1 - t) log(1 - p)), then the reduction; logarithms stop at -100.

    Parameters
    ----------
    input : Tensor, any shape
        Probabilities from 0 to 1, as sigmoid gives them.
    target : Tensor of the same shape
    weight : Tensor, optional
        Broadcasts to the losses, which it is multiplied with; a mean is over all elements.
    size_average, reduce, reduction
        As those of `mse_loss`.

    Raises
    ------
    ValueError
        An input below 0 or above 1, or an unknown reduction.
    ShapeError
        Two shapes; for (N, 1) and (N,) it names the `unsqueeze`.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.functional.binary_cross_entropy(rv.tensor([0.5]), rv.tensor([1.0]))
    tensor(0.6931)
    """
    how = reduction_from("binary_cross_entropy", reduction, size_average, reduce)
    if weight is None:
        return ops.binary_cross_entropy(input, target, how)
    return reduced(ops.binary_cross_entropy(input, target, "none") * weight, how)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """`binary_cross_entropy` of sigmoid(x), without its overflow.

    Parameters
    ----------
    input : Tensor, any shape
        Scores, not probabilities: the sigmoid is part of the loss.
    target : Tensor of the same shape
    weight : Tensor, optional
        Broadcasts to the losses, which it is multiplied with; a mean is over all elements.
    size_average, reduce, reduction
        As those of `mse_loss`.
    pos_weight : Tensor, optional
        What the term of the positive answer, t log sigmoid(x), is multiplied with; broadcasts.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.functional.binary_cross_entropy_with_logits(rv.tensor([0.0]), rv.tensor([1.0]))
    tensor(0.6931)
    """
    where = "binary_cross_entropy_with_logits"
    how = reduction_from(where, reduction, size_average, reduce)
    warn_if_applied(where, input, "sigmoid", "binary_cross_entropy")
    return binary_cross_entropy_of_logits(input, target, weight, how, pos_weight)


def binary_cross_entropy_of_logits(
    input: Tensor, target: Tensor, weight: Tensor | None, how: str, pos_weight: Tensor | None
) -> Tensor:
    """`binary_cross_entropy_with_logits` by its op, with the weights that few use."""
    if weight is None and pos_weight is None:
        return ops.binary_cross_entropy_with_logits(input, target, how)
    each = ops.binary_cross_entropy_with_logits(input, target, "none")
    if pos_weight is not None:
        each = each - (pos_weight - 1) * target * ops.logsigmoid(input)
    return reduced(each if weight is None else each * weight, how)


def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """t (log t - x), then the reduction; the input holds logarithms of probabilities.

    Parameters
    ----------
    input, target : Tensor, any shape
        Of one shape.
    reduction : "mean", "sum", "none" or "batchmean"
        "batchmean", the sum over rows, is the Kullback-Leibler divergence; "mean" divides by the
        outputs as well.
    size_average, reduce : bool, optional
        The old words for it.
    log_target : bool, default False
        Whether the target holds logarithms too.

    Examples
    --------
    >>> import ranvier as rv
    >>> p, q = rv.tensor([[0.5, 0.5]]), rv.tensor([[0.25, 0.75]])
    >>> rv.nn.functional.kl_div(q.log(), p, reduction="batchmean")
    tensor(0.1438)
    """
    how = reduction_from("kl_div", reduction, size_average, reduce, (*REDUCTIONS, "batchmean"))
    f = ops.kl_div_log_target if log_target else ops.kl_div
    if how != "batchmean":
        return f(input, target, how)
    total = f(input, target, "sum")
    return total / input.shape[0] if input.ndim > 0 else total


# ---- counts and Gaussians


def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """exp(x) - t x: the negative logarithm of a Poisson distribution's chance for a count t.

    Parameters
    ----------
    input, target : Tensor, any shape
        Of one shape; a target that broadcasts to the input's counts for each value.
    log_input : bool, default True
        Whether the input is the rate's logarithm; else the rate itself, and the loss
        x - t log(x + eps).
    full : bool, default False
        Whether Stirling's t log t - t + log(2 pi t) / 2 is added where t > 1.
    eps : float, default 1e-8
        Keeps the logarithm of a rate finite.
    size_average, reduce, reduction
        As those of `mse_loss`.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.functional.poisson_nll_loss(rv.tensor([0.0]), rv.tensor([2.0]))
    tensor(1.)
    """
    how = reduction_from("poisson_nll_loss", reduction, size_average, reduce)
    _check_shapes("poisson_nll_loss", input, target)
    if log_input:
        each = ops.exp(input) - target * input
    else:
        each = input - target * ops.log(input + eps)
    if full:
        # log(1) = 0 stands in where nothing is added, so that no NaN comes near a gradient.
        count = ops.where(target > 1, target, 1.0)
        stirling = count * ops.log(count) - count + 0.5 * ops.log(2 * math.pi * count)
        each = each + ops.where(target > 1, stirling, 0.0)
    return reduced(each, how)


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """(log v + (x - t)^2 / v) / 2: the negative logarithm of a Gaussian's density (Nix, 1994).

    Parameters
    ----------
    input, target : Tensor, (N, ..., D)
        Means and values, of one shape.
    var : Tensor or float
        Variances, 0 or more: of the input's shape, without its last axis, or with one axis of
        size 1. Those below eps count as eps.
    full : bool, default False
        Whether the constant log(2 pi) / 2 is added.
    eps : float, default 1e-6
    reduction : "mean", "sum" or "none"

    Raises
    ------
    ValueError
        Negative variances, or a shape of them that does not fit.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.functional.gaussian_nll_loss(rv.tensor([0.0]), rv.tensor([2.0]), rv.tensor([1.0]))
    tensor(2.)
    """
    how = reduction_from("gaussian_nll_loss", reduction)
    _check_shapes("gaussian_nll_loss", input, target)
    variance = _variance(input, var)
    # Clamped in value; the gradient goes on as if it were not.
    held = variance.detach()
    variance = variance + (ops.clamp(held, eps) - held)
    each = 0.5 * (ops.log(variance) + ops.square(input - target) / variance)
    return reduced(each + 0.5 * math.log(2 * math.pi) if full else each, how)


def _variance(input: Tensor, var: Tensor | float) -> Tensor:
    """Variances in a shape that broadcasts to the input's along one axis at most."""
    if not isinstance(var, Tensor):
        var = ones_like(input) * number_in("gaussian_nll_loss", var, "var")
    if bool((var < 0).any()):
        raise ValueError("[gaussian_nll_loss] var: expected variances of 0 or more, got negative")
    if var.shape == input.shape:
        return var
    if var.shape == input.shape[:-1]:
        return var.unsqueeze(-1)
    apart = [b for a, b in zip(input.shape, var.shape, strict=False) if a != b]
    if input.ndim == var.ndim and apart == [1]:
        return var
    raise ShapeError(
        f"[gaussian_nll_loss] var: expected shape {input.shape}, {input.shape[:-1]} or one with a "
        f"single axis of size 1, got {var.shape}"
    )
