"""Keras' optimizers: names, defaults, and which rule of `updates.py` takes the steps."""

from __future__ import annotations

from typing import Any

from ranvier import optim
from ranvier.keras.optimizers import updates
from ranvier.keras.optimizers.optimizer import Optimizer

_Settings = dict[str, Any]


class SGD(Optimizer):
    """b = momentum b - lr g; p = p + b, or with `nesterov` p = p + momentum b - lr g.

    Parameters
    ----------
    learning_rate, momentum : float
    nesterov : bool
    **kwargs
        As for `Optimizer`: weight_decay, clipnorm, clipvalue, global_clipnorm, name.
    """

    own = ("momentum", "nesterov")

    def __init__(
        self,
        learning_rate: Any = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, weight_decay, **kwargs)
        if not 0 <= momentum <= 1:
            raise ValueError(f"[SGD] momentum: expected a number from 0 to 1, got {momentum!r}")
        self.momentum, self.nesterov = momentum, nesterov

    def make(self, params: Any, settings: _Settings) -> optim.Optimizer:
        """SGD of `ranvier.optim`, with Keras' conventions."""
        nesterov = bool(self.nesterov and self.momentum)
        return updates.SGD(params, momentum=self.momentum, nesterov=nesterov, **settings)


class Adam(Optimizer):
    """lr sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + epsilon). Kingma and Ba, 2015, section 2.

    Parameters
    ----------
    learning_rate, beta_1, beta_2, epsilon : float
    amsgrad : bool
    **kwargs
        As for `Optimizer`: weight_decay, clipnorm, clipvalue, global_clipnorm, name.
    """

    own: tuple[str, ...] = ("beta_1", "beta_2", "epsilon", "amsgrad")

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        weight_decay: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, weight_decay, **kwargs)
        self.beta_1, self.beta_2, self.epsilon, self.amsgrad = beta_1, beta_2, epsilon, amsgrad

    def make(self, params: Any, settings: _Settings) -> optim.Optimizer:
        """Adam of `ranvier.optim`, with Keras' conventions."""
        return updates.Adam(
            params, betas=(self.beta_1, self.beta_2), eps=self.epsilon, amsgrad=self.amsgrad,
            decoupled_weight_decay=True, **settings,
        )  # fmt: skip


class AdamW(Adam):
    """Adam whose weights decay by themselves. Loshchilov and Hutter, 2019.

    Parameters
    ----------
    learning_rate, weight_decay, beta_1, beta_2, epsilon : float
    amsgrad : bool
    **kwargs
        As for `Optimizer`: clipnorm, clipvalue, global_clipnorm, name.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay, **kwargs)


class RMSprop(Optimizer):
    """lr g / sqrt(v + epsilon), v = rho v + (1 - rho) g^2. Hinton, 2012, lecture 6e.

    Parameters
    ----------
    learning_rate, rho, momentum, epsilon : float
    centered : bool
        Whether the squared mean gradient is taken off v.
    **kwargs
        As for `Optimizer`: weight_decay, clipnorm, clipvalue, global_clipnorm, name.
    """

    own = ("rho", "momentum", "epsilon", "centered")

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        weight_decay: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, weight_decay, **kwargs)
        self.rho, self.momentum, self.epsilon, self.centered = rho, momentum, epsilon, centered

    def make(self, params: Any, settings: _Settings) -> optim.Optimizer:
        """RMSprop of `ranvier.optim`, with Keras' conventions."""
        return updates.RMSprop(
            params, alpha=self.rho, eps=self.epsilon, momentum=self.momentum,
            centered=self.centered, **settings,
        )  # fmt: skip


class Adagrad(Optimizer):
    """lr g / sqrt(s + epsilon), s = s + g^2. Duchi et al., 2011.

    Parameters
    ----------
    learning_rate, initial_accumulator_value, epsilon : float
    **kwargs
        As for `Optimizer`: weight_decay, clipnorm, clipvalue, global_clipnorm, name.
    """

    own = ("initial_accumulator_value", "epsilon")

    def __init__(
        self,
        learning_rate: Any = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        weight_decay: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, weight_decay, **kwargs)
        self.initial_accumulator_value, self.epsilon = initial_accumulator_value, epsilon

    def make(self, params: Any, settings: _Settings) -> optim.Optimizer:
        """Adagrad of `ranvier.optim`, with Keras' conventions."""
        start = self.initial_accumulator_value
        return updates.Adagrad(
            params, initial_accumulator_value=start, eps=self.epsilon, **settings
        )


