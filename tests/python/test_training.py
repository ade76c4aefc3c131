"""`fit`, `evaluate`, `predict`: results, bits, what is kept and refused, what stops a run."""

from __future__ import annotations

import copy
import pickle
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from training_setup import LABELS, VALUES, X, classifier, fit, weights

import ranvier as rv
from ranvier import _C, nn, optim
from ranvier.data import load_digits
from ranvier.training import NonFiniteError, RanvierWarning

# --- results --------------------------------------------------------------------------------------


def test_digits_are_read() -> None:
    (A, a), (B, b) = load_digits(test=0.2, seed=0)
    rv.manual_seed(0)
    net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    history = fit(net, A, a, epochs=20, lr=0.005, seed=0, metrics=["accuracy"])
    assert history.history["accuracy"][-1] > 0.98
    measured = rv.evaluate(net, B, b, metrics=["accuracy"])
    assert measured["accuracy"] > 0.96 and measured["loss"] < 0.2


def test_line_is_found() -> None:
    net = nn.Linear(4, 1)
    history = fit(net, X, VALUES, loss="mse", lr=0.05, epochs=200, metrics=["mse", "mae"])
    assert history.history["loss"][-1] < 1e-4
    assert np.allclose(net.weight.detach().numpy(), [[1, -2, 0.5, 0]], atol=0.01)
    assert history.history["mse"] == history.history["loss"]


def test_one_step_is_the_step_written_by_hand() -> None:
    """All rows, one epoch: the bits of forward, backward and update in PyTorch's style."""
    ours, theirs = classifier(), classifier()
    fit(ours, epochs=3, batch_size=None, shuffle=False, optimizer="sgd", lr=0.1)
    optimizer = optim.SGD(theirs.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        nn.CrossEntropyLoss()(theirs(rv.tensor(X)), rv.tensor(LABELS)).backward()
        optimizer.step()
    assert weights(ours) == weights(theirs)


@pytest.mark.filterwarnings("ignore:.*run as Python code")
@pytest.mark.parametrize("batch_size, batches", [(16, [16, 16, 16, 2]), (50, [50]), (99, [50])])
def test_last_batch_is_kept(batch_size: int, batches: list[int]) -> None:
    seen: list[int] = []

    def watch(prediction: rv.Tensor, target: rv.Tensor) -> rv.Tensor:
        seen.append(len(target))
        return ((prediction - target) * (prediction - target)).mean()

    fit(nn.Linear(4, 1), X, VALUES[:, None], loss=watch, epochs=2, batch_size=batch_size)
    assert seen == batches * 2


@pytest.mark.filterwarnings("ignore:.*run as Python code")
def test_shuffling_goes_through_every_row_once() -> None:
    orders: list[list[float]] = []

    def watch(prediction: rv.Tensor, target: rv.Tensor) -> rv.Tensor:
        orders.append(target.flatten().tolist())
        return (prediction - target).abs().mean()

    rows = np.arange(10, dtype=np.float32)[:, None]
    fit(nn.Linear(1, 1), rows, rows, loss=watch, epochs=2, batch_size=None, seed=1)
    fit(nn.Linear(1, 1), rows, rows, loss=watch, epochs=1, batch_size=None, shuffle=False)
    assert [sorted(order) for order in orders] == [rows.flatten().tolist()] * 3
    assert orders[0] != orders[1] and orders[2] == rows.flatten().tolist()


def test_loss_of_an_epoch_is_the_mean_over_rows() -> None:
    net = nn.Linear(4, 1)
    expected = rv.evaluate(net, X, VALUES, loss="mse")["loss"]
    frozen = optim.SGD(net.parameters(), lr=0.0)
    history = fit(net, X, VALUES, loss="mse", optimizer=frozen, epochs=1, batch_size=16)
    assert history.history["loss"][0] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    "loss, output",
    [
        ("mse", 1),
        ("half_squared_error", 1),
        (nn.MSELoss(), 1),
        (nn.MSELoss(reduction="sum"), 1),
        ("cross_entropy", 3),
        (nn.CrossEntropyLoss(), 3),
    ],
)
def test_every_loss_goes_down(loss: Any, output: int) -> None:
    targets = LABELS if output == 3 else VALUES
    history = fit(nn.Linear(4, output), X, targets, loss=loss, lr=0.01, epochs=20)
    assert history.history["loss"][-1] < history.history["loss"][0]


