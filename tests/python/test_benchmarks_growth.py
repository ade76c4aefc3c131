"""The rule that finds cliffs, on made-up times, and the names of what growth.py times."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def _suite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def smooth(widths: list[int], **slow: float) -> dict[int, list[float]]:
    """Times that grow with the width, but for some that take so many times as long."""
    return {w: [w * slow.get(f"w{w}", 1.0) * k for k in (1.0, 1.01, 0.99)] for w in widths}


def test_widths_bring_the_multiples_that_they_are_held_against() -> None:
    from suite import cliffs

    assert [cliffs.rounded(w) for w in (1, 8, 24, 25, 31, 136)] == [8, 8, 24, 32, 32, 136]
    assert cliffs.widths(24, 30, 5) == [24, 29, 32]
    assert set(cliffs.widths(24, 136, 1)) == set(range(24, 137))


def test_a_cliff_is_what_takes_longer_than_the_limit_allows() -> None:
    from suite import cliffs

    times = smooth(cliffs.widths(24, 136, 1), w41=1.9, w57=1.5, w64=3.0)
    # 41 takes 1.9 * 41 / 48 = 1.62 times as long as 48, and 57 takes 1.5 * 57 / 64 / 3; 64 itself
    # is what others are held against, and slow as it is no width before it is a cliff.
    assert cliffs.suspects(times, 1.5) == [41]
    assert cliffs.ratio(times, 41) == pytest.approx(1.9 * 41 / 48)


def test_slow_rounds_are_no_cliff() -> None:
    from suite import cliffs

    times = smooth([25, 32])
    times[25] = [times[25][0], *(100 * time for time in times[25][1:])]
    assert cliffs.suspects(times, 1.5) == []


def test_a_cliff_is_slow_in_both_series_and_by_the_medians_too() -> None:
    from suite import cliffs

    times = smooth([25, 32], w25=3.0)
    calm, slow = smooth([25, 32]), smooth([25, 32], w25=3.0)
    lucky = {25: slow[25], 32: [1.0, 90.0, 90.0]}  # one of the others was quick
    for series in ([slow, calm], [calm, slow], [lucky, slow]):
        left = iter(series)
        assert cliffs.confirmed(times, 1.5, lambda width, left=left: next(left)) == {}  # type: ignore[misc]
    assert list(cliffs.confirmed(times, 1.5, lambda width: slow)) == [25]


def test_suspects_are_measured_again_and_only_they() -> None:
    from suite import cliffs

    times = smooth(cliffs.widths(24, 64, 1), w33=2.5, w49=2.5)
    asked = []

    def pairs(width: int) -> dict[int, list[float]]:
        asked.append(width)
        return smooth([width, cliffs.rounded(width)], w49=2.5)

    found = cliffs.confirmed(times, 1.5, pairs)
    assert asked == [33, 49, 49]
    assert found == {49: pytest.approx(2.5 * 49 / 56)}


def test_what_is_examined_is_one_json_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With widths and calls so few that it takes no time."""
    from suite import cliffs

    monkeypatch.setattr(cliffs, "LAST", 26)
    monkeypatch.setattr(cliffs, "WARM", 0.0)
    monkeypatch.setattr(cliffs, "SLICE", 0.0)
    monkeypatch.setattr(cliffs, "AGAIN", 0.0)
    monkeypatch.setattr(cliffs, "PAIRS", 1)
    cliffs.main("1")
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert set(found) == set(cliffs.KINDS)
    for figures in found.values():
        assert set(figures["us"]) == {"24", "25", "26", "32"}
        assert figures["worst"][0] in (25, 26)


def test_every_row_of_the_axes_is_a_workload() -> None:
    import growth
    from suite.workloads import Workload

    for axis in growth.AXES.values():
        for size in (*axis.sizes, *axis.quick):
            Workload(axis.name(size))
        assert set(axis.quick) <= set(axis.sizes)
    assert growth.AXES["depth"].name(2) == "step:64-64-64x32"
    assert growth.THREADS.sizes[-1] == growth.ALL
    assert growth.THREADS.name(growth.ALL) == growth.THREADS.workload


def test_cliffs_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    import growth

    fine = {"workload": "a", "worst": [25, 1.1], "suspects": [], "cliffs": {}}
    lucky = {"workload": "b", "worst": [26, 1.7], "suspects": [26], "cliffs": {}}
    bad = {"workload": "c", "worst": [27, 2.5], "suspects": [27], "cliffs": {"27": 2.25}}
    assert growth.print_cliffs({1: {"x": fine, "y": lucky}}) == []
    assert growth.print_cliffs({2: {"z": bad}}) == ["z, 2 threads: 27, 2.25x"]
    text = capsys.readouterr().out
    assert "met when measured again (1 widths)" in text and "cliffs: none" in text
