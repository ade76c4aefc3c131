"""What every part of the bootstrap uses: places, settings of pyproject.toml, plain output.

Python's standard library alone, and nothing that knows about compilers, pip or CMake.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / "build"
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
# `make test` may be typed inside the activated .venv: a new .venv must not come out of the old one.
BASE_PYTHON = getattr(sys, "_base_executable", None) or sys.executable
OLDEST = {"g++": (12, 0), "clang++": (14, 0), "python": (3, 10), "cmake": (3, 22)}


class SetupError(Exception):
    """What to tell the user before giving up."""


# pyproject.toml is read with regular expressions, because Python 3.10 has no tomllib.


def setting(pattern: str) -> str:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return re.search(pattern, text, re.MULTILINE | re.DOTALL).group(1)


def requirements(name: str) -> list[str]:
    """The strings of the list `name = [...]`: dependencies, requires, or an extra."""
    return re.findall(r'"([^"]+)"', setting(rf"^{name} = \[(.*?)\]$"))


def say(text: str = "") -> None:
    print(text, flush=True)


def plain(text: str) -> str:
    """One line of a log as ASCII that fits two rows of a terminal."""
    quotes = str.maketrans("\u2018\u2019\u201c\u201d", "''\"\"")
    text = text.rstrip("\r\n").split("\r")[-1].translate(quotes).expandtabs(4)
    text = "".join(c if " " <= c <= "~" else "?" for c in text)
    return text if len(text) <= 154 else text[:151] + "..."


def child_environment(tools: bool = False) -> dict[str, str]:
    """English messages, and no setting of pip that would install elsewhere than into .venv.

    CMake and Ninja in .venv are seen only by those who ask: inside pip's isolated builds they are
    scripts that do not find their own package.
    """
    env = {**os.environ, "PIP_USER": "0", "PYTHONUNBUFFERED": "1", "LC_ALL": "C.UTF-8"}
    for name in ("PIP_TARGET", "PIP_PREFIX", "VIRTUAL_ENV"):
        env.pop(name, None)
    own = str(VENV / "bin")
    path = [part for part in env.get("PATH", os.defpath).split(os.pathsep) if part != own]
    env["PATH"] = os.pathsep.join([own, *path] if tools else path)
    return env


def output_of(command: list[str], stdin: str = "") -> str | None:
    """What a command prints, or None if it is missing or fails."""
    env = child_environment()
    try:
        done = subprocess.run(
            command, input=stdin, capture_output=True, encoding="utf-8", errors="replace", env=env
        )
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None
