"""A model from its description and its tensors. Nothing is believed: both may come from a stranger.

Layers are made without memory for weights and without random numbers. Every name, shape and sort of
number is then compared with the tensors that are there, and these take their places as they are.
Every error is a ValueError.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from ranvier import _C
from ranvier._C import Tensor
from ranvier._grad import no_grad
from ranvier.data import Preprocessor
from ranvier.io.arguments import DescriptionError, classes, make
from ranvier.io.description import (
    DEPTH,
    ITEMS,
    JSON,
    LAYERS,
    LETTERS,
    alike,
    check_free,
    held,
    joined,
    kind_of,
    shown,
)
from ranvier.io.kinds import plain
from ranvier.nn import Buffer, Linear, Module, Parameter, ParameterDict, ParameterList

_KEYS = {
    "name": str, "class": str, "arguments": dict, "holds": list, "training": bool, "frozen": list,
    "not_persistent": list, "layers": list, "own": bool, "why": str, "same": str,
}  # fmt: skip
_KINDS = ("parameter", "buffer", None)
_LISTED = 12  # names in one message
_SMALL = 1 << 20  # bytes


def build(
    tree: JSON,
    tensors: Mapping[str, Tensor],
    tied: Mapping[str, str],
    part: Callable[[str], Module] | None = None,
) -> Module:
    """The model of a description, with these tensors as its parameters and buffers.

    Parameters
    ----------
    tree, tensors, tied
        As in `Description`.
    part : callable, optional
        Makes what stands for a class that is not Ranvier's, of its name; an error if left out.

    Raises
    ------
    ValueError
        If the description is not right, names a class that is not Ranvier's, or describes other
        tensors than those that are there.

    Examples
    --------
    >>> import ranvier as rv
    >>> from ranvier.io.description import describe
    >>> found = describe(rv.nn.Sequential(rv.nn.Linear(2, 1), rv.nn.Sigmoid()))
    >>> build(found.tree, found.tensors, found.tied)
    Sequential(
      (0): Linear(in_features=2, out_features=1, bias=True)
      (1): Sigmoid()
    )
    """
    check(tree)
    builder = _Builder(part)
    model = builder.node(tree, "", True)
    builder.fill(tensors, tied)
    return model


def own_classes(tree: JSON) -> list[tuple[str, str, str]]:
    """Path, class and reason of everything in a checked description that a file cannot make."""
    return [
        (path, node["class"], node.get("why", ""))
        for path, node in layers_of(tree)
        if node.get("own")
    ]


def layers_of(tree: JSON) -> Iterable[tuple[str, JSON]]:
    """Paths and descriptions of all layers in a checked description, in their order."""
    waiting = [("", tree)]
    while waiting:
        path, node = waiting.pop()
        yield path, node
        inner = [(joined(path, child["name"]), child) for child in node.get("layers", ())]
        waiting.extend(reversed(inner))


def tensors_of(node: JSON) -> dict[str, str]:
    """Names of the tensors of one layer in a checked description, and what they are.

    Raises
    ------
    ValueError
        If the layer cannot be made.
    """
    if node.get("own"):
        return {name: kind for name, kind in node.get("holds", ()) if kind is not None}
    if node["class"] not in classes():
        raise ValueError(f"expected a class of Ranvier's, got {node['class']!r:.60}")
    module = make(node["class"], node.get("arguments", {}))
    try:
        _hold(module, node.get("holds", []))
    except DescriptionError as error:
        raise ValueError(f"{error}") from None
    return {name: kind_of(tensor) for name, tensor in held(module).items()}


# --- what is checked before anything is made ------------------------------------------------------


def check(tree: Any) -> None:
    """A ValueError unless a description has the form of one, to the last layer."""
    check_layers(tree, DEPTH, _check_node, ("holds", "frozen", "not_persistent"))


def check_layers(
    tree: Any, deepest: int, check: Callable[[str, Any, int], None], lists: tuple[str, ...]
) -> None:
    """The same, of layers that `check` looks at, and that have names of tensors in these lists."""
    waiting, count, letters = [("", tree, 0)], 0, 0
    while waiting:
        path, node, depth = waiting.pop()
        count += 1
        check(path, node, depth)
        if depth >= deepest or count > LAYERS:
            raise ValueError(
                f"expected at most {LAYERS:,} layers, {deepest} deep, got more at {path!r:.60}"
            )
        for child in node.get("layers", ()):
            name = child.get("name") if isinstance(child, dict) else None
            if not isinstance(name, str):
                raise ValueError(
                    f"layer {path!r:.60}: expected layers with names, got {child!r:.60}"
                )
            found = [child[key] for key in lists if isinstance(child.get(key), list)]
            letters += (len(path) + len(name) + 1) * (1 + sum(map(len, found)))
            if letters > LETTERS:
                raise ValueError(f"expected names of at most {LETTERS:,} letters in all, got more")
            waiting.append((joined(path, name), child, depth + 1))


def check_object(
    path: str, node: Any, depth: int, keys: Mapping[str, Any], names: Iterable[str]
) -> None:
    """A ValueError unless a layer is an object with these keys, of these types, and lists of names.

    Of a layer that is described it has the class, of one that is there already its path.
    """
    if not isinstance(node, dict):
        raise ValueError(f"layer {path!r:.60}: expected an object, got {node!r:.60}")
    for key, value in node.items():
        if key not in keys or not isinstance(value, keys[key]):
            raise ValueError(
                f"layer {path!r:.60}: expected {', '.join(keys)}, got {key!r:.60}: {value!r:.60}; "
                "it may be of a newer version of Ranvier"
            )
    alias = "same" in node
    if ("class" in node) == alias or ("name" in node) != (depth > 0) or (alias and not depth):
        raise ValueError(f"layer {path!r:.60}: expected a name and a class, got {node!r:.60}")
    for key in names:
        if not all(isinstance(name, str) for name in node.get(key, ())):
            raise ValueError(f"layer {path!r:.60}: {key}: expected names, got {node[key]!r:.60}")


def _check_node(path: str, node: Any, depth: int) -> None:
    check_object(path, node, depth, _KEYS, ("frozen", "not_persistent"))
    for pair in node.get("holds", ()):
        right = isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str)
        if not right or pair[1] not in _KINDS:
            raise ValueError(
                f"layer {path!r:.60}: holds: expected names and kinds, got {pair!r:.60}"
            )


# --- making layers --------------------------------------------------------------------------------


class _Slot(NamedTuple):
    """A place for a tensor."""

    module: Module
    name: str
    like: Tensor | None  # in shape and sort, where the arguments of the layer say so
    learns: bool


class _Builder:
    """Makes the layers of a checked description, and finds places for tensors in them."""

    def __init__(self, part: Callable[[str], Module] | None = None) -> None:
        self.part = part
        self.made: dict[str, Module] = {}  # by path; those that are not ready are not in it
        self.sizes: dict[int, int] = {}
        self.slots: dict[str, _Slot] = {}

    def node(self, node: JSON, path: str, training: bool) -> Module:
        """One layer and all below it."""
        kind = node["class"]
        own = node.get("own", False)
        if (own and self.part is None) or (not own and kind not in classes()):
            raise ValueError(
                f"layer {path!r:.60}: expected a class of Ranvier's, got {kind!r:.60}; it may be "
                "of a newer version of Ranvier"
            )
        where = plain(shown(path, kind))
        try:
            if own and self.part is not None:
                module = self.part(plain(kind, 200))
            else:
                module = make(kind, node.get("arguments", {}))
            new = _hold(module, node.get("holds", []))
            self.note_slots(module, path, node, new)
        except (DescriptionError, ValueError) as error:
            raise ValueError(f"{where}: {error}") from None
        mode = node.get("training", training)
        size = 1
        for child in node.get("layers", ()):
            try:
                size += self.put(module, path, child, mode)
            except DescriptionError as error:
                raise ValueError(f"{where}: {error}") from None
            if size > LAYERS:
                raise ValueError(f"{where}: expected at most {LAYERS:,} layers, got more")
        object.__setattr__(module, "training", mode)
        self.made[path], self.sizes[id(module)] = module, size
        return module

    def put(self, module: Module, path: str, child: JSON, mode: bool) -> int:
        """Makes a layer within another, or puts one there that is made; how many these are."""
        name = child["name"]
        check_free(module, name)
        if module.__dict__.get(name) is not None:
            raise DescriptionError(f"expected names that differ, got {name!r:.60} twice")
        inner = joined(path, name)
        if "same" in child:
            made = self.made.get(child["same"])
            if made is None:
                raise DescriptionError(
                    f"{plain(name)}: expected the path of a layer before, got {child['same']!r:.60}"
                )
        else:
            made = self.node(child, inner, mode)
        module.add_module(name, made)
        return self.sizes[id(made)]

    def note_slots(self, module: Module, path: str, node: JSON, new: set[str]) -> None:
        """Where the tensors of a layer go."""
        own = held(module)
        for key, names in (("frozen", own), ("not_persistent", module._persistence)):
            for name in node.get(key, ()):
                if name not in names:
                    raise DescriptionError(
                        f"{key}: expected one of {', '.join(names)!s:.120}, got {name!r:.60}"
                    )
        for name in node.get("not_persistent", ()):
            module._persistence[name] = False
        frozen = set(node.get("frozen", ()))
        for name, tensor in own.items():
            learns = isinstance(tensor, Parameter) and name not in frozen
            like = None if name in new else tensor
            full = joined(path, name)
            if full in self.slots:
                raise DescriptionError(f"expected names that differ, got {full!r:.60} twice")
            self.slots[full] = _Slot(module, name, like, learns)

    def fill(self, tensors: Mapping[str, Tensor], tied: Mapping[str, str]) -> None:
        """Puts the tensors into their places: all, or none on an error."""
        sources = {name: tied.get(name, name) for name in self.slots}
        missing = [plain(name) for name, source in sources.items() if source not in tensors]
        used = set(sources.values())
        unexpected = [plain(name) for name in tensors if name not in used]
        wrong = [
            f"{plain(name)} {_told(slot.like)}, got {_told(tensors[sources[name]])}"
            for name, slot in self.slots.items()
            if sources[name] in tensors and not _goes(tensors[sources[name]], slot)
        ]
        told = disagreements(missing, unexpected, wrong)
        if told:
            raise ValueError(f"expected the tensors that its layers have, got {told}")
        parameters: dict[str, Parameter] = {}
        for name, slot in self.slots.items():
            self.set(slot, sources[name], tensors[sources[name]], parameters)
        _C.structure_changed()
        for path, module in self.made.items():
            if isinstance(module, Preprocessor) and not module.is_sound():
                where = plain(shown(path, type(module).__name__))
                raise ValueError(
                    f"{where}: expected what it can have learned from rows, got other shapes or "
                    "types"
                )

    def set(
        self, slot: _Slot, source: str, tensor: Tensor, parameters: dict[str, Parameter]
    ) -> None:
        """Puts one tensor into its place; those that are tied are one parameter."""
        value = tensor
        if isinstance(slot.module.__dict__[slot.name], Parameter):
            if source not in parameters:
                parameters[source] = Parameter(_laid_out(slot, tensor), slot.learns)
            value = parameters[source]
        object.__setattr__(slot.module, slot.name, value)


def _hold(module: Module, holds: list[list[Any]]) -> set[str]:
    """Makes places for what a layer has beside what its arguments make; their names."""
    if isinstance(module, ParameterDict) and len(holds) > ITEMS:
        raise DescriptionError(f"holds: expected at most {ITEMS:,} tensors, got {len(holds):,}")
    names: set[str] = set()
    for place, (name, kind) in enumerate(holds):
        check_free(module, name)
        if name in names:
            raise DescriptionError(f"holds: expected names that differ, got {name!r:.60} twice")
        names.add(name)
        value: Tensor | None = None
        if kind is not None:
            value = Parameter() if kind == "parameter" else Buffer()
        if isinstance(module, ParameterList):
            if name != str(place):
                raise DescriptionError(f"holds: expected {place}, got {name!r:.60}")
            module.append(value)
        elif isinstance(module, ParameterDict):
            module[name] = value
        else:
            old = module.__dict__.get(name)
            if isinstance(old, Tensor) and value is not None:
                delattr(module, name)
            elif value is None and not isinstance(old, Tensor):
                raise DescriptionError(f"holds: expected the name of a tensor, got {name!r:.60}")
            setattr(module, name, value)
    return {name for name, kind in holds if kind is not None}


# --- putting tensors in ---------------------------------------------------------------------------


def _goes(tensor: Tensor, slot: _Slot) -> bool:
    """Whether a tensor may stand in a place."""
    if slot.learns and not tensor.dtype.is_floating_point:
        return False
    like = slot.like
    return like is None or (tuple(tensor.shape) == tuple(like.shape) and alike(tensor, like))


def _told(tensor: Tensor | None) -> str:
    return "numbers that learn" if tensor is None else f"{tuple(tensor.shape)} {tensor.dtype.name}"


def disagreements(missing: list[str], unexpected: list[str], wrong: list[str]) -> str:
    """In which names layers and tensors differ; empty where in none."""
    parts = {"missing": missing, "unexpected": unexpected, "of another shape or type": wrong}
    told = [f"{len(names)} {what}: {some_of(names)}" for what, names in parts.items() if names]
    return "; ".join(told)


def some_of(names: list[str]) -> str:
    """Names in a message, which may be many and long."""
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more


def _laid_out(slot: _Slot, tensor: Tensor) -> Tensor:
    """A weight as its layer likes it best in memory.

    Rows stream faster through the weights of `Linear` when they are stored the other way round. Of
    large ones that is not worth reading them all now: files are mapped, not read.
    """
    if type(slot.module) is not Linear or slot.name != "weight" or tensor.nbytes > _SMALL:
        return tensor
    with no_grad():
        turned = _C.zeros(tuple(reversed(tensor.shape)), tensor.dtype)
        return turned.transpose(0, 1).copy_(tensor)
