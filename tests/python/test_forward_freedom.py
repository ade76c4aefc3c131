"""A forward is ordinary Python: branches on values, loops that change, print, breakpoints."""

from __future__ import annotations

import sys
from typing import Any

import pytest

import ranvier as rv
from ranvier import nn


class Free(nn.Module):
    """Branches on a value, loops as often as a counter says, prints, and stops at a breakpoint."""

    def __init__(self, stop: bool = False) -> None:
        super().__init__()
        self.first, self.again, self.out = nn.Linear(2, 8), nn.Linear(8, 8), nn.Linear(8, 1)
        self.calls = 0
        self.branches: set[bool] = set()
        self.stop = stop

    def forward(self, x: rv.Tensor) -> rv.Tensor:
        self.calls += 1
        h = self.first(x).tanh()
        for _ in range(self.calls % 3):
            h = self.again(h).tanh()
        positive = bool(h.mean() * (-1) ** self.calls > 0)
        self.branches.add(positive)
        if positive:
            h = h * 2
        else:
            print("mean", h.mean().item())
        if self.stop:
            breakpoint()
        return self.out(h)


def data() -> tuple[rv.Tensor, rv.Tensor]:
    x = rv.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    return x, rv.tensor([[0.0], [1.0], [1.0], [2.0]])


def trained_by_hand(net: Free) -> tuple[float, float]:
    x, y = data()
    optimizer = rv.optim.Adam(net.parameters(), lr=0.02)
    losses = []
    for _ in range(120):
        optimizer.zero_grad()
        loss = ((net(x) - y) ** 2).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses[0], min(losses[-3:])


@pytest.mark.parametrize("stop", [False, True])
def test_a_free_forward_trains(stop: bool, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setenv("PYTHONBREAKPOINT", "0")
    rv.manual_seed(0)
    net = Free(stop)
    first, last = trained_by_hand(net)
    assert last < 0.2 * first and net.calls == 120 and len(net.branches) == 2
    assert "mean" in capsys.readouterr().out


def test_a_free_forward_trains_under_a_debugger() -> None:
    rv.manual_seed(0)
    plain = trained_by_hand(Free())
    lines: set[str] = set()

    def trace(frame: Any, event: str, arg: Any) -> Any:
        lines.add(frame.f_code.co_name)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        rv.manual_seed(0)
        traced = trained_by_hand(Free())
    finally:
        sys.settrace(before)
    assert traced == plain and "forward" in lines


@pytest.mark.filterwarnings("ignore:.*run as Python code")
def test_a_free_forward_trains_in_fit(capsys: Any) -> None:
    rv.manual_seed(0)
    net = Free()
    history = rv.fit(net, *data(), loss="mse", lr=0.02, epochs=120, batch_size=4, verbose=0)
    losses = history.history["loss"]
    assert min(losses[-3:]) < 0.2 * losses[0] and net.calls >= 120
