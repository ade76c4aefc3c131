"""What counts as plain: code whose steps may be recorded once and replayed."""

from __future__ import annotations

import importlib.util
import itertools
import re
import sys
import textwrap
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ranvier as rv
from ranvier import keras, nn
from ranvier.nn import functional as F
from ranvier.training.plain import check, why_not_plain

HEAD = '''
from __future__ import annotations
import collections, dataclasses, functools, itertools, math, operator, random, time
from functools import partial
from typing import NamedTuple
import numpy as np
import ranvier as rv
from ranvier import nn
from ranvier.nn import functional as F

SCALE = 2.0
SIZES = [1, 2]
SEEN = []
WEIGHT = rv.ones(8)
backbone = nn.Linear(8, 8)

def helper(h, factor=1):
    return F.relu(h) * factor

def noisy(h):
    return h * random.random()

def keeps(h, into):
    into.append(h)
    return h

def remembers(h, into=[]):
    into.append(h)
    return h

class Pair(NamedTuple):
    a: rv.Tensor
    b: rv.Tensor

@dataclasses.dataclass
class Output:
    logits: rv.Tensor
    aux: rv.Tensor = None

@dataclasses.dataclass
class Counting:
    logits: rv.Tensor
    def __post_init__(self): SEEN.append(1)

class Config:
    def __init__(self): self.factor, self.sizes, self.calls = 3, [1, 2], []
    def scaled(self, h): return h * self.factor
    def count(self, h): self.calls.append(1); return h

class Odd:
    def __getattr__(self, name): return 3

class Twice(rv.autograd.Function):
    @staticmethod
    def forward(ctx, h): return h * 2
    @staticmethod
    def backward(ctx, g): return g * 2

class Residual(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.norm, self.layer = nn.LayerNorm(size), nn.Linear(size, size)
    def forward(self, h):
        return h + F.gelu(self.layer(self.norm(h)))

class Talking:
    def __init__(self): self.said = 0
    def __mul__(self, h):
        self.said += 1
        return h
    __rmul__ = __mul__

class Weighted(nn.Linear):
    @property
    def weight(self):
        SEEN.append(1)
        return self.__dict__["weight"]
    @weight.setter
    def weight(self, value): self.__dict__["weight"] = value

class Rowed(nn.Sequential):
    def _layers(self):
        SEEN.append(1)
        return super()._layers()

class Lengthy(nn.Module):
    def __init__(self): super().__init__(); self.counted = 0
    def __len__(self): self.counted += 1; return 2
    def forward(self, h): return h

class Deco:
    def __init__(self, function): self.function = function
    def __get__(self, owner, kind): return partial(self.function, owner)

class Noisy(nn.Module):
    def forward(self, h): return noisy(h)

class Noise(nn.Linear):
    def forward(self, h): return super().forward(h) + 0.1 * rv.randn_like(h)

class Scaled(nn.Linear):
    """A layer whose weight is computed when it is used."""
    def __init__(self, n, m):
        super().__init__(n, m)
        self.v = nn.Parameter(rv.ones(m, n))
    @property
    def gain(self): return self.v.norm()
    def forward(self, h): return F.linear(h, self.v / self.gain)

class Base(nn.Module):
    depth = 2
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(8, 8), nn.Linear(8, 8)
        self.pool, self.drop = nn.Identity(), nn.Dropout(0.2)
        self.layers = nn.ModuleList([nn.Linear(8, 8) for _ in range(3)])
        self.norms = nn.ModuleList([nn.LayerNorm(8) for _ in range(3)])
        self.blocks = nn.Sequential(Residual(8), Residual(8))
        self.heads = nn.ModuleDict({"a": nn.Linear(8, 3), "b": nn.Linear(8, 3)})
        self.layer0, self.layer1 = nn.Linear(8, 8), nn.Linear(8, 8)
        self.loose, self.pairs = [nn.ReLU(), nn.Tanh()], (nn.ReLU(), nn.Tanh())
        self.n, self.rate, self.kind, self.none, self.sizes = 3, 0.5, "relu", None, (8, 8)
        self.skips, self.names = [1, 2], {"relu": F.relu, "tanh": rv.tanh}
        self.scale = nn.Parameter(rv.ones(8))
        self.register_buffer("mean", rv.zeros(8))
        self.calls, self.acts, self.config, self.odd = 0, [], Config(), Odd()
        self.act, self.noise = (lambda h: h.relu()), noisy
        self.array, self.noisy_layer = np.ones(8), Noisy()
        self.talking, self.lengthy = Talking(), Lengthy()
        self.counter, self.source = itertools.count(), iter([1, 2])
        self.half, self.scaled = partial(F.dropout, p=0.5), Scaled(8, 8)
    def two(self, h, factor=2): return h, h * factor
    @property
    def width(self): return self.n * 2
    @staticmethod
    def halved(h): return h / 2
    @classmethod
    def doubled(cls, h): return h * 2
    def count(self): self.calls += 1
    @rv.no_grad()
    def frozen(self, h): return self.fc1(h)

class Net(Base):
'''

