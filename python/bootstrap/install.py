"""The virtual environment, what goes into it, and the CMake builds.

A stamp, written last, says what .venv was built from; a run that was killed leaves a mark behind.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from common import (
    BASE_PYTHON,
    BUILD,
    OLDEST,
    ROOT,
    VENV,
    VENV_PYTHON,
    SetupError,
    output_of,
    plain,
    requirements,
    say,
)
from machine import Compiler, check_machine
from steps import Step

STAMP = VENV / ".ranvier-built"
UNFINISHED = VENV / ".ranvier-unfinished"


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


def built_with() -> str:
    """The compiler that .venv was built with, as the stamp has it; nothing before that."""
    return STAMP.read_text().partition("\n")[2] if STAMP.exists() else ""


def fits(cache: Path, compiler: Compiler) -> bool:
    """Whether CMake can go on in this build directory: not in one of another compiler or place."""
    command = shutil.which(shlex.split(compiler.command)[0])
    text = cache.read_text(encoding="utf-8", errors="replace")
    entries = dict(re.findall(r"^(\w+):\w+=(.*)$", text, re.MULTILINE))
    same = os.path.realpath(entries.get("CMAKE_CXX_COMPILER", "")) == os.path.realpath(command)
    return same and entries.get("CMAKE_HOME_DIRECTORY") == str(ROOT)


def drop_foreign_cache(step: Step, directory: str, compiler: Compiler) -> None:
    for cache in BUILD.glob(f"{directory}/CMakeCache.txt"):
        if not fits(cache, compiler):
            step.run(["rm", "-rf", str(cache.parent)], f"removing an older {cache.parent.name}")


def wheel_directory(compiler: Compiler) -> Path | None:
    """Where CMake built, or began to build, the wheel of this Python; None where there is none."""
    version = "".join(map(str, sys.version_info[:2]))
    found = [
        cache.parent
        for cache in BUILD.glob(f"??{version}-*-*/CMakeCache.txt")
        if (cache.parent / "build.ninja").exists() and fits(cache, compiler)
    ]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


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
    """Configures and builds a preset."""
    drop_foreign_cache(step, preset, compiler)
    os.environ["CXX"] = compiler.command
    configure = ["cmake", "--preset", preset, *options]
    step.run(configure, "configuring", tools=True)
    step.run(["cmake", "--build", "--preset", preset], "compiling", tools=True)


def build_in_wheel_directory(step: Step, directory: Path, option: str, target: str) -> None:
    """One more target beside the wheel, of the same objects: the core is not compiled again.

    pyproject.toml sets the option back whenever the wheel is built.
    """
    step.run(["cmake", f"-D{option}=ON", str(directory)], "configuring", tools=True)
    build = ["cmake", "--build", str(directory), "--target", target]
    step.run(build, "compiling", tools=True)


def run_ctest(preset: str, target: str) -> None:
    step = Step("running the C++ tests", "ctest.log", target)
    command = ["ctest", "--test-dir", f"build/{preset}", "--output-on-failure"]
    hint = f"build/{preset}/ranvier_tests --gtest_filter=NAME runs one test by itself"
    step.run(command, "testing", hint, tools=True)
    step.finish()
    lines = step.log.read_text(encoding="utf-8", errors="replace").splitlines()
    summary = next((i for i, line in enumerate(lines) if "tests passed" in line), 0)
    for line in lines[summary:]:
        if line.strip() and not line.startswith("Total"):
            say("  " + plain(line))
