"""`rv.summary`: the table, and that looking changes nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier import nn


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.flatten = nn.Flatten()
        self.body = nn.Sequential(nn.Linear(784, 128), nn.BatchNorm1d(128), nn.Dropout(0.2))
        self.unused = nn.Linear(3, 3)
        self.out = nn.Linear(128, 10)

    def forward(self, x: rv.Tensor) -> rv.Tensor:
        return self.out(self.body(self.flatten(x)))


TABLE = """\
Layer      Type         Output shape  Parameters
------------------------------------------------
(model)    Net          (N, 10)                0
  flatten  Flatten      (N, 784)               0
  body     Sequential   (N, 128)               0
    0      Linear       (N, 128)         100,480
    1      BatchNorm1d  (N, 128)             256
    2      Dropout      (N, 128)               0
  unused   Linear       -              12 frozen
  out      Linear       (N, 10)            1,290
------------------------------------------------
Parameters: 102,038 (408.2 KB), trainable 102,026, not trainable 12"""


def test_the_table() -> None:
    net = Net()
    net.unused.requires_grad_(False)
    for x in ((28, 28), (None, 28, 28), rv.zeros(60, 28, 28), np.zeros((5, 28, 28), np.uint8)):
        assert str(rv.summary(net, x)) == TABLE
    found = rv.summary(net, (784,))
    assert repr(found) == str(found)
    counts = found.total_params, found.trainable_params, found.non_trainable_params
    assert counts == (102038, 102026, 12)
    assert found.layers[3].name == "body.0" and found.layers[3].shapes == ((2, 128),)
    assert "(N, " not in str(rv.summary(net))


def test_looking_changes_nothing() -> None:
    net = Net().train()
    net.body.eval()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    modes = [m.training for m in net.modules()]
    state = rv.get_rng_state()
    rv.summary(net, (28, 28))
    with pytest.raises(rv.ShapeError, match=r"body\.0 .*784 features"):
        rv.summary(net, (27, 28))
    assert [m.training for m in net.modules()] == modes
    assert all(rv.equal(v, before[k]) for k, v in net.state_dict().items())
    assert rv.equal(state, rv.get_rng_state())
    assert not any(m._hooks and m._hooks.forward for m in net.modules())
    assert all(p.grad is None for p in net.parameters())


def test_several_inputs_and_outputs() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mix = nn.Bilinear(3, 4, 5)

        def forward(self, a: rv.Tensor, b: rv.Tensor) -> Any:
            return self.mix(a, b), {"a": a}, a

    for x in ([(3,), (4,)], (rv.ones(7, 3), rv.ones(7, 4))):
        layers = rv.summary(Two(), x).layers
        assert layers[0].shapes == ((2, 5), (2, 3)) and layers[1].shapes == ((2, 5),)


def test_tied_parameters_count_once() -> None:
    a, b = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
    b.weight = a.weight
    found = rv.summary(nn.Sequential(a, b, a), (2,))
    assert found.total_params == 4 and [row.parameters for row in found.layers] == [0, 4, 0]


def test_layers_in_plain_lists_are_pointed_out() -> None:
    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = [nn.Linear(2, 2), [nn.ReLU()]]
            self.named = {"a": nn.Linear(2, 2)}
            self.scales = [nn.Parameter(rv.ones(2))]
            self.head = nn.Linear(2, 1)
            self.all = [self.head]
            self.numbers = [1, 2]

        def forward(self, x: rv.Tensor) -> rv.Tensor:
            return self.head(self.layers[0](x))

    text = " ".join(str(rv.summary(nn.Sequential(Plain()), (2,))).split())
    assert "0.layers, a plain list of 2 (Linear, ReLU); use nn.ModuleList" in text
    assert "0.named, a plain dict of 1 (Linear); use nn.ModuleDict" in text
    assert "0.scales, a plain list of 1 (Parameter); use nn.ParameterList" in text
    assert "0.all" not in text and "numbers" not in text


def test_it_fits_eighty_columns_in_ascii() -> None:
    class AVeryLongNameOfALayerThatSomebodyHasWrittenDownAndThatGoesOn(nn.Linear):
        pass

    net = nn.Sequential()
    net.add_module("a" * 70, AVeryLongNameOfALayerThatSomebodyHasWrittenDownAndThatGoesOn(2, 2))
    text = str(rv.summary(net, (3, 4, 5, 2)))
    assert text.isascii() and max(len(line) for line in text.splitlines()) == 80
    assert "(N, 3, 4, 5, 2)" in text


def test_what_is_no_model_or_shape_is_refused() -> None:
    for x in (3.5, "784", object()):
        with pytest.raises(TypeError, match=r"\[summary\] X: expected .*\(784,\)"):
            rv.summary(nn.Linear(2, 2), x)
    with pytest.raises(TypeError, match=r"\[summary\] model"):
        rv.summary(nn.Linear, (2,))  # type: ignore[arg-type]
    assert rv.summary(nn.ReLU(), (2,)).total_params == 0
    assert rv.summary(nn.Linear(2, 2).double(), (2,)).size == 48
