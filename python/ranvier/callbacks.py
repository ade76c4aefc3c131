"""What listens to a run of `fit` and steers it; the names that a program needs, in one place."""

from __future__ import annotations

from ranvier.training.callbacks import (
    Callback,
    CSVLogger,
    EarlyStopping,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    TerminateOnNaN,
)
from ranvier.training.callbacks.tensorboard import TensorBoard
from ranvier.training.schedules import Schedule

__all__ = [
    "CSVLogger", "Callback", "EarlyStopping", "LambdaCallback", "LearningRateScheduler",
    "ModelCheckpoint", "ReduceLROnPlateau", "Schedule", "TensorBoard", "TerminateOnNaN",
]  # fmt: skip
