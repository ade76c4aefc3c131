"""What a training run leaves behind: one number per epoch for everything that was measured.

Plain Python lists, ready for any plotting program. Nothing here computes.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class History:
    """The course of one call of `fit`.

    Attributes
    ----------
    history : dict of str to list of float
        `loss`, each metric by its name, and the same with `val_` in front where there is
        validation; one number per completed epoch.
    seconds : float
        How long the run took.
    stopped : str or None
        Why the run ended before its last epoch, where something stopped it.
    """

    history: dict[str, list[float]] = field(default_factory=dict)
    seconds: float = 0.0
    stopped: str | None = None

    @property
    def epochs(self) -> int:
        """How many epochs were completed."""
        return len(self.history.get("loss", ()))

    def append(self, values: dict[str, float]) -> None:
        """Add the numbers of one epoch."""
        for name, value in values.items():
            self.history.setdefault(name, []).append(value)

    def __repr__(self) -> str:
        last = ", ".join(f"{name} {values[-1]:.4g}" for name, values in self.history.items())
        plural = "" if self.epochs == 1 else "s"
        return f"History({self.epochs} epoch{plural} in {self.seconds:.2f} s: {last or 'nothing'})"
