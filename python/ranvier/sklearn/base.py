"""What estimators share: parameters by name, tags, requests for metadata, copies, and scores.

Nothing here needs scikit-learn: it is imported where scikit-learn itself asks.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from html import escape
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np

from ranvier.sklearn.methods import ROUTED, known_class, metadata_of, request_setter
from ranvier.sklearn.scores import accuracy, r2
from ranvier.training.errors import near_misses

if TYPE_CHECKING:
    import numpy.typing as npt

E = TypeVar("E", bound="Estimator")


class Estimator:
    """Base of all estimators; parameters are `__init__`'s arguments, and it does nothing but keep.

    Subclasses learn in `fit`, and keep what they have learned under names that end with "_".
    """

    # Attributes that do not travel with copies: whatever is made anew from the others.
    transient: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for method in ROUTED:
            if names := metadata_of(cls, method):
                setattr(cls, f"set_{method}_request", request_setter(method, names))

    # --- parameters

    @classmethod
    def _names(cls) -> list[str]:
        return sorted(_defaults_of(cls))

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters by name.

        Parameters
        ----------
        deep : bool
            Whether those of parameters that are estimators come too, as ``name__theirs``.
        """
        found: dict[str, Any] = {}
        for name in self._names():
            value = getattr(self, name)
            if deep and hasattr(value, "get_params") and not isinstance(value, type):
                found.update((f"{name}__{key}", own) for key, own in value.get_params().items())
            found[name] = value
        return found

    def set_params(self: E, **params: Any) -> E:
        """Change parameters by name, also those of a parameter (``name__theirs``).

        Returns
        -------
        Estimator
            Itself.

        Raises
        ------
        ValueError
            For a name that is none; nothing is changed then.
        """
        if not params:
            return self
        names = self._names()
        nested: dict[str, dict[str, Any]] = {}
        for key in params:
            name, parted, rest = key.partition("__")
            if name not in names:
                raise ValueError(self._unknown(name, names))
            if parted:
                nested.setdefault(name, {})[rest] = params[key]
        for key, value in params.items():
            if "__" not in key:
                setattr(self, key, value)
        for name, own in nested.items():
            getattr(self, name).set_params(**own)
        return self

    def _unknown(self, name: str, names: list[str]) -> str:
        return (
            f"Invalid parameter {name!r} for estimator {self}. Valid parameters are: {names!r}. "
            f"[set_params] expected one of these, got {name!r}{near_misses(name, names)}"
        )

    def __repr__(self) -> str:
        shown = [
            f"{name}={getattr(self, name)!r}"
            for name, default in _defaults_of(type(self)).items()
            if repr(getattr(self, name)) != repr(default)
        ]
        return f"{type(self).__name__}({', '.join(shown)})"

    def _repr_html_(self) -> str:
        """What a notebook shows: scikit-learn's diagram where it is imported, else a table."""
        utils = sys.modules.get("sklearn.utils")
        if utils is not None:
            return str(utils.estimator_html_repr(self))
        rows = "".join(
            f"<tr><td>{escape(name)}</td><td>{escape(repr(value))}</td></tr>"
            for name, value in self.get_params(deep=False).items()
        )
        return f"<table><caption>{type(self).__name__}</caption>{rows}</table>"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self._repr_html_()}

    # --- copies

    def __getstate__(self) -> dict[str, Any]:
        return {key: v for key, v in self.__dict__.items() if key not in self.transient}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def _check_learned(self) -> None:
        """A ValueError where what a file says was learned cannot be."""

    # --- what scikit-learn's tools ask

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn's tools ask an estimator; only they call it."""
        utils = importlib.import_module("sklearn.utils")
        return utils.Tags(
            estimator_type=None,
            target_tags=utils.TargetTags(required=True),
            transformer_tags=None,
            regressor_tags=None,
            classifier_tags=None,
            input_tags=utils.InputTags(sparse=True),
        )

    def __sklearn_is_fitted__(self) -> bool:
        """Whether there is something to predict with."""
        return hasattr(self, "n_iter_")

    def get_metadata_routing(self) -> Any:
        """Which arguments of `fit` and others scikit-learn's meta-estimators are to hand on."""
        routing = importlib.import_module("sklearn.utils.metadata_routing")
        known = self.__dict__.get("_metadata_request")
        if known is not None:
            return routing.get_routing_for_object(known)
        request = routing.MetadataRequest(owner=self)
        for method in ROUTED:
            for name in metadata_of(type(self), method):
                getattr(request, method).add_request(param=name, alias=None)
        return request


class Classifier(Estimator):
    """An estimator of classes."""

    _estimator_type = "classifier"

    if TYPE_CHECKING:
        classes_: Any

        def predict(self, X: Any) -> npt.NDArray[Any]:
            """The label of each row."""

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The share of rows whose label, or all of whose labels, are right.

        Parameters
        ----------
        X : array of shape (rows, columns)
        y : array of shape (rows,) or (rows, outputs)
        sample_weight : array of shape (rows,), optional

        Returns
        -------
        float
        """
        return accuracy(y, self.predict(X), sample_weight)

    def __sklearn_tags__(self) -> Any:
        tags, utils = super().__sklearn_tags__(), importlib.import_module("sklearn.utils")
        tags.estimator_type = "classifier"
        tags.classifier_tags = utils.ClassifierTags()
        return tags


class Regressor(Estimator):
    """An estimator of numbers."""

    _estimator_type = "regressor"

    if TYPE_CHECKING:

        def predict(self, X: Any) -> npt.NDArray[Any]:
            """The numbers of each row."""

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """R squared: 1 for numbers that are all right, 0 for their mean; the mean over outputs.

        Parameters
        ----------
        X : array of shape (rows, columns)
        y : array of shape (rows,) or (rows, outputs)
        sample_weight : array of shape (rows,), optional

        Returns
        -------
        float
        """
        return r2(y, self.predict(X), sample_weight)

    def __sklearn_tags__(self) -> Any:
        tags, utils = super().__sklearn_tags__(), importlib.import_module("sklearn.utils")
        tags.estimator_type = "regressor"
        tags.regressor_tags = utils.RegressorTags()
        return tags


def _defaults_of(kind: Any) -> dict[str, Any]:
    """The parameters of a class in the order of its `__init__`, with their defaults."""
    parameters = inspect.signature(kind).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is not p.VAR_KEYWORD}


def not_fitted(estimator: Any) -> None:
    """An error where an estimator has learned nothing yet."""
    if estimator.__sklearn_is_fitted__():
        return
    name = type(estimator).__name__
    raise known_class("NotFittedError", AttributeError)(
        f"This {name} instance is not fitted yet. Call 'fit' with appropriate arguments before "
        f"using this estimator. [{name}] expected a fitted estimator, got one that has seen no "
        "rows; call fit(X, y) first"
    )


def random_state(seed: Any) -> np.random.RandomState:
    """The generator that scikit-learn means by a seed: None is NumPy's own one."""
    if seed is None or seed is np.random:
        return np.random.mtrand._rand
    if isinstance(seed, (int, np.integer)):
        return np.random.RandomState(seed)
    if isinstance(seed, np.random.RandomState):
        return seed
    raise ValueError(
        f"{seed!r} cannot be used to seed a numpy.random.RandomState instance: [random_state] "
        "expected None, a whole number from 0 to 2^32 - 1 or a numpy.random.RandomState"
    )
