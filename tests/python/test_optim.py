"""Optimizers: each against its paper's formula in NumPy, their settings, state and refusals."""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest

import ranvier as rv
from ranvier import nn, optim

OPTIMIZERS = [optim.SGD, optim.Adam, optim.AdamW, optim.RMSprop, optim.Adagrad, optim.NAdam]
NAN, INF = float("nan"), float("inf")


# --- the formulas -------------------------------------------------------------------------------


def numpy_sgd(
    p, grads, lr, momentum=0, dampening=0, weight_decay=0, nesterov=False, maximize=False
):
    buffer = None
    for g in grads:
        g = (-g if maximize else g) + weight_decay * p
        if momentum:
            buffer = g if buffer is None else momentum * buffer + (1 - dampening) * g
            g = g + momentum * buffer if nesterov else buffer
        p = p - lr * g
    return p


def numpy_adam(p, grads, lr, betas, eps, weight_decay, maximize=False, decoupled=False):
    m = v = 0
    for t, g in enumerate(grads, 1):
        g = -g if maximize else g
        if decoupled:
            p = p * (1 - lr * weight_decay)
        else:
            g = g + weight_decay * p
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        p = p - lr * (m / (1 - betas[0] ** t)) / (np.sqrt(v / (1 - betas[1] ** t)) + eps)
    return p


SGD_SETTINGS = [
    {},
    {"momentum": 0.9},
    {"momentum": 0.9, "dampening": 0.5},
    {"momentum": 0.9, "nesterov": True},
    {"weight_decay": 0.1, "maximize": True},
    {"momentum": 0.5, "weight_decay": 0.1},
]
ADAM_SETTINGS = [
    {},
    {"betas": (0.5, 0.9), "eps": 1e-3},
    {"weight_decay": 0.1},
    {"weight_decay": 0.1, "maximize": True},
]


def run(optimizer, parameter, grads):
    for g in grads:
        parameter.grad = rv.tensor(g)
        optimizer.step()
    return parameter.detach().numpy()


@pytest.fixture
def problem():
    """A parameter of ours in the layout of a linear layer's weight, and gradients for it."""
    rng = np.random.default_rng(0)
    start, grads = rng.standard_normal((3, 5)), rng.standard_normal((6, 3, 5))
    return nn.Parameter(rv.tensor(start.T.copy()).T), start, grads


@pytest.mark.parametrize("settings", SGD_SETTINGS)
def test_sgd(settings, problem):
    parameter, start, grads = problem
    ours = run(optim.SGD([parameter], lr=0.1, **settings), parameter, grads)
    np.testing.assert_allclose(ours, numpy_sgd(start, grads, 0.1, **settings), rtol=1e-13)


@pytest.mark.parametrize("settings", ADAM_SETTINGS)
@pytest.mark.parametrize("kind", [optim.Adam, optim.AdamW])
def test_adam(kind, settings, problem):
    parameter, start, grads = problem
    ours = run(kind([parameter], lr=0.1, **settings), parameter, grads)
    decay = 0.01 if kind is optim.AdamW else 0.0
    full = {"betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": decay, **settings}
    expected = numpy_adam(start, grads, 0.1, decoupled=kind is optim.AdamW, **full)
    np.testing.assert_allclose(ours, expected, rtol=1e-12)


# --- use ----------------------------------------------------------------------------------------


def test_defaults_are_pytorchs():
    p = [rv.ones(1, requires_grad=True)]
    assert optim.SGD(p).defaults["lr"] == optim.Adam(p).defaults["lr"] == 1e-3
    assert optim.Adam(p).defaults["weight_decay"] == 0
    assert optim.AdamW(p).defaults["weight_decay"] == 1e-2


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_parameters_without_gradient_stay(kind):
    a, b = rv.ones(2, requires_grad=True), rv.ones(2, requires_grad=True)
    optimizer = kind([a, b], lr=0.1)
    (a * 2).sum().backward()
    optimizer.step()
    assert a.tolist() != [1, 1] and b.tolist() == [1, 1] and b not in set(optimizer.state)
    optimizer.zero_grad()
    assert a.grad is None
    (a * 2).sum().backward()
    optimizer.zero_grad(set_to_none=False)
    assert a.grad.tolist() == [0, 0]


