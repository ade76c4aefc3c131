"""What `fit` can do beyond the plain run: weights of rows, schedules, penalties, kinds of data."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from training_setup import LABELS, VALUES, X, classifier, fit, weights

import ranvier as rv
from ranvier import nn, optim
from ranvier.callbacks import Callback, EarlyStopping, ReduceLROnPlateau
from ranvier.training import RanvierWarning
from ranvier.training.schedules import Schedule

PLAIN: dict[str, Any] = {"shuffle": False, "batch_size": None, "optimizer": "sgd", "lr": 0.1}
WEIGHTS = np.random.default_rng(5).uniform(0.1, 3, 50)


def line(seed: int = 0) -> nn.Linear:
    rv.manual_seed(seed)
    return nn.Linear(4, 1)


def parameters(model: nn.Module) -> np.ndarray[Any, Any]:
    return np.concatenate([p.detach().numpy().ravel() for p in model.parameters()])


# --- weights of rows ------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
def test_a_weight_of_two_is_a_row_twice(dtype: Any) -> None:
    counts = np.random.default_rng(1).integers(0, 4, 50).astype(dtype)
    repeated = np.repeat(np.arange(50), counts.astype(int))
    for loss, y in (("cross_entropy", LABELS), ("mse", VALUES), ("half_squared_error", VALUES)):
        nets = [classifier() if loss == "cross_entropy" else line() for _ in range(2)]
        first = fit(nets[0], X, y, loss=loss, sample_weight=counts, epochs=3, **PLAIN)
        second = fit(nets[1], X[repeated], y[repeated], loss=loss, epochs=3, **PLAIN)
        assert np.allclose(parameters(nets[0]), parameters(nets[1]), atol=1e-5)
        assert np.allclose(first.history["loss"], second.history["loss"], rtol=1e-5)


def test_weights_only_matter_relatively_and_equal_ones_not_at_all() -> None:
    nets = [classifier() for _ in range(3)]
    fit(nets[0], sample_weight=WEIGHTS, epochs=2, seed=0)
    fit(nets[1], sample_weight=WEIGHTS * 8, epochs=2, seed=0)
    assert weights(nets[0]) == weights(nets[1]) != weights(nets[2])
    plain, equal = line(), line()
    fit(plain, X, VALUES, loss="mse", epochs=2, seed=0)
    fit(equal, X, VALUES, loss="mse", epochs=2, seed=0, sample_weight=np.full(50, 3.0))
    assert np.allclose(parameters(plain), parameters(equal), rtol=1e-6)


def test_weights_follow_their_rows() -> None:
    """Through the shuffle and the split: rows that count nothing have no part in anything."""
    marked = X.copy()
    marked[::2] = 1e6  # would spoil everything
    nets = [classifier() for _ in range(2)]
    for seed in range(3):
        fit(nets[0], marked, LABELS, sample_weight=np.arange(50) % 2, seed=seed, epochs=2)
    assert np.abs(parameters(nets[0])).max() < 10
    history = fit(nets[1], marked, LABELS, sample_weight=np.arange(50) % 2, validation=0.3)
    assert max(history.history["val_loss"]) < 10


def test_a_batch_that_counts_nothing_changes_nothing() -> None:
    net = line()
    seen: list[bytes] = []

    class Watch(Callback):
        def on_step_end(self, run: Any, logs: dict[str, float]) -> None:
            seen.append(weights(net))

    each = np.r_[np.zeros(25), np.ones(25)]
    fit(net, X, VALUES, loss="mse", sample_weight=each, epochs=1, callbacks=Watch(),
        **{**PLAIN, "batch_size": 25})  # fmt: skip
    assert seen[0] == weights(line()) != seen[1]


def test_class_weights() -> None:
    counts = np.bincount(LABELS)
    balanced = (50 / (3 * counts))[LABELS]
    named = {0: 2.0, 2: 0.5}
    for given, rows in (("balanced", balanced), (named, np.array([2.0, 1.0, 0.5])[LABELS])):
        nets = [classifier() for _ in range(2)]
        fit(nets[0], class_weight=given, epochs=2, seed=0)
        fit(nets[1], sample_weight=rows, epochs=2, seed=0)
        assert weights(nets[0]) == weights(nets[1])
    nets = [classifier() for _ in range(2)]
    fit(nets[0], class_weight=named, sample_weight=WEIGHTS, epochs=2, seed=0)
    fit(nets[1], sample_weight=np.array([2.0, 1.0, 0.5])[LABELS] * WEIGHTS, epochs=2, seed=0)
    assert weights(nets[0]) == weights(nets[1])


def test_class_weights_of_two_answers_and_one_hot_rows() -> None:
    one = nn.Sequential(nn.Linear(4, 1), nn.Sigmoid())
    fit(one, X, LABELS > 0, loss="bce", class_weight={True: 3.0}, epochs=2)
    fit(one, X, (LABELS > 0).astype(float), loss="bce", class_weight="balanced", epochs=2)
    nets = [classifier() for _ in range(2)]
    fit(nets[0], X, np.eye(3)[LABELS], loss="half_squared_error", sample_weight=WEIGHTS, epochs=1)
    with pytest.raises(ValueError, match="class_weight: expected a loss of classes"):
        fit(nets[1], X, np.eye(3)[LABELS], loss="mse", class_weight="balanced")


@pytest.mark.parametrize(
    "bad, kind, words",
    [
        ({"sample_weight": np.zeros(50)}, ValueError, "at least one training row that counts"),
        ({"sample_weight": np.r_[np.zeros(40), np.ones(10)], "validation": 0.2, "shuffle": False},
         ValueError, "at least one training row that counts"),
        ({"class_weight": {0: 0, 1: 0, 2: 0}}, ValueError, "weights that are all zero"),
        ({"sample_weight": np.ones(49)}, ValueError, r"one number a row, \(50,\), got \(49,\)"),
        ({"sample_weight": -np.ones(50)}, ValueError, "0 or more, got 50 of 50 .* the first -1.0"),
        ({"sample_weight": np.full(50, np.nan)}, ValueError, "finite numbers of 0 or more"),
        ({"class_weight": {3: 1.0}}, ValueError, r"class_weight: expected labels out of \[0, 1, 2"),
        ({"class_weight": "balance"}, TypeError, "expected 'balanced' or a mapping"),
        ({"class_weight": {0: -1.0}}, ValueError, "class_weight: expected finite numbers of 0"),
        ({"sample_weight": WEIGHTS, "loss": lambda p, t: p.mean()}, ValueError,
         "expected a loss of ranvier.nn beside weights"),
        ({"l1": -1}, ValueError, "l1: expected a finite number of 0 or more"),
        ({"l2": "much"}, TypeError, "l2: expected a number"),
        ({"clip_norm": 0}, ValueError, "clip_norm: expected a finite number above 0"),
        ({"max_norm": float("nan")}, ValueError, "max_norm: expected a finite number above 0"),
        ({"accumulate": 0}, ValueError, "accumulate: expected a whole number of 1"),
        ({"early_stopping": 0}, ValueError, "early_stopping: expected a whole number of 1"),
        ({"early_stopping": "soon"}, TypeError, "early_stopping: expected a whole number"),
        ({"schedule": "cosinus"}, ValueError, "schedule: .* did you mean 'cosine'"),
        ({"schedule": 3}, TypeError, "schedule: expected a name"),
        ({"validation": (X, None)}, TypeError, "validation y: expected one target"),
        ({"validation": 0.99}, ValueError, "leaves rows on both sides"),
        ({"metrics": "auc"}, ValueError, r"\[auc\] model: expected one output, or two"),
    ],
)  # fmt: skip
def test_refused(bad: dict[str, Any], kind: type[Exception], words: str) -> None:
    net = classifier()
    before, random = weights(net), rv.get_rng_state().tolist()
    with pytest.raises(kind, match=words):
        fit(net, **bad)
    assert weights(net) == before and rv.get_rng_state().tolist() == random


def test_one_class_only() -> None:
    with pytest.warns(RanvierWarning, match=r"at least two classes, got only class 1 in 50 rows"):
        fit(classifier(), X, np.ones(50, int))


# --- schedules, stopping --------------------------------------------------------------------------


def rates(schedule: Any, epochs: int = 4, **named: Any) -> list[float]:
    named = {"optimizer": "sgd", "lr": 0.8, "batch_size": 25, **named}
    return fit(classifier(), epochs=epochs, schedule=schedule, **named).history["lr"]


def test_schedules_by_the_epoch() -> None:
    assert rates(lambda epoch: 0.1 * (epoch + 1)) == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert rates(lambda epoch, lr: lr / 2) == pytest.approx([0.4, 0.2, 0.1, 0.05])
    assert rates("constant") == [0.8] * 4
    assert rates(Schedule("linear", per="epoch")) == pytest.approx([0.8, 0.6, 0.4, 0.2])
    cosine = [0.8 * 0.5 * (1 + np.cos(np.pi * k / 4)) for k in range(4)]
    assert rates(Schedule("cosine", per="epoch")) == pytest.approx(cosine)


def test_schedules_by_the_step() -> None:
    seen: list[float] = []

    class Watch(Callback):
        def on_step_end(self, run: Any, logs: dict[str, float]) -> None:
            seen.append(run.lr)

    rates("linear", callbacks=Watch())
    assert seen == pytest.approx([0.8 * (1 - k / 8) for k in range(8)])
    seen.clear()
    rates(Schedule(lambda step: 0.5**step, per="step"), callbacks=Watch())
    assert seen == pytest.approx([0.5**k for k in range(8)])


class Halving:
    """A scheduler as PyTorch's are: made for an optimizer, advanced by `step`."""

    def __init__(self, optimizer: optim.Optimizer, by: float = 0.5) -> None:
        self.optimizer, self.by = optimizer, by

    def step(self) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = group["lr"] * self.by


