"""Rows of the case table for steps of many parameters: those of one parameter, put together.

Imported by cases.py, behind cases_optim.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from cases_optim import LR, SINGLES, UPDATES, number, size_of_numbers
from samples import REGISTRY, Array, Bad, Reference, rows

from ranvier import _C

MOST = 8  # parameters in one sample


def many(name: str, one: Reference, entries: list[Any], tolerance: str) -> None:
    """A row for the step of many parameters, from the samples of one."""
    op = REGISTRY[name + "s"]
    single, each, shared = REGISTRY[name]["inputs"], op["each"], op["inputs"][:-1]

    def reference(*inputs: Any, **attrs: Any) -> list[Array]:
        given = dict(zip(shared, inputs, strict=False))
        new: list[Array] = []
        for at in range(len(shared), len(inputs), len(each)):
            own = {**given, **dict(zip(each, inputs[at : at + len(each)], strict=True))}
            if given["scale"] is not None:
                own["grad"] = own["grad"] * given["scale"]
            changed = one(*[own[n] for n in single], **attrs)
            mutated = [n for n in each if n in op["mutates"] and own[n] is not None]
            if given["finite"] is not None and not given["finite"]:
                changed = [own[n] for n in mutated]
            new += changed
        return new

    def together(parts: list[Any], scale: Any = None, finite: Any = None) -> Any:
        """Parameters with the same settings and the same momentum, each with its own layout."""
        attrs = parts[0][1]
        first = dict(zip(single, parts[0][0], strict=True))
        outer = {"momentum_now": first.get("momentum_now"), "scale": scale, "finite": finite}
        inputs: list[Any] = [LR, *[outer[n] for n in shared[1:]]]
        layouts = ["packed"] * len(inputs)
        for made, own, kinds in parts:
            assert own == attrs
            values, places = (dict(zip(single, x, strict=True)) for x in (made, kinds))
            inputs += [values[n] for n in each]
            layouts += [places[n] for n in each]
        return tuple(inputs), attrs, tuple(layouts)

    def samples() -> Iterator[Any]:
        plain = [entry for entry in entries if not entry[1]]
        others = [entry for entry in entries if entry[1]]
        yield together(plain[:MOST])
        yield together(plain[:2], scale=number(0.5), finite=lambda rng: np.array(True))
        yield together(plain[:2], finite=lambda rng: np.array(False))
        for entry in others:
            yield together([entry, entry], scale=number(0.25))

    def bad() -> Iterator[Bad]:
        good: list[Any] = [np.array(0.1), *[None] * (len(shared) - 1)]
        member = [(3,) if n not in SINGLES else np.array(1.0) for n in each]
        at = {n: i for i, n in enumerate(shared)}
        yield Bad((*good, *member[:-1]), {}, ValueError, ("tensors for each parameter",))
        for n, wrong in (("lr", np.array([0.1])), ("scale", (3,)), ("finite", np.array(1.0))):
            outer = [*good[: at[n]], wrong, *good[at[n] + 1 :]]
            yield Bad((*outer, *member), {}, _C.ShapeError, (n,))
        yield Bad((*good, *member, (3,), (4,), *member[2:]), {}, _C.ShapeError, ("grad",))
        yield Bad(
            (*good, np.zeros(3, np.float32), np.zeros(3), *member[2:]),
            {},
            TypeError,
            ("grad", "float32", "float64"),
        )
        yield Bad((*good, None, *member[1:]), {}, TypeError, ("param", "None"))

    singles = [i for i, n in enumerate(each) if n in SINGLES]
    rows(
        op["name"],
        reference,
        *samples(),
        writes=True,
        tolerance=tolerance,
        integers="refused",
        fixed=[
            *range(len(shared)),
            *[len(shared) + k * len(each) + i for k in range(MOST) for i in singles],
        ],
        magnitude=size_of_numbers,
        bad=tuple(bad()),
    )


for _update in UPDATES:
    many(*_update)
