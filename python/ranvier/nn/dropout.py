"""Layers that set elements to 0 at random while training, and give their input back otherwise."""

from __future__ import annotations

from ranvier._C import Tensor
from ranvier.nn import functional_norm as F
from ranvier.nn.module import Module


class _Dropout(Module):
    """Holds the probability and whether the input is written over."""

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if isinstance(p, bool) or not isinstance(p, (int, float)) or not 0 <= p <= 1:
            raise ValueError(
                f"[{type(self).__name__}] p: expected a probability from 0 to 1, got {p!r:.60}"
            )
        self.p = p
        self.inplace = inplace

    def extra_repr(self) -> str:
        """What stands between the brackets of the layer's line."""
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """Sets elements to 0 with probability p while training, and scales the others by 1 / (1 - p).

    The numbers come from the default generator, which `manual_seed` sets; they do not depend on
    threads, and a recorded step draws new ones at every replay.

    Parameters
    ----------
    p : float, default 0.5
        The probability of an element to be dropped.
    inplace : bool, default False
        Whether the result is written into the input.

    Raises
    ------
    ValueError
        If p is no probability.

    Examples
    --------
    >>> import ranvier as rv
    >>> layer = rv.nn.Dropout(0.2).eval()
    >>> layer(rv.ones(3))
    tensor([1., 1., 1.])
    """

    def forward(self, input: Tensor) -> Tensor:
        """Any shape; the same shape."""
        return F.dropout(input, self.p, self.training, self.inplace)


class AlphaDropout(_Dropout):
    """Dropout for SELU networks: mean 0 and variance 1 of the input stay.

    Klambauer et al., "Self-normalizing neural networks" (2017).

    Parameters
    ----------
    p : float, default 0.5
        The probability of an element to be dropped.
    inplace : bool, default False
        Whether the result is written into the input.

    Raises
    ------
    ValueError
        If p is no probability.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.AlphaDropout(0.1)(rv.ones(4, 3)).shape
    (4, 3)
    """

    def forward(self, input: Tensor) -> Tensor:
        """Any shape; the same shape."""
        return F.alpha_dropout(input, self.p, self.training, self.inplace)
