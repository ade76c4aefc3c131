"""Modules: what belongs to them, how they are saved, printed and converted, and what they say."""

from __future__ import annotations

import copy
import math
import pickle
from collections import OrderedDict

import numpy as np
import pytest

import ranvier as rv
from ranvier import nn
from ranvier.nn import functional as F


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.flatten = nn.Flatten()
        self.hidden1 = nn.Linear(784, 4)
        self.out = nn.Linear(4, 2)

    def forward(self, x):
        return self.out(F.relu(self.hidden1(self.flatten(x))))


class Counter(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(rv.ones(2))
        self.register_buffer("seen", rv.zeros(1))
        self.register_buffer("scratch", rv.zeros(1), persistent=False)
        self.inner = nn.Linear(2, 2)


# --- what belongs to a module -------------------------------------------------------------------


def test_parameters_are_found_in_order():
    net = Net()
    names = ["hidden1.weight", "hidden1.bias", "out.weight", "out.bias"]
    assert [name for name, _ in net.named_parameters()] == names
    assert [p.shape for p in net.parameters()] == [(4, 784), (4,), (2, 4), (2,)]
    assert [name for name, _ in net.named_children()] == ["flatten", "hidden1", "out"]
    assert [name for name, _ in net.named_modules()] == ["", "flatten", "hidden1", "out"]
    assert len(list(net.children())) == 3 and len(list(net.modules())) == 4
    assert list(net.parameters(recurse=False)) == []


def test_buffers():
    m = Counter()
    assert [name for name, _ in m.named_buffers()] == ["seen", "scratch"]
    assert list(m.state_dict()) == ["scale", "seen", "inner.weight", "inner.bias"]
    m.seen = rv.ones(1)
    assert next(m.buffers()).item() == 1
    with pytest.raises(TypeError, match="buffer"):
        m.seen = 3
    m.seen = None
    assert "seen" not in m.state_dict()


def test_tied_parameters_count_once():
    a, b = nn.Linear(3, 3), nn.Linear(3, 3)
    b.weight = a.weight
    net = nn.Sequential(a, b)
    assert len(list(net.parameters())) == 3
    assert len(net.state_dict()) == 4
    shared = nn.Linear(2, 2)
    assert len(list(nn.Sequential(shared, shared).modules())) == 2


def test_assignments_that_would_lose_a_parameter_are_refused():
    layer = nn.Linear(2, 2)
    with pytest.raises(TypeError, match=r"Linear.weight: expected a Parameter"):
        layer.weight = rv.zeros(2, 2)
    net = Net()
    with pytest.raises(TypeError, match="Module"):
        net.out = 3
    net.out = nn.Linear(4, 3)
    assert net.out.out_features == 3
    del net.out
    assert len(list(net.parameters())) == 2


def test_names_are_checked():
    m = nn.Module()
    for name in ("a.b", "", "forward", 3):
        with pytest.raises(KeyError, match="name"):
            m.add_module(name, nn.Identity())
    with pytest.raises(TypeError, match="Module"):
        m.add_module("x", 3)
    with pytest.raises(TypeError, match="Tensor"):
        m.register_buffer("x", 3)
    with pytest.raises(TypeError, match="Parameter"):
        m.register_parameter("x", rv.zeros(2))
    m.register_parameter("x", None)
    assert m.x is None and list(m.parameters()) == []


@pytest.mark.parametrize(
    "value", [lambda: nn.Linear(1, 1), lambda: nn.Parameter(rv.ones(1)), lambda: nn.ReLU()]
)
def test_forgotten_super_init(value):
    class Forgetful(nn.Module):
        def __init__(self):
            self.layer = value()

    with pytest.raises(AttributeError, match=r"Forgetful: expected super\(\).__init__\(\)"):
        Forgetful()


def test_forgotten_super_init_without_layers():
    class Forgetful(nn.Module):
        def __init__(self):
            self.number = 3

    with pytest.raises(AttributeError, match="Forgetful"):
        list(Forgetful().parameters())
    with pytest.raises(AttributeError, match="Forgetful"):
        nn.Sequential(Forgetful())
    with pytest.raises(AttributeError, match="Forgetful"):
        Forgetful().register_buffer("x", rv.zeros(1))


def test_a_module_without_forward():
    class Nothing(nn.Module):
        pass

    with pytest.raises(TypeError, match=r"\[Nothing\] expected a method 'forward'"):
        Nothing()(rv.ones(1))


# --- modes --------------------------------------------------------------------------------------


def test_train_and_eval_reach_the_whole_tree():
    net = nn.Sequential(nn.Linear(1, 1), nn.Sequential(nn.ReLU()))
    assert net.training
    assert net.eval() is net
    assert not any(m.training for m in net.modules())
    assert all(m.training for m in net.train().modules())
    with pytest.raises(ValueError, match="mode"):
        net.train(1)


def test_requires_grad_and_zero_grad():
    net = nn.Linear(2, 1)
    net(rv.ones(1, 2)).sum().backward()
    net.zero_grad(set_to_none=False)
    assert net.bias.grad.tolist() == [0]
    net.zero_grad()
    assert net.bias.grad is None
    assert not any(p.requires_grad for p in net.requires_grad_(False).parameters())


def test_apply_visits_children_first():
    seen = []
    nn.Sequential(nn.ReLU(), nn.Tanh()).apply(lambda m: seen.append(type(m).__name__))
    assert seen == ["ReLU", "Tanh", "Sequential"]


def test_conversion_keeps_ties_and_layout():
    a, b = nn.Linear(3, 3), nn.Linear(3, 3)
    b.weight = a.weight
    net = nn.Sequential(a, b).double()
    assert a.weight is b.weight and a.weight.dtype is rv.float64
    assert a.weight.stride() == (1, 3) and type(a.weight) is nn.Parameter
    assert net.float().to("cpu").cpu()[0].weight.dtype is rv.float32
    with pytest.raises(TypeError, match="int64"):
        net.to(rv.int64)
    with pytest.raises(RuntimeError, match="cuda"):
        net.to("cuda")
    m = Counter().double()
    assert m.seen.dtype is rv.float64


# --- layers -------------------------------------------------------------------------------------


def test_linear_is_stored_in_by_out_and_shown_out_by_in():
    layer = nn.Linear(3, 2)
    assert layer.weight.shape == (2, 3) and layer.weight.stride() == (1, 2)
    x = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)
    expected = x @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
    np.testing.assert_allclose(layer(rv.tensor(x)).detach().numpy(), expected, atol=1e-6)
    assert nn.Linear(3, 2, bias=False).bias is None
    assert len(list(nn.Linear(3, 2, bias=False).parameters())) == 1
    assert nn.Linear(3, 2, dtype=rv.float64).weight.dtype is rv.float64


