"""One protocol for all doors: callbacks of either family in `rv.fit` and in Keras' `fit`."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fit_setup import Watch, plain
from training_setup import VALUES, X, classifier, fit, weights

import ranvier as rv
from ranvier import _C, keras, nn
from ranvier.sklearn import MLPRegressor
from ranvier.training.recorded import RecordedSteps


def compiled(rate: float = 0.1) -> Any:
    rv.manual_seed(0)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(rate), "mse", metrics=["mae"])
    return model


def in_rv_fit(callbacks: list[Any], **named: Any) -> dict[str, list[float]]:
    rv.manual_seed(0)
    net = nn.Linear(4, 1)
    how = {"loss": "mse", "optimizer": "sgd", "lr": 0.1, "epochs": 3, "batch_size": 25, **named}
    return rv.fit(net, X, VALUES, verbose=0, seed=0, callbacks=callbacks, **how).history


def in_keras_fit(callbacks: list[Any], **named: Any) -> dict[str, list[float]]:
    how = {"epochs": 3, "batch_size": 25, "verbose": 0, **named}
    return compiled().fit(X, VALUES, callbacks=callbacks, **how).history


def in_sklearn(callbacks: list[Any], **named: Any) -> dict[str, list[float]]:
    runs: list[Any] = []
    note = rv.callbacks.LambdaCallback(on_train_begin=lambda run, logs: runs.append(run))
    net = MLPRegressor(
        hidden_layer_sizes=(8,), activation="identity", solver="sgd", momentum=0.0,
        learning_rate_init=0.1, batch_size=25,
        max_iter=named.get("epochs", 3), tol=0.0, n_iter_no_change=99, random_state=0,
        callbacks=[*callbacks, note],
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Stochastic Optimizer: Maximum iterations")
        net.fit(X, VALUES)
    return runs[0].history.history


Door = Callable[..., dict[str, list[float]]]
doors = pytest.mark.parametrize("door", [in_rv_fit, in_keras_fit, in_sklearn])


class Own(rv.Callback):
    def __init__(self, seen: list[Any]) -> None:
        self.seen = seen

    def on_train_begin(self, run: Any, logs: Any) -> None:
        self.seen.append("own train")

    def on_step_end(self, run: Any, logs: Any) -> None:
        self.seen.append(f"own step {run.step}")

    def on_epoch_end(self, run: Any, logs: Any) -> None:
        self.seen.append(f"own epoch {run.epoch}")
        logs["own"] = float(run.epoch)


class Keras(keras.callbacks.Callback):
    def __init__(self, seen: list[Any]) -> None:
        self.seen = seen

    def on_train_begin(self, logs: Any = None) -> None:
        assert self.params["epochs"] == 2 and self.params["steps"] == 2
        self.seen.append("keras train")

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.seen.append(f"keras batch {batch}")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.seen.append(f"keras epoch {epoch}")
        logs["keras"] = logs.get("own", -1.0)


@doors
@pytest.mark.parametrize("first", ["own", "keras"])
def test_both_families_in_one_list_hear_in_its_order(door: Door, first: str) -> None:
    seen: list[str] = []
    pair = [Own(seen), Keras(seen)][:: 1 if first == "own" else -1]
    history = door(pair, epochs=2)
    told = {"own": ["train", "step {step}", "epoch {epoch}"],
            "keras": ["train", "batch {batch}", "epoch {epoch0}"]}  # fmt: skip
    names = list(told) if first == "own" else list(told)[::-1]
    moments = [(0, {})]
    for epoch in (1, 2):
        moments += [(1, {"step": 2 * epoch - 2 + n, "batch": n - 1}) for n in (1, 2)]
        moments.append((2, {"epoch": epoch, "epoch0": epoch - 1}))
    wanted = [f"{name} {told[name][i].format(**n)}" for i, n in moments for name in names]
    assert seen == wanted
    assert history["own"] == [1.0, 2.0]
    assert history["keras"] == ([1.0, 2.0] if first == "own" else [-1.0, -1.0])


@doors
def test_either_family_sets_the_learning_rate_and_stops(door: Door) -> None:
    ours = rv.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    theirs = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    history = door([ours, theirs])
    rates = [0.1 / 4 ** (n + 1) for n in range(3)]
    assert np.allclose(history["lr"], rates) and np.allclose(history["learning_rate"], rates)

    far = {"patience": 1, "min_delta": 1e9, "factor": 0.5}
    plateaus = [rv.callbacks.ReduceLROnPlateau("loss", **far),
                keras.callbacks.ReduceLROnPlateau("loss", **far)]  # fmt: skip
    for plateau, name in zip(plateaus, ("lr", "learning_rate"), strict=True):
        assert np.allclose(door([plateau], epochs=4)[name], [0.1, 0.1, 0.05, 0.025])
    for stop in (rv.EarlyStopping("loss", 2, min_delta=1e9),
                 keras.callbacks.EarlyStopping("loss", patience=2, min_delta=1e9)):  # fmt: skip
        assert len(door([stop], epochs=9)["loss"]) == 3
        assert stop.best_epoch == (1 if isinstance(stop, rv.Callback) else 0)


@doors
def test_rates_that_are_set_where_the_optimizer_keeps_them(door: Door) -> None:
    """As callbacks written for `rv.fit` do; the steps must take them."""
    freeze = rv.callbacks.LambdaCallback(
        on_epoch_begin=lambda run, logs: run.optimizer.param_groups[0].update(lr=0.0),
    )
    note = rv.callbacks.LambdaCallback(
        on_epoch_end=lambda run, logs: logs.update(rate=run.lr, norm=norm(run.model))
    )
    history = door([freeze, note])
    assert history["rate"] == [0.0] * 3 and len(set(history["norm"])) == 1
    moves = door([note])
    assert len(set(moves["norm"])) == 3


def norm(model: nn.Module) -> float:
    return sum(float((p.detach() ** 2).sum()) for p in model.parameters())


def test_a_schedule_of_ours_in_keras_fit() -> None:
    for what in ("linear", lambda epoch: 0.1 * (1 - epoch / 3)):
        rates = in_keras_fit([rv.callbacks.Schedule(what, per="epoch")])["lr"]
        assert np.allclose(rates, [0.1, 0.1 * 2 / 3, 0.1 / 3])
    step = rv.optim.lr_scheduler.StepLR
    halves = rv.callbacks.Schedule(lambda optimizer: step(optimizer, 1, 0.5))
    model, norms = compiled(), []
    note = rv.callbacks.LambdaCallback(on_epoch_end=lambda run, logs: norms.append(run.lr))
    model.fit(X, VALUES, epochs=3, verbose=0, callbacks=[note, halves])
    assert np.allclose(norms, [0.1, 0.05, 0.025])
    assert float(model.optimizer.learning_rate) == pytest.approx(0.025)


def test_keras_callbacks_see_a_model_of_ours() -> None:
    seen: dict[str, Any] = {}

    class Look(keras.callbacks.Callback):
        def on_train_begin(self, logs: Any = None) -> None:
            seen["kind"] = type(self.model.fc).__name__
            seen["before"] = self.model.get_weights()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            seen["steps"], seen["rate"] = self.model.optimizer.iterations, self.model.optimizer.lr
            self.model.set_weights(seen["before"])
            self.model.stop_training = epoch == 1

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(4, 3)

        def forward(self, x: rv.Tensor) -> rv.Tensor:
            return self.fc(x)

    net = Net()
    before = weights(net)
    history = fit(net, epochs=5, callbacks=Look())
    assert (history.epochs, history.stopped) == (2, "model.stop_training")
    assert seen["kind"] == "Linear" and seen["rate"] == 1e-3 and seen["steps"] == 4
    assert weights(net) == before
    assert not {"stop_training", "optimizer", "history"} & set(vars(net))


@pytest.mark.parametrize("dtype", [rv.float32, rv.float64, rv.bfloat16])
def test_keras_early_stopping_restores_a_model_of_ours(dtype: Any) -> None:
    kept: list[Any] = []
    note = rv.callbacks.LambdaCallback(on_epoch_end=lambda run, logs: kept.append(values()))

    def values() -> list[Any]:
        return [parameter.tolist() for parameter in net.parameters()]

    stop = keras.callbacks.EarlyStopping("loss", mode="max", patience=2, restore_best_weights=True)
    net = classifier().to(dtype)
    history = fit(net, epochs=9, lr=0.01, callbacks=[note, stop])
    assert history.epochs == 3 and values() == kept[0] != kept[2]


@doors
def test_numbers_that_are_not_finite_end_every_door_with_a_history(door: Door) -> None:
    for callback in (rv.callbacks.TerminateOnNaN(), keras.callbacks.TerminateOnNaN()):
        ended: list[int] = []
        note = rv.callbacks.LambdaCallback(on_train_end=lambda *_, ended=ended: ended.append(1))
        jump = rv.callbacks.LambdaCallback(on_epoch_begin=explode)
        history = door([jump, callback, note], epochs=9)
        assert len(history["loss"]) == 2 and len(ended) == 1
    kinds = ValueError if door is in_sklearn else rv.NonFiniteError
    with pytest.raises(kinds, match="expected finite numbers, got"):
        door([rv.callbacks.LambdaCallback(on_epoch_begin=explode)], epochs=9)


def explode(run: Any, logs: Any) -> None:
    if run.epoch == 3:
        run.lr = 1e30


def test_the_best_weights_come_back_where_a_number_is_not_finite() -> None:
    kept: dict[int, bytes] = {}
    net = nn.Linear(4, 1)
    note = rv.callbacks.LambdaCallback(
        on_epoch_begin=explode,
        on_epoch_end=lambda run, logs: kept.setdefault(run.epoch, weights(net)),
    )
    stop = rv.EarlyStopping("loss", patience=9)
    history = rv.fit(
        net, X, VALUES, loss="mse", optimizer="sgd", lr=1e-3, epochs=9, verbose=0,
        callbacks=[note, stop, rv.callbacks.TerminateOnNaN()],
    )  # fmt: skip
    assert history.stopped is not None and "expected finite numbers" in history.stopped
    assert stop.best_epoch in kept and weights(net) == kept[stop.best_epoch]


class BoomError(Exception):
    pass


@doors
@pytest.mark.parametrize(
    "event, keras_event",
    [
        ("on_train_begin", "on_train_begin"), ("on_epoch_begin", "on_epoch_begin"),
        ("on_step_begin", "on_train_batch_begin"), ("on_step_end", "on_train_batch_end"),
        ("on_epoch_end", "on_epoch_end"), ("on_train_end", "on_train_end"),
        ("on_close", "on_close"),
    ],
)  # fmt: skip
def test_an_error_says_whose_it_is(door: Door, event: str, keras_event: str) -> None:
    def boom(*_: Any) -> None:
        raise BoomError("mine")

    class Ours(rv.Callback):
        pass

    class Theirs(keras.callbacks.Callback):
        pass

    setattr(Ours, event, boom)
    setattr(Theirs, keras_event, boom)
    for callback, name in ((Ours(), event), (Theirs(), keras_event)):
        with pytest.raises(BoomError, match="mine") as info:
            door([rv.Callback(), callback])
        notes = getattr(info.value, "__notes__", info.value.args)
        assert len(notes) == 1
        said = f"[fit] callbacks: {type(callback).__name__} raised it in {name}, at epoch"
        assert said in notes[0]


def test_everybody_is_told_of_the_end_also_behind_one_that_raises() -> None:
    closed: list[int] = []

    class Bad(rv.Callback):
        def on_close(self, run: Any, logs: Any) -> None:
            raise BoomError("at the end")

    after = rv.callbacks.LambdaCallback(on_close=lambda run, logs: closed.append(1))
    with pytest.raises(BoomError):
        fit(classifier(), epochs=1, callbacks=[Bad(), after])
    assert closed == [1]

    def fails(run: Any, logs: Any) -> None:
        raise KeyError("first")

    with pytest.raises(KeyError, match="first") as info:
        first = rv.callbacks.LambdaCallback(on_epoch_end=fails)
        fit(classifier(), epochs=1, callbacks=[first, Bad(), after])
    assert closed == [1, 1]
    assert "at the end" in " ".join(map(str, getattr(info.value, "__notes__", info.value.args)))


@doors
def test_callbacks_that_are_none_are_refused(door: Door) -> None:
    for bad in (rv.EarlyStopping, keras.callbacks.EarlyStopping, object(), 3):
        with pytest.raises(TypeError, match="callbacks: expected objects"):
            door([bad])
    model = compiled()
    with pytest.raises(TypeError, match=r"one of rv\.callbacks listens to fit alone"):
        model.evaluate(X, VALUES, verbose=0, callbacks=[rv.Callback()])


@doors
def test_two_callbacks_of_one_file(door: Door, tmp_path: Path) -> None:
    path, other = tmp_path / "log.csv", tmp_path / "net.{epoch}.weights.h5"
    pairs = [
        [rv.callbacks.CSVLogger(path), keras.callbacks.CSVLogger(str(path))],
        [rv.callbacks.CSVLogger(path), rv.callbacks.CSVLogger(tmp_path / "x" / ".." / "log.csv")],
        [rv.callbacks.ModelCheckpoint(other), keras.callbacks.ModelCheckpoint(other)],
        [keras.callbacks.CSVLogger(path)] * 2,
    ]
    (tmp_path / "x").mkdir()
    for first, second in pairs:
        names = [type(one).__name__ for one in (first, second)]
        words = rf"{names[0]} \(number 1\) and {names[1]} \(number 3\)"
        with pytest.raises(ValueError, match=words):
            door([first, rv.Callback(), second])
    assert [p.name for p in tmp_path.iterdir()] == ["x"]
    keep = rv.Checkpoint(path)
    with pytest.raises(ValueError, match=r"Checkpoint \(number 1\) and CSVLogger \(number 2\)"):
        fit(classifier(), checkpoint=keep, callbacks=rv.callbacks.CSVLogger(path))


def test_a_number_that_nobody_measures() -> None:
    with pytest.raises(ValueError, match="got 'acuracy'; did you mean 'accuracy'"):
        fit(classifier(), metrics="accuracy", callbacks=rv.EarlyStopping("acuracy"))
    with pytest.warns(rv.training.RanvierWarning, match="got 'maee'; did you mean 'mae'"):
        in_keras_fit([keras.callbacks.EarlyStopping("maee")], epochs=1)
    with pytest.warns(rv.training.RanvierWarning, match="give fit validation_data"):
        in_keras_fit([keras.callbacks.EarlyStopping()], epochs=1)


@pytest.mark.parametrize("every", [1, 3])
def test_a_run_with_keras_callbacks_goes_on(tmp_path: Path, every: int) -> None:
    """Their states are in the checkpoint: the ends are the same bytes."""

    class EndError(Exception):
        pass

    def callbacks() -> list[Any]:
        table = keras.callbacks.CSVLogger(tmp_path / "log.csv")
        plateau = keras.callbacks.ReduceLROnPlateau("loss", patience=1, min_delta=0.02)
        stop = keras.callbacks.EarlyStopping(
            "loss", patience=9, mode="max", restore_best_weights=True
        )
        return [plateau, stop, table]

    def run(*more: Any, **named: Any) -> tuple[bytes, Any, str]:
        net = classifier()
        history = fit(
            net, epochs=6, batch_size=20, seed=3, callbacks=[*callbacks(), *more], **named
        )
        return weights(net), history.history, (tmp_path / "log.csv").read_text()

    whole = run()

    def end(run: Any, logs: Any) -> None:
        if run.step == 11:
            raise EndError

    keep = rv.Checkpoint(tmp_path / "run.ckpt", every=every)
    with pytest.raises(EndError):
        run(rv.callbacks.LambdaCallback(on_step_end=end), checkpoint=keep)
    assert run(checkpoint=keep) == whole


# --- what it costs --------------------------------------------------------------------------------


class Quiet(rv.Callback):
    def on_epoch_end(self, run: Any, logs: dict[str, float]) -> None:
        assert run.steps.__class__ is RecordedSteps


class QuietKeras(keras.callbacks.Callback):
    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        assert self.model is not None


def test_who_listens_to_epochs_leaves_steps_native(monkeypatch: pytest.MonkeyPatch) -> None:
    native: list[int] = []
    run_steps = _C.run_steps

    def counted(*args: Any) -> int | None:
        native.append(run_steps(*args) or 0)
        return native[-1]

    def steps(train: Callable[[], Any]) -> int:
        native.clear()
        train()
        return sum(native)

    watch = Watch(monkeypatch)
    monkeypatch.setattr(_C, "run_steps", counted)
    without = watch.fit(plain, True)
    all_but_recorded = steps(lambda: watch.fit(plain, True))
    assert all_but_recorded >= 3 * (50 // 8) - 1
    lists = ([Quiet()], [QuietKeras()], [Quiet(), QuietKeras()], [rv.Callback()])
    for callbacks in lists:
        assert watch.fit(plain, True, callbacks=callbacks) == without
        assert steps(lambda c=callbacks: watch.fit(plain, True, callbacks=c)) == all_but_recorded
    by_epoch = rv.callbacks.Schedule(lambda epoch: 1e-3)
    assert steps(lambda: watch.fit(plain, True, schedule=by_epoch)) == all_but_recorded
    each = rv.callbacks.LambdaCallback(on_step_end=lambda *_: None)
    assert steps(lambda: watch.fit(plain, True, callbacks=[each])) == 0

    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    how = {"batch_size": 8, "epochs": 3, "verbose": 0}
    for callbacks in lists:
        alone = steps(lambda: model.fit(watch.X, watch.Y, **how))
        heard = steps(lambda c=callbacks: model.fit(watch.X, watch.Y, callbacks=c, **how))
        assert heard == alone >= 3 * (50 // 8) - 1
