"""The numbers that textbooks print, and small networks that must learn what textbooks say.

Every expected number is worked out by hand or by plain NumPy in this file; nothing is compared
with what Ranvier gave on an earlier day.
"""

from __future__ import annotations

import numpy as np
import pytest

import ranvier as rv
from ranvier import nn
from ranvier.nn import functional as F

X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
Y = np.array([[0.0], [1.0], [1.0], [0.0]])
SEEDS = range(20)


def double(values):
    return rv.tensor(values, dtype=rv.float64)


# --- single numbers -----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [rv.float32, rv.float64])
def test_first_neuron_weighs_and_steps(dtype):
    x = rv.tensor([1.0, 1.0, 0.0], dtype=dtype)
    w = rv.tensor([[5.0, 10.0, -20.0]], dtype=dtype)
    z = F.linear(x.unsqueeze(0), w, rv.tensor([2.0], dtype=dtype))
    assert z.item() == 17
    assert nn.Step()(z).item() == 1


def test_sigmoid_neuron():
    x, w = double([[0.8, 0.6, 0.9]]), double([[0.5, 0.7, 0.3]])
    z = F.linear(x, w, double([0.1]))
    assert z.item() == pytest.approx(1.19, abs=1e-12)
    assert rv.sigmoid(z).item() == pytest.approx(0.767, abs=5e-4)
    assert rv.sigmoid(z).item() == pytest.approx(1 / (1 + np.exp(-1.19)), abs=1e-15)


def test_mse_of_nearly_right_xor():
    loss = F.mse_loss(double([[0.002], [0.998], [0.997], [0.003]]), double(Y))
    assert loss.item() == pytest.approx(6.5e-6, abs=1e-15)


def test_delta_rule_of_one_sigmoid_neuron():
    w = double([[0.5]]).requires_grad_()
    b = double([0.1]).requires_grad_()
    z = F.linear(double([[0.8]]), w, b)
    loss = F.half_squared_error(rv.sigmoid(z), double([[1.0]]))
    loss.backward()
    assert b.grad.item() == pytest.approx(-0.0887, abs=5e-5)  # delta
    assert w.grad.item() == pytest.approx(-0.0710, abs=5e-5)
    s = 1 / (1 + np.exp(-0.5))
    assert b.grad.item() == pytest.approx((s - 1) * s * (1 - s), abs=1e-15)
    assert w.grad.item() == pytest.approx(0.8 * (s - 1) * s * (1 - s), abs=1e-15)


@pytest.mark.parametrize("dtype", [rv.float32, rv.float64])
def test_binary_cross_entropy(dtype):
    one = rv.tensor([1.0], dtype=dtype)
    for p, expected in ((0.99, 0.01005), (0.01, 4.60517)):
        loss = F.binary_cross_entropy(rv.tensor([p], dtype=dtype), one)
        assert loss.item() == pytest.approx(expected, abs=5e-6)
    for wrong in (0.0, 1.0):
        target = rv.tensor([1.0 - wrong], dtype=dtype)
        p = rv.tensor([wrong], dtype=dtype, requires_grad=True)
        loss = F.binary_cross_entropy(p, target)
        assert np.isfinite(loss.item()) and loss.item() > 10
        loss.backward()
        assert np.isfinite(p.grad.item())


@pytest.mark.parametrize("dtype", [rv.float32, rv.float64])
def test_softmax_of_large_numbers(dtype):
    p = rv.softmax(rv.tensor([1000.0, 1001.0, 1002.0], dtype=dtype), dim=-1).numpy()
    np.testing.assert_allclose(p, [0.0900, 0.2447, 0.6652], atol=5e-5)
    assert abs(p.sum() - 1) < 1e-6


def test_hand_set_network_solves_xor():
    net = nn.Sequential(nn.Linear(2, 2), nn.Sigmoid(), nn.Linear(2, 1), nn.Sigmoid()).double()
    weights = ([[20.0, 20.0], [20.0, 20.0]], [-10.0, -30.0], [[20.0, -20.0]], [-10.0])
    for parameter, values in zip(net.parameters(), weights, strict=True):
        parameter.data = double(values)
    assert F.mse_loss(net(double(X)), double(Y)).item() < 1e-8


# --- the same losses as plain NumPy -------------------------------------------------------------


