"""A classifier around any module."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier import _C
from ranvier._C import Tensor
from ranvier._grad import no_grad
from ranvier.sklearn import threshold, weights
from ranvier.sklearn.base import Classifier, not_fitted
from ranvier.sklearn.methods import OnlyIf
from ranvier.sklearn.net import Net
from ranvier.sklearn.targets import Labels
from ranvier.training import losses
from ranvier.training.losses import Loss

if TYPE_CHECKING:
    import numpy.typing as npt

# How the probabilities of classes follow from what a module gives, by the loss it learned with.
_LINKS = {"CrossEntropyLoss": "softmax", "NLLLoss": "exp"}
_BY_KIND = {"targets": "sigmoid", "shares": "identity"}


def _has_probabilities(estimator: Any) -> None:
    if estimator.__sklearn_is_fitted__() and estimator._link is None:
        raise AttributeError(
            f"[{type(estimator).__name__}] predict_proba: expected a loss of probabilities, such "
            f"as 'cross_entropy', got {estimator._loss.name!r}"
        )


class NetClassifier(Net, Classifier):
    """A classifier around any module, trained by `rv.fit`, with scikit-learn's ways.

    A module gives one score a class, or for two classes a single one; with several labels a row
    (columns of 0 and 1) one a label. It is asked for as many outputs as there are classes.

    Parameters
    ----------
    module : Module, class, function or None
        A module that is there: a copy of it is trained, from its weights on. Or what makes one:
        it is called in `fit` with those of `in_features`, `out_features` and `shape` (of a row)
        that it has arguments for, and with every ``module__name`` of this estimator. None is a
        network of dense layers, with ``module__hidden=(100,)``, ``module__activation="relu"``,
        ``module__dropout`` and ``module__norm``.
    loss : str, Module, callable or None
        As for `rv.fit`; None is "cross_entropy", or "binary_cross_entropy_with_logits" for a module
        with a single output, and for several labels a row.
    optimizer : str, class or callable
        A name, a class of `rv.optim`, or a function of the parameters that makes one;
        ``optimizer__name`` are arguments of the class.
    lr : float, optional
        Learning rate; the optimizer's own default if left out.
    epochs : int
    batch_size : int, "auto" or None
        "auto" is 200 rows, or all where there are fewer; None is all.
    shuffle : bool
    validation : float, optional
        A fraction of the rows, in each class the same, that is measured after every epoch and not
        trained on.
    metrics, schedule, early_stopping, clip_norm, accumulate, l1, l2, max_norm, callbacks
        As for `rv.fit`, and so is `checkpoint`; metrics see labels as numbers from 0.
    class_weight : mapping of label to number, or "balanced", optional
        What the rows of each class count, times `sample_weight`; a label that is not named
        counts 1.
    threshold : float, dict or None
        Of two classes: from which probability on a row is of the second. A number, or what it is to
        reach on the validation rows: ``{"precision": 0.9}`` or ``{"recall": 0.95}``. None is 0.5.
    preprocess : "auto", True, None or rv.data.Table
        What makes numbers of a DataFrame: "auto" takes a `rv.data.Table` where it holds text or
        gaps, True always, and a table of one's own is copied and fitted on the rows of `fit`.
    warm_start : bool
        Whether another `fit` goes on from what is learned.
    random_state : int, RandomState or None
        Of starting weights, orders, dropout and the validation rows.
    dtype : str or dtype, optional
        What the module computes in. If left out, a module that was given keeps its own, and one
        that is made computes in float64 for rows of float64, else in float32.
    verbose : {0, 1, 2}
    **nested
        ``module__name`` and ``optimizer__name``.

    Attributes
    ----------
    classes_ : array of shape (classes,)
    module_ : Module
        What was trained.
    threshold_ : float
        Of two classes: what `predict` decides by. It may be set.
    history_ : History
        Loss and metrics of every epoch.
    n_iter_ : int
        Epochs so far.
    n_features_in_ : int
        Columns of the rows; feature_names_in_ beside it, where they had names.
    table_ : Table
        What made numbers of a DataFrame, where something had to.

    Examples
    --------
    >>> from ranvier.data import load_digits
    >>> from ranvier.sklearn import NetClassifier
    >>> (X, y), (X_test, y_test) = load_digits(test=0.2, seed=0)
    >>> net = NetClassifier(module__hidden=64, lr=0.01, epochs=20, random_state=0)
    >>> net.fit(X.numpy(), y.numpy()).score(X_test.numpy(), y_test.numpy()) > 0.95
    True
    """

    if TYPE_CHECKING:
        classes_: Any
        threshold_: float
        _classes_given: npt.NDArray[Any] | None
        _link: str | None  # None: the loss knows no probabilities

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
        class_weight: Any = None,
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
        threshold: Any = None,
        preprocess: Any = "auto",
        warm_start: bool = False,
        random_state: Any = None,
        dtype: Any = None,
        verbose: int = 0,
        **nested: Any,
    ) -> None:
        super().__init__(
            module, loss=loss, optimizer=optimizer, lr=lr, epochs=epochs, batch_size=batch_size,
            shuffle=shuffle, validation=validation, metrics=metrics, schedule=schedule,
            early_stopping=early_stopping, clip_norm=clip_norm, accumulate=accumulate, l1=l1, l2=l2,
            max_norm=max_norm, callbacks=callbacks, checkpoint=checkpoint, preprocess=preprocess,
            warm_start=warm_start, random_state=random_state, dtype=dtype, verbose=verbose,
            **nested,
        )  # fmt: skip
        self.class_weight = class_weight
        self.threshold = threshold

    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, validation_data: Any = None
    ) -> NetClassifier:
        """Train on rows.

        Parameters
        ----------
        X : array of shape (rows, columns) or (rows, ...), DataFrame or matrix of scipy.sparse
            Rows of more axes (images, sequences) go to the module as they are.
        y : array of shape (rows,) or (rows, labels)
            Labels of any kind, two or more; or 0 and 1 for each of several labels.
        sample_weight : array of shape (rows,), optional
        validation_data : (X, y) or (X, y, sample_weight), optional
            Rows to measure after every epoch, in place of `validation`.

        Returns
        -------
        NetClassifier
            Itself.

        Raises
        ------
        TypeError, ValueError
            For parameters or data that do not fit, a single class, or validation rows of classes
            that the others do not have.
        NonFiniteError
            If the loss, a gradient or a weight becomes NaN or infinite.
        """
        self._classes_given = None
        wanted = threshold.check(f"{type(self).__name__}.fit", self.threshold)
        if isinstance(wanted, tuple) and validation_data is None and self.validation is None:
            raise ValueError(
                f"[{type(self).__name__}.fit] threshold: expected validation rows to choose it on, "
                "got none; give validation=0.2, or validation_data= to fit"
            )
        return self._fit(X, y, sample_weight, validation_data)

    def partial_fit(
        self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None
    ) -> NetClassifier:
        """Train on rows for one more epoch.

        Parameters
        ----------
        X, y, sample_weight : as in fit
        classes : array of shape (classes,), optional
            All labels that there will be: in the first call, if not in all.

        Returns
        -------
        NetClassifier
            Itself.

        Raises
        ------
        ValueError
            Without `classes` in the first call; for labels that are not among them.
        """
        who = f"{type(self).__name__}.partial_fit"
        if classes is None and not hasattr(self, "module_"):
            raise ValueError("classes must be passed on the first call to partial_fit.")
        if isinstance(threshold.check(who, self.threshold), tuple):
            raise ValueError(
                f"[{who}] threshold: expected a number or None, as there are no validation rows, "
                f"got {self.threshold!r:.60}"
            )
        self._classes_given = None if classes is None else np.unique(np.asarray(classes))
        return self._fit(X, y, sample_weight, None, "partial_fit")

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """The label of each row: the likeliest, or by `threshold_`.

        Parameters
        ----------
        X : as in fit

        Returns
        -------
        array of shape (rows,) or (rows, labels)
        """
        shares = self._shares(self._answer(X, "predict"))
        kind = self._labels.kind
        if kind == "multiclass":
            return self.classes_.take(shares.argmax(axis=1))  # type: ignore[no-any-return]
        decided = shares >= (self.threshold_ if self._link else self._loss.border)
        if kind == "binary":
            if not self._link and shares.shape[1] == 2:
                return self.classes_.take(shares.argmax(axis=1))  # type: ignore[no-any-return]
            return self.classes_.take(decided[:, -1].astype(np.intp))  # type: ignore[no-any-return]
        several = decided.astype(np.int64)
        return self._labels.names(several) if self._labels.sparse else several

    @OnlyIf(_has_probabilities)
    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """The probability of each class.

        Parameters
        ----------
        X : as in fit

        Returns
        -------
        array of shape (rows, classes), float64
            Of several labels a row, the probability of each.
        """
        shares: npt.NDArray[np.float64] = self._shares(self._answer(X, "predict_proba"))
        return shares

    @OnlyIf(_has_probabilities)
    def predict_log_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """The logarithm of `predict_proba`."""
        with np.errstate(divide="ignore"):
            logs: npt.NDArray[np.float64] = np.log(self.predict_proba(X))
        return logs

    # --- targets

    def _learn_targets(self, who: str, y: Any, first: bool, weight: Any) -> int:
        if first:
            given = self._classes_given
            self._labels = Labels.of(who, y if given is None else given)
            self.classes_ = self._labels.classes
            self.threshold_ = 0.5
            if given is not None and self._labels.kind == "binary" and len(given) > 2:
                raise ValueError(f"[{who}] classes: expected labels, got {given!r:.80}")
        elif self._classes_given is not None and not np.array_equal(
            self._classes_given, self.classes_
        ):
            raise ValueError(
                f"`classes={self._classes_given!r}` is not the same as on last call to "
                f"partial_fit, was: {self.classes_!r}"
            )
        self._say_unknown(who, "y", y)
        kind = self._labels.kind
        if kind != "multilabel-indicator" and not who.endswith("partial_fit"):
            counted = y if weight is None else y[weight > 0]
            found = np.unique(counted)
            if len(found) < 2:
                raise ValueError(
                    f"[{who}] y: expected at least two classes, got only one class, "
                    f"{found.tolist()}"
                )
        if isinstance(self.threshold, (dict, float, int)) and kind == "multiclass":
            raise ValueError(
                f"[{who}] threshold: expected None for {len(self.classes_)} classes, of which the "
                f"likeliest is taken, got {self.threshold!r:.60}"
            )
        if isinstance(self.threshold, dict) and kind != "binary":
            raise ValueError(
                f"[{who}] threshold: expected a number or None for several labels a row, got "
                f"{self.threshold!r:.60}"
            )
        if kind == "multilabel-indicator":
            return len(self.classes_)
        return max(2, len(self.classes_))

    def _say_unknown(self, who: str, name: str, y: Any) -> None:
        unknown = self._labels.unknown(y)
        if len(unknown):
            raise ValueError(
                f"[{who}] {name}: `y` has classes not in `self.classes_`: expected labels out of "
                f"{self.classes_.tolist()!s:.100}, got {unknown.tolist()!s:.60}"
            )

    def _encoded_or_say(self, who: str, y: Any) -> None:
        self._labels.places(f"{who} validation_data", y)
        self._say_unknown(who, "validation_data", y)

    def _places(self, who: str, y: Any) -> npt.NDArray[np.int64]:
        """The number of each row's class; for several labels a row, 0 and 1 for each."""
        places = self._labels.places(who, y)
        if self._labels.kind == "binary":
            places = places[:, 0]
        return places.astype(np.int64)

    def _encoded(self, who: str, y: Any) -> Any:
        places = self._places(who, y)
        if self._labels.kind == "multilabel-indicator":
            return places.astype(np.float32)
        if self._loss.kind in ("labels", "free"):
            return places
        signed = self._loss.name in ("SoftMarginLoss", "HingeEmbeddingLoss")
        if self._row_of_output in ((), (1,)):
            hot = places.astype(np.float32)
        else:
            hot = (places[:, None] == np.arange(self._row_of_output[0])).astype(np.float32)
        return 2 * hot - 1 if signed else hot

    def _resolve_loss(self, who: str, shape: tuple[int, ...]) -> Loss:
        classes, single = len(self.classes_), shape in ((), (1,))
        several = self._labels.kind == "multilabel-indicator"
        fits = shape == (classes,) or (classes == 2 and single and not several)
        if several and classes == 1:
            fits = single
        if not fits:
            more = " or 1" if classes == 2 and not several else ""
            raise ValueError(
                f"[{who}] module: expected {classes}{more} outputs for {classes} classes, got a "
                f"row of shape {shape}; a function that makes the module may ask for out_features"
            )
        given = self.loss
        if given is None:
            given = "binary_cross_entropy_with_logits" if single or several else "cross_entropy"
        self._loss_given, loss = given, losses.resolve(who, given)
        if loss.kind == "labels" and (single or several):
            what = "several labels a row" if several else "a single output"
            raise ValueError(
                f"[{who}] loss: expected one for {what}, such as "
                f"'binary_cross_entropy_with_logits', got {loss.name!r}"
            )
        self._link = _LINKS.get(loss.name, _BY_KIND.get(loss.kind))
        if isinstance(self.threshold, dict) and self._link is None:
            raise ValueError(
                f"[{who}] threshold: expected a loss of probabilities, got {loss.name!r}"
            )
        return loss

    def _weights(self, who: str, y: Any, weight: Any) -> Any:
        learned = self._labels.places(who, y)
        return weights.of_rows(self, self._labels, learned, weight, who.endswith("partial_fit"))

    def _strata(self, y: Any) -> Any:
        if self._labels.kind == "multilabel-indicator":
            return None
        return self._places("fit", y)

    # --- answers

    def _shares(self, output: Tensor) -> npt.NDArray[np.float64]:
        """The probability of each class or label; scores where the loss knows no probabilities."""
        with no_grad():
            z = _C.ops.cast(output.detach(), _C.float64)
            if self._link == "softmax":
                z = _C.ops.softmax(z, -1)
            elif self._link == "exp":
                z = _C.ops.exp(z)
            elif self._link == "sigmoid":
                z = _C.ops.sigmoid(z)
        shares: npt.NDArray[np.float64] = z.numpy().reshape(len(output), -1)
        if self._link in ("sigmoid", "identity") and self._labels.kind != "multilabel-indicator":
            if shares.shape[1] == 1:
                return np.concatenate([1 - shares, shares], axis=1)
            total = shares.sum(axis=1, keepdims=True)
            return shares / np.where(total > 0, total, 1)
        return shares

    def _settle(self, who: str, X: Any, y: Any, weight: Any) -> None:
        wanted = threshold.check(who, self.threshold)
        if isinstance(wanted, float):
            self.threshold_ = wanted
        if not isinstance(wanted, tuple):
            return
        from ranvier.training.evaluation import predict

        not_fitted(self)
        shares = self._shares(predict(self.module_, X))[:, 1]
        positive = self._places(who, y) == 1
        self.threshold_ = threshold.choose(who, wanted, shares, positive, weight)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.classifier_tags.multi_label = True
        return tags
