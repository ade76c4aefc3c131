"""A step: work that takes a while, with a moving line, a log, and an explanation if it fails.

Knows nothing of what the work is; the patterns below only read what tools print.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from typing import IO

from common import BUILD, ROOT, SetupError, child_environment, plain, say

# What a line of output says about where the work stands.
STAGES = [
    (r"\s*Collecting ([\w.-]+)", r"fetching \1"),
    (r"\s*\*\*\* Configuring CMake", "configuring"),
    (r"\s*Installing collected packages", "installing"),
]
# What pip says about itself after the lines that matter.
NOISE = (
    r"\s*(note: |full command: |cwd: |error: subprocess-exited|\[end of output\]|Failed to build"
    r"|ERROR: (Failed|Could not) build|Building wheel for .*: finished|[^\x00-\x7f])"
)
COMPILE_ERROR = r":\d+:\d+: (fatal )?error: |undefined reference to "
REPORT = "`make clean`, then `make {target}`; if it fails again, report it with that log."
# The first that matches the log is what the user is told to try.
HINTS = [
    (
        r"Killed signal|signal 9|virtual memory exhausted|out of memory",
        "free some memory, or compile one file at a time:\n"
        "     CMAKE_BUILD_PARALLEL_LEVEL=1 make {target}",
    ),
    (r"No space left on device", "make room on the disk, then run `make {target}` again."),
    (COMPILE_ERROR, REPORT),
    (
        r"NewConnectionError|NameResolutionError|name resolution|ConnectTimeout|Read timed out"
        r"|Connection (refused|reset|aborted)|Network is unreachable|ProxyError|SSLError"
        r"|Could not fetch URL|No matching distribution found",
        "pip could not reach a package index. Look at the network, the proxy (https_proxy)\n"
        "     and pip's settings (python3 -m pip config list), then run `make {target}` again.",
    ),
    (r"", REPORT),
]


class Step:
    """Work that takes a while: a title with a moving end, a log, and an explanation if it fails."""

    def __init__(self, title: str, log_name: str, target: str) -> None:
        self.title, self.target = title, target
        self.log = BUILD / log_name
        self.detail = ""
        self.done = self.total = 0
        self.start = self.last_line = time.monotonic()
        self.live = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self.width = min(79, shutil.get_terminal_size().columns - 1)
        BUILD.mkdir(exist_ok=True)
        self.log.write_bytes(b"")
        if not self.live:
            say(f"{title}: the whole output goes to {self.log.relative_to(ROOT)}")

    def run(self, command: list[str], detail: str, hint: str = "", tools: bool = False) -> None:
        """Runs one command of this step; what it prints goes into the log."""
        self.detail = detail
        with open(self.log, "ab") as log:
            log.write(f"$ {shlex.join(map(str, command))}\n".encode())
            child = subprocess.Popen(
                command,
                cwd=ROOT,
                env=child_environment(tools),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            reader = threading.Thread(target=self.follow, args=(child.stdout, log), daemon=True)
            reader.start()
            try:
                self.show()
                while child.poll() is None:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        child.wait(0.1)
                    self.show()
                reader.join(2)
            except BaseException:
                stop(child)
                raise
        if child.returncode:
            self.fail(child.returncode, hint)

    def follow(self, pipe: IO[bytes], log: IO[bytes]) -> None:
        for raw in pipe:
            log.write(raw)
            log.flush()
            line = raw.decode("utf-8", "replace")
            counted = re.match(r"\s*\[(\d+)/(\d+)\] ", line)
            if counted:
                self.done, self.total = int(counted[1]), int(counted[2])
            for pattern, words in STAGES:
                match = re.match(pattern, line)
                if match:
                    self.detail = match.expand(words)

    def clock(self) -> str:
        minutes, seconds = divmod(int(time.monotonic() - self.start), 60)
        return f"{minutes}:{seconds:02d}"

    def line(self) -> str:
        if not self.total:
            return f"{self.title}  {self.clock()}  {self.detail}"
        bar = ("#" * (20 * self.done // self.total)).ljust(20, ".")
        return f"{self.title}  [{bar}]  {self.done}/{self.total}  {self.clock()}"

    def show(self) -> None:
        if self.live:
            print("\r" + self.line()[: self.width].ljust(self.width), end="", flush=True)
        elif time.monotonic() - self.last_line >= 4:
            self.last_line = time.monotonic()
            where = f"{self.done}/{self.total}" if self.done < self.total else self.detail
            say(f"  {self.clock()}  {where}")

    def finish(self) -> None:
        self.detail, self.done = "done", self.total
        if self.live:
            self.show()
            say()
        else:
            say(self.line())

    def fail(self, code: int, hint: str) -> None:
        if self.live:
            say()
        text = self.log.read_text(encoding="utf-8", errors="replace")
        lines = [line for line in text.splitlines() if line.strip() and not re.match(NOISE, line)]
        if code < 0:
            lines.append(f"(ended by signal {-code})")
        hint = hint or next(words for pattern, words in HINTS if re.search(pattern, text))
        path = self.log.relative_to(ROOT)
        report = [f"This failed: {self.title}. The last lines of {path}:"]
        report += ["    " + plain(line) for line in lines[-10:]]
        first = next((line for line in lines if re.search(COMPILE_ERROR, line)), None)
        if first and first not in lines[-10:]:
            report += ["the first error in it:", "    " + plain(first.strip())]
        report += [f"all of it: {path}", "try: " + hint.format(target=self.target)]
        raise SetupError("\n".join(report))


def stop(child: subprocess.Popen[bytes]) -> None:
    """Ends a command and everything it started: compilers too."""
    for number, patience in ((signal.SIGINT, 3), (signal.SIGKILL, 3)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(patience)
