"""`Function`: an operation whose derivative is written by hand, in Python.

`apply` runs the user's forward without recording and hands the core one node, whose backward is
the user's. Nothing here computes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ranvier import _C
from ranvier._C import Tensor
from ranvier._grad import no_grad


class _Kept(NamedTuple):
    """A saved tensor, its version then, and which result it is (-1: none)."""

    tensor: Tensor | None
    version: int
    result: int


class FunctionCtx:
    """What forward and backward of one call share.

    Attributes
    ----------
    saved_tensors : tuple of (Tensor or None)
        In backward: what forward gave `save_for_backward`.
    needs_input_grad : tuple of bool
        Which arguments of forward ask for a gradient.
    """

    def __init__(self, needs: tuple[bool, ...]) -> None:
        self.needs_input_grad = needs
        self._saved: list[_Kept] = []
        self._dirty: list[Tensor] = []
        self._constant: list[Tensor] = []
        self._materialize = True
        self._attached: Callable[[Tensor, int], Tensor] | None = None
        self._name = ""

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keeps inputs and results for backward, and notices if they are changed until then."""
        for t in tensors:
            if t is not None and not isinstance(t, Tensor):
                raise TypeError(
                    f"[save_for_backward] expected tensors or None, got {type(t).__name__}; "
                    "set anything else as an attribute of ctx"
                )
        self._saved = [_Kept(t, -1 if t is None else t._version(), -1) for t in tensors]

    def mark_dirty(self, *tensors: Tensor) -> None:
        """Says that forward changed these inputs in place; they are among its results."""
        self._dirty = list(tensors)

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Says that these results have no gradient."""
        self._constant = list(tensors)

    def set_materialize_grads(self, value: bool) -> None:
        """Whether backward sees zeros (the default) or None for results that nothing used."""
        self._materialize = value

    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        tensors = []
        for kept in self._saved:
            if kept.tensor is not None and kept.tensor._version() != kept.version:
                raise RuntimeError(
                    f"[{self._name}] expected what forward saved (shape {kept.tensor.shape}) "
                    "unchanged, got a tensor that was changed in place since; clone() it first"
                )
            whole = kept.tensor
            if whole is not None and kept.result >= 0 and self._attached is not None:
                whole = self._attached(whole, kept.result)
            tensors.append(whole)
        return tuple(tensors)

    def _settle(self, results: Sequence[Any]) -> None:
        # A result that held itself through its own node would never be freed.
        for i, kept in enumerate(self._saved):
            for at, result in enumerate(results):
                if kept.tensor is result and isinstance(result, Tensor):
                    self._saved[i] = _Kept(result.detach(), result._version(), at)
            dirty = any(kept.tensor is t for t in self._dirty)
            if dirty and kept.tensor is not None and self._saved[i].result < 0:
                self._saved[i] = kept._replace(version=kept.tensor._version())


class Function:
    """An operation with a derivative of its own: subclass it and call `apply`.

    Static methods to write: `forward(ctx, *args)`, or `forward(*args)` with
    `setup_context(ctx, inputs, output)`; and `backward(ctx, *grads)`, which takes one gradient for
    each result and returns one for each argument of forward (None where there is none).

    Examples
    --------
    >>> import ranvier as rv
    >>> class Exp(rv.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         y = x.exp()
    ...         ctx.save_for_backward(y)
    ...         return y
    ...
    ...     @staticmethod
    ...     def backward(ctx, grad):
    ...         (y,) = ctx.saved_tensors
    ...         return grad * y
    >>> x = rv.zeros(2, requires_grad=True)
    >>> Exp.apply(x).sum().backward()
    >>> x.grad
    tensor([1., 1.])
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError(f"[{type(self).__name__}] expected a call of .apply(...), got an object")

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """What the operation computes; the subclass says it."""
        raise TypeError("[Function] expected a static method 'forward', got none")

    @staticmethod
    def backward(ctx: FunctionCtx, *grads: Tensor) -> Any:
        """The gradients of forward's arguments; the subclass says them."""
        raise TypeError("[Function] expected a static method 'backward', got none")

    vjp = backward

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Runs forward, and makes what it returns a part of the graph.

        Parameters
        ----------
        *args
            Passed to forward as they are.

        Returns
        -------
        Tensor or tuple
            What forward returned.
        """
        recording = _C.is_grad_enabled()
        needs = tuple(recording and isinstance(a, Tensor) and a.requires_grad for a in args)
        ctx = FunctionCtx(needs)
        ctx._name = cls.__name__
        with no_grad():
            if "setup_context" in {name for kind in cls.__mro__ for name in vars(kind)}:
                output = cls.forward(*args)
                cls.setup_context(ctx, args, output)  # type: ignore[attr-defined]
            else:
                output = cls.forward(ctx, *args)
        if not any(needs):
            return output
        results = list(output) if isinstance(output, (tuple, list)) else [output]
        return cls._recorded(ctx, args, results, output)

    @classmethod
    def _recorded(cls, ctx: FunctionCtx, args: Any, results: list[Any], output: Any) -> Any:
        inputs = [a for a in args if isinstance(a, Tensor)]
        places = [i for i, a in enumerate(args) if isinstance(a, Tensor)]
        for i, result in enumerate(results):
            dirty = any(result is t for t in ctx._dirty)
            if dirty and result.is_leaf and result.requires_grad:
                raise RuntimeError(
                    f"[{cls.__name__}] expected mark_dirty() for a tensor that is no leaf, got a "
                    "leaf that requires a gradient"
                )
            # An argument that comes back as it is must not become a result of this call.
            if isinstance(result, Tensor) and not dirty and any(result is a for a in inputs):
                results[i] = result.detach()
        ctx._settle(results)
        shown = [r for r in results if isinstance(r, Tensor)]
        linked = [
            None if not r.dtype.is_floating_point or any(r is c for c in ctx._constant) else r
            for r in shown
        ]
        derivative = cls._derivative(ctx, places, shown, len(args))
        _C.record_function(derivative, cls.__name__, inputs, linked)
        return type(output)(results) if isinstance(output, (tuple, list)) else results[0]

    @classmethod
    def _derivative(
        cls, ctx: FunctionCtx, places: list[int], results: list[Tensor], count: int
    ) -> Callable[..., list[Tensor | None]]:
        shapes = [(r.shape, r.dtype) for r in results]

        def derivative(
            grads: list[Tensor | None], needs: list[bool], attached: Callable[[Tensor, int], Tensor]
        ) -> list[Tensor | None]:
            if ctx._materialize:
                grads = [
                    _C.zeros(*shape) if g is None else g
                    for g, shape in zip(grads, shapes, strict=True)
                ]
            ctx._attached = attached if _C.is_grad_enabled() else None
            given = cls.backward(ctx, *grads)  # type: ignore[arg-type]
            back = list(given) if isinstance(given, (tuple, list)) else [given]
            while len(back) > count and back[-1] is None:
                back.pop()
            if len(back) != count:
                raise RuntimeError(
                    f"[{cls.__name__}] backward: expected {count} gradients, one for each argument "
                    f"of forward, got {len(back)}"
                )
            asked = zip(places, needs, strict=True)
            return [back[place] if need else None for place, need in asked]

        return derivative
