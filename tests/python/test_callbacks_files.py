"""Callbacks that write files: what is in them, and what happens where nothing can be written."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
from test_callbacks_doors import Door, doors, in_keras_fit, in_rv_fit
from training_setup import LABELS, VALUES, X, classifier, fit, weights

import ranvier as rv
from ranvier import keras, nn
from ranvier.training import RanvierWarning

CSVLogger, ModelCheckpoint = rv.callbacks.CSVLogger, rv.callbacks.ModelCheckpoint


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 3)
        self.times = 0

    def forward(self, x: rv.Tensor) -> rv.Tensor:
        self.times += 1
        return self.fc(x) * (1 if self.times else 0)


class Unstorable(Net):
    def forward(self, x: rv.Tensor) -> rv.Tensor:
        return self.fc(x) * float(x.detach().sum().item() != 1)  # a list of operations cannot ask


def test_the_model_comes_back(tmp_path: Path) -> None:
    net = classifier()
    fit(net, epochs=2, callbacks=ModelCheckpoint(tmp_path / "net.safetensors"))
    back = rv.load(tmp_path / "net.safetensors")
    assert isinstance(back, nn.Sequential) and weights(back) == weights(net)
    assert rv.equal(back(rv.tensor(X)), net(rv.tensor(X)))
    assert rv.io.about(back).training is not None
    only = ModelCheckpoint(tmp_path / "w.safetensors", save_weights_only=True)
    fit(net, epochs=1, callbacks=only)
    assert isinstance(rv.load(tmp_path / "w.safetensors"), dict)


def test_a_class_of_ones_own_is_warned_of_once(tmp_path: Path) -> None:
    net, path = Unstorable(), tmp_path / "net.safetensors"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(net, epochs=3, callbacks=ModelCheckpoint(path))
    told = [str(w.message) for w in caught if "the file holds the weights" in str(w.message)]
    assert len(told) == 1
    assert weights(rv.load(path, model=Unstorable())) == weights(net)


def test_a_model_that_is_not_finite_takes_no_place(tmp_path: Path) -> None:
    class Broken(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(4, 3)
            self.register_buffer("mask", rv.tensor([float("-inf")]))  # from the start: is kept
            self.register_buffer("mean", rv.tensor([0.0]))

        def forward(self, x: rv.Tensor) -> rv.Tensor:
            return self.fc(x)

    def spoil(run: Any, logs: Any) -> None:
        if run.epoch == 2:
            run.model.mean.fill_(float("nan"))

    path = tmp_path / "net.safetensors"
    for family in (rv.callbacks, keras.callbacks):
        keep = family.ModelCheckpoint(path, save_weights_only=True)
        spoils = rv.callbacks.LambdaCallback(on_epoch_end=spoil)
        with pytest.warns(RanvierWarning, match="others in mean; the file stays as it was"):
            fit(Broken(), epochs=3, callbacks=[spoils, keep])
        assert rv.load(path)["mean"].tolist() == [0.0]
        path.unlink()


@doors
@pytest.mark.parametrize("folder", ["file", "nowhere", "/proc", "/sys"])
def test_a_folder_that_takes_no_file(door: Door, tmp_path: Path, folder: str) -> None:
    (tmp_path / "file").write_text("mine")
    path = tmp_path / folder / "log"
    seen: list[int] = []
    note = rv.callbacks.LambdaCallback(on_step_begin=lambda run, logs: seen.append(1))
    makers: list[Any] = [CSVLogger, ModelCheckpoint, keras.callbacks.CSVLogger]
    makers += [keras.callbacks.ModelCheckpoint] * (folder != "nowhere")  # which it makes
    for make in makers:
        with pytest.raises(OSError) as info:
            door([note, make(path)])
        assert str(path) in str(info.value)
        assert make.__name__ in "".join(getattr(info.value, "__notes__", info.value.args[:1]))
    assert seen == [] and (tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    "door, make", [(in_rv_fit, CSVLogger), (in_keras_fit, keras.callbacks.CSVLogger)]
)
def test_a_full_disk_takes_the_log_and_not_the_run(door: Door, make: Any) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        history = door([make("/dev/full")])
    told = [str(w.message) for w in caught if issubclass(w.category, RanvierWarning)]
    assert len(history["loss"]) == 3 and len(told) == 2
    assert "No space left" in told[0] and "training goes on" in told[0]
    assert "4 lines could not be written" in told[1]


def test_lines_wait_for_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full in the second epoch, after part of the line."""
    from ranvier.training.callbacks import table

    path, real = tmp_path / "log.csv", open
    epoch = [0]

    class Full:
        def __init__(self, *args: Any, **named: Any) -> None:
            self.file = real(*args, **named)

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: Any) -> None:
            self.file.close()

        def writelines(self, lines: list[str]) -> None:
            if epoch[0] == 2:
                self.file.write(lines[0][:3])
                self.file.flush()
                raise OSError(28, "No space left on device")
            self.file.writelines(lines)

    def count(run: Any, logs: Any) -> None:
        epoch[0] = run.epoch
        monkeypatch.setattr(table, "open", Full, raising=False)

    note = rv.callbacks.LambdaCallback(on_epoch_begin=count)
    with pytest.warns(RanvierWarning, match="training goes on"):
        history = fit(classifier(), epochs=3, callbacks=[note, CSVLogger(path)])
    lines = path.read_text().splitlines()
    losses = [repr(loss) for loss in history.history["loss"]]
    assert lines == ["epoch,loss", *(f"{i + 1},{loss}" for i, loss in enumerate(losses))]


