"""What `fit` tells of a model to whoever writes it to a file: its rows, and how it was trained."""

from __future__ import annotations

from typing import Any

from ranvier._C import Tensor
from ranvier.io import notes
from ranvier.keras.training.data import ArrayBatches, GivenBatches
from ranvier.training.history import History
from ranvier.training.inputs import Rows


def note(model: Any, task: Any, history: History) -> None:
    """Tells it, when the run begins."""
    about, batches = notes.about(model), task.batches
    losses = [getattr(loss, "name", "") for loss in task.compiled.losses if loss is not None]
    facts: dict[str, Any] = {
        "loss": ", ".join(losses)[:1000] or "none",
        "optimizer": type(task.keras_optimizer).__name__,
        "lr": float(task.keras_optimizer.learning_rate),
    }
    if isinstance(batches, ArrayBatches):
        facts["batch_size"] = batches.size
        if isinstance(batches.x, Rows):
            about.note_row(batches.x.shape, batches.x.dtype.name)
    elif isinstance(batches, GivenBatches):
        rows = batches.peek().x
        if isinstance(rows, Tensor):
            about.note_row(tuple(rows.shape[1:]), rows.dtype.name)
    about.note_fit(facts, history)
