"""What TensorBoard shows, written by PyTorch's names: `SummaryWriter`.

The `tensorboard` package is imported when a writer is made; nothing else needs it.
"""

from __future__ import annotations

from ranvier.utils.tensorboard.writer import SummaryWriter

__all__ = ["SummaryWriter"]
