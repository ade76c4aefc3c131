"""Whole models in files: every layer comes back as it was, and gives the same bits."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from models_table import LAYERS, ROWS, X

import ranvier as rv
from ranvier import nn
from ranvier.data import Impute, MinMax, OneHot, Preprocessor, Standardize
from ranvier.io import arguments, tensors
from ranvier.training import RanvierWarning


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.safetensors"


def again(model: nn.Module, path: Path, **options: Any) -> Any:
    """The model, saved and loaded, without a warning and without random numbers."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rv.save(model, path, **options)
        state = rv.get_rng_state()
        loaded = rv.load(path)
    assert rv.equal(rv.get_rng_state(), state)
    return loaded


def same_bits(one: Any, other: Any) -> bool:
    """Whether two tensors are of one dtype and shape, and equal bit by bit."""
    a, b = one.detach(), other.detach()
    if a.dtype is not b.dtype or a.shape != b.shape:
        return False
    if a.dtype is rv.bfloat16:
        a, b = a.view(rv.int16), b.view(rv.int16)
    return bool(a.numpy().tobytes() == b.numpy().tobytes())


def assert_alike(model: nn.Module, loaded: nn.Module) -> None:
    """Layers, settings, modes, state, what learns, and what is there twice."""
    assert type(loaded) is type(model) and repr(loaded) == repr(model)
    ours, theirs = list(model.named_modules()), list(loaded.named_modules())
    assert [name for name, _ in ours] == [name for name, _ in theirs]
    for (_, a), (_, b) in zip(ours, theirs, strict=True):
        assert type(a) is type(b) and a.training is b.training
        plain = {
            name: value
            for name, value in vars(a).items()
            if not isinstance(value, (nn.Module, rv.Tensor)) and name not in nn.Module._beside
        }
        for name, value in plain.items():
            assert repr(vars(b)[name]) == repr(value), name
    state, other = model.state_dict(keep_vars=True), loaded.state_dict(keep_vars=True)
    assert list(state) == list(other)
    for name, tensor in state.items():
        assert same_bits(tensor, other[name]) and type(tensor) is type(other[name]), name
        assert tensor.requires_grad == other[name].requires_grad
    for names in (state, other):
        assert [n for n in names if names[n] is names.get("tied")] == [
            n for n in state if state[n] is state.get("tied")
        ]


# --- every layer ----------------------------------------------------------------------------------


def test_every_public_class_is_in_the_table() -> None:
    public = {
        f"{part}.{name}"
        for part, module in (("nn", nn), ("data", rv.data))
        for name in module.__all__
        if isinstance(value := getattr(module, name), type)
        and issubclass(value, nn.Module)
        and value is not Preprocessor
    }
    assert public == set(arguments.classes()) == {name.partition(" ")[0] for name in LAYERS}


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_comes_back(path: Path, name: str) -> None:
    rv.manual_seed(1)
    case = LAYERS[name]
    model = case.make()
    loaded = again(model, path)
    assert arguments.name_of(loaded) == name.partition(" ")[0]
    assert_alike(model, loaded)
    for training in (True, False):
        model.train(training)
        loaded.train(training)
        if case.inputs:
            outputs = []
            for module in (model, loaded):
                rv.manual_seed(7)
                outputs.append(module(*case.inputs))
            assert same_bits(*outputs)
        assert_alike(model, again(model, path))


@pytest.mark.parametrize("name", LAYERS)
def test_same_model_same_bytes(path: Path, name: str) -> None:
    loaded = again(LAYERS[name].make(), path)
    first = path.read_bytes()
    rv.save(loaded, path)
    assert path.read_bytes() == first


def test_settings_are_those_of_now(path: Path) -> None:
    net = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(4), nn.LeakyReLU(), nn.PairwiseDistance())
    net[0].p, net[1].momentum, net[1].eps, net[2].negative_slope = 0.125, None, np.float32(0.5), 1
    net[3].norm = np.float64(1.5)
    loaded = again(net, path)
    assert (loaded[0].p, loaded[1].momentum, loaded[1].eps) == (0.125, None, 0.5)
    assert (loaded[2].negative_slope, loaded[3].norm) == (1, 1.5)


