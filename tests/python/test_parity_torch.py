"""The same calls in PyTorch, where it is installed: values, dtypes, shapes, gradients and errors.

Every op that PyTorch has by the same name is called with the case table's samples; then random
programs of several ops, views and changes in place run in both. `DIFFERENCES` lists where we mean
to differ, with the reason; `ALONE` lists the ops that PyTorch has not. Skipped without PyTorch.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from cases import CASES
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import REGISTRY, Sample, as_dtype, call

import ranvier as rv
from ranvier import _C

torch = pytest.importorskip("torch")
F = torch.nn.functional

TOTAL = int(os.environ.get("RANVIER_CASES", "300"))
DTYPES = ("float64", "float32", "float16", "bfloat16", "int64", "int32", "uint8", "bool")

ALONE = {
    **dict.fromkeys(("step", "step_", "half_squared_error"), "textbook's"),
    **dict.fromkeys(("step_straight_through", "step_straight_through_"), "textbook's"),
    **dict.fromkeys(("gelu_tanh", "rectify", "rectify_"), "gelu's second form, prelu's kernel"),
    **dict.fromkeys(("kl_div_log_target", "soft_cross_entropy"), "options of a Python function"),
    **dict.fromkeys(
        [
            f"{name}_"
            for name in (
                "gelu_tanh",
                "relu6",
                "mish",
                "hardsigmoid",
                "hardswish",
                "logsigmoid",
                "tanhshrink",
                "softshrink",
                "hardshrink",
                "softplus",
                "logaddexp",
                "logaddexp2",
            )
        ],
        "forms in place",
    ),
    **dict.fromkeys(
        ("slice", "cast", "all_finite", "tensors_finite", "index"),
        "what indexing, to(), fit() run on",
    ),
    **dict.fromkeys(("gelu_", "silu_", "softsign_", "maximum_", "minimum_"), "forms in place"),
    **dict.fromkeys(("logaddexp_", "logaddexp2_"), "forms in place"),
    **dict.fromkeys(("add_scaled", "add_scaled_", "sub_scaled", "sub_scaled_"), "add(alpha=)"),
    **dict.fromkeys(
        ("div_rounded", "div_rounded_", "trunc_divide", "trunc_divide_"), "div's modes"
    ),
    **dict.fromkeys(("repeat_each", "repeat_each_by", "tensordot"), "under a Python function"),
    **dict.fromkeys(("unique", "unique_consecutive"), "under a Python function"),
    **dict.fromkeys(("row_state", "batch_norm_by"), "under a Python function"),
    "batch_norm": "counts its batches; test_layers.py compares function and module",
    "perceptron_pass": "Rosenblatt's rule",
    **dict.fromkeys(("uniform", "integers", "permutation", "normal"), "draw from a state tensor"),
    **dict.fromkeys([n for n in REGISTRY if "state" in REGISTRY[n]["inputs"]], "the same"),
    **dict.fromkeys(
        [n for n in REGISTRY if n.endswith(("_update", "_updates"))], "an optimizer's step"
    ),
}

# Words of the error that only one of the two gives, whatever the op: why.
RULES = {
    "not implemented for": "PyTorch has no kernel for the dtype; there is no rule behind it",
    "is not implemented')": "PyTorch has no derivative where ours is zero or known",
    "Padding size": "PyTorch has no kernel for so many dimensions",
    "dtype int32/int64 for index": "every integer dtype is an index here, as in indexing",
    "dtype int32 or int64 for index": "the same",
    "Expected a long tensor for index": "the same",
    "Expected dtype int64 for index": "the same",
    "dtype to be Long or Byte": "the same for labels",
    "index out of range in self": "negative indices count from the end, as in indexing",
    "does not support bool": "False comes before True",
    "Boolean inputs not supported": "the same",
    "on a bool tensor is not supported": "the same",
    "expected a floating dtype": "layers take floating tensors and say so, also empty ones",
    "expected floating numbers or integers": "products of bools raise, also empty ones",
    "keyword argument 'activation'": "an argument of ours",
    "unexpected keyword argument 'dims'": "an argument of ours",
    "prod(): argument 'dim' must be int": "prod takes several axes, as NumPy's",
    "match the broadcast shape": "dim=[] and bounds larger than the input, which PyTorch forgot",
    "prod() received an invalid": "prod takes several axes, as NumPy's",
    "fits into uint8, got -1": "a number that the dtype cannot hold is refused; PyTorch's wraps",
    "view size is not compatible": "PyTorch's kron wants inputs that can be viewed",
    "with possibly 0 batch size": "an empty axis beside the padded ones is no error",
    "cast to the desired output type Bool": "True times True is True, as for mul",
    "quantile() ": "quantile takes a q and an input of any floating dtype",
    "Integer division with addcdiv": "division is true division",
    "returned an invalid gradient": "PyTorch's gradient fails where the index is smaller than src",
}
# Which of equal elements comes first, or is the one that is picked, is not defined.
TIES = ("argsort", "kthvalue", "median", "mode", "nanmedian", "sort", "topk", "msort")
# (op, dtype or "*", what differs): why. "raises": we raise and PyTorch does not; "takes": the other
# way round; "dtype", "values", "gradient": as they say; "bad": a bad call of the case table.
DIFFERENCES: dict[tuple[str, str, str], str] = {
    **{(name, "*", "indices"): "ties" for name in TIES},
    ("argsort", "*", "values"): "ties",
    **{("addmv", "*", what): "the result of no columns has the shape of a product, as all others"
       for what in ("shape", "gradient")},
    ("einsum", "*", "dtype"): "integers keep their dtype, also where nothing but a sum is left",
    ("histc", "float16", "values"): "bins are found in float32",
    ("nansum", "float32", "values"): "terms that cancel: PyTorch's sum has the larger error",
    **{(name, "*", "gradient"): "PyTorch's gradient fails where the index is smaller than src"
       for name in ("scatter_reduce", "scatter_reduce_")},
    **{(name, "*", "bad"): "at most 8 dimensions" for name in ("kron", "repeat", "stack")},
    ("unsqueeze", "*", "bad"): "at most 8 dimensions",
    ("layer_norm", "*", "gradient"): "of one element it is 0; PyTorch's is what rounding left",
    ("rms_norm", "*", "bad"): "a weight of another dtype is refused, as layer_norm's",
    ("linear", "*", "bad"): "a weight of one dimension is refused",
    **{(name, "*", "bad"): "shapes that would broadcast are refused: PyTorch only warns"
       for name in ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "kl_div",
                    "hinge_embedding_loss", "soft_margin_loss")},
    **{(name, "*", what): "integers are taken as floats, and targets of another dtype promoted"
       for name in ("l1_loss", "smooth_l1_loss", "huber_loss", "kl_div", "hinge_embedding_loss",
                    "soft_margin_loss") for what in ("takes", "dtype")},
    ("tanhshrink", "*", "values"): "PyTorch rounds the tanh of half precision on the way",
    ("tanhshrink", "bool", "takes"): "True is 1",
    ("hardsigmoid", "float64", "gradient"): "PyTorch's 1/6 is a float32",
    **{(name, "*", "takes"): "a weight of another floating dtype is converted"
       for name in ("cross_entropy", "nll_loss")},
    **{(name, "*", "takes"): "its settings may be tensors"
       for name in ("hardtanh", "hardtanh_", "softplus", "threshold", "threshold_")},
    **{(name, "*", "dtype"): "it gives floats" for name in ("hardtanh", "threshold")},
    **{(name, "*", "raises"): "it gives floats" for name in ("hardtanh_", "threshold_")},
    ("pad", "*", "bad"): "circular padding is not cut off at the same time",
    ("take_along_dim", "*", "bad"): "PyTorch reads past the end",
    **{(name, "*", "bad"): "an op of two dtypes, or half of an integer, is refused"
       for name in ("addmm", "addbmm", "addmv", "addr", "baddbmm")},
    **{(name, "*", "bad"): "an unknown extreme of nothing is refused"
       for name in ("scatter_reduce", "scatter_reduce_")},
}  # fmt: skip


def torch_dtype(dtype: Any) -> Any:
    """PyTorch's dtype of the same name."""
    return getattr(torch, dtype.name)


