"""benchmarks/regress.py: when it raises an alarm, and what it refuses. Nothing is timed here.

Comparisons are made up: processes that differ from each other, a clock that drifts, slices that
something disturbs. Their numbers come from one seed.
"""

from __future__ import annotations

import importlib
import math
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent.parent
REGRESS = ROOT / "benchmarks" / "regress.py"


@pytest.fixture
def suite(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports a module of benchmarks/suite."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return lambda name: importlib.import_module(f"suite.{name}")


@pytest.fixture
def alarms(suite: Any) -> Any:
    return suite("alarms")


def run_of(random: np.random.Generator, factor: float, layout: float) -> list[np.ndarray]:
    """Slices of old, new and old again: a clock that changes by 1.5, now and then a disturbance,
    and processes that differ by `layout` for as long as they live."""
    slices = 24
    clock = np.where(np.cumsum(random.random(slices) < 0.05) % 2, 1.5, 1.0)
    times = []
    for wanted in (1.0, factor, 1.0):
        process = math.exp(layout * random.standard_normal())
        jitter = np.exp(0.03 * random.standard_normal(slices))
        disturbed = np.where(random.random(slices) < 0.1, 1 + random.exponential(2, slices), 1)
        times.append(10 * wanted * process * clock * jitter * disturbed)
    return times


def tally_of(
    alarms: Any, random: np.random.Generator, factor: float, layout: float, floor: float = 1.05
) -> Any:
    tally = alarms.Tally(floor=floor)
    while alarms.is_open(tally, alarms.RUNS):
        old, new, again = run_of(random, factor, layout)
        tally.add(alarms.paired(new, old), alarms.paired(again, old))
    return tally


@pytest.mark.parametrize("layout", [0.0, 0.02, 0.3])
def test_the_same_build_raises_hardly_an_alarm(alarms: Any, layout: float) -> None:
    """Of so many comparisons no more are slower than chance orders numbers so, however large the
    differences between processes; the floor is taken away, as it hides most of them."""
    random = np.random.default_rng(1)
    count = 4000
    found = sum(
        alarms.says(tally_of(alarms, random, 1.0, layout, floor=1.0), alarms.RUNS) == "slower"
        for _ in range(count)
    )
    expected = count / math.comb(2 * alarms.RUNS, alarms.RUNS)
    assert found <= expected + 3 * math.sqrt(expected)


def test_a_kernel_slowed_by_1_3_is_caught(alarms: Any) -> None:
    random = np.random.default_rng(2)
    said = [alarms.says(tally_of(alarms, random, 1.3, 0.02), alarms.RUNS) for _ in range(500)]
    assert said.count("slower") >= 495


def test_a_kernel_made_faster_is_named(alarms: Any) -> None:
    random = np.random.default_rng(3)
    said = [alarms.says(tally_of(alarms, random, 0.7, 0.02), alarms.RUNS) for _ in range(100)]
    assert said.count("faster") >= 99


def test_slices_are_compared_with_their_neighbours(alarms: Any) -> None:
    """A clock that halves in the middle is in both; a few disturbed slices are not the median."""
    clock = [1.0] * 6 + [2.0] * 6
    new = [1.3 * c for c in clock]
    new[3] = 40.0
    assert alarms.paired(new, clock) == pytest.approx(1.3)


@pytest.mark.parametrize(
    ("new", "control", "word"),
    [
        ([1.3, 1.3, 1.3, 1.3, 1.3], [1.0, 1.0, 1.0, 1.0, 1.0], "slower"),
        ([1.3, 1.3, 1.3, 1.3, 9.0], [1.0, 0.2, 1.0, 1.0, 1.0], "slower"),
        ([1.0, 1.0, 1.0, 1.0, 9.0], [1.0, 1.0, 1.0, 1.0, 1.0], "same"),  # one unlucky run
        ([1.0, 1.0, 1.0, 1.0, 1.0], [1.0, 0.2, 1.0, 1.0, 1.0], "same"),  # one lucky one
        ([1.3, 1.3, 1.3, 1.3, 1.3], [1.0, 1.0, 1.4, 1.0, 1.0], "same"),  # the old one can do it
        ([1.3, 1.3, 1.3, 1.3], [1.0, 1.0, 1.0, 1.0], "same"),  # too few runs
        ([1.03, 1.04, 1.04, 1.03, 1.04], [1.0, 1.0, 1.0, 1.0, 1.0], "same"),  # below the floor
        ([0.8, 0.8, 0.8, 0.8, 0.8], [1.0, 1.0, 1.0, 1.0, 1.0], "faster"),
    ],
)
def test_the_best_new_run_against_the_worst_old_one(
    alarms: Any, new: list[float], control: list[float], word: str
) -> None:
    assert alarms.says(alarms.Tally(new, control), 5) == word


def test_runs_end_when_more_cannot_matter(alarms: Any) -> None:
    assert alarms.is_open(alarms.Tally(), 5)
    assert alarms.is_open(alarms.Tally([1.2, 1.2], [1.0, 1.1]), 5)
    assert alarms.is_open(alarms.Tally([0.8], [1.0]), 5)
    assert not alarms.is_open(alarms.Tally([1.02], [1.0]), 5)
    assert not alarms.is_open(alarms.Tally([1.2, 1.0], [1.0, 1.1]), 5)
    assert not alarms.is_open(alarms.Tally([1.2] * 5, [1.0] * 5), 5)


def test_nanoseconds_are_no_alarm(alarms: Any) -> None:
    """What a build's layout costs a call of half a microsecond."""
    assert alarms.floor_of(0.5) == pytest.approx(1.1)
    assert alarms.floor_of(10.0) == 1.05
    tally = alarms.Tally([1.07] * 5, [1.0] * 5)
    assert alarms.says(tally, 5) == "slower"
    tally.floor = alarms.floor_of(0.5)
    assert alarms.says(tally, 5) == "same"


def test_how_often_it_is_wrong(alarms: Any) -> None:
    assert alarms.false_alarms(5) == pytest.approx(1 / 63504)
    assert alarms.false_alarms(5, rows=17, comparisons=10) < 0.003


# ---- rows


@pytest.fixture
def regress(suite: Any) -> Any:
    suite("alarms")
    return importlib.import_module("regress")


def slow_tally(alarms: Any) -> Any:
    return alarms.Tally([1.3] * 5, [1.0] * 5)


def test_an_alarm_is_raised_twice_or_not_at_all(regress: Any, alarms: Any) -> None:
    row = regress.Row("gelu:10000", gate=True, rounds=[slow_tally(alarms)])
    assert row.verdict(5) == "slower" and not row.alarm(5)
    row.rounds.append(alarms.Tally([1.0], [1.0]))
    assert row.verdict(5) == "same" and not row.alarm(5)
    row.rounds[1] = slow_tally(alarms)
    assert row.alarm(5)


def test_only_gates_with_the_same_results_fail(regress: Any, alarms: Any) -> None:
    twice = [slow_tally(alarms), slow_tally(alarms)]
    assert not regress.Row("gelu:10000", gate=False, rounds=twice).alarm(5)
    other = regress.Row("gelu:10000", gate=True, rounds=twice, differs=True)
    assert other.verdict(5) == "results differ, slower" and not other.alarm(5)


def test_what_the_new_version_cannot_do_any_more_fails(regress: Any) -> None:
    row = regress.Row("gelu:10000", gate=True)
    regress.note_failure(row, {"new/": "AttributeError: gelu"})
    assert row.alarm(5) and row.verdict(5) == "fails: new: AttributeError: gelu"
    row = regress.Row("gelu:10000", gate=True)
    regress.note_failure(row, {"old/": "AttributeError: capture", "old2/": "the same"})
    assert not row.alarm(5) and row.verdict(5).startswith("not compared: old: ")
    assert regress.table([row], 5).endswith("not compared: old: AttributeError: capture")


def test_every_process_has_its_place_by_lot(regress: Any) -> None:
    rows = [regress.Row("step:xor", True), regress.Row("step:xor/eager", True)]
    folders = {"old": Path("/a"), "new": Path("/b"), "old2": Path("/c")}
    orders = {
        tuple(who.label for who in regress.contestants(folders, rows) if not who.variant)
        for _ in range(200)
    }
    assert len(orders) == 6
    where = {who.label: who.env["PYTHONPATH"] for who in regress.contestants(folders, rows)}
    assert where["old2/eager"] == "/c" and where["old/"] == "/a" and where["new/eager"] == "/b"


def test_every_process_has_files_of_its_own(
    regress: Any, suite: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suite("builds"), "FOLDER", tmp_path / "build")
    for name in ("one", "two"):
        (tmp_path / name / "ranvier").mkdir(parents=True)
        (tmp_path / name / "ranvier" / "__init__.py").write_text(name)
    with regress.copies({"old": tmp_path / "one", "new": tmp_path / "two"}) as mine:
        held = {who: (place / "ranvier/__init__.py").read_text() for who, place in mine.items()}
        assert held == {"old": "one", "new": "two", "old2": "one"}
        assert len(set(mine.values())) == 3
    assert not any(place.exists() for place in mine.values())


def test_rows_are_workloads(regress: Any, suite: Any) -> None:
    names = [*regress.GATES, *regress.REPORTED]
    assert regress.SLOWED_ROW in names and len(names) == len(set(names))
    for name in names:
        row = regress.Row(name, True)
        suite("workloads").Workload(row.workload)
        assert row.variant in ("", "eager")


# ---- builds


def test_the_kernel_that_is_slowed_on_purpose_is_there(regress: Any, suite: Any) -> None:
    builds = suite("builds")
    path = regress.SLOWED[0]
    sources = {path: (ROOT / path).read_bytes(), "other": b""}
    changed = builds.slowed(sources, *regress.SLOWED)
    assert regress.SLOWED[2].strip() in changed[path].decode()
    assert [name for name in sources if sources[name] != changed[name]] == [path]
    with pytest.raises(builds.BuildError, match=r"softmax\.cpp: expected the line .* found it 0"):
        builds.slowed({path: b"int x;"}, *regress.SLOWED)


def test_only_files_that_differ_are_written(suite: Any, tmp_path: Path) -> None:
    builds = suite("builds")
    builds.write_tree({"a/b.cpp": b"1", "c": b"2", "d": b"3"}, tmp_path)
    before = (tmp_path / "a/b.cpp").stat().st_mtime_ns
    builds.write_tree({"a/b.cpp": b"1", "c": b"4"}, tmp_path)
    assert (tmp_path / "a/b.cpp").stat().st_mtime_ns == before
    assert (tmp_path / "c").read_bytes() == b"4" and not (tmp_path / "d").exists()


def refusal(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, str(REGRESS), *arguments], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["no-such-commit"], "BASE: expected a commit, a branch or a tag"),
        (["--old", "."], "--old and --new: expected both or none"),
        (["HEAD", "--selftest"], "BASE: expected no commit"),
        (["--rows", "nonsense:1"], "workload: expected a name like"),
        (["--rows", "gelu:10/lazy"], "--rows: expected ROW, ROW/eager or ROW/keras"),
        (["--runs", "1"], "--runs of at least 2"),
    ],
)
def test_arguments_that_make_no_sense(arguments: list[str], words: str) -> None:
    assert words in " ".join(refusal(*arguments).split())


def test_a_folder_without_ranvier(tmp_path: Path) -> None:
    words = refusal("--old", str(tmp_path), "--new", str(tmp_path))
    assert f"--old: expected a folder with a built `ranvier` in it, got {tmp_path}" in words


def test_a_median_of_made_up_slices_is_what_was_made_up() -> None:
    """The simulation itself: without noise between processes the figure is the factor."""
    random = np.random.default_rng(4)
    old, new, _ = run_of(random, 1.3, 0.0)
    assert statistics.median(new / old) == pytest.approx(1.3, rel=0.05)
