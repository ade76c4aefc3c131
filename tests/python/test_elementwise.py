"""Elementwise ops where the case table does not look: operators, ends of ranges, aliases."""

from __future__ import annotations

import numpy as np
import pytest

import ranvier as rv
from ranvier import _C, _ops


def test_operators_and_their_reflections() -> None:
    """What Python's operators give on integers, tensors and numbers on either side."""
    a = rv.tensor([5, -5, 7])
    assert (a // 2).tolist() == [2, -3, 3]
    assert (7 // a).tolist() == [1, -2, 1]
    assert (a % 3).tolist() == [2, 1, 1]
    assert (-7 % a).tolist() == [3, -2, 0]
    assert (a**2).tolist() == [25, 25, 49] and (2 ** rv.tensor([1, 3])).tolist() == [2, 8]
    assert (a & 3).tolist() == [1, 3, 3] and (1 | a).tolist() == [5, -5, 7]
    assert (a ^ a).tolist() == [0, 0, 0] and (~a).tolist() == [-6, 4, -8]
    assert (a << 1).tolist() == [10, -10, 14] and (a >> 1).tolist() == [2, -3, 3]
    assert (~rv.tensor([True, False])).tolist() == [False, True]
    assert round(rv.tensor([1.256]), 1).item() == pytest.approx(1.3)
    assert rv.round(rv.tensor([1.256]), decimals=-(2**63)).isnan().item()  # as PyTorch from -39 on
    held = a
    a //= 2
    a <<= 1
    a &= 6
    assert held is a and a.tolist() == [4, 2, 6]


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64"])
def test_ends_of_the_integer_range(dtype: str) -> None:
    """The smallest integer over -1 wraps around; shifts past the width are defined."""
    least = int(np.iinfo(dtype).min)
    x = rv.tensor([least], dtype=getattr(rv, dtype))
    assert (x // -1).item() == least and (x % -1).item() == 0
    assert rv.fmod(x, -1).item() == 0 and x.div(-1, rounding_mode="trunc").item() == least
    for shift in (-1, 8 * np.dtype(dtype).itemsize, 127):
        assert (x << shift).item() == 0 or shift < 8 * np.dtype(dtype).itemsize
        assert (x >> shift).item() <= -1
    assert (x << -1).item() == 0 and (x >> -1).item() == -1


def test_integer_powers() -> None:
    """Of PyTorch: negative exponents in a tensor truncate, a negative number is refused."""
    base, exponent = rv.tensor([2, 1, -1, -1, 0]), rv.tensor([-1, -3, -3, -2, -2])
    assert (base**exponent).tolist() == [0, 1, -1, 1, 0]
    with pytest.raises(RuntimeError, match=r"\[pow\] expected a whole exponent"):
        base**-1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_large_angles(dtype: str, isa: str) -> None:
    """Angles are reduced with all digits of pi that they need."""
    x = np.array([8191.0, 8193.0, 1e6, 1e10, 1e22, 3.4e38, -1e30, 16367173.0], dtype)
    wide = x.astype(np.longdouble)
    for name in ("sin", "cos", "tan"):
        got = getattr(_C.ops, name)(_C.from_numpy(x)).numpy()
        want = getattr(np, name)(wide)
        assert (np.abs(got - want) <= 1.5 * np.finfo(dtype).eps * np.abs(want)).all(), name
    assert np.isnan(rv.sin(rv.tensor([float("inf")])).item())


def test_aliases_are_the_same_objects() -> None:
    """A second name is no second op, as a function and as a method."""
    for alias, name in _ops.ALIASES.items():
        assert getattr(rv, alias) is getattr(rv, name)
        assert getattr(rv.Tensor, alias) is getattr(_C.ops, name)


def test_where_as_a_method() -> None:
    """The tensor itself where the condition is true, with gradients for both."""
    x, y = rv.tensor([1.0, 2.0], requires_grad=True), rv.tensor([5.0, 6.0], requires_grad=True)
    z = x.where(x > 1, y)
    z.sum().backward()
    assert z.tolist() == [5.0, 2.0]
    assert x.grad is not None and x.grad.tolist() == [0.0, 1.0]
    assert y.grad is not None and y.grad.tolist() == [1.0, 0.0]
