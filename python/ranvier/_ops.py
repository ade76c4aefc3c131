"""The ops of the core as functions: `from ranvier._ops import *`.

The names come from the registry when this is imported, so a new op appears here by itself; only
its line in the generated `_ops.pyi` is new. Kernels of gradients stay in `ranvier._C.ops`, and so
do ops that a Python function of the same name stands in front of.
"""

from __future__ import annotations

from ranvier import _C

__all__ = _C.op_names()

globals().update({name: getattr(_C.ops, name) for name in __all__})
