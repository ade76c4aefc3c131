"""What is trained and how: what the training loop asks of every door."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ranvier import optim
from ranvier._C import Generator, Tensor
from ranvier.nn import Module
from ranvier.training import losses
from ranvier.training import metrics as metric_names
from ranvier.training.batches import Batch, Batches, RowBatches, Step
from ranvier.training.evaluation import forward
from ranvier.training.meters import Confusion, Share

if TYPE_CHECKING:
    from ranvier.training.kept import Kept


class Task:
    """What is trained and how, all of it checked. A door overrides what it does differently.

    From `forward` to `after_update` a step is arithmetic that may be recorded: these methods read
    no value and keep nothing in Python. What does belongs into `prepare_step` before it, and into
    `finish_step` and `measure` behind it.

    Parameters
    ----------
    model : Module
    batches : Batches
        What an epoch goes through.
    loss : Loss
    optimizer : Optimizer
    epochs : int
        The number of the last epoch.
    metrics : sequence of Metric
    first_epoch : int
        How many epochs count as done.
    seed : int, optional
        Dropout then draws by seed, step, call and row of the whole step, so that a step in parts
        drops what it would in one; if left out, from the default generator.
    where : str
        What messages begin with.
    """

    def __init__(
        self,
        model: Module,
        batches: Batches,
        loss: losses.Loss,
        optimizer: optim.Optimizer,
        epochs: int,
        *,
        metrics: Sequence[metric_names.Metric] = (),
        first_epoch: int = 0,
        seed: int | None = None,
        where: str = "fit",
    ) -> None:
        self.model, self.batches, self.loss, self.optimizer = model, batches, loss, optimizer
        self.epochs, self.first_epoch = epochs, first_epoch
        self.metrics, self.seed, self.where = tuple(metrics), seed, where

    def prepare_step(self, step: Step) -> None:
        """Before a step: what reads values, or is Python's to keep."""

    kept: Kept | None = None  # programs that the last run left

    def likeness(self) -> tuple[Any, ...] | None:
        """What is equal for runs of this model whose steps are the same; None: nobody knows.

        Beside rows and parameters, and what programs look at by themselves.
        """
        return None

    def settings(self) -> Any:
        """What steps take from objects of Python, to be compared: equal while they are the same.

        Beside modules, the loss and the optimizer, which recorded steps look at by themselves.
        """
        return None

    def rows_in_memory(self) -> RowBatches | None:
        """The batches, where steps may be taken by the numbers of their rows alone.

        What `prepare_step` does beside looking at rows is then done by `prepare_steps`.
        """
        return None

    def prepare_steps(self) -> None:
        """Before several steps without Python in between."""

    def adds_up(self, meters: dict[str, metric_names.Meter]) -> bool:
        """Whether many batches are one to the counters, to the last bit."""
        return all(isinstance(meter, (Confusion, Share)) for meter in meters.values())

    def is_settled(self, step: Step) -> bool:
        """Whether a step is arithmetic alone, behind `prepare_step`."""
        return True

    def forward(self, batch: Batch) -> Any:
        """What the model makes of a batch."""
        return forward(self.where, self.model, batch.x)

    def loss_of(self, prediction: Any, batch: Batch, step: Step) -> tuple[Tensor, float | Tensor]:
        """The loss of a batch, and by what to multiply it to get its part of the step's loss."""
        return self.loss.part(self.where, prediction, batch, step)

    def to_measure(self, prediction: Any) -> Any:
        """What `measure` is given of a batch, of which the loss is known."""
        return prediction.detach()

    steps_itself = False  # forward, backward and update are one call: `take_step`

    def take_step(self, step: Step) -> float:
        """A whole step, update included, and its loss: for a task that `steps_itself`."""
        raise TypeError(f"[{self.where}] expected a method 'take_step', got none")

    def values_of_epoch(self, loss: float, meters: dict[str, metric_names.Meter]) -> dict[str, Any]:
        """What is kept of an epoch, by names: its mean loss, and what was counted."""
        return {"loss": loss} | {name: meter.result() for name, meter in meters.items()}

    def penalty(self) -> Tensor | None:
        """What the loss has beside that of the rows, such as a sum of squared weights."""
        return None

    def limit_gradients(self) -> None:
        """Between backward and the update: clipping. None where `optimizer.finite` is False."""

    def after_update(self) -> None:
        """Part of the update, and as whole: constraints, thresholds.

        Where `optimizer.finite` is False they leave every bit as it is.
        """

    def finish_step(self) -> None:
        """Behind an update, and part of it: what is counted."""

    def meters(self) -> dict[str, metric_names.Meter]:
        """Fresh counters for what an epoch measures beside the loss."""
        return {metric.name: metric.start() for metric in self.metrics}

    def measure(self, meters: dict[str, metric_names.Meter], seen: Any, batch: Batch) -> None:
        """Add a batch to the counters, with what `to_measure` gave; gradients are off."""
        for meter in meters.values():
            meter.update(seen, batch.target)

    @property
    def lr(self) -> float:
        """The learning rate, of the first group of parameters."""
        return float(self.optimizer.param_groups[0]["lr"])

    def change_lr(self, rule: Callable[[float], float]) -> None:
        """Between steps: the learning rate of each group becomes what `rule` makes of it."""
        for group in self.optimizer.param_groups:
            group["lr"] = rule(float(group["lr"]))

    # --- for checkpoints

    def named_modules(self) -> list[tuple[str, Module]]:
        """What has a mode, by names that are the same when the run goes on; also of the others."""
        return list(self.model.named_modules())

    def named_parameters(self) -> list[tuple[str, Tensor]]:
        """What learns, or could."""
        return list(self.model.named_parameters())

    def named_buffers(self) -> list[tuple[str, Tensor]]:
        """What does not learn, and is to stay finite."""
        return [(name, buffer.detach()) for name, buffer in self.model.named_buffers()]

    def model_state(self) -> dict[str, Any]:
        """All numbers of the model, or those that its `state_dict` has."""
        return self.model.state_dict()

    def load_model_state(self, state: dict[str, Any]) -> None:
        """Puts them back."""
        self.model.load_state_dict(state)

    def sources(self) -> list[Any]:
        """What gives batches by code of others, which may draw random numbers of any kind."""
        return []

    def generators(self) -> list[Generator]:
        """Generators of the model's own."""
        return []

    def state_dict(self, within_epoch: bool) -> dict[str, Any]:
        """What there is beside model, optimizer and batches; `within_epoch`, not behind one."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from that, before random numbers are put back."""

    # --- validation

    epoch = 0  # the one that runs, counted from 0, where `validates` is asked

    @property
    def validates(self) -> bool:
        """Whether `validate` measures something in this epoch."""
        return False

    def validate(self) -> dict[str, float]:
        """What is measured on rows that are not trained on, by names without `val_`."""
        return {}
