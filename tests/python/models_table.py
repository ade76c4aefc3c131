"""One model for every class of layers, and rows to try it on: what tests of model files go through.

A class of `ranvier.nn` or `ranvier.data` that is not here fails `test_model_files.py`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import ranvier as rv
from ranvier import nn
from ranvier.data import Impute, MinMax, OneHot, Standardize

ROWS = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
X = rv.tensor(ROWS)
NAN = float("nan")


class Case(NamedTuple):
    """A model and what its forward takes; nothing where it has none."""

    make: Callable[[], nn.Module]
    inputs: tuple[Any, ...] = (X,)


def taught(layer: Any, rows: Any = ROWS) -> Any:
    """A layer of `ranvier.data`, fitted."""
    return layer.fit(rows)


LABELS = rv.tensor([0, 1, 2, 3, 0, 1])
SIGNS = rv.tensor([1.0, -1.0, 1.0, 1.0, -1.0, 1.0])
SHARES = X.softmax(1)
PAIR = (X, X.flip(0))
WEIGHT = [0.5, 1.0, 2.0, 0.25]

LAYERS: dict[str, Case] = {
    "nn.Module": Case(nn.Module, ()),
    "nn.Sequential": Case(lambda: nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))),
    "nn.Sequential named": Case(
        lambda: nn.Sequential(OrderedDict([("in", nn.Linear(4, 3)), ("out", nn.ReLU())]))
    ),
    "nn.ModuleList": Case(lambda: nn.ModuleList([nn.Linear(4, 3), nn.ReLU()]), ()),
    "nn.ModuleDict": Case(lambda: nn.ModuleDict({"b": nn.Linear(4, 3), "a": nn.ReLU()}), ()),
    "nn.ParameterList": Case(lambda: nn.ParameterList([rv.rand(2), rv.rand(3, 1), None]), ()),
    "nn.ParameterDict": Case(lambda: nn.ParameterDict({"z": rv.rand(2), "a": None}), ()),
    "nn.Linear": Case(lambda: nn.Linear(4, 3)),
    "nn.Linear without bias": Case(lambda: nn.Linear(4, 3, bias=False)),
    "nn.Linear float64": Case(lambda: nn.Linear(4, 3, dtype=rv.float64), (X.double(),)),
    "nn.Linear bfloat16": Case(lambda: nn.Linear(4, 3).bfloat16(), (X.bfloat16(),)),
    "nn.Bilinear": Case(lambda: nn.Bilinear(4, 4, 3), PAIR),
    "nn.Flatten": Case(lambda: nn.Flatten(-2, 1), (X,)),
    "nn.Unflatten": Case(lambda: nn.Unflatten(1, (2, -1))),
    "nn.Identity": Case(lambda: nn.Identity(3, some="thing")),
    "nn.Dropout": Case(lambda: nn.Dropout(0.3)),
    "nn.AlphaDropout": Case(lambda: nn.AlphaDropout(0.2, inplace=False)),
    "nn.BatchNorm1d": Case(lambda: nn.BatchNorm1d(4, eps=1e-3, momentum=None)),
    "nn.BatchNorm1d bare": Case(lambda: nn.BatchNorm1d(4, affine=False, track_running_stats=False)),
    "nn.BatchNorm1d without bias": Case(lambda: nn.BatchNorm1d(4, bias=False)),
    "nn.LayerNorm": Case(lambda: nn.LayerNorm((2, 2), bias=False), (X.reshape(6, 2, 2),)),
    "nn.RMSNorm": Case(lambda: nn.RMSNorm(4)),
    "nn.RMSNorm eps": Case(lambda: nn.RMSNorm(4, eps=1e-3, elementwise_affine=False)),
    "nn.GroupNorm": Case(lambda: nn.GroupNorm(2, 4, eps=1e-4)),
    "nn.ReLU": Case(nn.ReLU),
    "nn.ReLU6": Case(nn.ReLU6),
    "nn.LeakyReLU": Case(lambda: nn.LeakyReLU(0.3)),
    "nn.PReLU": Case(lambda: nn.PReLU(4, init=0.125)),
    "nn.RReLU": Case(lambda: nn.RReLU(0.1, 0.4)),
    "nn.ELU": Case(lambda: nn.ELU(0.7)),
    "nn.CELU": Case(lambda: nn.CELU(1.5)),
    "nn.SELU": Case(nn.SELU),
    "nn.GELU": Case(lambda: nn.GELU("tanh")),
    "nn.SiLU": Case(nn.SiLU),
    "nn.Mish": Case(nn.Mish),
    "nn.Softplus": Case(lambda: nn.Softplus(2.0, 5.0)),
    "nn.Softsign": Case(nn.Softsign),
    "nn.Sigmoid": Case(nn.Sigmoid),
    "nn.LogSigmoid": Case(nn.LogSigmoid),
    "nn.Tanh": Case(nn.Tanh),
    "nn.Tanhshrink": Case(nn.Tanhshrink),
    "nn.Hardtanh": Case(lambda: nn.Hardtanh(-float("inf"), 0.5)),
    "nn.Hardsigmoid": Case(nn.Hardsigmoid),
    "nn.Hardswish": Case(nn.Hardswish),
    "nn.Hardshrink": Case(lambda: nn.Hardshrink(0.25)),
    "nn.Softshrink": Case(lambda: nn.Softshrink(0.125)),
    "nn.Threshold": Case(lambda: nn.Threshold(0.1, NAN)),
    "nn.Step": Case(lambda: nn.Step(0, straight_through=True)),
    "nn.GLU": Case(lambda: nn.GLU(1)),
    "nn.Softmax": Case(lambda: nn.Softmax(-1)),
    "nn.LogSoftmax": Case(lambda: nn.LogSoftmax(1)),
    "nn.Softmin": Case(lambda: nn.Softmin(dim=0)),
    "nn.MSELoss": Case(lambda: nn.MSELoss(reduction="sum"), PAIR),
    "nn.HalfSquaredError": Case(nn.HalfSquaredError, PAIR),
    "nn.L1Loss": Case(lambda: nn.L1Loss(reduction="none"), PAIR),
    "nn.SmoothL1Loss": Case(lambda: nn.SmoothL1Loss(beta=0.5), PAIR),
    "nn.HuberLoss": Case(lambda: nn.HuberLoss(delta=0.25), PAIR),
    "nn.CrossEntropyLoss": Case(
        lambda: nn.CrossEntropyLoss(rv.tensor(WEIGHT), ignore_index=2, label_smoothing=0.1),
        (X, LABELS),
    ),
    "nn.NLLLoss": Case(lambda: nn.NLLLoss(rv.tensor(WEIGHT)), (SHARES.log(), LABELS)),
    "nn.BCELoss": Case(lambda: nn.BCELoss(rv.tensor(WEIGHT)), (SHARES, SHARES.flip(0))),
    "nn.BCEWithLogitsLoss": Case(
        lambda: nn.BCEWithLogitsLoss(pos_weight=rv.tensor(WEIGHT)), (X, SHARES)
    ),
    "nn.KLDivLoss": Case(lambda: nn.KLDivLoss(reduction="batchmean"), (SHARES.log(), SHARES)),
    "nn.PoissonNLLLoss": Case(lambda: nn.PoissonNLLLoss(full=True), PAIR),
    "nn.GaussianNLLLoss": Case(lambda: nn.GaussianNLLLoss(eps=1e-3), (*PAIR, SHARES)),
    "nn.HingeEmbeddingLoss": Case(lambda: nn.HingeEmbeddingLoss(0.5), (X, X.sign())),
    "nn.CosineEmbeddingLoss": Case(lambda: nn.CosineEmbeddingLoss(0.5), (*PAIR, SIGNS)),
    "nn.MarginRankingLoss": Case(lambda: nn.MarginRankingLoss(0.5), (*PAIR, X.sign())),
    "nn.TripletMarginLoss": Case(lambda: nn.TripletMarginLoss(0.5, swap=True), (*PAIR, X + 1)),
    "nn.TripletMarginWithDistanceLoss": Case(
        lambda: nn.TripletMarginWithDistanceLoss(distance_function=nn.PairwiseDistance(1.0)),
        (*PAIR, X + 1),
    ),
    "nn.SoftMarginLoss": Case(nn.SoftMarginLoss, (X, X.sign())),
    "nn.MultiMarginLoss": Case(lambda: nn.MultiMarginLoss(2, 0.5), (X, LABELS)),
    "nn.MultiLabelMarginLoss": Case(nn.MultiLabelMarginLoss, (X, rv.tensor([[3, 0, -1, 1]] * 6))),
    "nn.MultiLabelSoftMarginLoss": Case(
        lambda: nn.MultiLabelSoftMarginLoss(rv.tensor(WEIGHT)), (X, SHARES.round())
    ),
    "nn.CosineSimilarity": Case(lambda: nn.CosineSimilarity(0, 1e-6), PAIR),
    "nn.PairwiseDistance": Case(lambda: nn.PairwiseDistance(3.0, keepdim=True), PAIR),
    "data.Standardize": Case(lambda: taught(Standardize())),
    "data.Standardize not fitted": Case(Standardize, ()),
    "data.MinMax": Case(lambda: taught(MinMax())),
    "data.Impute": Case(lambda: taught(Impute("median")), (rv.tensor([[NAN, 1.0, NAN, 2.0]]),)),
    "data.Impute number": Case(lambda: taught(Impute(2.5)), (rv.tensor([[NAN, 1.0, NAN, 2.0]]),)),
    "data.OneHot": Case(lambda: taught(OneHot([0, -1]), ROWS.round()), (X.round(),)),
    "data.OneHot all": Case(lambda: taught(OneHot(), ROWS.round()), (X.round(),)),
}
