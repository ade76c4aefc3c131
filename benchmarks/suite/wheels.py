"""The wheel of this checkout: found, made where that is quick, or its size estimated."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

from . import installed

ROOT = Path(__file__).parent.parent.parent
LIMIT = 120  # seconds for pip; the build folder makes it a matter of a few


def our_wheel(build: bool) -> dict[str, Any]:
    """Its bytes, those of its files, and where the figures are from."""
    path = newest(ROOT / "dist", ROOT / "build" / "wheel")
    if build and _build_is_at_hand():
        path = _built() or path
    if path is not None:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        return {
            "bytes": path.stat().st_size,
            "installed": unpacked,
            "from": str(path.relative_to(ROOT)),
            "debug": False,
        }
    where = installed.package_files("ranvier")[1]
    return {
        "bytes": installed.zipped("ranvier"),
        "installed": 0,
        "from": f"no wheel, but the package ({where}), zipped",
        "debug": where != installed.AS_INSTALLED,
    }


def newest(*folders: Path) -> Path | None:
    """The wheel that was written last."""
    found = [path for folder in folders for path in folder.glob("ranvier-*.whl")]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def _build_is_at_hand() -> bool:
    """What pyproject.toml builds with, and a folder that holds what was compiled already."""
    tools = ("scikit_build_core", "pybind11", "pip")
    compiled = any((ROOT / "build").glob("*-*-*/CMakeCache.txt"))
    cmake = shutil.which("cmake") or importlib.util.find_spec("cmake")
    return compiled and bool(cmake) and all(map(importlib.util.find_spec, tools))


def _built() -> Path | None:
    folder = ROOT / "build" / "wheel"
    options = ["--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--quiet"]
    command = [sys.executable, "-m", "pip", "wheel", *options, "-w", str(folder), str(ROOT)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        print(f"no wheel: pip took more than {LIMIT} s", file=sys.stderr)
        return None
    if done.returncode:
        print(
            f"no wheel: {(done.stderr.strip().splitlines() or ['pip failed'])[-1]}", file=sys.stderr
        )
        return None
    return newest(folder)
