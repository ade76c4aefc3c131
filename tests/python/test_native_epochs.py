"""Epochs over rows in memory run without Python: the same bits, and soon back when asked for."""

from __future__ import annotations

import signal
import time
from typing import Any

import numpy as np
import pytest
from fit_setup import RNG, Watch, X, Y, plain, stateful

import ranvier as rv
from ranvier import _C, nn
from ranvier.training import epochs


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    return Watch(monkeypatch)


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
    watch: Watch, threads: int, rows: Any, settings: dict[str, Any]
) -> None:
    watch.X, watch.Y = rows, CLASSES

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


def test_rows_brought_ahead_for_a_step_that_does_not_come(watch: Watch) -> None:
    rows = WIDE.astype("float32") / 255
    rows[40] = 3e38  # finite, and too much for the layer
    watch.X, watch.Y = rows, CLASSES
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
    # A process in the background may have begun without it.
    interrupted = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        for wait in (0.2, 0.31, 0.43):
            net = nn.Sequential(
                nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 10)
            )
            how: dict[str, Any] = {"loss": "cross_entropy", "batch_size": 128, "verbose": 0}
            rv.fit(net, rows, labels, epochs=1, **how)
            # And once more later, as Python loses what is raised while it collects garbage.
            signal.setitimer(signal.ITIMER_REAL, wait, 1.0)
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
        signal.signal(signal.SIGINT, interrupted)
    # From the signal's arrival in Python; that of a machine that does nothing else.
    assert min(delays) < 0.1
