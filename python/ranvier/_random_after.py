"""Random tensors made after other tensors: of their shape, or with them as parameters.

As in `_random.py`, the drawing is done by ops of the core.
"""

from __future__ import annotations

from typing import Any

from ranvier import _C
from ranvier._arguments import tensor_in
from ranvier._C import Generator, Tensor
from ranvier._devices import check_device
from ranvier._layouts import check_options, shape_from
from ranvier._random import dtype_for, finished, rand, randint, randn, state_of

# --- like another tensor ------------------------------------------------------------------------


def rand_like(
    input: Tensor,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
    pin_memory: bool = False,
) -> Tensor:
    """Uniform random numbers in [0, 1) with the shape and dtype of another tensor.

    Parameters
    ----------
    input : Tensor
    generator : Generator, optional
    dtype : dtype, optional
        Another floating dtype than the tensor's.
    layout : strided, optional
    device : "cpu", optional
    requires_grad : bool, default False
    memory_format : optional
        Changes nothing: the numbers come in the order of the elements.
    pin_memory : bool, default False
        Changes nothing.

    Raises
    ------
    TypeError
        A dtype that is not floating.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.rand_like(rv.ones(2, 2)).shape
    (2, 2)
    """
    tensor_in("rand_like", input)
    check_device(device, "rand_like")
    check_options("rand_like", layout, pin_memory)
    chosen = input.dtype if dtype is None else dtype
    return rand(input.shape, generator=generator, dtype=chosen, requires_grad=requires_grad)


def randn_like(
    input: Tensor,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
    pin_memory: bool = False,
) -> Tensor:
    """Standard normal random numbers with the shape and dtype of another tensor.

    Parameters
    ----------
    input : Tensor
    generator : Generator, optional
    dtype : dtype, optional
        Another floating dtype than the tensor's.
    layout : strided, optional
    device : "cpu", optional
    requires_grad : bool, default False
    memory_format : optional
        Changes nothing: the numbers come in the order of the elements.
    pin_memory : bool, default False
        Changes nothing.

    Raises
    ------
    TypeError
        A dtype that is not floating.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.randn_like(rv.ones(3)).shape
    (3,)
    """
    tensor_in("randn_like", input)
    check_device(device, "randn_like")
    check_options("randn_like", layout, pin_memory)
    chosen = input.dtype if dtype is None else dtype
    return randn(input.shape, generator=generator, dtype=chosen, requires_grad=requires_grad)


def randint_like(
    input: Tensor,
    *args: int,
    low: int | None = None,
    high: int | None = None,
    generator: Generator | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
    pin_memory: bool = False,
) -> Tensor:
    """`randint_like(input, high)` or `randint_like(input, low, high)`: integers in [low, high).

    Parameters
    ----------
    input : Tensor
        Gives the shape, and the dtype unless one is given.
    low : int, default 0
    high : int
    generator : Generator, optional
    dtype : dtype, optional
    layout : strided, optional
    device : "cpu", optional
    requires_grad : bool, default False
    memory_format : optional
        Changes nothing: the numbers come in the order of the elements.
    pin_memory : bool, default False
        Changes nothing.

    Raises
    ------
    TypeError, ValueError
        As `randint`.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.randint_like(rv.ones(2, 2), 3, 4)
    tensor([[3., 3.],
            [3., 3.]])
    """
    check_device(device, "randint_like")
    check_options("randint_like", layout, pin_memory)
    names = ("high",) if len(args) == 1 and high is None else ("low", "high")
    given = dict(zip(names, args, strict=False))
    end = given.get("high", high)
    if end is None or len(args) > len(names):
        raise TypeError(
            "[randint_like] expected randint_like(input, high) or randint_like(input, low, high)"
        )
    return randint(
        low=given.get("low", 0 if low is None else low),
        high=end,
        size=input.shape,
        generator=generator,
        dtype=input.dtype if dtype is None else dtype,
        requires_grad=requires_grad,
    )


# --- distributions' parameters from tensors -----------------------------------------------------


