"""Matrix products beside NumPy's and PyTorch's, interleaved in one process for each thread count.

    python benchmarks/matmul.py [--threads 1,2] [--rounds 5] [GROUP or M,N,K[,LAYOUT][,DTYPE] ...]

Groups: squares, odd, training, float64, bfloat16, neighbours; all of them when none is named. DTYPE
is f32, f64 or bf16, which NumPy has not. LAYOUT says of each factor whether its rows (n) or its
columns (t) lie side by side in memory: nn, nt, tn, tt. PyTorch is compared where it is installed.
Times are medians over the rounds of medians over calls; `peak` is the fastest of some products that
stay in the first caches, and stands for the machine's multiply-adds a second. It times; it judges
nothing, and no test depends on it.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

import ranvier as rv


class Shape(NamedTuple):
    m: int
    n: int
    k: int
    layout: str = "nn"
    dtype: str = "f32"

    @property
    def flops(self) -> float:
        return 2.0 * self.m * self.n * self.k

    def __str__(self) -> str:
        return f"{self.m:5}{self.n:6}{self.k:6} {self.layout} {self.dtype}"


def layer(batch: int, inputs: int, outputs: int) -> list[Shape]:
    """The three products of a linear layer: forward, of its weight, of its input."""
    return [
        Shape(batch, outputs, inputs),
        Shape(inputs, outputs, batch, "tn"),
        Shape(batch, inputs, outputs, "nt"),
    ]


WIDTHS = [*range(24, 65), *range(68, 513, 4)]
GROUPS = {
    "squares": [Shape(n, n, n) for n in (32, 64, 100, 128, 256, 300, 512, 1000, 1024, 2048)],
    "odd": [
        Shape(32, 128, 784), Shape(128, 1024, 1024), Shape(1, 1024, 1024), Shape(1, 128, 784),
        Shape(1, 1024, 1024, "nt"), Shape(1, 128, 784, "nt"), Shape(1024, 1, 1024),
        Shape(4, 512, 784), Shape(8, 1024, 1024), Shape(7, 300, 100), Shape(333, 777, 555),
        Shape(50, 10, 100), Shape(200, 1000, 784), Shape(3, 3, 5000), Shape(3, 5000, 3),
        Shape(5000, 3, 3),
    ],
    "training": [
        *layer(32, 784, 128), *layer(32, 20, 64), *layer(32, 64, 64), *layer(128, 784, 512),
        *layer(128, 512, 256), *layer(128, 256, 10), *layer(512, 784, 2048),
        *layer(512, 2048, 2048),
    ],
    "float64": [Shape(n, n, n, "nn", "f64") for n in (32, 64, 128, 256, 512, 1024)],
    "bfloat16": [
        *(Shape(n, n, n, "nn", "bf16") for n in (32, 64, 128, 256, 512, 1024)),
        Shape(32, 128, 784, "nt", "bf16"), Shape(128, 1024, 1024, "nt", "bf16"),
        Shape(512, 512, 512, "nt", "bf16"), Shape(512, 512, 512, "tn", "bf16"),
        Shape(1, 1024, 1024, "nn", "bf16"),
        Shape(1, 1024, 1024, "nt", "bf16"),
    ],
    "neighbours": [Shape(n, n, n) for n in WIDTHS],
}  # fmt: skip


def parse(word: str) -> list[Shape]:
    if word in GROUPS:
        return GROUPS[word]
    parts = word.split(",")
    m, n, k = (int(size) for size in parts[:3])
    layout = next((part for part in parts[3:] if part in ("nn", "nt", "tn", "tt")), "nn")
    dtype = next((part for part in parts[3:] if part in ("f64", "bf16")), "f32")
    return [Shape(m, n, k, layout, dtype)]


def halves(x: rv.Tensor) -> rv.Tensor:
    """In bfloat16, and in the layout that x has."""
    return x.bfloat16() if x.is_contiguous() else x.T.bfloat16().T


def contestants(shape: Shape, threads: int) -> dict[str, Callable[[], object]]:
    random = np.random.default_rng(0)
    dtype = np.float64 if shape.dtype == "f64" else np.float32
    a = random.standard_normal((shape.m, shape.k)).astype(dtype)
    b = random.standard_normal((shape.k, shape.n)).astype(dtype)
    if shape.layout[0] == "t":
        a = np.ascontiguousarray(a.T).T
    if shape.layout[1] == "t":
        b = np.ascontiguousarray(b.T).T
    x, y = rv.from_numpy(a), rv.from_numpy(b)
    half = shape.dtype == "bf16"  # which NumPy has not
    if half:
        x, y = halves(x), halves(y)

    def ours(count: int) -> Callable[[], object]:
        def product() -> object:
            return x @ y

        def start() -> object:
            rv.set_num_threads(count)
            return product

        return start

    runs: dict[str, Callable[[], object]] = {"ranvier": ours(threads)}
    if threads > 1:
        runs["one"] = ours(1)
    if not half:
        runs["numpy"] = lambda: lambda: a @ b
    if importlib.util.find_spec("torch"):
        import torch

        torch.set_num_threads(threads)
        s, t = torch.from_numpy(a), torch.from_numpy(b)
        if half:
            s, t = s.bfloat16(), t.bfloat16()
        runs["torch"] = lambda: lambda: torch.mm(s, t)
    return runs


def burst(start: Callable[[], object], seconds: float) -> float:
    """The median time of a call. A pause first: idle workers of others stop spinning meanwhile."""
    call = start()
    assert callable(call)
    time.sleep(0.005)
    for _ in range(2):
        call()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        before = time.perf_counter()
        call()
        times.append(time.perf_counter() - before)
    return float(np.median(times))


def measure(shape: Shape, threads: int, rounds: int) -> dict[str, float]:
    """Medians in seconds, and of the ratios within a round."""
    runs = contestants(shape, threads)
    table = np.array([[burst(run, 0.01) for run in runs.values()] for _ in range(rounds)])
    result = dict(zip(runs, np.median(table, axis=0).tolist(), strict=True))
    names = list(runs)
    ours = table[:, 0]
    peers = table[:, [i for i, name in enumerate(names) if name in ("numpy", "torch")]]
    best = peers.min(axis=1, initial=np.inf)  # no peer is infinitely slow
    result["ratio"] = float(np.median(best / ours))
    if "one" in names:
        result["to one thread"] = float(np.median(ours / table[:, names.index("one")]))
    return result


def peak_of(dtype: str) -> float:
    """Multiply-adds of one thread, counted as two each, in a second."""
    rv.set_num_threads(1)
    shapes = [Shape(96, 128, 256, "nn", dtype), Shape(192, 128, 384, "nn", dtype)]
    best = 0.0
    for shape in shapes * 3:
        start = contestants(shape, 1)["ranvier"]
        best = max(best, shape.flops / burst(start, 0.02))
    return best


def table(shapes: list[Shape], threads: int, rounds: int) -> None:
    peaks = {dtype: threads * peak_of(dtype) for dtype in {shape.dtype for shape in shapes}}
    text = ", ".join(f"peak {name} {peak / 1e9:.0f} GFLOP/s" for name, peak in peaks.items())
    print(f"{rv.cpu_info()['isa']}, {threads} threads, {text}; times in microseconds")
    print(f"{'M':>5}{'N':>6}{'K':>6} {'':6}{'ranvier':>10} {'NumPy':>10} {'torch':>10}"
          f" {'best/ours':>10} {'% peak':>7} {'to 1 thread':>12}")  # fmt: skip
    times: dict[Shape, float] = {}
    for shape in shapes:
        got = measure(shape, threads, rounds)
        times[shape] = got["ranvier"]
        cells = [f"{got[name] * 1e6:10.1f}" if name in got else " " * 10
                 for name in ("ranvier", "numpy", "torch")]  # fmt: skip
        percent = 100 * shape.flops / got["ranvier"] / peaks[shape.dtype]
        one = f"{got['to one thread']:12.2f}" if "to one thread" in got else ""
        print(f"{shape} {' '.join(cells)} {got['ratio']:9.2f}x {percent:6.1f}% {one}", flush=True)
    steps = {
        shape.n: seconds / times[up]
        for shape, seconds in times.items()
        if shape.n in WIDTHS and (up := Shape(*[-(-shape.n // 8) * 8] * 3)) in times
        and shape == Shape(shape.n, shape.n, shape.n)
    }  # fmt: skip
    if len(steps) >= len(WIDTHS) // 2:
        worst = max(steps, key=lambda width: steps[width])
        print(f"width {worst} takes {steps[worst]:.2f} x the time of the next multiple of 8: "
              f"the worst of {len(steps)} widths")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shapes", nargs="*", metavar="GROUP or M,N,K[,LAYOUT][,DTYPE]")
    parser.add_argument("--threads", default="1,2", help="thread counts, one table each")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        words = given.shapes or list(GROUPS)
        shapes = list(dict.fromkeys(shape for word in words for shape in parse(word)))
        return table(shapes, int(given.threads), given.rounds)
    # Other libraries read how many threads to use when they are loaded: a process for each count.
    for threads in given.threads.split(","):
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        command = [sys.executable, __file__, "--worker", "--threads", threads,
                   "--rounds", str(given.rounds), *given.shapes]  # fmt: skip
        subprocess.run(command, env=os.environ | dict.fromkeys(names, threads), check=True)


if __name__ == "__main__":
    main()
