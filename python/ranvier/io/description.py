"""A model as values of JSON: which layers it has, where, and what they are made with.

`describe` writes it down; `building.py` makes the model again. A layer's tensors are those that its
arguments make, in the shapes that they make; whatever differs is written down beside them. What
cannot be said so (classes of others, a function as an argument) is kept as `own`: its name, its
layers and its tensors.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ranvier._C import Tensor
from ranvier.io.arguments import DescriptionError, arguments_from, make, name_of
from ranvier.nn import Module, Parameter, ParameterDict, ParameterList

DEPTH = 100  # of layers within layers
LAYERS = 100_000  # counted on every way that leads to them
ITEMS = 10_000  # of a ParameterDict, which looks through all of them for each
LETTERS = 50_000_000  # of the paths of all tensors: paths are as long as names, times the depth

JSON = dict[str, Any]


@dataclass
class Description:
    """A model, taken apart.

    Attributes
    ----------
    tree : dict
        Its layers: values of JSON.
    tensors : dict of str to Tensor
        Parameters and buffers by name, those that are there twice under the first one.
    tied : dict of str to str
        The other names, each with the first one.
    own : list of (str, str, str)
        What a file cannot make: path, class, and why, where the class is Ranvier's.
    hooks : list of str
        Functions that run beside forward, which a file does not hold.
    """

    tree: JSON = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    tied: dict[str, str] = field(default_factory=dict)
    own: list[tuple[str, str, str]] = field(default_factory=list)
    hooks: list[str] = field(default_factory=list)


def describe(model: Module) -> Description:
    """Take a model apart into values of JSON and tensors by name.

    Raises
    ------
    ValueError
        For a model that contains itself, or more layers than anything that computes.

    Examples
    --------
    >>> import ranvier as rv
    >>> describe(rv.nn.Dropout(0.25)).tree
    {'class': 'nn.Dropout', 'arguments': {'p': 0.25, 'inplace': False}, 'training': True}
    """
    writer = _Writer()
    writer.found.tree = writer.node(model, "", ())
    return writer.found


def describe_hooks(model: Module) -> list[str]:
    """Functions that somebody hung on the layers of a model, where they are, and their names."""
    writer = _Writer()
    for name, module in model.named_modules():
        writer.note_hooks(module, name)
    return writer.found.hooks


def held(module: Module) -> dict[str, Tensor]:
    """The parameters and then the buffers of a module alone, by name."""
    return {**dict(module._own_parameters()), **dict(module._own_buffer_tensors())}


def kind_of(tensor: Tensor) -> str:
    """What a tensor of a module is: what learns, or a buffer."""
    return "parameter" if isinstance(tensor, Parameter) else "buffer"


def joined(path: str, name: str) -> str:
    """The path of something within something."""
    return f"{path}.{name}" if path else name


def shown(path: str, kind: str) -> str:
    """A layer in a message."""
    return f"{path} ({kind})" if path else kind


class _Writer:
    """Walks through a model, each layer once."""

    def __init__(self) -> None:
        self.found = Description()
        self.paths: dict[int, str] = {}  # of layers, by id
        self.sizes: dict[int, int] = {}  # how many ways lead into them and below
        self.names: dict[int, str] = {}  # of tensors, by id
        self.letters = 0

    def node(self, module: Module, path: str, above: tuple[Module, ...]) -> JSON:
        """One layer and all below it."""
        if len(above) >= DEPTH or any(module is other for other in above):
            what = "layers within layers" if len(above) >= DEPTH else "a model without itself in it"
            raise ValueError(
                f"[save] {shown(path[:60], type(module).__name__)}: expected {what}, at most "
                f"{DEPTH} deep, got one that goes on; save model.state_dict() instead"
            )
        self.paths[id(module)] = path
        self.letters += (len(path) + 1) * (1 + 3 * len(held(module)))
        if self.letters > LETTERS:
            raise ValueError(
                f"[save] {type(module).__name__}: expected names of at most {LETTERS:,} letters in "
                "all, got more; save model.state_dict() instead"
            )
        node = self.itself(module, path)
        if not above or module.training != above[-1].training:
            node["training"] = bool(module.training)
        self.tensors(module, path, node)
        self.note_hooks(module, path)
        self.below(module, path, above, node)
        return node

    def itself(self, module: Module, path: str) -> JSON:
        """Class, arguments, and what the layer holds beside what these make."""
        name, why = name_of(module), ""
        if name is not None:
            try:
                return _made_of(name, module)
            except DescriptionError as error:
                why = str(error)
        own = type(module)
        stored: str | None = getattr(module, "stored_class", None)  # of a part of a file
        kind = name or stored or f"{own.__module__}.{own.__qualname__}"
        self.found.own.append((path, kind, why))
        node: JSON = {"class": kind, "own": True} | ({"why": why} if why else {})
        holds = [[word, kind_of(tensor)] for word, tensor in held(module).items()]
        return node | ({"holds": holds} if holds else {})

    def tensors(self, module: Module, path: str, node: JSON) -> None:
        """Notes what the layer's tensors are called, and what of them is unusual."""
        frozen, passing = [], []
        for name, tensor in held(module).items():
            full = joined(path, name)
            first = self.names.setdefault(id(tensor), full)
            if first == full:
                self.found.tensors[full] = tensor
            else:
                self.found.tied[full] = first
            if isinstance(tensor, Parameter) and not tensor.requires_grad:
                frozen.append(name)
            if not module._persistence.get(name, True):
                passing.append(name)
        node |= {"frozen": frozen} if frozen else {}
        node |= {"not_persistent": passing} if passing else {}

    def note_hooks(self, module: Module, path: str) -> None:
        """Notes functions that somebody hung on a layer; Ranvier's own come with its class."""
        for kind, hooks in vars(module._hooks).items() if module._hooks is not None else ():
            for hook in hooks.values():
                if not str(getattr(hook.function, "__module__", "")).startswith("ranvier."):
                    what = getattr(hook.function, "__name__", type(hook.function).__name__)
                    where = shown(path, type(module).__name__)
                    self.found.hooks.append(f"{where}: {kind} hook {what}")

    def below(self, module: Module, path: str, above: tuple[Module, ...], node: JSON) -> None:
        """The layers within a layer."""
        layers, size = [], 1
        for name, child in module._own_modules():
            inner = joined(path, name)
            again = id(child) in self.sizes
            if again:
                layers.append({"name": name, "same": self.paths[id(child)]})
            else:
                layers.append({"name": name} | self.node(child, inner, (*above, module)))
            size += self.sizes[id(child)]
            if size > LAYERS:
                raise ValueError(
                    f"[save] {type(module).__name__}: expected at most {LAYERS:,} layers, got "
                    "more; save model.state_dict() instead"
                )
            if again:
                self.alias(child, inner)
        self.sizes[id(module)] = size
        node |= {"layers": layers} if layers else {}

    def alias(self, module: Module, path: str) -> None:
        """Notes the other names of the tensors of a layer that is there twice."""
        for name, tensor in held(module).items():
            self.found.tied[joined(path, name)] = self.names[id(tensor)]
        for name, child in module._own_modules():
            self.alias(child, joined(path, name))


