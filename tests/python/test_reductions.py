"""Reductions as they are typed: spellings, dtypes, ties, nothing to reduce, large offsets.

Values and gradients of each op are the case table's; here is what the row of an op does not say.
Where PyTorch is installed, results and dtypes are compared with its own.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import ranvier as rv

NAN, INF = float("nan"), float("inf")
ALL = ("float32", "float64", "int64", "int32", "int16", "int8", "uint8", "bool")
TABLE = [[3.0, 1.0, 2.0], [0.0, 3.0, 3.0]]


def table(dtype: str = "float32") -> rv.Tensor:
    return rv.tensor(TABLE).to(dtype)


# ---- spellings


def test_three_forms_of_max_and_min() -> None:
    """Of all, along an axis, of two tensors."""
    x = table()
    assert x.max().item() == 3.0
    assert rv.min(x).item() == 0.0
    values, indices = x.max(1)
    assert values.tolist() == [3.0, 3.0]
    assert indices.tolist() == [0, 1]
    assert indices.dtype is rv.int64
    assert x.max(dim=0).values.tolist() == x.max(axis=0).values.tolist() == [3.0, 3.0, 3.0]
    assert rv.max(x, -1, True).indices.shape == (2, 1)
    assert x.min(0, keepdim=True).values.tolist() == [[0.0, 1.0, 2.0]]
    assert rv.max(x, rv.tensor([2.0, 2.0, 2.0])).tolist() == [[3.0, 2.0, 2.0], [2.0, 3.0, 3.0]]
    assert x.min(rv.tensor(1)).tolist() == [[1.0, 1.0, 1.0], [0.0, 1.0, 1.0]]
    assert x.max(other=x).tolist() == TABLE
    assert rv.max(rv.tensor([1, 2]), rv.tensor([1.5, 0.0])).dtype is rv.float32


def test_spellings_of_var() -> None:
    """Unbiased and correction, by position and by name."""
    x = rv.tensor([1.0, 2.0, 4.0])
    biased = pytest.approx(1.5555555)
    for y in (x.var(False), x.var(0, False), x.var(unbiased=False), x.var(correction=0),
              rv.var(x, 0, unbiased=False), rv.var(x, dim=(0,), correction=0),
              rv.var(x, axis=0, correction=0)):  # fmt: skip
        assert y.item() == biased
    for y in (x.var(), x.var(True), x.var(0), x.var(0, True), rv.var(x, correction=None)):
        assert y.item() == pytest.approx(2.3333333)
    assert x.var(0, True, True).shape == x.std(0, keepdim=True).shape == (1,)
    assert rv.std(x).item() == pytest.approx(2.3333333**0.5)
    var, mean = rv.var_mean(x, correction=0)
    assert (var.item(), mean.item()) == (biased, pytest.approx(7 / 3))
    assert rv.std_mean(x, unbiased=False).std.item() == pytest.approx(1.5555555**0.5)
    with pytest.raises(TypeError, match=r"\[var\].*unbiased.*correction"):
        x.var(unbiased=True, correction=1)
    with pytest.raises(TypeError, match=r"\[std\]"):
        x.std(0, True, True, True)
    with pytest.raises(TypeError, match=r"\[std\]"):
        x.std(0, dim=0)
    with pytest.raises(TypeError, match=r"\[var\] expected .*float"):
        rv.tensor([1, 2]).var()


def test_spellings_of_norm() -> None:
    """Numbers, 'fro', None; axes; dtype; out."""
    x = rv.tensor([[3.0, 4.0], [0.0, -2.0]])
    whole = pytest.approx(29**0.5)
    for y in (x.norm(), x.norm("fro"), x.norm(2), x.norm(None), rv.norm(x), rv.norm(x, p=2.0)):
        assert y.item() == whole
    assert x.norm(dim=1).tolist() == rv.norm(x, 2, 1).tolist() == [5.0, 2.0]
    assert x.norm(1, 0, True).tolist() == [[3.0, 6.0]]
    assert [x.norm(p).item() for p in (INF, -INF, 0)] == [4.0, 0.0, 3.0]
    assert rv.tensor([3, 4]).norm(dtype=rv.float64).dtype is rv.float64
    out = rv.zeros(2)
    assert rv.norm(x, dim=1, out=out) is out
    assert out.tolist() == [5.0, 2.0]
    with pytest.raises(ValueError, match=r"\[norm\] p.*nuc"):
        x.norm("nuc")
    with pytest.raises(TypeError, match=r"\[norm\] expected"):
        rv.tensor([3, 4]).norm()


def test_norm_of_large_and_small_numbers() -> None:
    """Squares may leave the range of the dtype; the norm does not."""
    for dtype, scale in ((rv.float32, 1e30), (rv.float32, 1e-30), (rv.float64, 1e200),
                         (rv.float64, 1e-200)):  # fmt: skip
        x = rv.tensor([[3.0, 4.0], [0.0, 5.0]], dtype=rv.float64) * scale
        x = x.to(dtype)
        for dim in (1, 0, None):
            want = np.linalg.norm(x.numpy().astype(np.longdouble), axis=dim)
            assert np.allclose(x.norm(dim=dim).numpy(), want, rtol=1e-6, atol=0)
    assert np.isnan(rv.tensor([0.0, NAN]).norm().item())
    assert rv.tensor([INF, 1.0]).norm().item() == INF


@pytest.mark.parametrize("p", [2, 1, 3, 1.5, 0.5, 0, INF])
def test_norm_at_zero_has_gradient_zero(p: float) -> None:
    """No NaN from 0 / 0."""
    x = rv.zeros(3, requires_grad=True)
    x.norm(p).backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 0.0, 0.0]


# ---- dtypes


@pytest.mark.parametrize("dtype", ALL)
def test_result_dtypes(dtype: str) -> None:
    """Integers and booleans add up to int64; extremes keep their dtype; truth is bool."""
    x = table(dtype)
    wide = dtype if dtype.startswith("float") else "int64"
    for op in (rv.sum, rv.prod, rv.nansum):
        assert op(x).dtype.name == op(x, 1).dtype.name == wide
        assert op(x, dtype=rv.float64).dtype is rv.float64
        assert op(x, 1, dtype=rv.int32).dtype is rv.int32
    for op in (rv.amax, rv.amin, rv.max, rv.min, rv.median):
        assert op(x).dtype.name == dtype
    assert x.max(1).values.dtype.name == dtype
    assert x.argmax().dtype is x.argmin(0).dtype is x.count_nonzero().dtype is rv.int64
    truth = "uint8" if dtype == "uint8" else "bool"
    assert x.any().dtype.name == x.all(1).dtype.name == truth
    if dtype.startswith("float"):
        assert x.mean().dtype.name == x.std().dtype.name == x.norm().dtype.name == dtype
    else:
        for op in (rv.mean, rv.var, rv.std, rv.norm, rv.nanmean):
            with pytest.raises(TypeError, match=r"expected .*float.*\.float\(\)"):
                op(x)
        assert rv.mean(x, dtype=rv.float32).dtype is rv.float32


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_reduced_in_float32(dtype: str) -> None:
    """One rounding at the end."""
    x = rv.tensor([1.0, 2048.0, 1.0, 1.0, 3.0]).to(dtype)
    assert x.sum().dtype.name == dtype
    assert x.sum().item() == rv.tensor(2054.0).to(dtype).item()
    assert x.max(0).indices.item() == 1
    assert x.mean(dtype=rv.float32).item() == pytest.approx(x.float().mean().item())


def test_dtype_converts_first() -> None:
    """As in PyTorch: 1.5 is 1 before it is added."""
    x = rv.tensor([1.5, 2.5])
    assert rv.sum(x, dtype=rv.int64).item() == 3
    assert rv.prod(x, dtype=rv.int32).item() == 2
    big = rv.tensor([200, 100], dtype=rv.uint8)
    assert big.sum().item() == 300
    assert big.sum(dtype=rv.uint8).item() == 44


# ---- ties, NaN, nothing


def test_gradients_of_ties() -> None:
    """The first along an axis; equal shares of the whole."""
    for op, want in (
        (lambda x: x.max(), [[1 / 3, 0, 0], [0, 1 / 3, 1 / 3]]),
        (lambda x: x.amax(1).sum(), [[1, 0, 0], [0, 0.5, 0.5]]),
        (lambda x: x.max(1).values.sum(), [[1, 0, 0], [0, 1, 0]]),
        (lambda x: x.aminmax().max, [[1 / 3, 0, 0], [0, 1 / 3, 1 / 3]]),
        (lambda x: x.median(), [[0, 0, 1], [0, 0, 0]]),
        (lambda x: x.median(1).values.sum(), [[0, 0, 1], [0, 1, 0]]),
    ):
        x = table().requires_grad_(True)
        op(x).backward()
        assert np.allclose(x.grad.numpy(), want)


def test_first_of_equal_and_first_nan() -> None:
    """Indices of ties; a NaN wins over everything, the first of several."""
    x = rv.tensor([[1.0, 2.0, 2.0], [NAN, 3.0, NAN], [5.0, NAN, INF]])
    assert x.argmax(1).tolist() == x.max(1).indices.tolist() == [1, 0, 1]
    assert x.argmin(1).tolist() == x.min(1).indices.tolist() == [0, 0, 1]
    for n in (100, 40000):  # through the cuts of long axes
        long = rv.zeros(n, 3)
        long[n // 2 :, 1] = 1.0
        assert long.argmax(0).tolist() == [0, n // 2, 0]
        assert long.T.contiguous().argmax(1).tolist() == [0, n // 2, 0]
        long[n - 2, 2] = NAN
        assert long.argmax(0).tolist() == [0, n // 2, n - 2]
        assert np.isnan(long.max(0).values.numpy()).tolist() == [False, False, True]
        assert np.isnan(long.amax().item())
        assert np.isnan(long.amin(0).numpy()).tolist() == [False, False, True]


def test_nothing_to_reduce() -> None:
    """Sum 0, product 1, mean NaN, any False, all True; an extreme raises."""
    x = rv.zeros(2, 0)
    assert x.sum(1).tolist() == [0.0, 0.0]
    assert x.prod(1).tolist() == [1.0, 1.0]
    assert x.any(1).tolist() == [False, False]
    assert x.all(1).tolist() == [True, True]
    assert x.norm(dim=1).tolist() == [0.0, 0.0]
    assert x.logsumexp(1).tolist() == [-INF, -INF]
    for y in (x.mean(), x.var(), x.std(), x.median(), x.nanmean(), x.mean(1).sum()):
        assert np.isnan(y.item())
    for op in (rv.max, rv.min, rv.amax, rv.amin, rv.argmax, rv.argmin, rv.median, rv.mode):
        y = op(x, 0)
        assert (y[0] if isinstance(y, tuple) else y).shape == (0,)
        with pytest.raises(IndexError, match=r"axis 1, got shape \(2, 0\)"):
            op(x, 1)
    for op in (rv.max, rv.min, rv.amax, rv.amin):
        with pytest.raises(rv.ShapeError, match=r"one element, got shape \(2, 0\)"):
            op(x)
    with pytest.raises(rv.ShapeError, match=r"\[aminmax\]"):
        x.aminmax()


# ---- precision


def test_variance_of_numbers_far_from_zero() -> None:
    """What naive sums of squares lose."""
    rng = np.random.default_rng(0)
    for shape, dim in (((100_000,), None), ((3, 5000), 1), ((5000, 3), 0)):
        for offset in (0.0, 1e4, 1e6):
            x = (rng.normal(size=shape) + offset).astype(np.float32)
            want = np.var(x.astype(np.float64), axis=dim, ddof=1)
            assert np.allclose(rv.tensor(x).var(dim).numpy(), want, rtol=1e-5)
            want_mean = np.mean(x.astype(np.float64), axis=dim)
            assert np.allclose(rv.var_mean(rv.tensor(x), dim).mean.numpy(), want_mean, rtol=2e-7)


def test_long_axes() -> None:
    """Everything that is cut into blocks, against NumPy in float64."""
    x = np.random.default_rng(1).uniform(0.9, 1.1, (3, 70_001)).astype(np.float32)
    wide = x.astype(np.float64)
    for a, b, dim in ((x, wide, 1), (x.T.copy(), wide.T, 0)):
        t = rv.tensor(a)
        assert np.allclose(t.sum(dim).numpy(), b.sum(dim), rtol=1e-6)
        assert np.allclose(t.prod(dim).numpy(), b.prod(dim), rtol=1e-6)
        assert np.allclose(t.norm(dim=dim).numpy(), np.linalg.norm(b, axis=dim), rtol=1e-6)
        assert np.allclose(t.norm(3, dim).numpy(), (b**3).sum(dim) ** (1 / 3), rtol=1e-6)
        assert np.allclose(t.logsumexp(dim).numpy(), np.log(np.exp(b).sum(dim)), rtol=1e-6)
        assert np.array_equal(t.argmin(dim).numpy(), a.argmin(dim))
        assert np.array_equal(t.max(dim).values.numpy(), a.max(dim))
        assert np.array_equal(t.median(dim).values.numpy(), np.sort(a, dim).take(35_000, dim))
        assert np.array_equal((t > 1).sum(dim).numpy(), (a > 1).sum(dim))


# ---- comparisons


def test_equal_and_allclose() -> None:
    """Any dtypes for equal; one for allclose."""
    one = rv.ones(2)
    assert rv.equal(one, rv.ones(2, dtype=rv.float64))
    assert one.equal(rv.ones(2, dtype=rv.int64))
    assert rv.equal(one.to("bfloat16"), one)
    assert not rv.equal(one, rv.ones(3))
    assert not rv.equal(rv.tensor([NAN]), rv.tensor([NAN]))
    stored = rv.from_numpy(np.array([1, 2**63], np.uint64))
    assert rv.equal(stored, rv.from_numpy(np.array([1, 2**63], np.uint64)))
    assert not rv.equal(stored, rv.from_numpy(np.array([1, 2**63 + 1], np.uint64)))
    assert rv.allclose(rv.tensor([1, 2]), rv.tensor([1, 2]))
    assert one.allclose(rv.ones(3, 1))
    assert rv.allclose(rv.tensor([NAN]), rv.tensor([NAN]), equal_nan=True)
    with pytest.raises(TypeError, match=r"float32 and int64.*\.to"):
        rv.allclose(one, rv.ones(2, dtype=rv.int64))
    with pytest.raises(rv.ShapeError):
        rv.allclose(one, rv.ones(3))


# ---- up to each element, counts, different elements


def test_running_sums_and_extremes() -> None:
    """dtypes, ties, NaN, precision."""
    assert rv.tensor([True, True]).cumsum(0).dtype is rv.int64
    assert rv.tensor([1, 2], dtype=rv.uint8).cumprod(0).dtype is rv.int64
    assert rv.cumsum(rv.tensor([1, 2]), 0, dtype=rv.float32).dtype is rv.float32
    assert rv.tensor(3.0).cumsum(0).shape == ()
    values, indices = rv.tensor([1.0, 3.0, 3.0, NAN, 5.0, NAN]).cummax(0)
    assert indices.tolist() == [0, 1, 2, 3, 3, 5]
    assert np.array_equal(values.numpy(), [1.0, 3.0, 3.0, NAN, NAN, NAN], equal_nan=True)
    x = np.random.default_rng(0).uniform(0, 1, 1_000_000).astype(np.float32)
    got = rv.tensor(x).cumsum(0).numpy()
    assert np.allclose(got, np.cumsum(x.astype(np.float64)), rtol=1e-7, atol=0)


def test_unique_and_bincount() -> None:
    """What is asked for comes back, in PyTorch's order."""
    x = rv.tensor([[3, 1], [1, 1], [3, 1]])
    assert rv.unique(x).tolist() == [1, 3]
    values, counts = x.unique(return_counts=True)
    assert (values.tolist(), counts.tolist()) == ([1, 3], [4, 2])
    values, inverse, counts = rv.unique(x, True, True, True, dim=0)
    assert values.tolist() == [[1, 1], [3, 1]]
    assert (inverse.tolist(), counts.tolist()) == ([1, 0, 1], [1, 2])
    assert rv.unique(x, return_inverse=True)[1].tolist() == [[1, 0], [0, 0], [1, 0]]
    assert rv.unique_consecutive(rv.tensor([1, 1, 2, 1])).tolist() == [1, 2, 1]
    assert rv.unique(rv.tensor([True, False, True])).tolist() == [False, True]
    assert rv.bincount(rv.tensor([1, 3, 1])).tolist() == [0, 2, 0, 1]
    assert rv.bincount(rv.tensor([1]), rv.tensor([3])).dtype is rv.float64
    assert rv.bincount(rv.tensor([1]), rv.tensor([0.5])).dtype is rv.float32


