"""What this machine has: a compiler, Python's headers, venv; and what to install if it lacks one.

Looks and says; it changes nothing.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shlex
import shutil
import sys
import sysconfig
import textwrap
from pathlib import Path
from typing import NamedTuple

from common import BASE_PYTHON, OLDEST, SetupError, output_of, say, setting

COMPILER_WORDS = "a C++20 compiler (g++ 12, clang 14 or newer"


class Compiler(NamedTuple):
    command: str  # what the environment variable CXX gets
    name: str  # "g++ 12.2"
    problem: str  # why it cannot be used, or ""


class Need(NamedTuple):
    words: str
    package: str  # Debian's and Ubuntu's name


def compiles(compiler: Compiler, source: str) -> bool:
    options = ["-std=c++20", "-fopenmp", "-fsyntax-only", "-x", "c++", "-"]
    return output_of([*shlex.split(compiler.command), *options], source) is not None


def try_compiler(command: str) -> Compiler | None:
    """The compiler of that name with what is wrong with it; None where there is none."""
    words = shlex.split(command)
    banner = output_of([*words, "--version"]) if words else None
    if banner is None:
        return None
    clang = re.search(r"clang version (\d+)\.(\d+)", banner)
    numbers = clang or re.match(r"(\d+)\.(\d+)", output_of([*words, "-dumpfullversion"]) or "")
    if not numbers:
        return None
    kind = "clang++" if clang else "g++"
    version = (int(numbers[1]), int(numbers[2]))
    found = Compiler(command, f"{kind} {version[0]}.{version[1]}", "")
    if version < OLDEST[kind]:
        return found._replace(problem="too old")
    if not compiles(found, "#include <span>\n"):
        return found._replace(problem="without C++20's headers")
    return found


def find_compiler() -> Compiler | Need:
    """The first compiler that will do; $CXX, where set, is the only candidate."""
    named = os.environ.get("CXX")
    if named:
        found = try_compiler(named)
        if found and not found.problem:
            return found
        reason = f"is {found.name}, {found.problem}" if found else "is not a C++ compiler here"
        raise SetupError(
            f"CXX={named} {reason}.\nUnset CXX, or let it name g++ 12, clang 14 or newer."
        )
    candidates = ["g++", "clang++", "c++"]
    candidates += [f"g++-{n}" for n in range(20, 11, -1)]
    candidates += [f"clang++-{n}" for n in range(25, 13, -1)]
    seen = []
    for command in candidates:
        found = try_compiler(command) if shutil.which(command) else None
        if found and not found.problem:
            return found
        if found:
            seen.append(f"; here: {found.name}, {found.problem}")
    with contextlib.suppress(OSError):
        # The plain g++ of Ubuntu 22.04 is 11.
        if seen or "jammy" in Path("/etc/os-release").read_text(encoding="utf-8"):
            return Need(COMPILER_WORDS + "".join(seen[:1]) + ")", "g++-12")
    return Need(COMPILER_WORDS + ")", "g++")


def find_python_parts() -> list[Need]:
    """Debian and Ubuntu keep Python's headers and venv in packages of their own."""
    needs = []
    default = os.path.realpath("/usr/bin/python3") == os.path.realpath(BASE_PYTHON)
    package = "python3" if default else f"python3.{sys.version_info[1]}"
    if not Path(sysconfig.get_paths()["include"], "Python.h").exists():
        needs.append(Need("Python's headers", package + "-dev"))
    if not all(importlib.util.find_spec(name) for name in ("venv", "ensurepip")):
        needs.append(Need("venv" if needs else "Python's venv", package + "-venv"))
    if needs and not os.path.realpath(BASE_PYTHON).startswith("/usr/bin/"):
        raise SetupError(
            f"{BASE_PYTHON} came without {' and '.join(need.words for need in needs)}.\n"
            "Name a complete Python, as in `make demo PYTHON=/usr/bin/python3`."
        )
    return needs


def check_machine(target: str) -> Compiler:
    """Says what is missing, all at once, before anything is made."""
    compiler = find_compiler()
    needs = [compiler] if isinstance(compiler, Need) else []
    needs += find_python_parts()
    if isinstance(compiler, Compiler) and not needs:
        python = ".".join(map(str, sys.version_info[:3]))
        version = setting(r'^version = "([^"]*)"')
        say(f"Ranvier {version}  checking {compiler.name}, Python {python}, headers, venv: ok")
        return compiler
    words = [need.words for need in needs]
    listed = " and ".join([", ".join(words[:-1]), words[-1]] if words[1:] else words)
    if not shutil.which("apt-get"):
        advice = f"Install them with this system's packages, then run `make {target}` again."
        raise SetupError(textwrap.fill(f"Ranvier needs {listed}. {advice}", 79))
    where = "" if needs == [compiler] else ", which this system keeps in separate packages"
    raise SetupError(
        textwrap.fill(f"Ranvier needs {listed}{where}:", 79)
        + f"\n    sudo apt-get install -y {' '.join(need.package for need in needs)}"
        + f"\nthen run `make {target}` again."
    )
