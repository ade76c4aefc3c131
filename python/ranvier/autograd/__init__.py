"""Gradients beyond `loss.backward()`: of chosen tensors, of functions written by hand, checked.

The walk through the graph is the core's; this gives it PyTorch's names. The modes (`no_grad` and
its like) are in ranvier/_grad.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ranvier._grad import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)
from ranvier.autograd.function import Function
from ranvier.autograd.gradients import Variable, backward, grad

if TYPE_CHECKING:
    from ranvier.autograd.check import GradcheckError, gradcheck, gradgradcheck

__all__ = [
    "Function",
    "GradcheckError",
    "Variable",
    "backward",
    "enable_grad",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "inference_mode",
    "is_grad_enabled",
    "no_grad",
    "set_grad_enabled",
]


def __getattr__(name: str) -> Any:
    # The checks are seldom wanted; importing ranvier does not pay for them.
    if name in ("gradcheck", "gradgradcheck", "GradcheckError"):
        from ranvier.autograd import check

        return getattr(check, name)
    raise AttributeError(f"module 'ranvier.autograd' has no attribute {name!r}")
