"""Optimizers: how gradients change parameters. PyTorch's names and defaults."""

from __future__ import annotations

from ranvier.optim.adam import Adam, AdamW
from ranvier.optim.optimizer import Optimizer, ParamGroup
from ranvier.optim.sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "ParamGroup"]
