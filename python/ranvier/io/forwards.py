"""The forward of a class of one's own as a list of instructions, and the model that runs the list.

While a model predicts some rows, every operation is written down: its name, its attributes, what it
reads and what it gives. It is written down for two numbers of rows, so that it shows which sizes
grow with them: the list then runs for any number. Nothing of the class's Python code is needed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from ranvier import _C
from ranvier._C import ShapeError, Tensor
from ranvier._C import dtype as DType
from ranvier._capture import OpaqueError, Place, _taken_apart, together
from ranvier._dtypes import named
from ranvier._grad import no_grad
from ranvier.io.arguments import DescriptionError
from ranvier.io.description import check_free, held
from ranvier.io.kinds import plain
from ranvier.nn import Module

JSON = dict[str, Any]

PREFIX = "_ranvier_forward."  # of tensors that the code makes, which belong to no layer
_STEPS = 100_000
_ROWS = 2, 3  # for which it is written down
_TRIED = 1, 5  # for which the list is compared with the model


class ForwardError(Exception):
    """Why a forward cannot be stored."""


class StoredPart(Module):
    """Layers and tensors of a class that is not there.

    Attributes
    ----------
    stored_class : str
        The class that the part was of.
    """

    def __init__(self, stored_class: str) -> None:
        super().__init__()
        self.stored_class = stored_class

    def _get_name(self) -> str:
        return f"Stored {self.stored_class.rpartition('.')[2]}"

    def forward(self, *_: Any) -> Any:
        """Only the whole model computes."""
        raise RuntimeError(
            f"[{self.stored_class}] expected a call of the whole model, got one of a part: its "
            "file holds what the model computes, not what each part does"
        )


class StoredModel(StoredPart):
    """A model of a class that is not there: its layers, its weights, and what it predicts.

    `rv.load` makes it of a file. It computes what the model computed in evaluation mode, for any
    number of rows, with the same bits; gradients flow through it. It cannot be trained, as the file
    does not say what the model does in training mode: for that make an instance of the class and
    ``rv.load(path, model=instance)``.
    """

    def __init__(self, stored_class: str) -> None:
        super().__init__(stored_class)
        self._stored: _List | None = None  # one list, whatever is copied: nobody changes it

    def forward(self, x: Tensor) -> Any:
        """What the model makes of rows (N, ...)."""
        stored = self._stored
        assert stored is not None  # a file gives both
        if self.training:
            raise RuntimeError(
                f"[{self.stored_class}] expected evaluation mode, got training mode: the file "
                "holds what the model predicts; call model.eval(), or, to train it, load the file "
                "into an instance of the class: rv.load(path, model=instance)"
            )
        if tuple(x.shape[1:]) != stored.shape or x.ndim < 1:
            expected = ", ".join(map(str, ("N", *stored.shape)))
            raise ShapeError(
                f"[{self.stored_class}] expected rows ({expected}), got {tuple(x.shape)}"
            )
        return stored.run(self._named, x)

    def _named(self, name: str) -> Tensor:
        """The tensor of a name, as it is now."""
        path, _, word = name.rpartition(".")
        found: Tensor = (self.get_submodule(path) if path else self).__dict__[word]
        return found


class _List:
    """A list of instructions that has been checked."""

    def __init__(
        self,
        shape: tuple[int, ...],  # of a row
        steps: list[JSON],
        tensors: dict[int, str],  # of the model, by number
        constants: dict[int, Tensor],
        result: Any,  # with places for tensors
    ) -> None:
        self.shape, self.steps, self.result = shape, steps, result
        self.tensors, self.constants = tensors, constants

    def run(self, named: Callable[[str], Tensor], x: Tensor) -> Any:
        """The result for some rows, with the tensors of a model by name."""
        rows = x.shape[0]
        values: dict[int, Tensor] = {0: x, **self.constants}
        for number, name in self.tensors.items():
            values[number] = named(name)
        for step in self.steps:
            inputs = [None if n is None else values[n] for n in step["in"]]
            attributes = {k: _value_for(v, rows) for k, v in step["attributes"].items()}
            made = _C.run_op(step["op"], inputs, attributes)
            values.update(zip(step["out"], made, strict=True))
        return together(self.result, values)  # type: ignore[arg-type]


def whole(real: Module, stored_class: str, listed: _List) -> StoredModel:
    """The model whose layers and tensors are those of `real`, and which runs the list."""
    model = StoredModel(stored_class)
    try:
        for name, value in (*real._own_modules(), *held(real).items()):
            check_free(model, name)
            object.__setattr__(model, name, value)
    except DescriptionError as error:
        raise ValueError(str(error)) from None
    model._persistence.update(real._persistence)
    object.__setattr__(model, "_stored", listed)
    model.train(False)
    return model


def is_constant(name: str) -> bool:
    """Whether a tensor of a file is one that code makes, and no layer has."""
    return name.startswith(PREFIX)


# --- writing it down ------------------------------------------------------------------------------


def described(
    model: Module, tensors: Mapping[str, Tensor], shape: tuple[int, ...], dtype: DType
) -> tuple[JSON, dict[str, Tensor]]:
    """The forward of a model as values of JSON, and the tensors that its code makes.

    Parameters
    ----------
    model : Module
    tensors : mapping of str to Tensor
        Its parameters and buffers by name.
    shape, dtype
        Of a row.

    Raises
    ------
    ForwardError
        If it cannot be stored; it says why, and in which line.
    """
    from ranvier.training.modes import evaluating

    if _lacks_forward(model):
        raise ForwardError("it has no forward")
    with evaluating(model), no_grad(), undrawn():
        try:
            first, second = (_recorded(model, _example(rows, shape, dtype)) for rows in _ROWS)
        except ForwardError:
            raise
        except Exception as error:  # of the user's code, for rows that nobody promised to it
            raise ForwardError(f"it does not take rows {shape}: {error!s:.200}") from error
        found = _both(first, second)
        names, constants = _named(first, second, tensors)
        description: JSON = {
            "steps": found,
            "tensors": {str(number): name for number, name in names.items()},
            "result": _form_of(first.form, first.results),
        }
        made = {f"{PREFIX}{number}": tensor for number, tensor in constants.items()}
        _try(model, description, made, tensors, shape, dtype)
    return description, made


@contextmanager
def undrawn() -> Iterator[None]:
    """Behind it the default generator is where it was: writing a model down is no part of a run."""
    default = _C.default_generator()
    before = default.get_state()
    try:
        yield
    finally:
        default.set_state(before)


class _Recording(NamedTuple):
    """What one run of a forward was."""

    form: Any
    results: list[int]
    steps: list[tuple[str, dict[str, Any], list[int | None], list[int], list[int], str]]
    held: dict[int, Tensor]


def _lacks_forward(model: Module) -> bool:
    return getattr(type(model), "forward", None) is Module.forward


def _example(rows: int, shape: tuple[int, ...], dtype: DType) -> Tensor:
    """Rows of small numbers that differ, drawn from no generator."""
    numbers = np.arange(rows * math.prod(shape)).reshape(rows, *shape) % 7
    given = _C.from_numpy(numbers / 7 if dtype.is_floating_point else numbers)
    example: Tensor = _C.ops.cast(given, dtype)
    return example


def _recorded(model: Module, x: Tensor) -> _Recording:
    forms: list[Any] = []

    def run(given: Tensor) -> list[Tensor]:
        results: list[Tensor] = []
        try:
            forms.append(_taken_apart(model(given), results))
        except OpaqueError as error:
            raise ForwardError(str(error)) from None
        return results

    results, steps, held, reason = _C.list_instructions(run, [x])
    if reason:
        raise ForwardError(reason)
    for _, _, _, _, changed, where in steps:
        if any(number in held for number in changed):
            raise ForwardError(f"it changes what it has, or draws random numbers{_at(where)}")
    return _Recording(forms[0], results, steps, held)


def _at(where: str) -> str:
    return f" ({where})" if where else ""


def _both(first: _Recording, second: _Recording) -> list[JSON]:
    """The instructions of both, with sizes that grow with the number of rows.

    Raises
    ------
    ForwardError
        If they differ in more than that.
    """
    steps = []
    for one, other in zip(first.steps, second.steps, strict=False):
        op, attributes, reads, gives, _, where = one
        if (op, reads, gives) != (other[0], other[2], other[3]):
            raise ForwardError(f"what it does depends on the number of rows{_at(where)}")
        shared = {}
        for name, value in attributes.items():
            try:
                shared[name] = _value(value, other[1][name])
            except ForwardError as error:
                raise ForwardError(
                    f"{name} of {op} depends on the number of rows in a way that {error}"
                    f"{_at(where)}"
                ) from None
        steps.append({"op": op, "attributes": shared, "in": reads, "out": gives})
    if len(first.steps) != len(second.steps):
        longer = max(first.steps, second.steps, key=len)
        where = longer[len(steps)][-1]
        raise ForwardError(f"what it does depends on the number of rows{_at(where)}")
    return steps


def _value(one: Any, other: Any) -> Any:
    """An attribute as a value of JSON, of those for both numbers of rows."""
    if isinstance(one, (list, tuple)):
        if len(one) != len(other):
            raise ForwardError("changes how many there are")
        return [_value(a, b) for a, b in zip(one, other, strict=True)]
    if type(one) is int and type(other) is int and one != other:
        each = (other - one) // (_ROWS[1] - _ROWS[0])
        return {"rows": [each, one - each * _ROWS[0]]}
    same = type(one) is type(other) and (one == other or (one != one and other != other))
    if not same:
        raise ForwardError(f"no file can say: {one!r:.30}, then {other!r:.30}")
    if isinstance(one, float) and not math.isfinite(one):
        return {"number": repr(one)}
    return {"dtype": one.name} if isinstance(one, DType) else one


def _named(
    first: _Recording, second: _Recording, tensors: Mapping[str, Tensor]
) -> tuple[dict[int, str], dict[int, Tensor]]:
    """Names of the model's tensors that are read, and what else is read, by number."""
    known = {_identity(tensor): name for name, tensor in tensors.items()}
    names, constants = {}, {}
    if first.held.keys() != second.held.keys():
        raise ForwardError("which tensors it reads depends on the number of rows")
    for number, tensor in first.held.items():
        name = known.get(_identity(tensor))
        if name is not None:
            names[number] = name
            continue
        other = second.held[number]
        if tensor.shape != other.shape or tensor.numpy().tobytes() != other.numpy().tobytes():
            where = next((step[-1] for step in first.steps if number in step[2]), "")
            raise ForwardError(
                f"a tensor that its code makes depends on the number of rows{_at(where)}"
            )
        constants[number] = tensor.detach()
    return names, constants


