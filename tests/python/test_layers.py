"""Dropout and normalisation: statistics, modes, replay, bits, and PyTorch's numbers.

Values and gradients of the ops are the case table's; here is what the layers make of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier import nn
from ranvier.nn import functional as F
from ranvier.nn.functional_norm import keyed_rows

# --- dropout --------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_dropout_drops_p_and_keeps_the_mean(p):
    rv.manual_seed(1)
    x = rv.ones(1000, 1000)
    y = nn.Dropout(p)(x).numpy()
    # Five standard deviations of 10^6 independent draws.
    assert abs((y == 0).mean() - p) < 5 * np.sqrt(p * (1 - p)) / 1000
    assert np.allclose(y[y != 0], 1 / (1 - p))
    assert abs(np.corrcoef(y[:, 0], y[:, 1])[0, 1]) < 0.16
    assert abs(np.corrcoef(y[0], y[1])[0, 1]) < 0.16


def test_dropout_gradient_follows_the_mask():
    x = rv.randn(50, 7, requires_grad=True)
    y = F.dropout(x, 0.3)
    y.sum().backward()
    kept = (y.detach().numpy() != 0) / np.float32(0.7)
    np.testing.assert_allclose(x.grad.numpy(), kept, rtol=1e-6)


def test_dropout_in_evaluation_and_at_the_ends():
    x = rv.rand(5, 3)
    assert nn.Dropout(0.5).eval()(x) is x
    assert F.dropout(x, 0.5, training=False) is x and F.dropout(x, 0.0) is x
    assert F.dropout(x, 1.0).tolist() == np.zeros((5, 3)).tolist()
    assert F.alpha_dropout(x) is x  # PyTorch's default: not training
    assert repr(nn.Dropout(0.2)) == "Dropout(p=0.2, inplace=False)"


def test_dropout_in_place():
    x = rv.ones(100)
    y = nn.Dropout(0.5, inplace=True)(x)
    assert y is x and set(x.tolist()) == {0.0, 2.0}
    w = rv.ones(100, requires_grad=True)
    h = w * 1
    F.dropout(h, 0.5, inplace=True)
    h.sum().backward()
    assert w.grad.tolist() == h.tolist()


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan"), "much", None, True])
def test_dropout_refuses_what_is_no_probability(p):
    for make in (nn.Dropout, nn.AlphaDropout, lambda q: F.dropout(rv.ones(2), q)):
        with pytest.raises(ValueError, match=r"p: expected a probability from 0 to 1"):
            make(p)


def test_dropout_refuses_integers():
    with pytest.raises(TypeError, match=r"\[dropout\] .*int64"):
        F.dropout(rv.tensor([1, 2]))


def test_dropout_draws_the_same_for_every_number_of_threads():
    results = []
    for threads in (1, 2, 5):
        rv.set_num_threads(threads)
        rv.manual_seed(3)
        results.append(F.dropout(rv.ones(300, 70)).numpy().tobytes())
    rv.set_num_threads(2)
    assert len(set(results)) == 1


def test_a_recorded_dropout_draws_anew():
    layer = nn.Dropout(0.5)
    x = rv.ones(64)
    rv.manual_seed(0)
    eager = [layer(x).tolist() for _ in range(3)]
    rv.manual_seed(0)
    program = rv.Program.record(layer, x)
    assert [program.first.tolist(), *(program.replay(x).tolist() for _ in range(2))] == eager
    assert eager[0] != eager[1] != eager[2]


def test_keyed_rows_do_not_depend_on_how_a_batch_is_cut():
    net = nn.Sequential(nn.Dropout(0.5), nn.Flatten(), nn.Dropout(0.3))
    x = rv.ones(12, 3, 2)

    def run(step: int, first: int, last: int) -> Any:
        with keyed_rows(rv.tensor([9, step, first])):
            return net(x[first:last]).numpy()

    before = rv.get_rng_state()
    whole = run(0, 0, 12)
    parts = [run(0, a, b) for a, b in ((0, 1), (1, 5), (5, 12))]
    assert np.array_equal(np.concatenate(parts), whole)
    assert not np.array_equal(whole, run(1, 0, 12))
    assert rv.equal(before, rv.get_rng_state())


def test_alpha_dropout_keeps_mean_and_variance():
    rv.manual_seed(0)
    y = nn.AlphaDropout(0.3)(rv.randn(1000, 1000)).numpy()
    assert abs(y.mean()) < 0.01 and abs(y.std() - 1) < 0.01


# --- batch norm -----------------------------------------------------------------------------------


def test_batch_norm_trains_by_the_batch_and_predicts_by_running_statistics():
    rng = np.random.default_rng(0)
    layer = nn.BatchNorm1d(4, dtype=rv.float64)
    mean, var = np.zeros(4), np.ones(4)
    for _ in range(5):
        x = rng.normal(3, 2, (8, 4))
        y = layer(rv.tensor(x)).detach().numpy()
        want = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)
        np.testing.assert_allclose(y, want, atol=1e-12)
        mean, var = 0.9 * mean + 0.1 * x.mean(0), 0.9 * var + 0.1 * x.var(0, ddof=1)
    np.testing.assert_allclose(layer.running_mean.numpy(), mean, rtol=1e-12)
    np.testing.assert_allclose(layer.running_var.numpy(), var, rtol=1e-12)
    assert layer.num_batches_tracked.item() == 5
    x = rng.normal(size=(1, 4))
    y = layer.eval()(rv.tensor(x)).detach().numpy()
    np.testing.assert_allclose(y, (x - mean) / np.sqrt(var + 1e-5), rtol=1e-12)
    assert layer.num_batches_tracked.item() == 5


def test_batch_norm_without_momentum_averages_all_batches():
    layer = nn.BatchNorm1d(2, momentum=None)
    batches = [rv.randn(6, 2) for _ in range(4)]
    for x in batches:
        layer(x)
    means = np.mean([x.numpy().mean(0) for x in batches], axis=0)
    np.testing.assert_allclose(layer.running_mean.numpy(), means, atol=1e-6)
    layer.reset_running_stats()
    assert layer.running_mean.tolist() == [0, 0] and layer.num_batches_tracked.item() == 0


def test_batch_norm_without_running_statistics():
    layer = nn.BatchNorm1d(3, track_running_stats=False, affine=False)
    assert list(layer.state_dict()) == [] and list(layer.parameters()) == []
    x = rv.randn(5, 3)
    assert rv.equal(layer(x), layer.eval()(x))
    assert repr(layer) == (
        "BatchNorm1d(3, eps=1e-05, momentum=0.1, affine=False, bias=False, "
        "track_running_stats=False)"
    )
    assert list(nn.BatchNorm1d(3).state_dict()) == [
        "weight", "bias", "running_mean", "running_var", "num_batches_tracked",
    ]  # fmt: skip


def test_batch_norm_says_what_is_wrong():
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    with pytest.raises(ValueError, match=r"layer 1 \(BatchNorm1d\): .*more than 1 value per"):
        net(rv.ones(1, 2))
    assert net[1].num_batches_tracked.item() == 0
    assert net.eval()(rv.ones(1, 2)).shape == (1, 3)
    with pytest.raises(rv.ShapeError, match=r"\(N, C\) or \(N, C, L\), got \(3,\)"):
        nn.BatchNorm1d(3)(rv.ones(3))
    with pytest.raises(rv.ShapeError, match=r"\(4,\)|\(3,\)"):
        nn.BatchNorm1d(3)(rv.ones(5, 4))
    with pytest.raises(TypeError, match=r"float64.*float32.*\.double\(\)"):
        nn.BatchNorm1d(3)(rv.ones(5, 3, dtype=rv.float64))
    with pytest.raises(TypeError, match=r"float64.*float32.*\.double\(\)"):
        nn.BatchNorm1d(3).eval()(rv.ones(5, 3, dtype=rv.float64))
    with pytest.raises(ValueError, match="training=True"):
        F.batch_norm(rv.ones(5, 3), None, None)


def test_a_recorded_batch_norm_moves_its_statistics():
    layer, other = nn.BatchNorm1d(3, momentum=None), nn.BatchNorm1d(3, momentum=None)
    batches = [rv.randn(6, 3) for _ in range(4)]
    for x in batches:
        other(x)
    program = rv.Program.record(lambda x: layer(x), batches[0])
    for x in batches[1:]:
        program.replay(x)
    assert layer.num_batches_tracked.item() == 4
    assert rv.equal(layer.running_mean, other.running_mean)
    assert rv.equal(layer.running_var, other.running_var)


# --- norms of rows --------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda: nn.LayerNorm(37), lambda: nn.RMSNorm(37)])
def test_a_row_does_not_depend_on_its_place_in_the_batch(make):
    layer, x = make(), rv.randn(512, 37)
    whole = layer(x).detach().numpy()
    for first, last in ((0, 1), (3, 10), (511, 512)):
        part = layer(x[first:last]).detach().numpy()
        assert part.tobytes() == whole[first:last].tobytes()


@pytest.mark.parametrize("make", [lambda: nn.LayerNorm(37), lambda: nn.RMSNorm(37)])
def test_a_batch_in_parts_gives_the_gradients_of_the_whole(make):
    """To the bit: the chain over rows goes on where the part before ended."""
    net = nn.Sequential(nn.Linear(5, 37), make(), nn.Tanh(), nn.Linear(37, 2))
    x, seed = rv.randn(64, 5), rv.randn(64, 2)
    gradients = []
    for size in (64, 16, 1):
        net.zero_grad()
        for i in range(0, 64, size):
            net(x[i : i + size]).backward(seed[i : i + size])
        gradients.append([p.grad.numpy().tobytes() for p in net.parameters()])
    assert gradients[0] == gradients[1] == gradients[2]


def test_norms_say_what_is_wrong():
    with pytest.raises(rv.ShapeError, match=r"\[layer_norm\] 0?.*last axes are \(5,\), got \(2, 4"):
        nn.LayerNorm(5)(rv.ones(2, 4))
    with pytest.raises(TypeError, match=r"layer 0 \(LayerNorm\): .*float64.*\.float\(\)"):
        nn.Sequential(nn.LayerNorm(4))(rv.ones(2, 4, dtype=rv.float64))
    for make in (nn.LayerNorm, nn.RMSNorm):
        for shape in ((), 2.5, "2", None):
            with pytest.raises(TypeError, match="normalized_shape"):
                make(shape)
        with pytest.raises(ValueError, match="normalized_shape"):
            make((3, 0))
    with pytest.raises(ValueError, match="divisor of the 4 channels, got 3"):
        nn.GroupNorm(3, 4)


def test_norms_without_parts():
    assert list(nn.LayerNorm(3, bias=False).state_dict()) == ["weight"]
    assert list(nn.LayerNorm(3, elementwise_affine=False).state_dict()) == []
    assert repr(nn.LayerNorm((2, 3))) == (
        "LayerNorm((2, 3), eps=1e-05, elementwise_affine=True, bias=True)"
    )
    assert repr(nn.RMSNorm(3)) == "RMSNorm((3,), eps=None, elementwise_affine=True)"
    assert repr(nn.GroupNorm(1, 2)) == "GroupNorm(1, 2, eps=1e-05, affine=True, bias=True)"


def test_half_precision_is_computed_in_float32():
    x = rv.randn(6, 8)
    for layer in (nn.LayerNorm(8), nn.RMSNorm(8), nn.BatchNorm1d(8), nn.GroupNorm(2, 8)):
        want = layer(x).detach().numpy()
        got = layer.half()(x.half())
        assert got.dtype is rv.float16
        np.testing.assert_allclose(got.detach().float().numpy(), want, atol=4e-3)
        got.float().sum().backward()
        assert layer.weight.grad.dtype is rv.float16


def test_far_from_zero_little_is_lost():
    x = rv.tensor(np.random.default_rng(0).normal(1e4, 1, (64, 256)).astype("float32"))
    want = x.double()
    for layer in (nn.LayerNorm(256), nn.BatchNorm1d(256)):
        exact = type(layer)(256).double()(want).detach().numpy()
        # The mean is rounded as x is: to 2^-10 at 10^4.
        np.testing.assert_allclose(layer(x).detach().numpy(), exact, atol=2**-10)


# --- bilinear -------------------------------------------------------------------------------------


def test_bilinear():
    layer = nn.Bilinear(3, 4, 2, dtype=rv.float64)
    a, b = rv.randn(5, 3, dtype=rv.float64), rv.randn(5, 4, dtype=rv.float64)
    w, c = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    want = np.einsum("ni,kij,nj->nk", a.numpy(), w, b.numpy()) + c
    np.testing.assert_allclose(layer(a, b).detach().numpy(), want, rtol=1e-12)
    assert layer(a[0], b[0]).shape == (2,) and layer(a[None], b[None]).shape == (1, 5, 2)
    assert nn.Bilinear(2, 2, 1, bias=False).bias is None
    with pytest.raises(rv.ShapeError, match=r"\[bilinear\].*\(5, 3\), \(5, 3\)"):
        layer(a, a)
    with pytest.raises(TypeError, match="float32"):
        layer(a, b.float())


# --- PyTorch's numbers ----------------------------------------------------------------------------

PAIRS: list[tuple[str, tuple[Any, ...], dict[str, Any], tuple[int, ...]]] = [
    ("LayerNorm", (7,), {}, (5, 7)),
    ("LayerNorm", ((3, 7),), {"eps": 0.1}, (5, 3, 7)),
    ("LayerNorm", (7,), {"bias": False}, (5, 7)),
    ("LayerNorm", (7,), {"elementwise_affine": False}, (5, 7)),
    ("RMSNorm", (7,), {}, (5, 7)),
    ("RMSNorm", ((3, 7),), {"eps": 0.1}, (5, 3, 7)),
    ("GroupNorm", (2, 6), {}, (5, 6, 4)),
    ("GroupNorm", (2, 8), {"affine": False}, (5, 8)),
    ("BatchNorm1d", (7,), {}, (5, 7)),
    ("BatchNorm1d", (7,), {"momentum": None}, (5, 7)),
    ("BatchNorm1d", (7,), {"momentum": 0.3, "eps": 0.1}, (5, 7, 3)),
    ("BatchNorm1d", (7,), {"affine": False}, (5, 7)),
    ("BatchNorm1d", (7,), {"track_running_stats": False}, (5, 7)),
]


@pytest.mark.parametrize(("name", "args", "kwargs", "shape"), PAIRS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_gradients_and_statistics_are_pytorchs(name, args, kwargs, shape, dtype):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    mine, theirs = getattr(nn, name)(*args, **kwargs), getattr(torch.nn, name)(*args, **kwargs)
    mine, theirs = mine.to(dtype), theirs.to(getattr(torch, dtype))
    assert repr(mine) == repr(theirs)
    assert list(mine.state_dict()) == list(theirs.state_dict())
    for p, q in zip(mine.parameters(), theirs.parameters(), strict=True):
        values = rng.normal(size=p.shape).astype(dtype)
        p.data, q.data = rv.tensor(values), torch.tensor(values)
    for step in range(4):
        if step == 3:
            mine.eval(), theirs.eval()
        values = rng.normal(1, 2, shape).astype(dtype)
        x = rv.tensor(values, requires_grad=True)
        t = torch.tensor(values, requires_grad=True)
        y, u = mine(x), theirs(t)
        weights = rng.normal(size=y.shape).astype(dtype)
        (y * rv.tensor(weights)).sum().backward()
        (u * torch.tensor(weights)).sum().backward()
        pairs = [(y, u), (x.grad, t.grad)]
        pairs += [
            (p.grad, q.grad) for p, q in zip(mine.parameters(), theirs.parameters(), strict=True)
        ]
        pairs += list(zip(mine.buffers(), theirs.buffers(), strict=True))
        for a, b in pairs:
            scale = max(1.0, float(b.detach().abs().max()))
            np.testing.assert_allclose(
                a.detach().numpy() / scale, b.detach().numpy() / scale, atol=1e-6
            )
