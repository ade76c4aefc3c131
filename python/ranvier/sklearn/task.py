"""A multi-layer perceptron as a task of the one training loop, with scikit-learn's losses.

scikit-learn reports a loss of probabilities that are kept a little away from 0 and 1, and of
several outputs a mean, where its gradients are those of the plain sum over outputs: `Reported`
gives both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ranvier import _C, optim
from ranvier._C import Tensor, ops
from ranvier._grad import no_grad
from ranvier.sklearn.network import Network
from ranvier.sklearn.orders import DrawnRows
from ranvier.training import losses
from ranvier.training.batches import Batch, RowBatches, Step
from ranvier.training.penalties import Penalties
from ranvier.training.task import Task

# --- losses: of the sums of the last layer and of targets, a number a row -------------------------


class Reported:
    """A loss whose gradient is that of `learned`, and whose value is that of `told`.

    Parameters
    ----------
    name : str
        "log_loss" of classes, "binary_log_loss" of single labels, "squared_error" or "poisson".
    dtype : dtype
    """

    def __init__(self, name: str, dtype: Any) -> None:
        self.name = name
        self.eps = float(np.finfo(dtype).eps)

    def parts(self, z: Tensor, target: Tensor) -> tuple[Tensor, Tensor | None]:
        """What is learned of each row, (rows,) or (rows, outputs), and what is told if it differs.

        Both are to be added up.
        """
        if self.name == "log_loss":
            learned = ops.cross_entropy(z, target, reduction="none")
            low, high = -np.log1p(-self.eps), -np.log(self.eps)
            return learned, learned.detach().clamp(float(low), float(high))
        if self.name == "binary_log_loss":
            learned = ops.binary_cross_entropy_with_logits(z, target, reduction="none")
            # As written: near 1 the logarithm of 1 - p is that of p's own rounding.
            p = (z.detach().neg().exp() + 1).reciprocal().clamp(self.eps, 1 - self.eps)
            return learned, -ops.where(target > 0.5, p, 1 - p).log()
        if self.name == "squared_error":
            learned = (z - target).square() * 0.5
            return learned, None if z.shape[1] == 1 else learned.detach() * (1 / z.shape[1])
        # Poisson deviance over 2, of which the sum is the logarithm of the mean.
        known = target * target.clamp(min=1e-300 if self.eps < 1e-10 else 1e-38).log() - target
        return z.exp() - target * z + known, None


def total(each: Tensor, weight: Tensor | None) -> Tensor:
    """The sum over rows, of which each counts its weight."""
    if weight is not None:
        each = each * (weight if each.ndim == 1 else weight.reshape(-1, 1))
    return each.sum()


class MLPTask(Task):
    """How a multi-layer perceptron is trained.

    Parameters
    ----------
    network : Network
    batches : DrawnRows
    optimizer : Optimizer
    epochs : int
    loss : Reported or Loss
    alpha : float
        Of the squares of all weights, half of whose sum is added to the loss of a step, divided by
        what its rows count.
    clip_norm : float, optional
    validate : callable, optional
        Measures other rows after every epoch.
    seed : int, optional
        Of dropout.
    """

    def __init__(
        self,
        network: Network,
        batches: DrawnRows,
        optimizer: optim.Optimizer,
        epochs: int,
        *,
        loss: Reported | losses.Loss,
        alpha: float,
        clip_norm: float | None = None,
        validate: Callable[[], dict[str, float]] | None = None,
        seed: int | None = None,
        where: str = "fit",
    ) -> None:
        # The task takes the reported one; what a run is told of it does nothing but compute too.
        given = losses.Loss(loss.name, ops.mse_loss, "free") if isinstance(loss, Reported) else loss
        super().__init__(network.model, batches, given, optimizer, epochs, seed=seed, where=where)
        self.chosen, self.alpha, self.measured = loss, float(alpha), validate
        self.penalties = Penalties(network.model, clip_norm=clip_norm)
        self.trained = [p for p in network.model.parameters() if p.requires_grad]
        self.parameters = network.weights()
        self.flat = [weight.detach().T.reshape(-1) for weight in self.parameters]

    def likeness(self) -> tuple[Any, ...]:
        settings = self.alpha, self.penalties.clip_norm, self.measured is None
        return self.optimizer, self.loss.function, self.chosen.name, *settings

    def rows_in_memory(self) -> RowBatches | None:
        batches = self.batches
        assert isinstance(batches, RowBatches)
        return batches if batches.X.by_numbers else None

    # --- the arithmetic of a step

    def loss_of(self, prediction: Any, batch: Batch, step: Step) -> tuple[Tensor, float | Tensor]:
        count = self.count(step)
        if isinstance(self.chosen, Reported):
            loss = self.reported(prediction, batch, 1.0 / count)
            scale: float | Tensor = 1.0
        else:
            loss, scale = super().loss_of(prediction, batch, step)
        if self.alpha and batch is step[0]:
            loss = loss + self.squares(count) * (1.0 / scale)
        return loss, scale

    def count(self, step: Step) -> Any:
        """What the rows of a step count together: how many there are, or a tensor of weights."""
        if step[0].weight is None:
            return sum(batch.rows for batch in step)
        count = step[0].weight.sum()
        for batch in step[1:]:
            count = count + batch.weight.sum()
        return ops.where(count == 0, 1.0, count)  # rows that count nothing teach nothing

    def reported(self, z: Tensor, batch: Batch, share: Any) -> Tensor:
        """The mean loss of a batch's rows."""
        assert isinstance(self.chosen, Reported)
        learned, told = self.chosen.parts(z, batch.target)
        loss: Tensor = total(learned, batch.weight) * share
        if told is None:
            return loss
        with no_grad():
            difference: Tensor = total(told, batch.weight) * share - loss.detach()
        return loss + difference

    def squares(self, count: Any) -> Tensor:
        """alpha / 2 times the sum of squared weights, over what the rows count.

        Its gradients are where those of the rows are then added, which takes no memory and no pass
        over them of its own.
        """
        share = self.alpha / count
        learns = _C.is_grad_enabled()
        with no_grad():
            found = [ops.dot(part, part) for part in self.flat]
            for parameter in self.parameters if learns else ():
                parameter.backward(parameter.detach() * share)
        squares: Tensor = found[0]
        for other in found[1:]:
            squares = squares + other
        penalty: Tensor = squares * (0.5 * share)
        return penalty

    def limit_gradients(self) -> None:
        self.penalties.limit(self.trained, self.optimizer)

    def whole_loss(self) -> float:
        """The loss of all rows together as the network is now; for one step an epoch."""
        step = next(iter(self.batches))
        with no_grad():
            loss, scale = self.loss_of(self.forward(step[0]), step[0], step)
        return float(loss.item()) * float(scale)

    # --- after an epoch

    @property
    def validates(self) -> bool:
        return self.measured is not None

    def validate(self) -> dict[str, float]:
        assert self.measured is not None
        return self.measured()
