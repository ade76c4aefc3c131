"""`TensorBoard` of both families: what is in the log, and that it changes and loses nothing."""

from __future__ import annotations

import io
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_callbacks_doors import Door, doors, in_keras_fit, in_rv_fit
from training_setup import LABELS, X, fit, weights

import ranvier as rv
from ranvier import _C, keras, nn
from ranvier.training import RanvierWarning
from ranvier.training.callbacks.board import picture_of

pytest.importorskip("tensorboard")

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

Ours, Theirs = rv.callbacks.TensorBoard, keras.callbacks.TensorBoard


def read(folder: Path) -> Any:
    everything = dict.fromkeys(("scalars", "images", "histograms", "tensors"), 0)
    return EventAccumulator(str(folder), size_guidance=everything).Reload()


def curve(folder: Path, tag: str) -> list[tuple[int, float]]:
    return [(e.step, e.value) for e in read(folder).Scalars(tag)]


def curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """All of them, by run and tag."""
    found = {}
    for part in ("train", "validation"):
        log = read(folder / part)
        for tag in log.Tags()["scalars"]:
            found[f"{part}/{tag}"] = [(e.step, e.value) for e in log.Scalars(tag)]
        for tag in log.Tags()["histograms"]:
            found[f"{part}/{tag}"] = [(e.step, e.histogram_value.sum) for e in log.Histograms(tag)]
    return found


def stateful() -> nn.Sequential:
    rv.manual_seed(0)
    return nn.Sequential(
        nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3)
    )


def close(found: list[tuple[int, float]], steps: list[int], values: list[float]) -> bool:
    return [s for s, _ in found] == steps and np.allclose([v for _, v in found], values, rtol=1e-6)


@doors
def test_the_log_has_the_history(door: Door, tmp_path: Path) -> None:
    history = door([Ours(tmp_path / "a", histogram_freq=2), Theirs(tmp_path / "b", 1)])
    assert close(curve(tmp_path / "a/train", "loss"), [1, 2, 3], history["loss"])
    assert close(curve(tmp_path / "b/train", "epoch_loss"), [0, 1, 2], history["loss"])
    assert close(curve(tmp_path / "a/train", "lr"), [1, 2, 3], [0.1] * 3)
    assert close(curve(tmp_path / "b/train", "epoch_learning_rate"), [0, 1, 2], [0.1] * 3)
    for log, steps in ((read(tmp_path / "a/train"), [2]), (read(tmp_path / "b/train"), [0, 1, 2])):
        tags = log.Tags()
        assert len(tags["histograms"]) in (2, 4) and tags["graph"] and "graph" in tags["tensors"]
        for tag in tags["histograms"]:
            assert [e.step for e in log.Histograms(tag)] == steps


@pytest.mark.parametrize("make", [Ours, Theirs])
def test_validation_has_a_folder_of_its_own(make: Any, tmp_path: Path) -> None:
    history = fit(stateful(), validation=0.2, metrics="accuracy", epochs=2,
                  callbacks=make(tmp_path)).history  # fmt: skip
    prefix = "" if make is Ours else "epoch_"
    steps = [1, 2] if make is Ours else [0, 1]
    for part, before in (("train", ""), ("validation", "val_")):
        for name in ("loss", "accuracy"):
            found = curve(tmp_path / part, prefix + name)
            assert close(found, steps, history[before + name])


def test_steps(tmp_path: Path) -> None:
    losses: list[float] = []
    note = rv.callbacks.LambdaCallback(on_step_end=lambda run, logs: losses.append(logs["loss"]))
    fit(stateful(), epochs=3, batch_size=10, callbacks=[note, Ours(tmp_path, update_freq=4)])
    assert close(curve(tmp_path / "train", "step_loss"), [4, 8, 12], losses[3::4])
    in_keras_fit([Theirs(tmp_path / "k", update_freq="batch", write_steps_per_second=True)])
    found = curve(tmp_path / "k/train", "batch_loss")
    assert [step for step, _ in found] == list(range(6))
    assert found[1][1] == pytest.approx(curve(tmp_path / "k/train", "epoch_loss")[0][1])
    assert all(value > 0 for _, value in curve(tmp_path / "k/train", "epoch_steps_per_second"))


def test_the_log_changes_no_bit(tmp_path: Path) -> None:
    """Not the one that computes gradients once more either."""

    def train(*callbacks: Any) -> tuple[Any, bytes, list[bytes], list[float]]:
        net = stateful()
        history = fit(net, epochs=3, batch_size=10, callbacks=callbacks, validation=0.2)
        buffers = [b.numpy().tobytes() for b in net.buffers()]
        return history.history, weights(net), buffers, rv.rand(3).tolist()

    whole = train()
    log = Ours(tmp_path / "a", histogram_freq=1, write_images=True, write_grads=True)
    assert train(log) == whole
    found = read(tmp_path / "a/train")
    assert len(found.Histograms("4/weight/gradient")) == 3
    (first, *_) = found.Images("0/weight/image")
    assert (first.width, first.height) == (8, 4)
    history, *rest = train(Theirs(tmp_path / "b", 1, write_images=True, update_freq="batch"))
    assert history == whole[0] and tuple(rest) == whole[1:]


