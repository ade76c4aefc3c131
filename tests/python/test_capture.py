"""`rv.capture`: never another result than the function's own, whatever changes around it."""

from __future__ import annotations

import copy
import gc
import math
import os
import threading
import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from typing import Any, NamedTuple
from weakref import ref

import numpy as np
import pytest

import ranvier as rv
from ranvier import nn, optim
from ranvier.nn import functional as F

RNG = np.random.default_rng(0)
X = rv.tensor(RNG.standard_normal((12, 6)).astype("float32"))
Y = rv.tensor(np.arange(12) % 3)


class Net(nn.Module):
    def __init__(self, *more: nn.Module) -> None:
        super().__init__()
        self.hidden = nn.Linear(6, 5)
        self.more = nn.Sequential(*more)
        self.out = nn.Linear(5, 3)
        self.slope = 1.0

    def forward(self, x: rv.Tensor) -> rv.Tensor:
        return self.out(self.more((self.hidden(x) * self.slope).tanh()))


class Trained:
    """A network in training, eager or captured."""

    def __init__(self, captured: bool, *more: Callable[[], nn.Module], **settings: Any) -> None:
        rv.manual_seed(0)
        self.net = Net(*(make() for make in more))
        self.optimizer = optim.Adam(self.net.parameters(), lr=0.05, **settings)
        self.captured = captured
        self.step = rv.capture(self.eager) if captured else self.eager

    def eager(self, x: rv.Tensor, y: rv.Tensor) -> rv.Tensor:
        self.optimizer.zero_grad()
        loss = F.cross_entropy(self.net(x), y)
        loss.backward()
        self.optimizer.step()
        return loss

    def bits(self) -> list[bytes]:
        tensors = [*self.net.parameters(), *self.net.buffers()]
        state = [t for s in self.optimizer.state.values() for t in s.values()]
        return [t.detach().numpy().tobytes() for t in [*tensors, *state]]


def both(run: Callable[[Trained], Any], *more: Callable[[], nn.Module], **settings: Any) -> Trained:
    """Does the same with an eager and a captured one; they end alike, bit for bit."""
    ends = []
    for captured in (False, True):
        one = Trained(captured, *more, **settings)
        rv.manual_seed(5)
        answer = run(one)
        ends.append((answer, one.bits(), rv.rand(3).tolist()))
    assert ends[0] == ends[1]
    return one


def values(tensors: Any) -> list[Any]:
    return [t.tolist() for t in tensors]


def steps(one: Trained, count: int = 5, x: rv.Tensor = X, y: rv.Tensor = Y) -> list[float]:
    return [one.step(x, y).item() for _ in range(count)]


@pytest.fixture(autouse=True)
def _no_warnings() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


# --- what is replayed -----------------------------------------------------------------------------


@pytest.mark.parametrize("more", [[], [lambda: nn.Dropout(0.3)], [lambda: nn.BatchNorm1d(5)]])
def test_steps_are_eager_bit_for_bit(more: Any) -> None:
    one = both(lambda one: steps(one, 50), *more)
    assert len(one.step.programs) == 1


def test_batches_of_other_sizes_get_their_own_program() -> None:
    one = both(lambda one: [steps(one, 2, X[:n], Y[:n]) for n in (12, 1, 5, 12, 1, 5)])
    assert len(one.step.programs) == 3


def test_arguments_may_be_arrays_views_and_of_any_layout() -> None:
    def run(one: Trained) -> Any:
        wide = rv.cat([X, X], 1)
        return [
            one.step(X.numpy(), Y.numpy()).item() if one.captured
            else one.step(X, Y).item(),
            *steps(one, 3, wide[:, ::2]), *steps(one, 3, X.t().contiguous().t()),
            *steps(one, 3, X.flip(0)), *steps(one, 2, X[:1].expand(12, 6)),
        ]  # fmt: skip

    both(run)


def test_dtypes_that_change_get_their_own_program() -> None:
    def run(one: Trained) -> Any:
        return [one.step(X, y).item() for y in (Y, Y.to(rv.int32), Y, Y.to(rv.int32))]

    assert len(both(run).step.programs) == 2


