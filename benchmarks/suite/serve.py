"""One peer in a process of its own: reads commands, one JSON line each, and answers likewise.

    python -m suite.serve torch compile       (with benchmarks on the path)

    {"prepare": NAME}    -> {"outcome": [...]} or {"absent": true}
    {"time": SECONDS}    -> {"us": median of a unit, "least": least, "calls": how many}
                            the first time "warm": SECONDS says for how long to warm up
    {"drop": true}       -> {}

A command that fails is answered by {"error": "..."}. Whatever libraries print goes to stderr.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from .peers import Trial
from .workloads import STILL, TRAINED, Workload

LOT = 1e-4  # seconds that are timed at a time, or one call, if that takes longer
WARM = 0.3  # seconds of calls before the first that is timed
REST = 0.005  # before a round: what the others left spinning goes to sleep


def lot_of(run: Callable[[], object], seconds: float) -> int:
    """How many calls make a lot; found in `seconds`, which warms up too."""
    start, calls = time.perf_counter(), 0
    while True:
        run()
        calls += 1
        spent = time.perf_counter() - start
        if spent >= seconds:
            return max(1, int(LOT * calls / spent))


def measure(run: Callable[[], object], lot: int, seconds: float) -> list[float]:
    """Seconds of a call, once for each lot; at least one."""
    time.sleep(REST)
    for _ in range(min(lot, 3)):
        run()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        before = time.perf_counter()
        for _ in range(lot):
            run()
        times.append((time.perf_counter() - before) / lot)
    return times


class Server:
    """What is prepared, and the answers to commands."""

    def __init__(self, peer: str, variant: str) -> None:
        self.make = importlib.import_module(f"{__package__}.peers.{peer}").trial
        self.variant = variant
        self.trial: Trial | None = None
        self.lot, self.units = 0, 1

    def answer(self, command: dict[str, Any]) -> dict[str, Any]:
        if "prepare" in command:
            workload = Workload(command["prepare"])
            self.trial, self.lot, self.units = self.make(workload, self.variant), 0, workload.units
            if self.trial is None:
                return {"absent": True}
            outcome = self.trial.outcome().tolist()
            if workload.kind in TRAINED:
                self.trial = self.make(Workload(workload.name, STILL), self.variant)
            return {"outcome": outcome}
        if "time" in command:
            assert self.trial is not None, "nothing is prepared"
            run, seconds = self.trial.run, command["time"]
            # Programs that are recorded or compiled choose their threads in the first calls.
            self.lot = self.lot or lot_of(run, command.get("warm", max(WARM, seconds)))
            times = measure(run, self.lot, seconds)
            scale = 1e6 / self.units
            middle = statistics.median(times) * scale
            return {"us": middle, "least": min(times) * scale, "calls": len(times) * self.lot}
        self.trial = None
        gc.collect()
        return {}


def main(peer: str, variant: str = "") -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    server = None
    for line in sys.stdin:
        try:
            server = server or Server(peer, variant)
            answer = server.answer(json.loads(line))
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