PLAIN = {
    "torch's first": "x = self.pool(F.relu(self.fc1(x))); x = self.fc2(x); return x",
    "flattened": "return self.fc1(x.view(x.size(0), -1))",
    "shapes": "b, c = x.shape; return self.fc1(x.reshape(b, c)) / math.sqrt(c) * x.ndim * len(x)",
    "training": "return self.drop(x) if self.training else x",
    "an attribute": "return F.dropout(x, self.rate, self.training) if self.n > 2 else x",
    "text": "return F.relu(x) if self.kind == 'relu' else rv.tanh(x)",
    "none": "return x if self.none is None else self.none(x)",
    "a list of layers": "for layer in self.layers: x = F.relu(layer(x))\nreturn x",
    "layers by number": "for i in range(len(self.layers)): x = self.layers[i](x)\nreturn x",
    "some layers": "for layer in self.layers[:-1]: x = F.relu(layer(x))\nreturn self.layers[-1](x)",
    "two lists": "for i, (a, n) in enumerate(zip(self.layers, self.norms)):\n"
    "    h = n(a(x))\n    x = x + h if i % 2 == 0 else h\nreturn x",
    "backwards": "for layer in reversed(self.layers): x = layer(x)\nreturn x",
    "a plain list": "for layer in self.loose: x = layer(x)\nreturn self.pairs[0](x)",
    "a dict of layers": "return self.heads['a'](x) + sum(h(x) for h in self.heads.values())",
    "items": "out = {}\nfor k, layer in self.heads.items(): out[k] = layer(x)\nreturn out['a']",
    "children": "for layer in self.blocks.children(): x = layer(x)\nreturn x",
    "names of children": "for name, layer in self.blocks.named_children(): x = layer(x)\nreturn x",
    "residuals": "return self.blocks(x) + x",
    "a list of its own": "hs = [x]\nfor layer in self.layers: hs.append(layer(hs[-1]))\n"
    "return rv.cat(hs, dim=1) if len(hs) < 2 else rv.stack(hs).mean(0)",
    "skips": "skips = []\nfor i, layer in enumerate(self.layers):\n    x = layer(x)\n"
    "    if i in self.skips: skips.append(x)\nwhile_ = skips.pop()\nreturn x + while_ + skips[0]",
    "sums of lists": "hs = [x] + [layer(x) for layer in self.layers]\nhs += [x]\nreturn sum(hs)",
    "rows": "(a, b), c = self.two(x), x\nfirst, *rest = a, b, c\nreturn first + rest[0]",
    "comprehension": "return rv.stack([layer(x) for layer in self.layers if self.n > 1]).sum(0)",
    "reduce": "return functools.reduce(operator.add, [layer(x) for layer in self.layers])",
    "reduce by lambda": "return functools.reduce(lambda a, b: a + b, map(self.fc1, [x, x]))",
    "chain": "for layer in itertools.chain(self.layers, self.blocks): x = layer(x)\nreturn x",
    "helpers": "return helper(x, 2) + self.halved(x) + self.doubled(x) + self.two(x, factor=3)[1]",
    "a keyword": "args = (x,)\nreturn helper(*args, **{'factor': 2})",
    "a property": "return x * self.width * self.depth",
    "another class' property": "return self.scaled(x)",
    "parameters": "return x * self.scale + self.mean",
    "statistics": "if self.training:\n    self.mean.mul_(0.9).add_(x.mean(0).detach(), alpha=0.1)\n"
    "return x - self.mean",
    "in place": "x = x * 2; x += self.scale; x.relu_(); x[:, 0] = 0.0; return x",
    "no_grad": "with rv.no_grad(): m = x.mean()\nreturn x - m",
    "no_grad around a method": "return x + self.frozen(x)",
    "by names": "h = getattr(self, 'fc1')(x)\n"
    "for i in range(2): h = getattr(self, f'layer{i}')(h)\nreturn getattr(self, 'layer%d' % 1)(h)",
    "functions in a dict": "return self.names[self.kind](x)",
    "a function in an attribute": "return self.act(x)",
    "an inner function": "def inner(h, k=2): return h * k + x\n"
    "return inner(x) + (lambda h: h * 2)(x)",
    "raising": "if x.ndim != 2: raise ValueError(f'expected a matrix, got {x.shape}')\nreturn x",
    "asserting": "assert x.shape[1] == 8, f'got {x.shape}'\nreturn x",
    "super": "return super().two(x)[0] + super(Net, self).halved(x)",
    "pairs": "p = Pair(x, x)\nreturn Output(p.a + p[1]).logits",
    "layers on the fly": "return nn.ReLU()(nn.Dropout(0.5)(x))",
    "random numbers of Ranvier": "return x + 0.1 * rv.randn_like(x)",
    "zeros": "h = rv.zeros(x.size(0), 8, dtype=x.dtype)\n"
    "for t in range(self.n): h = h + x\nreturn h",
    "a module of the file": "return backbone(x)",
    "a constant of the file": "return x * SCALE * SIZES[0] * WEIGHT",
    "an object's numbers": "return self.config.scaled(x) * self.config.sizes[0]",
    "a partial": "return self.half(x, training=self.training)",
    "text in text": "return x if f'{self.kind}-{self.n}' != 'a' else x * 2",
    "walrus": "return h * 2 if (h := self.fc1(x)) is not None else x",
    "deleted": "h = x * 2; y = h + 1; del h; return y",
    "min and max": "return x[:, : min(self.n, max(2, x.shape[1]))].sum(1, keepdim=True) + x",
    "an optional argument": "return self.rest(x)\n"
    "def rest(self, h, mask=None, *more, extra=None):\n"
    "    if mask is not None: h = h * mask\n    return h",
    "typed": "h: rv.Tensor = x * 2\nreturn h",
    "isinstance": "return x[0] if isinstance(x, (tuple, list)) else x",
    "dict of its own": "d = dict(a=x)\nd['b'] = x * 2\nd.update(c=x)\n"
    "return sum(d.values()) + d['a']",
    "a break": "for i, layer in enumerate(self.layers):\n    if i == 2: break\n    x = layer(x)\n"
    "else: x = x * 2\nreturn x",
    "recursion": "return self.deep(x, 3)\ndef deep(self, h, n):\n"
    "    return h if n == 0 else self.deep(self.fc1(h), n - 1)",
    "einsum": "q, k = self.fc1(x), self.fc2(x)\n"
    "a = F.softmax(rv.einsum('ij,kj->ik', q, k) / math.sqrt(q.size(-1)), dim=-1)\nreturn a @ x",
    "chunks": "a, b = x.chunk(2, dim=1)\nreturn rv.cat((a * b.sigmoid(), b), dim=1)",
}  # fmt: skip

