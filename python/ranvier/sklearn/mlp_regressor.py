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
    hidden_layer_sizes : int or sequence of int
        The sizes of the hidden layers.
    activation : str, Module, or a list of them
        Of the hidden layers: "relu", "tanh", "logistic", "identity"; or another of ranvier.nn by
        name ("gelu", "leaky_relu", ...) or as an object, or a list with one for each layer.
    solver : {"adam", "sgd", "lbfgs"}
    alpha : float
        Half of it times the sum of all squared weights is added to the loss of a step, over the
        number of its rows.
    batch_size : int or "auto"
        Rows of a step; "auto" is 200, or all of fewer.
    learning_rate : {"constant", "invscaling", "adaptive"}
        Of "sgd": constant; learning_rate_init / rows^power_t, after each epoch; or a fifth whenever
        `n_iter_no_change` epochs brought nothing better.
    learning_rate_init, power_t : float
    max_iter : int
        The most epochs; for "lbfgs" the most iterations.
    shuffle : bool
        Whether each epoch has an order of its own.
    random_state : int, RandomState or None
        Of weights, orders, splits and dropout, drawn in scikit-learn's order.
    tol : float
        What counts as better.
    verbose : bool or int
        Whether each epoch prints its loss.
    warm_start : bool
        Whether `fit` goes on from the weights of before.
    momentum, nesterovs_momentum : float, bool
        Of "sgd".
    early_stopping : bool
        Whether the score of rows that are set aside, or of `validation_data`, ends the fit; the
        weights are then those of the best score.
    validation_fraction : float
        The share of rows that is set aside.
    beta_1, beta_2, epsilon : float
        Of "adam".
    n_iter_no_change : int
        Epochs in a row that bring nothing better, after one more of which the fit ends.
    max_fun : int
        The most evaluations of the loss in "lbfgs".
    dropout : float or a list of them
        The share of each hidden layer's outputs that a step leaves out.
    norm : {"batch", "layer"}, optional
        What stands between a hidden layer and its activation.
    optimizer : str, class or callable, optional
        In place of `solver`: one of ranvier.optim by name, its class, or a function of the
        parameters that makes one.
    schedule : str, callable or Schedule, optional
        How the learning rate changes, as in `ranvier.fit`.
    clip_norm : float, optional
        The largest norm that all gradients together may have.
    accumulate : int
        Batches to a step.
    callbacks : Callback or a list of them
        Who listens to the fit, as in `ranvier.fit`.
    progress : bool
        Whether a bar shows how far the fit is.
    dtype : {"float64", "float32"}, optional
        What it computes in; that of X if left out.

    Attributes
    ----------
    coefs_, intercepts_ : list of array
        Weights (inputs, outputs) and biases (outputs,) of each layer. They may be written to, or
        replaced: the next prediction goes by them.
    loss_ : float
        The loss of the last epoch; of the end for "lbfgs".
    best_loss_ : float or None
    loss_curve_ : list of float
        The loss of each epoch.
    validation_scores_ : list of float or None
        The score of each epoch on rows that are set aside, or of `validation_data`.
    validation_loss_curve_ : list of float
        The loss of `validation_data` after each epoch; only with it.
    best_validation_score_ : float or None
    history_ : History
        What was measured in each epoch of the last fit, and why it ended.
    n_iter_ : int
        Epochs, or iterations.
    t_ : int
        Rows that were learned from so far.
    n_layers_, n_outputs_ : int
    out_activation_ : str
    n_features_in_ : int
    feature_names_in_ : array of str
        Only where all columns had names.

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
        self.loss = loss
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.dropout = dropout
        self.norm = norm
        self.optimizer = optimizer
        self.schedule = schedule
        self.clip_norm = clip_norm
        self.accumulate = accumulate
        self.callbacks = callbacks
        self.progress = progress
        self.dtype = dtype

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