def start(seed):
    """Weights and biases of a 2-4-1 net from the standard normal distribution."""
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) for shape in ((2, 4), (4,), (4, 1), (1,))]


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def numpy_losses(weights, lr, epochs, squared):
    """The loss before every 100th epoch and after the last one; the textbook's own formulas."""
    w1, b1, w2, b2 = (w.copy() for w in weights)
    losses = []
    for epoch in range(epochs + 1):
        hidden = sigmoid(X @ w1 + b1)
        out = sigmoid(hidden @ w2 + b2)
        if epoch % 100 == 0:
            cross = -(Y * np.log(out) + (1 - Y) * np.log(1 - out)).mean()
            losses.append(0.5 * ((out - Y) ** 2).sum() if squared else cross)
        delta2 = (out - Y) * out * (1 - out) if squared else (out - Y) / 4
        delta1 = delta2 @ w2.T * hidden * (1 - hidden)
        w2 -= lr * hidden.T @ delta2
        b2 -= lr * delta2.sum(axis=0)
        w1 -= lr * X.T @ delta1
        b1 -= lr * delta1.sum(axis=0)
    return np.array(losses)


def network(weights):
    net = nn.Sequential(
        nn.Linear(2, 4, dtype=rv.float64),
        nn.Sigmoid(),
        nn.Linear(4, 1, dtype=rv.float64),
        nn.Sigmoid(),
    )
    for parameter, values in zip(net.parameters(), weights, strict=True):
        parameter.data = rv.tensor(values.T)
    return net


def our_losses(net, lr, epochs, squared, recorded):
    loss_of = nn.HalfSquaredError(reduction="sum") if squared else nn.BCELoss()
    optimizer = rv.optim.SGD(net.parameters(), lr=lr)

    def step(x, y):
        optimizer.zero_grad()
        loss = loss_of(net(x), y)
        loss.backward()
        optimizer.step()
        return loss

    data = (rv.tensor(X), rv.tensor(Y))
    if recorded:
        program = rv.Program.record(step, *data)
        losses = [program.first.item()]
        run = program.replay
    else:
        losses = [step(*data).item()]
        run = step
    for epoch in range(1, epochs + 1):
        loss = run(*data)
        if epoch % 100 == 0:
            losses.append(loss.item())
    return np.array(losses)


def check_line(seed, lr, epochs, squared, recorded):
    weights = start(seed)
    net = network(weights)
    ours = our_losses(net, lr, epochs, squared, recorded)
    np.testing.assert_allclose(ours, numpy_losses(weights, lr, epochs, squared), rtol=0, atol=1e-9)
    return net(rv.tensor(X)).detach().numpy()


def test_line_a_half_squared_error():
    for seed in SEEDS:
        out = check_line(seed, 0.1, 10_000, True, recorded=True)
        assert np.array_equal(out > 0.5, Y > 0.5), f"seed {seed}: {out.ravel()}"


def test_line_b_delta_is_prediction_minus_target():
    for seed in SEEDS:
        out = check_line(seed, 1.0, 2_000, False, recorded=True)
        assert ((out - Y) ** 2).mean() < 0.005, f"seed {seed}: {out.ravel()}"


@pytest.mark.parametrize(("lr", "epochs", "squared"), [(0.1, 10_000, True), (1.0, 2_000, False)])
def test_lines_a_and_b_without_recording(lr, epochs, squared):
    check_line(0, lr, epochs, squared, recorded=False)


# --- a script that was written for PyTorch ------------------------------------------------------

SCRIPT = """
import torch
import torch.nn as nn
import torch.optim as optim

torch.manual_seed(SEED)

X = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=torch.float32)
y = torch.tensor([[0], [1], [1], [0]], dtype=torch.float32)


class XOR(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(2, 4)
        self.output = nn.Linear(4, 1)

    def forward(self, x):
        x = torch.sigmoid(self.hidden(x))
        return torch.sigmoid(self.output(x))


model = XOR()
criterion = nn.MSELoss()
optimizer = optim.Adam(model.parameters(), lr=0.1)

for epoch in range(1000):
    optimizer.zero_grad()
    output = model(X)
    loss = criterion(output, y)
    loss.backward()
    optimizer.step()

model.eval()
with torch.no_grad():
    predicted = (model(X) > 0.5).float()
right = (predicted == y).sum().item()
"""


def test_pytorch_script_with_its_imports_changed():
    script = (
        SCRIPT.replace("import torch\n", "import ranvier as torch\n")
        .replace("import torch.nn as nn", "import ranvier.nn as nn")
        .replace("import torch.optim as optim", "import ranvier.optim as optim")
    )
    solved = 0
    for seed in SEEDS:
        names = {"SEED": seed, "__name__": "script"}
        exec(script, names)
        solved += names["right"] == 4
    assert solved >= 16
