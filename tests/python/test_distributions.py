"""Distributions: formulas against NumPy and PyTorch, samples against their moments, gradients.

Samples come with fixed seeds; bounds are those that right samples miss once in a million.
"""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier import distributions as D

N = 100_000
Z = 5.0


@pytest.fixture(autouse=True)
def seeded() -> None:
    rv.manual_seed(4321)


def t(x: Any, dtype: Any = rv.float64) -> Any:
    return rv.tensor(x, dtype=dtype)


def close(got: Any, want: Any, rtol: float = 1e-12) -> None:
    want = np.asarray(want)
    assert tuple(got.shape) == want.shape
    np.testing.assert_allclose(got.detach().numpy(), want, rtol=rtol, atol=1e-14)


LOC, SCALE = np.array([-1.5, 0.0, 2.0]), np.array([[0.5], [3.0]])
P = np.array([0.1, 0.5, 0.9])
W = np.array([[1.0, 2.0, 5.0], [3.0, 0.5, 0.5]])
X = np.array([[0.3, 0.7, 2.5], [1.5, 0.2, 4.0]])


# --- formulas -----------------------------------------------------------------------------------


def test_normal() -> None:
    d = D.Normal(t(LOC), t(SCALE))
    assert d.batch_shape == (2, 3) and d.event_shape == ()
    z = (X - LOC) / SCALE
    close(d.log_prob(t(X)), -(z**2) / 2 - np.log(SCALE) - 0.5 * math.log(2 * math.pi))
    close(d.entropy(), np.broadcast_to(0.5 + 0.5 * np.log(2 * math.pi * SCALE**2), (2, 3)))
    cdf = np.vectorize(NormalDist().cdf)(z)
    close(d.cdf(t(X)), cdf)
    close(d.icdf(t(cdf)), X, rtol=1e-9)
    close(d.icdf(t([0.025, 0.5, 0.999])), np.vectorize(NormalDist().inv_cdf)([0.025, 0.5, 0.999])
          * SCALE + LOC)  # fmt: skip
    close(d.mean, np.broadcast_to(LOC, (2, 3)))
    close(d.variance, np.broadcast_to(SCALE**2, (2, 3)))
    close(d.perplexity(), np.exp(d.entropy().numpy()))
    assert d.icdf(t([0.0, 1.0, 2.0]))[0].isinf().tolist() == [True, True, False]
    # Far out, where 1 - cdf is all that is left.
    close(D.Normal(t(0.0), t(1.0)).cdf(t(-30.0)), 4.906713927148187e-198, rtol=1e-9)


def test_log_normal() -> None:
    d = D.LogNormal(t(LOC), t(SCALE))
    z = (np.log(X) - LOC) / SCALE
    log = -(z**2) / 2 - np.log(SCALE) - 0.5 * math.log(2 * math.pi) - np.log(X)
    close(d.log_prob(t(X)), log)
    cdf = np.vectorize(NormalDist().cdf)(z)
    close(d.cdf(t(X)), cdf)
    close(d.icdf(t(cdf)), X, rtol=1e-8)
    close(d.mean, np.exp(LOC + SCALE**2 / 2))
    close(d.mode, np.exp(LOC - SCALE**2))
    close(d.variance, (np.exp(SCALE**2) - 1) * np.exp(2 * LOC + SCALE**2))
    close(d.stddev, np.sqrt(d.variance.numpy()))
    close(d.entropy(), 0.5 + 0.5 * np.log(2 * math.pi * SCALE**2) + LOC)


def test_uniform() -> None:
    d = D.Uniform(t([0.0, -1.0]), t([[2.0], [4.0]]))
    value = t([[0.5, -1.0], [3.0, 4.0]])
    close(d.log_prob(value), [[-math.log(2), -math.log(3)], [-math.log(4), -math.inf]])
    close(d.cdf(value), [[0.25, 0.0], [0.75, 1.0]])
    close(d.icdf(d.cdf(value)), value.numpy())
    close(d.mean, [[1.0, 0.5], [2.0, 1.5]])
    close(d.variance, np.array([[4, 9], [16, 25]]) / 12)
    close(d.stddev, np.sqrt(np.array([[4, 9], [16, 25]]) / 12))
    close(d.entropy(), np.log([[2, 3], [4, 5]]))
    assert d.mode.isnan().all()
    loose = D.Uniform(0.0, 1.0, validate_args=False)
    assert loose.log_prob(rv.tensor([-1.0, 0.5, 2.0])).tolist() == [-math.inf, 0.0, -math.inf]


