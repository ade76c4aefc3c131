"""`Callback`, several of them together, and how they hear from the training loop."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

from ranvier.keras._names import near

EVENTS = (
    "on_train_begin", "on_train_end", "on_epoch_begin", "on_epoch_end",
    "on_train_batch_begin", "on_train_batch_end", "on_test_begin", "on_test_end",
    "on_test_batch_begin", "on_test_batch_end", "on_predict_begin", "on_predict_end",
    "on_predict_batch_begin", "on_predict_batch_end",
)  # fmt: skip


class Callback:
    """Base class of what listens to fit, evaluate and predict; each method may be left out.

    Attributes
    ----------
    model : Model
        What is trained; `model.stop_training = True` ends the run after the step.
    params : dict
        "epochs", "steps" and "verbose".
    """

    model: Any = None
    params: dict[str, Any] | None = None

    def set_model(self, model: Any) -> None:
        """Is told what is trained."""
        self.model = model

    def set_params(self, params: dict[str, Any]) -> None:
        """Is told how."""
        self.params = params

    def on_batch_begin(self, batch: int, logs: Any = None) -> None:
        """An older name of `on_train_batch_begin`."""

    def on_batch_end(self, batch: int, logs: Any = None) -> None:
        """An older name of `on_train_batch_end`."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Before an epoch, counted from 0."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """After an epoch and its validation, with what was measured."""

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Before a step of training, counted from 0 in each epoch."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """After a step of training, with the means of the epoch so far."""
        self.on_batch_end(batch, logs)

    def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Before a batch is measured."""

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """After a batch was measured."""

    def on_predict_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Before a batch is predicted."""

    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
        """After a batch was predicted, with its "outputs"."""

    def on_train_begin(self, logs: Any = None) -> None:
        """Before the first epoch."""

    def on_train_end(self, logs: Any = None) -> None:
        """After the last epoch, with its logs."""

    def on_test_begin(self, logs: Any = None) -> None:
        """Before evaluate or validation."""

    def on_test_end(self, logs: Any = None) -> None:
        """After evaluate or validation, with what was measured."""

    def on_predict_begin(self, logs: Any = None) -> None:
        """Before predict."""

    def on_predict_end(self, logs: Any = None) -> None:
        """After predict."""


class LambdaCallback(Callback):
    """A callback from functions, each under the name of a method of `Callback`.

    Examples
    --------
    >>> from ranvier import keras
    >>> note = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch))
    """

    def __init__(self, **functions: Any) -> None:
        for name, function in functions.items():
            if function is None:
                continue
            if not hasattr(Callback, name):
                raise TypeError(
                    f"[LambdaCallback] expected names out of {', '.join(EVENTS)}, got "
                    f"{name!r}{near(name, EVENTS)}"
                )
            setattr(self, name, function)


class CallbackList:
    """Several callbacks as one: a method that nobody wrote costs nothing.

    Parameters
    ----------
    callbacks : iterable of Callback
    model : Model
    params : dict
    """

    def __init__(self, callbacks: Iterable[Any], model: Any, params: dict[str, Any]) -> None:
        self.callbacks = list(callbacks)
        self.model = model
        for callback in self.callbacks:
            callback.set_params(params)
            callback.set_model(model)
        self.methods = {event: self._listening(event) for event in EVENTS}

    def _listening(self, event: str) -> list[Any]:
        found = []
        for callback in self.callbacks:
            method = getattr(callback, event, None)
            if method is None:
                continue
            own = getattr(method, "__func__", None) is not getattr(Callback, event)
            older = event.replace("on_train_batch", "on_batch")
            if not own and older != event:
                written = getattr(callback, older, None)
                own = getattr(written, "__func__", None) is not getattr(Callback, older)
            if own:
                found.append(method)
        return found

    def tell(self, event: str, *args: Any) -> None:
        """Calls everybody who listens to this."""
        for method in self.methods[event]:
            method(*args)

    def on_test_batch_begin(self, batch: int) -> None:
        """A batch is about to be measured."""
        self.tell("on_test_batch_begin", batch, {})

    def on_test_batch_end(self, batch: int, logs: Any) -> None:
        """A batch was measured."""
        self.tell("on_test_batch_end", batch, logs)

    def on_predict_batch_begin(self, batch: int) -> None:
        """A batch is about to be predicted."""
        self.tell("on_predict_batch_begin", batch, {})

    def on_predict_batch_end(self, batch: int, logs: Any) -> None:
        """A batch was predicted."""
        self.tell("on_predict_batch_end", batch, logs)


class Line(Callback):
    """A line that is redrawn within epochs."""

    def redraw(self, done: int, means: Callable[[], dict[str, Any]]) -> None:
        """So many steps of the epoch are done; `means` gives those of the epoch so far."""


class Bridge:
    """Hears from the training loop, and tells Keras' callbacks under Keras' names.

    Parameters
    ----------
    callbacks : CallbackList
    task : KerasTask
    """

    def __init__(self, callbacks: CallbackList, task: Any) -> None:
        self.callbacks, self.task, self.model = callbacks, task, callbacks.model
        self.number = self.before = 0  # of the step in its epoch, and steps before that
        begin, end = (bool(callbacks.methods[f"on_train_batch_{w}"]) for w in ("begin", "end"))
        self.counts = end
        # Who hears of every step has Python between them.
        if begin:
            self.on_step_begin = self._step_begin
        if begin or end:
            self.on_step_end = self._step_end
        self.lines = [c.redraw for c in callbacks.callbacks if isinstance(c, Line)]

    def on_train_begin(self, run: Any, logs: Any) -> None:
        """Before the first epoch."""
        self.callbacks.tell("on_train_begin", logs)

    def on_train_end(self, run: Any, logs: Any) -> None:
        """After the last epoch."""
        self.callbacks.tell("on_train_end", logs)

    def on_epoch_begin(self, run: Any, logs: Any) -> None:
        """Before an epoch, which the loop counts from 1 and Keras from 0."""
        self.number, self.before, self.task.epoch = 0, run.step, run.epoch - 1
        self.callbacks.tell("on_epoch_begin", run.epoch - 1, logs)
        self._stop(run)  # after the first step

    def on_epoch_end(self, run: Any, logs: Any) -> None:
        """After an epoch."""
        self.callbacks.tell("on_epoch_end", run.epoch - 1, logs)
        self._stop(run)

    def _step_begin(self, run: Any, logs: Any) -> None:
        self.callbacks.tell("on_train_batch_begin", self.number, logs)

    def _step_end(self, run: Any, logs: Any) -> None:
        """After a step: the means of the epoch so far."""
        if self.counts:
            self.callbacks.tell("on_train_batch_end", self.number, self.task.means(logs["loss"]))
        self.number += 1

    def on_progress(self, run: Any, logs: Any) -> None:
        """Now and then in an epoch: a line is redrawn."""
        for redraw in self.lines:
            redraw(run.step - self.before, functools.partial(self.task.so_far, logs["loss"]))
        self._stop(run)

    def on_validation_begin(self, run: Any, logs: Any) -> None:
        """Before validation."""
        self.callbacks.tell("on_test_begin", {})

    def on_validation_end(self, run: Any, logs: Any) -> None:
        """After validation."""
        means = {name.removeprefix("val_"): value for name, value in logs.items()}
        self.callbacks.tell("on_test_end", means)

    def on_not_finite(self, run: Any, error: Exception) -> bool:
        """Whether somebody takes a number that is not finite for an end without an error."""
        taken = [
            callback.on_not_finite(error)
            for callback in self.callbacks.callbacks
            if hasattr(callback, "on_not_finite")
        ]
        return any(taken)

    def on_close(self, run: Any, logs: Any) -> None:
        """At the very end, whatever ended the run."""
        for callback in self.callbacks.callbacks:
            if hasattr(callback, "on_close"):
                callback.on_close()

    def _stop(self, run: Any) -> None:
        if self.model.stop_training:
            run.stop("model.stop_training")