def test_linear_starts_uniform_within_one_over_root_of_inputs():
    rv.manual_seed(1)
    layer = nn.Linear(400, 300)
    bound = 1 / math.sqrt(400)
    for p in layer.parameters():
        values = p.detach().numpy()
        assert np.abs(values).max() <= bound
        assert abs(values.std() - bound / math.sqrt(3)) < 0.1 * bound
    rv.manual_seed(1)
    assert rv.equal(nn.Linear(400, 300).weight, layer.weight)


@pytest.mark.parametrize(
    ("sizes", "error", "words"),
    [
        ((0, 2), ValueError, r"\[Linear\] in_features: .* got 0"),
        ((2, -1), ValueError, r"\[Linear\] out_features: .* got -1"),
        ((2.5, 1), TypeError, r"in_features: .* got 2.5"),
        (("2", 1), TypeError, r"in_features: .* got '2'"),
        ((True, 1), TypeError, r"in_features: .* got True"),
        ((2**40, 2**40), rv.ShapeError, "64 bits"),
        ((2**63, 1), rv.ShapeError, r"\[Linear\].* 64 bits"),
    ],
)
def test_linear_checks_its_sizes(sizes, error, words):
    with pytest.raises(error, match=words):
        nn.Linear(*sizes)


def test_linear_refuses_other_devices_and_dtypes():
    with pytest.raises(RuntimeError, match="cuda"):
        nn.Linear(2, 2, device="cuda")
    with pytest.raises(RuntimeError, match="int64"):
        nn.Linear(2, 2, dtype=rv.int64)


