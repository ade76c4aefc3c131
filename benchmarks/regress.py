"""This checkout against another commit: is anything slower than it was?

    python benchmarks/regress.py                      against where this branch left main
    python benchmarks/regress.py v0.1.0 --rows adam:10000 step:xor/eager
    python benchmarks/regress.py --old DIR --new DIR  two folders that hold a built `ranvier`
    python benchmarks/regress.py --selftest           is a slowed kernel noticed, and noise not?

Both are built alike under build/regress (suite/builds.py): what .venv holds may be older than the
files here. Old and new take turns within a run, the old one twice, and a row is slower only when
its best new run is slower than the worst old one, in five runs and in five more
(suite/alarms.py says how sure that is: ten comparisons of 17 rows raise a false alarm less than
once in 300). The idea is that of simdjson's perfdiff. It ends with 1 where a gate is slower, with
2 where it could not run.

Everything runs on one thread of one processor unless --threads says otherwise: what others do
then matters less, and tiny networks, the gates, use no more.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from suite import builds, results
from suite.alarms import RUNS, Tally, false_alarms, floor_of, is_open, paired, says
from suite.turns import Contestant, Turns
from suite.workloads import Workload

GATES = (
    "step:xor",
    "step:xor/eager",
    "step:13-24-1x16",
    "step:20-64-64-1x32",
    "step:20-64-64-1x32/eager",
    "step:784-128-10x32",
    "epoch:13-24-1x16@1600",
    "predict:20-64-64-1x1",
    "predict:20-64-64-1x1/eager",
    "predict:784-128-10x1",
    "matmul:64x64x64",
    "matmul:256x256x256",
    "gelu:10000",
    "softmax:128x100",
    "cross_entropy:128x10",
    "layer_norm:64x128",
    "adam:10000",
)
# No gate: with other processes at work, the thread that gathers its batches makes it vary by 15 %.
REPORTED = ("epoch:784-128-10x32@1600",)
WHO = ("old", "new", "old2")
# The kernel that the self-test slows down: 36 of 100 rows are computed twice, which makes 1.3 times
# the whole call.
SLOWED_ROW = "softmax:128x100"
SLOWED = (
    "csrc/ops/softmax.cpp",
    "[&](int64_t rows, int64_t n, const T* x, const T*, T* y) { kernel(rows, n, x, y);",
    " kernel(rows * 36 / 100, n, x, y);",
)
SAME = 10  # comparisons of a build with itself in the self-test


class Plan(NamedTuple):
    """How long is measured."""

    slices: int = 24
    seconds: float = 0.025  # of a slice
    warm: float = 0.15  # before the first
    least: int = 2  # runs of a row even where the first one has decided
    runs: int = RUNS
    threads: int = 1


QUICK = Plan(slices=12, seconds=0.02, warm=0.1, least=1)


@dataclass
class Row:
    """What is known of one row."""

    name: str
    gate: bool
    rounds: list[Tally] = field(default_factory=lambda: [Tally()])  # a second one confirms
    old_us: list[float] = field(default_factory=list)
    new_us: list[float] = field(default_factory=list)
    differs: bool = False
    failure: str = ""
    only_old: bool = False  # it failed in the new version alone

    @property
    def workload(self) -> str:
        return self.name.partition("/")[0]

    @property
    def variant(self) -> str:
        return self.name.partition("/")[2]

    def verdict(self, runs: int) -> str:
        if self.failure:
            return f"fails: {self.failure}" if self.only_old else f"not compared: {self.failure}"
        words = {says(tally, runs) for tally in self.rounds}
        word = words.pop() if len(words) == 1 else "same"
        return f"results differ, {word}" if self.differs else word

    def alarm(self, runs: int) -> bool:
        """Whether the comparison fails for this row."""
        verdict = self.verdict(runs)
        return self.gate and (self.only_old or (verdict == "slower" and len(self.rounds) > 1))


# ---- runs


def contestants(folders: Mapping[str, Path], rows: Iterable[Row]) -> list[Contestant]:
    """Three processes for each variant, in an order drawn by lot."""
    variants = sorted({row.variant for row in rows})
    found = [
        Contestant(f"{who}/{variant}", "ranvier", variant, env={"PYTHONPATH": str(folders[who])})
        for variant in variants
        for who in WHO
    ]
    random.shuffle(found)
    return found


@contextmanager
def copies(folders: Mapping[str, Path]) -> Iterator[dict[str, Path]]:
    """A copy of its own for each of the three, for one run: where in memory the system keeps the
    pages of a file can matter by a few percent, and stays so for as long as it keeps them."""
    builds.FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=builds.FOLDER) as place:
        mine = {who: Path(place, f"{number}") for number, who in enumerate(WHO)}
        for who in random.sample(WHO, len(WHO)):
            source = folders["new" if who == "new" else "old"] / "ranvier"
            shutil.copytree(source, mine[who] / "ranvier")
        yield mine


def run_once(folders: Mapping[str, Path], rows: Sequence[Row], plan: Plan) -> None:
    """One run of each row, in fresh processes; its figures go into the row's last tally."""
    with copies(folders) as mine:
        players = contestants(mine, rows)
        with Turns(players, plan.threads) as turns:
            for row in rows:
                labels = [who.label for who in players if who.variant == row.variant]
                run_row(turns, row, labels, plan)


