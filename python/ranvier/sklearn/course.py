"""The course of a fit as scikit-learn keeps it: losses, scores, learning rates, and when to end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier.training.callbacks import Callback, Logs

if TYPE_CHECKING:
    from ranvier.sklearn.network import Network
    from ranvier.training.loop import Run

_LEAST_RATE = 1e-6  # of a learning rate that adapts


class Course(Callback):
    """Keeps the attributes of an estimator from epoch to epoch, and ends its run.

    Parameters
    ----------
    estimator : estimator
        With scikit-learn's parameters and attributes of a multi-layer perceptron.
    network : Network
    rows : int
        Of an epoch, as `t_` counts them.
    schedule : {"constant", "invscaling", "adaptive"}
        Of the learning rate.
    """

    def __init__(self, estimator: Any, network: Network, rows: int, schedule: str) -> None:
        self.estimator, self.network = estimator, network
        self.rows, self.schedule = rows, schedule
        self.best: list[Any] | None = None  # the weights of the best score

    def on_epoch_end(self, run: Run, logs: Logs) -> None:
        """Counts, compares, tells, and ends the run where nothing has become better for long."""
        estimator = self.estimator
        estimator.n_iter_ += 1
        estimator.t_ += self.rows
        estimator.loss_ = logs["loss"]
        estimator.loss_curve_.append(estimator.loss_)
        if "val_loss" in logs:
            estimator.validation_loss_curve_.append(logs["val_loss"])
        if estimator.verbose:
            print(f"Iteration {estimator.n_iter_}, loss = {estimator.loss_:.8f}")
        self.compare(logs)
        if self.schedule == "invscaling":
            rate = float(estimator.learning_rate_init) / (estimator.t_ + 1) ** estimator.power_t
            self.set_rate(run, rate)
        if estimator._no_improvement_count > estimator.n_iter_no_change:
            self.no_better(run)

    def compare(self, logs: Logs) -> None:
        """Whether this epoch is better than the best, by `tol` at least."""
        estimator = self.estimator
        if "val_score" in logs:
            score = logs["val_score"]
            estimator.validation_scores_.append(score)
            if estimator.verbose:
                print(f"Validation score: {score:f}")
        if not estimator.early_stopping:
            self.count(estimator.loss_ > estimator.best_loss_ - estimator.tol)
            estimator.best_loss_ = min(estimator.best_loss_, estimator.loss_)
            if "val_score" not in logs:
                return
            score = logs["val_score"]
            estimator.best_validation_score_ = max(estimator.best_validation_score_, score)
            return
        self.count(score < estimator.best_validation_score_ + estimator.tol)
        if score > estimator.best_validation_score_:
            estimator.best_validation_score_ = score
            self.best = self.network.copies()

    def count(self, worse: bool) -> None:
        """One more epoch without, or the first one with, something better."""
        estimator = self.estimator
        estimator._no_improvement_count = estimator._no_improvement_count + 1 if worse else 0

    def no_better(self, run: Run) -> None:
        """Ends the run, or makes a learning rate that adapts smaller."""
        estimator = self.estimator
        what = (
            "Validation score did not improve"
            if estimator.early_stopping
            else "Training loss did not improve"
        )
        words = (
            f"{what} more than tol={estimator.tol:f} for {estimator.n_iter_no_change} consecutive "
            "epochs."
        )
        rate = run.lr
        if self.schedule == "adaptive" and rate > _LEAST_RATE:
            self.set_rate(run, rate / 5.0)
            estimator._no_improvement_count = 0
            self.say(f"{words} Setting learning rate to {rate / 5.0:f}")
            return
        small = " Learning rate too small." if self.schedule == "adaptive" else ""
        self.say(f"{words}{small} Stopping.")
        run.stop(words)

    def say(self, words: str) -> None:
        """Tells the user, who asked for it."""
        if self.estimator.verbose:
            print(words)

    def set_rate(self, run: Run, rate: float) -> None:
        """The learning rate from the next step on."""
        for group in run.optimizer.param_groups:
            group["lr"] = rate


def begin(estimator: Any, validated: bool) -> None:
    """What an estimator knows of a course that has not begun."""
    estimator.loss_curve_ = []
    estimator._no_improvement_count = 0
    estimator.best_loss_ = None if estimator.early_stopping else np.inf
    estimator.validation_scores_ = [] if validated else None
    estimator.best_validation_score_ = -np.inf if validated else None


def go_on(estimator: Any, scored: bool, measured: bool) -> None:
    """Makes room for what a fit adds to a course that began under other parameters.

    Parameters
    ----------
    scored, measured : bool
        Whether each epoch has a score of other rows, and also their loss.
    """
    if not hasattr(estimator, "loss_curve_"):  # it began with L-BFGS
        begin(estimator, scored)
    if scored and estimator.validation_scores_ is None:
        estimator.validation_scores_, estimator.best_validation_score_ = [], -np.inf
    if not estimator.early_stopping and estimator.best_loss_ is None:
        estimator.best_loss_ = np.inf
    if measured and not hasattr(estimator, "validation_loss_curve_"):
        estimator.validation_loss_curve_ = []
