"""deepcopy, pickle and joblib of every class of layers: the same outputs, bit by bit."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from models_table import LAYERS

import ranvier as rv
from ranvier import nn


def by_joblib(model: Any) -> Any:
    joblib = pytest.importorskip("joblib")
    file = io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    return joblib.load(file)


WAYS: dict[str, Callable[[Any], Any]] = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "joblib": by_joblib,
}


def bits(value: Any) -> Any:
    """The bytes of tensors in a nested value."""
    if isinstance(value, rv.Tensor):
        whole = value.detach().contiguous().reshape(-1)
        numbers = whole.view(rv.uint8) if whole.numel() else whole
        return value.dtype.name, tuple(value.shape), numbers.numpy().tobytes()
    if isinstance(value, (list, tuple)):
        return [bits(part) for part in value]
    return {name: bits(part) for name, part in value.items()}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", LAYERS)
def test_every_layer(name: str, way: str) -> None:
    rv.manual_seed(2)
    model, inputs = LAYERS[name].make().eval(), LAYERS[name].inputs
    again = WAYS[way](model)
    assert type(again) is type(model) and not again.training
    assert bits(dict(again.state_dict())) == bits(dict(model.state_dict()))
    if inputs:
        assert bits(again(*inputs)) == bits(model(*inputs))
    shared = {id(t) for t in model.parameters()} & {id(t) for t in again.parameters()}
    assert not shared


@pytest.mark.filterwarnings("ignore:.*starts anew")
@pytest.mark.parametrize("way", WAYS)
def test_what_is_shared_and_known(way: str) -> None:
    layer = nn.Linear(4, 4)
    net = nn.Sequential(rv.data.Standardize(), layer, nn.Dropout(0.2), layer, nn.Linear(4, 3))
    X, y = rv.rand(20, 4), rv.tensor([0, 1, 2, 1] * 5)
    rv.fit(net, X, y, loss="cross_entropy", epochs=2, seed=1, verbose=0)
    rv.io.about(net).labels = ["a", "b", "c"]
    again = WAYS[way](net)
    assert again[1] is again[3] and len(list(again.parameters())) == 4
    assert rv.io.about(again).labels == ("a", "b", "c")
    assert rv.io.about(again).input == ((4,), "float32")
    assert rv.io.about(again).training == rv.io.about(net).training
    assert bits(rv.predict(again, X)) == bits(rv.predict(net, X))
    for one in (net, again):
        one[4].requires_grad_(False)
        rv.manual_seed(3)
        rv.fit(one, X, y, loss="cross_entropy", optimizer="sgd", epochs=1, seed=1, verbose=0)
    assert bits(dict(again.state_dict())) == bits(dict(net.state_dict()))
