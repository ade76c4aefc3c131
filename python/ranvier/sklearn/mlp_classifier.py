"""`MLPClassifier`, which takes the place of scikit-learn's without a changed line.

What it shares with the regressor is in `mlp_base`; here are parameters, targets and answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ranvier.sklearn.base import Classifier
from ranvier.sklearn.methods import OnlyIf
from ranvier.sklearn.mlp_base import MLP, learns_in_parts
from ranvier.sklearn.scores import accuracy
from ranvier.sklearn.targets import Labels
from ranvier.sklearn.weights import of_rows
from ranvier.training.errors import warn

if TYPE_CHECKING:
    import numpy.typing as npt


class MLPClassifier(MLP, Classifier):
    """A multi-layer perceptron that learns classes: scikit-learn's, and what users asked it for.

    Every parameter up to `max_fun` is scikit-learn's, of the same meaning and default, and the
    same data, `random_state` and parameters give its losses and weights, but for rounding. All
    others change nothing when left alone.

    Parameters
    ----------
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
    loss : "log_loss", str, Module or callable
        The logarithm of the probability of the right class, or another loss of outputs before
        their activation, as in `ranvier.fit`.
    class_weight : mapping of label to float, or "balanced", optional
        What the rows of each class count.
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
    classes_ : array of shape (classes,)
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
    >>> from ranvier.sklearn import MLPClassifier
    >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    >>> net = MLPClassifier((8,), solver="lbfgs", random_state=1, max_iter=300).fit(X, y)
    >>> net.predict(X).tolist(), net.out_activation_
    ([0, 1, 1, 0], 'logistic')
    """

    _losses: ClassVar[tuple[str, ...]] = ("log_loss",)
    classes_: npt.NDArray[Any]

    def __init__(
        self,
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
        loss: Any = "log_loss",
        class_weight: Any = None,
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
    ) -> MLPClassifier:
        """Learn from rows.

        Parameters
        ----------
        X : array of shape (rows, columns)
            Numbers: an array, a DataFrame, a matrix of scipy.sparse. float32 is computed in
            float32, all others in float64.
        y : array of shape (rows,) or (rows, labels)
            Labels of any type; or several a row, each 0 or 1.
        sample_weight : array of shape (rows,), optional
            What each row counts.
        validation_data : (X, y) or (X, y, sample_weight), optional
            Rows to measure after every epoch and not to learn from.

        Returns
        -------
        MLPClassifier
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
    def partial_fit(
        self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None
    ) -> MLPClassifier:
        """Go through these rows once, from the weights and moments of before.

        Parameters
        ----------
        X : array of shape (rows, columns)
        y : array of shape (rows,) or (rows, labels)
        sample_weight : array of shape (rows,), optional
        classes : array of shape (classes,)
            All labels that will ever come; in the first call.

        Returns
        -------
        MLPClassifier
            Itself.
        """
        self._name_classes(y, classes)
        self._fit(X, y, sample_weight, incremental=True)
        return self

    def _name_classes(self, y: Any, classes: Any) -> None:
        """All labels that there will be, in the first call of `partial_fit`."""
        known = getattr(self, "classes_", None)
        if known is None and classes is None:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        if classes is None:
            return
        named = np.unique(np.asarray(classes))
        if known is None:
            given = y if hasattr(y, "tocsr") else np.asarray(y)
            several = given.ndim == 2 and given.shape[1] > 1
            self._labels = Labels.of("partial_fit", given if several else named)
            self.classes_ = self._labels.classes
        elif not np.array_equal(known, named):
            raise ValueError(
                f"`classes={classes!r}` is not the same as on last call to partial_fit, was: "
                f"{known!r}"
            )

    # --- targets

    def _learned_targets(self, y: Any, incremental: bool) -> Any:
        if not hasattr(self, "classes_") or not (self.warm_start or incremental):
            self._labels = Labels.of("fit", y)
            self.classes_ = self._labels.classes
            if len(self.classes_) == 1:
                warn(
                    "[MLPClassifier.fit] y: expected at least two classes, got only "
                    f"{self.classes_.tolist()}; it will always be predicted"
                )
            return self._labels.places("fit", y)
        found = Labels.of("fit", y).classes
        if self.warm_start and not incremental and set(found) != set(self.classes_):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous "
                f"call to fit. Previously got {self.classes_}, `y` has {found}"
            )
        if len(np.setdiff1d(found, self.classes_)):
            raise ValueError(
                f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. "
                f"'y' has {found}."
            )
        return self._labels.places("fit", y)

    def _outputs(self, y: Any) -> tuple[int, str]:
        return self._labels.outputs, "softmax" if y.ndim == 1 else "logistic"

    def _score_of(self, output: Any, y: Any, weight: Any) -> float:
        if y.ndim == 1:
            return accuracy(y, output.argmax(axis=1), weight)
        return accuracy(y, output > 0.5, weight)

    def _weights_of(self, y: Any, weight: Any, incremental: bool) -> Any:
        return of_rows(self, self._labels, y, weight, incremental)

    def _check_learned(self) -> None:
        super()._check_learned()
        if not hasattr(self, "coefs_"):
            return
        own = self._labels
        one_out = own.kind != "multiclass"
        if not (
            own.outputs == self.n_outputs_
            and isinstance(own.classes, np.ndarray)
            and own.classes.ndim == 1
            and np.array_equal(own.classes, self.classes_)
            and own.kind in ("binary", "multiclass", "multilabel-indicator")
            and len(own.classes) >= 1
            and self.out_activation_ == ("logistic" if one_out else "softmax")
        ):
            raise ValueError("as many labels as there are outputs, got others")

    # --- answers

    def predict(self, X: Any) -> Any:
        """The label of each row, or its labels.

        Parameters
        ----------
        X : array of shape (rows, columns)

        Returns
        -------
        array of shape (rows,), or (rows, labels) of 0 and 1
        """
        output = self._answer(X, "predict")
        return self._labels.names(output)

    def predict_proba(self, X: Any) -> npt.NDArray[np.floating[Any]]:
        """The probability of each class for each row.

        Parameters
        ----------
        X : array of shape (rows, columns)

        Returns
        -------
        array of shape (rows, classes)
            In the order of `classes_`; of several labels a row that of each.
        """
        output = self._answer(X, "predict_proba")
        if output.shape[1] > 1:
            return output
        return np.concatenate((1 - output, output), axis=1)

    def predict_log_proba(self, X: Any) -> npt.NDArray[np.floating[Any]]:
        """The logarithm of what `predict_proba` gives."""
        probabilities = self.predict_proba(X)
        logarithms: npt.NDArray[np.floating[Any]] = np.log(probabilities, out=probabilities)
        return logarithms

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