def placed(sample: Sample, dtype: str) -> tuple[list[Any], list[Any]]:
    """The inputs of a sample for both libraries, in the sample's layouts."""
    ours: list[Any] = []
    theirs: list[Any] = []
    sample = as_dtype(sample, "float32" if dtype == "bfloat16" else dtype)
    for x, layout in zip(sample.inputs, sample.layouts, strict=True):
        if x is None:
            ours.append(None)
            theirs.append(None)
            continue
        base = np.array(x.T if layout == "transposed" else x, order="C")
        a, b = rv.tensor(base), torch.tensor(base)
        if dtype == "bfloat16" and x.dtype.kind == "f":
            a, b = a.to(rv.bfloat16), b.to(torch.bfloat16)
        if layout == "transposed":
            order = list(range(base.ndim))[::-1]
            a, b = a.permute(order), b.permute(order)
        ours.append(a)
        theirs.append(b)
    return ours, theirs


def torch_call(name: str, inputs: list[Any], attrs: dict[str, Any]) -> Any:
    """The call under the same name in torch, torch.nn.functional or torch.Tensor."""
    entry = REGISTRY[name]
    attrs = {k: torch_dtype(x) if isinstance(x, _C.dtype) else x for k, x in attrs.items()}
    names = entry["inputs"]
    given = {n: t for n, t in zip(names, inputs, strict=False) if t is not None}
    if entry["variadic"]:
        given[names[-1]] = list(inputs[len(names) - 1 :])
    by_name = {**given, **attrs}
    rest = {k: x for k, x in by_name.items() if k != names[0]}
    ways: list[Callable[[], Any]] = []
    for module in (F, torch):  # torch's losses take the reduction as a number
        if hasattr(module, name):
            function = getattr(module, name)
            ways += [
                lambda f=function: f(**by_name),
                lambda f=function: f(by_name[names[0]], **rest),
            ]
            if entry["variadic"]:
                first = [x for k, x in by_name.items() if k != names[-1]]
                ways.append(lambda f=function, a=first: f(*a, *given[names[-1]]))
                ways.append(lambda f=function: f(*attrs.values(), *given[names[-1]]))
    if hasattr(torch.Tensor, name):
        method = getattr(torch.Tensor, name)
        ways += [
            lambda: method(by_name[names[0]], **rest),
            lambda: method(by_name[names[0]], *(rest[n] for n in entry["arguments"] if n in rest)),
        ]
    error: Exception | None = None
    for way in ways:
        try:
            return way()
        except TypeError as e:
            error = error or e
            if "argument" not in str(e):
                raise
    assert error is not None, f"PyTorch has no {name}: give a reason in ALONE"
    raise error


