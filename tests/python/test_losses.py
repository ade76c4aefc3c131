"""Losses as users call them: every reduction and option, against NumPy's formulas and PyTorch.

The fused ops have rows in the case table, where bits, layouts and second gradients are tested too;
here are their Python fronts, what is put together from ops, and what the losses refuse.
"""

from __future__ import annotations

import copy
import warnings
from typing import Any

import numpy as np
import pytest
from losses_table import (
    CLASS,
    ENTRIES,
    LABELS,
    REDUCTIONS,
    SETS,
    SHARES,
    A,
    Array,
    B,
    Entry,
    Q,
    T,
    X,
    cosine,
    distance,
    kl,
    log_softmax,
    multi_margin,
    multilabel,
    uniform,
)

import ranvier as rv
from ranvier import nn
from ranvier.nn import functional as F

EVERY = pytest.mark.parametrize(
    "entry", ENTRIES, ids=[f"{e.name}-{'-'.join(e.options) or 'plain'}-{i}"
                           for i, e in enumerate(ENTRIES)]
)  # fmt: skip


def reduced(entry: Entry, reduction: str, *inputs: Array) -> Array:
    each = entry.each(*inputs, *entry.others)
    if reduction == "none":
        return each
    return each.sum() if reduction == "sum" else each.sum() / (entry.divisor or each.size)


def called(
    function: Any, make: Any, entry: Entry, reduction: str, *, grad: bool = True
) -> tuple[Array, list[Array]]:
    """The loss, and the gradients of what is differentiated, by either library."""
    inputs = [make(np.array(x)) for x in entry.inputs]
    others = [make(np.array(x)) for x in entry.others]
    options = {k: make(v) if isinstance(v, np.ndarray) else v for k, v in entry.options.items()}
    for x in inputs:
        x.requires_grad = grad
    loss = function(*inputs, *others, **options, reduction=reduction)
    if grad:
        loss.backward(make(np.linspace(0.5, 1.5, loss.numel()).reshape(tuple(loss.shape))))
    return loss.detach().numpy(), [x.grad.numpy() for x in inputs] if grad else []


def close(got: Array, want: Array, tolerance: float = 1e-10) -> None:
    assert got.shape == np.shape(want)
    assert np.max(abs(got - want) / (1 + abs(want)), initial=0) <= tolerance


@EVERY
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_value(entry: Entry, reduction: str) -> None:
    got, _ = called(getattr(F, entry.name), rv.tensor, entry, reduction)
    close(got, reduced(entry, reduction, *entry.inputs))


@EVERY
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_gradient(entry: Entry, reduction: str) -> None:
    """Against fourth-order central differences of the formula along random directions."""
    got, grads = called(getattr(F, entry.name), rv.tensor, entry, reduction)
    seed = np.linspace(0.5, 1.5, got.size).reshape(got.shape)
    h = 1e-4
    for i, grad in enumerate(grads):
        for direction in np.random.default_rng(1).uniform(-1, 1, (4, *grad.shape)):

            def along(t: float, i: int = i, d: Array = direction) -> float:
                moved = list(entry.inputs)
                moved[i] = moved[i] + t * d
                return float(np.sum(seed * reduced(entry, reduction, *moved)))

            want = (8 * (along(h) - along(-h)) - (along(2 * h) - along(-2 * h))) / (12 * h)
            have = float(np.sum(grad * direction))
            assert have == pytest.approx(want, rel=1e-6, abs=1e-8)


@EVERY
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.filterwarnings("ignore:reduction. 'mean'")
def test_like_pytorch(entry: Entry, reduction: str) -> None:
    """Values and gradients of PyTorch's function of the same name and arguments."""
    torch = pytest.importorskip("torch")
    theirs = getattr(torch.nn.functional, entry.name)
    # PyTorch knows no gradient of some targets; a loss differentiable in all is compared in all.
    try:
        want = called(theirs, torch.tensor, entry, reduction)
    except RuntimeError as error:
        assert "derivative" in str(error) or "grad" in str(error), error
        want = called(theirs, torch.tensor, entry, reduction, grad=False)
    got = called(getattr(F, entry.name), rv.tensor, entry, reduction)
    close(got[0], want[0])
    for ours, other in zip(got[1], want[1], strict=False):
        close(ours, other, 1e-6)