def test_methods_are_captured_for_each_object() -> None:
    class Pair(nn.Module):
        def __init__(self, scale: float) -> None:
            super().__init__()
            self.scale = scale

        @rv.capture
        def forward(self, x: rv.Tensor) -> rv.Tensor:
            return x * self.scale

    one, two = Pair(2.0), Pair(3.0)
    for _ in range(3):
        assert rv.equal(one(X), X * 2) and rv.equal(two(X), X * 3)
    one.scale = 5.0
    assert rv.equal(one(X), X * 5)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: rv.zeros(3).add_(x),
        lambda x: rv.ones(3).copy_(x),
        lambda x: rv.full((3,), 2.0).mul_(x),
        lambda x: (rv.zeros_like(x).add_(x), [rv.zeros(2)]),
        lambda x: rv.zeros(3).index_fill_(0, rv.tensor([1]), 4.0) + x,
    ],
)
def test_memory_that_is_made_inside_is_made_anew(function: Any) -> None:
    captured = rv.capture(function)
    results = [captured(rv.ones(3) * i) for i in range(4)]
    for i, got in enumerate(results):
        want = function(rv.ones(3) * i)
        if isinstance(want, tuple):
            got, want = got[0], want[0]
        assert rv.equal(got, want)


def test_state_that_is_made_by_the_first_call() -> None:
    made: dict[str, rv.Tensor] = {}

    def total(x: rv.Tensor) -> rv.Tensor:
        if "sum" not in made:
            made["sum"] = rv.zeros(3)
        made["sum"].add_(x)
        return made["sum"] * 1

    captured = rv.capture(total)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = [captured(rv.full((3,), float(i)))[0].item() for i in range(5)]
    assert results == [0, 1, 3, 6, 10]


def test_a_copy_in_the_place_of_a_module_that_is_gone() -> None:
    apply = rv.capture(lambda x, net: net(x))
    net, x = nn.Linear(6, 2), X
    with rv.no_grad():
        for i in range(6):
            for p in net.parameters():
                p.fill_(float(i))
            other = copy.deepcopy(net)
            assert rv.equal(apply(x, other), other(x))
            del other


def test_containers_of_other_kinds() -> None:
    given = OrderedDict(k=rv.ones(3))
    scaled = rv.capture(lambda d, x: x * d["k"])
    with pytest.warns(rv.RanvierWarning, match="OrderedDict"):
        for i in range(3):
            given["k"] = rv.ones(3) * i
            assert rv.equal(scaled(given, rv.ones(3)), rv.ones(3) * i)


def test_modules_are_not_kept_by_programs() -> None:
    class Twice(nn.Module):
        @rv.capture
        def forward(self, x: rv.Tensor) -> rv.Tensor:
            return x * 2

    apply = rv.capture(lambda net, x: net(x))
    gone = []
    for _ in range(3):
        one, other = Twice(), nn.Linear(6, 2)
        with rv.no_grad():
            for _ in range(2):
                one(X), apply(other, X)
        gone += [ref(one), ref(other)]
    del one, other
    gc.collect()
    assert not any(weak() for weak in gone)


def test_numpy_scalars_are_constants() -> None:
    scaled = rv.capture(lambda x, c: x * float(c))
    for c in (np.float32(2), np.float64(2), np.float32(3), np.int64(2)):
        assert all(rv.equal(scaled(X, c), X * float(c)) for _ in range(2))
    assert len(scaled.programs) == 4


