"""Same bits, at sizes where work is cut: blocks, chunks, panels, streams of random numbers.

Small shapes are test_ops.py's. The scalar chain that every matmul must equal is computed in
tests/cpp/test_gemm.cpp, which has std::fma; here parts are compared with wholes.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from ranvier import _C

FAST = os.environ.get("RANVIER_CHECK_FAST") == "1"
MATMULS = [
    (1, 1, 1),
    (7, 300, 100),
    (3, 3, 5000),
    (333, 777, 555),
    (96, 384, 96),
    (17, 33, 65),
    (50, 10, 100),
    (128, 128, 1000),
]
MATMULS = [s for s in MATMULS if not FAST or s[0] * s[1] * s[2] < 10**6]
THREADS = (1, 2, 3, 7)
DTYPES = ("float32", "float64")
Array = Any


def floats(*shape: int, dtype: str = "float32", seed: int = 0) -> Array:
    rng = np.random.default_rng([seed, *shape])
    return rng.standard_normal(shape).astype(dtype)


def t(array: Array) -> Any:
    return _C.from_numpy(np.ascontiguousarray(array))


def equal_bits(a: Array, b: Array) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def fma_isas() -> list[str]:
    return [isa for isa in _C.available_isas() if isa != "base"]


# ---- products


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("m", "n", "k"), MATMULS)
def test_matmul_any_layout_threads_and_isa(m: int, n: int, k: int, dtype: str) -> None:
    """NN, NT, TN and TT; 1, 2, 3 and 7 threads; two grains; AVX2 and AVX-512: the same bits."""
    a, b = floats(m, k, dtype=dtype), floats(k, n, dtype=dtype, seed=1)
    forms = [
        (t(a), t(b)),
        (t(a), t(b.T).transpose(0, 1)),
        (t(a.T).transpose(0, 1), t(b)),
        (t(a.T).transpose(0, 1), t(b.T).transpose(0, 1)),
    ]
    want = None
    for isa in fma_isas() or ["base"]:
        _C.set_isa(isa)
        for threads in THREADS:
            _C.set_num_threads(threads)
            for grain in (0, 1):
                _C.set_grain(grain)
                for i, (x, y) in enumerate(forms):
                    got = _C.ops.matmul(x, y).numpy()
                    want = got if want is None else want
                    assert equal_bits(got, want), f"{isa}, {threads} threads, {grain}, form {i}"
    assert want is not None
    exact = a.astype(np.longdouble)[:64] @ b.astype(np.longdouble)
    size = np.abs(a[:64].astype(np.float64)) @ np.abs(b.astype(np.float64))
    # Rounding errors of one chain: at most k/2 eps |a| |b|, like sqrt(k) / 3 for random signs.
    bound = (2 + math.sqrt(k)) * np.finfo(dtype).eps * size
    assert (np.abs(want[:64] - exact) <= bound).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_matmul_base_isa(dtype: str) -> None:
    """Plain x86-64 has the same guarantee within itself and is close to the others."""
    _C.set_isa("base")
    a, b = floats(33, 700, dtype=dtype), floats(700, 65, dtype=dtype)
    want = _C.ops.matmul(t(a), t(b)).numpy()
    for threads in THREADS:
        _C.set_num_threads(threads)
        _C.set_grain(1)
        assert equal_bits(_C.ops.matmul(t(a), t(b.T).transpose(0, 1)).numpy(), want)
    exact = a.astype(np.longdouble) @ b.astype(np.longdouble)
    bound = (2 + math.sqrt(700)) * np.finfo(dtype).eps * (np.abs(a) @ np.abs(b))
    assert (np.abs(want - exact) <= bound).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", [None, "relu", "sigmoid", "tanh"])
def test_linear_rows_do_not_know_their_batch(dtype: str, activation: str | None, isa: str) -> None:
    """A row alone, in any batch and at any place gives the same bits."""
    for width, out in ((784, 128), (33, 17), (1, 1), (600, 513)):
        x, w = floats(67, width, dtype=dtype), floats(out, width, dtype=dtype)
        b = floats(out, dtype=dtype)
        weight, bias = t(w.T).transpose(0, 1), t(b)
        whole = _C.ops.linear(t(x), weight, bias, activation).numpy()
        packed = _C.ops.linear(t(x), t(w), bias, activation).numpy()
        assert equal_bits(whole, packed), "the layout of the weight"
        for first, last in ((0, 1), (66, 67), (5, 18), (30, 64)):
            part = _C.ops.linear(t(x[first:last]), weight, bias, activation).numpy()
            assert equal_bits(part, whole[first:last]), f"{width} -> {out}: rows {first} to {last}"
        alone = _C.ops.linear(t(x[7]), weight, bias, activation).numpy()
        assert equal_bits(alone, whole[7])


@pytest.mark.parametrize("dtype", DTYPES)
def test_matmul_rows_do_not_know_their_batch(dtype: str, isa: str) -> None:
    """A single row has a kernel of its own, with the tile kernel's chain for every element."""
    for k, n in ((1, 64), (7, 33), (8, 65), (9, 129), (33, 1000), (777, 4097), (130, 8195)):
        a, b = floats(3, k, dtype=dtype), floats(k, n, dtype=dtype, seed=1)
        whole = _C.ops.matmul(t(a), t(b)).numpy()
        for threads, grain in ((1, 0), (3, 1)):
            _C.set_num_threads(threads)
            _C.set_grain(grain)
            for i in range(3):
                assert equal_bits(_C.ops.matmul(t(a[i : i + 1]), t(b)).numpy(), whole[i : i + 1])
                assert equal_bits(_C.ops.matmul(t(a[i]), t(b)).numpy(), whole[i])


