"""Parameter groups and their settings: what may be set, to what, and under which names.

Learning rate and momentum live in tensors as well, so that a recorded step sees them change.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any

from ranvier import _C
from ranvier._C import Tensor
from ranvier._recording import Recordings, note_setting
from ranvier.optim.heard import HeardList

if TYPE_CHECKING:
    from ranvier.optim.optimizer import Optimizer

# What makes a setting of a value, or None of what cannot be one; and what it must be, in words.
Rule = tuple[Callable[[Any], Any], str]


# --- settings -----------------------------------------------------------------------------------


def _number(value: Any) -> float | None:
    """Python's number for whatever holds a finite one: NumPy's, or a tensor of one element."""
    if isinstance(value, Tensor) and value.numel() == 1:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, (int, float, Real)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    if not math.isfinite(number):
        return None
    return value if type(value) is int else number


def _not_negative(value: Any) -> float | None:
    number = _number(value)
    return number if number is not None and number >= 0 else None


def _share(value: Any) -> float | None:
    number = _not_negative(value)
    return number if number is not None and number <= 1 else None


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _count(value: Any) -> int | None:
    return value if type(value) is int and value >= 1 else None


def _pair(value: Any, fits: Callable[[float, float], bool]) -> tuple[float, float] | None:
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        return None
    first, second = map(_not_negative, value)
    if first is None or second is None or not fits(first, second):
        return None
    return first, second


NOT_NEGATIVE: Rule = (_not_negative, "a finite number of 0 or more")
FINITE: Rule = (_number, "a finite number")
SHARE: Rule = (_share, "a number from 0 to 1")
COUNT: Rule = (_count, "a whole number of 1 or more")
FLAG: Rule = (_flag, "True or False")
BETAS: Rule = (lambda value: _pair(value, lambda a, b: a < 1 and b < 1), "two numbers in [0, 1)")
ETAS: Rule = (
    lambda value: _pair(value, lambda a, b: 0 < a < 1 < b),
    "two numbers, one between 0 and 1 and one above 1",
)
RANGE: Rule = (
    lambda value: _pair(value, lambda a, b: a <= b),
    "two numbers of 0 or more, in order",
)

# How PyTorch shall compute. There is one way here: they may be given, and change nothing.
OPTIONS = ("foreach", "fused", "capturable", "differentiable")
# What schedulers keep in a group, and the names of parameters.
EXTRAS = ("initial_lr", "max_lr", "min_lr", "base_momentum", "max_momentum", "param_names")


def unknown_setting(where: str, key: Any, known: Iterable[str]) -> ValueError:
    """The error for a setting that an optimizer does not have, with the one that may be meant."""
    from difflib import get_close_matches  # only errors need it

    names, given = [name for name in known if name not in OPTIONS], str(key)
    initials = "".join(word[:1] for word in given.split("_"))  # learning_rate: lr
    near = [name for name in names if name == initials] or get_close_matches(given, names, 1)
    meant = f"; did you mean {near[0]!r}?" if near else ""
    return ValueError(f"[{where}] expected settings out of {', '.join(names)}, got {key!r}{meant}")


# --- groups -------------------------------------------------------------------------------------


class ParamGroup(dict[str, Any]):
    """Parameters that share their settings: `group["params"]`, `group["lr"]`, ...

    Setting `group["lr"]` also writes `group.lr`, the float64 tensor that the update ops read; a
    recorded step therefore follows it, and likewise "momentum", or the first of "betas", in
    `group.momentum`. Every other setting is a constant of a recorded step: record anew after
    changing one. Settings that the optimizer does not have are refused.
    """

    lr: Tensor
    momentum: Tensor
    kind: type[Optimizer]
    form: tuple[tuple[str | None, ...], tuple[Any, ...]] | None = None  # what the op is given

    def __init__(self, kind: type[Optimizer], settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        self.kind = kind
        self.read: set[str] = set()  # by recorded steps, as numbers
        # Made by no op: a step that is recorded goes on with them.
        self.lr = _C.state_zeros((), _C.float64)
        self.momentum = _C.state_zeros((), _C.float64)
        self.update(settings)

    def __getitem__(self, key: str) -> Any:
        value = super().__getitem__(key)
        if Recordings.count and key != "params":
            note_setting(self, key, value)
        return value

    def get(self, key: str, default: Any = None) -> Any:
        """As that of a dict."""
        value = super().get(key, default)
        if Recordings.count and key != "params":
            note_setting(self, key, value)
        return value

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return type(self), (self.kind, dict(self))

    def __setitem__(self, key: str, value: Any) -> None:
        self.update({key: value})

    def checked(self, new: Mapping[str, Any]) -> dict[str, Any]:
        """Settings as the group would hold them; a ValueError for one that it cannot hold."""
        kind = self.kind
        for key in new:
            if key not in self and key not in EXTRAS:
                raise unknown_setting(kind.__name__, key, self)
        values = {key: kind.checked(key, value) for key, value in new.items()}
        kind.check_together({**self, **values})
        return values

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Sets several settings: all, or none if one of them is wrong."""
        values = self.checked(dict(*args, **kwargs))
        if isinstance(values.get("params"), list):
            values["params"] = HeardList(values["params"])
        # Not by ops, which would become part of a step that is being recorded.
        if "lr" in values:
            _C.set_number(self.lr, values["lr"])
        if "momentum" in values:
            _C.set_number(self.momentum, values["momentum"])
        if "betas" in values:
            _C.set_number(self.momentum, values["betas"][0])
        turned = self._turned(values)
        super().update(values)
        self.form = None
        if turned:
            _C.structure_changed()

    def _turned(self, values: Mapping[str, Any]) -> bool:
        """Whether these settings change what a recorded step does, and not only its numbers."""
        if not (self.read.isdisjoint(values) and self.kind.reads_slots()):
            return True
        for key, value in values.items():
            old = self.get(key)
            if key == "momentum" and bool(old) == bool(value):
                continue
            if key == "betas" and old and old[1] == value[1]:
                continue
            if key != "lr" and key not in EXTRAS:
                return True
        return False

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The setting, which becomes `default` where it is not there."""
        if key not in self:
            self.update({key: default})
        return self[key]

    def __ior__(self, other: Any) -> ParamGroup:  # type: ignore[override,misc]
        self.update(other)
        return self


def groups_from(params: Iterable[Any], where: str) -> list[Mapping[str, Any]]:
    """What an optimizer is made with, as one dict a group.

    Raises
    ------
    TypeError, ValueError
        For what is no iterable of parameters or dicts, or is empty.
    """
    if isinstance(params, (Tensor, str, Mapping)) or not isinstance(params, Iterable):
        raise TypeError(
            f"[{where}] params: expected an iterable of tensors or dicts, got "
            f"{type(params).__name__}; pass model.parameters()"
        )
    given = list(params)
    if not given:
        raise ValueError(
            f"[{where}] params: expected at least one parameter, got none; a generator such as "
            "model.parameters() gives its parameters once only, and layers in a plain list are "
            "no part of a model: nn.ModuleList"
        )
    if all(isinstance(group, Mapping) for group in given):
        return given
    return [{"params": given}]


def params_of(group: Mapping[str, Any], where: str) -> Any:
    """The parameters of a group; a ValueError where it has none."""
    if "params" not in group:
        raise ValueError(f"[{where}] expected 'params' in every group, got {list(group)}")
    return group["params"]


def without_names(given: Any) -> tuple[list[Any], list[str] | None]:
    """Parameters, and their names where pairs as those of `named_parameters()` are given."""
    params = [given] if isinstance(given, Tensor) else list(given)
    named = [p for p in params if isinstance(p, tuple) and len(p) == 2 and isinstance(p[0], str)]
    if not params or len(named) != len(params):
        return params, None
    return [p for _, p in named], [name for name, _ in named]


def check_params(params: list[Any], others: list[Tensor], where: str) -> None:
    """Raises for what cannot be learned, or is there already."""
    if not params:
        raise ValueError(f"[{where}] params: expected at least one parameter in a group, got none")
    seen = {id(p) for p in others}
    for i, parameter in enumerate(params):
        if not isinstance(parameter, Tensor):
            raise TypeError(
                f"[{where}] params: expected tensors, got {type(parameter).__name__} at place {i}"
            )
        if not parameter.is_leaf or not parameter.dtype.is_floating_point:
            raise ValueError(
                f"[{where}] params: expected floating leaves, got a result or integers at place {i}"
            )
        if id(parameter) in seen:
            raise ValueError(f"[{where}] params: expected each parameter once, got place {i} twice")
        seen.add(id(parameter))
