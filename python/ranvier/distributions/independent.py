"""Independent: axes of a batch seen as axes of one draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ranvier._C import Tensor
from ranvier.distributions.constraints import Constraint
from ranvier.distributions.distribution import Distribution


def sum_rightmost(value: Tensor, count: int) -> Tensor:
    """The sum over the last axes."""
    return value.sum(list(range(-count, 0))) if count else value


class _Together(Constraint):
    """A constraint that must hold for whole draws."""

    def __init__(self, base: Constraint, count: int) -> None:
        self.base, self.event_dim, self.is_discrete = base, count, base.is_discrete

    def check(self, value: Tensor) -> Tensor:
        return self.base.check(value)

    def __repr__(self) -> str:
        return f"IndependentConstraint({self.base!r}, {self.event_dim})"


class Independent(Distribution):
    """A distribution whose last batch axes belong to the draw; log_prob sums over them.

    Parameters
    ----------
    base_distribution : Distribution
    reinterpreted_batch_ndims : int
        How many of its batch axes.
    validate_args : bool, optional

    Raises
    ------
    ValueError
        More axes than the batch has.

    Examples
    --------
    >>> import ranvier as rv
    >>> d = rv.distributions.Independent(rv.distributions.Normal(rv.zeros(2), 1.0), 1)
    >>> d.event_shape, d.log_prob(rv.zeros(2))
    ((2,), tensor(-1.8379))
    """

    arg_constraints: Mapping[str, Constraint] = {}

    def __init__(
        self,
        base_distribution: Distribution,
        reinterpreted_batch_ndims: int,
        validate_args: bool | None = None,
    ) -> None:
        if not isinstance(base_distribution, Distribution):
            raise TypeError(
                "[Independent] base_distribution: expected a distribution, got "
                f"{type(base_distribution).__name__}"
            )
        batch = base_distribution.batch_shape
        if not isinstance(reinterpreted_batch_ndims, int):
            raise TypeError(
                "[Independent] reinterpreted_batch_ndims: expected a whole number, got "
                f"{reinterpreted_batch_ndims!r:.60}"
            )
        if not 0 <= reinterpreted_batch_ndims <= len(batch):
            raise ValueError(
                "Expected reinterpreted_batch_ndims <= len(base_distribution.batch_shape), "
                f"actual {reinterpreted_batch_ndims} vs {len(batch)}"
            )
        self.base_dist = base_distribution
        self.reinterpreted_batch_ndims = reinterpreted_batch_ndims
        cut = len(batch) - reinterpreted_batch_ndims
        event = (*batch[cut:], *base_distribution.event_shape)
        super().__init__(batch[:cut], event, validate_args=validate_args)

    def _expand_into(self, new: Any, batch_shape: tuple[int, ...]) -> None:
        new.reinterpreted_batch_ndims = self.reinterpreted_batch_ndims
        event = self._event_shape[: self.reinterpreted_batch_ndims]
        new.base_dist = self.base_dist.expand((*batch_shape, *event))

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        """As of the base."""
        return self.base_dist.has_rsample

    @property
    def support(self) -> Constraint:
        base = self.base_dist.support
        count = self.reinterpreted_batch_ndims
        return _Together(base, base.event_dim + count) if count else base

    @property
    def mean(self) -> Tensor:
        return self.base_dist.mean

    @property
    def mode(self) -> Tensor:
        return self.base_dist.mode

    @property
    def variance(self) -> Tensor:
        return self.base_dist.variance

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self.base_dist.sample(sample_shape)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self.base_dist.rsample(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        return sum_rightmost(self.base_dist.log_prob(value), self.reinterpreted_batch_ndims)

    def entropy(self) -> Tensor:
        return sum_rightmost(self.base_dist.entropy(), self.reinterpreted_batch_ndims)

    def __repr__(self) -> str:
        return f"Independent({self.base_dist!r}, {self.reinterpreted_batch_ndims})"
