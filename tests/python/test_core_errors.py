"""The core under bad input and hard use: every call raises or works; none crashes.

Sizes, indices, gradients asked for wrongly, deep graphs, recordings. Bad arguments of single ops
are in the case table, memory shared with NumPy in test_core_numpy.py, threads and fork in
test_core_attacks.py.
"""

from __future__ import annotations

import gc
import os
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ranvier import _C

FAST = os.environ.get("RANVIER_CHECK_FAST") == "1"
f32, f64, i64 = _C.float32, _C.float64, _C.int64


def leaf(*values: float) -> Any:
    return _C.as_tensor(list(values)).requires_grad_(True)


# ---- sizes and memory


@pytest.mark.parametrize("make", [
    lambda s: _C.empty(s, f32), lambda s: _C.zeros(s, f32), lambda s: _C.full(s, 1.0, f32),
    lambda s: _C.zeros((1,), f32).expand(s), lambda s: _C.zeros((1,), f32).reshape(s),
    lambda s: _C.ops.uniform(_C.Generator(0).state, s),
    lambda s: _C.ops.integers(_C.Generator(0).state, s, 0, 2),
])  # fmt: skip
@pytest.mark.parametrize(
    "shape",
    [[-1, 2], [2, -5], [2**62, 2**62], [2**62, 0], [2**31] * 4, [2**63 - 1], [1] * 9, [0] * 9],
)
def test_impossible_shapes(make: Callable[[list[int]], Any], shape: list[int]) -> None:
    """Negative, overflowing and too many sizes raise ShapeError everywhere."""
    try:
        with pytest.raises(_C.ShapeError):
            make(shape)
    except pytest.fail.Exception:
        result = make(shape)  # -1 means "the rest" to reshape and "as it is" to expand
        assert -1 in shape and result.numel() <= 2


@pytest.mark.parametrize("power", [42, 45, 46, 47, 48, 50, 55, 58])
def test_too_much_memory(power: int) -> None:
    """A size that is representable but not there is a MemoryError, and work goes on."""
    with pytest.raises((MemoryError, _C.ShapeError)):
        _C.empty((2**power,), f64)
    with pytest.raises((MemoryError, _C.ShapeError)):
        _C.zeros((1,), f64).expand(2**power).clone()
    assert _C.ops.add(_C.zeros((3,), f32), 1).sum().item() == 3


def test_shape_error_is_both() -> None:
    """NumPy's habit and PyTorch's."""
    assert issubclass(_C.ShapeError, ValueError)
    assert issubclass(_C.ShapeError, RuntimeError)
    with pytest.raises(_C.ShapeError, match=r"\[add\] expected .*\(3,\).*\(4,\)"):
        _C.zeros((3,), f32) + _C.zeros((4,), f32)


def test_more_than_eight_dimensions() -> None:
    """The limit is said, for arrays and for views."""
    with pytest.raises(_C.ShapeError, match="8 dimensions"):
        _C.from_numpy(np.zeros((1,) * 9))
    eight = _C.zeros((1,) * 8, f32)
    with pytest.raises(_C.ShapeError, match="8"):
        eight.unsqueeze(0)
    with pytest.raises(_C.ShapeError, match="8"):
        eight[None]
    assert (eight + eight).sum().item() == 0
    deep = _C.from_numpy(np.arange(256.0).reshape((2,) * 8).transpose(7, 5, 3, 1, 0, 2, 4, 6))
    assert np.array_equal((deep + deep).numpy(), 2 * deep.numpy())
    assert deep.sum((0, 2, 4, 6)).shape == (2, 2, 2, 2)


# ---- gradients


def test_backward_twice_says_retain_graph() -> None:
    """The second time names the remedy; with it both are added up."""
    p = leaf(1.0, 2.0)
    y = p.square().sum()
    y.backward()
    with pytest.raises(RuntimeError, match="retain_graph=True"):
        y.backward()
    assert p.grad.numpy().tolist() == [2, 4]
    p.grad = None
    y = p.square().sum()
    y.backward(retain_graph=True)
    y.backward()
    assert p.grad.numpy().tolist() == [4, 8]


def test_backward_needs_a_scalar_or_a_gradient() -> None:
    """And the gradient must fit; nothing is written when it does not."""
    p = leaf(1.0, 2.0)
    y = p * 3.0
    with pytest.raises(RuntimeError, match=r"\(2,\).*\.mean\(\) or \.sum\(\)"):
        y.backward()
    for wrong in (_C.zeros((3,), f32), _C.zeros((2,), f64), _C.zeros((2,), i64), _C.zeros((), f32)):
        with pytest.raises(_C.ShapeError, match=r"\[backward\]"):
            y.backward(wrong)
    assert p.grad is None
    y.backward(_C.as_tensor([1.0, -1.0]))
    assert p.grad.numpy().tolist() == [3, -3]


