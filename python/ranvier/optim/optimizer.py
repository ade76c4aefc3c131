"""What all optimizers share: parameter groups, the state of each parameter, hooks and saving.

The arithmetic of an update is one op of the core; none of it is here.
"""

from __future__ import annotations

import copy
import functools
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from ranvier import _C
from ranvier._C import Tensor
from ranvier._grad import enable_grad, no_grad
from ranvier._layouts import laid_out_as
from ranvier._recording import Recordings, note_optimizer, witness
from ranvier.autograd.gradients import RemovableHandle
from ranvier.nn.module import clear_grad
from ranvier.optim.groups import (
    EXTRAS,
    FLAG,
    NOT_NEGATIVE,
    OPTIONS,
    ParamGroup,
    Rule,
    check_params,
    groups_from,
    params_of,
    unknown_setting,
    without_names,
)
from ranvier.optim.heard import Heard, HeardDict, HeardList, State, Steering

Closure = Callable[[], Any]
Step = TypeVar("Step", bound=Callable[..., Any])

SINGLES = ("step", "mu_product", "eta", "mu")  # state that is one number for a parameter


def _with_hooks(step: Step) -> Step:
    """A step that calls the hooks, once though it may call the step of its base class."""

    @functools.wraps(step)
    def hooked(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        if self._stepping:
            return step(self, *args, **kwargs)
        if Recordings.count and witness.active and not witness.stepping:
            note_optimizer(self)
            witness.stepping = True
            try:
                return hooked(self, *args, **kwargs)
            finally:
                witness.stepping = False
        if not (self._pre_hooks or self._post_hooks):
            result = step(self, *args, **kwargs)
            self.stepped = True
            return result
        self._stepping, given = True, (self, *args)
        try:
            for before in tuple(self._pre_hooks.values()):
                given, kwargs = _replaced(before(self, given, kwargs), given, kwargs)
            result = step(*given, **kwargs)
            for after in tuple(self._post_hooks.values()):
                after(self, given, kwargs)
        finally:
            self._stepping = False
        self.stepped = True
        return result

    return hooked  # type: ignore[return-value]


def _replaced(answer: Any, args: Any, kwargs: Any) -> tuple[Any, Any]:
    if answer is None:
        return args, kwargs
    if isinstance(answer, tuple) and len(answer) == 2:
        return answer
    raise RuntimeError(
        "[register_step_pre_hook] hook: expected None or new (args, kwargs) as its result, got "
        f"{type(answer).__name__}"
    )


class Optimizer:
    """Base class of optimizers.

    Parameters
    ----------
    params : iterable of Tensor, of (str, Tensor), or of dict
        What to learn; dicts are groups with settings of their own.
    defaults : dict
        The settings of groups that do not say otherwise.

    Attributes
    ----------
    param_groups : list of ParamGroup
        `param_groups[0]["lr"] = 0.01` may be set at any time.
    state : dict
        What the optimizer remembers for each parameter.
    stepped : bool
        Whether a step was taken.

    Raises
    ------
    ValueError
        No parameters, one twice, or a setting out of range.
    TypeError
        What is no tensor.

    Notes
    -----
    `foreach`, `fused`, `capturable` and `differentiable` say in PyTorch how a step is computed.
    Optimizers take them and do what they always do; no gradient goes through a step.

    An own optimizer has either a method `step`, or `_update(group, param, grad)` for one parameter.

    Examples
    --------
    >>> import ranvier as rv
    >>> class Signs(rv.optim.Optimizer):
    ...     def __init__(self, params, lr=0.1):
    ...         super().__init__(params, {"lr": lr})
    ...
    ...     def _update(self, group, param, grad):
    ...         param.sub_(group["lr"] * grad.sign())
    >>> w = rv.tensor([1.0], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> Signs([w]).step()
    >>> w
    tensor([0.9000], requires_grad=True)
    """

    rules: ClassVar[dict[str, Rule]] = {"lr": NOT_NEGATIVE}  # by the names of the settings
    op: ClassVar[Any] = None  # the update of many parameters, one of `ranvier.ops`
    # What may be remembered for a parameter; None: anything.
    state_names: ClassVar[tuple[str, ...] | None] = None

    # What multiplies all gradients as they are read, by the name that it has in PyTorch.
    grad_scale = Steering()
    # Where this bool is False the next step changes nothing, neither parameters nor state; what
    # is computed without reading a value. Only where `takes_finite`.
    finite = Steering()

    if TYPE_CHECKING:
        state: defaultdict[Tensor, dict[str, Any]]
        param_groups: list[ParamGroup]
    else:
        state = Heard(State)
        param_groups = Heard(HeardList)

    _stepping = False
    _warned = False
    stepped = False

    def __init__(self, params: Iterable[Any], defaults: Mapping[str, Any]) -> None:
        self.defaults = {key: self.checked(key, value) for key, value in defaults.items()}
        self.state = State()
        self.param_groups = HeardList()
        self._pre_hooks: dict[int, Callable[..., Any]] = {}
        self._post_hooks: dict[int, Callable[..., Any]] = {}
        self._hooks_made = 0
        for group in groups_from(params, self._where()):
            self.add_param_group(group)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "step" in cls.__dict__:
            cls.step = _with_hooks(cls.__dict__["step"])  # type: ignore[method-assign]

    def __getstate__(self) -> dict[str, Any]:
        # Hooks are functions of this process.
        return {**self.__dict__, "_pre_hooks": {}, "_post_hooks": {}}

    def _where(self) -> str:
        return type(self).__name__

    @classmethod
    def checked(cls, key: str, value: Any) -> Any:
        """The value as the setting holds it; a ValueError for one that it cannot have."""
        if key in OPTIONS:
            if value is None:
                return None
            converted, words = FLAG[0], "True, False or None"
        elif key in cls.rules:
            converted, words = cls.rules[key]
        else:
            return value
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
        given = params_of(param_group, where)
        for key in param_group:
            if key not in (*self.defaults, *EXTRAS, "params"):
                raise unknown_setting(where, key, ["params", *self.defaults])
        params, names = without_names(given)
        check_params(params, self._all(), where)
        settings = {**self.defaults, **param_group, "params": params}
        if names is not None:
            settings["param_names"] = names
        self.param_groups.append(ParamGroup(type(self), settings))

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clears the gradients, or with `set_to_none=False` fills them with 0."""
        for group in self.param_groups:
            for parameter in group["params"]:
                clear_grad(parameter, set_to_none)

    # --- a step

    @_with_hooks
    def step(self, closure: Closure | None = None) -> Any:
        """Changes every parameter that has a gradient.

        Parameters
        ----------
        closure : callable, optional
            Computes loss and gradients first; what it returns is returned.

        Warns
        -----
        RanvierWarning
            Once, if no parameter has a gradient.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        updated = False
        for group in self.param_groups:
            updated |= self._update_group(group)
        if not (updated or self._warned):
            self._warn_of_nothing()
        return loss

    @property
    def runs_hooks(self) -> bool:
        """Whether a step runs functions of others."""
        return bool(self._pre_hooks or self._post_hooks)

    @classmethod
    def reads_slots(cls) -> bool:
        """Whether a step reads rate and momentum from a group's tensors, not from its settings."""
        return (
            cls.op is not None
            and cls.step is Optimizer.step
            and cls._update is Optimizer._update
            and all(map(_is_ours, (cls._update_group, cls._form_of, cls._state_of)))
            and _is_ours(cls.attributes)
            and _is_ours(cls.state_for)
        )

    @property
    def reads_grad_scale(self) -> bool:
        """Whether `step` looks at `grad_scale`; a step of its own need not."""
        return type(self).step is Optimizer.step

    @property
    def takes_finite(self) -> bool:
        """Whether `step` is an op of the core for each group, and nobody else's code runs in it."""
        return type(self).reads_slots() and not (
            self._pre_hooks or self._post_hooks or "step" in self.__dict__
        )

    def _update_group(self, group: ParamGroup) -> bool:
        """One step of a group, in one op where no subclass updates in its own way."""
        if type(self)._update is not Optimizer._update:
            return self._update_one_by_one(group)
        assert self.op is not None
        names, attributes = self._form_of(group)
        while True:
            done: bool | None = _C.update_group(
                self.op,
                group["params"],
                self.state,
                names,
                group.lr,
                group.momentum,
                self.grad_scale,
                self.finite,
                attributes,
            )
            if done is not None:
                return done
            self._check_not_replaced()
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._state_of(group, parameter)

    @no_grad()
    def _update_one_by_one(self, group: ParamGroup) -> bool:
        self._check_not_replaced()
        updated = False
        for parameter in group["params"]:
            grad = parameter.grad
            if grad is not None:
                if self.grad_scale is not None:
                    grad = grad * self.grad_scale
                self._update(group, parameter, grad)
                updated = True
        return updated

    def _update(self, group: ParamGroup, param: Tensor, grad: Tensor) -> None:
        """A step of one parameter with this gradient; what a subclass may do in its own way."""
        if self.op is None:
            raise TypeError(f"[{self._where()}] expected a method '_update', got none")
        names, attributes = self._form_of(group)
        state = self._state_of(group, param)
        tensors = [param, grad, *(None if name is None else state[name] for name in names)]
        momentum = (group.momentum,) if "momentum_now" in _arguments(self.op) else ()
        self.op(group.lr, tensors, *momentum, None, None, *attributes)

    def _form_of(self, group: ParamGroup) -> tuple[tuple[str | None, ...], tuple[Any, ...]]:
        """The state that the op is given, with None for what it is not, and its attributes."""
        if group.form is None:
            given = self.state_for(group)
            names = tuple(n if n in given else None for n in _state_names(self.op))
            group.form = names, self.attributes(group)
        return group.form

    def attributes(self, group: Mapping[str, Any]) -> tuple[Any, ...]:
        """The attributes of the op under a group's settings."""
        return ()

    def _check_not_replaced(self) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                if getattr(parameter, "replaced", False):
                    raise RuntimeError(
                        f"[{self._where()}] expected the model's parameters, got one that "
                        "model.to(dtype) has replaced; make the optimizer after it"
                    )

    def _warn_of_nothing(self) -> None:
        from ranvier.training.errors import RanvierWarning  # is made of this package

        self._warned = True
        warnings.warn(
            f"[{self._where()}] step: expected parameters with gradients, got none, and changed "
            "nothing; call loss.backward() first, on the model whose parameters these are",
            RanvierWarning,
            stacklevel=4,
        )

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Calls `hook(optimizer, args, kwargs)` before every step.

        Parameters
        ----------
        hook : callable
            Returns None, or the arguments to go on with as (args, kwargs).

        Returns
        -------
        RemovableHandle
            With `remove()`.
        """
        return self._register(self._pre_hooks, hook)

    def register_step_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Calls `hook(optimizer, args, kwargs)` after every step.

        Parameters
        ----------
        hook : callable

        Returns
        -------
        RemovableHandle
            With `remove()`.
        """
        return self._register(self._post_hooks, hook)

    def _register(self, hooks: dict[int, Callable[..., Any]], hook: Any) -> RemovableHandle:
        if not callable(hook):
            raise TypeError(
                f"[{self._where()}] hook: expected a function, got {type(hook).__name__}"
            )
        self._hooks_made += 1
        number = self._hooks_made
        hooks[number] = hook
        _C.structure_changed()

        def remove() -> None:
            hooks.pop(number, None)
            _C.structure_changed()

        return RemovableHandle(remove)

    # --- state

    def _all(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def state_for(self, group: Mapping[str, Any]) -> tuple[str, ...]:
        """What is remembered for a parameter under a group's settings."""
        return self.state_names or ()

    def _state_of(self, group: ParamGroup, param: Tensor) -> dict[str, Any]:
        """The state of a parameter, zeros where there was none."""
        state, names = self.state[param], self.state_for(group)
        if len(state) == len(names):
            return state
        for name in names:
            if name not in state:
                state[name] = new_count() if name in SINGLES else new_state(param)
        return state

    def state_dict(self) -> dict[str, Any]:
        """Settings and state, with numbers in the place of parameters, as PyTorch's."""
        index = {id(p): i for i, p in enumerate(self._all())}
        state = {index[id(p)]: dict(values) for p, values in self.state.items()}
        groups = [{**g, "params": [index[id(p)] for p in g["params"]]} for g in self.param_groups]
        return {"state": state, "param_groups": groups}

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
        given = [list(params_of(group, where)) for group in groups]
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
        owners = {
            number: (parameter, {**own, **new})
            for own, new, numbers in zip(self.param_groups, settings, given, strict=True)
            for number, parameter in zip(numbers, own["params"], strict=True)
        }
        copies = {}
        for number, values in state.items():
            if number not in owners:
                raise ValueError(
                    f"[{where}] state: expected the numbers of parameters, {list(owners)}, "
                    f"got {number!r}"
                )
            parameter, group = owners[number]
            copies[id(parameter)] = self._state_copies(values, parameter, group)
        for own, new in zip(self.param_groups, settings, strict=True):
            own.update(new)
        for parameter in self._all():
            self._take_state(parameter, copies.get(id(parameter), {}))

    def _state_copies(
        self, values: Any, parameter: Tensor, group: Mapping[str, Any]
    ) -> dict[str, Any]:
        where, names = self._where(), self.state_names
        if names is None and isinstance(values, Mapping):
            return dict(copy.deepcopy(values))
        known, needed = set(names or ()), set(self.state_for(group))
        if not isinstance(values, Mapping) or (values and not needed <= set(values) <= known):
            got = list(values) if isinstance(values, Mapping) else type(values).__name__
            raise ValueError(
                f"[{where}] state: expected {', '.join(names or ()) or 'nothing'} for each "
                f"parameter, got {got}; load the state of the same kind of optimizer"
            )
        return {name: _state_copy(name, values[name], parameter, where) for name in values}

    def _take_state(self, parameter: Tensor, new: dict[str, Any]) -> None:
        # Into the tensors that are there, as recorded steps hold them; zeros are a fresh start.
        old = self.state.pop(parameter, {})
        if self.state_names is None:
            old = {}
        for name, tensor in old.items():
            if name in new:
                tensor.copy_(new[name])
            else:
                tensor.fill_(0)
        if new or old:
            self.state[parameter] = HeardDict({**new, **old})

    def __repr__(self) -> str:
        lines = [
            f"Parameter Group {i}\n    "
            + "\n    ".join(f"{k}: {v}" for k, v in sorted(group.items()) if k != "params")
            for i, group in enumerate(self.param_groups)
        ]
        return f"{type(self).__name__} (\n" + "\n\n".join(lines) + "\n)"


@functools.lru_cache(256)
def _is_ours(function: Any) -> bool:
    """Whether a function of a class is Ranvier's own."""
    return str(function.__module__).startswith("ranvier.")


@functools.cache
def _described(op: Any) -> dict[str, Any]:
    return next(entry for entry in _C.registry() if entry["name"] == op.__name__)


def _arguments(op: Any) -> list[str]:
    names: list[str] = _described(op)["arguments"]
    return names


def _state_names(op: Any) -> list[str]:
    """What an update remembers, in the order of its op: all behind parameter and gradient."""
    names: list[str] = _described(op)["each"]
    return names[2:]


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
    expected = () if name in SINGLES else parameter.shape
    if tensor.shape != expected:
        raise _C.ShapeError(
            f"[{where}] {name}: expected shape {expected} as the parameter's, got {tensor.shape}"
        )
    if name in SINGLES and NOT_NEGATIVE[0](tensor) is None:
        raise ValueError(f"[{where}] {name}: expected a number of 0 or more, got {tensor.item()}")
    copy = new_count() if name in SINGLES else new_state(parameter)
    return copy.copy_(tensor)


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
