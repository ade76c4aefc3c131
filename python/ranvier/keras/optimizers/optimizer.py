"""`Optimizer`: Keras' settings around an optimizer of `ranvier.optim`, which takes the steps."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ranvier import _C, optim
from ranvier._C import Tensor, ops
from ranvier._grad import no_grad
from ranvier.keras._names import auto_name, near, serialize, snake
from ranvier.keras.optimizers.schedules import LearningRateSchedule
from ranvier.keras.variables import Variable

_CLIPS = ("clipnorm", "clipvalue", "global_clipnorm")
# What Keras takes and Ranvier does not do, with the values that ask for nothing.
_OFF: dict[str, tuple[Any, ...]] = {
    "use_ema": (False, None),
    "ema_momentum": (0.99, None),
    "ema_overwrite_frequency": (None,),
    "loss_scale_factor": (None,),
    "gradient_accumulation_steps": (None, 1),
}


class Optimizer:
    """Base class of optimizers.

    Parameters
    ----------
    learning_rate : float, LearningRateSchedule or callable
    weight_decay : float, optional
        p = p - lr weight_decay p before every update.
    clipnorm, global_clipnorm, clipvalue : float, optional
        At most one: the longest a gradient, or all together, may be; the largest element.
    name : str, optional

    Attributes
    ----------
    learning_rate : Variable
        May be set at any time, unless a schedule sets it.
    iterations : Tensor
        How many steps were taken.
    """

    own: tuple[str, ...] = ()  # settings of the subclass, for get_config

    def __init__(
        self,
        learning_rate: Any,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        kind = type(self).__name__
        self.name = name or auto_name(snake(kind))
        self._refuse_unknown(kwargs)
        clips = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
        if sum(value is not None for value in clips.values()) > 1:
            raise ValueError(f"[{kind}] expected at most one of {', '.join(_CLIPS)}, got {clips}")
        for key, value in {**clips, "weight_decay": weight_decay}.items():
            if value is not None and not _is_number(value, least=0.0):
                raise ValueError(f"[{kind}] {key}: expected a number of 0 or more, got {value!r}")
        self.clipnorm, self.clipvalue, self.global_clipnorm = clipnorm, clipvalue, global_clipnorm
        self.weight_decay = weight_decay
        self._schedule: Any = None
        self._rate = Variable(0.0, dtype="float64", trainable=False, name="learning_rate")
        if isinstance(learning_rate, LearningRateSchedule) or callable(learning_rate):
            self._schedule = learning_rate
        else:
            self._rate.assign(self._checked_rate(learning_rate))
        self.inner: optim.Optimizer | None = None
        self._steps = 0
        self._given: float | None = None  # to `inner`, as the learning rate
        self._not_decayed: tuple[list[int], list[str]] = ([], [])

    def _refuse_unknown(self, kwargs: dict[str, Any]) -> None:
        kind = type(self).__name__
        for key, value in kwargs.items():
            if key not in _OFF:
                known = ["learning_rate", *self.own, "weight_decay", *_CLIPS, "name"]
                hint = "; did you mean 'learning_rate'?" if key == "lr" else near(key, known)
                raise ValueError(
                    f"[{kind}] expected arguments out of {', '.join(known)}, got {key!r}{hint}"
                )
            if value not in _OFF[key]:
                raise ValueError(
                    f"[{kind}] {key}: expected {_OFF[key][0]!r}, as Ranvier has no such thing "
                    f"yet, got {value!r}"
                )

    def _checked_rate(self, value: Any) -> float:
        if isinstance(value, Tensor) and value.numel() == 1:
            value = value.item()
        if not _is_number(value, least=0.0):
            raise ValueError(
                f"[{type(self).__name__}] learning_rate: expected a finite number of 0 or more, a "
                f"schedule or a function, got {value!r:.60}"
            )
        return float(value)

    # --- the learning rate

    @property
    def learning_rate(self) -> Any:
        """The learning rate of the next step."""
        if self._schedule is not None:
            return _C.full((), self._rate_now(), _C.float64)
        return self._rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if isinstance(value, LearningRateSchedule):
            self._schedule = value
            return
        if isinstance(self._schedule, LearningRateSchedule):
            raise TypeError(
                f"[{type(self).__name__}] learning_rate: expected a schedule, as the optimizer was "
                f"made with one, got {value!r:.60}"
            )
        self._schedule = None
        self._rate.assign(self._checked_rate(value))

    def _rate_now(self) -> float:
        if self._schedule is None:
            return float(self._rate.item())
        timed = isinstance(self._schedule, LearningRateSchedule)
        return self._checked_rate(self._schedule(self._steps) if timed else self._schedule())

    @property
    def iterations(self) -> Tensor:
        """How many steps were taken."""
        return _C.full((), self._steps, _C.int64)

    # --- steps

    def make(self, params: Any, settings: dict[str, Any]) -> optim.Optimizer:
        """The optimizer of `ranvier.optim` that takes the steps."""
        raise TypeError(f"[{type(self).__name__}] expected a method 'make', got none")

    @property
    def built(self) -> bool:
        """Whether it knows what it trains."""
        return self.inner is not None

    @property
    def variables(self) -> list[Tensor]:
        """What is remembered from step to step."""
        if self.inner is None:
            return []
        return [t for state in self.inner.state.values() for t in state.values()]

    def build(self, variables: Iterable[Variable]) -> None:
        """Says what it trains; once only."""
        given = list(variables)
        if self.inner is not None:
            held = {id(p) for group in self.inner.param_groups for p in group["params"]}
            foreign = [v for v in given if id(v) not in held]
            if foreign:
                raise ValueError(
                    f"[{type(self).__name__}] expected the weights that it was built for, got "
                    f"{getattr(foreign[0], 'path', 'another')!r}; compile the model again, with an "
                    "optimizer of its own"
                )
            return
        decay = 0.0 if self.weight_decay is None else self.weight_decay
        ids, names = self._not_decayed
        kept = [v for v in given if id(v) in ids or any(n in v.name for n in names)]
        others = [v for v in given if all(v is not k for k in kept)]
        groups: list[dict[str, Any]] = [{"params": others}] if others else []
        if kept:
            groups.append({"params": kept, "weight_decay": 0.0})
        self._given = self._rate_now()
        self.inner = self.make(groups, {"lr": self._given, "weight_decay": decay})

    def exclude_from_weight_decay(
        self, var_list: Iterable[Variable] | None = None, var_names: Sequence[str] | None = None
    ) -> None:
        """Names weights, or parts of their names, that are not to decay; before training."""
        if self.inner is not None:
            raise ValueError(
                f"[{type(self).__name__}] expected exclude_from_weight_decay before the first "
                "step, got it after"
            )
        self._not_decayed = ([id(v) for v in var_list or ()], list(var_names or ()))

    @property
    def has_one_rate(self) -> bool:
        """Whether only Python changes the learning rate: no schedule, step by step."""
        return self._schedule is None

    def set_rate(self) -> None:
        """Before a step: its learning rate; that of `inner` where somebody has changed it there."""
        assert self.inner is not None
        groups = self.inner.param_groups
        given = float(groups[0]["lr"])
        if given != self._given and self._schedule is None:
            self._rate.assign(self._checked_rate(given))
        rate = self._given = self._rate_now()
        for group in groups:
            if group["lr"] != rate:
                group["lr"] = rate

    @property
    def clips(self) -> bool:
        """Whether gradients are limited before an update."""
        return bool(self.clipnorm or self.clipvalue or self.global_clipnorm)

    @no_grad()
    def clip(self, finite: Tensor | None = None) -> None:
        """Limits the gradients in place; where `finite` is False they stay as they are."""
        if not self.clips:
            return
        assert self.inner is not None
        held = [p.grad for group in self.inner.param_groups for p in group["params"]]
        grads = [grad for grad in held if grad is not None]
        if self.clipvalue:
            border: Any = self.clipvalue
            border = border if finite is None else ops.where(finite, border, math.inf)
            for grad in grads:
                grad.clamp_(-border, border)
        elif self.clipnorm:
            for grad in grads:
                grad.mul_(_factor(grad.square().sum(), self.clipnorm, finite))
        elif grads:
            squares = grads[0].square().sum()
            for grad in grads[1:]:
                squares = squares + grad.square().sum()
            factor = _factor(squares, self.global_clipnorm, finite)
            for grad in grads:
                grad.mul_(factor)

    def finish_step(self) -> None:
        """After an update: the step is counted."""
        self._steps += 1

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Any] | None = None) -> None:
        """Takes a step with given gradients."""
        if trainable_variables is not None:
            self.build(trainable_variables)
        elif self.inner is None:
            raise ValueError(f"[{type(self).__name__}] expected variables to apply gradients to")
        assert self.inner is not None
        variables = trainable_variables
        if variables is None:
            variables = [p for group in self.inner.param_groups for p in group["params"]]
        named = {id(v) for v in variables}
        others = [p for g in self.inner.param_groups for p in g["params"] if id(p) not in named]
        aside = [p.grad for p in others]
        for variable, grad in (*zip(variables, grads, strict=True), *((p, None) for p in others)):
            # Clipping is in place, and these are the caller's.
            variable.grad = grad.detach().clone() if self.clips and grad is not None else grad
        try:
            self.set_rate()
            self.clip()
            self.inner.step()
        finally:
            for parameter, grad in zip(others, aside, strict=True):
                parameter.grad = grad
        for variable in variables:
            constrain(variable)
            variable.grad = None
        self.finish_step()

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Any]]) -> None:
        """Takes a step with pairs of gradients and variables."""
        pairs = list(grads_and_vars)
        self.apply([g for g, _ in pairs], [v for _, v in pairs])

    # --- what it says of itself

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal optimizer, without its state."""
        rate = self._rate_now() if self._schedule is None else serialize(self._schedule)
        config = {"name": self.name, "learning_rate": rate, "weight_decay": self.weight_decay}
        config.update((key, getattr(self, key)) for key in (*_CLIPS, *self.own))
        return config

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:
        """An optimizer from what `get_config` gave."""
        settings = dict(config)
        if isinstance(settings.get("learning_rate"), Mapping):
            from ranvier.keras.optimizers import schedules

            settings["learning_rate"] = schedules.deserialize(settings["learning_rate"])
        return cls(**settings)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, learning_rate={self._rate_now():g}>"


@no_grad()
def constrain(variable: Any, finite: Tensor | None = None) -> None:
    """Makes a weight satisfy its constraint; where `finite` is False it stays as it is."""
    constraint = getattr(variable, "constraint", None)
    if constraint is not None:
        old = variable.detach()
        new = constraint(old)
        variable.copy_(new if finite is None else ops.where(finite, new, old))


def _factor(squares: Tensor, limit: Any, finite: Tensor | None) -> Tensor:
    """By what to multiply so that the length is the limit at most."""
    factor = limit / squares.sqrt().clamp(min=limit)
    return factor if finite is None else ops.where(finite, factor, 1.0)


def _is_number(value: Any, least: float) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
        return False
    return math.isfinite(float(value)) and float(value) >= least
