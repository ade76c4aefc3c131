"""Layers and losses as functions, under PyTorch's names: `import ranvier.nn.functional as F`.

A table of contents: what is one op is the op of the core itself, what takes more than it, such as
`inplace` or the old words for a reduction, stands in the private modules beside this one.
"""

from __future__ import annotations

from ranvier._ops import (
    hardshrink,
    linear,
    logsigmoid,
    pad,
    sigmoid,
    softplus,
    softshrink,
    softsign,
    tanh,
    tanhshrink,
)
from ranvier.nn._functional_activations import (
    celu,
    elu,
    gelu,
    glu,
    hardsigmoid,
    hardswish,
    hardtanh,
    leaky_relu,
    log_softmax,
    mish,
    prelu,
    relu,
    relu6,
    rrelu,
    selu,
    silu,
    softmax,
    softmin,
    step,
    threshold,
)
from ranvier.nn._functional_losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    gaussian_nll_loss,
    half_squared_error,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    nll_loss,
    poisson_nll_loss,
    smooth_l1_loss,
)
from ranvier.nn._functional_margins import (
    cosine_embedding_loss,
    cosine_similarity,
    hinge_embedding_loss,
    margin_ranking_loss,
    multi_margin_loss,
    multilabel_margin_loss,
    multilabel_soft_margin_loss,
    normalize,
    pairwise_distance,
    soft_margin_loss,
    triplet_margin_loss,
    triplet_margin_with_distance_loss,
)
from ranvier.nn._functional_rows import one_hot
from ranvier.nn.functional_norm import (
    alpha_dropout,
    batch_norm,
    bilinear,
    dropout,
    group_norm,
    layer_norm,
    rms_norm,
)

__all__ = [
    # layers
    "alpha_dropout", "batch_norm", "bilinear", "dropout", "group_norm", "layer_norm", "linear",
    "one_hot", "pad", "rms_norm",
    # activations
    "celu", "elu", "gelu", "glu", "hardshrink", "hardsigmoid", "hardswish", "hardtanh",
    "leaky_relu", "log_softmax", "logsigmoid", "mish", "prelu", "relu", "relu6", "rrelu", "selu",
    "sigmoid", "silu", "softmax", "softmin", "softplus", "softshrink", "softsign", "step", "tanh",
    "tanhshrink", "threshold",
    # losses
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "cosine_embedding_loss",
    "cross_entropy", "gaussian_nll_loss", "half_squared_error", "hinge_embedding_loss",
    "huber_loss", "kl_div", "l1_loss", "margin_ranking_loss", "mse_loss", "multi_margin_loss",
    "multilabel_margin_loss", "multilabel_soft_margin_loss", "nll_loss", "poisson_nll_loss",
    "smooth_l1_loss", "soft_margin_loss", "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
    # measures
    "cosine_similarity", "normalize", "pairwise_distance",
]  # fmt: skip
