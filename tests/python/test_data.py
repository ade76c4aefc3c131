"""The digits inside the package: what they are, and that their split never changes."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import numpy as np
import pytest

import ranvier as rv
from ranvier import data
from ranvier.data import load_digits
from ranvier.data.split import rows_aside

FILE = Path(data.__file__).with_name("digits.npz")


def test_all_of_them() -> None:
    X, y = load_digits()
    assert X.shape == (1797, 64) and X.dtype is rv.float32
    assert y.shape == (1797,) and y.dtype is rv.int64
    assert X.numpy().min() == 0 and X.numpy().max() == 1
    counts = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert np.bincount(y.numpy()).tolist() == counts


def test_file_is_small_and_needs_no_pickle() -> None:
    assert FILE.stat().st_size <= 100_000
    with np.load(FILE, allow_pickle=False) as archive:
        assert sorted(archive) == ["images", "labels"]
        assert archive["images"].dtype == archive["labels"].dtype == np.uint8


def test_source_and_terms_are_stated() -> None:
    for text in (FILE.with_name("README.md").read_text(), load_digits.__doc__ or ""):
        for words in ("Alpaydin", "Kaynak", "UCI", "CC BY 4.0", "scikit-learn", "BSD"):
            assert words in text


def test_same_as_scikit_learn() -> None:
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn is not installed")
    theirs = datasets.load_digits()
    X, y = load_digits()
    assert np.array_equal(X.numpy() * 16, theirs.data)
    assert np.array_equal(y.numpy(), theirs.target)


def test_split_is_a_stratified_partition() -> None:
    (X, y), (X_test, y_test) = load_digits(test=0.2, seed=0)
    assert X.shape == (1437, 64) and X_test.shape == (360, 64)
    # Shares of 360: 35.66, 36.46, 35.46, 36.66, 36.26, 36.46, 36.26, 35.86, 34.86, 36.06. Five of
    # them are rounded up: the largest remainders, of 7, 8, 0 and 3, and then of 1, before 5, or 2.
    counts = np.bincount(y_test.numpy()).tolist()
    sizes = np.bincount(load_digits()[1].numpy())
    assert sum(counts) == 360
    assert all(
        math.floor(n * 360 / 1797) <= c <= math.ceil(n * 360 / 1797)
        for n, c in zip(sizes, counts, strict=True)
    )
    assert counts == [36, 37, 35, 37, 36, 36, 36, 36, 35, 36]
    rows = np.concatenate([X.numpy(), X_test.numpy()])
    everything = load_digits()[0].numpy()
    assert sorted(map(bytes, rows)) == sorted(map(bytes, everything))
    assert y.shape == (1437,) and y_test.shape == (360,)


def test_split_never_changes() -> None:
    """Two digests, written down: not NumPy's version nor anything else may move a row."""
    digests = []
    for seed in (0, 1):
        (_, y), (X_test, _) = load_digits(test=0.2, seed=seed)
        content = X_test.numpy().tobytes() + y.numpy().tobytes()
        digests.append(hashlib.sha256(content).hexdigest()[:16])
    assert digests == ["96abed3a64a40a61", "088109cc514165ef"]


def test_seed_and_default_generator() -> None:
    before = rv.initial_seed()
    a, b, c = (load_digits(test=0.5, seed=seed)[0][0].numpy() for seed in (3, 3, 4))
    assert np.array_equal(a, b) and not np.array_equal(a, c)
    assert rv.initial_seed() == before


@pytest.mark.parametrize("test", [0.0, 1.0, -0.1, 1.5, float("nan"), 0.9999, "0.2", True, 2])
def test_bad_fraction(test: object) -> None:
    with pytest.raises(ValueError, match=r"\[load_digits\] test: expected a fraction"):
        load_digits(test=test)  # type: ignore[call-overload]


def test_fraction_is_the_decimal_that_was_written() -> None:
    assert rows_aside("here", "test", 0.07, 100) == 7  # 0.07 * 100 is a little more in binary
    assert rows_aside("here", "test", np.float32(0.1), 50) == 5
    assert rows_aside("here", "test", 1e-9, 50) == 1
    (_, y), (_, y_test) = load_digits(test=np.float32(0.2))
    assert (len(y), len(y_test)) == (1437, 360)


def test_seeds() -> None:
    a, b = (load_digits(test=0.5, seed=seed)[0][0].numpy() for seed in (3, np.int64(3)))
    assert np.array_equal(a, b)
    load_digits(test=0.5, seed=2**64 - 1)
    bad: list[tuple[object, type[Exception]]] = [
        (-1, ValueError), (2**64, ValueError), (0.5, TypeError), (None, TypeError)
    ]  # fmt: skip
    for seed, kind in bad:
        with pytest.raises(kind, match=r"\[load_digits\] seed: expected a whole number from 0 to"):
            load_digits(test=0.5, seed=seed)  # type: ignore[call-overload]
