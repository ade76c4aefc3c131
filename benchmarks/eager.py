"""What one eager operation on small tensors costs from Python, beside NumPy's and PyTorch's.

    make bench
    make bench ARGS="--rounds 20 --filter matmul"
    python benchmarks/eager.py

Prints for each operation the median over the rounds in nanoseconds, with the least and the most in
brackets; the libraries take turns within a round, so that a busy machine is busy for all of them.
PyTorch has its column where it is installed. The last columns are for Ranvier alone: how often its
allocator asked the system for memory in 1,000 operations once the first ones had run, and by how
many bytes the C heap grew meanwhile (a C library other than glibc: no figure). Both should be 0.

All run in one thread. It times and judges nothing; no test depends on it.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import importlib
import statistics
import timeit
from collections.abc import Callable
from typing import Any

import numpy as np

import ranvier as rv
from ranvier import _C

Action = Callable[[], object]
STEADY = 1000  # operations that memory requests are counted over


def operations(library: Any) -> dict[str, Action]:
    """What is timed, for a library with PyTorch's names."""
    a, b = library.ones(4, 4), library.ones(4, 4)
    m, n = library.ones(8, 8), library.ones(8, 8)
    x, w = library.ones(4, 4, requires_grad=True), library.ones(8, 8, requires_grad=True)
    big = library.ones(16, 16)
    picked = library.tensor([3, 1, 4])
    relu, matmul = library.relu, library.matmul

    def add_backward() -> None:
        (x + b).sum().backward()
        x.grad = None

    def layer_backward() -> None:
        relu(matmul(m, w)).sum().backward()
        w.grad = None

    return {
        "add 4x4": lambda: a + b,
        "add a number": lambda: a + 1.5,
        "add in place": lambda: a.mul_(1.0),
        "relu 4x4": lambda: relu(a),
        "sum 4x4": lambda: a.sum(),
        "matmul 8x8": lambda: matmul(m, n),
        "view (reshape)": lambda: a.reshape(16),
        "index [3]": lambda: big[3],
        "index [2:9, ::2]": lambda: big[2:9, ::2],
        "index [tensor]": lambda: big[picked],
        "assign [3] = 1": lambda: big.__setitem__(3, 1.0),
        "item": lambda: big[0, 0].item(),
        "add, recorded": lambda: x + b,
        "matmul, recorded": lambda: matmul(m, w),
        "add, sum, backward": add_backward,
        "matmul, relu, sum, backward": layer_backward,
    }


def numpys() -> dict[str, Action]:
    """The same with NumPy, where it has it."""
    a, b = np.ones((4, 4), "f4"), np.ones((4, 4), "f4")
    m, n, big = np.ones((8, 8), "f4"), np.ones((8, 8), "f4"), np.ones((16, 16), "f4")
    picked, zero = np.array([3, 1, 4]), np.float32(0)
    return {
        "add 4x4": lambda: a + b,
        "add a number": lambda: a + 1.5,
        "add in place": lambda: np.multiply(a, 1.0, out=a),
        "relu 4x4": lambda: np.maximum(a, zero),
        "sum 4x4": lambda: a.sum(),
        "matmul 8x8": lambda: m @ n,
        "view (reshape)": lambda: a.reshape(16),
        "index [3]": lambda: big[3],
        "index [2:9, ::2]": lambda: big[2:9, ::2],
        "index [tensor]": lambda: big[picked],
        "assign [3] = 1": lambda: big.__setitem__(3, 1.0),
        "item": lambda: big[0, 0].item(),
    }


def once(action: Action, calls: int) -> float:
    """Nanoseconds of one call out of many."""
    return timeit.timeit(action, number=calls) / calls * 1e9


def calls_for(action: Action) -> int:
    """As many calls as take about 10 ms."""
    once(action, 20)
    return max(20, min(20000, int(1e7 / once(action, 50))))


class _Heap(ctypes.Structure):
    """glibc's struct mallinfo2, of which the first and the fifth are read."""

    _fields_ = [
        ("arena", ctypes.c_size_t),
        ("between", ctypes.c_size_t * 3),
        ("hblkhd", ctypes.c_size_t),
        ("rest", ctypes.c_size_t * 5),
    ]


def heap() -> int | None:
    """Bytes that the C library holds from the system; None where it does not say."""
    try:
        ask = ctypes.CDLL(None).mallinfo2
    except (OSError, AttributeError):
        return None
    ask.restype = _Heap
    now = ask()
    return int(now.arena + now.hblkhd)


def requests(action: Action) -> str:
    """What an operation asks of the system once the first ones have run."""
    for _ in range(STEADY):
        action()
    before, bytes_before = _C.system_requests(), heap()
    for _ in range(STEADY):
        action()
    grown = heap()
    text = f"{_C.system_requests() - before:6}"
    return text if grown is None or bytes_before is None else f"{text} {grown - bytes_before:8}"


def shown(times: list[float]) -> str:
    return f"{statistics.median(times):7.0f} ({min(times):.0f} to {max(times):.0f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--filter", default="", help="only operations with this in their names")
    given = parser.parse_args()
    rv.set_num_threads(1)
    columns = {"Ranvier": operations(rv), "NumPy": numpys()}
    try:
        torch = importlib.import_module("torch")
    except ImportError:
        print("PyTorch is not installed")
    else:
        torch.set_num_threads(1)
        columns["PyTorch"] = operations(torch)
    print(f"{rv.cpu_info()['isa']}, 1 thread; ns, median (least to most) of {given.rounds} rounds")
    print(f"{'':28}" + "".join(f"{name:>24}" for name in columns) + "  requests, bytes of heap")
    for name, action in columns["Ranvier"].items():
        if given.filter not in name:
            continue
        actions = {who: column[name] for who, column in columns.items() if name in column}
        calls = {who: calls_for(action) for who, action in actions.items()}
        times: dict[str, list[float]] = {who: [] for who in columns}
        gc.disable()
        for _ in range(given.rounds):
            for who, one in actions.items():
                times[who].append(once(one, calls[who]))
        gc.enable()
        cells = [shown(column) if column else "-" for column in times.values()]
        print(f"{name:28}" + "".join(f"{c:>24}" for c in cells) + f"  {requests(action)}")


if __name__ == "__main__":
    main()
