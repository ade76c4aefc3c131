"""Probability distributions with PyTorch's names: `sample`, `rsample`, `log_prob`, `entropy`.

Everything is computed by the core's ops, so gradients flow through `log_prob`, `rsample` and
`entropy`, and samples come from the default generator. Imported at its first use as
`ranvier.distributions`.
"""

from __future__ import annotations

from ranvier.distributions import constraints
from ranvier.distributions.bernoulli import Bernoulli
from ranvier.distributions.categorical import Categorical
from ranvier.distributions.continuous import Exponential, Laplace, Uniform
from ranvier.distributions.distribution import Distribution
from ranvier.distributions.independent import Independent
from ranvier.distributions.kl import kl_divergence, register_kl
from ranvier.distributions.normal import LogNormal, Normal

__all__ = [
    "Bernoulli",
    "Categorical",
    "Distribution",
    "Exponential",
    "Independent",
    "Laplace",
    "LogNormal",
    "Normal",
    "Uniform",
    "constraints",
    "kl_divergence",
    "register_kl",
]
