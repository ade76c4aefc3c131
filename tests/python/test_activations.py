"""Activations as users call them: modules, functions, `inplace`, PyTorch's values and gradients.

The ops have rows in the case table, where bits, layouts and second gradients are tested too.
"""

from __future__ import annotations

import copy
import inspect
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier import nn
from ranvier.nn import functional as F

Array = Any
GRID = np.concatenate([np.linspace(-8, 8, 129), [0.0, -3.0, 3.0, 6.0, 0.5, -0.5, 1.0, -1.0, 25.0]])
ROWS = np.random.default_rng(0).uniform(-2, 2, (3, 4))

# Module and settings, function and its arguments.
ELEMENTWISE: list[tuple[str, tuple[Any, ...], str, tuple[Any, ...]]] = [
    ("ReLU", (), "relu", ()),
    ("ReLU6", (), "relu6", ()),
    ("LeakyReLU", (), "leaky_relu", ()),
    ("LeakyReLU", (0.2,), "leaky_relu", (0.2,)),
    ("ELU", (), "elu", ()),
    ("ELU", (0.5,), "elu", (0.5,)),
    ("CELU", (), "celu", ()),
    ("CELU", (0.5,), "celu", (0.5,)),
    ("SELU", (), "selu", ()),
    ("GELU", (), "gelu", ()),
    ("SiLU", (), "silu", ()),
    ("Mish", (), "mish", ()),
    ("Softplus", (), "softplus", ()),
    ("Softplus", (2.0, 3.0), "softplus", (2.0, 3.0)),
    ("Softsign", (), "softsign", ()),
    ("Tanh", (), "tanh", ()),
    ("Tanhshrink", (), "tanhshrink", ()),
    ("Softshrink", (), "softshrink", ()),
    ("Softshrink", (1.0,), "softshrink", (1.0,)),
    ("Hardshrink", (), "hardshrink", ()),
    ("Hardshrink", (1.0,), "hardshrink", (1.0,)),
    ("Sigmoid", (), "sigmoid", ()),
    ("Hardtanh", (), "hardtanh", ()),
    ("Hardtanh", (-2.0, 3.0), "hardtanh", (-2.0, 3.0)),
    ("Hardsigmoid", (), "hardsigmoid", ()),
    ("Hardswish", (), "hardswish", ()),
    ("LogSigmoid", (), "logsigmoid", ()),
    ("Threshold", (0.1, 20.0), "threshold", (0.1, 20.0)),
]
OTHERS = [
    ("Softmax", (1,), "softmax", (1,)),
    ("LogSoftmax", (0,), "log_softmax", (0,)),
    ("Softmin", (1,), "softmin", (1,)),
    ("GLU", (), "glu", ()),
    ("GLU", (1,), "glu", (1,)),
]
EVERY = pytest.mark.parametrize(
    ("name", "settings", "function", "arguments"),
    [*ELEMENTWISE, *OTHERS],
    ids=lambda value: str(value) if isinstance(value, str) else "",
)
IN_PLACE = [
    row for row in ELEMENTWISE if "inplace" in inspect.signature(getattr(nn, row[0])).parameters
]


def values(name: str) -> Array:
    return ROWS if name in {row[0] for row in OTHERS} else GRID


def run(f: Any, x: Array, make: Any) -> tuple[Array, Array]:
    """The result and the gradient, by either library."""
    t = make(np.array(x))
    t.requires_grad = True
    y = f(t)
    y.backward(make(np.linspace(0.5, 1.5, y.numel()).reshape(tuple(y.shape))))
    return y.detach().numpy(), t.grad.numpy()


@EVERY
def test_module_is_the_function(
    name: str, settings: tuple[Any, ...], function: str, arguments: tuple[Any, ...]
) -> None:
    module = copy.deepcopy(getattr(nn, name)(*settings))
    x = rv.tensor(values(name))
    want = getattr(F, function)(x, *arguments)
    assert np.array_equal(module(x).numpy(), want.numpy())
    assert repr(module).startswith(name + "(")
    assert not list(module.parameters())


@EVERY
def test_like_pytorch(
    name: str, settings: tuple[Any, ...], function: str, arguments: tuple[Any, ...]
) -> None:
    """Values and gradients, at kinks too. PyTorch keeps some constants in float32."""
    torch = pytest.importorskip("torch")
    x = values(name)
    got = run(getattr(nn, name)(*settings), x, rv.tensor)
    want = run(getattr(torch.nn, name)(*settings), x, torch.tensor)
    theirs = run(lambda t: getattr(torch.nn.functional, function)(t, *arguments), x, torch.tensor)
    for ours, other, third in zip(got, want, theirs, strict=True):
        assert np.array_equal(other, third)
        assert np.max(abs(ours - other) / (1 + abs(other))) <= 1e-7


