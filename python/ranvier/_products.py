"""einsum and tensordot as PyTorch spells their arguments; the contracting is done by the core.

Only arguments are sorted here: axes and letters, no numbers.
"""

from __future__ import annotations

import operator
from typing import Any

from ranvier import _C
from ranvier._C import ShapeError, Tensor

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def _subscripts(labels: Any) -> str:
    """The letters for a list of numbers and `...`."""
    if not isinstance(labels, (list, tuple)):
        raise TypeError(f"[einsum] expected a list of axes after each operand, got {labels!r:.60}")
    letters = ""
    for label in labels:
        if label is Ellipsis:
            letters += "..."
            continue
        try:
            number = operator.index(label)
        except TypeError:
            raise TypeError(f"[einsum] expected whole numbers as axes, got {label!r:.60}") from None
        if not 0 <= number < len(_LETTERS):
            raise ShapeError(f"[einsum] expected axes from 0 to {len(_LETTERS) - 1}, got {number}")
        letters += _LETTERS[number]
    return letters


def einsum(*args: Any) -> Tensor:
    """Sums of products in Einstein's notation.

    `einsum(equation, *operands)`, or `einsum(a, [0, 1], b, [1, 2], [0, 2])` with a list of numbers
    for the axes of each operand and, last, for those of the result.

    Parameters
    ----------
    equation : str
        Letters for the axes of each operand, commas between, and after '->' those of the result:
        'ij,jk->ik'. Equal letters are one index; what the result lacks is summed over. Without
        '->' the result has the letters that are there once, in alphabetical order. '...' stands
        for further axes, which broadcast; spaces mean nothing.
    *operands : Tensor
        One by one or as one list. Of one dtype, unless no index is summed over.

    Returns
    -------
    Tensor
        Three operands and more are multiplied pair by pair, always the pair whose product takes
        the least memory.

    Raises
    ------
    TypeError, ValueError
        What is no equation, no operand at all.
    ShapeError
        An equation that does not fit the operands; it names the equation, operand and sizes.

    Examples
    --------
    >>> import ranvier as rv
    >>> a, b = rv.tensor([[1.0, 2.0], [3.0, 4.0]]), rv.tensor([[0.0, 1.0], [1.0, 0.0]])
    >>> rv.einsum("ij,jk->ik", a, b)
    tensor([[2., 1.],
            [4., 3.]])
    >>> rv.einsum("ii", a), rv.einsum("ij->j", a), rv.einsum(a, [0, 0], [0])
    (tensor(5.), tensor([4., 6.]), tensor([1., 4.]))
    """
    if len(args) < 2:
        raise ValueError("[einsum] expected an equation and at least one operand")
    if not isinstance(args[0], Tensor):
        return _C.ops.einsum(args[0], *args[1:])
    explicit = len(args) % 2 == 1
    pairs = args[:-1] if explicit else args
    equation = ",".join(_subscripts(labels) for labels in pairs[1::2])
    if explicit:
        equation += "->" + _subscripts(args[-1])
    return _C.ops.einsum(equation, list(pairs[::2]))


def _axes(dims: Any) -> list[int]:
    """One side of tensordot's `dims`."""
    if isinstance(dims, Tensor):
        dims = dims.tolist()
    try:
        return [operator.index(n) for n in (dims if isinstance(dims, (list, tuple)) else [dims])]
    except TypeError:
        raise TypeError(f"[tensordot] dims: expected whole numbers, got {dims!r:.60}") from None


def tensordot(a: Tensor, b: Tensor, dims: Any = 2, out: Tensor | None = None) -> Tensor:
    """Sums of products over pairs of axes, one of each tensor.

    Parameters
    ----------
    a, b : Tensor
        Of one dtype.
    dims : int or pair of sequences of int, default 2
        So many last axes of `a` with as many first axes of `b`; or the axes of each.
    out : Tensor, optional
        Takes the result.

    Returns
    -------
    Tensor
        The axes of `a` that are left, then those of `b`.

    Raises
    ------
    ShapeError
        Axes of different sizes, or more of them than there are.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.tensordot(rv.ones(2, 3), rv.ones(3, 4), dims=1).shape
    (2, 4)
    >>> rv.tensordot(rv.ones(2, 3), rv.ones(4, 2, 3), dims=([0, 1], [1, 2]))
    tensor([6., 6., 6., 6.])
    """
    if isinstance(dims, Tensor) and dims.numel() == 1:
        dims = int(dims.item())
    if isinstance(dims, (list, tuple, Tensor)):
        if len(dims) != 2:
            raise ShapeError(
                f"[tensordot] dims: expected a pair of lists of axes, got {dims!r:.60}"
            )
        first, second = _axes(dims[0]), _axes(dims[1])
    else:
        (count,) = _axes(dims)
        if not 0 <= count <= min(a.ndim, b.ndim):
            raise ShapeError(
                f"[tensordot] dims: expected a number from 0 to that of axes, got {count} for "
                f"shapes {a.shape} and {b.shape}"
            )
        first, second = list(range(a.ndim - count, a.ndim)), list(range(count))
    return _C.ops.tensordot(a, b, first, second, **({} if out is None else {"out": out}))
