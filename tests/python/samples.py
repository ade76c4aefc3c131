"""How a row of the case table becomes samples, tensors and expectations.

`cases.py` holds the rows; here is what they are written with (`unary`, `binary`, `rows`), the
shapes and layouts that elementwise rows are tried on, and how arrays become tensors. References
see float64 or wider arrays (or integers) and never ranvier.
"""

from __future__ import annotations

import os
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ranvier import _C

FAST = os.environ.get("RANVIER_CHECK_FAST") == "1"
FAST_SAMPLES = 5  # of each op, spread over its list

Array = Any  # np.ndarray; tests do without the type parameters
Reference = Callable[..., Any]

REGISTRY = {entry["name"]: entry for entry in _C.registry()}
DTYPES = {
    "float32": _C.float32,
    "float64": _C.float64,
    "int64": _C.int64,
    "int32": _C.int32,
    "int16": _C.int16,
    "int8": _C.int8,
    "uint8": _C.uint8,
    "bool": _C.bool_,
}


@dataclass(frozen=True)
class Sample:
    """Inputs and attributes of one call."""

    inputs: tuple[Array | None, ...]
    attrs: dict[str, Any]
    layouts: tuple[str, ...]
    fixed: frozenset[int] = frozenset()  # inputs that keep their dtype
    constant: frozenset[int] = frozenset()  # inputs that are not differentiated by

    def __str__(self) -> str:
        shown = [
            "None" if x is None else f"{x.shape}{'' if w == 'packed' else ' ' + w}"
            for x, w in zip(self.inputs, self.layouts, strict=True)
        ]
        return f"{', '.join(shown)} {self.attrs or ''}".strip()

    @property
    def numel(self) -> int:
        """Elements of the largest input."""
        return max((x.size for x in self.inputs if x is not None), default=0)

    def packed(self) -> Sample:
        """The same values without special layouts."""
        return replace(self, layouts=("packed",) * len(self.inputs))


