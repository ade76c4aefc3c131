"""Descriptions of Keras models from strangers: a ValueError that says what is wrong, no more."""

from __future__ import annotations

import copy
import json
import resource
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ranvier as rv
from ranvier import keras
from ranvier.io import kinds, models, tensors

L = keras.layers
X = np.linspace(-1, 1, 24, dtype=np.float32).reshape(6, 4)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keras") / "model.keras"


def model() -> Any:
    inputs = keras.Input((4,), name="in")
    shared = L.Dense(3, "relu", name="shared")
    inner = keras.Sequential([keras.Input((3,)), L.BatchNormalization(), L.Lambda(lambda x: x * 2)])
    mixed = inner(shared(L.Normalization(mean=0.5, variance=[2.0] * 4)(inputs)))
    mixed = L.Concatenate()([mixed * 2.0, shared(inputs), keras.ops.mean(mixed, 1, True)[:, :1]])
    made = keras.Model(inputs, {"a": L.Dense(2)(mixed), "b": mixed})
    made.compile(keras.optimizers.Adam(0.1), {"a": keras.losses.Huber(), "b": "mae"},
                 metrics={"a": [keras.metrics.AUC(num_thresholds=5)]})  # fmt: skip
    made.optimizer.build(made.trainable_weights)
    return made


@pytest.fixture(scope="module")
def parts(path: Path) -> tuple[dict[str, Any], dict[str, str], dict[str, Any]]:
    """Tensors, metadata and description of a file that is right."""
    model().save(path)
    named, metadata = tensors.read(path)
    return named, metadata, json.loads(metadata["description"])


def load(path: Path, named: Any, description: Any, **given: Any) -> Any:
    tensors.write(path, named, kinds.metadata(kinds.MODEL, description))
    return keras.models.load_model(path, **given)


def refused(path: Path, named: Any, description: Any) -> str:
    """The words with which a description is refused: not many, and with the file's name."""
    with pytest.raises(ValueError) as caught:
        load(path, named, description)
    words = str(caught.value)
    assert type(caught.value) is ValueError and words.isprintable()
    assert words.startswith(f"[load] {path}: ") and len(words) < len(str(path)) + 1500
    return words


def dense(**config: Any) -> dict[str, Any]:
    return {"class": "Dense", "config": {"name": "d", "units": 1, **config}, "build": [[None, 2]],
            "weights": ["kernel", "bias"]}  # fmt: skip


WEIGHTS = {"kernel": rv.ones(2, 1), "bias": rv.zeros(1)}


def of(tree: Any, compile: Any = None) -> dict[str, Any]:
    return {"keras": {"model": tree, "compile": compile}, "tied": {}}


def test_these_are_right_otherwise(path: Path, parts: Any) -> None:
    assert load(path, WEIGHTS, of(dense()))(X[:, :2]).shape == (6, 1)
    found = load(path, parts[0], parts[2]).predict(X, verbose=0)
    assert {name: value.shape for name, value in found.items()} == {"a": (6, 2), "b": (6, 7)}


