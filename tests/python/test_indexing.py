"""Indexing as Python writes it: random expressions beside NumPy, gradients beside PyTorch.

How many are tried is CASES, or RANVIER_CASES in the environment. Expected differences from NumPy,
each with its reason:

- An integer is taken before lists and masks, as in PyTorch: where it stands apart from a list,
  x[0, :, [1, 2]], NumPy counts it among the lists and moves their axis to the front.
- '...' that stands for no axis separates nothing, as in PyTorch; for NumPy it keeps lists apart.
- A step must be positive, as in PyTorch: a view cannot have a negative stride.
- A mask without elements must fit as well; NumPy looks only at sizes above 0.
- x[1.5] and x["a"] are an IndexError each, as in NumPy; floats are never rounded.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ranvier as rv
from ranvier import _C

CASES = int(os.environ.get("RANVIER_CASES", "300"))
RANDOM = settings(
    max_examples=CASES,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
DTYPES = ["float32", "float64", "int64", "int16", "uint8", "bool", "float16", "uint16", "uint64"]

# ---- random expressions


@dataclass(frozen=True)
class Part:
    """One part of an index expression, and in which clothes it comes."""

    kind: str  # int, slice, none, ellipsis, flag, mask, list
    value: Any = None
    clothes: str = "plain"  # or numpy, tensor

    def plain(self) -> Any:
        """As NumPy takes it."""
        return self.value

    def dressed(self) -> Any:
        """As Ranvier gets it."""
        if self.kind in ("mask", "list"):
            made = {"plain": np.ndarray.tolist, "numpy": np.asarray, "tensor": rv.from_numpy}
            return made[self.clothes](self.value)
        if self.kind == "slice" and self.clothes != "plain":
            make = np.int64 if self.clothes == "numpy" else rv.tensor
            bounds = (self.value.start, self.value.stop, self.value.step)
            return slice(*[None if b is None else make(b) for b in bounds])
        if self.kind in ("int", "flag") and self.clothes != "plain":
            if self.clothes == "tensor":
                return rv.tensor(self.value)
            return np.bool_(self.value) if self.kind == "flag" else np.int32(self.value)
        return self.value

    def for_torch(self, torch: Any) -> Any:
        """As PyTorch takes it."""
        if self.kind in ("mask", "list"):
            return torch.from_numpy(np.asarray(self.value))
        return self.value

    @property
    def whole(self) -> bool:
        """Whether it is one integer, also as an array without dimensions."""
        return self.kind == "int" or (self.kind == "list" and self.value.ndim == 0)

    def __repr__(self) -> str:
        return f"{self.kind}:{self.dressed()!r}"


CLOTHES = st.sampled_from(["plain", "numpy", "tensor"])
FULL = Part("slice", slice(None))


@st.composite
def slices(draw: Any, size: int) -> Part:
    bound = st.one_of(st.none(), st.integers(-size - 2, size + 2))
    step = draw(st.one_of(st.none(), st.integers(1, 3)))
    return Part("slice", slice(draw(bound), draw(bound), step), draw(CLOTHES))


@st.composite
def lists(draw: Any, size: int, shape: tuple[int, ...]) -> Part:
    """Integers for one axis in a shape that broadcasts to `shape`."""
    cut = shape[draw(st.integers(0, len(shape))) :]
    cut = tuple(1 if draw(st.booleans()) and n != 0 else n for n in cut)
    wild = draw(st.integers(0, 30)) == 0  # now and then out of range
    low, high = (-size - 2, size + 1) if wild or size == 0 else (-size, size - 1)
    n = int(np.prod(cut))
    values = draw(st.lists(st.integers(low, high), min_size=n, max_size=n))
    clothes = draw(CLOTHES) if n and cut else "numpy"
    return Part("list", np.array(values, np.int64).reshape(cut), clothes)


@st.composite
def masks(draw: Any, shape: tuple[int, ...]) -> Part:
    n = int(np.prod(shape))
    if draw(st.integers(0, 30)) == 0:
        shape = (*shape[:-1], shape[-1] + 1)
        n = int(np.prod(shape))
    values = draw(st.lists(st.booleans(), min_size=n, max_size=n))
    plain = 0 not in shape  # an empty list says nothing of its shape or dtype
    clothes = draw(CLOTHES) if plain else "tensor"
    return Part("mask", np.array(values, bool).reshape(shape), clothes)


@st.composite
def expressions(draw: Any, shape: tuple[int, ...]) -> list[Part]:
    """What stands between the brackets."""
    parts: list[Part] = []
    together = tuple(draw(st.lists(st.integers(0, 3), max_size=2)))
    open_ended, axis = False, 0
    while axis < len(shape) and draw(st.integers(0, 7)) > 0:
        size = shape[axis]
        kind = draw(
            st.sampled_from(
                ["int", "slice", "full", "list", "list", "mask", "none", "ellipsis", "flag"]
            )
        )
        if kind == "ellipsis":
            if open_ended:
                continue
            open_ended = True
            skipped = draw(st.integers(0, len(shape) - axis))
            parts.append(Part("ellipsis", Ellipsis))
            # The parts behind it stand for the last axes.
            rest = draw(expressions(shape[axis + skipped :])) if skipped < len(shape) - axis else []
            rest = [p for p in rest if p.kind != "ellipsis"]
            return parts + rest if taken(rest) <= len(shape) - axis else parts
        if kind == "none":
            parts.append(Part("none"))
            if len(parts) > 4:
                break
            continue
        if kind == "flag":
            parts.append(Part("flag", draw(st.integers(0, 5)) > 0, draw(CLOTHES)))
            if len(parts) > 4:
                break
            continue
        if kind == "int":
            wild = size == 0 or draw(st.integers(0, 30)) == 0
            low, high = (-size - 2, size + 1) if wild else (-size, size - 1)
            parts.append(Part("int", draw(st.integers(low, high)), draw(CLOTHES)))
        elif kind == "slice":
            parts.append(draw(slices(size)))
        elif kind == "full":
            parts.append(FULL)
        elif kind == "list":
            parts.append(draw(lists(size, together)))
        else:
            many = draw(st.integers(1, min(2, len(shape) - axis)))
            parts.append(draw(masks(shape[axis : axis + many])))
            axis += many - 1
        axis += 1
    if draw(st.integers(0, 40)) == 0:
        parts.append(Part("int", 0))  # perhaps one too many
    return parts


def taken(parts: list[Part]) -> int:
    """Axes that the parts stand for."""
    return sum(
        p.value.ndim if p.kind == "mask" else p.kind in ("int", "slice", "list") for p in parts
    )


SHAPES = st.lists(st.integers(0, 5), max_size=4).map(tuple)
LAYOUTS = st.sampled_from(["packed", "transposed", "strided"])


@dataclass(frozen=True)
class Example:
    """A tensor's shape, dtype and layout, and an index expression."""

    shape: tuple[int, ...]
    dtype: str
    layout: str
    parts: list[Part]

    def array(self) -> Any:
        """Distinct values, in the layout."""
        n = int(np.prod(self.shape))
        if self.layout == "transposed":
            made = np.arange(n).reshape(self.shape[::-1]).T
        elif self.layout == "strided" and self.shape:
            wide = (*self.shape[:-1], 2 * self.shape[-1])
            made = np.arange(2 * n).reshape(wide)[..., ::2]
        else:
            made = np.arange(n).reshape(self.shape)
        return made.astype(self.dtype, order="K")

    def tensor(self, array: Any) -> Any:
        """A tensor of the same values and strides, with memory of its own."""
        return rv.from_numpy(np.copy(array, order="K"))

    def key(self, parts: Any) -> Any:
        parts = tuple(parts)
        return parts[0] if len(parts) == 1 else parts

    def dressed(self) -> Any:
        """Between Ranvier's brackets."""
        return self.key(p.dressed() for p in self.parts)

    def basic(self) -> bool:
        """Whether the result is a view."""
        return not any(p.kind in ("list", "mask", "flag") and not p.whole for p in self.parts)

    def has_empty_mask(self) -> bool:
        """Of which NumPy does not check the shape."""
        return any(p.kind == "mask" and p.value.size == 0 for p in self.parts)

    def names(self) -> Any:
        """The flat positions that NumPy names, integers first: the reference."""
        flat = np.arange(int(np.prod(self.shape))).reshape(self.shape)
        parts = self.parts
        if self.basic():
            return flat[tuple(p.plain() for p in parts)]
        if taken(parts) == len(self.shape):
            parts = [p for p in parts if p.kind != "ellipsis"]
        first, rest = [], []
        for p in parts:
            if p.whole:
                first.append(p.plain())
                continue
            rest.append(p.plain())
            if p.kind == "mask":
                first += [slice(None)] * p.value.ndim
            elif p.kind == "ellipsis":
                first.append(...)
            elif p.kind in ("slice", "list"):
                first.append(slice(None))
        return flat[tuple(first)][tuple(rest)]


