"""What tests of checkpoints share: small runs of every kind, to be interrupted."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import ranvier as rv
from ranvier import nn, optim
from ranvier.utils.data import DataLoader, Dataset, IterableDataset

RNG = np.random.default_rng(0)
X = RNG.normal(size=(27, 6)).astype(np.float32)
LABELS = RNG.integers(0, 3, 27)
VALUES = (X @ RNG.normal(size=6)).astype(np.float32)
EACH = RNG.uniform(0.1, 2, 27)


class EndError(Exception):
    """What ends a run in the middle."""


class EndAt(rv.Callback):
    """Ends a run after so many steps, or soon after them; without a state."""

    def __init__(self, steps: int, how: Callable[[], None] | None = None) -> None:
        self.steps, self.how = steps, how
        self.at = 0  # the step

    def on_train_begin(self, run: Any, logs: dict[str, float]) -> None:
        self.first = run.step

    def on_progress(self, run: Any, logs: dict[str, float]) -> None:
        if run.step - self.first >= self.steps and not self.at:
            self.at = run.step
            if self.how is None:
                raise EndError
            self.how()


class Rows(Dataset):  # type: ignore[type-arg]
    """Rows that are drawn anew whenever they are asked for."""

    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, i: int) -> tuple[rv.Tensor, int]:
        noise = np.random.normal(size=6).astype(np.float32)
        return rv.from_numpy(X[i] + noise) + 0.1 * rv.rand(6), int(LABELS[i])


class Stream(IterableDataset):  # type: ignore[type-arg]
    """Rows whose order is drawn by Python's `random`, and whose number nobody knows."""

    def __iter__(self) -> Iterator[tuple[Any, int]]:
        for i in random.sample(range(len(X)), 23):
            yield X[i] + 0.1 * rv.rand(6).numpy(), int(LABELS[i])


def classifier() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))


def stateful() -> nn.Module:
    return nn.Sequential(
        nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Dropout(0.3), nn.Linear(5, 3)
    )


def noisy() -> nn.Module:
    """Draws from the default generator, in a forward of its own."""

    class Noisy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(6, 5), nn.Linear(5, 3)
            self.drop = nn.AlphaDropout(0.2)
            self.register_buffer("seen", rv.zeros(()), persistent=False)

        def forward(self, x: rv.Tensor) -> rv.Tensor:
            self.seen.add_(x.shape[0])
            hidden = self.drop(self.first(x).relu())
            return self.second(hidden + 0.1 * rv.randn(hidden.shape) + 1e-3 * self.seen)

    return Noisy()


def standardized() -> nn.Module:
    return nn.Sequential(rv.data.Standardize(), nn.Linear(6, 3))


def regression() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 1))


