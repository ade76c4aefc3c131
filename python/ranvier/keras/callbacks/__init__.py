"""Keras' callbacks."""

from __future__ import annotations

from typing import Any

from ranvier.keras.callbacks.backup import BackupAndRestore
from ranvier.keras.callbacks.callback import Callback, CallbackList, LambdaCallback
from ranvier.keras.callbacks.tensorboard import TensorBoard
from ranvier.keras.callbacks.usual import (
    CSVLogger,
    EarlyStopping,
    History,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    TerminateOnNaN,
)

__all__ = [
    "BackupAndRestore", "Callback", "CallbackList", "CSVLogger", "EarlyStopping", "History",
    "LambdaCallback", "LearningRateScheduler", "ModelCheckpoint", "ReduceLROnPlateau",
    "TensorBoard", "TerminateOnNaN",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    from ranvier.keras._missing import refuse

    raise refuse("callbacks", name, __all__)