def test_backward_without_a_graph() -> None:
    """Constants, results under no gradient, detached results, comparisons, integers."""
    p = leaf(1.0, 2.0)
    _C.set_grad_enabled(False)
    hidden = p.sum()
    _C.set_grad_enabled(True)
    for t in (_C.zeros((), f32), hidden, p.sum().detach(), p.argmax(), _C.ops.all_finite(p)):
        assert not t.requires_grad
        with pytest.raises(RuntimeError, match=r"\[backward\].*requires_grad"):
            t.backward()


def test_integers_have_no_gradient() -> None:
    """Asking is an error; a float gradient does not pass through integers."""
    for dtype in (i64, _C.int32, _C.uint8, _C.bool_):
        with pytest.raises(RuntimeError, match="only floating"):
            _C.zeros((3,), dtype).requires_grad_(True)
    assert not _C.ops.cast(leaf(1.5), i64).requires_grad


def test_a_saved_tensor_that_changed_is_noticed() -> None:
    """Inputs and results alike, through views, NumPy-free ways and replay."""
    changes: list[Callable[[Any], Any]] = [
        lambda t: t.add_(1.0), lambda t: t.fill_(0.0), lambda t: t.copy_(_C.zeros((2,), f32)),
        lambda t: t[0:1].fill_(3.0), lambda t: t.detach().add_(1.0),
        lambda t: t.__setitem__(0, 5.0), lambda t: t.reshape(2, 1).add_(1.0),
        lambda t: _C.ops.sgd_update(t, _C.zeros((2,), f32), _C.full((), 0.1, f64)),
    ]  # fmt: skip
    for change in changes:
        for pick in (lambda p, y: p, lambda p, y: y):
            p = leaf(1.0, 2.0)
            y = p.exp() * p
            saved = pick(p, p.exp())
            z = saved.exp().sum() if saved is not p else y.sum()
            _C.set_grad_enabled(False)
            change(saved)
            _C.set_grad_enabled(True)
            with pytest.raises(RuntimeError, match="changed in place"):
                z.backward() if saved is p else (saved.requires_grad and z.backward())


def test_replay_counts_as_a_change() -> None:
    """A program that writes to a held tensor moves its version on."""
    p = leaf(1.0, 2.0)

    def step(x: Any) -> Any:
        _C.set_grad_enabled(False)
        p.add_(x)
        _C.set_grad_enabled(True)
        return x

    program = _C.Program.record(step, _C.as_tensor([1.0, 1.0]))
    y = p.square().sum()
    program.replay(_C.as_tensor([1.0, 1.0]))
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()


def test_in_place_on_what_asks_for_a_gradient() -> None:
    """A leaf and its views are refused with the remedy; no gradient is lost without a word."""
    p, plain = leaf(1.0, 2.0), _C.zeros((2,), f32)
    step = _C.zeros((), _C.float64)
    calls = (
        lambda: p.add_(1.0),
        lambda: p.fill_(0.0),
        lambda: p.copy_(plain),
        lambda: p.__setitem__(0, 1.0),
        lambda: p[0].add_(1.0),
        lambda: _C.ops.sgd_update(p, plain, step),
    )
    for i, call in enumerate(calls):
        with pytest.raises(RuntimeError, match=r"no_grad|gradient"):
            call()
            pytest.fail(f"change {i} was allowed")
    assert p.detach().numpy().tolist() == [1, 2]
    assert plain.numpy().tolist() == [0, 0]


def test_grad_property() -> None:
    """Set, cleared and checked; identity is kept."""
    p = leaf(1.0, 2.0)
    p.sum().backward()
    assert p.grad is p.grad
    assert not p.grad.requires_grad
    with pytest.raises(_C.ShapeError, match=r"\[grad\]"):
        p.grad = _C.zeros((3,), f32)
    with pytest.raises(_C.ShapeError, match="float64"):
        p.grad = _C.zeros((2,), f64)
    mine = _C.zeros((2,), f32)
    p.grad = mine
    assert p.grad is mine
    p.grad = None
    assert p.grad is None
    with pytest.raises(RuntimeError, match="leaf"):
        p.sum().requires_grad = False
    p.requires_grad = False
    assert not (p * 2.0).requires_grad