@pytest.mark.parametrize("name", ["bce", "binary_cross_entropy", "BCE"])
def test_two_classes_with_one_output(name: str) -> None:
    net = nn.Sequential(nn.Linear(4, 1), nn.Sigmoid())
    y = X[:, 0] > 0
    history = fit(net, X, y, loss=name, lr=0.1, epochs=60, metrics="accuracy")
    assert history.history["accuracy"][-1] > 0.95
    assert rv.evaluate(net, X, y, metrics="accuracy")["accuracy"] > 0.95


# --- same bits ------------------------------------------------------------------------------------


def test_same_seed_same_bits() -> None:
    results = set()
    for threads, grain in [(1, 0), (2, 0), (1, 1), (2, 1), (3, 1)]:
        _C.set_num_threads(threads)
        _C.set_grain(grain)
        net = classifier()
        history = fit(net, epochs=5, seed=7, validation=0.2, metrics=["accuracy"])
        results.add((weights(net), repr(history.history)))
    assert len(results) == 1


def test_seeds_differ_and_none_is_the_default_generator() -> None:
    nets = [classifier() for _ in range(4)]
    for net, seed in zip(nets[:2], (1, 2), strict=True):
        fit(net, seed=seed)
    for net in nets[2:]:
        rv.manual_seed(5)
        fit(net, seed=None)
    assert weights(nets[0]) != weights(nets[1])
    assert weights(nets[2]) == weights(nets[3])


def test_a_seed_leaves_the_default_generator_alone() -> None:
    before = _C.default_generator().state.tolist()
    net = nn.Linear(4, 3)
    middle = _C.default_generator().state.tolist()
    fit(net, seed=3, validation=0.5)
    assert before != middle == _C.default_generator().state.tolist()


# --- data of any type -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dtype", ["f8", "f2", "i1", "i2", "i4", "i8", "u1", "u2", "u4", ">f4", "?"]
)
def test_arrays_of_any_type(dtype: str) -> None:
    rows = (np.abs(X) * 10).astype(dtype)
    plain, cast = classifier(), classifier()
    fit(cast, rows, LABELS, seed=0)
    fit(plain, rows.astype(np.float32), LABELS, seed=0)
    assert weights(plain) == weights(cast)


@pytest.mark.parametrize(
    "form",
    [
        lambda a: a.tolist(),
        rv.tensor,
        np.asfortranarray,
        lambda a: np.repeat(a, 2, axis=0)[::2],
        lambda a: a[::-1][::-1],
    ],
)
def test_arrays_of_any_layout(form: Callable[[Any], Any]) -> None:
    plain, other = classifier(), classifier()
    fit(plain, seed=0)
    fit(other, form(X), form(LABELS), seed=0)
    assert weights(plain) == weights(other)


@pytest.mark.parametrize("fraction", [np.float32(0.1), np.float64(0.1), np.float16(0.1), 0.1])
def test_fractions_of_any_type(fraction: float) -> None:
    seen: list[int] = []

    def rows(prediction: rv.Tensor, target: rv.Tensor) -> float:
        seen.append(len(target))
        return 0.0

    fit(classifier(), validation=fraction, metrics=rows, epochs=1, batch_size=None)
    assert seen[-2:] == [45, 5]


def test_seeds_of_any_integer_type() -> None:
    nets = [classifier() for _ in range(2)]
    for net, seed in zip(nets, (7, np.int64(7)), strict=True):
        fit(net, seed=seed)
    assert weights(nets[0]) == weights(nets[1])
    fit(classifier(), seed=2**64 - 1)
    rv.manual_seed(np.uint64(2**64 - 1))
    assert rv.initial_seed() == 2**64 - 1
    errors = ((-(2**63) - 1, ValueError), (2**64, ValueError), ("a", TypeError), (True, TypeError))
    for bad, kind in errors:
        with pytest.raises(kind, match=r"\[manual_seed\] seed: expected a whole number from 0"):
            rv.manual_seed(bad)


