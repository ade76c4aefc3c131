"""Rows of the case table for layers that drop out and normalise.

References are the published rules in long double; dropout's draws Philox' numbers itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from samples import Bad, Maker, rows

from ranvier import _C

Array = Any


# ---- norms of rows


def normalized(x: Array, axes: tuple[int, ...], eps: float, center: bool = True) -> Array:
    """(x - mean) / sqrt(variance + eps) over the axes, or x over its root mean square."""
    d = x - np.mean(x, axis=axes, keepdims=True) if center else x
    return d / np.sqrt(np.mean(np.square(d), axis=axes, keepdims=True) + np.longdouble(eps))


def last_axes(x: Array, shape: Any) -> tuple[int, ...]:
    """The last axes, as many as the shape has."""
    return tuple(range(x.ndim - len(np.atleast_1d(shape)), x.ndim))


def layer_norm(
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    *,
    normalized_shape: Any,
    eps: float = 1e-5,
) -> Array:
    """Ba, Kiros and Hinton (2016), equations 3 and 4."""
    z = normalized(x, last_axes(x, normalized_shape), eps)
    z = z if weight is None else z * weight
    return z if bias is None else z + bias


def rms_norm(
    x: Array, weight: Array | None = None, *, normalized_shape: Any, eps: float | None = None
) -> Array:
    """Zhang and Sennrich (2019), equation 4."""
    eps = 0.0 if eps is None else eps  # the dtype's, which is below what the samples show
    z = normalized(x, last_axes(x, normalized_shape), eps, center=False)
    return z if weight is None else z * weight


def sizes(ref: Array, x: Array, *affine: Array | None, axes: tuple[int, ...]) -> Array:
    """What roundings of x - mean, of the product and of the sum are measured by."""
    spread = np.sqrt(
        np.mean(np.square(x - np.mean(x, axis=axes, keepdims=True)), axis=axes, keepdims=True)
        + 1e-5
    )
    far = np.max(np.abs(x), axis=axes, keepdims=True, initial=0) / spread
    most = [float(np.max(np.abs(a), initial=0)) for a in affine if a is not None]
    return (np.abs(ref) + far) * max([1.0, *most[:1]]) + sum(most[1:])


def row_sizes(
    ref: Array, x: Array, *affine: Array | None, normalized_shape: Any, eps: float | None = None
) -> Array:
    """`sizes` over rows."""
    return sizes(ref, x, *affine, axes=last_axes(x, normalized_shape))


SHAPES = [(3, 5), (1, 16), (4, 17), (2, 40), (2, 3, 7), (7,), (0, 5), (5, 300)]
VIEWS = ("transposed", "strided")
BAD_ROWS = [
    Bad(((3, 5),), {"normalized_shape": [4]}, _C.ShapeError, ("(4,)", "(3, 5)")),
    Bad(((5,),), {"normalized_shape": [3, 5]}, _C.ShapeError, ("(3, 5)", "(5,)")),
    Bad(((3, 5), (4,)), {"normalized_shape": [5]}, _C.ShapeError, ("weight", "(4,)")),
    Bad(((),), {"normalized_shape": []}, _C.ShapeError, ("()",)),
    Bad(
        (np.zeros((2, 3), np.float32), np.zeros(3)),
        {"normalized_shape": [3]},
        TypeError,
        ("float32", "float64", ".double()"),
    ),
]


def along(shape: tuple[int, ...], *affine: bool) -> tuple[Any, ...]:
    """Inputs whose last axis is normalised, with weight and bias where they are wanted."""
    return (shape, *(shape[-1:] if given else None for given in affine))


rows(
    "layer_norm",
    layer_norm,
    *[(along(s, True, True), {"normalized_shape": list(s[-1:])}) for s in SHAPES],
    (along((4, 9)), {"normalized_shape": [9]}),
    (along((4, 9), True), {"normalized_shape": [9], "eps": 0.5}),
    (along((4, 9), False, True), {"normalized_shape": [9]}),
    (((2, 3, 5), (3, 5), (3, 5)), {"normalized_shape": [3, 5]}),
    (((3, 1), (1,), (1,)), {"normalized_shape": [1]}),
    (((3, 0), (0,), (0,)), {"normalized_shape": [0]}),
    *[
        (along((5, 9), True, True), {"normalized_shape": [9]}, (v, "packed", "strided"))
        for v in VIEWS
    ],
    tolerance="row_norm",
    magnitude=row_sizes,
    integers="refused",
    cancels=4.0,
    bad=tuple(BAD_ROWS),
)
rows(
    "rms_norm",
    rms_norm,
    *[(along(s, True), {"normalized_shape": list(s[-1:]), "eps": 1e-6}) for s in SHAPES],
    (along((4, 9)), {"normalized_shape": [9]}),
    (((2, 3, 5), (3, 5)), {"normalized_shape": [3, 5]}),
    (((3, 0), (0,)), {"normalized_shape": [0]}),
    *[(along((5, 9), True), {"normalized_shape": [9], "eps": 0.25}, (v, "packed")) for v in VIEWS],
    tolerance="row_norm",
    magnitude=row_sizes,
    integers="refused",
    cancels=4.0,
    bad=tuple(BAD_ROWS),
)


def by_channel(a: Array, x: Array) -> Array:
    """Numbers of channels, axis 1, so that they broadcast."""
    return a.reshape(-1, *[1] * (x.ndim - 2))


def group_norm(
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    *,
    num_groups: int,
    eps: float = 1e-5,
) -> Array:
    """Wu and He (2018)."""
    if x.size == 0:
        return x
    z = normalized(x.reshape(x.shape[0], num_groups, -1), (2,), eps).reshape(x.shape)
    z = z if weight is None else z * by_channel(weight, x)
    return z if bias is None else z + by_channel(bias, x)


def group_sizes(
    ref: Array, x: Array, *affine: Array | None, num_groups: int, eps: float = 1e-5
) -> Array:
    """`sizes` over groups."""
    if x.size == 0:
        return ref
    split = (x.shape[0], num_groups, -1)
    return sizes(ref.reshape(split), x.reshape(split), *affine, axes=(2,)).reshape(x.shape)


rows(
    "group_norm",
    group_norm,
    (((3, 8), (8,), (8,)), {"num_groups": 2}),
    (((3, 6, 5), (6,), (6,)), {"num_groups": 3}),
    (((2, 6, 2, 3),), {"num_groups": 1}),
    (((0, 6), (6,), (6,)), {"num_groups": 2}),
    (((3, 6, 5), (6,), (6,)), {"num_groups": 6, "eps": 0.5}, ("transposed", "strided", "packed")),
    tolerance="row_norm",
    integers="refused",
    cancels=4.0,
    magnitude=group_sizes,
    bad=(
        Bad(((3, 8),), {"num_groups": 3}, ValueError, ("num_groups", "8", "3")),
        Bad(((3, 8),), {"num_groups": 0}, ValueError, ("num_groups",)),
        Bad(((3, 8), (4,)), {"num_groups": 2}, _C.ShapeError, ("weight", "(4,)")),
        Bad(((3,),), {"num_groups": 1}, _C.ShapeError, ("(3,)",)),
    ),
)


# ---- batch norm


def batch_axes(x: Array) -> tuple[int, ...]:
    """All axes but that of the channels."""
    return (0, *range(2, x.ndim))


def batch_norm(
    x: Array,
    mean: Array | None = None,
    var: Array | None = None,
    weight: Array | None = None,
    bias: Array | None = None,
    tracked: Array | None = None,
    *,
    momentum: float | None = 0.1,
    eps: float = 1e-5,
    correction: float = 1.0,
) -> list[Array]:
    """Ioffe and Szegedy (2015), algorithm 1, and what becomes of the running statistics."""
    axes = batch_axes(x)
    z = normalized(x, axes, eps)
    z = z if weight is None else z * by_channel(weight, x)
    z = z if bias is None else z + by_channel(bias, x)
    if tracked is not None:
        tracked = tracked + 1
    rate = 1 / np.longdouble(tracked.item()) if momentum is None else np.longdouble(momentum)
    if x.size and mean is not None:
        mean = (1 - rate) * mean + rate * np.mean(x, axis=axes)
        var = (1 - rate) * var + rate * np.var(x, axis=axes, ddof=correction)
    return [z, *(a for a in (mean, var, tracked) if a is not None)]


def variances(n: int) -> Maker:
    """Numbers above 0."""
    return lambda rng: rng.uniform(0.25, 2.0, n)


def counted(n: int) -> Maker:
    """How many batches were seen."""
    return lambda rng: np.array(n)


def batch(shape: tuple[int, ...], count: int = 0, affine: bool = True) -> tuple[Any, ...]:
    """All inputs of a batch."""
    c = shape[1]
    return (
        shape,
        (c,),
        variances(c),
        *((c,) if affine else None for _ in range(2)),
        counted(count),
    )


def batch_sizes(
    ref: Array,
    x: Array,
    mean: Array | None = None,
    var: Array | None = None,
    weight: Array | None = None,
    bias: Array | None = None,
    tracked: Array | None = None,
    **attrs: Any,
) -> Array:
    """Of results like `sizes`; running statistics by the largest squares that are added."""
    if ref.shape != x.shape:
        return np.full(ref.shape, 1 + np.max(np.square(x), initial=0))
    axes = batch_axes(x)
    return np.broadcast_to(
        sizes(
            ref, x, *[None if a is None else by_channel(a, x) for a in (weight, bias)], axes=axes
        ),
        ref.shape,
    )


rows(
    "batch_norm",
    batch_norm,
    *[(batch(s), {}) for s in ((5, 3), (7, 16), (40, 17), (300, 5), (0, 3), (5, 0), (4, 3, 7))],
    (batch((5, 3), 0), {"momentum": None}),
    (batch((5, 3), 3), {"momentum": None, "eps": 0.5}),
    (batch((6, 3), affine=False), {"momentum": 1.0}),
    (batch((5, 3)), {"correction": 0.0}),
    (batch((1, 3)), {"correction": 0.0}),
    (((6, 3),), {}),
    (((6, 3, 2), None, None, (3,), None), {}),
    *[
        ((s, (4,), variances(4), (4,), (4,)), {}, (v, "strided", "packed", "strided", "packed"))
        for s in ((5, 4), (5, 4, 3))
        for v in VIEWS
    ],
    fixed=(5,),
    constant=(1, 2),
    tolerance="row_norm",
    magnitude=batch_sizes,
    integers="refused",
    cancels=4.0,
    bad=(
        Bad(((1, 3),), {}, ValueError, ("more than 1 value", "(1, 3)", "eval()")),
        Bad(((4, 3),), {"correction": 2.0}, ValueError, ("correction", "2")),
        Bad(((4,),), {}, _C.ShapeError, ("(4,)",)),
        Bad(((4, 3), (4,)), {}, _C.ShapeError, ("running_mean", "(3,)", "(4,)")),
        Bad(((4, 3), (3,), (3,), (2,)), {}, _C.ShapeError, ("weight", "(2,)")),
        Bad(
            (np.zeros((4, 3)), np.zeros(3), np.ones(3), np.ones(3, np.float32)),
            {},
            TypeError,
            ("float64", "float32", ".double()"),
        ),
        Bad(((4, 3), np.zeros(3, np.int64)), {}, TypeError, ("running_mean", "int64")),
        Bad(((4, 3), (3,), (3,), (3,), (3,), (2,)), {}, _C.ShapeError, ("num_batches_tracked",)),
    ),
)


def batch_norm_by(
    x: Array,
    mean: Array,
    var: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    *,
    eps: float = 1e-5,
) -> Array:
    """Ioffe and Szegedy (2015), algorithm 2, step 11."""
    z = (x - by_channel(mean, x)) / np.sqrt(by_channel(var, x) + np.longdouble(eps))
    z = z if weight is None else z * by_channel(weight, x)
    return z if bias is None else z + by_channel(bias, x)


def given(shape: tuple[int, ...], affine: bool = True) -> tuple[Any, ...]:
    """All inputs of a prediction."""
    c = shape[1]
    return (shape, (c,), variances(c), *((c,) if affine else None for _ in range(2)))


rows(
    "batch_norm_by",
    batch_norm_by,
    *[(given(s), {}) for s in ((1, 3), (5, 3), (40, 17), (0, 3), (5, 0), (4, 3, 7))],
    (given((5, 3), affine=False), {"eps": 0.5}),
    *[
        (given(s), {}, (v, "strided", "packed", "strided", "packed"))
        for s in ((5, 4), (5, 4, 3))
        for v in VIEWS
    ],
    tolerance="row_norm",
    integers="refused",
    magnitude=lambda ref, x, mean, var, weight=None, bias=None, eps=1e-5: np.abs(ref) + 8 * 2 * 4,
    bad=(
        Bad(((4,), (4,), (4,)), {}, _C.ShapeError, ("(4,)",)),
        Bad(((4, 3), (4,), (3,)), {}, _C.ShapeError, ("running_mean", "(3,)", "(4,)")),
    ),
)


# ---- dropout: Philox4x32-10 (Salmon et al., 2011), written out for arrays


def philox(key: int, counters: Array) -> Array:
    """Four 32-bit words for each counter, as uint64."""
    low = np.uint64(0xFFFFFFFF)
    counters = counters.astype(np.uint64)
    c = [
        counters & low,
        counters >> np.uint64(32),
        np.zeros_like(counters),
        np.zeros_like(counters),
    ]
    k0, k1 = key & 0xFFFFFFFF, key >> 32
    for _ in range(10):
        p0, p1 = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        c = [
            (p1 >> np.uint64(32)) ^ c[1] ^ np.uint64(k0),
            p1 & low,
            (p0 >> np.uint64(32)) ^ c[3] ^ np.uint64(k1),
            p0 & low,
        ]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack(c, axis=-1)


def keeps(state: Array, shape: tuple[int, ...], p: float) -> tuple[Array, Array]:
    """Which elements stay, and the state afterwards; every row begins with a counter of its own."""
    n = int(np.prod(shape))
    row_count = shape[0] if len(shape) > 1 else 1
    each = -(-(n // row_count if row_count else 0) // 4)
    words = philox(int(state[0]), int(state[1]) + np.arange(row_count * each))
    u = (words >> np.uint64(8)).astype(np.float64) / 2**24
    u = u.reshape(row_count, -1)[:, : n // row_count] if n else u[:0]
    moved = state + np.array([0, row_count * each])
    return (u >= np.float32(p)).reshape(shape), moved


def dropout(state: Array, x: Array, p: float = 0.5) -> list[Array]:
    """Srivastava et al. (2014), with what is kept scaled."""
    keep, moved = keeps(state, x.shape, p)
    scale = 1 / (1 - np.longdouble(p)) if p < 1 else 0
    return [x * keep * scale, moved]


def alpha_dropout(state: Array, x: Array, p: float = 0.5) -> list[Array]:
    """Klambauer et al. (2017), equation 18: -lambda alpha takes the place of what is dropped."""
    keep, moved = keeps(state, x.shape, p)
    low = -np.longdouble(1.7580993408473766)
    q = 1 - np.longdouble(p)
    if p == 1:
        return [x * 0, moved]
    a = 1 / np.sqrt(q + low * low * q * (1 - q))
    b = -a * (1 - q) * low
    return [a * np.where(keep, x, low) + b, moved]


def state(rng: np.random.Generator) -> Array:
    """A generator's seed and position."""
    return rng.integers(0, 2**40, 2)