NOT = {
    "random in a loop bound": ("for _ in range(random.randint(1, 3)): x = self.fc1(x)\nreturn x",
                               r"calls 'random\.randint'"),
    "a counter": ("x = x * 2\nself.calls += 1\nreturn x", r"sets self\.calls"),
    "a counter in a method": ("self.count()\nreturn x", r"sets self\.calls"),
    "an appended list": ("self.acts.append(x)\nreturn x", r"changes 'self\.acts'"),
    "under another name": ("a = self.acts\na.append(x)\nreturn x", r"changes 'a'"),
    "in a function": ("return keeps(x, self.acts)", r"changes 'into'"),
    "inside a list": ("hs = [self.acts]\nhs[0].append(x)\nreturn x", r"changes 'hs\[0\]'"),
    "in a loop": ("for a in (self.acts,): a += [x]\nreturn x", "changes a"),
    "a default value": ("return remembers(x)", r"changes 'into'"),
    "a list of the file": ("SEEN.append(1)\nreturn x", r"changes 'SEEN'"),
    "by the class": ("nn.Module.train(self)\nreturn x", r"nn\.Module\.train"),
    "by the dict": ("self.__dict__['a'] = 1\nreturn x", "__dict__"),
    "a list in a list": ("h = [*[self.acts]]\nh[0] += [1]\nreturn x", r"changes h\[0\]"),
    "a start": ("functools.reduce(lambda a, b: a.append(b) or a, [1], self.acts)\nreturn x",
                "changes 'a'"),
    "a global": ("global SCALE\nSCALE = 3\nreturn x", "'global'"),
    "a nonlocal": ("n = 0\ndef inner():\n    nonlocal n\n    n += 1\ninner()\nreturn x",
                   "'nonlocal'"),
    "an attribute": ("self.last = x\nreturn x", r"sets self\.last"),
    "an attribute of a result": ("y = x * 2\ny.tag = 1\nreturn y", r"sets y\.tag"),
    "a place of an attribute": ("self.acts[0] = x\nreturn x", r"changes self\.acts"),
    "a place of a buffer": ("self.mean[0] = 1.0\nreturn x", r"changes self\.mean"),
    "a place of the input": ("x[0] = 1.0\nreturn x", "changes x"),
    "print": ("print(x.shape)\nreturn x", "calls 'print'"),
    "time": ("return x * time.time()", r"calls 'time\.time'"),
    "numpy": ("return x * np.sqrt(2)", r"'np\.sqrt'"),
    "numpy's random": ("return x * np.random.rand()", r"'np\.random"),
    "an array": ("return x * self.array", r"self\.array"),
    "open": ("open('x')\nreturn x", "calls 'open'"),
    "a helper that is not": ("return noisy(x)", r"calls 'random\.random'"),
    "a function in an attribute": ("return self.noise(x)", r"calls 'random\.random'"),
    "a layer that is not": ("return self.noisy_layer(x)", r"calls 'random\.random'"),
    "while": ("while self.n > 3: x = x * 2\nreturn x", "'while'"),
    "try": ("try: return self.fc1(x)\nexcept ValueError: return x", "'try'"),
    "import": ("import math\nreturn x", "'import'"),
    "yield": ("yield x", "'yield'"),
    "delete": ("del self.none\nreturn x", "deletes"),
    "a class": ("class C: pass\nreturn x", "class"),
    "seeding": ("rv.manual_seed(0)\nreturn x", "manual_seed"),
    "threads": ("rv.set_num_threads(1)\nreturn x", "set_num_threads"),
    "gradients off for good": ("rv.set_grad_enabled(False)\nreturn x", "set_grad_enabled"),
    "saving": ("rv.save(x, 'f')\nreturn x", "save"),
    "evaluation mode": ("self.drop.eval()\nreturn x", r"self\.drop\.eval"),
    "freezing": ("self.fc1.requires_grad_(False)\nreturn x", "requires_grad_"),
    "a new layer": ("self.layers.append(nn.Linear(8, 8))\nreturn x", r"self\.layers\.append"),
    "a new buffer": ("self.register_buffer('b', x)\nreturn x", "register_buffer"),
    "setattr": ("setattr(self, 'last', x)\nreturn x", "calls 'setattr'"),
    "a tensor's hook": ("x.register_hook(print)\nreturn x", "register_hook"),
    "a gradient": ("return x * self.scale.grad", "grad"),
    "an own backward": ("return Twice.apply(x)", "backward of its own"),
    "an own class": ("return Counting(x).logits", "Counting"),
    "an own layer on the fly": ("return Residual(8)(x)", "Residual"),
    "an object that counts": ("return self.config.count(x)", r"changes 'self\.calls'"),
    "an odd object": ("return x * self.odd.factor", r"self\.odd\.factor"),
    "handed to Ranvier": ("return F.relu(x, lambda h: h)", "function of its own"),
    "with a file": ("with open('f') as f: pass\nreturn x", "with open"),
    "an argument that is called": ("return self.run(x, lambda: random.random())\n"
                                   "def run(self, h, f): return h * f()", r"random\.random"),
    "an object that counts as it is multiplied": ("return x * self.talking", r"sets self\.said"),
    "a layer that counts": ("return x * len(self.lengthy)", r"sets self\.counted"),
    "a counter of itertools": ("return x * next(self.counter)", r"self\.counter"),
    "an iterator": ("return x * next(self.source)", r"self\.source"),
    "a generator of Python": ("return x * random.Random(0).random()", "Random"),
    "not there": ("return x * nowhere", "nowhere"),
    "an async": ("async def inner(h): return h\nreturn x", "'async' function"),
}  # fmt: skip

