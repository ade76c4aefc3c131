"""Distances of two tensors as modules; formulas and shapes stand in `nn.functional`."""

from __future__ import annotations

from ranvier._C import Tensor
from ranvier.nn import _functional_margins as F
from ranvier.nn.module import Module


class CosineSimilarity(Module):
    """The cosine of the angle between two tensors along `dim`.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.CosineSimilarity()(rv.tensor([[3.0, 4.0]]), rv.tensor([[4.0, 3.0]]))
    tensor([0.9600])
    """

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__()
        self.dim = dim
        self.eps = eps

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Shapes that broadcast; their shape without the axis."""
        return F.cosine_similarity(x1, x2, self.dim, self.eps)


class PairwiseDistance(Module):
    """The p-norm of x1 - x2 + eps along the last axis.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.PairwiseDistance()(rv.tensor([[3.0, 4.0]]), rv.zeros(1, 2))
    tensor([5.0000])
    """

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__()
        self.norm = p
        self.eps = eps
        self.keepdim = keepdim

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Shapes (..., D) that broadcast; (...) or (..., 1)."""
        return F.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)
