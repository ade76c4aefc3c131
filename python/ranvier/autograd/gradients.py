"""`backward` and `grad`: gradients of several results at once, or of chosen tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ranvier import _C
from ranvier._C import Tensor


def _listed(given: Any, where: str, name: str) -> list[Any]:
    items = list(given) if isinstance(given, (list, tuple)) else [given]
    for item in items:
        if not isinstance(item, Tensor):
            raise TypeError(f"[{where}] {name}: expected tensors, got {type(item).__name__}")
    return items


def _seeds(given: Any, count: int, where: str) -> list[Tensor | None]:
    if given is None:
        return [None] * count
    seeds = [given] if isinstance(given, Tensor) else list(given)
    if len(seeds) != count:
        raise ValueError(
            f"[{where}] expected one gradient for each of {count} results, got {len(seeds)}"
        )
    return seeds


def backward(
    tensors: Tensor | Sequence[Tensor],
    grad_tensors: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensor | Sequence[Tensor] | None = None,
) -> None:
    """Adds the gradients of the sum of some results to the leaves they came from.

    Parameters
    ----------
    tensors : Tensor or sequence of Tensor
        The results; each has one element unless its gradient is given.
    grad_tensors : Tensor or sequence of (Tensor or None), optional
        What each result counts for, of its shape and dtype.
    retain_graph : bool, optional
        Whether the graph can be walked again; the value of `create_graph` if left out.
    create_graph : bool, default False
        Whether the gradients can be differentiated themselves.
    inputs : Tensor or sequence of Tensor, optional
        The only tensors that get a gradient; all leaves if left out.

    Raises
    ------
    RuntimeError
        Where there is no graph (any more), or a result has several elements and no gradient.

    Examples
    --------
    >>> import ranvier as rv
    >>> x = rv.tensor([1.0, 2.0], requires_grad=True)
    >>> rv.autograd.backward([(x * x).sum(), x.sum()])
    >>> x.grad
    tensor([3., 5.])
    """
    roots = _listed(tensors, "backward", "tensors")
    kept = create_graph if retain_graph is None else retain_graph
    chosen = [] if inputs is None else _listed(inputs, "backward", "inputs")
    if inputs is not None and not chosen:
        raise RuntimeError("[backward] inputs: expected at least one tensor, got none")
    _C.backward(roots, _seeds(grad_tensors, len(roots), "backward"), chosen, kept, create_graph)


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    is_grads_batched: bool = False,
    allow_unused: bool | None = None,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of the sum of some results with respect to some tensors; no `.grad` changes.

    Parameters
    ----------
    outputs : Tensor or sequence of Tensor
        The results; each has one element unless its gradient is given.
    inputs : Tensor or sequence of Tensor
        Leaves or results in between, all of which require a gradient.
    grad_outputs : Tensor or sequence of (Tensor or None), optional
        What each output counts for, of its shape and dtype.
    retain_graph : bool, optional
        Whether the graph can be walked again; the value of `create_graph` if left out.
    create_graph : bool, default False
        Whether the gradients can be differentiated themselves.
    is_grads_batched : bool, default False
        There are no batches of gradients here: True is refused.
    allow_unused : bool, optional
        Whether None stands for the gradient of an input that no output depends on; otherwise that
        is an error. The value of `materialize_grads` if left out.
    materialize_grads : bool, default False
        Whether zeros take the place of that None.

    Returns
    -------
    tuple of Tensor
        One for each input, of its shape.

    Raises
    ------
    RuntimeError
        Where there is no graph (any more), or an output does not depend on an input.

    Examples
    --------
    >>> import ranvier as rv
    >>> x = rv.tensor([3.0], requires_grad=True)
    >>> (slope,) = rv.autograd.grad(x @ x, x, create_graph=True)
    >>> slope.item(), rv.autograd.grad(slope, x)[0].item()
    (6.0, 2.0)
    """
    if is_grads_batched:
        raise ValueError("[grad] is_grads_batched: expected False, got True; call grad in a loop")
    if materialize_grads and allow_unused is False:
        raise ValueError("[grad] expected allow_unused=True with materialize_grads, got False")
    roots, wanted = _listed(outputs, "grad", "outputs"), _listed(inputs, "grad", "inputs")
    kept = create_graph if retain_graph is None else retain_graph
    unused = materialize_grads if allow_unused is None else allow_unused
    seeds = _seeds(grad_outputs, len(roots), "grad")
    found: Sequence[Tensor | None] = _C.gradients(roots, wanted, seeds, kept, create_graph, unused)
    if materialize_grads:
        found = [
            _C.zeros(t.shape, t.dtype) if g is None else g
            for t, g in zip(wanted, found, strict=True)
        ]
    return tuple(found)


def Variable(data: Tensor, requires_grad: bool = False) -> Tensor:  # noqa: N802  (PyTorch's name)
    """The tensor itself, which may then require a gradient: what old PyTorch code wraps around it.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.autograd.Variable(rv.ones(2), requires_grad=True).requires_grad
    True
    """
    if not isinstance(data, Tensor):
        raise TypeError(f"[Variable] data: expected a tensor, got {type(data).__name__}")
    return data.requires_grad_() if requires_grad else data


class RemovableHandle:
    """What `register_hook` gives: `remove()` takes the hook away, and so does leaving a `with`."""

    def __init__(self, remove: Callable[[], None]) -> None:
        self._remove = remove

    def remove(self) -> None:
        """Takes the hook away; it may be called more than once."""
        self._remove()

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


def register_hook(self: Tensor, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
    """Calls a function with this tensor's gradient whenever `backward` has it complete.

    Parameters
    ----------
    hook : callable
        Takes the gradient; what it returns, if not None, takes the gradient's place. It must not
        change the gradient in place.

    Returns
    -------
    RemovableHandle
        With `remove()`.

    Raises
    ------
    RuntimeError
        If the tensor requires no gradient.

    Examples
    --------
    >>> import ranvier as rv
    >>> x = rv.ones(2, requires_grad=True)
    >>> handle = x.register_hook(lambda g: 2 * g)
    >>> x.sum().backward()
    >>> x.grad
    tensor([2., 2.])
    """
    if not callable(hook):
        raise TypeError(f"[register_hook] hook: expected a function, got {type(hook).__name__}")
    return RemovableHandle(_C.add_hook(self, hook))
