"""Losses of margins and embeddings as modules; formulas and shapes stand in `nn.functional`."""

from __future__ import annotations

from collections.abc import Callable

from ranvier._C import Tensor
from ranvier.nn import _functional_margins as F
from ranvier.nn.loss import Loss


class _Margin(Loss):
    """A loss with a margin in front of the reduction."""

    def __init__(
        self,
        margin: float,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin


class HingeEmbeddingLoss(_Margin):
    """x where the target is 1, max(0, margin - x) where it is -1; averaged over all elements.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.HingeEmbeddingLoss()(rv.tensor([0.5, 0.25]), rv.tensor([1.0, -1.0]))
    tensor(0.6250)
    """

    def __init__(
        self,
        margin: float = 1.0,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(margin, size_average, reduce, reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Two tensors of one shape; one number, or that shape for 'none'."""
        return F.hinge_embedding_loss(input, target, self.margin, reduction=self.reduction)


class CosineEmbeddingLoss(_Margin):
    """1 - cos where the target is 1, max(0, cos - margin) where it is -1; averaged over rows.

    Examples
    --------
    >>> import ranvier as rv
    >>> a, b = rv.tensor([[3.0, 4.0]]), rv.tensor([[4.0, 3.0]])
    >>> rv.nn.CosineEmbeddingLoss()(a, b, rv.tensor([1]))
    tensor(0.0400)
    """

    def __init__(
        self,
        margin: float = 0.0,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(margin, size_average, reduce, reduction)

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        """(N, D), (N, D) and (N,) of 1 and -1; one number, or (N,) for 'none'."""
        return F.cosine_embedding_loss(
            input1, input2, target, self.margin, reduction=self.reduction
        )


class MarginRankingLoss(_Margin):
    """max(0, margin - t (x1 - x2)), averaged over all elements.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.MarginRankingLoss()(rv.tensor([1.0]), rv.tensor([2.0]), rv.tensor([1.0]))
    tensor(1.)
    """

    def __init__(
        self,
        margin: float = 0.0,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(margin, size_average, reduce, reduction)

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        """Three tensors, the last of 1 and -1; one number, or their shape for 'none'."""
        return F.margin_ranking_loss(input1, input2, target, self.margin, reduction=self.reduction)


class TripletMarginLoss(_Margin):
    """max(0, d(anchor, positive) - d(anchor, negative) + margin), averaged over rows.

    Parameters
    ----------
    margin : float, default 1
    p, eps : float
        Of the distance, which is `pairwise_distance`.
    swap : bool, default False
        Whether d(positive, negative) counts where it is smaller than d(anchor, negative).
    size_average, reduce, reduction
        As those of `Loss`.

    Examples
    --------
    >>> import ranvier as rv
    >>> a, b = rv.zeros(1, 2), rv.tensor([[3.0, 4.0]])
    >>> rv.nn.TripletMarginLoss()(a, b, a)
    tensor(6.0000)
    """

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(margin, size_average, reduce, reduction)
        if margin <= 0:
            raise ValueError(f"[TripletMarginLoss] margin: expected more than 0, got {margin}")
        self.p = p
        self.eps = eps
        self.swap = swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """Three tensors (N, D) or (D,); one number, or (N,) for 'none'."""
        return F.triplet_margin_loss(
            anchor, positive, negative, self.margin, self.p, self.eps, self.swap,
            reduction=self.reduction,
        )  # fmt: skip


class TripletMarginWithDistanceLoss(_Margin):
    """`TripletMarginLoss` with any function of two tensors as the distance.

    Examples
    --------
    >>> import ranvier as rv
    >>> a, b = rv.zeros(1, 2), rv.tensor([[3.0, 4.0]])
    >>> taxi = lambda x, y: (x - y).abs().sum(-1)
    >>> rv.nn.TripletMarginWithDistanceLoss(distance_function=taxi)(a, b, a)
    tensor(8.)
    """

    def __init__(
        self,
        *,
        distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__(margin, reduction=reduction)
        self.distance_function = distance_function
        self.swap = swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """Three tensors that the function takes; one number, or its shape for 'none'."""
        return F.triplet_margin_with_distance_loss(
            anchor, positive, negative, distance_function=self.distance_function,
            margin=self.margin, swap=self.swap, reduction=self.reduction,
        )  # fmt: skip


class SoftMarginLoss(Loss):
    """log(1 + exp(-t x)) of targets 1 and -1, averaged over all elements.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.SoftMarginLoss()(rv.tensor([0.0]), rv.tensor([-1.0]))
    tensor(0.6931)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Two tensors of one shape; one number, or that shape for 'none'."""
        return F.soft_margin_loss(input, target, reduction=self.reduction)


class MultiMarginLoss(_Margin):
    """The sum over wrong classes i of max(0, margin - x[label] + x[i])^p over the class count.

    Parameters
    ----------
    p : 1 or 2
    margin : float, default 1
    weight : Tensor, (C,), optional
        Of each class; a buffer.
    size_average, reduce, reduction
        As those of `Loss`.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.MultiMarginLoss()(rv.tensor([[0.1, 0.2, 0.4, 0.8]]), rv.tensor([3]))
    tensor(0.3250)
    """

    def __init__(
        self,
        p: int = 1,
        margin: float = 1.0,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(margin, size_average, reduce, reduction)
        self.weight: Tensor | None
        self.register_buffer("weight", weight)
        if p not in (1, 2):
            raise ValueError(f"[MultiMarginLoss] p: expected 1 or 2, got {p!r}")
        self.p = p

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """(N, C) and labels (N,); one number, or (N,) for 'none'."""
        return F.multi_margin_loss(
            input, target, self.p, self.margin, self.weight, reduction=self.reduction
        )


class MultiLabelMarginLoss(Loss):
    """The sum of max(0, 1 - (x[j] - x[i])) over right classes j and wrong ones i, over the count.

    Examples
    --------
    >>> import ranvier as rv
    >>> x = rv.tensor([[0.1, 0.2, 0.4, 0.8]])
    >>> rv.nn.MultiLabelMarginLoss()(x, rv.tensor([[3, 0, -1, 1]]))
    tensor(0.8500)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """(N, C) and as many classes, the right ones before a -1; one number, or (N,)."""
        return F.multilabel_margin_loss(input, target, reduction=self.reduction)


class MultiLabelSoftMarginLoss(Loss):
    """Cross-entropy of sigmoid(x) against each of several labels, averaged over classes and rows.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.MultiLabelSoftMarginLoss()(rv.zeros(1, 2), rv.tensor([[1.0, 0.0]]))
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
        """(N, C) and 0 or 1 for each; one number, or (N,) for 'none'."""
        return F.multilabel_soft_margin_loss(input, target, self.weight, reduction=self.reduction)
