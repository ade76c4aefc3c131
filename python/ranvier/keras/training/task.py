"""A compiled Keras model as a task of the training loop, and measuring one on batches."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ranvier._C import Generator, ShapeError, Tensor
from ranvier._grad import no_grad
from ranvier._recording import token_of
from ranvier.keras.backend import as_array
from ranvier.keras.layers.layer import penalty_of
from ranvier.keras.losses.functions import checked_labels
from ranvier.keras.optimizers.optimizer import Optimizer, constrain
from ranvier.keras.random import SeedGenerator
from ranvier.keras.tensors import KerasTensor, flatten, map_structure
from ranvier.keras.training.compiled import Compiled
from ranvier.keras.training.data import ArrayBatches, GivenBatches
from ranvier.nn import Module
from ranvier.training import losses, predictions
from ranvier.training.batches import Batch, Batches, RowBatches, Step
from ranvier.training.inputs import Rows
from ranvier.training.modes import evaluating
from ranvier.training.task import Task


def _no_loss(prediction: Tensor, target: Tensor) -> Tensor:
    return prediction  # the task takes the compiled loss


def call_model(where: str, model: Any, x: Any) -> Any:
    """What a model makes of the inputs of a batch; checked to be tensors with its rows."""
    outputs = model(x)
    single = isinstance(outputs, Tensor) and isinstance(x, Tensor)
    if single and outputs.shape[:1] == x.shape[:1]:
        return outputs
    rows = flatten(x)[0].shape[0]
    for output in flatten(outputs):
        if not isinstance(output, Tensor):
            raise TypeError(
                f"[{where}] {model.name}: expected tensors as output, got {type(output).__name__}"
            )
        if output.shape[:1] != (rows,):
            raise ShapeError(
                f"[{where}] {model.name}: expected {rows} rows out for {rows} rows in, got an "
                f"output of shape {tuple(output.shape)}"
            )
    return outputs


def output_of(where: str, model: Any, x: Any) -> Any:
    """What a model makes of a batch in evaluation mode; gradients are off."""
    if isinstance(x, Tensor):
        return predictions.output_of(model, x, functools.partial(call_model, where))
    with evaluating(model):
        return call_model(where, model, x)


def whole_output(where: str, model: Any, steps: Any) -> Any:
    """The outputs for all rows together, where one tensor comes out; None elsewhere."""
    graph = model._graph
    single = graph is not None and isinstance(graph.output_structure, KerasTensor)
    if not single or not isinstance(steps, ArrayBatches) or not isinstance(steps.x, Rows):
        return None
    if steps.steps * steps.size < steps.rows:
        return None
    whole = predictions.Outputs(model, steps.x, functools.partial(call_model, where))
    with no_grad():
        return as_array(whole.all(steps.size))


class Penalties:
    """What a model's loss has beside that of the rows: of weights, and of what layers did."""

    def __init__(self, model: Any) -> None:
        self.layers = model.flat_layers()
        self.weights = [v for v in model.weights if v.regularizer is not None]
        found = (getattr(layer, "activity_regularizer", None) for layer in self.layers)
        self.of_outputs = [regularizer for regularizer in found if regularizer is not None]

    def clear(self) -> None:
        """Forgets the call before, as the next one may run no code that does."""
        for layer in self.layers:
            layer._call_losses.clear()

    def total(self) -> Tensor | None:
        """All penalties of the last call together; None where there are none."""
        found = [loss for layer in self.layers for loss in layer._call_losses]
        found += [p for v in self.weights if (p := penalty_of(v)) is not None]
        if not found:
            return None
        total: Tensor = found[0]
        for other in found[1:]:
            total = total + other
        return total


