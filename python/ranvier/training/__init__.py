"""Training: one loop, and what belongs to it. `fit`, `evaluate` and `predict` are the way in.

Layers and losses are in `ranvier.nn`, updates in `ranvier.optim`; nothing here knows them.
"""

from __future__ import annotations

from ranvier.training import callbacks
from ranvier.training.callbacks import Callback, EarlyStopping
from ranvier.training.errors import NonFiniteError, RanvierWarning
from ranvier.training.evaluation import evaluate, predict
from ranvier.training.fitting import fit
from ranvier.training.history import History

__all__ = [
    "Callback", "EarlyStopping", "History", "NonFiniteError", "RanvierWarning", "callbacks",
    "evaluate", "fit", "predict",
]  # fmt: skip
