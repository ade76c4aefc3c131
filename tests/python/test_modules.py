"""Modules: hooks in PyTorch's order, paths, states that do not fit, and containers.

Where PyTorch is installed the same program runs there, and what the hooks saw is compared.
"""

from __future__ import annotations

import copy
import pickle
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier import nn


def libraries() -> list[Any]:
    """Ranvier and, where it is installed, PyTorch: programs for one run in both."""
    try:
        import torch
    except ImportError:
        return [rv]
    return [rv, torch]


# --- hooks ----------------------------------------------------------------------------------------


def forward_story(lib: Any) -> list[Any]:
    """What a program with many hooks sees, in order."""
    story: list[Any] = []

    class Net(lib.nn.Module):  # type: ignore[misc,name-defined]
        def forward(self, x: Any, scale: float = 1.0) -> Any:
            story.append(("forward", x.tolist(), scale))
            return x * scale

    net = Net()
    net.register_forward_pre_hook(lambda m, args: story.append(("pre 1", len(args))))
    net.register_forward_pre_hook(lambda m, args: (args[0] + 1,))
    net.register_forward_pre_hook(
        lambda m, args, kwargs: (args, {**kwargs, "scale": 10.0}), with_kwargs=True
    )
    net.register_forward_pre_hook(lambda m, args: story.append("pre first"), prepend=True)
    net.register_forward_hook(lambda m, args, out: story.append(("post 1", out.tolist())))
    net.register_forward_hook(lambda m, args, out: out + 0.5)
    net.register_forward_hook(
        lambda m, args, kwargs, out: story.append(("post 2", kwargs, out.tolist())),
        with_kwargs=True,
    )
    handle = net.register_forward_hook(
        lambda m, args, out: story.append("post first"), prepend=True
    )
    story.append(net(lib.tensor([1.0, 2.0]), scale=3.0).tolist())
    handle.remove()
    handle.remove()
    story.append(net(lib.tensor([0.0])).tolist())
    return story


@pytest.mark.parametrize("lib", libraries(), ids=lambda lib: str(lib.__name__))
def test_forward_hooks(lib: Any) -> None:
    assert forward_story(lib) == [
        "pre first", ("pre 1", 1), ("forward", [2.0, 3.0], 10.0), "post first",
        ("post 1", [20.0, 30.0]), ("post 2", {"scale": 10.0}, [20.5, 30.5]), [20.5, 30.5],
        "pre first", ("pre 1", 1), ("forward", [1.0], 10.0),
        ("post 1", [10.0]), ("post 2", {"scale": 10.0}, [10.5]), [10.5],
    ]  # fmt: skip


@pytest.mark.parametrize("lib", libraries(), ids=lambda lib: str(lib.__name__))
def test_hooks_that_are_always_called(lib: Any) -> None:
    class Broken(lib.nn.Module):  # type: ignore[misc,name-defined]
        def forward(self, x: Any) -> Any:
            raise KeyError("broken")

    seen: list[Any] = []
    net = Broken()
    net.register_forward_hook(lambda m, args, out: seen.append("never"))
    net.register_forward_hook(lambda m, args, out: seen.append(out), always_call=True)
    with pytest.raises(KeyError, match="broken"):
        net(lib.ones(1))
    assert seen == [None]


@pytest.mark.parametrize("lib", libraries(), ids=lambda lib: str(lib.__name__))
def test_backward_hooks(lib: Any) -> None:
    story: list[Any] = []

    def told(grads: Any) -> list[Any]:
        return [None if g is None else g.tolist() for g in grads]

    class Two(lib.nn.Module):  # type: ignore[misc,name-defined]
        def forward(self, x: Any, y: Any) -> Any:
            return x * 2, x * y

    net = Two()
    net.register_full_backward_pre_hook(lambda m, out: story.append(("pre", told(out))))
    net.register_full_backward_pre_hook(lambda m, out: tuple(g * 10 for g in out))
    net.register_full_backward_hook(
        lambda m, given, out: story.append(("hook", told(given), told(out)))
    )
    net.register_full_backward_hook(lambda m, given, out: (given[0] + 1, None))
    x = lib.tensor([1.0], requires_grad=True)
    y = lib.tensor([3.0])
    a, b = net(x, y)
    (a + b).sum().backward()
    assert story == [("pre", [[1.0], [1.0]]), ("hook", [[50.0], [0.0]], [[10.0], [10.0]])]
    assert x.grad.tolist() == [51.0]


