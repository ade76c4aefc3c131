"""Symbolic tensors: what `keras.Input` gives, and what layers make of it, without any numbers.

A `KerasTensor` knows its shape, with None for sizes that vary, and the `Node` that it comes from;
a model is read off the nodes between its inputs and outputs. What shape an operation gives is
found by running it on zeros, once for each of two sizes in the place of None.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ranvier import _C
from ranvier._C import Tensor
from ranvier._grad import no_grad
from ranvier.keras._names import auto_name
from ranvier.keras.backend import to_dtype, to_tensor

Shape = tuple[int | None, ...]
_SIZES = (2, 3)  # in the place of None; where the result has both, it has None


class KerasTensor:
    """A tensor without numbers.

    Attributes
    ----------
    shape : tuple of int or None
    dtype : str
    name : str
    node : Node or None
        What it comes from; None for the input of a model.
    """

    __array_ufunc__ = None  # NumPy's operators leave it to ours

    def __init__(
        self, shape: Any, dtype: Any = None, name: str | None = None, node: Node | None = None
    ) -> None:
        self.shape: Shape = tuple(shape)
        self.dtype = to_dtype(dtype).name
        self.name = name or auto_name("keras_tensor")
        self.node = node

    @property
    def ndim(self) -> int:
        """How many axes it has."""
        return len(self.shape)

    def __repr__(self) -> str:
        return f"<KerasTensor shape={self.shape}, dtype={self.dtype}, name={self.name}>"

    def _refuse(self, what: str) -> Any:
        raise TypeError(
            f"[KerasTensor] expected a tensor with numbers for {what}, got the symbolic "
            f"{self!r}; use it as the input of a layer or of keras.ops"
        )

    def __bool__(self) -> bool:
        return bool(self._refuse("if"))

    def __float__(self) -> float:
        return float(self._refuse("float()"))

    def __int__(self) -> int:
        return int(self._refuse("int()"))

    def __len__(self) -> int:
        return int(self._refuse("len()"))

    def __iter__(self) -> Iterator[Any]:
        return iter(self._refuse("iteration"))

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        return self._refuse("NumPy")

    def __getitem__(self, key: Any) -> Any:
        return record(Item(key), "get_item", (self,), {})


class Item:
    """x[key], as an object that can be copied and kept in files."""

    def __init__(self, key: Any) -> None:
        self.key = key

    def __call__(self, x: Any) -> Any:
        return x[self.key]


class Method:
    """x.name(...), as an object that can be copied and kept in files."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, x: Any, *rest: Any) -> Any:
        result = getattr(x, self.name)(*rest)
        if result is NotImplemented:
            raise TypeError(
                f"[KerasTensor] {self.name.strip('_')}: expected tensors or numbers, got "
                f"{type(rest[0]).__name__}"
            )
        return result


def _operator(name: str) -> Callable[..., Any]:
    def operate(self: KerasTensor, *others: Any) -> Any:
        return record(Method(name), name.strip("_"), (self, *others))

    operate.__name__ = name
    return operate


_NAMES = (
    "add", "radd", "sub", "rsub", "mul", "rmul", "truediv", "rtruediv", "floordiv", "rfloordiv",
    "mod", "rmod", "pow", "rpow", "matmul", "rmatmul", "neg", "abs", "lt", "le", "gt", "ge",
)  # fmt: skip
OPERATORS = tuple(f"__{name}__" for name in _NAMES)
for _name in OPERATORS:
    setattr(KerasTensor, _name, _operator(_name))


class Operation:
    """A function in the place of a layer, where symbolic tensors meet operators."""

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        self.function, self.name = function, auto_name(name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)


class Node:
    """One use of a layer: what it was called with, and what came out."""

    def __init__(
        self, layer: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], outputs: Any
    ) -> None:
        self.layer, self.args, self.kwargs = layer, args, dict(kwargs)
        self.outputs = outputs
        self.parents = [t for t in flatten((args, self.kwargs)) if isinstance(t, KerasTensor)]
        for tensor in flatten(outputs):
            tensor.node = self


# --- nested structures ----------------------------------------------------------------------------


def flatten(structure: Any) -> list[Any]:
    """What a structure of lists, tuples and dicts holds, in order; dicts by their keys."""
    if isinstance(structure, (list, tuple)):
        return [leaf for part in structure for leaf in flatten(part)]
    if isinstance(structure, Mapping):
        return [leaf for key in structure for leaf in flatten(structure[key])]
    return [structure]


def map_structure(function: Callable[[Any], Any], structure: Any) -> Any:
    """The same structure with a function applied to everything that it holds."""
    if isinstance(structure, (list, tuple)):
        parts = [map_structure(function, part) for part in structure]
        return parts if isinstance(structure, list) else tuple(parts)
    if isinstance(structure, Mapping):
        return {key: map_structure(function, part) for key, part in structure.items()}
    return function(structure)


def is_symbolic(structure: Any) -> bool:
    """Whether there is a symbolic tensor in a structure."""
    if isinstance(structure, (list, tuple)):
        return any(is_symbolic(part) for part in structure)
    if isinstance(structure, Mapping):
        return any(is_symbolic(part) for part in structure.values())
    return isinstance(structure, KerasTensor)


def shapes_of(structure: Any) -> Any:
    """The structure with each tensor's shape in its place."""
    return map_structure(lambda x: tuple(x.shape) if hasattr(x, "shape") else None, structure)


# --- what comes out -------------------------------------------------------------------------------


def infer(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Symbolic tensors of what a function would give for symbolic ones."""
    results = []
    for size in _SIZES:

        def numbers(leaf: Any, size: int = size) -> Any:
            if not isinstance(leaf, KerasTensor):
                return leaf
            shape = tuple(size if extent is None else extent for extent in leaf.shape)
            return _C.zeros(shape, to_dtype(leaf.dtype))

        with no_grad():
            results.append(
                function(*map_structure(numbers, args), **map_structure(numbers, dict(kwargs)))
            )
    others = iter(flatten(results[1]))

    def symbol(first: Any) -> KerasTensor:
        second = next(others)
        if not isinstance(first, Tensor):
            raise TypeError(f"[keras] expected a layer to give tensors, got {type(first).__name__}")
        pairs = zip(first.shape, second.shape, strict=True)
        return KerasTensor([a if a == b else None for a, b in pairs], first.dtype)

    return map_structure(symbol, results[0])


def record(
    function: Callable[..., Any],
    name: str,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any] | None = None,
) -> Any:
    """Symbolic outputs of a function, with the node that says where they come from."""
    named = dict(kwargs or {})
    outputs = infer(function, args, named)
    Node(Operation(function, name), args, named, outputs)
    return outputs


def traceable(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of tensors that takes symbolic ones and arrays as well."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if args and isinstance(args[0], Tensor) and not is_symbolic(args[1:]):
            return function(*args, **kwargs)
        if is_symbolic((args, kwargs)):
            return record(wrapper, function.__name__, args, kwargs)
        if args and not isinstance(args[0], (Tensor, list, tuple)):
            args = (to_tensor(args[0]), *args[1:])
        return function(*args, **kwargs)

    return wrapper