@st.composite
def examples(draw: Any, dtypes: Any = DTYPES) -> Example:
    shape = draw(SHAPES)
    parts = draw(expressions(shape))
    return Example(shape, draw(st.sampled_from(dtypes)), draw(LAYOUTS), parts)


def outcome(f: Any) -> Any:
    """The result, or the class of the error."""
    try:
        return f()
    except IndexError:
        return IndexError


def too_deep(example: Example) -> bool:
    """Tensors have at most eight dimensions, also on the way."""
    added = [p for p in example.parts if p.kind in ("none", "flag", "list")]
    return len(example.shape) + len(added) > 8


# ---- beside NumPy


@RANDOM
@given(examples())
def test_reading(example: Example) -> None:
    """The elements that NumPy names, in its shape; an IndexError where it has one."""
    array = example.array()
    t = example.tensor(array)
    names = outcome(example.names)
    if too_deep(example):
        return
    got = outcome(lambda: t[example.dressed()])
    if names is IndexError or got is IndexError:
        assert got is names or example.has_empty_mask(), example
        return
    want = array.flatten()[names.astype(np.int64)]
    assert got.shape == want.shape, example
    assert got.dtype is t.dtype and np.array_equal(got.numpy(), want), example
    if got.numel():
        assert np.shares_memory(got.numpy(), t.numpy()) == example.basic(), example


