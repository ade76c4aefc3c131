"""What may listen to a training run and steer it: one small protocol, and the usual listeners.

The protocol is the same for every door. What a listener decides, such as when nothing has improved
for long enough, stands once in `rules.py` and `table.py`; the Keras door has classes of its own
over the same rules, under Keras' names.
"""

from __future__ import annotations

from ranvier.training.callbacks.files import CSVLogger, ModelCheckpoint
from ranvier.training.callbacks.protocol import (
    EVENTS,
    Callback,
    LambdaCallback,
    Logs,
    add_note,
    blame,
    check_files,
    listeners,
    name_of,
    resolve,
)
from ranvier.training.callbacks.rates import LearningRateScheduler, ReduceLROnPlateau
from ranvier.training.callbacks.rules import Mode
from ranvier.training.callbacks.stopping import EarlyStopping, TerminateOnNaN, Weights

__all__ = [
    "EVENTS", "CSVLogger", "Callback", "EarlyStopping", "LambdaCallback", "LearningRateScheduler",
    "Logs", "Mode", "ModelCheckpoint", "ReduceLROnPlateau", "TerminateOnNaN", "Weights", "add_note",
    "blame", "check_files", "listeners", "name_of", "resolve",
]  # fmt: skip
