"""Every op of the case table: values, gradients, and the promises about bits.

Correctness is against long double NumPy; promises (threads, layouts, instruction sets, replay)
are tested for equal bits. Refuses tolerances that tolerances.py does not explain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from cases import CASES
from ops_setup import array_of, bits, names, wants_gradient
from samples import Case, Sample, as_dtype, call, expected, quiet, tensors, widened
from tolerances import (
    COMPOSITE,
    DIFFERENCE_STEP,
    DIFFERENCES,
    GRADIENT_FLOAT32,
    TOLERANCES,
)

from ranvier import _C

FLOATS = ("float32", "float64")
Array = Any


def differentiable(case: Case) -> bool:
    return bool(case.entry["differentiable"])


def listed(output: Any) -> list[Any]:
    """The results of a call: most ops have one."""
    return list(output) if isinstance(output, tuple) else [output]


def results_of(case: Case, inputs: Sequence[Any], output: Any) -> list[Array]:
    """Results, then what the op changed."""
    mutated = case.entry["mutates"]
    changed = [t for i, t in enumerate(inputs) if t is not None and case.input_name(i) in mutated]
    results = [] if case.writes else listed(output)
    return [array_of(t) for t in (*results, *changed)]


def forward(case: Case, sample: Sample, composite: bool = False) -> list[Array]:
    inputs, _ = tensors(sample)
    return results_of(case, inputs, call(case.name, inputs, sample.attrs, composite))


def seed_for(shape: tuple[int, ...], dtype: str) -> Array:
    """A gradient of the result without zeros or repeats."""
    return np.random.default_rng(7).uniform(0.5, 1.5, shape).astype(dtype)


def backward(results: Sequence[Any]) -> None:
    """Backward from all floating results, each with the gradient that `seed_for` gives."""
    ends = [
        (y, _C.from_numpy(seed_for(y.shape, y.dtype.name)))
        for y in results
        if y.dtype.is_floating_point
    ]
    if len(ends) == 1:
        ends[0][0].backward(ends[0][1])
    else:
        first, *others = [(y * seed).sum() for y, seed in ends]
        for other in others:
            first = first + other
        first.backward()


def gradients(
    case: Case, sample: Sample, composite: bool = False
) -> tuple[list[Array], list[Array]]:
    """Results, and the gradient of every floating input."""
    inputs, _ = tensors(sample)
    for i in wants_gradient(sample):
        inputs[i] = inputs[i].detach().requires_grad_(True)
    results = listed(call(case.name, inputs, sample.attrs, composite))
    backward(results)
    grads = [inputs[i].grad for i in wants_gradient(sample)]
    assert all(g is not None for g in grads), f"{case.name}: no gradient, {sample}"
    return [array_of(y) for y in results], [array_of(g) for g in grads]


def everything(case: Case, sample: Sample) -> list[Array]:
    if not differentiable(case):
        return forward(case, sample)
    results, grads = gradients(case, sample)
    return [*results, *grads]


# ---- values


def assert_close(case: Case, sample: Sample, got: Array, want: Array, magnitude: Array) -> None:
    """|got - want| <= tolerance * eps * magnitude, element by element."""
    assert got.shape == want.shape, f"{case.name} {sample}: {got.shape} instead of {want.shape}"
    if got.dtype.kind in "iub":
        assert np.array_equal(got, want), f"{case.name} {sample} {got.dtype}: {got} {want}"
        return
    tolerance = getattr(TOLERANCES[case.tolerance], got.dtype.name)
    info = np.finfo(got.dtype)
    bound = tolerance * info.eps * np.abs(magnitude).astype(np.longdouble)
    bound = bound + (info.smallest_subnormal if tolerance else 0)
    with np.errstate(all="ignore"):
        error = np.abs(got.astype(np.longdouble) - want)
        cast = want.astype(got.dtype)  # where the reference exceeds the range of the dtype
    same = (error <= bound) | (got == cast) | (np.isnan(got) & np.isnan(want))
    worst = np.max(np.where(same, 0, error / np.maximum(bound, info.tiny)), initial=0)
    assert same.all(), (
        f"{case.name} {sample} {got.dtype}: {worst:.3g} times the bound "
        f"({TOLERANCES[case.tolerance].reason})\ngot  {got[~same][:4]}\nwant {want[~same][:4]}"
    )


def check_values(case: Case, sample: Sample) -> None:
    """One call against the reference."""
    got = forward(case, sample)
    exact = all(g.dtype.kind in "iub" for g in got) and case.name != "cast"
    try:
        want = expected(case, sample if exact else widened(sample))
    except TypeError:  # NumPy has no such op on booleans
        assert any(x is not None and x.dtype == bool for x in sample.inputs)
        return
    assert len(got) == len(want)
    for g, w in zip(got, want, strict=True):
        w = w.astype(np.longdouble) if g.dtype.kind == "f" else w
        magnitude = (
            w
            if case.magnitude is None or exact
            else quiet(case.magnitude, w, *widened(sample).inputs, **sample.attrs)
        )
        assert_close(case, sample, g, w, np.asarray(magnitude, np.longdouble))


REFERENCED = names(lambda case: case.reference is not None)


@REFERENCED
def test_values(name: str, isa: str) -> None:
    """Every sample in both floating dtypes, on every instruction set."""
    case = CASES[name]
    for sample in case.samples():
        for dtype in FLOATS:
            check_values(case, as_dtype(sample, dtype))


@names(lambda case: case.reference is not None and case.integers != "none")
@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "bool"])
def test_integer_values(name: str, dtype: str) -> None:
    """Integer inputs are computed exactly, taken as float32, or refused with a TypeError."""
    case = CASES[name]
    for sample in case.samples():
        converted = as_dtype(sample, dtype)
        if case.integers == "no bools" and dtype == "bool":
            return
        numbers = case.integers == "numbers" and dtype != "bool"
        if numbers or case.integers in ("taken", "no bools"):
            check_values(case, converted)
        elif wants_gradient(sample):
            with pytest.raises(TypeError, match=r"\[\w+\] expected .*(float|numbers)"):
                forward(case, converted)


@names(lambda case: case.special)
@pytest.mark.parametrize("dtype", FLOATS)
def test_nan_and_infinity(name: str, dtype: str, isa: str) -> None:
    """NaN, infinities, zeros with sign and subnormal numbers travel as in NumPy."""
    case = CASES[name]
    assert case.reference is not None
    for arrays in case.special:
        with np.errstate(all="ignore"):
            given = [a.astype(dtype) if a.dtype.kind == "f" else a for a in arrays]
        fixed = frozenset(i for i, a in enumerate(given) if a.dtype.kind != "f")
        sample = Sample(tuple(given), case.special_attrs, ("packed",) * len(given), fixed)
        for got, want in zip(forward(case, sample), expected(case, widened(sample)), strict=True):
            if got.dtype.kind != "f":
                assert np.array_equal(got, want), f"{name} of {given}: {got}, NumPy {want}"
                continue
            with np.errstate(all="ignore"):
                cast = want.astype(dtype)
            assert np.array_equal(np.isnan(got), np.isnan(cast)), f"{name} of {given}: {got} {cast}"
            assert np.array_equal(np.isinf(got), np.isinf(cast)), f"{name} of {given}: {got} {cast}"
            bound = 16 * np.finfo(dtype).eps * np.abs(cast) + 1e3 * np.finfo(dtype).tiny
            finite = np.isfinite(cast)
            fine = ~finite | (np.abs(got - np.where(finite, cast, 0)) <= bound)
            assert case.magnitude is not None or fine.all(), f"{name} of {given}: {got} {cast}"
            infinite = np.isinf(cast)
            assert np.array_equal(got[infinite], cast[infinite]), f"{name}: sign of infinity"


@names()
def test_inputs_are_not_modified(name: str) -> None:
    """Nothing is written but what the op says it changes; not even in the gaps of a view."""
    case = CASES[name]
    mutated = set(case.entry["mutates"])
    for sample in case.samples():
        inputs, owners = tensors(sample)
        before = [None if base is None else base.copy() for base in owners]
        call(name, inputs, sample.attrs)
        for i, (base, was) in enumerate(zip(owners, before, strict=True)):
            if base is None or was is None:
                continue
            if case.input_name(i) in mutated:
                base, was = base.copy(), was.copy()
                if sample.layouts[i] != "strided" or base.ndim == 0:
                    continue
                base[..., 1::2] = was[..., 1::2] = 0  # the view itself may change
            assert bits([base]) == bits([was]), f"{name} {sample}: input {i} was written to"


@names(lambda case: case.entry["in_place_of"])
def test_in_place_equals_the_op(name: str) -> None:
    """x.f_() leaves in x the bits that f(x) gives, and returns x."""
    case = CASES[name]
    of = CASES[case.entry["in_place_of"]]
    for sample in case.samples():
        for dtype in FLOATS:
            one = as_dtype(sample, dtype)
            got = forward(case, one)
            wanted = [x.astype(y.dtype) for x, y in zip(forward(of, one), got, strict=True)]
            assert bits(got) == bits(wanted), f"{name} {sample}"  # eq_ leaves 1 for True
        inputs, _ = tensors(sample)
        version = inputs[0]._version()
        assert call(name, inputs, sample.attrs) is inputs[0]
        assert inputs[0]._version() > version


# ---- gradients


def difference(
    case: Case, sample: Sample, i: int, direction: Array, seeds: Sequence[Array | None]
) -> np.longdouble:
    """Derivative of sum(seed * f) along `direction` of input i, by the reference."""

    def value(t: float) -> np.longdouble:
        inputs = list(sample.inputs)
        inputs[i] = inputs[i] + t * direction
        total = np.longdouble(0)
        # After the results come what the op changes, which has no gradient.
        results = expected(case, replace(sample, inputs=tuple(inputs)))
        for result, seed in zip(results, seeds, strict=False):
            if seed is not None:
                total += np.sum(result.astype(np.longdouble) * seed)
        return total

    h = np.longdouble(DIFFERENCE_STEP)
    return (8 * (value(h) - value(-h)) - (value(2 * h) - value(-2 * h))) / (12 * h)


def check_gradient(case: Case, sample: Sample) -> None:
    """All of the Jacobian where the input is small, random directions elsewhere."""
    results, grads = gradients(case, sample)
    seeds = [
        seed_for(y.shape, "float64").astype(np.longdouble) if y.dtype.kind == "f" else None
        for y in results
    ]
    wide = widened(sample)
    rng = np.random.default_rng(11)
    for i, got in zip(wants_gradient(sample), grads, strict=True):
        x = wide.inputs[i]
        assert x is not None
        assert got.shape == x.shape, f"{case.name} {sample}: gradient {got.shape} for {x.shape}"
        if x.size <= 24:
            directions = list(np.eye(x.size).reshape(x.size, *x.shape))
        else:
            directions = [rng.uniform(-1, 1, x.shape) for _ in range(3)]
        for d in directions:
            d = d.astype(np.longdouble)
            want, have = difference(case, wide, i, d, seeds), np.sum(got * d)
            assert abs(have - want) <= DIFFERENCES * (1 + np.sum(np.abs(got * d))), (
                f"{case.name} {sample}: derivative of input {i} is {have}, by differences {want}"
            )


@names(lambda case: differentiable(case) and case.derived)
def test_gradient(name: str) -> None:
    """Backward in float64 against differences of the reference."""
    case = CASES[name]
    for sample in case.samples():
        if wants_gradient(sample) and sample.attrs.get("dtype", _C.float64) is _C.float64:
            check_gradient(case, as_dtype(sample, "float64"))


@names(differentiable)
def test_gradient_float32(name: str, isa: str) -> None:
    """Backward in float32 against backward in float64 at the same point."""
    case = CASES[name]
    for sample in case.samples():
        if not sample.attrs.get("dtype", _C.float64).is_floating_point or "dtype" in sample.attrs:
            continue
        single = as_dtype(sample, "float32")
        narrow, wide = gradients(case, single), gradients(case, as_dtype(single, "float64"))
        for got, want in zip(narrow[1], wide[1], strict=True):
            bound = np.abs(want) + np.max(np.abs(want), initial=0) + case.cancels
            bound = GRADIENT_FLOAT32 * np.finfo("float32").eps * bound + 1e-40
            assert (np.abs(got - want) <= bound).all(), (
                f"{name} {sample}: {np.max(np.abs(got - want) / bound) * GRADIENT_FLOAT32:.3g} eps"
            )


@names(lambda case: not differentiable(case))
def test_no_gradient(name: str) -> None:
    """An op without gradient gives results without one, or refuses to change what asks for one."""
    case = CASES[name]
    mutated = set(case.entry["mutates"])
    for sample in case.samples()[:3]:
        inputs, _ = tensors(sample)
        for i in wants_gradient(sample):
            if case.input_name(i) in mutated:
                inputs[i].requires_grad_(True)
                with pytest.raises(RuntimeError, match="no_grad"):
                    call(name, inputs, sample.attrs)
                return
            if not mutated:
                inputs[i] = inputs[i].detach().requires_grad_(True)
        assert not any(y.requires_grad for y in listed(call(name, inputs, sample.attrs)))


@names(lambda case: case.entry["composite"] and case.entry["kernel"])
@pytest.mark.parametrize("dtype", FLOATS)
def test_composite(name: str, dtype: str) -> None:
    """The fused op and its definition in simpler ops agree, forward and backward."""
    case = CASES[name]
    for sample in case.samples():
        if not sample.attrs.get("dtype", _C.float32).is_floating_point:
            continue
        sample = as_dtype(sample, dtype)
        if case.writes:  # many changes in one pass are the changes one by one
            assert bits(forward(case, sample)) == bits(forward(case, sample, composite=True))
            continue
        fused, plain = gradients(case, sample), gradients(case, sample, composite=True)
        for a, b in zip([*fused[0], *fused[1]], [*plain[0], *plain[1]], strict=True):
            assert a.shape == b.shape
            bound = np.abs(a) + np.max(np.abs(a), initial=0) + case.cancels
            bound = COMPOSITE * np.finfo(dtype).eps * bound
            close = (np.abs(a - b) <= bound) | (np.isnan(a) & np.isnan(b))
            assert close.all(), f"{name} {sample}"


# ---- bits


@names()
def test_layouts_give_equal_bits(name: str) -> None:
    """A view gives the bits of its packed copy, gradients too."""
    case = CASES[name]
    for sample in case.samples():
        if set(sample.layouts) != {"packed"}:
            for dtype in FLOATS:
                one = as_dtype(sample, dtype)
                if "dtype" not in sample.attrs:
                    assert bits(everything(case, one)) == bits(everything(case, one.packed())), (
                        f"{name} {sample} {dtype}"
                    )


@names()
def test_threads_give_equal_bits(name: str) -> None:
    """1, 2, 3 and 7 threads, with the usual chunks and with tiny ones."""
    case = CASES[name]
    chosen = [
        as_dtype(s, d)
        for s in case.samples()
        for d in FLOATS
        if "dtype" not in s.attrs or d == "float32"
    ]

    def run() -> list[Any]:
        return [
            bits(
                everything(case, s)
                if s.attrs.get("dtype", _C.float32).is_floating_point
                else forward(case, s)
            )
            for s in chosen
        ]

    _C.set_num_threads(1)
    want = run()
    for threads in (1, 2, 3, 7):
        _C.set_num_threads(threads)
        for grain in (0, 1):
            _C.set_grain(grain)
            for sample, a, b in zip(chosen, want, run(), strict=True):
                assert a == b, f"{name} {sample}: {threads} threads, grain {grain}"


def one_nan(arrays: Sequence[Array]) -> list[Array]:
    """With one NaN for all: where two NaNs meet in a sum, x86 keeps the first operand's, and which
    operand comes first is the compiler's choice."""
    return [
        np.where(np.isnan(a), np.nan, a).astype(a.dtype) if a.dtype.kind == "f" else a
        for a in arrays
    ]


