"""How Keras' callbacks hear from the training loop: each one on a bridge, in every door.

In `fit` of a compiled model they see that model. In `rv.fit` and in estimators they see a `View` of
what is trained, which answers to what Keras' callbacks ask of a model.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier._C import Tensor
from ranvier._conversion import as_array, as_tensor
from ranvier._grad import no_grad
from ranvier.keras.callbacks.callback import EVENTS, Line, heard
from ranvier.training.callbacks.protocol import is_of_keras

if TYPE_CHECKING:
    from ranvier.training.loop import Run


class Rates:
    """The optimizer of a run, as Keras' callbacks know one."""

    def __init__(self, run: Run) -> None:
        self._run = run

    @property
    def learning_rate(self) -> float:
        """That of the first group of parameters; setting it sets that of all."""
        return self._run.lr

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        rate = float(value)
        self._run.change_lr(lambda _: rate)

    lr = learning_rate

    @property
    def iterations(self) -> int:
        """How many steps were taken."""
        return self._run.step

    def __getattr__(self, name: str) -> Any:
        return getattr(self._run.optimizer, name)


class View:
    """What a run trains, as Keras' callbacks know a model. What it does not have, the model has.

    Attributes
    ----------
    stop_training : bool
        Setting it ends the run after the step or epoch.
    optimizer : Rates
        With `learning_rate`, which may be set.
    """

    def __init__(self) -> None:
        self.stop_training = False
        self._run: Run | None = None

    def show(self, run: Run) -> None:
        """A run begins."""
        self._run, self.optimizer, self.stop_training = run, Rates(run), False

    @property
    def trained(self) -> Any:
        """The model itself."""
        if self._run is None:
            raise AttributeError("[callbacks] model: expected a run that has begun, got none")
        return self._run.model

    def first_rows(self) -> Any:
        """Two rows as the model is given them, in a list; None where they do not lie in memory."""
        from ranvier.training.callbacks.tensorboard import first_rows

        return None if self._run is None else first_rows(self._run)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # copy and pickle look for them before there is a run
            raise AttributeError(name)
        return getattr(self.trained, name)

    def get_weights(self) -> list[Any]:
        """Copies of all parameters and buffers, as NumPy arrays; bfloat16 as float32."""
        if hasattr(self.trained, "get_weights"):
            return list(self.trained.get_weights())
        return [np.array(as_array(tensor.detach())) for tensor in self._tensors()]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Puts such copies back."""
        if hasattr(self.trained, "set_weights"):
            self.trained.set_weights(weights)
            return
        with no_grad():
            for tensor, value in zip(self._tensors(), weights, strict=True):
                tensor.copy_(as_tensor(value))

    def _tensors(self) -> list[Tensor]:
        return [value for value in self.trained.state_dict().values() if isinstance(value, Tensor)]

    def save_weights(self, filepath: Any, overwrite: bool = True) -> None:
        """Writes the state dict."""
        from ranvier import io

        io.save(self.trained.state_dict(), filepath)

    def load_weights(self, filepath: Any) -> None:
        """Reads one, or that of a model's file."""
        from ranvier import io

        self.trained.load_state_dict(io.state_of(filepath))

    def save(self, filepath: Any, overwrite: bool = True) -> None:
        """Writes the model, as `rv.save` does."""
        from ranvier import io

        io.save(self.trained, filepath)