def test_a_disk_that_is_full_when_the_run_begins(tmp_path: Path) -> None:
    """A file of no bytes fits; the first one does not."""
    code = """
import resource, sys, ranvier as rv
log = rv.callbacks.CSVLogger(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
net = rv.nn.Linear(1, 1)
before = net.weight.item()
try:
    rv.fit(net, [[1.0]], [2.0], loss="mse", verbose=0, callbacks=log)
except OSError as error:
    print(error.errno, net.weight.item() == before)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "log.csv"], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(rv.__file__).parents[1])},
    )  # fmt: skip
    assert (done.stdout.split(), done.stderr) == (["27", "True"], "")


def test_a_log_that_was_cut_in_the_middle_of_a_line(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text('epoch,"a,b",loss\n1,2.0,3')
    log = CSVLogger(path, append=True)
    fit(classifier(), epochs=1, callbacks=log)
    lines = path.read_text().splitlines()
    assert lines[:2] == ['epoch,"a,b",loss', "1,2.0,3"] and lines[2].startswith("1,,")


@doors
def test_callbacks_are_copied_and_pickled(door: Door, tmp_path: Path) -> None:
    """Before and after a run: estimators with callbacks are cloned and sent to processes."""
    ours, theirs = rv.callbacks, keras.callbacks
    given: list[Any] = []
    for number, family in enumerate((ours, theirs)):
        given += [
            family.EarlyStopping("loss", patience=9), family.ReduceLROnPlateau("loss"),
            family.TerminateOnNaN(), family.CSVLogger(tmp_path / f"{number}.csv"),
            family.ModelCheckpoint(tmp_path / f"{number}.weights.h5", save_weights_only=True),
            family.TensorBoard(tmp_path / f"{number}", update_freq=1),
        ]  # fmt: skip
    pytest.importorskip("tensorboard")
    first = door(pickle.loads(pickle.dumps(given)))
    assert door(given) == first
    sizes = [len(pickle.dumps(one)) for one in given]
    assert max(sizes) < 20_000
    assert door(pickle.loads(pickle.dumps(given))) == first == door(copy.deepcopy(given))


def test_keras_checkpoints_in_other_doors(tmp_path: Path) -> None:
    net, save = classifier(), keras.callbacks.ModelCheckpoint
    folder = tmp_path / "made" / "here"
    fit(net, epochs=2, callbacks=[
        save(folder / "{epoch}" / "net.safetensors", "loss"),
        save(folder / "net.weights.h5", "loss", save_weights_only=True, save_best_only=True),
    ])  # fmt: skip
    assert weights(rv.load(folder / "2" / "net.safetensors")) == weights(net)
    assert (folder / "1" / "net.safetensors").exists()
    other = classifier(1)
    other.load_state_dict(rv.io.state_of(folder / "net.weights.h5"))


def test_columns_of_validation_that_comes_later(tmp_path: Path) -> None:
    log = keras.callbacks.CSVLogger(tmp_path / "log.csv")
    history = in_keras_fit([log], validation_split=0.2, validation_freq=2)
    lines = [line.split(",") for line in (tmp_path / "log.csv").read_text().splitlines()]
    assert lines[0] == ["epoch", "loss", "mae", "val_loss", "val_mae"]
    assert [line[3:] for line in lines[1::2]] == [["NA", "NA"]] * 2
    assert [float(value) for value in lines[2][3:]] == [
        history["val_loss"][0],
        history["val_mae"][0],
    ]


def test_a_checkpoint_that_cannot_be_written(tmp_path: Path) -> None:
    """The run ends with an error: the model has its whole steps, and the old file is there."""
    path = tmp_path / "net.safetensors"
    net = classifier()
    fit(net, epochs=1, callbacks=ModelCheckpoint(path))
    before, moved = path.read_bytes(), tmp_path / "moved"

    def away(run: Any, logs: Any) -> None:
        if run.epoch == 2:
            moved.mkdir()
            path.rename(moved / path.name)
            tmp_path.joinpath("net.safetensors").mkdir()

    note = rv.callbacks.LambdaCallback(on_epoch_end=away)
    with pytest.raises(OSError) as info:
        fit(net, X, LABELS, epochs=3, callbacks=[note, ModelCheckpoint(path)])
    assert "ModelCheckpoint" in str(getattr(info.value, "__notes__", info.value))
    after_one = (moved / path.name).read_bytes()
    assert after_one != before and isinstance(rv.load(moved / path.name), nn.Sequential)
    assert fit(net, epochs=1).epochs == 1 and VALUES.shape == (50,)