TREES: dict[str, Any] = {
    "nothing": None,
    "a list": [],
    "no class": {},
    "an unknown key": {**dense(), "code": "print()"},
    "an unknown class": {"class": "os.system"},
    "a model": {"class": "Model", "config": {}},
    "a class of another part": {"class": "Adam", "config": {}},
    "a function": {"class": "add", "config": {}},
    "own without a name": {"class": "Mine", "own": True},
    "an argument too many": dense(code=1),
    "units of words": dense(units="many"),
    "units of less than 1": dense(units=0),
    "units of two": dense(units=[1, 2]),
    "an activation of a class": dense(activation={"is": "object", "module": "keras.layers",
                                                  "class": "Sequential", "config": {}}),
    "an activation of a module": dense(activation={"is": "function", "module": "os",
                                                   "name": "system"}),
    "an activation from elsewhere": dense(activation={"is": "function", "module": "keras.models",
                                                      "name": "load_model"}),
    "an activation by class": dense(activation={"class_name": "Sequential", "config": {}}),
    "an initializer of code": dense(kernel_initializer={"class_name": "__import__"}),
    "a config of nothing": {"class": "Dense", "config": {}},
    "a dtype of words": dense(dtype="os"),
    "a dtype of numbers": dense(dtype="int32"),
    "unknown words": dense(units={"is": "code"}),
    "a shape of words": {**dense(), "build": ["a"]},
    "a shape of nothing": {**dense(), "build": 3},
    "a shape too long": {**dense(), "build": [[None] * 9]},
    "negative sizes": {**dense(), "build": [[None, -1]]},
    "unknown sizes": {**dense(), "build": [[None, None]]},
    "no weights": {**dense(), "weights": [], "build": None},
    "fixed of nothing": {**dense(), "fixed": ["a"]},
    "drawn of nothing": {**dense(), "drawn": 5},
    "a layer within": {**dense(), "layers": [{"name": "a", **dense()}]},
    "layers of words": {"class": "Sequential", "layers": ["Dense"], "chain": []},
    "a name twice": {"class": "Sequential", "chain": [],
                     "layers": [{"name": "a", **dense()}, {"name": "a", **dense()}]},
    "a chain of words": {"class": "Sequential", "chain": ["a"], "layers": []},
    "a chain out of range": {"class": "Sequential", "chain": [1], "layers": []},
    "the same of nothing": {"class": "Sequential", "chain": [0],
                            "layers": [{"name": "a", "same": "b"}]},
    "the same of itself": {"class": "Sequential", "chain": [0],
                           "layers": [{"name": "a", "same": ""}]},
    "calls of words": {"class": "Model", "calls": ["a"], "layers": []},
    "no outputs": {"class": "Model", "calls": [], "layers": []},
    "a Dense that is joined": {**dense(), "calls": []},
}  # fmt: skip


@pytest.mark.parametrize("name", TREES)
def test_trees(name: str, path: Path) -> None:
    assert "expected" in refused(path, WEIGHTS, of(TREES[name]))


def joined(calls: list[Any], **more: Any) -> dict[str, Any]:
    """A model of an input and a layer, with these calls."""
    entry = {"name": "i", "class": "InputLayer", "config": {"batch_shape": [None, 2], "name": "i"}}
    layers = [entry, {"name": "d", **dense()}]
    return of({"class": "Model", "config": {"name": "m"}, "layers": layers, "calls": calls,
               "inputs": {"is": "tensor", "of": [0, 0]},
               "outputs": {"is": "tensor", "of": [len(calls) - 1, 0]}, **more})  # fmt: skip


NAMED = {f"d.{name}": tensor for name, tensor in WEIGHTS.items()}
OUT = {"is": "out", "shape": [None, 2], "dtype": "float32"}


def ref(call: Any, place: Any = 0) -> dict[str, Any]:
    return {"is": "tensor", "of": [call, place]}


def test_graphs(path: Path) -> None:
    begin, last = {"layer": 0, "out": OUT}, {"layer": 1, "args": [ref(0)], "out": OUT}
    assert load(path, NAMED, joined([begin, last]))(X[:, :2]).shape == (6, 1)
    for calls in (
        [begin, {**last, "args": [ref(1)]}],  # a circle
        [begin, {**last, "args": [ref(2)]}, last],  # and a larger one
        [begin, {**last, "args": [ref(-1)]}],
        [begin, {**last, "args": [ref(0, 1)]}],
        [begin, {**last, "args": [ref("0")]}],
        [begin, {**last, "layer": 2}],
        [begin, {**last, "layer": -1}],
        [begin, {**last, "layer": 1.0}],
        [begin, {**last, "out": None}],
        [begin, {**last, "out": {"is": "out", "shape": [None, 2**40], "dtype": "float32"}}],
        [begin, {**last, "out": {"is": "out", "shape": [2], "dtype": "code"}}],
        [begin, {"op": {"method": "__class__"}, "called": "a", "args": [ref(0)], "out": OUT}],
        [begin, {"op": {"method": "numpy"}, "called": "a", "args": [ref(0)], "out": OUT}],
        [begin, {"op": {"module": "os", "function": "system"}, "called": "a", "out": OUT}],
        [begin, {"op": {"module": "keras.ops", "function": "__import__"}, "called": "a",
                 "out": OUT}],
        [begin, {"op": {"item": {"is": "code"}}, "called": "a", "args": [ref(0)], "out": OUT}],
    ):  # fmt: skip
        assert "call 1: " in refused(path, NAMED, joined(calls)), calls
    for more in ({"inputs": None}, {"outputs": []}, {"inputs": ref(1)}, {"outputs": ref(7)}):
        assert "expected" in refused(path, NAMED, joined([begin, last], **more))


