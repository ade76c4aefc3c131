"""What the tests of the first hour share: lines of code with what they give.

    ## a heading                       begins a section
    = t = rv.arange(3)                 runs before each line of the section from here on
    t + 1  ->  int64 [1, 2, 3]         a tensor: dtype and elements, whose nesting is the shape
    t.split(2)  ->  int64 [0, 1] & int64 [2]       several tensors
    len(t)  ->  3                      anything else, with its Python type
    t[5]  !!  IndexError | 5 | size 3  an error and words of its message

A line may end in `# ours: reason` where PyTorch answers otherwise. Every other one is true of
PyTorch too and is checked against it where it is installed; an error there only has to be one.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import importlib.util
import math
import warnings
from typing import Any

import numpy as np
import pytest

MODULES = ["ranvier", *(["torch"] if importlib.util.find_spec("torch") else [])]
DTYPES = ("float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8")


def cases(text: str) -> list[Any]:
    """One case for each line and module, with what runs before the line."""
    setup, found = "", []
    for line in text.strip().splitlines():
        if line.startswith("## "):
            setup = ""
        elif line.startswith("= "):
            setup = line[2:]
        elif line:
            line, _, reason = line.partition("  # ours: ")
            for module in MODULES[:1] if reason else MODULES:
                name = f"{module}: {setup + '; ' if setup else ''}{line.split('  ')[0]}"
                found.append(pytest.param(module, setup, line, id=name))
    return found


def run(module: Any, setup: str, line: str) -> Any:
    """The value of the last expression of a line."""
    names = {"rv": module, "np": np}
    if module.__name__ == "torch":  # its warnings are its own
        warnings.simplefilter("ignore")
    exec(setup, names)
    *steps, last = ast.parse(line).body
    exec(compile(ast.Module(steps, []), "line", "exec"), names)
    if isinstance(last, ast.Expr):
        return eval(compile(ast.Expression(last.value), "line", "eval"), names)
    return exec(compile(ast.Module([last], []), "line", "exec"), names)


def check(module_name: str, setup: str, line: str) -> None:
    """Runs a line and compares; fails with both values."""
    module = importlib.import_module(module_name)
    module.manual_seed(0)
    if "  !!  " in line:
        code, _, wanted = line.partition("  !!  ")
        check_error(module, setup, code, *wanted.split(" | "))
        return
    code, _, wanted = line.partition("  ->  ")
    result, parts = run(module, setup, code), wanted.split(" & ")
    if len(parts) == 1:
        check_one(module, result, wanted)
        return
    assert len(result) == len(parts)
    for one, part in zip(result, parts, strict=True):
        check_one(module, one, part)


def check_one(module: Any, result: Any, wanted: str) -> None:
    kind, _, values = wanted.partition(" ")
    if kind not in (*DTYPES, "bool"):
        value = literal(wanted)
        if isinstance(value, float):
            assert isinstance(result, float) and result == pytest.approx(value, rel=1e-4)
        else:
            assert result == value
            assert isinstance(result, type(value))
        return
    assert isinstance(result, module.Tensor), repr(result)
    assert str(result.dtype).partition(".")[2] == kind
    value = literal(values)
    assert tuple(result.shape) == np.shape(value)
    got = np.array(result.detach().tolist(), dtype=np.float64)
    np.testing.assert_allclose(got, np.array(value, dtype=np.float64), rtol=1e-4, atol=1e-7)


def literal(text: str) -> Any:
    """The Python value that is written, with nan and inf."""
    return eval(text, {"nan": math.nan, "inf": math.inf})


def check_error(module: Any, setup: str, code: str, kinds: str, *words: str) -> None:
    if module.__name__ == "torch":  # which error it is, and its words, are ours
        with pytest.raises(Exception):  # noqa: B017
            run(module, setup, code)
        return
    known = {**vars(builtins), "ShapeError": module.ShapeError}
    with pytest.raises(eval(kinds, known)) as caught:
        run(module, setup, code)
    for word in words:
        assert word in str(caught.value)
