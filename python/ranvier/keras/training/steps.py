"""Steps that a model takes in a way of its own: `train_step` and `test_step` that are overridden.

Epochs, batches, callbacks and the care for whole steps stay those of the one training loop; what
stands here is what it calls for each batch, and Keras' own steps for `super().train_step(data)`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ranvier._C import Tensor
from ranvier._grad import no_grad
from ranvier.keras.metrics.metric import Mean, Metric
from ranvier.keras.tensors import flatten
from ranvier.keras.training.compiled import Compiled
from ranvier.keras.training.data import unpack
from ranvier.keras.training.task import KerasTask
from ranvier.keras.utils import pack_x_y_sample_weight
from ranvier.training.batches import Batch, Step
from ranvier.training.modes import evaluating


class Steps:
    """The steps of a model, which a subclass may override."""

    optimizer: Any
    metrics: Any
    trainable_weights: Any
    compute_loss: Any
    zero_grad: Any
    _compiled: Compiled | None
    _loss_tracker: Mean | None

    def train_step(self, data: Any) -> dict[str, Any]:
        """One step on one batch; `fit` and `train_on_batch` call it where a subclass overrides it.

        Parameters
        ----------
        data : Tensor or tuple
            x, (x, y) or (x, y, sample_weight), as `fit` was given them.

        Returns
        -------
        dict of str to number
            What is reported, by names: the last of an epoch counts.

        Examples
        --------
        >>> import ranvier as rv
        >>> from ranvier import keras
        >>> class Net(keras.Model):
        ...     def train_step(self, data):
        ...         x, y = data
        ...         self.zero_grad()
        ...         loss = self.compute_loss(y=y, y_pred=self(x, training=True))
        ...         loss.backward()
        ...         weights = self.trainable_weights
        ...         self.optimizer.apply([w.grad for w in weights], weights)
        ...         return {"loss": loss}
        >>> inputs = keras.Input((1,))
        >>> model = Net(inputs, keras.layers.Dense(1)(inputs))
        >>> model.compile("sgd", "mse")
        >>> list(model.fit([[1.0], [2.0]], [[2.0], [4.0]], verbose=0).history)
        ['loss']
        """
        x, y, weight = unpack(data)
        self.zero_grad()
        prediction = self(x, training=True)  # type: ignore[operator]
        loss = self.compute_loss(x, y, prediction, weight)
        self._track(loss, prediction)
        loss.backward()
        weights = self.trainable_weights
        self.optimizer.apply([w.grad for w in weights], weights)
        return self.compute_metrics(x, y, prediction, weight)

    def test_step(self, data: Any) -> dict[str, Any]:
        """What `evaluate` and validation do with one batch; see `train_step`."""
        x, y, weight = unpack(data)
        prediction = self(x, training=False)  # type: ignore[operator]
        self._track(self.compute_loss(x, y, prediction, weight, training=False), prediction)
        return self.compute_metrics(x, y, prediction, weight)

    def _track(self, loss: Tensor, prediction: Any) -> None:
        assert self._loss_tracker is not None
        rows = flatten(prediction)[0].shape[0]
        self._loss_tracker.total += float(loss.item()) * rows
        self._loss_tracker.count += rows

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        """Takes a batch into the compiled metrics, and gives the values of all."""
        assert self._compiled is not None
        with no_grad():
            self._compiled.update(y, y_pred, sample_weight)
        return self.get_metrics_result()

    def get_metrics_result(self) -> dict[str, Any]:
        """The values of all metrics, by their names."""
        assert self._compiled is not None
        compiled = {id(metric) for _, metric, _, _ in self._compiled.measures}
        own = {m.name: m.result() for m in self.metrics if id(m) not in compiled}
        return own | self._compiled.results()

    def _attributes(self) -> list[Metric]:
        """The metrics in attributes."""
        found = (v for k, v in vars(self).items() if k != "_loss_tracker")
        return [value for value in found if isinstance(value, Metric)]


def overridden(model: Any, name: str) -> bool:
    """Whether a model has a step of its own."""
    return getattr(type(model), name) is not getattr(Steps, name)


def _data(batch: Batch) -> Any:
    """A batch as steps are given it."""
    return pack_x_y_sample_weight(batch.x, batch.target, batch.weight)


def _logs(where: str, model: Any, given: Any) -> dict[str, Any]:
    """What a step returned, as Python's numbers."""
    if not isinstance(given, dict):
        raise TypeError(
            f"[{where}] {type(model).__name__}: expected names and numbers, such as "
            f"{{'loss': loss}}, got {type(given).__name__}; end it with `return`"
        )
    return {name: _number(value) for name, value in given.items()}


def _number(value: Any) -> Any:
    if isinstance(value, Tensor):
        value = value.detach()
        return float(value.item()) if value.numel() == 1 else value.tolist()
    return value


class OwnSteps(KerasTask):
    """How a model with a `train_step` of its own is trained.

    The loop sees losses only after the update: where one is not finite, training stops behind it.
    """

    steps_itself = True

    def prepare(self, model: Any) -> None:
        """An epoch begins."""
        for metric in model.metrics:
            metric.reset_state()

    def take_step(self, step: Step) -> float:
        model: Any = self.model
        self.logs: dict[str, Any] = {}
        for batch in step:
            self.logs = _logs("train_step", model, model.train_step(_data(batch)))
        losses = [v for k, v in self.logs.items() if "loss" in k and isinstance(v, float)]
        return sum(losses)

    def meters(self) -> dict[str, Any]:
        if self.fresh:
            self.prepare(self.model)
        return {}

    def values_of_epoch(self, loss: float, meters: dict[str, Any]) -> dict[str, Any]:
        return dict(self.logs)

    def state_dict(self, within_epoch: bool) -> dict[str, Any]:
        model: Any = self.model
        metrics = [metric.state_dict() for metric in model.metrics]
        logs = getattr(self, "logs", {})
        return {**super().state_dict(within_epoch), "metrics": metrics, "logs": logs}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        model: Any = self.model
        self.logs = state["logs"]
        for metric, kept in zip(model.metrics, state["metrics"], strict=True):
            metric.load_state_dict(kept)


def measure_steps(
    where: str, model: Any, steps: Iterable[Step], listener: Any = None, fresh: bool = True
) -> dict[str, Any]:
    """What a model's own `test_step` says of batches, in evaluation mode."""
    logs: dict[str, Any] = {}
    if fresh:
        model.reset_metrics()
    with evaluating(model), no_grad():
        for number, step in enumerate(steps):
            if listener is not None:
                listener.on_test_batch_begin(number)
            for batch in step:
                logs = _logs("test_step", model, model.test_step(_data(batch)))
            if listener is not None:
                listener.on_test_batch_end(number, logs)
    if not logs:
        raise ValueError(f"[{where}] x: expected at least one batch, got none")
    return logs
