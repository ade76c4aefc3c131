"""Random tensors and seeds. The n-th number depends on the seed and n alone, never on threads.

A generator's seed and position are a tensor that the drawing op moves on; this file only finds
the generator and the shape, under PyTorch's names. What fills a tensor in place is in `_fills.py`.
"""

from __future__ import annotations

import operator
from typing import Any

from ranvier import _C
from ranvier._arguments import tensor_in
from ranvier._C import Generator, ShapeError, Tensor
from ranvier._devices import check_device
from ranvier._dtypes import as_dtype, or_default
from ranvier._layouts import check_options, shape_from


def state_of(generator: Generator | None) -> Tensor:
    """What a drawing op takes first: the state of the given or of the default generator."""
    if generator is None:
        return _C.default_generator().state
    if not isinstance(generator, Generator):
        raise TypeError(
            f"[random] generator: expected a Generator or None, got {type(generator).__name__}"
        )
    return generator.state


# --- seeds and states ---------------------------------------------------------------------------


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
        -2**63 <= seed < 2**64; a negative one counts from 2**64 down.

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
    if isinstance(seed, int) and -(2**63) <= seed < 0:
        seed += 2**64
    return _C.default_generator().manual_seed(checked_seed("manual_seed", seed))


def seed() -> int:
    """Seeds the default generator from the operating system's randomness; returns the seed.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.seed() == rv.initial_seed()
    True
    """
    return _C.default_generator().seed()


def initial_seed() -> int:
    """The seed of the default generator.

    Examples
    --------
    >>> import ranvier as rv
    >>> _ = rv.manual_seed(5)
    >>> rv.initial_seed()
    5
    """
    return _C.default_generator().initial_seed()


def get_rng_state() -> Tensor:
    """Where the default generator is, as 16 bytes (uint8) for `set_rng_state`.

    Examples
    --------
    >>> import ranvier as rv
    >>> state = rv.get_rng_state()
    >>> a = rv.rand(3)
    >>> rv.set_rng_state(state)
    >>> rv.equal(a, rv.rand(3))
    True
    """
    return _C.default_generator().get_state()


def set_rng_state(new_state: Tensor) -> None:
    """Puts the default generator to where `get_rng_state` found it.

    Parameters
    ----------
    new_state : Tensor
        uint8 of shape (16,).

    Raises
    ------
    TypeError, ShapeError
        What `get_rng_state` does not give.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.set_rng_state(rv.Generator(3).get_state())
    >>> rv.initial_seed()
    3
    """
    _C.default_generator().set_state(new_state)


# --- numbers ------------------------------------------------------------------------------------


def dtype_for(dtype: Any, out: Tensor | None) -> Any:
    """The given dtype, else that of `out`, else the default one."""
    if dtype is not None or out is None:
        return or_default(dtype)
    return tensor_in("random", out, "out").dtype


def _check_out(out: Tensor | None, shape: tuple[int, ...], where: str) -> None:
    if out is not None and tensor_in(where, out, "out").shape != shape:
        raise ShapeError(f"[{where}] out: expected a tensor of shape {shape}, got {out.shape}")


def finished(result: Tensor, out: Tensor | None, requires_grad: bool, where: str) -> Tensor:
    if out is not None:
        _check_out(out, result.shape, where)
        result = out.copy_(result)
    return result.requires_grad_() if requires_grad else result


def _whole(value: Any, name: str, where: str) -> int:
    """A whole number of 64 bits; a bool is none."""
    try:
        if not isinstance(value, bool):
            number = operator.index(value)
            if -(2**63) <= number < 2**63:
                return number
            raise ValueError(f"[{where}] {name}: expected a number of 64 bits, got {number}")
    except TypeError:
        pass
    raise TypeError(f"[{where}] {name}: expected a whole number, got {value!r:.60}")


