"""`fit` replays its steps where that gives what the code gives, and says so where it does not."""

from __future__ import annotations

import functools
import random
import signal
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier import _C, nn
from ranvier.training import epochs
from ranvier.training.step import Arithmetic

RNG = np.random.default_rng(0)
X = RNG.standard_normal((50, 6)).astype("float32")
Y = RNG.integers(0, 3, 50)
OFFSET = 1.0


class Watch:
    """Counts the steps that ran as Python code."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch, self.count = monkeypatch, 0
        whole = Arithmetic.whole

        def counted(arithmetic: Arithmetic, *args: Any) -> Any:
            self.count += 1
            return whole(arithmetic, *args)

        monkeypatch.setattr(Arithmetic, "whole", counted)

    def fit(self, make: Callable[[], nn.Module], captured: bool, **settings: Any) -> Any:
        self.monkeypatch.setenv("RANVIER_CAPTURE", str(int(captured)))
        self.count = 0
        rv.manual_seed(0)
        net = make()
        how = {"epochs": 3, "batch_size": 8, "seed": 1, "verbose": 0, "loss": "cross_entropy"}
        history = rv.fit(net, X, Y, **{**how, **settings})
        tensors = [*net.parameters(), *net.buffers()]
        bits = [t.detach().numpy().tobytes() for t in tensors]
        return history.history, bits, rv.rand(2).tolist()


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    return Watch(monkeypatch)


def plain() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))


def stateful() -> nn.Module:
    return nn.Sequential(
        nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Dropout(0.3), nn.Linear(5, 3)
    )


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(6, 6) for _ in range(2)])
        self.out = nn.Linear(6, 3)

    def forward(self, x: rv.Tensor) -> rv.Tensor:
        for layer in self.layers:
            x = x + layer(x).relu()
        return self.out(x)


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


def test_epochs_over_rows_in_memory_run_natively(watch: Watch) -> None:
    taken: list[int] = []
    run_steps = _C.run_steps

    def counted(*args: Any) -> int | None:
        taken.append(run_steps(*args) or 0)
        return taken[-1]

    for settings in (
        {}, {"metrics": ["accuracy", "f1"]}, {"metrics": "mse", "loss": "mse"}, {"accumulate": 2},
        {"validation": 0.3, "sample_weight": np.arange(50) + 1.0}, {"shuffle": False},
    ):  # fmt: skip
        targets = {k: v for k, v in settings.items() if k == "loss"} == {"loss": "mse"}
        make = (lambda: nn.Sequential(nn.Linear(6, 1))) if targets else plain
        eager = watch.fit(make, False, **settings)
        watch.monkeypatch.setattr(_C, "run_steps", counted)
        taken.clear()
        assert watch.fit(make, True, **settings) == eager
        watch.monkeypatch.setattr(_C, "run_steps", run_steps)
        assert sum(taken) >= 3 * (50 * 7 // 10 // 16) - 1


def test_a_bar_on_a_terminal_leaves_epochs_native(
    watch: Watch, capsys: pytest.CaptureFixture[str]
) -> None:
    eager = watch.fit(plain, False)
    watch.monkeypatch.setattr("ranvier.training.progress.is_terminal", lambda: True)
    watch.monkeypatch.setattr("ranvier.training.progress._REDRAW", 0.0)
    watch.monkeypatch.setattr("importlib.util.find_spec", lambda *_: None)
    for seconds in (epochs.SECONDS, 0.0):
        watch.monkeypatch.setattr(epochs, "SECONDS", seconds)
        assert watch.fit(plain, True, verbose=1) == eager
        lines = capsys.readouterr().out
        assert watch.count == 2 and lines.count("\n") == 3
        # Within an epoch of seven steps: the first one, the others together or not, and the rest.
        assert lines.count("\r") == 3 + (3 * 7 if seconds == 0.0 else 3 + 1 + 3)


def test_who_listens_to_progress_sees_it_grow(watch: Watch) -> None:
    seen: list[tuple[int, int, float, float]] = []

    def note(run: Any, logs: dict[str, float]) -> None:
        seen.append((run.epoch, run.step, run.part, logs["loss"]))

    progress = rv.callbacks.LambdaCallback(on_progress=note)
    watch.monkeypatch.setattr(epochs, "SECONDS", 0.0)
    captured = watch.fit(plain, True, callbacks=[progress])
    assert watch.count == 2
    natively, seen = seen, []
    assert watch.fit(plain, False, callbacks=[progress]) == captured
    assert seen == natively and [step for _, step, *_ in seen] == list(range(1, 22))
    assert [part for *_, part, _ in seen[:7]] == [(i + 1) / 7 for i in range(7)]
    assert [seen[i][-1] for i in (6, 13, 20)] == captured[0]["loss"]

    watch.fit(plain, True, callbacks=rv.callbacks.LambdaCallback(
        on_progress=lambda run, logs: run.stop() if run.step > 9 else None, on_epoch_end=note
    ))  # fmt: skip
    assert seen[-1][1] == 10


def test_a_run_that_is_stopped_before_an_epoch_takes_one_step(watch: Watch) -> None:
    class Stops(rv.Callback):
        def on_epoch_begin(self, run: Any, logs: Any = None) -> None:
            if run.epoch == 2:
                run.stop()

    eager = watch.fit(plain, False, callbacks=[Stops()])
    assert watch.fit(plain, True, callbacks=[Stops()]) == eager


class Scales(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(6, 3)

    def forward(self, x: rv.Tensor) -> rv.Tensor:
        x.mul_(2.0)
        return self.inner(x)


def test_data_stay_as_they_are(watch: Watch) -> None:
    def loss(prediction: rv.Tensor, target: rv.Tensor) -> rv.Tensor:
        target.mul_(0.5)
        return ((prediction - target) ** 2).mean()

    rows, targets = rv.tensor(X), rv.tensor(X[:, :3])
    ends = []
    for captured in "01":
        watch.monkeypatch.setenv("RANVIER_CAPTURE", captured)
        for size in (None, 8):
            rv.manual_seed(0)
            net = Scales()
            how: dict[str, Any] = {"batch_size": size, "shuffle": False, "epochs": 4, "verbose": 0}
            history = rv.fit(net, rows, targets, loss=loss, validation=0.2, **how)
            ends.append((history.history, [p.tolist() for p in net.parameters()]))
            assert rows.numpy().tobytes() == X.tobytes()
            assert targets.tolist() == X[:, :3].tolist()
    assert ends[:2] == ends[2:]


def test_an_epoch_in_many_pieces_is_the_same(watch: Watch) -> None:
    eager = watch.fit(stateful, False, metrics="accuracy")
    watch.monkeypatch.setattr(epochs, "SECONDS", 0.0)
    assert watch.fit(stateful, True, metrics="accuracy") == eager
    watch.monkeypatch.setattr(epochs, "_BYTES", 1)
    assert watch.fit(stateful, True, metrics="accuracy") == eager


WIDE = RNG.integers(0, 255, (75, 700)).astype("uint8")  # enough for a worker to bring them ahead
CLASSES = RNG.integers(0, 3, 75)


@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize(
    ("rows", "settings"),
    [
        (WIDE, {}),
        (WIDE.astype("float64"), {"accumulate": 2}),
        (np.asfortranarray(WIDE.astype("float32")), {"sample_weight": np.arange(75) + 1.0}),
        (WIDE.astype("float32"), {"shuffle": False, "metrics": ["accuracy"]}),
        (WIDE.astype("float32"), {"batch_size": 75}),
    ],
)
def test_rows_brought_ahead_are_the_same(
    watch: Watch, monkeypatch: pytest.MonkeyPatch, threads: int, rows: Any, settings: dict[str, Any]
) -> None:
    monkeypatch.setitem(globals(), "X", rows)
    monkeypatch.setitem(globals(), "Y", CLASSES)

    def wide() -> nn.Module:
        return nn.Sequential(nn.Linear(700, 20), nn.ReLU(), nn.Linear(20, 3))

    before = rv.get_num_threads()
    rv.set_num_threads(threads)
    try:
        settings = {"batch_size": 16, "epochs": 4, **settings}
        history, bits, random_numbers = watch.fit(wide, True, **settings)
        assert watch.count <= 2  # a full batch, and the last one
        assert (history, bits, random_numbers) == watch.fit(wide, False, **settings)
    finally:
        rv.set_num_threads(before)


def test_rows_brought_ahead_for_a_step_that_does_not_come(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = WIDE.astype("float32") / 255
    rows[40] = 3e38  # finite, and too much for the layer
    monkeypatch.setitem(globals(), "X", rows)
    monkeypatch.setitem(globals(), "Y", CLASSES)
    messages = []
    for captured in (True, False):
        with pytest.raises(rv.NonFiniteError) as error:
            watch.fit(lambda: nn.Linear(700, 3), captured, batch_size=16, shuffle=False)
        messages.append((str(error.value), error.value.step))
    assert messages[0] == messages[1] and messages[0][1] == 3


def test_numbers_that_are_not_finite_in_the_middle_of_an_epoch(watch: Watch) -> None:
    def run(captured: bool) -> Any:
        rows = X.copy()
        rows[37] = 3e38  # whose sum overflows
        net = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
        net.load_state_dict({k: v * 0 + 1 for k, v in net.state_dict().items()})
        watch.monkeypatch.setenv("RANVIER_CAPTURE", str(int(captured)))
        with pytest.raises(rv.NonFiniteError) as info:
            rv.fit(net, rows, Y, loss="cross_entropy", shuffle=False, batch_size=2, verbose=0)
        return str(info.value), info.value.step, [p.tolist() for p in net.parameters()]

    eager = run(False)
    assert eager[1] == 19 and run(True) == eager


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs timers")
def test_an_interrupt_ends_a_native_epoch_soon() -> None:
    rows, labels = RNG.standard_normal((6000, 784)).astype("float32"), RNG.integers(0, 10, 6000)
    sent: list[float] = []
    delays: list[float] = []

    def ring(*_: Any) -> None:
        sent.append(time.perf_counter())
        signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGALRM, ring)
    try:
        for wait in (0.2, 0.31, 0.43):
            net = nn.Sequential(
                nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 10)
            )
            how: dict[str, Any] = {"loss": "cross_entropy", "batch_size": 128, "verbose": 0}
            rv.fit(net, rows, labels, epochs=1, **how)
            signal.setitimer(signal.ITIMER_REAL, wait)
            with pytest.raises(KeyboardInterrupt) as info:
                rv.fit(net, rows, labels, epochs=1000, **how)
            delays.append(time.perf_counter() - sent[-1])
            signal.setitimer(signal.ITIMER_REAL, 0)
            assert info.value.history.epochs < 1000 and net.training
            assert all(p.grad is None for p in net.parameters())
            assert all(np.isfinite(p.detach().numpy()).all() for p in net.parameters())
            assert rv.fit(net, rows, labels, epochs=1, **how).epochs == 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    # From the signal's arrival in Python; that of a machine that does nothing else.
    assert min(delays) < 0.1


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
