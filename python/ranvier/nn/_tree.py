"""Walking through a tree of modules: children, modules, parameters and buffers, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ranvier._C import Tensor
from ranvier.nn.parameter import Parameter

if TYPE_CHECKING:
    from ranvier.nn.module import Module

T = TypeVar("T", bound="Tree")


def _is_module(value: Any) -> bool:
    return isinstance(value, Tree)


class Tree:
    """The part of `Module` that finds what belongs to it; a tensor or module that is there twice
    is given once, under its first name, unless `remove_duplicate` is False."""

    def _own_buffers(self, what: str) -> dict[str, bool]:
        """Which buffers there are; an error before super().__init__()."""
        raise AttributeError(what)

    # --- of this module alone

    def _own_modules(self) -> Iterator[tuple[str, Module]]:
        self._own_buffers("it")
        items = list(self.__dict__.items())  # at once: another thread may set attributes
        found: list[Any] = [item for item in items if isinstance(item[1], Tree)]
        return iter(found)

    def _own_parameters(self) -> Iterator[tuple[str, Tensor]]:
        self._own_buffers("parameters()")
        items = list(self.__dict__.items())
        return iter([item for item in items if isinstance(item[1], Parameter)])

    def _own_buffer_tensors(self) -> Iterator[tuple[str, Tensor]]:
        names = self._own_buffers("buffers()")
        return ((n, self.__dict__[n]) for n in names if self.__dict__.get(n) is not None)

    # --- modules

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Names and modules that belong to this module directly, each module once."""
        seen: set[int] = set()
        for name, module in self._own_modules():
            if id(module) not in seen:
                seen.add(id(module))
                yield name, module

    def children(self) -> Iterator[Module]:
        """Modules that belong to this module directly."""
        return (module for _, module in self.named_children())

    def named_modules(
        self, memo: set[Any] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """Names and modules of the whole tree, this module first.

        Parameters
        ----------
        memo : set, optional
            Modules to leave out; those that are given are added.
        prefix : str
            Stands in front of every name.
        remove_duplicate : bool, default True
            Whether a module that is there twice is given once.
        """
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, cast("Module", self)
        for name, module in self._own_modules():
            path = f"{prefix}.{name}" if prefix else name
            yield from module.named_modules(memo, path, remove_duplicate)

    def modules(self) -> Iterator[Module]:
        """The modules of the whole tree, this module first."""
        found: dict[Tree, None] = {}
        self._collect(found)
        return cast("Iterator[Module]", iter(found))

    def _collect(self, found: dict[Tree, None]) -> None:
        """What `named_modules` gives, without names and in a third of the time."""
        if self not in found:
            found[self] = None
            for _, module in self._own_modules():
                cast(Tree, module)._collect(found)

    # --- tensors

    def _named_tensors(
        self,
        own: Callable[[Tree], Iterator[tuple[str, Tensor]]],
        prefix: str,
        recurse: bool,
        remove_duplicate: bool,
    ) -> Iterator[tuple[str, Tensor]]:
        seen: set[int] = set()
        trees: Iterator[tuple[str, Tree]] = (
            iter(self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate))
            if recurse
            else iter([(prefix, self)])
        )
        for path, module in trees:
            for name, value in own(module):
                if id(value) not in seen or not remove_duplicate:
                    seen.add(id(value))
                    yield (f"{path}.{name}" if path else name), value

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Names and parameters, of the whole tree unless `recurse` is False; tied ones once."""
        found = self._named_tensors(Tree._own_parameters, prefix, recurse, remove_duplicate)
        return ((name, cast(Parameter, value)) for name, value in found)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters, of the whole tree unless `recurse` is False; tied ones once."""
        # Without names: training loops ask for them in every step.
        self._own_buffers("parameters()")
        found: dict[int, Parameter] = {}
        for module in self.modules() if recurse else (self,):
            for _, value in module._own_parameters():
                found.setdefault(id(value), cast(Parameter, value))
        return iter(found.values())

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Names and buffers, of the whole tree unless `recurse` is False."""
        return self._named_tensors(Tree._own_buffer_tensors, prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers, of the whole tree unless `recurse` is False."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    # --- by path

    def get_submodule(self, target: str) -> Module:
        """The module at a path such as "body.0"; "" is the module itself.

        Raises
        ------
        AttributeError
            Nothing there, or no module.
        """
        here: Any = self
        for step in target.split(".") if target else []:
            there = here.__dict__.get(step)
            if not _is_module(there):
                names = ", ".join(name for name, _ in here._own_modules()) or "none"
                got = "nothing" if there is None else type(there).__name__
                raise AttributeError(
                    f"[get_submodule] {target!r}: expected a module named {step!r} in "
                    f"{type(here).__name__} (it has {names}), got {got}"
                )
            here = there
        return cast("Module", here)

    def set_submodule(self, target: str, module: Module, strict: bool = False) -> None:
        """Puts a module at a path; with `strict` only where there is one already."""
        if not target:
            raise ValueError("[set_submodule] target: expected a path, got an empty one")
        path, _, name = target.rpartition(".")
        parent = self.get_submodule(path)
        if strict:
            self.get_submodule(target)
        if not _is_module(module):
            raise ValueError(f"[set_submodule] module: expected a Module, got {module!r:.60}")
        setattr(parent, name, module)

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at a path such as "body.0.weight"; an AttributeError otherwise."""
        return cast(Parameter, self._tensor_at(target, "parameter", Tree._own_parameters))

    def get_buffer(self, target: str) -> Tensor:
        """The buffer at a path such as "norm.running_mean"; an AttributeError otherwise."""
        return self._tensor_at(target, "buffer", Tree._own_buffer_tensors)

    def _tensor_at(
        self, target: str, kind: str, own: Callable[[Tree], Iterator[tuple[str, Tensor]]]
    ) -> Tensor:
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        found = dict(own(module))
        if name not in found:
            raise AttributeError(
                f"[get_{kind}] {target!r}: expected a {kind} of {type(module).__name__} (it has "
                f"{', '.join(found) or 'none'}), got {name!r}"
            )
        return found[name]

    def apply(self: T, fn: Callable[[Module], object]) -> T:
        """Calls a function with every module of the tree, this module last."""
        for module in self.children():
            module.apply(fn)
        fn(cast("Module", self))
        return self
