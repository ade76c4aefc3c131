"""Modules under names, and parameters in a list or under names; their owner learns them.

Each of them only holds: none has a forward.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar, overload

from ranvier._C import Tensor
from ranvier.nn.module import Module
from ranvier.nn.parameter import Buffer, Parameter

S = TypeVar("S", bound="_Named")
P = TypeVar("P", bound="ParameterList")


def _pairs(where: str, values: Any) -> list[tuple[Any, Any]]:
    """The pairs of a mapping, or pairs as they are."""
    if isinstance(values, (Mapping, _Named)):
        return [(key, values[key]) for key in values]
    if not isinstance(values, Iterable) or isinstance(values, str):
        raise TypeError(
            f"[{where}] expected a mapping or pairs of a name and a value, got "
            f"{type(values).__name__}"
        )
    given = list(values)
    for i, pair in enumerate(given):
        if isinstance(pair, str) or not isinstance(pair, Iterable) or len(list(pair)) != 2:
            raise ValueError(
                f"[{where}] expected pairs of a name and a value, got {pair!r:.60} at place {i}"
            )
    return [tuple(pair) for pair in given]


class _Named(Module):
    """What ModuleDict and ParameterDict share: attributes seen as the items of a dict."""

    def _mine(self) -> dict[str, Any]:
        raise TypeError

    def __getitem__(self, key: str) -> Any:
        mine = self._mine()
        if key not in mine:
            names = ", ".join(mine) or "none"
            raise KeyError(f"[{type(self).__name__}] expected one of {names}, got {key!r}")
        return mine[key]

    def __setitem__(self, key: str, value: Any) -> None:
        raise TypeError

    def __delitem__(self, key: str) -> None:
        self[key]
        delattr(self, key)

    def __len__(self) -> int:
        return len(self._mine())

    def __iter__(self) -> Iterator[str]:
        return iter(self._mine())

    def __contains__(self, key: object) -> bool:
        return key in self._mine()

    def keys(self) -> Iterable[str]:
        """The names, in order."""
        return self._mine().keys()

    def values(self) -> Iterable[Any]:
        """What stands under the names, in order."""
        return self._mine().values()

    def items(self) -> Iterable[tuple[str, Any]]:
        """Names and what stands under them, in order."""
        return self._mine().items()

    def pop(self, key: str, *default: Any) -> Any:
        """Takes out what stands under a name and returns it."""
        if default and key not in self:
            return default[0]
        value = self[key]
        del self[key]
        return value

    def clear(self) -> None:
        """Takes out everything."""
        for key in list(self):
            del self[key]

    def update(self, values: Any) -> None:
        """Adds the items of a mapping, or pairs; those that are there are replaced."""
        for key, value in _pairs(type(self).__name__, values):
            self[key] = value


class ModuleDict(_Named):
    """Holds modules under names, so that their parameters belong to the one that holds it.

    Parameters
    ----------
    modules : mapping or pairs of str and Module, optional

    Examples
    --------
    >>> import ranvier as rv
    >>> choices = rv.nn.ModuleDict({"relu": rv.nn.ReLU(), "tanh": rv.nn.Tanh()})
    >>> choices["tanh"], list(choices)
    (Tanh(), ['relu', 'tanh'])
    """

    def __init__(self, modules: Any = None) -> None:
        super().__init__()
        if modules is not None:
            self.update(modules)

    def _mine(self) -> dict[str, Any]:
        return dict(self._own_modules())

    def __setitem__(self, key: str, module: Module) -> None:
        if key in self and isinstance(module, Module):
            setattr(self, key, module)
        else:
            self.add_module(key, module)


def _as_parameter(value: Any) -> Any:
    """A plain tensor becomes a parameter, as in PyTorch; anything else stays what it is."""
    if isinstance(value, Tensor) and not isinstance(value, (Parameter, Buffer)):
        return Parameter(value)
    return value


class ParameterDict(_Named):
    """Holds parameters under names; tensors that are put in become parameters.

    Parameters
    ----------
    parameters : mapping or pairs of str and Tensor, or iterable of str, optional
        Names alone get None.

    Examples
    --------
    >>> import ranvier as rv
    >>> weights = rv.nn.ParameterDict({"scale": rv.ones(2), "shift": rv.zeros(2)})
    >>> [name for name, _ in weights.named_parameters()]
    ['scale', 'shift']
    """

    def __init__(self, parameters: Any = None) -> None:
        super().__init__()
        object.__setattr__(self, "_keys", [])
        if parameters is not None:
            self.update(parameters)

    def _mine(self) -> dict[str, Any]:
        keys: list[str] = self.__dict__["_keys"]
        return {key: self.__dict__[key] for key in keys}

    def __setitem__(self, key: str, value: Any) -> None:
        keys: list[str] = self.__dict__["_keys"]
        if key not in keys:
            self._check_new(key, Tensor)
        setattr(self, key, _as_parameter(value))
        if key not in keys:
            keys.append(key)

    def __delitem__(self, key: str) -> None:
        super().__delitem__(key)
        self.__dict__["_keys"].remove(key)

    def copy(self) -> ParameterDict:
        """Another ParameterDict with the same parameters."""
        return ParameterDict(self._mine())

    def setdefault(self, key: str, default: Any = None) -> Any:
        """What stands under a name, after `default` was put there if there was nothing."""
        if key not in self:
            self[key] = default
        return self[key]

    def get(self, key: str, default: Any = None) -> Any:
        """What stands under a name, or `default`."""
        return self._mine().get(key, default)

    def popitem(self) -> tuple[str, Any]:
        """Takes out the last item and returns it."""
        key = list(self)[-1]
        return key, self.pop(key)

    @classmethod
    def fromkeys(cls, keys: Iterable[str], default: Any = None) -> ParameterDict:
        """A ParameterDict with one value under every name."""
        return cls([(key, default) for key in keys])

    def extra_repr(self) -> str:
        """What stands between the brackets of the line."""
        return "\n".join(_described(f"({key})", value) for key, value in self.items())


class ParameterList(Module):
    """Holds parameters in a list; tensors that are put in become parameters.

    Parameters
    ----------
    values : iterable of Tensor, optional

    Examples
    --------
    >>> import ranvier as rv
    >>> weights = rv.nn.ParameterList([rv.ones(2, 2) for _ in range(3)])
    >>> len(weights), len(list(weights.parameters()))
    (3, 3)
    """

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        object.__setattr__(self, "_size", 0)
        if values is not None:
            self.extend(values)

    def __len__(self) -> int:
        size: int = self.__dict__["_size"]
        return size

    def _at(self, index: Any) -> str:
        try:
            at = operator.index(index)
        except TypeError:
            raise TypeError(
                f"[ParameterList] index: expected an integer or a slice, got {index!r:.60}"
            ) from None
        if not -len(self) <= at < len(self):
            raise IndexError(
                f"[ParameterList] expected an index in [{-len(self)}, {len(self)}), got {at}"
            )
        return str(at % len(self))

    @overload
    def __getitem__(self: P, index: slice) -> P: ...
    @overload
    def __getitem__(self, index: int) -> Any: ...
    def __getitem__(self: P, index: int | slice) -> P | Any:
        if isinstance(index, slice):
            return type(self)(self[i] for i in range(*index.indices(len(self))))
        return getattr(self, self._at(index))

    def __setitem__(self, index: int, value: Any) -> None:
        setattr(self, self._at(index), _as_parameter(value))

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __iadd__(self: P, values: Iterable[Any]) -> P:
        return self.extend(values)

    def __contains__(self, value: object) -> bool:
        return any(value is mine for mine in self)

    def append(self: P, value: Any) -> P:
        """Adds a value at the end."""
        name = str(len(self))
        object.__setattr__(self, "_size", len(self) + 1)
        setattr(self, name, _as_parameter(value))
        return self

    def extend(self: P, values: Iterable[Any]) -> P:
        """Adds values at the end."""
        if not isinstance(values, Iterable) or isinstance(values, (Tensor, str)):
            raise TypeError(
                f"[ParameterList] expected an iterable of tensors, got {type(values).__name__}"
            )
        for value in list(values):
            self.append(value)
        return self

    def pop(self, index: int = -1) -> Any:
        """Takes out the value at an index and returns it."""
        values = list(self)
        value = values.pop(int(self._at(index)))
        for i in range(len(self)):
            delattr(self, str(i))
        object.__setattr__(self, "_size", 0)
        self.extend(values)
        return value

    def extra_repr(self) -> str:
        """What stands between the brackets of the line."""
        return "\n".join(_described(f"({i})", value) for i, value in enumerate(self))


def _described(name: str, value: Any) -> str:
    if not isinstance(value, Tensor):
        return f"{name}: Object of type: {type(value).__name__}"
    kind = "Parameter" if isinstance(value, Parameter) else "Tensor"
    size = "x".join(str(n) for n in value.shape)
    return f"{name}: {kind} containing: [{value.dtype} of size {size}]"
