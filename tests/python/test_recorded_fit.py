"""`fit` replays its steps where that gives what the code gives, and says so where it does not."""

from __future__ import annotations

import functools
import random
import warnings
from typing import Any

import numpy as np
import pytest
from fit_setup import Residual, Watch, X, Y, plain, stateful

import ranvier as rv
from ranvier import nn

OFFSET = 1.0


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    return Watch(monkeypatch)


@pytest.mark.parametrize(
    ("settings", "most"),
    [
        ({}, 2),
        ({"batch_size": None}, 1),
        ({"batch_size": 1, "epochs": 1}, 1),
        ({"clip_norm": 0.5}, 2),
        ({"l1": 1e-3, "l2": 1e-2, "max_norm": 1.0}, 2),
        ({"metrics": ["accuracy", "auc"][:1], "validation": 0.2}, 1),
        ({"accumulate": 3}, 2),
        ({"sample_weight": np.arange(50) + 1.0}, 2),
        ({"class_weight": "balanced", "shuffle": False}, 2),
        ({"schedule": "cosine", "optimizer": "sgd", "lr": 0.1}, 2),
        ({"schedule": lambda epoch: 0.1 / (epoch + 1), "optimizer": "rmsprop"}, 2),
        ({"optimizer": "nadam", "early_stopping": 1}, 2),
        ({"loss": lambda p, t: nn.functional.cross_entropy(p, t) * 2.0}, 2),
    ],
)
@pytest.mark.parametrize("make", [plain, stateful, Residual])
def test_fit_is_eager_bit_for_bit(
    watch: Watch, make: Any, settings: dict[str, Any], most: int
) -> None:
    if "accumulate" in settings and make is stateful:
        pytest.skip("refused with batch norm")
    if settings.get("batch_size") == 1 and make is stateful:
        pytest.skip("batch norm of one row")
    eager = watch.fit(make, False, **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert watch.fit(make, True, **settings) == eager
    assert watch.count <= most


def test_loaders_are_replayed_too(watch: Watch) -> None:
    ends = []
    for captured in (False, True):
        watch.monkeypatch.setenv("RANVIER_CAPTURE", str(int(captured)))
        watch.count = 0
        rv.manual_seed(0)
        net = plain()
        rows = rv.utils.data.TensorDataset(rv.tensor(X), rv.tensor(Y))
        loader = rv.utils.data.DataLoader(rows, batch_size=16, shuffle=True)
        history = rv.fit(net, loader, loss="cross_entropy", epochs=3, seed=2, verbose=0)
        ends.append((history.history, [p.tolist() for p in net.parameters()]))
    assert ends[0] == ends[1] and watch.count == 3  # the first one shows what comes out


# --- traps: what code does beside computing -------------------------------------------------------


class Trap(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 3)
        self.acts: list[Any] = []
        self.calls = 0


class RandomDepth(Trap):
    def forward(self, x: rv.Tensor) -> rv.Tensor:
        for _ in range(random.randint(1, 3)):
            x = x * 1.1
        return self.layer(x)


class Counter(Trap):
    def forward(self, x: rv.Tensor) -> rv.Tensor:
        self.calls += 1
        return self.layer(x) * self.calls


class Keeps(Trap):
    def forward(self, x: rv.Tensor) -> rv.Tensor:
        x = self.layer(x)
        self.acts.append(x.detach())
        return x + len(self.acts)


class ReadsGlobal(Trap):
    def forward(self, x: rv.Tensor) -> rv.Tensor:
        return self.layer(x) * OFFSET


class Branches(Trap):
    def forward(self, x: rv.Tensor) -> rv.Tensor:
        x = self.layer(x)
        return x if x.sum() > 0 else -x


class ReadsItem(Trap):
    def forward(self, x: rv.Tensor) -> rv.Tensor:
        x = self.layer(x)
        return x * (1.0 + x.mean().item())


class Prints(Trap):
    def forward(self, x: rv.Tensor) -> rv.Tensor:
        print(x.shape)
        return self.layer(x)


class Numpys(Trap):
    def forward(self, x: rv.Tensor) -> rv.Tensor:
        return self.layer(x + float(np.random.default_rng().integers(1, 2)))


@pytest.mark.parametrize(
    "make", [RandomDepth, Counter, Keeps, ReadsGlobal, Branches, ReadsItem, Prints, Numpys]
)
def test_code_that_does_more_runs_as_it_is_with_one_note(watch: Watch, make: Any) -> None:
    def changing() -> rv.Callback:
        class Change(rv.Callback):
            def on_epoch_end(self, run: Any, logs: Any) -> None:
                global OFFSET
                OFFSET += 1.0

        return Change()

    global OFFSET
    ends = []
    for captured in (False, True):
        random.seed(3)
        OFFSET = 1.0
        if not captured:
            ends.append(watch.fit(make, False, callbacks=[changing()]))
            continue
        with pytest.warns(rv.RanvierWarning, match=r"test_recorded_fit\.py:\d+|OFFSET") as notes:
            ends.append(watch.fit(make, True, callbacks=[changing()]))
        assert len([n for n in notes if n.category is rv.RanvierWarning]) == 1
        assert watch.count == 21 or make is ReadsGlobal
    assert ends[0] == ends[1]


def test_a_read_in_a_function_of_the_loss(watch: Watch) -> None:
    def loss(prediction: rv.Tensor, target: rv.Tensor) -> rv.Tensor:
        value = nn.functional.cross_entropy(prediction, target)
        return value * 2 if value > 0.1 else value

    eager = watch.fit(stateful, False, loss=loss)
    with pytest.warns(rv.RanvierWarning, match="test_recorded_fit"):
        assert watch.fit(stateful, True, loss=loss) == eager


def test_hooks_run_in_every_step(watch: Watch) -> None:
    seen: list[int] = []

    def hooked() -> nn.Module:
        net = plain()
        next(net.children()).register_forward_hook(lambda *_: seen.append(1))
        return net

    eager = watch.fit(hooked, False)
    count = len(seen)
    with pytest.warns(rv.RanvierWarning, match="hook"):
        assert watch.fit(hooked, True) == eager
    assert len(seen) == 2 * count


class Config:
    factor = 1.0


class Reads(nn.Module):
    """Reads what is no tensor in several ways, all of which may change."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 3)
        self.config = Config()
        self.table = {"a": {"b": [1.0]}}
        self.pair = ([1.0], 2.0)

    def forward(self, x: rv.Tensor) -> rv.Tensor:
        x = self.layer(x) * self.config.factor
        return x * self.table["a"]["b"][0] * self.pair[0][0]


@pytest.mark.parametrize(
    "change",
    [
        lambda model: setattr(model.config, "factor", 0.5),
        lambda model: model.table["a"].update(b=[3.0]),
        lambda model: model.table["a"]["b"].__setitem__(0, 3.0),
        lambda model: model.pair[0].__setitem__(0, 3.0),
    ],
)
def test_what_a_forward_reads_may_change(watch: Watch, change: Any) -> None:
    class Changes(rv.Callback):
        def on_epoch_end(self, run: Any, logs: Any) -> None:
            change(run.model)

    eager = watch.fit(Reads, False, callbacks=[Changes()])
    with pytest.warns(rv.RanvierWarning, match="has changed"):
        assert watch.fit(Reads, True, callbacks=[Changes()]) == eager


@pytest.mark.parametrize(
    "change",
    [
        lambda run, p: run.optimizer.state[p].update(exp_avg=rv.zeros(*p.shape)),
        lambda run, p: run.optimizer.state[p].clear(),
        lambda run, p: run.optimizer.state.clear(),
        lambda run, p: run.optimizer.param_groups[0]["params"].pop(),
        lambda run, p: run.optimizer.param_groups[0].update(weight_decay=0.3),
    ],
)
def test_a_callback_may_change_the_optimizer(watch: Watch, change: Any) -> None:
    class Changes(rv.Callback):
        def on_epoch_end(self, run: Any, logs: Any) -> None:
            if run.epoch == 2:
                change(run, list(run.model.parameters())[-1])

    eager = watch.fit(plain, False, callbacks=[Changes()])
    assert watch.fit(plain, True, callbacks=[Changes()]) == eager


def test_an_optimizer_with_a_counter(watch: Watch) -> None:
    class Decays(rv.optim.Adam):
        count = 0

        def _update_group(self, group: Any) -> bool:
            self.count += 1
            for p in group["params"]:
                p.data.mul_(1 - 0.1 / self.count)
            return super()._update_group(group)

    eager = watch.fit(plain, False, optimizer=Decays)
    assert watch.fit(plain, True, optimizer=Decays) == eager


def test_a_callback_may_change_the_model(watch: Watch) -> None:
    class Freeze(rv.Callback):
        def on_epoch_end(self, run: Any, logs: Any) -> None:
            if run.epoch == 1:
                run.model[0].requires_grad_(False)
            else:
                run.model[1] = nn.ReLU()

    eager = watch.fit(plain, False, callbacks=[Freeze()])
    assert watch.fit(plain, True, callbacks=[Freeze()]) == eager
    assert watch.count == 6


def test_a_step_that_is_not_finite_changes_nothing(watch: Watch) -> None:
    def run(captured: bool) -> Any:
        nets: list[nn.Module] = []

        def make() -> nn.Module:
            nets.append(plain())
            return nets[-1]

        how = {"optimizer": "sgd", "lr": 1e30, "loss": lambda p, t: (p**2).sum()}
        with pytest.raises(rv.NonFiniteError) as info:
            watch.fit(make, captured, **how)
        assert all(p.grad is None for p in nets[0].parameters())
        return str(info.value), [p.tolist() for p in nets[0].parameters()]

    assert run(False) == run(True)


NETS: list[nn.Module] = []


def helper(x: rv.Tensor, factor: float = 1.0) -> rv.Tensor:
    return x * factor


class Helped(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner, self.factor = nn.Linear(6, 3), 1.0
        NETS.append(self)

    def forward(self, x: rv.Tensor) -> rv.Tensor:
        return self.scaled(helper(self.inner(x)) * self.factor)

    def scaled(self, x: rv.Tensor) -> rv.Tensor:
        return x * 1.0


def code_replaced(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(helper, "__code__", (lambda x, factor: x * 0.3).__code__)


@pytest.mark.parametrize(
    "change",
    [
        lambda patch: patch.setattr(Helped, "scaled", lambda self, x: x * 0.5),
        lambda patch: patch.setattr(Helped, "forward", lambda self, x: self.inner(x) * 0.5),
        lambda patch: patch.setattr(helper, "__defaults__", (0.25,)),
        code_replaced,
        lambda patch: patch.setitem(vars(NETS[-1]), "factor", 0.25),
        lambda patch: patch.setitem(LOSS.keywords, "label_smoothing", 0.3),
    ],
)
def test_code_that_a_callback_replaces(watch: Watch, change: Any) -> None:
    def run(captured: bool) -> Any:
        with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            note = rv.callbacks.LambdaCallback(
                on_epoch_end=lambda run, logs: change(patch) if run.epoch == 2 else None
            )
            return watch.fit(Helped, captured, callbacks=[note], epochs=4, loss=LOSS), len(told)

    (eager, _), (replayed, told) = run(False), run(True)
    assert replayed == eager and told <= 1


LOSS = functools.partial(nn.functional.cross_entropy, label_smoothing=0.1)


def test_doors_replay_their_steps(watch: Watch) -> None:
    from ranvier import keras

    ends = []
    for captured in (False, True):
        watch.monkeypatch.setenv("RANVIER_CAPTURE", str(int(captured)))
        watch.count = 0
        keras.utils.set_random_seed(0)
        model = keras.Sequential(
            [
                keras.layers.Dense(5, activation="relu", kernel_constraint="max_norm"),
                keras.layers.Dropout(0.2),
                keras.layers.Dense(3, kernel_regularizer="l2", activation="softmax"),
            ]
        )
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        history = model.fit(X, Y, batch_size=10, epochs=3, verbose=0)
        ends.append((history.history, [w.tolist() for w in model.get_weights()]))
    assert ends[0] == ends[1] and watch.count <= 3


@pytest.mark.parametrize(
    "change",
    [
        lambda m: setattr(m.optimizer, "clipnorm", 0.01),
        lambda m: setattr(m.optimizer, "global_clipnorm", 0.01),
        lambda m: setattr(m.layers[0].kernel_regularizer, "l2", 5.0),
        lambda m: setattr(m.layers[0].kernel_constraint, "max_value", 0.1),
        lambda m: setattr(m.layers[0].activity_regularizer, "l2", 3.0),
        lambda m: setattr(m.loss, "reduction", "sum"),
        lambda m: setattr(m.optimizer, "learning_rate", 0.5),
    ],
)
def test_settings_of_keras_objects_may_change(watch: Watch, change: Any) -> None:
    from ranvier import keras

    class Changes(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if epoch == 1:
                change(self.model)

    def run(captured: bool) -> Any:
        watch.monkeypatch.setenv("RANVIER_CAPTURE", str(int(captured)))
        watch.count = 0
        keras.utils.set_random_seed(0)
        dense = keras.layers.Dense(
            3, "softmax", kernel_regularizer="l2", kernel_constraint="max_norm",
            activity_regularizer="l2",
        )  # fmt: skip
        model = keras.Sequential([dense])
        model.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy())
        history = model.fit(X, Y, batch_size=25, epochs=4, verbose=0, callbacks=[Changes()])
        return history.history, [w.tolist() for w in model.get_weights()]

    eager = run(False)
    assert run(True) == eager and watch.count <= 4