def listed(results: Any) -> list[Any]:
    """One result or several as a list."""
    return list(results) if isinstance(results, (tuple, list)) else [results]


def double(t: Any) -> Any:
    """A tensor of either library as float64 (or integers) of NumPy's."""
    t = t.detach()
    if t.dtype in (torch.bfloat16, torch.float16):
        t = t.double()
    elif t.dtype in (rv.bfloat16, rv.float16):
        t = t.to(rv.float64)
    array = t.numpy()
    return array.astype(np.float64) if array.dtype.kind == "f" else array


EPS = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}


def compare(got: Any, want: Any, factor: float = 64, scale: float = 1e-30) -> str:
    """What differs between our tensor and PyTorch's: a word, or nothing."""
    if tuple(got.shape) != tuple(want.shape):
        return f"shape {tuple(got.shape)} for {tuple(want.shape)}"
    if torch_dtype(got.dtype) is not want.dtype:
        return f"dtype {got.dtype.name} for {want.dtype}"
    a, b = double(got), double(want)
    if a.dtype.kind != "f":
        return "" if np.array_equal(a, b) else f"values {a} for {b}"
    largest = np.max(np.abs(b), initial=0.0, where=np.isfinite(b))
    bound = factor * EPS[got.dtype.name] * (np.abs(b) + largest + scale)
    with np.errstate(all="ignore"):
        same = (a == b) | (np.isnan(a) & np.isnan(b)) | (np.abs(a - b) <= bound)
    return "" if same.all() else f"values {a} for {b}"


