"""Programs as tutorials print them, with nothing changed but the import lines."""

from __future__ import annotations

import numpy as np
import pytest

import ranvier as rv


def moons(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two half circles, float64 as NumPy makes them, and which one a point is on."""
    random = np.random.default_rng(seed)
    label = np.arange(count) % 2
    angle = np.pi * random.random(count)
    x = np.where(label == 0, np.cos(angle), 1 - np.cos(angle))
    y = np.where(label == 0, np.sin(angle), 0.5 - np.sin(angle))
    return np.stack([x, y], 1) + 0.1 * random.standard_normal((count, 2)), label


def test_binary_classifier() -> None:
    import ranvier as torch
    import ranvier.nn as nn
    import ranvier.optim as optim
    from ranvier.utils.data import DataLoader, TensorDataset

    torch.manual_seed(42)
    X, y = moons(400, 0)

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    X = torch.tensor(X, dtype=torch.float32).to(device)
    y = torch.tensor(y, dtype=torch.float32).unsqueeze(1).to(device)
    loader = DataLoader(TensorDataset(X, y), batch_size=32, shuffle=True)

    class BinaryClassifier(nn.Module):
        def __init__(self, input_size: int, hidden_size: int) -> None:
            super(BinaryClassifier, self).__init__()  # noqa: UP008  as tutorials write it
            self.fc1 = nn.Linear(input_size, hidden_size)
            self.relu = nn.ReLU()
            self.fc2 = nn.Linear(hidden_size, 1)
            self.sigmoid = nn.Sigmoid()

        def forward(self, x):  # type: ignore[no-untyped-def]
            out = self.relu(self.fc1(x))
            return self.sigmoid(self.fc2(out))

    model = BinaryClassifier(2, 16).to(device)
    criterion = nn.BCELoss()
    optimizer = optim.Adam(model.parameters(), lr=0.01)

    losses = []
    for _ in range(60):
        model.train()
        running_loss = 0.0
        for inputs, labels in loader:
            inputs, labels = inputs.to(device), labels.to(device)
            optimizer.zero_grad()
            outputs = model(inputs)
            loss = criterion(outputs, labels)
            loss.backward()
            optimizer.step()
            running_loss += loss.item() * inputs.size(0)
        losses.append(running_loss / len(loader.dataset))

    model.eval()
    correct = total = 0
    with torch.no_grad():
        for inputs, labels in loader:
            predicted = (model(inputs) > 0.5).float()
            total += labels.size(0)
            correct += (predicted == labels).sum().item()
    assert total == 400 and correct / total > 0.97
    assert losses[-1] < 0.1 < losses[0]


def test_many_classes_with_torch_max() -> None:
    import ranvier as torch
    from ranvier import nn

    torch.manual_seed(0)
    X = torch.randn(300, 4)
    labels = X.argmax(dim=1)
    train_dataset = torch.utils.data.TensorDataset(X, labels)
    train_loader = torch.utils.data.DataLoader(train_dataset, batch_size=50, shuffle=True)

    model = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 4))
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=10, gamma=0.5)
    for _ in range(20):
        for x, y in train_loader:
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()
        scheduler.step()
    assert scheduler.get_last_lr() == [0.125]
    with torch.no_grad():
        out = model(X)
        _, predicted = torch.max(out, 1)
        _, same = torch.max(out.data, 1)
    assert torch.equal(predicted, same)
    assert (predicted == labels).sum().item() / labels.size(0) > 0.97


@pytest.mark.filterwarnings("ignore:.*run as Python code")
def test_control_flow_in_forward(capsys: pytest.CaptureFixture[str]) -> None:
    """`if` on a value, a loop whose length changes, `print` and a breakpoint: all of it trains."""
    nn = rv.nn

    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.again, self.last = nn.Linear(3, 8), nn.Linear(8, 8), nn.Linear(8, 1)
            self.calls = 0

        def forward(self, x: rv.Tensor) -> rv.Tensor:
            self.calls += 1
            h = self.first(x).relu()
            if h.mean() > 0.2:
                h = h * 0.5
            for _ in range(self.calls % 3):
                h = self.again(h).tanh()
            if self.calls == 1:
                print("hidden:", h.shape)
                breakpoint()
            return self.last(h)

    import sys

    stops = []
    hook, sys.breakpointhook = sys.breakpointhook, lambda *args, **kwargs: stops.append(1)
    try:
        rv.manual_seed(0)
        X = rv.randn(64, 3)
        history = rv.fit(Branching(), X, X.sum(1), loss="mse", epochs=60, lr=0.01, verbose=0)
    finally:
        sys.breakpointhook = hook
    assert stops == [1] and "hidden:" in capsys.readouterr().out
    assert history.history["loss"][-1] < 0.2 * history.history["loss"][0]
