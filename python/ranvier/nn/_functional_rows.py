"""Labels as rows of ones and zeros."""

from __future__ import annotations

from ranvier import _C
from ranvier._arguments import tensor_in
from ranvier._C import Tensor
from ranvier._creation import arange


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """Labels as rows with a single 1.

    Parameters
    ----------
    tensor : Tensor, (...)
        Integer labels, 0 <= label < num_classes.
    num_classes : int, default -1
        -1: one more than the largest label.

    Returns
    -------
    Tensor, (..., num_classes), int64

    Raises
    ------
    TypeError
        Labels that are not integers.
    ValueError
        Labels out of range, or none at all and no num_classes.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.functional.one_hot(rv.tensor([2, 0]))
    tensor([[0, 0, 1],
            [1, 0, 0]])
    """
    if tensor_in("one_hot", tensor, "tensor").dtype.is_floating_point or tensor.dtype is _C.bool_:
        raise TypeError(f"[one_hot] expected integer labels, got {tensor.dtype.name}")
    labels = tensor.numpy()
    if num_classes == -1:
        if labels.size == 0:
            raise ValueError("[one_hot] num_classes: expected a number with no labels, got -1")
        num_classes = int(labels.max()) + 1
    if labels.size and not 0 <= labels.min() <= labels.max() < num_classes:
        bad = labels.min() if labels.min() < 0 else labels.max()
        raise ValueError(f"[one_hot] expected labels in [0, {num_classes - 1}], got {bad}")
    hot: Tensor = tensor.unsqueeze(-1) == arange(num_classes)
    return hot.long()
