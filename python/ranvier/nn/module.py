"""What every network is made of: modules that hold parameters, buffers and other modules.

There is one place where these live, the instance's own attributes; everything else is read off
them, so nothing can get out of step. Computes nothing, and knows no layer.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar
from weakref import ref

from ranvier._C import ShapeError, Tensor
from ranvier._conversion import as_tensor
from ranvier._creation import empty_like
from ranvier._grad import no_grad
from ranvier._tensor import target_of
from ranvier.nn.parameter import Parameter

M = TypeVar("M", bound="Module")


class LoadResult(NamedTuple):
    """Which names `load_state_dict(strict=False)` did not find or could not use."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"LoadResult(missing_keys={self[0]}, unexpected_keys={self[1]})"


class _LastRun(threading.local):
    """What the module that ran last in this thread gave, and the module, for error messages."""

    run: tuple[Callable[[], Any], Callable[[], Any]] = (lambda: None, lambda: None)


_last = _LastRun()


def _no_forward(self: Module, *args: Any, **kwargs: Any) -> Any:
    name = type(self).__name__
    raise TypeError(f"[{name}] expected a method 'forward', got none; define forward(self, x)")


class Module:
    """Base class of layers and networks; `forward` says what one computes.

    Parameters, buffers and modules that are assigned to attributes belong to the module.

    Attributes
    ----------
    training : bool
        Set by `train()` and `eval()`; layers such as dropout look at it.

    Examples
    --------
    >>> import ranvier as rv
    >>> class Net(rv.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.hidden = rv.nn.Linear(2, 4)
    ...         self.out = rv.nn.Linear(4, 1)
    ...     def forward(self, x):
    ...         return self.out(self.hidden(x).sigmoid())
    >>> net = Net()
    >>> net(rv.ones(3, 2)).shape
    (3, 1)
    >>> [name for name, _ in net.named_parameters()]
    ['hidden.weight', 'hidden.bias', 'out.weight', 'out.bias']
    """

    training: bool = True
    _buffers: dict[str, bool]  # name: whether it is part of the state_dict

    forward: Callable[..., Any] = _no_forward

    def __init__(self) -> None:
        object.__setattr__(self, "_buffers", {})

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Runs `forward`; an error about shapes or dtypes is told with the layer's name."""
        try:
            output = self.forward(*args, **kwargs)
        except (ShapeError, TypeError) as error:
            _tell_layer(error, self, args)
            raise
        if isinstance(output, Tensor):
            _last.run = (ref(output), ref(self))
        return output

    # --- what belongs to the module

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, (Parameter, Module)):
            self._own_buffers(f"self.{name}").pop(name, None)
            if isinstance(value, Module):
                value._own_buffers("it")
        else:
            self._check_plain(name, value)
        object.__setattr__(self, name, value)

    def _own_buffers(self, what: str) -> dict[str, bool]:
        buffers: dict[str, bool] | None = self.__dict__.get("_buffers")
        if buffers is None:
            name = type(self).__name__
            raise AttributeError(
                f"[nn.Module] {name}: expected super().__init__() to come before {what} is "
                f"used, got {name}.__init__ without it; call super().__init__() in its first line"
            )
        return buffers

    def _check_plain(self, name: str, value: Any) -> None:
        if value is None:
            return
        old = self.__dict__.get(name)
        for kind in (Parameter, Module):
            if isinstance(old, kind):
                raise TypeError(
                    f"[nn.Module] {type(self).__name__}.{name}: expected a {kind.__name__} or None "
                    f"in place of the one that is there, got {type(value).__name__}"
                )
        if name in self.__dict__.get("_buffers", ()) and not isinstance(value, Tensor):
            raise TypeError(
                f"[nn.Module] {type(self).__name__}.{name}: expected a Tensor or None for a "
                f"buffer, got {type(value).__name__}"
            )

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Adds a tensor that is not learned but belongs to the state, such as running means.

        Parameters
        ----------
        name : str
        tensor : Tensor or None
        persistent : bool, default True
            Whether it is part of `state_dict`.
        """
        buffers = self._own_buffers("register_buffer")
        self._check_new(name)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(f"[nn.Module] {name}: expected a Tensor or None, got {tensor!r}")
        object.__setattr__(self, name, tensor)
        buffers[name] = persistent

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Adds a parameter under a name; None keeps the name free."""
        self._check_new(name)
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(f"[nn.Module] {name}: expected a Parameter or None, got {param!r}")
        setattr(self, name, param)

    def add_module(self, name: str, module: Module | None) -> None:
        """Adds a module under a name; None keeps the name free."""
        self._check_new(name)
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"[nn.Module] {name}: expected a Module or None, got {module!r}")
        setattr(self, name, module)

    def _check_new(self, name: str) -> None:
        if not isinstance(name, str) or not name or "." in name:
            raise KeyError(f"[nn.Module] expected a name without '.', got {name!r}")
        if hasattr(self, name) and name not in self.__dict__:
            raise KeyError(f"[nn.Module] expected a name that is free, got {name!r}")

    # --- walking through it

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Names and modules that belong to this module directly, each module once."""
        self._own_buffers("it")
        seen: set[int] = set()
        for name, value in list(self.__dict__.items()):
            if isinstance(value, Module) and id(value) not in seen:
                seen.add(id(value))
                yield name, value

    def children(self) -> Iterator[Module]:
        """Modules that belong to this module directly."""
        return (module for _, module in self.named_children())

    def named_modules(
        self, memo: set[int] | None = None, prefix: str = ""
    ) -> Iterator[tuple[str, Module]]:
        """Names and modules of the whole tree, this module first, each module once."""
        memo = set() if memo is None else memo
        if id(self) in memo:
            return
        memo.add(id(self))
        yield prefix, self
        for name, module in self.named_children():
            yield from module.named_modules(memo, f"{prefix}.{name}" if prefix else name)

    def modules(self) -> Iterator[Module]:
        """The modules of the whole tree, this module first."""
        return (module for _, module in self.named_modules())

    def _named_tensors(
        self, own: Callable[[Module], Iterator[tuple[str, Tensor]]], prefix: str, recurse: bool
    ) -> Iterator[tuple[str, Tensor]]:
        seen: set[int] = set()
        trees = self.named_modules(prefix=prefix) if recurse else iter([(prefix, self)])
        for path, module in trees:
            for name, value in own(module):
                if id(value) not in seen:
                    seen.add(id(value))
                    yield (f"{path}.{name}" if path else name), value

    def _own_parameters(self) -> Iterator[tuple[str, Tensor]]:
        self._own_buffers("parameters()")
        return ((n, v) for n, v in list(self.__dict__.items()) if isinstance(v, Parameter))

    def _own_buffer_tensors(self) -> Iterator[tuple[str, Tensor]]:
        names = self._own_buffers("buffers()")
        return ((n, self.__dict__[n]) for n in names if self.__dict__.get(n) is not None)

    def named_parameters(
        self, prefix: str = "", recurse: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Names and parameters, of the whole tree unless `recurse` is False; tied ones once."""
        for name, value in self._named_tensors(Module._own_parameters, prefix, recurse):
            assert isinstance(value, Parameter)
            yield name, value

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters, of the whole tree unless `recurse` is False; tied ones once."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Tensor]]:
        """Names and buffers, of the whole tree unless `recurse` is False."""
        return self._named_tensors(Module._own_buffer_tensors, prefix, recurse)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers, of the whole tree unless `recurse` is False."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def apply(self: M, fn: Callable[[Module], object]) -> M:
        """Calls a function with every module of the tree, this module last."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    # --- modes

    def train(self: M, mode: bool = True) -> M:
        """Sets the whole tree to training, or with False to evaluation."""
        if not isinstance(mode, bool):
            raise ValueError(f"[train] mode: expected True or False, got {mode!r}")
        for module in self.modules():
            object.__setattr__(module, "training", mode)
        return self

    def eval(self: M) -> M:
        """Sets the whole tree to evaluation."""
        return self.train(False)

    def requires_grad_(self: M, requires_grad: bool = True) -> M:
        """Says for every parameter whether it shall be learned."""
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clears the gradients of all parameters, or with `set_to_none=False` fills them with 0."""
        for parameter in self.parameters():
            clear_grad(parameter, set_to_none)

    # --- dtype

    def to(self: M, *args: Any, **kwargs: Any) -> M:
        """Converts floating parameters and buffers: `to(dtype)`, `to("cpu")`, `to(tensor)`.

        A parameter of another dtype is another tensor: make the optimizer afterwards.

        Raises
        ------
        TypeError
            For a dtype that is not floating.
        """
        dtype, *_ = target_of(args, kwargs, "Module.to")
        if dtype is None:
            return self
        if not dtype.is_floating_point:
            raise TypeError(f"[Module.to] dtype: expected float32 or float64, got {dtype.name}")
        new: dict[int, Tensor] = {}  # tied parameters stay tied
        for module in self.modules():
            for name, old in [*module._own_parameters(), *module._own_buffer_tensors()]:
                if old.dtype is not dtype and old.dtype.is_floating_point:
                    if id(old) not in new:
                        new[id(old)] = _converted(old, dtype)
                    object.__setattr__(module, name, new[id(old)])
        return self

    def float(self: M) -> M:
        """Converts to float32; see `to`."""
        return self.to("float32")

    def double(self: M) -> M:
        """Converts to float64; see `to`."""
        return self.to("float64")

    def cpu(self: M) -> M:
        """The module itself: everything lives on the CPU."""
        return self

    # --- saving

    def state_dict(self, prefix: str = "") -> OrderedDict[str, Tensor]:
        """All parameters and persistent buffers by name; they share memory with the module's."""
        state: OrderedDict[str, Tensor] = OrderedDict()
        for name, value in self._own_parameters():
            state[prefix + name] = value.detach()
        for name, value in self._own_buffer_tensors():
            if self._buffers[name]:
                state[prefix + name] = value.detach()
        for name, child in self.__dict__.items():
            if isinstance(child, Module):
                state.update(child.state_dict(f"{prefix}{name}."))
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> LoadResult:
        """Copies values by name into parameters and buffers: all of them, or none on an error.

        Parameters
        ----------
        state_dict : mapping of str to Tensor or array
        strict : bool, default True
            False skips names that are missing or unexpected.

        Returns
        -------
        (missing_keys, unexpected_keys)

        Raises
        ------
        RuntimeError
            Missing or unexpected names, each listed.
        ShapeError
            Shapes that differ, each listed with both shapes. It is a RuntimeError too.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(
                f"[load_state_dict] expected names and tensors, got {type(state_dict).__name__}"
            )
        own = self.state_dict()
        missing = [name for name in own if name not in state_dict]
        unexpected = [name for name in state_dict if name not in own]
        where = f"[load_state_dict] {type(self).__name__}"
        if strict and (missing or unexpected):
            parts = [f"{w} {', '.join(n)}" for w, n in
                     (("missing", missing), ("unexpected", unexpected)) if n]  # fmt: skip
            raise RuntimeError(
                f"{where}: expected the model's own names, got {'; '.join(parts)}; "
                "pass strict=False to load what fits"
            )
        values = {
            name: _value_of(name, state_dict[name], where) for name in own if name in state_dict
        }
        wrong = [f"{name} {own[name].shape}, got {value.shape}"
                 for name, value in values.items() if value.shape != own[name].shape]  # fmt: skip
        if wrong:
            raise ShapeError(f"{where}: expected {'; expected '.join(wrong)}")
        with no_grad():
            for name, value in values.items():
                own[name].copy_(value)
        return LoadResult(missing, unexpected)

    # --- printing

    def extra_repr(self) -> str:
        """What stands between the brackets of the module's line; a layer says its settings."""
        return ""

    def __repr__(self) -> str:
        lines = [
            f"({name}): " + repr(value).replace("\n", "\n  ")
            for name, value in self.__dict__.items()
            if isinstance(value, Module)
        ]
        extra = self.extra_repr()
        if not lines:
            return f"{type(self).__name__}({extra})"
        return "\n  ".join([f"{type(self).__name__}({extra}", *lines]) + "\n)"


