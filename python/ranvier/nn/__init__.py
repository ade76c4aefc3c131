"""Layers, losses and how they are put together, under PyTorch's names."""

from __future__ import annotations

from ranvier.nn import functional, init, utils
from ranvier.nn._named import ModuleDict, ParameterDict, ParameterList
from ranvier.nn.activation import (
    Hardshrink,
    Hardsigmoid,
    Hardswish,
    Hardtanh,
    LeakyReLU,
    PReLU,
    ReLU,
    ReLU6,
    RReLU,
    Softshrink,
    Step,
    Threshold,
)
from ranvier.nn.activation_smooth import (
    CELU,
    ELU,
    GELU,
    GLU,
    SELU,
    LogSigmoid,
    LogSoftmax,
    Mish,
    Sigmoid,
    SiLU,
    Softmax,
    Softmin,
    Softplus,
    Softsign,
    Tanh,
    Tanhshrink,
)
from ranvier.nn.container import ModuleList, Sequential
from ranvier.nn.distance import CosineSimilarity, PairwiseDistance
from ranvier.nn.dropout import AlphaDropout, Dropout
from ranvier.nn.linear import Bilinear, Flatten, Identity, Linear, Unflatten
from ranvier.nn.loss import (
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    GaussianNLLLoss,
    HalfSquaredError,
    HuberLoss,
    KLDivLoss,
    L1Loss,
    MSELoss,
    NLLLoss,
    PoissonNLLLoss,
    SmoothL1Loss,
)
from ranvier.nn.loss_margin import (
    CosineEmbeddingLoss,
    HingeEmbeddingLoss,
    MarginRankingLoss,
    MultiLabelMarginLoss,
    MultiLabelSoftMarginLoss,
    MultiMarginLoss,
    SoftMarginLoss,
    TripletMarginLoss,
    TripletMarginWithDistanceLoss,
)
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
    "ReLU", "ReLU6", "LeakyReLU", "PReLU", "RReLU", "ELU", "CELU", "SELU", "GELU", "SiLU", "Mish",
    "Softplus", "Softsign", "Sigmoid", "LogSigmoid", "Tanh", "Tanhshrink", "Hardtanh",
    "Hardsigmoid", "Hardswish", "Hardshrink", "Softshrink", "Threshold", "Step", "GLU", "Softmax",
    "LogSoftmax", "Softmin",
    # losses
    "MSELoss", "HalfSquaredError", "L1Loss", "SmoothL1Loss", "HuberLoss", "CrossEntropyLoss",
    "NLLLoss", "BCELoss", "BCEWithLogitsLoss", "KLDivLoss", "PoissonNLLLoss", "GaussianNLLLoss",
    "HingeEmbeddingLoss", "CosineEmbeddingLoss", "MarginRankingLoss", "TripletMarginLoss",
    "TripletMarginWithDistanceLoss", "SoftMarginLoss", "MultiMarginLoss", "MultiLabelMarginLoss",
    "MultiLabelSoftMarginLoss",
    # measures
    "CosineSimilarity", "PairwiseDistance",
    # functions
    "functional", "init", "utils",
]  # fmt: skip


def __getattr__(name: str) -> object:
    from ranvier._tensorflow import nn_advice

    raise AttributeError(f"module 'ranvier.nn' has no attribute {name!r}{nn_advice(name)}")