DROPPED = [(7,), (16,), (33,), (3, 5), (40, 129), (2, 3, 7), (0, 3), (3, 0), (0,), (), (600, 9)]
for _name, _rule in (("dropout", dropout), ("alpha_dropout", alpha_dropout)):
    rows(
        _name,
        _rule,
        *[((state, s), {}) for s in DROPPED],
        *[((state, (9, 5)), {"p": p}) for p in (0.0, 0.2, 0.9, 1.0)],
        *[((state, (6, 5)), {"p": 0.3}, ("packed", v)) for v in (*VIEWS, "expanded")],
        fixed=(0,),
        tolerance="dropout",
        integers="none",
        magnitude=lambda ref, state, x, p=0.5: np.abs(ref) + 8,
        bad=(
            Bad((np.zeros(2, np.int64), (3,)), {"p": 1.5}, ValueError, ("p", "1.5")),
            Bad((np.zeros(2, np.int64), (3,)), {"p": float("nan")}, ValueError, ("p", "nan")),
            Bad((np.zeros(3, np.int64), (3,)), {}, _C.ShapeError, ("state", "(3,)")),
            Bad(
                (np.zeros(2, np.int64), np.zeros(3, np.int64)), {}, TypeError, ("int64", ".float()")
            ),
        ),
    )


def row_state(run: Array, call: int, row_size: int) -> Array:
    """Seed and position of one call."""

    def both(words: Array) -> int:
        return int(words[0]) << 32 | int(words[1])

    step = philox(int(run[0]), run[1:2])[0]
    seed = both(philox(both(step), np.array([call]))[0])
    return np.array([seed if seed < 2**63 else seed - 2**64, int(run[2]) * -(-row_size // 4)])


rows(
    "row_state",
    row_state,
    *[
        ((lambda rng: rng.integers(0, 2**40, 3),), {"call": c, "row_size": n})
        for c, n in ((0, 10), (3, 128), (1, 0))
    ],
    fixed=(0,),
    integers="none",
    bad=(
        Bad((np.zeros(2, np.int64),), {"call": 0, "row_size": 3}, _C.ShapeError, ("(2,)",)),
        Bad((np.zeros(3, np.int64),), {"call": 0, "row_size": -1}, ValueError, ("-1",)),
    ),
)