@pytest.mark.parametrize(
    "tree",
    [
        {**dense(units=10**12)},
        {**dense(units=2**31 - 1), "build": [[None, 2**31 - 1]]},
        {**dense(), "build": [[None, 2**31 - 1]]},
        {"class": "BatchNormalization", "config": {}, "build": [[None, 2**31 - 1]]},
        {"class": "LayerNormalization", "config": {"axis": [1, 2]},
         "build": [[None, 2**30, 2**30]]},
        {"class": "Normalization", "config": {"mean": 0.0, "variance": 1.0},
         "build": [[None, 2**31 - 1]]},
        {"class": "PReLU", "config": {}, "build": [[None, *[2**31 - 1] * 6]]},
        {"class": "RepeatVector", "config": {"n": 2**62}, "build": [[None, 2]]},
        {"class": "Reshape", "config": {"target_shape": [2**62] * 1000}, "build": [[None, 2]]},
    ],
)  # fmt: skip
def test_nothing_large_is_made(path: Path, tree: dict[str, Any]) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "expected" in refused(path, WEIGHTS, of(tree))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kB


def test_weights_that_are_others(path: Path) -> None:
    wrong = {"kernel": rv.ones(2, 2), "more": rv.ones(1)}
    words = refused(path, wrong, of(dense()))
    assert "1 missing: bias; 1 unexpected: more; 1 of another shape or type: kernel (2, 1)" in words
    assert "float32, got (1,) float64" in refused(
        path, {**WEIGHTS, "bias": rv.zeros(1, dtype=rv.float64)}, of(dense())
    )
    for tied in ({"bias": "kernel"}, {"bias": "none"}, {"bias": 3}, []):
        once = {"kernel": rv.ones(2, 1)}
        assert "expected" in refused(path, once, {**of(dense()), "tied": tied})


def test_more_than_anything_has(path: Path) -> None:
    deep: dict[str, Any] = {"class": "Flatten", "config": {}}
    for _ in range(30):
        deep = {"class": "Sequential", "chain": [0], "layers": [{"name": "a", **deep}]}
    assert "deep" in refused(path, {}, of(deep))
    for _ in range(30):
        deep = {"class": "Sequential", "chain": [0], "layers": [{"name": "a", **deep}]}
    assert "at most 100 levels" in refused(path, {}, of(deep))
    many = [{"name": str(i), "class": "Flatten", "config": {}} for i in range(100_001)]
    assert "at most 100,000 layers" in refused(
        path, {}, of({"class": "Sequential", "chain": [], "layers": many})
    )
    doubled: dict[str, Any] = {"class": "Flatten", "config": {}}
    for level in range(19):  # 2^19 ways, in a small file
        where = ".".join(["a"] * (19 - level))
        within = [{"name": "a", **doubled}, {"name": "b", "same": where}]
        doubled = {"class": "Sequential", "chain": [0, 1], "layers": within}
    refused(path, {"more": rv.ones(1)}, of(doubled))
    names = {"class": "Sequential", "chain": [], "layers": [{"name": "x" * 10**6, **dense(),
             "weights": ["w"] * 100}]}  # fmt: skip
    assert "letters in all" in refused(path, {}, of(names))


COMPILED: dict[str, Any] = {
    "optimizer": {"is": "object", "module": "keras.optimizers", "class": "SGD", "config": {}},
    "loss": "mse", "loss_weights": None, "metrics": None, "weighted_metrics": None,
}  # fmt: skip


def compiled(**parts: Any) -> dict[str, Any]:
    """A chain of one layer that is compiled so."""
    layers = [{"name": "d", **dense()}]
    tree = {"class": "Sequential", "config": {"name": "m"}, "layers": layers, "chain": [0]}
    return of(tree, {**COMPILED, **parts})


def optimizer(**parts: Any) -> dict[str, Any]:
    return compiled(optimizer={**COMPILED["optimizer"], **parts})


HUGE_AUC = {"class_name": "AUC", "config": {"num_thresholds": 10**12}}


