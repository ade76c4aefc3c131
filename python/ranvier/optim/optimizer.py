"""What all optimizers share: parameter groups, their settings, and the state of each parameter.

A learning rate lives in a tensor as well, so that a recorded step sees it change. The arithmetic
of an update is one op of the core; none of it is here.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from numbers import Real
from typing import Any, ClassVar

from ranvier import _C
from ranvier._C import Tensor
from ranvier._grad import enable_grad
from ranvier._layouts import laid_out_as
from ranvier.nn.module import clear_grad

# What makes a setting of a value, or None of what cannot be one; and what it must be, in words.
Rule = tuple[Callable[[Any], Any], str]
Closure = Callable[[], Any]


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


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _betas(value: Any) -> tuple[float, ...] | None:
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        return None
    betas = tuple(b for b in map(_not_negative, value) if b is not None and b < 1)
    return betas if len(betas) == 2 else None


NOT_NEGATIVE: Rule = (_not_negative, "a finite number of 0 or more")
FINITE: Rule = (_number, "a finite number")
FLAG: Rule = (_flag, "True or False")
BETAS: Rule = (_betas, "two numbers in [0, 1)")


class ParamGroup(dict[str, Any]):
    """Parameters that share their settings: `group["params"]`, `group["lr"]`, ...

    Setting `group["lr"]` also writes `group.lr`, the float64 tensor that the update ops read; a
    recorded step therefore follows it. Every other setting is a constant of a recorded step:
    record anew after changing one. Settings that the optimizer does not have are refused.
    """

    lr: Tensor
    kind: type[Optimizer]

    def __init__(self, kind: type[Optimizer], settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        self.kind = kind
        self.lr = _C.zeros((), _C.float64)
        self.update(settings)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return type(self), (self.kind, dict(self))

    def __setitem__(self, key: str, value: Any) -> None:
        self.update({key: value})

    def checked(self, new: Mapping[str, Any]) -> dict[str, Any]:
        """Settings as the group would hold them; a ValueError for one that it cannot hold."""
        kind = self.kind
        for key in new:
            if key not in self:
                raise unknown_setting(kind.__name__, key, self)
        values = {key: kind.checked(key, value) for key, value in new.items()}
        kind.check_together({**self, **values})
        return values

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Sets several settings: all, or none if one of them is wrong."""
        values = self.checked(dict(*args, **kwargs))
        if "lr" in values:
            # Not by an op, which would become part of a step that is being recorded.
            self.lr.numpy()[()] = values["lr"]
        super().update(values)

    def __ior__(self, other: Any) -> ParamGroup:  # type: ignore[override,misc]
        self.update(other)
        return self