_numbers = itertools.count()


def load(source: str, folder: Path) -> types.ModuleType:
    """A file with this text, imported."""
    name = f"plain_example_{next(_numbers)}"
    path = folder / f"{name}.py"
    path.write_text(source)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def net(body: str, folder: Path) -> tuple[Any, int]:
    """A model with this forward, and the line of its first statement."""
    first, *methods = body.split("\ndef ")
    lines = "    def forward(self, x):\n" + textwrap.indent(first, " " * 8)
    if methods and not methods[0].startswith("inner"):
        for method in methods:
            lines += "\n    def " + textwrap.indent(method, " " * 4).lstrip()
    else:
        lines = "    def forward(self, x):\n" + textwrap.indent(body, " " * 8)
    return load(HEAD + lines + "\n", folder).Net(), HEAD.count("\n") + 2


@pytest.mark.parametrize("body", PLAIN.values(), ids=PLAIN)
def test_plain(body: str, tmp_path: Path) -> None:
    model, _ = net(body, tmp_path)
    model(rv.ones(2, 8))  # the example is one that runs
    assert why_not_plain(model) is None
    assert why_not_plain(nn.Sequential(model, nn.ReLU())) is None


@pytest.mark.parametrize(("body", "words"), NOT.values(), ids=NOT)
def test_not_plain(body: str, words: str, tmp_path: Path) -> None:
    model, first = net(body, tmp_path)
    reason = why_not_plain(nn.Sequential(nn.ReLU(), model))
    assert reason is not None and re.search(words, reason.text), reason
    assert reason.filename.startswith(str(tmp_path)) and 0 < reason.line <= first + 6