def test_quantile_of_numbers() -> None:
    """A number for q, fractions between elements, NaN."""
    x = rv.tensor([3.0, 1.0, 2.0, 4.0])
    assert x.quantile(0.5).item() == 2.5
    assert rv.quantile(x, rv.tensor([0.0, 1.0])).tolist() == [1.0, 4.0]
    assert x.quantile(0.5, interpolation="lower").item() == 2.0
    assert np.isnan(rv.tensor([1.0, NAN, 2.0]).quantile(0.0).item())
    with pytest.raises(TypeError, match=r"\[quantile\].*float"):
        rv.tensor([1, 2]).quantile(0.5)


# ---- PyTorch's own

SHAPES = ((), (1,), (5,), (3, 4), (2, 3, 4), (0, 3), (3, 0), (2, 1, 3))
PLAIN = ("sum", "prod", "amax", "amin", "any", "all", "argmax", "argmin", "max", "min", "median",
         "mode", "nansum", "count_nonzero", "mean", "var", "std", "norm", "logsumexp", "nanmean",
         "nanmedian")  # fmt: skip
SCANS = ("cumsum", "cumprod", "cummax", "cummin", "logcumsumexp")
# Differences: median's index among equal elements is any in PyTorch, the first here. PyTorch's mode
# loses count where there is a NaN. Whole medians of no integers are an error here, the smallest
# integer there; argmax and median of booleans raise there.
INDEX_DIFFERS = {"median", "nanmedian"}


