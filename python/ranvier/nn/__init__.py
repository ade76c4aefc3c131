"""Layers, losses and how they are put together, under PyTorch's names."""

from __future__ import annotations

from ranvier.nn import functional, init, utils
from ranvier.nn._named import ModuleDict, ParameterDict, ParameterList
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
from ranvier.nn.dropout import AlphaDropout, Dropout
from ranvier.nn.linear import Bilinear, Flatten, Identity, Linear, Unflatten
from ranvier.nn.loss import BCELoss, CrossEntropyLoss, HalfSquaredError, MSELoss
from ranvier.nn.module import Module
from ranvier.nn.normalization import BatchNorm1d, GroupNorm, LayerNorm, RMSNorm
from ranvier.nn.parameter import Buffer, Parameter

__all__ = [
    # what everything is made of
    "Module", "Parameter", "Buffer", "Sequential", "ModuleList", "ModuleDict", "ParameterList",
    "ParameterDict",
    # layers
    "Linear", "Bilinear", "Flatten", "Unflatten", "Identity",
    "Dropout", "AlphaDropout", "BatchNorm1d", "LayerNorm", "RMSNorm", "GroupNorm",
    # activations
    "ReLU", "LeakyReLU", "Sigmoid", "Tanh", "GELU", "SiLU", "Softmax", "LogSoftmax", "Step",
    # losses
    "MSELoss", "HalfSquaredError", "CrossEntropyLoss", "BCELoss",
    # functions
    "functional", "init", "utils",
]  # fmt: skip
