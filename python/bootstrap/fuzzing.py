"""`make fuzz` and `make fuzz-files`: random calls from Python, and random files for the C++ reader.

The second needs clang++ with libFuzzer. Only the few sources that reading needs are built, so that
it starts within half a minute, and nothing is installed.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
from pathlib import Path

from common import BUILD, ROOT, VENV_PYTHON, say
from install import alone
from machine import Compiler, try_compiler
from steps import Step

SOURCES = [
    "tests/fuzz/files.cpp",
    *(f"csrc/files/{name}.cpp" for name in ("header", "json", "reader", "system")),
    *(f"csrc/core/{name}.cpp" for name in ("allocator", "pool", "tensor")),
]
FLAGS = [
    *("-std=c++20", "-O1", "-g1", "-Icsrc", "-Icsrc/include", "-fno-omit-frame-pointer"),
    *("-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all"),
]
CORPUS = "tests/fuzz/corpus/files"
# No input of a few thousand bytes is worth more time or memory.
LIMITS = ["-timeout=5", "-rss_limit_mb=1024", "-malloc_limit_mb=32", "-max_len=4096"]
PROBE = 'extern "C" int LLVMFuzzerTestOneInput(const char*, unsigned long) { return 0; }\n'


def run_calls(arguments: list[str], env: dict[str, str]) -> int:
    """Random public calls, with a core that was built for the sanitizers."""
    command = [str(VENV_PYTHON), "tests/fuzz/fuzz.py", *arguments]
    env["ASAN_OPTIONS"] += ":max_allocation_size_mb=512"
    return subprocess.run(command, cwd=ROOT, env={**os.environ, **env}).returncode


def links(compiler: Compiler, source: Path) -> bool:
    """Whether the compiler has libFuzzer; it is a package of its own on some systems."""
    command = [*shlex.split(compiler.command), *FLAGS, str(source), "-o", str(source.parent / "p")]
    return subprocess.run(command, cwd=ROOT, capture_output=True).returncode == 0


def fuzzing_compiler() -> Compiler | None:
    """A clang++ that can link libFuzzer, $CXX first."""
    folder = BUILD / "fuzz"
    folder.mkdir(parents=True, exist_ok=True)
    probe = folder / "probe.cpp"
    probe.write_text(PROBE, encoding="utf-8")
    numbered = [f"clang++-{n}" for n in range(25, 13, -1)]
    for command in filter(None, [os.environ.get("CXX"), "clang++", *numbered]):
        found = try_compiler(command)
        usable = found and found.name.startswith("clang++") and not found.problem
        if usable and links(found, probe):
            return found
    return None


def fuzz_files(arguments: list[str]) -> int:
    """libFuzzer on the reader of files, from the corpus that is kept; new inputs go into build/."""
    parser = argparse.ArgumentParser(prog="make fuzz-files ARGS=...")
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0, help="0: another one each time")
    given, _ = parser.parse_known_args(arguments)  # the rest is for random calls
    compiler = fuzzing_compiler()
    if compiler is None:
        say("files under libFuzzer: skipped, no clang++ with libFuzzer (libclang-rt-dev) found")
        return 0
    program = BUILD / "fuzz" / "files"
    with alone():
        step = Step("building the reader of files for libFuzzer", "fuzz.log", "fuzz-files")
        compile_command = [*shlex.split(compiler.command), *FLAGS, *SOURCES, "-o", str(program)]
        step.run(compile_command, "compiling")
        step.finish()
    found = BUILD / "fuzz" / "found"
    found.mkdir(exist_ok=True)
    command = [str(program), str(found), CORPUS, "-dict=tests/fuzz/files.dict", *LIMITS]
    command += [f"-max_total_time={given.seconds}", f"-seed={given.seed}", "-print_final_stats=1"]
    command += [f"-artifact_prefix={BUILD / 'fuzz'}/", "-verbosity=0"]
    say(f"files: {given.seconds} s from {CORPUS}; what fails is left in build/fuzz")
    code = subprocess.run(command, cwd=ROOT).returncode
    say(f"files: {'nothing found' if code == 0 else 'FAILED'}")
    return code
