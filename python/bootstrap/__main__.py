"""Builds Ranvier into .venv and runs what the Makefile names: demo, test, lint, sanitize, clean.

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

from common import BUILD, OLDEST, ROOT, VENV, VENV_PYTHON, SetupError, output_of, say
from install import alone, build, cmake_build, install_build_tools, install_extra, run_ctest
from machine import Need, check_machine, compiles, find_compiler
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
    with alone():
        step = Step("building the C++ tests", "cpp-tests.log", "test")
        install_build_tools(step)
        cmake_build(step, "default", compiler, [])
        step.finish()
    run_ctest("default", "test")


def test(arguments: list[str]) -> int:
    build("test")
    install_extra("test", "test")
    code = run_pytest(arguments)
    cpp_tests()
    return code


def lint() -> int:
    install_extra("lint", "lint")
    sources = [
        str(path.relative_to(ROOT))
        for top in ("csrc", "tests/cpp")
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


def sanitize() -> int:
    """C++ tests and op tests with the core built for the sanitizers of g++."""
    compiler = check_machine("sanitize")
    runtimes = [
        output_of([*shlex.split(compiler.command), f"-print-file-name={name}"]).strip()
        for name in ("libasan.so", "libstdc++.so")
    ]
    if not compiler.name.startswith("g++") or not Path(runtimes[0]).is_absolute():
        raise SetupError(
            f"{compiler.name} will not do here: `make sanitize` needs g++ and libasan."
        )
    if not compiles(compiler, "#include <gtest/gtest.h>\n"):
        raise SetupError("The sanitizers run the C++ tests, which need GoogleTest (libgtest-dev).")
    install_extra("test", "sanitize")
    with alone():
        step = Step("building with sanitizers into build/asan", "sanitize.log", "sanitize")
        install_build_tools(step)
        pybind11 = output_of([str(VENV_PYTHON), "-m", "pybind11", "--cmakedir"]).strip()
        options = [f"-DPython_EXECUTABLE={VENV_PYTHON}", f"-Dpybind11_DIR={pybind11}"]
        cmake_build(step, "asan", compiler, options)
        step.finish()
    # A size that no machine has is an error of ours to give, not the sanitizer's.
    os.environ["ASAN_OPTIONS"] = "allocator_may_return_null=1"
    run_ctest("asan", "sanitize")
    package = BUILD / "asan" / "python" / "ranvier"
    for old in package.rglob("*.py"):
        old.unlink()
    skip = shutil.ignore_patterns("__pycache__", "*.so")
    shutil.copytree(ROOT / "python" / "ranvier", package, ignore=skip, dirs_exist_ok=True)
    # Python itself knows neither library; the sanitizer must find C++ exceptions when it starts.
    env = {
        "LD_PRELOAD": ":".join(runtimes),
        "ASAN_OPTIONS": "allocator_may_return_null=1:detect_leaks=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "PYTHONPATH": str(package.parent),
        "RANVIER_CHECK_FAST": "1",
    }
    # A report goes to the file descriptor and ends the process: pytest must not hold it back.
    return run_pytest(["--capture=sys", "tests/python/test_ops.py"], env)


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
    commands = {"demo": demo, "test": test, "lint": lint, "sanitize": sanitize, "clean": clean}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=[*commands, "build"])
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="for `test`: pytest's")
    given = parser.parse_args()
    if given.command == "test":
        return test(given.arguments)
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