def _identity(tensor: Tensor) -> tuple[Any, ...]:
    return tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tuple(tensor.stride())


def _form_of(form: Any, numbers: list[int]) -> Any:
    """What forward returns, with the numbers of its tensors, as a value of JSON."""
    if isinstance(form, Place):
        return numbers[form.index]
    if type(form) in (list, tuple):
        return {type(form).__name__: [_form_of(item, numbers) for item in form]}
    if type(form) is dict and all(isinstance(name, str) for name in form):
        return {"dict": {name: _form_of(item, numbers) for name, item in form.items()}}
    raise ForwardError(
        f"it returns a {type(form).__name__}; expected tensors, or a list, tuple or dict of them"
    )


def _try(
    model: Module,
    description: JSON,
    constants: Mapping[str, Tensor],
    tensors: Mapping[str, Tensor],
    shape: tuple[int, ...],
    dtype: DType,
) -> None:
    """A `ForwardError` unless the list gives the model's bits for other numbers of rows."""
    stored = checked(description, shape, {*tensors}, constants)
    for rows in _TRIED:
        x = _example(rows, shape, dtype)
        found: list[Tensor] = []
        wanted: list[Tensor] = []
        try:
            _taken_apart(model(x.clone()), wanted)
            _taken_apart(stored.run(tensors.__getitem__, x.clone()), found)
        except (RuntimeError, ValueError, TypeError) as error:
            raise ForwardError(f"it does not go through with {rows} rows: {error!s:.200}") from None
        same = len(wanted) == len(found) and all(
            a.shape == b.shape and a.dtype is b.dtype and a.numpy().tobytes() == b.numpy().tobytes()
            for a, b in zip(wanted, found, strict=True)
        )
        if not same:
            raise ForwardError(f"what it does for {rows} rows is not what it does for {_ROWS[0]}")


