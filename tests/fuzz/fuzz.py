"""Random public calls: each must return something sane or raise an ordinary exception, in time.

    make fuzz                                    for a minute, under the sanitizers
    make fuzz ARGS="--seconds 600 --seed 7"
    make fuzz ARGS="--seed 7 --replay 123456"    the calls up to this one, printed one by one

A process of its own makes the calls; this one watches it, and after a crash or a hang says which
call that was and goes on behind it. Calls come in episodes of 200 with tensors of their own, so
that an episode's seed and number are all that a replay needs. What is random is in values.py,
what is called in calls.py. It works without the sanitizers too: `python tests/fuzz/fuzz.py`.
"""

from __future__ import annotations

import argparse
import collections
import faulthandler
import json
import math
import mmap
import os
import random
import re
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

EPISODE = 200  # calls
SLOW = 8.0  # seconds of CPU time that no call may take
HANG = 60.0  # seconds of wall time until the watcher gives up on a call
CRASHES = 10  # after which it stops
# Messages of pybind11 that no caller should see, and those of Python and pybind11 for what we might
# have said better: the first are failures, the second are listed with --messages.
FOREIGN = re.compile("Unregistered type|return value|instance allocation|Unable to cast Python")
UNFRIENDLY = re.compile("incompatible (function|constructor) arguments|object has no attribute")


# ---- the process that calls


def tensors_in(result: Any, depth: int = 0) -> list[Any]:
    """The tensors of a result, also inside of tuples and lists."""
    import ranvier as rv

    if isinstance(result, rv.Tensor):
        return [result]
    if isinstance(result, (tuple, list)) and depth < 3:
        return [t for item in result[:20] for t in tensors_in(item, depth + 1)]
    return []


def check(t: Any) -> None:
    """Shape, strides and number of elements agree, and every element can be read."""
    from ranvier import _C

    shape, strides = tuple(t.shape), t.stride()
    assert all(type(n) is int and n >= 0 for n in shape), f"sizes {shape}"
    assert t.numel() == math.prod(shape), f"{t.numel()} elements in {shape}"
    assert len(shape) == len(strides) == t.ndim <= 8, f"strides {strides} for {shape}"
    assert all(s >= 0 for s in strides) and t.storage_offset() >= 0, f"strides {strides}"
    assert t.element_size() == t.dtype.itemsize
    assert t.dtype.is_floating_point or not t.requires_grad, "a gradient of integers"
    if t.numel() <= 10**5:
        copied = _C.ops.clone(t.detach())
        assert copied.shape == t.shape and copied.dtype is t.dtype
    if t.grad is not None:
        assert t.grad.shape == t.shape and t.grad.dtype is t.dtype, "a gradient of another shape"


def shown(value: Any, depth: int = 0) -> str:
    """An argument in a few words."""
    import ranvier as rv

    if isinstance(value, rv.Tensor):
        extra = "" if value.is_contiguous() else f" strides {value.stride()}"
        return f"<{value.dtype.name} {tuple(value.shape)}{extra}{' grad' * value.requires_grad}>"
    if type(value) in (tuple, list) and depth < 2:
        inner = ", ".join(shown(item, depth + 1) for item in value[:8])
        return f"[{inner}]" if type(value) is list else f"({inner},)"
    if type(value).__module__ == "numpy" and hasattr(value, "shape"):
        return f"<np {value.dtype} {value.shape}>"
    return ascii(value)[:80]


def text_of(call: Any) -> str:
    """A call as it might be typed."""
    words = [shown(a) for a in call.args] + [f"{k}={shown(x)}" for k, x in call.kwargs.items()]
    return f"{call.name}({', '.join(words)})"


