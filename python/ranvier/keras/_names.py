"""Names: how a thing is found by its name, what it is called when nobody says, and near misses.

One table for each kind of thing (layers, losses, ...) is made with `Registry`; nothing else in
the Keras door looks anything up by name.
"""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Generic, TypeVar

T = TypeVar("T")

_counts: dict[str, int] = {}  # how many things of a name were made
custom_objects: dict[str, Any] = {}  # what users registered, by name


def snake(name: str) -> str:
    """`BatchNormalization` as batch_normalization: what a thing is called by itself."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def name_of(thing: Any) -> str:
    """What a function or an object of one's own is called: "lambda" for one without a name."""
    return snake(str(getattr(thing, "__name__", type(thing).__name__)).strip("<>"))


def auto_name(prefix: str) -> str:
    """A name that nothing has yet: dense, dense_1, dense_2, ..."""
    count = count_up(prefix)
    return f"{prefix}_{count}" if count else prefix


def count_up(prefix: str) -> int:
    """How often this was asked for a prefix before."""
    count = _counts.get(prefix, 0)
    _counts[prefix] = count + 1
    return count


def forget_names() -> None:
    """Names begin at their start again."""
    _counts.clear()


def near(name: str, known: Iterable[str]) -> str:
    """What may have been meant, as the end of a message; empty if nothing is near."""
    lower: dict[str, str] = {}
    capital = name[:1].isupper()
    for known_name in sorted(known, key=lambda n: n[:1].isupper() != capital):
        lower.setdefault(known_name.lower(), known_name)
    found = difflib.get_close_matches(name.lower(), lower, n=3, cutoff=0.5)
    return f"; did you mean {' or '.join(repr(lower[n]) for n in found)}?" if found else ""


class Registry(Generic[T]):
    """Names and what they stand for.

    Parameters
    ----------
    kind : str
        What it holds, for messages: "loss", "optimizer".
    entries : mapping of str to class or function
        What there is, under the names to show.
    aliases : mapping of str to str
        Other names for entries.
    """

    def __init__(
        self, kind: str, entries: Mapping[str, T], aliases: Mapping[str, str] | None = None
    ) -> None:
        self.kind = kind
        self.entries: dict[str, T] = {}
        for name, entry in entries.items():
            self.entries[name] = entry
            self.entries.setdefault(snake(name), entry)
        for alias, name in (aliases or {}).items():
            self.entries[alias] = self.entries[name]

    def find(self, name: str) -> T:
        """The entry; a ValueError with near misses where there is none."""
        for known in (name, name.lower()):
            if known in custom_objects:
                found: T = custom_objects[known]
                return found
            if known in self.entries:
                return self.entries[known]
        shown = ", ".join(n for n in self.entries if n == n.lower())
        raise ValueError(
            f"[keras] {self.kind}: expected one of {shown}, got {name!r:.60}"
            f"{near(name, self.entries)}"
        )

    def get(self, identifier: Any) -> Any:
        """What a name, a configuration, a class or an object means; classes are instantiated."""
        if isinstance(identifier, str):
            identifier = self.find(identifier)
        elif isinstance(identifier, Mapping):
            return self.from_config(identifier)
        if inspect.isclass(identifier):
            identifier = identifier()
        if callable(identifier):
            return identifier
        raise ValueError(
            f"[keras] {self.kind}: expected a name, a function or an object, got {identifier!r:.60}"
        )

    def from_config(self, config: Mapping[str, Any]) -> Any:
        """An object from `{"class_name": ..., "config": {...}}`."""
        if "class_name" not in config:
            raise ValueError(
                f"[keras] {self.kind}: expected a configuration with 'class_name' and 'config', "
                f"got {list(config)}"
            )
        kind: Any = self.find(str(config["class_name"]))
        settings = dict(config.get("config") or {})
        if not inspect.isclass(kind):
            return kind
        made: Any = kind
        return made.from_config(settings) if hasattr(kind, "from_config") else made(**settings)


def serialize(thing: Any) -> Any:
    """The configuration of an object, or the name of a function; None stays None."""
    if thing is None or isinstance(thing, (str, Mapping)):
        return thing
    if hasattr(thing, "get_config"):
        return {"class_name": registered_name(type(thing)), "config": thing.get_config()}
    return registered_name(thing) or type(thing).__name__


def registered_name(thing: Any) -> str | None:
    """The name under which a class or function was registered, or its own; None without one."""
    for name, known in custom_objects.items():
        if known is thing:
            return name
    return getattr(thing, "__name__", None)


def register(package: str = "Custom", name: str | None = None) -> Callable[[T], T]:
    """A decorator that makes an own class or function known by its name.

    Parameters
    ----------
    package : str
        Accepted for Keras' sake.
    name : str, optional
        Another name than its own.
    """

    def decorate(thing: T) -> T:
        custom_objects[name or str(getattr(thing, "__name__", thing))] = thing
        return thing

    return decorate


class Configured:
    """An object that can say how it was made: `get_config()`, `from_config(config)`.

    Subclasses list their settings in `settings`; each is an attribute of the same name.
    """

    settings: ClassVar[tuple[str, ...]] = ()

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal object."""
        return {name: getattr(self, name) for name in self.settings}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:
        """An object from what `get_config` gave."""
        return cls(**config)

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={value!r}" for name, value in self.get_config().items())
        return f"{type(self).__name__}({inside})"
