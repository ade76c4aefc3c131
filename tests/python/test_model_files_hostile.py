"""Descriptions from strangers: a ValueError that says what is wrong, and nothing else."""

from __future__ import annotations

import copy
import json
import random
import resource
from pathlib import Path
from typing import Any

import pytest
from models_table import LAYERS

import ranvier as rv
from ranvier import nn
from ranvier.io import kinds, models, tensors

RELU = {"class": "nn.ReLU", "arguments": {"inplace": False}}
LINEAR = {"class": "nn.Linear", "arguments": {"in_features": 2, "out_features": 1, "bias": True}}
WEIGHTS = {"weight": rv.ones(1, 2), "bias": rv.zeros(1)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.safetensors"


def load(path: Path, tree: Any, named: Any = None, **beside: Any) -> Any:
    """What is made of a description."""
    description = {"model": tree, "tied": {}, **beside}
    tensors.write(path, named or {}, kinds.metadata(kinds.MODEL, description))
    return rv.load(path)


def refused(path: Path, tree: Any, named: Any = None, **beside: Any) -> str:
    """The words with which a description is refused: not many, and with the file's name."""
    with pytest.raises(ValueError) as caught:
        load(path, tree, named, **beside)
    words = str(caught.value)
    assert type(caught.value) is ValueError
    assert words.startswith(f"[load] {path}: ") and len(words) < len(str(path)) + 1500
    return words.removeprefix(f"[load] {path}: ")


def within(*layers: Any, **more: Any) -> dict[str, Any]:
    """A Sequential of these layers."""
    named = [{"name": str(i), **layer} for i, layer in enumerate(layers)]
    return {"class": "nn.Sequential", "layers": named, **more}


def test_these_are_right_otherwise(path: Path) -> None:
    assert isinstance(load(path, RELU), nn.ReLU)
    assert load(path, LINEAR, WEIGHTS)(rv.ones(1, 2)).tolist() == [[2]]
    assert len(load(path, within(RELU, RELU))) == 2


@pytest.mark.parametrize(
    "name",
    [
        "os.system", "builtins.eval", "nn.Module.__init__", "nn.init", "nn.functional", "nn.utils",
        "nn.Parameter", "nn.Linear.__class__", "nn._start", "Linear", "ranvier.nn.Linear", "",
        "data.load_digits", "data.Preprocessor", "data.preprocess", "nn.\x1b[31m", "x" * 100_000,
        "keras.layers.Dense", "nn.loss.Loss",
    ],
)  # fmt: skip
def test_only_ranviers_layers(path: Path, name: str) -> None:
    words = refused(path, {"class": name})
    assert "expected a class of Ranvier's, got" in words and "\x1b" not in words
    assert "expected a class of Ranvier's" in refused(path, within(RELU, {"class": name}))


TREES = {
    "nothing": None,
    "a list": [],
    "a word": "nn.ReLU",
    "no class": {},
    "a class of numbers": {"class": 3},
    "an unknown key": {**RELU, "code": "print()"},
    "a name at the top": {"name": "0", **RELU},
    "no name": {"class": "nn.Sequential", "layers": [RELU]},
    "a name of numbers": {"class": "nn.Sequential", "layers": [{"name": 0, **RELU}]},
    "layers of words": {"class": "nn.Sequential", "layers": ["nn.ReLU"]},
    "layers by name": {"class": "nn.Sequential", "layers": {"0": RELU}},
    "names with dots": {"class": "nn.Sequential", "layers": [{"name": "a.b", **RELU}]},
    "no letters": {"class": "nn.Sequential", "layers": [{"name": "", **RELU}]},
    "a name twice": {"class": "nn.Sequential", "layers": [{"name": "0", **RELU}] * 2},
    "the same twice": within(RELU, {"same": "0"}) | {"layers": [{"name": "0", **RELU},
                                                                {"name": "0", "same": "0"}]},
    "arguments as a list": {"class": "nn.ReLU", "arguments": []},
    "an unknown argument": {"class": "nn.ReLU", "arguments": {"device": "cpu"}},
    "a missing argument": {"class": "nn.Linear", "arguments": {"in_features": 2}},
    "arguments of Identity": {"class": "nn.Identity", "arguments": {"args": [1]}},
    "training of words": {**RELU, "training": "yes"},
    "frozen of words": {**RELU, "frozen": "weight"},
    "frozen of nothing": {**RELU, "frozen": ["weight"]},
    "frozen of numbers": {**RELU, "frozen": [1]},
    "no such buffer": {**RELU, "not_persistent": ["weight"]},
    "holds names": {**RELU, "holds": ["a"]},
    "holds nothing": {**RELU, "holds": [["a", None]]},
    "holds code": {**RELU, "holds": [["a", "function"]]},
    "holds a list": {**RELU, "holds": [["a", ["parameter"]]]},
    "holds twice": {**RELU, "holds": [["a", "buffer"]] * 2},
    "a place in a list": {"class": "nn.ParameterList", "holds": [["1", "parameter"]]},
    "not an item": {"class": "nn.ParameterDict", "holds": [["keys", "parameter"]]},
    "same as nothing": within(RELU, {"same": "7"}),
    "same as a later one": within({"same": "1"}, RELU),
    "same as itself": within({"same": "0"}),
    "same as what holds it": within(within({"same": "0"})),
    "same at the top": {"same": ""},
    "same and a class": within(RELU, {"same": "0", **RELU}),
    "own without a class": {"own": True},
}  # fmt: skip


@pytest.mark.parametrize("name", TREES)
def test_forms(path: Path, name: str) -> None:
    assert "expected" in refused(path, TREES[name])


@pytest.mark.parametrize(
    "name",
    ["forward", "__class__", "__dict__", "training", "_persistence", "_hooks", "_beside",
     "_ranvier_predictions", "_ranvier_last_fit", "_ranvier_about", "_modules", "state_dict"],
)  # fmt: skip
def test_names_that_layers_need_themselves(path: Path, name: str) -> None:
    for tree in (
        {"class": "nn.Sequential", "layers": [{"name": name, **RELU}]},
        {"class": "nn.Sequential", "holds": [[name, "buffer"]]},
        {"class": "nn.ParameterDict", "holds": [[name, "parameter"]]},
        {"class": "nn.ModuleDict", "layers": [{"name": name, **RELU}]},
    ):
        assert "expected a name that is free" in refused(path, tree, {name: rv.ones(1)}) or (
            name.startswith("_ranvier")
        )


@pytest.mark.parametrize(
    ("kind", "argument", "value"),
    [
        ("nn.Dropout", "p", "0.5"),
        ("nn.Dropout", "p", None),
        ("nn.Dropout", "p", True),
        ("nn.Dropout", "p", 2),
        ("nn.Dropout", "p", {"$float": "nan"}),
        ("nn.Dropout", "p", {"$float": "1e400"}),
        ("nn.Dropout", "p", {"$float": []}),
        ("nn.Dropout", "p", [0.5]),
        ("nn.Dropout", "inplace", 1),
        ("nn.Softmax", "dim", 1.5),
        ("nn.Softmax", "dim", 2**64),
        ("nn.Flatten", "start_dim", None),
        ("nn.LayerNorm", "normalized_shape", 4),
        ("nn.LayerNorm", "normalized_shape", []),
        ("nn.LayerNorm", "normalized_shape", [2.0]),
        ("nn.LayerNorm", "normalized_shape", [2**64]),
        ("nn.LayerNorm", "normalized_shape", [-1]),
        ("nn.LayerNorm", "normalized_shape", [1] * 100_000),
        ("nn.Unflatten", "unflattened_size", "ab"),
        ("nn.GELU", "approximate", "maybe"),
        ("nn.Linear", "in_features", 0),
        ("nn.Linear", "in_features", -3),
        ("nn.Linear", "in_features", 2.0),
        ("nn.MSELoss", "reduction", "median"),
        ("nn.MultiMarginLoss", "p", 3),
        ("nn.GroupNorm", "num_groups", 3),
        ("data.Impute", "strategy", "worst"),
        ("data.OneHot", "columns", ["0"]),
    ],
)
def test_arguments(path: Path, kind: str, argument: str, value: Any) -> None:
    right = next(case for name, case in LAYERS.items() if name == kind).make()
    rv.save(right, path)
    tree = kinds.described(path, tensors.read(path)[1])["model"]
    tree["arguments"][argument] = value
    assert refused(path, tree, tensors.read(path)[0]).startswith(kind)


@pytest.mark.parametrize(
    "tree",
    [
        {"class": "nn.Linear", "arguments": {"in_features": 10**12, "out_features": 10**12}},
        {"class": "nn.Linear", "arguments": {"in_features": 10**9, "out_features": 10**9}},
        {"class": "nn.Linear", "arguments": {"in_features": 10**6, "out_features": 10**6}},
        {"class": "nn.Linear", "arguments": {"in_features": 1, "out_features": 10**11}},
        {"class": "nn.Bilinear", "arguments": {"in1_features": 10**5, "in2_features": 10**5,
                                               "out_features": 100}},
        {"class": "nn.BatchNorm1d", "arguments": {"num_features": 10**11}},
        {"class": "nn.LayerNorm", "arguments": {"normalized_shape": [10**6, 10**6]}},
        {"class": "nn.RMSNorm", "arguments": {"normalized_shape": [10**12]}},
        {"class": "nn.GroupNorm", "arguments": {"num_groups": 1, "num_channels": 10**11}},
        {"class": "nn.PReLU", "arguments": {"num_parameters": 10**11}},
    ],
)  # fmt: skip
def test_nothing_large_is_made(path: Path, tree: dict[str, Any]) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    name = "weight"
    words = refused(path, tree, {name: rv.ones(1, 2)})
    assert "expected" in words
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kB


def test_tensors_that_are_others(path: Path) -> None:
    words = refused(path, LINEAR, {"weight": rv.ones(2, 2), "more": rv.ones(1)})
    assert "1 missing: bias; 1 unexpected: more; 1 of another shape or type: weight (1, 2)" in words
    for bad in (rv.ones(1, 2, dtype=rv.int64), rv.ones(2), rv.ones(0, 2), rv.ones(())):
        assert "weight (1, 2) float32, got" in refused(path, LINEAR, {**WEIGHTS, "weight": bad})
    words = refused(path, within(*[RELU] * 3), {f"{i}\x1b" * 100: rv.ones(1) for i in range(5000)})
    assert "5000 unexpected" in words and "and 4988 more" in words and "\x1b" not in words
    norm = {"class": "nn.BatchNorm1d", "arguments": {"num_features": 1, "affine": False}}
    right = {"running_mean": rv.ones(1), "running_var": rv.ones(1),
             "num_batches_tracked": rv.tensor(0)}  # fmt: skip
    assert load(path, norm, right).running_mean.tolist() == [1]
    for name, bad in (("running_mean", rv.tensor([1])), ("num_batches_tracked", rv.tensor(0.0))):
        assert f"{name} (" in refused(path, norm, {**right, name: bad})


def test_what_is_tied(path: Path) -> None:
    two = within(LINEAR, LINEAR)
    named = {f"{i}.{name}": t for i in range(2) for name, t in WEIGHTS.items()}
    assert load(path, two, named)[0].weight is not rv.load(path)[1].weight
    once = {name: t for name, t in named.items() if name != "1.weight"}
    loaded = load(path, two, once, tied={"1.weight": "0.weight"})
    assert loaded[0].weight is loaded[1].weight
    for tied in (
        *({"1.weight": first} for first in ("1.weight", "2.weight", "0.bias", ["0.weight"], 0)),
        *([], "0.weight", {"0.bias": "1.x"}),
    ):
        assert "expected" in refused(path, two, once, tied=tied)


def test_more_layers_than_anything_has(path: Path) -> None:
    deep: dict[str, Any] = dict(RELU)
    for _ in range(200):
        deep = within(deep)
    assert "100 deep" in refused(path, deep)
    wide = within(*[RELU] * 100_001)
    assert "at most 100,000 layers" in refused(path, wide)
    doubled: dict[str, Any] = dict(RELU)
    for level in range(40):  # 2^40 ways, in a small file
        where = ".".join(["0"] * (40 - level))
        doubled = within(doubled, {"same": where})
    assert "at most 100,000 layers" in refused(path, doubled)


def test_names_that_are_long(path: Path) -> None:
    for name in ("." * 100_000, "\x1b\u202e" * 10_000 + "."):
        tree = {"class": "nn.Sequential", "layers": [{"name": name, **RELU}]}
        words = refused(path, tree)
        assert "expected a name without '.'" in words and words.isprintable()
        assert "expected a name" in refused(path, {**RELU, "holds": [[name, "buffer"]]})


def test_paths_that_grow(path: Path) -> None:
    """Long names within each other, and many of them below: gigabytes of paths in a small file."""
    tree = within(*[RELU] * 1000)
    for _ in range(20):
        tree = {"class": "nn.Sequential", "layers": [{"name": "x" * 10_000, **tree}]}
    assert "letters in all" in refused(path, tree)
    held = [[str(i), "buffer"] for i in range(10_000)]
    tree = {"class": "nn.Sequential", "layers": [{"name": "x" * 10_000, **RELU, "holds": held}]}
    assert "letters in all" in refused(path, tree)


def test_lists_that_are_long(path: Path) -> None:
    """What takes a step for each pair of names would take hours."""
    many = [str(i) for i in range(200_000)]
    holds = [[name, "parameter"] for name in many]
    told = refused(path, {"class": "nn.ParameterDict", "holds": holds})
    assert "at most 10,000 tensors, got 200,000" in told
    for kind in ("nn.ParameterList", "nn.Sequential"):
        told = refused(path, {"class": kind, "holds": holds, "frozen": many})
        assert "200000 missing" in told
    assert "[labels] expected each label once" in refused(path, RELU, labels=[*many, many[-1]])


@pytest.mark.parametrize("name", ["data.Standardize", "data.Impute", "data.OneHot"])
def test_what_was_not_learned_from_rows(path: Path, name: str) -> None:
    rv.save(LAYERS[name].make(), path)
    named, metadata = tensors.read(path)
    tree = kinds.described(path, metadata)["model"]
    for word, tensor in named.items():
        for bad in (tensor.reshape(1, -1), rv.tensor(0, dtype=tensor.dtype)):
            told = refused(path, tree, {**named, word: bad})
            assert "expected what it can have learned from rows" in told
    if name == "data.OneHot":
        for word, bad in (("places", named["places"] + 100), ("rest", named["rest"] - 100),
                          ("sizes", rv.tensor([1, 2])), ("places", named["places"][:-1]),
                          ("sizes", rv.tensor([4.0]))):  # fmt: skip
            told = refused(path, tree, {**named, word: bad})
            assert "expected what it can have learned from rows" in told
    if name == "data.Standardize":
        assert "learned" in refused(path, tree, {**named, "scale": rv.ones(3)})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("labels", "abc"), ("labels", {}), ("labels", []), ("labels", [None]), ("labels", [[]]),
        ("labels", ["a", "a"]), ("labels", [True]), ("labels", 3), ("labels", [2**70]),
        ("input", []), ("input", {}), ("input", {"shape": [1]}), ("input", 3),
        ("input", {"shape": [1], "dtype": "os"}), ("input", {"shape": "1", "dtype": "float32"}),
        ("input", {"shape": [-1], "dtype": "float32"}), ("input", {"shape": [1], "dtype": []}),
        ("input", {"shape": [2**40], "dtype": "float32"}),
        ("training", []), ("training", "x"), ("training", {"loss": []}), ("training", 1),
        ("training", {"history": {"loss": {}}}), ("training", {"x" * 20_000: 1}),
        ("training", {"history": {"loss": 10**400}}),
    ],
)  # fmt: skip
def test_what_is_said_beside_the_layers(path: Path, name: str, value: Any) -> None:
    assert f"[{name}]" in refused(path, RELU, None, **{name: value})
    with pytest.raises(ValueError, match=rf"\[load\] .*\[{name}\]"):
        rv.load(path, model=nn.ReLU())


