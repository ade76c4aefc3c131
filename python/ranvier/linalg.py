"""PyTorch's `linalg`, as far as it is there: the norm of vectors. No decompositions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ranvier._arguments import number_in
from ranvier._C import Tensor
from ranvier._reductions import norm as _norm

__all__ = ["vector_norm"]


def vector_norm(
    x: Tensor,
    ord: float = 2,
    dim: int | Sequence[int] | None = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    out: Tensor | None = None,
) -> Tensor:
    """Norm of the elements over the given axes, or over all, taken as one vector.

    Parameters
    ----------
    x : Tensor
        Floating.
    ord : float, default 2
        Any number, with inf, -inf and 0.
    dim : int or sequence of int, optional
    keepdim : bool, default False
    dtype : dtype, optional
        What the input is converted to first.
    out : Tensor, optional
        Where the result goes.

    Returns
    -------
    Tensor

    Raises
    ------
    TypeError
        For integers.
    IndexError
        For an axis that is not there; for no elements where ord is negative or inf.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.linalg.vector_norm(rv.tensor([[3.0, 4.0], [6.0, 8.0]]), dim=1)
    tensor([ 5., 10.])
    """
    return _norm(x, number_in("vector_norm", ord, "ord"), dim, keepdim, out, dtype)