def test_matrices_of_a_batch_are_products_of_their_own() -> None:
    random = np.random.default_rng(5)
    b = _C.from_numpy(random.standard_normal((70, 33)))
    x = _C.from_numpy(random.standard_normal((3, 4, 70)))
    y = _C.from_numpy(random.standard_normal((4, 3, 70)))
    layouts = {
        "packed": x,
        "axes swapped": y.transpose(0, 1),
        "rows taken out": _C.from_numpy(random.standard_normal((3, 8, 70)))[:, ::2],
        "every other matrix": _C.from_numpy(random.standard_normal((6, 4, 70)))[::2],
        "one row each": x[:, :1],
        "one matrix": x[:1],
        "expanded": x[:1].expand(5, 4, 70),
        "four axes": x.reshape(3, 2, 2, 70),
    }
    for name, a in layouts.items():
        flat = a.reshape(-1, *a.shape[-2:])
        for other in (b, b.unsqueeze(0), _C.from_numpy(b.numpy().T.copy()).transpose(0, 1)):
            got = (a @ other).reshape(-1, flat.shape[1], 33).numpy()
            matrix = other.reshape(70, 33)
            for i in range(flat.shape[0]):
                np.testing.assert_array_equal(got[i], (flat[i] @ matrix).numpy(), err_msg=name)
    large = _C.from_numpy(random.standard_normal((3, 160, 170)))
    others = _C.from_numpy(random.standard_normal((3, 170, 180)))
    for i, product in enumerate((large @ others).numpy()):
        np.testing.assert_array_equal(product, (large[i] @ others[i]).numpy())


