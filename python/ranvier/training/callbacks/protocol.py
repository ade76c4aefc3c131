"""What may listen to a training run and steer it: the protocol, for every door the same.

A callback is any object with some of the methods of `Callback`. A run looks up once who listens to
what, so that a method that nobody wrote costs nothing. One of the Keras door, which knows a model
and counts epochs from 0, is told through a bridge. Nothing here trains.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ranvier.training.errors import NonFiniteError, near_misses

if TYPE_CHECKING:
    from ranvier.training.loop import Run

Logs = dict[str, float]

EVENTS = (
    "on_train_begin", "on_train_end", "on_epoch_begin", "on_epoch_end", "on_step_begin",
    "on_step_end", "on_progress", "on_validation_begin", "on_validation_end", "on_not_finite",
    "on_close",
)  # fmt: skip


class Callback:
    """Base class of what listens to a run of `fit`; each method may be left out.

    It works in `rv.fit`, in `fit` of the Keras door and in the estimators of `ranvier.sklearn`, and
    beside callbacks of the Keras door in one list, in whose order all are told.

    Every method gets the run, whose `model`, `optimizer`, `history`, `epoch` and `step` (both count
    from 1), `epochs`, `lr`, which may be set, `so_far()` and `stop(reason)` are there to be used.
    `logs` holds what was measured; what a method adds to the logs of an epoch goes into the
    history. A callback never runs within an update, and whatever it raises leaves the model with
    whole steps, its modes, and no gradients; the error says which callback it was, and when.
    One that has `state_dict` and `load_state_dict` has its state in the checkpoints of the run;
    where a run goes on, `on_train_begin` (and within an epoch `on_epoch_begin`) is told first, with
    `run.resumed` set, and then the state is loaded. One that has `writes`, which gives the paths
    that it writes to, is refused beside another one with the same path.

    Examples
    --------
    >>> import ranvier as rv
    >>> class Stop(rv.Callback):
    ...     def on_epoch_end(self, run, logs):
    ...         if logs["loss"] < 1:
    ...             run.stop("good enough")
    >>> history = rv.fit(rv.nn.Linear(1, 1), [[0.0]], [0.0], loss="mse", lr=0.1, verbose=0,
    ...                  epochs=1000, callbacks=[Stop()])
    >>> history.stopped
    'good enough'
    """

    def on_train_begin(self, run: Run, logs: Logs) -> None:
        """Before the first epoch; `logs` is empty."""

    def on_train_end(self, run: Run, logs: Logs) -> None:
        """After the last epoch, with its logs; not after an error, but where one was taken."""

    def on_epoch_begin(self, run: Run, logs: Logs) -> None:
        """Before an epoch; `logs` is empty."""

    def on_epoch_end(self, run: Run, logs: Logs) -> None:
        """After an epoch and its validation, with its logs."""

    def on_step_begin(self, run: Run, logs: Logs) -> None:
        """Before a step; `logs` is empty."""

    def on_step_end(self, run: Run, logs: Logs) -> None:
        """After an update, with the loss of its rows."""

    def on_progress(self, run: Run, logs: Logs) -> None:
        """Now and then in an epoch, `run.part` of which is done, with its mean loss so far.

        After some steps, or every few hundredths of a second: who listens to nothing else of an
        epoch does not make it slower.
        """

    def on_validation_begin(self, run: Run, logs: Logs) -> None:
        """Before the validation rows are measured."""

    def on_validation_end(self, run: Run, logs: Logs) -> None:
        """After the validation rows were measured, with what was found."""

    def on_not_finite(self, run: Run, error: NonFiniteError) -> bool:
        """A number that is not finite is about to stop the run; True ends it without an error."""
        return False

    def on_close(self, run: Run, logs: Logs) -> None:
        """At the very end, whatever ended the run."""


def listeners(callbacks: Iterable[Any]) -> dict[str, list[Callable[..., Any]]]:
    """Who listens to what: the methods that somebody wrote, by their names."""
    found: dict[str, list[Callable[..., Any]]] = {event: [] for event in EVENTS}
    for callback in callbacks:
        for event in EVENTS:
            method = getattr(callback, event, None)
            if method is None or getattr(method, "__func__", None) is getattr(Callback, event):
                continue
            found[event].append(method)
    return found


def resolve(where: str, callbacks: Any) -> tuple[Any, ...]:
    """What listens to a run, from one callback or several: those of the Keras door on bridges.

    Raises
    ------
    TypeError
        For what listens to nothing.
    ValueError
        For two that write to one path.
    """
    if callbacks is None:
        return ()
    single = not isinstance(callbacks, Iterable) or isinstance(callbacks, (str, Mapping))
    items = tuple([callbacks] if single else callbacks)
    for item in items:
        if isinstance(item, type):
            raise TypeError(
                f"[{where}] callbacks: expected objects, got the class {item.__name__}; write "
                f"{item.__name__}()"
            )
        if is_of_keras(item) or isinstance(item, Callback):
            continue
        if any(hasattr(item, event) for event in EVENTS):
            continue
        hint = "; rv.callbacks.LambdaCallback(on_epoch_end=...) takes it" if callable(item) else ""
        if type(item).__name__ == "Checkpoint":
            hint = "; fit takes it as checkpoint="
        raise TypeError(
            f"[{where}] callbacks: expected objects with methods such as on_epoch_end, got "
            f"{item!r:.60}{hint}"
        )
    check_files(where, items)
    if not any(map(is_of_keras, items)):
        return items
    from ranvier.keras.callbacks.bridge import bridged  # whoever has such a callback has it already

    return tuple(bridged(items))


def is_of_keras(callback: Any) -> bool:
    """Whether a callback is to be told in Keras' way."""
    return hasattr(callback, "set_model")


