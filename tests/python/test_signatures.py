"""Argument names, order and defaults: PyTorch's, for every function and method of tensors.

The table has one line for each form that PyTorch has. Ours must take the arguments of each form,
by place and by name, with the same defaults; it may take more (`out=`, NumPy's `axis=`). Where
PyTorch is installed the table is compared with its own schemas.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import re
from typing import Any

import pytest
from signatures import FUNCTIONS, METHODS

import ranvier as rv

# Where ours differ, and why. A name with its argument: this argument; a name alone: all of it.
DIFFERENCES = {
    "gather.sparse_grad": "gradients are never sparse",
    "expand.implicit": "PyTorch's own, for its compiler",
    "arange.step": "None, which means 1",
    "uniform_(self, from=0.0, to=1.0, *, generator=None)": "from is a word of Python's: from_",
    "random_(self, from, to, *, generator=None)": "from is a word of Python's",
    "norm(self, p='fro', dim=None, keepdim=False, dtype=None)": "takes out= as the function does",
    "repeat_interleave(repeats, *, output_size=None)": "repeats alone are called input",
    **{
        f"scatter{form}, dim, index, value{more})": "the value may stand in the place of src"
        for form in ("(input", "(self", "_(self")
        for more in ("", ", *, reduce=None")
    },
    **{f"{n}split(self, sections)": "documented as indices_or_sections" for n in "hvd"},
    "rot90.dims": "has a default of two numbers, which this table cannot hold",
    "broadcast_shapes": "PyTorch's names no argument",
    "split(self, split_size, dim=0)": "the function's word: split_size_or_sections",
    "view(self, dtype)": "one method for both forms",
    "clone(input, *, memory_format=None)": "the method has it",
    "compile": "changes nothing here; PyTorch's newest arguments are unknown",
    "save": "files are safetensors and hold no pickles",
    "load": "files are safetensors and hold no pickles",
    "einsum": "PyTorch's names no argument",
    "chain_matmul": "PyTorch's names no argument",
    "set_num_threads": "PyTorch's names no argument",
    **dict.fromkeys(
        ("binary_cross_entropy_with_logits", "hinge_embedding_loss", "kl_div"),
        "the kernel of a function in nn.functional; PyTorch's takes the reduction as a number",
    ),
    **dict.fromkeys(
        ("group_norm", "layer_norm", "rms_norm"), "the kernel of a function in nn.functional"
    ),
}


def forms(text: str) -> list[tuple[str, str, list[tuple[str, str, bool]]]]:
    """Each line as its text, the name, and (argument, default or "", keyword only)."""
    found = []
    for line in text.strip().splitlines():
        name, _, rest = line.partition("(")
        keyword, arguments = False, []
        for item in filter(None, rest[:-1].split(", ")):
            if item == "*":
                keyword = True
                continue
            argument, _, default = item.partition("=")
            arguments.append((argument, default, keyword))
        found.append((line, name, arguments))
    return found


def signature_of(value: Any) -> inspect.Signature:
    """Of a function, of an op, or of a method of pybind11's, whose text has it."""
    try:
        return inspect.signature(value)
    except (TypeError, ValueError):
        text = re.sub(r": [^,=()\[\]]+(\[[^=()]*?\])?(?=[,=)])", "", value.__doc__.split(" -> ")[0])
        return inspect.signature(eval(f"lambda {text.partition('(')[2][:-1]}: None"))


def ours(kind: str, name: str) -> Any:
    owner: Any = rv if kind == "function" else rv.Tensor
    for part in name.split("."):
        owner = getattr(owner, part)
    return owner


def as_methods() -> list[Any]:
    """The forms of functions whose first argument is a tensor, as methods and in place."""
    found, listed = [], {form[1] for form in forms(METHODS)}
    for line, name, arguments in forms(FUNCTIONS):
        if not arguments or arguments[0][0] != "input":
            continue
        for method in (name, f"{name}_"):
            if hasattr(rv.Tensor, method) and method not in listed:
                text = line.replace(f"{name}(input", f"{method}(self", 1)
                found.append((text, method, [("self", "", False), *arguments[1:]]))
    return found


CASES = [
    pytest.param(kind, *form, id=f"{kind}: {form[0]}")
    for kind, of_kind in (("function", forms(FUNCTIONS)), ("method", forms(METHODS) + as_methods()))
    for form in of_kind
]


@pytest.mark.parametrize(("kind", "line", "name", "arguments"), CASES)
def test_ours_take_pytorchs_arguments(kind, line, name, arguments):
    arguments = [a for a in arguments if f"{name}.{a[0]}" not in DIFFERENCES]
    if name not in DIFFERENCES and line not in DIFFERENCES:
        check_form(signature_of(ours(kind, name)), arguments)