@pytest.mark.parametrize(
    "name", sorted({row[0] for row in [*ELEMENTWISE, *OTHERS]} | {"PReLU", "RReLU"})
)
def test_signatures_are_pytorchs(name: str) -> None:
    torch = pytest.importorskip("torch")
    theirs = inspect.signature(getattr(torch.nn, name)).parameters
    if "args" in theirs:
        return  # takes nothing, and says so by *args
    ours = inspect.signature(getattr(nn, name)).parameters
    assert [(p.name, p.default) for p in ours.values()] == [
        (p.name, p.default) for p in theirs.values()
    ]


@pytest.mark.parametrize(
    "name", ["relu", "relu6", "leaky_relu", "elu", "celu", "selu", "silu", "mish", "hardtanh",
             "hardsigmoid", "hardswish", "threshold", "softmax", "log_softmax", "softmin", "glu"]
)  # fmt: skip
def test_function_signatures_are_pytorchs(name: str) -> None:
    torch = pytest.importorskip("torch")
    ours = inspect.signature(getattr(F, name)).parameters
    theirs = inspect.signature(getattr(torch.nn.functional, name)).parameters
    assert [(p.name, p.default) for p in ours.values()] == [
        (p.name, p.default) for p in theirs.values()
    ]


# --- inplace ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "settings", "function", "arguments"), IN_PLACE)
def test_inplace_overwrites_the_input(
    name: str, settings: tuple[Any, ...], function: str, arguments: tuple[Any, ...]
) -> None:
    want = getattr(nn, name)(*settings)(rv.tensor(GRID)).numpy()
    for f in (
        getattr(nn, name)(*settings, inplace=True),
        lambda t: getattr(F, function)(t, *arguments, inplace=True),
    ):
        x = rv.tensor(GRID)
        assert f(x) is x
        assert np.array_equal(x.numpy(), want)
    assert "inplace=True" in repr(getattr(nn, name)(*settings, inplace=True))
    kept = rv.tensor(GRID)
    assert getattr(nn, name)(*settings)(kept) is not kept
    assert np.array_equal(kept.numpy(), GRID)


@pytest.mark.parametrize(("name", "settings", "function", "arguments"), IN_PLACE)
def test_inplace_has_the_same_gradient(
    name: str, settings: tuple[Any, ...], function: str, arguments: tuple[Any, ...]
) -> None:
    """Of what stood there before; and a leaf that asks for one is not overwritten."""
    plain, changing = (getattr(nn, name)(*settings, inplace=flag) for flag in (False, True))
    _, want = run(lambda t: plain(t * 2), GRID, rv.tensor)
    _, got = run(lambda t: changing(t * 2), GRID, rv.tensor)
    assert np.array_equal(got, want)
    with pytest.raises(RuntimeError, match=r"leaf|gradient"):
        changing(rv.ones(2, requires_grad=True))


def test_rrelu_inplace() -> None:
    x = rv.tensor([-2.0, 2.0])
    assert F.rrelu(x, 0.25, 0.75, inplace=True) is x and x.tolist() == [-1, 2]
    x = rv.tensor([-2.0, 2.0])
    assert F.rrelu(x, 0.25, 0.75, training=True, inplace=True) is x
    assert -1.5 <= x[0].item() <= -0.5 and x[1].item() == 2


# --- one by one ---------------------------------------------------------------------------------


def test_gelu_by_tanh() -> None:
    x = rv.tensor(GRID)
    u = np.sqrt(2 / np.pi) * (GRID + 0.044715 * GRID**3)
    want = GRID * (1 + np.tanh(u)) / 2
    for got in (F.gelu(x, approximate="tanh"), nn.GELU("tanh")(x)):
        assert np.max(abs(got.numpy() - want)) <= 1e-14
    assert repr(nn.GELU("tanh")) == "GELU(approximate='tanh')"
    for call in (lambda: F.gelu(x, approximate="tan"), lambda: nn.GELU("tan")):
        with pytest.raises(ValueError, match="'none' or 'tanh', got 'tan'"):
            call()


def test_gelu_by_tanh_like_pytorch() -> None:
    torch = pytest.importorskip("torch")
    x = np.linspace(-3, 3, 61)
    got = run(nn.GELU("tanh"), x, rv.tensor)
    want = run(torch.nn.GELU("tanh"), x, torch.tensor)
    for ours, other in zip(got, want, strict=True):
        assert np.max(abs(ours - other)) <= 1e-7