@pytest.mark.filterwarnings("ignore:Full backward hook is firing")
@pytest.mark.parametrize("lib", libraries(), ids=lambda lib: str(lib.__name__))
def test_backward_hooks_of_a_layer_in_a_network(lib: Any) -> None:
    net = lib.nn.Sequential(lib.nn.Linear(2, 3), lib.nn.Tanh(), lib.nn.Linear(3, 1))
    shapes: list[Any] = []

    def hook(module: Any, given: Any, out: Any) -> None:
        shapes.append(
            (type(module).__name__, [None if g is None else tuple(g.shape) for g in (*given, *out)])
        )

    handles = [m.register_full_backward_hook(hook) for m in net]
    net(lib.ones(4, 2)).sum().backward()
    assert shapes == [
        ("Linear", [(4, 3), (4, 1)]), ("Tanh", [(4, 3), (4, 3)]), ("Linear", [None, (4, 3)]),
    ]  # fmt: skip
    for handle in handles:
        handle.remove()
    before = net[0].weight.grad.tolist()
    net.zero_grad()
    net(lib.ones(4, 2)).sum().backward()
    assert net[0].weight.grad.tolist() == before and len(shapes) == 3


def test_hooks_that_break_the_rules() -> None:
    layer = nn.Linear(2, 2)
    with pytest.raises(TypeError, match=r"\[register_forward_hook\] hook: .*got 3"):
        layer.register_forward_hook(3)  # type: ignore[arg-type]
    with layer.register_full_backward_hook(lambda m, given, out: (given[0], given[0])):
        x = rv.ones(1, 2, requires_grad=True)
        with pytest.raises(RuntimeError, match="expected 1 gradients, got 2"):
            layer(x).sum().backward()
    with (
        layer.register_full_backward_hook(lambda m, given, out: (out[0],)),
        pytest.raises(RuntimeError, match="no input of the module asks"),
    ):
        layer(rv.ones(1, 2)).sum().backward()
    with (
        layer.register_forward_pre_hook(lambda m, a, k: a, with_kwargs=True),
        pytest.raises(RuntimeError, match=r"tuple \(args, kwargs\)"),
    ):
        layer(rv.ones(1, 2))
    with (
        layer.register_forward_pre_hook(lambda m, args: None),
        pytest.raises(rv.ShapeError, match=r"\[linear\]"),
    ):
        layer(rv.ones(1, 3))
    assert layer(rv.ones(1, 2)).shape == (1, 2)


def test_a_removed_hook_leaves_no_trace_and_copies_carry_hooks() -> None:
    calls: list[str] = []
    net = nn.Sequential(nn.ReLU())
    net.register_forward_hook(lambda m, args, out: calls.append("net"))
    copy.deepcopy(net)(rv.ones(1))
    assert calls == ["net"]
    assert "hooks" not in repr(net) and list(net.state_dict()) == []


def test_state_dict_hooks() -> None:
    net = nn.Sequential(nn.Linear(1, 1))
    order: list[str] = []
    net[0].register_state_dict_pre_hook(lambda m, prefix, keep: order.append(f"pre {prefix}"))
    net[0].register_state_dict_post_hook(
        lambda m, state, prefix, meta: state.update({prefix + "extra": rv.ones(1)})
    )
    state = net.state_dict()
    assert list(state) == ["0.weight", "0.bias", "0.extra"] and order == ["pre 0."]

    def rename(module: Any, state: Any, prefix: str, *rest: Any) -> None:
        del state[prefix + "extra"]
        state[prefix + "bias"] = state.pop(prefix + "old_bias")

    net[0].register_load_state_dict_pre_hook(rename)
    net.register_load_state_dict_post_hook(lambda m, keys: order.append(repr(keys)))
    state["0.old_bias"] = state.pop("0.bias") * 0 + 7
    net.load_state_dict(state)
    assert net[0].bias.item() == 7 and "0.old_bias" in state
    assert order[-1] == "<All keys matched successfully>"


# --- what belongs to a module ---------------------------------------------------------------------


def nested() -> nn.Sequential:
    return nn.Sequential(OrderedDict(body=nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))))