# --- reading --------------------------------------------------------------------------------------


def checked(
    description: Any, shape: tuple[int, ...], names: set[str], constants: Mapping[str, Tensor]
) -> _List:
    """The list of a description; nothing in it is believed.

    Raises
    ------
    ValueError
        If it is not one.
    """
    if not isinstance(description, dict) or description.keys() != {"steps", "tensors", "result"}:
        raise ValueError(f"forward: expected steps, tensors and result, got {description!r:.60}")
    steps, given = description["steps"], description["tensors"]
    if not isinstance(steps, list) or len(steps) > _STEPS or not isinstance(given, dict):
        raise ValueError(f"forward: expected at most {_STEPS:,} steps, got {steps!r:.60}")
    tensors: dict[int, str] = {}
    for key, name in given.items():
        if not _is_number(key) or name not in names:
            raise ValueError(
                f"forward: expected tensors of the model, got {key!r:.20}: {name!r:.60}"
            )
        tensors[int(key)] = name
    made = {
        int(name[len(PREFIX) :]): tensor
        for name, tensor in constants.items()
        if _is_number(name[len(PREFIX) :])
    }
    known = {0, *tensors, *made}
    for place, step in enumerate(steps):
        _check_step(place, step, known)
        known.update(step["out"])
    return _List(shape, steps, tensors, made, _result_of(description["result"], known, 0))


