"""Runs that are interrupted and go on: the same bytes as one that never was."""

from __future__ import annotations

import math
import os
import signal
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import checkpoint_setup as setup
import numpy as np
import pytest
from checkpoint_setup import LABELS, RUNS, EndAt, EndError, X, bits, interrupted, run

import ranvier as rv
from ranvier import nn, optim
from ranvier.io import tensors
from ranvier.training import recorded
from ranvier.training.checkpoint import Files
from ranvier.utils.data import DataLoader

pytestmark = pytest.mark.filterwarnings("ignore:.*steps run as Python code")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.ckpt"


# --- the same bytes -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RUNS)
def test_a_run_that_is_interrupted_ends_with_the_same_bytes(name: str, tmp_path: Path) -> None:
    """After every step, after several, and with steps that are taken again."""
    whole = run(name)
    for steps, every in ((2, 1), (3, 2), (6, 5)):
        got, ends = interrupted(name, tmp_path / f"{steps} {every}", steps, every)
        assert got == whole
        assert ends or name == "one batch"


@pytest.mark.parametrize(
    "name", ["dropout and batch norm", "validation", "early stopping", "lbfgs"]
)
def test_after_every_epoch(name: str, path: Path) -> None:
    whole = run(name)
    for step in (2, 5, 6, 8):
        path.unlink(missing_ok=True)
        with pytest.raises(EndError):
            run(name, path, EndAt(step))
        assert run(name, path, before=3) == whole


