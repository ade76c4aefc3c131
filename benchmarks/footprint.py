"""What a library costs before it computes anything: disk, import, memory, first prediction.

    python benchmarks/footprint.py [--quick] [--peers NAME ...] [--peers-python PATH]

Every figure comes from processes of their own, started in turn, round by round. Peers other than
NumPy run under the Python that `--peers-python` names; those that it does not have are left out.
Files have been read before they are timed, so disks do not count. Prints tables with the verdicts
on our own targets, and leaves results/footprint.json and .png.

on disk      a library's files with those of all that it requires, bytecode aside; ours from a wheel
import       least of 20 (--quick: 5; fewer where it takes long), and how much longer than NumPy's
first row    from the start of a process until it has printed what 784-128-10 gives for one row, the
             weights read from a file of the library's usual kind
memory       what the import adds; then epochs of 784-128-10 over 6,000 rows, batch 32, Adam: the
             resident size at the end, and the largest
growth       of the resident size over a million predictions of one row, 20-64-64-1, from the
             10,000th on; where time ran out (--seconds) the table says how many it were
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from suite import resident, results, starting, targets
from suite.wheels import our_wheel

HERE = Path(__file__).parent
PEERS = ("numpy", "torch", "jax", "sklearn", "keras", "onnxruntime")
NEEDS = {"onnxruntime": ("onnxruntime", "onnx"), "sklearn": ("sklearn", "joblib")}
BACKENDS = ("jax", "torch", "tensorflow")  # of Keras: the first that is there
MB = 1e6
Figures = dict[str, dict[str, Any]]


class Plan(NamedTuple):
    """How often, and how long."""

    imports: int
    first_rows: int
    patience: float  # seconds for all imports of a library, and for all its first rows
    epochs: int
    predictions: int
    seconds: float  # for a peer's predictions


FULL = Plan(20, 10, 10.0, 5, 1_000_000, 15.0)
QUICK = Plan(5, 3, 1.0, 1, 50_000, 1.0)


class Library(NamedTuple):
    """A column of the tables."""

    name: str
    python: str
    env: dict[str, str]

    def environment(self) -> dict[str, str]:
        """That of a process that starts in the folder of this file."""
        found = {**os.environ, **self.env}
        found.pop("PYTHONDONTWRITEBYTECODE", None)  # installed packages are compiled
        if "PYTHONPATH" in found:
            parts = found["PYTHONPATH"].split(os.pathsep)
            found["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, parts))
        return found

    def ask(self, *arguments: str, timeout: float = 600) -> str:
        """What a process of its own prints."""
        done = subprocess.run(
            [self.python, *arguments],
            cwd=HERE,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        if done.returncode:
            last = done.stderr.strip().splitlines()[-1:] or [f"status {done.returncode}"]
            raise RuntimeError(f"{self.name}: {last[0]}")
        return done.stdout


def libraries(wanted: list[str], peers_python: str) -> list[Library]:
    """Ranvier and those of the peers that are installed; says which are not."""
    modules = {name: NEEDS.get(name, (name,)) for name in ("ranvier", *wanted)}
    asked = sorted({*sum(modules.values(), ()), *BACKENDS})
    code = "import importlib.util as u, sys; print(*[n for n in sys.argv[1:] if u.find_spec(n)])"
    has = {
        python: set(Library("python", python, {}).ask("-c", code, *asked).split())
        for python in {sys.executable, peers_python}
    }
    found = []
    for name, needed in modules.items():
        python = sys.executable if name in ("ranvier", "numpy") else peers_python
        backend = next((each for each in BACKENDS if each in has[python]), None)
        if not has[python].issuperset(needed) or (name == "keras" and backend is None):
            if name in ("ranvier", "numpy"):
                raise SystemExit(f"{python} has no {name}")
            print(f"{name} is not installed, and is left out", file=sys.stderr)
            continue
        env = {"KERAS_BACKEND": os.environ.get("KERAS_BACKEND", backend or "")}
        found.append(Library(name, python, env if name == "keras" else {}))
    return found


# --- the measures ---------------------------------------------------------------------------------


def sizes(columns: list[Library], wheel: dict[str, Any]) -> Figures:
    """Bytes on disk; ours from the wheel, if there is one: a source tree is built for debugging."""
    code = (
        "import json, sys; from suite import installed as i;"
        "print(json.dumps(i.installed(sys.argv[1], sys.argv[2:])))"
    )
    found: Figures = dict(
        zip(
            [column.name for column in columns],
            _at_once(
                columns,
                lambda column: json.loads(
                    column.ask("-c", code, column.name, *column.env.values())
                ),
            ),
            strict=True,
        )
    )
    if wheel["installed"]:
        ours = found["ranvier"]
        ours["with what it needs"] += wheel["installed"] - ours["alone"]
        ours["alone"], ours["where"] = wheel["installed"], "the wheel, unpacked"
    return found


def imports(columns: list[Library], plan: Plan) -> dict[str, list[float]]:
    """Seconds of an import, in processes of their own."""
    code = "import time; s = time.perf_counter(); {}; print(time.perf_counter() - s)"
    return _in_turn(
        columns,
        plan.imports,
        plan.patience,
        lambda column: float(column.ask("-c", code.format(resident.statement(column.name)))),
    )


def first_rows(columns: list[Library], plan: Plan) -> dict[str, list[float]]:
    """Seconds from the start of a process to the line that it prints."""
    code = "import sys; from suite import starting; starting.{}(*sys.argv[1:])"
    answers: dict[str, list[float]] = {}

    with tempfile.TemporaryDirectory() as folder:

        def file_of(name: str) -> str:
            return str(Path(folder, f"{name}.{starting.ENDINGS[name]}"))

        def once(column: Library) -> float:
            name = column.name
            taken, line = _first_line(column, code.format("predict"), name, file_of(name))
            answers[name] = [float(word) for word in line.split()]
            return taken

        def make(column: Library) -> str:
            return column.ask("-c", code.format("make"), column.name, file_of(column.name))

        _at_once(columns, make)  # which reads what is timed from the disk
        times = _in_turn(columns, plan.first_rows, plan.patience, once)
    _check_equal(answers)
    return times


def _at_once(columns: list[Library], do: Callable[[Library], Any]) -> list[Any]:
    """What each gives, as many at a time as there are processors: not for what is timed."""
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return list(pool.map(do, columns))


def _in_turn(
    columns: list[Library], rounds: int, patience: float, once: Callable[[Library], float]
) -> dict[str, list[float]]:
    """What each gives, round by round.

    A peer that has had its time, and a quarter of the rounds, sits the others out.
    """
    found: dict[str, list[float]] = {column.name: [] for column in columns}
    for turn in range(rounds):
        for column in columns:
            times = found[column.name]
            if sum(times) < patience or turn < rounds / 4:
                times.append(once(column))
    return found


def _first_line(column: Library, code: str, *arguments: str) -> tuple[float, str]:
    start = time.perf_counter()
    with subprocess.Popen(
        [column.python, "-c", code, *arguments],
        cwd=HERE,
        env=column.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as child:
        assert child.stdout is not None
        line = child.stdout.readline()
        return time.perf_counter() - start, line


def _check_equal(answers: dict[str, list[float]]) -> None:
    """All give the same ten numbers; scikit-learn gives their softmax."""

    def softmax(logits: list[float]) -> list[float]:
        powers = [math.exp(z - max(logits)) for z in logits]
        return [power / sum(powers) for power in powers]

    wanted = answers["ranvier"]
    for name, got in answers.items():
        expected = softmax(wanted) if name == "sklearn" else wanted
        if len(got) != len(expected) or any(
            abs(a - b) > 1e-4 for a, b in zip(got, expected, strict=True)
        ):
            raise SystemExit(f"first row: {name} gives {got}, expected {expected}")


def memory(columns: list[Library], plan: Plan) -> tuple[Figures, Figures]:
    """Training runs and predictions, as many at a time as there are processors."""
    module = ("-m", "suite.resident")

    def ask(column: Library, *arguments: str) -> dict[str, Any] | None:
        try:
            return dict(json.loads(column.ask(*module, *arguments).splitlines()[-1]))
        except RuntimeError as error:
            print(error, file=sys.stderr)
            return None

    jobs: dict[tuple[str, str], Any] = {}
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for column in columns:
            name = column.name
            kinds = resident.OURS if name == "ranvier" else ("predict",)
            limit = (
                5 * plan.seconds if name == "ranvier" else plan.seconds
            )  # ours are to come to an end
            for kind in kinds:
                words = ("predict", name, kind, str(plan.predictions), str(limit))
                jobs["growth", f"{name}: {kind}"] = pool.submit(ask, column, *words)
            if name == "onnxruntime":
                continue  # it does not train
            jobs["training", name] = pool.submit(ask, column, "train", name, str(plan.epochs))
    done = {key: job.result() for key, job in jobs.items()}
    training, growth = (
        {name: figures for (kind, name), figures in done.items() if kind == wanted and figures}
        for wanted in ("training", "growth")
    )
    return training, growth


# --- what is printed ------------------------------------------------------------------------------


def summary(
    on_disk: Figures, imported: Any, first: Any, training: Figures, names: list[str]
) -> Figures:
    """One row a library, in the units of the table."""
    numpy_import = min(imported["numpy"])
    rows: Figures = {}
    for name in names:
        rows[name] = {
            "on disk, MB": on_disk[name]["with what it needs"] / MB,
            "import, ms": 1e3 * min(imported[name]),
            "over NumPy's, ms": 1e3 * (min(imported[name]) - numpy_import),
            "first row, ms": 1e3 * min(first[name]),
            "first row, median ms": 1e3 * statistics.median(first[name]),
        }
        if name in training:
            figures = training[name]
            rows[name]["import adds, MB"] = figures["import adds"] / MB
            rows[name]["training, MB"] = figures["steady"] / MB
            rows[name]["at most, MB"] = figures["peak"] / MB
    return rows


def print_rows(rows: Figures) -> None:
    keys = list(rows["ranvier"])
    widths = [max(9, len(key)) for key in keys]
    print(" " * 12, *(key.rjust(width) for key, width in zip(keys, widths, strict=True)), sep="  ")
    for name, row in rows.items():
        cells = [f"{row[key]:.1f}" if key in row else "-" for key in keys]
        words = (cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
        print(f"{name:12}", *words, sep="  ")


def print_growth(growth: Figures) -> None:
    print(f"\n{'growth over predictions':24}  {'MB':>8}  between calls")
    for name, figures in growth.items():
        grown = figures["grown"] / MB
        print(f"{name:24}  {grown:+8.3f}  {figures['first']:,} and {figures['calls']:,}")


def verdicts(wheel: dict[str, Any], rows: Figures, growth: Figures) -> Figures:
    """Our targets, what was measured, and whether that meets them."""
    ours = [figures["grown"] / MB for name, figures in growth.items() if "ranvier" in name]
    measured = {"import beside NumPy's, ms": rows["ranvier"]["over NumPy's, ms"]}
    if not wheel["debug"]:
        measured["wheel, MB"] = wheel["bytes"] / MB
    if ours:
        measured["growth in a million predictions, MB"] = max(ours)
    wanted = targets.table("footprint, at most")
    return {
        name: {
            "measured": value,
            "at most": wanted[name],
            "verdict": targets.verdict(value, wanted[name], most=True),
        }
        for name, value in measured.items()
    }


def print_verdicts(judged: Figures, wheel: dict[str, Any]) -> None:
    print(f"\n{'target':38}  {'measured':>9}  at most  verdict")
    for name, row in judged.items():
        value, most = row["measured"], row["at most"]
        print(f"{name:38}  {value:9.2f}  {most:7g}  {row['verdict']}")
    print(f"(wheel: {wheel['bytes'] / MB:.2f} MB, {wheel['from']})")


# --- the picture ----------------------------------------------------------------------------------

PANELS = {
    "on disk, MB": "on disk with what it needs, MB",
    "import, ms": "import, ms",
    "first row, ms": "from start to first prediction, ms",
    "at most, MB": "memory of a training run, MB",
}


def draw(rows: Figures, path: Path) -> None:
    """A panel a measure on a logarithmic axis; ours is filled, and every dot has its number."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    names = list(rows)[::-1]
    figure, axes = plt.subplots(2, 2, figsize=(10, 6), layout="constrained")
    for axis, (key, title) in zip(axes.flat, PANELS.items(), strict=True):
        values = {name: rows[name][key] for name in names if key in rows[name]}
        for name, value in values.items():
            ours = name == "ranvier"
            face = "black" if ours else "white"
            at = names.index(name)
            axis.plot(value, at, "s" if ours else "o", mec="black", mfc=face, ms=8)
            weight = "bold" if ours else "normal"
            place = {"xytext": (9, 0), "textcoords": "offset points", "va": "center"}
            axis.annotate(f"{value:,.0f}", (value, at), weight=weight, **place)
        axis.set_xscale("log")
        low, high = min(values.values()), max(values.values())
        axis.set_xlim(low / 1.6, high * 2.6)
        axis.set_ylim(-0.6, len(names) - 0.4)
        axis.set_yticks(range(len(names)), names)
        axis.set_xlabel(title)
        axis.grid(axis="x", which="both", color="0.9")
        axis.set_axisbelow(True)
    figure.suptitle("Before anything is computed: less is better (logarithmic axes)")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def draw_if_possible(rows: Figures, path: Path) -> None:
    try:
        draw(rows, path)
    except ImportError:
        print("no picture: matplotlib is not installed", file=sys.stderr)
    else:
        print(f"picture: {path}")


