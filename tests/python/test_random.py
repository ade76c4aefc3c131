"""Random numbers: who gets which, what they are distributed like, and what is refused.

Streams and bits are test_bits.py's. Statistics use fixed seeds and bounds that a right stream
misses once in a million; they refuse wrong distributions, not unlucky ones.
"""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier import _C

FLOATS = [rv.float32, rv.float64, rv.float16, rv.bfloat16]
WHOLE = [rv.int64, rv.int32, rv.int16, rv.int8, rv.uint8]
N = 100_000
Z = 5.0  # standard errors: one miss in 1.7 million


@pytest.fixture(autouse=True)
def seeded() -> None:
    rv.manual_seed(1234)


def values(t: Any) -> Any:
    return t.double().numpy()


def chi_square(counts: Any, chances: Any) -> None:
    """Counts fit to probabilities; the statistic is close to normal for many counts."""
    counts, chances = np.asarray(counts, float), np.asarray(chances, float)
    assert (counts[chances == 0] == 0).all()
    counts, chances = counts[chances > 0], chances[chances > 0]
    expected = counts.sum() * chances / chances.sum()
    statistic = np.sum((counts - expected) ** 2 / expected)
    freedom = len(counts) - 1
    assert statistic < freedom + Z * math.sqrt(2 * freedom) + 10, f"{statistic} for {freedom}"


def check_moments(x: Any, mean: float, variance: float, kurtosis: float) -> None:
    """Mean and variance within Z standard errors; `kurtosis` is E((x - mean)^4) / variance^2."""
    x = values(x)
    assert abs(x.mean() - mean) < Z * math.sqrt(variance / x.size)
    assert abs(x.var() - variance) < Z * variance * math.sqrt((kurtosis - 1) / x.size)


# --- creation -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
def test_rand_and_randn_in_every_floating_dtype(dtype: Any) -> None:
    u, z = rv.rand(N, dtype=dtype), rv.randn(N, dtype=dtype)
    assert u.dtype is z.dtype is dtype
    x = values(u)
    assert x.min() >= 0 and x.max() < 1
    check_moments(u, 0.5, 1 / 12, 1.8)
    check_moments(z, 0.0, 1.0, 3.0)
    chi_square(np.histogram(x, 16, (0, 1))[0], np.full(16, 1 / 16))


def test_what_pytorch_accepts_is_accepted() -> None:
    out = rv.zeros(2, 3, dtype=rv.float64)
    assert rv.rand((2, 3), out=out) is out and (values(out) > 0).all()
    assert rv.randn(2, 3, out=out) is out
    for f in (rv.rand, rv.randn):
        t = f(2, 3, dtype=rv.float32, layout=None, device="cpu", pin_memory=False, generator=None)
        assert t.shape == f(size=(2, 3)).shape == (2, 3)
        assert f(2, requires_grad=True).requires_grad
        assert f().shape == ()
    for f in (rv.rand_like, rv.randn_like):
        assert f(rv.ones(2, 3, dtype=rv.float16)).dtype is rv.float16
        assert f(rv.ones(2, dtype=rv.int64), dtype=rv.float64, memory_format=None).shape == (2,)
    assert rv.randint_like(rv.ones(3, dtype=rv.uint8), 7).dtype is rv.uint8
    assert set(rv.randint_like(rv.ones(99), 2, 4).tolist()) == {2.0, 3.0}
    assert set(rv.randint_like(rv.ones(99), low=2, high=4).tolist()) == {2.0, 3.0}
    long = rv.zeros(3, dtype=rv.int64)
    assert rv.randint(5, 6, (3,), out=long) is long and long.tolist() == [5, 5, 5]
    assert rv.randperm(5, out=rv.zeros(5, dtype=rv.int32)).dtype is rv.int32