# --- modules --------------------------------------------------------------------------------------


def example(name: str, folder: Path, *arguments: Any) -> Any:
    """One of the classes in the head of the examples."""
    return getattr(load(HEAD + "    pass\n", folder), name)(*arguments)


def test_modules_of_ranvier() -> None:
    """All that there are: those without arguments, and a few that take some."""
    kinds = [kind for kind in vars(nn).values() if isinstance(kind, type)]
    made = 0
    for kind in kinds:
        if issubclass(kind, nn.Module):
            try:
                module = kind()
            except TypeError:
                continue
            made += 1
            assert why_not_plain(module) is None, kind
            assert why_not_plain(nn.Linear(2, 2), module) is None, kind
    assert made > 30
    net = nn.Sequential(
        nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 3)
    )
    assert why_not_plain(net, nn.CrossEntropyLoss()) is None
    assert why_not_plain(net, F.cross_entropy) is None


def test_classes_that_build_on_layers_of_ranvier(tmp_path: Path) -> None:
    assert why_not_plain(example("Residual", tmp_path, 4)) is None
    assert why_not_plain(example("Noise", tmp_path, 4, 4)) is None
    assert why_not_plain(example("Scaled", tmp_path, 4, 4)) is None
    for name, arguments in (("Weighted", (4, 4)), ("Rowed", (nn.ReLU(),))):
        reason = why_not_plain(example(name, tmp_path, *arguments))
        assert reason is not None and "SEEN" in reason.text, name