# --- what belongs to more than one layer ----------------------------------------------------------


def test_modes_and_what_learns(path: Path) -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.Dropout(), nn.Linear(4, 2)), nn.Dropout())
    net.eval()
    net[1].train()
    net[1][0].eval()
    net[0].requires_grad_(False)
    net[1][1].bias.requires_grad = False
    assert_alike(net, again(net, path))


def test_tied_parameters_and_shared_layers(path: Path) -> None:
    layer = nn.Linear(4, 4)
    net = nn.Sequential(layer, nn.ReLU(), layer, nn.Sequential(layer, nn.Linear(4, 4)))
    net[3][1].weight = layer.weight
    rv.save(net, path)
    stored = tensors.read(path)[0]
    assert list(stored) == ["0.weight", "0.bias", "3.1.bias"]
    loaded = rv.load(path)
    assert loaded[0] is loaded[2] is loaded[3][0]
    assert loaded[3][1].weight is loaded[0].weight and loaded[3][1] is not loaded[0]
    assert loaded[3][1].bias is not loaded[0].bias
    assert same_bits(net(X), loaded(X))
    assert list(rv.io.state_of(path)) and set(rv.io.state_of(path)) == set(net.state_dict())
    loaded(X).sum().backward()
    net(X).sum().backward()
    assert same_bits(net[0].weight.grad, loaded[0].weight.grad)


def test_more_than_the_arguments_make(path: Path) -> None:
    """Parameters and buffers of the user's, layers in odd places, and what was taken away."""
    net = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    net.register_buffer("mean", rv.rand(3, dtype=rv.float64))
    net.register_buffer("mask", rv.tensor([True, False]), persistent=False)
    net.register_parameter("scale", nn.Parameter(rv.rand(2)))
    net.steps = nn.Parameter(rv.tensor([3]), requires_grad=False)
    net[1].weight = None
    net[0].extra = nn.Tanh()
    loaded = again(net, path)
    assert_alike(net, loaded)
    assert list(loaded.state_dict())[:2] == ["scale", "steps"]
    assert loaded.mask.tolist() == [True, False] and loaded._persistence["mask"] is False
    assert "mask" not in loaded.state_dict() and "mask" not in rv.io.state_of(path)
    assert loaded[1].weight is None and same_bits(net(X), loaded(X))
    net.load_state_dict(rv.io.state_of(path))


def test_buffers_that_do_not_persist(path: Path) -> None:
    norm = nn.BatchNorm1d(4)
    norm(X)
    norm.register_buffer("running_mean", norm.running_mean, persistent=False)
    loaded = again(norm.eval(), path)
    assert "running_mean" not in loaded.state_dict()
    assert same_bits(norm(X), loaded(X))


def test_converted_models(path: Path) -> None:
    for dtype in (rv.float64, rv.bfloat16, rv.float16):
        net = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.PReLU()).to(dtype)
        loaded = again(net.eval(), path)
        assert_alike(net, loaded)
        assert same_bits(net(X.to(dtype)), loaded(X.to(dtype)))


def test_large_weights_stay_as_the_file_has_them(path: Path) -> None:
    net = nn.Linear(700, 600)
    loaded = again(net, path)
    x = rv.randn(5, 700)
    assert same_bits(net(x), loaded(x)) and same_bits(net.weight, loaded.weight)
    small = again(nn.Linear(70, 60), path)
    assert small.weight.stride() == nn.Linear(70, 60).weight.stride()


# --- from raw input to a probability --------------------------------------------------------------


