"""How much a process grows by predicting: resident size after 10^4 calls and after 10^6.

    python benchmarks/memory.py [calls]

Each way to predict runs in a process of its own. Nothing may be left behind by a call, so what is
printed last is to stay below 1 MiB.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import ranvier as rv
from ranvier import nn

_FIRST = 10_000


class Drawn(nn.Module):
    """What is no plain code, and runs as it is."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: rv.Tensor) -> rv.Tensor:
        return self.inner(x) * random.random()


def calls() -> dict[str, Callable[[], Any]]:
    """The ways to predict."""
    net = nn.Sequential(
        nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1)
    )
    row, rows = rv.rand(1, 20).numpy(), rv.rand(100, 20).numpy()
    drawn = Drawn(net)

    @rv.capture
    def captured(x: rv.Tensor) -> rv.Tensor:
        return net(x).detach()

    return {
        "predict": lambda: rv.predict(net, row),
        "predict, batches": lambda: rv.predict(net, rows, batch_size=32),
        "predict, own code": lambda: rv.predict(drawn, row),
        "captured": lambda: captured(row),
    }


def resident() -> int:
    """Bytes of memory that the process has."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def grown(call: Callable[[], Any], count: int) -> tuple[int, int]:
    """The resident size after some calls, and by how much it is larger after all."""
    for _ in range(_FIRST):
        call()
    first = resident()
    for _ in range(count - _FIRST):
        call()
    return first, resident() - first


def main() -> None:
    count = int(float(sys.argv[1])) if len(sys.argv) > 1 else 1_000_000
    if len(sys.argv) > 2:
        first, more = grown(calls()[sys.argv[2]], count)
        print(f"{sys.argv[2]:20} {first / 2**20:8.1f} MiB  {more / 2**20:+.3f} MiB", flush=True)
        return
    print(f"{'':20} after 10^4 calls  and after {count}")
    for name in calls():
        subprocess.run([sys.executable, __file__, str(count), name], check=True)


if __name__ == "__main__":
    main()
