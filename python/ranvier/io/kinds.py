"""What a file says about itself: whose it is, of which version, and what kind of thing it holds.

These are the strings under `__metadata__`. Nothing here looks at tensors.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from ranvier import _C

Path = str | os.PathLike[str]

VERSION = 1  # of the format; a larger one is refused
STATE, VALUE, MODEL, CHECKPOINT, ESTIMATOR = KINDS = (
    "state", "value", "model", "checkpoint", "estimator",
)  # fmt: skip
FOREIGN = "foreign"  # of files that somebody else wrote


def plain(text: str, most: int = 60) -> str:
    """A word of a file, for messages and terminals: in one line, cut, control characters named."""
    shown = text[: most + 1]
    shown = shown if shown.isprintable() else repr(shown)[1:-1]
    return shown if len(shown) <= most else shown[: most - 2] + ".."


def metadata(kind: str, description: Any = None) -> dict[str, str]:
    """What is written under `__metadata__`; the same content gives the same bytes."""
    made = {
        "format": "ranvier",
        "format_version": str(VERSION),
        "version": _C.version(),
        "kind": kind,
    }
    if description is not None:
        made["description"] = json.dumps(
            description, ensure_ascii=False, allow_nan=False, separators=(",", ":")
        )
    return made


def kind_of(path: Path, found: Mapping[str, str]) -> str:
    """Which of the kinds a file is of, or `FOREIGN`.

    Raises
    ------
    ValueError
        If a newer Ranvier wrote it, or it says something that no version writes.
    """
    if found.get("format") != "ranvier":
        return FOREIGN
    version = version_of(found)
    if not (version.isascii() and version.isdigit() and len(version) < 10 and int(version)):
        raise ValueError(
            f"[load] {os.fspath(path)}: expected a format_version from 1, got {version!r:.60}; "
            "the file is damaged"
        )
    if int(version) > VERSION:
        raise ValueError(
            f"[load] {os.fspath(path)}: expected format_version {VERSION} or less, got {version}, "
            f"written by Ranvier {found.get('version', 'of a later day')!s:.20}; upgrade Ranvier "
            f"(this is {_C.version()})"
        )
    kind = found.get("kind", STATE)
    if kind not in KINDS:
        raise ValueError(
            f"[load] {os.fspath(path)}: expected a kind out of {', '.join(KINDS)}, got "
            f"{kind!r:.60}; the file is damaged"
        )
    return kind


def version_of(found: Mapping[str, str]) -> str:
    """The version of the format, of a file that has passed `kind_of`."""
    return found.get("format_version", "1")


def described(path: Path, found: Mapping[str, str]) -> dict[str, Any]:
    """The description of a file, an object of JSON.

    Raises
    ------
    ValueError
        If there is none, or it is no such object.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            raise ValueError("a name occurs twice")
        return made

    def no_number(text: str) -> Any:
        raise ValueError(f"{text} is no number of JSON")

    text = found.get("description", "nothing")
    try:
        value = json.loads(text, object_pairs_hook=once, parse_constant=no_number)
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"[load] {os.fspath(path)}: expected a description in JSON, got {error!s:.120}; the "
            "file is damaged"
        ) from None
    if not isinstance(value, dict):
        raise ValueError(
            f"[load] {os.fspath(path)}: expected an object as description, got "
            f"{type(value).__name__}; the file is damaged"
        )
    return value
