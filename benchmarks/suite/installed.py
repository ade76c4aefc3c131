"""What a library takes on the disk: its files and those of what it needs, as pip recorded them."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryFile

Distribution = importlib.metadata.Distribution
AS_INSTALLED = "as installed"
NAMES = {"sklearn": "scikit-learn"}  # where the distribution is called otherwise


def find(name: str) -> Distribution | None:
    """The installed distribution of this name."""
    try:
        return importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def needs(distribution: Distribution) -> list[str]:
    """The names that it requires; those of extras are no requirement."""
    found = []
    for line in distribution.requires or []:
        words, _, marker = line.partition(";")
        name = re.match(r"\s*([A-Za-z0-9][\w.-]*)", words)
        if name and "extra" not in marker:
            found.append(re.sub(r"[-_.]+", "-", name[1]).lower())
    return found


def closure(
    names: Iterable[str], find: Callable[[str], Distribution | None] = find
) -> dict[str, Distribution]:
    """These distributions and all that they require, as far as they are installed."""
    found: dict[str, Distribution] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        distribution = None if name in found else find(name)
        if distribution is not None:
            found[name] = distribution
            waiting += needs(distribution)
    return found


def files_of(distribution: Distribution) -> list[Path]:
    """Its files that are there, without what Python compiles from them."""
    paths = (Path(str(file.locate())) for file in distribution.files or [])
    return [path for path in paths if path.suffix != ".pyc" and path.is_file()]


def size_of(paths: Iterable[Path]) -> int:
    """Bytes in these files; one that is named twice counts once."""
    return sum(path.stat().st_size for path in {path.resolve() for path in paths})


def package_files(name: str) -> tuple[list[Path], str]:
    """The files of a package and where they were found: as installed, or in its folder alone."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(name)
    origin = Path(spec.origin).resolve()
    distribution = find(NAMES.get(name, name))
    files = files_of(distribution) if distribution is not None else []
    if any(path.resolve() == origin for path in files):
        return files, AS_INSTALLED
    folder = sorted(origin.parent.rglob("*"))
    return [path for path in folder if path.is_file() and path.suffix != ".pyc"], "a source tree"


def installed(name: str, with_it: Iterable[str] = ()) -> dict[str, object]:
    """Bytes of a library, of that with what it needs, and the names of what was counted."""
    files, where = package_files(name)
    distribution = find(NAMES.get(name, name))
    # What a package in a source tree needs is not recorded anywhere; for us that is NumPy.
    others = needs(distribution) if distribution is not None else ["numpy"]
    counted = closure([*others, *with_it])
    counted.pop(NAMES.get(name, name), None)
    rest = [path for each in counted.values() for path in files_of(each)]
    return {
        "alone": size_of(files),
        "with what it needs": size_of([*files, *rest]),
        "needs": sorted(counted),
        "where": where,
        "version": distribution.version if distribution is not None else "",
    }


def zipped(name: str) -> int:
    """Bytes of a package's files in a zip archive, which is what a wheel is."""
    files, _ = package_files(name)
    with TemporaryFile() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in files:
                archive.write(path)
        return file.tell()
