"""Errors of the core, told with the path of the layer that failed and of the one before it."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from ranvier._C import Tensor

if TYPE_CHECKING:
    from ranvier.nn.module import Module


def nothing() -> None:
    """In place of a reference: what a forward without `return` gave."""


class _LastRun(threading.local):
    """What the module that ran last in this thread gave, and the module, for error messages."""

    run: tuple[Callable[[], Any], Callable[[], Any]] = (lambda: None, lambda: None)


last = _LastRun()


class _Failure(NamedTuple):
    """What an error of the core says, the module that failed, and what gave it its input."""

    op: str
    rest: str
    module: Module
    before: Module | None
    gave: str


def tell_layer(error: Exception, root: Module, inputs: tuple[Any, ...]) -> None:
    """Adds the path of the failing layer to a message of the core, and who gave it its input.

    Each module on the way out tells it anew, so that the outermost one has the last word.
    """
    failure: _Failure | None = getattr(error, "layer", None)
    if failure is None:
        text = re.match(r"\[(\w+)\] (.*)", str(error), re.DOTALL)
        if text is None:
            return
        output, before = (reference() for reference in last.run)
        given = inputs[0] if inputs else None
        gave = ""
        if isinstance(given, Tensor) and given is output and given.ndim:
            gave = str(given.shape[-1])
        elif inputs and given is None and last.run[0] is nothing:
            gave = "None"
        else:
            before = None
        failure = _Failure(text[1], text[2], root, before, gave)
        error.layer = failure  # type: ignore[attr-defined]
    if "_persistence" not in root.__dict__:  # no super().__init__(): nothing belongs to it
        return
    paths = {id(module): path for path, module in root.named_modules()}
    if path := paths.get(id(failure.module)):
        shown = f"layer {path}" if path.split(".")[0].isdigit() else path
        shown += _kind(path, failure.module)
        rest = failure.rest.removeprefix(f"{path.rpartition('.')[2]}: ")  # it may say so itself
        if failure.before is not None:
            name = paths.get(id(failure.before)) or type(failure.before).__name__
            rest += f"; the layer before, '{name}'{_kind(name, failure.before)}, "
            rest += f"gives {failure.gave}"
        error.args = (f"[{failure.op}] {shown}: {rest}",)


def _kind(path: str, module: Module) -> str:
    return f" ({type(module).__name__})" if path.split(".")[-1].isdigit() else ""
