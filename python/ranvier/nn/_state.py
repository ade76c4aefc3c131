"""A module's state as names and tensors, and back: `state_dict` and `load_state_dict`.

Everything is checked before anything is written, so that a state that does not fit changes nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ranvier._C import ShapeError, Tensor
from ranvier._conversion import as_tensor
from ranvier._grad import no_grad
from ranvier.nn.parameter import Parameter

if TYPE_CHECKING:
    from ranvier.nn.module import Module


class LoadResult(NamedTuple):
    """Which names `load_state_dict(strict=False)` did not find or could not use."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"LoadResult(missing_keys={self[0]}, unexpected_keys={self[1]})"


class Place(NamedTuple):
    """Where a tensor of the state lives: an attribute of a module."""

    module: Module
    attribute: str
    tensor: Tensor


def own_state(module: Module) -> Iterator[tuple[str, Tensor]]:
    """Parameters, then persistent buffers, of this module alone."""
    yield from module._own_parameters()
    kept = module._persistence
    yield from ((name, t) for name, t in module._own_buffer_tensors() if kept[name])


def places(module: Module, prefix: str = "") -> Iterator[tuple[str, Place]]:
    """Every name of the state with its place; shared tensors under each of their names."""
    for name, tensor in own_state(module):
        yield prefix + name, Place(module, name, tensor)
    for name, child in module._own_modules():
        yield from places(child, f"{prefix}{name}.")


EXTRA = "_extra_state"  # the name of what `get_extra_state` gives


class ExtraState:
    """What a module keeps in its state beside tensors; a subclass overrides both methods."""

    def get_extra_state(self) -> Any:
        """What `state_dict` keeps under `_extra_state`, such as a vocabulary or a count."""
        raise RuntimeError(
            f"[state_dict] {type(self).__name__}: expected get_extra_state to be defined, got none"
        )

    def set_extra_state(self, state: Any) -> None:
        """Takes over what `get_extra_state` gave; `load_state_dict` calls it."""
        raise RuntimeError(
            f"[load_state_dict] {type(self).__name__}: expected set_extra_state to be defined, got "
            "none"
        )


def _has(module: Module, method: str) -> bool:
    return getattr(type(module), method) is not getattr(ExtraState, method)


def extras(module: Module, prefix: str = "") -> Iterator[tuple[str, Module]]:
    """The modules that take extra state, by the names of it."""
    if _has(module, "set_extra_state"):
        yield prefix + EXTRA, module
    for name, child in module._own_modules():
        yield from extras(child, f"{prefix}{name}.")


def write_state(
    module: Module, destination: OrderedDict[str, Any], prefix: str, keep_vars: bool
) -> None:
    """Puts the state of a module and of all below it into `destination`."""
    hooks = module._hooks
    if hooks is not None:
        for hook in list(hooks.state_dict_pre.values()):
            hook.function(module, prefix, keep_vars)
    for name, tensor in own_state(module):
        destination[prefix + name] = tensor if keep_vars else tensor.detach()
    if _has(module, "get_extra_state"):
        destination[prefix + EXTRA] = module.get_extra_state()
    for name, child in module._own_modules():
        child.state_dict(destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
    if hooks is not None:
        for hook in list(hooks.state_dict.values()):
            hook.function(module, destination, prefix, {})


def load(module: Module, state_dict: Any, strict: bool, assign: bool) -> LoadResult:
    """What `Module.load_state_dict` does."""
    where = f"[load_state_dict] {type(module).__name__}"
    if not isinstance(state_dict, Mapping):
        hint = "; pass its state_dict()" if isinstance(state_dict, ExtraState) else ""
        raise TypeError(
            f"[load_state_dict] expected names and tensors, got {type(state_dict).__name__}{hint}"
        )
    given: OrderedDict[str, Any] = OrderedDict(state_dict)
    result, messages = LoadResult([], []), list[str]()
    _run_pre_hooks(module, "", given, strict, result, messages)
    own, further = dict(places(module)), dict(extras(module))
    result.missing_keys.extend(name for name in (*own, *further) if name not in given)
    known = own.keys() | further.keys()
    result.unexpected_keys.extend(name for name in given if name not in known)
    values = {name: _value_of(name, given[name], where) for name in own if name in given}
    wrong = [
        f"{name} {own[name].tensor.shape}, got {value.shape}"
        for name, value in values.items()
        if value.shape != own[name].tensor.shape
    ]
    _complain(where, result if strict else LoadResult([], []), wrong, messages)
    with no_grad():
        for name, value in values.items():
            _put(own[name], value, assign)
    for name, holder in further.items():
        if name in given:
            holder.set_extra_state(given[name])
    _run_post_hooks(module, result)
    return result


def _complain(where: str, names: LoadResult, wrong: list[str], messages: list[str]) -> None:
    """One error that lists everything that does not fit."""
    parts = [
        f"{what} {', '.join(listed)}"
        for what, listed in (("missing", names[0]), ("unexpected", names[1]))
        if listed
    ]
    advice = "; pass strict=False to load what fits" if parts and not wrong else ""
    told = [f"expected the model's own names, got {'; '.join(parts)}"] if parts else []
    told += [f"expected {one}" for one in wrong] + messages
    if told:
        kind = ShapeError if wrong else RuntimeError  # a ShapeError is a RuntimeError too
        raise kind(f"{where}: {'; '.join(told)}{advice}")


def _put(place: Place, value: Tensor, assign: bool) -> None:
    if not assign:
        place.tensor.copy_(value)
        return
    if isinstance(place.tensor, Parameter):
        old = place.tensor
        new = value if isinstance(value, Parameter) else Parameter(value, old.requires_grad)
        new.requires_grad = old.requires_grad
        old.replaced = new is not old  # an optimizer that still holds it says so
        value = new
    setattr(place.module, place.attribute, value)


def _value_of(name: str, value: Any, where: str) -> Tensor:
    try:
        return as_tensor(value)
    except (TypeError, ValueError):
        raise TypeError(
            f"{where}: {name}: expected a tensor or numbers, got {type(value).__name__}"
        ) from None


def _run_pre_hooks(
    module: Module,
    prefix: str,
    state: OrderedDict[str, Any],
    strict: bool,
    result: LoadResult,
    messages: list[str],
) -> None:
    if module._hooks is not None:
        for hook in list(module._hooks.load_state_dict_pre.values()):
            hook.function(module, state, prefix, {}, strict, *result, messages)
    for name, child in module._own_modules():
        _run_pre_hooks(child, f"{prefix}{name}.", state, strict, result, messages)


def _run_post_hooks(module: Module, result: LoadResult) -> None:
    for _, child in module._own_modules():
        _run_post_hooks(child, result)
    if module._hooks is not None:
        for hook in list(module._hooks.load_state_dict.values()):
            hook.function(module, result)
