"""What scikit-learn's MLPs give for a number of parameters: written by it once, and kept.

`python sklearn_curves.py` writes `sklearn_curves.json` beside this file, with scikit-learn
installed. Data come from NumPy's legacy generator, whose numbers never change.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np

KEPT = Path(__file__).with_suffix(".json")
EPOCHS = 20

Case = tuple[str, str, dict[str, Any], bool]  # estimator, targets, parameters, weights


def data() -> dict[str, Any]:
    """Rows, targets of each kind, and weights."""
    state = np.random.RandomState(7)
    X = state.normal(size=(90, 6)) * [1, 2, 0.5, 1, 3, 1]
    sums = X @ state.normal(size=(6, 3)) + 0.3 * state.normal(size=(90, 3))
    return {
        "X": X,
        "binary": np.where(sums[:, 0] > 0, "yes", "no"),
        "multiclass": sums.argmax(axis=1) * 10,
        "multilabel": (sums > 0).astype(int),
        "number": sums[:, 0] * 4,
        "numbers": sums * [1.0, 3.0, 0.1],
        "counts": np.floor(np.exp(sums[:, 1] / 4)),
        "weight": state.uniform(0.2, 3, 90),
    }


def cases() -> dict[str, Case]:
    """Kind of estimator, targets and parameters by name."""
    found: dict[str, Case] = {}
    for kind in ("binary", "multiclass", "multilabel"):
        found[f"adam {kind}"] = ("MLPClassifier", kind, {}, False)
        found[f"adam {kind} weighted"] = ("MLPClassifier", kind, {"batch_size": 32}, True)
    for kind, loss in (("number", "squared_error"), ("numbers", "squared_error"),
                       ("counts", "poisson")):  # fmt: skip
        found[f"adam {kind}"] = ("MLPRegressor", kind, {"loss": loss}, False)
        found[f"adam {kind} weighted"] = ("MLPRegressor", kind, {"loss": loss}, True)
    for activation in ("identity", "logistic", "tanh"):
        own = {"activation": activation, "hidden_layer_sizes": (9, 5), "alpha": 0.5}
        found[f"adam {activation}"] = ("MLPClassifier", "multiclass", own, False)
    for rate in ("constant", "invscaling", "adaptive"):
        for momentum, ahead in ((0.9, True), (0.9, False), (0.0, True)):
            own = {
                "solver": "sgd", "learning_rate": rate, "momentum": momentum, "batch_size": 25,
                "nesterovs_momentum": ahead, "learning_rate_init": 0.05,
            }  # fmt: skip
            if rate == "adaptive":  # it changes within these epochs
                own |= {"tol": 0.05, "n_iter_no_change": 2}
            found[f"sgd {rate} {momentum} {ahead}"] = ("MLPClassifier", "multiclass", own, False)
    found["adam in order"] = ("MLPClassifier", "binary", {"shuffle": False}, False)
    for kind, estimator in (("binary", "MLPClassifier"), ("multilabel", "MLPClassifier"),
                            ("number", "MLPRegressor")):  # fmt: skip
        found[f"early {kind}"] = (estimator, kind, {"early_stopping": True}, True)
    return found


def fitted(module: Any, case: Case) -> Any:
    """An estimator of a module after so many epochs."""
    name, kind, own, weighted = case
    given = data()
    parameters = {"hidden_layer_sizes": (12,), "random_state": 5, "max_iter": EPOCHS, **own}
    weight = given["weight"] if weighted else None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Stochastic Optimizer")
        estimator = getattr(module, name)(**parameters)
        return estimator.fit(given["X"], given[kind], sample_weight=weight)


def main() -> None:
    """Writes what scikit-learn gives."""
    from sklearn import neural_network

    found = {}
    for name, case in cases().items():
        estimator = fitted(neural_network, case)
        found[name] = {"loss": estimator.loss_curve_, "scores": estimator.validation_scores_}
    KEPT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
