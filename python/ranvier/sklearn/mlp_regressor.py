"""`MLPRegressor`, which takes the place of scikit-learn's without a changed line.

What it shares with the classifier is in `mlp_base`; here are parameters, targets and answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ranvier.sklearn.base import Regressor
from ranvier.sklearn.methods import OnlyIf
from ranvier.sklearn.mlp_base import MLP, learns_in_parts
from ranvier.sklearn.scores import r2

if TYPE_CHECKING:
    import numpy.typing as npt


class MLPRegressor(MLP, Regressor):
    """A multi-layer perceptron that learns numbers: scikit-learn's, and what users asked it for.

    Every parameter up to `max_fun` is scikit-learn's, of the same meaning and default, and the
    same data, `random_state` and parameters give its losses and weights, but for rounding. All
    others change nothing when left alone.

    Parameters
    ----------
    loss : "squared_error", "poisson", str, Module or callable
        Half the mean of squares; half the Poisson deviance of e to the power of the last sums, for
        numbers of 0 or more; or another loss, as in `ranvier.fit`.
    hidden_layer_sizes, activation, solver, ... :
        As those of `MLPClassifier`, but for `class_weight`, which numbers have none of.

    Attributes
    ----------
    coefs_, intercepts_, loss_curve_, ... :
        As those of `MLPClassifier`, but for `classes_`; scores are R squared.

    Examples
    --------
    >>> from ranvier.sklearn import MLPRegressor
    >>> X, y = [[0.0], [1.0], [2.0], [3.0]], [0.0, 1.0, 4.0, 9.0]
    >>> net = MLPRegressor(hidden_layer_sizes=(8,), solver="lbfgs", random_state=1).fit(X, y)
    >>> net.score(X, y) > 0.99
    True
    """

    _numeric = True
    _losses: ClassVar[tuple[str, ...]] = ("squared_error", "poisson")

    def __init__(
        self,
        loss: Any = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: Any = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: Any = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: Any = 10,
        max_fun: int = 15000,
        dropout: Any = 0.0,
        norm: Any = None,
        optimizer: Any = None,
        schedule: Any = None,
        clip_norm: Any = None,
        accumulate: int = 1,
        callbacks: Any = (),
        progress: bool = False,
        dtype: Any = None,
    ) -> None:
        self._keep(locals())

    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, *, validation_data: Any = None
    ) -> MLPRegressor:
        """Learn from rows.

        Parameters
        ----------
        X : array of shape (rows, columns)
            Numbers: an array, a DataFrame, a matrix of scipy.sparse. float32 is computed in
            float32, all others in float64.
        y : array of shape (rows,) or (rows, outputs)
        sample_weight : array of shape (rows,), optional
            What each row counts.
        validation_data : (X, y) or (X, y, sample_weight), optional
            Rows to measure after every epoch and not to learn from.

        Returns
        -------
        MLPRegressor
            Itself.

        Raises
        ------
        ValueError
            For parameters or data that cannot be, and for weights that became NaN or infinite.

        Warns
        -----
        ConvergenceWarning
            Where `max_iter` ends it.
        """
        self._fit(X, y, sample_weight, validation_data)
        return self

    @OnlyIf(learns_in_parts)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> MLPRegressor:
        """Go through these rows once, from the weights and moments of before.

        Parameters
        ----------
        X : array of shape (rows, columns)
        y : array of shape (rows,) or (rows, outputs)
        sample_weight : array of shape (rows,), optional

        Returns
        -------
        MLPRegressor
            Itself.
        """
        self._fit(X, y, sample_weight, incremental=True)
        return self

    # --- targets

    def _learned_targets(self, y: Any, incremental: bool) -> Any:
        if self.loss == "poisson" and (y < 0).any():
            raise ValueError(
                "[MLPRegressor] y: expected numbers of 0 or more for the loss 'poisson', got "
                f"{y.min()}"
            )
        return y.reshape(len(y), -1)

    def _outputs(self, y: Any) -> tuple[int, str]:
        poisson = isinstance(self.loss, str) and self.loss == "poisson"
        return int(y.shape[1]), "exp" if poisson else "identity"

    def _score_of(self, output: Any, y: Any, weight: Any) -> float:
        return r2(y, output, weight) if np.isfinite(output).all() else float("nan")

    # --- answers

    def predict(self, X: Any) -> npt.NDArray[np.floating[Any]]:
        """The numbers of each row.

        Parameters
        ----------
        X : array of shape (rows, columns)

        Returns
        -------
        array of shape (rows,) or (rows, outputs)
        """
        output = self._answer(X, "predict")
        return output.ravel() if output.shape[1] == 1 else output
