"""What rows are meant to reach (targets.json), and whether they do."""

from __future__ import annotations

import fnmatch
import json
from pathlib import Path
from typing import Any

_TABLE: dict[str, Any] = json.loads(
    (Path(__file__).parent.parent / "targets.json").read_text(encoding="utf-8")
)
ALLOWANCE: float = _TABLE["allowance"]  # for noise


def table(kind: str) -> dict[str, Any]:
    """One of the tables of the file, such as "percent of peak"."""
    return dict(_TABLE[kind])


def target_of(row: str) -> float | None:
    """How many times as fast as the best peer a row is meant to be; the exact name goes first."""
    wanted: dict[str, float] = _TABLE["times the best peer"]
    if row in wanted:
        return wanted[row]
    return next((value for name, value in wanted.items() if fnmatch.fnmatch(row, name)), None)


def verdict(value: float, target: float, most: bool = False) -> str:
    """Met, or how far it is from that: "short, 87 %". With `most` the value may be no larger."""
    if most and value <= target:  # what is at most so large may be 0, or less
        return "met"
    share = target / value if most else value / target
    return "met" if share >= 1 - ALLOWANCE else f"short, {100 * share:.0f} %"
