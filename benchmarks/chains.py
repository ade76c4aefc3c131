"""Formulas of several operations: one by one, captured, and with PyTorch.

    python benchmarks/chains.py [--threads 2] [--rounds 7] [--compile] [elements ...]

A captured formula runs block by block: what one operation makes is in the first cache when the
next one reads it. Prints for each formula and size the median over the rounds in microseconds; all
take turns within a round, so that a busy machine is busy for all of them. PyTorch has its columns
where it is installed, `--compile` adds torch.compile. Timed only: the tests compare the bits.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import ranvier as rv

Action = Callable[[], object]


def formulas(library: Any, n: int) -> dict[str, tuple[Callable[..., Any], tuple[Any, ...]]]:
    """What is timed, for a library with PyTorch's names, and on which tensors."""
    rng = np.random.default_rng(0)
    x, y, b, c = (library.tensor(rng.random(n, dtype="f4")) for _ in range(4))
    m, v, w = (library.tensor(rng.random(n, dtype="f4")) for _ in range(3))
    width = min(n, 512)
    rows = [t[: n // width * width].reshape(-1, width) for t in (x, y)]
    normal = library.nn.functional.layer_norm

    def adam(g: Any) -> None:
        m.mul_(0.9).add_(g * 0.1)
        v.mul_(0.999).add_(g * g * 0.001)
        w.sub_(0.001 * (m / 0.5) / ((v / 0.3).sqrt() + 1e-8))

    return {
        "tanh(x a + b) c - x": (lambda x, a, b, c: library.tanh(x * a + b) * c - x, (x, y, b, c)),
        "x sigmoid(x)": (lambda x: x * library.sigmoid(x), (x,)),
        "adam by hand": (adam, (x,)),
        "x + y, layer_norm": (lambda x, y: normal(x + y, (width,)), tuple(rows)),
    }


def rows_of(n: int, compiled: bool) -> dict[str, dict[str, Action]]:
    """Who computes a formula, by the formula's name."""
    ways: dict[str, dict[str, Action]] = {}
    for name, (call, given) in formulas(rv, n).items():
        captured = rv.capture(call)
        ways[name] = {
            "eager": lambda call=call, given=given: call(*given),  # type: ignore[misc]
            "captured": lambda call=captured, given=given: call(*given),  # type: ignore[misc]
        }
    try:
        torch = importlib.import_module("torch")
    except ImportError:
        return ways
    for name, (call, given) in formulas(torch, n).items():
        ways[name]["torch"] = lambda call=call, given=given: call(*given)  # type: ignore[misc]
        if compiled:
            fast = torch.compile(call, dynamic=False)
            ways[name]["torch.compile"] = lambda call=fast, given=given: call(*given)  # type: ignore[misc]
    return ways


def timed(call: Action, repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("elements", nargs="*", type=int, default=[1000, 100_000, 1_000_000])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--compile", action="store_true")
    arguments = parser.parse_args()
    rv.set_num_threads(arguments.threads)
    with contextlib.suppress(ImportError):
        importlib.import_module("torch").set_num_threads(arguments.threads)
    for n in arguments.elements:
        for name, ways in rows_of(n, arguments.compile).items():
            with rv.no_grad():
                for call in ways.values():  # records, compiles, warms caches
                    call()
                    call()
                repeats = max(1, min(1000, 300_000 // n))
                times: dict[str, list[float]] = {way: [] for way in ways}
                for _ in range(arguments.rounds):
                    for way, call in ways.items():
                        times[way].append(timed(call, repeats))
            text = "  ".join(f"{way} {statistics.median(t):10.1f}" for way, t in times.items())
            print(f"{n:>9} {name:<20} {text} us", flush=True)


if __name__ == "__main__":
    main()
