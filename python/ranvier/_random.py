"""Random tensors and seeds. The n-th number depends on the seed and n alone, never on threads.

A generator's seed and position are a tensor that the drawing op moves on; this file only finds
the generator and the shape.
"""

from __future__ import annotations

import operator
from typing import Any

from ranvier import _C
from ranvier._C import Generator, Tensor
from ranvier._devices import check_device
from ranvier._layouts import shape_from


def state_of(generator: Generator | None) -> Tensor:
    """What a drawing op takes first: the state of the given or of the default generator."""
    return (_C.default_generator() if generator is None else generator).state


def checked_seed(where: str, value: Any) -> int:
    """A seed: a whole number of 0 or more in 64 bits, of any integer type.

    Raises
    ------
    TypeError
        If it is no whole number.
    ValueError
        If it is out of range.
    """
    try:
        seed = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        seed = None
    if seed is None or not 0 <= seed < 2**64:
        kind = TypeError if seed is None else ValueError
        raise kind(
            f"[{where}] seed: expected a whole number from 0 to 2**64 - 1, got {value!r:.60}"
        )
    return seed


def manual_seed(seed: int) -> Generator:
    """Sets the seed of the default generator and returns it.

    Parameters
    ----------
    seed : int
        0 <= seed < 2**64.

    Raises
    ------
    TypeError, ValueError
        If it is no whole number, or out of range.

    Examples
    --------
    >>> import ranvier as rv
    >>> _ = rv.manual_seed(0)
    >>> a = rv.rand(3)
    >>> _ = rv.manual_seed(0)
    >>> rv.equal(a, rv.rand(3))
    True
    """
    return _C.default_generator().manual_seed(checked_seed("manual_seed", seed))


def initial_seed() -> int:
    """The seed of the default generator."""
    return _C.default_generator().initial_seed()


def _ready(result: Tensor, requires_grad: bool) -> Tensor:
    return result.requires_grad_() if requires_grad else result


def rand(
    *size: Any,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uniform random numbers in [0, 1).

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.rand(2, 3).shape
    (2, 3)
    """
    check_device(device, "rand")
    shape = shape_from(size, "rand")
    chosen = _C.float32 if dtype is None else dtype
    return _ready(_C.ops.uniform(state_of(generator), shape, 0.0, 1.0, chosen), requires_grad)


def randn(
    *size: Any,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Random numbers of the standard normal distribution.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.randn(2, generator=rv.Generator(1)).shape
    (2,)
    """
    check_device(device, "randn")
    shape = shape_from(size, "randn")
    chosen = _C.float32 if dtype is None else dtype
    return _ready(_C.ops.normal(state_of(generator), shape, 0.0, 1.0, chosen), requires_grad)


def randint(
    *args: Any,
    low: int | None = None,
    high: int | None = None,
    size: Any = None,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
) -> Tensor:
    """`randint(high, size)` or `randint(low, high, size)`: integers in [low, high), int64.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.randint(10, (3,)).dtype
    ranvier.int64
    """
    check_device(device, "randint")
    names = ("high", "size") if _short_form(args, low, high, size) else ("low", "high", "size")
    given = dict(zip(names, args, strict=False))
    start = given.get("low", 0 if low is None else low)
    end, shape = given.get("high", high), given.get("size", size)
    if end is None or shape is None or len(args) > len(names):
        raise TypeError("[randint] expected randint(high, size) or randint(low, high, size)")
    result = _C.ops.integers(state_of(generator), shape_from((shape,), "randint"), start, end)
    return result if dtype is None else _C.ops.cast(result, dtype)


def _short_form(args: tuple[Any, ...], low: Any, high: Any, size: Any) -> bool:
    """Whether the first positional argument is `high`."""
    if len(args) == 2:
        return isinstance(args[1], (tuple, list))
    return len(args) == 1 and high is None


def randperm(n: int, *, generator: Generator | None = None, device: Any = None) -> Tensor:
    """The integers 0..n-1 in random order, int64.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.equal(rv.randperm(4).sum(), rv.tensor(6))
    True
    """
    check_device(device, "randperm")
    return _C.ops.permutation(state_of(generator), n)


def rand_like(
    input: Tensor,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uniform random numbers in [0, 1) with the shape and dtype of another tensor.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.rand_like(rv.ones(2, 2)).shape
    (2, 2)
    """
    chosen = input.dtype if dtype is None else dtype
    return rand(input.shape, generator=generator, dtype=chosen, requires_grad=requires_grad)


def randn_like(
    input: Tensor,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Standard normal random numbers with the shape and dtype of another tensor.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.randn_like(rv.ones(3)).shape
    (3,)
    """
    chosen = input.dtype if dtype is None else dtype
    return randn(input.shape, generator=generator, dtype=chosen, requires_grad=requires_grad)