def progress(words: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {words}", file=sys.stderr, flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds, 50,000 predictions")
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS), metavar="NAME")
    parser.add_argument("--peers-python", default=sys.executable, metavar="PATH")
    parser.add_argument("--seconds", type=float, help="for a peer's predictions; 15, --quick 1")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    # NumPy is always there: its import is what ours is beside.
    given = shutil.which(options.peers_python) or options.peers_python
    python = os.path.abspath(given)  # children run in another folder
    columns = libraries(list(dict.fromkeys(["numpy", *options.peers])), python)
    plan = QUICK if options.quick else FULL
    if options.seconds:
        plan = plan._replace(seconds=options.seconds)
    progress("sizes")
    wheel = our_wheel(build=not options.quick)
    on_disk = sizes(columns, wheel)
    progress("first rows")
    first = first_rows(columns, plan)
    progress("imports")
    imported = imports(columns, plan)
    progress("memory")
    training, growth = memory(columns, plan)
    names = [column.name for column in columns]
    rows = summary(on_disk, imported, first, training, names)
    judged = verdicts(wheel, rows, growth)
    print_rows(rows)
    print_growth(growth)
    print_verdicts(judged, wheel)
    figures = {
        "rows": rows,
        "growth": growth,
        "verdicts": judged,
        "wheel": wheel,
        "on disk": on_disk,
        "import, s": imported,
        "first row, s": first,
        "training, bytes": training,
    }
    print(f"\nfigures: {results.save('footprint', figures)}")
    draw_if_possible(rows, results.FOLDER / "footprint.png")


if __name__ == "__main__":
    main()
