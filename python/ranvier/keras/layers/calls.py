"""What holds while a model runs: training or not, and whether a model is running at all.

Per thread. Layers read it where nobody tells them; models set it.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from functools import lru_cache
from typing import Any


class Calls(threading.local):
    """The state of the calls that are under way in this thread."""

    training: bool | None = None  # what an outer layer was told; None: nothing
    running: bool = False  # within the call of a model


calls = Calls()


@lru_cache(maxsize=512)
def parameters_of(function: Callable[..., Any]) -> tuple[str, ...]:
    """The names of a function's parameters, after `self`; "**" where it takes any name."""
    found = []
    for parameter in list(inspect.signature(function).parameters.values())[1:]:
        if parameter.kind is parameter.VAR_KEYWORD:
            found.append("**")
        elif parameter.kind is not parameter.VAR_POSITIONAL:
            found.append(parameter.name)
    return tuple(found)