def outcome(function: Callable[..., Any], *args: Any) -> tuple[Any, Exception | None]:
    """A result or an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return function(*args), None
        except Exception as error:
            return None, error


def expected_difference(name: str, dtype: str, what: str) -> bool:
    """Whether the list has it."""
    return any((name, d, what) in DIFFERENCES for d in (dtype, "*"))


# Samples on which PyTorch's gradient is wrong: it takes no axes for one of size 1.
WRONG = [(name, "{'dim': []}") for name in ("std", "std_mean", "var", "var_mean")]


class Found:
    """Differences that no line of the list explains."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def add(self, name: str, dtype: str, what: str, words: str) -> None:
        """One more, unless it is listed."""
        by_rule = "we say" in words and any(rule in words for rule in RULES)
        wrong = what in ("gradient", "values") and any(n == name and s in words for n, s in WRONG)
        if not by_rule and not wrong and not expected_difference(name, dtype, what):
            self.words.append(f"{name} {dtype} {what}: {words}")

    def none(self) -> None:
        """Fails with all of them."""
        if self.words:
            pytest.fail("\n".join(self.words[:6]), pytrace=False)


def comparable(case: Any) -> bool:
    """Whether PyTorch has the op and results do not depend on drawn numbers."""
    return case.name not in ALONE and not case.entry["gradient_of"] and case.reference is not None


NAMES = sorted(name for name, case in CASES.items() if comparable(case))


def test_every_op_has_a_namesake_or_a_reason() -> None:
    """An op that PyTorch has not is listed, and one that it has is not."""
    for name, entry in REGISTRY.items():
        there = any(hasattr(m, name) for m in (torch, F, torch.Tensor))
        if not entry["gradient_of"]:
            assert there or name in ALONE, name


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_values(name: str, dtype: str) -> None:
    """Results of the case table's samples, and whether there is one at all."""
    found = Found()
    entry = REGISTRY[name]
    for sample in CASES[name].samples():
        ours, theirs = placed(sample, dtype)
        got, error = outcome(call, name, ours, sample.attrs)
        want, theirs_error = outcome(torch_call, name, theirs, sample.attrs)
        if (error is None) != (theirs_error is None):
            words = f"{sample}: we say {error!r:.150}, PyTorch {theirs_error!r:.150}"
            found.add(name, dtype, "takes" if error is None else "raises", words)
            continue
        if error is not None:
            continue
        if entry["mutates"]:
            got, want = ours[0], theirs[0]
        pairs = list(zip(listed(got), listed(want), strict=True))
        for i, (a, b) in enumerate(pairs):
            if words := compare(a, b):
                what = words.split()[0]
                if i and what == "values" and not a.dtype.is_floating_point:
                    what = "indices"
                found.add(name, dtype, what, f"{sample}: {words:.200}")
    found.none()


def seeds(results: list[Any]) -> Iterator[tuple[Any, Any]]:
    """Gradients to begin with, for both libraries."""
    rng = np.random.default_rng(7)
    for y in results:
        seed = rng.uniform(-1, 1, tuple(y.shape)).astype(y.dtype.name)
        yield rv.tensor(seed), torch.tensor(seed)


