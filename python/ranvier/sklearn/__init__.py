"""The scikit-learn door: estimators under scikit-learn's names that need no scikit-learn."""

from __future__ import annotations

from ranvier.sklearn.mlp_base import ConvergenceWarning
from ranvier.sklearn.mlp_classifier import MLPClassifier
from ranvier.sklearn.mlp_regressor import MLPRegressor
from ranvier.sklearn.net_classifier import NetClassifier
from ranvier.sklearn.net_regressor import NetRegressor
from ranvier.sklearn.perceptron import Perceptron

__all__ = [
    "ConvergenceWarning",
    "MLPClassifier",
    "MLPRegressor",
    "NetClassifier",
    "NetRegressor",
    "Perceptron",
]
