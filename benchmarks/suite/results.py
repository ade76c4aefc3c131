"""Where figures go: one JSON file a program, under results/, with the machine that made them."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent.parent / "results"  # git ignores it, but for results/reference


def machine() -> dict[str, Any]:
    """What a figure depends on, as far as the system tells; nothing that names its owner."""
    import ranvier as rv

    info = rv.cpu_info()
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "processor": _processor(),
        "processors": len(os.sched_getaffinity(0)),
        "caches": _caches(),
        "memory": f"{pages / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "ranvier": f"{rv.__version__}, {info['isa']}, {info['parallel']}",
        "commit": commit(),
    }


def _processor() -> str:
    """The name that /proc/cpuinfo has, with family and model: clouds leave the name vague."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0]
    except OSError:
        return platform.processor() or platform.machine()
    fields = {
        key.strip(): value.strip()
        for key, _, value in (line.partition(":") for line in text.splitlines())
    }
    name = fields.get("model name", platform.machine())
    if "cpu family" not in fields:
        return name
    return f"{name} (family {fields['cpu family']}, model {fields.get('model', '?')})"


def _caches() -> str:
    """ "L1 48K, L2 1024K, L3 32768K" of the first processor."""
    found = []
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            level, kind, size = (
                (index / name).read_text(encoding="ascii").strip()
                for name in ("level", "type", "size")
            )
        except OSError:
            continue
        if kind != "Instruction":
            found.append(f"L{level} {size}")
    return ", ".join(found)


def commit() -> str:
    """The commit of this checkout, marked where files differ from it."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, cwd=FOLDER.parent, capture_output=True, text=True)
    except OSError:
        return "unknown"
    return done.stdout.strip() or "unknown"


def save(name: str, figures: dict[str, Any], folder: Path | None = None) -> Path:
    """Writes NAME.json whole or not at all, and returns its path."""
    folder = FOLDER if folder is None else folder
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    program, root = Path(sys.argv[0]).name, f"{FOLDER.parent.parent}{os.sep}"
    head = {
        "command": " ".join(["python", f"benchmarks/{program}", *sys.argv[1:]]).replace(root, ""),
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine(),
    }
    temporary = path.with_suffix(".json.part")
    temporary.write_text(text_of({**head, **figures}) + "\n", encoding="utf-8")
    os.replace(temporary, path)
    return path


def text_of(value: Any, indent: str = "") -> str:
    """JSON in which what holds plain values alone stands on one line: a row is read as a row."""
    nested = isinstance(value, (dict, list)) and any(
        isinstance(item, (dict, list))
        for item in (value.values() if isinstance(value, dict) else value)
    )
    if not nested:
        return json.dumps(value)
    inner = indent + " "
    if isinstance(value, dict):
        items = [f"{json.dumps(str(k))}: {text_of(v, inner)}" for k, v in value.items()]
    else:
        items = [text_of(item, inner) for item in value]
    first, last = "{}" if isinstance(value, dict) else "[]"
    return f"{first}\n{inner}" + f",\n{inner}".join(items) + f"\n{indent}{last}"
