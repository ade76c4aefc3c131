"""Builds Ranvier into .venv and runs what the Makefile names: demo, test, lint, sanitize, clean.

Runs before anything is installed, so it uses Python's standard library alone. It installs nothing
outside this directory (pip's cache aside), prints plain ASCII, and shows a moving line whenever
something takes more than a few seconds; the full output of every step is in build/*.log. It is
not part of the package and knows nothing about networks.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import importlib.util
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple, NoReturn

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
STAMP = VENV / ".ranvier-built"
UNFINISHED = VENV / ".ranvier-unfinished"
# `make test` may be typed inside the activated .venv: a new .venv must not come out of the old one.
BASE_PYTHON = getattr(sys, "_base_executable", None) or sys.executable
OLDEST = {"g++": (12, 0), "clang++": (14, 0), "python": (3, 10), "cmake": (3, 22)}
COMPILER_WORDS = "a C++20 compiler (g++ 12, clang 14 or newer"


class SetupError(Exception):
    """What to tell the user before giving up."""


# --- pyproject.toml -----------------------------------------------------------------------------
# Read with regular expressions, because Python 3.10 has no tomllib.


def setting(pattern: str) -> str:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return re.search(pattern, text, re.MULTILINE | re.DOTALL).group(1)


def requirements(name: str) -> list[str]:
    """The strings of the list `name = [...]`: dependencies, requires, or an extra."""
    return re.findall(r'"([^"]+)"', setting(rf"^{name} = \[(.*?)\]$"))


# --- what the machine has -----------------------------------------------------------------------


class Compiler(NamedTuple):
    command: str  # what the environment variable CXX gets
    name: str  # "g++ 12.2"
    problem: str  # why it cannot be used, or ""


class Need(NamedTuple):
    words: str
    package: str  # Debian's and Ubuntu's name


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
    if not compiles(found, "#include <omp.h>\n#include <span>\n"):
        return found._replace(problem="without OpenMP")
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
            f"CXX={named} {reason}.\nUnset CXX, or let it name g++ 12, clang 14 or newer, with "
            "OpenMP (for clang\non Debian and Ubuntu: sudo apt-get install -y libomp-dev)."
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


# --- steps with a moving line and a log ---------------------------------------------------------

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


def say(text: str = "") -> None:
    print(text, flush=True)


def plain(text: str) -> str:
    """One line of a log as ASCII that fits two rows of a terminal."""
    quotes = str.maketrans("\u2018\u2019\u201c\u201d", "''\"\"")
    text = text.rstrip("\r\n").split("\r")[-1].translate(quotes).expandtabs(4)
    text = "".join(c if " " <= c <= "~" else "?" for c in text)
    return text if len(text) <= 154 else text[:151] + "..."


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


def stop(child: subprocess.Popen[bytes]) -> None:
    """Ends a command and everything it started: compilers too."""
    for number, patience in ((signal.SIGINT, 3), (signal.SIGKILL, 3)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(patience)


# --- .venv --------------------------------------------------------------------------------------


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Two commands at a time in one directory would pull .venv from under each other."""
    BUILD.mkdir(exist_ok=True)
    with open(BUILD / ".lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("waiting for another `make` that is at work in this directory")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def venv_is_usable() -> bool:
    """Whole, working, of this Python, and made at this place (it holds its own path)."""
    activate = VENV / "bin" / "activate"
    if UNFINISHED.exists() or not VENV_PYTHON.exists() or not activate.exists():
        return False
    if str(VENV) not in activate.read_text(encoding="utf-8", errors="replace"):
        return False
    version = output_of([str(VENV_PYTHON), "-m", "pip", "--version"]) or ""
    return f"(python {sys.version_info[0]}.{sys.version_info[1]})" in version


def ensure_venv(step: Step) -> None:
    if venv_is_usable():
        return
    step.run(["rm", "-rf", str(VENV)], "removing what is left of .venv")
    VENV.mkdir()
    UNFINISHED.touch()
    step.run([BASE_PYTHON, "-m", "venv", str(VENV)], "making .venv")
    UNFINISHED.unlink()


def pip_install(step: Step, arguments: list[str]) -> None:
    """A run that is killed leaves the mark behind, and the next one starts .venv afresh; a pip that
    ends by itself has put back what it had touched."""
    pip = [str(VENV_PYTHON), "-m", "pip", "--disable-pip-version-check", "--no-input", "install"]
    UNFINISHED.touch()
    try:
        step.run([*pip, "-v", "--progress-bar", "off", *arguments], "starting pip")
    except SetupError:
        UNFINISHED.unlink()
        raise
    UNFINISHED.unlink()


def tools_stamp(name: str) -> Path:
    return VENV / f".ranvier-{name}-tools"


def install_once(step: Step, name: str, wanted: list[str]) -> None:
    ensure_venv(step)
    stamp = tools_stamp(name)
    if not stamp.exists() or stamp.read_text() != "\n".join(wanted):
        pip_install(step, wanted)
        stamp.write_text("\n".join(wanted))


def install_extra(name: str, target: str) -> None:
    """Installs what an extra of pyproject.toml asks for, without building Ranvier."""
    wanted = requirements("dependencies") + requirements(name)
    stamp = tools_stamp(name)
    if stamp.exists() and stamp.read_text() == "\n".join(wanted) and venv_is_usable():
        return
    with alone():
        step = Step(f"installing the {name} tools into .venv, once", f"{name}-tools.log", target)
        install_once(step, name, wanted)
        step.finish()


# --- building -----------------------------------------------------------------------------------


def fingerprint() -> str:
    """Changes whenever what is in .venv would come out differently."""
    python = f"{sys.implementation.cache_tag} {sys.version}"
    digest = hashlib.sha256(f"{ROOT} {python}".encode())
    files = [ROOT / "pyproject.toml", ROOT / "CMakeLists.txt"]
    for top in (ROOT / "csrc", ROOT / "python" / "ranvier"):
        for folder, folders, names in os.walk(top):
            folders[:] = [name for name in folders if name != "__pycache__"]
            files += [Path(folder, name) for name in names]
    for path in sorted(files):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(ROOT)} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def is_built(now: str) -> bool:
    """Whether the stamp fits; a compiler that the user names must be the one that built."""
    if not STAMP.exists() or not VENV_PYTHON.exists() or UNFINISHED.exists():
        return False
    built, _, compiler = STAMP.read_text().partition("\n")
    return built == now and os.environ.get("CXX", compiler) == compiler


