"""Gradients of small batches, added up, have the bytes of the large batch's, whatever the op."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import ranvier as rv
from ranvier import nn

N = 24


class Uses(nn.Module):
    """One parameter, used once, as `how` says."""

    def __init__(self, how: Callable[[rv.Tensor, rv.Tensor], rv.Tensor], *shape: int) -> None:
        super().__init__()
        self.w = nn.Parameter(rv.randn(*shape))
        self.how = how

    def forward(self, x: rv.Tensor) -> rv.Tensor:
        return self.how(x, self.w)


class Squares(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.form = nn.Bilinear(N, N, N)

    def forward(self, x: rv.Tensor) -> rv.Tensor:
        return self.form(x, x) / N


LAYERS: dict[str, Callable[[], nn.Module]] = {
    "layer norm": lambda: nn.LayerNorm(N),
    "rms norm": lambda: nn.RMSNorm(N),
    "group norm": lambda: nn.GroupNorm(4, N),
    "prelu, one slope": lambda: nn.PReLU(),
    "prelu, a slope a channel": lambda: nn.PReLU(N),
    "bilinear": Squares,
    "x * w": lambda: Uses(lambda x, w: x * w, N),
    "x * w, one row": lambda: Uses(lambda x, w: x * w, 1, N),
    "w - x": lambda: Uses(lambda x, w: w - x, N),
    "x + w, one number": lambda: Uses(lambda x, w: x + w, ()),
    "x / exp(w), a view": lambda: Uses(lambda x, w: x / w.view(N), 4, 6),
    "x @ w": lambda: Uses(lambda x, w: x @ w, N, N),
    "x @ w.T": lambda: Uses(lambda x, w: x @ w.T, N, N),
    "a part for each use": lambda: Uses(lambda x, w: x * w[:N] + w[N:], 2 * N),
    "three axes": lambda: Uses(
        lambda x, w: (x.reshape(-1, 4, 6) * w).reshape(-1, N), 4, 1
    ),
}  # fmt: skip


def trained(make: Callable[[], nn.Module], batch: int, accumulate: int) -> bytes:
    rv.manual_seed(3)
    random = np.random.default_rng(0)
    x = random.standard_normal((256, N)).astype(np.float32)
    y = random.integers(0, 4, 256)
    net = nn.Sequential(nn.Linear(N, N), make(), nn.Tanh(), nn.Linear(N, 4))
    rv.fit(net, x, y, loss="cross_entropy", epochs=2, batch_size=batch, accumulate=accumulate,
           seed=1, verbose=0)  # fmt: skip
    return b"".join(p.detach().numpy().tobytes() for p in net.parameters())


@pytest.mark.filterwarnings("ignore:.*run as Python code")
@pytest.mark.parametrize("layer", LAYERS)
def test_every_layer_has_the_bytes_of_the_larger_batch(layer: str) -> None:
    whole = trained(LAYERS[layer], 128, 1)
    assert trained(LAYERS[layer], 32, 4) == whole
    assert trained(LAYERS[layer], 64, 2) == whole


def test_a_gradient_that_is_there_is_added_to_once() -> None:
    """Also where a view of the parameter, or the parameter itself, is used more than once."""
    x, w = rv.randn(5, 6), rv.randn(2, 3, requires_grad=True)

    def uses() -> list[rv.Tensor]:
        flat = w.view(6)
        return [
            x * w.view(6),
            x * flat + flat,
            x @ w.T.reshape(6),
            (w * w).sum() + (w.T @ w).sum(),
            x * w[0, :1].expand(6),
            x[:, :2] * w.view(6).unfold(0, 2, 1)[1:].sum(0),
        ]

    for i in range(6):
        w.grad = None
        uses()[i].sum().backward()
        once = w.grad.clone()
        uses()[i].sum().backward()
        assert np.allclose(w.grad.numpy(), 2 * once.numpy(), rtol=1e-5, atol=1e-6)


def test_a_view_that_is_watched_gets_its_gradient() -> None:
    x, w = rv.randn(5, 6), rv.randn(2, 3, requires_grad=True)
    seen: list[list[float]] = []
    for _ in range(2):
        seen.clear()
        view = w.view(6)
        view.retain_grad()
        view.register_hook(lambda g: seen.append(g.tolist()))
        (x * view).sum().backward()
        assert np.allclose(view.grad.numpy(), x.sum(0).numpy(), rtol=1e-5)
        assert np.allclose(seen, [x.sum(0).numpy()], rtol=1e-5)
    assert np.allclose(w.grad.numpy().ravel(), 2 * x.sum(0).numpy(), rtol=1e-5)