def test_groups_have_settings_of_their_own():
    a, b, c = (rv.ones(1, requires_grad=True) for _ in range(3))
    optimizer = optim.SGD([{"params": [a]}, {"params": b, "lr": 1.0}], lr=0.5)
    optimizer.add_param_group({"params": [c], "lr": 0.0})
    for p in (a, b, c):
        p.grad = rv.ones(1)
    optimizer.step()
    assert (a.item(), b.item(), c.item()) == (0.5, 0, 1)
    assert "lr: 0.5" in repr(optimizer)


def test_learning_rate_may_be_set_at_any_time():
    p = rv.zeros(1, requires_grad=True)
    optimizer = optim.SGD([p], lr=1.0)
    group = optimizer.param_groups[0]
    p.grad = rv.ones(1)
    ways = [
        (0.5, lambda: group.__setitem__("lr", 0.5)),
        (0.25, lambda: group.update(lr=0.25)),
        (0.125, lambda: group.__ior__({"lr": 0.125})),
        (2.0, lambda: group.__setitem__("lr", rv.tensor(2.0))),
    ]
    for lr, change in ways:
        change()
        p.data = rv.zeros(1)
        optimizer.step()
        assert p.item() == -lr and group["lr"] == lr and group.lr.item() == lr


def test_step_with_a_closure():
    p = rv.ones(1, requires_grad=True)
    optimizer = optim.SGD([p], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with rv.no_grad():
        assert optimizer.step(closure).item() == 1
    assert p.item() == pytest.approx(0.8)


def test_a_step_takes_no_part_in_gradients():
    p = rv.ones(1, requires_grad=True)
    optimizer = optim.Adam([p])
    p.grad = rv.ones(1)
    optimizer.step()
    assert p.is_leaf and p.requires_grad and rv.is_grad_enabled()


def test_an_optimizer_made_before_a_conversion_says_so():
    net = nn.Linear(2, 1)
    optimizer = optim.SGD(net.parameters(), lr=0.1)
    net.double()
    net(rv.ones(1, 2, dtype=rv.float64)).sum().backward()
    with pytest.raises(RuntimeError, match="make the optimizer after"):
        optimizer.step()


def test_a_conversion_after_backward_is_no_step_into_the_void():
    net = nn.Linear(2, 1)
    optimizer = optim.SGD(net.parameters(), lr=0.1)
    net(rv.ones(1, 2)).sum().backward()
    net.double()
    old = [p.tolist() for p in optimizer.param_groups[0]["params"]]
    with pytest.raises(RuntimeError, match="make the optimizer after"):
        optimizer.step()
    assert old == [p.tolist() for p in optimizer.param_groups[0]["params"]]


@pytest.mark.parametrize("lr", [np.float32(0.5), np.float64(0.5), rv.tensor(0.5), rv.tensor([0.5])])
def test_numbers_of_other_kinds_are_taken(lr):
    p, q = (rv.zeros(1, requires_grad=True) for _ in range(2))
    optimizer = optim.SGD([p], lr=lr, momentum=lr)
    optimizer.add_param_group({"params": q, "lr": lr})
    groups = optimizer.param_groups
    groups[0]["lr"] = lr
    groups[0].update(lr=lr)
    for group in groups:
        assert type(group["lr"]) is type(group["momentum"]) is float
        assert group["lr"] == group["momentum"] == group.lr.item() == 0.5
    assert optim.Adam([p], lr=lr, betas=(lr, lr)).param_groups[0]["betas"] == (0.5, 0.5)


def test_a_step_without_gradients_warns_once():
    p = rv.ones(1, requires_grad=True)
    optimizer = optim.SGD([p], lr=0.1)
    with pytest.warns(
        rv.RanvierWarning, match=r"\[SGD\] step: .*loss.backward\(\) first"
    ) as caught:
        optimizer.step()
        optimizer.step()
    assert len(caught) == 1 and p.item() == 1


def test_parameters_with_names_and_pytorchs_options():
    net = nn.Linear(2, 1)
    optimizer = optim.Adam(net.named_parameters(), foreach=True, fused=None, capturable=True)
    group = optimizer.param_groups[0]
    assert group["param_names"] == ["weight", "bias"] and group["params"][1] is net.bias
    assert group["foreach"] is True and group["fused"] is None
    optimizer.add_param_group({"params": [rv.ones(1, requires_grad=True)], "foreach": False})
    with pytest.raises(ValueError, match=r"\[Adam\] fused: expected True, False or None, got 1"):
        optim.Adam(net.parameters(), fused=1)


def test_hooks():
    p = rv.ones(1, requires_grad=True)
    optimizer = optim.SGD([p], lr=1.0)
    seen = []

    def before(opt, args, kwargs):
        assert opt is args[0] is optimizer
        p.grad = rv.full((1,), 0.25)
        seen.append("before")

    handle = optimizer.register_step_pre_hook(before)
    optimizer.register_step_post_hook(lambda opt, args, kwargs: seen.append(p.item()))
    optimizer.step()
    assert seen == ["before", 0.75]
    handle.remove()
    handle.remove()
    p.grad = rv.ones(1)
    optimizer.step()
    assert seen == ["before", 0.75, -0.25]
    optimizer.register_step_pre_hook(lambda opt, args, kwargs: ((opt, lambda: 7), {}))
    assert optimizer.step() == 7
    optimizer.register_step_pre_hook(lambda *args: 3)
    with pytest.raises(RuntimeError, match="hook: expected None or new"):
        optimizer.step()
    with pytest.raises(TypeError, match="expected a function, got int"):
        optimizer.register_step_pre_hook(3)
    assert "lr: 1.0" in repr(pickle.loads(pickle.dumps(optim.SGD([p], lr=1.0))))


def test_an_own_optimizer_with_its_own_step():
    class Own(optim.Optimizer):
        def __init__(self, params, lr=0.5, slope=2):
            super().__init__(params, {"lr": lr, "slope": slope})

        @rv.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                for p in group["params"]:
                    state = self.state[p]
                    state["count"] = state.get("count", 0) + 1
                    p.sub_(group["lr"] * group["slope"] * p.grad)

    class Derived(Own):
        def step(self, closure=None):
            return super().step(closure)

    p = rv.ones(1, requires_grad=True)
    optimizer, calls = Derived([p]), []
    optimizer.register_step_post_hook(lambda *args: calls.append(1))
    p.grad = rv.ones(1)
    optimizer.step()
    assert p.item() == 0 and calls == [1] and optimizer.stepped
    other = Own([p])
    other.load_state_dict(optimizer.state_dict())
    assert other.state[p] == {"count": 1}


def test_settings_may_change_between_steps():
    """amsgrad and momentum that are switched on later find their state."""
    for kind, change in ((optim.Adam, {"amsgrad": True}), (optim.RMSprop, {"momentum": 0.9})):
        p = rv.ones(3, requires_grad=True)
        optimizer = kind([p], lr=0.1)
        run(optimizer, p, np.ones((2, 3), np.float32))
        optimizer.param_groups[0].update(change)
        run(optimizer, p, np.ones((2, 3), np.float32))
        other = kind([p], lr=0.1)
        other.load_state_dict(optimizer.state_dict())
        names = set(optimizer.state_for(optimizer.param_groups[0]))
        assert set(other.state[p]) == set(optimizer.state[p]) == names


# --- state --------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [(optim.SGD, {"momentum": 0.9}), (optim.AdamW, {})])
def test_a_saved_state_goes_on_to_the_same_bits(settings):
    kind, options = settings
    grads = np.random.default_rng(0).standard_normal((10, 3)).astype(np.float32)

    def fresh():
        p = rv.ones(3, requires_grad=True)
        return p, kind([p], lr=0.1, **options)

    p, optimizer = fresh()
    run(optimizer, p, grads[:5])
    saved, values = copy.deepcopy(optimizer.state_dict()), p.tolist()
    expected = run(optimizer, p, grads[5:]).copy()
    for with_state_of_its_own in (False, True):
        q, other = fresh()
        if with_state_of_its_own:
            run(other, q, grads[:2])
        q.data = rv.tensor(values)
        other.load_state_dict(saved)
        np.testing.assert_array_equal(run(other, q, grads[5:]), expected)


def test_loading_a_fresh_state_starts_anew():
    p = rv.ones(1, requires_grad=True)
    optimizer = optim.Adam([p], lr=0.1)
    fresh = optimizer.state_dict()
    first = run(optimizer, p, [np.ones(1, np.float32)]).copy()
    run(optimizer, p, [np.full(1, -3, np.float32)])
    optimizer.load_state_dict(fresh)
    p.data = rv.ones(1)
    np.testing.assert_array_equal(run(optimizer, p, [np.ones(1, np.float32)]), first)


def test_state_dict_has_pytorchs_form():
    p = rv.ones(3, requires_grad=True)
    optimizer = optim.Adam([p])
    p.grad = rv.ones(3)
    optimizer.step()
    state = optimizer.state_dict()
    assert set(state) == {"state", "param_groups"}
    assert set(state["state"][0]) == {"step", "exp_avg", "exp_avg_sq"}
    assert state["state"][0]["step"].item() == 1
    assert state["param_groups"][0]["params"] == [0]


@pytest.mark.parametrize("again", [copy.deepcopy, lambda both: pickle.loads(pickle.dumps(both))])
def test_model_and_optimizer_are_copied_together(again):
    net = nn.Linear(2, 1)
    optimizer = optim.Adam(net.parameters(), lr=0.1)
    net(rv.ones(1, 2)).sum().backward()
    optimizer.step()
    other, its = again((net, optimizer))
    assert its.param_groups[0]["params"][0] is other.weight
    assert its.param_groups[0].lr.item() == 0.1 and len(its.state) == 2
    for model, o in ((net, optimizer), (other, its)):
        o.zero_grad()
        model(rv.ones(1, 2)).sum().backward()
        o.step()
    assert rv.equal(net.weight, other.weight)


# --- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize(
    ("params", "error", "words"),
    [
        ([], ValueError, "at least one"),
        (rv.ones(1), TypeError, "Tensor"),
        (None, TypeError, "NoneType"),
        ([[1.0]], TypeError, "list at place 0"),
        ([rv.tensor([1])], ValueError, "floating"),
        ([rv.ones(1, requires_grad=True) * 2], ValueError, "leaves"),
        ([{"lr": 0.1}], ValueError, "'params'"),
        ([{"params": []}], ValueError, "at least one"),
        ([{"params": rv.ones(1), "momentun": 0.1}], ValueError, "'momentun'"),
        ([{"params": rv.ones(1), "learning_rate": 0.1}], ValueError, "did you mean 'lr'"),
        ([{"params": rv.ones(1), "weight_deca": 0.1}], ValueError, "did you mean 'weight_decay'"),
    ],
)
def test_parameters_are_checked(kind, params, error, words):
    with pytest.raises(error, match=rf"\[{kind.__name__}\].*{words}"):
        kind(params)


