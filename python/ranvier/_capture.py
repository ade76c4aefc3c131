"""`rv.capture`: a function of tensors that is recorded once and then replayed without Python.

The compiled part (`_C.Captured`) answers calls that fit a program it knows. Every other call comes
here: a program for it is looked up, its surroundings are compared with those of its recording, or
it is recorded, or the function runs as it is.
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable, Container, Iterator, Mapping
from typing import Any, TypeVar, overload
from weakref import WeakKeyDictionary, ref

import numpy as np

from ranvier import _C
from ranvier._C import Generator, Program, Tensor, dtype
from ranvier._recording import attributes_of, note_module, settings_of, token_of, witness
from ranvier.nn.module import Module

F = TypeVar("F", bound=Callable[..., Any])

MOST_PROGRAMS = 16
_MOST_TRIES = 3  # recordings during which modules change: some are built by their first call
_BUILDING = ("it changes attributes", "it changes memory")


def is_on() -> bool:
    """Whether functions are recorded: not with RANVIER_CAPTURE=0."""
    return os.environ.get("RANVIER_CAPTURE", "1") != "0"


# --- arguments and results ------------------------------------------------------------------------


class Place:
    """Where a tensor goes in what is put together again."""

    __slots__ = ("index",)

    def __init__(self, index: int) -> None:
        self.index = index


class OpaqueError(Exception):
    """Something that cannot be taken apart and put together again."""


def _is_record(value: Any) -> bool:
    """A named tuple, or what an op with several results gives (`ranvier.return_types`)."""
    names = ("_fields", "n_sequence_fields")
    return isinstance(value, tuple) and any(hasattr(value, name) for name in names)


def _made(kind: Any, items: list[Any]) -> Any:
    """A list, a tuple or a record of these."""
    return kind(*items) if hasattr(kind, "_fields") else kind(items)


def _taken_apart(value: Any, tensors: list[Tensor]) -> Any:
    """The value with places for its tensors, which are appended; arrays become tensors."""
    if isinstance(value, (Tensor, np.ndarray)):
        tensors.append(value if isinstance(value, Tensor) else _C.from_numpy(value))
        return Place(len(tensors) - 1)
    if type(value) in (list, tuple) or _is_record(value):
        return _made(type(value), [_taken_apart(item, tensors) for item in value])
    if type(value) is dict:
        return {name: _taken_apart(item, tensors) for name, item in value.items()}
    return value


def together(form: Any, tensors: list[Tensor]) -> Any:
    """The value again."""
    if isinstance(form, Place):
        return tensors[form.index]
    if type(form) in (list, tuple) or _is_record(form):
        return _made(type(form), [together(item, tensors) for item in form])
    if type(form) is dict:
        return {name: together(item, tensors) for name, item in form.items()}
    return form


def _key_of(form: Any) -> Any:
    """What is equal for calls that differ in nothing but tensors; its parts can be hashed."""
    if isinstance(form, Place):
        return Place
    if isinstance(form, (list, tuple)):
        return (type(form), *map(_key_of, form))
    if type(form) is dict:
        return (dict, *((name, _key_of(item)) for name, item in form.items()))
    if type(form) is float:
        return float, form.hex()  # 0.0 and -0.0 are two
    if type(form) in _CONSTANT:
        return type(form), form
    if isinstance(form, np.generic):
        return type(form), form.tobytes()
    return object, id(form)


_CONSTANT = (int, float, bool, str, bytes, type(None))


def _modules_in(form: Any) -> Iterator[Module]:
    """The modules among arguments."""
    if isinstance(form, (list, tuple)):
        for item in form:
            yield from _modules_in(item)
    elif type(form) is dict:
        for item in form.values():
            yield from _modules_in(item)
    elif isinstance(form, Module):
        yield form


def _objects_in(form: Any) -> Iterator[Any]:
    """What is neither tensor nor container nor constant."""
    if isinstance(form, (list, tuple)):
        for item in form:
            yield from _objects_in(item)
    elif type(form) is dict:
        for item in form.values():
            yield from _objects_in(item)
    elif not isinstance(form, (Place, Module, np.generic)) and type(form) not in _CONSTANT:
        yield form  # a module is looked at where it is called, and not kept


def _seen_of(thing: Any) -> Any:
    """What is equal as long as an object is the same; raises OpaqueError where that is hidden."""
    if isinstance(thing, (type, Generator, dtype)) or callable(thing):
        return None  # itself
    if isinstance(thing, (dict, list, tuple, set)) or not hasattr(thing, "__dict__"):
        raise OpaqueError(f"an argument is a {type(thing).__name__}, whose changes are not seen")
    return token_of(vars(thing))


def _check_result(form: Any) -> None:
    """Raises OpaqueError for results that a replay could not give anew."""
    if isinstance(form, Place) or type(form) in _CONSTANT:
        return
    if isinstance(form, (list, tuple)):
        for item in form:
            _check_result(item)
    elif type(form) is dict:
        for item in form.values():
            _check_result(item)
    else:
        raise OpaqueError(f"it returns a {type(form).__name__}, where tensors are expected")


# --- programs -------------------------------------------------------------------------------------


class Surroundings:
    """What a recording depended on: modules, optimizers, and what C++ knows of its tensors.

    Parameters
    ----------
    program : Program
    evaluated : container of int
        By their id, modules that were put into evaluation mode for it: in which mode they are
        otherwise does not matter.
    """

    def __init__(self, program: Program, evaluated: Container[int] = ()) -> None:
        self.program = program
        # Weakly, as the programs of a method belong to the module whose method it is.
        self.modules = [
            (ref(module), before, id(module) in evaluated)
            for module, before in witness.modules.values()
        ]
        self.optimizers = [(opt, settings_of(opt)) for opt in witness.optimizers.values()]
        self.settings = witness.settings
        self.version = _C.structure_version()

    def hold(self) -> bool:
        """Whether everything is as it was."""
        now = _C.structure_version()
        if now == self.version:
            return True
        same = (
            _C.program_holds(self.program)
            and all(_has(module(), before, in_any) for module, before, in_any in self.modules)
            and all(settings_of(optimizer) == before for optimizer, before in self.optimizers)
            and all(token_of(group.get(key)) == before for group, key, before in self.settings)
        )
        if same:
            self.version = now
        return same


def _has(module: Any, attributes: Any, in_any_mode: bool) -> bool:
    """Whether a module is there and has these attributes, of which the first is its mode."""
    if module is None:
        return False
    now = attributes_of(module)
    return bool(now[1:] == attributes[1:] if in_any_mode else now == attributes)


class Entry:
    """A program and what belongs to it in Python."""

    def __init__(
        self,
        surroundings: Surroundings,
        form: Any,
        actions: list[tuple[Callable[[], Any], bool]],
    ) -> None:
        self.program, self.surroundings, self.form = surroundings.program, surroundings, form
        self.objects: list[tuple[Any, Any]] = []  # among the arguments, as they were
        self.given: list[Any] = []  # modules among the arguments, which another may follow in place
        self.before = [action for action, late in actions if not late]
        self.after = [action for action, late in actions if late]
        single = isinstance(form, Place)
        self.rebuild = None if single else functools.partial(together, form)
        self.layouts = _C.program_results(self.program)
        self.result_bytes = sum(math.prod(shape) * dtype.itemsize for shape, dtype in self.layouts)
        self.results: list[Tensor] = []  # of the last runs, one after the other

    def room(self, count: int) -> list[Tensor]:
        """Memory for the results of so many runs, which the next call may use again."""
        if not self.results or self.results[0].shape[0] != count:
            self.results = [_C.empty((count, *shape), dtype) for shape, dtype in self.layouts]
        return self.results

    def holds(self) -> bool:
        """Whether everything that it depends on is as it was."""
        return (
            self.surroundings.hold()
            and all(module() is not None for module in self.given)
            and all(_seen_of(thing) == before for thing, before in self.objects)
        )

    def together(self, results: list[Tensor]) -> Any:
        """What the function returns, of its tensors."""
        return together(self.form, results)

    def run(self, tensors: list[Tensor]) -> list[Tensor] | None:
        """The results, or None where the arguments do not fit."""
        if self.before and not _C.program_fits(self.program, tensors):
            return None
        for action in self.before:
            action()
        results: list[Tensor] | None = _C.run_program(self.program, tensors)
        if results is not None:
            for action in self.after:
                action()
        return results


def obstacle(modules: Mapping[int, Any], optimizers: Mapping[int, Any]) -> str:
    """Why what was used cannot be left out of a run, or nothing: Python code of somebody else."""
    for module, _ in modules.values():
        if module._hooks is not None and module._hooks.any_runs():
            return f"{type(module).__name__} has a hook"
    for optimizer in optimizers.values():
        if optimizer.runs_hooks:
            return f"{type(optimizer).__name__} has a hook"
        if not type(optimizer).reads_slots():
            return f"{type(optimizer).__name__} takes its steps in Python"
    return ""


class Programs:
    """The programs of one function, by the kind of call.

    Parameters
    ----------
    function : callable
    most : int
        How many programs there may be.
    reads_end : bool, default False
        Whether a read of a value ends a recording; else it raises.
    note : callable, optional
        What is called with the reason where the function is not replayed; a warning if left out.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        most: int,
        *,
        reads_end: bool = False,
        note: Callable[[str], None] | None = None,
    ) -> None:
        self.function, self.most, self.reads_end, self.note = function, most, reads_end, note
        self.entries: dict[Any, list[Entry]] = {}
        self.refused: dict[Any, tuple[int, int]] = {}  # how often, and at which structure
        self.listed: list[Program] = []
        self.told: set[str] = set()

    # --- calls

    def call(self, captured: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What the function returns for these arguments, by a program where there is one."""
        tensors: list[Tensor] = []
        form = _taken_apart((args, kwargs), tensors)
        args, kwargs = together(form, tensors)
        if _C.is_recording() or not is_on():  # a capture inside another is a part of that
            return self.function(*args, **kwargs)
        layouts = _C.layouts_of(tensors)
        if layouts is None:
            self.tell("an argument requires a gradient")
            return self.function(*args, **kwargs)
        key = (_key_of(form), layouts, _C.is_grad_enabled())
        for entry in self.entries.get(key, ()):
            if entry.holds():
                return self.replay(captured, entry, form, tensors)
        if self.is_refused(key):
            return self.function(*args, **kwargs)
        if not self.make_room():
            self.tell(
                f"it has {self.most} programs already, each for another kind of call; shapes that "
                "change with every call cost a recording each: pad them, or leave out capture"
            )
            return self.function(*args, **kwargs)
        return self.record(captured, key, form, tensors)

    def only(self) -> Entry | None:
        """The one program, where it has no other and its surroundings hold."""
        if len(self.entries) != 1:
            return None
        entries = next(iter(self.entries.values()))
        holding = [entry for entry in entries if entry.holds()]
        return holding[-1] if holding else None

    def replay(self, captured: Any, entry: Entry, form: Any, tensors: list[Tensor]) -> Any:
        """A run of a program; of the function where the arguments are memory of the program's."""
        results = entry.run(tensors)
        if results is None:
            args, kwargs = together(form, tensors)
            return self.function(*args, **kwargs)
        self.remember(captured, entry, form)
        return together(entry.form, results)

    def remember(self, captured: Any, entry: Entry, form: Any) -> None:
        """Lets the compiled part answer, where it is about plain tensors alone."""
        args, kwargs = form
        version = entry.surroundings.version
        actions = entry.before or entry.after
        if captured is None or kwargs or actions or version != _C.structure_version():
            return
        if all(isinstance(a, Place) for a in args):
            captured.remember(entry.program, version, _C.is_grad_enabled(), entry.rebuild)

    # --- recordings

    def record(self, captured: Any, key: Any, form: Any, tensors: list[Tensor]) -> Any:
        """A call that is recorded; what it returns is the function's in any case."""
        answer: list[Any] = []

        def body(*given: Tensor) -> list[Tensor]:
            args, kwargs = together(form, list(given))
            for module in _modules_in(form):
                note_module(module)
            answer.append(self.function(*args, **kwargs))
            results: list[Tensor] = []
            shape.append(_taken_apart(answer[0], results))
            if any(one is not other for one, other in zip(given, tensors, strict=True)):
                # Arguments that share memory came under other handles: the caller knows his own.
                own = dict(zip(map(id, given), tensors, strict=True))
                answer[0] = together(shape[0], [own.get(id(t), t) for t in results])
            return results

        shape: list[Any] = []
        before = _C.structure_version()
        modes = _modes()
        witness.begin()
        try:
            objects = [(thing, _seen_of(thing)) for thing in _objects_in(form)]
            program, reason = _C.record_program(body, tensors, self.reads_end)
            _check_result(shape[0])
            if modes != _modes():
                raise OpaqueError("it changes the gradient mode, or the default dtype")
            entry = None if program is None else self.entry_of(program, before, shape[0])
        except OpaqueError as opaque:
            entry, reason = None, str(opaque)
        finally:
            witness.end()
        if not answer:  # it was not even run
            self.refuse(key, reason)
            args, kwargs = together(form, tensors)
            return self.function(*args, **kwargs)
        if entry is None:
            self.refuse(key, reason)
        else:
            entry.objects = objects
            entry.given = [ref(module) for module in _modules_in(form)]
            self.entries.setdefault(key, []).append(entry)
            self.listed.append(entry.program)
            self.refused.pop(key, None)
            self.remember(captured, entry, form)
        return answer[0]

    def entry_of(self, program: Program, version: int, form: Any) -> Entry:
        """What is kept of a recording; raises OpaqueError where it cannot be replayed."""
        if words := obstacle(witness.modules, witness.optimizers):
            raise OpaqueError(words)
        if version != _C.structure_version():
            for module, before in witness.modules.values():
                if attributes_of(module) != before:
                    raise OpaqueError(f"it changes attributes of a module, {type(module).__name__}")
        if len({late for _, late in witness.actions}) > 1:
            raise OpaqueError("a schedule goes on between steps of optimizers")
        return Entry(Surroundings(program), form, witness.actions)

    def is_refused(self, key: Any) -> bool:
        """Whether a recording would come to nothing again."""
        times, version = self.refused.get(key, (0, 0))
        return times >= _MOST_TRIES and version == _C.structure_version()

    def refuse(self, key: Any, reason: str) -> None:
        """Remembers that a recording came to nothing; tells it once it happens again."""
        times, _ = self.refused.get(key, (0, 0))
        times = times + 1 if reason.startswith(_BUILDING) else _MOST_TRIES
        if len(self.refused) > 4 * self.most:
            self.refused.clear()
        self.refused[key] = times, _C.structure_version()
        if times >= _MOST_TRIES:
            self.tell(reason)

    def make_room(self) -> bool:
        """Whether another program may be made; those of surroundings that are gone make room."""
        if len(self.listed) < self.most:
            return True
        for key, entries in list(self.entries.items()):
            kept = [entry for entry in entries if entry.holds()]
            self.entries[key] = kept
            if not kept:
                del self.entries[key]
        self.listed[:] = [e.program for entries in self.entries.values() for e in entries]
        return len(self.listed) < self.most

    def tell(self, reason: str) -> None:
        """Says once why the function runs as it is."""
        if reason in self.told:
            return
        self.told.add(reason)
        if self.note is not None:
            self.note(reason)
            return
        from ranvier.training.errors import warn  # is made of this package

        code = getattr(self.function, "__code__", None)
        where = f" ({os.path.basename(code.co_filename)}:{code.co_firstlineno})" if code else ""
        warn(f"[capture] {_name_of(self.function)}{where} runs without being replayed: {reason}")


def _modes() -> tuple[bool, Any]:
    """What a function should leave as it finds it."""
    return _C.is_grad_enabled(), _C.get_default_dtype()


def _name_of(function: Any) -> str:
    return str(getattr(function, "__qualname__", type(function).__name__))


# --- the decorator --------------------------------------------------------------------------------


class _Calls:
    """Where calls go that the compiled part does not answer; a method has programs by object."""

    def __init__(self, function: Callable[..., Any], most: int) -> None:
        self.programs = Programs(function, most)
        self.of_modules: WeakKeyDictionary[Module, Programs] = WeakKeyDictionary()
        self.captured: Any = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        programs = self.programs
        if args and isinstance(args[0], Module):
            own = self.of_modules.get(args[0])
            if own is None:
                own = self.of_modules[args[0]] = Programs(programs.function, programs.most)
            programs = own
        return programs.call(self.captured, args, kwargs)


@overload
def capture(function: F, *, max_programs: int = ...) -> F: ...
@overload
def capture(function: None = ..., *, max_programs: int = ...) -> Callable[[F], F]: ...


def capture(function: Any = None, *, max_programs: int = MOST_PROGRAMS) -> Any:
    """Records what a function of tensors does, and replays it without Python from then on.

    The first call with arguments of new shapes or dtypes runs the function as it is, and keeps the
    list of its operations: forward, loss, `backward()`, clipping, updates. Later calls run that
    list, with the same bits as the function itself. Parameters, gradients, the optimizer's state,
    learning rates, random numbers and running statistics are found and go on.

    With it you say that the function depends on nothing but its arguments, modules, optimizers and
    tensors, and does nothing but compute: what else happens in Python (`print`, counters, appended
    lists, `random`) happens in recorded calls only. What Ranvier sees change (layers, parameters,
    `train()` and `eval()`, settings, hooks) leads to another recording, and what cannot be replayed
    runs as it is, with one `RanvierWarning`.

    Parameters
    ----------
    function : callable
        Takes tensors, arrays (which arrive as tensors), lists, tuples and dicts of them, and
        constants; returns such. Also a module.
    max_programs : int, default 16
        How many kinds of calls are kept. Calls of further kinds run as they are.

    Returns
    -------
    callable
        Its attribute `programs` lists the `rv.Program`s that were made. Results have no graph:
        `backward()` belongs into the function.

    Raises
    ------
    RuntimeError
        From the line of the function that reads a value while it is recorded: `loss.item()`,
        `if loss > 1`. Return the tensor and read it outside.

    Notes
    -----
    With RANVIER_CAPTURE=0 in the environment functions run as they are.

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.nn.Sequential(rv.nn.Linear(2, 4), rv.nn.Sigmoid(), rv.nn.Linear(4, 1))
    >>> optimizer = rv.optim.Adam(net.parameters(), lr=0.1)
    >>> @rv.capture
    ... def step(x, y):
    ...     optimizer.zero_grad()
    ...     loss = rv.nn.functional.mse_loss(net(x), y)
    ...     loss.backward()
    ...     optimizer.step()
    ...     return loss
    >>> x, y = rv.rand(8, 2), rv.rand(8, 1)
    >>> first = step(x, y)
    >>> for _ in range(50):
    ...     last = step(x, y)
    >>> bool(last < first), len(step.programs)
    (True, 1)
    """
    if function is None:
        return functools.partial(capture, max_programs=max_programs)
    if not callable(function):
        raise TypeError(f"[capture] expected a function, got {type(function).__name__}")
    if isinstance(max_programs, bool) or not isinstance(max_programs, int) or max_programs < 1:
        raise ValueError(
            f"[capture] max_programs: expected a whole number of 1 or more, got {max_programs!r}"
        )
    calls = _Calls(function, max_programs)
    captured = _C.Captured(function, calls)
    calls.captured = captured
    if hasattr(function, "__name__"):
        functools.update_wrapper(captured, function)
    else:
        vars(captured).update(__wrapped__=function, __doc__=getattr(function, "__doc__", None))
    captured.programs = calls.programs.listed
    return captured
