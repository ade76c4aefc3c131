"""`python -m ranvier show FILE`: what is in a file. Reads and reports; changes nothing.

A file may come from a stranger: its words are shown without control characters, cut, and not more
of them than a reader can take in, unless he asks for all.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import ranvier as rv
from ranvier._C import Tensor
from ranvier._tables import bytes_of, table, wrapped
from ranvier.io import building, kinds, models, nested, notes, tensors
from ranvier.io.arguments import arguments_of, classes
from ranvier.io.description import JSON, joined
from ranvier.io.kinds import plain

_ROWS = 60  # of a table
_WORDS = 12  # labels, ties
_COLUMNS = 6  # numbers of a layer that prepares data
_WIDEST = 1000  # however much is asked for
_NARROW = 60  # letters in a line
_LEARNED = ("n_features_in_", "n_iter_", "loss_", "best_validation_score_", "converged_")
_TRIED = 10_000_000  # numbers that go into a model to find its shapes

_WHAT = {
    kinds.STATE: "tensors by name",
    kinds.VALUE: "a nested value",
    kinds.MODEL: "a model",
    kinds.CHECKPOINT: "a checkpoint",
    kinds.ESTIMATOR: "an estimator",
    kinds.FOREIGN: "tensors by name, of another program",
}


def show(path: str, everything: bool = False) -> int:
    """Print what is in a file; the exit status."""
    try:
        for line in list(_lines(path, everything, shutil.get_terminal_size().columns)):
            _print(line)
    except BrokenPipeError:
        raise
    except (OSError, ValueError) as error:
        words = (
            f"{error.strerror}: {path}" if isinstance(error, OSError) and error.strerror else error
        )
        print(f"show: {plain(str(words), 1000)}", file=sys.stderr)
        return 1
    return 0


def _print(line: str) -> None:
    """A line, also where the terminal cannot show all letters."""
    encoding = sys.stdout.encoding or "ascii"
    print(line.encode(encoding, "backslashreplace").decode(encoding))


def _lines(path: str, everything: bool, width: int) -> Iterator[str]:
    named, metadata = tensors.read(path)
    kind = kinds.kind_of(path, metadata)
    view = _View(sys.maxsize if everything else 1, width)
    yield from view.said(
        f"{plain(os.path.basename(path))}: {_WHAT[kind]}, {bytes_of(os.path.getsize(path))}"
    )
    if kind != kinds.FOREIGN:
        version = plain(metadata.get("version", "?"))
        yield from view.said(f"written by Ranvier {version}, format {kinds.version_of(metadata)}")
    yield ""
    if kind == kinds.MODEL:
        yield from view.model(path, named, metadata)
        return
    if kind == kinds.ESTIMATOR:
        yield from view.estimator(path, named, metadata)
        return
    yield from view.tensors(named)
    if kind == kinds.FOREIGN:
        yield from view.values(metadata, "what it says of itself")
    elif kind != kinds.STATE:
        value = nested.value_of(path, named, kinds.described(path, metadata))
        yield from view.values(value, "numbers and words")


class _View:
    """How much is shown, and how wide.

    Parameters
    ----------
    more : int
        By how much the limits are larger than they are.
    width : int
        Of a line.
    """

    def __init__(self, more: int, width: int) -> None:
        self.more, self.width = more, max(width, 10)

    def some(self, items: Sequence[Any], most: int) -> Sequence[Any]:
        """As many of them as are shown."""
        return items[: most * self.more]

    def said(self, sentence: str) -> list[str]:
        """A sentence in lines."""
        return wrapped(sentence, self.width)

    def listed(self, what: str, items: Iterable[str], most: int = _WORDS) -> list[str]:
        """Some of many words, behind what they are."""
        every = list(items)
        shown = self.some(every, most)
        rest = f" and {len(every) - len(shown):,} more" if len(shown) < len(every) else ""
        return self.said(f"{what}: {', '.join(shown)}{rest}") if every else []

    def rows(
        self,
        rows: Sequence[tuple[str, ...]],
        heading: tuple[str, ...],
        right: int,
        few: tuple[int, ...],
    ) -> list[str]:
        """A table, of which the end is left out where it is long, and all but a few columns where
        there is no room."""
        shown = [heading, *self.some(rows, _ROWS)]
        if self.width < _NARROW:
            shown, right = [tuple(row[i] for i in few) for row in shown], 1
        lines = table(shown, right, self.width)
        shown = shown[1:]
        if len(shown) < len(rows):
            lines += self.said(f"and {len(rows) - len(shown):,} more; --all shows them")
        return lines

    # --- tensors

    def tensors(self, named: Mapping[str, Tensor]) -> list[str]:
        """Names, dtypes, shapes and sizes."""
        rows = [
            (plain(name, 200), t.dtype.name, str(tuple(t.shape)), f"{t.nbytes:,}")
            for name, t in named.items()
        ]
        return [
            *self.rows(rows, ("Name", "Dtype", "Shape", "Bytes"), 1, (0, 2)),
            *self.said(
                f"Tensors: {len(named):,}, {sum(t.numel() for t in named.values()):,} numbers, "
                f"{bytes_of(sum(t.nbytes for t in named.values()))}"
            ),
            *self.listed("Dtypes", _dtypes(named)),
        ]

    def values(self, value: Any, what: str) -> Iterator[str]:
        """What a nested value holds beside tensors, a line each."""
        found = list(_values(value, ""))
        shown = self.some(found, _ROWS)
        for place, text in shown:
            yield from self.said(f"{plain(place, 200)}: {plain(text, 200 * min(self.more, 50))}")
        if len(shown) < len(found):
            yield from self.said(f"and {len(found) - len(shown):,} more {what}; --all shows them")

    # --- models

    def model(
        self, path: str, named: Mapping[str, Tensor], metadata: Mapping[str, str]
    ) -> Iterator[str]:
        """Layers, preprocessing, labels, training."""
        description = models.description_of(path, metadata)
        about = models.about_of(path, description)
        if "keras" in description:
            from ranvier.keras._files import showing

            yield from showing.lines(self, path, description, named)
            yield from self.about(about)
            return
        own = building.own_classes(description["model"])
        runs = not own or "forward" in description
        shapes = _shapes(models.load(path, named, metadata), named, about) if runs else {}
        layers = [_Layer(at, node, named) for at, node in building.layers_of(description["model"])]
        rows = [layer.row(shapes.get(layer.path, "-")) for layer in layers]
        heading = ("Layer", "Type", "Output shape", "Parameters", "Bytes")
        yield from self.rows(rows, heading, 2, (0, 1, 3))
        numbers = sum(layer.parameters for layer in layers)
        learned = numbers - sum(layer.frozen for layer in layers)
        yield from self.said(
            f"Parameters: {numbers:,}, trainable {learned:,}, not trainable {numbers - learned:,}; "
            f"with buffers {bytes_of(sum(t.nbytes for t in named.values()))}"
        )
        yield from self.listed("Dtypes", _dtypes(named))
        tied = description["tied"].items()
        yield from self.listed("Tied", (f"{plain(a)} is {plain(b)}" for a, b in tied))
        yield from self.listed("Not Ranvier's own", (models.whose(*part) for part in own))
        if own and runs:
            yield from self.said("Forward: in the file as instructions, for any number of rows")
        elif own:
            yield from self.said("rv.load(file, model=...) puts the weights into a model of yours")
        mode = "training" if description["model"].get("training", True) else "evaluation"
        yield from self.said(f"Mode: {mode}")
        for layer in self.some([layer for layer in layers if layer.prepares], _WORDS):
            yield from self.said(layer.learned(named, min(_COLUMNS * self.more, _WIDEST)))
        yield from self.about(about)
        yield from self.others(layers, named)

    def estimator(
        self, path: str, named: Mapping[str, Tensor], metadata: Mapping[str, str]
    ) -> Iterator[str]:
        """How it was made, and what it has learned."""
        from ranvier.io import estimators

        estimator = estimators.load(path, named, metadata)
        yield from self.said(plain(repr(estimator), 1000 * self.more))
        yield ""
        yield from self.tensors(named)
        learned = vars(estimator)
        for what, name in (("Labels", "classes_"), ("Columns", "feature_names_in_")):
            yield from self.listed(what, (plain(str(one)) for one in _each(learned.get(name))))
        facts = {k: v for k, v in learned.items() if k in _LEARNED and v is not None}
        yield from self.listed("Training", _facts(facts))

    def about(self, about: notes.About) -> Iterator[str]:
        """What is known beside the layers."""
        if about.input is not None:
            yield from self.said(f"Input: rows of shape {about.input.shape}, {about.input.dtype}")
        yield from self.listed("Labels", (plain(str(label)) for label in about.labels or ()))
        if about.training is None:
            return
        facts = {name: value for name, value in about.training.items() if name != "history"}
        yield from self.listed("Training", _facts(facts))
        yield from self.listed("Measured last", _facts(about.training.get("history") or {}))

    def others(self, layers: list[_Layer], named: Mapping[str, Tensor]) -> Iterator[str]:
        """Tensors of no layer: of a model that gives its state names of its own."""
        known = {joined(layer.path, name) for layer in layers for name in layer.kinds}
        rest = {name: tensor for name, tensor in named.items() if name not in known}
        if rest:
            yield ""
            yield from self.tensors(rest)


class _Layer:
    """A layer of a description, and the tensors that it has."""

    def __init__(self, path: str, node: JSON, named: Mapping[str, Tensor]) -> None:
        self.path, self.node = path, node
        self.kinds = {} if "same" in node else building.tensors_of(node)
        own = {n: named[joined(path, n)] for n in self.kinds if joined(path, n) in named}
        learns = {n: t.numel() for n, t in own.items() if self.kinds[n] == "parameter"}
        self.parameters = sum(learns.values())
        self.frozen = sum(learns.get(name, 0) for name in node.get("frozen", ()))
        self.bytes = sum(t.nbytes for t in own.values())
        self.prepares = node.get("class", "").startswith("data.") and bool(own)

    def row(self, shape: str) -> tuple[str, ...]:
        """The line of a table."""
        depth = self.path.count(".") + 1 if self.path else 0
        name = "  " * depth + (plain(self.node["name"]) if depth else "(model)")
        if "same" in self.node:
            return name, f"the same as {plain(self.node['same'])}", "-", "-", "-"
        counted = f"{self.parameters:,}"
        if self.frozen:
            counted += " frozen" if self.frozen == self.parameters else " partly frozen"
        return name, _made(self.node), shape, counted, f"{self.bytes:,}"

    def learned(self, named: Mapping[str, Tensor], most: int) -> str:
        """What a layer that prepares data has learned, in one sentence."""
        found = {name: named[joined(self.path, name)].numpy() for name in self.kinds}
        kind = self.node["class"].partition(".")[2]
        if "shift" in found:
            shift, scale = found["shift"], found["scale"]
            wide = 1 / scale.astype("float64")
            words = ("mean", "deviation") if kind == "Standardize" else ("from", "width")
            told = f"{words[0]} {_numbers(shift, most)}; {words[1]} {_numbers(wide, most)}"
            count = len(shift)
        elif "value" in found:
            told, count = f"in place of NaN {_numbers(found['value'], most)}", len(found["value"])
        else:
            places, categories = found["places"], found["categories"]
            columns = dict.fromkeys(places.tolist())
            told = "; ".join(
                f"column {column}: {_numbers(categories[places == column], most)}"
                for column in list(columns)[:most]
            )
            count = int(found["sizes"][0])
        return f"Preprocessing: {plain(self.path or kind)} ({kind}), {count} columns, {told}"


def _values(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """Places and words of what is no tensor; a short row of numbers stands in one line."""
    if isinstance(value, Tensor):
        return
    pairs: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, Mapping):
        pairs = value.items()
    elif isinstance(value, (list, tuple)) and any(
        isinstance(part, (Mapping, list, tuple, Tensor)) for part in value
    ):
        pairs = enumerate(value)
    if not pairs:
        yield place, str(value)
    for key, part in pairs:
        yield from _values(part, f"{place}.{key}" if place else str(key))


def _made(node: JSON) -> str:
    """A class with the arguments that are not its defaults, as one writes it."""
    kind, given = node["class"], node.get("arguments", {})
    if kind not in classes():
        return plain(kind, 120)
    parts = []
    for argument in arguments_of(kind):
        value = given.get(argument.name, argument.default)
        value = tuple(value) if isinstance(value, list) else value
        value = value["float"] if isinstance(value, dict) else value
        if argument.required:
            parts.append(f"{value!r:.40}")
        elif value != argument.default:
            parts.append(f"{argument.name}={value!r:.40}")
    return f"{kind.partition('.')[2]}({', '.join(parts)})"


def _numbers(values: Any, most: int) -> str:
    shown = ", ".join(f"{value:.4g}" for value in values[:most].tolist())
    return shown + (f" and {len(values) - most:,} more" if len(values) > most else "")


def _dtypes(named: Mapping[str, Tensor]) -> list[str]:
    """Which dtypes tensors have, and how many of them."""
    counts: dict[str, int] = {}
    for tensor in named.values():
        counts[tensor.dtype.name] = counts.get(tensor.dtype.name, 0) + 1
    return [f"{name} x {count:,}" for name, count in counts.items()]


def _each(labels: Any) -> list[Any]:
    """The labels of an estimator, which has a list of arrays for several outputs."""
    if labels is None:
        return []
    return list(labels) if isinstance(labels, list) else list(labels.tolist())


def _facts(facts: Mapping[str, Any]) -> Iterator[str]:
    for name, value in facts.items():
        told = f"{value:.4g}" if isinstance(value, float) else str(value)
        yield f"{plain(name)} {plain(told)}"


def _shapes(model: rv.nn.Module, named: Mapping[str, Tensor], about: notes.About) -> dict[str, str]:
    """Shapes of outputs by the path of the layer, where a small run can tell them."""
    from ranvier.training.summary import summary

    row = about.input
    size = sum(t.numel() for t in named.values())
    if row is None or size > 20 * _TRIED or rv.Size(row.shape).numel() > _TRIED:
        return {}
    try:
        seen = summary(model, row.shape, dtype=getattr(rv, row.dtype))
    except Exception:  # what a model does not take is no matter of its file
        return {}
    return {layer.name: seen.shapes_of(layer) for layer in seen.layers}
