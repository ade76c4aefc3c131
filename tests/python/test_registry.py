"""The registry and the case table belong together, and every declaration is complete.

Refuses a list of ops kept by hand: whatever the registry holds is walked.
"""

from __future__ import annotations

import doctest
import math
import re
from typing import Any

import pytest
from cases import CASES
from samples import REGISTRY
from tolerances import TOLERANCES

from ranvier import _C

ALL = pytest.mark.parametrize("name", list(REGISTRY))
PUBLIC = pytest.mark.parametrize(
    "name", [n for n, e in REGISTRY.items() if not e["gradient_of"] and not e["in_place_of"]]
)
KINDS = {"bool", "int", "float", "str", "int or sequence of int", "dtype"}


@ALL
def test_every_op_has_a_row(name: str) -> None:
    """A row of its own, or the row of the op whose gradient it computes."""
    of = REGISTRY[name]["gradient_of"]
    assert (of or name) in CASES, f"{of or name} has no row in cases.py"
    if of:
        assert REGISTRY[of]["differentiable"]
        assert not REGISTRY[name]["method"], "a gradient kernel is nobody's method"
    else:
        assert name in CASES


def test_every_row_has_an_op() -> None:
    """No row outlives its op, and no tolerance its rows."""
    assert set(CASES) <= set(REGISTRY)
    used = {case.tolerance for case in CASES.values()}
    assert used <= set(TOLERANCES), f"unknown tolerances: {used - set(TOLERANCES)}"
    assert all(len(t.reason) > 10 for t in TOLERANCES.values())


@ALL
def test_declaration_is_complete(name: str) -> None:
    """Text, formulas, names and derivatives."""
    entry = REGISTRY[name]
    assert re.fullmatch(r"[a-z][a-z0-9_]*_?", name)
    assert entry["doc"].endswith("."), entry["doc"]
    assert entry["formula"].strip()
    assert entry["latex"].strip()
    assert sorted(entry["arguments"]) == sorted(
        [*entry["inputs"], *[a["name"] for a in entry["attrs"]]]
    )
    assert all(a["kind"] in KINDS for a in entry["attrs"])
    assert entry["kernel"] or entry["composite"] or entry["view"]
    assert set(entry["mutates"]) <= {*entry["inputs"], *entry["each"]}
    assert bool(entry["mutates"]) or not name.endswith("_")
    if entry["in_place_of"]:
        assert name == entry["in_place_of"] + "_"
        assert entry["arguments"] == REGISTRY[entry["in_place_of"]]["arguments"]
    assert len(entry["optional"]) == len(entry["inputs"])
    for latex in [entry["latex"], *[d[2] for d in entry["derivatives"]]]:
        assert latex.count("{") == latex.count("}"), latex
    if entry["differentiable"] and not entry["gradient_of"]:
        assert entry["derivatives"], "differentiable, but no derivative is written down"
        assert all(of and text and latex for of, text, latex in entry["derivatives"])
    elif not entry["differentiable"]:
        assert not entry["derivatives"]


@ALL
def test_function_and_help(name: str) -> None:
    """Each op is a callable whose help is made from its declaration."""
    entry, op = REGISTRY[name], getattr(_C.ops, name)
    assert op.__name__ == op.__qualname__ == name
    assert entry["signature"] in repr(op)
    text = op.__doc__
    assert text.startswith(entry["signature"])
    assert entry["doc"] in text
    assert entry["formula"] in text
    for argument in entry["arguments"]:
        assert f"\n{argument} : " in text
    assert entry["signature"].startswith(f"{name}(")
    assert hasattr(_C.composites, name) == (entry["composite"] and entry["kernel"])
    if entry["method"]:
        assert getattr(_C.Tensor, name).__name__ == name


@PUBLIC
def test_examples_run(name: str) -> None:
    """The example of the declaration runs, spelled with `rv`."""
    rv: Any = pytest.importorskip("ranvier")
    if not hasattr(rv, "tensor"):
        pytest.skip("the Python package is not there yet")
    example = REGISTRY[name]["example"]
    assert example, "no example"
    exec(example, {"rv": rv})
    assert doctest.DocTestParser().get_examples(getattr(_C.ops, name).__doc__)


@ALL
def test_cost_never_crashes(name: str) -> None:
    """A cost is two finite numbers, or an error; never a crash."""
    shapes = [
        [],
        [[2, 3]],
        [[2, 3], [3, 4]],
        [[2, 3], [4, 3], [4]],
        [[2, 3]] * 4,
        [[-1]],
        [[2] * 9],
    ]
    for given in shapes:
        try:
            flops, size = _C.cost(name, given)
        except (ValueError, RuntimeError, TypeError, IndexError, KeyError):
            continue
        assert math.isfinite(flops) and flops >= 0
        assert math.isfinite(size) and size >= 0


def test_cost_of_products() -> None:
    """Two operations for every multiply-add; every element moved once."""
    assert _C.cost("matmul", [[2, 3], [3, 4]]) == (48, 4 * (6 + 12 + 8))
    flops, _ = _C.cost("linear", [[32, 784], [128, 784], [128]])
    assert flops == pytest.approx(2 * 32 * 784 * 128, rel=0.01)
    assert _C.cost("exp", [[10]]) == (10, 80)
    with pytest.raises(KeyError, match="no_such_op"):
        _C.cost("no_such_op", [])


def test_names_are_unique() -> None:
    """One op, one name."""
    listed = [entry["name"] for entry in _C.registry()]
    assert len(listed) == len(set(listed)) >= 40