@st.composite
def assignments(draw: Any) -> tuple[Example, Any, str]:
    """An example, values that broadcast to what it names (mostly), and their clothes."""
    example = draw(examples())
    names = outcome(example.names)
    shape = () if isinstance(names, type) else names.shape
    cut = shape[draw(st.integers(0, len(shape))) :]
    cut = tuple(1 if draw(st.booleans()) else n for n in cut)
    if draw(st.integers(0, 15)) == 0:
        cut = (1, *cut)
    if draw(st.integers(0, 30)) == 0:
        cut = (*cut, 7)
    values = np.arange(50, 50 + int(np.prod(cut))).reshape(cut)
    dtype = draw(st.sampled_from([example.dtype, "int64", "float32"]))
    clothes = draw(st.sampled_from(["plain", "numpy", "tensor"]))
    return example, values.astype(dtype), clothes


def dressed_values(values: Any, clothes: str) -> Any:
    """A number or nested lists, an array, a tensor."""
    if clothes == "tensor":
        return rv.from_numpy(values)
    return values.tolist() if clothes == "plain" and values.size else values


@RANDOM
@given(assignments())
def test_assigning(given_: tuple[Example, Any, str]) -> None:
    """Conversion and broadcasting included. Where one place is named twice NumPy promises nothing
    about which of several values stays, so only one value is assigned then."""
    example, values, clothes = given_
    array = example.array()
    t = example.tensor(array)
    want = array.copy()
    names = outcome(example.names)
    if too_deep(example):
        return
    error: Any = names if isinstance(names, type) else None
    if error is None:
        if len(np.unique(names)) < names.size:
            values = values.reshape(-1)[:1].reshape(())[()] if values.size else values
            values = np.asarray(values)
        small = values
        while small.ndim > names.ndim and small.shape[0] == 1:
            small = small[0]
        try:
            spread = np.broadcast_to(small, names.shape)
        except ValueError:
            error = _C.ShapeError
        else:
            with np.errstate(all="ignore"):
                flat = want.reshape(-1)
                flat[names.astype(np.int64)] = spread.astype(example.dtype)
                want = flat.reshape(want.shape)
    if error is not None:
        with pytest.raises((error, _C.ShapeError)):
            t[example.dressed()] = dressed_values(values, clothes)
        assert np.array_equal(t.numpy(), array), "changed before it raised"
        return
    try:
        t[example.dressed()] = dressed_values(values, clothes)
    except IndexError:
        assert example.has_empty_mask(), example
        return
    assert np.array_equal(t.numpy(), want), example


