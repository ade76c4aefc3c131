"""What is said about names that the Keras door does not have."""

from __future__ import annotations

from collections.abc import Iterable

from ranvier.keras._names import near

_ELSEWHERE = {
    "applications": "networks that were trained elsewhere are not part of Ranvier",
    "preprocessing": "keras.layers.Normalization and Rescaling, and ranvier.data, prepare data",
    "wrappers": "ranvier.sklearn has estimators with scikit-learn's interface",
    "distribution": "Ranvier trains on one machine",
    "mixed_precision": "layers take dtype='float16' or 'bfloat16', or keras.config.set_floatx",
    "dtype_policies": "layers take dtype='float16' or 'bfloat16', or keras.config.set_floatx",
}


def refuse(part: str, name: str, known: Iterable[str]) -> AttributeError:
    """The error for `keras.<part>.<name>`, with near misses."""
    return AttributeError(
        f"module 'ranvier.keras.{part}' has no attribute {name!r}{near(name, known)}"
    )


def refuse_top(name: str, known: Iterable[str]) -> AttributeError:
    """The error for `keras.<name>`, with where the thing is."""
    hint = f"; {_ELSEWHERE[name]}" if name in _ELSEWHERE else near(name, known)
    return AttributeError(f"module 'ranvier.keras' has no attribute {name!r}{hint}")