def test_schedulers_of_the_optimizer() -> None:
    import functools

    halves = [0.8, 0.4, 0.2, 0.1]
    assert rates(Halving) == pytest.approx(halves)
    assert rates(functools.partial(Halving, by=0.25)) == pytest.approx([0.8, 0.2, 0.05, 0.0125])
    assert rates(lambda optimizer: Halving(optimizer)) == pytest.approx(halves)
    assert rates(Schedule(Halving, per="step")) == pytest.approx([0.2, 0.05, 0.0125, 0.003125])
    net = classifier()
    optimizer = optim.SGD(net.parameters(), lr=0.8)
    history = fit(net, epochs=4, optimizer=optimizer, schedule=Halving(optimizer))
    assert history.history["lr"] == pytest.approx(halves)
    other = Halving(optim.SGD(classifier().parameters(), lr=0.1))
    with pytest.raises(ValueError, match="scheduler made for the optimizer of this run"):
        fit(classifier(), schedule=other)


def test_schedulers_that_come_with_the_package() -> None:
    schedulers = pytest.importorskip("ranvier.optim.lr_scheduler")
    made = rates(lambda optimizer: schedulers.StepLR(optimizer, 2, 0.5))
    assert made == pytest.approx([0.8, 0.8, 0.4, 0.4])
    assert len(rates(lambda optimizer: schedulers.OneCycleLR(optimizer, 1.0, total_steps=9))) == 4
    assert len(rates(lambda optimizer: schedulers.ReduceLROnPlateau(optimizer))) == 4


