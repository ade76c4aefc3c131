"""`predict` replays recorded forwards: the same bits as the model's own code, whatever changes."""

from __future__ import annotations

import copy
import functools
import gc
import os
import pickle
import random
import signal
import sys
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier import _C, nn
from ranvier.nn import functional as F
from ranvier.training import evaluation, predictions
from ranvier.training import modes as modes_module

RNG = np.random.default_rng(0)
X = RNG.standard_normal((50, 6)).astype("float32")


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


class Count:
    """How often a model's code ran."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.runs = 0
        forward = evaluation.forward

        def counted(*args: Any) -> Any:
            self.runs += 1
            return forward(*args)

        monkeypatch.setattr(evaluation, "forward", counted)

    def during(self, call: Callable[[], Any]) -> int:
        before = self.runs
        call()
        return self.runs - before


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch) -> Count:
    return Count(monkeypatch)


def eager(model: nn.Module, x: Any) -> bytes:
    """What the model makes of rows, by its own code."""
    modes = [module.training for module in model.modules()]
    x = x if isinstance(x, rv.Tensor) else rv.tensor(np.asarray(x))
    model.eval()
    with rv.no_grad():
        out = model(x.to(evaluation.data("t", "X", x, model).dtype)).clone()
    for module, was in zip(model.modules(), modes, strict=True):
        module.training = was
    return out.numpy().tobytes()


def bits(model: nn.Module, x: Any, *args: Any) -> bytes:
    return rv.predict(model, x, *args).numpy().tobytes()


def net() -> nn.Sequential:
    rv.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))


class Residual(nn.Module):
    scale = 1.0

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(6, 6) for _ in range(2)])
        self.out = nn.Linear(6, 3)

    def forward(self, x: rv.Tensor) -> rv.Tensor:
        for layer in self.layers:
            x = x + layer(x).relu() * self.scale
        return self.out(x)


class Centred(nn.Module):
    def forward(self, x: rv.Tensor) -> rv.Tensor:
        return F.relu(x - x.mean(0))


KINDS: dict[str, Callable[[], nn.Module]] = {
    "dense": net,
    "own": Residual,
    "norms": lambda: nn.Sequential(
        nn.Linear(6, 8), nn.BatchNorm1d(8), nn.GELU(), nn.LayerNorm(8), nn.Dropout(0.5)
    ),
    "no parameters": lambda: nn.Sequential(nn.Softmax(1)),
    "identity": lambda: nn.Sequential(nn.Identity()),
    "view": lambda: nn.Sequential(nn.Unflatten(1, (2, 3)), nn.Flatten()),
    "prelu": lambda: nn.Sequential(nn.Linear(6, 4), nn.PReLU(), nn.Softmax(-1)),
    "double": lambda: net().double(),
    "half": lambda: net().half(),
    "rows together": Centred,
    "groups": lambda: nn.Sequential(nn.Linear(6, 8), nn.GroupNorm(2, 8), nn.Hardswish()),
    "in place": lambda: nn.Sequential(nn.Linear(6, 4), nn.ReLU(inplace=True)),
}


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_replay_is_eager_bit_for_bit(kind: str, training: bool) -> None:
    model = KINDS[kind]().train(training)
    for rows in (1, 7, 50, 7, 1, 50):
        wanted = eager(model, X[:rows])
        for x in (X[:rows], rv.tensor(X[:rows]), X[:rows].astype("float64").astype("float32")):
            before = x.tolist()
            out = rv.predict(model, x)
            assert out.numpy().tobytes() == wanted and x.tolist() == before
            assert not out.requires_grad and out.is_contiguous()
            out.zero_()  # which is nobody else's
    for size in (1, 3, 16, 50, 64):
        parts = b"".join(eager(model, X[i : i + size]) for i in range(0, 50, size))
        for _ in range(3):
            assert bits(model, X, size) == parts
    assert all(module.training is training for module in model.modules())


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("make", [net, Residual])
def test_the_code_runs_once_for_each_number_of_rows(
    make: Callable[[], nn.Module], training: bool, count: Count
) -> None:
    model = make().train(training)
    assert count.during(lambda: rv.predict(model, X[:1])) == 1
    assert count.during(lambda: [rv.predict(model, X[i : i + 1]) for i in range(9)]) == 0
    version = _C.structure_version()
    assert count.during(lambda: rv.predict(model, X, 20)) == 2  # 20 rows, and 10
    assert count.during(lambda: [rv.predict(model, X, 20) for _ in range(5)]) == 0
    assert training or version == _C.structure_version()
    version = _C.structure_version()
    rv.predict(model, X, 20)
    rv.predict(model, X[:1])
    assert version == _C.structure_version()  # no mode is touched any more


class Adds(nn.Module):
    def forward(self, x: rv.Tensor) -> rv.Tensor:
        x += 1
        return x * 2


@pytest.mark.parametrize("captured", ["0", "1"])
@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Sequential(nn.ELU(1.0, True), nn.Linear(6, 3)),
        Adds,
        lambda: nn.Sequential(Rolls(), Adds()),
    ],
)
def test_data_stay_as_they_are(
    make: Callable[[], nn.Module], captured: str, monkeypatch: pytest.MonkeyPatch, count: Count
) -> None:
    monkeypatch.setenv("RANVIER_CAPTURE", captured)
    model, rows = make(), X.copy()
    loader = rv.utils.data.DataLoader(rv.utils.data.TensorDataset(rv.tensor(rows)), batch_size=50)
    random.seed(0)
    wanted = bits(model, rows)
    for _ in range(4):
        for x in (rows, rv.tensor(rows), rows[::1], np.asfortranarray(rows)):
            random.seed(0)
            before = x.tolist()
            assert bits(model, x) == wanted and x.tolist() == before
            random.seed(0)
            assert bits(model, x, 25)[:10] == wanted[:10] and x.tolist() == before
        random.seed(0)
        assert bits(model, loader) == wanted
    drawn = isinstance(model, nn.Sequential) and isinstance(model[0], Rolls)
    again = count.during(lambda: rv.predict(model, rows))
    assert again == (1 if drawn or captured == "0" else 0)


@pytest.mark.parametrize(
    "dtype", ["float64", "int64", "int32", "int16", "uint8", "bool", "float16", ">f4"]
)
def test_numbers_of_any_type(dtype: str) -> None:
    model, x = net(), (X * 3).astype(dtype)
    wanted = eager(model, x.astype("float32"))
    for given in (x, np.asfortranarray(x), x[::-1][::-1], x.tolist(), np.ma.masked_array(x)):
        for _ in range(3):
            assert bits(model, given) == wanted
    assert bits(model, x[::2]) == eager(model, x[::2].astype("float32"))
    assert bits(model, x[:, ::-1]) == eager(model, x[:, ::-1].astype("float32"))


def test_what_does_not_fit_raises_as_ever() -> None:
    model = net()
    for _ in range(3):
        rv.predict(model, X[:2])
        for bad, kind, words in (
            (X[:2, :5], rv.ShapeError, "Linear"),
            (X[:0], ValueError, "at least one row"),
            (np.float32(1), ValueError, "at least one row"),
            ([["a"]], TypeError, "expected numbers"),
            (X[:2].astype(object), TypeError, "expected numbers"),
            (X[:2].astype(complex), TypeError, "expected numbers"),
            ([[1.0], [1.0, 2.0]], ValueError, "rows of equal length"),
        ):
            with pytest.raises(kind, match=words):
                rv.predict(model, bad)
        with pytest.raises(TypeError, match=r"nn\.Module"):
            rv.predict(X, model)  # type: ignore[arg-type]
        for size in (0, 2.5, 256.0, True, None):
            with pytest.raises((TypeError, ValueError), match="batch_size"):
                rv.predict(model, X[:2], size)  # type: ignore[arg-type]
    for bad in (np.nan, np.inf):
        rows = X[:3].copy()
        rows[1, 2] = bad
        out = rv.predict(model, rows).numpy()
        assert out[[0, 2]].tobytes() == rv.predict(model, X[:3]).numpy()[[0, 2]].tobytes()


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


class Rolls(nn.Module):
    def forward(self, x: rv.Tensor) -> rv.Tensor:
        return x * random.random()


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


# --- many models, many shapes -------------------------------------------------------------------


def test_shapes_that_change_each_call(count: Count) -> None:
    model = net()
    for rows in [*range(1, 41), *range(1, 41)]:
        assert bits(model, X[:rows]) == eager(model, X[:rows])
    kept = predictions.of(model)
    assert kept is not None and len(kept.recorded) <= 16
    assert count.during(lambda: rv.predict(model, X[:3])) == 0


def test_a_model_that_changes_each_call() -> None:
    model = net()
    for i in range(60):
        model[0].bias.requires_grad = i % 2 == 0
        assert bits(model, X) == eager(model, X)
    kept = predictions.of(model)
    assert kept is not None and len(kept.recorded) == 1 and kept.tries < 40


def test_programs_keep_no_more_than_some_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictions, "_BYTES", 2000)
    model = net()
    for rows in (1, 2, 50, 3, 40, 1):
        assert bits(model, X[:rows]) == eager(model, X[:rows])
    kept = predictions.of(model)
    assert (
        kept is not None and 0 < sum(r.program.arena_bytes for r in kept.recorded.values()) < 2001
    )


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))]
)
def test_copies_have_programs_of_their_own(copied: Callable[[Any], Any]) -> None:
    model = net()
    for _ in range(3):
        rv.predict(model, X)
    other = copied(model)
    other[0] = nn.Linear(6, 5)
    for _ in range(3):
        assert bits(other, X) == eager(other, X) != bits(model, X)
    model[2] = nn.Linear(5, 2)
    for m in (model, other, model, other):
        assert bits(m, X) == eager(m, X)


def test_models_that_are_gone_leave_nothing_behind() -> None:
    gc.collect()
    gc.disable()
    try:
        gone = []
        for i in range(30):
            model = net()
            with rv.no_grad():
                model[2].bias.fill_(float(i))
            for _ in range(3):
                assert bits(model, X[:2]) == eager(model, X[:2])
            gone += [weakref.ref(model), weakref.ref(predictions.of(model))]
            del model
        assert all(ref() is None for ref in gone)
    finally:
        gc.enable()


def test_models_within_models() -> None:
    inner = net()
    outer = nn.Sequential(inner, nn.Linear(3, 2))
    for _ in range(3):
        assert bits(inner, X) == eager(inner, X)
        assert bits(outer, X) == eager(outer, X)
    inner[1] = nn.ReLU()
    for _ in range(3):
        assert bits(outer, X) == eager(outer, X)
        assert bits(inner, X) == eager(inner, X)


# --- where it is called ---------------------------------------------------------------------------


@pytest.mark.parametrize("training", [False, True])
def test_inside_capture(training: bool) -> None:
    model = net().train(training)
    other = nn.Linear(6, 3)

    @rv.capture
    def both(x: rv.Tensor) -> rv.Tensor:
        return rv.predict(model, x) + rv.predict(other, x, 20).detach() * 2

    for i in range(4):
        x = X + np.float32(i)
        wanted = rv.predict(model, x) + rv.predict(other, x) * 2
        assert both(x).tolist() == wanted.tolist() and model.training is training
    assert len(both.programs) == 1  # type: ignore[attr-defined]


def test_under_other_settings() -> None:
    model = net()
    x = rv.tensor(X, requires_grad=True)
    wanted = eager(model, X)
    for mode in (rv.no_grad, rv.enable_grad, rv.inference_mode):
        for given in (X, rv.tensor(X), x, x * 1):
            with mode():
                assert bits(model, given) == wanted
                assert not rv.predict(model, given).requires_grad
    for dtype in (rv.float64, rv.float32):
        rv.set_default_dtype(dtype)
        try:
            for _ in range(3):
                assert bits(model, X) == wanted
        finally:
            rv.set_default_dtype(rv.float32)
    threads = rv.get_num_threads()
    for number in (1, 2, threads):
        rv.set_num_threads(number)
        assert bits(model, X) == wanted
    rv.set_num_threads(threads)


def test_turned_off(monkeypatch: pytest.MonkeyPatch, count: Count) -> None:
    monkeypatch.setenv("RANVIER_CAPTURE", "0")
    model = net()
    assert count.during(lambda: [rv.predict(model, X) for _ in range(3)]) == 3
    assert vars(model)["_ranvier_predictions"] is None


def test_evaluate_loaders_and_validation(count: Count) -> None:
    model = net()
    y = X[:, :3]
    first = rv.evaluate(model, X, y, loss="mse", metrics="mae")
    assert count.during(lambda: rv.evaluate(model, X, y, loss="mse", metrics="mae")) == 0
    assert rv.evaluate(model, X, y, loss="mse", metrics="mae") == first
    rows = rv.utils.data.TensorDataset(rv.tensor(X), rv.tensor(y))
    loader = rv.utils.data.DataLoader(rows, batch_size=20)
    for _ in range(3):
        assert rv.predict(model, loader).tolist() == rv.predict(model, X).tolist()
        assert rv.evaluate(model, loader, loss="mse", metrics="mae") == first
    assert count.during(lambda: rv.predict(model, loader)) == 0
    assert count.during(lambda: rv.evaluate(model, loader, loss="mse")) == 0
    how = {"loss": "mse", "epochs": 3, "validation": 0.3, "verbose": 0, "seed": 1}
    history = rv.fit(model, X, y, **how)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RANVIER_CAPTURE", "0")
        other = net()
        assert rv.fit(other, X, y, **how).history == history.history
    assert bits(model, X) == bits(other, X)


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


# --- memory ---------------------------------------------------------------------------------------


def test_nothing_grows() -> None:
    models: list[tuple[nn.Module, Any]] = [(net(), X[:1]), (Residual(), rv.tensor(X))]
    counter = nn.Sequential(nn.Linear(6, 3), nn.BatchNorm1d(3))
    models.append((counter, X[:7].astype("float64")))
    calls = [functools.partial(rv.predict, model, x) for model, x in models]
    calls.append(functools.partial(rv.predict, models[0][0], X, 16))

    def run(times: int) -> None:
        for _ in range(times):
            for call in calls:
                call()

    run(50)
    gc.collect()
    asked, objects = _C.system_requests(), len(gc.get_objects())
    run(2000)
    gc.collect()
    assert _C.system_requests() == asked
    assert abs(len(gc.get_objects()) - objects) < 50


def test_one_row_of_an_array_with_gaps_stays_as_it_is() -> None:
    class Doubling(nn.Module):
        def forward(self, x: rv.Tensor) -> rv.Tensor:
            x.mul_(2.0)
            return x + 1

    x = np.repeat(np.ones((4, 6), "float32"), 2, 0)[::2]
    model = Doubling()
    for size in (1, 3):
        for _ in range(3):
            assert (rv.predict(model, x, batch_size=size).numpy() == 3).all() and (x == 1).all()
