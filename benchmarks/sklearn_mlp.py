"""Our MLPClassifier and MLPRegressor beside scikit-learn's: time of a fit, of a row, and scores.

    python benchmarks/sklearn_mlp.py [--splits N] [--only NAME ...] [--json FILE]

Default parameters, float64, columns standardised on the training rows; each of ten splits is fitted
by both in turns, in this one process, with as many threads as each takes by itself. Prints medians
and extremes of the times, the ratio of the medians, the mean difference of the scores with two of
its standard errors, and what a prediction of one row takes. California housing is read from the
folder that RANVIER_DATA names, and left out without it. Needs scikit-learn; downloads nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn import datasets, neural_network
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from ranvier import sklearn as ours

ROUNDS, CALLS = 15, 100  # of predictions


def california() -> tuple[Any, Any] | None:
    """Rows of numbers and prices in 100,000 dollars; None without the file."""
    path = Path(os.environ.get("RANVIER_DATA", "")) / "california-housing" / "housing.csv"
    if not path.is_file():
        return None
    table = np.genfromtxt(path, delimiter=",", skip_header=1, usecols=range(9))
    table = table[np.isfinite(table).all(axis=1)]
    return table[:, :8], table[:, 8] / 1e5


def of_scikit_learn(name: str) -> Callable[[], tuple[Any, Any]]:
    """One of its data sets."""
    return lambda: getattr(datasets, f"load_{name}")(return_X_y=True)


SETS: dict[str, tuple[str, Callable[[], tuple[Any, Any] | None]]] = {
    "digits": ("MLPClassifier", of_scikit_learn("digits")),
    "breast cancer": ("MLPClassifier", of_scikit_learn("breast_cancer")),
    "wine": ("MLPClassifier", of_scikit_learn("wine")),
    "diabetes": ("MLPRegressor", of_scikit_learn("diabetes")),
    "california": ("MLPRegressor", california),
}
KINDS: dict[str, Any] = {"ranvier": ours, "scikit-learn": neural_network}


def timed(call: Callable[..., Any], *args: Any) -> float:
    """Seconds."""
    start = time.perf_counter()
    call(*args)
    return time.perf_counter() - start


def several(predict: Callable[[Any], Any], row: Any) -> None:
    """Predictions of a row, one after the other."""
    for _ in range(CALLS):
        predict(row)


def fits(kind: str, X: Any, y: Any, splits: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Seconds and scores of both on each split, and an estimator of each."""
    found: dict[str, Any] = {name: {"seconds": [], "scores": []} for name in KINDS}
    last: dict[str, Any] = {}
    stratify = y if kind == "MLPClassifier" else None
    getattr(ours, kind)(max_iter=1).fit(X[::3], y[::3])  # what is imported once is not counted
    for split in range(splits):
        train, test, y_train, y_test = train_test_split(
            X, y, test_size=0.25, random_state=split, stratify=stratify
        )
        scaler = StandardScaler().fit(train)
        train, test = scaler.transform(train), scaler.transform(test)
        names = list(KINDS) if split % 2 else list(KINDS)[::-1]
        for name in names:
            net = getattr(KINDS[name], kind)(random_state=split)
            seconds = timed(net.fit, train, y_train)
            found[name]["seconds"].append(seconds)
            found[name]["scores"].append(float(net.score(test, y_test)))
            last[name] = net, test[:1].copy()
    return found, last


def single_rows(last: dict[str, Any]) -> dict[str, float]:
    """The median time of a prediction of one row by each, in microseconds."""
    times: dict[str, list[float]] = {name: [] for name in KINDS}
    for _ in range(ROUNDS):
        for name, (net, row) in last.items():
            seconds = timed(several, net.predict, row)
            times[name].append(seconds / CALLS * 1e6)
    return {name: statistics.median(values) for name, values in times.items()}


def measure(name: str, splits: int) -> dict[str, Any] | None:
    """All figures of one data set; None where it is not there."""
    kind, load = SETS[name]
    data = load()
    if data is None:
        return None
    found, last = fits(kind, *data, splits)
    medians = {who: statistics.median(each["seconds"]) for who, each in found.items()}
    differences = np.subtract(*(found[who]["scores"] for who in KINDS))
    error = float(differences.std(ddof=1) / np.sqrt(splits)) if splits > 1 else float("nan")
    row = single_rows(last)
    return {
        **found,
        "times as fast": medians["scikit-learn"] / medians["ranvier"],
        "score difference": float(differences.mean()),
        "two standard errors": 2 * error,
        "predict, us": row,
        "predict, times as fast": row["scikit-learn"] / row["ranvier"],
    }


def shown(name: str, found: dict[str, Any]) -> str:
    """Lines for people."""
    lines = [f"{name}: {found['times as fast']:.1f} times as fast"]
    for who in KINDS:
        times, scores = (np.array(found[who][part]) for part in ("seconds", "scores"))
        lines.append(
            f"  {who:13} fit {np.median(times) * 1e3:8.1f} ms ({times.min() * 1e3:.1f} to "
            f"{times.max() * 1e3:.1f})  score {scores.mean():.4f}  one row "
            f"{found['predict, us'][who]:.1f} us"
        )
    lines.append(
        f"  score difference {found['score difference']:+.5f} +- "
        f"{found['two standard errors']:.5f}, a row {found['predict, times as fast']:.1f} times as "
        "fast"
    )
    return "\n".join(lines)


def main() -> None:
    """All that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--only", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    warnings.filterwarnings("ignore", "Stochastic Optimizer")
    results = {}
    for name in options.only:
        found = measure(name, options.splits)
        if found is None:
            print(f"{name}: left out, RANVIER_DATA names no folder with it")
            continue
        results[name] = found
        print(shown(name, found), flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
