"""What classifier and regressor share: how a fit becomes a task of the training loop, and answers.

The arithmetic is in `task` and `network`; what scikit-learn keeps of a fit is in `course`.
"""

from __future__ import annotations

import functools
import itertools
import warnings
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ranvier import _C, nn, optim
from ranvier._C import Tensor
from ranvier.sklearn import building, course, parameters
from ranvier.sklearn.base import Estimator, not_fitted, random_state
from ranvier.sklearn.checks import fits, is_plain, rows, rows_and_targets, sample_weights
from ranvier.sklearn.choices import check_loss, is_loss, loss_of, numpy_dtype
from ranvier.sklearn.methods import known_class
from ranvier.sklearn.network import ACTIVATIONS, SKLEARN, Form, Network
from ranvier.sklearn.orders import DrawnRows, split
from ranvier.sklearn.task import MLPTask, Reported
from ranvier.training import callbacks as events
from ranvier.training import losses, optimizers, schedules
from ranvier.training.errors import NonFiniteError
from ranvier.training.inputs import Rows
from ranvier.training.loop import Run
from ranvier.training.preparation import refuse_batch_norm
from ranvier.training.progress import lines
from ranvier.training.row_weights import normalised

if TYPE_CHECKING:
    import numpy.typing as npt

_STAGED = 1 << 20  # bytes of rows that an estimator keeps room for
_FLAT = 2.2e-9  # how little a loss changes where L-BFGS has come to its end, as in SciPy


class ConvergenceWarning(UserWarning):
    """A fit ended before it was done; scikit-learn's own class where a program has imported it."""


class Adam(optim.Adam):
    """As scikit-learn writes it: epsilon is added before the bias is corrected."""

    eps_hat = True


class SGD(optim.SGD):
    """As scikit-learn writes it: momentum holds changes, the learning rate in them."""

    lr_in_momentum = True