# --- modules ------------------------------------------------------------------------------------

MODULES = {
    "mse_loss": "MSELoss",
    "l1_loss": "L1Loss",
    "smooth_l1_loss": "SmoothL1Loss",
    "huber_loss": "HuberLoss",
    "cross_entropy": "CrossEntropyLoss",
    "nll_loss": "NLLLoss",
    "binary_cross_entropy": "BCELoss",
    "binary_cross_entropy_with_logits": "BCEWithLogitsLoss",
    "kl_div": "KLDivLoss",
    "poisson_nll_loss": "PoissonNLLLoss",
    "gaussian_nll_loss": "GaussianNLLLoss",
    "hinge_embedding_loss": "HingeEmbeddingLoss",
    "soft_margin_loss": "SoftMarginLoss",
    "cosine_embedding_loss": "CosineEmbeddingLoss",
    "margin_ranking_loss": "MarginRankingLoss",
    "triplet_margin_loss": "TripletMarginLoss",
    "multi_margin_loss": "MultiMarginLoss",
    "multilabel_margin_loss": "MultiLabelMarginLoss",
    "multilabel_soft_margin_loss": "MultiLabelSoftMarginLoss",
}


@EVERY
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_module_is_the_function(entry: Entry, reduction: str) -> None:
    """The same bits, and a copy that still works."""
    if entry.name in ("mse_loss", "l1_loss", "huber_loss") and "weight" in entry.options:
        pytest.skip("only the function takes a weight, as in PyTorch")
    options = {
        k: rv.tensor(v) if isinstance(v, np.ndarray) else v for k, v in entry.options.items()
    }
    module = copy.deepcopy(getattr(nn, MODULES[entry.name])(**options, reduction=reduction))
    inputs = [rv.tensor(x) for x in (*entry.inputs, *entry.others)]
    want, _ = called(getattr(F, entry.name), rv.tensor, entry, reduction)
    assert np.array_equal(module(*inputs).numpy(), want)


@pytest.mark.parametrize("name", [*MODULES.values(), "TripletMarginWithDistanceLoss"])
def test_module_signatures_are_pytorchs(name: str) -> None:
    """Names, order and defaults."""
    torch = pytest.importorskip("torch")
    import inspect

    ours = inspect.signature(getattr(nn, name)).parameters
    theirs = inspect.signature(getattr(torch.nn, name)).parameters
    assert [(p.name, p.default, p.kind) for p in ours.values()] == [
        (p.name, p.default, p.kind) for p in theirs.values()
    ]


@pytest.mark.parametrize("name", [*MODULES, "triplet_margin_with_distance_loss"])
def test_function_signatures_are_pytorchs(name: str) -> None:
    torch = pytest.importorskip("torch")
    import inspect

    ours = inspect.signature(getattr(F, name)).parameters
    theirs = inspect.signature(getattr(torch.nn.functional, name)).parameters
    assert [(p.name, p.default, p.kind) for p in ours.values()] == [
        (p.name, p.default, p.kind) for p in theirs.values()
    ]


def test_weights_are_buffers() -> None:
    """They are saved and moved with the module."""
    weight = rv.tensor([1.0, 2.0])
    assert list(nn.CrossEntropyLoss(weight).state_dict()) == ["weight"]
    assert list(nn.BCEWithLogitsLoss(pos_weight=weight).state_dict()) == ["pos_weight"]
    assert not nn.CrossEntropyLoss().state_dict()
    assert nn.CrossEntropyLoss(weight).double().weight.dtype is rv.float64


