"""`rv.summary`: what a model is made of, as a table: layers, output shapes, parameters.

Runs the model once, on two rows, and leaves everything as it was. Computes nothing itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from ranvier import _C
from ranvier._C import Tensor
from ranvier._conversion import as_tensor
from ranvier._grad import no_grad
from ranvier._random import get_rng_state, set_rng_state
from ranvier._tables import bytes_of, table, wrapped
from ranvier.nn import Module
from ranvier.training.evaluation import check_model
from ranvier.training.modes import evaluating

_ROWS = 2  # how many the model is tried on


@dataclass(frozen=True)
class Layer:
    """One line of a summary.

    Attributes
    ----------
    name : str
        The path within the model; "" is the model itself.
    kind : str
        The name of its class.
    shapes : tuple of tuple of int
        Of its outputs, the first time that it ran; empty if it did not run.
    parameters, trainable : int
        How many numbers belong to it and to none of the lines before, and how many are learned.
    """

    name: str
    kind: str
    shapes: tuple[tuple[int, ...], ...]
    parameters: int
    trainable: int


@dataclass(frozen=True)
class Summary:
    """What `summary` gives; printing it shows the table.

    Attributes
    ----------
    layers : tuple of Layer
    rows : int
        How many rows the model ran on; 0 if it did not run. A first axis of that size is shown
        as N.
    size : int
        Bytes of all parameters.
    lost : tuple of str
        Sentences about layers and parameters that the model holds and does not find.
    """

    layers: tuple[Layer, ...]
    rows: int
    size: int
    lost: tuple[str, ...]

    @property
    def total_params(self) -> int:
        """How many numbers all parameters have, tied ones once."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def trainable_params(self) -> int:
        """How many of them are learned."""
        return sum(layer.trainable for layer in self.layers)

    @property
    def non_trainable_params(self) -> int:
        """How many of them are not."""
        return self.total_params - self.trainable_params

    def __str__(self) -> str:
        cells = [("Layer", "Type", "Output shape", "Parameters")]
        cells += [self._cells(layer) for layer in self.layers]
        counts = (
            f"Parameters: {self.total_params:,} ({bytes_of(self.size)}), "
            f"trainable {self.trainable_params:,}, not trainable {self.non_trainable_params:,}"
        )
        notes = [part for sentence in self.lost for part in wrapped(sentence)]
        return "\n".join([*table(cells), *wrapped(counts), *notes])

    __repr__ = __str__

    def _cells(self, layer: Layer) -> tuple[str, str, str, str]:
        depth = layer.name.count(".") + 1 if layer.name else 0
        name = "  " * depth + (layer.name.rpartition(".")[2] or "(model)")
        shown = self.shapes_of(layer)
        count = f"{layer.parameters:,}"
        if layer.trainable < layer.parameters:
            count += " frozen" if layer.trainable == 0 else " partly frozen"
        return name, layer.kind, shown, count

    def shapes_of(self, layer: Layer) -> str:
        """The shapes of a layer's outputs in words."""
        return ", ".join(self._shape(shape) for shape in layer.shapes) or "-"

    def _shape(self, shape: tuple[int, ...]) -> str:
        sizes = [str(n) for n in shape]
        if shape and shape[0] == self.rows:
            sizes[0] = "N"
        return f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"


def summary(model: Module, X: Any = None, *, dtype: Any = None) -> Summary:
    """What a model is made of: layers, the shapes of their outputs, and parameters.

    With data or a shape the model runs once, on two rows, in evaluation mode and without
    gradients. Modes, hooks and the state of the default generator are restored.

    Parameters
    ----------
    model : Module
    X : array, shape, or a list of them for several inputs; optional
        Rows of data, of which the first two are used; or the shape of one row without the batch
        axis, such as (784,). None: the table has no output shapes.
    dtype : dtype, optional
        Of the numbers that go in; that of the first parameter unless given.

    Returns
    -------
    Summary
        Printing it shows the table.

    Raises
    ------
    TypeError
        If it is no model, or X is neither data nor a shape.
    ShapeError
        If the model does not take such rows; the layer is named.

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.nn.Sequential(rv.nn.Linear(4, 8), rv.nn.ReLU(), rv.nn.Linear(8, 3))
    >>> rv.summary(net, (4,))
    Layer    Type        Output shape  Parameters
    ---------------------------------------------
    (model)  Sequential  (N, 3)                 0
      0      Linear      (N, 8)                40
      1      ReLU        (N, 8)                 0
      2      Linear      (N, 3)                27
    ---------------------------------------------
    Parameters: 67 (268 bytes), trainable 67, not trainable 0
    """
    check_model("summary", model)
    shapes: dict[int, tuple[tuple[int, ...], ...]] = {}
    rows = 0
    if X is not None:
        inputs = _inputs(model, X, dtype)
        rows = inputs[0].shape[0] if inputs and inputs[0].ndim else 0
        shapes = _run(model, inputs)
    return Summary(
        layers=tuple(_layers(model, shapes)),
        rows=rows,
        size=sum(p.numel() * p.dtype.itemsize for p in model.parameters()),
        lost=tuple(_lost(model)),
    )