class Weighted(nn.MSELoss):
    """A loss that somebody made from one of ours."""


@pytest.mark.parametrize(
    "loss, name, y",
    [
        (nn.functional.mse_loss, "mse", VALUES),
        (_C.ops.mse_loss, "mse", LABELS),
        (Weighted(), "mse", VALUES),
        (nn.functional.half_squared_error, "half_squared_error", LABELS),
        (nn.functional.binary_cross_entropy, "bce", LABELS > 0),
        (nn.functional.cross_entropy, "cross_entropy", LABELS[:, None]),
    ],
)
def test_functions_and_subclasses_are_like_the_names(loss: Any, name: str, y: Any) -> None:
    nets = []
    for each in (loss, name):
        rv.manual_seed(0)
        outputs = 3 if name == "cross_entropy" else 1
        last = nn.Sigmoid() if name == "bce" else nn.Identity()
        nets.append(nn.Sequential(nn.Linear(4, outputs), last))
        fit(nets[-1], X, y, loss=each, seed=0)
    assert weights(nets[0]) == weights(nets[1])
    with pytest.raises(ValueError, match="y: expected"):
        fit(nets[0], X, np.full((50, 2), 0), loss=loss)


def test_read_only_data_and_float64_models() -> None:
    rows, targets = X.copy(), VALUES.copy()
    rows.flags.writeable = targets.flags.writeable = False
    net = nn.Linear(4, 1).double()
    fit(net, rows, targets, loss="mse", epochs=1)
    assert rv.predict(net, rows).dtype is rv.float64


@pytest.mark.parametrize("shape", [(50,), (50, 1)])
def test_targets_with_and_without_an_axis(shape: tuple[int, ...]) -> None:
    flat = nn.Sequential(nn.Linear(4, 1), nn.Flatten(0))
    for net in (nn.Linear(4, 1), flat):
        targets = VALUES.reshape(shape)
        assert fit(net, X, targets, loss="mse", metrics="mae").history["loss"][0] > 0
        assert rv.evaluate(net, X, targets, metrics="mae")["mae"] > 0
    fit(classifier(), X, LABELS.reshape(shape))


# --- validation and metrics -----------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*run as Python code")
def test_validation_rows_are_not_trained_on() -> None:
    """A fraction takes the last rows of a shuffle, or of the data."""
    seen: set[float] = set()

    def watch(prediction: rv.Tensor, target: rv.Tensor) -> rv.Tensor:
        if _C.is_grad_enabled():
            seen.update(target.flatten().tolist())
        return (prediction - target).abs().mean()

    rows = np.arange(10, dtype=np.float32)[:, None]
    history = fit(nn.Linear(1, 1), rows, rows, loss=watch, validation=0.25, shuffle=False)
    assert seen == set(range(7)) and len(history.history["val_loss"]) == 10
    seen.clear()
    fit(nn.Linear(1, 1), rows, rows, loss=watch, validation=0.25, seed=0)
    assert len(seen) == 7 and seen != set(range(7))


def test_validation_is_measured_as_evaluate_does() -> None:
    net = classifier()
    history = fit(net, validation=(X[:9], LABELS[:9]), metrics=["accuracy"], epochs=3)
    measured = rv.evaluate(net, X[:9], LABELS[:9], metrics=["accuracy"])
    assert list(history.history) == ["loss", "accuracy", "val_loss", "val_accuracy"]
    assert history.history["val_loss"][-1] == measured["loss"]
    assert history.history["val_accuracy"][-1] == measured["accuracy"]