class Halve(rv.Callback):
    """Changes what the run does, and keeps how far it is in its state."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def on_epoch_begin(self, run: Any, logs: dict[str, float]) -> None:
        for group in run.optimizer.param_groups:
            group["lr"] = group["lr"] * 0.5
        run.model[0].weight.requires_grad_(run.epoch != 2)
        run.model[1].training = run.epoch != 2

    def on_step_end(self, run: Any, logs: dict[str, float]) -> None:
        self.seen.append(run.step)

    def on_epoch_end(self, run: Any, logs: dict[str, float]) -> None:
        logs["steps"] = float(sum(self.seen))

    def state_dict(self) -> dict[str, Any]:
        return {"seen": self.seen}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.seen = list(state["seen"])


def one_cycle(optimizer: optim.Optimizer) -> Any:
    return optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=30)


def warm_up(optimizer: optim.Optimizer) -> Any:
    parts = [
        optim.lr_scheduler.LinearLR(optimizer, 0.1, total_iters=1),
        optim.lr_scheduler.ExponentialLR(optimizer, 0.5),
    ]
    return optim.lr_scheduler.SequentialLR(optimizer, parts, milestones=[1])


def stream() -> DataLoader[Any]:
    return DataLoader(Stream(), batch_size=4)


def validation_loader() -> DataLoader[Any]:
    return DataLoader(Rows(), 4, shuffle=True, generator=rv.Generator(5))


def own_loader() -> DataLoader[Any]:
    return DataLoader(Rows(), batch_size=5, shuffle=True, generator=rv.Generator(3))


# The model, the data where they are not those above, and what fit is given.
Run = tuple[Callable[[], nn.Module], dict[str, Any]]

OPTIMIZERS = (
    "sgd", "adam", "adamw", "rmsprop", "adagrad", "adadelta", "adamax", "nadam", "radam", "lion",
    "asgd", "rprop", "lbfgs",
)  # fmt: skip
RUNS: dict[str, Run] = {
    **{name: (classifier, {"optimizer": name, "lr": 0.01}) for name in OPTIMIZERS},
    "momentum": (classifier, {"optimizer": functools.partial}),
    "dropout and batch norm": (stateful, {"seed": 7}),
    "dropout, default seed": (stateful, {}),
    "bfloat16": (lambda: stateful().bfloat16(), {"validation": 0.2, "metrics": ["accuracy"]}),
    "bfloat16, a step at a time": (lambda: classifier().bfloat16(), {"clip_norm": 0.1, "l1": 0.01}),
    "float64": (lambda: stateful().double(), {}),
    "draws of its own": (noisy, {}),
    "in order": (stateful, {"shuffle": False, "seed": 2}),
    "validation": (stateful, {"validation": 0.2}),
    "validation, seed": (stateful, {"validation": 0.2, "seed": 3}),
    "validation rows": (classifier, {"validation": (X[:9], LABELS[:9])}),
    "metrics": (classifier, {"metrics": ["accuracy", "precision", "f1", "top_2"]}),
    "own metric": (classifier, {"metrics": [lambda p, t: p.square().mean()]}),
    "values": (regression, {
        "y": VALUES, "loss": "mse", "metrics": ["r2", "rmse", "mae"], "l1": 1e-3, "l2": 1e-3}),
    "area": (regression, {
        "y": LABELS > 0, "loss": "bce_with_logits", "metrics": ["auc"], "max_norm": 1.0}),
    "weights of rows": (stateful, {"sample_weight": EACH, "class_weight": "balanced"}),
    "accumulate": (classifier, {"accumulate": 2, "batch_size": 4, "clip_norm": 0.5}),
    "cosine": (stateful, {"schedule": "cosine"}),
    "function": (classifier, {"schedule": lambda epoch: 0.1 / (1 + epoch)}),
    "function of the rate": (classifier, {"schedule": lambda epoch, lr: lr * 0.7}),
    "one cycle": (classifier, {"schedule": one_cycle}),
    "warm up": (classifier, {"schedule": warm_up}),
    "plateau": (classifier, {"schedule": "plateau", "validation": 0.2}),
    "scheduler of a plateau": (
        classifier, {"schedule": optim.lr_scheduler.ReduceLROnPlateau, "optimizer": "sgd"}),
    "early stopping": (stateful, {"early_stopping": 1, "lr": 0.3, "epochs": 8, "seed": 1}),
    "standardize": (standardized, {"validation": 0.2}),
    "callback with a state": (stateful, {"callbacks": Halve}),
    "data set": (stateful, {"X": Rows, "y": None}),
    "loader": (classifier, {"X": own_loader, "y": None, "accumulate": 2}),
    "stream": (stateful, {"X": stream, "y": None, "schedule": "cosine"}),
    "validation loader": (classifier, {"validation": validation_loader}),
    "tensors": (classifier, {"X": lambda: rv.utils.data.TensorDataset(
        rv.from_numpy(X), rv.from_numpy(LABELS)), "y": None}),
    "one batch": (classifier, {"batch_size": None}),
    "one by one": (classifier, {"batch_size": 1, "epochs": 1}),
}  # fmt: skip
RUNS["momentum"] = classifier, {"optimizer": "momentum"}
DRAWN = {"data set", "loader", "stream", "validation loader"}  # by NumPy's and Python's numbers too


def bits(values: Any) -> Any:
    """A nested value with the bytes of its tensors."""
    if isinstance(values, rv.Tensor):
        whole = values.detach().contiguous().reshape(-1)
        return values.dtype.name, tuple(values.shape), whole.view(rv.uint8).numpy().tobytes()
    if isinstance(values, dict):
        return {name: bits(value) for name, value in values.items()}
    if isinstance(values, (list, tuple)):
        return [bits(value) for value in values]
    return repr(values)


def run(
    name: str, checkpoint: Any = None, listener: Any = None, before: int = 0, **more: Any
) -> Any:
    """What a run leaves: history, model, optimizer, random numbers.

    `before` is the seed of what happens before it, which a run that goes on does not depend on.
    """
    make, given = RUNS[name]
    given = {
        "X": X, "y": LABELS, "loss": "cross_entropy", "epochs": 3, "batch_size": 8, "verbose": 0,
        **given, **more,
    }  # fmt: skip
    foreign = name in DRAWN
    rv.manual_seed(before)
    np.random.seed(before if foreign else 0)
    random.seed(before if foreign else 0)
    net = make()
    listeners = [make() for make in (given.pop("callbacks", None),) if make is not None]
    for part in ("X", "validation"):
        if callable(given.get(part)):
            given[part] = given[part]()
    if given.get("optimizer") == "momentum":
        given["optimizer"] = optim.SGD(net.parameters(), lr=0.1, momentum=0.9, nesterov=True)
    listeners += [] if listener is None else [listener]
    data = given.pop("X"), given.pop("y")
    history = rv.fit(net, *data, **given, callbacks=listeners, checkpoint=checkpoint)
    optimizer = net.__dict__["_ranvier_last_fit"].optimizer
    buffers = dict(net.named_buffers())
    return (
        repr(history.history), history.stopped, bits(dict(net.state_dict())), bits(buffers),
        bits(optimizer.state_dict()), rv.rand(3).tolist(), np.random.rand(),
        random.random(),
    )  # fmt: skip


def interrupted(name: str, path: Path, steps: int, every: Any, **more: Any) -> Any:
    """What a run leaves that is ended after so many steps, again and again, and how often."""
    ends = 0
    while True:
        keep = rv.Checkpoint(path, every=every, keep=2)
        try:
            return run(name, keep, EndAt(steps), ends, **more), ends
        except EndError:
            ends += 1
            assert ends < 200