def test_a_generator_that_is_used_up():
    params = nn.Linear(1, 1).parameters()
    optim.SGD(params)
    with pytest.raises(ValueError, match="once only"):
        optim.SGD(params)


def test_a_parameter_belongs_to_one_group_once():
    p = rv.ones(1, requires_grad=True)
    with pytest.raises(ValueError, match="twice"):
        optim.SGD([p, p])
    with pytest.raises(ValueError, match="twice"):
        optim.SGD([{"params": [p]}, {"params": [p]}])


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        *(
            (kind, {"lr": bad})
            for kind in OPTIMIZERS
            for bad in (-1.0, NAN, INF, "0.1", None, True, np.float32(NAN), 10**400)
        ),
        *((kind, {"weight_decay": bad}) for kind in OPTIMIZERS for bad in (-1.0, NAN)),
        (optim.SGD, {"momentum": -0.1}),
        (optim.SGD, {"momentum": INF}),
        (optim.SGD, {"dampening": NAN}),
        (optim.SGD, {"nesterov": 1}),
        (optim.SGD, {"nesterov": True}),
        (optim.SGD, {"nesterov": True, "momentum": 0.9, "dampening": 0.1}),
        (optim.Adam, {"eps": -1e-8}),
        (optim.Adam, {"betas": (0.9, 1.0)}),
        (optim.Adam, {"betas": (-0.1, 0.9)}),
        (optim.Adam, {"betas": 0.9}),
        (optim.Adam, {"betas": (0.9, NAN)}),
        (optim.Adam, {"maximize": "yes"}),
        (optim.RMSprop, {"alpha": 1.5}),
        (optim.RMSprop, {"momentum": -1}),
        (optim.Adagrad, {"initial_accumulator_value": -1}),
        (optim.Adadelta, {"rho": 2.0}),
        (optim.Rprop, {"etas": (1.2, 0.5)}),
        (optim.Rprop, {"step_sizes": (1.0, 0.5)}),
        (optim.ASGD, {"alpha": NAN}),
        (optim.Lion, {"betas": (0.9, 1.0)}),
    ],
)
def test_settings_are_checked(kind, settings):
    name, value = next(iter(settings.items()))
    with pytest.raises(ValueError, match=rf"\[{kind.__name__}\] {name}: expected") as caught:
        kind([rv.ones(1, requires_grad=True)], **settings)
    assert name == "nesterov" or repr(value) in str(caught.value)


