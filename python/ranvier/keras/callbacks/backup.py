"""`BackupAndRestore`: the state of a run in a folder, from which the same call goes on."""

from __future__ import annotations

import os
from typing import Any

from ranvier.keras.callbacks.callback import Callback
from ranvier.training.checkpoint import Checkpoint


class BackupAndRestore(Callback):
    """Keeps the state of a run of `fit` in a folder, so that the same call goes on after an end.

    Whatever ends the run, an error, Ctrl-C, a kill or a power cut: the same program goes on where
    the last state was kept, in the middle of an epoch too, and ends with the bytes of a run that
    was never interrupted. The state is that of `ranvier.Checkpoint`, which ``fit(checkpoint=...)``
    takes as well: weights, optimizer, random numbers, the place in the shuffled epoch, history and
    callbacks. The model must be made and compiled as before, and given the same data.

    Parameters
    ----------
    backup_dir : str or path
        It is made if it is not there.
    save_freq : "epoch" or int
        After every epoch, or after every so many steps.
    double_checkpoint : bool
        Whether the state before the last one is kept too.
    delete_checkpoint : bool
        Whether the state is removed when the run has ended by itself.
    save_before_preemption : bool
        Taken, and without effect.

    Raises
    ------
    TypeError, ValueError
        If an argument is not what it should be.

    Examples
    --------
    >>> from ranvier import keras
    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> backup = keras.callbacks.BackupAndRestore("backup", save_freq=100)
    >>> history = model.fit([[1.0], [2.0]], [[2.0], [4.0]], verbose=0, callbacks=[backup])
    """

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: str | int = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
        save_before_preemption: bool = False,
    ) -> None:
        if not isinstance(backup_dir, (str, os.PathLike)) or not os.fspath(backup_dir):
            raise ValueError(
                f"[BackupAndRestore] backup_dir: expected the path of a folder, got "
                f"{backup_dir!r:.60}"
            )
        if isinstance(save_freq, bool) or not (save_freq == "epoch" or _is_count(save_freq)):
            raise ValueError(
                "[BackupAndRestore] save_freq: expected 'epoch' or a number of steps, got "
                f"{save_freq!r:.60}"
            )
        self.backup_dir, self.save_freq = os.fspath(backup_dir), save_freq
        self.delete_checkpoint = bool(delete_checkpoint)
        self.double_checkpoint = bool(double_checkpoint)
        self._broken = self._asked = False

    def checkpoint(self) -> Checkpoint:
        """What keeps the state; whoever runs the training asks for it."""
        self._asked = True
        os.makedirs(self.backup_dir, exist_ok=True)
        path = os.path.join(self.backup_dir, "backup.ckpt")
        every: Any = self.save_freq
        return Checkpoint(path, every=every, keep=2 if self.double_checkpoint else 1)

    def on_train_begin(self, logs: Any = None) -> None:
        """Raises where nobody keeps the state of this run."""
        if not self._asked:
            raise ValueError(
                "[BackupAndRestore] expected fit of a Keras model or rv.fit, got a run of an "
                "estimator that keeps no state; NetClassifier and NetRegressor do"
            )
        self._broken = self._asked = False

    def on_not_finite(self, error: Exception) -> bool:
        """The state before that stays, whoever takes this for an end."""
        self._broken = True
        return False

    def ended(self, files: Any) -> None:
        """The run has ended by itself: its files are removed, if they are to be."""
        if self.delete_checkpoint and not self._broken:
            files.remove()


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and value > 0
