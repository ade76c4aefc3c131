"""Predictions follow a model that changes, that does more than compute, or that others use."""

from __future__ import annotations

import copy
import gc
import os
import random
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from predict_setup import RNG, Count, Residual, Rolls, X, bits, eager, net

import ranvier as rv
from ranvier import _C, nn
from ranvier.training import modes as modes_module

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch) -> Count:
    return Count(monkeypatch)


# --- what changes between calls ---------------------------------------------------------------


def add_layer(m: nn.Sequential) -> None:
    m.append(nn.ReLU())


def replace_layer(m: nn.Sequential) -> None:
    m[1] = nn.Sigmoid()


def replace_parameter(m: Any) -> None:
    m[0].weight = nn.Parameter(m[0].weight.detach() * 2)


def in_place(m: Any) -> None:
    with rv.no_grad():
        m[0].weight.mul_(1.5)


def by_data(m: Any) -> None:
    m[0].weight.data.mul_(0.5)


def data_replaced(m: Any) -> None:
    m[0].bias.data = rv.arange(5).to("float32")


def by_numpy(m: Any) -> None:
    m[0].weight.detach().numpy()[1] = 3


def loaded(m: Any) -> None:
    m.load_state_dict({k: v + 1 for k, v in m.state_dict().items()})


def assigned(m: Any) -> None:
    m.load_state_dict({k: v + 2 for k, v in m.state_dict().items()}, assign=True)


def hooked(m: Any) -> None:
    m[1].register_forward_hook(lambda module, args, out: out * 2)


def pre_hooked(m: Any) -> None:
    m[2].register_forward_pre_hook(lambda module, args: (args[0] + 1,))


def frozen(m: Any) -> None:
    m[0].weight.requires_grad = False


def doubled(m: Any) -> None:
    m.double()


def forward_set(m: Any) -> None:
    m[1].forward = lambda x: x * 3


def fitted(m: Any) -> None:
    rv.fit(m, X, X[:, :3], loss="mse", epochs=2, verbose=0)


def setting(m: Any) -> None:
    m[1] = nn.LeakyReLU(0.1)
    rv.predict(m, X)
    m[1].negative_slope = 0.7


def by_class(m: Any) -> None:
    m[1].__class__ = nn.Sigmoid


CHANGES = [
    by_class,
    add_layer, replace_layer, replace_parameter, in_place, by_data, data_replaced, by_numpy,
    loaded, assigned, hooked, pre_hooked, frozen, doubled, forward_set, fitted, setting,
]  # fmt: skip


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("change", CHANGES, ids=lambda f: f.__name__)
def test_a_model_that_changes(change: Callable[[Any], None], training: bool) -> None:
    model = net().train(training)
    for _ in range(3):
        for rows in (1, 50):
            assert bits(model, X[:rows]) == eager(model, X[:rows])
    was = eager(model, X)
    change(model)
    assert (eager(model, X) == was) == (change is frozen)
    for _ in range(3):
        for rows in (1, 50):
            assert bits(model, X[:rows]) == eager(model, X[:rows])


def test_between_steps_of_a_loop(count: Count) -> None:
    rv.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3))
    optimizer = rv.optim.Adam(model.parameters(), lr=0.1)

    def body(x: rv.Tensor) -> rv.Tensor:
        optimizer.zero_grad()
        loss = (model(x) ** 2).mean()
        loss.backward()
        optimizer.step()
        return loss.detach()

    for step in (body, rv.capture(body)):
        seen = set()
        for _ in range(4):
            step(rv.tensor(X))
            assert model.training and model[1].training
            seen.add(bits(model, X[:9]))
            assert bits(model, X[:9]) == eager(model, X[:9])
        assert len(seen) == 4
    assert len(step.programs) == 1  # type: ignore[attr-defined]


def test_a_replayed_step_and_a_prediction_leave_each_other_alone() -> None:
    model = net()
    optimizer = rv.optim.SGD(model.parameters(), lr=0.1)

    @rv.capture
    def step(x: rv.Tensor) -> rv.Tensor:
        optimizer.zero_grad()
        loss = (model(x) ** 2).mean()
        loss.backward()
        optimizer.step()
        return loss.detach()

    for _ in range(3):
        step(X)
        rv.predict(model, X)
    version = _C.structure_version()
    for _ in range(3):
        step(X)
        rv.predict(model, X)
    assert _C.structure_version() == version


def test_modes_that_differ_stay(count: Count) -> None:
    model = nn.Sequential(nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, 3))
    model[0].eval()
    for _ in range(3):
        assert bits(model, X) == eager(model, X)
        assert model.training and not model[0].training and model[1].training
    model.eval()
    assert count.during(lambda: rv.predict(model, X)) == 0
    model.train()
    assert count.during(lambda: rv.predict(model, X)) == 0 and model[0].training


