"""Methods as scikit-learn looks at them: which metadata they take, and whether they are there.

Nothing here needs scikit-learn, but for who sets requests for metadata, which are its own.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
from collections.abc import Callable
from types import MethodType
from typing import Any, TypeVar

E = TypeVar("E", bound=Exception)

# Methods whose arguments beside data a program may ask scikit-learn to hand on.
ROUTED = ("fit", "partial_fit", "predict", "predict_proba", "score")
_DATA = ("self", "X", "y")


def metadata_of(kind: type, method: str) -> list[str]:
    """What a method takes beside data."""
    function = getattr(kind, method, None)
    if not inspect.isfunction(function):
        return []
    parameters = inspect.signature(function).parameters.values()
    found = [p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    return sorted(name for name in found if name not in _DATA)


def request_setter(method: str, names: list[str]) -> Callable[..., Any]:
    """`set_fit_request` and its like: True hands an argument on, False does not, None refuses it.

    A string is the name under which a program gives it.
    """

    def setter(self: Any, **requests: Any) -> Any:
        config = importlib.import_module("sklearn").get_config()
        if not config.get("enable_metadata_routing"):
            raise RuntimeError(
                "This method is only available when metadata routing is enabled. You can enable "
                "it using sklearn.set_config(enable_metadata_routing=True)."
            )
        if unknown := set(requests) - set(names):
            raise TypeError(
                f"Unexpected args: {unknown} in {method}. Accepted arguments are: {set(names)}"
            )
        routing = self.get_metadata_routing()
        for name, alias in requests.items():
            if alias != "$UNCHANGED$":
                getattr(routing, method).add_request(param=name, alias=alias)
        self.__dict__["_metadata_request"] = routing
        return self

    setter.__name__ = f"set_{method}_request"
    setter.__doc__ = f"Say which of {', '.join(names)} scikit-learn's tools hand on to `{method}`."
    kind = inspect.Parameter
    taken = [kind(name, kind.KEYWORD_ONLY, default="$UNCHANGED$") for name in names]
    signature = inspect.Signature([kind("self", kind.POSITIONAL_OR_KEYWORD), *taken])
    setter.__signature__ = signature  # type: ignore[attr-defined]
    return setter


class OnlyIf:
    """A method that is there only while a condition holds; it raises an AttributeError otherwise.

    Parameters
    ----------
    check : callable
        Given the estimator; raises the error.
    """

    def __init__(self, check: Callable[[Any], None]) -> None:
        self.check = check

    def __call__(self, function: Callable[..., Any]) -> Any:
        self.function = function
        functools.update_wrapper(self, function)
        return self

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self.function
        self.check(instance)
        return MethodType(self.function, instance)


def known_class(name: str, otherwise: type[E], module: str = "sklearn.exceptions") -> type[E]:
    """scikit-learn's error or warning of this name where a program has imported it."""
    found = getattr(sys.modules.get(module), name, None)
    return otherwise if found is None else found
