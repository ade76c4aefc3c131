"""Parts of the package that are imported when somebody first asks for them.

Few programs do, and `import ranvier` is to be quick. `__init__` takes both functions over.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

PARTS = (
    "accelerator", "backends", "cuda", "distributions", "keras", "linalg", "random", "sklearn",
    "utils",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in PARTS:
        return importlib.import_module(f"ranvier.{name}")
    from ranvier._tensorflow import advice

    raise AttributeError(f"module 'ranvier' has no attribute {name!r}{advice(name)}")


def __dir__() -> list[str]:
    return sorted({*vars(sys.modules["ranvier"]), *PARTS})