def clear_grad(parameter: Tensor, set_to_none: bool) -> None:
    """Removes a gradient, or fills it with 0."""
    if set_to_none:
        parameter.grad = None
    elif parameter.grad is not None:
        with no_grad():
            parameter.grad.fill_(0)


def _converted(old: Tensor, dtype: Any) -> Tensor:
    with no_grad():
        new = empty_like(old, dtype=dtype).copy_(old)
    if not isinstance(old, Parameter):
        return new
    old.replaced = True  # an optimizer that still holds it says so
    return Parameter(new, old.requires_grad)


def _value_of(name: str, value: Any, where: str) -> Tensor:
    try:
        return as_tensor(value)
    except (TypeError, ValueError):
        raise TypeError(
            f"{where}: {name}: expected a tensor or numbers, got {type(value).__name__}"
        ) from None


class _Failure(NamedTuple):
    """What an error of the core says, the module that failed, and what gave it its input."""

    op: str
    rest: str
    module: Module
    before: Module | None
    width: int


def _tell_layer(error: Exception, root: Module, inputs: tuple[Any, ...]) -> None:
    """Adds the path of the failing layer to a message of the core, and who gave it its input.

    Each module on the way out tells it anew, so that the outermost one has the last word.
    """
    failure: _Failure | None = getattr(error, "layer", None)
    if failure is None:
        text = re.match(r"\[(\w+)\] (.*)", str(error), re.DOTALL)
        if text is None:
            return
        output, before = (reference() for reference in _last.run)
        given = inputs[0] if inputs else None
        width = 0
        if isinstance(given, Tensor) and given is output and given.ndim:
            width = given.shape[-1]
        else:
            before = None
        failure = _Failure(text[1], text[2], root, before, width)
        error.layer = failure  # type: ignore[attr-defined]
    if "_buffers" not in root.__dict__:  # no super().__init__(): nothing belongs to it
        return
    paths = {id(module): path for path, module in root.named_modules()}
    if path := paths.get(id(failure.module)):
        shown = f"layer {path}" if path.split(".")[0].isdigit() else path
        shown += _kind(path, failure.module)
        rest = failure.rest
        if failure.before is not None:
            name = paths.get(id(failure.before)) or type(failure.before).__name__
            rest += f"; the layer before, '{name}'{_kind(name, failure.before)}, "
            rest += f"gives {failure.width}"
        error.args = (f"[{failure.op}] {shown}: {rest}",)


def _kind(path: str, module: Module) -> str:
    return f" ({type(module).__name__})" if path.split(".")[-1].isdigit() else ""