@pytest.mark.parametrize("op", ["softmax", "log_softmax"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax_rows_do_not_know_their_batch(op: str, dtype: str, isa: str) -> None:
    """Along any axis, a row alone equals the row in a batch."""
    f = getattr(_C.ops, op)
    for n in (1, 10, 17, 1000):
        x = floats(37, n, dtype=dtype) * 5
        whole = f(t(x), 1).numpy()
        for i in (0, 5, 36):
            assert equal_bits(f(t(x[i]), 0).numpy(), whole[i])
        assert equal_bits(f(t(x.T), 0).numpy(), np.ascontiguousarray(whole.T))


def test_cross_entropy_rows_do_not_know_their_batch(isa: str) -> None:
    """Losses without reduction, and their gradients."""
    x, target = floats(41, 10), np.random.default_rng(0).integers(0, 10, 41)

    def run(rows: slice) -> tuple[Array, Array]:
        p = t(x[rows]).requires_grad_(True)
        y = _C.ops.cross_entropy(p, t(target[rows]), reduction="none")
        y.backward(_C.full(y.shape, 0.25, _C.float32))
        return y.detach().numpy(), p.grad.numpy()

    losses, grads = run(slice(None))
    for rows in (slice(0, 1), slice(40, 41), slice(3, 20)):
        y, g = run(rows)
        assert equal_bits(y, losses[rows])
        assert equal_bits(g, grads[rows])


@pytest.mark.parametrize("dtype", DTYPES)
def test_accumulated_batches_equal_one_large_batch(dtype: str, isa: str) -> None:
    """Within one batch a weight gradient is a chain over rows; bias gradients too."""
    x, g = floats(96, 33, dtype=dtype), floats(96, 17, dtype=dtype)
    for threads in (1, 2, 7):
        _C.set_num_threads(threads)
        _C.set_grain(1)
        chain = np.zeros(17, dtype)
        for row in g:
            chain = chain + row
        assert equal_bits(_C.ops.bias_grad(t(g)).numpy(), chain)
        w = t(floats(17, 33, dtype=dtype)).requires_grad_(True)
        b = t(np.zeros(17, dtype)).requires_grad_(True)
        _C.ops.linear(t(x), w, b).backward(t(g))
        assert equal_bits(b.grad.numpy(), chain)
        assert equal_bits(
            np.ascontiguousarray(w.grad.numpy().T), _C.ops.matmul(t(x.T), t(g)).numpy()
        )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cuts", [(32, 64), (1, 2, 3), (95,), (7, 14, 21)])
def test_a_second_backward_goes_on_from_the_first(
    dtype: str, cuts: tuple[int, ...], isa: str
) -> None:
    """Gradients of parts of a batch add up to the bytes of the whole, and are the same tensor."""
    x, g = floats(96, 33, dtype=dtype), floats(96, 17, dtype=dtype)
    weight, bias = floats(17, 33, dtype=dtype), floats(17, dtype=dtype)
    for threads in (1, 3):
        _C.set_num_threads(threads)
        _C.set_grain(1)
        found = []
        for places in ((), cuts):
            w, b = (t(a).requires_grad_(True) for a in (weight, bias))
            v = t(np.ascontiguousarray(weight.T)).requires_grad_(True)
            held = None
            for rows, out in zip(np.split(x, places), np.split(g, places), strict=True):
                _C.ops.linear(t(rows), w, b).backward(t(out))
                _C.ops.matmul(t(rows), v).backward(t(out))
                assert held is None or w.grad is held or w.grad.data_ptr() == held.data_ptr()
                held = w.grad
            found.append([p.grad.numpy().tobytes() for p in (w, b, v)])
        assert found[0] == found[1]


def test_a_gradient_that_somebody_hooks_is_added_as_it_is() -> None:
    x, g = floats(4, 3), floats(4, 2)
    w = t(floats(2, 3)).requires_grad_(True)
    seen: list[bytes] = []
    w.register_hook(lambda grad: seen.append(grad.numpy().tobytes()))
    for _ in range(2):
        _C.ops.linear(t(x), w).backward(t(g))
    assert seen[0] == seen[1]
    other = t(w.detach().numpy()).requires_grad_(True)
    other.grad = t(np.ones((2, 3), np.float32))  # any layout
    _C.ops.linear(t(x), other).backward(t(g))
    assert np.allclose(other.grad.numpy(), 1 + g.T @ x, atol=1e-5)
    twice = t(floats(3, 3)).requires_grad_(True)  # as input and as weight
    for _ in range(2):
        _C.ops.linear(twice, twice).backward(t(np.ones((3, 3), np.float32)))
    ones = np.ones((3, 3))
    each = ones @ twice.detach().numpy() + ones.T @ twice.detach().numpy()
    assert np.allclose(twice.grad.numpy(), 2 * each, atol=1e-5)
    half = t(floats(2, 3)).bfloat16().requires_grad_(True)
    for _ in range(2):
        _C.ops.linear(t(x).bfloat16(), half).backward(t(g).bfloat16())
    assert np.allclose(half.grad.float().numpy(), 2 * g.T @ x, rtol=0.05, atol=0.05)


# ---- sums


@pytest.mark.parametrize("n", [4095, 4096, 4097, 8193, 10**6, 10**6 + 3])
@pytest.mark.parametrize("op", ["sum", "mean"])
def test_long_sums(op: str, n: int, isa: str) -> None:
    """Blocks and a tree keep the error of a long sum near one rounding."""
    x = np.random.default_rng(n).random(n).astype(np.float32)
    want = None
    for threads in THREADS:
        _C.set_num_threads(threads)
        for grain in (0, 1000):
            _C.set_grain(grain)
            got = getattr(_C.ops, op)(t(x)).numpy()
            want = got if want is None else want
            assert equal_bits(got, want)
    exact = getattr(np, op)(x.astype(np.float64))
    assert abs(float(want) / exact - 1) <= 2e-7


@pytest.mark.parametrize("shape", [(70000, 3), (3, 70000), (300, 5, 300), (1000, 1000)])
def test_sums_along_axes_of_any_size(shape: tuple[int, ...]) -> None:
    """Every axis, contiguous or not, by any number of threads and instruction set with FMA."""
    x = np.random.default_rng(1).random(shape).astype(np.float32)
    for dim in range(len(shape)):
        seen = set()
        for isa in fma_isas() or ["base"]:
            _C.set_isa(isa)
            for threads in (1, 2, 7):
                _C.set_num_threads(threads)
                got = _C.ops.sum(t(x), dim).numpy()
                seen.add(got.tobytes())
                view = _C.ops.sum(
                    t(np.moveaxis(x, dim, 0)).permute(
                        list(np.argsort([dim, *[i for i in range(x.ndim) if i != dim]]))
                    ),
                    dim,
                )
                seen.add(np.ascontiguousarray(view.numpy()).tobytes())
        assert len(seen) == 1
        exact = x.astype(np.float64).sum(dim)
        assert np.max(np.abs(got / exact - 1)) <= 2e-7


def test_long_softmax_rows() -> None:
    """A row of a million elements still sums to 1, with small relative errors."""
    x = floats(10**6 if not FAST else 10**5)
    y = _C.ops.softmax(t(x)).numpy().astype(np.float64)
    e = np.exp(x.astype(np.float64) - x.max())
    assert abs(y.sum() - 1) <= 2e-6
    assert np.max(np.abs(y / (e / e.sum()) - 1)) <= 2e-6


def test_large_elementwise_is_cut_alike() -> None:
    """Millions of elements, views and broadcasting, any threads."""
    n = 3 * 10**5
    x, y = floats(n), floats(n, seed=2)
    seen: dict[str, set[bytes]] = {"gelu": set(), "div": set(), "broadcast": set()}
    for isa in fma_isas() or ["base"]:
        _C.set_isa(isa)
        for threads in THREADS:
            _C.set_num_threads(threads)
            for grain in (0, 777):
                _C.set_grain(grain)
                seen["gelu"].add(_C.ops.gelu(t(x)).numpy().tobytes())
                seen["div"].add(_C.ops.div(t(x), t(y)).numpy().tobytes())
                wide = _C.ops.mul(t(x.reshape(-1, 100)), t(y[:100]))
                seen["broadcast"].add(wide.numpy().tobytes())
    assert all(len(s) == 1 for s in seen.values())
    assert seen["div"] == {(x / y).tobytes()}
    assert seen["broadcast"] == {(x.reshape(-1, 100) * y[:100]).tobytes()}


# ---- random numbers


def fill(name: str, seed: int, *args: Any) -> Array:
    return getattr(_C.ops, name)(_C.Generator(seed).state, *args).numpy()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["uniform", "normal"])
def test_fills_do_not_depend_on_threads(name: str, dtype: str) -> None:
    """Number i of a fill depends on the seed, the position and i alone."""
    ours = getattr(_C, dtype)
    want = fill(name, 3, [70001], 0.0, 1.0, ours)
    for isa in fma_isas():
        _C.set_isa(isa)
        for threads in THREADS:
            _C.set_num_threads(threads)
            _C.set_grain(1)
            assert equal_bits(fill(name, 3, [70001], 0.0, 1.0, ours), want)
    assert equal_bits(fill(name, 3, [4096], 0.0, 1.0, ours), want[:4096])
    state = _C.Generator(3).state
    first = getattr(_C.ops, name)(state, [4096], 0.0, 1.0, ours).numpy()
    second = getattr(_C.ops, name)(state, [4096], 0.0, 1.0, ours).numpy()
    assert equal_bits(np.concatenate([first, second]), want[:8192])


@pytest.mark.parametrize("dtype", DTYPES)
def test_uniform_numbers_look_uniform(dtype: str) -> None:
    """Mean, variance, and the largest gap to the distribution function (Kolmogorov, Smirnov)."""
    n = 200000
    x = np.sort(fill("uniform", 1, [n], 0.0, 1.0, getattr(_C, dtype)).astype(np.float64))
    assert x[0] >= 0 and x[-1] < 1
    assert abs(x.mean() - 0.5) < 5 * math.sqrt(1 / 12 / n)
    assert abs(x.var() - 1 / 12) < 5 * math.sqrt(1 / 180 / n)
    gap = np.max(np.abs(x - (np.arange(n) + 0.5) / n))
    assert gap < 2.0 / math.sqrt(n), "p below 1e-3"
    shifted = fill("uniform", 1, [n], -2.0, 6.0, getattr(_C, dtype))
    assert shifted.min() >= -2 and shifted.max() < 6


@pytest.mark.parametrize("dtype", DTYPES)
def test_normal_numbers_look_normal(dtype: str) -> None:
    """Four moments, the distribution function, and no correlation of neighbours."""
    n = 200000
    x = fill("normal", 2, [n], 0.0, 1.0, getattr(_C, dtype)).astype(np.float64)
    assert np.isfinite(x).all()
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs((x**power).mean() - moment) < 5 * math.sqrt(variance / n), f"moment {power}"
    assert abs((x[:-1] * x[1:]).mean()) < 5 / math.sqrt(n)
    assert abs((x[::2] * x[1::2]).mean()) < 5 / math.sqrt(n / 2)
    x.sort()
    cdf = 0.5 * np.array([math.erfc(-v / math.sqrt(2)) for v in x[::10]])
    assert np.max(np.abs(cdf - (np.arange(0, n, 10) + 0.5) / n)) < 2.0 / math.sqrt(n)
    moved = fill("normal", 2, [n], 10.0, 2.0, getattr(_C, dtype))
    assert abs(moved.mean() - 10) < 0.03 and abs(moved.std() - 2) < 0.03


def test_uniform_stays_below_its_upper_bound() -> None:
    """[low, high) is half open even where rounding would reach high."""
    # 2^24 values are possible; the largest, 1 - 2^-24, rounds 1 + u to 2.
    top = fill("uniform", 0, [1 << (22 if FAST else 25)], 1.0, 2.0, _C.float32).max()
    assert top < 2.0
    assert (fill("uniform", 0, [1000], 1.0, 1.0 + 2**-23, _C.float32) == 1.0).all()


def test_integers_and_permutations() -> None:
    """In range, every value about equally often, and each permutation a permutation."""
    x = fill("integers", 5, [60000], -3, 3)
    assert set(np.unique(x)) == {-3, -2, -1, 0, 1, 2}
    assert np.max(np.abs(np.bincount(x + 3) - 10000)) < 5 * math.sqrt(10000)
    for n in (0, 1, 2, 1797, 70000):
        p = fill("permutation", 5, n)
        assert (np.sort(p) == np.arange(n)).all()
        assert equal_bits(p, fill("permutation", 5, n))
        assert n < 100 or not equal_bits(p, fill("permutation", 6, n))
    counts = np.zeros((4, 4))
    state = _C.Generator(9).state
    for _ in range(4000):
        counts[np.arange(4), _C.ops.permutation(state, 4).numpy()] += 1
    assert np.max(np.abs(counts - 1000)) < 5 * math.sqrt(1000)


def test_random_states_of_two_seeds_do_not_overlap() -> None:
    """Neighbouring seeds and neighbouring positions give unrelated numbers."""
    x, y = fill("uniform", 1, [50000]), fill("uniform", 2, [50000])
    assert abs(np.corrcoef(x, y)[0, 1]) < 5 / math.sqrt(50000)
    assert len(np.intersect1d(x, y)) < 400  # 2^24 values: about 150 meet by chance


# ---- the whole process


SCRIPT = """
import hashlib
import numpy as np
from ranvier import _C
x = _C.from_numpy(np.random.default_rng(0).standard_normal((97, 301)).astype(np.float32))
w = _C.from_numpy(np.random.default_rng(1).standard_normal((65, 301)).astype(np.float32))
w.requires_grad_(True)
y = _C.ops.cross_entropy(_C.ops.linear(x, w, None, "tanh"), _C.from_numpy(np.arange(97) % 65))
y.backward()
z = _C.ops.normal(_C.Generator(4).state, [5001])
h = hashlib.sha256()
for a in (y.detach(), w.grad, z, _C.ops.gelu(z).sum()):
    h.update(np.ascontiguousarray(a.numpy()).tobytes())
print(_C.current_isa(), h.hexdigest())
"""


def test_environment_variables_change_no_bit() -> None:
    """RANVIER_NUM_THREADS, RANVIER_GRAIN and RANVIER_ISA choose speed alone."""
    seen = set()
    for isa in fma_isas() or ["base"]:
        for threads, grain in (("1", ""), ("2", "1"), ("3", "64"), ("7", "1")):
            env = {
                **os.environ,
                "RANVIER_ISA": isa,
                "RANVIER_NUM_THREADS": threads,
                "RANVIER_GRAIN": grain,
                "PYTHONPATH": os.pathsep.join(sys.path),
            }
            run = subprocess.run(
                [sys.executable, "-c", SCRIPT],
                env=env,
                capture_output=True,
                text=True,
                check=True,
                timeout=120,
            )
            used, digest = run.stdout.split()
            assert used == isa
            seen.add(digest)
    assert len(seen) == 1


def test_unknown_isa_in_the_environment() -> None:
    """A misspelt RANVIER_ISA is an error that lists what there is, not a crash."""
    env = {**os.environ, "RANVIER_ISA": "avx1024", "PYTHONPATH": os.pathsep.join(sys.path)}
    code = "from ranvier import _C; _C.ops.exp(_C.zeros((3,), _C.float32))"
    run = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 1, run.stderr
    assert "avx1024" in run.stderr and "base" in run.stderr and "Error" in run.stderr
