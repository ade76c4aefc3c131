"""The digits, with the training loop written out in PyTorch's style: no `fit`.

Run it with `python examples/digits_by_hand.py`; it writes nothing and needs no download.
"""

from __future__ import annotations

import ranvier as rv
from ranvier import nn, optim
from ranvier.data import load_digits

rv.manual_seed(0)
(X, y), (X_test, y_test) = load_digits(test=0.2, seed=0)
net = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
loss_function = nn.CrossEntropyLoss()
optimizer = optim.Adam(net.parameters(), lr=0.005)

for epoch in range(1, 31):
    order = rv.randperm(len(X))
    for start in range(0, len(X), 32):
        rows = order[start : start + 32]
        optimizer.zero_grad()
        loss = loss_function(net(X[rows]), y[rows])
        loss.backward()
        optimizer.step()
    if epoch % 10 == 0:
        print(f"epoch {epoch}: loss of the last batch {loss.item():.4f}")

with rv.no_grad():
    right = (net(X_test).argmax(1) == y_test).sum().item()
print(f"{right} of {len(y_test)} right that it has never seen")
