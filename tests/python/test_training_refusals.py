"""What `fit` refuses before anything changes, and what stops a run half-way."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from training_setup import LABELS, VALUES, X, classifier, fit, weights

import ranvier as rv
from ranvier import _C, nn, optim
from ranvier.training import NonFiniteError

# --- what is refused, with nothing changed --------------------------------------------------------


def with_nan() -> np.ndarray[Any, Any]:
    rows = X.copy()
    rows[3, 1], rows[7, 0] = np.nan, np.inf
    return rows


REFUSED: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"X": with_nan()}, ValueError, r"\[fit\] X: expected finite .* 2 of 200 .* nan at \(3, 1\)"),
    ({"X": X.astype("f8") * 1e300}, ValueError, r"X: expected finite float32 numbers"),
    ({"X": X[:0], "y": LABELS[:0]}, ValueError, r"X: expected at least one row, got shape \(0, 4"),
    ({"X": 3.0}, ValueError, "X: expected at least one row"),
    ({"X": [["a"]]}, TypeError, "X: expected numbers, got list"),
    ({"X": [[1], [1, 2]]}, ValueError, "X: expected rows of equal length"),
    ({"X": X.astype(complex)}, TypeError, "X: expected numbers, got ndarray of complex128"),
    ({"X": X[:, :3]}, ValueError, r"\[linear\].*expected input with 4 features"),
    ({"y": LABELS[:49]}, ValueError, "X and y: expected as many rows in both, got 50 and 49"),
    ({"y": None}, TypeError, "y: expected one target for each row"),
    ({"y": LABELS + 1}, ValueError, "labels from 0 to 2 for the 3 outputs .* the first 3 in row"),
    ({"y": LABELS - 1}, ValueError, "labels from 0 to 2 .* the first -1 in row"),
    ({"y": LABELS.astype(float)}, TypeError, "y: expected whole numbers .*, got float64"),
    ({"y": np.eye(3, dtype=int)[LABELS]}, ValueError, r"one label a row, .*got \(50, 3\)"),
    ({"y": VALUES, "loss": "mse"}, ValueError, r"shape \(50, 3\), as the model's output"),
    ({"y": np.full((50, 3), np.nan), "loss": "mse"}, ValueError, "y: expected finite"),
    ({"y": np.full((50, 3), 2), "loss": "bce"}, ValueError, "y: expected values from 0 to 1"),
    ({"y": np.ones((50, 3)), "loss": "bce"}, ValueError, "model: .*end it with nn.Sigmoid"),
    ({"loss": "cross_entropi"}, ValueError, "did you mean 'cross_entropy'"),
    ({"loss": "zzzz"}, ValueError, "loss: expected one of cross_entropy, mse.* got 'zzzz'"),
    ({"loss": nn.MSELoss, "y": np.ones((50, 3))}, TypeError, r"class MSELoss; write MSELoss\(\)"),
    ({"loss": None}, TypeError, "loss: expected a name"),
    (
        {"loss": nn.CrossEntropyLoss(reduction="none")},
        TypeError,
        "one floating-point number, got shape",
    ),
    ({"loss": lambda p, t: 1.0}, TypeError, "one floating-point number, got float"),
    ({"optimizer": "adma"}, ValueError, "optimizer: .* did you mean .*'adam'"),
    ({"optimizer": nn.Linear}, TypeError, "optimizer: expected a name"),
    ({"metrics": "acuracy"}, ValueError, "metrics: .* did you mean 'accuracy'"),
    ({"metrics": [3]}, TypeError, "metrics: expected names"),
    ({"metrics": ["mse"]}, ValueError, r"\[mse\] target: expected"),
    ({"metrics": ["accuracy", "accuracy"]}, ValueError, "'accuracy' twice"),
    *[({"lr": lr}, ValueError, "lr: expected a finite number above 0")
      for lr in (0, -0.1, float("nan"), float("inf"))],
    ({"lr": "0.1"}, TypeError, "lr: expected a number"),
    ({"epochs": 0}, ValueError, "epochs: expected a whole number of 1 or more, got 0"),
    ({"epochs": 1.0}, TypeError, "epochs: expected a whole number"),
    ({"epochs": True}, TypeError, "epochs: expected a whole number"),
    ({"batch_size": 0}, ValueError, "batch_size: expected a whole number of 1"),
    ({"batch_size": "all"}, TypeError, "batch_size: expected a whole number"),
    ({"seed": -1}, ValueError, "seed: expected"),
    ({"seed": 2**64}, ValueError, r"\[fit\] seed: expected a whole number from 0 to"),
    *[({"seed": seed}, TypeError, "seed: expected") for seed in (0.5, "1", True)],
    ({"lr": np.ones(10**6)}, TypeError, r"lr: expected a number, got .{1,70}$"),
    ({"loss": np.ones(10**6)}, TypeError, r"got .{1,70}$"),
    ({"optimizer": [1] * 1000}, TypeError, r"got .{1,70}$"),
    ({"metrics": [[1] * 1000]}, TypeError, "got .{1,80}$"),
    *[({"validation": v}, ValueError, "validation: expected a fraction")
      for v in (0.0, 1.0, 0.999, float("nan"), "x", 3)],
    ({"validation": (X, LABELS + 1)}, ValueError, "validation y: expected labels from 0 to 2"),
    ({"validation": (X, LABELS[:3])}, ValueError, "validation X and validation y: expected as"),
    ({"verbose": 3}, ValueError, "verbose: expected 0, 1 or 2"),
]  # fmt: skip


@pytest.mark.parametrize("bad, kind, words", REFUSED, ids=lambda value: str(value)[:40])
def test_refused(bad: dict[str, Any], kind: type[Exception], words: str) -> None:
    net = classifier()
    net.eval()
    before, random = weights(net), _C.default_generator().state.tolist()
    arguments = {"X": X, "y": LABELS, **bad}
    with pytest.raises(kind, match=words) as caught:
        fit(net, arguments.pop("X"), arguments.pop("y"), **arguments)
    assert type(caught.value) is kind or issubclass(type(caught.value), kind)
    assert weights(net) == before and not net.training
    if "loss" not in bad or not callable(bad["loss"]):
        assert _C.default_generator().state.tolist() == random
        with pytest.raises(ValueError, match="has not been fitted"):
            rv.evaluate(net, X, LABELS)


def test_refused_models() -> None:
    with pytest.raises(TypeError, match=r"\[fit\] model: expected an nn.Module"):
        fit(lambda x: x)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected at least one parameter"):
        fit(nn.Identity(), X[:, :3], LABELS)
    with pytest.raises(ValueError, match=r"optimizer: expected one made with this model's"):
        fit(classifier(), optimizer=optim.Adam(classifier().parameters()))
    net = classifier()
    with pytest.raises(ValueError, match="lr: expected None beside an optimizer"):
        fit(net, optimizer=optim.Adam(net.parameters()), lr=0.1)


def test_refused_by_predict_and_evaluate() -> None:
    net = classifier()
    with pytest.raises(ValueError, match=r"\[predict\] X: expected at least one row"):
        rv.predict(net, X[:0])
    with pytest.raises(ValueError, match=r"\[predict\] batch_size: expected a whole number"):
        rv.predict(net, X, batch_size=0)
    with pytest.raises(TypeError, match=r"\[predict\] model: expected an nn.Module"):
        rv.predict(print, X)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"\[evaluate\] X: expected at least one row"):
        rv.evaluate(net, X[:0], LABELS[:0], loss="cross_entropy")
    for rows in (with_nan(), X.astype("f8") * 1e300):
        with pytest.raises(ValueError, match=r"\[evaluate\] X: expected finite float32 numbers"):
            rv.evaluate(net, rows, LABELS, loss="cross_entropy")
    with pytest.raises(ValueError, match=r"\[evaluate\] y: expected finite float32 numbers"):
        rv.evaluate(net, X, with_nan()[:, :3], loss="mse")
    with pytest.raises(ValueError, match=r"\[evaluate\] y: expected labels from 0 to 2"):
        rv.evaluate(net, X, LABELS + 1, loss="cross_entropy")


class Pair(nn.Module):
    """Gives what `fit` cannot use."""

    def __init__(self, output: Callable[[rv.Tensor], Any]) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 3)
        self.output = output

    def forward(self, x: rv.Tensor) -> Any:
        return self.output(self.inner(x))


def test_models_with_odd_outputs() -> None:
    with pytest.raises(TypeError, match="expected one tensor as output, got tuple"):
        fit(Pair(lambda y: (y, y)))
    with pytest.raises(ValueError, match="expected 32 rows out for 32 rows in"):
        fit(Pair(lambda y: y.sum(0)))
    with pytest.raises(ValueError, match=r"output of shape \(rows, classes\)"):
        fit(Pair(lambda y: y.sum(1)))


# --- what stops a run -----------------------------------------------------------------------------


def test_loss_that_is_not_finite_stops_before_the_update() -> None:
    """A learning rate far too large: one whole step, and then no more."""
    net, one_step = (classifier() for _ in range(2))
    named: dict[str, Any] = {"optimizer": "sgd", "lr": 1e30, "batch_size": None, "shuffle": False}
    fit(one_step, epochs=1, **named)
    with pytest.raises(NonFiniteError) as caught:
        fit(net, epochs=5, **named)
    error = caught.value
    assert (error.epoch, error.step, error.tensor) == (2, 2, "loss")
    assert isinstance(error, RuntimeError) and error.history.epochs == 1
    assert weights(net) == weights(one_step)
    assert re.match(
        r"\[fit\] epoch 2, step 2, loss: expected finite numbers, got (nan|inf).*"
        r"learning rate \(now 1e\+30\)",
        str(error),
    )


class Named(nn.Module):
    """fc1, something, fc2."""

    def __init__(self, between: Callable[[rv.Tensor], rv.Tensor]) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(4, 5), nn.Linear(5, 3)
        self.between = between

    def forward(self, x: rv.Tensor) -> rv.Tensor:
        return self.fc2(self.between(self.fc1(x)))


def test_the_layer_is_named() -> None:
    net = Named(lambda h: (h * 0 - 1).log())
    before = weights(net)
    with pytest.raises(NonFiniteError, match=r"began in the input of layer fc2 \(Linear\)"):
        fit(net)
    net.between = lambda h: h * 1e38 * 1e38
    with pytest.raises(NonFiniteError, match=r"began in the input of layer fc2"):
        fit(net)
    assert weights(net) == before
    assert "forward" not in net.fc2.__dict__


def test_gradient_that_is_not_finite_is_named() -> None:
    """The square root of 0 has a loss of 0 and a gradient of infinity times 0."""
    net = Named(lambda h: h + (h * 0).sqrt())
    before = weights(net)
    with pytest.raises(NonFiniteError) as caught:
        fit(net, optimizer="sgd")
    assert caught.value.tensor in ("fc1.weight gradient", "fc1.bias gradient")
    assert re.search(r"fc1\.\w+ gradient: expected finite numbers, got \d+ of", str(caught.value))
    assert weights(net) == before


def test_weight_that_is_not_finite_is_named() -> None:
    net = classifier()
    for bad in ("inf", "nan"):
        with rv.no_grad():
            net[2].weight[1, 2] = float(bad)
        before = weights(net)
        words = rf"\[fit\] model: 2.weight: expected finite numbers, got 1 of 24 .* {bad} at \(1, 2"
        with pytest.raises(ValueError, match=words):
            fit(net)
        assert weights(net) == before


def test_an_update_that_overflows_is_seen() -> None:
    net = nn.Linear(4, 1)
    optimizer = optim.SGD(net.parameters(), lr=1e39)
    with pytest.raises(NonFiniteError, match=r"epoch 1, step 1, (weight|bias): expected") as caught:
        fit(net, X, VALUES, loss="mse", optimizer=optimizer, epochs=1, batch_size=None)
    assert "an update overflowed, and the model keeps it" in str(caught.value)
    assert "before the update" not in str(caught.value)


def test_an_update_that_overflows_is_seen_at_the_next_step() -> None:
    net = nn.Linear(4, 1)
    optimizer = optim.SGD(net.parameters(), lr=1e39)
    with pytest.raises(NonFiniteError, match=r"epoch 1, step 2, (weight|bias): .* overflowed"):
        fit(net, X, VALUES, loss="mse", optimizer=optimizer, epochs=1, batch_size=25)


def test_validation_loss_that_is_not_finite() -> None:
    net = nn.Linear(4, 1)
    huge = np.full((2, 4), 1e30)
    with pytest.raises(NonFiniteError) as caught:
        fit(net, X, VALUES, loss="mse", validation=(huge, [0, 0]))
    assert caught.value.tensor == "validation loss"
    assert "stopped after the epoch, whose updates were all finite" in str(caught.value)
    assert "before the update" not in str(caught.value)
