"""Pictures of `make bench`: kernels beside the machine's limits, and what a second thread brings.

Lines differ by marker and dash, so that they can be told apart without colours. Needs matplotlib
(the extra `bench`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from suite import native, targets

LOOKS = (("o", "-"), ("s", "--"), ("^", ":"), ("D", "-."), ("v", "-"), ("x", "--"), ("+", ":"))
SHADES = ("#08306b", "#d95f02", "#777777", "#000000")  # of the first line, the second, ...


def _size(name: str) -> float:
    """Elements of a row: the product of the numbers at its end."""
    return math.prod(int(n) for n in name.rsplit("/", 1)[1].split("x"))


def _threads(n: int) -> str:
    return f"{n} thread{'s' * (n > 1)}"


def _series(
    rows: Iterable[native.Row], prefix: str, isa: str
) -> dict[int, list[tuple[str, native.Row]]]:
    """Rows of a kind on an instruction set, by number of threads, small ones first."""
    found: dict[int, list[tuple[str, native.Row]]] = {}
    for row in rows:
        head, _, size = row.name.rpartition("/")
        if head == prefix and row.isa == isa and "*" not in size:
            found.setdefault(row.threads, []).append((size, row))
    return {n: sorted(line, key=lambda at: _size(at[1].name)) for n, line in sorted(found.items())}


def products(rows: list[native.Row], isa: str, machine: str, path: Path) -> None:
    """Square products: percent of the measured peak by size, a line for each number of threads."""
    fig, ax = plt.subplots(figsize=(7.5, 4.5), layout="constrained")
    for i, (n, line) in enumerate(_series(rows, native.SQUARES, isa).items()):
        squares = [(int(a), row) for (a, b, c), row in _split(line) if a == b == c]
        marker, dash = LOOKS[i % len(LOOKS)]
        look = {"marker": marker, "ls": dash, "color": SHADES[i % len(SHADES)]}
        _line(ax, [a for a, _ in squares], [row for _, row in squares], n, look)
    for (name, n), percent in native.gates().items():
        side = int(name.rsplit("x", 1)[1])
        ax.plot(side, percent, marker="_", ms=14, mew=2, color=SHADES[2 if n == 1 else 3], ls="")
    ax.plot([], [], marker="_", ms=14, mew=2, color=SHADES[2], ls="", label="target, 1 thread")
    ax.plot([], [], marker="_", ms=14, mew=2, color=SHADES[3], ls="", label="target, 2 threads")
    ax.set_xscale("log", base=2)
    ax.set(ylim=(0, 105), ylabel="percent of the peak measured in this run", title=machine)
    ax.set_xlabel("n of a product of two n x n matrices, float32")
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:.0f}")
    ax.grid(True, color="#dddddd")
    ax.legend(loc="lower right")
    _write(fig, path)


def _line(
    ax: Any, sizes: list[float] | list[int], rows: list[native.Row], n: int, look: dict[str, Any]
) -> None:
    """Medians of the repetitions, and how far these go."""
    middles = [row.percent for row in rows]
    spread = [
        [row.percent - row.least for row in rows],
        [row.most - row.percent for row in rows],
    ]
    ax.errorbar(sizes, middles, yerr=spread, label=_threads(n), elinewidth=1, capsize=2, **look)


def _split(line: list[tuple[str, native.Row]]) -> list[tuple[tuple[str, str, str], native.Row]]:
    """With the three sides of a product."""
    return [(tuple(size.split("x")), row) for size, row in line]  # type: ignore[misc]


def vectors(rows: list[native.Row], isa: str, machine: str, path: Path) -> None:
    """Kernels that stream: percent of the bandwidth at a row's footprint, a panel for each."""
    fig, panels = plt.subplots(
        2, 4, figsize=(11, 5.5), sharex=True, sharey=True, layout="constrained"
    )
    for ax, (prefix, title) in zip(panels.flat, native.VECTORS.items(), strict=True):
        for i, (n, line) in enumerate(_series(rows, prefix, isa).items()):
            marker, dash = LOOKS[i % len(LOOKS)]
            look = {"marker": marker, "ls": dash, "color": SHADES[i % len(SHADES)]}
            _line(ax, [_size(row.name) for _, row in line], [row for _, row in line], n, look)
        ax.axhline(100, color="#000000", lw=0.8)
        ax.set_title(title, fontsize=10)
        ax.set_xscale("log")
        ax.grid(True, color="#dddddd")
    panels.flat[0].legend(loc="lower right", fontsize=9)
    panels.flat[0].set_ylim(0, None)
    fig.supxlabel("elements")
    fig.supylabel("percent of the bandwidth of plain loops\nin as much memory")
    fig.suptitle(machine)
    _write(fig, path)


def second_thread(rows: list[dict[str, Any]], threads: int, machine: str, path: Path) -> None:
    """The ratio of many threads to one, a line of marks for each row."""
    names = list(dict.fromkeys(row["row"] for row in rows))
    fig, ax = plt.subplots(figsize=(8.5, 1.8 + 0.19 * len(names)), layout="constrained")
    for i, (condition, most) in enumerate(targets.table("times one thread, at most").items()):
        ratios = {row["row"]: row["ratio"] for row in rows if row["condition"] == condition}
        marker, dash = LOOKS[i % len(LOOKS)]
        at = [names.index(name) for name in ratios]
        ax.plot(ratios.values(), at, marker, color=SHADES[i], ms=5, label=condition, alpha=0.85)
        line = {"color": SHADES[i], "ls": dash, "lw": 1}
        ax.axvline(most, label=f"{condition}: at most {most}", **line)
    ax.set_yticks(range(len(names)), names, fontsize=8)
    ax.set_ylim(len(names), -1)
    ax.set_xlabel(f"time with {threads} threads / time with one (medians); left of 1 is faster")
    ax.set_title(machine)
    ax.grid(True, axis="y", color="#eeeeee")
    ax.axvline(1, color="#bbbbbb", lw=0.8)
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=8)
    _write(fig, path)


def _write(fig: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fig.savefig(path, dpi=110)
    plt.close(fig)
