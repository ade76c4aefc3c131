"""Rosenblatt's perceptron as an estimator: the rule of 1958, and a word where it cannot work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier import _C
from ranvier._C import Tensor
from ranvier.sklearn.base import Classifier, not_fitted
from ranvier.sklearn.checks import labels, matrix
from ranvier.training.errors import warn

if TYPE_CHECKING:
    import numpy.typing as npt


class Perceptron(Classifier):
    """Linear classification by Rosenblatt's rule: a row that is wrong is added or taken away.

    For each row in turn, with t = 1 for the class and 0 for any other, the answer is 1 where
    z = w x + b >= 0, and where it is wrong w changes by eta0 (t - answer) x and b by
    eta0 (t - answer). It begins with zeros and ends with the first pass that changes nothing, which
    comes if and only if a line (plane, ...) parts the classes. With more than two classes there is
    one such rule for each against the rest.

    Parameters
    ----------
    eta0 : float
        The size of a step. As the weights begin with zeros it scales them and no more.
    max_iter : int
        The most passes over the data.
    shuffle : bool
        Whether each pass takes the rows in a new order.
    random_state : int or None
        Of these orders.
    fit_intercept : bool
        Whether there is a b.
    warm_start : bool
        Whether `fit` goes on from the last weights.

    Attributes
    ----------
    classes_ : array of shape (classes,)
    coef_ : array of shape (1, columns), or (classes, columns) with more than two classes
    intercept_ : array of shape (1,) or (classes,)
    n_iter_ : int
        Passes that were made, of the class that took longest; the last one changed nothing if
        `converged_`.
    converged_ : bool
        Whether every row is right.
    errors_ : list of int
        How many rows changed the weights in each pass, over all classes.
    n_features_in_ : int

    F. Rosenblatt, "The perceptron", Psychological Review 65, 1958; convergence: A. Novikoff, 1962.

    Examples
    --------
    >>> from ranvier.sklearn import Perceptron
    >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 0, 0, 1]
    >>> net = Perceptron(eta0=0.01).fit(X, y)
    >>> net.n_iter_, net.predict(X).tolist()
    (6, [0, 0, 0, 1])
    """

    n_features_in_: int

    def __init__(
        self,
        eta0: float = 1.0,
        max_iter: int = 1000,
        *,
        shuffle: bool = False,
        random_state: Any = None,
        fit_intercept: bool = True,
        warm_start: bool = False,
    ) -> None:
        self.eta0 = eta0
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.fit_intercept = fit_intercept
        self.warm_start = warm_start

    # --- learning

    def fit(self, X: Any, y: Any) -> Perceptron:
        """Learn until a pass changes nothing, or `max_iter` passes are over.

        Parameters
        ----------
        X : array of shape (rows, columns)
            Numbers of any type, or a matrix of scipy.sparse.
        y : array of shape (rows,)
            Labels of any type, of at least two classes.

        Returns
        -------
        Perceptron
            Itself.

        Raises
        ------
        ValueError
            For data or parameters that cannot be.
        """
        self._check_parameters()
        rows = matrix(self, "fit", X, remember=True)
        found, number = labels("fit", y, rows.shape[0])
        if not (self.warm_start and hasattr(self, "coef_")):
            self._begin(found, rows)
        self._expect_classes(found)
        self._passes(rows, found[number], int(self.max_iter))
        if not self.converged_:
            self._say_why()
        return self

    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> Perceptron:
        """Go through these rows once; `classes` names all labels in the first call."""
        self._check_parameters()
        first = not hasattr(self, "coef_")
        rows = matrix(self, "partial_fit", X, remember=first)
        found, number = labels("partial_fit", y, rows.shape[0], several=False)
        if first:
            named = found if classes is None else np.unique(np.asarray(classes))
            if len(named) < 2:
                raise ValueError(
                    "[Perceptron] classes: expected at least two labels in the first call of "
                    f"partial_fit, got {named.tolist()}"
                )
            self._begin(named, rows)
        self._expect_classes(found)
        self._passes(rows, found[number], 1)
        return self

    def _check_parameters(self) -> None:
        for name, kind, least in (
            ("eta0", (int, float, np.floating), 0),
            ("max_iter", (int, np.integer), 1),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, kind):
                raise ValueError(f"[Perceptron] {name}: expected a number, got {value!r:.60}")
            if not np.isfinite(value) or value < least or value == 0:
                raise ValueError(
                    f"[Perceptron] {name}: expected a number above 0, got {value!r:.60}"
                )

    def _begin(self, classes: npt.NDArray[Any], rows: Tensor) -> None:
        self.classes_ = classes
        many = 1 if len(classes) == 2 else len(classes)
        # In steps of 1: with whole numbers as data the sums are then exact, whatever eta0 is.
        self._weights = [_C.zeros((rows.shape[1],), rows.dtype) for _ in range(many)]
        self._biases = [_C.zeros((1,), rows.dtype) for _ in range(many)]
        self.n_iter_ = 0

    def _expect_classes(self, found: npt.NDArray[Any]) -> None:
        unknown = [label for label in found.tolist() if label not in set(self.classes_.tolist())]
        if unknown:
            raise ValueError(
                f"[Perceptron] y: expected labels out of {self.classes_.tolist()!s:.80}, got "
                f"{unknown!s:.60}"
            )

    def _passes(self, rows: Tensor, y: npt.NDArray[Any], most: int) -> None:
        """At most so many passes for each class against the rest."""
        rows = _C.ops.cast(rows, self._weights[0].dtype)
        positive = [self.classes_[1]] if len(self._weights) == 1 else list(self.classes_)
        counts: list[list[int]] = []
        self._cycles: list[tuple[int, int] | None] = []
        for place, label in enumerate(positive):
            target = _C.ops.cast(_C.from_numpy((y == label).astype(np.float64)), rows.dtype)
            mistakes, cycle = self._one(place, rows, target, most, self._generator())
            counts.append(mistakes)
            self._cycles.append(cycle)
        self.n_iter_ = max(len(mistakes) for mistakes in counts)
        self.errors_ = [
            sum(mistakes[i] for mistakes in counts if i < len(mistakes))
            for i in range(self.n_iter_)
        ]
        self.converged_ = all(mistakes[-1] == 0 for mistakes in counts)
        self._show()

    def _one(
        self, place: int, rows: Tensor, target: Tensor, most: int, generator: _C.Generator
    ) -> tuple[list[int], tuple[int, int] | None]:
        """Mistakes of each pass; and of two passes after which the weights were the same."""
        weight, bias = self._weights[place], self._biases[place]
        mistakes: list[int] = []
        seen, at = b"", 0
        for number in range(1, most + 1):
            x, t = rows, target
            if self.shuffle:
                order = _C.ops.permutation(generator.state, rows.shape[0])
                x, t = rows.index_select(0, order), target.index_select(0, order)
            changed = _C.ops.perceptron_pass(weight, x, t, bias if self.fit_intercept else None)
            mistakes.append(int(changed.item()))
            if not mistakes[-1]:
                break
            if self.shuffle:
                continue
            # In the same order the same weights can only lead to the same again (Brent, 1980).
            now = weight.numpy().tobytes() + bias.numpy().tobytes()
            if now == seen:
                return mistakes, (at, number)
            if number & (number - 1) == 0:
                seen, at = now, number
        return mistakes, None

    def _generator(self) -> _C.Generator:
        """What shuffles: that of the seed, or the default one."""
        state = self.random_state
        if state is None:
            return _C.default_generator()
        whole = isinstance(state, (int, np.integer))
        return _C.Generator(int(state if whole else state.randint(0, 2**31 - 1)))

    def _show(self) -> None:
        weights = np.stack([weight.numpy() for weight in self._weights])
        biases = np.concatenate([bias.numpy() for bias in self._biases])
        eta = weights.dtype.type(self.eta0)
        self.coef_, self.intercept_ = weights * eta, biases * eta

    def _check_learned(self) -> None:
        if not hasattr(self, "n_iter_"):
            return
        weights, biases = self._weights, self._biases
        many = 1 if len(self.classes_) == 2 else len(self.classes_)
        wide = (self.n_features_in_,)
        if not (
            isinstance(self.coef_, np.ndarray)
            and self.coef_.shape == (many, *wide)
            and self.intercept_.shape == (many,)
            and len(weights) == len(biases) == many
            and all(w.shape == wide and w.dtype is weights[0].dtype for w in weights)
            and all(b.shape == (1,) and b.dtype is weights[0].dtype for b in biases)
        ):
            raise ValueError(f"weights of {wide[0]} columns for {many} rules, got others")

    def _say_why(self) -> None:
        cycle = next((cycle for cycle in self._cycles if cycle is not None), None)
        if cycle is not None:
            warn(
                f"[Perceptron] no line parts these classes: after pass {cycle[1]} the weights are "
                f"those of after pass {cycle[0]}, so the rule would go round for ever; a network "
                "with a hidden layer can do it"
            )
        else:
            warn(
                f"[Perceptron] {self.errors_[-1]} rows still changed the weights in pass "
                f"{self.n_iter_}, the last one: either no line parts these classes, or max_iter is "
                "too small"
            )

    # --- answering

    def decision_function(self, X: Any) -> npt.NDArray[np.floating[Any]]:
        """z of each row: (rows,), or (rows, classes) with more than two classes."""
        not_fitted(self)
        rows = _C.ops.cast(matrix(self, "decision_function", X), self._weights[0].dtype)
        weights = _C.from_numpy(np.ascontiguousarray(self.coef_))
        biases = _C.from_numpy(np.ascontiguousarray(self.intercept_))
        z: npt.NDArray[np.floating[Any]] = _C.ops.linear(rows, weights, biases).numpy()
        return z[:, 0] if z.shape[1] == 1 else z

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """The label of each row: (rows,)."""
        z = self.decision_function(X)
        chosen: npt.NDArray[Any] = self.classes_[
            z.argmax(1) if z.ndim > 1 else (z >= 0).astype(int)
        ]
        return chosen