def test_exponential_and_laplace() -> None:
    d = D.Exponential(t([0.5, 1.0, 4.0]))
    rate = np.array([0.5, 1.0, 4.0])
    close(d.log_prob(t(X)), np.log(rate) - rate * X)
    close(d.cdf(t(X)), 1 - np.exp(-rate * X))
    close(d.icdf(d.cdf(t(X))), X, rtol=1e-9)
    for got, want in ((d.mean, 1 / rate), (d.stddev, 1 / rate), (d.variance, rate**-2.0)):
        close(got, want)
    close(d.mode, np.zeros(3))
    close(d.entropy(), 1 - np.log(rate))
    d = D.Laplace(t(LOC), t(SCALE))
    close(d.log_prob(t(X)), -np.abs(X - LOC) / SCALE - np.log(2 * SCALE))
    z = (X - LOC) / SCALE
    cdf = np.where(z > 0, 1 - 0.5 * np.exp(-np.abs(z)), 0.5 * np.exp(-np.abs(z)))
    close(d.cdf(t(X)), cdf)
    close(d.icdf(t(cdf)), X, rtol=1e-9)
    close(d.variance, np.broadcast_to(2 * SCALE**2, (2, 3)))
    close(d.entropy(), np.broadcast_to(1 + np.log(2 * SCALE), (2, 3)))


def test_bernoulli() -> None:
    logits = np.log(P / (1 - P))
    for d in (D.Bernoulli(t(P)), D.Bernoulli(logits=t(logits))):
        close(d.probs, P)
        close(d.logits, logits)
        v = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
        close(d.log_prob(t(v)), v * np.log(P) + (1 - v) * np.log(1 - P))
        close(d.entropy(), -P * np.log(P) - (1 - P) * np.log(1 - P))
        close(d.mean, P)
        close(d.variance, P * (1 - P))
        assert d.mode.tolist() == [0.0, pytest.approx(math.nan, nan_ok=True), 1.0]
        assert d.enumerate_support().tolist() == [[0.0] * 3, [1.0] * 3]
        assert d.enumerate_support(expand=False).shape == (2, 1)
        assert d.param_shape == (3,)
    sure = D.Bernoulli(rv.tensor([0.0, 1.0]))
    assert sure.log_prob(rv.tensor([1.0, 0.0])).isfinite().all()
    far = D.Bernoulli(logits=t([1000.0, -1000.0]))
    assert far.log_prob(t([1.0, 0.0])).tolist() == [0.0, 0.0]
    assert far.log_prob(t([0.0, 1.0])).tolist() == [-1000.0, -1000.0]


def test_categorical() -> None:
    p = W / W.sum(-1, keepdims=True)
    for d in (D.Categorical(t(W)), D.Categorical(logits=t(np.log(W) + 7))):
        assert d.batch_shape == (2,) and d.event_shape == () and d.param_shape == (2, 3)
        close(d.probs, p)
        close(d.logits, np.log(p))
        close(d.log_prob(rv.tensor([2, 0])), np.log([p[0, 2], p[1, 0]]))
        close(d.log_prob(rv.tensor(1)), np.log(p[:, 1]))
        close(d.log_prob(rv.tensor([[0], [1], [2]])), np.log(p.T))
        close(d.log_prob(t([2.0, 0.0])), np.log([p[0, 2], p[1, 0]]))
        close(d.entropy(), -(p * np.log(p)).sum(-1))
        assert d.mode.tolist() == [2, 0] and d.mean.isnan().all() and d.variance.isnan().all()
        assert d.enumerate_support().tolist() == [[0, 0], [1, 1], [2, 2]]
        assert d.enumerate_support(False).shape == (3, 1)
    with_zero = D.Categorical(t([1.0, 0.0]))
    close(with_zero.entropy(), 0.0)
    close(D.Categorical(logits=t([0.0, -math.inf])).entropy(), 0.0)