@names()
def test_fma_isas_give_equal_bits(name: str) -> None:
    """AVX2 and AVX-512 agree to the bit, in both dtypes, gradients included; functions of one
    element in the bits of NaN too."""
    missing = {"avx2", "avx512"} - set(_C.available_isas())
    if missing:
        pytest.skip(f"this machine has no {', '.join(sorted(missing))}")
    case = CASES[name]
    chosen = [as_dtype(s, d) for s in case.samples() for d in FLOATS]
    for arrays in case.special:
        for dtype in FLOATS:
            with np.errstate(all="ignore"):
                given = tuple(a.astype(dtype) if a.dtype.kind == "f" else a for a in arrays)
            fixed = frozenset(i for i, a in enumerate(given) if a.dtype.kind != "f")
            chosen.append(Sample(given, case.special_attrs, ("packed",) * len(given), fixed))
    for sample in chosen:
        results = []
        for isa in ("avx2", "avx512"):
            _C.set_isa(isa)
            plain = sample.attrs.get("dtype", _C.float32).is_floating_point
            arrays = everything(case, sample) if plain else forward(case, sample)
            alone = len(sample.inputs) == 1 and not arrays[0].ndim < sample.inputs[0].ndim
            results.append(bits([*arrays[:alone], *one_nan(arrays[alone:])]))
        assert results[0] == results[1], f"{name} {sample}"


