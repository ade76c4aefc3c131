"""What a model computes as a graph: each operation below the layer that runs it.

The model predicts some rows once, in evaluation mode; the list of what that runs is the graph.
Nothing is written here, and nothing of the model changes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

from ranvier import _C
from ranvier._C import Tensor
from ranvier._C import dtype as DType
from ranvier._conversion import as_tensor
from ranvier._grad import no_grad
from ranvier._random import get_rng_state, set_rng_state
from ranvier.nn import Module
from ranvier.training.modes import evaluating
from ranvier.utils.tensorboard.events import needed

_TYPES = {
    "float32": 1, "float64": 2, "int32": 3, "uint8": 4, "int16": 5, "int8": 6, "int64": 9,
    "bool": 10, "bfloat16": 14, "uint16": 17, "float16": 19, "uint32": 22, "uint64": 23,
}  # fmt: skip


class Node(NamedTuple):
    """One operation, weight, input or result.

    Attributes
    ----------
    name : str
        The way to its layer, and the operation; each is there once.
    op : str
    inputs : list of str
        The nodes that it reads, with ":1" for the second thing that one gives.
    attributes : dict of str to value
    outputs : list of Tensor
        What it gives, for the rows that were tried.
    """

    name: str
    op: str
    inputs: list[str]
    attributes: dict[str, Any]
    outputs: list[Tensor]


def nodes_of(model: Module, inputs: Sequence[Any]) -> list[Node]:
    """The graph of a model.

    Parameters
    ----------
    model : Module
    inputs : sequence of arrays
        Rows for each of its inputs.

    Raises
    ------
    ValueError
        If what the model computes depends on values, so that there is no one graph.
    """
    given = [as_tensor(value) for value in inputs]
    mark = _C.zeros((1,), _C.float32)
    calls: list[str] = []  # of what follows each mark, the layer that runs
    state = get_rng_state()
    try:
        with evaluating(model), no_grad(), _watched(model, mark, calls) as marks:

            def run(*tensors: Tensor) -> list[Tensor]:
                found: list[Tensor] = []
                _flatten(model(*tensors), found)
                return [*found, *marks]

            results, steps, held, reason = _C.list_instructions(run, given)
    except RuntimeError as error:
        raise ValueError(
            f"[add_graph] model: expected one that can be listed, got {error}"
        ) from error
    finally:
        set_rng_state(state)
    if reason:
        raise ValueError(f"[add_graph] model: expected one list of operations, got {reason}")
    count = len(results) - len(calls)
    return _nodes(model, given, mark, calls, results[:count], set(results[count:]), steps, held)


@contextmanager
def _watched(model: Module, mark: Tensor, calls: list[str]) -> Iterator[list[Tensor]]:
    """While it lasts, a mark stands in the list wherever a layer begins or ends."""
    marks: list[Tensor] = []
    inside: list[str] = []

    def begin(name: str) -> Any:
        def note(*_: Any) -> None:
            inside.append(name)
            calls.append(name)
            marks.append(_C.ops.relu(mark))

        return note

    def end(*_: Any) -> None:
        inside.pop()
        calls.append(inside[-1] if inside else "")
        marks.append(_C.ops.relu(mark))

    with ExitStack() as stack:
        for name, module in model.named_modules():
            first = module.register_forward_pre_hook(begin(name), prepend=True)
            stack.callback(first.remove)
            last = module.register_forward_hook(end)
            stack.callback(last.remove)
        yield marks


def _flatten(value: Any, found: list[Tensor]) -> None:
    if isinstance(value, Tensor):
        found.append(value)
    elif isinstance(value, (list, tuple, dict)):
        for part in value.values() if isinstance(value, dict) else value:
            _flatten(part, found)


def _nodes(
    model: Module,
    given: list[Tensor],
    mark: Tensor,
    calls: list[str],
    results: list[int],
    marks: set[int],
    steps: list[Any],
    held: dict[int, Tensor],
) -> list[Node]:
    names = _Names()
    nodes: list[Node] = []
    known: dict[int, str] = {}  # where each number comes from
    values: dict[int, Tensor] = {n: t.detach().clone() for n, t in held.items()}  # may be changed

    def add(number: int, name: str, op: str, tensor: Tensor) -> None:
        known[number] = names.unique(name)
        nodes.append(Node(known[number], op, [], {}, [tensor]))

    for number, tensor in enumerate(given):
        values[number] = tensor.detach().clone()
        add(number, f"input{f'_{number}' * (number > 0)}", "Input", tensor)
    called = _tensors(model)
    for number, tensor in held.items():
        if tensor.data_ptr() != mark.data_ptr():
            name, op = called.get(_identity(tensor), ("constant", "Constant"))
            add(number, name, op, tensor)
    layer, place = "", 0
    for op, attributes, reads, gives, *_ in steps:
        if gives and gives[0] in marks:
            layer, place = calls[place], place + 1
            continue
        made = _C.run_op(op, [None if n is None else values[n] for n in reads], attributes)
        values.update(zip(gives, made, strict=True))
        name = names.unique("/".join([*filter(None, layer.split(".")), op]))
        nodes.append(Node(name, op, [known[n] for n in reads if n is not None], attributes, made))
        known.update((n, f"{name}:{i}" if i else name) for i, n in enumerate(gives))
    for number in results:
        name = names.unique("output")
        nodes.append(Node(name, "Output", [known[number]], {}, [values[number]]))
    return nodes


def _tensors(model: Module) -> dict[tuple[Any, ...], tuple[str, str]]:
    """What the model's tensors are called."""
    found = {}
    for kind, named in (("Buffer", model.named_buffers()), ("Parameter", model.named_parameters())):
        for name, tensor in named:
            found[_identity(tensor)] = name.replace(".", "/"), kind
    return found


