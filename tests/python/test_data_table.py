"""DataFrames as rows of numbers: what columns become, gaps, unknown categories, and refusals."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier.data.table import is_mixed

nan = float("nan")


class Frame(dict):  # type: ignore[type-arg]
    """As much of a DataFrame as is looked at."""

    columns = property(lambda self: list(self.keys()))


def frame(**columns: Any) -> Frame:
    return Frame({name: np.asarray(values) for name, values in columns.items()})


TRAIN = frame(
    size=[1.0, nan, 3.0, 5.0],
    town=np.array(["Ulm", None, "Bonn", "Ulm"], object),
    rooms=np.array([1, None, 2, 9], object),
    old=[True, False, True, True],
)


def test_what_columns_become() -> None:
    table = rv.data.Table(numbers=None).fit(TRAIN)
    assert table.names == [
        "size", "rooms", "town=Bonn", "town=Ulm", "town=missing", "old=False", "old=True",
    ]  # fmt: skip
    rows = table.transform(TRAIN)
    assert rows.dtype == np.float32 and rows.tolist() == [
        [1, 1, 0, 1, 0, 0, 1], [3, 2, 0, 0, 1, 1, 0], [3, 2, 1, 0, 0, 0, 1], [5, 9, 0, 1, 0, 0, 1],
    ]  # fmt: skip
    other = frame(old=["?"], size=[7.0], town=["Kiel"], rooms=[nan], more=[0])
    assert table.transform(other).tolist() == [[7, 2, 0, 0, 0, 0, 0]]


@pytest.mark.parametrize("numbers", ["standardize", "minmax"])
def test_scales_and_what_stands_for_gaps(numbers: str) -> None:
    table = rv.data.Table(numbers=numbers, missing="mean").fit(frame(a=[1.0, nan, 5.0]))
    rows = table.transform(frame(a=[1.0, nan, 5.0]))[:, 0]
    want = np.array([1.0, 3.0, 5.0])
    if numbers == "standardize":
        want = (want - 3) / np.std(want)
    else:
        want = (want - 1) / 4
    np.testing.assert_allclose(rows, want, rtol=1e-6)
    assert rv.data.Table(numbers=None, missing=-1).fit(frame(a=[nan, 1.0])).transform(
        frame(a=[nan])
    ).tolist() == [[-1.0]]


def test_only_text() -> None:
    table = rv.data.Table().fit(frame(t=["a", "b", "a"]))
    assert table.transform(frame(t=["b", "c"])).tolist() == [[0, 1], [0, 0]]


def test_copies() -> None:
    table = rv.data.Table().fit(TRAIN)
    for twin in (copy.deepcopy(table), pickle.loads(pickle.dumps(table))):
        assert twin.transform(TRAIN).tobytes() == table.transform(TRAIN).tobytes()
        assert twin.names == table.names


def test_frames_that_hold_more_than_numbers() -> None:
    assert is_mixed(TRAIN) and is_mixed(frame(a=["x"])) and is_mixed(frame(a=[nan]))
    assert not is_mixed(frame(a=[1, 2], b=[0.5, 1.5], c=[True, False]))


def test_refusals() -> None:
    table = rv.data.Table()
    with pytest.raises(RuntimeError, match="fitted table"):
        table.transform(TRAIN)
    for bad, error, words in (
        (np.zeros((2, 2)), TypeError, "DataFrame, got ndarray"),
        (Frame(), ValueError, "rows and columns"), (frame(a=[]), ValueError, "rows and columns"),
        (frame(a=[nan, nan], b=["x", "y"]), ValueError, "column 'a', got only missing"),
        (frame(when=np.array(["2020-01-01"], "M8[D]")), TypeError, "'when', got dates"),
        (frame(z=[1j]), TypeError, "complex"), (frame(a=[np.inf]), ValueError, "'a', got infinity"),
        (Frame({1: np.ones(2), "1": np.ones(2)}), ValueError, "different names"),
    ):  # fmt: skip
        with pytest.raises(error, match=words):
            table.fit(bad)
        assert not table.fitted
    table.fit(TRAIN)
    with pytest.raises(ValueError, match=r"column 'size' as in fit.*did you mean 'sise'"):
        table.transform(frame(sise=[1.0], town=["Ulm"], rooms=[1], old=[True]))
    with pytest.raises(TypeError, match="numbers in column 'rooms' as in fit, got 'many'"):
        table.transform(frame(size=[1.0], town=["Ulm"], rooms=["many"], old=[True]))
    with pytest.raises(ValueError, match="did you mean 'minmax'"):
        rv.data.Table(numbers="minmx")
    with pytest.raises(ValueError, match="strategy"):
        rv.data.Table(missing="average")