def gradients(library: Any, outputs: list[Any], inputs: list[Any], given: list[Any]) -> Any:
    """autograd.grad of either library; None for an input that nothing depends on."""
    return library.autograd.grad(outputs, inputs, given, allow_unused=True)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", [n for n in NAMES if REGISTRY[n]["differentiable"]])
def test_gradients(name: str, dtype: str) -> None:
    """Gradients of the case table's samples."""
    found = Found()
    for sample in CASES[name].samples():
        ours, theirs = placed(sample, dtype)
        chosen = [
            i
            for i, x in enumerate(ours)
            if x is not None and x.dtype.is_floating_point and i not in sample.fixed
        ]
        for i in chosen:
            ours[i], theirs[i] = ours[i].requires_grad_(), theirs[i].requires_grad_()
        if REGISTRY[name]["mutates"]:
            ours[0], theirs[0] = ours[0] * 1, theirs[0] * 1
        got, error = outcome(call, name, ours, sample.attrs)
        want, theirs_error = outcome(torch_call, name, theirs, sample.attrs)
        if error is not None or theirs_error is not None:
            continue  # test_values says so
        results, wanted = listed(got), listed(want)
        both = [i for i, y in enumerate(results) if y.requires_grad or wanted[i].requires_grad]
        if any(not y[i].requires_grad for i in both for y in (results, wanted)):
            found.add(name, dtype, "gradient", f"{sample}: only one of the two has one")
            break
        if not both or not chosen:
            continue
        given = list(seeds([results[i] for i in both]))
        leaves = [[t[i] for i in chosen] for t in (ours, theirs)]
        mine, error = outcome(
            gradients, rv, [results[i] for i in both], leaves[0], [s for s, _ in given]
        )
        his, theirs_error = outcome(
            gradients, torch, [wanted[i] for i in both], leaves[1], [s for _, s in given]
        )
        if (error is None) != (theirs_error is None):
            words = f"{sample}: we say {error!r:.150}, PyTorch {theirs_error!r:.150}"
            found.add(name, dtype, "gradient", words)
            continue
        for a, b in zip(mine or (), his or (), strict=True):
            if a is None and b is None:
                continue
            a = rv.zeros(b.shape, dtype=b.dtype) if a is None else a
            b = torch.zeros(tuple(a.shape), dtype=torch_dtype(a.dtype)) if b is None else b
            if words := compare(a, b, 512):
                found.add(name, dtype, "gradient", f"{sample}: {words}")
    found.none()


@pytest.mark.parametrize("name", [n for n in NAMES if CASES[n].bad])
def test_bad_calls(name: str) -> None:
    """What the case table says is wrong is wrong in PyTorch too."""
    found = Found()
    for bad in CASES[name].bad:
        inputs = [
            torch.zeros(x) if isinstance(x, tuple) else torch.tensor(np.asarray(x))
            for x in bad.inputs
        ]
        _, error = outcome(torch_call, name, inputs, bad.attrs)
        if error is None:
            found.add(name, "*", "bad", f"{bad.inputs} {bad.attrs}")
    found.none()


KINDS = ("float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8")


@pytest.mark.parametrize("one", [*KINDS, "bool"])
def test_promotion(one: str) -> None:
    """The dtype of a sum and of a quotient, for every pair, with and without dimensions."""

    def ours(shape: tuple[int, ...], dtype: str) -> Any:
        return rv.ones(shape, dtype=_C.bool_ if dtype == "bool" else getattr(rv, dtype))

    for two in (*KINDS, "bool"):
        for shapes in (((2,), (2,)), ((2,), ()), ((), (2,)), ((), ())):
            a, b = ours(shapes[0], one), ours(shapes[1], two)
            x = torch.ones(shapes[0], dtype=getattr(torch, one))
            y = torch.ones(shapes[1], dtype=getattr(torch, two))
            for function in (lambda p, q: p + q, lambda p, q: p / q, lambda p, q: p < q):
                assert torch_dtype(function(a, b).dtype) is function(x, y).dtype, (one, two, shapes)
            assert torch_dtype(rv.result_type(a, b)) is torch.result_type(x, y), (one, two, shapes)
        for number in (2, 2.5, True):
            a, x = ours((2,), one), torch.ones((2,), dtype=getattr(torch, one))
            assert torch_dtype((a * number).dtype) is (x * number).dtype, (one, number)


