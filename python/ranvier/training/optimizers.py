"""Optimizers by name, class or object, and the state that stays with a model between two fits.

The updates are in `ranvier.optim`; this file only finds, makes and keeps them.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ranvier import optim
from ranvier._C import Tensor
from ranvier.nn import Module
from ranvier.training.errors import look_up, warn
from ranvier.training.inputs import positive
from ranvier.training.kept import Kept
from ranvier.training.losses import Loss

_CLASSES = (
    "SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta", "Adamax", "NAdam", "RAdam", "Lion",
    "ASGD", "Rprop", "LBFGS",
)  # fmt: skip
_ATTRIBUTE = "_ranvier_last_fit"


@dataclass(frozen=True)
class Spec:
    """What was asked for: a class and its learning rate, given or the class's own."""

    kind: type[optim.Optimizer]
    lr: float

    def __str__(self) -> str:
        return f"{self.kind.__name__}(lr={self.lr:g})"


@dataclass
class LastFit:
    """What a model keeps from its last fit. It does not travel: copies of the model have none."""

    loss: Loss | None = None
    spec: Spec | None = None
    optimizer: optim.Optimizer | None = None
    kept: Kept | None = None

    def __reduce__(self) -> tuple[type[LastFit], tuple[()]]:
        return LastFit, ()


def last_fit(model: Module) -> LastFit:
    """What the model keeps from its last fit; empty where there was none."""
    kept = model.__dict__.get(_ATTRIBUTE)
    return kept if isinstance(kept, LastFit) else LastFit()


def remember(model: Module, loss: Loss, spec: Spec | None, optimizer: optim.Optimizer) -> LastFit:
    """Keep loss and optimizer with the model, but out of its parameters and state_dict."""
    last = LastFit(loss, spec, optimizer)
    object.__setattr__(model, _ATTRIBUTE, last)
    return last


def resolve(
    where: str, model: Module, optimizer: Any, lr: Any
) -> tuple[Spec | None, optim.Optimizer]:
    """The optimizer that an argument means, with its state where the last fit asked for the same.

    Raises
    ------
    TypeError, ValueError
        For what is no optimizer, trains nothing of this model, or has no such learning rate.
    """
    rate = None if lr is None else positive(where, "lr", lr)
    parameters: list[Tensor] = [p for p in model.parameters() if p.requires_grad]
    if not parameters:
        raise ValueError(
            f"[{where}] model: expected at least one parameter that requires a gradient, got none; "
            "layers in a plain list belong to nobody: nn.ModuleList or nn.Sequential holds them"
        )
    if isinstance(optimizer, optim.Optimizer):
        if rate is not None:
            raise ValueError(
                f"[{where}] lr: expected None beside an optimizer that has its own, got {lr!r:.60}"
            )
        if not _shares(_parameters_of(optimizer), parameters):
            raise ValueError(
                f"[{where}] optimizer: expected one made with this model's parameters, got "
                f"{type(optimizer).__name__} over others; make it from model.parameters()"
            )
        warn_of_strangers(where, model, optimizer)
        return None, optimizer
    kind = _kind(where, optimizer)
    make: Callable[..., optim.Optimizer] = kind
    if rate is None:
        rate = _default_rate(make)
    made: optim.Optimizer | None = None
    if rate is None:
        made = make(parameters)
        rate = float(made.param_groups[0]["lr"])
    spec, kept = Spec(kind, rate), last_fit(model)
    if kept.optimizer is not None:
        reason = _difference(kept, spec, parameters)
        if reason is None:
            for group in kept.optimizer.param_groups:  # a schedule may have changed it
                group["lr"] = spec.lr
            return spec, kept.optimizer
        warn(f"[{where}] optimizer: {spec} starts anew, as {reason}")
    return spec, make(parameters, lr=rate) if made is None else made


@functools.cache
def _default_rate(kind: Callable[..., optim.Optimizer]) -> float | None:
    """The learning rate of a class of optimizers, where its signature has one."""
    lr = inspect.signature(kind).parameters.get("lr")
    return float(lr.default) if lr and isinstance(lr.default, (int, float)) else None


def _difference(kept: LastFit, spec: Spec, parameters: list[Tensor]) -> str | None:
    """Why the kept optimizer cannot go on; None if it can."""
    assert kept.optimizer is not None
    if kept.spec != spec:
        return f"the last fit used {kept.spec or f'an own {type(kept.optimizer).__name__}'}"
    if list(map(id, _parameters_of(kept.optimizer))) != list(map(id, parameters)):
        return "the model has other parameters now"
    return None


def _kind(where: str, optimizer: Any) -> type[optim.Optimizer]:
    if isinstance(optimizer, str):
        return by_name(where, optimizer)
    if isinstance(optimizer, type) and issubclass(optimizer, optim.Optimizer):
        return optimizer
    raise TypeError(
        f"[{where}] optimizer: expected a name ({', '.join(_named())}), or a class or object of "
        f"ranvier.optim, got {optimizer!r:.60}"
    )


def by_name(where: str, name: str) -> type[optim.Optimizer]:
    """The class of this name; a ValueError with near misses otherwise."""
    return look_up(f"[{where}] optimizer", name, _named())


def _named() -> dict[str, type[optim.Optimizer]]:
    """Every optimizer that is there, by its name."""
    return {name.lower(): getattr(optim, name) for name in _CLASSES if hasattr(optim, name)}


def _parameters_of(optimizer: optim.Optimizer) -> list[Tensor]:
    return [p for group in optimizer.param_groups for p in group["params"]]


def warn_of_strangers(where: str, model: Module, optimizer: optim.Optimizer) -> None:
    """Warns where an optimizer holds others in place of some parameters of the model.

    To hold only some, or others besides all (those of a loss), is nothing to speak of.
    """
    own = {id(p): p.requires_grad for p in model.parameters()}
    held = _parameters_of(optimizer)
    strange = sum(id(p) not in own for p in held)
    lacks = any(trains for p, trains in own.items() if p not in set(map(id, held)))
    if strange and lacks:
        warn(
            f"[{where}] optimizer: expected this model's parameters, got {strange} of {len(held)} "
            "that belong to others or to a layer that was replaced; make it from "
            "model.parameters() after the last change of the model"
        )


def _shares(some: list[Tensor], others: list[Tensor]) -> bool:
    ids = {id(p) for p in others}
    return any(id(p) in ids for p in some)