def test_keywords_constants_and_nested_arguments() -> None:
    @rv.capture
    def mixed(pair: Any, *, scale: float = 1.0, more: Any = None) -> Any:
        a, b = pair
        total = (a + b) * scale
        return {"sum": total, "list": [total + m for m in more or []], "none": None, "n": 3}

    for scale in (1.0, 2.0, 1.0):
        for more in (None, [X], [X, X + 1]):
            got = mixed((X, X + 1), scale=scale, more=more)
            want = mixed.__wrapped__((X, X + 1), scale=scale, more=more)
            assert rv.equal(got["sum"], want["sum"]) and got["n"] == 3 and got["none"] is None
            assert values(got["list"]) == values(want["list"])
    assert len(mixed.programs) == 6


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x,
        lambda x: x[1:3],
        lambda x: x.t(),
        lambda x: (x, x + 1, x[0]),
        lambda x: None,
        lambda x: [],
        lambda x: {"a": [x, (x * 2).t(), None]},
        lambda x: (lambda h: (h, h[0], h[:, 1]))(x + 1),
        lambda x: rv.tensor([1.0, 2.0]),
        lambda x: (x.sum(), "text", 7),
    ],
)  # fmt: skip
def test_what_is_returned_is_what_eager_returns(function: Any) -> None:
    captured = rv.capture(function)
    first = X.clone()

    def described(value: Any, x: rv.Tensor) -> Any:
        if isinstance(value, rv.Tensor):
            return value.tolist(), value.stride(), value is x, value.data_ptr() == x.data_ptr()
        if isinstance(value, dict):
            return {name: described(item, x) for name, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [described(item, x) for item in value]
        return value

    for _ in range(3):
        assert described(captured(first), first) == described(function(first), first)
    assert len(captured.programs) == 1


def test_results_are_the_callers_own() -> None:
    double = rv.capture(lambda x: x * 2)
    results = [double(X + i) for i in range(4)]
    for i, result in enumerate(results):
        assert rv.equal(result, (X + i) * 2)
    results[3].zero_()
    assert rv.equal(double(X), X * 2)
    view = rv.capture(lambda x: (lambda h: (h, h[0]))(x + 1))
    for _ in range(2):
        whole, row = view(X)
        row.zero_()
        assert whole[0].sum().item() == 0 and whole[1:].abs().sum().item() > 0


def test_an_argument_changed_in_place_is_changed() -> None:
    @rv.capture
    def change(x: rv.Tensor) -> rv.Tensor:
        x.mul_(2)
        return x.sum()

    x = rv.ones(3)
    for _ in range(3):
        change(x)
    assert x.tolist() == [8, 8, 8]
    array = np.ones(3, "float32")
    change(array)
    assert array.tolist() == [2, 2, 2]
    twice = rv.capture(lambda a, b: a.add_(b))
    for _ in range(3):
        twice(x, x)
    assert x.tolist() == [64, 64, 64]


def test_arguments_may_share_memory() -> None:
    def run(one: Trained) -> Any:
        decode = nn.Linear(3, 6)
        decode.load_state_dict({"weight": rv.ones(6, 3), "bias": rv.zeros(6)})
        again = lambda a, b: F.mse_loss(decode(one.net(a)), b)  # noqa: E731
        step = rv.capture(again) if one.captured else again
        with rv.no_grad():
            pairs = [(X, X), (X, X + 1), (X, X), (X[:-1], X[1:]), (X[1:], X[:-1]), (X + 2, X)]
            return [step(*pair).item() for pair in pairs for _ in range(2)]

    both(run)
    first = rv.capture(lambda a, b: (a, b[1:], a + b))
    for _ in range(2):
        one, part, _ = first(X, X)
        assert one is X and part.data_ptr() == X[1:].data_ptr()
    shift = rv.capture(lambda a, b: a.copy_(b + a))
    want, have = rv.arange(8.0), rv.arange(8.0)
    for _ in range(3):
        shift.__wrapped__(want[1:], want[:-1])
        shift(have[1:], have[:-1])
        assert rv.equal(want, have)


def test_large_arguments_are_read_in_place_and_nothing_of_them_is_kept() -> None:
    net = nn.Linear(300, 2)
    predict = rv.capture(lambda x: net(x))
    with rv.no_grad():
        for i in range(3):
            x = rv.full((200, 300), float(i))
            assert rv.equal(predict(x), net(x))
            del x


def test_a_result_may_be_a_parameter() -> None:
    net = Net()
    weight = rv.capture(lambda x: (net.hidden.weight, x + 1))
    for _ in range(3):
        assert weight(X)[0] is net.hidden.weight


# --- what changes around it -----------------------------------------------------------------------


def test_a_rate_set_by_hand_or_by_a_schedule_is_followed() -> None:
    def run(one: Trained) -> Any:
        schedule = optim.lr_scheduler.ExponentialLR(one.optimizer, 0.9)
        losses = []
        for i in range(12):
            losses += steps(one, 1)
            schedule.step()
            if i == 6:
                one.optimizer.param_groups[0]["lr"] = 0.2
        return losses

    assert len(both(run).step.programs) == 1


@pytest.mark.parametrize("late", [True, False])
@pytest.mark.parametrize(
    "kind",
    [
        lambda o: optim.lr_scheduler.LinearLR(o, total_iters=8),
        lambda o: optim.lr_scheduler.CosineAnnealingWarmRestarts(o, T_0=3),
        lambda o: optim.lr_scheduler.SequentialLR(
            o,
            [optim.lr_scheduler.ConstantLR(o), optim.lr_scheduler.ExponentialLR(o, 0.9)],
            milestones=[4],
        ),
    ],
)
def test_a_schedule_inside_goes_on(late: bool, kind: Any) -> None:
    def run(captured: bool) -> Any:
        one = Trained(False)
        schedule = kind(one.optimizer)
        one.optimizer.stepped = True

        def step(x: rv.Tensor, y: rv.Tensor) -> rv.Tensor:
            if not late:
                schedule.step()
            loss = one.eager(x, y)
            if late:
                schedule.step()
            return loss

        again = rv.capture(step) if captured else step
        losses = [again(X, Y).item() for _ in range(12)]
        return losses, one.bits(), one.optimizer.param_groups[0]["lr"], schedule.last_epoch

    assert run(False) == run(True)


@pytest.mark.parametrize(
    "change",
    [
        lambda one: one.net.eval(),
        lambda one: one.net.more.append(nn.Sigmoid()),
        lambda one: setattr(one.net, "slope", 0.5),
        lambda one: setattr(one.net.hidden, "weight", nn.Parameter(rv.ones(5, 6))),
        lambda one: setattr(one.net.hidden, "bias", None),
        lambda one: one.net.hidden.weight.requires_grad_(False),
        lambda one: setattr(one.net.hidden.weight, "requires_grad", False),
        lambda one: one.net.hidden.requires_grad_(False),
        lambda one: one.net.load_state_dict({k: v * 2 for k, v in one.net.state_dict().items()}),
        lambda one: one.optimizer.param_groups[0].update({"weight_decay": 0.3}),
        lambda one: one.optimizer.param_groups[0].update({"betas": (0.5, 0.9)}),
        lambda one: one.optimizer.state.clear(),
        lambda one: one.optimizer.state.pop(one.net.out.bias),
        lambda one: one.optimizer.load_state_dict(one.optimizer.state_dict()),
        lambda one: one.optimizer.state[one.net.out.bias].update({"exp_avg": rv.ones(3)}),
        lambda one: one.optimizer.state[one.net.out.bias].clear(),
        lambda one: setattr(one.optimizer, "state", defaultdict(dict)),
        lambda one: one.optimizer.param_groups[0]["params"].pop(),
        lambda one: one.optimizer.param_groups[0].update({"params": [one.net.out.bias]}),
        lambda one: setattr(one.net, "slope", -0.0),
        lambda one: setattr(one.net, "out", nn.Linear(5, 3)),
        lambda one: one.net.hidden.weight.data.zero_(),
        lambda one: rv.manual_seed(9),
    ],
)  # fmt: skip
def test_what_is_changed_from_outside_is_seen(change: Any) -> None:
    def run(one: Trained) -> Any:
        losses = steps(one)
        change(one)
        losses += steps(one)
        one.net.train()
        return losses + steps(one)

    both(run, lambda: nn.Dropout(0.3), lambda: nn.BatchNorm1d(5))


def test_a_group_may_be_added() -> None:
    def run(one: Trained) -> Any:
        one.net.more.append(nn.Linear(5, 5))
        losses = steps(one)
        one.optimizer.add_param_group({"params": one.net.more.parameters(), "lr": 0.5})
        return losses + steps(one)

    both(run)


def test_parameters_may_be_tied() -> None:
    def run(one: Trained) -> Any:
        one.net.more.append(nn.Linear(5, 5))
        one.net.more.append(nn.Linear(5, 5))
        one.optimizer = optim.SGD(one.net.parameters(), lr=0.1)
        losses = steps(one)
        one.net.more[1].weight = one.net.more[0].weight
        return losses + steps(one)

    both(run)


def test_train_and_eval_go_to_and_fro_with_a_program_each() -> None:
    def run(one: Trained) -> Any:
        losses = []
        for i in range(6):
            one.net.train(i % 2 == 0)
            losses += steps(one, 3)
        return losses

    assert len(both(run, lambda: nn.Dropout(0.4)).step.programs) == 2


def test_two_optimizers_and_two_models() -> None:
    def run(captured: bool) -> Any:
        rv.manual_seed(0)
        nets = [Net(), Net()]
        opts = [
            optim.SGD(nets[0].hidden.parameters(), lr=0.1),
            optim.Adam(nets[0].out.parameters()),
        ]
        other = optim.RMSprop(nets[1].parameters())

        def step(x: rv.Tensor, y: rv.Tensor) -> tuple[rv.Tensor, rv.Tensor]:
            for optimizer in (*opts, other):
                optimizer.zero_grad()
            losses = tuple(F.cross_entropy(net(x), y) for net in nets)
            sum(losses[1:], losses[0]).backward()
            for optimizer in (*opts, other):
                optimizer.step()
            return losses

        again = rv.capture(step) if captured else step
        losses = [values(again(X, Y)) for _ in range(10)]
        return losses, [values(net.parameters()) for net in nets]

    assert run(False) == run(True)


def test_gradients_may_be_collected_over_calls() -> None:
    def run(captured: bool) -> Any:
        one = Trained(False)

        def add(x: rv.Tensor, y: rv.Tensor) -> rv.Tensor:
            loss = F.cross_entropy(one.net(x), y)
            loss.backward()
            return loss

        run, update = (rv.capture(add), rv.capture(lambda: one.optimizer.step())) if captured else (
            add, one.optimizer.step
        )  # fmt: skip
        for _ in range(4):
            one.optimizer.zero_grad()
            for i in range(3):
                run(X[i : i + 6], Y[i : i + 6])
            update()
        return one.bits(), values(p.grad for p in one.net.parameters())

    assert run(False) == run(True)


def test_a_gradient_that_somebody_holds_is_left_alone() -> None:
    def run(one: Trained) -> Any:
        held = []
        for _ in range(4):
            steps(one, 1)
            held.append(one.net.hidden.weight.grad)
            held.append(one.net.hidden.weight.grad[0])
            held.append(one.net.out.weight.grad.numpy())
        return [h.tolist() for h in held]

    both(run)


def test_gradients_that_are_clipped_inside_are_the_programs_own() -> None:
    ran = []

    def clipped(one: Trained) -> Any:
        def step(x: rv.Tensor, y: rv.Tensor) -> rv.Tensor:
            ran.append(1)
            one.optimizer.zero_grad()
            loss = F.cross_entropy(one.net(x), y)
            loss.backward()
            nn.utils.clip_grad_norm_(one.net.parameters(), 0.1)
            one.optimizer.step()
            return loss

        run = rv.capture(step) if one.captured else step
        return [run(X, Y).item() for _ in range(6)]

    both(clipped)
    assert len(ran) == 6 + 1


def test_an_argument_in_the_memory_of_a_parameter() -> None:
    def run(one: Trained) -> Any:
        one.step(X[:5], Y[:5])
        inside = one.net.hidden.weight.detach()
        shared = one.net.hidden.weight.detach().numpy()
        return [one.step(inside, Y[:5]).item(), one.step(rv.from_numpy(shared), Y[:5]).item()]

    both(run)


def test_capture_within_capture_is_a_part_of_it() -> None:
    inner = rv.capture(lambda x: x * 2)
    outer = rv.capture(lambda x: inner(x) + 1)
    for _ in range(3):
        assert rv.equal(outer(X), X * 2 + 1) and rv.equal(inner(X), X * 2)
    assert len(outer.programs) == len(inner.programs) == 1


def test_the_default_dtype_counts() -> None:
    make = rv.capture(lambda x: x.sum() + rv.ones(2).sum().to(x.dtype) + rv.zeros(3).mean())
    for dtype in (rv.float32, rv.float64, rv.float32):
        rv.set_default_dtype(dtype)
        try:
            assert make(X).dtype is make.__wrapped__(X).dtype
        finally:
            rv.set_default_dtype(rv.float32)


def test_zero_and_minus_zero_are_two_constants() -> None:
    divide = rv.capture(lambda x, c: x / rv.full((), c))
    for _ in range(2):
        assert divide(rv.ones(1), 0.0).item() == math.inf
        assert divide(rv.ones(1), -0.0).item() == -math.inf


def test_methods_of_any_object_and_objects_as_arguments() -> None:
    class Trainer:
        def __init__(self) -> None:
            self.net, self.factor, self.more = nn.Linear(6, 2), 1.0, {"shift": [0.0]}

        @rv.capture
        def scaled(self, x: rv.Tensor) -> rv.Tensor:
            with rv.no_grad():
                return self.net(x) * self.factor + self.more["shift"][0]

    one = Trainer()

    def check() -> None:
        want = Trainer.scaled.__wrapped__(one, X)
        assert all(rv.equal(one.scaled(X), want) for _ in range(2))

    check()
    one.factor = 3.0
    check()
    one.net = nn.Linear(6, 2)
    check()
    one.more["shift"][0] = 5.0
    check()
    assert 1 <= len(Trainer.scaled.programs) <= 4


def test_a_rate_that_is_read_as_a_number_is_followed() -> None:
    def run(one: Trained) -> Any:
        def descend(x: rv.Tensor, y: rv.Tensor) -> rv.Tensor:
            one.optimizer.zero_grad()
            loss = F.cross_entropy(one.net(x), y)
            loss.backward()
            with rv.no_grad():
                for p in one.net.parameters():
                    if p.grad is not None:
                        p.sub_(one.optimizer.param_groups[0]["lr"] * p.grad)
            return loss

        step = rv.capture(descend) if one.captured else descend
        losses = [step(X, Y).item() for _ in range(3)]
        one.optimizer.param_groups[0]["lr"] = 0.5
        return losses + [step(X, Y).item() for _ in range(3)]

    both(run)


# --- what is not replayed -------------------------------------------------------------------------


def eager_with_one_note(match: str, captured: Any, *calls: Any) -> list[Any]:
    with pytest.warns(rv.RanvierWarning, match=match) as notes:
        results = [captured(*args) for args in calls]
    assert len(notes) == 1
    assert "test_capture.py" in notes[0].filename
    return results


def test_reading_a_value_raises_with_its_line() -> None:
    @rv.capture
    def step(x: rv.Tensor) -> rv.Tensor:
        if x.sum() > 0:
            return x
        return -x

    for _ in range(2):
        with pytest.raises(RuntimeError, match="record") as info:
            step(X)
        line = [entry for entry in info.traceback if entry.path.name == "test_capture.py"][-1]
        assert "x.sum() > 0" in str(line.statement)
    assert X.sum().item() is not None  # nothing is recorded any more


def test_shapes_that_change_with_every_call() -> None:
    count = rv.capture(lambda x: x.sum() * 2, max_programs=4)
    calls = [(rv.ones(n),) for n in range(1, 12)]
    results = eager_with_one_note("4 programs already", count, *calls)
    assert [r.item() for r in results] == [2 * n for n in range(1, 12)]
    assert len(count.programs) == 4
    assert count(rv.ones(2)).item() == 4


def test_old_programs_make_room_for_new_surroundings() -> None:
    one = Trained(False)
    step = rv.capture(one.eager, max_programs=3)
    for _ in range(9):
        step(X, Y)
        one.net.hidden.weight = nn.Parameter(rv.ones(5, 6))
    assert 1 <= len(step.programs) <= 3


def test_a_result_with_a_graph() -> None:
    net = Net()
    predict = rv.capture(lambda x: net(x))
    first, second = eager_with_one_note("graph", predict, (X,), (X,))
    second.sum().backward()
    assert net.out.bias.grad is not None and first.requires_grad
    with rv.no_grad():
        assert rv.equal(predict(X), net(X)) and len(predict.programs) == 1


def test_an_argument_with_a_gradient() -> None:
    x = rv.ones(3, requires_grad=True)
    total = rv.capture(lambda x: (x * 2).sum().backward())
    eager_with_one_note("requires a gradient", total, (x,), (x,))
    assert x.grad is not None and x.grad.tolist() == [4, 4, 4]


def test_a_tensor_that_is_kept() -> None:
    kept: list[rv.Tensor] = []

    def keep(x: rv.Tensor) -> rv.Tensor:
        kept.append(x * 2)
        return kept[-1].sum()

    eager_with_one_note("keeps a tensor", rv.capture(keep), *((X + i,) for i in range(4)))
    for i in range(4):
        assert rv.equal(kept[i], (X + i) * 2)


def test_attributes_that_a_forward_changes() -> None:
    class Counting(nn.Module):
        calls = 0

        def forward(self, x: rv.Tensor) -> rv.Tensor:
            self.calls += 1
            return x * self.calls

    net = Counting()
    captured = rv.capture(net)
    results = eager_with_one_note("attributes", captured, *((X,) for _ in range(8)))
    assert net.calls == 8 and all(rv.equal(r, X * (i + 1)) for i, r in enumerate(results))


def test_layers_that_are_built_by_their_first_call() -> None:
    class Late(nn.Module):
        def forward(self, x: rv.Tensor) -> rv.Tensor:
            if not hasattr(self, "layer"):
                self.layer = nn.Linear(x.shape[1], 2)
            return self.layer(x)

    net = Late()
    captured = rv.capture(net)
    with rv.no_grad():
        first = captured(X)
        for _ in range(3):
            assert rv.equal(captured(X), first)
    assert len(captured.programs) == 1


@pytest.mark.parametrize("kind", ["forward", "backward", "tensor", "optimizer"])
def test_hooks_run_as_often_as_in_eager(kind: str) -> None:
    def run(one: Trained) -> Any:
        losses, seen = steps(one, 3), []
        add = {
            "forward": lambda: one.net.out.register_forward_hook(lambda *_: seen.append(1)),
            "backward": lambda: one.net.out.register_full_backward_hook(lambda *_: seen.append(1)),
            "tensor": lambda: one.net.out.bias.register_hook(lambda g: seen.append(1)),
            "optimizer": lambda: one.optimizer.register_step_post_hook(lambda *_: seen.append(1)),
        }
        handle = add[kind]()
        losses += steps(one, 3)
        handle.remove()
        return losses + steps(one, 3), len(seen)

    with pytest.warns(rv.RanvierWarning, match="hook"):
        one = both(run)
    assert len(one.step.programs) == 1


def test_an_error_of_the_function_is_the_functions() -> None:
    one = Trained(True)
    bad = rv.full((12,), 7, dtype=rv.int64)
    for _ in range(2):
        steps(one, 2)
        before = one.bits()
        with pytest.raises(IndexError):
            one.step(X, bad)
        assert one.bits() == before and one.net.out.bias.grad is None
    assert steps(one, 1)

    @rv.capture
    def fails(x: rv.Tensor) -> rv.Tensor:
        raise KeyError("mine")

    for _ in range(2):
        with pytest.raises(KeyError, match="mine"):
            fails(X)
    assert not rv._C.is_recording()


def test_optimizers_that_step_in_python() -> None:
    class Slower(optim.Optimizer):
        def __init__(self, params: Any) -> None:
            super().__init__(params, {"lr": 1.0})
            self.count = 0

        def _update(self, group: Any, param: rv.Tensor, grad: rv.Tensor) -> None:
            self.count += 1
            param.sub_(grad / self.count)

    def run(one: Trained) -> Any:
        one.optimizer = Slower(one.net.parameters())
        return steps(one)

    with pytest.warns(rv.RanvierWarning, match="Slower takes its steps in Python"):
        both(run)


@pytest.mark.parametrize(
    "act",
    [
        lambda one: one.optimizer.param_groups[0].update({"lr": 0.1}),
        lambda one: optim.lr_scheduler.ReduceLROnPlateau(one.optimizer, patience=0).step(1.0),
        lambda one: optim.SGD([rv.ones(2, requires_grad=True)], lr=0.1),
        lambda one: rv.manual_seed(3),
        lambda one: rv.set_grad_enabled(False),
        lambda one: setattr(one.net.out.bias, "grad", rv.ones(3)),
    ],
)  # fmt: skip
def test_what_a_replay_would_leave_out_runs_as_it_is(act: Any) -> None:
    def run(one: Trained) -> Any:
        def step(x: rv.Tensor) -> rv.Tensor:
            with rv.no_grad():
                h = one.net(x)
            act(one)
            return h.sum()

        function = rv.capture(step) if one.captured else step
        try:
            return [function(X).item() for _ in range(3)], rv.is_grad_enabled()
        finally:
            rv.set_grad_enabled(True)

    with pytest.warns(rv.RanvierWarning, match="runs without being replayed"):
        both(run)


def test_a_result_of_another_kind() -> None:
    class Box:
        def __init__(self, x: rv.Tensor) -> None:
            self.x = x

    results = eager_with_one_note("Box", rv.capture(lambda x: Box(x * 2)), (X,), (X + 1,))
    assert rv.equal(results[1].x, (X + 1) * 2)


def test_it_can_be_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANVIER_CAPTURE", "0")
    seen = []

    @rv.capture
    def step(x: rv.Tensor) -> rv.Tensor:
        seen.append(x.sum().item())
        return x

    step(X), step(X)
    assert len(seen) == 2 and not step.programs


def test_wrong_use_says_so() -> None:
    with pytest.raises(TypeError, match=r"\[capture\] expected a function"):
        rv.capture(3)  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="max_programs"):
        rv.capture(lambda x: x, max_programs=0)
    named = rv.capture(Trained.eager)
    assert named.__name__ == "eager" and named.__wrapped__ is Trained.eager