class Adadelta(Optimizer):
    """lr sqrt(u + epsilon) / sqrt(v + epsilon) g. Zeiler, 2012, algorithm 1.

    Parameters
    ----------
    learning_rate, rho, epsilon : float
    **kwargs
        As for `Optimizer`: weight_decay, clipnorm, clipvalue, global_clipnorm, name.
    """

    own = ("rho", "epsilon")

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.95,
        epsilon: float = 1e-7,
        weight_decay: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, weight_decay, **kwargs)
        self.rho, self.epsilon = rho, epsilon

    def make(self, params: Any, settings: _Settings) -> optim.Optimizer:
        """Adadelta of `ranvier.optim`, with Keras' conventions."""
        return updates.Adadelta(params, rho=self.rho, eps=self.epsilon, **settings)


class Adamax(Optimizer):
    """lr m / ((1 - b1^t) (u + epsilon)), u = max(b2 u, |g|). Kingma and Ba, 2015, algorithm 2.

    Parameters
    ----------
    learning_rate, beta_1, beta_2, epsilon : float
    **kwargs
        As for `Optimizer`: weight_decay, clipnorm, clipvalue, global_clipnorm, name.
    """

    own = ("beta_1", "beta_2", "epsilon")

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        weight_decay: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, weight_decay, **kwargs)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    def make(self, params: Any, settings: _Settings) -> optim.Optimizer:
        """Adamax of `ranvier.optim`, with Keras' conventions."""
        betas = (self.beta_1, self.beta_2)
        return updates.Adamax(params, betas=betas, eps=self.epsilon, **settings)


class Nadam(Optimizer):
    """Adam with Nesterov's momentum, which rises by itself. Dozat, 2016, algorithm 8.

    Parameters
    ----------
    learning_rate, beta_1, beta_2, epsilon : float
    **kwargs
        As for `Optimizer`: weight_decay, clipnorm, clipvalue, global_clipnorm, name.
    """

    own = ("beta_1", "beta_2", "epsilon")

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        weight_decay: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, weight_decay, **kwargs)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    def make(self, params: Any, settings: _Settings) -> optim.Optimizer:
        """NAdam of `ranvier.optim`, with Keras' conventions."""
        return optim.NAdam(
            params, betas=(self.beta_1, self.beta_2), eps=self.epsilon, momentum_decay=1.0,
            decoupled_weight_decay=True, **settings,
        )  # fmt: skip


class Lion(Optimizer):
    """lr sign(b1 m + (1 - b1) g), m = b2 m + (1 - b2) g. Chen et al., 2023, algorithm 2.

    Parameters
    ----------
    learning_rate, beta_1, beta_2 : float
    **kwargs
        As for `Optimizer`: weight_decay, clipnorm, clipvalue, global_clipnorm, name.
    """

    own = ("beta_1", "beta_2")

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        weight_decay: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, weight_decay, **kwargs)
        self.beta_1, self.beta_2 = beta_1, beta_2

    def make(self, params: Any, settings: _Settings) -> optim.Optimizer:
        """Lion of `ranvier.optim`."""
        return optim.Lion(params, betas=(self.beta_1, self.beta_2), **settings)


class Ftrl(Optimizer):
    """Follow the regularized leader. McMahan et al., 2013, algorithm 1.

    Parameters
    ----------
    learning_rate, learning_rate_power, initial_accumulator_value : float
    l1_regularization_strength, l2_regularization_strength : float
    l2_shrinkage_regularization_strength, beta : float
    **kwargs
        As for `Optimizer`: weight_decay, clipnorm, clipvalue, global_clipnorm, name.
    """

    own = (
        "learning_rate_power", "initial_accumulator_value", "l1_regularization_strength",
        "l2_regularization_strength", "l2_shrinkage_regularization_strength", "beta",
    )  # fmt: skip

    def __init__(
        self,
        learning_rate: Any = 0.001,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        l2_shrinkage_regularization_strength: float = 0.0,
        beta: float = 0.0,
        weight_decay: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, weight_decay, **kwargs)
        if learning_rate_power > 0:
            raise ValueError(
                f"[Ftrl] learning_rate_power: expected 0 or less, got {learning_rate_power!r}"
            )
        self.learning_rate_power = learning_rate_power
        self.initial_accumulator_value = initial_accumulator_value
        self.l1_regularization_strength = l1_regularization_strength
        self.l2_regularization_strength = l2_regularization_strength
        self.l2_shrinkage_regularization_strength = l2_shrinkage_regularization_strength
        self.beta = beta

    def make(self, params: Any, settings: _Settings) -> optim.Optimizer:
        """The op `ftrl_update`."""
        return updates.Ftrl(
            params, lr_power=self.learning_rate_power, initial=self.initial_accumulator_value,
            l1=self.l1_regularization_strength, l2=self.l2_regularization_strength,
            l2_shrinkage=self.l2_shrinkage_regularization_strength, beta=self.beta, **settings,
        )  # fmt: skip