def test_accuracy() -> None:
    net = nn.Identity()
    scores = [[3, 1, 2], [1, 3, 2], [1, 2, 3], [1, 2, 3]]
    assert rv.evaluate(net, scores, [0, 1, 1, 2], loss="cross_entropy", metrics="accuracy") == {
        "loss": pytest.approx(0.65760595),
        "accuracy": 0.75,
    }
    one_hot = np.eye(3)[[0, 1, 1, 2]]
    assert rv.evaluate(net, scores, one_hot, loss="mse", metrics="accuracy")["accuracy"] == 0.75
    column = np.array([[0], [1], [1], [2]])
    free = rv.evaluate(net, scores, column, loss=lambda p, t: p.mean(), metrics="accuracy")
    assert free["accuracy"] == 0.75
    for y in ([0, 1, 1], [[0], [1], [1]]):
        measured = rv.evaluate(net, [[0.1], [0.5], [0.4]], y, loss="bce", metrics="accuracy")
        assert measured["accuracy"] == pytest.approx(2 / 3)


def test_own_metric_and_its_name() -> None:
    def worst(prediction: rv.Tensor, target: rv.Tensor) -> float:
        return float(np.abs(prediction.numpy() - target.numpy()).max())

    net = nn.Linear(4, 1)
    history = fit(net, X, VALUES, loss="mse", metrics=[worst, "mae"], validation=(X, VALUES))
    assert list(history.history) == ["loss", "worst", "mae", "val_loss", "val_worst", "val_mae"]
    by_hand = np.abs(rv.predict(net, X).numpy()[:, 0] - VALUES).max()
    assert rv.evaluate(net, X, VALUES, metrics=worst)["worst"] == pytest.approx(by_hand)


def test_history() -> None:
    history = fit(classifier(), epochs=4)
    assert history.epochs == 4 and len(history.history["loss"]) == 4
    assert all(type(value) is float for value in history.history["loss"])
    assert 0 < history.seconds < 60
    assert re.fullmatch(r"History\(4 epochs in \d+\.\d\d s: loss \S+\)", repr(history))


# --- predict --------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 7, 50, 1000])
def test_a_row_does_not_depend_on_its_batch(batch_size: int) -> None:
    net = classifier()
    with rv.no_grad():
        whole = net(rv.tensor(X)).numpy()
    answer = rv.predict(net, X, batch_size=batch_size)
    assert not answer.requires_grad and answer.numpy().tobytes() == whole.tobytes()