def drop_foreign_cache(step: Step, directory: str, compiler: Compiler) -> None:
    """CMake cannot go on in a build directory of another compiler or another place."""
    command = shutil.which(shlex.split(compiler.command)[0])
    for cache in BUILD.glob(f"{directory}/CMakeCache.txt"):
        text = cache.read_text(encoding="utf-8", errors="replace")
        entries = dict(re.findall(r"^(\w+):\w+=(.*)$", text, re.MULTILINE))
        same = os.path.realpath(entries.get("CMAKE_CXX_COMPILER", "")) == os.path.realpath(command)
        if not same or entries.get("CMAKE_HOME_DIRECTORY") != str(ROOT):
            step.run(["rm", "-rf", str(cache.parent)], f"removing an older {cache.parent.name}")


def install_build_tools(step: Step) -> None:
    """What pyproject.toml builds with; CMake and Ninja too where the system has none.

    pip's isolated builds would do the same, but get a new directory each time, and then every
    file is compiled again.
    """
    wanted = requirements("requires")
    version = re.search(r"version (\d+)\.(\d+)", output_of(["cmake", "--version"]) or "")
    if not version or (int(version[1]), int(version[2])) < OLDEST["cmake"]:
        wanted.append("cmake>=3.22")
    if output_of(["ninja", "--version"]) is None:
        wanted.append("ninja>=1.10")
    install_once(step, "build", wanted)


def build(target: str) -> None:
    """Installs Ranvier into .venv unless the stamp says that it is there already."""
    if is_built(fingerprint()):
        return
    compiler = check_machine(target)
    with alone():
        now = fingerprint()
        if is_built(now):
            return
        STAMP.unlink(missing_ok=True)
        step = Step("building the C++ core into .venv, once", "build.log", target)
        drop_foreign_cache(step, "*-*-*", compiler)
        os.environ["CXX"] = compiler.command
        install_build_tools(step)
        pip_install(step, ["--no-build-isolation", "."])
        step.run([str(VENV_PYTHON), "-c", "import ranvier"], "importing")
        STAMP.write_text(f"{now}\n{compiler.command}")
        step.finish()


def cmake_build(step: Step, preset: str, compiler: Compiler, options: list[str]) -> None:
    """Configures and builds a preset, with tests."""
    drop_foreign_cache(step, preset, compiler)
    os.environ["CXX"] = compiler.command
    configure = ["cmake", "--preset", preset, "-DRANVIER_BUILD_TESTS=ON", *options]
    step.run(configure, "configuring", tools=True)
    step.run(["cmake", "--build", "--preset", preset], "compiling", tools=True)


def run_ctest(preset: str, target: str) -> None:
    step = Step("running the C++ tests", "ctest.log", target)
    command = ["ctest", "--test-dir", f"build/{preset}", "--output-on-failure"]
    hint = f"build/{preset}/ranvier_tests --gtest_filter=NAME runs one test by itself"
    step.run(command, "", hint, tools=True)
    step.finish()
    lines = step.log.read_text(encoding="utf-8", errors="replace").splitlines()
    summary = next((i for i, line in enumerate(lines) if "tests passed" in line), 0)
    for line in lines[summary:]:
        if line.strip() and not line.startswith("Total"):
            say("  " + plain(line))


# --- commands -----------------------------------------------------------------------------------


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
    run_ctest("asan", "sanitize")
    package = BUILD / "asan" / "python" / "ranvier"
    for old in package.rglob("*.py"):
        old.unlink()
    skip = shutil.ignore_patterns("__pycache__", "*.so")
    shutil.copytree(ROOT / "python" / "ranvier", package, ignore=skip, dirs_exist_ok=True)
    # Python itself knows neither library; the sanitizer must find C++ exceptions when it starts.
    env = {
        "LD_PRELOAD": ":".join(runtimes),
        "ASAN_OPTIONS": "detect_leaks=0",
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