def test_seed_and_gradients_are_not_shared() -> None:
    """A gradient is the leaf's own memory: changing it changes nothing else."""
    p, q = leaf(1.0, 2.0), leaf(3.0, 4.0)
    seed = _C.as_tensor([1.0, 1.0])
    (p + q).backward(seed)
    assert len({p.grad.data_ptr(), q.grad.data_ptr(), seed.data_ptr()}) == 3
    p.grad.fill_(7.0)
    assert seed.numpy().tolist() == [1, 1]
    assert q.grad.numpy().tolist() == [1, 1]
    r = leaf(1.0)
    r.backward(_C.as_tensor([5.0]))
    r.expand(3).sum().backward()
    assert r.grad.numpy().tolist() == [8]


def test_first_gradient_is_written() -> None:
    """0 + (-0) is +0: the first gradient keeps its sign bit."""
    p = leaf(1.0)
    (p * _C.as_tensor([-0.0])).backward(_C.as_tensor([1.0]))
    assert np.signbit(p.grad.numpy()[0])


def test_a_tensor_used_many_times() -> None:
    """Diamonds, both operands the same, and a leaf at several depths."""
    p = leaf(3.0)
    y = p * p + p.square() * p - p / p
    y.backward(_C.as_tensor([1.0]))
    assert p.grad.item() == pytest.approx(2 * 3 + 3 * 9)
    q = leaf(1.1)
    z = q
    for _ in range(20):
        z = z + z  # 2^20 paths, 20 nodes
    z.sum().backward()
    assert q.grad.item() == 2**20


@pytest.mark.parametrize("op", ["add", "square", "relu"])
def test_deep_graphs(op: str) -> None:
    """100,000 steps: backward, freeing, and freeing without backward."""
    depth = 10_000 if FAST else 100_000
    for run_backward in (True, False):
        p = leaf(1.0)
        y = p
        for _ in range(depth):
            y = y + 1e-6 if op == "add" else y.square() if op == "square" else y.relu()
        if run_backward:
            y.sum().backward()
            assert p.grad.item() >= 1
        del y
        gc.collect()


def test_graphs_are_freed() -> None:
    """No cycles: memory of a graph goes with its last result."""
    array = np.ones(1000)
    alive = weakref.ref(array)
    t = _C.from_numpy(array).requires_grad_(True)
    y = (t.exp() * t).sigmoid().sum()
    del array, t
    assert alive() is not None
    y.backward()
    del y
    gc.collect()
    assert alive() is None


def test_pow_makes_a_new_tensor() -> None:
    """Also where the exponent is 1; and with exponent 0 there is a gradient: 0."""
    x = _C.as_tensor([2.0, 3.0])
    y = x.pow(1)
    y.fill_(0.0)
    assert x.numpy().tolist() == [2, 3]
    p = leaf(2.0, float("nan"))
    y = p.pow(0)
    assert y.detach().numpy().tolist() == [1, 1]
    y.sum().backward()
    assert p.grad.numpy()[0] == 0


# ---- recording


def test_reading_values_while_recording() -> None:
    """item() and numpy() raise; the recording is over afterwards; one at a time."""
    x = _C.as_tensor([1.0])
    for read in (lambda t: t.item(), lambda t: t.numpy()):
        with pytest.raises(RuntimeError, match=r"\[record\]"):
            _C.Program.record(lambda t, read=read: [t, read(t)][:1], x)
        assert x.item() == 1.0
    with pytest.raises(RuntimeError, match="one recording at a time"):
        _C.Program.record(lambda t: [_C.Program.record(lambda u: [u], t), t][1:], x)
    with pytest.raises(ZeroDivisionError):
        _C.Program.record(lambda t: 1 / 0, x)
    with pytest.raises((TypeError, RuntimeError)):
        _C.Program.record(lambda t: [3], x)
    assert _C.Program.record(lambda t: t + 1.0, x).replay(x).item() == 2.0


def test_replay_checks_its_inputs() -> None:
    """Count, shape and dtype; a label out of range raises like the op."""
    program = _C.Program.record(
        lambda x, y: _C.ops.cross_entropy(x, y), _C.zeros((2, 3), f32), _C.as_tensor([0, 1])
    )
    with pytest.raises(ValueError, match="2 inputs"):
        program.replay(_C.zeros((2, 3), f32))
    with pytest.raises(_C.ShapeError, match=r"\(2, 3\).*\(3, 3\)"):
        program.replay(_C.zeros((3, 3), f32), _C.as_tensor([0, 1]))
    with pytest.raises(_C.ShapeError, match="float64"):
        program.replay(_C.zeros((2, 3), f64), _C.as_tensor([0, 1]))
    with pytest.raises(IndexError, match="7"):
        program.replay(_C.zeros((2, 3), f32), _C.as_tensor([0, 7]))
    assert program.replay(_C.zeros((2, 3), f32), _C.as_tensor([2, 1])).item() == pytest.approx(
        np.log(3)
    )


