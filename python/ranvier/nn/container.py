"""Modules in a row: Sequential runs one after the other, ModuleList only holds them.

What holds modules or parameters under names is in `_named.py`.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar, overload

from ranvier.nn.module import Module

R = TypeVar("R", bound="_Row")


class _Row(Module):
    """Children in order, under the names they were given or 0, 1, 2, ..."""

    def _layers(self) -> list[Module]:
        return [value for value in self.__dict__.values() if isinstance(value, Module)]

    def _names(self) -> list[str]:
        return [name for name, value in self.__dict__.items() if isinstance(value, Module)]

    def _name_at(self, index: Any) -> str:
        names = self._names()
        try:
            return names[operator.index(index)]
        except TypeError:
            raise TypeError(
                f"[{type(self).__name__}] index: expected an integer or a slice, got {index!r}"
            ) from None
        except IndexError:
            raise IndexError(
                f"[{type(self).__name__}] expected an index in [{-len(names)}, {len(names)}), "
                f"got {index}"
            ) from None

    def _renumber(self, layers: list[Module]) -> None:
        for name in self._names():
            delattr(self, name)
        for i, layer in enumerate(layers):
            self.add_module(str(i), layer)

    def __len__(self) -> int:
        return len(self._layers())

    def __iter__(self) -> Iterator[Module]:
        return iter(self._layers())

    @overload
    def __getitem__(self: R, index: slice) -> R: ...
    @overload
    def __getitem__(self, index: int) -> Module: ...
    def __getitem__(self: R, index: int | slice) -> R | Module:
        if isinstance(index, slice):
            part = type(self)()
            for name in self._names()[index]:
                part.add_module(name, getattr(self, name))
            return part
        module: Module = getattr(self, self._name_at(index))
        return module

    def __setitem__(self, index: int, module: Module) -> None:
        (module,) = self._checked([module])
        setattr(self, self._name_at(index), module)

    def __delitem__(self, index: int | slice) -> None:
        names = self._names()
        for name in names[index] if isinstance(index, slice) else [self._name_at(index)]:
            delattr(self, name)
        if all(name.isdigit() for name in self._names()):
            self._renumber(self._layers())

    def __iadd__(self: R, modules: Iterable[Module]) -> R:
        return self.extend(modules)

    def __add__(self: R, modules: Iterable[Module]) -> R:
        return type(self)().extend(self).extend(modules)

    def __contains__(self, module: object) -> bool:
        return any(module is layer for layer in self._layers())

    def _checked(self, modules: Iterable[Module]) -> list[Module]:
        kind, layers = type(self).__name__, []
        if not isinstance(modules, Iterable):
            raise TypeError(
                f"[{kind}] modules: expected an iterable of modules, got {type(modules).__name__}"
            )
        for i, module in enumerate(modules):
            if not isinstance(module, Module):
                raise TypeError(f"[{kind}] expected modules, got {module!r} at place {i}")
            layers.append(module)
        return layers

    def append(self: R, module: Module) -> R:
        """Adds a module at the end."""
        return self.extend([module])

    def extend(self: R, modules: Iterable[Module]) -> R:
        """Adds modules at the end: all, or none if one of them is no module."""
        for module in self._checked(modules):
            self.add_module(str(len(self)), module)
        return self

    def insert(self: R, index: int, module: Module) -> R:
        """Adds a module in front of the one at an index."""
        layers = self._layers()
        given = self._checked([module])
        if not -len(layers) <= index <= len(layers):
            raise IndexError(
                f"[{type(self).__name__}] expected an index in [{-len(layers)}, {len(layers)}], "
                f"got {index}"
            )
        layers[index:index] = given
        self._renumber(layers)
        return self

    def pop(self, index: int = -1) -> Module:
        """Takes out the module at an index and returns it."""
        module = self[index]
        del self[index]
        return module


class Sequential(_Row):
    """Runs modules one after the other, each on what the one before gives.

    Parameters
    ----------
    *args : Module
        The modules, or one OrderedDict of names and modules.

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.nn.Sequential(rv.nn.Linear(2, 4), rv.nn.ReLU(), rv.nn.Linear(4, 1))
    >>> net(rv.ones(3, 2)).shape
    (3, 1)
    >>> net[1]
    ReLU()
    """

    def __init__(self, *args: Any) -> None:
        super().__init__()
        named = len(args) == 1 and isinstance(args[0], Mapping)
        pairs = args[0].items() if named else ((str(i), m) for i, m in enumerate(args))
        for name, module in pairs:
            if not isinstance(module, Module):
                raise TypeError(
                    f"[Sequential] {name}: expected a module, got {module!r}; "
                    "write nn.ReLU() with its brackets, and functions as methods of a Module"
                )
            self.add_module(name, module)

    def forward(self, input: Any) -> Any:
        """What the last module gives."""
        for layer in self._layers():
            input = layer(input)
        return input

    def __mul__(self, times: int) -> Sequential:
        if isinstance(times, bool) or not isinstance(times, int):
            raise TypeError(f"[Sequential] expected a whole number to repeat by, got {times!r:.60}")
        if times < 1:
            raise ValueError(f"[Sequential] expected to be repeated once or more, got {times}")
        return Sequential(*self._layers() * times)

    __rmul__ = __mul__

    def __imul__(self, times: int) -> Sequential:
        layers = self._layers()
        (self * times)  # checks
        return self.extend(layers * (times - 1))


class ModuleList(_Row):
    """Holds modules, so that their parameters belong to the one that holds the list.

    Examples
    --------
    >>> import ranvier as rv
    >>> layers = rv.nn.ModuleList([rv.nn.Linear(2, 2) for _ in range(3)])
    >>> len(layers), len(list(layers.parameters()))
    (3, 6)
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        self.extend(() if modules is None else modules)

    def __repr__(self) -> str:
        lines: list[str] = []
        start, layers = 0, [repr(layer) for layer in self._layers()]
        for i, shown in enumerate(layers):
            if i + 1 < len(layers) and layers[i + 1] == shown:
                continue
            # Equal ones are told once, as in PyTorch.
            same = i + 1 - start
            at = f"({start}-{i}): {same} x " if same > 1 else f"({self._names()[i]}): "
            lines.append(at + shown.replace("\n", "\n  "))
            start = i + 1
        return "\n  ".join([f"{self._get_name()}(", *lines]) + ("\n)" if lines else ")")