def _is_number(text: Any) -> bool:
    return isinstance(text, str) and text.isascii() and text.isdigit() and len(text) < 10


def _check_step(place: int, step: Any, known: set[int]) -> None:
    keys = {"op": str, "attributes": dict, "in": list, "out": list}
    right = isinstance(step, dict) and step.keys() == keys.keys()
    if not right or not all(isinstance(step[key], kind) for key, kind in keys.items()):
        raise ValueError(f"forward: step {place}: expected {', '.join(keys)}, got {step!r:.60}")
    if step["op"].startswith("_") or step["op"] not in vars(_C.ops):
        raise ValueError(
            f"forward: step {place}: expected an operation of Ranvier's, got "
            f"{plain(step['op'])!r}; it may be of a newer version of Ranvier"
        )
    for number in step["in"]:
        if number is not None and (type(number) is not int or number not in known):
            raise ValueError(f"forward: step {place}: expected what is known, got {number!r:.30}")
    for number in step["out"]:
        if type(number) is not int or number in known:
            raise ValueError(f"forward: step {place}: expected a new number, got {number!r:.30}")
    for name, value in step["attributes"].items():
        _check_value(place, name, value)


def _check_value(place: int, name: str, value: Any) -> None:
    items = value if isinstance(value, list) else [value]
    for item in items:
        if isinstance(item, dict):
            try:
                _value_for(item, 1)
            except (KeyError, TypeError, ValueError, AttributeError):
                raise ValueError(
                    f"forward: step {place}: {name!r:.30}: expected rows, number or dtype, got "
                    f"{item!r:.60}"
                ) from None
        elif not isinstance(item, (int, float, str, type(None))):
            raise ValueError(
                f"forward: step {place}: {name!r:.30}: expected values, got {item!r:.60}"
            )


def _value_for(value: Any, rows: int) -> Any:
    """An attribute for so many rows."""
    if isinstance(value, list):
        return [_value_for(item, rows) for item in value]
    if not isinstance(value, dict):
        return value
    if "rows" in value:
        each, more = value["rows"]
        return int(each) * rows + int(more)
    if "number" in value:
        return {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}[value["number"]]
    dtype = named(value["dtype"])
    if dtype is None:
        raise ValueError("no dtype")
    return dtype


def _result_of(value: Any, known: set[int], depth: int) -> Any:
    if type(value) is int and value in known:
        return Place(value)
    if isinstance(value, dict) and len(value) == 1 and depth < 20:
        ((kind, items),) = value.items()
        if kind in ("list", "tuple") and isinstance(items, list):
            made = [_result_of(item, known, depth + 1) for item in items]
            return made if kind == "list" else tuple(made)
        if kind == "dict" and isinstance(items, dict):
            return {name: _result_of(item, known, depth + 1) for name, item in items.items()}
    raise ValueError(f"forward: expected a result of known tensors, got {value!r:.60}")
