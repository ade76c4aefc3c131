"""Everything that `make bench` measures, one after the other, and a table of what has a target.

    make bench                                # builds what is missing, then runs this
    make bench QUICK=1 ARGS="--only threads"
    python benchmarks/bench.py --native build/.../ranvier_bench

Four parts: `native` (kernels as C++ calls them, beside the limits of the machine), `ops` (every op
of the tests' case table and training steps, from Python, by pytest-benchmark), `threads` (what a
second thread costs at worst) and `files` (what saving and loading cost). Each leaves NAME.json in
results/, what it printed in results/NAME.txt, and native and threads leave pictures. It returns 1
where a part could not run; a figure that falls short of its target is no failure.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from suite import native, programs, results, verdicts

import ranvier as rv

HERE = Path(__file__).parent
PARTS = ("native", "ops", "threads", "files")
REPETITIONS = 5  # of rows that have a target or are drawn
OTHERS = "processors that others kept busy"


class Found(NamedTuple):
    """What a part brought: lines of the last table, and how busy others were meanwhile."""

    lines: list[verdicts.Line]
    others: dict[str, float | None]


def google_benchmark(
    name: str, program: Path, flags: list[str]
) -> tuple[Any, list[native.Row], float | None]:
    """Limits and rows of a run of the native suite, and how busy others were."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out.json")
        flags = [f"--benchmark_out={out}", "--benchmark_out_format=json", *flags]
        others = programs.follow(name, [str(program.resolve()), *flags], r"\S+/isa:")
        return *native.read(out), others


def run_native(given: argparse.Namespace) -> Found:
    """Kernels: once each; those with a target or in a picture again and again, in random order."""
    isa = str(rv.cpu_info()["isa"])
    gates = [f"--benchmark_filter={native.gate_filter(isa, drawn=not given.quick)}"]
    gates += [f"--benchmark_repetitions={REPETITIONS}"]
    gates += ["--benchmark_enable_random_interleaving=true"]
    limits, judged, others = google_benchmark("native-targets", given.native, gates)
    only = [f"--benchmark_filter=^({native.QUICK}).*/isa:{isa}/"] if given.quick else []
    all_limits, rows, disturbed = google_benchmark("native", given.native, only)
    once = [{k: v for k, v in row._asdict().items() if k not in ("least", "most")} for row in rows]
    figures = {"limits": {**all_limits, **limits}, "repetitions": REPETITIONS}
    figures[OTHERS] = {"repeated": others, "rows": disturbed}
    results.save("native", {**figures, "repeated": [row._asdict() for row in judged], "rows": once})
    shown = rows if given.quick else judged
    draw(lambda pictures, machine: pictures.products(shown, isa, machine, picture("products")))
    draw(lambda pictures, machine: pictures.vectors(shown, isa, machine, picture("vectors")))
    return Found(verdicts.of_peak(judged), {"native-targets": others, "native": disturbed})


def run_ops(given: argparse.Namespace) -> Found:
    """Ops of the case table and training steps, through pytest-benchmark."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out.json")
        command = [sys.executable, "-m", "pytest", "benchmarks", "-v", "--no-header"]
        command += [f"--benchmark-json={out}", "--benchmark-columns=median,iqr,min,rounds"]
        command += ["--benchmark-max-time=0.005" if given.quick else "--benchmark-max-time=0.05"]
        others = programs.follow("ops", command, r"\S+::\S+ ")
        runs = json.loads(out.read_text(encoding="utf-8"))["benchmarks"]
    rows = []
    for run in runs:
        times = {
            key: float(f"{1e6 * run['stats'][key]:.4g}") for key in ("median", "min", "q1", "q3")
        }
        rows.append({**run["extra_info"], **times})
    results.save("ops", {"unit": "us", OTHERS: others, "rows": rows})
    times = {(row["op"], row["what"]): row["median"] for row in rows}
    print(f"{'':32}{'captured':>10}{'eager':>10}   median, us")
    for op, what in times:
        if what == "captured":
            eager = times[op, "eager"]
            print(f"{op:32}{times[op, what]:10.1f}{eager:10.1f}")
    return Found([], {"ops": others})


def run_threads(given: argparse.Namespace) -> Found:
    """What a second thread costs: threads.py writes its figures itself."""
    written = results.FOLDER / "threads.json"
    written.unlink(missing_ok=True)
    command = [sys.executable, str(HERE / "threads.py"), *["--quick"] * given.quick]
    others = programs.follow("threads", command, r".*\d\.\d\d(  <)?$")
    if not written.exists():
        return Found(verdicts.of_threads([]), {})
    found = json.loads(written.read_text(encoding="utf-8"))
    rows, n = found["rows"], found["threads"]
    draw(lambda pictures, machine: pictures.second_thread(rows, n, machine, picture("threads")))
    return Found(verdicts.of_threads(rows), {"threads": others})


def run_files(given: argparse.Namespace) -> Found:
    """What saving and loading cost: files.py writes its figures itself."""
    command = [sys.executable, str(HERE / "files.py"), *["--quick"] * given.quick]
    others = programs.follow("files", command, r"(by hand|save|load)")
    found = json.loads((results.FOLDER / "files.json").read_text(encoding="utf-8"))
    return Found(verdicts.of_files(found), {"files": others})


def picture(name: str) -> Path:
    return results.FOLDER / f"{name}.png"


def draw(how: Callable[[Any, str], None]) -> None:
    """A picture, where matplotlib is installed."""
    try:
        from suite import limits
    except ImportError:
        print("no picture: matplotlib is not installed")
        return
    machine = results.machine()
    how(limits, f"Ranvier {machine['ranvier']}; {machine['processor']}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--native", type=Path, help="the native suite; without it that is left out")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="some parts")
    parser.add_argument("--quick", action="store_true", help="the most telling rows, briefly")
    given = parser.parse_args()
    parts = {"native": run_native, "ops": run_ops, "threads": run_threads, "files": run_files}
    lines, others, code = [], {}, 0
    for name in given.only:
        if name == "native" and given.native is None:
            lines += verdicts.of_peak([])
            continue
        try:
            found = parts[name](given)
            lines, others = lines + found.lines, others | found.others
        except RuntimeError as failure:
            print(f"{name}: {failure}")
            code = 1
    if lines:
        print("\n" + verdicts.table(lines))
    if warning := programs.warning(others):
        print("\n" + warning)
    print(f"\nfigures and pictures: {results.FOLDER.relative_to(HERE.parent)}")
    return code


if __name__ == "__main__":
    sys.exit(main())
