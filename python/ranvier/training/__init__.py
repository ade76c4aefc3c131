"""Training: one loop, and what belongs to it. `fit`, `evaluate` and `predict` are the way in.

Layers and losses are in `ranvier.nn`, updates in `ranvier.optim`; nothing here knows them.
"""

from __future__ import annotations

from ranvier.training.errors import NonFiniteError, RanvierWarning
from ranvier.training.evaluation import evaluate, predict
from ranvier.training.history import History
from ranvier.training.loop import fit

__all__ = ["History", "NonFiniteError", "RanvierWarning", "evaluate", "fit", "predict"]
