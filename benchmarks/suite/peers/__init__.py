"""The same work once for every library: `trial(workload, variant)` of one module each.

A module is imported in a process of its own (serve.py), so none may import another's library.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..workloads import Array


class Trial(NamedTuple):
    """A workload, ready to run."""

    run: Callable[[], object]  # what is timed; it ends when the work is done
    outcome: Callable[[], Array]  # what it computes from a fresh start; called once, and first


def losses(run: Callable[[], Any], count: int) -> Trial:
    """A trial whose outcome are the first losses that `run` returns."""
    return Trial(run, lambda: np.array([float(run()) for _ in range(count)]))


class Peer(NamedTuple):
    """A column of the tables."""

    module: str  # of this package
    needs: tuple[str, ...]  # that must be importable
    variant: str = ""


# Ours first. A label is what the tables say and what `--peers` takes.
PEERS = {
    "ranvier": Peer("ranvier", ("ranvier",)),
    "ranvier eager": Peer("ranvier", ("ranvier",), "eager"),
    "ranvier keras": Peer("ranvier", ("ranvier",), "keras"),
    "numpy": Peer("numpy", ("numpy",)),
    "torch": Peer("torch", ("torch",)),
    "torch.compile": Peer("torch", ("torch",), "compile"),
    "torch loader": Peer("torch", ("torch",), "loader"),
    "jax": Peer("jax", ("jax",)),
    "sklearn": Peer("sklearn", ("sklearn",)),
    "keras": Peer("keras", ("keras",)),
    "onnxruntime": Peer("onnxruntime", ("onnxruntime", "onnx")),
}


def ours(label: str) -> bool:
    """Whether a column is Ranvier's."""
    return PEERS[label].module == "ranvier"