@pytest.mark.parametrize("name", ["__call__", "__getattr__", "__getattribute__", "__setattr__"])
def test_classes_that_act_where_attributes_are_read(name: str) -> None:
    methods: dict[str, Any] = {name: lambda self, *_: None, "forward": lambda self, x: x}
    for base in (nn.Module, nn.Linear):
        kind = type("Odd", (base,), dict(methods))
        module = kind.__new__(kind)
        reason = why_not_plain(module)
        assert reason is not None and name in reason.text


def test_hooks() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    registrations = (
        lambda: net[0].register_forward_hook(lambda *_: None),
        lambda: net[1].register_forward_pre_hook(lambda *_: None),
        lambda: net.register_full_backward_hook(lambda *_: None),
        lambda: net[0].register_full_backward_pre_hook(lambda *_: None),
        lambda: net[0].weight.register_hook(lambda g: g),
    )
    for register in registrations:
        handle = register()
        reason = why_not_plain(net)
        assert reason is not None and "has a hook" in reason.text
        handle.remove()
        assert why_not_plain(net) is None
    net[0].register_state_dict_post_hook(lambda *_: None)
    assert why_not_plain(net) is None


def test_a_forward_that_was_set_later() -> None:
    net = nn.Sequential(nn.Linear(2, 3))
    object.__setattr__(net[0], "forward", lambda x: x)
    reason = why_not_plain(net)
    assert reason is not None and "forward that was set later" in reason.text


def test_keras_models() -> None:
    inputs = keras.Input((4,))
    hidden = keras.layers.Dense(3, "relu", kernel_regularizer=keras.regularizers.L2(0.1))(inputs)
    model = keras.Model(inputs, keras.layers.Dropout(0.1)(keras.layers.Dense(1)(hidden)))
    assert why_not_plain(model) is None
    assert why_not_plain(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])) is None


# --- losses ---------------------------------------------------------------------------------------


def plain_loss(prediction: rv.Tensor, target: rv.Tensor) -> rv.Tensor:
    return ((prediction - target) ** 2).mean() + 0.1 * prediction.abs().mean()


def test_losses(tmp_path: Path) -> None:
    net = nn.Linear(2, 1)
    module = load(
        HEAD
        + """    pass

def loss(p, t): return F.mse_loss(p, t) * random.random()
def counts(p, t):
    SEEN.append(1)
    return F.mse_loss(p, t)
class Good(nn.Module):
    def __init__(self): super().__init__(); self.inner = nn.MSELoss()
    def forward(self, p, t): return self.inner(p, t) + 0.1 * p.abs().mean()
class Called:
    def __init__(self, scale): self.scale = scale
    def __call__(self, p, t): return F.mse_loss(p, t) * self.scale
class Keeping(Called):
    def __call__(self, p, t):
        self.last = p
        return F.mse_loss(p, t)
""",
        tmp_path,
    )
    for good in (
        plain_loss, lambda p, t: ((p - t) ** 2).mean(), module.Good(), module.Called(2.0),
        module.partial(F.mse_loss, reduction="sum"), module.Called(2.0).__call__,
    ):  # fmt: skip
        assert why_not_plain(net, good) is None, good
    for bad, words in (
        (module.loss, "random"), (module.counts, "SEEN"), (module.Keeping(1.0), r"sets self\.last"),
        (module.partial(module.loss, t=1), "random"), (print, "print"),
        (module.Keeping(1.0).__call__, r"sets self\.last"),
    ):  # fmt: skip
        reason = why_not_plain(net, bad)
        assert reason is not None and re.search(words, reason.text), reason


# --- sources --------------------------------------------------------------------------------------


def test_a_function_without_source() -> None:
    space: dict[str, Any] = {"nn": nn}
    exec("class Net(nn.Module):\n    def forward(self, x): return x", space)
    reason = why_not_plain(space["Net"]())
    assert reason is not None and "source is not there" in reason.text


def test_a_source_that_has_changed(tmp_path: Path) -> None:
    """What is in the file by now is not what runs."""
    model, _ = net("return noisy(x) * 7", tmp_path)
    path = Path(type(model).forward.__code__.co_filename)
    path.write_text(path.read_text().replace("return noisy(x) * 7", "return helper(x) * 7"))
    reason = why_not_plain(model)
    assert reason is not None and "source is not there" in reason.text