def test_groups_are_checked_as_the_optimizer_is():
    p, q = (rv.ones(1, requires_grad=True) for _ in range(2))
    optimizer = optim.SGD([p], lr=0.5)
    group = optimizer.param_groups[0]
    for wrong, words in (
        ({"lr": 1}, "'params'"),
        ({"params": q, "nesterov": True}, "nesterov: expected momentum"),
        ({"params": q, "nesterov": True, "momentum": 0.9, "dampening": 0.1}, "dampening 0.1"),
        ({"params": q, "lr": rv.tensor(NAN)}, "lr"),
    ):
        with pytest.raises(ValueError, match=rf"\[SGD\].*{words}"):
            optimizer.add_param_group(wrong)
        assert optimizer.param_groups == [group]
    for key, value, words in (
        ("learning_rate", 0.5, "did you mean 'lr'"),
        ("nesterov", True, "momentum 0"),
    ):
        before = dict(group)
        with pytest.raises(ValueError, match=rf"\[SGD\].*{words}"):
            group[key] = value
        assert dict(group) == before
    optim.SGD([{"params": [p], "momentum": 0.9}], nesterov=True)


def test_a_wrong_learning_rate_changes_nothing():
    p = rv.zeros(1, requires_grad=True)
    optimizer = optim.SGD([p], lr=0.5)
    group = optimizer.param_groups[0]
    for bad in (NAN, -1):
        with pytest.raises(ValueError, match="lr"):
            group["lr"] = bad
        with pytest.raises(ValueError, match="lr"):
            group.update(momentum=0.9, lr=bad)
    assert group["lr"] == group.lr.item() == 0.5 and group["momentum"] == 0


