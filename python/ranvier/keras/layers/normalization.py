"""Layers that bring their input to mean 0 and variance 1, over the rows or over the features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ranvier._C import Tensor, ops
from ranvier.keras import constraints, initializers, regularizers
from ranvier.keras._names import serialize
from ranvier.keras.layers.layer import Layer


class _Affine(Layer):
    """What both kinds share: a learned scale and offset, each of them optional."""

    casts_integers = True

    def __init__(
        self,
        center: bool,
        scale: bool,
        beta_initializer: Any,
        gamma_initializer: Any,
        beta_regularizer: Any,
        gamma_regularizer: Any,
        beta_constraint: Any,
        gamma_constraint: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.center, self.scale = center, scale
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self.beta_constraint = constraints.get(beta_constraint)
        self.gamma_constraint = constraints.get(gamma_constraint)

    def add_affine(self, shape: Sequence[int]) -> None:
        """Makes gamma and beta."""
        self.gamma = self.beta = None
        if self.scale:
            self.gamma = self.add_weight(
                shape, self.gamma_initializer, name="gamma",
                regularizer=self.gamma_regularizer, constraint=self.gamma_constraint,
            )  # fmt: skip
        if self.center:
            self.beta = self.add_weight(
                shape, self.beta_initializer, name="beta",
                regularizer=self.beta_regularizer, constraint=self.beta_constraint,
            )  # fmt: skip

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal layer."""
        config = super().get_config()
        config.update(center=self.center, scale=self.scale)
        for name in (
            "beta_initializer", "gamma_initializer", "beta_regularizer", "gamma_regularizer",
            "beta_constraint", "gamma_constraint",
        ):  # fmt: skip
            config[name] = serialize(getattr(self, name))
        return config


class BatchNormalization(_Affine):
    """gamma (x - mean) / sqrt(variance + epsilon) + beta, over the rows of a batch.

    In training the batch's own mean and (biased) variance are used, and moving averages follow
    them: moving = moving momentum + new (1 - momentum). Otherwise, and where `trainable` is
    False, the averages are used. Ioffe and Szegedy, 2015, algorithms 1 and 2.

    Parameters
    ----------
    axis : int
        The axis of the features, which keep their own mean and variance.
    momentum : float
        How slowly the averages forget.
    epsilon : float
    center, scale : bool
        Whether there are beta and gamma.
    beta_initializer, gamma_initializer : name or Initializer
    moving_mean_initializer, moving_variance_initializer : name or Initializer
    beta_regularizer, gamma_regularizer, beta_constraint, gamma_constraint : optional

    Attributes
    ----------
    gamma, beta, moving_mean, moving_variance : Variable, (features,)
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 0.001,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            center, scale, beta_initializer, gamma_initializer, beta_regularizer,
            gamma_regularizer, beta_constraint, gamma_constraint, **kwargs,
        )  # fmt: skip
        self.axis, self.momentum, self.epsilon = int(axis), float(momentum), float(epsilon)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)

    def build(self, input_shape: Any) -> None:
        """Makes gamma, beta and the moving averages."""
        shape = (input_shape[self.axis],)
        self.add_affine(shape)
        self.moving_mean = self.add_weight(
            shape, self.moving_mean_initializer, name="moving_mean", trainable=False
        )
        self.moving_variance = self.add_weight(
            shape, self.moving_variance_initializer, name="moving_variance", trainable=False
        )

    def call(self, inputs: Tensor, training: bool | None = None, mask: Any = None) -> Tensor:
        """The same shape, normalised."""
        if inputs.ndim == 2 and self.axis in (1, -1):
            return self._along_second(inputs, bool(training and self.trainable))
        moved = inputs.movedim(self.axis, 1) if inputs.ndim > 1 else inputs
        outputs = self._along_second(moved, bool(training and self.trainable))
        return outputs.movedim(1, self.axis)

    def _along_second(self, x: Tensor, training: bool) -> Tensor:
        """With the features along axis 1, as the ops take them."""
        if not training:
            moving = (self.moving_mean, self.moving_variance)
            return ops.batch_norm_by(x, *moving, self.gamma, self.beta, self.epsilon)
        return ops.batch_norm(
            x,
            self.moving_mean,
            self.moving_variance,
            self.gamma,
            self.beta,
            None,
            1.0 - self.momentum,
            self.epsilon,
            0.0,  # moving averages of the variance with divisor n
        )

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal layer."""
        config = super().get_config()
        config.update(axis=self.axis, momentum=self.momentum, epsilon=self.epsilon)
        config["moving_mean_initializer"] = serialize(self.moving_mean_initializer)
        config["moving_variance_initializer"] = serialize(self.moving_variance_initializer)
        return config


class LayerNormalization(_Affine):
    """gamma (x - mean) / sqrt(variance + epsilon) + beta, over the features of each row.

    Ba, Kiros and Hinton, 2016, equation 4.

    Parameters
    ----------
    axis : int or sequence of int
        The axes of the features.
    epsilon : float
    center, scale : bool
        Whether there are beta and gamma.
    beta_initializer, gamma_initializer : name or Initializer
    beta_regularizer, gamma_regularizer, beta_constraint, gamma_constraint : optional
    """

    def __init__(
        self,
        axis: int | Sequence[int] = -1,
        epsilon: float = 0.001,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            center, scale, beta_initializer, gamma_initializer, beta_regularizer,
            gamma_regularizer, beta_constraint, gamma_constraint, **kwargs,
        )  # fmt: skip
        self.axis = axis if isinstance(axis, int) else list(axis)
        self.epsilon = float(epsilon)

    def build(self, input_shape: Any) -> None:
        """Makes gamma and beta."""
        self.add_affine([input_shape[axis] for axis in self._axes(len(input_shape))])

    def _axes(self, rank: int) -> list[int]:
        axes = [self.axis] if isinstance(self.axis, int) else self.axis
        return sorted(axis % rank for axis in axes)

    def call(self, inputs: Tensor) -> Tensor:
        """The same shape, normalised."""
        axes = self._axes(inputs.ndim)
        if axes == list(range(axes[0], inputs.ndim)):
            shape = [inputs.shape[axis] for axis in axes]
            return ops.layer_norm(inputs, shape, self.gamma, self.beta, self.epsilon)
        centred = inputs - inputs.mean(axes, keepdim=True)
        outputs = centred * (centred.square().mean(axes, keepdim=True) + self.epsilon).rsqrt()
        shape = [extent if i in axes else 1 for i, extent in enumerate(inputs.shape)]
        if self.gamma is not None:
            outputs = outputs * self.gamma.reshape(*shape)
        if self.beta is not None:
            outputs = outputs + self.beta.reshape(*shape)
        return outputs

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal layer."""
        return {**super().get_config(), "axis": self.axis, "epsilon": self.epsilon}


class UnitNormalization(Layer):
    """Every row divided by its length.

    Parameters
    ----------
    axis : int or sequence of int
    """

    casts_integers = True

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis if isinstance(axis, int) else list(axis)

    def call(self, inputs: Tensor) -> Tensor:
        """The same shape, with rows of length 1."""
        squares = inputs.square().sum(self.axis, keepdim=True)
        return inputs * ops.rsqrt(squares.clamp(min=1e-12))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal layer."""
        return {**super().get_config(), "axis": self.axis}
