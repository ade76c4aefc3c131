"""What benchmarks/footprint.py counts: files on the disk, what a library requires, verdicts."""

from __future__ import annotations

import sys
import zipfile
from importlib.metadata import Distribution, PathDistribution
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def _suite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def make(folder: Path, name: str, requires: str = "", size: int = 1000) -> Distribution:
    """A distribution with one module of so many bytes, as pip would have left it."""
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").write_bytes(b"#" * size)
    (folder / name / "__init__.cpython-399.pyc").write_bytes(b"#" * 5000)
    meta = folder / f"{name}-1.0.dist-info"
    meta.mkdir()
    head = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
    (meta / "METADATA").write_text(head + requires)
    module = f"{name}/__init__"
    (meta / "RECORD").write_text(f"{module}.py,,\n{module}.cpython-399.pyc,,\n{name}/gone.py,,\n")
    return PathDistribution(meta)


def test_bytecode_and_files_that_are_gone_are_not_counted(tmp_path: Path) -> None:
    from suite import installed

    files = installed.files_of(make(tmp_path, "one", size=1234))
    assert [path.name for path in files] == ["__init__.py"]
    assert installed.size_of([*files, *files]) == 1234  # a file counts once


def test_requirements_are_followed_and_extras_are_not(tmp_path: Path) -> None:
    from suite import installed

    lines = 'Requires-Dist: two_b>=1\nRequires-Dist: three ; extra == "more"\nRequires-Dist: absent'
    here = {
        "one": make(tmp_path, "one", lines + "\n"),
        "two-b": make(tmp_path, "two_b", "Requires-Dist: One\n"),  # a circle
        "three": make(tmp_path, "three"),
    }
    assert installed.needs(here["one"]) == ["two-b", "absent"]
    assert sorted(installed.closure(["one"], here.get)) == ["one", "two-b"]


def test_a_package_without_record_is_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from suite import installed

    folder = tmp_path / "loose_package"
    (folder / "__pycache__").mkdir(parents=True)
    (folder / "__init__.py").write_bytes(b"#" * 100)
    (folder / "more.txt").write_bytes(b"#" * 50)
    (folder / "__pycache__" / "__init__.cpython-399.pyc").write_bytes(b"#" * 5000)
    monkeypatch.syspath_prepend(str(tmp_path))
    found = installed.installed("loose_package")
    assert found["alone"] == 150
    assert found["where"] != installed.AS_INSTALLED
    assert "numpy" in list(found["needs"])  # type: ignore[call-overload]


def test_the_newest_wheel_is_taken(tmp_path: Path) -> None:
    import os

    from suite import wheels

    assert wheels.newest(tmp_path, tmp_path / "absent") is None
    for age, name in enumerate(("ranvier-2.0-any.whl", "ranvier-1.0-any.whl")):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("file", "text")
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    newest = wheels.newest(tmp_path)
    assert newest is not None and newest.name == "ranvier-2.0-any.whl"


def test_what_may_be_no_larger_may_be_nothing_at_all() -> None:
    from suite.targets import verdict

    assert [verdict(value, 1.0, most=True) for value in (-2.0, 0.0, 1.0, 1.02)] == ["met"] * 4
    assert verdict(2.0, 1.0, most=True) == "short, 50 %"


def test_every_library_has_a_program_and_the_answers_are_held_together(tmp_path: Path) -> None:
    import footprint
    from suite import starting

    assert set(starting.ENDINGS) == {"ranvier", *footprint.PEERS}
    logits = [0.0, 1.0, 2.0]
    footprint._check_equal({"ranvier": logits, "numpy": [0.0, 1.0, 2.00001]})
    footprint._check_equal({"ranvier": logits, "sklearn": [0.0900306, 0.2447285, 0.6652410]})
    with pytest.raises(SystemExit, match="numpy"):
        footprint._check_equal({"ranvier": logits, "numpy": [0.0, 1.0, 3.0]})


@pytest.mark.parametrize("library", ["ranvier", "numpy"])
def test_a_first_row_is_printed(
    library: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from suite import starting

    file = str(tmp_path / f"net.{starting.ENDINGS[library]}")
    starting.make(library, file)
    starting.predict(library, file)
    assert len(capsys.readouterr().out.split()) == 10


@pytest.mark.skipif(sys.platform != "linux", reason="resident sizes are read from /proc")
def test_predictions_are_counted() -> None:
    from suite import resident

    assert set(resident.our_calls()) == set(resident.OURS)
    found = resident.predict("ranvier", "captured", "200", "60")
    assert (found["first"], found["calls"]) == (200, 200)
