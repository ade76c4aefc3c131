"""Ranvier against whichever of its peers are installed: a table, a JSON file and two pictures.

    make bench-peers                     # installs peers beside the project and runs this
    python benchmarks/compare.py         # with what this Python has
    python benchmarks/compare.py step:20-64-64-1x32 matmul:100x100x100
    python benchmarks/compare.py --groups steps predictions --peers numpy torch
    python benchmarks/compare.py --agrees benchmarks/results/compare.json
    python benchmarks/compare.py --show benchmarks/results/reference/compare.json step: predict:

Training steps, epochs by the libraries' own loops, predictions, matrix products and vector kernels
(benchmarks/suite/workloads.py says how rows are named). Every peer computes the same from the same
numbers; whatever it computes is held against a float64 reference before anything is timed, and a
peer that differs is left out and makes the program fail. Each has a process of its own, and they
take turns: a round times each of them once, and the table has the median of the rounds, with the
least and the most. A ratio is the best peer's median by ours; its spread comes from the rounds.
With `--agrees` the ratios are held against those of an earlier run. The time is judged by nobody:
a missed target is said, and does not make the program fail.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from suite import pictures, reference, report, results, targets
from suite.peers import PEERS, ours
from suite.turns import Contestant, Turns
from suite.workloads import Workload

GROUPS = {
    "steps": [
        "step:xor", "step:13-24-1x16", "step:20-64-64-1x32", "step:64-64-64-64-64-64x7",
        "step:100-300-100-5x50", "step:784-128-10x32", "step:784-1000-10x200",
        "step:784-512-256-10x128", "step:784-2048-2048-10x512",
    ],
    "epochs": [
        "epoch:20-64-64-1x32@1600", "epoch:784-128-10x32@1600", "epoch:784-128-10x32@60000",
    ],
    "predictions": [
        "predict:13-24-1x1", "predict:20-64-64-1x1", "predict:784-128-10x1",
        "predict:784-128-10x32", "predict:784-128-10x1000",
    ],
    "products": [
        *(f"matmul:{n}x{n}x{n}" for n in (32, 64, 100, 128, 256, 300, 512, 1000, 1024, 2048)),
        "matmul:32x128x784", "matmul:784x128x32:tn", "matmul:32x784x128:nt",
        "matmul:128x1024x1024", "matmul:128x1024x1024:nt", "matmul:1x1024x1024",
        "matmul:1x1024x1024:nt", "matmul:1x128x784", "matmul:1024x1x1024", "matmul:7x300x100",
        "matmul:333x777x555", "matmul:5000x3x3",
        *(f"matmul64:{n}x{n}x{n}" for n in (128, 256, 512, 1024)),
        "matmul16:128x128x128", "matmul16:1024x1024x1024", "matmul16:128x1024x1024:nt",
    ],
    "kernels": [
        *(f"gelu:{n}" for n in (10**4, 123457, 10**6, 10**7)),
        *(f"tanh:{n}" for n in (10**4, 123457, 10**6)),
        *(f"exp:{n}" for n in (123457, 10**6, 10**7)), "sigmoid:1000000", "relu:1000000",
        "softmax:128x10", "softmax:768x65", "softmax:4096x1000",
        "cross_entropy:128x10", "cross_entropy:500x333", "cross_entropy:768x65",
        "cross_entropy:4096x1000", "cross_entropy:1024x50257",
        "layer_norm:768x128", "layer_norm:1000x300", "layer_norm:4096x1024",
        "adam:1000", "adam:10000", "adam:123457", "adam:1000000", "adam:20000000",
    ],
}  # fmt: skip
# Seconds of compiling for each row, or milliseconds of Python for each step.
SLOW = ("torch.compile", "keras", "ranvier keras")


def contestants(wanted: list[str], python: str, quick: bool) -> list[Contestant]:
    """Ranvier and NumPy from this Python, the others from that one, where it has them."""
    script = "import sys, importlib.util as u; print(*(bool(u.find_spec(n)) for n in sys.argv[1:]))"
    names = sorted({name for peer in PEERS.values() for name in peer.needs})
    done = subprocess.run([python, "-c", script, *names], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"--peers-python: {python} does not run: {done.stderr.strip()}")
    has = {name for name, yes in zip(names, done.stdout.split(), strict=True) if yes == "True"}
    found = []
    for label, peer in PEERS.items():
        own = ours(label) or peer.module == "numpy"
        chosen = ours(label) or not wanted or label in wanted or peer.module in wanted
        if not chosen or (quick and label in SLOW) or not (own or has.issuperset(peer.needs)):
            continue
        executable = sys.executable if own else python
        found.append(Contestant(label, peer.module, peer.variant, executable))
    return found


def versions(players: list[Contestant]) -> dict[str, str]:
    """Of every library that takes part, as its own Python has it."""
    script = "import importlib.metadata as m, sys; print(*(m.version(n) for n in sys.argv[1:]))"
    found = {}
    for who in players:
        name = {"sklearn": "scikit-learn"}.get(who.peer, who.peer)
        if name == "ranvier" or name in found:
            continue
        done = subprocess.run([who.python, "-c", script, name], capture_output=True, text=True)
        found[name] = done.stdout.strip() or "unknown"
    return found


def measured(turns: Turns, name: str, rounds: int, seconds: float) -> report.Row:
    """The times of a row; columns that differ from the reference or fail are notes."""
    workload = Workload(name)
    expected = reference.expected(workload)
    notes = {}
    for label, outcome in turns.prepare(name).items():
        if not reference.agrees(workload, outcome, expected):
            turns.without(label)
            notes[label] = "differs from the reference"
    times = turns.rounds(rounds, seconds)
    return report.Row(name, times, notes | turns.failures)


def all_measured(players: list[Contestant], given: Any, names: list[str]) -> list[report.Row]:
    """The rows; after Control-C those that are done."""
    rows: list[report.Row] = []
    with contextlib.suppress(KeyboardInterrupt), Turns(players, given.threads) as turns:
        for name in names:
            row = measured(turns, name, given.rounds, given.seconds)
            rows.append(row)
            print(report.line(row), flush=True)
            for label, note in row.notes.items():
                print(f"    {label}: {note}", flush=True)
    return rows


def draw(rows: list[report.Row]) -> list[Path]:
    networks = [row for row in rows if row.name.split(":")[0] in ("step", "epoch", "predict")]
    made = [
        pictures.times(networks, "Training steps, epochs and predictions", "compare"),
        pictures.ratios(rows, "Ranvier by its best peer", "ratios"),
    ]
    return [path for path in made if path]


def arguments() -> Any:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", metavar="ROW", help="default: the rows of all groups")
    parser.add_argument("--groups", nargs="*", choices=GROUPS, default=[], metavar="GROUP",
                        help=", ".join(GROUPS))  # fmt: skip
    parser.add_argument("--peers", nargs="*", default=[], help="default: all that are installed")
    parser.add_argument("--peers-python", default=sys.executable, help="a Python that has them")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="rows with targets of their own, in short rounds, nothing slow",
    )
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, help="default: 5, or 3 with --quick")
    parser.add_argument("--seconds", type=float, help="of a peer in a round: 0.25, or 0.05")
    parser.add_argument("--agrees", metavar="FILE", help="compare.json of an earlier run")
    parser.add_argument("--show", metavar="FILE", help="only print the table of an earlier run")
    given = parser.parse_args()
    known = {*PEERS, *(peer.module for peer in PEERS.values())}
    unknown = [name for name in given.peers if name not in known]
    if unknown:
        parser.error(f"--peers: expected {', '.join(PEERS)}, got {' '.join(unknown)}")
    given.rounds = given.rounds or (3 if given.quick else 5)
    given.seconds = given.seconds or (0.05 if given.quick else 0.25)
    return given


def rows_of(given: Any) -> list[str]:
    if given.rows:
        for name in given.rows:
            Workload(name)  # says what is wrong with a name before anything runs
        return list(given.rows)
    names = [name for group in given.groups or GROUPS for name in GROUPS[group]]
    return [n for n in names if n in targets.table("times the best peer")] if given.quick else names


def show(path: str, names: list[str], peers: list[str]) -> None:
    """Medians of an earlier run, as a Markdown table: all rows, or those that begin like these."""
    rows = report.rows_of(json.loads(Path(path).read_text(encoding="utf-8")))
    chosen = [row for row in rows if not names or row.name.startswith(tuple(names))]
    labels = [label for label in PEERS if not peers or label in (report.OURS, *peers)]
    print(report.markdown(chosen, labels, spread=False), end="")


def main() -> int:
    given = arguments()
    if given.show:
        show(given.show, given.rows, given.peers)
        return 0
    names = rows_of(given)
    before = json.loads(Path(given.agrees).read_text(encoding="utf-8")) if given.agrees else None
    players = contestants(given.peers, given.peers_python, given.quick)
    libraries = versions(players)
    info = results.machine()
    print(f"{info['processor']}, {given.threads} of {info['processors']} processors; ranvier "
          f"{info['ranvier']}; " + ", ".join(f"{n} {v}" for n, v in libraries.items()))  # fmt: skip
    print(f"medians of {given.rounds} rounds, with the least and the most\n{report.HEAD}")
    rows = all_measured(players, given, names)
    whole = len(rows) == len(names)
    print("\n" + report.summary(rows))
    figures = {
        "versions": libraries,
        "settings": {"threads": given.threads, "rounds": given.rounds, "seconds": given.seconds},
        "rows": [row.data() for row in rows],
    }
    path = results.save("compare" if whole else "compare-interrupted", figures)
    table = path.with_suffix(".md")
    table.write_text(report.markdown(rows, list(PEERS)), encoding="utf-8")
    pictured = draw(rows) if whole else []
    print("written:", *(os.path.relpath(p) for p in [path, table, *pictured]))
    if before is not None:
        apart = report.disagreements(rows, before)
        print(f"{len(rows) - len(apart)} of {len(rows)} rows agree with {given.agrees}")
        print(*(f"    {text}" for text in apart), sep="\n")
    wrong = [row.name for row in rows if "differs from the reference" in row.notes.values()]
    if wrong:
        print("results differ from the reference: " + ", ".join(wrong))
    if not whole:
        return 130
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
