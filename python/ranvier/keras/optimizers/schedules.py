"""Learning rates that follow the number of steps taken, by Keras' names and formulas."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from ranvier.keras._names import Configured, Registry
from ranvier.keras._names import serialize as serialize


class LearningRateSchedule(Configured):
    """Base class: `__call__(step)` gives the learning rate of a step, counted from 0."""

    def __call__(self, step: Any) -> Any:
        """The learning rate."""
        kind = type(self).__name__
        raise TypeError(f"[{kind}] expected a method '__call__(self, step)', got none")


class ExponentialDecay(LearningRateSchedule):
    """initial decay_rate^(step / decay_steps).

    Parameters
    ----------
    initial_learning_rate : float
    decay_steps : int
    decay_rate : float
    staircase : bool
        Whether step / decay_steps is rounded down.

    Examples
    --------
    >>> from ranvier import keras
    >>> schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    >>> schedule(20)
    0.025
    """

    settings: ClassVar[tuple[str, ...]] = (
        "initial_learning_rate",
        "decay_steps",
        "decay_rate",
        "staircase",
        "name",
    )

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ) -> None:
        _positive("ExponentialDecay", "decay_steps", decay_steps)
        self.initial_learning_rate, self.decay_steps = initial_learning_rate, decay_steps
        self.decay_rate, self.staircase, self.name = decay_rate, staircase, name

    def __call__(self, step: Any) -> float:
        """The learning rate."""
        passed = float(step) / self.decay_steps
        passed = math.floor(passed) if self.staircase else passed
        return float(self.initial_learning_rate * self.decay_rate**passed)


class InverseTimeDecay(LearningRateSchedule):
    """initial / (1 + decay_rate step / decay_steps).

    Parameters
    ----------
    initial_learning_rate : float
    decay_steps : int
    decay_rate : float
    staircase : bool
        Whether step / decay_steps is rounded down.
    """

    settings: ClassVar[tuple[str, ...]] = (
        "initial_learning_rate",
        "decay_steps",
        "decay_rate",
        "staircase",
        "name",
    )

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "InverseTimeDecay",
    ) -> None:
        _positive("InverseTimeDecay", "decay_steps", decay_steps)
        self.initial_learning_rate, self.decay_steps = initial_learning_rate, decay_steps
        self.decay_rate, self.staircase, self.name = decay_rate, staircase, name

    def __call__(self, step: Any) -> float:
        """The learning rate."""
        passed = float(step) / self.decay_steps
        passed = math.floor(passed) if self.staircase else passed
        return self.initial_learning_rate / (1 + self.decay_rate * passed)


class PiecewiseConstantDecay(LearningRateSchedule):
    """values[0] up to step boundaries[0], values[1] up to boundaries[1], ...

    Parameters
    ----------
    boundaries : sequence of int
    values : sequence of float
        One more than there are boundaries.
    """

    settings: ClassVar[tuple[str, ...]] = ("boundaries", "values", "name")

    def __init__(
        self,
        boundaries: Sequence[float],
        values: Sequence[float],
        name: str = "PiecewiseConstant",
    ) -> None:
        if len(boundaries) != len(values) - 1:
            raise ValueError(
                "[PiecewiseConstantDecay] values: expected one more than boundaries, got "
                f"{len(values)} for {len(boundaries)}"
            )
        self.boundaries, self.values, self.name = list(boundaries), list(values), name

    def __call__(self, step: Any) -> float:
        """The learning rate."""
        now = float(step)
        for boundary, value in zip(self.boundaries, self.values, strict=False):
            if now <= boundary:
                return float(value)
        return float(self.values[-1])


class PolynomialDecay(LearningRateSchedule):
    """(initial - end) (1 - step / decay_steps)^power + end.

    Parameters
    ----------
    initial_learning_rate : float
    decay_steps : int
    end_learning_rate, power : float
    cycle : bool
        Whether to begin anew after decay_steps, with a multiple of them.
    """

    settings: ClassVar[tuple[str, ...]] = (
        "initial_learning_rate", "decay_steps", "end_learning_rate", "power", "cycle", "name",
    )  # fmt: skip

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ) -> None:
        _positive("PolynomialDecay", "decay_steps", decay_steps)
        self.initial_learning_rate, self.decay_steps = initial_learning_rate, decay_steps
        self.end_learning_rate, self.power = end_learning_rate, power
        self.cycle, self.name = cycle, name

    def __call__(self, step: Any) -> float:
        """The learning rate."""
        now, steps = float(step), float(self.decay_steps)
        if self.cycle:
            steps *= max(1, math.ceil(now / self.decay_steps))
        now = min(now, steps)
        span = self.initial_learning_rate - self.end_learning_rate
        return float(span * (1 - now / steps) ** self.power + self.end_learning_rate)


class CosineDecay(LearningRateSchedule):
    """Half a cosine from initial to alpha initial, after a straight rise where there is one.

    Loshchilov and Hutter, 2016, equation 5, without restarts.

    Parameters
    ----------
    initial_learning_rate : float
    decay_steps : int
    alpha : float
        What share is left at the end.
    warmup_target : float, optional
        Where the rise leads, in `warmup_steps`; the cosine begins there.
    warmup_steps : int
    """

    settings: ClassVar[tuple[str, ...]] = (
        "initial_learning_rate", "decay_steps", "alpha", "warmup_target", "warmup_steps", "name",
    )  # fmt: skip

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: int = 0,
    ) -> None:
        _positive("CosineDecay", "decay_steps", decay_steps)
        self.initial_learning_rate, self.decay_steps = initial_learning_rate, decay_steps
        self.alpha, self.name = alpha, name
        self.warmup_target, self.warmup_steps = warmup_target, warmup_steps

    def __call__(self, step: Any) -> float:
        """The learning rate."""
        now, top = float(step), self.initial_learning_rate
        if self.warmup_target is not None:
            if now < self.warmup_steps:
                return top + (self.warmup_target - top) * now / self.warmup_steps
            now, top = now - self.warmup_steps, self.warmup_target
        part = min(now, self.decay_steps) / self.decay_steps
        wave = 0.5 * (1 + math.cos(math.pi * part))
        return float(top * ((1 - self.alpha) * wave + self.alpha))


class CosineDecayRestarts(LearningRateSchedule):
    """Half cosines one after another, each t_mul times as long and m_mul times as high.

    Loshchilov and Hutter, 2016, equation 5.

    Parameters
    ----------
    initial_learning_rate : float
    first_decay_steps : int
    t_mul, m_mul : float
    alpha : float
        What share is left at the end of each.
    """

    settings: ClassVar[tuple[str, ...]] = (
        "initial_learning_rate",
        "first_decay_steps",
        "t_mul",
        "m_mul",
        "alpha",
        "name",
    )

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: int,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "SGDRDecay",
    ) -> None:
        _positive("CosineDecayRestarts", "first_decay_steps", first_decay_steps)
        self.initial_learning_rate, self.first_decay_steps = (
            initial_learning_rate,
            first_decay_steps,
        )
        self.t_mul, self.m_mul, self.alpha, self.name = t_mul, m_mul, alpha, name

    def __call__(self, step: Any) -> float:
        """The learning rate."""
        part = float(step) / self.first_decay_steps
        restart = 0
        if self.t_mul == 1:
            restart = math.floor(part)
            part -= restart
        else:
            restart = math.floor(
                math.log(1 - part * (1 - self.t_mul)) / math.log(self.t_mul) + 1e-12
            )
            power = self.t_mul**restart
            part = (part - (1 - power) / (1 - self.t_mul)) / power
        wave = 0.5 * self.m_mul**restart * (1 + math.cos(math.pi * part))
        return float(self.initial_learning_rate * ((1 - self.alpha) * wave + self.alpha))


def _positive(where: str, name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
        raise ValueError(f"[{where}] {name}: expected a number above 0, got {value!r:.60}")


_REGISTRY: Registry[Any] = Registry(
    "learning rate schedule",
    {
        kind.__name__: kind
        for kind in (
            ExponentialDecay, InverseTimeDecay, PiecewiseConstantDecay, PolynomialDecay,
            CosineDecay, CosineDecayRestarts,
        )
    },
)  # fmt: skip


def deserialize(config: Any) -> Any:
    """The schedule of a configuration, as `serialize` gives it."""
    return _REGISTRY.from_config(config)


def __getattr__(name: str) -> Any:
    from ranvier.keras._missing import refuse

    raise refuse("optimizers.schedules", name, [k for k in _REGISTRY.entries if k[0].isupper()])
