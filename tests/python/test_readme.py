"""Every Python program of the README and of examples/ runs, and prints what stands below it.

The blocks of the README run in order in one process. Only what must vary may vary: seconds, and
on processors without fused multiply-add the digits of numbers.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

import ranvier as rv

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))

# A block of Python, and the block of text that follows it, if one does.
BLOCKS = re.compile(r"^```python\n(.*?)^```\n(?:\s*^```text\n(.*?)^```\n)?", re.M | re.S)


class Terminal(io.StringIO):
    """Standard output as a reader has it, who types at a terminal."""

    def isatty(self) -> bool:
        return True


def outcome(code: str, names: dict[str, Any]) -> str:
    """What a program prints; if it ends with an error, then also the error as Python shows it."""
    printed = Terminal()
    with contextlib.redirect_stdout(printed):
        try:
            exec(compile(code, "README.md", "exec"), names)
        except Exception as error:
            kind = type(error)
            module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
            print(f"{module}{kind.__qualname__}: {error}")
    return "\n".join(line.split("\r")[-1] for line in printed.getvalue().split("\n"))


def comparable(text: str) -> list[str]:
    """Words without what may vary. Line breaks do not count: messages are wrapped in the README."""
    text = re.sub(r"\b\d+\.\d\d s\b", "SECONDS", text)
    if rv.cpu_info()["isa"] == "base":
        text = re.sub(r"\d+\.\d+", "NUMBER", text)
    return text.split()


@pytest.mark.filterwarnings("default")
def test_every_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TERM", "xterm")
    for bar in ("tqdm", "rich"):  # drawn by them where they are installed
        monkeypatch.setitem(sys.modules, bar, None)
    blocks = BLOCKS.findall(README.read_text(encoding="utf-8"))
    assert len(blocks) >= 4
    names: dict[str, Any] = {"__name__": "__main__"}
    for code, expected in blocks:
        assert comparable(outcome(code, names)) == comparable(expected), code


def test_first_block_is_the_one_that_the_demo_points_at() -> None:
    lines = README.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "# Ranvier"
    assert lines[lines.index("```python") + 1] == "import ranvier as rv"


def test_links_lead_somewhere() -> None:
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
            assert (ROOT / target).exists(), f"{name}: {target}"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_example(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for other in ("sklearn", "pandas"):
        if f"import {other}" in path.read_text() or f"from {other}" in path.read_text():
            pytest.importorskip(other)
    before = os.environ.copy()
    runpy.run_path(str(path), run_name="__main__")
    assert capsys.readouterr().out and os.environ == before
