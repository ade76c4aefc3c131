"""scikit-learn's MLP: an epoch is one `partial_fit`, the only loop that it has."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.neural_network import MLPClassifier, MLPRegressor

from ..workloads import BETAS, EPOCHS, EPSILON_BEFORE, Workload, sample
from . import Trial, losses


def trial(workload: Workload, variant: str = "") -> Trial | None:
    if workload.kind not in ("epoch", "predict") or workload.xor:
        return None
    model = _model(workload)
    x, y = workload.network.x, workload.network.y
    if workload.kind == "predict":
        if workload.classifies:
            return None  # it gives probabilities, a softmax more than the others
        return _fitted(model, workload, lambda: model.predict(x))
    classes = np.arange(workload.widths[-1])
    targets = y if workload.classifies else y[:, 0]
    more = {"classes": classes} if workload.classifies else {}

    def epoch() -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.partial_fit(x, targets, **more)
        # of squared errors it reports half
        return float(model.loss_) * (1 if workload.classifies else 2)

    return losses(epoch, EPOCHS)


def _fitted(model: Any, workload: Workload, predict: Any) -> Trial:
    """Predicts from the given weights: a fit makes what holds them, then they are put there."""
    model.partial_fit(workload.network.x, workload.network.y[:, 0])
    model.coefs_ = [w.copy() for w in workload.network.weights]
    model.intercepts_ = [np.zeros(w.shape[1], "f4") for w in workload.network.weights]
    return Trial(predict, lambda: sample(predict()))


def _model(workload: Workload) -> Any:
    kind: Any = MLPClassifier if workload.classifies else MLPRegressor
    weights = iter(workload.network.weights)

    class Given(kind):  # type: ignore[misc]
        """Begins with the weights that all peers begin with."""

        def _init_coef(self, fan_in: int, fan_out: int, dtype: Any) -> Any:
            return next(weights).astype(dtype), np.zeros(fan_out, dtype)

    return Given(
        hidden_layer_sizes=tuple(workload.widths[1:-1]),
        batch_size=min(workload.batch, workload.rows),
        alpha=0.0,
        shuffle=False,
        learning_rate_init=workload.rate,
        beta_1=BETAS[0],
        beta_2=BETAS[1],
        epsilon=EPSILON_BEFORE,
    )
