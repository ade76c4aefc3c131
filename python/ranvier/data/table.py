"""Columns of a DataFrame, of numbers and of text, with gaps in them, as rows of numbers.

What the columns hold is learned from training rows alone; the work on numbers is that of the layers
in `preprocess.py`. It reads frames by `columns` and `frame[name]`, and needs neither pandas nor
polars.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier import _C
from ranvier._grad import no_grad
from ranvier.data.preprocess import Impute, MinMax, OneHot, Preprocessor, Standardize
from ranvier.training.errors import near_misses

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

_SCALES = {"standardize": Standardize, "minmax": MinMax, None: None}


class Table:
    """Rows of a DataFrame as float32: numbers on one scale, categories as columns of 0 and 1.

    A column is one of numbers, or of categories: text, booleans, or whatever else is no number. In
    columns of numbers a gap (None, NaN) becomes what `missing` says. A gap among categories is a
    category of its own where the training rows have one; categories that they do not have become
    zeros.

    Parameters
    ----------
    numbers : {"standardize", "minmax"} or None
        Onto which scale columns of numbers are brought; None leaves them as they are.
    missing : {"mean", "median", "most_frequent"} or float
        What stands for a number that is missing; see `Impute`.

    Attributes
    ----------
    fitted : bool
    names : list of str
        The columns that come out: those of numbers, then ``column=category``.

    Examples
    --------
    >>> import ranvier as rv
    >>> class Frame(dict):  # a DataFrame, as far as it is looked at
    ...     columns = property(list)
    >>> import numpy as np
    >>> frame = Frame(age=np.array([20.0, np.nan, 40.0]), town=np.array(["Ulm", "Bonn", "Ulm"]))
    >>> table = rv.data.Table(numbers=None).fit(frame)
    >>> table.names
    ['age', 'town=Bonn', 'town=Ulm']
    >>> table.transform(frame)[1].tolist()
    [30.0, 1.0, 0.0]
    """

    def __init__(
        self, numbers: str | None = "standardize", missing: str | float = "median"
    ) -> None:
        if numbers not in _SCALES:
            near = near_misses(numbers, ("standardize", "minmax")) if numbers else ""
            raise ValueError(
                "[Table] numbers: expected 'standardize', 'minmax' or None, got "
                f"{numbers!r:.60}{near}"
            )
        self.numbers, self.missing = numbers, missing
        self._impute = Impute(missing)
        scale = _SCALES[numbers]
        self._scale: Preprocessor | None = None if scale is None else scale()
        self._hot = OneHot()
        self._of_numbers: list[str] = []
        self._categories: dict[str, dict[str | None, int]] | None = None

    @property
    def fitted(self) -> bool:
        """Whether it knows the columns."""
        return self._categories is not None

    @property
    def names(self) -> list[str]:
        """The names of the columns that come out."""
        hot = [
            f"{column}={'missing' if value is None else value}"
            for column, codes in self._known().items()
            for value in codes  # in their order
        ]
        return [*self._of_numbers, *hot]

    def fit(self, frame: Any, rows: Any = None) -> Table:
        """Learn the columns from the rows of a DataFrame.

        Parameters
        ----------
        frame : DataFrame
        rows : array of int, optional
            The numbers of the rows to learn from; all if left out.

        Returns
        -------
        Table
            Itself.

        Raises
        ------
        TypeError
            For what is no DataFrame, or a column of dates or complex numbers.
        ValueError
            For a frame without rows or columns, or a column of numbers that are all missing.
        """
        columns = {str(name): _values(frame, name) for name in _names(frame)}
        if rows is not None:
            columns = {name: values[rows] for name, values in columns.items()}
        if not columns or not len(next(iter(columns.values()))):
            raise ValueError(f"[Table] X: expected rows and columns, got {_shape(columns)}")
        numbers = {name: _as_numbers(values) for name, values in columns.items()}
        empty = [n for n, values in numbers.items() if values is not None and _all_nan(values)]
        if empty:
            raise ValueError(
                f"[Table] X: expected a number in column {empty[0]!r}, got only missing ones; "
                "leave the column out"
            )
        of_numbers = [name for name, values in numbers.items() if values is not None]
        categories = {
            name: {value: code for code, value in enumerate(_distinct(columns[name]))}
            for name, found in numbers.items()
            if found is None
        }
        with no_grad():
            if of_numbers:
                matrix = _matrix(columns, of_numbers)
                filled = self._impute.fit(matrix)(_C.from_numpy(matrix))
                if self._scale is not None:
                    self._scale.fit(filled)
            if categories:
                self._hot.fit(_codes(columns, categories))
        self._of_numbers, self._categories = of_numbers, categories
        return self

    def transform(self, frame: Any) -> npt.NDArray[np.float32]:
        """Rows of a DataFrame with the columns of `fit`, in any order, as numbers.

        Returns
        -------
        array of shape (rows, len(names)), float32

        Raises
        ------
        TypeError, ValueError
            For a column that is missing, or holds text in place of numbers.
        """
        known = self._known()
        given = {str(name): name for name in _names(frame)}
        wanted = [*self._of_numbers, *known]
        absent = [name for name in wanted if name not in given]
        if absent:
            raise ValueError(
                f"[Table] X: expected the column {absent[0]!r} as in fit, got "
                f"{', '.join(given)!s:.100}{near_misses(absent[0], given)}"
            )
        columns = {name: _values(frame, given[name]) for name in wanted}
        parts = []
        with no_grad():
            if self._of_numbers:
                part = self._impute(_C.from_numpy(_matrix(columns, self._of_numbers)))
                parts.append(part if self._scale is None else self._scale(part))
            if known:
                parts.append(self._hot(_C.from_numpy(_codes(columns, known))))
            rows = _C.ops.cast(_C.ops.cat(parts, 1), _C.float32)
        array: npt.NDArray[np.float32] = rows.numpy()
        return array

    def _known(self) -> dict[str, dict[str | None, int]]:
        if self._categories is None:
            raise RuntimeError(
                "[Table] expected a fitted table, got one that has seen no rows; call its fit(X) "
                "with training rows"
            )
        return self._categories


def is_mixed(frame: Any) -> bool:
    """Whether a DataFrame holds more than numbers: text, or gaps."""
    for name in _names(frame):
        numbers = _as_numbers(_values(frame, name), "biuf")
        if numbers is None or np.isnan(numbers).any():
            return True
    return False


def _names(frame: Any) -> list[Any]:
    columns = getattr(frame, "columns", None)
    if columns is None:
        raise TypeError(f"[Table] X: expected a DataFrame, got {type(frame).__name__}")
    names = list(columns)
    if len(set(map(str, names))) < len(names):
        raise ValueError(f"[Table] X: expected columns of different names, got {names!r:.100}")
    return names


def _values(frame: Any, name: Any) -> npt.NDArray[Any]:
    """A column; numbers of a type that knows gaps as floats."""
    column = frame[name]
    kind = getattr(getattr(column, "dtype", None), "kind", "O")
    values = np.asarray(column)
    if kind in "iuf" and values.dtype.kind == "O":  # pandas' Int64 and its like
        values = np.array([np.nan if _is_gap(v) else v for v in values], np.float64)
    if values.dtype.kind in "mMc" or values.ndim != 1:
        what = {"m": "durations", "M": "dates", "c": "complex numbers"}.get(values.dtype.kind, "")
        raise TypeError(
            f"[Table] X: expected numbers or categories in column {str(name)!r}, got "
            f"{what or f'shape {values.shape}'}; make numbers of them first"
        )
    return values


def _as_numbers(values: npt.NDArray[Any], kinds: str = "iuf") -> Floats | None:
    """Numbers of a column, NaN where one is missing; None for a column of something else."""
    if values.dtype.kind in kinds:
        return values.astype(np.float64)
    if values.dtype.kind != "O" or not all(_is_gap(v) or _is_number(v) for v in values):
        return None
    return np.array([np.nan if _is_gap(v) else float(v) for v in values], np.float64)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def _is_gap(value: Any) -> bool:
    """None, NaN, NaT, or pandas' NA, which is unequal even to itself, or will not say."""
    if value is None:
        return True
    try:
        return bool(value != value)
    except (TypeError, ValueError):
        return type(value).__name__ == "NAType"


