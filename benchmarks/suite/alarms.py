"""Whether a new version is slower than an old one, told from a few runs on a noisy machine.

A run has three fresh processes with fresh copies of their files: the old version, the new one, and
the old one again as control.
They take turns in short slices, so a run gives two figures: the median over the slices of
new / old, and of control / old, each time the least of its slice, as whoever else is at work on
the processor interrupts. What slows the machine for a second is in both halves of a ratio;
what differs from process to process (where memory lies, which pages are large) is in the figures
of the control as well.

A row is slower when the best new run is slower than the worst run of the control, and the median
is above a floor: 5 %, and 50 ns. It must be so twice, each time in `runs` runs: an alarm.

How often that is wrong. Of two versions that are the same, the figures of new and control are
drawn alike, as the processes' order is drawn by lot. All n of one kind then lie above all n of the
other at most as often as chance orders 2n numbers so: once in C(2n, n). That both figures of a run
are ratios to the same old process makes it rarer, not more frequent. With five runs it is once in
252, twice in a row once in 63,504: less than 0.3 % for ten comparisons of 17 rows, however noisy
the machine and whatever the shape of the noise. The floor takes away most of that. The price is
power: a change that is smaller than what runs differ by is not seen.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

# Less is shown, and no alarm: where another build has the same code costs up to 30 ns of a call.
FLOOR, FLOOR_US = 1.05, 0.05
RUNS = 5


def paired(times: Sequence[float], reference: Sequence[float]) -> float:
    """The figure of a run: the median over slices of a time by its neighbour's."""
    return statistics.median(a / b for a, b in zip(times, reference, strict=True))


def false_alarms(runs: int, rows: int = 1, comparisons: int = 1) -> float:
    """How many false alarms there are at most, on the average, where nothing has changed."""
    return comparisons * rows / math.comb(2 * runs, runs) ** 2


def floor_of(us: float) -> float:
    """The ratio that is worth a word where the old version takes so many microseconds."""
    return max(FLOOR, 1 + FLOOR_US / us)


@dataclass
class Tally:
    """The figures of a row, one of each kind a run."""

    new: list[float] = field(default_factory=list)  # new / old
    control: list[float] = field(default_factory=list)  # old again / old
    floor: float = FLOOR

    def add(self, new: float, control: float) -> None:
        self.new.append(new)
        self.control.append(control)

    @property
    def ratio(self) -> float:
        """Time of the new version by that of the old one."""
        return statistics.median(self.new)

    @property
    def apart(self) -> int:
        """1 where the new version looks slower: by more than the floor, and every run of it slower
        than every one of the control; -1 where it looks faster in the same way; otherwise 0."""
        if min(self.new) > max(self.control) and self.ratio > self.floor:
            return 1
        return -1 if max(self.new) < min(self.control) and self.ratio < 1 / self.floor else 0


def is_open(tally: Tally, runs: int) -> bool:
    """Whether it is worth another run: figures that overlap once overlap for ever, and what is
    below the floor so far may be left at that. Fewer runs never make an alarm."""
    return not tally.new or (len(tally.new) < runs and tally.apart != 0)


def says(tally: Tally, runs: int) -> str:
    """ "slower", "faster" or "same", once the tally is complete or closed."""
    whole = len(tally.new) >= runs
    return {1: "slower", -1: "faster"}.get(tally.apart, "same") if whole else "same"