def check_files(where: str, callbacks: Iterable[Any]) -> None:
    """A ValueError where two callbacks write to one path, or one is there twice."""
    found: dict[str, str] = {}
    for number, callback in enumerate(callbacks, 1):
        writes = getattr(callback, "writes", None)
        who = f"{name_of(callback)} (number {number})"
        for path in writes() if callable(writes) else ():
            other = found.setdefault(os.path.realpath(path), who)
            if other != who:
                raise ValueError(
                    f"[{where}] callbacks: expected a path of its own for each, got {path!r} for "
                    f"{other} and {who}; give one of them another"
                )


def name_of(callback: Any) -> str:
    """What a callback is called: by its class, that of the one behind a bridge."""
    return type(getattr(callback, "told", callback)).__name__


def blame(run: Run, error: Exception, method: Any, event: str) -> None:
    """Write into an error which callback raised it, and when; its type stays."""
    for callback in run.callbacks:
        if getattr(callback, event, None) == method:
            who = name_of(callback)
            event = getattr(callback, "names", {}).get(event, event)
            break
    else:
        who = "a callback"
    place = f"epoch {run.epoch}, step {run.step}"
    add_note(error, f"[{run.task.where}] callbacks: {who} raised it in {event}, at {place}")


def add_note(error: BaseException, words: str) -> None:
    """A sentence behind the message of an error."""
    if hasattr(error, "add_note"):
        error.add_note(words)
    elif len(error.args) == 1 and isinstance(error.args[0], str):  # Python 3.10
        error.args = (f"{error.args[0]}\n{words}",)


class LambdaCallback(Callback):
    """A callback from functions, each under the name of a method of `Callback`.

    Examples
    --------
    >>> import ranvier as rv
    >>> note = rv.callbacks.LambdaCallback(on_epoch_end=lambda run, logs: print(run.epoch))
    >>> history = rv.fit(rv.nn.Linear(1, 1), [[0.0]], [0.0], loss="mse", epochs=2, verbose=0,
    ...                  callbacks=note)
    1
    2
    """

    def __init__(self, **functions: Callable[..., Any]) -> None:
        for name, function in functions.items():
            if name not in EVENTS:
                raise TypeError(
                    f"[LambdaCallback] expected names out of {', '.join(EVENTS)}, got "
                    f"{name!r}{near_misses(name, EVENTS)}"
                )
            if not callable(function):
                raise TypeError(f"[LambdaCallback] {name}: expected a function, got {function!r}")
            setattr(self, name, function)
