"""Where a number that is not finite came from: which layer, which tensor, which elements.

Runs only after training has gone wrong, so it may be slow; it changes no parameter.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ranvier import _C
from ranvier._C import Tensor
from ranvier._grad import no_grad
from ranvier.nn import Module
from ranvier.training.errors import describe_bad


def is_finite(tensor: Tensor) -> bool:
    """Whether no element is NaN or infinite."""
    return bool(_C.ops.all_finite(tensor).item())


def all_finite(tensors: list[Tensor]) -> bool:
    """Whether no element of any of them is NaN or infinite."""
    return not tensors or bool(_C.ops.tensors_finite(tensors).item())


def describe(tensor: Tensor) -> str:
    """How many elements are not finite, and which is the first."""
    array = tensor.detach().numpy()
    return describe_bad(array, ~np.isfinite(array))


def bad_parameter(model: Module) -> tuple[str, Tensor] | None:
    """The first parameter that is not finite, with its name."""
    for name, parameter in model.named_parameters():
        if parameter.dtype.is_floating_point and not is_finite(parameter.detach()):
            return name, parameter
    return None


def bad_gradient(model: Module) -> tuple[str, Tensor] | None:
    """The first gradient that is not finite, in the order of backward: last layer first."""
    for name, parameter in reversed(list(model.named_parameters())):
        if parameter.grad is not None and not is_finite(parameter.grad):
            return name, parameter.grad
    return None


def origin(model: Module, again: Callable[[], object]) -> str | None:
    """Where the first number that is not finite turns up when the model runs `again`."""
    found: list[str] = []
    originals: list[tuple[Module, Any]] = []

    def look(place: str, *values: Any) -> None:
        for value in values:
            if isinstance(value, Tensor) and value.dtype.is_floating_point and not found:
                found.extend([] if is_finite(value) else [place])

    def watch(name: str, module: Module, forward: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*inputs: Any, **named: Any) -> Any:
            layer = f"{name or 'model'} ({type(module).__name__})"
            look(f"the input of layer {layer}", *inputs)
            output = forward(*inputs, **named)
            look(f"the output of layer {layer}", output)
            return output

        return watched

    try:
        for name, module in model.named_modules():
            originals.append((module, module.__dict__.get("forward")))
            object.__setattr__(module, "forward", watch(name, module, module.forward))
        with no_grad():
            again()
    finally:
        for module, original in originals:
            if original is None:
                object.__delattr__(module, "forward")
            else:
                object.__setattr__(module, "forward", original)
    return found[0] if found else None
