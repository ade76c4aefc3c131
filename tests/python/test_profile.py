"""The times of a program's instructions: they add up, and measuring changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import ranvier as rv
from ranvier import nn, optim
from ranvier.nn import functional as F

ROWS = rv.tensor([[0.5 * i - j for j in range(6)] for i in range(12)])
LABELS = rv.tensor([i % 3 for i in range(12)])


def bits(tensors: Any) -> list[bytes]:
    return [t.detach().numpy().tobytes() for t in tensors]


def training(seed: int = 0) -> tuple[nn.Module, Callable[..., rv.Tensor], optim.Optimizer]:
    rv.manual_seed(seed)
    net = nn.Sequential(
        nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.4), nn.Linear(8, 3)
    )
    optimizer = optim.Adam(net.parameters(), lr=0.05)

    def step(x: rv.Tensor, y: rv.Tensor) -> rv.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return net, step, optimizer


def seen(net: nn.Module, optimizer: optim.Optimizer) -> list[bytes]:
    gradients = [p.grad for p in net.parameters()]
    states = [t for s in optimizer.state.values() for t in s.values() if isinstance(t, rv.Tensor)]
    return bits([*net.parameters(), *net.buffers(), *gradients, *states, rv.get_rng_state()])


def test_measuring_changes_nothing() -> None:
    net, step, optimizer = training()
    program = rv.Program.record(step, ROWS, LABELS)
    before = seen(net, optimizer)
    program.profile(5)
    assert seen(net, optimizer) == before
    after = [program.replay(ROWS, LABELS) for _ in range(5)]
    other, step, _ = training()
    program = rv.Program.record(step, ROWS, LABELS)
    assert bits(after) == bits([program.replay(ROWS, LABELS) for _ in range(5)])
    assert bits(net.parameters()) == bits(other.parameters())


def test_before_a_replay_the_recorded_inputs_are_measured() -> None:
    for _ in range(3):
        used = [rv.full((12,), 99) for _ in range(50)]  # what is handed out next holds no labels
    used.clear()
    program = rv.Program.record(F.cross_entropy, ROWS[:, :3], LABELS)
    used = [rv.full((12,), 99) for _ in range(50)]
    assert len(program.profile(1)) == 1


def test_a_graph_that_waits_is_not_disturbed() -> None:
    weight = rv.ones(3, requires_grad=True)

    def step(x: rv.Tensor) -> rv.Tensor:
        with rv.no_grad():
            weight.add_(x)
        return weight.sum()

    program = rv.Program.record(step, rv.ones(3))
    waiting = (weight * weight).sum()
    program.profile(2)
    waiting.backward()
    assert weight.grad is not None and weight.grad.tolist() == [4, 4, 4]


def test_times_add_up_to_the_step() -> None:
    _, step, _ = training()
    small = rv.Program.record(step, ROWS, LABELS)
    weight = rv.ones(256, 256)
    large = rv.Program.record(lambda x: (x @ weight).sigmoid().sum(), rv.ones(256, 256))
    for program in (small, large):
        off = []
        for _ in range(5):  # another process may come in between
            profile = program.profile(50)
            off.append(abs(sum(t.time for t in profile) / profile.total.time - 1))
        assert min(off) <= 0.1, off


def test_the_table() -> None:
    weight = rv.ones(64, 64)

    def function(x: rv.Tensor) -> rv.Tensor:
        return (x @ weight).sum()

    profile = rv.Program.record(function, rv.ones(64, 64)).profile(n=20)
    assert [t.op for t in profile] == ["matmul", "sum"]
    assert len(profile) == 2 and profile[0].op == "matmul" and len(profile[:1]) == 1
    line = function.__code__.co_firstlineno + 1
    assert profile[0].where == f"test_profile.py:{line}"
    assert profile[0].gflops == pytest.approx(2e-3 * 64**3 / profile[0].time)
    assert profile[0].gbytes == pytest.approx(1e-3 * 3 * 4 * 64**2 / profile[0].time)
    assert profile.total.percent == pytest.approx(100) and profile.total.time > 0
    lines = str(profile).splitlines()
    assert len(lines) == 4 and "GFLOP/s" in lines[0] and lines[-1].startswith("step")
    assert len({len(line) for line in lines}) == 1


def test_what_fails_leaves_everything_as_it_was() -> None:
    count, labels = rv.zeros(1), rv.tensor([0, 1])

    def step(x: rv.Tensor) -> rv.Tensor:
        count.add_(1)
        return F.cross_entropy(x, labels)

    program = rv.Program.record(step, rv.ones(2, 2))
    labels.fill_(7)
    with pytest.raises(IndexError, match="labels from 0 to 1"):
        program.profile(3)
    assert count.item() == 1
    with pytest.raises(ValueError, match="n of 1 or more, got 0"):
        program.profile(0)
    assert len(rv.Program.record(lambda x: x, rv.ones(1)).profile(1)) == 0