@pytest.mark.parametrize(
    "description",
    [
        of(TREES["a chain of words"], []),
        of(dense(), COMPILED),
        compiled(code=1),
        compiled(optimizer=None),
        compiled(optimizer="sgd"),
        compiled(loss="code"),
        compiled(metrics="mse"),
        compiled(metrics=[{"is": "object", "module": "keras.metrics", **HUGE_AUC,
                           "class": "AUC"}]),
        optimizer(**{"class": "Huge"}),
        optimizer(config={"learning_rate": -1.0}),
        optimizer(config={"learning_rate": {"class_name": "code"}}),
        optimizer(steps=-1),
        optimizer(steps=2**70),
        optimizer(steps="1"),
        optimizer(trains="d.kernel"),
        optimizer(trains=["d.none"]),
        optimizer(trains=["d.kernel", "d.kernel"]),
        optimizer(trains=["d.kernel"], state=[]),
        optimizer(trains=["d.kernel"], state={"d.kernel": {"momentum": 3}}),
        optimizer(trains=["d.kernel"], state={"d.bias": {}}),
        optimizer(not_decayed=["a"]),
        optimizer(not_decayed=[["a"], []]),
    ],
)  # fmt: skip
def test_what_compile_is_given(path: Path, description: Any) -> None:
    assert "expected" in refused(path, NAMED, description)


def test_state_of_another_shape(path: Path) -> None:
    named = {**NAMED, "_ranvier_keras.s": rv.zeros(5)}
    state = {"d.kernel": {"momentum_buffer": {"$tensor": "_ranvier_keras.s"}}}
    with pytest.raises(ValueError, match=r"compile: .*(shape|expected)"):
        load(path, named, optimizer(config={"momentum": 0.9}, trains=["d.kernel"], state=state))
    unused = {**NAMED, "_ranvier_keras.unused": rv.zeros(5)}
    assert "no word of '_ranvier_keras.unused'" in refused(path, unused, compiled())


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=5),
    st.sampled_from(
        ["Dense", "Model", "Sequential", "relu", "kernel", "keras.layers", "float64", [], {},
         [None, 3], {"is": "tensor", "of": [0, 0]}, {"is": "object"}, {"class_name": "Dense"},
         {"$tensor": "x"}, {"$tuple": [1]}, {"same": "shared"}]
    ),
)  # fmt: skip


def places_in(value: Any) -> list[tuple[Any, Any]]:
    """Every place in a description: what holds it, and the key."""
    found = []
    waiting = [value]
    while waiting:
        part = waiting.pop()
        pairs = part.items() if isinstance(part, dict) else enumerate(part)
        for key, inner in pairs:
            found.append((part, key))
            if isinstance(inner, (dict, list)):
                waiting.append(inner)
    return found


@settings(
    max_examples=300, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(data=st.data())
def test_changed_descriptions(path: Path, parts: Any, data: st.DataObject) -> None:
    """Every one is a model that says what it is, or a ValueError."""
    named, _, right = parts
    description = copy.deepcopy(right)
    for _ in range(data.draw(st.integers(1, 2))):
        places = places_in(description["keras"])
        holder, key = places[data.draw(st.integers(0, len(places) - 1))]
        how = data.draw(st.integers(0, 3))
        if how == 0:
            del holder[key]
        elif how == 1:
            holder[key] = data.draw(VALUES)
        elif how == 2 and isinstance(holder, dict):
            word = data.draw(st.sampled_from(["class", "own", "same", "is", "build", "of", "op"]))
            holder[word] = holder[key]
        else:
            other, name = places[data.draw(st.integers(0, len(places) - 1))]
            holder[key] = copy.deepcopy(other[name])
    try:
        json.dumps(description, allow_nan=False)
    except (ValueError, KeyError):
        return
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        made = models.load(path, named, kinds.metadata(kinds.MODEL, description))
    except ValueError as error:
        assert str(error).startswith("[load")
    else:
        assert repr(made)
        assert len(made.state_dict()) >= 8
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kB


def test_one_tensor_for_two_weights(path: Path) -> None:
    """What is two weights in the model stays two."""
    square = {"class": "Dense", "config": {"units": 2, "use_bias": False}, "build": [[None, 2]],
              "weights": ["kernel"]}  # fmt: skip
    tree = {"class": "Sequential", "config": {"name": "m"}, "chain": [0, 1],
            "layers": [{"name": "a", **square}, {"name": "b", **square}]}  # fmt: skip
    named = {"a.kernel": rv.ones(2, 2)}
    made = load(path, named, {**of(tree), "tied": {"b.kernel": "a.kernel"}})
    made.layers[0].kernel.assign(np.zeros((2, 2)))
    assert made.layers[1].kernel.tolist() == [[1, 1], [1, 1]]
