"""What the benchmarks share: names of workloads, equal results before anything is timed, verdicts.

Nothing is timed here.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def module(name: str) -> Any:
    return importlib.import_module(f"suite.{name}")


NAMES = [
    "step:xor", "step:13-24-1x16", "step:30-20-5x7", "epoch:13-24-1x16@40", "epoch:30-20-5x8@32",
    "predict:13-24-1x1", "predict:30-20-5x9", "matmul:7x30x10", "matmul:7x30x10:nt",
    "matmul:7x30x10:tt", "matmul64:33x17x9", "matmul16:5x33x9", "matmul16:5x33x9:nt",
    "matmul:100x80x3", "gelu:100", "tanh:101", "exp:10000", "sigmoid:33", "relu:1", "softmax:7x65",
    "cross_entropy:9x10", "layer_norm:5x33", "adam:100",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("variant", ["", "eager", "keras"])
def test_what_is_timed_computes_what_the_reference_does(name: str, variant: str) -> None:
    workload = module("workloads").Workload(name)
    trial = module("peers.ranvier").trial(workload, variant)
    if trial is None:
        assert variant  # the plain one has them all
        return
    reference = module("reference")
    expected = reference.expected(workload)
    assert reference.agrees(workload, trial.outcome(), expected)
    trial.run()


@pytest.mark.parametrize("name", NAMES)
def test_numpy_by_hand_computes_the_same(name: str) -> None:
    workload = module("workloads").Workload(name)
    trial = module("peers.numpy").trial(workload)
    if trial is not None:
        reference = module("reference")
        assert reference.agrees(workload, trial.outcome(), reference.expected(workload))


@pytest.mark.parametrize("name", ["step:xor", "step:13-24-1x16", "step:30-20-5x7"])
@pytest.mark.parametrize("setting", [{"rate": 1.1e-3}, {"EPSILON": 1e-2}])
def test_another_optimizer_is_noticed(
    name: str, setting: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    workload, by_hand = module("workloads").Workload(name), module("peers.numpy")
    reference = module("reference")
    expected = reference.expected(workload)
    for key, value in setting.items():
        monkeypatch.setattr(workload if key == "rate" else by_hand, key, value)
    outcome = by_hand.trial(workload).outcome()
    assert not reference.agrees(workload, outcome, expected)


def test_a_wrong_kernel_is_noticed() -> None:
    workload, reference = module("workloads").Workload("gelu:100000"), module("reference")
    right = reference.expected(workload)
    x = module("workloads").sample(workload.arrays[0]).astype("f8")
    approximate = x / (1 + np.exp(-1.702 * x))
    assert not reference.agrees(workload, approximate, right)
    assert not reference.agrees(workload, right[:-1], right)
    assert not reference.agrees(workload, np.full_like(right, np.nan), right)


@pytest.mark.parametrize(
    "name",
    ["", "step", "step:", "step:784", "step:784-10", "step:4-2x0", "step:4-2x3@9", "epoch:4-2x3",
     "epoch:4-2x3@2", "gelu:3x3", "gelu:0", "softmax:3", "matmul:3x3", "matmul:3x3x3:xy", "conv:3",
     "matmul:3xax3"],
)  # fmt: skip
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(ValueError, match="expected a name like"):
        module("workloads").Workload(name)


def test_every_row_with_a_target_is_timed() -> None:
    compare = importlib.import_module("compare")
    rows = {name for group in compare.GROUPS.values() for name in group}
    targets = {name for name in module("targets").table("times the best peer") if "*" not in name}
    assert targets <= rows
    for name in rows:
        module("workloads").Workload(name)


def test_rows_are_judged() -> None:
    report, targets = module("report"), module("targets")
    times = {"ranvier": [10.0, 11.0, 12.0], "numpy": [30.0, 33.0, 60.0], "jax": [50.0, 50.0, 50.0]}
    row = report.Row("step:20-64-64-1x32", times)
    assert row.best == "numpy"
    assert row.ratio == (3.0, 3.0, 5.0)
    assert row.target == 5
    assert row.verdict == "short, 60 %"
    assert targets.verdict(0.98, 1) == "met"  # noise is allowed for
    assert targets.verdict(0.96, 1) == "short, 96 %"
    assert targets.verdict(1.4, 1.3, most=True) == "short, 93 %"
    assert report.Row("matmul:5x5x5", times).target == 0.95  # any size
    slow = report.Row("layer_norm:5x5", {"ranvier": [2.0], "numpy": [1.0]})
    assert slow.verdict == "slower"
    assert "layer_norm:5x5 (0.50x of numpy)" in report.summary([row, slow])
    assert "step:20-64-64-1x32 (short, 60 %)" in report.summary([row, slow])
    alone = report.Row("step:xor", {"ranvier": [1.0]})
    assert alone.ratio is None
    assert alone.verdict == ""
    table = report.markdown([row, slow, alone], ["ranvier", "numpy", "jax", "torch"])
    assert "| workload | ranvier | numpy | jax | times" in table
    assert "**33 (30 to 60)**" in table


def test_runs_agree_where_their_spreads_meet() -> None:
    report = module("report")
    before = {"rows": [report.Row("gelu:9", {"ranvier": [1, 1], "torch": [2, 3]}).data()]}
    same = report.Row("gelu:9", {"ranvier": [10, 10], "torch": [30, 35]})
    near = report.Row("gelu:9", {"ranvier": [10, 10], "torch": [36, 38]})
    assert report.disagreements([same, near], before) == []
    for times in ([37, 40], [10, 16]):
        other = report.Row("gelu:9", {"ranvier": [10, 10], "torch": times})
        assert len(report.disagreements([other], before)) == 1


def turns_of(*labels: str) -> Any:
    turns, peers = module("turns"), module("peers").PEERS
    found = [turns.Contestant(label, peers[label].module, peers[label].variant) for label in labels]
    return turns.Turns(found, threads=1)


def test_peers_take_turns() -> None:
    with turns_of("ranvier", "numpy") as turns:
        outcomes = turns.prepare("step:13-24-1x16")
        np.testing.assert_allclose(outcomes["ranvier"], outcomes["numpy"], rtol=1e-5)
        times = turns.rounds(2, 0.001)
        assert {label: len(column) for label, column in times.items()} == {"ranvier": 2, "numpy": 2}
        assert min(min(column) for column in times.values()) > 0
        turns.prepare("gelu:10")  # which NumPy has not
        assert list(turns.rounds(1, 0.001)) == ["ranvier"]


def test_a_peer_that_fails_sits_out() -> None:
    turns = module("turns")
    good = turns.Contestant("ours", "ranvier")
    missing = turns.Contestant("theirs", "nothing_of_that_name")
    gone = turns.Contestant("gone", "ranvier", python=sys.executable, env={"PYTHONHOME": "/none"})
    with turns.Turns([good, missing, gone], threads=1) as both:
        assert list(both.prepare("step:xor")) == ["ours"]
        assert "ModuleNotFoundError" in both.failures["theirs"]
        assert both.failures["gone"]
        assert list(both.rounds(1, 0.001)) == ["ours"]