def run_row(turns: Turns, row: Row, labels: list[str], plan: Plan) -> None:
    outcomes = turns.prepare(row.workload, labels)
    times = turns.rounds(plan.slices, plan.seconds, plan.warm, figure="least")
    old, new, again = (times.get(f"{who}/{row.variant}") for who in WHO)
    if not (old and new and again):
        note_failure(row, turns.failures)
        return
    before, after = (outcomes[f"{who}/{row.variant}"] for who in WHO[:2])
    row.differs |= not np.array_equal(before, after, equal_nan=True)
    row.old_us += old
    row.new_us += new
    row.rounds[-1].add(paired(new, old), paired(again, old))
    row.rounds[-1].floor = floor_of(float(np.median(row.old_us)))


def note_failure(row: Row, failures: Mapping[str, str]) -> None:
    reasons = {label.partition("/")[0]: reason for label, reason in failures.items()}
    row.only_old = set(reasons) == {"new"}
    who = "new" if row.only_old else next(iter(reasons), "old")
    row.failure = f"{who}: {reasons.get(who, 'it has no such row')}"


def settle(folders: Mapping[str, Path], rows: Sequence[Row], plan: Plan, live: bool) -> None:
    """Runs until more runs of any row cannot matter."""
    for number in range(1, plan.runs + 1):
        left = [
            row
            for row in rows
            if not row.failure and (number <= plan.least or is_open(row.rounds[-1], plan.runs))
        ]
        if not left:
            break
        if live:
            print(f"  run {number} of at most {plan.runs}: {len(left)} rows", flush=True)
        run_once(folders, left, plan)


def compare(
    folders: Mapping[str, Path], names: Sequence[str], plan: Plan, live: bool = True
) -> list[Row]:
    """Old and new (folders that hold a package) on these rows; what looks slower, twice."""
    rows = [Row(name, name not in REPORTED) for name in names]
    settle(folders, rows, plan, live)
    suspects = [row for row in rows if row.verdict(plan.runs).endswith("slower")]
    for row in suspects:
        row.rounds.append(Tally())
    if suspects and live:
        print(f"  once more: {', '.join(row.name for row in suspects)}", flush=True)
    settle(folders, suspects, plan, live)
    return rows


# ---- what is said about it


def spread(values: Sequence[float]) -> str:
    return f"{min(values):.2f} to {max(values):.2f}" if values else "-"


def table(rows: Sequence[Row], runs: int) -> str:
    width = max(len(row.name) for row in rows)
    head = f"{'row':{width}}  {'old us':>9}  {'new us':>9}  new / old            "
    lines = [head + "old again / old  verdict"]
    for row in rows:
        verdict = row.verdict(runs) + ("" if row.gate else " (no gate)")
        new = [ratio for tally in row.rounds for ratio in tally.new]
        control = [ratio for tally in row.rounds for ratio in tally.control]
        if not new:
            lines.append(f"{row.name:{width}}  {verdict}")
            continue
        figures = f"{np.median(new):.2f} ({spread(new)})"
        old, now = np.median(row.old_us), np.median(row.new_us)
        lines.append(
            f"{row.name:{width}}  {old:9.2f}  {now:9.2f}  {figures:<21}{spread(control):<17}"
            f"{verdict}"
        )
    return "\n".join(lines)


def figures_of(row: Row, runs: int) -> dict[str, Any]:
    return {
        "old us": round(float(np.median(row.old_us)), 3) if row.old_us else None,
        "new us": round(float(np.median(row.new_us)), 3) if row.new_us else None,
        "new / old": [[round(value, 4) for value in tally.new] for tally in row.rounds],
        "old again / old": [[round(value, 4) for value in tally.control] for tally in row.rounds],
        "gate": row.gate,
        "verdict": row.verdict(runs),
    }


def report(rows: Sequence[Row], plan: Plan, compared: dict[str, str]) -> int:
    print(table(rows, plan.runs))
    alarms = [row.name for row in rows if row.alarm(plan.runs)]
    path = results.save(
        "regress",
        {
            "compared": compared,
            "plan": plan._asdict(),
            "rows": {row.name: figures_of(row, plan.runs) for row in rows},
            "alarms": alarms,
        },
    )
    print(f"{path.relative_to(builds.ROOT)} has the figures of every run")
    print(f"slower: {', '.join(alarms)}" if alarms else "nothing is slower")
    return 1 if alarms else 0