def test_a_schedule_belongs_to_its_run() -> None:
    net = classifier()
    seen: list[float] = []

    class Watch(Callback):
        def on_train_begin(self, run: Any, logs: dict[str, float]) -> None:
            seen.append(run.lr)

    for _ in range(2):
        fit(net, lr=0.01, schedule="cosine", callbacks=Watch())  # no warning of a new optimizer
    assert seen == [0.01, 0.01]


def test_plateau() -> None:
    assert rates("plateau") == [0.8] * 4
    never = ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=1e9)
    assert rates(never) == pytest.approx([0.8, 0.8, 0.4, 0.2])


def test_early_stopping() -> None:
    named: dict[str, Any] = {"lr": 0.05, "epochs": 300, "validation": 0.4, "seed": 0}
    for stopping, wait in ((3, 3), (True, 10), (EarlyStopping(patience=5), 5)):
        net = classifier()
        history = fit(net, early_stopping=stopping, **named)
        losses = history.history["val_loss"]
        assert history.epochs == int(np.argmin(losses)) + 1 + wait < 300
        assert "val_loss has not improved for" in str(history.stopped)
        again = classifier()
        fit(again, **{**named, "epochs": int(np.argmin(losses)) + 1})
        assert weights(again) == weights(net)
    assert fit(classifier(), epochs=3, early_stopping=False).epochs == 3


