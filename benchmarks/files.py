"""What saving costs beside writing the same bytes, and what loading costs before and after use.

    python benchmarks/files.py [--quick] [--megabytes N] [--folder FOLDER]

`save` writes tensors of a hundred megabytes together; `by hand` writes the same bytes to a file
beside it, brings them to the disk and renames it, as whoever wants his old file back must. Both
take turns, in the folder of the results unless another one is named. Loading is a process of its
own, which says by how much it grows: before anything is used, once all of it was read, once all of
it was changed. A run leaves its figures in results/files.json. It times; no test depends on it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from suite import resident, results

import ranvier as rv

TENSORS = 25


def by_hand(path: Path, tensors: dict[str, rv.Tensor]) -> None:
    """The bytes of contiguous tensors, whole or not at all."""
    temporary = path.with_suffix(".part")
    with open(temporary, "wb", buffering=0) as file:
        for tensor in tensors.values():
            file.write(memoryview(tensor.numpy()).cast("B"))
        os.fsync(file.fileno())
    os.replace(temporary, path)
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def milliseconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return (time.perf_counter() - start) * 1e3


def saving(folder: Path, megabytes: int, rounds: int) -> dict[str, Any]:
    """Times of both ways to write, which take turns, and the ratio of their medians."""
    count = megabytes * 250_000 // TENSORS
    tensors = {f"layer{i}.weight": rv.randn(count // 1000, 1000) for i in range(TENSORS)}
    turned = {name: tensor.T for name, tensor in tensors.items()}
    actions = {
        "by hand": lambda: by_hand(folder / "hand", tensors),
        "save": lambda: rv.save(tensors, folder / "saved"),
        "save, transposed": lambda: rv.save(turned, folder / "turned"),
    }
    times: dict[str, list[float]] = {name: [] for name in actions}
    names = list(actions)
    for turn in range(rounds + 1):
        for name in names:
            took = milliseconds(actions[name])
            if turn:  # the first one makes the files
                times[name].append(took)
        names.append(names.pop(0))  # whoever comes first finds another disk than the last
    found: dict[str, Any] = {name: three(took) for name, took in times.items()}
    ratios = [a / b for a, b in zip(times["save"], times["by hand"], strict=True)]
    found["save / by hand"] = round(statistics.median(ratios), 3)
    return found


def three(times: list[float]) -> dict[str, float]:
    """Median, least and most."""
    values = {"median": statistics.median(times), "min": min(times), "max": max(times)}
    return {name: round(value, 3) for name, value in values.items()}


def load(path: str, mmap: str) -> dict[str, float]:
    """Run in a process of its own: time, and megabytes by which it grows."""
    rv.load(path)  # code of the first call, and the libraries it needs
    bare = resident.status()["now"]
    start = time.perf_counter()
    tensors = rv.load(path, mmap=mmap == "True")
    took = (time.perf_counter() - start) * 1e3
    grown = {"loaded": resident.status()["now"]}
    for tensor in tensors.values():
        tensor.sum()
    grown["read"] = resident.status()["now"]
    for tensor in tensors.values():
        tensor += 1.0
    grown["changed"] = resident.status()["now"]
    sizes = {f"{name}, MB": round((now - bare) / 1e6, 3) for name, now in grown.items()}
    return {"load, ms": round(took, 3), **sizes}


def loading(path: Path, mmap: bool) -> dict[str, float]:
    """The run of middle time out of three."""
    command = [sys.executable, str(Path(__file__).resolve()), "--load", str(path), str(mmap)]
    runs = [subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(3)]
    found: list[dict[str, float]] = [json.loads(run.stdout) for run in runs]
    return sorted(found, key=lambda row: row["load, ms"])[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--folder", type=Path, default=results.FOLDER)
    parser.add_argument("--load", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.load:
        print(json.dumps(load(*given.load)))
        return
    given.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        found = saving(Path(name), given.megabytes, 3 if given.quick else 9)
        mapped, whole = (loading(Path(name, "saved"), mmap) for mmap in (True, False))
    for row in ("by hand", "save", "save, transposed"):
        times = found[row]
        print(f"{row:20}{times['median']:8.1f} ms ({times['min']:.1f} to {times['max']:.1f})")
    print(f"{'save / by hand':20}{found['save / by hand']:8.2f}")
    for word, row in (("mapped", mapped), ("mmap=False", whole)):
        print(f"load, {word:14}" + ", ".join(f"{what} {value:.2f}" for what, value in row.items()))
    figures = {"saving": found, "loading": {"mapped": mapped, "mmap=False": whole}}
    results.save("files", {"megabytes": given.megabytes, "unit": "ms", **figures})


if __name__ == "__main__":
    main()
