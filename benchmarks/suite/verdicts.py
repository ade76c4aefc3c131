"""The last table of `make bench`: every row that has a target there, its figure and the verdict."""

from __future__ import annotations

from typing import Any, NamedTuple

from suite import native, targets


class Line(NamedTuple):
    """A line of the table."""

    what: str
    target: str
    figure: str
    verdict: str


def of_peak(rows: list[native.Row]) -> list[Line]:
    """Rows of the native suite; repetitions stand in brackets."""
    found = {(row.name, row.threads): row for row in rows}
    lines = []
    for (name, threads), percent in native.gates().items():
        row = found.get((name, threads))
        figure, verdict = "-", "not measured"
        if row:
            figure = f"{row.percent:.0f} % ({row.least:.0f} to {row.most:.0f})"
            verdict = targets.verdict(row.percent, percent)
        what = f"{name}, {threads} thread{'s' * (threads > 1)}"
        lines.append(Line(what, f">= {percent} % of peak", figure, verdict))
    return lines


def of_threads(rows: list[dict[str, Any]]) -> list[Line]:
    """The conditions of threads.py, each judged by its worst row; then all rows that fall short."""
    lines = []
    for condition, most in targets.table("times one thread, at most").items():
        ratios = {row["row"]: row["ratio"] for row in rows if row["condition"] == condition}
        target = f"<= {most} x one thread"
        if not ratios:
            lines.append(Line(f"threads, {condition}", target, "-", "not measured"))
            continue
        worst = max(ratios, key=lambda name: ratios[name])
        fine = sum(_met(ratio, most) for ratio in ratios.values())
        figure = f"{ratios[worst]:.2f}: {worst}"
        verdict = targets.verdict(ratios[worst], most, most=True)
        what = f"threads, {condition} ({fine} of {len(ratios)} rows)"
        lines.append(Line(what, target, figure, verdict))
        for name, ratio in sorted(ratios.items(), key=lambda item: -item[1])[1:]:
            if not _met(ratio, most):
                verdict = targets.verdict(ratio, most, most=True)
                lines.append(Line("", "", f"{ratio:.2f}: {name}", verdict))
    return lines


def of_files(found: dict[str, Any] | None) -> list[Line]:
    """What saving costs beside writing the bytes, and what loading takes before use."""
    figures = {}
    if found:
        figures["save / by hand"] = found["saving"]["save / by hand"]
        figures["load before use, MB"] = found["loading"]["mapped"]["loaded, MB"]
    lines = []
    for what, most in targets.table("files, at most").items():
        figure, verdict = "-", "not measured"
        if what in figures:
            figure = f"{figures[what]:.2f}"
            verdict = targets.verdict(figures[what], most, most=True)
        lines.append(Line(f"files, {what}", f"<= {most}", figure, verdict))
    return lines


def _met(ratio: float, most: float) -> bool:
    return targets.verdict(ratio, most, most=True) == "met"


def table(lines: list[Line]) -> str:
    """Aligned, under a heading."""
    shown = [Line("row", "target", "measured", "verdict"), *lines]
    widths = [max(len(line[i]) for line in shown) for i in range(3)]
    return "\n".join(
        "  ".join([*(line[i].ljust(widths[i]) for i in range(3)), line.verdict]).rstrip()
        for line in shown
    )