class _Meter:
    """One measured number, as the loop asks for it at the end of an epoch."""

    def __init__(self, compiled: Compiled, name: str) -> None:
        self.compiled, self.name = compiled, name

    def update(self, prediction: Any, target: Any, *weight: Any) -> None:
        """All meters are moved on together, by the task."""

    def result(self) -> Any:
        """The value now."""
        return self.compiled.results()[self.name]

    def state_dict(self) -> dict[str, Any]:
        """What was gathered, for a checkpoint."""
        return self.compiled.counter(self.name).state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from that."""
        self.compiled.counter(self.name).load_state_dict(state)


class KerasTask(Task):
    """How a compiled model is trained: Keras' losses, penalties, clipping and constraints.

    Parameters
    ----------
    model : Model
    batches : Batches
    optimizer : Optimizer
        Of `keras.optimizers`, built.
    epochs, first_epoch : int
    validation : iterable of Step, optional
    frequency : int or collection of int
        After which epochs to validate: every so many, or those named.
    fresh : bool
        Whether metrics forget what they have gathered when an epoch begins.
    """

    def __init__(
        self,
        model: Any,
        batches: Batches,
        optimizer: Optimizer,
        epochs: int = 1,
        first_epoch: int = 0,
        validation: Iterable[Step] | None = None,
        frequency: Any = 1,
        fresh: bool = True,
    ) -> None:
        assert optimizer.inner is not None
        loss = losses.Loss("loss", _no_loss, "free")
        super().__init__(
            model, batches, loss, optimizer.inner, epochs, first_epoch=first_epoch, where="fit"
        )
        self.compiled: Compiled = model._compiled
        self.keras_optimizer = optimizer
        self.validation, self.frequency, self.fresh = validation, frequency, fresh
        self.penalties = Penalties(model)
        self.constrained = [v for v in model.trainable_weights if v.constraint is not None]
        self.epoch = first_epoch

    def settings(self) -> Any:
        chosen = self.keras_optimizer
        held = [v.constraint for v in self.constrained]
        held += [v.regularizer for v in self.penalties.weights]
        held += self.penalties.of_outputs
        held += [leaf for leaf in flatten(self.compiled.given_loss) if not isinstance(leaf, str)]
        return (
            chosen.clipnorm, chosen.clipvalue, chosen.global_clipnorm,
            *(token_of(getattr(thing, "__dict__", thing)) for thing in held),
        )  # fmt: skip

    def rows_in_memory(self) -> RowBatches | None:
        batches, optimizer = self.batches, self.keras_optimizer
        own = type(optimizer).finish_step is not Optimizer.finish_step
        if not isinstance(batches, ArrayBatches) or own or not optimizer.has_one_rate:
            return None
        return batches.by_numbers() if self.compiled.takes_labels_unseen else None

    def prepare_steps(self) -> None:
        self.keras_optimizer.set_rate()

    def adds_up(self, meters: dict[str, Any]) -> bool:
        batches = self.batches
        weighed = isinstance(batches, ArrayBatches) and batches.weight is not None
        return self.compiled.adds_up and not weighed

    def prepare_step(self, step: Step) -> None:
        self.compiled.part_losses.clear()
        seen = isinstance(self.batches, ArrayBatches)
        self.labels = [self.compiled.known_labels(batch.target, seen) for batch in step]
        self.keras_optimizer.set_rate()

    def forward(self, batch: Batch) -> Any:
        return call_model(self.where, self.model, batch.x)

    def loss_of(self, prediction: Any, batch: Batch, step: Step) -> tuple[Tensor, float | Tensor]:
        place = next(i for i, other in enumerate(step) if other is batch)
        with checked_labels(self.labels[place]):
            loss = self.compiled.loss(batch.target, prediction, batch.weight)
        self.compiled.remember_classes(prediction)
        penalty = self.penalties.total()
        self.penalties.clear()  # a step that keeps nothing can be replayed
        if loss is None:
            loss = penalty
        elif penalty is not None:
            loss = loss + penalty
        if loss is None:
            raise ValueError(
                "[fit] loss: expected a loss to train on, got none; model.compile(loss=...) or "
                "add_loss in a layer"
            )
        if loss.ndim:
            raise ValueError(
                f"[fit] loss: expected one number, got shape {tuple(loss.shape)}; use a loss with "
                "the reduction 'sum_over_batch_size'"
            )
        return loss, 1.0

    def to_measure(self, prediction: Any) -> Any:
        seen = map_structure(lambda output: output.detach(), prediction)
        return seen, self.compiled.taken_parts()

    def limit_gradients(self) -> None:
        self.keras_optimizer.clip(self.optimizer.finite)

    def after_update(self) -> None:
        for variable in self.constrained:
            constrain(variable, self.optimizer.finite)

    def finish_step(self) -> None:
        self.keras_optimizer.finish_step()

    def meters(self) -> dict[str, Any]:
        if self.fresh:
            self.compiled.reset()
        names = [name for name, _ in self.compiled.parts]
        names += [name for name, *_ in self.compiled.measures]
        return {name: _Meter(self.compiled, name) for name in names}

    def measure(self, meters: dict[str, Any], seen: Any, batch: Batch) -> None:
        prediction, parts = seen
        self.compiled.add_parts(parts, batch.rows)
        if self.compiled.measures:
            self.compiled.update(batch.target, prediction, batch.weight)

    def values_of_epoch(self, loss: float, meters: dict[str, Any]) -> dict[str, Any]:
        return {"loss": loss, **self.compiled.results()}

    # --- for checkpoints: by place, as names that are counted differ from program to program

    def named_modules(self) -> list[tuple[str, Module]]:
        return [(f"{i:03d}", module) for i, module in enumerate(self.model.modules())]

    def named_parameters(self) -> list[tuple[str, Tensor]]:
        found = self.model.named_parameters()
        return [(f"{i:03d}", parameter) for i, (_, parameter) in enumerate(found)]

    def named_buffers(self) -> list[tuple[str, Tensor]]:
        still = [(n, p.detach()) for n, p in self.named_parameters() if not p.requires_grad]
        found = enumerate(self.model.named_buffers())
        return still + [(f"buffer {i:03d}", buffer.detach()) for i, (_, buffer) in found]

    def model_state(self) -> dict[str, Any]:
        return {name: parameter.detach() for name, parameter in self.named_parameters()}

    def load_model_state(self, state: dict[str, Any]) -> None:
        own = self.named_parameters()
        if [name for name, _ in own] != list(state):
            raise ValueError(f"expected {len(own)} weights, got {len(state)}")
        for (name, parameter), value in zip(own, state.values(), strict=True):
            if (parameter.shape, parameter.dtype) != (value.shape, value.dtype):
                raise ValueError(f"weight {name}: expected shape {tuple(parameter.shape)}")
        with no_grad():
            for (_, parameter), value in zip(own, state.values(), strict=True):
                parameter.copy_(value)

    def sources(self) -> list[Any]:
        return [one.source for one in self._given()]

    def _given(self) -> list[GivenBatches]:
        """Batches that somebody else makes."""
        both = (self.batches, self.validation)
        return [one for one in both if isinstance(one, GivenBatches)]

    def generators(self) -> list[Generator]:
        model: Any = self.model
        held = [value for layer in model.flat_layers() for value in vars(layer).values()]
        found = [v.generator if isinstance(v, SeedGenerator) else v for v in held]
        return [one for one in found if isinstance(one, Generator)]

    def state_dict(self, within_epoch: bool) -> dict[str, Any]:
        chosen = self.keras_optimizer
        trained = isinstance(self.batches, GivenBatches) and within_epoch
        taken = [one.begun if trained and one is self.batches else one.total
                 for one in self._given()]  # fmt: skip
        rate = chosen._rate.detach() if chosen.has_one_rate else None
        return {"steps": chosen._steps, "rate": rate, "given": chosen._given, "taken": taken}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        chosen = self.keras_optimizer
        chosen._steps = int(state["steps"])
        if state["rate"] is not None:
            chosen.learning_rate = state["rate"].item()
        chosen._given = state["given"]
        for batches, count in zip(self._given(), state["taken"], strict=True):
            batches.skip(int(count))

    @property
    def lr(self) -> float:
        return float(self.keras_optimizer.learning_rate)

    def change_lr(self, rule: Callable[[float], float]) -> None:
        self.keras_optimizer.learning_rate = rule(self.lr)
        self.keras_optimizer.set_rate()

    @property
    def validates(self) -> bool:
        if self.validation is None:
            return False
        if isinstance(self.frequency, int):
            return (self.epoch + 1) % self.frequency == 0
        return self.epoch + 1 in self.frequency

    def validate(self) -> dict[str, float]:
        assert self.validation is not None
        model: Any = self.model
        return model._measured(self.where, self.validation)  # type: ignore[no-any-return]


def measure(
    where: str, model: Any, steps: Iterable[Step], listener: Any = None, fresh: bool = True
) -> dict[str, Any]:
    """Loss and metrics of a compiled model on batches, in evaluation mode."""
    compiled: Compiled = model._compiled
    if fresh:
        compiled.reset()
    penalties = Penalties(model)
    total, rows = 0.0, 0
    with no_grad():
        for number, step in enumerate(steps):
            if listener is not None:
                listener.on_test_batch_begin(number)
            for batch in step:
                penalties.clear()
                prediction = output_of(where, model, batch.x)
                loss = compiled.loss(batch.target, prediction, batch.weight)
                compiled.add_parts(compiled.taken_parts(), batch.rows)
                extra = penalties.total()
                value = sum(float(part.item()) for part in (loss, extra) if part is not None)
                total, rows = total + value * batch.rows, rows + batch.rows
                compiled.update(batch.target, prediction, batch.weight)
            if listener is not None:
                listener.on_test_batch_end(number, {"loss": total / rows, **compiled.results()})
    if not rows:
        raise ValueError(f"[{where}] x: expected at least one batch, got none")
    return {"loss": total / rows, **compiled.results()}


def predict(where: str, model: Any, steps: Sequence[Step] | Any, listener: Any = None) -> Any:
    """A model's outputs for batches, as NumPy arrays in the structure of the outputs."""
    parts: list[list[Any]] = []
    outputs: Any = None
    joined = whole_output(where, model, steps) if listener is None else None
    if joined is not None:
        return joined
    with no_grad():
        for number, step in enumerate(steps):
            if listener is not None:
                listener.on_predict_batch_begin(number)
            for batch in step:
                outputs = output_of(where, model, batch.x)
                parts.append([as_array(t) for t in flatten(outputs)])
            if listener is not None:
                listener.on_predict_batch_end(number, {"outputs": outputs})
    if not parts:
        raise ValueError(f"[{where}] x: expected at least one batch, got none")
    columns = iter([np.concatenate(column) for column in zip(*parts, strict=True)])
    return map_structure(lambda _: next(columns), outputs)
