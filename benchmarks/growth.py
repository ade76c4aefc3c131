"""How the time of a step grows with width, depth, batch, rows and threads, ours and the peers'.

    python benchmarks/growth.py [--quick] [--peers NAME ...] [--peers-python PATH] [--only PART ...]

Peers are started, checked and timed in turn as in compare.py, whose rows these are; torch.compile
is left out, as it compiles every size for many seconds. Behind the axes comes the search for
cliffs, of ours alone: every width from 24 to 136 of hidden layers, inputs, outputs, batches and
products, each held against the same rounded up to a multiple of 8, with one thread and with all.
What takes more than 1.5 times as long is measured again in pairs, twice, and a cliff that is
confirmed makes the program end with 1. Leaves results/growth.json, .md and .png.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from compare import contestants, measured, versions
from suite import cliffs, pictures, report, results, targets
from suite.peers import PEERS, ours
from suite.report import OURS
from suite.turns import Contestant, Turns, environment

LABELS = ("ranvier", "numpy", "torch", "jax", "sklearn", "keras")
ALL = len(os.sched_getaffinity(0))


class Axis(NamedTuple):
    """One size that grows, everything else as it is."""

    title: str  # with the unit of the size
    workload: str  # with {} for the size
    sizes: Sequence[int]
    quick: Sequence[int]

    def name(self, size: int) -> str:
        return self.workload.format("-".join(["64"] * size) if "depth" in self.title else size)


AXES = {
    "width": Axis(
        "width of the hidden layer, 784-W-10, batch 32",
        "step:784-{}-10x32",
        (8, 16, 32, 64, 128, 256, 512, 1024, 2048),
        (8, 1024),
    ),
    "depth": Axis("depth in layers, 64 wide, batch 32", "step:64-{}x32", (1, 2, 4, 8, 16), (1, 16)),
    "batch": Axis(
        "batch in rows, 784-128-10", "step:784-128-10x{}", (1, 4, 16, 64, 256, 1024), (1, 256)
    ),
    "rows": Axis(
        "rows of an epoch, 784-128-10, batch 32",
        "epoch:784-128-10x32@{}",
        (320, 1280, 5120, 20480),
        (320, 1280),
    ),
}
POWERS = [1 << i for i in range(8) if 1 << i < ALL]
THREADS = Axis("threads, 784-512-256-10, batch 128", "step:784-512-256-10x128", [*POWERS, ALL], [])
PARTS = (*AXES, "threads", "cliffs")
Rows = dict[str, dict[int, report.Row]]  # by axis and size


def grown(players: list[Contestant], given: argparse.Namespace) -> Rows:
    """The axes, with all threads; and one workload with every number of threads."""
    rows: Rows = {}
    with Turns(players, ALL) as turns:
        for name, axis in AXES.items():
            if name not in given.only:
                continue
            head(axis)
            sizes = axis.quick if given.quick else axis.sizes
            rows[name] = {size: one(turns, axis.name(size), given) for size in sizes}
        if "threads" in given.only:
            head(THREADS)
            for_all = one(turns, THREADS.workload, given)
    if "threads" in given.only:
        rows["threads"] = {}
        for count in THREADS.sizes[:-1][: 1 if given.quick else None]:
            with Turns(players, count) as turns:
                rows["threads"][count] = one(
                    turns, THREADS.workload, given, f", {count} thread{'s' * (count > 1)}"
                )
        rows["threads"][ALL] = for_all
    return rows


def head(axis: Axis) -> None:
    print(f"\n{axis.title}\n{report.HEAD}", flush=True)


def one(turns: Turns, name: str, given: argparse.Namespace, words: str = "") -> report.Row:
    """Measures a row and prints it, with `words` behind its name."""
    # A call of an epoch takes long, and every round has three at least.
    rounds = min(given.rounds, 3) if name.startswith("epoch") else given.rounds
    row = measured(turns, name, rounds, given.seconds)
    row.name += words
    print(report.line(row), flush=True)
    for label, note in row.notes.items():
        print(f"    {label}: {note}", flush=True)
    return row


# --- cliffs ---------------------------------------------------------------------------------------


def searched(quick: bool) -> dict[int, dict[str, Any]]:
    """What suite/cliffs.py finds with one thread and with all."""
    found = {}
    every = sorted(os.sched_getaffinity(0))
    for threads in sorted({1, ALL}):
        done = subprocess.run(
            [sys.executable, "-m", "suite.cliffs", "7" if quick else "1"],
            env=environment(Contestant(OURS, OURS), threads),
            stdout=subprocess.PIPE,
            check=True,
            preexec_fn=lambda threads=threads: os.sched_setaffinity(0, every[:threads]),
        )
        found[threads] = json.loads(done.stdout)
    return found


def print_cliffs(found: dict[int, dict[str, Any]]) -> list[str]:
    """A line for each kind; returns the cliffs."""
    limit = targets.table("times the next multiple of 8, at most")["ratio"]
    print(f"\ncliffs: the time of a width by that of the next multiple of 8, at most {limit:g}x")
    lines = []
    for threads, kinds in found.items():
        for kind, figures in kinds.items():
            width, worst = figures["worst"]
            words = f"{kind}, {threads} thread{'s' * (threads > 1)}"
            verdict = "met"
            if figures["suspects"]:
                verdict = f"met when measured again ({len(figures['suspects'])} widths)"
            if figures["cliffs"]:
                verdict = "short"
                lines += [f"{words}: {w}, {r:.2f}x" for w, r in figures["cliffs"].items()]
            print(f"{words:36} {figures['workload']:22} worst {worst:.2f}x at {width:<4} {verdict}")
    print("cliffs: " + ("; ".join(lines) or "none"))
    return lines


# --- the picture ----------------------------------------------------------------------------------


def draw(rows: Rows, found: dict[int, dict[str, Any]], name: str) -> Path | None:
    """A panel for each axis, and one with every width of the search."""
    plots = pictures.pyplot()
    if plots is None:
        return None
    figure, panels = plots.subplots(2, 3, figsize=(13, 7.5), layout="constrained")
    shown = {**AXES, "threads": THREADS}
    for panel, (key, axis) in zip(panels.flat, shown.items(), strict=False):
        if key in rows:
            draw_axis(panel, axis, rows[key], whole=key == "rows")
        else:
            panel.set_axis_off()  # a part that was not asked for
    draw_widths(panels.flat[-1], found)
    handles: dict[str, Any] = {}
    for panel in panels.flat[:-1]:
        lines, labels = panel.get_legend_handles_labels()
        handles |= dict(zip(labels, lines, strict=True))
    if handles:
        words = {"loc": "outside lower center", "ncols": len(LABELS)}
        figure.legend(handles.values(), handles.keys(), **words)
    figure.suptitle("How time grows: one training step, forward, loss, backward and Adam")
    path = pictures.save(figure, name)
    plots.close(figure)
    return path


def draw_axis(panel: Any, axis: Axis, rows: dict[int, report.Row], whole: bool) -> None:
    """Medians of the rounds with their spread; with `whole` the time of all steps together."""
    for label in LABELS:
        sizes = [size for size, row in rows.items() if row.times.get(label)]
        if not sizes:
            continue
        scales = [-(-size // 32) / 1e3 if whole else 1.0 for size in sizes]
        middles = [rows[n].median(label) * k for n, k in zip(sizes, scales, strict=True)]
        columns = [rows[n].times[label] for n in sizes]
        spread = [
            [m - k * min(c) for m, k, c in zip(middles, scales, columns, strict=True)],
            [k * max(c) - m for m, k, c in zip(middles, scales, columns, strict=True)],
        ]
        line = "-" if ours(label) else DASHES[label]
        panel.errorbar(
            sizes, middles, yerr=spread, label=label, linestyle=line, elinewidth=1, capsize=2,
            linewidth=2 if ours(label) else 1.2, **pictures.style(label),
        )  # fmt: skip
    panel.set_xscale("log", base=2)
    panel.set_yscale("log")
    panel.set_xlabel(axis.title)
    panel.set_ylabel("milliseconds of an epoch" if whole else "microseconds of a step")
    panel.set_xticks(list(rows), [f"{size:,}" for size in rows])
    panel.minorticks_off()
    low, high = panel.get_ylim()
    if high < 100 * low:  # the decades alone would be one label, or none
        between = [k * 10.0**e for e in range(-2, 7) for k in (1, 2, 5)]
        ticks = [at for at in between if low <= at <= high]
        panel.set_yticks(ticks, [f"{at:,g}" for at in ticks])
    panel.grid(color="0.9")


DASHES = {"numpy": "--", "torch": "-.", "jax": ":", "sklearn": (0, (5, 1)), "keras": (0, (1, 3))}


def draw_widths(panel: Any, found: dict[int, dict[str, Any]]) -> None:
    """Every width by itself, with one thread: a cliff would be a tooth."""
    if found:
        for (kind, figures), line in zip(found[1].items(), ("-", "--", "-.", ":") * 2, strict=True):
            widths = sorted(map(int, figures["us"]))
            least = [min(figures["us"][str(w)]) for w in widths]
            shade = "black" if "product" not in kind else "0.55"
            panel.plot(widths, least, linestyle=line, color=shade, linewidth=1.2, label=kind)
        panel.legend(fontsize=7, ncols=2, frameon=False, loc="upper left")
        panel.set_yscale("log")
        low, high = panel.get_ylim()
        panel.set_ylim(low, high * 4)  # room for the legend
    panel.set_xticks(range(24, cliffs.LAST + 1, 16))
    panel.set_xlabel("every width from 24 to 136: ranvier, one thread")
    panel.set_ylabel("microseconds, least of the rounds")
    panel.grid(color="0.9")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few sizes, short rounds, no Keras")
    parser.add_argument("--peers", nargs="*", default=[], metavar="NAME",
                        help="default: all that are installed")  # fmt: skip
    parser.add_argument("--peers-python", default=sys.executable, help="a Python that has them")
    parser.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS), metavar="PART",
                        help=", ".join(PARTS))  # fmt: skip
    given = parser.parse_args()
    unknown = [name for name in given.peers if name not in PEERS]
    if unknown:
        parser.error(f"--peers: expected {', '.join(PEERS)}, got {' '.join(unknown)}")
    given.rounds = 3 if given.quick else 5
    given.seconds = 0.03 if given.quick else 0.1
    return given


def main() -> int:
    given = arguments()
    every = contestants(given.peers, given.peers_python, given.quick)
    players = [who for who in every if who.label in LABELS]
    libraries = versions(players)
    rows: Rows = {}
    found: dict[int, dict[str, Any]] = {}
    whole = False
    with contextlib.suppress(KeyboardInterrupt):
        rows = grown(players, given)
        found = searched(given.quick) if "cliffs" in given.only else {}
        whole = True
    flat = [row for axis in rows.values() for row in axis.values()]
    print("\n" + report.summary(flat))
    over = print_cliffs(found) if found else []
    figures = {
        "versions": libraries,
        "settings": {"threads": ALL, "rounds": given.rounds, "seconds": given.seconds},
        "axes": {
            name: [{"size": size, **row.data()} for size, row in axis.items()]
            for name, axis in rows.items()
        },
        "cliffs": over,
        "widths": found,
    }
    # A part is not what the next run is compared with.
    path = results.save(
        "growth" if whole and set(given.only) == set(PARTS) else "growth-part", figures
    )
    path.with_suffix(".md").write_text(report.markdown(flat, list(LABELS)), encoding="utf-8")
    picture = draw(rows, found, path.stem) if whole else None
    print("written:", *(os.path.relpath(p) for p in (path, path.with_suffix(".md"), picture) if p))
    return 1 if over else 0 if whole else 130


if __name__ == "__main__":
    sys.exit(main())
