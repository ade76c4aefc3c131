"""What `Program.profile()` gives: the time of every instruction, as a table.

The core measures; this module only holds the figures and prints them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, overload

__all__ = ["Profile", "Timing"]


class Timing(NamedTuple):
    """One instruction: times in microseconds, the mean of the middle half of the runs.

    `gflops` and `gbytes` are rates, 10^9 operations and bytes a second, from what the op declares
    as its cost: what its formula needs, and each tensor read or written once.
    """

    op: str
    where: str
    time: float
    percent: float
    gflops: float
    gbytes: float


def _timing(op: str, where: str, seconds: float, flops: float, size: float, all_: float) -> Timing:
    rate = 1e-9 / seconds if seconds > 0 else 0.0
    percent = 100 * seconds / all_ if all_ > 0 else 0.0
    return Timing(op, where, seconds * 1e6, percent, flops * rate, size * rate)


class Profile(Sequence[Timing]):
    """The instructions of a program with their times, in the order in which they run.

    Parameters
    ----------
    lines : list of (op, where, seconds, flops, bytes)
        One for each instruction.
    seconds : float
        Time of the whole step, measured without a clock between instructions.

    Attributes
    ----------
    total : Timing
        The whole step. Its time is measured, not added up; the instructions' times, from which the
        cost of reading the clock is subtracted, add up to it within a few percent.

    Examples
    --------
    >>> import ranvier as rv
    >>> program = rv.Program.record(lambda x: (x @ x).sum(), rv.ones(4, 4))
    >>> [timing.op for timing in program.profile(10)]
    ['matmul', 'sum']
    """

    def __init__(
        self, lines: Sequence[tuple[str, str, float, float, float]], seconds: float
    ) -> None:
        self._timings = [_timing(*line, seconds) for line in lines]
        flops, size = sum(line[3] for line in lines), sum(line[4] for line in lines)
        self.total = _timing("step", "", seconds, flops, size, seconds)

    def __len__(self) -> int:
        return len(self._timings)

    @overload
    def __getitem__(self, index: int) -> Timing: ...
    @overload
    def __getitem__(self, index: slice) -> list[Timing]: ...
    def __getitem__(self, index: int | slice) -> Timing | list[Timing]:
        return self._timings[index]

    def __iter__(self) -> Iterator[Timing]:
        return iter(self._timings)

    def __str__(self) -> str:
        rows = [*self._timings, self.total]
        op = max(len(row.op) for row in rows)
        where = max(len("where"), *(len(row.where) for row in rows))
        head = f"{'op':{op}}  {'where':{where}} {'us':>10} {'%':>6} {'GFLOP/s':>8} {'GB/s':>7}"
        return "\n".join(
            [
                head,
                *(
                    f"{row.op:{op}}  {row.where:{where}} {row.time:10.3f} {row.percent:6.1f}"
                    f" {row.gflops:8.2f} {row.gbytes:7.2f}"
                    for row in rows
                ),
            ]
        )

    __repr__ = __str__
