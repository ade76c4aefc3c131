"""Estimators around any module: what classifier and regressor share.

They are a front of `rv.fit`, which trains, and of `rv.predict`: here is what scikit-learn's users
expect beside that (parameters by name, columns, tables, copies), and no arithmetic of a step.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np

from ranvier import _C, optim
from ranvier._C import Tensor
from ranvier._dtypes import as_dtype
from ranvier.data.preprocess import leading
from ranvier.data.split import rows_aside, stratified
from ranvier.nn import Module
from ranvier.sklearn import building
from ranvier.sklearn.base import Estimator, not_fitted, random_state
from ranvier.sklearn.checks import column, note_columns, rows, rows_and_targets, sample_weights
from ranvier.training import inputs, row_weights
from ranvier.training.errors import near_misses
from ranvier.training.evaluation import predict
from ranvier.training.fitting import fit
from ranvier.training.history import History
from ranvier.training.losses import Loss

if TYPE_CHECKING:
    from ranvier.data.table import Table

N = TypeVar("N", bound="Net")

_SAMPLE = 4096  # rows that layers of preprocessing see when a module is tried out
_MOST_AUTO = 200  # rows of a batch


class Net(Estimator):
    """Base of the estimators around a module."""

    transient: ClassVar[tuple[str, ...]] = ("_optimizer", "_loss")
    _numeric = False  # targets are numbers, and no labels

    if TYPE_CHECKING:
        module_: Module
        history_: History
        _loss: Loss
        _loss_given: Any  # what `fit` is told
        _random_state: np.random.RandomState

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Nested parameters are not among those that scikit-learn tries out by name."""
        super().__init_subclass__(**kwargs)
        _, *own = inspect.signature(cls.__init__).parameters.values()
        shown = [parameter for parameter in own if parameter.kind is not parameter.VAR_KEYWORD]
        cls.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]

    def __init__(
        self,
        module: Any = None,
        *,
        loss: Any = None,
        optimizer: Any = "adam",
        lr: float | None = None,
        epochs: int = 200,
        batch_size: int | str | None = "auto",
        shuffle: bool = True,
        validation: float | None = None,
        metrics: Any = (),
        schedule: Any = None,
        early_stopping: Any = None,
        clip_norm: float | None = None,
        accumulate: int = 1,
        l1: float = 0.0,
        l2: float = 0.0,
        max_norm: float | None = None,
        callbacks: Any = (),
        checkpoint: Any = None,
        preprocess: Any = "auto",
        warm_start: bool = False,
        random_state: Any = None,
        dtype: Any = None,
        verbose: int = 0,
        **nested: Any,
    ) -> None:
        self.module = module
        self.loss = loss
        self.optimizer = optimizer
        self.lr = lr
        self.epochs = epochs
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.validation = validation
        self.metrics = metrics
        self.schedule = schedule
        self.early_stopping = early_stopping
        self.clip_norm = clip_norm
        self.accumulate = accumulate
        self.l1 = l1
        self.l2 = l2
        self.max_norm = max_norm
        self.callbacks = callbacks
        self.checkpoint = checkpoint
        self.preprocess = preprocess
        self.warm_start = warm_start
        self.random_state = random_state
        self.dtype = dtype
        self.verbose = verbose
        for name, value in nested.items():
            if not _is_nested(name):
                raise TypeError(
                    f"[{type(self).__name__}] expected arguments out of "
                    f"{', '.join(self._names())}, module__* or optimizer__*, got {name!r}"
                    f"{near_misses(name, self._names())}"
                )
            setattr(self, name, value)

    # --- parameters

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters by name, nested ones (``module__hidden``) among them.

        Parameters
        ----------
        deep : bool
            Whether those of parameters that are estimators come too.
        """
        return super().get_params(deep) | self._nested_all()

    def set_params(self: N, **params: Any) -> N:
        """Change parameters by name, also nested ones (``module__hidden=64``).

        Returns
        -------
        NetClassifier or NetRegressor
            Itself.

        Raises
        ------
        ValueError
            For a name that is none, or that the module or optimizer does not take; nothing is
            changed then.
        """
        nested = {name: value for name, value in params.items() if _is_nested(name)}
        plain = {name: value for name, value in params.items() if name not in nested}
        if nested:
            module, optimizer = (plain.get(name, getattr(self, name)) for name in building.PARTS)
            building.check_nested(type(self).__name__, module, optimizer, list(nested))
        super().set_params(**plain)
        for name, value in nested.items():
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        plain = super().__repr__()[:-1]
        shown = [f"{name}={value!r}" for name, value in self._nested_all().items()]
        return plain + (", " if shown and plain[-1] != "(" else "") + ", ".join(shown) + ")"

    def _nested_all(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if _is_nested(name)}

    def _nested(self, part: str) -> dict[str, Any]:
        named = self._nested_all().items()
        return {k.partition("__")[2]: v for k, v in named if k.startswith(f"{part}__")}

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "module_")

    # --- what the kinds differ in

    def _learn_targets(self, who: str, y: Any, first: bool, weight: Any) -> int:
        """Takes note of targets; gives how many outputs a module should have for them."""
        raise TypeError(f"[{who}] expected a method '_learn_targets', got none")

    def _resolve_loss(self, who: str, shape: tuple[int, ...]) -> Loss:
        """The loss, given the shape of what the module makes of a row."""
        raise TypeError(f"[{who}] expected a method '_resolve_loss', got none")

    def _encoded(self, who: str, y: Any) -> Any:
        """Targets as the loss takes them; a ValueError for those that `fit` did not have."""
        raise TypeError(f"[{who}] expected a method '_encoded', got none")

    def _weights(self, who: str, y: Any, weight: Any) -> Any:
        """What each row counts."""
        return weight

    def _strata(self, y: Any) -> Any:
        """The class of each row, where both parts of a split shall have the same shares."""
        return None

    def _settle(self, who: str, X: Any, y: Any, weight: Any) -> None:
        """Behind training, with the validation rows, or None."""

    # --- learning

    def _fit(self: N, X: Any, y: Any, weight: Any, validation_data: Any, method: str = "fit") -> N:
        name = type(self).__name__
        who = f"{name}.{method}"
        self._check_parameters(name)
        incremental = method == "partial_fit"
        first = not (hasattr(self, "module_") and (incremental or self.warm_start))
        made = copy.copy(self) if first else self  # nothing is half fitted after an error
        data, y = made._data(X, y, method, first)
        weight = _not_negative(who, sample_weights(weight, y.shape[0]))
        outputs = made._learn_targets(who, y, first, weight)
        weight = made._weights(who, y, weight)
        if first:
            made._random_state = random_state(self.random_state)
        made._loss_given = self.loss
        seed = int(made._random_state.randint(2**31 - 1))
        parts = None
        if validation_data is None and self.validation is not None and not incremental:
            parts = made._split(who, y, seed)
        if first and hasattr(made, "table_"):
            data = made.table_.fit(X, None if parts is None else parts[0]).transform(X)
        others = None if validation_data is None else made._other_rows(who, validation_data)
        if first:
            made._begin(who, data, outputs, seed)
        made._loss = made._resolve_loss(who, made._row_of_output)
        if parts is not None:
            train, test = parts
            others = tuple(_part(of, test) for of in (data, y, weight))
            data, y, weight = (_part(of, train) for of in (data, y, weight))
        try:
            made._train(who, data, y, weight, others, seed, incremental)
        except KeyboardInterrupt:
            self._become(made)
            raise
        self._become(made)
        self._settle(who, *(others or (None, None, None)))
        return self

    def _become(self, made: Net) -> None:
        """Take over what was learned."""
        if made is not self:
            self.__dict__.clear()
            self.__dict__.update(made.__dict__)

    def _check_parameters(self, who: str) -> None:
        building.check_nested(who, self.module, self.optimizer, list(self._nested_all()))
        if isinstance(self.batch_size, str) and self.batch_size != "auto":
            raise ValueError(
                f"[{who}] batch_size: expected 'auto', None or a whole number of 1 or more, got "
                f"{self.batch_size!r:.60}"
            )
        known = isinstance(self.preprocess, str) and self.preprocess == "auto"
        if not (known or self.preprocess in (None, True, False) or _is_table(self.preprocess)):
            raise ValueError(
                f"[{who}] preprocess: expected 'auto', True, None or an rv.data.Table, got "
                f"{self.preprocess!r:.60}"
            )
        if isinstance(self.validation, (tuple, list)):
            raise ValueError(
                f"[{who}] validation: expected a fraction between 0 and 1, got a pair; give it to "
                "fit as validation_data="
            )

    def _begin(self, who: str, data: Any, outputs: int, seed: int) -> None:
        """A module that has learned nothing."""
        shape = tuple(int(n) for n in data.shape[1:])
        with building.drawing(seed):
            nested = self._nested("module")
            self.module_ = building.build(who, self.module, nested, shape, outputs)
        self.history_, self.n_iter_ = History(), 0
        self._optimizer: optim.Optimizer | None = None
        self._moments: Any = None
        if self.dtype is not None:
            self.module_.to(as_dtype(self.dtype))
        elif not isinstance(self.module, Module):
            wide = getattr(data, "dtype", None) == np.float64
            self.module_.to(_C.float64 if wide else _C.float32)
        self._row_of_output = self._try_out(data)

    def _try_out(self, data: Any) -> tuple[int, ...]:
        """The shape of what the module makes of a row."""
        probe, part = self.module_, data[:_SAMPLE]
        if any(not layer.fitted for layer in leading(probe)):
            probe, seen = copy.deepcopy(probe), part
            for layer in leading(probe):
                seen = seen if layer.fitted else _as_tensor(seen)
                if not layer.fitted:
                    layer.fit(seen)
                seen = predict(layer, seen) if layer.fitted else seen
        return tuple(predict(probe, part[:2]).shape[1:])

    def _train(
        self, who: str, X: Any, y: Any, weight: Any, others: Any, seed: int, incremental: bool
    ) -> None:
        given = self.batch_size
        size = min(_MOST_AUTO, X.shape[0]) if isinstance(given, str) else given
        if others is not None:
            others = tuple(part for part in others if part is not None)
            others = (others[0], self._encoded(who, others[1]), *others[2:])
        self._updates(who)
        assert self._optimizer is not None
        before = self.history_
        try:
            self.history_ = fit(
                self.module_,
                X,
                self._encoded(who, y),
                loss=self._loss_given,
                optimizer=self._optimizer,
                epochs=1 if incremental else self.epochs,
                batch_size=size,
                shuffle=self.shuffle,
                seed=seed,
                validation=others,
                sample_weight=weight,
                metrics=self.metrics,
                schedule=self.schedule,
                early_stopping=None if incremental else self.early_stopping,
                clip_norm=self.clip_norm,
                accumulate=self.accumulate,
                l1=self.l1,
                l2=self.l2,
                max_norm=self.max_norm,
                callbacks=self.callbacks,
                checkpoint=None if incremental else self.checkpoint,
                verbose=self.verbose,
            )
        except KeyboardInterrupt as interrupt:
            self.history_ = getattr(interrupt, "history", before)
            raise
        finally:
            self.n_iter_ += 0 if self.history_ is before else self.history_.epochs
        if incremental:
            self.history_ = _joined(before, self.history_)

    def _updates(self, who: str) -> None:
        """The optimizer: that of before, which also a copy goes on with, else a new one."""
        if self.__dict__.get("_optimizer") is not None:
            return
        nested = self._nested("optimizer")
        trained: list[Tensor] = [p for p in self.module_.parameters() if p.requires_grad]
        made = building.optimizer_of(who, self.optimizer, trained, self.lr, nested)
        if self._moments is not None:
            made.load_state_dict(self._moments)
        self._optimizer, self._moments = made, None

    # --- data

    def _data(self, X: Any, y: Any, method: str, first: bool) -> tuple[Any, Any]:
        """Rows of numbers as the module takes them, and targets, checked together."""
        table = self._table_for(X, first)
        if table is None and not _has_axes(X):
            if first:
                self.__dict__.pop("table_", None)
                self.__dict__.pop("row_shape_", None)
            return rows_and_targets(self, X, y, method, numeric=self._numeric, reset=first)
        data = self._own_rows(X, method, first, table)
        _, y = rows_and_targets(
            copy.copy(self), np.zeros((len(data), 1)), y, method, numeric=self._numeric, reset=True
        )
        return data, column(y)

    def _rows(self, X: Any, method: str) -> Any:
        """Rows of numbers as in fit."""
        table = self.__dict__.get("table_")
        if table is None and not hasattr(self, "row_shape_"):
            return rows(self, X, method)
        return self._own_rows(X, method, False, table)

    def _table_for(self, X: Any, first: bool) -> Table | None:
        """What makes numbers of a DataFrame; None for plain numbers."""
        if not first:
            return self.__dict__.get("table_")
        wanted = self.preprocess
        if inputs.column_names(X) is None or wanted is None or wanted is False:
            return None
        from ranvier.data.table import Table, is_mixed

        if isinstance(wanted, Table):
            return copy.deepcopy(wanted)
        return Table() if wanted is True or is_mixed(X) else None

    def _own_rows(self, X: Any, method: str, first: bool, table: Table | None) -> Any:
        """Rows of a DataFrame with a table of its own, or of more than two axes."""
        who = f"{type(self).__name__}.{method}"
        if table is not None:
            if inputs.column_names(X) is None:
                raise TypeError(
                    f"[{who}] X: expected a DataFrame with the columns of fit, got "
                    f"{type(X).__name__}"
                )
            note_columns(self, X, method, reset=first)
            if first:  # it is fitted when it is known which rows are trained on
                self.table_ = table
                self.__dict__.pop("row_shape_", None)
                return X
            return table.transform(X)
        array = X if isinstance(X, Tensor) else np.asarray(X)
        tensor = inputs.rows(who, "X", array)
        shape = tuple(tensor.shape[1:])
        if first:
            self.row_shape_ = shape
            for name in ("table_", "n_features_in_", "feature_names_in_"):
                self.__dict__.pop(name, None)
        elif shape != self.row_shape_:
            raise ValueError(
                f"[{who}] X: expected rows of shape {self.row_shape_} as in fit, got {shape}"
            )
        inputs.check_finite(who, "X", tensor, tensor.dtype)
        return array

    def _other_rows(self, who: str, given: Any) -> tuple[Any, Any, Any]:
        """Validation rows that the caller gave."""
        if not isinstance(given, (tuple, list)) or len(given) not in (2, 3):
            raise ValueError(
                f"[{who}] validation_data: expected (X, y) or (X, y, sample_weight), got "
                f"{given!r:.60}"
            )
        X = self._rows(given[0], "fit")
        _, y = rows_and_targets(
            copy.copy(self), np.zeros((X.shape[0], 1)), given[1], "fit", numeric=self._numeric,
            reset=True,
        )  # fmt: skip
        weight = None
        if len(given) == 3:
            weight = _not_negative(who, sample_weights(given[2], X.shape[0]))
        self._encoded_or_say(who, y)
        return X, y, weight

    def _encoded_or_say(self, who: str, y: Any) -> None:
        """A ValueError where validation rows have targets that are not like those of fit."""

    def _split(self, who: str, y: Any, seed: int) -> tuple[Any, Any]:
        """The numbers of the rows to train on, and of those to measure after every epoch."""
        count = y.shape[0]
        aside = rows_aside(who, "validation", self.validation, count)
        strata, generator = self._strata(y), _C.Generator(seed)
        if not self.shuffle:
            return np.arange(count - aside), np.arange(count - aside, count)
        if strata is not None:
            return stratified(strata, aside, generator)
        order = _C.ops.permutation(generator.state, count).numpy()
        return order[: count - aside], order[count - aside :]

    # --- answers

    def _answer(self, X: Any, method: str) -> Tensor:
        """What the module makes of rows."""
        not_fitted(self)
        return predict(self.module_, self._rows(X, method))

    # --- copies

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        optimizer = self.__dict__.get("_optimizer")
        if optimizer is not None:
            state["_moments"] = optimizer.state_dict()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "_row_of_output" in state:
            self._loss = self._resolve_loss(type(self).__name__, self._row_of_output)

    def _check_learned(self) -> None:
        if not hasattr(self, "module_"):
            return
        if not (isinstance(self.module_, Module) and isinstance(self.history_, History)):
            raise ValueError("a module and the course of its training, got something else")


def _not_negative(who: str, weight: Any) -> Any:
    """What rows count, as the training loop takes it; a ValueError for less than 0."""
    if weight is None:
        return None
    row_weights.of_samples(who, "sample_weight", weight, len(weight))
    return weight


def _part(of: Any, which: Any) -> Any:
    """Some rows of an array, tensor or sparse matrix, or of None."""
    if isinstance(of, Tensor):
        return of.index_select(0, _C.from_numpy(which))
    return None if of is None else of[which]


def _is_nested(name: str) -> bool:
    part, parted, own = name.partition("__")
    return bool(parted and own) and part in building.PARTS


def _is_table(given: Any) -> bool:
    return hasattr(given, "transform") and hasattr(given, "fitted")


def _has_axes(X: Any) -> bool:
    """Whether rows have axes of their own: images, sequences."""
    ndim = getattr(X, "ndim", None)
    return (np.ndim(X) if isinstance(X, (list, tuple)) else ndim or 0) > 2


def _as_tensor(rows: Any) -> Tensor:
    return rows if isinstance(rows, Tensor) else inputs.rows("fit", "X", rows)


def _joined(first: History, second: History) -> History:
    """The epochs of two runs, one behind the other."""
    history: Mapping[str, list[float]] = first.history
    names = {**history, **second.history}
    lines = {name: [*history.get(name, []), *second.history.get(name, [])] for name in names}
    return History(lines, first.seconds + second.seconds, second.stopped)