# --- penalties ------------------------------------------------------------------------------------


def test_l2_is_in_the_loss_and_spares_biases() -> None:
    net, plain = line(), line()
    w = net.weight.detach().numpy().astype(np.float64).copy()
    history = fit(net, X, VALUES, loss="mse", l2=0.5, epochs=1, **PLAIN)
    without = fit(plain, X, VALUES, loss="mse", epochs=1, **PLAIN)
    assert history.history["loss"][0] == pytest.approx(
        without.history["loss"][0] + 0.5 * (w**2).sum(), rel=1e-6
    )
    expected = plain.weight.detach().numpy() - 0.1 * 2 * 0.5 * w
    assert np.allclose(net.weight.detach().numpy(), expected, atol=1e-6)
    assert weights(nn.Sequential(net))[-4:] == weights(nn.Sequential(plain))[-4:]


def test_l1_is_a_threshold_after_the_update() -> None:
    net, plain = line(), line()
    fit(net, X, VALUES, loss="mse", l1=2.0, epochs=1, **PLAIN)
    fit(plain, X, VALUES, loss="mse", epochs=1, **PLAIN)
    w = plain.weight.detach().numpy()
    expected = np.sign(w) * np.maximum(np.abs(w) - 0.1 * 2.0, 0)
    assert np.allclose(net.weight.detach().numpy(), expected, atol=1e-7)
    assert net.bias.tolist() == plain.bias.tolist()


@pytest.mark.parametrize(
    "optimizer, lr, hidden", [("sgd", 0.05, False), ("adam", 0.01, False), ("adam", 0.01, True)]
)
def test_l1_leaves_what_does_not_matter_at_zero(optimizer: str, lr: float, hidden: bool) -> None:
    """20 inputs, of which 5 matter: all weights of the 15 others are 0.0, and no other column."""
    random = np.random.default_rng(0)
    rows = random.normal(size=(400, 20)).astype(np.float32)
    y = rows[:, :5] @ [3.0, -2.0, 1.5, 1.0, -2.5] + 0.1 * random.normal(size=400)
    rv.manual_seed(0)
    net = nn.Sequential(nn.Linear(20, 1))
    if hidden:
        net = nn.Sequential(nn.Linear(20, 8), nn.Tanh(), nn.Linear(8, 1))
        y = np.tanh(rows[:, :5] @ [0.9, -0.7, 0.5, 0.4, -0.8]) * 2
    named: dict[str, Any] = {"epochs": 200, "batch_size": 100, "seed": 0}
    fit(net, rows, y, loss="mse", optimizer=optimizer, lr=lr, l1=0.1, **named)
    first = net[0].weight.detach().numpy()
    assert (first[:, 5:] == 0.0).all()
    assert (np.abs(first[:, :5]).max(0) > 0.1).all() and (net[0].bias.detach().numpy() != 0).any()


def test_max_norm() -> None:
    net = classifier()
    fit(net, lr=0.1, epochs=20, max_norm=0.5)
    for layer in (net[0], net[2]):
        norms = np.linalg.norm(layer.weight.detach().numpy(), axis=1)
        assert (norms <= 0.5 * (1 + 1e-6)).all() and norms.max() > 0.49


