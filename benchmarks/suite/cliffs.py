"""Does one size cost far more than the next one that vectors and tiles fit? Ours alone.

`python -m suite.cliffs EACH` times every EACH-th width of every kind below in this process, looks
for widths that take longer than 1.5 times as long as they do rounded up to a multiple of 8, times
those again in pairs, and prints one JSON line. growth.py starts it, once for each number of
threads.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

from . import targets

MULTIPLE, LAST = 8, 136
KINDS = {
    "hidden": "step:784-{}-10x32",
    "inputs": "step:{}-128-10x32",
    "outputs": "step:784-128-{}x32",
    "batch": "step:784-128-10x{}",
    "product": "matmul:{0}x{0}x{0}",
    "rows of a product": "matmul:{}x128x128",
    "columns of a product": "matmul:128x{}x128",
    "depth of a product": "matmul:128x128x{}",
}
ROUNDS, PAIRS = 5, 15
WARM, SLICE = 0.03, 0.002  # seconds for each width; for each round of it
# Before it is measured again: a recorded step finds out now and then whether threads are worth it,
# and what disturbed the machine at that moment stays with it until the next time.
AGAIN = 0.4
Times = dict[int, list[float]]


def rounded(width: int) -> int:
    """Up to a multiple of 8."""
    return -(-width // MULTIPLE) * MULTIPLE


def widths(first: int, last: int, each: int) -> list[int]:
    """Every so manieth, and the multiples of 8 that they are held against."""
    chosen = range(first, last + 1, each)
    return sorted({*chosen, *map(rounded, chosen)})


def ratio(times: Times, width: int) -> float:
    """By the least of the rounds: what disturbs a machine only adds to them."""
    return min(times[width]) / min(times[rounded(width)])


def suspects(times: Times, limit: float) -> list[int]:
    """The widths that take too long by what was measured."""
    return [
        width
        for width in times
        if width != rounded(width) and rounded(width) in times and ratio(times, width) > limit
    ]


def confirmed(times: Times, limit: float, pairs: Callable[[int], Times]) -> dict[int, float]:
    """Of the suspects those that take too long both times that they are measured again.

    With the smaller ratio of the two; it is to be too large by the least and by the medians.
    """
    found = {}
    for width in suspects(times, limit):
        first = _cautious(pairs(width), width)
        if first > limit and (second := _cautious(pairs(width), width)) > limit:
            found[width] = min(first, second)
    return found


def _cautious(times: Times, width: int) -> float:
    middle = statistics.median
    return min(ratio(times, width), middle(times[width]) / middle(times[rounded(width)]))


# --- measuring ------------------------------------------------------------------------------------


class Runner:
    """One width of a kind, warm, and how often it is called at a time."""

    def __init__(self, name: str) -> None:
        from .peers import ranvier
        from .workloads import Workload

        trial = ranvier.trial(Workload(name))
        assert trial is not None, name
        self.run = trial.run
        self.warm(WARM)

    def warm(self, seconds: float) -> None:
        start, calls = time.perf_counter(), 0
        while (spent := time.perf_counter() - start) < seconds or calls < 20:
            self.run()
            calls += 1
        self.lot = max(1, int(SLICE * calls / spent))

    def time(self) -> float:
        """Seconds of a call, once it has been called."""
        self.run()
        start = time.perf_counter()
        for _ in range(self.lot):
            self.run()
        return (time.perf_counter() - start) / self.lot


def in_turn(runners: dict[int, Runner], rounds: int) -> Times:
    """Microseconds of each round; all take part in one before the next."""
    times: Times = {width: [] for width in runners}
    for _ in range(rounds):
        for width, runner in runners.items():
            times[width].append(1e6 * runner.time())
    return times


def examined(pattern: str, chosen: Iterable[int], limit: float) -> dict[str, Any]:
    """All widths of a kind."""
    runners = {width: Runner(pattern.format(width)) for width in chosen}
    times = in_turn(runners, ROUNDS)

    def pairs(width: int) -> Times:
        pair = {each: runners[each] for each in (width, rounded(width))}
        for runner in pair.values():
            runner.warm(AGAIN)
        return in_turn(pair, PAIRS)

    worst = max((w for w in times if w != rounded(w)), key=lambda width: ratio(times, width))
    return {
        "workload": pattern,
        "us": times,
        "worst": [worst, ratio(times, worst)],
        "suspects": suspects(times, limit),
        "cliffs": confirmed(times, limit, pairs),
    }


def main(each: str) -> None:
    wanted = targets.table("times the next multiple of 8, at most")
    chosen = widths(wanted["from width"], LAST, int(each))
    found = {kind: examined(KINDS[kind], chosen, wanted["ratio"]) for kind in KINDS}
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