def test_rows_in_their_own_units(path: Path) -> None:
    """Missing numbers, categories and scales: the file takes rows as they come."""
    random = np.random.default_rng(3)
    size, kind = random.normal(180, 10, 200), random.integers(0, 4, 200)
    rows = np.stack([size, kind, random.normal(0.01, 0.001, 200)], 1)
    y = (size > 180).astype(int)
    rows[::7, 0] = np.nan
    front = [Impute("median"), OneHot([1]), Standardize(), MinMax()]
    seen = rows
    for layer in front:
        seen = layer.fit(seen)(rv.tensor(seen)).detach().numpy()
    body = nn.Sequential(*front, nn.Linear(seen.shape[1], 8), nn.Tanh(), nn.Linear(8, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RanvierWarning)  # OneHot's steps are not replayed
        rv.fit(body, rows, y, loss="cross_entropy", epochs=2, verbose=0, seed=0)
    net = nn.Sequential(body, nn.Softmax(1))
    loaded = again(net, path, labels=["short", "tall"], input=(3,))
    assert_alike(net, loaded)
    assert same_bits(rv.predict(net, rows), rv.predict(loaded, rows))
    for row in rows[:8]:
        assert same_bits(rv.predict(net, row[None]), rv.predict(loaded, row[None]))
    assert rv.io.about(loaded).input == ((3,), "float32")


def test_pixels_to_probabilities(path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (50, 8, 8)).astype(np.uint8)
    y = pixels.sum((1, 2)) % 10
    net = nn.Sequential(
        nn.Flatten(), MinMax(), nn.Linear(64, 16), nn.LayerNorm(16), nn.GELU(), nn.Dropout(0.1),
        nn.Linear(16, 10),
    )  # fmt: skip
    net[1].fit(pixels.reshape(50, 64))
    rv.fit(net, pixels, y, loss="cross_entropy", epochs=2, verbose=0, seed=0)
    loaded = again(nn.Sequential(net, nn.Softmax(1)), path, labels=list(range(10)))
    wanted = rv.predict(net, pixels).softmax(1)
    assert same_bits(wanted, rv.predict(loaded, pixels))
    assert same_bits(wanted[7:8], rv.predict(loaded, pixels[7:8]))


def test_training_goes_on_with_the_same_bits(path: Path) -> None:
    rv.manual_seed(0)
    net = nn.Sequential(Standardize(), nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    y = ROWS[:, :1]
    rv.fit(net, ROWS, y, loss="mse", epochs=2, seed=0, verbose=0)
    loaded = again(net, path)
    for model in (net, loaded):
        rv.fit(model, ROWS, y, loss="mse", optimizer=rv.optim.SGD(model.parameters(), lr=0.1),
               epochs=3, seed=1, verbose=0)  # fmt: skip
    assert_alike(net, loaded)


# --- what is known beside the layers --------------------------------------------------------------


def test_what_a_file_says_of_a_fit(path: Path) -> None:
    net = nn.Sequential(nn.Linear(4, 3))
    y = np.array([0, 1, 2, 0, 1, 2])
    history = rv.fit(net, ROWS, y, loss="cross_entropy", lr=0.01, epochs=4, batch_size=2,
                     validation=(ROWS, y), metrics="accuracy", verbose=0)  # fmt: skip
    about = rv.io.about(again(net, path, labels=("a", "b", "c")))
    assert about.labels == ("a", "b", "c") and about.input == ((4,), "float32")
    assert about.training == {
        "loss": "CrossEntropyLoss",
        "optimizer": "Adam",
        "lr": 0.01,
        "batch_size": 2,
        "epochs": 4,
        "history": {name: values[-1] for name, values in history.history.items()},
        "version": rv.__version__,
    }
    assert set(about.training["history"]) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert rv.io.about(net).labels is None  # saving does not change a model
    rv.save(rv.load(path), path)
    assert rv.io.about(rv.load(path)).labels == ("a", "b", "c")  # saved again


def test_what_was_seen_and_what_is_said(path: Path) -> None:
    net = nn.Linear(4, 2)
    assert rv.io.about(again(net, path)).input is None
    rv.predict(net, ROWS.astype(np.float64))
    assert rv.io.about(again(net, path)).input == ((4,), "float32")
    assert rv.io.about(again(net, path, input=(4,))).input == ((4,), "float32")
    assert rv.io.about(again(net, path, input=((3, 4), rv.float64))).input == ((3, 4), "float64")
    rv.io.about(net).labels = np.array([3, 5])
    assert rv.io.about(again(net, path)).labels == (3, 5)
    rv.io.about(net).labels = None
    assert rv.io.about(again(net, path)).labels is None
    assert "labels" in repr(rv.io.about(net))


def test_about_travels_with_copies() -> None:
    import copy
    import pickle

    net = nn.Linear(4, 2)
    rv.io.about(net).labels = ["no", "yes"]
    rv.fit(net, ROWS, [0, 1, 0, 1, 0, 1], loss="cross_entropy", epochs=2, verbose=0)
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        about = rv.io.about(other)
        assert about.labels == ("no", "yes") and about.training == rv.io.about(net).training
        about.labels = ["a", "b"]
        assert rv.io.about(net).labels == ("no", "yes")


@pytest.mark.parametrize("labels", [["a"], ["a", "b"], ["a", "b", "c", "d"]])
def test_a_label_for_each_output(path: Path, labels: list[str]) -> None:
    net = nn.Sequential(nn.Linear(4, 3), nn.Dropout(), nn.LayerNorm(3), nn.Softmax(1))
    with pytest.raises(ValueError, match=r"\[save\] labels: .* each of the 3 outputs"):
        rv.save(net, path, labels=labels)
    assert not path.exists()
    rv.save(nn.Linear(4, 1), path, labels=["no", "yes"])
    rv.save(nn.Sequential(nn.Linear(4, 6), nn.GLU()), path, labels=labels)  # nobody knows


@pytest.mark.parametrize(
    ("option", "value", "error"),
    [
        ("labels", "abc", TypeError),
        ("labels", 3, TypeError),
        ("labels", {"a": 1}, TypeError),
        ("labels", [b"a", "b"], TypeError),
        ("labels", [True, False], TypeError),
        ("labels", [None, 1], TypeError),
        ("labels", [], ValueError),
        ("labels", ["a", "a"], ValueError),
        ("labels", [1, float("nan")], ValueError),
        ("labels", [1, 2**64], ValueError),
        ("labels", ["a", "\ud800"], ValueError),
        ("labels", ["a", "b" * 20_000], ValueError),
        ("input", 4, TypeError),
        ("input", "4", TypeError),
        ("input", (4.0,), TypeError),
        ("input", (True,), TypeError),
        ("input", (-4,), ValueError),
        ("input", (2**40,), ValueError),
        ("input", (1,) * 9, ValueError),
        ("input", ((4,), "float31"), ValueError),
    ],
)
def test_what_is_not_known(path: Path, option: str, value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"\[save\] "):
        rv.save(nn.Linear(4, 2), path, **{option: value})
    assert not path.exists()
    about = rv.io.about(nn.Linear(4, 2))
    with pytest.raises(error, match=rf"\[{option}\]"):
        setattr(about, option, value)
    assert getattr(about, option) is None


def test_options_belong_to_models(path: Path) -> None:
    with pytest.raises(TypeError, match=r"\[save\] labels: expected it beside a model only"):
        rv.save({"a": rv.ones(1)}, path, labels=["a"])
    with pytest.raises(TypeError, match=r"\[about\] model"):
        rv.io.about({})  # type: ignore[arg-type]
    rv.save(nn.Linear(1, 1), path)
    with pytest.raises(TypeError, match=r"\[load\] model: expected an nn.Module, got dict"):
        rv.load(path, model={})


# --- what a file cannot hold ----------------------------------------------------------------------


def test_hooks_are_named(path: Path) -> None:
    net = nn.Sequential(nn.Linear(4, 3), Standardize())

    def look(*_: Any) -> None:
        pass

    net[0].register_forward_hook(look)
    net.register_full_backward_hook(look)
    told = r"without hooks, got Sequential: backward hook look, 0 \(Linear\): forward hook look;"
    with pytest.warns(RanvierWarning, match=told) as found:
        rv.save(net, path)
    assert len(found) == 1
    assert rv.load(path)[0]._hooks is None


class Own(nn.Module):
    """What a file cannot make."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
        self.scale = nn.Parameter(rv.ones(3))
        self.out = nn.Linear(3, 2)
        self.tied = self.out.weight

    def forward(self, x: Any) -> Any:
        return self.out(self.body(x) * self.scale)


@pytest.mark.filterwarnings("ignore:.*not what it computes:ranvier.RanvierWarning")
def test_own_classes(path: Path) -> None:
    net = Own()
    rv.save(net, path, labels=["a", "b"])
    with pytest.raises(ValueError) as caught:
        rv.load(path)
    words = str(caught.value)
    assert words.startswith(f"[load] {path}: expected layers of ranvier.nn and ranvier.data")
    assert "test_model_files.Own" in words
    assert "rv.load(path, model=it)" in words and "rv.io.state_of(path)" in words
    assert {n for n, _ in tensors.read(path)[0].items()} == set(net.state_dict()) - {"out.weight"}
    for other in (rv.load(path, model=Own()), Own()):
        other.load_state_dict(rv.io.state_of(path))
        assert same_bits(net(X), other(X))
    other = Own()
    assert rv.load(path, model=other) is other and rv.io.about(other).labels == ("a", "b")
    rv.save(nn.Sequential(nn.ReLU(), Own()), path)
    with pytest.raises(ValueError, match=r"test_model_files\.Own at 1, which"):
        rv.load(path)


@pytest.mark.filterwarnings("ignore:.*not what it computes:ranvier.RanvierWarning")
def test_own_names_of_states(path: Path) -> None:
    class Renamed(Own):
        def state_dict(self, *args: Any, **kwargs: Any) -> Any:
            return {f"my.{name}": t for name, t in super().state_dict(*args, **kwargs).items()}

        def load_state_dict(self, state: Any, *_: Any, **__: Any) -> Any:
            return super().load_state_dict({n.removeprefix("my."): t for n, t in state.items()})

    net = Renamed()
    rv.save(net, path)
    assert set(rv.io.state_of(path)) == set(net.state_dict())
    assert same_bits(net(X), rv.load(path, model=Renamed())(X))


@pytest.mark.filterwarnings("ignore:.*not what it computes:ranvier.RanvierWarning")
def test_own_states_of_more_than_tensors(path: Path) -> None:
    class Counting(Own):
        count: Any = None

        def get_extra_state(self) -> Any:
            return {"count": self.count, "seen": (1, rv.ones(2))}

        def set_extra_state(self, state: Any) -> None:
            self.count = state["count"]

    net = Counting()
    net.count = 7
    rv.save(net, path)
    loaded = rv.load(path, model=Counting())
    assert loaded.count == 7 and same_bits(net(X), loaded(X))
    assert rv.io.state_of(path)["_extra_state"]["seen"][1].tolist() == [1, 1]


def test_open_files() -> None:
    file = io.BytesIO()
    net = nn.Linear(2, 1)
    rv.save(net, file, labels=["no", "yes"])
    file.seek(0)
    loaded = rv.load(file)
    assert same_bits(net.weight, loaded.weight)
    file.seek(0)
    assert same_bits(rv.load(file, model=nn.Linear(2, 1)).bias, net.bias)
    file.seek(0)
    assert list(rv.io.state_of(file)) == ["weight", "bias"]


def test_nested_values_are_no_states(path: Path) -> None:
    rv.save({"model": nn.Linear(2, 1).state_dict(), "epoch": 3}, path)
    for take in (rv.io.state_of, lambda path: rv.load(path, model=nn.Linear(2, 1))):
        with pytest.raises(ValueError, match=r"\[load\] .*got a nested value"):
            take(path)
    with pytest.raises(TypeError, match=r"\['model'\]"):  # a model within a value is no data
        rv.save({"model": nn.Linear(2, 1)}, path)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda net: setattr(net[0], "weight", nn.Parameter(rv.ones(2, 2))), "weight has shape"),
        (lambda net: setattr(net[1], "p", rv.ones(1)), "p is of type Tensor"),
        (lambda net: setattr(net[1], "p", 7), "p: expected a probability"),
        (lambda net: setattr(net[1], "inplace", "yes"), "inplace is 'yes', not true or false"),
        (lambda net: setattr(net[1], "forward", lambda x: x), "forward of its own"),
        (lambda net: delattr(net[2], "running_mean"), "no running_mean"),
        (lambda net: setattr(net[3], "distance_function", abs), "distance_function is no module"),
        (lambda net: setattr(net, "a.b", nn.ReLU()), "without '.'"),
    ],
)
def test_layers_that_arguments_do_not_describe(path: Path, change: Any, why: str) -> None:
    """They are saved, with a word, and their weights go into a model that is there."""

    def make() -> Any:
        net = nn.Sequential(
            nn.Linear(4, 3), nn.Dropout(), nn.BatchNorm1d(3), nn.TripletMarginWithDistanceLoss()
        )
        change(net)
        return net

    net = make()
    with pytest.warns(RanvierWarning, match=rf"\[save\] .*{why}"):
        rv.save(net, path)
    with pytest.raises(ValueError, match=rf"{why}.*which a file cannot make"):
        rv.load(path)
    loaded = rv.load(path, model=make())
    for name, tensor in net.state_dict().items():
        assert same_bits(tensor, loaded.state_dict()[name])


def test_lists_of_very_many(path: Path) -> None:
    many = [nn.Parameter(rv.ones(1)) for _ in range(10_001)]
    assert len(again(nn.ParameterList(many), path)) == 10_001
    net = nn.ParameterDict({str(i): parameter for i, parameter in enumerate(many)})
    with pytest.warns(RanvierWarning, match="more than 10,000 tensors"):
        rv.save(net, path)
    assert len(rv.load(path, model=net)) == 10_001


def test_models_that_go_on_for_ever(path: Path) -> None:
    net = nn.Sequential(nn.ReLU())
    net.add_module("itself", net)
    with pytest.raises(ValueError, match="a model without itself in it"):
        rv.save(net, path)
    deep: nn.Module = nn.ReLU()
    for _ in range(150):
        deep = nn.Sequential(deep)
    with pytest.raises(ValueError, match="layers within layers, at most 100 deep"):
        rv.save(deep, path)
    wide: nn.Module = nn.ReLU()
    for _ in range(40):
        wide = nn.Sequential(wide, wide)
    with pytest.raises(ValueError, match="at most 100,000 layers"):
        rv.save(wide, path)
    long: nn.Module = nn.Sequential(*[nn.ReLU() for _ in range(1000)])
    for _ in range(20):
        long = nn.ModuleDict({"x" * 10_000: long})
    with pytest.raises(ValueError, match="letters in all"):
        rv.save(long, path)
    assert not path.exists()


def test_weights_that_do_not_go_into_a_model(path: Path) -> None:
    rv.save(nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)), path)
    other = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 3))
    before = {name: t.clone() for name, t in other.state_dict().items()}
    with pytest.raises(
        ValueError, match=rf"\[load\] {path}: Sequential: expected 1.weight \(3, 3\)"
    ):
        rv.load(path, model=other)
    with pytest.raises(ValueError, match=r"missing 2\.weight, 2\.bias"):
        rv.load(path, model=nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2), nn.Linear(2, 1)))
    assert all(same_bits(t, other.state_dict()[name]) for name, t in before.items())
    rv.save({"weight": rv.ones(1, 4), "bias": rv.zeros(1)}, path)
    assert rv.load(path, model=nn.Linear(4, 1)).weight.tolist() == [[1, 1, 1, 1]]
    with pytest.raises(TypeError, match=r"got Linear; pass its state_dict\(\)"):
        nn.Linear(4, 1).load_state_dict(nn.Linear(4, 1))  # type: ignore[arg-type]