class MLP(Estimator):
    """Base of the multi-layer perceptrons."""

    transient: ClassVar[tuple[str, ...]] = ("_network", "_optimizer", "_kept", "_staged", "_given")

    if TYPE_CHECKING:
        n_features_in_: int
        coefs_: list[Any]
        intercepts_: list[Any]
        hidden_layer_sizes: Any
        activation: Any
        solver: str
        alpha: float
        batch_size: Any
        learning_rate: str
        learning_rate_init: float
        power_t: float
        max_iter: int
        loss: Any
        shuffle: bool
        random_state: Any
        tol: float
        verbose: Any
        warm_start: bool
        momentum: float
        nesterovs_momentum: bool
        early_stopping: bool
        validation_fraction: float
        beta_1: float
        beta_2: float
        epsilon: float
        n_iter_no_change: Any
        max_fun: int
        dropout: Any
        norm: Any
        optimizer: Any
        schedule: Any
        clip_norm: Any
        accumulate: int
        callbacks: Any
        progress: bool
        dtype: Any

    def _keep(self, given: dict[str, Any]) -> None:
        """Parameters, as `__init__` was given them."""
        for name in given:
            if name != "self":
                setattr(self, name, given[name])

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "coefs_")

    # --- what the kinds differ in

    _numeric = False  # targets are numbers, and no labels
    _losses: ClassVar[tuple[str, ...]] = ()  # those of scikit-learn

    def _learned_targets(self, y: Any, incremental: bool) -> Any:
        """Targets as the network learns them: int64 (rows,), or (rows, outputs)."""
        raise TypeError(f"[{type(self).__name__}] expected a method '_learned_targets', got none")

    def _outputs(self, y: Any) -> tuple[int, str]:
        """How many outputs there are for such targets, and their activation."""
        raise TypeError(f"[{type(self).__name__}] expected a method '_outputs', got none")

    def _score_of(self, output: npt.NDArray[Any], y: Any, weight: Any) -> float:
        """The score of outputs, given targets as the network learns them."""
        raise TypeError(f"[{type(self).__name__}] expected a method '_score_of', got none")

    def _weights_of(self, y: Any, weight: Any, incremental: bool) -> Any:
        """What each row counts, given what the caller says of it."""
        return weight

    def _loss(self) -> Reported | losses.Loss:
        """What is learned."""
        if isinstance(self.loss, str) and self.loss in self._losses:
            binary = self.loss == "log_loss" and self.out_activation_ == "logistic"
            return Reported("binary_log_loss" if binary else self.loss, self._network.form.dtype)
        return losses.resolve("fit", self.loss)

    # --- learning

    def _check_parameters(self) -> None:
        def known(value: Any) -> bool:
            return isinstance(value, nn.Module) or (isinstance(value, str) and value in ACTIVATIONS)

        def each_known(value: Any) -> bool:
            return isinstance(value, (list, tuple)) and all(map(known, value))

        own = parameters.names(*SKLEARN)
        rules = {
            "activation": own._replace(
                holds=lambda v: known(v) or each_known(v), names=tuple(ACTIVATIONS)
            ),
            "loss": parameters.or_else(
                parameters.names(*self._losses),
                lambda v: is_loss(v),
                "a loss of ranvier by name or as an object",
            ),
        }
        if isinstance(self.loss, str):
            rules["loss"] = rules["loss"]._replace(words=parameters.names(*self._losses).words)
        parameters.check(self, rules)

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        validation_data: Any = None,
        incremental: bool = False,
    ) -> Any:
        method = "partial_fit" if incremental else "fit"
        self._check_parameters()
        hidden = parameters.sizes(self, self.hidden_layer_sizes)
        if incremental and self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        listeners = events.resolve(method, self.callbacks)
        first = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
        X, y = rows_and_targets(self, X, y, method, numeric=self._numeric, reset=first)
        weight = sample_weights(sample_weight, X.shape[0])
        learned = self._learned_targets(y, incremental)
        weight = self._weights_of(learned, weight, incremental)
        others = self._checked_others(validation_data)
        state = self._random_state = random_state(self.random_state)
        self.n_outputs_, out = self._outputs(learned)
        self._check_chosen(learned)
        if first:
            self.out_activation_ = out
            units = (int(X.shape[1]), *hidden, self.n_outputs_)
            self._begin(self._form(units, X.dtype), state, others is not None)
        self._train(X, learned, weight, others, listeners, incremental)
        return self

    def _check_chosen(self, y: Any) -> None:
        """An error for a loss or optimizer that cannot be, before anything is begun anew."""
        if isinstance(self.optimizer, str):
            optimizers.by_name(type(self).__name__, self.optimizer)
        if not (isinstance(self.loss, str) and self.loss in self._losses):
            check_loss(self, losses.resolve("fit", self.loss), y)

    def _form(self, units: tuple[int, ...], dtype: Any) -> Form:
        """What the parameters say of the network."""
        hidden = len(units) - 2
        listed = isinstance(self.activation, (list, tuple))
        activations = tuple(self.activation) if listed else (self.activation,) * hidden
        dropout = (self.dropout,) * hidden if np.ndim(self.dropout) == 0 else tuple(self.dropout)
        for name, given in (("activation", activations), ("dropout", dropout)):
            if len(given) != hidden:
                raise ValueError(
                    f"[{type(self).__name__}] {name}: expected one for each of the {hidden} hidden "
                    f"layers, got {len(given)}"
                )
        chosen = np.dtype(dtype if self.dtype is None else numpy_dtype(self.dtype))
        return Form(units, activations, dropout, self.norm, self.out_activation_, chosen)

    def _begin(self, form: Form, state: np.random.RandomState, validated: bool) -> None:
        """A network that has learned nothing, and its first weights."""
        self.n_iter_ = self.t_ = 0
        self.n_layers_ = len(form.units)
        network = Network(form)
        names = [*form.activations, *form.activations[-1:], "relu"][: len(network.layers)]
        network.begin(state, [2.0 if name == "logistic" else 6.0 for name in names])
        self._show(network)
        self._optimizer: optim.Optimizer | None = None
        if self._is_stochastic():
            course.begin(self, validated or self.early_stopping)
        if validated:
            self.validation_loss_curve_: list[float] = []
        elif hasattr(self, "validation_loss_curve_"):
            del self.validation_loss_curve_

    def _show(self, network: Network) -> None:
        self._network = network
        self._given = self.activation, self.out_activation_
        self.coefs_, self.intercepts_ = list(network.coefs), list(network.intercepts)

    def _is_stochastic(self) -> bool:
        return self.optimizer is not None or self.solver != "lbfgs"

    def _now(self) -> Network:
        """The network of the arrays as they are now, which the user may have replaced."""
        network = self.__dict__.get("_network")
        if network is not None and self._is_shown(network):
            return network  # type: ignore[no-any-return]
        coefs = [np.asarray(coef) for coef in self.coefs_]
        units = (coefs[0].shape[0], *(coef.shape[1] for coef in coefs))
        dtype = np.float32 if all(coef.dtype == np.float32 for coef in coefs) else np.float64
        made = Network(self._form(units, dtype), self.coefs_, self.intercepts_)
        extra = self.__dict__.get("_extra") if network is None else network.extra()
        if extra:
            made.load_extra(extra)
        optimizer = self.__dict__.get("_optimizer")
        if optimizer is not None:  # its state goes on with the new arrays
            self._moments = optimizer.state_dict()
        self._network, self._optimizer = made, None
        self._given = self.activation, self.out_activation_
        return made

    def _is_shown(self, network: Network) -> bool:
        activation, out = self._given
        return (
            activation is self.activation
            and out == self.out_activation_
            and network.shows(self.coefs_, self.intercepts_)
        )

    # --- one run

    def _train(
        self,
        X: Any,
        y: Any,
        weight: Any,
        others: Any,
        listeners: tuple[Any, ...],
        incremental: bool,
    ) -> None:
        network, state = self._now(), self._random_state
        if self.accumulate > 1:
            refuse_batch_norm(network.model)
        chosen = self._loss()
        data = self._rows_of(network, *(self._staged_rows(X, y) if incremental else (X, y)))
        stochastic = self._is_stochastic()
        measured = None
        if others is not None:
            rest, learned, counted = others
            held = self._rows_of(network, rest, learned)[0]
            measured = functools.partial(self._measure, held, learned, counted, chosen)
        elif self.early_stopping and stochastic:
            data, weight, measured = self._aside(data, y, weight, state)
        each = None if weight is None else _weight(weight, network, chosen)
        count = len(data[0])
        size = self._batch_size(count) if stochastic else count
        batches = DrawnRows(*data, each, size, self.accumulate, None)
        if self.shuffle and stochastic:
            batches.draw_by(state)
        optimizer = self._updates(network, incremental)
        task = MLPTask(
            network,
            batches,
            optimizer,
            (1 if incremental else self.max_iter) if stochastic else 1,
            loss=chosen,
            alpha=self.alpha,
            clip_norm=self.clip_norm,
            validate=measured,
            seed=state.randint(2**31 - 1) if any(network.form.dropout) else None,
        )
        kept = self.__dict__.get("_kept")
        task.kept = kept[1] if kept is not None and kept[0] is network else None
        if stochastic:
            course.go_on(self, task.validates, others is not None)
            self._run(task, network, count, listeners, incremental)
            self._kept = network, task.kept
        else:
            self._run_lbfgs(task)
        if not network.finite():
            raise ValueError(_NOT_FINITE)

    def _rows_of(self, network: Network, X: Any, y: Any) -> tuple[Rows, Rows]:
        if isinstance(X, np.ndarray):
            X = np.ascontiguousarray(X)
        return network.rows(X, "fit"), _targets(network, y)

    def _staged_rows(self, X: Any, y: Any) -> tuple[Any, Any]:
        """Rows of `partial_fit`, where those of before lay: the same programs then go on."""
        if not isinstance(X, np.ndarray) or X.nbytes + y.nbytes > _STAGED:
            return X, y
        held = self.__dict__.get("_staged")
        given = X, y
        if held is None or any(_layout(a) != _layout(b) for a, b in zip(held, given, strict=True)):
            held = self._staged = np.array(X), np.array(y)
        for into, values in zip(held, given, strict=True):
            into[...] = values
        return held

    def _aside(
        self, data: tuple[Rows, Rows], y: Any, weight: Any, state: np.random.RandomState
    ) -> tuple[tuple[Rows, Rows], Any, Any]:
        """Rows to train on, what they count, and what measures the others."""
        X, targets = data
        labels = y[:, 0] if not self._numeric and y.ndim == 2 and y.shape[1] == 1 else None
        kept, aside = split(state, len(X), self.validation_fraction, labels)
        if len(aside) < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of "
                "your dataset."
            )
        others = X.only(_C.from_numpy(aside))
        each = None if weight is None else weight[aside]
        measured = functools.partial(self._measure, others, y[aside], each, None)
        part = _C.from_numpy(kept)
        chosen = None if weight is None else weight[kept]
        return (X.only(part), targets.only(part)), chosen, measured

    def _checked_others(self, given: Any) -> Any:
        """Rows that the caller gave besides, their targets and what they count; None without."""
        if given is None:
            return None
        if not isinstance(given, (tuple, list)) or len(given) not in (2, 3):
            raise ValueError(
                f"[{type(self).__name__}.fit] validation_data: expected (X, y) or (X, y, "
                f"sample_weight), got {given!r:.60}"
            )
        X, y = given[:2]
        X, y = rows_and_targets(self, X, y, "fit", numeric=self._numeric, reset=False)
        weight = sample_weights(given[2], X.shape[0]) if len(given) == 3 else None
        return X, self._learned_targets(y, True), weight

    def _measure(self, X: Rows, y: Any, weight: Any, chosen: Any) -> dict[str, float]:
        """The score of some rows, and with a loss also that."""
        network = self._network
        output = network.outputs(X).numpy()
        found = {"score": float(self._score_of(output, y, weight))}
        if chosen is not None:
            z, target = network.sums(X), _targets(network, y).all()
            each = None if weight is None else _C.from_numpy(np.asarray(weight, network.form.dtype))
            found = {"loss": loss_of(chosen, z, target, each), **found}
        return found

    def _batch_size(self, count: int) -> int:
        if self.batch_size == "auto":
            return min(200, count)
        if self.batch_size > count:
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be "
                "clipped",
                stacklevel=_outside(),
            )
        return int(min(self.batch_size, count))

    def _run(
        self,
        task: MLPTask,
        network: Network,
        count: int,
        listeners: tuple[Any, ...],
        incremental: bool,
    ) -> None:
        """Epochs, until nothing becomes better."""
        adapts = self.solver == "sgd" and self.optimizer is None
        kept = course.Course(self, network, count, self.learning_rate if adapts else "constant")
        told: list[Any] = [kept]
        told += filter(None, [schedules.resolve(self.schedule)])
        told += listeners
        if self.progress:
            told.append(lines(task.epochs, 1, frozenset({"val_score"})))
        self.n_iter_ = 0
        run = Run(task, told)
        ended = _trained(run)
        if ended and not (incremental or run.stopping) and self.n_iter_ == self.max_iter:
            self._warn(
                f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the "
                "optimization hasn't converged yet."
            )
        self.history_ = run.history
        if kept.best is not None:
            network.restore(kept.best)

    def _run_lbfgs(self, task: MLPTask) -> None:
        """One step of L-BFGS, of as many iterations as it needs."""
        run = Run(task)
        _trained(run)
        if task.validates:
            measured = run.history.history
            self.validation_scores_ = measured.get("val_score", [])
            self.validation_loss_curve_ = measured.get("val_loss", [])
        state = next(iter(task.optimizer.state.values()), {})
        self.n_iter_ = int(state.get("n_iter", 0))
        self.loss_ = float(task.whole_loss())
        if self.verbose:
            print(f"Iteration {self.n_iter_}, loss = {self.loss_:.8f}")
        over = {
            "ITERATIONS": self.n_iter_ >= self.max_iter,
            "EVALUATIONS": int(state.get("func_evals", 0)) >= self.max_fun,
        }
        reached = next((name for name, is_so in over.items() if is_so), None)
        if reached is None:
            return
        more = (
            "\nIncrease the number of iterations to improve the convergence "
            f"(max_iter={self.max_iter})."
        )
        self._warn(
            f"lbfgs failed to converge after {self.n_iter_} iteration(s) (status=1):\n"
            f"STOP: TOTAL NO. OF {reached} REACHED LIMIT\n{more if reached[0] == 'I' else ''}"
            "\nYou might also want to scale the data"
        )

    def _warn(self, words: str) -> None:
        kind = known_class("ConvergenceWarning", ConvergenceWarning)
        warnings.warn(words, kind, stacklevel=_outside())

    # --- updates

    def _updates(self, network: Network, incremental: bool) -> optim.Optimizer:
        """The optimizer: the one of before in `partial_fit`, else a new one."""
        before = self.__dict__.get("_optimizer")
        moments = self.__dict__.pop("_moments", None)
        if incremental and before is not None:
            return before  # type: ignore[no-any-return]
        made = self._new_optimizer(list(network.model.parameters()))
        if incremental and moments is not None:
            made.load_state_dict(moments)
        if not isinstance(made, optim.LBFGS):
            self._optimizer = made
        return made

    def _new_optimizer(self, trained: list[Tensor]) -> optim.Optimizer:
        rate, given = self.learning_rate_init, self.optimizer
        if given is not None:
            return building.optimizer_of(type(self).__name__, given, trained, rate, {})
        if self.solver == "adam":
            return Adam(trained, rate, (self.beta_1, self.beta_2), self.epsilon)
        if self.solver == "sgd":
            ahead = bool(self.nesterovs_momentum and self.momentum > 0)
            return SGD(trained, rate, momentum=self.momentum, nesterov=ahead)
        return optim.LBFGS(
            trained,
            max_iter=int(self.max_iter),
            max_eval=int(self.max_fun),
            tolerance_grad=float(self.tol),
            tolerance_change=_FLAT,
            history_size=10,
            line_search_fn="strong_wolfe",
        )

    # --- answers

    def _quick(self, X: Any) -> npt.NDArray[Any] | None:
        """The outputs for plain rows in a shape that came before; None where more must be done."""
        network = self.__dict__.get("_network")
        if network is None or not (is_plain(X) and fits(self, X) and self._is_shown(network)):
            return None
        return network.quick(X)  # type: ignore[no-any-return]

    def _answer(self, X: Any, method: str) -> npt.NDArray[Any]:
        """The outputs for rows: (rows, outputs)."""
        output = self._quick(X)
        if output is not None:
            return output
        not_fitted(self)
        return self._now().answer(rows(self, X, method))

    # --- copies

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        optimizer, network = (self.__dict__.get(name) for name in ("_optimizer", "_network"))
        if optimizer is not None:
            state["_moments"] = optimizer.state_dict()
        if network is not None and (extra := network.extra()):
            state["_extra"] = extra
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _network=None, _optimizer=None)

    def _check_learned(self) -> None:
        self._check_parameters()
        if not hasattr(self, "coefs_"):
            return
        coefs, intercepts = self.coefs_, self.intercepts_
        units = [self.n_features_in_, *(b.shape[0] for b in intercepts)]
        floats = (np.float32, np.float64)
        fine = (
            isinstance(coefs, list)
            and isinstance(intercepts, list)
            and len(coefs) == len(intercepts) == self.n_layers_ - 1 > 0
            and [a.shape for a in coefs] == list(itertools.pairwise(units))
            and all(b.ndim == 1 and b.size for b in intercepts)
            and all(a.dtype in floats and a.flags.writeable for a in (*coefs, *intercepts))
            and units[-1] == self.n_outputs_
            and self.out_activation_ in ("softmax", "logistic", "exp", "identity")
        )
        if not fine:
            raise ValueError("coefs_ and intercepts_ of a network, got others")
        self._now()


