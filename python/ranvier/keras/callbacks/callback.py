"""`Callback`, and several of them together. How they hear from the loop is in `bridge.py`."""

from __future__ import annotations

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

    It works in `rv.fit` and in the estimators of `ranvier.sklearn` too: there `model` is a view of
    what is trained, with `stop_training`, `optimizer.learning_rate`, `get_weights`, `set_weights`,
    `save` and `save_weights`, and all that the model itself has. One that has `state_dict` and
    `load_state_dict` has its state in the checkpoints of a run.

    Attributes
    ----------
    model : Model
        What is trained; `model.stop_training = True` ends the run after the step.
    params : dict
        "epochs", "steps" and "verbose"; in `fit` also "do_validation", and "resumed": whether the
        run goes on from a checkpoint, after which the state of the callback is loaded.
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


def heard(callback: Any, event: str) -> Any:
    """The method that a callback has for an event; None where nobody wrote one."""
    method = getattr(callback, event, None)
    if method is None or getattr(method, "__func__", None) is not getattr(Callback, event):
        return method
    older = event.replace("on_train_batch", "on_batch")
    if older == event:
        return None
    written = getattr(getattr(callback, older, None), "__func__", None)
    return None if written is getattr(Callback, older) else method


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
        self.methods = {
            event: [method for one in self.callbacks if (method := heard(one, event))]
            for event in EVENTS
        }

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
