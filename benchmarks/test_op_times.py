"""Every op of the tests' case table, timed from Python: by itself, with its gradients, replayed.

    python -m pytest benchmarks/test_op_times.py -k softmax

Each row of tests/python/cases.py has its largest sample here, in float32. Those are small: the
figures are what a call costs, and kernels that are out of proportion stand out. Large tensors are
the native suite's. `make bench` runs this and keeps the figures in results/ops.json.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from cases import CASES
from ops_setup import names, wants_gradient
from samples import Case, Sample, as_dtype, tensors

import ranvier as rv
from ranvier import _C


def largest(case: Case, differentiated: bool = False) -> Sample:
    """The packed sample with most elements; of those that are differentiated by something."""
    samples = [s.packed() for s in case.samples() if not differentiated or wants_gradient(s)]
    return as_dtype(max(samples, key=lambda sample: sample.numel), "float32")


def arguments(case: Case, inputs: Sequence[Any], sample: Sample) -> dict[str, Any]:
    """What the op is called with, by name; the last input may stand for several."""
    named = case.entry["inputs"]
    given = {n: t for n, t in zip(named, inputs, strict=False) if t is not None}
    if case.entry["variadic"]:
        given[named[-1]] = list(inputs[len(named) - 1 :])
    return {**given, **sample.attrs}


def prepared(name: str, differentiated: bool = False) -> tuple[Callable[[], Any], list[Any]]:
    """A call of the op, and the inputs whose gradients it is about."""
    case = CASES[name]
    sample = largest(case, differentiated)
    inputs, _ = tensors(sample)
    wanted = wants_gradient(sample) if differentiated else []
    for i in wanted:
        inputs[i] = inputs[i].detach().requires_grad_(True)
    op, given = getattr(_C.ops, name), arguments(case, inputs, sample)
    return lambda: op(**given), [inputs[i] for i in wanted]


def listed(results: Any) -> tuple[Any, ...]:
    """The results of a call: most ops have one, others a named tuple."""
    return tuple(results) if isinstance(results, tuple) else (results,)


def with_gradients(run: Callable[[], Any], wanted: list[Any]) -> Callable[[], Any]:
    """The call and the gradients of its floating results, as a training step has them."""
    results = listed(run())
    ends = [i for i, y in enumerate(results) if y.requires_grad]
    seeds = [_C.from_numpy(np.ones(results[i].shape, results[i].dtype.name)) for i in ends]

    def both() -> Any:
        results = listed(run())
        return _C.gradients([results[i] for i in ends], wanted, seeds, False, False, True)

    return both


def noted(benchmark: Any, name: str, what: str, sample: Sample) -> None:
    """What results/ops.json says about the row, beside its times."""
    shapes = ["x".join(map(str, x.shape)) for x in sample.inputs if x is not None]
    benchmark.extra_info.update({"op": name, "what": what, "shapes": shapes})


@names()
def test_forward(benchmark: Any, name: str) -> None:
    """The op as it is called."""
    run, _ = prepared(name)
    noted(benchmark, name, "forward", largest(CASES[name]))
    with rv.no_grad():
        benchmark(run)


@names(lambda case: case.entry["differentiable"])
def test_forward_backward(benchmark: Any, name: str) -> None:
    """The op and the gradients of its inputs."""
    run, wanted = prepared(name, differentiated=True)
    noted(benchmark, name, "forward+backward", largest(CASES[name], differentiated=True))
    benchmark(with_gradients(run, wanted))


@names(lambda case: case.recorded)
def test_replayed(benchmark: Any, name: str) -> None:
    """The op as a program of its own."""
    run, _ = prepared(name)
    noted(benchmark, name, "replayed", largest(CASES[name]))
    program = rv.capture(lambda: listed(run()))
    with rv.no_grad():
        program()
        benchmark(program)