def test_flatten_and_identity():
    x = rv.zeros(2, 3, 4)
    assert nn.Flatten()(x).shape == (2, 12)
    assert nn.Flatten(0, 1)(x).shape == (6, 4)
    assert nn.Identity(1, a=2)(x) is x


@pytest.mark.parametrize(
    ("layer", "function"),
    [
        (nn.ReLU(inplace=True), lambda z: np.maximum(z, 0)),
        (nn.LeakyReLU(0.2), lambda z: np.where(z > 0, z, 0.2 * z)),
        (nn.Sigmoid(), lambda z: 1 / (1 + np.exp(-z))),
        (nn.Tanh(), np.tanh),
        (nn.GELU(), lambda z: np.array([v * (1 + math.erf(v / 2**0.5)) / 2 for v in z])),
        (nn.SiLU(), lambda z: z / (1 + np.exp(-z))),
        (nn.Step(at_zero=0.5), lambda z: np.heaviside(z, 0.5)),
        (nn.Softmax(dim=0), lambda z: np.exp(z) / np.exp(z).sum()),
        (nn.LogSoftmax(), lambda z: z - np.log(np.exp(z).sum())),
    ],
)
def test_activations(layer, function):
    z = np.array([-2.0, -0.5, 0.0, 0.5, 3.0])
    np.testing.assert_allclose(layer(rv.tensor(z)).numpy(), function(z), rtol=1e-14, atol=1e-15)


def test_losses_and_their_reductions():
    p, t = np.array([[0.2, 0.9], [0.6, 0.4]]), np.array([[0.0, 1.0], [1.0, 0.0]])
    cross = -(t * np.log(p) + (1 - t) * np.log(1 - p))
    scores, labels = np.array([[1.0, 2.0, 0.5], [0.1, 0.2, 0.3]]), np.array([1, 0])
    nll = -np.log(np.exp(scores) / np.exp(scores).sum(1, keepdims=True))[[0, 1], labels]
    cases = [
        (nn.MSELoss, p, t, (p - t) ** 2),
        (nn.HalfSquaredError, p, t, 0.5 * ((p - t) ** 2).sum(1)),
        (nn.BCELoss, p, t, cross),
        (nn.CrossEntropyLoss, scores, labels, nll),
    ]
    for loss, a, b, each in cases:
        for reduction, expected in (("none", each), ("sum", each.sum()), ("mean", each.mean())):
            got = loss(reduction=reduction)(rv.tensor(a), rv.tensor(b)).numpy()
            np.testing.assert_allclose(got, expected, rtol=1e-13, err_msg=f"{loss} {reduction}")
        with pytest.raises(ValueError, match=rf"\[{loss.__name__}\] reduction: .* got 'average'"):
            loss(reduction="average")


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: F.mse_loss(rv.ones(2, 3), rv.ones(3, 2)), rv.ShapeError, r"\(2, 3\).*\(3, 2\)"),
        (lambda: F.mse_loss(rv.ones(4, 1), rv.ones(4)), rv.ShapeError, r"\(4, 1\).*\(4,\)"),
        (lambda: F.cross_entropy(rv.ones(2, 3), rv.tensor([0, 3])), IndexError, "3"),
        (lambda: F.cross_entropy(rv.ones(2, 3), rv.tensor([0, -1])), IndexError, "-1"),
        (lambda: F.cross_entropy(rv.ones(2, 3), rv.tensor([0.0, 1.0])), TypeError, "integer"),
        (lambda: F.cross_entropy(rv.ones(2, 3), rv.tensor([0, 1, 2])), rv.ShapeError, r"\(3,\)"),
        (lambda: F.linear(rv.ones(1, 2), rv.ones(1, 2), activation="rleu"), ValueError, "relu"),
        (lambda: F.one_hot(rv.tensor([0.0])), TypeError, "float32"),
        (lambda: F.one_hot(rv.tensor([0, 5]), 3), ValueError, r"\[0, 2\], got 5"),
        (lambda: F.one_hot(rv.tensor([-1])), ValueError, "-1"),
        (lambda: F.one_hot(rv.zeros(0, dtype=rv.int64)), ValueError, "num_classes"),
    ],
)
def test_functions_refuse_what_does_not_fit(call, error, words):
    with pytest.raises(error, match=words):
        call()


