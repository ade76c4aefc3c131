"""What every network is made of: modules that hold parameters, buffers and other modules.

There is one place where these live, the instance's own attributes; everything else is read off
them, so nothing can get out of step. Computes nothing, and knows no layer. What a module does with
its state is in `_state.py`, hooks are in `_hooks.py`, walking through the tree in `_tree.py`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar
from weakref import ref

from ranvier import _C, _dtypes
from ranvier._C import ShapeError, Tensor
from ranvier._constructors import dtype_of_type
from ranvier._creation import empty_like
from ranvier._devices import check_device
from ranvier._grad import no_grad
from ranvier._recording import Recordings, note_module
from ranvier._tensor import target_of
from ranvier.nn import _hooks, _state
from ranvier.nn._hooks import Hook, Hooks, RemovableHandle
from ranvier.nn._layer_errors import last, nothing, tell_layer
from ranvier.nn._state import ExtraState, LoadResult
from ranvier.nn._tree import Tree
from ranvier.nn.parameter import Buffer, Parameter

M = TypeVar("M", bound="Module")


def _no_forward(self: Module, *args: Any, **kwargs: Any) -> Any:
    name = type(self).__name__
    raise TypeError(f"[{name}] expected a method 'forward', got none; define forward(self, x)")


# What `fit`, `predict` and files keep with a model.
_KEPT = ("_ranvier_last_fit", "_ranvier_predictions", "_ranvier_about")


class Module(Tree, ExtraState):
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
    _persistence: dict[str, bool]  # of each buffer: whether it is part of the state_dict
    _hooks: Hooks | None = None
    # Attributes that a recorded step does not depend on, or that are looked at in another way.
    _beside = frozenset({"training", "_hooks", "_checked", *_KEPT})

    forward: Callable[..., Any] = _no_forward

    def __init__(self) -> None:
        object.__setattr__(self, "_persistence", {})
        # There from the beginning, as another thread may go through the attributes later.
        for name in _KEPT:
            object.__setattr__(self, name, None)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Runs `forward` and the hooks; an error of the core is told with the layer's name."""
        hooks = self._hooks
        if Recordings.count:
            note_module(self)
        try:
            if hooks is None:
                output = self.forward(*args, **kwargs)
            else:
                output = _hooks.call(self, hooks, args, kwargs)
        except (ShapeError, TypeError, ValueError, IndexError) as error:
            tell_layer(error, self, args)
            raise
        if isinstance(output, Tensor):
            last.run = (ref(output), ref(self))
        elif output is None:
            last.run = (nothing, ref(self))
        return output

    # --- what belongs to the module

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, (Parameter, Module)):
            self._own_buffers(f"self.{name}").pop(name, None)
            if isinstance(value, Module):
                value._own_buffers("it")
        elif isinstance(value, Buffer):
            self._check_plain(name, value)
            self._own_buffers(f"self.{name}")[name] = value.persistent
        else:
            self._check_plain(name, value)
        object.__setattr__(self, name, value)
        _C.structure_changed()

    def __delattr__(self, name: str) -> None:
        object.__delattr__(self, name)
        _C.structure_changed()
        self.__dict__.get("_persistence", {}).pop(name, None)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Takes over what a copy or a pickle kept."""
        self.__dict__.setdefault("_persistence", {})
        self.__dict__.update(state)

    def _own_buffers(self, what: str) -> dict[str, bool]:
        buffers: dict[str, bool] | None = self.__dict__.get("_persistence")
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
        if name in self.__dict__.get("_persistence", ()) and not isinstance(value, Tensor):
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
        self._check_new(name, () if name not in buffers else Tensor)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(f"[nn.Module] {name}: expected a Tensor or None, got {tensor!r}")
        object.__setattr__(self, name, tensor)
        buffers[name] = persistent
        _C.structure_changed()

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Adds a parameter under a name; None keeps the name free."""
        self._own_buffers("register_parameter")
        self._check_new(name, Parameter)
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(f"[nn.Module] {name}: expected a Parameter or None, got {param!r}")
        setattr(self, name, param)

    def add_module(self, name: str, module: Module | None) -> None:
        """Adds a module under a name; None keeps the name free."""
        self._own_buffers("add_module")
        self._check_new(name, Module)
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"[nn.Module] {name}: expected a Module or None, got {module!r}")
        setattr(self, name, module)

    def register_module(self, name: str, module: Module | None) -> None:
        """Adds a module under a name, as `add_module` does."""
        self.add_module(name, module)

    def _check_new(self, name: str, kind: Any) -> None:
        """A KeyError unless nothing stands under the name, or something of this kind."""
        if not isinstance(name, str) or not name or "." in name:
            raise KeyError(f"[nn.Module] expected a name without '.', got {name!r}")
        old = self.__dict__.get(name)
        taken = old is not None and not isinstance(old, kind)
        if taken or (name not in self.__dict__ and hasattr(self, name)):
            raise KeyError(
                f"[nn.Module] expected a name that is free, got {name!r}, which "
                f"{type(self).__name__} has already"
            )

    # What PyTorch's programs look into: read only, as the attributes are where everything lives.

    @property
    def _parameters(self) -> Mapping[str, Tensor]:
        return MappingProxyType(dict(self._own_parameters()))

    @property
    def _buffers(self) -> Mapping[str, Tensor]:
        return MappingProxyType(dict(self._own_buffer_tensors()))

    @property
    def _modules(self) -> Mapping[str, Module]:
        return MappingProxyType(dict(self._own_modules()))

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Changes nothing: the module runs without overhead already."""

    # --- modes

    def train(self: M, mode: bool = True) -> M:
        """Sets the whole tree to training, or with False to evaluation."""
        if not isinstance(mode, bool):
            raise ValueError(f"[train] mode: expected True or False, got {mode!r}")
        for module in self.modules():
            if module.training is not mode:
                object.__setattr__(module, "training", mode)
                _C.structure_changed()
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
            raise TypeError(f"[Module.to] dtype: expected a floating one, got {dtype.name}")
        return self._convert(dtype, lambda old: old.dtype.is_floating_point)

    def _convert(self: M, dtype: Any, wanted: Callable[[Tensor], bool]) -> M:
        new: dict[int, Tensor] = {}  # tied parameters stay tied
        for module in self.modules():
            for name, old in [*module._own_parameters(), *module._own_buffer_tensors()]:
                if old.dtype is not dtype and wanted(old):
                    if id(old) not in new:
                        new[id(old)] = _converted(old, dtype)
                    object.__setattr__(module, name, new[id(old)])
                    _C.structure_changed()
        return self

    def type(self: M, dst_type: Any) -> M:
        """Converts all parameters and buffers, whole numbers too; see `to`."""
        dtype = _dtypes.as_dtype(dtype_of_type(dst_type))
        if any(True for _ in self.parameters()) and not dtype.is_floating_point:
            raise TypeError(f"[Module.type] dst_type: expected a floating one, got {dtype.name}")
        return self._convert(dtype, lambda old: True)

    def float(self: M) -> M:
        """Converts to float32; see `to`."""
        return self.to("float32")

    def double(self: M) -> M:
        """Converts to float64; see `to`."""
        return self.to("float64")

    def half(self: M) -> M:
        """Converts to float16, which is stored so and computed in float32; see `to`."""
        return self.to("float16")

    def bfloat16(self: M) -> M:
        """Converts to bfloat16, which is stored so and computed in float32; see `to`."""
        return self.to("bfloat16")

    def cpu(self: M) -> M:
        """The module itself: everything lives on the CPU."""
        return self

    def cuda(self: M, device: Any = None) -> M:
        """Raises: there is no CUDA device in this build."""
        check_device("cuda" if device is None else device, "Module.cuda")
        return self

    def share_memory(self: M) -> M:
        """The module itself: threads share its memory anyway."""
        return self

    # --- hooks

    def _with_hooks(self) -> Hooks:
        self._own_buffers("a hook")
        if self._hooks is None:
            object.__setattr__(self, "_hooks", Hooks())
        assert self._hooks is not None
        return self._hooks

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Calls `hook(module, args)` before every forward.

        Parameters
        ----------
        hook : callable
            Returns None, or other arguments for forward: a tuple, or one value.
        prepend : bool, default False
            Whether it runs before the hooks that are there.
        with_kwargs : bool, default False
            It is called as `hook(module, args, kwargs)` and returns None or a tuple of both.

        Returns
        -------
        RemovableHandle
            Its `remove()` takes the hook away.
        """
        where = "register_forward_pre_hook"
        return _hooks.register(
            self._with_hooks().forward_pre, where, Hook(hook, with_kwargs), prepend
        )

    def register_forward_hook(
        self,
        hook: Callable[..., Any],
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:
        """Calls `hook(module, args, output)` after every forward.

        Parameters
        ----------
        hook : callable
            Returns None, or what takes the output's place.
        prepend : bool, default False
            Whether it runs before the hooks that are there.
        with_kwargs : bool, default False
            It is called as `hook(module, args, kwargs, output)`.
        always_call : bool, default False
            Whether it runs after an error, too.

        Returns
        -------
        RemovableHandle
            Its `remove()` takes the hook away.
        """
        where = "register_forward_hook"
        entry = Hook(hook, with_kwargs, always_call)
        return _hooks.register(self._with_hooks().forward, where, entry, prepend)

    def register_full_backward_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Calls `hook(module, grad_output)` when the gradients of the outputs are there.

        What it returns, unless None, takes their place.
        """
        where = "register_full_backward_pre_hook"
        return _hooks.register(self._with_hooks().backward_pre, where, Hook(hook), prepend)

    def register_full_backward_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Calls `hook(module, grad_input, grad_output)` when the gradients of the inputs are there.

        What it returns, unless None, takes the place of the inputs' gradients.
        """
        where = "register_full_backward_hook"
        return _hooks.register(self._with_hooks().backward, where, Hook(hook), prepend)

    register_backward_hook = register_full_backward_hook

    def register_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Calls `hook(module, prefix, keep_vars)` before `state_dict` collects."""
        where = "register_state_dict_pre_hook"
        return _hooks.register(self._with_hooks().state_dict_pre, where, Hook(hook))

    def register_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Calls `hook(module, state_dict, prefix, local_metadata)` after it has collected."""
        where = "register_state_dict_post_hook"
        return _hooks.register(self._with_hooks().state_dict, where, Hook(hook))

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Calls a hook before `load_state_dict` compares; it may change the names that came.

        `hook(module, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys,
        error_msgs)`, as in PyTorch.
        """
        where = "register_load_state_dict_pre_hook"
        return _hooks.register(self._with_hooks().load_state_dict_pre, where, Hook(hook))

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Calls `hook(module, incompatible_keys)` after everything was loaded."""
        where = "register_load_state_dict_post_hook"
        return _hooks.register(self._with_hooks().load_state_dict, where, Hook(hook))

    # --- saving

    def state_dict(
        self,
        *args: Any,
        destination: OrderedDict[str, Any] | None = None,
        prefix: str = "",
        keep_vars: bool = False,
    ) -> OrderedDict[str, Any]:
        """All parameters and persistent buffers by name; they share memory with the module's.

        Parameters
        ----------
        *args
            `destination`, `prefix` and `keep_vars` by place, as older programs give them.
        destination : OrderedDict, optional
            Takes the names; a new one unless given.
        prefix : str
            Stands in front of every name.
        keep_vars : bool, default False
            Whether to give the parameters themselves, with their gradients.
        """
        given = dict(zip(("destination", "prefix", "keep_vars"), args, strict=False))
        destination = given.get("destination", destination)
        state: OrderedDict[str, Any] = OrderedDict() if destination is None else destination
        _state.write_state(
            self, state, given.get("prefix", prefix), given.get("keep_vars", keep_vars)
        )
        return state

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> LoadResult:
        """Copies values by name into parameters and buffers: all of them, or none on an error.

        Parameters
        ----------
        state_dict : mapping of str to Tensor or array
        strict : bool, default True
            False skips names that are missing or unexpected.
        assign : bool, default False
            Whether the tensors themselves, dtypes included, take the place of the module's. Make
            the optimizer afterwards.

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
        return _state.load(self, state_dict, strict, assign)

    # --- printing

    def extra_repr(self) -> str:
        """What stands between the brackets of the module's line; a layer says its settings."""
        return ""

    def _get_name(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        lines = [
            f"({name}): " + repr(value).replace("\n", "\n  ") for name, value in self._own_modules()
        ]
        extra = self.extra_repr()
        if not lines and "\n" not in extra:
            return f"{self._get_name()}({extra})"
        lines = [*extra.split("\n"), *lines] if extra else lines
        return "\n  ".join([f"{self._get_name()}(", *lines]) + "\n)"


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
        parameter = Parameter(new, old.requires_grad)
        if old.grad is not None:
            parameter.grad = empty_like(old.grad, dtype=dtype).copy_(old.grad)
    return parameter