# --- reductions ---------------------------------------------------------------------------------


def test_half_squared_error() -> None:
    """Half a sum over outputs, a mean over rows; its gradient is x - t over the rows."""
    x, t = rv.tensor(X).requires_grad_(True), rv.tensor(T)
    each = 0.5 * ((X - T) ** 2).sum(1)
    for reduction, want in (("none", each), ("sum", each.sum()), ("mean", each.mean())):
        close(F.half_squared_error(x, t, reduction).detach().numpy(), want)
    nn.HalfSquaredError()(x, t).backward()
    close(x.grad.numpy(), (X - T) / len(X))


def test_batchmean() -> None:
    """The sum over rows: the divergence itself."""
    x, t = rv.tensor(X), rv.tensor(SHARES)
    want = kl(X, SHARES).sum() / len(X)
    close(F.kl_div(x, t, reduction="batchmean").numpy(), want)
    close(nn.KLDivLoss(reduction="batchmean")(x, t).numpy(), want)
    assert F.kl_div(x[0, 0], t[0, 0], reduction="batchmean").ndim == 0
    with pytest.raises(ValueError, match="batchmean"):
        nn.MSELoss(reduction="batchmean")


@pytest.mark.parametrize(
    ("flags", "meant"),
    [
        ({"size_average": True}, "mean"),
        ({"size_average": False}, "sum"),
        ({"reduce": True}, "mean"),
        ({"reduce": False}, "none"),
        ({"size_average": False, "reduce": False}, "none"),
        ({"size_average": False, "reduce": True}, "sum"),
    ],
)
def test_old_words(flags: dict[str, bool], meant: str) -> None:
    """size_average and reduce mean what they meant, and say what to write instead."""
    x, t = rv.tensor(X), rv.tensor(T)
    with pytest.warns(DeprecationWarning, match=f"reduction='{meant}'"):
        module = nn.MSELoss(**flags)
    assert module.reduction == meant
    with pytest.warns(DeprecationWarning, match=f"reduction='{meant}'"):
        got = F.mse_loss(x, t, **flags)
    assert np.array_equal(got.numpy(), F.mse_loss(x, t, reduction=meant).numpy())


@pytest.mark.parametrize(
    ("given", "hint"),
    [("men", "mean"), ("avg", "mean"), ("average", "mean"), ("Sum", "sum"), ("summ", "sum"),
     (None, "none"), ("nonee", "none"), (3, "expected 'mean', 'sum' or 'none'")],
)  # fmt: skip
def test_unknown_reductions(given: Any, hint: str) -> None:
    for call in (
        lambda: nn.CrossEntropyLoss(reduction=given),
        lambda: F.mse_loss(rv.ones(2), rv.ones(2), reduction=given),
    ):
        with pytest.raises(ValueError, match=hint) as caught:
            call()
        assert repr(given) in str(caught.value)


def test_a_reduction_where_a_flag_belongs() -> None:
    with pytest.raises(TypeError, match=r"\[MSELoss\] size_average.*write reduction='sum'"):
        nn.MSELoss("sum")


# --- what goes wrong ----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "int64"])
def test_labels_of_any_integer_dtype(dtype: str) -> None:
    x = rv.tensor(X)
    want = F.cross_entropy(x, rv.tensor(LABELS))
    labels = rv.tensor(LABELS.astype(dtype))
    assert F.cross_entropy(x, labels).item() == want.item()
    assert F.nll_loss(x.log_softmax(1), labels).item() == pytest.approx(want.item(), rel=1e-12)


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss(), nn.NLLLoss(), F.cross_entropy])
def test_labels_that_start_at_1(loss: Any) -> None:
    with pytest.raises(IndexError) as caught:
        loss(rv.zeros(3, 10), rv.tensor([1, 5, 10]))
    for words in ("got 10", "10 classes", "labels start at 0", "row 2"):
        assert words in str(caught.value)