# --- the run --------------------------------------------------------------------------------------


def _is_shape(value: Any) -> bool:
    return isinstance(value, (tuple, list)) and all(
        n is None or (isinstance(n, int) and not isinstance(n, bool)) for n in value
    )


def _inputs(model: Module, X: Any, dtype: Any) -> list[Tensor]:
    """Two rows for each input of the model."""
    chosen = dtype
    if chosen is None:
        first = next(model.parameters(), None)
        chosen = _C.float32 if first is None else first.dtype
    several = isinstance(X, (tuple, list)) and not _is_shape(X)
    parts = X if several and all(_is_shape(x) or hasattr(x, "shape") for x in X) else [X]
    return [_rows_of(part, chosen) for part in parts]


def _rows_of(value: Any, dtype: Any) -> Tensor:
    if _is_shape(value):
        sizes = [n for n in value if n is not None]  # (None, 784) is taken as (784,)
        return _C.zeros((_ROWS, *sizes), dtype)
    try:
        tensor = as_tensor(value)
    except (TypeError, ValueError):
        raise TypeError(
            "[summary] X: expected data, or the shape of one row such as (784,), got "
            f"{type(value).__name__}"
        ) from None
    if tensor.ndim == 0:
        raise TypeError(
            f"[summary] X: expected rows of data, or the shape of one row such as (784,), got "
            f"{value!r:.60}"
        )
    return tensor[:_ROWS].to(dtype)


def _run(model: Module, inputs: list[Tensor]) -> dict[int, tuple[tuple[int, ...], ...]]:
    """The shapes that each module gave, by the module's id."""
    shapes: dict[int, tuple[tuple[int, ...], ...]] = {}

    def look(module: Module, args: Any, output: Any) -> None:
        whole = list(output.values()) if isinstance(output, dict) else output
        values = whole if isinstance(whole, (tuple, list)) else [whole]
        found = tuple(tuple(v.shape) for v in values if isinstance(v, Tensor))
        shapes.setdefault(id(module), found)

    state = get_rng_state()
    try:
        with ExitStack() as stack:
            stack.enter_context(evaluating(model))
            stack.enter_context(no_grad())
            for module in model.modules():
                stack.enter_context(module.register_forward_hook(look))
            model(*inputs)
    finally:
        set_rng_state(state)
    return shapes


# --- what it is made of ---------------------------------------------------------------------------


def _layers(model: Module, shapes: dict[int, tuple[tuple[int, ...], ...]]) -> Iterator[Layer]:
    seen: set[int] = set()
    for name, module in model.named_modules():
        own = [p for p in module.parameters(recurse=False) if id(p) not in seen]
        seen.update(id(p) for p in own)
        yield Layer(
            name=name,
            kind=type(module).__name__,
            shapes=shapes.get(id(module), ()),
            parameters=sum(p.numel() for p in own),
            trainable=sum(p.numel() for p in own if p.requires_grad),
        )


def _inside(value: Any) -> Iterator[Any]:
    """What plain lists and dicts hold, however deep."""
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, (list, tuple, set)):
        yield value
        return
    for part in value:
        yield from _inside(part)


def _lost(model: Module) -> Iterator[str]:
    """Layers and parameters in plain lists and dicts, which no module finds."""
    found: set[int] = {id(m) for m in model.modules()} | {id(p) for p in model.parameters()}
    for path, module in model.named_modules():
        for attribute, value in vars(module).items():
            if not isinstance(value, (list, tuple, dict, set)):
                continue
            lost = [
                part
                for part in _inside(value)
                if id(part) not in found
                and (isinstance(part, Module) or (isinstance(part, Tensor) and part.requires_grad))
            ]
            if not lost:
                continue
            kinds = ", ".join(dict.fromkeys(type(part).__name__ for part in lost))
            kind = "ParameterList" if not any(isinstance(p, Module) for p in lost) else "ModuleList"
            holder = kind.replace("List", "Dict") if isinstance(value, dict) else kind
            where = f"{path}.{attribute}" if path else attribute
            yield (
                f"Not part of the model: {where}, a plain {type(value).__name__} of {len(lost)} "
                f"({kinds}); use nn.{holder}"
            )
