"""Optimizers: how gradients change parameters. PyTorch's names and defaults."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ranvier.optim.adadelta import Adadelta
from ranvier.optim.adagrad import Adagrad
from ranvier.optim.adam import Adam, AdamW
from ranvier.optim.adamax import Adamax
from ranvier.optim.asgd import ASGD
from ranvier.optim.groups import ParamGroup
from ranvier.optim.lion import Lion
from ranvier.optim.nadam import NAdam
from ranvier.optim.optimizer import Optimizer
from ranvier.optim.radam import RAdam
from ranvier.optim.rmsprop import RMSprop
from ranvier.optim.rprop import Rprop
from ranvier.optim.sgd import SGD

if TYPE_CHECKING:
    from ranvier.optim import lr_scheduler
    from ranvier.optim.lbfgs import LBFGS
else:

    def __getattr__(name: str) -> Any:
        # Imported when somebody asks for them: `import ranvier` is to be quick.
        if name == "lr_scheduler":
            return importlib.import_module("ranvier.optim.lr_scheduler")
        if name == "LBFGS":
            return importlib.import_module("ranvier.optim.lbfgs").LBFGS
        raise AttributeError(f"module 'ranvier.optim' has no attribute {name!r}")


__all__ = [
    "SGD", "ASGD", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "Adagrad", "Adadelta",
    "Lion", "Rprop", "LBFGS", "Optimizer", "ParamGroup", "lr_scheduler",
]  # fmt: skip