def test_independent_and_expand() -> None:
    base = D.Normal(t(LOC), t(SCALE))
    d = D.Independent(base, 1)
    assert d.batch_shape == (2,) and d.event_shape == (3,) and d.has_rsample
    close(d.log_prob(t(X)), base.log_prob(t(X)).sum(-1).numpy())
    close(d.entropy(), base.entropy().sum(-1).numpy())
    assert d.sample((5,)).shape == (5, 2, 3) == d.rsample((5,)).shape
    wide = d.expand((4, 2))
    assert wide.batch_shape == (4, 2) and wide.sample().shape == (4, 2, 3)
    close(wide.log_prob(t(X)), np.broadcast_to(d.log_prob(t(X)).numpy(), (4, 2)))
    for one, shape in (
        (D.Normal(0.0, 1.0), (2, 3)), (D.Bernoulli(logits=0.5), (2,)), (D.Uniform(0.0, 1.0), (4,)),
        (D.Categorical(rv.ones(5)), (2, 3)), (D.Laplace(0.0, 1.0), (1,)),
    ):  # fmt: skip
        assert one.expand(shape).batch_shape == shape == tuple(one.expand(shape).sample().shape)
        assert one.expand(rv.Size(shape)).entropy().shape == shape


# --- divergences --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("p", "q"),
    [
        (D.Normal(t(0.5), t(1.5)), D.Normal(t(-1.0), t(2.0))),
        (D.LogNormal(t(0.5), t(0.5)), D.LogNormal(t(0.0), t(0.7))),
        (D.Exponential(t(2.0)), D.Exponential(t(0.7))),
        (D.Laplace(t(0.5), t(1.5)), D.Laplace(t(-1.0), t(2.0))),
        (D.Uniform(t(0.0), t(1.0)), D.Uniform(t(-1.0), t(3.0))),
        (D.Bernoulli(t(0.3)), D.Bernoulli(logits=t(1.0))),
        (D.Categorical(t([1.0, 2.0, 3.0])), D.Categorical(logits=t([0.0, 0.5, -1.0]))),
        (D.Independent(D.Normal(t(LOC), t(1.0)), 1),
         D.Independent(D.Normal(t(0.0), t(LOC**2 + 1)), 1)),
    ],
)  # fmt: skip
def test_divergence_is_the_mean_difference_of_logarithms(p: Any, q: Any) -> None:
    x = p.sample((N,))
    terms = (p.log_prob(x) - q.log_prob(x)).numpy()
    kl = D.kl_divergence(p, q).item()
    assert abs(terms.mean() - kl) < Z * terms.std() / math.sqrt(N) + 1e-12
    assert D.kl_divergence(p, p).item() == pytest.approx(0, abs=1e-15)


def test_infinite_divergences() -> None:
    assert D.kl_divergence(D.Bernoulli(0.5), D.Bernoulli(rv.tensor([0.0, 1.0]))).isinf().all()
    assert D.kl_divergence(D.Bernoulli(rv.tensor([0.0, 1.0])), D.Bernoulli(0.5)).isfinite().all()
    both = D.kl_divergence(D.Bernoulli(rv.tensor([0.0, 1.0])), D.Bernoulli(rv.tensor([0.0, 1.0])))
    assert both.tolist() == [0, 0]
    some, all_ = D.Categorical(rv.tensor([1.0, 0.0])), D.Categorical(rv.tensor([1.0, 1.0]))
    assert D.kl_divergence(all_, some).item() == math.inf
    assert D.kl_divergence(some, all_).item() == pytest.approx(math.log(2))
    assert D.kl_divergence(D.Uniform(0.0, 3.0), D.Uniform(0.0, 2.0)).item() == math.inf
    for p, q in (
        (D.Normal(0.0, 1.0), D.Bernoulli(0.5)), (D.Normal(0.0, 1.0), D.LogNormal(0.0, 1.0)),
    ):  # fmt: skip
        with pytest.raises(NotImplementedError, match="KL"):
            D.kl_divergence(p, q)


# --- samples ------------------------------------------------------------------------------------

SAMPLED = [
    (lambda: D.Normal(rv.tensor([1.0, -2.0]), rv.tensor([0.5, 3.0])), 3.0),
    (lambda: D.LogNormal(rv.tensor([0.0, 1.0]), 0.25), 5.0),
    (lambda: D.Uniform(rv.tensor([0.0, -1.0]), rv.tensor([2.0, 5.0])), 1.8),
    (lambda: D.Exponential(rv.tensor([0.5, 4.0])), 9.0),
    (lambda: D.Laplace(rv.tensor([1.0, -2.0]), rv.tensor([0.5, 3.0])), 6.0),
    (lambda: D.Bernoulli(rv.tensor([0.3, 0.8])), 3.0),
]


