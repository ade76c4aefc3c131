"""Models of classes of one's own in files: what they compute is there without the class."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier import nn
from ranvier.io import kinds, tensors

F = nn.functional
RNG = np.random.default_rng(0)


class Mixed(nn.Module):
    """Sizes that grow with the rows, work in place, constants, a buffer, modes."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 8), nn.Linear(8, 3)
        self.norm, self.batch = nn.LayerNorm(8), nn.BatchNorm1d(8)
        self.register_buffer("shift", rv.ones(3))

    def forward(self, x: rv.Tensor) -> rv.Tensor:
        h = self.batch(self.norm(self.first(x)).relu())
        h = F.dropout(h, 0.3, self.training)
        h = h.reshape(x.shape[0], 2, 4).transpose(1, 2).flatten(1).tanh_()
        h = h.view(2 * x.shape[0], 4)[:, :].reshape(-1, 8)
        return self.second(h) * 2.5 + self.shift - rv.tensor([1.0, 2.0, 3.0])


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(6, 6), nn.GELU())

    def forward(self, x: rv.Tensor) -> rv.Tensor:
        return x + self.inner(x)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.there, self.back = nn.Linear(6, 4, bias=False), nn.Linear(4, 6, bias=False)
        self.scale = nn.Parameter(rv.ones(6))
        self.again = self.scale

    def forward(self, x: rv.Tensor) -> rv.Tensor:
        return self.back(self.there(x).sigmoid()) * self.scale * self.again


class Several(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 4)

    def forward(self, x: rv.Tensor) -> dict[str, Any]:
        h = self.layer(x)
        return {"mean": h.mean(1), "both": (h, [h.argmax(1)]), "same": x}