class Worker:
    """Makes the calls of one episode after another and keeps count."""

    def __init__(self, given: argparse.Namespace, board: mmap.mmap | None) -> None:
        self.given, self.board = given, board
        self.counts: collections.Counter[str] = collections.Counter()
        self.findings: dict[str, str] = {}
        self.failures = 0
        self.slowest = (0.0, 0, "")

    def settings(self, rng: random.Random) -> None:
        """Threads, chunks and instruction set of an episode; all else as at the start."""
        import ranvier as rv
        from ranvier import _C

        rv.set_grad_enabled(True)
        rv.set_default_dtype(rv.float32)
        rv.set_printoptions(profile="default")
        rv.manual_seed(0)
        rv.set_num_threads(rng.choice((1, 1, 1, 2)))
        _C.set_grain(rng.choice((0, 0, 1, 7)))
        _C.set_isa(rng.choice(_C.available_isas()))

    def finding(self, key: str, number: int, call: Any, error: BaseException | None = None) -> None:
        """Says a thing once."""
        if key in self.findings:
            return
        self.findings[key] = f"call {number}: {text_of(call)}"
        said = "" if error is None else f"\n    {type(error).__name__}: {str(error)[:300]}"
        print(f"{key}\n    call {number}: {text_of(call)}{said}", flush=True)

    def fail(self, what: str, number: int, call: Any, error: BaseException | None = None) -> None:
        """A failure: said once for each function, counted always."""
        self.failures += 1
        self.finding(f"FAILURE {what} in {call.name}", number, call, error)

    def judge(self, error: BaseException, number: int, call: Any) -> None:
        """Whether an exception is one that a call may raise."""
        from calls import ALLOWED

        kind = type(error).__name__
        self.counts[kind] += 1
        if isinstance(error, RecursionError) or not isinstance(error, ALLOWED):
            self.fail(kind, number, call, error)
        elif found := FOREIGN.search(str(error)):
            self.fail(f"'{found[0]}'", number, call, error)
        elif self.given.messages and (found := UNFRIENDLY.search(str(error))):
            self.finding(f"'{found[0]}' in {call.name}", number, call, error)
        elif self.given.messages and not str(error).startswith("["):
            words = re.sub(r"[\d.]+|'[^']*'", "#", str(error))[:60]
            self.finding(f"message of {kind} in {call.name}: {words}", number, call, error)

    def one(self, number: int, values: Any, last: bool) -> None:
        """One call."""
        from calls import ALLOWED, next_call

        try:
            call = next_call(values)
        except ALLOWED:  # of the calls that make arguments
            self.counts["not made"] += 1
            return
        if self.given.replay is not None:
            print(f"{number}: {text_of(call)}", flush=True)
        start = time.process_time()
        try:
            result = call.function(*call.args, **call.kwargs)
        except Exception as error:
            result = None
            self.judge(error, number, call)
            if last:
                print(f"    {type(error).__name__}: {error}", flush=True)
        else:
            self.counts["returned"] += 1
        took = time.process_time() - start
        self.slowest = max(self.slowest, (took, number, call.name))
        if took > SLOW:
            self.fail(f"{took:.0f} seconds", number, call)
        try:
            for t in tensors_in(result):
                check(t)
                if not call.name.startswith("Tensor.") or values.odds(0.5):
                    values.keep(t)
        except Exception as error:
            self.fail("a result that is not sane", number, call, error)

    def episode(self, which: int, stop: int) -> None:
        """The calls of an episode, up to the number `stop`."""
        from values import Values

        rng = random.Random(f"{self.given.seed} {which}")
        self.settings(rng)
        values = Values(rng)
        for i in range(EPISODE):
            number = which * EPISODE + i
            if number >= stop:
                return
            if self.board:
                self.board[:8] = struct.pack("q", number)
            self.one(number, values, self.given.replay == number)

    def summary(self) -> dict[str, Any]:
        """What the watcher adds up."""
        return {
            "counts": self.counts,
            "failures": self.failures,
            "slowest": self.slowest,
            "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        }

    def run(self, first: int, until: float, state: Path) -> None:
        """Episodes until the time or the calls are used up."""
        which = first
        while time.time() < until and which * EPISODE < self.given.calls:
            self.episode(which, self.given.calls)
            which += 1
            if which % 20 == 0:
                state.write_text(json.dumps(self.summary()))
        state.write_text(json.dumps(self.summary()))


def work(given: argparse.Namespace) -> None:
    """The worker's process."""
    faulthandler.enable()
    warnings.simplefilter("ignore")
    sanitized = "libasan" in os.environ.get("LD_PRELOAD", "")
    if not sanitized:  # its shadow memory is larger than any limit; it has a limit of its own
        resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if given.replay is not None:
        which = given.replay // EPISODE
        Worker(given, None).episode(which, given.replay + 1)
        return
    with open(given.board, "r+b") as file:
        board = mmap.mmap(file.fileno(), 8)
    Worker(given, board).run(given.first, given.until, Path(given.state))


# ---- the process that watches


def watch(child: subprocess.Popen[bytes], board: mmap.mmap) -> str:
    """Waits for the worker; a word for how it ended, empty where all was well."""
    seen, since = -1, time.monotonic()
    while True:
        try:
            code = child.wait(0.5)
            return "" if code == 0 else f"the process ended with code {code}"
        except subprocess.TimeoutExpired:
            (number,) = struct.unpack("q", board[:8])
            if number != seen:
                seen, since = number, time.monotonic()
            elif time.monotonic() - since > HANG:
                child.send_signal(signal.SIGABRT)  # faulthandler says where it is
                try:
                    child.wait(10)
                except subprocess.TimeoutExpired:
                    child.kill()
                    child.wait()
                return f"no end after {HANG:.0f} seconds"


def supervise(given: argparse.Namespace) -> int:
    """Runs workers, one after another, until the time or the calls are used up."""
    counts: collections.Counter[str] = collections.Counter()
    failures = crashes = 0
    slowest, memory = (0.0, 0, ""), 0
    start = time.time()
    first = given.first
    print(f"seed {given.seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        board_path, state = Path(folder, "board"), Path(folder, "state")
        board_path.write_bytes(struct.pack("q", first * EPISODE))
        with open(board_path, "r+b") as file:
            board = mmap.mmap(file.fileno(), 8)
        until = start + given.seconds
        while time.time() < until and first * EPISODE < given.calls and crashes < CRASHES:
            state.write_text("{}")
            command = [
                *(sys.executable, __file__, "--worker", "--seed", str(given.seed)),
                *("--calls", str(given.calls), "--first", str(first), "--until", str(until)),
                *("--board", str(board_path), "--state", str(state)),
                *(["--messages"] if given.messages else []),
            ]
            board[:8] = struct.pack("q", -1)
            ended = watch(subprocess.Popen(command), board)
            done = json.loads(state.read_text())
            counts.update(done.get("counts", {}))
            failures += done.get("failures", 0)
            slowest = max(slowest, tuple(done.get("slowest", slowest)))
            memory = max(memory, done.get("memory", 0))
            (number,) = struct.unpack("q", board[:8])
            if not ended:
                break
            crashes += 1
            if number < 0:
                print(f"{ended} before its first call", flush=True)
                break
            again = f'make fuzz ARGS="--seed {given.seed} --replay {number}"'
            print(f"FAILURE in call {number}: {ended}; again:\n    {again}", flush=True)
            first = number // EPISODE + 1
    report(counts, failures + crashes, slowest, memory, time.time() - start)
    return 1 if failures or crashes else 0


def report(counts: Any, failures: int, slowest: Any, memory: int, took: float) -> None:
    """The end of a run."""
    total = sum(counts.values())
    raised = ", ".join(f"{n} {kind}" for kind, n in counts.most_common() if kind != "returned")
    print(f"{total} calls in {took:.0f} s: {counts['returned']} returned; {raised}")
    print(f"slowest: {slowest[0]:.2f} s, call {slowest[1]}, {slowest[2]}; {memory} MiB at most")
    print(f"{failures} failures")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--calls", type=int, default=2**62, help="the last call's number, plus one")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--replay", type=int, help="the number of a call")
    parser.add_argument("--first", type=int, default=0, help="the episode to begin with")
    parser.add_argument("--messages", action="store_true", help="list errors in others' words")
    for hidden, kind in (("--board", str), ("--state", str), ("--until", float)):
        parser.add_argument(hidden, type=kind, help=argparse.SUPPRESS)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker or given.replay is not None:
        work(given)
        return 0
    return supervise(given)


if __name__ == "__main__":
    sys.exit(main())