@pytest.mark.parametrize("dtype", [*WHOLE, *FLOATS, rv.bool_])
def test_randint_covers_its_range_evenly(dtype: Any) -> None:
    low, high = (0, 2) if dtype is rv.bool_ else (0, 7) if dtype is rv.uint8 else (-3, 4)
    t = rv.randint(low, high, (N,), dtype=dtype)
    assert t.dtype is dtype
    counts = np.bincount((values(t) - low).astype(int), minlength=high - low)
    chi_square(counts, np.ones(high - low))


def test_randint_at_the_ends_of_a_dtype() -> None:
    for dtype in WHOLE:
        bits = 8 * dtype.itemsize
        low, high = (0, 2**bits) if dtype is rv.uint8 else (-(2 ** (bits - 1)), 2 ** (bits - 1))
        high = min(high, 2**63 - 1)
        t = rv.randint(low, high, (1000,), dtype=dtype)
        spread = values(t).max() - values(t).min()
        assert spread > 0.9 * (high - low)
    with pytest.raises(ValueError, match="int8"):
        rv.randint(0, 129, (2,), dtype=rv.int8)
    with pytest.raises(ValueError, match="float16"):
        rv.randint(0, 3000, (2,), dtype=rv.float16)


def test_randperm_permutes_in_every_dtype() -> None:
    for dtype in (*WHOLE, *FLOATS):
        t = rv.randperm(100, dtype=dtype)
        assert t.dtype is dtype and sorted(t.tolist()) == list(range(100))
    first = [rv.randperm(4)[0].item() for _ in range(4000)]
    chi_square(np.bincount(first, minlength=4), np.ones(4))
    assert rv.randperm(0).shape == (0,)