class Within(nn.Module):
    """A class of one's own in another, in Ranvier's containers."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Residual(), Residual()])

    def forward(self, x: rv.Tensor) -> rv.Tensor:
        for block in self.blocks:
            x = block(x)
        return x.softmax(-1)


MODELS = {
    "mixed": Mixed, "residual": Residual, "tied": Tied, "several": Several, "within": Within,
    "in a Sequential": lambda: nn.Sequential(Residual(), nn.Linear(6, 2), nn.LogSoftmax(1)),
    "float64": lambda: Mixed().double(),
}  # fmt: skip


def flat(value: Any) -> list[bytes]:
    """The bytes of every tensor in a result, with what they are."""
    if isinstance(value, rv.Tensor):
        array = value.detach().numpy()
        return [str((array.shape, array.dtype)).encode(), array.tobytes()]
    parts = value.items() if isinstance(value, dict) else enumerate(value)
    return [piece for name, part in parts for piece in (str(name).encode(), *flat(part))]


def rows(count: int, dtype: Any = rv.float32) -> rv.Tensor:
    return rv.tensor(RNG.normal(size=(count, 6)), dtype=dtype)


@pytest.mark.parametrize("name", MODELS)
def test_the_file_computes_what_the_class_did(name: str, tmp_path: Path) -> None:
    model = MODELS[name]()
    dtype = next(iter(model.parameters())).dtype
    with rv.no_grad():
        model(rows(32, dtype))  # running statistics
    before, mode = rv.get_rng_state().tolist(), model.training
    rv.save(model, tmp_path / "own", input=((6,), dtype.name))
    assert model.training is mode and rv.get_rng_state().tolist() == before
    stored = rv.load(tmp_path / "own")
    assert list(stored.state_dict()) == list(model.state_dict())
    model.eval()
    with rv.no_grad():
        for count in (1, 2, 3, 7, 64):
            x = rows(count, dtype)
            kept = x.clone()
            assert flat(stored(x)) == flat(model(x))
            assert rv.equal(x, kept)
    x = rows(5, dtype)
    found, wanted = x.clone().requires_grad_(), x.clone().requires_grad_()
    for given, net in ((found, stored), (wanted, model)):
        result = net(given)
        (result["mean"] if isinstance(result, dict) else result).sum().backward()
    assert rv.equal(found.grad, wanted.grad)


def test_another_program_needs_no_class(tmp_path: Path) -> None:
    model, X = Mixed(), RNG.normal(size=(40, 6)).astype("float32")
    y = RNG.integers(0, 3, 40)
    rv.fit(model, X, y, loss="cross_entropy", epochs=2, verbose=0)
    rv.save(model, tmp_path / "own", labels=["a", "b", "c"])  # fit saw the rows
    np.save(tmp_path / "X.npy", X)
    script = (
        "import sys, numpy as np, ranvier as rv; at = sys.argv[1]; net = rv.load(at + '/own');"
        "np.save(at + '/found', rv.predict(net, np.load(at + '/X.npy')).numpy());"
        "print(*rv.io.about(net).labels)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "a b c\n" and not done.stderr
    found = np.load(tmp_path / "found.npy")
    assert found.tobytes() == rv.predict(model, X).numpy().tobytes()


def test_images_and_labels_as_input(tmp_path: Path) -> None:
    class Pixels(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.layer = nn.Parameter(rv.rand(256, 2)), nn.Linear(32, 3)

        def forward(self, x: rv.Tensor) -> rv.Tensor:
            return self.layer(self.table[x.to(rv.int64).reshape(-1)].reshape(len(x), -1))

    model = Pixels()
    rv.save(model, tmp_path / "own", input=((1, 4, 4), "uint8"))
    x = rv.tensor(RNG.integers(0, 256, (9, 1, 4, 4)), dtype=rv.uint8)
    assert rv.equal(rv.load(tmp_path / "own")(x), model.eval()(x))


def test_it_is_for_predicting_and_can_be_saved_again(tmp_path: Path) -> None:
    model = Mixed().eval()
    rv.save(model, tmp_path / "own", input=(6,))
    stored = rv.load(tmp_path / "own")
    rv.save(stored, tmp_path / "again")
    assert (tmp_path / "own").read_bytes() == (tmp_path / "again").read_bytes()
    twin = copy.deepcopy(stored)
    assert rv.equal(twin(rows(1)) * 0, stored(rows(1)) * 0)
    with pytest.raises(RuntimeError, match=r"Mixed\] expected evaluation mode.*model=instance"):
        stored.train()(rows(2))
    with pytest.raises(rv.ShapeError, match=r"Mixed\].*\(N, 6\), got \(2, 5\)"):
        stored.eval()(rv.ones(2, 5))
    into = rv.load(tmp_path / "own", model=Mixed())
    x = rows(4)
    assert flat(into.eval()(x)) == flat(model(x))
    part = rv.load(tmp_path / "own", model=stored)
    assert flat(part(x)) == flat(model(x))


def test_changed_weights_count(tmp_path: Path) -> None:
    rv.save(Residual(), tmp_path / "own", input=(6,))
    stored = rv.load(tmp_path / "own")
    x = rows(3)
    before = rv.predict(stored, x).numpy().tobytes()
    with rv.no_grad():
        stored.inner[0].weight.mul_(2.0)
    assert rv.predict(stored, x).numpy().tobytes() != before
    rv.save(nn.Sequential(Residual()), tmp_path / "own", input=(6,))
    stored = rv.load(tmp_path / "own")
    with pytest.raises(RuntimeError, match=r"Residual\] expected a call of the whole model"):
        stored.get_submodule("0")(x)


# --- what no file can hold ------------------------------------------------------------------------


class Base(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 6)


class ByRows(Base):
    def forward(self, x: rv.Tensor) -> rv.Tensor:
        return self.layer(x) / x.shape[0]  # a float that depends on the rows


class Branches(Base):
    def forward(self, x: rv.Tensor) -> rv.Tensor:
        x = self.layer(x)
        if x.shape[0] > 2:
            x = x.relu()
        return x


class OnlyOne(Base):
    def forward(self, x: rv.Tensor) -> rv.Tensor:
        return self.layer(x) if x.shape[0] > 1 else self.layer(x).relu() + 1


class Reads(Base):
    def forward(self, x: rv.Tensor) -> rv.Tensor:
        return self.layer(x) if x.sum() > 0 else x


class Draws(Base):
    def forward(self, x: rv.Tensor) -> rv.Tensor:
        return self.layer(x) + rv.rand(x.shape)


class Counts(Base):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", rv.zeros(1))

    def forward(self, x: rv.Tensor) -> rv.Tensor:
        self.calls += 1
        return self.layer(x)


class Made(Base):
    def forward(self, x: rv.Tensor) -> rv.Tensor:
        return self.layer(x) * rv.tensor(1.0 / len(x))


class Returns(Base):
    def forward(self, x: rv.Tensor) -> Any:
        return {1, 2}


class Narrow(Base):
    def forward(self, x: rv.Tensor) -> rv.Tensor:
        return self.layer(x[:, :5])


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (ByRows, r"depends on the number of rows.*test_stored_forwards\.py:\d+"),
        (Branches, r"depends on the number of rows.*test_stored_forwards\.py:\d+"),
        (OnlyOne, "1 rows"),
        (Reads, r"reads a value.*test_stored_forwards\.py:\d+"),
        (Draws, r"draws random numbers.*test_stored_forwards\.py:\d+"),
        (Counts, r"changes what it has.*test_stored_forwards\.py:\d+"),
        (Made, r"depends on the number of rows.*test_stored_forwards\.py:\d+"),
        (Returns, "set"),
        (Narrow, r"does not take rows \(6,\)"),
        (Base, "no forward"),
    ],
)  # fmt: skip
def test_what_stands_in_the_way_is_told_and_the_weights_are_saved(
    kind: type[Base], words: str, tmp_path: Path
) -> None:
    model = kind()
    with pytest.warns(rv.RanvierWarning, match=f"weights of {kind.__name__}, and not.*{words}"):
        rv.save(model, tmp_path / "own", input=(6,))
    with pytest.raises(ValueError, match=f"alone, got .*{kind.__name__}"):
        rv.load(tmp_path / "own")
    other = rv.load(tmp_path / "own", model=kind())
    assert rv.equal(other.layer.weight, model.layer.weight)


def test_without_a_row_it_asks_for_one(tmp_path: Path) -> None:
    with pytest.warns(rv.RanvierWarning, match=r"what a row looks like.*input="):
        rv.save(Residual(), tmp_path / "own")


# --- files of strangers ---------------------------------------------------------------------------


def changed(path: Path, change: Any) -> Path:
    """The file with another description."""
    named, metadata = tensors.read(path)
    description = json.loads(metadata["description"])
    change(description)
    other = path.with_name("changed")
    tensors.write(other, named, kinds.metadata(kinds.MODEL, description))
    return other


def step(description: dict[str, Any], **parts: Any) -> None:
    description["forward"]["steps"][0] |= parts


CHANGES = {
    "no list": lambda d: d.update(forward=[]),
    "no steps": lambda d: d["forward"].update(steps=3),
    "an unknown op": lambda d: step(d, op="system"),
    "a private name": lambda d: step(d, op="__loader__"),
    "what is not known yet": lambda d: step(d, **{"in": [99]}),
    "a number twice": lambda d: step(d, out=[0]),
    "no numbers": lambda d: step(d, out=["1"]),
    "a flag as a number": lambda d: step(d, out=[True]),
    "an attribute of a strange kind": lambda d: step(d, attributes={"dim": {"rows": "x"}}),
    "an unknown dtype": lambda d: step(d, attributes={"dim": {"dtype": "int4"}}),
    "an object in an object": lambda d: step(d, attributes={"dim": {"rows": [{}, {}]}}),
    "a step of another form": lambda d: d["forward"]["steps"].append({}),
    "a tensor that is not there": lambda d: d["forward"]["tensors"].update({"1": "nobody"}),
    "a key that is no number": lambda d: d["forward"]["tensors"].update({"x": "layer.weight"}),
    "an unknown result": lambda d: d["forward"].update(result=77),
    "a strange result": lambda d: d["forward"].update(result={"set": []}),
    "a deep result": lambda d: d["forward"].update(result=deep(60)),
    "no input": lambda d: d.update(input=None),
}


def deep(n: int) -> Any:
    return {"list": [deep(n - 1)]} if n else 0


@pytest.mark.parametrize("name", CHANGES)
def test_a_list_that_is_none_is_refused(name: str, tmp_path: Path) -> None:
    rv.save(Residual(), tmp_path / "own", input=(6,))
    other = changed(tmp_path / "own", CHANGES[name])
    with pytest.raises(ValueError, match=r"\[load\] .*changed: .*expected"):
        rv.load(other)


def test_wrong_attributes_raise_when_it_runs(tmp_path: Path) -> None:
    rv.save(Residual(), tmp_path / "own", input=(6,))
    for attributes in ({}, {"activation": 3}, {"wrong": 1}, {"activation": None, "more": [1]}):
        other = changed(tmp_path / "own", lambda d, a=attributes: step(d, attributes=a))
        model = rv.load(other)
        if attributes:
            with pytest.raises((TypeError, ValueError, RuntimeError)):
                model(rows(2))
        else:
            model(rows(2))  # defaults


# --- Keras' door ----------------------------------------------------------------------------------


def test_models_of_keras_predict_without_their_code(tmp_path: Path) -> None:
    from ranvier import keras

    inputs = keras.Input((6,))
    hidden = keras.layers.Dense(8, activation="gelu")(inputs)
    outputs = keras.layers.Concatenate()([hidden, keras.layers.BatchNormalization()(inputs)])
    graph = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(outputs))
    chain = keras.Sequential([keras.Input((6,)), keras.layers.Dense(4), keras.layers.Dropout(0.5)])
    X = RNG.normal(size=(20, 6)).astype("float32")
    for model in (graph, chain):
        rv.save(model, tmp_path / "keras")  # a graph knows its rows
        stored = rv.load(tmp_path / "keras")
        assert rv.predict(stored, X).numpy().tobytes() == model.predict(X, verbose=0).tobytes()