@pytest.mark.parametrize(("make", "kurtosis"), SAMPLED)
def test_samples_have_the_moments(make: Any, kurtosis: float) -> None:
    d = make()
    x = d.sample((N,))
    assert x.shape == (N, 2) and not x.requires_grad
    x = x.double().numpy()
    mean, variance = d.mean.numpy(), d.variance.numpy()
    assert (np.abs(x.mean(0) - mean) < Z * np.sqrt(variance / N)).all()
    assert (np.abs(x.var(0) - variance) < Z * variance * math.sqrt((kurtosis - 1) / N)).all()
    if hasattr(d, "icdf") and not isinstance(d, D.Bernoulli):  # in 16 bins of equal chance
        edges = d.icdf((rv.arange(1, 16) / 16).unsqueeze(-1)).numpy()
        for column in range(2):
            counts = np.bincount(np.searchsorted(edges[:, column], x[:, column]), minlength=16)
            statistic = np.sum((counts - N / 16) ** 2 / (N / 16))
            assert statistic < 15 + Z * math.sqrt(30) + 10


def test_categorical_samples_follow_the_weights() -> None:
    d = D.Categorical(rv.tensor(W))
    x = d.sample((N,))
    assert x.shape == (N, 2) and x.dtype is rv.int64
    for row in range(2):
        counts = np.bincount(x[:, row].numpy(), minlength=3)
        expected = N * W[row] / W[row].sum()
        assert np.sum((counts - expected) ** 2 / expected) < 2 + Z * 2 + 10
    assert d.sample().shape == (2,) and d.sample((4, 5)).shape == (4, 5, 2)
    assert d.sample((0,)).shape == (0, 2)
    assert D.Categorical(rv.ones(0, 3)).sample((2,)).shape == (2, 0)
    assert D.Categorical(rv.ones(3)).sample().shape == ()


def test_shapes_and_dtypes() -> None:
    for dtype in (rv.float16, rv.bfloat16, rv.float32, rv.float64):
        one = rv.ones(3, dtype=dtype)
        for d in (
            D.Normal(one, 1.0), D.Normal(0.0, one), D.Exponential(one), D.Laplace(one, one),
            D.Uniform(0.0, one), D.Bernoulli(one * 0.5),
        ):  # fmt: skip
            assert d.sample((2,)).dtype is dtype and d.sample((2,)).shape == (2, 3)
            assert d.log_prob(d.sample()).dtype is dtype is d.entropy().dtype
    assert D.Normal(rv.ones(3), rv.ones(3, dtype=rv.float64)).sample().dtype is rv.float64
    assert D.Normal(0, 1).sample().dtype is rv.float32
    assert D.Normal(rv.zeros(3, dtype=rv.int64), 1).loc.dtype is rv.float32
    assert D.Normal(0.0, 1.0).sample([2, 3]).shape == (2, 3)


# --- gradients ----------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["log_prob", "entropy"])
@pytest.mark.parametrize(
    ("make", "parameters", "x"),
    [
        (D.Normal, ([0.5], [1.5]), [0.7]),
        (D.LogNormal, ([0.5], [1.5]), [0.7]),
        (D.Laplace, ([0.5], [1.5]), [0.7]),
        (D.Uniform, ([0.5], [1.5]), [0.7]),
        (D.Exponential, ([0.5],), [0.7]),
        (D.Bernoulli, ([0.3],), [1.0]),
        (lambda a: D.Bernoulli(logits=a), ([0.3],), [0.0]),
        (D.Categorical, ([0.2, 0.5, 0.9],), 1),
        (lambda a: D.Categorical(logits=a), ([0.2, 0.5, 0.9],), 2),
    ],
)
def test_gradients_by_differences(what: str, make: Any, parameters: Any, x: Any) -> None:
    value = rv.tensor(x) if isinstance(x, int) else t(x)

    def result(*given: Any) -> Any:
        d = make(*given)
        return (d.log_prob(value) if what == "log_prob" else d.entropy()).sum()

    def at(which: int, i: int, h: float) -> float:
        moved = [np.array(q) for q in parameters]
        moved[which][i] += h
        return float(result(*map(t, moved)).item())

    leaves = [t(p).requires_grad_() for p in parameters]
    result(*leaves).backward()
    for which, p in enumerate(parameters):
        for i in range(len(p)):
            want = (at(which, i, 1e-5) - at(which, i, -1e-5)) / 2e-5
            grad = leaves[which].grad
            got = 0.0 if grad is None else grad[i].item()
            assert got == pytest.approx(want, rel=1e-6, abs=1e-8)


