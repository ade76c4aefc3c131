"""Parameters as one vector, and back: what methods over all weights at once need."""

from __future__ import annotations

from collections.abc import Iterable

from ranvier._arguments import tensor_in
from ranvier._C import ShapeError, Tensor, ops
from ranvier._grad import no_grad
from ranvier.nn.utils.clip import listed


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All elements of all parameters, one after another, in the order of their rows.

    Parameters
    ----------
    parameters : iterable of Tensor

    Returns
    -------
    Tensor, (elements,)
        Gradients pass through it.

    Raises
    ------
    ValueError
        No parameters.

    Examples
    --------
    >>> import ranvier as rv
    >>> layer = rv.nn.Linear(3, 2)
    >>> rv.nn.utils.parameters_to_vector(layer.parameters()).shape
    (8,)
    """
    given = listed("parameters_to_vector", parameters)
    if not given:
        raise ValueError("[parameters_to_vector] parameters: expected at least one, got none")
    return ops.cat([p.reshape(-1) for p in given])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Copies the elements of a vector into parameters: what `parameters_to_vector` gave.

    Parameters
    ----------
    vec : Tensor, (elements,)
    parameters : iterable of Tensor

    Raises
    ------
    ShapeError
        A vector with more or fewer elements than the parameters have; nothing has changed then.

    Examples
    --------
    >>> import ranvier as rv
    >>> layer = rv.nn.Linear(2, 1)
    >>> rv.nn.utils.vector_to_parameters(rv.tensor([1.0, 2.0, 3.0]), layer.parameters())
    >>> layer.weight.tolist(), layer.bias.tolist()
    ([[1.0, 2.0]], [3.0])
    """
    tensor_in("vector_to_parameters", vec, "vec")
    given = listed("vector_to_parameters", parameters)
    wanted = sum(p.numel() for p in given)
    if vec.shape != (wanted,):
        raise ShapeError(
            f"[vector_to_parameters] vec: expected ({wanted},), one element for each of the "
            f"parameters, got {vec.shape}"
        )
    start = 0
    with no_grad():
        for parameter in given:
            part = vec[start : start + parameter.numel()]
            parameter.copy_(part.reshape(parameter.shape))
            start += parameter.numel()
