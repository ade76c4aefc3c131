"""Matrix products beside NumPy's, interleaved in one process.

    python benchmarks/matmul.py [--threads N] [M,N,K ...]

Prints the median and the spread of both over the rounds, GFLOP/s, and how many times as fast
Ranvier is. Set the thread number of NumPy's library yourself, as in `OPENBLAS_NUM_THREADS=1`.
It times; it judges nothing, and no test depends on it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np

import ranvier as rv

SHAPES = ["128,128,128", "256,256,256", "300,300,300", "512,512,512", "1024,1024,1024",
          "32,128,784", "333,777,555", "1,1024,1024"]  # fmt: skip


def median_time(function: Callable[[], object], calls: int) -> float:
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def compare(m: int, n: int, k: int, rounds: int) -> None:
    random = np.random.default_rng(0)
    a = random.standard_normal((m, k), dtype=np.float32)
    b = random.standard_normal((k, n), dtype=np.float32)
    ours, theirs = (rv.from_numpy(a), rv.from_numpy(b)), (a, b)
    flops = 2 * m * n * k
    calls = max(3, min(200, int(5e8 / flops)))
    times = np.array(
        [
            (median_time(lambda: theirs[0] @ theirs[1], calls),
             median_time(lambda: ours[0] @ ours[1], calls))
            for _ in range(rounds + 1)
        ][1:]
    )  # fmt: skip
    words = [f"{m:5}{n:6}{k:6}"]
    for name, column in zip(("NumPy", "Ranvier"), times.T, strict=True):
        middle = np.median(column)
        words.append(
            f"{name} {middle * 1e6:9.1f} us ({column.min() * 1e6:.1f} to {column.max() * 1e6:.1f})"
            f" {flops / middle / 1e9:6.1f} GFLOP/s"
        )
    words.append(f"{np.median(times[:, 0] / times[:, 1]):.2f}x")
    print("   ".join(words), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shapes", nargs="*", default=SHAPES, metavar="M,N,K")
    parser.add_argument("--threads", type=int, help="of Ranvier")
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    if given.threads:
        rv.set_num_threads(given.threads)
    print(f"{rv.cpu_info()['isa']}, {rv.get_num_threads()} threads; M N K, median (least to most)")
    for shape in given.shapes:
        m, n, k = (int(size) for size in shape.split(","))
        compare(m, n, k, given.rounds)


if __name__ == "__main__":
    main()
