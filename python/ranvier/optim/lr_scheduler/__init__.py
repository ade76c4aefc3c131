"""Schedules of the learning rate: PyTorch's names, arguments and values.

Call `scheduler.step()` after `optimizer.step()`: after every epoch, or after every batch where the
schedule counts batches.
"""

from __future__ import annotations

from ranvier.optim.lr_scheduler.base import LRScheduler
from ranvier.optim.lr_scheduler.combined import ChainedScheduler, SequentialLR
from ranvier.optim.lr_scheduler.cosine import CosineAnnealingLR, CosineAnnealingWarmRestarts
from ranvier.optim.lr_scheduler.cycles import CyclicLR, OneCycleLR
from ranvier.optim.lr_scheduler.factors import (
    ConstantLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)
from ranvier.optim.lr_scheduler.plateau import ReduceLROnPlateau

_LRScheduler = LRScheduler  # its name in older programs

__all__ = [
    "LRScheduler", "StepLR", "MultiStepLR", "ExponentialLR", "ConstantLR", "LinearLR",
    "PolynomialLR", "LambdaLR", "MultiplicativeLR", "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts", "CyclicLR", "OneCycleLR", "ReduceLROnPlateau", "SequentialLR",
    "ChainedScheduler",
]  # fmt: skip
