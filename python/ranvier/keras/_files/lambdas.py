"""What a Lambda layer computes, as a list of instructions: a file holds no code.

The list is that of `ranvier.io.forwards`: the function is run on made-up rows, and what it does
with tensors is written down, for any number of rows.
"""

from __future__ import annotations

from typing import Any

from ranvier._C import Tensor
from ranvier._grad import no_grad
from ranvier.io import forwards
from ranvier.keras._files.values import DescribeError, shape_in
from ranvier.keras.backend import to_dtype


class Recorded:
    """A function whose instructions a file holds.

    Parameters
    ----------
    description : dict
        As `written` gives it.
    """

    def __init__(self, description: dict[str, Any]) -> None:
        shape = tuple(n for n in shape_in(description.get("shape")) if n is not None)
        given: Any = description.get("constants")
        constants = given if isinstance(given, dict) else {"": None}
        named: dict[str, Any] = {f"{forwards.PREFIX}{number}": t for number, t in constants.items()}
        right = len(shape) == len(description["shape"])
        if not right or not all(isinstance(t, Tensor) for t in named.values()):
            raise ValueError(f"expected instructions of a function, got {description!r:.60}")
        self.description = {**description, "shape": list(shape)}
        self.listed = forwards.checked(description.get("forward"), shape, set(), named)

    def __call__(self, x: Tensor) -> Any:
        shape = self.listed.shape
        if tuple(x.shape[1:]) != shape:
            raise ValueError(
                f"[Lambda] expected rows of shape {shape}, for which the file holds what the "
                f"function computes, got {tuple(x.shape)}"
            )
        return self.listed.run(_nothing, x)


def _nothing(name: str) -> Tensor:
    raise KeyError(name)


def written(layer: Any) -> dict[str, Any]:
    """What a Lambda layer computes, as plain data.

    Raises
    ------
    DescribeError
        If it cannot be written down, with why.
    """
    if isinstance(layer.function, Recorded):
        return layer.function.description
    shapes = layer._build_shapes
    shape = shapes[0] if shapes and len(shapes) == 1 else None
    known = isinstance(shape, (list, tuple)) and all(type(n) is int for n in shape[1:])
    if shape is None or not known:
        raise DescribeError(
            "its function has no name to be found by, and its input is not one tensor of known "
            "sizes, so that nobody can write down what it computes"
        )
    name = layer._nodes[0].parents[0].dtype if layer._nodes else layer.dtype
    dtype = to_dtype(name)
    try:
        with no_grad():
            seen = forwards._recorded(layer, forwards._example(2, tuple(shape[1:]), dtype))
        if any(t.requires_grad for t in seen.held.values()):
            raise forwards.ForwardError("it uses weights of others, which a file cannot join to it")
        listed, constants = forwards.described(layer, {}, tuple(shape[1:]), dtype)
    except forwards.ForwardError as error:
        raise DescribeError(f"its function has no name to be found by, and {error}") from None
    return {
        "is": "recorded",
        "shape": list(shape[1:]),
        "forward": listed,
        "constants": {name.removeprefix(forwards.PREFIX): t for name, t in constants.items()},
    }