def test_gradients_are_those_of_the_first_rows(tmp_path: Path) -> None:
    net = nn.Linear(4, 1)
    seen: list[float] = []

    def mean(run: Any, logs: Any) -> None:
        x, y = rv.tensor(X[:10]), rv.tensor(X[:10, :1])
        with rv.enable_grad():
            loss = ((run.model(x) - y) ** 2).mean()
            seen.append(float(rv.autograd.grad(loss, [run.model.weight])[0].sum()))

    log = Ours(tmp_path, histogram_freq=1, write_grads=True)
    note = rv.callbacks.LambdaCallback(on_epoch_end=mean)
    rv.fit(net, X, X[:, :1], loss="mse", batch_size=10, epochs=2, verbose=0, callbacks=[note, log])
    sums = [e.histogram_value.sum for e in read(tmp_path / "train").Histograms("weight/gradient")]
    assert np.allclose(sums, seen, rtol=1e-5)
    loader = rv.utils.data.DataLoader(
        rv.utils.data.TensorDataset(rv.tensor(X), rv.tensor(X[:, :1])), batch_size=10
    )
    with pytest.raises(ValueError, match="write_grads: expected rows in memory"):
        rv.fit(net, loader, loss="mse", verbose=0, callbacks=log)

    class Own(keras.Model):
        def train_step(self, data: Any) -> dict[str, Any]:
            return {"loss": 0.0}

    inputs = keras.Input((4,))
    model = Own(inputs, keras.layers.Dense(1)(inputs))
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="got a train_step of your own"):
        model.fit(X, X[:, :1], verbose=0, callbacks=[log])


def test_pictures_of_weights() -> None:
    assert picture_of(rv.tensor([1.0, 2.0, 3.0])).shape == (1, 1, 3, 1)
    matrix = picture_of(rv.tensor(np.arange(12.0).reshape(4, 3)))
    assert matrix.shape == (1, 3, 4, 1) and matrix.min() == 0 and matrix.max() == 1
    assert picture_of(rv.ones((80, 3, 5, 5))).shape == (64, 5, 5, 3)
    assert picture_of(rv.ones((5, 5, 2, 80))).shape == (64, 5, 5, 1)
    assert picture_of(rv.ones((2, 2, 2))) is None and picture_of(rv.zeros((0,))) is None


@pytest.mark.parametrize("every", [1, 3, "epoch"])
@pytest.mark.parametrize("make", [Ours, Theirs])
def test_a_run_that_goes_on(make: Any, tmp_path: Path, every: Any) -> None:
    """The log is that of a run that nothing interrupted, also of one interrupted twice."""

    class EndError(Exception):
        pass

    def train(folder: Path, end: int | None = None, **named: Any) -> None:
        def stop(run: Any, logs: Any) -> None:
            if run.step == end:
                raise EndError

        log = make(folder, histogram_freq=1, update_freq=2)
        note = rv.callbacks.LambdaCallback(on_step_end=stop)
        fit(stateful(), epochs=5, batch_size=10, seed=3, validation=0.2, callbacks=[log, note],
            **named)  # fmt: skip

    train(tmp_path / "whole")
    keep = rv.Checkpoint(tmp_path / "run.ckpt", every=every)
    (tmp_path / "parts/train").mkdir(parents=True)
    other = tmp_path / "parts/train/events.out.tfevents.1.of.somebody"
    other.write_bytes(b"")
    for end in (2, 10, 15):
        with pytest.raises(EndError):
            train(tmp_path / "parts", end, checkpoint=keep)
    train(tmp_path / "parts", checkpoint=keep)
    assert curves(tmp_path / "parts") == curves(tmp_path / "whole")
    assert other.exists() and read(tmp_path / "parts/train").Tags()["graph"]


# --- files ----------------------------------------------------------------------------------------