class Modes(nn.Module):
    """Notes the mode that it runs in."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 3)
        self.seen: set[tuple[bool, bool]] = set()

    def forward(self, x: rv.Tensor) -> rv.Tensor:
        self.seen.add((self.training, rv.is_grad_enabled()))
        return self.inner(x)


@pytest.mark.filterwarnings("ignore:.*run as Python code")
@pytest.mark.parametrize("outer", [True, False])
@pytest.mark.parametrize("inner", [True, False])
def test_modes_come_back(outer: bool, inner: bool) -> None:
    net = Modes()
    net.train(outer)
    net.inner.train(inner)
    rv.predict(net, X)
    assert net.seen == {(False, False)}
    with rv.no_grad():
        fit(net, validation=0.2)
    assert net.seen == {(False, False), (True, True)}
    with pytest.raises(NonFiniteError):
        fit(net, optimizer=optim.SGD(net.parameters(), lr=1e38))
    assert (net.training, net.inner.training) == (outer, inner)
    assert rv.is_grad_enabled()


# --- what stays with the model --------------------------------------------------------------------


def test_second_fit_goes_on() -> None:
    once, twice = classifier(), classifier()
    fit(once, epochs=6, shuffle=False)
    fit(twice, epochs=3, shuffle=False)
    fit(twice, epochs=3, shuffle=False)  # no warning: warnings are errors here
    assert weights(once) == weights(twice)


def test_second_fit_goes_on_with_the_default_rate_written_out() -> None:
    once, twice = classifier(), classifier()
    fit(once, epochs=6, shuffle=False)
    fit(twice, epochs=3, shuffle=False)
    fit(twice, epochs=2, shuffle=False, lr=1e-3)  # no warning
    fit(twice, epochs=1, shuffle=False)
    assert weights(once) == weights(twice)


@pytest.mark.parametrize(
    "other, words",
    [
        ({"lr": 0.5}, r"Adam\(lr=0.5\) starts anew, as the last fit used Adam\(lr=0.001\)"),
        ({"optimizer": "sgd"}, r"SGD\(lr=0.001\) starts anew, as the last fit used Adam"),
        ({"optimizer": optim.AdamW}, r"AdamW\(lr=0.001\) starts anew"),
    ],
)
def test_another_optimizer_starts_anew_and_says_so(other: dict[str, Any], words: str) -> None:
    net = classifier()
    fit(net)
    with pytest.warns(RanvierWarning, match=words) as caught:
        fit(net, **other)
    assert caught[0].filename == fit.__code__.co_filename  # where rv.fit was called


def test_other_parameters_start_anew() -> None:
    net = classifier()
    fit(net)
    net[2] = nn.Linear(8, 3)
    before = weights(net[2])
    with pytest.warns(RanvierWarning, match="the model has other parameters now"):
        fit(net)
    assert weights(net[2]) != before


def test_own_optimizer_is_used() -> None:
    ours, theirs = classifier(), classifier()
    optimizer = optim.SGD(ours.parameters(), lr=0.1, momentum=0.9)
    fit(ours, optimizer=optimizer, epochs=2, shuffle=False)
    fit(ours, optimizer=optimizer, epochs=2, shuffle=False)
    other = optim.SGD(theirs.parameters(), lr=0.1, momentum=0.9)
    fit(theirs, optimizer=other, epochs=4, shuffle=False)
    assert weights(ours) == weights(theirs)


def test_frozen_parameters_stay() -> None:
    net = classifier()
    net[0].requires_grad_(False)
    first, last = weights(net[0]), weights(net[2])
    fit(net)
    assert weights(net[0]) == first and weights(net[2]) != last


def test_what_is_kept_does_not_travel() -> None:
    net = classifier()
    before = list(net.state_dict())
    fit(net, loss=lambda p, t: nn.CrossEntropyLoss()(p, t))  # a lambda cannot be pickled
    assert list(net.state_dict()) == before
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert weights(twin) == weights(net)
        with pytest.raises(ValueError, match="has not been fitted"):
            rv.evaluate(twin, X, LABELS)
        fit(twin)


def test_evaluate_uses_the_last_loss() -> None:
    net = nn.Linear(4, 1)
    fit(net, X, VALUES, loss="half_squared_error")
    last = rv.evaluate(net, X, VALUES)["loss"]
    assert last == rv.evaluate(net, X, VALUES, loss="half_squared_error")["loss"]
    assert last != rv.evaluate(net, X, VALUES, loss="mse")["loss"]


def test_gradients_are_cleared() -> None:
    net = classifier()
    fit(net)
    assert all(p.grad is None for p in net.parameters())


def test_gradients_of_what_the_optimizer_does_not_hold_are_cleared() -> None:
    """Within the run as well: otherwise they would add up from step to step."""
    net = classifier()
    seen: list[list[float]] = []

    class Watch(optim.SGD):
        def step(self, closure: Any = None) -> Any:
            seen.append(net[0].weight.grad.flatten().tolist())

    named: dict[str, Any] = {"shuffle": False, "batch_size": None, "epochs": 3}
    fit(net, optimizer=Watch(net[2].parameters(), lr=0.1), **named)
    assert seen[0] == seen[1] == seen[2] and any(seen[0])
    assert all(p.grad is None for p in net.parameters())


def test_gradients_outside_the_model_are_cleared() -> None:
    scale = rv.tensor([1.0], requires_grad=True)
    net = nn.Linear(4, 1)
    fit(
        net, X, VALUES[:, None], epochs=2,
        loss=lambda p, t: ((p * scale - t) * (p * scale - t)).mean(),
        optimizer=optim.SGD([*net.parameters(), scale], lr=0.01),
    )  # fmt: skip
    assert scale.grad is None and scale.tolist() != [1.0]
