"""kill -9 and Ctrl-C at random moments: the run goes on to the same bytes, in any threads."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import ranvier as rv

CHILD = Path(__file__).with_name("checkpoint_child.py")


def train(
    path: Path,
    epochs: int,
    threads: int,
    delay: float | None,
    by: signal.Signals = signal.SIGKILL,
    script: Path = CHILD,
) -> tuple[str | None, int]:
    """What a process says at its end, None where it was ended so long after its first step."""
    child = subprocess.Popen(
        [sys.executable, "-B", script, str(path), str(epochs)],
        stdout=subprocess.PIPE,
        stderr=None if by is signal.SIGKILL else subprocess.DEVNULL,  # the trace of an interrupt
        text=True,
        env={**os.environ, "RANVIER_NUM_THREADS": str(threads)},
    )
    assert child.stdout is not None
    begun = child.stdout.readline().split()
    assert begun[0] == "training"
    timer = None
    if delay is not None:
        timer = threading.Timer(delay, child.send_signal, (by,))
        timer.start()
    with child.stdout as output:
        said = output.read().split()
    code = child.wait()
    if timer is not None:
        timer.cancel()
        timer.join()
    assert code in (0, -by)
    return (said[1] if said else None), int(begun[1])


def kills(
    tmp_path: Path,
    epochs: int,
    count: int,
    longest: float,
    by: signal.Signals,
    script: Path = CHILD,
) -> None:
    """End a run so often, with one thread and with two in turn, and let it come to its end."""
    whole, _ = train(tmp_path / "whole.ckpt", epochs, 1, None, script=script)
    path, draw, killed, begun = tmp_path / "run.ckpt", random.Random(1), 0, [0]
    while killed < count:
        said, first = train(path, epochs, 1 + killed % 2, draw.uniform(0, longest), by, script)
        assert first >= begun[-1]  # nothing that was kept is lost
        begun.append(first)
        if said is not None:
            pytest.fail(f"the run ended after {killed} kills, before it was killed {count} times")
        killed += 1
        if path.exists():
            assert rv.load(path)["step"] >= first  # whole, whenever it was
    last, first = train(path, epochs, 2, None, script=script)
    print(f"killed {killed} times, at steps {begun[1:]} and {first}")
    assert last == whole and first > 0
    assert path.read_bytes() == (tmp_path / "whole.ckpt").read_bytes()
    left = {p.name.partition("-")[2] for p in tmp_path.glob("run-*")}
    assert {p.name.partition("-")[2] for p in tmp_path.glob("whole-*")} <= left


BY = pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGINT], ids=lambda by: by.name)


@BY
def test_a_few_kills(tmp_path: Path, by: signal.Signals) -> None:
    kills(tmp_path, epochs=30, count=5, longest=0.15, by=by)


@BY
@pytest.mark.slow
def test_fifty_kills(tmp_path: Path, by: signal.Signals) -> None:
    kills(tmp_path, epochs=400, count=50, longest=0.4, by=by)