def normal(
    mean: Tensor | float = 0.0,
    std: Tensor | float = 1.0,
    size: Any = None,
    *,
    generator: Generator | None = None,
    out: Tensor | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """Normal random numbers: of one mean and deviation, or of one each.

    Parameters
    ----------
    mean, std : Tensor or float
        Tensors broadcast; the result then has their shape.
    size : sequence of int, optional
        The shape where mean and std are numbers; then it must be given.
    generator : Generator, optional
    out : Tensor, optional
        Takes the numbers.
    dtype : dtype, optional
        Of the result where mean and std are numbers.
    layout : strided, optional
    device : "cpu", optional
    requires_grad : bool, default False
    pin_memory : bool, default False
        Changes nothing.

    Raises
    ------
    TypeError
        A size beside tensors, or none beside numbers; tensors that are not floating.
    ValueError, RuntimeError
        A deviation below 0.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.normal(rv.arange(1.0, 3.0), rv.zeros(2))
    tensor([1., 2.])
    >>> rv.normal(0.0, 2.0, (2, 3)).shape
    (2, 3)
    """
    check_device(device, "normal")
    check_options("normal", layout, pin_memory)
    state = state_of(generator)
    if isinstance(mean, Tensor) or isinstance(std, Tensor):
        if size is not None:
            raise TypeError("[normal] size: expected none beside tensors, which have a shape")
        result = _C.ops.normal_around(state, *_pair(mean, std))
    else:
        if size is None:
            raise TypeError("[normal] expected a size beside numbers: normal(0.0, 1.0, (2, 3))")
        shape = shape_from((size,), "normal")
        result = _C.ops.normal(state, shape, mean, std, dtype_for(dtype, out))
    return finished(result, out, requires_grad, "normal")


def _pair(mean: Tensor | float, std: Tensor | float) -> tuple[Tensor, Tensor]:
    """Two tensors of one dtype, the wider one's."""
    if not isinstance(mean, Tensor):
        assert isinstance(std, Tensor)
        mean = _C.full((), mean, std.dtype)
    if not isinstance(std, Tensor):
        std = _C.full((), std, mean.dtype)
    if mean.dtype is not std.dtype and mean.dtype.is_floating_point and std.dtype.is_floating_point:
        wide = max((mean.dtype, std.dtype), key=lambda d: d.itemsize)
        if mean.dtype.itemsize == std.dtype.itemsize:  # float16 beside bfloat16
            wide = _C.float32
        mean, std = _C.ops.cast(mean, wide), _C.ops.cast(std, wide)
    return mean.detach(), std.detach()


def bernoulli(
    input: Tensor,
    p: float | None = None,
    *,
    generator: Generator | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """1 with the probability that each element gives, else 0.

    Parameters
    ----------
    input : Tensor
        Probabilities, of a floating dtype.
    p : float, optional
        One probability for all elements, in place of what `input` holds.
    generator : Generator, optional
    out : Tensor, optional
        Takes the numbers.

    Returns
    -------
    Tensor
        Zeros and ones of the input's shape and dtype, without gradient.

    Raises
    ------
    TypeError
        An input that is not floating.
    RuntimeError
        Probabilities that are not from 0 to 1.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.bernoulli(rv.tensor([0.0, 1.0]))
    tensor([0., 1.])
    """
    chances = input.detach() if p is None else _C.full((), p, input.dtype).expand(input.shape)
    result = _C.ops.bernoulli(state_of(generator), chances)
    return finished(result, out, False, "bernoulli")


def multinomial(
    input: Tensor,
    num_samples: int,
    replacement: bool = False,
    *,
    generator: Generator | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """Indices drawn with the probabilities that the rows of weights give.

    Parameters
    ----------
    input : Tensor
        Weights (n,) or (rows, n) of a floating dtype; they need not add up to 1.
    num_samples : int
        Draws for each row.
    replacement : bool, default False
        Whether an index may be drawn again.
    generator : Generator, optional
    out : Tensor, optional
        Takes the indices.

    Returns
    -------
    Tensor
        int64, (num_samples,) or (rows, num_samples); without replacement in the order drawn.

    Raises
    ------
    TypeError, ShapeError
        Weights that are not floating, or have another number of axes.
    RuntimeError
        Weights that are negative, NaN, infinite or all 0; more samples than weights above 0.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.multinomial(rv.tensor([0.0, 3.0, 0.0]), 2, replacement=True)
    tensor([1, 1])
    """
    result = _C.ops.multinomial(state_of(generator), input.detach(), num_samples, replacement)
    return finished(result, out, False, "multinomial")
