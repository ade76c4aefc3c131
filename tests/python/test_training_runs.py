"""A run of `fit` from outside: Ctrl-C, threads, what is loaded and what is printed."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import re
import signal
import subprocess
import sys
import threading
import time
import types
from typing import Any, ClassVar

import pytest
from training_setup import classifier, fit, weights

import ranvier as rv
from ranvier import optim
from ranvier.training import History
from ranvier.training.progress import Progress, number, percent

# --- Ctrl-C ---------------------------------------------------------------------------------------


class Slow(optim.SGD):
    """An update that is interrupted between two parameters."""

    at = 3
    steps = 0

    def _update(self, group: Any, param: rv.Tensor, grad: rv.Tensor) -> None:
        super()._update(group, param, grad)
        self.steps += 1
        if self.steps == self.at:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)


def test_interrupt_leaves_whole_steps() -> None:
    """Four tensors a step; the signal comes after the third tensor of the first step."""
    net, one_step = classifier(), classifier()
    # A shell that starts the tests in the background has the signal ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt) as caught:
            fit(net, optimizer=Slow(net.parameters(), lr=0.1), shuffle=False, batch_size=None)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    fit(one_step, optimizer="sgd", lr=0.1, shuffle=False, batch_size=None, epochs=1)
    assert weights(net) == weights(one_step)
    assert caught.value.history.epochs == 0  # type: ignore[attr-defined]


def test_interrupt_elsewhere_carries_the_history() -> None:
    calls = 0

    def metric(prediction: rv.Tensor, target: rv.Tensor) -> float:
        nonlocal calls
        calls += 1
        if calls == 8:
            raise KeyboardInterrupt
        return 0.0

    net = classifier()
    with pytest.raises(KeyboardInterrupt) as caught:
        fit(net, metrics=metric, batch_size=25)
    assert caught.value.history.epochs == 3  # type: ignore[attr-defined]
    assert net.training


def test_fit_in_another_thread() -> None:
    results: list[History] = []
    thread = threading.Thread(target=lambda: results.append(fit(classifier(), epochs=2)))
    thread.start()
    thread.join(60)
    assert results[0].epochs == 2


# --- what is loaded -------------------------------------------------------------------------------


def test_import_loads_nothing_that_only_errors_and_files_need() -> None:
    code = (
        "import sys, numpy; before = set(sys.modules); import ranvier\n"
        "print(*sorted({'difflib', 'shutil', 'json', 'pathlib', 'fractions', 'urllib'}"
        " & (set(sys.modules) - before)))"
    )
    package = os.path.dirname(os.path.dirname(rv.__file__))
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": package},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "\n"


# --- what is printed ------------------------------------------------------------------------------


def test_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    fit(classifier(), epochs=3, verbose=1, metrics="accuracy")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    for epoch, line in enumerate(lines, 1):
        assert re.match(rf"epoch {epoch}/3   loss \d\.\d{{4}}   accuracy \d\d(\.\d)? % ", line)
        assert len(line) <= 80 and line.isascii() and line.isprintable()
    assert re.search(r"#{20}   \d+\.\d\d s$", lines[-1])


@pytest.mark.parametrize("verbose, count", [(0, 0), (1, 30), (2, 30)])
def test_verbose(capsys: pytest.CaptureFixture[str], verbose: int, count: int) -> None:
    fit(classifier(), epochs=30, verbose=verbose, batch_size=None)
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == count and err == ""


def test_terminal_line_is_redrawn(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ranvier.training.progress.is_terminal", lambda: True)
    monkeypatch.setattr("ranvier.training.progress._REDRAW", 0.0)
    progress = Progress(30, 1)
    progress.epoch(1, {"loss": 0.5})
    progress.step(2, 0.5)
    progress.epoch(2, {"loss": 0.25})  # not its turn
    progress.step(3, 0.5)
    progress.close()
    out = capsys.readouterr().out
    assert "\x1b" not in out and out.count("\n") == 2
    first, redrawn = out.split("\n")[:2]
    assert first.startswith("\repoch  1/30   loss 0.5000")
    assert redrawn.count("\r") == 2 and "epoch  3/30   loss 0.2500" in redrawn


class Drawn:
    """tqdm's bar, or rich's, as far as a run uses it."""

    made: ClassVar[list[Drawn]] = []

    def __init__(self, *columns: Any, **named: Any) -> None:
        self.n, self.named, self.words, self.open = 0.0, named, "", True
        self.made.append(self)

    def update(self, by: Any, completed: float = 0, epoch: str = "", words: str = "") -> None:
        self.n = completed if by == "task" else self.n + by
        self.words = words or self.words

    def set_postfix(self, shown: dict[str, str], refresh: bool) -> None:
        self.words = "  ".join(f"{name} {value}" for name, value in shown.items())

    def add_task(self, name: str, total: float, **named: Any) -> str:
        self.named = {"total": total}
        return "task"

    def close(self) -> None:
        self.open = False

    start, stop = lambda self: None, close


@pytest.mark.parametrize("module", ["tqdm", "rich"])
def test_bars_of_others(
    module: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = types.ModuleType(module)
    fake.__spec__ = importlib.machinery.ModuleSpec(module, None)
    fake.tqdm = fake.Progress = fake.TextColumn = Drawn  # type: ignore[attr-defined]
    fake.BarColumn = fake.TimeRemainingColumn = Drawn  # type: ignore[attr-defined]
    for name in ("tqdm", "rich", "rich.progress"):
        monkeypatch.setitem(sys.modules, name, fake if name.startswith(module) else None)
    missing = {"tqdm", "rich"} - {module}
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda n, *a: None if n in missing else found(n, *a)
    )
    monkeypatch.setattr("ranvier.training.progress.is_terminal", lambda: True)
    Drawn.made.clear()
    history = fit(classifier(), epochs=3, verbose=1, metrics="accuracy")
    bar = next(drawn for drawn in Drawn.made if "total" in drawn.named)
    assert bar.named["total"] == 3 == bar.n and not bar.open
    last = history.history["accuracy"][-1]
    assert bar.words.startswith("loss ") and f"accuracy {percent(last)}" in bar.words
    assert capsys.readouterr().out == ""


def test_no_standard_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", None)
    assert fit(classifier(), verbose=1).epochs == 10


def test_numbers() -> None:
    assert [number(v) for v in (0, 1.41271, 0.00651, 6.5e-6, 12345.6)] == [
        "0.0000", "1.4127", "0.0065", "6.5e-06", "1.2e+04",
    ]  # fmt: skip
    assert [percent(v) for v in (1, 0.99999, 0.5, 0)] == ["100 %", "99.9 %", "50.0 %", "0.0 %"]
