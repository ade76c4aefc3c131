"""The text of `Model.summary`: plain characters, at most as wide as asked for."""

from __future__ import annotations

from typing import Any

from ranvier.keras.layers.layer import Layer
from ranvier.keras.tensors import KerasTensor, Node, flatten, map_structure


def text(model: Any, line_length: int | None, expand_nested: bool, show_trainable: bool) -> str:
    """The table of a model's layers."""
    graph = model._graph
    branched = graph is not None and _is_branched(graph)
    head = ["Layer (type)", "Output Shape", "Param #"]
    head += ["Trainable"] if show_trainable else []
    head += ["Connected to"] if branched else []
    rows = list(_rows(model, "", expand_nested, show_trainable, branched))
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    width = max(line_length or 0, sum(widths) + 3 * (len(widths) - 1))
    widths[0] += width - sum(widths) - 3 * (len(widths) - 1)
    rule = "=" * width
    lines = [f'Model: "{model.name}"', "_" * width, _line(head, widths), rule]
    lines += [_line(row, widths) for row in rows]
    return "\n".join([*lines, rule, *_totals(model)])


def _line(cells: list[str], widths: list[int]) -> str:
    return "   ".join(c.ljust(w) for c, w in zip(cells, widths, strict=True)).rstrip()


def _is_branched(graph: Any) -> bool:
    return any(len(node.parents) > 1 for node in graph.nodes) or len(graph.outputs) > 1


def _rows(model: Any, indent: str, nested: bool, trainable: bool, branched: bool) -> Any:
    for layer in model.layers:
        built = getattr(layer, "built", True)
        count = layer.count_params() if isinstance(layer, Layer) and built else 0
        row = [
            f"{indent}{layer.name} ({type(layer).__name__})",
            _shape(model, layer),
            f"{count:,}" if built else "0 (unbuilt)",
        ]
        if trainable:
            learned = bool(layer.trainable_weights) if isinstance(layer, Layer) else False
            row.append("Y" if learned else "N" if count else "-")
        if branched:
            row.append(_sources(model, layer))
        yield row
        if nested and hasattr(layer, "layers"):
            for inner in _rows(layer, indent + "  ", nested, trainable, False):
                yield inner + [""] * (len(row) - len(inner))


def _nodes(model: Any, layer: Any) -> list[Node]:
    return [] if model._graph is None else [n for n in model._graph.nodes if n.layer is layer]


def _shape(model: Any, layer: Any) -> str:
    """What comes out of a layer in this model; a question mark where nobody knows."""
    nodes = _nodes(model, layer)
    if nodes:
        shapes = map_structure(lambda t: t.shape, nodes[0].outputs)
        return str(shapes if len(flatten(nodes[0].outputs)) > 1 else flatten_one(shapes))
    shapes = getattr(layer, "_build_shapes", None)
    if not (layer.built and shapes):
        return "?"
    try:
        tensors = map_shapes(shapes)
        outputs = layer.compute_output_spec(tuple(tensors), {})
    except (TypeError, ValueError, RuntimeError):
        return "?"
    return str(flatten_one(map_structure(lambda t: t.shape, outputs)))


def flatten_one(shapes: Any) -> Any:
    """The only shape of a list of one; anything else as it is."""
    return shapes[0] if isinstance(shapes, list) and len(shapes) == 1 else shapes


def map_shapes(shapes: Any) -> Any:
    """Symbolic tensors for shapes, whose first size varies."""
    if isinstance(shapes, (list, tuple)) and all(isinstance(s, (list, tuple)) for s in shapes):
        return [map_shapes(shape) for shape in shapes]
    return KerasTensor((None, *shapes[1:]))


def _sources(model: Any, layer: Any) -> str:
    names = [
        parent.node.layer.name if parent.node else parent.name
        for node in _nodes(model, layer)
        for parent in node.parents
    ]
    return ", ".join(names) or "-"


def _totals(model: Any) -> list[str]:
    def size(weights: Any) -> str:
        numbers = sum(int(w.numel()) for w in weights)
        amount = float(sum(int(w.numel()) * int(w.element_size()) for w in weights))
        for unit in ("B", "KB", "MB"):
            if amount < 1024 or unit == "MB":
                break
            amount /= 1024
        return f"{numbers:,} ({amount:.2f} {unit})"

    return [
        f"Total params: {size(model.weights)}",
        f"Trainable params: {size(model.trainable_weights)}",
        f"Non-trainable params: {size(model.non_trainable_weights)}",
    ]
