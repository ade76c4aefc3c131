"""Callbacks of `fit`: when they are called, what they may do, and what is left when they raise."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from training_setup import LABELS, VALUES, X, classifier, fit, weights

import ranvier as rv
from ranvier import nn
from ranvier.training.callbacks import (
    EVENTS,
    Callback,
    CSVLogger,
    EarlyStopping,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    TerminateOnNaN,
    listeners,
)


def test_order_of_events() -> None:
    seen: list[str] = []
    everything = LambdaCallback(
        **{name: lambda *_, name=name: seen.append(name) for name in EVENTS}  # type: ignore[misc]
    )
    fit(classifier(), epochs=2, batch_size=25, validation=0.2, callbacks=everything)
    step = ["on_step_begin", "on_step_end", "on_progress"]
    validation = ["on_validation_begin", "on_validation_end"]
    epoch = ["on_epoch_begin", *step, *step, *validation, "on_epoch_end"]
    assert seen == ["on_train_begin", *epoch, *epoch, "on_train_end", "on_close"]


def test_nobody_listens_to_what_nobody_wrote() -> None:
    class One(Callback):
        def on_epoch_end(self, run: Any, logs: dict[str, float]) -> None: ...

    class Duck:
        def on_step_end(self, run: Any, logs: dict[str, float]) -> None: ...

    found = listeners([One(), Duck(), Callback()])
    assert {name: len(methods) for name, methods in found.items() if methods} == {
        "on_epoch_end": 1, "on_step_end": 1,
    }  # fmt: skip


def test_what_a_callback_sees_and_adds() -> None:
    seen: list[tuple[int, int, int, float]] = []

    class Watch(Callback):
        def on_epoch_end(self, run: Any, logs: dict[str, float]) -> None:
            assert run.history.history["loss"][-1] == logs["loss"]
            assert run.model is net and run.epochs == 3 and run.part == 1
            seen.append((run.epoch, run.step, run.history.epochs, run.lr))
            logs["own"] = float(run.epoch)

    net = classifier()
    history = fit(net, epochs=3, batch_size=25, callbacks=[Watch()])
    assert seen == [(1, 2, 1, 1e-3), (2, 4, 2, 1e-3), (3, 6, 3, 1e-3)]
    assert history.history["own"] == [1, 2, 3] and history.stopped is None


def test_stop_within_an_epoch_keeps_what_was_done() -> None:
    class Stop(Callback):
        def on_step_end(self, run: Any, logs: dict[str, float]) -> None:
            if run.step == 3:
                run.stop("three steps")

    history = fit(classifier(), epochs=9, batch_size=25, callbacks=Stop())
    assert history.epochs == 2 and history.stopped == "three steps"


class BoomError(Exception):
    pass


@pytest.mark.parametrize("event", [name for name in EVENTS if name != "on_not_finite"])
def test_a_callback_that_raises(event: str) -> None:
    def boom(run: Any, logs: dict[str, float]) -> None:
        raise BoomError

    net, other = classifier(), classifier()
    net[0].eval()
    with pytest.raises(BoomError):
        fit(net, epochs=1, validation=0.2, batch_size=None, shuffle=False,
            callbacks=LambdaCallback(**{event: boom}))  # fmt: skip
    assert net.training and not net[0].training and rv.is_grad_enabled()
    assert all(p.grad is None for p in net.parameters())
    fit(other, X[:40], LABELS[:40], epochs=1, batch_size=None, shuffle=False)
    whole = {weights(classifier()), weights(other)}
    assert weights(net) in whole
    fit(net, epochs=1)


def test_a_metric_that_raises() -> None:
    calls: list[int] = []

    def metric(prediction: rv.Tensor, target: rv.Tensor) -> float:
        calls.append(1)
        if len(calls) == 4:
            raise BoomError
        return 0.0

    net = classifier()
    net.eval()
    with pytest.raises(BoomError):
        fit(net, metrics=metric, batch_size=25)
    assert not net.training and all(p.grad is None for p in net.parameters())
    assert fit(net, epochs=1).epochs == 1


@pytest.mark.parametrize(
    "callbacks, words",
    [
        (EarlyStopping, r"expected objects, got the class EarlyStopping; write EarlyStopping\(\)"),
        (
            [lambda run, logs: None],
            r"expected objects with methods such as on_epoch_end, .*LambdaCallback",
        ),
        ("early", "expected objects with methods"),
        (3, "expected objects with methods"),
    ],
)
def test_refused(callbacks: Any, words: str) -> None:
    with pytest.raises(TypeError, match=rf"\[fit\] callbacks: {words}"):
        fit(classifier(), callbacks=callbacks)


def test_refused_arguments() -> None:
    with pytest.raises(TypeError, match="got 'on_epoch_ended'; did you mean 'on_epoch_end'"):
        LambdaCallback(on_epoch_ended=print)
    with pytest.raises(ValueError, match=r"\[EarlyStopping\] patience: expected a whole number"):
        EarlyStopping(patience=-1)
    with pytest.raises(ValueError, match=r"mode: expected 'auto', 'min' or 'max', got 'most'"):
        EarlyStopping(mode="most")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"factor: expected a number between 0 and 1, got 2"):
        ReduceLROnPlateau(factor=2)
    with pytest.raises(TypeError, match=r"schedule: expected a function of the epoch"):
        LearningRateScheduler(0.1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"got 'val_loss'; give fit validation="):
        fit(classifier(), callbacks=EarlyStopping("val_loss"))
    with pytest.raises(ValueError, match=r"got 'acuracy'; did you mean 'accuracy'"):
        fit(classifier(), metrics="accuracy", callbacks=EarlyStopping("acuracy"))


class Scripted(Callback):
    """Puts given numbers where they are watched."""

    def __init__(self, name: str, values: list[float]) -> None:
        self.name, self.values, self.weights = name, values, []  # type: ignore[var-annotated]

    def on_epoch_end(self, run: Any, logs: dict[str, float]) -> None:
        logs[self.name] = self.values[run.epoch - 1]
        self.weights.append(weights(run.model))


@pytest.mark.parametrize(
    "name, values, patience, delta, epochs, best",
    [
        ("score", [3, 2, 2.5, 2.2, 1, 0], 2, 0.0, 4, 2),
        ("score", [3, 2.95, 2.9, 2.8, 2.7], 2, 0.5, 3, 1),
        ("val_accuracy", [0.1, 0.5, 0.4, 0.3, 0.9], 2, 0.0, 4, 2),
        ("score", [5, 4, 3, 2, 3], 3, 0.0, 5, 4),
        ("score", [float("nan"), 4, float("nan"), 5, 6], 2, 0.0, 4, 2),
    ],
)
def test_early_stopping(
    name: str, values: list[float], patience: int, delta: float, epochs: int, best: int
) -> None:
    net, script = classifier(), Scripted(name, values)
    stop = EarlyStopping(name, patience=patience, min_delta=delta)
    history = fit(net, epochs=len(values), callbacks=[script, stop])
    assert (history.epochs, stop.best_epoch, stop.best) == (epochs, best, values[best - 1])
    assert weights(net) == script.weights[best - 1]
    assert (history.stopped is None) == (epochs == len(values))
    net = classifier()
    stop = EarlyStopping(name, patience, delta, restore_best_weights=False)
    fit(net, epochs=len(values), callbacks=[script, stop])
    assert weights(net) == script.weights[-1]


def test_early_stopping_can_be_used_again() -> None:
    stop = EarlyStopping(patience=1)
    for _ in range(2):
        history = fit(classifier(), callbacks=stop, epochs=3)
        assert history.epochs == 3 and stop.best_epoch == 3


def test_checkpoints(tmp_path: Path) -> None:
    net, script = classifier(), Scripted("score", [3.0, 2.0, 2.5])
    every = ModelCheckpoint(tmp_path / "net-{epoch:02d}-{score:.1f}.safetensors")
    best = ModelCheckpoint(tmp_path / "best.safetensors", "score", save_best_only=True)
    fit(net, epochs=3, callbacks=[script, every, best])
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [
        "best.safetensors", "net-01-3.0.safetensors", "net-02-2.0.safetensors",
        "net-03-2.5.safetensors",
    ]  # fmt: skip
    other = classifier(1)
    for name, number in ((names[0], 2), (names[1], 1), (names[3], 3)):
        other.load_state_dict(rv.io.state_of(tmp_path / name))
        assert weights(other) == script.weights[number - 1]
    with pytest.raises(ValueError, match="path: expected names out of epoch, loss, got 'acc'"):
        fit(net, callbacks=ModelCheckpoint(tmp_path / "{acc}"))


def test_learning_rates() -> None:
    history = fit(classifier(), epochs=3, callbacks=LearningRateScheduler(lambda e: 0.1 / (e + 1)))
    assert history.history["lr"] == [0.1, 0.05, 0.1 / 3]
    halves = LearningRateScheduler(lambda epoch, rate: rate / 2)
    assert fit(classifier(), epochs=3, callbacks=halves).history["lr"] == [5e-4, 2.5e-4, 1.25e-4]
    script = Scripted("score", [1, 1, 1, 1, 1, 1, 0.5, 0.5, 0.5])
    plateau = ReduceLROnPlateau("score", factor=0.1, patience=2, cooldown=1, min_lr=2e-5)
    rates = fit(classifier(), epochs=9, callbacks=[script, plateau]).history["lr"]
    assert np.allclose(rates, [1e-3, 1e-3, 1e-3, 1e-4, 1e-4, 2e-5, 2e-5, 2e-5, 2e-5])


def test_csv(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    history = fit(classifier(), epochs=2, metrics="accuracy", callbacks=CSVLogger(path))
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert [float(row["loss"]) for row in rows] == history.history["loss"]
    fit(classifier(), epochs=1, metrics="accuracy", callbacks=CSVLogger(path, append=True))
    assert len(path.read_text().splitlines()) == 4
    fit(classifier(), epochs=1, callbacks=CSVLogger(path, separator=";"))
    assert path.read_text().startswith("epoch;loss\n1;")


def test_terminate_on_nan() -> None:
    net, one_step = nn.Linear(4, 1), nn.Linear(4, 1)
    one_step.load_state_dict(net.state_dict())
    named: dict[str, Any] = {"loss": "mse", "optimizer": "sgd", "lr": 1e30, "shuffle": False}
    named["batch_size"] = None
    history = fit(net, X, VALUES, callbacks=TerminateOnNaN(), **named)
    assert history.epochs == 1 and "epoch 2, step 2, loss" in str(history.stopped)
    fit(one_step, X, VALUES, epochs=1, **named)
    assert weights(net) == weights(one_step)