# --- rows of modules ----------------------------------------------------------------------------


def test_sequential_is_a_list():
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    assert net.append(nn.Linear(3, 1)) is net
    assert len(net) == 3 and isinstance(net[-1], nn.Linear) and list(net)[1] is net[1]
    assert isinstance(net[:2], nn.Sequential) and len(net[:2]) == 2 and net[:2][0] is net[0]
    net[1] = nn.Tanh()
    assert isinstance(net[1], nn.Tanh)
    del net[1]
    assert [name for name, _ in net.named_children()] == ["0", "1"]
    net.insert(1, nn.Sigmoid()).extend([nn.Identity()])
    assert [type(m).__name__ for m in net] == ["Linear", "Sigmoid", "Linear", "Identity"]
    for index in (4, -5):
        with pytest.raises(IndexError, match=str(index)):
            net[index]
    with pytest.raises(TypeError, match=r"\[Sequential\] index: .* got '0'"):
        net["0"]


def test_rows_change_like_lists():
    layers = nn.ModuleList([nn.Linear(1, 1)])
    layers += [nn.ReLU(), nn.Tanh()]
    assert repr(layers.pop()) == "Tanh()" and repr(layers.pop(1)) == "ReLU()" and len(layers) == 1
    for change in (
        lambda: layers.insert(0, "text"),
        lambda: layers.extend([nn.ReLU(), "text"]),
        lambda: layers.extend(3),
    ):
        with pytest.raises(TypeError, match=r"\[ModuleList\].*(text|int)"):
            change()
        assert [name for name, _ in layers.named_children()] == ["0"]


def test_sequential_with_names():
    net = nn.Sequential(OrderedDict([("hidden", nn.Linear(2, 3)), ("out", nn.Linear(3, 1))]))
    assert list(net.state_dict()) == ["hidden.weight", "hidden.bias", "out.weight", "out.bias"]
    assert net.hidden is net[0]
    assert net(rv.ones(1, 2)).shape == (1, 1)


def test_sequential_refuses_what_is_no_module():
    with pytest.raises(TypeError, match=r"\[Sequential\] 1: .*nn.ReLU\(\)"):
        nn.Sequential(nn.Linear(2, 2), nn.ReLU)
    with pytest.raises(TypeError, match="relu"):
        nn.Sequential(F.relu)


def test_module_list_only_holds():
    layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(2))
    assert len(layers) == 2 and len(list(layers.parameters())) == 4
    with pytest.raises(TypeError, match="forward"):
        layers(rv.ones(1, 2))


# --- state --------------------------------------------------------------------------------------


