"""Contestants in processes of their own that take turns, round by round, at the same workload.

What slows the machine down for a while slows all of them down. A contestant is a peer, by a Python
and an environment: the same peer from two folders is how two versions of Ranvier are compared.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from .workloads import Array

FOLDER = Path(__file__).parent.parent
PATIENCE = 300.0  # seconds for one answer; compiling a step takes up to a minute


@dataclass(frozen=True)
class Contestant:
    label: str
    peer: str
    variant: str = ""
    python: str = sys.executable
    env: dict[str, str] = field(default_factory=dict)


class PeerError(RuntimeError):
    """A contestant that could not do what it was asked for."""


def thread_settings(threads: int) -> dict[str, str]:
    """What libraries read when they are loaded."""
    names = ("OMP", "OPENBLAS", "MKL", "RANVIER")
    return {f"{name}_NUM_THREADS": str(threads) for name in names}


def environment(who: Contestant, threads: int) -> dict[str, str]:
    """Of its process, which finds this package before anything else."""
    env = {**os.environ, **thread_settings(threads), **who.env}
    paths = [path for path in env.get("PYTHONPATH", "").split(os.pathsep) if path]
    env["PYTHONPATH"] = os.pathsep.join([str(FOLDER), *map(os.path.abspath, paths)])
    return env


class Child:
    """A process that serves one contestant (serve.py)."""

    def __init__(self, who: Contestant, threads: int) -> None:
        self.who = who
        self.log = tempfile.TemporaryFile()  # noqa: SIM115, closed in close()
        every = sorted(os.sched_getaffinity(0))
        # Not every library can be told how many threads to use, but all see their processors.
        allowed = set(every[:threads]) if threads < len(every) else set(every)
        self.process = subprocess.Popen(
            [who.python, "-m", f"{__package__}.serve", who.peer, who.variant],
            env=environment(who, threads),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            preexec_fn=lambda: os.sched_setaffinity(0, allowed),
        )
        self.rest = b""

    def ask(self, command: dict[str, Any]) -> dict[str, Any]:
        """The answer to one command; PeerError where it gives none."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(command).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise PeerError(self._last_words()) from None
        answer: dict[str, Any] = json.loads(self._line())
        if "error" in answer:
            raise PeerError(answer["error"])
        return answer

    def _line(self) -> bytes:
        assert self.process.stdout is not None
        while b"\n" not in self.rest:
            ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
            if not ready:
                self.process.kill()
                raise PeerError(f"no answer within {PATIENCE:.0f} s")
            part = os.read(self.process.stdout.fileno(), 1 << 20)
            if not part:
                raise PeerError(self._last_words())
            self.rest += part
        line, _, self.rest = self.rest.partition(b"\n")
        return line

    def _last_words(self) -> str:
        self.log.seek(0)
        words = self.log.read().decode(errors="replace").strip().splitlines()
        return words[-1] if words else f"ended with {self.process.wait()}"

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.log):
            assert stream is not None
            stream.close()


class Turns:
    """The contestants, started once for many workloads.

    Examples
    --------
    >>> both = [Contestant("ours", "ranvier"), Contestant("numpy", "numpy")]
    >>> with Turns(both, threads=2) as turns:
    ...     outcomes = turns.prepare("step:20-64-64-1x32")
    ...     times = turns.rounds(5, 0.25)
    """

    def __init__(self, contestants: list[Contestant], threads: int) -> None:
        self.threads = threads
        self.contestants = {who.label: who for who in contestants}
        self.children: dict[str, Child] = {}
        self.playing: list[str] = []
        self.failures: dict[str, str] = {}  # of the workload that is prepared

    def __enter__(self) -> Turns:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for child in self.children.values():
            child.close()
        self.children.clear()

    def _ask(self, label: str, command: dict[str, Any]) -> dict[str, Any] | None:
        """None where it failed; it then sits this workload out, with a new process for the next."""
        if label not in self.children:
            self.children[label] = Child(self.contestants[label], self.threads)
        try:
            return self.children[label].ask(command)
        except PeerError as failure:
            self.failures[label] = str(failure)
            self.children.pop(label).close()
            return None

    def prepare(self, name: str, labels: list[str] | None = None) -> dict[str, Array]:
        """What each contestant computes; those that have no such workload are not in it."""
        for label in self.playing:
            if label in self.children:
                self._ask(label, {"drop": True})
        self.failures, outcomes = {}, {}
        for label in self.contestants if labels is None else labels:
            answer = self._ask(label, {"prepare": name})
            if answer and "outcome" in answer:
                outcomes[label] = np.array(answer["outcome"])
        self.playing = list(outcomes)
        return outcomes

    def without(self, label: str) -> None:
        """Leaves a contestant out of the rounds of this workload."""
        self.playing.remove(label)

    def rounds(
        self, count: int, seconds: float, warm: float | None = None, figure: str = "us"
    ) -> dict[str, list[float]]:
        """For each contestant the time of a unit in each round, in microseconds: the median, or
        with figure="least" the least.

        The first one of a round is another one each time. A first round, not counted, warms up,
        for so many seconds if `warm` is given.
        """
        first_round: dict[str, Any] = {"time": 0.0} | ({} if warm is None else {"warm": warm})
        times: dict[str, list[float]] = {label: [] for label in self.playing}
        for turn in range(count + 1):
            first = turn % max(len(self.playing), 1)
            for label in self.playing[first:] + self.playing[:first]:
                if label in self.failures:
                    continue
                answer = self._ask(label, {"time": seconds} if turn else first_round)
                if answer and turn:
                    times[label].append(answer[figure])
        return {label: column for label, column in times.items() if label not in self.failures}
