"""Gradients of gradients: every differentiable op of the case table, twice.

The first gradient is test_ops.py's; here it is a function, differentiated with `create_graph` and
compared with differences of itself. Refuses a list of ops kept by hand.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from cases import CASES
from samples import REGISTRY, Case, Sample, as_dtype, call, tensors
from tolerances import COMPOSITE, DIFFERENCE_STEP, DIFFERENCES

from ranvier import _C, autograd

Array = Any

KERNELS_OF: dict[str, list[str]] = {}
for _name, _entry in REGISTRY.items():
    if _entry["gradient_of"]:
        KERNELS_OF.setdefault(_entry["gradient_of"], []).append(_name)


def differentiable_twice(case: Case) -> bool:
    """Whether each kernel of its backward has a derivative, or there is none."""
    kernels = KERNELS_OF.get(case.name, [])
    return bool(case.entry["differentiable"]) and all(
        REGISTRY[kernel]["differentiable"] for kernel in kernels
    )


def wanted(sample: Sample) -> list[int]:
    return [
        i
        for i, x in enumerate(sample.inputs)
        if x is not None and x.dtype.kind == "f" and i not in sample.fixed | sample.constant
    ]


def floats_of(result: Any) -> list[Any]:
    results = result if isinstance(result, tuple) else (result,)
    return [t for t in results if t.dtype.is_floating_point and t.requires_grad]


def first_gradients(case: Case, sample: Sample) -> tuple[list[Any], list[Any]]:
    """The inputs, and their gradients of the weighted sum of the results, with a graph."""
    inputs, _ = tensors(sample)
    leaves = []
    for i in wanted(sample):
        inputs[i] = inputs[i].detach().requires_grad_(True)
        leaves.append(inputs[i])
    outputs = floats_of(call(case.name, inputs, sample.attrs))
    rng = np.random.default_rng(3)
    seeds = [_C.from_numpy(rng.uniform(0.5, 1.5, y.shape)) for y in outputs]
    grads = autograd.grad(outputs, leaves, seeds, create_graph=True, allow_unused=True)
    return leaves, [
        _C.zeros(x.shape, x.dtype) if g is None else g for x, g in zip(leaves, grads, strict=True)
    ]


def weighted(grads: list[Any], weights: list[Array]) -> Any:
    terms = [(g * _C.from_numpy(w)).sum() for g, w in zip(grads, weights, strict=True)]
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def moved(sample: Sample, directions: list[Array], t: float) -> Sample:
    inputs = list(sample.inputs)
    for i, d in zip(wanted(sample), directions, strict=True):
        inputs[i] = inputs[i] + t * d
    return replace(sample, inputs=tuple(inputs))


@pytest.mark.parametrize("name", [n for n, c in CASES.items() if differentiable_twice(c)])
def test_second_derivative(name: str) -> None:
    """Along a random direction, against fourth-order differences of the first gradient."""
    case = CASES[name]
    chosen = [s for s in case.samples() if wanted(s) and "dtype" not in s.attrs]
    for plain in chosen[:4] + chosen[-2:]:
        sample = as_dtype(plain, "float64")
        rng = np.random.default_rng(5)
        shapes = [sample.inputs[i].shape for i in wanted(sample)]  # type: ignore[union-attr]
        weights = [rng.uniform(-1, 1, shape) for shape in shapes]
        directions = [rng.uniform(-1, 1, shape) for shape in shapes]
        # What an expanded layout shows moves as one.
        directions = [
            np.broadcast_to(d[:1], d.shape).copy() if sample.layouts[i] == "expanded" else d
            for i, d in zip(wanted(sample), directions, strict=True)
        ]
        try:
            leaves, grads = first_gradients(case, sample)
        except RuntimeError as error:
            if "has no derivative" in str(error):
                pytest.skip(f"made of an op whose gradient has no derivative: {error}")
            raise
        total = weighted(grads, weights)
        have = 0.0
        size = 1.0
        if total.requires_grad:
            for g, d in zip(
                autograd.grad(total, leaves, allow_unused=True), directions, strict=True
            ):
                if g is not None:
                    have += float(np.sum(g.detach().numpy() * d))
                    size += float(np.sum(np.abs(g.detach().numpy() * d)))

        def value(
            t: float, at: Sample = sample, along: Any = directions, by: Any = weights
        ) -> float:
            return float(weighted(first_gradients(case, moved(at, along, t))[1], by).item())

        h = DIFFERENCE_STEP
        want = (8 * (value(h) - value(-h)) - (value(2 * h) - value(-2 * h))) / (12 * h)
        assert abs(have - want) <= 100 * DIFFERENCES * size, f"{name} {sample}: {have}, not {want}"


@pytest.mark.parametrize(
    "name", [n for n, e in REGISTRY.items() if e["gradient_of"] and e["composite"] and e["kernel"]]
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradient_kernels_agree_with_their_composites(name: str, dtype: str) -> None:
    """The kernel of a derivative, and the same expression over tensors."""
    entry = REGISTRY[name]
    case = CASES[entry["gradient_of"]]
    if entry["inputs"] != ["grad", "input", "other", "result"]:
        pytest.skip("not a row of elementwise.def")
    for sample in case.samples():
        one = as_dtype(sample, dtype)
        inputs, _ = tensors(one)
        result = call(case.name, inputs, one.attrs)
        seed = np.random.default_rng(7).uniform(0.5, 1.5, result.shape).astype(dtype)
        given = {"grad": _C.from_numpy(seed), "input": inputs[0], "other": inputs[-1]}
        given["result"] = result
        fused = getattr(_C.ops, name)(**given, **one.attrs).numpy()
        plain = getattr(_C.composites, name)(**given, **one.attrs).numpy()
        assert fused.shape == plain.shape and fused.dtype == plain.dtype
        bound = COMPOSITE * np.finfo(dtype).eps * (np.abs(fused) + np.max(np.abs(fused), initial=0))
        close = (np.abs(fused - plain) <= bound) | (np.isnan(fused) & np.isnan(plain))
        assert close.all(), f"{name} {sample}"