def mutated(value: Any, draw: random.Random) -> Any:
    """The same description with one thing in it changed."""
    value = copy.deepcopy(value)
    places: list[tuple[Any, Any]] = []

    def collect(part: Any) -> None:
        pairs = part.items() if isinstance(part, dict) else enumerate(part)
        for key, inner in list(pairs):
            places.append((part, key))
            if isinstance(inner, (dict, list)):
                collect(inner)

    collect(value)
    part, key = draw.choice(places)
    kind = draw.randrange(4)
    if kind == 0:
        del part[key]
    elif kind == 1:
        part[key] = draw.choice(
            [
                None,
                3,
                -1,
                10**11,
                2.5,
                "nn.ReLU",
                "x",
                [],
                {},
                True,
                ["0", "buffer"],
                {"float": "inf"},
            ]
        )
    elif kind == 2 and isinstance(part, dict):
        part[draw.choice(["class", "own", "same", "name", "holds", "frozen", "p"])] = part[key]
    else:
        part[key] = draw.choice(places)[0]
        try:
            json.dumps(part)
        except ValueError:
            part[key] = None
    return value


def test_a_thousand_changed_descriptions(path: Path) -> None:
    """Every one is a model that runs through its layers' names, or a ValueError."""
    layer = nn.Linear(4, 4)
    net = nn.Sequential(
        LAYERS["data.Standardize"].make(), layer, nn.BatchNorm1d(4), nn.Dropout(), layer,
        nn.ModuleDict({"a": nn.Hardtanh(-float("inf"), 1.0)}), nn.ParameterList([rv.ones(2)]),
    )  # fmt: skip
    net[2].requires_grad_(False)
    rv.save(net, path, labels=["a", "b", "c", "d"], input=(4,))
    named, metadata = tensors.read(path)
    description = kinds.described(path, metadata)
    draw = random.Random(0)
    made = 0
    for _ in range(1000):
        bad = mutated(description, draw)
        try:
            loaded = models.load(path, named, kinds.metadata(kinds.MODEL, bad))
        except ValueError as error:
            assert str(error).startswith("[load]")
        else:
            made += 1
            assert repr(loaded) and len(loaded.state_dict()) >= len(named)
    assert 0 < made < 1000
