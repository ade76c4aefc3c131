"""`gradcheck`: gradients of a function against central differences, in float64.

One evaluation of the function for every element of every input and direction: for small inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier import _C
from ranvier._C import Tensor
from ranvier._grad import no_grad
from ranvier.autograd.gradients import grad

Function = Callable[..., Any]


class GradcheckError(RuntimeError):
    """A gradient that differs from what central differences give."""


def _results(function: Function, inputs: Sequence[Any]) -> list[Tensor]:
    output = function(*inputs)
    results = list(output) if isinstance(output, (tuple, list)) else [output]
    return [r for r in results if isinstance(r, Tensor) and r.dtype.is_floating_point]


def _values(function: Function, inputs: Sequence[Any]) -> list[NDArray[Any]]:
    return [r.detach().numpy().astype(np.float64) for r in _results(function, inputs)]


def _numerical(
    function: Function, inputs: Sequence[Any], at: int, eps: float
) -> list[NDArray[Any]]:
    """For each result a matrix: elements of input `at` by elements of the result."""
    values = inputs[at].detach().numpy()  # shares the memory, so that changes are seen
    columns: list[list[NDArray[Any]]] = []
    for index in np.ndindex(values.shape):
        before = values[index]
        sides = []
        for step in (eps, -eps):
            values[index] = before + step
            sides.append(_values(function, inputs))
        values[index] = before
        columns.append([(a - b).ravel() / (2 * eps) for a, b in zip(*sides, strict=True)])
    count = len(_results(function, inputs))
    return [
        np.array([column[i] for column in columns]).reshape(values.size, -1) for i in range(count)
    ]


def _analytical(result: Tensor, wanted: Sequence[Tensor]) -> list[NDArray[Any]]:
    """For each input a matrix: elements of the input by elements of the result."""
    rows: list[list[NDArray[Any]]] = [[] for _ in wanted]
    for index in np.ndindex(result.shape):
        seed = np.zeros(result.shape, result.detach().numpy().dtype)
        seed[index] = 1
        found = grad(result, wanted, _C.from_numpy(seed), retain_graph=True, materialize_grads=True)
        for row, g in zip(rows, found, strict=True):
            assert g is not None
            row.append(g.detach().numpy().ravel().astype(np.float64))
    return [
        np.array(row).reshape(result.numel(), t.numel()).T
        for row, t in zip(rows, wanted, strict=True)
    ]


def gradcheck(
    func: Function,
    inputs: Tensor | Sequence[Any],
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
) -> bool:
    """Whether the gradients of a function agree with central differences.

    Parameters
    ----------
    func : callable
        Takes the inputs and returns a tensor or a tuple of tensors.
    inputs : Tensor or sequence
        Those that require a gradient are checked; they should be float64 and must not overlap.
    eps : float, default 1e-6
        Half the distance of the two evaluations.
    atol, rtol : float
        |analytical - numerical| <= atol + rtol |numerical| is agreement.
    raise_exception : bool, default True
        Whether a difference raises; otherwise the answer is False.
    nondet_tol : float, default 0.0
        How far two runs of backward may differ.
    check_undefined_grad : bool, default True
        Whether backward is also tried with a gradient for one of several results only.

    Returns
    -------
    bool

    Raises
    ------
    GradcheckError
        With the input, the result and both matrices.
    ValueError
        If no input requires a gradient.

    Examples
    --------
    >>> import ranvier as rv
    >>> x = rv.tensor([0.5, 2.0], dtype=rv.float64, requires_grad=True)
    >>> rv.autograd.gradcheck(lambda x: x.exp() * x, x)
    True
    """
    given = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    wanted = [i for i, t in enumerate(given) if isinstance(t, Tensor) and t.requires_grad]
    if not wanted:
        raise ValueError("[gradcheck] inputs: expected one that requires a gradient, got none")
    # Copies, whose elements are moved one by one; the caller's stay what they are.
    for i, t in enumerate(given):
        if isinstance(t, Tensor):
            given[i] = t.detach().clone().requires_grad_(i in wanted)
    problem = _difference(func, given, wanted, eps, atol, rtol, nondet_tol)
    if problem is None and check_undefined_grad:
        problem = _partial_problem(func, given, wanted)
    if problem is None:
        return True
    if raise_exception:
        raise GradcheckError(problem)
    return False


def _difference(
    func: Function,
    given: list[Any],
    wanted: list[int],
    eps: float,
    atol: float,
    rtol: float,
    nondet_tol: float,
) -> str | None:
    tensors = [given[i] for i in wanted]
    results = _results(func, given)
    analytical = [_analytical(r, tensors) if r.requires_grad else None for r in results]
    for at, i in enumerate(wanted):
        with no_grad():
            numerical = _numerical(func, given, i, eps)
        for j, want in enumerate(numerical):
            found = analytical[j]
            have = np.zeros_like(want) if found is None else found[at]
            if not np.allclose(have, want, rtol=rtol, atol=atol, equal_nan=True):
                return (
                    f"[gradcheck] expected the gradient of result {j} with respect to input {i} "
                    f"(elements of the input by elements of the result)\n{want}\nfrom central "
                    f"differences, got\n{have}\nfrom backward"
                )
    for j, result in enumerate(_results(func, given)):
        again = _analytical(result, tensors) if result.requires_grad else None
        for have, first in zip(again or [], analytical[j] or [], strict=True):
            if not np.allclose(have, first, rtol=0, atol=nondet_tol, equal_nan=True):
                return f"[gradcheck] expected equal gradients of result {j} twice, got others"
    return None


def _partial_problem(func: Function, given: list[Any], wanted: list[int]) -> str | None:
    """Backward must also do where only some results have a gradient."""
    tensors = [given[i] for i in wanted]
    results = [r for r in _results(func, given) if r.requires_grad]
    if len(results) < 2:
        return None
    for j, result in enumerate(results):
        try:
            ones = _C.full(result.shape, 1.0, result.dtype)
            grad(result, tensors, ones, retain_graph=True, allow_unused=True)
        except Exception as error:
            return f"[gradcheck] expected a backward of result {j} alone, got {error!r}"
    return None


def gradgradcheck(
    func: Function,
    inputs: Tensor | Sequence[Any],
    grad_outputs: Tensor | Sequence[Tensor] | None = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
) -> bool:
    """Whether the gradients of a function's gradients agree with central differences.

    Parameters
    ----------
    func : callable
        Takes the inputs and returns a tensor or a tuple of tensors.
    inputs : Tensor or sequence
        As for `gradcheck`.
    grad_outputs : Tensor or sequence of Tensor, optional
        What the results count for; random numbers of a fixed seed if left out.
    eps, atol, rtol, raise_exception
        As for `gradcheck`.

    Returns
    -------
    bool

    Examples
    --------
    >>> import ranvier as rv
    >>> x = rv.tensor([0.5, 2.0], dtype=rv.float64, requires_grad=True)
    >>> rv.autograd.gradgradcheck(lambda x: x @ x, x)
    True
    """
    given = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    results = [r for r in _results(func, given) if r.requires_grad]
    if grad_outputs is None:
        rng = np.random.default_rng(0)
        seeds = [
            _C.from_numpy(rng.uniform(0.5, 1.5, r.shape)).to(r.dtype).requires_grad_()
            for r in results
        ]
    else:
        listed = [grad_outputs] if isinstance(grad_outputs, Tensor) else list(grad_outputs)
        seeds = [s.detach().clone().requires_grad_() for s in listed]

    def slopes(*args: Any) -> tuple[Tensor, ...]:
        own, weights = args[: len(given)], args[len(given) :]
        wanted = [t for t in own if isinstance(t, Tensor) and t.requires_grad]
        with_graph = [r for r in _results(func, own) if r.requires_grad]
        found = grad(with_graph, wanted, weights, create_graph=True, materialize_grads=True)
        return tuple(g for g in found if g is not None)

    # Differences are taken of first gradients, which need a graph of their own.
    return gradcheck(
        _with_gradients(slopes),
        [*given, *seeds],
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        check_undefined_grad=False,
    )


def _with_gradients(function: Function) -> Function:
    def on(*args: Any) -> Any:
        before = _C.is_grad_enabled()
        _C.set_grad_enabled(True)
        try:
            return function(*args)
        finally:
            _C.set_grad_enabled(before)

    return on
