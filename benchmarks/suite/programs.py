"""Runs one program of the suite: its output goes to a file, rows are counted on the terminal.

It also finds how busy others were meanwhile: a machine that works for somebody else cannot show
what it is capable of.
"""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from suite import results

BUSY = 0.15  # processors; above this others had a part in the figures


def follow(name: str, command: list[str], line_of_a_row: str) -> float | None:
    """How many processors others kept busy, where the system tells; RuntimeError if it failed."""
    results.FOLDER.mkdir(parents=True, exist_ok=True)
    path = results.FOLDER / f"{name}.txt"
    live, rows, start = sys.stdout.isatty(), 0, time.monotonic()
    last, counted, before = start, re.compile(line_of_a_row), _busy_with_others()
    with (
        open(path, "w", encoding="utf-8") as log,
        subprocess.Popen(
            command,
            cwd=results.FOLDER.parent.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as child,
    ):
        assert child.stdout
        try:
            for line in child.stdout:
                log.write(line)
                rows += bool(counted.match(line))
                if time.monotonic() - last > (0.5 if live else 20):
                    last = time.monotonic()
                    text = f"{name}: {rows} rows, {last - start:.0f} s"
                    print("\r" + text if live else text, end="" if live else "\n", flush=True)
            code = child.wait()
        except BaseException:
            child.kill()
            raise
    seconds = time.monotonic() - start
    print("\r" * live + f"{name}: {rows} rows, {seconds:.0f} s", flush=True)
    if code:
        print("\n".join(path.read_text(encoding="utf-8").splitlines()[-15:]))
        raise RuntimeError(f"it ended with {code}; all of its output: {path}")
    after = _busy_with_others()
    if before is None or after is None:
        return None
    return round(max(after - before, 0.0) / seconds, 2)


def warning(others: Mapping[str, float | None]) -> str:
    """What is to be said of parts that others disturbed, or nothing."""
    disturbed = [f"{name} {busy:.1f}" for name, busy in others.items() if busy and busy > BUSY]
    if not disturbed:
        return ""
    return (
        f"Others kept processors busy meanwhile ({', '.join(disturbed)}): repeat it when the\n"
        "machine is idle before you believe these figures, those of several threads above all."
    )


def _busy_with_others() -> float | None:
    """Seconds of all processors so far, without those of this process and its ended children."""
    try:
        first = Path("/proc/stat").read_text(encoding="ascii").partition("\n")[0].split()
    except OSError:
        return None
    user, nice, system, _, _, irq, softirq, steal = map(int, first[1:9])
    every = (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        used = resource.getrusage(who)
        every -= used.ru_utime + used.ru_stime
    return every