def _made_of(name: str, module: Module) -> JSON:
    """Class and arguments of a layer, and what it holds beside what these make.

    Raises
    ------
    DescriptionError
        Where the layer is more than that.
    """
    for word in vars(module):
        if callable(getattr(type(module), word, None)):
            raise DescriptionError(f"it has a {word} of its own")
    distance = vars(module).get("distance_function")
    if distance is not None and not isinstance(distance, Module):
        raise DescriptionError("its distance_function is no module")
    arguments = arguments_from(name, module)
    try:
        twin = make(name, arguments)
    except ValueError as error:
        raise DescriptionError(f"{error}") from None
    values = _values(module)
    holds = list(_differences(module, twin)) if values is None else values
    if name == "nn.ParameterDict" and len(holds) > ITEMS:
        raise DescriptionError(f"it holds more than {ITEMS:,} tensors")
    for word, child in module._own_modules():
        check_free(twin, word)
        if isinstance(twin.__dict__.get(word), Tensor):
            raise DescriptionError(f"{word} is a {type(child).__name__}")
    node: JSON = {"class": name}
    return (
        node | ({"arguments": arguments} if arguments else {}) | ({"holds": holds} if holds else {})
    )


def _values(module: Module) -> list[list[Any]] | None:
    """Names and kinds of what a list or dict of parameters holds; None for other layers."""
    if isinstance(module, ParameterList):
        items = [(str(i), value) for i, value in enumerate(module)]
    elif isinstance(module, ParameterDict):
        items = list(module.items())
    else:
        return None
    for word, value in items:
        if value is not None and not isinstance(value, Tensor):
            raise DescriptionError(f"{word} is {type(value).__name__}, not a tensor")
    beside = held(module).keys() - {word for word, _ in items}
    if beside:
        raise DescriptionError(f"{min(beside)} is none of its items")
    return [[word, None if value is None else kind_of(value)] for word, value in items]


def _differences(module: Module, twin: Module) -> Iterator[list[Any]]:
    """Names and kinds of tensors that a layer has beside those of its twin, or lacks."""
    mine, others = held(module), held(twin)
    for word, tensor in mine.items():
        other = others.get(word)
        if other is None or kind_of(tensor) != kind_of(other):
            check_free(twin, word)
            yield [word, kind_of(tensor)]
        elif tuple(tensor.shape) != tuple(other.shape):
            raise DescriptionError(
                f"{word} has shape {tuple(tensor.shape)}, its arguments make {tuple(other.shape)}"
            )
        elif not alike(tensor, other):
            raise DescriptionError(
                f"{word} is {tensor.dtype.name}, its arguments make {other.dtype.name}"
            )
    for word in others.keys() - mine.keys():
        if module.__dict__.get(word, module) is not None:
            raise DescriptionError(f"it has no {word}")
        yield [word, None]


def alike(tensor: Tensor, other: Tensor) -> bool:
    """Whether one tensor may stand in the place of the other: numbers of the same sort."""
    if tensor.dtype.is_floating_point:
        return other.dtype.is_floating_point
    return tensor.dtype is other.dtype


def check_free(layer: Module, name: str) -> None:
    """A `DescriptionError` unless a tensor or a layer may be put under this name."""
    try:
        layer._check_new(name, (Tensor, Module))
    except KeyError as error:
        raise DescriptionError(f"{error.args[0]!s:.300}") from None
    if name.startswith("_ranvier"):
        raise DescriptionError(f"{name} is a name that Ranvier uses itself")