def test_clip_norm() -> None:
    net, plain = classifier(), classifier()
    fit(net, epochs=1, clip_norm=1e-3, **PLAIN)
    fit(plain, epochs=1, **PLAIN)
    moved, free = parameters(net) - parameters(classifier()), parameters(plain)
    assert np.linalg.norm(moved) == pytest.approx(1e-4, rel=1e-3)
    free = free - parameters(classifier())
    assert np.allclose(moved / np.linalg.norm(moved), free / np.linalg.norm(free), atol=1e-3)
    large = classifier()
    fit(large, epochs=1, clip_norm=1e6, **PLAIN)
    assert weights(large) == weights(plain)


# --- accumulation ---------------------------------------------------------------------------------


def test_accumulation_steps() -> None:
    steps: list[int] = []

    class Watch(Callback):
        def on_step_end(self, run: Any, logs: dict[str, float]) -> None:
            steps.append(run.step)

    fit(classifier(), epochs=1, batch_size=8, accumulate=3, callbacks=Watch())
    assert steps == [1, 2, 3]  # 24, 24 and 2 rows


@pytest.mark.parametrize(
    "loss", ["cross_entropy", "mse", "half_squared_error", nn.MSELoss(reduction="sum")]
)
def test_accumulation_is_the_larger_batch(loss: Any) -> None:
    """Also where targets, weights and metrics are of other kinds; here to rounding."""
    y = LABELS if loss == "cross_entropy" else np.eye(3)[LABELS]
    for weight in (None, WEIGHTS):
        nets = [classifier() for _ in range(2)]
        named: dict[str, Any] = {"loss": loss, "sample_weight": weight, "epochs": 2, "seed": 0}
        parts = fit(nets[0], X, y, batch_size=7, accumulate=3, l2=0.01, metrics="accuracy", **named)
        whole = fit(nets[1], X, y, batch_size=21, l2=0.01, metrics="accuracy", **named)
        assert np.allclose(parameters(nets[0]), parameters(nets[1]), atol=1e-6)
        assert parts.history["accuracy"] == whole.history["accuracy"]
        assert parts.history["loss"] == pytest.approx(whole.history["loss"], rel=1e-5)


@pytest.mark.parametrize("rows, batch", [(128, 32), (50, 7), (50, 1)])
@pytest.mark.parametrize("loss", ["cross_entropy", "mse", "half_squared_error"])
def test_accumulation_has_the_bytes_of_the_larger_batch(loss: str, rows: int, batch: int) -> None:
    random = np.random.default_rng(rows)
    x = random.normal(size=(3 * rows, 20)).astype(np.float32)
    y = random.integers(0, 10, 3 * rows)
    target = y if loss == "cross_entropy" else np.eye(10)[y]
    for weight in (None, random.uniform(0.1, 2, 3 * rows)):
        found = []
        for size, together in ((batch, 4), (4 * batch, 1)):
            rv.manual_seed(0)
            net = nn.Sequential(
                nn.Linear(20, 33), nn.ReLU(), nn.Dropout(0.3), nn.LayerNorm(33),
                nn.Linear(33, 17), nn.RMSNorm(17), nn.Tanh(), nn.Dropout(0.2), nn.Linear(17, 10),
            )  # fmt: skip
            rv.fit(net, x, target, loss=loss, batch_size=size, accumulate=together, seed=0, lr=0.01,
                   epochs=3, sample_weight=weight, l2=1e-3, verbose=0)  # fmt: skip
            found.append(weights(net))
        assert found[0] == found[1]


def test_dropout_goes_by_seed_and_step() -> None:
    def net() -> nn.Sequential:
        rv.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 16), nn.Dropout(0.5), nn.Linear(16, 3))

    nets = [net() for _ in range(4)]
    for each, seed in zip(nets, (1, 1, 2, None), strict=True):
        rv.rand(3) if seed == 1 else None  # where the default generator stands does not matter
        before = rv.get_rng_state().tolist()
        fit(each, seed=seed, shuffle=False, epochs=2)
        assert (rv.get_rng_state().tolist() == before) == (seed is not None)
    assert weights(nets[0]) == weights(nets[1])
    assert len({weights(each) for each in nets}) == 3