def compare_with(torch: Any, name: str, x: np.ndarray[Any, Any], *args: Any) -> None:
    """One call here and there: both raise, or shapes, dtypes and values agree."""
    theirs: Any
    ours: Any
    if name in INDEX_DIFFERS and x.size == 0 and x.dtype.kind != "f" and not args:
        return
    try:
        theirs = getattr(torch, name)(torch.from_numpy(x.copy()), *args)
    except (RuntimeError, IndexError, TypeError, NotImplementedError):
        if x.dtype == bool and name in ("argmax", "argmin", "median", "nanmedian", "mode"):
            return
        if name == "prod" and args and args[0] == ():
            return
        with pytest.raises((RuntimeError, IndexError, TypeError)):
            getattr(rv, name)(rv.tensor(x), *args)
        return
    ours = getattr(rv, name)(rv.tensor(x), *args)
    if not isinstance(theirs, tuple):
        theirs, ours = (theirs,), (ours,)
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        message = f"{name} {x.dtype} {x.shape} {args}\n{a}\n{b}"
        assert tuple(a.shape) == tuple(b.shape), message
        assert a.dtype.name == str(b.dtype).removeprefix("torch."), message
        if i == 1 and name in INDEX_DIFFERS:
            continue
        assert np.allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-6, equal_nan=True), message


