"""`import ranvier`: what it loads, prints and leaves behind. How long it takes is no test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import ranvier

LOADED = """
import sys
before = set(sys.modules)
import ranvier
import json
print(json.dumps(sorted({name.partition(".")[0] for name in set(sys.modules) - before})))
"""

# Python tells the hook about every file that is opened and every folder that is made.
CHANGED = """
import sys
changed = []
def hook(event, arguments):
    if event == "open":
        path, mode, flags = arguments
        if (mode and set(mode) & set("wxa+")) or flags & 3:
            changed.append(str(path))
    elif event in ("os.mkdir", "os.rename", "os.symlink", "os.link", "os.chmod", "os.remove"):
        changed.append(str(arguments[0]))
    elif event.startswith(("subprocess.", "socket.", "os.system", "os.exec", "os.posix_spawn")):
        changed.append(event)
sys.addaudithook(hook)
import ranvier
import json
print(json.dumps(changed))
"""


def run(code: str, folder: Path) -> Any:
    """What a program prints, as JSON; it must print nothing else."""
    env = {
        **os.environ,
        "PYTHONPATH": str(Path(ranvier.__file__).parent.parent),
        "HOME": str(folder),
        "TMPDIR": str(folder),
    }
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=env, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_loads_the_standard_library_and_numpy_alone(tmp_path: Path) -> None:
    allowed = {*sys.stdlib_module_names, "numpy", "ranvier"}
    foreign = [name for name in run(LOADED, tmp_path) if name not in allowed]
    assert foreign == []


def test_prints_nothing(tmp_path: Path) -> None:
    assert run("import ranvier; print(1)", tmp_path) == 1


def test_changes_no_file_beside_byte_code(tmp_path: Path) -> None:
    changed = run(CHANGED, tmp_path)
    assert [path for path in changed if "__pycache__" not in path] == []
    assert list(tmp_path.iterdir()) == []


def test_star_import_leaves_pythons_types_alone() -> None:
    assert not {"int", "float", "bool"} & set(ranvier.__all__)
    assert len(ranvier.__all__) == len(set(ranvier.__all__))