def test_paths() -> None:
    net = nested()
    assert net.get_submodule("") is net and net.get_submodule("body.1") is net.body[1]
    assert net.get_parameter("body.0.weight") is net.body[0].weight
    assert net.get_buffer("body.1.running_mean") is net.body[1].running_mean
    for ask in (
        lambda: net.get_submodule("body.7"),
        lambda: net.get_submodule("nobody"),
        lambda: net.get_parameter("body.0.wieght"),
        lambda: net.get_parameter("body.1.running_mean"),
        lambda: net.get_buffer("body.0.weight"),
        lambda: net.get_submodule("body.0.weight"),
    ):
        with pytest.raises(AttributeError, match=r"\[get_\w+\].*it has"):
            ask()
    net.set_submodule("body.1", nn.Identity())
    assert isinstance(net.body[1], nn.Identity)
    with pytest.raises(AttributeError, match="body"):
        net.set_submodule("body.9", nn.Identity(), strict=True)
    with pytest.raises(ValueError, match="Module"):
        net.set_submodule("body.1", 3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="path"):
        net.set_submodule("", nn.Identity())


def test_what_is_there_twice_is_given_once_unless_asked_for() -> None:
    shared = nn.Linear(2, 2)
    net = nn.Sequential(shared, shared)
    assert [n for n, _ in net.named_parameters()] == ["0.weight", "0.bias"]
    both = [n for n, _ in net.named_parameters(remove_duplicate=False)]
    assert both == ["0.weight", "0.bias", "1.weight", "1.bias"]
    assert [n for n, _ in net.named_modules(remove_duplicate=False)] == ["", "0", "1"]
    assert [n for n, _ in net.named_parameters(prefix="net")] == ["net.0.weight", "net.0.bias"]
    assert list(net.state_dict()) == both
    memo: set[Any] = {shared}
    assert [n for n, _ in net.named_modules(memo)] == [""]


def test_what_pytorch_programs_look_into() -> None:
    net = nested()
    assert list(net._modules) == ["body"] and list(net.body[0]._parameters) == ["weight", "bias"]
    assert list(net.body[1]._buffers) == ["running_mean", "running_var", "num_batches_tracked"]
    with pytest.raises(TypeError):
        net._modules["other"] = nn.Identity()  # type: ignore[index]
    assert net._get_name() == "Sequential" and net.compile() is None  # type: ignore[func-returns-value]


def test_buffers_by_assignment() -> None:
    m = nn.Module()
    m.seen = nn.Buffer(rv.zeros(2))
    m.scratch = nn.Buffer(rv.zeros(2), persistent=False)
    assert [n for n, _ in m.named_buffers()] == ["seen", "scratch"] and list(m.state_dict()) == [
        "seen"
    ]
    m.seen = rv.ones(2)
    assert m.state_dict()["seen"].tolist() == [1, 1]
    del m.seen
    m.seen = rv.ones(2)
    assert list(m.state_dict()) == []
    assert m.double().scratch.dtype is rv.float64
    m.register_module("inner", nn.ReLU())
    assert isinstance(m.inner, nn.ReLU)


def test_a_name_that_is_taken_is_refused() -> None:
    m = nn.Module()
    m.plain, m.weight, m.inner = 3, nn.Parameter(rv.ones(1)), nn.ReLU()
    m.register_buffer("seen", rv.zeros(1))
    for name in ("plain", "weight", "inner", "forward", "training"):
        with pytest.raises(KeyError, match="free"):
            m.register_buffer(name, rv.zeros(1))
    for name in ("plain", "weight", "seen", "eval"):
        with pytest.raises(KeyError, match="free"):
            m.add_module(name, nn.ReLU())
    for name in ("plain", "inner", "seen"):
        with pytest.raises(KeyError, match="free"):
            m.register_parameter(name, nn.Parameter(rv.ones(1)))
    m.register_buffer("seen", rv.ones(1), persistent=False)
    m.add_module("inner", nn.Tanh())
    assert list(m.state_dict()) == ["weight"] and repr(m.inner) == "Tanh()"


def test_registering_before_super_init_says_so() -> None:
    class Forgetful(nn.Module):
        def __init__(self) -> None:
            self.register_forward_hook(lambda *a: None)

    with pytest.raises(AttributeError, match=r"super\(\).__init__\(\)"):
        Forgetful()
    for register in ("register_parameter", "add_module", "register_module", "register_buffer"):
        bare = nn.Module.__new__(nn.Module)
        with pytest.raises(AttributeError, match=r"super\(\).__init__\(\)"):
            getattr(bare, register)("x", None)


