"""`make bench`, `make bench-peers` and `make bench-selftest`: builds and fetches what the programs
in benchmarks/ need, then runs them one after the other.

QUICK=1 in the environment has each measure the most telling part; peers.py knows of YES and PEERS.
What is measured, and how, those programs say.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

from common import BUILD, ROOT, VENV_PYTHON, say
from install import (
    alone,
    build,
    build_in_wheel_directory,
    built_with,
    cmake_build,
    install_build_tools,
    install_extra,
    wheel_directory,
)
from machine import Compiler, Need, compiles, find_compiler
from peers import prepare_peers
from steps import Step


def quick() -> list[str]:
    """What QUICK=1 adds to a program's arguments."""
    return ["--quick"] if os.environ.get("QUICK", "0") not in ("", "0") else []


def run(program: str, arguments: list[str]) -> int:
    command = [str(VENV_PYTHON), f"benchmarks/{program}", *arguments]
    return subprocess.run(command, cwd=ROOT).returncode


def native_compiler() -> Compiler | None:
    """What can build the native suite; None, and what to install, where something is missing."""
    wheel = built_with()
    if wheel and shutil.which(shlex.split(wheel)[0]):
        os.environ.setdefault("CXX", wheel)  # its core is there already
    compiler = find_compiler()
    if isinstance(compiler, Need):
        say(f"native benchmarks: skipped, {compiler.words} not found")
        return None
    if not compiles(compiler, "#include <benchmark/benchmark.h>\n"):
        advice = "sudo apt-get install -y libbenchmark-dev"
        if not shutil.which("apt-get"):
            advice = "install it to run them"
        say(f"native benchmarks: skipped, Google Benchmark not found; {advice}")
        return None
    return compiler


def native_suite(compiler: Compiler) -> Path:
    """The program, linked with the core that the wheel has been built from.

    Where that build is gone, the preset makes one of its own.
    """
    with alone():
        directory = wheel_directory(compiler)
        step = Step("building the native benchmarks", "bench.log", "bench")
        install_build_tools(step)
        if directory is None:
            cmake_build(step, "bench", compiler, [])
            directory = BUILD / "bench"
        else:
            build_in_wheel_directory(step, directory, "RANVIER_BUILD_BENCHMARKS", "ranvier_bench")
        step.finish()
    return directory / "ranvier_bench"


def bench(arguments: list[str]) -> int:
    """Everything, or what the arguments name: Google Benchmark's flags run the native suite."""
    flags = [argument for argument in arguments if argument.startswith("--benchmark_")]
    if flags:
        compiler = native_compiler()
        if compiler is None:
            return 1
        if wheel_directory(compiler) is None:
            build("bench")
        return subprocess.run([str(native_suite(compiler)), *flags], cwd=ROOT).returncode
    build("bench")
    install_extra("bench", "bench")
    compiler = native_compiler()
    native = ["--native", str(native_suite(compiler).relative_to(ROOT))] if compiler else []
    return run("bench.py", [*native, *quick(), *arguments])


def bench_peers(arguments: list[str]) -> int:
    """The programs that compare with others, each to its end; arguments are for the first alone."""
    build("bench-peers")
    install_extra("bench", "bench-peers")
    python, labels = prepare_peers(os.environ)
    peers = ["--peers", *labels, "--peers-python", str(python), *quick()]
    if arguments:
        return run("compare.py", [*peers, *arguments])
    codes = {}
    for program in ("compare.py", "growth.py", "footprint.py"):
        say(f"\nbenchmarks/{program}")
        codes[program] = run(program, peers)
    failed = [program for program, code in codes.items() if code]
    if failed:
        say(f"failed: {', '.join(failed)}")
    return max(codes.values(), key=abs)


def bench_selftest(arguments: list[str]) -> int:
    build("bench-selftest")
    return run("regress.py", ["--selftest", *quick(), *arguments])
