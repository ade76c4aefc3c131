"""What `compile` was given, and what the optimizer remembers, as plain data and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ranvier._C import Tensor
from ranvier.io.kinds import plain
from ranvier.keras._files.values import (
    OWN,
    DescribeError,
    decoded,
    described,
    encoded,
    place_of,
)
from ranvier.keras.optimizers.optimizer import Optimizer
from ranvier.keras.training.trainer import Trainer
from ranvier.keras.variables import Variable

JSON = dict[str, Any]

_ERRORS = (
    TypeError, ValueError, KeyError, IndexError, AttributeError, RuntimeError, OverflowError,
    RecursionError,
)  # fmt: skip
_GIVEN = ("loss", "loss_weights", "metrics", "weighted_metrics")
_KEYS = {"is", "module", "class", "config", "steps", "stepped", "trains", "state", "not_decayed"}


def written(model: Any, names: Mapping[int, str]) -> JSON | None:
    """What trains and measures a model, as plain data; None where it is not compiled.

    Parameters
    ----------
    model : Layer
    names : mapping of int to str
        Of its weights, by identity.

    Raises
    ------
    DescribeError
        Where something has no name to be found by.
    """
    if not isinstance(model, Trainer) or model._compiled is None:
        return None
    if type(model).compile is not Trainer.compile:
        if type(model).get_compile_config is Trainer.get_compile_config:
            raise DescribeError(
                f"{type(model).__name__} has a compile of its own, and no get_compile_config and "
                "compile_from_config"
            )
        return {"own": encoded(model.get_compile_config())}
    parts: JSON = {}
    for name, given in zip(_GIVEN, model._compiled._given, strict=True):
        try:
            parts[name] = encoded(given)
        except DescribeError as error:
            raise DescribeError(f"{name}: {error}") from None
    try:
        optimizer = _optimizer(model.optimizer, names)
    except DescribeError as error:
        raise DescribeError(f"optimizer: {error}") from None
    return {"optimizer": optimizer, **parts}


def _optimizer(optimizer: Optimizer, names: Mapping[int, str]) -> JSON:
    """An optimizer with its settings and its state."""
    made = described(optimizer)
    rate = optimizer._schedule
    if rate is not None and place_of(type(rate) if hasattr(rate, "get_config") else rate)[0] == OWN:
        made["config"]["learning_rate"] = encoded(rate)
    ids, words = optimizer._not_decayed
    found = {number: names.get(number) for number in ids}
    inner = optimizer.inner
    made |= {
        "steps": optimizer._steps,
        "not_decayed": [[name for name in found.values() if name is not None], list(words)],
    }
    if inner is None:
        return made
    trained = [p for group in inner.param_groups for p in group["params"]]
    missing = [p for p in trained if id(p) not in names]
    if missing:
        raise DescribeError(f"it trains {getattr(missing[0], 'path', 'a weight')}, which is no "
                            "weight of the model")  # fmt: skip
    state = {names[id(p)]: dict(values) for p, values in inner.state.items()}
    return made | {
        "stepped": bool(inner.stepped),
        "trains": [names[id(p)] for p in trained],
        "state": encoded(state),
    }


def compile_by(model: Any, parts: Any, weights: Mapping[str, Variable]) -> None:
    """Compiles a model as it was, with the optimizer where it was.

    Raises
    ------
    ValueError
        For what `written` does not write.
    """
    if not isinstance(model, Trainer):
        raise ValueError(f"compile: expected a model, got {type(model).__name__}")
    if isinstance(parts, dict) and set(parts) == {"own"}:
        _own_compile(model, parts["own"])
        return
    if not isinstance(parts, dict) or not {"optimizer", *_GIVEN} >= set(parts):
        raise ValueError(f"compile: expected optimizer, loss and metrics, got {parts!r:.60}")
    told = parts.get("optimizer")
    if not isinstance(told, dict) or not set(told) <= _KEYS or "class" not in told:
        raise ValueError(f"compile: expected an optimizer, got {told!r:.60}")
    try:
        optimizer = decoded({key: told.get(key) for key in ("is", "module", "class", "config")})
        if not isinstance(optimizer, Optimizer):
            raise ValueError(f"expected an optimizer, got {type(optimizer).__name__}")
        given = {name: decoded(parts.get(name)) for name in _GIVEN}
        model.compile(optimizer=optimizer, **given)
        _put_state(optimizer, told, weights)
    except _ERRORS as error:
        raise ValueError(f"compile: {plain(str(error), 400)}") from None


def _own_compile(model: Trainer, config: Any) -> None:
    """Compiles a model that has a way of its own."""
    if type(model).compile_from_config is Trainer.compile_from_config:
        raise ValueError(f"compile: expected compile_from_config, got none of {model.name}")
    try:
        model.compile_from_config(decoded(config))
    except _ERRORS as error:
        raise ValueError(f"compile: {plain(str(error), 400)}") from None


def _put_state(optimizer: Optimizer, told: JSON, weights: Mapping[str, Variable]) -> None:
    """Steps and memory of an optimizer."""
    steps, decay = told.get("steps", 0), told.get("not_decayed", [[], []])
    if type(steps) is not int or not 0 <= steps < 2**62:
        raise ValueError(f"steps: expected a number of steps, got {steps!r:.40}")
    lists = isinstance(decay, list) and len(decay) == 2
    if not lists or not all(
        isinstance(part, list) and all(isinstance(word, str) for word in part) for part in decay
    ):
        raise ValueError(f"not_decayed: expected two lists of names, got {decay!r:.60}")
    names, words = decay
    optimizer.exclude_from_weight_decay([_weight(name, weights) for name in names], words)
    if "trains" not in told:
        optimizer._steps = steps
        return
    trained, state = told["trains"], decoded(told.get("state", {}))
    if not isinstance(trained, list) or not isinstance(state, dict):
        raise ValueError(f"trains: expected names and their state, got {trained!r:.60}")
    if len(set(map(str, trained))) < len(trained):
        raise ValueError(f"trains: expected names that differ, got {trained!r:.60}")
    optimizer.build([_weight(name, weights) for name in trained])
    inner = optimizer.inner
    assert inner is not None
    own = [p for group in inner.param_groups for p in group["params"]]
    places = {id(p): i for i, p in enumerate(own)}
    kept = inner.state_dict()
    kept["state"] = {}
    for name, values in state.items():
        place = places.get(id(_weight(name, weights)))
        if place is None:
            raise ValueError(f"state: expected weights that it trains, got {plain(name)!r}")
        kept["state"][place] = _values(name, values)
    inner.load_state_dict(kept)
    inner.stepped, optimizer._steps = bool(told.get("stepped", False)), steps


def _values(name: str, values: Any) -> Any:
    """The state of one weight: tensors by name."""
    if not isinstance(values, dict) or not all(isinstance(t, Tensor) for t in values.values()):
        raise ValueError(f"state of {plain(name)}: expected tensors, got {values!r:.60}")
    return values


def _weight(name: Any, weights: Mapping[str, Variable]) -> Variable:
    if not isinstance(name, str) or name not in weights:
        raise ValueError(f"expected the name of a weight, got {plain(str(name))!r}")
    return weights[name]
