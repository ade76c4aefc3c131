"""Pictures that are readable in grey: peers differ by marker, not by colour alone.

matplotlib (the extra `bench`) draws them; without it there are tables and JSON alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .report import OURS, Row
from .results import FOLDER

# Markers and greys of the columns: ours black and filled, the others open.
STYLES: dict[str, tuple[str, str]] = {
    "ranvier": ("o", "black"),
    "ranvier eager": ("o", "0.6"),
    "ranvier keras": ("h", "0.6"),
    "numpy": ("s", "tab:blue"),
    "torch": ("^", "tab:red"),
    "torch.compile": ("v", "tab:red"),
    "torch loader": (">", "tab:red"),
    "jax": ("D", "tab:green"),
    "sklearn": ("P", "tab:orange"),
    "keras": ("X", "tab:purple"),
    "onnxruntime": ("*", "tab:brown"),
}


def pyplot() -> Any:
    """matplotlib.pyplot, drawing into files; None where matplotlib is not installed."""
    try:
        import matplotlib
    except ImportError:
        print('no picture: matplotlib is not installed; pip install ".[bench]" has it')
        return None
    matplotlib.use("agg")
    from matplotlib import pyplot

    pyplot.rcParams |= {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    return pyplot


def save(figure: Any, name: str, folder: Path | None = None) -> Path:
    """Writes NAME.png; nothing in it depends on when it was made."""
    folder = FOLDER if folder is None else folder
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.png"
    figure.savefig(path, dpi=130, bbox_inches="tight", metadata={"Software": None})
    return path


def style(label: str) -> dict[str, Any]:
    """How a column is drawn, as keyword arguments of `plot`."""
    marker, color = STYLES.get(label, ("d", "0.4"))
    face = color if label == OURS else "none"
    size = 8 if marker == "*" or label == OURS else 6
    return {"marker": marker, "color": color, "markerfacecolor": face, "markersize": size}


def times(rows: Sequence[Row], title: str, name: str) -> Path | None:
    """A line for each row, a mark for each column at its time; to the left is quicker."""
    plots = pyplot()
    if plots is None or not rows:
        return None
    labels = [label for label in STYLES if any(label in row.times for row in rows)]
    figure, axes = plots.subplots(figsize=(8.5, 1.1 + 0.3 * len(rows)))
    for i, row in enumerate(rows):
        axes.axhline(i, color="0.9", linewidth=0.8, zorder=0)
        for label in labels:
            if label not in row.times:
                continue
            column = row.times[label]
            look = style(label)
            axes.plot([min(column), max(column)], [i, i], color=look["color"], linewidth=1)
            first = label in labels and i == _first(rows, label)
            axes.plot(row.median(label), i, linestyle="none", label=label if first else None,
                      zorder=3 if label == OURS else 2, **look)  # fmt: skip
    axes.set_xscale("log")
    axes.set_yticks(range(len(rows)), [row.name for row in rows])
    axes.invert_yaxis()
    axes.set_xlabel("microseconds of one step or prediction, log scale; left is quicker")
    axes.set_title(title, loc="left")
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    path = save(figure, name)
    plots.close(figure)
    return path


def _first(rows: Sequence[Row], label: str) -> int:
    return next(i for i, row in enumerate(rows) if label in row.times)


def ratios(rows: Sequence[Row], title: str, name: str) -> Path | None:
    """How many times as fast as its best peer each row is, with its target; losses in the open."""
    plots = pyplot()
    rows = [row for row in rows if row.ratio is not None]
    if plots is None or not rows:
        return None
    figure, axes = plots.subplots(figsize=(8.5, 1.2 + 0.24 * len(rows)))
    axes.axvline(1, color="0.5", linewidth=1)
    seen: set[str] = set()
    for i, row in enumerate(rows):
        assert row.ratio is not None
        middle, least, most = row.ratio
        lost = row.verdict == "slower" or middle < 1
        word = "slower than the best peer" if lost else "as fast or faster"
        axes.plot([least, most], [i, i], color="black", linewidth=1)
        axes.plot(middle, i, "X" if lost else "o", color="black", markersize=7 if lost else 6,
                  markerfacecolor="white" if lost else "black", linestyle="none",
                  label=None if word in seen else word)  # fmt: skip
        seen.add(word)
        if row.target is not None:
            axes.plot(row.target, i, "|", color="tab:red", markersize=12, markeredgewidth=2,
                      linestyle="none", label=None if "target" in seen else "target")  # fmt: skip
            seen.add("target")
        axes.annotate(row.best, (1.005, i), xycoords=("axes fraction", "data"), va="center",
                      color="0.35", fontsize=8)  # fmt: skip
    _ratio_axis(axes, rows)
    axes.set_yticks(range(len(rows)), [row.name for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlabel("times as fast as the best peer (named on the right), log scale")
    axes.set_title(title, loc="left")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -3 / (len(rows) + 8)), ncols=3,
                frameon=False)  # fmt: skip
    path = save(figure, name)
    plots.close(figure)
    return path


def _ratio_axis(axes: Any, rows: Sequence[Row]) -> None:
    """As wide as medians and targets need; a spread that goes further is cut off at the frame."""
    shown = [row.ratio[0] for row in rows if row.ratio is not None]
    shown += [row.target for row in rows if row.target is not None]
    low, high = min(0.7, min(shown) / 1.4), max(1.5, max(shown) * 1.4)
    ticks = [x for x in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500) if low <= x <= high]
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.set_xticks(ticks, [f"{x:g}" for x in ticks])
    axes.set_xticks([], minor=True)
    axes.grid(axis="x", color="0.92", linewidth=0.8)
    axes.set_axisbelow(True)