# --- in place -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
def test_fills_of_floating_tensors(dtype: Any) -> None:
    t = rv.empty(200, N // 200, dtype=dtype).T  # the order of elements is not that of memory
    assert t.uniform_(-1, 3) is t
    assert values(t).min() >= -1 and values(t).max() < 3
    check_moments(t, 1.0, 16 / 12, 1.8)
    check_moments(t.normal_(2, 0.5), 2.0, 0.25, 3.0)
    check_moments(t.exponential_(2), 0.5, 0.25, 9.0)
    assert (values(t) > 0).all()
    t.log_normal_(0, 0.25)
    check_moments(rv.log(t.double()), 0.0, 0.0625, 3.0)
    x = values(t.cauchy_(1, 2))
    assert abs(np.mean(x < 1) - 0.5) < Z * 0.5 / math.sqrt(N)
    assert abs(np.mean((x > -1) & (x < 3)) - 0.5) < Z * 0.5 / math.sqrt(N)


@pytest.mark.parametrize("dtype", [rv.float32, rv.float64, *WHOLE])
def test_geometric_and_bernoulli_fill_any_dtype(dtype: Any) -> None:
    t = rv.empty(N, dtype=dtype).geometric_(0.25)
    counts = np.bincount(values(t).astype(int), minlength=20)[1:20]
    chances = 0.25 * 0.75 ** np.arange(19)
    chi_square([*counts, N - counts.sum()], [*chances, 1 - chances.sum()])
    t.bernoulli_(0.3)
    assert set(t.tolist()) == {0, 1}
    assert abs(values(t).mean() - 0.3) < Z * math.sqrt(0.21 / N)
    t.bernoulli_(rv.linspace(0, 1, N))
    assert abs(values(t)[: N // 2].mean() - 0.25) < 0.02


def test_random_fills_with_what_the_dtype_holds() -> None:
    for dtype in (*WHOLE, *FLOATS, rv.bool_):
        most = {"bool": 1, "uint8": 255, "float16": 2**11, "bfloat16": 2**8, "float32": 2**24}.get(
            dtype.name, 2**53 if dtype is rv.float64 else 2 ** (8 * dtype.itemsize - 1) - 1
        )
        x = values(rv.empty(10_000, dtype=dtype).random_())
        assert x.min() >= 0 and 0.99 * most <= x.max() <= most
    assert set(rv.empty(999).random_(3).tolist()) == {0.0, 1.0, 2.0}
    assert set(rv.empty(999).random_(-1, 1).tolist()) == {-1.0, 0.0}


def test_fills_do_not_depend_on_strides() -> None:
    plain, turned = rv.empty(3, 5), rv.empty(5, 3).T
    for fill in ("normal_", "uniform_", "exponential_", "bernoulli_", "random_"):
        for t in (plain, turned):
            getattr(t, fill)(generator=rv.Generator(5))
        assert rv.equal(plain, turned)


def test_fills_have_no_gradient() -> None:
    leaf = rv.ones(3, requires_grad=True)
    with pytest.raises(RuntimeError):
        leaf.normal_()
    with rv.no_grad():
        leaf.normal_()
    assert leaf.requires_grad and leaf.is_leaf


# --- with parameters of their own ---------------------------------------------------------------


def test_normal_of_numbers_and_tensors() -> None:
    check_moments(rv.normal(1.0, 2.0, (N,)), 1.0, 4.0, 3.0)
    assert rv.normal(0, 1, size=(2, 3), dtype=rv.float64).dtype is rv.float64
    mean, std = rv.linspace(-5, 5, 11), rv.linspace(0, 1, N).reshape(-1, 1)
    z = rv.normal(mean, std)
    assert z.shape == (N, 11)
    scaled = (values(z) - np.linspace(-5, 5, 11))[1:] / np.linspace(0, 1, N)[1:, None]
    check_moments(rv.from_numpy(scaled), 0.0, 1.0, 3.0)
    assert rv.normal(mean).shape == rv.normal(2.0, rv.ones(11)).shape == (11,)
    assert rv.normal(mean, 0.0).tolist() == mean.tolist()
    assert rv.normal(mean.double(), rv.ones(11)).dtype is rv.float64
    assert not rv.normal(mean.requires_grad_(), 1.0).requires_grad
    for dtype in FLOATS:
        assert rv.normal(rv.zeros(3, dtype=dtype), 1.0).dtype is dtype


def test_bernoulli() -> None:
    p = rv.tensor([0.0, 0.1, 0.5, 0.9, 1.0])
    for dtype in FLOATS:
        x = rv.bernoulli(p.to(dtype).expand(N, 5))
        assert x.dtype is dtype
        mean, chance = values(x).mean(0), values(p.to(dtype))
        assert (np.abs(mean - chance) <= Z * np.sqrt(chance * (1 - chance) / N)).all()
    assert rv.bernoulli(rv.ones(3), 0.0).tolist() == rv.ones(3).bernoulli(0.0).tolist() == [0, 0, 0]
    assert rv.ones(2).bernoulli().tolist() == [1, 1]


@pytest.mark.parametrize("dtype", [rv.float32, rv.float64, rv.float16])
def test_multinomial_follows_the_weights(dtype: Any) -> None:
    w = rv.tensor([3.0, 0.0, 1.0, 0.5, 5.0], dtype=dtype)
    x = rv.multinomial(w, N, replacement=True)
    assert x.shape == (N,) and x.dtype is rv.int64
    chi_square(np.bincount(x.numpy(), minlength=5), values(w))
    both = rv.multinomial(w.expand(N, 5), 2).numpy()
    assert both.shape == (N, 2) and (both[:, 0] != both[:, 1]).all()
    p = values(w) / values(w).sum()
    pairs = p[:, None] * p / (1 - p[:, None]) * (1 - np.eye(5))
    chi_square(np.bincount(both[:, 0] * 5 + both[:, 1], minlength=25), pairs.ravel())


def test_multinomial_of_rows_and_shapes() -> None:
    w = rv.tensor([[0.0, 1.0], [1.0, 0.0]])
    assert rv.multinomial(w, 3, True).tolist() == [[1, 1, 1], [0, 0, 0]]
    assert w.multinomial(1).tolist() == [[1], [0]]
    assert sorted(rv.multinomial(rv.ones(50), 50).tolist()) == list(range(50))
    assert rv.multinomial(rv.ones(0, 3), 2).shape == (0, 2)
    tiny = rv.tensor([1e-300, 3e-300], dtype=rv.float64)
    assert abs(values(rv.multinomial(tiny, N, True)).mean() - 0.75) < Z * math.sqrt(0.1875 / N)


# --- generators ---------------------------------------------------------------------------------


def test_states_come_back() -> None:
    state = rv.get_rng_state()
    assert state.dtype is rv.uint8
    a = [rv.rand(3), rv.randint(9, (3,)), rv.bernoulli(rv.full((9,), 0.5))]
    rv.set_rng_state(state)
    b = [rv.rand(3), rv.randint(9, (3,)), rv.bernoulli(rv.full((9,), 0.5))]
    assert all(rv.equal(x, y) for x, y in zip(a, b, strict=True))
    g, h = rv.Generator(5), rv.Generator()
    rv.rand(9, generator=g)
    assert h.set_state(g.get_state()) is h
    assert h.initial_seed() == 5
    assert rv.equal(rv.rand(3, generator=g), rv.rand(3, generator=h))
    for other in (copy.deepcopy(g), pickle.loads(pickle.dumps(g))):
        assert other.get_state().tolist() == g.get_state().tolist()


def test_a_generator_can_be_made_as_in_pytorch() -> None:
    assert rv.Generator(device="cpu").manual_seed(3).initial_seed() == 3
    assert str(rv.Generator("cpu").device) == "cpu"
    assert rv.Generator(np.uint64(2**64 - 1)).initial_seed() == 2**64 - 1
    assert rv.manual_seed(-1).initial_seed() == 2**64 - 1
    first, second = rv.seed(), rv.Generator().seed()
    assert first != second and rv.initial_seed() == first


def test_draws_of_a_recorded_step_go_on() -> None:
    g = rv.Generator(7)
    p = rv.full((50,), 0.5)

    def step(x: Any) -> Any:
        return x + rv.bernoulli(p, generator=g) + rv.multinomial(p, 50, generator=g)

    program = rv.Program.record(step, rv.zeros(50))
    got = [program.replay(rv.zeros(50)) for _ in range(3)]
    h = rv.Generator(7)
    want = [rv.bernoulli(p, generator=h) + rv.multinomial(p, 50, generator=h) for _ in range(4)]
    assert all(rv.equal(a, b) for a, b in zip(got, want[1:], strict=True))


def test_threads_do_not_change_the_numbers() -> None:
    def draws() -> list[list[float]]:
        g = rv.Generator(3)
        w = rv.rand(300, 40, generator=g)
        return [
            t.tolist()
            for t in (
                rv.multinomial(w, 5, generator=g),
                rv.multinomial(w, 50, True, generator=g),
                rv.bernoulli(w, generator=g),
                rv.randint(100, (5000,), generator=g),
                rv.empty(5000).exponential_(generator=g),
            )
        ]

    try:
        rv.set_num_threads(1)
        want = draws()
        for threads in (2, 3, 7):
            rv.set_num_threads(threads)
            _C.set_grain(1)
            assert draws() == want
    finally:
        _C.set_grain(0)
        rv.set_num_threads(1)


# --- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: rv.Generator("a"), RuntimeError, r"\[Generator\].*'cpu', got 'a'"),
        (lambda: rv.Generator("cuda"), RuntimeError, "cuda"),
        (lambda: rv.Generator(2**64), ValueError, r"\[Generator\] seed"),
        (lambda: rv.Generator(-1), ValueError, "-1"),
        (lambda: rv.Generator(1.5), TypeError, "1.5"),
        (lambda: rv.Generator(True), TypeError, "True"),
        (lambda: rv.Generator().manual_seed("a"), TypeError, "'a'"),
        (lambda: rv.Generator().set_state(rv.zeros(16)), TypeError, "uint8, got float32"),
        (lambda: rv.set_rng_state(rv.zeros(3, dtype=rv.uint8)), rv.ShapeError, r"\(3,\)"),
        (lambda: rv.manual_seed(-(2**63) - 1), ValueError, "manual_seed"),
        (lambda: rv.rand(2, dtype=rv.int64), TypeError, "floating dtype.*int64"),
        (lambda: rv.rand_like(rv.ones(2, dtype=rv.int32)), TypeError, "int32"),
        (lambda: rv.rand(2, out=rv.zeros(3)), rv.ShapeError, r"\(2,\), got \(3,\)"),
        (lambda: rv.rand(2, device="cuda"), RuntimeError, "cuda"),
        (lambda: rv.randint(2.5, (2,)), TypeError, "2.5"),
        (lambda: rv.randint(3, 2), TypeError, "size"),
        (lambda: rv.randint(5, 5, (2,)), ValueError, r"\[randint\] expected low < high"),
        (lambda: rv.randint(0, 2**63, (2,)), ValueError, "64 bits"),
        (lambda: rv.randint(0, 5, (2,), dtype=rv.uint16), TypeError, "uint16"),
        (lambda: rv.randint_like(rv.ones(2)), TypeError, "randint_like"),
        (lambda: rv.randperm(2.5), TypeError, "2.5"),
        (lambda: rv.randperm(300, dtype=rv.uint8), ValueError, "uint8"),
        (lambda: rv.randperm(4000, dtype=rv.float16), ValueError, "float16"),
        (lambda: rv.normal(0.0, 1.0), TypeError, "size"),
        (lambda: rv.normal(rv.zeros(2), 1.0, (2,)), TypeError, "size"),
        (lambda: rv.normal(rv.zeros(2), -1.0), RuntimeError, "-1"),
        (lambda: rv.normal(0.0, -1.0, (2,)), ValueError, "-1"),
        (lambda: rv.normal(rv.zeros(2, dtype=rv.int64), rv.ones(2)), TypeError, "int64"),
        (lambda: rv.normal(rv.zeros(2), rv.ones(3)), rv.ShapeError, r"\(2,\).*\(3,\)"),
        (lambda: rv.bernoulli(rv.tensor([1, 0])), TypeError, "int64"),
        (lambda: rv.bernoulli(rv.tensor([1.5])), RuntimeError, "1.5"),
        (lambda: rv.ones(2).bernoulli_(1.5), RuntimeError, "1.5"),
        (lambda: rv.ones(2).bernoulli_(rv.ones(3)), rv.ShapeError, r"\(3,\)"),
        (lambda: rv.multinomial(rv.ones(3), 4), RuntimeError, "at most 3"),
        (lambda: rv.multinomial(rv.ones(3), 2.5), TypeError, "2.5"),
        (lambda: rv.ones(2).exponential_(0), RuntimeError, "above 0"),
        (lambda: rv.ones(2, dtype=rv.int64).exponential_(), TypeError, "int64"),
        (lambda: rv.ones(2, dtype=rv.int64).normal_(), TypeError, "int64"),
        (lambda: rv.ones(2).uniform_(3, 2), ValueError, "low first"),
        (lambda: rv.ones(2).geometric_(1), RuntimeError, "between 0 and 1"),
        (lambda: rv.ones(2).cauchy_(0, 0), RuntimeError, "sigma"),
        (lambda: rv.ones(2).random_(5, 5), ValueError, "low < high"),
        (lambda: rv.ones(2).random_(1, 2, 3), TypeError, "random_"),
        (lambda: rv.ones(2, dtype=rv.uint8).random_(300), ValueError, "uint8"),
    ],
)
def test_refusals(call: Any, error: type[Exception], words: str) -> None:
    state = rv.get_rng_state().tolist()
    with pytest.raises(error, match=words):
        call()
    assert rv.get_rng_state().tolist() == state, "a refused call has drawn"
