"""What a file says about itself: whose it is, which version, what kind; and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

import ranvier as rv
from ranvier.io import kinds, tensors


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file.safetensors"


def test_what_is_written(path: Path) -> None:
    rv.save({"a": rv.ones(1)}, path)
    assert tensors.read(path)[1] == {
        "format": "ranvier",
        "format_version": "1",
        "version": rv.__version__,
        "kind": "state",
    }
    assert kinds.kind_of(path, tensors.read(path)[1]) == "state"


def test_files_of_others_and_of_the_first_days(path: Path) -> None:
    assert kinds.kind_of(path, {}) == kinds.kind_of(path, {"format": "pt"}) == "foreign"
    assert kinds.kind_of(path, {"format": "ranvier", "version": "0.1.0"}) == "state"


@pytest.mark.parametrize("version", ["2", "999999999"])
def test_a_newer_file_says_so(path: Path, version: str) -> None:
    metadata = {"format": "ranvier", "format_version": version, "version": "7.1", "kind": "new"}
    tensors.write(path, {"a": rv.ones(1)}, metadata)
    with pytest.raises(ValueError) as caught:
        rv.load(path)
    words = str(caught.value)
    assert words.startswith(f"[load] {path}: expected format_version 1 or less, got {version}")
    assert "written by Ranvier 7.1; upgrade Ranvier" in words


@pytest.mark.parametrize(
    ("name", "value"),
    [("format_version", bad) for bad in ("", "0", "-1", "1.0", "\u0661", "9" * 5000, "x")]
    + [("kind", bad) for bad in ("", "models", "os.system")],
)
def test_what_no_version_writes(path: Path, name: str, value: str) -> None:
    metadata = {**kinds.metadata(kinds.STATE), name: value}
    tensors.write(path, {"a": rv.ones(1)}, metadata)
    with pytest.raises(ValueError, match=r"\[load\] .*expected a (format_version|kind)") as caught:
        rv.load(path)
    assert len(str(caught.value)) < len(str(path)) + 200


@pytest.mark.parametrize(
    "text", ["", "[]", "3", "{", '{"a":1,"a":2}', '{"a":NaN}', "[" * 100_000, "9" * 5000]
)
def test_descriptions_that_are_none(path: Path, text: str) -> None:
    with pytest.raises(ValueError, match=r"\[load\] .*expected .* description"):
        kinds.described(path, {"description": text})
    with pytest.raises(ValueError, match="description"):
        kinds.described(path, {})


def test_descriptions_come_back() -> None:
    wanted = {"b": [1, 2.5, None, True, "\u00e4"], "a": {}}
    found = kinds.metadata(kinds.MODEL, wanted)
    assert kinds.described("f", found) == wanted and list(kinds.described("f", found)) == ["b", "a"]
    with pytest.raises(ValueError):
        kinds.metadata(kinds.MODEL, {"a": float("nan")})
