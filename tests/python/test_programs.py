"""What a recorded list is made into: fewer instructions, one block of memory, the same bits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier import nn, optim
from ranvier.nn import functional as F

ROWS = np.random.default_rng(0).standard_normal((12, 6)).astype("float32")
LABELS = np.arange(12) % 3
OPTIMIZERS: list[Callable[[Any], optim.Optimizer]] = [
    lambda p: optim.SGD(p, lr=0.1),
    lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    lambda p: optim.Adam(p, lr=0.1, amsgrad=True),
    lambda p: optim.AdamW(p, lr=0.1),
    lambda p: optim.RMSprop(p, lr=0.01, centered=True, momentum=0.5),
    lambda p: optim.Adagrad(p, lr=0.1),
    lambda p: optim.Adadelta(p, lr=1.0),
    lambda p: optim.Adamax(p, lr=0.1),
    lambda p: optim.NAdam(p, lr=0.1),
    lambda p: optim.RAdam(p, lr=0.1),
    lambda p: optim.Lion(p, lr=0.01),
    lambda p: optim.Rprop(p, lr=0.01),
    lambda p: optim.ASGD(p, lr=0.1),
]


def bits(tensors: Any) -> list[bytes]:
    return [t.detach().numpy().tobytes() for t in tensors]


def network(activation: Callable[[], nn.Module], *more: nn.Module) -> nn.Sequential:
    rv.manual_seed(0)
    return nn.Sequential(
        nn.Linear(6, 5), activation(), *more, nn.Linear(5, 4), activation(), nn.Linear(4, 3)
    )


def step_of(net: nn.Module, optimizer: optim.Optimizer) -> Callable[..., rv.Tensor]:
    def step(x: rv.Tensor, y: rv.Tensor) -> rv.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step


def batches(count: int) -> list[tuple[rv.Tensor, rv.Tensor]]:
    rng = np.random.default_rng(1)
    picks = [rng.permutation(12)[:7] for _ in range(count)]
    return [(rv.tensor(ROWS[i]), rv.tensor(LABELS[i])) for i in picks]


def lines_of(program: rv.Program) -> list[str]:
    return [op.split("+")[0] for op, _ in program.instructions]


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("threads", [1, 3])
def test_two_hundred_steps_are_eager_bit_for_bit(kind: Any, threads: int) -> None:
    before = rv.get_num_threads()
    rv.set_num_threads(threads)
    try:
        nets = [network(nn.Tanh) for _ in range(2)]
        steps = [step_of(net, kind(net.parameters())) for net in nets]
        data = batches(200)
        program = rv.Program.record(steps[0], *data[0])
        losses = [program.first, *[program.replay(*batch) for batch in data[1:]]]
        assert bits(losses) == bits([steps[1](*batch) for batch in data])
        assert bits(nets[0].parameters()) == bits(nets[1].parameters())
    finally:
        rv.set_num_threads(before)


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Sigmoid, nn.GELU, nn.SiLU, nn.Softplus, nn.ELU])
@pytest.mark.parametrize("normal", [lambda: nn.BatchNorm1d(5), lambda: nn.LayerNorm(5)])
def test_layers_with_state_go_on_as_in_eager(activation: Any, normal: Any) -> None:
    nets = [network(activation, normal(), nn.Dropout(0.4)) for _ in range(2)]
    data, ends = batches(30), []
    for i, net in enumerate(nets):
        rv.manual_seed(7)
        step = step_of(net, optim.Adam(net.parameters(), lr=0.05))
        if i == 0:
            program = rv.Program.record(step, *data[0])
            losses = [program.first, *[program.replay(*batch) for batch in data[1:]]]
        else:
            losses = [step(*batch) for batch in data]
        ends.append(bits([*losses, *net.parameters(), *net.buffers()]))
    assert ends[0] == ends[1]


def test_a_step_is_a_short_list() -> None:
    net = network(nn.Sigmoid)
    program = rv.Program.record(step_of(net, optim.Adam(net.parameters())), *batches(1)[0])
    assert lines_of(program) == [
        "linear",
        "linear",
        "linear",
        "cross_entropy",
        "cross_entropy_backward",
        "linear_weight_grad",
        "linear_input_grad",
        "linear_weight_grad",
        "linear_input_grad",
        "linear_weight_grad",
        "adam_updates",
    ]
    assert [op for op, _ in program.instructions].count("linear+sigmoid") == 2
    assert [op for op, _ in program.instructions].count("linear_input_grad+sigmoid") == 2


def test_gelu_reads_what_came_in() -> None:
    net = network(nn.GELU)
    program = rv.Program.record(step_of(net, optim.SGD(net.parameters())), *batches(1)[0])
    assert lines_of(program).count("gelu") == 2  # its backward reads the layer's result
    assert lines_of(program).count("linear_input_grad") == 2


def test_what_somebody_sees_is_left_alone() -> None:
    layer, x = nn.Linear(6, 5), rv.tensor(ROWS)
    shown = rv.Program.record(lambda x: (h := layer(x), h.sigmoid()), x)
    assert lines_of(shown) == ["linear", "sigmoid"]
    kept: list[rv.Tensor] = []

    def hidden(x: rv.Tensor) -> rv.Tensor:
        kept.append(layer(x).detach())
        return kept[-1].sigmoid()

    program = rv.Program.record(hidden, x)
    assert lines_of(program) == ["linear", "sigmoid"]
    program.replay(x * 2)
    assert bits(kept) == bits([layer(x * 2)])
    both = rv.Program.record(lambda x: (h := layer(x)).sigmoid() + h.tanh(), x)
    assert lines_of(both) == ["linear", "sigmoid", "tanh", "add"]


def test_a_change_in_between_keeps_the_order() -> None:
    weight, x = rv.ones(5, 6), rv.tensor(ROWS)

    def changing(x: rv.Tensor) -> rv.Tensor:
        h = F.linear(x, weight)
        weight.mul_(0.5)
        return h.sigmoid()

    program = rv.Program.record(changing, x)
    assert lines_of(program) == ["linear", "mul_", "sigmoid"]
    want = F.linear(x, weight.clone()).sigmoid()
    assert bits([program.replay(x)]) == bits([want])


@pytest.mark.parametrize("dtype", [rv.float16, rv.bfloat16, rv.float64])
def test_other_dtypes(dtype: Any) -> None:
    nets = [network(nn.Sigmoid).to(dtype) for _ in range(2)]
    steps = [step_of(net, optim.SGD(net.parameters(), lr=0.1)) for net in nets]
    data = [(x.to(dtype), y) for x, y in batches(5)]
    program = rv.Program.record(steps[0], *data[0])
    for batch in data[1:]:
        program.replay(*batch)
    for batch in data:
        steps[1](*batch)
    for a, b in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        assert bits([a.float()]) == bits([b.float()])


def test_temporary_results_share_memory() -> None:
    def chain(x: rv.Tensor) -> rv.Tensor:
        for i in range(10):
            x = x.exp() if i % 2 else x.sin()
        return x.sum()

    x = rv.ones(1000, 64)
    program = rv.Program.record(chain, x)
    assert len(program) == 11
    assert 2 * 256_000 <= program.arena_bytes <= 2 * 256_000 + 4096
    assert bits([program.replay(x * 2)]) == bits([chain(x * 2)])


def test_gradients_are_where_the_leaf_holds_them() -> None:
    w = rv.tensor([[1.0, 2.0]], requires_grad=True)

    def step(x: rv.Tensor) -> rv.Tensor:
        w.grad = None
        loss = F.linear(x, w).sum()
        loss.backward()
        return loss

    program = rv.Program.record(step, rv.ones(3, 2))
    assert "clone" not in program.dump()
    program.replay(rv.full((3, 2), 2.0))
    held = w.grad
    assert held is not None and held.tolist() == [[6.0, 6.0]]
    program.replay(rv.ones(3, 2))
    assert held.tolist() == [[3.0, 3.0]]


def test_threads_that_replay_one_program_wait_for_each_other() -> None:
    net = network(nn.Tanh)
    inputs = [rv.tensor(ROWS * i) for i in range(8)]
    program = rv.Program.record(lambda x: net(x), inputs[0])
    want = [bits([net(x)]) for x in inputs]
    wrong: list[int] = []

    def work(i: int) -> None:
        for _ in range(200):
            if bits([program.replay(inputs[i])]) != want[i]:
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