# ---- random programs


PLAIN: dict[str, Callable[[Any], Any]] = {
    "tanh": lambda t: t.tanh(), "sigmoid": lambda t: t.sigmoid(), "exp": lambda t: t.exp(),
    "square": lambda t: t * t, "neg": lambda t: -t, "relu": lambda t: t.relu(),
    "plus one": lambda t: t + 1, "twice": lambda t: 2 * t, "self": lambda t: t - t.mean(),
    "abs": lambda t: t.abs(), "clone": lambda t: t.clone(), "sum": lambda t: t.sum(),
    "softmax": lambda t: t.softmax(-1), "detach": lambda t: t.detach(),
    "T": lambda t: t.transpose(0, -1) if t.ndim else t, "flat": lambda t: t.reshape(-1),
    "view": lambda t: t.view(-1), "first": lambda t: t[0], "last": lambda t: t[..., -1],
    "cut": lambda t: t[1:], "every other": lambda t: t[..., ::2], "new": lambda t: t.unsqueeze(0),
    "squeeze": lambda t: t.squeeze(), "max": lambda t: t.amax(0), "keep": lambda t: t.sum(0, True),
    "wide": lambda t: t.expand((2, *t.shape)), "none": lambda t: t[None, ..., None],
}  # fmt: skip
IN_PLACE: dict[str, Callable[[Any], Any]] = {
    "mul_": lambda t: t.mul_(2), "add_": lambda t: t.add_(1), "neg_": lambda t: t.neg_(),
    "tanh_": lambda t: t.tanh_(), "relu_": lambda t: t.relu_(), "exp_": lambda t: t.exp_(),
    "sigmoid_": lambda t: t.sigmoid_(), "zero_": lambda t: t.zero_(), "sub_": lambda t: t.sub_(t),
    "square_": lambda t: t.square_(), "fill_": lambda t: t.fill_(3),
    "[0] =": lambda t: t.__setitem__(0, 5.0), "[1:] *=": lambda t: t[1:].mul_(3),
    "[..., 0] = ": lambda t: t.__setitem__((..., 0), t[..., -1] * 2),
}  # fmt: skip
# Not copy_: what it overwrites leaves its old graph here, and stays in it in PyTorch.
TWO: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b,
    "div": lambda a, b: a / (b * b + 1), "matmul": lambda a, b: a @ b,
    "add_ ": lambda a, b: a.add_(b), "mul_ ": lambda a, b: a.mul_(b),
    "iadd": lambda a, b: a.__iadd__(b),
    "maximum": lambda a, b: (a * a + b).tanh(), "[0] = b": lambda a, b: a.__setitem__(0, b),
}  # fmt: skip
STEPS = st.tuples(
    st.sampled_from([*PLAIN, *PLAIN, *IN_PLACE, *TWO, *TWO, "backward", "no_grad"]),
    st.integers(0, 30),
    st.integers(0, 30),
)