def test_conversions() -> None:
    net = nested()
    net(rv.ones(4, 2)).sum().backward()
    assert net.half().body[0].weight.dtype is rv.float16
    assert net.body[0].weight.grad.dtype is rv.float16
    assert net.bfloat16().body[1].running_var.dtype is rv.bfloat16
    assert net.type(rv.float64).body[1].num_batches_tracked.dtype is rv.float64
    assert nested().double().body[1].num_batches_tracked.dtype is rv.int64
    assert net.share_memory() is net
    with pytest.raises(RuntimeError, match="cuda"):
        net.cuda()
    with pytest.raises(TypeError, match="int64"):
        net.type(rv.int64)


def test_forward_may_return_anything() -> None:
    class Nothing(nn.Module):
        def forward(self, x: rv.Tensor) -> None:
            pass

    assert Nothing()(rv.ones(1)) is None


@pytest.mark.parametrize("again", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_keep_everything(again: Any) -> None:
    net = nn.Sequential(
        nn.BatchNorm1d(2), nn.Dropout(0.1), nn.ModuleList([nn.ReLU()]),
        nn.ParameterList([rv.ones(1)]), nn.ParameterDict({"a": rv.ones(1)}), nn.LayerNorm(2),
    ).eval()  # fmt: skip
    other = again(net)
    assert repr(other) == repr(net) and list(other.state_dict()) == list(net.state_dict())
    assert not any(m.training for m in other.modules())
    assert other[0].running_mean is not net[0].running_mean


# --- states ---------------------------------------------------------------------------------------


def test_everything_that_does_not_fit_is_listed_at_once() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    state = net.state_dict()
    del state["0.bias"], state["1.bias"]
    state["1.weight"] = rv.ones(4, 4)
    state["0.weight"] = rv.ones(2, 3)
    state["2.weight"], state["head"] = rv.ones(1), rv.ones(1)
    with pytest.raises(RuntimeError) as caught:
        net.load_state_dict(state)
    for word in ("0.bias", "1.bias", "2.weight", "head", "0.weight (3, 2), got (2, 3)",
                 "1.weight (1, 3), got (4, 4)"):  # fmt: skip
        assert word in str(caught.value)
    with pytest.raises(rv.ShapeError, match=r"0.weight .*1.weight") as caught:
        net.load_state_dict(state, strict=False)
    assert "head" not in str(caught.value)


def test_assigning_a_state() -> None:
    net, other = nn.Linear(2, 1), nn.Linear(2, 1).double()
    optimizer = rv.optim.SGD(net.parameters(), lr=0.1)
    state = other.state_dict()
    assert net.load_state_dict(state, assign=True) == ([], [])
    assert net.weight.dtype is rv.float64 and isinstance(net.weight, nn.Parameter)
    assert net.weight.requires_grad
    state["bias"].fill_(5)
    assert net.bias.item() == 5  # the tensor itself
    with pytest.raises(RuntimeError, match="make the optimizer after"):
        optimizer.step()
    kept = net.state_dict(keep_vars=True)
    assert kept["weight"] is net.weight
    assert list(net.state_dict(prefix="net.")) == ["net.weight", "net.bias"]
    into: OrderedDict[str, Any] = OrderedDict()
    assert net.state_dict(destination=into) is into and len(into) == 2


def test_tied_weights_are_one() -> None:
    class Auto(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encode, self.decode = nn.Linear(3, 4, bias=False), nn.Linear(4, 3, bias=False)
            self.out = nn.Linear(3, 4, bias=False)
            self.out.weight = self.encode.weight

        def forward(self, x: rv.Tensor) -> rv.Tensor:
            return self.out(self.decode(self.encode(x)))

    net = Auto()
    assert len(list(net.parameters())) == 2
    assert list(net.state_dict()) == ["encode.weight", "decode.weight", "out.weight"]
    x = rv.randn(5, 3)
    net(x).sum().backward()
    separate = Auto()
    separate.out = nn.Linear(3, 4, bias=False)
    separate.load_state_dict(net.state_dict())
    separate(x).sum().backward()
    total = separate.encode.weight.grad + separate.out.weight.grad
    np.testing.assert_allclose(net.encode.weight.grad.numpy(), total.numpy(), atol=1e-5)
    optimizer = rv.optim.SGD(net.parameters(), lr=0.1)
    before = net.encode.weight.detach().clone()
    optimizer.step()
    step = before - 0.1 * net.encode.weight.grad
    np.testing.assert_allclose(net.out.weight.detach().numpy(), step.numpy(), atol=1e-6)


def test_linear_takes_a_weight_of_any_layout() -> None:
    layer, x = nn.Linear(3, 2), rv.randn(4, 3)
    want = layer(x).detach().numpy()
    layer.weight = nn.Parameter(layer.weight.detach().contiguous())
    assert layer.weight.is_contiguous() and layer(x).detach().numpy().tobytes() == want.tobytes()
    layer(x).sum().backward()
    assert layer.weight.grad.shape == (2, 3)


# --- containers -----------------------------------------------------------------------------------


def test_sequential_takes_every_list_operation() -> None:
    a, b, c = nn.ReLU(), nn.Tanh(), nn.Sigmoid()
    net = nn.Sequential(a, b)
    assert list(net + nn.Sequential(c)) == [a, b, c] and len(net) == 2
    net += [c]
    assert list(net) == [a, b, c] and c in net and nn.ReLU() not in net
    assert list(net * 2) == [a, b, c, a, b, c] and list(2 * net) == list(net * 2)
    net *= 2
    assert len(net) == 6
    del net[2:]
    assert list(net) == [a, b]
    net.insert(-1, c)
    assert list(net) == [a, c, b] and net.pop(1) is c and list(reversed(list(net))) == [b, a]
    for index in (3, -3):
        with pytest.raises(IndexError, match=str(index)):
            net.insert(index, c)
    for times, error in ((0, ValueError), (1.5, TypeError), (True, TypeError)):
        with pytest.raises(error, match="repeat"):
            net * times
    with pytest.raises(TypeError, match="text"):
        net[0] = "text"  # type: ignore[assignment]


def test_module_dict() -> None:
    layers = nn.ModuleDict({"a": nn.Linear(1, 1), "b": nn.ReLU()})
    assert list(layers) == ["a", "b"] and len(layers) == 2 and "a" in layers
    assert [n for n, _ in layers.named_parameters()] == ["a.weight", "a.bias"]
    layers["c"] = nn.Tanh()
    layers["a"] = nn.Sigmoid()
    assert [type(m).__name__ for m in layers.values()] == ["Sigmoid", "ReLU", "Tanh"]
    assert repr(layers.pop("b")) == "ReLU()" and list(layers.keys()) == ["a", "c"]
    layers.update([("d", nn.Identity())])
    assert [k for k, _ in layers.items()] == ["a", "c", "d"]
    del layers["d"]
    layers.clear()
    assert len(layers) == 0
    for change, error in (
        (lambda: layers["x"], KeyError),
        (lambda: layers.update({"x": 3}), TypeError),
        (lambda: layers.update(3), TypeError),
        (lambda: layers.update(["xyz"]), ValueError),
        (lambda: layers.update({"forward": nn.ReLU()}), KeyError),
        (lambda: layers(rv.ones(1)), TypeError),
    ):
        with pytest.raises(error, match=r"\["):
            change()


def test_parameter_list() -> None:
    weights = nn.ParameterList([rv.ones(2), nn.Parameter(rv.zeros(3))])
    weights.append(rv.ones(1)).extend([rv.ones(4)])
    weights += [rv.ones(5)]
    assert [p.shape[0] for p in weights] == [2, 3, 1, 4, 5] and len(weights) == 5
    assert [n for n, _ in weights.named_parameters()] == ["0", "1", "2", "3", "4"]
    assert weights[-1].shape == (5,) and len(weights[1:3]) == 2 and weights[1:3][0] is weights[1]
    assert weights.pop(0).shape == (2,) and [p.shape[0] for p in weights] == [3, 1, 4, 5]
    weights[0] = rv.zeros(7)
    assert isinstance(weights[0], nn.Parameter) and weights[0] in weights
    for change, error in (
        (lambda: weights[9], IndexError),
        (lambda: weights["0"], TypeError),
        (lambda: weights.extend(3), TypeError),
        (lambda: weights.extend(rv.ones(2)), TypeError),
    ):
        with pytest.raises(error, match=r"\[ParameterList\]"):
            change()


def test_parameter_dict() -> None:
    weights = nn.ParameterDict({"a": rv.ones(2)})
    weights["b"] = rv.zeros(3)
    assert list(weights) == ["a", "b"] and isinstance(weights["b"], nn.Parameter)
    assert [n for n, _ in weights.named_parameters()] == ["a", "b"]
    assert weights.get("x") is None and weights.setdefault("c", rv.ones(1)).shape == (1,)
    assert weights.popitem()[0] == "c" and weights.pop("x", 3) == 3
    other = weights.copy()
    assert other["a"] is weights["a"]
    del weights["a"]
    assert list(weights) == ["b"] and len(other) == 2
    assert list(nn.ParameterDict.fromkeys(["x", "y"])) == ["x", "y"]
    assert repr(nn.ParameterDict({"a": rv.ones(2, 3)})) == (
        "ParameterDict((a): Parameter containing: [ranvier.float32 of size 2x3])"
    )


def test_layers_in_a_plain_list_are_not_found() -> None:
    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = [nn.Linear(2, 2)]

    assert list(Plain().parameters()) == []
    with pytest.raises(ValueError, match=r"plain list.*nn.ModuleList"):
        rv.optim.SGD(Plain().parameters(), lr=0.1)


def test_unflatten() -> None:
    assert nn.Unflatten(1, (2, -1))(rv.zeros(3, 8)).shape == (3, 2, 4)
    assert repr(nn.Unflatten(1, (2, 4))) == "Unflatten(dim=1, unflattened_size=(2, 4))"
    for args in ((1.5, (2, 4)), (1, 8), (1, (2.5, 4))):
        with pytest.raises(TypeError, match=r"\[Unflatten\]"):
            nn.Unflatten(*args)
    with pytest.raises(RuntimeError):
        nn.Unflatten(1, (3, 3))(rv.zeros(3, 8))


def test_printing_repeats() -> None:
    same = nn.ModuleList([nn.Linear(1, 1) for _ in range(3)])
    assert repr(same) == (
        "ModuleList(\n  (0-2): 3 x Linear(in_features=1, out_features=1, bias=True)\n)"
    )
    assert repr(nn.ModuleList()) == "ModuleList()"

    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.act = nn.ReLU()

        def extra_repr(self) -> str:
            return "depth=2"

    assert repr(Named()) == "Named(\n  depth=2\n  (act): ReLU()\n)"


# ---- state beside tensors


class Counted(nn.Module):
    """A layer that keeps a number and names in its state."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(2, 1)
        self.extra = {"count": 0, "names": ["a"]}

    def get_extra_state(self):
        return self.extra

    def set_extra_state(self, state) -> None:
        self.extra = state

    def forward(self, x):
        self.extra = {**self.extra, "count": self.extra["count"] + 1}
        return self.inner(x)


def test_extra_state_travels() -> None:
    model = nn.Sequential(nn.Linear(2, 2), Counted())
    model(rv.ones(1, 2))
    state = model.state_dict()
    assert list(state) == [
        "0.weight", "0.bias", "1._extra_state", "1.inner.weight", "1.inner.bias",
    ]  # fmt: skip
    twin = nn.Sequential(nn.Linear(2, 2), Counted())
    twin.load_state_dict(state)
    assert twin[1].extra == {"count": 1, "names": ["a"]}
    del state["1._extra_state"]
    with pytest.raises(RuntimeError, match=r"missing 1\._extra_state"):
        twin.load_state_dict(state)
    assert twin.load_state_dict(state, strict=False).missing_keys == ["1._extra_state"]
    plain = nn.Linear(2, 1)
    with pytest.raises(RuntimeError, match="unexpected _extra_state"):
        plain.load_state_dict({**plain.state_dict(), "_extra_state": 3})


@pytest.mark.filterwarnings("ignore:.*run as Python code")
def test_extra_state_is_part_of_the_best_weights() -> None:
    model = Counted()
    stop = rv.EarlyStopping(patience=1)
    rv.fit(model, [[0.0, 0.0]], [0.0], loss="mse", lr=1e-30, epochs=5, verbose=0, callbacks=stop)
    assert stop.best_epoch == 1
    assert 0 < model.extra["count"] < 6


def test_half_of_extra_state_is_named() -> None:
    class Half(nn.Module):
        def set_extra_state(self, state) -> None:
            pass

    with pytest.raises(RuntimeError, match="missing _extra_state"):
        Half().load_state_dict({})
    with pytest.raises(RuntimeError, match="Half: expected get_extra_state to be defined"):
        Half().get_extra_state()


def test_a_loss_that_is_called_before_it_is_made() -> None:
    for kind in (nn.MSELoss, nn.CrossEntropyLoss, nn.BCELoss):
        with pytest.raises(
            TypeError, match=rf"made, then called: {kind.__name__}\(\)\(input, target"
        ):
            kind(rv.rand(3, 1), rv.rand(3, 1))
