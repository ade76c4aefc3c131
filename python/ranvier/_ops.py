"""The ops of the core as functions: `from ranvier._ops import *`.

The names come from the registry when this is imported, so a new op appears here by itself; only
its line in the generated `_ops.pyi` is new. Kernels of gradients stay in `ranvier._C.ops`, and so
do ops that a Python function of the same name stands in front of.
"""

from __future__ import annotations

from ranvier import _C

# Second names that PyTorch gives to ops, bound to the same object: as functions, as methods, and
# with "_" where there is a form in place.
ALIASES = {
    "absolute": "abs",
    "arccos": "acos",
    "arccosh": "acosh",
    "arcsin": "asin",
    "arcsinh": "asinh",
    "arctan": "atan",
    "arctan2": "atan2",
    "arctanh": "atanh",
    "clip": "clamp",
    "divide": "div",
    "fix": "trunc",
    "greater": "gt",
    "greater_equal": "ge",
    "less": "lt",
    "less_equal": "le",
    "multiply": "mul",
    "negative": "neg",
    "not_equal": "ne",
    "sgn": "sign",
    "subtract": "sub",
    "true_divide": "div",
}
ALIASES |= {f"{alias}_": f"{op}_" for alias, op in ALIASES.items() if hasattr(_C.ops, f"{op}_")}

__all__ = [*_C.op_names(), *ALIASES]

globals().update({name: getattr(_C.ops, ALIASES.get(name, name)) for name in __all__})
for _alias, _name in ALIASES.items():
    setattr(_C.Tensor, _alias, getattr(_C.ops, _name))