def learns_in_parts(estimator: Any) -> None:
    """An AttributeError where there is no `partial_fit`."""
    if estimator.solver == "lbfgs" and estimator.optimizer is None:
        raise AttributeError(
            "partial_fit is only available for stochastic optimizers. lbfgs is not stochastic."
        )


_NOT_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and "
    "need to be preprocessed."
)


def _layout(array: npt.NDArray[Any]) -> Any:
    return array.shape, array.dtype


def _trained(run: Run) -> bool:
    """Runs to the end; False where the user interrupted it."""
    try:
        run.train()
    except NonFiniteError as error:
        raise ValueError(f"{_NOT_FINITE} {error}") from error
    except KeyboardInterrupt:
        warnings.warn("Training interrupted by user.", stacklevel=_outside())
        return False
    return True


def _targets(network: Network, y: Any) -> Rows:
    """Targets as the loss takes them."""
    if y.ndim == 1:
        return Rows(_C.from_numpy(y), _C.int64, ())
    return Rows(_C.from_numpy(np.ascontiguousarray(y)), network.dtype, y.shape[1:])


def _weight(weight: Any, network: Network, chosen: Reported | losses.Loss) -> Tensor:
    """What rows count, as the loss takes it."""
    if isinstance(chosen, Reported):
        return _C.from_numpy(np.asarray(weight, network.form.dtype))
    return normalised("fit", np.asarray(weight, np.float64), network.dtype)


def _outside() -> int:
    """How many frames lie between who warns and who called the library."""
    import sys

    frame, level = sys._getframe(1), 1
    while frame.f_back and frame.f_globals.get("__name__", "").startswith("ranvier."):
        frame, level = frame.f_back, level + 1
    return level
