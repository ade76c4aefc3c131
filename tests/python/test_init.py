"""Starting values: the published rules to 1e-6, distributions by moments, PyTorch's widths."""

from __future__ import annotations

import inspect
import math
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier import nn
from ranvier.nn import init

SHAPES = [(7, 5), (40, 30), (6, 4, 3), (8, 3, 2, 5)]


def generator(seed: int = 3) -> Any:
    return rv.Generator().manual_seed(seed)


def unit(shape: tuple[int, ...], dtype: Any = rv.float32) -> Any:
    """What is drawn before it is stretched."""
    drawn = init.uniform_(rv.empty(*shape, dtype=dtype), generator=generator())
    return drawn.double().numpy()


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    field = math.prod(shape[2:])
    return shape[1] * field, shape[0] * field


UNIFORM = {
    "xavier_uniform_": (lambda i, o: math.sqrt(6 / (i + o)), {}),
    "kaiming_uniform_": (lambda i, o: math.sqrt(6 / i), {}),
    "lecun_uniform_": (lambda i, o: math.sqrt(3 / i), {}),
}
NORMAL = {
    "xavier_normal_": (lambda i, o: math.sqrt(2 / (i + o)), {}),
    "kaiming_normal_": (lambda i, o: math.sqrt(2 / i), {}),
    "lecun_normal_": (lambda i, o: math.sqrt(1 / i), {}),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", UNIFORM)
def test_uniform_rules(name: str, shape: tuple[int, ...]) -> None:
    """Each number is the published bound times the uniform one that was drawn."""
    rule, options = UNIFORM[name]
    bound = rule(*fans(shape))
    w = getattr(init, name)(rv.empty(*shape), generator=generator(), **options)
    assert np.max(abs(w.numpy() - bound * (2 * unit(shape) - 1))) <= 1e-6 * bound


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", NORMAL)
def test_normal_rules(name: str, shape: tuple[int, ...]) -> None:
    """Each number is the published deviation times the normal one that was drawn."""
    rule, options = NORMAL[name]
    w = getattr(init, name)(rv.empty(*shape), generator=generator(), **options)
    z = init.normal_(rv.empty(*shape), generator=generator())
    assert np.max(abs(w.numpy() - rule(*fans(shape)) * z.numpy())) <= 1e-6


@pytest.mark.parametrize("mode", ["fan_in", "fan_out", "FAN_OUT"])
@pytest.mark.parametrize(
    ("nonlinearity", "a", "gain"),
    [("relu", 0, math.sqrt(2)), ("tanh", 0, 5 / 3), ("linear", 0, 1), ("conv2d", 0, 1),
     ("selu", 0, 0.75), ("leaky_relu", 0.2, math.sqrt(2 / 1.04)), ("sigmoid", 0, 1)],
)  # fmt: skip
def test_gains_and_modes(mode: str, nonlinearity: str, a: float, gain: float) -> None:
    fan = fans((6, 4, 3))[mode.lower() == "fan_out"]
    options = {"a": a, "mode": mode, "nonlinearity": nonlinearity, "generator": generator()}
    w = init.kaiming_uniform_(rv.empty(6, 4, 3), **options)
    want = gain * math.sqrt(3 / fan) * (2 * unit((6, 4, 3)) - 1)
    assert np.max(abs(w.numpy() - want)) <= 1e-6


@pytest.mark.parametrize("name", [*UNIFORM, *NORMAL])
def test_moments(name: str) -> None:
    """Mean and variance of many; uniform ones reach their bound and no further."""
    rule, options = {**UNIFORM, **NORMAL}[name]
    w = getattr(init, name)(rv.empty(600, 500), generator=generator(), **options).numpy()
    width = rule(500, 600)
    spread = width / math.sqrt(3) if name in UNIFORM else width
    assert abs(w.mean()) < 4 * spread / math.sqrt(w.size)
    assert w.std() == pytest.approx(spread, rel=0.005)
    if name in UNIFORM:
        assert 0.999 * width < abs(w).max() <= width * (1 + 1e-6)


def test_truncated_normal() -> None:
    """Within its ends, with the moments of the cut distribution."""
    w = init.trunc_normal_(rv.empty(400, 500), generator=generator()).numpy().astype(float)
    assert abs(w).max() <= 2
    assert abs(w.mean()) < 0.01
    inside = math.erf(2 / math.sqrt(2))
    variance = 1 - 4 * math.exp(-2) / math.sqrt(2 * math.pi) / inside
    assert w.var() == pytest.approx(variance, rel=0.01)
    w = init.trunc_normal_(rv.empty(300, 300), 1.0, 0.5, 1.0, 9.0, generator()).numpy()
    assert w.min() >= 1 and w.mean() == pytest.approx(1 + 0.5 * math.sqrt(2 / math.pi), rel=0.01)
    same = init.trunc_normal_(rv.empty(5), a=0.5, b=0.5)
    assert same.tolist() == [0.5] * 5


def test_truncated_normal_is_the_inverse_distribution() -> None:
    """Uniform numbers through the inverse of the distribution function."""
    from statistics import NormalDist

    law = NormalDist(0.3, 1.5)
    w = init.trunc_normal_(rv.empty(50, dtype=rv.float64), 0.3, 1.5, -1, 2, generator())
    low, high = law.cdf(-1), law.cdf(2)
    want = [law.inv_cdf(low + (high - low) * u) for u in unit((50,), rv.float64)]
    assert np.max(abs(w.numpy() - want)) <= 1e-6


@pytest.mark.parametrize(
    "shape",
    [(5, 5), (3, 7), (7, 3), (70, 40), (40, 70), (33, 33), (100, 100), (8, 3, 2, 2), (1, 4)],
)
@pytest.mark.parametrize("gain", [1.0, 2.5])
def test_orthogonal(shape: tuple[int, ...], gain: float) -> None:
    """Rows or columns, whichever are fewer, to 1e-6."""
    for dtype, tolerance in ((rv.float32, 1e-6), (rv.float64, 1e-13)):
        w = init.orthogonal_(rv.empty(*shape, dtype=dtype), gain, generator()).double().numpy()
        w = w.reshape(shape[0], -1) / gain
        product = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
        assert np.max(abs(product - np.eye(len(product)))) <= tolerance


def test_orthogonal_is_the_q_of_what_was_drawn() -> None:
    """With positive R, as PyTorch corrects the signs."""
    for shape in ((40, 35), (35, 40)):
        drawn = init.normal_(rv.empty(*shape, dtype=rv.float64), generator=generator()).numpy()
        tall = drawn if shape[0] >= shape[1] else drawn.T
        q, r = np.linalg.qr(tall)
        q = q * np.sign(np.diag(r))
        w = init.orthogonal_(rv.empty(*shape, dtype=rv.float64), generator=generator()).numpy()
        assert np.max(abs(w - (q if shape[0] >= shape[1] else q.T))) <= 1e-10


def test_eye_and_dirac() -> None:
    assert np.array_equal(init.eye_(rv.empty(3, 5)).numpy(), np.eye(3, 5))
    x = rv.rand(2, 4, 9)
    w = init.dirac_(rv.empty(4, 4, 3)).numpy()
    padded = np.pad(x.numpy(), ((0, 0), (0, 0), (1, 1)))
    windows = np.stack([padded[:, :, k : k + 9] for k in range(3)], -1)
    assert np.allclose(np.einsum("nclk,ock->nol", windows, w), x.numpy())
    grouped = init.dirac_(rv.empty(4, 2, 3, 3), groups=2).numpy()
    assert grouped.sum() == 4 and (grouped[0] == grouped[2]).all()


def test_sparse() -> None:
    w = init.sparse_(rv.empty(10, 6), 0.25, std=0.5, generator=generator())
    assert (w == 0).sum(0).tolist() == [3] * 6
    assert w.numpy()[w.numpy() != 0].std() == pytest.approx(0.5, rel=0.3)
    again = init.sparse_(rv.empty(10, 6), 0.25, std=0.5, generator=generator())
    assert np.array_equal(w.numpy(), again.numpy())


@pytest.mark.parametrize(
    "name", [n for n in vars(init) if n.endswith("_") and not n.startswith("_")]
)
def test_in_place_without_gradient(name: str) -> None:
    """The tensor itself comes back, whatever its layout, and no graph is made."""
    extra = {"constant_": (0.5,), "sparse_": (0.5,)}.get(name, ())
    shape = (4, 3, 3) if name == "dirac_" else (4, 3)
    w = rv.empty(*shape).requires_grad_(True)
    assert getattr(init, name)(w, *extra) is w
    assert w.is_leaf and w.grad_fn is None
    layer = nn.Linear(3, 4)  # whose weight is a transposed view
    if name != "dirac_":
        getattr(init, name)(layer.weight, *extra)
        assert np.isfinite(layer.weight.detach().numpy()).all()


@pytest.mark.parametrize("name", ["uniform", "normal", "constant", "eye", "dirac", "xavier_uniform",
                                  "xavier_normal", "kaiming_uniform", "kaiming_normal",
                                  "orthogonal", "sparse"])  # fmt: skip
def test_old_names(name: str) -> None:
    """They work, and say what to write."""
    shape = (4, 3, 3) if name == "dirac" else (4, 3)
    extra = {"constant": (0.5,), "sparse": (0.5,)}.get(name, ())
    with pytest.warns(FutureWarning, match=f"write {name}_"):
        old = getattr(init, name)(rv.empty(*shape), *extra)
    assert old.shape == shape


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: init.xavier_uniform_(rv.empty(3)), rv.ShapeError, "2 or more"),
        (lambda: init.orthogonal_(rv.empty(3)), rv.ShapeError, r"2 or more.*\(3,\)"),
        (lambda: init.eye_(rv.empty(3)), rv.ShapeError, "matrix"),
        (lambda: init.dirac_(rv.empty(3, 3)), rv.ShapeError, "3, 4 or 5"),
        (lambda: init.dirac_(rv.empty(3, 3, 3), groups=2), rv.ShapeError, "divisor of 3"),
        (lambda: init.sparse_(rv.empty(3), 0.5), rv.ShapeError, "matrix"),
        (lambda: init.sparse_(rv.empty(3, 3), 1.5), ValueError, "share"),
        (lambda: init.sparse_(rv.empty(3, 3), 0.5, -1), ValueError, "std"),
        (lambda: init.trunc_normal_(rv.empty(3), std=0), ValueError, "std"),
        (lambda: init.trunc_normal_(rv.empty(3), a=3), ValueError, "b:"),
        (lambda: init.calculate_gain("rleu"), ValueError, "did you mean 'relu'"),
        (lambda: init.kaiming_normal_(rv.empty(2, 2), mode="fan"), ValueError, "fan_in"),
    ],
)
def test_bad_calls(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()


def test_nothing_to_fill() -> None:
    for name in ("xavier_uniform_", "kaiming_normal_", "orthogonal_", "lecun_uniform_"):
        assert getattr(init, name)(rv.empty(3, 0)).shape == (3, 0)


PYTORCHS = ["calculate_gain", "constant_", "dirac_", "eye_", "kaiming_normal_", "kaiming_uniform_",
            "normal_", "ones_", "orthogonal_", "sparse_", "trunc_normal_", "uniform_",
            "xavier_normal_", "xavier_uniform_", "zeros_"]  # fmt: skip


@pytest.mark.parametrize("name", PYTORCHS)
def test_signatures_are_pytorchs(name: str) -> None:
    torch = pytest.importorskip("torch")
    ours = inspect.signature(getattr(init, name)).parameters
    theirs = inspect.signature(getattr(torch.nn.init, name)).parameters
    assert [(p.name, p.default) for p in ours.values()] == [
        (p.name, p.default) for p in theirs.values()
    ]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("name", "options"),
    [("xavier_uniform_", {"gain": 0.7}), ("xavier_normal_", {}), ("kaiming_uniform_", {"a": 0.3}),
     ("kaiming_normal_", {"mode": "fan_out", "nonlinearity": "tanh"})],
)  # fmt: skip
def test_widths_are_pytorchs(
    name: str, options: dict[str, Any], shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What PyTorch's initialiser asks of its random numbers, ours asks too."""
    torch = pytest.importorskip("torch")
    asked: list[tuple[float, float]] = []

    def ours(tensor: Any, first: float, second: float, generator: Any = None) -> Any:
        asked.append((first, second))
        return tensor

    def theirs(tensor: Any, first: float, second: float, generator: Any = None) -> Any:
        asked.append((first, second))
        return tensor

    monkeypatch.setattr(init, "uniform_", ours)
    monkeypatch.setattr(init, "normal_", ours)
    monkeypatch.setattr(torch.Tensor, "uniform_", theirs)
    monkeypatch.setattr(torch.Tensor, "normal_", theirs)
    getattr(init, name)(rv.empty(*shape), **options)
    getattr(torch.nn.init, name)(torch.empty(*shape), **options)
    assert len(asked) == 2
    assert asked[0] == pytest.approx(asked[1], rel=1e-12)


def test_deterministic_starts_are_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    for shape, groups in (((6, 3, 3), 1), ((6, 3, 4, 3), 2), ((4, 6, 1, 3, 3), 4)):
        want = torch.nn.init.dirac_(torch.empty(*shape), groups).numpy()
        assert np.array_equal(init.dirac_(rv.empty(*shape), groups).numpy(), want)
    for name in ("linear", "conv_transpose3d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"):
        assert init.calculate_gain(name) == pytest.approx(torch.nn.init.calculate_gain(name))
    assert init.calculate_gain("leaky_relu", 0.5) == torch.nn.init.calculate_gain("leaky_relu", 0.5)
