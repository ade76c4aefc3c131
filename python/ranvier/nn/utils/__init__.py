"""Clipping of gradients and weights, and parameters as one vector."""

from __future__ import annotations

from ranvier.nn.utils.clip import (
    clip_grad_norm_,
    clip_grad_value_,
    clip_grads_with_norm_,
    get_total_norm,
    max_norm_,
)
from ranvier.nn.utils.vectors import parameters_to_vector, vector_to_parameters

__all__ = [
    "clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm", "max_norm_",
    "parameters_to_vector", "vector_to_parameters",
]  # fmt: skip
