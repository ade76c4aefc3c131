"""Programs that stay with a model between two calls of `fit`: the same bits, whatever changed."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier import _C, nn
from ranvier.training import kept

RNG = np.random.default_rng(3)
X = RNG.normal(size=(40, 6)).astype(np.float32)
Y = (X[:, :1] * X[:, 1:2] > 0).astype(np.float32)

Between = Callable[[dict[str, Any]], None]


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.3), nn.Linear(8, 1)
    )


def nothing(_: dict[str, Any]) -> None: ...


def data_in_place(run: dict[str, Any]) -> None:
    run["X"] *= 0.5


def other_data(run: dict[str, Any]) -> None:
    run["X"] = run["X"] + 1


def shorter_data(run: dict[str, Any]) -> None:
    run["X"], run["y"] = run["X"][:35], run["y"][:35]


def other_layer(run: dict[str, Any]) -> None:
    run["model"][2] = nn.ReLU()


def other_rate_of_dropout(run: dict[str, Any]) -> None:
    run["model"][3].p = 0.6


def frozen(run: dict[str, Any]) -> None:
    run["model"][0].weight.requires_grad_(False)


def weights_in_place(run: dict[str, Any]) -> None:
    with rv.no_grad():
        run["model"][4].weight.mul_(0.5)


def other_state(run: dict[str, Any]) -> None:
    run["model"].load_state_dict({k: v * 0.9 for k, v in run["model"].state_dict().items()})


def evaluated(run: dict[str, Any]) -> None:
    run["model"].eval()
    rv.predict(run["model"], run["X"])


def other_settings(run: dict[str, Any]) -> None:
    run["lr"], run["clip_norm"] = 0.02, 0.1


def with_penalty(run: dict[str, Any]) -> None:
    run["l2"] = 0.01


def other_batches(run: dict[str, Any]) -> None:
    run["batch_size"] = 7


def measured(run: dict[str, Any]) -> None:
    run["metrics"] = ["mse"]


def other_loss(run: dict[str, Any]) -> None:
    run["loss"] = "huber"


def copied(run: dict[str, Any]) -> None:
    run["model"] = copy.deepcopy(run["model"])


def trained_by_hand(run: dict[str, Any]) -> None:
    optimizer = rv.optim.SGD(run["model"].parameters(), lr=0.1)
    rv.nn.functional.mse_loss(run["model"](rv.from_numpy(run["X"])), rv.tensor(run["y"])).backward()
    optimizer.step()  # and the gradients stay


CHANGES = [
    nothing, data_in_place, other_data, shorter_data, other_layer, other_rate_of_dropout, frozen,
    weights_in_place, other_state, evaluated, other_settings, with_penalty, other_batches, measured,
    other_loss, copied, trained_by_hand,
]  # fmt: skip


def bits_of(between: Between, capture: bool, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Losses and weights of four runs, the change after the second."""
    monkeypatch.setattr("ranvier.training.recorded.is_on", lambda: capture)
    rv.manual_seed(1)
    run: dict[str, Any] = {
        "model": network(),
        "X": X.copy(),
        "y": Y.copy(),
        "loss": "mse",
        "lr": 0.01,
    }
    run |= {"batch_size": 16, "verbose": 0}
    bits = []
    for number in range(4):
        if number == 2:
            between(run)
        given = {name: value for name, value in run.items() if name not in ("model", "X", "y")}
        history = rv.fit(run["model"], run["X"], run["y"], epochs=2, seed=number, **given)
        bits += [repr(history.history).encode()]
        bits += [t.detach().numpy().tobytes() for t in run["model"].state_dict().values()]
    return bits


@pytest.mark.filterwarnings("ignore::ranvier.RanvierWarning")
@pytest.mark.parametrize("between", CHANGES, ids=lambda change: change.__name__)
def test_same_bits_as_without(between: Between, monkeypatch: pytest.MonkeyPatch) -> None:
    assert bits_of(between, True, monkeypatch) == bits_of(between, False, monkeypatch)


def recordings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One more entry for every recording."""
    found: list[int] = []
    record = _C.record_program

    def counted(*args: Any) -> Any:
        found.append(1)
        return record(*args)

    monkeypatch.setattr(_C, "record_program", counted)
    return found


def test_the_next_run_records_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    count, model = recordings(monkeypatch), network()
    for metrics in ((), ("mse",)):
        for runs in range(4):
            rv.fit(model, X, Y, loss="mse", epochs=1, batch_size=16, metrics=metrics, verbose=0)
            if runs == 1:
                count.clear()  # whole batches and the last, shorter one have their programs
        assert not count


def test_large_data_and_large_models_are_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "_BYTES", X.nbytes + Y.nbytes)
    count, model = recordings(monkeypatch), network()
    for _ in range(3):
        rv.fit(model, X, Y, loss="mse", epochs=1, batch_size=8, verbose=0)
    assert len(count) == 3


def test_what_is_kept_does_not_hold_the_model_or_travel_with_it() -> None:
    model = network()
    rv.fit(model, X, Y, loss="mse", epochs=2, verbose=0)
    rv.fit(model, X, Y, loss="mse", epochs=2, verbose=0)
    assert model.__dict__["_ranvier_last_fit"].kept is not None
    assert copy.deepcopy(model).__dict__["_ranvier_last_fit"].kept is None
    assert pickle.loads(pickle.dumps(model)).__dict__["_ranvier_last_fit"].kept is None
    gone = weakref.ref(model)
    gc.collect()
    gc.disable()
    try:
        del model
        assert gone() is None  # without the collector: no circle
    finally:
        gc.enable()


def test_a_run_that_fails_leaves_nothing() -> None:
    model = network()
    rv.fit(model, X, Y, loss="mse", epochs=2, verbose=0)
    with rv.no_grad():
        model[4].weight.mul_(1e30)
    with pytest.raises(rv.NonFiniteError):
        rv.fit(model, X, Y, loss="mse", epochs=2, lr=0.001, verbose=0)
    assert model.__dict__["_ranvier_last_fit"].kept is None


def test_a_class_of_ones_own_is_looked_at_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.factor = nn.Linear(6, 1), [1.0]

        def forward(self, x: rv.Tensor) -> rv.Tensor:
            return self.layer(x) * self.factor[0]

    def run(capture: bool) -> list[float]:
        monkeypatch.setattr("ranvier.training.recorded.is_on", lambda: capture)
        rv.manual_seed(0)
        model, losses = Own(), []
        for factor in (1.0, 1.0, 2.0):
            model.factor[0] = factor
            losses += rv.fit(model, X, Y, loss="mse", epochs=2, seed=0, verbose=0).history["loss"]
        return losses

    assert run(True) == run(False)
