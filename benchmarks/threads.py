"""What a second thread brings, or costs: on an idle machine, beside a busy process, after a pause.

    python benchmarks/threads.py [--quick] [--threads N] [--rounds N] [--filter TEXT]
                                 [idle busy pause ...]

For each row the time of one call with one thread and with N, in microseconds: median and 90th
percentile, and the ratio of the medians, over calls that take turns in one process. `idle` calls
one after the other; `busy` does the same beside a process that keeps one CPU busy, for each CPU
but one; `pause` calls once in 20 ms. Threads should never cost more than they bring: a ratio above
what targets.json allows is measured once more, the lower one stands, and is marked where it is
still too high. A run without a filter leaves its figures in results/threads.json. It times; no test
depends on it.
"""

from __future__ import annotations

import argparse
import itertools
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from suite import results, targets

import ranvier as rv
from ranvier import nn, optim

Action = Callable[[], object]
PAUSE = 0.02
SECONDS = 1.2  # after which a row has no further rounds, if it has had five
ALLOWED: dict[str, float] = targets.table("times one thread, at most")
QUICK = (
    "add 1e+04",
    "exp 1e+05",
    "sum 1e+06",
    "softmax 256x100",
    "matmul 64",
    "matmul 256",
    "step 20-64-64-2, 32",
    "step 784-128-10, 32",
    "predict 784-128-10, 1",
)  # names, or what they end with


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


def measure(action: Action, threads: int, condition: str, rounds: int) -> dict[str, float]:
    """Microseconds with one thread and with many, which take turns."""
    pause = PAUSE if condition == "pause" else 0.0
    action()
    first = min(timed(action, 0) for _ in range(3))
    calls = 4 if pause else max(3, min(300, int(3e3 / first)))
    times: dict[int, list[float]] = {1: [], threads: []}
    start = time.perf_counter()
    for done in range(rounds):
        if done >= 5 and time.perf_counter() - start > SECONDS:
            break
        for n, column in times.items():
            rv.set_num_threads(n)
            if not pause:
                action()
            column += [timed(action, pause) for _ in range(calls)]
    one, many = (np.percentile(column, [50, 90]) for column in times.values())
    found = {"one": one[0], "one, 90th": one[1], "many": many[0], "many, 90th": many[1]}
    found["ratio"] = many[0] / one[0]
    return {name: float(f"{value:.4g}") for name, value in found.items()}


def compare(action: Action, threads: int, condition: str, rounds: int) -> dict[str, Any]:
    """The figures of a row; of two tries where the first one is too slow."""
    found: dict[str, Any] = measure(action, threads, condition, rounds)
    if found["ratio"] > ALLOWED[condition]:
        again = measure(action, threads, condition, rounds)
        ratios = [found["ratio"], again["ratio"]]
        found = {**min(found, again, key=lambda try_: try_["ratio"]), "tries": ratios}
    return found


def shown(found: dict[str, Any], condition: str) -> str:
    """One line of the table, without its name."""
    mark = "  <" if found["ratio"] > ALLOWED[condition] else ""
    return (
        f"{found['one']:10.1f} ({found['one, 90th']:9.1f})"
        f" {found['many']:10.1f} ({found['many, 90th']:9.1f}) {found['ratio']:7.2f}"
        f" {found['many, 90th'] / found['one, 90th']:7.2f}{mark}"
    )


def under(condition: str, given: argparse.Namespace) -> list[dict[str, Any]]:
    """Measures all rows under a condition, and prints them."""
    info = rv.cpu_info()
    print(f"{condition}, {info['isa']}, {info['parallel']}: us, median (90th percentile)")
    print(f"{'':34}{'1 thread':>22}{f'{given.threads} threads':>23}   ratio  of 90th")
    n = max((os.cpu_count() or 1) - 1, 1) if condition == "busy" else 0
    loop = [sys.executable, "-c", "while True: pass"]
    others = [subprocess.Popen(loop) for _ in range(n)]
    measured = []
    try:
        for name, action in rows().items():
            if given.filter not in name or (given.quick and not name.endswith(QUICK)):
                continue
            found = compare(action, given.threads, condition, given.rounds)
            measured.append({"condition": condition, "row": name, **found})
            print(f"{name:34}{shown(found, condition)}", flush=True)
    finally:
        for other in others:
            other.kill()
            other.wait()
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("conditions", nargs="*", default=[*ALLOWED], metavar="CONDITION")
    parser.add_argument("--threads", type=int, default=rv.get_num_threads())
    parser.add_argument("--rounds", type=int, help="15, or 7 when quick")
    parser.add_argument("--filter", default="", help="only rows with this in their names")
    parser.add_argument("--quick", action="store_true", help="some rows, fewer rounds")
    given = parser.parse_args()
    given.rounds = given.rounds or (7 if given.quick else 15)
    for condition in given.conditions:
        if condition not in ALLOWED:
            parser.error(f"expected {', '.join(ALLOWED)}, got '{condition}'")
    if given.threads < 2:
        print("one processor: there is no second thread to measure")
        return
    measured = [row for condition in given.conditions for row in under(condition, given)]
    if not given.filter:
        results.save("threads", {"threads": given.threads, "unit": "us", "rows": measured})


if __name__ == "__main__":
    main()
