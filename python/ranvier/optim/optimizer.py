"""What all optimizers share: parameter groups, their settings, and the state of each parameter.

A learning rate lives in a tensor as well, so that a recorded step sees it change. The arithmetic
of an update is one op of the core; none of it is here.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from ranvier import _C
from ranvier._C import Tensor
from ranvier._grad import enable_grad
from ranvier.nn.module import clear_grad

Rule = tuple[Callable[[Any], bool], str]  # what a setting must fulfil, and the same in words
Closure = Callable[[], Any]


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


NOT_NEGATIVE: Rule = (lambda v: _number(v) and v >= 0, "a finite number of 0 or more")
FINITE: Rule = (_number, "a finite number")
FLAG: Rule = (_flag, "True or False")
BETAS: Rule = (
    lambda v: (
        isinstance(v, (tuple, list)) and len(v) == 2 and all(_number(b) and 0 <= b < 1 for b in v)
    ),
    "two numbers in [0, 1)",
)


class ParamGroup(dict[str, Any]):
    """Parameters that share their settings: `group["params"]`, `group["lr"]`, ...

    Setting `group["lr"]` also writes `group.lr`, the float64 tensor that the update ops read; a
    recorded step therefore follows it. Every other setting is a constant of a recorded step:
    record anew after changing one.
    """

    lr: Tensor
    kind: type[Optimizer]

    def __new__(cls, *args: Any, **kwargs: Any) -> ParamGroup:
        group = super().__new__(cls)
        group.lr, group.kind = _C.zeros((), _C.float64), Optimizer
        return group

    def __init__(self, kind: type[Optimizer], settings: Mapping[str, Any]) -> None:
        super().__init__()
        self.kind = kind
        self.update(settings)

    def __setitem__(self, key: str, value: Any) -> None:
        if isinstance(value, Tensor) and value.numel() == 1:
            value = value.item()
        self.check(key, value)
        if key == "lr":
            # Not by an op, which would become part of a step that is being recorded.
            self.lr.numpy()[()] = value
        super().__setitem__(key, value)

    def check(self, key: str, value: Any) -> None:
        """Raises a ValueError for a value that the setting cannot have."""
        holds, words = self.kind.rules.get(key, (lambda _: True, ""))
        if not holds(value):
            raise ValueError(f"[{self.kind.__name__}] {key}: expected {words}, got {value!r}")

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Sets several settings: all, or none if one of them is wrong."""
        new = dict(*args, **kwargs)
        for key, value in new.items():
            self.check(key, value)
        for key, value in new.items():
            self[key] = value

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

    rules: ClassVar[dict[str, Rule]] = {}

    def __init__(self, params: Iterable[Any], defaults: Mapping[str, Any]) -> None:
        self.defaults = dict(defaults)
        self.state: defaultdict[Tensor, dict[str, Tensor]] = defaultdict(dict)
        self.param_groups: list[ParamGroup] = []
        for group in _groups_from(params, self._where()):
            self.add_param_group(group)

    def _where(self) -> str:
        return type(self).__name__

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Adds parameters with settings of their own.

        Parameters
        ----------
        param_group : dict
            "params", and settings that differ from the defaults.
        """
        where = self._where()
        unknown = [key for key in param_group if key not in (*self.defaults, "params")]
        if unknown:
            known = ", ".join(["params", *self.defaults])
            raise ValueError(f"[{where}] expected settings out of {known}, got {unknown[0]!r}")
        given = param_group["params"]
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
        before = _C.is_grad_enabled()
        _C.set_grad_enabled(False)
        try:
            for group in self.param_groups:
                for parameter in group["params"]:
                    grad = parameter.grad
                    if grad is not None:
                        self._update(group, parameter, grad)
                    elif getattr(parameter, "replaced", False):
                        raise RuntimeError(
                            f"[{self._where()}] expected the model's parameters, got one that "
                            "model.to(dtype) has replaced; make the optimizer after it"
                        )
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
            Groups of other sizes, or settings out of range.
        ShapeError
            State of another shape than its parameter's.
        """
        groups, where = state_dict["param_groups"], self._where()
        have = [len(group["params"]) for group in self.param_groups]
        come = [len(group["params"]) for group in groups]
        if have != come:
            raise ValueError(
                f"[{where}] expected groups of {have} parameters, got {come}; make the optimizer "
                "for the same model first"
            )
        settings = [{k: v for k, v in group.items() if k != "params"} for group in groups]
        for group, new in zip(self.param_groups, settings, strict=True):
            for key, value in new.items():
                group.check(key, value)
        params = self._all()
        copies = {
            number: {name: _state_copy(name, value, params[number], where)
                     for name, value in values.items()}
            for number, values in state_dict["state"].items()
        }  # fmt: skip
        for group, new in zip(self.param_groups, settings, strict=True):
            group.update(new)
        for number, parameter in enumerate(params):
            self._take_state(parameter, copies.get(number, {}))

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
    order = sorted(range(like.ndim), key=lambda axis: -like.stride()[axis])
    zeros = _C.zeros([like.shape[axis] for axis in order], like.dtype)
    return zeros.permute([order.index(axis) for axis in range(like.ndim)])


def new_count() -> Tensor:
    """A step count, moved on by the update op."""
    return _C.zeros((), _C.float64)


def _state_copy(name: str, value: Any, parameter: Tensor, where: str) -> Tensor:
    tensor = _C.as_tensor(value)
    expected = () if name == "step" else parameter.shape
    if tensor.shape != expected:
        raise _C.ShapeError(
            f"[{where}] {name}: expected shape {expected} as the parameter's, got {tensor.shape}"
        )
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
        for group in given:
            if "params" not in group:
                raise ValueError(f"[{where}] expected 'params' in every group, got {list(group)}")
        return given
    return [{"params": given}]


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
