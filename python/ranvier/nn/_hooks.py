"""Functions that run before and after a module's forward and backward, as PyTorch's hooks do.

A module without hooks pays nothing for them: they live in one attribute that is None until the
first one is registered. Computes nothing.
"""

from __future__ import annotations

import itertools
import warnings
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ranvier import _C
from ranvier._C import Tensor
from ranvier.autograd.function import Function, FunctionCtx

if TYPE_CHECKING:
    from ranvier.nn.module import Module

_numbers = itertools.count()


# Plain classes: to make a dataclass takes a millisecond of every import.
class Hook:
    """A registered function and how it wants to be called."""

    def __init__(
        self, function: Callable[..., Any], with_kwargs: bool = False, always_call: bool = False
    ) -> None:
        self.function, self.with_kwargs, self.always_call = function, with_kwargs, always_call


HookList = OrderedDict[int, Hook]


class Hooks:
    """All hooks of one module, each kind in the order in which they run."""

    def __init__(self) -> None:
        self.forward_pre: HookList = OrderedDict()
        self.forward: HookList = OrderedDict()
        self.backward_pre: HookList = OrderedDict()
        self.backward: HookList = OrderedDict()
        self.state_dict_pre: HookList = OrderedDict()
        self.state_dict: HookList = OrderedDict()
        self.load_state_dict_pre: HookList = OrderedDict()
        self.load_state_dict: HookList = OrderedDict()

    def any_runs(self) -> bool:
        """Whether a call of the module runs functions beside its forward."""
        return bool(self.forward_pre or self.forward or self.backward_pre or self.backward)


class RemovableHandle:
    """What registering a hook gives: `remove()` takes the hook away; also a context manager."""

    def __init__(self, hooks: HookList) -> None:
        self.id = next(_numbers)
        self._hooks = hooks

    def remove(self) -> None:
        """Takes the hook away; does nothing the second time."""
        self._hooks.pop(self.id, None)
        _C.structure_changed()

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


def register(hooks: HookList, where: str, hook: Hook, prepend: bool = False) -> RemovableHandle:
    """Adds a hook, at the front on request.

    Raises
    ------
    TypeError
        What cannot be called.
    """
    if not callable(hook.function):
        raise TypeError(f"[{where}] hook: expected a function, got {hook.function!r:.60}")
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    _C.structure_changed()
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle


# --- a call with hooks ----------------------------------------------------------------------------


