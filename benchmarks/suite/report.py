"""Rows with their times made into ratios, verdicts and tables."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import targets
from .peers import ours

OURS = "ranvier"
# What runs differ by beside what rounds of one run do: where processes lie in memory, and what the
# machine does for minutes.
BETWEEN_RUNS = 0.1


@dataclass
class Row:
    """A workload with the medians of the rounds of each column, in microseconds."""

    name: str
    times: dict[str, list[float]]
    notes: dict[str, str] = field(default_factory=dict)  # columns that are missing, and why

    def median(self, label: str) -> float:
        return statistics.median(self.times[label])

    @property
    def best(self) -> str | None:
        """The quickest peer."""
        others = [label for label in self.times if not ours(label)]
        return min(others, key=self.median, default=None)

    @property
    def ratio(self) -> tuple[float, float, float] | None:
        """How many times as fast as the best peer: by the medians, least and most of the rounds."""
        if self.best is None or OURS not in self.times:
            return None
        pairs = zip(self.times[self.best], self.times[OURS], strict=True)
        each = [theirs / own for theirs, own in pairs]
        return self.median(self.best) / self.median(OURS), min(each), max(each)

    @property
    def target(self) -> float | None:
        return targets.target_of(self.name)

    @property
    def verdict(self) -> str:
        """Against the target; without one only that it is slower than the best peer."""
        if self.ratio is None:
            return ""
        if self.target is not None:
            return targets.verdict(self.ratio[0], self.target)
        return "" if self.ratio[0] >= 1 - targets.ALLOWANCE else "slower"

    def data(self) -> dict[str, Any]:
        """As the JSON file has it."""
        found: dict[str, Any] = {"name": self.name, "us": self.times}
        if self.ratio is not None:
            names = ("times as fast", "least", "most")
            found["best peer"] = self.best
            found |= dict(zip(names, (round(value, 3) for value in self.ratio), strict=True))
        if self.target is not None:
            found["target"] = self.target
        if self.verdict:
            found["verdict"] = self.verdict
        return found | ({"notes": self.notes} if self.notes else {})


def micros(value: float) -> str:
    """Three digits that count."""
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def cell(times: Sequence[float]) -> str:
    """Median, with the least and the most of the rounds."""
    middle = statistics.median(times)
    return f"{micros(middle)} ({micros(min(times))} to {micros(max(times))})"


def line(row: Row) -> str:
    """One row for a terminal: ours, the best peer, the ratio, the target."""
    if OURS not in row.times:
        return f"{row.name:34} {row.notes.get(OURS, 'not measured')}"
    text = f"{row.name:34} {cell(row.times[OURS]):28}"
    if row.ratio is None:
        return text
    middle, least, most = row.ratio
    best = f"{row.best} {micros(row.median(row.best or ''))}"
    target = "" if row.target is None else f"{row.target:g}x"
    times = f"{middle:.2f}x ({least:.2f} to {most:.2f})"
    return f"{text} {best:22} {times:24} {target:>6}  {row.verdict}"


HEAD = f"{'':34} {'ranvier, us':28} {'best peer, us':22} {'times as fast':24} {'target':>6}"


def rows_of(figures: dict[str, Any]) -> list[Row]:
    """The rows of a compare.json."""
    return [Row(row["name"], row["us"], row.get("notes", {})) for row in figures["rows"]]


def markdown(rows: Iterable[Row], labels: Sequence[str], spread: bool = True) -> str:
    """The table with every column that some row has; in microseconds."""
    rows = list(rows)
    shown = [label for label in labels if any(label in row.times for row in rows)]
    head = ["workload", *shown, "times the best peer", "target", "verdict"]
    lines = ["| " + " | ".join(head) + " |", "| --- " * len(head) + "|"]
    for row in rows:
        cells = [f"`{row.name}`"]
        for label in shown:
            text = "-"
            if label in row.times:
                text = cell(row.times[label]) if spread else micros(row.median(label))
            cells.append(f"**{text}**" if label == row.best else text)
        times = "-"
        if row.ratio is not None:
            times = f"{row.ratio[0]:.2f}"
            times += f" ({row.ratio[1]:.2f} to {row.ratio[2]:.2f})" if spread else ""
        target = "-" if row.target is None else f"{row.target:g}"
        lines.append("| " + " | ".join([*cells, times, target, row.verdict or "-"]) + " |")
    return "\n".join(lines) + "\n"


def summary(rows: Sequence[Row]) -> str:
    """How many targets are met; what falls short and what is slower than a peer, by name."""
    judged = [row for row in rows if row.target is not None and row.ratio is not None]
    short = [f"{row.name} ({row.verdict})" for row in judged if row.verdict != "met"]
    slower = [
        f"{row.name} ({row.ratio[0]:.2f}x of {row.best})"
        for row in rows
        if row.ratio is not None and row.ratio[0] < 1 - targets.ALLOWANCE
    ]
    text = f"{len(judged) - len(short)} of {len(judged)} targets met"
    if short:
        text += "\nshort of their target: " + ", ".join(short)
    return text + "\nslower than the best peer: " + (", ".join(slower) or "none")


def disagreements(rows: Sequence[Row], before: dict[str, Any]) -> list[str]:
    """Rows whose spread of the ratio, widened a little, does not meet that of an earlier run."""
    earlier = {row["name"]: row for row in before["rows"] if "times as fast" in row}
    found = []
    for row in rows:
        old = earlier.get(row.name)
        if old is None or row.ratio is None:
            continue
        _, least, most = row.ratio
        wide = (1 + BETWEEN_RUNS) ** 2
        if least > old["most"] * wide or most * wide < old["least"]:
            found.append(
                f"{row.name}: {least:.2f} to {most:.2f} against {old['best peer']}"
                f" {old['least']:.2f} to {old['most']:.2f}"
            )
    return found
