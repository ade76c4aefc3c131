"""Losses as modules: each calls its op with the reduction it was made with."""

from __future__ import annotations

from ranvier._C import Tensor, ops
from ranvier.nn.module import Module

REDUCTIONS = ("mean", "sum", "none")


class _Loss(Module):
    """Holds the reduction: 'mean', 'sum' or 'none' (one value for each element or row)."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        if reduction not in REDUCTIONS:
            raise ValueError(
                f"[{type(self).__name__}] reduction: expected 'mean', 'sum' or 'none', "
                f"got {reduction!r}"
            )
        self.reduction = reduction


class MSELoss(_Loss):
    """(input - target)^2, averaged over all elements.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.MSELoss()(rv.tensor([0.0, 2.0]), rv.tensor([0.0, 0.0]))
    tensor(2.)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Two tensors of one shape; one number, or that shape for 'none'."""
        return ops.mse_loss(input, target, self.reduction)


class HalfSquaredError(_Loss):
    """Half the sum of (input - target)^2 over the outputs, averaged over rows: the textbook's.

    Its gradient with respect to the input is input - target, with no 2 in it.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.HalfSquaredError()(rv.tensor([[1.0, 3.0]]), rv.tensor([[0.0, 0.0]]))
    tensor(5.)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Two tensors of one shape (rows, outputs); one number, or (rows,) for 'none'."""
        return ops.half_squared_error(input, target, self.reduction)


class CrossEntropyLoss(_Loss):
    """-log softmax(input)[label], averaged over rows. Takes scores, not probabilities.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.CrossEntropyLoss()(rv.tensor([[0.0, 0.0]]), rv.tensor([1]))
    tensor(0.6931)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Scores (rows, classes) and integer labels (rows,); one number, or (rows,)."""
        return ops.cross_entropy(input, target, self.reduction)


class BCELoss(_Loss):
    """-(t log p + (1 - t) log(1 - p)), averaged over all elements; finite at p = 0 and 1.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.BCELoss()(rv.tensor([0.5]), rv.tensor([1.0]))
    tensor(0.6931)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Probabilities and targets of one shape; one number, or that shape for 'none'."""
        return ops.binary_cross_entropy(input, target, self.reduction)
