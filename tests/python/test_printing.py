"""How tensors print: PyTorch's text, character for character, with our names in it."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest

import ranvier as rv

NAN, INF = math.nan, math.inf


@pytest.fixture(autouse=True)
def _options() -> Iterator[None]:
    before = rv.get_printoptions()
    yield
    rv.set_printoptions(**before)


# Each text is what PyTorch 2.13 prints, with "ranvier." for "torch.".
PRINTED = [
    (lambda: rv.tensor([1.0, 2.0]), "tensor([1., 2.])"),
    (lambda: rv.tensor([1.5, 2.0]), "tensor([1.5000, 2.0000])"),
    (lambda: rv.tensor([[1.0, 2.0], [3.0, 4.0]]), "tensor([[1., 2.],\n        [3., 4.]])"),
    (lambda: rv.tensor(3.0), "tensor(3.)"),
    (lambda: rv.tensor(3), "tensor(3)"),
    (lambda: rv.tensor(True), "tensor(True)"),
    (lambda: rv.tensor(0.1), "tensor(0.1000)"),
    (lambda: rv.tensor(-0.0), "tensor(-0.)"),
    (lambda: rv.tensor(1e-10), "tensor(1.0000e-10)"),
    (lambda: rv.tensor(12345.678), "tensor(12345.6777)"),
    # what is no finite number
    (lambda: rv.tensor([NAN, 1.0]), "tensor([nan, 1.])"),
    (lambda: rv.tensor([NAN]), "tensor([nan])"),
    (lambda: rv.tensor([INF, -INF, 1.5]), "tensor([   inf,   -inf, 1.5000])"),
    (
        lambda: rv.tensor([[NAN, 1.0], [2.25, -INF]]),
        "tensor([[   nan, 1.0000],\n        [2.2500,   -inf]])",
    ),
    # powers of ten
    (lambda: rv.tensor([1e-8, 1.5]), "tensor([1.0000e-08, 1.5000e+00])"),
    (lambda: rv.tensor([1e5, 1.0]), "tensor([1.0000e+05, 1.0000e+00])"),
    (lambda: rv.tensor([1e9]), "tensor([1.0000e+09])"),
    (lambda: rv.tensor([123456789.0]), "tensor([1.2346e+08])"),
    (lambda: rv.tensor([1e-5]), "tensor([1.0000e-05])"),
    (lambda: rv.tensor([-1e-3, 0.0]), "tensor([-0.0010,  0.0000])"),
    (lambda: rv.tensor([1001.0, 1.0]), "tensor([1.0010e+03, 1.0000e+00])"),
    (lambda: rv.tensor([1000.0, 1.0]), "tensor([1000.,    1.])"),
    # integers and bools
    (lambda: rv.tensor([-1, 10, 100]), "tensor([ -1,  10, 100])"),
    (lambda: rv.tensor([10000, 1]), "tensor([10000,     1])"),
    (lambda: rv.tensor([True, False]), "tensor([ True, False])"),
    (
        lambda: rv.tensor([[True, False], [False, False]]),
        "tensor([[ True, False],\n        [False, False]])",
    ),
    # no elements
    (lambda: rv.zeros(0), "tensor([])"),
    (lambda: rv.zeros(0, 3), "tensor([], size=(0, 3))"),
    (
        lambda: rv.zeros(2, 0, dtype=rv.int64),
        "tensor([], size=(2, 0), dtype=ranvier.int64)",
    ),
    (lambda: rv.zeros(0, dtype=rv.bool), "tensor([], dtype=ranvier.bool)"),
    # dtypes that Python's numbers do not become
    (lambda: rv.tensor([1.0], dtype=rv.float64), "tensor([1.], dtype=ranvier.float64)"),
    (lambda: rv.tensor([1], dtype=rv.int32), "tensor([1], dtype=ranvier.int32)"),
    (lambda: rv.tensor([1, -2], dtype=rv.int16), "tensor([ 1, -2], dtype=ranvier.int16)"),
    (lambda: rv.tensor([7], dtype=rv.uint64), "tensor([7], dtype=ranvier.uint64)"),
    (
        lambda: rv.tensor([1 / 3, 2.0], dtype=rv.float16),
        "tensor([0.3333, 2.0000], dtype=ranvier.float16)",
    ),
    (
        lambda: rv.tensor([1 / 3, 2.0], dtype=rv.bfloat16),
        "tensor([0.3340, 2.0000], dtype=ranvier.bfloat16)",
    ),
    (
        lambda: rv.tensor([0.1] * 7, dtype=rv.float64),
        "tensor([0.1000, 0.1000, 0.1000, 0.1000, 0.1000, 0.1000, 0.1000],\n"
        "       dtype=ranvier.float64)",
    ),
    # gradients
    (lambda: rv.ones(2, requires_grad=True), "tensor([1., 1.], requires_grad=True)"),
    (
        lambda: rv.nn.Parameter(rv.tensor([0.5])),
        "Parameter containing:\ntensor([0.5000], requires_grad=True)",
    ),
    # many elements
    (lambda: rv.arange(1001), "tensor([   0,    1,    2,  ...,  998,  999, 1000])"),
    (
        lambda: rv.arange(10000.0).reshape(100, 100),
        "tensor([[0.0000e+00, 1.0000e+00, 2.0000e+00,  ..., 9.7000e+01, 9.8000e+01,\n"
        "         9.9000e+01],\n"
        "        [1.0000e+02, 1.0100e+02, 1.0200e+02,  ..., 1.9700e+02, 1.9800e+02,\n"
        "         1.9900e+02],\n"
        "        [2.0000e+02, 2.0100e+02, 2.0200e+02,  ..., 2.9700e+02, 2.9800e+02,\n"
        "         2.9900e+02],\n"
        "        ...,\n"
        "        [9.7000e+03, 9.7010e+03, 9.7020e+03,  ..., 9.7970e+03, 9.7980e+03,\n"
        "         9.7990e+03],\n"
        "        [9.8000e+03, 9.8010e+03, 9.8020e+03,  ..., 9.8970e+03, 9.8980e+03,\n"
        "         9.8990e+03],\n"
        "        [9.9000e+03, 9.9010e+03, 9.9020e+03,  ..., 9.9970e+03, 9.9980e+03,\n"
        "         9.9990e+03]])",
    ),
    (
        lambda: rv.arange(2000).reshape(2, 1000),
        "tensor([[   0,    1,    2,  ...,  997,  998,  999],\n"
        "        [1000, 1001, 1002,  ..., 1997, 1998, 1999]])",
    ),
    (
        lambda: rv.arange(2000, dtype=rv.bfloat16),
        "tensor([0.0000e+00, 1.0000e+00, 2.0000e+00,  ..., 2.0000e+03, 2.0000e+03,\n"
        "        2.0000e+03], dtype=ranvier.bfloat16)",
    ),
    (
        lambda: rv.arange(24.0).reshape(2, 3, 4),
        "tensor([[[ 0.,  1.,  2.,  3.],\n"
        "         [ 4.,  5.,  6.,  7.],\n"
        "         [ 8.,  9., 10., 11.]],\n"
        "\n"
        "        [[12., 13., 14., 15.],\n"
        "         [16., 17., 18., 19.],\n"
        "         [20., 21., 22., 23.]]])",
    ),
    (
        lambda: rv.arange(30) * 1000,
        "tensor([    0,  1000,  2000,  3000,  4000,  5000,  6000,  7000,  8000,  9000,\n"
        "        10000, 11000, 12000, 13000, 14000, 15000, 16000, 17000, 18000, 19000,\n"
        "        20000, 21000, 22000, 23000, 24000, 25000, 26000, 27000, 28000, 29000])",
    ),
]


@pytest.mark.parametrize(("make", "text"), PRINTED)
def test_printed(make, text):
    t = make()
    assert repr(t) == str(t) == text


@pytest.mark.parametrize(
    ("options", "make", "text"),
    [
        ({"precision": 2}, lambda: rv.tensor([1.12345, 2.0]), "tensor([1.12, 2.00])"),
        ({"precision": 0}, lambda: rv.tensor([1.5, 2.25]), "tensor([2, 2])"),
        ({"threshold": 5}, lambda: rv.arange(10), "tensor([0, 1, 2,  ..., 7, 8, 9])"),
        ({"threshold": 5, "edgeitems": 1}, lambda: rv.arange(10), "tensor([0,  ..., 9])"),
        (
            {"threshold": 5, "edgeitems": 0},
            lambda: rv.arange(10),
            "tensor([...], size=(10,))",
        ),
        (
            {"linewidth": 40},
            lambda: rv.arange(12.0).reshape(2, 6) / 4,
            "tensor([[0.0000, 0.2500, 0.5000, 0.7500,\n"
            "         1.0000, 1.2500],\n"
            "        [1.5000, 1.7500, 2.0000, 2.2500,\n"
            "         2.5000, 2.7500]])",
        ),
        ({"sci_mode": True}, lambda: rv.tensor([1.5, 2.0]), "tensor([1.5000e+00, 2.0000e+00])"),
        ({"sci_mode": False}, lambda: rv.tensor([1e-8, 1.0]), "tensor([0.0000, 1.0000])"),
        ({"profile": "short"}, lambda: rv.tensor([1.23456]), "tensor([1.23])"),
    ],
)
def test_settings(options, make, text):
    rv.set_printoptions(**options)
    assert repr(make()) == text


def test_the_full_profile_shortens_nothing():
    rv.set_printoptions(profile="full")
    text = repr(rv.arange(1500))
    assert "..." not in text and "1499" in text


def test_what_is_not_given_stays_but_for_sci_mode():
    rv.set_printoptions(precision=2, sci_mode=True)
    rv.set_printoptions(edgeitems=2)
    options = rv.get_printoptions()
    assert (options["precision"], options["edgeitems"], options["sci_mode"]) == (2, 2, None)


def test_settings_for_a_block():
    with rv.printoptions(precision=1):
        assert repr(rv.tensor([0.25])) == "tensor([0.2])"
    with pytest.raises(ZeroDivisionError), rv.printoptions(precision=1):
        raise ZeroDivisionError
    assert repr(rv.tensor([0.25])) == "tensor([0.2500])"


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"precision": -1}, ValueError, r"\[set_printoptions\] precision: .* got -1"),
        ({"edgeitems": 1.5}, ValueError, "edgeitems: .* got 1.5"),
        ({"linewidth": "wide"}, ValueError, "linewidth"),
        ({"threshold": "many"}, ValueError, "threshold"),
        ({"threshold": NAN}, ValueError, "threshold"),
        ({"profile": "long"}, ValueError, "default, short, full, got 'long'"),
        ({"sci_mode": 1}, TypeError, "sci_mode"),
    ],
)
def test_bad_settings_are_refused(options, error, words):
    before = rv.get_printoptions()
    with pytest.raises(error, match=words):
        rv.set_printoptions(**options)
    assert rv.get_printoptions() == before


def test_the_default_dtype_is_not_mentioned():
    rv.set_default_dtype(rv.float64)
    try:
        assert repr(rv.tensor([1.5])) == "tensor([1.5000])"
        assert repr(rv.ones(1, dtype=rv.float32)) == "tensor([1.], dtype=ranvier.float32)"
    finally:
        rv.set_default_dtype(rv.float32)


def test_a_large_tensor_is_not_copied_to_be_printed():
    row = rv.zeros(1)
    assert repr(row.expand(10**6, 10**6)).count("...") == 7


def test_views_print_what_they_show():
    t = rv.arange(6).reshape(2, 3)
    assert repr(t.T) == "tensor([[0, 3],\n        [1, 4],\n        [2, 5]])"
    assert repr(t[:, ::2]) == "tensor([[0, 2],\n        [3, 5]])"


def test_a_number_takes_any_format():
    loss = rv.tensor(0.123456)
    assert f"{loss:.3f} {loss:10.2e}|{loss:>8.2f}|{loss}" == (
        f"{loss.item():.3f} {loss.item():10.2e}|{loss.item():>8.2f}|{loss.item()}"
    )
    assert f"{rv.tensor(7):03d}" == "007" and f"{rv.tensor(7):x}" == "7"
    assert f"{rv.tensor(0.5):.1%}" == "50.0%" and "%.2f" % rv.tensor(0.5) == "0.50"  # noqa: UP031
    with pytest.raises(TypeError, match=r"one number for the format '.3f', got shape \(2,\)"):
        format(rv.zeros(2), ".3f")
