"""Recorded steps: the same bits as the eager run, and every way of recording something wrong.

What changes between steps must reach a replay; what cannot be recorded must raise.
"""

from __future__ import annotations

import numpy as np
import pytest

import ranvier as rv
from ranvier import nn, optim

X = rv.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
Y = rv.tensor([[0.0], [1.0], [1.0], [0.0]])

OPTIMIZERS = {
    "sgd": lambda p: optim.SGD(p, lr=0.5),
    "momentum": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "adam": lambda p: optim.Adam(p, lr=0.05),
    "adamw": lambda p: optim.AdamW(p, lr=0.05),
}


def xor(optimizer, seed=0):
    rv.manual_seed(seed)
    net = nn.Sequential(nn.Linear(2, 4), nn.Sigmoid(), nn.Linear(4, 1), nn.Sigmoid())
    return net, OPTIMIZERS[optimizer](net.parameters()), nn.MSELoss()


def step_of(net, optimizer, loss_of):
    def step(x, y):
        optimizer.zero_grad()
        loss = loss_of(net(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step


def bits(tensors):
    return [t.detach().numpy().tobytes() for t in tensors]


# --- replay is eager ----------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_xor_replays_a_thousand_steps_to_the_bits_of_the_eager_run(optimizer, threads):
    rv.set_num_threads(threads)
    eager, recorded = xor(optimizer), xor(optimizer)
    step = step_of(*eager)
    program = rv.Program.record(step_of(*recorded), X, Y)
    losses = [bits([step(X, Y)])] + [bits([step(X, Y)]) for _ in range(1000)]
    replayed = [bits([program.first])] + [bits([program.replay(X, Y)]) for _ in range(1000)]
    assert losses == replayed
    assert bits(eager[0].parameters()) == bits(recorded[0].parameters())


def test_eager_and_replay_may_be_mixed():
    eager, mixed = xor("adam"), xor("adam")
    step, other = step_of(*eager), step_of(*mixed)
    for _ in range(3):
        other(X, Y)  # the state exists before the recording
    program = rv.Program.record(other, X, Y)
    for i in range(20):
        program.replay(X, Y) if i % 2 else other(X, Y)
    for _ in range(24):
        step(X, Y)
    assert bits(eager[0].parameters()) == bits(mixed[0].parameters())


def test_a_replay_computes_with_its_own_inputs():
    net = xor("sgd")[0]
    program = rv.Program.record(lambda x: net(x), X)
    np.testing.assert_array_equal(
        program.replay(1 - X).detach().numpy(), net(1 - X).detach().numpy()
    )
    with pytest.raises(rv.ShapeError, match=r"\(4, 2\).*\(3, 2\)"):
        program.replay(X[:3])
    with pytest.raises(rv.ShapeError, match="float64"):
        program.replay(X.double())
    with pytest.raises(ValueError, match="1 inputs, got 2"):
        program.replay(X, Y)


# --- what changes between steps -----------------------------------------------------------------


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_learning_rate_reaches_the_replay(optimizer):
    eager, recorded = xor(optimizer), xor(optimizer)
    step = step_of(*eager)
    program = rv.Program.record(step_of(*recorded), X, Y)
    step(X, Y)
    for lr in (0.5, 0.01, 0.0, 1.0):
        eager[1].param_groups[0]["lr"] = lr
        recorded[1].param_groups[0]["lr"] = lr
        step(X, Y)
        program.replay(X, Y)
    assert bits(eager[0].parameters()) == bits(recorded[0].parameters())


def test_a_loaded_optimizer_state_reaches_the_replay():
    eager, recorded = xor("adam"), xor("adam")
    step = step_of(*eager)
    program = rv.Program.record(step_of(*recorded), X, Y)
    for _ in range(5):
        step(X, Y)
    recorded[0].load_state_dict(eager[0].state_dict())
    recorded[1].load_state_dict(eager[1].state_dict())
    step(X, Y)
    program.replay(X, Y)
    assert bits(eager[0].parameters()) == bits(recorded[0].parameters())


def test_random_numbers_go_on():
    def noisy(x):
        return x + rv.rand(3)

    rv.manual_seed(3)
    eager = [noisy(rv.zeros(3)).tolist() for _ in range(4)]
    rv.manual_seed(3)
    program = rv.Program.record(noisy, rv.zeros(3))
    replayed = [program.first.tolist()] + [program.replay(rv.zeros(3)).tolist() for _ in range(3)]
    assert eager == replayed
    rv.manual_seed(3)
    assert program.replay(rv.zeros(3)).tolist() == eager[0]


def test_a_weight_changed_by_hand_reaches_the_replay():
    net = nn.Linear(2, 1)
    program = rv.Program.record(net, X)
    net.weight.data = rv.tensor([[1.0, 2.0]])
    np.testing.assert_array_equal(program.replay(X).detach().numpy(), net(X).detach().numpy())


@pytest.mark.parametrize(
    "make",
    [
        lambda: rv.zeros(2),
        lambda: rv.ones(2) * 0,
        lambda: rv.full((2,), 0.0),
        lambda: rv.tensor([0.0, 0.0]),
        lambda: rv.zeros_like(rv.empty(2)),
        lambda: rv.empty(2).zero_(),
        lambda: rv.linspace(0, 0, 2),
        lambda: rv.empty(2).new_zeros(2),
    ],
)
def test_a_tensor_made_inside_is_made_anew_each_time(make):
    def total(x):
        sum_of = make()
        for _ in range(3):
            sum_of += x
        return sum_of

    x = rv.tensor([1.0, 2.0])
    program = rv.Program.record(total, x)
    for _ in range(2):
        assert program.replay(x).tolist() == [3, 6]


# --- what cannot be recorded --------------------------------------------------------------------


@pytest.mark.parametrize(
    "read",
    [
        lambda t: t.item(),
        lambda t: t.tolist(),
        lambda t: float(t),
        lambda t: bool(t > 1),
        lambda t: t.numpy(),
        lambda t: np.asarray(t),
        lambda t: f"{t:.3f}",
        lambda t: rv.equal(t, t),
    ],
)
def test_reading_a_value_raises(read):
    with pytest.raises(RuntimeError, match="record"):
        rv.Program.record(lambda x: read(x.sum()) and x, X)
    assert rv.is_grad_enabled()
    assert X.sum().item() == 4  # and reading works again


def test_printing_shows_the_shape():
    seen = []
    rv.Program.record(lambda x: seen.append(repr(x)) or x, X)
    assert seen == ["tensor(..., size=(4, 2))"]


def test_gradients_must_be_cleared_inside():
    net, optimizer, loss_of = xor("sgd")

    def forgetful(x, y):
        loss = loss_of(net(x), y)
        loss.backward()
        optimizer.step()
        return loss

    with pytest.raises(RuntimeError, match="zero_grad"):
        rv.Program.record(forgetful, X, Y)


def test_a_learning_rate_set_inside_raises():
    net, optimizer, loss_of = xor("sgd")

    def scheduled(x, y):
        optimizer.param_groups[0]["lr"] *= 0.5
        return step_of(net, optimizer, loss_of)(x, y)

    with pytest.raises(RuntimeError, match="record"):
        rv.Program.record(scheduled, X, Y)
    assert optimizer.param_groups[0]["lr"] == optimizer.param_groups[0].lr.item() == 0.5


def test_an_error_while_recording_ends_the_recording():
    with pytest.raises(KeyError):
        rv.Program.record(lambda x: {}["missing"], X)
    assert len(rv.Program.record(lambda x: x + 1, X)) == 1
    with pytest.raises(TypeError):
        rv.Program.record(lambda x: 3, X)


# --- what a program says of itself --------------------------------------------------------------


def test_dump_reads_like_the_mathematics():
    net, optimizer, loss_of = xor("adam")
    program = rv.Program.record(step_of(net, optimizer, loss_of), X, Y)
    lines = program.dump().splitlines()
    assert len(lines) <= 40 and max(map(len, lines)) <= 100
    for start in (
        "t0 (4, 4) = sigmoid(x0 @ h0.T + h1) ",
        "t1 (4, 1) = sigmoid(t0 @ h2.T + h3) ",
        "y0 () = mean((t1 - x1)^2) ",
        "t2 (4, 1) = h4 (2 (t1 - x1)) / n ",
        "t3 (4, 1) = t2 sigmoid'(x), sigmoid(x) = t1 ",
        "h5 (4, 1), h6 (1,) = t0.T @ t3; sum over rows of t3 ",
        "t4 (4, 4) = (t3 @ h2) sigmoid'(x), sigmoid(x) = t0 ",
        "m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2;",
        "returns y0",
        "held: h0 (4, 2), h1 (4,), h2 (1, 4), h3 (1,)",
    ):
        assert sum(line.startswith(start) for line in lines) == 1, start
    ops = [op for op, _ in program.instructions]
    assert len(ops) == len(program) == 9
    assert ops.count("linear+sigmoid") == 2 and ops.count("adam_updates") == 1


def test_dump_is_the_same_for_the_same_program():
    def text():
        net, optimizer, loss_of = xor("adam")
        return rv.Program.record(step_of(net, optimizer, loss_of), X, Y).dump()

    others = [rv.zeros(100) for _ in range(20)]  # so that memory lies elsewhere
    assert text() == text()
    assert len(others) == 20


def test_dump_shows_settings_views_and_what_is_not_given():
    w = rv.ones(4, 2)

    def function(x):
        y = rv.nn.functional.leaky_relu(x @ w.T, 0.2).clamp(max=3.0)
        return rv.cat([y, y.reshape(2, 8).reshape(4, 4)], dim=1).softmax(dim=1).sum(dim=0)

    text = rv.Program.record(function, X).dump()
    assert "t0 (4, 4) = x0 @ h0.T " in text
    assert "t1 (4, 4) = t0 if t0 > 0 else 0.2 t0 " in text
    assert "cat(t2, t2), dim=1" in text
    assert "dim=(0,)" in text


def test_every_instruction_keeps_its_line():
    def first(x):
        return net(x).square()

    net, optimizer, loss_of = xor("adam")
    program = rv.Program.record(first, X)
    start = first.__code__.co_firstlineno
    assert {where for _, where in program.instructions} == {f"test_footguns.py:{start + 1}"}
    step = step_of(net, optimizer, loss_of)
    program = rv.Program.record(step, X, Y)
    start = step.__code__.co_firstlineno
    forward, backward, update = (f"test_footguns.py:{start + i}" for i in (2, 3, 4))
    want = [forward] * 3 + [backward] * 5 + [update]
    assert [where for _, where in program.instructions] == want
    assert sum(line.endswith(update) for line in program.dump().splitlines()) == 1


def test_lines_are_known_where_the_lock_is_let_go():
    big = rv.ones(200, 200)
    program = rv.Program.record(lambda x: x @ x + x, big)
    assert all(where.startswith("test_footguns.py:") for _, where in program.instructions)
