"""Whether a model is plain: whether its steps may be recorded once and then replayed.

Ranvier's own modules are. Of the user's code it must be seen that it does nothing but compute with
tensors, in a way that is the same in every step; whatever is not understood is not plain.
"""

from __future__ import annotations

import ast
import types
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

from ranvier import _C
from ranvier.nn import Module
from ranvier.training import plain_values as values
from ranvier.training.plain_code import Frame, NotPlain
from ranvier.training.plain_walk import Walk


class Reason(NamedTuple):
    """What stands in the way of replaying steps, and where.

    Attributes
    ----------
    text : str
        Such as "calls random.randint".
    filename : str
    line : int
    """

    text: str
    filename: str
    line: int


@dataclass
class Check:
    """What came of a check.

    Attributes
    ----------
    reason : Reason or None
        Why the model is not plain; None where it is.
    """

    reason: Reason | None
    _held: list[tuple[Any, Any, Any]] = field(default_factory=list)
    _own: list[tuple[dict[str, Any], str, Any]] = field(default_factory=list)

    @property
    def reads(self) -> bool:
        """Whether the code reads what can become another without a word: `changed` finds out."""
        return bool(self._held or self._own)

    def changed(self) -> str | None:
        """What the code reads and has become another since: a global, a list; None if nothing."""
        for i, (attributes, name, before) in enumerate(self._own):
            now = attributes.get(name, values.ABSENT)
            if now is not before and not _equal(now, before):
                self._own[i] = attributes, name, now
                _C.structure_changed()  # which nobody did who went by vars(module)
        for space, name, before in self._held:
            if isinstance(space, types.FunctionType):
                code, defaults, named = before
                same = space.__code__ is code and space.__defaults__ is defaults
                if not same or space.__kwdefaults__ is not named:
                    return str(space.__name__)
            elif name is not None:
                try:
                    now = space[name]
                except KeyError:
                    if before is values.ABSENT:
                        continue
                    return str(name)
                if now is not before and not _equal(now, before):
                    return str(name)
            elif isinstance(space, types.CellType):
                if space.cell_contents is not before and not _equal(space.cell_contents, before):
                    return "a name of an outer function"
            else:
                now = values.snapshot(space)
                if len(now) != len(before) or any(
                    a is not b and not _equal(a, b) for a, b in zip(now, before, strict=True)
                ):
                    return f"a {type(space).__name__}"
        return None


def _equal(a: Any, b: Any) -> bool:
    return type(a) is type(b) and values.is_constant(a) and bool(a == b)


def why_not_plain(model: Module, loss_function: Any = None) -> Reason | None:
    """Why the steps of a model may not be recorded once and replayed.

    Parameters
    ----------
    model : Module
    loss_function : callable, optional
        Module or function of prediction and target.

    Returns
    -------
    Reason or None
        None where both do nothing but compute.

    Examples
    --------
    >>> import ranvier as rv
    >>> from ranvier.training.plain import why_not_plain
    >>> why_not_plain(rv.nn.Sequential(rv.nn.Linear(2, 3), rv.nn.ReLU())) is None
    True
    """
    return check(model, loss_function).reason


def check(model: Module, loss_function: Any = None) -> Check:
    """As `why_not_plain`, with what the code depends on besides."""
    walk, filename, line = Walk(), "", 0
    try:
        filename, line = _place(type(model))
        frame = _outside(walk, filename, line)
        walk.module(frame, model, None)
        if loss_function is not None:
            walk.callable(frame, loss_function)
    except NotPlain as found:
        return Check(Reason(found.text, found.filename, found.line))
    except Exception as error:
        return Check(Reason(f"could not be checked ({type(error).__name__})", filename, line))
    return Check(None, walk.held, walk.own)


def _place(kind: type) -> tuple[str, int]:
    """Where a class stands, roughly."""
    for name in ("forward", "__init__"):
        code = getattr(vars(kind).get(name), "__code__", None)
        if code is not None:
            return code.co_filename, code.co_firstlineno
    return __file__, 1


def _start() -> None:
    """Where every walk begins: a function that does nothing."""


def _outside(walk: Walk, filename: str, line: int) -> Frame:
    """What calls the model: nothing of the user's."""
    tree: Any = ast.parse("def start(): pass").body[0]
    tree.lineno = line
    frame = Frame(walk, cast(types.FunctionType, _start), tree)
    frame.filename = filename
    return frame
