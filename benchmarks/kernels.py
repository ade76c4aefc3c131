"""Vector kernels as a user calls them, beside NumPy and PyTorch: a table of ratios.

    python benchmarks/kernels.py
    python benchmarks/kernels.py --filter softmax --threads 1 --rounds 9

Activations, softmax, cross-entropy and layer norm forward and backward, Adam, at the sizes that
count and at their neighbours. The libraries take turns within a round, so that a busy machine is
busy for all of them; a ratio is the median over the rounds of the best other library's time by
ours, above 1 where Ranvier is faster. `target` is the ratio that a row is meant to reach.

GB/s counts what a call must read and write once. The last column is its share of what copying
reaches on this machine with as many threads in arrays of the same size, measured here; a row of
arithmetic stays below it. PyTorch has its column where it is installed. It times and judges
nothing; no test depends on it.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

import ranvier as rv

Action = Callable[[], object]


class Row(NamedTuple):
    """One line of the table: what is called, and the bytes that a call must move."""

    name: str
    ours: Action
    peers: dict[str, Action]
    bytes: float
    target: str = ""


def _array(*shape: int) -> Any:
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


def _elementwise(torch: Any) -> Iterator[Row]:
    targets = {
        "gelu": {10**4: "2", 10**6: "1.5", 10**7: "5"},
        "tanh": {10**4: "1.2", 10**6: "2"},
        "exp": {10**6: "3", 10**7: "2"},
        "sigmoid": {10**6: "1.5"},
        "relu": {10**6: "1"},
    }
    numpys: dict[str, Any] = {"tanh": np.tanh, "exp": np.exp, "relu": None}
    for name, wanted in targets.items():
        for n in (10**3, 10**4, 123457, 10**6, 10**7):
            x = _array(n)
            peers: dict[str, Action] = {}
            if name in numpys:
                out, f = np.empty_like(x), numpys[name]
                peers["NumPy"] = lambda f=f, x=x, out=out: (
                    np.maximum(x, 0, out=out) if f is None else f(x, out=out)
                )
            if torch:
                xt = torch.from_numpy(x)
                ft = torch.nn.functional.gelu if name == "gelu" else getattr(torch, name)
                if name == "gelu":
                    peers["torch"] = lambda f=ft, x=xt: f(x)
                else:
                    to = torch.empty(n)
                    peers["torch"] = (
                        (lambda x=xt, to=to: torch.clamp_min(x, 0, out=to))
                        if name == "relu"
                        else (lambda f=ft, x=xt, to=to: f(x, out=to))
                    )
            f, ours = getattr(rv.nn.functional if name == "gelu" else rv, name), rv.from_numpy(x)
            yield Row(
                f"{name} {n:.0e}" if n in (10**3, 10**4, 10**6, 10**7) else f"{name} {n}",
                lambda f=f, x=ours: f(x),
                peers,
                8.0 * n,
                wanted.get(n, ""),
            )


def _softmax(torch: Any) -> Iterator[Row]:
    wanted = {(128, 10): "7", (4096, 1000): "1.5"}

    def call(f: Any, x: Any) -> Action:
        return lambda: f(x, 1)

    for shape in ((32, 10), (128, 10), (768, 65), (1000, 1000), (4096, 1000), (1024, 50257)):
        x = _array(*shape)
        peers: dict[str, Action] = {}
        if torch:
            peers["torch"] = call(torch.softmax, torch.from_numpy(x))
        name = f"softmax {shape[0]}x{shape[1]}"
        yield Row(
            name, call(rv.softmax, rv.from_numpy(x)), peers, 8.0 * x.size, wanted.get(shape, "")
        )


def _cross_entropy(torch: Any) -> Iterator[Row]:
    wanted = {(128, 10): "10", (768, 65): "4", (4096, 1000): "3", (1024, 50257): "12"}
    shapes = ((32, 10), (128, 10), (768, 65), (500, 333), (4096, 1000), (1024, 50257))

    def call(f: Any, x: Any, y: Any) -> Action:
        def step() -> None:
            x.grad = None
            f(x, y).backward()

        return step

    for rows, classes in shapes:
        x, y = _array(rows, classes), np.random.default_rng(1).integers(0, classes, rows)
        ours = rv.from_numpy(x.copy()).requires_grad_()
        peers: dict[str, Action] = {}
        if torch:
            xt = torch.from_numpy(x).requires_grad_()
            peers["torch"] = call(torch.nn.functional.cross_entropy, xt, torch.from_numpy(y))
        yield Row(
            f"cross-entropy f+b {rows}x{classes}",
            call(rv.nn.functional.cross_entropy, ours, rv.from_numpy(y)),
            peers,
            12.0 * x.size,
            wanted.get((rows, classes), ""),
        )


def _layer_norm(torch: Any) -> Iterator[Row]:
    wanted = {(768, 128): "2.5", (4096, 1024): "1.5"}

    def call(f: Any, tensors: list[Any], g: Any, width: int) -> Action:
        x, w, b = tensors

        def step() -> None:
            x.grad = w.grad = b.grad = None
            f(x, (width,), w, b).backward(g)

        return step

    for rows, width in ((128, 64), (768, 128), (1000, 300), (4096, 1024)):
        arrays = [_array(rows, width), np.ones(width, "f4"), np.zeros(width, "f4")]
        g = np.random.default_rng(1).standard_normal((rows, width), dtype=np.float32)
        ours = [rv.from_numpy(a.copy()).requires_grad_() for a in arrays]
        peers: dict[str, Action] = {}
        if torch:
            theirs = [torch.from_numpy(a).requires_grad_() for a in arrays]
            peers["torch"] = call(
                torch.nn.functional.layer_norm, theirs, torch.from_numpy(g), width
            )
        yield Row(
            f"layer norm f+b {rows}x{width}",
            call(rv.nn.functional.layer_norm, ours, rv.from_numpy(g), width),
            peers,
            20.0 * rows * width,
            wanted.get((rows, width), ""),
        )


def _adam(torch: Any) -> Iterator[Row]:
    wanted = {10**4: "8", 10**6: "1.2", 2 * 10**7: "1"}

    def step_of(library: Any, n: int, **settings: Any) -> Action:
        x = library.from_numpy(_array(n)).requires_grad_()
        x.grad = library.from_numpy(_array(n))
        return library.optim.Adam([x], **settings).step  # type: ignore[no-any-return]

    for n in (10**3, 10**4, 123457, 10**6, 2 * 10**7):
        peers = {"torch": step_of(torch, n, fused=True)} if torch else {}
        yield Row(f"Adam step {n:.6g}", step_of(rv, n), peers, 28.0 * n, wanted.get(n, ""))


FAMILIES = (_elementwise, _softmax, _cross_entropy, _layer_norm, _adam)


# ---- how times are taken


def _once(action: Action, calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        action()
    return (time.perf_counter() - start) / calls


def _round_of(action: Action, seconds: float) -> float:
    """The median of single calls, or of small lots where a call is short."""
    action()
    lot = max(1, int(2e-4 / max(_once(action, 1), 1e-7)))
    times = [_once(action, lot)]
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        times.append(_once(action, lot))
    return statistics.median(times)


def copy_speed(total: float, threads: int) -> float:
    """Bytes a second, read and written, of copying between arrays of `total` bytes together."""
    half = max(int(total / 2 / threads), 1 << 12) // 4
    done = [0.0] * threads

    def work(i: int) -> None:
        a, b = np.ones(half, "f4"), np.ones(half, "f4")
        np.copyto(b, a)
        times = []
        end = time.perf_counter() + 0.12
        while time.perf_counter() < end:
            times.append(_once(lambda: np.copyto(b, a), max(1, int(2e6 / half))))
        done[i] = 8 * half / min(times)

    team = [threading.Thread(target=work, args=(i,)) for i in range(threads)]
    for one in team:
        one.start()
    for one in team:
        one.join()
    return sum(done)


def _measure(row: Row, rounds: int, seconds: float) -> dict[str, list[float]]:
    actions = {"Ranvier": row.ours, **row.peers}
    for action in actions.values():
        action()
    times: dict[str, list[float]] = {who: [] for who in actions}
    gc.disable()
    for _ in range(rounds):
        for who, action in actions.items():
            times[who].append(_round_of(action, seconds))
    gc.enable()
    return times


def _line(row: Row, times: dict[str, list[float]], columns: list[str], threads: int) -> str:
    us = {who: statistics.median(column) * 1e6 for who, column in times.items()}
    cells = "".join(f"{us[who]:12.1f}" if who in us else f"{'-':>12}" for who in columns)
    ratio = ""
    if row.peers:
        each = [
            min(times[who][i] for who in row.peers) / ours
            for i, ours in enumerate(times["Ranvier"])
        ]
        ratio = f"{statistics.median(each):.2f} ({min(each):.2f} to {max(each):.2f})"
    speed = row.bytes / us["Ranvier"] / 1e3
    share = ""
    if row.bytes >= 1e6:
        share = f"{100 * speed * 1e9 / copy_speed(row.bytes, threads):4.0f} %"
    return f"{row.name:30}{cells}  {ratio:24}{row.target:>6}{speed:8.1f} {share}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.05, help="of one library in a round")
    parser.add_argument("--threads", type=int, default=0, help="default: 1, then all")
    parser.add_argument("--filter", default="", help="only rows with this in their names")
    parser.add_argument("--targets", action="store_true", help="only rows that have a target")
    given = parser.parse_args()
    try:
        torch = importlib.import_module("torch")
    except ImportError:
        torch = None
        print("PyTorch is not installed")
    columns = ["Ranvier", "NumPy"] + ["torch"] * bool(torch)
    counts = [given.threads] if given.threads else sorted({1, rv.get_num_threads()})
    for threads in counts:
        rv.set_num_threads(threads)
        if torch:
            torch.set_num_threads(threads)
        print(f"{rv.cpu_info()['isa']}, {threads} thread(s); us, medians of {given.rounds} rounds")
        heads = "".join(f"{name:>12}" for name in columns)
        print(f"{'':30}{heads}  {'times as fast':24}{'target':>6}{'GB/s':>8} of copying")
        for family in FAMILIES:
            for row in family(torch):
                if given.filter in row.name and (row.target or not given.targets):
                    times = _measure(row, given.rounds, given.seconds)
                    print(_line(row, times, columns, threads), flush=True)


if __name__ == "__main__":
    main()
