"""What a recorded list is made into: fewer instructions, one block of memory, the same bits."""

from __future__ import annotations

import re
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
@pytest.mark.parametrize("threads", [1, 2, 7])
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


@pytest.mark.parametrize("size", [20, 20_000])
def test_inputs_that_share_what_is_changed_are_refused(size: int) -> None:
    def changes(x: rv.Tensor, y: rv.Tensor) -> rv.Tensor:
        x.add_(1.0)
        return y * 2

    program = rv.Program.record(changes, rv.ones(size), rv.ones(size))
    whole = rv.zeros(size + 5)
    for pair in ((whole[:size], whole[:size]), (whole[5:], whole[:size])):
        with pytest.raises(ValueError, match="share no memory"):
            program.replay(*pair)
    assert not whole.any()
    assert program.replay(whole[:size], rv.ones(size))[0] == 2 and whole[0] == 1


@pytest.mark.parametrize(
    "layers",
    [
        lambda: [nn.Linear(6, 50), nn.ReLU(), nn.Linear(50, 3)],
        lambda: [nn.Linear(6, 90), nn.GELU(), nn.Linear(90, 70), nn.GELU(), nn.Linear(70, 3)],
        lambda: [nn.Linear(6, 60), nn.BatchNorm1d(60), nn.Tanh(), nn.Linear(60, 3)],
        lambda: [nn.Linear(6, 60), nn.LayerNorm(60), nn.Dropout(0.2), nn.Linear(60, 3)],
    ],
)
def test_the_arena_is_what_lives_at_the_same_time(layers: Any) -> None:
    """And so no larger than what the step has at its peak when it runs as Python."""
    net = nn.Sequential(*layers())
    program = rv.Program.record(step_of(net, optim.Adam(net.parameters())), *batches(1)[0])
    listing, _, memory = program.dump().partition("arena, first byte+bytes:")
    lines = listing.splitlines()
    sizes = {t: int(n) for t, n in re.findall(r"(t\d+) \d+\+(\d+)", memory)}
    lives = {t: [i for i, line in enumerate(lines) if re.search(rf"\b{t}\b", line)] for t in sizes}
    most = max(
        sum(-(-n // 64) * 64 for t, n in sizes.items() if lives[t][0] <= i <= lives[t][-1])
        for i in range(len(lines))
    )
    assert len(sizes) > 3 and program.arena_bytes <= most + 64 * len(sizes)


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
    weight = rv.ones(64, 64) / 64

    def products(x: rv.Tensor) -> rv.Tensor:
        for _ in range(10):
            x = x @ weight
        return x.sum()

    x = rv.ones(1000, 64)
    program = rv.Program.record(products, x)
    assert len(program) == 11
    assert 2 * 256_000 <= program.arena_bytes <= 2 * 256_000 + 4096
    assert bits([program.replay(x * 2)]) == bits([products(x * 2)])


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


@pytest.mark.parametrize("n", [3, 40_000])
def test_a_gradient_that_is_returned_is_the_leafs_too(n: int) -> None:
    w = rv.ones(n, requires_grad=True)

    def step(x: rv.Tensor) -> rv.Tensor:
        w.grad = None
        (w * x).sum().backward()
        assert w.grad is not None
        return w.grad

    program = rv.Program.record(step, rv.ones(n))
    results = [program.replay(rv.full((n,), float(k))) for k in range(2, 5)]
    assert w.grad is not None and w.grad[0].item() == 4
    assert [r[0].item() for r in results] == [2, 3, 4]


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


def walks(x: rv.Tensor, row: rv.Tensor, column: rv.Tensor) -> list[rv.Tensor]:
    """Elementwise ops on every layout that a prepared walk tells apart."""
    changed = x.clone()
    changed[:, 1::2] *= row[1::2]
    return [
        x + row,
        x * column,
        (x.T - row[:, None]).exp(),
        x * 2.0,
        2.0 - column,
        rv.where(x > row, x, column),
        x.clamp(-0.5, 0.5),
        x[:, ::2] + row[::2],
        x.reshape(-1, 1, x.shape[1]) * x.T[None, :, 0, None][:, : x.shape[1], 0][:, :1],
        changed,
        (x > 0).sum(dim=0),
        x.argmax(dim=1),
        x.T.contiguous(),
        x.sum(dim=0) + x.mean(dim=1)[0],
        x.norm(),
        x.T.norm() + (x.T * 2).sum() + x.T.mean(dim=0)[0],
        *rv.var_mean(x.T, dim=1, correction=0),
        x.std(dim=0, correction=0),
        x.amax(dim=0),
        x.max() - x.T.min(),
        *x.max(dim=1),
        F.dropout(x, 0.5).clamp(min=-1.0),
        x.double().to(rv.float16),
    ]


@pytest.mark.parametrize("shape", [(1, 1), (4, 8), (300, 10), (3, 511), (7, 129), (2, 5000)])
@pytest.mark.parametrize("threads", [1, 7])
def test_prepared_walks_are_eager_bit_for_bit(shape: tuple[int, int], threads: int) -> None:
    before = rv.get_num_threads()
    rv.set_num_threads(threads)
    rng = np.random.default_rng(2)

    def inputs() -> list[rv.Tensor]:
        sizes = (shape, (shape[1],), (shape[0], 1))
        return [rv.tensor(rng.standard_normal(size).astype("float32")) for size in sizes]

    try:
        program = rv.Program.record(walks, *inputs())
        for _ in range(2):
            given = inputs()
            rv.manual_seed(5)
            replayed = program.replay(*given)
            rv.manual_seed(5)
            for got, want in zip(replayed, walks(*given), strict=True):
                assert bits([got]) == bits([want])
    finally:
        rv.set_num_threads(before)


LOSSES: dict[str, Callable[..., rv.Tensor]] = {
    "mse": lambda x, t, y: F.mse_loss(x, t),
    "mse none": lambda x, t, y: F.mse_loss(x, t, reduction="none").sum(),
    "huber sum": lambda x, t, y: F.huber_loss(x, t, reduction="sum"),
    "bce": lambda x, t, y: F.binary_cross_entropy(x.sigmoid(), t),
    "bce logits": lambda x, t, y: F.binary_cross_entropy_with_logits(x, t),
    "labels": lambda x, t, y: F.cross_entropy(x, y, ignore_index=1),
    "labels sum": lambda x, t, y: F.cross_entropy(x, y, reduction="sum"),
    "smooth": lambda x, t, y: F.cross_entropy(x, y, label_smoothing=0.1),
    "nll": lambda x, t, y: F.nll_loss(F.log_softmax(x, 1), y, ignore_index=2),
    "softmax": lambda x, t, y: (x.softmax(1) * t).sum(),
}


@pytest.mark.parametrize("rows", [1, 6, 5000])
@pytest.mark.parametrize("name", LOSSES)
def test_prepared_losses_are_eager_bit_for_bit(name: str, rows: int) -> None:
    rng = np.random.default_rng(3)
    weight = rv.tensor(rng.standard_normal((4, 3)).astype("float32"), requires_grad=True)

    def step(x: rv.Tensor, t: rv.Tensor, y: rv.Tensor) -> tuple[rv.Tensor, rv.Tensor]:
        weight.grad = None
        loss = LOSSES[name](x @ weight, t, y)
        loss.backward()
        assert weight.grad is not None
        return loss, weight.grad

    def inputs() -> list[rv.Tensor]:
        x = rng.standard_normal((rows, 4)).astype("float32")
        t = rng.random((rows, 3)).astype("float32")
        return [rv.tensor(x), rv.tensor(t), rv.tensor(rng.integers(0, 3, rows))]

    program = rv.Program.record(step, *inputs())
    for _ in range(3):
        given = inputs()
        got = bits(program.replay(*given))
        assert got == bits(step(*given))


def test_a_prepared_loss_looks_at_its_values() -> None:
    labels = rv.tensor([0, 1])
    program = rv.Program.record(lambda x, y: F.cross_entropy(x, y), rv.zeros(2, 2), labels)
    with pytest.raises(IndexError, match="labels from 0 to 1 for 2 classes, got 2 in row 1"):
        program.replay(rv.zeros(2, 2), rv.tensor([0, 2]))
    assert program.replay(rv.zeros(2, 2), labels).item() == pytest.approx(np.log(2))
    program = rv.Program.record(lambda x: F.binary_cross_entropy(x, x), rv.full((2,), 0.5))
    with pytest.raises(ValueError, match="probabilities from 0 to 1"):
        program.replay(rv.tensor([0.5, 1.5]))


def test_steps_counted_apart_and_together() -> None:
    """Parameters whose counts agree take one step; a new one is behind the others."""
    nets = [network(nn.Tanh) for _ in range(2)]
    ends = []
    for i, net in enumerate(nets):
        parameters = list(net.parameters())
        optimizer = optim.Adam(parameters[:2], lr=0.05)
        step = step_of(net, optimizer)
        for batch in batches(3):
            step(*batch)
        optimizer.param_groups[0]["params"].extend(parameters[2:])
        data = batches(12)
        program = rv.Program.record(step, *data[0]) if i == 0 else None
        for j, batch in enumerate(data):
            if program is None:
                step(*batch)
            elif j:
                program.replay(*batch)
        ends.append(bits(parameters))
    assert ends[0] == ends[1]