# --- threads and processes ------------------------------------------------------------------------


def in_threads(count: int, work: Callable[[int], None]) -> None:
    errors: list[BaseException] = []

    def safe(i: int) -> None:
        try:
            work(i)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=safe, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


def test_threads_may_predict_with_one_program() -> None:
    net = nn.Sequential(
        nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 8)
    )  # who waits runs it itself
    inputs = [rv.rand(400, 64) for _ in range(4)]
    with rv.no_grad():
        want = [net(x) for x in inputs]
    predict = rv.capture(net)

    def work(i: int) -> None:
        with rv.no_grad():
            for _ in range(50):
                assert rv.equal(predict(inputs[i]), want[i])

    in_threads(4, work)


def test_threads_may_train_a_model_each_while_the_thread_count_changes() -> None:
    want = Trained(False)
    steps(want, 60)
    ones = [Trained(True) for _ in range(3)]
    before = rv.get_num_threads()

    def work(i: int) -> None:
        if i == 3:
            for n in range(200):
                rv.set_num_threads(1 + n % 3)
        else:
            steps(ones[i], 60)

    try:
        in_threads(4, work)
    finally:
        rv.set_num_threads(before)
    assert all(one.bits() == want.bits() for one in ones)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_goes_on() -> None:
    one, eager = Trained(True), Trained(False)
    steps(one, 3)
    steps(eager, 6)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        steps(one, 3)
        os.write(writing, b"same" if one.bits() == eager.bits() else b"other")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 10) == b"same"
    os.close(reading), os.close(writing)
    steps(one, 3)
    assert one.bits() == eager.bits()


def test_results_with_names_are_replayed() -> None:
    class Pair(NamedTuple):
        first: rv.Tensor
        rest: Any

    @rv.capture
    def ordered(x: rv.Tensor) -> Any:
        return Pair(x * 2, [rv.sort(x), rv.aminmax(x)])

    for values in ([3.0, 1.0, 2.0], [5.0, 6.0, 4.0]):
        x = rv.tensor(values)
        got = ordered(x)
        assert type(got) is Pair
        assert got.first.tolist() == [2 * value for value in values]
        order, extremes = got.rest
        assert type(order) is type(rv.sort(x))
        assert order.values.tolist() == sorted(values)
        assert order.indices.tolist() == np.argsort(values).tolist()
        assert (extremes.min.item(), extremes.max.item()) == (min(values), max(values))
    assert len(ordered.programs) == 1
