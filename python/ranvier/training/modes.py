"""The mode that modules are in for a while: training for a run, evaluation for a prediction.

Several threads may predict with one model that is in training mode: whoever comes first puts it
into evaluation mode, and whoever leaves last gives its mode back.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ranvier import _C
from ranvier._recording import Recordings, note_module
from ranvier.nn import Module


class Moves:
    """How often modes were changed by somebody who gives them back.

    Attributes
    ----------
    count : int
        By so much his changes moved `structure_version` on.
    """

    def __init__(self) -> None:
        self.count = 0

    def set(self, module: Module, training: bool) -> None:
        """Puts one module into a mode."""
        if module.training is not training:
            object.__setattr__(module, "training", training)
            _C.structure_changed()
            self.count += 1


class _Evaluated:
    """A module that is in evaluation mode for somebody, and the mode that it had before."""

    __slots__ = ("module", "users", "was")

    def __init__(self, module: Module) -> None:
        self.module, self.was = module, module.training
        self.users: set[Moves] = set()


_evaluated: dict[int, _Evaluated] = {}  # by id
_lock = threading.RLock()  # of what is above; nothing of the user's runs under it
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_lock._at_fork_reinit)  # type: ignore[attr-defined]


def sets_modes_itself(model: Module) -> bool:
    """Whether a model does something of its own where its mode changes."""
    return type(model).train is not Module.train or "train" in model.__dict__


@contextmanager
def evaluating(model: Module) -> Iterator[Moves]:
    """Evaluation mode for a while; every module gets its own mode back."""
    if Recordings.count:
        note_module(model)  # as it is: its mode is given back before anybody looks again
    moves, modules = Moves(), list(model.modules())
    try:
        with _lock:
            for module in modules:
                _evaluated.setdefault(id(module), _Evaluated(module)).users.add(moves)
        if sets_modes_itself(model):
            model.train(False)
        else:
            with _lock:
                for module in modules:
                    moves.set(module, False)
        yield moves
    finally:
        try:
            _give_back(modules, moves)
        except BaseException:  # Ctrl-C, which may come at any place
            _give_back(modules, moves)
            raise


def _give_back(modules: list[Module], moves: Moves) -> None:
    """Modules that nobody else needs get their own mode back, as far as they had to give it up."""
    with _lock:
        for module in modules:
            held = _evaluated.get(id(module))
            if held is not None:
                held.users.discard(moves)
                if not held.users:
                    moves.set(module, held.was)
                    del _evaluated[id(module)]


@contextmanager
def training(model: Module) -> Iterator[None]:
    """Training mode for a while; every module gets its own mode back."""
    with _lock:
        before = [(m, m.training, _evaluated.get(id(m))) for m in model.modules()]
    model.train(True)
    try:
        yield
    finally:
        with _lock:
            for module, was, held in before:
                # Where somebody predicted meanwhile, what he found counts, unless he still does.
                gone = held is not None and _evaluated.get(id(module)) is not held
                Moves().set(module, held.was if gone and held is not None else was)