def test_rsample_is_differentiable() -> None:
    for make in (
        lambda a, b: D.Normal(a, b), lambda a, b: D.Laplace(a, b),
        lambda a, b: D.Uniform(a, a + b), lambda a, b: D.Independent(D.Normal(a, b), 1),
    ):  # fmt: skip
        a, b = t([1.0, 2.0]).requires_grad_(), t([0.5, 3.0]).requires_grad_()
        x = make(a, b).rsample((1000,))
        x.sum(0).sum().backward()
        assert a.grad.tolist() == pytest.approx([1000, 1000])
        assert b.grad.tolist() == pytest.approx(((x - a) / b).sum(0).tolist(), rel=1e-9)
        assert not make(a, b).sample().requires_grad
    rate = t(2.0).requires_grad_()
    x = D.Exponential(rate).rsample()
    x.backward()
    assert rate.grad.item() == pytest.approx(-x.item() / 2)
    for d in (D.Bernoulli(0.5), D.Categorical(rv.ones(3))):
        assert not d.has_rsample
        with pytest.raises(NotImplementedError, match="rsample"):
            d.rsample()


def test_a_policy_gradient_step_learns() -> None:
    """What the first hour does with a Categorical."""
    logits = rv.zeros(3, requires_grad=True)
    reward = rv.tensor([0.0, 1.0, 0.2])
    for _ in range(200):
        d = D.Categorical(logits=logits)
        action = d.sample((16,))
        loss = -(d.log_prob(action) * reward[action]).mean()
        logits.grad = None
        loss.backward()
        with rv.no_grad():
            logits.sub_(logits.grad)
    assert D.Categorical(logits=logits).probs[1].item() > 0.9


def test_a_recorded_step_draws_and_differentiates() -> None:
    def step(mean: Any) -> Any:
        p, q = D.Normal(mean, 1.0), D.Normal(0.0, 1.0)
        return p.rsample() + D.kl_divergence(p, q)

    rv.manual_seed(3)
    program = rv.Program.record(step, rv.ones(4))
    got = [program.replay(rv.ones(4)) for _ in range(2)]
    rv.manual_seed(3)
    want = [step(rv.ones(4)) for _ in range(3)]
    assert all(rv.equal(a, b) for a, b in zip(got, want[1:], strict=True))


# --- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: D.Normal(0.0, -1.0),
         r"Expected parameter scale \(Tensor of shape \(\)\) of distribution "
         r"Normal\(loc: 0.0, scale: -1.0\) to satisfy the constraint "
         r"GreaterThan\(lower_bound=0.0\), but found invalid values:\n-1.0"),
        (lambda: D.Normal(rv.zeros(2), rv.tensor([1.0, 0.0])),
         r"Normal\(loc: \(2,\), scale: \(2,\)\)"),
        (lambda: D.Normal(math.nan, 1.0), r"loc .*Real\(\)"),
        (lambda: D.Normal([0.0], 1.0), "numbers or tensors, got list"),
        (lambda: D.Normal(rv.zeros(2), rv.ones(3)), r"\(2,\), \(3,\)"),
        (lambda: D.Normal(0.0, 1.0).log_prob(2.0), "must be a Tensor"),
        (lambda: D.Normal(0.0, 1.0).log_prob(rv.tensor(math.nan)), r"support \(Real\(\)\)"),
        (lambda: D.Normal(rv.zeros(3), 1.0).log_prob(rv.zeros(2)),
         r"broadcastable.*\(2,\) vs \(3,\)"),
        (lambda: D.LogNormal(0.0, 1.0).log_prob(rv.tensor(-1.0)), "support"),
        (lambda: D.Uniform(1.0, 1.0), r"low .*LessThan\(upper_bound=1.0\)"),
        (lambda: D.Uniform(0.0, 1.0).log_prob(rv.tensor(2.0)),
         r"Interval\(lower_bound=0.0, upper_bound=1.0\)"),
        (lambda: D.Exponential(0.0), "rate"),
        (lambda: D.Bernoulli(1.5), r"probs .*Interval\(lower_bound=0.0, upper_bound=1.0\)"),
        (lambda: D.Bernoulli(), "not both"),
        (lambda: D.Bernoulli(0.5, 0.5), "not both"),
        (lambda: D.Bernoulli(0.5).log_prob(rv.tensor(0.5)), r"Boolean\(\)"),
        (lambda: D.Categorical(), "not both"),
        (lambda: D.Categorical(rv.tensor(0.5)), "at least one-dimensional"),
        (lambda: D.Categorical([0.5]), "at least one-dimensional"),
        (lambda: D.Categorical(rv.tensor([-1.0, 2.0])), r"Simplex\(\)"),
        (lambda: D.Categorical(rv.zeros(2)), r"Simplex\(\)"),
        (lambda: D.Categorical(logits=rv.tensor([math.nan, 0.0])), "logits"),
        (lambda: D.Categorical(rv.ones(3)).log_prob(rv.tensor(3)),
         r"IntegerInterval\(lower_bound=0, upper_bound=2\)"),
        (lambda: D.Categorical(rv.ones(3)).log_prob(rv.tensor(0.5)), "support"),
        (lambda: D.Independent(D.Normal(0.0, 1.0), 1), "actual 1 vs 0"),
        (lambda: D.Distribution.set_default_validate_args("x"), "True or False"),
    ],
)  # fmt: skip
def test_refusals(call: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()


def test_checks_can_be_left_out() -> None:
    assert D.Normal(0.0, -1.0, validate_args=False).scale.item() == -1
    assert D.Normal(0.0, 1.0, validate_args=False).log_prob(rv.tensor(math.nan)).isnan().item()
    try:
        D.Distribution.set_default_validate_args(False)
        assert D.Normal(0.0, -1.0).scale.item() == -1
    finally:
        D.Distribution.set_default_validate_args(True)
    with pytest.raises(ValueError, match="scale"):
        D.Normal(0.0, -1.0)


def test_what_is_not_there_says_so() -> None:
    with pytest.raises(NotImplementedError, match=r"\[Bernoulli\] has no cdf"):
        D.Bernoulli(0.5).cdf(rv.tensor(1.0))
    with pytest.raises(AttributeError, match="nothing"):
        _ = D.Bernoulli(0.5).nothing
    with pytest.raises(AttributeError, match="nothing"):
        _ = rv.nothing


def test_imported_at_the_first_use_only() -> None:
    code = (
        "import sys, ranvier as rv; assert 'ranvier.distributions' not in sys.modules; "
        "rv.distributions.Normal(0.0, 1.0); from ranvier.distributions import Categorical"
    )
    root = Path(rv.__file__).parents[1]
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True)