def test_a_gradient_left_behind_is_refused() -> None:
    """A step that does not clear its gradients cannot be replayed, and says so."""
    p = leaf(1.0)

    def forgetful(x: Any) -> Any:
        y = (p * x).sum()
        y.backward()
        return y

    with pytest.raises(RuntimeError, match="zero_grad"):
        _C.Program.record(forgetful, _C.as_tensor([2.0]))


def test_recorded_training_step_equals_eager() -> None:
    """Two layers, Adam, random noise: replayed steps have eager's bits."""

    def train(record: bool) -> list[bytes]:
        rng = np.random.default_rng(0)
        draws = [rng.standard_normal(s).astype("f4") for s in ((8, 2), (8,), (1, 8), (1,))]
        params = [_C.copy_of_array(d).requires_grad_(True) for d in draws]
        moments = [(_C.zeros(p.shape, f32), _C.zeros(p.shape, f32)) for p in params]
        count, lr = _C.zeros((len(params),), f64), _C.full((), 0.01, f64)
        state = _C.Generator(3).state

        def step(x: Any, t: Any) -> Any:
            noise = _C.ops.normal(state, [4, 2], 0.0, 0.01)
            h = _C.ops.linear(x + noise, params[0], params[1], "tanh")
            loss = _C.ops.mse_loss(_C.ops.linear(h, params[2], params[3], "sigmoid"), t)
            loss.backward()
            _C.set_grad_enabled(False)
            for i, (p, (m, v)) in enumerate(zip(params, moments, strict=True)):
                _C.ops.adam_update(p, p.grad, lr, m, v, count[i])
                p.grad = None
            _C.set_grad_enabled(True)
            return loss

        x = _C.as_tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
        t = _C.as_tensor([[0.0], [1.0], [1.0], [0.0]])
        if record:
            program = _C.Program.record(step, x, t)
            losses = [program.first, *[program.replay(x, t) for _ in range(24)]]
        else:
            losses = [step(x, t) for _ in range(25)]
        return [a.detach().numpy().tobytes() for a in (*losses, *params)]

    for threads in (1, 2):
        _C.set_num_threads(threads)
        _C.set_grain(1)
        assert train(True) == train(False)


# ---- indexing


def test_indices_out_of_range() -> None:
    """IndexError with the index, and NumPy's own answers elsewhere."""
    array = np.arange(24.0).reshape(2, 3, 4)
    t = _C.from_numpy(array)
    for index in (
        2,
        -3,
        (0, 3),
        (0, 0, 4),
        (0, 0, 0, 0),
        (Ellipsis, Ellipsis),
        2**70,
        1.5,
        "a",
        np.array([True, False, True]),
        [0.5],
        (slice(None),) * 4,
        [[0, 2], [1, 0]],
        np.zeros((2, 4), bool),
        {0},
    ):
        with pytest.raises(IndexError):
            t[index]
    for index in (slice(None, None, 0), slice(None, None, -1)):
        with pytest.raises(ValueError):
            t[index]
    for index in (
        0,
        -1,
        (1, 2),
        (Ellipsis, 1),
        (slice(1, None), None, 2),
        (None, Ellipsis, None),
        (slice(None), [2, 0, 2]),
        (slice(5, 9),),
        (),
        Ellipsis,
        np.int64(1),
        [1, 0],
        (slice(-100, 100, 2), slice(None, -1), -1),
        (1, Ellipsis),
        (slice(2, 1), 0),
    ):
        assert np.array_equal(t[index].numpy(), array[index]), index


def test_assignment() -> None:
    """NumPy's result; overlapping sides; and an error leaves everything as it was."""
    for index, value in (
        (0, 5.0),
        ((slice(None), 1), 7.0),
        ((slice(None), [1]), -2.0),
        ((Ellipsis, slice(None, None, 2)), -1.0),
    ):
        array = np.arange(12.0).reshape(3, 4)
        t = _C.copy_of_array(array)
        t[index] = value
        array[index] = value
        assert np.array_equal(t.numpy(), array)
    array = np.arange(2000.0)
    t = _C.copy_of_array(array)
    t[1:] = t[:-1]
    assert np.array_equal(t.numpy(), np.concatenate([[0], np.arange(1999.0)]))
    square = _C.copy_of_array(np.arange(2500.0).reshape(50, 50))
    want = square.numpy().T.copy()
    square.copy_(square.transpose(0, 1))
    assert np.array_equal(square.numpy(), want)
    square.add_(square.transpose(0, 1))
    assert np.array_equal(square.numpy(), want + want.T)
    for wrong in (np.zeros(3), np.zeros((2, 2000))):
        with pytest.raises(_C.ShapeError):
            t[:] = wrong
    assert t[5].item() == 4
