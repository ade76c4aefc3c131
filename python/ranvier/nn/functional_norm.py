"""Dropout, normalisation and bilinear forms as functions; `functional` shows them under F.

They find the generator, check what only Python knows, and call ops of the core. Nothing here
computes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from ranvier._arguments import tensor_in
from ranvier._C import ShapeError, Tensor, ops
from ranvier._ops import group_norm, layer_norm, linear, rms_norm
from ranvier._random import state_of

__all__ = [
    "alpha_dropout", "batch_norm", "bilinear", "dropout", "group_norm", "keyed_rows", "layer_norm",
    "rms_norm",
]  # fmt: skip


# --- dropout --------------------------------------------------------------------------------------


class _Keyed(threading.local):
    """Where the rows of the running step stand, and how many calls have drawn in it."""

    run: Tensor | None = None
    calls = 0


_keyed = _Keyed()


class keyed_rows:  # noqa: N801  # used as a function is
    """Dropout inside draws by (seed, step, call, row of the whole batch, column).

    A batch in parts then drops what the whole batch would, and the default generator stays where
    it is. A training loop puts one forward into it.

    Parameters
    ----------
    run : Tensor, int64 (3,)
        Seed, step, and the number of the first row in the whole batch. Recorded steps read it
        anew at every replay.

    Examples
    --------
    >>> import ranvier as rv
    >>> from ranvier.nn.functional_norm import keyed_rows
    >>> x = rv.ones(4, 3)
    >>> with keyed_rows(rv.tensor([7, 0, 0])):
    ...     whole = rv.nn.functional.dropout(x)
    >>> with keyed_rows(rv.tensor([7, 0, 2])):
    ...     rest = rv.nn.functional.dropout(x[2:])
    >>> rv.equal(whole[2:], rest)
    True
    """

    def __init__(self, run: Tensor) -> None:
        self._run = run

    def __enter__(self) -> None:
        self._before = _keyed.run, _keyed.calls
        _keyed.run, _keyed.calls = self._run, 0

    def __exit__(self, *error: object) -> None:
        _keyed.run, _keyed.calls = self._before


def _state_for(input: Tensor) -> Tensor:
    """What a dropout op takes first."""
    if _keyed.run is None:
        return state_of(None)
    call = _keyed.calls
    _keyed.calls += 1
    rows = input.shape[0] if input.ndim > 1 else 1
    return ops.row_state(_keyed.run, call, input.numel() // rows if rows else 0)


def _dropped(
    where: str,
    op: Callable[..., Tensor],
    input: Tensor,
    p: float,
    training: bool,
    inplace: bool,
) -> Tensor:
    tensor_in(where, input)
    if isinstance(p, bool) or not isinstance(p, (int, float)) or not 0 <= p <= 1:
        raise ValueError(f"[{where}] p: expected a probability from 0 to 1, got {p!r:.60}")
    if not training or p == 0:
        return input
    result = op(_state_for(input), input, float(p))
    return input.copy_(result) if inplace else result


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Sets elements to 0 with probability p and scales the others by 1 / (1 - p).

    The numbers come from the default generator and do not depend on threads. Srivastava et al.,
    "Dropout: a simple way to prevent neural networks from overfitting" (2014).

    Parameters
    ----------
    input : Tensor, any shape, floating
    p : float, default 0.5
    training : bool, default True
        False gives the input back.
    inplace : bool, default False
        Whether the result is written into the input.

    Returns
    -------
    Tensor, the shape of the input

    Raises
    ------
    ValueError
        If p is no probability.
    TypeError
        If the input is not floating.

    Examples
    --------
    >>> import ranvier as rv
    >>> _ = rv.manual_seed(0)
    >>> sorted(set(rv.nn.functional.dropout(rv.ones(100), 0.2).tolist()))
    [0.0, 1.25]
    """
    return _dropped("dropout", ops.dropout, input, p, training, inplace)


def alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """Dropout for SELU networks: mean 0 and variance 1 of the input stay.

    Klambauer et al., "Self-normalizing neural networks" (2017), section "New dropout technique".

    Parameters
    ----------
    input : Tensor, any shape, floating
    p : float, default 0.5
    training : bool, default False
        False gives the input back.
    inplace : bool, default False
        Whether the result is written into the input.

    Returns
    -------
    Tensor, the shape of the input

    Raises
    ------
    ValueError
        If p is no probability.
    TypeError
        If the input is not floating.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.functional.alpha_dropout(rv.ones(3), 0.5)
    tensor([1., 1., 1.])
    """
    return _dropped("alpha_dropout", ops.alpha_dropout, input, p, training, inplace)


# --- normalisation --------------------------------------------------------------------------------


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float | None = 0.1,
    eps: float = 1e-05,
) -> Tensor:
    """Normalises every channel (axis 1), then scales and shifts it.

    Ioffe and Szegedy, "Batch normalization" (2015), algorithms 1 and 2.

    Parameters
    ----------
    input : Tensor, (N, C) or (N, C, ...)
    running_mean, running_var : Tensor, (C,), or None
        In training they are moved on, the variance with divisor n - 1; otherwise they are what
        channels are normalised by.
    weight, bias : Tensor, (C,), optional
    training : bool, default False
        Whether to normalise by the batch's own mean and variance (divisor n).
    momentum : float, default 0.1
        The weight of this batch in the running statistics.
    eps : float, default 1e-5
        Added to the variance.

    Returns
    -------
    Tensor, the shape of the input

    Raises
    ------
    ValueError
        In training, one value per channel; otherwise no running statistics.
    ShapeError
        What is not of shape (C,).
    TypeError
        Dtypes that differ.

    Examples
    --------
    >>> import ranvier as rv
    >>> x = rv.tensor([[1.0], [3.0]])
    >>> rv.nn.functional.batch_norm(x, None, None, training=True, eps=0.0)
    tensor([[-1.],
            [ 1.]])
    """
    tensor_in("batch_norm", input)
    if training:
        rate = 0.0 if momentum is None else momentum
        return ops.batch_norm(input, running_mean, running_var, weight, bias, None, rate, eps)
    if running_mean is None or running_var is None:
        raise ValueError(
            "[batch_norm] expected running_mean and running_var outside training, got None; pass "
            "training=True to use the batch's own"
        )
    return ops.batch_norm_by(input, running_mean, running_var, weight, bias, eps)


# --- bilinear -------------------------------------------------------------------------------------


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y_k = x1 W_k x2^T + b_k for every row.

    Parameters
    ----------
    input1 : Tensor, (..., n)
    input2 : Tensor, (..., m)
    weight : Tensor, (k, n, m)
    bias : Tensor, (k,), optional

    Returns
    -------
    Tensor, (..., k)

    Raises
    ------
    ShapeError
        Sizes that do not fit.
    TypeError
        Dtypes that differ.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.functional.bilinear(rv.ones(1, 2), rv.ones(1, 3), rv.ones(1, 2, 3))
    tensor([[6.]])
    """
    for name, value in (("input1", input1), ("input2", input2), ("weight", weight)):
        if tensor_in("bilinear", value, name).dtype is not input1.dtype:
            raise TypeError(
                f"[bilinear] expected {input1.dtype.name} as for 'input1', got {value.dtype.name} "
                f"for '{name}'; call .float() or .double() on one"
            )
    fits = (
        weight.ndim == 3
        and input1.shape[:-1] == input2.shape[:-1]
        and input1.shape[-1:] == weight.shape[1:2]
        and input2.shape[-1:] == weight.shape[2:]
        and (bias is None or bias.shape == weight.shape[:1])
    )
    if not fits:
        raise ShapeError(
            "[bilinear] expected inputs (..., n) and (..., m) with a weight (k, n, m) and a bias "
            f"(k,), got {input1.shape}, {input2.shape}, {weight.shape} and "
            f"{None if bias is None else bias.shape}"
        )
    # As one linear map of all products: its weight gradient is a chain over the rows.
    products = (input1.unsqueeze(-1) * input2.unsqueeze(-2)).flatten(-2)
    return linear(products, weight.flatten(1), bias)
