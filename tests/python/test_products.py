"""Products under PyTorch's names: einsum's spellings, integers, half precision, what is refused.

Values and gradients in float32 and float64 are the case table's.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier import _C

WHOLE = ["int64", "int32", "int16", "int8", "uint8"]


def numbers(*shape: int, dtype: str = "float64", seed: int = 0) -> Any:
    rng = np.random.default_rng([seed, *shape])
    if dtype.startswith("float"):
        return rng.standard_normal(shape).astype(dtype)
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)


def t(array: Any) -> Any:
    return rv.tensor(np.array(array, order="C"))


# --- integers and half precision ----------------------------------------------------------------


@pytest.mark.parametrize("dtype", WHOLE)
@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((3, 4), (4, 5)), ((5,), (5,)), ((3, 4), (4,)), ((4,), (4, 5)), ((2, 1, 3, 4), (5, 4, 2)),
        ((0, 3), (3, 2)), ((2, 0), (0, 3)), ((70, 33), (33, 90)),
    ],
)  # fmt: skip
def test_integers_wrap_as_in_numpy(dtype: str, a: Any, b: Any) -> None:
    x, y = numbers(*a, dtype=dtype), numbers(*b, dtype=dtype, seed=1)
    with np.errstate(all="ignore"):
        want = np.matmul(x, y)
    got = rv.matmul(t(x), t(y))
    assert got.dtype.name == dtype and np.array_equal(got.numpy(), want)
    for turned in (t(x.T).T if x.ndim == 2 else t(x), t(np.repeat(x, 2, -1))[..., ::2]):
        assert np.array_equal((turned @ t(y)).numpy(), want)
        if y.ndim == 2:
            assert np.array_equal((turned @ t(y.T).T).numpy(), want)
    if len(a) == len(b) == 1:
        assert np.array_equal(rv.dot(t(x), t(y)).numpy(), want)


@pytest.mark.parametrize("dtype", [rv.float16, rv.bfloat16])
def test_half_precision_is_computed_in_float32_and_rounded_once(dtype: Any) -> None:
    x, y = t(numbers(5, 40)).to(dtype), t(numbers(40, 3, seed=1)).to(dtype)
    exact = (x.float() @ y.float()).to(dtype)
    assert rv.equal((x @ y).float(), exact.float())
    assert rv.equal(rv.einsum("ij,jk->ik", x, y).float(), exact.float())
    assert rv.equal(
        rv.dot(x[0], y[:, 0]).float(), rv.dot(x[0].float(), y[:, 0].float()).to(dtype).float()
    )
    assert rv.addmm(rv.ones(3, dtype=dtype), x, y, alpha=0.5).dtype is dtype


def test_one_dtype_is_asked_for() -> None:
    a = rv.ones(2, 2)
    for f in (rv.mm, rv.matmul, lambda x, y: rv.einsum("ij,jk", x, y), lambda x, y: x @ y):
        with pytest.raises(TypeError, match=r"float32.*float64.*\.float\(\) or \.double\(\)"):
            f(a, a.double())
        with pytest.raises(TypeError, match=r"float32.*int64"):
            f(a, a.long())
        with pytest.raises(TypeError, match="bool"):
            f(a.bool(), a.bool())
    assert rv.outer(rv.ones(2), rv.ones(3, dtype=rv.int64)).dtype is rv.float32
    assert rv.einsum("i,j->ij", rv.ones(2), rv.ones(3, dtype=rv.int64)).dtype is rv.float32
    assert rv.trace(rv.ones(2, 2, dtype=rv.int32)).dtype is rv.int64


# --- beta and alpha -----------------------------------------------------------------------------


def test_beta_of_zero_ignores_the_input() -> None:
    c = rv.full((2, 2), float("nan"), requires_grad=True)
    x = rv.ones(2, 2, requires_grad=True)
    y = rv.addmm(c, x, x.detach(), beta=0)
    assert y.tolist() == [[2, 2], [2, 2]]
    y.sum().backward()
    assert c.grad.tolist() == [[0, 0], [0, 0]] and x.grad.tolist() == [[2, 2], [2, 2]]


def test_scales_are_keyword_only() -> None:
    a = rv.ones(2, 2)
    with pytest.raises(TypeError, match="at most 3"):
        rv.addmm(a, a, a, 2)
    assert a.addmm(a, a, beta=3).tolist() == rv.addmm(a, a, a, beta=3).tolist() == [[5, 5], [5, 5]]


# --- einsum -------------------------------------------------------------------------------------


def test_every_spelling_of_einsum() -> None:
    a, b = t(numbers(2, 3)), t(numbers(3, 4, seed=1))
    want = (a @ b).numpy()
    for got in (
        rv.einsum("ij,jk", a, b),
        rv.einsum("ij,jk->ik", [a, b]),
        rv.einsum(" i j , j k -> i k ", (a, b)),
        rv.einsum("Zb,bK->ZK", a, b),
        rv.einsum(a, [0, 1], b, [1, 2], [0, 2]),
        rv.einsum(a, [0, 1], b, [1, 2]),
        rv.einsum(a, [..., 51], b, (51, 2), [..., 2]),
        _C.ops.einsum("ij,jk", a, b),
        rv.tensordot(a, b, 1),
        rv.tensordot(a, b, dims=([1], [0])),
        rv.tensordot(a, b, dims=[[-1], [-2]]),
        rv.tensordot(a, b, dims=rv.tensor([[1], [0]])),
        rv.tensordot(a, b, dims=rv.tensor(1)),
        rv.chain_matmul(a, b),
        a.mm(b),
    ):
        assert np.allclose(got.numpy(), want, rtol=1e-14)
    out = rv.zeros(2, 4, dtype=rv.float64)
    assert rv.tensordot(a, b, 1, out=out) is out and np.allclose(out.numpy(), want)
    assert rv.mm(a, b, out=out) is out
    assert rv.tensordot(a, a, 0).shape == (2, 3, 2, 3)
    assert np.allclose(rv.tensordot(a, a).item(), (a * a).sum().item())


@pytest.mark.parametrize("dtype", WHOLE)
def test_einsum_of_integers(dtype: str) -> None:
    x, y, z = (numbers(3, 3, dtype=dtype, seed=i) for i in range(3))
    for equation in ("ij,jk->ik", "ij,ij->i", "ij,kj->", "ii,jj->ij", "ij,k->k"):
        second = y[0] if equation.endswith("k->k") else y
        with np.errstate(all="ignore"):
            want = np.einsum(equation, x, second)
        got = rv.einsum(equation, t(x), t(second))
        assert got.dtype.name == dtype and np.array_equal(got.numpy(), want), equation
    with np.errstate(all="ignore"):
        want = np.einsum("ij,jk,kl->li", x, y, z)
    assert np.array_equal(rv.einsum("ij,jk,kl->li", t(x), t(y), t(z)).numpy(), want)
    assert rv.einsum("ij->i", t(x)).dtype is rv.int64
    assert rv.einsum("ij->ji", t(x)).dtype.name == dtype


def test_a_single_operand_gives_a_view() -> None:
    x = rv.zeros(3, 3)
    rv.einsum("ij->ji", x)[0, 1] = 5
    assert x[1, 0] == 5
    assert rv.einsum("ij->ij", x) is not x


def test_random_equations_agree_with_numpy() -> None:
    rng = np.random.default_rng(5)
    for _ in range(300):
        letters = rng.permutation(list("abcDE"))[: rng.integers(1, 5)]
        sizes = dict(zip(letters, rng.integers(1, 4, len(letters)), strict=True))
        terms = [
            "".join(rng.choice(letters, rng.integers(0, 4))) for _ in range(rng.integers(1, 5))
        ]
        used = sorted({c for term in terms for c in term})
        out = "".join(rng.permutation(used)[: rng.integers(0, len(used) + 1)])
        equation = ",".join(terms) + ("" if rng.random() < 0.3 else "->" + out)
        arrays = [rng.standard_normal([sizes[c] for c in term]) for term in terms]
        got, want = rv.einsum(equation, [t(x) for x in arrays]), np.einsum(equation, *arrays)
        assert got.shape == want.shape, equation
        size = np.einsum(equation, *map(np.abs, arrays))
        assert (np.abs(got.numpy() - want) <= 1e-13 * (1 + size)).all(), equation


def test_many_operands_take_the_cheap_order() -> None:
    """A long chain of which no order from the left would fit into memory."""
    wide = rv.ones(1, 2000)
    letters = "abcdefgh"
    pairs = list(itertools.pairwise(letters))
    operands = [wide if i % 2 == 0 else wide.T for i in range(len(pairs))]
    equation = ",".join(x + y for x, y in pairs) + "->" + letters[0] + letters[-1]
    assert rv.einsum(equation, operands).shape == (1, 2000)
    assert rv.chain_matmul(rv.ones(2000, 1), wide, wide.T).shape == (2000, 1)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: rv.einsum("ij"), ValueError, "at least one operand"),
        (lambda: rv.einsum(), ValueError, "at least one operand"),
        (lambda: rv.einsum(1, rv.ones(2)), TypeError, "string.*equation"),
        (lambda: rv.einsum("i", 3), TypeError, "list or tuple of tensors"),
        (lambda: rv.einsum("i", []), ValueError, "at least one operand"),
        (lambda: rv.einsum("i,i", rv.ones(2), "a"), TypeError, "numbers"),
        (lambda: rv.einsum(rv.ones(2), [52]), rv.ShapeError, "0 to 51, got 52"),
        (lambda: rv.einsum(rv.ones(2), 0), TypeError, "list of axes"),
        (lambda: rv.einsum(rv.ones(2), ["i"]), TypeError, "whole numbers"),
        (lambda: rv.tensordot(rv.ones(2), rv.ones(2), 2), rv.ShapeError, "got 2 for"),
        (lambda: rv.tensordot(rv.ones(2), rv.ones(2), -1), rv.ShapeError, "-1"),
        (lambda: rv.tensordot(rv.ones(2), rv.ones(2), 0.5), TypeError, "0.5"),
        (lambda: rv.tensordot(rv.ones(2), rv.ones(2), [[0]]), rv.ShapeError, "pair"),
        (lambda: rv.tensordot(rv.ones(2), rv.ones(3), 1), rv.ShapeError, r"\(2,\).*\(3,\)"),
        (lambda: rv.chain_matmul(), TypeError, "chain_matmul"),
        (lambda: rv.einsum("abcde,fghij->abcdefghij", rv.ones(*[1] * 5), rv.ones(*[1] * 5)),
         rv.ShapeError, "dimensions"),
    ],
)  # fmt: skip
def test_refusals(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()
