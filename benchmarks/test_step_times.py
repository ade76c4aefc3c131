"""Training steps, predictions and epochs, eager and captured, timed from Python.

    python -m pytest benchmarks/test_step_times.py -k xor

The workloads are those that compare.py times beside other libraries, with the same names; here
Ranvier is alone in its process. `make bench` runs this and keeps the figures in results/ops.json.
"""

from __future__ import annotations

from typing import Any

import pytest
from suite import targets
from suite.peers.ranvier import trial
from suite.workloads import Workload

WORKLOADS = [
    name for name in targets.table("times the best peer") if name.startswith(("step", "predict"))
]


def timed(benchmark: Any, workload: str, what: str) -> None:
    prepared = trial(Workload(workload), "eager" if what == "eager" else "")
    assert prepared
    prepared.outcome()  # records
    benchmark.extra_info.update({"op": workload, "what": what})
    benchmark(prepared.run)


@pytest.mark.parametrize("what", ["captured", "eager"])
@pytest.mark.parametrize("workload", WORKLOADS)
def test_step(benchmark: Any, workload: str, what: str) -> None:
    """One step, or one prediction."""
    timed(benchmark, workload, what)


@pytest.mark.parametrize("workload", ["epoch:784-128-10x32@1600"])
def test_epoch(benchmark: Any, workload: str) -> None:
    """All steps of an epoch, by `fit`, which captures by itself."""
    timed(benchmark, workload, "fit")