class Optimizer:
    """Base class of optimizers.

    Parameters
    ----------
    params : iterable of Tensor, or iterable of dict
        What to learn; dicts are groups with settings of their own.
    defaults : dict
        The settings of groups that do not say otherwise.

    Attributes
    ----------
    param_groups : list of ParamGroup
        `param_groups[0]["lr"] = 0.01` may be set at any time.
    state : dict
        What the optimizer remembers for each parameter.

    Raises
    ------
    ValueError
        No parameters, one twice, or a setting out of range.
    TypeError
        What is no tensor.
    """

    rules: ClassVar[dict[str, Rule]] = {"lr": NOT_NEGATIVE}  # by the names of the settings
    state_names: ClassVar[tuple[str, ...]] = ()  # what is remembered for a parameter

    def __init__(self, params: Iterable[Any], defaults: Mapping[str, Any]) -> None:
        self.defaults = {key: self.checked(key, value) for key, value in defaults.items()}
        self.state: defaultdict[Tensor, dict[str, Tensor]] = defaultdict(dict)
        self.param_groups: list[ParamGroup] = []
        for group in _groups_from(params, self._where()):
            self.add_param_group(group)

    def _where(self) -> str:
        return type(self).__name__

    @classmethod
    def checked(cls, key: str, value: Any) -> Any:
        """The value as the setting holds it; a ValueError for one that it cannot have."""
        if key not in cls.rules:
            return value
        converted, words = cls.rules[key]
        result = converted(value)
        if result is None:
            raise ValueError(f"[{cls.__name__}] {key}: expected {words}, got {value!r}")
        return result

    @classmethod
    def check_together(cls, settings: Mapping[str, Any]) -> None:
        """Raises a ValueError for settings of a group that do not go together."""

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Adds parameters with settings of their own.

        Parameters
        ----------
        param_group : dict
            "params", and settings that differ from the defaults.
        """
        where = self._where()
        given = _params_of(param_group, where)
        for key in param_group:
            if key not in (*self.defaults, "params"):
                raise unknown_setting(where, key, ["params", *self.defaults])
        params = [given] if isinstance(given, Tensor) else list(given)
        _check_params(params, [p for g in self.param_groups for p in g["params"]], where)
        settings = {**self.defaults, **param_group, "params": params}
        self.param_groups.append(ParamGroup(type(self), settings))

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clears the gradients, or with `set_to_none=False` fills them with 0."""
        for group in self.param_groups:
            for parameter in group["params"]:
                clear_grad(parameter, set_to_none)

    def step(self, closure: Closure | None = None) -> Any:
        """Changes every parameter that has a gradient.

        Parameters
        ----------
        closure : callable, optional
            Computes loss and gradients first; what it returns is returned.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        if any(getattr(parameter, "replaced", False) for parameter in self._all()):
            raise RuntimeError(
                f"[{self._where()}] expected the model's parameters, got one that "
                "model.to(dtype) has replaced; make the optimizer after it"
            )
        before = _C.is_grad_enabled()
        _C.set_grad_enabled(False)
        try:
            for group in self.param_groups:
                for parameter in group["params"]:
                    grad = parameter.grad
                    if grad is not None:
                        self._update(group, parameter, grad)
        finally:
            _C.set_grad_enabled(before)
        return loss

    def _update(self, group: ParamGroup, param: Tensor, grad: Tensor) -> None:
        """One update op for one parameter; each optimizer has its own."""
        raise TypeError(f"[{self._where()}] expected a method '_update', got none")

    # --- saving

    def state_dict(self) -> dict[str, Any]:
        """Settings and state, with numbers in the place of parameters, as PyTorch's."""
        index = {id(p): i for i, p in enumerate(self._all())}
        state = {index[id(p)]: dict(values) for p, values in self.state.items()}
        groups = [{**g, "params": [index[id(p)] for p in g["params"]]} for g in self.param_groups]
        return {"state": state, "param_groups": groups}

    def _all(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes over settings and state: all of it, or nothing on an error.

        Raises
        ------
        ValueError
            Groups of other sizes, settings out of range, or the state of another optimizer.
        ShapeError
            State of another shape than its parameter's.
        TypeError
            What is no state of an optimizer.
        """
        where = self._where()
        groups, state = _parts_of(state_dict, where)
        given = [list(_params_of(group, where)) for group in groups]
        have = [len(group["params"]) for group in self.param_groups]
        come = [len(numbers) for numbers in given]
        if have != come:
            raise ValueError(
                f"[{where}] expected groups of {have} parameters, got {come}; make the optimizer "
                "for the same model first"
            )
        settings = [
            own.checked({key: value for key, value in group.items() if key != "params"})
            for own, group in zip(self.param_groups, groups, strict=True)
        ]
        params = self._all()
        by_number = dict(zip((n for numbers in given for n in numbers), params, strict=True))
        copies = {}
        for number, values in state.items():
            if number not in by_number:
                raise ValueError(
                    f"[{where}] state: expected the numbers of parameters, {list(by_number)}, "
                    f"got {number!r}"
                )
            copies[id(by_number[number])] = self._state_copies(values, by_number[number])
        for group, new in zip(self.param_groups, settings, strict=True):
            group.update(new)
        for parameter in params:
            self._take_state(parameter, copies.get(id(parameter), {}))

    def _state_copies(self, values: Any, parameter: Tensor) -> dict[str, Tensor]:
        where, names = self._where(), self.state_names
        if not isinstance(values, Mapping) or (values and set(values) != set(names)):
            got = list(values) if isinstance(values, Mapping) else type(values).__name__
            raise ValueError(
                f"[{where}] state: expected {', '.join(names) or 'nothing'} for each parameter, "
                f"got {got}; load the state of the same kind of optimizer"
            )
        return {name: _state_copy(name, values[name], parameter, where) for name in values}

    def _take_state(self, parameter: Tensor, new: dict[str, Tensor]) -> None:
        # Into the tensors that are there, as recorded steps hold them; zeros are a fresh start.
        old = self.state.get(parameter, {})
        for name, tensor in old.items():
            if name in new:
                tensor.copy_(new[name])
            else:
                tensor.fill_(0)
        if new or old:
            self.state[parameter] = {**new, **old}

    def __repr__(self) -> str:
        lines = [
            f"Parameter Group {i}\n    "
            + "\n    ".join(f"{k}: {v}" for k, v in sorted(group.items()) if k != "params")
            for i, group in enumerate(self.param_groups)
        ]
        return f"{type(self).__name__} (\n" + "\n\n".join(lines) + "\n)"


def new_state(like: Tensor) -> Tensor:
    """Zeros in the shape, dtype and order of axes of a parameter.

    Not made by ops, so that a recorded step goes on with it in place of starting at 0 again.
    """
    return laid_out_as(like, _C.state_zeros, like.dtype)


def new_count() -> Tensor:
    """A step count, moved on by the update op."""
    return _C.state_zeros((), _C.float64)


def _state_copy(name: str, value: Any, parameter: Tensor, where: str) -> Tensor:
    try:
        tensor = _C.as_tensor(value)
    except (TypeError, ValueError):
        raise TypeError(
            f"[{where}] {name}: expected a tensor, got {type(value).__name__}"
        ) from None
    expected = () if name == "step" else parameter.shape
    if tensor.shape != expected:
        raise _C.ShapeError(
            f"[{where}] {name}: expected shape {expected} as the parameter's, got {tensor.shape}"
        )
    if name == "step" and _not_negative(tensor) is None:
        raise ValueError(f"[{where}] step: expected a count of 0 or more, got {tensor.item()}")
    copy = new_count() if name == "step" else new_state(parameter)
    return copy.copy_(tensor)


def _groups_from(params: Iterable[Any], where: str) -> list[Mapping[str, Any]]:
    if isinstance(params, (Tensor, str, Mapping)) or not isinstance(params, Iterable):
        raise TypeError(
            f"[{where}] params: expected an iterable of tensors or dicts, got "
            f"{type(params).__name__}; pass model.parameters()"
        )
    given = list(params)
    if not given:
        raise ValueError(
            f"[{where}] params: expected at least one parameter, got none; a generator such as "
            "model.parameters() gives its parameters once only"
        )
    if all(isinstance(group, Mapping) for group in given):
        return given
    return [{"params": given}]


def _params_of(group: Mapping[str, Any], where: str) -> Any:
    if "params" not in group:
        raise ValueError(f"[{where}] expected 'params' in every group, got {list(group)}")
    return group["params"]


def _parts_of(state_dict: Any, where: str) -> tuple[list[Mapping[str, Any]], Mapping[Any, Any]]:
    """The groups and the state of a state_dict, each of the kind that it should be."""
    what = (
        "[{}] state_dict: expected 'state' and 'param_groups', as state_dict() gives them, got {}"
    )
    if not isinstance(state_dict, Mapping):
        raise TypeError(what.format(where, type(state_dict).__name__))
    if missing := [key for key in ("state", "param_groups") if key not in state_dict]:
        raise ValueError(what.format(where, f"none of the name {missing[0]!r}"))
    groups, state = state_dict["param_groups"], state_dict["state"]
    if not isinstance(groups, (list, tuple)) or not isinstance(state, Mapping):
        kinds = f"{type(state).__name__} and {type(groups).__name__}"
        raise TypeError(what.format(where, kinds))
    if wrong := [group for group in groups if not isinstance(group, Mapping)]:
        raise TypeError(what.format(where, f"a group that is {type(wrong[0]).__name__}"))
    return list(groups), state


def unknown_setting(where: str, key: Any, known: Iterable[str]) -> ValueError:
    """The error for a setting that an optimizer does not have, with the one that may be meant."""
    from difflib import get_close_matches  # only errors need it

    names, given = list(known), str(key)
    initials = "".join(word[:1] for word in given.split("_"))  # learning_rate: lr
    near = [name for name in names if name == initials] or get_close_matches(given, names, 1)
    meant = f"; did you mean {near[0]!r}?" if near else ""
    return ValueError(f"[{where}] expected settings out of {', '.join(names)}, got {key!r}{meant}")


def _check_params(params: list[Any], others: list[Tensor], where: str) -> None:
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
