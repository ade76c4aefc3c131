"""Orders and splits as scikit-learn draws them, bit by bit, from a RandomState of NumPy's."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier import _C
from ranvier._C import Tensor
from ranvier.training.batches import Drawn, RowBatches

if TYPE_CHECKING:
    import numpy.typing as npt


class DrawnRows(RowBatches):
    """Rows whose order each epoch shuffles anew, beginning with that of the epoch before."""

    state: np.random.RandomState | None = None

    def draw_by(self, state: np.random.RandomState) -> None:
        """From now on this generator shuffles; until then rows stay in order."""
        self.state = state
        self.order = _C.from_numpy(np.arange(len(self.X)))
        self.places = self.order.numpy()  # the same memory

    def drawn(self) -> Drawn:
        """The order of an epoch, and the numbers of the rows in it; None: as they stand."""
        order: Tensor | None = None
        if self.state is not None:
            # scikit-learn shuffles 0, 1, ... and takes the order before in it, which is the same.
            self.state.shuffle(self.places)
            order = self.order
        return order, self.X.numbers(order), self.y.numbers(order)


Split = tuple["npt.NDArray[np.intp]", "npt.NDArray[np.intp]"]


def split(state: np.random.RandomState, count: int, fraction: float, labels: Any = None) -> Split:
    """Numbers of the rows to train on and of those to validate with, as `train_test_split`'s.

    Parameters
    ----------
    state : RandomState
    count : int
    fraction : float
        Of the rows that are set aside, rounded up.
    labels : array, (rows,), optional
        Of which both parts shall have the same shares.

    Raises
    ------
    ValueError
        Where a part would be empty, or have too few rows of a class.
    """
    aside = math.ceil(fraction * count)
    if not 0 < fraction < 1:
        raise ValueError(
            f"test_size={fraction} should be either positive and smaller than the number of "
            f"samples {count} or a float in the (0, 1) range"
        )
    if count - aside < 1:
        raise ValueError(
            f"With n_samples={count}, test_size={fraction} and train_size=None, the resulting "
            "train set will be empty. Adjust any of the aforementioned parameters."
        )
    if labels is not None:
        return _stratified(state, count - aside, aside, labels)
    order = state.permutation(count)
    return order[aside:], order[:aside]


def _stratified(
    state: np.random.RandomState, kept: int, aside: int, labels: npt.NDArray[Any]
) -> Split:
    """As `split`, with the same shares of each class in both parts."""
    classes, place, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if counts.min() < 2:
        raise ValueError(
            "The least populated classes in y have only 1 member, which is too few. The minimum "
            "number of groups for any class cannot be less than 2. Classes with too few members "
            f"are: {classes[counts < 2].tolist()}"
        )
    for name, rows in (("train_size", kept), ("test_size", aside)):
        if rows < len(classes):
            raise ValueError(
                f"The {name} = {rows} should be greater or equal to the number of classes = "
                f"{len(classes)}"
            )
    members = np.split(np.argsort(place, kind="stable"), np.cumsum(counts)[:-1])
    train_counts = _shares(counts, kept, state)
    test_counts = _shares(counts - train_counts, aside, state)
    train: list[Any] = []
    test: list[Any] = []
    for own, first, second in zip(members, train_counts, test_counts, strict=True):
        mixed = own[state.permutation(len(own))]
        train.extend(mixed[:first])
        test.extend(mixed[first : first + second])
    return np.asarray(state.permutation(train)), np.asarray(state.permutation(test))


def _shares(
    counts: npt.NDArray[Any], total: int, state: np.random.RandomState
) -> npt.NDArray[np.intp]:
    """So many rows in all, out of classes in their proportion; ties are drawn."""
    exact = counts / counts.sum() * total
    whole = np.floor(exact)
    missing = int(total - whole.sum())
    rest = exact - whole
    for value in np.sort(np.unique(rest))[::-1]:
        if not missing:
            break
        (tied,) = np.where(rest == value)
        chosen = state.choice(tied, size=min(len(tied), missing), replace=False)
        whole[chosen] += 1
        missing -= len(chosen)
    shares: npt.NDArray[np.intp] = whole.astype(np.intp)
    return shares
