"""`python -m ranvier show` of a file with a Keras model: its layers, and what trains it.

What is shown is read off the description; where all classes are known, the model is made too, so
that a file with other weights than its layers is not shown as if it were whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ranvier._C import Tensor
from ranvier._tables import bytes_of
from ranvier.io.building import layers_of
from ranvier.io.kinds import plain
from ranvier.keras._files import whole

JSON = dict[str, Any]

# Of a configuration: what stands elsewhere in the line, or says how weights began.
_NOT_TOLD = ("name", "dtype", "trainable", "batch_shape")
_BEGINNINGS = ("initializer",)
_HEADING = ("Layer", "Type", "Output shape", "Parameters", "Bytes")


def lines(view: Any, path: str, description: JSON, named: Mapping[str, Tensor]) -> Iterator[str]:
    """What is in a file, in lines; `view` says how much of it and how wide."""
    parts = whole.parts_of(path, description, named)
    missing = whole.missing_of(parts)
    if not missing:
        whole.built(parts, named, description["tied"])
    weights = whole.weights_in(named)
    shapes = _shapes(parts["model"])
    rows, learned = [], 0
    for at, node in layers_of(parts["model"]):
        own = {n: weights.get(f"{at}.{n}" if at else n) for n in node.get("weights", ())}
        sizes = {name: t.numel() for name, t in own.items() if t is not None}
        still = {*node.get("fixed", ()), *node.get("frozen", ())}
        learned += sum(size for name, size in sizes.items() if name not in still)
        rows.append(_row(at, node, shapes.get(at, "-"), own, sum(sizes.values())))
    yield from view.rows(rows, _HEADING, 2, (0, 1, 3))
    total = sum(t.numel() for t in weights.values())
    yield from view.said(
        f"Parameters: {total:,}, trainable {learned:,}, not trainable {total - learned:,}; "
        f"{bytes_of(sum(t.nbytes for t in weights.values()))}"
    )
    yield from view.listed("Not Ranvier's own, and not known here", map(plain, missing))
    if missing and "forward" in description:
        yield from view.said("Forward: in the file as instructions, for any number of rows")
    tied = description["tied"].items()
    yield from view.listed("Tied", (f"{plain(a)} is {plain(b)}" for a, b in tied))
    if isinstance(parts.get("compile"), dict):
        yield from view.listed("Compiled", _compiled(parts["compile"]))


def _row(
    at: str, node: JSON, shape: str, own: Mapping[str, Tensor | None], count: int
) -> tuple[str, ...]:
    """The line of a layer."""
    depth = at.count(".") + 1 if at else 0
    name = "  " * depth + (plain(node["name"]) if depth else "(model)")
    if "same" in node:
        return name, f"the same as {plain(node['same'])}", "-", "-", "-"
    told = f"{count:,}"
    learning = set(own) - {*node.get("fixed", ()), *node.get("frozen", ())}
    if own and not learning:
        told += " frozen"
    bytes_ = sum(t.nbytes for t in own.values() if t is not None)
    return name, _made(node), shape, told, f"{bytes_:,}"


def _made(node: JSON) -> str:
    """A class with the settings that say something."""
    config = node.get("config", {})
    told = [
        f"{plain(key, 40)}={_value(value)}"
        for key, value in config.items()
        if key not in _NOT_TOLD
        and not key.endswith(_BEGINNINGS)
        and value is not None
        and (key, value) not in (("use_bias", True), ("activation", "linear"))
    ]
    return f"{plain(node['class'], 120)}({', '.join(told)})"


def _value(value: Any) -> str:
    """A setting in a few letters."""
    if isinstance(value, dict):
        name = value.get("class", value.get("name", value.get("class_name", value.get("is"))))
        return plain(str(name), 40)
    return "a tensor" if isinstance(value, Tensor) else plain(f"{value!r}", 40)


def _shapes(tree: JSON) -> dict[str, str]:
    """Shapes that come out of the first call of each layer, by its path."""
    found: dict[str, str] = {}
    for at, node in layers_of(tree):
        children = [f"{at}.{c['name']}" if at else c["name"] for c in node.get("layers", ())]
        for call in node.get("calls", ()):
            number = call.get("layer") if isinstance(call, dict) else None
            if type(number) is int and 0 <= number < len(children):
                found.setdefault(children[number], _outs(call.get("out")))
    return found


def _outs(value: Any) -> str:
    """Shapes in the structure of what comes out."""
    if isinstance(value, dict) and value.get("is") == "out":
        shape = value.get("shape")
        return plain(str(tuple(shape))) if isinstance(shape, list) else "-"
    if not isinstance(value, (dict, list, tuple)):
        return "-"
    return ", ".join(_outs(part) for part in (value.values() if isinstance(value, dict) else value))


def _compiled(parts: JSON) -> Iterator[str]:
    """Optimizer, loss and metrics."""
    told = parts.get("optimizer")
    if isinstance(told, dict):
        config = told.get("config")
        rate = config.get("learning_rate") if isinstance(config, dict) else None
        shown = f"{rate:g}" if isinstance(rate, float) else _value(rate)
        steps = plain(str(told.get("steps", 0)), 20)
        yield f"{plain(str(told.get('class')))} learning rate {shown}, {steps} steps"
    for name in ("loss", "metrics", "weighted_metrics"):
        given = parts.get(name)
        if given:
            listed = given if isinstance(given, (list, tuple)) else [given]
            yield f"{name} {', '.join(map(_value, listed))}"
