"""What a second thread brings, or costs: on an idle machine, beside a busy process, after a pause.

    python benchmarks/threads.py [--threads N] [--rounds N] [--filter TEXT] [idle busy pause ...]

For each row the time of one call with one thread and with N, in microseconds: median and 90th
percentile, and the ratio of the medians, over calls that take turns in one process. `idle` calls
one after the other; `busy` does the same beside a process that keeps one CPU busy, for each CPU
but one; `pause` calls once in 20 ms. A ratio above 1.05 when idle, or above 1.3 otherwise, is
marked: threads should never cost more than they bring. It times; no test depends on it.
"""

from __future__ import annotations

import argparse
import itertools
import os
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

import ranvier as rv
from ranvier import nn, optim

Action = Callable[[], object]
PAUSE = 0.02
ALLOWED = {"idle": 1.05, "busy": 1.3, "pause": 1.3}


def network(widths: tuple[int, ...]) -> nn.Sequential:
    rv.manual_seed(0)
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(widths):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def training_step(*widths: int, batch: int, replayed: bool = False) -> Action:
    """Forward, loss, backward and update of a dense network."""
    net = network(widths)
    optimizer = optim.Adam(net.parameters(), lr=1e-3)
    x, y = rv.randn(batch, widths[0]), rv.zeros(batch, dtype=rv.int64)
    loss = nn.CrossEntropyLoss()

    def step() -> None:
        optimizer.zero_grad()
        loss(net(x), y).backward()
        optimizer.step()

    return rv.capture(step) if replayed else step


def prediction(*widths: int, batch: int, replayed: bool = False) -> Action:
    net, x = network(widths), rv.randn(batch, widths[0])

    def predict() -> rv.Tensor:
        with rv.no_grad():
            return net(x)

    return rv.capture(predict) if replayed else predict


def rows() -> dict[str, Action]:
    rv.manual_seed(0)
    found: dict[str, Action] = {}
    for n in (1000, 10_000, 30_000, 100_000, 1_000_000):
        x = rv.randn(n)
        found[f"add {n:.0e}"] = lambda x=x: x + x  # type: ignore[misc]
        found[f"exp {n:.0e}"] = lambda x=x: x.exp()  # type: ignore[misc]
        found[f"sum {n:.0e}"] = lambda x=x: x.sum()  # type: ignore[misc]
    for shape in ((128, 10), (256, 100), (512, 1000)):
        x = rv.randn(*shape)
        found["softmax {}x{}".format(*shape)] = lambda x=x: x.softmax(1)  # type: ignore[misc]
        found["transposed copy {}x{}".format(*shape)] = lambda x=x: x.T.contiguous()  # type: ignore[misc]
        found["sum of columns {}x{}".format(*shape)] = lambda x=x: x.sum(0)  # type: ignore[misc]
    for n in (32, 64, 100, 128, 256, 512):
        x = rv.randn(n, n)
        found[f"matmul {n}"] = lambda x=x: x @ x  # type: ignore[misc]
    for word, replayed in (("", False), ("replayed ", True)):
        for widths, batch in (
            ((2, 4, 2), 4),
            ((20, 64, 64, 2), 32),
            ((784, 128, 10), 32),
            ((784, 512, 256, 10), 128),
            ((784, 2048, 2048, 10), 512),
        ):
            name = f"{word}step {'-'.join(map(str, widths))}, {batch}"
            found[name] = training_step(*widths, batch=batch, replayed=replayed)
        for widths, batch in (((20, 64, 64, 2), 1), ((784, 128, 10), 1), ((784, 128, 10), 64)):
            name = f"{word}predict {'-'.join(map(str, widths))}, {batch}"
            found[name] = prediction(*widths, batch=batch, replayed=replayed)
    return found


def timed(action: Action, pause: float) -> float:
    if pause:
        time.sleep(pause)
    start = time.perf_counter()
    action()
    return (time.perf_counter() - start) * 1e6


def compare(action: Action, threads: int, condition: str, rounds: int) -> str:
    """One line of the table, without its name."""
    pause = PAUSE if condition == "pause" else 0.0
    action()
    first = min(timed(action, 0) for _ in range(3))
    calls = 4 if pause else max(3, min(300, int(3e3 / first)))
    times: dict[int, list[float]] = {1: [], threads: []}
    for _ in range(rounds):
        for n, column in times.items():
            rv.set_num_threads(n)
            if not pause:
                action()
            column += [timed(action, pause) for _ in range(calls)]
    one, many = (np.percentile(column, [50, 90]) for column in times.values())
    ratio = many[0] / one[0]
    mark = "  <" if ratio > ALLOWED[condition] else ""
    return (
        f"{one[0]:10.1f} ({one[1]:9.1f}) {many[0]:10.1f} ({many[1]:9.1f}) {ratio:7.2f}"
        f" {many[1] / one[1]:7.2f}{mark}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("conditions", nargs="*", default=[*ALLOWED], metavar="CONDITION")
    parser.add_argument("--threads", type=int, default=rv.get_num_threads())
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--filter", default="", help="only rows with this in their names")
    given = parser.parse_args()
    for condition in given.conditions:
        if condition not in ALLOWED:
            parser.error(f"expected {', '.join(ALLOWED)}, got '{condition}'")
        n = max((os.cpu_count() or 1) - 1, 1) if condition == "busy" else 0
        loop = [sys.executable, "-c", "while True: pass"]
        others = [subprocess.Popen(loop) for _ in range(n)]
        try:
            info = rv.cpu_info()
            print(f"{condition}, {info['isa']}, {info['parallel']}: us, median (90th percentile)")
            print(f"{'':34}{'1 thread':>22}{f'{given.threads} threads':>23}   ratio  of 90th")
            for name, action in rows().items():
                if given.filter in name:
                    line = compare(action, given.threads, condition, given.rounds)
                    print(f"{name:34}{line}", flush=True)
        finally:
            for other in others:
                other.kill()
                other.wait()


if __name__ == "__main__":
    main()