def call(module: Module, hooks: Hooks, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Runs a module's forward with its hooks, in PyTorch's order."""
    called: set[int] = set()
    output: Any = None
    try:
        args, kwargs = _before(module, hooks, args, kwargs)
        watch = _Backward(module, hooks) if hooks.backward or hooks.backward_pre else None
        if watch is not None:
            args = watch.inputs(args)
        output = module.forward(*args, **kwargs)
        for number, hook in list(hooks.forward.items()):
            called.add(number)
            changed = _after(module, hook, args, kwargs, output)
            output = output if changed is None else changed
        return output if watch is None else watch.outputs(output)
    except Exception:
        for number, hook in list(hooks.forward.items()):
            if hook.always_call and number not in called:
                _run_despite_error(module, hook, args, kwargs, output)
        raise


def _before(
    module: Module, hooks: Hooks, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    for hook in list(hooks.forward_pre.values()):
        if hook.with_kwargs:
            both = hook.function(module, args, kwargs)
            if both is None:
                continue
            if not isinstance(both, tuple) or len(both) != 2:
                raise RuntimeError(
                    "[forward_pre_hook] expected None or a tuple (args, kwargs) from a hook with "
                    f"with_kwargs=True, got {both!r:.60}"
                )
            args, kwargs = both
        else:
            changed = hook.function(module, args)
            if changed is not None:
                args = changed if isinstance(changed, tuple) else (changed,)
    return args, kwargs


def _after(
    module: Module, hook: Hook, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any
) -> Any:
    if hook.with_kwargs:
        return hook.function(module, args, kwargs, output)
    return hook.function(module, args, output)


def _run_despite_error(
    module: Module, hook: Hook, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any
) -> None:
    try:
        _after(module, hook, args, kwargs, output)
    except Exception as error:
        warnings.warn(
            "[forward_hook] expected a hook with always_call=True to run after the error of "
            f"forward, got another one, which is not raised: {error}",
            stacklevel=2,
        )


# --- backward -------------------------------------------------------------------------------------


class _Pass(Function):
    """Its inputs as they are; the gradients go through a callback on their way back."""

    @staticmethod
    def forward(ctx: FunctionCtx, *args: Any) -> Any:
        ctx.callback, *tensors = args  # type: ignore[attr-defined]
        return tuple(t.detach() for t in tensors)

    @staticmethod
    def backward(ctx: FunctionCtx, *grads: Tensor) -> Any:
        return (None, *ctx.callback(grads))  # type: ignore[attr-defined]


class _Watched:
    """Arguments or results, of which the tensors with gradient pass a callback on the way back.

    The callback sees a gradient for each value: zeros for tensors that ask for none, as in
    PyTorch, and None for what is no floating tensor.
    """

    def __init__(
        self,
        values: tuple[Any, ...],
        callback: Callable[[tuple[Any, ...]], tuple[Any, ...]],
    ) -> None:
        self.places = [i for i, v in enumerate(values) if isinstance(v, Tensor) and v.requires_grad]
        self.values = values
        self.callback = callback
        self.zeros = {
            i: (v.shape, v.dtype)
            for i, v in enumerate(values)
            if isinstance(v, Tensor) and v.dtype.is_floating_point and i not in self.places
        }
        if self.places:
            passed = _Pass.apply(self._back, *(values[i] for i in self.places))
            result = list(values)
            for i, tensor in zip(self.places, passed, strict=True):
                result[i] = tensor
            self.values = tuple(result)

    def _back(self, grads: Sequence[Any]) -> list[Any]:
        whole: list[Any] = [None] * len(self.values)
        for i, (shape, dtype) in self.zeros.items():
            whole[i] = _C.zeros(shape, dtype)
        for i, grad in zip(self.places, grads, strict=True):
            whole[i] = grad
        changed = self.callback(tuple(whole))
        return [changed[i] for i in self.places]


class _Backward:
    """The backward hooks of one call: they see the gradients of its outputs and of its inputs."""

    def __init__(self, module: Module, hooks: Hooks) -> None:
        self.module = module
        self.before = list(hooks.backward_pre.values())
        self.after = list(hooks.backward.values())
        self.count = 0
        self.through = False  # whether an input asks for a gradient
        self.grad_outputs: tuple[Any, ...] | None = None

    def inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments of forward, watched."""
        self.count = len(args)
        if not self.after:
            return args
        watched = _Watched(args, self._inputs_done)
        self.through = bool(watched.places) and _C.is_grad_enabled()
        return watched.values

    def outputs(self, output: Any) -> Any:
        """What forward gave, watched: a tensor, or a tuple with tensors in it."""
        if not isinstance(output, tuple):
            return _Watched((output,), self._outputs_done).values[0]
        values = _Watched(output, self._outputs_done).values
        # A named tuple stays one.
        return type(output)(*values) if hasattr(output, "_fields") else values

    def _outputs_done(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        for hook in self.before:
            grads = _changed(grads, hook.function(self.module, grads), "full_backward_pre_hook")
        self.grad_outputs = grads
        if not self.through:
            for hook in self.after:
                result = hook.function(self.module, (None,) * self.count, grads)
                if result is not None and any(r is not None for r in result):
                    raise RuntimeError(
                        "[full_backward_hook] expected None where no input of the module asks for "
                        "a gradient, got gradients"
                    )
        return grads

    def _inputs_done(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        if self.grad_outputs is None:  # they came another way than through the outputs
            return grads
        for hook in self.after:
            result = hook.function(self.module, grads, self.grad_outputs)
            grads = _changed(grads, result, "full_backward_hook")
        self.grad_outputs = None
        return grads


def _changed(grads: tuple[Any, ...], result: Any, where: str) -> tuple[Any, ...]:
    """The gradients that a hook puts in the place of others."""
    if result is None:
        return grads
    new = result if isinstance(result, tuple) else (result,)
    if len(new) != len(grads):
        raise RuntimeError(f"[{where}] expected {len(grads)} gradients, got {len(new)}")
    return new
