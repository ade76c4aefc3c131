"""`predict` replays recorded forwards: the same bits as the model's own code."""

from __future__ import annotations

import copy
import functools
import gc
import pickle
import random
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from predict_setup import Centred, Count, Residual, Rolls, X, bits, eager, net

import ranvier as rv
from ranvier import _C, nn
from ranvier.training import predictions

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch) -> Count:
    return Count(monkeypatch)


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
