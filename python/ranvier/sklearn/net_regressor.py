"""A regressor around any module."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier.sklearn.base import Regressor
from ranvier.sklearn.net import Net
from ranvier.training import losses
from ranvier.training.losses import Loss

if TYPE_CHECKING:
    import numpy.typing as npt


class NetRegressor(Net, Regressor):
    """A regressor around any module, trained by `rv.fit`, with scikit-learn's ways.

    Its parameters are those of `NetClassifier`, but for `class_weight` and `threshold`.

    Parameters
    ----------
    module : Module, class, function or None
        What is trained, or what makes it. It gives a number for each column of `y`.
    loss : str, Module, callable or None
        As for `rv.fit`; None is "mse".
    optimizer, lr, epochs, batch_size, shuffle, validation, metrics, schedule, early_stopping
        As for `NetClassifier`; rows are set aside whatever their `y`.
    clip_norm, accumulate, l1, l2, max_norm, callbacks, checkpoint, preprocess, warm_start
        As for `NetClassifier`.
    random_state, dtype, verbose, **nested
        As for `NetClassifier`.

    Attributes
    ----------
    module_, history_, n_iter_, n_features_in_, feature_names_in_, table_
        As of `NetClassifier`.
    n_outputs_ : int

    Examples
    --------
    >>> import numpy as np
    >>> from ranvier.sklearn import NetRegressor
    >>> X = np.linspace(-1, 1, 40)[:, None]
    >>> net = NetRegressor(module__hidden=8, epochs=300, lr=0.02, random_state=0).fit(X, X[:, 0])
    >>> net.predict([[0.5]]).round(1)
    array([0.5])
    """

    _numeric = True

    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, validation_data: Any = None
    ) -> NetRegressor:
        """Train on rows.

        Parameters
        ----------
        X : array of shape (rows, columns) or (rows, ...), DataFrame or matrix of scipy.sparse
            Rows of more axes (images, sequences) go to the module as they are.
        y : array of shape (rows,) or (rows, outputs)
        sample_weight : array of shape (rows,), optional
        validation_data : (X, y) or (X, y, sample_weight), optional
            Rows to measure after every epoch, in place of `validation`.

        Returns
        -------
        NetRegressor
            Itself.

        Raises
        ------
        TypeError, ValueError
            For parameters or data that do not fit.
        NonFiniteError
            If the loss, a gradient or a weight becomes NaN or infinite.
        """
        return self._fit(X, y, sample_weight, validation_data)

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> NetRegressor:
        """Train on rows for one more epoch; arguments and errors are those of `fit`."""
        return self._fit(X, y, sample_weight, None, "partial_fit")

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """The numbers of each row.

        Parameters
        ----------
        X : as in fit

        Returns
        -------
        array of shape (rows,) or (rows, outputs)
        """
        output = self._answer(X, "predict").numpy()
        return output.reshape(len(output)) if self._flat else output

    def _learn_targets(self, who: str, y: Any, first: bool, weight: Any) -> int:
        if first:
            self._flat = y.ndim == 1
            self.n_outputs_ = 1 if self._flat else int(y.shape[1])
        return self.n_outputs_

    def _resolve_loss(self, who: str, shape: tuple[int, ...]) -> Loss:
        self._loss_given = "mse" if self.loss is None else self.loss
        return losses.resolve(who, self._loss_given)

    def _encoded(self, who: str, y: Any) -> Any:
        return np.asarray(y, np.float64 if y.dtype.kind != "f" else y.dtype)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