@pytest.mark.filterwarnings("ignore")  # PyTorch's, of variances of one element
@pytest.mark.parametrize("name", PLAIN + SCANS)
def test_as_in_pytorch(name: str) -> None:
    """Whole and along every axis, with and without keepdim, every dtype, NaN and ties."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(3)
    for shape, dtype in itertools.product(SHAPES, ALL):
        x = rng.integers(-3, 4, shape)
        if dtype.startswith("float"):
            x = np.where(
                rng.uniform(size=shape) < 0.1 * (name != "mode"),
                NAN,
                x + rng.choice([0.0, 0.25], shape),
            )
        x = np.asarray(np.abs(x) if dtype == "uint8" else x).astype(dtype)
        calls: list[tuple[Any, ...]] = [] if name in ("logsumexp", *SCANS) else [()]
        for dim in range(-len(shape), max(len(shape), 1)):
            calls += [(dim,)]
            if name == "norm":
                calls[-1] = (2, dim)
            elif name != "count_nonzero" and name not in SCANS:
                calls += [(dim, True)] if name not in ("var", "std") else [(dim, False, True)]
        for args in calls:
            compare_with(torch, name, x, *args)


@pytest.mark.parametrize(
    ("name", "args"),
    [("sum", (0,)), ("nansum", ()), ("prod", ()), ("prod", (0,)), ("amax", (0,)), ("amin", ()),
     ("max", ()), ("max", (0,)), ("min", (1,)), ("median", ()), ("var", ()), ("var", (0, False)),
     ("std", (1,)), ("norm", ()), ("norm", (1,)), ("norm", (3, 0)), ("norm", (INF, 0)),
     ("norm", (0.5, 1)), ("logsumexp", (0,)), ("cumsum", (0,)), ("cumprod", (1,)),
     ("cummax", (0,)), ("cummin", (1,)), ("logcumsumexp", (0,)), ("diff", ()), ("mode", (0,))],
)  # fmt: skip
def test_gradients_as_in_pytorch(name: str, args: tuple[Any, ...]) -> None:
    """With zeros and many equal elements, where conventions differ if they do."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(4)
    for _ in range(20):
        x = rng.integers(-2, 3, (4, 5)).astype(np.float64)
        if (
            name in ("max", "min", "mode") and args
        ):  # which of equal elements is chosen is PyTorch's secret
            x += rng.permutation(20).reshape(4, 5) / 64
        ours, theirs = rv.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        a, b = getattr(rv, name)(ours, *args), getattr(torch, name)(theirs, *args)
        a, b = (a[0], b[0]) if isinstance(b, tuple) else (a, b)
        seed = rng.uniform(0.5, 1.5, tuple(b.shape))
        a.backward(rv.tensor(seed))
        b.backward(torch.tensor(seed))
        assert np.allclose(ours.grad.numpy(), theirs.grad.numpy(), rtol=1e-9), f"{name} {args} {x}"