def check_form(signature: inspect.Signature, arguments: list[tuple[str, str, bool]]) -> None:
    """One form of PyTorch's fits a signature: by place, by name, and in what may be left out."""
    tokens = {name: object() for name, _, _ in arguments}
    placed = [tokens[name] for name, _, keyword in arguments if not keyword]
    by_name = {name: tokens[name] for name, _, keyword in arguments if keyword}
    bound = signature.bind(*placed, **by_name).arguments
    rest = [p.name for p in signature.parameters.values() if p.kind is p.VAR_POSITIONAL]
    for name, token in tokens.items():
        taken = bound.get(name) is token or any(token in bound.get(r, ()) for r in rest)
        named = bound.get("kwargs", {}).get(name) is token
        assert taken or named or (name == "self" and token in bound.values()), name
    for name, default, _ in arguments:
        parameter = signature.parameters.get(name)
        if default and parameter is not None:
            assert parameter.default is not parameter.empty, f"{name} has a default in PyTorch"
            assert same_default(parameter.default, default), f"{name}={parameter.default}"


def same_default(value: Any, theirs: str) -> bool:
    wanted = ast.literal_eval(theirs)
    if wanted in (None, []):  # no axis, and no argument
        return value is None or value is False
    if isinstance(value, tuple):
        value = list(value)
    return bool(value == wanted) and isinstance(value, bool) == isinstance(wanted, bool)


OPTIONS = ("dtype", "layout", "device", "memory_format", "pin_memory")

# --- PyTorch's own -------------------------------------------------------------------------------


def written_by_pytorch(torch: Any, name: str, first: str) -> set[str]:
    """The forms of a function or method in PyTorch's schemas."""
    found = set()
    for schema in torch._C._jit_get_schemas_for_operator(f"aten::{name}"):
        arguments = list(schema.arguments)
        kinds = [str(a.type) for a in arguments]
        if any("Dimname" in kind or a.is_out for kind, a in zip(kinds, arguments, strict=True)):
            continue
        parts: list[str] = []
        for a in arguments:
            if a.kwarg_only and "*" not in parts:
                parts.append("*")
            default = "=None" if a.kwarg_only else ""
            if a.has_default_value():
                default = f"={None if a.name in OPTIONS else a.default_value!r}"
            parts.append((first if a.name == "self" else a.name) + default)
        found.add(f"{name}({', '.join(parts)})")
    return found


@pytest.mark.parametrize(("kind", "line", "name", "arguments"), CASES)
def test_the_table_is_pytorchs(kind, line, name, arguments):
    if importlib.util.find_spec("torch") is None:
        pytest.skip("PyTorch is not installed")
    import torch

    theirs = getattr(torch if kind == "function" else torch.Tensor, name, None)
    if theirs is None:  # a method that PyTorch has as a function only
        return
    if inspect.isfunction(theirs):
        check_form(inspect.signature(theirs), arguments)
        return
    known = written_by_pytorch(torch, name, "input" if kind == "function" else "self")
    if line not in known:  # not every one is in the schemas: then by its documentation
        text = (inspect.getdoc(theirs) or "").partition("->")[0]
        for argument, _, _ in arguments:
            assert argument in ("self", "input") or re.search(rf"\b{argument}\b", text), known


def test_every_name_of_pytorchs_is_in_the_table():
    torch = pytest.importorskip("torch")
    listed = {form[1] for form in forms(FUNCTIONS) + forms(METHODS)} | set(DIFFERENCES)
    for name in dir(rv):
        value, theirs = getattr(rv, name), getattr(torch, name, None)
        function = callable(value) and not isinstance(value, type) and callable(theirs)
        if function and not name.startswith("_"):
            assert name in listed or name.removesuffix("_") in listed, name


def test_help_shows_them():
    assert str(inspect.signature(rv.softmax)).startswith("(input, dim")
    assert rv.softmax.__text_signature__.startswith("(input, dim")
    assert rv.matmul.__name__ == "matmul" and "Parameters" in rv.matmul.__doc__
    assert list(inspect.signature(rv.ones(2).matmul).parameters) == ["other"]


@pytest.mark.parametrize("op", [op["name"] for op in rv._C.registry()])
def test_every_op_answers_inspect(op):
    registry = {o["name"]: o for o in rv._C.registry()}
    form = registry.get(registry[op]["keyword_form"], registry[op])
    assert list(inspect.signature(getattr(rv._C.ops, op)).parameters) == form["arguments"]