class Program:
    """Tensors of both libraries that went the same way."""

    def __init__(self, shapes: list[tuple[int, ...]], seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.leaves: list[tuple[Any, Any]] = []
        for i, shape in enumerate(shapes):
            x = rng.uniform(-1, 1, shape)
            wanted = i != 1
            pair = (rv.tensor(x), torch.tensor(x))
            self.leaves.append(tuple(t.requires_grad_(wanted) for t in pair))  # type: ignore[arg-type]
        self.pool = list(self.leaves)
        self.said: list[str] = []
        self.whole = True  # a backward that raised leaves the gradients that it came to

    def apply(self, name: str, i: int, j: int) -> bool:
        """One step in both with the same outcome. False: a listed difference, the end."""
        one, two = self.pool[i % len(self.pool)], self.pool[j % len(self.pool)]
        self.said.append(f"{name} {i % len(self.pool)} {j % len(self.pool)}")

        def run(side: int) -> Any:
            if name == "backward":
                loss = one[side].sum()
                return loss.backward(retain_graph=True) if side else loss.backward(None, True)
            if name == "no_grad":
                with torch.no_grad() if side else rv.no_grad():
                    return one[side].mul_(0.5)
            if name in TWO and (one is not two or name != "[0] = b"):  # t[0] = t changes nothing
                return TWO[name](one[side], two[side])
            return (PLAIN.get(name) or IN_PLACE.get(name) or PLAIN["clone"])(one[side])

        (got, error), (want, other) = outcome(lambda: run(0)), outcome(lambda: run(1))
        # What backward needs is not the same: of a product both factors are kept here, also where
        # only one gradient is asked for; of a quotient the result, and not the numerator. What
        # overlaps the place that is written counts as it was before, and PyTorch refuses most of
        # it; but it fills an expanded tensor, and takes a view for a leaf if its base became a
        # result later on.
        listed = (
            *("changed in place since", "by an inplace operation", "a single memory location"),
            "got one that was expanded",
            *(["a leaf Variable that requires grad"] if one[1]._is_view() else []),
        )
        if (error is None) != (other is None) and any(w in f"{error} {other}" for w in listed):
            return False
        assert (error is None) == (other is None), f"we say {error!r}, PyTorch {other!r}"
        self.whole = self.whole and not (name == "backward" and error)
        if got is not None and got.numel() <= 4000:
            self.pool.append((got, want))
        return True

    def agree(self) -> None:
        """Values, layouts and flags of all tensors."""
        for k, (a, b) in enumerate(self.pool):
            assert not (words := compare(a, b, 2**14, 1.0)), f"tensor {k}: {words}"
            assert a.requires_grad == b.requires_grad, f"tensor {k}: requires_grad"
            assert a.is_leaf == b.is_leaf, f"tensor {k}: is_leaf"
            if not self.whole:
                continue
            if a.grad is not None or (b.is_leaf and b.grad is not None):
                assert b.grad is not None and a.grad is not None, f"tensor {k}: grad"
                assert not (words := compare(a.grad, b.grad, 2**14, 1.0)), f"gradient {k}: {words}"


@settings(max_examples=max(30, TOTAL // 2), deadline=None, derandomize=True)
@given(
    shapes=st.lists(
        st.sampled_from(((), (1,), (3,), (2, 3), (3, 3), (3, 2), (2, 3, 3), (1, 3))),
        min_size=2,
        max_size=3,
    ),
    seed=st.integers(0, 2**31),
    steps=st.lists(STEPS, min_size=1, max_size=14),
)
def test_programs(shapes: Any, seed: int, steps: Any) -> None:
    """Ops, views and changes in place in any order: the same values, gradients and errors."""
    program = Program(shapes, seed)
    try:
        if not all(program.apply(*step) for step in steps):
            return
        program.agree()
        floating = [k for k, (_, b) in enumerate(program.pool) if b.requires_grad]
        if all(program.apply("backward", k, 0) for k in floating[-3:]):
            program.agree()
    except AssertionError as error:
        raise AssertionError(f"{'; '.join(program.said)}: {error}") from error


def test_the_list_of_differences_has_reasons() -> None:
    """Each line names an op of the registry and says why."""
    for (name, _, what), why in DIFFERENCES.items():
        assert name in REGISTRY and why
        assert what in {"raises", "takes", "dtype", "values", "shape", "indices", "gradient", "bad"}
    assert math.isfinite(len(ALONE))