def recorded(case: Case, sample: Sample) -> Any:
    """A function of the given inputs that runs the op and its backward."""
    present = [i for i, x in enumerate(sample.inputs) if x is not None]
    wanted = wants_gradient(sample) if differentiable(case) else []

    def function(*given: Any) -> list[Any]:
        inputs: list[Any] = [None] * len(sample.inputs)
        for i, t in zip(present, given, strict=True):
            inputs[i] = t.detach().requires_grad_(True) if i in wanted else t
        results = listed(call(case.name, inputs, sample.attrs))
        if not wanted:
            mutated = case.entry["mutates"]
            changed = [inputs[i] for i in present if case.input_name(i) in mutated]
            return [*([] if case.writes else results), *changed]
        backward(results)
        grads = [inputs[i].grad for i in wanted]
        for i in wanted:
            inputs[i].grad = None
        return [*results, *grads]

    return function


@names(lambda case: not case.recorded)
def test_recording_is_refused(name: str) -> None:
    """What depends on values cannot be repeated with others."""
    sample = CASES[name].samples()[0]
    inputs = [t for t in tensors(sample)[0] if t is not None]
    with pytest.raises(RuntimeError, match=r"record"):
        _C.Program.record(lambda *given: call(name, given, sample.attrs), *inputs)


@names(lambda case: case.recorded)
def test_replay_equals_eager(name: str) -> None:
    """A recorded call, with its backward, gives eager's bits for other inputs."""
    case = CASES[name]
    for sample, other in zip(case.samples(), case.samples(seed=1), strict=True):
        if not sample.attrs.get("dtype", _C.float32).is_floating_point:
            continue
        for dtype in FLOATS:
            one, two = as_dtype(sample, dtype), as_dtype(other, dtype)
            function = recorded(case, one)
            inputs = [t for t in tensors(one)[0] if t is not None]
            program = _C.Program.record(function, *inputs)
            assert max(map(len, program.dump().splitlines())) <= 100
            for fresh in (two, one):
                got = program.replay(*[t for t in tensors(fresh)[0] if t is not None])
                got = list(got) if isinstance(got, tuple) else [got]
                want = function(*[t for t in tensors(fresh)[0] if t is not None])
                assert bits([array_of(t) for t in got]) == bits([array_of(t) for t in want]), (
                    f"{name} {sample} {dtype}"
                )
