"""Checkpoints that cannot be written, are damaged, or belong to another run: an error, no loss."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import checkpoint_setup as setup
import numpy as np
import pytest
from checkpoint_setup import LABELS, RUNS, EndAt, EndError, X, run

import ranvier as rv
from ranvier import nn, optim
from ranvier.io import kinds, nested, tensors
from ranvier.utils.data import DataLoader, TensorDataset


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.ckpt"


@pytest.fixture
def begun(path: Path) -> Path:
    """The checkpoint of a run that was interrupted."""
    with pytest.raises(EndError):
        run("dropout and batch norm", rv.Checkpoint(path, every=2), EndAt(7))
    return path


# --- arguments ------------------------------------------------------------------------------------


def test_arguments() -> None:
    assert repr(rv.Checkpoint(Path("a"), 5)) == "Checkpoint('a', every=5, keep=3, resume=True)"
    for wrong, kind, message in (
        ({"path": 3}, TypeError, "path: expected a string or a path, got 3"),
        ({"path": b"a"}, TypeError, "path: expected a string"),
        ({"every": 0}, ValueError, "every: expected a whole number of 1 or more"),
        ({"every": 1.5}, TypeError, "every: expected a whole number"),
        ({"every": "minute"}, ValueError, "every: expected a number of steps or 'epoch'"),
        ({"keep": 0}, ValueError, "keep: expected a whole number of 1 or more"),
        ({"resume": 1}, TypeError, "resume: expected True or False"),
    ):
        with pytest.raises(kind, match=rf"\[Checkpoint\] {message}"):
            rv.Checkpoint(**{"path": "a", **wrong})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"\[fit\] checkpoint: expected a path or rv.Checkpoint"):
        run("adam", 3)


# --- another run ----------------------------------------------------------------------------------

OTHERS: dict[str, tuple[dict[str, Any], str]] = {
    "batch_size": ({"batch_size": 9}, "batch_size 8, got 9;"),
    "shuffle": ({"shuffle": False}, "shuffle True, got False;"),
    "seed": ({"seed": 8}, "seed 7, got 8;"),
    "no seed": ({"seed": None}, "seed 7, got none;"),
    "rate": ({"lr": 0.5}, "lr 0.001, got 0.5;"),
    "optimizer": ({"optimizer": "sgd"}, "optimizer Adam, got SGD;"),
    "loss": ({"loss": nn.CrossEntropyLoss(label_smoothing=0.1)}, "loss with layer .*0.1"),
    "weight of the loss": ({"loss": nn.CrossEntropyLoss(rv.ones(3))}, "weight none, got float32"),
    "clipping": ({"clip_norm": 1.0}, "clip_norm none, got 1.0;"),
    "penalty": ({"l2": 1e-3}, "l2 0.0, got 0.001;"),
    "metrics": ({"metrics": ["accuracy"]}, r"metrics \[\], got \['accuracy'\];"),
    "schedule": ({"schedule": "cosine"}, "schedule none, got cosine;"),
    "early stopping": ({"early_stopping": 3}, r"with a state \[\], got \['EarlyStopping'\]"),
    "validation": ({"validation": 0.3}, "validation none, got float32"),
    "rows": ({"X": X[:26], "y": LABELS[:26]}, r"X float32 \(27, 6\) .*, got float32 \(26, 6\)"),
    "a number": ({"X": np.where(np.arange(6) == 3, X + 1e-6, X).astype("f")},
                 r"X float32 \(27, 6\) as it was, got other numbers"),
    "answers": ({"y": (LABELS + 1) % 3}, r"y int64 \(27,\) as it was, got other numbers"),
    "type": ({"X": X.astype(np.float64)}, r"X float32 .*, got float64"),
    "weights of rows": ({"sample_weight": setup.EACH}, "weights of rows none, got float32"),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_another_run(name: str, begun: Path) -> None:
    more, message = OTHERS[name]
    content = begun.read_bytes()
    with pytest.raises(ValueError) as caught:
        run("dropout and batch norm", begun, **more)
    told = str(caught.value)
    assert told.startswith(f"[fit] checkpoint: {begun}: expected what its run was given: ")
    assert "; give fit the same, or another path, or start anew with rv.Checkpoint(" in told
    caught.match(message)
    assert begun.read_bytes() == content
    assert run("dropout and batch norm", begun) == run("dropout and batch norm")


def test_accumulate_and_loaders(path: Path) -> None:
    with pytest.raises(EndError):
        run("accumulate", path, EndAt(5))
    with pytest.raises(ValueError, match="accumulate 2, got 4;"):
        run("accumulate", path, accumulate=4)
    data = TensorDataset(rv.from_numpy(X), rv.from_numpy(LABELS))

    def fit(source: Any, **more: Any) -> None:
        rv.manual_seed(0)
        rv.fit(setup.classifier(), source, loss="cross_entropy", epochs=2, verbose=0, **more)

    fit(DataLoader(data, 5), checkpoint=rv.Checkpoint(path, resume=False))
    fit(DataLoader(data, 5), checkpoint=path)
    with pytest.raises(ValueError, match="batch_size 5, got 4"):
        fit(DataLoader(data, 4), checkpoint=path)


MODELS = {
    "wider": (lambda: nn.Sequential(nn.Linear(6, 7), nn.BatchNorm1d(7), nn.ReLU(), nn.Dropout(0.3),
                                    nn.Linear(7, 3)), "5.* got .*7"),
    "an activation": (lambda: nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Tanh(),
                                            nn.Dropout(0.3), nn.Linear(5, 3)),
                      "layer 2 ReLU, got Tanh;"),
    "a probability": (lambda: nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(),
                                            nn.Dropout(0.4), nn.Linear(5, 3)),
                      "layer 3 p 0.3, got 0.4;"),
    "another net": (setup.classifier, "and 10 more;"),
    "float64": (lambda: setup.stateful().double(), r"0.weight float32 \(5, 6\), got float64"),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_another_model(name: str, begun: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make, message = MODELS[name]
    monkeypatch.setitem(RUNS, "other", (make, {"seed": 7}))
    with pytest.raises(
        ValueError, match=f"expected what its run was given: .*model with .*{message}"
    ):
        run("other", begun)


def test_nothing_has_changed_after_an_error(begun: Path) -> None:
    """Weights, fitted layers and random numbers are as they were."""
    rv.manual_seed(4)
    net = nn.Sequential(rv.data.Standardize(), nn.Linear(6, 3))
    before, state = setup.bits(dict(net.state_dict())), rv.get_rng_state()
    for checkpoint in (begun, rv.Checkpoint(begun)):
        with pytest.raises(ValueError, match="expected what its run was given"):
            rv.fit(net, X, LABELS, loss="cross_entropy", validation=0.2, verbose=0,
                   checkpoint=checkpoint)  # fmt: skip
    assert setup.bits(dict(net.state_dict())) == before and not net[0].fitted
    assert rv.equal(rv.get_rng_state(), state)


def test_what_may_differ(begun: Path) -> None:
    class Silent(rv.Callback):
        def on_epoch_end(self, run: Any, logs: Any) -> None: ...

    rv.set_num_threads(3)
    whole = run("dropout and batch norm")
    assert run("dropout and batch norm", begun, Silent(), verbose=2) == whole


def test_what_callbacks_are_made_with_may_differ(path: Path) -> None:
    with pytest.raises(EndError):
        run("early stopping", path, EndAt(6), early_stopping=1)
    assert run("early stopping", path, early_stopping=9) == run("early stopping", early_stopping=9)


def test_own_optimizer_goes_on_with_its_settings(path: Path) -> None:
    def fit(rate: float) -> Any:
        rv.manual_seed(0)
        net = setup.classifier()
        own = optim.SGD(net.parameters(), lr=rate, momentum=0.9)
        with pytest.raises(EndError):
            rv.fit(net, X, LABELS, loss="cross_entropy", optimizer=own, batch_size=8, verbose=0,
                   callbacks=EndAt(3), checkpoint=rv.Checkpoint(path, every=1))  # fmt: skip
        return own

    fit(0.1)
    assert fit(0.7).param_groups[0]["lr"] == 0.1


def test_metrics_that_cannot_be_kept(path: Path) -> None:
    class Meter:
        def update(self, prediction: Any, target: Any) -> None: ...

        def result(self) -> float:
            return 0.0

    metric = rv.training.metrics.Metric("mine", meter=Meter)  # type: ignore[arg-type]
    with pytest.raises(
        TypeError, match=r"\[fit\] metrics: mine: expected a counter with state_dict"
    ):
        run("adam", path, metrics=[metric])


# --- damage ---------------------------------------------------------------------------------------


def test_cut_and_changed(begun: Path) -> None:
    good, whole = begun.read_bytes(), run("dropout and batch norm")
    older = (begun.parent / "run-4.ckpt").read_bytes()
    for length in (0, 7, 100, len(good) // 2, len(good) - 1):
        begun.write_bytes(good[:length])
        with pytest.raises(ValueError) as caught:
            run("dropout and batch norm", begun)
        told = str(caught.value)
        assert told.startswith(f"[fit] checkpoint: {begun}: expected ")
        assert "to go on from the state before, rename run-4.ckpt to run.ckpt; " in told
        assert told.endswith("rv.Checkpoint(..., resume=False) starts anew")
    draw = np.random.default_rng(0)
    for place in draw.choice(len(good), 200, replace=False):
        bad = bytearray(good)
        bad[place] ^= 1 << draw.integers(8)
        begun.write_bytes(bad)
        try:
            got = run("dropout and batch norm", begun)
        except ValueError as error:
            assert str(error).startswith(("[fit]", "[load]"))
        else:  # the number of the library's version, a blank behind the header
            assert got == whole and b"{" not in good[place : place + 1]
    begun.write_bytes(older)
    assert run("dropout and batch norm", begun) == run("dropout and batch norm")


def test_other_files(path: Path) -> None:
    for value, kind in (({"w": rv.ones(1)}, "state"), ({"a": [1]}, "value")):
        rv.save(value, path)
        with pytest.raises(ValueError, match=f"expected a checkpoint of fit, got .* kind '{kind}'"):
            run("adam", path)
    tensors.write(
        path, {}, {**kinds.metadata(kinds.CHECKPOINT, {"value": 1}), "format_version": "2"}
    )
    with pytest.raises(ValueError, match=r"expected format_version 1 or less, got 2.*upgrade"):
        run("adam", path)
    path.write_bytes(b"not a file of ours, but long enough")
    with pytest.raises(ValueError, match=r"rv.Checkpoint\(..., resume=False\) starts anew"):
        run("adam", path)
    assert run("adam", rv.Checkpoint(path, resume=False)) == run("adam")


def rewrite(path: Path, state: Any) -> None:
    """A whole file with this in it, whoever wrote it."""
    from ranvier.training.checkpoint import Files

    path.unlink(missing_ok=True)
    Files(str(path), 1).write(state, 0)


@pytest.mark.parametrize("name", sorted(["epoch", "step", "sums", "model", "optimizer", "random",
    "callbacks", "older", "settings", "start", "buffers", "modes", "history", "logs"]))  # fmt: skip
def test_states_that_somebody_else_made(name: str, begun: Path) -> None:
    """Whatever is missing or of another kind: an error, and the model as it was."""
    good = rv.load(begun)
    rv.manual_seed(1)
    net = setup.stateful()
    before = setup.bits(dict(net.state_dict()))
    given = {"loss": "cross_entropy", "epochs": 3, "batch_size": 8, "seed": 7, "verbose": 0}
    for value in (..., None, 3, -1, [1], {}, {"a": rv.ones(1)}, "text", rv.ones(2), [rv.ones(1)]):
        state = {key: one for key, one in good.items() if key != name}
        if value is not ...:
            state[name] = value
        rewrite(begun, state)
        if repr((name, value)) in LEGAL or repr(value) == repr(good[name]):
            continue
        if name in ("history", "logs") and isinstance(value, dict):
            continue
        with pytest.raises(ValueError, match=r"^\[fit\] checkpoint: .*expected"):
            rv.fit(net, X, LABELS, checkpoint=begun, **given)
        assert setup.bits(dict(net.state_dict())) == before


LEGAL = list(map(repr, [("older", [1]), ("sums", None), ("epoch", 3), ("step", 3)]))


# --- what cannot be written -----------------------------------------------------------------------


def test_nowhere_to_write(tmp_path: Path) -> None:
    for path, kind in (
        (tmp_path / "no" / "run.ckpt", FileNotFoundError),
        (tmp_path, OSError),
        (Path("/proc/run.ckpt"), OSError),
        (Path("/dev/full"), (OSError, ValueError)),
    ):
        for resume in (True, False):
            seen = EndAt(1)
            with pytest.raises(kind):
                run("adam", rv.Checkpoint(path, resume=resume), seen)
            assert not seen.at  # before the first step


def test_a_disk_that_becomes_full(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, calls = tensors.write, []

    def full(*args: Any) -> None:
        calls.append(1)
        if len(calls) == 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(*args)

    monkeypatch.setattr(tensors, "write", full)
    with pytest.raises(OSError, match="No space left"):
        run("dropout and batch norm", rv.Checkpoint(path, every=2))
    assert rv.load(path)["step"] == 4
    assert run("dropout and batch norm", rv.Checkpoint(path, every=2)) == run(
        "dropout and batch norm"
    )
    path.unlink()
    calls.clear()
    with pytest.raises(KeyboardInterrupt), pytest.warns(rv.RanvierWarning, match="No space left"):
        run(
            "adam",
            rv.Checkpoint(path, every=2),
            EndAt(5, lambda: signal.raise_signal(signal.SIGINT)),
        )
    assert rv.load(path)["step"] == 4


def test_a_limit_on_the_size_of_files(path: Path) -> None:
    """As the system has it, in a process of its own."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, 8_000))

    code = (
        "import ranvier as rv\nrv.manual_seed(0)\nnet = rv.nn.Linear(40, 20)\n"
        f"rv.fit(net, rv.ones(9, 40), rv.ones(9, 20), loss='mse', checkpoint={str(path)!r})"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-c", code], preexec_fn=limit, capture_output=True, text=True
    )
    assert done.returncode == 1 and "OSError" in done.stderr
    assert sorted(p.name for p in path.parent.iterdir()) == ["run-0.ckpt", "run.ckpt"]
    assert rv.load(path)["step"] == 0  # without the optimizer's state it was small enough


def test_two_runs_with_one_path(path: Path) -> None:
    class Other(rv.Callback):
        def on_epoch_end(self, one: Any, logs: Any) -> None:
            if one.epoch == 2:
                run("dropout and batch norm", rv.Checkpoint(path, resume=False))

    with pytest.raises(RuntimeError, match="expected the file that this run wrote last"):
        run("dropout and batch norm", path, Other())
    assert run("dropout and batch norm", path) == run("dropout and batch norm")


def test_a_file_that_is_taken_away(path: Path) -> None:
    class Away(rv.Callback):
        def on_epoch_end(self, run: Any, logs: Any) -> None:
            path.unlink()

    run("adam", path, Away())
    assert rv.load(path)["epoch"] == 3
    assert os.listdir(path.parent) == ["run.ckpt"]


def test_descriptions_are_those_of_nested_values(begun: Path) -> None:
    named, metadata = tensors.read(begun)
    assert metadata["kind"] == "checkpoint" and metadata["checksum"].startswith("crc32 ")
    value = nested.value_of(begun, named, kinds.described(begun, metadata))
    assert value["settings"]["batch_size"] == 8 and value["settings"]["seed"] == 7