@doors
@pytest.mark.parametrize("folder", ["file/log", "/proc/log", "/sys/log"])
@pytest.mark.parametrize("make", [Ours, Theirs])
def test_a_folder_that_cannot_be_made(make: Any, door: Door, folder: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    seen: list[int] = []
    note = rv.callbacks.LambdaCallback(on_step_end=lambda run, logs: seen.append(1))
    with pytest.raises(OSError) as info:
        door([note, make(tmp_path / folder)])
    assert "TensorBoard" in str(getattr(info.value, "__notes__", info.value)) and seen == []


@pytest.mark.parametrize("forever", [False, True])
@pytest.mark.parametrize(("door", "make"), [(in_rv_fit, Ours), (in_keras_fit, Theirs)])
def test_a_full_disk_takes_the_log_and_not_the_run(
    door: Door, make: Any, forever: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ranvier.utils.tensorboard import events

    class Full(io.FileIO):
        def write(self, data: Any) -> int:
            super().write(data[:5])
            raise OSError(28, "No space left on device")

    def fill(run: Any, logs: Any) -> None:
        if run.epoch == 2:
            monkeypatch.setattr(events, "open", Full, raising=False)
        elif not forever:
            monkeypatch.delattr(events, "open", raising=False)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        history = door([rv.callbacks.LambdaCallback(on_epoch_begin=fill), make(tmp_path / "log")])
    told = [str(w.message) for w in caught if issubclass(w.category, RanvierWarning)]
    assert len(history["loss"]) == 3
    assert "No space left on device; training goes on" in told[0]
    assert len(told) == 1 + forever and ("could not be written" in told[-1]) == forever
    tag = "loss" if make is Ours else "epoch_loss"
    assert len(curve(tmp_path / "log/train", tag)) == (1 if forever else 3)


@doors
def test_two_logs_of_one_folder(door: Door, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"TensorBoard \(number 1\) and TensorBoard \(number 2\)"):
        door([Ours(tmp_path), Theirs(tmp_path / "x" / "..")])
    assert not any(tmp_path.iterdir())


@doors
def test_without_the_package(door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in sys.modules if n.partition(".")[0] == "tensorboard"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    for make in (Ours, Theirs):
        with pytest.raises(ImportError, match=r"pip install 'ranvier\[tensorboard\]'"):
            door([make(tmp_path / "log")])


def test_refused_arguments(tmp_path: Path) -> None:
    for make in (Ours, Theirs):
        with pytest.raises(ValueError, match=r"\[TensorBoard\] update_freq: expected 'epoch'"):
            make(tmp_path, update_freq=0)
        with pytest.raises(ValueError, match=r"\[TensorBoard\] histogram_freq: expected a whole"):
            make(tmp_path, histogram_freq=-1)
    with pytest.warns(RanvierWarning, match="nothing is profiled"):
        Theirs(tmp_path, profile_batch=2)


def test_a_model_that_is_no_one_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Asks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(4, 3)

        def forward(self, x: rv.Tensor) -> rv.Tensor:
            y = self.fc(x)
            return y if float(y.detach().sum().item()) > 0 else y * 2

    monkeypatch.setenv("RANVIER_CAPTURE", "0")
    with pytest.warns(RanvierWarning, match=r"write_graph: .*the log has no graph"):
        fit(Asks(), X, LABELS, epochs=1, callbacks=Ours(tmp_path))
    assert len(curve(tmp_path / "train", "loss")) == 1


def test_embeddings(tmp_path: Path) -> None:
    class Embedding(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(rv.randn(4, 3))

        def forward(self, x: rv.Tensor) -> rv.Tensor:
            return x @ self.weight

    (tmp_path / "words.tsv").write_text("a\nb\nc\nd\n")
    for number, labels in enumerate((tmp_path / "words.tsv", {"0": tmp_path / "words.tsv"}, {})):
        folder = tmp_path / str(number)
        log = Theirs(folder, embeddings_freq=1, embeddings_metadata=labels)
        net = nn.Sequential(Embedding(), nn.Linear(3, 3))
        fit(net, epochs=2, callbacks=log)
        (points,) = (folder / "train/00001").rglob("tensors.tsv")
        assert np.allclose(np.loadtxt(points), net[0].weight.detach().numpy())
        words = [file.read_text() for file in (folder / "train/00001").rglob("metadata.tsv")]
        assert words == ["a\nb\nc\nd\n"] * (number < 2)


def test_evaluate(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    log = Theirs(tmp_path)
    model.fit(X, X[:, 0], epochs=2, verbose=0, callbacks=[log])
    loss = model.evaluate(X, X[:, 0], verbose=0, callbacks=[log])
    assert close(curve(tmp_path / "validation", "evaluation_loss_vs_iterations"), [4], [loss])


def test_epochs_stay_native(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    native: list[int] = []
    run_steps = _C.run_steps

    def counted(*args: Any) -> int | None:
        native.append(run_steps(*args) or 0)
        return native[-1]

    monkeypatch.setattr(_C, "run_steps", counted)
    for callbacks in ([], [Ours(tmp_path / "a", 1)], [Theirs(tmp_path / "b", 1)]):
        native.clear()
        fit(stateful(), epochs=3, batch_size=10, callbacks=callbacks)
        assert sum(native) >= 3 * 5 - 1, callbacks