# ---- the test of the test


def selftest(names: Sequence[str], plan: Plan) -> int:
    """0 where ten comparisons of a build with itself are quiet and a slowed kernel is caught."""
    sources = builds.working_sources()
    changed = builds.slowed(sources, *SLOWED)
    good = builds.package_of(sources, "this checkout")
    slow = builds.package_of(changed, "a slowed softmax")
    sys.path.insert(0, str(good))
    expected = false_alarms(plan.runs, len(names), SAME)
    print(
        f"{SAME} comparisons with itself, {len(names)} rows, {expected:.4f} false alarms expected"
    )
    begin, quiet = time.monotonic(), True
    for number in range(1, SAME + 1):
        rows = compare({"old": good, "new": good}, names, plan, live=False)
        alarms = [row.name for row in rows if row.alarm(plan.runs)]
        quiet = quiet and not alarms
        minutes = (time.monotonic() - begin) / 60
        print(f"  {number:2}: {', '.join(alarms) or 'no alarm'} ({minutes:.1f} min)", flush=True)
    print(f"softmax computes 36 % of its rows twice; {SLOWED_ROW} must be slower, and nothing else")
    rows = compare({"old": good, "new": slow}, names, plan)
    report(rows, plan, {"old": "this checkout", "new": "the same with a slowed softmax"})
    reached = next(row.rounds[0].ratio for row in rows if row.name == SLOWED_ROW)
    caught = [row.name for row in rows if row.alarm(plan.runs)] == [SLOWED_ROW]
    print(f"the slowed kernel takes {reached:.2f} times as long: {'' if caught else 'NOT '}caught")
    print(f"the same build: {'no alarm' if quiet else 'FALSE ALARMS'}")
    return 0 if caught and quiet else 1


# ---- the command line


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("base", nargs="?", metavar="BASE", help="commit, branch or tag")
    parser.add_argument("--old", type=Path, metavar="DIR", help="a folder with a built ranvier")
    parser.add_argument("--new", type=Path, metavar="DIR", help="another one")
    parser.add_argument("--rows", nargs="+", metavar="ROW", help="such as step:xor gelu:10000")
    parser.add_argument("--runs", type=int, default=RUNS, help="of a row that looks slower")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="shorter runs, gates alone")
    parser.add_argument("--selftest", action="store_true")
    options = parser.parse_args(given)
    if (options.old is None) != (options.new is None):
        parser.error("--old and --new: expected both or none")
    if options.base and (options.old or options.selftest):
        parser.error("BASE: expected no commit beside --old and --new or --selftest")
    if options.runs < 2 or options.threads < 1:
        parser.error("expected --runs of at least 2 and --threads of at least 1")
    for name in options.rows or ():
        workload, _, variant = name.partition("/")
        try:
            Workload(workload)
        except ValueError as error:
            parser.error(str(error))
        if variant not in ("", "eager", "keras"):
            parser.error(f"--rows: expected ROW, ROW/eager or ROW/keras, got {name!r}")
    return options


def folders_of(options: argparse.Namespace) -> tuple[dict[str, Path], dict[str, str]]:
    """The two packages, built if need be, and what they are."""
    if options.old:
        found = {"old": options.old, "new": options.new}
        named = {who: str(path) for who, path in found.items()}
    else:
        base = builds.commit_of(options.base) if options.base else builds.default_base()
        named = {"old": f"commit {base[:12]}", "new": "this checkout"}
        old, new = builds.sources_of(base), builds.working_sources()
        print(f"old: {named['old']}, {options.base or 'by default'}; new: {named['new']}")
        if old == new:
            print("nothing that is built differs between them")
            return {}, named
        found = {
            "old": builds.package_of(old, base[:12]),
            "new": builds.package_of(new, "this checkout"),
        }
    return {who: builds.check_package(path, f"--{who}") for who, path in found.items()}, named


def main(given: Sequence[str] | None = None) -> int:
    options = arguments(given)
    plan = QUICK if options.quick or options.selftest else Plan()
    plan = plan._replace(runs=options.runs, threads=options.threads)
    names = options.rows or [*GATES, *(() if options.quick else REPORTED)]
    try:
        if options.selftest:
            return selftest(options.rows or GATES, plan)
        folders, named = folders_of(options)
    except builds.BuildError as error:
        print(error, file=sys.stderr)
        return 2
    if not folders:
        return 0
    sys.path.insert(0, str(folders["new"]))  # results.py says what was measured
    return report(compare(folders, names, plan), plan, named)


if __name__ == "__main__":
    sys.exit(main())
