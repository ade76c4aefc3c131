"""From the parameters of a net estimator to a module and an optimizer, and what may be nested.

`module__hidden=64` is an argument of what makes the module, `optimizer__momentum=0.9` one of the
optimizer's class. Nothing here trains.
"""

from __future__ import annotations

import copy
import inspect
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from ranvier import nn, optim
from ranvier._C import Tensor
from ranvier._random import get_rng_state, manual_seed, set_rng_state
from ranvier.nn import Module
from ranvier.sklearn.network import ACTIVATIONS
from ranvier.training import optimizers
from ranvier.training.errors import look_up, near_misses
from ranvier.training.inputs import positive

PARTS = ("module", "optimizer")
# What a function that makes a module may ask for by name.
OFFERED = ("in_features", "out_features", "shape")


def dense(
    shape: tuple[int, ...],
    out_features: int,
    hidden: Any = (100,),
    activation: Any = "relu",
    dropout: float = 0.0,
    norm: str | None = None,
) -> nn.Sequential:
    """A network of dense layers, for rows of any shape: what is built where no module is given.

    Parameters
    ----------
    shape : tuple of int
        Of one row; several axes are joined.
    out_features : int
    hidden : int or sequence of int
        The sizes of the hidden layers.
    activation : str or class of modules
        Behind each of them.
    dropout : float
        The share of each hidden layer's outputs that training leaves out.
    norm : {"batch", "layer"}, optional
        What each hidden layer's sums go through before the activation.

    Returns
    -------
    Sequential
    """
    sizes = [int(hidden)] if np.ndim(hidden) == 0 else [int(size) for size in hidden]
    norms = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm}
    layers: list[Module] = [nn.Flatten()] if len(shape) > 1 else []
    width = int(np.prod(shape))
    for size in sizes:
        layers.append(nn.Linear(width, size))
        if norm is not None:
            layers.append(look_up("[dense] norm", norm, norms)(size))
        if isinstance(activation, str):
            layers.append(look_up("[dense] activation", activation, ACTIVATIONS)())
        else:
            layers.append(activation())
        if dropout:
            layers.append(nn.Dropout(dropout))
        width = size
    return nn.Sequential(*layers, nn.Linear(width, out_features))


def check_nested(who: str, module: Any, optimizer: Any, names: list[str]) -> None:
    """A ValueError for a nested parameter that its part does not take.

    Parameters
    ----------
    who : str
        Of whose parameters.
    module, optimizer : as given to the estimator
    names : list of str
        Such as "module__hidden".
    """
    for name in names:
        part, _, own = name.partition("__")
        taken = _module_takes(module) if part == "module" else _optimizer_takes(optimizer)
        if taken is None or own in taken:
            continue
        if not taken:
            raise ValueError(
                f"Invalid parameter {name!r} for estimator {who}. [{who}] {part}: expected a class "
                f"or a function beside {name}, got {_kind_of(module, optimizer, part)}"
            )
        near = near_misses(own, taken).replace("'", f"'{part}__", 1) if taken else ""
        raise ValueError(
            f"Invalid parameter {name!r} for estimator {who}. [{who}] {part}: expected one of "
            f"{', '.join(f'{part}__{other}' for other in taken)}, got {name!r}{near}"
        )


def _kind_of(module: Any, optimizer: Any, part: str) -> str:
    given = module if part == "module" else optimizer
    return f"an object of {type(given).__name__}"


def _module_takes(module: Any) -> list[str] | None:
    """The arguments of what makes a module; None where it takes any."""
    if isinstance(module, Module):
        return []
    return _arguments(dense if module is None else module)


def _optimizer_takes(optimizer: Any) -> list[str] | None:
    if isinstance(optimizer, str):
        kinds = {name.lower(): getattr(optim, name) for name in optim.__all__}
        optimizer = kinds.get(optimizer.lower())
        if optimizer is None:
            return None  # that it is no name is said when it is looked up
    if not (isinstance(optimizer, type) and issubclass(optimizer, optim.Optimizer)):
        return []
    taken = _arguments(optimizer)
    return None if taken is None else [name for name in taken if name not in ("params", "self")]


def _arguments(function: Any) -> list[str] | None:
    if not callable(function):
        return []
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    return [p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.POSITIONAL_ONLY)]


def build(
    who: str, module: Any, nested: Mapping[str, Any], shape: tuple[int, ...], outputs: int
) -> Module:
    """A module of one's own for an estimator.

    Parameters
    ----------
    who : str
    module : Module, class, function or None
        An object is copied, weights included; a class or function is called with `nested` and with
        what it asks for out of `OFFERED`; None stands for `dense`.
    nested : mapping of str to object
    shape : tuple of int
        Of a row.
    outputs : int
        How many numbers it should give for a row.

    Raises
    ------
    TypeError, ValueError
        For what makes no module, or asks for something else.
    """
    if isinstance(module, Module):
        return copy.deepcopy(module)
    factory = dense if module is None else module
    if not callable(factory):
        raise TypeError(
            f"[{who}] module: expected an nn.Module, or a class or function that makes one, got "
            f"{module!r:.60}"
        )
    offered = {
        "in_features": int(np.prod(shape)), "out_features": outputs, "shape": tuple(shape),
    }  # fmt: skip
    named: dict[str, Any] = dict(nested)
    try:
        parameters = inspect.signature(factory).parameters
    except (TypeError, ValueError):
        parameters = {}  # type: ignore[assignment]
    for name, parameter in parameters.items():
        if name in named or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if name in offered:
            named[name] = offered[name]
        elif parameter.default is parameter.empty:
            raise ValueError(
                f"[{who}] module: expected a function of {', '.join(OFFERED)} and of arguments "
                f"with defaults, got one that needs {name!r}; give it by module__{name}="
            )
    made = factory(**named)
    if not isinstance(made, Module):
        raise TypeError(
            f"[{who}] module: expected {getattr(factory, '__name__', 'it')} to make an nn.Module, "
            f"got {type(made).__name__}"
        )
    return made


def optimizer_of(
    who: str, given: Any, trained: list[Tensor], lr: float | None, nested: Mapping[str, Any]
) -> optim.Optimizer:
    """A new optimizer by name or class, or from a function of the parameters."""
    if isinstance(given, str):
        given = optimizers.by_name(who, given)
    if isinstance(given, type) and issubclass(given, optim.Optimizer):
        make: Callable[..., optim.Optimizer] = given
        rate = {} if lr is None else {"lr": positive(who, "lr", lr)}
        return make(trained, **{**rate, **nested})
    made = given(trained) if callable(given) else None
    if not isinstance(made, optim.Optimizer):
        raise TypeError(
            f"[{who}] optimizer: expected a name such as 'adamw', a class of ranvier.optim, or a "
            f"function of the parameters that makes one, got {given!r:.60}"
        )
    return made


_drawing = threading.RLock()  # there is one default generator


@contextmanager
def drawing(seed: int) -> Iterator[None]:
    """Random numbers of the default generator follow from a seed; afterwards it is as before."""
    with _drawing:
        before = get_rng_state()
        manual_seed(seed)
        try:
            yield
        finally:
            set_rng_state(before)
