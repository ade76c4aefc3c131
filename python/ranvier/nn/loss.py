"""Losses as modules: each holds its settings and calls its function in `nn.functional`.

Formulas and the shapes of inputs stand there. Losses of margins are in `loss_margin.py`.
"""

from __future__ import annotations

from ranvier._C import Tensor
from ranvier.nn import _functional_losses as F
from ranvier.nn._reduction import REDUCTIONS, reduction_from
from ranvier.nn.module import Module


class Loss(Module):
    """Holds the reduction: 'mean', 'sum' or 'none' (one value for each element or row).

    Parameters
    ----------
    size_average, reduce : bool, optional
        The old words for it.
    reduction : "mean", "sum" or "none"

    Raises
    ------
    ValueError
        An unknown reduction; the message names near misses.
    TypeError
        A string where a flag belongs.
    """

    known: tuple[str, ...] = REDUCTIONS

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        where = type(self).__name__
        self.reduction = reduction_from(where, reduction, size_average, reduce, self.known)


class _Applied(Loss):
    """A loss that applies softmax or sigmoid itself: warns once where the input has it already."""

    applied: str  # the op
    instead: str  # the loss of its result

    def __init__(
        self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean"
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self._checked = False  # one of _beside

    def _warn_if_applied(self, input: Tensor) -> None:
        vars(self)["_checked"] = (
            getattr(input, "grad_fn", None) is not None
        )  # else nothing to look at
        F.warn_if_applied(type(self).__name__, input, self.applied, self.instead)


class MSELoss(Loss):
    """(x - t)^2, averaged over all elements; arguments as those of `Loss`.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.MSELoss()(rv.tensor([0.0, 2.0]), rv.tensor([0.0, 0.0]))
    tensor(2.)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Two tensors of one shape; one number, or that shape for 'none'."""
        return F.mse_loss(input, target, reduction=self.reduction)


class L1Loss(Loss):
    """|x - t|, averaged over all elements; arguments as those of `Loss`.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.L1Loss()(rv.tensor([0.0, 2.0]), rv.tensor([1.0, 0.0]))
    tensor(1.5000)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Two tensors of one shape; one number, or that shape for 'none'."""
        return F.l1_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(Loss):
    """(x - t)^2 / (2 beta) where |x - t| < beta, else |x - t| - beta / 2; averaged.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.SmoothL1Loss()(rv.tensor([0.5, 3.0]), rv.tensor([0.0, 0.0]))
    tensor(1.3125)
    """

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        beta: float = 1.0,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.beta = beta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Two tensors of one shape; one number, or that shape for 'none'."""
        return F.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(Loss):
    """(x - t)^2 / 2 where |x - t| <= delta, else delta (|x - t| - delta / 2); averaged.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.HuberLoss(delta=2.0)(rv.tensor([0.5, 3.0]), rv.tensor([0.0, 0.0]))
    tensor(2.0625)
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        self.delta = delta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Two tensors of one shape; one number, or that shape for 'none'."""
        return F.huber_loss(input, target, self.reduction, self.delta)


class HalfSquaredError(Loss):
    """Half the sum of (x - t)^2 over the outputs, averaged over rows: the textbook's.

    Its gradient with respect to the input is x - t, with no 2 in it.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.HalfSquaredError()(rv.tensor([[1.0, 3.0]]), rv.tensor([[0.0, 0.0]]))
    tensor(5.)
    """

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Two tensors of one shape (rows, outputs); one number, or (rows,) for 'none'."""
        return F.half_squared_error(input, target, self.reduction)


class CrossEntropyLoss(_Applied):
    """-log softmax(input)[label], averaged over rows. Takes scores, not probabilities.

    Where the result of a softmax comes in, it says so once.

    Parameters
    ----------
    weight : Tensor, (classes,), optional
        Of each class; a buffer.
    size_average, reduce, reduction
        As those of `Loss`. A mean is over the weights of the labels.
    ignore_index : int, default -100
        A label whose rows count for nothing.
    label_smoothing : float, default 0
        The share of the target that goes to all classes alike, from 0 to 1.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.CrossEntropyLoss()(rv.tensor([[0.0, 0.0]]), rv.tensor([1]))
    tensor(0.6931)
    """

    applied = "softmax"
    instead = "NLLLoss on log_softmax"

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.weight: Tensor | None
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Scores (N, C), (C,) or (N, C, d1, ...) and labels, or probabilities of that shape."""
        if not self._checked:
            self._warn_if_applied(input)
        return F.cross_entropy_of(
            input, target, self.weight, self.ignore_index, self.label_smoothing, self.reduction
        )


class NLLLoss(Loss):
    """-x[label], averaged over rows; the input holds logarithms of probabilities.

    Parameters
    ----------
    weight : Tensor, (classes,), optional
        Of each class; a buffer.
    size_average, reduce, reduction
        As those of `Loss`. A mean is over the weights of the labels.
    ignore_index : int, default -100
        A label whose rows count for nothing.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.NLLLoss()(rv.tensor([[-1.0, -0.5]]), rv.tensor([1]))
    tensor(0.5000)
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.weight: Tensor | None
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """(N, C), (C,) or (N, C, d1, ...) and labels."""
        return F.nll_loss(
            input,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
        )


class BCELoss(Loss):
    """-(t log p + (1 - t) log(1 - p)), averaged over all elements; finite at p = 0 and 1.

    Parameters
    ----------
    weight : Tensor, optional
        What losses are multiplied with; a buffer.
    size_average, reduce, reduction
        As those of `Loss`.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.BCELoss()(rv.tensor([0.5]), rv.tensor([1.0]))
    tensor(0.6931)
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.weight: Tensor | None
        self.register_buffer("weight", weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Probabilities and targets of one shape; one number, or that shape for 'none'."""
        return F.binary_cross_entropy(input, target, self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(_Applied):
    """`BCELoss` of sigmoid(x), without its overflow. Takes scores, not probabilities.

    Where the result of a sigmoid comes in, it says so once.

    Parameters
    ----------
    weight : Tensor, optional
        What losses are multiplied with; a buffer.
    size_average, reduce, reduction
        As those of `Loss`.
    pos_weight : Tensor, optional
        What the term of the positive answer is multiplied with; a buffer.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.BCEWithLogitsLoss()(rv.tensor([0.0]), rv.tensor([1.0]))
    tensor(0.6931)
    """

    applied = "sigmoid"
    instead = "BCELoss"

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.weight: Tensor | None
        self.pos_weight: Tensor | None
        self.register_buffer("weight", weight)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Scores and targets of one shape; one number, or that shape for 'none'."""
        if not self._checked:
            self._warn_if_applied(input)
        return F.binary_cross_entropy_of_logits(
            input, target, self.weight, self.reduction, self.pos_weight
        )


class KLDivLoss(Loss):
    """t (log t - x), averaged over all elements; the input holds logarithms of probabilities.

    Parameters
    ----------
    size_average, reduce, reduction
        As those of `Loss`, and "batchmean": the sum over rows, which is the divergence.
    log_target : bool, default False
        Whether the target holds logarithms too.

    Examples
    --------
    >>> import ranvier as rv
    >>> p, q = rv.tensor([[0.5, 0.5]]), rv.tensor([[0.25, 0.75]])
    >>> rv.nn.KLDivLoss(reduction="batchmean")(q.log(), p)
    tensor(0.1438)
    """

    known = (*REDUCTIONS, "batchmean")

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        log_target: bool = False,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_target = log_target

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Two tensors of one shape; one number, or that shape for 'none'."""
        return F.kl_div(input, target, reduction=self.reduction, log_target=self.log_target)


class PoissonNLLLoss(Loss):
    """exp(x) - t x of rates' logarithms x and counts t, averaged over all elements.

    Parameters
    ----------
    log_input : bool, default True
        Whether the input is the rate's logarithm; else the rate itself.
    full : bool, default False
        Whether Stirling's approximation of log(t!) is added.
    size_average, reduce, reduction
        As those of `Loss`.
    eps : float, default 1e-8
        Keeps the logarithm of a rate finite.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.PoissonNLLLoss()(rv.tensor([0.0]), rv.tensor([2.0]))
    tensor(1.)
    """

    def __init__(
        self,
        log_input: bool = True,
        full: bool = False,
        size_average: bool | None = None,
        eps: float = 1e-8,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_input = log_input
        self.full = full
        self.eps = eps

    def forward(self, log_input: Tensor, target: Tensor) -> Tensor:
        """Two tensors of one shape; one number, or that shape for 'none'."""
        return F.poisson_nll_loss(
            log_input,
            target,
            self.log_input,
            self.full,
            eps=self.eps,
            reduction=self.reduction,
        )


class GaussianNLLLoss(Loss):
    """(log v + (x - t)^2 / v) / 2 of means x, values t and variances v, averaged.

    Parameters
    ----------
    full : bool, default False
        Whether the constant log(2 pi) / 2 is added.
    eps : float, default 1e-6
        Variances below it count as it.
    reduction : "mean", "sum" or "none"

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.GaussianNLLLoss()(rv.tensor([0.0]), rv.tensor([2.0]), rv.tensor([1.0]))
    tensor(2.)
    """

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.full = full
        self.eps = eps

    def forward(self, input: Tensor, target: Tensor, var: Tensor | float) -> Tensor:
        """Means and values of one shape, and variances; one number, or that shape for 'none'."""
        return F.gaussian_nll_loss(input, target, var, self.full, self.eps, self.reduction)