def test_a_decorated_forward(tmp_path: Path) -> None:
    source = (
        HEAD
        + """
    def forward(self, x): return x

def counting(function):
    calls = []
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        calls.append(1)
        return function(*args, **kwargs)
    return wrapper

def doubling(function):
    @functools.wraps(function)
    def wrapper(self, *args, **kwargs):
        return function(self, *args, **kwargs) * 2
    return wrapper

class Good(Base):
    @doubling
    def forward(self, x): return self.fc1(x)

class Counted(Base):
    @counting
    def forward(self, x): return self.fc1(x)

class Inside(Base):
    @doubling
    def forward(self, x): return noisy(x)

class Off(Base):
    @rv.no_grad()
    def forward(self, x): return noisy(x)

class Described(Base):
    @Deco
    def forward(self, x): return x
"""
    )
    module = load(source, tmp_path)
    assert why_not_plain(module.Good()) is None
    for name, words in (
        ("Counted", "calls"), ("Inside", "random"), ("Off", "random"), ("Described", "forward"),
    ):  # fmt: skip
        reason = why_not_plain(getattr(module, name)())
        assert reason is not None and words in reason.text, name


def test_the_line_is_named(tmp_path: Path) -> None:
    model, first = net("x = self.fc1(x)\n\nx = noisy(\n    x)\nself.calls += 1\nreturn x", tmp_path)
    reason = why_not_plain(model)
    assert reason is not None
    lines = Path(reason.filename).read_text().splitlines()
    assert "random.random()" in lines[reason.line - 1]
    model, first = net("x = self.fc1(x)\n\nself.calls += 1\nreturn x", tmp_path)
    reason = why_not_plain(model)
    assert reason is not None and reason.line == first + 2


def test_errors_do_not_escape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ranvier.training.plain_walk import Walk

    def broken(*_: Any) -> Any:
        raise ZeroDivisionError

    model, _ = net("return x", tmp_path)
    monkeypatch.setattr(Walk, "function", broken)
    reason = why_not_plain(model)
    assert reason is not None and "could not be checked (ZeroDivisionError)" in reason.text


# --- what can change without a word ---------------------------------------------------------------


CHANGES: dict[str, tuple[str, Callable[[Any, Any], None]]] = {
    "a global": ("return x * SCALE", lambda module, model: setattr(module, "SCALE", 3.0)),
    "a global tensor": ("return x * WEIGHT",
                        lambda module, model: setattr(module, "WEIGHT", rv.ones(8))),
    "a function": ("return helper(x)", lambda module, model: setattr(module, "helper", abs)),
    "a list of the file": ("return x * SIZES[0]", lambda module, model: module.SIZES.append(1)),
    "a list of layers": ("for layer in self.loose: x = layer(x)\nreturn x",
                         lambda module, model: model.loose.append(nn.ReLU())),
    "a list of numbers": ("return x * self.skips[0]",
                          lambda module, model: model.skips.__setitem__(0, 2)),
    "a dict": ("return self.names['relu'](x)",
               lambda module, model: model.names.update(relu=rv.tanh)),
    "an object": ("return self.config.scaled(x)",
                  lambda module, model: setattr(model.config, "factor", 5)),
    "a list of an object": ("return x * self.config.sizes[0]",
                            lambda module, model: model.config.sizes.clear()),
    "an attribute of a class": ("return x * self.depth",
                                lambda module, model: setattr(module.Base, "depth", 3)),
}  # fmt: skip


@pytest.mark.parametrize(("body", "change"), CHANGES.values(), ids=CHANGES)
def test_what_can_change(body: str, change: Any, tmp_path: Path) -> None:
    model, _ = net(body, tmp_path)
    found = check(model)
    assert found.reason is None and found.changed() is None
    change(sys.modules[type(model).__module__], model)
    assert found.changed() is not None


def test_a_name_of_an_outer_function() -> None:
    factor = 2.0

    class Net(nn.Module):
        def forward(self, x: rv.Tensor) -> rv.Tensor:
            return x * factor

    found = check(Net())
    assert found.reason is None and found.changed() is None
    factor = 3.0
    assert found.changed() is not None