def _identity(tensor: Tensor) -> tuple[Any, ...]:
    return tensor.data_ptr(), tensor.dtype, tensor.numel()


class _Names:
    """Names of which each is given once."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def unique(self, name: str) -> str:
        name = re.sub(r"[^A-Za-z0-9_.\\/-]", "_", name)
        name = name if name[:1].isalnum() or name[:1] == "." else f".{name}"
        count = self._counts.get(name, 0)
        self._counts[name] = count + 1
        return self.unique(f"{name}_{count}") if count else name


# --- in TensorBoard's words -----------------------------------------------------------------------


def graph_def(nodes: Sequence[Node]) -> Any:
    """The graph as a GraphDef."""
    graphs = needed("add_graph", "compat.proto.graph_pb2")
    defs = needed("add_graph", "compat.proto.node_def_pb2")
    versions = needed("add_graph", "compat.proto.versions_pb2")
    made = [
        defs.NodeDef(
            name=node.name, op=node.op, input=node.inputs, device="/device:CPU:0",
            attr=_attributes(node),
        )
        for node in nodes
    ]  # fmt: skip
    return graphs.GraphDef(node=made, versions=versions.VersionDef(producer=22))


def _attributes(node: Node) -> dict[str, Any]:
    values = needed("add_graph", "compat.proto.attr_value_pb2")
    shapes = needed("add_graph", "compat.proto.tensor_shape_pb2").TensorShapeProto
    listed = [
        shapes(dim=[shapes.Dim(size=size) for size in tensor.shape]) for tensor in node.outputs
    ]
    made = {"_output_shapes": values.AttrValue(list=values.AttrValue.ListValue(shape=listed))}
    if node.outputs:
        made["dtype"] = values.AttrValue(type=_TYPES[node.outputs[0].dtype.name])
    for name, value in node.attributes.items():
        made.setdefault(name, _attribute(values, value))
    return made


def _attribute(values: Any, value: Any) -> Any:
    if isinstance(value, bool):
        return values.AttrValue(b=value)
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return values.AttrValue(i=value)
    if isinstance(value, float):
        return values.AttrValue(f=value)
    if isinstance(value, DType):
        return values.AttrValue(type=_TYPES[value.name])
    return values.AttrValue(s=str(value).encode())


def as_text(nodes: Sequence[Node], rows: int | None = None) -> str:
    """The graph in words, a line for each operation; a first axis of `rows` is shown as N."""
    lines = []
    for node in nodes:
        settings = [f"{k}={v}" for k, v in node.attributes.items() if v is not None]
        reads = ", ".join([*node.inputs, *settings])
        shapes = ", ".join(_shape(t, rows) for t in node.outputs)
        call = "" if node.op in ("Parameter", "Buffer", "Input", "Constant") else f"({reads})"
        lines.append(f"{node.name} = {node.op}{call}  {shapes}")
    return "\n".join(lines)


def _shape(tensor: Tensor, rows: int | None) -> str:
    sizes = [str(size) for size in tensor.shape]
    if rows is not None and tensor.shape[:1] == (rows,):
        sizes[0] = "N"
    return f"{tensor.dtype.name} ({', '.join(sizes)}{',' * (len(sizes) == 1)})"
