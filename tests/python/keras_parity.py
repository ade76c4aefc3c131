"""What the tests of the Keras door share: Keras itself where it is installed, and small data."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest


def real_keras() -> Any:
    """Keras 3, on PyTorch; the test is skipped where it is not installed."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    pytest.importorskip("torch")
    return pytest.importorskip("keras", minversion="3.0")


def rows(seed: int = 0, count: int = 50, features: int = 6) -> Any:
    """Normal numbers, float32."""
    return np.random.default_rng(seed).normal(size=(count, features)).astype(np.float32)