@pytest.mark.parametrize(
    "loss",
    [nn.MSELoss(), nn.L1Loss(), nn.SmoothL1Loss(), nn.HuberLoss(), nn.BCELoss(),
     nn.BCEWithLogitsLoss(), nn.KLDivLoss(), nn.HalfSquaredError(), nn.SoftMarginLoss(),
     nn.HingeEmbeddingLoss(), nn.BCEWithLogitsLoss(pos_weight=rv.ones(1))],
)  # fmt: skip
def test_columns_and_rows_do_not_broadcast(loss: Any) -> None:
    column, row = rv.full((5, 1), 0.5), rv.ones(5)
    with pytest.raises(rv.ShapeError, match=r"\(5, 1\).*\(5,\).*target\.unsqueeze\(1\)"):
        loss(column, row)
    with pytest.raises(rv.ShapeError, match=r"\(5,\).*\(5, 1\).*input\.unsqueeze\(1\)"):
        loss(row, column)
    assert loss(column, row.unsqueeze(1)).ndim == 0


def test_labels_in_a_column() -> None:
    with pytest.raises(rv.ShapeError, match=r"squeeze\(1\)"):
        F.cross_entropy(rv.zeros(3, 4), rv.zeros(3, 1).long())


def test_softmax_in_front_of_cross_entropy_warns_once() -> None:
    x, t = rv.tensor(X).requires_grad_(True), rv.tensor(LABELS)
    loss = nn.CrossEntropyLoss()
    with pytest.warns(rv.RanvierWarning, match="softmax.*leave it out") as caught:
        loss(x.softmax(1), t)
        loss(x.softmax(1), t)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    with pytest.warns(rv.RanvierWarning, match="softmax"):  # another loss says so too
        nn.CrossEntropyLoss()(x.softmax(1), t)


def test_sigmoid_in_front_of_logits_warns_once() -> None:
    x, t = rv.tensor(X).requires_grad_(True), rv.tensor(Q)
    loss = nn.BCEWithLogitsLoss()
    with pytest.warns(rv.RanvierWarning, match="sigmoid.*BCELoss") as caught:
        loss(x.sigmoid(), t)
        loss(x.sigmoid(), t)
    assert len(caught) == 1


