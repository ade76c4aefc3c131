"""What an optimizer keeps in lists, dicts and attributes, and recorded steps hold.

Each of them tells when it is changed from outside, so that such a step is looked at again.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, TypeVar

from ranvier import _C
from ranvier._C import Tensor

C = TypeVar("C", bound=type)


def changed() -> None:
    """Recorded steps are to look again; what a step changes by itself is a part of it."""
    if not _C.is_recording():
        _C.structure_changed()


def _telling(*names: str) -> Any:
    """A class decorator: these methods of the base class also tell."""

    def decorated(kind: C) -> C:
        for name in names:
            method = getattr(kind.__mro__[1], name)

            def told(self: Any, *args: Any, _method: Any = method, **kwargs: Any) -> Any:
                result = _method(self, *args, **kwargs)
                changed()
                return result

            setattr(kind, name, functools.wraps(method)(told))
        return kind

    return decorated


_DICT = ("__setitem__", "__delitem__", "__ior__", "pop", "popitem", "clear", "update", "setdefault")
_LIST = (
    *("__setitem__", "__delitem__", "__iadd__", "__imul__", "append", "extend", "insert", "pop"),
    *("remove", "clear", "sort", "reverse"),
)


@_telling(*_LIST)
class HeardList(list[Any]):
    """A list that tells."""


@_telling(*_DICT)
class HeardDict(dict[str, Any]):
    """A dict that tells."""


@_telling(*(name for name in _DICT if name != "setdefault"))
class State(defaultdict[Tensor, Any]):
    """What an optimizer remembers, by parameter."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*(args or (HeardDict,)))


class Heard:
    """An attribute that tells when another value takes its place."""

    def __init__(self, kind: Any) -> None:
        self.kind = kind  # what makes the value tell too

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __set__(self, owner: Any, value: Any) -> None:
        vars(owner)[self.name] = value if isinstance(value, self.kind) else self.made(value)
        changed()

    def made(self, value: Any) -> Any:
        """The value as one that tells, where it is of the kind at all."""
        if self.kind is HeardList:
            return HeardList(value) if isinstance(value, Iterable) else value
        if not isinstance(value, dict):
            return value
        state = State()
        state.update({key: heard_dict(inner) for key, inner in value.items()})
        return state


def heard_dict(value: Any) -> Any:
    """A dict as one that tells; what else there may be as it is."""
    return HeardDict(value) if type(value) is dict else value


class Steering:
    """A tensor that a step reads where it is set."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = f"_{name}"

    def __get__(self, optimizer: Any, kind: Any = None) -> Tensor | None:
        tensor: Tensor | None = vars(optimizer).get(self.name) if optimizer is not None else None
        return tensor

    def __set__(self, optimizer: Any, tensor: Tensor | None) -> None:
        settings = vars(optimizer)
        if settings.get(self.name) is not tensor:
            settings[self.name] = tensor
            changed()