def quiet(f: Reference, *args: Any, **kwargs: Any) -> Any:
    """f(...), where NumPy would warn of NaN, overflow and empty means."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return f(*args, **kwargs)


@dataclass(frozen=True)
class Bad:
    """A call that must raise: shapes or arrays, attributes, error, words of the message."""

    inputs: tuple[Any, ...]
    attrs: dict[str, Any]
    error: type[Exception] | tuple[type[Exception], ...]
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Case:
    """One row. `reference` is None for random fills; see `unary` and `rows` for the rest."""

    name: str
    reference: Reference | None
    make: Callable[[np.random.Generator], list[Sample]]
    tolerance: str
    magnitude: Reference | None = None
    writes: bool = False  # the reference returns the new values of what the op changes
    # "taken", "refused" (a TypeError), "numbers" (bool is), "no bools" or "none": no such sample
    integers: str = "taken"
    special: tuple[tuple[Array, ...], ...] = ()  # inputs with NaN and infinities
    special_attrs: dict[str, Any] = field(default_factory=dict)
    cancels: float = 0.0  # size of the numbers whose difference backward is, as a multiple of g
    bad: tuple[Bad, ...] = ()
    derived: bool = True  # False: its gradient is not its derivative, and says so
    recorded: bool = True  # False: shapes depend on values, and a recording refuses the op

    @property
    def entry(self) -> dict[str, Any]:
        """The op in the registry."""
        return REGISTRY[self.name]

    def input_name(self, i: int) -> str:
        """Of the i-th input; the last one may stand for several, or for groups of them."""
        names, each = self.entry["inputs"], self.entry["each"]
        last = len(names) - 1
        if each and i >= last:
            return str(each[(i - last) % len(each)])
        return str(names[min(i, last)])

    def samples(self, seed: int = 0) -> list[Sample]:
        """The samples; another seed gives other values of the same shapes."""
        rng = np.random.default_rng([zlib.crc32(self.name.encode()), seed])
        made = self.make(rng)
        if FAST and len(made) > FAST_SAMPLES:
            made = [made[round(i * (len(made) - 1) / (FAST_SAMPLES - 1))] for i in range(5)]
        return made


CASES: dict[str, Case] = {}


def add(case: Case) -> None:
    """Puts a row into the table."""
    assert case.name not in CASES, f"two rows for {case.name}"
    CASES[case.name] = case


# ---- tensors from arrays

JUNK = 111  # what lies in the gaps of a strided layout


def place(array: Array, layout: str) -> tuple[Any, Array]:
    """A tensor that shows `array` in a layout, and the array that owns its memory."""
    if layout == "transposed":
        base = np.array(array.T, order="C", copy=True)
        return _C.from_numpy(base).permute(list(range(array.ndim))[::-1]), base
    if layout == "strided" and array.ndim > 0:
        shape = (*array.shape[:-1], 2 * array.shape[-1] + 1)
        base = np.full(shape, JUNK).astype(array.dtype)
        base[..., 1::2] = array
        return _C.ops.slice(_C.from_numpy(base), base.ndim - 1, 1, None, 2), base
    if layout == "expanded":
        base = np.array(array[:1], order="C", copy=True)
        return _C.from_numpy(base).expand(list(array.shape)), base
    base = np.array(array, order="C", copy=True)
    return _C.from_numpy(base), base


def as_dtype(sample: Sample, dtype: str) -> Sample:
    """The sample with its floating inputs in another dtype (rounded, for integers)."""

    def convert(i: int, x: Array | None) -> Array | None:
        if x is None or x.dtype.kind != "f" or i in sample.fixed:
            return x
        if dtype.startswith("float"):
            return x.astype(dtype)
        if dtype == "bool":
            return x > 0
        low = 0 if dtype == "uint8" else -100
        return np.clip(np.round(x), low, 100).astype(dtype)

    return replace(sample, inputs=tuple(convert(i, x) for i, x in enumerate(sample.inputs)))


def tensors(sample: Sample) -> tuple[list[Any], list[Array | None]]:
    """Tensors for a call, and the arrays that own their memory."""
    placed = [
        (None, None) if x is None else place(x, w)
        for x, w in zip(sample.inputs, sample.layouts, strict=True)
    ]
    return [t for t, _ in placed], [base for _, base in placed]


def call(name: str, inputs: Sequence[Any], attrs: dict[str, Any], composite: bool = False) -> Any:
    """Runs an op with everything named."""
    names = REGISTRY[name]["inputs"]
    given = {n: t for n, t in zip(names, inputs, strict=False) if t is not None}
    if REGISTRY[name]["variadic"]:
        given[names[-1]] = list(inputs[len(names) - 1 :])
    return getattr(_C.composites if composite else _C.ops, name)(**given, **attrs)


def expected(case: Case, sample: Sample) -> list[Array]:
    """What the reference says: results, or the new values of changed inputs."""
    assert case.reference is not None
    result = quiet(case.reference, *sample.inputs, **sample.attrs)
    return [np.asarray(r) for r in (result if isinstance(result, (tuple, list)) else [result])]


def widened(sample: Sample) -> Sample:
    """The sample with every float or integer operand as long double."""

    def wide(i: int, x: Array | None) -> Array | None:
        if x is None or (x.dtype.kind in "iub" and i in sample.fixed):
            return x
        return x.astype(np.longdouble)

    return replace(sample, inputs=tuple(wide(i, x) for i, x in enumerate(sample.inputs)))


# ---- elementwise rows

SHAPES = [(1,), (7,), (16,), (17,), (33,), (1000,), (3, 5), (2, 3, 7), (40, 129), (0,), (0, 3), ()]
VIEWS = [
    ((5, 3), "transposed"),
    ((2, 3, 7), "transposed"),
    ((33,), "strided"),
    ((3, 5), "strided"),
    ((4, 7), "expanded"),
]
PAIRS: list[tuple[tuple[int, ...], tuple[int, ...], str, str]] = [
    ((1,), (1,), "packed", "packed"),
    ((17,), (17,), "packed", "packed"),
    ((1000,), (1000,), "packed", "packed"),
    ((2, 3, 7), (2, 3, 7), "packed", "packed"),
    ((3, 5), (5,), "packed", "packed"),
    ((2, 3, 7), (3, 1), "packed", "packed"),
    ((3, 1), (1, 4), "packed", "packed"),
    ((1,), (33,), "packed", "packed"),
    ((), (7,), "packed", "packed"),
    ((5, 3), (), "packed", "packed"),
    ((), (), "packed", "packed"),
    ((0,), (1,), "packed", "packed"),
    ((0, 3), (3,), "packed", "packed"),
    ((5, 3), (5, 3), "transposed", "transposed"),
    ((5, 3), (5, 3), "transposed", "packed"),
    ((33,), (33,), "strided", "packed"),
    ((3, 5), (5,), "packed", "strided"),
    ((4, 7), (4, 7), "packed", "expanded"),
    ((4, 7), (4, 1), "expanded", "transposed"),
]
SPECIAL = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40, -1e-310, 1.0, -3e38, 1e308, 2.5])
WITH_NAN = np.array(
    [
        [1.0, np.nan, 2.0],
        [np.inf, 1.0, -1.0],
        [np.inf, -np.inf, 0.0],
        [-np.inf, -np.inf, -np.inf],
        [3e38, 3e38, -3e38],
    ]
)
MARGIN = 0.05  # of samples from kinks; wider than the steps of the differences


def draw(
    rng: np.random.Generator,
    shape: Sequence[int],
    low: float = -4.0,
    high: float = 4.0,
    away_from: Sequence[float] = (),
    margin: float = MARGIN,
) -> Array:
    """Uniform numbers that keep a distance from kinks."""
    x = rng.uniform(low, high, tuple(shape))
    for kink in away_from:
        x = np.where(np.abs(x - kink) < margin, kink + margin * (1.5 + x - kink), x)
    return x


def laid_out(x: Array, layout: str) -> Array:
    """What an expanded layout can show: the first slice everywhere."""
    return np.broadcast_to(x[:1], x.shape).copy() if layout == "expanded" else x


def unary(
    name: str,
    reference: Reference,
    *,
    low: float = -4.0,
    high: float = 4.0,
    away_from: Sequence[float] = (),
    tolerance: str = "rounded",
    attrs: Sequence[dict[str, Any]] = ({},),
    magnitude: Reference | None = None,
    integers: str = "taken",
    derived: bool = True,
) -> None:
    """A row for an op of one tensor, element by element."""

    def make(rng: np.random.Generator) -> list[Sample]:
        def one(shape: tuple[int, ...], layout: str, with_attrs: dict[str, Any]) -> Sample:
            x = laid_out(draw(rng, shape, low, high, away_from), layout)
            return Sample((x,), with_attrs, (layout,))

        made = [one(shape, "packed", attrs[0]) for shape in SHAPES]
        made += [one(shape, layout, attrs[0]) for shape, layout in VIEWS]
        return made + [one((33,), "packed", others) for others in attrs[1:]]

    special_attrs = attrs[0]
    add(
        Case(
            name,
            reference,
            make,
            tolerance,
            magnitude,
            special=((SPECIAL,),),
            special_attrs=special_attrs,
            integers=integers,
            derived=derived,
        )
    )


def binary(
    name: str,
    reference: Reference,
    *,
    low: float = -4.0,
    high: float = 4.0,
    away_from: Sequence[float] = (),
    margin: float = MARGIN,
    apart: float = 0.0,
    tolerance: str = "rounded",
    magnitude: Reference | None = None,
    ties: bool = False,
    special: bool = True,
    integers: str = "taken",
) -> None:
    """A row for an op of two tensors that broadcast; `apart` keeps x and y from meeting."""

    def make(rng: np.random.Generator) -> list[Sample]:
        made = []
        for a, b, first, second in PAIRS:
            x = laid_out(draw(rng, a, low, high, away_from, margin), first)
            y = laid_out(draw(rng, b, low, high, away_from, margin), second)
            if apart:  # multiples of `apart`, y between those of x
                x = np.round(x / apart) * apart
                y = (np.round(y / apart) + 0.5) * apart
            if ties:
                x, y = np.round(x), np.round(y)
            made.append(Sample((x, y), {}, (first, second)))
        return made

    grid = np.meshgrid(SPECIAL, SPECIAL)
    add(
        Case(
            name,
            reference,
            make,
            tolerance,
            magnitude,
            special=((grid[0].ravel(), grid[1].ravel()),) if special else (),
            integers=integers,
            bad=(
                Bad(((3, 5), (4,)), {}, _C.ShapeError, (f"[{name}]", "(3, 5)", "(4,)")),
                Bad(((2, 1, 3), (2, 2)), {}, _C.ShapeError, (name, "(2, 1, 3)", "(2, 2)")),
            ),
        )
    )


def comparison(name: str, reference: Reference) -> None:
    """A row for a comparison: small whole numbers, so that many are equal."""
    binary(name, reference, tolerance="exact", ties=True)


# ---- rows with samples of their own

Maker = Callable[[np.random.Generator], Array]
Shape = tuple[int, ...]


def indices(shape: int | Shape, below: int, least: int = 0, dtype: str = "int64") -> Maker:
    """Random positions."""
    return lambda rng: rng.integers(least, below, shape).astype(dtype)


def spread(shape: Shape, gap: float = 0.25) -> Maker:
    """Numbers in random order that keep a distance, so that order survives differences."""

    def make(rng: np.random.Generator) -> Array:
        n = int(np.prod(shape))
        return (rng.permutation(n) * gap - n * gap / 2).reshape(shape)

    return make


def rows(
    name: str,
    reference: Reference | None,
    *entries: tuple[Any, ...],
    low: float = -4.0,
    high: float = 4.0,
    tolerance: str = "exact",
    fixed: Sequence[int] = (),
    constant: Sequence[int] = (),
    **options: Any,
) -> None:
    """A row whose samples are listed: (inputs, attrs) or (inputs, attrs, layouts).

    An input is a shape (uniform numbers), None (not given), or a function of the generator.
    """

    def make(rng: np.random.Generator) -> list[Sample]:
        made = []
        for inputs, attrs, *rest in entries:
            layouts = rest[0] if rest else ("packed",) * len(inputs)
            arrays = tuple(
                None
                if x is None
                else x(rng)
                if callable(x)
                else laid_out(draw(rng, x, low, high), w)
                for x, w in zip(inputs, layouts, strict=True)
            )
            sample = Sample(arrays, attrs, tuple(layouts), frozenset(fixed), frozenset(constant))
            made.append(sample)
        return made

    add(Case(name, reference, make, tolerance, **options))


def one_input(
    entries: Sequence[tuple[Shape, dict[str, Any]]],
    views: Sequence[str] = ("transposed", "strided"),
) -> Iterator[tuple[Any, ...]]:
    """Entries for an op of one tensor: each packed, those with two axes or more as views too."""
    for shape, attrs in entries:
        yield (shape,), attrs
        if len(shape) > 1:
            for layout in views:
                yield (shape,), attrs, (layout,)


# ---- forms in place: rows made of the rows of what they do


def in_place(case: Case, name: str) -> Case:
    """The row of `name`, which overwrites its first input with what `case` computes."""

    def make(rng: np.random.Generator) -> list[Sample]:
        return [
            s
            for s in case.make(rng)
            if s.layouts[0] != "expanded"
            and s.inputs[0] is not None
            and s.inputs[0].shape == np.broadcast_shapes(*[np.shape(x) for x in s.inputs])
        ]

    inputs = [_C.full((1,), 1, _C.int64)] * len(case.entry["inputs"])
    floating = call(case.name, inputs, {}).dtype.is_floating_point
    named = (f"[{name}]",) if case.entry["kernel"] else ()
    bad = [
        Bad((a, b), {}, _C.ShapeError, (*named, str(a), str(b)))
        for a, b in (((3, 5), (4,)), ((1,), (4,)), ((3,), (1, 3)))
    ]
    return Case(
        name,
        case.reference,
        make,
        case.tolerance,
        case.magnitude,
        writes=True,
        integers="refused" if floating and case.integers == "taken" else case.integers,
        special=case.special,
        special_attrs=case.special_attrs,
        bad=tuple(bad) if len(inputs) == 2 else (),
    )


def in_place_of(name: str, keep: Callable[[Sample], bool] = lambda sample: True) -> None:
    """The row of `name_`: the samples whose result has the shape of what is changed."""
    case = CASES[name]

    def make(rng: np.random.Generator) -> list[Sample]:
        return [s for s in case.make(rng) if s.layouts[0] != "expanded" and keep(s)]

    bad = [
        Bad(
            b.inputs, b.attrs, b.error, tuple(w.replace(f"[{name}]", f"[{name}_]") for w in b.words)
        )
        for b in case.bad
    ]

    add(
        Case(
            f"{name}_",
            case.reference,
            make,
            case.tolerance,
            case.magnitude,
            writes=True,
            bad=tuple(bad),
            cancels=case.cancels,
        )
    )
