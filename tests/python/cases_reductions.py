"""Rows of the case table for reductions: sums, products, extremes, moments, norms, medians.

References are NumPy's functions with our words for axis and keepdims; where NumPy has none, a few
lines of NumPy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from samples import WITH_NAN, Array, Bad, Maker, Reference, Shape, one_input, rows

from ranvier import _C

Entry = tuple[Shape, dict[str, Any]]
INF = float("inf")
VIEWED = ("transposed", "strided", "expanded")

WHOLE: list[Entry] = [((1,), {}), ((17,), {}), ((1000,), {}), ((), {}), ((2, 3, 7), {})]
ALONG: list[Entry] = [
    ((3, 5), {"dim": 0}), ((3, 5), {"dim": -1, "keepdim": True}), ((33, 17), {"dim": 1}),
    ((2, 3, 7), {"dim": 1}), ((40, 16), {"dim": 0}), ((2, 3, 70), {"dim": 1}), ((), {"dim": 0}),
]  # fmt: skip
EMPTY: list[Entry] = [((0,), {}), ((0, 3), {"dim": 0}), ((3, 0), {"dim": -1})]
NOT_EMPTY: list[Entry] = [((0, 3), {"dim": 1}), ((3, 0), {"dim": 0, "keepdim": True})]
SEVERAL: list[Entry] = [
    ((2, 3, 7), {"dim": [0, 2]}), ((2, 3, 7), {"dim": [1, -1], "keepdim": True}),
    ((2, 3, 4, 5), {"dim": [0, 1]}), ((2, 3, 4, 5), {"dim": [1, 3]}), ((3, 5), {"dim": []}),
]  # fmt: skip


def over(f: Reference) -> Reference:
    """f(x, axis, keepdims) called with our words, after the conversion that `dtype` asks for."""

    def reference(
        x: Array, dim: Any = None, keepdim: bool = False, dtype: Any = None, **more: Any
    ) -> Array:
        if dtype is not None:
            x = x.astype(dtype.name)
            x = x.astype(np.longdouble) if dtype.is_floating_point else x
        axis = (tuple(dim) or None) if isinstance(dim, list) else dim if np.ndim(x) else None
        return f(x, axis=axis, keepdims=keepdim, **more)

    return reference


def absolute(f: Reference) -> Reference:
    """The magnitude of what adds up with both signs: f of absolute values."""
    return lambda ref, x, **attrs: over(f)(np.abs(x), **attrs)


def bad(name: str, *, one: bool = False, attrs: dict[str, Any] | None = None) -> tuple[Bad, ...]:
    """Axes that are not there, twice the same axis."""
    more = attrs or {}
    calls = [
        Bad(((2, 3),), {"dim": 2, **more}, IndexError, (f"[{name}]",)),
        Bad(((2, 3),), {"dim": -3, **more}, IndexError, (f"[{name}]",)),
        Bad(((),), {"dim": 1, **more}, IndexError, (f"[{name}]",)),
    ]
    if not one:
        calls.append(Bad(((2, 3),), {"dim": [0, -2], **more}, ValueError, (f"[{name}]",)))
    return tuple(calls)


def spaced(shape: Shape, gap: float = 0.25) -> Maker:
    """Numbers that keep a distance from each other: differences see one order."""
    return lambda rng: (rng.permutation(int(np.prod(shape))) * gap - 2 + gap / 3).reshape(shape)


def with_gaps(
    entries: Sequence[Entry], maker: Callable[[Shape], Maker] = spaced
) -> list[tuple[Any, ...]]:
    """Entries whose numbers a maker draws, with two axes or more as views too."""
    made: list[tuple[Any, ...]] = []
    for shape, attrs in entries:
        made.append(((maker(shape),), attrs))
        if len(shape) > 1:
            made += [((maker(shape),), attrs, (layout,)) for layout in ("transposed", "strided")]
    return made


# ---- sums

DTYPES: list[Entry] = [((3, 5), {"dim": 0, "dtype": d}) for d in (_C.int64, _C.int32, _C.float64)]
SUMS = one_input([*WHOLE, *ALONG, *EMPTY, *NOT_EMPTY, *SEVERAL], VIEWED)
rows(
    "sum",
    over(np.sum),
    *SUMS,
    *one_input(DTYPES, ()),
    tolerance="sum",
    magnitude=absolute(np.sum),
    special=((WITH_NAN,),),
    special_attrs={"dim": 1},
    bad=bad("sum"),
)
rows(
    "nansum",
    over(np.nansum),
    *one_input([*WHOLE, *ALONG, *EMPTY, *SEVERAL], VIEWED),
    *one_input(DTYPES, ()),
    tolerance="sum",
    magnitude=absolute(np.nansum),
    special=((WITH_NAN,),),
    special_attrs={"dim": 1},
    bad=bad("nansum"),
)
rows(
    "mean",
    over(np.mean),
    *one_input([*WHOLE, *ALONG, *EMPTY, *SEVERAL], VIEWED),
    tolerance="mean",
    magnitude=absolute(np.mean),
    special=((WITH_NAN,),),
    special_attrs={"dim": 1},
    integers="refused",
    bad=bad("mean"),
)
rows(
    "nanmean",
    over(np.nanmean),
    *one_input([*WHOLE, *ALONG, *EMPTY, *SEVERAL], VIEWED),
    tolerance="mean",
    magnitude=absolute(np.nanmean),
    special=((WITH_NAN,),),
    special_attrs={"dim": 1},
    integers="refused",
    bad=bad("nanmean"),
)
rows(
    "count_nonzero",
    over(np.count_nonzero),
    *one_input(
        [
            (s, {k: v for k, v in a.items() if k == "dim"})
            for s, a in [*WHOLE, *ALONG, *EMPTY, *SEVERAL]
        ]
    ),
    special=((WITH_NAN,),),
    special_attrs={"dim": 1},
    bad=bad("count_nonzero"),
)
rows(
    "all_finite",
    lambda x: np.all(np.isfinite(x)),
    *one_input([((1,), {}), ((17,), {}), ((3, 5), {}), ((0,), {}), ((), {}), ((1000,), {})]),
    special=tuple(
        (np.where(np.arange(40) == i, bad, 1.0),)
        for i in (0, 15, 16, 33, 39)
        for bad in (np.nan, np.inf, -np.inf)
    ),
)
rows(
    "tensors_finite",
    lambda *tensors: np.array(all(np.all(np.isfinite(x)) for x in tensors)),
    ((), {}),
    (((17,), (3, 5), (0,), ()), {}, ("packed", "transposed", "packed", "packed")),
    (((40,), (5, 3)), {}, ("strided", "transposed")),
    special=(
        (np.ones(7), np.array([1.0, np.nan]), np.ones(3)),
        (np.ones(7), np.ones(3), np.array(np.inf)),
        (np.array(-np.inf), np.ones(3)),
    ),
)


# ---- products


def zeros_at(*places: int) -> Maker:
    """Seven numbers, some of them 0."""
    return lambda rng: np.where(np.isin(np.arange(7), places), 0.0, rng.uniform(0.5, 2, 7))


rows(
    "prod",
    over(np.prod),
    *one_input(
        [
            ((1,), {}),
            ((17,), {}),
            ((100,), {}),
            ((), {}),
            ((2, 3, 7), {}),
            *ALONG,
            *EMPTY,
            *SEVERAL,
        ],
        VIEWED,
    ),
    *one_input(DTYPES, ()),
    *[((zeros_at(*places),), {}) for places in ((0,), (6,), (2, 4), ())],
    ((lambda rng: rng.integers(-4, 5, (6, 3)) + 0.0,), {"dim": 0}),
    low=0.6,
    high=1.4,
    tolerance="prod",
    special=((WITH_NAN,),),
    special_attrs={"dim": 1},
    bad=bad("prod"),
)


# ---- extremes

CHOSEN = [*WHOLE, *ALONG, *NOT_EMPTY]
NOTHING = (
    (((0,),), {}, "(0,)"), (((2, 0),), {"dim": 1}, "(2, 0)"), (((0, 3),), {"dim": -2}, "(0, 3)"),
)  # fmt: skip


def nothing(name: str, whole: type[Exception] = _C.ShapeError) -> tuple[Bad, ...]:
    """An extreme of no elements: an IndexError where the axis was named."""
    return tuple(
        Bad(inputs, attrs, IndexError if attrs else whole, (f"[{name}]", shape))
        for inputs, attrs, shape in NOTHING
    )


def chosen(f: Reference, place: Reference) -> Reference:
    """Value of all, or values and places along an axis."""

    def reference(x: Array, dim: int | None = None, keepdim: bool = False) -> Any:
        if dim is None:
            return over(f)(x, keepdim=keepdim)
        return over(f)(x, dim, keepdim), over(place)(x, dim, keepdim)

    return reference


for word, extreme, place in (("max", np.max, np.argmax), ("min", np.min, np.argmin)):
    rows(
        f"a{word}",
        over(extreme),
        *with_gaps([*CHOSEN, *SEVERAL]),
        special=((WITH_NAN,),),
        special_attrs={"dim": 1},
        bad=(*bad(f"a{word}"), *nothing(f"a{word}")),
    )
    rows(
        word,
        chosen(extreme, place),
        *with_gaps(CHOSEN),
        special=((WITH_NAN,),),
        special_attrs={"dim": 1},
        bad=(*bad(word, one=True), *nothing(word)),
    )
    rows(
        f"arg{word}",
        over(place),
        *one_input(CHOSEN),
        (((0, 3),), {"dim": 1}),
        ((lambda rng: rng.integers(0, 3, (7, 40)) + 0.0,), {"dim": 1}),
        ((lambda rng: rng.integers(0, 3, (40, 7)) + 0.0,), {"dim": 0}),
        special=((WITH_NAN,),),
        special_attrs={"dim": 1},
        bad=(*bad(f"arg{word}", one=True), *nothing(f"arg{word}", IndexError)),
    )
rows(
    "aminmax",
    lambda x, **attrs: [over(np.min)(x, **attrs), over(np.max)(x, **attrs)],
    *with_gaps([e for e in CHOSEN if e[0] not in ((1,), ())]),
    special=((WITH_NAN,),),
    special_attrs={"dim": 1},
    bad=(*bad("aminmax"), *nothing("aminmax")),
)


def truth(f: Reference) -> Reference:
    """An empty list of axes reduces none of them."""

    def reference(x: Array, dim: Any = None, keepdim: bool = False) -> Array:
        axis = tuple(dim) if isinstance(dim, list) else dim if np.ndim(x) else None
        return f(x, axis=axis, keepdims=keepdim)

    return reference


for word, function in (("any", np.any), ("all", np.all)):
    rows(
        word,
        truth(function),
        *one_input([*WHOLE, *ALONG, *EMPTY, *SEVERAL]),
        ((lambda rng: (rng.uniform(0, 1, (9, 40)) < 0.05) + 0.0,), {"dim": 1}),
        ((lambda rng: (rng.uniform(0, 1, (40, 9)) < 0.95) + 0.0,), {"dim": 0}),
        special=((WITH_NAN,),),
        special_attrs={"dim": 1},
        bad=bad(word),
    )


# ---- moments


def moment(f: Reference) -> Reference:
    """np.var and np.std with our words."""
    return lambda x, correction=1.0, **attrs: over(f)(x, ddof=correction, **attrs)


SPREAD: list[Entry] = [
    ((17,), {}), ((1000,), {}), ((2, 3, 7), {}), *ALONG[:-1], *SEVERAL, *NOT_EMPTY,
    ((1,), {"correction": 0}), ((), {"correction": 0}), ((9,), {"correction": 0.5}),
    ((3, 5), {"dim": 0, "correction": 0}), ((0,), {}), ((0, 3), {"dim": 0}),
    ((4, 1), {"dim": 1, "correction": 0}),
]  # fmt: skip
for word, f in (("var", np.var), ("std", np.std)):
    with_mean = lambda x, f=f, correction=1.0, **attrs: [  # noqa: E731
        moment(f)(x, correction, **attrs),
        over(np.mean)(x, **attrs),
    ]
    rows(
        word,
        moment(f),
        *with_gaps(SPREAD),
        tolerance="var",
        integers="refused",
        special=((WITH_NAN,),),
        special_attrs={"dim": 1},
        bad=bad(word),
    )
    rows(
        f"{word}_mean",
        with_mean,
        *with_gaps(SPREAD),
        tolerance="var",
        magnitude=lambda ref, x, **attrs: np.abs(ref) + 4,
        integers="refused",
        special=((WITH_NAN,),),
        special_attrs={"dim": 1},
        bad=bad(f"{word}_mean"),
    )


# ---- norms


def signed(shape: Shape) -> Maker:
    """Numbers of both signs, away from 0 and from each other."""

    def make(rng: np.random.Generator) -> Array:
        n = int(np.prod(shape))
        size = 0.4 + 0.25 * rng.permutation(n)
        return (np.where(rng.uniform(size=n) < 0.5, size, -size)).reshape(shape)

    return make


def norm(x: Array, p: float = 2.0, **attrs: Any) -> Array:
    """(sum |x|^p)^(1/p) and its limits."""

    def reduce(a: Array, **where: Any) -> Array:
        if np.isinf(p):
            return np.max(a, **where) if p > 0 else np.min(a, **where)
        return np.sum(a != 0, **where) + 0.0 if p == 0 else np.sum(a**p, **where) ** (1 / p)

    return over(reduce)(np.abs(x), **attrs)


NORMED = [*WHOLE, *ALONG, *SEVERAL, *NOT_EMPTY]
rows(
    "norm",
    norm,
    *with_gaps([*NORMED, *EMPTY]),
    *with_gaps(
        [
            (s, {"p": p, **a})
            for p in (1, 3, 0.5, -1, INF, -INF, 0, 1.5)
            for s, a in (((17,), {}), ((3, 5), {"dim": 0}), ((2, 3, 7), {"dim": [0, 2]}))
        ],
        signed,
    ),
    tolerance="norm",
    integers="refused",
    special=((WITH_NAN / 2,),),
    special_attrs={"dim": 1},
    bad=(
        *bad("norm"),
        Bad(((0,),), {"p": INF}, _C.ShapeError, ("[norm]", "(0,)")),
        Bad(((2, 0),), {"p": -1.0, "dim": 1}, IndexError, ("[norm]", "(2, 0)")),
    ),
)
rows(
    "dist",
    lambda x, y, p=2.0: norm(x - y, p),
    *[
        ((a, b), {"p": p})
        for p in (2, 1, 3)
        for a, b in (((17,), (17,)), ((3, 5), (5,)), ((), (7,)), ((0, 3), (3,)))
    ],
    (((5, 3), (5, 3)), {}, ("transposed", "strided")),
    tolerance="norm",
    integers="none",
    magnitude=lambda ref, x, y, p=2.0: norm(np.abs(x) + np.abs(y), p),
    bad=(Bad(((3,), (4,)), {}, _C.ShapeError, ("(3,)", "(4,)")),),
)


def logsumexp(x: Array, dim: Any, keepdim: bool = False) -> Array:
    """log(sum(exp(x))) without overflow."""

    def reduce(a: Array, axis: Any, keepdims: bool) -> Array:
        most = np.max(a, axis=axis, keepdims=True, initial=-INF)
        most = np.where(np.isfinite(most), most, 0)
        total = np.log(np.sum(np.exp(a - most), axis=axis, keepdims=True)) + most
        return total if keepdims else np.squeeze(total, axis)

    x = np.asarray(x)
    return over(reduce)(x if x.dtype.kind == "f" else x.astype(np.longdouble), dim, keepdim)


rows(
    "logsumexp",
    logsumexp,
    *one_input([*ALONG, *SEVERAL, *NOT_EMPTY, *EMPTY[1:], ((1000,), {"dim": 0})], VIEWED),
    tolerance="log_softmax",
    magnitude=lambda ref, x, **attrs: np.abs(ref) + 1,
    special=((WITH_NAN,), (WITH_NAN * 1e37,)),
    special_attrs={"dim": 1},
    bad=bad("logsumexp"),
)
