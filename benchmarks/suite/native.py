"""Figures of the native suite: what Google Benchmark writes, as rows, and which have targets."""

from __future__ import annotations

import json
import re
import statistics
from pathlib import Path
from typing import Any, NamedTuple

from suite import targets

QUICK = (
    "matmul/f32/nn/[0-9]+x|(add|relu|exp|gelu)/f32/forward|(softmax|layer_norm|cross_entropy)/f32"
    "|sum/f32/rows|adam/f32/update/"
)  # the rows of a quick run

# What the pictures show: products, and kernels that stream, with their titles.
SQUARES = "matmul/f32/nn"
VECTORS = {
    "add/f32/forward": "add",
    "relu/f32/forward": "relu",
    "exp/f32/forward": "exp",
    "gelu/f32/forward": "gelu",
    "softmax/f32/forward": "softmax",
    "layer_norm/f32/forward+backward": "layer norm, with gradients",
    "cross_entropy/f32/forward+backward": "cross-entropy, with gradients",
    "adam/f32/update": "Adam update",
}


class Row(NamedTuple):
    """One row of the suite on one instruction set with so many threads."""

    name: str  # "matmul/f32/nn/64x64x64"
    isa: str
    threads: int
    microseconds: float
    percent: float  # of the limit that is nearer
    least: float  # the percent of the worst repetition
    most: float  # and of the best one
    gigabytes: float  # a second
    gigaflops: float  # a second; 0 where no operations are counted
    limit: str  # "limit 233 GFLOP/s"


def read(path: Path) -> tuple[dict[str, str], list[Row]]:
    """The machine's limits, and a row for each benchmark: the median of its repetitions."""
    data = json.loads(path.read_text(encoding="utf-8"))
    runs: dict[str, list[dict[str, Any]]] = {}
    for run in data["benchmarks"]:
        if run["run_type"] == "iteration" and not run.get("error_occurred"):
            runs.setdefault(run["run_name"], []).append(run)
    limits = {name: text for name, text in data["context"].items() if name.startswith("peak/")}
    return limits, [_row(name, repeated) for name, repeated in runs.items()]


def _row(name: str, runs: list[dict[str, Any]]) -> Row:
    match = re.fullmatch(r"(.*)/isa:(\w+)/threads:(\d+)", name)
    assert match, f"a row of the native suite is called {name}"

    def median(key: str) -> float:
        return float(f"{statistics.median(run.get(key, 0.0) for run in runs):.4g}")

    shares = [float(f"{run.get('%peak', 0.0):.4g}") for run in runs]
    return Row(
        name=match[1],
        isa=match[2],
        threads=int(match[3]),
        microseconds=median("real_time"),
        percent=median("%peak"),
        least=min(shares),
        most=max(shares),
        gigabytes=median("GB/s"),
        gigaflops=median("GFLOP/s"),
        limit=runs[0].get("label", ""),
    )


def gates() -> dict[tuple[str, int], float]:
    """Rows, with their numbers of threads, that are meant to reach a percentage of the peak."""
    return {
        (name, int(threads)): percent
        for name, wanted in targets.table("percent of peak").items()
        for threads, percent in wanted.items()
    }


def gate_filter(isa: str, drawn: bool = False) -> str:
    """Google Benchmark's filter for those rows, and with `drawn` for those of the pictures."""
    names = {name for name, _ in gates()} | (
        {f"{SQUARES}/[0-9]+x[0-9]+x[0-9]+"} if drawn else set()
    )
    names |= {f"{re.escape(prefix)}/[0-9x]+" for prefix in VECTORS} if drawn else set()
    counts = sorted({threads for _, threads in gates()})
    return f"^({'|'.join(sorted(names))})/isa:{isa}/threads:({'|'.join(map(str, counts))})$"
