"""What a check of the user's code knows of values: which there are, and what may be done to them.

An expression has a set of these: what it may be, over all ways through the code.
"""

from __future__ import annotations

import builtins
import collections
import enum
import functools
import itertools
import math
import operator
import sys
import types
from typing import Any

from ranvier._C import Tensor
from ranvier.nn import Module


class Sort(enum.Enum):
    """Values that nothing is known about but where they come from."""

    COMPUTED = "computed"  # a tensor, a number, a text: made by the function itself
    GIVEN = "given"  # handed in from outside
    LAYER = "layer"  # a module of Ranvier that was made here


class Known:
    """An object that is there before the function runs."""

    __slots__ = ("thing",)

    def __init__(self, thing: Any) -> None:
        self.thing = thing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Known) and self.thing is other.thing

    def __hash__(self) -> int:
        return id(self.thing)


class Method:
    """A function and the object that it is a method of."""

    __slots__ = ("function", "owner")

    def __init__(self, function: Any, owner: Known) -> None:
        self.function, self.owner = function, owner

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Method):
            return False
        return self.function is other.function and self.owner == other.owner

    def __hash__(self) -> int:
        return id(self.function) ^ hash(self.owner)


class Made:
    """A list, tuple or dict that the function makes, with what it may hold.

    `rows` are the values place by place, where there is a fixed number of places; otherwise they
    are all in `held`.
    """

    __slots__ = ("held", "rows")

    def __init__(self) -> None:
        self.held: set[Value] = set()
        self.rows: list[set[Value]] | None = None

    def all(self) -> set[Value]:
        """Whatever it may hold."""
        return self.held.union(*self.rows or ())


class Inner:
    """A function that is defined inside of another, and whose names it sees."""

    __slots__ = ("frame", "tree")

    def __init__(self, tree: Any, frame: Any) -> None:
        self.tree, self.frame = tree, frame


class Super:
    """What `super()` gives."""

    __slots__ = ("behind", "owner")

    def __init__(self, behind: type, owner: Any) -> None:
        self.behind, self.owner = behind, owner

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Super):
            return False
        return self.behind is other.behind and self.owner is other.owner

    def __hash__(self) -> int:
        return id(self.behind) ^ id(self.owner)


Value = Sort | Known | Method | Made | Inner | Super
Values = set[Value]


# --- objects --------------------------------------------------------------------------------------

_NUMBERS = (int, float, bool, str, bytes, complex, type(None), range, slice, type(...))


def ours(name: Any) -> bool:
    """Whether a module's name is one of Ranvier's."""
    return isinstance(name, str) and (name == "ranvier" or name.startswith("ranvier."))


def is_ours(thing: Any) -> bool:
    """Whether an object, or its class, is Ranvier's own."""
    if isinstance(thing, types.ModuleType):
        return ours(thing.__name__)
    if isinstance(thing, types.FunctionType):
        return ours(thing.__globals__.get("__name__"))
    if isinstance(thing, (type, types.BuiltinFunctionType)):
        return ours(thing.__module__)
    if isinstance(thing, types.MethodType):
        return is_ours(thing.__func__)
    return ours(type(thing).__module__)


def is_constant(thing: Any) -> bool:
    """Whether nobody can change it: a number, a text, a tuple of such."""
    if type(thing) in (tuple, frozenset):
        return all(map(is_constant, thing))
    if type(thing) in _NUMBERS or isinstance(thing, enum.Enum):
        return True
    plain = is_ours(thing) and not isinstance(thing, (Tensor, Module, type))
    return plain and type(thing).__name__ in ("dtype", "device", "layout", "memory_format", "Size")


def of_library(function: Any) -> bool:
    """Whether a function is one of Python's library."""
    name = str(getattr(function, "__globals__", {}).get("__name__", ""))
    return name != "__main__" and name.partition(".")[0] in sys.stdlib_module_names


def is_row(thing: Any) -> bool:
    """Whether it is a list, tuple, set or dict of modules, tensors, functions and constants."""
    if type(thing) in (dict, collections.OrderedDict):
        return is_row(list(thing.values()))
    if type(thing) not in (list, tuple, set, frozenset) and not is_named(thing):
        return False
    kinds = (Module, Tensor, types.FunctionType, type)
    return all(isinstance(i, kinds) or is_constant(i) or is_ours(i) or is_row(i) for i in thing)


def is_named(thing: Any) -> bool:
    """Whether it is a named tuple."""
    return isinstance(thing, tuple) and hasattr(type(thing), "_fields")


ABSENT = object()  # in the place of what is not there, and may come
_DEEPEST = 8


def snapshot(thing: Any, depth: int = 0) -> tuple[Any, ...]:
    """What a row holds, and the rows in it, to be compared later."""
    items = (*thing.keys(), *thing.values()) if isinstance(thing, dict) else tuple(thing)
    held: list[Any] = [len(items)]
    for item in items:
        held.append(item)
        if isinstance(item, (list, tuple, dict, set)) and depth < _DEEPEST:
            held.extend(snapshot(item, depth + 1))
    return tuple(held)


def parts_of(function: types.FunctionType) -> tuple[Any, ...]:
    """What a function does, to be compared later."""
    return function.__code__, function.__defaults__, function.__kwdefaults__


# --- functions of Python --------------------------------------------------------------------------

_NAMES = (
    "abs all any bool complex dict divmod enumerate filter float format frozenset getattr hasattr "
    "int isinstance issubclass iter len list map max min next pow range repr reversed round set "
    "slice sorted str sum super tuple type zip"
)
BUILTINS = {getattr(builtins, name): name for name in _NAMES.split()}
# What goes through its arguments.
LOOPS = {"all", "any", "dict", "enumerate", "filter", "map", "max", "min", "next", "sum", "zip"}
# What gives what its arguments hold in a new row.
ROWS = {list, tuple, set, frozenset, sorted, reversed, iter, collections.OrderedDict,
        collections.deque}  # fmt: skip