def _key(value: Any) -> str | None:
    """What a category is known by: its text, or None for a gap."""
    return None if _is_gap(value) else str(value)


def _distinct(values: npt.NDArray[Any]) -> list[str | None]:
    """The categories of a column in order, a gap last."""
    found = {_key(value) for value in values}
    return [*sorted(key for key in found if key is not None), *([None] if None in found else [])]


def _shape(columns: dict[str, Any]) -> str:
    rows = len(next(iter(columns.values()))) if columns else 0
    return f"shape {(rows, len(columns))}"


def _matrix(columns: dict[str, Any], names: list[str]) -> Floats:
    """The columns of numbers, NaN where one is missing."""
    found = []
    for name in names:
        values = _as_numbers(columns[name])
        if values is None:
            bad = next(v for v in columns[name] if not (_is_gap(v) or _is_number(v)))
            raise TypeError(
                f"[Table] X: expected numbers in column {name!r} as in fit, got {str(bad)!r:.60}"
            )
        if np.isinf(values).any():
            raise ValueError(
                f"[Table] X: expected finite or missing numbers in column {name!r}, got infinity"
            )
        found.append(values)
    return np.ascontiguousarray(np.stack(found, 1))


def _codes(columns: dict[str, Any], categories: dict[str, dict[str | None, int]]) -> Floats:
    """The columns of categories by their numbers; -1 for unknown ones."""
    found = [
        np.array([codes.get(_key(value), -1) for value in columns[name]], np.float64)
        for name, codes in categories.items()
    ]
    return np.ascontiguousarray(np.stack(found, 1))


def _all_nan(values: Floats) -> bool:
    return bool(np.isnan(values).all())
