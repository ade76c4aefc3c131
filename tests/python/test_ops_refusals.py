"""What every op of the case table refuses: bad calls, unknown words, wrong and mixed dtypes."""

from __future__ import annotations

from typing import Any

import pytest
from cases import CASES
from ops_setup import array_of, bits, names, wants_gradient
from samples import DTYPES, as_dtype, call, tensors

from ranvier import _C

# ---- bad calls


def bad_calls() -> list[Any]:
    """Every bad call of every row, to the kernel and to the composite where there are both."""
    return [
        pytest.param(
            case.name, i, composite, id=f"{case.name}-{i}{'-composite' if composite else ''}"
        )
        for case in CASES.values()
        for i in range(len(case.bad))
        for composite in (False, True)
        if not composite or (case.entry["composite"] and case.entry["kernel"])
    ]


@pytest.mark.parametrize(("name", "i", "composite"), bad_calls())
def test_bad_calls(name: str, i: int, composite: bool) -> None:
    """Wrong shapes, types and attributes raise the right error, with names and both shapes."""
    bad = CASES[name].bad[i]
    inputs = [
        None if x is None else _C.zeros(x, _C.float32) if isinstance(x, tuple) else _C.from_numpy(x)
        for x in bad.inputs
    ]
    given = [t for t in inputs if t is not None]
    before = [array_of(t).copy() for t in given]
    with pytest.raises(bad.error) as caught:
        call(name, inputs, bad.attrs, composite)
    if not composite:
        for word in bad.words:
            assert word in str(caught.value), f"{word!r} is not in {caught.value}"
    assert bits(before) == bits([array_of(t) for t in given])


@names()
def test_unknown_words_raise(name: str) -> None:
    """A keyword that the op does not have, one too many arguments, a missing tensor, a string."""
    case = CASES[name]
    sample = case.samples()[0]
    inputs, _ = tensors(sample)
    op = getattr(_C.ops, name)
    with pytest.raises(TypeError, match="no_such_word"):
        call(name, inputs, {**sample.attrs, "no_such_word": 1})
    if not case.entry["variadic"]:  # which takes them all
        with pytest.raises(TypeError, match=f"{name}.* expected"):
            op(*[inputs[0]] * 40)
    with pytest.raises(TypeError, match=rf"\[{name}\] expected"):
        op()
    with pytest.raises(TypeError):
        call(name, ["text", *inputs[1:]], sample.attrs)
    with pytest.raises(TypeError, match=rf"\[{name}\] expected a (list or tuple|tensor)"):
        op(**{**dict.fromkeys(case.entry["inputs"]), **sample.attrs})


@names(lambda case: case.entry["attrs"])
def test_wrong_attributes_raise(name: str) -> None:
    """An attribute of another type is a TypeError (or ValueError) that names it."""
    case = CASES[name]
    sample = case.samples()[0]
    wrong = {
        "bool": "yes",
        "int": "one",
        "float": "much",
        "str": 3,
        "int or sequence of int": ["a"],
        "dtype": 17,
    }
    for attr in case.entry["attrs"]:
        for value in (wrong[attr["kind"]], object(), *([] if attr["optional"] else [None])):
            inputs, _ = tensors(sample)
            with pytest.raises((TypeError, ValueError), match=r"\["):
                call(name, inputs, {**sample.attrs, attr["name"]: value})
        if attr["kind"] == "int":
            for value in ((), (0, 1), 1.5):
                with pytest.raises(TypeError):
                    call(name, tensors(sample)[0], {**sample.attrs, attr["name"]: value})


FLOAT_ONLY = names(
    lambda c: (
        c.integers == "refused"
        and len(c.samples()[0].inputs) > 1
        and len(wants_gradient(c.samples()[0])) > 1
        and not c.entry["in_place_of"]
        and not c.entry["each"]  # whose first tensor is no parameter; see its bad calls
    )
)


@FLOAT_ONLY
def test_mixed_dtypes_raise(name: str) -> None:
    """float32 and float64 together are refused where nothing is promoted."""
    case = CASES[name]
    sample = next(s for s in case.samples() if len(wants_gradient(s)) > 1)
    cut = wants_gradient(sample)[0] + 1
    single = tensors(as_dtype(sample, "float32"))[0][:cut]
    double = tensors(as_dtype(sample, "float64"))[0][cut:]
    with pytest.raises(TypeError, match=r"float32.*float64|float64.*float32"):
        call(name, [*single, *double], sample.attrs)


@pytest.mark.parametrize("first", list(DTYPES))
@pytest.mark.parametrize("second", list(DTYPES))
def test_promotion(first: str, second: str) -> None:
    """The wider type wins, floating before integer; a tensor without axes does not widen."""
    rank = ["bool", "uint8", "int8", "int16", "int32", "int64", "float32", "float64"]
    wide = max(first, second, key=rank.index)
    if {first, second} == {"uint8", "int8"}:
        wide = "int16"
    a, b = _C.zeros((3,), DTYPES[first]), _C.zeros((3,), DTYPES[second])
    assert _C.ops.add(a, b).dtype.name == wide
    assert _C.ops.div(a, b).dtype.name == (wide if wide.startswith("float") else "float32")
    assert _C.ops.lt(a, b).dtype is _C.bool_
    zero_dim = _C.ops.mul(a, _C.zeros((), DTYPES[second]))
    category = [0, 1, 1, 1, 1, 1, 2, 2]
    higher = category[rank.index(second)] > category[rank.index(first)]
    assert zero_dim.dtype.name == (wide if higher else first)