def test_state_goes_from_model_to_model():
    a, b = Net(), Net()
    result = b.load_state_dict(a.state_dict())
    assert result == ([], []) and repr(result) == "<All keys matched successfully>"
    assert all(rv.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))
    kept = b.out.weight
    b.load_state_dict({k: v.numpy() for k, v in a.state_dict().items()})
    assert b.out.weight is kept
    single, double = nn.Linear(2, 2), nn.Linear(2, 2).double()
    single.load_state_dict(double.state_dict())
    assert single.weight.dtype is rv.float32


def test_state_shares_memory():
    layer = nn.Linear(1, 1)
    layer.state_dict()["bias"].fill_(3)
    assert layer.bias.item() == 3


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda s: s.pop("out.bias"), RuntimeError, "missing out.bias"),
        (lambda s: s.update(extra=rv.ones(1)), RuntimeError, "unexpected extra"),
        (
            lambda s: s.update({"out.bias": rv.ones(3), "out.weight": rv.ones(4, 2)}),
            rv.ShapeError,
            r"out.weight \(2, 4\), got \(4, 2\); expected out.bias \(2,\), got \(3,\)",
        ),
        (lambda s: s.update({"out.bias": "text"}), TypeError, "out.bias: .*numbers, got str"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(change, error, words):
    net = Net()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    state = {k: v + 1 for k, v in before.items()}
    change(state)
    with pytest.raises(error, match=words):
        net.load_state_dict(state)
    assert all(rv.equal(v, before[k]) for k, v in net.state_dict().items())
    with pytest.raises(TypeError, match="list"):
        net.load_state_dict([])


def test_loading_what_fits():
    net = nn.Linear(2, 1)
    missing, unexpected = net.load_state_dict({"bias": rv.ones(1), "x": rv.ones(1)}, strict=False)
    assert (missing, unexpected) == (["weight"], ["x"])
    assert net.bias.item() == 1


@pytest.mark.parametrize("again", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_and_pickles_of_a_network(again):
    net = Net()
    other = again(net)
    x = rv.rand(2, 784)
    assert rv.equal(net(x), other(x))
    assert other.hidden1.weight.stride() == net.hidden1.weight.stride()
    with rv.no_grad():
        net.out.bias.add_(1)
    assert not rv.equal(net(x), other(x))


def test_repr_is_pytorchs():
    assert repr(nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.ReLU(), nn.Softmax(dim=1)))) == (
        "Sequential(\n"
        "  (0): Linear(in_features=2, out_features=3, bias=True)\n"
        "  (1): Sequential(\n"
        "    (0): ReLU()\n"
        "    (1): Softmax(dim=1)\n"
        "  )\n"
        ")"
    )
    assert repr(nn.LeakyReLU()) == "LeakyReLU(negative_slope=0.01)"
    assert repr(nn.Flatten()) == "Flatten(start_dim=1, end_dim=-1)"


# --- what a failing layer says ------------------------------------------------------------------


def message(net, x, error=rv.ShapeError):
    with pytest.raises(error) as caught:
        net(x)
    return str(caught.value)


def test_a_layer_names_itself_and_the_one_before():
    assert message(Net(), rv.zeros(32, 78, 10)) == (
        "[linear] hidden1: expected input with 784 features (last axis), got (32, 780); "
        "the layer before, 'flatten', gives 780"
    )


def test_a_layer_of_a_row_goes_by_its_place():
    net = nn.Sequential(nn.Linear(8, 60), nn.ReLU(), nn.Linear(64, 10))
    assert message(net, rv.zeros(2, 8)) == (
        "[linear] layer 2 (Linear): expected input with 64 features (last axis), got (2, 60); "
        "the layer before, '1' (ReLU), gives 60"
    )


def test_the_whole_path_is_told():
    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Sequential(nn.Linear(3, 3)))

        def forward(self, x):
            return self.body(x)

    assert message(Outer(), rv.zeros(1, 2)).startswith("[linear] body.0.0 (Linear): expected")