def test_batch_norm_is_refused_by_name() -> None:
    net = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    words = r"accumulate: expected a model without batch norm, got 1 \(BatchNorm1d\)"
    with pytest.raises(ValueError, match=words):
        fit(net, accumulate=2)
    fit(net, accumulate=1, epochs=1)


# --- predictions ----------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [(64, 1), (30, 10), (784, 128, 10), (5, 300, 7, 1)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_row_alone_in_7_and_in_512(sizes: tuple[int, ...], dtype: str) -> None:
    rv.manual_seed(0)
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(sizes):
        layers += [nn.Linear(a, b), nn.Tanh()]
    net = nn.Sequential(*layers, nn.Softmax(dim=1)).to(dtype)
    rows = np.random.default_rng(0).normal(size=(512, sizes[0])).astype(dtype)
    whole = rv.predict(net, rows, batch_size=512).numpy()
    for count in (1, 7):
        for at in (0, 100, 505):
            part = rv.predict(net, rows[at : at + count]).numpy()
            assert part.tobytes() == whole[at : at + count].tobytes()
    assert rv.predict(net, rows, batch_size=7).numpy().tobytes() == whole.tobytes()


# --- losses and optimizers by name ----------------------------------------------------------------


def test_probabilities_as_targets() -> None:
    if not hasattr(nn, "BCEWithLogitsLoss"):
        pytest.skip("cross_entropy takes labels only")
    soft = np.full((50, 3), 0.1)
    soft[np.arange(50), LABELS] = 0.8
    fit(classifier(), X, soft, sample_weight=WEIGHTS, metrics="accuracy")
    with pytest.raises(ValueError, match="y: expected values from 0 to 1"):
        fit(classifier(), X, soft * 2)


def test_every_loss_has_its_name() -> None:
    from ranvier.training.losses import _KNOWN, _named, resolve

    for known in _KNOWN:
        for name in known.names:
            if name in _named():
                assert resolve("fit", name).kind == known.kind
                assert type(resolve("fit", name).function).__name__ == known.module
                assert resolve("fit", name).each is not None


def test_lbfgs() -> None:
    net = line()
    optimizer = optim.LBFGS(net.parameters(), line_search_fn="strong_wolfe")
    named: dict[str, Any] = {"loss": "mse", "batch_size": None, "shuffle": False}
    history = fit(net, X, VALUES, optimizer=optimizer, epochs=3, **named)
    assert history.history["loss"][-1] < 1e-10
    assert np.allclose(net.weight.detach().numpy(), [[1, -2, 0.5, 0]], atol=1e-4)
    other, again = line(), line()
    fit(other, X, VALUES, optimizer="lbfgs", lr=0.1, epochs=2, l2=0.01, **named)
    by_hand = optim.LBFGS(again.parameters(), lr=0.1)

    def closure() -> rv.Tensor:
        by_hand.zero_grad()
        loss = nn.MSELoss()(again(rv.tensor(X)), rv.tensor(VALUES[:, None]))
        loss.backward()
        penalty = (again.weight * again.weight).sum() * 0.01
        penalty.backward()
        return loss + penalty

    for _ in range(2):
        by_hand.step(closure)
    assert np.allclose(parameters(other), parameters(again), atol=1e-6)


def test_layers_in_a_plain_list() -> None:
    class Hidden(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = [nn.Linear(4, 3)]

        def forward(self, x: rv.Tensor) -> rv.Tensor:
            return self.layers[0](x)

    with pytest.raises(ValueError, match=r"got none; layers in a plain list .* nn.ModuleList"):
        fit(Hidden())


def test_a_forward_that_gives_nothing() -> None:
    class Silent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(4, 3)

        def forward(self, x: rv.Tensor) -> None:
            self.inner(x)

    with pytest.raises(TypeError, match="expected one tensor as output, got NoneType"):
        fit(Silent())  # type: ignore[arg-type]