class LoRA(nn.Module):
    """Does something of its own where its mode changes."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(6, 3)
        self.merged = False

    def train(self, mode: bool = True) -> LoRA:
        self.merged = not mode
        return super().train(mode)

    def forward(self, x: rv.Tensor) -> rv.Tensor:
        return self.inner(x) * (2.0 if self.merged else 1.0)


def test_a_model_with_modes_of_its_own() -> None:
    model = LoRA()
    for _ in range(3):
        model.merged = False
        assert bits(model, X) == (model.inner(rv.tensor(X)) * 2.0).detach().numpy().tobytes()
        assert model.training


# --- code that does more than compute -----------------------------------------------------------

FACTOR = 1.0


class Counter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner, self.calls = nn.Linear(6, 3), []

    def forward(self, x: rv.Tensor) -> rv.Tensor:
        self.calls.append(len(self.calls))
        return self.inner(x) + len(self.calls)


class Asks(nn.Module):
    def forward(self, x: rv.Tensor) -> rv.Tensor:
        return x * 2 if x.sum() > 0 else x * 3


class Reads(nn.Module):
    def forward(self, x: rv.Tensor) -> rv.Tensor:
        return x * FACTOR


def test_code_that_counts_draws_and_asks_runs_each_time() -> None:
    counter = Counter()
    outs = [bits(counter, X) for _ in range(5)]
    assert len(set(outs)) == 5 and len(counter.calls) == 5
    random.seed(0)
    outs = [bits(Rolls(), X) for _ in range(4)]
    random.seed(0)
    assert outs == [(X * np.float32(random.random())).tobytes() for _ in range(4)]
    asks = Asks()
    for sign in (1, -1, 1, -1, 1):
        x = np.full((2, 3), sign, "float32")
        assert bits(asks, x) == (x * (2 if sign > 0 else 3)).tobytes()


def test_a_global_that_changes(monkeypatch: pytest.MonkeyPatch, count: Count) -> None:
    model = Reads()
    for factor in (1.0, 1.0, 2.5, 2.5, 0.5):
        monkeypatch.setattr(sys.modules[__name__], "FACTOR", factor)
        assert bits(model, X) == (X * np.float32(factor)).tobytes()
    assert count.during(lambda: rv.predict(model, X)) == 0


def test_an_attribute_that_changes_in_silence() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.scale = nn.Linear(6, 3), 1.0

        def forward(self, x: rv.Tensor) -> rv.Tensor:
            return self.inner(x) * self.scale

    model = Scaled()
    for scale in (1.0, 2.0, 2.0, 3.0):
        vars(model)["scale"] = scale
        for _ in range(3):
            assert bits(model, X) == eager(model, X)
        object.__setattr__(model, "scale", scale + 0.5)
        for _ in range(3):
            assert bits(model, X) == eager(model, X)
        model.scale = scale + 0.25
        for _ in range(3):
            assert bits(model, X) == eager(model, X)


def test_a_class_that_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Residual()
    for scale in (1.0, 1.0, 0.25, 0.25):
        monkeypatch.setattr(Residual, "scale", scale)
        assert bits(model, X) == eager(model, X)
    monkeypatch.setattr(Residual, "forward", lambda self, x: self.out(x))
    for _ in range(3):
        assert bits(model, X) == eager(model, X) == eager(model.out, X)


def test_sparse_rows() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    model = net()
    for rows in (50, 7, 50, 7):
        assert bits(model, sparse.csr_matrix(X[:rows])) == eager(model, X[:rows])


def test_layers_that_are_built_by_their_first_call() -> None:
    from ranvier import keras

    model = keras.Sequential([keras.layers.Dense(5, "relu"), keras.layers.Dense(3)])
    for _ in range(4):
        rv.predict(model, X)
    for _ in range(4):
        assert bits(model, X) == eager(model, X)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_process_predicts() -> None:
    model = net()
    wanted = eager(model, X)
    for _ in range(3):
        assert bits(model, X) == wanted
        child = os.fork()
        if not child:
            os._exit(0 if bits(model, X) == wanted == bits(model, X, 20) else 1)
        assert os.waitpid(child, 0)[1] == 0


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs timers")
def test_an_interrupt_leaves_modes_as_they_were() -> None:
    armed: list[int] = []

    def ring(*_: Any) -> None:
        if armed:
            armed.clear()
            raise KeyboardInterrupt

    model = nn.Sequential(*(nn.Sequential(nn.Linear(6, 6), nn.Dropout(0.5)) for _ in range(20)))
    model[3].eval()
    modes = [module.training for module in model.modules()]
    before = signal.signal(signal.SIGALRM, ring)
    gc.disable()  # what is raised while it collects is lost
    try:
        for i in range(60):
            model[0][1].p = 0.1 + i / 1000  # a new recording
            try:
                armed.append(1)
                signal.setitimer(signal.ITIMER_REAL, 1e-5 + i * 3e-5)
                for _ in range(100):
                    rv.predict(model, X)
                    model[0][1].p = 0.7
                armed.clear()
            except KeyboardInterrupt:
                pass
            assert not modes_module._evaluated
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        gc.enable()
    assert [module.training for module in model.modules()] == modes
    assert bits(model, X) == eager(model, X)


def test_random_numbers_in_evaluation_go_on() -> None:
    class Noise(nn.Module):
        def forward(self, x: rv.Tensor) -> rv.Tensor:
            return x + rv.randn(6)

    ends = []
    for on in (False, True):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("RANVIER_CAPTURE", str(int(on)))
            rv.manual_seed(3)
            model = Noise()
            ends.append([bits(model, X) for _ in range(4)] + [rv.rand(2).tolist()])
    assert ends[0] == ends[1] and len(set(ends[0][:4])) == 4


# --- threads --------------------------------------------------------------------------------------


def together(number: int, call: Callable[[int], None]) -> None:
    errors: list[BaseException] = []
    barrier = threading.Barrier(number)

    def run(i: int) -> None:
        try:
            barrier.wait()
            call(i)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


@pytest.mark.parametrize("make", [net, Residual, Counter])
@pytest.mark.parametrize("rows", [1, 50])
def test_threads_predict_with_one_model_in_training_mode(
    make: Callable[[], nn.Module], rows: int
) -> None:
    for _ in range(3):
        inner = make()
        model = nn.Sequential(nn.Dropout(0.5), inner, nn.BatchNorm1d(3))
        wanted = eager(model, X[:rows]) if make is not Counter else b""
        calls = len(inner.calls) if isinstance(inner, Counter) else 0

        def call(i: int, model: nn.Module = model, wanted: bytes = wanted) -> None:
            for _ in range(200 // (1 + 3 * (not wanted))):
                out = bits(model, X[:rows])
                assert not wanted or out == wanted

        together(8, call)
        assert all(module.training for module in model.modules())
        assert not isinstance(inner, Counter) or len(inner.calls) == calls + 8 * 50


def test_threads_predict_while_layers_change() -> None:
    model = nn.Sequential(nn.Linear(6, 3), nn.Dropout(0.9))
    a, b = nn.Tanh(), nn.Sigmoid()
    ends = set()
    for last in (a, b):
        ends.add(eager(nn.Sequential(model[0], last), X))
    model.append(a)

    def call(i: int) -> None:
        for n in range(200):
            if i == 0:
                model[2] = (a, b)[n % 2]
            else:
                assert bits(model, X) in ends

    together(5, call)
    assert model.training and bits(model, X) == eager(model, X)


def test_threads_with_many_shapes_and_changes() -> None:
    rows = RNG.standard_normal((700, 64)).astype("float32")
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for _ in range(4):
            model = nn.Sequential(
                nn.Linear(64, 300), nn.ReLU(), nn.Dropout(0.5), nn.BatchNorm1d(300)
            )
            wanted = {n: bits(copy.deepcopy(model), rows[:n]) for n in (1, 256, 300, 700)}

            def call(i: int, model: Any = model, wanted: dict[int, bytes] = wanted) -> None:
                choose = random.Random(i)
                for _ in range(60):
                    n = choose.choice(list(wanted))
                    if choose.random() < 0.1:
                        model[0].bias.requires_grad = not model[0].bias.requires_grad
                        model[2].p = choose.random()
                    assert bits(model, rows[:n]) == wanted[n]

            together(8, call)
            assert all(module.training for module in model.modules())
            assert not modes_module._evaluated
    finally:
        sys.setswitchinterval(interval)


def test_two_threads_train_and_predict() -> None:
    model = nn.Sequential(nn.Linear(6, 16), nn.Dropout(0.5), nn.Linear(16, 3))
    rv.predict(model, X)
    rv.predict(model, X)

    def call(i: int) -> None:
        if i == 0:
            rv.fit(model, X, X[:, :3], loss="mse", epochs=60, verbose=0)
        else:
            for _ in range(300):
                assert np.isfinite(rv.predict(model, X).numpy()).all()

    together(3, call)
    assert model.training and bits(model, X) == eager(model, X)


@pytest.mark.parametrize("width", [16, 100, 333, 1024])
def test_large_outputs(width: int) -> None:
    rows = RNG.standard_normal((1000, 6)).astype("float32")
    for last in (nn.Identity(), nn.Tanh(), nn.Softmax(1), nn.ReLU(inplace=True)):
        model = nn.Sequential(nn.Linear(6, width), last)
        wanted = eager(model, rows)
        for size in (1000, 256, 100, 31, 256):
            for _ in range(2):
                assert bits(model, rows, size) == wanted
        kept = [rv.predict(model, rows[i : i + 200]) for i in range(0, 1000, 200)]
        assert b"".join(out.numpy().tobytes() for out in kept) == wanted