class Bridge:
    """Hears from the training loop, and tells one of Keras' callbacks under Keras' names.

    Parameters
    ----------
    told : Callback
        Of the Keras door.
    model : View or Model
    params : dict, optional
        What the callback is told of the run; found out when the run begins if left out.
    """

    names = {  # noqa: RUF012  what the callback calls an event
        "on_step_begin": "on_train_batch_begin", "on_step_end": "on_train_batch_end",
        "on_validation_begin": "on_test_begin", "on_validation_end": "on_test_end",
    }  # fmt: skip

    def __init__(self, told: Any, model: Any, params: dict[str, Any] | None = None) -> None:
        self.told, self.model, self.params = told, model, params
        if params is not None:
            told.set_model(model)
        self.methods = {event: heard(told, event) for event in EVENTS}
        # Who hears of every step has Python between them.
        if self.methods["on_train_batch_begin"]:
            self.on_step_begin = self._step_begin
        if self.methods["on_train_batch_end"]:
            self.on_step_end = self._step_end
        if all(callable(getattr(told, name, None)) for name in ("state_dict", "load_state_dict")):
            self.state_dict, self.load_state_dict = told.state_dict, told.load_state_dict

    def _tell(self, event: str, *args: Any) -> None:
        method = self.methods[event]
        if method is not None:
            method(*args)

    def on_train_begin(self, run: Any, logs: Any) -> None:
        """Before the first epoch: the callback gets to know the model."""
        params = self.params
        if params is None:
            self.model.show(run)
            params = {"verbose": 0, "epochs": run.epochs, "steps": run.task.batches.steps}
            self.told.set_model(self.model)
        validates = getattr(run.task, "validation", None) is not None
        self.told.set_params({**params, "do_validation": validates, "resumed": run.resumed})
        self._tell("on_train_begin", logs)

    def on_train_end(self, run: Any, logs: Any) -> None:
        """After the last epoch."""
        self._tell("on_train_end", logs)

    def on_epoch_begin(self, run: Any, logs: Any) -> None:
        """Before an epoch, which the loop counts from 1 and Keras from 0."""
        self._tell("on_epoch_begin", run.epoch - 1, logs)
        self._stop(run)  # after the first step

    def on_epoch_end(self, run: Any, logs: Any) -> None:
        """After an epoch."""
        self._tell("on_epoch_end", run.epoch - 1, logs)
        self._stop(run)

    def _step_begin(self, run: Any, logs: Any) -> None:
        self._tell("on_train_batch_begin", run.now.steps, logs)

    def _step_end(self, run: Any, logs: Any) -> None:
        """After a step: the means of the epoch so far."""
        self._tell("on_train_batch_end", run.now.steps - 1, run.so_far())

    def on_progress(self, run: Any, logs: Any) -> None:
        """Now and then in an epoch: a line is redrawn."""
        if isinstance(self.told, Line):
            self.told.redraw(run.now.steps, functools.partial(run.so_far))
        self._stop(run)

    def on_validation_begin(self, run: Any, logs: Any) -> None:
        """Before validation."""
        self._tell("on_test_begin", {})

    def on_validation_end(self, run: Any, logs: Any) -> None:
        """After validation."""
        means = {name.removeprefix("val_"): value for name, value in logs.items()}
        self._tell("on_test_end", means)

    def on_not_finite(self, run: Any, error: Exception) -> bool:
        """Whether the callback takes a number that is not finite for an end without an error."""
        taken = getattr(self.told, "on_not_finite", None)
        return taken is not None and bool(taken(error))

    def on_close(self, run: Any, logs: Any) -> None:
        """At the very end, whatever ended the run."""
        closed = getattr(self.told, "on_close", None)
        try:
            if closed is not None:
                closed()
        finally:
            if self.params is None:  # what the run holds is not for the callback to keep
                self.told.set_model(run.model)

    def _stop(self, run: Any) -> None:
        if self.model.stop_training and not run.stopping:
            run.stop("model.stop_training")


def bridged(
    callbacks: Iterable[Any], model: Any = None, params: dict[str, Any] | None = None
) -> list[Any]:
    """The same callbacks in the same order, those of the Keras door on bridges.

    Parameters
    ----------
    callbacks : iterable
    model : Model, optional
        What Keras' callbacks see; a view of what is trained if left out.
    params : dict, optional
        What they are told of the run.
    """
    shown = View() if model is None else model
    return [Bridge(one, shown, params) if is_of_keras(one) else one for one in callbacks]
