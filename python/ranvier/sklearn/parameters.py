"""What the parameters of the multi-layer perceptrons may be, in scikit-learn's words.

Each is looked at in `fit`, as scikit-learn does; what a value means is said where it is used.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np

from ranvier.sklearn.methods import known_class
from ranvier.training.errors import near_misses


class Rule(NamedTuple):
    """Whether a value may be, what may be in words, and the names that it may have."""

    holds: Callable[[Any], bool]
    words: str
    names: tuple[str, ...] = ()


def _interval(kind: Any, low: float, high: float, closed: str) -> Rule:
    """Numbers between two borders, of which `closed` ("[", "]", "[]", "") belong to them."""

    def holds(value: Any) -> bool:
        if not isinstance(value, kind) or math.isnan(value):
            return False
        above = value >= low if "[" in closed else value > low
        return bool(above and (value <= high if "]" in closed else value < high))

    whole = kind is Integral
    first, last = ("[" if "[" in closed else "("), ("]" if "]" in closed else ")")
    ends = ", ".join("inf" if math.isinf(e) else str(int(e) if whole else e) for e in (low, high))
    return Rule(holds, f"{'an int' if whole else 'a float'} in the range {first}{ends}{last}")


def _among(*names: str) -> Rule:
    listed = ", ".join(map(repr, names))
    return Rule(lambda v: isinstance(v, str) and v in names, f"a str among {{{listed}}}", names)


def _one_of(*rules: Rule) -> Rule:
    *first, last = [rule.words for rule in rules]
    words = f"{', '.join(first)} or {last}"
    names = tuple(name for rule in rules for name in rule.names)
    return Rule(lambda v: any(rule.holds(v) for rule in rules), words, names)


def _is_listed(value: Any) -> bool:
    return not isinstance(value, (str, bytes, Mapping)) and hasattr(value, "__len__")


_NONE = Rule(lambda v: v is None, "None")
_LIST = Rule(lambda v: _is_listed(v) and np.ndim(v) > 0, "an array-like")
_FLAG = Rule(
    lambda v: isinstance(v, (bool, np.bool_)),
    "an instance of 'bool' or an instance of 'numpy.bool'",
)
_WHOLE = _interval(Integral, 1, math.inf, "[")
_SHARE = _interval(Real, 0.0, 1.0, "[")
_NOT_NEGATIVE = _interval(Real, 0.0, math.inf, "[")
_POSITIVE = _interval(Real, 0.0, math.inf, "")

RULES: dict[str, Rule] = {
    "hidden_layer_sizes": _one_of(_LIST, _WHOLE),
    "solver": _among("lbfgs", "sgd", "adam"),
    "alpha": _NOT_NEGATIVE,
    "batch_size": _one_of(_among("auto"), _WHOLE),
    "learning_rate": _among("constant", "invscaling", "adaptive"),
    "learning_rate_init": _POSITIVE,
    "power_t": _NOT_NEGATIVE,
    "max_iter": _WHOLE,
    "shuffle": _FLAG,
    "random_state": _one_of(
        _interval(Integral, 0, 4294967295, "[]"),
        Rule(
            lambda v: isinstance(v, np.random.RandomState) or v is np.random,
            "an instance of 'numpy.random.mtrand.RandomState'",
        ),
        _NONE,
    ),
    "tol": _NOT_NEGATIVE,
    "verbose": _one_of(_interval(Integral, 0, math.inf, "["), _FLAG),
    "warm_start": _FLAG,
    "momentum": _interval(Real, 0.0, 1.0, "[]"),
    "nesterovs_momentum": _FLAG,
    "early_stopping": _FLAG,
    "validation_fraction": _SHARE,
    "beta_1": _SHARE,
    "beta_2": _SHARE,
    "epsilon": _POSITIVE,
    "n_iter_no_change": _one_of(
        _WHOLE, Rule(lambda v: isinstance(v, Real) and v == math.inf, "a float among {inf}")
    ),
    "max_fun": _WHOLE,
    # Ranvier's own.
    "dropout": _one_of(_SHARE, Rule(lambda v: _all(_SHARE, v), "a list of them")),
    "norm": _one_of(_among("batch", "layer"), _NONE),
    "clip_norm": _one_of(_POSITIVE, _NONE),
    "accumulate": _WHOLE,
    "progress": _FLAG,
}


def _all(rule: Rule, values: Any) -> bool:
    return _is_listed(values) and all(map(rule.holds, values))


def check(estimator: Any, more: Mapping[str, Rule]) -> None:
    """An error for the first parameter that cannot be, in scikit-learn's words.

    Parameters
    ----------
    estimator : Estimator
    more : mapping of str to Rule
        For those parameters that depend on the kind of estimator.
    """
    for name, rule in {**RULES, **more}.items():
        value = getattr(estimator, name)
        if not rule.holds(value):
            refuse(estimator, name, rule, value)


def refuse(estimator: Any, name: str, rule: Rule, value: Any) -> None:
    """Raises scikit-learn's own error where a program has imported it, else a ValueError."""
    kind = known_class("InvalidParameterError", ValueError, "sklearn.utils._param_validation")
    near = near_misses(value, rule.names) if isinstance(value, str) and rule.names else ""
    raise kind(
        f"The {name!r} parameter of {type(estimator).__name__} must be {rule.words}. Got "
        f"{value!r} instead.{near.replace('; d', ' D')}"
    )


def names(*given: str) -> Rule:
    """One of some names."""
    return _among(*given)


def or_else(rule: Rule, holds: Callable[[Any], bool], words: str) -> Rule:
    """What a rule says, or something else."""
    return _one_of(rule, Rule(holds, words))


def sizes(estimator: Any, given: Any) -> list[int]:
    """The sizes of hidden layers as a list."""
    listed = list(given) if isinstance(given, Iterable) else [given]
    if any(not isinstance(size, (Integral, Real)) or size <= 0 for size in listed):
        raise ValueError(f"hidden_layer_sizes must be > 0, got {listed}.")
    if any(not isinstance(size, Integral) for size in listed):
        name = type(estimator).__name__
        raise TypeError(
            f"[{name}] hidden_layer_sizes: expected whole numbers, got {listed}: a 'float' object "
            "cannot be interpreted as an integer"
        )
    return [int(size) for size in listed]