@pytest.mark.parametrize("name", ["dropout, default seed", "metrics", "weights of rows", "cosine"])
def test_threads_and_recording_do_not_matter(
    name: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, ends = run(name), 0
    while True:
        ends += 1
        rv.set_num_threads(1 + ends % 3)
        monkeypatch.setattr(recorded, "is_on", lambda ends=ends: ends % 2 == 0)
        try:
            got = run(name, rv.Checkpoint(path, every=1), EndAt(2), before=ends - 1)
        except EndError:
            continue
        assert got == whole and ends > 5
        return


def test_steps_between_two_states_are_one_call(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    take = rv._C.run_steps

    def counted(*args: Any) -> Any:
        done = take(*args)
        calls.append(done)
        return done

    monkeypatch.setattr(rv._C, "run_steps", counted)
    rows, net = np.tile(X, (10, 1)), setup.classifier()
    given = {"loss": "cross_entropy", "batch_size": 2, "epochs": 3, "verbose": 0}
    rv.fit(net, rows, np.tile(LABELS, 10), checkpoint=rv.Checkpoint(path, every=10), **given)
    assert max(calls) <= 10 and sum(calls) > 380
    assert len(calls) < 80  # of 405 steps, which the time of a call may part further


def test_a_run_with_a_checkpoint_is_the_run_without(path: Path) -> None:
    for name in ("stateful", "loader", "draws of its own"):
        name = "dropout and batch norm" if name == "stateful" else name
        assert run(name, rv.Checkpoint(path, every=2, resume=False)) == run(name)


def test_the_last_file_is_the_same(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.ckpt"
    run("validation", rv.Checkpoint(path, every=3))
    for _ in range(20):
        try:
            run("validation", rv.Checkpoint(other, every=3), EndAt(4))
            break
        except EndError:
            continue
    assert path.read_bytes() == other.read_bytes()
    assert sorted(p.name.partition("-")[2] for p in tmp_path.iterdir()) == [
        "", "", "3.ckpt", "3.ckpt", "6.ckpt", "6.ckpt",
    ]  # fmt: skip


# --- Ctrl-C ---------------------------------------------------------------------------------------


def ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("name", ["dropout and batch norm", "metrics", "loader", "early stopping"])
def test_ctrl_c_loses_no_step(name: str, path: Path) -> None:
    whole = run(name)
    for step in range(1, 8):
        path.unlink(missing_ok=True)
        listener = EndAt(step, ctrl_c)
        with pytest.raises(KeyboardInterrupt) as caught:
            run(name, rv.Checkpoint(path, every=1000), listener)
        assert rv.load(path)["step"] == listener.at >= step
        assert caught.value.history.epochs == len(rv.load(path)["history"].get("loss", ()))
        assert run(name, path) == whole


class CtrlCSoon(rv.Callback):
    """Ctrl-C from another thread, some time after the first step, in a run that takes its time."""

    def __init__(self, delay: float) -> None:
        self.timer = threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT))

    def on_train_begin(self, run: Any, logs: Any) -> None:
        self.timer.start()

    def on_progress(self, run: Any, logs: Any) -> None:
        threading.Event().wait(0.001)


def test_ctrl_c_at_any_moment(path: Path) -> None:
    given = {"batch_size": 3, "epochs": 300}
    whole, draw = run("dropout and batch norm", **given), np.random.default_rng(1)
    for delay in draw.uniform(0, 0.05, 6):
        with pytest.raises(KeyboardInterrupt):
            run("dropout and batch norm", rv.Checkpoint(path, every=500), CtrlCSoon(delay), **given)
    assert run("dropout and batch norm", path, **given) == whole


def test_ctrl_c_behind_an_epoch_and_within_validation(path: Path) -> None:
    class Validating(rv.Callback):
        def on_validation_begin(self, run: Any, logs: Any) -> None:
            if run.epoch == 2:
                ctrl_c()

    with pytest.raises(KeyboardInterrupt):
        run("validation", path, Validating())
    assert rv.load(path)["epoch"] == 2 and rv.load(path)["sums"] is None
    assert run("validation", path) == run("validation")


def test_a_second_ctrl_c_does_not_wait(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Twice(rv.Callback):
        def on_epoch_end(self, run: Any, logs: Any) -> None:
            if run.epoch == 2:
                ctrl_c()
                ctrl_c()
                pytest.fail("it waited")

    with pytest.raises(KeyboardInterrupt):
        run("validation", path, Twice())
    assert rv.load(path)["epoch"] == 1
    assert run("validation", path) == run("validation")
    path.unlink()
    write, calls = tensors.write, []

    def interrupted(*args: Any) -> None:
        calls.append(1)
        if len(calls) == 2:  # the state that the first Ctrl-C wants to keep
            ctrl_c()
        write(*args)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(tensors, "write", interrupted)
        run("validation", rv.Checkpoint(path, every=1000), EndAt(5, ctrl_c))
    assert len(calls) == 2
    assert rv.load(path)["step"] == 0
    assert not list(path.parent.glob("*.tmp"))
    assert run("validation", path) == run("validation")


def test_signals_are_given_back(path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(EndError):
        run("adam", path, EndAt(3))
    assert signal.getsignal(signal.SIGINT) is before


# --- runs that have ended -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["dropout and batch norm", "early stopping", "validation"])
def test_a_run_that_has_ended_is_not_trained_again(name: str, path: Path) -> None:
    whole = run(name, path)
    content = path.read_bytes()
    listener = EndAt(1)  # after a step
    assert run(name, path, listener, before=5) == whole
    assert path.read_bytes() == content
    if name == "early stopping":
        assert whole[1] and run(name, path, listener, epochs=20) == whole


def test_a_run_that_was_stopped_within_an_epoch(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And killed right after that was kept."""

    class Stop(rv.Callback):
        def on_progress(self, run: Any, logs: Any) -> None:
            if run.step == 6:
                run.stop("enough")

    write = Files.write

    def killed(files: Files, state: Any, step: int) -> None:
        write(files, state, step)
        if step == 6:
            raise EndError

    keep = rv.Checkpoint(path, every=1)
    whole = run("dropout and batch norm", rv.Checkpoint(path, every=1), Stop())
    path.unlink()
    with monkeypatch.context() as patched, pytest.raises(EndError):
        patched.setattr(Files, "write", killed)
        run("dropout and batch norm", keep, Stop())
    assert rv.load(path)["sums"]["steps"] == 2 and rv.load(path)["stopped"] == "enough"
    assert run("dropout and batch norm", keep, Stop()) == whole


def test_more_epochs(path: Path) -> None:
    for name in ("dropout and batch norm", "function", "plateau"):
        path.unlink(missing_ok=True)
        run(name, path, epochs=2)
        assert run(name, path, epochs=5) == run(name, epochs=5)
        with pytest.raises(ValueError, match=r"epochs 5 or more, which are done, got 4"):
            run(name, path, epochs=4)
    path.unlink()
    with pytest.raises(EndError):
        run("adam", path, EndAt(6), epochs=4)
    assert run("adam", path, epochs=2) == run("adam", epochs=2)


def test_the_same_process_goes_on(path: Path) -> None:
    """As in a notebook, whose cell is run again after Ctrl-C: nothing is made anew."""

    def fit(net: nn.Module, optimizer: Any, **more: Any) -> Any:
        history = rv.fit(
            net, X, LABELS, loss="cross_entropy", optimizer=optimizer, epochs=4, batch_size=8,
            seed=1, verbose=0, **more,
        )  # fmt: skip
        return history.history, bits(dict(net.state_dict()))

    for kind in ("adam", None):
        rv.manual_seed(0)
        net = setup.stateful()
        other = setup.stateful()
        other.load_state_dict(net.state_dict())
        mine, its = (
            kind or optim.SGD(model.parameters(), lr=0.1, momentum=0.5) for model in (net, other)
        )
        path.unlink(missing_ok=True)
        schedule = {"schedule": "cosine"}
        for _ in range(3):
            with pytest.raises(KeyboardInterrupt):
                fit(net, mine, checkpoint=path, callbacks=EndAt(3, ctrl_c), **schedule)
        assert fit(net, mine, checkpoint=path, **schedule) == fit(other, its, **schedule)


# --- files ----------------------------------------------------------------------------------------


def names(path: Path) -> list[str]:
    return sorted(p.name for p in path.parent.iterdir())


def test_files_that_are_kept(path: Path) -> None:
    run("adam", rv.Checkpoint(path, every=2, keep=4))
    assert names(path) == ["run-10.ckpt", "run-6.ckpt", "run-8.ckpt", "run.ckpt"]
    assert rv.load(path)["step"] == 12 and rv.load(path.parent / "run-8.ckpt")["step"] == 8
    run("adam", rv.Checkpoint(path, every=2, keep=2))  # has ended: only too old files go
    assert names(path) == ["run-10.ckpt", "run.ckpt"]
    run("adam", rv.Checkpoint(path, every=5, keep=1, resume=False))
    assert names(path) == ["run-10.ckpt", "run.ckpt"]  # not that run's
    (path.parent / "run-10.ckpt").unlink()
    run("adam", rv.Checkpoint(path, keep=1, resume=False))
    assert names(path) == ["run.ckpt"]


def test_an_older_state_is_a_state(path: Path) -> None:
    whole = run("adam", rv.Checkpoint(path, every=2, keep=4))
    (path.parent / "run-6.ckpt").rename(path)
    assert run("adam", path) == whole
    assert run("adam", path.parent / "run-8.ckpt") == whole


def test_what_is_in_a_file(path: Path) -> None:
    run("dropout and batch norm", path)
    state = rv.load(path)
    net = setup.stateful()
    net.load_state_dict(state["model"])
    assert state["epoch"] == 3 and state["step"] == 12 and len(state["history"]["loss"]) == 3
    optimizer = optim.Adam(net.parameters())
    optimizer.load_state_dict(state["optimizer"])
    for word in (os.uname().nodename, str(path.parent)):
        assert word.encode() not in path.read_bytes()


def test_links_and_file_systems_without(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = path.parent / "target"
    path.symlink_to(target)
    run("adam", rv.Checkpoint(path, every=4, keep=2))
    assert path.is_symlink() and rv.load(target)["step"] == 12
    assert rv.load(path.parent / "run-8.ckpt")["step"] == 8

    def refused(*_: Any) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refused)
    run("adam", rv.Checkpoint(path.parent / "b", every=4, keep=2))
    assert rv.load(path.parent / "b-8")["step"] == 8


def test_the_folder_of_the_program_may_change(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Elsewhere(rv.Callback):
        def on_epoch_begin(self, run: Any, logs: Any) -> None:
            os.chdir("/")

    monkeypatch.chdir(tmp_path)
    run("adam", "here.ckpt", Elsewhere())
    assert rv.load(tmp_path / "here.ckpt")["epoch"] == 3


# --- numbers that are not finite ------------------------------------------------------------------


def test_a_state_that_is_not_finite_replaces_nothing(path: Path) -> None:
    class Spoil(rv.Callback):
        def __init__(self, spoil: Any) -> None:
            self.spoil = spoil

        def on_epoch_begin(self, run: Any, logs: Any) -> None:
            if run.epoch == 2:
                self.spoil(run)

    def weight(run: Any) -> None:
        with rv.no_grad():
            run.model[0].weight[0, 0] = math.inf

    def buffer(run: Any) -> None:
        run.model[1].running_mean[0] = math.nan

    for spoil, message in ((weight, "0.weight|loss"), (buffer, "1.running_mean.*stays as it was")):
        path.unlink(missing_ok=True)
        with pytest.raises(rv.NonFiniteError, match=message):
            run("dropout and batch norm", rv.Checkpoint(path, every=1), Spoil(spoil))
        state = rv.load(path)
        assert state["step"] == 4 and all(
            np.isfinite(t.numpy()).all() for t in state["model"].values()
        )
        assert run("dropout and batch norm", path) == run("dropout and batch norm")

    class Late(rv.Callback):
        def on_progress(self, run: Any, logs: Any) -> None:
            if run.step == 6:
                first = next(iter(run.optimizer.state.values()))
                first["exp_avg_sq"].fill_(math.inf)

    path.unlink()
    with pytest.warns(rv.RanvierWarning, match="in exp_avg_sq of Adam; the file stays.* 5 steps"):
        run("adam", rv.Checkpoint(path, every=1), Late())
    assert rv.load(path)["step"] == 5
    assert run("adam", path) == run("adam")


def test_buffers_that_are_infinite_on_purpose(path: Path) -> None:
    def masked() -> nn.Module:
        net = setup.classifier()
        net.register_buffer("mask", rv.full((2,), -math.inf))
        net.register_buffer("empty", rv.zeros(0, 3))
        return net

    RUNS["masked"] = masked, {}
    try:
        got, ends = interrupted("masked", path, 3, 1)
        assert got == run("masked") and ends
    finally:
        del RUNS["masked"]


# --- callbacks ------------------------------------------------------------------------------------


def test_what_callbacks_hear(path: Path) -> None:
    class Told(rv.Callback):
        def __init__(self) -> None:
            self.events: list[Any] = []

        def on_train_begin(self, run: Any, logs: Any) -> None:
            self.events.append(("train", run.resumed, run.epoch, run.step))

        def on_epoch_begin(self, run: Any, logs: Any) -> None:
            self.events.append((run.epoch, run.step))

        def on_train_end(self, run: Any, logs: Any) -> None:
            self.events.append(("end", *logs))

    def heard(*also: Any) -> list[Any]:
        told = Told()
        net = setup.classifier()
        listeners = [told, *also]
        with suppress(EndError):
            rv.fit(net, X, LABELS, loss="cross_entropy", epochs=2, batch_size=9, verbose=0, seed=1,
                   callbacks=listeners, checkpoint=rv.Checkpoint(path, every=1))  # fmt: skip
        return told.events

    assert heard(EndAt(3)) == [("train", False, 0, 0), (1, 0)]
    assert heard(EndAt(2)) == [("train", True, 1, 2), (1, 2), (2, 3)]
    assert heard() == [("train", True, 1, 3), (1, 3), (2, 3), ("end", "loss")]
    assert heard() == [("train", True, 2, 6), ("end", "loss")]


def test_what_is_printed(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for verbose, steps in ((1, 5), (0, 3), (2, None)):
        with suppress(EndError):
            run("adam", rv.Checkpoint(path, every=2), steps and EndAt(steps), verbose=verbose)
        told = capsys.readouterr().out
        assert (f"{path}: goes on after step " in told) == (steps is None)
    assert told.splitlines()[0] == f"{path}: goes on after step 6, in epoch 2"
    with pytest.raises(TypeError, match=r"got Checkpoint.*; fit takes it as checkpoint="):
        run("adam", None, rv.Checkpoint(path))


def test_logs_in_files_go_on(path: Path, tmp_path: Path) -> None:
    csv, whole = tmp_path / "log.csv", tmp_path / "whole.csv"

    def fit(log: Path, *also: Any, checkpoint: Any = None) -> None:
        rv.fit(
            setup.classifier(), X, LABELS, loss="cross_entropy", epochs=6, batch_size=9, seed=0,
            verbose=0, callbacks=[rv.callbacks.CSVLogger(log), *also], checkpoint=checkpoint,
        )  # fmt: skip

    rv.manual_seed(0)
    fit(whole)
    rv.manual_seed(0)
    for _ in range(3):
        with pytest.raises(EndError):
            fit(csv, EndAt(5), checkpoint=rv.Checkpoint(path, every=4))
    fit(csv, checkpoint=rv.Checkpoint(path, every=4))
    assert csv.read_text() == whole.read_text()


def test_states_of_callbacks_that_are_no_data(path: Path) -> None:
    class Odd(rv.Callback):
        def state_dict(self) -> Any:
            return {"run": object()}

        def load_state_dict(self, state: Any) -> None: ...

    with pytest.raises(TypeError, match=r"checkpoint\['callbacks'\]\[0\]\['run'\]: expected"):
        run("adam", path, Odd())
    assert names(path) == []


# --- by hand --------------------------------------------------------------------------------------


def by_hand(path: Path | None, stop: int | None = None) -> Any:
    """A loop of one's own that goes on, as docs/files.md has it."""
    rv.manual_seed(0)
    net = setup.stateful()
    optimizer = optim.AdamW(net.parameters(), lr=0.01)
    scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=6)
    data = rv.utils.data.TensorDataset(rv.from_numpy(X), rv.from_numpy(LABELS))
    first, losses = 0, []
    if path is not None and path.exists():
        state = rv.load(path)
        net.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        scheduler.load_state_dict(state["scheduler"])
        rv.set_rng_state(state["rng"])
        first, losses = state["epoch"] + 1, state["losses"]
    for epoch in range(first, 6):
        for x, y in DataLoader(data, batch_size=8, shuffle=True):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()
        scheduler.step()
        losses.append(loss.item())
        if path is not None:
            state = {
                "model": net.state_dict(),
                "optimizer": optimizer.state_dict(),
                "scheduler": scheduler.state_dict(),
                "rng": rv.get_rng_state(),
                "epoch": epoch,
                "losses": losses,
            }
            rv.save(state, path)
        if epoch == stop:
            return None
    return losses, bits(net.state_dict()), bits(optimizer.state_dict()), rv.rand(2).tolist()


@pytest.mark.filterwarnings("error")
def test_by_hand(path: Path) -> None:
    whole = by_hand(None)
    for stop in range(5):
        by_hand(path, stop)
    assert by_hand(path) == whole