def test_scores_do_not_warn() -> None:
    x, t = rv.tensor(X).requires_grad_(True), rv.tensor(LABELS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nn.CrossEntropyLoss()(x * 2, t)
        nn.CrossEntropyLoss()(x.log_softmax(1), t)  # changes nothing
        nn.BCELoss()(x.sigmoid(), rv.tensor(Q))
        nn.CrossEntropyLoss()(x.detach().softmax(1), t)  # without a graph nothing is known


@pytest.mark.parametrize("value", [-0.1, 1.5, float("inf")])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_probabilities_are_checked(value: float, reduction: str) -> None:
    with pytest.raises(ValueError, match=r"probabilities from 0 to 1.*sigmoid"):
        F.binary_cross_entropy(rv.tensor([0.5, value]), rv.tensor([1.0, 0.0]), reduction=reduction)


def test_nan_is_no_probability_but_travels() -> None:
    """A broken run is named where it broke: by `fit`, with its layer."""
    assert np.isnan(F.binary_cross_entropy(rv.tensor([float("nan")]), rv.tensor([1.0])).item())


def test_ends_of_probabilities_are_finite() -> None:
    p = rv.tensor([0.0, 1.0, 0.0, 1.0], requires_grad=True)
    each = F.binary_cross_entropy(p, rv.tensor([0.0, 1.0, 1.0, 0.0]), reduction="none")
    assert each.tolist() == [0, 0, 100, 100]
    each.sum().backward()
    assert np.isfinite(p.grad.numpy()).all()


@pytest.mark.parametrize("scale", [50.0, 800.0])
def test_large_scores_stay_finite(scale: float) -> None:
    x = rv.tensor([-scale, scale], requires_grad=True)
    loss = F.binary_cross_entropy_with_logits(x, rv.tensor([1.0, 0.0]), reduction="none")
    assert loss.tolist() == [scale, scale]
    weighted = F.binary_cross_entropy_with_logits(
        x, rv.tensor([1.0, 0.0]), reduction="none", pos_weight=rv.tensor([3.0])
    )
    assert weighted.tolist() == [3 * scale, scale]
    weighted.sum().backward()
    assert x.grad.tolist() == [-3, 1]


def test_everything_ignored() -> None:
    """The mean of nothing is NaN, as in PyTorch; a sum is 0."""
    x, t = rv.zeros(2, 3), rv.tensor([-100, -100])
    assert np.isnan(F.cross_entropy(x, t).item())
    assert F.cross_entropy(x, t, reduction="sum").item() == 0
    assert F.cross_entropy(x, t, reduction="none").tolist() == [0, 0]


def test_targets_of_other_dtypes() -> None:
    """Whole numbers and bools are taken as floats, as PyTorch's promotion has it."""
    x = rv.tensor([0.5, 1.0])
    assert F.mse_loss(x, rv.tensor([0, 1])).dtype is rv.float32
    assert F.mse_loss(x, rv.tensor([False, True])).item() == 0.125
    assert F.mse_loss(x, rv.tensor([0.0, 1.0], dtype=rv.float64)).dtype is rv.float64


def test_a_weight_with_gradient_is_refused() -> None:
    x, w = rv.zeros(1, 3, requires_grad=True), rv.ones(3, requires_grad=True)
    with pytest.raises(RuntimeError, match="weight without gradient"):
        F.cross_entropy(x, rv.tensor([1]), w).backward()


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: F.mse_loss(rv.ones(3), rv.ones(3), weight=rv.ones(1)), rv.ShapeError, "weight"),
        (lambda: F.huber_loss(rv.ones(3), rv.ones(3), delta=0), ValueError, "delta"),
        (lambda: F.smooth_l1_loss(rv.ones(3), rv.ones(3), beta=-1), ValueError, "beta"),
        (lambda: F.cross_entropy(rv.ones(3, 2), [0, 1, 1]), TypeError, "target.*tensor.*list"),
        (lambda: F.gaussian_nll_loss(rv.ones(3), rv.ones(3), -1.0), ValueError, "negative"),
        (lambda: F.gaussian_nll_loss(rv.ones(3), rv.ones(3), rv.ones(2)), rv.ShapeError, "var"),
        (lambda: F.triplet_margin_loss(*[rv.ones(2, 2)] * 3, margin=0), ValueError, "margin"),
        (lambda: nn.TripletMarginLoss(0), ValueError, "margin"),
        (lambda: F.multi_margin_loss(rv.ones(2, 3), rv.tensor([0, 1]), p=3), ValueError, "p:"),
        (lambda: nn.MultiMarginLoss(3), ValueError, "p:"),
        (lambda: F.multi_margin_loss(rv.ones(2, 3), rv.tensor([0])), rv.ShapeError, "target"),
        (lambda: F.multilabel_margin_loss(rv.ones(2, 3), rv.tensor([0])), rv.ShapeError, "target"),
        (lambda: F.multi_margin_loss(rv.ones(2, 3, 1), rv.tensor([0])), rv.ShapeError, "classes"),
        (lambda: F.cosine_embedding_loss(rv.ones(2, 3), rv.ones(3), rv.ones(2)), rv.ShapeError,
         "one shape"),
        (lambda: F.cosine_embedding_loss(rv.ones(2, 3), rv.ones(2, 3), rv.ones(3)), rv.ShapeError,
         "target"),
        (lambda: F.margin_ranking_loss(rv.ones(2, 3), rv.ones(3), rv.ones(3)), rv.ShapeError,
         "number of axes"),
    ],
)  # fmt: skip
def test_bad_calls(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()


def test_rows_alone() -> None:
    """One row without a batch."""
    row, label = rv.tensor(X[0]), rv.tensor(3)
    close(F.multi_margin_loss(row, label).numpy(), multi_margin(X[:1], LABELS[:1])[0])
    close(F.multilabel_margin_loss(row, rv.tensor(SETS[0])).numpy(), multilabel(X[:1], SETS[:1])[0])
    close(F.cross_entropy(row, label).numpy(), -log_softmax(X)[0, 3])
    close(
        F.cosine_embedding_loss(row, rv.tensor(T[0]), rv.tensor(1)).numpy(), 1 - cosine(X[0], T[0])
    )


def test_half_precision() -> None:
    """Stored in 16 bits, computed in float32."""
    x = rv.tensor(X, dtype=rv.bfloat16).requires_grad_(True)
    loss = F.cross_entropy(x, rv.tensor(LABELS), rv.tensor(CLASS), label_smoothing=0.1)
    assert loss.dtype is rv.bfloat16
    loss.backward()
    assert x.grad.dtype is rv.bfloat16
    assert F.mse_loss(x, x.detach() + 1).item() == 1


# --- measures -----------------------------------------------------------------------------------


def test_measures() -> None:
    a, b = rv.tensor(A), rv.tensor(B)
    close(F.cosine_similarity(a, b).numpy(), cosine(A, B))
    close(F.cosine_similarity(a, b[0], dim=-1).numpy(), cosine(A, B[:1]))
    close(nn.CosineSimilarity(dim=0)(a, b).numpy(), cosine(A.T, B.T))
    for p in (1.0, 2.0, 3.0):
        close(F.pairwise_distance(a, b, p).numpy(), distance(A, B, p))
    close(nn.PairwiseDistance(keepdim=True)(a, b).numpy(), distance(A, B)[:, None])
    close(F.normalize(a).numpy(), A / np.sqrt((A * A).sum(1, keepdims=True)))
    close(F.normalize(a, p=1, dim=0).numpy(), A / abs(A).sum(0))
    assert F.normalize(rv.zeros(1, 3)).tolist() == [[0, 0, 0]]
    assert F.cosine_similarity(rv.zeros(1, 3), rv.zeros(1, 3)).tolist() == [0]
    out = rv.empty(6, 4, dtype=rv.float64)
    assert F.normalize(a, out=out) is out


def test_bilinear() -> None:
    """x1^T W x2 + b, and its gradients against differences."""
    one, two = uniform(5, 2), uniform(5, 3)
    weight, bias = uniform(4, 2, 3), uniform(4)
    want = np.einsum("ni,kij,nj->nk", one, weight, two) + bias
    inputs = [rv.tensor(v).requires_grad_(True) for v in (one, two, weight, bias)]
    close(F.bilinear(*inputs).detach().numpy(), want)
    close(F.bilinear(*inputs[:3]).detach().numpy(), want - bias)
    assert rv.autograd.gradcheck(F.bilinear, inputs)
    with pytest.raises(rv.ShapeError, match=r"\[bilinear\].*\(5, 2\).*\(5, 2\)"):
        F.bilinear(inputs[0], inputs[0], *inputs[2:])


def test_measures_like_pytorch() -> None:
    torch = pytest.importorskip("torch")
    for name in ("cosine_similarity", "pairwise_distance"):
        ours = [rv.tensor(v).requires_grad_(True) for v in (A, B)]
        theirs = [torch.tensor(v, requires_grad=True) for v in (A, B)]
        got, want = getattr(F, name)(*ours), getattr(torch.nn.functional, name)(*theirs)
        close(got.detach().numpy(), want.detach().numpy())
        got.sum().backward()
        want.sum().backward()
        for a, b in zip(ours, theirs, strict=True):
            close(a.grad.numpy(), b.grad.numpy())
    close(
        F.normalize(rv.tensor(A), 3).numpy(),
        torch.nn.functional.normalize(torch.tensor(A), 3).numpy(),
    )
