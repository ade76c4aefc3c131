"""What a recording hears of modules, optimizers and schedules, which a program depends on.

They tell it themselves, as they are used. Nothing else of the package is imported here.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from ranvier import _C

if TYPE_CHECKING:
    from ranvier.nn.module import Module
    from ranvier.optim.groups import ParamGroup
    from ranvier.optim.optimizer import Optimizer

Method = TypeVar("Method", bound=Callable[..., Any])

# What a module's attributes are: by the names of the module's dict.
Attributes = tuple[Any, ...]


class Witness(threading.local):
    """Who was used since the recording of this thread began."""

    active = False
    acting = False  # a schedule goes on: what it does is no part of the program
    modules: dict[int, tuple[Module, Attributes]]  # with their attributes before the first use
    optimizers: dict[int, Optimizer]
    stepping = False  # an optimizer reads what is its own
    settings: list[tuple[ParamGroup, str, Any]]  # that were read
    actions: list[tuple[Callable[[], Any], bool]]  # to be done anew each time; whether at the end

    def begin(self) -> None:
        """Nobody was used yet."""
        self.forget()
        self.active = True
        Recordings.count += 1

    def forget(self) -> None:
        """Drops whoever was heard."""
        self.modules, self.optimizers, self.settings, self.actions = {}, {}, [], []

    def end(self) -> None:
        """Nobody is heard any more, and nobody kept."""
        self.forget()
        self.active = False
        Recordings.count -= 1


class Recordings:
    """How many threads record, looked at before every forward: as quick as can be."""

    count = 0


witness = Witness()


def note_module(module: Module) -> None:
    """A module is called."""
    if not witness.active:
        return
    modules = witness.modules
    if id(module) in modules:  # and so are its parts
        return
    for part in module.modules():
        if id(part) not in modules:
            modules[id(part)] = (part, attributes_of(part))


def note_optimizer(optimizer: Optimizer) -> None:
    """An optimizer takes a step."""
    witness.optimizers[id(optimizer)] = optimizer
    # What came before is done at the beginning of each run.
    witness.actions = [(action, False) for action, _ in witness.actions]


def note_setting(group: ParamGroup, key: str, value: Any) -> None:
    """A setting of an optimizer is read: by its own step, or as a number that a program keeps."""
    if witness.active and not (witness.acting or witness.stepping):
        group.read.add(key)
        witness.settings.append((group, key, token_of(value)))


def acts(method: Method) -> Method:
    """A method that changes settings which a program reads: done anew with every run."""

    @functools.wraps(method)
    def acting(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not Recordings.count or not witness.active or witness.acting:
            return method(self, *args, **kwargs)
        if args or kwargs:
            _C.end_recording(f"steps {type(self).__name__} with an argument, a number of Python's")
        witness.acting = True
        _C.pause_recording(True)
        try:
            result = method(self, *args, **kwargs)
        finally:
            _C.pause_recording(False)
            witness.acting = False
        witness.actions.append((functools.partial(method, self, *args, **kwargs), True))
        return result

    return acting  # type: ignore[return-value]


# --- what a program depends on --------------------------------------------------------------------


class _Same:
    """Equal to itself alone, whatever the object makes of ==."""

    __slots__ = ("thing",)

    def __init__(self, thing: Any) -> None:
        self.thing = thing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.thing is other.thing

    def __hash__(self) -> int:
        return id(self.thing)


_PLAIN = frozenset((int, bool, str, bytes, type(None)))
_DEEPEST = 4


def token_of(value: Any, depth: int = 0) -> Any:
    """What is equal as long as a value is the same: numbers and text by value, objects by identity.

    Lists, tuples and dicts are looked into.
    """
    kind = type(value)
    if kind in _PLAIN:
        return kind, value
    if kind is float:
        return float, value.hex()  # 0.0 and -0.0 are two
    if depth < _DEEPEST and isinstance(value, (list, tuple, dict)):
        if isinstance(value, dict):
            return dict, *[(_Same(k), token_of(v, depth + 1)) for k, v in value.items()]
        return kind, *[token_of(item, depth + 1) for item in value]
    return _Same(value)


def attributes_of(module: Module) -> Attributes:
    """A module's own attributes, as they are now, and whether it has hooks."""
    hooks = module._hooks
    heard = hooks is not None and hooks.any_runs()
    own = module.__dict__.copy()  # to which another thread may add meanwhile
    beside = module._beside
    rest = [(k, token_of(v)) for k, v in own.items() if k not in beside]
    return module.training, heard, type(module), *rest


def settings_of(optimizer: Optimizer) -> tuple[Any, ...]:
    """What an optimizer's step depends on and no tensor holds."""
    groups = []
    before, witness.stepping = witness.stepping, True
    for group in optimizer.param_groups:
        settings = optimizer._form_of(group)
        state = (optimizer.state.get(p, {}) for p in group["params"])
        groups.append(
            (token_of(settings), tuple(map(_Same, group["params"])), *map(token_of, state))
        )
    witness.stepping = before
    return (
        optimizer.runs_hooks,
        _Same(optimizer.grad_scale),
        _Same(optimizer.finite),
        *groups,
    )