# --- PyTorch ------------------------------------------------------------------------------------


def test_against_pytorch() -> None:
    torch = pytest.importorskip("torch")
    T = torch.distributions
    rng = np.random.default_rng(0)
    for _ in range(50):
        a, b = rng.normal(size=4), rng.uniform(0.2, 3, 4)
        x, w = rng.uniform(0.1, 2, 4), rng.uniform(0.1, 1, (4, 5))
        k, u = rng.integers(0, 5, 4), rng.uniform(0.05, 0.95, 4)
        for name, arguments, value in [
            ("Normal", (a, b), x), ("LogNormal", (a, b), x), ("Laplace", (a, b), x),
            ("Uniform", (a - 3, a + 5 + b), x), ("Exponential", (b,), x),
            ("Bernoulli", (u,), (x > 1).astype(float)), ("Categorical", (w,), k),
        ]:  # fmt: skip
            ours = getattr(D, name)(*map(rv.tensor, arguments))
            theirs = getattr(T, name)(*map(torch.tensor, arguments))
            other = getattr(D, name)(*[rv.tensor(p * 0.9) for p in arguments])
            others = getattr(T, name)(*[torch.tensor(p * 0.9) for p in arguments])
            pairs = [
                (ours.log_prob(rv.tensor(value)), theirs.log_prob(torch.tensor(value))),
                (ours.entropy(), theirs.entropy()),
                (D.kl_divergence(ours, other), T.kl_divergence(theirs, others)),
                (ours.mode, theirs.mode), (ours.mean, theirs.mean),
                (ours.variance, theirs.variance), (ours.stddev, theirs.stddev),
            ]  # fmt: skip
            if name not in ("Bernoulli", "Categorical"):
                pairs.append((ours.cdf(rv.tensor(value)), theirs.cdf(torch.tensor(value))))
                pairs.append((ours.icdf(rv.tensor(u)), theirs.icdf(torch.tensor(u))))
            for i, (mine, want) in enumerate(pairs):
                np.testing.assert_allclose(
                    mine.numpy(), want.numpy(), rtol=1e-9, atol=1e-12, err_msg=f"{name} {i}"
                )
            assert ours.batch_shape == tuple(theirs.batch_shape)
            assert ours.event_shape == tuple(theirs.event_shape)