def test_children_of_a_list_are_told_with_their_path():
    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(2, 3), nn.Linear(4, 1)])

        def forward(self, x):
            for layer in self.layers:
                x = layer(x)
            return x

    assert message(Outer(), rv.zeros(1, 2)) == (
        "[linear] layers.1 (Linear): expected input with 4 features (last axis), got (1, 3); "
        "the layer before, 'layers.0' (Linear), gives 3"
    )


def test_a_shared_layer_goes_by_its_first_path_in_the_network_that_runs():
    shared = nn.Linear(4, 4)
    first = nn.Sequential(OrderedDict([("body", shared), ("again", shared)]))
    nn.Sequential(nn.ReLU(), nn.ReLU(), shared)  # another parent, which does not run
    assert message(first, rv.zeros(1, 2)).startswith("[linear] body: expected")


def test_no_layer_before_where_none_gave_the_input():
    net = nn.Sequential(nn.Linear(3, 3))
    net(rv.zeros(1, 3))
    assert "before" not in message(net, rv.zeros(1, 2))


def test_dtypes_are_told_with_the_layer_too():
    text = message(nn.Sequential(nn.Linear(2, 2)), rv.zeros(1, 2, dtype=rv.float64), TypeError)
    assert text.startswith("[linear] layer 0 (Linear): expected float")
    assert "float32" in text and "float64" in text


def test_errors_of_other_code_are_left_alone():
    class Odd(nn.Module):
        def forward(self, x):
            raise TypeError("my own words")

    assert message(nn.Sequential(Odd()), rv.zeros(1), TypeError) == "my own words"


# --- starting values ----------------------------------------------------------------------------


def test_init_writes_in_place_without_gradient():
    w = nn.Parameter(rv.empty(200, 100))
    checks = [
        (nn.init.zeros_, 0, 0),
        (nn.init.ones_, 1, 0),
        (lambda t: nn.init.constant_(t, 2.5), 2.5, 0),
        (lambda t: nn.init.uniform_(t, -1, 3), 1, 4 / math.sqrt(12)),
        (lambda t: nn.init.normal_(t, 1, 2), 1, 2),
        (nn.init.xavier_uniform_, 0, math.sqrt(2 / 300)),
        (nn.init.xavier_normal_, 0, math.sqrt(2 / 300)),
        (lambda t: nn.init.kaiming_uniform_(t, a=math.sqrt(5)), 0, 1 / math.sqrt(300)),
        (lambda t: nn.init.kaiming_normal_(t, nonlinearity="relu"), 0, math.sqrt(2 / 100)),
        (lambda t: nn.init.kaiming_normal_(t, mode="fan_out"), 0, math.sqrt(2 / 200)),
    ]
    rv.manual_seed(0)
    for fill, mean, std in checks:
        assert fill(w) is w and w.requires_grad and w.is_leaf
        values = w.detach().numpy()
        assert abs(values.mean() - mean) <= 0.05 * std and abs(values.std() - std) <= 0.03 * std


def test_init_with_a_generator_of_its_own():
    a = nn.init.normal_(rv.empty(3), generator=rv.Generator(5))
    assert rv.equal(a, nn.init.normal_(rv.empty(3), generator=rv.Generator(5)))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: nn.init.xavier_uniform_(rv.empty(3)), r"\(3,\)"),
        (lambda: nn.init.kaiming_normal_(rv.empty(2, 2), mode="in"), "'in'"),
        (lambda: nn.init.kaiming_normal_(rv.empty(2, 2), nonlinearity="rleu"), "'rleu'"),
        (lambda: nn.init.normal_(rv.empty(2), std=-1), "std"),
        (lambda: nn.init.uniform_(rv.empty(2), 1, 0), "got 0"),
        (lambda: nn.init.uniform_(rv.empty(2), float("nan"), 0), "nan"),
    ],
)
def test_init_refuses(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_one_hot():
    assert F.one_hot(rv.tensor([[1, 0]]), 3).tolist() == [[[0, 1, 0], [1, 0, 0]]]