def test_prelu() -> None:
    """One slope for all or one a channel, learnt."""
    x = np.random.default_rng(1).uniform(-2, 2, (2, 3, 4))
    slopes = np.array([0.1, 0.2, 0.3])
    t, w = rv.tensor(x).requires_grad_(True), rv.tensor(slopes).requires_grad_(True)
    y = F.prelu(t, w)
    wide = slopes[:, None]
    assert np.max(abs(y.detach().numpy() - np.where(x > 0, x, wide * x))) <= 1e-15
    y.sum().backward()
    assert np.max(abs(w.grad.numpy() - np.where(x > 0, 0, x).sum((0, 2)))) <= 1e-14
    assert np.array_equal(t.grad.numpy(), np.where(x > 0, 1, np.broadcast_to(wide, x.shape)))
    layer = nn.PReLU(3, init=0.5, dtype=rv.float64)
    assert [n for n, _ in layer.named_parameters()] == ["weight"] and layer.weight.shape == (3,)
    assert np.array_equal(layer(t).detach().numpy(), np.where(x > 0, x, 0.5 * x))
    assert repr(layer) == "PReLU(num_parameters=3)"
    with rv.no_grad():
        layer.weight.fill_(9)
    layer.reset_parameters()
    assert layer.weight.tolist() == [0.5] * 3
    with pytest.raises(rv.ShapeError, match=r"\(4,\).*channel"):
        F.prelu(rv.ones(2, 4), rv.ones(3))
    with pytest.raises(ValueError, match="num_parameters"):
        nn.PReLU(0)


def test_rrelu() -> None:
    """Slopes between the bounds in training, their mean after it."""
    rv.manual_seed(0)
    layer, x = nn.RReLU(0.25, 0.75), rv.full((10000,), -2.0)
    y = layer(x).numpy()
    assert -1.5 <= y.min() < -1.49 and -0.51 < y.max() <= -0.5
    assert y.mean() == pytest.approx(-1, abs=0.01)
    layer.eval()
    assert (layer(x).numpy() == -1).all()
    one, two = (
        F.rrelu(x, training=True, generator=rv.Generator().manual_seed(3)) for _ in range(2)
    )
    assert np.array_equal(one.numpy(), two.numpy())
    leaf = rv.full((3,), -2.0, requires_grad=True)
    out = F.rrelu(leaf, training=True)
    out.sum().backward()
    assert np.allclose(leaf.grad.numpy(), out.detach().numpy() / -2)
    with pytest.raises(ValueError, match="upper"):
        F.rrelu(x, 0.5, 0.25)


def test_step() -> None:
    x = rv.tensor([-1.0, 0.0, 2.0], requires_grad=True)
    for at_zero in (1, 0, 0.5):
        assert nn.Step(at_zero)(x).tolist() == [0, at_zero, 1]
    nn.Step()(x).sum().backward()
    assert x.grad.tolist() == [0, 0, 0]
    assert repr(nn.Step(0)) == "Step(at_zero=0)"


def test_step_with_a_straight_through_gradient() -> None:
    """The gradient that comes in goes out, so that a layer in front of it learns."""
    x = rv.tensor([-1.0, 0.0, float("inf")], requires_grad=True)
    layer = nn.Step(0.5, straight_through=True)
    y = layer(x)
    assert y.tolist() == [0, 0.5, 1]
    y.backward(rv.tensor([1.0, 2.0, 3.0]))
    assert x.grad.tolist() == [1, 2, 3]
    assert repr(layer) == "Step(at_zero=0.5, straight_through=True)"


def test_softmax_without_an_axis() -> None:
    """PyTorch's choice; where it is easily mistaken, it is named."""
    x = rv.tensor(ROWS)
    assert np.array_equal(nn.Softmax()(x).numpy(), F.softmax(x, 1).numpy())
    assert np.array_equal(nn.LogSoftmax()(x[0]).numpy(), F.log_softmax(x[0], 0).numpy())
    with pytest.warns(UserWarning, match=r"\[softmax\] dim: axis 0 is taken"):
        y = F.softmax(rv.ones(4, 2, 2))
    assert y[0, 0, 0].item() == 0.25
    with pytest.warns(UserWarning, match="axis 1"):
        F.softmin(rv.ones(2, 4, 2, 2))
    assert F.softmax(rv.tensor([1.0]), 0, dtype=rv.float64).dtype is rv.float64


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: nn.CELU(0)(rv.ones(1)), ValueError, "alpha"),
        (lambda: nn.Hardtanh(1, 1), ValueError, "max_val"),
        (lambda: F.glu(rv.ones(3)), rv.ShapeError, "even"),
        (lambda: F.softmax(rv.ones(3), 1), IndexError, "softmax"),
        (lambda: F.relu6(rv.tensor([True])), TypeError, "relu6"),
    ],
)
def test_bad_calls(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()


def test_old_words_of_hardtanh() -> None:
    layer = nn.Hardtanh(min_value=-2, max_value=2)
    assert (layer.min_val, layer.max_val) == (-2, 2)


@pytest.mark.parametrize("name", ["relu", "elu", "gelu", "mish", "softplus", "hardswish", "selu"])
def test_half_precision(name: str) -> None:
    x = rv.tensor([-1.0, 0.5], dtype=rv.float16, requires_grad=True)
    y = getattr(F, name)(x)
    y.sum().backward()
    assert y.dtype is rv.float16 and x.grad.dtype is rv.float16
    want = getattr(F, name)(x.detach().float()).numpy()
    assert np.max(abs(y.detach().numpy().astype(np.float32) - want)) <= 1e-3