_MODULES = (math, operator, itertools)
_CHANGES = {"setitem", "delitem", "iadd", "iconcat", "iand", "ior", "imul", "isub", "ixor", "call",
            "methodcaller"}  # fmt: skip


_HARMLESS = {
    "__init__", "__new__", "__init_subclass__", "__subclasshook__", "__class__", "__dir__",
    "__reduce__", "__reduce_ex__", "__getstate__", "__setstate__", "__sizeof__", "__repr__",
    "__str__", "__hash__", "__dict__", "__weakref__", "__module__", "__doc__", "__annotations__",
    "__match_args__", "__slots__", "__delattr__", "__setattr__", "__getattribute__", "__getattr__",
    "__static_attributes__", "__firstlineno__", "__parameters__", "__orig_bases__", "__copy__",
    "__class_getitem__", "__deepcopy__", "__enter__", "__exit__", "__post_init__", "__replace__",
    "__del__", "__call__", "__annotate__", "__annotate_func__", "__abstractmethods__",
}  # fmt: skip


def is_special(name: str) -> bool:
    """Whether a method of this name is called by an operator, a loop or a question."""
    special = name.startswith("__") and name.endswith("__") and name not in _HARMLESS
    return special and not name.startswith("__dataclass")


def is_pure(thing: Any) -> bool:
    """Whether it is a function of Python's library that only computes."""
    kinds = (type, types.BuiltinFunctionType, types.FunctionType)
    if not isinstance(thing, kinds):
        return False
    if any(
        thing is known for known in (*BUILTINS, *ROWS, functools.reduce, collections.defaultdict)
    ):
        return True
    module, name = getattr(thing, "__module__", None), getattr(thing, "__name__", "")
    if module == "_operator":
        return name not in _CHANGES
    return any(vars(m).get(name) is thing for m in _MODULES if name and m is not operator)


# --- functions of Ranvier -------------------------------------------------------------------------

# Where what reads files, trains or keeps settings stands, and what does so elsewhere by its name.
_APART = ("ranvier.training", "ranvier.data", "ranvier.io", "ranvier.utils", "ranvier.optim",
          "ranvier.callbacks", "ranvier.cuda", "ranvier.accelerator", "ranvier.backends",
          "ranvier.sklearn", "ranvier._printing", "ranvier._config", "ranvier._memory")  # fmt: skip
_BEGINNINGS = ("set_", "manual_seed", "seed", "save", "load", "fit", "evaluate", "predict",
               "register", "add_module", "summary", "compile", "use_deterministic", "printoptions",
               "get_rng", "initial_seed", "show_config", "from_numpy", "frombuffer", "from_dlpack",
               "fork_rng", "capture", "share_memory")  # fmt: skip
_OF_MODULES = {"parameters", "named_parameters", "buffers", "named_buffers", "children",
               "named_children", "modules", "named_modules", "get_submodule", "get_parameter",
               "get_buffer", "forward", "__call__", "_get_name", "extra_repr", "items", "keys",
               "values"}  # fmt: skip
_CHANGING = {"append", "extend", "insert", "pop", "clear", "update", "assign", "build"}
_NOT_OF_TENSORS = {"requires_grad_", "retain_grad", "set_", "data_ptr", "numpy", "share_memory_"}
CONTEXTS = {"no_grad", "enable_grad", "inference_mode", "set_grad_enabled"}


def is_builtin(thing: Any) -> bool:
    """Whether it is one of the functions and types of Python that are fine."""
    return any(thing is known for known in BUILTINS)


def keeps_out(thing: Any) -> bool:
    """Whether a function or class of Ranvier's does more than to compute."""
    module, name = getattr(thing, "__module__", "") or "", getattr(thing, "__name__", "")
    apart = any(module == m or module.startswith(f"{m}.") for m in _APART)
    return apart or name.startswith(_BEGINNINGS)


def method_keeps_out(owner: Any, name: str) -> bool:
    """Whether a method of an object of Ranvier's does more than to compute."""
    if isinstance(owner, Module):
        if hasattr(Module, name) or hasattr(type(owner), "__getitem__"):
            return name not in _OF_MODULES
        return name.startswith((*_BEGINNINGS, "reset_", "add_")) or name in _CHANGING
    if isinstance(owner, Tensor) and name in _NOT_OF_TENSORS:
        return True
    return name.startswith(_BEGINNINGS)


READS = {
    list: {"index", "count", "copy"},
    tuple: {"index", "count"},
    dict: {"items", "keys", "values", "get", "copy"},
    collections.OrderedDict: {"items", "keys", "values", "get", "copy"},
    set: {"copy", "union", "intersection", "difference", "issubset", "issuperset", "isdisjoint"},
}


def name_of(thing: Any) -> str:
    """What to call an object in a message."""
    name = getattr(thing, "__qualname__", None) or getattr(thing, "__name__", None)
    if name is None:
        return f"an object of {type(thing).__name__}"
    if isinstance(thing, types.ModuleType):
        return str(thing.__name__)
    owner = getattr(thing, "__self__", None)
    if owner is not None and not isinstance(owner, (types.ModuleType, type)):
        home = getattr(type(owner), "__module__", "")
        return f"{home}.{thing.__name__}" if home == "random" else f"{name}"
    home = getattr(thing, "__module__", None) or ""
    return name if home in ("builtins", "__main__", "") else f"{home}.{name}"
