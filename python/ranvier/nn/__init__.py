"""Layers, losses and how they are put together, under PyTorch's names."""

from __future__ import annotations

from ranvier.nn import functional, init
from ranvier.nn.activation import (
    GELU,
    LeakyReLU,
    LogSoftmax,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Step,
    Tanh,
)
from ranvier.nn.container import ModuleList, Sequential
from ranvier.nn.linear import Flatten, Identity, Linear
from ranvier.nn.loss import BCELoss, CrossEntropyLoss, HalfSquaredError, MSELoss
from ranvier.nn.module import Module
from ranvier.nn.parameter import Parameter

__all__ = [
    # what everything is made of
    "Module", "Parameter", "Sequential", "ModuleList",
    # layers
    "Linear", "Flatten", "Identity",
    # activations
    "ReLU", "LeakyReLU", "Sigmoid", "Tanh", "GELU", "SiLU", "Softmax", "LogSoftmax", "Step",
    # losses
    "MSELoss", "HalfSquaredError", "CrossEntropyLoss", "BCELoss",
    # functions
    "functional", "init",
]  # fmt: skip