def rand(
    *args: Any,
    size: Any = None,
    generator: Generator | None = None,
    out: Tensor | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """Uniform random numbers in [0, 1).

    Parameters
    ----------
    *args : int or sequence of int
        The shape: `rand(2, 3)`, `rand((2, 3))` or `rand(size=(2, 3))`.
    generator : Generator, optional
        The default generator unless given.
    out : Tensor, optional
        Takes the numbers.
    dtype : dtype, optional
        A floating one; the default dtype unless given.
    layout : strided, optional
    device : "cpu", optional
    requires_grad : bool, default False
    pin_memory : bool, default False
        Changes nothing.

    Raises
    ------
    TypeError, ShapeError
        A dtype that is not floating, sizes that are no sizes.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.rand(2, 3).shape
    (2, 3)
    """
    check_device(device, "rand")
    check_options("rand", layout, pin_memory)
    shape = shape_from(args, "rand", size)
    _check_out(out, shape, "rand")
    result = _C.ops.uniform(state_of(generator), shape, 0.0, 1.0, dtype_for(dtype, out))
    return finished(result, out, requires_grad, "rand")


def randn(
    *args: Any,
    size: Any = None,
    generator: Generator | None = None,
    out: Tensor | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """Random numbers of the standard normal distribution.

    Parameters
    ----------
    *args : int or sequence of int
        The shape: `randn(2, 3)`, `randn((2, 3))` or `randn(size=(2, 3))`.
    generator : Generator, optional
        The default generator unless given.
    out : Tensor, optional
        Takes the numbers.
    dtype : dtype, optional
        A floating one; the default dtype unless given.
    layout : strided, optional
    device : "cpu", optional
    requires_grad : bool, default False
    pin_memory : bool, default False
        Changes nothing.

    Raises
    ------
    TypeError, ShapeError
        A dtype that is not floating, sizes that are no sizes.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.randn(2, generator=rv.Generator(1)).shape
    (2,)
    """
    check_device(device, "randn")
    check_options("randn", layout, pin_memory)
    shape = shape_from(args, "randn", size)
    _check_out(out, shape, "randn")
    result = _C.ops.normal(state_of(generator), shape, 0.0, 1.0, dtype_for(dtype, out))
    return finished(result, out, requires_grad, "randn")


def randint(
    *args: Any,
    low: int | None = None,
    high: int | None = None,
    size: Any = None,
    generator: Generator | None = None,
    out: Tensor | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """`randint(high, size)` or `randint(low, high, size)`: random integers in [low, high).

    Parameters
    ----------
    low : int, default 0
    high : int
        The first number above the range.
    size : sequence of int
    generator : Generator, optional
    out : Tensor, optional
        Takes the numbers.
    dtype : dtype, optional
        int64 unless given; any that is computed with and holds the whole range.
    layout : strided, optional
    device : "cpu", optional
    requires_grad : bool, default False
        For floating dtypes.
    pin_memory : bool, default False
        Changes nothing.

    Raises
    ------
    TypeError
        Bounds that are no whole numbers, a size that is no sequence.
    ValueError
        low >= high, or bounds that the dtype does not hold.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.randint(10, (3,)).dtype
    ranvier.int64
    >>> rv.randint(-5, 5, (2, 2), dtype=rv.int8).shape
    (2, 2)
    """
    check_device(device, "randint")
    check_options("randint", layout, pin_memory)
    names = ("high", "size") if _short_form(args, low, high, size) else ("low", "high", "size")
    given = dict(zip(names, args, strict=False))
    start = given.get("low", 0 if low is None else low)
    end, shape = given.get("high", high), given.get("size", size)
    if end is None or shape is None or len(args) > len(names):
        raise TypeError("[randint] expected randint(high, size) or randint(low, high, size)")
    if not isinstance(shape, (tuple, list)):
        raise TypeError(f"[randint] size: expected a tuple of sizes, got {shape!r:.60}")
    first, last = _whole(start, "low", "randint"), _whole(end, "high", "randint")
    chosen = dtype if dtype is not None else _C.int64 if out is None else dtype_for(None, out)
    sizes = shape_from((shape,), "randint")
    _check_out(out, sizes, "randint")
    result = _C.ops.integers(state_of(generator), sizes, first, last, chosen)
    return finished(result, out, requires_grad, "randint")


def _short_form(args: tuple[Any, ...], low: Any, high: Any, size: Any) -> bool:
    """Whether the first positional argument is `high`."""
    if len(args) == 2:
        return isinstance(args[1], (tuple, list))
    return len(args) == 1 and high is None


def randperm(
    n: int,
    *,
    generator: Generator | None = None,
    out: Tensor | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """The integers 0..n-1 in random order.

    Parameters
    ----------
    n : int
    generator : Generator, optional
    out : Tensor, optional
        Takes the numbers.
    dtype : dtype, optional
        int64 unless given; any that holds all whole numbers below n.
    layout : strided, optional
    device : "cpu", optional
    requires_grad : bool, default False
        For floating dtypes.
    pin_memory : bool, default False
        Changes nothing.

    Raises
    ------
    TypeError, ShapeError, ValueError
        n is no whole number, negative, or more than the dtype holds.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.randperm(4).sum()
    tensor(6)
    """
    check_device(device, "randperm")
    check_options("randperm", layout, pin_memory)
    (count,) = shape_from((_whole(n, "n", "randperm"),), "randperm")
    chosen = as_dtype(
        dtype if dtype is not None else _C.int64 if out is None else dtype_for(None, out)
    )
    if count > 0 and chosen is not _C.int64:
        top = _C.ops.cast(_C.full((1,), count - 1, _C.float64), chosen)
        if int(_C.ops.cast(top, _C.int64).item()) != count - 1:
            raise ValueError(f"[randperm] n: expected numbers that {chosen.name} holds, got {n}")
    result = _C.ops.permutation(state_of(generator), count)
    result = result if chosen is _C.int64 else _C.ops.cast(result, chosen)
    return finished(result, out, requires_grad, "randperm")
