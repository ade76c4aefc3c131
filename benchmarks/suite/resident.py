"""How much memory a process has: after an import, over a training run, over many predictions.

`python -m suite.resident train|predict LIBRARY ...` measures itself and prints one JSON line.
footprint.py starts it; the networks are those of suite/peers.
"""

from __future__ import annotations

import importlib
import json
import random
import sys
import time
from collections.abc import Callable
from typing import Any

STEP = "step:784-128-10x32"
TRAINING = "epoch:784-128-10x32@6000"
PREDICTION = "predict:20-64-64-1x1"
FIRST = 10_000  # calls before growth counts
EACH = 50  # calls between two looks at the clock
STATEMENTS = {  # what its users import
    "jax": "import jax, jax.numpy",
    "sklearn": "import sklearn.neural_network",
}
OURS = ("predict", "batches", "own code", "captured")


def status() -> dict[str, int]:
    """Bytes that are resident now, and that were at most."""
    now = _field(
        "/proc/self/smaps_rollup", "Rss"
    )  # exact; the kernel is some pages behind in VmRSS
    return {"now": now, "peak": max(_field("/proc/self/status", "VmHWM"), now)}


def _field(path: str, name: str) -> int:
    with open(path, encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(f"{name}:"))


def statement(library: str) -> str:
    return STATEMENTS.get(library, f"import {library}")


def train(library: str, epochs: str) -> dict[str, Any]:
    """What an import adds to a bare process, and what a training run then takes."""
    bare = status()
    exec(statement(library), {})
    imported = status()
    from suite.workloads import Workload

    epoch = Workload(TRAINING)
    data, times = epoch.network, int(epochs)  # held, where the steps below use one batch alone
    run = _run_of(library, TRAINING)
    if run is None:  # it has no loop of its own
        run, times = _run_of(library, STEP), times * epoch.units
    assert run is not None, f"{library} does not train"
    for _ in range(times):
        run()
    after = status()
    return {
        "bare": bare["now"],
        "import adds": imported["now"] - bare["now"],
        "steady": after["now"],
        "peak": after["peak"],
        "rows": len(data.x),
    }


def predict(library: str, kind: str, calls: str, seconds: str) -> dict[str, int]:
    """By how much the process grows from the first calls to the last, until time is up."""
    call = our_calls()[kind] if library == "ranvier" else _run_of(library, PREDICTION)
    assert call is not None, f"{library} does not predict"
    count, limit = int(calls), float(seconds)
    start = time.monotonic()
    first = _repeat(call, min(FIRST, count), start + limit / 4)
    before = status()["now"]
    rest = _repeat(call, count - first, start + limit)
    return {"first": first, "calls": first + rest, "grown": status()["now"] - before}


def _repeat(call: Callable[[], object], count: int, end: float) -> int:
    done = 0
    while done < count and time.monotonic() < end:
        each = min(EACH, count - done)
        for _ in range(each):
            call()
        done += each
    return done


def _run_of(library: str, name: str) -> Callable[[], object] | None:
    from suite.workloads import Workload

    trial = importlib.import_module(f"suite.peers.{library}").trial(Workload(name), "")
    return None if trial is None else trial.run


def our_calls() -> dict[str, Callable[[], Any]]:
    """The ways to predict: a row, batch by batch, with code that cannot be recorded, captured."""
    import numpy as np

    import ranvier as rv
    from ranvier import nn

    class Drawn(nn.Module):
        """What is no plain code, and runs as it is."""

        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: rv.Tensor) -> rv.Tensor:
            return self.inner(x) * random.random()

    net = nn.Sequential(
        nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1)
    )
    drawn = Drawn(net)
    rows = np.random.default_rng(0).standard_normal((100, 20), dtype="f4")
    row = rows[:1].copy()

    @rv.capture
    def captured(x: rv.Tensor) -> rv.Tensor:
        return net(x).detach()

    calls: tuple[Callable[[], Any], ...] = (
        lambda: rv.predict(net, row),
        lambda: rv.predict(net, rows, batch_size=32),
        lambda: rv.predict(drawn, row),
        lambda: captured(row),
    )
    return dict(zip(OURS, calls, strict=True))


def main() -> None:
    what, *arguments = sys.argv[1:]
    measured = {"train": train, "predict": predict}[what](*arguments)
    print(json.dumps(measured), flush=True)


if __name__ == "__main__":
    main()
