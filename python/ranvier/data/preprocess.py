"""Layers that bring columns to a common form: `Standardize`, `MinMax`, `Impute`, `OneHot`.

They stand at the front of a model and travel with it. What they know is learned from training rows
alone: by `rv.fit`, where they are not fitted yet, or by their own `fit`. They have no parameters.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np

from ranvier import _C
from ranvier._C import Tensor
from ranvier._conversion import as_tensor
from ranvier._grad import no_grad
from ranvier.nn.module import Module

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

P = TypeVar("P", bound="Preprocessor")

_ROWS = 4096


class Preprocessor(Module):
    """What the layers of this file share: whether they are fitted, and fitting in parts.

    Attributes
    ----------
    fitted : bool
        Whether the layer knows its columns.
    """

    scales = False  # whether columns come out on one scale
    takes_nan = False
    learned: ClassVar[tuple[str, ...]] = ()  # the names of the buffers that fitting fills

    def __init__(self) -> None:
        super().__init__()
        for name in self.learned:
            self.register_buffer(name, None)
        self.register_load_state_dict_pre_hook(_make_room)

    @property
    def fitted(self) -> bool:
        raise TypeError(f"[{type(self).__name__}] expected a property 'fitted', got none")

    def fit(self: P, X: Any) -> P:
        """Learn the columns from rows (N, columns); returns the layer."""
        array = X if isinstance(X, Tensor) else as_tensor(np.asarray(X))
        if array.ndim != 2 or not array.shape[0]:
            raise _C.ShapeError(
                f"[{type(self).__name__}] X: expected rows (N, columns), at least one, got "
                f"{tuple(array.shape)}"
            )
        self.learn(array[start : start + _ROWS] for start in range(0, array.shape[0], _ROWS))
        return self

    def learn(self, parts: Iterable[Tensor]) -> None:
        """Learn the columns from the rows of one part after another."""
        with no_grad():
            self._learn(_checked(type(self).__name__, parts))

    def _learn(self, parts: Iterator[Floats]) -> None:
        raise TypeError(f"[{type(self).__name__}] expected a method '_learn', got none")

    def is_sound(self) -> bool:
        """Whether what it knows can have come from rows: a file may say otherwise."""
        found = [getattr(self, name) for name in self.learned]
        there = [value for value in found if value is not None]
        return len(there) in (0, len(found)) and all(value.ndim == 1 for value in there)

    def forget(self) -> None:
        """Not fitted any more."""
        for name in self.learned:
            object.__setattr__(self, name, None)

    def _keep(self, **values: npt.NDArray[Any]) -> None:
        for name, value in values.items():
            kept = value if value.dtype == np.int64 else value.astype(np.float32)
            setattr(self, name, as_tensor(np.ascontiguousarray(kept)))

    def _expect(self, x: Tensor, columns: int) -> None:
        if x.ndim < 1 or x.shape[-1] != columns:
            raise _C.ShapeError(
                f"[{type(self).__name__}] expected {columns} columns (last axis), as in the rows "
                f"it was fitted on, got {tuple(x.shape)}"
            )

    def _expect_fitted(self) -> None:
        if not self.fitted:
            raise RuntimeError(
                f"[{type(self).__name__}] expected a fitted layer, got one that has seen no rows; "
                "call its fit(X) with training rows, or put it first in the model for rv.fit"
            )


def _make_room(layer: Preprocessor, state: Any, prefix: str, *_: Any) -> None:
    """What was learned elsewhere fits, however many columns it has."""
    for name in layer.learned:
        value = state.get(prefix + name)
        own = getattr(layer, name)
        if isinstance(value, Tensor) and (own is None or own.shape != value.shape):
            setattr(layer, name, _C.ops.clone(value.detach()))


def _checked(who: str, parts: Iterable[Tensor]) -> Iterator[Floats]:
    columns = None
    for part in parts:
        array = part.numpy().astype(np.float64)
        if array.ndim != 2 or (columns is not None and array.shape[1] != columns):
            raise _C.ShapeError(f"[{who}] X: expected rows (N, columns), got {array.shape}")
        columns = array.shape[1]
        yield array


class _Affine(Preprocessor):
    """x times a number a column, and another number added."""

    scales = True
    learned = ("shift", "scale")
    shift: Tensor | None
    scale: Tensor | None

    @property
    def fitted(self) -> bool:
        return self.shift is not None

    def is_sound(self) -> bool:
        if self.shift is None or self.scale is None:
            return super().is_sound()
        return super().is_sound() and self.shift.shape == self.scale.shape

    def forward(self, x: Tensor) -> Tensor:
        """Rows (..., columns), each column on its scale."""
        self._expect_fitted()
        assert self.shift is not None and self.scale is not None
        self._expect(x, self.shift.shape[0])
        return (x - self.shift) * self.scale


class Standardize(_Affine):
    """Every column with mean 0 and standard deviation 1: (x - mean) / std, over training rows.

    A column of equal numbers becomes 0.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.data.Standardize().fit([[1.0, 100.0], [3.0, 300.0]])(rv.tensor([[2.0, 300.0]]))
    tensor([[0., 1.]])
    """

    def _learn(self, parts: Iterator[Floats]) -> None:
        rows, mean, spread = 0, np.zeros(()), np.zeros(())
        for part in parts:  # merged as by Chan, Golub and LeVeque, 1979
            count, own = len(part), part.mean(0)
            total = rows + count
            spread = (
                spread + ((part - own) ** 2).sum(0) + (own - mean) ** 2 * (rows * count / total)
            )
            mean = mean + (own - mean) * (count / total)
            rows = total
        deviation = np.sqrt(spread / rows)
        self._keep(shift=mean, scale=1 / np.where(deviation > 0, deviation, 1.0))


class MinMax(_Affine):
    """Every column from 0 to 1: (x - min) / (max - min), over training rows.

    A column of equal numbers becomes 0; other rows may lie outside.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.data.MinMax().fit([[1.0, 100.0], [3.0, 300.0]])(rv.tensor([[2.0, 300.0]]))
    tensor([[0.5000, 1.0000]])
    """

    def _learn(self, parts: Iterator[Floats]) -> None:
        ends = [(part.min(0), part.max(0)) for part in parts]
        low = np.min([end[0] for end in ends], 0)
        width = np.max([end[1] for end in ends], 0) - low
        self._keep(shift=low, scale=1 / np.where(width > 0, width, 1.0))


class Impute(Preprocessor):
    """A number for what is missing (NaN): of each column its mean, median or most frequent number.

    Parameters
    ----------
    strategy : {"mean", "median", "most_frequent"} or float
        A number stands for what is missing in every column.

    Examples
    --------
    >>> import ranvier as rv
    >>> nan = float("nan")
    >>> rv.data.Impute().fit([[1.0, 2.0], [3.0, nan]])(rv.tensor([[nan, nan]]))
    tensor([[2., 2.]])
    """

    takes_nan = True
    learned = ("value",)
    value: Tensor | None

    def __init__(self, strategy: str | float = "mean") -> None:
        super().__init__()
        if isinstance(strategy, bool) or (
            strategy not in ("mean", "median", "most_frequent")
            and not isinstance(strategy, (int, float))
        ):
            raise ValueError(
                "[Impute] strategy: expected 'mean', 'median', 'most_frequent' or a number, got "
                f"{strategy!r:.60}"
            )
        self.strategy = strategy

    @property
    def fitted(self) -> bool:
        return self.value is not None

    def _learn(self, parts: Iterator[Floats]) -> None:
        array = np.concatenate(list(parts))
        self._keep(value=np.array([self._of(column) for column in array.T]))

    def _of(self, column: Floats) -> float:
        if not isinstance(self.strategy, str):
            return float(self.strategy)
        known = column[~np.isnan(column)]
        if not known.size:
            raise ValueError("[Impute] X: expected a number in every column, got one of NaN only")
        if self.strategy == "most_frequent":
            values, counts = np.unique(known, return_counts=True)
            return float(values[counts.argmax()])
        return float(known.mean() if self.strategy == "mean" else np.median(known))

    def forward(self, x: Tensor) -> Tensor:
        """Rows (..., columns) without NaN."""
        self._expect_fitted()
        assert self.value is not None
        self._expect(x, self.value.shape[0])
        return _C.ops.where(x == x, x, self.value.expand(*x.shape))


class OneHot(Preprocessor):
    """Columns of categories as columns of 0 and 1; the other columns come first, as they are.

    A category that the training rows did not have becomes zeros. As it changes how many columns
    there are, fit it before the next layer is made: `out_features` says how many come out.

    Parameters
    ----------
    columns : sequence of int, optional
        Which columns are categories, given as numbers; all of them if left out.

    Examples
    --------
    >>> import ranvier as rv
    >>> hot = rv.data.OneHot([0]).fit([[2.0, 0.5], [7.0, 0.25]])
    >>> hot.out_features, hot(rv.tensor([[7.0, 0.5]]))
    (3, tensor([[0.5000, 0.0000, 1.0000]]))
    """

    learned = ("categories", "sizes", "places", "rest")
    categories: Tensor | None
    sizes: Tensor | None
    places: Tensor | None
    rest: Tensor | None

    def __init__(self, columns: Sequence[int] | None = None) -> None:
        super().__init__()
        self.columns = None if columns is None else [int(column) for column in columns]

    @property
    def fitted(self) -> bool:
        return self.categories is not None

    @property
    def out_features(self) -> int:
        """How many columns come out."""
        self._expect_fitted()
        assert self.categories is not None and self.rest is not None
        return int(self.rest.shape[0] + self.categories.shape[0])

    def _learn(self, parts: Iterator[Floats]) -> None:
        found: list[npt.NDArray[np.float64]] = []
        chosen: list[int] = []
        width = 0
        for part in parts:
            width = part.shape[1]
            chosen = self._chosen(width)
            new = [np.unique(part[:, column]) for column in chosen]
            found = [np.union1d(a, b) for a, b in zip(found, new, strict=True)] if found else new
        places = np.repeat(chosen, [len(values) for values in found]).astype(np.int64)
        rest = np.array([c for c in range(width) if c not in chosen], np.int64)
        self._keep(categories=np.concatenate(found), places=places, rest=rest,
                   sizes=np.array([width], np.int64))  # fmt: skip

    def _chosen(self, width: int) -> list[int]:
        if self.columns is None:
            return list(range(width))
        chosen = [column + width if column < 0 else column for column in self.columns]
        if not chosen or len(set(chosen)) < len(chosen) or not all(0 <= c < width for c in chosen):
            raise ValueError(
                f"[OneHot] columns: expected different numbers from 0 to {width - 1}, got "
                f"{self.columns!r:.60}"
            )
        return chosen

    def is_sound(self) -> bool:
        if not super().is_sound() or self.categories is None:
            return super().is_sound()
        assert self.sizes is not None and self.places is not None and self.rest is not None
        numbers = [part.numpy() for part in (self.sizes, self.places, self.rest)]
        if len(numbers[0]) != 1 or any(part.dtype != np.int64 for part in numbers):
            return False
        columns = np.concatenate(numbers[1:])
        inside = ((columns >= 0) & (columns < numbers[0])).all()
        return bool(inside) and self.places.shape == self.categories.shape

    def forward(self, x: Tensor) -> Tensor:
        """Rows (..., columns) as (..., out_features)."""
        self._expect_fitted()
        assert self.categories is not None and self.sizes is not None
        assert self.places is not None and self.rest is not None
        self._expect(x, int(self.sizes.item()))
        hot = _C.ops.cast(x.index_select(-1, self.places) == self.categories, x.dtype)
        return _C.ops.cat([x.index_select(-1, self.rest), hot], -1)


def leading(model: Module) -> list[Preprocessor]:
    """The preprocessors at the front of a model, in their order."""
    found: list[Preprocessor] = []
    _collect(model, found)
    return found


def _collect(module: Module, found: list[Preprocessor]) -> bool:
    """Add those of a module; whether it holds nothing else."""
    if isinstance(module, Preprocessor):
        found.append(module)
        return True
    if type(module).__name__ != "Sequential":
        return False
    return all(_collect(child, found) for child in module.children())
