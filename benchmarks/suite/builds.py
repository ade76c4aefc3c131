"""Packages built from commits and from the working tree, to be timed against each other.

All are built alike, by this interpreter's tools, one after another in one folder (build/regress),
where only files that differ from the last build are written and so compiled again. A package is
kept under a name that its sources and the compiler make, and is not built twice.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import io
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / "build" / "regress"
TREE, PACKAGES = FOLDER / "source", FOLDER / "packages"
# What a build does not read.
ASIDE = (
    "benchmarks/",
    "tests/",
    "examples/",
    "python/bootstrap/",
    "CHANGELOG",
    "CONTRIBUTING",
    ".",
)

Sources = Mapping[str, bytes]  # by path


class BuildError(RuntimeError):
    """What to tell the user before giving up."""


# ---- commits


def git(*arguments: str) -> bytes:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True)
    except OSError:
        raise BuildError(
            "git is not installed: name two built packages by --old and --new"
        ) from None
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise BuildError(f"git {' '.join(arguments)}: {words[-1]}")
    return done.stdout


def commit_of(name: str) -> str:
    """The commit that a branch, tag or abbreviation names."""
    try:
        return git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").decode().strip()
    except BuildError as error:
        if "git rev-parse" not in str(error):
            raise
        raise BuildError(
            f"BASE: expected a commit, a branch or a tag of this checkout, got {name!r}"
        ) from None


def default_base() -> str:
    """Where this branch left the main one; on the main branch itself the commit before this."""
    head = commit_of("HEAD")
    for main in ("main", "origin/main"):
        try:
            base = git("merge-base", "HEAD", commit_of(main)).decode().strip()
        except BuildError:
            continue
        if base != head:
            return base
    return commit_of("HEAD~1")


def sources_of(commit: str) -> Sources:
    with tarfile.open(fileobj=io.BytesIO(git("archive", "--format=tar", commit))) as archive:
        files = {m.name: archive.extractfile(m) for m in archive.getmembers() if m.isfile()}
        return {path: f.read() for path, f in files.items() if f and is_built_from(path)}


def working_sources() -> Sources:
    """What git tracks here and what is new and not ignored, as it lies on the disk."""
    names = git("ls-files", "-z", "--cached", "--others", "--exclude-standard").decode()
    paths = sorted({path for path in names.split("\0") if path and is_built_from(path)})
    return {path: (ROOT / path).read_bytes() for path in paths if (ROOT / path).is_file()}


def is_built_from(path: str) -> bool:
    return not path.startswith(ASIDE) and not path.endswith(".so")


# ---- building


def bootstrap() -> tuple[Any, Any, Any, Any]:
    """Its modules common, install, machine and steps: they know compilers and say what failed."""
    place = str(ROOT / "python" / "bootstrap")
    sys.path.insert(0, place)
    try:
        common, install, machine, steps = map(
            importlib.import_module, ("common", "install", "machine", "steps")
        )
    finally:
        sys.path.remove(place)
    return common, install, machine, steps


def package_of(sources: Sources, label: str) -> Path:
    """The folder that holds a `ranvier` built from these sources, for PYTHONPATH."""
    need_tools()
    common, install, machine, steps = bootstrap()
    try:
        compiler = machine.find_compiler()
        if not hasattr(compiler, "command"):
            compiler = machine.check_machine("bench")  # says what to install
        folder = PACKAGES / digest_of(sources, compiler.command)
        if (folder / "ranvier").is_dir():
            return folder
        with install.alone():
            log = f"regress-{label.replace(' ', '-')}.log"
            step = steps.Step(f"building {label}", log, "bench-selftest")
            os.environ["CXX"] = compiler.command
            write_tree(sources, TREE)
            part = folder.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            step.run(pip_command(part), "starting pip", tools=True)
            os.replace(part, folder)
            step.finish()
    except common.SetupError as failure:
        raise BuildError(str(failure)) from None
    return folder


def pip_command(target: Path) -> list[str]:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "install"]
    options = ["-v", "--progress-bar", "off", "--no-deps", "--no-build-isolation"]
    build = f"build-dir={FOLDER / 'cmake'}-{sys.implementation.cache_tag}"
    return [*pip, *options, "--target", str(target), "-C", build, str(TREE)]


def need_tools() -> None:
    """A build without isolation takes what this interpreter has."""
    modules = {"pip": "pip", "scikit_build_core": "scikit-build-core", "pybind11": "pybind11"}
    missing = [name for module, name in modules.items() if not importlib.util.find_spec(module)]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    missing += [tool for tool in ("cmake", "ninja") if not shutil.which(tool, path=path)]
    if missing:
        raise BuildError(
            f"{sys.executable} lacks {', '.join(missing)} to build with: `make bench` puts all of "
            "it into .venv, whose Python then runs this; or name two built packages by --old and "
            "--new"
        )
    os.environ["PATH"] = path


def digest_of(sources: Sources, compiler: str) -> str:
    banner = subprocess.run(
        [*compiler.split(), "--version"], capture_output=True, text=True, check=False
    ).stdout.partition("\n")[0]
    flags = [os.environ.get(name, "") for name in ("CXXFLAGS", "LDFLAGS", "CMAKE_ARGS")]
    digest = hashlib.sha256(f"{sys.version} {compiler} {banner} {flags}".encode())
    for path, content in sorted(sources.items()):
        digest.update(f"{path} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:16]


def write_tree(sources: Sources, tree: Path) -> None:
    """Makes the folder hold just these files, and touches none that is right already."""
    for path in list(tree.rglob("*")) if tree.exists() else []:
        if path.is_file() and path.relative_to(tree).as_posix() not in sources:
            path.unlink()
    for name, content in sources.items():
        path = tree / name
        if not path.is_file() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def check_package(folder: Path, flag: str) -> Path:
    """The same folder, if Python finds its `ranvier` there; BuildError if not."""
    folder = folder.resolve()
    code = "import ranvier; print(ranvier.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT / "benchmarks",
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
    )
    found = done.stdout.strip()
    if done.returncode or not Path(found).is_relative_to(folder):
        why = f"Python finds {found}" if found else done.stderr.strip().rpartition("\n")[2]
        raise BuildError(
            f"{flag}: expected a folder with a built `ranvier` in it, got {folder} ({why})"
        )
    return folder


# ---- a slow one


def slowed(sources: Sources, path: str, line: str, more: str) -> Sources:
    """The same sources with `more` behind the one place where `line` stands."""
    text = sources.get(path, b"").decode()
    if text.count(line) != 1:
        raise BuildError(
            f"{path}: expected the line {line!r} once, found it {text.count(line)} times; the "
            "benchmark's way to slow a kernel down must follow the source"
        )
    return {**sources, path: text.replace(line, f"{line}{more}").encode()}