def test_a_state_that_does_not_fit_changes_nothing():
    p = rv.ones(3, requires_grad=True)
    optimizer = optim.Adam([p], lr=0.1)
    p.grad = rv.ones(3)
    optimizer.step()
    good = copy.deepcopy(optimizer.state_dict())

    def broken(change):
        state = copy.deepcopy(good)
        state["param_groups"][0]["eps"] = 1.0
        change(state)
        return state

    for change, error in (
        (lambda s: s["state"][0].update(exp_avg=rv.ones(2)), rv.ShapeError),
        (lambda s: s["param_groups"][0].update(lr=math.nan), ValueError),
        (lambda s: s["param_groups"][0]["params"].append(1), ValueError),
        (lambda s: s["state"][0].update(exp_avg="text"), TypeError),
        (lambda s: s["state"][0].update(step=NAN), ValueError),
        (lambda s: s["state"][0].update(step=-1), ValueError),
        (lambda s: s["state"][0].pop("step"), ValueError),
        (lambda s: s["state"].update({7: {}}), ValueError),
        (lambda s: s["state"].update({0: 3}), ValueError),
        (lambda s: s.pop("state"), ValueError),
        (lambda s: s.pop("param_groups"), ValueError),
        (lambda s: s.update(param_groups=3), TypeError),
        (lambda s: s.update(param_groups=[3]), TypeError),
        (lambda s: s["param_groups"][0].pop("params"), ValueError),
        (lambda s: s["param_groups"][0].update(momentum=0.9), ValueError),
    ):
        with pytest.raises(error, match="Adam"):
            optimizer.load_state_dict(broken(change))
        now = optimizer.state_dict()
        assert now["param_groups"] == good["param_groups"]
        assert rv.equal(now["state"][0]["exp_avg"], good["state"][0]["exp_avg"])
    with pytest.raises(TypeError, match=r"Adam.*list"):
        optimizer.load_state_dict([])


@pytest.mark.parametrize(("kind", "other"), [(optim.SGD, optim.Adam), (optim.Adam, optim.SGD)])
def test_the_state_of_another_optimizer_is_refused(kind, other):
    def stepped(make):
        p = rv.ones(1, requires_grad=True)
        optimizer = make([p], **({"momentum": 0.9} if make is optim.SGD else {}))
        p.grad = rv.ones(1)
        optimizer.step()
        return optimizer

    optimizer, foreign = stepped(kind), stepped(other).state_dict()
    with pytest.raises(ValueError, match=rf"\[{kind.__name__}\] expected settings out of"):
        optimizer.load_state_dict(foreign)
    foreign["param_groups"] = optimizer.state_dict()["param_groups"]
    with pytest.raises(ValueError, match=rf"\[{kind.__name__}\] state: .*same kind"):
        optimizer.load_state_dict(foreign)
    names = optimizer.state_for(optimizer.param_groups[0])
    assert set(optimizer.state_dict()["state"][0]) == set(names)
