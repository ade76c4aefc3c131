"""`python -m ranvier info`: what this installation is, what it found, and what that gives.

Reads and reports; changes nothing.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from pathlib import Path

import numpy as np

import ranvier as rv
from ranvier import _C, data
from ranvier._demo import xor

# What is used where it is found, and for what. Nothing of it is needed.
_OPTIONAL = {
    "scikit-learn": "more data sets, and models to compare with",
    "matplotlib": "plots of a run's history",
    "pytest": "this package's tests, with `make test`",
}


def show() -> None:
    """Print it all, ending with XOR trained and the time that it took."""
    available = _C.available_isas()
    print(f"Ranvier {rv.__version__}")
    _line("kernels", f"{_C.current_isa()}, of {', '.join(available)} (RANVIER_ISA chooses)")
    threads = f"{_C.get_num_threads()}, of {os.cpu_count()} CPUs (RANVIER_NUM_THREADS)"
    _line("threads", f"{threads}, {_C.thread_team()}")
    _line("python", f"{platform.python_version()}, {platform.machine()}, {sys.platform}")
    _line("numpy", np.__version__)
    for name, use in _OPTIONAL.items():
        _line(name, f"{_version(name) or 'not found'}: {use}")
    _line("package", str(Path(rv.__file__).parent))
    _line("core", f"{Path(_C.__file__).name}, {os.path.getsize(_C.__file__) / 1e6:.1f} MB")
    _line("digits", str(Path(data.__file__).with_name("digits.npz")))
    _, history = xor.train(seed=0)
    right = round(4 * history.history["accuracy"][-1])
    _line("xor", f"{right} of 4 right after {history.epochs} steps, {history.seconds:.2f} s")


def _line(name: str, text: str) -> None:
    print(f"  {name:<14}{text}")


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
