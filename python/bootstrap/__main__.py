"""Builds Ranvier into .venv and runs what the Makefile names: demo, test, lint, fuzz, bench, ...

Runs before anything is installed, so it uses Python's standard library alone. It installs nothing
outside this directory (pip's cache aside), prints plain ASCII, and shows a moving line whenever
something takes more than a few seconds; the full output of every step is in build/*.log. It is
not part of the package and knows nothing about networks.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

from bench import bench, bench_peers, bench_selftest
from common import BUILD, OLDEST, ROOT, VENV, VENV_PYTHON, SetupError, output_of, say
from fuzzing import fuzz_files, run_calls
from install import alone, build, cmake_build, install_build_tools, install_extra, run_ctest
from machine import Compiler, Need, check_machine, compiles, find_compiler
from steps import Step


def run_pytest(arguments: list[str], env: dict[str, str] | None = None) -> int:
    command = [str(VENV_PYTHON), "-m", "pytest", *arguments]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, **(env or {})}).returncode


def demo() -> NoReturn:
    build("demo")
    os.chdir(ROOT)
    os.execv(VENV_PYTHON, [str(VENV_PYTHON), "-m", "ranvier", "demo", "digits"])


def cpp_tests() -> None:
    compiler = find_compiler()
    if isinstance(compiler, Need):
        say(f"C++ tests: skipped, {compiler.words} not found")
        return
    if not compiles(compiler, "#include <gtest/gtest.h>\n"):
        advice = "sudo apt-get install -y libgtest-dev cmake"
        if not shutil.which("apt-get"):
            advice = "install GoogleTest and CMake to run them"
        say(f"C++ tests: skipped, GoogleTest not found; {advice}")
        return
    # What .venv holds has the pool; clang has OpenMP only where libomp-dev is installed.
    openmp = compiles(compiler, "#include <omp.h>\n")
    with alone():
        step = Step("building the C++ tests", "cpp-tests.log", "test")
        install_build_tools(step)
        options = ["-DRANVIER_BUILD_TESTS=ON"]
        options += [f"-DRANVIER_PARALLEL={'openmp' if openmp else 'pool'}"]
        cmake_build(step, "default", compiler, options)
        step.finish()
    run_ctest("default", "test")


def test(arguments: list[str]) -> int:
    build("test")
    install_extra("test", "test")
    code = run_pytest(arguments)
    cpp_tests()
    return code


def slow_tests(arguments: list[str]) -> int:
    build("test-slow")
    install_extra("test", "test-slow")
    return run_pytest(["-m", "slow", *arguments])


def interop_tests(arguments: list[str]) -> int:
    """The tests that `test` skips where scikit-learn, pandas, SciPy or TensorBoard are missing."""
    build("test-interop")
    install_extra("test", "test-interop")
    install_extra("interop", "test-interop")
    calls = [f'importorskip("{name}' for name in ("sklearn", "pandas", "scipy", "tensorboard")]
    files = [
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / "tests" / "python").glob("test_*.py"))
        if any(call in path.read_text(encoding="utf-8") for call in calls)
    ]
    return run_pytest([*files, *arguments])


def lint() -> int:
    install_extra("lint", "lint")
    sources = [
        str(path.relative_to(ROOT))
        for top in ("benchmarks", "csrc", "examples", "tests/cpp", "tests/fuzz")
        for path in sorted((ROOT / top).rglob("*"))
        if path.suffix in (".h", ".cpp", ".inc", ".cu")
    ]
    python = str(VENV_PYTHON)
    worst = 0
    for name, command in {
        "ruff check": [python, "-m", "ruff", "check", "."],
        "ruff format": [python, "-m", "ruff", "format", "--check", "."],
        "mypy": [python, "-m", "mypy"],
        "clang-format": [str(VENV / "bin" / "clang-format"), "--dry-run", "-Werror", *sources],
    }.items():
        code = subprocess.run(command, cwd=ROOT).returncode
        say(f"{name}: {'ok' if code == 0 else 'failed'}")
        worst = max(worst, code)
    return min(worst, 1)


def sanitizing_compiler(target: str) -> tuple[Compiler, list[str]]:
    """g++ and the libraries that Python must load first, as it knows neither."""
    compiler = check_machine(target)
    runtimes = [
        output_of([*shlex.split(compiler.command), f"-print-file-name={name}"]).strip()
        for name in ("libasan.so", "libstdc++.so")
    ]
    if not compiler.name.startswith("g++") or not Path(runtimes[0]).is_absolute():
        raise SetupError(
            f"{compiler.name} will not do here: `make {target}` needs g++ and libasan."
        )
    if not compiles(compiler, "#include <gtest/gtest.h>\n"):
        raise SetupError("The sanitizers run the C++ tests, which need GoogleTest (libgtest-dev).")
    return compiler, runtimes


def sanitized(target: str) -> dict[str, str]:
    """Builds into build/asan; the environment in which Python runs with what was built."""
    compiler, runtimes = sanitizing_compiler(target)
    install_extra("test", target)
    with alone():
        step = Step("building with sanitizers into build/asan", "sanitize.log", target)
        install_build_tools(step)
        pybind11 = output_of([str(VENV_PYTHON), "-m", "pybind11", "--cmakedir"]).strip()
        options = [f"-DPython_EXECUTABLE={VENV_PYTHON}", f"-Dpybind11_DIR={pybind11}"]
        cmake_build(step, "asan", compiler, options)
        step.finish()
    package = BUILD / "asan" / "python" / "ranvier"
    for old in package.rglob("*.py"):
        old.unlink()
    skip = shutil.ignore_patterns("__pycache__", "*.so")
    shutil.copytree(ROOT / "python" / "ranvier", package, ignore=skip, dirs_exist_ok=True)
    # A size that no machine has is an error of ours to give, not the sanitizer's.
    return {
        "LD_PRELOAD": ":".join(runtimes),
        "ASAN_OPTIONS": "allocator_may_return_null=1:detect_leaks=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "PYTHONPATH": str(package.parent),
    }


def fuzz(arguments: list[str]) -> int:
    """Random calls, then random files; `--seconds` is for each."""
    code = run_calls(arguments, sanitized("fuzz"))
    return code if code or "--replay" in arguments else fuzz_files(arguments)


def thread_tests() -> int:
    """Tests of threads under the thread sanitizer, which cannot live beside the other two."""
    compiler, _ = sanitizing_compiler("tsan")
    with alone():
        step = Step("building with the thread sanitizer into build/tsan", "tsan.log", "tsan")
        install_build_tools(step)
        cmake_build(step, "tsan", compiler, [])
        step.finish()
    # Its shadow memory and the kernel's random addresses may collide.
    plain_addresses = ["setarch", "-R"] if shutil.which("setarch") else []
    tests = [
        str(BUILD / "tsan" / "ranvier_tests"),
        "--gtest_filter=Threads*:Parallel*:Aside*:Ahead*",
        "--gtest_brief=1",
    ]
    # Children of fork make threads of their own.
    options = "halt_on_error=1:die_after_fork=0:atexit_sleep_ms=100"
    env = {**os.environ, "TSAN_OPTIONS": options}
    return subprocess.run([*plain_addresses, *tests], cwd=ROOT, env=env).returncode


def sanitize() -> int:
    """C++ tests, op tests and random calls with the core built for the sanitizers of g++."""
    env = sanitized("sanitize")
    os.environ["ASAN_OPTIONS"] = "allocator_may_return_null=1"
    run_ctest("asan", "sanitize")
    # A report goes to the file descriptor and ends the process: pytest must not hold it back.
    tests = ["--capture=sys", "tests/python/test_ops.py", "tests/python/test_ops_refusals.py"]
    return run_pytest(tests, {**env, "RANVIER_CHECK_FAST": "1"}) or run_calls(
        ["--calls", "20000", "--seconds", "60"], env
    )


def clean() -> int:
    for path in (BUILD, VENV, ROOT / ".hypothesis"):
        shutil.rmtree(path, ignore_errors=True)
    for top in ("python", "tests", "benchmarks", "examples"):
        for cache in list((ROOT / top).rglob("__pycache__")):
            shutil.rmtree(cache, ignore_errors=True)
    return 0


def main() -> int:
    if sys.version_info[:2] < OLDEST["python"]:
        raise SetupError(
            f"Ranvier needs Python 3.10 or newer; {sys.executable} is {sys.version.split()[0]}.\n"
            "Name a newer one, as in `make demo PYTHON=python3.12`."
        )
    commands = {"demo": demo, "lint": lint, "sanitize": sanitize, "tsan": thread_tests}
    commands["clean"] = clean
    with_arguments = {"test": test, "test-slow": slow_tests, "test-interop": interop_tests}
    with_arguments |= {"fuzz": fuzz, "fuzz-files": fuzz_files, "bench": bench}
    with_arguments |= {"bench-peers": bench_peers, "bench-selftest": bench_selftest}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=[*commands, *with_arguments, "build"])
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="for `test`: pytest's")
    given = parser.parse_args()
    if given.command in with_arguments:
        return with_arguments[given.command](given.arguments)
    if given.command == "build":
        build("demo")
        return 0
    return commands[given.command]()


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, interrupted)
    signal.signal(signal.SIGHUP, interrupted)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        say("\ninterrupted; it can be run again at any time")
        sys.exit(130)
    except SetupError as failure:
        say(str(failure))
        sys.exit(1)