@RANDOM
@given(examples(["float32", "int64"]))
def test_changing_in_place(example: Example) -> None:
    """`t[...] += 1` reads, adds and assigns."""
    array = example.array()
    names = outcome(example.names)
    if isinstance(names, type) or too_deep(example):
        return
    t = example.tensor(array)
    try:
        t[example.dressed()] += 1
    except IndexError:
        assert example.has_empty_mask(), example
        return
    flat = array.reshape(-1).copy()
    flat[names.astype(np.int64)] += 1
    assert np.array_equal(t.numpy(), flat.reshape(array.shape)), example


# ---- beside PyTorch


def both(example: Example, torch: Any) -> tuple[Any, Any, Any, Any]:
    """The same leaf here and there, and the index expressions."""
    array = example.array()
    here = example.tensor(array).requires_grad_()
    there = torch.from_numpy(np.copy(array, order="K")).requires_grad_()
    theirs = example.key(p.for_torch(torch) for p in example.parts)
    return here, there, example.dressed(), theirs


@RANDOM
@given(examples(["float64"]))
def test_gradients_of_reading(example: Example) -> None:
    """The same values and gradients as PyTorch's."""
    torch = pytest.importorskip("torch")
    names = outcome(example.names)
    if isinstance(names, type) or too_deep(example) or example.has_empty_mask():
        return
    here, there, ours, theirs = both(example, torch)
    mine, other = here[ours], there[theirs]
    assert mine.tolist() == other.tolist(), example
    weights = np.random.default_rng(0).integers(1, 9, mine.shape).astype(np.float64)
    (mine * rv.tensor(weights)).sum().backward()
    (other * torch.tensor(weights)).sum().backward()
    if other.numel() or here.grad is not None:
        assert here.grad.tolist() == there.grad.tolist(), example


@RANDOM
@given(examples(["float64"]), st.booleans())
def test_gradients_of_assigning(example: Example, scalar: bool) -> None:
    """Through what was kept and through what was assigned."""
    torch = pytest.importorskip("torch")
    names = outcome(example.names)
    if isinstance(names, type) or too_deep(example) or example.has_empty_mask():
        return
    if len(np.unique(names)) < names.size:
        return
    here, there, ours, theirs = both(example, torch)
    values = np.arange(50.0, 50 + (1 if scalar else names.size))
    values = values.reshape(() if scalar else names.shape)
    v, w = rv.tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
    mine, other = here * 1, there * 1
    mine[ours] = v
    other[theirs] = w
    assert mine.tolist() == other.tolist(), example
    weights = np.random.default_rng(0).integers(1, 9, mine.shape).astype(np.float64)
    (mine * rv.tensor(weights)).sum().backward()
    (other * torch.tensor(weights)).sum().backward()
    assert here.grad.tolist() == there.grad.tolist(), example
    # What was assigned to nothing has a gradient of zeros here, where PyTorch has none.
    want = np.zeros(values.shape) if w.grad is None else w.grad.numpy()
    assert np.array_equal(np.zeros(values.shape) if v.grad is None else v.grad, want), example
