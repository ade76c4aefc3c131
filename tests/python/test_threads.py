"""Threads as a user meets them: how many there are, children of fork and spawn, the end of it all.

Each in a process of its own, as what is tested is what a process starts with or ends with. Loops
over threads themselves are tested in C++ (`test_parallel*.cpp`, `test_cpus.cpp`).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import ranvier as rv
from ranvier import _C

LINUX = sys.platform == "linux"


def python(*arguments: str, prefix: tuple[str, ...] = (), **env: str) -> str:
    """What Python prints in a process of its own."""
    full = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    for name in ("RANVIER_NUM_THREADS", "OMP_NUM_THREADS", "RANVIER_GRAIN"):
        full.pop(name, None)
    command = [*prefix, sys.executable, *arguments]
    run = subprocess.run(command, env={**full, **env}, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr[-3000:]
    return run.stdout.strip()


def threads(*prefix: str, **env: str) -> str:
    code = "import ranvier as rv; print(rv.get_num_threads())"
    return python("-c", code, prefix=prefix, **env)


def test_number_of_threads() -> None:
    assert threads(RANVIER_NUM_THREADS="3") == "3"
    assert threads(OMP_NUM_THREADS="5") == "5"
    assert threads(RANVIER_NUM_THREADS="3", OMP_NUM_THREADS="5") == "3"
    assert threads(OMP_NUM_THREADS="4,2") == threads(), "with a meaning that is OpenMP's alone"
    assert 1 <= int(threads()) <= (os.cpu_count() or 1)


@pytest.mark.skipif(not LINUX or not shutil.which("taskset"), reason="needs taskset")
def test_affinity() -> None:
    first = min(os.sched_getaffinity(0))
    assert threads("taskset", "-c", str(first)) == "1"


def test_which_threads() -> None:
    assert rv.cpu_info()["parallel"] == _C.thread_team()
    assert _C.thread_team() in ("pool", "openmp")


@pytest.mark.skipif(not LINUX or not shutil.which("ldd"), reason="needs ldd")
def test_the_pool_loads_no_openmp() -> None:
    """A second OpenMP in the process is what the pool is there to avoid."""
    linked = subprocess.run(["ldd", _C.__file__], capture_output=True, text=True).stdout
    loads_it = any(name in linked for name in ("libgomp", "libomp", "libiomp"))
    assert loads_it == (_C.thread_team() == "openmp"), linked


TRAIN = """
import hashlib, multiprocessing, sys
import ranvier as rv
from ranvier import nn

def train():
    rv.set_num_threads(3)
    rv._C.set_grain(500)
    rv.manual_seed(0)
    x, y = rv.randn(200, 40), rv.randint(0, 3, (200,))
    net = nn.Sequential(nn.Linear(40, 60), nn.Tanh(), nn.Dropout(0.1), nn.Linear(60, 3))
    rv.fit(net, x, y, loss="cross_entropy", epochs=3, batch_size=64, verbose=0)
    digest = hashlib.sha256()
    for tensor in net.state_dict().values():
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()

def child(queue):
    queue.put(train())

if __name__ == "__main__":
    mine = train()
    for how in multiprocessing.get_all_start_methods():
        context = multiprocessing.get_context(how)
        queue = context.Queue()
        children = [context.Process(target=child, args=(queue,)) for _ in range(2)]
        for process in children:
            process.start()
        results = [queue.get(timeout=120) for _ in children]
        for process in children:
            process.join()
        assert all(process.exitcode == 0 for process in children)
        print(how, results == [mine, mine])
    print("parent", train() == mine)
"""


@pytest.mark.skipif(not LINUX, reason="fork is safe on Linux alone")
def test_children_train_to_the_same_bytes(tmp_path: Path) -> None:
    """After training in the parent, forked and spawned children train, with threads, as it did."""
    script = tmp_path / "train.py"
    script.write_text(TRAIN)
    lines = python(str(script)).splitlines()
    assert {"fork True", "spawn True", "parent True"} <= set(lines), lines


@pytest.mark.parametrize("how", ["", "sys.exit(3)", "os._exit(3)", "raise SystemExit(3)"])
def test_the_process_ends_while_threads_compute(how: str) -> None:
    """Daemon threads in the middle of loops: the process ends at once, without a crash."""
    code = f"""
import os, sys, threading, time
import ranvier as rv
rv.set_num_threads(3)
x = rv.randn(300, 300)
def work():
    while True:
        (x @ x).exp().sum()
for _ in range(3):
    threading.Thread(target=work, daemon=True).start()
time.sleep(0.05)
try:
    {how or "pass"}
except SystemExit:
    sys.exit(0)
"""
    full = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    run = subprocess.run([sys.executable, "-c", code], env=full, capture_output=True, timeout=120)
    assert run.returncode == (3 if how == "os._exit(3)" else 0), run.stderr.decode()[-2000:]


def test_signals_reach_the_main_thread() -> None:
    """Control-C ends a computation although other threads sleep or work."""
    code = """
import os, signal, threading, time
import ranvier as rv
signal.signal(signal.SIGINT, signal.default_int_handler)  # it may have been started with none
rv.set_num_threads(4)
x = rv.randn(400, 400)
threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
try:
    while True:
        x @ x
except KeyboardInterrupt:
    print("interrupted")
"""
    assert python("-c", code) == "interrupted"
