"""Parts of the package that are imported when somebody first asks for them.

Many programs need few of them, and `import ranvier` is to be quick. `__init__` takes both functions
over.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

PARTS = (
    "accelerator", "backends", "callbacks", "cuda", "distributions", "keras", "linalg", "random",
    "sklearn", "training", "utils",
)  # fmt: skip
NAMES = dict.fromkeys(
    ("Callback", "EarlyStopping", "History", "NonFiniteError", "RanvierWarning", "evaluate", "fit",
     "predict"),
    "ranvier.training",
) | {
    "Checkpoint": "ranvier.training.checkpoint", "summary": "ranvier.training.summary",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in PARTS:
        return importlib.import_module(f"ranvier.{name}")
    if name in NAMES:
        found = getattr(importlib.import_module(NAMES[name]), name)
        setattr(sys.modules["ranvier"], name, found)  # the next one finds it there
        return found
    from ranvier._tensorflow import advice

    raise AttributeError(f"module 'ranvier' has no attribute {name!r}{advice(name)}")


def __dir__() -> list[str]:
    return sorted({*vars(sys.modules["ranvier"]), *PARTS, *NAMES})
